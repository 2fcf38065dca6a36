"""Whether planning under uncertainty was worth it, and what of that is signal.

Every plan is priced on the same fresh futures, in blocks of independent replications; what is said is a difference
between two plans on common futures, with its confidence interval. Costs are those of the objective: present real £ with
the deterrent on having no registered place, expected, without weight or limit on the tail and without limits across
futures, under which the values below are not defined (formulation.md, *Identities*).

*Gap* of a plan (Mak, Morton and Wood 1999, Operations Research Letters 24): in each replication, its mean cost less the
least possible on the same futures. That is above the true gap on average, since few futures flatter what is best on
them. With ``gap`` the true gap of the plan and ``z`` the least expected cost:

* perfect information in all: ``z - E[cost of each future's own plan] = E[cost of the plan - cost of that] - gap``
* perfect information about dates: ``z - E[least expected cost given the dates]``. The dates are those of purchases,
  registration and delivery; children, prices and bids stay unknown. Dates are drawn, each with some futures that have
  them in common. What is best on those costs too little there, and too much on other futures of the same dates: the
  truth lies between.
* the stochastic solution: what another plan costs more than the plan, paired. Against the best plan it is that and ``gap``.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from models.decisions import Decisions, with_managers_needed
from models.problem import Problem
from optimiser.analysis.appraisal import decisions_of, freedom_of
from optimiser.analysis.planning import (
    Asked,
    Told,
    as_asked,
    instance_row,
    reduction_of,
    refuse_if_stopped,
    rounding,
    versions,
)
from optimiser.assemble import assemble
from optimiser.demand.reduction import Reduction, with_fresh
from optimiser.demand.scenarios import ScenarioSet, average_scenario, make_scenarios, standard_error
from optimiser.errors import InfeasibleError, NoPlanError
from optimiser.instance.schema import Instance
from optimiser.plan import Plan, Row, break_even, decisions_table, titles_of
from optimiser.solve.compile import vector_from
from optimiser.solve.components import components_of, solve_apart
from optimiser.solve.engine import Engine, Found, by_extensive_form, by_lshaped, stopped_by_hand
from optimiser.solve.recourse import recourse_at
from optimiser.solve.twostage import Settings, TwoStageProblem, TwoStageSolution
from optimiser.verify import verify

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Value = TypeVar("Value")

#: Replications, most futures in each, futures that are planned alone, and dates drawn: two minutes on two cores.
REPLICATIONS, MOST_FUTURES, ALONE, DATES = 8, 30, 48, 12
#: Probability with which an interval holds what it is said to hold.
CONFIDENCE = 0.95
#: Up to so many columns of all futures together, and of each, the extensive form is the quicker way: of a bundled instance,
#: even one future alone takes it twice as long as cuts do.
SMALL, PLAIN = 4000, 300
#: What the generator draws that says when a home or lot is ready.
DATE_ARRAYS = ("lead_months", "registration_months", "fallen_through", "delivery_months")


@dataclass(frozen=True, eq=False)
class Ground:
    """Futures on which plans are compared: blocks of fresh ones, or the whole table of an instance that has one.

    Parameters
    ----------
    engine : over all futures, compiled once
    blocks : futures of each replication, one array each
    dates : futures with common dates, each once to plan on and once to judge by; the same futures for a table
    drawn : False for a table, of which nothing is uncertain
    """

    engine: Engine
    blocks: tuple[Ints, ...]
    dates: tuple[tuple[Ints, Ints], ...]
    drawn: bool

    @property
    def fresh(self) -> Ints:
        """All futures of the replications."""
        return np.concatenate(self.blocks)

    def probability(self, futures: Ints) -> Floats:
        """Probability of each of some futures among themselves, [future]."""
        own = self.engine.two_stage.probability[futures]
        share: Floats = own / own.sum()
        return share

    def part(self, futures: Ints) -> TwoStageProblem:
        """The two-stage problem on some of the futures."""
        share = self.probability(futures)
        all_futures = self.engine.two_stage.scenarios
        some = tuple(all_futures[k].changed(probability=float(p)) for k, p in zip(futures, share, strict=True))
        return replace(self.engine.two_stage, scenarios=some)

    def best(self, futures: Ints, settings: Settings, start: Floats | None = None) -> TwoStageSolution:
        """Least expected cost on some of the futures."""
        problem = self.part(futures)
        columns = problem.scenarios[0].recourse.matrix.shape[1]
        small = columns <= PLAIN and len(futures) * columns <= SMALL
        parts = components_of(problem)
        solver = by_extensive_form if small else partial(by_lshaped, None)
        size = len(self.engine.first.stage.cost)
        return solve_apart(parts, settings, solver, size=size, start=start)[0]

    def costs(self, futures: Ints, x: Floats) -> Floats:
        """Cost of each of some futures at first-stage values [column], deterrent included, [future]."""
        problem = self.part(futures)
        found = recourse_at(problem.scenarios, x)
        own = [0.0 if s.first_stage_cost is None else float(s.first_stage_cost @ x) for s in problem.scenarios]
        recourse = [point.objective for point in found]
        offset = [s.offset for s in problem.scenarios]
        return np.array(own) + recourse + offset + float(problem.first.cost @ x)


@dataclass(frozen=True, eq=False)
class Priced:
    """A plan on the common futures, each [future]: cost with the deterrent, without, and child-weeks unregistered."""

    name: str
    decisions: Decisions
    cost: Floats
    pounds: Floats
    weeks: Floats


def value(
    instance: Instance,
    asked: Asked,
    told: Told | None = None,
    *,
    replications: int = REPLICATIONS,
    futures: int | None = None,
    alone: int = ALONE,
    dates: int = DATES,
) -> Row:
    """What perfect information, planning under uncertainty and review points are worth, and how sure that is.

    Parameters
    ----------
    asked
        As for a plan; its weight on the tail is left out.
    replications
        Independent samples on which the plan is held against the best plan of the sample; at least two.
    futures
        Futures in each replication; as many as the plan is made on, up to ``MOST_FUTURES``, where left out. Rounded up
        to an even number.
    alone
        Fresh futures for each of which the best plan is found, for the value of perfect information.
    dates
        Draws of dates, for the value of knowing them alone; at least two, or 0 to leave it out.

    Raises
    ------
    InfeasibleError, NoPlanError
        Where there is no plan, or none was found in the time.
    ValueError
        Where there are too few replications or dates for a standard error.
    """
    if replications < 2 or dates == 1:
        raise ValueError("a standard error needs at least two replications, and two draws of dates or none")
    told = told or Told()
    began = time.perf_counter()
    instance = as_asked(instance, asked)
    with stopped_by_hand() as stop:
        found = _valued(instance, asked, told, stop, replications, futures, alone, dates)
    return found | {"versions": versions(), "timings": {"total_seconds": time.perf_counter() - began}}


def _valued(
    instance: Instance,
    asked: Asked,
    told: Told,
    stop: threading.Event,
    replications: int,
    futures: int | None,
    alone: int,
    dates: int,
) -> Row:
    """The document, as far as it is reached: what was stopped by hand is None, and counted as missing."""
    settings = Settings(gap=asked.gap, time_limit=asked.time_limit, stop=stop)
    missing: list[str] = []

    def reached(words: str, stage: Callable[[], Value]) -> Value | None:
        """What a stage finds; None where it was stopped before or within it."""
        try:
            found = None if stop.is_set() else stage()
        except NoPlanError:
            if not stop.is_set():
                raise
        if not stop.is_set():
            return found
        missing.append(words)
        return None

    told.step("searching for the best plan")
    reduction = reduction_of(instance, asked)
    drawn = make_scenarios(instance, asked.scenarios, asked.seed) if reduction is None else reduction.futures
    limited = assemble(instance, drawn, risk_weight=0.0)
    engine = Engine(_unlimited(limited))
    refuse_if_stopped(stop)
    own = _searched(engine, settings, told)
    checked = verify(engine.problem, own.decisions, own.placements)
    told.step("drawing futures that no plan has seen")
    count = futures or min(len(drawn.names), MOST_FUTURES)
    ground = ground_of(instance, asked, engine.problem, replications, count + count % 2, dates, reduction)
    priced = {"plan": _priced(ground, "plan", own.decisions)}
    x = vector_from(ground.engine.first, ground.engine.problem, own.decisions)
    told.step("planning on averages and by rule of thumb")
    thumb: str | None = None
    averages = reached("planning on averages", lambda: _on_averages(instance, drawn, engine, settings))
    others = {} if averages is None else {"averages": averages[0]}
    others |= reached("the paper's options", lambda: _papers_options(instance, engine, settings)) or {}
    if averages is not None and not stop.is_set():
        others["rule-of-thumb"], thumb = rule_of_thumb(instance, engine, averages[1])
    elif averages is not None:
        missing.append("the rule of thumb")
    told.step("pricing every plan on the same fresh futures")
    priced |= {name: _priced(ground, name, decisions) for name, decisions in others.items()}
    reviews: Row | None = None
    if instance.reviews:
        told.step("planning without reviews")
        reviews = reached(
            "the value of the review points",
            lambda: _reviews(instance, asked, drawn, engine, ground, own, checked.objective, priced["plan"], settings),
        )
    gaps = _gaps(ground, priced["plan"], x, settings, told)
    if len(gaps) < len(ground.blocks):
        missing.append(f"{len(ground.blocks) - len(gaps)} of {len(ground.blocks)} replications")
    perfect = reached(
        "the value of perfect information", lambda: _perfect(ground, priced["plan"], gaps, settings, alone, told)
    )
    about_dates: Row | None = None
    if ground.dates:
        told.step("planning for the dates of each of some futures")
        about_dates = reached("the value of knowing dates", lambda: _about_dates(ground, x, gaps, settings))
    against = [
        _difference(ground, other, priced["plan"])
        | {"plan": name, "decisions": decisions_table(engine.problem, other.decisions)}
        for name, other in priced.items()
        if name != "plan"
    ]
    return {
        "document": "value/1",
        "instance": instance_row(instance),
        "titles": titles_of(instance) | {row.option: row.title for row in instance.options},
        "seed": instance.settings.seed if asked.seed is None else asked.seed,
        "futures": len(drawn.names),
        "reduced_from": asked.reduce_from,
        "replications": len(ground.blocks),
        "futures_each": len(ground.blocks[0]),
        "drawn": ground.drawn,
        "confidence": CONFIDENCE,
        "left_out": _left_out(limited, instance, asked),
        "stopped": stop.is_set(),
        "missing": missing,
        "rounding_gbp": rounding(checked.expected_cost),
        "objective_gbp": checked.objective,
        "bound_gbp": own.bound,
        "decisions": decisions_table(engine.problem, own.decisions),
        "out_of_sample": _mean_row(ground, priced["plan"].cost)
        | {
            "expected_cost_gbp": float(ground.probability(ground.fresh) @ priced["plan"].pounds),
            "expected_cost_error_gbp": standard_error(priced["plan"].pounds) if ground.drawn else 0.0,
        },
        "optimality_gap": None if len(gaps) < min(2, len(ground.blocks)) else _gap_row(ground, gaps),
        "perfect_information": perfect,
        "perfect_information_about_dates": about_dates,
        "stochastic_solution": against,
        "rule_of_thumb": thumb,
        "reviews": reviews,
    }


# the ground


def ground_of(
    instance: Instance,
    asked: Asked,
    plan: Problem,
    replications: int,
    count: int,
    dates: int,
    reduction: Reduction | None = None,
) -> Ground:
    """Fresh futures in the plan's tree: a branch is what the plan says it is, whoever meets it.

    Parameters
    ----------
    plan
        The plan's problem: its futures are passed over.
    count
        Futures of each replication; an even number, since futures are drawn in mirrored pairs. Each half of a draw of
        dates has half as many: seldom dates matter most, and more draws meet them.
    reduction
        The sample that the plan's futures stand for: all of it is passed over.
    """
    if instance.scenarios:
        engine = Engine(plan)
        everything = make_scenarios(instance)
        groups: dict[bytes, list[int]] = {}
        for number in range(len(everything.names)):
            key = b"".join(getattr(everything, name)[number].tobytes() for name in DATE_ARRAYS)
            groups.setdefault(key, []).append(number)
        alike = tuple((np.array(group), np.array(group)) for group in groups.values())
        return Ground(engine, (np.arange(len(plan.scenarios)),), alike if dates else (), False)
    seen = len(plan.scenarios)
    odd = (seen if reduction is None else reduction.drawn) % 2  # whole pairs of mirrored futures
    first = seen + odd
    half = max(count // 4 * 2, 2)
    fresh, dated = replications * count, dates * 2 * half
    everything = with_fresh(instance, seen, odd + fresh + dated, asked.seed, reduction)
    start = first + fresh
    # all futures of a draw take the dates of its first one
    given = np.arange(len(everything.names))
    given[start:] = start + (given[start:] - start) // (2 * half) * (2 * half)
    everything = replace(everything, **{name: getattr(everything, name)[given] for name in DATE_ARRAYS})
    problem = assemble(instance, everything, risk_weight=0.0, basis=seen)
    scenarios = tuple(replace(s, probability=1 / (fresh + dated)) for s in problem.scenarios[first:])
    # what can be closed is the plan's to know, not its judges'
    problem = replace(_unlimited(problem), scenarios=scenarios, certainly_open=plan.certainly_open)
    blocks = tuple(np.arange(number * count, (number + 1) * count) for number in range(replications))
    halves = [np.arange(fresh + number * half, fresh + (number + 1) * half) for number in range(2 * dates)]
    return Ground(Engine(problem), blocks, tuple(zip(halves[::2], halves[1::2], strict=True)), True)


def _unlimited(problem: Problem) -> Problem:
    """Without limits across futures, under which futures cannot be planned alone."""
    return replace(problem, local_limits=(), unregistered_limits=(), risk_weight=0.0, cvar_limit=None)


def _left_out(problem: Problem, instance: Instance, asked: Asked) -> list[str]:
    """What the instance or the command asks for and this analysis leaves out, in words."""
    weight = instance.settings.risk_weight if asked.risk_weight is None else asked.risk_weight
    found = [f"the weight of {weight:g} on the worst futures"] if weight else []
    found += ["the limit on the mean of the worst futures"] if problem.cvar_limit is not None else []
    found += [f"the limit {limit.name}" for limit in problem.local_limits]
    found += [f"the limit {limit.name}" for limit in problem.unregistered_limits]
    return found


def _searched(engine: Engine, settings: Settings, told: Told | None = None) -> Found:
    columns = len(engine.two_stage.scenarios) * engine.two_stage.scenarios[0].recourse.matrix.shape[1]
    method = "extensive" if columns <= SMALL else "auto"
    found = engine.search(settings, progress=None if told is None else told.search, method=method)
    if isinstance(found, Found):
        return found
    if found.status == "infeasible":
        raise InfeasibleError("no plan keeps every limit; optimiser plan says which limits clash")
    raise NoPlanError(
        "stopped before any plan was found: allow more time (--time-limit) or fewer futures (--scenarios)"
    )


# the plans compared


def carried(own: Problem, decisions: Decisions, problem: Problem) -> Decisions:
    """Decisions of a problem with one path through its tree, taken on every branch of another's.

    ``own`` and ``problem`` are of one instance and differ in futures and reviews.
    """
    found = Decisions.none(problem)
    begun = {(b.home, b.period): int(decisions.homes_begun[place]) for place, b in enumerate(own.begins)}
    for place, begin in enumerate(problem.begins):
        found.homes_begun[place] = begun[begin.home, begin.period]
    closed = {(home, period): int(decisions.homes_closed[p]) for p, (home, _, period) in enumerate(own.closures)}
    for place, (home, _, period) in enumerate(problem.closures):
        found.homes_closed[place] = closed[home, period]
    awards = {(award.lot, award.period): place for place, award in enumerate(own.awards)}
    for place, award in enumerate(problem.awards):
        same = awards[award.lot, award.period]
        for name in ("lot_awarded", "tier_chosen", "beds_in_tier", "optional_beds"):
            getattr(found, name)[place] = getattr(decisions, name)[same]
    extensions = {_extension_key(own, place): place for place in range(len(own.extensions))}
    for place in range(len(problem.extensions)):
        also = extensions.get(_extension_key(problem, place))
        if also is not None:
            found.extension_taken[place] = decisions.extension_taken[also]
            found.beds_extended[place] = decisions.beds_extended[also]
    return with_managers_needed(problem, found)


def _extension_key(problem: Problem, place: int) -> tuple[object, ...]:
    which = problem.extensions[place]
    award = None if which.award is None else (problem.awards[which.award].lot, problem.awards[which.award].period)
    return award, which.supply, which.option


def _on_averages(
    instance: Instance, drawn: ScenarioSet, engine: Engine, settings: Settings
) -> tuple[Decisions, Floats]:
    """The best plan for the average future, taken on every branch; and children in care there by cohort, [cohort].

    In the average future every uncertain figure is at its median and children come and go at their mean; for a
    table of futures it is their mean.
    """
    futures = average_scenario(instance)
    if instance.scenarios:
        means: dict[str, Any] = {
            name: np.tensordot(drawn.probability, array, 1)[None]
            for name, array in drawn.__dict__.items()
            if name not in ("names", "probability")
        }
        # homes and lots are ready in whole months
        means |= {name: np.round(means[name]) for name in DATE_ARRAYS}
        futures = replace(futures, **means)
    problem = replace(
        _unlimited(assemble(instance, futures, risk_weight=0.0)), certainly_open=engine.problem.certainly_open
    )
    found = _searched(Engine(problem), settings)
    children = found.placements[0].placed.sum(axis=1) @ problem.weeks / problem.weeks.sum()
    return carried(problem, found.decisions, engine.problem), children


def _papers_options(instance: Instance, engine: Engine, settings: Settings) -> dict[str, Decisions]:
    """Decisions of the paper's options; what they leave open is as best on the plan's own futures."""
    found = {}
    for option in instance.options:
        if not option.paper:
            continue
        bounds = freedom_of(instance, engine.problem, option)
        if bounds is None:
            found[option.option] = decisions_of(instance, engine.problem, option)
        else:
            best = engine.search(settings, bounds=bounds)
            if isinstance(best, Found):
                found[option.option] = best.decisions
    return found


def rule_of_thumb(instance: Instance, engine: Engine, children: Floats) -> tuple[Decisions, str]:
    """A plan as a rule of average occupancy makes it, and the rule in words.

    Homes and lots are taken in order of the occupancy at which they break even against spot purchase, lowest first, each
    at its first date, as long as the average number of children who may live there, less beds already there, fills
    them to that occupancy, which matching must allow; within the limits of the first stage. Contracts run as long as they
    can be extended.

    Parameters
    ----------
    children : mean number in care over the horizon, [cohort]
    """
    problem = engine.problem
    nothing = engine.place(Decisions.none(problem))
    idle = Plan(instance, problem, nothing, verify(problem, nothing.decisions, nothing.placements))
    place = {name: position for position, name in enumerate((*problem.homes, *problem.lots))}
    worth = sorted((row["occupancy"], place[row["item"]]) for row in break_even(idle) if row["occupancy"] is not None)
    beds = np.zeros(len(problem.sources))
    supplies = slice(problem.supply_source, problem.spot_source)
    share = np.array([s.probability for s in problem.scenarios])
    beds[supplies] = share @ [s.supply_beds @ problem.weeks for s in problem.scenarios] / problem.weeks.sum()
    takes = np.asarray(problem.allowed.any(axis=2))  # [cohort, source]
    chosen = _extended(problem, Decisions.none(problem))
    chosen = chosen if _keeps_limits(engine, chosen) else Decisions.none(problem)
    for least, source in worth:
        cohorts = takes[:, source]
        shared = takes[cohorts].any(axis=0)
        while least <= 1 and cohorts.any():
            room = float(children[cohorts].sum() - beds[shared].sum())
            more = _one_more(engine, chosen, source, room, least)
            if more is None:
                break
            chosen, added = more
            beds[source] += added
            if source >= problem.lot_source:
                break
    rule = (
        "Homes and lots in order of the occupancy at which they break even against spot purchase, each at its first date, "
        "as long as the average number of children in care who may live there, less the beds already there, fills them to "
        "that occupancy; contracts extended as long as they can be."
    )
    return with_managers_needed(problem, chosen), rule


def _one_more(
    engine: Engine, chosen: Decisions, source: int, room: float, least: float
) -> tuple[Decisions, float] | None:
    """One more home, or a lot of the size that average demand fills, with its beds; None where it is not to be had."""
    lot = source - engine.problem.lot_source
    if lot >= 0:
        return _filled_lot(engine, chosen, lot, room, least)
    problem = engine.problem
    size = int(problem.home_beds[source])
    if min(room / size, float(problem.home_occupancy[source])) < least:
        return None
    for period in sorted({begin.period for begin in problem.begins if begin.home == source}):
        more = _with_home(problem, chosen, source, period)
        if _keeps_limits(engine, more):
            return more, float(size)
    return None


def _with_home(problem: Problem, chosen: Decisions, home: int, period: int) -> Decisions:
    """One more home begun in a period, on every branch."""
    there = np.array([begin.home == home and begin.period == period for begin in problem.begins])
    return replace(chosen, homes_begun=chosen.homes_begun + there)


def _filled_lot(
    engine: Engine, chosen: Decisions, lot: int, room: float, least: float
) -> tuple[Decisions, float] | None:
    """A lot with as many committed beds as fill to the occupancy, with its building where it is run from one."""
    problem = engine.problem
    if problem.lot_occupancy[lot] < least:
        return None
    building = int(problem.lot_building[lot])
    bases = [chosen]
    if building >= 0:
        dates = sorted({begin.period for begin in problem.begins if begin.home == building})
        bases = [_with_home(problem, chosen, building, period) for period in dates] + bases
    tiers = problem.lot_tiers[lot]
    for size in range(min(int(problem.lot_maximum[lot]), math.floor(room / least + 1e-9)), 0, -1):
        holding = [t for t, limits in enumerate(tiers) if limits.minimum <= size <= limits.maximum]
        if size < problem.lot_minimum[lot] or not holding:
            continue
        for period in sorted({award.period for award in problem.awards if award.lot == lot}):
            there = np.flatnonzero([award.lot == lot and award.period == period for award in problem.awards])
            for base in bases:
                awarded, tier, beds = base.lot_awarded.copy(), base.tier_chosen.copy(), base.beds_in_tier.copy()
                awarded[there] = tier[there, holding[-1]] = 1
                beds[there, holding[-1]] = size
                more = replace(base, lot_awarded=awarded, tier_chosen=tier, beds_in_tier=beds)
                for attempt in (_extended(problem, more), more):
                    if _keeps_limits(engine, attempt):
                        return attempt, float(size)
    return None


def _extended(problem: Problem, decisions: Decisions) -> Decisions:
    """The same with every extension of a contract held."""
    taken, beds = decisions.extension_taken.copy(), decisions.beds_extended.copy()
    for place, extension in enumerate(problem.extensions):
        held = extension.award is None or decisions.lot_awarded[extension.award] == 1
        taken[place] = int(held)
        if held and extension.award is not None:
            beds[place, :-1] = decisions.beds_in_tier[extension.award]
            beds[place, -1] = decisions.optional_beds[extension.award]
    return replace(decisions, extension_taken=taken, beds_extended=beds)


def _keeps_limits(engine: Engine, decisions: Decisions) -> bool:
    """Whether decisions, with the managers they need, keep every limit of the first stage."""
    stage = engine.first.stage
    x = vector_from(engine.first, engine.problem, with_managers_needed(engine.problem, decisions))
    rows = stage.matrix @ x
    slack = 1e-6 * np.maximum(1.0, np.abs(rows))
    inside = (rows >= stage.row_lower - slack) & (rows <= stage.row_upper + slack)
    return bool(inside.all() and (x >= stage.lower - 1e-9).all() and (x <= stage.upper + 1e-9).all())


def _rootless(instance: Instance, asked: Asked, drawn: ScenarioSet, plan: Problem) -> Problem:
    """The plan's futures without review points: everything is decided today."""
    plain = instance.model_copy(update={"reviews": ()})
    return replace(_unlimited(assemble(plain, drawn, risk_weight=0.0)), certainly_open=plan.certainly_open)


