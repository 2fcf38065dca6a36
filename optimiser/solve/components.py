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

#: Index arrays of sparse matrices, by shape and content: parts of futures that share theirs do so too.
Layouts = dict[tuple[tuple[int, ...], bytes, bytes], tuple[Ints, Ints]]
#: Solves one two-stage problem: problem, settings, a point to start from, kept duals, progress.
Solve = Callable[
    [TwoStageProblem, Settings, Floats | None, Cuts | None, Callable[[Round], None] | None], TwoStageSolution
]


@dataclass(frozen=True, eq=False)
class Component:
    """A part of a problem.

    Parameters
    ----------
    columns : first-stage columns of the whole that it holds
    rows : recourse rows of the first scenario
    own : [scenario], recourse columns
    """

    columns: Ints
    problem: TwoStageProblem
    rows: Ints
    own: tuple[Ints, ...]


def components_of(problem: TwoStageProblem) -> tuple[Component, ...]:
    """The parts of a problem that share neither row nor column; the problem itself where it is of one piece."""
    rows, own_columns = (np.arange(size) for size in problem.scenarios[0].shapes[0])
    whole = (Component(np.arange(len(problem.first.cost)), problem, rows, (own_columns,) * len(problem.scenarios)),)
    if problem.tail_counts:
        return whole
    group, own = _groups(problem)
    with_children = np.unique(np.concatenate(list({id(groups): groups for groups in own}.values())))
    with_children = with_children[with_children >= 0]
    if len(with_children) < 2:
        return whole
    # what has no decision, or no children, goes with the first part
    place = np.zeros(group.max() + 2, dtype=np.int64)
    place[with_children] = np.arange(len(with_children))
    places = {id(groups): place[groups] for groups in own}
    shared: Layouts = {}
    return tuple(
        _part(problem, number, place[group], [places[id(groups)] for groups in own], shared)
        for number in range(len(with_children))
    )


def _groups(problem: TwoStageProblem) -> tuple[Ints, list[Ints]]:
    """Which group a column belongs to: first-stage columns, and each future's own, -1 for those no decision touches.

    Futures that share their index arrays join the same decisions, and are looked at once; groups that are the same are
    shared between futures.
    """
    first, size = problem.first.matrix, problem.first.matrix.shape[1]
    joined: dict[tuple[int, int], tuple[Ints, Ints]] = {}
    placed: dict[tuple[int, int, int, int], tuple[tuple[int, int], int]] = {}
    columns, labels, futures, known = [first.indices], [_rows(first)], [], first.shape[0]
    for scenario in problem.scenarios:
        recourse, technology = scenario.layout
        own = id(recourse.indptr), id(recourse.indices)
        both = *own, id(technology.indptr), id(technology.indices)
        futures.append(both)
        if both in placed:
            continue
        if own not in joined:
            label = _connected(recourse.indices, _rows(recourse), recourse.shape[1], recourse.shape[0])
            joined[own] = label[: recourse.shape[1]], label[recourse.shape[1] :]
        columns.append(technology.indices)
        labels.append(joined[own][1][_rows(technology)] + known)
        placed[both] = own, known
        known += sum(recourse.shape)
    label = _connected(np.concatenate(columns), np.concatenate(labels), size, known)
    group_of = np.full(int(label.max()) + 1, -1, dtype=np.int64)
    held, group = np.unique(label[:size], return_inverse=True)
    group_of[held] = np.arange(len(held))
    shared: dict[bytes, Ints] = {}
    found = {}
    for both, (own, start) in placed.items():
        groups = group_of[label[size + start + joined[own][0]]]
        found[both] = shared.setdefault(groups.tobytes(), groups)
    return group, [found[both] for both in futures]


def _rows(matrix: sparse.csr_matrix) -> Ints:
    """The row of every entry."""
    return np.repeat(np.arange(matrix.shape[0]), np.diff(matrix.indptr))


def _connected(one: Ints, other: Ints, ones: int, others: int) -> Ints:
    """Connected component of every node of a graph in two halves, given its edges."""
    size = ones + others
    graph = sparse.coo_matrix((np.ones(len(one), dtype=np.int8), (one, other + ones)), shape=(size, size))
    label: Ints = connected_components(graph, directed=False)[1].astype(np.int64)
    return label


