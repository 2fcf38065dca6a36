"""A problem compiled once, then solved, placed and solved again under other limits."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from types import FrameType

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from models.decisions import Decisions, Placements, with_managers_needed
from models.extensive import build_capacity, build_placement
from models.problem import Problem
from optimiser.errors import SolverError
from optimiser.solve.compile import (
    DECISIONS,
    Part,
    collection_paused,
    compile_model,
    decisions_from,
    future_of_rows,
    part_given,
    parts_of,
    placements_from,
    two_stage,
    vector_from,
)
from optimiser.solve.components import components_of, solve_apart
from optimiser.solve.extensive import solve_extensive
from optimiser.solve.highs import Chain, check_version
from optimiser.solve.lshaped import solve_lshaped
from optimiser.solve.twostage import Cuts, Round, Settings, Stage, TwoStageProblem, TwoStageSolution

Floats = NDArray[np.float64]
Bounds = dict[tuple[str, object], tuple[float, float]]

#: Futures placed one after the other from each other's bases. Fixed, so that the same bytes come out on any machine.
CHUNK = 25
WORKERS = 2
#: Rules of the first stage whose limits can be moved without touching what futures see.
LIMITING = (
    "homes_available",
    "capital_within_envelope",
    "registrations_in_hand",
    "homes_have_managers",
    "tier_maximum",
    "lot_maximum",
)
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


class Engine:
    """A problem as arrays: solved, placed under given decisions, or solved again under other first-stage limits."""

    def __init__(self, problem: Problem) -> None:
        check_version()
        self.problem = problem
        self.two_stage, self.compiled = two_stage(problem)
        self.first_columns = np.flatnonzero(self.compiled.column_future < 0)
        self.first_rows = np.flatnonzero(future_of_rows(self.compiled) < 0)
        self._parts: tuple[Part, ...] | None = None
        self._kept: tuple[Cuts | None, ...] | None = None

    def search(
        self,
        settings: Settings,
        *,
        bounds: Bounds | None = None,
        start: Decisions | None = None,
        progress: Callable[[Round], None] | None = None,
        method: str = "auto",
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
        """
        began = time.perf_counter()
        parts = components_of(self._within(bounds or {}))
        point = None if start is None else vector_from(self.compiled, self.problem, start)[self.first_columns]
        if method == "auto":
            method = "extensive" if len(self.problem.scenarios) <= FEW_FUTURES else "lshaped"
        kept = self._kept if self._kept is not None and len(self._kept) == len(parts) else None
        found, learned = solve_apart(
            parts,
            settings,
            _extensive if method == "extensive" else _lshaped,
            size=len(self.first_columns),
            start=point,
            kept=kept,
            progress=progress,
        )
        if not bounds and found.x is not None:
            self._kept = learned
        if found.status == "unbounded":
            raise SolverError(
                "the problem is unbounded: some price is below zero. Check prices, contributions and grants"
            )
        if found.x is None:
            return found
        x = np.zeros(len(self.compiled.column_future))
        x[self.first_columns] = found.x
        decisions = with_managers_needed(self.problem, decisions_from(self.compiled, self.problem, x))
        return Found(
            decisions,
            self._placed(decisions, x),
            found.bound,
            found.status,
            time.perf_counter() - began,
            method,
        )

    def place(self, decisions: Decisions) -> Found:
        """Best placements in every future under given decisions.

        Where limits across futures cannot be kept under these decisions, they are let go of: the independent
        recomputation then says by how much.
        """
        began = time.perf_counter()
        x = vector_from(self.compiled, self.problem, decisions)
        if not self.compiled.separable:
            # budgets across futures are still to be shared out
            values = {
                (name, index): (float(x[column]), float(x[column]))
                for name in DECISIONS
                for index, column in self.compiled.columns[name].items()
            }
            found = self.search(Settings(gap=1e-4), bounds=values)
            if isinstance(found, Found):
                return replace(found, decisions=decisions, status="placed")
            for name in ("local_budget", "unregistered_budget"):
                x[list(self.compiled.columns[name].values())] = AMPLE
            x[list(self.compiled.columns["any_unregistered"].values())] = 1.0
        placements = self._placed(decisions, x)
        return Found(decisions, placements, -np.inf, "placed", time.perf_counter() - began, "placement")

    def under(self, problem: Problem) -> Engine:
        """The same futures under other first-stage limits; what has been learned about placements is kept.

        ``problem`` may differ from this one's only in limits of the first stage: envelopes, registrations, managers,
        homes available, lot sizes, tolerances, CVaR.
        """
        other = Engine.__new__(Engine)
        other.problem, other.compiled = problem, self.compiled
        other.two_stage = replace(self.two_stage, first=self._first_under(problem), cvar_limit=problem.cvar_limit)
        other.first_rows, other.first_columns, other._parts, other._kept = (
            self.first_rows,
            self.first_columns,
            self._parts,
            self._kept,
        )
        return other

    # inner workings

    def _first_under(self, problem: Problem) -> Stage:
        """First stage under other limits: the capacity rules compiled anew, with one future to stand for all."""
        stand_in = replace(problem.scenarios[0], probability=1.0)
        alone = replace(problem, scenarios=(stand_in,), local_limits=(), unregistered_limits=())
        small = compile_model(build_capacity(alone))
        first = self.two_stage.first
        matrix = first.matrix.tolil(copy=True)
        row_lower, row_upper = first.row_lower.copy(), first.row_upper.copy()
        lower, upper = first.lower.copy(), first.upper.copy()
        place_row = {int(row): place for place, row in enumerate(self.first_rows)}
        place_column = {int(column): place for place, column in enumerate(self.first_columns)}
        column_of = np.full(small.program.matrix.shape[1], -1, dtype=np.int64)
        for name in DECISIONS:
            for index, column in small.columns[name].items():
                whole = self.compiled.columns[name].get(index)
                if whole is None:
                    continue  # nothing in the whole model mentions it
                own = column_of[column] = place_column[whole]
                lower[own], upper[own] = small.program.lower[column], small.program.upper[column]
        for name in LIMITING:
            for index, rows in small.rows.get(name, {}).items():
                for row, own_row in zip(rows, self.compiled.rows[name][index], strict=True):
                    own = place_row[int(own_row)]
                    entry = small.program.matrix[int(row)]
                    matrix[own] = 0.0
                    matrix[own, column_of[entry.indices]] = entry.data
                    row_lower[own], row_upper[own] = small.program.row_lower[row], small.program.row_upper[row]
        for position, tolerance in enumerate(problem.unregistered_limits):
            for name, limit in (
                ("registered_in_expectation", tolerance.child_weeks),
                ("registered_reliably", tolerance.epsilon),
            ):
                for index, own_rows in self.compiled.rows.get(name, {}).items():
                    if limit is not None and (index if isinstance(index, int) else index[0]) == position:
                        row_upper[[place_row[int(row)] for row in own_rows]] = limit
        return replace(
            first, matrix=sparse.csr_matrix(matrix), row_lower=row_lower, row_upper=row_upper, lower=lower, upper=upper
        )

    def _within(self, bounds: Bounds) -> TwoStageProblem:
        if not bounds:
            return self.two_stage
        first = self.two_stage.first
        lower, upper = first.lower.copy(), first.upper.copy()
        place = {int(column): position for position, column in enumerate(self.first_columns)}
        for (name, index), (least, most) in bounds.items():
            column = self.compiled.columns[name].get(index)
            if column is not None:
                lower[place[column]], upper[place[column]] = least, most
        return replace(self.two_stage, first=replace(first, lower=lower, upper=upper))

    def _placed(self, decisions: Decisions, x: Floats) -> tuple[Placements, ...]:
        """Placements of every future, each solved by itself under exactly these whole-number decisions."""
        if self._parts is None:
            self._parts = parts_of(self.compiled)
        whole = vector_from(self.compiled, self.problem, decisions)
        given = x.copy()
        for name in DECISIONS:
            columns = list(self.compiled.columns[name].values())
            given[columns] = whole[columns]
        given[self.compiled.column_future >= 0] = 0.0
        parts = self._parts

        def place(chunk: range) -> list[tuple[Part, Floats]]:
            chain = Chain()
            solved = []
            for number in chunk:
                outcome = chain.solve(part_given(self.compiled, parts[number], given))
                if outcome.x is None:
                    name = self.problem.scenarios[number].name
                    raise SolverError(f"{name}: no placement of children found under the decisions ({outcome.status})")
                solved.append((parts[number], outcome.x))
            return solved

        chunks = [range(start, min(start + CHUNK, len(parts))) for start in range(0, len(parts), CHUNK)]
        with ThreadPoolExecutor(WORKERS) as pool:
            for solved in pool.map(place, chunks):
                for part, values in solved:
                    given[part.columns] = values
        return placements_from(self.compiled, self.problem, given)