def _without_reviews(
    instance: Instance, asked: Asked, drawn: ScenarioSet, engine: Engine, settings: Settings
) -> tuple[Found, Decisions]:
    """The best plan that may not differ by branch, in its own tree and in the plan's."""
    problem = _rootless(instance, asked, drawn, engine.problem)
    found = _searched(Engine(problem), settings)
    return found, carried(problem, found.decisions, engine.problem)


def _reviews(
    instance: Instance,
    asked: Asked,
    drawn: ScenarioSet,
    engine: Engine,
    ground: Ground,
    own: Found,
    objective: float,
    plan: Priced,
    settings: Settings,
) -> Row:
    """What the review points are worth: on fresh futures, and as bounds on the plan's own."""
    without, decisions = _without_reviews(instance, asked, drawn, engine, settings)
    first = verify(_rootless(instance, asked, drawn, engine.problem), without.decisions, without.placements)
    return _difference(ground, _priced(ground, "no-reviews", decisions), plan) | {
        "on_own_futures_at_least_gbp": max(without.bound - objective, 0.0),
        "on_own_futures_at_most_gbp": max(first.objective - own.bound, 0.0),
    }


def _priced(ground: Ground, name: str, decisions: Decisions) -> Priced:
    """A plan on the futures of the replications, recomputed without the solver."""
    fresh, engine = ground.fresh, ground.engine
    share = ground.probability(fresh)
    futures = engine.problem.scenarios
    some = tuple(replace(futures[k], probability=float(p)) for k, p in zip(fresh, share, strict=True))
    problem = replace(engine.problem, scenarios=some)
    found = recourse_at(ground.part(fresh).scenarios, vector_from(engine.first, engine.problem, decisions))
    checked = verify(problem, decisions, [engine.template.placements(problem, point.x) for point in found])
    return Priced(
        name,
        decisions,
        checked.scenario_cost,
        checked.scenario_pounds,
        checked.unregistered_child_weeks.sum(axis=(1, 2)),
    )


