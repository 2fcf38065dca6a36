"""Protection levels: how many beds to keep for children whose spot places are dearer, found by search.

Simulation-based, on futures apart from those that decisions are then judged on, with common random numbers: one level at
a time is raised or lowered along a ladder for as long as the objective (cost with the deterrent) falls by more than its
standard error, and round again until nothing changes.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.decisions import Decisions
from models.problem import Problem
from optimiser.analysis.simulation.draws import Block, Ground
from optimiser.analysis.simulation.placing import Policy
from optimiser.analysis.simulation.results import Outcome, standard_error
from optimiser.analysis.simulation.run import lived_by

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

#: Beds that a level may keep.
LADDER = (0, 1, 2, 3, 4, 6, 8, 12, 16, 24, 32)
#: Most rounds over all levels.
ROUNDS = 3


@dataclass(frozen=True, eq=False)
class Searched:
    """What the search has found, on its own futures."""

    policy: Policy
    tried: int
    saving_gbp: float  # objective saved on the search's futures against protecting nothing, mean
    standard_error_gbp: float | None


def unprotected(problem: Problem) -> Policy:
    """The policy that protects nothing."""
    pools = pools_of(problem)
    return Policy(pools, np.zeros((len(problem.cohorts), len(pools)), dtype=np.int64))


def pools_of(problem: Problem) -> tuple[tuple[int, ...], ...]:
    """Sources whose beds are one to a child: of one kind, for the same two or more cohorts, and limited in number."""
    found: dict[tuple[str, tuple[int, ...], int], list[int]] = {}
    for source in range(problem.unregistered):
        cohorts = tuple(np.flatnonzero(problem.allowed[:, source].any(axis=1)).tolist())
        kind = problem.source_kind(source)
        if kind == "spot" and np.isinf(problem.scenarios[0].spot_layer_beds[source - problem.spot_source]).any():
            continue
        if len(cohorts) > 1:
            apart = source if kind == "spot" else -1  # spot markets differ in price
            found.setdefault((kind, cohorts, apart), []).append(source)
    return tuple(tuple(members) for members in found.values())


def spot_prices(problem: Problem) -> Floats:
    """Price of each cohort's cheapest spot place at the start, £ a week, mean over futures; infinite without any, [cohort]."""
    prices = np.full(len(problem.cohorts), np.inf)
    for spot in range(len(problem.spots)):
        first = float(np.mean([scenario.spot_layer_price[spot, 0, 0] for scenario in problem.scenarios]))
        takes = problem.allowed[:, problem.spot_source + spot].any(axis=1)
        prices[takes] = np.minimum(prices[takes], first)
    return prices


def levels_of(problem: Problem, beds: Floats) -> list[tuple[int, int]]:
    """(cohort, pool) at which a level can matter: the pool has beds, and is also for children whose spot places are dearer.

    beds : whole beds, [scenario, source, month]
    """
    prices = spot_prices(problem)
    found = []
    for pool, members in enumerate(pools_of(problem)):
        cohorts = np.flatnonzero(problem.allowed[:, members].any(axis=(1, 2)))
        if not (beds[:, list(members)].sum(axis=1) > 0).any():
            continue
        # the dearest first keeps its right to every bed
        for cohort in sorted(cohorts, key=lambda cohort: prices[cohort]):
            if prices[cohort] < prices[cohorts].max():
                found.append((int(cohort), pool))
    return found


def search(ground: Ground, blocks: list[Block], decisions: Decisions) -> Searched:
    """Protection levels for some decisions.

    Parameters
    ----------
    blocks
        Futures to search on; others than those on which the decisions are judged.
    """

    def objective(policy: Policy) -> Outcome:
        return Outcome.joined([lived_by(ground, block, {"": (decisions, policy)})[""] for block in blocks])

    policy = unprotected(ground.plan)
    first = objective(policy)
    best, tried = first.objective_gbp, 1
    levels = levels_of(ground.plan, first.beds)
    most = [
        float(np.nanmax(np.where(np.isfinite(first.beds), first.beds, np.nan)[:, list(members)].sum(axis=1)))
        for members in policy.pools
    ]
    for _ in range(ROUNDS):
        changed = False
        for cohort, pool in levels:
            for direction in (1, -1):
                while True:
                    other = _moved(policy, cohort, pool, direction)
                    if other is None or other.protected[cohort, pool] >= most[pool]:
                        break
                    cost = objective(other).objective_gbp
                    tried += 1
                    error = standard_error(cost - best)
                    if error is None or not float((cost - best).mean()) < -error:
                        break
                    policy, best, changed = other, cost, True
        if not changed:
            break
    saved = first.objective_gbp - best
    return Searched(policy, tried, float(saved.mean()), standard_error(saved))


def _moved(policy: Policy, cohort: int, pool: int, direction: int) -> Policy | None:
    """The policy with one level a rung up or down; None at the end of the ladder."""
    rung = LADDER.index(int(policy.protected[cohort, pool])) + direction
    if not 0 <= rung < len(LADDER):
        return None
    protected = policy.protected.copy()
    protected[cohort, pool] = LADDER[rung]
    return Policy(policy.pools, protected)
