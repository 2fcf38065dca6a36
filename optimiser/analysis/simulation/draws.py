"""What is the same whatever is decided: futures that the plan has not seen, by month, and the children in them.

Common random numbers: every draw belongs to a future and is named after what it is for, never after a decision. So the
same children arrive, each with the same chances month by month, under every option that is compared; and a run of a
thousand futures begins with the hundred of a smaller run.

Everything is simulated by month, the unit in which an instance gives stays, leads, delays and dates. A child who is there in
a month is there all of it, and who comes or goes does so on its first day: the convention of the optimiser's own months,
which leaves child-weeks as they are (a mean stay of *m* months is a chance of 1/m to leave each month).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import IntEnum
from hashlib import blake2b
from types import SimpleNamespace
from typing import cast

import numpy as np
from numpy.typing import NDArray

from models.decisions import Decisions
from models.problem import Award, Extension, Node, Problem
from optimiser.assemble import assemble
from optimiser.assemble import tree as tree
from optimiser.demand.reduction import Reduction, with_fresh
from optimiser.demand.scenarios import (
    UNREGISTERED,
    ScenarioSet,
    calendar_of,
    leaving_factors,
    make_scenarios,
    mean_shares,
    source_names,
    stays_by_source,
    taken,
)
from optimiser.finance import Calendar
from optimiser.instance.schema import Home, Instance, Lot

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

#: Futures simulated side by side. Fixed, so that the same bytes come out at any number of workers.
BLOCK = 100

#: Arrays of ``ScenarioSet`` whose last axis is the period.
BY_PERIOD = (
    "lead_months",
    "registration_months",
    "fallen_through",
    "delivery_months",
    "price_factor",
    "unregistered_price",
)


@dataclass(frozen=True, eq=False)
class Ground:
    """An instance by month, with the plan's tree, awards and extensions on it."""

    instance: Instance  # with periods of one month
    calendar: Calendar  # of the plan
    plan: Problem
    nodes: tuple[Node, ...]
    awards: tuple[Award, ...]
    extensions: tuple[Extension, ...]

    @property
    def months(self) -> int:
        """Months in the horizon."""
        return self.calendar.months


@dataclass(frozen=True, eq=False)
class Unseen:
    """Futures that the plan was not made on, in the plan's own periods."""

    numbers: Ints  # position of each future among all that the seed draws, [scenario]
    futures: ScenarioSet
    paths: tuple[tuple[int, ...], ...]
    leave: Floats  # mean share who leave care a month, [scenario, cohort, source]
    step: Floats  # mean share who step across a month, [scenario, step]
    breakdown: Floats  # mean share of placements that break down a month, [scenario, cohort, source]

    def block(self, start: int) -> Unseen:
        """The futures from ``start`` on, ``BLOCK`` of them at most."""
        return self._within(slice(start, start + BLOCK))

    def first(self, count: int) -> Unseen:
        """The first futures."""
        return self._within(slice(0, count))

    def beyond(self, count: int) -> Unseen:
        """The futures after the first."""
        return self._within(slice(count, None))

    def _within(self, inside: slice) -> Unseen:
        return Unseen(
            self.numbers[inside],
            taken(self.futures, np.arange(len(self.numbers))[inside]),
            self.paths[inside],
            self.leave[inside],
            self.step[inside],
            self.breakdown[inside],
        )


@dataclass(frozen=True, eq=False)
class Children:
    """The children of a block of futures, one column each. Columns beyond a future's children never arrive."""

    cohort: Ints  # on arrival, [scenario, child]
    arrival: Ints  # month; -1 for children at the start, the number of months for none, [scenario, child]
    source: Ints  # where children at the start live; -1 for arrivals, [scenario, child]
    key: NDArray[np.uint64]  # names a child's own draws, [scenario, child]


@dataclass(frozen=True, eq=False)
class Block:
    """Futures by month with their children: everything but what is decided."""

    numbers: Ints
    problem: Problem  # by month; its realised stays and breakdowns are those of these children
    children: Children
    leave: Floats  # chance to leave care in a month, [scenario, cohort, source, month]
    step: Floats  # chance to step across in a month, [scenario, step, source, month]
    breakdown: Floats  # chance of a placement to break down in a month, [scenario, cohort, source, month]
    seed: int
    home_in_demand: Floats  # share of its beds filled while somebody always waits, [home]
    lot_in_demand: Floats  # the same, [lot]


