"""Stress futures: what each lays on and nothing else, what plans cost under them, and regret against brute force."""

from __future__ import annotations

import io
import json
from dataclasses import fields, replace
from functools import lru_cache
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rich.console import Console
from typer.testing import CliRunner

import optimiser
from models.decisions import Decisions, with_managers_needed
from models.problem import COST_TERMS, Problem
from optimiser.analysis.planning import Asked, draw_as, make_appraisal, make_plan, prepare, reduction_of
from optimiser.analysis.stress import Ordinary, on_reached, stressed, under_stresses
from optimiser.cli import app
from optimiser.demand.scenarios import ScenarioSet, make_scenarios
from optimiser.demand.stress import STRESSES, Stress, stresses_asked, stresses_of
from optimiser.errors import InstanceError
from optimiser.instance.schema import Instance
from optimiser.plan import Plan
from optimiser.report.files import stress_table
from optimiser.report.terminal import show_appraisal, show_plan
from optimiser.solve.engine import Engine
from optimiser.solve.twostage import Settings
from optimiser.verify import verify
from tests.instance_folders import Folder
from tests.test_assemble import HOME, LOT, TIER, tiny
from tests.test_scenarios import drawn_by_everything

ARRAYS = [field.name for field in fields(ScenarioSet) if field.name not in ("names", "probability")]
EVIDENCE = [{"figures": "*.*", "evidence": "assumption", "low": "-10%", "high": "+10%"}]


def stress(instance: Instance, *asked: str) -> Stress:
    (found,), _ = stresses_asked(instance, asked)
    return found


def changed_by(instance: Instance, name: str, futures: int = 20) -> set[str]:
    """Arrays of the futures that a stress changes."""
    laid = stress(instance, name)
    other = laid.on_instance(instance)
    one, two = make_scenarios(instance, futures), laid.on_futures(other, make_scenarios(other, futures))
    return {array for array in ARRAYS if not np.array_equal(getattr(one, array), getattr(two, array))}


def children(number: int, **more: Any) -> Instance:
    """So many children who stay for ever; a spot market at £5,000 a week."""
    placements = [{"cohort": "children", "source": "market", "children_at_start": number}]
    for source in ("two-bed", "block"):
        if any(source in row.values() for rows in more.values() for row in rows):
            placements.append({"cohort": "children", "source": source})
    cohorts = [
        {
            "cohort": "children",
            "authority": "council",
            "title": "All",
            "mean_stay_months": 1e9,
            "planned_moves_per_month": 1.0,
        }
    ]
    return tiny(cohorts=cohorts, placements=placements, evidence=EVIDENCE, **more)


def ordinary(instance: Instance, decisions: Decisions, problem: Problem, asked: Asked) -> Ordinary:
    found = Engine(problem).place(decisions)
    plan = Plan(instance, problem, found, verify(problem, decisions, found.placements))
    return Ordinary(instance, problem, {"plan": plan}, draw_as(asked, None))


def costs(instance: Instance, name: str, **chosen: tuple[int, int]) -> tuple[Plan, Plan]:
    """Decisions given by name as (position, value): the plan as drawn, and under a stress."""
    asked = Asked(scenarios=1)
    _, engine = prepare(instance, asked)
    decisions = Decisions.none(engine.problem)
    for variable, (place, value) in chosen.items():
        array = getattr(decisions, variable)
        array[(place, 0) if array.ndim > 1 else place] = value
    held = ordinary(instance, with_managers_needed(engine.problem, decisions), engine.problem, asked)
    under, problem = stressed(held, stress(instance, name))
    found = Engine(problem).place(held.plans["plan"].decisions)
    return held.plans["plan"], Plan(under, problem, found, verify(problem, found.decisions, found.placements))


def term(plan: Plan, name: str) -> float:
    return float(plan.nominal[COST_TERMS.index(name)].sum())


# names and parameters


def test_every_stress_says_in_words_what_it_does() -> None:
    instance = optimiser.load("kent-in-house-2025")
    assert {name: found.words(instance) for name, found in stresses_of(instance).items()} == {
        "more-arrivals": "Arrivals (all cohorts) are 1.5 times what is drawn.",
        "slow-registration": "Registration (all homes) takes 18 months.",
        "prices-rise": "Spot prices (all markets), and that of having no registered place change by +10% a year, nominal.",
        "unregistered-cheaper": "The price of having no registered place changes by -15% a year, nominal.",
        "provider-failure": "No bed of block is there, or paid for, for 12 months from April 2027.",
        "home-empty": "Each home of the council's own (all types) stands empty, and is paid for, in its first 6 months.",
    }


