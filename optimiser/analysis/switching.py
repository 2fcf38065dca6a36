"""What would change the decision: inputs jointly, and switching values, each found and checked by solving on both sides.

*Jointly*: all assumed figures are drawn at once from their ranges. *Switching values* (Green Book): how far one figure must
move before today's decisions are no longer the best, and before the saving is gone, by halving the distance. Futures are
common: each input draws from a stream of its own, so that only what is moved differs.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace

import numpy as np

from models.decisions import Decisions
from models.problem import Problem
from optimiser.analysis.appraisal import DO_NOTHING, best_plan, decisions_of
from optimiser.analysis.planning import (
    Asked,
    Told,
    instance_row,
    plan_seed,
    prepare,
    refuse_if_stopped,
    rounding,
    versions,
)
from optimiser.analysis.sensitivity import Held, Swing, assumed_figures, held_on, ranked, with_figure
from optimiser.assemble import assemble
from optimiser.demand.scenarios import make_scenarios
from optimiser.errors import OptimiserError
from optimiser.instance.register import evidence_for, mean_of, range_of
from optimiser.instance.schema import Instance
from optimiser.plan import Plan, Row, decisions_table, titles_of
from optimiser.solve.engine import WORKERS, Bounds, Engine, Found, stopped_by_hand
from optimiser.solve.executor import executor
from optimiser.solve.kept import Kept
from optimiser.solve.twostage import Settings
from optimiser.verify import verify

#: Futures of the plan, futures on which every input is measured, and draws of all inputs at once.
FUTURES, MEASURED, DRAWS = 10, 4, 20
#: Inputs for which it is sought where the decision changes, and for which, where the saving is gone.
SOUGHT, SAVED = 5, 12
#: Share of the cost that an input must move over its range to be said to matter: what a gap of a thousandth can tell.
MATTERS = 1e-3


# jointly


@dataclass(frozen=True)
class Joint:
    """All assumed figures drawn at once: cost of the plan and what it saves, present real £, [draw]."""

    cost: tuple[float, ...]
    saving: tuple[float, ...]
    left_out: int  # draws that no plan can be priced under


def jointly(
    instance: Instance,
    keys: Sequence[str],
    held: Held,
    nothing: Held,
    draws: int,
    seed: int,
    stop: threading.Event | None = None,
    told: Callable[[str], None] | None = None,
) -> Joint:
    """Figures drawn together, each evenly over its range and independent of the others (Latin hypercube)."""
    values = instance.figure_values()
    ranges = [range_of(evidence_for(instance, key), values[key]) for key in keys]
    random = np.random.Generator(np.random.Philox(key=seed))
    cells = np.array([random.permutation(draws) for _ in keys]).reshape(len(keys), draws)
    shares = (cells + random.random(cells.shape)) / draws
    cost, saving, left_out = [], [], 0
    for draw in range(draws):
        if stop is not None and stop.is_set():
            break
        if told is not None:
            told(f"all inputs together: {draw + 1} of {draws} draws")
        moved = instance
        for key, (low, high), share in zip(keys, ranges, shares[:, draw], strict=True):
            moved = with_figure(moved, key, low + float(share) * (high - low))
        priced, without = held.cost(moved), nothing.cost(moved)
        if priced is None or without is None:
            left_out += 1
            continue
        cost.append(priced[0])
        saving.append(without[0] - priced[0])
    return Joint(tuple(cost), tuple(saving), left_out)


# switching values


@dataclass(frozen=True)
class Side:
    """What is known at one value of a figure: the best plan, and the best with today's decisions, present real £.

    Objectives with their bounds; infinite where there is no such plan.
    """

    value: float
    best: float
    best_bound: float
    held: float
    held_bound: float

    @property
    def changed(self) -> bool:
        """Whether it is proven that today's decisions are not the best: some plan costs less than any with them can."""
        return self.best < self.held_bound - 1e-9 * abs(self.best)


@dataclass(frozen=True)
class Crossing:
    """Where something changes on the way to one end of a figure's range: it stands at one value and not at the other.

    None of both where it stands at the end.
    """

    end: float
    stands: float | None
    changes: float | None


def crossing(
    start: float, end: float, changed: Callable[[float], bool], tolerance: float, least: float = 0.0
) -> Crossing:
    """Halve the distance between a value at which something stands and one at which it does not.

    Parameters
    ----------
    start
        The figure's own value, at which it stands.
    tolerance
        Share of the distance from ``start`` to ``end`` at which to stop.
    least
        Distance below which nothing can change, as for whole numbers.
    """
    if start == end or not changed(end):
        return Crossing(end, None, None)
    stands, changes = start, end
    while abs(changes - stands) > max(tolerance * abs(end - start), least) * (1 + 1e-9):
        middle = (stands + changes) / 2
        if changed(middle):
            changes = middle
        else:
            stands = middle
    return Crossing(end, stands, changes)


