"""The values of the model's variables as arrays: what was decided, and where children live in each future.

This is what a solver hands on and what ``optimiser/verify/`` recomputes from. Positions are those of ``Problem``.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from models.problem import Floats, Ints, Problem, Scenario


@dataclass(frozen=True, eq=False)
class Decisions:
    """First stage, whole numbers throughout."""

    homes_begun: Ints  # homes, [begin]
    homes_closed: Ints  # homes, [closure], positions of ``Problem.closures``
    managers: Ints  # managers in post, [node, period]; 0 outside a node's own periods
    lot_awarded: Ints  # 0 or 1, [award]
    tier_chosen: Ints  # 0 or 1, [award, tier]; 0 beyond the lot's tiers
    beds_in_tier: Ints  # beds, [award, tier]; 0 beyond the lot's tiers
    optional_beds: Ints  # beds, [award]
    extension_taken: Ints  # 0 or 1, [extension]
    beds_extended: Ints  # beds, [extension, tier]; the last column is call-off; 0 for supplies

    @classmethod
    def none(cls, problem: Problem) -> Decisions:
        """Do nothing: no home, no award, no extension, no manager."""
        tiers = max_tiers(problem)

        def zeros(*shape: int) -> Ints:
            return np.zeros(shape, dtype=np.int64)

        return cls(
            homes_begun=zeros(len(problem.begins)),
            homes_closed=zeros(len(problem.closures)),
            managers=zeros(len(problem.nodes), len(problem.periods)),
            lot_awarded=zeros(len(problem.awards)),
            tier_chosen=zeros(len(problem.awards), tiers),
            beds_in_tier=zeros(len(problem.awards), tiers),
            optional_beds=zeros(len(problem.awards)),
            extension_taken=zeros(len(problem.extensions)),
            beds_extended=zeros(len(problem.extensions), tiers + 1),
        )


@dataclass(frozen=True, eq=False)
class Placements:
    """Second stage of one future."""

    placed: Floats  # children, [cohort, source, period]
    planned_moves: Floats  # children, [cohort, source, period]; 0 where moves are free of charge
    moves_at_closure: Floats  # children, [cohort, source, period]
    lot_layer_used: Floats  # beds, [position in Problem.lot_layers, period]
    spot_layer_used: Floats  # beds, [spot, layer, period]
    beds_sold: Floats  # beds, [source, period]

    @classmethod
    def none(cls, problem: Problem, scenario: Scenario) -> Placements:
        """Nobody placed: arrays of the right shape to be filled."""
        cohorts, sources, periods = len(problem.cohorts), len(problem.sources), len(problem.periods)
        return cls(
            placed=np.zeros((cohorts, sources, periods)),
            planned_moves=np.zeros((cohorts, sources, periods)),
            moves_at_closure=np.zeros((cohorts, sources, periods)),
            lot_layer_used=np.zeros((len(problem.lot_layers), periods)),
            spot_layer_used=np.zeros(scenario.spot_layer_beds.shape),
            beds_sold=np.zeros((sources, periods)),
        )


def max_tiers(problem: Problem) -> int:
    """Most volume tiers that any lot has."""
    return max((len(tiers) for tiers in problem.lot_tiers), default=0)


def with_managers_needed(problem: Problem, decisions: Decisions) -> Decisions:
    """The same decisions with just as many managers in post as the homes need: more are never needed and never cheaper."""
    if problem.managers is None:
        return decisions
    managers = decisions.managers.copy()
    for node, stretch in enumerate(problem.nodes):
        path = problem.path_to(node)
        for period in range(stretch.first_period, stretch.end_period):
            need = sum(
                int(decisions.homes_begun[place]) * int(problem.needs_manager[begin.home, begin.period, period])
                for place, begin in enumerate(problem.begins)
                if begin.node in path
            ) - sum(
                int(decisions.homes_closed[place])
                for place, (home, at, month) in enumerate(problem.closures)
                if at in path and month <= period and problem.needs_manager[home].any()
            )
            managers[node, period] = max(-(-need // problem.managers.homes_each), 0)
    return replace(decisions, managers=managers)
