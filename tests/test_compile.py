"""The arrays of a problem: what one template writes for every future is what Pyomo compiles for it by itself."""

from __future__ import annotations

import pickle
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, TypeGuard

import numpy as np
import pyomo.environ as pyo
import pytest
from pyomo.repn.plugins.standard_form import LinearStandardFormCompiler
from scipy import sparse

import optimiser
from models import capacity, placement, risk
from models import extensive as whole_model
from models.coefficients import as_numbers, coefficients
from models.decisions import Decisions
from models.problem import Problem
from optimiser.assemble import assemble
from optimiser.demand.scenarios import make_scenarios
from optimiser.solve import twostage
from optimiser.solve.compile import (
    BUDGETS,
    DECISIONS,
    Compiled,
    compile_model,
    compile_problem,
    compile_template,
    decisions_from,
    vector_from,
)
from optimiser.solve.engine import Placing
from optimiser.solve.extensive import solve_extensive
from optimiser.solve.highs import solve
from optimiser.solve.lshaped import solve_lshaped
from optimiser.solve.packed import Mould, PackedScenario
from optimiser.solve.twostage import Settings
from optimiser.verify import verify
from tests.problems import small_problem
from tests.random_problems import random_problem

EXACT = Settings(gap=1e-8)
BUNDLED = (
    "cambridgeshire-residential-2024",
    "kent-in-house-2025",
    "kent-sufficiency-2019",
    "kent-supported-accommodation-2018",
    "south-east-regional-block-2021",
)

Key = tuple[str, Any]


def slowly(problem: Problem, compiled: Compiled, number: int) -> dict[str, dict[Any, Any]]:
    """One future built with its own numbers and compiled whole, everything by name."""
    model = pyo.ConcreteModel()
    model.SCENARIOS = pyo.RangeSet(0, 0)
    capacity.add_decisions(model, problem)
    risk.build_budgets(model, problem)
    for rule in (model.local_enough, model.registered_in_expectation, model.registered_reliably):
        rule.deactivate()
    model.future = pyo.Block(model.SCENARIOS)
    future = problem.scenarios[number]
    numbers = as_numbers(coefficients(problem, future))
    whole_model.add_future(model, problem, compiled.template.present, numbers, 0)
    placement.bound_layers(model.future[0], problem, future)
    model.total_cost = pyo.Objective(expr=sum(model.future[0].cost.values()) + model.future[0].deterrent)
    form = LinearStandardFormCompiler().write(model, mixed_form=True, set_sense=None)
    names = [(v.parent_component().local_name, v.index()) for v in form.columns]
    rules = [(row.constraint.parent_component().local_name, row.constraint.index()) for row in form.rows]
    matrix = form.A.tocoo()
    cost = np.asarray(form.c.todense()).ravel()
    return {
        "entries": {
            (rules[r], names[c]): value
            for r, c, value in zip(matrix.row, matrix.col, matrix.data, strict=True)
            if value != 0
        },
        "sides": {rule: (row.bound_type, rhs) for rule, row, rhs in zip(rules, form.rows, form.rhs, strict=True)},
        "cost": {name: value for name, value in zip(names, cost, strict=True) if value != 0},
        "offset": {(): float(np.ravel(form.c_offset)[0])},
        "upper": {n: v.ub for n, v in zip(names, form.columns, strict=True) if n[0] == "layer_used"},
    }


