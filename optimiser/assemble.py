"""Instance + ScenarioSet → Problem: names become positions, dates periods, and prices cost streams."""

from __future__ import annotations

import math
from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.problem import (
    Award,
    Begin,
    Bools,
    Envelope,
    Extension,
    Floats,
    Group,
    LocalLimit,
    Managers,
    Node,
    Problem,
    Scenario,
    SharedRows,
    Tier,
    UnregisteredLimit,
    packed,
)
from optimiser.demand.scenarios import UNREGISTERED, ScenarioSet, calendar_of, source_names
from optimiser.finance import Calendar, anniversary_index, deflator, discount_factor
from optimiser.instance.schema import Existing, Home, Instance, Lot

#: Above every registered alternative by this much, and falling this much over the horizon so that a bed is never kept
#: free today for a child of tomorrow.
DETERRENT_MARGIN = 1.05
DETERRENT_FALL = 0.02


def assemble(
    instance: Instance,
    futures: ScenarioSet,
    *,
    risk_weight: float | None = None,
    like: Problem | None = None,
    basis: int | None = None,
) -> Problem:
    """The planning problem of an instance on the given futures.

    Parameters
    ----------
    risk_weight
        Replaces the instance's own where given.
    like
        A problem of a neighbouring instance on these futures, or on more that begin with these: its tree, awards and
        extensions are taken over, so that its decisions can be priced here.
    basis
        Number of futures, from the first, that the branches of reviews are drawn up from; all where left out.
    """
    calendar = calendar_of(instance)
    settings = instance.settings
    names = _Names(instance)
    if like is None:
        nodes, paths = tree(instance, calendar, futures, len(futures.names) if basis is None else basis)
        awards = _awards(instance, calendar, nodes)
        extensions = _extensions(instance, calendar, nodes, awards)
    else:
        nodes, paths = like.nodes, tuple(scenario.path for scenario in like.scenarios)
        awards, extensions = like.awards, like.extensions
    worth = deflator(calendar, settings.inflation_per_year) * discount_factor(calendar, settings.discount_rate)
    children = _children(instance, calendar, names)
    shared = SharedRows()
    scenarios = tuple(
        packed(
            _scenario(instance, calendar, futures, number, names, paths[number], awards, extensions, worth, children),
            shared,
        )
        for number in range(len(futures.names))
    )
    certainly = np.min([scenario.home_open >= 1 for scenario in scenarios], axis=0)
    return Problem(
        authorities=tuple(row.authority for row in instance.authorities),
        cohorts=tuple(row.cohort for row in instance.cohorts),
        periods=calendar.labels,
        financial_years=calendar.financial_years,
        homes=tuple(row.home for row in instance.homes),
        lots=tuple(row.lot for row in instance.lots),
        supplies=tuple(row.supply for row in instance.existing),
        spots=tuple(row.spot for row in instance.spots),
        unregistered_name=settings.unregistered_name,
        nodes=nodes,
        begins=_begins(instance, calendar, nodes),
        awards=awards,
        extensions=extensions,
        steps=tuple((names.cohort[row.origin], names.cohort[row.destination]) for row in instance.steps),
        scenarios=scenarios,
        period_months=calendar.length,
        period_start=calendar.start,
        weeks=calendar.weeks,
        period_year=calendar.year,
        deflator=deflator(calendar, settings.inflation_per_year),
        discount=discount_factor(calendar, settings.discount_rate),
        cohort_authority=np.array([names.authority[row.authority] for row in instance.cohorts], dtype=np.int64),
        **children,
        grant_income=_grant_income(instance, calendar, names),
        **_homes(instance, calendar, names, certainly),
        **_lots(instance, names),
        cost_share=_cost_share(instance, futures, names),
        envelopes=_envelopes(instance, calendar, names),
        registrations_limit=settings.registrations_limit,
        managers=_managers(instance, calendar),
        local_limits=_local_limits(instance, names),
        unregistered_limits=tuple(
            UnregisteredLimit(
                row.limit,
                tuple(names.authority[name] for name in row.authorities) or tuple(range(len(instance.authorities))),
                row.child_weeks,
                row.probability,
            )
            for row in instance.tolerances
        ),
        risk_weight=settings.risk_weight if risk_weight is None else risk_weight,
        cvar_level=settings.cvar_level,
        cvar_limit=settings.cvar_limit_gbp,
    )


#: Settings that are limits of the first stage alone, and tables that no problem is made of.
LIMITS = ("registrations_limit", "managers_at_start", "managers_recruited_per_year", "cvar_limit_gbp")
TOLD = ("evidence", "figures", "published", "options", "decisions", "budget", "stresses")


