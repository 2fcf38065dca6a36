"""Second stage: where children live, month by month, in one future.

Admissions and moves are substituted out: one variable and one row per cohort, source and period. Planned moves that are
free of charge are substituted out as well; priced ones have a variable.

What a future says comes as ``Coefficients``: numbers, or the parameters of a template. Which rows and columns there are
depends on what is ``present`` in any future, so that all futures of a problem have the same.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import pyomo.environ as pyo

from models.capacity import joined, part_of
from models.coefficients import Coefficients
from models.problem import Problem, Scenario

Terms = list[tuple[object, object]]
#: Part of an award's beds that each kind of priced layer holds.
LAYER_PARTS = {"filled": "guaranteed", "above_guarantee": "above_guarantee", "call_off": "call_off"}


def build(
    future: pyo.Block, model: pyo.ConcreteModel, problem: Problem, present: Coefficients, numbers: Coefficients
) -> None:
    """Add where children live in one future, given the capacity decisions in ``model``."""
    add_placements(future, problem, present)
    add_every_child_placed(future, model, problem, present, numbers)
    add_placements_last(future, model, problem, present, numbers)
    add_moves_at_closure_within_beds_lost(future, model, problem, present, numbers)
    add_placed_within_capacity(future, model, problem, present, numbers)
    add_placed_within_matching(future, model, problem, present, numbers)
    add_layers_within_award(future, model, problem, present, numbers)
    add_contract_has_its_home(future, model, problem, present, numbers)


def add_placements(future: pyo.Block, problem: Problem, present: Coefficients) -> None:
    """Children by cohort, source and period; beds bought in priced layers; beds sold; moves.

    How many beds a layer of a spot market offers bounds ``layer_used``; it is set by ``bound_layers``.
    """
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

    losing = beds_may_be_lost(problem, present)
    future.ENDING = pyo.Set(
        initialize=[
            (cohort, source, period)
            for cohort in cohorts
            for source in sources[:-1]
            for period in periods
            if may_end(problem, present, losing, cohort, source, period)
        ],
        dimen=3,
    )
    future.moves_at_closure = pyo.Var(
        future.ENDING, domain=pyo.NonNegativeReals, doc="Placements ended because the bed goes [children]"
    )
    future.MOVES = pyo.Set(
        initialize=[
            (cohort, source, period)
            for cohort in cohorts
            if problem.planned_move_price[cohort] > 0
            for source in sources[:-1]
            for period in periods
            if present_before(problem, cohort, source, period) and present.movable[cohort, source, period]
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
                for layer, (kind, award, _) in enumerate(problem.lot_layers)
                for period in periods
                if held_at_all(problem, present, award, period, LAYER_PARTS[kind])
            ),
            *(
                (problem.spot_source + spot, layer, period)
                for spot, layer, period in np.argwhere(present.spot_offered).tolist()
            ),
        ],
        dimen=3,
    )
    future.layer_used = pyo.Var(future.LAYERS, domain=pyo.NonNegativeReals, doc="Beds bought in the price layer [beds]")
    future.SOLD = pyo.Set(
        initialize=[(r, period) for r in sources[:-1] for period in periods if problem.sold_maximum[r, period] > 0],
        dimen=2,
    )
    future.beds_sold = pyo.Var(
        future.SOLD,
        bounds=lambda future, source, period: (0, float(problem.sold_maximum[source, period])),
        doc="Idle beds sold to others [beds]",
    )


def bound_layers(future: pyo.Block, problem: Problem, scenario: Scenario) -> None:
    """Bound what is bought in the layers of spot markets by the beds on offer in one future."""
    for source, layer, period in future.LAYERS:
        if source >= problem.spot_source:
            beds = scenario.spot_layer_beds[source - problem.spot_source, layer, period]
            future.layer_used[source, layer, period].setub(None if np.isinf(beds) else float(beds))


# what was there before


def present_before(problem: Problem, cohort: int, source: int, period: int) -> bool:
    """Whether the cohort can have had children with this source in the period before."""
    if period == 0:
        return bool(problem.placed_at_start[cohort, source] > 0)
    return bool(problem.allowed[cohort, source, period - 1])


def may_end(problem: Problem, present: Coefficients, losing: np.ndarray, cohort: int, source: int, period: int) -> bool:
    """Whether placements of the cohort can end there because the bed goes: children were there, or step into it there."""
    there = present_before(problem, cohort, source, period)
    if not problem.allowed[cohort, source, period]:
        return there
    stepped = any(
        destination == cohort and present.step[step, source, period] and present_before(problem, origin, source, period)
        for step, (origin, destination) in enumerate(problem.steps)
    )
    return bool(losing[source, period]) and (there or stepped)


def before(
    future: pyo.Block, model: pyo.ConcreteModel, problem: Problem, cohort: int, source: int, period: int
) -> object:
    """Children placed in the period before: a variable, or the number at the start of an authority in the plan."""
    if period == 0:
        here = joined(model, problem, int(problem.cohort_authority[cohort]))
        return float(problem.placed_at_start[cohort, source]) * here
    return future.placed[cohort, source, period - 1] if problem.allowed[cohort, source, period - 1] else 0.0


def held_at_all(problem: Problem, present: Coefficients, award: int, period: int, part: str) -> bool:
    """Whether any bed of the award, or of an extension of it, can be in a part (see ``lot_beds``) in the period."""
    extensions = list(problem.extensions_of(award=award))
    here, extended = getattr(present, f"award_{part}"), getattr(present, f"extension_{part}")
    return bool(here[award, period] or extended[extensions, period].any())


def beds_may_be_lost(problem: Problem, present: Coefficients) -> np.ndarray:
    """Where any decision, or a future itself, can take beds away, [source, period]."""
    losing = np.array(present.lost, dtype=bool)
    losing[: len(problem.homes), 1:] |= problem.closable[:, None]
    for position, award in enumerate(problem.awards):
        losing[problem.lot_source + award.lot] |= present.award_lost[position]
    for position, extension in enumerate(problem.extensions):
        if extension.award is not None:
            source = problem.lot_source + problem.awards[extension.award].lot
        else:
            assert extension.supply is not None
            source = problem.supply_source + extension.supply
        losing[source] |= present.extension_lost[position]
    return losing


# rules


def add_every_child_placed(
    future: pyo.Block, model: pyo.ConcreteModel, problem: Problem, present: Coefficients, numbers: Coefficients
) -> None:
    """Every child in care lives somewhere.

    sum placed[c, r, t] over r = sum stay[c, r, t] * placed[c, r, t-1] over r
                               + sum step[c' to c, r, t] * placed[c', r, t-1] over c', r + arrivals[c, t]
    for all c in COHORTS, t in PERIODS   [children]

    Arrivals, and children placed at the start, count where their authority has joined.
    """
    sources = range(len(problem.sources))

    def rule(future: pyo.Block, cohort: int, period: int) -> object:
        here = sum(future.placed[cohort, r, period] for r in sources if problem.allowed[cohort, r, period])
        stayed = sum(
            numbers.stay[cohort, r, period] * before(future, model, problem, cohort, r, period)
            for r in sources
            if present_before(problem, cohort, r, period) and present.stay[cohort, r, period]
        )
        stepped = sum(
            numbers.step[step, r, period] * before(future, model, problem, origin, r, period)
            for step, (origin, destination) in enumerate(problem.steps)
            if destination == cohort
            for r in sources
            if present_before(problem, origin, r, period) and present.step[step, r, period]
        )
        arrived = numbers.arrivals[cohort, period] * joined(model, problem, int(problem.cohort_authority[cohort]))
        return here - stayed - stepped - arrived == 0

    future.every_child_placed = pyo.Constraint(
        range(len(problem.cohorts)), range(len(problem.periods)), rule=rule, doc="Every child in care placed [children]"
    )


def add_placements_last(
    future: pyo.Block, model: pyo.ConcreteModel, problem: Problem, present: Coefficients, numbers: Coefficients
) -> None:
    """A child stays where he or she lives until leaving, breakdown, a planned move, or the bed goes.

    placed[c, r, t] >= (stay - breakdown)[c, r, t] * placed[c, r, t-1] + stepped across within r
                       - planned moves - moves_at_closure[c, r, t]
    for all c in COHORTS, registered r, t in PERIODS   [children]

    Off for *no registered home found*: children leave it as soon as a bed is free. Planned moves are at most
    movable[c, r, t] * placed[c, r, t-1]; where they are free they are taken in full on the right.
    """
    ending, moving = frozenset(future.ENDING), frozenset(future.MOVES)

    def rule(future: pyo.Block, cohort: int, source: int, period: int) -> object:
        allowed = problem.allowed[cohort, source, period]
        lasting: list[object] = []
        if present_before(problem, cohort, source, period) and present.lasting[cohort, source, period]:
            lasting.append(
                numbers.lasting[cohort, source, period] * before(future, model, problem, cohort, source, period)
            )
        if allowed:
            lasting += [
                numbers.step[step, source, period] * before(future, model, problem, origin, source, period)
                for step, (origin, destination) in enumerate(problem.steps)
                if destination == cohort
                and present_before(problem, origin, source, period)
                and present.step[step, source, period]
            ]
        if not lasting:
            return pyo.Constraint.Skip
        if (cohort, source, period) in moving:
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
        most = numbers.movable[cohort, source, period] * before(future, model, problem, cohort, source, period)
        return future.planned_moves[cohort, source, period] - most <= 0

    future.planned_moves_within_mobility = pyo.Constraint(
        future.MOVES, rule=within_mobility, doc="Planned moves within the rate [children]"
    )


def add_moves_at_closure_within_beds_lost(
    future: pyo.Block, model: pyo.ConcreteModel, problem: Problem, present: Coefficients, numbers: Coefficients
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
        terms = beds_lost(model, problem, present, numbers, source, period)
        anyway = numbers.lost[source, period]
        if problem.source_kind(source) == "supply":
            anyway = anyway * part_of(model, problem, source)
        return sum(moves) - anyway - sum(share * variable for share, variable in terms) <= 0

    future.moves_at_closure_within_beds_lost = pyo.Constraint(
        range(problem.unregistered),
        range(len(problem.periods)),
        rule=rule,
        doc="Moves at closure within beds lost [beds]",
    )


def beds_lost(
    model: pyo.ConcreteModel, problem: Problem, present: Coefficients, numbers: Coefficients, source: int, period: int
) -> Terms:
    """Beds that go in this period because decisions take them away, less those that decisions keep."""
    kind = problem.source_kind(source)
    if kind == "home":
        return [
            (numbers.closed[position], model.homes_closed[index])
            for position, index in enumerate(problem.closures)
            if index[0] == source and index[2] == period
        ]
    if kind == "lot":
        lot = source - problem.lot_source
        return lot_beds(model, problem, present, numbers, lot, period, "lost")
    if kind == "supply":
        supply = source - problem.supply_source
        return [
            (numbers.extension_lost[extension, period], model.extension_taken[extension])
            for extension in problem.extensions_of(supply=supply)
            if present.extension_lost[extension, period]
        ]
    return []


def lot_beds(
    model: pyo.ConcreteModel,
    problem: Problem,
    present: Coefficients,
    numbers: Coefficients,
    lot: int,
    period: int,
    part: str,
    *,
    award: int | None = None,
    tiers: Iterable[int] | None = None,
) -> Terms:
    """Beds of a lot's awards and their extensions: a part of those delivered, or those ``lost`` as a term ends.

    Of beds that go when a term ends, those that an extension takes on in the same period are taken off.

    Parameters
    ----------
    part : ``guaranteed``, ``above_guarantee``, ``call_off``, ``usable`` or ``lost``
    """
    here, of_award = getattr(present, f"award_{part}"), getattr(numbers, f"award_{part}")
    here_extended, of_extension = getattr(present, f"extension_{part}"), getattr(numbers, f"extension_{part}")
    terms: Terms = []
    for position in problem.awards_of(lot) if award is None else (award,):
        which = problem.awards[position]
        index = which.lot, which.node, which.period
        kinds = tuple(tiers) if tiers is not None else (*range(len(problem.lot_tiers[lot])), -1)
        for kind in (kind for kind in kinds if kind != -1 or problem.call_off_maximum[lot] > 0):
            if here[position, period]:
                beds = (
                    model.beds_in_tier[lot, kind, which.node, which.period] if kind >= 0 else model.optional_beds[index]
                )
                terms.append((of_award[position, period], beds))
            terms += [
                (of_extension[extension, period], model.beds_extended[extension, kind])
                for extension in problem.extensions_of(award=position)
                if here_extended[extension, period]
            ]
    return terms


def add_placed_within_capacity(
    future: pyo.Block, model: pyo.ConcreteModel, problem: Problem, present: Coefficients, numbers: Coefficients
) -> None:
    """Children placed with a source, and idle beds sold, never exceed its usable beds.

    sum placed[c, r, t] over c + beds_sold[r, t] <= usable beds[r, t] + sum layer_used[r, l, t] over l
    for all registered r, t in PERIODS   [beds]

    Usable beds of a home count from its registration (``homes_open_after_registration``), of a lot from its
    mobilisation (``lot_delivered_after_mobilisation``), both through the shares of the future. Matching is in the shares,
    but for lots with call-off beds: there committed beds count whole, and ``placed_within_matching`` limits the lot.
    """

    selling, bought = frozenset(future.SOLD), frozenset(future.LAYERS)

    def rule(future: pyo.Block, source: int, period: int) -> object:
        cohorts = [c for c in range(len(problem.cohorts)) if problem.allowed[c, source, period]]
        sold = [future.beds_sold[source, period]] if (source, period) in selling else []
        if not cohorts and not sold:
            return pyo.Constraint.Skip
        layers = [
            future.layer_used[source, layer, period]
            for layer in layers_of(problem, present, source)
            if (source, layer, period) in bought
        ]
        placed = sum(future.placed[cohort, source, period] for cohort in cohorts)
        usable = sum(
            share * variable for share, variable in usable_beds(model, problem, present, numbers, source, period)
        )
        anyway = usable_anyway(model, problem, numbers, source, period)
        return placed + sum(sold) - sum(layers) - usable - anyway <= 0

    future.placed_within_capacity = pyo.Constraint(
        range(problem.unregistered), range(len(problem.periods)), rule=rule, doc="Placements within usable beds [beds]"
    )


def add_placed_within_matching(
    future: pyo.Block, model: pyo.ConcreteModel, problem: Problem, present: Coefficients, numbers: Coefficients
) -> None:
    """Children in a lot with call-off beds, and idle beds sold, are no more than matching lets its beds hold together.

    sum placed[c, r, t] over c + beds_sold[r, t] <= matching occupancy * delivered beds, committed and call-off
    for all lots r with call-off beds, t in PERIODS   [beds]

    A child beyond the committed beds is called off, one within them is not: which bed of the lot it is that nobody fits
    into changes neither. So matching limits the lot as a whole, and no layer of it.
    """

    selling = frozenset(future.SOLD)

    def rule(future: pyo.Block, lot: int, period: int) -> object:
        source = problem.lot_source + lot
        used = [
            future.placed[cohort, source, period]
            for cohort in range(len(problem.cohorts))
            if problem.allowed[cohort, source, period]
        ]
        used += [future.beds_sold[source, period]] if (source, period) in selling else []
        beds = lot_beds(model, problem, present, numbers, lot, period, "usable")
        if not used or not beds:
            return pyo.Constraint.Skip  # without beds ``placed_within_capacity`` holds nobody there
        return sum(used) - sum(share * variable for share, variable in beds) <= 0

    lots = np.flatnonzero(problem.call_off_maximum > 0).tolist()
    future.placed_within_matching = pyo.Constraint(
        lots, range(len(problem.periods)), rule=rule, doc="Placements within what matching lets a lot hold [beds]"
    )


def layers_of(problem: Problem, present: Coefficients, source: int) -> range | list[int]:
    """Positions of the priced layers of a source."""
    if source >= problem.spot_source:
        return range(present.spot_offered.shape[1])
    lot = source - problem.lot_source
    return [layer for layer, (_, award, _) in enumerate(problem.lot_layers) if problem.awards[award].lot == lot]


def usable_anyway(
    model: pyo.ConcreteModel, problem: Problem, numbers: Coefficients, source: int, period: int
) -> object:
    """Beds usable at no further price per bed whatever is decided: the parts of those in the plan."""
    if problem.source_kind(source) != "supply":
        return 0.0
    return numbers.supply_beds[source - problem.supply_source, period] * part_of(model, problem, source)


def usable_beds(
    model: pyo.ConcreteModel, problem: Problem, present: Coefficients, numbers: Coefficients, source: int, period: int
) -> Terms:
    """Beds usable at no further price per bed because of decisions."""
    kind = problem.source_kind(source)
    if kind == "home":
        return open_beds(model, problem, present, numbers, source, period)
    if kind == "lot":
        lot = source - problem.lot_source
        if any(kind == "filled" and problem.awards[award].lot == lot for kind, award, _ in problem.lot_layers):
            return []
        tiers = range(len(problem.lot_tiers[lot]))
        return lot_beds(model, problem, present, numbers, lot, period, "guaranteed", tiers=tiers)
    if kind == "supply":
        return [
            (numbers.supply_extension_beds[extension, period], model.extension_taken[extension])
            for extension in problem.extensions_of(supply=source - problem.supply_source)
            if present.supply_extension_beds[extension, period]
        ]
    return []


def open_beds(
    model: pyo.ConcreteModel, problem: Problem, present: Coefficients, numbers: Coefficients, home: int, period: int
) -> Terms:
    """Beds of a home type that are registered, ramped up and matched, less those of homes closed."""
    return [
        *(
            (numbers.home_open[position, period], model.homes_begun[begin.home, begin.node, begin.period])
            for position, begin in enumerate(problem.begins)
            if begin.home == home and present.home_open[position, period]
        ),
        *(
            (-numbers.closed[position], model.homes_closed[index])
            for position, index in enumerate(problem.closures)
            if index[0] == home and index[2] <= period
        ),
    ]


def add_layers_within_award(
    future: pyo.Block, model: pyo.ConcreteModel, problem: Problem, present: Coefficients, numbers: Coefficients
) -> None:
    """Beds bought in a priced layer of a lot are beds that the award holds.

    layer_used[r, l, t] <= share of a bed that the layer holds * delivered beds of its award and tier
    for all layers of lots, t in PERIODS   [beds]

    Call-off beds are those beyond all committed beds, be these filled or not.
    """

    def rule(future: pyo.Block, source: int, layer: int, period: int) -> object:
        if source >= problem.spot_source:
            return pyo.Constraint.Skip
        kind, award, tier = problem.lot_layers[layer]
        lot = source - problem.lot_source
        part = LAYER_PARTS[kind]
        beds = lot_beds(model, problem, present, numbers, lot, period, part, award=award, tiers=(tier,))
        return future.layer_used[source, layer, period] - sum(share * variable for share, variable in beds) <= 0

    future.layers_within_award = pyo.Constraint(future.LAYERS, rule=rule, doc="Priced layers within the award [beds]")


def add_contract_has_its_home(
    future: pyo.Block, model: pyo.ConcreteModel, problem: Problem, present: Coefficients, numbers: Coefficients
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
        beds = open_beds(model, problem, present, numbers, building, period)
        return sum(placed) - sum(share * variable for share, variable in beds) <= 0

    buildings = sorted({int(building) for building in problem.lot_building if building >= 0})
    future.contract_has_its_home = pyo.Constraint(
        buildings, range(len(problem.periods)), rule=rule, doc="Contracted beds within buildings open [beds]"
    )
