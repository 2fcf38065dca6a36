"""The rules that a plan must keep, each written from what it means, in the order and by the names of the formulation."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from models.decisions import Decisions
from models.problem import Floats, Problem
from optimiser.verify.futures import (
    Future,
    beds_held,
    buildings,
    by_year,
    decision_shapes,
    lots_in,
    own_periods,
    paths,
    placement_shapes,
    probability_of,
)

#: A year counts as one with *no registered home found* from this many child-weeks.
ANY_CHILD_WEEKS = 1.0

Where = Callable[..., str]


@dataclass(frozen=True)
class Violation:
    """One rule that the plan breaks.

    ``rule`` is the formulation's name, ``where`` is in the problem's own names, ``amount`` is by how much, in the
    rule's own unit (beds, children, homes, £).
    """

    rule: str
    where: str
    amount: float

    def __str__(self) -> str:
        """Rule, place and amount in one line."""
        return f"{self.rule}: {self.where}, by {self.amount:,.6g}"


# rules on decisions


def whole_numbers(problem: Problem, decisions: Decisions, tolerance: float) -> Iterator[Violation]:
    """Decisions are whole numbers, not below zero; awards, tiers and extensions are yes or no."""
    yes_or_no = {"lot_awarded", "tier_chosen", "extension_taken"}
    for name, shape in decision_shapes(problem).items():
        values = np.asarray(getattr(decisions, name), dtype=float).reshape(shape)
        most = 1.0 if name in yes_or_no else np.inf
        where = _position(name)
        with np.errstate(invalid="ignore"):
            yield from _broken("whole_numbers", np.abs(values - np.round(values)), 0.0, tolerance, where)
        yield from _broken("nonnegative", -values, 0.0, tolerance, where)
        yield from _broken("whole_numbers", values - most, 0.0, tolerance, where)


def homes_available(problem: Problem, decisions: Decisions, tolerance: float) -> Iterator[Violation]:
    """Homes begun along a path never exceed what a type, locality or property offers [homes]."""
    for path, branch in paths(problem, decisions):
        for group in problem.home_groups:
            number = path.begun[list(group.members)].sum()
            yield from _at_most("homes_available", number, group.limit, tolerance, _joined(group.name, branch))


def only_certainly_open_homes_closed(problem: Problem, decisions: Decisions, tolerance: float) -> Iterator[Violation]:
    """Homes closed so far never exceed those that are open by then in every future [homes]."""
    periods = np.arange(len(problem.periods))
    for path, branch in paths(problem, decisions):
        closed = np.cumsum(path.closed, axis=1)
        surely = problem.certainly_open[:, :, None] <= periods
        open_by = np.einsum("hp,hpt->ht", path.begun, surely.astype(float))
        yield from _broken(
            "only_certainly_open_homes_closed",
            closed - open_by,
            closed,
            tolerance,
            lambda home, period, branch=branch: _joined(problem.homes[home], problem.periods[period], branch),
        )


def capital_within_envelope(problem: Problem, decisions: Decisions, tolerance: float) -> Iterator[Violation]:
    """Capital begun at planning prices stays within each envelope, in total and by financial year [£]."""
    for path, branch in paths(problem, decisions):
        capital = path.begun * problem.planning_capital
        for envelope in problem.envelopes:
            spent = by_year(problem, capital[list(envelope.homes)].sum(axis=0))
            if envelope.total is not None:
                where = _joined(f"{envelope.name}, in total", branch)
                yield from _at_most("capital_within_envelope", spent.sum(), envelope.total, tolerance, where)
            if envelope.by_year is not None:
                limit = np.array(envelope.by_year)
                if envelope.carry_forward:  # what a year leaves over is there for the next
                    spent, limit = np.cumsum(spent), np.cumsum(limit)
                yield from _broken(
                    "capital_within_envelope",
                    spent - limit,
                    limit,
                    tolerance,
                    lambda year, envelope=envelope, branch=branch: _joined(
                        envelope.name, problem.financial_years[year], branch
                    ),
                )


def registrations_in_hand(problem: Problem, decisions: Decisions, tolerance: float) -> Iterator[Violation]:
    """Homes between start and the planning quantile of their registration stay within the number at once [homes]."""
    if problem.registrations_limit is None:
        return
    for path, branch in paths(problem, decisions):
        number = np.einsum("hp,hpt->t", path.begun, problem.in_hand.astype(float))
        yield from _broken(
            "registrations_in_hand",
            number - problem.registrations_limit,
            number,
            tolerance,
            lambda period, branch=branch: _joined(problem.periods[period], branch),
        )


def homes_have_managers(problem: Problem, decisions: Decisions, tolerance: float) -> Iterator[Violation]:
    """Homes open or registering are within what the managers in post may run, and they can be recruited [homes]."""
    if problem.managers is None:
        anybody = decisions.managers.astype(float)
        yield from _broken("homes_have_managers", anybody, 0.0, tolerance, lambda node, _: problem.nodes[node].name)
        return
    for node, stretch in enumerate(problem.nodes):
        elsewhere = ~own_periods(problem, node)
        yield from _broken(
            "homes_have_managers",
            np.where(elsewhere, decisions.managers[node], 0.0),
            0.0,
            tolerance,
            lambda period, name=stretch.name: f"{name} does not decide in {problem.periods[period]}",
        )
    for path, branch in paths(problem, decisions):
        begun = np.einsum("hp,hpt->ht", path.begun, problem.needs_manager.astype(float))
        # a home that never needed a manager frees none when it closes
        running = np.maximum(begun - np.cumsum(path.closed, axis=1), 0.0).sum(axis=0)
        yield from _broken(
            "homes_have_managers",
            running - problem.managers.homes_each * path.managers,
            running,
            tolerance,
            lambda period, branch=branch: _joined(problem.periods[period], branch),
        )
        yield from _broken(
            "homes_have_managers",
            path.managers - problem.managers.recruitable,
            path.managers,
            tolerance,
            lambda period, branch=branch: _joined("managers to be recruited", problem.periods[period], branch),
        )


def lot_awarded_once(problem: Problem, decisions: Decisions, tolerance: float) -> Iterator[Violation]:
    """A lot is awarded once along a path at most, and alternatives as often as their group says [awards]."""
    for path, branch in paths(problem, decisions):
        awarded = np.zeros(len(problem.lots))
        for position in path.awards:
            awarded[problem.awards[position].lot] += decisions.lot_awarded[position]
        for lot, name in enumerate(problem.lots):
            yield from _at_most("lot_awarded_once", awarded[lot], 1.0, tolerance, _joined(name, branch))
        for group in problem.lot_groups:
            number = awarded[list(group.members)].sum()
            yield from _at_most("lot_awarded_once", number, group.limit, tolerance, _joined(group.name, branch))


def one_tier(problem: Problem, decisions: Decisions, tolerance: float) -> Iterator[Violation]:
    """All committed beds of an award lie in one volume tier, within that tier's limits [beds]."""
    for position, award in enumerate(problem.awards):
        name, tiers = _award_name(problem, position), problem.lot_tiers[award.lot]
        chosen, beds = decisions.tier_chosen[position], decisions.beds_in_tier[position]
        missed = abs(float(chosen.sum()) - float(decisions.lot_awarded[position]))
        yield from _at_most("one_tier", missed, 0.0, tolerance, name)
        for tier in range(len(chosen)):
            least, most = (tiers[tier].minimum, tiers[tier].maximum) if tier < len(tiers) else (0, 0)
            place = f"tier {tier + 1}, {name}"
            yield from _at_most("one_tier", least * chosen[tier], beds[tier], tolerance, place)
            yield from _at_most("one_tier", beds[tier], most * chosen[tier], tolerance, place)