def within_limits_of(instance: Instance, other: Instance, problem: Problem) -> Problem | None:
    """The problem of an instance, from that of another with the same futures; None where they differ in more than limits.

    Limits of the first stage alone are envelopes, registrations and managers in hand, and the limit on the tail.
    """

    def rest(each: Instance) -> Instance:
        settings = each.settings.model_copy(update=dict.fromkeys(LIMITS))
        return each.model_copy(update={"settings": settings, "capital": (), **dict.fromkeys(TOLD, ())})

    if rest(instance) != rest(other):
        return None
    calendar = calendar_of(instance)
    return replace(
        problem,
        envelopes=_envelopes(instance, calendar, _Names(instance)),
        registrations_limit=instance.settings.registrations_limit,
        managers=_managers(instance, calendar),
        cvar_limit=instance.settings.cvar_limit_gbp,
    )


class _Names:
    """Positions of names."""

    def __init__(self, instance: Instance) -> None:
        self.authority = {row.authority: place for place, row in enumerate(instance.authorities)}
        self.cohort = {row.cohort: place for place, row in enumerate(instance.cohorts)}
        self.source = {name: place for place, name in enumerate(source_names(instance))}
        self.home = {row.home: place for place, row in enumerate(instance.homes)}
        self.lot = {row.lot: place for place, row in enumerate(instance.lots)}
        self.supply = {row.supply: place for place, row in enumerate(instance.existing)}
        self.spot = {row.spot: place for place, row in enumerate(instance.spots)}


# the decision tree


def tree(
    instance: Instance, calendar: Calendar, futures: ScenarioSet, basis: int
) -> tuple[tuple[Node, ...], tuple[tuple[int, ...], ...]]:
    """Nodes of the tree, and each future's path: a branch is a function of what has been observed by the review."""
    reviews = sorted(instance.reviews, key=lambda row: row.month)
    starts = [calendar.period_starting(calendar.month_of(row.month)) for row in reviews]
    ends = [*starts, len(calendar.length)]
    nodes = [Node("now", None, 0, ends[0], "")]
    paths: list[tuple[int, ...]] = [(0,)] * len(futures.names)
    for number, (row, start) in enumerate(zip(reviews, starts, strict=True)):
        observed, unit = _observed(instance, calendar, futures, row.observe, start)
        for parent in sorted({path[-1] for path in paths}):
            members = [future for future, path in enumerate(paths) if path[-1] == parent]
            own = [future for future in members if future < basis]
            edges = _thresholds(observed[own], futures.probability[own], row.branches)
            for branch in range(len(edges) + 1):
                low = edges[branch - 1] if branch else -math.inf
                high = edges[branch] if branch < len(edges) else math.inf
                inside = [future for future in members if low <= observed[future] < high]
                words = _branch_words(low, high, unit)
                node = Node(f"{row.month}: {words}", parent, start, ends[number + 1], words)
                nodes.append(node)
                for future in inside:
                    paths[future] = (*paths[future], len(nodes) - 1)
    return tuple(nodes), tuple(paths)


def _observed(
    instance: Instance, calendar: Calendar, futures: ScenarioSet, what: str, start: int
) -> tuple[Floats, str]:
    """What a review observes, [scenario], with its wording: ``{}`` stands for the figure."""
    if what == "arrivals":
        return futures.arrivals[:, :, :start].sum(axis=(1, 2)).astype(float), "{} children have arrived"
    if what == "prices":
        spot_prices = futures.price_factor[:, :, max(start - 1, 0)]
        change = spot_prices.mean(axis=1) - 1 if spot_prices.shape[1] else np.zeros(len(futures.names))
        return np.round(100 * change, 1), "spot prices have moved {}%"
    # what homes begun today meet is what other councils' homes meet: it can be known whether one begins any or not
    months = futures.registration_months[:, :, 0]
    seen = np.minimum(months, float(calendar.start[start]))  # by the review no more is known than that it takes so long
    delay = seen.mean(axis=1) if months.shape[1] else np.zeros(len(futures.names))
    return delay, "registration takes {} months"


def _thresholds(values: Floats, probability: Floats, branches: int) -> list[float]:
    """Values that part the futures into branches as equally likely as ties allow."""
    unique = np.unique(values)
    weight = probability / probability.max(initial=0.0)  # exactly 1 each where all are as likely
    edges: list[float] = []
    for share in np.arange(1, branches) / branches:
        candidates = [value for value in unique[1:] if not edges or value > edges[-1]]
        if candidates:
            edges.append(
                float(
                    min(
                        candidates,
                        key=lambda value: abs(float(weight @ (values < value)) / float(weight.sum()) - share),
                    )
                )
            )
    return edges


