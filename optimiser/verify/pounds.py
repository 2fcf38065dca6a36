"""Every pound of a plan: by future, term, authority and period, by source, and item by item."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from models.decisions import Decisions, Placements
from models.problem import COST_TERMS, Bools, Floats, Problem
from optimiser.verify.futures import Future, by_year, probability_of, refuse_wrong_shapes

TERM = {term: position for position, term in enumerate(COST_TERMS)}


@dataclass(frozen=True, eq=False)
class Ledger:
    """Every pound of a plan. Income and residual value are negative; the deterrent is no pound and is kept apart."""

    nominal: Floats  # £ nominal, [scenario, term, authority, period], terms in the order of COST_TERMS
    deterrent: Floats  # £ nominal, [scenario, period]

    def present(self, problem: Problem) -> Floats:
        """Present real £, [scenario, term, authority, period]."""
        return self.nominal * problem.present_value

    def by_year(self, problem: Problem) -> Floats:
        """£ nominal, [scenario, term, authority, year]."""
        return by_year(problem, self.nominal)

    def scenario_pounds(self, problem: Problem) -> Floats:
        """Present real £ that each future costs, [scenario]."""
        pounds: Floats = self.present(problem).sum(axis=(1, 2, 3))
        return pounds

    def scenario_cost(self, problem: Problem) -> Floats:
        """Present real £ of each future with the deterrent: what is minimised, [scenario]."""
        cost: Floats = self.scenario_pounds(problem) + self.deterrent @ problem.present_value
        return cost


def pounds(future: Future) -> Floats:
    """What one future costs, £ nominal, [term, authority, period].

    What a child causes falls to the authority of the child's cohort; what a source costs anyway to those who share in
    it; beds bought in priced layers to the children placed with the source in that period.
    """
    problem = future.problem
    by_source, by_cohort, by_use = _before_sharing(future)
    total: Floats = (
        np.einsum("kst,sa->kat", by_source, problem.cost_share)
        + np.einsum("kct,ca->kat", by_cohort, _membership(problem))
        + np.einsum("kst,sat->kat", by_use, _users(future))
    )
    total[TERM["income"]] -= problem.grant_income
    if problem.managers is not None:
        total[TERM["managers"]] += np.outer(_managers_share(problem), problem.managers.cost * future.path.managers)
    return total


def _before_sharing(future: Future) -> tuple[Floats, Floats, Floats]:
    """£ nominal before authorities share: what sources cost anyway, what children cause, and beds bought in layers.

    [term, source, period], [term, cohort, period], [term, source, period].
    """
    problem = future.problem
    by_source = np.zeros((len(COST_TERMS), len(problem.sources), len(problem.periods)))
    by_cohort = np.zeros((len(COST_TERMS), len(problem.cohorts), len(problem.periods)))
    by_use = np.zeros_like(by_source)
    _add_homes(future, by_source)
    _add_lots(future, by_source, by_use)
    _add_supplies(future, by_source)
    _add_spots(future, by_use)
    _add_children(future, by_cohort)
    by_source[TERM["income"]] -= problem.sold_price * problem.weeks * future.placements.beds_sold
    return by_source, by_cohort, by_use


def pounds_by_source(problem: Problem, decisions: Decisions, placements: Sequence[Placements]) -> tuple[Floats, Floats]:
    """What sources cost anyway, and what their priced layers cost, £ nominal, [scenario, source, period] each."""
    refuse_wrong_shapes(problem, decisions, placements)
    found = [
        _before_sharing(Future(problem, decisions, scenario, placed))
        for scenario, placed in zip(problem.scenarios, placements, strict=True)
    ]
    return np.array([one.sum(axis=0) for one, _, _ in found]), np.array([other.sum(axis=0) for _, _, other in found])


@dataclass(frozen=True)
class Item:
    """One entry of an itemised ledger: a cost term, and the source, cohort, managers or grant that it is paid for."""

    term: str
    kind: str  # home, lot, supply, spot, unregistered, cohort, managers or grant
    name: str
    basis: str  # anyway: paid whether used or not; use: bought as it is used; child: goes with each child


def itemised(
    problem: Problem, decisions: Decisions, placements: Sequence[Placements], weights: Floats | None = None
) -> tuple[list[Item], Floats]:
    """Every pound of a plan by what it is paid for: items, and £ nominal expected over the futures, [item, authority, period].

    Sums over the items of a term to what the ledger has for it. ``weights`` take the place of the probabilities, [scenario].
    """
    share = probability_of(problem) if weights is None else weights
    authorities, periods = len(problem.authorities), len(problem.periods)
    shape = (len(COST_TERMS), len(problem.sources), authorities, periods)
    by_source, by_use = np.zeros(shape), np.zeros(shape)
    by_cohort = np.zeros((len(COST_TERMS), len(problem.cohorts), authorities, periods))
    managers = np.zeros((authorities, periods))
    for weight, scenario, placed in zip(share, problem.scenarios, placements, strict=True):
        if not weight:
            continue
        future = Future(problem, decisions, scenario, placed)
        anyway, children, use = _before_sharing(future)
        by_source += weight * anyway[:, :, None] * problem.cost_share[None, :, :, None]
        by_cohort += weight * children[:, :, None] * _membership(problem)[None, :, :, None]
        by_use += weight * use[:, :, None] * _users(future)[None]
        if problem.managers is not None:
            managers += weight * np.outer(_managers_share(problem), problem.managers.cost * future.path.managers)
    found: list[tuple[Item, Floats]] = []
    for term, position in TERM.items():
        for source, name in enumerate(problem.sources):
            kind = problem.source_kind(source)
            found.append((Item(term, kind, name, "anyway"), by_source[position, source]))
            found.append((Item(term, kind, name, "use"), by_use[position, source]))
        for cohort, name in enumerate(problem.cohorts):
            found.append((Item(term, "cohort", name, "child"), by_cohort[position, cohort]))
    found.append((Item("managers", "managers", "registered managers", "anyway"), managers))
    found.append((Item("income", "grant", "revenue grant", "anyway"), -share.sum() * problem.grant_income))
    kept = [(item, amounts) for item, amounts in found if amounts.any()]
    items = [item for item, _ in kept]
    return items, np.array([amounts for _, amounts in kept]).reshape(len(items), authorities, periods)


def deterrent(future: Future) -> Floats:
    """The value judgement on *no registered home found*, £ nominal, [period]."""
    charged: Floats = future.scenario.deterrent * future.problem.weeks * future.children[future.problem.unregistered]
    return charged


def _add_homes(future: Future, by_source: Floats) -> None:
    problem, scenario, path = future.problem, future.scenario, future.path
    homes = slice(0, problem.lot_source)
    by_source[TERM["capital"], homes] += path.begun * scenario.capital_outlay
    by_source[TERM["residual"], homes, -1] -= (path.begun * scenario.residual_value).sum(axis=1)
    by_source[TERM["procurement"], homes] += path.begun * scenario.abortive_cost
    streams = {"running": scenario.home_running, "waiting": scenario.home_waiting, "lifecycle": scenario.home_lifecycle}
    for term, stream in streams.items():
        by_source[TERM[term], homes] += np.einsum("hp,hpt->ht", path.begun, stream)
    by_source[TERM["running"], homes] -= problem.closed_saving * np.cumsum(path.closed, axis=1)
    by_source[TERM["closures"], homes] += path.closed * problem.closing_cost[:, None]


def _add_lots(future: Future, by_source: Floats, by_use: Floats) -> None:
    problem, scenario, decisions = future.problem, future.scenario, future.decisions
    for position in future.path.awards:
        award = problem.awards[position]
        source = problem.lot_source + award.lot
        setup = scenario.lot_setup[award.lot, award.period] * decisions.lot_awarded[position]
        by_source[TERM["procurement"], source, award.period] += setup

        charged = future.initial_beds[position].copy()  # beds to be paid for, at the price of the initial term
        for extension in future.path.extensions(award=position):
            charged += future.extended_beds[extension] * scenario.extension_price[extension]
        tiers = len(problem.lot_tiers[award.lot])
        price = scenario.lot_price[award.lot, :tiers, award.period]
        paid_anyway = problem.guaranteed_share[award.lot] * problem.void_price_share[award.lot]
        by_source[TERM["block"], source] += paid_anyway * problem.weeks * (price * charged[:tiers]).sum(axis=0)
        retainer = scenario.call_off_retainer[award.lot, award.period]
        by_source[TERM["call_off"], source] += retainer * problem.weeks * charged[-1]

    for layer, (kind, position, tier) in enumerate(problem.lot_layers):
        if position in future.path.awards:
            term = TERM["call_off" if kind == "call_off" else "block"]
            used = future.placements.lot_layer_used[layer]
            source = problem.lot_source + problem.awards[position].lot
            by_use[term, source] += _layer_price(future, kind, position, tier) * problem.weeks * used


def _layer_price(future: Future, kind: str, position: int, tier: int) -> Floats:
    """£ a bed-week in a priced layer, [period].

    In a period that sees both the end of a term and the beginning of its extension, the price of the term stands.
    """
    problem, scenario = future.problem, future.scenario
    lot, period = problem.awards[position].lot, problem.awards[position].period
    if kind == "call_off":
        price = scenario.call_off_price[lot, period]
    else:
        still_due = 1.0 - problem.void_price_share[lot] if kind == "filled" else 1.0
        price = scenario.lot_price[lot, tier, period] * still_due
    multiple = np.ones(len(problem.periods))
    latest_first = sorted(future.path.extensions(award=position), key=lambda e: -problem.extensions[e].option)
    for extension in latest_first:  # the earlier term overwrites the later one where both deliver
        multiple[scenario.extension_delivered[extension] > 0] = scenario.extension_price[extension]
    multiple[scenario.lot_delivered[lot, period] > 0] = 1.0
    result: Floats = price * multiple
    return result


def _add_supplies(future: Future, by_source: Floats) -> None:
    problem, scenario = future.problem, future.scenario
    supplies = by_source[TERM["existing"], problem.supply_source : problem.spot_source]
    supplies += scenario.supply_commitment
    for supply in range(len(problem.supplies)):
        for extension in future.path.extensions(supply=supply):
            taken = future.decisions.extension_taken[extension]
            supplies[supply] += scenario.supply_extension_cost[extension] * taken


def _add_spots(future: Future, by_use: Floats) -> None:
    problem = future.problem
    cost = (future.scenario.spot_layer_price * future.placements.spot_layer_used).sum(axis=1) * problem.weeks
    by_use[TERM["spot"], problem.spot_source : problem.unregistered] += cost


def _add_children(future: Future, by_cohort: Floats) -> None:
    problem, scenario, placements = future.problem, future.scenario, future.placements
    weeks = placements.placed * problem.weeks  # child-weeks
    price = scenario.variable_price
    homes, supplies = slice(0, problem.lot_source), slice(problem.supply_source, problem.spot_source)
    by_cohort[TERM["variable"]] += (weeks[:, homes] * price[homes]).sum(axis=1)
    by_cohort[TERM["existing"]] += (weeks[:, supplies] * price[supplies]).sum(axis=1)
    by_cohort[TERM["unregistered"]] += weeks[:, problem.unregistered] * scenario.unregistered_price
    by_cohort[TERM["closures"]] += placements.moves_at_closure.sum(axis=1) * problem.closure_price[:, None]
    by_cohort[TERM["planned_moves"]] += placements.planned_moves.sum(axis=1) * problem.planned_move_price[:, None]
    by_cohort[TERM["income"]] -= weeks.sum(axis=1) * problem.contribution[:, None]


def _users(future: Future) -> Floats:
    """Authorities of the children placed with a source, share, [source, authority, period].

    Where nobody is placed: those who share in the source's fixed cost.
    """
    problem = future.problem
    placed = np.einsum("cst,ca->sat", np.maximum(future.placements.placed, 0.0), _membership(problem))
    total = placed.sum(axis=1, keepdims=True)
    somebody = total > 1e-9  # fewer children than a solver can tell from none
    share: Floats = np.where(somebody, placed / np.where(somebody, total, 1.0), problem.cost_share[:, :, None])
    return share


def _membership(problem: Problem) -> Floats:
    """1 where the cohort is the authority's, [cohort, authority]."""
    belongs: Bools = problem.cohort_authority[:, None] == np.arange(len(problem.authorities))
    return belongs.astype(np.float64)


