"""A problem compiled once, then solved, placed and solved again under other limits."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace
from functools import partial
from types import FrameType

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from models.decisions import Decisions, Placements, with_managers_needed
from models.problem import Problem
from optimiser.errors import SolverError
from optimiser.solve.compile import (
    BUDGETS,
    DECISIONS,
    Template,
    compile_first_stage,
    compile_problem,
    compile_template,
    decisions_from,
    same_but_for_futures,
    vector_from,
)
from optimiser.solve.components import Component, Solve, components_of, solve_apart
from optimiser.solve.extensive import solve_extensive
from optimiser.solve.highs import Basis, check_version
from optimiser.solve.kept import Kept, TakenUp, keep, take_up
from optimiser.solve.lshaped import Standing, solve_lshaped
from optimiser.solve.recourse import recourse_at
from optimiser.solve.twostage import Cuts, Round, Settings, Stage, TwoStageProblem, TwoStageSolution

Floats = NDArray[np.float64]
Bounds = dict[tuple[str, object], tuple[float, float]]
Prices = dict[tuple[str, object], float]

WORKERS = 2
#: Child-weeks that no future can have.
AMPLE = 1e6
#: Up to so many futures the extensive form is the quicker way.
FEW_FUTURES = 4


@dataclass(frozen=True, eq=False)
class Found:
    """Decisions, where children live in every future under them, and a bound that holds for any plan within the limits.

    ``status`` is optimal, stopped or placed (decisions given, nothing searched).
    """

    decisions: Decisions
    placements: tuple[Placements, ...]
    bound: float
    status: str
    seconds: float
    method: str
    joined: tuple[int, ...] = ()  # authorities in the plan, where that is decided


@dataclass(frozen=True, eq=False)
class Row:
    """A further rule of the first stage: least <= sum of factor * decision <= most, decisions as (variable, index)."""

    factors: dict[tuple[str, object], float]
    least: float
    most: float


class Engine:
    """A problem as arrays: solved, placed under given decisions, or solved again under other first-stage limits."""

    def __init__(self, problem: Problem, executor: Executor | None = None) -> None:
        """``executor`` is where recourse problems are solved; threads of each search's own without one."""
        check_version()
        self.problem, self.executor = problem, executor
        compiled = compile_problem(problem)
        self.first, self.template, self.two_stage = compiled.first, compiled.template, compiled.two_stage
        self._kept: tuple[Cuts | None, ...] | None = None
        self._best: Floats | None = None
        self._start: Floats | None = None
        self._components: tuple[Component, ...] | None = None
        self._standing: StandingParts | None = None

    def stand(self) -> Engine:
        """The same, whose searches and those of every engine made from it go on in memory, each from where the last ended.

        That takes memory, and a search then depends on those before it: for a run of questions about one model.
        """
        self._standing = StandingParts() if self._standing is None else self._standing
        return self

    def search(
        self,
        settings: Settings,
        *,
        bounds: Bounds | None = None,
        start: Decisions | None = None,
        progress: Callable[[Round], None] | None = None,
        method: str = "auto",
        prices: Prices | None = None,
        constant: float = 0.0,
        rows: Sequence[Row] = (),
        learn: bool = False,
    ) -> Found | TwoStageSolution:
        """Best plan within the limits; the bare two-stage result where there is none (infeasible, or stopped too soon).

        Parameters
        ----------
        bounds
            Closer limits on decisions: (variable, index) to (least, most).
        start
            A feasible plan to start from.
        method
            ``auto``, ``extensive`` or ``lshaped``.
        prices
            What decisions cost on top, £ each: (variable, index) to price. Bound and what is minimised count them.
        constant
            £ added to what is minimised whatever is decided: the gap is relative to all of it.
        rows
            Further rules of the first stage.
        learn
            Keep what a search within closer limits learned too, for the next; one without any is always kept.
        """
        began = time.perf_counter()
        limited = bounds or prices or rows or constant
        within = self._within(bounds or {}, prices or {}, rows, constant) if limited else None
        parts = self._parts() if within is None else components_of(within)
        point = self._start if start is None else vector_from(self.first, self.problem, start)
        if point is not None and bounds:
            point = self._held(point, bounds)
        if method == "auto":
            method = "extensive" if len(self.problem.scenarios) <= FEW_FUTURES else "lshaped"
        kept = self._kept if self._kept is not None and len(self._kept) == len(parts) else None
        solver: Solve = by_extensive_form if method == "extensive" else partial(by_lshaped, self.executor)
        if method == "lshaped" and self._standing is not None and not constant:
            solver = self._standing.solver(parts, self.executor)
        found, learned = solve_apart(
            parts,
            settings,
            solver,
            size=len(self.first.stage.cost),
            start=point,
            kept=kept,
            progress=progress,
        )
        if found.x is not None and (learn or not (bounds or prices or rows)):
            self._kept, self._best = learned, found.x
        if found.status == "unbounded":
            raise SolverError(
                "the problem is unbounded: some price is below zero. Check prices, contributions and grants"
            )
        if found.x is None:
            return found
        decisions = with_managers_needed(self.problem, decisions_from(self.first, self.problem, found.x))
        placed = found.recourse or self._placed(decisions, found.x)
        return self._found(decisions, placed, found, time.perf_counter() - began, method)

    def plan_of(self, found: TwoStageSolution, bases: Sequence[Basis | None]) -> Found:
        """The plan of a solution with a best point, placed anew in every future; ``bases`` [future] to start from."""
        assert found.x is not None
        decisions = with_managers_needed(self.problem, decisions_from(self.first, self.problem, found.x))
        return self._found(decisions, self._placed(decisions, found.x, bases), found, found.seconds, "lshaped")

    def place(self, decisions: Decisions) -> Found:
        """Best placements in every future under given decisions.

        Where limits across futures cannot be kept under these decisions, they are let go of: the independent
        recomputation then says by how much.
        """
        began = time.perf_counter()
        x = vector_from(self.first, self.problem, decisions)
        if not self.first.separable:
            # budgets across futures are still to be shared out
            values = {
                (name, index): (float(x[column]), float(x[column]))
                for name in DECISIONS
                for index, column in self.first.columns[name].items()
            }
            found = self.search(Settings(gap=1e-4), bounds=values)
            if isinstance(found, Found):
                return replace(found, decisions=decisions, status="placed")
            for name in BUDGETS:
                x[list(self.first.columns[name].values())] = 1.0 if name == "any_unregistered" else AMPLE
        placements = self._placements(self._placed(decisions, x))
        return Found(decisions, placements, -np.inf, "placed", time.perf_counter() - began, "placement")

    def under(self, problem: Problem) -> Engine:
        """The same futures under other first-stage limits; what has been learned about placements is kept.

        ``problem`` may differ from this one's only in limits of the first stage: envelopes, registrations, managers,
        homes available, lot sizes, tolerances, CVaR.
        """
        other = Engine.__new__(Engine)
        other.problem, other.template, other.executor = problem, self.template, self.executor
        other._kept, other._best, other._start, other._components = self._kept, None, None, None
        other._standing = self._standing
        other.first = compile_first_stage(problem)
        other.two_stage = replace(self.two_stage, first=other.first.stage, cvar_limit=problem.cvar_limit)
        return other

    def onward(self, problem: Problem, executor: Executor | None = None) -> Engine:
        """The same as ``under``, to start from the best plan so far or from where this one would; where futures are solved."""
        other = self.under(problem)
        other.executor, other._start = executor, self._start if self._best is None else self._best
        return other

    def learned(self) -> TakenUp:
        """How many vectors the next search starts from; none of them is ever dropped where only limits have changed."""
        return TakenUp(sum(0 if cuts is None else len(cuts.dual) for cuts in self._learned() or ()), 0, 0)

    def keep(self) -> Kept | None:
        """What the last search within all limits learned, for another run; None where it learned nothing to keep."""
        learned = self._learned()
        if learned is None or self._best is None or all(cuts is None for cuts in learned):
            return None
        return keep(self.first, self.template, self.two_stage.scenarios, self._parts(), learned, self._best)

    def take_up(self, kept: Kept) -> TakenUp:
        """Start the next search from what another run has kept, as far as it still holds."""
        self._kept, self._start, taken = take_up(
            kept, self.first, self.template, self.two_stage.scenarios, self._parts()
        )
        return taken

    # inner workings

    def _learned(self) -> tuple[Cuts | None, ...] | None:
        """What searches have learned of each part, None where nothing has been."""
        if self._standing is None or self._kept is None:
            return self._kept
        return self._standing.kept(self._parts(), self._kept)

    def _parts(self) -> tuple[Component, ...]:
        """The parts of the problem within its own limits."""
        if self._components is None:
            self._components = components_of(self.two_stage)
        return self._components

    def _within(self, bounds: Bounds, prices: Prices, rows: Sequence[Row], constant: float) -> TwoStageProblem:
        if not bounds and not prices and not rows and not constant:
            return self.two_stage
        scenarios = self.two_stage.scenarios
        if constant:
            scenarios = tuple(replace(each, offset=each.offset + constant) for each in scenarios)
        return replace(self.two_stage, first=self.first_stage(bounds, prices, rows), scenarios=scenarios)

    def first_stage(self, bounds: Bounds, prices: Prices | None = None, rows: Sequence[Row] = ()) -> Stage:
        """The first stage within closer limits, at further prices and under further rules, as ``search`` takes them."""
        first = self.two_stage.first
        lower, upper, cost = first.lower.copy(), first.upper.copy(), first.cost.copy()
        for (name, index), (least, most) in bounds.items():
            column = self.first.columns[name].get(index)
            if column is not None:
                lower[column], upper[column] = least, most
        for (name, index), price in (prices or {}).items():
            cost[self.first.columns[name][index]] += price
        changed = replace(first, lower=lower, upper=upper, cost=cost)
        if rows:
            more = np.zeros((len(rows), len(cost)))
            for place, row in enumerate(rows):
                for (name, index), factor in row.factors.items():
                    more[place, self.first.columns[name][index]] = factor
            changed = replace(
                changed,
                matrix=sparse.csr_matrix(sparse.vstack([first.matrix, sparse.csr_matrix(more)])),
                row_lower=np.append(first.row_lower, [row.least for row in rows]),
                row_upper=np.append(first.row_upper, [row.most for row in rows]),
            )
        return changed

    def _held(self, point: Floats, bounds: Bounds) -> Floats:
        """A first-stage point [column] with what is bounded brought within its bounds."""
        held = point.copy()
        for (name, index), (least, most) in bounds.items():
            column = self.first.columns[name].get(index)
            if column is not None:
                held[column] = min(max(held[column], least), most)
        return held

    def _found(
        self, decisions: Decisions, placed: Iterable[Floats], found: TwoStageSolution, seconds: float, method: str
    ) -> Found:
        assert found.x is not None
        joined = tuple(place for place, column in self.first.columns["joined"].items() if found.x[column] > 0.5)
        return Found(decisions, self._placements(placed), found.bound, found.status, seconds, method, joined)

    def _placed(self, decisions: Decisions, x: Floats, bases: Sequence[Basis | None] | None = None) -> Iterator[Floats]:
        """Placement problem of every future, solved by itself under exactly these whole-number decisions."""
        whole, given = vector_from(self.first, self.problem, decisions), x.copy()
        for name in DECISIONS:
            columns = list(self.first.columns[name].values())
            given[columns] = whole[columns]
        if bases is None:
            # a search keeps bases by part: they serve the whole where it is of one piece
            held = None if self._standing is None else self._standing.bases(self._parts())
            cuts = self._kept[0] if self._kept is not None and len(self._kept) == 1 else None
            bases = held or (() if cuts is None else cuts.bases)
        return (point.x for point in recourse_at(self.two_stage.scenarios, given, bases=bases))

    def _placements(self, recourse: Iterable[Floats]) -> tuple[Placements, ...]:
        return tuple(self.template.placements(self.problem, y) for y in recourse)


