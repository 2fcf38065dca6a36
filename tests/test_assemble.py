"""Instance + futures → problem: calendars, streams and money by hand."""

from __future__ import annotations

import itertools
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

import optimiser
from models.decisions import Decisions
from models.problem import COST_TERMS, Problem
from optimiser.analysis.appraisal import decisions_of
from optimiser.assemble import assemble
from optimiser.demand.scenarios import ScenarioSet, make_scenarios
from optimiser.finance import Calendar, deflator, discount_factor
from optimiser.instance.finding import bundled
from optimiser.instance.schema import TABLES, Instance, Settings
from optimiser.solve.engine import Engine
from optimiser.verify import Verified, idle_while_unregistered, verify

SETTINGS: dict[str, Any] = {
    "name": "tiny",
    "title": "A tiny instance",
    "question": "Which?",
    "as_at": "2025-03",
    "first_month": "2025-04",
    "periods": "24x1",
    "decision_date": "2025-04",
    "weeks_per_year": 52,
    "price_base": "2025/26",
    "inflation_per_year": 0.0,
    "discount_rate": 0.0,
    "scenarios": 1,
    "unregistered_gbp_per_week": 10_000,
}
HOME: dict[str, Any] = {
    "home": "two-bed",
    "title": "Two-bed home",
    "authority": "council",
    "beds": 2,
    "available": 2,
    "capital_gbp": 1_000_000,
    "begin_from": "2025-04",
    "begin_until": "2027-03",
    "lead_months": 2,
    "registration_delay_months": 3,
    "matching_occupancy": 1.0,
    "fixed_gbp_per_year": 120_000,
}
LOT: dict[str, Any] = {
    "lot": "block",
    "title": "Block contract",
    "minimum_beds": 1,
    "maximum_beds": 15,
    "award_from": "2025-04",
    "award_until": "2025-06",
    "lead_months": 3,
    "term_months": 12,
}
TIER = {"lot": "block", "from_beds": 1, "to_beds": 15, "gbp_per_week": 4_557}


def tiny(settings: dict[str, Any] | None = None, **tables: list[dict[str, Any]]) -> Instance:
    """One council, one cohort, and an unlimited spot market at £5,000 a week, with other tables as given.

    Nobody is in care and nobody arrives unless ``cohorts`` and ``placements`` say so.
    """
    given: dict[str, list[dict[str, Any]]] = {
        "authorities": [{"authority": "council", "title": "A council"}],
        "cohorts": [{"cohort": "children", "authority": "council", "title": "All", "mean_stay_months": 1000}],
        "spots": [{"spot": "market", "title": "Spot market"}],
        "layers": [{"spot": "market", "gbp_per_week": 5_000}],
        "placements": [{"cohort": "children", "source": "market"}],
        **tables,
    }
    rows = {name: tuple(TABLES[name][0](**row) for row in listed) for name, listed in given.items()}
    return Instance(settings=Settings(**{**SETTINGS, **(settings or {})}), **rows)


def problem_of(instance: Instance, futures: int | None = None, seed: int = 1) -> Problem:
    return assemble(instance, make_scenarios(instance, futures, seed))


def placed_under(problem: Problem, **chosen: Any) -> Verified:
    """Children placed as well as can be under decisions that are given by name and position."""
    decisions = Decisions.none(problem)
    for name, values in chosen.items():
        for place, value in values.items():
            getattr(decisions, name)[place] = value
    found = Engine(problem).place(decisions)
    return verify(problem, decisions, found.placements)


def term(verified: Verified, name: str) -> np.ndarray:
    """Nominal pounds of one cost term in the first future, [period]."""
    return verified.ledger.nominal[0, COST_TERMS.index(name)].sum(axis=0)


# homes


def test_a_home_opens_after_lead_and_registration_and_fills_by_its_opening_profile() -> None:
    home = HOME | {"opening_profile": "0.5 1", "waiting_gbp_per_month": 20_000, "lifecycle_gbp_per_year": 12_000}
    home["redeployment_recovers"] = 0.25
    future = problem_of(tiny(homes=[home])).scenarios[0]
    # begun in month 1: registration asked for in month 3, open in month 6
    assert future.home_open[0, 1].tolist() == [0.0] * 6 + [0.5] + [1.0] * 17
    assert future.home_running[0, 1] == pytest.approx([0.0] * 6 + [10_000.0] * 18)
    assert future.home_waiting[0, 1] == pytest.approx([0.0] * 3 + [15_000.0] * 3 + [0.0] * 18)
    assert future.home_lifecycle[0, 1] == pytest.approx([0.0] * 3 + [1_000.0] * 21)


