"""One plan, from instance to document: solved, verified, compared, and told how good it is."""

from __future__ import annotations

import hashlib
import platform
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from dataclasses import asdict, dataclass, field, replace
from functools import cache
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

import numpy as np

from models.decisions import with_managers_needed
from models.problem import COST_TERMS, Problem, across
from optimiser.analysis.appraisal import (
    DO_NOTHING,
    OPTIMISED,
    Appraised,
    appraise_options,
    best_plan,
    budget_columns,
    comparison,
    cost_by_year,
    published_results,
)
from optimiser.analysis.budget import (
    base_budget,
    financing,
    financing_terms,
    medium_term,
    saving_in_budget,
    stream_by_year,
)
from optimiser.analysis.levers import figure_asked_words, with_figures
from optimiser.analysis.limits import Limit, Worth, limits_of, worths
from optimiser.analysis.sensitivity import Swing, swings
from optimiser.analysis.slippage import (
    Slippage,
    difference,
    figures_in,
    figures_of,
    plan_held,
    with_capital,
    with_slippage,
)
from optimiser.analysis.stress import Ordinary, under_stresses
from optimiser.assemble import assemble, within_limits_of
from optimiser.demand.reduction import Reduction, reduce_futures, with_fresh
from optimiser.demand.scenarios import ScenarioSet, calendar_of, make_scenarios, standard_error, taken
from optimiser.demand.stress import Stress, stresses_asked
from optimiser.errors import Fault, InstanceError, NoPlanError
from optimiser.finance import whole_pounds
from optimiser.instance.checks import check_chance
from optimiser.instance.distributions import Distribution
from optimiser.instance.register import evidence_for
from optimiser.instance.schema import Instance
from optimiser.plan import Plan, Row, break_even, decisions_table, expected_terms, timeline_table, titles_of
from optimiser.solve.compile import decisions_from
from optimiser.solve.engine import WORKERS, Engine, Placing, stopped_by_hand
from optimiser.solve.executor import executor
from optimiser.solve.highs import relative_gap
from optimiser.solve.kept import Kept, TakenUp
from optimiser.solve.twostage import Round, Settings
from optimiser.verify import idle_while_unregistered, verify

if TYPE_CHECKING:
    from optimiser.analysis.simulation import Simulated

#: Fresh futures on which a plan is priced again.
FRESH = 40
#: Futures on which a plan is simulated, on which its protection levels are searched, and which the optimiser sees as well.
SIMULATED, SEARCHED, PAIRED = 100, 30, 40


@dataclass(eq=False)
class Ready:
    """The model of one plan, held in memory for the next, with all that its search started from or has learned.

    It serves a plan on the same futures within other limits of the first stage. Whatever else is asked finds it of no use.
    """

    instance: Instance | None = None
    drawn: tuple[object, ...] = ()
    engine: Engine | None = None
    plan: Plan | None = None  # on these futures, the last that was compared with
    taken_up: TakenUp | None = None  # how much the plans after the first start from, where it has been counted

    def hold(self, instance: Instance, asked: Asked, engine: Engine, plan: Plan | None = None) -> None:
        """Hold the model of an instance as it was asked for, and its plan."""
        self.instance, self.drawn, self.engine = instance, _drawn(asked), engine.onward(engine.problem)
        self.plan, self.taken_up = plan, None

    def learned(self, engine: Engine) -> TakenUp:
        """How many vectors a search of a model held here starts from, at least: those that there were for the first of them.

        Counting asks every cut at every point, which takes longer than some of the searches: it is done once.
        """
        self.taken_up = self.taken_up or engine.learned()
        return self.taken_up

    def engine_for(self, instance: Instance, asked: Asked, executor: Executor | None) -> Engine | None:
        """The model within the limits of an instance; None where that differs in more than those."""
        if self.engine is None or self.instance is None or self.drawn != _drawn(asked):
            return None
        problem = within_limits_of(instance, self.instance, self.engine.problem)
        return None if problem is None else self.engine.onward(problem, executor)


def _drawn(asked: Asked) -> tuple[object, ...]:
    return asked.scenarios, asked.seed, asked.reduce_from, asked.risk_weight