def todays(problem: Problem, decisions: Decisions) -> Bounds:
    """Bounds that hold what is decided before the first review, and leave open what comes after."""
    bounds: Bounds = {}
    for place, begin in enumerate(problem.begins):
        if begin.node == 0:
            bounds["homes_begun", (begin.home, begin.node, begin.period)] = (float(decisions.homes_begun[place]),) * 2
    for place, (home, node, period) in enumerate(problem.closures):
        if node == 0:
            bounds["homes_closed", (home, node, period)] = (float(decisions.homes_closed[place]),) * 2
    for place, award in enumerate(problem.awards):
        if award.node == 0:
            index = award.lot, award.node, award.period
            bounds["lot_awarded", index] = (float(decisions.lot_awarded[place]),) * 2
            bounds["optional_beds", index] = (float(decisions.optional_beds[place]),) * 2
            for tier in range(len(problem.lot_tiers[award.lot])):
                beds = (float(decisions.beds_in_tier[place, tier]),) * 2
                bounds["beds_in_tier", (award.lot, tier, award.node, award.period)] = beds
    for place, extension in enumerate(problem.extensions):
        if extension.node == 0:
            bounds["extension_taken", place] = (float(decisions.extension_taken[place]),) * 2
    return bounds


class Decided:
    """Today's decisions against the best plan, as a figure moves; what one value teaches serves the next."""

    def __init__(self, instance: Instance, plan: Plan, kept: Kept | None, settings: Settings, seed: int | None) -> None:
        self._instance, self._plan, self._kept, self._settings, self._seed = instance, plan, kept, settings, seed
        self.sides: dict[tuple[str, float], Side] = {}
        self.plans: dict[tuple[str, float], Found] = {}

    def at(self, key: str, value: float) -> Side:
        """Both plans at one value of a figure."""
        if (key, value) not in self.sides:
            self.sides[key, value] = self._solved(key, value)
        return self.sides[key, value]

    def _solved(self, key: str, value: float) -> Side:
        problem = self._plan.problem
        moved = with_figure(self._instance, key, value)
        futures = make_scenarios(moved, len(problem.scenarios), self._seed)
        engine = Engine(assemble(moved, futures, risk_weight=problem.risk_weight, like=problem))
        if self._kept is not None:
            engine.take_up(self._kept)
        best = engine.search(self._settings)
        own = todays(engine.problem, self._plan.decisions)
        # where the best plan decides today what this one does, it is the best with these decisions as well
        same = isinstance(best, Found) and todays(engine.problem, best.decisions) == own
        held = best if same else engine.search(self._settings, bounds=own)
        if isinstance(best, Found):
            self.plans[key, value] = best
        return Side(
            value,
            _objective(engine.problem, best) if isinstance(best, Found) else np.inf,
            best.bound,
            _objective(engine.problem, held) if isinstance(held, Found) else np.inf,
            held.bound,
        )

    def todays_rows(self, key: str, value: float) -> list[Row]:
        """What the best plan decides today at one value of a figure."""
        found = self.plans.get((key, value))
        if found is None:
            return []
        return [row for row in decisions_table(self._plan.problem, found.decisions) if not row["branch"]]


def _objective(problem: Problem, found: Found) -> float:
    return verify(problem, found.decisions, found.placements).objective


# the document