def _branch_words(low: float, high: float, unit: str) -> str:
    if math.isinf(low) and math.isinf(high):
        return "whatever is observed"
    if math.isinf(low):
        return "fewer than " + unit.format(f"{high:g}") if "children" in unit else unit.format(f"less than {high:g}")
    if math.isinf(high):
        return unit.format(f"{low:g} or more")
    return unit.format(f"{low:g} to {high:g}")


def _own_periods(nodes: tuple[Node, ...], period: int) -> list[int]:
    return [place for place, node in enumerate(nodes) if node.first_period <= period < node.end_period]


def _dates(calendar: Calendar, first: str, last: str, every: int) -> list[int]:
    """Periods in which something may begin: the dates of the list that fall within the horizon, one a period."""
    months = range(calendar.month_of(first), calendar.month_of(last) + 1, every)
    return sorted({calendar.period_of(month) for month in months if 0 <= month < calendar.months})


def _begins(instance: Instance, calendar: Calendar, nodes: tuple[Node, ...]) -> tuple[Begin, ...]:
    return tuple(
        Begin(home, node, period)
        for home, row in enumerate(instance.homes)
        if row.available > 0
        for period in _dates(calendar, row.begin_from, row.begin_until, row.begin_every_months)
        for node in _own_periods(nodes, period)
    )


def _awards(instance: Instance, calendar: Calendar, nodes: tuple[Node, ...]) -> tuple[Award, ...]:
    return tuple(
        Award(lot, node, period)
        for lot, row in enumerate(instance.lots)
        for period in _dates(calendar, row.award_from, row.award_until, row.award_every_months)
        for node in _own_periods(nodes, period)
    )


def _extensions(
    instance: Instance, calendar: Calendar, nodes: tuple[Node, ...], awards: tuple[Award, ...]
) -> tuple[Extension, ...]:
    """Extensions of awards and supplies whose years begin within the horizon, decided when notice is due."""
    found: list[Extension] = []

    def path(node: int) -> list[int]:
        parent = nodes[node].parent
        return [node] if parent is None else [*path(parent), node]

    def add(contract: str, expiry: int, award: int | None, supply: int | None, earliest: int) -> None:
        rows = sorted((row for row in instance.extensions if row.contract == contract), key=lambda row: row.option)
        ends = expiry
        before: dict[int, int] = {}
        for row in rows:
            if ends >= calendar.months:
                break
            notice = max(calendar.period_of(max(ends - row.notice_months, 0)), earliest)
            placed: dict[int, int] = {}
            for node in _own_periods(nodes, notice):
                if award is not None and awards[award].node not in path(node):
                    continue
                needs = next((before[up] for up in path(node) if up in before), None)
                placed[node] = len(found)
                found.append(Extension(award, supply, row.option, node, notice, needs))
            before = placed
            ends += row.months

    for position, award in enumerate(awards):
        lot = instance.lots[award.lot]
        planned = math.ceil(lot.lead_months.mean + lot.mobilisation_delay_months.mean - 1e-9)
        add(lot.lot, int(calendar.start[award.period]) + planned + lot.term_months, position, None, award.period)
    for place, row in enumerate(instance.existing):
        if row.until is not None:
            add(row.supply, calendar.month_of(row.until), None, place, 0)
    return tuple(found)


# children


def _children(instance: Instance, calendar: Calendar, names: _Names) -> dict[str, Any]:
    cohorts, sources, periods = len(instance.cohorts), len(names.source), len(calendar.length)
    placed = np.zeros((cohorts, sources))
    allowed = np.zeros((cohorts, sources, periods), dtype=bool)
    allowed[:, -1] = True
    months = np.arange(calendar.months)
    provider_run = {row.home for row in instance.homes if row.operator == "provider"}
    for row in instance.placements:
        cohort, source = names.cohort[row.cohort], names.source[row.source]
        placed[cohort, source] = row.children_at_start
        if row.source in provider_run:
            continue
        start = -math.inf if row.start is None else calendar.month_of(row.start)
        until = math.inf if row.until is None else calendar.month_of(row.until)
        # a period counts as allowed where the source is allowed on its first day
        inside = (months >= start) & (months < until)
        allowed[cohort, source] |= inside[calendar.start]
    allowed[:, -1] = True
    mobility = [1 - (1 - row.planned_moves_per_month) ** calendar.length for row in instance.cohorts]
    return {
        "placed_at_start": placed,
        "allowed": allowed,
        "mobility": np.array(mobility, dtype=float).reshape(cohorts, periods),
        "planned_move_price": np.array([row.planned_move_gbp for row in instance.cohorts], dtype=float),
        "closure_price": np.array([row.closure_move_gbp for row in instance.cohorts], dtype=float),
        "contribution": np.array([row.contribution_gbp_per_week for row in instance.cohorts], dtype=float),
    }


