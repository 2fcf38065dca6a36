"""HiGHS, through arrays: the only module that knows it."""

from __future__ import annotations

import threading
import time
from array import array
from dataclasses import dataclass, replace
from functools import cache
from importlib.metadata import version
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from optimiser.errors import SolverError

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]

#: Versions known to return wrong answers, with what is known.
EXCLUDED_VERSIONS = {"1.14.0": "it returns wrong optima on some models"}

#: A point counts as feasible and whole to this much.
FEASIBILITY = 1e-7
#: Seconds after which a solve from a basis, which takes thousandths of one, goes round in circles: HiGHS may, and for ever.
CIRCLING = 10.0


@dataclass(frozen=True, eq=False)
class Program:
    """min cost·x + offset  s.t.  row_lower <= matrix @ x <= row_upper,  lower <= x <= upper,  some x whole."""

    cost: Floats  # [column]
    offset: float
    matrix: sparse.csr_matrix  # [row, column]
    row_lower: Floats  # [row]
    row_upper: Floats  # [row]
    lower: Floats  # [column]
    upper: Floats  # [column]
    integer: Bools  # [column]


@dataclass(frozen=True, eq=False)
class Outcome:
    """What HiGHS found. ``status`` is optimal, stopped, infeasible or unbounded; ``x`` is None without a solution.

    ``passed`` are the whole-number points on the way to ``x`` of a search without heuristics.
    """

    status: str
    x: Floats | None
    objective: float
    bound: float
    row_dual: Floats | None
    seconds: float
    passed: tuple[Floats, ...] = ()


def relative_gap(objective: float, bound: float) -> float:
    """(objective - bound) / |objective|; 0 where they agree, infinite without a solution."""
    if not np.isfinite(objective) or not np.isfinite(bound):
        return float("inf")
    return max(objective - bound, 0.0) / max(abs(objective), 1e-9)


def check_version() -> str:
    """Version of HiGHS in use.

    Raises
    ------
    SolverError
        If it is a version known to return wrong answers.
    """
    found = _installed()
    if found in EXCLUDED_VERSIONS:
        raise SolverError(
            f"highspy {found} is installed, and {EXCLUDED_VERSIONS[found]}: no plan is made with it. "
            "Install another with: pip install 'highspy!=" + found + "'"
        )
    return found


@cache
def _installed() -> str:
    """Version of HiGHS; looked up once, which takes as long as a small program."""
    return version("highspy")


def solve(
    program: Program,
    *,
    gap: float = 1e-3,
    cutoff: float = np.inf,
    time_limit: float | None = None,
    stop: threading.Event | None = None,
    heuristics: bool = True,
) -> Outcome:
    """Solve a program to a relative gap.

    Parameters
    ----------
    cutoff
        Of programs with whole numbers: what costs more is not looked for. The search may end with a point beyond it,
        and the bound then holds up to the cutoff only. Far quicker than a row that says the same.
    time_limit
        Seconds after which the best found so far is returned, status ``stopped``.
    stop
        Ends the search when set from another thread.
    heuristics
        Whether to solve smaller whole-number programs on the way in search of better points: a waste where few decisions
        and a good cutoff are all there is.
    """
    check_version()
    began = time.perf_counter()
    highs = _load(program, gap=gap, time_limit=time_limit, presolve=True)
    highs.setOptionValue("mip_allow_restart", heuristics)
    passed: list[Floats] = []
    if not heuristics:
        highs.cbMipImprovingSolution.subscribe(lambda event: passed.append(np.array(event.data_out.mip_solution)))
        for name in ("rins", "rens", "root_reduced_cost", "feasibility_jump"):
            highs.setOptionValue(f"mip_heuristic_run_{name}", False)
        # a node more costs less than trying branches out, where every row is dense
        highs.setOptionValue("mip_pscost_minreliable", 0)
    if np.isfinite(cutoff) and program.integer.any():
        # a linear program that meets it ends with neither point nor bound
        highs.setOptionValue("objective_bound", float(cutoff))
    if stop is not None:
        _listen(highs, stop)
    highs.run()
    return replace(_outcome(highs, program, time.perf_counter() - began), passed=tuple(passed[:-1]))


