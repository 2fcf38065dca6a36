"""The yardstick for decompositions: one pass over all recourse problems at one first-stage point.

Fixed, and independent of how the package solves them: HiGHS itself, one object, one thread, bases chained.
"""

from __future__ import annotations

import time

import highspy
import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from optimiser.solve.twostage import TwoStageProblem


def chained_pass(problem: TwoStageProblem, x: NDArray[np.float64]) -> float:
    """Processor seconds of solving every scenario's recourse problem at ``x`` [first-stage column], in one thread.

    The first is solved cold, every other from the basis of the one before it where their shapes agree, in order of
    how much their rows ask for. Dual simplex with devex pricing, without presolve. What a solve needs besides (duals,
    cuts) is not taken.

    Raises
    ------
    RuntimeError
        If a recourse problem has no optimum at ``x``.
    """
    scenarios = sorted(
        problem.scenarios, key=lambda s: float(s.recourse.row_lower[np.isfinite(s.recourse.row_lower)].sum())
    )
    began = time.process_time()
    solver = highspy.Highs()
    options = {
        "output_flag": False,
        "threads": 1,
        "solver": "simplex",
        "presolve": "off",
        "simplex_dual_edge_weight_strategy": 1,
        "dual_simplex_cost_perturbation_multiplier": 0.0,
    }
    for name, value in options.items():
        solver.setOptionValue(name, value)
    shape: tuple[int, ...] = ()
    for scenario in scenarios:
        stage = scenario.recourse
        matrix = sparse.csr_matrix(stage.matrix)
        taken = scenario.technology @ x
        model = highspy.HighsLp()
        model.num_row_, model.num_col_ = matrix.shape
        model.col_cost_, model.col_lower_, model.col_upper_ = stage.cost, stage.lower, stage.upper
        model.row_lower_, model.row_upper_ = stage.row_lower - taken, stage.row_upper - taken
        model.a_matrix_.format_ = highspy.MatrixFormat.kRowwise
        model.a_matrix_.start_, model.a_matrix_.index_ = matrix.indptr, matrix.indices
        model.a_matrix_.value_ = matrix.data
        basis = solver.getBasis() if matrix.shape == shape else None
        solver.passModel(model)
        if basis is not None:
            solver.setBasis(basis)
        solver.run()
        if solver.getModelStatus() != highspy.HighsModelStatus.kOptimal:
            raise RuntimeError("a recourse problem has no optimum at this point")
        shape = matrix.shape
    return time.process_time() - began