# the ground


def ground_of(instance: Instance, plan: Problem) -> Ground:
    """The instance of a plan by month.

    A home or lot begun in a period of several months is begun on the instance's first date within it.
    """
    calendar = calendar_of(instance)
    ends = [*calendar.start.tolist(), calendar.months]
    nodes = tuple(
        replace(node, first_period=ends[node.first_period], end_period=ends[node.end_period]) for node in plan.nodes
    )
    awards = tuple(replace(award, period=_award_month(instance, calendar, award)) for award in plan.awards)
    extensions = tuple(replace(found, notice_period=ends[found.notice_period]) for found in plan.extensions)
    settings = instance.settings.model_copy(update={"periods": f"{calendar.months}x1"})
    return Ground(instance.model_copy(update={"settings": settings}), calendar, plan, nodes, awards, extensions)


def _award_month(instance: Instance, calendar: Calendar, award: Award) -> int:
    row = instance.lots[award.lot]
    dates = range(calendar.month_of(row.award_from), calendar.month_of(row.award_until) + 1, row.award_every_months)
    return next(month for month in dates if month >= 0 and calendar.period_of(month) == award.period)


# futures


def unseen(
    instance: Instance,
    plan: Problem,
    count: int,
    *,
    skip: int = 0,
    seed: int | None = None,
    reduction: Reduction | None = None,
) -> Unseen:
    """Futures of an instance beyond those that a plan was made on.

    Parameters
    ----------
    plan
        The problem that the plan answers: its futures are the first that the seed draws.
    count
        How many. A table of futures has none unseen: it is gone through again and again, each time with other children.
    skip
        Futures after the plan's that are left for something else.
    seed
        The seed of the plan's futures; the instance's own where left out.
    reduction
        The sample that the plan's futures stand for: all of it is passed over.

    Raises
    ------
    ValueError
        Where this seed does not draw the futures that the plan was made on.
    """
    seen = len(plan.scenarios)
    if instance.scenarios:
        everything = make_scenarios(instance)
        inside = (np.arange(count) + skip) % seen
        futures = taken(everything, inside)
        paths = tuple(plan.scenarios[future].path for future in inside)
        none = np.zeros((count, len(instance.cohorts), len(plan.sources)))
        return Unseen(np.arange(skip, skip + count), futures, paths, none, np.zeros((count, len(instance.steps))), none)
    drawn = seen if reduction is None else reduction.drawn
    first = drawn + skip + (drawn + skip) % 2  # whole pairs of mirrored futures
    everything = with_fresh(instance, seen, first - drawn + count, seed, reduction)
    nodes, paths = tree(instance, calendar_of(instance), everything, seen)
    if nodes != plan.nodes or paths[:seen] != tuple(scenario.path for scenario in plan.scenarios):
        raise ValueError("this seed does not draw the futures that the plan was made on")
    inside = np.arange(first, first + count)
    shares = mean_shares(instance, first + count, seed)
    after = inside - drawn + seen
    return Unseen(inside, taken(everything, after), paths[after[0] :], *(share[inside] for share in shares))


def generator(seed: int, what: str, number: int) -> np.random.Generator:
    """Draws of one future, by name."""
    key = int.from_bytes(blake2b(f"{seed}|{what}|{number}".encode(), digest_size=16).digest(), "big")
    return np.random.Generator(np.random.Philox(key=key))


