"""A two-stage problem that falls apart into smaller ones is solved as those.

Cohorts that share no source, and lots and homes that share no limit, have nothing to do with each other: their decisions
are found one group at a time, and costs and bounds add up. With weight or a limit on the tail they do belong together.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from scipy.sparse.csgraph import connected_components

from optimiser.solve.highs import relative_gap
from optimiser.solve.twostage import Cuts, Round, Scenario, Settings, Stage, TwoStageProblem, TwoStageSolution

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]

#: Solves one two-stage problem: problem, settings, a point to start from, kept duals, progress.
Solve = Callable[
    [TwoStageProblem, Settings, Floats | None, Cuts | None, Callable[[Round], None] | None], TwoStageSolution
]


@dataclass(frozen=True, eq=False)
class Component:
    """A part of a problem, and which first-stage columns of the whole it holds."""

    columns: Ints
    problem: TwoStageProblem


def components_of(problem: TwoStageProblem) -> tuple[Component, ...]:
    """The parts of a problem that share neither row nor column; the problem itself where it is of one piece."""
    whole = (Component(np.arange(len(problem.first.cost)), problem),)
    if problem.tail_counts:
        return whole
    label, cuts = _labels(problem)
    first = label[: len(problem.first.cost)]
    recourse = [label[start:end] for start, end in cuts]
    with_children = np.unique(np.concatenate(recourse)) if recourse else np.array([], dtype=np.int64)
    groups = [group for group in np.unique(first) if group in with_children]
    if len(groups) < 2:
        return whole
    # what has no decision, or no children, goes with the first part
    place = np.zeros(label.max() + 1, dtype=np.int64)
    place[groups] = np.arange(len(groups))
    return tuple(
        _part(problem, number, place[first], [place[own] for own in recourse]) for number in range(len(groups))
    )


def _labels(problem: TwoStageProblem) -> tuple[Ints, list[tuple[int, int]]]:
    """Connected component of every column, first stage first, and where each future's own columns lie."""
    columns = len(problem.first.cost)
    rows: list[Ints] = []
    entries: list[Ints] = []
    cuts: list[tuple[int, int]] = []
    row_count = 0

    def add(matrix: sparse.csr_matrix, first_column: int, first_row: int) -> None:
        coordinates = matrix.tocoo()
        rows.append(coordinates.row.astype(np.int64) + first_row)
        entries.append(coordinates.col.astype(np.int64) + first_column)

    add(problem.first.matrix, 0, 0)
    row_count += problem.first.matrix.shape[0]
    for scenario in problem.scenarios:
        own = scenario.recourse.matrix
        add(scenario.technology, 0, row_count)
        add(own, columns, row_count)
        cuts.append((columns, columns + own.shape[1]))
        columns += own.shape[1]
        row_count += own.shape[0]
    row, column = np.concatenate(rows), np.concatenate(entries)
    size = columns + row_count
    graph = sparse.coo_matrix((np.ones(len(row), dtype=np.int8), (column, row + columns)), shape=(size, size))
    label = connected_components(graph, directed=False)[1][:columns]
    return label.astype(np.int64), cuts


def _part(problem: TwoStageProblem, number: int, first: Ints, recourse: Sequence[Ints]) -> Component:
    columns = np.flatnonzero(first == number)
    stage = problem.first
    rows = _rows_of(stage.matrix, columns, number == 0)
    own = _restricted(stage, rows, columns)
    scenarios = tuple(
        _future_part(scenario, columns, np.flatnonzero(places == number), number == 0)
        for scenario, places in zip(problem.scenarios, recourse, strict=True)
    )
    return Component(columns, replace(problem, first=own, scenarios=scenarios))