def _managers_share(problem: Problem) -> Floats:
    """Who bears the managers: the mean over council-run homes, share, [authority]."""
    shares = problem.cost_share[: problem.lot_source][problem.home_council_run]
    if not len(shares):
        return np.full(len(problem.authorities), 1.0 / len(problem.authorities))
    mean: Floats = shares.mean(axis=0)
    return mean


def unregistered_child_weeks(future: Future) -> Floats:
    """Child-weeks with no registered home found, [authority, year]."""
    problem = future.problem
    weeks = future.placements.placed[:, problem.unregistered] * problem.weeks
    return by_year(problem, _membership(problem).T @ weeks)


def tail_mean(cost: Floats, probability: Floats, level: float) -> float:
    """Mean cost in the worst ``1 - level`` of probability: CVaR of a discrete distribution.

    It equals the minimum over a value at risk *v* of *v* + E[max(cost - v, 0)] / (1 - level) (Rockafellar and
    Uryasev, 2000); here the worst futures are counted directly, the last of them in part.
    """
    worst_first = np.argsort(-cost)
    mass = 1.0 - level
    if mass <= 0:
        return float(cost.max())
    reached = np.cumsum(probability[worst_first])
    weight = np.clip(mass - (reached - probability[worst_first]), 0.0, probability[worst_first])
    return float(weight @ cost[worst_first] / weight.sum())
