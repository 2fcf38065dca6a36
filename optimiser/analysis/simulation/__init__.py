"""What a plan costs when nobody knows the future: child by child and bed by bed, on futures that it was not made on.

>>> import optimiser
>>> from optimiser.analysis.simulation import simulate
>>> instance = optimiser.load("kent-in-house-2025")
>>> plan, _ = optimiser.plan(instance, scenarios=10)
>>> found = simulate(instance, plan.problem, {"optimised": plan.decisions})["optimised"]
>>> found.foresight.gap_gbp, found.foresight.gap_error_gbp

``draws`` holds what is the same whatever is decided, ``beds`` what is decided, ``matching`` who can live with whom, ``placing`` the
months, ``results`` what came of them, ``policy`` the search for protection levels, ``foresight`` the comparison with the
optimiser, ``summary`` the document.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from models.decisions import Decisions
    from models.problem import Problem
    from optimiser.analysis.simulation.foresight import Foresight
    from optimiser.analysis.simulation.placing import Policy
    from optimiser.analysis.simulation.policy import Searched
    from optimiser.analysis.simulation.results import Outcome
    from optimiser.demand.reduction import Reduction
    from optimiser.instance.schema import Instance

__all__ = ["Simulated", "simulate"]

#: Futures simulated, searched for protection levels, and placed by the optimiser for comparison, unless asked otherwise.
FUTURES, SEARCHED, PAIRED = 200, 50, 50


@dataclass(frozen=True, eq=False)
class Simulated:
    """One option as simulated."""

    instance: Instance
    problem: Problem  # the plan's
    decisions: Decisions
    policy: Policy
    outcome: Outcome  # with the protection levels found
    plain: Outcome  # protecting nothing; the same where nothing is protected
    searched: Searched | None
    foresight: Foresight | None


def simulate(
    instance: Instance,
    problem: Problem,
    options: Mapping[str, Decisions],
    *,
    futures: int = FUTURES,
    seed: int | None = None,
    search: int = SEARCHED,
    paired: int = PAIRED,
    take_apart: bool = False,
    workers: int = 1,
    told: Callable[[str], None] | None = None,
    reduction: Reduction | None = None,
) -> dict[str, Simulated]:
    """Simulate sets of decisions side by side on the same futures, which their problem has not seen.

    Parameters
    ----------
    instance
        The instance that the problem was assembled from.
    problem
        The problem that the decisions answer: its futures are passed over, its reviews kept.
    options
        Decisions by name, in the positions of ``problem``.
    futures
        How many to simulate.
    seed
        The seed that the problem's futures were drawn from; the instance's own where left out.
    search
        Further futures on which protection levels are searched; 0 protects nothing.
    paired
        How many of the simulated futures the optimiser places as well, for the foresight gap; 0 for none.
    take_apart
        Whether to say what the foresight gap is made of.
    workers
        Processes. The same bytes come out at any number.
    told
        Whom to tell how far it is.
    reduction
        The sample that the problem's futures stand for, where they are not themselves what the seed draws.

    Raises
    ------
    ValueError
        Where ``seed`` does not draw the futures that the problem was made on.
    """
    from optimiser.analysis.simulation import policy as policies
    from optimiser.analysis.simulation.draws import BLOCK, block_of, ground_of, unseen
    from optimiser.analysis.simulation.foresight import foresight, taken_apart
    from optimiser.analysis.simulation.run import simulated

    told = told or _nobody
    own = instance.settings.seed if seed is None else seed
    ground = ground_of(instance, problem)
    told("drawing futures that the plan has not seen")
    everything = unseen(instance, problem, futures + futures % 2 + search, seed=seed, reduction=reduction)
    judged = everything.first(futures)
    plain = policies.unprotected(problem)
    searched: dict[str, Searched] = {}
    if search and plain.pools:
        apart = everything.beyond(futures + futures % 2)
        blocks = [block_of(ground, apart.block(start), own) for start in range(0, search, BLOCK)]
        for name, decisions in options.items():
            told(f"searching protection levels: {name}")
            searched[name] = policies.search(ground, blocks, decisions)
        del blocks
    told("simulating children one by one")
    runs = {(name, False): (decisions, plain) for name, decisions in options.items()}
    for name, found in searched.items():
        if found.policy.protected.any():
            runs[name, True] = (options[name], found.policy)
    lived = simulated(ground, judged, runs, own, workers)
    outcomes = {name: lived.get((name, True), lived[name, False]) for name in options}
    gaps: dict[str, Foresight] = {}
    if paired:
        told("placing the same children with foresight")
        gaps = foresight(ground, judged, outcomes, options, own, paired)
    policy = {name: searched[name].policy if name in searched else plain for name in options}
    if gaps and take_apart:
        told("taking the foresight gap apart")
        gaps = taken_apart(ground, judged, gaps, {name: (options[name], policy[name]) for name in options}, own)
    return {
        name: Simulated(
            instance,
            problem,
            decisions,
            policy[name],
            outcomes[name],
            lived[name, False],
            searched.get(name),
            gaps.get(name),
        )
        for name, decisions in options.items()
    }


def _nobody(words: str) -> None:
    """Nobody is told."""
