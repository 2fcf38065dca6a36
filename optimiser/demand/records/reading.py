"""Tables of text to checked rows of episodes, without anything that says who a child is.

What makes the meaning of a return doubtful is a fault, and nothing is read: unreadable files, missing columns, unknown
codes, impossible dates, an end before its beginning, a file or records of which years are mixed or missing. What
returns of good faith contain is resolved by rule and counted (``placements``): repeats, later corrections, overlaps.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from optimiser.demand.records import codes
from optimiser.demand.records.files import Table, Text, find_files, read_tables
from optimiser.errors import Fault, InstanceError

#: Faults of one kind in one file that are listed; the rest are counted.
LISTED = 5
#: Nobody is looked after who is older when an episode begins, years: older is a slip in a date.
OLDEST = 21
#: Share of children whose date of birth may differ between returns: dates are corrected, but not so many.
GIVEN_AGAIN = 0.2
#: Identifiers shorter than this are words that any file can be called.
SHORT_NAME = 5
#: No return holds episodes from before.
EARLIEST = date(1990, 1, 1)

Days = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]
EPOCH = date(1970, 1, 1).toordinal()
#: A cell that is blank, and one that is no date; days are counted from 1970.
BLANK, IMPOSSIBLE = np.iinfo(np.int64).max, np.iinfo(np.int64).min


@dataclass(frozen=True, repr=False, eq=False)
class Filed:
    """Checked rows of all returns.

    Attributes
    ----------
    files
        Names of the files read, in the order of reading.
    episodes
        One row per episode row read: ``file`` (index into files), ``row``, ``year`` (in which the return's financial
        year ends), ``child`` (running number), ``start`` and ``end`` (days since 1970, end ``BLANK`` where open), and
        the codes ``rne``, ``ls``, ``cin``, ``place``, ``provider``, ``rec``, ``location``, ``urn`` (a running number,
        -1 for none), ``distance`` (miles, NaN where not given).
    children
        By running number: ``born`` (days since 1970, ``BLANK`` where no header says so), ``sex``, ``uasc``.
    children_without_age, children_without_episodes, children_with_two_births
        Children with episodes and no date of birth, with a header and no episodes, and with more than one date of birth.
    identifiers
        Of each child by running number: what joins a cost file to the returns, and goes no further.
    homes
        URN by running number: what joins costs of homes to the returns.
    """

    files: tuple[str, ...]
    episodes: pd.DataFrame
    children: pd.DataFrame
    children_without_age: int
    children_without_episodes: int
    children_with_two_births: int
    identifiers: Text
    homes: Text


def day_of(moment: date) -> int:
    """Days since 1970."""
    return moment.toordinal() - EPOCH


def financial_year(days: Days) -> npt.NDArray[np.int64]:
    """Year in which the financial year (April to March) of each day ends."""
    moments = days.astype("datetime64[D]")
    years = moments.astype("datetime64[Y]").astype(np.int64) + 1970
    months = moments.astype("datetime64[M]").astype(np.int64) % 12 + 1
    return years + (months >= 4)


def first_day(year: int) -> int:
    """First of April of the financial year that ends in ``year``, days since 1970."""
    return day_of(date(year - 1, 4, 1))


def year_name(year: int) -> str:
    """``2022/23`` for the financial year that ends in 2023."""
    return f"{year - 1}/{year % 100:02d}"


def read_filed(paths: Iterable[Path]) -> Filed:
    """Read and check all files.

    Raises
    ------
    InstanceError
        With every fault found. No fault quotes a cell that could identify a child.
    """
    faults: list[Fault] = []
    tables: list[Table] = []
    for name, path in find_files(paths, faults):
        tables.extend(read_tables(name, path, faults))
    report = _Report(faults, _personal(tables))
    parts = [part for table in tables if table.kind == "Episodes" and (part := _episodes(table, report)) is not None]
    people = [_people(table, report) for table in tables if table.kind != "Episodes"]
    if not parts and not faults:
        fix = "Give the returns' files with CHILD, DECOM, RNE, LS, CIN, PLACE, PLACE_PROVIDER, DEC and REC."
        faults.append(Fault("the records", None, "Episodes", "", "are in none of the files", fix))
    _check_years(parts, faults)
    filed = _together(parts, people, report) if parts else None
    if filed is None or faults:
        order = {table.file: place for place, table in enumerate(tables)}
        faults.sort(key=lambda fault: (order.get(fault.file, -1), fault.row or 0))
        raise InstanceError(_nameless(faults, tables), "the records")
    return filed


# faults that say where and what, and never who


def _personal(tables: Sequence[Table]) -> Callable[[], frozenset[str]]:
    """What must not be quoted, gathered only where there is a fault to print."""
    return lambda: frozenset(
        cell.upper() for table in tables for column in ("CHILD", "DOB") for cell in set(table.column(column))
    )


def _nameless(faults: Sequence[Fault], tables: Sequence[Table]) -> list[Fault]:
    """Faults whose files are called after no child: an identifier in a name is an identifier."""
    children = {cell.upper() for table in tables for cell in set(table.column("CHILD")) if len(cell) >= SHORT_NAME}
    names = list(dict.fromkeys(fault.file for fault in faults))
    shown = {}
    for name in names:
        words = re.split(r"[^A-Z0-9]+", name.upper())
        shown[name] = f"file {names.index(name) + 1} (called after a child)" if children & set(words) else name
    return [replace(fault, file=shown[fault.file]) for fault in faults]


class _Report:
    def __init__(self, faults: list[Fault], personal: Callable[[], frozenset[str]]) -> None:
        self.faults = faults
        self._personal = personal

    def add(self, table: Table, where: Mask, field: str, rule: str, fix: str, quoted: Text | None = None) -> None:
        """A fault for each of the first few rows, then one that counts the others."""
        (hits,) = np.nonzero(where)
        for hit in hits[:LISTED]:
            value = "" if quoted is None else self._shown(str(quoted[hit]))
            self.faults.append(Fault(table.file, int(table.rows[hit]), field, value, rule, fix))
        if len(hits) > LISTED:
            last = int(table.rows[hits[-1]])
            more = f"{rule}: {len(hits) - LISTED} further rows like these"
            self.faults.append(Fault(table.file, last, field, "", more, fix))

    def _shown(self, value: str) -> str:
        """A value that looks like a code and is nobody's, as it is; of all else the shape: columns can have slipped."""
        if not value:
            return "a blank"
        looks_like_a_code = re.fullmatch(r"(PR|[A-Z])\d{1,2}[A-Z]?", value) is not None
        if looks_like_a_code and value not in self._personal():
            return value
        return "a value of the shape " + re.sub(r"[^\W\d_]", "A", re.sub(r"\d", "9", value[:20]))


