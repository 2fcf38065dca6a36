"""One named Expression per cost term, in present real pounds, for one future.

The terms are those of ``COST_TERMS``. The *deterrent* is kept apart: it is a declared value judgement, part of the
objective and never of a reported pound.
"""

from __future__ import annotations

import numpy as np
import pyomo.environ as pyo

from models.capacity import awarded_on, begun_on, closed_on
from models.problem import COST_TERMS, Floats, Problem, Scenario


def build(future: pyo.Block, model: pyo.ConcreteModel, problem: Problem, scenario: Scenario) -> None:
    """Add ``future.cost[term]`` and ``future.deterrent`` [present real £]."""
    terms = {
        "capital": capital(model, problem, scenario),
        "residual": residual(model, problem, scenario),
        "running": running(model, problem, scenario),
        "managers": managers(model, problem, scenario),
        "variable": variable(future, problem, scenario),
        "waiting": by_home_begun(model, problem, scenario, scenario.home_waiting),
        "lifecycle": by_home_begun(model, problem, scenario, scenario.home_lifecycle),
        "block": block(future, model, problem, scenario),
        "call_off": call_off(future, model, problem, scenario),
        "procurement": procurement(model, problem, scenario),
        "existing": existing(future, model, problem, scenario),
        "spot": spot(future, problem, scenario),
        "unregistered": unregistered(future, problem, scenario.unregistered_price),
        "closures": closures(future, model, problem, scenario),
        "planned_moves": planned_moves(future, problem),
        "income": income(future, problem),
    }
    future.cost = pyo.Expression(COST_TERMS, rule=lambda future, term: terms[term], doc="Cost by term [present real £]")
    future.deterrent = pyo.Expression(
        rule=lambda future: unregistered(future, problem, scenario.deterrent),
        doc="Deterrent on no registered home found [present real £, value judgement]",
    )


def begun(problem: Problem, scenario: Scenario) -> list[tuple[int, int, int]]:
    """Places at which any home may be begun on the scenario's path."""
    return [index for home in range(len(problem.homes)) for index in begun_on(problem, scenario.path, home)]


def capital(model: pyo.ConcreteModel, problem: Problem, scenario: Scenario) -> object:
    """Outlay when begun: capital_outlay[h, p] * homes_begun[h, n, p]."""
    worth = problem.present_value
    return sum(
        float(scenario.capital_outlay[home, period] * worth[period]) * model.homes_begun[home, node, period]
        for home, node, period in begun(problem, scenario)
    )


def residual(model: pyo.ConcreteModel, problem: Problem, scenario: Scenario) -> object:
    """Value left at the horizon: - residual_value[h, p] * homes_begun[h, n, p]."""
    at_horizon = problem.present_value[-1]
    return sum(
        float(-scenario.residual_value[home, period] * at_horizon) * model.homes_begun[home, node, period]
        for home, node, period in begun(problem, scenario)
    )


def by_home_begun(model: pyo.ConcreteModel, problem: Problem, scenario: Scenario, stream: Floats) -> object:
    """A cost stream per home begun: sum over t of stream[h, p, t] * homes_begun[h, n, p]."""
    worth = stream @ problem.present_value
    return sum(
        float(worth[home, period]) * model.homes_begun[home, node, period]
        for home, node, period in begun(problem, scenario)
    )


def running(model: pyo.ConcreteModel, problem: Problem, scenario: Scenario) -> object:
    """Fixed running cost of open homes, less what homes closed no longer cost."""
    saved = np.cumsum((problem.closed_saving * problem.present_value)[:, ::-1], axis=1)[:, ::-1]
    return by_home_begun(model, problem, scenario, scenario.home_running) - sum(
        float(saved[home, period]) * model.homes_closed[home, node, period]
        for home in range(len(problem.homes))
        for _, node, period in closed_on(problem, scenario.path, home)
    )


