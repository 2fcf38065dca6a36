"""The extensive form: capacity, and placement for every scenario, in one model."""

from __future__ import annotations

import pyomo.environ as pyo

from models import capacity, costs, placement, risk
from models.coefficients import Coefficients, as_numbers, coefficients, present
from models.problem import Problem


def build_first_stage(problem: Problem) -> pyo.ConcreteModel:
    """The capacity decisions, what each scenario may take of the limits across them, and their rules; at no cost."""
    model = pyo.ConcreteModel(name="first stage")
    model.SCENARIOS = pyo.RangeSet(0, len(problem.scenarios) - 1)
    capacity.build(model, problem)
    risk.build_budgets(model, problem)
    # a column that no rule mentions still needs a place in the arrays
    model.total_cost = pyo.Objective(
        expr=sum(variable for component in model.component_objects(pyo.Var) for variable in component.values())
    )
    return model


def build_template(problem: Problem, here: Coefficients, numbers: Coefficients) -> pyo.ConcreteModel:
    """The placement problem of one scenario, any scenario: its factors are what ``numbers`` holds."""
    model = pyo.ConcreteModel(name="placement")
    model.SCENARIOS = pyo.RangeSet(0, 0)
    capacity.add_decisions(model, problem)
    risk.build_budgets(model, problem)
    model.future = pyo.Block(model.SCENARIOS)
    add_future(model, problem, here, numbers, 0)
    for rule in (model.local_enough, model.registered_in_expectation, model.registered_reliably):
        rule.deactivate()
    model.total_cost = pyo.Objective(expr=sum(model.future[0].cost.values()) + model.future[0].deterrent)
    return model


def add_future(
    model: pyo.ConcreteModel, problem: Problem, here: Coefficients, numbers: Coefficients, scenario: int
) -> None:
    """Add where children live in one scenario, what it costs, and its budgets."""
    future = model.future[scenario]
    placement.build(future, model, problem, here, numbers)
    costs.build(future, model, problem, here, numbers)
    risk.build_within_budgets(future, model, problem, numbers, scenario)


def build(problem: Problem) -> pyo.ConcreteModel:
    """Whole model of a problem: decisions once, where children live in every future, what it costs and what it risks."""
    model = pyo.ConcreteModel(name="block and in-house capacity")
    model.SCENARIOS = pyo.RangeSet(0, len(problem.scenarios) - 1)
    capacity.build(model, problem)
    risk.build_budgets(model, problem)
    model.future = pyo.Block(model.SCENARIOS)
    here = present(problem)
    for scenario, which in enumerate(problem.scenarios):
        add_future(model, problem, here, as_numbers(coefficients(problem, which)), scenario)
        placement.bound_layers(model.future[scenario], problem, which)
    risk.build(model, problem)
    return model
