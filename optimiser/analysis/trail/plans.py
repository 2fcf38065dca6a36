"""Figures of runs that hold several plans, the points of a frontier or the options of an appraisal, taken apart as those of one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any

import numpy as np

from models.problem import COST_TERMS
from optimiser.analysis.appraisal import DO_NOTHING, heaviest_leaf
from optimiser.analysis.frontier import CAPITAL_TERMS, homes_along
from optimiser.analysis.planning import objective_in_pounds
from optimiser.analysis.trail.figures import SUMMARY, Figure
from optimiser.analysis.trail.sources import CAPITAL, CHILDREN
from optimiser.analysis.trail.terms import NOTHING, Made, Term, Terms
from optimiser.finance import whole_pounds
from optimiser.plan import Plan

Row = dict[str, Any]

#: Columns that are headlines of a plan, by what they are called there.
HEADLINES = {
    **{name: name for name in ("expected_cost_gbp", "objective_gbp", "deterrent_gbp", "saving_gbp", "cvar_gbp")},
    **{f"p{level}_gbp": f"p{level}_gbp" for level in (10, 25, 50, 75, 90)},
    "unregistered_child_weeks": "expected_child_weeks",
    "unregistered_p90_child_weeks": "p90_child_weeks",
}
#: Cost terms of the revenue budget.
REVENUE = tuple(term for term in COST_TERMS if term not in CAPITAL_TERMS)
#: Tables of an appraisal whose rows name an option.
OF_OPTIONS = ("options", "years", "terms")


class Plans:
    """The plans that a run was written with, by name, and the figures of its document that are theirs."""

    def __init__(self, kind: str, document: Row, plans: Mapping[str, Plan]) -> None:
        self._kind, self._document, self._plans = kind, document, plans
        self._terms: dict[tuple[str, str | None], Terms] = {}

    def made(self, path: Sequence[str | int]) -> Made | None:
        """What makes up a figure; None where it is none of a plan's own."""
        if self._kind == "appraise" and path[0] in OF_OPTIONS:
            row = self._document[path[0]][path[1]]
            beside = DO_NOTHING if DO_NOTHING in self._plans else None
            return self._of(row["option"], beside, str(path[0]), [row], path[2:])
        if self._kind != "frontier" or path[0] not in ("points", "own"):
            return None
        if path[0] == "own":
            return self._own(path[1:])
        point = self._document["points"][path[1]]
        name, other = point["plan"], point["plan_without_capital"]
        if path[2] == "without_capital" and other is not None:
            return self._of(other, None, "points", [point["without_capital"]], path[3:])
        rows = [point] if len(path) == 3 else [point, *(point[path[2]][path[3]],) * isinstance(path[3], int)]
        return self._of(name, other, str(path[2]) if len(path) > 3 else "points", rows, path[2:])

    def _own(self, rest: Sequence[str | int]) -> Made | None:
        """What the instance's envelope buys, or what a million less or more changes."""
        own = self._document["own"]
        if rest[0] == "before":
            return None
        if rest[0] not in ("less", "more"):
            return self._of(own["plan"], None, "points", [own], rest)
        if rest[1] not in ("pounds_more_gbp", "child_weeks_more", "objective_more_gbp"):
            return self._of(own[rest[0]]["plan"], None, "points", [own[rest[0]]], rest[1:])
        column = {"pounds_more_gbp": "expected_cost_gbp", "objective_more_gbp": "objective_gbp"}.get(str(rest[1]))
        column = column or "unregistered_child_weeks"
        there, here = (
            self._terms_of(name, None).of(Figure(SUMMARY, 0, (), HEADLINES[column], 0.0))
            for name in (own[rest[0]]["plan"], own["plan"])
        )
        ours = [
            Term(f"{term.words} (at the instance's envelope)", -term.amount, term.inputs, item=term.item)
            for term in here.terms
        ]
        words = f"a million {rest[0]} than the instance's envelope, against what that buys: the sum of"
        return Made(words, [*there.terms, *ours])

    def _terms_of(self, name: str, other: str | None) -> Terms:
        if (name, other) not in self._terms:
            plan = self._plans[name]
            document = {"deterrent_gbp": plan.verified.objective - objective_in_pounds(plan)}
            words = "of doing nothing" if self._kind == "appraise" else "without capital"
            self._terms[name, other] = Terms(plan, None if other is None else self._plans[other], document, words)
        return self._terms[name, other]

    def _of(
        self, name: str, other: str | None, table: str, rows: Sequence[Row], rest: Sequence[str | int]
    ) -> Made | None:
        """One column of a plan's row in a table; ``rows`` from the plan's own to the one that holds the column."""
        if name not in self._plans:
            return None
        terms, column, row = self._terms_of(name, other), str(rest[-1]), rows[-1]
        if table == "years":
            return self._year(terms, row["year"], column)
        if table == "terms":
            return terms.of_year(row["year"], column, (row["term"],))
        if table == "break_even" and column == "occupancy":
            return terms.of(Figure(table, 0, (row["item"],), column, 0.0))
        if table == "capital_by_year":
            return self._capital(terms, row["year"])
        if table not in ("points", "options"):
            return None
        if column in HEADLINES:
            return terms.of(Figure(SUMMARY, 0, (), HEADLINES[column], 0.0))
        if column in ("capital_used_gbp", "capital_gbp"):
            return self._capital(terms, None)
        if column in ("homes", "beds", "block_beds"):
            return self._counted(terms.plan, column)
        if column == "spot_share":
            return _spot_share(terms)
        if column == "break_even_occupancy":
            return self._mean_break_even(terms.plan, row)
        return None

    def _year(self, terms: Terms, year: str, column: str) -> Made:
        if column == "saving_nominal_gbp":
            return terms.of_year(year, "nominal_gbp", less=True)
        return terms.of_year(year, "nominal_gbp" if column == "revenue_gbp" else column, self._columns[column])

    @cached_property
    def _columns(self) -> dict[str, tuple[str, ...]]:
        return {"revenue_gbp": REVENUE, "nominal_gbp": COST_TERMS, "real_gbp": COST_TERMS}

    def _capital(self, terms: Terms, year: str | None) -> Made:
        """Homes begun at planning prices on the path that takes most, in a year or all."""
        plan, problem = terms.plan, terms.problem
        varied = {each["name"] for each in self._document.get("envelopes", ())}
        homes = {home for each in problem.envelopes if each.name in varied for home in each.homes}
        every = self._kind == "appraise" or not problem.envelopes
        price = np.array([problem.planning_capital[begin.home, begin.period] for begin in problem.begins])
        price *= [every or begin.home in homes for begin in problem.begins]
        amounts = price * plan.decisions.homes_begun
        path = problem.path_to(heaviest_leaf(problem, amounts))
        found = []
        for place, begin in enumerate(problem.begins):
            when = problem.financial_years[problem.period_year[begin.period]]
            if amounts[place] and begin.node in path and year in (None, when):
                name, number = problem.homes[begin.home], int(plan.decisions.homes_begun[place])
                words = f"{number} × {terms.titles[name]} begun {problem.periods[begin.period]}"
                inputs = tuple(each.format(name) for each in CAPITAL if not each.endswith("capital_bid_factor"))
                found.append(Term(f"{words} at {whole_pounds(float(price[place]))}", float(amounts[place]), inputs))
        return Made("capital begun at planning prices, net of grant, on the branch that takes most: the sum of", found)

    def _counted(self, plan: Plan, column: str) -> Made:
        """Homes or their beds begun on the path with most, or committed beds of the award with most."""
        problem, titles = plan.problem, self._document["titles"]
        if column == "block_beds":
            beds = plan.decisions.beds_in_tier.sum(axis=1)
            if not beds.any():
                return Made("the largest number of committed beds awarded at once", [])
            award = problem.awards[int(beds.argmax())]
            lot = problem.lots[award.lot]
            words = f"committed beds: {titles[lot]}, {problem.periods[award.period]}"
            return Made(
                "the largest number of committed beds awarded at once: the sum of",
                [Term(words, float(beds.max()), (f"lots.{lot}.minimum_beds", f"lots.{lot}.maximum_beds"))],
            )
        begun = plan.decisions.homes_begun.astype(float)
        if column == "beds":
            begun *= [problem.home_beds[begin.home] for begin in problem.begins]
        path = problem.path_to(heaviest_leaf(problem, begun))
        found = []
        for place, begin in enumerate(problem.begins):
            if begun[place] and begin.node in path:
                name = problem.homes[begin.home]
                words = f"{titles[name]} begun {problem.periods[begin.period]}"
                found.append(Term(words, float(begun[place]), (f"homes.{name}.beds",) if column == "beds" else ()))
        return Made(f"{column} begun on the branch with most: the sum of", found)

    def _mean_break_even(self, plan: Plan, row: Row) -> Made:
        """The mean break-even occupancy of the homes begun."""
        titles, begun = self._document["titles"], homes_along(plan)
        even = {each["item"]: each["occupancy"] for each in row["break_even"] if each["occupancy"] is not None}
        own = {item: number for item, number in begun.items() if item in even}
        over = [
            Term(f"{titles[item]}: {number} × {even[item]:.1%}", number * even[item], (), "over", unit="")
            for item, number in own.items()
        ]
        return Made(
            "the mean of the homes begun, by number (break_even takes each apart)",
            [*over, Term("homes begun", float(sum(own.values())), (), "under", unit="")],
        )


def _spot_share(terms: Terms) -> Made:
    """Child-weeks by where children live: those in spot places over all."""
    plan, problem = terms.plan, terms.problem
    weeks = {kind: float(plan.probability @ (own @ problem.weeks)) for kind, own in plan.children_by_kind.items()}
    over = [Term("child-weeks in spot places", weeks["spot"], ("layers.*", "spots.*", *CHILDREN), "over", unit="")]
    under = [
        Term(f"child-weeks: {kind.replace('_', ' ')}", amount, CHILDREN, "under", unit="")
        for kind, amount in weeks.items()
        if amount > NOTHING
    ]
    return Made("child-weeks in spot places over all child-weeks in care, the mean of all futures", [*over, *under])
