"""The extensive form: capacity, and placement for every scenario, in one model."""

from __future__ import annotations

import pyomo.environ as pyo

from models import capacity, costs, placement, risk
from models.decisions import Decisions
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


class Decided:
    """Capacity decisions as numbers, under the names that placement and costs read from a model."""

    def __init__(self, problem: Problem, decisions: Decisions) -> None:
        awards = [(award.lot, award.node, award.period) for award in problem.awards]
        begins = [(begin.home, begin.node, begin.period) for begin in problem.begins]
        self.homes_begun = dict(zip(begins, decisions.homes_begun.tolist(), strict=True))
        self.homes_closed = dict(zip(problem.closures, decisions.homes_closed.tolist(), strict=True))
        self.lot_awarded = dict(zip(awards, decisions.lot_awarded.tolist(), strict=True))
        self.optional_beds = dict(zip(awards, decisions.optional_beds.tolist(), strict=True))
        self.beds_in_tier = {
            (lot, tier, node, period): int(decisions.beds_in_tier[place, tier])
            for place, (lot, node, period) in enumerate(awards)
            for tier in range(len(problem.lot_tiers[lot]))
        }
        self.extension_taken = decisions.extension_taken.tolist()
        self.beds_extended = {
            (extension, tier): int(decisions.beds_extended[extension, tier])
            for extension in range(len(problem.extensions))
            for tier in capacity.bed_kinds(problem, extension)
        }
        self.managers = {
            (node, period): int(decisions.managers[node, period])
            for node in range(len(problem.nodes))
            for period in capacity.own_periods(problem, node)
        }
        self.MANAGED = tuple(self.managers)


def build_placement(problem: Problem, decisions: Decisions) -> pyo.ConcreteModel:
    """Where children live in every future under given decisions, at least cost, without limits across futures."""
    model = pyo.ConcreteModel(name="placement")
    decided = Decided(problem, decisions)
    model.SCENARIOS = pyo.RangeSet(0, len(problem.scenarios) - 1)
    model.future = pyo.Block(model.SCENARIOS)
    for scenario in model.SCENARIOS:
        placement.build(model.future[scenario], decided, problem, problem.scenarios[scenario])
        costs.build(model.future[scenario], decided, problem, problem.scenarios[scenario])
    model.total_cost = pyo.Objective(
        expr=sum(
            problem.scenarios[scenario].probability
            * (sum(model.future[scenario].cost.values()) + model.future[scenario].deterrent)
            for scenario in model.SCENARIOS
        )
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