def lot_size(problem: Problem, decisions: Decisions, tolerance: float) -> Iterator[Violation]:
    """Committed beds lie between the lot's minimum and maximum when awarded, and are zero otherwise [beds]."""
    for position, award in enumerate(problem.awards):
        beds, awarded = decisions.beds_in_tier[position].sum(), decisions.lot_awarded[position]
        name = _award_name(problem, position)
        yield from _at_most("lot_size", problem.lot_minimum[award.lot] * awarded, beds, tolerance, name)
        yield from _at_most("lot_size", beds, problem.lot_maximum[award.lot] * awarded, tolerance, name)


def call_off_within_option(problem: Problem, decisions: Decisions, tolerance: float) -> Iterator[Violation]:
    """Call-off beds come with an award only, and no more than the lot offers [beds]."""
    for position, award in enumerate(problem.awards):
        most = problem.call_off_maximum[award.lot] * decisions.lot_awarded[position]
        beds = decisions.optional_beds[position]
        yield from _at_most("call_off_within_option", beds, most, tolerance, _award_name(problem, position))


def all_or_none_extended(problem: Problem, decisions: Decisions, tolerance: float) -> Iterator[Violation]:
    """An extension keeps every bed of its award where it is taken, and none where it is not [beds]."""
    held = beds_held(problem, decisions)
    for position, extension in enumerate(problem.extensions):
        whole = np.zeros(held.shape[1]) if extension.award is None else held[extension.award]
        wanted = whole * decisions.extension_taken[position]
        missed = np.abs(decisions.beds_extended[position] - wanted).sum()
        yield from _at_most("all_or_none_extended", missed, 0.0, tolerance, _extension_name(problem, position))


