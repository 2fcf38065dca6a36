"""Rows of a recourse problem that hold one column each: solved as bounds of that column, and priced again afterwards.

HiGHS takes time for every row, whether it binds or not. What a bound is worth is what its row is worth: the reduced cost of
the column, by the row's factor.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from scipy import sparse

from optimiser.solve.highs import FEASIBILITY, Program
from optimiser.solve.twostage import Floats, alike_but

#: Factors of such rows, up and down, beyond which they stay rows: bounds would be numbers of another size.
FACTOR = 1e4


class LoneRows:
    """Where rows of one entry are in matrices with entries in certain places.

    Parameters
    ----------
    matrix : one of them
    """

    def __init__(self, matrix: sparse.csr_matrix) -> None:
        counts = np.diff(matrix.indptr)
        lone = counts == 1
        self.rows, self.rest = np.flatnonzero(lone), np.flatnonzero(~lone)
        self.entries = matrix.indptr[self.rows]
        self.columns = matrix.indices[self.entries]
        self.distinct = len(np.unique(self.columns)) == len(self.columns)
        self._entries_left = np.flatnonzero(np.repeat(~lone, counts))
        self._left = sparse.csr_matrix(matrix[self.rest])

    def left(self, matrix: sparse.csr_matrix) -> sparse.csr_matrix | None:
        """A matrix without them; None where there are none, or their factors are nothing or beyond measure."""
        size = np.abs(matrix.data[self.entries])
        if not len(size) or size.min() < 1 / FACTOR or size.max() > FACTOR:
            return None
        return alike_but(self._left, data=matrix.data[self._entries_left])

    def bounded(self, program: Program, left: sparse.csr_matrix) -> Bounded:
        """A program with bounds for them; ``left`` is its matrix without."""
        factor = program.matrix.data[self.entries]
        one, other = program.row_lower[self.rows] / factor, program.row_upper[self.rows] / factor
        least, most = np.minimum(one, other), np.maximum(one, other)
        lower, upper = program.lower.copy(), program.upper.copy()
        np.maximum.at(lower, self.columns, least)
        np.minimum.at(upper, self.columns, most)
        # rows may be missed by rounding errors, bounds that cross may not
        crossed = (upper < lower) & (upper >= lower - FEASIBILITY)
        upper[crossed] = lower[crossed]
        rest = replace(
            program,
            matrix=left,
            row_lower=program.row_lower[self.rest],
            row_upper=program.row_upper[self.rest],
            lower=lower,
            upper=upper,
        )
        return Bounded(self, program, rest, least, most)


@dataclass(frozen=True, eq=False)
class Bounded:
    """A program, and the same with bounds for its rows of one entry: from ``least`` to ``most``, [such row]."""

    lone: LoneRows
    whole: Program
    program: Program
    least: Floats
    most: Floats

    def prices(self, dual: Floats, across: sparse.csc_matrix) -> Floats:
        """Prices of all rows, [row], from those of the rows left; ``across`` is the whole matrix transposed."""
        lone = self.lone
        full = np.zeros(self.whole.matrix.shape[0])
        full[lone.rest] = dual
        reduced = (self.whole.cost - across @ full)[lone.columns]
        at_upper = self.most <= self.program.upper[lone.columns]
        at_lower = self.least >= self.program.lower[lone.columns]
        pays = np.flatnonzero(((reduced < 0) & at_upper) | ((reduced > 0) & at_lower))
        if not lone.distinct:
            # where several rows hold a column at the same place, one of them has the price
            pays = pays[np.unique(lone.columns[pays], return_index=True)[1]]
        full[lone.rows[pays]] = reduced[pays] / self.whole.matrix.data[lone.entries[pays]]
        return full
