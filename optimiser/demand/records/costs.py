"""What placements cost and how they were bought, from a file beside the returns; its identifiers stay here.

Three shapes are met: children's costs of a year (as for section 251), censuses of placements, and what homes cost, by the
number under which they are registered (internal residential costs). All are read by the names of their columns: who or
which home, what a week costs, how it was bought, and, where the file says so, since when.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd

from optimiser.demand.records import codes
from optimiser.demand.records.files import Text, other_marks, read_text
from optimiser.demand.records.reading import BLANK, IMPOSSIBLE, LISTED, Filed, days_of_cells
from optimiser.errors import Fault, InstanceError

#: Names of columns, letters and digits only, in the order of preference.
CHILD = ("child", "childid", "childidentifier", "lachildid", "childuniqueid", "personid", "identifier")
HOME = ("urn", "ofstedurn", "homeurn", "providerurn", "settingurn", "placementurn")
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
    "weeklycostperbed",
    "costperbedperweek",
    "unitcostperweek",
    "averageweeklycost",
)
SOURCING = ("sourcing", "contracttype", "purchasetype", "commissioningtype", "procurement")
START = ("decom", "placementstart", "placementstartdate", "startdate", "start")

NOT_RECORDED, IN_HOUSE = "not-recorded", "in-house"
#: How a place was bought, by the words in the cell; the first that is found counts.
KINDS = (
    ("block", "block"),
    ("framework", "framework"),
    ("spot", "spot"),
    ("in-house", IN_HOUSE),
    ("internal", IN_HOUSE),
)


@dataclass(frozen=True, repr=False, eq=False)
class Costs:
    """Rows of a cost file, of a child, or of a home where ``child`` is blank.

    ``child`` and ``home`` (identifiers), ``start`` (days since 1970, ``BLANK`` for none), ``cost`` (£ a week), ``sourcing``.
    """

    child: Text
    home: Text
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
    if len(rows) < 2:
        rule = "has columns but no costs" if rows else "is empty"
        fix = "Leave the file out, or export the costs again."
        raise InstanceError([Fault(path.name, rows[0][0] if rows else None, "", "", rule, fix)], "the costs")
    head, first = rows[0]
    if fault := other_marks(path.name, head, first):
        raise InstanceError([fault], "the costs")
    titles = [re.sub(r"[^a-z0-9]", "", title.lower()) for title in first]
    places: dict[str, int | None] = {}
    for what, names, needed in (
        ("home", HOME, False),
        ("child", CHILD, True),
        ("weekly cost", COST, True),
        ("sourcing", SOURCING, False),
        ("start", START, False),
    ):
        found = next((name for name in names if name in titles), None)
        places[what] = None if found is None else titles.index(found)
        if found is not None and titles.count(found) > 1:
            fix = "Delete or rename one of the columns."
            faults.append(Fault(path.name, head, what, "", "has its column twice", fix))
        if what == "child" and places["home"] is not None:
            needed = False
        if needed and places[what] is None:
            fix = f"Name a column {' or '.join(names[:3])}"
            fix += ", or URN where the file says what homes cost." if what == "child" else "."
            faults.append(Fault(path.name, head, what, "", "has no column", fix))
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
    child, home = cells.get("child", blank), cells.get("home", blank)
    for field, wrong, rule in (
        (
            "child",
            (child == "") & (home == ""),
            "is blank" if places["home"] is None else "is blank, and so is the URN",
        ),
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
    children, homes = (np.array([cell.upper() for cell in column], dtype=object) for column in (child, home))
    return Costs(children, homes, start, cost.to_numpy(float), np.array(sourcing, dtype=object))


def _kind(cell: str) -> str:
    words = cell.lower()
    return next((kind for word, kind in KINDS if word in words), NOT_RECORDED)


def with_costs(
    placements: pd.DataFrame, homes: npt.NDArray[np.int64], filed: Filed, costs: Iterable[Costs]
) -> pd.DataFrame:
    """Placements with ``gbp_per_week`` (NaN where not known) and ``sourcing``.

    A row of a child with a start belongs to the placement that goes on that day; one without to the child's last placement.
    A row of a home belongs to every placement there, to those that go on that day where it has a start; what a row of the
    child says counts before it. Homes that the council runs are in-house where the file does not say how they were bought.

    Parameters
    ----------
    homes : running number of the home of each placement, -1 where it has none, [placement]

    Raises
    ------
    InstanceError
        Where no row of a file is of a child or a home in the returns.
    """
    cost = np.full(len(placements), np.nan)
    sourcing = np.full(len(placements), NOT_RECORDED, dtype=object)
    given = tuple(costs)
    if not given:
        return placements.assign(gbp_per_week=cost, sourcing=sourcing)
    start = placements["start"].to_numpy("datetime64[D]").astype(np.int64)
    end = placements["end"].to_numpy("datetime64[D]").astype(np.int64)
    of_child = _rows_of(filed.identifiers, placements["child"].to_numpy(np.int64) - 1)
    of_home = _rows_of(filed.homes, homes)
    council = placements["provider"].to_numpy(object) == codes.PROVIDERS["PR1"]
    for one in given:
        if not (set(one.child) & set(filed.identifiers) or set(one.home[one.child == ""]) & set(filed.homes) - {""}):
            rule = "names no child or home of the returns"
            fix = "Give costs with the numbers that the returns have for the children, or the URN that they have for homes."
            raise InstanceError([Fault("the costs", None, "child", "", rule, fix)], "the costs")
    for by_home in (True, False):
        for one in given:
            for child, home, day, amount, kind in zip(
                one.child, one.home, one.start, one.cost, one.sourcing, strict=True
            ):
                if (child == "") != by_home:
                    continue
                rows = of_home.get(home, []) if by_home else of_child.get(child, [])
                if day != BLANK:
                    rows = [row for row in rows if start[row] <= day < end[row]]
                for row in rows if by_home else rows[-1:]:
                    own = IN_HOUSE if by_home and council[row] and kind == NOT_RECORDED else kind
                    cost[row], sourcing[row] = amount, own
    return placements.assign(gbp_per_week=cost, sourcing=sourcing)


def _rows_of(names: Text, numbers: npt.NDArray[np.int64]) -> dict[str, list[int]]:
    """Rows of the placements of each child or home, by its identifier."""
    found: dict[str, list[int]] = {}
    for row, number in enumerate(numbers):
        if number >= 0:
            found.setdefault(str(names[number]), []).append(row)
    return found