def test_parameters_follow_the_name() -> None:
    instance = optimiser.load("kent-in-house-2025")
    assert stress(instance, "slow-registration=24@joint").words(instance) == "Registration (joint) takes 24 months."
    assert "(private) change by +5%" in stress(instance, "prices-rise=0.05@private").words(instance)
    assert stress(instance, "more-arrivals@crisis").effects[0].value == 1.5


def test_all_asks_for_every_stress_and_says_which_can_do_nothing() -> None:
    instance = optimiser.load("kent-sufficiency-2019")
    found, left_out = stresses_asked(instance, ["all", "prices-rise"])
    assert [each.name for each in found] == [
        "arrivals-2015",
        "more-arrivals",
        "prices-rise",
        "unregistered-cheaper",
        "provider-failure",
    ]
    assert {each.name: reason for each, reason in left_out} == {
        "slow-registration": "there is no home to register",
        "home-empty": "the council has no home of its own",
    }


def test_what_is_asked_wrongly_is_told_all_at_once() -> None:
    instance = optimiser.load("kent-sufficiency-2019")
    known = "arrivals-2015, more-arrivals, slow-registration, prices-rise, unregistered-cheaper, provider-failure, home-empty"
    asked = ["price-rise", "flood", "prices-rise=9", "prices-rise=x", "prices-rise@block", "home-empty"]
    with pytest.raises(InstanceError) as error:
        stresses_asked(instance, asked)
    markets = "reception-spot, residential-spot, semi-spot, lodgings-spot, shared-spot"
    assert [str(fault) for fault in error.value.faults] == [
        "the command, --stress: price-rise is no stress of the instance. Did you mean prices-rise? "
        f"Known: {known}; or all.",
        f"the command, --stress: flood is no stress of the instance. Known: {known}; or all.",
        "the command, --stress: prices-rise=9 has 9 for a value. After =, a number of at least -0.5 and at most 1.",
        "the command, --stress: prices-rise=x has x for a value. After =, a number of at least -0.5 and at most 1.",
        f"the command, --stress: prices-rise@block names block, which it cannot be laid on. After @, one of: {markets}.",
        "the command, --stress: home-empty can do nothing here: the council has no home of its own. Leave it out.",
    ]


def test_a_stress_of_the_instance_takes_the_place_of_a_common_one_and_may_have_several_effects() -> None:
    rows = [
        {"stress": "prices-rise", "title": "Both", "effect": "price-growth", "value": 0.2},
        {"stress": "prices-rise", "title": "Both", "effect": "arrivals-factor", "value": 2},
    ]
    instance = drawn_by_everything().model_copy(update={"stresses": tiny(stresses=rows).stresses})
    children = {"arrivals", "stay", "step", "breakdown"}
    assert changed_by(instance, "prices-rise") == {"price_factor", "unregistered_price"} | children
    with pytest.raises(InstanceError, match="takes no parameters: it has several effects"):
        stresses_asked(instance, ["prices-rise=0.1"])


def test_the_level_of_2015_is_that_of_the_published_referrals() -> None:
    instance = optimiser.load("kent-sufficiency-2019")
    figures = {row.figure: row.value for row in instance.figures}
    year = sum(value for name, value in figures.items() if name.startswith("referrals-2015"))
    assert year == 948
    (row,) = stresses_of(instance)["arrivals-2015"].effects
    assert row.value == pytest.approx(year / 12 * figures["male-16-17-share"])
    under = make_scenarios(stress(instance, "arrivals-2015").on_instance(instance), 200).arrivals
    before = make_scenarios(instance, 200).arrivals
    reception = [cohort.cohort for cohort in instance.cohorts].index("reception")
    assert under[:, reception].mean() == pytest.approx(59.25, rel=0.02)
    assert np.array_equal(np.delete(under, reception, 1), np.delete(before, reception, 1))


# what is laid on, and nothing else