class Basis:
    """Where a simplex solve ended, for the next to start from; may be handed to another process."""

    def __init__(self, held: Any, shape: tuple[int, ...]) -> None:
        self._held, self._state, self.shape = held, (b"", b""), shape

    @property
    def held(self) -> Any:
        """As HiGHS has it: made when it is wanted, for it takes as long as a third of a solve."""
        if self._held is None:
            import highspy

            held, known = highspy.HighsBasis(), _basis_statuses()
            held.col_status, held.row_status = (
                known[np.frombuffer(status, dtype=np.uint8)].tolist() for status in self._state
            )
            # HiGHS checks a basis that it does not know by factorising it once more
            held.valid, held.alien = True, False
            self._held = held
        return self._held

    def __getstate__(self) -> tuple[bytes, bytes]:
        if any(self._state):
            return self._state
        return bytes(int(s) for s in self.held.col_status), bytes(int(s) for s in self.held.row_status)

    def __setstate__(self, state: tuple[bytes, bytes]) -> None:
        self._held, self._state, self.shape = None, state, (len(state[1]), len(state[0]))

    @classmethod
    def of(cls, columns: bytes, rows: bytes) -> Basis:
        """A basis from the status of every column and row."""
        basis = cls.__new__(cls)
        basis.__setstate__((columns, rows))
        return basis


@cache
def _basis_statuses() -> NDArray[np.object_]:
    """What HiGHS calls the status of a column or row, by its number."""
    import highspy

    return np.array([highspy.HighsBasisStatus(number) for number in range(5)], dtype=object)


@dataclass(frozen=True, eq=False)
class Point:
    """An optimum of a linear program with what a next solve starts from. ``basis`` fits programs of the same shape.

    ``bound`` is what no point costs less than, though HiGHS may let reduced costs have the wrong sign by 1e-7.
    """

    status: str  # optimal, infeasible or unbounded
    x: Floats  # [column], empty unless optimal
    dual: Floats  # [row], the same
    objective: float
    basis: Basis | None
    bound: float = float("nan")


class Warm:
    """Solves many small linear programs in one HiGHS object, each from a basis that is handed in.

    The model is passed anew every time: it costs little, and what is found does not depend on what was solved before.
    """

    def __init__(self) -> None:
        self._highs = _quiet(0.0, None, presolve=False)
        _devices(self._highs, False)

    def solve(self, program: Program, basis: Basis | None = None) -> Point:
        """Solve a linear program from a basis, or cold where there is none of its shape."""
        highs = self._highs
        _pass(highs, program)
        if basis is not None and basis.shape == program.matrix.shape:
            highs.setBasis(basis.held)
        _limit(highs, CIRCLING)
        highs.run()
        status = _status(highs)
        if status not in ("optimal", "infeasible", "unbounded"):
            # going round in circles, or numerical trouble from this basis: once more, cold, and with every device HiGHS has
            highs.clearSolver()
            _devices(highs, True)
            _limit(highs, np.inf)
            highs.run()
            status = _status(highs)
            _devices(highs, False)
        if status != "optimal":
            return Point(status, np.empty(0), np.empty(0), float("nan"), None)
        solution = highs.getSolution()
        return Point(
            status,
            _array(solution.col_value),
            _array(solution.row_dual),
            float(highs.getObjectiveValue()),
            Basis(highs.getBasis(), program.matrix.shape),
        )


