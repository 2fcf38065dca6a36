"""The page that an analyst reads before believing a model of demand, as one document without a count that gives a child away.

Counts of children observed fewer than ``PUBLISHABLE`` times are not in it, nor what they could be subtracted from: arrivals are
shown by the shortest stretch of time in which each count may be shown, survival at the times between which enough have
left, and what was seen too seldom is no figure.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from optimiser.demand.arrivals import INTERVAL, ArrivalsFit, Estimate
from optimiser.demand.backtest import QUANTILES, BackTest, CohortTest, totals
from optimiser.demand.cohorts import described
from optimiser.demand.counted import CountedFit
from optimiser.demand.fitting import CohortFit, Demand
from optimiser.demand.ssda903 import PUBLISHABLE, Returns, daily_stock, suppressed, suppressed_parts
from optimiser.demand.stays import BANDS, Rate
from optimiser.finance import month_name

Floats = NDArray[np.float64]
Row = dict[str, Any]

#: Stretches of months by which arrivals may be shown.
STRETCHES = {1: "month", 3: "quarter", 6: "half-year", 12: "year"}


def diagnostics(returns: Returns, demand: Demand, tested: BackTest | None) -> Row:
    """Document of a model of demand fitted to returns."""
    account = returns.reconciliation
    wanted = demand.wanted
    outside = suppressed_parts({"planned": demand.placements - demand.outside, "outside": demand.outside})
    return {
        "records": {
            "years": demand.years,
            "episodes": suppressed(account.episodes_read),
            "placements": suppressed(demand.placements),
            "placements_in_cohorts": outside["planned"],
            "placements_outside": outside["outside"],
            "children_without_age": suppressed(account.children_without_age),
            "children_without_episodes": suppressed(account.children_without_episodes),
            "children_with_two_births": suppressed(account.children_with_two_births),
        },
        "asked": {
            "first_month": month_name(demand.start),
            "since": None if wanted.since is None else month_name(wanted.since),
            "level": wanted.level_words or None,
            "growth_per_year": wanted.growth,
            "interval": INTERVAL,
        },
        "reconciliation": account.published(),
        "children_by_kind": _by_kind(returns),
        "cohorts": [_cohort(demand, fit) for fit in demand.cohorts],
        "sources": [row for fit in demand.cohorts for row in _sources(fit)],
        "steps": [
            {"origin": step.origin, "destination": step.destination, **_rate(step.rate, "share_per_month")}
            for step in demand.steps
        ],
        "arrivals": [
            row for fit in demand.cohorts for row in arrivals_rows(fit.name, fit.arrivals, fit.counted, demand.first)
        ],
        "survival": [row for fit in demand.cohorts for row in _survival(demand, fit)],
        "stock": [row for fit in demand.cohorts for row in _stock(fit, demand.first)],
        "back_test": [] if tested is None else [_tested(test) for test in tested.cohorts],
        "back_test_all": None if tested is None else totals(tested.cohorts),
        "back_test_months": [] if tested is None else [row for test in tested.cohorts for row in _months(tested, test)],
        "notes": list(demand.notes),
    }


def _by_kind(returns: Returns) -> list[Row]:
    """Children in beds on the last night of each return, by kind of placement: the published counts of 31 March."""
    nights = daily_stock(returns)
    ends = nights[(nights.index.month == 3) & (nights.index.day == 31)]
    return [
        {"night": f"{night:%Y-%m-%d}", "category": name, "children": shown}
        for night, row in ends.iterrows()
        for name, shown in suppressed_parts({str(kind): int(count) for kind, count in row.items()}).items()
    ]


def counted_diagnostics(fits: Sequence[CountedFit], first_month: str, growth: float | None, level: str) -> Row:
    """Document of arrivals fitted to published tables, whose counts are published already."""
    return {
        "records": None,
        "asked": {"first_month": first_month, "level": level or None, "growth_per_year": growth, "interval": INTERVAL},
        "cohorts": [
            {
                "cohort": one.name,
                "document": one.table.document,
                "place": one.table.place,
                "share": str(one.rule.share),
                "counted": one.used,
                **_arrivals(one.fit),
            }
            for one in fits
        ],
        "arrivals": [
            {
                "cohort": one.name,
                "from_month": month_name(one.fit.first + place),
                "months": 1,
                "observed": str(int(count)),
                "fitted": round(float(fitted), 2),
            }
            for one in fits
            for place, (count, fitted) in enumerate(zip(one.fit.counts, one.fit.fitted, strict=True))
        ],
    }


def _estimate(estimate: Estimate, name: str) -> Row:
    return {
        name: float(f"{estimate.mean:.4g}"),
        f"{name}_low": float(f"{estimate.low:.4g}"),
        f"{name}_high": float(f"{estimate.high:.4g}"),
    }


def _rate(rate: Rate, name: str) -> Row:
    """A rate with what was seen; no figure where that was too seldom."""
    shown = _estimate(rate.estimate, name)
    if rate.times < PUBLISHABLE:
        shown = dict.fromkeys(shown, None)
    return {"seen": suppressed(rate.times), **shown}


def _arrivals(fit: ArrivalsFit) -> Row:
    return {
        **_estimate(Estimate.of(fit.level), "arrivals_per_month"),
        **_estimate(Estimate.of(fit.growth), "growth_per_year"),
        "family": "Poisson" if fit.size is None else "negative binomial",
        "dispersion": None if fit.size is None else float(f"{fit.size:.3g}"),
        "season": list(fit.season),
        "fitted_from": month_name(fit.first),
        "level_changed": fit.changed,
    }


def _cohort(demand: Demand, fit: CohortFit) -> Row:
    return {
        "cohort": fit.name,
        "title": fit.rule.title or fit.name,
        "rule": described(fit.rule),
        "arrived": suppressed(int(fit.counted.sum())),
        **_arrivals(fit.arrivals),
        "left": suppressed(fit.leaving.times),
        **_estimate(fit.leaving.stay_estimate, "mean_stay_months"),
        "years_differ": fit.leaving.spread > 1,
        "leaving_depends_on_time_so_far": fit.duration.differs,
        "moves": _rate(fit.moving, "moves_per_month"),
        "today": suppressed(fit.today),
    }


def _sources(fit: CohortFit) -> list[Row]:
    today = suppressed_parts({one.source: one.today for one in fit.sources})
    seen = suppressed_parts({one.source: one.leaving.times for one in fit.sources})
    moved = suppressed_parts({one.source: one.moving.times for one in fit.sources})
    found = []
    for one in fit.sources:
        stay: Row = dict.fromkeys(("mean_stay_months", "mean_stay_months_low", "mean_stay_months_high"))
        moves: Row = dict.fromkeys(("moves_per_month", "moves_per_month_low", "moves_per_month_high"))
        if seen[one.source] == f"{one.leaving.times:,}" and one.leaving.times:
            stay = _estimate(one.leaving.stay_estimate, "mean_stay_months")
        if moved[one.source] == f"{one.moving.times:,}" and one.moving.times:
            moves = _estimate(one.moving.estimate, "moves_per_month")
        found.append(
            {
                "cohort": fit.name,
                "source": one.source,
                "today": today[one.source],
                "left": seen[one.source],
                **stay,
                "leaves_differently": one.leaves_differently,
                "moved": moved[one.source],
                **moves,
                "moves_differently": one.moves_differently,
            }
        )
    return found


def stretch_of(counts: NDArray[np.int64]) -> int:
    """Shortest stretch of months in which no count lies between 1 and ``PUBLISHABLE`` less one; a year where there is none."""
    for months in STRETCHES:
        sums = counts[: len(counts) // months * months].reshape(-1, months).sum(axis=1)
        if len(sums) and not ((sums > 0) & (sums < PUBLISHABLE)).any():
            return months
    return max(STRETCHES)


def arrivals_rows(name: str, fit: ArrivalsFit, counted: NDArray[np.int64], first: int) -> list[Row]:
    """Arrivals observed and fitted, by stretches of months in which each count may be shown."""
    months = stretch_of(counted)
    starts = range(0, len(counted) // months * months, months)
    shown = suppressed_parts({str(place): int(counted[place : place + months].sum()) for place in starts})
    found = []
    for place in starts:
        offset = first + place - fit.first
        fitted = fit.fitted[offset : offset + months] if offset >= 0 else fit.fitted[:0]
        found.append(
            {
                "cohort": name,
                "from_month": month_name(first + place),
                "months": months,
                "observed": shown[str(place)],
                "fitted": round(float(fitted.sum()), 2) if len(fitted) == months else None,
            }
        )
    return found


def _survival(demand: Demand, fit: CohortFit) -> list[Row]:
    """Share still there, observed at times between which enough have left, and fitted."""
    found: list[Row] = [{"cohort": fit.name, "months": 0.0, "observed": 1.0, "fitted": 1.0}]
    gone, out = 0, demand.stepping(fit.name)
    whole = fit.leaving.distribution.mean
    for months, share, at_risk, exits in zip(
        fit.survival.months, fit.survival.share, fit.survival.at_risk, fit.survival.exits, strict=True
    ):
        gone += int(exits)
        # every step of the curve would be a child
        if gone < PUBLISHABLE or at_risk - exits < PUBLISHABLE or months - found[-1]["months"] < 1:
            continue
        gone = 0
        edges = np.array([0.0, *BANDS, np.inf])
        inside = np.clip(np.minimum(months, edges[1:]) - edges[:-1], 0, None)
        rates = fit.duration.share if fit.duration.differs else np.full(len(edges) - 1, whole)
        fitted = float(np.exp(-((rates + out) * inside).sum()))
        found.append(
            {
                "cohort": fit.name,
                "months": round(float(months), 1),
                "observed": round(float(share), 3),
                "fitted": round(fitted, 3),
            }
        )
    return found


def _stock(fit: CohortFit, first: int) -> list[Row]:
    return [
        {"cohort": fit.name, "month": month_name(first + place), "children": suppressed(int(children))}
        for place, children in enumerate(fit.stock)
    ]


def _tested(test: CohortTest) -> Row:
    last = len(QUANTILES) - 1
    return {
        "cohort": test.name,
        "covered_90": test.covered(0, last),
        "covered_50": test.covered(1, last - 1),
        "loss": round(test.loss(test.quantiles), 3),
        "loss_last_value": round(test.loss(test.last_value), 3),
        "loss_mean_rates": round(test.loss(test.mean_rates), 3),
    }


def _months(tested: BackTest, test: CohortTest) -> list[Row]:
    return [
        {
            "cohort": test.name,
            "month": month_name(tested.first + place),
            "observed": suppressed(int(test.observed[place])),
            "low": float(test.quantiles[0, place]),
            "median": float(test.quantiles[len(QUANTILES) // 2, place]),
            "high": float(test.quantiles[-1, place]),
            "last_value": None if test.last_value[place] < PUBLISHABLE else float(test.last_value[place]),
            "mean_rates": round(float(test.mean_rates[place]), 2),
        }
        for place in range(tested.months)
    ]