# cells to values


def days_of_cells(cells: Text) -> Days:
    """Days since 1970 of dates as filed: 31/03/2024 or 2024-03-31, with or without a time."""
    numbers, unique = pd.factorize(cells)
    return np.array([_day(cell) for cell in unique], dtype=np.int64)[numbers] if len(unique) else np.zeros(0, np.int64)


def _day(cell: str) -> int:
    if not cell:
        return BLANK
    cell = re.sub(r"[ T]\d{1,2}:\d\d(:\d\d(\.\d*)?)?Z?$", "", cell)
    if match := re.fullmatch(r"(\d{1,2})[/-](\d{1,2})[/-](\d{4})", cell, flags=re.ASCII):
        day, month, year = map(int, match.groups())
    elif match := re.fullmatch(r"(\d{4})[/-](\d{1,2})[/-](\d{1,2})", cell, flags=re.ASCII):
        year, month, day = map(int, match.groups())
    else:
        return IMPOSSIBLE
    try:
        return date(year, month, day).toordinal() - EPOCH
    except ValueError:
        return IMPOSSIBLE


def _turned(cell: str) -> str:
    """A date as filed with its first two numbers changed over."""
    return re.sub(r"^(\d{1,2})([/-])(\d{1,2})\2", r"\3\2\1\2", cell)


def _known(days: Days) -> Mask:
    known: Mask = (days != BLANK) & (days != IMPOSSIBLE)
    return known


def _upper(cells: Text) -> Text:
    numbers, unique = pd.factorize(cells)
    return np.array([cell.upper() for cell in unique], dtype=object)[numbers] if len(unique) else cells


