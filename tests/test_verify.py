"""The auditor accepts what the model plans, to the pound, and names the rule that a broken plan breaks."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pyomo.environ as pyo
import pytest

from models.decisions import Decisions, Placements
from models.problem import COST_TERMS, Envelope, Group, LocalLimit, Problem, UnregisteredLimit
from optimiser.verify import (
    DECISION_RULES,
    PLACEMENT_RULES,
    TERM,
    Verified,
    futures,
    idle_while_unregistered,
    tail_mean,
    verify,
)
from tests.problems import (
    BLOCK,
    BUILDING,
    EVERYTHING,
    IN_BUILDING,
    NORTH,
    OLDER,
    SOURCE_BLOCK,
    SOURCE_HOME,
    SOURCE_IN_BUILDING,
    SOURCE_SPOT,
    SOURCE_SUPPLY,
    SOUTH,
    SOUTHERN,
    TWO_BED,
    UNREGISTERED,
    YOUNGER,
    decisions_of,
    placements_of,
    small_problem,
    solve,
)


@dataclass(frozen=True)
class Plan:
    """A problem and a plan of it, with copies that differ in one place."""

    problem: Problem
    decisions: Decisions
    placements: tuple[Placements, ...]

    def verified(self) -> Verified:
        return verify(self.problem, self.decisions, self.placements)

    def rules(self) -> set[str]:
        return {violation.rule for violation in self.verified().violations}

    def facing(self, **changes: Any) -> Plan:
        """The same plan for another problem."""
        return replace(self, problem=replace(self.problem, **changes))

    def facing_futures(self, **changes: Callable[[Any], Any]) -> Plan:
        """The same plan for other futures: functions of the arrays they replace."""
        futures = tuple(
            replace(scenario, **{name: change(getattr(scenario, name).copy()) for name, change in changes.items()})
            for scenario in self.problem.scenarios
        )
        return self.facing(scenarios=futures)

    def deciding(self, name: str, at: Any, value: float) -> Plan:
        """The same plan with one decision changed."""
        array = getattr(self.decisions, name).astype(type(value))
        array[at] = value
        return replace(self, decisions=replace(self.decisions, **{name: array}))

    def placing(self, name: str, at: Any, more: float) -> Plan:
        """The same plan with more, or fewer, of something in the second future."""
        array = getattr(self.placements[1], name).copy()
        array[at] += more
        return replace(self, placements=(self.placements[0], replace(self.placements[1], **{name: array})))

    def moving(self, cohort: int, source: int, to: int, period: int, children: float) -> Plan:
        """The same plan with children of the second future moved to another source in one period."""
        left = self.placing("placed", (cohort, source, period), -children)
        return left.placing("placed", (cohort, to, period), children)


def solved(problem: Problem, fixed: dict[str, Any] | None = None) -> tuple[Plan, pyo.ConcreteModel]:
    model = solve(problem, fixed)
    return Plan(problem, decisions_of(problem, model), tuple(placements_of(problem, model))), model


@pytest.fixture(scope="module")
def plan() -> Plan:
    """A plan with every kind of capacity: the one that the tests below break."""
    return solved(small_problem(), EVERYTHING)[0]


# agreement with the model

VARIANTS: dict[str, tuple[dict[str, Any], dict[str, Any] | None]] = {
    "left to itself": ({}, None),
    "every kind of capacity": ({}, EVERYTHING),
    "a review and two branches": ({"review": True}, None),
    "a weight on the tail and a limit to it": ({"risk_weight": 0.3, "cvar_limit": 2_000_000.0}, EVERYTHING),
    "planned moves priced for some": ({"planned_move_price": np.array([500.0, 0.0, 800.0])}, EVERYTHING),
    "no managers, no limits": (
        {
            "managers": None,
            "envelopes": (),
            "registrations_limit": None,
            "unregistered_limits": (),
            "local_limits": (),
        },
        None,
    ),
    "no contracts below the full price": ({"void_price_share": np.ones(2), "guaranteed_share": np.ones(2)}, EVERYTHING),
}


@pytest.mark.parametrize(("changes", "fixed"), VARIANTS.values(), ids=VARIANTS.keys())
def test_a_plan_of_the_model_is_accepted_and_costs_the_same_to_the_pound(
    changes: dict[str, Any], fixed: dict[str, Any] | None
) -> None:
    plan, model = solved(small_problem(**changes), fixed)

    found = plan.verified()

    assert [str(violation) for violation in found.violations] == []
    assert found.accepted
    assert found.objective == pytest.approx(pyo.value(model.total_cost), rel=1e-6)
    by_term = found.ledger.present(plan.problem).sum(axis=(2, 3))
    for scenario in model.SCENARIOS:
        for position, term in enumerate(COST_TERMS):
            theirs = pyo.value(model.future[scenario].cost[term])
            assert by_term[scenario, position] == pytest.approx(theirs, rel=1e-6, abs=1e-3), (scenario, term)
        deterrent = found.scenario_cost[scenario] - found.scenario_pounds[scenario]
        assert deterrent == pytest.approx(pyo.value(model.future[scenario].deterrent), rel=1e-6, abs=1e-3)


def test_the_tail_of_the_model_is_the_tail_counted_here() -> None:
    plan, model = solved(small_problem(risk_weight=0.3), EVERYTHING)
    assert plan.verified().cvar == pytest.approx(pyo.value(model.cvar), rel=1e-6)


def test_no_child_waits_while_a_bed_stands_free_in_a_plan_of_the_model(plan: Plan) -> None:
    assert plan.verified().unregistered_child_weeks.sum() > 1
    np.testing.assert_allclose(idle_while_unregistered(plan.problem, plan.decisions, plan.placements), 0.0, atol=1e-5)


# plans that break a rule

BREAKS: list[tuple[str, Callable[[Plan], Plan]]] = []


def breaks(rule: str) -> Callable[[Callable[[Plan], Plan]], Callable[[Plan], Plan]]:
    """Enter a way of breaking a plan under the name of the rule that it breaks."""

    def entered(way: Callable[[Plan], Plan]) -> Callable[[Plan], Plan]:
        BREAKS.append((rule, way))
        return way

    return entered


@breaks("whole_numbers")
def half_a_home_is_begun(plan: Plan) -> Plan:
    return plan.deciding("homes_begun", 1, 0.5)


@breaks("whole_numbers")
def a_lot_is_awarded_twice_over(plan: Plan) -> Plan:
    return plan.deciding("lot_awarded", 0, 2)


@breaks("whole_numbers")
def a_decision_is_not_a_number(plan: Plan) -> Plan:
    return plan.deciding("optional_beds", 0, float("nan"))


@breaks("nonnegative")
def fewer_than_no_homes_are_begun(plan: Plan) -> Plan:
    return plan.deciding("homes_begun", 1, -1)


@breaks("nonnegative")
def fewer_than_no_children_are_placed(plan: Plan) -> Plan:
    return plan.moving(OLDER, SOURCE_IN_BUILDING, UNREGISTERED, 0, 0.5)


@breaks("homes_available")
def more_homes_are_begun_than_are_to_be_had(plan: Plan) -> Plan:
    return plan.facing(home_groups=(Group("two-bed homes to be had", (TWO_BED,), 1), plan.problem.home_groups[1]))


@breaks("only_certainly_open_homes_closed")
def a_home_is_closed_before_it_is_open_in_every_future(plan: Plan) -> Plan:
    return plan.deciding("homes_closed", 2, 1)


@breaks("capital_within_envelope")
def capital_exceeds_the_envelope_in_total(plan: Plan) -> Plan:
    return plan.facing(envelopes=(Envelope("programme", (TWO_BED, BUILDING), 1_299_000.0, None, False),))


@breaks("capital_within_envelope")
def capital_exceeds_the_envelope_of_the_first_year(plan: Plan) -> Plan:
    return plan.facing(envelopes=(Envelope("programme", (TWO_BED,), None, (999_999.0, 2_000_000.0), True),))


@breaks("capital_within_envelope")
def capital_counts_on_what_the_year_before_left_over_without_carry_forward(plan: Plan) -> Plan:
    return _second_home_in_the_second_year(plan, carry_forward=False)


def _second_home_in_the_second_year(plan: Plan, *, carry_forward: bool) -> Plan:
    """800,000 begun in the first year and 500,000 in the second, of 900,000 and 450,000."""
    envelope = Envelope("programme", (TWO_BED, BUILDING), None, (900_000.0, 450_000.0), carry_forward)
    return plan.facing(envelopes=(envelope,), period_year=np.array([0, 1, 1, 1, 1, 1]))


@breaks("registrations_in_hand")
def more_homes_are_registering_than_may_at_once(plan: Plan) -> Plan:
    return plan.facing(registrations_limit=2)


@breaks("homes_have_managers")
def a_home_has_no_manager(plan: Plan) -> Plan:
    return plan.deciding("managers", (0, 3), 1)


@breaks("homes_have_managers")
def more_managers_are_in_post_than_can_be_recruited(plan: Plan) -> Plan:
    assert plan.problem.managers is not None
    return plan.facing(managers=replace(plan.problem.managers, recruitable=np.array([1, 2, 2, 1, 2, 2])))


@breaks("homes_have_managers")
def managers_are_in_post_where_none_are_planned(plan: Plan) -> Plan:
    return plan.facing(managers=None)


@breaks("lot_awarded_once")
def a_lot_is_awarded_in_two_periods(plan: Plan) -> Plan:
    again = plan.deciding("lot_awarded", 1, 1).deciding("tier_chosen", (1, 0), 1)
    return again.deciding("beds_in_tier", (1, 0), 1)


@breaks("lot_awarded_once")
def two_alternatives_are_both_awarded(plan: Plan) -> Plan:
    return plan.facing(lot_groups=(Group("one of the two", (BLOCK, IN_BUILDING), 1),))


@breaks("one_tier")
def two_tiers_are_chosen(plan: Plan) -> Plan:
    return plan.deciding("tier_chosen", (0, 0), 1).deciding("beds_in_tier", (0, 0), 1)


@breaks("one_tier")
def beds_lie_in_a_tier_that_is_not_chosen(plan: Plan) -> Plan:
    return plan.deciding("beds_in_tier", (0, 0), 1)


@breaks("one_tier")
def a_lot_has_beds_in_a_tier_that_it_does_not_offer(plan: Plan) -> Plan:
    return plan.deciding("beds_in_tier", (2, 1), 1)


@breaks("lot_size")
def fewer_beds_are_awarded_than_the_lot_asks(plan: Plan) -> Plan:
    return plan.facing(lot_minimum=np.array([4, 2]))


@breaks("lot_size")
def more_beds_are_awarded_than_the_lot_has(plan: Plan) -> Plan:
    return plan.facing(lot_maximum=np.array([2, 4]))


@breaks("call_off_within_option")
def more_call_off_beds_are_held_than_offered(plan: Plan) -> Plan:
    return plan.deciding("optional_beds", 0, 3)


@breaks("call_off_within_option")
def call_off_beds_are_held_without_an_award(plan: Plan) -> Plan:
    return plan.deciding("optional_beds", 1, 1)


@breaks("all_or_none_extended")
def an_extension_keeps_some_beds_only(plan: Plan) -> Plan:
    return plan.deciding("beds_extended", (0, 1), 1)


@breaks("all_or_none_extended")
def beds_are_extended_without_the_extension(plan: Plan) -> Plan:
    return plan.deciding("extension_taken", 0, 0)


@breaks("extension_needs_the_one_before")
def an_extension_skips_the_one_before(plan: Plan) -> Plan:
    first, second = plan.problem.extensions
    return plan.facing(extensions=(replace(first, needs=1), second))


@breaks("extension_needs_the_one_before")
def an_extension_is_taken_of_a_lot_never_awarded(plan: Plan) -> Plan:
    return plan.deciding("lot_awarded", 0, 0)


@breaks("contract_has_its_home")
def a_contract_in_a_building_has_no_building(plan: Plan) -> Plan:
    return plan.deciding("homes_begun", 2, 0)


@breaks("contract_has_its_home")
def children_live_in_a_building_that_is_not_open(plan: Plan) -> Plan:
    def shut(home_open: np.ndarray) -> np.ndarray:
        home_open[BUILDING] = 0
        return home_open

    return plan.facing_futures(home_open=shut)


@breaks("contract_has_its_home")
def beds_are_sold_in_a_building_that_is_full(plan: Plan) -> Plan:
    return plan.placing("beds_sold", (SOURCE_IN_BUILDING, 3), 4.0)


@breaks("source_allowed")
def a_child_lives_where_it_is_not_allowed(plan: Plan) -> Plan:
    return plan.moving(YOUNGER, SOURCE_SPOT, SOURCE_IN_BUILDING, 3, 0.1)


@breaks("every_child_placed")
def a_child_is_nowhere(plan: Plan) -> Plan:
    return plan.placing("placed", (SOUTHERN, SOURCE_BLOCK, 3), -0.2)


@breaks("every_child_placed")
def a_child_comes_from_nowhere(plan: Plan) -> Plan:
    return plan.placing("placed", (SOUTHERN, UNREGISTERED, 3), 0.2)


@breaks("placements_last")
def a_child_leaves_a_home_in_place_though_the_bed_is_there(plan: Plan) -> Plan:
    return plan.moving(OLDER, SOURCE_SUPPLY, UNREGISTERED, 2, 0.6)


@breaks("placements_last")
def moves_that_cost_something_are_taken_as_free(plan: Plan) -> Plan:
    return plan.facing(planned_move_price=np.full(3, 500.0))


@breaks("placements_last")
def nobody_moves_when_the_bed_goes(plan: Plan) -> Plan:
    still = tuple(replace(placed, moves_at_closure=0 * placed.moves_at_closure) for placed in plan.placements)
    return replace(plan, placements=still)


@breaks("planned_moves_within_mobility")
def more_planned_moves_than_the_rate(plan: Plan) -> Plan:
    dear = plan.facing(planned_move_price=np.array([0.0, 500.0, 0.0]))
    return dear.placing("planned_moves", (OLDER, SOURCE_SUPPLY, 2), 1.0)


@breaks("moves_at_closure_within_beds_lost")
def placements_end_though_no_bed_goes(plan: Plan) -> Plan:
    return plan.placing("moves_at_closure", (OLDER, SOURCE_SPOT, 2), 0.3)


@breaks("moves_at_closure_within_beds_lost")
def placements_end_though_the_extension_keeps_the_beds(plan: Plan) -> Plan:
    return plan.placing("moves_at_closure", (OLDER, SOURCE_BLOCK, 4), 0.3)


@breaks("homes_open_after_registration")
def a_child_lives_in_a_home_before_its_registration(plan: Plan) -> Plan:
    return plan.moving(OLDER, SOURCE_SUPPLY, SOURCE_HOME, 0, 0.2)


@breaks("lot_delivered_after_mobilisation")
def a_child_lives_in_a_lot_before_its_mobilisation(plan: Plan) -> Plan:
    return plan.moving(OLDER, SOURCE_SUPPLY, SOURCE_IN_BUILDING, 0, 0.2)


@breaks("lot_delivered_after_mobilisation")
def a_child_lives_in_a_lot_after_its_term(plan: Plan) -> Plan:
    without = plan.deciding("extension_taken", 0, 0)
    return replace(without, decisions=replace(without.decisions, beds_extended=0 * plan.decisions.beds_extended))


@breaks("placed_within_capacity")
def more_children_live_in_a_home_than_matching_lets(plan: Plan) -> Plan:
    return plan.facing(home_occupancy=np.array([0.3, 0.9]))


@breaks("placed_within_capacity")
def beds_are_in_use_that_nobody_has_bought(plan: Plan) -> Plan:
    return plan.placing("spot_layer_used", (0, 0, 2), -0.5)


@breaks("placed_within_capacity")
def beds_are_sold_that_are_not_idle(plan: Plan) -> Plan:
    return plan.facing_futures(supply_beds=lambda beds: beds - np.array([0.0, 1.5, 1.5, 1.5, 0.0, 0.0]))


@breaks("placed_within_matching")
def more_children_live_in_a_lot_than_matching_lets(plan: Plan) -> Plan:
    return plan.facing(lot_occupancy=np.array([0.3, 0.9]))


@breaks("layers_within_award")
def more_call_off_beds_are_bought_than_held(plan: Plan) -> Plan:
    layer = plan.problem.lot_layers.index(("call_off", 0, -1))
    return plan.placing("lot_layer_used", (layer, 2), 1.1)


@breaks("layers_within_award")
def beds_are_bought_of_a_tier_not_chosen(plan: Plan) -> Plan:
    layer = plan.problem.lot_layers.index(("filled", 0, 0))
    return plan.placing("lot_layer_used", (layer, 2), 0.1)


@breaks("spot_layers_within_offer")
def more_spot_beds_are_bought_than_offered(plan: Plan) -> Plan:
    return plan.placing("spot_layer_used", (0, 0, 2), 2.0)


@breaks("beds_sold_within_limit")
def more_beds_are_sold_than_others_buy(plan: Plan) -> Plan:
    return plan.placing("beds_sold", (SOURCE_SUPPLY, 0), 1.01)


@breaks("beds_sold_within_limit")
def beds_are_sold_where_there_are_none(plan: Plan) -> Plan:
    return plan.placing("beds_sold", (UNREGISTERED, 0), 0.5)


@breaks("local_enough")
def too_few_child_weeks_are_near(plan: Plan) -> Plan:
    return plan.facing(local_limits=(LocalLimit("all near", (OLDER,), np.array([1.0] * 5 + [0.2, 1.0]), 0.95),))


@breaks("registered_reliably")
def more_child_weeks_without_registration_are_expected_than_tolerated(plan: Plan) -> Plan:
    return plan.facing(unregistered_limits=(UnregisteredLimit("both", (NORTH, SOUTH), 0.5, None),))


@breaks("registered_reliably")
def a_child_week_without_registration_is_likelier_than_tolerated(plan: Plan) -> Plan:
    return plan.facing(unregistered_limits=(UnregisteredLimit("both", (NORTH, SOUTH), None, 0.3),))


@breaks("cvar")
def the_tail_costs_more_than_its_limit(plan: Plan) -> Plan:
    return plan.facing(cvar_limit=plan.verified().cvar - 10.0)


@breaks("placed_within_capacity")
def a_placement_is_not_a_number(plan: Plan) -> Plan:
    return plan.placing("placed", (OLDER, SOURCE_SPOT, 2), float("nan"))


@pytest.mark.parametrize(("rule", "way"), BREAKS, ids=[f"{rule}: {way.__name__}" for rule, way in BREAKS])
def test_a_broken_plan_is_rejected_by_the_name_of_the_rule(plan: Plan, rule: str, way: Callable[[Plan], Plan]) -> None:
    assert rule in way(plan).rules()


@pytest.mark.parametrize(
    "way",
    [
        more_homes_are_begun_than_are_to_be_had,
        capital_exceeds_the_envelope_in_total,
        capital_exceeds_the_envelope_of_the_first_year,
        more_homes_are_registering_than_may_at_once,
        a_home_has_no_manager,
        two_alternatives_are_both_awarded,
        fewer_beds_are_awarded_than_the_lot_asks,
        a_child_leaves_a_home_in_place_though_the_bed_is_there,
        nobody_moves_when_the_bed_goes,
        placements_end_though_no_bed_goes,
        too_few_child_weeks_are_near,
        the_tail_costs_more_than_its_limit,
    ],
)
def test_what_breaks_one_rule_breaks_no_other(plan: Plan, way: Callable[[Plan], Plan]) -> None:
    rule = next(rule for rule, other in BREAKS if other is way)
    assert way(plan).rules() == {rule}


@pytest.mark.parametrize(
    "way", [lambda plan: plan, *(way for _, way in BREAKS)], ids=lambda way: way.__name__.replace("<lambda>", "none")
)
def test_futures_recomputed_together_are_recomputed_as_each_by_itself(
    plan: Plan, way: Callable[[Plan], Plan], monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = way(plan)
    together = broken.verified()
    monkeypatch.setattr(futures, "TOGETHER", 1)
    apart = broken.verified()

    assert [str(violation) for violation in together.violations] == [str(violation) for violation in apart.violations]
    for name in ("scenario_cost", "unregistered_child_weeks", "usable_beds"):
        assert getattr(together, name) == pytest.approx(getattr(apart, name), rel=1e-12, nan_ok=True), name
    assert together.ledger.nominal == pytest.approx(apart.ledger.nominal, rel=1e-12, nan_ok=True)


def test_what_is_found_of_futures_on_two_branches_is_told_in_the_order_of_the_futures() -> None:
    two = small_problem(review=True)
    first, second = two.scenarios
    half = replace(first, probability=first.probability / 2)
    problem = replace(two, scenarios=(half, second, replace(half, name="the first again")))
    assert first.path != second.path
    empty = [Placements.none(problem, scenario) for scenario in problem.scenarios]

    found = verify(problem, Decisions.none(problem), empty)

    lost = [violation.where for violation in found.violations if violation.rule == "every_child_placed"]
    futures_in_order = list(dict.fromkeys(where.rpartition(", ")[2] for where in lost))
    assert futures_in_order == [scenario.name for scenario in problem.scenarios]


def test_every_rule_has_a_plan_that_breaks_it() -> None:
    called = {"contract_has_its_home_begun": "contract_has_its_home"}
    names = {called.get(rule.__name__, rule.__name__) for rule in (*DECISION_RULES, *PLACEMENT_RULES)}
    assert names | {"local_enough", "registered_reliably", "cvar"} == {rule for rule, _ in BREAKS}


def test_a_lot_whose_beds_are_all_paid_for_holds_no_more_children_than_matching_lets(plan: Plan) -> None:
    problem, living = plan.problem, plan.placements[1]
    full = plan.placing("placed", (SOUTHERN, SOURCE_BLOCK, 2), 4.0 - living.placed[:, SOURCE_BLOCK, 2].sum())
    for kind, tier, held in (("filled", 1, 0.8 * 3), ("above_guarantee", 1, 0.2 * 3), ("call_off", -1, 1.0)):
        layer = problem.lot_layers.index((kind, 0, tier))
        full = full.placing("lot_layer_used", (layer, 2), held - living.lot_layer_used[layer, 2])
    violations = full.verified().violations
    (found,) = [violation for violation in violations if violation.rule == "placed_within_matching"]
    assert found.amount == pytest.approx(0.05 * 4)  # 95% of three committed beds and one on call-off
    assert not {"placed_within_capacity", "layers_within_award"} & {violation.rule for violation in violations}


# what holds, just


def test_capital_may_use_what_the_year_before_left_over_where_it_is_carried_forward(plan: Plan) -> None:
    assert "capital_within_envelope" not in _second_home_in_the_second_year(plan, carry_forward=True).rules()


def test_a_limit_that_is_just_met_is_met(plan: Plan) -> None:
    just = plan.facing(
        envelopes=(Envelope("programme", (TWO_BED, BUILDING), 1_300_000.0, None, False),),
        registrations_limit=3,
        unregistered_limits=(UnregisteredLimit("both", (NORTH, SOUTH), None, 0.4),),
        cvar_limit=plan.verified().cvar,
    )
    assert just.rules() == set()


def test_a_branch_may_decide_in_its_own_periods_only() -> None:
    plan, _ = solved(small_problem(review=True))
    assert "homes_have_managers" in plan.deciding("managers", (1, 1), 1).rules()


def test_a_lot_may_be_awarded_once_on_each_of_two_branches_and_not_twice_on_one() -> None:
    problem = small_problem(review=True)
    awards = (
        *problem.awards[:1],
        replace(problem.awards[0], node=1, period=3),
        replace(problem.awards[0], node=2, period=3),
    )
    problem = replace(problem, awards=awards, extensions=problem.extensions[2:], scenarios=_without_first_two(problem))
    decisions = Decisions.none(problem)
    plan = Plan(problem, decisions, tuple(Placements.none(problem, scenario) for scenario in problem.scenarios))

    on_each = plan.deciding("lot_awarded", 1, 1).deciding("lot_awarded", 2, 1)
    assert "lot_awarded_once" not in on_each.rules()
    assert "lot_awarded_once" in on_each.deciding("lot_awarded", 0, 1).rules()


def _without_first_two(problem: Problem) -> tuple[Any, ...]:
    names = ("extension_delivered", "extension_price", "supply_extension_beds", "supply_extension_cost")
    return tuple(
        replace(scenario, **{name: getattr(scenario, name)[2:] for name in names}) for scenario in problem.scenarios
    )


def test_children_who_may_no_longer_live_there_move_whatever_beds_remain(plan: Plan) -> None:
    allowed = plan.problem.allowed.copy()
    allowed[OLDER, SOURCE_SPOT, 2] = False
    moved = plan.facing(allowed=allowed).placing("moves_at_closure", (OLDER, SOURCE_SPOT, 2), 1.0)
    assert "moves_at_closure_within_beds_lost" not in moved.rules()


def test_a_contract_that_has_ended_no_longer_fills_its_building() -> None:
    problem = small_problem()
    awards = (*problem.awards, replace(problem.awards[2], period=4))
    scenarios = tuple(
        replace(scenario, lot_delivered=np.where(np.arange(6) < 3, scenario.lot_delivered, 0.0))
        for scenario in problem.scenarios
    )
    problem = replace(problem, awards=awards, scenarios=scenarios)
    plan = Plan(problem, Decisions.none(problem), tuple(Placements.none(problem, s) for s in problem.scenarios))
    both = plan.deciding("homes_begun", 2, 1).deciding("beds_in_tier", (2, 0), 3).deciding("beds_in_tier", (3, 0), 3)
    assert "contract_has_its_home" not in both.rules()

    running = both.facing_futures(lot_delivered=lambda delivered: np.ones_like(delivered))
    assert "contract_has_its_home" in running.rules()


def test_arrays_of_another_shape_are_refused(plan: Plan) -> None:
    with pytest.raises(ValueError, match="1 placements for 2 scenarios"):
        verify(plan.problem, plan.decisions, plan.placements[:1])
    short = replace(plan.decisions, homes_begun=plan.decisions.homes_begun[:1])
    with pytest.raises(ValueError, match=r"decisions: homes_begun has shape \(1,\), not \(3,\)"):
        verify(plan.problem, short, plan.placements)


def test_a_violation_names_rule_place_and_amount(plan: Plan) -> None:
    broken = plan.moving(OLDER, SOURCE_SUPPLY, SOURCE_HOME, 0, 0.25).verified()
    found = {violation.rule: violation for violation in broken.violations}
    assert str(found["homes_open_after_registration"]) == (
        "homes_open_after_registration: two-bed home, 2025-11, many arrivals, by 0.25"
    )


def test_usable_beds_include_call_off_held_and_spot_beds_on_offer(plan: Plan) -> None:
    beds = plan.verified().usable_beds
    assert beds[0, SOURCE_BLOCK, 2] == pytest.approx(0.95 * (3 + 1))  # three committed, one call-off
    assert beds[0, SOURCE_SPOT, 2] == pytest.approx(4.0)
    assert beds[1, SOURCE_SPOT, 2] == pytest.approx(3.0)
    assert beds[0, SOURCE_HOME, 2] == pytest.approx(2 * 1.0 + 2 * 0.5)  # one home open, one half way
    assert (beds[:, UNREGISTERED] == 0).all()


# pounds by hand


def by_hand() -> Plan:
    """One home, one award, an extension of the home in place, and children in the first month of a few arrivals."""
    problem = small_problem(planned_move_price=np.full(3, 500.0))
    decisions, placements = Decisions.none(problem), tuple(Placements.none(problem, s) for s in problem.scenarios)
    decisions.homes_begun[0] = 1
    decisions.homes_closed[5] = 1
    decisions.managers[0, 0] = 2
    decisions.lot_awarded[0] = decisions.tier_chosen[0, 1] = 1
    decisions.beds_in_tier[0, 1] = 4
    decisions.optional_beds[0] = 2
    decisions.extension_taken[:] = 1
    decisions.beds_extended[0] = 0, 4, 2
    first = placements[0]
    first.placed[OLDER, SOURCE_HOME, 2] = 1
    first.placed[OLDER, SOURCE_BLOCK, 0] = 1
    first.placed[SOUTHERN, SOURCE_BLOCK, 0] = 3
    first.placed[YOUNGER, SOURCE_SUPPLY, 0] = 2
    first.placed[YOUNGER, SOURCE_SPOT, 0] = 1
    first.placed[SOUTHERN, SOURCE_SPOT, 0] = 1
    first.placed[SOUTHERN, UNREGISTERED, 0] = 0.5
    first.planned_moves[OLDER, SOURCE_SUPPLY, 0] = 0.2
    first.moves_at_closure[OLDER, SOURCE_HOME, 5] = 0.5
    first.lot_layer_used[problem.lot_layers.index(("filled", 0, 1)), 0] = 1.0
    first.lot_layer_used[problem.lot_layers.index(("above_guarantee", 0, 1)), 0] = 0.2
    first.lot_layer_used[problem.lot_layers.index(("call_off", 0, -1)), 0] = 0.5
    first.spot_layer_used[0, :, 0] = 1.5, 0.5
    first.beds_sold[SOURCE_SUPPLY, 0] = 1
    return Plan(problem, decisions, placements)


FIRST_MONTH = {  # £ of North and of South in the first month of four weeks
    "capital": (390_000.0, 130_000.0),  # 520,000 at 75 to 25
    "residual": (0.0, 0.0),
    "running": (0.0, 0.0),  # not open yet
    "managers": (6_000.0, 2_000.0),  # two at 4,000, shared as the one council-run home is
    "variable": (0.0, 0.0),
    "waiting": (4_500.0, 1_500.0),  # 6,000
    "lifecycle": (0.0, 0.0),
    # half of four beds delivered: 0.8 x 0.7 x 4,900 x 4 weeks x 2 beds = 21,952 at 60 to 40, and the layers
    # 30% x 4,900 x 4 x 1.0 + 4,900 x 4 x 0.2 = 9,800 by children, one to three
    "block": (13_171.2 + 2_450.0, 8_780.8 + 7_350.0),
    # 150 x 4 weeks x 1 bed held = 600 at 60 to 40; 5,600 x 4 x 0.5 = 11,200 one to three
    "call_off": (360.0 + 2_800.0, 240.0 + 8_400.0),
    "procurement": (1_500.0 + 7_200.0, 500.0 + 4_800.0),  # 2,000 fallen through, 12,000 set-up
    "existing": (30_000.0 + 2_400.0, 0.0),  # commitment, and 300 x 4 weeks x 2 children of North
    "spot": (27_500.0, 27_500.0),  # 4 x (1.5 x 6,500 + 0.5 x 8,000) = 55,000, one child each
    "unregistered": (0.0, 18_000.0),  # 9,000 x 4 x 0.5
    "closures": (0.0, 0.0),
    "planned_moves": (100.0, 0.0),  # 500 x 0.2
    # contributions 150 x 4 x 1 and 90 x 4 x 4.5, one bed sold at 700 x 4, grants
    "income": (-600.0 - 2_800.0 - 1_000.0, -1_620.0 - 400.0),
}


@pytest.mark.parametrize("term", COST_TERMS)
def test_the_first_month_costs_what_it_costs_by_hand(term: str) -> None:
    ledger = by_hand().verified().ledger
    np.testing.assert_allclose(ledger.nominal[0, TERM[term], :, 0], FIRST_MONTH[term])


def test_later_months_cost_what_they_cost_by_hand() -> None:
    nominal = by_hand().verified().ledger.nominal[0]
    share = np.array([0.75, 0.25])
    np.testing.assert_allclose(nominal[TERM["running"], :, 1], share * 7_515.0)  # half open, 15,000 x 1.002
    np.testing.assert_allclose(nominal[TERM["running"], :, 5], share * (15_000 * 1.002**5 - 9_000))  # closed
    np.testing.assert_allclose(nominal[TERM["lifecycle"], :, 1], share * 200.0)
    np.testing.assert_allclose(nominal[TERM["waiting"], :, 1], share * 3_000.0)
    np.testing.assert_allclose(nominal[TERM["residual"], :, 5], share * -480_000.0)
    np.testing.assert_allclose(nominal[TERM["closures"], :, 5], share * 20_000.0 + [5_000.0, 0.0])
    np.testing.assert_allclose(nominal[TERM["variable"], :, 2], [4_050.0, 0.0])  # 900 x 4.5
    np.testing.assert_allclose(nominal[TERM["existing"], :, 5], [33_000.0, 0.0])  # extension
    # four beds extended at 4% more than the term's price: 0.56 x 4,900 x 1.04 x 4 x 4.5 weeks, indexed
    np.testing.assert_allclose(nominal[TERM["block"], :, 5], 51_367.68 * 1.002**5 * np.array([0.6, 0.4]))
    # term and extension share the fifth month: two beds at the one price and two at the other
    np.testing.assert_allclose(nominal[TERM["block"], :, 4], 12_348 * 2 * 2.04 * 1.002**4 * np.array([0.6, 0.4]))
    np.testing.assert_allclose(nominal[TERM["call_off"], :, 5], 150 * 4.5 * 2 * 1.04 * np.array([0.6, 0.4]))


def test_pounds_are_deflated_and_discounted_and_the_deterrent_is_no_pound() -> None:
    plan = by_hand()
    found = plan.verified()
    present = found.ledger.present(plan.problem)
    assert present[0, TERM["running"], :, 1].sum() == pytest.approx(7_515.0 * 0.998 * 0.997)
    assert found.ledger.deterrent[0].tolist() == [30_000.0, 0.0, 0.0, 0.0, 0.0, 0.0]
    assert found.scenario_cost[0] - found.scenario_pounds[0] == pytest.approx(30_000.0)
    assert found.objective - found.expected_cost == pytest.approx(0.6 * 30_000.0)
    assert found.unregistered_child_weeks[0].tolist() == [[0.0, 0.0], [2.0, 0.0]]
    years = found.ledger.by_year(plan.problem)
    assert years[0, TERM["waiting"]].sum() == pytest.approx(9_000.0)
    assert years[0, TERM["residual"], :, 0].sum() == 0.0


# the tail


def test_the_tail_counts_the_worst_futures_and_the_last_of_them_in_part() -> None:
    cost, probability = np.array([100.0, 200.0]), np.array([0.6, 0.4])
    assert tail_mean(cost, probability, 0.6) == pytest.approx(200.0)
    assert tail_mean(cost, probability, 0.5) == pytest.approx((0.4 * 200 + 0.1 * 100) / 0.5)
    assert tail_mean(cost, probability, 0.0) == pytest.approx(140.0)
    assert tail_mean(cost, probability, 0.99) == pytest.approx(200.0)


@pytest.mark.parametrize("level", [0.0, 0.3, 0.6, 0.9, 0.95])
def test_the_tail_is_the_minimum_over_the_value_at_risk(level: float) -> None:
    random = np.random.default_rng(5)
    cost, probability = random.normal(100.0, 30.0, 40), random.dirichlet(np.ones(40))
    values = [v + probability @ np.maximum(cost - v, 0.0) / (1 - level) for v in cost]
    assert tail_mean(cost, probability, level) == pytest.approx(min(values))


# beds that stand free


def waiting(**futures: Callable[[Any], Any]) -> Plan:
    """One older child of North and one of South wait in the first month; the home in place has half a bed free."""
    problem = small_problem()
    placements = tuple(Placements.none(problem, s) for s in problem.scenarios)
    for placed in placements:
        placed.placed[:, SOURCE_SUPPLY, 0] = 1.0, 1.0, 0.5
        placed.placed[[OLDER, SOUTHERN], UNREGISTERED, 0] = 1.0
    plan = Plan(problem, Decisions.none(problem), placements)
    return plan.facing_futures(**{"spot_layer_beds": lambda beds: 0 * beds, **futures})


def idle(plan: Plan) -> list[float]:
    return idle_while_unregistered(plan.problem, plan.decisions, plan.placements).tolist()


def test_half_a_free_bed_for_two_who_wait_is_two_child_weeks() -> None:
    assert idle(waiting()) == pytest.approx([2.0, 2.0])


def test_a_free_bed_counts_for_those_whom_it_takes_only() -> None:
    plan = waiting()
    allowed = plan.problem.allowed.copy()
    allowed[[OLDER, SOUTHERN], SOURCE_SUPPLY] = False
    assert idle(plan.facing(allowed=allowed)) == [0.0, 0.0]


def test_each_free_bed_takes_one_child_and_the_most_are_matched() -> None:
    # the older child may use the home in place and the market, the southern child the market only
    def one_bed(beds: np.ndarray) -> np.ndarray:
        return 0 * beds + np.array([1.0, 0.0])[:, None]

    plan = waiting(spot_layer_beds=one_bed)
    allowed = plan.problem.allowed.copy()
    allowed[SOUTHERN, SOURCE_SUPPLY] = False
    assert idle(plan.facing(allowed=allowed)) == pytest.approx([1.5 * 4, 1.5 * 4])


def test_unlimited_spot_beds_are_free_for_all_who_wait() -> None:
    assert idle(waiting(spot_layer_beds=lambda beds: np.full_like(beds, np.inf))) == pytest.approx([8.0, 8.0])


def test_unused_call_off_beds_are_free() -> None:
    held = waiting().deciding("optional_beds", 0, 1)  # half delivered in the first month, 95% fillable
    assert idle(held) == pytest.approx([(0.5 + 0.475) * 4] * 2)


def test_beds_in_a_council_building_are_free_only_as_far_as_it_is_open() -> None:
    delivered = {"lot_delivered": lambda delivered: np.ones_like(delivered)}
    shut = waiting(**delivered).deciding("beds_in_tier", (2, 0), 2)
    assert idle(shut) == pytest.approx([2.0, 2.0])  # the home in place only
    partly = waiting(**delivered, home_open=lambda share: np.full_like(share, 0.25))
    partly = partly.deciding("beds_in_tier", (2, 0), 2).deciding("homes_begun", 2, 1)
    assert idle(partly) == pytest.approx([(0.5 + 0.25 * 4 * 0.9) * 4] * 2)
