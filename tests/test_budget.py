"""The Medium-Term Financial Plan adds up to the plan, its lines mean what they say, and borrowing costs nothing more."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache
from typing import Any

import numpy as np
import numpy_financial as npf
import pytest

import optimiser
from models.problem import COST_TERMS
from optimiser.analysis.appraisal import DO_NOTHING, decisions_of
from optimiser.analysis.budget import (
    LINES,
    STREAMS,
    base_budget,
    financing,
    medium_term,
    months_by_year,
    saving_in_budget,
    stream_by_year,
)
from optimiser.analysis.planning import Asked, make_plan
from optimiser.assemble import assemble
from optimiser.demand.scenarios import make_scenarios
from optimiser.finance import month_number
from optimiser.instance.finding import bundled
from optimiser.instance.schema import BudgetRow, Evidence, Instance
from optimiser.plan import Plan
from optimiser.solve.engine import Engine
from optimiser.verify import itemised, verify
from tests.test_appraisal import choices
from tests.test_assemble import HOME, tiny
from tests.test_plan import bound_by_limits

PENNY = 0.005
NAMES = [folder.name for folder in bundled()]


def placed(instance: Instance, names: tuple[str, ...], futures: int = 4) -> dict[str, Plan]:
    """Options of an instance, placed on a few futures, by name."""
    engine = Engine(assemble(instance, make_scenarios(instance, futures)))
    found = {}
    for option in instance.options:
        if option.option in names:
            outcome = engine.place(decisions_of(instance, engine.problem, option))
            verified = verify(engine.problem, outcome.decisions, outcome.placements)
            found[option.option] = Plan(instance, engine.problem, outcome, verified)
    return found


@lru_cache
def both(name: str) -> tuple[Plan, Plan]:
    """The paper's option of a bundled instance, and doing nothing."""
    instance = optimiser.load(name)
    paper = next(row.option for row in instance.options if row.paper)
    found = placed(instance, (paper, DO_NOTHING))
    return found[paper], found[DO_NOTHING]


def of_tiny(**changes: Any) -> tuple[Plan, Plan]:
    """The option with a home of a small instance, and doing nothing."""
    instance = choices().model_copy(update=changes)
    found = placed(instance, ("home", DO_NOTHING), 3)
    return found["home"], found[DO_NOTHING]


# adding up


@pytest.mark.parametrize("name", NAMES)
def test_the_mtfp_adds_up_to_the_net_present_cost_to_the_penny_with_and_without_residual(name: str) -> None:
    plan, nothing = both(name)
    for which in (plan, nothing):
        rows = medium_term(which, nothing)
        present = sum(row["present_gbp"] for row in rows)
        assert present == pytest.approx(which.verified.expected_cost, abs=PENNY)
        residual = which.nominal[COST_TERMS.index("residual")].sum(axis=0) @ which.problem.present_value
        without = sum(row["present_without_residual_gbp"] for row in rows)
        assert without == pytest.approx(which.verified.expected_cost - residual, abs=PENNY)


@pytest.mark.parametrize("name", NAMES)
def test_the_lines_of_every_year_add_up_to_what_the_plan_costs_in_it(name: str) -> None:
    plan, nothing = both(name)
    for row, year in zip(medium_term(plan, nothing), plan.money_by_year(), strict=True):
        assert sum(row[line] for line in LINES) == pytest.approx(row["revenue_gbp"], abs=PENNY)
        assert row["without_residual_gbp"] == pytest.approx(row["revenue_gbp"] + row["capital_gbp"], abs=PENNY)
        assert row["revenue_gbp"] + row["capital_gbp"] + row["residual_gbp"] == pytest.approx(
            year["nominal_gbp"], abs=PENNY
        )
        assert (row["real_gbp"], row["present_gbp"]) == pytest.approx(
            (year["real_gbp"], year["present_gbp"]), abs=PENNY
        )


