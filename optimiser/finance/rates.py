"""Rates that others publish, kept as data with their source: ``rates.csv`` beside this file."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files


@dataclass(frozen=True)
class Rate:
    """A published or assumed rate. ``from_year`` and ``to_year`` count from year 0 of an appraisal; None for any year."""

    rate: str
    about: str
    from_year: int | None
    to_year: int | None
    value: float
    evidence: str
    document: str
    place: str
    published: str
    low: float | None
    high: float | None
    note: str


@lru_cache(maxsize=1)
def rates() -> tuple[Rate, ...]:
    """Every rate of the file, in its order."""
    text = files("optimiser.finance").joinpath("rates.csv").read_text(encoding="utf-8")
    return tuple(
        Rate(
            rate=row["rate"],
            about=row["about"],
            from_year=int(row["from_year"]) if row["from_year"] else None,
            to_year=int(row["to_year"]) if row["to_year"] else None,
            value=float(row["value"]),
            evidence=row["evidence"],
            document=row["document"],
            place=row["place"],
            published=row["published"],
            low=float(row["low"]) if row["low"] else None,
            high=float(row["high"]) if row["high"] else None,
            note=row["note"],
        )
        for row in csv.DictReader(text.splitlines())
    )


def rate_of(rate: str, about: str) -> Rate:
    """The first row of a rate: of the discount rates, the one for the years from now.

    Raises ``KeyError`` where the file has none.
    """
    for row in rates():
        if (row.rate, row.about) == (rate, about):
            return row
    raise KeyError(f"{rate} {about}")
