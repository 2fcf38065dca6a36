"""Which assumed inputs matter most to what a plan costs.

The plan is held; one assumed figure at a time is moved to the ends of its range, and children are placed again on a few
common futures. That ranks inputs; how far one must move before the *decision* changes is asked in ``switching``.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from models.decisions import Decisions
from models.problem import Problem
from optimiser.assemble import assemble
from optimiser.demand.reduction import Reduction
from optimiser.demand.scenarios import ScenarioSet, average_scenario, make_scenarios, taken
from optimiser.errors import Fault, InstanceError, OptimiserError
from optimiser.instance.distributions import Distribution
from optimiser.instance.register import evidence_for, mean_of, range_of
from optimiser.instance.schema import Instance
from optimiser.plan import Plan, Row, present_terms
from optimiser.solve.engine import Placing
from optimiser.verify import verify

#: Common futures on which inputs are measured, and how many inputs are.
FUTURES = 4
SCREENED = 5


@dataclass(frozen=True)
class Priced:
    """What decisions cost where a figure is moved.

    Parameters
    ----------
    cost : expected, present real £; ``terms`` the same by cost term
    child_weeks : expected, without a registered place
    broken : limits no longer kept
    """

    cost: float
    child_weeks: float
    broken: tuple[str, ...]
    terms: tuple[Row, ...]


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
    broken: tuple[str, ...] = ()  # limits that the plan no longer keeps at one of the ends
    terms_at_low: tuple[Row, ...] = ()
    terms_at_high: tuple[Row, ...] = ()

    @property
    def width(self) -> float:
        """Distance between the two costs."""
        return abs(self.cost_at_high - self.cost_at_low)


def with_figure(instance: Instance, key: str, value: float) -> Instance:
    """The instance with one figure moved; a distribution keeps its shape and takes the value as its mean.

    Raises
    ------
    InstanceError
        Where the instance has no figure of that name.
    """
    table, _, rest = key.partition(".")
    if key not in instance.figure_values():
        fix = "Name a figure of the register of evidence, as cohorts.NAME.arrivals_per_month."
        raise InstanceError([Fault("the figures", None, "", key, "is no figure of the instance", fix)])
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
    instance: Instance,
    plan: Plan,
    seed: int | None = None,
    progress: Callable[[str], None] | None = None,
    reduction: Reduction | None = None,
) -> list[Swing]:
    """Assumed figures of the model by how far they move the plan's cost, widest first.

    All are screened on the average future; the widest are then measured on a few of the plan's own. Figures that only
    published results use, and those that the shape of the decisions depends on, are left out.
    """
    if progress is not None:
        progress("which assumptions matter most")
    likely = _screened(instance, Held(instance, _on_one_path(plan), plan.decisions, average_scenario))
    held = held_on(instance, plan, plan.decisions, FUTURES, seed, reduction)
    return ranked(instance, likely, lambda key, value: held.cost(with_figure(instance, key, value)))


def held_on(
    instance: Instance,
    plan: Plan,
    decisions: Decisions,
    count: int,
    seed: int | None,
    reduction: Reduction | None = None,
    placing: Placing | None = None,
) -> Held:
    """Decisions held on the first of the plan's futures, wherever in a larger sample they stood.

    With ``placing``, other decisions held in the same problems share what is compiled for each.
    """
    count = min(count, len(plan.problem.scenarios))

    def draw(changed: Instance) -> ScenarioSet:
        if reduction is None:
            return make_scenarios(changed, count, seed)
        own = reduction.kept[:count]
        return taken(make_scenarios(changed, int(own.max()) + 1, seed), own)

    return Held(instance, plan.problem, decisions, draw, placing)


def _screened(instance: Instance, held: Held) -> list[str]:
    """Figures that move the cost of the average future most, each moved to the end of its range that is further off."""
    values = instance.figure_values()
    base = held.cost(instance)
    moved: list[tuple[float, str]] = []
    for key in assumed_figures(instance):
        ends = range_of(evidence_for(instance, key), values[key])
        further = max(ends, key=lambda end: abs(end - mean_of(values[key])))
        cost = held.cost(with_figure(instance, key, further))
        if cost is not None and base is not None:
            moved.append((-abs(cost.cost - base.cost), key))
    return [key for _, key in sorted(moved)[:SCREENED]]


def _on_one_path(plan: Plan) -> Problem:
    """The plan's problem with one future, on the path that most futures take."""
    paths = [scenario.path for scenario in plan.problem.scenarios]
    likeliest = plan.problem.scenarios[paths.index(max(paths, key=paths.count))]
    return replace(plan.problem, scenarios=(replace(likeliest, probability=1.0),))


