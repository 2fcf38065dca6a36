"""Solution → Plan: what is decided, where children live, what it costs, as tidy tables and one document.

Tables are lists of rows with the same keys, ready for CSV, JSON and the terminal. Children and beds are averages over a
period; pounds are as the row says: nominal, real (price base) or present (real and discounted).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.decisions import Decisions
from models.problem import COST_TERMS, Bools, Problem, across
from optimiser.finance import month_name, month_number
from optimiser.instance.schema import Instance
from optimiser.solve.compile import FirstStage, compile_first_stage, vector_from
from optimiser.solve.engine import Found
from optimiser.solve.kept import Kept
from optimiser.verify import Verified

Floats = NDArray[np.float64]
Row = dict[str, Any]

#: Kinds of source in the order in which they are shown.
KINDS = ("in_house", "block", "existing", "spot", "unregistered")
#: Kinds whose beds are held, and not bought one at a time.
HELD = ("in_house", "block", "existing")
KIND_OF = {"home": "in_house", "lot": "block", "supply": "existing", "spot": "spot", "unregistered": "unregistered"}

#: Cost terms that are shown together in a table by financial year.
COST_GROUPS = {
    "in_house": ("running", "managers", "variable", "waiting", "lifecycle"),
    "capital_less_residual": ("capital", "residual"),
    "block": ("block", "call_off", "procurement"),
    "existing": ("existing",),
    "spot": ("spot",),
    "unregistered": ("unregistered",),
    "moves_and_closures": ("closures", "planned_moves"),
    "income": ("income",),
}


@dataclass(frozen=True, eq=False)
class Plan:
    """A verified plan of an instance on its futures.

    ``kept`` is what its search learned, where that was asked for; ``beside`` the options placed on the same futures, by name;
    ``first`` the first stage of the problem, where it is compiled already.
    """

    instance: Instance
    problem: Problem
    solution: Found
    verified: Verified
    kept: Kept | None = None
    beside: Mapping[str, Plan] = field(default_factory=dict)
    first: FirstStage | None = None

    @property
    def decisions(self) -> Decisions:
        """What is decided."""
        return self.solution.decisions

    @cached_property
    def probability(self) -> Floats:
        """Probability of each future, [scenario]."""
        return np.array([scenario.probability for scenario in self.problem.scenarios])

    @cached_property
    def decided(self) -> dict[str, float]:
        """Every decision that is not zero by the name of its variable and its index: what a later command reads back."""
        first = self.first or compile_first_stage(self.problem)
        return first.named(vector_from(first, self.problem, self.decisions))

    # children

    @cached_property
    def placed(self) -> Floats:
        """Children living there, [scenario, cohort, source, period]."""
        return np.array([placements.placed for placements in self.solution.placements])

    @cached_property
    def quarters(self) -> list[str]:
        """Quarter of each period, by its first month: ``2025-04`` for April to June 2025, [period]."""
        first = month_number(self.problem.periods[0])
        quarter = [(first + int(start)) // 3 * 3 for start in self.problem.period_start]
        return [month_name(month) for month in quarter]

    def by_quarter(self, amounts: Floats) -> tuple[list[str], Floats]:
        """Weeks-weighted mean of something [..., period] over the periods of each quarter."""
        names, weights = self._quarter_weights
        return names, amounts @ weights

    @cached_property
    def _quarter_weights(self) -> tuple[list[str], Floats]:
        """Names of the quarters, and what part each period has in each, [period, quarter]."""
        names = list(dict.fromkeys(self.quarters))
        weights = np.array(
            [[w if q == n else 0.0 for w, q in zip(self.problem.weeks, self.quarters, strict=True)] for n in names]
        )
        return names, (weights / weights.sum(axis=1, keepdims=True)).T

    @cached_property
    def children_by_kind(self) -> dict[str, Floats]:
        """Children by kind of source, each [scenario, period]."""
        by_source = self.placed.sum(axis=1)
        kinds = [KIND_OF[self.problem.source_kind(source)] for source in range(len(self.problem.sources))]
        return {kind: by_source[:, [k == kind for k in kinds]].sum(axis=1) for kind in KINDS}

    @cached_property
    def held_kinds(self) -> list[str]:
        """Kind of each source by which its beds are counted, [source].

        Beds of a council building that a provider runs are those of the provider's contract, and counted there.
        """
        kinds = [KIND_OF[self.problem.source_kind(source)] for source in range(len(self.problem.sources))]
        for home, council_run in enumerate(self.problem.home_council_run):
            kinds[home] = "in_house" if council_run else "building"
        return kinds

    @cached_property
    def usable_beds_by_kind(self) -> dict[str, Floats]:
        """Beds held in advance, as many as matching lets be filled, by kind of source, each [scenario, period]."""
        beds = self.verified.usable_beds
        return {kind: beds[:, [k == kind for k in self.held_kinds]].sum(axis=1) for kind in HELD}

    @cached_property
    def unregistered_child_weeks(self) -> Floats:
        """Child-weeks without a registered place, [scenario]."""
        weeks: Floats = self.children_by_kind["unregistered"] @ self.problem.weeks
        return weeks

    @cached_property
    def moves(self) -> Floats:
        """Placements that end while the child stays in care, at least, [scenario, period]."""
        moves: Floats = self.moves_by_cohort.sum(axis=1)
        return moves

    @cached_property
    def moves_by_cohort(self) -> Floats:
        """Placements that end while the child stays in care, at least, [scenario, cohort, period].

        What lasted before and stayed in care, less what is there now: admissions to the same source in the same period
        hide a move, so this is a lower bound.
        """
        scenarios = self.problem.scenarios
        before = np.empty_like(self.placed)
        before[..., 0], before[..., 1:] = self.problem.placed_at_start, self.placed[..., :-1]
        staying = across(scenarios, "stay") * before
        for step, (origin, destination) in enumerate(self.problem.steps):
            staying[:, destination] += across(scenarios, "step", (step,)) * before[:, origin]
        moves: Floats = np.maximum(staying - self.placed, 0.0)[:, :, :-1].sum(axis=2)
        return moves

    @cached_property
    def in_area_share(self) -> Floats | None:
        """Part of each source's places in the area, [source]; None where the instance has no band ``in-area``."""
        bands = {row.source: row.share for row in self.instance.bands if row.band == "in-area"}
        if not bands:
            return None
        return np.array([bands.get(name, 0.0) for name in self.problem.sources])

    def children_table(self) -> list[Row]:
        """By quarter: children by kind of source and in all (expected, P10, P90), usable beds, moves, out of area.

        Usable beds are the most that matching lets be filled, expected: own homes open, block beds delivered, beds in place.
        """
        rows: list[Row] = []
        names, _ = self.by_quarter(np.zeros(len(self.problem.periods)))
        table = {kind: self.by_quarter(children)[1] for kind, children in self.children_by_kind.items()}
        table["all"] = sum(table.values(), np.zeros((len(self.probability), len(names))))
        usable = {kind: self.by_quarter(beds)[1] for kind, beds in self.usable_beds_by_kind.items()}
        months = self.by_quarter(self.moves / self.problem.period_months)[1] * 3
        out_of_area = None
        if self.in_area_share is not None:
            share = self.in_area_share
            out_of_area = self.by_quarter(np.einsum("scrt,r->st", self.placed[:, :, :-1], 1 - share[:-1]))[1]
        for place, name in enumerate(names):
            row: Row = {"quarter": name}
            for kind, children in table.items():
                column = children[:, place]
                row[f"{kind}_expected"] = self.mean(column)
                row[f"{kind}_p10"], row[f"{kind}_p90"] = self.quantile(column, 0.1), self.quantile(column, 0.9)
            row |= {f"{kind}_usable_beds": self.mean(beds[:, place]) for kind, beds in usable.items()}
            row["moves_at_least"] = self.mean(months[:, place])
            if out_of_area is not None:
                row["out_of_area_expected"] = self.mean(out_of_area[:, place])
            rows.append(row)
        return rows

    # money

    def mean(self, amounts: Floats) -> float:
        """Expected value of something by future."""
        return float(self.probability @ amounts)

    def quantile(self, amounts: Floats, level: float) -> float:
        """Smallest value that is not exceeded with the probability given."""
        order = np.argsort(amounts, kind="stable")
        reached = np.cumsum(self.probability[order]) >= level - 1e-12
        return float(amounts[order][np.argmax(reached)])

    @cached_property
    def nominal(self) -> Floats:
        """Expected cost, nominal £, [term, authority, period]."""
        expected: Floats = np.einsum("s,skat->kat", self.probability, self.verified.ledger.nominal)
        return expected

    @cached_property
    def scenario_pounds(self) -> Floats:
        """Cost of each future without the deterrent, present real £, [scenario]."""
        return self.verified.scenario_pounds

    def money_by_year(self, authority: int | None = None) -> list[Row]:
        """By financial year: expected cost by group of terms, nominal, with totals nominal, real and present."""
        problem = self.problem
        amounts = self.nominal.sum(axis=1) if authority is None else self.nominal[:, authority]
        rows = []
        for year, label in enumerate(problem.financial_years):
            inside = problem.period_year == year
            row: Row = {"year": label}
            for group, terms in COST_GROUPS.items():
                row[f"{group}_gbp"] = float(sum(amounts[COST_TERMS.index(term)][inside].sum() for term in terms))
            total = amounts.sum(axis=0)
            row["nominal_gbp"] = float(total[inside].sum())
            row["real_gbp"] = float((total * problem.deflator)[inside].sum())
            row["present_gbp"] = float((total * problem.present_value)[inside].sum())
            rows.append(row)
        return rows

    def terms_table(self) -> list[Row]:
        """Expected cost by financial year, authority and term, nominal, real and present £."""
        problem = self.problem
        return [
            {
                "year": label,
                "authority": name,
                "term": term,
                "nominal_gbp": float(self.nominal[place, authority][inside].sum()),
                "real_gbp": float((self.nominal[place, authority] * problem.deflator)[inside].sum()),
                "present_gbp": float((self.nominal[place, authority] * problem.present_value)[inside].sum()),
            }
            for year, label in enumerate(problem.financial_years)
            for inside in [problem.period_year == year]
            for authority, name in enumerate(problem.authorities)
            for place, term in enumerate(COST_TERMS)
        ]

    def capital_by_year(self) -> list[Row]:
        """Capital begun by financial year and path against the envelopes, planning prices, nominal £."""
        problem = self.problem
        rows = []
        for envelope in problem.envelopes:
            for leaf in problem.leaves:
                path = problem.path_to(leaf)
                used = np.zeros(len(problem.financial_years))
                for place, begin in enumerate(problem.begins):
                    if begin.node in path and begin.home in envelope.homes:
                        amount = problem.planning_capital[begin.home, begin.period] * self.decisions.homes_begun[place]
                        used[problem.period_year[begin.period]] += amount
                for year, label in enumerate(problem.financial_years):
                    rows.append(
                        {
                            "envelope": envelope.name,
                            "path": problem.nodes[leaf].branch or "all futures",
                            "year": label,
                            "begun_gbp": float(used[year]),
                            "cumulative_gbp": float(used[: year + 1].sum()),
                            "year_limit_gbp": None if envelope.by_year is None else float(envelope.by_year[year]),
                            "total_limit_gbp": envelope.total,
                        }
                    )
        return rows

    @cached_property
    def voids(self) -> dict[str, tuple[Floats, Floats]]:
        """Beds paid for and not filled, by home type and lot: bed-weeks and nominal £, expected, both [period].

        An open home's empty bed costs its part of the home's fixed running cost; an empty guaranteed bed of a lot its price.
        """
        problem, children = self.problem, self.placed.sum(axis=1)  # [scenario, source, period]
        found = {}
        opened, running = self._begun_stream("home_open"), self._begun_stream("home_running")
        for home, name in enumerate(problem.homes):
            beds = problem.home_beds[home] * (opened[:, home] - self._homes_closed[:, home])
            void = np.maximum(beds - children[:, home], 0.0) if problem.home_council_run[home] else np.zeros_like(beds)
            share = np.divide(void, beds, out=np.zeros_like(void), where=beds > 0)
            cost = self.probability @ (share * running[:, home])
            found[name] = (self.probability @ void * problem.weeks, cost)
        for lot, name in enumerate(problem.lots):
            paid, price = self.guaranteed(lot)
            void = np.maximum(paid - children[:, problem.lot_source + lot], 0.0)
            found[name] = (self.probability @ void * problem.weeks, self.probability @ (void * price) * problem.weeks)
        return found

    def voids_by_year(self) -> list[Row]:
        """Beds paid for and not filled, by financial year: bed-weeks and what they cost, expected, nominal £."""
        problem = self.problem
        return [
            {
                "year": label,
                **{
                    f"{kind}_{unit}": float(sum(self.voids[name][place][inside].sum() for name in names))
                    for kind, names in (("in_house", problem.homes), ("block", problem.lots))
                    for place, unit in enumerate(("bed_weeks", "gbp"))
                },
            }
            for year, label in enumerate(problem.financial_years)
            for inside in [problem.period_year == year]
        ]

    def concerned(self, node: int) -> Bools:
        """Whether a node of the tree lies on the path of each future, [scenario]."""
        return np.array([node in scenario.path for scenario in self.problem.scenarios], dtype=bool)

    def _begun_stream(self, name: str) -> Floats:
        """An array of the futures summed over the homes that the plan begins, [scenario, home, period]."""
        problem = self.problem
        total = np.zeros((len(problem.scenarios), len(problem.homes), len(problem.periods)))
        for number, begin in zip(self.decisions.homes_begun, problem.begins, strict=True):
            if number:
                stream = across(problem.scenarios, name, (begin.home, begin.period))
                total[:, begin.home] += number * stream * self.concerned(begin.node)[:, None]
        return total

    @cached_property
    def _homes_closed(self) -> Floats:
        """Homes closed so far, [scenario, home, period]."""
        problem = self.problem
        total = np.zeros((len(problem.scenarios), len(problem.homes), len(problem.periods)))
        for number, (home, node, period) in zip(self.decisions.homes_closed, problem.closures, strict=True):
            if number:
                total[:, home, period:] += number * self.concerned(node)[:, None]
        return total

    def guaranteed(self, lot: int) -> tuple[Floats, Floats]:
        """Guaranteed beds of a lot delivered and what an empty one costs a week, both [scenario, period]."""
        problem, scenarios = self.problem, self.problem.scenarios
        paid = np.zeros((len(scenarios), len(problem.periods)))
        price = np.zeros_like(paid)
        for position in problem.awards_of(lot):
            award = problem.awards[position]
            there = self.concerned(award.node)[:, None]
            for tier in range(len(problem.lot_tiers[lot])):
                parts: list[tuple[int, int | None, int]] = [
                    (self.decisions.beds_in_tier[position, tier], None, award.node)
                ]
                extensions = problem.extensions_of(award=position)
                parts += [(self.decisions.beds_extended[e, tier], e, problem.extensions[e].node) for e in extensions]
                for beds, extension, node in parts:
                    if not beds:
                        continue
                    factor: Floats | float = 1.0
                    if extension is None:
                        delivered = across(scenarios, "lot_delivered", (lot, award.period))
                    else:
                        delivered = across(scenarios, "extension_delivered", (extension,))
                        factor = across(scenarios, "extension_price", (extension,))[:, None]
                    here = problem.guaranteed_share[lot] * beds * delivered * (there & self.concerned(node)[:, None])
                    paid += here
                    bid = across(scenarios, "lot_price", (lot, tier, award.period))
                    price = np.where(here > 0, bid * factor, price)
        return paid, price * problem.void_price_share[lot]

    # decisions

    def opening(self, begin: int, level: float) -> str | None:
        """Month by which a home begun there is open in the given share of its futures; None beyond the horizon."""
        at = self.problem.begins[begin]
        return self._month_there("home_open", (at.home, at.period), at.node, level)

    def delivery(self, award: int, level: float) -> str | None:
        """Month by which an award's first bed is there in the given share of its futures; None beyond the horizon."""
        at = self.problem.awards[award]
        return self._month_there("lot_delivered", (at.lot, at.period), at.node, level)

    def _month_there(self, name: str, at: tuple[int, int], node: int, level: float) -> str | None:
        """Month of the first period in which there is something, in the given share of the futures on a node's path."""
        concerned = self.concerned(node)
        there = across(self.problem.scenarios, name, at)[concerned] > 0
        months = np.where(there.any(axis=1), self.problem.period_start[there.argmax(axis=1)], np.inf)
        share = self.probability[concerned]
        order = np.lexsort((share, months))
        reached = np.cumsum(share[order]) >= level * share.sum() - 1e-12
        if not reached.any() or not np.isfinite(months[order][reached.argmax()]):
            return None
        return month_name(month_number(self.problem.periods[0]) + int(months[order][reached.argmax()]))


