"""Many sampled futures stood for by few: fast forward selection, with probabilities redistributed.

Heitsch and Römisch (2003), Computational Optimization and Applications 24, algorithm 2.4: beginning with the future that
is nearest to all, the future that brings the rest nearest is kept next, until there are enough. Every other future hands
its probability to the one kept that is nearest. What is lost is the distance over which probability is moved, on average:
the Kantorovich distance between the sample and what is kept.

A future that stands for others lies amid them, so that what is kept is less spread than the sample, and costs that rise the
faster the more children there are come out too low on average. So the probabilities are then moved, as little as may be, until
the mean of every amount is that of the sample (``with_means_of``; matching moments: Høyland and Wallace 2001, Management
Science 47). Plans on such futures cost no more than with the probabilities of the selection, on two seeds of
``kent-in-house-2025`` and of ``cambridgeshire-residential-2024``, and £27k and £47k less on the first.

The distance between two futures is in present real pounds: by how much they differ in what they would cost with more and
with fewer beds of one's own (``amounts``), added up. The deterrent on having no registered place is not among them.
"""

from __future__ import annotations

import heapq
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import optimize
from scipy.spatial import distance

from optimiser.demand.scenarios import UNREGISTERED, ScenarioSet, calendar_of, make_scenarios, source_names, taken
from optimiser.finance import deflator, discount_factor
from optimiser.instance.schema import Instance

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

#: Beds of one's own, as parts of the children expected, at which futures are compared.
LADDER = (0.0, 1 / 3, 2 / 3, 1.0, 4 / 3)
WEEKS_A_MONTH = 52 / 12
#: What a mean off by its standard deviation weighs against probabilities moved by all there is.
MEANS_COUNT = 30.0
#: Standard deviations that no mean need be brought nearer than.
NOTHING_OFF = 1e-9
#: Least share of its probability that a future keeps.
LEAST = 1e-3


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
    lost_gbp, lost_by_one_gbp : as in ``Selection``, before probabilities are moved, present real £
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
    features = amounts(instance, sample)
    found = fast_forward(distances(features), sample.probability, count)
    order = np.argsort(found.kept)
    kept = found.kept[order]
    futures = taken(sample, kept, with_means_of(features, sample.probability, kept, found.probability[order]))
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


def with_means_of(features: Floats, probability: Floats, kept: Ints, share: Floats) -> Floats:
    """Probabilities of the futures kept, moved as little as may be so that the means of amounts are those of the sample.

    Least squares under signs: what means are off, in their standard deviations, counts ``MEANS_COUNT`` times as much as
    what probabilities move, in their own square roots. Where few futures are kept some means stay off.

    Parameters
    ----------
    features : amounts of all futures, [future, item]
    probability : [future]
    kept : numbers of the futures kept, [kept]
    share : their probabilities before, [kept]
    """
    mean, deviation = probability @ features, features.std(axis=0)
    varies = deviation > 0
    off = ((features[kept] - mean)[:, varies] / deviation[varies]).T
    if np.abs(off @ share).max(initial=0.0) < NOTHING_OFF:
        return share
    rows = np.vstack([MEANS_COUNT * off, np.diag(1 / np.sqrt(share)), np.full((1, len(kept)), 1e3)])
    wanted = np.concatenate([np.zeros(len(off)), np.sqrt(share), [1e3]])
    moved: Floats = optimize.nnls(rows, wanted)[0]
    moved = np.maximum(moved, LEAST * share)
    moved /= moved.sum()
    return moved


# the distance


def amounts(instance: Instance, futures: ScenarioSet) -> Floats:
    """What tells futures apart, each in present real £, [future, item].

    * Cost of buying a place for every child beyond the beds that one might own or hold in block, in each half of the
      horizon, market by market in the order of their prices, and nowhere to go where all are full; for no such bed, and for
      as many as a third, two thirds, all and four thirds of the children expected (``LADDER``). How a future's cost falls as
      beds are added is what decides between plans, and a few such amounts tell futures apart better than every month does.
    * Months until homes open and lots deliver, at what their beds are cheaper than the market, and what is paid for them,
      in all.
    """
    calendar = calendar_of(instance)
    settings = instance.settings
    worth = deflator(calendar, settings.inflation_per_year) * discount_factor(calendar, settings.discount_rate)
    weeks = calendar.weeks * worth
    early = calendar.start < calendar.months / 2
    parts = []
    mean_price = 0.0
    for cohorts, markets in _markets(instance):
        children = children_in_care(instance, futures)[:, cohorts].sum(axis=1)
        for share in LADDER:
            cost = _bought(instance, futures, markets, np.maximum(children - share * children.mean(axis=0), 0.0))
            if share == 0:
                mean_price += float((cost.mean(axis=0) @ weeks) / max(children.mean(axis=0) @ weeks, 1e-9)) * len(
                    cohorts
                )
            parts += [cost @ (weeks * early), cost @ (weeks * ~early)]
    own = _own_beds(instance, futures, mean_price / len(instance.cohorts))
    return np.stack([*parts, *own], axis=1)


