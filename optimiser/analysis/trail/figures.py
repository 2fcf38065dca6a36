"""What the figures of a run are called, and which ones a few words mean."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any

from optimiser.errors import Fault, InstanceError
from optimiser.finance import month_number

Row = dict[str, Any]

SUMMARY = "summary"
#: Columns that name a row, by table of a run.
KEYS: dict[str, tuple[str, ...]] = {
    "decisions": ("action", "item", "month", "branch"),
    "quarters": ("quarter",),
    "years": ("year",),
    "mtfp": ("year",),
    "capital": ("envelope", "path", "year"),
    "financing": ("year",),
    "voids": ("year",),
    "break_even": ("item",),
    "limits": ("name",),
    "beyond_horizon": ("item",),
    "costs": ("year", "authority", "term"),
}
#: The column that is meant where a row is named and no column.
MAIN = {
    "decisions": "number",
    "years": "nominal_gbp",
    "mtfp": "nominal_gbp",
    "capital": "begun_gbp",
    "financing": "charge_gbp",
    "costs": "nominal_gbp",
    "break_even": "occupancy",
}
#: Headline figures of the document, and of its part on having no registered place.
HEADLINE = (
    "expected_cost_gbp",
    "expected_cost_without_residual_gbp",
    "residual_gbp",
    "saving_gbp",
    "p90_gbp",
    "cvar_gbp",
    "objective_gbp",
    "deterrent_gbp",
    "bound_gbp",
)
UNREGISTERED = ("expected_child_weeks", "p90_child_weeks")
#: Endings that may be left out of a column's name.
ENDINGS = ("_gbp", "_expected")
#: Most figures that one question is answered for at once.
MOST = 12


@dataclass(frozen=True)
class Figure:
    """One number of one table of a run. ``place`` is the row's position in the table."""

    table: str
    place: int
    row: tuple[str, ...]
    column: str
    value: float
    date: bool = False  # months since year 0, or the year in which a financial year begins

    @property
    def name(self) -> str:
        """``years.2026/27.in_house_gbp``."""
        return ".".join((self.table, *self.row, self.column))

    @property
    def unit(self) -> str:
        """£, children, bed-weeks and so on; nothing where the column says it all."""
        if self.date:
            return "financial year" if self.value < 3000 else "month"
        if self.column.endswith("_gbp") or (self.table == "limits" and self.column in ("used", "limit", "step")):
            return "£" if self.column.endswith("_gbp") else ""
        if self.table == "rules" or (self.row and self.row[-1].endswith("_gbp")):
            return "£"
        if self.table == "demand_child_weeks":
            return "child-weeks"
        if "weeks" in self.column:
            return "bed-weeks" if "bed_weeks" in self.column else "child-weeks"
        if self.table == "quarters":
            if self.column.endswith("_usable_beds"):
                return "beds"
            return "moves" if self.column == "moves_at_least" else "children"
        return "share" if self.column == "occupancy" else ""


def figures_of(document: Row, costs: Sequence[Row]) -> list[Figure]:
    """Every number in every table of a run; ``costs`` holds the rows of its table of costs by term."""
    found = [
        Figure(SUMMARY, 0, (), column, float(document[column])) for column in HEADLINE if document[column] is not None
    ]
    found += [Figure(SUMMARY, 0, (), column, float(document["unregistered"][column])) for column in UNREGISTERED]
    for table, keys in KEYS.items():
        rows = costs if table == "costs" else document[table]
        seen: dict[tuple[str, ...], int] = {}
        for place, row in enumerate(rows):
            name = tuple(str(row[key]) for key in keys if row.get(key))
            seen[name] = seen.get(name, 0) + 1
            if seen[name] > 1:
                name = (*name, str(seen[name]))
            found += [
                Figure(table, place, name, column, float(value))
                for column, value in row.items()
                if column not in keys and isinstance(value, (int, float)) and not isinstance(value, bool)
            ]
            found += [
                Figure(table, place, name, column, date, True)
                for column, value in row.items()
                if column not in keys and (date := dated(value)) is not None
            ]
    return found


def dated(value: Any) -> float | None:
    """Months since year 0 of ``2025-04``, the first year of ``2025/26``; None for anything else."""
    if not isinstance(value, str):
        return None
    if re.fullmatch(r"\d{4}-\d{2}", value):
        return float(month_number(value))
    return float(value[:4]) if re.fullmatch(r"\d{4}/\d{2}", value) else None


def find(asked: str, figures: Sequence[Figure], run: str) -> list[Figure]:
    """The figures that are meant: one by its whole name, or all that every word agrees with.

    Words are separated by dots or spaces; endings such as ``_gbp`` may be left out, and so may parts that leave no doubt.
    Where a row is named and no column, its main column is meant.

    Raises
    ------
    InstanceError
        If none is meant, or too many; the nearest names are given.
    """
    written = ".".join(asked.lower().split())
    exact = [figure for figure in figures if _plain(figure.name) == _plain(written)]
    if exact:
        return exact
    words = [word for word in written.split(".") if word]
    every = list(dict.fromkeys(figure.table for figure in figures))
    tables = [words[0]] if words and words[0] in every else every
    meant = [figure for figure in figures if words and figure.table in tables and _agrees(figure, words)]
    by_column = [figure for figure in meant if any(_plain(word) == _plain(figure.column) for word in words)]
    in_column = [figure for figure in meant if any(word in _words(figure.column) for word in words)]
    in_row = [figure for figure in meant if MAIN.get(figure.table, figure.column) == figure.column]
    meant = by_column or in_column or in_row
    if meant and len({figure.table for figure in meant}) == 1 and len(meant) <= MOST:
        return meant
    raise InstanceError([_unknown(asked, meant, figures)], run)


def _agrees(figure: Figure, words: Sequence[str]) -> bool:
    """Whether every word is a part of the figure's name, or one of the words of a part."""
    parts = [_plain(part) for part in (figure.table, *figure.row, figure.column)]
    return all(any(_plain(word) == part or word in _words(part) for part in parts) for word in words)


def _words(part: str) -> list[str]:
    """Words of one part of a figure's name: ``cost`` and ``avoidance`` of ``cost_avoidance``."""
    return part.lower().replace("_", ".").replace(" ", ".").split(".")


def _plain(name: str) -> str:
    """A name in small letters, with dots for spaces and without an ending that may be left out."""
    plain = ".".join(name.lower().split())
    for ending in ENDINGS:
        plain = plain.removesuffix(ending)
    return plain


def _unknown(asked: str, meant: Sequence[Figure], figures: Iterable[Figure]) -> Fault:
    names = [figure.name for figure in figures]
    if meant:
        shown = ", ".join(figure.name for figure in meant[:5])
        more = f" and {len(meant) - 5} more" if len(meant) > 5 else ""
        return Fault(
            "the run", None, "FIGURE", asked, f"could be {len(meant)} figures", f"Name one of them: {shown}{more}."
        )
    by_plain: Mapping[str, str] = {_plain(name): name for name in reversed(names)}
    near = get_close_matches(_plain(".".join(asked.split())), list(by_plain), n=4, cutoff=0.5)
    shown = ", ".join(by_plain[name] for name in near) or ", ".join(names[:3])
    fix = f"The nearest are {shown}. Leave FIGURE out to see what can be traced."
    return Fault("the run", None, "FIGURE", asked, "is no figure of this run", fix)