@pytest.mark.parametrize("name", NAMES)
def test_pressures_add_savings_take_away_and_no_saving_is_counted_twice(name: str) -> None:
    plan, nothing = both(name)
    ours, theirs = stream_by_year(plan), stream_by_year(nothing)
    for year, row in enumerate(medium_term(plan, nothing)):
        assert min(row["recurring_of_plan_gbp"], row["unregistered_of_plan_gbp"], row["one_off_of_plan_gbp"]) >= 0
        savings = ("already_in_budget_gbp", "cost_avoidance_gbp", "one_off_avoidance_gbp", "cashable_saving_gbp")
        assert max(row[line] for line in savings) <= 0
        # cashable takes registered spending below both the base and doing nothing; else there is none
        if row["cashable_saving_gbp"] < -PENNY:
            assert ours["recurring"][year] < min(row["base_budget_gbp"], theirs["recurring"][year])
        assert row["one_off_of_plan_gbp"] * row["one_off_avoidance_gbp"] == 0


def test_every_cost_term_belongs_to_one_stream() -> None:
    assert sorted(term for terms in STREAMS.values() for term in terms) == sorted(COST_TERMS)


def test_doing_nothing_costs_its_base_its_pressures_and_what_the_budget_counted_on() -> None:
    _, nothing = both("kent-in-house-2025")
    for row in medium_term(nothing, nothing):
        assert row["recurring_of_plan_gbp"] == pytest.approx(-row["already_in_budget_gbp"])
        for line in ("one_off_of_plan_gbp", "cost_avoidance_gbp", "one_off_avoidance_gbp", "cashable_saving_gbp"):
            assert row[line] == 0


# the lines by hand


def made_of(plan: Plan, recurring: float, unregistered: float, waiting: float, second: float) -> Plan:
    """A plan of two financial years, twelve months each, with given costs a year; the second year's recurring differs."""
    problem = plan.problem
    nominal = np.zeros_like(plan.nominal)
    for year, amount in enumerate((recurring, second)):
        first = int(np.argmax(problem.period_year == year))
        nominal[COST_TERMS.index("spot"), 0, first] = amount
        nominal[COST_TERMS.index("unregistered"), 0, first] = unregistered
        nominal[COST_TERMS.index("waiting"), 0, first] = waiting
    changed = replace(plan)
    changed.__dict__["nominal"] = nominal
    return changed


def test_the_budget_is_told_where_the_instance_names_no_option_of_doing_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in ("swings", "out_of_sample", "foresight_of"):
        monkeypatch.setattr(f"optimiser.analysis.planning.{name}", lambda *_: None)
    named = bound_by_limits()
    documents = [
        make_plan(instance, Asked(scenarios=3))[1]
        for instance in (named, named.model_copy(update={"options": (), "decisions": ()}))
    ]
    assert documents[0]["mtfp"] == documents[1]["mtfp"] != []
    assert documents[0]["saving_gbp"] == documents[1]["saving_gbp"] is not None
    assert sum(row["present_gbp"] for row in documents[1]["mtfp"]) == pytest.approx(
        documents[1]["expected_cost_gbp"], abs=PENNY
    )


def test_the_lines_by_hand() -> None:
    plan, _ = of_tiny(budget=(BudgetRow(year="2026/27", saving_gbp=50),))
    assert plan.problem.financial_years[:2] == ("2025/26", "2026/27")
    assert months_by_year(plan.problem)[:2].tolist() == [12, 12]
    # doing nothing: 1,000 of registered placements, then 1,200; 300 and 300 unregistered
    nothing = made_of(plan, 1000, 300, 0, 1200)
    # the plan: 1,100 in the first year while homes wait, then 900; 100 unregistered; 20 of waiting in each
    ours = made_of(plan, 1100, 100, 20, 900)
    first, second = medium_term(ours, nothing)[:2]
    assert {name: first[name] for name in LINES} == {
        "base_budget_gbp": 1000,
        "demand_and_prices_gbp": 0,
        "unregistered_pressure_gbp": 300,
        "one_off_pressure_gbp": 0,
        "already_in_budget_gbp": 0,
        "recurring_of_plan_gbp": 100,
        "unregistered_of_plan_gbp": 0,
        "one_off_of_plan_gbp": 20,
        "cost_avoidance_gbp": -200,
        "one_off_avoidance_gbp": 0,
        "cashable_saving_gbp": 0,
    }
    # 300 saved: 50 are in the budget already, 200 hold back the growth of 200, 50 take spending below the base
    assert {name: second[name] for name in LINES} == {
        "base_budget_gbp": 1000,
        "demand_and_prices_gbp": 200,
        "unregistered_pressure_gbp": 300,
        "one_off_pressure_gbp": 0,
        "already_in_budget_gbp": -50,
        "recurring_of_plan_gbp": 0,
        "unregistered_of_plan_gbp": 0,
        "one_off_of_plan_gbp": 20,
        "cost_avoidance_gbp": -400,
        "one_off_avoidance_gbp": 0,
        "cashable_saving_gbp": -50,
    }
    assert (first["revenue_gbp"], second["revenue_gbp"]) == (1220, 1020)


