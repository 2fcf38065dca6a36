"""Second stage: where children live, month by month, in one future.

Admissions and moves are substituted out: one variable and one row per cohort, source and period. Planned moves that are
free of charge are substituted out as well; priced ones have a variable.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import pyomo.environ as pyo

from models.capacity import begun_on, closed_on
from models.problem import Problem, Scenario

Terms = list[tuple[float, object]]


def build(future: pyo.Block, model: pyo.ConcreteModel, problem: Problem, scenario: Scenario) -> None:
    """Add where children live in one scenario, given the capacity decisions in ``model``."""
    add_placements(future, problem, scenario)
    add_every_child_placed(future, problem, scenario)
    add_placements_last(future, model, problem, scenario)
    add_moves_at_closure_within_beds_lost(future, model, problem, scenario)
    add_placed_within_capacity(future, model, problem, scenario)
    add_layers_within_award(future, model, problem, scenario)
    add_contract_has_its_home(future, model, problem, scenario)


def add_placements(future: pyo.Block, problem: Problem, scenario: Scenario) -> None:
    """Children by cohort, source and period; beds bought in priced layers; beds sold; moves."""
    cohorts, periods = range(len(problem.cohorts)), range(len(problem.periods))
    sources = range(len(problem.sources))
    future.PLACEABLE = pyo.Set(
        initialize=[
            (cohort, source, period)
            for cohort in cohorts
            for source in sources
            for period in periods
            if problem.allowed[cohort, source, period]
        ],
        dimen=3,
    )
    future.placed = pyo.Var(future.PLACEABLE, domain=pyo.NonNegativeReals, doc="Children living there [children]")

    loses = beds_may_be_lost(problem, scenario)
    future.ENDING = pyo.Set(
        initialize=[
            (cohort, source, period)
            for cohort in cohorts
            for source in sources[:-1]
            for period in periods
            if may_end(problem, scenario, loses, cohort, source, period)
        ],
        dimen=3,
    )
    future.moves_at_closure = pyo.Var(
        future.ENDING, domain=pyo.NonNegativeReals, doc="Placements ended because the bed goes [children]"
    )
    movable = problem.movable(scenario)
    future.MOVES = pyo.Set(
        initialize=[
            (cohort, source, period)
            for cohort in cohorts
            if problem.planned_move_price[cohort] > 0
            for source in sources[:-1]
            for period in periods
            if present_before(problem, cohort, source, period) and movable[cohort, source, period] > 0
        ],
        dimen=3,
    )
    future.planned_moves = pyo.Var(
        future.MOVES, domain=pyo.NonNegativeReals, doc="Planned moves out, where priced [children]"
    )
    future.LAYERS = pyo.Set(
        initialize=[
            *(
                (problem.lot_source + problem.awards[award].lot, layer, period)
                for layer, (_, award, _) in enumerate(problem.lot_layers)
                if problem.awards[award].node in scenario.path
                for period in periods
                if delivered_at_all(problem, scenario, award, period)
            ),
            *(
                (problem.spot_source + spot, layer, period)
                for spot in range(len(problem.spots))
                for layer in range(scenario.spot_layer_beds.shape[1])
                for period in periods
                if scenario.spot_layer_beds[spot, layer, period] > 0
            ),
        ],
        dimen=3,
    )

    def layer_bounds(future: pyo.Block, source: int, layer: int, period: int) -> tuple[float, float | None]:
        if source < problem.spot_source:
            return 0, None
        beds = scenario.spot_layer_beds[source - problem.spot_source, layer, period]
        return 0, (None if np.isinf(beds) else float(beds))

    future.layer_used = pyo.Var(future.LAYERS, bounds=layer_bounds, doc="Beds bought in the price layer [beds]")
    future.SOLD = pyo.Set(
        initialize=[(r, period) for r in sources[:-1] for period in periods if problem.sold_maximum[r, period] > 0],
        dimen=2,
    )
    future.beds_sold = pyo.Var(
        future.SOLD,
        bounds=lambda future, source, period: (0, float(problem.sold_maximum[source, period])),
        doc="Idle beds sold to others [beds]",
    )


# what was there before


def present_before(problem: Problem, cohort: int, source: int, period: int) -> bool:
    """Whether the cohort can have had children with this source in the period before."""
    if period == 0:
        return bool(problem.placed_at_start[cohort, source] > 0)
    return bool(problem.allowed[cohort, source, period - 1])


def may_end(problem: Problem, scenario: Scenario, loses: np.ndarray, cohort: int, source: int, period: int) -> bool:
    """Whether placements of the cohort can end there because the bed goes: children were there, or step into it there."""
    there = present_before(problem, cohort, source, period)
    if not problem.allowed[cohort, source, period]:
        return there
    stepped = any(
        destination == cohort
        and scenario.step[step, source, period] > 0
        and present_before(problem, origin, source, period)
        for step, (origin, destination) in enumerate(problem.steps)
    )
    return bool(loses[source, period]) and (there or stepped)


def before(future: pyo.Block, problem: Problem, cohort: int, source: int, period: int) -> object:
    """Children placed in the period before: a variable, or the number at the start."""
    if period == 0:
        return float(problem.placed_at_start[cohort, source])
    return future.placed[cohort, source, period - 1] if problem.allowed[cohort, source, period - 1] else 0.0


def delivered_at_all(problem: Problem, scenario: Scenario, award: int, period: int) -> bool:
    """Whether any bed of the award, or of an extension of it, can be there in the period."""
    which = problem.awards[award]
    if scenario.lot_delivered[which.lot, which.period, period] > 0:
        return True
    return any(scenario.extension_delivered[e, period] > 0 for e in problem.extensions_of(award=award))


def fallen(level: np.ndarray) -> np.ndarray:
    """By how much a series falls from one period to the next, zero in the first; along the last axis."""
    drop = np.zeros_like(level)
    drop[..., 1:] = np.maximum(level[..., :-1] - level[..., 1:], 0.0)
    return drop


def spot_beds(scenario: Scenario) -> np.ndarray:
    """Beds on offer in all layers of each spot market, [spot, period]."""
    total: np.ndarray = scenario.spot_layer_beds.sum(axis=1)
    return total


def beds_may_be_lost(problem: Problem, scenario: Scenario) -> np.ndarray:
    """Where any decision, or the future itself, can take beds away, [source, period]."""
    lost = np.zeros((len(problem.sources), len(problem.periods)), dtype=bool)
    for home in range(len(problem.homes)):
        if problem.closable[home]:
            lost[home, 1:] = True
    for award in problem.awards:
        lost[problem.lot_source + award.lot] |= fallen(scenario.lot_delivered[award.lot, award.period]) > 0
    for position, extension in enumerate(problem.extensions):
        if extension.award is not None:
            source = problem.lot_source + problem.awards[extension.award].lot
            lost[source] |= fallen(scenario.extension_delivered[position]) > 0
        else:
            assert extension.supply is not None
            lost[problem.supply_source + extension.supply] |= fallen(scenario.supply_extension_beds[position]) > 0
    lost[problem.supply_source : problem.spot_source] |= (
        lost_by_itself(problem, problem.supply_source, scenario.supply_beds) > 0
    )
    lost[problem.spot_source : problem.unregistered] |= (
        lost_by_itself(problem, problem.spot_source, spot_beds(scenario)) > 0
    )
    return lost


def lost_by_itself(problem: Problem, first: int, beds: np.ndarray) -> np.ndarray:
    """Beds lost in supplies or spot markets whatever is decided, and those short on the first day, [·, period]."""
    with np.errstate(invalid="ignore"):
        drop: np.ndarray = np.nan_to_num(fallen(beds), nan=0.0, posinf=0.0)
    if beds.shape[1]:
        start = problem.placed_at_start[:, first : first + len(beds)].sum(axis=0)
        drop[:, 0] = np.maximum(start - beds[:, 0], 0.0)
    return drop


# rules


def add_every_child_placed(future: pyo.Block, problem: Problem, scenario: Scenario) -> None:
    """Every child in care lives somewhere.

    sum placed[c, r, t] over r = sum stay[c, r, t] * placed[c, r, t-1] over r
                               + sum step[c' to c, r, t] * placed[c', r, t-1] over c', r + arrivals[c, t]
    for all c in COHORTS, t in PERIODS   [children]
    """
    sources = range(len(problem.sources))

    def rule(future: pyo.Block, cohort: int, period: int) -> object:
        here = sum(future.placed[cohort, r, period] for r in sources if problem.allowed[cohort, r, period])
        stayed = sum(
            float(scenario.stay[cohort, r, period]) * before(future, problem, cohort, r, period)
            for r in sources
            if present_before(problem, cohort, r, period)
        )
        stepped = sum(
            float(scenario.step[step, r, period]) * before(future, problem, origin, r, period)
            for step, (origin, destination) in enumerate(problem.steps)
            if destination == cohort
            for r in sources
            if present_before(problem, origin, r, period) and scenario.step[step, r, period] > 0
        )
        return here - stayed - stepped == float(scenario.arrivals[cohort, period])

    future.every_child_placed = pyo.Constraint(
        range(len(problem.cohorts)), range(len(problem.periods)), rule=rule, doc="Every child in care placed [children]"
    )


def add_placements_last(future: pyo.Block, model: pyo.ConcreteModel, problem: Problem, scenario: Scenario) -> None:
    """A child stays where he or she lives until leaving, breakdown, a planned move, or the bed goes.

    placed[c, r, t] >= (stay - breakdown)[c, r, t] * placed[c, r, t-1] + stepped across within r
                       - planned moves - moves_at_closure[c, r, t]
    for all c in COHORTS, registered r, t in PERIODS   [children]

    Off for *no registered home found*: children leave it as soon as a bed is free. Planned moves are at most
    movable[c, r, t] * placed[c, r, t-1]; where they are free they are taken in full on the right.
    """
    kept, movable = problem.kept(scenario), problem.movable(scenario)
    ending, moving = frozenset(future.ENDING), frozenset(future.MOVES)

    def rule(future: pyo.Block, cohort: int, source: int, period: int) -> object:
        allowed = problem.allowed[cohort, source, period]
        priced = (cohort, source, period) in moving
        share = kept[cohort, source, period] - (0.0 if priced else movable[cohort, source, period])
        lasting: list[object] = []
        if present_before(problem, cohort, source, period) and share > 0:
            lasting.append(float(share) * before(future, problem, cohort, source, period))
        if allowed:
            lasting += [
                float(scenario.step[step, source, period]) * before(future, problem, origin, source, period)
                for step, (origin, destination) in enumerate(problem.steps)
                if destination == cohort
                and present_before(problem, origin, source, period)
                and scenario.step[step, source, period] > 0
            ]
        if not lasting:
            return pyo.Constraint.Skip
        if priced:
            lasting.append(-future.planned_moves[cohort, source, period])
        if (cohort, source, period) in ending:
            lasting.append(-future.moves_at_closure[cohort, source, period])
        here = future.placed[cohort, source, period] if allowed else 0.0
        return here - sum(lasting) >= 0

    future.placements_last = pyo.Constraint(
        range(len(problem.cohorts)),
        range(problem.unregistered),
        range(len(problem.periods)),
        rule=rule,
        doc="Placements last [children]",
    )

    def within_mobility(future: pyo.Block, cohort: int, source: int, period: int) -> object:
        most = float(movable[cohort, source, period]) * before(future, problem, cohort, source, period)
        return future.planned_moves[cohort, source, period] - most <= 0

    future.planned_moves_within_mobility = pyo.Constraint(
        future.MOVES, rule=within_mobility, doc="Planned moves within the rate [children]"
    )


def add_moves_at_closure_within_beds_lost(
    future: pyo.Block, model: pyo.ConcreteModel, problem: Problem, scenario: Scenario
) -> None:
    """Placements end because a bed goes only where beds go.

    sum moves_at_closure[c, r, t] over c still allowed there <= beds lost at r in t
    for all registered r, t in PERIODS   [children]

    Cohorts that may no longer be placed there move whatever beds remain.
    """

    ending = frozenset(future.ENDING)

    def rule(future: pyo.Block, source: int, period: int) -> object:
        moves = [
            future.moves_at_closure[cohort, source, period]
            for cohort in range(len(problem.cohorts))
            if (cohort, source, period) in ending and problem.allowed[cohort, source, period]
        ]
        if not moves:
            return pyo.Constraint.Skip
        constant, terms = beds_lost(model, problem, scenario, source, period)
        return sum(moves) - sum(share * variable for share, variable in terms) <= constant

    future.moves_at_closure_within_beds_lost = pyo.Constraint(
        range(problem.unregistered),
        range(len(problem.periods)),
        rule=rule,
        doc="Moves at closure within beds lost [beds]",
    )


def beds_lost(
    model: pyo.ConcreteModel, problem: Problem, scenario: Scenario, source: int, period: int
) -> tuple[float, Terms]:
    """Beds that go in this period: those that go anyway, and those that decisions take away or keep."""
    kind = problem.source_kind(source)
    if kind == "home":
        beds = float(problem.home_beds[source] * problem.home_occupancy[source])
        return 0.0, [(beds, model.homes_closed[i]) for i in closed_on(problem, scenario.path, source) if i[2] == period]
    if kind == "lot":
        lot = source - problem.lot_source
        return 0.0, [
            (share * float(problem.lot_occupancy[lot]), variable)
            for share, variable in lot_beds(model, problem, scenario, lot, period, change=True)
        ]
    if kind == "supply":
        supply = source - problem.supply_source
        lost = lost_by_itself(problem, problem.supply_source, scenario.supply_beds)[supply, period]
        terms: Terms = [
            (share, model.extension_taken[extension])
            for extension, share in supply_extensions_lost(problem, scenario, supply, period, float(lost))
            if share
        ]
        return float(lost), terms
    spot = source - problem.spot_source
    return float(lost_by_itself(problem, problem.spot_source, spot_beds(scenario))[spot, period]), []


def supply_extensions_lost(
    problem: Problem, scenario: Scenario, supply: int, period: int, lost: float
) -> list[tuple[int, float]]:
    """Beds lost at the end of each extension of a supply; below zero where it takes on beds that would have been lost."""
    shares = []
    fall_before = lost
    for extension in problem.extensions_of(supply=supply):
        if problem.extensions[extension].node not in scenario.path:
            continue
        beds = scenario.supply_extension_beds[extension]
        fall = float(beds[period - 1] - beds[period]) if period > 0 else -float(beds[period])
        shares.append((extension, max(fall, -max(fall_before, 0.0))))
        fall_before = fall
    return shares


def lot_beds(
    model: pyo.ConcreteModel,
    problem: Problem,
    scenario: Scenario,
    lot: int,
    period: int,
    *,
    change: bool = False,
    award: int | None = None,
    tiers: Iterable[int] | None = None,
) -> Terms:
    """Delivered beds of a lot's awards and their extensions, as (share, decision); with ``change`` the beds lost.

    The beds lost when a term ends are those delivered before, less those that an extension takes on in the same period.
    """

    terms: Terms = []
    for position in problem.awards_of(lot) if award is None else (award,):
        which = problem.awards[position]
        if which.node not in scenario.path:
            continue
        kinds = tuple(tiers) if tiers is not None else (*range(len(problem.lot_tiers[lot])), -1)
        kinds = tuple(kind for kind in kinds if kind != -1 or problem.call_off_maximum[lot] > 0)
        shares = award_shares(problem, scenario, position, period, change=change)
        for kind in kinds:
            index = lot, which.node, which.period
            committed = (
                model.optional_beds[index] if kind == -1 else model.beds_in_tier[lot, kind, which.node, which.period]
            )
            terms += [
                (share, committed if extension is None else model.beds_extended[extension, kind])
                for extension, share in shares
                if share
            ]
    return terms


def award_shares(
    problem: Problem, scenario: Scenario, award: int, period: int, *, change: bool
) -> list[tuple[int | None, float]]:
    """Share of an award's beds delivered in its term (None) and under each extension; with ``change`` the share lost.

    What an extension takes on is credited up to what is lost by the one it extends.
    """
    which = problem.awards[award]
    series: list[tuple[int | None, np.ndarray]] = [(None, scenario.lot_delivered[which.lot, which.period])]
    series += [
        (extension, scenario.extension_delivered[extension])
        for extension in problem.extensions_of(award=award)
        if problem.extensions[extension].node in scenario.path
    ]
    if not change:
        return [(extension, float(level[period])) for extension, level in series]
    if period == 0:
        return []
    lost: list[tuple[int | None, float]] = []
    fall_before = 0.0
    for extension, level in series:
        change_here = float(level[period - 1] - level[period])
        lost.append(
            (extension, max(change_here, -max(fall_before, 0.0)) if extension is not None else max(change_here, 0.0))
        )
        fall_before = change_here
    return lost


def add_placed_within_capacity(
    future: pyo.Block, model: pyo.ConcreteModel, problem: Problem, scenario: Scenario
) -> None:
    """Children placed with a source, and idle beds sold, never exceed its usable beds.

    sum placed[c, r, t] over c + beds_sold[r, t] <= usable beds[r, t] + sum layer_used[r, l, t] over l
    for all registered r, t in PERIODS   [beds]

    Usable beds of a home count from its registration (``homes_open_after_registration``), of a lot from its
    mobilisation (``lot_delivered_after_mobilisation``), both through the shares of the scenario.
    """

    selling, bought = frozenset(future.SOLD), frozenset(future.LAYERS)

    def rule(future: pyo.Block, source: int, period: int) -> object:
        cohorts = [c for c in range(len(problem.cohorts)) if problem.allowed[c, source, period]]
        sold = [future.beds_sold[source, period]] if (source, period) in selling else []
        if not cohorts and not sold:
            return pyo.Constraint.Skip
        layers = [
            future.layer_used[source, layer, period]
            for layer in layers_of(problem, scenario, source)
            if (source, layer, period) in bought
        ]
        constant, usable = usable_beds(model, problem, scenario, source, period)
        placed = sum(future.placed[cohort, source, period] for cohort in cohorts)
        return placed + sum(sold) - sum(layers) - sum(share * variable for share, variable in usable) <= constant

    future.placed_within_capacity = pyo.Constraint(
        range(problem.unregistered), range(len(problem.periods)), rule=rule, doc="Placements within usable beds [beds]"
    )


def layers_of(problem: Problem, scenario: Scenario, source: int) -> range | list[int]:
    """Positions of the priced layers of a source."""
    if source >= problem.spot_source:
        return range(scenario.spot_layer_beds.shape[1])
    lot = source - problem.lot_source
    return [layer for layer, (_, award, _) in enumerate(problem.lot_layers) if problem.awards[award].lot == lot]


def usable_beds(
    model: pyo.ConcreteModel, problem: Problem, scenario: Scenario, source: int, period: int
) -> tuple[float, Terms]:
    """Beds usable at no further price per bed: a constant and (share, decision) terms."""
    kind = problem.source_kind(source)
    if kind == "home":
        return 0.0, open_beds(model, problem, scenario, source, period)
    if kind == "lot":
        lot = source - problem.lot_source
        if problem.void_price_share[lot] < 1:
            return 0.0, []
        share = problem.guaranteed_beds(lot)
        tiers = range(len(problem.lot_tiers[lot]))
        beds = lot_beds(model, problem, scenario, lot, period, tiers=tiers)
        return 0.0, [(share * part, variable) for part, variable in beds if share * part > 0]
    if kind == "supply":
        supply = source - problem.supply_source
        return float(scenario.supply_beds[supply, period]), [
            (float(scenario.supply_extension_beds[extension, period]), model.extension_taken[extension])
            for extension in problem.extensions_of(supply=supply)
            if problem.extensions[extension].node in scenario.path
            and scenario.supply_extension_beds[extension, period] > 0
        ]
    return 0.0, []


def open_beds(model: pyo.ConcreteModel, problem: Problem, scenario: Scenario, home: int, period: int) -> Terms:
    """Beds of a home type that are registered, ramped up and matched, less those of homes closed."""
    beds = float(problem.home_beds[home] * problem.home_occupancy[home])
    return [
        *(
            (beds * float(scenario.home_open[home, index[2], period]), model.homes_begun[index])
            for index in begun_on(problem, scenario.path, home)
            if scenario.home_open[home, index[2], period] > 0
        ),
        *(
            (-beds, model.homes_closed[index])
            for index in closed_on(problem, scenario.path, home)
            if index[2] <= period
        ),
    ]


def add_layers_within_award(future: pyo.Block, model: pyo.ConcreteModel, problem: Problem, scenario: Scenario) -> None:
    """Beds bought in a priced layer of a lot are beds that the award holds.

    layer_used[r, l, t] <= share of a bed that the layer holds * delivered beds of its award and tier
    for all layers of lots, t in PERIODS   [beds]
    """

    def rule(future: pyo.Block, source: int, layer: int, period: int) -> object:
        if source >= problem.spot_source:
            return pyo.Constraint.Skip
        kind, award, tier = problem.lot_layers[layer]
        lot = source - problem.lot_source
        share = {
            "filled": problem.guaranteed_beds(lot),
            "above_guarantee": float(problem.lot_occupancy[lot]) - problem.guaranteed_beds(lot),
            "call_off": float(problem.lot_occupancy[lot]),
        }[kind]
        beds = lot_beds(model, problem, scenario, lot, period, award=award, tiers=(tier,))
        return future.layer_used[source, layer, period] - sum(share * part * variable for part, variable in beds) <= 0

    future.layers_within_award = pyo.Constraint(future.LAYERS, rule=rule, doc="Priced layers within the award [beds]")


def add_contract_has_its_home(
    future: pyo.Block, model: pyo.ConcreteModel, problem: Problem, scenario: Scenario
) -> None:
    """Children in beds that a provider runs in a council building fit in the buildings refurbished and open.

    sum placed and sold over lots run from the building <= open beds of the building   for all buildings, t in PERIODS   [beds]
    """

    def rule(future: pyo.Block, building: int, period: int) -> object:
        sources = [
            problem.lot_source + lot for lot in range(len(problem.lots)) if problem.lot_building[lot] == building
        ]
        placed = [
            *(
                future.placed[cohort, source, period]
                for source in sources
                for cohort in range(len(problem.cohorts))
                if problem.allowed[cohort, source, period]
            ),
            *(future.beds_sold[source, period] for source in sources if (source, period) in future.SOLD),
        ]
        if not placed:
            return pyo.Constraint.Skip
        beds = open_beds(model, problem, scenario, building, period)
        return sum(placed) - sum(share * variable for share, variable in beds) <= 0

    buildings = sorted({int(building) for building in problem.lot_building if building >= 0})
    future.contract_has_its_home = pyo.Constraint(
        buildings, range(len(problem.periods)), rule=rule, doc="Contracted beds within buildings open [beds]"
    )


def census_bound(problem: Problem, scenario: Scenario) -> np.ndarray:
    """No more children than this can be in a cohort, [cohort, period]: every child stays as long as anywhere."""
    bound = np.zeros((len(problem.cohorts), len(problem.periods)))
    previous = problem.placed_at_start.sum(axis=1)
    for period in range(len(problem.periods)):
        current = scenario.stay[:, :, period].max(axis=1) * previous + scenario.arrivals[:, period]
        for step, (origin, destination) in enumerate(problem.steps):
            current[destination] += scenario.step[step, :, period].max() * previous[origin]
        bound[:, period] = previous = current
    return bound