def sensitivity(
    instance: Instance, asked: Asked, told: Told | None = None, *, sought: int = SOUGHT, tolerance: float = 0.1
) -> Row:
    """What moves the plan's cost, what would change today's decisions, and what would end the saving: one document.

    Parameters
    ----------
    asked
        As for a plan; ten futures where it names none.
    sought
        How many inputs switching values are sought for: the widest, and some that break a limit of the plan.
    tolerance
        Share of the distance from a figure to the end of its range to which a switching value is found.

    Raises
    ------
    InfeasibleError, NoPlanError, SolverError, InstanceError
        As for a plan.
    """
    told = told or Told()
    began = time.perf_counter()
    with stopped_by_hand() as stop, executor(asked.cluster, WORKERS) as pool:
        told.step("drawing futures and building the model")
        count = FUTURES if asked.scenarios is None else asked.scenarios
        instance, engine = prepare(instance, replace(asked, scenarios=count), pool)
        refuse_if_stopped(stop)
        settings = Settings(gap=asked.gap, time_limit=asked.time_limit, stop=stop)
        told.step("searching for the best plan")
        plan = best_plan(instance, engine, settings, told.search)
        keys = assumed_figures(instance)
        held = held_on(instance, plan, plan.decisions, MEASURED, asked.seed)
        idle = _nothing(instance, plan.problem)
        swings = ranked(instance, keys, held, stop, told.step)
        joint: Joint | None = None
        if not stop.is_set():
            nothing = held_on(instance, plan, idle, MEASURED, asked.seed)
            joint = jointly(instance, keys, held, nothing, DRAWS, plan_seed(plan, asked), stop, told.step)
        chosen = _chosen(swings, sought)
        decided = Decided(instance, plan, engine.keep(), settings, asked.seed)
        savings = _Savings(instance, plan, idle, asked.seed)
        ended = _saving_rows(instance, swings, savings, tolerance, stop, told)
        switching: list[Row] = []
        for place, swing in enumerate(chosen):
            if stop.is_set():
                break
            told.step(f"switching values: {swing.figure}, {place + 1} of {len(chosen)}")
            found = _switching_row(instance, swing, decided, savings, tolerance, stop)
            if found is not None:
                switching.append(found)
    cost, saving = savings.base_cost, savings.base
    threshold = MATTERS * abs(plan.verified.objective)
    return {
        "document": "sensitivity/1",
        "instance": instance_row(instance),
        "titles": titles_of(instance),
        "futures": len(plan.problem.scenarios),
        "futures_measured": min(MEASURED, len(plan.problem.scenarios)),
        "seed": plan_seed(plan, asked),
        "gap_asked": asked.gap,
        "tolerance": tolerance,
        "objective_gbp": plan.verified.objective,
        "bound_gbp": plan.solution.bound,
        "expected_cost_gbp": cost,
        "saving_gbp": saving,
        "rounding_gbp": rounding(plan.verified.expected_cost),
        "decisions": decisions_table(plan.problem, plan.decisions, plan),
        "inputs": len(keys),
        "matters_from_gbp": threshold,
        "tornado": [_tornado_row(instance, swing, threshold) for swing in swings],
        "not_moved": _not_moved(instance, keys),
        "joint": None if joint is None else _joint_row(joint),
        "switching": switching,
        "saving_gone": ended,
        "complete": not stop.is_set(),
        "versions": versions(),
        "timings": {"total_seconds": time.perf_counter() - began},
    }