def block_of(ground: Ground, some: Unseen, seed: int) -> Block:
    """Futures by month with their children, ready for any decision."""
    calendar, months = ground.calendar, ground.months
    period = np.repeat(np.arange(len(calendar.length)), calendar.length)
    leave, step, breakdown = _chances(ground.instance, some, calendar, period)
    children = _children(ground.instance, some, calendar, seed)
    own = leave[:, :, -1]
    leaving, stepping, broken = _realised(ground, children, own, step.max(axis=2, initial=0.0), breakdown)
    stay, stepped = stays_by_source(ground.instance, leave[..., 0], leaving, stepping)
    # no registered home found: the stay is the longest of any source
    leave = np.concatenate([leave[:, :, :-1], leave.min(axis=2, keepdims=True)], axis=2)
    arrivals = np.zeros((len(some.numbers), len(ground.instance.cohorts), months))
    future, child = np.nonzero((children.arrival >= 0) & (children.arrival < months))
    np.add.at(arrivals, (future, children.cohort[future, child], children.arrival[future, child]), 1.0)
    by_month = {name: getattr(some.futures, name)[..., period] for name in BY_PERIOD}
    futures = replace(some.futures, arrivals=arrivals, stay=stay, step=stepped, breakdown=broken, **by_month)
    like = SimpleNamespace(
        nodes=ground.nodes,
        awards=ground.awards,
        extensions=ground.extensions,
        scenarios=[SimpleNamespace(path=path) for path in some.paths],
    )
    problem = assemble(ground.instance, futures, like=cast(Problem, like))
    problem = replace(problem, cost_share=ground.plan.cost_share)
    homes, lots = (
        np.array([in_demand_of(row) for row in rows]) for rows in (ground.instance.homes, ground.instance.lots)
    )
    return Block(some.numbers, problem, children, leave, step, breakdown, seed, homes, lots)


def in_demand_of(row: Home | Lot) -> float:
    """Share of the beds of a home or lot filled while somebody always waits: as stated, or its matching occupancy."""
    return row.matching_occupancy if row.matching_in_demand is None else row.matching_in_demand


# children


def _chances(instance: Instance, some: Unseen, calendar: Calendar, period: Ints) -> tuple[Floats, Floats, Floats]:
    """Chances to leave care and to break down [scenario, cohort, source, month], and to step across [.., step, source, month].

    The last source carries the cohort's own chance. Where a table or a census gives the stays, a period's share is spread
    evenly over its months.
    """
    months = len(period)
    sources = source_names(instance)
    by_month = some.leave[:, :, :, None] * leaving_factors(instance, calendar)[:, None, :]
    leave = np.minimum(by_month, 1.0)
    step = np.zeros((len(some.numbers), len(instance.steps), len(sources), months))
    for number, row in enumerate(instance.steps):
        for place, source in enumerate(sources[:-1]):
            if row.source in (None, source):
                step[:, number, place] = some.step[:, number, None]
    breakdown = np.repeat(some.breakdown[:, :, :, None], months, axis=3)
    given = {row.cohort for row in instance.census}
    length = calendar.length[period]
    if instance.scenarios:
        given = {row.cohort for row in instance.cohorts}
        step = some.futures.step[..., period] / length
        breakdown = 1 - (1 - some.futures.breakdown[..., period]) ** (1 / length)
    for place, cohort in enumerate(instance.cohorts):
        if cohort.cohort in given:
            stepped = sum(
                (
                    some.futures.step[:, number]
                    for number, row in enumerate(instance.steps)
                    if row.origin == cohort.cohort
                ),
                start=np.zeros(some.futures.stay[:, place].shape),
            )
            leave[:, place] = np.maximum(1 - some.futures.stay[:, place] - stepped, 0.0)[..., period] / length
    return leave, step, breakdown


