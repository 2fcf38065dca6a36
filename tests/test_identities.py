"""Identities that the extensive form must satisfy, and the traps that a naive version falls into."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models import extensive
from models.problem import (
    PROBLEM_SHAPES,
    SCENARIO_SHAPES,
    Award,
    Begin,
    Envelope,
    Extension,
    Group,
    Managers,
    Problem,
    Tier,
)
from tests import oracle
from tests.random_problems import Draft, random_problem
from tests.test_brute_force import TOLERANCE, close, decided, solve, solve_problem

FEW = range(24)


def least(problem: Problem) -> float:
    """Optimal objective; infeasible counts as infinite."""
    solved = solve_problem(problem)
    return np.inf if solved is None else solved.objective


def at_most(one: float, other: float) -> bool:
    return one <= other + TOLERANCE * max(1.0, abs(one) if np.isfinite(one) else 1.0)


def without_limits(problem: Problem) -> Problem:
    """Rules 12 and 13 left out, and the tail neither weighed nor limited."""
    return replace(problem, local_limits=(), unregistered_limits=(), cvar_limit=None, risk_weight=0.0)


def probabilities(problem: Problem) -> np.ndarray:
    return np.array([scenario.probability for scenario in problem.scenarios])


def several_futures() -> list[Problem]:
    drawn = (without_limits(random_problem(seed)) for seed in FEW)
    return [problem for problem in drawn if len(problem.scenarios) > 1]


# the newsvendor


def newsvendor(kind: str, demand: list[int], probability: list[float], price: float, spot_price: float) -> Problem:
    """One kind of bed paid for whether filled or not, one cohort, one period, and spot beds beyond."""
    most = max(demand)
    tiers = ((Tier(0, most),),) if kind == "lot" else ()
    draft = Draft(homes=int(kind == "home"), lot_tiers=tiers, paths=((0,),) * len(demand))
    draft.probability = probability
    draft.array.lot_minimum[:] = 0
    if kind == "lot":
        draft.awards.append(Award(0, 0, 0))
    else:
        draft.begins.append(Begin(0, 0, 0))
        draft.home_groups = [Group("one-bed homes", (0,), most)]
    for future, children in zip(draft.futures, demand, strict=True):
        future.arrivals[:] = children
        future.lot_price[:] = future.home_running[:] = price
        future.spot_layer_price[:] = spot_price
    return draft.build()


def beds_bought(problem: Problem) -> int:
    plan = decided(problem, solve_problem(problem).model)
    return int(plan.homes_begun.sum() + plan.beds_in_tier.sum())


@pytest.mark.parametrize("kind", ["lot", "home"])
@pytest.mark.parametrize(("price", "beds"), [(1.0, 8), (3.0, 5), (5.0, 3), (8.0, 1), (9.5, 0)])
def test_beds_bought_are_the_newsvendor_quantile_of_demand(kind, price, beds):
    # A bed pays while demand passes it with more probability than price over spot price.
    assert beds_bought(newsvendor(kind, [0, 1, 3, 5, 8], [0.1, 0.2, 0.3, 0.25, 0.15], price, 10.0)) == beds


@settings(max_examples=15, deadline=None, derandomize=True)
@given(
    demand=st.lists(st.integers(0, 9), min_size=2, max_size=6),
    weights=st.lists(st.integers(1, 20), min_size=6, max_size=6),
    price=st.floats(0.5, 9.5),
    kind=st.sampled_from(["lot", "home"]),
)
def test_the_cost_is_that_of_the_newsvendor_quantile(demand, weights, price, kind):
    demand = [max(demand[0], 1), *demand[1:]]
    probability = np.array(weights[: len(demand)]) / sum(weights[: len(demand)])
    problem = newsvendor(kind, demand, list(probability), price, 10.0)
    order = np.argsort(demand)
    reached = np.cumsum(probability[order]) >= 1 - price / 10.0 - 1e-12
    quantile = np.array(demand)[order][np.argmax(reached)]
    cost = price * quantile + 10.0 * float(probability @ np.maximum(np.array(demand) - quantile, 0))
    assert least(problem) == pytest.approx(cost, rel=1e-6, abs=1e-6)


# what a plan is worth


def alone(problem: Problem, scenario: int) -> Problem:
    return replace(problem, scenarios=(replace(problem.scenarios[scenario], probability=1.0),))


def mean_value(problem: Problem) -> Problem:
    """One future that is the mean of all; only where there is no review."""
    arrays = {
        name: sum(scenario.probability * getattr(scenario, name) for scenario in problem.scenarios)
        for name in SCENARIO_SHAPES
    }
    return replace(problem, scenarios=(replace(problem.scenarios[0], name="mean", probability=1.0, **arrays),))


def test_wait_and_see_is_never_dearer_than_here_and_now():
    strict = 0
    for problem in several_futures():
        see = sum(s.probability * least(alone(problem, position)) for position, s in enumerate(problem.scenarios))
        now = least(problem)
        assert at_most(see, now)
        strict += not close(see, now)
    assert strict >= 4


def test_here_and_now_is_never_dearer_than_the_mean_value_plan():
    strict = 0
    for problem in several_futures():
        if len(problem.nodes) > 1:
            continue
        averaged = mean_value(problem)
        plan = decided(averaged, solve_problem(averaged).model)
        expected = oracle.value(problem, plan)
        now = least(problem)
        assert at_most(now, np.inf if expected is None else expected)
        strict += expected is None or not close(now, expected)
    assert strict >= 2


# risk


def test_risk_weight_zero_equals_expected_cost():
    for problem in several_futures()[:8]:
        solved = solve_problem(problem)
        cost = np.array([_cost_of(solved.model, scenario) for scenario in range(len(problem.scenarios))])
        assert close(solved.objective, float(probabilities(problem) @ cost))
        assert close(least(replace(problem, cvar_level=0.2)), solved.objective)
        # A limit on the tail that nothing reaches brings its variables and changes nothing.
        assert close(least(replace(problem, cvar_limit=1e6)), solved.objective)


def _cost_of(model, scenario):
    future = model.future[scenario]
    return sum(term() if callable(term) else term for term in future.cost.values()) + future.deterrent()


def test_one_scenario_equals_deterministic_whatever_the_weight_of_the_tail():
    for problem in several_futures()[:5]:
        single = alone(problem, 0)
        certain = least(single)
        for weight in (0.3, 1.0):
            assert close(least(replace(single, risk_weight=weight, cvar_level=0.9)), certain)


def test_equal_scenarios_equal_one():
    for problem in several_futures()[:5]:
        single = alone(problem, 0)
        copies = tuple(
            replace(single.scenarios[0], name=f"copy {number}", probability=share)
            for number, share in enumerate((0.2, 0.3, 0.5))
        )
        for weight in (0.0, 0.4):
            equal = replace(single, scenarios=copies, risk_weight=weight, cvar_level=0.6)
            assert close(least(equal), least(single))


def test_cvar_at_level_zero_is_the_expectation():
    for problem in several_futures()[:6]:
        assert close(least(replace(problem, risk_weight=1.0, cvar_level=0.0)), least(problem))


def test_cvar_near_level_one_is_the_worst_case():
    differs = 0
    for problem in several_futures()[:8]:
        recourse = oracle.Recourse(problem)
        worst = min(recourse.costs(plan).max() for plan in oracle.first_stages(problem))
        assert close(least(replace(problem, risk_weight=1.0, cvar_level=0.999)), worst)
        differs += not close(worst, least(problem))
    assert differs >= 4


def test_more_weight_on_the_tail_never_costs_less():
    for problem in several_futures()[:6]:
        costs = [least(replace(problem, risk_weight=weight, cvar_level=0.7)) for weight in (0.0, 0.5, 1.0)]
        assert at_most(costs[0], costs[1]) and at_most(costs[1], costs[2])


# more never costs more


def _fewer(problem: Problem, lot: int) -> Problem:
    """The problem without awards of one lot."""
    awards = [position for position, award in enumerate(problem.awards) if award.lot != lot]
    kept = [p for p, extension in enumerate(problem.extensions) if extension.award is None or extension.award in awards]
    extensions = tuple(
        replace(
            problem.extensions[position],
            award=None
            if problem.extensions[position].award is None
            else awards.index(problem.extensions[position].award),
            needs=None
            if problem.extensions[position].needs is None
            else kept.index(problem.extensions[position].needs),
        )
        for position in kept
    )
    arrays = [name for name, index in SCENARIO_SHAPES.items() if index[0] == "extension"]
    scenarios = tuple(
        replace(scenario, **{name: getattr(scenario, name)[kept] for name in arrays}) for scenario in problem.scenarios
    )
    return replace(
        problem,
        awards=tuple(problem.awards[position] for position in awards),
        extensions=extensions,
        scenarios=scenarios,
    )


def _cheaper(problem: Problem, *names: str) -> Problem:
    return replace(
        problem,
        scenarios=tuple(
            replace(scenario, **{name: 0.85 * getattr(scenario, name) for name in names})
            for scenario in problem.scenarios
        ),
    )


def _envelopes_times(problem: Problem, factor: float) -> Problem:
    return replace(
        problem,
        envelopes=tuple(
            replace(
                envelope,
                total=None if envelope.total is None else factor * envelope.total,
                by_year=None if envelope.by_year is None else tuple(factor * year for year in envelope.by_year),
            )
            for envelope in problem.envelopes
        ),
    )


def _compare(changes, wanted: int) -> None:
    """The second problem of each pair is never dearer than the first, and cheaper in so many at least."""
    strict = 0
    for before, after in changes:
        first, second = least(before), least(after)
        assert at_most(second, first)
        strict += second < first - TOLERANCE * max(1.0, abs(second))
    assert strict >= wanted


def test_more_envelope_never_costs_more():
    problems = [problem for problem in map(random_problem, range(64)) if problem.envelopes]
    _compare([(_envelopes_times(problem, 0.5), _envelopes_times(problem, 1.5)) for problem in problems[:12]], 3)


def test_another_lot_never_costs_more():
    problems = [problem for problem in map(random_problem, FEW) if problem.lots]
    _compare([(_fewer(problem, len(problem.lots) - 1), problem) for problem in problems], 4)


@pytest.mark.parametrize(
    "names",
    [
        ("spot_layer_price",),
        ("lot_price", "call_off_price", "lot_setup"),
        ("home_running", "home_waiting", "variable_price", "capital_outlay", "residual_value"),
    ],
)
def test_lower_prices_never_cost_more(names):
    # Outlay and residual value fall together: what is lost on a home is never negative here.
    _compare([(problem, _cheaper(problem, *names)) for problem in map(random_problem, FEW)], 4)


# order does not matter


def reordered(problem: Problem, word: str, order: list[int]) -> Problem:
    """The problem with the rows of cohorts, homes or lots in another order."""
    to = {old: new for new, old in enumerate(order)}
    sources = list(range(len(problem.sources)))
    first = {"home": 0, "lot": problem.lot_source}.get(word)
    if first is not None:
        sources[first : first + len(order)] = [first + old for old in order]
    orders = {word: order, "source": sources}

    def taken(array, index):
        for axis, name in enumerate(index):
            if name in orders:
                array = np.take(array, orders[name], axis=axis)
        return array

    def members(groups):
        return tuple(replace(group, members=tuple(to[member] for member in group.members)) for group in groups)

    changes = {name: taken(getattr(problem, name), index) for name, index in PROBLEM_SHAPES.items()}
    changes["scenarios"] = tuple(
        replace(scenario, **{name: taken(getattr(scenario, name), index) for name, index in SCENARIO_SHAPES.items()})
        for scenario in problem.scenarios
    )
    changes["local_limits"] = tuple(replace(limit, share=limit.share[sources]) for limit in problem.local_limits)
    if word == "cohort":
        changes["cohorts"] = tuple(problem.cohorts[old] for old in order)
        changes["steps"] = tuple((to[origin], to[destination]) for origin, destination in problem.steps)
        changes["local_limits"] = tuple(
            replace(limit, cohorts=tuple(to[cohort] for cohort in limit.cohorts)) for limit in problem.local_limits
        )
    elif word == "home":
        changes["homes"] = tuple(problem.homes[old] for old in order)
        changes["begins"] = tuple(replace(begin, home=to[begin.home]) for begin in problem.begins)
        changes["home_groups"] = members(problem.home_groups)
        changes["lot_building"] = np.array([to.get(int(b), -1) for b in problem.lot_building], dtype=np.int64)
        changes["envelopes"] = tuple(
            replace(envelope, homes=tuple(to[home] for home in envelope.homes)) for envelope in problem.envelopes
        )
    else:
        changes["lots"] = tuple(problem.lots[old] for old in order)
        changes["awards"] = tuple(replace(award, lot=to[award.lot]) for award in problem.awards)
        changes["lot_tiers"] = tuple(problem.lot_tiers[old] for old in order)
        changes["lot_groups"] = members(problem.lot_groups)
    return replace(problem, **changes)


@pytest.mark.parametrize("word", ["cohort", "home", "lot"])
def test_order_of_input_rows_does_not_matter(word):
    rows = {"cohort": "cohorts", "home": "homes", "lot": "lots"}[word]
    problems = [problem for problem in map(random_problem, range(48)) if len(getattr(problem, rows)) == 2]
    assert len(problems) >= 4
    for problem in problems[:10]:
        one, other = least(problem), least(reordered(problem, word, [1, 0]))
        assert one == other or close(one, other)


def test_order_of_scenarios_does_not_matter():
    problems = [problem for problem in map(random_problem, FEW) if len(problem.scenarios) > 1]
    for problem in problems[:10]:
        one, other = least(problem), least(replace(problem, scenarios=problem.scenarios[::-1]))
        assert one == other or close(one, other)


# the horizon


def ends_early(periods: int) -> Problem:
    """Nobody is in care from the fifth period on, and every term and extension is over by then."""
    draft = Draft(periods=periods, lot_tiers=((Tier(1, 2), Tier(3, 4)),), supplies=1, layers=2, paths=((0,), (0,)))
    array, when = draft.array, np.arange(periods)
    array.discount = 0.99**when
    array.lot_maximum[:], array.call_off_maximum[:] = 4, 1
    array.placed_at_start[0, 1] = 2.0  # the supply
    draft.awards = [Award(0, 0, 0), Award(0, 0, 1)]
    for future, arrivals in zip(draft.futures, ([1.0, 2.0, 0.0, 1.0], [0.0, 3.0, 3.0, 0.0]), strict=True):
        future.arrivals[0, :4] = arrivals
        future.breakdown[:] = 0.05
        future.stay[:, :, :4] = 0.7
        future.stay[:, :, 4:] = 0.0
        for awarded in range(periods):
            future.lot_delivered[0, awarded] = (when >= awarded) & (when < awarded + 2)
        future.lot_price[0, 0], future.lot_price[0, 1] = 3.1, 2.7
        future.call_off_price[:], future.call_off_retainer[:] = 3.9, 0.2
        future.supply_beds[0] = 2.0 * (when < 2)
        future.supply_commitment[0] = 3.0 * (when < 2)
        future.spot_layer_beds[0, 0], future.spot_layer_price[0, 0], future.spot_layer_price[0, 1] = 1.0, 5.3, 7.9
    for position, award in enumerate(draft.awards):
        extended = {"extension_delivered": 1.0 * (when == award.period + 2), "extension_price": 0.9}
        draft.extend(Extension(position, None, 0, 0, 0, None), [extended, extended])
    supply = {"supply_extension_beds": 2.0 * (when == 2), "supply_extension_cost": 4.0 * (when == 2)}
    draft.extend(Extension(None, 0, 0, 0, 0, None), [supply, supply])
    return draft.build()


@pytest.mark.parametrize("more", [1, 3])
def test_a_longer_horizon_over_no_demand_changes_no_earlier_decision(more):
    short, long = ends_early(5), ends_early(5 + more)
    one, other = solve_problem(short), solve_problem(long)
    assert close(one.objective, other.objective)
    plan, longer = decided(short, one.model), decided(long, other.model)
    assert plan.lot_awarded.any()
    for name in ("lot_awarded", "beds_in_tier", "optional_beds", "extension_taken", "beds_extended"):
        assert np.array_equal(getattr(plan, name), getattr(longer, name))


# rules that random problems seldom meet, solved by hand


def both_ways(problem: Problem):
    """Plan and objective, confirmed by the oracle."""
    solved = solve_problem(problem)
    assert close(solved.objective, oracle.best_plan(problem).objective)
    return decided(problem, solved.model), solved.objective


def test_closing_a_home_frees_its_manager_for_another():
    draft = Draft(cohorts=2, periods=4, homes=2)
    draft.array.allowed[0, 1] = draft.array.allowed[1, 0] = False
    draft.array.closable[0], draft.array.closed_saving[0] = True, 1.0
    draft.array.certainly_open[:] = np.arange(4)
    draft.array.needs_manager[:] = np.triu(np.ones((4, 4), dtype=bool))
    draft.managers = Managers(1, np.ones(4, dtype=np.int64), np.full(4, 0.1))
    draft.begins = [Begin(0, 0, 0), Begin(1, 0, 2)]
    future = draft.futures[0]
    future.arrivals[0, 0] = future.arrivals[1, 2] = 1.0
    future.stay[0, :, 2:] = 0.0
    future.home_running[:] = np.triu(np.ones((4, 4)))
    future.spot_layer_price[:] = 9.0
    plan, cost = both_ways(draft.build())
    assert list(plan.homes_begun) == [1, 1] and plan.homes_closed[2] == 1
    assert cost == pytest.approx(2 * 1 + 2 * 1 + 4 * 0.1)


def test_moves_at_closure_end_with_the_period_of_the_closure():
    draft = Draft(periods=4, homes=1, supplies=1)
    draft.home_groups = [Group("homes", (0,), 2)]
    draft.begins = [Begin(0, 0, 0)]
    draft.array.closable[:], draft.array.certainly_open[:] = True, np.arange(4)
    draft.array.closing_cost[:], draft.array.closure_price[:] = 3.0, 0.5
    future = draft.futures[0]
    future.arrivals[0, 0] = 2.0
    future.variable_price[0], future.spot_layer_price[:] = 5.0, 50.0
    future.supply_beds[0] = [0.0, 1.0, 2.0, 2.0]
    plan, cost = both_ways(draft.build())
    # Were the second child free to move once one home had closed, the second closure would not be paid.
    assert plan.homes_closed.sum() == 2
    assert cost == pytest.approx(2 * 5 + 5 + 2 * 3.5)


@pytest.mark.parametrize(("carry_forward", "begun"), [(True, [0, 2]), (False, [0, 1])])
def test_capital_not_used_in_a_year_is_there_the_year_after_only_with_carry_forward(carry_forward, begun):
    draft = Draft(periods=2, years=2, homes=1)
    draft.home_groups = [Group("homes", (0,), 3)]
    draft.begins = [Begin(0, 0, 0), Begin(0, 0, 1)]
    draft.array.planning_capital[:] = 10.0
    draft.envelopes = [Envelope("capital", (0,), None, (10.0, 10.0), carry_forward)]
    future = draft.futures[0]
    future.arrivals[0, 1] = 3.0
    future.spot_layer_price[:] = 9.0
    future.home_running[0, 0], future.home_running[0, 1, 1] = 20.0, 1.0
    plan, cost = both_ways(draft.build())
    assert list(plan.homes_begun) == begun
    assert cost == pytest.approx(begun[1] * 1.0 + (3 - begun[1]) * 9.0)


def test_capital_spent_in_a_year_is_not_there_again_with_carry_forward():
    draft = Draft(periods=2, years=2, homes=1)
    draft.home_groups = [Group("homes", (0,), 3)]
    draft.begins = [Begin(0, 0, 0), Begin(0, 0, 1)]
    draft.array.planning_capital[:] = 10.0
    draft.envelopes = [Envelope("capital", (0,), None, (10.0, 10.0), True)]
    future = draft.futures[0]
    future.arrivals[0] = [1.0, 2.0]
    future.spot_layer_price[:] = 9.0
    future.home_running[:] = np.triu(np.ones((2, 2)))
    plan, cost = both_ways(draft.build())
    # A third home would pay, were the first year's capital not spent.
    assert list(plan.homes_begun) == [1, 1]
    assert cost == pytest.approx(1 + 1 + 1 + 9)


def test_a_child_who_steps_across_on_the_first_day_where_the_bed_goes_is_moved():
    draft = Draft(cohorts=2, supplies=1, steps=((0, 1),))
    draft.array.placed_at_start[0, 0] = 1.0
    draft.array.closure_price[:] = 0.5
    future = draft.futures[0]
    future.stay[0], future.step[0, :-1] = 0.0, 1.0
    future.spot_layer_price[:] = 6.0
    _, cost = both_ways(draft.build())
    assert cost == pytest.approx(6.5)


def test_an_extension_that_takes_on_more_than_ends_loses_no_bed():
    draft = Draft(periods=3, lot_tiers=((Tier(1, 2),),))
    draft.awards = [Award(0, 0, 0)]
    draft.array.lot_maximum[:] = 2
    future = draft.futures[0]
    future.arrivals[0] = [1.0, 1.0, 0.0]
    future.spot_layer_price[:], future.lot_price[:] = 9.0, 1.0
    future.lot_delivered[0, 0] = [0.5, 0.0, 0.0]
    draft.extend(Extension(0, None, 0, 0, 0, None), [{"extension_delivered": np.array([0.0, 1.0, 1.0])}])
    plan, cost = both_ways(draft.build())
    assert plan.extension_taken[0] == 1
    assert cost == pytest.approx(0.5 * 2 * 1 + 2 * 2 * 1)


# the traps


def true_and_naive(problem: Problem, relax) -> tuple[float, float]:
    """Optimum, which the oracle confirms, and that of the model in which ``relax`` has left something out."""
    answer = least(problem)
    assert close(answer, oracle.best_plan(problem).objective)
    model = extensive.build(problem)
    relax(model)
    return answer, solve(model).objective


def test_forced_moves_without_a_bed_lost_would_be_a_way_out_of_dear_placements():
    draft = Draft(periods=2, supplies=1)
    draft.array.placed_at_start[0, 1] = 3.0  # in the spot market
    draft.array.closure_price[:] = 0.5
    future = draft.futures[0]
    future.spot_layer_beds[0, 0] = [3.0, 2.0]
    future.spot_layer_price[:] = 10.0
    future.supply_beds[0], future.variable_price[0] = [0.0, 3.0], 1.0
    answer, naive = true_and_naive(
        draft.build(), lambda model: model.future[0].moves_at_closure_within_beds_lost.deactivate()
    )
    # One spot bed goes and one child moves; unbounded, all three would.
    assert answer == pytest.approx(3 * 10 + 2 * 10 + 1 + 0.5)
    assert naive == pytest.approx(3 * 10 + 3 * 1 + 3 * 0.5)


def test_stepping_across_does_not_free_the_bed():
    draft = Draft(cohorts=2, periods=2, supplies=1, spots=2, steps=((0, 1),))
    supply, spot_of_older, spot_of_younger = range(3)
    draft.array.placed_at_start[0, supply] = 1.0
    draft.array.allowed[0, spot_of_older] = draft.array.allowed[1, spot_of_younger] = False
    future = draft.futures[0]
    future.supply_beds[:], future.variable_price[supply] = 1.0, 1.0
    future.spot_layer_price[:, 0] = np.array([[4.0], [10.0]])
    future.stay[0, :, 1] = 0.0
    future.step[0, :-1, 1] = 1.0
    future.arrivals[0, 1] = 1.0
    answer, naive = true_and_naive(
        draft.build(), lambda model: model.future[0].placements_last[1, supply, 1].deactivate()
    )
    assert answer == pytest.approx(1 + 1 + 10)  # the child keeps the bed, and the one who arrives pays for it
    assert naive == pytest.approx(1 + 4 + 1)


def test_placements_last_where_a_census_is_given_too():
    """Census of 4 throughout with a quarter turned over: without the rule a new contract would fill at once."""
    draft = Draft(periods=4, lot_tiers=((Tier(1, 4),),))
    census, turnover = np.full(5, 4.0), 0.25
    draft.array.placed_at_start[0, 1] = census[0]
    draft.array.lot_maximum[:] = 4
    draft.awards = [Award(0, 0, 0)]
    future = draft.futures[0]
    future.stay[:] = np.minimum(1.0, census[1:] / census[:-1]) - turnover
    future.arrivals[0] = census[1:] - census[:-1] * future.stay[0, 0]
    future.lot_delivered[0, 0] = [0.0, 1.0, 1.0, 1.0]
    future.lot_price[:], future.spot_layer_price[:] = 5.0, 6.0
    problem = draft.build()
    model = extensive.build(problem)
    model.future[0].placements_last.deactivate()
    naive, solved = solve(model), solve_problem(problem)
    assert close(solved.objective, oracle.best_plan(problem).objective)
    # Filled month by month a bed of the contract is empty for too long to pay; filled at once all four pay.
    assert decided(problem, solved.model).beds_in_tier.sum() < decided(problem, model).beds_in_tier.sum() == 4
    assert naive.objective == pytest.approx(4 * 6 + 3 * 4 * 5) and solved.objective > naive.objective + 1


def test_two_price_layers_as_two_sources_cost_more_from_moves_that_are_no_moves():
    def market(*, as_sources: bool) -> Problem:
        draft = Draft(periods=2, spots=1 + as_sources, layers=2 - as_sources)
        future = draft.futures[0]
        future.spot_layer_price.reshape(2, 2)[:] = [[4.0, 4.0], [8.0, 8.0]]
        future.spot_layer_beds.reshape(2, 2)[:] = [[2.0, 2.0], [np.inf, np.inf]]
        future.arrivals[0, 0] = 4.0
        future.stay[:] = 0.5
        return draft.build()

    assert least(market(as_sources=False)) == pytest.approx(2 * 4 + 2 * 8 + 2 * 4)
    assert least(market(as_sources=True)) == pytest.approx(2 * 4 + 2 * 8 + 4 + 8)


@pytest.mark.parametrize(("deterrent", "unregistered"), [(0.0, 3.0), (2.0, 0.0)])
def test_without_a_deterrent_children_go_where_no_registered_home_was_found(deterrent, unregistered):
    draft = Draft()
    future = draft.futures[0]
    future.arrivals[:] = 3.0
    future.spot_layer_price[:], future.unregistered_price[:], future.deterrent[:] = 6.0, 5.0, deterrent
    problem = draft.build()
    model = solve_problem(problem).model
    assert model.future[0].placed[0, problem.unregistered, 0].value == pytest.approx(unregistered, abs=1e-6)


def test_a_child_leaves_no_registered_home_found_as_soon_as_a_bed_is_free():
    draft = Draft(periods=3)
    draft.array.placed_at_start[0, 1] = 2.0
    future = draft.futures[0]
    future.spot_layer_beds[0, 0], future.spot_layer_price[:] = [0.0, 1.0, 2.0], 6.0
    problem = draft.build()
    model = solve_problem(problem).model
    left = [model.future[0].placed[0, problem.unregistered, period].value for period in range(3)]
    assert left == pytest.approx([2.0, 1.0, 0.0], abs=1e-6)
