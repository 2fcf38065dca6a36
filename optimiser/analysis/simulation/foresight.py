"""The foresight gap: what a plan costs when nobody knows the future, less what the optimiser says of the same futures.

The optimiser places the very children simulated (its realised stays are theirs) under the same decisions, by month, knowing
each future whole and counting children in fractions. What it does by longer periods is priced beside it, so that no part
of the gap is an artefact of when things are counted.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import SimpleNamespace
from typing import cast

import numpy as np
from numpy.typing import NDArray

from models.decisions import Decisions
from models.problem import Problem
from optimiser.analysis.simulation.draws import BLOCK, Ground, Unseen, block_of, decisions_by_month
from optimiser.analysis.simulation.results import Outcome
from optimiser.assemble import assemble
from optimiser.demand.scenarios import standard_error, taken
from optimiser.solve.engine import Placing
from optimiser.verify import Verified, verify

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Foresight:
    """Simulated and optimised cost of the same futures, present real £ without the deterrent, each [scenario]."""

    simulated_gbp: Floats
    optimised_gbp: Floats  # the optimiser by month, on the very same children
    in_periods_gbp: Floats  # the optimiser by its own periods, on the same arrivals, prices and dates
    simulated_child_weeks: Floats  # without a registered home
    optimised_child_weeks: Floats

    @property
    def gap_gbp(self) -> float:
        """Simulated less optimised, mean."""
        return float((self.simulated_gbp - self.optimised_gbp).mean())

    @property
    def gap_error_gbp(self) -> float | None:
        """Standard error of the gap."""
        return standard_error(self.simulated_gbp - self.optimised_gbp)

    @property
    def gap_share(self) -> float:
        """The gap as a share of what the optimiser says."""
        return self.gap_gbp / float(self.optimised_gbp.mean()) if self.optimised_gbp.mean() else 0.0

    @property
    def periods_gbp(self) -> float:
        """What counting by month adds to what the optimiser says by its own periods, mean."""
        return float((self.optimised_gbp - self.in_periods_gbp).mean())

    @property
    def periods_error_gbp(self) -> float | None:
        """Standard error of that."""
        return standard_error(self.optimised_gbp - self.in_periods_gbp)


def foresight(
    ground: Ground,
    futures: Unseen,
    outcomes: Mapping[str, Outcome],
    decisions: Mapping[str, Decisions],
    seed: int,
    count: int,
) -> dict[str, Foresight]:
    """The gap of each option on the first ``count`` futures simulated."""
    count = min(count, len(futures.numbers))
    by_month: dict[str, list[Verified]] = {name: [] for name in decisions}
    in_periods: dict[str, list[Verified]] = {name: [] for name in decisions}
    weeks: dict[str, list[Floats]] = {name: [] for name in decisions}
    placing = Placing()
    for start in range(0, count, BLOCK):
        some = futures.block(start)
        problem = _alone(block_of(ground, some, seed).problem, count - start)
        periods = _alone(_in_periods(ground, some), count - start)
        for name, chosen in decisions.items():
            monthly = decisions_by_month(ground, problem, chosen)
            by_month[name].append(_placed(placing, problem, monthly))
            in_periods[name].append(_placed(placing, periods, chosen))
            inside = slice(start, start + len(problem.scenarios))
            weeks[name].append(outcomes[name].children[inside, :, -1].sum(axis=1) @ problem.weeks)
    return {
        name: Foresight(
            outcomes[name].cost_gbp[:count],
            np.concatenate([found.scenario_pounds for found in by_month[name]]),
            np.concatenate([found.scenario_pounds for found in in_periods[name]]),
            np.concatenate(weeks[name]),
            np.concatenate([found.unregistered_child_weeks.sum(axis=(1, 2)) for found in by_month[name]]),
        )
        for name in decisions
    }


def _in_periods(ground: Ground, some: Unseen) -> Problem:
    """The futures in the plan's own periods, as it would have seen them."""
    plan = ground.plan
    like = SimpleNamespace(
        nodes=plan.nodes,
        awards=plan.awards,
        extensions=plan.extensions,
        scenarios=[SimpleNamespace(path=path) for path in some.paths],
    )
    settings = ground.instance.settings.model_copy(update={"periods": _periods(ground)})
    instance = ground.instance.model_copy(update={"settings": settings})
    return assemble(instance, taken(some.futures, np.arange(len(some.numbers))), like=cast(Problem, like))


def _periods(ground: Ground) -> str:
    return " ".join(f"1x{length}" for length in ground.calendar.length)


def _alone(problem: Problem, most: int) -> Problem:
    """The first futures of a problem without limits across futures."""
    some = problem.scenarios[:most]
    kept = tuple(replace(scenario, probability=1 / len(some)) for scenario in some)
    return replace(problem, scenarios=kept, local_limits=(), unregistered_limits=(), cvar_limit=None)


def _placed(placing: Placing, problem: Problem, decisions: Decisions) -> Verified:
    return verify(problem, decisions, placing.place(problem, decisions))
