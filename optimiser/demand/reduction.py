"""Many sampled futures stood for by few: fast forward selection, with probabilities redistributed.

Heitsch and Römisch (2003), Computational Optimization and Applications 24, algorithm 2.4: beginning with the future that
is nearest to all, the future that brings the rest nearest is kept next, until there are enough. Every other future hands
its probability to the one kept that is nearest. What is lost is the distance over which probability is moved, on average:
the Kantorovich distance between the sample and what is kept.

The distance between two futures is in present real pounds: item by item, what the difference could matter to any plan at
most (``amounts``), added up.
"""

from __future__ import annotations

import heapq
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import distance

from optimiser.demand.scenarios import ScenarioSet, calendar_of, make_scenarios, source_names, taken
from optimiser.finance import deflator, discount_factor
from optimiser.instance.schema import Instance, Lot

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

MONTHS_A_QUARTER = 3


@dataclass(frozen=True, eq=False)
class Selection:
    """Which futures are kept, how likely each is, and what is lost.

    Parameters
    ----------
    kept : [kept], in the order in which they were chosen
    nearest : [future], position within ``kept`` of the future that stands for it
    probability : [kept]
    lost : mean distance of a future from the one that stands for it, by probability
    lost_by_one : the same with the first future alone, which is the best single one: the 1-median
    """

    kept: Ints
    nearest: Ints
    probability: Floats
    lost: float
    lost_by_one: float


@dataclass(frozen=True, eq=False)
class Reduction:
    """Futures that stand for a larger sample.

    Parameters
    ----------
    futures : those kept, in the order in which they were drawn, with their probabilities
    kept : [kept], their numbers in the sample
    drawn : futures in the sample
    lost_gbp, lost_by_one_gbp : as in ``Selection``, present real £
    """

    futures: ScenarioSet
    kept: Ints
    drawn: int
    lost_gbp: float
    lost_by_one_gbp: float


def reduce_futures(instance: Instance, drawn: int, count: int, seed: int | None = None) -> Reduction:
    """The first ``drawn`` futures of an instance stood for by ``count`` of them.

    Raises
    ------
    ValueError
        Where fewer are drawn than are to be kept, or the instance has a table of futures of its own.
    """
    if instance.scenarios:
        raise ValueError("a table of futures is taken whole")
    sample = make_scenarios(instance, drawn, seed)
    found = fast_forward(distances(amounts(instance, sample)), sample.probability, count)
    order = np.argsort(found.kept)
    kept = found.kept[order]
    futures = taken(sample, kept, found.probability[order])
    return Reduction(futures, kept, drawn, found.lost, found.lost_by_one)


def with_fresh(
    instance: Instance, seen: int, more: int, seed: int | None = None, reduction: Reduction | None = None
) -> ScenarioSet:
    """The futures that a plan was made on, and after them ``more`` that it has not seen, each half as likely as its share.

    Parameters
    ----------
    seen
        How many the plan was made on: the first that the seed draws, or those that the reduction kept.
    """
    if reduction is None:
        return make_scenarios(instance, seen + more, seed)
    everything = make_scenarios(instance, reduction.drawn + more, seed)
    which = np.concatenate([reduction.kept, np.arange(reduction.drawn, reduction.drawn + more)])
    own = reduction.futures.probability * seen
    return taken(everything, which, np.concatenate([own, np.ones(more)]) / (seen + more))


def distances(features: Floats) -> Floats:
    """Sum of absolute differences between futures, [future, future], from amounts [future, item]."""
    found: Floats = distance.cdist(features, features, "cityblock")
    return found


