"""Pyomo model → arrays, and arrays → decisions and placements."""

from __future__ import annotations

import gc
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pyomo.environ as pyo
from numpy.typing import NDArray
from pyomo.repn.linear import LinearRepnVisitor
from pyomo.repn.plugins.standard_form import LinearStandardFormCompiler
from scipy import sparse

from models.decisions import Decisions, Placements, max_tiers
from models.extensive import build
from models.problem import Problem
from optimiser.solve import twostage
from optimiser.solve.highs import Program

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]

#: Blocks of a compiled model that are not a future.
FIRST_STAGE = -1


@dataclass(frozen=True, eq=False)
class Compiled:
    """A model as arrays, with the way back: which column holds which variable, which rows hold which rule."""

    program: Program
    columns: dict[str, dict[Any, int]]  # first-stage variable name -> index -> column
    future_columns: tuple[dict[str, dict[Any, int]], ...]  # the same for each future
    rows: dict[str, dict[Any, Ints]]  # first-stage or risk rule name -> index -> rows
    column_future: Ints  # which future a column belongs to, FIRST_STAGE for none, [column]
    row_future: Ints  # the same for rows, [row]

    @property
    def decided(self) -> Ints:
        """Columns of the capacity decisions: whole numbers fixed by a plan, budgets and tail not among them."""
        names = DECISIONS
        return np.array([column for name in names for column in self.columns[name].values()], dtype=np.int64)

    @property
    def separable(self) -> bool:
        """Whether futures are independent of each other once the capacity decisions are fixed."""
        coupled = ("local_budget", "unregistered_budget", "any_unregistered", "value_at_risk")
        return not any(self.columns[name] for name in coupled)


DECISIONS = (
    "homes_begun",
    "homes_closed",
    "lot_awarded",
    "tier_chosen",
    "beds_in_tier",
    "optional_beds",
    "extension_taken",
    "beds_extended",
    "managers",
)
PLACEMENTS = ("placed", "planned_moves", "moves_at_closure", "layer_used", "beds_sold")


def compile_model(model: pyo.ConcreteModel) -> Compiled:
    """Arrays of a whole model."""
    form = LinearStandardFormCompiler().write(model, mixed_form=True, set_sense=None)
    column_of = {id(variable): position for position, variable in enumerate(form.columns)}
    matrix = sparse.csr_matrix(form.A)
    columns: dict[str, dict[Any, int]] = {}
    owner = np.full(matrix.shape[1], FIRST_STAGE, dtype=np.int64)
    for variable in model.component_objects(pyo.Var, descend_into=False):
        columns[variable.local_name] = _columns(variable, column_of)
    future_columns = []
    for number in model.SCENARIOS:
        own = {name: _columns(getattr(model.future[number], name), column_of) for name in PLACEMENTS}
        future_columns.append(own)
        for indices in own.values():
            owner[list(indices.values())] = number
    row_future, rows = _rows(form.rows, matrix.shape[0])
    program = Program(
        cost=np.asarray(form.c.todense() if sparse.issparse(form.c) else form.c, dtype=float).ravel(),
        offset=float(np.ravel(form.c_offset)[0]),
        matrix=matrix,
        row_lower=np.array(
            [rhs if row.bound_type <= 0 else -np.inf for row, rhs in zip(form.rows, form.rhs, strict=True)], dtype=float
        ),
        row_upper=np.array(
            [rhs if row.bound_type >= 0 else np.inf for row, rhs in zip(form.rows, form.rhs, strict=True)], dtype=float
        ),
        lower=np.array([-np.inf if v.lb is None else v.lb for v in form.columns], dtype=float),
        upper=np.array([np.inf if v.ub is None else v.ub for v in form.columns], dtype=float),
        integer=np.array([not v.is_continuous() for v in form.columns], dtype=bool),
    )
    return Compiled(program, columns, tuple(future_columns), rows, owner, row_future)


def _columns(variable: pyo.Var, column_of: dict[int, int]) -> dict[Any, int]:
    """Columns of a variable; what no row and no cost mentions has none."""
    return {index: column_of[id(data)] for index, data in variable.items() if id(data) in column_of}


def _rows(entries: Sequence[Any], count: int) -> tuple[Ints, dict[str, dict[Any, Ints]]]:
    future = np.full(count, FIRST_STAGE, dtype=np.int64)
    rows: dict[str, dict[Any, list[int]]] = {}
    for position, entry in enumerate(entries):
        constraint = entry.constraint
        block = constraint.parent_block()
        if block.parent_block() is not None:
            future[position] = block.index()
        else:
            rows.setdefault(constraint.parent_component().local_name, {}).setdefault(constraint.index(), []).append(
                position
            )
    return future, {name: {index: np.array(own) for index, own in by.items()} for name, by in rows.items()}


# decisions


