"""A problem as arrays: the first stage compiled once, one template of the placement problem written for every future.

The template is a Pyomo model whose factors are parameters. Compiled once, it says where in the arrays each factor stands;
a future is then written by one sparse product, and a thousand futures build no thousand models.
"""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import pyomo.environ as pyo
from numpy.typing import NDArray
from pyomo.repn import generate_standard_repn
from pyomo.repn.plugins.standard_form import LinearStandardFormCompiler
from scipy import sparse

from models import coefficients as factors_of
from models.coefficients import Coefficients
from models.decisions import Decisions, Placements, max_tiers
from models.extensive import build_first_stage, build_template
from models.problem import PROBLEM_SHAPES, Problem
from optimiser.solve import twostage
from optimiser.solve.highs import Program
from optimiser.solve.packed import Mould

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]

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
#: What a scenario may take of limits across scenarios: first-stage columns of its own, the scenario last in their index.
BUDGETS = ("local_budget", "unregistered_budget", "any_unregistered")
#: Sets of a problem that say which rows and columns a future has.
SETS = (
    "nodes",
    "begins",
    "awards",
    "extensions",
    "steps",
    "lot_tiers",
    "lot_layers",
    "local_limits",
    "unregistered_limits",
)
#: Arrays of a problem that enter the placement problem of every future alike. The others matter in the first stage, or
#: through the factors of each future.
FIXED = tuple(
    name
    for name in PROBLEM_SHAPES
    if name
    not in (
        "planning_capital",
        "in_hand",
        "needs_manager",
        "certainly_open",
        "home_authority",
        "cost_share",
        "lot_minimum",
        "lot_maximum",
        "mobility",
        "home_beds",
        "home_occupancy",
        "closing_cost",
        "closed_saving",
        "lot_occupancy",
        "guaranteed_share",
        "void_price_share",
    )
)
PLACEMENTS = ("placed", "planned_moves", "moves_at_closure", "layer_used", "beds_sold")


def compile_model(model: pyo.ConcreteModel) -> Program:
    """Arrays of a whole model."""
    return _standard_form(model)[0]


def _standard_form(model: pyo.ConcreteModel) -> tuple[Program, Any]:
    form = LinearStandardFormCompiler().write(model, mixed_form=True, set_sense=None)
    types = np.array([row.bound_type for row in form.rows], dtype=np.int64)
    rhs = np.array(form.rhs, dtype=float)
    program = Program(
        cost=np.asarray(form.c.todense() if sparse.issparse(form.c) else form.c, dtype=float).ravel(),
        offset=float(np.ravel(form.c_offset)[0]),
        matrix=sparse.csr_matrix(form.A),
        row_lower=np.where(types <= 0, rhs, -np.inf),
        row_upper=np.where(types >= 0, rhs, np.inf),
        lower=np.array([-np.inf if v.lb is None else v.lb for v in form.columns], dtype=float),
        upper=np.array([np.inf if v.ub is None else v.ub for v in form.columns], dtype=float),
        integer=np.array([not v.is_continuous() for v in form.columns], dtype=bool),
    )
    return program, form


# the first stage


@dataclass(frozen=True, eq=False)
class FirstStage:
    """Capacity decisions and budgets as arrays, with the way back: which column and which rows hold what."""

    stage: twostage.Stage  # at no cost
    columns: dict[str, dict[Any, int]]  # variable name -> index -> column
    rows: dict[str, dict[Any, Ints]]  # rule name -> index -> rows

    @cached_property
    def names(self) -> dict[str, int]:
        """Every column by the name of its variable and its index, as ``homes_begun(0, 0, 3)``."""
        return {f"{name}{index}": column for name, by in self.columns.items() for index, column in by.items()}

    def named(self, x: Floats) -> dict[str, float]:
        """First-stage values [column] by name, zeros left out."""
        return {name: float(x[column]) for name, column in self.names.items() if x[column] != 0}

    def values(self, named: dict[str, float]) -> Floats:
        """First-stage values from their names; names that there are not here are left out, [column]."""
        x = np.zeros(len(self.stage.cost))
        for name, value in named.items():
            if name in self.names:
                x[self.names[name]] = value
        return x

    @property
    def separable(self) -> bool:
        """Whether futures are independent of each other once the capacity decisions are fixed."""
        return not any(self.columns[name] for name in BUDGETS)


