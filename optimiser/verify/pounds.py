"""Every pound of a plan: by future, term, authority and period, by source, and item by item."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from models.decisions import Decisions, Placements
from models.problem import COST_TERMS, Floats, Problem
from optimiser.verify.futures import (
    Futures,
    by_year,
    futures_of,
    in_order,
    probability_of,
    refuse_wrong_shapes,
)

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


def ledger_of(problem: Problem, decisions: Decisions, placements: Sequence[Placements]) -> Ledger:
    """Every pound of a plan."""
    parts = [(some, pounds(some), deterrent(some)) for some in futures_of(problem, decisions, placements)]
    return Ledger(
        nominal=in_order([(some, nominal) for some, nominal, _ in parts]),
        deterrent=in_order([(some, charged) for some, _, charged in parts]),
    )


def pounds(futures: Futures) -> Floats:
    """What futures cost, £ nominal, [scenario, term, authority, period].

    What a child causes falls to the authority of the child's cohort; what a source costs anyway to those who share in
    it; beds bought in priced layers to the children placed with the source in that period.
    """
    problem = futures.problem
    total = np.zeros((len(futures.scenarios), len(COST_TERMS), len(problem.authorities), len(problem.periods)))
    for charge in charges(futures):
        own = total[:, TERM[charge.term]]
        if charge.basis == "anyway":
            own += np.einsum("nkt,ka->nat", charge.amounts, problem.cost_share[charge.members])
        elif charge.basis == "use":
            own += np.einsum("nkt,nkat->nat", charge.amounts, users(futures, charge.members))
        else:
            own += by_authority(problem, charge.amounts)
    total[:, TERM["income"]] -= problem.grant_income
    if problem.managers is not None:
        total[:, TERM["managers"]] += managers_pounds(futures)
    return total


def pounds_by_source(problem: Problem, decisions: Decisions, placements: Sequence[Placements]) -> tuple[Floats, Floats]:
    """What sources cost anyway, and what their priced layers cost, £ nominal, [scenario, source, period] each."""
    refuse_wrong_shapes(problem, decisions, placements)
    found: dict[str, list[tuple[Futures, Floats]]] = {"anyway": [], "use": []}
    for futures in futures_of(problem, decisions, placements):
        own = {basis: np.zeros((len(futures.scenarios), len(problem.sources), len(problem.periods))) for basis in found}
        for charge in charges(futures):
            if charge.basis in own:
                own[charge.basis][:, charge.members] += charge.amounts
        for basis, parts in found.items():
            parts.append((futures, own[basis]))
    return in_order(found["anyway"]), in_order(found["use"])


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
    membership = problem.cohort_authority[:, None] == np.arange(authorities)
    for futures in futures_of(problem, decisions, placements, np.flatnonzero(share).tolist()):
        weight = share[list(futures.numbers)]
        for charge in charges(futures):
            at = TERM[charge.term]
            if charge.basis == "use":
                own = np.einsum("n,nkt,nkat->kat", weight, charge.amounts, users(futures, charge.members))
                by_use[at, charge.members] += own
                continue
            expected = np.einsum("n,nkt->kt", weight, charge.amounts)[:, None]
            if charge.basis == "anyway":
                by_source[at, charge.members] += expected * problem.cost_share[charge.members, :, None]
            else:
                by_cohort[at] += expected * membership[:, :, None]
        if problem.managers is not None:
            managers += weight.sum() * managers_pounds(futures)
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


def deterrent(futures: Futures) -> Floats:
    """The value judgement on *no registered home found*, £ nominal, [scenario, period]."""
    problem = futures.problem
    charged: Floats = futures.there("deterrent") * problem.weeks * futures.children[:, problem.unregistered]
    return charged


# what is charged, before authorities share


@dataclass(frozen=True, eq=False)
class Charge:
    """Pounds of one term for some sources or cohorts, before authorities share them."""

    term: str
    basis: str  # as of ``Item``
    members: slice  # positions of the sources, or of the cohorts
    amounts: Floats  # £ nominal, [scenario, source or cohort, period]


def charges(futures: Futures) -> Iterator[Charge]:
    """All that is charged, but for managers and grants, which are for no source and no child."""
    yield from _of_homes(futures)
    yield from _of_lots(futures)
    yield from _of_layers(futures)
    yield from _of_supplies(futures)
    yield from _of_children(futures)
    problem = futures.problem
    price = futures.there("spot_layer_price")
    spots = (price * futures.spot_layer_used).sum(axis=2) * problem.weeks
    yield Charge("spot", "use", slice(problem.spot_source, problem.unregistered), spots)
    sold = -problem.sold_price * problem.weeks * futures.beds_sold
    yield Charge("income", "anyway", slice(len(problem.sources)), sold)


def _of_homes(futures: Futures) -> Iterator[Charge]:
    problem, path = futures.problem, futures.path
    homes = slice(0, problem.lot_source)
    shape = (len(futures.scenarios), len(problem.homes), len(problem.periods))
    yield Charge("capital", "anyway", homes, path.begun * futures.there("capital_outlay"))
    residual = np.zeros(shape)
    residual[:, :, -1] = -(path.begun * futures.there("residual_value")).sum(axis=2)
    yield Charge("residual", "anyway", homes, residual)
    yield Charge("procurement", "anyway", homes, path.begun * futures.there("abortive_cost"))
    for term in ("running", "waiting", "lifecycle"):
        stream = futures.begun_stream(f"home_{term}")
        if term == "running":
            stream -= problem.closed_saving * np.cumsum(path.closed, axis=1)
        yield Charge(term, "anyway", homes, stream)
    closing = np.broadcast_to(path.closed * problem.closing_cost[:, None], shape)
    yield Charge("closures", "anyway", homes, closing)


def _of_lots(futures: Futures) -> Iterator[Charge]:
    """What awards cost whatever is used: setting them up, guaranteed beds, and call-off beds held."""
    problem, decisions = futures.problem, futures.decisions
    setup = np.zeros((len(futures.scenarios), len(problem.lots), len(problem.periods)))
    for position in futures.path.awards:
        if decisions.lot_awarded[position]:
            award = problem.awards[position]
            price = futures.there("lot_setup", (award.lot, award.period))
            setup[:, award.lot, award.period] += price * decisions.lot_awarded[position]
    yield Charge("procurement", "anyway", slice(problem.lot_source, problem.supply_source), setup)

    charged = futures.award_beds_at(lambda extension: futures.there("extension_price", (extension,))[:, None, None])
    for position, beds in charged.items():  # at the price of the initial term
        award = problem.awards[position]
        source = slice(problem.lot_source + award.lot, problem.lot_source + award.lot + 1)
        paid_anyway = problem.guaranteed_share[award.lot] * problem.void_price_share[award.lot]
        guaranteed = np.zeros((len(futures.scenarios), len(problem.periods)))
        for tier in range(len(problem.lot_tiers[award.lot])):
            guaranteed += futures.there("lot_price", (award.lot, tier, award.period)) * beds[:, tier]
        yield Charge("block", "anyway", source, (paid_anyway * problem.weeks * guaranteed)[:, None])
        retainer = futures.there("call_off_retainer", (award.lot, award.period))
        yield Charge("call_off", "anyway", source, (retainer * problem.weeks * beds[:, -1])[:, None])


def _of_layers(futures: Futures) -> Iterator[Charge]:
    """Beds bought in priced layers of lots."""
    problem = futures.problem
    for layer, (kind, position, tier) in enumerate(problem.lot_layers):
        used = futures.lot_layer_used[:, layer]
        if position in futures.path.awards and used.any():
            source = problem.lot_source + problem.awards[position].lot
            cost = _layer_price(futures, kind, position, tier) * problem.weeks * used
            yield Charge("call_off" if kind == "call_off" else "block", "use", slice(source, source + 1), cost[:, None])


def _layer_price(futures: Futures, kind: str, position: int, tier: int) -> Floats:
    """£ a bed-week in a priced layer, [scenario, period].

    In a period that sees both the end of a term and the beginning of its extension, the price of the term stands.
    """
    problem = futures.problem
    lot, period = problem.awards[position].lot, problem.awards[position].period
    if kind == "call_off":
        price = futures.there("call_off_price", (lot, period))
    else:
        still_due = 1.0 - problem.void_price_share[lot] if kind == "filled" else 1.0
        price = futures.there("lot_price", (lot, tier, period)) * still_due
    multiple = np.ones_like(price)
    latest_first = sorted(futures.path.extensions(award=position), key=lambda e: -problem.extensions[e].option)
    for extension in latest_first:  # the earlier term overwrites the later one where both deliver
        of_extension = futures.there("extension_price", (extension,))[:, None]
        multiple = np.where(futures.there("extension_delivered", (extension,)) > 0, of_extension, multiple)
    return price * np.where(futures.there("lot_delivered", (lot, period)) > 0, 1.0, multiple)


def _of_supplies(futures: Futures) -> Iterator[Charge]:
    problem = futures.problem
    cost = futures.there("supply_commitment")
    for supply, extension, taken in futures.extended_supplies():
        cost[:, supply] += futures.there("supply_extension_cost", (extension,)) * taken
    yield Charge("existing", "anyway", slice(problem.supply_source, problem.spot_source), cost)


def _of_children(futures: Futures) -> Iterator[Charge]:
    """What goes with each child: £ by cohort."""
    problem = futures.problem
    cohorts = slice(len(problem.cohorts))
    homes, supplies = slice(0, problem.lot_source), slice(problem.supply_source, problem.spot_source)
    price = futures.there("variable_price") * problem.weeks  # £ a child
    unregistered = futures.there("unregistered_price") * problem.weeks
    amounts = {
        "variable": np.einsum("ncst,nst->nct", futures.placed[:, :, homes], price[:, homes]),
        "existing": np.einsum("ncst,nst->nct", futures.placed[:, :, supplies], price[:, supplies]),
        "unregistered": futures.placed[:, :, problem.unregistered] * unregistered[:, None],
        "closures": futures.moves_at_closure.sum(axis=2) * problem.closure_price[:, None],
        "planned_moves": futures.planned_moves.sum(axis=2) * problem.planned_move_price[:, None],
        "income": -futures.placed.sum(axis=2) * problem.weeks * problem.contribution[:, None],
    }
    for term, own in amounts.items():
        yield Charge(term, "child", cohorts, own)


# who bears it


def by_authority(problem: Problem, amounts: Floats) -> Floats:
    """Something of each cohort [..., cohort, period], added up by its authority, [..., authority, period]."""
    found = np.zeros((*amounts.shape[:-2], len(problem.authorities), amounts.shape[-1]))
    for cohort, authority in enumerate(problem.cohort_authority.tolist()):
        found[..., authority, :] += amounts[..., cohort, :]
    return found


def users(futures: Futures, sources: slice) -> Floats:
    """Authorities of the children placed with some sources, share, [scenario, source, authority, period].

    Where nobody is placed: those who share in the source's fixed cost.
    """
    problem = futures.problem
    placed = np.maximum(futures.placed[:, :, sources], 0.0)
    own = by_authority(problem, placed.transpose(0, 2, 1, 3))
    total = own.sum(axis=2, keepdims=True)
    somebody = total > 1e-9  # fewer children than a solver can tell from none
    share: Floats = np.where(somebody, own / np.where(somebody, total, 1.0), problem.cost_share[sources, :, None])
    return share


def managers_pounds(futures: Futures) -> Floats:
    """What registered managers in post cost, the same in every future of a path, £ nominal, [authority, period]."""
    problem = futures.problem
    assert problem.managers is not None
    return np.outer(_managers_share(problem), problem.managers.cost * futures.path.managers)


def _managers_share(problem: Problem) -> Floats:
    """Who bears the managers: the mean over council-run homes, share, [authority]."""
    shares = problem.cost_share[: problem.lot_source][problem.home_council_run]
    if not len(shares):
        return np.full(len(problem.authorities), 1.0 / len(problem.authorities))
    mean: Floats = shares.mean(axis=0)
    return mean


def child_weeks_by_year(futures: Futures, children: Floats) -> Floats:
    """Child-weeks of children [scenario, cohort, period], by authority and financial year, [scenario, authority, year]."""
    problem = futures.problem
    return by_year(problem, by_authority(problem, children * problem.weeks))


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