def fast_forward(apart: Floats, probability: Floats, count: int) -> Selection:
    """Fast forward selection of ``count`` futures.

    What a future would bring only falls as more are kept, so that one whose gain of an earlier round is below another's
    of this round need not be looked at again: the same choice as by looking at all, in a small part of the time.

    Parameters
    ----------
    apart : distance between futures, symmetric, [future, future]
    probability : [future]

    Raises
    ------
    ValueError
        Where there are not as many futures.
    """
    if not 1 <= count <= len(probability):
        raise ValueError(f"{count} futures cannot be kept of {len(probability)}")
    first = int(np.argmin(probability @ apart))
    near, nearest = apart[first].copy(), np.zeros(len(probability), dtype=np.int64)
    lost_by_one = float(probability @ near)
    kept = [first]

    def gain(future: int) -> float:
        return float(probability @ np.maximum(near - apart[future], 0.0))

    queue = [(-gain(future), future) for future in range(len(probability)) if future != first]
    heapq.heapify(queue)
    while len(kept) < count:
        _, future = heapq.heappop(queue)
        now = (-gain(future), future)
        if queue and now > queue[0]:
            heapq.heappush(queue, now)
            continue
        nearer = apart[future] < near
        # what is kept stands for itself, whatever equals it
        nearer[future] = True
        nearest[nearer] = len(kept)
        near = np.minimum(near, apart[future])
        kept.append(future)
    share = np.zeros(count)
    np.add.at(share, nearest, probability)
    return Selection(np.array(kept), nearest, share, float(probability @ near), lost_by_one)


# the distance


def amounts(instance: Instance, futures: ScenarioSet) -> Floats:
    """What tells futures apart, each in present real £ of what it could matter at most, [future, item].

    Children in care by cohort and quarter, at their mean spot price; spot prices by cohort and quarter, for the mean number
    of children; the price of having no registered place, for those beyond the places on offer; places on offer, at what
    the next dearer cost more; months until each home opens and each lot delivers, at what its beds are dearer on the spot
    market, for as many as can be had; and what is paid for them. Figures that are the same in every future add nothing.
    """
    calendar = calendar_of(instance)
    settings = instance.settings
    worth = deflator(calendar, settings.inflation_per_year) * discount_factor(calendar, settings.discount_rate)
    money = _Money(instance, futures, calendar.weeks * worth)
    quarter = calendar.start // MONTHS_A_QUARTER
    by_quarter = np.array([quarter == number for number in np.unique(quarter)], dtype=float).T  # [period, quarter]
    parts = [
        (money.children * money.price.mean(axis=0) * money.weeks) @ by_quarter,
        (money.price * money.children.mean(axis=0) * money.weeks) @ by_quarter,
        (futures.unregistered_price * money.beyond * money.weeks) @ by_quarter,
        money.offered(),
        *_homes(instance, futures, money),
        *_lots(instance, futures, money),
        _supplies(instance, futures, money),
    ]
    return np.concatenate([part.reshape(len(futures.names), -1) for part in parts], axis=1)


