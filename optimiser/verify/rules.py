"""The rules that a plan must keep, each written from what it means, in the order and by the names of the formulation."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from models.decisions import Decisions
from models.problem import Floats, Problem
from optimiser.verify.futures import (
    Futures,
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


#: A rule broken in one of several futures: its number among them, and what is broken there.
Found = tuple[int, Violation]


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


def nonnegative(futures: Futures, tolerance: float) -> Iterator[Found]:
    """No children, moves or beds below zero."""
    for name in placement_shapes(futures.problem):

        def where(future: int, *at: int, name: str = name) -> str:
            return _position(name, futures.scenarios[future].name)(*at)

        yield from _each("nonnegative", -getattr(futures, name), 0.0, tolerance, where)


def source_allowed(futures: Futures, tolerance: float) -> Iterator[Found]:
    """No child lives where registration, age, need, membership or dates do not allow it [children]."""
    excess = np.where(futures.problem.allowed, 0.0, futures.placed)
    yield from _each("source_allowed", excess, 0.0, tolerance, _child_place(futures))


def every_child_placed(futures: Futures, tolerance: float) -> Iterator[Found]:
    """Children living somewhere are those who stayed, stepped across into the cohort, or arrived [children]."""
    problem = futures.problem
    due = (futures.stay * futures.before).sum(axis=2) + futures.there("arrivals")
    for step, (origin, destination) in enumerate(problem.steps):
        due[:, destination] += (futures.there("step", (step,)) * futures.before[:, origin]).sum(axis=1)
    here = futures.placed.sum(axis=2)
    yield from _each(
        "every_child_placed",
        np.abs(here - due),
        due,
        tolerance,
        lambda future, cohort, period: futures.where(future, problem.cohorts[cohort], problem.periods[period]),
    )


def placements_last(futures: Futures, tolerance: float) -> Iterator[Found]:
    """A child stays until leaving, breakdown, a planned move, or the bed goes [children].

    Those who step across within a source stay there if it takes their new cohort. Off for *no registered home found*.
    """
    problem = futures.problem
    priced = problem.planned_move_price[:, None, None] > 0
    moves = np.where(priced, futures.planned_moves, futures.movable)
    due = futures.lasting - moves - futures.moves_at_closure
    for step, (origin, destination) in enumerate(problem.steps):
        stepped = futures.there("step", (step,)) * futures.before[:, origin]
        due[:, destination] += np.where(problem.allowed[destination], stepped, 0.0)
    missing = (due - futures.placed)[:, :, : problem.unregistered]
    yield from _each("placements_last", missing, due[:, :, : problem.unregistered], tolerance, _child_place(futures))


def planned_moves_within_mobility(futures: Futures, tolerance: float) -> Iterator[Found]:
    """Planned moves that are paid for stay within the rate at which placements may end by one [children]."""
    excess = futures.planned_moves - futures.movable
    excess[:, futures.problem.planned_move_price <= 0] = 0.0
    yield from _each("planned_moves_within_mobility", excess, futures.movable, tolerance, _child_place(futures))


def moves_at_closure_within_beds_lost(futures: Futures, tolerance: float) -> Iterator[Found]:
    """Placements end because beds go only where beds go [beds].

    Children whose cohort may no longer live there move whatever beds remain, and are not counted.
    """
    moves = np.where(futures.problem.allowed, futures.moves_at_closure, 0.0).sum(axis=1)
    excess = moves - futures.beds_lost
    yield from _each("moves_at_closure_within_beds_lost", excess, moves, tolerance, _source_place(futures))


def homes_open_after_registration(futures: Futures, tolerance: float) -> Iterator[Found]:
    """Nobody lives in homes of which none is registered and open [children]."""
    living = futures.children[:, : futures.problem.lot_source]
    excess = np.where(futures.home_beds <= tolerance, living, 0.0)
    yield from _each("homes_open_after_registration", excess, 0.0, tolerance, _source_place(futures))


def lot_delivered_after_mobilisation(futures: Futures, tolerance: float) -> Iterator[Found]:
    """Nobody lives in beds of a lot before they are delivered or after its term and extensions [children]."""
    problem = futures.problem
    living = futures.children[:, problem.lot_source : problem.supply_source]
    excess = np.where(futures.lot_beds <= tolerance, living, 0.0)
    where = _source_place(futures, problem.lot_source)
    yield from _each("lot_delivered_after_mobilisation", excess, 0.0, tolerance, where)


def placed_within_capacity(futures: Futures, tolerance: float) -> Iterator[Found]:
    """Children placed with a source and idle beds sold never exceed its usable beds that are paid for [beds]."""
    registered = slice(futures.problem.unregistered)
    used = futures.used[:, registered]
    excess = used - futures.beds_paid[:, registered]
    yield from _each("placed_within_capacity", excess, used, tolerance, _source_place(futures))


def placed_within_matching(futures: Futures, tolerance: float) -> Iterator[Found]:
    """Children placed in a lot and idle beds sold never exceed what matching lets all its beds hold together [beds]."""
    problem = futures.problem
    used = futures.used[:, problem.lot_source : problem.supply_source]
    where = _source_place(futures, problem.lot_source)
    yield from _each("placed_within_matching", used - futures.lot_beds, used, tolerance, where)


def layers_within_award(futures: Futures, tolerance: float) -> Iterator[Found]:
    """Beds bought in a priced layer of a lot are beds that the award holds [beds]."""
    problem, used = futures.problem, futures.lot_layer_used

    def where(future: int, layer: int, period: int) -> str:
        kind, position, _ = problem.lot_layers[layer]
        return futures.where(future, kind.replace("_", " "), _award_name(problem, position), problem.periods[period])

    yield from _each("layers_within_award", used - futures.layer_beds, used, tolerance, where)


def spot_layers_within_offer(futures: Futures, tolerance: float) -> Iterator[Found]:
    """Beds bought in a layer of a spot market are beds on offer [beds]."""
    problem, used = futures.problem, futures.spot_layer_used

    def where(future: int, spot: int, layer: int, period: int) -> str:
        return futures.where(future, problem.spots[spot], f"layer {layer + 1}", problem.periods[period])

    excess = used - futures.there("spot_layer_beds")
    yield from _each("spot_layers_within_offer", excess, used, tolerance, where)


def beds_sold_within_limit(futures: Futures, tolerance: float) -> Iterator[Found]:
    """Idle beds sold to others are no more than others buy, and never beds that do not exist [beds]."""
    problem = futures.problem
    most = problem.sold_maximum.copy()
    most[problem.unregistered] = 0.0
    yield from _each("beds_sold_within_limit", futures.beds_sold - most, most, tolerance, _source_place(futures))


def contract_has_its_home(futures: Futures, tolerance: float) -> Iterator[Found]:
    """Beds in use in a council building, whoever runs them, fit in the buildings refurbished and open [beds]."""
    problem = futures.problem
    for building in buildings(problem):
        in_use = futures.used[:, [building, *lots_in(problem, building)]].sum(axis=1)

        def where(future: int, period: int, building: int = building) -> str:
            return futures.where(future, problem.homes[building], problem.periods[period])

        excess = in_use - futures.home_beds[:, building]
        yield from _each("contract_has_its_home", excess, in_use, tolerance, where)


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


def local_enough(problem: Problem, lived: Floats, tolerance: float) -> Iterator[Violation]:
    """Expected child-weeks within the band are at least the minimum share of all [child-weeks].

    Those without a registered home count as children and never as near. ``lived``: child-weeks, [scenario, cohort, source].
    """
    probability = probability_of(problem)
    for limit in problem.local_limits:
        near = limit.share.copy()
        near[problem.unregistered] = 0.0
        expected = probability @ lived[:, list(limit.cohorts)].sum(axis=1)
        wanted = limit.minimum * float(expected.sum())
        yield from _at_most("local_enough", wanted, float(expected @ near), tolerance, limit.name)


def registered_reliably(
    problem: Problem, census: Floats, unregistered: Floats, tolerance: float
) -> Iterator[Violation]:
    """Expected child-weeks without a registered home, and the chance of any in a financial year, are tolerable.

    Parameters
    ----------
    census : child-weeks wherever, [scenario, authority, year]
    unregistered : child-weeks without a registered home, [scenario, authority, year]
    """
    probability = probability_of(problem)
    for limit in problem.unregistered_limits:
        own = unregistered[:, list(limit.authorities)].sum(axis=1)
        if limit.child_weeks is not None:
            expected = float(probability @ own.sum(axis=1))
            yield from _at_most("registered_reliably", expected, limit.child_weeks, tolerance, limit.name)
        if limit.epsilon is not None:
            # a yes-or-no that misses a whole number by the tolerance frees that part of all child-weeks of the year
            slack = 10 * tolerance * np.maximum(census[:, list(limit.authorities)].sum(axis=1), 1.0)
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
    for at in _places(excess, scale, tolerance):
        yield Violation(rule, where(*at), float(excess[at]))


def _each(rule: str, excess: Floats, scale: Floats | float, tolerance: float, where: Where) -> Iterator[Found]:
    """The same of several futures, the first axis of ``excess``: each with the future's number among them."""
    for at in _places(excess, scale, tolerance):
        yield at[0], Violation(rule, where(*at), float(excess[at]))


def _places(excess: Floats, scale: Floats | float, tolerance: float) -> Iterator[tuple[int, ...]]:
    if (excess <= tolerance).all():
        return  # within the least that any row may miss
    size = np.broadcast_to(np.nan_to_num(np.abs(np.asarray(scale, dtype=float)), posinf=1.0), excess.shape)
    for index in np.argwhere(~(excess <= tolerance * np.maximum(size, 1.0))):
        yield tuple(int(position) for position in index)


def _at_most(rule: str, left: float, right: float, tolerance: float, where: str) -> Iterator[Violation]:
    """One row: ``left`` is no larger than ``right``."""
    if float(left) - float(right) <= tolerance:
        return
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


def _child_place(futures: Futures) -> Where:
    problem = futures.problem
    return lambda future, cohort, source, period: futures.where(
        future, problem.cohorts[cohort], problem.sources[source], problem.periods[period]
    )


def _source_place(futures: Futures, first: int = 0) -> Where:
    problem = futures.problem
    return lambda future, source, period: futures.where(
        future, problem.sources[first + source], problem.periods[period]
    )
