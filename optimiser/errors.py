"""Errors that people read: what is wrong, where, and what would mend it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


class OptimiserError(Exception):
    """Anything the optimiser tells its user instead of a traceback. ``exit_code`` is what the command returns."""

    exit_code = 1


@dataclass(frozen=True)
class Fault:
    """One thing wrong in an instance.

    Prints as ``homes.csv row 7, beds: 0 is not at least 1. A home needs at least one bed; ...``
    """

    file: str
    row: int | None
    field: str
    value: str
    rule: str
    fix: str

    def __str__(self) -> str:
        place = self.file if self.row is None else f"{self.file} row {self.row}"
        where = f"{place}, {self.field}" if self.field else place
        shown = f"{self.value} " if self.value else ""
        return f"{where}: {shown}{self.rule}. {self.fix}"


class InstanceError(OptimiserError):
    """An instance that cannot be planned: every fault found, at once."""

    def __init__(self, faults: Sequence[Fault], name: str = "") -> None:
        self.faults = tuple(faults)
        count = "1 fault" if len(self.faults) == 1 else f"{len(self.faults)} faults"
        title = f"{count} in {name or 'the instance'}:"
        super().__init__("\n".join([title, *(f"  {fault}" for fault in self.faults)]))


class InfeasibleError(OptimiserError):
    """No plan meets every limit: the smallest clash, and the least change that would resolve each side."""

    exit_code = 3


class NoPlanError(OptimiserError):
    """Stopped by the time limit or by hand before any plan was found."""

    exit_code = 4


class SolverError(OptimiserError):
    """The solver is of an excluded version, failed, or returned what the independent recomputation rejects."""

    exit_code = 5
