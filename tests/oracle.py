"""The independent oracle: every first stage tried, each with a linear programme of its own.

Written from the meaning of the rules and from nothing else in ``models/`` but the data classes. Where ``models/``
substitutes admissions and moves out, everything that happens to a child has a column here::

    children there before        = left care + stepped across + broke down + lasting
    lasting + stepped across within a source that takes the new cohort
                                 = stayed put + planned moves out + ended by closure
    admitted, over all sources   = arrivals + broke down + planned moves out + ended by closure
                                 + stepped across but may not stay + left *no registered home found*
    placed                       = stayed put + admitted

The two forms are equivalent: given ``placed``, admissions are ``placed - stayed put``, which is non-negative exactly
where ``placements_last`` holds, and they add up to the children who need a bed exactly where ``every_child_placed``
does.

Limits across scenarios couple the linear programmes. First stages are then taken in the order of their cost without
such limits, a lower bound, until that bound passes the best found. The chance limit goes through every largest set of
futures that may be let off, and CVaR through the corners of its dual set, so that neither needs a binary or a big-M.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import combinations, product

import highspy
import numpy as np
from scipy import sparse

from models.decisions import Decisions
from models.problem import Problem, Scenario

#: Slack allowed when comparing money, probabilities and whole numbers, relative to one.
TINY = 1e-9


@dataclass(frozen=True)
class Answer:
    """The best plan, and what the search was like."""

    objective: float
    decisions: Decisions
    without_limits: float  # best objective when limits across scenarios and on the tail are left out
    first_stages: int
    programmes: int  # linear programmes solved


def best_plan(problem: Problem) -> Answer | None:
    """Least objective over all first stages, in present real pounds; None where no plan keeps to the limits."""
    recourse = Recourse(problem)
    bounded: list[tuple[float, Decisions]] = []
    for decisions in first_stages(problem):
        costs = recourse.costs(decisions)
        if costs is not None:
            bounded.append((_weighed(problem, costs), decisions))
    if not bounded:
        return None
    bounded.sort(key=lambda pair: pair[0])
    best: tuple[float, Decisions] | None = None
    for bound, decisions in bounded:
        if best is not None and bound >= best[0]:
            break
        objective = recourse.objective(decisions)
        if objective is not None and (best is None or objective < best[0]):
            best = objective, decisions
    if best is None:
        return None
    return Answer(*best, bounded[0][0], len(bounded), recourse.programmes)


def value(problem: Problem, decisions: Decisions) -> float | None:
    """Objective of one first stage with its best second stage; None where there is none within the limits."""
    return Recourse(problem).objective(decisions)


def scenario_costs(problem: Problem, decisions: Decisions) -> np.ndarray | None:
    """Least cost of each scenario, deterrent included, where no limit runs across scenarios, [scenario]."""
    return Recourse(problem).costs(decisions)


# tail


def tail_mean(probability: np.ndarray, costs: np.ndarray, level: float) -> float:
    """Mean of the dearest ``1 - level`` of probability, by filling it from the dearest scenario down."""
    left, total = 1.0 - level, 0.0
    for scenario in np.argsort(-costs):
        part = min(probability[scenario], left)
        total += part * costs[scenario]
        left -= part
    return float(total / (1.0 - level))


def tail_weights(probability: np.ndarray, level: float) -> list[np.ndarray]:
    """Corners of the dual set of CVaR: its value is the largest weighted cost over them.

    Weights lie between 0 and ``probability / (1 - level)`` and add up to one; a corner fills scenarios in some order.
    """
    corners: dict[tuple[float, ...], np.ndarray] = {}
    scenarios = range(len(probability))
    for count in range(1, len(probability) + 1):
        for filled in combinations(scenarios, count):
            for last in filled:
                weights = np.zeros(len(probability))
                for scenario in filled:
                    weights[scenario] = probability[scenario] / (1 - level)
                weights[last] = 1 - (weights.sum() - weights[last])
                if -TINY <= weights[last] <= probability[last] / (1 - level) + TINY:
                    corners[tuple(np.round(weights, 12))] = weights
    return list(corners.values())


def _weighed(problem: Problem, costs: np.ndarray) -> float:
    probability = np.array([scenario.probability for scenario in problem.scenarios])
    expected = float(probability @ costs)
    if problem.risk_weight == 0:
        return expected
    return (1 - problem.risk_weight) * expected + problem.risk_weight * tail_mean(
        probability, costs, problem.cvar_level
    )


# first stage


def first_stages(problem: Problem) -> Iterator[Decisions]:
    """Every first stage that keeps to the capacity rules, with the fewest managers that it needs.

    More managers than needed only cost more, so they are not tried.
    """
    contracts = list(_contracts(problem))
    for begun in _homes(problem):
        managed = []
        for closed in _closures(problem, begun):
            managers = _fewest_managers(problem, begun, closed)
            if managers is not None:
                managed.append((closed, managers))
        if not managed:
            continue
        for lots, extensions in contracts:
            if not _buildings_begun(problem, begun, lots):
                continue
            for closed, managers in managed:
                yield _decisions(problem, begun, closed, managers, lots, extensions)


def _homes(problem: Problem) -> Iterator[tuple[int, ...]]:
    """Homes begun at each begin: rules 3, 4 and 6."""
    most = [
        min(group.limit for group in problem.home_groups if begin.home in group.members) for begin in problem.begins
    ]
    for begun in product(*(range(limit + 1) for limit in most)):
        if all(_homes_allowed(problem, begun, set(problem.path_to(leaf))) for leaf in problem.leaves):
            yield begun


def _homes_allowed(problem: Problem, begun: tuple[int, ...], path: set[int]) -> bool:
    here = [(number, b.home, b.period) for number, b in zip(begun, problem.begins, strict=True) if b.node in path]
    for group in problem.home_groups:
        if sum(number for number, home, _ in here if home in group.members) > group.limit:
            return False
    for envelope in problem.envelopes:
        spent = np.zeros(len(problem.financial_years))
        for number, home, period in here:
            if home in envelope.homes:
                spent[problem.period_year[period]] += number * problem.planning_capital[home, period]
        if envelope.total is not None and spent.sum() > envelope.total + TINY:
            return False
        if envelope.by_year is not None:
            released = np.array(envelope.by_year)
            if envelope.carry_forward:  # what a year leaves is there the year after
                spent, released = np.cumsum(spent), np.cumsum(released)
            if (spent > released + TINY).any():
                return False
    if problem.registrations_limit is not None:
        for period in range(len(problem.periods)):
            at_once = sum(number for number, home, start in here if problem.in_hand[home, start, period])
            if at_once > problem.registrations_limit:
                return False
    return True


def _closures(problem: Problem, begun: tuple[int, ...]) -> Iterator[tuple[int, ...]]:
    """Homes closed at each place: never more, by any period, than are open in every future."""

    def certainly_open(home: int, path: set[int], period: int) -> int:
        return sum(
            number
            for number, begin in zip(begun, problem.begins, strict=True)
            if begin.home == home and begin.node in path and problem.certainly_open[home, begin.period] <= period
        )

    paths = [set(problem.path_to(leaf)) for leaf in problem.leaves]
    ranges = [
        range(max(certainly_open(home, path, period) for path in paths if node in path) + 1)
        for home, node, period in problem.closures
    ]
    for closed in product(*ranges):
        fits = True
        for home, _, period in problem.closures:
            for path in paths:
                gone = sum(
                    number
                    for number, (which, node, when) in zip(closed, problem.closures, strict=True)
                    if which == home and node in path and when <= period
                )
                fits &= gone <= certainly_open(home, path, period)
        if fits:
            yield closed


def _fewest_managers(problem: Problem, begun: tuple[int, ...], closed: tuple[int, ...]) -> np.ndarray | None:
    """Rule 5: managers in post by node and period, or None where there are not as many to be had."""
    managers = np.zeros((len(problem.nodes), len(problem.periods)), dtype=np.int64)
    if problem.managers is None:
        return managers
    for position, node in enumerate(problem.nodes):
        path = set(problem.path_to(position))
        for period in range(node.first_period, node.end_period):
            homes = sum(
                number
                for number, b in zip(begun, problem.begins, strict=True)
                if b.node in path and b.period <= period and problem.needs_manager[b.home, b.period, period]
            ) - sum(
                number
                for number, (home, at, when) in zip(closed, problem.closures, strict=True)
                if at in path and when <= period and problem.home_council_run[home]
            )
            needed = -(-max(homes, 0) // problem.managers.homes_each)
            if needed > problem.managers.recruitable[period]:
                return None
            managers[position, period] = needed
    return managers


@dataclass(frozen=True)
class Held:
    """One award: the volume tier and the beds committed in it, and the call-off beds."""

    tier: int
    committed: int
    optional: int


def _contracts(problem: Problem) -> Iterator[tuple[tuple[Held | None, ...], tuple[int, ...]]]:
    """Awards and extensions: rule 7, one award of a lot along a path, groups, extensions in order."""
    paths = [set(problem.path_to(leaf)) for leaf in problem.leaves]
    options: list[list[Held | None]] = []
    for award in problem.awards:
        lot = award.lot
        options.append(
            [
                None,
                *(
                    Held(number, beds, optional)
                    for number, tier in enumerate(problem.lot_tiers[lot])
                    for beds in range(tier.minimum, tier.maximum + 1)
                    if problem.lot_minimum[lot] <= beds <= problem.lot_maximum[lot]
                    for optional in range(int(problem.call_off_maximum[lot]) + 1)
                ),
            ]
        )
    for lots in product(*options):
        awarded = [(a.lot, a.node) for a, held in zip(problem.awards, lots, strict=True) if held is not None]
        on_paths = [[lot for lot, node in awarded if node in path] for path in paths]
        if any(len(chosen) > len(set(chosen)) for chosen in on_paths):
            continue
        if any(
            sum(lot in group.members for lot in chosen) > group.limit
            for group in problem.lot_groups
            for chosen in on_paths
        ):
            continue
        for extensions in product((0, 1), repeat=len(problem.extensions)):
            if all(
                (extension.needs is None or extensions[extension.needs])
                and (extension.award is None or lots[extension.award] is not None)
                for taken, extension in zip(extensions, problem.extensions, strict=True)
                if taken
            ):
                yield lots, extensions


def _buildings_begun(problem: Problem, begun: tuple[int, ...], lots: tuple[Held | None, ...]) -> bool:
    """Rule 9 when deciding: beds contracted in a building never exceed those of the buildings begun by then."""
    for building in {int(b) for b in problem.lot_building if b >= 0}:
        for leaf in problem.leaves:
            path = set(problem.path_to(leaf))
            for period in range(len(problem.periods)):
                contracted = sum(
                    held.committed + held.optional
                    for award, held in zip(problem.awards, lots, strict=True)
                    if held is not None
                    and award.node in path
                    and award.period <= period
                    and problem.lot_building[award.lot] == building
                )
                homes = sum(
                    number
                    for number, b in zip(begun, problem.begins, strict=True)
                    if b.home == building and b.node in path and b.period <= period
                )
                if contracted > homes * problem.home_beds[building]:
                    return False
    return True


def _decisions(
    problem: Problem,
    begun: tuple[int, ...],
    closed: tuple[int, ...],
    managers: np.ndarray,
    lots: tuple[Held | None, ...],
    extensions: tuple[int, ...],
) -> Decisions:
    plan = replace(
        Decisions.none(problem),
        homes_begun=np.array(begun, dtype=np.int64),
        homes_closed=np.array(closed, dtype=np.int64),
        managers=managers,
        extension_taken=np.array(extensions, dtype=np.int64),
    )
    for position, held in enumerate(lots):
        if held is not None:
            plan.lot_awarded[position] = 1
            plan.tier_chosen[position, held.tier] = 1
            plan.beds_in_tier[position, held.tier] = held.committed
            plan.optional_beds[position] = held.optional
    for position, extension in enumerate(problem.extensions):
        if extensions[position] and extension.award is not None:
            plan.beds_extended[position, :-1] = plan.beds_in_tier[extension.award]
            plan.beds_extended[position, -1] = plan.optional_beds[extension.award]
    return plan


# what a first stage means in one scenario


@dataclass(frozen=True)
class Capacity:
    """Beds, prices and fixed cost that a first stage brings about in one scenario."""

    usable: np.ndarray  # beds at no further price per bed, [source, period]; homes and supplies
    lost: np.ndarray  # beds that go, [source, period]
    lot_beds: np.ndarray  # beds in the guarantee, above it, on call-off, [3, lot, period]
    lot_matched: np.ndarray  # most of all of them that matching lets be filled, [lot, period]
    lot_price: np.ndarray  # £ present for one such bed filled in the period, [3, lot, period]
    fixed: float  # £ present, whatever happens to the children


def capacity(problem: Problem, scenario: Scenario, decisions: Decisions) -> Capacity:
    """Follow each decision on the scenario's path through the periods."""
    periods, worth = len(problem.periods), problem.present_value
    by_week = problem.weeks * worth
    usable = np.zeros((len(problem.sources), periods))
    lost = np.zeros((len(problem.sources), periods))
    lot_beds = np.zeros((3, len(problem.lots), periods))
    lot_price = np.zeros((3, len(problem.lots), periods))
    lot_matched = np.zeros((len(problem.lots), periods))
    fixed = -float((problem.grant_income @ worth).sum())

    for number, begin in zip(decisions.homes_begun, problem.begins, strict=True):
        if not number or begin.node not in scenario.path:
            continue
        home, start = begin.home, begin.period
        beds = problem.home_beds[home] * problem.home_occupancy[home]
        usable[home] += number * beds * scenario.home_open[home, start]
        fixed += number * (
            (scenario.capital_outlay[home, start] + scenario.abortive_cost[home, start]) * worth[start]
            - scenario.residual_value[home, start] * worth[-1]
            + (scenario.home_running + scenario.home_waiting + scenario.home_lifecycle)[home, start] @ worth
        )
    for number, (home, node, when) in zip(decisions.homes_closed, problem.closures, strict=True):
        if not number or node not in scenario.path:
            continue
        beds = problem.home_beds[home] * problem.home_occupancy[home]
        usable[home, when:] -= number * beds
        lost[home, when] += number * beds
        fixed += number * problem.closing_cost[home] * worth[when]
        fixed -= number * problem.closed_saving[home, when:] @ worth[when:]
    if problem.managers is not None:
        for node in scenario.path:
            fixed += decisions.managers[node] @ (problem.managers.cost * worth)

    for position, award in enumerate(problem.awards):
        if not decisions.lot_awarded[position] or award.node not in scenario.path:
            continue
        lot, start = award.lot, award.period
        source = problem.lot_source + lot
        tier = int(np.argmax(decisions.tier_chosen[position]))
        committed, optional = decisions.beds_in_tier[position, tier], decisions.optional_beds[position]
        # Each part of a period is charged at the multiple of the price that it has; a bed filled, at the earlier one's.
        delivered = scenario.lot_delivered[lot, start].copy()
        charged, factor = delivered.copy(), np.ones(periods)
        for number, extension in enumerate(problem.extensions):
            taken = decisions.extension_taken[number] and extension.node in scenario.path
            if taken and extension.award == position:
                more, multiple = scenario.extension_delivered[number], scenario.extension_price[number]
                factor[(delivered == 0) & (more > 0)] = multiple
                delivered += more
                charged += more * multiple
        price = scenario.lot_price[lot, tier, start]
        guaranteed, fillable = problem.guaranteed_share[lot], problem.lot_occupancy[lot]
        empty = problem.void_price_share[lot]
        # A guaranteed bed costs ``empty`` of its price in any case and the rest when filled.
        fixed += (guaranteed * empty * committed * price * charged) @ by_week
        fixed += (optional * scenario.call_off_retainer[lot, start] * charged) @ by_week
        fixed += scenario.lot_setup[lot, start] * worth[start]
        lot_beds[0, lot] = guaranteed * committed * delivered
        lot_beds[1, lot] = (1 - guaranteed) * committed * delivered
        lot_beds[2, lot] = optional * delivered
        lot_matched[lot] = fillable * (committed + optional) * delivered
        lot_price[0, lot] = (1 - empty) * price * factor * by_week
        lot_price[1, lot] = price * factor * by_week
        lot_price[2, lot] = scenario.call_off_price[lot, start] * factor * by_week
        lost[source, 1:] = fillable * (committed + optional) * np.maximum(delivered[:-1] - delivered[1:], 0)

    for supply in range(len(problem.supplies)):
        source = problem.supply_source + supply
        beds = scenario.supply_beds[supply].copy()
        fixed += scenario.supply_commitment[supply] @ worth
        for number, extension in enumerate(problem.extensions):
            taken = decisions.extension_taken[number] and extension.node in scenario.path
            if taken and extension.supply == supply:
                beds += scenario.supply_extension_beds[number]
                fixed += scenario.supply_extension_cost[number] @ worth
        usable[source] = beds
        lost[source, 0] = max(problem.placed_at_start[:, source].sum() - beds[0], 0)
        lost[source, 1:] = np.maximum(beds[:-1] - beds[1:], 0)
    for spot in range(len(problem.spots)):
        source = problem.spot_source + spot
        beds = scenario.spot_layer_beds[spot].sum(axis=0)
        # Unlimited beds that become few are as many beds lost as there can be children.
        then = np.concatenate([[problem.placed_at_start[:, source].sum()], beds[:-1]])
        few = beds < np.inf
        lost[source, few] = np.maximum(then[few] - beds[few], 0)
    return Capacity(usable, lost, lot_beds, lot_matched, lot_price, float(fixed))