def test_a_home_begun_too_late_never_opens_within_the_horizon() -> None:
    future = problem_of(tiny(homes=[HOME])).scenarios[0]
    assert future.home_open[0, 18].tolist() == [0.0] * 23 + [1.0]
    assert future.home_open[0, 19].sum() == 0
    assert future.home_running[0, 19].sum() == 0


def test_a_home_that_opens_within_a_long_period_counts_for_its_part_of_it() -> None:
    instance = tiny({"periods": "6x1 2x3"}, homes=[HOME | {"lead_months": 1, "registration_delay_months": 2}])
    future = problem_of(instance).scenarios[0]
    # begun in month 5, open in month 8: the last of months 6, 7 and 8
    assert future.home_open[0, 5] == pytest.approx([0.0] * 6 + [1 / 3, 1.0])
    assert future.home_running[0, 5] == pytest.approx([0.0] * 6 + [10_000.0, 30_000.0])
    assert problem_of(instance).weeks == pytest.approx([52 / 12] * 6 + [13.0] * 2)


def test_each_future_has_the_registration_delay_that_it_drew() -> None:
    instance = tiny(homes=[HOME | {"registration_delay_months": "2:0.5 9:0.5"}])
    futures = make_scenarios(instance, 30, 3)
    problem = assemble(instance, futures)
    delays = futures.registration_months[:, 0, 4]
    assert set(delays) == {2.0, 9.0}
    for delay, scenario in zip(delays, problem.scenarios, strict=True):
        assert int(np.argmax(scenario.home_open[0, 4])) == 4 + 2 + int(delay)


def test_duration_bias_lengthens_the_lead() -> None:
    future = problem_of(tiny(homes=[HOME | {"lead_months": 4, "duration_bias": 0.2}])).scenarios[0]
    assert int(np.argmax(future.home_open[0, 0])) == 5 + 3


def test_running_costs_grow_each_april() -> None:
    future = problem_of(tiny(homes=[HOME | {"cost_growth_per_year": 0.1}])).scenarios[0]
    assert future.home_running[0, 0, 5:] == pytest.approx([10_000.0] * 7 + [11_000.0] * 12)


def test_a_home_is_certainly_open_when_it_is_open_in_every_future() -> None:
    instance = tiny(homes=[HOME | {"registration_delay_months": "2:0.5 9:0.5", "closable": "yes"}])
    problem = problem_of(instance, 30, 3)
    latest = max(int(np.argmax(scenario.home_open[0, 4] >= 1)) for scenario in problem.scenarios)
    assert problem.certainly_open[0, 4] == latest == 4 + 2 + 9


@pytest.mark.parametrize(("quantile", "months"), [(0.8, 8 + 6), (0.5, 5 + 4), (0.05, 1 + 4)])
def test_a_registration_is_in_hand_until_the_planning_quantile_of_its_delays(quantile: float, months: int) -> None:
    home = HOME | {"lead_months": "uniform(0, 10)", "registration_delay_months": "4:0.7 6:0.3"}
    problem = problem_of(tiny({"planning_quantile": quantile}, homes=[home]))
    assert problem.in_hand[0, 0].tolist() == [True] * months + [False] * (24 - months)
    assert problem.in_hand[0, 3].tolist() == [False] * 3 + [True] * months + [False] * (21 - months)


# lots


def test_a_lot_is_delivered_after_lead_and_mobilisation_until_its_term_ends() -> None:
    lot = LOT | {"mobilisation_delay_months": 1, "delivery_profile": "0.5 1"}
    future = problem_of(tiny(lots=[lot], tiers=[TIER])).scenarios[0]
    # awarded in month 2, first delivered in month 6, twelve months' term
    assert future.lot_delivered[0, 2].tolist() == [0.0] * 6 + [0.5] + [1.0] * 11 + [0.0] * 6


