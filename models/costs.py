"""One named Expression per cost term, in present real pounds, for one future.

The terms are those of ``COST_TERMS``. The *deterrent* is kept apart: it is a declared value judgement, part of the
objective and never of a reported pound.
"""

from __future__ import annotations

from collections.abc import Iterable

import pyomo.environ as pyo

from models.capacity import bed_kinds, joined, part_of
from models.coefficients import Coefficients
from models.problem import COST_TERMS, Floats, Problem


def build(
    future: pyo.Block, model: pyo.ConcreteModel, problem: Problem, present: Coefficients, numbers: Coefficients
) -> None:
    """Add ``future.cost[term]`` and ``future.deterrent`` [present real £]."""
    given = model, problem, present, numbers
    terms = {
        "capital": by_home_begun("capital", *given),
        "residual": by_home_begun("residual", *given),
        "running": by_home_begun("running", *given) - by_home_closed("closed_saving", model, problem, numbers),
        "managers": managers(*given),
        "variable": variable(future, problem, present, numbers, range(len(problem.homes))),
        "waiting": by_home_begun("waiting", *given),
        "lifecycle": by_home_begun("lifecycle", *given),
        "block": block(future, *given),
        "call_off": call_off(future, *given),
        "procurement": by_home_begun("abortive", *given) + setup(*given),
        "existing": existing(future, *given),
        "spot": spot(future, problem, numbers),
        "unregistered": unregistered(future, problem, present.unregistered_price, numbers.unregistered_price),
        "closures": closures(future, model, problem, numbers),
        "planned_moves": planned_moves(future, problem),
        "income": income(future, model, problem),
    }
    future.cost = pyo.Expression(COST_TERMS, rule=lambda future, term: terms[term], doc="Cost by term [present real £]")
    future.deterrent = pyo.Expression(
        rule=lambda future: unregistered(future, problem, present.deterrent, numbers.deterrent),
        doc="Deterrent on no registered home found [present real £, value judgement]",
    )


def by_home_begun(
    factor: str, model: pyo.ConcreteModel, problem: Problem, present: Coefficients, numbers: Coefficients
) -> object:
    """What goes with each home begun: capital, residual, running, waiting, lifecycle or abortive * homes_begun."""
    return sum(
        getattr(numbers, factor)[position] * model.homes_begun[begin.home, begin.node, begin.period]
        for position, begin in enumerate(problem.begins)
        if getattr(present, factor)[position]
    )


def by_home_closed(factor: str, model: pyo.ConcreteModel, problem: Problem, numbers: Coefficients) -> object:
    """What goes with each home closed: closed_saving or closing * homes_closed."""
    return sum(
        getattr(numbers, factor)[position] * model.homes_closed[index]
        for position, index in enumerate(problem.closures)
    )


def managers(model: pyo.ConcreteModel, problem: Problem, present: Coefficients, numbers: Coefficients) -> object:
    """Step-fixed cost of registered managers in post: cost[t] * managers[n, t]."""
    return sum(
        numbers.managers[node, period] * model.managers[node, period]
        for node, period in model.MANAGED
        if present.managers[node, period]
    )


def variable(
    future: pyo.Block, problem: Problem, present: Coefficients, numbers: Coefficients, sources: range
) -> object:
    """Cost of a child's weeks in homes or supplies: variable_price[r, t] * weeks[t] * placed[c, r, t]."""
    return sum(
        numbers.variable_price[source, period] * future.placed[cohort, source, period]
        for cohort, source, period in future.PLACEABLE
        if source in sources and present.variable_price[source, period]
    )


def block(
    future: pyo.Block, model: pyo.ConcreteModel, problem: Problem, present: Coefficients, numbers: Coefficients
) -> object:
    """Committed beds from delivery, filled or not, and the priced layers of committed beds."""
    fixed = [
        numbers.committed[position, tier] * model.beds_in_tier[award.lot, tier, award.node, award.period]
        for position, award in enumerate(problem.awards)
        for tier in range(len(problem.lot_tiers[award.lot]))
        if present.committed[position, tier]
    ]
    fixed += [
        numbers.committed_extended[extension, tier] * model.beds_extended[extension, tier]
        for extension in range(len(problem.extensions))
        for tier in bed_kinds(problem, extension)
        if tier >= 0 and present.committed_extended[extension, tier]
    ]
    return sum(fixed) + _layers(future, problem, numbers, ("filled", "above_guarantee"))


