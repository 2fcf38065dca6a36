"""Every materially different plan within a stated cost of the best, and what each trades.

Two plans differ materially where their *signatures* do: homes begun by type, node of the tree and financial year; committed
beds by lot and node; extensions by contract, option and node. By default only what is decided before the first review
counts, and what follows on its branches is as best.

Branch and bound over boxes of signatures: the best plan of a box is found with its bound under further first-stage
rows, or it is proved that none in it costs less than the limit. A plan found is put on the list, and its box is split
around its signature into disjoint boxes. At the end every signature is on the list, or lies in a box that a proof
discards: that is the proof that the list is complete. Rows of the first stage change no cut, so that one master, with
every cut ever made, and every one kept from an earlier run that still holds, serves all boxes. Where a problem falls
apart, each part is listed by itself, and what together costs no more than the limit is put together: no part is
searched again because another has changed.
"""

from __future__ import annotations

import heapq
import math
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace
from itertools import islice

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from models.decisions import Decisions, with_managers_needed
from models.problem import Problem
from optimiser.analysis.appraisal import capital_of
from optimiser.analysis.planning import (
    Asked,
    Told,
    instance_row,
    prepare,
    refuse_if_stopped,
    rounding,
    tail_mean_of,
    versions,
)
from optimiser.errors import InfeasibleError, NoPlanError, SolverError
from optimiser.instance.schema import Instance
from optimiser.plan import Plan, Row, decisions_table, titles_of
from optimiser.solve.compile import FirstStage, decisions_from
from optimiser.solve.components import Component, components_of
from optimiser.solve.engine import FEW_FUTURES, Engine, stopped_by_hand
from optimiser.solve.extensive import solve_extensive
from optimiser.solve.kept import Kept, TakenUp, take_up
from optimiser.solve.lshaped import Standing
from optimiser.solve.twostage import Cuts, Settings, TwoStageSolution
from optimiser.verify import verify

Floats = NDArray[np.float64]
Box = tuple[tuple[int, int], ...]  # least and most of each part of the signature

#: Most alternatives looked for.
MOST = 60
#: Gap to which the best plan of a box is proved, as a share of how much dearer a plan may be: it is split all the same.
COARSER = 0.25
#: How many of the most different are put first.
FIRST = 5


@dataclass(frozen=True)
class Mark:
    """One part of the signature: a sum of first-stage columns, whole numbers of something.

    ``beds`` is what one of it counts when plans are compared: a home counts its beds, an extension one.
    """

    kind: str  # begin, award or extend
    item: str
    node: int
    year: str | None  # financial year, for homes
    option: int | None  # for extensions
    columns: tuple[int, ...]
    beds: int
    most: int


@dataclass(frozen=True, eq=False)
class Alternative:
    """The best plan found of one signature: its objective, and a bound that holds for every plan of the signature.

    ``borderline``: it costs more than the limit, by less than the search can tell.
    """

    signature: tuple[int, ...]
    decisions: Decisions
    objective: float
    bound: float
    borderline: bool


@dataclass(frozen=True, eq=False)
class Listed:
    """Alternatives, cheapest first, and what is known of all others."""

    marks: tuple[Mark, ...]
    alternatives: tuple[Alternative, ...]
    limit: float  # objective up to which plans were looked for, £
    best_bound: float
    complete: bool
    boxes: int
    open_bound: float | None  # least bound of what was not looked through; None where complete
    stopped: bool = False  # by hand
    taken_up: TakenUp | None = None  # of an earlier run, where it was asked for


