"""A forecast of the last year by what was known before it, set against what happened and against naive forecasts.

The forecast goes the way that a plan's futures go: the model of demand as rows of an instance, futures drawn from it, children
counted. Naive are: the last month's children for ever; and mean daily rates of arriving, leaving and stepping across, all
years alike and without uncertainty, as the sector's tools forecast today.

A forecast by quantiles is scored by its pinball loss, the mean over quantiles and months, in children: the smaller the
better. A naive forecast has one value, which is all of its quantiles.

Children are whole, so that a band of nine in ten from one whole number to another holds more than nine in ten: a forecast of
5, 6 or 7, each as likely, has no band of half. A month counts as within a band by that part of the probability of what was
observed which the band needs to hold its nominal share (Czado, Gneiting and Held 2009, Biometrics 65: the non-randomised
probability integral transform). A forecast that is right covers at the nominal rate then, however few the children.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from optimiser.demand.cohorts import Rules
from optimiser.demand.fitting import Demand, Wanted, fit_demand, held_back
from optimiser.demand.rows import cohort_cells, leaving_cells, step_cells
from optimiser.demand.scenarios import make_scenarios
from optimiser.demand.ssda903 import Returns
from optimiser.errors import InstanceError
from optimiser.finance import month_name
from optimiser.instance.schema import Authority, Cohort, Instance, Layer, Leaving, Placement, Settings, Spot, Step

Floats = NDArray[np.float64]

QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)
FUTURES = 400


@dataclass(frozen=True, eq=False)
class CohortTest:
    """One cohort in the year held back.

    ``observed``: children at the end of each month; ``quantiles``: of the forecast, [quantile, month]; ``below`` and
    ``up_to``: share of its futures with fewer children than observed, and with no more; ``last_value`` and ``mean_rates``: the
    naive forecasts, [month].
    """

    name: str
    observed: Floats
    quantiles: Floats
    below: Floats
    up_to: Floats
    last_value: Floats
    mean_rates: Floats

    def covered(self, low: int, high: int) -> float:
        """Share of months whose children lie between two of the quantiles, by their places in ``QUANTILES``."""
        inside = np.minimum(self.up_to, QUANTILES[high]) - np.maximum(self.below, QUANTILES[low])
        return float((np.maximum(inside, 0.0) / (self.up_to - self.below)).mean())

    def loss(self, forecast: Floats) -> float:
        """Pinball loss of a forecast, by quantile or of one value, children."""
        return pinball(self.observed, np.broadcast_to(forecast, self.quantiles.shape))


@dataclass(frozen=True, eq=False)
class BackTest:
    """The year held back, by cohort; ``first`` is its first month, months since year 0."""

    first: int
    months: int
    cohorts: tuple[CohortTest, ...]


def pinball(observed: Floats, quantiles: Floats) -> float:
    """Mean pinball loss of forecasts at ``QUANTILES``, [quantile, month]."""
    level = np.array(QUANTILES)[:, None]
    off = observed - quantiles
    return float(np.maximum(level * off, (level - 1) * off).mean())


def back_test(returns: Returns, rules: Rules, whole: Demand, wanted: Wanted) -> BackTest | None:
    """Fit all but the last year, and forecast it; None where less than a year would be left, or too few children.

    Parameters
    ----------
    whole
        The model fitted to all years, whose cohorts are forecast and whose counts are what happened.
    """
    earlier, months = held_back(returns)
    if whole.months < 2 * months:
        return None
    own = rules.model_copy(update={"cohort": tuple(fit.rule for fit in whole.cohorts)})
    since = wanted.since if wanted.since is None or wanted.since < whole.end - 2 * months else None
    try:
        model = fit_demand(earlier, own, Wanted(since=since))
    except InstanceError:
        return None
    paths = stock_paths(model, months, FUTURES, 1)
    naive = mean_rate_path(model, months)
    tests = []
    for place, (before, after) in enumerate(zip(model.cohorts, whole.cohorts, strict=True)):
        observed = after.stock[-months:].astype(float)
        # what was observed is one more draw, so that none is impossible
        fewer, alike = ((paths[:, place] < observed).sum(axis=0), (paths[:, place] == observed).sum(axis=0))
        tests.append(
            CohortTest(
                name=before.name,
                observed=observed,
                quantiles=np.quantile(paths[:, place], QUANTILES, axis=0),
                below=fewer / (FUTURES + 1),
                up_to=(fewer + alike + 1) / (FUTURES + 1),
                last_value=np.full(months, float(before.today)),
                mean_rates=naive[place],
            )
        )
    return BackTest(whole.end - months, months, tuple(tests))


def forecast_instance(demand: Demand, months: int) -> Instance:
    """The model of demand as an instance with one source, for its futures alone."""
    month = month_name(demand.start)
    settings = Settings(
        name="forecast",
        title="Forecast",
        question="How many children?",
        as_at=month,
        first_month=month,
        periods=f"{months}x1",
        decision_date=month,
        price_base=month[:4],
        inflation_per_year=0.0,
        discount_rate=0.0,
        scenarios=1,
        unregistered_gbp_per_week=0,  # type: ignore[arg-type]
        demand_correlation=0.0,  # estimates of each cohort, and no common cause
    )
    return Instance(
        settings=settings,
        authorities=(Authority(authority="council", title="Council"),),
        cohorts=tuple(Cohort.model_validate(cohort_cells(fit, "council")) for fit in demand.cohorts),
        steps=tuple(Step.model_validate(cells) for cells in step_cells(demand)),
        leaving=tuple(Leaving.model_validate(cells) for cells in leaving_cells(demand, months)),
        spots=(Spot(spot="any", title="Any"),),
        layers=(Layer(spot="any", gbp_per_week=0),),  # type: ignore[arg-type]
        placements=tuple(
            Placement(cohort=fit.name, source="any", children_at_start=fit.today) for fit in demand.cohorts
        ),
    )


def stock_paths(demand: Demand, months: int, futures: int, seed: int) -> Floats:
    """Children by future, cohort and month, on futures drawn as a plan's are, [scenario, cohort, month]."""
    instance = forecast_instance(demand, months)
    drawn = make_scenarios(instance, futures, seed)
    position = {fit.name: place for place, fit in enumerate(demand.cohorts)}
    there = np.repeat(np.array([[fit.today for fit in demand.cohorts]], dtype=float), futures, axis=0)
    found = np.zeros((futures, len(demand.cohorts), months))
    for month in range(months):
        after = drawn.stay[:, :, 0, month] * there + drawn.arrivals[:, :, month]
        for number, step in enumerate(demand.steps):
            after[:, position[step.destination]] += drawn.step[:, number, 0, month] * there[:, position[step.origin]]
        there = after
        found[:, :, month] = there
    return np.round(found)  # shares of whole children, times their number


