"""Masters of the decomposition: the first stage and what the cuts of a search say that scenarios cost."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from scipy import sparse

from optimiser.solve import highs
from optimiser.solve.branching import Tree, rounded_down
from optimiser.solve.highs import Growing, Point, Program
from optimiser.solve.twostage import Floats, Ints, legible_rows, tail_mean

if TYPE_CHECKING:
    from optimiser.solve.search import Search

#: What a point of the master may fall short of a cut, relative to the cost of the scenario, before it is taken up.
VIOLATED = 1e-7
#: Relative gap of the master, as a share of the gap asked for.
MASTER_GAP = 0.5
#: Nodes of a tree after which any leaf will do, where fewer scenarios make a look at one cheaper than that.
PATIENCE = 100


class Lazy:
    """The master of the linear relaxation: of the pool's cuts it takes up those that its points violate."""

    def __init__(self, search: Search, *, quick: bool = False) -> None:
        """``quick`` where there are many cuts from the beginning, as ``Growing`` has it."""
        self.search = search
        program = _program(search)
        self.size = len(program.cost)
        self.growing = Growing(program, quick=quick)
        self.rays = 0
        self.held = np.zeros(search.count, dtype=bool)  # [scenario], whether any cut holds its cost

    def solve(self) -> Point:
        """Solve the relaxation with every cut there is. The status may also be ``stopped``."""
        search, pool = self.search, self.search.pool
        if self.rays < len(pool.ray_constant):
            rows, upper = _ray_rows(search, self.size, self.rays)
            self.growing.add_rows(rows, np.full(len(upper), -np.inf), upper)
            self.rays = len(pool.ray_constant)
        for number in range(len(pool.layers) - 1, -1, -1):
            bare = pool.layers[number].scenario
            bare = bare[~self.held[bare]]
            if bare.size:
                self.add(bare, np.full(search.count, number))
        while True:
            found = self.growing.solve(time_limit=search.left())
            if found.status != "optimal":
                return found
            costs, layer = pool.at(found.x[: search.columns])
            known = found.x[search.columns : search.columns + search.count]
            over = costs / search.unit - known
            violated = np.flatnonzero(self.held & (over > VIOLATED * (1.0 + np.abs(known))))
            if not violated.size:
                return found
            self.add(violated, layer)

    def add(self, scenarios: Ints, layer: Ints) -> None:
        """Add one cut of each of some scenarios, of the layers [scenario]."""
        search = self.search
        constant, slope = search.pool.cuts_of(layer[scenarios], scenarios)
        own = sparse.csr_matrix(
            (np.ones(len(scenarios)), (np.arange(len(scenarios)), scenarios)),
            shape=(len(scenarios), self.size - search.columns),
        )
        rows = sparse.hstack([sparse.csr_matrix(-slope / search.unit), own], format="csr")
        self.growing.add_rows(rows, constant / search.unit, np.full(len(scenarios), np.inf))
        self.held[scenarios] = True