@dataclass(frozen=True)
class Asked:
    """What the command line asks of a plan; None takes the instance's own."""

    scenarios: int | None = None
    seed: int | None = None
    gap: float = 1e-3
    time_limit: float | None = None
    capital: float | None = None  # in total, of the only envelope
    risk_weight: float | None = None
    method: str = "auto"
    cluster: str | None = None  # address of a Dask scheduler
    slippage: Slippage = field(default_factory=Slippage)  # what has slipped against the instance
    start: Kept | None = None  # what an earlier run has kept
    before: Row | None = None  # the document of that run, to compare with
    keep: bool = False  # keep what the search learns
    reduce_from: int | None = None  # futures drawn, for which those planned on are made to stand
    stresses: tuple[str, ...] = ()  # names of stresses that plans are tested under
    envelopes: tuple[tuple[str, float], ...] = ()  # capital in total by envelope, where the instance has several
    figures: tuple[tuple[str, float | None], ...] = ()  # figures by their keys, as asked for instead of the instance's
    brief: bool = False  # the plan alone, without what it is compared with, rests on and is tested by
    ready: Ready | None = None  # where a model is held from one plan to the next


@dataclass(frozen=True)
class Told:
    """Whom to tell how far things are: words for steps, and the search's own progress."""

    step: Callable[[str], None] = field(default=lambda words: None)
    search: Callable[[Round], None] | None = None


def asked_again(row: Row) -> Asked:
    """What a run was asked, from its document."""
    figures = tuple((str(key), value) for key, value in row.get("figures") or ())
    envelopes = tuple((str(name), float(amount)) for name, amount in row.get("envelopes") or ())
    own = {"slippage": Slippage.of(row.get("slippage")), "figures": figures, "envelopes": envelopes}
    return Asked(**{**row, **own})


def as_asked(instance: Instance, asked: Asked) -> Instance:
    """The instance with another envelope, with what has slipped, and with the figures asked for."""
    if asked.capital is not None or asked.envelopes:
        instance = with_capital(instance, asked.capital, asked.envelopes)
    if asked.slippage.any:
        instance = with_slippage(instance, asked.slippage)
    return with_figures(instance, dict(asked.figures)) if asked.figures else instance


def reduction_of(instance: Instance, asked: Asked) -> Reduction | None:
    """The larger sample that the plan's futures stand for; None where they are a sample of their own.

    Raises
    ------
    InstanceError
        Where the sample is not larger, or the instance has a table of futures.
    """
    if asked.reduce_from is None:
        return None
    count = instance.settings.scenarios if asked.scenarios is None else asked.scenarios
    rule = fix = ""
    if instance.scenarios:
        rule, fix = "has nothing to draw from: the instance gives its futures in a table", "Leave the option out."
    elif asked.reduce_from < count:
        rule, fix = f"is fewer than the {count} futures to plan on", "Draw more, or plan on fewer with --scenarios."
    if rule:
        fault = Fault("the command", None, "--reduce-from", str(asked.reduce_from), rule, fix)
        raise InstanceError([fault], instance.settings.name)
    return reduce_futures(instance, asked.reduce_from, count, asked.seed)


def posed(instance: Instance, asked: Asked, reduction: Reduction | None = None) -> tuple[Instance, Problem]:
    """The instance as asked for, and its problem.

    Parameters
    ----------
    reduction
        What ``reduction_of`` says, where the caller needs it as well.

    Raises
    ------
    InstanceError
        Where a probability limit asks for more futures than are drawn, or ``reduction_of`` raises it.
    """
    instance = as_asked(instance, asked)
    reduction = reduction or reduction_of(instance, asked)
    futures = make_scenarios(instance, asked.scenarios, asked.seed) if reduction is None else reduction.futures
    count = len(futures.names)
    if reduction is not None:
        # futures of unequal weight tell as much as so many equal ones (Kish 1965)
        count = round(1 / float(futures.probability @ futures.probability))
    faults = check_chance(instance, count)
    if faults:
        raise InstanceError(faults, instance.settings.name)
    return instance, assemble(instance, futures, risk_weight=asked.risk_weight)


def prepare(
    instance: Instance, asked: Asked, executor: Executor | None = None, reduction: Reduction | None = None
) -> tuple[Instance, Engine]:
    """The instance as asked for, and its problem compiled; parameters and errors as of ``posed``."""
    instance, problem = posed(instance, asked, reduction)
    return instance, Engine(problem, executor)


def draw_as(asked: Asked, reduction: Reduction | None) -> Callable[[Instance], ScenarioSet]:
    """The futures that a plan is made on, drawn for another instance: the same draws, and the same of them kept."""

    def draw(instance: Instance) -> ScenarioSet:
        if reduction is None:
            return make_scenarios(instance, asked.scenarios, asked.seed)
        sample = make_scenarios(instance, int(reduction.kept.max()) + 1, asked.seed)
        return taken(sample, reduction.kept, reduction.futures.probability)

    return draw


def refuse_if_stopped(stop: threading.Event) -> None:
    """Ctrl-C while the model was built: there is no plan to show."""
    if stop.is_set():
        raise NoPlanError("Stopped before any plan was found.")


