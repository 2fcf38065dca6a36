"""The terms that make up each figure of a run, recomputed from the decisions and placements that the run was written with."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.problem import COST_TERMS
from optimiser.analysis.budget import STREAMS, amounts_by_year, loans, made_of, months_by_year, worth_by_year
from optimiser.analysis.limits import limits_of
from optimiser.analysis.trail.figures import Figure, dated
from optimiser.analysis.trail.sources import CAPITAL, CHILDREN, LOT_TIME, OPENING, USABLE, Sources, inputs_of
from optimiser.finance import whole_pounds
from optimiser.plan import (
    COST_GROUPS,
    KIND_OF,
    Plan,
    decisions_table,
    home_break_even_parts,
    lot_break_even_parts,
    titles_of,
)
from optimiser.verify import Item, itemised

Floats = NDArray[np.float64]
Row = dict[str, Any]

TERM_WORDS = {
    "capital": "capital outlay, net of grant",
    "residual": "value left at the horizon",
    "running": "running open homes",
    "managers": "managers in post",
    "variable": "cost of each child in homes",
    "waiting": "waiting for registration",
    "lifecycle": "maintenance and replacement",
    "block": "block beds",
    "call_off": "call-off beds",
    "procurement": "procurement and set-up",
    "existing": "existing homes and contracts",
    "spot": "spot purchase",
    "unregistered": "no registered place",
    "closures": "closures",
    "planned_moves": "planned moves",
    "income": "income",
}
#: How many futures exceed a percentile, in words.
EXCEEDED = {10: "nine in ten exceed", 25: "three in four exceed", 50: "one in two exceeds", 75: "one in four exceeds"}
EXCEEDED |= {90: "one in ten exceeds"}
BASIS_WORDS = {"anyway": "", "use": ", as used", "child": ", by child"}
#: Smaller than a solver can tell from nothing, £ or children.
NOTHING = 1e-7
DISCOUNTED = ("settings.inflation_per_year", "settings.discount_rate")


@dataclass(frozen=True)
class Term:
    """One part of a figure: an amount in its unit, in words, with the inputs it comes from as patterns of the register.

    ``role`` is add, or over and under where the figure is a ratio. ``item`` is what it is for, the same in every year, where
    the words say more than that. ``unit`` is that of the parts of a ratio, £ unless they say otherwise.
    """

    words: str
    amount: float
    inputs: tuple[str, ...] = ()
    role: str = "add"
    item: str = ""
    unit: str = "£"


@dataclass(frozen=True)
class Made:
    """How a figure is made, in words, and of which terms; not ``whole`` where it is no sum of terms, as the words say."""

    how: str
    terms: list[Term]
    whole: bool = True

    @property
    def combined(self) -> float:
        """What the terms come to."""
        total = {
            role: math.fsum(term.amount for term in self.terms if term.role == role)
            for role in ("add", "over", "under")
        }
        if any(term.role == "under" for term in self.terms):
            return total["over"] / total["under"]
        return total["add"]


class Terms:
    """A plan beside doing nothing, or beside another plan that ``beside`` names, taken apart figure by figure."""

    def __init__(self, plan: Plan, nothing: Plan | None, document: Row, beside: str = "of doing nothing") -> None:
        self.plan, self.nothing, self.document, self.beside = plan, nothing, document, beside
        self.problem = plan.problem
        self.sources = Sources(plan.instance)
        self.titles = titles_of(plan.instance) | {row.cohort: row.title for row in plan.instance.cohorts}
        self._ledgers: dict[tuple[str, bytes], tuple[list[Item], Floats]] = {}

    def of(self, figure: Figure) -> Made:
        """What makes up a figure."""
        return self._tables[figure.table](figure)

    @cached_property
    def _tables(self) -> dict[str, Callable[[Figure], Made]]:
        return {
            "summary": self._summary,
            "decisions": self._decision,
            "quarters": self._quarter,
            "years": self._year,
            "mtfp": self._mtfp,
            "capital": self._capital,
            "financing": self._financing,
            "voids": self._voids,
            "break_even": self._break_even,
            "limits": self._limit,
            "beyond_horizon": self._beyond,
            "costs": self._cost,
        }

    # pounds from the ledger

    def _ledger(self, plan: Plan, weights: Floats | None = None) -> tuple[list[Item], Floats]:
        key = ("plan" if plan is self.plan else "nothing", b"" if weights is None else weights.tobytes())
        if key not in self._ledgers:
            self._ledgers[key] = itemised(plan.problem, plan.decisions, plan.solution.placements, weights)
        return self._ledgers[key]

    def _pounds(
        self,
        plan: Plan,
        terms: tuple[str, ...],
        worth: Floats,
        *,
        authority: int | None = None,
        times: float = 1.0,
        weights: Floats | None = None,
        further: tuple[str, ...] = (),
        where: str = "",
    ) -> list[Term]:
        """Entries of the itemised ledger for some cost terms, weighted by ``worth`` [period]."""
        items, amounts = self._ledger(plan, weights)
        own = amounts.sum(axis=1) if authority is None else amounts[:, authority]
        found = []
        for item, amount in zip(items, times * (own @ worth), strict=True):
            if item.term in terms and abs(amount) > NOTHING:
                words = named = self._words(item) + where
                if authority is None and weights is None and not further:
                    words += self._at_a_price(plan, item, abs(times) * worth, float(amount))
                found.append(Term(words, float(amount), (*inputs_of(item), *further), item=named))
        return found

    def _at_a_price(self, plan: Plan, item: Item, inside: Floats, amount: float) -> str:
        """Child-weeks bought and their mean price, for what is paid by the child-week."""
        placed = self._mean_placed if plan is self.plan else self._mean_placed_of_nothing
        problem = self.problem
        if item.term == "spot":
            children = placed[:, problem.sources.index(item.name)].sum(axis=0)
        elif item.term == "unregistered":
            children = placed[problem.cohorts.index(item.name), problem.unregistered]
        else:
            return ""
        weeks = float(children * problem.weeks @ inside)
        return f", {weeks:,.1f} child-weeks at {whole_pounds(abs(amount) / weeks)}" if weeks > NOTHING else ""

    def _words(self, item: Item) -> str:
        title = self.titles.get(item.name, item.name)
        return f"{TERM_WORDS[item.term]}{BASIS_WORDS[item.basis]}: {title}"

    def _inside(self, year: str) -> Floats:
        inside: Floats = (self.problem.period_year == self.problem.financial_years.index(year)).astype(float)
        return inside

    def _money(self, column: str, inside: Floats) -> tuple[Floats, tuple[str, ...], str]:
        """Weights by period for nominal, real or present pounds, further inputs, and words."""
        if column == "real_gbp":
            return inside * self.problem.deflator, DISCOUNTED[:1], "in pounds of the price base"
        if column == "present_gbp":
            return inside * self.problem.present_value, DISCOUNTED, "at present value, real"
        return inside, (), "nominal"

    def _year(self, figure: Figure) -> Made:
        return self.of_year(
            figure.row[0], figure.column, COST_GROUPS.get(figure.column.removesuffix("_gbp"), COST_TERMS)
        )

    def of_year(self, year: str, column: str, terms: tuple[str, ...] = COST_TERMS, *, less: bool = False) -> Made:
        """Expected cost of a year under some cost terms; ``less``: what the other plan costs less what this one does."""
        worth, further, words = self._money(column, self._inside(year))
        if not less:
            found = self._pounds(self.plan, terms, worth, further=further)
            return Made(f"expected cost of the year, {words}: the sum of", found)
        return Made(
            f"cost of the year {self.beside} less that of the plan, {words}: the sum of", self._less(terms, worth)
        )

    def _less(self, terms: tuple[str, ...], worth: Floats, further: tuple[str, ...] = ()) -> list[Term]:
        """Entries of the other plan, and those of this one with the other sign."""
        assert self.nothing is not None
        base = self._pounds(self.nothing, terms, worth, further=further, where=f" ({self.beside.removeprefix('of ')})")
        return [*base, *self._pounds(self.plan, terms, worth, times=-1.0, further=further, where=" (the plan)")]

    def _cost(self, figure: Figure) -> Made:
        year, authority, term = figure.row
        worth, further, words = self._money(figure.column, self._inside(year))
        place = self.problem.authorities.index(authority)
        own = self._pounds(self.plan, (term,), worth, authority=place, further=further)
        return Made(f"expected cost of the year that falls to {authority}, {words}: the sum of", own)

    def _summary(self, figure: Figure) -> Made:
        present, plan = self.problem.present_value, self.plan
        every = tuple(COST_TERMS)

        def priced(terms: tuple[str, ...] = every, times: float = 1.0, weights: Floats | None = None) -> list[Term]:
            return self._pounds(plan, terms, present, times=times, weights=weights, further=DISCOUNTED)

        column = figure.column
        if column == "expected_child_weeks":
            return Made("expected child-weeks without a registered place: the sum of", self._child_weeks(None))
        if column == "p90_child_weeks":
            future = self._future_at(plan.unregistered_child_weeks, 0.9)
            return Made(
                f"child-weeks in the future that one in ten exceeds ({future[1]})", self._child_weeks(future[0])
            )
        if column == "saving_gbp":
            saved = self._less(every, present, DISCOUNTED)
            return Made(f"cost {self.beside} less cost of the plan, present real £: the sum of", saved)
        if re.fullmatch(r"p\d+_gbp", column):
            level = int(column[1:-4])
            number, name = self._future_at(plan.scenario_pounds, level / 100)
            which = EXCEEDED.get(level, f"{100 - level} in a hundred exceed")
            return Made(f"cost in the future that {which} ({name}): the sum of", priced(weights=self._only(number)))
        if column == "cvar_gbp":
            return Made("mean cost of the worst futures: the sum of", priced(weights=self._tail(plan.scenario_pounds)))
        if column == "residual_gbp":
            return Made("value left in homes at the horizon, present real £: the sum of", priced(("residual",), -1.0))
        if column == "expected_cost_without_residual_gbp":
            terms = tuple(term for term in every if term != "residual")
            return Made("expected cost without residual value, present real £: the sum of", priced(terms))
        if column == "expected_cost_gbp":
            return Made("expected cost, present real £: the sum of", priced())
        deterrent = Term(
            "deterrent on having no registered place, a value judgement",
            float(self.document["deterrent_gbp"]) if self.problem.risk_weight else self._deterrent(),
            ("settings.deterrent_gbp_per_week", *CHILDREN),
        )
        if column == "deterrent_gbp":
            return Made("what is charged on top in what is minimised, and is no pound of any budget", [deterrent])
        if column == "objective_gbp":
            weight = self.problem.risk_weight
            mixed = (1 - weight) * plan.probability + weight * self._tail(plan.scenario_pounds)
            return Made("what is minimised, present real £: the sum of", [*priced(weights=mixed), deterrent])
        return Made(
            "proven by the search: no plan within the limits has an objective below it; not recomputed here",
            [Term("bound of the search", float(self.document["bound_gbp"]))],
        )

    def _deterrent(self) -> float:
        return float(self.plan.probability @ self.plan.verified.ledger.deterrent @ self.problem.present_value)

    def _child_weeks(self, future: int | None) -> list[Term]:
        placed = self._mean_placed if future is None else self.plan.placed[future]
        weeks = placed[:, self.problem.unregistered] @ self.problem.weeks
        return [
            Term(self.titles[name], float(amount), CHILDREN)
            for name, amount in zip(self.problem.cohorts, weeks, strict=True)
            if abs(amount) > NOTHING
        ]

    # futures

    @cached_property
    def _mean_placed(self) -> Floats:
        mean: Floats = np.einsum("s,scrt->crt", self.plan.probability, self.plan.placed)
        return mean

    @cached_property
    def _mean_placed_of_nothing(self) -> Floats:
        assert self.nothing is not None
        mean: Floats = np.einsum("s,scrt->crt", self.nothing.probability, self.nothing.placed)
        return mean

    def _future_at(self, amounts: Floats, level: float) -> tuple[int, str]:
        """Position and name of the future that has the quantile."""
        value = self.plan.quantile(amounts, level)
        number = int(np.flatnonzero(amounts == value)[0])
        return number, self.problem.scenarios[number].name

    def _only(self, number: int) -> Floats:
        weights = np.zeros(len(self.problem.scenarios))
        weights[number] = 1.0
        return weights

    def _tail(self, amounts: Floats) -> Floats:
        """Weight of each future in the mean of the worst, [scenario]."""
        weights = np.zeros(len(amounts))
        left = tail = 1 - self.problem.cvar_level
        for place in np.argsort(-amounts, kind="stable"):
            weights[place] = min(left, float(self.plan.probability[place]))
            left -= weights[place]
            if left <= 1e-15:
                break
        return weights / tail

    # children

    def _quarter(self, figure: Figure) -> Made:
        plan, (quarter,) = self.plan, figure.row
        names, _ = plan.by_quarter(np.zeros(len(self.problem.periods)))
        place = names.index(quarter)
        if figure.column == "moves_at_least":
            mean = np.einsum("s,sct->ct", plan.probability, plan.moves_by_cohort) / self.problem.period_months
            amounts = 3 * plan.by_quarter(mean)[1][:, place]
            found = [
                Term(self.titles[name], float(amount), CHILDREN)
                for name, amount in zip(self.problem.cohorts, amounts, strict=True)
                if abs(amount) > NOTHING
            ]
            return Made("placements that end while the child stays in care, at least: the sum of", found)
        if figure.column == "out_of_area_expected":
            assert plan.in_area_share is not None
            outside = 1 - plan.in_area_share
            outside[-1] = 0.0
            return Made(
                "children placed outside the area: the sum of",
                self._living(self._mean_placed * outside[None, :, None], place, None, ("bands.*",)),
            )
        if figure.column.endswith("_usable_beds"):
            return Made(
                "beds held in advance that can be filled, the mean of all futures: the sum of",
                self._usable(figure.column.removesuffix("_usable_beds"), place),
            )
        named, _, which = figure.column.rpartition("_")
        kind = None if named == "all" else named
        if which == "expected":
            return Made(
                "children living there, the mean of all futures: the sum of",
                self._living(self._mean_placed, place, kind),
            )
        children = plan.children_by_kind
        by_future = plan.by_quarter(children[kind] if kind else np.sum(list(children.values()), axis=0))[1][:, place]
        number, name = self._future_at(by_future, {"p10": 0.1, "p90": 0.9}[which])
        share = EXCEEDED[int(which[1:])]
        return Made(
            f"children living there in the future that {share} ({name}): the sum of",
            self._living(plan.placed[number], place, kind),
        )

    def _living(self, placed: Floats, quarter: int, kind: str | None, further: tuple[str, ...] = ()) -> list[Term]:
        """Children by cohort and source in a quarter, of one kind of source or all."""
        problem = self.problem
        amounts = self.plan.by_quarter(placed)[1][:, :, quarter]
        return [
            Term(
                f"{self.titles[cohort]}: {self.titles.get(source, source)}",
                float(amounts[row, place]),
                (f"cohorts.{cohort}.*", f"arrivals.{cohort}.*", f"census.{cohort}.*", "steps.*")
                + ((f"placements.{cohort}.{source}.*",) if place != problem.unregistered else ())
                + further,
            )
            for row, cohort in enumerate(problem.cohorts)
            for place, source in enumerate(problem.sources)
            if (kind is None or KIND_OF[problem.source_kind(place)] == kind) and abs(amounts[row, place]) > NOTHING
        ]

    def _usable(self, kind: str, quarter: int) -> list[Term]:
        """Usable beds by source in a quarter, of one kind of source."""
        plan, problem = self.plan, self.problem
        mean = np.einsum("s,srt->rt", plan.probability, plan.verified.usable_beds)
        amounts = plan.by_quarter(mean)[1][:, quarter]
        return [
            Term(
                self.titles.get(source, source),
                float(amounts[place]),
                tuple(pattern.format(source) for pattern in USABLE[problem.source_kind(place)]),
            )
            for place, source in enumerate(problem.sources)
            if plan.held_kinds[place] == kind and abs(amounts[place]) > NOTHING
        ]

    def _voids(self, figure: Figure) -> Made:
        inside = self._inside(figure.row[0])
        kind, unit = figure.column.split("_", 1) if figure.column.startswith("block") else ("home", figure.column[9:])
        problem = self.problem
        names = problem.lots if kind == "block" else problem.homes
        place = 1 if unit == "gbp" else 0
        price = ("fixed_gbp_per_year", "beds", "matching_occupancy") if kind == "home" else ("*",)
        found = []
        for name in names:
            amount = float(self.plan.voids[name][place] @ inside)
            if abs(amount) > NOTHING:
                table = "homes" if kind == "home" else "lots"
                inputs = tuple(f"{table}.{name}.{column}" for column in price)
                tiers = (f"tiers.{name}.*",) if kind == "block" else ()
                found.append(Term(f"beds paid for and not filled: {self.titles[name]}", amount, (*inputs, *tiers)))
        return Made("expected, nominal where in £: the sum of", found)

    # the budget

    def _mtfp(self, figure: Figure) -> Made:
        assert self.nothing is not None
        year, column = figure.row[0], figure.column
        label = self.problem.financial_years.index(year)
        real, present = worth_by_year(self.problem)
        further: tuple[str, ...] = ()
        worth, words = 1.0, "nominal"
        if column == "real_gbp":
            worth, further, words, column = real[label], DISCOUNTED[:1], "in pounds of the price base", "nominal_gbp"
        elif column.startswith("present"):
            worth, further, words = present[label], DISCOUNTED, "at present value, real"
            column = "nominal_gbp" if column == "present_gbp" else "without_residual_gbp"
        _, amounts = amounts_by_year(self.plan, self.nothing)[label]
        found: list[Term] = []
        for part, times in made_of(amounts)[column].items():
            found += self._part(part, year, float(worth) * times, further)
        return Made(f"line of the Medium-Term Financial Plan, {words}: the sum of", found)

    def _part(self, part: str, year: str, times: float, further: tuple[str, ...]) -> list[Term]:
        """One part of a line: a stream of the plan or of doing nothing, the base budget, or the saving in it."""
        assert self.nothing is not None
        which, _, stream = part.partition(".")
        if part == "in_budget":
            counted = {row.year: row.saving_gbp for row in self.plan.instance.budget}.get(year, 0.0)
            words, key = "saving that the agreed budget counts on", f"budget.{year}.saving_gbp"
            return [Term(words, times * counted, (key, *further))] if counted else []
        if part == "base":
            given = {row.year: row.base_gbp for row in self.plan.instance.budget}.get(year)
            if given is not None:
                return [Term("base budget", times * given, (f"budget.{year}.base_gbp", *further))]
            first = self.problem.financial_years[0]
            months = months_by_year(self.problem)
            times *= float(months[self.problem.financial_years.index(year)] / months[0])
            inside, where = self._inside(first), f" (base: doing nothing in {first})"
            return self._pounds(self.nothing, STREAMS["recurring"], inside, times=times, further=further, where=where)
        plan, where = (self.plan, " (the plan)") if which == "plan" else (self.nothing, " (doing nothing)")
        return self._pounds(plan, STREAMS[stream], self._inside(year), times=times, further=further, where=where)

    def _financing(self, figure: Figure) -> Made:
        problem = self.problem
        year = problem.financial_years.index(figure.row[0])
        parts = {"charge_gbp": ("interest_gbp", "provision_gbp")}.get(figure.column, (figure.column,))
        if figure.column == "spent_gbp":
            parts = ("borrowed_gbp", "grant_gbp")
        rates = ("settings.borrowing_rate", "settings.asset_life_years")
        totals: dict[tuple[str, str, str], float] = {}
        for loan in loans(self.plan):
            own = loan["charges"]
            of_year = {
                "borrowed_gbp": loan["amount"] if loan["year"] == year else 0.0,
                "grant_gbp": loan["grant"] if loan["year"] == year else 0.0,
                "interest_gbp": own.interest[year],
                "provision_gbp": own.provision[year],
                "debt_gbp": own.debt[year],
            }
            for part in parts:
                key = (part, loan["home"], loan["month"])
                totals[key] = totals.get(key, 0.0) + loan["weight"] * float(of_year[part])
        words = {
            "borrowed_gbp": "borrowed",
            "grant_gbp": "paid by grant",
            "interest_gbp": "interest",
            "provision_gbp": "minimum revenue provision",
            "debt_gbp": "owed as the year ends",
        }
        found = []
        for (part, home, month), amount in totals.items():
            if abs(amount) > NOTHING:
                inputs = tuple(pattern.format(home) for pattern in CAPITAL)
                if part not in ("borrowed_gbp", "grant_gbp"):
                    inputs = (*inputs, *rates, *(pattern.format(home) for pattern in OPENING))
                found.append(Term(f"{words[part]}: {self.titles[home]} begun {month}", amount, inputs))
        return Made(
            "the same capital as a revenue budget sees it, expected, nominal, no further cost: the sum of", found
        )

    # capital, limits and decisions

    def _capital(self, figure: Figure) -> Made:
        problem, column = self.problem, figure.column
        envelope = next(each for each in problem.envelopes if each.name == figure.row[0])
        label = figure.row[-1]
        if column.endswith("_limit_gbp"):
            which = "total" if column == "total_limit_gbp" else label
            key = f"capital.{envelope.name}.{which}.limit_gbp"
            amount = (
                envelope.total if which == "total" else (envelope.by_year or ())[problem.financial_years.index(label)]
            )
            return Made("as given", [Term("limit of the envelope", float(amount or 0.0), (key,))])
        path_words = figure.row[1]
        leaves = [leaf for leaf in problem.leaves if (problem.nodes[leaf].branch or "all futures") == path_words]
        place = [row["path"] for row in self.document["capital"][: figure.place]].count(path_words)
        years = len(problem.financial_years)
        leaf = leaves[(place // years) % len(leaves)]
        until = problem.financial_years.index(label)
        found = []
        for position, begin in enumerate(problem.begins):
            number = int(self.plan.decisions.homes_begun[position])
            year = int(problem.period_year[begin.period])
            counts = year == until if column == "begun_gbp" else year <= until
            if number and counts and begin.node in problem.path_to(leaf) and begin.home in envelope.homes:
                name = problem.homes[begin.home]
                price = float(problem.planning_capital[begin.home, begin.period])
                inputs = tuple(
                    pattern.format(name) for pattern in CAPITAL if not pattern.endswith("capital_bid_factor")
                )
                words = f"{number} × {self.titles[name]} begun {problem.periods[begin.period]} at {whole_pounds(price)}"
                found.append(Term(words, number * price, inputs))
        return Made("capital begun at planning prices, net of grant: the sum of", found)

    def _break_even(self, figure: Figure) -> Made:
        problem, (name,) = self.problem, figure.row
        prices = ("layers.*.gbp_per_week", "spots.*.growth_per_year")
        if name in problem.homes:
            cost, earned = home_break_even_parts(self.plan, problem.homes.index(name))
            over = [
                Term(
                    f"{TERM_WORDS[term]}: one home",
                    amount,
                    (*inputs_of(Item(term, "home", name, "anyway")), *DISCOUNTED),
                    "over",
                )
                for term, amount in cost.items()
                if amount
            ]
            further: tuple[str, ...] = (f"homes.{name}.beds", f"homes.{name}.variable_gbp_per_week", *DISCOUNTED)
        else:
            price, earned = lot_break_even_parts(self.plan, problem.lots.index(name))
            inputs = (*inputs_of(Item("block", "lot", name, "anyway")), *DISCOUNTED)
            over, further = [Term("one committed bed over its term", price, inputs, "over")], DISCOUNTED
        under = Term("the same bed-weeks at the cheapest spot price", earned, (*prices, *further), "under")
        return Made("what it costs, over what spot purchase of all its bed-weeks would, present real £", [*over, under])

    def _limit(self, figure: Figure) -> Made:
        row, column = self.document["limits"][figure.place], figure.column
        words = f"{row['words']}: {column.replace('_', ' ')}"
        solved = "found by solving again with one step more; both figures are recomputed pounds of the search that found them"
        ours = [Term("objective of the plan", self.plan.verified.objective)]
        if column in ("worth_least_gbp", "worth_most_gbp"):
            other = row["objective_with_step_gbp" if column == "worth_least_gbp" else "bound_with_step_gbp"]
            label = "less objective" if column == "worth_least_gbp" else "less bound"
            return Made(solved, _unless_below([*ours, Term(f"{label} with {row['step_words']}", -float(other))]))
        if column == "saving_gbp":
            if row["objective_with_step_gbp"] >= self.plan.verified.objective:
                return Made(solved, [])
            cost = Term("expected cost of the plan", self.plan.verified.expected_cost)
            return Made(solved, [cost, Term(f"less that with {row['step_words']}", -float(row["cost_with_step_gbp"]))])
        if column == "resolution_gbp":
            bound = Term("less the bound of the search", -float(self.document["bound_gbp"]))
            return Made("what the search left open", _unless_below([*ours, bound]))
        if column in ("used", "limit", "step"):
            weeks = self.plan.verified.unregistered_child_weeks
            limits = limits_of(self.problem, self.plan.decisions, weeks, self.titles)
            found = [each for each in limits if each.name == row["name"]]
            same = next(each for each in found if (each.words, each.step_words) == (row["words"], row["step_words"]))
            inputs = (f"capital.{row['name']}.*", f"*.{row['name']}.*", "settings.registrations_limit")
            return Made("counted from the decisions", [Term(words, float(getattr(same, column)), inputs)])
        return Made(solved, [Term(words, figure.value)])

    def _decision(self, figure: Figure) -> Made:
        row = decisions_table(self.problem, self.plan.decisions, self.plan)[figure.place]
        if figure.date:
            return self._opening(figure, row)
        words = f"{row['action']} {self.titles.get(row['item'], row['item'])}, {row['month']}"
        inputs = (f"homes.{row['item']}.beds",) if figure.column == "beds" and row["action"] == "begin" else ()
        return Made("decided by the search", [Term(words, float(row[figure.column]), inputs)])

    def _opening(self, figure: Figure, row: Row) -> Made:
        """The month by which the first child is in: the month of the decision, and the months until then in one future."""
        decided, there = dated(row["month"]) or 0.0, dated(row[figure.column]) or 0.0
        share = "half" if figure.column.endswith("p50") else "nine in ten"
        patterns = OPENING if row["action"] == "begin" else LOT_TIME
        inputs = tuple(pattern.format(row["item"]) for pattern in patterns)
        return Made(
            f"the month by which {share} of the futures have the first child in",
            [
                Term(f"{row['action']} {self.titles.get(row['item'], row['item'])}: month of the decision", decided),
                Term(
                    f"months until the first child, in the future that {share} do not exceed", there - decided, inputs
                ),
            ],
        )

    def _beyond(self, figure: Figure) -> Made:
        row = self.document["beyond_horizon"][figure.place]
        lot = row["item"]
        if figure.column == "beds":
            return Made("decided by the search", [Term(self.titles[lot], float(row["beds"]))])
        problem = self.problem
        term = next(each.term_months for each in self.plan.instance.lots if each.lot == lot)
        matching = [
            award
            for place, award in enumerate(problem.awards)
            if self.plan.decisions.lot_awarded[place] and problem.lots[award.lot] == lot
        ]
        earlier = sum(other["item"] == lot for other in self.document["beyond_horizon"][: figure.place])
        still = [award for award in matching if self._delivers_last(award)]
        award = still[earlier]
        served = float(
            np.mean(
                [
                    (each.lot_delivered[award.lot, award.period] * problem.period_months).sum()
                    for each in problem.scenarios
                    if award.node in each.path
                ]
            )
        )
        inputs = (f"lots.{lot}.term_months", f"lots.{lot}.lead_months", f"lots.{lot}.mobilisation_delay_months")
        terms = [Term("months of the term", float(term), inputs), Term("less months served, expected", -served, inputs)]
        left = max(term - served, 0.0)
        terms = _unless_below(terms)
        return Made(
            "months of the term left at the horizon: the sum of", [*terms, Term("rounding", round(left, 1) - left)]
        )

    def _delivers_last(self, award: Any) -> bool:
        there = [
            each.lot_delivered[award.lot, award.period] for each in self.problem.scenarios if award.node in each.path
        ]
        return bool(there) and float(np.mean([delivered[-1] for delivered in there])) > 0


def _unless_below(terms: list[Term]) -> list[Term]:
    """The terms, or none where they come to less than nothing: such figures are cut off at nought."""
    return terms if math.fsum(term.amount for term in terms) > 0 else []