def expected_terms(plan: Plan) -> list[Row]:
    """Expected cost by financial year and term, all authorities together, nominal, real and present £; noughts left out."""
    together: dict[tuple[str, str], Row] = {}
    for row in plan.terms_table():
        own = together.setdefault((row["year"], row["term"]), {"year": row["year"], "term": row["term"]})
        for name in ("nominal_gbp", "real_gbp", "present_gbp"):
            own[name] = own.get(name, 0.0) + row[name]
    return [row for row in together.values() if row["nominal_gbp"]]


def present_terms(problem: Problem, verified: Verified) -> list[Row]:
    """Expected cost over the horizon by term, present real £; noughts left out."""
    probability = np.array([scenario.probability for scenario in problem.scenarios])
    amounts = np.einsum("s,stap,p->t", probability, verified.ledger.nominal, problem.present_value)
    return [
        {"term": term, "present_gbp": float(amount)} for term, amount in zip(COST_TERMS, amounts, strict=True) if amount
    ]


def decisions_table(problem: Problem, decisions: Decisions, plan: Plan | None = None) -> list[Row]:
    """What is decided, one row a decision, in the order in which it falls due.

    With ``plan`` the rows also say when the first child can move in, in half and in nine tenths of the futures, and who runs a
    home: of one that a provider runs those are the months in which the building is ready, and its contract has children's.
    """
    rows: list[Row] = []

    def row(action: str, item: str, period: int, number: int, node: int, **more: Any) -> None:
        branch = problem.nodes[node].branch
        base = {
            "action": action,
            "item": item,
            "month": problem.periods[period],
            "number": int(number),
            "branch": branch,
        }
        empty = {"beds": None, "tier": None, "call_off": None, "first_child_p50": None, "first_child_p90": None}
        empty |= {"operator": None}
        rows.append({**base, **empty, **more})

    for place, begin in enumerate(problem.begins):
        if decisions.homes_begun[place]:
            beds = int(decisions.homes_begun[place] * problem.home_beds[begin.home])
            more: Row = {"beds": beds}
            if plan is not None:
                more |= {"first_child_p50": plan.opening(place, 0.5), "first_child_p90": plan.opening(place, 0.9)}
                more |= {"operator": plan.instance.homes[begin.home].operator}
            row("begin", problem.homes[begin.home], begin.period, decisions.homes_begun[place], begin.node, **more)
    for place, (home, node, period) in enumerate(problem.closures):
        if decisions.homes_closed[place]:
            row("close", problem.homes[home], period, decisions.homes_closed[place], node)
    for place, award in enumerate(problem.awards):
        if decisions.lot_awarded[place]:
            beds = int(decisions.beds_in_tier[place].sum())
            tier = int(np.argmax(decisions.tier_chosen[place])) + 1
            more = {"beds": beds, "tier": tier, "call_off": int(decisions.optional_beds[place])}
            if plan is not None:
                more |= {"first_child_p50": plan.delivery(place, 0.5), "first_child_p90": plan.delivery(place, 0.9)}
            row("award", problem.lots[award.lot], award.period, 1, award.node, **more)
    for place, extension in enumerate(problem.extensions):
        if decisions.extension_taken[place]:
            if extension.award is not None:
                item = problem.lots[problem.awards[extension.award].lot]
            else:
                assert extension.supply is not None
                item = problem.supplies[extension.supply]
            kept = int(decisions.beds_extended[place].sum()) if extension.award is not None else None
            row("extend", item, extension.notice_period, extension.option, extension.node, beds=kept)
    for node in range(len(problem.nodes)):
        before = 0
        parent = problem.nodes[node].parent
        if parent is not None:
            before = int(decisions.managers[parent, problem.nodes[parent].end_period - 1])
        for period in range(problem.nodes[node].first_period, problem.nodes[node].end_period):
            now = int(decisions.managers[node, period])
            if now > before:
                row("recruit", "registered manager", period, now - before, node)
            before = now
    return sorted(rows, key=lambda found: found["month"])


