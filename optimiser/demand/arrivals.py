"""Children arriving a month: a level, a trend, a season and a spread, each as far as the counts bear it, with intervals.

Counts are Poisson, or negative binomial where Akaike's criterion says so. The logarithm of the mean is a level at the start
of the horizon, a trend a year, and a season where the Bayesian criterion says so. The trend is never tested away: it is
shrunk towards none by a stated prior, so that a short record says little about it and says so with a wide interval. The
level has Jeffreys' prior; with no trend and no season its posterior is exactly Gamma(children + 1/2, months). An abrupt
change of level is taken where the evidence for it is very strong (Kass and Raftery 1995: 10 in the Bayesian criterion);
what was before it is then left out.

Two questions need two priors of the trend. What may go on for years to come is drawn towards none strongly
(``TREND_PRIOR``): growth of a tenth a year is common over three years and doubles a service over seven. Where arrivals
stand today is not (``RECORDED_TREND_PRIOR``): under the strong prior nine-in-ten intervals of the level held the truth of a
council without trend in 95 of 100, and of one that had grown by a tenth a year in 73.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import optimize, special

from optimiser.instance.distributions import Distribution

Floats = NDArray[np.float64]

#: Standard deviation of the trend to come before anything is counted, share a year: nine in ten lie within 8% either way.
TREND_PRIOR = 0.05
#: The same of the trend within the records, which only says where they end: nine in ten lie within 25% a year either way.
RECORDED_TREND_PRIOR = 0.15
#: Difference in the Bayesian criterion that is very strong evidence (Kass and Raftery 1995).
VERY_STRONG = 10.0
#: Fewest months for a season: two of each.
MONTHS_FOR_SEASON = 24
#: Fewest months on either side of an abrupt change of level.
MONTHS_FOR_LEVEL = 6
#: Sizes of a negative binomial that are looked at; beyond the largest it cannot be told from Poisson.
SIZES = (0.2, 1e4)
INTERVAL = 0.9


@dataclass(frozen=True)
class Estimate:
    """A figure with its interval of ``INTERVAL``."""

    mean: float
    low: float
    high: float

    @classmethod
    def of(cls, distribution: Distribution) -> Estimate:
        """Mean and central interval of a distribution."""
        low, high = distribution.quantile(np.array([(1 - INTERVAL) / 2, (1 + INTERVAL) / 2]))
        return cls(distribution.mean, float(low), float(high))


@dataclass(frozen=True, eq=False)
class ArrivalsFit:
    """How many children arrive.

    Attributes
    ----------
    level
        Mean arrivals a month at the start of the horizon, a gamma distribution; season apart.
    growth
        Growth of the mean, share a year, a normal distribution.
    size
        Of the negative binomial; None for Poisson.
    season
        Twelve factors, January to December, of mean 1; empty for none.
    first, counts
        First month fitted (months since year 0) and the counts from there on.
    fitted : mean of each of those months
    changed
        The abrupt change of level is before ``first``, and was found in the counts.
    overdispersion
        Gain in Akaike's criterion of the negative binomial over Poisson.
    """

    level: Distribution
    growth: Distribution
    size: float | None
    season: tuple[float, ...]
    first: int
    counts: Floats
    fitted: Floats
    changed: bool
    overdispersion: float

    def scaled(self, share: float, share_deviation: float = 0.0) -> ArrivalsFit:
        """The fit of a part of the arrivals: a share, itself uncertain, of each; the size stays as it is."""
        mean, deviation = self.level.values
        spread = np.sqrt((deviation / mean) ** 2 + (share_deviation / share) ** 2)
        level = Distribution("gamma", (mean * share, mean * share * float(spread)))
        return ArrivalsFit(
            level,
            self.growth,
            self.size,
            self.season,
            self.first,
            self.counts,
            self.fitted,
            self.changed,
            self.overdispersion,
        )


@dataclass(frozen=True, eq=False)
class _Fit:
    coefficients: Floats
    covariance: Floats
    size: float | None
    log_likelihood: float
    mean: Floats


def fit_arrivals(
    counts: Sequence[float] | Floats,
    first: int,
    start: int,
    *,
    since: int | None = None,
    level_of: tuple[int, int] | None = None,
) -> ArrivalsFit:
    """Fit monthly counts.

    Parameters
    ----------
    counts : children, [month]
    first
        Month of the first count, months since year 0.
    start
        First month of the horizon: where the level is stated.
    since
        Leave out what is before; no abrupt change is then looked for.
    level_of
        First month and month after the last whose level is to hold from the start of the horizon on, whatever came after;
        the trend is then the prior alone.

    Raises
    ------
    ValueError
        Where no month is left, or fewer than ``MONTHS_FOR_LEVEL``.
    """
    given = np.asarray(counts, dtype=float)
    months = first + np.arange(len(given))
    changed = False
    if level_of is not None:
        keep = (months >= level_of[0]) & (months < level_of[1])
        months, given = months[keep], given[keep]
        start = int(months[0]) + len(months) // 2 if len(months) else start
    elif since is not None:
        months, given = months[months >= since], given[months >= since]
    if len(given) < min(MONTHS_FOR_LEVEL, len(counts)) or not len(given):
        raise ValueError("too few months are left to fit a level")
    if since is None and level_of is None:
        place = _change(given, months, start)
        changed, months, given = place > 0, months[place:], given[place:]
    best, harmonics = _best_season(given, months, start)
    poisson = _fitted(given, _design(months, start, harmonics), None)
    overdispersion = 2 * (best.log_likelihood - poisson.log_likelihood) - 2 if best.size is not None else 0.0
    recorded = _fitted(given, _design(months, start, harmonics), best.size, RECORDED_TREND_PRIOR)
    level_mean, deviation = float(np.exp(recorded.coefficients[0])), float(np.sqrt(recorded.covariance[0, 0]))
    level_mean *= _season_mean(recorded, harmonics)
    trend, trend_deviation = float(best.coefficients[1]), float(np.sqrt(best.covariance[1, 1]))
    trend, trend_deviation = float(np.expm1(trend)), float(np.exp(trend)) * trend_deviation
    if level_of is not None:
        trend, trend_deviation = 0.0, TREND_PRIOR
    return ArrivalsFit(
        level=Distribution("gamma", (level_mean, level_mean * deviation)),
        growth=Distribution("normal", (trend, trend_deviation)),
        size=best.size,
        season=_season(best, harmonics),
        first=int(months[0]),
        counts=given,
        fitted=recorded.mean,
        changed=changed,
        overdispersion=overdispersion,
    )


# what varies with the month


def _design(months: NDArray[np.int64], start: int, harmonics: int) -> Floats:
    """Level, trend in years from the start of the horizon, and pairs of harmonics, [month, column]."""
    columns = [np.ones(len(months)), (months - start) / 12]
    angle = 2 * np.pi * (months % 12) / 12
    for number in range(1, harmonics + 1):
        columns += [np.cos(number * angle), np.sin(number * angle)]
    return np.array(columns).T


def _best_season(counts: Floats, months: NDArray[np.int64], start: int) -> tuple[_Fit, int]:
    """None, one or two harmonics, by the Bayesian criterion; Poisson or negative binomial for each by Akaike's."""
    most = 2 if len(counts) >= MONTHS_FOR_SEASON else 0
    fits = [_family(counts, _design(months, start, harmonics)) for harmonics in range(most + 1)]
    scores = [2 * fit.log_likelihood - 2 * place * np.log(len(counts)) for place, fit in enumerate(fits)]
    chosen = int(np.argmax(scores))
    return fits[chosen], chosen