def compile_first_stage(problem: Problem) -> FirstStage:
    """First stage of a problem: the same columns in the same order for all problems that differ in limits only."""
    with collection_paused():
        model = build_first_stage(problem)
        program, form = _standard_form(model)
    column_of = {id(variable): position for position, variable in enumerate(form.columns)}
    columns = {
        variable.local_name: {index: column_of[id(data)] for index, data in variable.items()}
        for variable in model.component_objects(pyo.Var)
    }
    rows: dict[str, dict[Any, list[int]]] = {}
    for position, entry in enumerate(form.rows):
        rule = entry.constraint
        rows.setdefault(rule.parent_component().local_name, {}).setdefault(rule.index(), []).append(position)
    return FirstStage(
        twostage.Stage(
            cost=np.zeros(len(program.cost)),
            lower=program.lower,
            upper=program.upper,
            matrix=program.matrix,
            row_lower=program.row_lower,
            row_upper=program.row_upper,
            integer=program.integer,
        ),
        columns,
        {name: {index: np.array(own) for index, own in by.items()} for name, by in rows.items()},
    )


# decisions


def decisions_from(first: FirstStage, problem: Problem, x: Floats) -> Decisions:
    """Whole-number decisions of first-stage values [column]."""

    def whole(name: str, index: Any) -> int:
        column = first.columns[name].get(index)
        return 0 if column is None else round(float(x[column]))

    empty = Decisions.none(problem)
    tiers = max_tiers(problem)
    managers = empty.managers.copy()
    for (node, period), column in first.columns["managers"].items():
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


def vector_from(first: FirstStage, problem: Problem, decisions: Decisions) -> Floats:
    """First-stage values whose capacity decisions are those given; budgets are zero, [column]."""
    x = np.zeros(len(first.stage.cost))

    def put(name: str, index: Any, value: float) -> None:
        column = first.columns[name].get(index)
        if column is not None:
            x[column] = value

    for position, begin in enumerate(problem.begins):
        put("homes_begun", (begin.home, begin.node, begin.period), decisions.homes_begun[position])
    for position, closure in enumerate(problem.closures):
        put("homes_closed", closure, decisions.homes_closed[position])
    for (node, period), column in first.columns["managers"].items():
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


# the template of a future


@dataclass(frozen=True, eq=False)
class Affine:
    """Numbers that are a constant each plus fixed multiples of factors."""

    constant: Floats  # [number]
    share: sparse.csr_matrix  # [number, factor]

    def at(self, factors: Floats) -> Floats:
        """The numbers for one future's factors [factor]."""
        found: Floats = self.constant + self.share @ factors
        return found

    @property
    def places(self) -> Ints:
        """The numbers that factors decide."""
        return np.flatnonzero(np.diff(self.share.indptr))


class _Entries:
    """Numbers collected one by one, each a constant and multiples of factors."""

    def __init__(self) -> None:
        self.constant: list[float] = []
        self.number: list[int] = []
        self.factor: list[int] = []
        self.multiple: list[float] = []

    def new(self, constant: float = 0.0) -> int:
        """A further number."""
        self.constant.append(constant)
        return len(self.constant) - 1

    def add(self, number: int, factor: int, multiple: float) -> None:
        """A multiple of a factor."""
        self.number.append(number)
        self.factor.append(factor)
        self.multiple.append(multiple)

    def affine(self, factors: int) -> Affine:
        """All of them together."""
        shape = len(self.constant), factors
        share = sparse.csr_matrix((self.multiple, (self.number, self.factor)), shape=shape)
        return Affine(np.array(self.constant, dtype=float), share)


@dataclass(frozen=True, eq=False)
class _Pattern:
    """A sparse matrix whose places are fixed and whose numbers follow the factors."""

    indices: NDArray[np.int32]
    indptr: NDArray[np.int32]
    data: Affine
    columns: int


