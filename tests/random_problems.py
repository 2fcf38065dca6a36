"""Tiny problems: ``Draft`` for those drawn up by hand, ``random_problem`` for those drawn by a seed.

A random problem is small enough for ``tests.oracle`` to try every first stage, and takes a random part of what the
formulation knows. Money is in thousands of pounds, so that no coefficient is far from another.
"""

from __future__ import annotations

from math import comb
from types import SimpleNamespace
from typing import Any

import numpy as np

from models.problem import (
    PROBLEM_SHAPES,
    SCENARIO_SHAPES,
    Award,
    Begin,
    Envelope,
    Extension,
    Group,
    LocalLimit,
    Managers,
    Node,
    Problem,
    Scenario,
    Tier,
    UnregisteredLimit,
)

#: First stages that a random problem may have at most, counted generously (before any rule across decisions).
MOST_FIRST_STAGES = 20000
#: The same where limits run across scenarios and every first stage needs a larger linear programme.
MOST_FIRST_STAGES_WITH_LIMITS = 4000
EXTENSION_ARRAYS = tuple(name for name, index in SCENARIO_SHAPES.items() if index[0] == "extension")


class Draft:
    """A problem that asks nothing: all arrays are attributes, to be filled in before ``build()``.

    Children stay for ever, may live anywhere and never break down; nothing has a price; spot beds are unlimited;
    homes and lots hold what they hold, paid whether filled or not. One spot market with one layer unless told.
    """

    def __init__(
        self,
        *,
        authorities: int = 1,
        cohorts: int = 1,
        periods: int = 1,
        years: int = 1,
        homes: int = 0,
        lot_tiers: tuple[tuple[Tier, ...], ...] = (),
        supplies: int = 0,
        spots: int = 1,
        layers: int = 1,
        steps: tuple[tuple[int, int], ...] = (),
        nodes: tuple[Node, ...] | None = None,
        paths: tuple[tuple[int, ...], ...] = ((0,),),
    ) -> None:
        self.size = {
            "authority": authorities,
            "cohort": cohorts,
            "period": periods,
            "year": years,
            "home": homes,
            "lot": len(lot_tiers),
            "supply": supplies,
            "spot": spots,
            "source": homes + len(lot_tiers) + supplies + spots + 1,
            "step": len(steps),
            "extension": 0,
        }
        self.lot_tiers, self.steps = lot_tiers, steps
        self.nodes = nodes or (Node("root", None, 0, periods, ""),)
        self.begins: list[Begin] = []
        self.awards: list[Award] = []
        self.extensions: list[Extension] = []
        self.array = SimpleNamespace(
            **{name: np.zeros([self.size[word] for word in index if word]) for name, index in PROBLEM_SHAPES.items()}
        )
        for name in ("weeks", "deflator", "discount", "guaranteed_share", "void_price_share"):
            setattr(self.array, name, np.ones_like(getattr(self.array, name)))
        for name in ("home_beds", "home_occupancy", "lot_occupancy", "lot_minimum", "period_months"):
            setattr(self.array, name, np.ones_like(getattr(self.array, name)))
        for name in ("in_hand", "needs_manager", "closable"):
            setattr(self.array, name, getattr(self.array, name).astype(bool))
        self.array.allowed = np.ones((cohorts, self.size["source"], periods), dtype=bool)
        self.array.home_council_run = np.ones(homes, dtype=bool)
        self.array.certainly_open = np.full((homes, periods), periods)
        self.array.lot_building = np.full(len(lot_tiers), -1)
        self.array.lot_maximum = np.array([max(tier.maximum for tier in tiers) for tiers in lot_tiers], dtype=int)
        self.array.cost_share = np.full((self.size["source"], authorities), 1 / authorities)
        self.array.period_start = np.arange(periods)
        self.array.period_year = np.arange(periods) * years // periods
        self.futures = [self._future(path, layers) for path in paths]
        self.probability = [1 / len(paths)] * len(paths)
        self.home_groups = [Group(f"home {home}", (home,), 1) for home in range(homes)]
        self.lot_groups: list[Group] = []
        self.envelopes: list[Envelope] = []
        self.local_limits: list[LocalLimit] = []
        self.unregistered_limits: list[UnregisteredLimit] = []
        self.registrations_limit: int | None = None
        self.managers: Managers | None = None
        self.risk_weight, self.cvar_level, self.cvar_limit = 0.0, 0.9, None

    def _future(self, path: tuple[int, ...], layers: int) -> SimpleNamespace:
        # A dimension without an index word is tiers for the lots and layers for the spot markets.
        tiers = max((len(tiers) for tiers in self.lot_tiers), default=1)
        size = self.size
        future = SimpleNamespace(path=path)
        for name, index in SCENARIO_SHAPES.items():
            free = tiers if index[0] == "lot" else layers
            setattr(future, name, np.zeros([free if word is None else size[word] for word in index]))
        for name in EXTENSION_ARRAYS:
            setattr(future, name, [])
        future.stay[:] = 1.0
        future.spot_layer_beds[:] = np.inf
        future.home_open[:] = np.triu(np.ones((size["period"], size["period"])))
        future.lot_delivered[:] = np.triu(np.ones((size["period"], size["period"])))
        future.deterrent[:] = 1000.0
        return future

    def extend(self, extension: Extension, arrays: list[dict[str, Any]]) -> int:
        """Add an extension with its arrays for each future, and return its position."""
        self.extensions.append(extension)
        for future, values in zip(self.futures, arrays, strict=True):
            defaults = {name: np.zeros(self.size["period"]) for name in EXTENSION_ARRAYS} | {"extension_price": 1.0}
            for name, value in (defaults | values).items():
                getattr(future, name).append(value)
        return len(self.extensions) - 1

    def build(self) -> Problem:
        size = self.size | {"extension": len(self.extensions)}
        scenarios = []
        for position, (future, probability) in enumerate(zip(self.futures, self.probability, strict=True)):
            values = dict(vars(future))
            for name in EXTENSION_ARRAYS:
                shape = [size[word] for word in SCENARIO_SHAPES[name]]
                values[name] = np.array(values[name], dtype=float).reshape(shape)
            scenarios.append(Scenario(name=f"future {position}", probability=float(probability), **values))

        def names(word: str) -> tuple[str, ...]:
            return tuple(f"{word} {position}" for position in range(size[word]))

        arrays = dict(vars(self.array))
        for name in (
            "period_months", "period_start", "period_year", "cohort_authority", "home_authority", "home_beds",
            "certainly_open", "lot_minimum", "lot_maximum", "call_off_maximum", "lot_building",
        ):  # fmt: skip
            arrays[name] = np.asarray(arrays[name]).astype(np.int64)
        return Problem(
            authorities=names("authority"),
            cohorts=names("cohort"),
            periods=names("period"),
            financial_years=names("year"),
            homes=names("home"),
            lots=names("lot"),
            supplies=names("supply"),
            spots=names("spot"),
            unregistered_name="no registered home found",
            nodes=self.nodes,
            begins=tuple(self.begins),
            awards=tuple(self.awards),
            extensions=tuple(self.extensions),
            steps=self.steps,
            scenarios=tuple(scenarios),
            home_groups=tuple(self.home_groups),
            lot_tiers=self.lot_tiers,
            lot_groups=tuple(self.lot_groups),
            envelopes=tuple(self.envelopes),
            registrations_limit=self.registrations_limit,
            managers=self.managers,
            local_limits=tuple(self.local_limits),
            unregistered_limits=tuple(self.unregistered_limits),
            risk_weight=self.risk_weight,
            cvar_level=self.cvar_level,
            cvar_limit=self.cvar_limit,
            **arrays,
        )


