"""What would change the decision: inputs jointly, and switching values, each found and checked by solving on both sides.

*Jointly*: all assumed figures are drawn at once from their ranges. *Switching values* (Green Book): how far one figure must
move before today's decisions are no longer the best, and before the saving is gone, by halving the distance. Futures are
common: each input draws from a stream of its own, so that only what is moved differs.

A switching value is defined by costs, never by which of two plans a solver happens to return within its gap. On its near
side no plan is cheaper than the best with today's decisions, but for the hundredth part of the gap to which both are
searched for; on its far side a named other plan costs less than any with today's decisions can, by the bound on those.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial

import numpy as np

from models.decisions import Decisions
from models.problem import Problem
from optimiser.analysis.appraisal import best_plan, decisions_of, doing_nothing
from optimiser.analysis.planning import (
    Asked,
    Told,
    asked_row,
    instance_row,
    plan_before,
    plan_seed,
    prepare,
    refuse_if_stopped,
    rounding,
    versions,
)
from optimiser.analysis.sensitivity import Priced, Swing, assumed_figures, held_on, ranked, with_figure
from optimiser.analysis.slippage import difference
from optimiser.assemble import assemble
from optimiser.demand.scenarios import make_scenarios
from optimiser.errors import OptimiserError, SolverError
from optimiser.instance.register import evidence_for, mean_of, range_of
from optimiser.instance.schema import Instance
from optimiser.plan import Plan, Row, decisions_table, titles_of
from optimiser.solve.compile import scenarios_of
from optimiser.solve.engine import WORKERS, Bounds, Engine, Found, Placing, stopped_by_hand
from optimiser.solve.executor import executor
from optimiser.solve.kept import Kept
from optimiser.solve.twostage import Settings, TwoStageSolution
from optimiser.verify import verify

#: Futures of the plan, on which every input is measured, and draws of all inputs at once.
FUTURES, DRAWS = 10, 20
#: Plans that decide otherwise today, found for one value, that are tried at the next before any is searched for.
TRIED = 3
#: Share of the cost that an input must move over its range to be said to matter: what a gap of a thousandth can tell.
MATTERS = 1e-3
#: Part of the gap asked for to which a side of a switching value is solved: plans that compete there differ by less than it.
CLOSER = 0.01
#: Share of a cost that is rounding, and that solvers' tolerances come to.
ROUNDED, AGREED = 1e-9, 1e-6


#: Figures moved, each with its value.
Moves = tuple[tuple[str, float], ...]


def moved(instance: Instance, moves: Moves) -> Instance:
    """The instance with some figures moved."""
    for key, value in moves:
        instance = with_figure(instance, key, value)
    return instance


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
    savings: Savings,
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
        moves = tuple(
            (key, low + float(share) * (high - low))
            for key, (low, high), share in zip(keys, ranges, shares[:, draw], strict=True)
        )
        priced, saved = savings.priced(moves), savings.at(moves)
        if priced is None or saved is None:
            left_out += 1
            continue
        cost.append(priced.cost)
        saving.append(saved)
    return Joint(tuple(cost), tuple(saving), left_out)


# switching values


@dataclass(frozen=True)
class Side:
    """What is known at one value of a figure: the best plan, and the best with today's decisions, present real £.

    Objectives with their bounds; infinite where there is no such plan. ``within`` is how much dearer than the best,
    relative to their cost, today's decisions may be and still stand.
    """

    best: float
    best_bound: float
    held: float
    held_bound: float
    within: float = 0.0

    @property
    def changed(self) -> bool:
        """Whether it is proven that today's decisions are not the best: some plan costs less than any with them can."""
        return self.best < self.held_bound - ROUNDED * abs(self.best)

    @property
    def stands(self) -> bool:
        """Whether it is proven that no plan costs less than the best with today's decisions, but for ``within``."""
        if self.changed or not np.isfinite(self.held):
            return False
        return self.held - self.best_bound <= (self.within + ROUNDED) * abs(self.held)

    @property
    def agrees(self) -> bool:
        """Whether no bound lies above the cost of a plan that it bounds."""
        rounding = AGREED * abs(self.held if np.isfinite(self.held) else self.best)
        least = min(self.best, self.held)
        return not (self.best_bound > least + rounding or self.held_bound > self.held + rounding)

    @property
    def established(self) -> str:
        """What is proven here: today's decisions stand, other decisions are better, there is no plan at all, or nothing."""
        if self.changed:
            return "changes"
        if self.best == self.best_bound == np.inf:
            return "no plan"
        return "stands" if self.stands else "open"


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
    while abs(changes - stands) > max(tolerance * abs(end - start), least) * (1 + ROUNDED):
        middle = (stands + changes) / 2
        if least >= 1:
            middle = float(round(middle))
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
    """Today's decisions against the best plan, as figures move; what one value teaches serves the next."""

    def __init__(self, instance: Instance, plan: Plan, kept: Kept | None, settings: Settings, seed: int | None) -> None:
        self._instance, self._plan, self._kept, self._settings, self._seed = instance, plan, kept, settings, seed
        self._like = Engine(plan.problem)  # never searched: its compiled placement problem serves others that it fits
        self._near: dict[tuple[str, ...], Kept] = {}
        self._others: list[Decisions] = []
        self.sides: dict[Moves, Side] = {}
        self.plans: dict[Moves, Found] = {}

    def at(self, moves: Moves, likely: bool = False) -> Side:
        """Both plans at one value of a figure, or of several at once.

        They are searched for to the gap asked for, and where that does not prove that today's decisions are beaten, closely.
        Where a change is ``likely``, plans that were found for other values are tried first: one that is proven to cost less
        than any with today's decisions spares the search for the best, whose bound is then below all (-inf).
        """
        if moves not in self.sides:
            engine = self._engine(moves)
            self.sides[moves] = self._solved(engine, moves, likely)
            if not self.sides[moves].changed:
                self._closely(engine, moves)
        return self.sides[moves]

    def closely(self, moves: Moves) -> Side:
        """The same with both plans searched for closely, whatever the one is proven to be against the other."""
        known = self.at(moves)
        if known.changed:
            self._closely(self._engine(moves), moves)
        return self.sides[moves]

    def _solved(self, engine: Engine, moves: Moves, likely: bool) -> Side:
        """Both plans to the gap asked for."""
        problem = engine.problem
        own = todays(problem, self._plan.decisions)
        held: Found | TwoStageSolution | None = None
        other: Found | None = None
        if likely and self._others:
            held = engine.search(self._settings, bounds=own)
            other, objective = self._cheapest(engine)
            if other is not None and objective < held.bound - ROUNDED * abs(objective):
                self.plans[moves] = other
                return self._side(problem, replace(other, bound=-np.inf), held)
        best = engine.search(self._settings, start=None if other is None else other.decisions)
        # where the best plan decides today what this one does, it is the best with these decisions as well
        if isinstance(best, Found) and todays(problem, best.decisions) == own:
            held = best
        elif held is None:
            held = engine.search(self._settings, bounds=own)
        self._remember(engine, moves, best, held)
        return self._side(problem, best, held)

    def _closely(self, engine: Engine, moves: Moves) -> None:
        """Both plans to a small part of the gap asked for, each from the one that is known; bounds never get worse."""
        problem, known = engine.problem, self.sides[moves]
        own = todays(problem, self._plan.decisions)
        closer = replace(self._settings, gap=CLOSER * self._settings.gap)
        start = self.plans.get(moves)
        best = engine.search(closer, start=None if start is None else start.decisions)
        if start is not None and (not isinstance(best, Found) or _objective(problem, best) > known.best):
            best = replace(start, bound=best.bound)
        same = isinstance(best, Found) and todays(problem, best.decisions) == own
        held = best if same else engine.search(closer, bounds=own)
        self._remember(engine, moves, best, held)
        found = self._side(problem, best, held)
        both = replace(
            found,
            best_bound=max(known.best_bound, found.best_bound),
            held=min(known.held, found.held),
            held_bound=max(known.held_bound, found.held_bound),
        )
        # a bound above the cost of a verified plan proves nothing: then only what is found from nothing counts
        self.sides[moves] = both if both.agrees else self._from_nothing(moves, closer)

    def _from_nothing(self, moves: Moves, settings: Settings) -> Side:
        """Both plans by engines that start from nothing.

        Raises
        ------
        SolverError
            Where their bounds contradict their plans too.
        """
        engine = self._engine(moves, taught=False)
        own = todays(engine.problem, self._plan.decisions)
        best = engine.search(settings)
        held = self._engine(moves, taught=False).search(settings, bounds=own)
        if isinstance(best, Found):
            self.plans[moves] = best
        found = self._side(engine.problem, best, held)
        if not found.agrees:
            raise SolverError(f"the search gives a bound above the cost of a plan it found, with {moves}")
        return found

    def _remember(
        self, engine: Engine, moves: Moves, best: Found | TwoStageSolution, held: Found | TwoStageSolution
    ) -> None:
        """What this value taught, for the next."""
        kept = engine.keep()
        if kept is not None:
            self._near[tuple(key for key, _ in moves)] = kept
        if isinstance(best, Found):
            self.plans[moves] = best
            if held is not best:
                problem, own = engine.problem, todays(engine.problem, best.decisions)
                others = [other for other in self._others if todays(problem, other) != own]
                self._others = [best.decisions, *others][:TRIED]

    def _engine(self, moves: Moves, taught: bool = True) -> Engine:
        """An engine at one value, which starts from what was learned nearest to it, or from nothing."""
        like = self._plan.problem
        instance = moved(self._instance, moves)
        futures = make_scenarios(instance, len(like.scenarios), self._seed)
        problem = assemble(instance, futures, risk_weight=like.risk_weight, like=like)
        template = self._like.template
        if template.fits(problem):
            engine = self._like.under(problem)
            engine.two_stage = replace(engine.two_stage, scenarios=scenarios_of(problem, template))
        else:
            engine = Engine(problem)
        kept = self._near.get(tuple(key for key, _ in moves), self._kept)
        if kept is not None and taught:
            engine.take_up(kept)
        return engine

    def _cheapest(self, engine: Engine) -> tuple[Found | None, float]:
        """The cheapest here of the plans found elsewhere, and its objective; none that breaks a limit."""
        best: Found | None = None
        least = np.inf
        for decisions in self._others:
            found = engine.place(decisions)
            checked = verify(engine.problem, found.decisions, found.placements)
            if not checked.violations and checked.objective < least:
                best, least = found, checked.objective
        return best, least

    def _side(self, problem: Problem, best: Found | TwoStageSolution, held: Found | TwoStageSolution) -> Side:
        return Side(
            _objective(problem, best) if isinstance(best, Found) else np.inf,
            best.bound,
            _objective(problem, held) if isinstance(held, Found) else np.inf,
            held.bound,
            within=2 * CLOSER * self._settings.gap,
        )

    def todays_rows(self, moves: Moves) -> list[Row]:
        """What the best plan decides today at one value of a figure."""
        found = self.plans.get(moves)
        if found is None:
            return []
        return [row for row in decisions_table(self._plan.problem, found.decisions) if not row["branch"]]


