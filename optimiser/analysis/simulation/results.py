"""From lives to figures: every pound of every future by the recomputation's own ledger, and what is told of them.

The simulation charges nothing itself. It hands the recomputation (``optimiser/verify/``) where children lived and which beds
were bought, in the same arrays that a solver hands it; so the terms are those of ``models.problem.COST_TERMS`` and a pound
is the same pound.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.problem import Problem
from optimiser.analysis.simulation.beds import UNLIMITED, Places
from optimiser.analysis.simulation.draws import Block
from optimiser.analysis.simulation.placing import Lived
from optimiser.verify import ledger_of

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Row = dict[str, Any]

#: Moves from which a child has had many.
MANY_MOVES = 3


@dataclass(frozen=True, eq=False)
class Outcome:
    """What became of one set of decisions in each simulated future. Pounds are present and real unless they say otherwise."""

    term_gbp: Floats  # [scenario, term], terms in the order of COST_TERMS
    nominal_gbp: Floats  # nominal £, [scenario, term, year]
    deterrent_gbp: Floats  # charged on top in the objective, no pound, [scenario]
    children: Floats  # children, [scenario, cohort, source, month]
    beds: Floats  # whole beds, infinite where unlimited, [scenario, source, month]
    sold: Floats  # idle beds sold, [scenario, source, month]
    breakdowns: Floats  # placements, [scenario]
    closures: Floats  # placements ended because the bed went, [scenario]
    planned_moves: Floats  # [scenario]
    children_in_care: Floats  # children ever in care, [scenario]
    moves: Floats  # [scenario]
    many_moves: Floats  # children with three or more, [scenario]
    children_unregistered: Floats  # children ever without a registered home, [scenario]

    @property
    def cost_gbp(self) -> Floats:
        """Cost of each future, without the deterrent, [scenario]."""
        cost: Floats = self.term_gbp.sum(axis=1)
        return cost

    @property
    def objective_gbp(self) -> Floats:
        """Cost of each future with the deterrent, [scenario]."""
        return self.cost_gbp + self.deterrent_gbp

    @staticmethod
    def joined(parts: list[Outcome]) -> Outcome:
        """Outcomes of consecutive blocks as one."""
        names = [field.name for field in fields(Outcome)]
        return Outcome(**{name: np.concatenate([getattr(part, name) for part in parts]) for name in names})


def outcome_of(block: Block, places: Places, lived: Lived) -> Outcome:
    """Charge every future and count what happened."""
    problem = block.problem
    year = problem.period_year[:, None] == np.arange(len(problem.financial_years))
    for number in range(len(places.placements)):
        _fill(places, lived, number, problem)
    ledger = ledger_of(problem, places.decisions, places.placements)
    nominal = ledger.nominal.sum(axis=2)  # [scenario, term, month]
    real = (block.children.arrival < len(problem.periods)).sum(axis=1)
    beds = np.where(lived.beds >= UNLIMITED, np.inf, lived.beds)
    return Outcome(
        term_gbp=nominal @ problem.present_value,
        nominal_gbp=nominal @ year,
        deterrent_gbp=ledger.deterrent @ problem.present_value,
        children=lived.placed.astype(float),
        beds=beds,
        sold=lived.sold.astype(float),
        breakdowns=lived.breakdowns.sum(axis=1).astype(float),
        closures=lived.moves_at_closure.sum(axis=(1, 2, 3)).astype(float),
        planned_moves=lived.planned_moves.sum(axis=(1, 2, 3)).astype(float),
        children_in_care=real.astype(float),
        moves=lived.moves.sum(axis=1).astype(float),
        many_moves=(lived.moves >= MANY_MOVES).sum(axis=1).astype(float),
        children_unregistered=lived.unregistered.sum(axis=1).astype(float),
    )


def _fill(places: Places, lived: Lived, number: int, problem: Problem) -> None:
    """Write one future's lives into its placements: whole children, and the beds bought for them, cheapest first."""
    placements = places.placements[number]
    placements.placed[:] = lived.placed[number]
    placements.planned_moves[:] = lived.planned_moves[number]
    placements.moves_at_closure[:] = lived.moves_at_closure[number]
    placements.beds_sold[:] = lived.sold[number]
    children = lived.placed[number].sum(axis=0)
    first = len(places.source) - len(problem.sources)
    for lot, layers in enumerate(places.layers):
        source = problem.lot_source + lot
        below = np.zeros(len(problem.periods))
        for place, (layer, _, _) in enumerate(layers):
            top = places.top[number, source + first, place]
            if layer >= 0:
                placements.lot_layer_used[layer] = np.clip(children[source] - below, 0.0, top - below)
            below = top
    for spot in range(len(problem.spots)):
        living = children[problem.spot_source + spot].astype(float)
        offered = places.spot_beds[number, spot]
        below = np.zeros(len(living))
        for layer in range(len(offered)):
            last = layer == len(offered) - 1
            # who was there at the start keeps the place, whatever is on offer: at the dearest price
            above = np.inf if last else offered[layer]
            placements.spot_layer_used[spot, layer] = np.clip(living - below, 0.0, above)
            below = below + offered[layer]