def random_problem(seed: int) -> Problem:
    """A small problem with a random part of every rule, the same for the same seed."""
    for attempt in range(1000):
        problem = _drawn(np.random.default_rng([seed, attempt]), seed)
        limited = bool(problem.local_limits or problem.unregistered_limits)
        if _first_stages_at_most(problem) <= (MOST_FIRST_STAGES_WITH_LIMITS if limited else MOST_FIRST_STAGES):
            return problem
    raise AssertionError(f"no small problem found for seed {seed}")


def _first_stages_at_most(problem: Problem) -> float:
    """Combinations of all decisions on their own: never fewer than there are first stages."""
    product = 1.0
    limits = [
        min(group.limit for group in problem.home_groups if home in group.members) for home in range(len(problem.homes))
    ]
    for begin in problem.begins:
        product *= limits[begin.home] + 1
    for home in range(len(problem.homes)):
        places = sum(
            1
            for at, _, period in problem.closures
            if at == home and any(problem.certainly_open[b.home, b.period] <= period for b in problem.begins)
        )
        product *= comb(places + limits[home], limits[home])
    for award in problem.awards:
        beds = sum(tier.maximum - tier.minimum + 1 for tier in problem.lot_tiers[award.lot])
        product *= 1 + beds * (int(problem.call_off_maximum[award.lot]) + 1)
    return product * 2 ** sum(extension.needs is None for extension in problem.extensions)