def _grant_income(instance: Instance, calendar: Calendar, names: _Names) -> Floats:
    grant = np.zeros((len(instance.authorities), len(calendar.length)))
    for row in instance.income:
        inside = calendar.year == calendar.financial_years.index(row.year)
        grant[names.authority[row.authority], inside] += (
            row.grant_gbp * (calendar.length / calendar.length[inside].sum())[inside]
        )
    return grant


# homes


def _homes(instance: Instance, calendar: Calendar, names: _Names, certainly: Bools) -> dict[str, Any]:
    homes, periods = instance.homes, len(calendar.length)
    quantile = np.array(instance.settings.planning_quantile)
    in_hand = np.zeros((len(homes), periods, periods), dtype=bool)
    needs_manager = np.zeros_like(in_hand)
    sold_price = np.zeros((len(names.source), periods))
    sold_maximum = np.zeros_like(sold_price)
    certainly_open = np.full((len(homes), periods), periods)
    for place, row in enumerate(homes):
        lead = math.ceil(float(row.lead_months.quantile(quantile)) * (1 + row.lead_bias()) - 1e-9)
        registered = lead + math.ceil(float(row.registration_delay_months.quantile(quantile)) - 1e-9)
        for begun in range(periods):
            waited = calendar.start - calendar.start[begun]
            in_hand[place, begun] = (waited >= 0) & (waited < registered)
            if row.operator == "council":
                needs_manager[place, begun] = waited >= lead
            open_from = np.flatnonzero(certainly[place, begun])
            if len(open_from):
                certainly_open[place, begun] = open_from[0]
        sold_maximum[place] = row.sold_beds
        sold_price[place] = row.sold_gbp_per_week
    planning = np.array([row.capital_gbp * (1 + row.capital_bias()) - row.grant_gbp for row in homes], dtype=float)
    saving = np.array(
        [_yearly(calendar, row.fixed_gbp_per_year, row.cost_growth_per_year) for row in homes], dtype=float
    )
    return {
        "home_authority": np.array([names.authority[row.authority] for row in homes], dtype=np.int64),
        "home_beds": np.array([row.beds for row in homes], dtype=np.int64),
        "home_occupancy": np.array([row.matching_occupancy for row in homes], dtype=float),
        "home_council_run": np.array([row.operator == "council" for row in homes], dtype=bool),
        "planning_capital": np.repeat(planning[:, None], periods, axis=1),
        "in_hand": in_hand,
        "needs_manager": needs_manager,
        "closable": np.array([row.closable for row in homes], dtype=bool),
        "certainly_open": certainly_open,
        "closing_cost": np.array([row.closing_gbp for row in homes], dtype=float),
        "closed_saving": saving.reshape(len(homes), periods),
        "home_groups": _home_groups(instance, names),
        "sold_price": sold_price,
        "sold_maximum": sold_maximum,
    }


def _home_groups(instance: Instance, names: _Names) -> tuple[Group, ...]:
    groups = [Group(row.home, (place,), row.available) for place, row in enumerate(instance.homes)]
    for prop in dict.fromkeys(row.property for row in instance.homes if row.property):
        members = tuple(place for place, row in enumerate(instance.homes) if row.property == prop)
        groups.append(Group(prop, members, 1))
    for group in instance.groups:
        if all(member in names.home for member in group.members):
            groups.append(Group(group.group, tuple(names.home[member] for member in group.members), group.limit))
    return tuple(groups)


def _yearly(calendar: Calendar, gbp_per_year: float, growth: float) -> Floats:
    """A yearly cost by period, nominal, grown each April, [period]."""
    return np.asarray(gbp_per_year / 12 * calendar.length * (1 + growth) ** calendar.year, dtype=float)


def _home_streams(
    row: Home, calendar: Calendar, begun: int, lead: int, registration: int
) -> tuple[Floats, Floats, Floats, Floats]:
    """Share of beds open, and running, waiting and lifecycle cost of one home begun in a period, each [period]."""
    month = np.arange(calendar.months) - int(calendar.start[begun])
    opened = lead + registration
    profile = np.array(row.opening_profile, dtype=float)
    since = np.clip(month - opened, 0, len(profile) - 1)
    is_open = month >= opened
    by_month: Floats = np.repeat((1 + row.cost_growth_per_year) ** calendar.year.astype(float), calendar.length)
    waiting = (month >= lead) & ~is_open
    return (
        calendar.mean_by_period(np.where(is_open, profile[since], 0.0)),
        calendar.sum_by_period(is_open * row.fixed_gbp_per_year / 12 * by_month),
        calendar.sum_by_period(waiting * row.waiting_gbp_per_month * (1 - row.redeployment_recovers) * by_month),
        calendar.sum_by_period(np.where(month >= lead, row.lifecycle_gbp_per_year / 12 * by_month, 0.0)),
    )