@pytest.mark.parametrize(
    ("name", "changed"),
    [
        ("more-arrivals", {"arrivals", "stay", "step", "breakdown"}),
        ("more-arrivals=1", set()),
        ("slow-registration", {"registration_months"}),
        ("prices-rise", {"price_factor", "unregistered_price"}),
        ("prices-rise@market", {"price_factor"}),
        ("unregistered-cheaper", {"unregistered_price"}),
        ("provider-failure", set()),
        ("home-empty", set()),
    ],
)
def test_a_stress_changes_what_it_says_and_leaves_every_other_draw_alone(name: str, changed: set[str]) -> None:
    assert changed_by(drawn_by_everything(), name) == changed


def test_arrivals_listed_by_month_and_a_census_and_a_table_are_multiplied_too() -> None:
    listed = tiny(
        cohorts=[{"cohort": "children", "authority": "council", "title": "All", "mean_stay_months": 12}],
        arrivals=[{"cohort": "children", "month": "2025-06", "mean": 4}],
    )
    assert stress(listed, "more-arrivals").on_instance(listed).arrivals[0].mean == 6
    rows = [
        {"scenario": "only", "quantity": "probability", "value": 1},
        {"scenario": "only", "quantity": "arrivals", "item": "children", "value": 2},
    ]
    table = tiny(scenarios=rows)
    under = make_scenarios(stress(table, "more-arrivals=2").on_instance(table))
    assert (under.arrivals == 4).all()
    counted = tiny(
        {"periods": "2x1"},
        cohorts=[{"cohort": "children", "authority": "council", "title": "All", "turnover_per_month": 0.1}],
        census=[{"cohort": "children", "month": month, "children": 10} for month in ("2025-04", "2025-05")],
    )
    assert stress(counted, "more-arrivals").on_instance(counted).census[1].children.mean == 15


def test_spot_prices_rise_from_the_start_at_the_rate_asked() -> None:
    instance = drawn_by_everything()
    found = make_scenarios(stress(instance, "prices-rise=0.2").on_instance(instance), 4)
    years = (np.arange(24) + 0.5) / 12
    assert found.price_factor[:, 0] == pytest.approx(np.tile(1.2**years, (4, 1)))


def test_registration_is_slow_and_what_can_be_decided_stays() -> None:
    instance = drawn_by_everything()
    _, engine = prepare(instance, Asked(scenarios=6))
    held = ordinary(instance, Decisions.none(engine.problem), engine.problem, Asked(scenarios=6))
    _, problem = stressed(held, stress(instance, "slow-registration"))
    for name in ("in_hand", "needs_manager", "planning_capital", "certainly_open"):
        assert np.array_equal(getattr(problem, name), getattr(engine.problem, name)), name
    assert (problem.nodes, problem.begins, problem.awards) == (
        engine.problem.nodes,
        engine.problem.begins,
        engine.problem.awards,
    )
    for scenario in problem.scenarios:
        opened = np.flatnonzero(scenario.home_open[0, 0] > 0)
        assert not len(opened) or opened[0] >= 18


def test_an_empty_home_is_paid_for_and_its_children_live_in_spot_placements() -> None:
    before, under = costs(children(2, homes=[HOME]), "home-empty", homes_begun=(0, 1))
    assert term(under, "running") == pytest.approx(term(before, "running"))
    assert term(under, "spot") - term(before, "spot") == pytest.approx(2 * 6 * 52 / 12 * 5_000)
    assert not under.verified.violations


def test_a_provider_that_fails_is_neither_there_nor_paid() -> None:
    lot = LOT | {"lead_months": 1, "term_months": 24}
    instance = children(2, lots=[lot], tiers=[TIER])
    chosen = {"lot_awarded": (0, 1), "tier_chosen": (0, 1), "beds_in_tier": (0, 2)}
    before, under = costs(instance, "provider-failure=6", **chosen)
    weeks = 2 * 6 * 52 / 12
    assert term(before, "block") - term(under, "block") == pytest.approx(weeks * 4_557)
    assert term(under, "spot") - term(before, "spot") == pytest.approx(weeks * 5_000)
    beds = under.placed[0, 0, under.problem.lot_source]
    assert beds[:12].max() == pytest.approx(2)
    assert beds[12:18] == pytest.approx(np.zeros(6))
    assert beds[18:].max() == pytest.approx(2)
    assert not under.verified.violations