def _checked_days(table: Table, column: str, report: _Report, needed: bool) -> Days:
    cells = table.column(column)
    days = days_of_cells(cells)
    fix = "Write dates as 31/03/2024 or 2024-03-31."
    wrong = days == IMPOSSIBLE
    turned = np.zeros(len(cells), dtype=bool)
    turned[wrong] = days_of_cells(np.array([_turned(cell) for cell in cells[wrong]], dtype=object)) != IMPOSSIBLE
    report.add(table, wrong & ~turned, column, "is not a date", fix)
    report.add(table, turned, column, "is not a date with the day first: the month stands there", fix)
    if needed:
        report.add(table, days == BLANK, column, "is blank", fix)
    return days


def _episodes(table: Table, report: _Report) -> pd.DataFrame | None:
    if not len(table.rows):
        return None
    child = _upper(table.column("CHILD"))
    report.add(table, child == "", "CHILD", "is blank", "Every episode belongs to a child.")
    start = _checked_days(table, "DECOM", report, needed=True)
    end = _checked_days(table, "DEC", report, needed=False)
    fix = "Mend the date; an episode begins on DECOM, and ends on DEC or is open."
    report.add(table, _known(start) & _known(end) & (end < start), "DEC", "is before DECOM", fix)
    early = _known(start) & (start < day_of(EARLIEST))
    report.add(table, early, "DECOM", f"is before {EARLIEST.year}", fix)
    columns: dict[str, Any] = {"row": table.rows, "child": child, "start": start, "end": end}
    for column, allowed in codes.CODES.items():
        cells = _upper(table.column(column))
        fix = f"The code set is {', '.join(sorted((code for code in allowed if code), key=_by_number))}."
        report.add(table, ~np.isin(cells.astype(str), sorted(allowed)), column, "is not a code", fix, cells)
        columns[column] = cells
    distance = pd.to_numeric(pd.Series(table.column("PL_DISTANCE")), errors="coerce")
    columns["distance"] = distance.where(distance >= 0).to_numpy(float)
    columns["urn"] = _upper(table.column("URN"))
    # the guide: XXXXXXX where a placement has none
    columns["urn"] = np.where(pd.Series(columns["urn"]).str.fullmatch("X*").to_numpy(bool), "", columns["urn"])
    year = _year(table, start, end, report)
    names = {"PLACE_PROVIDER": "provider", "PL_LOCATION": "location"}
    frame = pd.DataFrame({names.get(column, column.lower()): values for column, values in columns.items()})
    return frame.assign(file=table.file, year=year)


def _by_number(code: str) -> tuple[str, int, str]:
    match = re.fullmatch(r"([A-Z]+)(\d*)(.*)", code)
    return (match[1], int(match[2] or 0), match[3]) if match else (code, 0, "")


def _year(table: Table, start: Days, end: Days, report: _Report) -> int:
    """Financial year of a return: the one in which most of its ended episodes end.

    A return holds the episodes that were open at any time in its year: none ended before it, none began after it.
    Where none has ended, the year is the last in which one began.
    """
    ended, begun = _known(end), _known(start)
    if not begun.any():
        return 0
    ends, starts = financial_year(np.where(ended, end, 0)), financial_year(np.where(begun, start, 0))
    years, counts = np.unique(ends[ended], return_counts=True) if ended.any() else (starts[begun], starts[begun])
    year = int(years[counts == counts.max()].max())
    fix = "A file holds the episodes open in one financial year; file each year's return by itself."
    rule = f"is not in {year_name(year)}, the year of most of the file: years are mixed"
    report.add(table, ended & (ends != year), "DEC", rule, fix)
    rule = f"is after {year_name(year)}, the year of the file: years are mixed"
    report.add(table, begun & (starts > year), "DECOM", rule, fix)
    return year


def _check_years(parts: Sequence[pd.DataFrame], faults: list[Fault]) -> None:
    years = sorted({int(part["year"].iloc[0]) for part in parts} - {0})
    for before, after in itertools.pairwise(years):
        for absent in range(before + 1, after):
            fix = (
                f"Add it, or plan on the returns from {year_name(after)} on: episodes within it are not seen elsewhere."
            )
            faults.append(
                Fault("the records", None, f"return of {year_name(absent)}", "", "is missing between others", fix)
            )


def _people(table: Table, report: _Report) -> pd.DataFrame:
    child = _upper(table.column("CHILD"))
    report.add(table, child == "", "CHILD", "is blank", "Every row belongs to a child.")
    born = _checked_days(table, "DOB", report, needed=False)
    sex = _upper(table.column("SEX"))
    fix = "The code set is 1 and 2, or M, F and U."
    report.add(table, ~np.isin(sex.astype(str), sorted(codes.SEXES)), "SEX", "is not a code", fix)
    uasc = np.full(len(child), table.kind == "UASC") | (table.column("UASC") == "1")
    return pd.DataFrame({"child": child, "born": born, "sex": sex, "uasc": uasc, "header": table.kind == "Header"})