# lots


def _lots(instance: Instance, names: _Names) -> dict[str, Any]:
    lots = instance.lots
    tiers = tuple(
        tuple(Tier(tier.from_beds, min(tier.to_beds, row.maximum_beds)) for tier in _tiers(instance, row))
        for row in lots
    )
    alternatives = dict.fromkeys(row.alternatives for row in lots if row.alternatives)
    groups = [
        Group(word, tuple(place for place, row in enumerate(lots) if row.alternatives == word), 1)
        for word in alternatives
    ]
    for group in instance.groups:
        if all(member in names.lot for member in group.members):
            groups.append(Group(group.group, tuple(names.lot[member] for member in group.members), group.limit))
    return {
        "lot_tiers": tiers,
        "lot_minimum": np.array([row.minimum_beds for row in lots], dtype=np.int64),
        "lot_maximum": np.array([row.maximum_beds for row in lots], dtype=np.int64),
        "call_off_maximum": np.array([row.call_off_beds for row in lots], dtype=np.int64),
        "lot_occupancy": np.array([row.matching_occupancy for row in lots], dtype=float),
        "guaranteed_share": np.array([row.guaranteed_share for row in lots], dtype=float),
        "void_price_share": np.array([row.void_price_share for row in lots], dtype=float),
        "lot_building": np.array(
            [-1 if row.building is None else names.home[row.building] for row in lots], dtype=np.int64
        ),
        "lot_groups": tuple(groups),
    }


def _tiers(instance: Instance, lot: Lot) -> list[Any]:
    return sorted((row for row in instance.tiers if row.lot == lot.lot), key=lambda row: row.from_beds)


def _lot_streams(
    row: Lot, calendar: Calendar, awarded: int, delivery: int, indexation: float, failure: float, extensions: list[int]
) -> tuple[Floats, list[Floats], Floats]:
    """Delivered share in the term, under each extension, and the price index of an award, each [period].

    ``extensions`` holds the months of the extension options in order. The index rises on each anniversary of delivery.
    """
    first = int(calendar.start[awarded]) + delivery
    month = np.arange(calendar.months)
    profile = np.array(row.delivery_profile, dtype=float)
    there = np.where(month >= first, profile[np.clip(month - first, 0, len(profile) - 1)], 0.0) * (month < failure)
    ends = np.cumsum([first + row.term_months, *extensions])
    in_term = there * (month < ends[0])
    extended = [there * (month >= start) * (month < end) for start, end in pairwise(ends)]
    index = anniversary_index(month - first, indexation)
    paid = in_term + sum(extended, start=np.zeros(calendar.months))
    weight = calendar.sum_by_period(paid)
    weighted = np.divide(
        calendar.sum_by_period(paid * index), weight, out=calendar.mean_by_period(index), where=weight > 0
    )
    return calendar.mean_by_period(in_term), [calendar.mean_by_period(part) for part in extended], weighted


# existing supply


def _supply_streams(
    row: Existing, calendar: Calendar, failure: float, extensions: list[tuple[int, float]]
) -> tuple[Floats, list[Floats], Floats]:
    """Share of its beds there before and under each extension, and the price index, each [period]."""
    month = np.arange(calendar.months)
    start = -1 if row.start is None else calendar.month_of(row.start)
    until = calendar.months if row.until is None else calendar.month_of(row.until)
    there = (month >= start) & (month < failure)
    ends = np.cumsum([until, *(months for months, _ in extensions)])
    extended = [there & (month >= a) & (month < b) for a, b in pairwise(ends)]
    return (
        calendar.mean_by_period((there & (month < until)).astype(float)),
        [calendar.mean_by_period(part.astype(float)) for part in extended],
        np.asarray((1 + row.cost_growth_per_year) ** calendar.year, dtype=float),
    )


# one future


