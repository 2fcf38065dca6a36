"""Branch and bound over a linear program that gains cuts on the way: one tree from beginning to end.

A master solved anew for every cut builds its tree from nothing each time. Here a cut found anywhere holds everywhere, and what
is known of a node only rises. For masters of few decisions; HiGHS has the rest.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from optimiser.solve.highs import Growing, Point, Program

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

#: A column within this of a whole number is one.
WHOLE = 1e-6
#: Rounds of cuts at a node that has fractions left: there a cut moves the point, and the next node asks again.
ROUNDS = 1
#: Solves after which rows that held no point in its place for as many are taken out.
IDLE = 50
#: Gain of a branch below which it counts as none, so that products of gains can be compared.
LEAST_GAIN = 1e-6
#: Distinct sums up to which those that a row can reach are listed.
MANY_SUMS = 2000


@dataclass(frozen=True, eq=False)
class Node:
    """A part of the first stage: bounds of whole-number columns, and a bound on what it costs.

    Parameters
    ----------
    branch : side (0 down, 1 up), column and distance of the branch that it came from, whose gain is not known yet
    leaf : its best point as far as is known, whole where it must be; None where it is not known
    """

    lower: Floats
    upper: Floats
    bound: float
    branch: tuple[int, int, float] | None = None
    leaf: Floats | None = None


class Stuck(Exception):
    """HiGHS cannot tell what a node comes to."""


class Tree:
    """The nodes that are open of a program of which cuts are still to be found.

    Parameters
    ----------
    program : without cuts that are found later
    cut : adds to the program what a point [column] violates; whether there was anything
    patience : nodes after which any leaf will do. To look at a leaf takes one linear program for each scenario: about as many
    """

    def __init__(self, program: Program, growing: Growing, cut: Callable[[Floats], bool], patience: int) -> None:
        self.program, self.growing, self.cut, self.patience = program, growing, cut, patience
        self.columns = np.flatnonzero(program.integer)
        self.gain = np.zeros((2, len(self.columns)))  # [side, column], summed, per unit of distance
        self.tried = np.zeros((2, len(self.columns)))  # [side, column]
        self.solved = 0
        # [row], the solve in which it last held a point in its place
        self._held = np.zeros(growing.rows, dtype=np.int64)
        self._found: Floats | None = None  # the last leaf met
        self._number = 0
        self._open: list[tuple[float, int, Node]] = []
        self._push(Node(program.lower[self.columns], program.upper[self.columns], -np.inf))

    @property
    def bound(self) -> float:
        """No point of an open node costs less; infinite where none is open."""
        return self._open[0][0] if self._open else np.inf

    def best(self, limit: float, most: int) -> Floats | None:
        """The point of least cost by the cuts there are, which is [column]; None where none costs less than ``limit``.

        Once its patience has ended any point that costs less will do: what is cut off there may spare the search for the best.
        The point's node stays open, and is looked at again when it is next the best. None also once ``most`` nodes have been
        solved, or HiGHS cannot tell what one comes to.
        """
        node: Node | None = None
        began = forgotten = self.solved
        self._found = None
        while self.solved < most:
            hasty = self.solved - began >= self.patience
            if hasty and self._found is not None and not self.cut(self._found):
                if node is not None:
                    self._push(node)
                return self._found
            if node is None:
                if self.bound >= limit:
                    return None
                if self.solved >= forgotten + IDLE:
                    forgotten = self.solved
                    self._forget()
                node = heapq.heappop(self._open)[2]
                if node.leaf is not None:
                    if not self.cut(node.leaf):
                        self._push(node)
                        return node.leaf
                    node = replace(node, leaf=None)
            try:
                node = self._next(node, limit, hasty)
            except Stuck:
                break
        if node is not None:
            self._push(node)
        return None

    def _push(self, node: Node) -> None:
        self._number += 1
        heapq.heappush(self._open, (node.bound, self._number, node))

    def _next(self, node: Node, limit: float, deeper: bool) -> Node | None:
        """Solve a node: it is closed, is a leaf, or is branched on.

        One branch comes back where nothing open is better, or ``deeper`` is where to go.
        """
        self.growing.bound_columns(self.columns, node.lower, node.upper)
        found = self._solved()
        if found is None:
            return None
        if node.branch is not None:
            side, place, distance = node.branch
            self.gain[side, place] += max(found.bound - node.bound, 0.0) / distance
            self.tried[side, place] += 1
        rounds = 0
        while found.bound < limit:
            part = found.x[self.columns]
            fraction = np.abs(part - np.round(part)) > WHOLE
            if (fraction.any() and rounds == ROUNDS) or not self.cut(found.x):
                break
            rounds += 1
            again = self._solved()
            if again is None:
                return None
            found = again
        bound = max(found.bound, node.bound)
        if found.bound >= limit:
            self._push(replace(node, bound=bound, branch=None))
            return None
        if not fraction.any():
            self._push(replace(node, bound=bound, branch=None, leaf=found.x))
            self._found = found.x
            return None
        down, up = self._branches(node, bound, part, fraction)
        near, far = (up, down) if up.branch is not None and up.branch[2] <= 0.5 else (down, up)
        self._push(far)
        if bound > self.bound and not deeper:
            self._push(near)
            return None
        return near

    def _solved(self) -> Point | None:
        self.solved += 1
        found = self.growing.solve()
        if found.status == "infeasible":
            return None
        if found.status != "optimal":
            raise Stuck
        self._held = np.append(self._held, np.full(len(found.dual) - len(self._held), self.solved))
        self._held[found.dual != 0] = self.solved
        return found

    def _forget(self) -> None:
        """Take out rows that long held no point in its place: they would be found again, and cost every solve its time."""
        idle = np.flatnonzero(self._held < self.solved - IDLE)
        idle = idle[idle >= self.program.matrix.shape[0]]
        self._held = np.delete(self._held, self.growing.drop_rows(idle))

    def _branches(self, node: Node, bound: float, part: Floats, fraction: NDArray[np.bool_]) -> tuple[Node, Node]:
        """Both branches on the column that promises most: by what branching on it has gained before."""
        below = np.where(fraction, part - np.floor(part), 0.0)
        expected = []
        for side, distance in enumerate((below, 1.0 - below)):
            known = self.tried[side] > 0
            mean = self.gain[side].sum() / self.tried[side].sum() if known.any() else 1.0
            rate = np.where(known, self.gain[side] / np.maximum(self.tried[side], 1.0), mean)
            expected.append(np.maximum(rate * distance, LEAST_GAIN))
        place = int(np.argmax(np.where(fraction, expected[0] * expected[1], -1.0)))
        upper, lower = node.upper.copy(), node.lower.copy()
        upper[place], lower[place] = np.floor(part[place]), np.ceil(part[place])
        return (
            Node(node.lower, upper, bound, (0, place, float(below[place]))),
            Node(lower, node.upper, bound, (1, place, 1.0 - float(below[place]))),
        )


def rounded_down(program: Program) -> Floats:
    """Upper limits of rows, brought down to the largest sum that whole numbers can reach, [row].

    An envelope that is no sum of home prices buys no more than the largest sum below it.
    """
    limits = program.row_upper.copy()
    matrix = program.matrix
    for row in np.flatnonzero(np.isfinite(limits) & (np.diff(matrix.indptr) > 0)).tolist():
        own = slice(matrix.indptr[row], matrix.indptr[row + 1])
        columns, factors = matrix.indices[own], matrix.data[own]
        if not program.integer[columns].all() or (factors < 0).any() or (program.lower[columns] != 0).any():
            continue
        sums = np.zeros(1)
        for factor in np.unique(factors[factors > 0]):
            most = min(float(program.upper[columns][factors == factor].sum()), limits[row] // factor)
            if len(sums) * (most + 1) > MANY_SUMS:
                break
            sums = np.unique(np.add.outer(sums, factor * np.arange(most + 1)))
        else:
            reached = sums[sums <= limits[row] * (1 + 1e-9)]
            if reached.size:
                limits[row] = min(limits[row], float(reached[-1]) * (1 + 1e-9))
    return limits