def make_plan(
    instance: Instance, asked: Asked, told: Told | None = None, stop: threading.Event | None = None
) -> tuple[Plan, Row]:
    """Best plan of an instance and its document.

    Parameters
    ----------
    stop
        Ends the search with the best plan so far once it is set; Ctrl-C does without one.

    Raises
    ------
    InfeasibleError, NoPlanError, SolverError, InstanceError
        As ``best_plan`` and ``prepare`` say.
    """
    told = told or Told()
    began = time.perf_counter()
    timings: dict[str, float] = {}

    def timed(name: str, since: float) -> float:
        now = time.perf_counter()
        timings[f"{name}_seconds"] = now - since
        return now

    stresses, left_out = stresses_asked(instance, asked.stresses)
    with stopped_by_hand(stop) as stop, executor(asked.cluster, WORKERS) as pool:
        told.step("drawing futures and building the model")
        unchanged = instance
        reduction = reduction_of(as_asked(instance, asked), asked)
        held = None if asked.ready is None else asked.ready.engine_for(as_asked(instance, asked), asked, pool)
        if held is None:
            instance, engine = prepare(instance, asked, pool, reduction)
            if asked.ready is not None:
                engine.stand()
        else:
            instance, engine = as_asked(instance, asked), held
        refuse_if_stopped(stop)
        at = timed("build", began)
        settings = Settings(gap=asked.gap, time_limit=asked.time_limit, stop=stop)
        taken_up = None
        if held is not None and asked.ready is not None:
            taken_up = asked.ready.learned(held)
        elif asked.start is not None:
            taken_up = engine.take_up(asked.start)
            if asked.ready is not None:
                asked.ready.hold(instance, asked, engine)
        before = None if asked.before is None else figures_in(asked.before)
        if before is None and asked.slippage.any:
            before, taken_up = plan_before(unchanged, engine, asked, settings, told)
        told.step("searching for the best plan")
        plan = best_plan(instance, engine, settings, told.search, asked.method)
        if asked.ready is not None and asked.start is None:
            asked.ready.hold(instance, asked, engine, plan)
        learned = engine.keep() if asked.keep or stresses else None
        if asked.keep:
            plan = replace(plan, kept=learned)
        if asked.ready is not None and learned is not None and asked.start is None:
            asked.ready.taken_up = TakenUp(len(learned.scenario), 0, 0)
        at = timed("search", at)
        changed: Row | None = None
        if before is not None and not stop.is_set():
            told.step("pricing the plan from before as it now stands")
            ready = asked.ready or Ready()
            ready.plan = plan_held(engine, plan, before, ready.plan)
            changed = difference(engine, plan, before, _changes(asked), plan_seed(plan, asked), held=ready.plan)
            at = timed("change", at)
        # ended by a gap, not by a clock, so that the same bytes come out again
        extra = replace(settings, gap=2 * asked.gap)
        compared: list[Appraised] = []
        worth: list[Worth | Limit] = []
        ranked: list[Swing] | None = None
        fresh: Row | None = None

        def goes_on() -> bool:
            return not (asked.brief or stop.is_set())

        if not asked.brief:
            # what is saved and the budget are told of a plan that was stopped as well
            names = (DO_NOTHING, *(row.option for row in instance.options if row.paper and not stop.is_set()))
            compared = appraise_options(instance, engine, extra, names, told.step)
            plan = replace(plan, beside={each.name: each.plan for each in compared if each.plan is not None})
            at = timed("options", at)
        weeks = plan.verified.unregistered_child_weeks
        limits = limits_of(plan.problem, plan.decisions, weeks, titles_of(plan.instance))
        if goes_on():
            worth = worths(engine, plan, limits, extra, told.step)
            at = timed("limits", at)
        else:
            worth = [limit for limit in limits if limit.binding]
        if goes_on():
            ranked = swings(instance, plan, asked.seed, told.step, reduction)
            at = timed("sensitivity", at)
            told.step("pricing the plan on fresh futures")
            fresh = out_of_sample(plan, asked, reduction)
            at = timed("fresh_futures", at)
        simulated: Row | None = None
        if goes_on() and not instance.scenarios:
            told.step("simulating the plan child by child")
            simulated = foresight_of(plan, asked, told, reduction)
            at = timed("simulation", at)
        stressed: list[Row] = []
        if stresses:
            ordinary = Ordinary(instance, plan.problem, {OPTIMISED: plan}, draw_as(asked, reduction), learned, pool)
            stressed = under_stresses(ordinary, stresses, extra, told.step)
            timed("stresses", at)
    document = plan_document(plan, compared, worth, ranked, asked) | {
        "reduction": reduction_row(reduction),
        "out_of_sample": fresh,
        "simulated": simulated,
        "taken_up": None if taken_up is None else asdict(taken_up),
        "stresses": stressed,
        "stresses_left_out": left_out_rows(instance, left_out, stresses, stressed),
        "changed": changed,
    }
    timings["total_seconds"] = time.perf_counter() - began
    document["timings"] = timings
    return plan, document


