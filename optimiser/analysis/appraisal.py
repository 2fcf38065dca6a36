"""The options of an instance and the optimised plan, side by side on the same futures; published figures beside ours."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from models.decisions import Decisions, with_managers_needed
from models.problem import COST_TERMS, Problem
from optimiser.analysis.budget import medium_term
from optimiser.errors import InfeasibleError, NoPlanError, SolverError
from optimiser.finance import month_number
from optimiser.instance.distributions import Distribution
from optimiser.instance.expressions import evaluate, keys
from optimiser.instance.register import evidence_for, range_of
from optimiser.instance.schema import Instance, Option, Published
from optimiser.plan import Plan, Row
from optimiser.solve.engine import Bounds, Engine, Found
from optimiser.solve.twostage import Settings, TwoStageSolution
from optimiser.verify import verify

DO_NOTHING = "do-nothing"
OPTIMISED = "optimised"
CAPITAL = ("capital", "residual")


@dataclass(frozen=True, eq=False)
class Appraised:
    """One option on the common futures. ``broken`` names the limits that it does not keep, in words."""

    name: str
    title: str
    paper: bool
    plan: Plan | None
    broken: tuple[str, ...]


def decisions_of(instance: Instance, problem: Problem, option: Option) -> Decisions:
    """Decisions that an option fixes, everything else left undone; the same on every branch.

    Managers are as many as the homes need.
    """
    decisions = Decisions.none(problem)
    for row in instance.decisions:
        if row.option == option.option:
            _enter(instance, problem, decisions, row)
    return with_managers_needed(problem, decisions)


def doing_nothing(instance: Instance) -> Option:
    """The instance's own option of doing nothing; where it names none, one that begins, awards and extends nothing."""
    own = next((row for row in instance.options if row.option == DO_NOTHING), None)
    return own or Option(option=DO_NOTHING, title="Do nothing: no home, no award, no extension")


def _enter(instance: Instance, problem: Problem, decisions: Decisions, row: Any) -> None:
    first = month_number(problem.periods[0])
    month = -1 if row.month is None else month_number(row.month) - first
    period = int(np.searchsorted(problem.period_start, month, side="right")) - 1
    if row.action == "begin":
        for place, begin in enumerate(problem.begins):
            if problem.homes[begin.home] == row.item and begin.period == period:
                decisions.homes_begun[place] += row.number
    elif row.action == "close":
        for place, (home, _, at) in enumerate(problem.closures):
            if problem.homes[home] == row.item and at == period:
                decisions.homes_closed[place] += row.number
    elif row.action == "award":
        for place, award in enumerate(problem.awards):
            if problem.lots[award.lot] == row.item and award.period == period:
                tiers = problem.lot_tiers[award.lot]
                # the last tier that holds the beds is the cheapest for the volume
                tier = max(t for t, limits in enumerate(tiers) if limits.minimum <= row.number <= limits.maximum)
                decisions.lot_awarded[place] = decisions.tier_chosen[place, tier] = 1
                decisions.beds_in_tier[place, tier] = row.number
                decisions.optional_beds[place] = row.call_off
    else:
        _extend(problem, decisions, row)


def _extend(problem: Problem, decisions: Decisions, row: Any) -> None:
    for place, extension in enumerate(problem.extensions):
        if extension.option != row.number:
            continue
        if extension.supply is not None:
            if problem.supplies[extension.supply] == row.item:
                decisions.extension_taken[place] = 1
        elif extension.award is not None and problem.lots[problem.awards[extension.award].lot] == row.item:
            taken = int(decisions.lot_awarded[extension.award])
            decisions.extension_taken[place] = taken
            decisions.beds_extended[place, :-1] = taken * decisions.beds_in_tier[extension.award]
            decisions.beds_extended[place, -1] = taken * decisions.optional_beds[extension.award]