class Clustered:
    """A master in which groups of scenarios share a cost variable: few rows, exact wherever cuts have been asked for.

    Money is in the unit of the search.
    """

    def __init__(self, search: Search, groups: list[Ints]) -> None:
        self.search, self.groups = search, groups
        self.tail = search.problem.tail_counts
        self.share = np.zeros((len(groups), search.count))  # probability of a scenario in its group
        for number, group in enumerate(groups):
            self.share[number, group] = search.probability[group]
        count = len(groups)
        self.size = search.columns + count + (count + 1 if self.tail else 0)
        weight = search.problem.risk_weight if self.tail else 0.0
        beyond = 1.0 / (1.0 - search.problem.risk_level)
        first = search.first
        cost = [np.zeros(search.columns), np.full(count, 1.0 - weight)]
        lower, upper = [first.lower, np.full(count, -np.inf)], [first.upper, np.full(count, np.inf)]
        if self.tail:
            cost.append(np.concatenate([[weight], np.full(count, weight * beyond)]))
            lower.append(np.concatenate([[-np.inf], np.zeros(count)]))
            upper.append(np.full(count + 1, np.inf))
        self.cost, self.lower, self.upper = np.concatenate(cost), np.concatenate(lower), np.concatenate(upper)
        self.integer = np.zeros(self.size, dtype=bool)
        self.integer[: search.columns] = first.integer
        empty = sparse.csr_matrix((first.matrix.shape[0], self.size - search.columns))
        matrix, row_lower, row_upper = legible_rows(first)
        self.rows: list[Floats | sparse.csr_matrix] = [sparse.hstack([matrix, empty], format="csr")]
        self.row_lower, self.row_upper = [row_lower], [row_upper]
        self.rays = 0
        self.growing: Growing | None = None
        if self.tail:
            # excess >= cost of the group - its probability times the value at risk
            share = np.array([search.probability[group].sum() for group in groups]).reshape(-1, 1)
            ones, left = sparse.eye(count), sparse.csr_matrix((count, search.columns))
            self.add(sparse.hstack([left, -ones, share, ones]), np.zeros(count), np.full(count, np.inf))
        if self.tail and search.problem.cvar_limit is not None:
            limit = np.concatenate([np.zeros(search.columns + count), [1.0], np.full(count, beyond)])
            self.add(limit[None], np.array([-np.inf]), np.array([search.problem.cvar_limit / search.unit]))

    def add(self, rows: Floats | sparse.csr_matrix, lower: Floats, upper: Floats) -> None:
        """Add rows."""
        self.rows.append(rows)
        self.row_lower.append(lower)
        self.row_upper.append(upper)
        if self.growing is not None:
            self.growing.add_rows(rows, lower, upper)

    def cut_at(self, x: Floats, solution: Floats | None = None) -> bool:
        """Add, for every group, the sum of the cuts that bind at x; with a solution only where that violates them."""
        search, pool = self.search, self.search.pool
        unit, columns, groups = search.unit, search.columns, len(self.groups)
        added = False
        if self.rays < len(pool.ray_constant):
            rows, upper = _ray_rows(search, self.size, self.rays)
            self.add(rows, np.full(len(upper), -np.inf), upper)
            self.rays, added = len(pool.ray_constant), True
        costs, layer = pool.at(x)
        if not np.isfinite(costs).all():
            return added
        costs = costs / unit
        rows, lower = [], []

        def bind(share: Floats, place: int, at_risk: Floats, value: Floats) -> None:
            """Column ``place`` + group of at least what shares of scenarios [group, scenario] cost above what is at risk."""
            wanted = np.arange(groups) if place == columns else np.flatnonzero(share.any(axis=1))
            if solution is not None:
                below = solution[place : place + groups] < value - 1e-6 * (1.0 + np.abs(value))
                wanted = wanted[below[wanted]]
            constant, slope = pool.sums_of(layer, share[wanted])
            row = np.zeros((len(wanted), self.size))
            row[:, :columns] = -slope / unit
            row[np.arange(len(wanted)), place + wanted] = 1.0
            if self.tail:
                row[:, columns + groups] += at_risk[wanted]
            rows.append(row)
            lower.append(constant / unit)

        bind(self.share, columns, np.zeros(groups), self.share @ costs)
        if self.tail:
            place = columns + groups
            around = tail_mean(search.problem, costs)[1] if solution is None else float(solution[place])
            over = self.share * (costs > around)
            bind(over, place + 1, over.sum(axis=1), over @ (costs - around))
        found = np.concatenate(rows)
        if len(found):
            self.add(found, np.concatenate(lower), np.full(len(found), np.inf))
        return added or bool(len(found))

    def program(self) -> Program:
        """What there is now."""
        return Program(
            cost=self.cost,
            offset=0.0,
            matrix=sparse.vstack([sparse.csr_matrix(rows) for rows in self.rows], format="csr"),
            row_lower=np.concatenate(self.row_lower),
            row_upper=np.concatenate(self.row_upper),
            lower=self.lower,
            upper=self.upper,
            integer=self.integer,
        )

    def close(self, most_rounds: int = 100) -> None:
        """Add cuts of the pool until the linear relaxation violates none."""
        program = self.program()
        # columns without bounds are held within a box until there are enough cuts to hold them
        place, box = slice(0, self.search.columns), self.search.box
        lower, upper = self.lower.copy(), self.upper.copy()
        lower[place] = np.where(np.isfinite(lower[place]), lower[place], -box)
        upper[place] = np.where(np.isfinite(upper[place]), upper[place], box)
        whole = np.zeros(self.size, dtype=bool)
        self.growing = Growing(replace(program, lower=lower, upper=upper, integer=whole))
        for _ in range(most_rounds):
            self.search.check()
            found = self.growing.solve(time_limit=self.search.left())
            if found.status != "optimal" or not self.cut_at(found.x[: self.search.columns], found.x):
                break
        self.growing = None

    def tree(self) -> Tree:
        """A tree of whole-number points, in which the pool's cuts are taken up as they are violated."""
        search, program = self.search, self.program()
        program = replace(program, row_upper=rounded_down(program))
        self.growing = Growing(replace(program, integer=np.zeros(self.size, dtype=bool)), quick=True)

        def cut(x: Floats) -> bool:
            search.check()
            return self.cut_at(x[: search.columns], x)

        return Tree(program, self.growing, cut, patience=max(search.count, PATIENCE))

    def solve(self, cutoff: float) -> highs.Outcome:
        """Best whole-number point of cost at most ``cutoff`` pounds."""
        search, program = self.search, self.program()
        highest = cutoff / search.unit
        for gap in (MASTER_GAP * search.settings.gap, 0.0):
            found = highs.solve(
                program,
                gap=gap,
                cutoff=highest,
                time_limit=search.left(),
                stop=search.settings.stop,
                heuristics=False,
            )
            # beyond the cutoff nothing is looked for: what is found there says only that there is nothing below
            if found.status != "optimal" or found.objective <= highest:
                return found
            if found.bound >= highest:
                break
        return replace(found, status="infeasible", x=None, objective=np.inf, bound=np.inf)


