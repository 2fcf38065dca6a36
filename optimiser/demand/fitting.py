"""Returns → a model of demand: arrivals, stays, moves and steps by cohort, and children today, each with its interval.

What was seen fewer than ``PUBLISHABLE`` times is not modelled by itself, so that no figure of an instance gives it away: a step
seen so seldom counts as a departure and an arrival, a source with so few children is counted with a larger one, a rate
with so few exits is that of the whole cohort.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import special

from optimiser.demand.arrivals import ArrivalsFit, fit_arrivals
from optimiser.demand.cohorts import ALL_AGES, FROM_13, UNDER_13, CohortRule, Rules, cohort_of, source_of
from optimiser.demand.ssda903 import PUBLISHABLE, Returns
from optimiser.demand.stays import (
    LEFT,
    NIGHTS_PER_MONTH,
    OPEN,
    SIGNIFICANT,
    Duration,
    Rate,
    Spells,
    Survival,
    days_of,
    followed_by,
    leaving_by_duration,
    observed_survival,
    spells_of,
    spread_between_years,
)
from optimiser.errors import Fault, InstanceError
from optimiser.finance import month_name
from optimiser.instance.distributions import Distribution

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Wanted:
    """What is asked of a fit.

    ``start``: first month of the horizon (months since year 0), the month after the records where left out; ``since``: leave
    out arrivals before; ``level_of``: months whose level of arrivals is to hold, with ``level_words``; ``growth``: laid on
    top of the trend, share a year.
    """

    start: int | None = None
    since: int | None = None
    level_of: tuple[int, int] | None = None
    level_words: str = ""
    growth: float | None = None


@dataclass(frozen=True, eq=False)
class SourceFit:
    """A source of the instance as one cohort lives in it: leaving and moving from it, and children there today."""

    source: str
    leaving: Rate
    moving: Rate
    leaves_differently: bool
    moves_differently: bool
    today: int


@dataclass(frozen=True, eq=False)
class CohortFit:
    """Everything about one cohort.

    ``stock``: children there at the end of each month of the records, [month]; ``so_far``: months that each child of today
    has been there.
    """

    rule: CohortRule
    arrivals: ArrivalsFit
    counted: Ints
    leaving: Rate
    moving: Rate
    sources: tuple[SourceFit, ...]
    survival: Survival
    duration: Duration
    stock: Ints
    so_far: Floats

    @property
    def name(self) -> str:
        """Name of the cohort."""
        return self.rule.name

    @property
    def today(self) -> int:
        """Children there on the last day of the records."""
        return int(self.stock[-1])


@dataclass(frozen=True)
class StepFit:
    """Stepping across from one cohort to another."""

    origin: str
    destination: str
    rate: Rate


@dataclass(frozen=True, eq=False)
class Demand:
    """A model of demand.

    ``first``: first month of the records and ``start``: first month of the horizon, months since year 0; ``outside``:
    placements under no rule; ``notes``: what a reader should know, in words.
    """

    cohorts: tuple[CohortFit, ...]
    steps: tuple[StepFit, ...]
    first: int
    months: int
    start: int
    years: str
    wanted: Wanted
    placements: int
    outside: int
    costed: float
    notes: tuple[str, ...]

    @property
    def end(self) -> int:
        """The month after the records."""
        return self.first + self.months

    def stepping(self, cohort: str) -> float:
        """Share of a cohort that steps across a month, all steps together."""
        return sum(step.rate.distribution.mean for step in self.steps if step.origin == cohort)


def month_of(day: np.datetime64) -> int:
    """Months since year 0."""
    return int(day.astype("datetime64[M]").astype(int)) + 1970 * 12


def fit_demand(returns: Returns, rules: Rules, wanted: Wanted = Wanted(), *, usual: bool = False) -> Demand:
    """Fit a model of demand to placements.

    Parameters
    ----------
    rules
        Need profiles and sources.
    usual
        The rules are those that are given: cohorts with too few children are put together or left out, and it is said.

    Raises
    ------
    InstanceError
        Where a cohort of one's own rules has too few children to fit, or children who stay less than a month.
    """
    notes: list[str] = []
    cohorts = list(rules.cohort)
    if usual:
        cohorts = _thinned(returns, cohorts, notes)
    thin = [rule for number, rule in enumerate(cohorts) if _too_thin(returns, cohorts, number)]
    if thin or not cohorts:
        fix = f"Widen the rule, or leave it out: at least {PUBLISHABLE} children arrive and leave under each."
        rule = f"has fewer than {PUBLISHABLE} arrivals or departures in the records"
        faults = [Fault("the rules", None, "cohort", one.name, rule, fix) for one in thin]
        empty = Fault("the records", None, "cohort", "", "have too few children in the beds that are planned", fix)
        raise InstanceError(faults or [empty], "the records")
    model = _fitted(returns, cohorts, rules, wanted, notes)
    fleeting = [fit for fit in model.cohorts if _leaves_within_a_month(model, fit)]
    if fleeting:
        fix = "Widen the rule, or leave it out: a plan counts in months, and has no place for stays of less."
        rule = "has children who leave, or step across, within a month on average"
        raise InstanceError(
            [Fault("the rules", None, "cohort", one.name, rule, fix) for one in fleeting], "the records"
        )
    return model


def _leaves_within_a_month(model: Demand, fit: CohortFit) -> bool:
    steps = [step.rate.distribution for step in model.steps if step.origin == fit.name]
    return fit.leaving.stay.low < 1 or sum(step.high for step in steps) > 1


def _thinned(returns: Returns, cohorts: list[CohortRule], notes: list[str]) -> list[CohortRule]:
    """The usual cohorts, those of homes put together where they are thin, and what is still too thin left out."""
    by_age = [rule.name for rule in (UNDER_13, FROM_13)]
    if any(_too_thin(returns, cohorts, number) for number, rule in enumerate(cohorts) if rule.name in by_age):
        notes.append("Children's homes are one cohort for all ages: by age there are too few children to fit.")
        others = [rule for rule in cohorts if rule.name not in by_age]
        dear = [rule for rule in others if rule.asks_costs]
        cohorts = [*dear, ALL_AGES, *(rule for rule in others if not rule.asks_costs)]
    while thin := [rule for number, rule in enumerate(cohorts) if _too_thin(returns, cohorts, number)]:
        notes.append(f"Left out, with too few children to fit: {thin[0].title}.")
        cohorts = [rule for rule in cohorts if rule.name != thin[0].name]
    return cohorts


def _too_thin(returns: Returns, cohorts: Sequence[CohortRule], number: int) -> bool:
    table = returns.placements
    cohort = cohort_of(table, cohorts)
    spells = spells_of(table, cohort, number, _first_day(returns))
    arrived = (spells.began >= _first_day(returns)) & spells.began_known
    return int(arrived.sum()) < PUBLISHABLE or int((spells.exit != OPEN).sum()) < PUBLISHABLE


def _first_day(returns: Returns) -> int:
    return int(returns.first_day.astype("datetime64[D]").astype(np.int64))


def _fitted(returns: Returns, cohorts: Sequence[CohortRule], rules: Rules, wanted: Wanted, notes: list[str]) -> Demand:
    table, first_day = returns.placements, _first_day(returns)
    end_day = int(returns.end_day.astype("datetime64[D]").astype(np.int64))
    first, end = month_of(returns.first_day), month_of(returns.end_day)
    start = end if wanted.start is None else wanted.start
    cohort, source = cohort_of(table, cohorts), source_of(table, rules.source)
    spells = [spells_of(table, cohort, number, first_day) for number in range(len(cohorts))]
    kept = _steps_kept(spells)
    spells = [
        replace(one, exit=np.where((one.exit >= 0) & ~kept[number][np.maximum(one.exit, 0)], LEFT, one.exit))
        for number, one in enumerate(spells)
    ]
    years = (end - first) // 12
    entered = _entered(table, cohort, kept, first_day)
    fits = []
    for number, rule in enumerate(cohorts):
        own = spells[number]
        here = entered & (cohort == number)
        counted = np.bincount(_months(table["start"])[here] - first, minlength=end - first)
        try:
            arrivals = fit_arrivals(counted.astype(float), first, start, since=wanted.since, level_of=wanted.level_of)
        except ValueError:
            fix = "Name months within the records, half a year of them at least."
            fault = Fault("the records", None, "arrivals", "", "have too few of the months asked for", fix)
            raise InstanceError([fault], "the records") from None
        if arrivals.changed:
            notes.append(
                f"{rule.name}: the level of arrivals changed abruptly; what was before {month_name(arrivals.first)} "
                "is left out of the fit."
            )
        if wanted.growth is not None:
            arrivals = replace(arrivals, growth=_on_top(arrivals, wanted.growth))
        stock = _stock(own, first, end)
        there = own.end == end_day
        fits.append(
            CohortFit(
                rule=rule,
                arrivals=arrivals,
                counted=counted,
                leaving=_rate(own, own.exit == LEFT, first_day, years),
                moving=_moving(table, cohort, number, None, None, first_day, years),
                sources=_sources(table, cohort, number, source, rules, own, first_day, end_day, years),
                survival=observed_survival(own),
                duration=leaving_by_duration(own),
                stock=stock,
                so_far=(own.end - own.began)[(own.exit == OPEN) & there] / NIGHTS_PER_MONTH,
            )
        )
    steps = tuple(
        StepFit(cohorts[one].name, cohorts[other].name, _rate(spells[one], spells[one].exit == other, first_day, years))
        for one in range(len(cohorts))
        for other in range(len(cohorts))
        if kept[one][other]
    )
    if start > end:
        notes.append(
            f"Children counted at the end of {month_name(end - 1)} stand for {month_name(start)}, when the horizon begins."
        )
    costed = float(np.isfinite(table["gbp_per_week"].to_numpy(float))[cohort >= 0].mean())
    if any(rule.asks_costs for rule in cohorts) and costed < 0.5:
        notes.append(
            f"The cost is known of {100 * costed:.0f}% of the placements only: cohorts by cost are too small, the others "
            "too large."
        )
    return Demand(
        cohorts=tuple(fits),
        steps=steps,
        first=first,
        months=end - first,
        start=start,
        years=returns.years,
        wanted=wanted,
        placements=len(table),
        outside=int((cohort < 0).sum()),
        costed=costed,
        notes=tuple(notes),
    )


def _on_top(arrivals: ArrivalsFit, growth: float) -> Distribution:
    return arrivals.growth.moved_to(arrivals.growth.mean + growth)


def _months(dates: pd.Series) -> Ints:
    months: Ints = dates.to_numpy("datetime64[M]").astype(np.int64) + 1970 * 12
    return months


def _steps_kept(spells: Sequence[Spells]) -> list[NDArray[np.bool_]]:
    """Steps that are seen often enough to be modelled, by origin and destination."""
    count = len(spells)
    return [np.array([(one.exit == other).sum() >= PUBLISHABLE for other in range(count)]) for one in spells]


def _entered(table: pd.DataFrame, cohort: Ints, kept: list[NDArray[np.bool_]], first_day: int) -> NDArray[np.bool_]:
    """Placements with which a child arrives in its cohort within the records, other than by a step that is modelled."""
    follows = np.append(False, followed_by(table)[:-1])
    before = np.append(-1, cohort[:-1])
    stepped = np.array(
        [bool(f and b >= 0 and c >= 0 and kept[b][c]) for f, b, c in zip(follows, before, cohort, strict=True)],
        dtype=bool,
    )
    same = follows & (before == cohort)
    known = table["start_known"].to_numpy(bool)
    found: NDArray[np.bool_] = (cohort >= 0) & ~same & ~stepped & (days_of(table["start"]) >= first_day) & known
    return found


def _rate(spells: Spells, happened: NDArray[np.bool_], first_day: int, years: int) -> Rate:
    spread = spread_between_years(spells.seen, spells.end, spells.end[happened], first_day, years)
    return Rate(int(happened.sum()), spells.months, spread)


def _stock(spells: Spells, first: int, end: int) -> Ints:
    """Children there on the last night of each month, [month]."""
    ends = np.array(
        [np.datetime64(month_name(month + 1), "D").astype(np.int64) - 1 for month in range(first, end)], dtype=np.int64
    )
    return np.array([((spells.began <= day) & (spells.end > day)).sum() for day in ends], dtype=np.int64)


def _moving(
    table: pd.DataFrame,
    cohort: Ints,
    number: int,
    source: Ints | None,
    wanted: int | None,
    first_day: int,
    years: int,
) -> Rate:
    """Moves to another place of the same cohort, of a cohort or of one of its sources."""
    here = cohort == number
    moved = here & followed_by(table) & (np.append(cohort[1:], -1) == number)
    if source is not None:
        here, moved = here & (source == wanted), moved & (source == wanted)
    begun, ended = np.maximum(days_of(table["start"]), first_day), days_of(table["end"])
    spread = spread_between_years(begun[here], ended[here], ended[moved], first_day, years)
    return Rate(int(moved.sum()), float((ended - begun)[here].sum() / NIGHTS_PER_MONTH), spread)


def _sources(
    table: pd.DataFrame,
    cohort: Ints,
    number: int,
    source: Ints,
    rules: Rules,
    spells: Spells,
    first_day: int,
    end_day: int,
    years: int,
) -> tuple[SourceFit, ...]:
    """Leaving and moving by source; by itself where it is seen often enough and differs from the rest of the cohort."""
    here = cohort == number
    begun, ended = np.maximum(days_of(table["start"]), first_day), days_of(table["end"])
    follows = followed_by(table)
    last = here & ~(follows & (np.append(cohort[1:], -1) == number))
    left = np.zeros(len(table), dtype=bool)
    left[np.flatnonzero(last)] = spells.exit == LEFT
    is_open = table["censored"].to_numpy(bool)
    whole_left = Rate(int(left.sum()), spells.months)
    whole_moved = _moving(table, cohort, number, None, None, first_day, years)
    found = []
    for place, rule in enumerate(rules.source):
        inside = here & (source == place)
        if not inside.any():
            continue
        months = float((ended - begun)[inside].sum() / NIGHTS_PER_MONTH)
        spread = spread_between_years(begun[inside], ended[inside], ended[inside & left], first_day, years)
        leaving = Rate(int((inside & left).sum()), months, spread)
        moving = _moving(table, cohort, number, source, place, first_day, years)
        found.append(
            SourceFit(
                source=rule.name,
                leaving=leaving,
                moving=moving,
                leaves_differently=_differs(leaving, whole_left),
                moves_differently=_differs(moving, whole_moved),
                today=int((inside & is_open & (ended == end_day)).sum()),
            )
        )
    return tuple(found)


def _differs(part: Rate, whole: Rate) -> bool:
    """Whether a part's rate differs from that of the rest by more than chance (likelihood ratio), both seen often enough."""
    rest = Rate(whole.times - part.times, whole.months - part.months)
    if min(part.times, rest.times) < PUBLISHABLE or min(part.months, rest.months) <= 0:
        return False
    common = whole.times / whole.months
    gain = 2 * sum(float(special.xlogy(one.times, one.times / one.months / common)) for one in (part, rest))
    spread = max(part.spread, whole.spread, 1.0)
    return bool(special.chdtrc(1, gain / spread) < SIGNIFICANT)


def held_back(returns: Returns) -> tuple[Returns, int]:
    """The returns as if the last year were still to come, and the months held back.

    Corrections that the last return makes to years before stay made: what was filed then is not in it.
    """
    end = returns.end_day
    cut = np.datetime64(f"{int(str(end)[:4]) - 1}-04-01", "D")
    table = returns.placements
    table = table[table["start"] < pd.Timestamp(cut)].reset_index(drop=True)
    # one that ends on the first day held back was open on the night before it
    later = (table["end"] >= pd.Timestamp(cut)).to_numpy(bool)
    table = table.assign(
        end=table["end"].where(~later, pd.Timestamp(cut)),
        censored=table["censored"].to_numpy(bool) | later,
        went_to=table["went_to"].where(~later, "open"),
    )
    return replace(returns, placements=table, end_day=cut), month_of(end) - month_of(cut)