def test_a_base_budget_that_the_instance_gives_is_used_and_changes_no_total() -> None:
    plan, nothing = of_tiny()
    years = plan.problem.financial_years
    given = tuple(BudgetRow(year=year, base_gbp=123_456.78) for year in years)
    changed = replace(plan, instance=plan.instance.model_copy(update={"budget": given}))
    rows, before = medium_term(changed, nothing), medium_term(plan, nothing)
    assert [row["base_budget_gbp"] for row in rows] == [123_456.78] * len(years)
    assert [row["nominal_gbp"] for row in rows] == pytest.approx([row["nominal_gbp"] for row in before])
    assert base_budget(changed.instance, plan.problem, stream_by_year(nothing)["recurring"])[1] == "given in budget.csv"


def test_a_part_of_a_year_at_the_start_is_scaled_to_whole_years() -> None:
    plan, nothing = both("kent-supported-accommodation-2018")
    rows = medium_term(plan, nothing)
    assert months_by_year(plan.problem)[:2].tolist() == [3, 12]
    assert rows[1]["base_budget_gbp"] == pytest.approx(4 * rows[0]["base_budget_gbp"])


def test_kents_published_saving_stands_beside_ours() -> None:
    plan, nothing = both("kent-in-house-2025")
    rows = medium_term(plan, nothing)
    found = saving_in_budget(plan, rows)
    assert found is not None
    assert found["published_gbp"] == found["counted_gbp"] == 5_210_000
    assert found["document"].startswith("24/00105")
    terms = [COST_TERMS.index(term) for term in COST_TERMS if term not in ("capital", "residual")]
    ours = float((nothing.nominal - plan.nominal)[terms].sum())
    assert found["revenue_saving_gbp"] == pytest.approx(ours, abs=PENNY)


# the itemised ledger


@pytest.mark.parametrize("name", NAMES)
def test_the_itemised_ledger_adds_up_to_the_ledger_term_by_term(name: str) -> None:
    for plan in both(name):
        items, amounts = itemised(plan.problem, plan.decisions, plan.solution.placements)
        for position, term in enumerate(COST_TERMS):
            own = amounts[[item.term == term for item in items]].sum(axis=0)
            assert own == pytest.approx(plan.nominal[position], abs=1e-6)


# borrowing


BORROWED = {
    "capital_treatment": "borrowing",
    "borrowing_rate": 0.05,
    "asset_life_years": 3,
    "repayment": "equal-instalments",
}


def borrowing(instance: Instance, **changes: Any) -> Instance:
    return instance.model_copy(update={"settings": instance.settings.model_copy(update=BORROWED | changes)})


