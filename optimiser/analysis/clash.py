"""Why no plan keeps every limit: the smallest clash, in the sector's words, with the least change that resolves each side.

The clash is found by letting limits go one at a time: what is still impossible without a limit does not need it. The
least change of one side is the smallest slack of that limit alone under which a plan exists, everything else kept.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy import sparse

from optimiser.instance.schema import Instance
from optimiser.report.terminal import exact, number, share
from optimiser.solve.engine import Engine
from optimiser.solve.lshaped import solve_lshaped
from optimiser.solve.twostage import Scenario, Settings, Stage, TwoStageProblem

#: A limit that is let go of may be exceeded by this much and no more; nothing in a plan comes near it.
FREE = 1e9


@dataclass(frozen=True)
class Side:
    """One limit that can be let go of: its rows in the first stage and by how much one unit of slack widens each.

    ``decisions`` are variables whose own bounds state the limit again and are widened with it. ``tail`` marks the limit on
    CVaR, which is no row.
    """

    words: str
    unit: str
    limit: float
    rows: tuple[int, ...]
    widening: float = 1.0
    decisions: tuple[str, ...] = ()
    whole: bool = False
    tail: bool = False


def explain(instance: Instance, engine: Engine, settings: Settings) -> str:
    """The clash in words."""
    sides = sides_of(instance, engine)
    quick = replace(settings, gap=1e-3)
    clash = list(sides)
    for side in sides:
        without = [other for other in clash if other is not side]
        if _least(engine, [other for other in sides if other not in without], None, quick) is None:
            clash = without
    if len(clash) == 1:
        lines = [
            "No plan keeps this limit, whatever is changed about capital, registrations, managers and homes to be had:"
        ]
    else:
        lines = ["No plan keeps every limit. These cannot be kept together:"]
    lines += [f"  • {side.words}: {_amount(side, side.limit)}" for side in clash]
    lines.append("The least change that makes a plan possible, everything else as it is:")
    found = False
    for side in clash:
        least = _least(engine, [], side, quick)
        if least is not None:
            found = True
            lines.append(
                f"  • {side.words}: {_amount(side, _changed(side, least))} instead of {_amount(side, side.limit)}"
            )
    if not found:
        lines.append("  • none alone: more than one of these limits must give way, or another clash stands behind it")
    return "\n".join(lines)


def _amount(side: Side, value: float) -> str:
    if side.unit == "£":
        return exact(value)
    if side.unit == "probability":
        return share(value, 1)
    return f"{number(value, 0 if side.whole else 1)} {side.unit}"


def _changed(side: Side, least: float) -> float:
    """The limit with the least slack, rounded to the side that keeps a plan possible."""
    if side.tail:
        return float(np.ceil(least))
    if side.unit == "£":
        return side.limit + float(np.ceil(least / 1_000) * 1_000)
    if side.unit == "probability":
        return side.limit + float(np.ceil(least * 1_000) / 1_000)
    if side.unit == "of child-weeks, local share":
        return side.limit
    return side.limit + (float(np.ceil(least - 1e-6)) if side.whole else float(np.ceil(least * 10 - 1e-6) / 10))


def sides_of(instance: Instance, engine: Engine) -> list[Side]:
    """Every limit that may take part in a clash, what is tolerated first."""
    problem, rows = engine.problem, engine.first.rows

    def own(name: str, wanted: object = None, position: int = 0) -> tuple[int, ...]:
        found = []
        for index, numbers in rows.get(name, {}).items():
            key = index if isinstance(index, tuple) else (index,)
            if wanted is None or key[position] == wanted:
                found += numbers.tolist()
        return tuple(found)

    sides: list[Side] = []
    for number_, tolerance in enumerate(problem.unregistered_limits):
        who = ", ".join(problem.authorities[authority] for authority in tolerance.authorities)
        name = f"{problem.unregistered_name}, {who} (tolerance {tolerance.name})"
        if tolerance.child_weeks is not None:
            words = f"child-weeks expected, {name}, at most"
            sides.append(Side(words, "child-weeks", tolerance.child_weeks, own("registered_in_expectation", number_)))
        if tolerance.epsilon is not None:
            words = f"probability of any child-week in a financial year, {name}, at most"
            sides.append(Side(words, "probability", tolerance.epsilon, own("registered_reliably", number_)))
    for number_, local in enumerate(problem.local_limits):
        cohorts = ", ".join(problem.cohorts[cohort] for cohort in local.cohorts)
        words = f"share of child-weeks placed locally enough ({local.name}: {cohorts}) of {share(local.minimum)}, short by at most"
        sides.append(Side(words, "child-weeks", 0.0, own("local_enough", number_)))
    if problem.cvar_limit is not None:
        sides.append(Side("mean cost of the worst futures, at most", "£", problem.cvar_limit, (), tail=True))
    for position, envelope in enumerate(problem.envelopes):
        own_rows = rows.get("capital_within_envelope", {})
        if envelope.total is not None:
            chosen = [
                int(r) for index, found in own_rows.items() if index[0] == position and index[2] == -1 for r in found
            ]
            sides.append(Side(f"capital envelope ({envelope.name})", "£", envelope.total, tuple(chosen)))
        for year, label in enumerate(problem.financial_years):
            if envelope.by_year is not None:
                chosen = [int(r) for i, found in own_rows.items() if i[0] == position and i[2] == year for r in found]
                if chosen:
                    limit = sum(envelope.by_year[: year + 1]) if envelope.carry_forward else envelope.by_year[year]
                    words = f"capital envelope ({envelope.name}) to the end of {label}"
                    sides.append(Side(words, "£", limit, tuple(chosen)))
    if problem.registrations_limit is not None:
        limit = float(problem.registrations_limit)
        sides.append(Side("registrations in hand at once", "homes", limit, own("registrations_in_hand"), whole=True))
    if problem.managers is not None:
        each = float(problem.managers.homes_each)
        most = float(problem.managers.recruitable.max())
        rows_ = own("homes_have_managers")
        sides.append(Side("registered managers by the end", "managers", most, rows_, widening=each, whole=True))
    for position, group in enumerate(problem.home_groups):
        chosen_rows = own("homes_available", position)
        if chosen_rows:
            words = f"homes to be had ({group.name})"
            sides.append(Side(words, "homes", float(group.limit), chosen_rows, decisions=("homes_begun",), whole=True))
    return [side for side in sides if side.rows or side.tail]


def _least(engine: Engine, free: Sequence[Side], side: Side | None, settings: Settings) -> float | None:
    """Least slack of one side, with others let go of, under which a plan exists; None where there is none."""
    problem, priced = _with_slack(engine, free, side)
    any_plan = replace(settings, gap=1.0)
    found = solve_lshaped(problem, any_plan if side is None or (priced and not side.tail) else settings)
    if found.x is None:
        return None
    if side is None:
        return 0.0
    if side.tail:
        return found.objective
    least = max(float(found.x[-1]), 0.0)
    # a limit on CVaR counts every cost, so slack has none there and its least is found by halving
    return _halved(problem, least, any_plan) if priced else least


def _halved(problem: TwoStageProblem, enough: float, settings: Settings) -> float:
    """Least upper bound of the last first-stage column under which a plan exists, by halving."""
    low, high = 0.0, enough
    while high - low > 1e-8 * max(high, 1.0):
        middle = (low + high) / 2
        upper = problem.first.upper.copy()
        upper[-1] = middle
        found = solve_lshaped(replace(problem, first=replace(problem.first, upper=upper)), settings)
        low, high = (middle, high) if found.x is None else (low, min(middle, max(float(found.x[-1]), 0.0)))
    return high


def _with_slack(engine: Engine, free: Sequence[Side], side: Side | None) -> tuple[TwoStageProblem, bool]:
    """The problem with a slack column for each side let go of, the last for ``side``, whose slack is what is minimised.

    Everything else is at no cost, unless a limit on CVaR stands or is minimised: the second value says so.
    """
    base = engine.two_stage
    slack = [*free, *([side] if side is not None and not side.tail else [])]
    first = base.first
    rows, columns = first.matrix.shape
    extra = sparse.lil_matrix((rows, len(slack)))
    lower, upper = first.lower.copy(), first.upper.copy()
    for position, which in enumerate(slack):
        for row in which.rows:
            extra[row, position] = -which.widening
        for name in which.decisions:
            upper[list(engine.first.columns[name].values())] = 99.0
    own_tail = side is not None and side.tail
    tail_free = own_tail or any(which.tail for which in free)
    # a limit on CVaR that stands needs what futures cost
    priced = own_tail or (base.cvar_limit is not None and not tail_free)
    weight = 0.0 if priced else 1.0
    stage = Stage(
        cost=np.concatenate([np.zeros(columns), [weight if which is side else 0.0 for which in slack]]),
        lower=np.concatenate([lower, np.zeros(len(slack))]),
        upper=np.concatenate([upper, [99.0 if which.whole else FREE for which in slack]]),
        matrix=sparse.csr_matrix(sparse.hstack([first.matrix, extra])),
        row_lower=first.row_lower,
        row_upper=first.row_upper,
        integer=np.concatenate([first.integer, [which.whole for which in slack]]).astype(bool),
    )
    problem = replace(
        base,
        first=stage,
        scenarios=tuple(_widened(scenario, len(slack), priced) for scenario in base.scenarios),
        risk_weight=1.0 if own_tail else 0.0,
        cvar_limit=None if tail_free else base.cvar_limit,
    )
    return problem, priced


def _widened(scenario: Scenario, more: int, priced: bool) -> Scenario:
    """A future with further first-stage columns that do not enter it, at its own cost or at none."""
    technology = sparse.hstack([scenario.technology, sparse.csr_matrix((scenario.technology.shape[0], more))])
    own = scenario.first_stage_cost
    cost = None if own is None else np.concatenate([own if priced else np.zeros_like(own), np.zeros(more)])
    free = replace(scenario.recourse, cost=np.zeros_like(scenario.recourse.cost))
    return replace(
        scenario,
        technology=sparse.csr_matrix(technology),
        recourse=scenario.recourse if priced else free,
        first_stage_cost=cost,
        offset=scenario.offset if priced else 0.0,
    )