def _markets(instance: Instance) -> list[tuple[list[int], list[int]]]:
    """Cohorts that share spot markets, with those markets; cohorts without any by themselves."""
    open_to = {
        (cohort, spot)
        for cohort, row in enumerate(instance.cohorts)
        for spot, market in enumerate(instance.spots)
        if any(place.cohort == row.cohort and place.source == market.spot for place in instance.placements)
    }
    found: list[tuple[list[int], list[int]]] = []
    for cohort in range(len(instance.cohorts)):
        markets = {spot for other, spot in open_to if other == cohort}
        cohorts = {cohort}
        for group in [group for group in found if markets & set(group[1])]:
            found.remove(group)
            cohorts |= set(group[0])
            markets |= set(group[1])
        found.append((sorted(cohorts), sorted(markets)))
    return found


def _bought(instance: Instance, futures: ScenarioSet, markets: list[int], children: Floats) -> Floats:
    """£ a week for children [future, period] in the cheapest places on offer, and without a place beyond, [future, period]."""
    layers = []
    for spot in markets:
        own = [layer for layer in instance.layers if layer.spot == instance.spots[spot].spot]
        layers += [(layer.gbp_per_week.mean, spot, place, layer.beds) for place, layer in enumerate(own)]
    left, cost = children, np.zeros_like(children)
    dearest = futures.unregistered_price
    for _, spot, place, beds in sorted(layers, key=lambda layer: layer[:3]):
        price = futures.layer_price[:, spot, place, None] * futures.price_factor[:, spot]
        used = left if beds is None else np.minimum(left, beds * futures.availability[:, spot, None])
        cost, left = cost + used * price, left - used
        dearest = np.maximum(dearest, price)
    return cost + left * dearest


def children_in_care(instance: Instance, futures: ScenarioSet) -> Floats:
    """Children in care where all are bought places for, [future, cohort, period]."""
    names = source_names(instance)
    where = []
    for row in instance.cohorts:
        own = [place.source for place in instance.placements if place.cohort == row.cohort]
        sources = [source for source in own if source != UNREGISTERED]
        where.append(max(names.index(source) for source in sources) if sources else 0)
    position = {row.cohort: place for place, row in enumerate(instance.cohorts)}
    now: Floats = np.zeros((len(futures.names), len(instance.cohorts)))
    for place in instance.placements:
        now[:, position[place.cohort]] += place.children_at_start
    found: Floats = np.zeros(futures.arrivals.shape)
    for period in range(found.shape[2]):
        before, now = now, futures.arrivals[:, :, period].astype(float)
        for cohort, source in enumerate(where):
            now[:, cohort] += before[:, cohort] * futures.stay[:, cohort, source, period]
        for number, step in enumerate(instance.steps):
            origin = position[step.origin]
            crossed = futures.step[:, number, where[origin], period]
            now[:, position[step.destination]] += before[:, origin] * crossed
        found[:, :, period] = now
    return found


def _own_beds(instance: Instance, futures: ScenarioSet, spot_price: float) -> list[Floats]:
    """Months until beds of one's own are there, and what is paid for them, as many as can be had, each [future]."""
    months = (futures.lead_months + futures.registration_months).mean(axis=2)
    delivery = futures.delivery_months.mean(axis=2)
    horizon = float(calendar_of(instance).months)
    late, paid = np.zeros(len(futures.names)), np.zeros(len(futures.names))
    for place, home in enumerate(instance.homes):
        dearer = home.beds * home.matching_occupancy * (spot_price - home.variable_gbp_per_week) * WEEKS_A_MONTH
        late += months[:, place] * home.available * abs(dearer - home.fixed_gbp_per_year / 12)
        paid += futures.capital_bid[:, place] * home.available * home.capital_gbp
        paid += futures.fallen_through[:, place].mean(axis=1) * home.available * home.abortive_gbp
    for place, lot in enumerate(instance.lots):
        price = float(np.mean([row.gbp_per_week for row in instance.tiers if row.lot == lot.lot] or [0.0]))
        a_month = lot.maximum_beds * abs(spot_price - price) * WEEKS_A_MONTH
        months_paid = min(float(lot.term_months), horizon)
        lost = horizon - np.minimum(futures.lot_failure[:, place], horizon)
        late += (delivery[:, place] + lost) * a_month
        rises = 1 + futures.indexation[:, place] * months_paid / 24
        paid += futures.lot_bid[:, place] * rises * lot.maximum_beds * price * WEEKS_A_MONTH * months_paid
    for place, supply in enumerate(instance.existing):
        lost = horizon - np.minimum(futures.supply_failure[:, place], horizon)
        late += lost * supply.beds * abs(spot_price - supply.committed_gbp_per_week) * WEEKS_A_MONTH
    return [late, paid]
