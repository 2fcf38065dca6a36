"""Protection levels: how many beds to keep for children whose spot places are dearer, found by search.

Simulation-based, on futures apart from those that decisions are then judged on, with common random numbers: one level at
a time is raised or lowered along a ladder for as long as the objective (cost with the deterrent) falls by more than its
standard error, and round again until nothing changes. Beside each level it is tried whether the cohort should also make room
at the rate of planned moves.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from models.decisions import Decisions
from models.problem import Problem
from optimiser.analysis.simulation.draws import Block, Ground
from optimiser.analysis.simulation.placing import Policy, live
from optimiser.analysis.simulation.results import Outcome, outcome_of
from optimiser.analysis.simulation.run import beds_of
from optimiser.demand.scenarios import standard_error

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

#: Beds that a level may keep.
LADDER = (0, 1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64, 96, 128, 192, 256, 384, 512)
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
    shape = len(problem.cohorts), len(pools)
    return Policy(pools, np.zeros(shape, dtype=np.int64), np.zeros(shape, dtype=bool))


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
    found = _Search(ground, blocks, decisions)
    beds = np.where(np.isfinite(found.first.beds), found.first.beds, 0.0)
    levels = levels_of(ground.plan, found.first.beds)
    for round_ in range(ROUNDS):
        before = found.policy
        for cohort, pool in levels:
            most = float(beds[:, list(found.policy.pools[pool])].sum(axis=1).max())
            rungs = [rung for rung, level in enumerate(LADDER) if rung == 0 or LADDER[rung - 1] < most]
            if round_ == 0 and len(rungs) > 4:
                # far jumps first: a cohort may have no business in the pool at all while it has anywhere else to go
                found.try_level(cohort, pool, rungs[-1])
                found.try_level(cohort, pool, rungs[len(rungs) // 2])
            for step in (1, -1):
                while found.rung(cohort, pool) + step in rungs:
                    if not found.try_level(cohort, pool, found.rung(cohort, pool) + step):
                        break
            if found.policy.protected[cohort, pool]:
                found.try_room(cohort, pool)
        if found.policy is before:
            break
    saved = found.first.objective_gbp - found.best
    return Searched(found.policy, found.tried, float(saved.mean()), standard_error(saved))


class _Search:
    """The best policy so far, its objective in each future, and how to try another."""

    def __init__(self, ground: Ground, blocks: list[Block], decisions: Decisions) -> None:
        # beds are the same under every policy
        self.blocks = [(block, *beds_of(ground, block, {"": decisions})[""]) for block in blocks]
        self.policy, self.tried = unprotected(ground.plan), 1
        self.first = self._outcome(self.policy)
        self.best = self.first.objective_gbp

    def _outcome(self, policy: Policy) -> Outcome:
        return Outcome.joined(
            [outcome_of(block, places, live(block, places, draws, policy)) for block, places, draws in self.blocks]
        )

    def _try(self, policy: Policy) -> bool:
        """Take the policy if its objective is lower by more than its standard error, future by future."""
        cost = self._outcome(policy).objective_gbp
        self.tried += 1
        error = standard_error(cost - self.best)
        if error is None or not float((cost - self.best).mean()) < -error:
            return False
        self.policy, self.best = policy, cost
        return True

    def rung(self, cohort: int, pool: int) -> int:
        """Where on the ladder a level stands."""
        return LADDER.index(int(self.policy.protected[cohort, pool]))

    def try_level(self, cohort: int, pool: int, rung: int) -> bool:
        """One level on another rung."""
        protected = self.policy.protected.copy()
        protected[cohort, pool] = LADDER[rung]
        return self._try(replace(self.policy, protected=protected, makes_room=self.policy.makes_room & (protected > 0)))

    def try_room(self, cohort: int, pool: int) -> bool:
        """A cohort that also moves out by plan where it did not, or stays where it did move."""
        makes_room = self.policy.makes_room.copy()
        makes_room[cohort, pool] = not makes_room[cohort, pool]
        return self._try(replace(self.policy, makes_room=makes_room))
