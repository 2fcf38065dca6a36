"""Every materially different plan within a stated cost of the best, and what each trades.

Two plans differ materially where their *signatures* do: homes begun by type, node of the tree and financial year; committed
beds by lot and node; extensions by contract, option and node. By default only what is decided before the first review
counts, and what follows on its branches is as best.

Branch and bound over boxes of signatures: the best plan of a box is found with its bound by the same search as ever, under
further first-stage rows. A box whose bound lies above the limit is discarded; otherwise its best plan is recorded and the box
is split around that plan's signature into disjoint boxes. At the end every signature is recorded, or lies in a box
that a bound discards: that is the proof that the list is complete. Rows of the first stage change no cut, so what
one box teaches of the placements serves every other.
"""

from __future__ import annotations

import heapq
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace

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
from optimiser.solve.lshaped import solve_lshaped
from optimiser.solve.twostage import Cuts, Round, Settings, TwoStageSolution
from optimiser.verify import verify

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Box = tuple[tuple[int, int], ...]  # least and most of each part of the signature

#: Most alternatives looked for, and boxes searched.
MOST, BOXES = 60, 2000
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


class Boxes:
    """Best plans within boxes of signatures, part by part where a problem falls apart; nothing is solved twice."""

    def __init__(self, engine: Engine, marks: tuple[Mark, ...], settings: Settings) -> None:
        self.engine, self.marks, self.settings = engine, marks, settings
        first = engine.two_stage.first
        rows = np.repeat(np.arange(len(marks)), [len(mark.columns) for mark in marks])
        columns = np.array([column for mark in marks for column in mark.columns], dtype=np.int64)
        shape = len(marks), len(first.cost)
        self.sums = sparse.csr_matrix((np.ones(len(columns)), (rows, columns)), shape=shape)
        # the rows are there from the start, without limits, so that every box has the same parts
        self.wide = replace(
            engine.two_stage,
            first=replace(
                first,
                matrix=sparse.csr_matrix(sparse.vstack([first.matrix, self.sums])),
                row_lower=np.concatenate([first.row_lower, np.full(len(marks), -np.inf)]),
                row_upper=np.concatenate([first.row_upper, np.full(len(marks), np.inf)]),
            ),
        )
        self.parts = components_of(self.wide)
        part_of = np.zeros(len(first.cost), dtype=np.int64)
        for number, part in enumerate(self.parts):
            part_of[part.columns] = number
        self.own = [
            [place for place, mark in enumerate(marks) if part_of[mark.columns[0]] == number]
            for number in range(len(self.parts))
        ]
        self.kept: list[Cuts | None] = [None] * len(self.parts)
        self.known: dict[tuple[int, Box], TwoStageSolution] = {}
        self.least = [-np.inf] * len(self.parts)  # bound of each part whatever the box
        self.searches = 0

    @property
    def whole(self) -> Box:
        """The box of all signatures."""
        return tuple((0, mark.most) for mark in self.marks)

    @property
    def stopped(self) -> bool:
        """Whether somebody has asked to stop."""
        return self.settings.stop is not None and self.settings.stop.is_set()

    def signature(self, x: Floats) -> tuple[int, ...]:
        """Signature of first-stage values [column]."""
        return tuple(round(float(amount)) for amount in self.sums @ x)

    def best(self, box: Box, above: float = np.inf) -> tuple[Floats | None, float, float]:
        """First-stage values of the best plan within a box (None where none is needed), its objective, and the bound.

        ``above``: once the bound lies beyond this, no plan is asked for.
        """
        x = np.zeros(len(self.engine.first.stage.cost))
        found = [self.known.get((number, self._part_box(number, box))) for number in range(len(self.parts))]
        bounds = [least if part is None else part.bound for least, part in zip(self.least, found, strict=True)]
        for number, part in enumerate(self.parts):
            solved = found[number]
            if (solved is None or (solved.status == "stopped" and sum(bounds) <= above)) and not self.stopped:
                rest = sum(bounds[:number]) + sum(bounds[number + 1 :])
                solved = self._search(number, part, box, above - rest)
                bounds[number] = solved.bound
            if solved is not None and solved.x is None and solved.status == "infeasible":
                return None, np.inf, np.inf
            if sum(bounds) > above or solved is None or solved.x is None:
                return None, np.inf, sum(bounds)
            found[number] = solved
            x[part.columns] = solved.x
        return x, sum(part.objective for part in found if part is not None), sum(bounds)

    def _part_box(self, number: int, box: Box) -> Box:
        return tuple(box[place] for place in self.own[number])

    def _search(self, number: int, part: Component, box: Box, above: float) -> TwoStageSolution:
        own = self._part_box(number, box)
        first = part.problem.first
        lower, upper = first.row_lower.copy(), first.row_upper.copy()
        if own:
            # the rows of the signature came last, and their order stands
            lower[-len(own) :], upper[-len(own) :] = np.array(own, dtype=float).T
        problem = replace(part.problem, first=replace(first, row_lower=lower, row_upper=upper))
        self.searches += 1
        if len(problem.scenarios) <= FEW_FUTURES:
            solved = solve_extensive(problem, self.settings)
        else:
            enough = threading.Event()
            asked = replace(self.settings, stop=enough)

            def listen(found: Round) -> None:
                # by the bound alone, never by a clock: the same comes out on any machine
                if found.bound > above or self.stopped:
                    enough.set()

            solved = solve_lshaped(problem, asked, cuts=self.kept[number], progress=listen)
        if solved.cuts is not None:
            self.kept[number] = solved.cuts
        if self.least[number] == -np.inf:
            self.least[number] = solved.bound
        self.known[number, own] = solved
        return solved