class Growing:
    """A linear program that gains rows between solves and is solved from where it stood."""

    def __init__(self, program: Program, *, quick: bool = False) -> None:
        """``quick`` where it is solved often, each time from near its optimum."""
        self._highs = _quiet(0.0, None, presolve=False)
        if quick:
            _devices(self._highs, False)
        _pass(self._highs, program)
        self._lower, self._upper = program.lower.copy(), program.upper.copy()

    def add_rows(self, matrix: Floats | sparse.csr_matrix, lower: Floats, upper: Floats) -> None:
        """Add rows lower <= matrix @ x <= upper."""
        if isinstance(matrix, np.ndarray):
            # a sparse matrix takes longer to make than to hand over
            row, column = matrix.nonzero()
            starts, indices, data = np.searchsorted(row, np.arange(len(matrix))), column, matrix[row, column]
        else:
            starts, indices, data = matrix.indptr[:-1], matrix.indices, matrix.data
        whole = (np.asarray(each, dtype=np.int32) for each in (starts, indices))
        self._highs.addRows(matrix.shape[0], lower, upper, len(indices), *whole, data)

    @property
    def rows(self) -> int:
        """Rows there are now."""
        return int(self._highs.getNumRow())

    def drop_rows(self, rows: Ints) -> Ints:
        """Take out those of some rows that do not hold the point solved last in its place; gives which."""
        import highspy

        highs, slack = self._highs, highspy.HighsBasisStatus.kBasic
        basis = highs.getBasis()
        status = list(basis.row_status)
        loose = np.array([row for row in rows.tolist() if status[row] == slack], dtype=np.int64)
        if not basis.valid or not loose.size:
            return np.empty(0, dtype=np.int64)
        highs.deleteRows(len(loose), loose.astype(np.int32))
        # without slack rows that are basic what is left is a basis still, of which HiGHS knows nothing any more
        gone = set(loose.tolist())
        basis.row_status = [own for row, own in enumerate(status) if row not in gone]
        highs.setBasis(basis)
        return loose

    def bound_columns(self, columns: Ints, lower: Floats, upper: Floats) -> None:
        """Give some columns other bounds."""
        self._highs.changeColsBounds(len(columns), columns.astype(np.int32), lower, upper)
        self._lower[columns], self._upper[columns] = lower, upper

    def solve(self, *, time_limit: float | None = None) -> Point:
        """Solve what there is now. The status may also be ``stopped``."""
        highs = self._highs
        seconds = np.inf if time_limit is None else time_limit
        _limit(highs, min(seconds, CIRCLING))
        highs.run()
        status = _status(highs)
        if status == "unknown" or (status == "stopped" and seconds > CIRCLING):
            highs.clearSolver()
            highs.setOptionValue("presolve", "choose")
            _limit(highs, seconds)
            highs.run()
            status = _status(highs)
            highs.setOptionValue("presolve", "off")
        if status != "optimal":
            return Point(status, np.empty(0), np.empty(0), float("nan"), None)
        solution = highs.getSolution()
        objective = float(highs.getObjectiveValue())
        x, reduced = _array(solution.col_value), _array(solution.col_dual)
        # a column at its lower end that would lower costs, by rounding errors only, may go as far as its upper
        left = np.where(reduced > 0, x - self._lower, x - self._upper)
        ends = np.isfinite(left)
        least = objective - max(float(reduced[ends] @ left[ends]), 0.0)
        return Point(status, x, _array(solution.row_dual), objective, None, least)


def _limit(highs: Any, seconds: float) -> None:
    """Seconds that the next solve may take."""
    highs.setOptionValue("time_limit", highs.getRunTime() + seconds)


def _array(values: list[float]) -> Floats:
    """Numbers that HiGHS hands out, in half the time that numpy takes for a list."""
    return np.frombuffer(array("d", values))


def _quiet(gap: float, time_limit: float | None, *, presolve: bool) -> Any:
    import highspy

    highs = highspy.Highs()
    options = {
        "output_flag": False,
        "threads": 1,  # the same bytes on any machine
        "random_seed": 0,
        "mip_rel_gap": gap,
        "mip_abs_gap": 1e-6,
        "primal_feasibility_tolerance": FEASIBILITY,
        "dual_feasibility_tolerance": FEASIBILITY,
        "mip_feasibility_tolerance": FEASIBILITY,
        "presolve": "choose" if presolve else "off",
    }
    if time_limit is not None:
        options["time_limit"] = float(time_limit)
    for name, value in options.items():
        highs.setOptionValue(name, value)
    return highs


def _devices(highs: Any, every: bool) -> None:
    """Every device that HiGHS has; or Dantzig's rule without presolve, and nothing perturbed or scaled.

    From a good basis steepest edge takes twice as long, devex a tenth longer.
    """
    highs.setOptionValue("presolve", "choose" if every else "off")
    highs.setOptionValue("simplex_dual_edge_weight_strategy", -1 if every else 0)
    highs.setOptionValue("dual_simplex_cost_perturbation_multiplier", 1.0 if every else 0.0)
    highs.setOptionValue("simplex_scale_strategy", 2 if every else 0)


