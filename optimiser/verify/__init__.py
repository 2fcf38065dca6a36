"""The auditor: recomputes feasibility and every pound of a plan from the problem, the decisions and the placements.

Nothing here knows Pyomo or a solver, and nothing is shared with the model beyond the data: each rule is written from
what it means, so that a slip in the model shows as a disagreement. ``verify`` checks the rules of the formulation one
by one, in its order and by its names (``rules.py``), and writes every pound into a ledger by future, term, authority and
period (``pounds.py``), both from what is decided along a path and what a future makes of it (``futures.py``).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from models.decisions import Decisions, Placements
from models.problem import Floats, Problem
from optimiser.verify.futures import Future, probability_of, refuse_wrong_shapes
from optimiser.verify.idle import idle_while_unregistered
from optimiser.verify.pounds import (
    TERM,
    Item,
    Ledger,
    deterrent,
    itemised,
    pounds,
    pounds_by_source,
    tail_mean,
    unregistered_child_weeks,
)
from optimiser.verify.rules import (
    DECISION_RULES,
    PLACEMENT_RULES,
    Violation,
    cvar_within_limit,
    local_enough,
    registered_reliably,
)

__all__ = [
    "DECISION_RULES",
    "PLACEMENT_RULES",
    "TERM",
    "Future",
    "Item",
    "Ledger",
    "Verified",
    "Violation",
    "deterrent",
    "idle_while_unregistered",
    "itemised",
    "pounds",
    "pounds_by_source",
    "tail_mean",
    "verify",
    "within_other_limits",
]


@dataclass(frozen=True, eq=False)
class Verified:
    """What an independent recomputation finds."""

    violations: tuple[Violation, ...]
    ledger: Ledger
    objective: float  # present real £, deterrent included
    expected_cost: float  # present real £, without the deterrent
    cvar: float  # present real £, deterrent included, at the problem's level
    scenario_cost: Floats  # present real £, deterrent included, [scenario]
    scenario_pounds: Floats  # present real £, without the deterrent, [scenario]
    unregistered_child_weeks: Floats  # [scenario, authority, year]
    usable_beds: Floats  # beds, call-off beds held and spot beds on offer included, [scenario, source, period]

    @property
    def accepted(self) -> bool:
        """Whether the plan breaks no rule."""
        return not self.violations


def verify(
    problem: Problem, decisions: Decisions, placements: Sequence[Placements], *, tolerance: float = 1e-6
) -> Verified:
    """Recompute feasibility and cost of a plan.

    Parameters
    ----------
    problem : the problem that the plan answers
    decisions : first stage
    placements : second stage, one entry per scenario in the problem's order
    tolerance : by how much a rule may be missed, relative to the larger of 1 and the size of the row

    Raises
    ------
    ValueError
        When the arrays do not have the problem's shapes.
    """
    refuse_wrong_shapes(problem, decisions, placements)
    futures = [
        Future(problem, decisions, scenario, placed)
        for scenario, placed in zip(problem.scenarios, placements, strict=True)
    ]
    ledger = Ledger(
        nominal=np.array([pounds(future) for future in futures]),
        deterrent=np.array([deterrent(future) for future in futures]),
    )
    scenario_cost, scenario_pounds = ledger.scenario_cost(problem), ledger.scenario_pounds(problem)
    probability = probability_of(problem)
    expected, tail = float(probability @ scenario_cost), tail_mean(scenario_cost, probability, problem.cvar_level)
    unregistered = np.array([unregistered_child_weeks(future) for future in futures])

    violations = [
        *(found for rule in DECISION_RULES for found in rule(problem, decisions, tolerance)),
        *(found for future in futures for rule in PLACEMENT_RULES for found in rule(future, tolerance)),
        *local_enough(problem, futures, tolerance),
        *registered_reliably(problem, futures, unregistered, tolerance),
        *cvar_within_limit(problem, tail, tolerance),
    ]
    return Verified(
        violations=tuple(violations),
        ledger=ledger,
        # written so that a tail of no weight does not matter even where it is not a number
        objective=expected if problem.risk_weight == 0 else expected + problem.risk_weight * (tail - expected),
        expected_cost=float(probability @ scenario_pounds),
        cvar=tail,
        scenario_cost=scenario_cost,
        scenario_pounds=scenario_pounds,
        unregistered_child_weeks=unregistered,
        usable_beds=np.array([future.usable_beds for future in futures]),
    )


def within_other_limits(
    problem: Problem, decisions: Decisions, known: Verified, *, tolerance: float = 1e-6
) -> Verified | None:
    """What was recomputed of a plan where only limits of the first stage have changed since.

    Costs and places stand, and so do the rules of each future; the limits that may have changed are recomputed. None where a
    rule was broken before: which limit that was is not looked into.
    """
    if known.violations:
        return None
    found = [*(found for rule in DECISION_RULES for found in rule(problem, decisions, tolerance))]
    return replace(known, violations=(*found, *cvar_within_limit(problem, known.cvar, tolerance)))