@dataclass(frozen=True, eq=False)
class Template:
    """The placement problem of any one future of a problem, and how its arrays follow from the future's factors."""

    problem: Problem  # whose futures it was made for, without them
    first: FirstStage
    present: Coefficients  # booleans
    columns: dict[str, tuple[Ints, Ints]]  # variable name -> indices [own column, index word], columns [own column]
    rows: tuple[tuple[str, Any], ...]  # rule name and index, [row]
    recourse: _Pattern
    technology: _Pattern  # budgets stand where those of the first future do
    side: Affine  # right-hand side, [row]
    row_type: Ints  # -1 from below, 0 equal, 1 from above, [row]
    cost: Affine
    first_cost: Affine
    offset: Affine
    lower: Floats
    upper: Floats  # but for the layers of spot markets
    integer: NDArray[np.bool_]
    spot_source: int

    @cached_property
    def budgets(self) -> Ints:
        """Columns of the first future's budgets, and of every future's in the same order, [future, budget]."""
        first, found = self.first, []
        for name in BUDGETS:
            by_future: dict[int, list[int]] = {}
            for index, column in first.columns[name].items():
                by_future.setdefault(index[-1], []).append(column)
            found.append(np.array([by_future[number] for number in sorted(by_future)], dtype=np.int64))
        wide = [columns for columns in found if columns.size]
        return np.concatenate(wide, axis=1) if wide else np.zeros((0, 0), dtype=np.int64)

    @cached_property
    def _layers(self) -> tuple[Ints, Ints, Ints, Ints]:
        """Spot market, layer and period of every column that buys in one, and the column."""
        (source, layer, period), columns = self.columns["layer_used"][0].T, self.columns["layer_used"][1]
        spot = source - self.spot_source
        own = spot >= 0
        return spot[own], layer[own], period[own], columns[own]

    @cached_property
    def places(self) -> dict[str, Ints]:
        """Where the numbers of a future's arrays follow from what happens in it; elsewhere they are alike in all."""
        written = {
            "cost": self.cost,
            "row_lower": self.side,
            "row_upper": self.side,
            "matrix": self.recourse.data,
            "technology": self.technology.data,
        }
        return {"upper": self._layers[-1]} | {name: own.places for name, own in written.items()}

    def fits(self, problem: Problem) -> bool:
        """Whether another problem has the same rules and columns, and differs only in what its futures say."""
        if not same_but_for_futures(self.problem, problem):
            return False
        here, own = factors_of.vector(factors_of.present(problem)), factors_of.vector(self.present)
        return not bool((here > own).any())

    def write(self, problem: Problem, number: int) -> twostage.Scenario:
        """One future of the problem, by its position, as arrays; those that no future changes are shared by all."""
        future = problem.scenarios[number]
        factors = factors_of.vector(factors_of.coefficients(problem, future))
        side = self.side.at(factors)
        upper = self.upper.copy()
        spot, layer, period, columns = self._layers
        upper[columns] = future.spot_layer_beds[spot, layer, period]
        stage = twostage.Stage(
            cost=self.cost.at(factors),
            lower=self.lower,
            upper=upper,
            matrix=self._matrix(self.recourse, factors),
            row_lower=np.where(self.row_type <= 0, side, -np.inf),
            row_upper=np.where(self.row_type >= 0, side, np.inf),
            integer=self.integer,
        )
        technology = self._matrix(self.technology, factors)
        if self.budgets.size and number > 0:
            moved = np.arange(self.technology.columns)
            moved[self.budgets[0]] = self.budgets[number]
            technology = sparse.csr_matrix(
                (technology.data, moved[technology.indices], technology.indptr), shape=technology.shape
            )
        offset = float(self.offset.at(factors)[0])
        return twostage.Scenario(future.probability, technology, stage, self.first_cost.at(factors), offset)

    def _matrix(self, pattern: _Pattern, factors: Floats) -> sparse.csr_matrix:
        shape = len(pattern.indptr) - 1, pattern.columns
        matrix = sparse.csr_matrix((pattern.data.at(factors), pattern.indices, pattern.indptr), shape=shape)
        # the very same arrays, not views of them: whoever meets them again knows them
        matrix.indices, matrix.indptr = pattern.indices, pattern.indptr
        return matrix

    def placements(self, problem: Problem, y: Floats) -> Placements:
        """Where children live in one future, from its columns; rounding errors below zero are cut off."""
        found = Placements.none(problem, problem.scenarios[0])
        y, nobody = np.maximum(y, 0.0), {}
        for name in ("placed", "planned_moves", "moves_at_closure", "beds_sold"):
            (index, columns), table = self.columns[name], getattr(found, name)
            if len(columns):
                table[tuple(index.T)] = y[columns]
            else:
                # of what no future can have, thousands of futures need not each hold a table
                nobody[name] = np.broadcast_to(0.0, table.shape)
        index, columns = self.columns["layer_used"]
        source, layer, period = index.T
        spot = source >= self.spot_source
        found.spot_layer_used[source[spot] - self.spot_source, layer[spot], period[spot]] = y[columns[spot]]
        found.lot_layer_used[layer[~spot], period[~spot]] = y[columns[~spot]]
        return replace(found, **nobody)