def _part(problem: TwoStageProblem, number: int, first: Ints, recourse: Sequence[Ints], shared: Layouts) -> Component:
    columns = np.flatnonzero(first == number)
    stage = problem.first
    rows = _rows_of(stage.matrix, columns, number == 0)
    held = {id(places): np.flatnonzero(places == number) for places in recourse}
    own = tuple(held[id(places)] for places in recourse)
    touched, scenarios = zip(
        *(
            _future_part(scenario, columns, mine, number == 0, shared)
            for scenario, mine in zip(problem.scenarios, own, strict=True)
        ),
        strict=True,
    )
    part = _restricted(stage, rows, columns, _cut(stage.matrix, rows, columns, {}))
    return Component(columns, replace(problem, first=part, scenarios=scenarios), touched[0], own)


def _future_part(scenario: Scenario, columns: Ints, own: Ints, leading: bool, shared: Layouts) -> tuple[Ints, Scenario]:
    """One future's part, and its rows: they touch the part's columns; constants go with the leading part."""
    recourse, technology = scenario.recourse, scenario.technology
    touched = _rows_of(recourse.matrix, own, False)
    touched = np.union1d(touched, _rows_of(technology, columns, False))
    if leading:
        empty = np.diff(recourse.matrix.indptr) + np.diff(technology.indptr) == 0
        touched = np.union1d(touched, np.flatnonzero(empty))
    cost = scenario.first_stage_cost
    return touched, replace(
        scenario,
        technology=_cut(technology, touched, columns, shared),
        recourse=_restricted(recourse, touched, own, _cut(recourse.matrix, touched, own, shared)),
        first_stage_cost=None if cost is None else cost[columns],
        offset=scenario.offset if leading else 0.0,
    )


def _rows_of(matrix: sparse.csr_matrix, columns: Ints, with_empty: bool) -> Ints:
    """Rows in which any of the columns has an entry; and rows without any entry."""
    wanted = np.zeros(matrix.shape[1], dtype=bool)
    wanted[columns] = True
    found = np.zeros(matrix.shape[0], dtype=bool)
    found[_rows(matrix)[wanted[matrix.indices]]] = True
    if with_empty:
        found |= np.diff(matrix.indptr) == 0
    return np.flatnonzero(found)


def _cut(matrix: sparse.csr_matrix, rows: Ints, columns: Ints, shared: Layouts) -> sparse.csr_matrix:
    """Rows and columns of a matrix; index arrays equal to some met before are those."""
    part = sparse.csr_matrix(matrix[rows][:, columns])
    key = part.shape, part.indptr.tobytes(), part.indices.tobytes()
    part.indptr, part.indices = shared.setdefault(key, (part.indptr, part.indices))
    return part


def _restricted(stage: Stage, rows: Ints, columns: Ints, matrix: sparse.csr_matrix) -> Stage:
    return Stage(
        cost=stage.cost[columns],
        lower=stage.lower[columns],
        upper=stage.upper[columns],
        matrix=matrix,
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
    recourse: list[Sequence[Floats]] = []
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
        recourse.append(found.recourse)
        rounds += found.rounds
        if found.x is None or found.scenario_costs is None:
            return replace(found, rounds=rounds, seconds=time.perf_counter() - began), tuple(cuts)
        x[part.columns] = found.x
        objective, bound, costs = objective + found.objective, bound + found.bound, costs + found.scenario_costs
        status = found.status if found.status != "optimal" else status
    seconds = time.perf_counter() - began
    together = TwoStageSolution(
        x,
        objective,
        bound,
        relative_gap(objective, bound),
        status,
        np.asarray(costs),
        rounds,
        None,
        seconds,
        _together(parts, recourse),
    )
    return together, tuple(cuts)


def _together(parts: Sequence[Component], recourse: Sequence[Sequence[Floats]]) -> Sequence[Floats]:
    """Recourse of the whole in every scenario from that of the parts; none where a part has none."""
    if len(parts) == 1:
        return recourse[0]
    if not all(recourse):
        return ()
    whole = []
    for number, by_part in enumerate(zip(*recourse, strict=True)):
        y = np.empty(sum(len(own) for own in by_part))
        for part, own in zip(parts, by_part, strict=True):
            y[part.own[number]] = own
        whole.append(y)
    return tuple(whole)


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