def plan_before(
    instance: Instance, engine: Engine, asked: Asked, settings: Settings, told: Told
) -> tuple[Row, TakenUp | None]:
    """The plan before anything slipped, whose search teaches the one after it, and how much of it still holds."""
    told.step("searching for the best plan before the change")
    own, other = prepare(instance, replace(asked, slippage=Slippage()), engine.executor)
    plan = best_plan(own, other, settings, told.search, asked.method)
    kept = other.keep()
    return figures_of(plan), None if kept is None else engine.take_up(kept)


def _changes(asked: Asked) -> list[str]:
    """What is asked for against the run before it, in words."""
    words = list(asked.slippage.words)
    if asked.before is not None:
        old = Slippage.of(asked.before["asked"].get("slippage"))
        words = [each for each in words if each not in old.words]
        words += [f"no longer: {each}" for each in old.words if each not in asked.slippage.words]
        earlier, now = (_totals(each) for each in (asked_again(asked.before["asked"]), asked))
        for name in dict.fromkeys((*now, *earlier)):
            which = f" ({name})" if name else ""
            if name not in now:
                words.append(f"capital in total as the instance has it{which}")
            elif now[name] != earlier.get(name):
                words.append(f"{whole_pounds(now[name])} of capital in total{which}")
        old_figures = dict(asked_again(asked.before["asked"]).figures)
        words += [
            figure_asked_words(key, value)
            for key, value in asked.figures
            if key not in old_figures or old_figures[key] != value
        ]
        words += [f"{key} as the instance has it" for key in old_figures if key not in dict(asked.figures)]
    return words


def _totals(asked: Asked) -> dict[str, float]:
    """Capital in total as asked for, by envelope; under a blank name that of the only one."""
    return dict(asked.envelopes) | ({} if asked.capital is None else {"": asked.capital})


def plan_seed(plan: Plan, asked: Asked) -> int:
    """Seed of the futures that a plan was made on."""
    return plan.instance.settings.seed if asked.seed is None else asked.seed


def out_of_sample(plan: Plan, asked: Asked, reduction: Reduction | None = None) -> Row | None:
    """The plan's cost on futures that the search has not seen: what it found in its own futures flatters it.

    Fresh futures take the branch of a review that what they observe sends them to. None for a table of futures.
    """
    if plan.instance.scenarios:
        return None
    seen = len(plan.problem.scenarios)
    futures = with_fresh(plan.instance, seen, FRESH, asked.seed, reduction)
    everything = assemble(plan.instance, futures, risk_weight=asked.risk_weight, basis=seen)
    unseen = tuple(replace(scenario, probability=1 / FRESH) for scenario in everything.scenarios[seen:])
    free = replace(everything, scenarios=unseen, local_limits=(), unregistered_limits=(), cvar_limit=None)
    checked = verify(free, plan.decisions, Placing().place(free, plan.decisions))
    pounds = checked.scenario_pounds
    by_term = checked.ledger.present(free).sum(axis=(2, 3)).mean(axis=0)
    return {
        "futures": FRESH,
        "expected_cost_gbp": float(pounds.mean()),
        "terms": [
            {"term": term, "present_gbp": float(amount)} for term, amount in zip(COST_TERMS, by_term, strict=True)
        ],
        "standard_error_gbp": standard_error(pounds),
        # futures that stand for others are neither independent nor mirrored
        "own_standard_error_gbp": None if reduction is not None else standard_error(plan.scenario_pounds),
        "unregistered_child_weeks": float(checked.unregistered_child_weeks.sum(axis=(1, 2)).mean()),
    }


def foresight_of(plan: Plan, asked: Asked, told: Told, reduction: Reduction | None = None) -> Row:
    """What the plan costs when nobody knows the future, and when to go to the market."""
    from optimiser.analysis.simulation.summary import option_row

    row = option_row(OPTIMISED, _simulated(plan, {OPTIMISED: plan}, asked, told, reduction)[OPTIMISED], OPTIMISED)
    wanted = (
        "cost_gbp",
        "terms",
        "unregistered_child_weeks",
        "children_unregistered",
        "when_to_go_to_market",
        "foresight",
    )
    return {"futures": SIMULATED, **{name: row[name] for name in wanted}}