def extension_needs_the_one_before(problem: Problem, decisions: Decisions, tolerance: float) -> Iterator[Violation]:
    """An extension needs the one before, and the first of an award needs the award [yes or no]."""
    for position, extension in enumerate(problem.extensions):
        taken = decisions.extension_taken[position]
        name = _extension_name(problem, position)
        if extension.needs is not None:
            ready = decisions.extension_taken[extension.needs]
            yield from _at_most("extension_needs_the_one_before", taken, ready, tolerance, name)
        if extension.award is not None:
            ready = decisions.lot_awarded[extension.award]
            yield from _at_most("extension_needs_the_one_before", taken, ready, tolerance, name)


def contract_has_its_home_begun(problem: Problem, decisions: Decisions, tolerance: float) -> Iterator[Violation]:
    """When a contract in a council building is awarded, a building begun and not closed holds every bed of it [beds].

    Contracts in the same building that have ended in every future by then no longer count.
    """
    beds = beds_held(problem, decisions).sum(axis=1)
    for path, branch in paths(problem, decisions):
        for position in path.awards:
            award = problem.awards[position]
            building = int(problem.lot_building[award.lot])
            if building < 0 or beds[position] == 0:
                continue
            contracted = sum(
                beds[other]
                for other in path.awards
                if problem.lot_building[problem.awards[other].lot] == building
                and problem.awards[other].period <= award.period
                and not _ended(problem, decisions, other, award.period)
            )
            buildings = path.begun[building, : award.period + 1].sum() - path.closed[building, : award.period + 1].sum()
            yield from _at_most(
                "contract_has_its_home",
                contracted,
                problem.home_beds[building] * buildings,
                tolerance,
                _joined(f"{_award_name(problem, position)}, {problem.homes[building]} begun", branch),
            )


DECISION_RULES = (
    whole_numbers,
    homes_available,
    only_certainly_open_homes_closed,
    capital_within_envelope,
    registrations_in_hand,
    homes_have_managers,
    lot_awarded_once,
    one_tier,
    lot_size,
    call_off_within_option,
    all_or_none_extended,
    extension_needs_the_one_before,
    contract_has_its_home_begun,
)


# rules on placements


def nonnegative(future: Future, tolerance: float) -> Iterator[Violation]:
    """No children, moves or beds below zero."""
    for name in placement_shapes(future.problem, future.scenario):
        values = getattr(future.placements, name)
        where = _position(name, future.scenario.name)
        yield from _broken("nonnegative", -values, 0.0, tolerance, where)


def source_allowed(future: Future, tolerance: float) -> Iterator[Violation]:
    """No child lives where registration, age, need, membership or dates do not allow it [children]."""
    problem = future.problem
    excess = np.where(problem.allowed, 0.0, future.placements.placed)
    yield from _broken("source_allowed", excess, 0.0, tolerance, _child_place(future))