def by_extensive_form(
    problem: TwoStageProblem,
    settings: Settings,
    start: Floats | None,
    kept: Cuts | None,
    progress: Callable[[Round], None] | None,
) -> TwoStageSolution:
    """One part of a problem by its extensive form, which starts from nothing."""
    return solve_extensive(problem, settings)


def by_lshaped(
    executor: Executor | None,
    problem: TwoStageProblem,
    settings: Settings,
    start: Floats | None,
    kept: Cuts | None,
    progress: Callable[[Round], None] | None,
) -> TwoStageSolution:
    """One part of a problem by decomposition."""
    return solve_lshaped(problem, settings, start=start, cuts=kept, executor=executor, progress=progress)


class StandingParts:
    """The searches of the parts of one model, held in memory. A part is known by the columns and rows that it has."""

    def __init__(self) -> None:
        self._held: dict[tuple[bytes, bytes], Standing] = {}

    def solver(self, parts: Sequence[Component], executor: Executor | None) -> Solve:
        """Solves parts of one problem, each by its search."""
        keys = {id(part.problem): _key(part) for part in parts}

        def solve(
            problem: TwoStageProblem,
            settings: Settings,
            start: Floats | None,
            kept: Cuts | None,
            progress: Callable[[Round], None] | None,
        ) -> TwoStageSolution:
            with ThreadPoolExecutor(settings.workers) if executor is None else nullcontext(executor) as pool:
                key = keys[id(problem)]
                if key not in self._held:
                    self._held[key] = Standing(problem, pool, cuts=kept)
                limit = problem.cvar_limit
                return self._held[key].solve(
                    problem.first, settings, cvar_limit=limit, start=start, executor=pool, progress=progress
                )

        return solve

    def kept(self, parts: Sequence[Component], before: tuple[Cuts | None, ...]) -> tuple[Cuts | None, ...]:
        """What the search of each part has learned; what was there before where it has not been asked."""
        held = [self._held.get(_key(part)) for part in parts]
        before = before if len(before) == len(parts) else (None,) * len(parts)
        return tuple(cuts if own is None else own.kept() for own, cuts in zip(held, before, strict=True))

    def bases(self, parts: Sequence[Component]) -> Sequence[Basis | None]:
        """Where the last look at the futures ended, [scenario]; none where the problem is of several parts."""
        own = self._held.get(_key(parts[0])) if len(parts) == 1 else None
        return () if own is None else own.bases