def timeline_table(plan: Plan) -> list[Row]:
    """When each home is acquired, asks for registration and opens, each lot is awarded and ends, and what is in place expires.

    One row a decision to begin or award, and one for each existing contract that expires; ``kind`` is in_house, building (of the
    council, run by a provider), block or existing. ``registration`` is the month in which a
    home asks for registration in half of the draws of its lead time, purchases that fall through not counted; None where a table
    of futures gives the lead times. ``first_child_p50`` and ``first_child_p90`` are as in ``decisions_table``. ``ends`` is the
    first month without the beds, extensions taken included, where the first child comes in by ``first_child_p50``.
    """
    rows: list[Row] = []
    titles, problem = titles_of(plan.instance), plan.problem

    def row(kind: str, item: str, branch: str, **dates: str | int | None) -> None:
        empty: Row = dict.fromkeys(("month", "registration", "first_child_p50", "first_child_p90", "ends", "beds"))
        rows.append({"kind": kind, "item": item, "title": titles[item], "branch": branch, **empty, **dates})

    for place, begin in enumerate(problem.begins):
        if plan.decisions.homes_begun[place]:
            home, begun, opened = (
                plan.instance.homes[begin.home],
                problem.periods[begin.period],
                plan.opening(place, 0.5),
            )
            lead = np.ceil(float(home.lead_months.quantile(np.array(0.5))) * (1 + home.lead_bias()) - 1e-9)
            asked = None if plan.instance.scenarios else months_after(begun, int(lead))
            row(
                "in_house" if home.operator == "council" else "building",
                home.home,
                problem.nodes[begin.node].branch,
                month=begun,
                registration=asked if opened is None or asked is None else min(asked, opened),
                first_child_p50=opened,
                first_child_p90=plan.opening(place, 0.9),
                beds=int(plan.decisions.homes_begun[place] * problem.home_beds[begin.home]),
            )
    for place, award in enumerate(problem.awards):
        if plan.decisions.lot_awarded[place]:
            lot, delivered = plan.instance.lots[award.lot], plan.delivery(place, 0.5)
            months = lot.term_months + _months_extended(plan, lot.lot, plan.problem.extensions_of(award=place))
            row(
                "block",
                lot.lot,
                problem.nodes[award.node].branch,
                month=problem.periods[award.period],
                first_child_p50=delivered,
                first_child_p90=plan.delivery(place, 0.9),
                ends=None if delivered is None else months_after(delivered, months),
                beds=int(plan.decisions.beds_in_tier[place].sum()),
            )
    for place, supply in enumerate(plan.instance.existing):
        if supply.until is not None:
            months = _months_extended(plan, supply.supply, problem.extensions_of(supply=place))
            ends = months_after(supply.until, months)
            row("existing", supply.supply, "", first_child_p50=supply.start, ends=ends, beds=round(supply.beds))
    return rows