def decisions_from(compiled: Compiled, problem: Problem, x: Floats) -> Decisions:
    """Whole-number decisions of a solution vector."""

    def whole(name: str, index: Any) -> int:
        column = compiled.columns[name].get(index)
        return 0 if column is None else round(float(x[column]))

    empty = Decisions.none(problem)
    tiers = max_tiers(problem)
    managers = empty.managers.copy()
    for (node, period), column in compiled.columns["managers"].items():
        managers[node, period] = round(float(x[column]))
    awards = [(award.lot, award.node, award.period) for award in problem.awards]
    by_tier = [[(lot, tier, node, period) for tier in range(tiers)] for lot, node, period in awards]
    extended = [[(e, tier) for tier in (*range(tiers), -1)] for e in range(len(problem.extensions))]
    return replace(
        empty,
        homes_begun=_array([whole("homes_begun", (b.home, b.node, b.period)) for b in problem.begins]),
        homes_closed=_array([whole("homes_closed", index) for index in problem.closures]),
        managers=managers,
        lot_awarded=_array([whole("lot_awarded", index) for index in awards]),
        tier_chosen=_array([[whole("tier_chosen", i) for i in row] for row in by_tier]).reshape(len(awards), tiers),
        beds_in_tier=_array([[whole("beds_in_tier", i) for i in row] for row in by_tier]).reshape(len(awards), tiers),
        optional_beds=_array([whole("optional_beds", index) for index in awards]),
        extension_taken=_array([whole("extension_taken", e) for e in range(len(problem.extensions))]),
        beds_extended=_array([[whole("beds_extended", i) for i in row] for row in extended]).reshape(
            len(problem.extensions), tiers + 1
        ),
    )


def _array(values: list[Any]) -> Ints:
    return np.array(values, dtype=np.int64)


def vector_from(compiled: Compiled, problem: Problem, decisions: Decisions) -> Floats:
    """Solution vector whose capacity decisions are those given; the rest is zero."""
    x = np.zeros(compiled.program.matrix.shape[1])

    def put(name: str, index: Any, value: float) -> None:
        column = compiled.columns[name].get(index)
        if column is not None:
            x[column] = value

    for position, begin in enumerate(problem.begins):
        put("homes_begun", (begin.home, begin.node, begin.period), decisions.homes_begun[position])
    for position, closure in enumerate(problem.closures):
        put("homes_closed", closure, decisions.homes_closed[position])
    for (node, period), column in compiled.columns["managers"].items():
        x[column] = decisions.managers[node, period]
    for position, award in enumerate(problem.awards):
        index = award.lot, award.node, award.period
        put("lot_awarded", index, decisions.lot_awarded[position])
        put("optional_beds", index, decisions.optional_beds[position])
        for tier in range(decisions.beds_in_tier.shape[1]):
            tiered = award.lot, tier, award.node, award.period
            put("tier_chosen", tiered, decisions.tier_chosen[position, tier])
            put("beds_in_tier", tiered, decisions.beds_in_tier[position, tier])
    for extension in range(len(problem.extensions)):
        put("extension_taken", extension, decisions.extension_taken[extension])
        for place in range(decisions.beds_extended.shape[1]):
            tier = place if place < decisions.beds_extended.shape[1] - 1 else -1
            put("beds_extended", (extension, tier), decisions.beds_extended[extension, place])
    return x


def placements_from(compiled: Compiled, problem: Problem, x: Floats) -> tuple[Placements, ...]:
    """Where children live in every future of a solution vector; rounding errors below zero are cut off."""
    found = []
    for scenario, columns in zip(problem.scenarios, compiled.future_columns, strict=True):
        placements = Placements.none(problem, scenario)
        for name in ("placed", "planned_moves", "moves_at_closure", "beds_sold"):
            array = getattr(placements, name)
            for index, column in columns[name].items():
                array[index] = max(x[column], 0.0)
        for (source, layer, period), column in columns["layer_used"].items():
            if source >= problem.spot_source:
                placements.spot_layer_used[source - problem.spot_source, layer, period] = max(x[column], 0.0)
            else:
                placements.lot_layer_used[layer, period] = max(x[column], 0.0)
        found.append(placements)
    return tuple(found)


# futures apart


@dataclass(frozen=True, eq=False)
class Part:
    """One future of a compiled model: its own rows and columns, and how the capacity decisions enter them."""

    rows: Ints
    columns: Ints
    matrix: sparse.csr_matrix
    first_stage: sparse.csr_matrix  # the same rows, all columns


def parts_of(compiled: Compiled) -> tuple[Part, ...]:
    """Every future by itself, for a separable model."""
    parts = []
    row_future = future_of_rows(compiled)
    for number in range(len(compiled.future_columns)):
        rows = np.flatnonzero(row_future == number)
        columns = np.flatnonzero(compiled.column_future == number)
        own = compiled.program.matrix[rows]
        parts.append(Part(rows, columns, sparse.csr_matrix(own[:, columns]), sparse.csr_matrix(own)))
    return tuple(parts)


def part_given(compiled: Compiled, part: Part, x: Floats) -> Program:
    """The placement problem of one future, given the capacity decisions in ``x`` (placements in ``x`` being zero)."""
    program = compiled.program
    taken = part.first_stage @ x
    return Program(
        cost=program.cost[part.columns],
        offset=0.0,
        matrix=part.matrix,
        row_lower=program.row_lower[part.rows] - taken,
        row_upper=program.row_upper[part.rows] - taken,
        lower=program.lower[part.columns],
        upper=program.upper[part.columns],
        integer=np.zeros(len(part.columns), dtype=bool),
    )