def simulated_ranking(options: list[Appraised], asked: Asked, told: Told, reduction: Reduction | None = None) -> Row:
    """Options by what they cost when nobody knows the future, and the order in which the optimiser puts them.

    Each with what it costs more than the one before it, future by future, so that noise can be told from an order.
    """
    from optimiser.analysis.simulation.summary import mean_row, option_row

    placed = {option.name: option.plan for option in options if option.plan is not None}
    found = _simulated(placed[OPTIMISED], placed, asked, told, reduction)
    costs = {name: own.outcome.cost_gbp for name, own in found.items()}
    means = {name: float(cost.mean()) for name, cost in costs.items()}
    expected = {name: plan.verified.expected_cost for name, plan in placed.items()}
    ranked = sorted(found, key=lambda name: means[name])
    rows = []
    for before, name in zip([None, *ranked], ranked, strict=False):
        row = option_row(name, found[name], name)
        rows.append(
            {
                "option": name,
                "cost_gbp": row["cost_gbp"],
                "terms": row["terms"],
                "unregistered_child_weeks": row["unregistered_child_weeks"]["mean"],
                "rank": rank_of(name, means),
                "rank_by_optimiser": rank_of(name, expected),
                "above_before_gbp": None if before is None else mean_row(costs[name] - costs[before]),
                "foresight": row["foresight"],
            }
        )
    return {"futures": SIMULATED, "options": rows}


def rank_of(name: str, costs: dict[str, float]) -> int:
    """Rank of an option by cost, the cheapest 1; options that cost the same to the pound share theirs."""
    return 1 + sum(cost < costs[name] - 0.5 for cost in costs.values())


def _simulated(
    plan: Plan, options: dict[str, Plan], asked: Asked, told: Told, reduction: Reduction | None
) -> dict[str, Simulated]:
    from optimiser.analysis.simulation import simulate

    return simulate(
        plan.instance,
        plan.problem,
        {name: option.decisions for name, option in options.items()},
        futures=SIMULATED,
        seed=asked.seed,
        search=SEARCHED,
        paired=PAIRED,
        told=told.step,
        reduction=reduction,
    )


def make_appraisal(instance: Instance, asked: Asked, told: Told | None = None) -> tuple[list[Appraised], Row]:
    """Every option of an instance and the optimised plan on the same futures, and the document."""
    told = told or Told()
    began = time.perf_counter()
    stresses, left_out = stresses_asked(instance, asked.stresses)
    with stopped_by_hand() as stop, executor(asked.cluster, WORKERS) as pool:
        told.step("drawing futures and building the model")
        reduction = reduction_of(instance, asked)
        instance, engine = prepare(instance, asked, pool, reduction)
        refuse_if_stopped(stop)
        settings = Settings(gap=asked.gap, time_limit=asked.time_limit, stop=stop)
        if asked.start is not None:
            engine.take_up(asked.start)
        told.step("searching for the best plan")
        plan = best_plan(instance, engine, settings, told.search, asked.method)
        plan = _carried_over(plan, engine, asked)
        learned = engine.keep() if stresses else None
        options = appraise_options(instance, engine, settings, None, told.step)
        options.append(Appraised(OPTIMISED, "Optimised plan", False, plan, ()))
        simulated: Row | None = None
        if not stop.is_set() and not instance.scenarios:
            simulated = simulated_ranking(options, asked, told, reduction)
        stressed: list[Row] = []
        if stresses:
            first = [options[-1], *options[:-1]]  # the optimised plan
            placed = {option.name: option.plan for option in first if option.plan is not None}
            ordinary = Ordinary(instance, plan.problem, placed, draw_as(asked, reduction), learned, pool)
            extra = replace(settings, gap=2 * asked.gap)
            stressed = under_stresses(ordinary, stresses, extra, told.step)
    document = {
        "document": "appraisal/1",
        "instance": instance_row(instance),
        **_run_rows(plan, asked),
        "reduction": reduction_row(reduction),
        "rounding_gbp": rounding(plan.verified.expected_cost),
        "titles": titles_of(instance),
        "options": comparison(options),
        "simulated": simulated,
        "stresses": stressed,
        "stresses_left_out": left_out_rows(instance, left_out, stresses, stressed),
        "years": cost_by_year(options),
        "terms": [
            {"option": option.name} | row
            for option in options
            if option.plan is not None
            for row in expected_terms(option.plan)
        ],
        "budget": budget_columns(options),
        "published": published_results(instance, options),
        "asked": asked_row(plan, asked),
        "versions": versions(),
        "timings": {"total_seconds": time.perf_counter() - began},
    }
    return options, document


