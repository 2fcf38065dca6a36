"""Tiny problems for tests, a plan of them by the model in Pyomo, and the plan's values as arrays."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pyomo.environ as pyo

from models import extensive
from models.decisions import Decisions, Placements
from models.problem import (
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

PERIODS = ("2025-11", "2025-12", "2026-01", "2026-02", "2026-03", "2026-04")
WEEKS = np.array([4.0, 4.5, 4.5, 4.0, 4.5, 4.5])

# positions, by name
NORTH, SOUTH = range(2)
YOUNGER, OLDER, SOUTHERN = range(3)
TWO_BED, BUILDING = range(2)
BLOCK, IN_BUILDING = range(2)
SOURCE_HOME, SOURCE_BUILDING, SOURCE_BLOCK, SOURCE_IN_BUILDING, SOURCE_SUPPLY, SOURCE_SPOT, UNREGISTERED = range(7)


def small_problem(*, review: bool = False, **changes: Any) -> Problem:
    """Two authorities, three cohorts with a step from one to the next, six months, two futures.

    A two-bed home to be bought, and a council building from which a provider may run a lot; a block lot with two
    volume tiers, call-off and an extension; a home in place with an expiry and an extension; a spot market with two
    layers. With ``review`` the decision tree branches in the fourth month and each branch may begin another home.
    ``changes`` replace fields of the problem.
    """
    periods = len(PERIODS)
    nodes: tuple[Node, ...] = (Node("root", None, 0, periods, ""),)
    begins: tuple[Begin, ...] = (Begin(TWO_BED, 0, 0), Begin(TWO_BED, 0, 1), Begin(BUILDING, 0, 0))
    if review:
        nodes = (
            Node("root", None, 0, 3, ""),
            Node("after few arrivals", 0, 3, periods, "few arrivals"),
            Node("after many arrivals", 0, 3, periods, "many arrivals"),
        )
        begins += (Begin(TWO_BED, 1, 3), Begin(TWO_BED, 2, 3))
    allowed = np.ones((3, 7, periods), dtype=bool)
    allowed[:, SOURCE_BUILDING] = False  # run by a provider, under its lot only
    allowed[YOUNGER, SOURCE_IN_BUILDING] = False
    extension_nodes = (1, 2) if review else (0,)
    few, many = ((0, 1), (0, 2)) if review else ((0,), (0,))
    scenarios = (
        small_scenario("few arrivals", 0.6, few, 0.2, delay=0, extensions=2 * len(extension_nodes)),
        small_scenario("many arrivals", 0.4, many, 0.6, delay=1, extensions=2 * len(extension_nodes)),
    )
    problem = Problem(
        authorities=("North", "South"),
        cohorts=("North, younger", "North, older", "South, older"),
        periods=PERIODS,
        financial_years=("2025/26", "2026/27"),
        homes=("two-bed home", "council building"),
        lots=("block lot", "lot in the council building"),
        supplies=("home in place",),
        spots=("spot market",),
        unregistered_name="no registered home found",
        nodes=nodes,
        begins=begins,
        awards=(Award(BLOCK, 0, 0), Award(BLOCK, 0, 1), Award(IN_BUILDING, 0, 0)),
        extensions=(
            *(Extension(award=0, supply=None, option=0, node=n, notice_period=3, needs=None) for n in extension_nodes),
            *(Extension(award=None, supply=0, option=0, node=n, notice_period=3, needs=None) for n in extension_nodes),
        ),
        steps=((YOUNGER, OLDER),),
        scenarios=scenarios,
        period_months=np.ones(periods, dtype=np.int64),
        period_start=np.arange(periods),
        weeks=WEEKS,
        period_year=np.array([0, 0, 0, 0, 0, 1]),
        deflator=0.998 ** np.arange(periods),
        discount=0.997 ** np.arange(periods),
        cohort_authority=np.array([NORTH, NORTH, SOUTH]),
        placed_at_start=_placed_at_start(),
        allowed=allowed,
        mobility=np.full((3, periods), 0.05),
        planned_move_price=np.zeros(3),
        closure_price=np.array([9000.0, 10000.0, 11000.0]),
        contribution=np.array([0.0, 150.0, 90.0]),
        grant_income=np.array([[1000.0] * periods, [400.0] * periods]),
        home_authority=np.array([NORTH, SOUTH]),
        home_beds=np.array([2, 4]),
        home_occupancy=np.array([1.0, 0.9]),
        home_council_run=np.array([True, False]),
        planning_capital=np.array([[500_000.0] * periods, [300_000.0] * periods]),
        in_hand=_from_begin(periods, lasts=2),
        needs_manager=_from_begin(periods, lasts=periods) & np.array([True, False])[:, None, None],
        closable=np.array([True, False]),
        certainly_open=np.minimum(np.arange(periods) + 3, periods)[None, :].repeat(2, axis=0),
        closing_cost=np.array([20_000.0, 0.0]),
        closed_saving=np.array([[9_000.0] * periods, [0.0] * periods]),
        home_groups=(Group("two-bed homes to be had", (TWO_BED,), 2), Group("the building", (BUILDING,), 1)),
        lot_tiers=((Tier(1, 2), Tier(3, 5)), (Tier(1, 4),)),
        lot_minimum=np.array([1, 2]),
        lot_maximum=np.array([5, 4]),
        call_off_maximum=np.array([2, 0]),
        lot_occupancy=np.array([0.95, 0.9]),
        guaranteed_share=np.array([0.8, 1.0]),
        void_price_share=np.array([0.7, 1.0]),
        lot_building=np.array([-1, BUILDING]),
        lot_groups=(),
        cost_share=np.array([[0.75, 0.25], [0.5, 0.5], [0.6, 0.4], [0.5, 0.5], [1.0, 0.0], [0.5, 0.5], [0.5, 0.5]]),
        sold_price=np.array([[0.0] * periods] * 4 + [[700.0] * periods] + [[0.0] * periods] * 2),
        sold_maximum=np.array([[0.0] * periods] * 4 + [[1.0] * periods] + [[0.0] * periods] * 2),
        envelopes=(Envelope("capital programme", (TWO_BED, BUILDING), 1_500_000.0, (1_400_000.0, 100_000.0), True),),
        registrations_limit=3,
        managers=Managers(homes_each=1, recruitable=np.array([1, 2, 2, 2, 2, 2]), cost=np.full(periods, 4_000.0)),
        local_limits=(LocalLimit("older children near", (OLDER,), np.array([1.0, 1.0, 0.5, 1.0, 1.0, 0.2, 1.0]), 0.3),),
        unregistered_limits=(UnregisteredLimit("both councils", (NORTH, SOUTH), 60.0, 0.5),),
        risk_weight=0.0,
        cvar_level=0.6,
        cvar_limit=None,
    )
    return replace(problem, **changes)


def small_scenario(
    name: str, probability: float, path: tuple[int, ...], arrivals: float, *, delay: int, extensions: int
) -> Scenario:
    """One future of the small problem: ``arrivals`` children a month and cohort, homes ``delay`` months late."""
    periods = len(PERIODS)
    month = np.arange(periods)
    since = month[None, :] - month[:, None]  # months since the start, [begun or awarded, period]
    home_open = np.stack([np.clip((since - delay) / 2, 0.0, 1.0), (since >= 1).astype(float)])
    # the term of the block lot ends half way through the fourth month after award, and the extension follows
    delivered = np.where(since >= 0, 1.0, 0.0)
    block = np.select([since == 0, since < 4, since == 4], [0.5, 1.0, 0.5], 0.0) * delivered
    in_building = np.where(since >= 1, 1.0, 0.0)
    rising = 1.002**month
    stay = np.full((3, 7, periods), 0.93)
    stay[YOUNGER] = 0.88  # five in a hundred step across each month
    extension = np.array([0.0, 0.0, 0.0, 0.0, 0.5, 1.0])
    half = extensions // 2
    return Scenario(
        name=name,
        probability=probability,
        path=path,
        arrivals=np.full((3, periods), arrivals),
        stay=stay,
        step=np.full((1, 7, periods), 0.05),
        breakdown=np.full((3, 7, periods), 0.05 * arrivals),
        home_open=home_open,
        capital_outlay=np.array([520_000.0 * rising, 310_000.0 * rising]),
        residual_value=np.array([480_000.0 * rising, 250_000.0 * rising]),
        abortive_cost=np.array([2_000.0 * rising, 500.0 * rising]),
        home_running=home_open * np.array([15_000.0, 3_000.0])[:, None, None] * rising,
        home_waiting=np.where(since >= 0, 1.0 - home_open, 0.0) * np.array([6_000.0, 0.0])[:, None, None],
        home_lifecycle=home_open * np.array([400.0, 300.0])[:, None, None],
        lot_delivered=np.stack([block, in_building]),
        lot_price=np.stack([_price(5_200.0, 4_900.0, rising), _price(4_600.0, 0.0, rising)]),
        call_off_price=np.stack([np.full((periods, periods), 5_600.0)] * 2),
        call_off_retainer=np.stack([np.full((periods, periods), 150.0)] * 2),
        lot_setup=np.array([[12_000.0] * periods, [8_000.0] * periods]),
        extension_delivered=np.array([extension] * half + [0 * extension] * half),
        extension_price=np.array([1.04] * half + [1.0] * half),
        supply_beds=np.array([[3.0, 3.0, 3.0, 3.0, 0.0, 0.0]]),
        supply_commitment=np.array([[30_000.0, 30_000.0, 30_000.0, 30_000.0, 0.0, 0.0]]),
        supply_extension_beds=np.array([0 * month] * half + [np.where(month >= 4, 3.0, 0.0)] * half),
        supply_extension_cost=np.array([0 * month] * half + [np.where(month >= 4, 33_000.0, 0.0)] * half),
        variable_price=np.array(
            [[900.0] * periods] * 2 + [[0.0] * periods] * 2 + [[300.0] * periods] + [[0.0] * periods] * 2
        ),
        spot_layer_beds=np.array([[[2.0] * periods, [2.0 - delay] * periods]]),
        spot_layer_price=np.array([[6_500.0 * rising, 8_000.0 * rising]]),
        unregistered_price=np.full(periods, 9_000.0),
        deterrent=np.full(periods, 15_000.0),
    )


def solve(problem: Problem, fixed: dict[str, Any] | None = None) -> pyo.ConcreteModel:
    """Build and solve; ``fixed`` holds values of first-stage variables by name and index."""
    model = extensive.build(problem)
    for name, values in (fixed or {}).items():
        for index, value in values.items():
            getattr(model, name)[index].fix(value)
    solver = pyo.SolverFactory("appsi_highs")
    solver.options = {"mip_rel_gap": 0.0, "threads": 1}
    result = solver.solve(model, load_solutions=False)
    if result.solver.termination_condition != pyo.TerminationCondition.optimal:
        raise ValueError(f"not solved: {result.solver.termination_condition}")
    model.solutions.load_from(result) if len(result.solution) else solver.load_vars()
    return model


#: A plan that uses every kind of capacity, whatever it costs.
EVERYTHING: dict[str, dict[Any, int]] = {
    "homes_begun": {(TWO_BED, 0, 0): 1, (TWO_BED, 0, 1): 1, (BUILDING, 0, 0): 1},
    "homes_closed": {(TWO_BED, 0, 3): 0, (TWO_BED, 0, 4): 0, (TWO_BED, 0, 5): 1},
    "lot_awarded": {(BLOCK, 0, 0): 1, (IN_BUILDING, 0, 0): 1},
    "tier_chosen": {(BLOCK, 1, 0, 0): 1},
    "optional_beds": {(BLOCK, 0, 0): 1},
    "extension_taken": {0: 1, 1: 0},
}


def decisions_of(problem: Problem, model: pyo.ConcreteModel) -> Decisions:
    """First-stage values, rounded."""
    decisions = Decisions.none(problem)

    def whole(variable: Any) -> int:
        return round(pyo.value(variable, exception=False) or 0)

    for position, begin in enumerate(problem.begins):
        decisions.homes_begun[position] = whole(model.homes_begun[begin.home, begin.node, begin.period])
    for position, index in enumerate(problem.closures):
        decisions.homes_closed[position] = whole(model.homes_closed[index])
    for node, period in model.MANAGED:
        decisions.managers[node, period] = whole(model.managers[node, period])
    for position, award in enumerate(problem.awards):
        index = award.lot, award.node, award.period
        decisions.lot_awarded[position] = whole(model.lot_awarded[index])
        decisions.optional_beds[position] = whole(model.optional_beds[index])
        for tier in range(len(problem.lot_tiers[award.lot])):
            decisions.tier_chosen[position, tier] = whole(model.tier_chosen[award.lot, tier, award.node, award.period])
            decisions.beds_in_tier[position, tier] = whole(
                model.beds_in_tier[award.lot, tier, award.node, award.period]
            )
    for position in range(len(problem.extensions)):
        decisions.extension_taken[position] = whole(model.extension_taken[position])
    for extension, tier in model.EXTENDED_BEDS:
        decisions.beds_extended[extension, tier] = whole(model.beds_extended[extension, tier])
    return decisions


def placements_of(problem: Problem, model: pyo.ConcreteModel) -> list[Placements]:
    """Second-stage values by scenario."""
    found = []
    for position, scenario in enumerate(problem.scenarios):
        future, placements = model.future[position], Placements.none(problem, scenario)
        for name in ("placed", "planned_moves", "moves_at_closure", "beds_sold"):
            for index, variable in getattr(future, name).items():
                getattr(placements, name)[index] = pyo.value(variable, exception=False) or 0.0
        for (source, layer, period), variable in future.layer_used.items():
            value = pyo.value(variable, exception=False) or 0.0
            if source >= problem.spot_source:
                placements.spot_layer_used[source - problem.spot_source, layer, period] = value
            else:
                placements.lot_layer_used[layer, period] = value
        found.append(placements)
    return found


def _placed_at_start() -> np.ndarray:
    children = np.zeros((3, 7))
    children[:, SOURCE_SUPPLY] = 1.0, 1.0, 0.5
    children[OLDER, SOURCE_SPOT] = 1.0
    return children


def _from_begin(periods: int, *, lasts: int) -> np.ndarray:
    """True from the start for so many periods, the same for both homes, [home, period begun, period]."""
    since = np.arange(periods)[None, :] - np.arange(periods)[:, None]
    return np.stack([(since >= 0) & (since < lasts)] * 2)


def _price(first: float, second: float, rising: np.ndarray) -> np.ndarray:
    """£ a bed-week, [tier, period awarded, period]."""
    return np.stack([np.full((len(PERIODS), len(PERIODS)), price) * rising for price in (first, second)])