def every_child_placed(future: Future, tolerance: float) -> Iterator[Violation]:
    """Children living somewhere are those who stayed, stepped across into the cohort, or arrived [children]."""
    problem, scenario = future.problem, future.scenario
    due = (scenario.stay * future.before).sum(axis=1) + scenario.arrivals
    for step, (origin, destination) in enumerate(problem.steps):
        due[destination] += (scenario.step[step] * future.before[origin]).sum(axis=0)
    here = future.placements.placed.sum(axis=1)
    yield from _broken(
        "every_child_placed",
        np.abs(here - due),
        due,
        tolerance,
        lambda cohort, period: future.where(problem.cohorts[cohort], problem.periods[period]),
    )


def placements_last(future: Future, tolerance: float) -> Iterator[Violation]:
    """A child stays until leaving, breakdown, a planned move, or the bed goes [children].

    Those who step across within a source stay there if it takes their new cohort. Off for *no registered home found*.
    """
    problem, scenario, placements = future.problem, future.scenario, future.placements
    lasting = problem.kept(scenario) * future.before
    priced = problem.planned_move_price[:, None, None] > 0
    moves = np.where(priced, placements.planned_moves, problem.movable(scenario) * future.before)
    stepped = np.zeros_like(lasting)
    for step, (origin, destination) in enumerate(problem.steps):
        stepped[destination] += scenario.step[step] * future.before[origin]
    due = lasting + np.where(problem.allowed, stepped, 0.0) - moves - placements.moves_at_closure
    missing = (due - placements.placed)[:, : problem.unregistered]
    yield from _broken("placements_last", missing, due[:, : problem.unregistered], tolerance, _child_place(future))


def planned_moves_within_mobility(future: Future, tolerance: float) -> Iterator[Violation]:
    """Planned moves that are paid for stay within the rate at which placements may end by one [children]."""
    problem = future.problem
    most = problem.movable(future.scenario) * future.before
    excess = future.placements.planned_moves - most
    excess[problem.planned_move_price <= 0] = 0.0
    yield from _broken("planned_moves_within_mobility", excess, most, tolerance, _child_place(future))


def moves_at_closure_within_beds_lost(future: Future, tolerance: float) -> Iterator[Violation]:
    """Placements end because beds go only where beds go [beds].

    Children whose cohort may no longer live there move whatever beds remain, and are not counted.
    """
    moves = np.where(future.problem.allowed, future.placements.moves_at_closure, 0.0).sum(axis=0)
    yield from _broken(
        "moves_at_closure_within_beds_lost", moves - future.beds_lost, moves, tolerance, _source_place(future)
    )


def homes_open_after_registration(future: Future, tolerance: float) -> Iterator[Violation]:
    """Nobody lives in homes of which none is registered and open [children]."""
    living = future.children[: future.problem.lot_source]
    excess = np.where(future.home_beds <= tolerance, living, 0.0)
    yield from _broken("homes_open_after_registration", excess, 0.0, tolerance, _source_place(future))


def lot_delivered_after_mobilisation(future: Future, tolerance: float) -> Iterator[Violation]:
    """Nobody lives in beds of a lot before they are delivered or after its term and extensions [children]."""
    problem = future.problem
    living = future.children[problem.lot_source : problem.supply_source]
    excess = np.where(future.lot_beds <= tolerance, living, 0.0)
    yield from _broken(
        "lot_delivered_after_mobilisation", excess, 0.0, tolerance, _source_place(future, problem.lot_source)
    )


def placed_within_capacity(future: Future, tolerance: float) -> Iterator[Violation]:
    """Children placed with a source and idle beds sold never exceed its usable beds that are paid for [beds]."""
    used = (future.children + future.placements.beds_sold)[: future.problem.unregistered]
    yield from _broken(
        "placed_within_capacity",
        used - future.beds_paid[: future.problem.unregistered],
        used,
        tolerance,
        _source_place(future),
    )