def test_a_contract_in_place_fails_from_the_month_asked_and_its_extension_with_it() -> None:
    rows = [
        {"stress": "lost", "title": "Lost", "effect": "provider-failure", "item": "old", "value": 9, "start": "2025-10"}
    ]
    existing = [{"supply": "old", "title": "Old", "beds": 2, "until": "2026-01", "committed_gbp_per_week": 1_000}]
    instance = tiny(
        existing=existing,
        extensions=[{"contract": "old", "option": 1, "months": 12}],
        stresses=rows,
        placements=[
            {"cohort": "children", "source": "market"},
            {"cohort": "children", "source": "old", "children_at_start": 2},
        ],
        evidence=EVIDENCE,
    )
    _, under = costs(instance, "lost", extension_taken=(0, 1))
    beds = under.placed[0, 0, under.problem.supply_source]
    assert beds[5] > 1.9
    assert beds[6:15] == pytest.approx(np.zeros(9))
    # three months of the contract and six of its extension are not paid for: 21 less 9
    assert term(under, "existing") == pytest.approx(12 * 52 / 12 * 2 * 1_000)
    assert not under.verified.violations


def test_the_largest_contract_in_place_fails_unless_another_is_named() -> None:
    instance = optimiser.load("kent-sufficiency-2019")
    # in April 2021 lodgings and the reception centre have ended; the largest offer begins later still
    assert stress(instance, "provider-failure").words(instance) == (
        "No bed of shared-contract is there, or paid for, for 12 months from April 2021."
    )
    assert "No bed of millbank is" in stress(instance, "provider-failure=3@millbank").words(instance)


def test_offers_that_are_alternatives_fail_together() -> None:
    instance = optimiser.load("kent-sufficiency-2019")
    assert "No bed of shared-early or shared-new is" in stress(instance, "provider-failure@shared-new").words(instance)


# branches


def test_under_a_stress_that_changes_nothing_the_problem_is_the_plan_s() -> None:
    instance = optimiser.load("kent-in-house-2025")
    asked = Asked(scenarios=6, reduce_from=20)
    reduction = reduction_of(instance, asked)
    _, engine = prepare(instance, asked, reduction=reduction)
    problem = engine.problem
    held = Ordinary(instance, problem, {}, draw_as(asked, reduction))
    _, same = stressed(held, stress(instance, "more-arrivals=1"))
    for one, other in zip(problem.scenarios, same.scenarios, strict=True):
        for field in fields(type(one)):
            assert np.array_equal(getattr(one, field.name), getattr(other, field.name)), field.name


def test_futures_take_the_branch_that_they_observe_by_the_plan_s_thresholds() -> None:
    instance = optimiser.load("kent-in-house-2025")
    _, engine = prepare(instance, Asked(scenarios=12))
    problem = engine.problem
    held = Ordinary(instance, problem, {}, draw_as(Asked(scenarios=12), None))
    _, under = stressed(held, stress(instance, "more-arrivals=3"))
    assert under.nodes == problem.nodes
    threshold = min(s.arrivals[:, : problem.nodes[1].first_period].sum() for s in problem.scenarios if s.path[1] == 2)
    for scenario in under.scenarios:
        arrived = scenario.arrivals[:, : problem.nodes[1].first_period].sum()
        assert scenario.path == ((0, 2) if arrived >= threshold else (0, 1))
    ordinary_high = sum(s.path[1] == 2 for s in problem.scenarios)
    assert sum(s.path[1] == 2 for s in under.scenarios) > ordinary_high


def test_what_is_decided_where_no_future_comes_is_left_out() -> None:
    instance = optimiser.load("kent-in-house-2025")
    _, engine = prepare(instance, Asked(scenarios=12))
    problem = engine.problem
    everywhere = Decisions.none(problem)
    everywhere.homes_begun[:] = 1
    only = replace(problem, scenarios=tuple(replace(s, path=(0, 2)) for s in problem.scenarios))
    left = on_reached(only, everywhere)
    assert [begin.node in (0, 2) for begin in problem.begins] == (left.homes_begun == 1).tolist()


# regret