def test_a_term_runs_from_first_delivery_so_that_delay_moves_its_end() -> None:
    lot = LOT | {"mobilisation_delay_months": "0:0.5 5:0.5"}
    instance = tiny(lots=[lot], tiers=[TIER])
    futures = make_scenarios(instance, 20, 1)
    assert set(futures.delivery_months[:, 0, 0]) == {3.0, 8.0}
    for months, scenario in zip(futures.delivery_months[:, 0, 0], assemble(instance, futures).scenarios, strict=True):
        delivered = np.flatnonzero(scenario.lot_delivered[0, 0])
        assert delivered.tolist() == list(range(int(months), int(months) + 12))


def test_extensions_follow_the_term_and_each_other() -> None:
    options = [
        {"contract": "block", "option": 1, "months": 4, "notice_months": 2, "price_factor": 1.1},
        {"contract": "block", "option": 2, "months": 3, "notice_months": 1, "price_factor": 0.9},
    ]
    problem = problem_of(tiny(lots=[LOT | {"award_until": "2025-04"}], tiers=[TIER], extensions=options))
    future = problem.scenarios[0]
    assert np.flatnonzero(future.lot_delivered[0, 0]).tolist() == list(range(3, 15))
    assert [np.flatnonzero(row).tolist() for row in future.extension_delivered] == [
        list(range(15, 19)),
        list(range(19, 22)),
    ]
    assert future.extension_price == pytest.approx([1.1, 1.1 * 0.9])
    assert [extension.notice_period for extension in problem.extensions] == [13, 18]
    assert [extension.needs for extension in problem.extensions] == [None, 0]


