"""A two-stage stochastic program as arrays: what both solvers take and give. Knows nothing of children or beds.

min cost·x + sum probability_s · Q_s(x), or with weight on the tail mean (CVaR) of a scenario's cost, where

    Q_s(x) = offset_s + first_stage_cost_s·x + min { q·y : row_lower <= T x + W y <= row_upper, lower <= y <= upper }
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple, TypeVar, overload

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from optimiser.solve.highs import Basis

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]
Places = NDArray[np.unsignedinteger[Any]]
Held = TypeVar("Held")


def alike_but(held: Held, **changes: Any) -> Held:
    """The same object but for some attributes: what has been checked once is not checked again, which takes most time."""
    made = object.__new__(type(held))
    made.__dict__.update(held.__dict__, **changes)
    return made


def fingerprint(*arrays: NDArray[Any] | bytes) -> int:
    """Eight bytes that tell arrays from others, in the same order on any machine."""
    found = hashlib.blake2b(digest_size=8)
    for array in arrays:
        found.update(array if isinstance(array, bytes) else np.ascontiguousarray(array).data)
    return int.from_bytes(found.digest(), "little")


@dataclass(frozen=True, eq=False)
class Stage:
    """min cost·x  s.t.  row_lower <= matrix @ x <= row_upper,  lower <= x <= upper,  some x whole.

    Parameters
    ----------
    cost, lower, upper : [column]
    matrix : [row, column]
    row_lower, row_upper : [row]
    integer : [column], all False in a recourse problem
    """

    cost: Floats
    lower: Floats
    upper: Floats
    matrix: sparse.csr_matrix
    row_lower: Floats
    row_upper: Floats
    integer: Bools

    def __post_init__(self) -> None:
        rows, columns = self.matrix.shape
        for name, size in (
            ("cost", columns),
            ("lower", columns),
            ("upper", columns),
            ("integer", columns),
            ("row_lower", rows),
            ("row_upper", rows),
        ):
            value = getattr(self, name)
            if value.shape != (size,):
                raise ValueError(f"{name} has shape {value.shape}, not ({size},) as the matrix asks")
            if np.isnan(value).any():
                raise ValueError(f"{name} holds a value that is not a number")
        if not np.isfinite(self.cost).all() or not np.isfinite(self.matrix.data).all():
            raise ValueError("costs and coefficients must be finite")


@dataclass(frozen=True, eq=False)
class Scenario:
    """One future: its recourse problem, how the first stage enters it, and what it makes of first-stage costs.

    Parameters
    ----------
    technology : [row of the recourse problem, first-stage column]
    first_stage_cost : [first-stage column], cost of the first stage that depends on the scenario; None for none
    offset : cost of the scenario whatever is decided
    """

    probability: float
    technology: sparse.csr_matrix
    recourse: Stage
    first_stage_cost: Floats | None = None
    offset: float = 0.0

    def changed(self, **fields: Any) -> Scenario:
        """The same but for some fields, the others shared as they are held: packed, where they are."""
        return alike_but(self, **fields)

    @property
    def shapes(self) -> tuple[tuple[int, int], tuple[int, int]]:
        """Shape of the matrix of the recourse problem, and of the technology."""
        return self.recourse.matrix.shape, self.technology.shape

    @property
    def has_integers(self) -> bool:
        """Whether some column of the recourse problem must be whole."""
        return bool(self.recourse.integer.any())

    @property
    def layout(self) -> tuple[sparse.csr_matrix, sparse.csr_matrix]:
        """Matrices that have entries where those of the recourse problem and of the technology have them, whatever they hold."""
        return self.recourse.matrix, self.technology

    def fingerprints(self) -> tuple[int, int]:
        """Of what its dual vectors depend on, costs, matrix and bounds of columns; and of what else is asked: sides, technology."""
        stage, technology = self.recourse, self.technology
        matrix = stage.matrix
        return (
            fingerprint(stage.cost, matrix.data, matrix.indices, matrix.indptr, stage.lower, stage.upper),
            fingerprint(stage.row_lower, stage.row_upper, technology.data, technology.indices, technology.indptr),
        )


def fingerprints_of(scenarios: Sequence[Scenario]) -> NDArray[np.uint64]:
    """Both fingerprints of every scenario, [scenario, 2]."""
    return np.array([each.fingerprints() for each in scenarios], dtype=np.uint64).reshape(-1, 2)


@dataclass(frozen=True, eq=False)
class TwoStageProblem:
    """First stage, scenarios, and how the tail counts.

    A scenario's cost is first.cost·x + first_stage_cost·x + offset + recourse; risk is taken of that sum.

    Raises
    ------
    ValueError
        If shapes disagree, probabilities do not sum to 1, or a recourse problem has whole-number columns.
    """

    first: Stage
    scenarios: Sequence[Scenario]
    risk_weight: float = 0.0
    risk_level: float = 0.95
    cvar_limit: float | None = None

    def __post_init__(self) -> None:
        columns = self.first.matrix.shape[1]
        if not self.scenarios:
            raise ValueError("there is no scenario")
        for number, scenario in enumerate(self.scenarios):
            (rows, _), technology = scenario.shapes
            if technology != (rows, columns):
                raise ValueError(f"scenario {number}: technology has shape {technology}, not {(rows, columns)}")
            own = scenario.first_stage_cost
            if own is not None and (own.shape != (columns,) or not np.isfinite(own).all()):
                raise ValueError(f"scenario {number}: first_stage_cost must hold {columns} finite numbers")
            if scenario.has_integers:
                raise ValueError(
                    f"scenario {number}: recourse columns must not be whole numbers; nothing here solves that"
                )
            if not scenario.probability >= 0:
                raise ValueError(f"scenario {number}: the probability {scenario.probability} is negative")
        total = sum(scenario.probability for scenario in self.scenarios)
        if abs(total - 1) > 1e-6:
            raise ValueError(f"probabilities sum to {total:g}, not to 1")
        if not 0 <= self.risk_weight <= 1 or not 0 <= self.risk_level < 1:
            raise ValueError("risk_weight lies in [0, 1] and risk_level in [0, 1)")

    @property
    def tail_counts(self) -> bool:
        """Whether the tail mean weighs or is limited."""
        return self.risk_weight > 0 or self.cvar_limit is not None

    @property
    def probability(self) -> Floats:
        """Probability, [scenario]."""
        return np.array([scenario.probability for scenario in self.scenarios], dtype=float)


@dataclass(frozen=True)
class Settings:
    """How long and how exactly to solve.

    Parameters
    ----------
    gap : relative gap at which a solution counts as optimal
    time_limit : seconds, None for none
    stop : set from another thread, ends the search with what was found
    workers : threads; results do not depend on them
    ceiling : objective beyond which no plan is looked for. Once nothing can be below it the search ends as ``beyond``,
        with a bound and no plan
    """

    gap: float = 1e-3
    time_limit: float | None = None
    stop: threading.Event | None = None
    workers: int = 2
    ceiling: float = np.inf


class Thin(NamedTuple):
    """A vector without its zeros."""

    size: int
    place: Places  # of every number that is not zero
    value: Floats


def thin(vector: Floats) -> Thin:
    """A vector without its zeros; places take two bytes where its length lets them."""
    place = (vector != 0).nonzero()[0]
    return Thin(len(vector), place.astype(np.uint16 if len(vector) < 2**16 else np.uint32), vector[place])


class Duals(Sequence[Floats]):
    """Vectors kept without their zeros, which are half of the entries of dual vectors and three quarters of recourse."""

    def __init__(self, vectors: Iterable[Floats | Thin]) -> None:
        held = [vector if isinstance(vector, Thin) else thin(vector) for vector in vectors]
        self._join([each.size for each in held], [each.place for each in held], [each.value for each in held])

    @classmethod
    def of(cls, vectors: Sequence[Floats]) -> Duals:
        """The vectors themselves where they are kept so already."""
        if isinstance(vectors, Strung):
            return cls.joined(vectors.parts)
        return vectors if isinstance(vectors, Duals) else cls(vectors)

    @classmethod
    def rows_of(cls, matrix: sparse.csr_matrix, sizes: Ints | None = None) -> Duals:
        """The rows of a matrix; the first ``sizes`` columns of each, where others hold nothing."""
        sizes = np.full(matrix.shape[0], matrix.shape[1]) if sizes is None else sizes
        return cls._held(sizes, matrix.indptr[:-1], matrix.indptr[1:], matrix.indices, matrix.data)

    @classmethod
    def joined(cls, parts: Sequence[Duals]) -> Duals:
        """The vectors of some, one after the other."""
        return (
            parts[0] if len(parts) == 1 else cls.picked((part, place) for part in parts for place in range(len(part)))
        )

    @classmethod
    def picked(cls, vectors: Iterable[tuple[Duals, int]]) -> Duals:
        """Some vectors of others."""
        found, sizes, places, values = cls.__new__(cls), [], [], []
        for duals, number in vectors:
            own = slice(duals._start[number], duals._stop[number])
            sizes.append(duals._size[number])
            places.append(duals._place[own])
            values.append(duals._value[own])
        found._join(sizes, places, values)
        return found

    def some(self, numbers: Ints) -> Duals:
        """Some of these vectors, which take no memory of their own."""
        return self._held(self._size[numbers], self._start[numbers], self._stop[numbers], self._place, self._value)

    @classmethod
    def _held(cls, size: Ints, start: Ints, stop: Ints, place: Places, value: Floats) -> Duals:
        found = cls.__new__(cls)
        found._size, found._start, found._stop, found._place, found._value = size, start, stop, place, value
        return found

    def _join(self, sizes: Sequence[int], places: list[Places], values: list[Floats]) -> None:
        ends = np.cumsum([0, *(len(place) for place in places)])
        self._size, self._start, self._stop = np.array(sizes, dtype=np.int64), ends[:-1], ends[1:]
        self._place = np.concatenate([np.empty(0, dtype=np.uint16), *places])
        self._value = np.concatenate([np.empty(0), *values])

    @property
    def entries(self) -> int:
        """Numbers kept."""
        return int((self._stop - self._start).sum())

    @property
    def sizes(self) -> Ints:
        """Entries of each vector, zeros and all, [vector]."""
        return self._size

    def __len__(self) -> int:
        return len(self._size)

    @overload
    def __getitem__(self, number: int) -> Floats: ...

    @overload
    def __getitem__(self, number: slice) -> Duals: ...

    def __getitem__(self, number: int | slice) -> Floats | Duals:
        if isinstance(number, slice):
            return self.some(np.arange(len(self))[number])
        number = range(len(self))[number]
        vector: Floats = self.table([number], int(self._size[number]))[0]
        return vector

    def table(self, numbers: Sequence[int], size: int) -> Floats:
        """Some vectors of that size, [vector, entry]."""
        found = np.zeros((len(numbers), size))
        for row, number in zip(found, numbers, strict=True):
            own = slice(self._start[number], self._stop[number])
            row[self._place[own]] = self._value[own]
        return found


class Strung(Sequence[Floats]):
    """The vectors of several, one after the other, copied only where they are read."""

    def __init__(self, parts: Sequence[Duals]) -> None:
        self.parts = tuple(parts)
        self._ends = np.cumsum([len(part) for part in parts])

    def __len__(self) -> int:
        return int(self._ends[-1]) if self.parts else 0

    @overload
    def __getitem__(self, number: int) -> Floats: ...

    @overload
    def __getitem__(self, number: slice) -> Sequence[Floats]: ...

    def __getitem__(self, number: int | slice) -> Floats | Sequence[Floats]:
        if isinstance(number, slice):
            return [self[place] for place in range(*number.indices(len(self)))]
        number = range(len(self))[number]
        part = int(np.searchsorted(self._ends, number, side="right"))
        return self.parts[part][number - int(self._ends[part])]


@dataclass(frozen=True, eq=False)
class Known:
    """The best point of a solve and the best recourse there, which is the best again wherever the same is asked of it.

    Parameters
    ----------
    x : [first-stage column]
    recourse : [scenario]
    asked : [scenario], fingerprint of the recourse problem at x, its right-hand sides and all
    of : [scenario, 2], fingerprints of each: where they stand the same is asked at any point; None where they are not known
    """

    x: Floats
    recourse: Duals
    asked: NDArray[np.uint64]
    of: NDArray[np.uint64] | None = None


@dataclass(frozen=True, eq=False)
class Cuts:
    """Dual vectors of recourse problems.

    They stay valid while recourse costs do not fall and recourse matrices stand: right-hand sides, technology and the
    whole first stage may change.

    Parameters
    ----------
    scenario : [cut]
    ray : [cut], whether the vector proves infeasibility, rather than bounding cost
    dual : one array per cut, [row of the recourse problem]
    bases : [scenario], where its last solve ended, for the next to start from; empty for none
    points : first-stage points at which the last cuts were made, one array each, [first-stage column]
    known : the best point and its recourse; None where there is none, or it has not been kept
    """

    scenario: Ints
    ray: Bools
    dual: Sequence[Floats]
    bases: tuple[Basis | None, ...] = ()
    points: tuple[Floats, ...] = ()
    known: Known | None = None


@dataclass(frozen=True)
class Round:
    """Where a search stands; ``incumbent`` is infinite until there is a plan."""

    round: int
    incumbent: float
    bound: float
    gap: float
    seconds: float


@dataclass(frozen=True, eq=False)
class TwoStageSolution:
    """What a solver found: bound <= optimum <= objective.

    Parameters
    ----------
    x : [first-stage column], None without a feasible point
    status : optimal, stopped, infeasible, unbounded, or beyond the ceiling asked for
    scenario_costs : [scenario], None without a feasible point
    rounds : passes over all scenarios
    recourse : [scenario], best recourse at x; empty where it has not been kept
    """

    x: Floats | None
    objective: float
    bound: float
    gap: float
    status: str
    scenario_costs: Floats | None
    rounds: int
    cuts: Cuts | None
    seconds: float = field(default=0.0, compare=False)
    recourse: Sequence[Floats] = ()


#: Costs are multiplied where the largest is below one, to about this much.
LEGIBLE = 100.0
#: How far a column counts as going where the unit of a row is chosen.
FAR = 100.0


def legible_factor(problem: TwoStageProblem) -> float:
    """A power of two by which costs must be multiplied for HiGHS, whose tolerances are absolute, to see them."""
    largest = float(np.abs(problem.first.cost).max(initial=0.0))
    for scenario in problem.scenarios:
        if largest >= 1:
            break
        largest = max(largest, float(np.abs(scenario.recourse.cost).max(initial=0.0)))
        if scenario.first_stage_cost is not None:
            largest = max(largest, float(np.abs(scenario.first_stage_cost).max(initial=0.0)))
    return 1.0 if largest == 0 or largest >= 1 else float(2.0 ** round(np.log2(LEGIBLE / largest)))


def legible_rows(stage: Stage) -> tuple[sparse.csr_matrix, Floats, Floats]:
    """Rows of a stage, each in a unit of which its largest term is about one; with their limits.

    HiGHS lets a price of up to 1e-7 per unit of a row have the wrong sign. Per pound of an envelope of millions that is much
    of what a plan costs, and a bound is wrong by as much.
    """
    # columns that may go very far would make a row so small that what it misses is nothing to HiGHS either
    span = np.clip(stage.upper - stage.lower, 1.0, FAR)
    terms = sparse.csr_matrix(abs(stage.matrix).multiply(span))
    largest = terms.max(axis=1).toarray()[:, 0] if terms.shape[1] else np.ones(terms.shape[0])
    share = 2.0 ** -np.round(np.log2(np.where(largest > 0, largest, 1.0)))
    return sparse.csr_matrix(sparse.diags(share) @ stage.matrix), stage.row_lower * share, stage.row_upper * share


def with_costs_times(problem: TwoStageProblem, factor: float) -> TwoStageProblem:
    """The problem in another unit of money."""
    if factor == 1:
        return problem

    def times(stage: Stage) -> Stage:
        return replace(stage, cost=stage.cost * factor)

    scenarios = tuple(
        replace(
            scenario,
            recourse=times(scenario.recourse),
            first_stage_cost=None if scenario.first_stage_cost is None else scenario.first_stage_cost * factor,
            offset=scenario.offset * factor,
        )
        for scenario in problem.scenarios
    )
    limit = None if problem.cvar_limit is None else problem.cvar_limit * factor
    return replace(problem, first=times(problem.first), scenarios=scenarios, cvar_limit=limit)


def total_cost(problem: TwoStageProblem, scenario_costs: Floats) -> float:
    """(1 - risk_weight) · expected cost + risk_weight · tail mean of scenario costs [scenario]."""
    expected = float(problem.probability @ scenario_costs)
    if problem.risk_weight == 0:
        return expected
    return (1 - problem.risk_weight) * expected + problem.risk_weight * tail_mean(problem, scenario_costs)[0]


def tail_mean(problem: TwoStageProblem, scenario_costs: Floats) -> tuple[float, float]:
    """Tail mean (CVaR) of scenario costs [scenario], and the value at risk at which it is attained.

    Rockafellar and Uryasev (2000): min over v of v + E[(cost - v)+] / (1 - level), attained at the quantile.
    """
    probability = problem.probability
    order = np.argsort(scenario_costs, kind="stable")
    reached = np.cumsum(probability[order])
    place = int(np.searchsorted(reached, problem.risk_level * reached[-1] - 1e-12))
    value_at_risk = float(scenario_costs[order[min(place, len(order) - 1)]])
    beyond = float(probability @ np.maximum(scenario_costs - value_at_risk, 0.0))
    return value_at_risk + beyond / (1 - problem.risk_level), value_at_risk
