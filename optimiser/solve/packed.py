"""Scenarios in little memory: thousands of them have every array in common but for numbers in the same certain places."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
from scipy import sparse

from optimiser.solve.twostage import Floats, Ints, Scenario, Stage, alike_but, fingerprint

#: Arrays whose numbers may differ between scenarios, in the order in which they are held.
ARRAYS = ("cost", "upper", "row_lower", "row_upper", "matrix", "technology")


class Opened(NamedTuple):
    """A scenario's recourse problem with its arrays made, and both matrices by columns."""

    stage: Stage
    technology: sparse.csr_matrix
    across: sparse.csc_matrix
    technology_across: sparse.csc_matrix


class Mould:
    """What scenarios of the same shape have in common."""

    def __init__(self, like: Scenario, places: Mapping[str, Ints]) -> None:
        """``like`` is one of them; ``places`` says for each of ``ARRAYS`` where its numbers may be others in another."""
        numbers = _numbers(like)
        ends = np.cumsum([len(each) for each in numbers])
        starts = ends - [len(each) for each in numbers]
        self.base = np.concatenate(numbers)
        self.base.flags.writeable = False
        self.places = np.concatenate([start + places[name] for start, name in zip(starts, ARRAYS, strict=True)])
        self._slices = [slice(start, end) for start, end in zip(starts.tolist(), ends.tolist(), strict=True)]
        self._ends = np.cumsum([len(places[name]) for name in ARRAYS]).tolist()
        self.shapes, self.has_integers = like.shapes, like.has_integers
        self._stage = like.recourse
        self._rows = like.recourse.matrix, like.technology
        self._across = like.recourse.matrix.T, like.technology.T

    def packed(self, scenario: Scenario) -> Scenario:
        """The same scenario in little memory; itself where it is not of this shape."""
        mine, stage = self._stage, scenario.recourse
        shared = stage.lower is mine.lower and stage.integer is mine.integer
        for matrix, own in zip((stage.matrix, scenario.technology), self._rows, strict=True):
            shared &= matrix.indices is own.indices and matrix.indptr is own.indptr
        if not shared:
            return scenario
        numbers = np.concatenate(_numbers(scenario))
        values = numbers[self.places]
        if not np.array_equal(self._filled(values), numbers):
            return scenario
        rest = {"probability": scenario.probability, "offset": scenario.offset}
        made = object.__new__(PackedScenario)
        made.__dict__.update(rest, first_stage_cost=scenario.first_stage_cost, mould=self, values=values)
        return made

    def opened(self, values: Floats) -> Opened:
        """The arrays of a scenario, made anew from the numbers that are its own."""
        numbers = self._filled(values)
        cost, upper, row_lower, row_upper, data, share = (numbers[own] for own in self._slices)
        matrix, technology = alike_but(self._rows[0], data=data), alike_but(self._rows[1], data=share)
        sides = {"row_lower": row_lower, "row_upper": row_upper}
        stage = alike_but(self._stage, cost=cost, upper=upper, matrix=matrix, **sides)
        return Opened(stage, technology, alike_but(self._across[0], data=data), alike_but(self._across[1], data=share))

    @property
    def layout(self) -> tuple[sparse.csr_matrix, sparse.csr_matrix]:
        """Matrices of a scenario, as ``Scenario.layout`` has them."""
        return self._rows

    def fingerprints(self, values: Floats) -> tuple[int, int]:
        """As ``Scenario.fingerprints`` has them, of the numbers that are a scenario's own and what all have in common."""
        _, upper, _, row_upper, matrix, _ = self._ends
        vectors, rest = self._common
        return (
            fingerprint(vectors, values[:upper], values[row_upper:matrix]),
            fingerprint(rest, values[upper:row_upper], values[matrix:]),
        )

    @cached_property
    def _common(self) -> tuple[bytes, bytes]:
        """What all have in common, and where their own numbers stand: for each of the two fingerprints."""
        base = self.base.copy()
        base[self.places] = np.nan
        cost, upper, row_lower, row_upper, data, share = (base[own] for own in self._slices)
        stage, (matrix, technology) = self._stage, self._rows
        found = (
            fingerprint(cost, upper, stage.lower, data, matrix.indices, matrix.indptr),
            fingerprint(row_lower, row_upper, share, technology.indices, technology.indptr),
        )
        first, second = (each.to_bytes(8, "little") for each in found)
        return first, second

    def _filled(self, values: Floats) -> Floats:
        numbers = self.base.copy()
        numbers[self.places] = values
        return numbers


class PackedScenario(Scenario):
    """A scenario of a mould, kept as the numbers that are its own.

    Its technology and its recourse problem are made anew when they are read: what is written into them is lost.
    """

    mould: Mould
    values: Floats

    def __getattr__(self, name: str) -> Any:
        if name not in ("technology", "recourse"):
            raise AttributeError(name)
        made = self.mould.opened(self.values)
        return made.technology if name == "technology" else made.stage

    @property
    def is_packed(self) -> bool:
        """Whether it is: with another technology or recourse problem it no longer is."""
        return not {"technology", "recourse"} & self.__dict__.keys()

    @property
    def shapes(self) -> tuple[tuple[int, int], tuple[int, int]]:
        """Shapes of its matrices, for which they need not be made."""
        return self.mould.shapes if self.is_packed else super().shapes

    @property
    def has_integers(self) -> bool:
        """Whether some column of the recourse problem must be whole; it need not be made for that."""
        return self.mould.has_integers if self.is_packed else super().has_integers

    @property
    def layout(self) -> tuple[sparse.csr_matrix, sparse.csr_matrix]:
        """Matrices with entries where its own have them; its own need not be made for that."""
        return self.mould.layout if self.is_packed else super().layout

    def fingerprints(self) -> tuple[int, int]:
        """Of what its dual vectors depend on, and of what else is asked; others than those of the same scenario unpacked."""
        if not self.is_packed:
            return super().fingerprints()
        known: tuple[int, int] | None = self.__dict__.get("prints")
        if known is None:
            known = self.__dict__["prints"] = self.mould.fingerprints(self.values)
        return known


def _numbers(scenario: Scenario) -> list[Floats]:
    """The numbers of ``ARRAYS``."""
    stage = scenario.recourse
    return [stage.cost, stage.upper, stage.row_lower, stage.row_upper, stage.matrix.data, scenario.technology.data]