def _chosen(swings: list[Swing], sought: int) -> list[Swing]:
    """Inputs whose switching values are sought, the widest first; those that break a limit of the plan have two places in five."""
    breaking = [swing for swing in swings if swing.broken][: -(-2 * sought // 5)]
    widest = [swing for swing in swings if swing not in breaking]
    chosen = [*breaking, *widest[: sought - len(breaking)]]
    return sorted(chosen, key=lambda swing: (-swing.width, swing.figure))


def _nothing(instance: Instance, problem: Problem) -> Decisions:
    """What doing nothing decides: the instance's own option of that name, or nothing at all."""
    option = next((row for row in instance.options if row.option == DO_NOTHING), None)
    return Decisions.none(problem) if option is None else decisions_of(instance, problem, option)


class _Savings:
    """What the plan saves against doing nothing as a figure moves, decisions held, present real £."""

    def __init__(self, instance: Instance, plan: Plan, idle: Decisions, seed: int | None) -> None:
        count = len(plan.problem.scenarios)
        self._instance = instance
        self._plan = held_on(instance, plan, plan.decisions, count, seed)
        self._idle = held_on(instance, plan, idle, count, seed)
        self.known: dict[tuple[str, float], float | None] = {}
        planned, idled = self._plan.cost(instance), self._idle.cost(instance)
        self.base_cost = plan.verified.expected_cost if planned is None else planned[0]
        self.base = None if planned is None or idled is None else idled[0] - planned[0]

    def gone_at(self, key: str) -> Callable[[float], bool]:
        """Whether the saving is gone at a value of a figure."""

        def gone(value: float) -> bool:
            saving = self.at(key, value)
            return saving is not None and saving <= 0

        return gone

    def at(self, key: str, value: float) -> float | None:
        """The saving at one value of a figure; None where it cannot be priced."""
        if (key, value) not in self.known:
            moved = with_figure(self._instance, key, value)
            planned, idle = self._plan.cost(moved), self._idle.cost(moved)
            self.known[key, value] = None if planned is None or idle is None else idle[0] - planned[0]
        return self.known[key, value]


def _switching_row(
    instance: Instance, swing: Swing, decided: Decided, savings: _Savings, tolerance: float, stop: threading.Event
) -> Row | None:
    """Where today's decisions change and where the saving is gone, towards both ends; None once stopped on the way."""
    key = swing.figure
    figure = instance.figure_values()[key]
    own, least = mean_of(figure), 1.0 if isinstance(figure, int) else 0.0

    def moved_too_far(value: float) -> bool:
        return not stop.is_set() and decided.at(key, value).changed

    row: Row = {"figure": key, "value": own, "low": swing.low, "high": swing.high, "decision": {}, "saving": {}}
    for name, end in (("low", swing.low), ("high", swing.high)):
        try:
            found = crossing(own, end, moved_too_far, tolerance, least)
        except (ValueError, OptimiserError) as error:
            row["decision"][name] = {"end": end, "refused": str(error)}
            continue
        if stop.is_set():
            return None
        row["decision"][name] = _decision_row(decided, key, own, found)
        row["saving"][name] = _saving_row(savings, key, crossing(own, end, savings.gone_at(key), tolerance, least), own)
    return row


def _saving_row(savings: _Savings, key: str, found: Crossing, own: float) -> Row:
    """Where the saving is gone, and what it is on both sides."""
    stands = own if found.stands is None else found.stands
    return asdict(found) | {
        "saving_where_it_stands_gbp": savings.base if stands == own else savings.at(key, stands),
        "saving_beyond_gbp": savings.at(key, found.end if found.changes is None else found.changes),
    }


def _saving_rows(
    instance: Instance, swings: list[Swing], savings: _Savings, tolerance: float, stop: threading.Event, told: Told
) -> list[Row]:
    """Where the saving is gone as each of the widest inputs moves, decisions held; none where there is no saving."""
    rows: list[Row] = []
    for place, swing in enumerate(swings[:SAVED]):
        if stop.is_set() or savings.base is None or savings.base <= 0:
            break
        told.step(f"where the saving is gone: {place + 1} of {min(SAVED, len(swings))}")
        key = swing.figure
        figure = instance.figure_values()[key]
        own, least = mean_of(figure), 1.0 if isinstance(figure, int) else 0.0
        row: Row = {"figure": key, "value": own}
        for name, end in (("low", swing.low), ("high", swing.high)):
            row[name] = _saving_row(savings, key, crossing(own, end, savings.gone_at(key), tolerance, least), own)
        rows.append(row)
    return rows


def _decision_row(decided: Decided, key: str, own: float, found: Crossing) -> Row:
    """A switching value with what was solved on both sides of it, and what would be decided beyond."""
    if found.changes is None or found.stands is None:
        side = None if found.end == own else decided.at(key, found.end)
        return asdict(found) | {
            "stands_at": None if side is None else _side_row(side),
            "changes_at": None,
            "decisions": [],
        }
    return asdict(found) | {
        "stands_at": _side_row(decided.at(key, found.stands)),
        "changes_at": _side_row(decided.at(key, found.changes)),
        "decisions": decided.todays_rows(key, found.changes),
    }


def _side_row(side: Side) -> Row:
    return {
        "value": side.value,
        **{
            f"{name}_gbp": amount if np.isfinite(amount) else None
            for name, amount in (
                ("best", side.best),
                ("best_bound", side.best_bound),
                ("held", side.held),
                ("held_bound", side.held_bound),
            )
        },
        "changed": side.changed,
    }


def _tornado_row(instance: Instance, swing: Swing, threshold: float) -> Row:
    evidence = evidence_for(instance, swing.figure)
    return {
        "figure": swing.figure,
        "evidence": evidence.evidence,
        "value": mean_of(instance.figure_values()[swing.figure]),
        "low": swing.low,
        "high": swing.high,
        "cost_at_low_gbp": swing.cost_at_low,
        "cost_at_high_gbp": swing.cost_at_high,
        "width_gbp": swing.width,
        "child_weeks_at_low": swing.child_weeks_at_low,
        "child_weeks_at_high": swing.child_weeks_at_high,
        "limits_broken": list(swing.broken),
        "matters": bool(swing.width >= threshold or swing.broken),
    }


def _not_moved(instance: Instance, keys: Sequence[str]) -> list[str]:
    """Assumed figures with a range on which the shape of the decisions depends, so that holding a plan means nothing."""
    return [key for key in assumed_figures(instance, shaping=True) if key not in set(keys)]


def _joint_row(joint: Joint) -> Row:
    cost, saving = np.array(joint.cost), np.array(joint.saving)
    if not len(cost):
        return {"draws": 0, "left_out": joint.left_out}
    return {
        "draws": len(cost),
        "left_out": joint.left_out,
        **{
            f"{name}_{words}_gbp": float(np.quantile(amounts, level))
            for name, amounts in (("cost", cost), ("saving", saving))
            for words, level in (("p10", 0.1), ("p50", 0.5), ("p90", 0.9))
        },
        "share_that_saves": float((saving > 0).mean()),
    }