def _scenario(
    instance: Instance,
    calendar: Calendar,
    futures: ScenarioSet,
    number: int,
    names: _Names,
    path: tuple[int, ...],
    awards: tuple[Award, ...],
    extensions: tuple[Extension, ...],
    worth: Floats,
    children: dict[str, Any],
) -> Scenario:
    stay, step, breakdown = futures.stay[number], futures.step[number], futures.breakdown[number]
    homes = _scenario_homes(instance, calendar, futures, number, worth)
    lots = _scenario_lots(instance, calendar, futures, number, awards, extensions)
    supplies = _scenario_supplies(instance, calendar, futures, number, extensions)
    layer_beds = _layer_beds(instance, calendar, futures, number, names)
    layer_price = futures.layer_price[number][:, :, None] * futures.price_factor[number][:, None, :]
    variable = np.zeros((len(names.source), len(calendar.length)))
    for place, home in enumerate(instance.homes):
        variable[place] = home.variable_gbp_per_week * (1 + home.cost_growth_per_year) ** calendar.year
    for supply in instance.existing:
        growth = (1 + supply.cost_growth_per_year) ** calendar.year
        variable[names.source[supply.supply]] = supply.child_gbp_per_week * growth
    dearest = _dearest(names, layer_price, lots, variable)
    return Scenario(
        name=futures.names[number],
        probability=float(futures.probability[number]),
        path=path,
        arrivals=futures.arrivals[number],
        stay=stay,
        step=step,
        breakdown=breakdown,
        **homes,
        **lots,
        **supplies,
        variable_price=variable,
        spot_layer_beds=layer_beds,
        spot_layer_price=layer_price,
        unregistered_price=futures.unregistered_price[number],
        deterrent=_deterrent(
            instance, calendar, worth, stay - breakdown, children, dearest, futures.unregistered_price[number]
        ),
    )


def _dearest(names: _Names, layer_price: Floats, lots: dict[str, Floats], variable: Floats) -> Floats:
    """Dearest price of a child-week with each registered source, nominal £, [source, period]."""
    dearest = variable.copy()
    for place in names.lot.values():
        prices = [lots["lot_price"][place].max(axis=(0, 1), initial=0.0), lots["call_off_price"][place].max(axis=0)]
        dearest[len(names.home) + place] = np.max(prices, axis=0)
    first = len(names.home) + len(names.lot) + len(names.supply)
    for place in names.spot.values():
        dearest[first + place] = layer_price[place].max(axis=0)
    return dearest


def _deterrent(
    instance: Instance,
    calendar: Calendar,
    worth: Floats,
    kept: Floats,
    children: dict[str, Any],
    dearest: Floats,
    really: Floats,
) -> Floats:
    """What is charged on top of the real price of a week without a registered home, £ nominal, [period].

    Placing a child today commits a bed for as long as the placement lasts, so a price above today's bed is not enough to
    keep a child from being left without a home until a cheaper bed opens. A week without one must cost more than the
    dearest registered placement over all the weeks that it is expected to last in this future. It falls slightly over the
    horizon, so that no bed is kept free today for a later child.
    """
    own = instance.settings.deterrent_gbp_per_week
    if own is not None:
        return np.asarray(own * worth[0] / worth, dtype=float)
    lasting = np.maximum(np.maximum(kept, 0.0) - children["mobility"][:, None, :], 0.0)[:, :-1]
    moves = (children["planned_move_price"] + children["closure_price"])[:, None]
    weekly = (dearest[:-1] + children["contribution"][:, None, None]) * worth
    periods = len(calendar.length)
    level = np.zeros(periods)
    ahead = np.zeros(weekly.shape[:2])
    for period in reversed(range(periods)):
        following = lasting[:, :, period + 1] * ahead if period + 1 < periods else 0.0
        ahead = weekly[:, :, period] * calendar.weeks[period] + moves * worth[period] + following
        level[period] = (
            np.where(children["allowed"][:, :-1, period], ahead, 0.0).max(initial=0.0) / calendar.weeks[period]
        )
    level = np.maximum.accumulate(level[::-1])[::-1]
    fall = 1 + DETERRENT_FALL * np.linspace(1, 0, periods)
    return np.maximum(DETERRENT_MARGIN * level * fall / worth - really, 0.0)