def _carried_over(plan: Plan, engine: Engine, asked: Asked) -> Plan:
    """The plan of the run that was started from, where it is within the gap here too; else the plan found.

    Of two plans that the gap cannot tell apart, what was planned and what is appraised should be one.
    """
    if asked.start is None:
        return plan
    first, problem = engine.first, engine.problem
    decisions = with_managers_needed(problem, decisions_from(first, problem, first.values(asked.start.start)))
    placed = engine.place(decisions)
    checked = verify(problem, decisions, placed.placements)
    worse = checked.objective > plan.verified.objective
    if checked.violations or (worse and relative_gap(checked.objective, plan.solution.bound) > asked.gap):
        return plan
    found = replace(plan.solution, decisions=decisions, placements=placed.placements)
    return replace(plan, solution=found, verified=checked)


# the document


def plan_document(
    plan: Plan, compared: list[Appraised], worth: Sequence[Worth | Limit], ranked: list[Swing] | None, asked: Asked
) -> Row:
    """Everything there is to tell of a plan, as one JSON document; ``docs`` in the README says what each key holds."""
    verified, problem = plan.verified, plan.problem
    pounds = plan.scenario_pounds
    base = next((option.plan for option in compared if option.name == DO_NOTHING and option.plan is not None), None)
    terms = plan.nominal.sum(axis=1) @ problem.present_value
    unregistered = _unregistered(plan)
    return {
        "document": "plan/1",
        "instance": instance_row(plan.instance),
        **_run_rows(plan, asked),
        "expected_cost_gbp": verified.expected_cost,
        "deterrent_gbp": verified.objective - objective_in_pounds(plan),
        "p90_gbp": plan.quantile(pounds, 0.9),
        "cvar_gbp": tail_mean_of(plan, pounds),
        "cvar_level": problem.cvar_level,
        "risk_weight": problem.risk_weight,
        "residual_gbp": float(-terms[COST_TERMS.index("residual")]),
        "expected_cost_without_residual_gbp": verified.expected_cost - float(terms[COST_TERMS.index("residual")]),
        "saving_gbp": None if base is None else base.verified.expected_cost - verified.expected_cost,
        "rounding_gbp": rounding(verified.expected_cost),
        "titles": titles_of(plan.instance),
        "unregistered": unregistered,
        "decisions": decisions_table(problem, plan.decisions, plan),
        "timeline": timeline_table(plan),
        "against_paper": _against_paper(plan, compared),
        "quarters": plan.children_table(),
        "years": plan.money_by_year(),
        "capital": plan.capital_by_year(),
        **_budget_rows(plan, base),
        "voids": plan.voids_by_year(),
        "break_even": break_even(plan),
        "limits": [_worth_row(plan, row) for row in worth],
        "evidence": _evidence(plan.instance, ranked),
        "warnings": _warnings(plan, unregistered["idle_bed_child_weeks"]),
        "asked": asked_row(plan, asked),
        "decided": plan.decided,
        "beyond_horizon": _beyond_horizon(plan),
        "versions": versions(),
    }


def _budget_rows(plan: Plan, nothing: Plan | None) -> Row:
    """The Medium-Term Financial Plan, where there is doing nothing to set the plan against, and the view as borrowing."""
    rows, base, counted = [], None, None
    if nothing is not None:
        rows = medium_term(plan, nothing)
        base = base_budget(plan.instance, plan.problem, stream_by_year(nothing)["recurring"])[1]
        counted = saving_in_budget(plan, rows)
    return {
        "mtfp": rows,
        "mtfp_base": base,
        "saving_in_budget": counted,
        "financing": financing(plan),
        "financing_terms": financing_terms(plan.instance),
    }


def asked_row(plan: Plan, asked: Asked) -> Row:
    """What a later command must ask to stand on the same problem."""
    return {
        "scenarios": len(plan.problem.scenarios),
        "seed": asked.seed,
        "gap": asked.gap,
        "capital": asked.capital,
        "envelopes": [list(each) for each in asked.envelopes],
        "risk_weight": asked.risk_weight,
        "slippage": asked.slippage.row,
        "reduce_from": asked.reduce_from,
        "figures": [[key, value] for key, value in asked.figures],
    }


def rounding(cost: float) -> float:
    """Pounds to which figures are shown: what inputs with ranges of a tenth and more bear."""
    return 100_000.0 if abs(cost) >= 2e8 else (10_000.0 if abs(cost) >= 1e6 else 1_000.0)


def versions() -> dict[str, str]:
    """Versions of what computed it."""
    return dict(_versions())


@cache
def _versions() -> tuple[tuple[str, str], ...]:
    named = {name: version(name) for name in ("highspy", "pyomo", "numpy", "scipy")}
    own = {"optimiser": version("block-capacity-optimiser"), "python": platform.python_version()}
    return tuple({**own, **named}.items())


