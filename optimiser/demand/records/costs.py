"""What placements cost and how they were bought, from a file beside the returns; its identifiers stay here.

Two shapes are met: children's costs of a year (as for section 251), and censuses of placements. Both are read by the names of
their columns: who, what a week costs, how it was bought, and, where the file says so, since when.
"""

from __future__ import annotations

import csv
import io
import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd

from optimiser.demand.records.files import Text, read_text
from optimiser.demand.records.reading import BLANK, IMPOSSIBLE, LISTED, days_of_cells
from optimiser.errors import Fault, InstanceError

#: Names of columns, letters and digits only, in the order of preference.
CHILD = ("child", "childid", "childidentifier", "lachildid", "childuniqueid", "personid", "identifier")
COST = (
    "weeklycost",
    "totalweeklycost",
    "costperweek",
    "grossweeklycost",
    "weeklyprice",
    "gbpperweek",
    "totalcostperweek",
    "placementcostperweek",
    "weeklyplacementcost",
    "totalweeklyplacementcost",
)
SOURCING = ("sourcing", "contracttype", "purchasetype", "commissioningtype", "procurement")
START = ("decom", "placementstart", "placementstartdate", "startdate", "start")

NOT_RECORDED = "not-recorded"
#: How a place was bought, by the words in the cell; the first that is found counts.
KINDS = (
    ("block", "block"),
    ("framework", "framework"),
    ("spot", "spot"),
    ("in-house", "in-house"),
    ("internal", "in-house"),
)


@dataclass(frozen=True, repr=False, eq=False)
class Costs:
    """Rows of a cost file: ``child`` (identifier), ``start`` (days since 1970, ``BLANK`` for none), ``cost``, ``sourcing``."""

    child: Text
    start: npt.NDArray[np.int64]
    cost: npt.NDArray[np.float64]
    sourcing: Text


def read_costs(path: Path) -> Costs:
    """Read a cost file.

    Raises
    ------
    InstanceError
        With every fault found; none quotes a cell.
    """
    faults: list[Fault] = []
    text = read_text(path.name, path, faults)
    if text is None:
        raise InstanceError(faults, "the costs")
    try:
        records = list(csv.reader(io.StringIO(text, newline=""), strict=True))
    except csv.Error:
        rule, fix = "is not valid CSV", "Close every quotation mark, and save it from the spreadsheet as CSV UTF-8."
        raise InstanceError([Fault(path.name, None, "", "", rule, fix)], "the costs") from None
    rows = [(number, record) for number, record in enumerate(records, start=1) if any(map(str.strip, record))]
    titles = [re.sub(r"[^a-z0-9]", "", title.lower()) for title in rows[0][1]] if rows else []
    places: dict[str, int | None] = {}
    for what, names, needed in (
        ("child", CHILD, True),
        ("weekly cost", COST, True),
        ("sourcing", SOURCING, False),
        ("start", START, False),
    ):
        places[what] = next((titles.index(name) for name in names if name in titles), None)
        if needed and places[what] is None:
            fix = f"Name a column {' or '.join(names[:3])}."
            faults.append(Fault(path.name, 1, what, "", "has no column", fix))
    if faults:
        raise InstanceError(faults, "the costs")
    cells = {
        what: np.array([record[place].strip() if place < len(record) else "" for _, record in rows[1:]], dtype=object)
        for what, place in places.items()
        if place is not None
    }
    numbers = [number for number, _ in rows[1:]]
    blank = np.full(len(numbers), "", dtype=object)
    cost = pd.to_numeric(pd.Series(cells["weekly cost"]).str.replace(r"[£, ]", "", regex=True), errors="coerce")
    start = days_of_cells(cells.get("start", blank))
    for field, wrong, rule in (
        ("child", cells["child"] == "", "is blank"),
        ("weekly cost", ~((cost >= 0) & np.isfinite(cost)).to_numpy(bool), "is not an amount in pounds a week"),
        ("start", start == IMPOSSIBLE, "is not a date"),
    ):
        hits = np.flatnonzero(wrong)
        faults += [
            Fault(path.name, numbers[hit], field, "", rule, "Mend the row, or delete it.") for hit in hits[:LISTED]
        ]
        if len(hits) > LISTED:
            more = f"{rule}: {len(hits) - LISTED} further rows like these"
            faults.append(Fault(path.name, numbers[hits[-1]], field, "", more, "Mend the rows, or delete them."))
    if faults:
        raise InstanceError(faults, "the costs")
    sourcing = [_kind(cell) for cell in cells.get("sourcing", blank)]
    identifiers = np.array([cell.upper() for cell in cells["child"]], dtype=object)
    return Costs(identifiers, start, cost.to_numpy(float), np.array(sourcing, dtype=object))


def _kind(cell: str) -> str:
    words = cell.lower()
    return next((kind for word, kind in KINDS if word in words), NOT_RECORDED)


def with_costs(placements: pd.DataFrame, identifiers: Text, costs: Costs | None) -> pd.DataFrame:
    """Placements with ``gbp_per_week`` (NaN where not known) and ``sourcing``.

    A row with a start belongs to the child's placement that goes on that day; one without to the child's last placement.

    Parameters
    ----------
    identifiers : of each child, by running number

    Raises
    ------
    InstanceError
        Where no row is of a child in the returns.
    """
    cost = np.full(len(placements), np.nan)
    sourcing = np.full(len(placements), NOT_RECORDED, dtype=object)
    if costs is not None:
        number = {identifier: place + 1 for place, identifier in enumerate(identifiers)}
        start = placements["start"].to_numpy("datetime64[D]").astype(np.int64)
        end = placements["end"].to_numpy("datetime64[D]").astype(np.int64)
        of_child: dict[int, list[int]] = {}
        for row, child in enumerate(placements["child"].to_numpy(np.int64)):
            of_child.setdefault(int(child), []).append(row)
        if not set(costs.child) & set(number):
            rule, fix = (
                "names no child of the returns",
                "Give costs with the numbers that the returns have for the children.",
            )
            raise InstanceError([Fault("the costs", None, "child", "", rule, fix)], "the costs")
        for identifier, day, amount, kind in zip(costs.child, costs.start, costs.cost, costs.sourcing, strict=True):
            rows = of_child.get(number.get(identifier, 0), [])
            if day != BLANK:
                rows = [row for row in rows if start[row] <= day < end[row]]
            if rows:
                cost[rows[-1]], sourcing[rows[-1]] = amount, kind
    return placements.assign(gbp_per_week=cost, sourcing=sourcing)
