"""The two-stage solvers: against each other, against published optima, and at the limits of what they take."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy import sparse

from optimiser.solve.extensive import solve_extensive
from optimiser.solve.lshaped import solve_lshaped
from optimiser.solve.twostage import Scenario, Settings, Stage, TwoStageProblem, tail_mean, total_cost

INF = np.inf
EXACT = Settings(gap=1e-7)


def stage(cost, matrix, row_lower, row_upper, lower=0.0, upper=INF, integer=False) -> Stage:
    """A stage from lists; bounds and wholeness may be given once for all columns."""
    cost = np.array(cost, dtype=float)
    return Stage(
        cost=cost,
        lower=np.broadcast_to(np.array(lower, dtype=float), cost.shape).copy(),
        upper=np.broadcast_to(np.array(upper, dtype=float), cost.shape).copy(),
        matrix=sparse.csr_matrix(np.array(matrix, dtype=float).reshape(-1, len(cost))),
        row_lower=np.array(row_lower, dtype=float),
        row_upper=np.array(row_upper, dtype=float),
        integer=np.broadcast_to(np.array(integer, dtype=bool), cost.shape).copy(),
    )


def scenario(probability, technology, recourse, first_stage_cost=None, offset=0.0) -> Scenario:
    own = None if first_stage_cost is None else np.array(first_stage_cost, dtype=float)
    return Scenario(probability, sparse.csr_matrix(np.array(technology, dtype=float)), recourse, own, offset)


# random problems


def random_two_stage(seed: int) -> TwoStageProblem:
    """Everything a two-stage problem may hold, a random part of it each time."""
    rng = np.random.default_rng(seed)
    columns, count = int(rng.integers(1, 5)), int(rng.integers(1, 8))
    kinds = rng.choice(4, size=columns, p=[0.6, 0.2, 0.1, 0.1])
    wide = rng.integers(1, 6, size=columns).astype(float)
    lower = np.select([kinds == 0, kinds == 1, kinds == 2], [0 * wide, -wide, 0 * wide], -INF)
    upper = np.select([kinds == 0, kinds == 1, kinds == 2], [wide, wide, INF + wide], INF)
    integer = rng.random(columns) < rng.choice([0.0, 0.5, 1.0])
    first = Stage(
        rng.integers(-3, 8, size=columns).astype(float),
        lower,
        upper,
        *_random_rows(rng, int(rng.integers(0, 3)), columns),
        integer,
    )
    own_costs, complete = rng.random() < 0.4, rng.random() < 0.7
    random_matrix, random_cost, random_technology = rng.random(3) < 0.5
    size, rows = int(rng.integers(1, 5)), int(rng.integers(1, 4))
    shared = rng.integers(-2, 4, size=(rows, size)).astype(float)
    prices, technology = (
        rng.integers(0, 9, size=size).astype(float),
        rng.integers(-2, 3, size=(rows, columns)).astype(float),
    )
    probability = rng.random(count) + 0.05
    if count > 2 and rng.random() < 0.2:
        probability[0] = 0.0
    probability /= probability.sum()
    weight = float(rng.choice([0.0, 0.0, 0.3, 1.0]))
    scenarios = []
    for number in range(count):
        matrix = shared + rng.integers(0, 2, size=shared.shape) if random_matrix else shared
        cost = prices + rng.integers(0, 3, size=size) if random_cost else prices
        enters = technology + rng.integers(0, 2, size=technology.shape) if random_technology else technology
        low, high = np.zeros(size), np.where(rng.random(size) < 0.3, rng.integers(1, 9, size=size), INF)
        if rng.random() < 0.15 and weight < 1 and probability.min() > 0:
            low[0], high[0] = (-INF, INF) if rng.random() < 0.5 else (-4.0, INF)
        if complete:
            # what is missing or over may be had at a high price
            matrix = np.hstack([matrix, np.eye(rows), -np.eye(rows)])
            cost = np.concatenate([cost, np.full(2 * rows, 40.0)])
            low, high = np.concatenate([low, np.zeros(2 * rows)]), np.concatenate([high, np.full(2 * rows, INF)])
        at = rng.integers(-6, 12, size=rows).astype(float)
        kind = rng.choice(4, size=rows)
        row_lower = np.where(kind == 0, -INF, at)
        row_upper = np.select([kind == 0, kind == 1, kind == 2], [at, at, at + 3], INF)
        recourse = Stage(
            cost, low, high, sparse.csr_matrix(matrix), row_lower, row_upper, np.zeros(len(cost), dtype=bool)
        )
        extra = rng.integers(-1, 3, size=columns).astype(float) if own_costs else None
        scenarios.append(
            Scenario(float(probability[number]), sparse.csr_matrix(enters), recourse, extra, float(rng.integers(-5, 6)))
        )
    problem = TwoStageProblem(
        first,
        tuple(scenarios),
        risk_weight=weight,
        risk_level=float(rng.choice([0.0, 0.5, 0.8, 0.95])),
    )
    if rng.random() < 0.3:
        free = solve_extensive(replace(problem, risk_weight=0.0), EXACT)
        strict = solve_extensive(replace(problem, risk_weight=1.0), EXACT)
        if free.scenario_costs is not None and strict.scenario_costs is not None:
            most, least = tail_mean(problem, free.scenario_costs)[0], strict.objective
            problem = replace(problem, cvar_limit=least + float(rng.choice([-0.1, 0.3, 0.7])) * (most - least) + 1e-6)
    return problem


def _random_rows(rng, rows, columns):
    matrix = sparse.csr_matrix(rng.integers(-2, 4, size=(rows, columns)).astype(float))
    at, kind = rng.integers(0, 9, size=rows).astype(float), rng.choice(3, size=rows)
    lower = np.select([kind == 0, kind == 1], [-INF + at, at - 6], at - 9)
    upper = np.select([kind == 0, kind == 1], [at, at], INF)
    return matrix, lower, upper


@pytest.mark.parametrize("batch", range(10))
def test_decomposition_agrees_with_the_extensive_form(batch: int) -> None:
    for seed in range(batch * 12, batch * 12 + 12):
        problem = random_two_stage(seed)
        whole, split = solve_extensive(problem, EXACT), solve_lshaped(problem, EXACT)
        assert split.status == whole.status, f"seed {seed}"
        if whole.status != "optimal":
            continue
        slack = 1e-5 * (1 + abs(whole.objective))
        assert split.objective == pytest.approx(whole.objective, abs=slack), f"seed {seed}"
        assert split.bound <= whole.objective + slack, f"seed {seed}"
        assert split.scenario_costs is not None and split.x is not None
        assert split.objective == pytest.approx(total_cost(problem, split.scenario_costs), abs=slack), f"seed {seed}"