def mean_rate_path(demand: Demand, months: int) -> Floats:
    """Children by cohort and month at mean rates of all years alike, without uncertainty, [cohort, month]."""
    position = {fit.name: place for place, fit in enumerate(demand.cohorts)}
    there = np.array([fit.today for fit in demand.cohorts], dtype=float)
    coming = np.array([fit.counted.mean() for fit in demand.cohorts])
    leaving = np.array([fit.leaving.times / fit.leaving.months for fit in demand.cohorts])
    found = np.zeros((len(there), months))
    for month in range(months):
        after = there * (1 - leaving) + coming
        for step in demand.steps:
            crossing = there[position[step.origin]] * step.rate.times / step.rate.months
            after[position[step.origin]] -= crossing
            after[position[step.destination]] += crossing
        there = after
        found[:, month] = there
    return found


def totals(tests: Sequence[CohortTest]) -> dict[str, float]:
    """Coverage and losses over all cohorts, each month of each counting alike."""
    last = len(QUANTILES) - 1
    return {
        "covered_90": float(np.mean([test.covered(0, last) for test in tests])),
        "covered_50": float(np.mean([test.covered(1, last - 1) for test in tests])),
        "loss": float(np.mean([test.loss(test.quantiles) for test in tests])),
        "loss_last_value": float(np.mean([test.loss(test.last_value) for test in tests])),
        "loss_mean_rates": float(np.mean([test.loss(test.mean_rates) for test in tests])),
    }