def _months_extended(plan: Plan, contract: str, extensions: Sequence[int]) -> int:
    """Months by which the extensions taken lengthen a contract, on the path that takes most."""
    months = {row.option: row.months for row in plan.instance.extensions if row.contract == contract}
    taken = {plan.problem.extensions[place].option for place in extensions if plan.decisions.extension_taken[place]}
    return sum(months[option] for option in taken)


def months_after(month: str, months: int) -> str:
    """The month that many months later."""
    return month_name(month_number(month) + months)


def break_even(plan: Plan) -> list[Row]:
    """Occupancy at which each home type and lot costs what spot purchase would, whether the plan takes it or not.

    Present cost of one home (capital less residual, waiting, running, lifecycle) over the present spot price of its bed-weeks,
    less what each child costs; for a lot, the present price of a committed bed over the present spot price of the same weeks.
    Begun or awarded at the plan's first date for it, else at the first possible; mean over the futures.
    """
    rows = []
    titles = titles_of(plan.instance)
    problem = plan.problem
    for home, name in enumerate(problem.homes):
        if problem.home_council_run[home]:
            rows.append({"item": name, "title": titles[name], "occupancy": _home_break_even(plan, home)})
    for lot, name in enumerate(problem.lots):
        rows.append({"item": name, "title": titles[name], "occupancy": _lot_break_even(plan, lot)})
    return rows