def enumerate_alternatives(
    engine: Engine,
    settings: Settings,
    *,
    within: float = 0.01,
    branches: bool = False,
    most: int = MOST,
    most_boxes: int = BOXES,
    told: Callable[[str], None] | None = None,
) -> Listed:
    """Every signature with a plan whose objective lies within a share of the best, cheapest first.

    Parameters
    ----------
    within
        Share of the best objective by which a plan may cost more.
    branches
        Whether decisions on the branches of reviews count as different too.
    most, most_boxes
        Alternatives and boxes after which the search ends; the list then is not called complete.

    Raises
    ------
    InfeasibleError, NoPlanError
        Where there is no plan, or none was found in the time.
    """
    marks = marks_of(engine.problem, engine.first, branches)
    boxes = Boxes(engine, marks, settings)
    x, objective, bound = boxes.best(boxes.whole)
    if x is None:
        if bound == np.inf:
            raise InfeasibleError("no plan keeps every limit; optimiser plan says which limits clash")
        raise NoPlanError("stopped before any plan was found: allow more time or fewer futures (--scenarios)")
    limit = objective + within * abs(objective)
    best_bound = bound
    found: list[Alternative] = []
    # boxes by the bound of the box that each comes from, lowest first; the number makes the order one
    waiting: list[tuple[float, int, Box]] = [(bound, 0, boxes.whole)]
    number = searched = 0
    while waiting and len(found) < most and searched < most_boxes:
        bound_above, _, box = heapq.heappop(waiting)
        x, objective, bound = boxes.best(box, limit)
        searched += 1
        if told is not None:
            told(f"{len(found)} plans; {searched} boxes searched, {len(waiting)} left")
        if x is None:
            if bound > limit:
                continue
            # stopped by hand or by the time limit before anything was known of it
            heapq.heappush(waiting, (bound_above, number, box))
            break
        signature = boxes.signature(x)
        decisions = with_managers_needed(engine.problem, decisions_from(engine.first, engine.problem, x))
        bound = max(bound, bound_above)
        found.append(Alternative(signature, decisions, objective, bound, objective > limit))
        for smaller in _around(box, signature):
            number += 1
            heapq.heappush(waiting, (bound, number, smaller))
        if boxes.stopped:
            break
    order = sorted(found, key=lambda each: (each.objective, each.signature))
    return Listed(
        marks,
        tuple(order),
        limit,
        best_bound,
        complete=not waiting,
        stopped=boxes.stopped,
        boxes=searched,
        open_bound=waiting[0][0] if waiting else None,
    )


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
        listed = enumerate_alternatives(engine, settings, within=within, branches=branches, most=most, told=told.step)
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