def _load(program: Program, *, gap: float, time_limit: float | None, presolve: bool) -> Any:
    highs = _quiet(gap, time_limit, presolve=presolve)
    _pass(highs, program)
    return highs


def _pass(highs: Any, program: Program) -> None:
    """Hand over a program, as pointers to its arrays: a list of a thousand numbers takes HiGHS as long as solving."""
    import highspy

    matrix = program.matrix
    highs.passModel(
        matrix.shape[1],
        matrix.shape[0],
        len(matrix.data),
        int(highspy.MatrixFormat.kRowwise),
        int(highspy.ObjSense.kMinimize),
        program.offset,
        program.cost,
        program.lower,
        program.upper,
        program.row_lower,
        program.row_upper,
        matrix.indptr,
        matrix.indices,
        matrix.data,
        program.integer.astype(np.int32),
    )


def _status(highs: Any) -> str:
    """How the last solve of a linear program ended: optimal, infeasible, unbounded, stopped or unknown."""
    named = _statuses()
    status = named.get(highs.getModelStatus(), "unknown")
    if status == "either":
        highs.setOptionValue("presolve", "off")
        highs.run()
        status = named.get(highs.getModelStatus(), "unknown")
    return "unknown" if status == "either" else status


@cache
def _statuses() -> dict[Any, str]:
    """What statuses of HiGHS mean; either is infeasible or unbounded."""
    import highspy

    statuses = highspy.HighsModelStatus
    return {
        statuses.kOptimal: "optimal",
        statuses.kInfeasible: "infeasible",
        statuses.kUnbounded: "unbounded",
        statuses.kUnboundedOrInfeasible: "either",
        statuses.kTimeLimit: "stopped",
        statuses.kInterrupt: "stopped",
        statuses.kModelEmpty: "optimal",
    }


def _listen(highs: Any, stop: threading.Event) -> None:
    """Stop when asked."""

    def interrupt(event: Any) -> None:
        if stop.is_set():
            event.interrupt()

    highs.cbMipInterrupt.subscribe(interrupt)
    highs.cbSimplexInterrupt.subscribe(interrupt)


def _outcome(highs: Any, program: Program, seconds: float) -> Outcome:
    import highspy

    statuses = highspy.HighsModelStatus
    status = highs.getModelStatus()
    info = highs.getInfo()
    if status == statuses.kUnboundedOrInfeasible:
        # presolve cannot tell the two apart: ask again without it
        highs.setOptionValue("presolve", "off")
        highs.run()
        status, info = highs.getModelStatus(), highs.getInfo()
    if status == statuses.kUnboundedOrInfeasible:
        # without costs nothing is unbounded
        highs.changeColsCost(
            len(program.cost), np.arange(len(program.cost), dtype=np.int32), np.zeros(len(program.cost))
        )
        highs.run()
        status = statuses.kInfeasible if highs.getModelStatus() == statuses.kInfeasible else statuses.kUnbounded
    if status == statuses.kInfeasible:
        return Outcome("infeasible", None, float("inf"), float("inf"), None, seconds)
    if status == statuses.kUnbounded:
        return Outcome("unbounded", None, -float("inf"), -float("inf"), None, seconds)
    known = {
        statuses.kOptimal: "optimal",
        statuses.kTimeLimit: "stopped",
        statuses.kInterrupt: "stopped",
        statuses.kIterationLimit: "stopped",
        statuses.kSolutionLimit: "stopped",
    }
    if status not in known:
        raise SolverError(f"HiGHS stopped with the status {highs.modelStatusToString(status)}")
    feasible = info.primal_solution_status == int(highspy.SolutionStatus.kSolutionStatusFeasible)
    mip = bool(program.integer.any())
    bound = float(info.mip_dual_bound) if mip else (float(info.objective_function_value) if feasible else -float("inf"))
    if known[status] == "stopped" and not mip:
        feasible, bound = False, -float("inf")
    if not feasible:
        return Outcome("stopped", None, float("inf"), bound, None, seconds)
    solution = highs.getSolution()
    return Outcome(
        known[status],
        np.array(solution.col_value, dtype=float),
        float(info.objective_function_value),
        bound,
        None if mip else np.array(solution.row_dual, dtype=float),
        seconds,
    )