def in_words(name: str) -> str:
    """A name of an instance that has no title, as one would say it: ``property-a`` is property a."""
    return name.replace("-", " ")


def titles_of(instance: Instance) -> dict[str, str]:
    """What each home, lot, existing contract and spot market is called, and each limit that some of them share, in words."""
    shared = (*(row.property for row in instance.homes), *(row.alternatives for row in instance.lots))
    return {
        **{name: in_words(name) for name in shared if name},
        **{row.group: row.title or in_words(row.group) for row in instance.groups},
        **{row.home: row.title for row in instance.homes},
        **{row.lot: row.title for row in instance.lots},
        **{row.supply: row.title for row in instance.existing},
        **{row.spot: row.title for row in instance.spots},
    }


def _home_break_even(plan: Plan, home: int) -> float | None:
    cost, earned = home_break_even_parts(plan, home)
    return sum(cost.values()) / earned if earned > 0 else None


def home_break_even_parts(plan: Plan, home: int) -> tuple[dict[str, float], float]:
    """What one home costs, by cost term, and what spot purchase of its bed-weeks would; both present £, nothing without."""
    problem = plan.problem
    begun = [place for place, begin in enumerate(problem.begins) if begin.home == home]
    taken = [place for place in begun if plan.decisions.homes_begun[place]]
    cost = dict.fromkeys(("running", "waiting", "lifecycle", "capital", "residual", "procurement"), 0.0)
    if not begun:
        return cost, 0.0
    period = problem.begins[(taken or begun)[0]].period
    worth = problem.present_value
    price = _spot_price(problem, home)
    if price is None:
        return cost, 0.0
    for term in ("running", "waiting", "lifecycle"):
        cost[term] = float(plan.probability @ across(problem.scenarios, f"home_{term}", (home, period)) @ worth)

    def at_once(name: str) -> float:
        return plan.mean(across(problem.scenarios, name, (home, period)))

    cost["capital"] = at_once("capital_outlay") * float(worth[period])
    cost["residual"] = -at_once("residual_value") * float(worth[-1])
    cost["procurement"] = at_once("abortive_cost") * float(worth[period])
    weeks = problem.home_beds[home] * across(problem.scenarios, "home_open", (home, period)) * problem.weeks
    own = across(problem.scenarios, "variable_price", (home,))
    return cost, float(plan.probability @ (weeks * (price - own)) @ worth)