class _Money:
    """Children in care and what a place costs them, by future, cohort and period."""

    def __init__(self, instance: Instance, futures: ScenarioSet, weeks: Floats) -> None:
        self.instance, self.futures, self.weeks = instance, futures, weeks  # weeks [period], at present value
        self.markets = [
            [place for place, spot in enumerate(instance.spots) if self._placed(cohort.cohort, spot.spot)]
            for cohort in instance.cohorts
        ]
        first_layer = futures.layer_price[:, :, :1] * futures.price_factor  # [future, spot, period]
        self.price = np.stack(
            [first_layer[:, own].mean(axis=1) if own else futures.unregistered_price for own in self.markets], axis=1
        )
        self.children = self._children()
        mean = self.children.mean(axis=0)
        open_to = [
            [place for place, own in enumerate(self.markets) if spot in own] for spot in range(len(instance.spots))
        ]
        self.mean_children = np.array([mean[cohorts].sum(axis=0).mean() for cohorts in open_to])  # [spot]
        beds = sum(layer.beds or 0.0 for layer in instance.layers)
        beds += sum(row.beds for row in instance.existing)
        unlimited = any(layer.beds is None for layer in instance.layers)
        short = np.zeros_like(mean[0]) if unlimited else np.maximum(self.children.sum(axis=1) - beds, 0.0).mean(axis=0)
        self.beyond = short  # children for whom there is no place on offer, mean, [period]
        #: £ a week of a bed bought on the spot market, mean of everything
        self.spot_price = float(self.price.mean())

    def _placed(self, cohort: str, source: str) -> bool:
        return any(row.cohort == cohort and row.source == source for row in self.instance.placements)

    def _children(self) -> Floats:
        """Children in care if all are bought places for, [future, cohort, period]."""
        instance, futures = self.instance, self.futures
        names = source_names(instance)
        first = len(names) - 1 - len(instance.spots)
        where = [first + own[0] if own else 0 for own in self.markets]
        position = {row.cohort: place for place, row in enumerate(instance.cohorts)}
        now: Floats = np.zeros((len(futures.names), len(instance.cohorts)))
        for row in instance.placements:
            now[:, position[row.cohort]] += row.children_at_start
        found = np.zeros(futures.arrivals.shape)
        periods = len(calendar_of(instance).length)
        for period in range(periods):
            before, now = now, futures.arrivals[:, :, period].astype(float).copy()
            for cohort, source in enumerate(where):
                now[:, cohort] += before[:, cohort] * futures.stay[:, cohort, source, period]
            for number, step in enumerate(instance.steps):
                origin = position[step.origin]
                crossed = futures.step[:, number, where[origin], period]
                now[:, position[step.destination]] += before[:, origin] * crossed
            found[:, :, period] = now
        return found

    def offered(self) -> Floats:
        """Places on offer in limited layers at what the next dearer cost more, [future, spot]."""
        worth = np.zeros(len(self.instance.spots))
        none = float(self.futures.unregistered_price.mean())
        for place, spot in enumerate(self.instance.spots):
            own = [layer for layer in self.instance.layers if layer.spot == spot.spot]
            prices = [*(layer.gbp_per_week.mean for layer in own), none]
            for layer, (price, dearer) in enumerate(pairwise(prices)):
                beds = own[layer].beds
                if beds is not None:
                    worth[place] += min(beds, self.mean_children[place]) * max(dearer - price, 0.0)
        found: Floats = self.futures.availability * worth * self.weeks.sum()
        return found


def _homes(instance: Instance, futures: ScenarioSet, money: _Money) -> list[Floats]:
    """Months until homes open, what is paid for them and for purchases that fall through, each [future, home]."""
    months = (futures.lead_months + futures.registration_months).mean(axis=2)
    late, paid, lost = (np.zeros(len(instance.homes)) for _ in range(3))
    for place, home in enumerate(instance.homes):
        dearer = home.beds * home.matching_occupancy * (money.spot_price - home.variable_gbp_per_week)
        a_month = abs(dearer * 52 - home.fixed_gbp_per_year) / 12
        late[place] = home.available * a_month
        paid[place] = home.available * home.capital_gbp
        lost[place] = home.available * home.abortive_gbp
    return [months * late, futures.capital_bid * paid, futures.fallen_through.mean(axis=2) * lost]


def _lots(instance: Instance, futures: ScenarioSet, money: _Money) -> list[Floats]:
    """Months until lots deliver, what is bid, what it rises by, and months that a provider fails, each [future, lot]."""
    months = futures.delivery_months.mean(axis=2)
    late, paid, rises = (np.zeros(len(instance.lots)) for _ in range(3))
    horizon = float(calendar_of(instance).months)
    for place, lot in enumerate(instance.lots):
        price = _price(instance, lot)
        late[place] = lot.maximum_beds * abs(money.spot_price - price) * 52 / 12
        years = min(lot.term_months, horizon) / 12
        paid[place] = lot.maximum_beds * price * 52 * years
        rises[place] = paid[place] * years / 2
    fails = np.minimum(futures.lot_failure, horizon)
    return [months * late, futures.lot_bid * paid, futures.indexation * rises, fails * late]


def _price(instance: Instance, lot: Lot) -> float:
    return float(np.mean([row.gbp_per_week for row in instance.tiers if row.lot == lot.lot] or [0.0]))


def _supplies(instance: Instance, futures: ScenarioSet, money: _Money) -> Floats:
    """Months that an existing provider fails, [future, supply]."""
    horizon = float(calendar_of(instance).months)
    a_month = [row.beds * abs(money.spot_price - row.committed_gbp_per_week) * 52 / 12 for row in instance.existing]
    found: Floats = np.minimum(futures.supply_failure, horizon) * np.array(a_month)
    return found