def _scenario_homes(
    instance: Instance, calendar: Calendar, futures: ScenarioSet, number: int, worth: Floats
) -> dict[str, Floats]:
    homes, periods = len(instance.homes), len(calendar.length)
    stream = {
        name: np.zeros((homes, periods, periods))
        for name in ("home_open", "home_running", "home_waiting", "home_lifecycle")
    }
    outlay, residual, abortive = np.zeros((homes, periods)), np.zeros((homes, periods)), np.zeros((homes, periods))
    for place, row in enumerate(instance.homes):
        lead, registration = futures.lead_months[number, place], futures.registration_months[number, place]
        for begun in _dates(calendar, row.begin_from, row.begin_until, row.begin_every_months):
            parts = _home_streams(row, calendar, begun, int(lead[begun]), int(registration[begun]))
            for name, part in zip(stream, parts, strict=True):
                stream[name][place, begun] = part
            abortive[place, begun] = row.abortive_gbp * futures.fallen_through[number, place, begun]
        price = row.capital_gbp * futures.capital_bid[number, place]
        outlay[place] = np.maximum(price * (1 + row.capital_bias()) - row.grant_gbp, 0.0)
        # grant clawed back in proportion; never worth more than was paid, so that an idle home never lowers cost
        own = 1 - row.grant_gbp / (row.capital_gbp * (1 + row.capital_bias())) if row.capital_gbp > 0 else 0.0
        left = row.residual_share * price * max(own, 0.0) * worth[-1]
        residual[place] = np.minimum(left, outlay[place] * worth) / worth[-1]
    if instance.settings.financing_in_running_cost:
        # the running cost pays for the capital already: it counts against the envelope and is no cost of its own
        outlay[:], residual[:] = 0.0, 0.0
    return {**stream, "capital_outlay": outlay, "residual_value": residual, "abortive_cost": abortive}


def _scenario_lots(
    instance: Instance,
    calendar: Calendar,
    futures: ScenarioSet,
    number: int,
    awards: tuple[Award, ...],
    extensions: tuple[Extension, ...],
) -> dict[str, Floats]:
    lots, periods = len(instance.lots), len(calendar.length)
    most = max((len(_tiers(instance, row)) for row in instance.lots), default=0)
    delivered = np.zeros((lots, periods, periods))
    price = np.zeros((lots, most, periods, periods))
    call_off, retainer = np.zeros((lots, periods, periods)), np.zeros((lots, periods, periods))
    setup = np.zeros((lots, periods))
    extended = np.zeros((len(extensions), periods))
    factor = np.ones(len(extensions))
    for award, period in dict.fromkeys((award.lot, award.period) for award in awards):
        row = instance.lots[award]
        bid = float(futures.lot_bid[number, award])
        tiers = _tiers(instance, row)
        capped = (
            row.price_cap_gbp_per_week is not None
            and max(t.gbp_per_week for t in tiers) * bid > row.price_cap_gbp_per_week
        )
        failure = -1.0 if capped else _failure(calendar, period, futures, number, award)
        options = sorted((e for e in instance.extensions if e.contract == row.lot), key=lambda e: e.option)
        in_term, later, index = _lot_streams(
            row,
            calendar,
            period,
            int(futures.delivery_months[number, award, period]),
            float(futures.indexation[number, award]),
            failure,
            [option.months for option in options],
        )
        delivered[award, period] = in_term
        for place, tier in enumerate(tiers):
            price[award, place, period] = tier.gbp_per_week * bid * index
        call_off[award, period] = row.call_off_gbp_per_week * bid * index
        retainer[award, period] = row.call_off_retainer_gbp_per_week * bid * index
        setup[award, period] = row.setup_gbp
        for place, extension in enumerate(extensions):
            if extension.award is not None and (awards[extension.award].lot, awards[extension.award].period) == (
                award,
                period,
            ):
                extended[place] = later[extension.option - 1]
                factor[place] = math.prod(option.price_factor for option in options[: extension.option])
    return {
        "lot_delivered": delivered,
        "lot_price": price,
        "call_off_price": call_off,
        "call_off_retainer": retainer,
        "lot_setup": setup,
        "extension_delivered": extended,
        "extension_price": factor,
    }


def _failure(calendar: Calendar, period: int, futures: ScenarioSet, number: int, lot: int) -> float:
    """Month in which the provider fails, counted from first delivery."""
    first = calendar.start[period] + futures.delivery_months[number, lot, period]
    return float(first + futures.lot_failure[number, lot])


def _scenario_supplies(
    instance: Instance, calendar: Calendar, futures: ScenarioSet, number: int, extensions: tuple[Extension, ...]
) -> dict[str, Floats]:
    supplies, periods = len(instance.existing), len(calendar.length)
    beds, commitment = np.zeros((supplies, periods)), np.zeros((supplies, periods))
    more, cost = np.zeros((len(extensions), periods)), np.zeros((len(extensions), periods))
    for place, row in enumerate(instance.existing):
        options = sorted((e for e in instance.extensions if e.contract == row.supply), key=lambda e: e.option)
        failure = float(futures.supply_failure[number, place])
        before, later, index = _supply_streams(row, calendar, failure, [(o.months, o.price_factor) for o in options])
        beds[place] = row.beds * before
        weekly = row.beds * row.committed_gbp_per_week * calendar.weeks * index
        commitment[place] = weekly * before
        for position, extension in enumerate(extensions):
            if extension.supply == place:
                more[position] = row.beds * later[extension.option - 1]
                factor = math.prod(option.price_factor for option in options[: extension.option])
                cost[position] = weekly * later[extension.option - 1] * factor
    return {
        "supply_beds": beds,
        "supply_commitment": commitment,
        "supply_extension_beds": more,
        "supply_extension_cost": cost,
    }