def fingerprint(instance: Instance) -> str:
    """SHA-256 of everything an instance says, whatever the order of its files."""
    return hashlib.sha256(instance.model_dump_json().encode()).hexdigest()


def tail_mean_of(plan: Plan, amounts: np.ndarray) -> float:
    """Mean of the worst futures, (1 - level) of the probability."""
    order = np.argsort(-amounts, kind="stable")
    left, total = 1 - plan.problem.cvar_level, 0.0
    for place in order:
        taken = min(left, float(plan.probability[place]))
        total += taken * float(amounts[place])
        left -= taken
        if left <= 1e-15:
            break
    return total / (1 - plan.problem.cvar_level)


def objective_in_pounds(plan: Plan) -> float:
    """The objective without the deterrent."""
    weight = plan.problem.risk_weight
    return (1 - weight) * plan.verified.expected_cost + weight * tail_mean_of(plan, plan.scenario_pounds)


def instance_row(instance: Instance) -> Row:
    """What a document says of its instance."""
    settings = instance.settings
    return {
        "name": settings.name,
        "title": settings.title,
        "question": settings.question,
        "as_at": settings.as_at,
        "first_month": settings.first_month,
        "months": calendar_of(instance).months,
        "price_base": settings.price_base,
        "weeks_per_year": settings.weeks_per_year,
        "fingerprint": fingerprint(instance),
    }


def _run_rows(plan: Plan, asked: Asked) -> Row:
    solution = plan.solution
    gap = relative_gap(plan.verified.objective, solution.bound)
    return {
        "status": solution.status,
        "objective_gbp": plan.verified.objective,
        "bound_gbp": solution.bound if np.isfinite(solution.bound) else None,
        "gap": gap if np.isfinite(gap) else None,
        "futures": len(plan.problem.scenarios),
        "seed": plan_seed(plan, asked),
        "method": {"lshaped": "L-shaped decomposition", "extensive": "extensive form"}.get(
            solution.method, solution.method
        ),
    }


def left_out_rows(
    instance: Instance, nothing: list[tuple[Stress, str]], asked: list[Stress], done: list[Row]
) -> list[Row]:
    """Stresses that can do nothing to the instance, and those that were not begun when the search was stopped."""
    reasons = [*nothing, *((stress, "stopped before it was begun") for stress in asked[len(done) :])]
    return [{"stress": stress.name, "title": stress.title, "reason": reason} for stress, reason in reasons]


def reduction_row(reduction: Reduction | None) -> Row | None:
    """The sample that the futures stand for, and the distance lost; None where they are a sample of their own."""
    if reduction is None:
        return None
    return {
        "drawn": reduction.drawn,
        "kept": len(reduction.kept),
        "distance_lost_gbp": reduction.lost_gbp,
        "distance_lost_by_one_gbp": reduction.lost_by_one_gbp,
        "as_many_equal_futures": 1 / float(reduction.futures.probability @ reduction.futures.probability),
    }


def _unregistered(plan: Plan) -> Row:
    children = plan.children_by_kind["unregistered"]
    names, by_quarter = plan.by_quarter(children)
    expected = plan.probability @ by_quarter
    bad = np.array([plan.quantile(by_quarter[:, place], 0.9) for place in range(len(names))])
    worst = int(np.lexsort((expected, bad))[-1])
    weeks = plan.unregistered_child_weeks
    return {
        "name": plan.problem.unregistered_name,
        "expected_child_weeks": plan.mean(weeks),
        "p90_child_weeks": plan.quantile(weeks, 0.9),
        "probability_any": plan.mean((weeks >= 1).astype(float)),
        "worst_quarter": names[worst],
        "worst_quarter_expected": float(expected[worst]),
        "worst_quarter_p90": float(bad[worst]),
        "idle_bed_child_weeks": plan.mean(
            idle_while_unregistered(plan.problem, plan.decisions, plan.solution.placements)
        ),
        "real_price_gbp_per_week": float(
            plan.probability @ np.array([scenario.unregistered_price[0] for scenario in plan.problem.scenarios])
        ),
        "deterrent_gbp_per_week": float(
            plan.probability @ np.array([scenario.deterrent[0] for scenario in plan.problem.scenarios])
        ),
    }


def _against_paper(plan: Plan, compared: list[Appraised]) -> Row | None:
    """The plan beside the paper's own option on the same futures; None where there is none."""
    paper = next((option for option in compared if option.paper), None)
    if paper is None or paper.plan is None:
        return None
    theirs = paper.plan
    return {
        "option": paper.name,
        "decisions": decisions_table(theirs.problem, theirs.decisions),
        "saving_gbp": theirs.verified.expected_cost - plan.verified.expected_cost,
        "child_weeks_avoided": theirs.mean(theirs.unregistered_child_weeks) - plan.mean(plan.unregistered_child_weeks),
        "broken": list(paper.broken),
    }