def ranked(
    instance: Instance,
    keys: Sequence[str],
    priced: Callable[[str, float], Priced | None],
    stop: threading.Event | None = None,
    told: Callable[[str], None] | None = None,
) -> list[Swing]:
    """Figures by how far they move the cost of what is held, widest first; those that cannot be priced are left out.

    ``priced`` says what it costs at a value of a figure.
    """
    values = instance.figure_values()
    found: list[Swing] = []
    for place, key in enumerate(keys):
        if stop is not None and stop.is_set():
            break
        if told is not None:
            told(f"one input at a time: {place + 1} of {len(keys)}")
        low, high = range_of(evidence_for(instance, key), values[key])
        at_low, at_high = (priced(key, end) for end in (low, high))
        if at_low is not None and at_high is not None:
            broken = tuple(dict.fromkeys((*at_low.broken, *at_high.broken)))
            costs, weeks = (at_low.cost, at_high.cost), (at_low.child_weeks, at_high.child_weeks)
            found.append(Swing(key, low, high, *costs, *weeks, broken, at_low.terms, at_high.terms))
    return sorted(found, key=lambda swing: (-swing.width, swing.figure))


def assumed_figures(instance: Instance, *, shaping: bool = False) -> list[str]:
    """Keys of the figures that the model uses and the register marks as assumptions or calibrated with a range.

    Those on which the shape of the decisions depends only where asked for (``shaping``).
    """
    kept = []
    for key, value in instance.figure_values().items():
        table = key.partition(".")[0]
        if table in ("figures", "budget", "published", "decisions", "options", "stresses") or isinstance(value, tuple):
            continue
        evidence = evidence_for(instance, key)
        if evidence.low != evidence.high and evidence.low and evidence.high and (shaping or not _shapes_the_plan(key)):
            kept.append(key)
    return kept


def _shapes_the_plan(key: str) -> bool:
    """Figures on which the positions of the plan's decisions depend: moving them would need another plan."""
    table, column = key.partition(".")[0], key.rpartition(".")[2]
    return (
        column
        in {
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
        }
        and table != "layers"
    )


#: What decides where children can live: where none of it moves, the placements stand and only pounds move.
PLACEMENT_ARRAYS = (
    "arrivals",
    "stay",
    "step",
    "breakdown",
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
    "mobility",
    "home_occupancy",
    "lot_occupancy",
    "guaranteed_share",
    "void_price_share",
)


class Held:
    """Decisions held on a few futures, to be priced under neighbouring instances."""

    def __init__(
        self,
        instance: Instance,
        like: Problem,
        decisions: Decisions,
        draw: Callable[[Instance], ScenarioSet],
        placing: Placing | None = None,
    ) -> None:
        self._like, self._draw, self._decisions = like, draw, decisions
        self._problem = self.neighbour(instance)
        self._placing = placing or Placing()
        self._placements = self._placing.place(self._problem, decisions)

    def neighbour(self, instance: Instance) -> Problem:
        """The problem of a neighbouring instance, without limits across futures.

        Raises ``ValueError`` or an ``OptimiserError`` where the decisions have no place in it.
        """
        problem = assemble(instance, self._draw(instance), like=self._like)
        return replace(problem, local_limits=(), unregistered_limits=(), cvar_limit=None)

    def cost(self, instance: Instance) -> Priced | None:
        """What the decisions cost under a neighbouring instance; None where they cannot be priced."""
        try:
            return self.priced(self.neighbour(instance))
        except (ValueError, OptimiserError):
            return None

    def priced(self, problem: Problem) -> Priced:
        """What the decisions cost in a neighbouring problem. Raises as ``neighbour``."""
        decisions, placements = self._decisions, self._placements
        if not _same_places(problem, self._problem):
            placements = self._placing.place(problem, decisions)
        checked = verify(problem, decisions, placements)
        broken = tuple(dict.fromkeys(violation.rule for violation in checked.violations))
        probability = np.array([scenario.probability for scenario in problem.scenarios])
        weeks = float(probability @ checked.unregistered_child_weeks.sum(axis=(1, 2)))
        return Priced(checked.expected_cost, weeks, broken, tuple(present_terms(problem, checked)))


def _same_places(one: Problem, other: Problem) -> bool:
    if one.lot_layers != other.lot_layers:
        return False
    return all(np.array_equal(getattr(one, name), getattr(other, name)) for name in CAPACITY_ARRAYS) and all(
        np.array_equal(getattr(a, name), getattr(b, name))
        for a, b in zip(one.scenarios, other.scenarios, strict=True)
        for name in PLACEMENT_ARRAYS
    )