def _layer_beds(instance: Instance, calendar: Calendar, futures: ScenarioSet, number: int, names: _Names) -> Floats:
    """Places on offer by layer, [spot, layer, period]: availability thins limited layers, but places held at the start stay."""
    most = futures.layer_price.shape[2]
    beds = np.zeros((len(instance.spots), most, len(calendar.length)))
    for place, row in enumerate(instance.spots):
        source = names.source[row.spot]
        own = [layer.beds for layer in instance.layers if layer.spot == row.spot]
        for layer, number_of_beds in enumerate(own):
            limited = futures.availability[number, place]
            beds[place, layer] = np.inf if number_of_beds is None else number_of_beds * limited
        if all(number_of_beds is not None for number_of_beds in own):
            held = np.zeros(len(calendar.length))
            for start in instance.placements:
                if start.source == row.spot and start.children_at_start > 0:
                    held += start.children_at_start * np.cumprod(
                        futures.stay[number, names.cohort[start.cohort], source]
                    )
            beds[place, len(own) - 1] += np.maximum(held - beds[place].sum(axis=0), 0.0)
    return beds


# money and limits


def _cost_share(instance: Instance, futures: ScenarioSet, names: _Names) -> Floats:
    """Who bears a source's fixed cost, [source, authority]: owners of homes; members of the rest by expected child-weeks."""
    authorities = len(instance.authorities)
    census = np.zeros(authorities)
    for cohort, row in enumerate(instance.cohorts):
        start = sum(p.children_at_start for p in instance.placements if p.cohort == row.cohort)
        stay = 1.0 if row.mean_stay_months is None else row.mean_stay_months.mean
        arriving = float((futures.probability @ futures.arrivals[:, cohort]).sum())
        census[names.authority[row.authority]] += start + arriving * stay
    share = np.zeros((len(names.source), authorities))

    def by_demand(source: int, members: tuple[str, ...]) -> None:
        weights = census.copy()
        if members:
            weights[[place for name, place in names.authority.items() if name not in members]] = 0.0
        share[source] = weights / weights.sum() if weights.sum() > 0 else np.where(weights >= 0, 1 / authorities, 0.0)

    for home in instance.homes:
        share[names.source[home.home], names.authority[home.authority]] = 1.0
    for lot in instance.lots:
        by_demand(names.source[lot.lot], lot.members)
    for supply in instance.existing:
        by_demand(names.source[supply.supply], supply.members)
    for spot in instance.spots:
        by_demand(names.source[spot.spot], spot.members)
    by_demand(names.source[UNREGISTERED], ())
    return share


def _envelopes(instance: Instance, calendar: Calendar, names: _Names) -> tuple[Envelope, ...]:
    envelopes = []
    for name in dict.fromkeys(row.envelope for row in instance.capital):
        rows = [row for row in instance.capital if row.envelope == name]
        homes = tuple(place for place, home in enumerate(instance.homes) if rows[0].authority in (None, home.authority))
        years = {row.year: row.limit_gbp for row in rows if row.year != "total"}
        envelopes.append(
            Envelope(
                name,
                homes,
                next((row.limit_gbp for row in rows if row.year == "total"), None),
                tuple(years.get(year, 0.0) for year in calendar.financial_years) if years else None,
                rows[0].carry_forward,
            )
        )
    return tuple(envelopes)


def _managers(instance: Instance, calendar: Calendar) -> Managers | None:
    settings = instance.settings
    if settings.homes_per_manager is None:
        return None
    recruited = settings.managers_at_start + settings.managers_recruited_per_year * calendar.start / 12
    return Managers(
        settings.homes_per_manager,
        np.floor(recruited + 1e-9).astype(np.int64),
        _yearly(calendar, settings.manager_gbp_per_year, settings.inflation_per_year),
    )


def _local_limits(instance: Instance, names: _Names) -> tuple[LocalLimit, ...]:
    limits = []
    for row in instance.local:
        share: NDArray[np.float64] = np.zeros(len(names.source))
        for band in instance.bands:
            if band.band == row.band:
                share[names.source[band.source]] = band.share
        limits.append(
            LocalLimit(row.limit, tuple(names.cohort[name] for name in row.cohorts), share, row.minimum_share)
        )
    return tuple(limits)