def freedom_of(instance: Instance, problem: Problem, option: Option) -> Bounds | None:
    """Bounds that hold an option's fixed decisions and leave open what it lets the plan choose; None: nothing open."""
    homes = problem.homes if option.homes == ("all",) else option.homes or ()
    contracts = (*problem.lots, *problem.supplies) if option.lots == ("all",) else option.lots or ()
    if not homes and not contracts:
        return None
    fixed = decisions_of(instance, problem, option)
    bounds: Bounds = {}
    for place, begin in enumerate(problem.begins):
        if problem.homes[begin.home] not in homes:
            count = float(fixed.homes_begun[place])
            bounds["homes_begun", (begin.home, begin.node, begin.period)] = (count, count)
    for award, at in enumerate(problem.awards):
        if problem.lots[at.lot] not in contracts:
            index = at.lot, at.node, at.period
            bounds["lot_awarded", index] = (float(fixed.lot_awarded[award]),) * 2
            bounds["optional_beds", index] = (float(fixed.optional_beds[award]),) * 2
            for tier in range(len(problem.lot_tiers[at.lot])):
                beds = float(fixed.beds_in_tier[award, tier])
                bounds["beds_in_tier", (at.lot, tier, at.node, at.period)] = (beds, beds)
    for place, extension in enumerate(problem.extensions):
        lot = None if extension.award is None else problem.lots[problem.awards[extension.award].lot]
        name = lot if lot is not None else problem.supplies[extension.supply or 0]
        if name not in contracts:
            bounds["extension_taken", place] = (float(fixed.extension_taken[place]),) * 2
    return bounds


def appraise_options(
    instance: Instance,
    engine: Engine,
    settings: Settings,
    only: tuple[str, ...] | None = None,
    progress: Callable[[str], None] | None = None,
) -> list[Appraised]:
    """Every named option, or those named in ``only``, placed (or optimised within its kinds) on the engine's futures.

    Doing nothing is among them whether the instance names it or not: savings and budgets are set against it.
    """
    found = []
    named = any(option.option == DO_NOTHING for option in instance.options)
    for option in instance.options if named else (doing_nothing(instance), *instance.options):
        if only is not None and option.option not in only:
            continue
        if progress is not None:
            progress(f"option {option.option}")
        found.append(_appraise(instance, engine, option, settings))
    return found


def _appraise(instance: Instance, engine: Engine, option: Option, settings: Settings) -> Appraised:
    problem = engine.problem
    bounds = freedom_of(instance, problem, option)
    if bounds is None:
        found: Found | TwoStageSolution = engine.place(decisions_of(instance, problem, option))
    else:
        found = engine.search(settings, bounds=bounds)
    if not isinstance(found, Found):
        reason = (
            "no plan of this kind keeps every limit" if found.status == "infeasible" else "no plan found in the time"
        )
        return Appraised(option.option, option.title, option.paper, None, (reason,))
    verified = verify(problem, found.decisions, found.placements)
    broken = tuple(dict.fromkeys(f"{violation.rule}: {violation.where}" for violation in verified.violations))
    return Appraised(
        option.option, option.title, option.paper, Plan(instance, problem, found, verified, first=engine.first), broken
    )


def best_plan(
    instance: Instance,
    engine: Engine,
    settings: Settings,
    progress: Callable[[Any], None] | None = None,
    method: str = "auto",
) -> Plan:
    """The best plan of an instance, verified.

    Raises
    ------
    InfeasibleError
        Where no plan keeps every limit.
    NoPlanError
        Where none was found before the time limit or Ctrl-C.
    SolverError
        Where the independent recomputation rejects what the solver returned.
    """
    found = engine.search(settings, progress=progress, method=method)
    if not isinstance(found, Found):
        if found.status == "infeasible":
            from optimiser.analysis.clash import explain

            raise InfeasibleError(explain(instance, engine, settings))
        raise NoPlanError(
            "stopped before any plan was found: allow more time (--time-limit) or fewer futures (--scenarios)"
        )
    verified = verify(engine.problem, found.decisions, found.placements)
    if verified.violations:
        first = "; ".join(str(violation) for violation in verified.violations[:3])
        raise SolverError(f"the independent recomputation rejects what the solver returned: {first}")
    return Plan(instance, engine.problem, found, verified, first=engine.first)


# side by side