def small() -> Instance:
    """Two homes at most, at one date, and one lot of up to two beds, for two children with a third arriving now and then."""
    home = HOME | {"begin_until": "2025-04", "capital_gbp": 200_000, "registration_delay_months": "4:0.5 8:0.5"}
    lot = LOT | {"maximum_beds": 2, "award_until": "2025-04", "term_months": 18, "setup_gbp": 10_000}
    return tiny(
        {"scenarios": 4, "unregistered_growth_per_year": 0.05},
        cohorts=[
            {
                "cohort": "children",
                "authority": "council",
                "title": "All",
                "mean_stay_months": 20,
                "arrivals_per_month": "uniform(0.05, 0.3)",
                "planned_moves_per_month": 0.2,
            }
        ],
        homes=[home],
        lots=[lot],
        tiers=[{"lot": "block", "from_beds": 1, "to_beds": 2, "gbp_per_week": 4_400}],
        layers=[
            {"spot": "market", "beds": 3, "gbp_per_week": 5_000},
            {"spot": "market", "beds": 2, "gbp_per_week": 6_000},
        ],
        placements=[
            {"cohort": "children", "source": "market", "children_at_start": 2},
            {"cohort": "children", "source": "two-bed"},
            {"cohort": "children", "source": "block"},
        ],
        options=[{"option": "do-nothing", "title": "Do nothing"}],
        evidence=EVIDENCE,
    )


def everything_possible(problem: Problem) -> list[Decisions]:
    found = []
    for homes, beds in product(range(3), range(3)):
        chosen = Decisions.none(problem)
        chosen.homes_begun[0] = homes
        if beds:
            chosen.lot_awarded[0] = chosen.tier_chosen[0, 0] = 1
            chosen.beds_in_tier[0, 0] = beds
        found.append(with_managers_needed(problem, chosen))
    return found


@pytest.mark.parametrize(
    "name", ["more-arrivals=2", "slow-registration", "prices-rise=0.3", "provider-failure", "home-empty"]
)
def test_regret_is_what_enumerating_every_plan_says_it_is(name: str) -> None:
    instance, asked = small(), Asked(scenarios=4)
    _, engine = prepare(instance, asked)
    problem = engine.problem
    possible = everything_possible(problem)
    held = ordinary(instance, possible[4], problem, asked)
    (row,) = under_stresses(held, [stress(instance, name)], Settings(gap=1e-7))
    _, under = stressed(held, stress(instance, name))
    priced = Engine(under)
    objective = [verify(under, each, priced.place(each).placements).objective for each in possible]
    (plan,) = row["plans"]
    assert plan["objective_gbp"] == pytest.approx(objective[4])
    assert row["best"]["objective_gbp"] == pytest.approx(min(objective))
    assert row["best"]["bound_gbp"] <= min(objective) + 1
    assert plan["regret"]["at_least_gbp"] == pytest.approx(objective[4] - min(objective), abs=1)
    assert plan["regret"]["at_most_gbp"] >= plan["regret"]["at_least_gbp"] - 1e-6
    assert row["decision_changes"] is (objective[4] - min(objective) > 1)


@lru_cache
def under_three() -> tuple[Plan, dict[str, Any]]:
    asked = Asked(scenarios=4, gap=1e-5, stresses=("more-arrivals=1", "more-arrivals=4", "prices-rise=-0.4"))
    return make_plan(small(), asked)


def test_a_stress_that_changes_nothing_costs_nothing_and_the_decision_stands() -> None:
    plan, document = under_three()
    row = document["stresses"][0]
    (held,) = row["plans"]
    assert held["expected_cost_gbp"] == pytest.approx(plan.verified.expected_cost)
    assert held["expected_cost_gbp"] == held["ordinary_expected_cost_gbp"]
    assert held["regret"]["at_least_gbp"] == pytest.approx(0, abs=1e-4 * plan.verified.objective)
    assert row["decision_changes"] is False
    assert row["instead"] == {"only_best": [], "only_plan": []}


def test_a_decision_that_changes_is_told_with_what_would_be_done_instead() -> None:
    _, document = under_three()
    many = document["stresses"][1]
    assert many["decision_changes"] is True
    assert many["instead"]["only_best"]
    assert many["plans"][0]["unregistered_child_weeks"] > many["plans"][0]["ordinary_unregistered_child_weeks"]
    printed = io.StringIO()
    show_plan(document, Console(file=printed, width=110))
    words = " ".join(printed.getvalue().split())
    assert "Under stress: the plan held, beside what would have been best had one planned for it" in words
    assert (
        "• more-arrivals=4: Arrivals (all cohorts) are 4 times what is drawn. One would have decided otherwise" in words
    )
    best = document["stresses"][0]["best"]
    assert f"The decision stands (within 0.00%: objective £{best['objective_gbp']:,.0f}, bound £" in words


