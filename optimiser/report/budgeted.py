"""The Medium-Term Financial Plan and the view of capital as borrowing → terminal."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from rich.table import Table

Row = dict[str, Any]
Pounds = Callable[[float | None], str]

#: Columns of the table on the terminal: which lines are shown together, and under what heading.
COLUMNS: dict[str, tuple[str, ...]] = {
    "Base": ("base_budget_gbp",),
    "Pressures": ("demand_and_prices_gbp", "unregistered_pressure_gbp"),
    "In budget": ("already_in_budget_gbp",),
    "Of the plan": ("recurring_of_plan_gbp", "unregistered_of_plan_gbp"),
    "Avoided": ("cost_avoidance_gbp",),
    "Cashable": ("cashable_saving_gbp",),
    "One-off": ("one_off_pressure_gbp", "one_off_of_plan_gbp", "one_off_avoidance_gbp"),
    "Capital": ("capital_gbp", "residual_gbp"),
    "Cost": ("nominal_gbp",),
}


def budget_lines(
    document: Row, step: float, pounds: Callable[[float | None, float], str], table_of: Callable[..., Table]
) -> list[Any]:
    """The table by financial year, what it adds up to, the saving in the budget, and the capital as borrowing."""
    rows = document["mtfp"]
    if not rows:
        return []

    def shown(amount: float | None) -> str:
        return pounds(amount, step)

    sums = [{head: sum(row[line] for line in lines) for head, lines in COLUMNS.items()} for row in rows]
    heads = [head for head in COLUMNS if head == "Cost" or any(abs(row[head]) >= step / 2 for row in sums)]
    cells = [[row["year"], *(shown(amounts[head]) for head in heads)] for row, amounts in zip(rows, sums, strict=True)]
    cells.append(["Together", *(shown(sum(amounts[head] for amounts in sums)) for head in heads)])
    lines: list[Any] = [
        f"Medium-Term Financial Plan against the base budget ({document['mtfp_base']}), nominal:",
        table_of(["Year", *heads], cells),
        _worth_words(document, shown),
    ]
    if document["saving_in_budget"] is not None:
        lines.append(saving_words(document["saving_in_budget"], shown))
    if document["financing"]:
        lines.append(financing_words(document, shown))
    return lines


def _worth_words(document: Row, shown: Pounds) -> str:
    present = sum(row["present_gbp"] for row in document["mtfp"])
    without = sum(row["present_without_residual_gbp"] for row in document["mtfp"])
    words = f"Cost at present value: {shown(present)}, the net present cost"
    return words + (f"; {shown(without)} without residual value." if abs(present - without) > 1 else ".")


def saving_words(found: Row, shown: Pounds) -> str:
    """The saving that the budget counts on, as published, beside what the plan saves."""
    published = ""
    if found["published_gbp"] is not None:
        published = f" (published, {found['document']}: {found['title'].lower()}, {shown(found['published_gbp'])})"
    short = found["not_delivered_gbp"]
    rest = "all of what the budget counts on is delivered."
    if short > 1:
        rest = f"{shown(short)} of what the budget counts on is not delivered in its year: a pressure."
    return (
        f"The budget counts on saving {shown(found['counted_gbp'])} already{published}. Against doing nothing, this plan "
        f"saves the revenue budget {shown(found['revenue_saving_gbp'])} (nominal); {rest}"
    )


def financing_words(document: Row, shown: Pounds) -> str:
    """Interest and provision by year, the debt that is left, and that it is no further cost."""
    terms, rows = document["financing_terms"], document["financing"]
    how = {"equal-instalments": "equal instalments", "annuity": "annuity"}[terms["repayment"]]
    years = ", ".join(f"{row['year']} {shown(row['charge_gbp'])}" for row in rows)
    counted = (
        "Running costs pay for it already: no further cost."
        if terms["in_running_cost"]
        else "Another view of the capital above: no further cost."
    )
    return (
        f"The capital as borrowing ({100 * terms['rate']:g}%, {how} over {terms['life_years']} years from the year after a "
        f"home opens): interest and minimum revenue provision {years}; {shown(rows[-1]['debt_gbp'])} owed at the end. "
        f"{counted}"
    )