def marks_of(problem: Problem, first: FirstStage, branches: bool = False) -> tuple[Mark, ...]:
    """Parts of the signature of a problem's plans; decisions on branches of reviews only where asked for."""
    parts: dict[tuple[str, str, int, str | None, int | None], list[int]] = {}
    beds: dict[str, int] = {}

    def add(kind: str, item: str, node: int, year: str | None, option: int | None, column: int | None) -> None:
        if column is not None and (branches or node == 0):
            parts.setdefault((kind, item, node, year, option), []).append(column)

    for begin in problem.begins:
        name, year = problem.homes[begin.home], problem.financial_years[problem.period_year[begin.period]]
        beds[name] = int(problem.home_beds[begin.home])
        index = begin.home, begin.node, begin.period
        add("begin", name, begin.node, year, None, first.columns["homes_begun"].get(index))
    for award in problem.awards:
        for tier in range(len(problem.lot_tiers[award.lot])):
            tiered = award.lot, tier, award.node, award.period
            column = first.columns["beds_in_tier"].get(tiered)
            add("award", problem.lots[award.lot], award.node, None, None, column)
    for place, which in enumerate(problem.extensions):
        if which.supply is not None:
            contract = problem.supplies[which.supply]
        else:
            assert which.award is not None
            contract = problem.lots[problem.awards[which.award].lot]
        column = first.columns["extension_taken"].get(place)
        add("extend", contract, which.node, None, which.option, column)
    upper = first.stage.upper
    return tuple(
        Mark(
            kind,
            item,
            node,
            year,
            option,
            tuple(columns),
            beds[item] if kind == "begin" else 1,
            round(float(upper[columns].sum())),
        )
        for (kind, item, node, year, option), columns in parts.items()
    )


# the search


@dataclass(frozen=True, eq=False)
class Choice:
    """The best plan found of one signature of a part: ``bound`` holds for every plan of the signature."""

    signature: tuple[int, ...]
    x: Floats  # [column of the part]
    objective: float
    bound: float


class Part:
    """A part of a problem and its signatures by branch and bound over boxes of them."""

    def __init__(
        self,
        part: Component,
        marks: tuple[Mark, ...],
        own: list[int],
        settings: Settings,
        executor: Executor,
        start: Floats | None = None,
        cuts: Cuts | None = None,
    ) -> None:
        self.columns, self.own, self.settings = part.columns, own, settings
        place_of = {int(column): place for place, column in enumerate(part.columns)}
        self.sums = np.zeros((len(own), len(part.columns)))  # [mark, column]
        for row, place in enumerate(own):
            self.sums[row, [place_of[column] for column in marks[place].columns]] = 1.0
        # the rules of the signature came last, and their order stands
        self.problem = part.problem
        few = len(part.problem.scenarios) <= FEW_FUTURES
        self.standing = None if few else Standing(part.problem, executor, start, cuts)
        self.found: list[Choice] = []
        self.boxes = 0
        # boxes by the bound of the box that each comes from, lowest first; the number makes the order one
        self.waiting: list[tuple[float, int, Box]] = [(-np.inf, 0, tuple((0, marks[place].most) for place in own))]
        self._number = 0
        self.infeasible = False

    @property
    def bound(self) -> float:
        """What no signature that is not found yet costs less than, unless it costs more than was asked for."""
        return self.waiting[0][0] if self.waiting else np.inf

    def search(self, ceiling: float, gap: float) -> bool:
        """Look for a plan of a signature that is not known yet, below a ceiling; whether there is one.

        It is within ``gap`` of the best plan that is not known yet, and as good as asked for among those of its signature.
        """
        while self.waiting:
            bound_above, number, box = heapq.heappop(self.waiting)
            if bound_above >= ceiling:
                self.waiting = []
                return False
            solved = self._best(box, replace(self.settings, ceiling=ceiling, gap=gap))
            self.boxes += 1
            if solved.status == "infeasible" and not self.found:
                self.infeasible = True
            if solved.status in ("beyond", "infeasible"):
                continue
            bound = max(solved.bound, bound_above)
            if solved.x is None:
                heapq.heappush(self.waiting, (bound, number, box))
                return False
            signature = tuple(round(float(amount)) for amount in self.sums @ solved.x)
            choice = Choice(signature, solved.x, solved.objective, bound)
            if gap > self.settings.gap:
                # dates, and what follows on branches, as good as they can be
                own = self._best(tuple((amount, amount) for amount in signature), self.settings)
                if own.x is not None:
                    choice = Choice(signature, own.x, own.objective, max(own.bound, bound))
            self.found.append(choice)
            for smaller in _around(box, signature):
                self._number += 1
                heapq.heappush(self.waiting, (bound, self._number, smaller))
            return True
        return False

    def _best(self, box: Box, settings: Settings) -> TwoStageSolution:
        """The best plan within a box."""
        first = self.problem.first
        lower, upper = first.row_lower.copy(), first.row_upper.copy()
        if box:
            lower[-len(box) :], upper[-len(box) :] = np.array(box, dtype=float).T
        first = replace(first, row_lower=lower, row_upper=upper)
        if self.standing is not None:
            return self.standing.solve(first, settings, cvar_limit=self.problem.cvar_limit)
        return solve_extensive(replace(self.problem, first=first), settings)