def managers(model: pyo.ConcreteModel, problem: Problem, scenario: Scenario) -> object:
    """Step-fixed cost of registered managers in post: cost[t] * managers[n, t]."""
    if problem.managers is None:
        return 0.0
    worth = problem.managers.cost * problem.present_value
    return sum(
        float(worth[period]) * model.managers[node, period] for node, period in model.MANAGED if node in scenario.path
    )


def variable(future: pyo.Block, problem: Problem, scenario: Scenario) -> object:
    """Cost of a child's weeks in homes: variable_price[r, t] * weeks[t] * placed[c, r, t] over homes."""
    return _child_weeks(future, problem, scenario.variable_price, range(len(problem.homes)))


def block(future: pyo.Block, model: pyo.ConcreteModel, problem: Problem, scenario: Scenario) -> object:
    """Committed beds from delivery, filled or not, and the priced layers of committed beds."""
    fixed: list[object] = []
    for position, award in enumerate(problem.awards):
        if award.node not in scenario.path:
            continue
        paid = problem.guaranteed_share[award.lot] * problem.void_price_share[award.lot]
        for tier in range(len(problem.lot_tiers[award.lot])):
            price = scenario.lot_price[award.lot, tier, award.period]
            for share, extension, decision in committed(model, problem, scenario, position, tier):
                worth = float((paid * price * share * problem.weeks * problem.present_value).sum()) * extension
                if worth:
                    fixed.append(worth * decision)
    return sum(fixed) + _layers(future, problem, scenario, ("filled", "above_guarantee"))


def call_off(future: pyo.Block, model: pyo.ConcreteModel, problem: Problem, scenario: Scenario) -> object:
    """Call-off beds when used, and what holding the option costs."""
    held: list[object] = []
    for position, award in enumerate(problem.awards):
        if award.node not in scenario.path or problem.call_off_maximum[award.lot] == 0:
            continue
        retainer = scenario.call_off_retainer[award.lot, award.period]
        for share, extension, decision in committed(model, problem, scenario, position, -1):
            worth = float((retainer * share * problem.weeks * problem.present_value).sum()) * extension
            if worth:
                held.append(worth * decision)
    return sum(held) + _layers(future, problem, scenario, ("call_off",))


def committed(
    model: pyo.ConcreteModel, problem: Problem, scenario: Scenario, position: int, tier: int
) -> list[tuple[Floats, float, object]]:
    """Delivered share [period], price factor and decision of one kind of bed: its award, then its extensions."""
    award = problem.awards[position]
    beds = (
        model.optional_beds[award.lot, award.node, award.period]
        if tier == -1
        else model.beds_in_tier[award.lot, tier, award.node, award.period]
    )
    return [
        (scenario.lot_delivered[award.lot, award.period], 1.0, beds),
        *(
            (
                scenario.extension_delivered[extension],
                float(scenario.extension_price[extension]),
                model.beds_extended[extension, tier],
            )
            for extension in problem.extensions_of(award=position)
            if problem.extensions[extension].node in scenario.path
        ),
    ]


def layer_price(problem: Problem, scenario: Scenario, layer: int) -> Floats:
    """Price of a bed-week in a priced layer of a lot, [period], nominal £.

    In a period shared by a term and its extension the term's price stands; the extension's from the next.
    """
    kind, position, tier = problem.lot_layers[layer]
    award = problem.awards[position]
    if kind == "call_off":
        price = scenario.call_off_price[award.lot, award.period]
    else:
        price = scenario.lot_price[award.lot, tier, award.period]
        if kind == "filled":
            price = price * (1 - problem.void_price_share[award.lot])
    factor = np.ones(len(problem.periods))
    under_way = scenario.lot_delivered[award.lot, award.period] > 0
    for extension in problem.extensions_of(award=position):
        if problem.extensions[extension].node in scenario.path:
            extended = scenario.extension_delivered[extension] > 0
            factor[extended & ~under_way] = scenario.extension_price[extension]
            under_way = under_way | extended
    result: Floats = price * factor
    return result