def _key(part: Component) -> tuple[bytes, bytes]:
    return part.columns.tobytes(), part.rows.tobytes()


class Placing:
    """Best placements under given decisions for problems that are looked at once, limits across futures apart.

    The template of one problem serves every other that it fits.
    """

    def __init__(self) -> None:
        self._templates: list[Template] = []

    def place(self, problem: Problem, decisions: Decisions) -> tuple[Placements, ...]:
        """Where children live in every future of a problem."""
        problem = replace(problem, local_limits=(), unregistered_limits=())
        template = next((known for known in self._templates if known.fits(problem)), None)
        if template is None:
            like = next((known for known in self._templates if same_but_for_futures(known.problem, problem)), None)
            template = compile_template(problem, compile_first_stage(problem), like)
            self._templates = [template, *(known for known in self._templates if known is not like)]
        scenarios = [template.write(problem, number) for number in range(len(problem.scenarios))]
        found = recourse_at(scenarios, vector_from(template.first, problem, decisions))
        return tuple(template.placements(problem, point.x) for point in found)


@contextmanager
def stopped_by_hand(given: threading.Event | None = None) -> Iterator[threading.Event]:
    """An event that the first Ctrl-C sets instead of ending the program; the second ends it as ever.

    ``given`` is an event that somebody else sets, and Ctrl-C is left to whoever has it.
    """
    if given is not None:
        yield given
        return
    stop = threading.Event()

    def first_time(number: int, frame: FrameType | None) -> None:
        if stop.is_set():
            raise KeyboardInterrupt
        stop.set()

    if threading.current_thread() is not threading.main_thread():
        yield stop
        return
    previous = signal.signal(signal.SIGINT, first_time)
    try:
        yield stop
    finally:
        signal.signal(signal.SIGINT, previous)