def _around(box: Box, signature: tuple[int, ...]) -> list[Box]:
    """Disjoint boxes that together hold everything in a box but one signature."""
    found = []
    for place, ((least, most), value) in enumerate(zip(box, signature, strict=True)):
        before = tuple((own, own) for own in signature[:place])
        after = box[place + 1 :]
        if value > least:
            found.append((*before, (least, value - 1), *after))
        if value < most:
            found.append((*before, (value + 1, most), *after))
    return found


def enumerate_alternatives(
    engine: Engine,
    settings: Settings,
    *,
    within: float = 0.01,
    branches: bool = False,
    most: int = MOST,
    told: Callable[[str], None] | None = None,
    kept: Kept | None = None,
) -> Listed:
    """Every signature with a plan whose objective lies within a share of the best, cheapest first.

    Parameters
    ----------
    within
        Share of the best objective by which a plan may cost more.
    branches
        Whether decisions on the branches of reviews count as different too.
    most
        Alternatives after which the search ends; the list then is not called complete.
    kept
        What an earlier run has learned: the search starts from it, as far as it still holds.

    Raises
    ------
    InfeasibleError, NoPlanError
        Where there is no plan, or none was found in the time.
    """
    marks = marks_of(engine.problem, engine.first, branches)
    with ThreadPoolExecutor(settings.workers) as executor:
        parts, taken = _parts(engine, marks, settings, executor, kept)
        return replace(_listed(parts, engine, marks, settings, within, most, told), taken_up=taken)


def _listed(
    parts: list[Part],
    engine: Engine,
    marks: tuple[Mark, ...],
    settings: Settings,
    within: float,
    most: int,
    told: Callable[[str], None] | None,
) -> Listed:
    for part in parts:
        if part.search(np.inf, settings.gap):
            continue
        if part.infeasible:
            raise InfeasibleError("no plan keeps every limit; optimiser plan says which limits clash")
        raise NoPlanError("stopped before any plan was found: allow more time or fewer futures (--scenarios)")
    objective, best_bound = (sum(getattr(part.found[0], name) for part in parts) for name in ("objective", "bound"))
    limit = objective + within * abs(objective)
    for part in parts:
        # what the other parts cost at least is what this one cannot spend
        ceiling = limit - (best_bound - part.found[0].bound)
        while len(part.found) < most and not (settings.stop is not None and settings.stop.is_set()):
            if told is not None:
                boxes = sum(each.boxes for each in parts)
                told(f"{math.prod(len(each.found) for each in parts)} plans; {boxes} boxes searched")
            if not part.search(ceiling, max(settings.gap, COARSER * within)):
                break
    for part in parts:
        part.found.sort(key=lambda choice: (choice.bound, choice.objective, choice.signature))
    together = list(islice(_together(parts, limit), most + 1))
    stopped = settings.stop is not None and settings.stop.is_set()
    complete = len(together) <= most and not any(part.waiting for part in parts)
    # what is left costs no less than the best of some part that is not found yet, with the best of all others
    open_bounds = [best_bound - part.found[0].bound + part.bound for part in parts if part.waiting]
    open_bounds += [_sum(together[most], "bound")] if len(together) > most else []
    alternatives = [_alternative(engine, marks, parts, choices, limit) for choices in together[:most]]
    return Listed(
        marks,
        tuple(sorted(alternatives, key=lambda each: (each.objective, each.signature))),
        limit,
        best_bound,
        complete=complete,
        stopped=stopped,
        boxes=sum(part.boxes for part in parts),
        open_bound=None if complete else min(open_bounds),
    )


