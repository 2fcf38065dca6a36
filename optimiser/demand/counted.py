"""Arrivals from a published table of counts by month, where there are no records of children.

The table is a CSV of ``month`` (2018-06) and ``arrivals``. Comment lines above it, ``# document:`` and ``# place:``, say where
it was published. Which cohort it is of, what share of those counted, and which months, stands in the rules.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from optimiser.demand.arrivals import ArrivalsFit, fit_arrivals
from optimiser.demand.cohorts import CountedRule
from optimiser.demand.fitting import Wanted
from optimiser.demand.records.files import read_text
from optimiser.errors import Fault, InstanceError
from optimiser.finance import month_name, month_number

COLUMNS = ("month", "arrivals")


@dataclass(frozen=True)
class Counted:
    """Counts by month, all months from ``first`` (months since year 0) on, and where they were published."""

    file: str
    first: int
    counts: tuple[int, ...]
    document: str
    place: str


@dataclass(frozen=True, eq=False)
class CountedFit:
    """Arrivals of a cohort from a table, and what of it was used."""

    rule: CountedRule
    table: Counted
    fit: ArrivalsFit
    used: int

    @property
    def name(self) -> str:
        """Name of the cohort."""
        return self.rule.cohort


def is_counted(path: Path) -> bool:
    """Whether a file is a table of counts by month."""
    if not path.is_file():
        return False
    text = read_text(path.name, path, [])
    rows = [] if text is None else [line for line in text.splitlines() if line.strip() and not line.startswith("#")]
    return bool(rows) and {title.strip().lower() for title in rows[0].split(",")} >= set(COLUMNS)


def read_counted(path: Path) -> Counted:
    """Read a table of counts.

    Raises
    ------
    InstanceError
        With every fault found.
    """
    faults: list[Fault] = []
    text = read_text(path.name, path, faults) or ""
    notes = dict(re.findall(r"^#\s*(document|place):\s*(.+?)\s*$", text, flags=re.MULTILINE | re.IGNORECASE))
    lines = text.splitlines()
    skipped = next((place for place, line in enumerate(lines) if line.strip() and not line.startswith("#")), 0)
    found: dict[int, int] = {}
    for number, row in enumerate(csv.DictReader(io.StringIO("\n".join(lines[skipped:]))), start=skipped + 2):
        month, count = ((row.get(column) or "").strip() for column in COLUMNS)
        if not re.fullmatch(r"\d{4}-(0[1-9]|1[0-2])", month, flags=re.ASCII):
            faults.append(Fault(path.name, number, "month", month, "is not a month", "Write months as 2018-06."))
        elif not re.fullmatch(r"\d+", count, flags=re.ASCII):
            faults.append(Fault(path.name, number, "arrivals", count, "is not a count", "Write a whole number."))
        elif month_number(month) in found:
            faults.append(Fault(path.name, number, "month", month, "is there twice", "Delete one of the rows."))
        else:
            found[month_number(month)] = int(count)
    months = range(min(found), max(found) + 1) if found else range(0)
    for month in months:
        if month not in found:
            fix = "A month without arrivals has the count 0."
            faults.append(Fault(path.name, None, "month", month_name(month), "is missing between others", fix))
    for name in ("document", "place"):
        if name not in {key.lower() for key in notes}:
            fix = f"Write a line # {name}: … above the columns."
            faults.append(Fault(path.name, None, name, "", "is not said", fix))
    if faults or not found:
        empty = Fault(path.name, None, "", "", "has no counts", "Write a row a month.")
        raise InstanceError(faults or [empty], "the counts")
    notes = {key.lower(): value for key, value in notes.items()}
    counts = tuple(found[month] for month in months)
    return Counted(path.name, months[0], counts, notes["document"], notes["place"])


def fit_counted(table: Counted, rules: Sequence[CountedRule], wanted: Wanted) -> list[CountedFit]:
    """Fit each cohort that the rules take from the table; ``wanted.start`` is the first month of the horizon.

    Raises
    ------
    InstanceError
        Where too few months are left.
    """
    assert wanted.start is not None
    found = []
    for rule in rules:
        until = month_number(rule.until) if rule.until else table.first + len(table.counts)
        counts = table.counts[: max(until - table.first, 0)]
        since = month_number(rule.since) if rule.since else wanted.since
        try:
            fit = fit_arrivals(counts, table.first, wanted.start, since=since, level_of=wanted.level_of)
        except ValueError:
            fix = "Name months within the table, half a year of them at least."
            fault = Fault(table.file, None, rule.cohort, "", "has too few of the months asked for", fix)
            raise InstanceError([fault], "the counts") from None
        low, high = rule.share.low, rule.share.high
        # a share within limits, as wide as a uniform one between them where its own shape is not said
        deviation = (high - low) / 12**0.5 if rule.share.kind == "uniform" else (high - low) / 24**0.5
        fit = fit.scaled(rule.share.mean, deviation)
        used = int(fit.counts.sum())
        found.append(CountedFit(rule, table, fit, used))
    return found
