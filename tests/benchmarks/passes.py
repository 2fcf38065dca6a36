"""The yardstick for decompositions: one pass over all recourse problems at one first-stage point.

Fixed, and independent of how the package solves them: HiGHS itself, one object, one thread, bases chained.
"""

from __future__ import annotations

import time

import highspy
import numpy as np
from numpy.typing import NDArray

from optimiser.solve.twostage import Scenario, TwoStageProblem

OPTIONS = {
    "output_flag": False,
    "threads": 1,
    "solver": "simplex",
    "presolve": "off",
    "simplex_dual_edge_weight_strategy": 1,  # devex
    "dual_simplex_cost_perturbation_multiplier": 0.0,
}


def chained_pass(problem: TwoStageProblem, x: NDArray[np.float64]) -> float:
    """Processor seconds of solving every scenario's recourse problem at ``x`` [first-stage column], in one thread.

    The first is solved cold, every other from the basis of the one before it where their shapes agree, in order of
    what their rows ask for. Dual simplex with devex pricing, without presolve. What a solve needs besides (duals,
    cuts) is not taken.

    Raises
    ------
    RuntimeError
        If a recourse problem has no optimum at ``x``.
    """
    scenarios = sorted(problem.scenarios, key=_asked)
    began = time.process_time()
    solver = highspy.Highs()
    for name, value in OPTIONS.items():
        solver.setOptionValue(name, value)
    shape: tuple[int, ...] = ()
    for scenario in scenarios:
        stage, matrix = scenario.recourse, scenario.recourse.matrix
        taken = scenario.technology @ x
        basis = solver.getBasis() if matrix.shape == shape else None
        shape = matrix.shape
        solver.passModel(
            shape[1],
            shape[0],
            len(matrix.data),
            int(highspy.MatrixFormat.kRowwise),
            int(highspy.ObjSense.kMinimize),
            0.0,
            stage.cost,
            stage.lower,
            stage.upper,
            stage.row_lower - taken,
            stage.row_upper - taken,
            matrix.indptr,
            matrix.indices,
            matrix.data,
            np.zeros(shape[1], dtype=np.int32),
        )
        if basis is not None:
            solver.setBasis(basis)
        solver.run()
        if solver.getModelStatus() != highspy.HighsModelStatus.kOptimal:
            # HiGHS may lose its way from the basis of another scenario
            solver.clearSolver()
            solver.run()
        if solver.getModelStatus() != highspy.HighsModelStatus.kOptimal:
            raise RuntimeError("a recourse problem has no optimum at this point")
    return time.process_time() - began


def _asked(scenario: Scenario) -> float:
    """Sum of what rows of a recourse problem ask for at least."""
    lower = scenario.recourse.row_lower
    return float(lower[np.isfinite(lower)].sum())