def _seasonal(fit: _Fit, harmonics: int) -> Floats:
    months = np.arange(12)
    terms = _design(months, 0, harmonics)[:, 2:]
    factors: Floats = np.exp(terms @ fit.coefficients[2:])
    return factors


def _season(fit: _Fit, harmonics: int) -> tuple[float, ...]:
    factors = _seasonal(fit, harmonics)
    return tuple(float(factor) for factor in np.round(factors / factors.mean(), 4)) if harmonics else ()


def _season_mean(fit: _Fit, harmonics: int) -> float:
    """What the level is multiplied by so that the factors have the mean 1."""
    return float(_seasonal(fit, harmonics).mean())


def _change(counts: Floats, months: NDArray[np.int64], start: int) -> int:
    """Place of the last abrupt change of level, 0 for none.

    Changes are found one at a time: the best place to cut is taken where two levels beat one with a trend by very strong
    evidence, and the part after it is looked at again.
    """
    begin = 0
    while True:
        part, of_part = counts[begin:], months[begin:]
        if len(part) < 2 * MONTHS_FOR_LEVEL:
            return begin
        before = np.arange(MONTHS_FOR_LEVEL, len(part) - MONTHS_FOR_LEVEL + 1)
        children = np.cumsum(part)[before - 1]
        after = part.sum() - children
        # where two Poisson levels fit best
        gain = special.xlogy(children, children / before) + special.xlogy(after, after / (len(part) - before))
        place = int(before[np.argmax(gain)])
        design = _design(of_part, start, 0)
        whole = _family(part, design)
        cut = np.hstack([design, (np.arange(len(part)) < place)[:, None]])
        # a further level, and the freedom to choose where
        evidence = 2 * (_family(part, cut).log_likelihood - whole.log_likelihood) - 2 * np.log(len(part))
        if evidence < VERY_STRONG:
            return begin
        begin += place


