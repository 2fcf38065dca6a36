"""The auditor: recomputes feasibility and every pound of a plan from the problem, the decisions and the placements.

Nothing here knows Pyomo or a solver, and nothing is shared with the model beyond the data: each rule is written from
what it means, so that a slip in the model shows as a disagreement. ``verify`` checks the rules of the formulation one
by one, in its order and by its names (``rules.py``), and writes every pound into a ledger by future, term, authority and
period (``pounds.py``), both from what is decided along a path and what a future makes of it (``futures.py``).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from models.decisions import Decisions, Placements
from models.problem import Floats, Problem
from optimiser.verify.futures import Futures, futures_of, in_order, probability_of, refuse_wrong_shapes
from optimiser.verify.idle import idle_while_unregistered
from optimiser.verify.pounds import (
    TERM,
    Item,
    Ledger,
    child_weeks_by_year,
    deterrent,
    itemised,
    ledger_of,
    pounds,
    pounds_by_source,
    tail_mean,
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
    "Futures",
    "Item",
    "Ledger",
    "Verified",
    "Violation",
    "futures_of",
    "idle_while_unregistered",
    "itemised",
    "ledger_of",
    "pounds_by_source",
    "tail_mean",
    "verify",
    "within_other_limits",
]


@dataclass(frozen=True, eq=False)
class Verified:
    """What an independent recomputation finds."""

    violations: tuple[Violation, ...]
    of_futures: tuple[Violation, ...]  # those of them that are no matter of limits of the first stage or of the tail
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
    parts = [_recomputed(futures, tolerance) for futures in futures_of(problem, decisions, placements)]
    ledger = Ledger(
        nominal=in_order([(part.futures, part.nominal) for part in parts]),
        deterrent=in_order([(part.futures, part.deterrent) for part in parts]),
    )
    scenario_cost, scenario_pounds = ledger.scenario_cost(problem), ledger.scenario_pounds(problem)
    probability = probability_of(problem)
    expected, tail = float(probability @ scenario_cost), tail_mean(scenario_cost, probability, problem.cvar_level)
    lived = in_order([(part.futures, part.lived) for part in parts])
    census = in_order([(part.futures, part.census) for part in parts])
    unregistered = in_order([(part.futures, part.unregistered) for part in parts])

    found = [(part.futures.numbers[future], broken) for part in parts for future, broken in part.found]
    of_futures = [
        *(broken for _, broken in sorted(found, key=lambda each: each[0])),
        *local_enough(problem, lived, tolerance),
        *registered_reliably(problem, census, unregistered, tolerance),
    ]
    return Verified(
        violations=_with_limits_of(problem, decisions, of_futures, tail, tolerance),
        of_futures=tuple(of_futures),
        ledger=ledger,
        # written so that a tail of no weight does not matter even where it is not a number
        objective=expected if problem.risk_weight == 0 else expected + problem.risk_weight * (tail - expected),
        expected_cost=float(probability @ scenario_pounds),
        cvar=tail,
        scenario_cost=scenario_cost,
        scenario_pounds=scenario_pounds,
        unregistered_child_weeks=unregistered,
        usable_beds=in_order([(part.futures, part.usable_beds) for part in parts]),
    )


@dataclass(frozen=True, eq=False)
class _Part:
    """What was recomputed of some futures: all that outlives their arrays."""

    futures: Futures
    found: list[tuple[int, Violation]]  # by number among these futures
    nominal: Floats  # as of ``Ledger``
    deterrent: Floats  # as of ``Ledger``
    lived: Floats  # child-weeks, [scenario, cohort, source]
    census: Floats  # child-weeks, [scenario, authority, year]
    unregistered: Floats  # child-weeks, [scenario, authority, year]
    usable_beds: Floats  # beds, [scenario, source, period]


def _recomputed(futures: Futures, tolerance: float) -> _Part:
    problem = futures.problem
    return _Part(
        futures=replace(futures),  # without the arrays that were made of them
        found=[found for rule in PLACEMENT_RULES for found in rule(futures, tolerance)],
        nominal=pounds(futures),
        deterrent=deterrent(futures),
        lived=futures.placed @ problem.weeks,
        census=child_weeks_by_year(futures, futures.placed.sum(axis=2)),
        unregistered=child_weeks_by_year(futures, futures.placed[:, :, problem.unregistered]),
        usable_beds=futures.usable_beds,
    )


def within_other_limits(
    problem: Problem, decisions: Decisions, known: Verified, *, tolerance: float = 1e-6
) -> Verified | None:
    """What was recomputed of a plan where only limits of the first stage have changed since.

    Costs and places stand, and so do the rules of the futures; the limits that may have changed are recomputed. None where a
    rule of the futures was broken: within other limits children might have been placed otherwise.
    """
    if known.of_futures:
        return None
    return replace(known, violations=_with_limits_of(problem, decisions, (), known.cvar, tolerance))


def _with_limits_of(
    problem: Problem, decisions: Decisions, of_futures: Sequence[Violation], tail: float, tolerance: float
) -> tuple[Violation, ...]:
    """Rules that decisions break, those broken by the futures, and the limit on the tail."""
    of_decisions = [broken for rule in DECISION_RULES for broken in rule(problem, decisions, tolerance)]
    return (*of_decisions, *of_futures, *cvar_within_limit(problem, tail, tolerance))
