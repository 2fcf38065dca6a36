"""Futures: arrivals, realised stays, breakdowns, prices and delays, drawn from an instance's distributions or read from its table.

Every input draws from a stream of its own, named after it, so that two instances that differ in one input are compared
on the same futures, and the first hundred of a thousand futures are the hundred that a smaller run draws.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields
from hashlib import blake2b

import numpy as np
from numpy.typing import NDArray
from scipy import special

from optimiser.finance import Calendar, month_number
from optimiser.instance.distributions import Distribution
from optimiser.instance.schema import Cohort, Instance

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]

UNREGISTERED = "unregistered"
NEVER = 10**6  # months: a failure that does not happen


@dataclass(frozen=True, eq=False)
class ScenarioSet:
    """Futures as drawn, in the instance's own terms. Months count from the start of the horizon."""

    names: tuple[str, ...]
    probability: Floats  # [scenario]
    arrivals: Floats  # children, [scenario, cohort, period]
    stay: Floats  # share who stay in care in the cohort, [scenario, cohort, source, period]
    step: Floats  # share who step across, [scenario, step, source, period]
    breakdown: Floats  # share of placements that break down, [scenario, cohort, source, period]
    lead_months: Floats  # start to asking for registration, falls-through included, [scenario, home, period begun]
    registration_months: Floats  # asking to opening, [scenario, home, period begun]
    fallen_through: Floats  # purchases that fall through, [scenario, home, period begun]
    capital_bid: Floats  # multiple of the planning price, [scenario, home]
    delivery_months: Floats  # award to first delivery, [scenario, lot, period awarded]
    lot_bid: Floats  # multiple of the estimated price, [scenario, lot]
    indexation: Floats  # share a year, [scenario, lot]
    lot_failure: Floats  # month of failure, [scenario, lot]
    supply_failure: Floats  # month of failure, [scenario, supply]
    price_factor: Floats  # multiple of the price at the start, [scenario, spot, period]
    layer_price: Floats  # £ a week at the start, [scenario, spot, layer]
    availability: Floats  # share of limited layers on offer, [scenario, spot]
    unregistered_price: Floats  # £ a week, [scenario, period]


def taken(futures: ScenarioSet, which: Ints, probability: Floats | None = None) -> ScenarioSet:
    """Some of the futures, each as likely as the next where no ``probability`` [taken] says otherwise."""
    arrays = {
        field.name: getattr(futures, field.name)[which]
        for field in fields(ScenarioSet)
        if field.name not in ("names", "probability")
    }
    if probability is None:
        probability = np.full(len(which), 1 / max(len(which), 1))
    return ScenarioSet(names=tuple(futures.names[number] for number in which), probability=probability, **arrays)


def joined(one: ScenarioSet, other: ScenarioSet) -> ScenarioSet:
    """The futures of two sets of the same instance one after the other, each set half as likely as it was."""
    arrays = {
        field.name: np.concatenate([getattr(one, field.name), getattr(other, field.name)])
        for field in fields(ScenarioSet)
        if field.name not in ("names", "probability")
    }
    probability = np.concatenate([one.probability, other.probability]) / 2
    return ScenarioSet(names=(*one.names, *other.names), probability=probability, **arrays)


