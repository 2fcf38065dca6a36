"""The extensive form: capacity, and placement for every scenario, in one model."""

from __future__ import annotations

import pyomo.environ as pyo

from models import capacity, costs, placement, risk
from models.problem import Problem


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