def comparison(options: list[Appraised]) -> list[Row]:
    """One row an option: cost, saving, capital, children without a registered place, how often it is cheapest."""
    placed = [option for option in options if option.plan is not None]
    base = next((option.plan for option in placed if option.name == DO_NOTHING), None)
    costs = np.array([option.plan.scenario_pounds for option in placed if option.plan is not None])
    cheapest = costs <= costs.min(axis=0) + 0.5 if len(placed) else costs
    wins = cheapest / cheapest.sum(axis=0) if len(placed) else costs  # options that cost the same share the win
    rows = []
    for option in options:
        row: Row = {"option": option.name, "title": option.title, "paper": option.paper}
        plan = option.plan
        if plan is None:
            rows.append(row | dict.fromkeys(COMPARED) | {"broken": list(option.broken)})
            continue
        place = placed.index(option)
        saving = None if base is None else base.verified.expected_cost - plan.verified.expected_cost
        share = None
        if base is not None:
            share = plan.mean((plan.scenario_pounds < base.scenario_pounds).astype(float))
        rows.append(
            row
            | {
                "expected_cost_gbp": plan.verified.expected_cost,
                "saving_gbp": saving,
                **{f"p{level}_gbp": plan.quantile(plan.scenario_pounds, level / 100) for level in LEVELS},
                "capital_gbp": capital_of(plan),
                "homes": int(max_on_paths(plan, plan.decisions.homes_begun)),
                "block_beds": int(plan.decisions.beds_in_tier.sum(axis=1).max(initial=0)),
                "unregistered_child_weeks": plan.mean(plan.unregistered_child_weeks),
                "unregistered_p90_child_weeks": plan.quantile(plan.unregistered_child_weeks, 0.9),
                "probability_cheapest": plan.mean(wins[place]),
                "probability_below_doing_nothing": share,
                "broken": list(option.broken),
            }
        )
    return rows


#: Percentiles of cost over the futures that an option's row holds.
LEVELS = (10, 25, 50, 75, 90)
COMPARED = (
    "expected_cost_gbp",
    "saving_gbp",
    *(f"p{level}_gbp" for level in LEVELS),
    "capital_gbp",
    "homes",
    "block_beds",
    "unregistered_child_weeks",
    "unregistered_p90_child_weeks",
    "probability_cheapest",
    "probability_below_doing_nothing",
)


def max_on_paths(plan: Plan, begun: np.ndarray) -> float:
    """Most of something begun along any path of the tree, by the positions of ``Problem.begins``."""
    path = plan.problem.path_to(heaviest_leaf(plan.problem, begun))
    return sum(float(begun[place]) for place, begin in enumerate(plan.problem.begins) if begin.node in path)


def heaviest_leaf(problem: Problem, begun: np.ndarray) -> int:
    """The leaf on whose path most of something is begun, by the positions of ``Problem.begins``; of equals the first."""

    def along(leaf: int) -> float:
        path = problem.path_to(leaf)
        return sum(float(begun[place]) for place, begin in enumerate(problem.begins) if begin.node in path)

    return max(problem.leaves, key=along)


def capital_of(plan: Plan) -> float:
    """Capital begun at planning prices along the path that needs most, £."""
    problem = plan.problem
    amounts = (
        np.array([problem.planning_capital[b.home, b.period] for b in problem.begins]) * plan.decisions.homes_begun
    )
    return max_on_paths(plan, amounts)


def cost_by_year(options: list[Appraised]) -> list[Row]:
    """Expected cost by option and financial year, nominal £, with the saving against doing nothing."""
    base = next((option.plan for option in options if option.name == DO_NOTHING and option.plan is not None), None)
    rows = []
    for option in options:
        if option.plan is None:
            continue
        years = option.plan.money_by_year()
        against = base.money_by_year() if base is not None else None
        for place, year in enumerate(years):
            saving = None if against is None else against[place]["nominal_gbp"] - year["nominal_gbp"]
            row = {"option": option.name, "year": year["year"], "nominal_gbp": year["nominal_gbp"]}
            rows.append(row | {"real_gbp": year["real_gbp"], "saving_nominal_gbp": saving})
    return rows


