"""The recourse problem of one scenario: what it costs at a first-stage point, and the cut that its duals give.

Every cut is computed from duals by the dual objective, never from an optimal value: rounding errors cannot make it cut too
deep.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import nullcontext
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from scipy import sparse

from optimiser.errors import SolverError
from optimiser.solve.highs import Basis, Point, Program, Warm
from optimiser.solve.packed import PackedScenario
from optimiser.solve.twostage import Bools, Floats, Scenario, Stage, Thin, fingerprint, thin

#: Scenarios solved one after the other in one thread where nothing but the best recourse is asked for.
CHAIN = 25
#: Wrong signs of reduced costs up to this much, relative to costs, are rounding errors and paid for in the cut.
NOISE = 1e-6
#: What rows of a scenario may miss in sum, relative to the first stage, and still count as met.
TOUCHING = 1e-7
#: A vector of no length.
NOTHING = thin(np.empty(0))


@dataclass(frozen=True)
class Clock:
    """Says when to stop; in another process it knows the time limit only."""

    ends: float | None  # seconds since the epoch
    stop: threading.Event | None

    @property
    def left(self) -> float | None:
        """Seconds left, None for no limit."""
        return None if self.ends is None else max(self.ends - time.time(), 0.0)

    def stopped(self) -> bool:
        """Whether to stop."""
        left = self.left
        return (left is not None and left <= 0) or (self.stop is not None and self.stop.is_set())

    def __getstate__(self) -> dict[str, float | None]:
        return {"ends": self.ends, "stop": None}


@dataclass(frozen=True, eq=False)
class Answer:
    """What one recourse problem says at a first-stage point: recourse cost >= constant - slope·x for every x.

    Where it is infeasible ``ray`` holds constant, slope and dual of a proof: no x with constant - slope·x > 0 is
    feasible. ``penalised`` is then the cost with what is missed at a high price; otherwise it is the cost.
    """

    value: float  # infinite where infeasible, minus infinite where unbounded
    y: Thin  # [column], empty where infeasible or unbounded
    penalised: float
    constant: float  # minus infinite without a cut
    slope: Floats  # [first-stage column]
    dual: Thin  # [row]
    ray: tuple[float, Floats, Floats] | None
    basis: Basis | None
    elastic_basis: Basis | None


def _by_rows(matrix: sparse.csr_matrix) -> sparse.csr_matrix:
    """The matrix by rows: itself, where it is."""
    return matrix if isinstance(matrix, sparse.csr_matrix) else sparse.csr_matrix(matrix)


class Recourse:
    """The recourse problem of one scenario, ready to be solved at many first-stage points."""

    def __init__(self, scenario: Scenario) -> None:
        self.scenario = scenario

    @cached_property
    def stage(self) -> Stage:
        """Its rows, columns and costs."""
        return self.scenario.recourse

    @cached_property
    def technology(self) -> sparse.csr_matrix:
        """How the first stage enters it, by rows."""
        return _by_rows(self.scenario.technology)

    @cached_property
    def matrix(self) -> sparse.csr_matrix:
        """Its matrix by rows."""
        return _by_rows(self.stage.matrix)

    @cached_property
    def technology_across(self) -> sparse.csc_matrix:
        """The same technology seen by columns: a view costs more to make than to multiply with."""
        return self.technology.T

    @cached_property
    def across(self) -> sparse.csc_matrix:
        """The same matrix seen by columns."""
        return self.matrix.T

    def opened(self) -> Recourse:
        """The same with arrays at hand: where its scenario is packed, made once for as long as it is worked on."""
        scenario = self.scenario
        if not isinstance(scenario, PackedScenario) or not scenario.is_packed:
            return self
        made = Recourse(scenario)
        made.stage, made.technology, made.across, made.technology_across = scenario.mould.opened(scenario.values)
        return made

    def __reduce__(self) -> tuple[type[Recourse], tuple[Scenario]]:
        """Another process makes its own views."""
        return Recourse, (self.scenario,)

    def program(self, x: Floats, relaxed: float = 0.0) -> Program:
        """The recourse problem at x; its rows may be relaxed by a tolerance."""
        taken, stage = self.technology @ x, self.stage
        return Program(
            cost=stage.cost,
            offset=0.0,
            matrix=self.matrix,
            row_lower=stage.row_lower - taken - relaxed,
            row_upper=stage.row_upper - taken + relaxed,
            lower=stage.lower,
            upper=stage.upper,
            integer=self.stage.integer,
        )

    def asked(self, x: Floats) -> int:
        """Fingerprint of the recourse problem at x: where it is the same, so is the best recourse."""
        stage, taken = self.stage, self.technology @ x
        return fingerprint(
            self.scenario.fingerprints()[0].to_bytes(8, "little"), stage.row_lower - taken, stage.row_upper - taken
        )

    def elastic(self, x: Floats, *, priced: bool = False) -> Program:
        """Least sum of what rows miss at x; or least cost with that sum at a price beyond every other."""
        stage, taken = self.stage, self.technology @ x
        rows, columns = self.matrix.shape
        short, over = np.flatnonzero(np.isfinite(stage.row_lower)), np.flatnonzero(np.isfinite(stage.row_upper))
        extra = len(short) + len(over)
        slack = sparse.csr_matrix(
            (
                np.concatenate([np.ones(len(short)), -np.ones(len(over))]),
                (np.concatenate([short, over]), np.arange(extra)),
            ),
            shape=(rows, extra),
        )
        dear = 10.0 * (1.0 + float(np.abs(stage.cost).max(initial=0.0)))
        cost = [stage.cost, np.full(extra, dear)] if priced else [np.zeros(columns), np.ones(extra)]
        return Program(
            cost=np.concatenate(cost),
            offset=0.0,
            matrix=sparse.hstack([self.matrix, slack], format="csr"),
            row_lower=stage.row_lower - taken,
            row_upper=stage.row_upper - taken,
            lower=np.concatenate([stage.lower, np.zeros(extra)]),
            upper=np.concatenate([stage.upper, np.full(extra, np.inf)]),
            integer=np.zeros(columns + extra, dtype=bool),
        )

    def floor(self, dual: Floats, *, ray: bool = False, size: float = 1.0) -> tuple[float, Floats] | None:
        """Constant and slope of the cut that a dual vector gives; None if its signs do not fit the bounds."""
        constant, slope, good = self.floors(dual[None], np.array([ray]), size)
        return (float(constant[0]), slope[0]) if good[0] else None

    def floors(self, dual: Floats, ray: Bools, size: float = 1.0) -> tuple[Floats, Floats, Bools]:
        """Constants and slopes of the cuts that dual vectors [vector, row] give, and whether their signs fit the bounds.

        Any vector whose signs fit gives a valid cut, by weak duality: for every feasible y,
        q·y = dual·W y + (q - W' dual)·y, and each product is at least its value at the bound that its sign points to.
        Reduced costs of the wrong sign, by rounding errors only, are charged at ten times the largest value ``size``.
        """
        stage = self.stage
        sides = np.where(dual > 0, stage.row_lower, stage.row_upper)
        there = np.isfinite(sides)
        dual = dual * there
        constant = np.einsum("ij,ij->i", dual, np.where(there, sides, 0.0))
        cost = np.where(ray[:, None], 0.0, stage.cost) if ray.any() else stage.cost[None]
        reduced = cost - np.ascontiguousarray((self.across @ dual.T).T)
        ends = np.where(reduced >= 0, stage.lower, stage.upper)
        there = np.isfinite(ends)
        constant += np.einsum("ij,ij->i", reduced, np.where(there, ends, 0.0))
        good = np.ones(len(dual), dtype=bool)
        vector, column = (~there & (reduced != 0)).nonzero()
        if len(vector):
            wrong = np.abs(reduced[vector, column])
            own_cost = np.broadcast_to(cost, reduced.shape)[vector, column]
            allowance = 1.0 + np.abs(own_cost) + np.abs(dual).max(axis=1, initial=0.0)[vector]
            good[vector[wrong > NOISE * allowance]] = False
            constant -= 10.0 * (1.0 + size) * np.bincount(vector, wrong, minlength=len(dual))
        return constant, (self.technology_across @ dual.T).T, good

    def answer(self, warm: Warm, x: Floats, basis: Basis | None, elastic_basis: Basis | None) -> Answer:
        """Solve at x, from stored bases where there are any."""
        found = warm.solve(self.program(x), basis)
        if found.status == "unbounded":
            return Answer(-np.inf, NOTHING, -np.inf, -np.inf, np.zeros(len(x)), NOTHING, None, None, elastic_basis)
        cut = self.cut_of(found)
        if cut is not None:
            value = found.objective
            return Answer(value, thin(found.x), value, *cut, thin(found.dual), None, found.basis, elastic_basis)
        # infeasible; or so close to it that HiGHS cannot tell, which the sum of what rows miss can
        missed = warm.solve(self.elastic(x), elastic_basis)
        if missed.status != "optimal":
            raise SolverError("the feasibility problem of a scenario could not be solved")
        tolerance = TOUCHING * (1.0 + float(np.abs(x).max(initial=0.0)))
        if missed.objective > tolerance:
            proof = self.floor(missed.dual, ray=True, size=float(np.abs(missed.x).max(initial=0.0)))
            if proof is None:
                raise SolverError("HiGHS gave no usable proof that a scenario is infeasible")
            # any dual vector of the priced problem is one of the problem itself: its cut holds, and leads inside
            priced = warm.solve(self.elastic(x, priced=True), missed.basis)
            cut = self.cut_of(priced) or (-np.inf, np.zeros(len(x)))
            ray = *proof, missed.dual
            return Answer(np.inf, NOTHING, priced.objective, *cut, thin(priced.dual), ray, basis, missed.basis)
        for relaxed in (2.0, 20.0, 200.0):
            found = warm.solve(self.program(x, relaxed * tolerance), None)
            cut = self.cut_of(found)
            if cut is not None:
                value = found.objective
                return Answer(value, thin(found.x), value, *cut, thin(found.dual), None, found.basis, missed.basis)
        raise SolverError("HiGHS gave no usable duals for a scenario")

    def cut_of(self, found: Point) -> tuple[float, Floats] | None:
        """Constant and slope of the cut at an optimum, if there is one."""
        if found.status != "optimal":
            return None
        return self.floor(found.dual, size=float(np.abs(found.x).max(initial=0.0)))


_own = threading.local()


def answers_of(
    chunk: Sequence[Recourse],
    x: Floats,
    bases: Sequence[Basis | None],
    elastic_bases: Sequence[Basis | None],
    clock: Clock,
    placing: bool,
) -> list[Answer] | None:
    """Answers of some scenarios, one after the other; one not solved before starts where the one before it ended.

    Where ``placing`` is false the recourse itself is not wanted, only what it costs.
    """
    if clock.stopped():
        return None
    if not hasattr(_own, "warm"):
        _own.warm = Warm()
    answers: list[Answer] = []
    for recourse, basis, elastic_basis in zip((each.opened() for each in chunk), bases, elastic_bases, strict=True):
        if answers and (basis is None or basis.shape != recourse.matrix.shape):
            basis = answers[-1].basis
        answer = recourse.answer(_own.warm, x, basis, elastic_basis)
        answers.append(answer if placing else replace(answer, y=NOTHING))
    return answers


def recourse_at(
    scenarios: Sequence[Scenario],
    x: Floats,
    *,
    bases: Sequence[Basis | None] = (),
    executor: Executor | None = None,
) -> tuple[Point, ...]:
    """Best recourse of every scenario at a feasible first-stage point, and where its solve ended: one per scenario.

    Parameters
    ----------
    bases : [scenario], from which to start; the scenario before it serves where there is none

    Raises
    ------
    SolverError
        If a scenario has none.
    """
    with ThreadPoolExecutor(2) if executor is None else nullcontext(executor) as pool:
        places = range(0, len(scenarios), CHAIN)
        chunks = [scenarios[place : place + CHAIN] for place in places]
        starts = [bases[place : place + CHAIN] for place in places]
        found = [point for part in pool.map(_points, chunks, [x] * len(chunks), starts) for point in part]
    for number, point in enumerate(found):
        if point.status != "optimal":
            raise SolverError(f"scenario {number} has no best recourse at this first-stage point ({point.status})")
    return tuple(found)


def _points(chunk: Sequence[Scenario], x: Floats, bases: Sequence[Basis | None]) -> list[Point]:
    """Best recourse of some scenarios."""
    warm, last = Warm(), None
    points = []
    for number, scenario in enumerate(chunk):
        basis = bases[number] if bases else None
        points.append(warm.solve(Recourse(scenario).program(x), last if basis is None else basis))
        last = points[-1].basis
    return points
