"""How long children stay, and what ends a stay: rates of competing exits from spells that are cut on both sides.

Exits from a cohort are leaving what is planned for (care, as a rule) and stepping across to another cohort; a move to
another place of the same cohort ends the placement and not the stay. Each has a rate: times seen by child-months at risk. A
spell counts from the first day of the records or of its own, whichever is later, to its end or the last day known, so that
spells open at the end (right-censored) and those here only because they lasted (left-truncated) count for what they show.
That is the share a month of the placement problem: with 1 / rate as the mean stay, child-weeks come out right.

The rates have Jeffreys' prior: Gamma(times + 1/2, child-months). Where years differ by more than chance the interval is as
much wider. Whether the rate depends on how long a child has been there is tested; where it does, each month of the
horizon has a factor, from the children of today with their time so far and from arrivals to come.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import special

from optimiser.demand.arrivals import Estimate
from optimiser.instance.distributions import Distribution

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

NIGHTS_PER_MONTH = 365.25 / 12
#: Ends of the bands of time so far that a rate may differ between, months.
BANDS = (3.0, 12.0, 24.0)
#: Chance at which a difference is taken to be one.
SIGNIFICANT = 0.01

#: What ends a spell in a cohort: leaving, or the number of another cohort; still there when last heard of.
LEFT, OPEN = -1, -2


@dataclass(frozen=True)
class Rate:
    """An exit, a share a month.

    ``times`` seen in ``months`` child-months at risk; ``spread``: how many times wider than chance the variance is between
    years, 1 where no more than chance.
    """

    times: int
    months: float
    spread: float = 1.0

    @property
    def distribution(self) -> Distribution:
        """Of the share a month."""
        mean = (self.times + 0.5) / self.months
        return Distribution("gamma", (mean, mean * float(np.sqrt(self.spread / (self.times + 0.5)))))

    @property
    def estimate(self) -> Estimate:
        """The share a month with its interval."""
        return Estimate.of(self.distribution)

    @property
    def stay(self) -> Distribution:
        """Of the mean time until it happens, months: the lognormal of the same median and spread of logarithms."""
        mean, deviation = self.distribution.values
        shape = (mean / deviation) ** 2
        logarithm = special.digamma(shape) - np.log(shape) + np.log(mean)
        variance = float(special.polygamma(1, shape))
        of_stay = float(np.exp(-logarithm + variance / 2))
        return Distribution("lognormal", (of_stay, of_stay * float(np.sqrt(np.expm1(variance)))))

    @property
    def stay_estimate(self) -> Estimate:
        """Mean time until it happens, months, with the exact interval of the rate turned round."""
        rate = self.estimate
        return Estimate(self.stay.mean, 1 / rate.high, 1 / rate.low)


@dataclass(frozen=True, eq=False)
class Spells:
    """Children in one cohort, each stay without a break; days since 1970, [spell].

    ``began`` is before ``seen`` (the first day of the records) for a left-truncated one; ``began_known`` says whether the
    records show when it began.
    """

    began: Ints
    seen: Ints
    end: Ints
    exit: Ints
    began_known: NDArray[np.bool_]

    @property
    def months(self) -> float:
        """Child-months at risk."""
        return float((self.end - self.seen).sum() / NIGHTS_PER_MONTH)


def spells_of(placements: pd.DataFrame, cohort: Ints, number: int, first_day: int) -> Spells:
    """Stays in a cohort: consecutive placements of one stay in care that fall under its rule are one spell.

    Parameters
    ----------
    placements : as ``ssda903.Returns.placements`` has them, by child and start
    cohort : number of each placement's cohort, -1 for none, [placement]
    number : the cohort asked for
    first_day : of the records, days since 1970
    """
    start, end = days_of(placements["start"]), days_of(placements["end"])
    follows = followed_by(placements)
    goes_on = np.zeros(len(placements), dtype=bool)
    goes_on[1:] = follows[:-1] & (cohort[1:] == cohort[:-1])
    inside = cohort == number
    begins = inside & ~goes_on
    last = inside & ~np.append(goes_on[1:], False)
    after = np.append(cohort[1:], -1)
    is_open = placements["censored"].to_numpy(bool)[last]
    exit_of = np.where(follows[last], after[last], LEFT)
    exit_of = np.where(is_open, OPEN, exit_of)
    return Spells(
        began=start[begins],
        seen=np.maximum(start[begins], first_day),
        end=end[last],
        exit=exit_of,
        began_known=placements["start_known"].to_numpy(bool)[begins],
    )


def followed_by(placements: pd.DataFrame) -> NDArray[np.bool_]:
    """Whether the next placement of the table goes on where this one ends: the same child, stay in care and day."""
    child, stay = placements["child"].to_numpy(np.int64), placements["care_spell"].to_numpy(np.int64)
    start, end = days_of(placements["start"]), days_of(placements["end"])
    found = np.zeros(len(placements), dtype=bool)
    found[:-1] = (child[1:] == child[:-1]) & (stay[1:] == stay[:-1]) & (start[1:] == end[:-1])
    return found


def days_of(dates: pd.Series) -> Ints:
    """Days since 1970."""
    days: Ints = dates.to_numpy("datetime64[D]").astype(np.int64)
    return days


def spread_between_years(begun: Ints, ended: Ints, happened: Ints, first_day: int, years: int) -> float:
    """How many times wider than chance a rate varies between years: Pearson's statistic where it is significant, else 1.

    ``begun`` and ``ended`` bound each child's time at risk, ``happened`` are the days of the exits; all days since 1970.
    """
    if years < 2:
        return 1.0
    edges = (np.datetime64(first_day, "D").astype("datetime64[Y]").astype(int) + np.arange(years + 1)).astype(int)
    limits = np.array([np.datetime64(f"{1970 + edge}-04-01").astype("datetime64[D]").astype(int) for edge in edges])
    at_risk = np.array(
        [
            np.clip(np.minimum(ended, high) - np.maximum(begun, low), 0, None).sum()
            for low, high in itertools.pairwise(limits)
        ],
        dtype=float,
    )
    times = np.histogram(happened, bins=limits + 1)[0].astype(
        float
    )  # an exit on the first of April ends a night of March
    if times.sum() < 5 * years or at_risk.min() <= 0:
        return 1.0
    expected = at_risk * times.sum() / at_risk.sum()
    statistic = float(((times - expected) ** 2 / expected).sum())
    significant = special.chdtrc(years - 1, statistic) < SIGNIFICANT
    return max(1.0, statistic / (years - 1)) if significant else 1.0


# survival


@dataclass(frozen=True, eq=False)
class Survival:
    """Share still there by time since the stay began: ``months`` and ``share``, [step]; ``at_risk`` and ``exits`` there."""

    months: Floats
    share: Floats
    at_risk: Ints
    exits: Ints


def observed_survival(spells: Spells) -> Survival:
    """The product-limit estimate (Kaplan and Meier 1958) with late entry, of staying in the cohort.

    Spells whose beginning the records do not show are left out.
    """
    known = spells.began_known
    entry = (spells.seen - spells.began)[known]
    time = (spells.end - spells.began)[known]
    gone = spells.exit[known] != OPEN
    times = np.unique(time[gone])
    exits = np.array([(gone & (time == day)).sum() for day in times], dtype=np.int64)
    at_risk = np.array([((entry < day) & (time >= day)).sum() for day in times], dtype=np.int64)
    share = np.cumprod(1 - exits / np.maximum(at_risk, 1))
    return Survival(np.asarray(times / NIGHTS_PER_MONTH, dtype=float), np.asarray(share, dtype=float), at_risk, exits)


@dataclass(frozen=True, eq=False)
class Duration:
    """Leaving by time so far: ``share`` a month in each of the bands that ``BANDS`` cuts, and whether they differ."""

    share: Floats
    differs: bool


def leaving_by_duration(spells: Spells) -> Duration:
    """Leaving in bands of time so far, tested against one rate for all (likelihood ratio)."""
    edges = np.array([0.0, *BANDS, np.inf]) * NIGHTS_PER_MONTH
    known = spells.began_known
    entry, time = (spells.seen - spells.began)[known], (spells.end - spells.began)[known]
    left = spells.exit[known] == LEFT
    at_risk = np.array(
        [
            np.clip(np.minimum(time, high) - np.maximum(entry, low), 0, None).sum()
            for low, high in itertools.pairwise(edges)
        ]
    )
    times = np.array([(left & (time > low) & (time <= high)).sum() for low, high in itertools.pairwise(edges)])
    at_risk = np.maximum(at_risk / NIGHTS_PER_MONTH, 1e-9)
    own = times.sum() / at_risk.sum()
    if times.sum() < 5 * len(at_risk):
        return Duration(np.full(len(at_risk), own), False)
    gain = 2 * float(special.xlogy(times, times / (at_risk * own)).sum())
    differs = bool(special.chdtrc(len(at_risk) - 1, gain) < SIGNIFICANT)
    # a band with few is drawn towards the whole: as if five more had been seen at the common rate
    share = (times + 5) / (at_risk + 5 / own)
    return Duration(share if differs else np.full(len(at_risk), own), differs)


def leaving_by_month(duration: Duration, out: float, so_far: Sequence[float], arrivals: Sequence[float]) -> Floats:
    """Share who leave in each month to come, as the mix of times so far has it, [month].

    Parameters
    ----------
    duration : leaving by time so far
    out : share who step across a month, alike at all times
    so_far : months that each child of today has been there
    arrivals : mean children arriving, [month]
    """
    bands = np.searchsorted(BANDS, np.arange(len(arrivals) + 601), side="right")
    there = np.zeros(len(arrivals) + 601)
    for months in so_far:
        there[min(int(months), 600)] += 1.0
    found = np.zeros(len(arrivals))
    own = float(duration.share.mean())
    for month, coming in enumerate(arrivals):
        leaving = duration.share[bands]
        found[month] = float((there * leaving).sum() / there.sum()) if there.sum() > 0 else own
        stayed = there * np.maximum(1 - leaving - out, 0.0)
        there = np.concatenate([[coming], stayed[:-1]])
        there[-1] += stayed[-1]
    return found
