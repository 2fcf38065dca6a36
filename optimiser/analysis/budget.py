"""A plan as a Medium-Term Financial Plan has it: by financial year against a base budget, and its capital as borrowing.

Every line is an expected amount in nominal £, with its sign: what adds to the need for budget is positive, what reduces it
negative, so that the lines of a year add up to what the plan costs in that year. *R*, *U* and *O* are recurring cost of
registered placements, cost of *no registered home found*, and one-off revenue (waiting for registration, procurement and
purchases that fall through, closures); *plan* and *nothing* say under which decisions.

===========================  ==========================================================================================
base_budget_gbp              what the instance gives in ``budget.csv``; else R of doing nothing in the first financial
                             year, by the month, held flat in cash
demand_and_prices_gbp        pressure, recurring: R(nothing) less the base; below zero where need or prices fall
unregistered_pressure_gbp    pressure, recurring: U(nothing). No base budget provides for placements that the law does
                             not allow
one_off_pressure_gbp         pressure, one-off: O(nothing)
already_in_budget_gbp        the saving that the agreed budget counts on already, ``budget.csv``
recurring_of_plan_gbp        pressure, recurring: what R(nothing) − R(plan) falls short of that saving; where none is
                             in the budget, what the plan costs more than doing nothing
unregistered_of_plan_gbp     pressure, recurring: U(plan) − U(nothing), where it is more
one_off_of_plan_gbp          pressure, one-off: O(plan) − O(nothing), where it is more
cost_avoidance_gbp           recurring: U(nothing) − U(plan) where the plan has less; and of the recurring saving beyond
                             what is in the budget already, the part that only holds back demand and prices
one_off_avoidance_gbp        one-off: O(nothing) − O(plan), where the plan has less
cashable_saving_gbp          recurring: the rest of the recurring saving, which takes spending on registered placements
                             below the base, or below doing nothing where that falls below the base: it can leave the
                             budget
revenue_gbp                  the lines above together: what the plan costs the revenue budget
capital_gbp                  one-off: capital outlay net of grant, where it is a cost of its own
without_residual_gbp         revenue and capital
residual_gbp                 one-off: value left in homes at the end of the horizon
nominal_gbp                  all of it
===========================  ==========================================================================================

Summed at present value over the years, ``nominal_gbp`` is the plan's net present cost and ``without_residual_gbp`` that
cost without residual value.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from models.problem import COST_TERMS, Problem, across
from optimiser.finance import Charges, charges, month_number
from optimiser.instance.register import evidence_for
from optimiser.instance.schema import Instance
from optimiser.plan import Plan, Row

Floats = NDArray[np.float64]

ONE_OFF = ("waiting", "procurement", "closures")
#: Every cost term by the stream of the budget that it belongs to.
STREAMS = {
    "recurring": tuple(term for term in COST_TERMS if term not in (*ONE_OFF, "unregistered", "capital", "residual")),
    "unregistered": ("unregistered",),
    "one_off": ONE_OFF,
    "capital": ("capital",),
    "residual": ("residual",),
}

#: Lines in their order, with what they are: pressure, saving and so on, and whether they recur.
LINES = {
    "base_budget_gbp": ("base", "recurring"),
    "demand_and_prices_gbp": ("pressure", "recurring"),
    "unregistered_pressure_gbp": ("pressure", "recurring"),
    "one_off_pressure_gbp": ("pressure", "one-off"),
    "already_in_budget_gbp": ("already in budget", "recurring"),
    "recurring_of_plan_gbp": ("pressure", "recurring"),
    "unregistered_of_plan_gbp": ("pressure", "recurring"),
    "one_off_of_plan_gbp": ("pressure", "one-off"),
    "cost_avoidance_gbp": ("cost avoidance", "recurring"),
    "one_off_avoidance_gbp": ("cost avoidance", "one-off"),
    "cashable_saving_gbp": ("cashable saving", "recurring"),
}


def stream_by_year(plan: Plan) -> dict[str, Floats]:
    """Expected cost by stream of the budget, nominal £, each [year]."""
    years = np.arange(len(plan.problem.financial_years))
    belongs = (plan.problem.period_year[:, None] == years).astype(float)
    amounts = plan.nominal.sum(axis=1) @ belongs
    return {
        stream: amounts[[COST_TERMS.index(term) for term in terms]].sum(axis=0) for stream, terms in STREAMS.items()
    }


def base_budget(instance: Instance, problem: Problem, recurring: Floats) -> tuple[Floats, str]:
    """Base budget, nominal £ [year], and where it comes from; ``recurring`` is R of doing nothing, nominal £ [year]."""
    given = {row.year: row.base_gbp for row in instance.budget if row.base_gbp is not None}
    if given:
        return np.array([given[year] for year in problem.financial_years], dtype=float), "given in budget.csv"
    months = months_by_year(problem)
    first = problem.financial_years[0]
    return recurring[0] / months[0] * months, f"what doing nothing costs in {first}, registered placements, held flat"


def months_by_year(problem: Problem) -> Floats:
    """Months of the horizon in each financial year, [year]."""
    return np.array(
        [problem.period_months[problem.period_year == year].sum() for year in range(len(problem.financial_years))],
        dtype=float,
    )


def worth_by_year(problem: Problem) -> tuple[Floats, Floats]:
    """Real, and present real, pounds for one nominal pound, each [year]: all periods of a year are worth the same."""
    first = [int(np.argmax(problem.period_year == year)) for year in range(len(problem.financial_years))]
    return problem.deflator[first], problem.present_value[first]


def medium_term(plan: Plan, nothing: Plan) -> list[Row]:
    """The Medium-Term Financial Plan, one row a financial year; the module says how each line is defined.

    Parameters
    ----------
    plan, nothing
        The plan, and doing nothing on the same futures.
    """
    problem = plan.problem
    real, present = worth_by_year(problem)
    rows = []
    for year, (label, amounts) in enumerate(amounts_by_year(plan, nothing)):
        row: Row = {"year": label}
        for name, parts in made_of(amounts).items():
            # no minus before a nought
            row[name] = sum(times * amounts[part] for part, times in parts.items()) + 0.0
        row["real_gbp"] = row["nominal_gbp"] * real[year]
        row["present_gbp"] = row["nominal_gbp"] * present[year]
        row["present_without_residual_gbp"] = row["without_residual_gbp"] * present[year]
        rows.append(row)
    return rows


def amounts_by_year(plan: Plan, nothing: Plan) -> list[tuple[str, dict[str, float]]]:
    """What the lines are made of, by financial year: streams of the plan and of doing nothing, base and saving in budget."""
    problem = plan.problem
    ours, theirs = stream_by_year(plan), stream_by_year(nothing)
    base, _ = base_budget(plan.instance, problem, theirs["recurring"])
    counted = {row.year: row.saving_gbp for row in plan.instance.budget}
    return [
        (
            label,
            {
                "base": float(base[year]),
                "in_budget": counted.get(label, 0.0),
                **{f"plan.{stream}": float(amounts[year]) for stream, amounts in ours.items()},
                **{f"nothing.{stream}": float(amounts[year]) for stream, amounts in theirs.items()},
            },
        )
        for year, label in enumerate(problem.financial_years)
    ]


def made_of(amounts: dict[str, float]) -> dict[str, dict[str, float]]:
    """Each line of a year as a sum of what it is made of: how many times each of ``amounts_by_year`` counts in it."""
    saved = amounts["nothing.recurring"] - amounts["plan.recurring"]
    growth = amounts["nothing.recurring"] - amounts["base"]
    beyond = saved - amounts["in_budget"]
    saving = {"nothing.recurring": -1.0, "plan.recurring": 1.0, "in_budget": 1.0}  # less the recurring saving beyond
    held_back = {"nothing.recurring": -1.0, "base": 1.0}  # less the growth
    nothing: dict[str, float] = {}
    avoided, cashable = nothing, nothing
    if beyond > 0:
        avoided = nothing if growth <= 0 else (saving if beyond <= growth else held_back)
        cashable = saving if growth <= 0 else (nothing if beyond <= growth else _less(saving, held_back))
    more = {"plan.unregistered": 1.0, "nothing.unregistered": -1.0}
    one_off = {"plan.one_off": 1.0, "nothing.one_off": -1.0}
    fewer_unregistered = amounts["plan.unregistered"] < amounts["nothing.unregistered"]
    less_one_off = amounts["plan.one_off"] < amounts["nothing.one_off"]
    lines = {
        "base_budget_gbp": {"base": 1.0},
        "demand_and_prices_gbp": {"nothing.recurring": 1.0, "base": -1.0},
        "unregistered_pressure_gbp": {"nothing.unregistered": 1.0},
        "one_off_pressure_gbp": {"nothing.one_off": 1.0},
        "already_in_budget_gbp": {"in_budget": -1.0},
        "recurring_of_plan_gbp": saving if beyond < 0 else nothing,
        "unregistered_of_plan_gbp": nothing if fewer_unregistered else more,
        "one_off_of_plan_gbp": nothing if less_one_off else one_off,
        "cost_avoidance_gbp": _together(avoided, more if fewer_unregistered else nothing),
        "one_off_avoidance_gbp": one_off if less_one_off else nothing,
        "cashable_saving_gbp": cashable,
    }
    revenue = {"plan.recurring": 1.0, "plan.unregistered": 1.0, "plan.one_off": 1.0}
    without = revenue | {"plan.capital": 1.0}
    return {
        **lines,
        "revenue_gbp": revenue,
        "capital_gbp": {"plan.capital": 1.0},
        "without_residual_gbp": without,
        "residual_gbp": {"plan.residual": 1.0},
        "nominal_gbp": without | {"plan.residual": 1.0},
    }


def _together(one: dict[str, float], other: dict[str, float], times: float = 1.0) -> dict[str, float]:
    parts = {name: one.get(name, 0.0) + times * other.get(name, 0.0) for name in [*one, *other]}
    return {name: amount for name, amount in parts.items() if amount}


def _less(one: dict[str, float], other: dict[str, float]) -> dict[str, float]:
    return _together(one, other, -1.0)


def saving_in_budget(plan: Plan, rows: list[Row]) -> Row | None:
    """The saving that the budget counts on already beside what the plan saves; None where the budget counts on none.

    With the published result that the register derives it from, where it names one.
    """
    instance = plan.instance
    counted = [row for row in instance.budget if "saving_gbp" in row.model_fields_set]
    total = sum(row.saving_gbp for row in counted)
    if not counted or total == 0:
        return None
    named = {
        name for row in counted for name in evidence_for(instance, f"budget.{row.year}.saving_gbp").derived_from.split()
    }
    source = next((row for row in instance.published if row.result in named), None)
    short = sum(min(row["recurring_of_plan_gbp"], -row["already_in_budget_gbp"]) for row in rows)
    return {
        "counted_gbp": total,
        "result": None if source is None else source.result,
        "title": None if source is None else source.title,
        "published_gbp": None if source is None else source.value,
        "document": "" if source is None else source.document,
        "place": "" if source is None else source.place,
        "not_delivered_gbp": short,
        "revenue_saving_gbp": sum(revenue_if_nothing(row) - row["revenue_gbp"] for row in rows),
    }


def revenue_if_nothing(row: Row) -> float:
    """What doing nothing costs the revenue budget in the year of a row, nominal £."""
    names = ("base_budget_gbp", "demand_and_prices_gbp", "unregistered_pressure_gbp", "one_off_pressure_gbp")
    return float(sum(row[name] for name in names))


# capital as borrowing


def borrowed(plan: Plan) -> bool:
    """Whether the instance says how its capital is borrowed."""
    settings = plan.instance.settings
    return settings.capital_treatment == "borrowing"


def financing(plan: Plan) -> list[Row]:
    """The budget view of the capital by financial year, expected, nominal £; no row where it is not borrowed.

    Capital spent, its grant, and what is borrowed for the rest; interest, minimum revenue provision from the year after a
    home opens, and the debt as the year ends. It is the same capital once more: nothing here is added to what a plan costs.
    Where running costs pay for the capital already, it is taken at planning prices; else as the futures draw it.
    """
    if not borrowed(plan):
        return []
    problem = plan.problem
    years = len(problem.financial_years)
    columns = {
        name: np.zeros(years)
        for name in ("spent_gbp", "grant_gbp", "borrowed_gbp", "interest_gbp", "provision_gbp", "debt_gbp")
    }
    for loan in loans(plan):
        columns["spent_gbp"][loan["year"]] += loan["weight"] * (loan["amount"] + loan["grant"])
        columns["grant_gbp"][loan["year"]] += loan["weight"] * loan["grant"]
        columns["borrowed_gbp"][loan["year"]] += loan["weight"] * loan["amount"]
        own: Charges = loan["charges"]
        columns["interest_gbp"] += loan["weight"] * own.interest
        columns["provision_gbp"] += loan["weight"] * own.provision
        columns["debt_gbp"] += loan["weight"] * own.debt
    return [
        {
            "year": label,
            **{name: float(amounts[year]) for name, amounts in columns.items()},
            "charge_gbp": float(columns["interest_gbp"][year] + columns["provision_gbp"][year]),
        }
        for year, label in enumerate(problem.financial_years)
    ]


def loans(plan: Plan) -> list[Row]:
    """What is borrowed for the homes begun at one date in one future: amount, grant, year, probability, and charges."""
    instance, problem = plan.instance, plan.problem
    settings = instance.settings
    assert settings.borrowing_rate is not None and settings.asset_life_years is not None
    assert settings.repayment is not None
    found = []
    for place, begin in enumerate(problem.begins):
        number = float(plan.decisions.homes_begun[place])
        if not number:
            continue
        row = instance.homes[begin.home]
        gross = row.capital_gbp * (1 + row.capital_bias())
        year = int(problem.period_year[begin.period])
        months_left = 12 - (month_number(problem.periods[begin.period]) - 3) % 12
        known: dict[tuple[float, int | None], Charges] = {}
        at = begin.home, begin.period
        opened = across(problem.scenarios, "home_open", at) > 0
        ever = np.asarray(opened.any(axis=1))
        first_open = problem.period_year[opened.argmax(axis=1)]
        outlay = np.full(len(problem.scenarios), problem.planning_capital[at])
        if not settings.financing_in_running_cost:
            outlay = across(problem.scenarios, "capital_outlay", at)
        for future in np.flatnonzero(plan.concerned(begin.node)).tolist():
            amount = float(outlay[future]) * number
            in_use = int(first_open[future]) if ever[future] else None
            if (amount, in_use) not in known:
                known[amount, in_use] = charges(
                    amount,
                    year,
                    in_use,
                    len(problem.financial_years),
                    method=settings.repayment,
                    rate=settings.borrowing_rate,
                    life=settings.asset_life_years,
                    months_left=months_left,
                )
            found.append(
                {
                    "home": problem.homes[begin.home],
                    "month": problem.periods[begin.period],
                    "future": problem.scenarios[future].name,
                    "weight": float(plan.probability[future]),
                    "year": year,
                    "amount": amount,
                    "grant": number * min(row.grant_gbp, gross),
                    "charges": known[amount, in_use],
                }
            )
    return found


def financing_terms(instance: Instance) -> Row | None:
    """How the capital is borrowed, for people: None where it is not."""
    settings = instance.settings
    if settings.capital_treatment != "borrowing":
        return None
    return {
        "rate": settings.borrowing_rate,
        "life_years": settings.asset_life_years,
        "repayment": settings.repayment,
        "in_running_cost": settings.financing_in_running_cost,
    }
