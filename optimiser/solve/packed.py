"""Scenarios in little memory: thousands of them hold few distinct numbers each, in the same places of the same matrices."""

from __future__ import annotations

from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from optimiser.solve.twostage import Floats, Scenario, Stage

Matrix = TypeVar("Matrix", sparse.csr_matrix, sparse.csc_matrix)

#: Arrays of a recourse problem that are packed; the others are the template's own, shared by all scenarios.
ARRAYS = ("cost", "upper", "row_lower", "row_upper")


class Coded:
    """Numbers kept as the distinct ones, and which of them stands where: a byte or two each instead of eight."""

    __slots__ = ("codes", "values")

    def __init__(self, values: Floats, codes: NDArray[np.unsignedinteger[Any]]) -> None:
        self.values, self.codes = values, codes

    def whole(self) -> Floats:
        """The numbers, made anew."""
        numbers: Floats = self.values[self.codes]
        return numbers

    def holds(self, other: Coded) -> bool:
        """Whether the numbers are those of another, to the bit."""
        return np.array_equal(self.codes, other.codes) and self.values.tobytes() == other.values.tobytes()


def coded(numbers: Floats, like: Coded | Floats | None = None) -> Coded | Floats:
    """Numbers in less memory, to the bit; as they are where codes would take no less.

    Parameters
    ----------
    like : what comes back where it holds the same numbers, so that they are kept once
    """
    bits, places = np.unique(numbers.view(np.int64), return_inverse=True)
    codes = places.astype(np.min_scalar_type(max(len(bits) - 1, 0)))
    if codes.nbytes + bits.nbytes >= numbers.nbytes:
        return numbers
    found = Coded(bits.view(np.float64), codes)
    return like if isinstance(like, Coded) and like.holds(found) else found


class Layout:
    """Where the entries stand in matrices that differ in nothing but their numbers."""

    __slots__ = ("across", "rows")

    def __init__(self, matrix: sparse.csr_matrix) -> None:
        self.rows, self.across = _filled(matrix, np.empty(0)), _filled(matrix.T, np.empty(0))

    def holds(self, matrix: sparse.csr_matrix) -> bool:
        """Whether a matrix has the very index arrays of this one."""
        return matrix.indices is self.rows.indices and matrix.indptr is self.rows.indptr


class CodedMatrix:
    """A sparse matrix whose places are shared with other scenarios, and whose numbers are coded."""

    __slots__ = ("data", "layout")

    def __init__(self, layout: Layout, data: Coded | Floats) -> None:
        self.layout, self.data = layout, data

    def whole(self) -> sparse.csr_matrix:
        """The matrix by rows, made anew but for its index arrays."""
        return _filled(self.layout.rows, self.data.whole() if isinstance(self.data, Coded) else self.data)


def _filled(matrix: Matrix, data: Floats) -> Matrix:
    """A matrix with other numbers in the same places: a fortieth of the work of its constructor, which checks them."""
    made = object.__new__(type(matrix))
    made.__dict__.update(matrix.__dict__)
    made.data = data
    return made


class _Packed:
    """Makes what is packed anew when it is read; what is written into it is lost."""

    def __getattribute__(self, name: str) -> Any:
        value = object.__getattribute__(self, name)
        return value.whole() if type(value) is Coded or type(value) is CodedMatrix else value


class PackedStage(_Packed, Stage):
    """A recourse problem in little memory."""


class PackedScenario(_Packed, Scenario):
    """A scenario in little memory."""


def packed(scenario: Scenario, like: Scenario | None = None) -> PackedScenario:
    """The same scenario in little memory.

    Parameters
    ----------
    like : another scenario, with which index arrays and whatever else is equal are shared
    """
    stage, other = scenario.recourse, {} if like is None else like.recourse.__dict__
    arrays: dict[str, Any] = {name: coded(getattr(stage, name), other.get(name)) for name in ARRAYS}
    arrays["matrix"] = _coded_matrix(stage.matrix, other.get("matrix"))
    technology = _coded_matrix(scenario.technology, None if like is None else like.__dict__["technology"])
    recourse = _made(PackedStage, stage, arrays)
    return _made(PackedScenario, scenario, {"technology": technology, "recourse": recourse})


def _coded_matrix(matrix: sparse.csr_matrix, like: object) -> CodedMatrix:
    if not isinstance(like, CodedMatrix) or not like.layout.holds(matrix):
        return CodedMatrix(Layout(matrix), coded(matrix.data))
    data = coded(matrix.data, like.data)
    return like if data is like.data else CodedMatrix(like.layout, data)


Made = TypeVar("Made", bound=object)


def _made(kind: type[Made], like: object, changes: dict[str, Any]) -> Made:
    """A stage or scenario of some kind, as another but for some changes; what has been checked once is not again."""
    made = object.__new__(kind)
    made.__dict__.update(like.__dict__ | changes)
    return made


def whole(scenario: Scenario) -> tuple[Scenario, sparse.csc_matrix, sparse.csc_matrix]:
    """The scenario with its arrays made once; its technology and its recourse matrix across, which hold the same numbers."""
    stage = scenario.recourse
    arrays = {name: getattr(stage, name) for name in (*ARRAYS, "matrix")}
    technology = scenario.technology
    made = _made(Scenario, scenario, {"technology": technology, "recourse": _made(Stage, stage, arrays)})
    return made, _across(scenario, "technology", technology), _across(stage, "matrix", arrays["matrix"])


def _across(of: object, name: str, matrix: sparse.csr_matrix) -> sparse.csc_matrix:
    """A matrix just made by columns: its transpose, by the layout that is kept."""
    kept = of.__dict__[name]
    return _filled(kept.layout.across, matrix.data) if isinstance(kept, CodedMatrix) else matrix.T
