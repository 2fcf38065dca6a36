"""A model of demand → rows of an instance's tables, as cells."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from optimiser.demand.arrivals import INTERVAL, ArrivalsFit, Estimate
from optimiser.demand.cohorts import described
from optimiser.demand.fitting import CohortFit, Demand
from optimiser.demand.ssda903 import PUBLISHABLE
from optimiser.demand.stays import Rate, leaving_by_month
from optimiser.finance import month_name
from optimiser.instance.distributions import Distribution

Floats = NDArray[np.float64]
Cells = dict[str, str]

#: Share of placements that break down a month where too few were seen in every cohort.
FEW_MOVES = 0.02


def rounded(figure: Distribution) -> Distribution:
    """To four figures, which is closer than any of them is known."""
    return Distribution(figure.kind, tuple(float(f"{value:.4g}") for value in figure.values), figure.probabilities)


def arrivals_cells(fit: ArrivalsFit) -> Cells:
    """Cells of cohorts.csv that say how many arrive."""
    cells = {
        "arrivals_per_month": str(rounded(fit.level)),
        "growth_per_year": str(rounded(fit.growth)),
        "arrivals_dispersion": "" if fit.size is None else f"{fit.size:.3g}",
        "season": " ".join(f"{factor:g}" for factor in fit.season),
    }
    return {name: cell for name, cell in cells.items() if cell}


def cohort_cells(fit: CohortFit, authority: str) -> Cells:
    """A row of cohorts.csv."""
    title = fit.rule.title or fit.name
    stay = {"mean_stay_months": str(rounded(fit.leaving.stay))}
    return {"cohort": fit.name, "authority": authority, "title": title, **stay, **arrivals_cells(fit.arrivals)}


def step_cells(demand: Demand) -> list[Cells]:
    """Rows of steps.csv."""
    return [
        {
            "origin": step.origin,
            "destination": step.destination,
            "share_per_month": str(rounded(step.rate.distribution)),
        }
        for step in demand.steps
    ]


def leaving_factors_of(demand: Demand, fit: CohortFit, months: int) -> Floats:
    """Share who leave in each month of a horizon, as a multiple of one divided by the mean stay, [month]."""
    if not fit.duration.differs:
        return np.ones(months)
    mean = fit.arrivals.level.mean * (1 + fit.arrivals.growth.mean) ** (np.arange(months) / 12)
    arriving = mean + sum(
        step.rate.distribution.mean * float(other.stock.mean())
        for step in demand.steps
        for other in demand.cohorts
        if step.destination == fit.name and step.origin == other.name
    )
    by_month = leaving_by_month(fit.duration, demand.stepping(fit.name), fit.so_far.tolist(), arriving.tolist())
    return np.asarray(by_month * fit.leaving.stay.mean, dtype=float)


def leaving_cells(demand: Demand, months: int) -> list[Cells]:
    """Rows of leaving.csv, for the cohorts in which leaving depends on the time so far."""
    return [
        {"cohort": fit.name, "month": month_name(demand.start + month), "factor": f"{factor:.4g}"}
        for fit in demand.cohorts
        if fit.duration.differs
        for month, factor in enumerate(leaving_factors_of(demand, fit, months))
    ]


def moves_of(demand: Demand, fit: CohortFit, source: str | None) -> Distribution:
    """Share of a cohort's placements that break down a month: the source's own where it differs, else the cohort's.

    Of too few to be told, that of the cohorts that have enough, together, so that nobody can subtract; or else
    ``FEW_MOVES``.
    """
    for one in fit.sources:
        if one.source == source and one.moves_differently:
            return one.moving.distribution
    if fit.moving.times >= PUBLISHABLE:
        return fit.moving.distribution
    moving = [other.moving for other in demand.cohorts if other.moving.times >= PUBLISHABLE]
    if not moving:
        return Distribution("fixed", (FEW_MOVES,))
    spread = max(one.spread for one in moving)
    return Rate(sum(one.times for one in moving), sum(one.months for one in moving), spread).distribution


def placement_cells(demand: Demand, fit: CohortFit, source: str, today: float) -> Cells:
    """A row of placements.csv."""
    cells = {"cohort": fit.name, "source": source, "breakdown_per_month": str(rounded(moves_of(demand, fit, source)))}
    own = next((one for one in fit.sources if one.source == source), None)
    if own is not None and own.leaves_differently:
        cells["mean_stay_months"] = str(rounded(own.leaving.stay))
    if today > 0:
        cells["children_at_start"] = f"{today:g}"
    return cells


def today_by_source(
    demand: Demand, fit: CohortFit, allowed: Sequence[str], beds: Mapping[str, float]
) -> dict[str, float]:
    """Children today by source, none of which gives away fewer than ``PUBLISHABLE``.

    A source with fewer, one that is not in the instance, and what is beyond a source's beds, are counted with the
    largest other; of a cohort with fewer in all the model's own long-run mean is given instead.

    Parameters
    ----------
    allowed : sources of the instance that may take the cohort today; the last takes what does not fit elsewhere
    beds : free beds of the sources that have a limit
    """
    if not allowed:
        return {}
    if 0 < fit.today < PUBLISHABLE:
        out = fit.leaving.distribution.mean + demand.stepping(fit.name)
        return {allowed[-1]: round(fit.arrivals.level.mean / out, 1)}
    seen = {one.source: one.today for one in fit.sources if one.source in allowed}
    found: dict[str, float] = {}
    for source, children in seen.items():
        taken = float(np.floor(min(children, beds.get(source, np.inf))))
        if source != allowed[-1] and taken >= PUBLISHABLE:
            found[source] = taken
    rest = fit.today - sum(found.values())
    while 0 < rest < PUBLISHABLE and found:
        smallest = min(found, key=lambda source: found[source])
        rest += found.pop(smallest)
    if rest > 0:
        found[allowed[-1]] = rest
    return found


# figures that were counted, and where they come from


def counted_figures(demand: Demand) -> list[tuple[str, int, str, str]]:
    """Name, count, unit and title of what was counted and may be published."""
    found: list[tuple[str, int, str, str]] = []
    for fit in demand.cohorts:
        title = fit.rule.title or fit.name
        arrived, months = int(fit.counted.sum()), round(fit.leaving.months)
        since = month_name(demand.first)
        found += [
            (f"records-{fit.name}-arrived", arrived, "children", f"{title}: children who arrived, from {since}"),
            (f"records-{fit.name}-months", months, "child-months", f"{title}: time that children were there"),
            (f"records-{fit.name}-left", fit.leaving.times, "children", f"{title}: children who left"),
            (
                f"records-{fit.name}-moved",
                fit.moving.times,
                "moves",
                f"{title}: moves to another place of the same kind",
            ),
            (f"records-{fit.name}-today", fit.today, "children", f"{title}: children there when the records end"),
        ]
    for number, step in enumerate(demand.steps, start=1):
        title = f"Children who stepped across from {step.origin} to {step.destination}"
        found.append((f"records-steps-{number}", step.rate.times, "children", title))
    return [row for row in found if row[1] >= PUBLISHABLE]


def evidence_cells(demand: Demand, document: str, figures: Sequence[str]) -> list[Cells]:
    """Rows of evidence.csv for everything that the model of demand fills in.

    Parameters
    ----------
    document : what the counts stand in, in words
    figures : names of the counted figures that are written
    """
    rules = "; ".join(f"{fit.name}: {described(fit.rule)}" for fit in demand.cohorts)
    found = [_row("figures.records-*.value", "published", document=document, place="Episodes, counted under: " + rules)]
    for fit in demand.cohorts:
        found += _cohort_evidence(demand, fit, tuple(figures))
    for number, step in enumerate(demand.steps, start=1):
        key, estimate = f"steps.{step.origin}.{step.destination}.share_per_month", step.rate.estimate
        words = "Those who stepped across by child-months."
        origin = f"figures.records-steps-{number}.value figures.records-{step.origin}-months.value"
        found.append(_row(key, "derived", origin=origin, note=words + _wider(step.rate.spread), estimate=estimate))
    return found


def arrivals_evidence(name: str, fit: ArrivalsFit, origin: str, words: str, growth_words: str) -> list[Cells]:
    """Rows of evidence.csv for the arrivals of a cohort."""
    family = "Poisson" if fit.size is None else f"negative binomial of size {fit.size:.3g}"
    change = " Earlier months are left out: the level changed abruptly." if fit.changed else ""
    note = f"{words}{len(fit.counts)} months from {month_name(fit.first)}, {family}.{change}"
    found = [
        _row(
            f"cohorts.{name}.arrivals_per_month", "derived", origin=origin, note=note, estimate=Estimate.of(fit.level)
        ),
        _row(
            f"cohorts.{name}.growth_per_year",
            "derived",
            origin=origin,
            note=growth_words,
            estimate=Estimate.of(fit.growth),
        ),
    ]
    if fit.size is not None:
        note = f"By likelihood; Akaike's criterion prefers it to Poisson by {fit.overdispersion:.1f}."
        found.append(_row(f"cohorts.{name}.arrivals_dispersion", "derived", origin=origin, note=note))
    if fit.season:
        note = "Harmonics of the year, by the Bayesian criterion."
        found.append(_row(f"cohorts.{name}.season", "derived", origin=origin, note=note))
    return found


def growth_words(demand_growth: float | None, level_words: str) -> str:
    """What the growth of arrivals is, for the register."""
    words = "Trend of the counts, drawn towards none (standard deviation 5% a year before anything is counted)."
    if level_words:
        words = "No trend: a standard deviation of 5% a year, since the level is that of other months."
    if demand_growth is not None:
        words += f" {100 * demand_growth:+g}% a year is laid on top, as asked."
    return words


def _cohort_evidence(demand: Demand, fit: CohortFit, figures: tuple[str, ...]) -> list[Cells]:
    name = fit.name

    def of(*parts: str) -> str:
        return " ".join(f"figures.records-{name}-{part}.value" for part in parts if f"records-{name}-{part}" in figures)

    level = f"At the level of {demand.wanted.level_words}, as asked. " if demand.wanted.level_words else ""
    growth = growth_words(demand.wanted.growth, demand.wanted.level_words)
    found = arrivals_evidence(name, fit.arrivals, of("arrived"), level, growth)
    note = "Child-months by those who left; spells cut on both sides count for what they show." + _wider(
        fit.leaving.spread
    )
    stay = fit.leaving.stay_estimate
    found.append(
        _row(f"cohorts.{name}.mean_stay_months", "derived", origin=of("months", "left"), note=note, estimate=stay)
    )
    if fit.duration.differs:
        note = "Leaving depends on the time so far: children of today with theirs, and those to come."
        found.append(_row(f"leaving.{name}.*", "derived", origin=of("months", "left"), note=note))
    moved = of("months", "moved") if fit.moving.times >= PUBLISHABLE else of("months")
    note = "Moves to another place of the same kind by child-months."
    seen = fit.moving.estimate if fit.moving.times >= PUBLISHABLE else None
    found.append(_row(f"placements.{name}.*.breakdown_per_month", "derived", origin=moved, note=note, estimate=seen))
    for one in fit.sources:
        key = f"placements.{name}.{one.source}"
        if one.moves_differently:
            note = "Moves from this source by child-months there, which differ from the others."
            cells = _row(f"{key}.breakdown_per_month", "derived", origin=moved, note=note, estimate=one.moving.estimate)
            found.append(cells)
        if one.leaves_differently:
            note = "Child-months by those who left from this source, which differs from the others."
            origin, stay = of("months", "left"), one.leaving.stay_estimate
            found.append(_row(f"{key}.mean_stay_months", "derived", origin=origin, note=note, estimate=stay))
    if fit.today:
        words = f"Counted; sources with fewer than {PUBLISHABLE} together with a larger one."
        origin = of("today") or of("arrived", "months")
        found.append(_row(f"placements.{name}.*.children_at_start", "derived", origin=origin, note=words))
    return found


def _wider(spread: float) -> str:
    return f" Years differ by more than chance: the variance is {spread:.1f} times as wide." if spread > 1 else ""


def _row(
    figures: str,
    kind: str,
    *,
    origin: str = "",
    note: str = "",
    document: str = "",
    place: str = "",
    estimate: Estimate | None = None,
) -> Cells:
    low, high = ("", "") if estimate is None else (f"{estimate.low:.4g}", f"{estimate.high:.4g}")
    if estimate is not None:
        note += f" Interval of {100 * INTERVAL:.0f}%."
    return {
        "figures": figures,
        "evidence": kind,
        "document": document,
        "place": place,
        "low": low,
        "high": high,
        "derived_from": origin,
        "note": note.strip(),
    }