def _children(instance: Instance, some: Unseen, calendar: Calendar, seed: int) -> Children:
    """Whole children: those at the start, and arrivals, each in a month of its period with equal chance."""
    start = _at_the_start(instance)
    found: list[tuple[Ints, ...]] = []
    for future, number in enumerate(some.numbers):
        rng = generator(seed, "arrivals", int(number))
        expected = some.futures.arrivals[future]
        whole = np.floor(expected + rng.random(expected.shape)).astype(np.int64)  # parts of children keep their mean
        cohort, period = (np.repeat(index.ravel(), whole.ravel()) for index in np.indices(whole.shape))
        month = calendar.start[period] + np.floor(rng.random(len(period)) * calendar.length[period]).astype(np.int64)
        order = np.argsort(month, kind="stable")
        found.append(
            (
                np.concatenate([start[0], cohort[order]]),
                np.concatenate([np.full(len(start[0]), -1), month[order]]),
                np.concatenate([start[1], np.full(len(order), -1)]),
                rng.integers(0, 2**64, len(start[0]) + len(order), dtype=np.uint64),
            )
        )
    shape = len(found), max(1, *(len(columns[0]) for columns in found))
    cohorts, arrivals, sources = np.zeros(shape, np.int64), np.full(shape, calendar.months), np.full(shape, -1)
    keys = np.zeros(shape, dtype=np.uint64)
    for future, columns in enumerate(found):
        for array, column in zip((cohorts, arrivals, sources, keys), columns, strict=True):
            array[future, : len(column)] = column
    return Children(cohorts, arrivals, sources, keys)


def _at_the_start(instance: Instance) -> tuple[Ints, Ints]:
    """Cohort and source of each child at the start; parts of children are rounded so that each cohort's sum is."""
    sources = source_names(instance)
    cohorts: list[int] = []
    places: list[int] = []
    for position, cohort in enumerate(instance.cohorts):
        rows = [row for row in instance.placements if row.cohort == cohort.cohort and row.children_at_start > 0]
        reached = np.round(np.cumsum([0.0, *(row.children_at_start for row in rows)]))
        for row, number in zip(rows, np.diff(reached).astype(int), strict=True):
            cohorts += [position] * int(number)
            places += [sources.index(row.source) if row.source != UNREGISTERED else len(sources) - 1] * int(number)
    return np.array(cohorts, dtype=np.int64), np.array(places, dtype=np.int64)


class Draw(IntEnum):
    """What a child's draws of a month are for."""

    LEAVES = 0
    BREAKS_DOWN = 1
    MOVES = 2
    TURN = 3


#: Increment and multipliers of SplitMix64 (Steele, Lea and Flood, 2014).
GAMMA, FIRST, SECOND = np.uint64(0x9E3779B97F4A7C15), np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB)


def uniform(key: NDArray[np.uint64], month: int, what: Draw) -> Floats:
    """Draws between 0 and 1 of some children in a month: SplitMix64 from each child's own key, read at any place of its stream.

    So a child has the same draws in a month whatever has been decided, and only children who are there are drawn for.
    """
    with np.errstate(over="ignore"):
        bits = key + GAMMA * np.uint64(month * len(Draw) + what + 1)
        bits = (bits ^ (bits >> np.uint64(30))) * FIRST
        bits = (bits ^ (bits >> np.uint64(27))) * SECOND
        bits = bits ^ (bits >> np.uint64(31))
    draws: Floats = (bits >> np.uint64(11)).astype(np.float64) * 2.0**-53
    return draws


def fate(
    draw: Floats, cohort: Ints, leave: Floats, shares: Floats, steps: tuple[tuple[int, int], ...]
) -> tuple[NDArray[np.bool_], Ints, Floats]:
    """What the draw of each child makes of it this month: gone, stepped across, or staying.

    Parameters
    ----------
    draw : uniform, [child]
    cohort : [child]
    leave : chance to leave care, [child]
    shares : chance to step along each step, [step, child]

    Returns
    -------
    gone : [child]
    step : the step taken, -1 for none, [child]
    stay : chance to stay in care in the cohort, [child]
    """
    gone = draw < leave
    taken_step = np.full(len(cohort), -1)
    reached = leave.copy()
    for number, (origin, _) in enumerate(steps):
        share = np.where(cohort == origin, shares[number], 0.0)
        taken_step[(draw >= reached) & (draw < reached + share)] = number
        reached = reached + share
    return gone, taken_step, 1 - reached


