"""Which assumed inputs matter most to what a plan costs.

The plan is held; one assumed figure at a time is moved to the ends of its range, and children are placed again on a few
common futures. That ranks inputs; how far one must move before the *decision* changes is another question.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from models.problem import Problem
from optimiser.assemble import assemble
from optimiser.demand.scenarios import make_scenarios
from optimiser.errors import OptimiserError
from optimiser.instance.distributions import Distribution
from optimiser.instance.register import evidence_for, range_of
from optimiser.instance.schema import Instance
from optimiser.plan import Plan
from optimiser.solve.engine import Engine
from optimiser.verify import verify

#: Common futures on which inputs are ranked.
FUTURES = 8


@dataclass(frozen=True)
class Swing:
    """How far the plan's expected cost moves when one assumed figure moves over its range, present real £."""

    figure: str
    low: float
    high: float
    cost_at_low: float
    cost_at_high: float
    child_weeks_at_low: float
    child_weeks_at_high: float

    @property
    def width(self) -> float:
        """Distance between the two costs."""
        return abs(self.cost_at_high - self.cost_at_low)


def with_figure(instance: Instance, key: str, value: float) -> Instance:
    """The instance with one figure moved; a distribution keeps its shape and takes the value as its mean."""
    table, _, rest = key.partition(".")
    if table == "settings":
        settings = instance.settings
        moved = _moved(getattr(settings, rest), value)
        return instance.model_copy(update={"settings": settings.model_copy(update={rest: moved})})
    row_key, _, column = rest.rpartition(".")
    rows = list(getattr(instance, table))
    for place, row in enumerate(rows):
        if instance.row_key(table, place) == row_key:
            rows[place] = row.model_copy(update={column: _moved(getattr(row, column), value)})
    return instance.model_copy(update={table: tuple(rows)})


def _moved(old: object, value: float) -> object:
    if isinstance(old, Distribution):
        return old.moved_to(value)
    return round(value) if isinstance(old, int) else value


def swings(
    instance: Instance, plan: Plan, seed: int | None = None, progress: Callable[[str], None] | None = None
) -> tuple[list[Swing], list[str]]:
    """Assumed figures of the model by how far they move the plan's cost, widest first; and those that could not be moved.

    Figures that only published results use, and counts of beds and homes that the plan itself depends on, are left out.
    """
    held = _Held(instance, plan, seed)
    values = instance.figure_values()
    found: list[Swing] = []
    stuck: list[str] = []
    for key in assumed_figures(instance):
        if progress is not None:
            progress(f"how much {key} matters")
        low, high = range_of(evidence_for(instance, key), values[key])
        at_low, at_high = (held.cost(with_figure(instance, key, end)) for end in (low, high))
        if at_low is None or at_high is None:
            stuck.append(key)
        else:
            found.append(Swing(key, low, high, at_low[0], at_high[0], at_low[1], at_high[1]))
    return sorted(found, key=lambda swing: (-swing.width, swing.figure)), stuck


def assumed_figures(instance: Instance) -> list[str]:
    """Keys of the figures that the model uses and the register marks as assumptions or calibrated with a range."""
    kept = []
    for key, value in instance.figure_values().items():
        table = key.partition(".")[0]
        if table in ("figures", "published", "decisions", "options") or isinstance(value, tuple):
            continue
        evidence = evidence_for(instance, key)
        if evidence.low and evidence.high and not _shapes_the_plan(key):
            kept.append(key)
    return kept


def _shapes_the_plan(key: str) -> bool:
    """Figures on which the positions of the plan's decisions depend: moving them would need another plan."""
    table, column = key.partition(".")[0], key.rpartition(".")[2]
    return column in {
        "beds",
        "available",
        "from_beds",
        "to_beds",
        "minimum_beds",
        "maximum_beds",
        "call_off_beds",
        "term_months",
        "months",
        "notice_months",
        "registrations_limit",
        "homes_per_manager",
        "limit_gbp",
        "asset_life_years",
        "borrowing_rate",
    } and not (table == "layers")


#: What decides where children can live: where none of it moves, the placements stand and only pounds move.
PLACEMENT_ARRAYS = (
    "arrivals",
    "stay",
    "step",
    "home_open",
    "lot_delivered",
    "extension_delivered",
    "supply_beds",
    "supply_extension_beds",
    "spot_layer_beds",
)
CAPACITY_ARRAYS = (
    "placed_at_start",
    "allowed",
    "breakdown",
    "mobility",
    "home_occupancy",
    "lot_occupancy",
    "guaranteed_share",
)


class _Held:
    """A plan held on the first few of its futures, to be priced under neighbouring instances."""

    def __init__(self, instance: Instance, plan: Plan, seed: int | None) -> None:
        count = min(FUTURES, len(plan.problem.scenarios))
        self._futures = None if instance.scenarios else count
        self._seed = seed
        self._plan = plan
        self._placements = plan.solution.placements
        self._problem = self._neighbour(instance)
        self._placements = self._placements[: len(self._problem.scenarios)]

    def _neighbour(self, instance: Instance) -> Problem:
        futures = make_scenarios(instance, self._futures, self._seed)
        problem = assemble(instance, futures, like=self._plan.problem)
        return replace(problem, local_limits=(), unregistered_limits=(), cvar_limit=None)

    def cost(self, instance: Instance) -> tuple[float, float] | None:
        """Expected cost, present real £, and child-weeks without a registered place; None where it cannot be priced."""
        decisions = self._plan.decisions
        try:
            problem = self._neighbour(instance)
            placements = self._placements
            if not _same_places(problem, self._problem):
                placements = Engine(problem).place(decisions).placements
        except (ValueError, OptimiserError):
            return None
        checked = verify(problem, decisions, placements)
        return checked.expected_cost, float(checked.unregistered_child_weeks.sum(axis=(1, 2)).mean())


def _same_places(one: Problem, other: Problem) -> bool:
    return all(np.array_equal(getattr(one, name), getattr(other, name)) for name in CAPACITY_ARRAYS) and all(
        np.array_equal(getattr(a, name), getattr(b, name))
        for a, b in zip(one.scenarios, other.scenarios, strict=True)
        for name in PLACEMENT_ARRAYS
    )
