"""Every rule matters: letting go of it changes the answer of some small problem."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import pyomo.environ as pyo
import pytest

from models import RULES
from models.extensive import build
from models.problem import Problem
from optimiser.solve.compile import compile_model
from optimiser.solve.highs import solve
from tests.random_problems import random_problem
from tests.test_brute_force import tight_problem

SEEDS = range(120)
DRAWS = [(make, seed) for seed in SEEDS for make in (random_problem, tight_problem)]

#: Rules that another one implies where both stand, so that letting go of one alone changes nothing: with what stands in.
IMPLIED = {
    "tier_maximum": "lot_maximum",
    "tier_minimum": "lot_minimum",
    "none_extended_unless_taken": "extended_within_award",
    "one_tier": "lot_maximum",
    "extended_within_award": "extension_needs_the_one_before",
    "extension_needs_the_one_before": "extended_within_award",
}
#: Rules by which no group of councils gains, but which keep beds that nobody pays for out of its plan: see test_splits.
FOR_NOBODYS_GAIN = ("homes_of_members", "lots_of_members", "extensions_of_members")


@cache
def model_of(make: Callable[[int], Problem], seed: int) -> tuple[pyo.ConcreteModel, float]:
    model = build(make(seed))
    return model, objective_of(model)


def objective_of(model: pyo.ConcreteModel) -> float:
    return solve(compile_model(model), gap=1e-7).objective


def named(model: pyo.ConcreteModel, names: tuple[str, ...]) -> list[pyo.Constraint]:
    return [c for c in model.component_objects(pyo.Constraint) if c.local_name in names and len(c) > 0]


def changes_an_answer(names: tuple[str, ...]) -> bool:
    for make, seed in DRAWS:
        model, kept = model_of(make, seed)
        found = named(model, names)
        if len({c.local_name for c in found}) < len(names):
            continue
        for constraint in found:
            constraint.deactivate()
        try:
            let_go = objective_of(model)
        finally:
            for constraint in found:
                constraint.activate()
        if let_go < kept - 1e-5 * max(1.0, abs(let_go)):
            return True
    return False


@pytest.mark.parametrize("rule", [rule.name for rule in RULES if rule.name not in FOR_NOBODYS_GAIN])
def test_letting_go_of_a_rule_makes_some_problem_cheaper(rule: str) -> None:
    names = (rule, IMPLIED[rule]) if rule in IMPLIED else (rule,)
    assert changes_an_answer(names)
