"""What plans cost under a stress that nobody drew, and what the best plan would have been had one planned for it.

The same futures, with one thing laid on (``optimiser.demand.stress``). The plan's decisions are held: what it does on a
branch of a review it does there, and a future takes the branch that its own observations send it to under the stress. The
best plan for the stress is sought within the same limits and the same branches, so that no plan can be better than its
bound; *regret* is what the plan costs more than that, in what is minimised: at least by a plan that was found, at most by
the bound.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, replace
from types import SimpleNamespace
from typing import cast

import numpy as np

from models.decisions import Decisions
from models.problem import Problem
from optimiser.assemble import assemble, tree
from optimiser.demand.scenarios import ScenarioSet, calendar_of, joined
from optimiser.demand.stress import Stress
from optimiser.instance.schema import Instance
from optimiser.plan import Plan, Row, decisions_table
from optimiser.solve.engine import Engine, Found
from optimiser.solve.highs import relative_gap
from optimiser.solve.kept import Kept
from optimiser.solve.twostage import Settings
from optimiser.verify import verify


@dataclass(frozen=True, eq=False)
class Ordinary:
    """What plans under a stress are held against.

    Parameters
    ----------
    problem : the plan's
    plans : what was found on its futures, by name; the first is the optimised plan
    draw : the same futures of another instance
    kept : what the search for the plan has learned, None for nothing
    """

    instance: Instance
    problem: Problem
    plans: Mapping[str, Plan]
    draw: Callable[[Instance], ScenarioSet]
    kept: Kept | None = None
    executor: Executor | None = None


def under_stresses(
    ordinary: Ordinary,
    stresses: Sequence[Stress],
    settings: Settings,
    progress: Callable[[str], None] | None = None,
) -> list[Row]:
    """Plans under each stress, one row a stress; those not begun when the search is stopped are left out."""
    rows = []
    for stress in stresses:
        if settings.stop is not None and settings.stop.is_set():
            break
        if progress is not None:
            progress(f"under the stress {stress.name}")
        rows.append(_under(ordinary, stress, settings))
    return rows


def stressed(ordinary: Ordinary, stress: Stress) -> tuple[Instance, Problem]:
    """The instance and the problem under a stress, in the tree of the plan."""
    plan = ordinary.problem
    instance = stress.on_instance(ordinary.instance)
    futures = stress.on_futures(instance, ordinary.draw(instance))
    # branches are the plan's: what divides them is drawn up from its own futures, whoever meets it
    both = joined(ordinary.draw(ordinary.instance), futures)
    _, paths = tree(instance, calendar_of(instance), both, len(plan.scenarios))
    like = SimpleNamespace(
        nodes=plan.nodes,
        awards=plan.awards,
        extensions=plan.extensions,
        scenarios=[SimpleNamespace(path=path) for path in paths[len(plan.scenarios) :]],
    )
    problem = assemble(instance, futures, risk_weight=plan.risk_weight, like=cast(Problem, like))
    # what can be closed for certain was settled when nobody knew of the stress
    return instance, stress.on_problem(instance, replace(problem, certainly_open=plan.certainly_open))


def _under(ordinary: Ordinary, stress: Stress, settings: Settings) -> Row:
    instance, problem = stressed(ordinary, stress)
    engine = Engine(problem, ordinary.executor)
    held = {name: _held(instance, engine, plan.decisions) for name, plan in ordinary.plans.items()}
    first = next(iter(held.values()))
    best, bound, status = _best(instance, engine, ordinary, settings)
    # what the plan does already may be as good as anything found
    candidates = [plan for plan in (best, *held.values()) if plan is not None and not plan.verified.violations]
    best = min(candidates, key=lambda plan: plan.verified.objective, default=None)
    return {
        "stress": stress.name,
        "title": stress.title,
        "words": stress.words(ordinary.instance),
        "best": None if best is None else _best_row(best, bound, status),
        "status": status,
        "decision_changes": _changes(first, best, bound, settings.gap),
        "instead": None if best is None else _instead(first, best),
        "plans": [_plan_row(name, ordinary.plans[name], plan, best, bound, rank) for name, plan, rank in _ranked(held)],
    }


def _held(instance: Instance, engine: Engine, decisions: Decisions) -> Plan:
    found = engine.place(decisions)
    return Plan(instance, engine.problem, found, verify(engine.problem, decisions, found.placements))


def _best(instance: Instance, engine: Engine, ordinary: Ordinary, settings: Settings) -> tuple[Plan | None, float, str]:
    """The best plan for the stress where there is one, its bound, and how the search ended."""
    if ordinary.kept is not None:
        engine.take_up(ordinary.kept)
    start = next(iter(ordinary.plans.values())).decisions
    found = engine.search(settings, start=start)
    if not isinstance(found, Found):
        return None, found.bound, found.status
    verified = verify(engine.problem, found.decisions, found.placements)
    return Plan(instance, engine.problem, found, verified), found.bound, found.status


def _best_row(best: Plan, bound: float, status: str) -> Row:
    verified = best.verified
    gap = relative_gap(verified.objective, bound)
    return {
        "objective_gbp": verified.objective,
        "bound_gbp": bound if np.isfinite(bound) else None,
        "gap": gap if np.isfinite(gap) else None,
        "expected_cost_gbp": verified.expected_cost,
        "unregistered_child_weeks": best.mean(best.unregistered_child_weeks),
        "decisions": decisions_table(best.problem, on_reached(best.problem, best.decisions)),
    }


def _plan_row(name: str, before: Plan, plan: Plan, best: Plan | None, bound: float, rank: int) -> Row:
    """One plan under the stress, beside itself in the futures as drawn and beside the best plan for the stress."""
    cost, objective = plan.verified.expected_cost, plan.verified.objective
    weeks, weeks_before = plan.mean(plan.unregistered_child_weeks), before.mean(before.unregistered_child_weeks)
    broken = tuple(dict.fromkeys(f"{violation.rule}: {violation.where}" for violation in plan.verified.violations))
    regret: Row | None = None
    if best is not None:
        regret = {
            "at_least_gbp": objective - best.verified.objective,
            "at_most_gbp": objective - bound if np.isfinite(bound) else None,
            "expected_cost_gbp": cost - best.verified.expected_cost,
            "unregistered_child_weeks": weeks - best.mean(best.unregistered_child_weeks),
        }
    return {
        "plan": name,
        "rank": rank,
        "objective_gbp": objective,
        "expected_cost_gbp": cost,
        "p90_gbp": plan.quantile(plan.scenario_pounds, 0.9),
        "unregistered_child_weeks": weeks,
        "ordinary_expected_cost_gbp": before.verified.expected_cost,
        "ordinary_unregistered_child_weeks": weeks_before,
        "regret": regret,
        "broken": list(broken),
    }


def _ranked(held: Mapping[str, Plan]) -> list[tuple[str, Plan, int]]:
    order = sorted(held, key=lambda name: held[name].verified.objective)
    return [(name, plan, order.index(name) + 1) for name, plan in held.items()]


def _changes(plan: Plan, best: Plan | None, bound: float, gap: float) -> bool | None:
    """Whether the best plan for the stress decides otherwise; None where the gap of the search cannot tell."""
    if best is None:
        return None
    saved = plan.verified.objective - best.verified.objective
    left_open = max(plan.verified.objective - bound, 0.0)
    tolerance = gap * max(abs(best.verified.objective), 1.0)
    if plan.verified.violations or saved > tolerance:
        return True
    return False if left_open <= 2 * tolerance else None


def _instead(plan: Plan, best: Plan) -> Row:
    """Decisions of the best plan that the plan does not take, and those it takes instead; managers apart."""
    ours, theirs = (
        {_key(row): row for row in decisions_table(each.problem, on_reached(each.problem, each.decisions))}
        for each in (plan, best)
    )
    return {
        "only_best": [row for key, row in theirs.items() if key not in ours and row["action"] != "recruit"],
        "only_plan": [row for key, row in ours.items() if key not in theirs and row["action"] != "recruit"],
    }


def _key(row: Row) -> tuple[object, ...]:
    return tuple(row[name] for name in ("action", "item", "month", "branch", "number", "beds", "tier", "call_off"))


def on_reached(problem: Problem, decisions: Decisions) -> Decisions:
    """Decisions on nodes that some future reaches; what is decided where nobody comes costs nothing and means nothing."""
    reached = {node for scenario in problem.scenarios for node in scenario.path}

    def there(nodes: Sequence[int]) -> np.ndarray:
        return np.array([node in reached for node in nodes], dtype=np.int64)

    begun = there([begin.node for begin in problem.begins])
    awarded = there([award.node for award in problem.awards])
    extended = there([extension.node for extension in problem.extensions])
    return Decisions(
        homes_begun=decisions.homes_begun * begun,
        homes_closed=decisions.homes_closed * there([node for _, node, _ in problem.closures]),
        managers=decisions.managers * there(range(len(problem.nodes)))[:, None],
        lot_awarded=decisions.lot_awarded * awarded,
        tier_chosen=decisions.tier_chosen * awarded[:, None],
        beds_in_tier=decisions.beds_in_tier * awarded[:, None],
        optional_beds=decisions.optional_beds * awarded,
        extension_taken=decisions.extension_taken * extended,
        beds_extended=decisions.beds_extended * extended[:, None],
    )