def placed_within_matching(future: Future, tolerance: float) -> Iterator[Violation]:
    """Children placed in a lot and idle beds sold never exceed what matching lets all its beds hold together [beds]."""
    problem = future.problem
    lots = slice(problem.lot_source, problem.supply_source)
    used = (future.children + future.placements.beds_sold)[lots]
    yield from _broken(
        "placed_within_matching", used - future.lot_beds, used, tolerance, _source_place(future, problem.lot_source)
    )


def layers_within_award(future: Future, tolerance: float) -> Iterator[Violation]:
    """Beds bought in a priced layer of a lot are beds that the award holds [beds]."""
    problem, used = future.problem, future.placements.lot_layer_used

    def where(layer: int, period: int) -> str:
        kind, position, _ = problem.lot_layers[layer]
        return future.where(kind.replace("_", " "), _award_name(problem, position), problem.periods[period])

    yield from _broken("layers_within_award", used - future.layer_beds, used, tolerance, where)


def spot_layers_within_offer(future: Future, tolerance: float) -> Iterator[Violation]:
    """Beds bought in a layer of a spot market are beds on offer [beds]."""
    problem, used = future.problem, future.placements.spot_layer_used
    yield from _broken(
        "spot_layers_within_offer",
        used - future.scenario.spot_layer_beds,
        used,
        tolerance,
        lambda spot, layer, period: future.where(problem.spots[spot], f"layer {layer + 1}", problem.periods[period]),
    )


def beds_sold_within_limit(future: Future, tolerance: float) -> Iterator[Violation]:
    """Idle beds sold to others are no more than others buy, and never beds that do not exist [beds]."""
    problem = future.problem
    most = problem.sold_maximum.copy()
    most[problem.unregistered] = 0.0
    yield from _broken(
        "beds_sold_within_limit", future.placements.beds_sold - most, most, tolerance, _source_place(future)
    )


def contract_has_its_home(future: Future, tolerance: float) -> Iterator[Violation]:
    """Beds in use in a council building, whoever runs them, fit in the buildings refurbished and open [beds]."""
    problem = future.problem
    used = future.children + future.placements.beds_sold
    for building in buildings(problem):
        sources = [building, *lots_in(problem, building)]
        in_use = used[sources].sum(axis=0)
        yield from _broken(
            "contract_has_its_home",
            in_use - future.home_beds[building],
            in_use,
            tolerance,
            lambda period, building=building: future.where(problem.homes[building], problem.periods[period]),
        )


PLACEMENT_RULES = (
    nonnegative,
    source_allowed,
    every_child_placed,
    placements_last,
    planned_moves_within_mobility,
    moves_at_closure_within_beds_lost,
    homes_open_after_registration,
    lot_delivered_after_mobilisation,
    placed_within_capacity,
    placed_within_matching,
    layers_within_award,
    spot_layers_within_offer,
    beds_sold_within_limit,
    contract_has_its_home,
)


# rules across futures


def local_enough(problem: Problem, futures: Sequence[Future], tolerance: float) -> Iterator[Violation]:
    """Expected child-weeks within the band are at least the minimum share of all [child-weeks].

    Those without a registered home count as children and never as near.
    """
    probability = probability_of(problem)
    for limit in problem.local_limits:
        near = limit.share.copy()
        near[problem.unregistered] = 0.0
        weeks = [np.einsum("crt,t->r", f.placements.placed[list(limit.cohorts)], problem.weeks) for f in futures]
        expected = probability @ np.array(weeks)
        wanted = limit.minimum * float(expected.sum())
        yield from _at_most("local_enough", wanted, float(expected @ near), tolerance, limit.name)