def _realised(
    ground: Ground, children: Children, leave: Floats, step: Floats, breakdown: Floats
) -> tuple[Floats, Floats, Floats]:
    """What befell the children, were all chances their cohort's own and each source everybody's.

    This is what the optimiser is given to be compared with: its realised stays and breakdowns are those of the very children
    simulated.

    Parameters
    ----------
    leave, step, breakdown
        Mean chances [scenario, cohort, month], [scenario, step, month] and [scenario, cohort, source, month]; they stand
        where nobody is.

    Returns
    -------
    leaving : share who left, [scenario, cohort, month]
    stepping : share who stepped across, [scenario, step, month]
    broken : share whose placement broke down, [scenario, cohort, source, month]
    """
    steps = ground.plan.steps
    futures, cohorts, months = leave.shape
    leaving, stepping, broken = leave.copy(), step.copy(), breakdown.copy()
    cohort, arrival = children.cohort.ravel().copy(), children.arrival.ravel()
    there = arrival < 0
    key = children.key.ravel()
    for month in range(months):
        here = np.flatnonzero(there)
        future, group = here // children.cohort.shape[1], cohort[here]
        draw = uniform(key[here], month, Draw.LEAVES)
        gone, taken_step, stay = fate(draw, group, leave[future, group, month], step[future, :, month].T, steps)
        count = np.bincount(future * cohorts + group, minlength=futures * cohorts).reshape(futures, cohorts)
        left = np.bincount((future * cohorts + group)[gone], minlength=futures * cohorts).reshape(futures, cohorts)
        somebody = count > 0
        leaving[:, :, month] = np.where(somebody, left / np.maximum(count, 1), leave[:, :, month])
        for number, (origin, destination) in enumerate(steps):
            crossing = taken_step == number
            crossed = np.bincount(future[crossing], minlength=futures)
            share = crossed / np.maximum(count[:, origin], 1)
            stepping[:, number, month] = np.where(somebody[:, origin], share, step[:, number, month])
            cohort[here[crossing]] = destination
        staying = ~gone & (taken_step < 0)
        kept_in_care = future[staying] * cohorts + group[staying]
        draw = uniform(key[here[staying]], month, Draw.BREAKS_DOWN) * stay[staying]
        for source in np.flatnonzero(breakdown[..., month].any(axis=(0, 1))):
            broke = draw < breakdown[future[staying], group[staying], source, month]
            ended = np.bincount(kept_in_care[broke], minlength=futures * cohorts).reshape(futures, cohorts)
            mean = breakdown[:, :, source, month]
            broken[:, :, source, month] = np.where(somebody & (mean > 0), ended / np.maximum(count, 1), mean)
        there[here[gone]] = False
        there |= arrival == month
    return leaving, stepping, broken


def realised_chances(problem: Problem) -> tuple[Floats, Floats, Floats]:
    """Shares as the optimiser has them: who left, who stepped and whose placement broke down.

    [scenario, cohort, source, month], [scenario, step, source, month] and [scenario, cohort, source, month].
    """
    step = np.array([scenario.step for scenario in problem.scenarios])
    leave = 1 - np.array([scenario.stay for scenario in problem.scenarios])
    for number, (origin, _) in enumerate(problem.steps):
        leave[:, origin] -= step[:, number]
    return np.maximum(leave, 0.0), step, np.array([scenario.breakdown for scenario in problem.scenarios])


# decisions by month


def decisions_by_month(ground: Ground, by_month: Problem, decisions: Decisions) -> Decisions:
    """The same decisions in the positions of the problem by month."""
    plan, calendar = ground.plan, ground.calendar
    found = Decisions.none(by_month)
    begun: dict[tuple[int, int, int], int] = {}
    for place, begin in enumerate(by_month.begins):
        begun.setdefault((begin.home, begin.node, calendar.period_of(begin.period)), place)
    for number, begin in zip(decisions.homes_begun, plan.begins, strict=True):
        found.homes_begun[begun[begin.home, begin.node, begin.period]] = number
    closed = {closure: place for place, closure in enumerate(by_month.closures)}
    for number, (home, node, period) in zip(decisions.homes_closed, plan.closures, strict=True):
        found.homes_closed[closed[home, node, int(calendar.start[period])]] = number
    same = ("lot_awarded", "tier_chosen", "beds_in_tier", "optional_beds", "extension_taken", "beds_extended")
    return replace(
        found,
        managers=np.repeat(decisions.managers, calendar.length, axis=1),
        **{name: getattr(decisions, name) for name in same},
    )