def by_template(compiled: Compiled, number: int) -> dict[str, dict[Any, Any]]:
    """The same of what the template writes."""
    template, scenario = compiled.template, compiled.two_stage.scenarios[number]
    own: dict[int, Key] = {}
    for name, (index, columns) in template.columns.items():
        own |= {int(column): (name, tuple(at)) for at, column in zip(index.tolist(), columns, strict=True)}
    outer: dict[int, Key] = {}
    for name, at in compiled.first.columns.items():
        for index, column in at.items():
            if name in BUDGETS:
                if index[-1] != number:
                    continue
                index = (*index[:-1], 0)
            outer[column] = name, index
    entries: dict[Any, float] = {}
    for matrix, names in ((scenario.recourse.matrix, own), (scenario.technology, outer)):
        table = matrix.tocoo()
        for row, column, value in zip(table.row, table.col, table.data, strict=True):
            if value != 0:
                entries[template.rows[row], names[int(column)]] = value
    stage = scenario.recourse
    sides = {}
    for rule, low, high in zip(template.rows, stage.row_lower, stage.row_upper, strict=True):
        sides[rule] = (0, low) if low == high else (1, high) if np.isfinite(high) else (-1, low)
    first_cost = scenario.first_stage_cost
    assert first_cost is not None
    cost = {own[column]: value for column, value in enumerate(stage.cost) if value != 0}
    cost |= {outer[column]: value for column, value in enumerate(first_cost) if value != 0}
    upper = {
        own[int(column)]: stage.upper[column] if np.isfinite(stage.upper[column]) else None
        for column in template.columns["layer_used"][1]
    }
    return {"entries": entries, "sides": sides, "cost": cost, "offset": {(): scenario.offset}, "upper": upper}


def same(problem: Problem, numbers: list[int]) -> None:
    compiled = compile_problem(problem)
    for number in numbers:
        slow, quick = slowly(problem, compiled, number), by_template(compiled, number)
        for part, expected in slow.items():
            # a row or column of which nothing is left in this future has no place in what Pyomo compiles
            found = {key: value for key, value in quick[part].items() if key in expected or part != "upper"}
            if part == "sides":
                found = {key: value for key, value in found.items() if key in expected}
            assert found.keys() == expected.keys(), part
            for key, value in expected.items():
                assert found[key] == (value if value is None else pytest.approx(value, rel=1e-12, abs=1e-12)), (
                    part,
                    key,
                )


@pytest.mark.parametrize("seed", range(40))
def test_the_template_writes_what_pyomo_compiles_for_a_random_problem(seed: int) -> None:
    problem = random_problem(seed)
    same(problem, list(range(len(problem.scenarios))))


@pytest.mark.parametrize("name", BUNDLED)
def test_the_template_writes_what_pyomo_compiles_for_a_bundled_instance(name: str) -> None:
    instance = optimiser.load(name)
    same(assemble(instance, make_scenarios(instance, 20)), [0, 7, 19])


@pytest.mark.parametrize("review", [False, True])
@pytest.mark.parametrize("tail", [{}, {"risk_weight": 0.4, "cvar_level": 0.5}])
def test_a_planning_problem_in_two_stages_costs_what_the_model_says(review: bool, tail: dict[str, float]) -> None:
    problem: Problem = small_problem(review=review, **tail)
    model = solve(compile_model(whole_model.build(problem)), gap=1e-8)
    compiled = compile_problem(problem)
    for solver in (solve_extensive, solve_lshaped):
        found = solver(compiled.two_stage, EXACT)
        assert found.status == model.status == "optimal"
        assert found.objective == pytest.approx(model.objective, rel=1e-6)


@pytest.mark.parametrize("seed", range(8))
def test_limits_across_futures_survive_the_split(seed: int) -> None:
    problem = random_problem(seed)
    model = solve(compile_model(whole_model.build(problem)), gap=1e-8)
    split = solve_lshaped(compile_problem(problem).two_stage, EXACT)
    assert split.status == model.status
    if model.status == "optimal":
        assert split.objective == pytest.approx(model.objective, rel=1e-6, abs=1e-5)


def test_decisions_and_first_stage_values_are_the_same_thing() -> None:
    problem = small_problem(review=True)
    first = compile_problem(problem).first
    rng = np.random.default_rng(1)
    decided = np.zeros(len(first.stage.cost), dtype=bool)
    for name in DECISIONS:
        decided[list(first.columns[name].values())] = True
    x = np.where(decided, rng.integers(0, 3, len(first.stage.cost)), 0).astype(float)
    assert (vector_from(first, problem, decisions_from(first, problem, x)) == x).all()


def arrays_of(scenario: twostage.Scenario) -> list[np.ndarray[Any, Any]]:
    """Every array that a future holds on to, those of what it shares with others too."""
    found: list[np.ndarray[Any, Any]] = []
    seen: set[int] = set()
    ahead: list[Any] = [scenario]
    while ahead:
        held = ahead.pop()
        if id(held) in seen:
            continue
        seen.add(id(held))
        if isinstance(held, np.ndarray):
            found.append(held if held.base is None else held.base)
        elif isinstance(held, tuple | list):
            ahead += held
        else:
            ahead += getattr(held, "__dict__", {}).values()
    return found