def test_an_appraisal_puts_every_option_under_the_stress_with_its_rank() -> None:
    options, document = make_appraisal(small(), Asked(scenarios=4, gap=1e-4, stresses=("home-empty",)))
    (row,) = document["stresses"]
    assert {plan["plan"] for plan in row["plans"]} == {option.name for option in options}
    assert row["plans"][0]["plan"] == "optimised"
    in_order = sorted(row["plans"], key=lambda plan: plan["objective_gbp"])
    assert [plan["rank"] for plan in in_order] == list(range(1, len(in_order) + 1))
    nothing = next(plan for plan in row["plans"] if plan["plan"] == "do-nothing")
    assert nothing["expected_cost_gbp"] == pytest.approx(nothing["ordinary_expected_cost_gbp"])
    assert all(plan["regret"]["at_least_gbp"] >= -1e-6 for plan in row["plans"])
    printed = io.StringIO()
    show_appraisal(document, Console(file=printed, width=110))
    assert "home-empty" in printed.getvalue()


def test_a_limit_that_a_plan_cannot_keep_under_a_stress_is_named() -> None:
    instance = small().model_copy(
        update={"tolerances": tiny(tolerances=[{"limit": "few", "child_weeks": 60}]).tolerances}
    )
    asked = Asked(scenarios=4, gap=1e-4, stresses=("more-arrivals=12",))
    _, document = make_plan(instance, asked)
    (row,) = document["stresses"]
    assert row["status"] == "infeasible"
    assert row["best"] is None
    assert row["plans"][0]["broken"]
    printed = io.StringIO()
    show_plan(document, Console(file=printed, width=200))
    assert "What would have been best for it is not known: no plan keeps every limit under it." in printed.getvalue()


# the command line and the files


def test_the_command_refuses_an_unknown_name_before_it_searches(tmp_path: Path) -> None:
    Folder(tmp_path / "mine")
    for command in ("plan", "appraise"):
        run = CliRunner().invoke(app, [command, str(tmp_path / "mine"), "--stress", "none-such"])
        assert isinstance(run.exception, InstanceError)
        assert "Known: more-arrivals, slow-registration" in str(run.exception)


def test_the_table_of_stresses_has_a_row_for_each_plan_under_each() -> None:
    _, document = under_three()
    rows = stress_table(json.loads(json.dumps(document["stresses"])))
    assert [row["stress"] for row in rows] == ["more-arrivals=1", "more-arrivals=4", "prices-rise=-0.4"]
    assert rows[1]["regret_at_least_gbp"] == document["stresses"][1]["plans"][0]["regret"]["at_least_gbp"]
    assert rows[1]["best_bound_gbp"] == document["stresses"][1]["best"]["bound_gbp"]
    assert len({tuple(row) for row in rows}) == 1


@pytest.mark.parametrize(
    ("cells", "fault"),
    [
        ({"stress": "all"}, "stress: all is no name for a stress. It asks for every stress; choose another name."),
        (
            {"effect": "unregistered-growth", "item": "spot-market", "value": "0.1"},
            "item: spot-market has no meaning for unregistered-growth. Clear the cell.",
        ),
        ({"effect": "arrivals-per-month"}, "item: is missing. Name the cohort that arrives."),
        ({"start": "2027-01"}, "start: 2027-01 has no meaning for arrivals-factor. Clear the cell."),
        (
            {"value": "-1"},
            "value: -1 is not at least 0 and at most 100. A value of arrivals-factor is at least 0 and at most 100.",
        ),
        ({"item": "complex-need"}, "item: complex-need is not in cohorts.csv. Did you mean complex-needs?"),
    ],
)
def test_a_fault_in_the_table_of_stresses_is_told(tmp_path: Path, cells: dict[str, str], fault: str) -> None:
    folder = Folder(tmp_path / "mine")
    row = {"stress": "surge", "title": "A surge", "effect": "arrivals-factor", "item": "", "value": "2", "start": ""}
    folder.add("stresses", **(row | cells))
    folder.add("evidence", figures="stresses.*", evidence="assumption", low="-50%", high="+50%")
    assert [str(found) for found in folder.faults()] == [f"stresses.csv row 2, {fault}"]


def test_the_common_stresses_are_within_their_own_limits() -> None:
    assert {row.effect for row in STRESSES} == {
        "arrivals-factor",
        "registration-months",
        "price-growth",
        "unregistered-growth",
        "provider-failure",
        "home-empty",
    }
    instance = optimiser.load("kent-in-house-2025")
    for row in STRESSES:
        assert stress(instance, f"{row.stress}={row.value:g}").effects[0].value == row.value