def _program(search: Search) -> Program:
    """The master without cuts: first stage, scenario costs and, where the tail counts, value at risk and excess.

    Money is in units of ``unit``. Scenario costs without any cut are held at zero.
    """
    first, tail = search.first, search.problem.tail_counts
    weight, extra = search.problem.risk_weight if tail else 0.0, search.count + 1 if tail else 0
    beyond = search.probability / (1.0 - search.problem.risk_level)
    free = np.where(search.pool.has_cut, np.inf, 0.0)
    size = search.columns + search.count + extra
    rows, least, most = legible_rows(first)
    matrix = sparse.hstack([rows, sparse.csr_matrix((rows.shape[0], size - search.columns))], format="csr")
    cost = [np.zeros(search.columns), (1.0 - weight) * search.probability]
    lower, upper = (
        [np.where(np.isfinite(first.lower), first.lower, -search.box), -free],
        [np.where(np.isfinite(first.upper), first.upper, search.box), free],
    )
    row_lower, row_upper = [least], [most]
    if tail:
        cost.append(np.concatenate([[weight], weight * beyond]))
        lower.append(
            np.concatenate(
                [[-np.inf if weight > 0 or search.problem.cvar_limit is not None else 0.0], np.zeros(search.count)]
            )
        )
        upper.append(np.full(extra, np.inf))
        ones = sparse.eye(search.count, format="csr")
        left = sparse.csr_matrix((search.count, search.columns))
        # excess >= cost of the scenario - value at risk
        matrix = sparse.vstack(
            [matrix, sparse.hstack([left, -ones, np.ones((search.count, 1)), ones], format="csr")], format="csr"
        )
        row_lower.append(np.zeros(search.count))
        row_upper.append(np.full(search.count, np.inf))
        if search.problem.cvar_limit is not None:
            limit = np.concatenate([np.zeros(search.columns + search.count), [1.0], beyond])
            matrix = sparse.vstack([matrix, sparse.csr_matrix(limit)], format="csr")
            row_lower.append(np.array([-np.inf]))
            row_upper.append(np.array([search.problem.cvar_limit / search.unit]))
    return Program(
        cost=np.concatenate(cost),
        offset=0.0,
        matrix=matrix,
        row_lower=np.concatenate(row_lower),
        row_upper=np.concatenate(row_upper),
        lower=np.concatenate(lower),
        upper=np.concatenate(upper),
        integer=np.zeros(size, dtype=bool),
    )


def _ray_rows(search: Search, size: int, since: int = 0) -> tuple[sparse.csr_matrix, Floats]:
    """Feasibility cuts as rows, and their upper limits; each scaled to a largest coefficient of one."""
    slope, constant = search.pool.ray_slope[since:], search.pool.ray_constant[since:]
    largest = np.abs(slope).max(axis=1, initial=0.0)
    scale = np.where(largest > 0, largest, 1.0)
    empty = sparse.csr_matrix((len(slope), size - search.columns))
    return sparse.hstack([sparse.csr_matrix(slope / scale[:, None]), empty], format="csr"), -constant / scale


def alike(table: Floats, count: int) -> list[Ints]:
    """Rows of a table in at most ``count`` groups of like ones: farthest points first, then a few rounds of means."""
    centre = table.mean(axis=0)
    distance = ((table - centre) ** 2).sum(axis=1)
    chosen = [int(np.argmin(distance))]
    nearest = ((table - table[chosen[0]]) ** 2).sum(axis=1)
    while len(chosen) < count and nearest.max() > 0:
        chosen.append(int(np.argmax(nearest)))
        nearest = np.minimum(nearest, ((table - table[chosen[-1]]) ** 2).sum(axis=1))
    means = table[chosen]
    group = np.zeros(len(table), dtype=np.int64)
    for _ in range(5):
        squares = (table**2).sum(axis=1)[:, None] - 2 * table @ means.T + (means**2).sum(axis=1)
        group = np.argmin(squares, axis=1)
        means = np.array(
            [table[group == k].mean(axis=0) if (group == k).any() else means[k] for k in range(len(means))]
        )
    return [np.flatnonzero(group == k) for k in range(len(means)) if (group == k).any()]