def _future_part(scenario: Scenario, columns: Ints, own: Ints, leading: bool) -> Scenario:
    """One future's part: its rows touch the part's columns; constants go with the leading part."""
    recourse = scenario.recourse
    touched = _rows_of(recourse.matrix, own, False)
    touched = np.union1d(touched, _rows_of(scenario.technology, columns, False))
    if leading:
        empty = np.diff(recourse.matrix.indptr) + np.diff(sparse.csr_matrix(scenario.technology).indptr) == 0
        touched = np.union1d(touched, np.flatnonzero(empty))
    technology = sparse.csr_matrix(sparse.csr_matrix(scenario.technology)[touched][:, columns])
    cost = scenario.first_stage_cost
    return replace(
        scenario,
        technology=technology,
        recourse=_restricted(recourse, touched, own),
        first_stage_cost=None if cost is None else cost[columns],
        offset=scenario.offset if leading else 0.0,
    )


def _rows_of(matrix: sparse.csr_matrix, columns: Ints, with_empty: bool) -> Ints:
    """Rows in which any of the columns has an entry; and rows without any entry."""
    wanted = np.zeros(matrix.shape[1], dtype=bool)
    wanted[columns] = True
    row = np.repeat(np.arange(matrix.shape[0]), np.diff(matrix.indptr))
    found = np.zeros(matrix.shape[0], dtype=bool)
    found[row[wanted[matrix.indices]]] = True
    if with_empty:
        found |= np.diff(matrix.indptr) == 0
    return np.flatnonzero(found)


def _restricted(stage: Stage, rows: Ints, columns: Ints) -> Stage:
    return Stage(
        cost=stage.cost[columns],
        lower=stage.lower[columns],
        upper=stage.upper[columns],
        matrix=sparse.csr_matrix(sparse.csr_matrix(stage.matrix)[rows][:, columns]),
        row_lower=stage.row_lower[rows],
        row_upper=stage.row_upper[rows],
        integer=stage.integer[columns],
    )


def solve_apart(
    parts: Sequence[Component],
    settings: Settings,
    solve: Solve,
    *,
    size: int,
    start: Floats | None = None,
    kept: Sequence[Cuts | None] | None = None,
    progress: Callable[[Round], None] | None = None,
) -> tuple[TwoStageSolution, tuple[Cuts | None, ...]]:
    """Solve the parts one after the other and put them together; with the duals of each part.

    Parameters
    ----------
    size : first-stage columns of the whole
    start : a first-stage point of the whole, [column]
    kept : duals of an earlier solve, one entry per part
    """
    began = time.perf_counter()
    x = np.zeros(size)
    objective = bound = 0.0
    costs: Floats | float = 0.0
    status, rounds = "optimal", 0
    cuts: list[Cuts | None] = []
    for number, part in enumerate(parts):
        left = None if settings.time_limit is None else max(settings.time_limit - (time.perf_counter() - began), 0.0)
        found = solve(
            part.problem,
            replace(settings, time_limit=left),
            None if start is None else start[part.columns],
            None if kept is None else kept[number],
            _onward(progress, objective, bound, began),
        )
        cuts.append(found.cuts)
        rounds += found.rounds
        if found.x is None or found.scenario_costs is None:
            return replace(found, rounds=rounds, seconds=time.perf_counter() - began), tuple(cuts)
        x[part.columns] = found.x
        objective, bound, costs = objective + found.objective, bound + found.bound, costs + found.scenario_costs
        status = found.status if found.status != "optimal" else status
    seconds = time.perf_counter() - began
    together = TwoStageSolution(
        x, objective, bound, relative_gap(objective, bound), status, np.asarray(costs), rounds, None, seconds
    )
    return together, tuple(cuts)


def _onward(
    progress: Callable[[Round], None] | None, objective: float, bound: float, began: float
) -> Callable[[Round], None] | None:
    """Progress of one part told with what the parts before it came to."""
    if progress is None:
        return None

    def tell(found: Round) -> None:
        incumbent, least = objective + found.incumbent, bound + found.bound
        seconds = time.perf_counter() - began
        progress(Round(found.round, incumbent, least, relative_gap(incumbent, least), seconds))

    return tell