def _together(parts: Sequence[pd.DataFrame], people: Sequence[pd.DataFrame], report: _Report) -> Filed:
    """All rows, children and homes under running numbers, ages checked. Of two headers of a child the later counts."""
    files = tuple(dict.fromkeys(str(part["file"].iloc[0]) for part in parts))
    episodes = pd.concat(parts, ignore_index=True)
    columns = ["child", "born", "sex", "uasc", "header"]
    headers = pd.concat(people, ignore_index=True) if people else pd.DataFrame(columns=columns)
    numbers, names = pd.factorize(episodes["child"])
    born = headers[headers["born"] != BLANK].groupby("child")["born"].last().reindex(names)
    sex = headers[headers["sex"] != ""].groupby("child")["sex"].last().reindex(names).fillna("")
    children = pd.DataFrame(
        {
            "born": np.array([BLANK if pd.isna(day) else int(day) for day in born], dtype=np.int64),
            "sex": [codes.SEXES.get(code, "unknown") for code in sex],
            "uasc": np.isin(
                np.asarray(names, dtype=str), headers.loc[headers["uasc"].astype(bool), "child"].to_numpy(str)
            ),
        }
    )
    two_births = _two_births(headers, report)
    without_episodes = len(set(headers.loc[headers["header"].astype(bool), "child"]) - set(names))
    episodes["child"] = numbers.astype(np.int64)
    urns, unique = pd.factorize(episodes["urn"])
    blank = [place for place, urn in enumerate(unique) if urn == ""]
    episodes["urn"] = np.where(np.isin(urns, blank), -1, urns).astype(np.int64)
    _check_ages(episodes, children["born"].to_numpy(np.int64)[numbers], report)
    episodes["file"] = pd.Index(files).get_indexer(episodes["file"]).astype(np.int64)
    identifiers = np.asarray(names, dtype=object)
    homes = np.asarray(unique, dtype=object)
    return Filed(files, episodes, children, int(born.isna().sum()), without_episodes, two_births, identifiers, homes)


def _two_births(headers: pd.DataFrame, report: _Report) -> int:
    """Children with more than one date of birth; a fault where so many have that numbers must have been given again."""
    known = headers[headers["born"] != BLANK].groupby("child")["born"].agg(["size", "nunique"])
    twice, differ = int((known["size"] > 1).sum()), int((known["nunique"] > 1).sum())
    if differ > max(LISTED, twice * GIVEN_AGAIN):
        rule = f"differs between returns for {100 * differ / twice:.0f}% of the children in more than one"
        fix = "The same number stands for the same child in all returns: use the one that the council keeps for good."
        report.faults.append(Fault("the records", None, "DOB", "", rule, fix))
    return differ


def _check_ages(episodes: pd.DataFrame, born: Days, report: _Report) -> None:
    start = episodes["start"].to_numpy(np.int64)
    known = _known(start) & _known(born)
    rules: Mapping[str, Mask] = {
        "is before the child's date of birth": known & (start < born),
        f"is when the child would be over {OLDEST}": known & (ages(born, start, known) > OLDEST),
    }
    for rule, where in rules.items():
        for file in episodes.loc[where, "file"].unique():
            of_file = (episodes["file"] == file).to_numpy(bool)
            table = Table(str(file), "Episodes", {}, episodes.loc[of_file, "row"].to_numpy(np.int64))
            report.add(table, where[of_file], "DECOM", rule, "Mend DECOM here or DOB in the header.")


def ages(born: Days, day: Days, known: Mask) -> npt.NDArray[np.int64]:
    """Age in whole years on a day, -1 where not known; one born on 29 February is a year older on 1 March."""
    one = np.where(known, born, 0).astype("datetime64[D]")
    other = np.where(known, day, 0).astype("datetime64[D]")
    months = other.astype("datetime64[M]").astype(np.int64) - one.astype("datetime64[M]").astype(np.int64)
    of_month = (other - other.astype("datetime64[M]")) < (one - one.astype("datetime64[M]"))
    years: npt.NDArray[np.int64] = np.where(known, (months - of_month) // 12, -1)
    return years
