"""A cost game from a CSV file: what every group of partners would pay, from wherever it comes."""

from __future__ import annotations

import csv
import math
from collections.abc import Iterator
from itertools import combinations
from pathlib import Path

import numpy as np

from optimiser.analysis.games import ENUMERATED, CostGame
from optimiser.errors import Fault, InstanceError

#: Missing groups that are named before the rest are counted.
NAMED = 8
#: Largest cost, £: beyond it sums of them are not exact to the penny.
MOST = 1e13
COLUMNS = ("coalition", "cost")
FURTHER = ("bound", "demand")


def read_game(path: Path) -> CostGame:
    """Read a cost game.

    The file has a column ``coalition`` (partners joined by ``+``, in any order) and a column ``cost`` (£), one row for
    every group of one partner or more; and may have ``bound`` (£ below which the group's cost cannot lie) and ``demand``
    (on the rows of single partners, the weight for sharing by demand). Lines that begin with ``#`` are comments.

    Raises
    ------
    InstanceError
        With every fault at once: a file that cannot be read, columns missing, numbers that are none, groups that are
        named twice or not at all, partners who have no row of their own.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        fault = Fault(path.name, None, "", "", f"cannot be read: {error}", "Give a CSV file of costs in UTF-8")
        raise InstanceError([fault], str(path)) from None
    return _Reader(path.name, text).game()


class _Reader:
    """One file, with the faults found so far."""

    def __init__(self, name: str, text: str) -> None:
        self.name = name
        self.faults: list[Fault] = []
        self.columns = False  # whether the first line names the columns
        numbered = ((number, line) for number, line in enumerate(text.splitlines(), start=1))
        self.lines = [(number, line) for number, line in numbered if line.strip() and not line.lstrip().startswith("#")]

    def fault(self, row: int | None, field: str, value: str, rule: str, fix: str) -> None:
        """Note a fault."""
        self.faults.append(Fault(self.name, row, field, value, rule, fix))

    def game(self) -> CostGame:
        """The game, or every fault."""
        rows = list(self._rows())
        if not self.columns:
            raise InstanceError(self.faults, self.name)
        partners = self._partners(rows)
        place = {name: number for number, name in enumerate(partners)}
        size = 1 << len(partners) if len(partners) <= ENUMERATED else 0
        cost, bound = np.zeros(max(size, 1)), np.zeros(max(size, 1))
        demand = np.full(len(partners), np.nan)
        seen: dict[int, int] = {}
        for number, row in rows:
            coalition = self._coalition(number, row["coalition"], place, seen)
            values = {name: self._number(number, row, name) for name in ("cost", *FURTHER)}
            if coalition and size:
                cost[coalition] = values["cost"]
                bound[coalition] = values["cost"] if math.isnan(values["bound"]) else values["bound"]
            if coalition and not math.isnan(values["demand"]):
                self._demand(number, row["demand"], coalition, values["demand"], demand)
            if values["bound"] > values["cost"]:
                self.fault(number, "bound", row["bound"], "is above the cost", "A bound says what the cost is at least")
        self._complete(partners, seen)
        if np.isnan(demand).any() and not np.isnan(demand).all():
            missing = ", ".join(name for name, weight in zip(partners, demand, strict=True) if math.isnan(weight))
            self.fault(None, "demand", "", f"is missing for {missing}", "Give it for every partner or for none")
        if self.faults:
            raise InstanceError(self.faults, self.name)
        return CostGame(tuple(partners), cost, bound, None if np.isnan(demand).any() else demand)

    def _rows(self) -> Iterator[tuple[int, dict[str, str]]]:
        """Number and cells of every row."""
        if not self.lines:
            self.fault(None, "", "", "is empty", "Its first line names the columns: coalition,cost")
            return
        header = [name.strip() for name in next(csv.reader([self.lines[0][1]]))]
        for name in COLUMNS:
            if header.count(name) != 1:
                found = "is missing" if name not in header else "stands twice"
                self.fault(self.lines[0][0], name, "", found, "The first line names the columns: coalition,cost")
        for name in header:
            if name not in (*COLUMNS, *FURTHER):
                self.fault(self.lines[0][0], name, "", "is no column", f"Columns are {', '.join((*COLUMNS, *FURTHER))}")
        self.columns = not self.faults
        if self.faults:
            return
        for number, line in self.lines[1:]:
            cells = [cell.strip() for cell in next(csv.reader([line]))]
            if len(cells) > len(header):
                self.fault(number, "", "", f"has {len(cells)} cells, not {len(header)}", "Write numbers without commas")
            else:
                yield number, dict(zip(header, [*cells, *[""] * (len(header) - len(cells))], strict=True))

    def _partners(self, rows: list[tuple[int, dict[str, str]]]) -> list[str]:
        """Names with a row of their own, in the order of the file."""
        partners = list(
            dict.fromkeys(row["coalition"] for _, row in rows if row["coalition"] and "+" not in row["coalition"])
        )
        if not partners:
            self.fault(None, "coalition", "", "names no partner alone", "Give the cost of each partner alone on a row")
        if len(partners) > ENUMERATED:
            self.fault(
                None, "coalition", "", f"names {len(partners)} partners", f"A file can hold {ENUMERATED} at most"
            )
        return partners

    def _coalition(self, number: int, cell: str, place: dict[str, int], seen: dict[int, int]) -> int:
        """Members of one row as digits; 0 where it is at fault."""
        names = [name.strip() for name in cell.split("+")]
        if not all(names):
            self.fault(number, "coalition", cell, "has no name where there should be one", "Join names by one + each")
            return 0
        for name in dict.fromkeys(names):
            if name not in place:
                fix = "Give the cost of that partner alone on a row, or mend the name"
                self.fault(number, "coalition", cell, f"names {name}, who has no row alone", fix)
            if names.count(name) > 1:
                self.fault(number, "coalition", cell, f"names {name} twice", "Name every member once")
        if any(name not in place for name in names) or len(set(names)) < len(names):
            return 0
        coalition = sum(1 << place[name] for name in names)
        if coalition in seen:
            fix = "Keep one of the rows; the order of names does not matter"
            self.fault(number, "coalition", cell, f"is the same group as row {seen[coalition]}", fix)
            return 0
        seen[coalition] = number
        return coalition

    def _number(self, number: int, row: dict[str, str], name: str) -> float:
        """A cell as a number; not a number where it is at fault, or left out and may be."""
        cell = row.get(name, "")
        if not cell and name in FURTHER:
            return math.nan
        try:
            value = float(cell)
        except ValueError:
            value = math.nan
        if not math.isfinite(value):
            self.fault(number, name, cell, "is not a number" if cell else "is missing", "Write pounds as 1234567.89")
            return math.nan
        if abs(value) > MOST:
            self.fault(
                number, name, cell, f"is beyond {MOST:,.0f}", "Write the cost in pounds, or all costs in millions"
            )
            return math.nan
        return value

    def _demand(self, number: int, cell: str, coalition: int, value: float, demand: np.ndarray) -> None:
        if coalition.bit_count() > 1:
            self.fault(number, "demand", cell, "stands on a group", "Give it on the rows of single partners")
        elif value < 0:
            self.fault(number, "demand", cell, "is below zero", "Give a number of child-weeks or any other weight")
        else:
            demand[coalition.bit_length() - 1] = value

    def _complete(self, partners: list[str], seen: dict[int, int]) -> None:
        """Every group must have a row."""
        if not 1 < len(partners) <= ENUMERATED or len(seen) == (1 << len(partners)) - 1:
            return
        missing = [
            "+".join(group)
            for size in range(1, len(partners) + 1)
            for group in combinations(partners, size)
            if sum(1 << partners.index(name) for name in group) not in seen
        ]
        named = ", ".join(missing[:NAMED]) + (f" and {len(missing) - NAMED} more" if len(missing) > NAMED else "")
        count = "1 group has" if len(missing) == 1 else f"{len(missing)} groups have"
        self.fault(None, "coalition", "", f"{count} no row: {named}", "Give the cost of every group, one row each")