def _lot_break_even(plan: Plan, lot: int) -> float | None:
    cost, earned = lot_break_even_parts(plan, lot)
    return cost / earned if earned > 0 else None


def lot_break_even_parts(plan: Plan, lot: int) -> tuple[float, float]:
    """What a committed bed of a lot costs, and what spot purchase of its bed-weeks would; both present £, nothing without."""
    problem = plan.problem
    positions = problem.awards_of(lot)
    if not positions:
        return 0.0, 0.0
    taken = [place for place in positions if plan.decisions.lot_awarded[place]]
    position = (taken or list(positions))[0]
    period = problem.awards[position].period
    tier = int(np.argmax(plan.decisions.tier_chosen[position])) if taken else 0
    price = _spot_price(problem, problem.lot_source + lot)
    if price is None:
        return 0.0, 0.0
    weeks = across(problem.scenarios, "lot_delivered", (lot, period)) * problem.weeks * problem.present_value
    committed = across(problem.scenarios, "lot_price", (lot, tier, period))
    return plan.mean((weeks * committed).sum(axis=1)), plan.mean((weeks * price).sum(axis=1))


def _spot_price(problem: Problem, source: int) -> Floats | None:
    """Cheapest spot price open to a cohort that the source takes, £ a week, [scenario, period]; None without a market."""
    takes = problem.allowed[:, source].any(axis=1)
    if problem.source_kind(source) == "home" and not takes.any():
        takes = np.ones(len(problem.cohorts), dtype=bool)
    open_to = [spot for spot in range(len(problem.spots)) if problem.allowed[takes, problem.spot_source + spot].any()]
    if not open_to:
        return None
    prices: Floats = across(problem.scenarios, "spot_layer_price")[:, open_to, 0].min(axis=1)
    return prices
