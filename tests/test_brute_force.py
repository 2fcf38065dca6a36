"""The extensive form against the oracle, which tries every first stage with linear programmes of its own."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, fields, replace
from functools import cache

import highspy
import numpy as np
import pyomo.environ as pyo
import pytest
from pyomo.repn.plugins.standard_form import LinearStandardFormCompiler

from models import extensive
from models.decisions import Decisions
from models.problem import LocalLimit, Problem, UnregisteredLimit
from tests import oracle
from tests.random_problems import random_problem

SEEDS = range(200)
#: Relative to one or to the objective, whichever is more: ten times the gap the solver is asked for.
TOLERANCE = 1e-6


@dataclass(frozen=True)
class Solved:
    """An optimum of the extensive form; its values are in ``model``."""

    objective: float
    bound: float
    model: pyo.ConcreteModel


def matrices(model: pyo.ConcreteModel) -> object:
    """Standard form of a Pyomo model as it stands, with constraints that a test has switched off left out."""
    return LinearStandardFormCompiler().write(model, mixed_form=True, set_sense=None)


def solve(model: pyo.ConcreteModel, presolve: str = "on", load: bool = True) -> Solved | None:
    """Optimum at a gap of 1e-7, its values loaded into the model, or None where HiGHS proves that there is none."""
    form = matrices(model)
    programme = highspy.HighsLp()
    a = form.A.tocsc()
    programme.num_row_, programme.num_col_ = a.shape
    programme.col_cost_ = np.asarray(form.c.todense(), dtype=float).ravel()
    programme.offset_ = float(form.c_offset[0])
    bounds = [column.bounds for column in form.columns]
    programme.col_lower_ = np.array([-np.inf if low is None else low for low, _ in bounds], dtype=float)
    programme.col_upper_ = np.array([np.inf if high is None else high for _, high in bounds], dtype=float)
    # bound_type: 1 for at most, -1 for at least, 0 for equal.
    rhs, kind = np.asarray(form.rhs, dtype=float), np.array([row.bound_type for row in form.rows])
    programme.row_lower_ = np.where(kind == 1, -np.inf, rhs)
    programme.row_upper_ = np.where(kind == -1, np.inf, rhs)
    programme.a_matrix_.format_ = highspy.MatrixFormat.kColwise
    programme.a_matrix_.start_, programme.a_matrix_.index_, programme.a_matrix_.value_ = a.indptr, a.indices, a.data
    whole = (highspy.HighsVarType.kContinuous, highspy.HighsVarType.kInteger)
    programme.integrality_ = [whole[not column.is_continuous()] for column in form.columns]
    solver = highspy.Highs()
    for option, setting in (
        ("output_flag", False),
        ("threads", 1),
        ("presolve", presolve),
        ("mip_rel_gap", 1e-7),
        ("mip_abs_gap", 1e-7),
        ("mip_feasibility_tolerance", 1e-9),
        ("primal_feasibility_tolerance", 1e-9),
        ("dual_feasibility_tolerance", 1e-9),
    ):
        solver.setOptionValue(option, setting)
    solver.passModel(programme)
    solver.run()
    status = solver.getModelStatus()
    if status == highspy.HighsModelStatus.kInfeasible:
        return None
    assert status == highspy.HighsModelStatus.kOptimal, f"HiGHS ended with {status}"
    if load:
        for column, number in zip(form.columns, solver.getSolution().col_value, strict=True):
            column.set_value(number, skip_validation=True)
    information = solver.getInfo()
    whole_numbers = any(not column.is_continuous() for column in form.columns)
    bound = information.mip_dual_bound if whole_numbers else information.objective_function_value
    return Solved(information.objective_function_value, bound, model)


def solve_problem(problem: Problem) -> Solved | None:
    """Optimum of the extensive form of a problem."""
    return solve(extensive.build(problem))


def decided(problem: Problem, model: pyo.ConcreteModel) -> Decisions:
    """First stage of a solved model."""

    def number(variable: pyo.Var, index: object) -> int:
        return round(pyo.value(variable[index])) if index in variable and variable[index].value is not None else 0

    plan = Decisions.none(problem)
    for position, b in enumerate(problem.begins):
        plan.homes_begun[position] = number(model.homes_begun, (b.home, b.node, b.period))
    for position, index in enumerate(problem.closures):
        plan.homes_closed[position] = number(model.homes_closed, index)
    for node, period in model.MANAGED:
        plan.managers[node, period] = number(model.managers, (node, period))
    for position, a in enumerate(problem.awards):
        plan.lot_awarded[position] = number(model.lot_awarded, (a.lot, a.node, a.period))
        plan.optional_beds[position] = number(model.optional_beds, (a.lot, a.node, a.period))
        for tier in range(len(problem.lot_tiers[a.lot])):
            plan.tier_chosen[position, tier] = number(model.tier_chosen, (a.lot, tier, a.node, a.period))
            plan.beds_in_tier[position, tier] = number(model.beds_in_tier, (a.lot, tier, a.node, a.period))
    for position in range(len(problem.extensions)):
        plan.extension_taken[position] = number(model.extension_taken, position)
        for extension, kind in model.EXTENDED_BEDS:
            if extension == position:
                plan.beds_extended[position, kind] = number(model.beds_extended, (position, kind))
    return plan


def tight_problem(seed: int) -> Problem:
    """A random problem whose limits across scenarios and on the tail lie near what its optimum without them does.

    As tight as can be kept to, in three steps; for every fifth of a kind as tight as it goes, kept to or not.
    """
    problem = random_problem(seed)
    free = replace(problem, local_limits=(), unregistered_limits=(), cvar_limit=None)
    any_way = seed // 8 % 5 == 0
    if problem.local_limits or problem.unregistered_limits:
        model = solve_problem(free).model
        for strength in (1.0, 0.3, 0.0):
            tight = replace(
                problem,
                local_limits=tuple(_nearer(problem, model, limit, strength) for limit in problem.local_limits),
                unregistered_limits=tuple(
                    _more_reliable(problem, model, limit, strength) for limit in problem.unregistered_limits
                ),
            )
            if any_way or strength == 0 or solve_problem(tight) is not None:
                return tight
    if problem.cvar_limit is not None:
        tail = replace(free, risk_weight=1.0)
        cheapest, safest = oracle.best_plan(free), oracle.best_plan(tail)
        high, low = oracle.value(tail, cheapest.decisions), safest.objective
        if high - low > 1e-3:
            return replace(problem, cvar_limit=low + (-0.1 if any_way else 0.6) * (high - low))
    return problem


def _child_weeks(problem: Problem, model: pyo.ConcreteModel, scenario: int, factor: object) -> float:
    placed = model.future[scenario].placed
    return sum(factor(*index) * problem.weeks[index[2]] * variable.value for index, variable in placed.items())


def _nearer(problem: Problem, model: pyo.ConcreteModel, limit: LocalLimit, strength: float) -> LocalLimit:
    """A least share above the one that the model has without the limit."""
    within = total = 0.0
    for number, scenario in enumerate(problem.scenarios):

        def near(cohort: int, source: int, period: int) -> float:
            return float(limit.share[source]) * (cohort in limit.cohorts) * (source != problem.unregistered)

        def anywhere(cohort: int, source: int, period: int) -> float:
            return float(cohort in limit.cohorts)

        within += scenario.probability * _child_weeks(problem, model, number, near)
        total += scenario.probability * _child_weeks(problem, model, number, anywhere)
    share = within / total if total else 0.0
    return replace(limit, minimum=share + 0.25 * strength * (1 - share))


def _more_reliable(
    problem: Problem, model: pyo.ConcreteModel, limit: UnregisteredLimit, strength: float
) -> UnregisteredLimit:
    """Limits below what the model has without them."""
    weeks = np.zeros((len(problem.scenarios), len(problem.financial_years)))
    for number in range(len(problem.scenarios)):
        for year in range(len(problem.financial_years)):

            def without_a_home(cohort: int, source: int, period: int, year: int = year) -> float:
                concerned = problem.cohort_authority[cohort] in limit.authorities
                return float(concerned and source == problem.unregistered and problem.period_year[period] == year)

            weeks[number, year] = _child_weeks(problem, model, number, without_a_home)
    probability = np.array([scenario.probability for scenario in problem.scenarios])
    expected, often = float(probability @ weeks.sum(axis=1)), float((probability @ (weeks > 1)).max())
    child_weeks, epsilon = limit.child_weeks, limit.epsilon
    if child_weeks is not None:
        child_weeks = (1 - 0.7 * strength) * expected + 0.01
    if epsilon is not None:
        epsilon = 0.9 * often if strength > 0.1 and often > 0 else 1.0
    return replace(limit, child_weeks=child_weeks, epsilon=epsilon)


@dataclass(frozen=True)
class Case:
    """A problem, its extensive form, and both optima."""

    problem: Problem
    model: pyo.ConcreteModel
    solved: Solved | None
    answer: oracle.Answer | None


@cache
def case(seed: int) -> Case:
    problem = tight_problem(seed)
    model = extensive.build(problem)
    return Case(problem, model, solve(model), oracle.best_plan(problem))


def close(one: float, other: float) -> bool:
    return abs(one - other) <= TOLERANCE * max(1.0, abs(other))


@pytest.mark.parametrize("seed", SEEDS)
def test_extensive_form_equals_brute_force(seed):
    problem, solved, answer = case(seed).problem, case(seed).solved, case(seed).answer
    assert (solved is None) == (answer is None), f"one is infeasible: {solved} and {answer}"
    if answer is not None:
        assert close(solved.objective, answer.objective)
        assert close(solved.bound, answer.objective)
        # The plan itself, not only its cost: the oracle finds it within every rule and as cheap.
        plan = decided(problem, solved.model)
        assert any(_same(plan, other) for other in oracle.first_stages(problem))
        assert close(oracle.value(problem, plan), answer.objective)


@pytest.mark.parametrize("seed", SEEDS)
def test_presolve_changes_neither_optimum_nor_infeasibility(seed):
    solved = case(seed).solved
    without = solve(case(seed).model, presolve="off", load=False)
    assert (solved is None) == (without is None)
    if solved is not None:
        assert close(without.objective, solved.objective) and close(without.bound, solved.objective)


def _same(one: Decisions, other: Decisions) -> bool:
    return all(np.array_equal(getattr(one, field.name), getattr(other, field.name)) for field in fields(Decisions))


# what the random problems cover


def _costlier(problem: Problem, solved: Solved, **relaxed: object) -> bool:
    """Whether a rule binds: the optimum falls once the rule is left out."""
    without = solve_problem(replace(problem, **relaxed))
    assert without is not None
    return not close(without.objective, solved.objective)


def _in_every_future(problem: Problem, solved: Solved, name: str) -> float:
    return sum(
        abs(variable.value or 0.0)
        for scenario in range(len(problem.scenarios))
        for variable in getattr(solved.model.future[scenario], name).values()
    )


def _differ(problem: Problem, name: str, row: int, period: int) -> bool:
    series = [getattr(scenario, name)[row, period] for scenario in problem.scenarios]
    return any(not np.array_equal(series[0], other) for other in series)


def _stepping(problem: Problem, solved: Solved) -> bool:
    return any(
        float(scenario.step[step, source, period + 1])
        * solved.model.future[number].placed[cohort, source, period].value
        > 1e-6
        for number, scenario in enumerate(problem.scenarios)
        for step, (origin, _) in enumerate(problem.steps)
        for cohort, source, period in solved.model.future[number].PLACEABLE
        if cohort == origin and source != problem.unregistered and period + 1 < len(problem.periods)
    )


def _branches_differ(problem: Problem, plan: Decisions) -> bool:
    taken: dict[int, Counter] = {node: Counter() for node in range(1, len(problem.nodes))}
    for number, begin in zip(plan.homes_begun, problem.begins, strict=True):
        if begin.node:
            taken[begin.node]["home", begin.home] += int(number)
    for beds, award in zip(plan.beds_in_tier, problem.awards, strict=True):
        if award.node:
            taken[award.node]["lot", award.lot] += int(beds.sum())
    for number, extension in zip(plan.extension_taken, problem.extensions, strict=True):
        if extension.node:
            taken[extension.node]["extension", extension.award, extension.supply, extension.option] += int(number)
    kept = [+counter for counter in taken.values()]
    return any(counter != kept[0] for counter in kept)


def covered(problem: Problem, solved: Solved) -> dict[str, bool]:
    """Features of a feasible problem, and whether its optimum makes use of each (or is held by it)."""
    plan = decided(problem, solved.model)
    lots_awarded = {award.lot for award, taken in zip(problem.awards, plan.lot_awarded, strict=True) if taken}
    begun = [begin for begin, number in zip(problem.begins, plan.homes_begun, strict=True) if number]
    held = [award for award, taken in zip(problem.awards, plan.lot_awarded, strict=True) if taken]
    of_awards = [position for position, extension in enumerate(problem.extensions) if extension.award is not None]
    of_supplies = [position for position, extension in enumerate(problem.extensions) if extension.supply is not None]
    late = [_differ(problem, "home_open", b.home, b.period) for b in problem.begins]
    late += [_differ(problem, "lot_delivered", a.lot, a.period) for a in problem.awards]
    late_used = [_differ(problem, "home_open", b.home, b.period) for b in begun]
    late_used += [_differ(problem, "lot_delivered", a.lot, a.period) for a in held]
    expected = tuple(limit for limit in problem.unregistered_limits if limit.child_weeks is not None)
    chance = tuple(limit for limit in problem.unregistered_limits if limit.epsilon is not None)
    features: dict[str, bool] = {}

    def feature(name: str, present: object, used: object) -> None:
        if present:
            features[name] = bool(used() if callable(used) else used)

    feature("homes", problem.begins, plan.homes_begun.any())
    feature("lots", problem.awards, plan.lot_awarded.any())
    feature("tiers", any(len(t) > 1 for t in problem.lot_tiers), plan.tier_chosen[:, 1:].any())
    feature("call-off", problem.call_off_maximum.any(), plan.optional_beds.any())
    feature("extensions of lots", of_awards, plan.extension_taken[of_awards].any())
    feature("extensions of supplies", of_supplies, plan.extension_taken[of_supplies].any())
    feature("reviews", len(problem.nodes) > 1, lambda: _branches_differ(problem, plan))
    feature("delays", any(late), any(late_used))
    feature("stepping", problem.steps, lambda: _stepping(problem, solved))
    feature("homes closed", problem.closures, plan.homes_closed.any())
    feature("moves at closure", True, _in_every_future(problem, solved, "moves_at_closure") > 1e-6)
    feature(
        "priced moves",
        bool((problem.planned_move_price > 0).any()),
        _in_every_future(problem, solved, "planned_moves") > 1e-6,
    )
    buildings = {lot for lot, building in enumerate(problem.lot_building) if building >= 0}
    feature("building", buildings, buildings & lots_awarded)
    for name, share in (("guaranteed share", problem.guaranteed_share), ("void price", problem.void_price_share)):
        partly = set(np.flatnonzero(share < 1).tolist())
        feature(name, partly, partly & lots_awarded)
    feature("sold beds", problem.sold_maximum.any(), _in_every_future(problem, solved, "beds_sold") > 1e-6)
    feature("unregistered", True, any(
        solved.model.future[number].placed[index].value > 1e-6
        for number in range(len(problem.scenarios))
        for index in solved.model.future[number].PLACEABLE
        if index[1] == problem.unregistered
    ))  # fmt: skip
    feature("envelope", problem.envelopes, lambda: _costlier(problem, solved, envelopes=()))
    feature("registrations", problem.registrations_limit, lambda: _costlier(problem, solved, registrations_limit=None))
    feature("managers", problem.managers, lambda: _costlier(problem, solved, managers=None))
    feature("lot groups", problem.lot_groups, lambda: _costlier(problem, solved, lot_groups=()))
    feature("local", problem.local_limits, lambda: _costlier(problem, solved, local_limits=()))
    feature(
        "expected unregistered",
        expected,
        lambda: _costlier(
            problem,
            solved,
            unregistered_limits=tuple(replace(limit, child_weeks=None) for limit in problem.unregistered_limits),
        ),
    )
    feature(
        "chance",
        chance,
        lambda: _costlier(
            problem,
            solved,
            unregistered_limits=tuple(replace(limit, epsilon=None) for limit in problem.unregistered_limits),
        ),
    )
    feature(
        "CVaR weighed",
        problem.risk_weight > 0,
        # What is best on average is not best once the tail weighs.
        lambda: not close(_plan_on_average(problem), solved.objective),
    )
    feature("CVaR limited", problem.cvar_limit, lambda: _costlier(problem, solved, cvar_limit=None))
    return features


def _plan_on_average(problem: Problem) -> float:
    on_average = replace(problem, risk_weight=0.0)
    found = oracle.value(problem, decided(problem, solve_problem(on_average).model))
    return np.inf if found is None else found


#: At least so many feasible problems with the feature, and so many optima that use it or are held by it.
WANTED = {
    "homes": (80, 30),
    "lots": (100, 50),
    "tiers": (40, 10),
    "call-off": (40, 20),
    "extensions of lots": (40, 20),
    "extensions of supplies": (20, 10),
    "reviews": (25, 5),
    "delays": (50, 30),
    "stepping": (30, 20),
    "homes closed": (15, 2),
    "moves at closure": (100, 50),
    "priced moves": (30, 10),
    "building": (20, 8),
    "guaranteed share": (40, 20),
    "void price": (25, 12),
    "sold beds": (20, 15),
    "unregistered": (100, 50),
    "envelope": (25, 5),
    "registrations": (20, 2),
    "managers": (25, 10),
    "lot groups": (4, 1),
    "local": (25, 8),
    "expected unregistered": (25, 5),
    "chance": (15, 4),
    "CVaR weighed": (25, 2),
    "CVaR limited": (12, 4),
}


def test_random_problems_cover_every_feature():
    present: Counter[str] = Counter()
    used: Counter[str] = Counter()
    for seed in SEEDS:
        if case(seed).solved is not None:
            for name, active in covered(case(seed).problem, case(seed).solved).items():
                present[name] += 1
                used[name] += active
    few = {
        name: (present[name], used[name])
        for name, (feasible, active) in WANTED.items()
        if present[name] < feasible or used[name] < active
    }
    assert not few, f"too few (feasible, used): {few}; all: {[(n, present[n], used[n]) for n in WANTED]}"
    infeasible = sum(case(seed).answer is None for seed in SEEDS)
    assert 10 <= infeasible <= len(SEEDS) // 4