def _parts(
    engine: Engine, marks: tuple[Mark, ...], settings: Settings, executor: Executor, kept: Kept | None
) -> tuple[list[Part], TakenUp | None]:
    """The parts of a problem, none of which has a share in a mark of another; and what of an earlier run still holds."""
    first = engine.two_stage.first
    sums = np.zeros((len(marks), len(first.cost)))
    for row, mark in enumerate(marks):
        sums[row, list(mark.columns)] = 1.0
    # a rule without limits for each mark keeps its columns in one part
    joined = replace(
        first,
        matrix=sparse.csr_matrix(sparse.vstack([first.matrix, sparse.csr_matrix(sums)])),
        row_lower=np.append(first.row_lower, np.full(len(marks), -np.inf)),
        row_upper=np.append(first.row_upper, np.full(len(marks), np.inf)),
    )
    parts = components_of(replace(engine.two_stage, first=joined))
    own: list[list[int]] = [
        [place for place, mark in enumerate(marks) if mark.columns[0] in set(part.columns.tolist())] for part in parts
    ]
    if kept is None:
        made = [Part(part, marks, places, settings, executor) for part, places in zip(parts, own, strict=True)]
        return made, None
    cuts, x, taken = take_up(kept, engine.first, engine.template, engine.two_stage.scenarios, parts)
    if len(parts) < len(components_of(engine.two_stage)):
        # where marks join parts, points and bases of the parts before are of other columns; duals are by row
        cuts = tuple(replace(each, bases=(), points=()) for each in cuts)
    made = [
        Part(part, marks, places, settings, executor, x[part.columns], learned)
        for part, places, learned in zip(parts, own, cuts, strict=True)
    ]
    return made, taken if any(part.standing is not None for part in made) else None


def _together(parts: list[Part], limit: float) -> Iterator[tuple[Choice, ...]]:
    """Choices of all parts whose bounds add up to no more than the limit, the cheapest together first."""
    start = (0,) * len(parts)
    waiting, seen = [(0.0, start)], {start}
    while waiting:
        _, places = heapq.heappop(waiting)
        choices = tuple(part.found[place] for part, place in zip(parts, places, strict=True))
        if _sum(choices, "bound") <= limit:
            yield choices
        # bounds of a part never fall from one choice to the next
        for number in range(len(parts)):
            after = (*places[:number], places[number] + 1, *places[number + 1 :])
            if after in seen or after[number] >= len(parts[number].found):
                continue
            seen.add(after)
            cost = sum(part.found[place].bound for part, place in zip(parts, after, strict=True))
            if cost <= limit:
                heapq.heappush(waiting, (cost, after))


def _sum(choices: tuple[Choice, ...], name: str) -> float:
    return float(sum(getattr(choice, name) for choice in choices))


def _alternative(
    engine: Engine, marks: tuple[Mark, ...], parts: list[Part], choices: tuple[Choice, ...], limit: float
) -> Alternative:
    """The plan that choices of all parts make together."""
    x = np.zeros(len(engine.first.stage.cost))
    signature = [0] * len(marks)
    for part, choice in zip(parts, choices, strict=True):
        x[part.columns] = choice.x
        for place, amount in zip(part.own, choice.signature, strict=True):
            signature[place] = amount
    decisions = with_managers_needed(engine.problem, decisions_from(engine.first, engine.problem, x))
    objective = _sum(choices, "objective")
    return Alternative(tuple(signature), decisions, objective, _sum(choices, "bound"), objective > limit)


def most_different(listed: Listed) -> list[int]:
    """Positions of the alternatives, the best first, then always the one farthest from all before it.

    Distance is the sum of differences in beds, an extension counting as one; of those as far, the cheapest.
    """
    weights = np.array([mark.beds for mark in listed.marks], dtype=float)
    points = np.array([each.signature for each in listed.alternatives], dtype=float).reshape(-1, len(weights)) * weights
    order = [0]
    nearest = np.abs(points - points[0]).sum(axis=1)
    while len(order) < len(points):
        nearest[order] = -1.0
        farthest = int(np.argmax(nearest))
        order.append(farthest)
        nearest = np.minimum(nearest, np.abs(points - points[farthest]).sum(axis=1))
    return order


# the document