def _objective(problem: Problem, found: Found) -> float:
    return verify(problem, found.decisions, found.placements).objective


# the document


def sensitivity(
    instance: Instance, asked: Asked, told: Told | None = None, *, sought: int | None = None, tolerance: float = 0.1
) -> Row:
    """What moves the plan's cost, what would change today's decisions, and what would end the saving: one document.

    Parameters
    ----------
    asked
        As for a plan; ten futures where it names none.
    sought
        How many inputs it is sought for where today's decisions change: the widest, and some that break a limit of the plan;
        all where left out.
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
        asked = replace(asked, scenarios=FUTURES if asked.scenarios is None else asked.scenarios)
        unchanged = instance
        instance, engine = prepare(instance, asked, pool)
        refuse_if_stopped(stop)
        settings = Settings(gap=asked.gap, time_limit=asked.time_limit, stop=stop)
        before: Row | None = None
        if asked.slippage.any:
            before, _ = plan_before(unchanged, engine, asked, settings, told)
        told.step("searching for the best plan")
        # as closely as the sides of switching values are solved: at the inputs' own values today's decisions must stand
        plan = best_plan(instance, engine, replace(settings, gap=CLOSER * asked.gap), told.search)
        seed = plan_seed(plan, asked)
        changed = None if before is None else difference(engine, plan, before, asked.slippage.words, seed)
        keys = assumed_figures(instance)
        savings = Savings(instance, plan, asked.seed)
        swings = ranked(instance, keys, lambda key, value: savings.priced(((key, value),)), stop, told.step)
        search = _Search(
            instance, savings, Decided(instance, plan, engine.keep(), settings, asked.seed), tolerance, stop
        )
        ended = [] if savings.base is None or savings.base <= 0 else search.saving_rows(swings, told)
        joint = None if stop.is_set() else jointly(instance, keys, savings, DRAWS, seed, stop, told.step)
        threshold = MATTERS * abs(plan.verified.objective)
        chosen = swings if sought is None else _chosen(swings, sought)
        switching = search.switching_rows(chosen, threshold, told)
        together = search.together_rows(swings, told) if sought != 0 else {}
    rows = {row["figure"]: row for row in switching}
    gone = {row["figure"]: row for row in ended}
    return {
        "document": "sensitivity/1",
        "instance": instance_row(instance),
        "titles": titles_of(instance),
        "futures": len(plan.problem.scenarios),
        "seed": seed,
        "gap_asked": asked.gap,
        "gap_of_sides": CLOSER * asked.gap,
        "tolerance": tolerance,
        "slipped": asked.slippage.words,
        "changed": changed,
        "objective_gbp": plan.verified.objective,
        "bound_gbp": plan.solution.bound,
        "expected_cost_gbp": savings.base_cost,
        "doing_nothing_gbp": None if savings.base is None else savings.base_cost + savings.base,
        "saving_gbp": savings.base,
        "terms": savings.terms,
        "doing_nothing_terms": savings.idle_terms,
        "asked": asked_row(plan, asked),
        "rounding_gbp": rounding(plan.verified.expected_cost),
        "decisions": decisions_table(plan.problem, plan.decisions, plan),
        "inputs": len(keys),
        "matters_from_gbp": threshold,
        "tornado": [
            _tornado_row(instance, swing, threshold, rows.get(swing.figure), gone.get(swing.figure)) for swing in swings
        ],
        "not_moved": _not_moved(instance, keys),
        "joint": None if joint is None else _joint_row(joint),
        "together": together,
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


class Savings:
    """What the plan costs, and saves against doing nothing, as figures move, decisions held, present real £."""

    def __init__(self, instance: Instance, plan: Plan, seed: int | None) -> None:
        count = len(plan.problem.scenarios)
        idle = decisions_of(instance, plan.problem, doing_nothing(instance))
        self._instance = instance
        placing = Placing()
        self._plan = held_on(instance, plan, plan.decisions, count, seed, placing=placing)
        self._idle = held_on(instance, plan, idle, count, seed, placing=placing)
        self._known: dict[Moves, tuple[Priced, Priced] | None] = {}
        self.base = self.at(())
        planned = self.priced(())
        self.base_cost = plan.verified.expected_cost if planned is None else planned.cost
        known = self._known[()]
        self.terms, self.idle_terms = ([], []) if known is None else (list(each.terms) for each in known)

    def priced(self, moves: Moves) -> Priced | None:
        """What the plan costs with some figures moved; None where it cannot be priced."""
        both = self._both(moves)
        return None if both is None else both[0]

    def at(self, moves: Moves) -> float | None:
        """The saving with some figures moved; None where it cannot be priced."""
        both = self._both(moves)
        return None if both is None else both[1].cost - both[0].cost

    def gone_at(self, moves: Moves) -> bool:
        """Whether the saving is gone with some figures moved."""
        saving = self.at(moves)
        return saving is not None and saving <= 0

    def _both(self, moves: Moves) -> tuple[Priced, Priced] | None:
        """The plan and doing nothing."""
        if moves not in self._known:
            try:
                problem = self._plan.neighbour(moved(self._instance, moves))
                self._known[moves] = self._plan.priced(problem), self._idle.priced(problem)
            except (ValueError, OptimiserError):
                self._known[moves] = None
        return self._known[moves]


class _Search:
    """Where today's decisions change and where the saving is gone, towards both ends of every range."""

    def __init__(
        self, instance: Instance, savings: Savings, decided: Decided, tolerance: float, stop: threading.Event
    ) -> None:
        self.instance, self.savings, self.decided, self.tolerance, self.stop = (
            instance,
            savings,
            decided,
            tolerance,
            stop,
        )

    def switching_rows(self, swings: list[Swing], threshold: float, told: Told) -> list[Row]:
        """One row an input, the ends of its range first: only where something changes is it sought where."""
        rows: list[Row] = []
        for place, swing in enumerate(swings):
            told.step(f"where today's decisions change: {swing.figure}, {place + 1} of {len(swings)}")
            own, least = self._own(swing.figure)
            likely = bool(swing.width > 5 * threshold or swing.broken)
            row: Row = {"figure": swing.figure, "value": own, "low": swing.low, "high": swing.high}
            row |= {"decision": {}, "saving": {}}
            for name, end in (("low", swing.low), ("high", swing.high)):
                at = partial(_one, swing.figure)
                row["decision"][name] = self._decision(at, own, end, least, likely)
                row["saving"][name] = self._saving(at, own, end, least)
            if self.stop.is_set():
                break
            rows.append(row)
        return rows

    def saving_rows(self, swings: list[Swing], told: Told) -> list[Row]:
        """Where the saving is gone as each input moves, decisions held."""
        rows: list[Row] = []
        for place, swing in enumerate(swings):
            if self.stop.is_set():
                break
            told.step(f"where the saving is gone: {place + 1} of {len(swings)}")
            own, least = self._own(swing.figure)
            row: Row = {"figure": swing.figure, "value": own}
            for name, end in (("low", swing.low), ("high", swing.high)):
                row[name] = self._saving(partial(_one, swing.figure), own, end, least)
            rows.append(row)
        return rows

    def together_rows(self, swings: list[Swing], told: Told) -> Row:
        """All inputs moved at once, each by the same share of the way to one end: to those that lower the saving, and raise it."""
        values = self.instance.figure_values()
        found: Row = {}
        for name, times in (("against", 1.0), ("for", -1.0)):
            if self.stop.is_set() or self.savings.base is None:
                break
            told.step(f"all inputs together, {name} the plan")
            ends = []
            for swing in swings:
                low, high = (self.savings.at(((swing.figure, end),)) for end in (swing.low, swing.high))
                if low is not None and high is not None and low != high:
                    end = swing.low if times * low < times * high else swing.high
                    ends.append((swing.figure, mean_of(values[swing.figure]), end))
            at = partial(_all, tuple(ends))
            found[name] = {
                "inputs": len(ends),
                "decision": self._decision(at, 0.0, 1.0, 0.0, True),
                "saving": self._saving(at, 0.0, 1.0, 0.0),
            }
        return {} if self.stop.is_set() else found

    def _own(self, key: str) -> tuple[float, float]:
        """A figure's own value, and the distance below which nothing can change."""
        figure = self.instance.figure_values()[key]
        return mean_of(figure), 1.0 if isinstance(figure, int) else 0.0

    def _decision(self, at: Callable[[float], Moves], own: float, end: float, least: float, likely: bool) -> Row:
        """A switching value with what was solved on both sides of it, and what would be decided beyond."""

        def moved_too_far(value: float) -> bool:
            here = likely or value != end
            return not self.stop.is_set() and self.decided.at(at(value), here).changed

        try:
            found = crossing(own, end, moved_too_far, self.tolerance, least)
            if self.stop.is_set():
                return asdict(found)
            if found.changes is None or found.stands is None:
                side = None if end == own else self.decided.at(at(end))
                stands = None if side is None else _side_row(side, end)
                return asdict(found) | {"stands_at": stands, "changes_at": None, "decisions": []}
            near, beyond = (self.decided.closely(at(value)) for value in (found.stands, found.changes))
            return asdict(found) | {
                "stands_at": _side_row(near, found.stands),
                "changes_at": _side_row(beyond, found.changes),
                "decisions": self.decided.todays_rows(at(found.changes)),
            }
        except (ValueError, OptimiserError) as error:
            return {"end": end, "refused": str(error)}

    def _saving(self, at: Callable[[float], Moves], own: float, end: float, least: float) -> Row:
        """Where the saving is gone, and what it is on both sides."""
        savings = self.savings
        found = crossing(own, end, lambda value: savings.gone_at(at(value)), self.tolerance, least)
        stands = own if found.stands is None else found.stands
        return asdict(found) | {
            "saving_where_it_stands_gbp": savings.base if stands == own else savings.at(at(stands)),
            "saving_beyond_gbp": savings.at(at(found.end if found.changes is None else found.changes)),
        }