def budget_columns(options: list[Appraised]) -> list[Row]:
    """Savings against doing nothing as a budget sees them, nominal £ over the horizon.

    The lines of each option's Medium-Term Financial Plan (``budget.py``) over its years, all written as amounts above zero:
    in budget + cashable + avoidance - pressure is the net saving. *Pressure* is what falls short of the saving in the
    budget, one-off cost, and capital that is a cost of its own less what is left of it.
    """
    base = next((option.plan for option in options if option.name == DO_NOTHING and option.plan is not None), None)
    if base is None:
        return []
    rows = []
    for option in options:
        if option.plan is None or option.name == DO_NOTHING:
            continue
        years = medium_term(option.plan, base)
        total = {name: sum(row[name] for row in years) for name in years[0] if name != "year"}
        pressure = sum(total[f"{stream}_of_plan_gbp"] for stream in ("recurring", "unregistered", "one_off"))
        capital = float((option.plan.nominal - base.nominal)[[COST_TERMS.index(term) for term in CAPITAL]].sum())
        rows.append(
            {
                "option": option.name,
                "already_in_budget_gbp": -total["already_in_budget_gbp"],
                "cashable_gbp": -total["cashable_saving_gbp"],
                "cost_avoidance_gbp": -total["cost_avoidance_gbp"] - total["one_off_avoidance_gbp"],
                "pressure_gbp": pressure + capital,
                "net_saving_gbp": float((base.nominal - option.plan.nominal).sum()),
            }
        )
    return rows


# published figures


def published_results(instance: Instance, options: list[Appraised]) -> list[Row]:
    """Every published result beside ours: the difference, how it is matched, and how far it moves over assumed ranges."""
    values = expression_values(instance, options)
    return [_published(instance, row, values) for row in instance.published]


def expression_values(instance: Instance, options: list[Appraised]) -> dict[str, float]:
    """What an expression can name: figures at their value or mean, and results of the options."""
    values = {
        key: value.mean if isinstance(value, Distribution) else float(value)
        for key, value in instance.figure_values().items()
        if not isinstance(value, tuple)
    }
    base = next((option.plan for option in options if option.name == DO_NOTHING and option.plan is not None), None)
    for option in options:
        if option.plan is None:
            continue
        cost = float(option.plan.nominal.sum())
        values[f"options.{option.name}.cost_gbp"] = cost
        values[f"options.{option.name}.capital_gbp"] = capital_of(option.plan)
        weeks = option.plan.mean(option.plan.unregistered_child_weeks)
        values[f"options.{option.name}.child_weeks_unregistered"] = weeks
        if base is not None:
            values[f"options.{option.name}.saving_gbp"] = float(base.nominal.sum()) - cost
    return values


def _published(instance: Instance, row: Published, values: dict[str, float]) -> Row:
    used = keys(row.expression)
    missing = [key for key in used if key not in values]
    ours = None if missing else evaluate(row.expression, values)
    base: Row = {
        "result": row.result,
        "title": row.title,
        "unit": row.unit,
        "published": row.value,
        "ours": ours,
        "difference": None if ours is None or row.value is None else ours - row.value,
        "match": _match(instance, row, used, ours),
        "document": row.document,
        "place": row.place,
        "note": row.note,
    }
    return base | {"moves": [] if ours is None else _moves(instance, row, used, values)}


def _match(instance: Instance, row: Published, used: tuple[str, ...], ours: float | None) -> str:
    """published, matches by construction, differs, computed (not published), or not computed."""
    if ours is None:
        return "not computed"
    if row.value is None:
        return "computed, not published"
    if abs(ours - row.value) > row.tolerance:
        return "differs"
    for key in used:
        if not key.startswith("options."):
            evidence = evidence_for(instance, key)
            if evidence.evidence in ("derived", "calibrated"):
                return "matches by construction"
    return "published"


def _moves(instance: Instance, row: Published, used: tuple[str, ...], values: dict[str, float]) -> list[Row]:
    """The result at both ends of the range of each figure in it that has one."""
    figures = instance.figure_values()
    moves = []
    for key in used:
        if key.startswith("options."):
            continue
        evidence = evidence_for(instance, key)
        if evidence.low and evidence.high:
            low, high = range_of(evidence, figures[key])
            ends = [evaluate(row.expression, values | {key: end}) for end in (low, high)]
            moves.append({"figure": key, "low": low, "high": high, "at_low": ends[0], "at_high": ends[1]})
    return moves