def test_a_contract_is_indexed_on_the_anniversaries_of_its_delivery() -> None:
    lot = LOT | {"term_months": 60, "indexation_per_year": 0.05, "bid_factor": 1.2, "award_until": "2025-04"}
    lot |= {"call_off_beds": 2, "call_off_gbp_per_week": 6_000, "call_off_retainer_gbp_per_week": 100}
    future = problem_of(tiny({"periods": "40x1"}, lots=[lot], tiers=[TIER])).scenarios[0]
    index = np.array([1.05 ** max((month - 3) // 12, 0) for month in range(40)])
    assert future.lot_price[0, 0, 0] == pytest.approx(4_557 * 1.2 * index)
    assert future.call_off_price[0, 0] == pytest.approx(6_000 * 1.2 * index)
    assert future.call_off_retainer[0, 0] == pytest.approx(100 * 1.2 * index)


def test_an_anniversary_within_a_long_period_is_paid_for_its_part_of_it() -> None:
    lot = LOT | {"term_months": 60, "indexation_per_year": 0.05, "award_until": "2025-04", "lead_months": 1}
    future = problem_of(tiny({"periods": "12x3"}, lots=[lot], tiers=[TIER])).scenarios[0]
    # delivered from month 1: months 12 to 14 hold the last month before the anniversary and two after it
    assert future.lot_delivered[0, 0, :5] == pytest.approx([2 / 3, 1, 1, 1, 1])
    assert future.lot_price[0, 0, 0, 4] == pytest.approx(4_557 * (1 + 2 * 1.05) / 3)


def test_a_bid_above_the_price_cap_is_not_awarded() -> None:
    lot = LOT | {"bid_factor": "uniform(0.8, 1.2)", "price_cap_gbp_per_week": 4_557}
    instance = tiny(lots=[lot], tiers=[TIER])
    futures = make_scenarios(instance, 40, 1)
    above = futures.lot_bid[:, 0] > 1
    assert 5 < above.sum() < 35
    for refused, scenario in zip(above, assemble(instance, futures).scenarios, strict=True):
        assert (scenario.lot_delivered.sum() == 0) == refused


def test_a_provider_that_fails_delivers_nothing_from_then_on_and_is_not_paid() -> None:
    rows = [
        {"scenario": "fails", "quantity": "failure-month", "item": "block", "value": 5},
        {"scenario": "lasts", "quantity": "bid-factor", "item": "block", "value": 1},
    ]
    option = {"contract": "block", "option": 1, "months": 4}
    problem = problem_of(
        tiny(lots=[LOT | {"award_until": "2025-04"}], tiers=[TIER], extensions=[option], scenarios=rows)
    )
    fails, lasts = problem.scenarios
    assert np.flatnonzero(lasts.lot_delivered[0, 0]).tolist() == list(range(3, 15))
    # five months after first delivery
    assert np.flatnonzero(fails.lot_delivered[0, 0]).tolist() == list(range(3, 8))
    assert fails.extension_delivered.sum() == 0 < lasts.extension_delivered.sum()
    verified = placed_under(
        problem, lot_awarded={0: 1}, tier_chosen={(0, 0): 1}, beds_in_tier={(0, 0): 3}, extension_taken={}
    )
    block = verified.ledger.nominal[:, COST_TERMS.index("block")].sum(axis=1)
    month = 3 * 4_557 * 52 / 12
    assert block[0] == pytest.approx([0.0] * 3 + [month] * 5 + [0.0] * 16)
    assert block[1] == pytest.approx([0.0] * 3 + [month] * 12 + [0.0] * 9)


def test_providers_fail_at_the_rate_a_year_that_is_given() -> None:
    instance = tiny(lots=[LOT | {"failure_per_year": 0.2}], tiers=[TIER])
    failed = make_scenarios(instance, 4_000, 1).lot_failure[:, 0]
    assert (failed < 12).mean() == pytest.approx(0.2, abs=0.02)
    assert (failed < 24).mean() == pytest.approx(1 - 0.8**2, abs=0.025)


def test_an_existing_contract_expires_and_its_extension_carries_its_beds_on() -> None:
    supply = {"supply": "old", "title": "Old", "beds": 6, "until": "2026-02", "committed_gbp_per_week": 4_000}
    option = {"contract": "old", "option": 1, "months": 6, "notice_months": 3, "price_factor": 1.05}
    instance = tiny(existing=[supply | {"cost_growth_per_year": 0.02}], extensions=[option])
    problem = problem_of(instance)
    future = problem.scenarios[0]
    assert future.supply_beds[0].tolist() == [6.0] * 10 + [0.0] * 14
    assert future.supply_extension_beds[0].tolist() == [0.0] * 10 + [6.0] * 6 + [0.0] * 8
    month = 6 * 4_000 * 52 / 12
    assert future.supply_commitment[0, :10] == pytest.approx(month)
    assert future.supply_extension_cost[0, 10:16] == pytest.approx(
        [1.05 * month] * 2 + [1.05 * 1.02 * month] * 4  # April 2026 is in between
    )
    assert problem.extensions[0].notice_period == 7


# capital


@pytest.mark.parametrize("seed", range(40))
def test_what_is_left_of_a_home_at_the_horizon_is_never_worth_more_than_it_cost(seed: int) -> None:
    rng = np.random.default_rng(seed)
    home = HOME | {
        "capital_bid_factor": f"uniform({rng.uniform(0.3, 1):.3f}, {rng.uniform(1, 2):.3f})",
        "optimism_bias": float(rng.choice([-0.4, 0.0, 0.3])),
        "residual_share": float(rng.uniform(0.5, 1)),
        "grant_gbp": float(rng.choice([0, 300_000, 1_000_000])),
    }
    # prices may fall: then a pound at the end is worth more than one today
    money = {
        "inflation_per_year": float(rng.choice([-0.08, 0.0, 0.03])),
        "discount_rate": float(rng.choice([0, 0.035])),
    }
    problem = problem_of(tiny({**money, "periods": "60x1"}, homes=[home]), 10, seed)
    worth = problem.present_value
    for scenario in problem.scenarios:
        left, paid = scenario.residual_value[0] * worth[-1], scenario.capital_outlay[0] * worth
        assert (left <= paid + 1e-6).all()
        assert (scenario.residual_value >= 0).all()


def test_a_home_that_is_never_used_never_lowers_cost() -> None:
    home = HOME | {"residual_share": 1.0, "capital_bid_factor": 1.7, "grant_gbp": 400_000, "fixed_gbp_per_year": 0}
    problem = problem_of(tiny({"inflation_per_year": -0.05}, homes=[home]))
    idle = placed_under(problem, homes_begun={0: 1})
    nothing = placed_under(problem)
    assert not idle.violations
    assert idle.expected_cost >= nothing.expected_cost - 1e-6


def test_a_grant_is_clawed_back_in_proportion() -> None:
    home = HOME | {"grant_gbp": 400_000, "optimism_bias": 0.25, "residual_share": 0.5}
    problem = problem_of(tiny(homes=[home]))
    future = problem.scenarios[0]
    assert problem.planning_capital[0] == pytest.approx(850_000)
    assert future.capital_outlay[0] == pytest.approx(850_000)
    # the council paid 850 of 1,250: so much of what is left is its own, and optimism bias leaves nothing
    assert future.residual_value[0] == pytest.approx(0.5 * 1_000_000 * 850 / 1_250)


def test_a_home_bought_with_a_grant_alone_leaves_the_council_nothing() -> None:
    problem = problem_of(tiny(homes=[HOME | {"grant_gbp": 1_000_000, "residual_share": 1.0}]))
    assert problem.scenarios[0].capital_outlay.sum() == problem.scenarios[0].residual_value.sum() == 0


def test_capital_is_paid_at_the_bid_and_held_against_the_envelope_at_planning_prices() -> None:
    problem = problem_of(tiny(homes=[HOME | {"capital_bid_factor": 1.3}]))
    assert problem.planning_capital[0] == pytest.approx(1_000_000)
    assert problem.scenarios[0].capital_outlay[0] == pytest.approx(1_300_000)


def test_financing_in_the_running_cost_is_no_cost_again_but_counts_against_the_envelope() -> None:
    capital = [{"envelope": "programme", "year": "total", "limit_gbp": 1_500_000}]
    home = HOME | {"residual_share": 0.5}
    plain = problem_of(tiny(homes=[home], capital=capital))
    financed = problem_of(tiny({"financing_in_running_cost": "yes"}, homes=[home], capital=capital))
    assert financed.scenarios[0].capital_outlay.sum() == financed.scenarios[0].residual_value.sum() == 0
    assert np.array_equal(financed.planning_capital, plain.planning_capital)
    one, two = (placed_under(financed, homes_begun={0: number}) for number in (1, 2))
    assert term(one, "capital").sum() == 0
    assert not one.violations
    assert [violation.rule for violation in two.violations] == ["capital_within_envelope"]


def test_a_purchase_that_falls_through_costs_months_and_money() -> None:
    home = HOME | {"fall_through_probability": 0.5, "fall_through_months": 2, "abortive_gbp": 7_000}
    instance = tiny(homes=[home])
    futures = make_scenarios(instance, 30, 2)
    problem = assemble(instance, futures)
    assert set(futures.fallen_through[:, 0, 0]) >= {0.0, 1.0, 2.0}
    for fallen, scenario in zip(futures.fallen_through[:, 0, 0], problem.scenarios, strict=True):
        assert scenario.abortive_cost[0, 0] == 7_000 * fallen
        opened = np.flatnonzero(scenario.home_open[0, 0])
        assert (opened[0] if len(opened) else 24) == min(2 + 2 * fallen + 3, 24)


# reviews


def reviewed(observe: str, **more: Any) -> tuple[Instance, ScenarioSet]:
    cohort = {"cohort": "children", "authority": "council", "title": "All", "mean_stay_months": 6}
    homes = [HOME | {"home": name, "registration_delay_months": "uniform(1, 23)"} for name in ("one", "other")]
    instance = tiny(
        cohorts=[cohort | {"arrivals_per_month": 2}],
        homes=homes,
        spots=[{"spot": "market", "title": "Spot market", "growth_per_year": "uniform(-0.1, 0.1)"}],
        reviews=[{"month": "2026-04", "observe": observe, "branches": 3}],
        **more,
    )
    return instance, make_scenarios(instance, 30, 1)


def paths(instance: Instance, futures: ScenarioSet) -> list[tuple[int, ...]]:
    return [scenario.path for scenario in assemble(instance, futures).scenarios]


@pytest.mark.parametrize("observe", ["arrivals", "prices", "registration"])
def test_a_review_parts_the_futures_into_branches_of_about_the_same_size(observe: str) -> None:
    instance, futures = reviewed(observe)
    sizes = [len(list(group)) for _, group in itertools.groupby(sorted(paths(instance, futures)))]
    assert 2 <= len(sizes) <= 3
    assert sum(sizes) == 30
    assert min(sizes) >= 3


@pytest.mark.parametrize("observe", ["arrivals", "prices", "registration"])
def test_what_comes_after_a_review_changes_no_branch(observe: str) -> None:
    instance, futures = reviewed(observe)
    arrivals, prices, months = futures.arrivals.copy(), futures.price_factor.copy(), futures.registration_months.copy()
    rng = np.random.default_rng(5)
    arrivals[:, :, 12:] = rng.integers(0, 50, arrivals[:, :, 12:].shape)
    prices[:, :, 12:] *= rng.uniform(0.5, 2, prices[:, :, 12:].shape)
    # what takes longer than until the review has not been seen to end by then
    months[months >= 12] += rng.integers(0, 9, (months >= 12).sum())
    later = replace(futures, arrivals=arrivals, price_factor=prices, registration_months=months)
    assert paths(instance, later) == paths(instance, futures)


def test_futures_that_are_alike_until_a_review_are_on_the_same_branch() -> None:
    instance, futures = reviewed("arrivals")
    arrivals = futures.arrivals.copy()
    arrivals[1, :, :12] = arrivals[0, :, :12]
    alike = paths(instance, replace(futures, arrivals=arrivals))
    assert alike[0] == alike[1]


def test_decisions_of_a_branch_are_taken_in_its_own_months_only() -> None:
    instance, futures = reviewed("arrivals")
    problem = assemble(instance, futures)
    assert {begin.node for begin in problem.begins if begin.period < 12} == {0}
    assert {begin.node for begin in problem.begins if begin.period >= 12} == set(range(1, len(problem.nodes)))


# money and time


def test_the_regional_block_of_fifteen_beds_costs_its_published_sum_a_year() -> None:
    costs = {}
    for weeks in ("365/7", 52):
        lot = LOT | {"lead_months": 0, "term_months": 24, "award_until": "2025-04"}
        problem = problem_of(tiny({"weeks_per_year": weeks}, lots=[lot], tiers=[TIER]))
        verified = placed_under(problem, lot_awarded={0: 1}, tier_chosen={(0, 0): 1}, beds_in_tier={(0, 0): 15})
        assert not verified.violations
        costs[weeks] = term(verified, "block")[:12].sum()
    assert costs["365/7"] == pytest.approx(3_564_225)
    assert costs[52] == pytest.approx(3_554_460)


def test_real_and_present_pounds_are_those_of_the_first_financial_year() -> None:
    problem = problem_of(tiny({"inflation_per_year": 0.02, "discount_rate": 0.035, "first_month": "2025-01"}))
    # January to March belong to the first financial year
    assert problem.period_year.tolist() == [0] * 3 + [1] * 12 + [2] * 9
    assert problem.deflator == pytest.approx(1.02 ** -problem.period_year.astype(float))
    assert problem.discount == pytest.approx(1.035 ** -problem.period_year.astype(float))
    assert problem.present_value == pytest.approx(problem.deflator * problem.discount)
    calendar = Calendar.read("2025-01", "24x1", 52)
    assert np.array_equal(deflator(calendar, 0.02), problem.deflator)
    assert np.array_equal(discount_factor(calendar, 0.035), problem.discount)


def test_a_spot_place_costs_its_price_for_every_week_of_the_month() -> None:
    placements = [{"cohort": "children", "source": "market", "children_at_start": 3}]
    cohort = {"cohort": "children", "authority": "council", "title": "All"}
    spots = [{"spot": "market", "title": "Spot market", "growth_per_year": 0.1}]
    problem = problem_of(tiny(placements=placements, cohorts=[cohort], spots=spots))
    verified = placed_under(problem)
    years = (np.arange(24) + 0.5) / 12
    assert term(verified, "spot") == pytest.approx(3 * 5_000 * 52 / 12 * 1.1**years)


# spot markets


def test_availability_thins_what_is_on_offer_but_keeps_places_held_at_the_start() -> None:
    cohort = {"cohort": "children", "authority": "council", "title": "All", "mean_stay_months": 10}
    layers = [
        {"spot": "market", "beds": 3, "gbp_per_week": 5_000},
        {"spot": "market", "beds": 2, "gbp_per_week": 7_000},
    ]
    placements = [{"cohort": "children", "source": "market", "children_at_start": 4}]
    for share in (0.0, 0.4, 1.0):
        spots = [{"spot": "market", "title": "Spot market", "availability": share}]
        instance = tiny(cohorts=[cohort], layers=layers, placements=placements, spots=spots)
        problem = problem_of(instance, 5)
        for scenario in problem.scenarios:
            beds = scenario.spot_layer_beds[0].sum(axis=0)
            held = 4 * np.cumprod(scenario.stay[0, 0])
            assert beds == pytest.approx(np.maximum(5 * share, held))
        # so that nobody loses a place as the horizon begins
        assert placed_under(problem).unregistered_child_weeks.sum() == pytest.approx(0)


def test_layers_are_priced_in_order_and_move_together() -> None:
    layers = [
        {"spot": "market", "beds": 3, "gbp_per_week": "uniform(4000, 9000)"},
        {"spot": "market", "gbp_per_week": "uniform(5000, 6000)"},
    ]
    for scenario in problem_of(tiny(layers=layers), 20).scenarios:
        assert scenario.spot_layer_price[0, 1, 0] >= scenario.spot_layer_price[0, 0, 0]


# who bears what


def test_owners_bear_their_homes_and_members_their_contracts() -> None:
    authorities = [{"authority": name, "title": name} for name in ("council", "neighbour", "third")]
    cohorts = [
        {"cohort": f"of-{name}", "authority": name, "title": name, "mean_stay_months": 100}
        for name in ("council", "third")
    ]
    placements = [
        {"cohort": "of-council", "source": "market", "children_at_start": 3},
        {"cohort": "of-third", "source": "market", "children_at_start": 1},
    ]
    problem = problem_of(
        tiny(
            authorities=authorities,
            cohorts=cohorts,
            placements=placements,
            homes=[HOME],
            lots=[LOT | {"members": "council third"}],
            tiers=[TIER],
        )
    )
    assert problem.cost_share[0].tolist() == [1, 0, 0]
    assert problem.cost_share[1] == pytest.approx([0.75, 0, 0.25])


# no registered home found


@pytest.mark.parametrize("folder", bundled(), ids=lambda folder: folder.name)
def test_the_deterrent_is_above_every_registered_alternative_of_its_future_and_month(folder: Any) -> None:
    problem = problem_of(optimiser.load(folder.name), 2)
    for scenario in problem.scenarios:
        asked = scenario.unregistered_price + scenario.deterrent
        dearest = scenario.spot_layer_price.max(axis=(0, 1), initial=0.0)
        assert (asked > dearest).all()
        assert (scenario.deterrent >= 0).all()


@pytest.mark.parametrize("name", [folder.name for folder in bundled() if folder.name != "kent-sufficiency-2019"])
def test_hardly_a_child_is_without_a_home_while_an_allowed_bed_stands_free_under_a_papers_option(name: str) -> None:
    idle, unregistered = idle_child_weeks(name, futures=4)
    assert idle <= max(0.5, 0.005 * unregistered), f"{idle:.3f} of {unregistered:.1f} child-weeks"


@pytest.mark.long
def test_hardly_a_child_is_without_a_home_while_a_bed_stands_free_in_the_continuum_of_kent() -> None:
    idle, unregistered = idle_child_weeks("kent-sufficiency-2019", futures=4)
    assert idle <= max(0.5, 0.005 * unregistered), f"{idle:.3f} of {unregistered:.1f} child-weeks"


def idle_child_weeks(name: str, futures: int) -> tuple[float, float]:
    """Child-weeks without a registered place while an allowed bed is free, and all, expected, paper's option."""
    instance = optimiser.load(name)
    problem = problem_of(instance, futures)
    decisions = decisions_of(instance, problem, next(option for option in instance.options if option.paper))
    placements = Engine(problem).place(decisions).placements
    idle = idle_while_unregistered(problem, decisions, placements)
    weeks = [(p.placed[:, problem.unregistered].sum(axis=0) * problem.weeks).sum() for p in placements]
    return float(np.mean(idle)), float(np.mean(weeks))