class Draws:
    """Uniform draws by name: the same name and seed give the same draws, and more futures only add to them.

    Every second future mirrors the one before it (antithetic draws): means settle sooner, each future stays as likely.
    """

    def __init__(self, seed: int, futures: int, *, median: bool = False) -> None:
        self.seed, self.futures, self.median = seed, futures, median

    def uniform(self, name: str, *shape: int) -> Floats:
        """Draws between 0 and 1, [scenario, *shape]; 0.5 throughout for the median future."""
        if self.median:
            return np.full((self.futures, *shape), 0.5)
        key = int.from_bytes(blake2b(f"{self.seed}|{name}".encode(), digest_size=16).digest(), "big")
        pairs = np.random.Generator(np.random.Philox(key=key)).random(((self.futures + 1) // 2, *shape))
        draws = np.stack([pairs, 1 - pairs], axis=1).reshape(-1, *shape)[: self.futures]
        return np.clip(draws, 1e-12, 1 - 1e-12)

    def normal(self, name: str, *shape: int) -> Floats:
        """Standard normal draws, [scenario, *shape]."""
        result: Floats = special.ndtri(self.uniform(name, *shape))
        return result


def calendar_of(instance: Instance) -> Calendar:
    """The horizon of an instance."""
    settings = instance.settings
    return Calendar.read(settings.first_month, settings.periods, settings.weeks_per_year)


def source_names(instance: Instance) -> tuple[str, ...]:
    """All sources in the order of ``Problem``: homes, lots, existing supply, spot markets, no registered home found."""
    return (
        *(row.home for row in instance.homes),
        *(row.lot for row in instance.lots),
        *(row.supply for row in instance.existing),
        *(row.spot for row in instance.spots),
        UNREGISTERED,
    )


def make_scenarios(instance: Instance, futures: int | None = None, seed: int | None = None) -> ScenarioSet:
    """Futures of an instance: its table where it has one, draws with a seed otherwise.

    Parameters
    ----------
    futures, seed
        How many to draw and from which seed; the instance's own where left out. A table is always taken whole.
    """
    if instance.scenarios:
        names = tuple(dict.fromkeys(row.scenario for row in instance.scenarios))
        return _with_table(_make(instance, Draws(0, len(names), median=True), names), instance)
    count = instance.settings.scenarios if futures is None else futures
    draws = Draws(instance.settings.seed if seed is None else seed, count)
    width = len(str(count))
    return _make(instance, draws, tuple(f"future-{number:0{width}d}" for number in range(1, count + 1)))


def average_scenario(instance: Instance) -> ScenarioSet:
    """One future in which every uncertain figure takes its median, and children arrive and leave at their mean."""
    return _make(instance, Draws(0, 1, median=True), ("average",))


def _make(instance: Instance, draws: Draws, names: tuple[str, ...]) -> ScenarioSet:
    calendar = calendar_of(instance)
    demand_factor = draws.normal("demand growth")
    price_factor = _correlated(demand_factor, draws.normal("price growth"), instance.settings.demand_price_correlation)
    arrivals, stay, step, breakdown = _children(instance, calendar, draws, demand_factor)
    growth = special.ndtr(price_factor)
    years = (calendar.start + calendar.length / 2) / 12
    spot_growth = np.array([row.growth_per_year.quantile(growth) for row in instance.spots]).reshape(-1, len(names)).T
    unregistered_growth = instance.settings.unregistered_growth_per_year.quantile(growth)
    unregistered = instance.settings.unregistered_gbp_per_week.quantile(draws.uniform("unregistered price"))
    lead, registration, fallen = _home_delays(instance, calendar, draws)
    return ScenarioSet(
        names=names,
        probability=np.full(len(names), 1 / len(names)),
        arrivals=arrivals,
        stay=stay,
        step=step,
        breakdown=breakdown,
        lead_months=lead,
        registration_months=registration,
        fallen_through=fallen,
        capital_bid=_each(draws, "capital bid", [(row.home, row.capital_bid_factor) for row in instance.homes]),
        delivery_months=_delivery(instance, calendar, draws),
        lot_bid=_each(draws, "bid", [(row.alternatives or row.lot, row.bid_factor) for row in instance.lots]),
        indexation=_each(draws, "indexation", [(row.lot, row.indexation_per_year) for row in instance.lots]),
        lot_failure=_failures(draws, [(row.lot, row.failure_per_year) for row in instance.lots]),
        supply_failure=_failures(draws, [(row.supply, row.failure_per_year) for row in instance.existing]),
        price_factor=(1 + spot_growth[:, :, None]) ** years,
        layer_price=_layer_prices(instance, draws),
        availability=_each(draws, "availability", [(row.spot, row.availability) for row in instance.spots]),
        unregistered_price=unregistered[:, None] * (1 + unregistered_growth[:, None]) ** years,
    )


def _correlated(factor: Floats, own: Floats, correlation: float) -> Floats:
    result: Floats = correlation * factor + np.sqrt(1 - correlation**2) * own
    return result


def _each(draws: Draws, what: str, figures: list[tuple[str, Distribution]]) -> Floats:
    """One draw per item and future, [scenario, item]."""
    columns = [figure.quantile(draws.uniform(f"{what} {name}")) for name, figure in figures]
    return np.array(columns, dtype=float).reshape(len(figures), draws.futures).T


def _failures(draws: Draws, rates: list[tuple[str, float]]) -> Floats:
    """Month in which a provider fails, at a constant rate a month, [scenario, item]."""
    result = np.full((draws.futures, len(rates)), float(NEVER))
    for position, (name, per_year) in enumerate(rates):
        if per_year >= 1:
            result[:, position] = 0.0
        elif per_year > 0 and not draws.median:
            monthly = -np.log1p(-per_year) / 12
            result[:, position] = np.floor(-np.log1p(-draws.uniform(f"failure {name}")) / monthly)
    return result


def _layer_prices(instance: Instance, draws: Draws) -> Floats:
    """Price of each layer at the start, £ a week, [scenario, spot, layer]; all layers of a market move together.

    Markets with fewer layers than others are filled up with their last price.
    """
    most = max((sum(layer.spot == row.spot for layer in instance.layers) for row in instance.spots), default=0)
    prices = np.zeros((draws.futures, len(instance.spots), most))
    for position, row in enumerate(instance.spots):
        uniform = draws.uniform(f"price {row.spot}")
        own = [layer.gbp_per_week.quantile(uniform) for layer in instance.layers if layer.spot == row.spot]
        for layer in range(most):
            prices[:, position, layer] = own[min(layer, len(own) - 1)]
    return np.maximum.accumulate(prices, axis=2)


# homes and lots: when things are ready


def _home_delays(instance: Instance, calendar: Calendar, draws: Draws) -> tuple[Floats, Floats, Floats]:
    """Months of lead and of registration, and purchases that fall through, each [scenario, home, period begun].

    Delays of one future share a common part: the inspectorate is as slow for one home as for the next.
    """
    shape = draws.futures, len(instance.homes), len(calendar.length)
    lead, registration, fallen = np.zeros(shape), np.zeros(shape), np.zeros(shape)
    shared = instance.settings.delay_correlation
    for position, row in enumerate(instance.homes):
        for delay, what, array in (
            (row.lead_months, "lead", lead),
            (row.registration_delay_months, "registration", registration),
        ):
            common = draws.normal(f"{what} of all homes")[:, None]
            own = draws.normal(f"{what} {row.home}", shape[2])
            uniform = special.ndtr(np.sqrt(shared) * common + np.sqrt(1 - shared) * own)
            array[:, position] = delay.quantile(uniform)
        if row.fall_through_probability > 0 and not draws.median:
            uniform = draws.uniform(f"fall through {row.home}", shape[2])
            fallen[:, position] = np.floor(np.log1p(-uniform) / np.log(row.fall_through_probability))
        lead[:, position] *= 1 + row.lead_bias()
        lead[:, position] += fallen[:, position] * row.fall_through_months
    return _whole_months(lead), _whole_months(registration), fallen


def _delivery(instance: Instance, calendar: Calendar, draws: Draws) -> Floats:
    """Months from award to first delivery, [scenario, lot, period awarded]."""
    months = np.zeros((draws.futures, len(instance.lots), len(calendar.length)))
    for position, row in enumerate(instance.lots):
        # alternatives draw alike, so that they are compared on the same bids and delays
        name = row.alternatives or row.lot
        months[:, position] = row.lead_months.quantile(draws.uniform(f"lot lead {name}"))[:, None]
        months[:, position] += row.mobilisation_delay_months.quantile(draws.uniform(f"mobilisation {name}"))[:, None]
    return _whole_months(months)


def _whole_months(months: Floats) -> Floats:
    """Begun months count whole; what comes before zero is at once."""
    return np.maximum(np.ceil(months - 1e-9), 0.0)


# children


def _children(
    instance: Instance, calendar: Calendar, draws: Draws, demand_factor: Floats
) -> tuple[Floats, Floats, Floats, Floats]:
    """Arrivals [scenario, cohort, period], and realised stays and breakdowns [.., cohort, source, ..] and steps [.., step, ..]."""
    shape = draws.futures, len(instance.cohorts), len(calendar.length)
    position = {row.cohort: place for place, row in enumerate(instance.cohorts)}
    leave, step_share, breakdown_share = _mean_shares(instance, draws)
    arrivals = np.zeros(shape)
    for place, cohort in enumerate(instance.cohorts):
        if not any(row.cohort == cohort.cohort for row in instance.census):
            shared = instance.settings.demand_correlation
            own = draws.normal(f"demand growth {cohort.cohort}")
            rank = special.ndtr(np.sqrt(shared) * demand_factor + np.sqrt(1 - shared) * own)
            mean = _mean_arrivals(instance, cohort, calendar, rank)
            arrivals[:, place] = _arrivals(cohort, mean, calendar, draws)
    steps = [(position[row.origin], position[row.destination]) for row in instance.steps]
    nominal = _realised(instance, calendar, draws, arrivals, leave[:, :, -1], steps, step_share.T)
    stay, step = stays_by_source(instance, leave, nominal.leaving, nominal.stepping)
    breakdown = _breakdowns(instance, calendar, draws, breakdown_share, nominal)
    _follow_census(instance, calendar, draws, arrivals, stay)
    return arrivals, stay, step, breakdown


def mean_shares(instance: Instance, futures: int, seed: int | None = None) -> tuple[Floats, Floats, Floats]:
    """Mean shares a month behind the realised ones of ``make_scenarios`` with the same number of futures and seed.

    Returns
    -------
    leave : share who leave care, [scenario, cohort, source]; the last source is the cohort's own share
    step : share who step across, [scenario, step]
    breakdown : share of placements that break down, [scenario, cohort, source]
    """
    return _mean_shares(instance, Draws(instance.settings.seed if seed is None else seed, futures))


def _mean_shares(instance: Instance, draws: Draws) -> tuple[Floats, Floats, Floats]:
    sources = source_names(instance)
    leave = np.zeros((draws.futures, len(instance.cohorts), len(sources)))
    for place, cohort in enumerate(instance.cohorts):
        leave[:, place] = _leave_share(instance, cohort, sources, draws)
    step = np.array(
        [row.share_per_month.quantile(draws.uniform(f"step {row.origin} {row.destination}")) for row in instance.steps]
    ).reshape(len(instance.steps), draws.futures)
    return leave, step.T, _breakdown_share(instance, draws)


def _breakdown_share(instance: Instance, draws: Draws) -> Floats:
    """Mean share of placements that break down a month, [scenario, cohort, source].

    Rates of one cohort are high or low together, wherever its children live: how often placements hold is the children's as
    much as the place's, and where no source is known to differ all sources state one and the same estimate.
    """
    sources = source_names(instance)
    position = {row.cohort: place for place, row in enumerate(instance.cohorts)}
    share = np.zeros((draws.futures, len(position), len(sources)))
    for row in instance.placements:
        uniform = draws.uniform(f"breakdown rate {row.cohort}")
        share[:, position[row.cohort], sources.index(row.source)] = row.breakdown_per_month.quantile(uniform)
    return share


def stays_by_source(instance: Instance, leave: Floats, leaving: Floats, stepping: Floats) -> tuple[Floats, Floats]:
    """Stays and steps of each source from those of each cohort.

    Parameters
    ----------
    leave : mean share who leave care a month, [scenario, cohort, source]; the last source is the cohort's own
    leaving : realised share who leave care, [scenario, cohort, period]
    stepping : realised share who step across, [scenario, step, period]

    Returns
    -------
    stay : share who stay in care in the cohort, [scenario, cohort, source, period]
    step : share who step across, [scenario, step, source, period]
    """
    sources = source_names(instance)
    futures, cohorts, periods = leaving.shape
    stay = np.ones((futures, cohorts, len(sources), periods))
    step = np.zeros((futures, len(instance.steps), len(sources), periods))
    for number, row in enumerate(instance.steps):
        for place, source in enumerate(sources[:-1]):
            if row.source in (None, source):
                step[:, number, place] = stepping[:, number]
    for place, cohort in enumerate(instance.cohorts):
        stepped = sum(
            (step[:, number] for number, row in enumerate(instance.steps) if row.origin == cohort.cohort),
            start=np.zeros((futures, len(sources), periods)),
        )
        nominal = leave[:, place, -1]
        ratio = np.divide(
            leave[:, place], nominal[:, None], out=np.ones_like(leave[:, place]), where=nominal[:, None] > 0
        )
        gone = np.minimum(ratio[:, :, None] * leaving[:, place, None, :], 1 - stepped)
        # no registered home found: nobody steps across there, and the stay is the longest of any source
        gone[:, -1] = gone.min(axis=1)
        stay[:, place] = 1 - gone - stepped
    return stay, step


def _leave_share(instance: Instance, cohort: Cohort, sources: tuple[str, ...], draws: Draws) -> Floats:
    """Mean share who leave care a month by source, [scenario, source]; the last column is the cohort's own."""
    share = np.zeros((draws.futures, len(sources)))
    if cohort.mean_stay_months is None:
        return share
    share[:] = (1 / cohort.mean_stay_months.quantile(draws.uniform(f"stay {cohort.cohort}")))[:, None]
    for row in instance.placements:
        if row.cohort == cohort.cohort and row.mean_stay_months is not None and row.source != UNREGISTERED:
            uniform = draws.uniform(f"stay {cohort.cohort} {row.source}")
            share[:, sources.index(row.source)] = 1 / row.mean_stay_months.quantile(uniform)
    return share


def leaving_factors(instance: Instance, calendar: Calendar) -> Floats:
    """Share who leave care in each month as a multiple of the cohort's own, [cohort, month]; 1 where none is given."""
    position = {row.cohort: place for place, row in enumerate(instance.cohorts)}
    factors = np.ones((len(position), calendar.months))
    for row in instance.leaving:
        factors[position[row.cohort], calendar.month_of(row.month)] = row.factor
    return factors


def _mean_arrivals(instance: Instance, cohort: Cohort, calendar: Calendar, rank: Floats) -> Floats:
    """Mean children arriving, [scenario, period], grown from the start of the horizon.

    ``rank`` says how high demand is in each future, as a cumulative probability: an uncertain level and an uncertain
    growth move together.
    """
    monthly = np.zeros((len(rank), calendar.months))
    if cohort.arrivals_per_month is not None:
        monthly[:] = cohort.arrivals_per_month.quantile(rank)[:, None]
    for row in instance.arrivals:
        if row.cohort == cohort.cohort:
            monthly[:, calendar.month_of(row.month)] = row.mean
    if cohort.season:
        first = month_number(calendar.first_month)
        monthly *= np.array(cohort.season)[(first + np.arange(calendar.months)) % 12]
    growth = cohort.growth_per_year.quantile(rank)[:, None]
    return calendar.sum_by_period(monthly * (1 + growth) ** (np.arange(calendar.months) / 12))


def _arrivals(cohort: Cohort, mean: Floats, calendar: Calendar, draws: Draws) -> Floats:
    """Children arriving, whole numbers, [scenario, period]; the mean itself in the median future."""
    if draws.median:
        return mean
    uniform = draws.uniform(f"arrivals {cohort.cohort}", len(calendar.length))
    if cohort.arrivals_dispersion is None:
        return _count(uniform, mean > 0, lambda u: special.pdtrik(u, mean), lambda k: special.pdtr(k, mean))
    size = cohort.arrivals_dispersion * calendar.length  # months add up: independent, the same dispersion each
    share = size / (size + mean)
    return _count(
        uniform, mean > 0, lambda u: special.nbdtrik(u, size, share), lambda k: special.betainc(size, k + 1, share)
    )


@dataclass(frozen=True, eq=False)
class _Nominal:
    """Children as they come and go where all have their cohort's own mean stay."""

    leaving: Floats  # realised share who leave, [scenario, cohort, period]
    stepping: Floats  # realised share who step across, [scenario, step, period]
    there: Floats  # children at the end of the period before, [scenario, cohort, period]
    staying: Floats  # of these, those who stay in the cohort, [scenario, cohort, period]
    mean_stay: Floats  # share who stay in the mean, [scenario, cohort, period]


def _realised(
    instance: Instance,
    calendar: Calendar,
    draws: Draws,
    arrivals: Floats,
    leave: Floats,
    steps: list[tuple[int, int]],
    step_share: Floats,
) -> _Nominal:
    """Realised shares who leave and step across, on a nominal census.

    Departures are drawn one child by one on a nominal census, so that the census varies as whole children make it vary.
    Where nobody is there to leave, the mean share stands.
    """
    futures, cohorts, periods = arrivals.shape
    leaving = np.zeros(arrivals.shape)
    stepping = np.zeros((futures, len(steps), periods))
    present, staying, mean_stay = (np.zeros(arrivals.shape) for _ in range(3))
    uniform_leave = [draws.uniform(f"departures {row.cohort}", periods) for row in instance.cohorts]
    uniform_step = [draws.uniform(f"steps {row.origin} {row.destination}", periods) for row in instance.steps]
    months_leaving = calendar.sum_by_period(leaving_factors(instance, calendar))
    census = np.zeros((futures, cohorts))
    for row in instance.placements:
        census[:, [other.cohort for other in instance.cohorts].index(row.cohort)] += row.children_at_start
    if not draws.median:
        census = np.round(census)
    for period in range(periods):
        months = calendar.length[period]
        before = census
        census = arrivals[:, :, period].copy()
        for cohort in range(cohorts):
            there = before[:, cohort]
            share = np.minimum(leave[:, cohort] * months_leaving[cohort, period], 1.0)
            gone = departures(there, share, uniform_leave[cohort][:, period], draws.median)
            leaving[:, cohort, period] = np.divide(gone, there, out=share.copy(), where=there > 0)
            left = there - gone
            remaining = 1 - share
            for number, (origin, destination) in enumerate(steps):
                if origin != cohort:
                    continue
                crossing = np.minimum(step_share[number] * months, remaining)
                chance = np.divide(crossing, remaining, out=np.zeros_like(crossing), where=remaining > 0)
                crossed = departures(left, chance, uniform_step[number][:, period], draws.median)
                stepping[:, number, period] = np.divide(crossed, there, out=crossing.copy(), where=there > 0)
                census[:, destination] += crossed
                left, remaining = left - crossed, remaining - crossing
            census[:, cohort] += left
            present[:, cohort, period], staying[:, cohort, period] = there, left
            mean_stay[:, cohort, period] = remaining
    return _Nominal(leaving, stepping, present, staying, mean_stay)


def _breakdowns(instance: Instance, calendar: Calendar, draws: Draws, share: Floats, nominal: _Nominal) -> Floats:
    """Realised share of placements that break down, [scenario, cohort, source, period].

    Of the children who stay in their cohort each one's placement breaks down or not, as departures are drawn; by the same
    draws for all sources, each as if everybody lived there. Where nobody is there, and where a census gives the stays, the
    mean share stands.

    Parameters
    ----------
    share : mean share a month, [scenario, cohort, source]
    """
    sources = source_names(instance)
    counted = {row.cohort for row in instance.census}
    found = np.zeros((*share.shape, len(calendar.length)))
    for place, cohort in enumerate(instance.cohorts):
        uniform = draws.uniform(f"breakdowns {cohort.cohort}", len(calendar.length))
        there, staying, stay = nominal.there[:, place], nominal.staying[:, place], nominal.mean_stay[:, place]
        drawn: dict[Distribution, Floats] = {}
        for row in instance.placements:
            rate, source = row.breakdown_per_month, sources.index(row.source)
            if row.cohort != cohort.cohort or rate.high <= 0:
                continue
            if rate not in drawn:
                mean = 1 - (1 - share[:, place, source, None]) ** calendar.length
                chance = np.divide(np.minimum(mean, stay), stay, out=np.zeros_like(stay), where=stay > 0)
                broken = departures(staying, chance, uniform, draws.median)
                realised = np.divide(broken, there, out=mean.copy(), where=there > 0)
                drawn[rate] = mean if cohort.cohort in counted else realised
            found[:, place, source] = drawn[rate]
    return found


def departures(there: Floats, share: Floats, uniform: Floats, median: bool = False) -> Floats:
    """Children who go, of those there, each with the same probability; the mean in the median future."""
    if median:
        return there * share
    inside = (there > 0) & (share > 0) & (share < 1)
    n, p = np.where(inside, there, 1.0), np.where(inside, share, 0.5)
    drawn = _count(uniform, inside, lambda u: special.bdtrik(u, n, p), lambda k: _binomial(k, n, p))
    return np.where(share >= 1, there, np.minimum(drawn, there))


def _binomial(k: Floats, n: Floats, p: Floats) -> Floats:
    """Cumulative probability of a binomial; by the incomplete beta function, which takes n as it comes."""
    result: Floats = np.where(k >= n, 1.0, special.betainc(np.maximum(n - k, 1e-9), k + 1, 1 - p))
    return result


def _count(
    uniform: Floats, positive: Bools, inverse: Callable[[Floats], Floats], cumulative: Callable[[Floats], Floats]
) -> Floats:
    """Smallest whole number whose cumulative probability reaches the draw; 0 where the mean is not positive."""
    with np.errstate(all="ignore"):
        above = np.ceil(inverse(uniform))
        below = np.maximum(above - 1, 0.0)
        count = np.where(cumulative(below) >= uniform, below, above)
    return np.where(positive & np.isfinite(count), count, 0.0)


def _follow_census(instance: Instance, calendar: Calendar, draws: Draws, arrivals: Floats, stay: Floats) -> None:
    """Turn a census into stays and arrivals: stay = min(1, census / census before) - turnover, arrivals the rest."""
    for place, cohort in enumerate(instance.cohorts):
        rows = {row.month: row for row in instance.census if row.cohort == cohort.cohort}
        if not rows:
            continue
        uniform = draws.uniform(f"census {cohort.cohort}")
        counted = np.array([rows[label].children.quantile(uniform) for label in calendar.labels]).T
        start = sum(row.children_at_start for row in instance.placements if row.cohort == cohort.cohort)
        before = np.concatenate([np.full((draws.futures, 1), start), counted[:, :-1]], axis=1)
        turnover = np.minimum((cohort.turnover_per_month or 0.0) * calendar.length, 1.0)
        ratio = np.divide(counted, before, out=np.ones_like(counted), where=before > 0)
        share = np.maximum(np.minimum(1.0, ratio) - turnover, 0.0)
        stay[:, place] = share[:, None, :]
        arrivals[:, place] = np.maximum(counted - share * before, 0.0)


# the instance's own table of futures


def _with_table(base: ScenarioSet, instance: Instance) -> ScenarioSet:
    """The instance's table laid over the median future."""
    calendar = calendar_of(instance)
    places = {
        "cohort": {row.cohort: place for place, row in enumerate(instance.cohorts)},
        "home": {row.home: place for place, row in enumerate(instance.homes)},
        "lot": {row.lot: place for place, row in enumerate(instance.lots)},
        "supply": {row.supply: place for place, row in enumerate(instance.existing)},
        "spot": {row.spot: place for place, row in enumerate(instance.spots)},
    }
    probability, years = base.probability.copy(), (calendar.start + calendar.length / 2) / 12
    arrays = {
        name: getattr(base, name).copy()
        for name in (
            "arrivals",
            "stay",
            "lead_months",
            "registration_months",
            "capital_bid",
            "delivery_months",
            "lot_bid",
            "lot_failure",
            "supply_failure",
            "price_factor",
            "availability",
        )
    }
    for row in instance.scenarios:
        future = base.names.index(row.scenario)
        item = row.item or ""
        if row.quantity == "probability":
            probability[future] = row.value
        elif row.quantity == "arrivals":
            periods = slice(None) if row.month is None else calendar.period_of(calendar.month_of(row.month))
            arrays["arrivals"][future, places["cohort"][item], periods] = row.value
        elif row.quantity == "mean-stay-months":
            gone = np.minimum(calendar.length / row.value, 1.0)
            cohort = places["cohort"][item]
            stepped = sum(
                (base.step[future, n] for n, s in enumerate(instance.steps) if s.origin == item),
                start=np.zeros(base.stay.shape[2:]),
            )
            arrays["stay"][future, cohort] = 1 - np.minimum(gone, 1 - stepped) - stepped
        elif row.quantity == "price-growth":
            arrays["price_factor"][future, places["spot"][item]] = (1 + row.value) ** years
        elif row.quantity == "availability":
            arrays["availability"][future, places["spot"][item]] = row.value
        elif row.quantity == "bid-factor":
            arrays["lot_bid"][future, places["lot"][item]] = row.value
        elif row.quantity == "capital-bid-factor":
            arrays["capital_bid"][future, places["home"][item]] = row.value
        elif row.quantity == "lead-months" and item in places["home"]:
            arrays["lead_months"][future, places["home"][item]] = np.ceil(row.value)
        elif row.quantity == "registration-delay-months":
            arrays["registration_months"][future, places["home"][item]] = np.ceil(row.value)
        elif row.quantity in ("lead-months", "mobilisation-delay-months"):
            lot = places["lot"][item]
            lead = instance.lots[lot].lead_months.mean if row.quantity == "mobilisation-delay-months" else 0.0
            arrays["delivery_months"][future, lot] = np.ceil(lead + row.value)
        elif item in places["lot"]:
            arrays["lot_failure"][future, places["lot"][item]] = row.value
        else:
            arrays["supply_failure"][future, places["supply"][item]] = row.value
    return ScenarioSet(**{**base.__dict__, **arrays, "probability": probability})


def standard_error(amounts: Floats) -> float | None:
    """Standard error of a mean over futures drawn in mirrored pairs: pairs are independent, their halves are not.

    None where there are too few to tell.
    """
    pairs = amounts[: len(amounts) // 2 * 2].reshape(-1, 2).mean(axis=1)
    return float(pairs.std(ddof=1) / np.sqrt(len(pairs))) if len(pairs) > 1 else None
