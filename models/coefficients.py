"""The numbers of one future as they stand in the placement problem: which factor goes with which decision.

``Scenario`` says what happens in a future; ``Coefficients`` says what that makes of the rules and the cost, with the money
in present real pounds and everything that lies off the future's path through the decision tree at zero. The placement
problem reads nothing else of a future, so that one template of it serves them all: its numbers are written anew for every
future, its rules are not.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np

from models.decisions import max_tiers
from models.problem import Floats, Problem, Scenario, UnregisteredLimit


@dataclass(frozen=True, eq=False)
class Coefficients:
    """Factors of one future. Held as numbers, as *present or not*, or as the parameters of a template.

    Beds are those of one home or bed decided on; money is present real pounds.
    """

    # children
    arrivals: Floats  # children, [cohort, period]
    stay: Floats  # share who stay in care in the cohort, [cohort, source, period]
    step: Floats  # share who step across, [step, source, period]
    lasting: Floats  # share of placements that must last, planned moves free of charge apart, [cohort, source, period]
    movable: Floats  # share of placements that a planned move may end, [cohort, source, period]
    # beds
    home_open: Floats  # usable beds of a home begun, [begin, period]
    closed: Floats  # usable beds of a home closed, [closure]
    award_guaranteed: Floats  # of a committed bed awarded, in its term: guaranteed and to be filled, [award, period]
    award_above_guarantee: Floats  # of the same: to be filled beyond that, [award, period]
    award_call_off: Floats  # of a call-off bed: to be filled, [award, period]
    award_usable: Floats  # of any bed: what matching lets be filled over all, [award, period]
    award_lost: Floats  # usable beds lost as the term ends, [award, period]
    extension_guaranteed: Floats  # the same of a bed that an extension keeps, [extension, period]
    extension_above_guarantee: Floats  # [extension, period]
    extension_call_off: Floats  # [extension, period]
    extension_usable: Floats  # [extension, period]
    extension_lost: Floats  # usable beds lost as the extension of an award or of a supply ends, [extension, period]
    supply_beds: Floats  # usable beds before any extension, [supply, period]
    supply_extension_beds: Floats  # usable beds added by the extension, [extension, period]
    lost: Floats  # beds lost in supplies and spot markets whatever is decided, [source, period]
    spot_offered: Floats  # 1 where the layer offers a bed; how many bounds a variable, [spot, layer, period]
    # money that goes with decisions
    capital: Floats  # £ for one home begun, [begin]
    residual: Floats  # £ for one home begun, [begin]
    running: Floats  # £ for one home begun, [begin]
    waiting: Floats  # £ for one home begun, [begin]
    lifecycle: Floats  # £ for one home begun, [begin]
    abortive: Floats  # £ for one home begun, [begin]
    closed_saving: Floats  # £ no longer spent for one home closed, [closure]
    closing: Floats  # £ to close one home, [closure]
    managers: Floats  # £ for one manager in post, [node, period]
    committed: Floats  # £ for one committed bed, filled or not, [award, tier]
    committed_extended: Floats  # £ for one bed that an extension keeps, filled or not, [extension, tier]
    retained: Floats  # £ for one call-off bed held, [award]
    retained_extended: Floats  # £ for one call-off bed that an extension keeps, [extension]
    setup: Floats  # £ on award, [award]
    supply_commitment: Floats  # £ paid whatever is decided, [supply]
    supply_extended: Floats  # £ for the extension of a supply, [extension]
    # money that goes with placements
    variable_price: Floats  # £ a child for the period in homes and supplies, [source, period]
    lot_layer_price: Floats  # £ a bed for the period, [layer of a lot, period]
    spot_layer_price: Floats  # £ a bed for the period, [spot, layer, period]
    unregistered_price: Floats  # £ a child for the period, [period]
    deterrent: Floats  # £ a child for the period charged on top in the objective, [period]
    # tolerance
    most_unregistered: Floats  # child-weeks if no child of the authorities had a registered home, [tolerance, year]


#: Names of the factors, in the order in which they stand in ``vector``.
NAMES = tuple(field.name for field in fields(Coefficients))


def coefficients(problem: Problem, scenario: Scenario) -> Coefficients:
    """Factors of one future, computed from what happens in it."""
    worth, weeks = problem.present_value, problem.weeks * problem.present_value
    on_path = np.zeros(len(problem.nodes))
    on_path[list(scenario.path)] = 1.0
    kept, movable = problem.kept(scenario), problem.movable(scenario)
    free = problem.planned_move_price == 0
    begins = np.array([(b.home, b.node, b.period) for b in problem.begins], dtype=np.int64).reshape(-1, 3)
    home, begun = begins[:, 0], begins[:, 2]
    here = on_path[begins[:, 1]]
    awards = np.array([(a.lot, a.node, a.period) for a in problem.awards], dtype=np.int64).reshape(-1, 3)
    lot, awarded = awards[:, 0], awards[:, 2]
    let = on_path[awards[:, 1]]
    taken = on_path[[extension.node for extension in problem.extensions]] if problem.extensions else np.zeros(0)
    delivered = scenario.lot_delivered[lot, awarded] * let[:, None]
    of_award = np.array([extension.award is not None for extension in problem.extensions], dtype=bool)
    extension_delivered = scenario.extension_delivered * (taken * of_award)[:, None]
    supply_extension_beds = scenario.supply_extension_beds * (taken * ~of_award)[:, None]
    calls_off = problem.call_off_maximum > 0
    # with call-off beds it is the whole lot that matching limits, by a rule of its own; without, each bed's share will do
    most = np.where(calls_off, 1.0, problem.lot_occupancy)
    guaranteed = np.minimum(problem.guaranteed_share, most)
    fill = {
        "guaranteed": guaranteed,
        "above_guarantee": most - guaranteed,
        "call_off": np.where(calls_off, 1.0, 0.0),
        "usable": problem.lot_occupancy,
    }
    parent = [-1 if e.award is None else problem.awards[e.award].lot for e in problem.extensions]
    beds = problem.home_beds * problem.home_occupancy
    closed_home, closed_node, closed_period = np.array(problem.closures, dtype=np.int64).reshape(-1, 3).T
    saving = problem.closed_saving * worth
    award_lost, extension_lost = _lost_at_the_end(problem, scenario, delivered, extension_delivered, taken)
    bed_price, retainer = _bed_prices(problem, scenario)
    extended_price, extended_retainer = _extended_prices(problem, scenario, bed_price, retainer)
    supply_extended = scenario.supply_extension_cost @ worth * taken * ~of_award
    variable = np.zeros((len(problem.sources), len(problem.periods)))
    in_use = [*range(len(problem.homes)), *range(problem.supply_source, problem.spot_source)]
    variable[in_use] = scenario.variable_price[in_use] * weeks
    return Coefficients(
        arrivals=scenario.arrivals,
        stay=scenario.stay,
        step=scenario.step,
        lasting=kept - np.where(free[:, None, None], movable, 0.0),
        movable=movable,
        home_open=scenario.home_open[home, begun] * (beds[home] * here)[:, None],
        closed=beds[closed_home] * on_path[closed_node],
        **{f"award_{kind}": delivered * share[lot][:, None] for kind, share in fill.items()},
        award_lost=award_lost * problem.lot_occupancy[lot][:, None],
        **{f"extension_{kind}": extension_delivered * _of(share, parent)[:, None] for kind, share in fill.items()},
        extension_lost=extension_lost * _of(problem.lot_occupancy, parent, 1.0)[:, None],
        supply_beds=scenario.supply_beds,
        supply_extension_beds=supply_extension_beds,
        lost=_lost_anyway(problem, scenario),
        spot_offered=(scenario.spot_layer_beds > 0).astype(float),
        capital=scenario.capital_outlay[home, begun] * worth[begun] * here,
        residual=-scenario.residual_value[home, begun] * worth[-1] * here,
        running=scenario.home_running[home, begun] @ worth * here,
        waiting=scenario.home_waiting[home, begun] @ worth * here,
        lifecycle=scenario.home_lifecycle[home, begun] @ worth * here,
        abortive=scenario.abortive_cost[home, begun] * worth[begun] * here,
        closed_saving=np.array([saving[h, p:].sum() * on_path[n] for h, n, p in problem.closures]),
        closing=problem.closing_cost[closed_home] * worth[closed_period] * on_path[closed_node],
        managers=on_path[:, None] * (0.0 * worth if problem.managers is None else problem.managers.cost * worth),
        committed=(bed_price * (delivered * weeks)[:, None]).sum(axis=2),
        committed_extended=(extended_price * (extension_delivered * weeks)[:, None]).sum(axis=2),
        retained=(retainer * delivered * weeks).sum(axis=1),
        retained_extended=(extended_retainer * extension_delivered * weeks).sum(axis=1),
        setup=scenario.lot_setup[lot, awarded] * worth[awarded] * let,
        supply_commitment=scenario.supply_commitment @ worth,
        supply_extended=supply_extended,
        variable_price=variable,
        lot_layer_price=_layer_prices(problem, scenario) * weeks,
        spot_layer_price=scenario.spot_layer_price * weeks,
        unregistered_price=scenario.unregistered_price * weeks,
        deterrent=scenario.deterrent * weeks,
        most_unregistered=_most_unregistered(problem, scenario),
    )


def _of(share: Floats, lots: list[int], otherwise: float = 0.0) -> Floats:
    """Figures of lots [lot] for each in a list; ``otherwise`` where there is none."""
    return np.array([otherwise if lot < 0 else share[lot] for lot in lots], dtype=float)


def present(problem: Problem) -> Coefficients:
    """Which factors differ from zero in any future: what the rules of a template speak of, booleans."""
    found: dict[str, np.ndarray] = {}
    for scenario in problem.scenarios:
        own = coefficients(problem, scenario)
        for name in NAMES:
            here = getattr(own, name) != 0
            found[name] = here | found[name] if name in found else here
    return Coefficients(**found)


def either(one: Coefficients, other: Coefficients) -> Coefficients:
    """Which factors are present in one or the other, booleans."""
    return Coefficients(**{name: getattr(one, name) | getattr(other, name) for name in NAMES})


def as_numbers(own: Coefficients) -> Coefficients:
    """The same factors as plain numbers, one by one: what a model multiplies its variables with."""
    return Coefficients(**{name: getattr(own, name).astype(object) for name in NAMES})


def vector(own: Coefficients) -> Floats:
    """All factors one after the other, in the order of ``NAMES``, [factor]."""
    return np.concatenate([np.ravel(getattr(own, name)) for name in NAMES])


# beds that go


def fallen(level: Floats) -> Floats:
    """By how much a series falls from one period to the next, zero in the first; along the last axis."""
    drop = np.zeros_like(level)
    drop[..., 1:] = np.maximum(level[..., :-1] - level[..., 1:], 0.0)
    return drop


def _lost_anyway(problem: Problem, scenario: Scenario) -> Floats:
    """Beds lost in supplies and spot markets whatever is decided, and those short on the first day, [source, period]."""
    lost = np.zeros((len(problem.sources), len(problem.periods)))
    spot_beds = scenario.spot_layer_beds.sum(axis=1)
    for first, beds in ((problem.supply_source, scenario.supply_beds), (problem.spot_source, spot_beds)):
        with np.errstate(invalid="ignore"):
            drop = np.nan_to_num(fallen(beds), nan=0.0, posinf=0.0)
        if beds.shape[1]:
            start = problem.placed_at_start[:, first : first + len(beds)].sum(axis=0)
            drop[:, 0] = np.maximum(start - beds[:, 0], 0.0)
        lost[first : first + len(beds)] = drop
    return lost


def _lost_at_the_end(
    problem: Problem, scenario: Scenario, delivered: Floats, extension_delivered: Floats, taken: Floats
) -> tuple[Floats, Floats]:
    """Share of an award's beds lost as its term ends, [award, period], and as each extension ends, [extension, period].

    What an extension takes on is credited up to what is lost by the one it extends, so that its share may be below zero.
    """
    award_lost = fallen(delivered)
    extension_lost = np.zeros_like(extension_delivered)
    fallen_before: dict[tuple[str, int], Floats] = {}
    for position, extension in enumerate(problem.extensions):
        if not taken[position]:
            continue
        if extension.award is not None:
            key, level = ("award", extension.award), extension_delivered[position]
            first = -np.diff(delivered[extension.award], prepend=delivered[extension.award][:1])
        else:
            assert extension.supply is not None
            key, level = ("supply", extension.supply), scenario.supply_extension_beds[position]
            first = _lost_anyway(problem, scenario)[problem.supply_source + extension.supply]
        fall = -np.diff(level, prepend=level[:1])
        if extension.supply is not None and len(level):
            fall[0] = -level[0]
        extension_lost[position] = np.maximum(fall, -np.maximum(fallen_before.get(key, first), 0.0))
        if extension.award is not None and len(level):
            extension_lost[position, 0] = 0.0
        fallen_before[key] = fall
    return award_lost, extension_lost


# money


def _bed_prices(problem: Problem, scenario: Scenario) -> tuple[Floats, Floats]:
    """Nominal £ a bed-week, filled or not: committed beds [award, tier, period], call-off beds held [award, period]."""
    periods = len(problem.periods)
    price = np.zeros((len(problem.awards), max_tiers(problem), periods))
    retainer = np.zeros((len(problem.awards), periods))
    lot_price, call_off_retainer = scenario.lot_price, scenario.call_off_retainer
    for position, award in enumerate(problem.awards):
        paid = problem.guaranteed_share[award.lot] * problem.void_price_share[award.lot]
        tiers = len(problem.lot_tiers[award.lot])
        price[position, :tiers] = paid * lot_price[award.lot, :tiers, award.period]
        if problem.call_off_maximum[award.lot] > 0:
            retainer[position] = call_off_retainer[award.lot, award.period]
    return price, retainer


def _extended_prices(
    problem: Problem, scenario: Scenario, bed_price: Floats, retainer: Floats
) -> tuple[Floats, Floats]:
    """The same for beds that extensions keep, [extension, tier, period] and [extension, period]."""
    price = np.zeros((len(problem.extensions), *bed_price.shape[1:]))
    held = np.zeros((len(problem.extensions), retainer.shape[1]))
    for position, extension in enumerate(problem.extensions):
        if extension.award is not None:
            price[position] = bed_price[extension.award] * scenario.extension_price[position]
            held[position] = retainer[extension.award] * scenario.extension_price[position]
    return price, held


def _layer_prices(problem: Problem, scenario: Scenario) -> Floats:
    """Price of a bed-week in each priced layer of the lots, nominal £, [layer of a lot, period].

    In a period shared by a term and its extension the term's price stands; the extension's from the next.
    """
    prices = np.zeros((len(problem.lot_layers), len(problem.periods)))
    if not problem.lot_layers:
        return prices
    delivered, lot_price, call_off_price = scenario.lot_delivered, scenario.lot_price, scenario.call_off_price
    for layer, (kind, position, tier) in enumerate(problem.lot_layers):
        award = problem.awards[position]
        if award.node not in scenario.path:
            continue
        if kind == "call_off":
            price = call_off_price[award.lot, award.period]
        else:
            price = lot_price[award.lot, tier, award.period]
            if kind == "filled":
                price = price * (1 - problem.void_price_share[award.lot])
        factor = np.ones(len(problem.periods))
        under_way = delivered[award.lot, award.period] > 0
        for extension in problem.extensions_of(award=position):
            if problem.extensions[extension].node in scenario.path:
                extended = scenario.extension_delivered[extension] > 0
                factor[extended & ~under_way] = scenario.extension_price[extension]
                under_way = under_way | extended
        prices[layer] = price * factor
    return prices


# tolerance


def census_bound(problem: Problem, scenario: Scenario) -> Floats:
    """No more children than this can be in a cohort, [cohort, period]: every child stays as long as anywhere."""
    bound = np.zeros((len(problem.cohorts), len(problem.periods)))
    previous = problem.placed_at_start.sum(axis=1)
    for period in range(len(problem.periods)):
        current = scenario.stay[:, :, period].max(axis=1) * previous + scenario.arrivals[:, period]
        for step, (origin, destination) in enumerate(problem.steps):
            current[destination] += scenario.step[step, :, period].max() * previous[origin]
        bound[:, period] = previous = current
    return bound


def _most_unregistered(problem: Problem, scenario: Scenario) -> Floats:
    """Child-weeks of each year if no child of a tolerance's authorities had a registered home, [tolerance, year]."""
    most = np.zeros((len(problem.unregistered_limits), len(problem.financial_years)))
    if not any(limit.epsilon is not None for limit in problem.unregistered_limits):
        return most
    weeks = problem.weeks * census_bound(problem, scenario)
    for position, limit in enumerate(problem.unregistered_limits):
        np.add.at(most[position], problem.period_year, weeks[_within(problem, limit)].sum(axis=0))
    return most


def _within(problem: Problem, limit: UnregisteredLimit) -> np.ndarray:
    """Cohorts of a tolerance's authorities, booleans [cohort]."""
    return np.isin(problem.cohort_authority, limit.authorities)
