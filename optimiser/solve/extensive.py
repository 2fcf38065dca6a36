"""The extensive form: every scenario's recourse in one program, for HiGHS. Right for small problems, and an oracle."""

from __future__ import annotations

import time

import numpy as np
from scipy import sparse

from optimiser.solve import highs
from optimiser.solve.highs import Program, relative_gap
from optimiser.solve.twostage import (
    Floats,
    Settings,
    TwoStageProblem,
    TwoStageSolution,
    legible_factor,
    total_cost,
    with_costs_times,
)


def extensive_program(problem: TwoStageProblem) -> Program:
    """One program: first-stage columns, then each scenario's, then value at risk and excess where the tail counts."""
    first, probability = problem.first, problem.probability
    columns = len(first.cost)
    tail = problem.tail_counts
    weight = probability * (1.0 if not tail else 1.0 - problem.risk_weight)
    blocks = [s.recourse for s in problem.scenarios]
    cost = [first.cost * weight.sum()]
    for share, scenario in zip(weight, problem.scenarios, strict=True):
        if scenario.first_stage_cost is not None:
            cost[0] = cost[0] + share * scenario.first_stage_cost
        cost.append(share * scenario.recourse.cost)
    offset = float(weight @ np.array([s.offset for s in problem.scenarios]))
    lower, upper = [first.lower, *(b.lower for b in blocks)], [first.upper, *(b.upper for b in blocks)]
    rows = [
        sparse.vstack([first.matrix, *(s.technology for s in problem.scenarios)], format="csr"),
        sparse.block_diag([sparse.csr_matrix((first.matrix.shape[0], 0)), *(b.matrix for b in blocks)], format="csr"),
    ]
    matrix = sparse.hstack(rows, format="csr")
    row_lower = [first.row_lower, *(b.row_lower for b in blocks)]
    row_upper = [first.row_upper, *(b.row_upper for b in blocks)]
    if tail:
        count, share_beyond = len(blocks), 1.0 / (1.0 - problem.risk_level)
        cost.append(np.concatenate([[problem.risk_weight], problem.risk_weight * share_beyond * probability]))
        lower.append(np.concatenate([[-np.inf], np.zeros(count)]))
        upper.append(np.full(count + 1, np.inf))
        total = [
            sparse.csr_matrix(np.array([_first_cost(problem, s) for s in range(count)]).reshape(count, columns)),
            sparse.block_diag([sparse.csr_matrix(b.cost.reshape(1, -1)) for b in blocks], format="csr"),
        ]
        # cost of the scenario - value at risk - excess <= - offset
        beyond = sparse.hstack([*total, sparse.csr_matrix(-np.ones((count, 1))), -sparse.eye(count)], format="csr")
        wide = sparse.hstack([matrix, sparse.csr_matrix((matrix.shape[0], count + 1))], format="csr")
        matrix = sparse.vstack([wide, beyond], format="csr")
        row_lower.append(np.full(count, -np.inf))
        row_upper.append(-np.array([s.offset for s in problem.scenarios]))
        if problem.cvar_limit is not None:
            limit = np.zeros((1, matrix.shape[1]))
            limit[0, -count - 1] = 1.0
            limit[0, -count:] = share_beyond * probability
            matrix = sparse.vstack([matrix, sparse.csr_matrix(limit)], format="csr")
            row_lower.append(np.array([-np.inf]))
            row_upper.append(np.array([problem.cvar_limit]))
    integer = np.zeros(matrix.shape[1], dtype=bool)
    integer[:columns] = first.integer
    return Program(
        cost=np.concatenate(cost),
        offset=offset,
        matrix=matrix,
        row_lower=np.concatenate(row_lower),
        row_upper=np.concatenate(row_upper),
        lower=np.concatenate(lower),
        upper=np.concatenate(upper),
        integer=integer,
    )


def solve_extensive(problem: TwoStageProblem, settings: Settings | None = None) -> TwoStageSolution:
    """Solve a two-stage problem as one program."""
    settings = Settings() if settings is None else settings
    began = time.perf_counter()
    factor = legible_factor(problem)
    program = extensive_program(with_costs_times(problem, factor))
    found = highs.solve(
        program,
        gap=settings.gap,
        cutoff=settings.ceiling * factor,
        time_limit=settings.time_limit,
        stop=settings.stop,
    )
    seconds = time.perf_counter() - began
    ceiling = settings.ceiling
    if np.isfinite(ceiling) and (found.status == "infeasible" or found.bound / factor >= ceiling):
        return TwoStageSolution(None, float("inf"), ceiling, float("inf"), "beyond", None, 1, None, seconds)
    if found.x is None:
        return TwoStageSolution(
            None, found.objective, found.bound / factor, float("inf"), found.status, None, 1, None, seconds
        )
    x = found.x[: len(problem.first.cost)].copy()
    x[problem.first.integer] = np.round(x[problem.first.integer])
    costs = _scenario_costs(problem, found.x)
    # without weight on the tail the excess may lie above what it must be: the cost is that of the scenarios themselves
    objective = total_cost(problem, costs)
    bound = min(found.bound / factor, objective, ceiling)
    return TwoStageSolution(x, objective, bound, relative_gap(objective, bound), found.status, costs, 1, None, seconds)


def _first_cost(problem: TwoStageProblem, number: int) -> Floats:
    own = problem.scenarios[number].first_stage_cost
    return problem.first.cost if own is None else problem.first.cost + own


def _scenario_costs(problem: TwoStageProblem, x: Floats) -> Floats:
    """Cost of each scenario in a solution vector of the extensive form, [scenario]."""
    place = len(problem.first.cost)
    decided = x[:place]
    costs = []
    for number, scenario in enumerate(problem.scenarios):
        size = len(scenario.recourse.cost)
        own = x[place : place + size]
        costs.append(_first_cost(problem, number) @ decided + scenario.offset + scenario.recourse.cost @ own)
        place += size
    return np.array(costs, dtype=float)