def call_off(
    future: pyo.Block, model: pyo.ConcreteModel, problem: Problem, present: Coefficients, numbers: Coefficients
) -> object:
    """Call-off beds when used, and what holding the option costs."""
    held = [
        numbers.retained[position] * model.optional_beds[award.lot, award.node, award.period]
        for position, award in enumerate(problem.awards)
        if present.retained[position]
    ]
    held += [
        numbers.retained_extended[extension] * model.beds_extended[extension, -1]
        for extension in range(len(problem.extensions))
        if present.retained_extended[extension]
    ]
    return sum(held) + _layers(future, problem, numbers, ("call_off",))


def _layers(future: pyo.Block, problem: Problem, numbers: Coefficients, kinds: Iterable[str]) -> object:
    return sum(
        numbers.lot_layer_price[layer, period] * future.layer_used[source, layer, period]
        for source, layer, period in future.LAYERS
        if source < problem.spot_source and problem.lot_layers[layer][0] in kinds
    )


def setup(model: pyo.ConcreteModel, problem: Problem, present: Coefficients, numbers: Coefficients) -> object:
    """Set-up on award: setup * lot_awarded."""
    return sum(
        numbers.setup[position] * model.lot_awarded[award.lot, award.node, award.period]
        for position, award in enumerate(problem.awards)
        if present.setup[position]
    )


def existing(
    future: pyo.Block, model: pyo.ConcreteModel, problem: Problem, present: Coefficients, numbers: Coefficients
) -> object:
    """Homes and contracts already in place: what is paid anyway, what extensions add, and what each child costs."""
    return (
        sum(
            numbers.supply_commitment[supply] * part_of(model, problem, problem.supply_source + supply)
            for supply in range(len(problem.supplies))
            if present.supply_commitment[supply]
        )
        + sum(
            numbers.supply_extended[extension] * model.extension_taken[extension]
            for extension in range(len(problem.extensions))
            if present.supply_extended[extension]
        )
        + variable(future, problem, present, numbers, range(problem.supply_source, problem.spot_source))
    )


def spot(future: pyo.Block, problem: Problem, numbers: Coefficients) -> object:
    """Spot purchase: spot_layer_price[m, l, t] * weeks[t] * layer_used[m, l, t]."""
    return sum(
        numbers.spot_layer_price[source - problem.spot_source, layer, period] * future.layer_used[source, layer, period]
        for source, layer, period in future.LAYERS
        if source >= problem.spot_source
    )


def unregistered(future: pyo.Block, problem: Problem, charged: Floats, price: Floats) -> object:
    """Child-weeks with no registered home found, at a price for the period where one is charged, both [period]."""
    return sum(
        price[period] * future.placed[cohort, source, period]
        for cohort, source, period in future.PLACEABLE
        if source == problem.unregistered and charged[period]
    )


def closures(future: pyo.Block, model: pyo.ConcreteModel, problem: Problem, numbers: Coefficients) -> object:
    """Placements ended because the bed goes, and what closing a home costs."""
    worth = problem.present_value
    return sum(
        float(problem.closure_price[cohort] * worth[period]) * future.moves_at_closure[cohort, source, period]
        for cohort, source, period in future.ENDING
    ) + by_home_closed("closing", model, problem, numbers)


def planned_moves(future: pyo.Block, problem: Problem) -> object:
    """Planned moves, where the instance prices them."""
    return sum(
        float(problem.planned_move_price[cohort] * problem.present_value[period])
        * future.planned_moves[cohort, source, period]
        for cohort, source, period in future.MOVES
    )


def income(future: pyo.Block, model: pyo.ConcreteModel, problem: Problem) -> object:
    """Less contributions by health and education, idle beds sold, and grants."""
    worth = problem.weeks * problem.present_value
    contributions = sum(
        float(problem.contribution[cohort] * worth[period]) * future.placed[cohort, source, period]
        for cohort, source, period in future.PLACEABLE
        if problem.contribution[cohort] > 0
    )
    sold = sum(
        float(problem.sold_price[source, period] * worth[period]) * future.beds_sold[source, period]
        for source, period in future.SOLD
    )
    grants = sum(
        float(grant @ problem.present_value) * joined(model, problem, authority)
        for authority, grant in enumerate(problem.grant_income)
    )
    return -contributions - sold - grants