def _drawn(rng: np.random.Generator, seed: int) -> Problem:
    def chance(probability: float) -> bool:
        return bool(rng.random() < probability)

    def between(low: float, high: float, *shape: int) -> Any:
        return rng.uniform(low, high, shape) if shape else float(rng.uniform(low, high))

    # Which kind of limit runs across scenarios goes round with the seed, so that each is met often enough.
    kind = ("none", "local", "expected", "chance", "tail weighed", "tail limited", "none", "several")[seed % 8]
    futures = int(rng.integers(2, 4)) if kind in ("chance", "tail weighed", "tail limited") else int(rng.integers(1, 4))
    periods = int(rng.integers(3, 6))
    cohorts = int(rng.integers(1, 3))
    review = int(rng.integers(1, periods - 1)) if futures > 1 and chance(0.55) else None
    # Where none found is limited, beds are scarce and dear; where the tail counts, the dear futures are far dearer.
    scarce, risky = kind in ("expected", "chance", "several"), kind in ("tail weighed", "tail limited")
    if review is None:
        nodes, paths = (Node("root", None, 0, periods, ""),), [(0,)] * futures
    else:
        nodes = (
            Node("root", None, 0, review, ""),
            Node("low", 0, review, periods, "few arrivals"),
            Node("high", 0, review, periods, "many arrivals"),
        )
        paths = [(0, 1), (0, 2), (0, int(rng.integers(1, 3)))][:futures]
    lots = int(rng.choice([0, 1, 1, 2] if review is None and not scarce and not risky else [1, 1, 2]))
    tiers = tuple((Tier(1, 2), Tier(3, 4)) if chance(0.5) else (Tier(1, 3),) for _ in range(lots))
    homes = int(rng.choice([0, 1, 1, 2]))
    supplies = int(chance(0.6))
    steps: tuple[tuple[int, int], ...] = (((0, 1), (1, 0))[int(chance(0.3))],) if cohorts == 2 and chance(0.7) else ()
    draft = Draft(
        authorities=int(rng.integers(1, 3)),
        cohorts=cohorts,
        periods=periods,
        years=int(rng.integers(1, 3)),
        homes=homes,
        lot_tiers=tiers,
        supplies=supplies,
        layers=int(rng.integers(1, 3)),
        steps=steps,
        nodes=nodes,
        paths=tuple(paths),
    )
    array = draft.array
    if chance(0.5):
        draft.probability = list(rng.dirichlet([4.0] * futures))
    first_spot = homes + lots + supplies

    # time
    array.period_months = rng.choice([1, 3], periods) if chance(0.3) else np.full(periods, int(rng.choice([1, 3, 6])))
    array.period_start = np.cumsum(array.period_months) - array.period_months
    array.weeks = array.period_months * 4.25
    array.deflator = 1.02 ** (-array.period_start / 12)
    array.discount = 1.035 ** (-array.period_start / 12)

    # children
    array.cohort_authority = rng.integers(0, draft.size["authority"], cohorts)
    array.placed_at_start[:, homes + lots :] = rng.choice([0.0, 0.0, 0.5, 1.0, 2.0], (cohorts, supplies + 2))
    breaking = between(0, 0.25) * between(0.5, 1, cohorts, first_spot + 1, 1)
    array.mobility[:] = rng.choice([0.0, 0.0, 0.1, 0.3])
    if chance(0.5):
        array.planned_move_price[:] = rng.choice([0.0, 1.0, 3.0], cohorts)
    array.closure_price[:] = between(0, 4, cohorts)
    if chance(0.4):
        array.contribution[:] = between(0, 0.8, cohorts)
    if chance(0.3):
        array.grant_income[:] = between(0, 3, *array.grant_income.shape)
    for source in range(homes + lots + supplies):
        if chance(0.25):
            array.allowed[rng.integers(cohorts), source, rng.integers(1, periods) :] = False
        if chance(0.1):
            array.allowed[rng.integers(cohorts), source, : rng.integers(1, periods)] = False
    if chance(0.1):
        array.allowed[rng.integers(cohorts), first_spot, :] = False
    busy, dries_up = between(0.5, 1.5), chance(0.3)
    lumps = np.random.default_rng([seed, periods, cohorts])
    for future in draft.futures:
        future.arrivals[:] = busy * rng.choice([0.0, 0.5, 1.0, 2.0], (cohorts, periods))
        # A high branch has more arrivals after the review, so that a review is worth having.
        if review is not None:
            future.arrivals[:, review:] *= 0.2 if future.path[-1] == 1 else 2.0
        else:
            future.arrivals[:] *= rng.choice([0.2, 1.0, 2.5] if scarce or risky else [0.5, 1.0, 1.5])
        if dries_up:  # a home that fills at first and stands empty later may be worth closing
            future.arrivals[:, 0] += 3.0
            future.arrivals[:, 1:] *= rng.choice([0.0, 0.1])
        staying = between(*((0.2, 0.5) if dries_up else (0.45, 0.95)), cohorts, 1, 1) * between(
            0.85, 1, *future.stay.shape
        )
        for step, (origin, _) in enumerate(steps):
            share = between(0.05, 0.5) * (1 - staying[origin].max())
            if chance(0.3):  # a birthday that takes most of a cohort along
                staying[origin] *= 0.4
                share = between(0.3, 0.55)
            future.step[step, : first_spot + 1] = share * between(0.5, 1, first_spot + 1, periods)
        # Nobody stays longer anywhere than where no registered home was found, and nobody steps across from there.
        staying[:, -1] = staying[:, :-1].max(axis=1)
        # in some months nobody's placement breaks down, in others twice as many as on average
        future.breakdown[:, :-1] = breaking * lumps.choice([0.0, 1.0, 2.0], (cohorts, 1, periods))
        if chance(0.05):
            future.breakdown[:, :-1] = 0.6  # more than stay: the share that lasts is zero, never less
        future.stay[:] = staying

    # homes
    run_by_provider = homes > 0 and lots > 0 and chance(0.35)
    for home in range(homes):
        limit = int(rng.choice([1, 2, 2]))
        draft.home_groups[home] = Group(f"home {home}", (home,), limit)
        council = not (run_by_provider and home == homes - 1)
        array.home_council_run[home] = council
        array.home_beds[home] = beds = int(rng.integers(1, 4)) + (0 if council else 1)
        array.home_occupancy[home] = rng.choice([1.0, 1.0, 0.85])
        if not council:
            array.allowed[:, home] = False
            array.lot_building[lots - 1] = home
            if chance(0.3):
                array.lot_building[:] = home
        lead, ramp = int(rng.integers(0, 2)), chance(0.3)
        rate = between(1.0, 2.5) if dries_up else between(0.5, 1.8) if council else between(0, 0.3)
        outlay = between(*((0.3, 2) if dries_up else (1, 8))) * float(array.weeks.sum()) / 10
        kept = between(0.3, 0.9)
        for future in draft.futures:
            late, falls_through = int(chance(0.35)), council and chance(0.08)
            for begun in range(periods):
                first = begun + lead + late
                opened = np.where(np.arange(periods) >= first, 1.0, 0.0)
                if ramp and first < periods:
                    opened[first] = 0.5
                if falls_through:
                    opened[:] = 0.0
                future.home_open[home, begun] = opened
                future.home_running[home, begun] = (opened > 0) * beds * rate * array.weeks
                waits = (np.arange(periods) >= begun + lead) & (opened == 0)
                future.home_waiting[home, begun] = 0.2 * waits * array.weeks * (not falls_through)
                future.home_lifecycle[home, begun] = 0.05 * beds * (opened > 0)
            future.capital_outlay[home] = 0.0 if falls_through else outlay * beds * between(0.9, 1.1)
            future.residual_value[home] = kept * future.capital_outlay[home]
            future.abortive_cost[home] = outlay / 5 if falls_through else 0.0
            future.variable_price[home] = between(0.2, 1.0)
        array.planning_capital[home] = 1.1 * outlay * beds * 1.01 ** np.arange(periods)
        for begun in range(periods):
            array.in_hand[home, begun, begun : begun + lead + 1] = True
            array.needs_manager[home, begun, begun + lead :] = council
            surely = [t for t in range(periods) if all(f.home_open[home, begun, t] == 1 for f in draft.futures)]
            array.certainly_open[home, begun] = surely[0] if surely else periods
        array.closable[home] = council and chance(0.6 if dries_up else 0.25)
        array.closing_cost[home] = between(0.5, 3)
        array.closed_saving[home] = beds * rate * array.weeks
        draft.begins.append(Begin(home, 0, 0))
        if chance(0.45) and (review or periods) > 1:
            draft.begins.append(Begin(home, 0, 1))
        if review is not None and chance(0.7):
            draft.begins += [Begin(home, 1, review), Begin(home, 2, review)]
    if homes == 2 and chance(0.3):
        draft.home_groups.append(Group("one property", (0, 1), 1))
    capital = float(array.planning_capital[:, 0].mean()) if homes else 0.0
    if homes and chance(0.5):
        years = draft.size["year"]
        total = capital * between(0.5, 2.0) if chance(0.6) else None
        by_year = tuple(capital * between(0.3, 1.8, years)) if total is None or chance(0.4) else None
        draft.envelopes.append(Envelope("capital", tuple(range(homes)), total, by_year, chance(0.5)))
    if homes and chance(0.4):
        draft.registrations_limit = int(rng.choice([1, 1, 2]))
    if homes and chance(0.4):
        recruitable = np.sort(rng.integers(0, 3, periods))
        draft.managers = Managers(int(rng.integers(1, 3)), recruitable, between(0.1, 0.6) * array.weeks)

    # lots
    for lot in range(lots):
        source = homes + lot
        array.lot_maximum[lot] = int(rng.integers(2, tiers[lot][-1].maximum + 1))
        array.lot_minimum[lot] = int(rng.integers(1, array.lot_maximum[lot] + 1)) if chance(0.3) else 1
        array.call_off_maximum[lot] = int(rng.choice([0, 0, 1, 2]))
        array.lot_occupancy[lot] = rng.choice([1.0, 1.0, 0.9, 0.75])
        array.guaranteed_share[lot] = rng.choice([1.0, 1.0, 0.8, 0.5])
        array.void_price_share[lot] = rng.choice([1.0, 1.0, 0.7])
        lead, term = int(chance(0.2 if scarce else 0.5)), int(rng.integers(1, 4))
        ramp = chance(0.2)
        half = chance(0.15)  # the term ends in the middle of a period, and an extension begins there
        options = [int(rng.integers(1 + half, 3)) for _ in range(int(rng.choice([0, 1, 1, 2])))]
        factors = [between(0.8, 1.1) for _ in options]
        base = between(4, 8) if scarce else between(2.5, 5.5) if risky else between(1.5, 4.5)
        cheaper = between(0.8, 1.0)
        levels: list[list[np.ndarray]] = []  # of the term and then of each option, [future][period awarded]
        for future in draft.futures:
            late = int(chance(0.1 if scarce else 0.35))
            fails = int(rng.integers(2, periods)) if chance(0.07) else None
            of_future = []
            for awarded in range(periods):
                first = awarded + lead + late
                whole = np.zeros((1 + len(options), 4 * periods))
                at = first
                for part, length in enumerate([term, *options]):
                    whole[part, at : at + length] = 1.0
                    at += length
                if ramp:
                    whole[:, first] *= 0.5
                if half:
                    for part in range(len(whole)):
                        end = int(np.flatnonzero(whole[part])[-1])
                        whole[part, end] *= 0.5
                        if part + 1 < len(whole):
                            whole[part + 1, end] = 1.0 - whole[part, end]
                if fails is not None:
                    whole[:, fails:] = 0.0
                of_future.append(whole[:, :periods])
            levels.append(of_future)
            price = base * between(0.9, 1.1)
            for awarded in range(periods):
                future.lot_delivered[lot, awarded] = of_future[awarded][0]
                index = price * 1.01 ** np.arange(periods)
                for tier in range(len(tiers[lot])):
                    future.lot_price[lot, tier, awarded] = index * cheaper**tier
                # Never below the committed price: call-off beds are those beyond the committed.
                future.call_off_price[lot, awarded] = index * 1.15
                future.call_off_retainer[lot, awarded] = 0.1
                future.lot_setup[lot, awarded] = 0.5
            future.variable_price[source] = 0.0
        places = [(0, 0)]
        if chance(0.45) and (review or periods) > 1:
            places.append((0, 1))
        if review is not None and chance(0.8):
            places += [(1, review), (2, review)]
        for node, awarded in places:
            position = len(draft.awards)
            draft.awards.append(Award(lot, node, awarded))
            deciding = [1, 2] if review is not None and node == 0 and chance(0.6) else [node]
            for at_node in deciding:
                needs = None
                for option in range(len(options)):
                    if all(levels[f][awarded][option + 1].sum() == 0 for f in range(futures)):
                        break  # ends after the horizon in every future
                    needs = draft.extend(
                        Extension(position, None, option, at_node, nodes[at_node].first_period, needs),
                        [
                            {
                                "extension_delivered": levels[f][awarded][option + 1],
                                "extension_price": float(np.prod(factors[: option + 1])),
                            }
                            for f in range(futures)
                        ],
                    )
    if lots == 2 and chance(0.3):
        draft.lot_groups.append(Group("alternatives", (0, 1), 1))

    # homes and contracts already in place
    for supply in range(supplies):
        source = homes + lots + supply
        beds = float(rng.integers(1, 4)) * float(rng.choice([1.0, 0.9]))
        expiry = int(rng.integers(1, periods + 1))
        options = [int(rng.integers(1, 3)) for _ in range(int(rng.integers(0, 3)))]
        rate = between(1.0, 3.0)
        fails_in = [int(rng.integers(1, periods)) if chance(0.08) else periods for _ in range(futures)]
        for future, fails in zip(draft.futures, fails_in, strict=True):
            there = (np.arange(periods) < expiry) & (np.arange(periods) < fails)
            future.supply_beds[supply] = beds * there
            future.supply_commitment[supply] = beds * rate * array.weeks * there
            future.variable_price[source] = between(0, 0.8)
        for at_node in [1, 2] if review is not None and review < expiry and chance(0.6) else [0]:
            needs, start = None, expiry
            for option, length in enumerate(options):
                if start >= periods:
                    break
                during = (np.arange(periods) >= start) & (np.arange(periods) < start + length)
                start += length
                arrays = []
                for fails in fails_in:
                    there = during & (np.arange(periods) < fails)
                    arrays.append(
                        {
                            "supply_extension_beds": beds * there,
                            "supply_extension_cost": beds * rate * between(0.9, 1.3) * array.weeks * there,
                        }
                    )
                needs = draft.extend(
                    Extension(None, supply, option, at_node, nodes[at_node].first_period, needs), arrays
                )

    # spot purchase, and none found
    unlimited = chance(0.2 if scarce else 0.7)
    margin = 1.0 if scarce else float(rng.choice([1.0, 3.0, 20.0]))
    for future in draft.futures:
        level = between(4, 6) * between(0.85, 1.15) * 1.01 ** np.arange(periods)
        for layer in range(draft.futures[0].spot_layer_beds.shape[1]):
            future.spot_layer_beds[0, layer] = rng.choice([0.0, 1.0] if scarce else [0.0, 1.0, 2.0, 3.0], periods)
            future.spot_layer_price[0, layer] = level * (1 + 0.5 * layer)
        if unlimited:
            future.spot_layer_beds[0, -1] = np.inf
        future.unregistered_price[:] = between(5, 8)
        # Above every registered alternative: the dearest is the last layer of the spot market.
        dearest = max(float(future.spot_layer_price.max()), 1.2 * float(future.lot_price.max(initial=0.0)))
        future.deterrent[:] = max(dearest - float(future.unregistered_price[0]), 0.0) + margin
    if chance(0.3):
        for source in range(homes + lots + supplies):
            if source < homes and not array.home_council_run[source]:
                continue  # beds of a provider's building are sold under its contract
            array.sold_maximum[source] = rng.choice([0.0, 0.5, 1.0])
            array.sold_price[source] = between(0.5, 2.0)
    array.cost_share = rng.dirichlet([1.0] * draft.size["authority"], draft.size["source"])

    # limits across scenarios
    if kind in ("local", "several"):
        share = rng.choice([0.0, 0.5, 1.0], draft.size["source"])
        share[first_spot] = rng.choice([0.0, 0.2])
        which = tuple(range(cohorts)) if chance(0.6) else (int(rng.integers(cohorts)),)
        draft.local_limits.append(LocalLimit("in area", which, share, between(0.02, 0.3)))
    everyone = tuple(range(draft.size["authority"]))
    if kind in ("expected", "several"):
        most = float(array.weeks.mean()) * between(0.2, 2.0)
        epsilon = between(0.3, 0.7) if kind == "several" and futures > 1 and chance(0.5) else None
        draft.unregistered_limits.append(UnregisteredLimit("together", everyone, most, epsilon))
    if kind == "chance":
        who = everyone if chance(0.7) else everyone[:1]
        draft.unregistered_limits.append(UnregisteredLimit("reliably", who, None, between(0.3, 0.7)))
    draft.cvar_level = float(rng.choice([0.5, 0.8, 0.95] if risky else [0.3, 0.5, 0.8]))
    if kind == "tail weighed" or (kind == "several" and chance(0.5)):
        draft.risk_weight = float(rng.choice([0.2, 0.5, 0.8, 1.0]))
    if kind == "tail limited":
        # Around what every child-week in the spot market would cost in the dearest future.
        children = [array.placed_at_start.sum() * 0.5 + 0.8 * np.cumsum(f.arrivals.sum(axis=0)) for f in draft.futures]
        dearest = max(float((number * array.weeks).sum()) for number in children)
        draft.cvar_limit = dearest * between(4.0, 8.0) + 20
    return draft.build()