@pytest.mark.parametrize("repayment", ["equal-instalments", "annuity"])
def test_borrowing_changes_neither_the_problem_nor_what_a_plan_costs(repayment: str) -> None:
    evidence = Evidence(figures="*.*", evidence="assumption", low="-20%", high="+20%")
    instance = choices().model_copy(update={"evidence": (evidence,)})
    asked = Asked(scenarios=3, gap=1e-6)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("optimiser.analysis.planning.swings", lambda *_: [])
        patch.setattr("optimiser.analysis.planning.out_of_sample", lambda *_: None)
        patch.setattr("optimiser.analysis.planning.foresight_of", lambda *_: None)
        _, outlay = make_plan(instance, asked)
        _, loan = make_plan(borrowing(instance, repayment=repayment), asked)
    for key in ("objective_gbp", "bound_gbp", "expected_cost_gbp", "decisions", "years", "mtfp"):
        assert outlay[key] == loan[key], key
    assert outlay["financing"] == []
    assert len(loan["financing"]) == len(loan["years"])


@pytest.mark.parametrize("repayment", ["equal-instalments", "annuity"])
def test_interest_provision_and_the_debt_left_are_worth_the_capital_at_the_rate_of_interest(repayment: str) -> None:
    plan, _ = of_tiny()
    plan = replace(plan, instance=borrowing(plan.instance, repayment=repayment))
    rows = financing(plan)
    assert rows[0]["borrowed_gbp"] > 0
    begun = [begin for place, begin in enumerate(plan.problem.begins) if plan.decisions.homes_begun[place]]
    (month,) = {plan.problem.periods[begin.period] for begin in begun}
    part = (12 - (month_number(month) - 3) % 12) / 12
    worth, factor = 0.0, 1.0
    for place, row in enumerate(rows):
        factor *= 1 + 0.05 * (part if place == 0 else 1)
        worth += row["charge_gbp"] / factor
    worth += rows[-1]["debt_gbp"] / factor
    assert worth == pytest.approx(rows[0]["borrowed_gbp"], abs=PENNY)


def test_provision_begins_in_the_year_after_the_home_opens_and_a_grant_is_not_borrowed() -> None:
    home = HOME | {"capital_gbp": 300_000, "grant_gbp": 120_000, "begin_from": "2025-04", "begin_until": "2025-04"}
    home |= {"lead_months": 4, "registration_delay_months": 10}
    instance = borrowing(tiny({"periods": "48x1"}, homes=[home]))
    problem = assemble(instance, make_scenarios(instance, 2))
    engine = Engine(problem)
    decisions = decisions_of(instance, problem, choices().options[0])
    decisions.homes_begun[0] = 1
    outcome = engine.place(decisions)
    plan = Plan(instance, problem, outcome, verify(problem, outcome.decisions, outcome.placements))
    rows = financing(plan)
    # begun in April 2025, open in June 2026: in use in 2026/27, so that provision begins in 2027/28
    assert [row["spent_gbp"] for row in rows] == pytest.approx([300_000, 0, 0, 0], abs=PENNY)
    assert [row["grant_gbp"] for row in rows] == pytest.approx([120_000, 0, 0, 0], abs=PENNY)
    assert [row["provision_gbp"] for row in rows] == pytest.approx([0, 0, 60_000, 60_000], abs=PENNY)
    assert [row["interest_gbp"] for row in rows] == pytest.approx([9_000, 9_000, 9_000, 6_000], abs=PENNY)
    assert [row["debt_gbp"] for row in rows] == pytest.approx([180_000, 180_000, 120_000, 60_000], abs=PENNY)
    by_annuity = financing(replace(plan, instance=borrowing(plan.instance, repayment="annuity")))
    parts = -npf.ppmt(0.05, [1, 2, 3], 3, 180_000)
    assert [row["provision_gbp"] for row in by_annuity][2:] == pytest.approx(parts[:2].tolist(), abs=PENNY)


def test_kents_borrowing_is_shown_and_counted_once() -> None:
    plan, _ = both("kent-in-house-2025")
    rows = financing(plan)
    assert sum(row["borrowed_gbp"] for row in rows) == pytest.approx(3_800_000, abs=PENNY)
    provision = sum(row["provision_gbp"] for row in rows)
    assert rows[-1]["debt_gbp"] == pytest.approx(3_800_000 - provision, abs=PENNY)
    # the published running cost pays for it: neither capital nor interest is in what the plan costs
    assert plan.nominal[COST_TERMS.index("capital")].sum() == 0