def own_bytes(scenarios: Sequence[twostage.Scenario]) -> float:
    """Bytes of arrays for each future beyond those that it shares with the first."""
    distinct = {id(array): array.nbytes for scenario in scenarios[1:] for array in arrays_of(scenario)}
    shared = {id(array) for array in arrays_of(scenarios[0])}
    return sum(size for place, size in distinct.items() if place not in shared) / (len(scenarios) - 1)


def test_a_future_of_kent_takes_less_than_32_kilobytes() -> None:
    instance = optimiser.load("kent-in-house-2025")
    compiled = compile_problem(assemble(instance, make_scenarios(instance, 9)))
    opened = [
        scenario.mould.opened(scenario.values) for scenario in compiled.two_stage.scenarios if is_packed(scenario)
    ]
    assert len(opened) == 9
    whole = [twostage.Scenario(1 / 9, each.technology, each.stage) for each in opened]
    assert own_bytes(compiled.two_stage.scenarios) < 32_000 < 60_000 < own_bytes(whole)


@pytest.mark.parametrize("seed", range(6))
def test_what_is_kept_of_a_future_gives_its_arrays_to_the_bit(seed: int) -> None:
    problem = small_problem(review=True) if seed == 0 else random_problem(seed)
    compiled = compile_problem(problem)
    kept = [pickle.loads(pickle.dumps(scenario)) for scenario in compiled.two_stage.scenarios]
    for number, scenarios in enumerate(zip(compiled.two_stage.scenarios, kept, strict=True)):
        plain = compiled.template.write(problem, number)
        dearer = scenarios[0].changed(offset=plain.offset + 1.0)
        assert dearer.offset == plain.offset + 1.0 and is_packed(dearer) == is_packed(scenarios[0])
        for scenario in (*scenarios, dearer, replace(scenarios[0], offset=0.0)):
            assert scenario.probability == plain.probability
            one, other = scenario.recourse, plain.recourse
            pairs = [(getattr(one, name), getattr(other, name)) for name in ("cost", "lower", "upper", "integer")]
            pairs += [(one.row_lower, other.row_lower), (one.row_upper, other.row_upper)]
            for matrix, same_matrix in ((one.matrix, other.matrix), (scenario.technology, plain.technology)):
                assert matrix.shape == same_matrix.shape
                pairs += [(getattr(matrix, name), getattr(same_matrix, name)) for name in ("data", "indices", "indptr")]
            pairs.append((scenario.first_stage_cost, plain.first_stage_cost))
            assert all(found.tobytes() == expected.tobytes() for found, expected in pairs)


@pytest.mark.parametrize("seed", (4, 5))
def test_futures_kept_in_little_memory_are_solved_to_the_bytes_of_whole_ones(seed: int) -> None:
    problem = random_problem(seed)
    compiled = compile_problem(problem)
    futures = tuple(compiled.template.write(problem, number) for number in range(len(problem.scenarios)))
    assert all(is_packed(scenario) for scenario in compiled.two_stage.scenarios)
    one, other = (
        solve_lshaped(two_stage, EXACT)
        for two_stage in (compiled.two_stage, replace(compiled.two_stage, scenarios=futures))
    )
    assert one.x is not None and other.x is not None
    assert one.x.tobytes() == other.x.tobytes()
    assert (one.objective, one.bound) == (other.objective, other.bound)
    assert [y.tobytes() for y in one.recourse] == [y.tobytes() for y in other.recourse]


def test_a_future_of_another_shape_is_kept_as_it_is() -> None:
    problem = small_problem()
    template = compile_problem(problem).template
    plain = template.write(problem, 0)
    mould = Mould(plain, template.places)
    dearer = replace(plain.recourse, lower=plain.recourse.lower - 1.0)
    fewer = sparse.csr_matrix(plain.technology.shape)
    fixed = np.flatnonzero(~np.isin(np.arange(len(plain.recourse.cost)), template.places["cost"]))
    cost = plain.recourse.cost.copy()
    cost[fixed[0]] += 1.0
    for changed in ({"recourse": dearer}, {"technology": fewer}, {"recourse": replace(plain.recourse, cost=cost)}):
        other = plain.changed(**changed)
        assert mould.packed(other) is other
    assert is_packed(mould.packed(plain))