def alternatives(
    instance: Instance,
    asked: Asked,
    told: Told | None = None,
    within: float = 0.01,
    *,
    branches: bool = False,
    most: int = MOST,
) -> Row:
    """Every materially different plan within a stated cost of the best, with what each trades: one document.

    Parameters
    ----------
    within
        Share of the best objective by which a plan may cost more.
    branches
        Whether decisions on the branches of reviews count as different too.
    most
        Alternatives after which the search ends, and says so.

    Raises
    ------
    InfeasibleError, NoPlanError, SolverError
        As for a plan.
    """
    told = told or Told()
    began = time.perf_counter()
    with stopped_by_hand() as stop:
        told.step("drawing futures and building the model")
        instance, engine = prepare(instance, asked)
        refuse_if_stopped(stop)
        settings = Settings(gap=asked.gap, time_limit=asked.time_limit, stop=stop)
        told.step("searching for the best plan")
        listed = enumerate_alternatives(
            engine, settings, within=within, branches=branches, most=most, told=told.step, kept=asked.start
        )
    told.step("checking every plan")
    plans = [_checked(instance, engine, each) for each in listed.alternatives]
    rank = {position: place for place, position in enumerate(most_different(listed), start=1)}
    best = plans[0]
    rows = [
        _row(engine.problem, listed, each, plan, best) | {"difference_rank": rank[position]}
        for position, (each, plan) in enumerate(zip(listed.alternatives, plans, strict=True))
    ]
    return {
        "document": "alternatives/1",
        "instance": instance_row(instance),
        "titles": titles_of(instance),
        "branches": [node.branch for node in engine.problem.nodes],
        "unregistered_name": engine.problem.unregistered_name,
        "futures": len(engine.problem.scenarios),
        "seed": instance.settings.seed if asked.seed is None else asked.seed,
        "gap_asked": asked.gap,
        "within": within,
        "limit_gbp": listed.limit,
        "best_bound_gbp": listed.best_bound,
        "cvar_level": engine.problem.cvar_level,
        "rounding_gbp": rounding(best.verified.expected_cost),
        "complete": listed.complete,
        "stopped": listed.stopped,
        "open_bound_gbp": listed.open_bound,
        "boxes_searched": listed.boxes,
        "taken_up": None if listed.taken_up is None else asdict(listed.taken_up),
        "marks": [
            {"kind": mark.kind, "item": mark.item, "node": mark.node, "year": mark.year, "option": mark.option}
            for mark in listed.marks
        ],
        # the most different few first, then by cost
        "alternatives": sorted(
            rows, key=lambda row: (min(row["difference_rank"], FIRST + 1), row["objective_gbp"], row["signature"])
        ),
        "versions": versions(),
        "timings": {"total_seconds": time.perf_counter() - began},
    }


def _checked(instance: Instance, engine: Engine, each: Alternative) -> Plan:
    """The plan of an alternative, placed and accepted by the independent recomputation."""
    found = replace(engine.place(each.decisions), bound=each.bound)
    verified = verify(engine.problem, each.decisions, found.placements)
    if verified.violations:
        first = "; ".join(str(violation) for violation in verified.violations[:3])
        raise SolverError(f"the independent recomputation rejects an alternative: {first}")
    return Plan(instance, engine.problem, found, verified)


def _row(problem: Problem, listed: Listed, each: Alternative, plan: Plan, best: Plan) -> Row:
    pounds = plan.scenario_pounds
    voids = plan.voids_by_year()
    return {
        "signature": list(each.signature),
        "objective_gbp": plan.verified.objective,
        "above_best_gbp": plan.verified.objective - best.verified.objective,
        "above_best_share": (plan.verified.objective - best.verified.objective)
        / max(abs(best.verified.objective), 1.0),
        "bound_gbp": each.bound,
        "borderline": each.borderline,
        "expected_cost_gbp": plan.verified.expected_cost,
        "capital_gbp": capital_of(plan),
        "registrations_in_hand": registrations_of(problem, each.decisions),
        "voids_gbp": sum(row["in_house_gbp"] + row["block_gbp"] for row in voids),
        "p90_gbp": plan.quantile(pounds, 0.9),
        "cvar_gbp": tail_mean_of(plan, pounds),
        "moves_at_least": plan.mean(plan.moves.sum(axis=1)),
        "unregistered_child_weeks": plan.mean(plan.unregistered_child_weeks),
        "decisions": decisions_table(problem, each.decisions, plan),
    }


def registrations_of(problem: Problem, decisions: Decisions) -> int:
    """Most homes between start and registration at once, on the path that has most."""
    most = 0
    for leaf in problem.leaves:
        path = problem.path_to(leaf)
        in_hand = np.zeros(len(problem.periods))
        for place, begin in enumerate(problem.begins):
            if begin.node in path:
                in_hand += problem.in_hand[begin.home, begin.period] * decisions.homes_begun[place]
        most = max(most, int(in_hand.max(initial=0.0)))
    return most