def _one(key: str, value: float) -> Moves:
    return ((key, value),)


def _all(ends: tuple[tuple[str, float, float], ...], share: float) -> Moves:
    return tuple((key, own + share * (end - own)) for key, own, end in ends)


def _side_row(side: Side, value: float) -> Row:
    """What was solved at one value, and what that establishes of today's decisions."""
    return {
        "value": value,
        "changed": side.changed,
        "established": side.established,
        **{
            f"{name}_gbp": amount if np.isfinite(amount) else None
            for name, amount in (
                ("best", side.best),
                ("best_bound", side.best_bound),
                ("held", side.held),
                ("held_bound", side.held_bound),
                ("dearer_by_at_least", max(side.held_bound - side.best, 0.0) if side.changed else 0.0),
                ("dearer_by_at_most", max(side.held - side.best_bound, 0.0) if np.isfinite(side.best) else np.inf),
            )
        },
    }


def _tornado_row(instance: Instance, swing: Swing, threshold: float, switching: Row | None, gone: Row | None) -> Row:
    evidence = evidence_for(instance, swing.figure)
    stands = None if switching is None else _stands(switching["decision"])
    saves = None if gone is None else _stands({"low": gone["low"], "high": gone["high"]})
    return {
        "figure": swing.figure,
        "evidence": evidence.evidence,
        "value": mean_of(instance.figure_values()[swing.figure]),
        "low": swing.low,
        "high": swing.high,
        "cost_at_low_gbp": swing.cost_at_low,
        "cost_at_high_gbp": swing.cost_at_high,
        "width_gbp": swing.width,
        "terms_at_low": list(swing.terms_at_low),
        "terms_at_high": list(swing.terms_at_high),
        "child_weeks_at_low": swing.child_weeks_at_low,
        "child_weeks_at_high": swing.child_weeks_at_high,
        "limits_broken": list(swing.broken),
        "decision_stands": stands,
        "saving_stands": saves,
        "matters": bool(swing.width >= threshold or swing.broken or stands is False or saves is False),
    }


def _stands(ends: Row) -> bool | None:
    """Whether something stands at both ends of a range; None where that cannot be said."""
    if any(found.get("changes") is not None for found in ends.values()):
        return False
    return None if any("refused" in found for found in ends.values()) else True


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