#: What is computed of a limit that binds.
WORTH = (
    "worth_least_gbp",
    "worth_most_gbp",
    "saving_gbp",
    "child_weeks_avoided",
    "objective_with_step_gbp",
    "bound_with_step_gbp",
    "cost_with_step_gbp",
    "resolution_gbp",
)


def _worth_row(plan: Plan, found: Worth | Limit) -> Row:
    """A limit that binds, with what one unit more is worth; None for all of that where it was not computed."""
    worth = found if isinstance(found, Worth) else None
    limit = found.limit if isinstance(found, Worth) else found
    row = {
        "name": limit.name,
        "words": limit.words,
        "month": limit.month,
        "unit": limit.unit,
        "used": float(limit.used),
        "limit": float(limit.limit),
        "step": float(limit.step),
        "step_words": limit.step_words,
    }
    if worth is None:
        return row | dict.fromkeys(WORTH)
    return row | {
        "worth_least_gbp": worth.least,
        "worth_most_gbp": worth.most,
        "saving_gbp": worth.pounds,
        "child_weeks_avoided": worth.child_weeks,
        "objective_with_step_gbp": worth.objective,
        "bound_with_step_gbp": worth.bound if np.isfinite(worth.bound) else None,
        "cost_with_step_gbp": worth.cost,
        # nothing below what the search left open can be told from nothing
        "resolution_gbp": max(plan.verified.objective - plan.solution.bound, 0.0),
    }


def _evidence(instance: Instance, ranked: list[Swing] | None) -> Row:
    register = []
    for key, value in instance.figure_values().items():
        evidence = evidence_for(instance, key)
        register.append(
            {
                "figure": key,
                "value": _plain(value),
                "evidence": evidence.evidence,
                "document": evidence.document,
                "place": evidence.place,
                "low": evidence.low,
                "high": evidence.high,
                "derived_from": evidence.derived_from,
                "note": evidence.note,
            }
        )
    classes = ("published", "derived", "calibrated", "assumption")
    return {
        "counts": {name: sum(row["evidence"] == name for row in register) for name in classes},
        "matter_most": [
            {
                "figure": swing.figure,
                "low": swing.low,
                "high": swing.high,
                "cost_at_low_gbp": swing.cost_at_low,
                "cost_at_high_gbp": swing.cost_at_high,
                "child_weeks_at_low": swing.child_weeks_at_low,
                "child_weeks_at_high": swing.child_weeks_at_high,
            }
            for swing in (ranked or [])[:10]
        ],
        "register": register,
    }


def _plain(value: Any) -> Any:
    """A figure as its cell has it."""
    if isinstance(value, tuple):
        return " ".join(f"{part:g}" for part in value)
    return str(value) if isinstance(value, Distribution) else value


def _warnings(plan: Plan, idle: float) -> list[str]:
    """What to know before relying on the plan; ``idle`` as in ``idle_bed_child_weeks``."""
    found = []
    if idle > 0.5:
        found.append(
            f"{idle:,.1f} child-weeks without a registered place fall while an allowed bed is free: the deterrent is too low."
        )
    thin = [
        node.branch
        for place, node in enumerate(plan.problem.nodes)
        if node.parent is not None and sum(place in s.path for s in plan.problem.scenarios) < 100
    ]
    if thin:
        where = "one branch" if len(thin) == 1 else f"{len(thin)} branches"
        found.append(f"fewer than 100 futures on {where} of a review: see the cost on fresh futures.")
    return found


def _beyond_horizon(plan: Plan) -> list[Row]:
    """Commitments that go on after the horizon: awarded beds whose term has not ended by then."""
    problem = plan.problem
    rows = []
    for place, award in enumerate(problem.awards):
        if not plan.decisions.lot_awarded[place]:
            continue
        lot = plan.instance.lots[award.lot]
        there = plan.concerned(award.node)
        delivered = across(problem.scenarios, "lot_delivered", (award.lot, award.period))
        share = np.where(there, plan.probability, 0.0) / max(plan.probability[there].sum(), 1e-12)
        still = float(share @ delivered[:, -1])
        served = float(share @ (delivered @ problem.period_months))
        if still > 0:
            rows.append(
                {
                    "item": lot.lot,
                    "beds": int(plan.decisions.beds_in_tier[place].sum()),
                    "months_left": round(max(lot.term_months - served, 0.0), 1),
                }
            )
    return rows