def _extensive(
    problem: TwoStageProblem,
    settings: Settings,
    start: Floats | None,
    kept: Cuts | None,
    progress: Callable[[Round], None] | None,
) -> TwoStageSolution:
    return solve_extensive(problem, settings)


def _lshaped(
    problem: TwoStageProblem,
    settings: Settings,
    start: Floats | None,
    kept: Cuts | None,
    progress: Callable[[Round], None] | None,
) -> TwoStageSolution:
    return solve_lshaped(problem, settings, start=start, cuts=kept, progress=progress)


def place_alone(problem: Problem, decisions: Decisions) -> tuple[Placements, ...]:
    """Best placements in every future under given decisions, limits across futures apart.

    For a few futures that are looked at once: nothing is compiled but where children live.
    """
    with collection_paused():
        compiled = compile_model(build_placement(problem, decisions))
    x = np.zeros(len(compiled.column_future))
    chain = Chain()
    parts = parts_of(compiled)
    for part, given in zip(parts, [part_given(compiled, part, x) for part in parts], strict=True):
        outcome = chain.solve(given)
        if outcome.x is None:
            raise SolverError(f"no placement of children found under the decisions ({outcome.status})")
        x[part.columns] = outcome.x
    return placements_from(compiled, problem, x)


@contextmanager
def stopped_by_hand() -> Iterator[threading.Event]:
    """An event that the first Ctrl-C sets instead of ending the program; the second ends it as ever."""
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