def registered_reliably(
    problem: Problem, futures: Sequence[Future], unregistered: Floats, tolerance: float
) -> Iterator[Violation]:
    """Expected child-weeks without a registered home, and the chance of any in a financial year, are tolerable.

    ``unregistered``: child-weeks, [scenario, authority, year].
    """
    probability = probability_of(problem)
    for limit in problem.unregistered_limits:
        own = unregistered[:, list(limit.authorities)].sum(axis=1)
        if limit.child_weeks is not None:
            expected = float(probability @ own.sum(axis=1))
            yield from _at_most("registered_reliably", expected, limit.child_weeks, tolerance, limit.name)
        if limit.epsilon is not None:
            # a yes-or-no that misses a whole number by the tolerance frees that part of all child-weeks of the year
            cohorts = np.isin(problem.cohort_authority, limit.authorities)
            census = np.array([f.placements.placed[cohorts].sum(axis=(0, 1)) * problem.weeks for f in futures])
            slack = 10 * tolerance * np.maximum(by_year(problem, census), 1.0)
            chance = probability @ (own > ANY_CHILD_WEEKS + slack)
            for year, name in enumerate(problem.financial_years):
                where = f"{limit.name}, {name}"
                yield from _at_most("registered_reliably", float(chance[year]), limit.epsilon, tolerance, where)


def cvar_within_limit(problem: Problem, tail: float, tolerance: float) -> Iterator[Violation]:
    """The tail mean of the cost stays within its limit [present real £]."""
    if problem.cvar_limit is not None:
        where = f"the worst {1 - problem.cvar_level:.0%} of futures"
        yield from _at_most("cvar", tail, problem.cvar_limit, tolerance, where)


# small things


def _broken(rule: str, excess: Floats, scale: Floats | float, tolerance: float, where: Where) -> Iterator[Violation]:
    """Every place at which ``excess`` is above the tolerance. What is not a number is broken too."""
    excess = np.asarray(excess, dtype=float)
    if (excess <= tolerance).all():
        return  # within the least that any row may miss
    size = np.broadcast_to(np.nan_to_num(np.abs(np.asarray(scale, dtype=float)), posinf=1.0), excess.shape)
    for index in np.argwhere(~(excess <= tolerance * np.maximum(size, 1.0))):
        at = tuple(int(position) for position in index)
        yield Violation(rule, where(*at), float(excess[at]))


def _at_most(rule: str, left: float, right: float, tolerance: float, where: str) -> Iterator[Violation]:
    """One row: ``left`` is no larger than ``right``."""
    scale = max(abs(float(left)), abs(float(right)))
    yield from _broken(rule, np.asarray(float(left) - float(right)), scale, tolerance, lambda: where)


def _ended(problem: Problem, decisions: Decisions, position: int, period: int) -> bool:
    """Whether an award has delivered and, with the extensions taken, no future sees a bed of it from ``period`` on."""
    award = problem.awards[position]
    for scenario in problem.scenarios:
        if award.node in scenario.path:
            delivered = scenario.lot_delivered[award.lot, award.period].copy()
            for extension in problem.extensions_of(award=position):
                delivered += scenario.extension_delivered[extension] * decisions.extension_taken[extension]
            if delivered[period:].any() or not delivered[:period].any():
                return False
    return True


# names


def _joined(*parts: str) -> str:
    return ", ".join(part for part in parts if part)


def _award_name(problem: Problem, position: int) -> str:
    award = problem.awards[position]
    branch = problem.nodes[award.node].name if len(problem.nodes) > 1 else ""
    return _joined(f"{problem.lots[award.lot]} awarded {problem.periods[award.period]}", branch)


def _extension_name(problem: Problem, position: int) -> str:
    extension = problem.extensions[position]
    if extension.award is not None:
        return f"extension {extension.option + 1} of {_award_name(problem, extension.award)}"
    assert extension.supply is not None
    branch = problem.nodes[extension.node].name if len(problem.nodes) > 1 else ""
    return _joined(f"extension {extension.option + 1} of {problem.supplies[extension.supply]}", branch)


def _position(name: str, future: str = "") -> Where:
    return lambda *at: _joined(f"{name}[{', '.join(map(str, at))}]", future)


def _child_place(future: Future) -> Where:
    problem = future.problem
    return lambda cohort, source, period: future.where(
        problem.cohorts[cohort], problem.sources[source], problem.periods[period]
    )


def _source_place(future: Future, first: int = 0) -> Where:
    problem = future.problem
    return lambda source, period: future.where(problem.sources[first + source], problem.periods[period])