@pytest.mark.parametrize("seed", (4, 5))
def test_fingerprints_of_futures_tell_every_number_and_nothing_else(seed: int) -> None:
    problem = random_problem(seed)
    template = compile_problem(problem).template
    futures = [template.write(problem, number) for number in range(len(problem.scenarios))]
    one, other = (Mould(futures[like], template.places) for like in (0, len(futures) - 1))
    for plain in futures:
        own = plain.fingerprints(), one.packed(plain).fingerprints()
        # whichever future stands for all of them
        assert other.packed(plain).fingerprints() == own[1]
        assert one.packed(plain).changed(probability=0.5, offset=1.0).fingerprints() == own[1]
        for name, places in template.places.items():
            if not places.size:
                continue
            moved = with_another_number(plain, name, int(places[-1]))
            vectors = name in ("cost", "upper", "matrix")
            for found, before in ((moved.fingerprints(), own[0]), (one.packed(moved).fingerprints(), own[1])):
                assert (found[0] != before[0]) == vectors, name
                assert (found[1] != before[1]) == (not vectors), name


def with_another_number(scenario: twostage.Scenario, name: str, place: int) -> twostage.Scenario:
    stage = scenario.recourse

    def moved(matrix: sparse.csr_matrix) -> sparse.csr_matrix:
        data = matrix.data.copy()
        data[place] += 1.0
        return twostage.alike_but(matrix, data=data)

    if name == "technology":
        return scenario.changed(technology=moved(scenario.technology))
    if name == "matrix":
        return scenario.changed(recourse=replace(stage, matrix=moved(stage.matrix)))
    numbers = getattr(stage, name).copy()
    numbers[place] = numbers[place] + 1.0 if np.isfinite(numbers[place]) else 7.0
    return scenario.changed(recourse=replace(stage, **{name: numbers}))


def is_packed(scenario: twostage.Scenario) -> TypeGuard[PackedScenario]:
    return isinstance(scenario, PackedScenario) and scenario.is_packed


def test_a_template_fits_other_figures_and_no_other_shape() -> None:
    problem = small_problem()
    template = compile_template(problem, compile_problem(problem).first)
    scenario = problem.scenarios[0]
    dearer = replace(scenario, probability=1.0, spot_layer_price=scenario.spot_layer_price * 2)
    assert template.fits(replace(problem, scenarios=(dearer,)))
    assert not template.fits(replace(problem, weeks=problem.weeks * 2))


def test_what_is_placed_by_a_template_kept_is_what_is_placed_by_one_made_anew() -> None:
    problem = small_problem()
    kept = Placing()
    kept.place(problem, Decisions.none(problem))
    scenario = problem.scenarios[0]
    other = replace(problem, scenarios=(replace(scenario, probability=1.0, arrivals=scenario.arrivals * 1.5),))
    costs = [
        verify(other, Decisions.none(other), placing.place(other, Decisions.none(other))).expected_cost
        for placing in (kept, Placing())
    ]
    assert costs[0] == pytest.approx(costs[1], rel=1e-9)


def test_only_lots_with_call_off_have_rows_for_their_matching_and_no_lot_has_more_columns_than_priced_layers() -> None:
    problem = small_problem()  # the first lot has call-off beds, the second none
    rows = {index[0] for name, index in compile_problem(problem).template.rows if name == "placed_within_matching"}
    assert rows == {0}
    without = compile_problem(replace(problem, call_off_maximum=np.zeros(2, dtype=np.int64))).template
    assert not [name for name, _ in without.rows if name == "placed_within_matching"]
    # guarantees that cover all that matching lets be filled leave nothing to be bought beyond them
    covered = replace(
        problem,
        call_off_maximum=np.zeros(2, dtype=np.int64),
        guaranteed_share=np.array([0.97, 1.0]),
        void_price_share=np.ones(2),
    )
    assert not (compile_problem(covered).template.columns["layer_used"][0][:, 0] < problem.spot_source).any()
