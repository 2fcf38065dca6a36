"""What an instance may say without meaning to: no fault, and worth a second look before a plan rests on it."""

from __future__ import annotations

from collections.abc import Iterator

from optimiser.finance import whole_pounds
from optimiser.instance.schema import Cohort, Instance

#: Children at the start, and as many in the long run, that differ by this share and by this number are remarked on.
FAR, FEW = 1 / 3, 3.0
#: Places of a market, as a multiple of the children in it at the start, below which its end is remarked on.
NEAR = 1.25


def remarks(instance: Instance) -> list[str]:
    """Sentences about an instance that reads without a fault, each with the file that it is about."""
    found = (_never_used(instance), _no_more_to_be_had(instance), _not_released(instance), _far_from_start(instance))
    return [words for part in found for words in part]


def _never_used(instance: Instance) -> Iterator[str]:
    """Sources in which no row of placements lets a child live; a building run by a provider has its lot's children."""
    named = {place.source for place in instance.placements}
    sources = [
        *((home.home, home.title) for home in instance.homes if home.operator == "council" and home.available),
        *((lot.lot, lot.title) for lot in instance.lots),
        *((supply.supply, supply.title) for supply in instance.existing),
        *((spot.spot, spot.title) for spot in instance.spots),
    ]
    for name, title in sources:
        if name not in named:
            yield f"placements.csv has no row for {name} ({title}): no child can ever live there. Add one a cohort that may."


def _no_more_to_be_had(instance: Instance) -> Iterator[str]:
    """Markets that end near where they begin: beyond them children have no registered place, whatever is paid."""
    for spot in instance.spots:
        layers = [layer.beds for layer in instance.layers if layer.spot == spot.spot]
        places = sum(beds for beds in layers if beds is not None)
        living = sum(place.children_at_start for place in instance.placements if place.source == spot.spot)
        if None not in layers and places < NEAR * living:
            yield (
                f"layers.csv: {spot.spot} has {places:g} places at any price, and {living:g} children in them at the start; "
                "whoever needs one more has no registered place. Where more can be bought, add a dearer row with blank beds."
            )


def _not_released(instance: Instance) -> Iterator[str]:
    """Envelopes whose years release less than their total."""
    for name in dict.fromkeys(row.envelope for row in instance.capital):
        rows = [row for row in instance.capital if row.envelope == name]
        total = next((row.limit_gbp for row in rows if row.year == "total"), None)
        years = [row.limit_gbp for row in rows if row.year != "total"]
        if total is not None and years and sum(years) < total:
            yield (
                f"capital.csv: the years of {name} release {whole_pounds(sum(years))} of {whole_pounds(total)} in total; "
                "a year without a row releases nothing. Add its row, or leave only the total."
            )


def _far_from_start(instance: Instance) -> Iterator[str]:
    """Cohorts whose arrivals and stays, left as they are, lead far from the children of the first month."""
    stepping = {name for step in instance.steps for name in (step.origin, step.destination)}
    counted = {row.cohort for row in instance.arrivals} | {row.cohort for row in instance.census}
    for cohort in instance.cohorts:
        if cohort.cohort in stepping | counted:
            continue
        start = sum(place.children_at_start for place in instance.placements if place.cohort == cohort.cohort)
        later = _in_the_long_run(cohort)
        if later is not None and abs(later - start) > max(FAR * start, FEW):
            yield (
                f"cohorts.csv: {cohort.cohort} begins with {start:g} children, and its arrivals and stays keep about {later:.0f} "
                "(arrivals_per_month times mean_stay_months). Right if you expect that."
            )


def _in_the_long_run(cohort: Cohort) -> float | None:
    """Children whom arrivals as they begin would keep in care, by Little's law."""
    if cohort.arrivals_per_month is None or cohort.mean_stay_months is None:
        return None
    return cohort.arrivals_per_month.mean * cohort.mean_stay_months.mean
