"""What is decided, as single beds in each future: units of homes, contracts, existing supply and spot markets.

A *place* is one home, or all beds of a contract, an existing supply or a spot market; the last place is *no registered home
found*. What each place holds comes from the same streams that the optimiser and the recomputation use, by month; parts of
beds (a delivery profile of 0.5, a layer of six places of which 83% are on offer) become whole beds by one draw a future,
so that their mean stays.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, lru_cache

import numpy as np
from numpy.typing import NDArray

from models.decisions import Decisions, Placements
from models.problem import Problem
from optimiser.analysis.simulation.draws import Block, generator
from optimiser.analysis.simulation.matching import chance_to_match, chance_to_release
from optimiser.verify import Futures, futures_of

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]

#: Beds of a market without a limit.
UNLIMITED = 10**7
#: Exits a month to which chances to match are computed: fine enough to tell no difference, coarse enough to be kept.
EXIT_STEP = 0.02


@dataclass(frozen=True, eq=False)
class Draws:
    """Draws of a block that belong to beds and not to children, the same whatever is decided."""

    rounding: Floats  # [scenario, source, layer]
    mix: Floats  # [scenario, month, home, unit, children living there]
    held: Floats  # [scenario, month, release or delivery, lot]

    @classmethod
    def of(cls, block: Block, units: int) -> Draws:
        """Draw them. ``units``: most homes of a type that can be begun."""
        problem = block.problem
        layers = max(1, problem.scenarios[0].spot_layer_beds.shape[1])
        most = int(problem.home_beds.max(initial=0)) + 1
        months, homes, lots = len(problem.periods), len(problem.homes), len(problem.lots)
        parts: tuple[list[Floats], list[Floats], list[Floats]] = ([], [], [])
        for number in block.numbers:
            parts[0].append(generator(block.seed, "rounding", int(number)).random((len(problem.sources), layers)))
            # units come first in the stream: more of them only add to it
            mix = generator(block.seed, "matching", int(number)).random((units, months, homes, most))
            parts[1].append(mix.transpose(1, 2, 0, 3))
            parts[2].append(generator(block.seed, "held beds", int(number)).random((months, 2, lots)))
        return cls(*(np.array(part) for part in parts))


@dataclass(frozen=True, eq=False)
class Places:
    """Beds of a block of futures under given decisions."""

    source: Ints  # [place]
    unit: Ints  # which home of its type; -1 for places that are no home, [place]
    beds: Ints  # [scenario, place, month]
    top: Floats  # children up to whom each price holds, [scenario, place, layer, month]
    price: Floats  # £ a week of the next child, rising, [scenario, place, layer, month]
    closing: Ints  # homes to close, [scenario, home, month]
    mixes: Bools  # who lives there decides who may join, [place]
    joins: Floats  # chance that one more child matches, [scenario, place]
    holds: Bools  # beds are matched anew, [place]
    release: Floats  # chance a month that a held bed is matched, [scenario, place]
    held_at_first: Floats  # share of new beds that are not matched at once, [place]
    problem: Problem
    decisions: Decisions
    placements: tuple[Placements, ...]  # of every future, empty until it has been lived through
    layers: tuple[tuple[tuple[int, int, int], ...], ...]  # by lot: (layer of ``Problem`` or -1, award, kind of bed)
    spot_beds: Ints  # whole beds on offer by layer, [scenario, spot, layer, month]

    @cached_property
    def spots(self) -> Bools:
        """Places that are spot markets, [place]."""
        problem = self.problem
        found: Bools = (self.source >= problem.spot_source) & (self.source < problem.unregistered)
        return found


def most_units(problem: Problem, options: tuple[Decisions, ...]) -> int:
    """Most homes of a type that can be begun along a path, or are under any of the options."""
    limits = [group.limit for group in problem.home_groups if len(group.members) == 1]
    begun = [0]
    for decisions in options:
        count = np.zeros(len(problem.homes), dtype=np.int64)
        for number, begin in zip(decisions.homes_begun, problem.begins, strict=True):
            count[begin.home] += number
        begun.append(int(count.max(initial=0)))
    return max(1, *limits, *begun)


def placements_of(block: Block) -> tuple[Placements, ...]:
    """Empty placements of every future of a block, to be filled in."""
    return tuple(Placements.none(block.problem, scenario) for scenario in block.problem.scenarios)


def places_of(block: Block, decisions: Decisions, draws: Draws) -> Places:
    """Beds of a block of futures under decisions by month."""
    problem = block.problem
    placements = placements_of(block)
    among = {
        number: (futures, own)
        for futures in futures_of(problem, decisions, placements)
        for own, number in enumerate(futures.numbers)
    }
    months = len(problem.periods)
    units = _units(problem, decisions)
    source = [home for home, _, _ in units] + list(range(problem.lot_source, problem.unregistered + 1))
    first = len(units) - problem.lot_source  # place of a source that is no home, less its position
    shape = len(placements), len(source), months
    layers = _lot_layers(problem, decisions)
    deepest = 1 + max(draws.rounding.shape[2], *(len(own) for own in layers), 0)
    beds = np.zeros(shape, dtype=np.int64)
    top = np.full((shape[0], shape[1], deepest, months), np.inf)
    price = np.zeros((shape[0], shape[1], deepest, months))
    spots = slice(problem.spot_source + first, problem.unregistered + first)
    spot_beds = np.zeros((shape[0], len(problem.spots), draws.rounding.shape[2], months), dtype=np.int64)
    for number, scenario in enumerate(problem.scenarios):
        (futures, own), rounding = among[number], draws.rounding[number]
        for place, (home, _, begin) in enumerate(units):
            at = problem.begins[begin]
            if at.node in scenario.path:
                beds[number, place] = _whole(
                    problem.home_beds[home] * scenario.home_open[home, at.period], rounding[home, 0]
                )
            price[number, place] = scenario.variable_price[home]
        for lot in range(len(problem.lots)):
            place = problem.lot_source + lot + first
            sizes, prices = _lot_prices(futures, own, lot, layers[lot])
            physical = sizes.sum(axis=0)
            if problem.lot_building[lot] >= 0:
                physical = np.minimum(physical, _building_beds(futures, own, int(problem.lot_building[lot])))
            beds[number, place] = _whole(physical, rounding[problem.lot_source + lot, 0])
            top[number, place, : len(sizes)] = np.cumsum(sizes, axis=0)
            price[number, place, : len(sizes)] = prices
            price[number, place, len(sizes) :] = prices[-1]
        for supply in range(len(problem.supplies)):
            place = problem.supply_source + supply + first
            beds[number, place] = _whole(futures.supply_beds[own, supply], rounding[problem.supply_source + supply, 0])
            price[number, place] = scenario.variable_price[problem.supply_source + supply]
        offered = scenario.spot_layer_beds
        whole = _whole(np.where(np.isinf(offered), 0.0, offered), rounding[problem.spot_source : -1, :, None])
        spot_beds[number] = np.where(np.isinf(offered), UNLIMITED, whole)
        beds[number, spots] = np.minimum(spot_beds[number].sum(axis=1), UNLIMITED)
        top[number, spots, : offered.shape[1]] = np.cumsum(spot_beds[number], axis=1)
        price[number, spots, : offered.shape[1]] = scenario.spot_layer_price
        price[number, spots, offered.shape[1] :] = scenario.spot_layer_price[:, -1:]
    matching = _matching(block, units, np.array(source), first)
    beds[:, matching.single] = np.minimum(beds[:, matching.single], 1)
    return Places(
        source=np.array(source, dtype=np.int64),
        unit=np.array([unit for _, unit, _ in units] + [-1] * (len(source) - len(units)), dtype=np.int64),
        beds=beds,
        top=top,
        price=price,
        closing=np.array([np.rint(among[number][0].path.closed) for number in range(len(placements))]).astype(np.int64),
        mixes=matching.mixes,
        joins=matching.joins,
        holds=matching.holds,
        release=matching.release,
        held_at_first=matching.held_at_first,
        problem=problem,
        decisions=decisions,
        placements=placements,
        layers=layers,
        spot_beds=spot_beds,
    )


def _whole(amount: Floats, uniform: Floats | float) -> Ints:
    """Whole beds with the mean given: one draw for all months, so that beds come and go only where the amount does."""
    result: Ints = np.floor(amount + uniform + 1e-9).astype(np.int64)
    return np.maximum(np.where(np.abs(amount - np.rint(amount)) < 1e-9, np.rint(amount).astype(np.int64), result), 0)


def _units(problem: Problem, decisions: Decisions) -> list[tuple[int, int, int]]:
    """Homes begun anywhere, one by one: (home type, which of its type, position of the begin), in the order of the types."""
    found: list[tuple[int, int, int]] = []
    count = np.zeros(len(problem.homes), dtype=np.int64)
    for place, begin in enumerate(problem.begins):
        for _ in range(int(decisions.homes_begun[place])):
            if problem.home_council_run[begin.home]:
                found.append((begin.home, int(count[begin.home]), place))
                count[begin.home] += 1
    return sorted(found)


def _building_beds(futures: Futures, own: int, building: int) -> Floats:
    """Beds of council buildings of a type that are refurbished and open in one of the futures, matched or not, [month]."""
    share = float(futures.problem.home_occupancy[building])
    beds: Floats = futures.home_beds[own, building] / share
    return beds


# prices of a contract's beds


def _lot_layers(problem: Problem, decisions: Decisions) -> tuple[tuple[tuple[int, int, int], ...], ...]:
    """By lot: the priced layers of ``Problem`` that hold beds, as (layer or -1 for beds already paid, award, kind of bed)."""
    found = []
    for lot in range(len(problem.lots)):
        own: list[tuple[int, int, int]] = []
        for award in problem.awards_of(lot):
            if not decisions.lot_awarded[award]:
                continue
            if problem.void_price_share[lot] >= 1 and problem.guaranteed_share[lot] > 0:
                own += [
                    (-1, award, kind)
                    for kind in range(len(problem.lot_tiers[lot]))
                    if decisions.beds_in_tier[award, kind]
                ]
            for layer, (_, position, kind) in enumerate(problem.lot_layers):
                held = decisions.optional_beds[award] if kind == -1 else decisions.beds_in_tier[award, kind]
                if position == award and held:
                    own.append((layer, award, kind))
        found.append(tuple(own))
    return tuple(found)


def _lot_prices(
    futures: Futures, own: int, lot: int, layers: tuple[tuple[int, int, int], ...]
) -> tuple[Floats, Floats]:
    """Beds and price a week of a lot's layers in one of the futures, cheapest first as far as listed, each [layer, month].

    Matching is not in them: it is drawn bed by bed.
    """
    problem, scenario = futures.problem, futures.scenarios[own]
    months = len(problem.periods)
    if not layers:
        return np.zeros((1, months)), np.zeros((1, months))
    guaranteed = float(problem.guaranteed_share[lot])
    sizes, prices = np.zeros((len(layers), months)), np.zeros((len(layers), months))
    for place, (layer, award, tier) in enumerate(layers):
        if award not in futures.award_beds:
            continue
        kind = "free" if layer < 0 else problem.lot_layers[layer][0]
        at = problem.awards[award].period
        share = {"free": guaranteed, "filled": guaranteed, "above_guarantee": 1 - guaranteed, "call_off": 1.0}[kind]
        sizes[place] = share * futures.award_beds[award][own, tier]
        if kind == "filled":
            prices[place] = scenario.lot_price[lot, tier, at] * (1 - problem.void_price_share[lot])
        elif kind == "above_guarantee":
            prices[place] = scenario.lot_price[lot, tier, at]
        elif kind == "call_off":
            prices[place] = scenario.call_off_price[lot, at]
    return sizes, prices


# matching


@dataclass(frozen=True, eq=False)
class _Matching:
    mixes: Bools
    joins: Floats
    holds: Bools
    release: Floats
    held_at_first: Floats
    single: Bools


def _matching(block: Block, units: list[tuple[int, int, int]], source: Ints, first: int) -> _Matching:
    """Which places match by who lives there and which by bed, and with what chances."""
    problem = block.problem
    places, futures = len(source), len(block.numbers)
    mixes, holds, single = (np.zeros(places, dtype=bool) for _ in range(3))
    joins, release = np.ones((futures, places)), np.ones((futures, places))
    held_at_first = np.zeros(places)
    exits = _exits(block)
    for place, (home, _, _) in enumerate(units):
        beds, occupancy = int(problem.home_beds[home]), float(block.home_in_demand[home])
        if beds > 1 and beds * occupancy >= 1:
            mixes[place] = True
            joins[:, place] = [_chance_to_match(beds, occupancy, _rounded(one)) for one in exits[:, home]]
        elif occupancy < 1:
            holds[place] = single[place] = True
            held_at_first[place] = 1 - beds * occupancy
            release[:, place] = chance_to_release(np.full(futures, beds * occupancy), exits[:, home])
    for lot in range(len(problem.lots)):
        place = problem.lot_source + lot + first
        building = int(problem.lot_building[lot])
        occupancy = float(block.lot_in_demand[lot])
        if building >= 0:
            occupancy = min(occupancy, float(block.home_in_demand[building]))
        if occupancy < 1:
            holds[place] = True
            held_at_first[place] = 1 - occupancy
            release[:, place] = chance_to_release(np.full(futures, occupancy), exits[:, problem.lot_source + lot])
    return _Matching(mixes, joins, holds, release, held_at_first, single)


def _rounded(exit_a_month: float) -> float:
    return round(max(exit_a_month, EXIT_STEP) / EXIT_STEP) * EXIT_STEP


@lru_cache(maxsize=1024)
def _chance_to_match(beds: int, occupancy: float, exit_a_month: float) -> float:
    return chance_to_match(beds, occupancy, exit_a_month)


def _exits(block: Block) -> Floats:
    """Chance a month that a child leaves a source for good, mean over the cohorts allowed there, [scenario, source].

    Leaving care, breaking down, and stepping across to a cohort that the source does not take; planned moves apart, which
    leave no bed held.
    """
    problem = block.problem
    allowed: Bools = np.asarray(problem.allowed.any(axis=2))
    exits = block.leave[:, :, :, 0] + block.breakdown[:, :, :, 0]
    for number, (origin, destination) in enumerate(problem.steps):
        exits[:, origin] += block.step[:, number, :, 0] * ~allowed[destination]
    weight = allowed / np.maximum(allowed.sum(axis=0), 1)
    result: Floats = np.minimum((exits * weight).sum(axis=1), 1.0)
    return result