def _layers(future: pyo.Block, problem: Problem, scenario: Scenario, kinds: tuple[str, ...]) -> object:
    prices = {
        layer: layer_price(problem, scenario, layer) * problem.weeks * problem.present_value
        for layer, (kind, _, _) in enumerate(problem.lot_layers)
        if kind in kinds
    }
    return sum(
        float(prices[layer][period]) * future.layer_used[source, layer, period]
        for source, layer, period in future.LAYERS
        if source < problem.spot_source and layer in prices
    )


def procurement(model: pyo.ConcreteModel, problem: Problem, scenario: Scenario) -> object:
    """Set-up on award, and purchases that fall through."""
    worth = problem.present_value
    return sum(
        float(scenario.lot_setup[lot, period] * worth[period]) * model.lot_awarded[lot, node, period]
        for lot in range(len(problem.lots))
        for _, node, period in awarded_on(problem, scenario.path, lot)
    ) + sum(
        float(scenario.abortive_cost[home, period] * worth[period]) * model.homes_begun[home, node, period]
        for home, node, period in begun(problem, scenario)
    )


def existing(future: pyo.Block, model: pyo.ConcreteModel, problem: Problem, scenario: Scenario) -> object:
    """Homes and contracts already in place: what is paid anyway, what extensions add, and what each child costs."""
    worth = problem.present_value
    committed = float((scenario.supply_commitment * worth).sum())
    extended = scenario.supply_extension_cost @ worth
    return (
        committed
        + sum(
            float(extended[position]) * model.extension_taken[position]
            for position, extension in enumerate(problem.extensions)
            if extension.supply is not None and extension.node in scenario.path
        )
        + _child_weeks(future, problem, scenario.variable_price, range(problem.supply_source, problem.spot_source))
    )


def spot(future: pyo.Block, problem: Problem, scenario: Scenario) -> object:
    """Spot purchase: spot_layer_price[m, l, t] * weeks[t] * layer_used[m, l, t]."""
    worth = problem.weeks * problem.present_value
    return sum(
        float(scenario.spot_layer_price[source - problem.spot_source, layer, period] * worth[period])
        * future.layer_used[source, layer, period]
        for source, layer, period in future.LAYERS
        if source >= problem.spot_source
    )


def unregistered(future: pyo.Block, problem: Problem, price: Floats) -> object:
    """Child-weeks with no registered home found, at a price a child-week [period]."""
    prices = np.zeros((len(problem.sources), len(problem.periods)))
    prices[problem.unregistered] = price
    return _child_weeks(future, problem, prices, range(problem.unregistered, problem.unregistered + 1))


def closures(future: pyo.Block, model: pyo.ConcreteModel, problem: Problem, scenario: Scenario) -> object:
    """Placements ended because the bed goes, and what closing a home costs."""
    worth = problem.present_value
    return sum(
        float(problem.closure_price[cohort] * worth[period]) * future.moves_at_closure[cohort, source, period]
        for cohort, source, period in future.ENDING
    ) + sum(
        float(problem.closing_cost[home] * worth[period]) * model.homes_closed[home, node, period]
        for home in range(len(problem.homes))
        for _, node, period in closed_on(problem, scenario.path, home)
    )


def planned_moves(future: pyo.Block, problem: Problem) -> object:
    """Planned moves, where the instance prices them."""
    return sum(
        float(problem.planned_move_price[cohort] * problem.present_value[period])
        * future.planned_moves[cohort, source, period]
        for cohort, source, period in future.MOVES
    )


def income(future: pyo.Block, problem: Problem) -> object:
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
    return -contributions - sold - float((problem.grant_income * problem.present_value).sum())


def _child_weeks(future: pyo.Block, problem: Problem, price: Floats, sources: range) -> object:
    worth = price * problem.weeks * problem.present_value
    return sum(
        float(worth[source, period]) * future.placed[cohort, source, period]
        for cohort, source, period in future.PLACEABLE
        if source in sources and worth[source, period] != 0
    )
