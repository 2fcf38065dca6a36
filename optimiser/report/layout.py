"""What a report is laid out from: parts with sentences, points, tables and charts, and how a cell is printed."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from optimiser.report.terminal import exact, number, pounds, share

if TYPE_CHECKING:
    import altair

Row = dict[str, Any]
#: Documents by the command that made them, as ``optimiser.report.files.DOCUMENTS`` names them.
Documents = dict[str, Row]


@dataclass(frozen=True)
class Column:
    """A column of a table.

    ``kind`` is text, date (words on one line), pounds, exact_pounds (never rounded), figure (a number in the unit of its row, or
    words), value (a number in a unit of its own), share, number or count. A column with ``total`` is summed under the table; one
    with ``adds`` is the sum, in each row, of the columns that it names.
    """

    key: str
    head: str
    kind: str = "text"
    total: bool = False
    adds: tuple[str, ...] = ()


@dataclass(frozen=True)
class Table:
    """A table with its caption.

    ``brief`` names the columns that a paper has room for; none where it should not hold the table. ``in_page`` is whether the
    page has room for it; the workbook holds every table.
    """

    name: str
    caption: str
    columns: tuple[Column, ...]
    rows: tuple[Row, ...]
    brief: tuple[str, ...] = ()
    in_page: bool = True

    def totals(self) -> Row:
        """Sum of each column that has a total; {} where none has."""
        return {column.key: sum(row[column.key] for row in self.rows) for column in self.columns if column.total}


@dataclass(frozen=True)
class Part:
    """A part of a report. ``charts`` by name, in the order in which they are shown."""

    name: str
    title: str
    sentences: tuple[str, ...] = ()
    points: tuple[str, ...] = ()
    tables: tuple[Table, ...] = ()
    charts: tuple[tuple[str, altair.Chart], ...] = ()


#: Kinds of column that hold words.
WORDS = ("text", "date")


def shown(column: Column, row: Row, step: float) -> str:
    """A cell as page and paper print it, with pounds rounded to ``step``."""
    value = row[column.key]
    if value is None or value == "":
        return "" if column.kind in WORDS else "–"
    if isinstance(value, str):
        return value
    if column.kind == "pounds":
        return pounds(value, step)
    if column.kind == "exact_pounds" or (column.kind == "figure" and row.get("unit", "").startswith("£")):
        return exact(value)
    if column.kind in ("figure", "value"):
        return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"
    return {"share": share, "number": number}.get(column.kind, "{:,}".format)(value)


def filled(columns: tuple[Column, ...], rows: tuple[Row, ...]) -> tuple[Column, ...]:
    """Columns but those of words that no row has."""
    return tuple(column for column in columns if column.kind != "text" or any(row[column.key] for row in rows))


def tables_of(parts: Iterable[Part]) -> list[Table]:
    """Every table of the parts, in order."""
    return [table for part in parts for table in part.tables]