# what happens to the children


class Placement:
    """The linear programme of one scenario: bounds and prices of capacity are filled in for each first stage."""

    def __init__(self, problem: Problem, scenario: Scenario) -> None:
        self.problem, self.scenario = problem, scenario
        self.cost: list[float] = []
        self.upper: list[float] = []
        self.row_lower: list[float] = []
        self.row_upper: list[float] = []
        self.entries: list[tuple[int, int, float]] = []
        self.usable_rows: dict[tuple[int, int], int] = {}
        self.matched_rows: dict[tuple[int, int], int] = {}
        self.lost_rows: dict[tuple[int, int], int] = {}
        self.building_rows: dict[tuple[int, int], int] = {}
        self.lot_columns: dict[tuple[int, int, int], int] = {}
        self.placed: dict[tuple[int, int, int], int] = {}
        self._build()
        shape = (len(self.row_lower), len(self.cost))
        rows, columns, values = zip(*self.entries, strict=True)
        self.matrix = sparse.csc_matrix((values, (rows, columns)), shape=shape)

    def column(self, cost: float = 0.0, upper: float = np.inf) -> int:
        self.cost.append(cost)
        self.upper.append(upper)
        return len(self.cost) - 1

    def row(self, terms: list[tuple[int, float]], lower: float, upper: float) -> int:
        """``lower <= sum of factor * column <= upper``; a column named twice counts twice."""
        position = len(self.row_lower)
        self.entries += [(position, column, factor) for column, factor in terms]
        self.row_lower.append(lower)
        self.row_upper.append(upper)
        return position

    def _build(self) -> None:
        problem, scenario = self.problem, self.scenario
        cohorts, periods = range(len(problem.cohorts)), range(len(problem.periods))
        registered, unregistered = range(problem.unregistered), problem.unregistered
        sources = (*registered, unregistered)
        worth = problem.present_value
        by_week = problem.weeks * worth

        def weekly(cohort: int, source: int, period: int) -> float:
            price = -problem.contribution[cohort]
            if source == unregistered:
                price += scenario.unregistered_price[period] + scenario.deterrent[period]
            elif source < problem.lot_source or problem.supply_source <= source < problem.spot_source:
                price += scenario.variable_price[source, period]
            return float(price * by_week[period])

        sold: dict[tuple[int, int], int] = {}
        bought: dict[tuple[int, int], list[int]] = {}
        for period in periods:
            for source in registered:
                sold[source, period] = self.column(
                    -float(problem.sold_price[source, period] * by_week[period]),
                    float(problem.sold_maximum[source, period]),
                )
            for lot in range(len(problem.lots)):
                columns = [self.column(upper=0.0) for _ in range(3)]
                self.lot_columns |= {(part, lot, period): column for part, column in enumerate(columns)}
                bought[problem.lot_source + lot, period] = columns
            for spot in range(len(problem.spots)):
                bought[problem.spot_source + spot, period] = [
                    self.column(float(price * by_week[period]), float(beds))
                    for price, beds in zip(
                        scenario.spot_layer_price[spot, :, period],
                        scenario.spot_layer_beds[spot, :, period],
                        strict=True,
                    )
                ]

        # Children there before are so many of a column, or a number on the first day.
        before: dict[tuple[int, int], tuple[list[tuple[int, float]], float]] = {
            (cohort, source): ([], float(problem.placed_at_start[cohort, source]))
            for cohort in cohorts
            for source in sources
        }
        for period in periods:
            needing: dict[int, list[tuple[int, float]]] = {cohort: [] for cohort in cohorts}
            arriving = {cohort: float(scenario.arrivals[cohort, period]) for cohort in cohorts}
            stayed_put: dict[tuple[int, int], int] = {}
            ended: dict[tuple[int, int], int] = {}
            for cohort in cohorts:
                for source in sources:
                    there, number = before[cohort, source]
                    staying = float(scenario.stay[cohort, source, period])
                    # Who steps across keeps the bed if the source takes the new cohort, else needs another.
                    within: list[tuple[list[tuple[int, float]], float, float]] = []
                    for step, (origin, destination) in enumerate(problem.steps):
                        if destination == cohort:
                            within.append((*before[origin, source], float(scenario.step[step, source, period])))
                    may_stay = bool(problem.allowed[cohort, source, period])
                    if source == unregistered:
                        staying_there = self.column()
                        stayed_put[cohort, source] = staying_there
                        leaving = self.column()
                        self.row(
                            [(staying_there, 1), (leaving, 1), *((c, -staying * f) for c, f in there)],
                            staying * number,
                            staying * number,
                        )
                        needing[cohort].append((leaving, 1.0))
                        for column, from_number, share in within:
                            needing[cohort] += [(c, share * f) for c, f in column]
                            arriving[cohort] += share * from_number
                        continue
                    breaking = min(float(problem.breakdown[cohort, source, period]), staying)
                    lasting = staying - breaking
                    needing[cohort] += [(c, breaking * f) for c, f in there]
                    arriving[cohort] += breaking * number
                    put = self.column(upper=np.inf if may_stay else 0.0)
                    moved = self.column(float(problem.planned_move_price[cohort] * worth[period]))
                    closed = self.column(float(problem.closure_price[cohort] * worth[period]))
                    stayed_put[cohort, source], ended[cohort, source] = put, closed
                    terms = [(put, 1.0), (moved, 1.0), (closed, 1.0), *((c, -lasting * f) for c, f in there)]
                    constant = lasting * number
                    for column, from_number, share in within:
                        if may_stay:
                            terms += [(c, -share * f) for c, f in column]
                            constant += share * from_number
                        else:
                            needing[cohort] += [(c, share * f) for c, f in column]
                            arriving[cohort] += share * from_number
                    self.row(terms, constant, constant)
                    most = min(float(problem.mobility[cohort, period]), lasting)
                    self.row([(moved, 1.0), *((c, -most * f) for c, f in there)], -np.inf, most * number)
                    needing[cohort] += [(moved, 1.0), (closed, 1.0)]
            for source in registered:
                # Beds that go end no more placements than there are beds; who may not stay moves in any case.
                self.lost_rows[source, period] = self.row(
                    [(ended[cohort, source], 1.0) for cohort in cohorts if problem.allowed[cohort, source, period]],
                    -np.inf,
                    0.0,
                )
            admitted: dict[tuple[int, int], int] = {}
            for cohort in cohorts:
                for source in sources:
                    if problem.allowed[cohort, source, period]:
                        admitted[cohort, source] = self.column()
                        here = self.column(weekly(cohort, source, period))
                        self.placed[cohort, source, period] = here
                        self.row(
                            [(here, 1), (stayed_put[cohort, source], -1), (admitted[cohort, source], -1)], 0.0, 0.0
                        )
                self.row(
                    [
                        *((admitted[cohort, source], 1) for source in sources if (cohort, source) in admitted),
                        *((column, -factor) for column, factor in needing[cohort]),
                    ],
                    arriving[cohort],
                    arriving[cohort],
                )
            for source in registered:
                occupied = [
                    (self.placed[cohort, source, period], 1.0)
                    for cohort in cohorts
                    if (cohort, source, period) in self.placed
                ]
                occupied.append((sold[source, period], 1.0))
                filled = [(column, -1.0) for column in bought.get((source, period), [])]
                self.usable_rows[source, period] = self.row(occupied + filled, -np.inf, 0.0)
                if problem.lot_source <= source < problem.supply_source:
                    self.matched_rows[source - problem.lot_source, period] = self.row(occupied, -np.inf, 0.0)
            for building in {int(b) for b in problem.lot_building if b >= 0}:
                occupied = []
                for lot in range(len(problem.lots)):
                    if problem.lot_building[lot] == building:
                        source = problem.lot_source + lot
                        occupied += [
                            (self.placed[cohort, source, period], 1.0)
                            for cohort in cohorts
                            if (cohort, source, period) in self.placed
                        ]
                        occupied.append((sold[source, period], 1.0))
                self.building_rows[building, period] = self.row(occupied, -np.inf, 0.0)
            before = {
                (cohort, source): ([(self.placed[cohort, source, period], 1.0)], 0.0)
                if (cohort, source, period) in self.placed
                else ([], 0.0)
                for cohort in cohorts
                for source in sources
            }

    def filled_in(self, capacity: Capacity) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Column costs, column upper bounds and row upper bounds for a first stage."""
        cost, upper, row_upper = np.array(self.cost), np.array(self.upper), np.array(self.row_upper)
        for (part, lot, period), column in self.lot_columns.items():
            upper[column] = capacity.lot_beds[part, lot, period]
            cost[column] = capacity.lot_price[part, lot, period]
        for (source, period), row in self.usable_rows.items():
            row_upper[row] = capacity.usable[source, period]
        for (lot, period), row in self.matched_rows.items():
            row_upper[row] = capacity.lot_matched[lot, period]
        for (source, period), row in self.lost_rows.items():
            row_upper[row] = capacity.lost[source, period]
        for (building, period), row in self.building_rows.items():
            row_upper[row] = capacity.usable[building, period]
        return cost, upper, row_upper

    def child_weeks(self, factor: dict[tuple[int, int, int], float]) -> np.ndarray:
        """Row of child-weeks placed, weighed by cohort, source and period."""
        row = np.zeros(len(self.cost))
        for (cohort, source, period), column in self.placed.items():
            row[column] = factor.get((cohort, source, period), 0.0) * self.problem.weeks[period]
        return row


# all scenarios


class Recourse:
    """Least cost of the second stage for any first stage of a problem; remembers what it has solved."""

    def __init__(self, problem: Problem) -> None:
        self.problem = problem
        self.placements = [Placement(problem, scenario) for scenario in problem.scenarios]
        self.solvers = [_solver(p.matrix, p.cost, p.upper, p.row_lower, p.row_upper) for p in self.placements]
        self.capacities: dict[tuple[bytes, ...], Capacity] = {}
        self.known: dict[tuple[bytes, ...], float | None] = {}
        self.programmes = 0
        self.on_path = [self._decided_on(scenario) for scenario in problem.scenarios]

    def _decided_on(self, scenario: Scenario) -> list[np.ndarray]:
        problem, path = self.problem, set(scenario.path)
        return [
            np.array([begin.node in path for begin in problem.begins], dtype=bool),
            np.array([node in path for _, node, _ in problem.closures], dtype=bool),
            np.array([node in path for node in range(len(problem.nodes))], dtype=bool),
            np.array([award.node in path for award in problem.awards], dtype=bool),
            np.array([extension.node in path for extension in problem.extensions], dtype=bool),
        ]

    def _key(self, scenario: int, decisions: Decisions) -> tuple[bytes, ...]:
        begins, closures, nodes, awards, extensions = self.on_path[scenario]
        return (
            bytes([scenario]),
            decisions.homes_begun[begins].tobytes(),
            decisions.homes_closed[closures].tobytes(),
            decisions.managers[nodes].tobytes(),
            decisions.beds_in_tier[awards].tobytes(),
            decisions.optional_beds[awards].tobytes(),
            decisions.extension_taken[extensions].tobytes(),
        )

    def capacity(self, scenario: int, decisions: Decisions) -> Capacity:
        key = self._key(scenario, decisions)
        if key not in self.capacities:
            self.capacities[key] = capacity(self.problem, self.problem.scenarios[scenario], decisions)
        return self.capacities[key]

    def costs(self, decisions: Decisions) -> np.ndarray | None:
        """Least cost of each scenario on its own, [scenario]; None where some child finds no place in one."""
        costs = [self._cost(scenario, decisions) for scenario in range(len(self.problem.scenarios))]
        return None if any(cost is None for cost in costs) else np.array(costs)

    def _cost(self, scenario: int, decisions: Decisions) -> float | None:
        key = self._key(scenario, decisions)
        if key not in self.known:
            held = self.capacity(scenario, decisions)
            placement, solver = self.placements[scenario], self.solvers[scenario]
            cost, upper, row_upper = placement.filled_in(held)
            # Only what changes from one first stage to the next is handed on, so that the solver starts warm.
            columns = np.array(list(placement.lot_columns.values()), dtype=np.int32)
            if len(columns):
                solver.changeColsCost(len(columns), columns, cost[columns])
                solver.changeColsBounds(len(columns), columns, np.zeros(len(columns)), upper[columns])
            for rows in (
                placement.usable_rows,
                placement.matched_rows,
                placement.lost_rows,
                placement.building_rows,
            ):
                for row in rows.values():
                    solver.changeRowBounds(row, -np.inf, row_upper[row])
            self.programmes += 1
            least = _least(solver)
            self.known[key] = None if least is None else least + held.fixed
        return self.known[key]

    def objective(self, decisions: Decisions) -> float | None:
        """Objective of a first stage within all limits, or None."""
        problem = self.problem
        costs = self.costs(decisions)
        if costs is None:
            return None
        if problem.local_limits or problem.unregistered_limits:
            return self._together(decisions)
        # The objective never falls when a scenario costs more, so each at its least is best, for the tail as well.
        probability = np.array([scenario.probability for scenario in problem.scenarios])
        if problem.cvar_limit is not None:
            tail = tail_mean(probability, costs, problem.cvar_level)
            if tail > problem.cvar_limit + TINY * max(1.0, abs(problem.cvar_limit)):
                return None
        return _weighed(problem, costs)

    def _together(self, decisions: Decisions) -> float | None:
        """All scenarios in one programme for each choice of futures let off by the chance limits."""
        problem, placements = self.problem, self.placements
        probability = np.array([scenario.probability for scenario in problem.scenarios])
        held = [self.capacity(scenario, decisions) for scenario in range(len(placements))]
        filled = [placement.filled_in(own) for placement, own in zip(placements, held, strict=True)]
        fixed = np.array([own.fixed for own in held])
        cost = [costs for costs, _, _ in filled]
        matrix = sparse.block_diag([placement.matrix for placement in placements], format="csr")
        upper = np.concatenate([upper for _, upper, _ in filled])
        row_lower = np.concatenate([placement.row_lower for placement in placements])
        row_upper = np.concatenate([row_upper for _, _, row_upper in filled])

        extra: list[tuple[np.ndarray, float]] = []  # (row, most)
        for limit in problem.local_limits:
            short = {
                (cohort, source, period): limit.minimum
                - (0.0 if source == problem.unregistered else float(limit.share[source]))
                for cohort in limit.cohorts
                for source in range(len(problem.sources))
                for period in range(len(problem.periods))
            }
            rows = [p.child_weeks(short) * share for p, share in zip(placements, probability, strict=True)]
            extra.append((np.concatenate(rows), 0.0))
        let_off: list[list[list[tuple[np.ndarray, float]]]] = []  # a choice of rows by limit and year
        for limit in problem.unregistered_limits:
            rows = [self._unregistered(limit.authorities, None, scenario) for scenario in range(len(placements))]
            if limit.child_weeks is not None:
                weighed = [row * share for row, share in zip(rows, probability, strict=True)]
                extra.append((np.concatenate(weighed), limit.child_weeks))
            if limit.epsilon is not None:
                for year in range(len(problem.financial_years)):
                    choices = []
                    for spared in _largest_sets(probability, limit.epsilon):
                        choices.append(
                            [
                                (self._only(self._unregistered(limit.authorities, year, scenario), scenario), 1.0)
                                for scenario in range(len(placements))
                                if scenario not in spared
                            ]
                        )
                    let_off.append(choices)

        # One more column, the tail mean, at least the cost weighed by every corner of the dual set.
        tail = problem.risk_weight > 0 or problem.cvar_limit is not None
        objective = np.concatenate([own * share for own, share in zip(cost, probability, strict=True)])
        objective = (1 - problem.risk_weight) * objective
        constant = (1 - problem.risk_weight) * float(probability @ fixed)
        lower, columns = np.zeros(len(upper)), len(upper)
        if tail:
            objective, lower = np.append(objective, problem.risk_weight), np.append(lower, -np.inf)
            upper = np.append(upper, np.inf if problem.cvar_limit is None else problem.cvar_limit)
            for weights in tail_weights(probability, problem.cvar_level):
                row = np.concatenate([own * weight for own, weight in zip(cost, weights, strict=True)])
                extra.append((np.append(row, -1.0), -float(weights @ fixed)))

        best: float | None = None
        for choice in product(*let_off):
            chosen = extra + [row for rows in choice for row in rows]
            more = np.zeros((len(chosen), len(upper)))
            for position, (row, _) in enumerate(chosen):
                more[position, : len(row)] = row
            wide = sparse.hstack([matrix, sparse.csr_matrix((matrix.shape[0], len(upper) - columns))])
            solver = _solver(
                sparse.vstack([wide, sparse.csr_matrix(more)]).tocsc(),
                objective,
                upper,
                np.concatenate([row_lower, np.full(len(chosen), -np.inf)]),
                np.concatenate([row_upper, [most for _, most in chosen]]),
                lower,
            )
            self.programmes += 1
            least = _least(solver)
            if least is not None and (best is None or least + constant < best):
                best = least + constant
        return best

    def _unregistered(self, authorities: tuple[int, ...], year: int | None, scenario: int) -> np.ndarray:
        problem = self.problem
        return self.placements[scenario].child_weeks(
            {
                (cohort, problem.unregistered, period): 1.0
                for cohort in range(len(problem.cohorts))
                if problem.cohort_authority[cohort] in authorities
                for period in range(len(problem.periods))
                if year is None or problem.period_year[period] == year
            }
        )

    def _only(self, row: np.ndarray, scenario: int) -> np.ndarray:
        """The row of one scenario among the columns of all."""
        return np.concatenate([row if s == scenario else np.zeros(len(p.cost)) for s, p in enumerate(self.placements)])


def _largest_sets(probability: np.ndarray, epsilon: float) -> list[set[int]]:
    """Sets of scenarios as probable as ``epsilon`` at most, to which no scenario can be added."""
    scenarios = range(len(probability))
    fitting = [
        set(chosen)
        for count in range(len(probability) + 1)
        for chosen in combinations(scenarios, count)
        if probability[list(chosen)].sum() <= epsilon + TINY
    ]
    return [chosen for chosen in fitting if not any(chosen < other for other in fitting)]


def _solver(
    matrix: sparse.csc_matrix,
    cost: list[float] | np.ndarray,
    upper: list[float] | np.ndarray,
    row_lower: list[float] | np.ndarray,
    row_upper: list[float] | np.ndarray,
    lower: np.ndarray | None = None,
) -> highspy.Highs:
    programme = highspy.HighsLp()
    programme.num_row_, programme.num_col_ = matrix.shape
    programme.col_cost_ = np.asarray(cost, dtype=float)
    programme.col_lower_ = np.zeros(matrix.shape[1]) if lower is None else lower
    programme.col_upper_ = np.asarray(upper, dtype=float)
    programme.row_lower_ = np.asarray(row_lower, dtype=float)
    programme.row_upper_ = np.asarray(row_upper, dtype=float)
    programme.a_matrix_.format_ = highspy.MatrixFormat.kColwise
    programme.a_matrix_.start_ = matrix.indptr
    programme.a_matrix_.index_ = matrix.indices
    programme.a_matrix_.value_ = matrix.data
    solver = highspy.Highs()
    for option, setting in (
        ("output_flag", False),
        ("threads", 1),
        ("presolve", "off"),
        ("primal_feasibility_tolerance", 1e-9),
        ("dual_feasibility_tolerance", 1e-9),
    ):
        solver.setOptionValue(option, setting)
    solver.passModel(programme)
    return solver


def _least(solver: highspy.Highs) -> float | None:
    """Optimum, or None where there is none; a start that leads nowhere is thrown away, then the simplex method."""
    for attempt in ("warm", "cold", "interior point"):
        if attempt != "warm":
            solver.clearSolver()
        solver.setOptionValue("solver", "ipm" if attempt == "interior point" else "choose")
        solver.run()
        status = solver.getModelStatus()
        solver.setOptionValue("solver", "choose")
        if status == highspy.HighsModelStatus.kOptimal:
            return float(solver.getInfo().objective_function_value)
        if status == highspy.HighsModelStatus.kInfeasible:
            return None
    raise AssertionError(f"the oracle's linear programme ended with {status}")