def same_but_for_futures(one: Problem, other: Problem) -> bool:
    """Whether two problems' placement problems differ only in what their futures say."""
    return (
        all(getattr(one, name) == getattr(other, name) for name in SETS)
        and _limits_of(one) == _limits_of(other)
        and all(np.array_equal(getattr(one, name), getattr(other, name)) for name in FIXED)
        and (one.managers is None) == (other.managers is None)
        and one.coalitions == other.coalitions
        and (not one.coalitions or np.array_equal(one.cost_share, other.cost_share))
    )


def _limits_of(problem: Problem) -> tuple[object, ...]:
    """What limits across futures make of each future; how much they allow is the first stage's."""
    local = tuple((limit.cohorts, limit.share.tobytes(), limit.minimum) for limit in problem.local_limits)
    tolerated = tuple(
        (limit.authorities, limit.child_weeks is None, limit.epsilon is None) for limit in problem.unregistered_limits
    )
    return local, tolerated


def compile_template(problem: Problem, first: FirstStage, also: Template | None = None) -> Template:
    """Template of a problem's futures: all factors that are present in any of them are parameters.

    With ``also``, those present in the futures of another template too, so that it serves both.
    """
    with collection_paused():
        here = factors_of.present(problem)
        if also is not None and same_but_for_futures(also.problem, problem):
            here = factors_of.either(here, also.present)
        parameters, place = _parameters(here)
        model = build_template(problem, here, parameters)
        return _template(problem, first, here, model, place)


def _parameters(here: Coefficients) -> tuple[Coefficients, dict[int, int]]:
    """A parameter for every factor that is present, zero for the others; and the place of each in the vector of factors."""
    present = factors_of.vector(here).astype(bool)
    holder = pyo.ConcreteModel()
    holder.factor = pyo.Var(np.flatnonzero(present).tolist())
    every = np.zeros(len(present), dtype=object)
    every[:] = 0.0
    for place, parameter in holder.factor.items():
        every[place] = parameter
    named, start = {}, 0
    for name in factors_of.NAMES:
        like = getattr(here, name)
        named[name] = every[start : start + like.size].reshape(like.shape)
        start += like.size
    return Coefficients(**named), {id(parameter): place for place, parameter in holder.factor.items()}


def _template(
    problem: Problem, first: FirstStage, here: Coefficients, model: pyo.ConcreteModel, place: dict[int, int]
) -> Template:
    factors = len(factors_of.vector(here))
    future = model.future[0]
    own: dict[int, int] = {}
    columns: dict[str, tuple[Ints, Ints]] = {}
    lower: list[float] = []
    upper: list[float] = []
    for name in PLACEMENTS:
        variable = getattr(future, name)
        index = np.array(list(variable), dtype=np.int64).reshape(len(variable), variable.dim())
        columns[name] = index, np.arange(len(own), len(own) + len(variable))
        for data in variable.values():
            own[id(data)] = len(own)
            lower.append(-np.inf if data.lb is None else data.lb)
            upper.append(np.inf if data.ub is None else data.ub)
    outer = {
        id(data): first.columns[variable.local_name][index]
        for variable in model.component_objects(pyo.Var, descend_into=False)
        for index, data in variable.items()
    }
    within, across = _Rows(own, place), _Rows(outer, place)
    right, names, types = _Entries(), [], []
    for constraint in future.component_data_objects(pyo.Constraint, active=True):
        found = generate_standard_repn(constraint.body, quadratic=True)
        assert found.nonlinear_expr is None
        bound = constraint.upper if constraint.upper is not None else constraint.lower
        types.append(0 if constraint.equality else 1 if constraint.upper is not None else -1)
        names.append((constraint.parent_component().local_name, constraint.index()))
        number = right.new(float(pyo.value(bound)) - float(found.constant))
        within.row(found)
        across.row(found)
        for variable, multiple in zip(found.linear_vars, found.linear_coefs, strict=True):
            if id(variable) in place:
                right.add(number, place[id(variable)], -float(multiple))
    total = generate_standard_repn(model.total_cost.expr, quadratic=True)
    assert total.nonlinear_expr is None
    offset = _Entries()
    offset.new(float(total.constant))
    for variable, multiple in zip(total.linear_vars, total.linear_coefs, strict=True):
        if id(variable) in place:
            offset.add(0, place[id(variable)], float(multiple))
    size = len(first.stage.cost)
    return Template(
        problem=replace(problem, scenarios=(replace(problem.scenarios[0], probability=1.0),)),
        first=first,
        present=here,
        columns=columns,
        rows=tuple(names),
        recourse=within.pattern(len(own), factors),
        technology=across.pattern(size, factors),
        side=right.affine(factors),
        row_type=np.array(types, dtype=np.int64),
        cost=_costs(total, own, place, len(own)).affine(factors),
        first_cost=_costs(total, outer, place, size).affine(factors),
        offset=offset.affine(factors),
        lower=np.array(lower, dtype=float),
        upper=np.array(upper, dtype=float),
        integer=np.zeros(len(own), dtype=bool),
        spot_source=problem.spot_source,
    )


