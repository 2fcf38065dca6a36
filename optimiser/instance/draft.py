"""An instance as it was read, faults and all: what the checks look at before there is an ``Instance``.

A row keeps its cells as written beside its validated form, so that a name is known even where its row is faulty and one
fault does not breed others.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from functools import cached_property
from typing import Any

from optimiser.errors import Fault
from optimiser.finance import Calendar, month_name, month_number
from optimiser.instance.schema import TABLES, Instance, Row, Settings

#: What placements.csv calls *no registered home found*.
UNREGISTERED = "unregistered"
#: Longest horizon that is read, months: a slip of the finger should not fill the memory.
LONGEST_HORIZON = 1200


@dataclass(frozen=True)
class DraftRow:
    """A row as written: ``number`` as a spreadsheet shows it, filled-in ``cells``, and its model where it is valid.

    Of a row that is not ``whole``, with more or fewer cells than the header, only the naming cells are kept.
    """

    number: int | None
    cells: Mapping[str, str]
    row: Row | None
    whole: bool = True


@dataclass(frozen=True)
class DraftTable:
    """A table as written. ``rows`` is None where the file could not be read at all."""

    file: str
    rows: tuple[DraftRow, ...] | None = ()

    @property
    def complete(self) -> bool:
        """Every row could be read and is valid."""
        return self.rows is not None and all(row.row is not None for row in self.rows)


@dataclass(frozen=True)
class Draft:
    """Settings and tables as written; ``settings`` is None where any of them is faulty."""

    settings: Settings | None
    settings_cells: Mapping[str, str]
    settings_lines: Mapping[str, int]
    tables: Mapping[str, DraftTable]
    settings_file: str = "instance.toml"
    _keys: dict[str, tuple[str, ...]] = field(default_factory=dict, compare=False)

    @classmethod
    def of(cls, instance: Instance) -> Draft:
        """The draft of an instance that is valid already; its rows have no numbers."""
        tables = {
            table: DraftTable(
                f"{table}.csv",
                tuple(
                    DraftRow(None, {name: str(getattr(row, name)) for name in row.model_fields_set}, row)
                    for row in getattr(instance, table)
                ),
            )
            for table in TABLES
        }
        settings = instance.settings
        return cls(settings, {name: str(getattr(settings, name)) for name in settings.model_fields_set}, {}, tables)

    def rows(self, table: str) -> Iterator[tuple[DraftRow, Any]]:
        """Valid rows of a table, each with its model."""
        for draft in self.tables[table].rows or ():
            if draft.row is not None:
                yield draft, draft.row

    def written(self, table: str) -> Sequence[DraftRow]:
        """All rows of a table, faulty ones too."""
        return self.tables[table].rows or ()

    def readable(self, *tables: str) -> bool:
        """Whether the names in these tables are known."""
        return all(self.tables[table].rows is not None for table in tables)

    def complete(self, *tables: str) -> bool:
        """Whether these tables hold valid rows only, so that something missing is really missing."""
        return all(self.tables[table].complete for table in tables)

    def settled(self, key: str) -> bool:
        """Whether what a key such as ``homes.two-bed.beds`` names would be known if it were there."""
        head = key.split(".")[0]
        if head == "settings":
            return bool(self.settings_cells)
        if head not in self.tables:
            return True
        rows = self.tables[head].rows
        return rows is not None and all(row.whole for row in rows)

    def names(self, *tables: str, column: str | None = None) -> tuple[str, ...]:
        """What the rows of some tables are called, in order, faulty rows too; by their first column by default."""
        found: dict[str, None] = {}
        for table in tables:
            wanted = column or TABLES[table][1][0]
            for draft in self.written(table):
                if wanted in draft.cells:
                    found[draft.cells[wanted]] = None
        return tuple(found)

    @cached_property
    def calendar(self) -> Calendar | None:
        """The horizon; None where the settings do not say, or it is absurd."""
        if self.settings is None or not 1 <= horizon_months(self.settings.periods) <= LONGEST_HORIZON:
            return None
        return Calendar.read(self.settings.first_month, self.settings.periods, self.settings.weeks_per_year)

    def keys(self, table: str) -> tuple[str, ...]:
        """Names of the rows in the register of figures, as ``Instance.row_key`` has them, for faulty rows too."""
        if table not in self._keys:
            _, columns, _ = TABLES[table]
            counted: dict[str, int] = {}
            keys = []
            for draft in self.written(table):
                parts = [_named(draft, column) for column in columns if column != "#"]
                if columns[-1] == "#":
                    counted[parts[0] or ""] = counted.get(parts[0] or "", 0) + 1
                    parts.append(str(counted[parts[0] or ""]))
                keys.append(".".join(part for part in parts if part is not None))
            self._keys[table] = tuple(keys)
        return self._keys[table]

    def fault(
        self, table: str, draft: DraftRow | None, column: str, value: object, rule: str, fix: str | None = None
    ) -> Fault:
        """A fault of a row of a table; its fix is the description of the field unless given."""
        model = TABLES[table][0]
        if fix is None:
            fix = description(model, column)
        number = draft.number if draft is not None else None
        return Fault(self.tables[table].file, number, column, str(value), rule, fix)

    def setting_fault(self, name: str, value: object, rule: str, fix: str | None = None) -> Fault:
        """A fault of a setting."""
        text = description(Settings, name) if fix is None else fix
        return Fault(self.settings_file, self.settings_lines.get(name), name, str(value), rule, text)


def _named(draft: DraftRow, column: str) -> str | None:
    if draft.row is not None:
        value = getattr(draft.row, column)
        return None if value is None else str(value)
    return draft.cells.get(column)


def description(model: type[Row], column: str) -> str:
    """What the schema says about a field; nothing for what is not a field."""
    known = model.model_fields.get(column)
    return (known.description or "") if known is not None else ""


def suggestion(written: str, known: Sequence[str]) -> str:
    """``Did you mean …?`` where something known is close, else what is known."""
    close = get_close_matches(written.strip().lower(), [name.lower() for name in known], n=1, cutoff=0.6)
    if close:
        return f"Did you mean {next(name for name in known if name.lower() == close[0])}?"
    if not known:
        return "There are none."
    shown = ", ".join(known[:12])
    return f"Known are {shown} and {len(known) - 12} more." if len(known) > 12 else f"Known are {shown}."


def on_one_line(text: str, longest: int = 60) -> str:
    """Text as a message quotes it: on one line, and not too long."""
    line = " ".join("".join(mark if mark.isprintable() else " " for mark in text).split())
    return line if len(line) <= longest else line[: longest - 1] + "…"


def counted(months: int) -> str:
    """``1 month``, ``3 months``."""
    return "1 month" if months == 1 else f"{months} months"


def horizon_months(periods: str) -> int:
    """Months of a horizon such as ``24x1 12x3``; 0 where any number in it is 0 or has more than four digits."""
    numbers = [part.split("x") for part in periods.split()]
    if any(len(number) > 4 or int(number) == 0 for pair in numbers for number in pair):
        return 0
    return sum(int(count) * int(length) for count, length in numbers)


def last_month(calendar: Calendar) -> str:
    """Last month of the horizon."""
    return month_name(month_number(calendar.first_month) + calendar.months - 1)
