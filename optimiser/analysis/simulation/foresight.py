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
from optimiser.analysis.simulation.placing import Policy
from optimiser.analysis.simulation.results import Outcome
from optimiser.analysis.simulation.run import lived_by
from optimiser.assemble import assemble
from optimiser.demand.scenarios import standard_error, taken
from optimiser.solve.engine import Placing
from optimiser.verify import Verified, verify

Floats = NDArray[np.float64]

#: Parts that each child and each bed is divided into where whole numbers are to play no part.
PARTS = 8


@dataclass(frozen=True, eq=False)
class Apart:
    """What the gap is made of, present real £, each [scenario]; the three add up to the gap of each future."""

    matching_gbp: Floats  # the gap, less what it is where every child matches every other
    whole_gbp: Floats  # that, less what it is where children are counted in parts, as the optimiser counts them
    unknown_gbp: Floats  # what is left: nobody knows who will come and who will leave


@dataclass(frozen=True, eq=False)
class Foresight:
    """Simulated and optimised cost of the same futures, present real £ without the deterrent, each [scenario]."""

    simulated_gbp: Floats
    optimised_gbp: Floats  # the optimiser by month, on the very same children
    in_periods_gbp: Floats  # the optimiser by its own periods, on the same arrivals, prices and dates
    simulated_child_weeks: Floats  # without a registered home
    optimised_child_weeks: Floats

    apart: Apart | None = None

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
        problem = alone(block_of(ground, some, seed).problem, count - start)
        periods = alone(_in_periods(ground, some), count - start)
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


def taken_apart(
    ground: Ground,
    futures: Unseen,
    gaps: Mapping[str, Foresight],
    options: Mapping[str, tuple[Decisions, Policy]],
    seed: int,
) -> dict[str, Foresight]:
    """The same gaps, taken apart: by simulation and optimiser without matching, and by simulation of divided children.

    Where everybody matches, both the simulation and the optimiser fill every bed; what is left of the gap is due to whole
    children and to not knowing ahead. Where each child and each bed is divided into ``PARTS`` as well, and children leave
    every place by the same share, hardly anything is due to whole children: one who leaves this home and not that.
    """
    found: dict[str, list[tuple[Floats, Floats]]] = {name: [] for name in gaps}
    count = len(next(iter(gaps.values())).simulated_gbp)
    placing = Placing()
    for start in range(0, count, BLOCK):
        block = block_of(ground, futures.first(count).block(start), seed)
        homes, lots = np.ones_like(block.home_in_demand), np.ones_like(block.lot_in_demand)
        everybody = replace(block.problem, home_occupancy=homes, lot_occupancy=lots)
        block = replace(block, problem=everybody, home_in_demand=homes, lot_in_demand=lots)
        problem = alone(block.problem, count - start)
        whole, divided = lived_by(ground, block, options), lived_by(ground, block, options, PARTS)
        for name, (decisions, _) in options.items():
            seen = _placed(placing, problem, decisions_by_month(ground, problem, decisions)).scenario_pounds
            found[name].append((whole[name].cost_gbp - seen, divided[name].cost_gbp - seen))
    apart = {}
    for name, gap in gaps.items():
        matched, left = (np.concatenate(parts) for parts in zip(*found[name], strict=True))
        total = gap.simulated_gbp - gap.optimised_gbp
        apart[name] = replace(gap, apart=Apart(total - matched, matched - left, left))
    return apart


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


def alone(problem: Problem, most: int) -> Problem:
    """The first futures of a problem without limits across futures."""
    some = problem.scenarios[:most]
    kept = tuple(replace(scenario, probability=1 / len(some)) for scenario in some)
    return replace(problem, scenarios=kept, local_limits=(), unregistered_limits=(), cvar_limit=None)


def _placed(placing: Placing, problem: Problem, decisions: Decisions) -> Verified:
    return verify(problem, decisions, placing.place(problem, decisions))