# likelihoods


def _family(counts: Floats, design: Floats) -> _Fit:
    """Poisson, or negative binomial where Akaike's criterion prefers it."""
    poisson = _fitted(counts, design, None)

    def worse(log_size: float) -> float:
        size = float(np.exp(log_size))
        return -_log_likelihood(counts, _scored(counts, design, size), size)

    found = optimize.minimize_scalar(worse, bounds=np.log(SIZES), method="bounded", options={"xatol": 0.01})
    size = float(np.exp(found.x))
    negative_binomial = _fitted(counts, design, size)
    gain = 2 * (negative_binomial.log_likelihood - poisson.log_likelihood) - 2
    return negative_binomial if gain > 0 and size < SIZES[1] / 10 else poisson


def _log_likelihood(counts: Floats, mean: Floats, size: float | None) -> float:
    if size is None:
        return float(np.sum(special.xlogy(counts, mean) - mean - special.gammaln(counts + 1)))
    terms = special.gammaln(counts + size) - special.gammaln(size) - special.gammaln(counts + 1)
    terms += size * np.log(size / (size + mean)) + special.xlogy(counts, mean / (size + mean))
    return float(np.sum(terms))


def _scored(counts: Floats, design: Floats, size: float | None) -> Floats:
    """Mean of each month where the likelihood and the priors of level and trend are largest."""
    mean: Floats = np.exp(design @ _largest(counts, design, size, TREND_PRIOR)[0])
    return mean


def _fitted(counts: Floats, design: Floats, size: float | None, trend_prior: float | None = None) -> _Fit:
    """Fit of one family; ``TREND_PRIOR`` where no other prior of the trend is given."""
    coefficients, information = _largest(counts, design, size, TREND_PRIOR if trend_prior is None else trend_prior)
    mean = np.exp(design @ coefficients)
    covariance: Floats = np.asarray(np.linalg.inv(information), dtype=float)
    return _Fit(coefficients, covariance, size, _log_likelihood(counts, mean, size), mean)


def _largest(counts: Floats, design: Floats, size: float | None, trend_prior: float) -> tuple[Floats, Floats]:
    """Coefficients by Newton's method from the scores, and the information there, priors included."""
    columns = design.shape[1]
    prior = np.zeros((columns, columns))
    prior[1, 1] = trend_prior**-2
    # Jeffreys: half a child for the level
    half = np.zeros(columns)
    half[0] = 0.5
    prior[2:, 2:] = np.eye(columns - 2) * 1e-4
    found = np.zeros(columns)
    found[0] = np.log((counts.sum() + 0.5) / len(counts))
    inverse_size = 0.0 if size is None else 1 / size
    information = prior
    for _ in range(100):
        mean = np.exp(np.clip(design @ found, -30, 30))
        spread = 1 + mean * inverse_size
        score = design.T @ ((counts - mean) / spread) + half - prior @ found
        information = (design * (mean / spread)[:, None]).T @ design + prior
        step = np.linalg.solve(information, score)
        found = found + np.clip(step, -2, 2)
        if np.abs(step).max() < 1e-9:
            break
    return found, information