# what is estimated


def _gaps(ground: Ground, plan: Priced, x: Floats, settings: Settings, told: Told) -> Floats:
    """Cost of the plan less the least possible, by its bound, in each replication that was reached, £, [replication]."""
    found, at = [], 0
    for number, block in enumerate(ground.blocks):
        told.step(f"planning again on other futures: {number + 1} of {len(ground.blocks)}")
        best = ground.best(block, settings, x)
        if settings.stop is not None and settings.stop.is_set():
            break
        mean = ground.probability(block) @ plan.cost[at : at + len(block)]
        found.append(max(float(mean) - best.bound, 0.0))
        at += len(block)
    return np.array(found)


def _t(degrees: int, sides: int) -> float:
    """Quantile of Student's t for an interval on one or both sides."""
    return float(stats.t.ppf(1 - (1 - CONFIDENCE) / sides, degrees))


def _interval(amounts: Floats) -> tuple[float, float]:
    """Ends of an interval for the mean over futures drawn in mirrored pairs.

    Costs are skewed: seldom, a future is very dear. Student's interval then leaves out too much at the dear end; Hall's
    cubic transformation of the statistic (Hall 1992, Journal of the Royal Statistical Society B 54) puts that right to
    the order of one over the number of pairs. In 1,500 samples of 24 pairs, where the truth is known, Student's interval
    of the value of perfect information held it in 92.6%, this one in 94.5% (see ``tests/test_value.py``).
    """
    pairs = amounts[: len(amounts) // 2 * 2].reshape(-1, 2).mean(axis=1)
    mean, count = float(amounts.mean()), len(pairs)
    if count < 2 or pairs.std() == 0:
        return mean, mean
    error, t = _spread(pairs), _t(count - 1, 2)
    skew = float(stats.skew(pairs, bias=False)) / math.sqrt(count) / 3
    if abs(skew) < 1e-9:
        return mean - t * error, mean + t * error

    def untransformed(quantile: float) -> float:
        return float(np.cbrt(1 + 3 * skew * (quantile - skew / 2)) - 1) / skew

    return mean - error * untransformed(t), mean - error * untransformed(-t)


def _spread(amounts: Floats) -> float:
    """Standard error of the mean of independent amounts."""
    return float(amounts.std(ddof=1) / np.sqrt(len(amounts)))


def _gap_row(ground: Ground, gaps: Floats) -> Row:
    """Mean gap and the end of its one-sided interval, which begins at nothing."""
    error = _spread(gaps) if ground.drawn else 0.0
    high = float(gaps.mean()) + (_t(len(gaps) - 1, 1) * error if ground.drawn else 0.0)
    return {
        "gap_gbp": float(gaps.mean()),
        "standard_error_gbp": error,
        "high_gbp": high,
        "by_replication_gbp": gaps.tolist(),
    }


def _mean_row(ground: Ground, amounts: Floats) -> Row:
    """Mean over the fresh futures with standard error and interval on both sides."""
    mean = float(ground.probability(ground.fresh) @ amounts)
    error = (standard_error(amounts) or 0.0) if ground.drawn else 0.0
    low, high = _interval(amounts) if ground.drawn else (mean, mean)
    return {
        "futures": len(amounts),
        "mean_gbp": mean,
        "standard_error_gbp": error,
        "low_gbp": low,
        "high_gbp": high,
    }


def _difference(ground: Ground, other: Priced, plan: Priced) -> Row:
    """What another plan costs more than the plan on the same futures, and whether that can be told from noise."""
    row = _mean_row(ground, other.cost - plan.cost)
    share = ground.probability(ground.fresh)
    # how far the interval reaches on the side of nothing
    reach = row["mean_gbp"] - row["low_gbp"] if row["mean_gbp"] > 0 else row["high_gbp"] - row["mean_gbp"]
    same = bool(np.abs(other.cost - plan.cost).max() < 1.0)
    told_apart = not same and abs(row["mean_gbp"]) > reach
    needed = None
    if not same and not told_apart and abs(row["mean_gbp"]) >= 1.0:
        # the error falls with the root of the number of futures
        needed = math.ceil(row["futures"] * (reach / abs(row["mean_gbp"])) ** 2 / 10) * 10
    return row | {
        "expected_cost_gbp": float(share @ (other.pounds - plan.pounds)),
        "unregistered_child_weeks": float(share @ (other.weeks - plan.weeks)),
        "same_plan": same,
        "told_from_noise": told_apart,
        "futures_that_would_tell": needed,
    }


#: What is said of an amount that is no estimate.
EXACTLY: Row = {"standard_error_gbp": 0.0, "times_as_many_would_tell": None}


def _perfect(ground: Ground, plan: Priced, gaps: Floats, settings: Settings, alone: int, told: Told) -> Row | None:
    """What knowing everything would be worth: at most what each future's own plan saves, at least that less the gap."""
    if not alone:
        return None
    each = -(-alone // len(ground.blocks))
    means, numbers, at = [], [], 0
    weights = []
    for block in ground.blocks:
        told.step("planning each of some futures alone")
        some = block[: min(each + each % 2, len(block))] if ground.drawn else block
        savings = [
            plan.cost[at + place] - ground.best(np.array([number]), settings).bound for place, number in enumerate(some)
        ]
        weights.append(ground.probability(some))
        numbers.append(np.maximum(np.array(savings), 0.0))
        means.append(float(weights[-1] @ numbers[-1]))
        at += len(block)
    savings_of_all = np.concatenate(numbers)
    high, low = float(np.mean(means)), float(np.mean(means) - gaps.mean())
    row = {"futures": len(savings_of_all), "at_least_gbp": max(low, 0.0), "at_most_gbp": high}
    if not ground.drawn:
        return row | {"low_gbp": max(low, 0.0), "high_gbp": high} | EXACTLY
    error = standard_error(savings_of_all) or 0.0
    least = np.array(means) - gaps
    reach = _t(len(least) - 1, 2) * _spread(least)
    return row | {
        "standard_error_gbp": error,
        "low_gbp": max(low - reach, 0.0),
        "high_gbp": _interval(savings_of_all)[1],
        # as many times the replications, and futures planned alone
        "times_as_many_would_tell": math.ceil((reach / low) ** 2) if low >= 1.0 and low <= reach else None,
    }


def _about_dates(ground: Ground, x: Floats, gaps: Floats, settings: Settings) -> Row:
    """What knowing all dates, and nothing else, would be worth."""
    at_most, at_least, weights = [], [], []
    everything = ground.engine.two_stage.probability
    for planned, judged in ground.dates:
        best = ground.best(planned, settings, x)
        own = float(ground.probability(planned) @ ground.costs(planned, x))
        at_most.append(max(own - best.bound, 0.0))
        if best.x is None:
            at_least.append(0.0)
        else:
            share = ground.probability(judged)
            at_least.append(float(share @ (ground.costs(judged, x) - ground.costs(judged, best.x))))
        weights.append(float(everything[planned].sum()))
    share = np.array(weights) / sum(weights)
    high, saved = np.array(at_most), np.array(at_least)
    most, least = float(share @ high), float(share @ saved - gaps.mean())
    row = {
        "dates": len(high),
        "futures_each": len(ground.dates[0][0]),
        "at_least_gbp": max(least, 0.0),
        "at_most_gbp": most,
    }
    if not ground.drawn:
        return row | {"low_gbp": max(least, 0.0), "high_gbp": most} | EXACTLY
    error = math.hypot(_spread(saved), _spread(gaps))
    t = _t(min(len(saved), len(gaps)) - 1, 2)
    low = max(least - t * error, 0.0)
    return row | {
        "standard_error_gbp": _spread(high),
        "low_gbp": low,
        "high_gbp": most + _t(len(high) - 1, 2) * _spread(high),
        # replications and draws of dates both so many times as they are
        "times_as_many_would_tell": math.ceil((t * error / least) ** 2) if least >= 1.0 and low <= 0 else None,
    }
