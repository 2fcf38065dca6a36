"""One tree to which cuts come on the way finds what HiGHS finds of the whole program."""

from __future__ import annotations

from dataclasses import replace
from itertools import product

import numpy as np
import pytest
from scipy import sparse

from optimiser.solve import branching, highs
from optimiser.solve.branching import Tree, rounded_down
from optimiser.solve.highs import Growing, Program


def random_program(seed: int) -> Program:
    """Whole-number columns, one more that costs, and rows that hold it up."""
    draw = np.random.default_rng(seed)
    columns, rows = int(draw.integers(3, 7)), 30
    slopes = draw.normal(0.0, 3.0, (rows, columns))
    knapsack = draw.uniform(1.0, 4.0, columns)
    matrix = np.vstack([np.append(knapsack, 0.0), np.column_stack([slopes, np.ones(rows)])])
    return Program(
        cost=np.append(draw.normal(0.0, 1.0, columns), 1.0),
        offset=0.0,
        matrix=sparse.csr_matrix(matrix),
        row_lower=np.append(-np.inf, draw.normal(2.0, 2.0, rows)),
        row_upper=np.append(float(draw.uniform(6.0, 14.0)), np.full(rows, np.inf)),
        lower=np.append(np.zeros(columns), -200.0),
        upper=np.append(np.full(columns, 4.0), np.inf),
        integer=np.append(np.ones(columns, dtype=bool), False),
    )


def lazy_tree(program: Program) -> Tree:
    """A tree that sees the first row only, and is told of the others as points violate them."""
    seen = replace(
        program,
        matrix=sparse.csr_matrix(program.matrix[:1]),
        row_lower=program.row_lower[:1],
        row_upper=program.row_upper[:1],
    )
    growing = Growing(replace(seen, integer=np.zeros(len(seen.cost), dtype=bool)), quick=True)

    def cut(x: np.ndarray) -> bool:
        value = program.matrix @ x
        new = np.flatnonzero(value < program.row_lower - 1e-7)
        if new.size:
            growing.add_rows(sparse.csr_matrix(program.matrix[new]), program.row_lower[new], np.full(len(new), np.inf))
        return bool(new.size)

    return Tree(seen, growing, cut, patience=100)


@pytest.mark.parametrize("idle", [branching.IDLE, 3], ids=["patient", "forgetful"])
@pytest.mark.parametrize("seed", range(40))
def test_a_tree_with_cuts_on_the_way_finds_the_optimum(seed: int, idle: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(branching, "IDLE", idle)
    program = random_program(seed)
    whole = highs.solve(program, gap=0.0)
    tree = lazy_tree(program)
    x = tree.best(np.inf, 10_000)
    assert x is not None
    assert program.cost @ x == pytest.approx(whole.objective, abs=1e-5)
    assert tree.bound == pytest.approx(whole.objective, abs=1e-5)
    assert (program.matrix @ x >= program.row_lower - 1e-6).all()
    # nothing costs less than it does: the bound is what is left, and is asked of the same tree
    assert tree.best(whole.objective - 1e-3, 10_000) is None
    assert tree.bound >= whole.objective - 1e-3


def test_rows_that_do_not_hold_the_point_are_taken_out_and_the_rest_gives_the_same_point() -> None:
    program = replace(random_program(5), integer=np.zeros(len(random_program(5).cost), dtype=bool))
    growing = Growing(program)
    before = growing.solve()
    rows = np.arange(program.matrix.shape[0])
    dropped = growing.drop_rows(rows)
    assert growing.rows == len(rows) - len(dropped) < len(rows)
    assert not np.isin(np.flatnonzero(before.dual), dropped).any()
    after = growing.solve()
    assert after.objective == pytest.approx(before.objective)
    assert after.x == pytest.approx(before.x)


def test_the_bound_of_a_linear_program_holds_where_a_reduced_cost_has_the_wrong_sign_within_the_tolerance() -> None:
    # HiGHS leaves the second column at zero: its cost is within the tolerance, but a million of it are to be had
    program = Program(
        cost=np.array([1.0, -0.9e-7]),
        offset=0.0,
        matrix=sparse.csr_matrix(np.array([[1.0, 0.0]])),
        row_lower=np.array([2.0]),
        row_upper=np.array([np.inf]),
        lower=np.zeros(2),
        upper=np.array([np.inf, 1e6]),
        integer=np.zeros(2, dtype=bool),
    )
    optimum = 2.0 - 0.09
    for quick in (False, True):
        found = Growing(program, quick=quick).solve()
        assert found.objective > optimum + 0.08
        assert found.bound == pytest.approx(optimum)


@pytest.mark.parametrize("seed", range(20))
def test_a_tree_that_ends_early_has_a_bound_that_holds(seed: int) -> None:
    program = random_program(seed)
    whole = highs.solve(program, gap=0.0)
    tree = lazy_tree(program)
    for most in (1, 2, 3, 5, 8):
        tree.best(np.inf, most)
        assert tree.bound <= whole.objective + 1e-6


@pytest.mark.parametrize("seed", range(30))
def test_a_row_rounded_down_allows_the_same_whole_numbers(seed: int) -> None:
    draw = np.random.default_rng(seed)
    factors, upper = draw.choice([633_333.0, 950_000.0, 320_000.0, 1.0], 4), draw.integers(1, 4, 4).astype(float)
    limit = float(draw.uniform(0.0, 4e6))
    program = Program(
        cost=np.zeros(4),
        offset=0.0,
        matrix=sparse.csr_matrix(factors[None]),
        row_lower=np.array([-np.inf]),
        row_upper=np.array([limit]),
        lower=np.zeros(4),
        upper=upper,
        integer=np.ones(4, dtype=bool),
    )
    rounded = float(rounded_down(program)[0])
    assert rounded <= limit
    sums = [float(factors @ point) for point in product(*(range(int(most) + 1) for most in upper))]
    assert {each for each in sums if each <= limit} == {each for each in sums if each <= rounded}