# two stages


def two_stage(problem: Problem) -> tuple[twostage.TwoStageProblem, Compiled]:
    """A problem as a two-stage program, and the compiled model (without the tail) whose columns it takes.

    First-stage columns keep their order in the compiled model; those of a future theirs.

    Raises
    ------
    ValueError
        If a rule joins the placements of two futures, which no two-stage program can express.
    """
    with collection_paused():
        model = build(replace(problem, risk_weight=0.0, cvar_limit=None))
        compiled = compile_model(model)
        costs = _scenario_costs(model, compiled)
    program = compiled.program
    row_future = future_of_rows(compiled)
    first_rows = np.flatnonzero(row_future == FIRST_STAGE)
    first_columns = np.flatnonzero(compiled.column_future == FIRST_STAGE)
    by_row = [np.flatnonzero(row_future == number) for number in range(len(compiled.future_columns))]
    by_column = [np.flatnonzero(compiled.column_future == number) for number in range(len(compiled.future_columns))]
    scenarios = []
    for scenario, rows, columns, (first_cost, cost, offset) in zip(
        problem.scenarios, by_row, by_column, costs, strict=True
    ):
        own = program.matrix[rows]
        recourse = twostage.Stage(
            cost=cost,
            lower=program.lower[columns],
            upper=program.upper[columns],
            matrix=sparse.csr_matrix(own[:, columns]),
            row_lower=program.row_lower[rows],
            row_upper=program.row_upper[rows],
            integer=np.zeros(len(columns), dtype=bool),
        )
        technology = sparse.csr_matrix(own[:, first_columns])
        scenarios.append(twostage.Scenario(scenario.probability, technology, recourse, first_cost, offset))
    first = twostage.Stage(
        cost=np.zeros(len(first_columns)),
        lower=program.lower[first_columns],
        upper=program.upper[first_columns],
        matrix=sparse.csr_matrix(program.matrix[first_rows][:, first_columns]),
        row_lower=program.row_lower[first_rows],
        row_upper=program.row_upper[first_rows],
        integer=program.integer[first_columns],
    )
    split = twostage.TwoStageProblem(
        first,
        tuple(scenarios),
        risk_weight=problem.risk_weight,
        risk_level=problem.cvar_level,
        cvar_limit=problem.cvar_limit,
    )
    return split, compiled


@contextmanager
def collection_paused() -> Iterator[None]:
    """Without garbage collection: a model is millions of objects that all live to its end, and looking them over again
    and again took two fifths of building one."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


def whole_vector(compiled: Compiled, x: Floats, placements: Sequence[Floats]) -> Floats:
    """Solution vector of the compiled model from first-stage values and each future's own columns."""
    whole = np.zeros(compiled.program.matrix.shape[1])
    whole[compiled.column_future == FIRST_STAGE] = x
    for number, own in enumerate(placements):
        whole[compiled.column_future == number] = own
    return whole


def first_stage_vector(compiled: Compiled, x: Floats) -> Floats:
    """First-stage values, in the order of the two-stage program, of a solution vector of the compiled model."""
    chosen: Floats = x[compiled.column_future == FIRST_STAGE]
    return chosen


def future_of_rows(compiled: Compiled) -> Ints:
    """Future whose columns a row touches, FIRST_STAGE for none; rows of limits across futures touch one each."""
    matrix = compiled.program.matrix
    owner = compiled.column_future[matrix.indices]
    row = np.repeat(np.arange(matrix.shape[0]), np.diff(matrix.indptr))
    latest = np.full(matrix.shape[0], FIRST_STAGE, dtype=np.int64)
    np.maximum.at(latest, row, owner)
    other = (owner != FIRST_STAGE) & (owner != latest[row])
    if other.any():
        raise ValueError(f"row {row[other][0]} of the compiled model joins two futures")
    return latest


def _scenario_costs(model: pyo.ConcreteModel, compiled: Compiled) -> list[tuple[Floats, Floats, float]]:
    """Cost of first-stage columns, of its own columns, and constant, of every future, before probabilities."""
    column_of = {
        id(getattr(model, name)[index]): column for name, by in compiled.columns.items() for index, column in by.items()
    }
    for number, own in enumerate(compiled.future_columns):
        future = model.future[number]
        column_of |= {
            id(getattr(future, name)[index]): column for name, by in own.items() for index, column in by.items()
        }
    visitor = LinearRepnVisitor({})
    first = compiled.column_future == FIRST_STAGE
    cost = np.zeros(compiled.program.matrix.shape[1])
    costs = []
    for number in model.SCENARIOS:
        cost[:] = 0.0
        terms = visitor.walk_expression(model.scenario_cost[number].expr)
        constant = float(terms) if isinstance(terms, (int, float)) else float(terms.constant)
        if not isinstance(terms, (int, float)):
            for variable, coefficient in terms.linear.items():
                cost[column_of[variable]] = coefficient
        costs.append((cost[first], cost[compiled.column_future == number], constant))
    return costs