class _Rows:
    """A sparse matrix collected row by row from what Pyomo says of each constraint."""

    def __init__(self, columns: dict[int, int], place: dict[int, int]) -> None:
        self.columns, self.place = columns, place
        self.entries = _Entries()
        self.indices: list[int] = []
        self.indptr = [0]

    def row(self, found: Any) -> None:
        """Add the row of one constraint: its terms in these columns."""
        here: dict[int, int] = {}
        for variable, multiple in zip(found.linear_vars, found.linear_coefs, strict=True):
            column = self.columns.get(id(variable))
            if column is not None:
                self.entries.constant[self._entry(here, column)] += float(multiple)
        for column, factor, multiple in _products(found, self.columns, self.place):
            self.entries.add(self._entry(here, column), factor, multiple)
        self.indptr.append(len(self.indices))

    def _entry(self, here: dict[int, int], column: int) -> int:
        if column not in here:
            here[column] = self.entries.new()
            self.indices.append(column)
        return here[column]

    def pattern(self, columns: int, factors: int) -> _Pattern:
        """All rows."""
        indices, indptr = np.array(self.indices, dtype=np.int32), np.array(self.indptr, dtype=np.int32)
        return _Pattern(indices, indptr, self.entries.affine(factors), columns)


def _products(found: Any, columns: dict[int, int], place: dict[int, int]) -> Iterator[tuple[int, int, float]]:
    """Column, factor and multiple of every term that is a factor times one of the columns."""
    for (one, other), multiple in zip(found.quadratic_vars, found.quadratic_coefs, strict=True):
        factor, variable = (one, other) if id(one) in place else (other, one)
        column = columns.get(id(variable))
        if column is not None:
            yield column, place[id(factor)], float(multiple)


def _costs(found: Any, columns: dict[int, int], place: dict[int, int], size: int) -> _Entries:
    """Cost of every one of ``size`` columns."""
    entries = _Entries()
    entries.constant = [0.0] * size
    for variable, multiple in zip(found.linear_vars, found.linear_coefs, strict=True):
        column = columns.get(id(variable))
        if column is not None:
            entries.constant[column] += float(multiple)
    for column, factor, multiple in _products(found, columns, place):
        entries.add(column, factor, multiple)
    return entries


# two stages


@dataclass(frozen=True, eq=False)
class Compiled:
    """A problem as a two-stage program, and the way back."""

    first: FirstStage
    template: Template
    two_stage: twostage.TwoStageProblem


def compile_problem(problem: Problem) -> Compiled:
    """A problem as a two-stage program."""
    first = compile_first_stage(problem)
    template = compile_template(problem, first)
    split = twostage.TwoStageProblem(
        first.stage,
        scenarios_of(problem, template),
        risk_weight=problem.risk_weight,
        risk_level=problem.cvar_level,
        cvar_limit=problem.cvar_limit,
    )
    return Compiled(first, template, split)


def scenarios_of(problem: Problem, template: Template) -> tuple[twostage.Scenario, ...]:
    """All futures of a problem by a template that it fits, in as little memory as they can be kept."""
    mould = Mould(template.write(problem, 0), template.places)
    return tuple(mould.packed(template.write(problem, number)) for number in range(len(problem.scenarios)))


@contextmanager
def collection_paused() -> Iterator[None]:
    """Without garbage collection: a model is a great many objects that all live to its end, and looking them over again
    and again takes two fifths of building one."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()
