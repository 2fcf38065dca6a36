"""Synthetic councils and the command line, for tests of demand."""

from __future__ import annotations

import csv
import io
import xml.etree.ElementTree as ElementTree
from collections import Counter, defaultdict
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path

from typer.testing import CliRunner

from optimiser.cli import app
from optimiser.demand.records.codes import PLACES
from optimiser.demand.synthetic import Synthetic, synthesise
from optimiser.errors import OptimiserError


@dataclass(frozen=True)
class Done:
    """What a command printed, on either stream, and its exit code."""

    exit_code: int
    output: str
    stdout: str


def run(*words: str) -> Done:
    """Run a command as the shell would, errors told in words."""
    result = CliRunner().invoke(app, list(words))
    if isinstance(result.exception, OptimiserError):
        return Done(result.exception.exit_code, result.output + str(result.exception), result.stdout)
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return Done(result.exit_code, result.output, result.stdout)


def council(folder: Path, *, years: int = 4, seed: int = 1, form: str = "csv") -> Synthetic:
    """Returns of a council of some 300 children."""
    assert form in ("csv", "xml")
    return synthesise(
        folder,
        authority="anyshire",
        first_year=2026 - years,
        years=years,
        seed=seed,
        form="xml" if form == "xml" else "csv",
    )


def files_in(folder: Path) -> dict[str, bytes]:
    """Content of every file in a folder, by its path there."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


# a slow and independent count


def slow_rows(folder: Path) -> list[dict[str, str]]:
    """Rows of Episodes, one by one; the year comes from the folder's or file's name, which the reader never looks at."""
    rows: list[dict[str, str]] = []
    for path in sorted(folder.rglob("*.csv")):
        records = [row for row in csv.reader(io.StringIO(path.read_text(encoding="utf-8-sig"))) if any(row)]
        titles = [title.upper() for title in records[0]]
        if "DECOM" in titles:
            year = str(int(path.parent.name[:4]) + 1)
            rows += [dict(zip(titles, record, strict=True)) | {"YEAR": year} for record in records[1:]]
    for path in sorted(folder.rglob("*.xml")):
        for child in ElementTree.parse(path).getroot():
            name = child.findtext("HEADER/CHILDID") or ""
            for episode in child.findall("EPISODE"):
                cells = {element.tag: element.text or "" for element in episode}
                year = str(int(path.stem[-7:-3]) + 1)
                rows.append({"REC": "", "DEC": "", "CHILD": name, "PLACE": cells["PL"], "YEAR": year} | cells)
    return rows


def slow_day(text: str) -> date:
    return date.fromisoformat(text) if "-" in text else date(*(int(part) for part in reversed(text.split("/"))))


def slow_stock(rows: list[dict[str, str]], first_year: int, last_year: int) -> Counter[tuple[date, str]]:
    """Children by night and category, one by one: for each child and night, which row says where the child was."""
    of_child: dict[str, dict[date, list[tuple[int, date, int, dict[str, str]]]]] = defaultdict(
        lambda: defaultdict(list)
    )
    for number, row in enumerate(rows):
        end = slow_day(row["DEC"]) if row["DEC"] else date.max
        of_child[row["CHILD"]][slow_day(row["DECOM"])].append((int(row["YEAR"]), end, number, row))
    stock: Counter[tuple[date, str]] = Counter()
    for starts in of_child.values():
        kept = []
        for start in sorted(starts):
            year, end, _, row = max(starts[start], key=lambda one: one[:3])
            if row["LS"] in ("V3", "V4") or end == start:
                continue
            kept.append((start, date(year, 4, 1) if end == date.max else end, row))
        held = ""
        left_on = None
        for place, (start, end, row) in enumerate(kept):
            after = kept[place + 1][0] if place + 1 < len(kept) else date.max
            if start != left_on:
                held = ""
            if not row["PLACE"].startswith("T"):
                held = row["PLACE"]
            category = PLACES[held or row["PLACE"]]
            night = max(start, date(first_year - 1, 4, 1))
            while night < min(end, after, date(last_year, 4, 1)):
                if category.is_bed:
                    stock[night, category.name] += 1
                night += timedelta(days=1)
            left_on = None if row["REC"].startswith("E") and end <= after else min(end, after)
    return stock
