"""The extensive form: capacity, and placement for every scenario, in one model."""

from __future__ import annotations

import pyomo.environ as pyo

from models import capacity, costs, placement, risk
from models.problem import Problem


def build_capacity(problem: Problem) -> pyo.ConcreteModel:
    """The capacity decisions and their rules by themselves, at no cost."""
    model = pyo.ConcreteModel(name="capacity")
    model.SCENARIOS = pyo.RangeSet(0, -1)
    capacity.build(model, problem)
    # a column that no rule mentions still needs a place in the arrays
    model.total_cost = pyo.Objective(
        expr=sum(variable for component in model.component_objects(pyo.Var) for variable in component.values())
    )
    return model


def build(problem: Problem) -> pyo.ConcreteModel:
    """Whole model of a problem: decisions once, where children live in every future, what it costs and what it risks."""
    model = pyo.ConcreteModel(name="block and in-house capacity")
    model.SCENARIOS = pyo.RangeSet(0, len(problem.scenarios) - 1)
    capacity.build(model, problem)
    model.future = pyo.Block(model.SCENARIOS)
    for scenario in model.SCENARIOS:
        placement.build(model.future[scenario], model, problem, problem.scenarios[scenario])
        costs.build(model.future[scenario], model, problem, problem.scenarios[scenario])
    risk.build(model, problem)
    return model
