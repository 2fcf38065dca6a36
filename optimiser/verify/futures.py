"""What is decided along a path, and what a future makes of it: the beds that are there, and who lives where.

Where beds of an award are sought, *kind* means a position in the award's volume tiers, or last of all its call-off
beds: the layout of ``Decisions.beds_extended``.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from models.decisions import Decisions, Placements
from models.problem import Bools, Floats, Ints, Problem, Scenario


@dataclass(frozen=True, eq=False)
class Path:
    """First-stage decisions as one path from the root sees them."""

    problem: Problem
    decisions: Decisions
    nodes: tuple[int, ...]

    @cached_property
    def begun(self) -> Floats:
        """Homes begun, [home, period begun]."""
        homes = np.zeros((len(self.problem.homes), len(self.problem.periods)))
        for number, begin in zip(self.decisions.homes_begun, self.problem.begins, strict=True):
            if begin.node in self.nodes:
                homes[begin.home, begin.period] += number
        return homes

    @cached_property
    def closed(self) -> Floats:
        """Homes closed, [home, period]."""
        homes = np.zeros((len(self.problem.homes), len(self.problem.periods)))
        for number, (home, node, period) in zip(self.decisions.homes_closed, self.problem.closures, strict=True):
            if node in self.nodes:
                homes[home, period] += number
        return homes

    @cached_property
    def managers(self) -> Floats:
        """Managers in post, [period]."""
        return sum(
            (np.where(own_periods(self.problem, node), self.decisions.managers[node], 0.0) for node in self.nodes),
            start=np.zeros(len(self.problem.periods)),
        )

    @cached_property
    def awards(self) -> tuple[int, ...]:
        """Positions of the awards that lie on the path."""
        return tuple(position for position, award in enumerate(self.problem.awards) if award.node in self.nodes)

    def extensions(self, *, award: int | None = None, supply: int | None = None) -> tuple[int, ...]:
        """Positions of the extensions of an award or a supply that are decided on the path."""
        found = self.problem.extensions_of(award=award, supply=supply)
        return tuple(position for position in found if self.problem.extensions[position].node in self.nodes)


@dataclass(frozen=True, eq=False)
class Future:
    """One future of a plan: what is there, and who lives where."""

    problem: Problem
    decisions: Decisions
    scenario: Scenario
    placements: Placements

    @cached_property
    def path(self) -> Path:
        """The decisions of this future."""
        return Path(self.problem, self.decisions, self.scenario.path)

    @cached_property
    def children(self) -> Floats:
        """Children by source, [source, period]."""
        children: Floats = self.placements.placed.sum(axis=0)
        return children

    @cached_property
    def before(self) -> Floats:
        """Children where they lived in the period before, [cohort, source, period]."""
        start = self.problem.placed_at_start[:, :, None]
        return np.concatenate([start, self.placements.placed[:, :, :-1]], axis=2)

    @cached_property
    def home_beds(self) -> Floats:
        """Beds of homes registered, ramped up and matched, less those of homes closed, [home, period]."""
        homes = np.einsum("hp,hpt->ht", self.path.begun, self.scenario.home_open) - np.cumsum(self.path.closed, axis=1)
        beds: Floats = homes * beds_a_home(self.problem)[:, None]
        return beds

    @cached_property
    def award_beds(self) -> Floats:
        """Beds delivered under an award and its extensions, filled or not, [award, kind, period]."""
        initial, extended = self.initial_beds, self.extended_beds
        beds = initial.copy()
        for position in self.path.awards:
            for extension in self.path.extensions(award=position):
                beds[position] += extended[extension]
        return beds

    @cached_property
    def initial_beds(self) -> Floats:
        """Beds delivered in the initial term of an award, [award, kind, period]."""
        held = beds_held(self.problem, self.decisions)
        beds = np.zeros((*held.shape, len(self.problem.periods)))
        for position in self.path.awards:
            award = self.problem.awards[position]
            beds[position] = np.outer(held[position], self.scenario.lot_delivered[award.lot, award.period])
        return beds

    @cached_property
    def extended_beds(self) -> Floats:
        """Beds delivered under an extension of an award, [extension, kind, period]."""
        beds: Floats = self.decisions.beds_extended[:, :, None] * self.scenario.extension_delivered[:, None, :]
        return beds

    @cached_property
    def lot_beds(self) -> Floats:
        """Beds of a lot, committed and call-off together, that matching lets be filled, [lot, period]."""
        beds = np.zeros((len(self.problem.lots), len(self.problem.periods)))
        for position in self.path.awards:
            lot = self.problem.awards[position].lot
            beds[lot] += self.problem.lot_occupancy[lot] * self.award_beds[position].sum(axis=0)
        return beds

    @cached_property
    def supply_beds(self) -> Floats:
        """Usable beds of supplies, extensions included, [supply, period]."""
        beds = self.scenario.supply_beds.copy()
        for supply in range(len(self.problem.supplies)):
            for extension in self.path.extensions(supply=supply):
                taken = self.decisions.extension_taken[extension]
                beds[supply] += self.scenario.supply_extension_beds[extension] * taken
        return beds

    @cached_property
    def spot_beds(self) -> Floats:
        """Beds on offer in spot markets, [spot, period]; infinity where unlimited."""
        beds: Floats = self.scenario.spot_layer_beds.sum(axis=1)
        return beds

    @cached_property
    def usable_beds(self) -> Floats:
        """Beds usable at whatever price, [source, period]; none where *no registered home found*."""
        nothing = np.zeros((1, len(self.problem.periods)))
        return np.concatenate([self.home_beds, self.lot_beds, self.supply_beds, self.spot_beds, nothing])

    @cached_property
    def layer_beds(self) -> Floats:
        """Beds that a priced layer of a lot holds, matched or not, [lot layer, period]."""
        problem, periods = self.problem, len(self.problem.periods)
        beds = np.zeros((len(problem.lot_layers), periods))
        for layer, (kind, position, tier) in enumerate(problem.lot_layers):
            lot = problem.awards[position].lot
            guaranteed = float(problem.guaranteed_share[lot])
            share = {"filled": guaranteed, "above_guarantee": 1 - guaranteed, "call_off": 1.0}[kind]
            beds[layer] = share * self.award_beds[position, tier]
        return beds

    @cached_property
    def beds_paid(self) -> Floats:
        """Beds that somebody pays for and a child may therefore use as far as matching lets it, [source, period]."""
        problem = self.problem
        lots = np.zeros((len(problem.lots), len(problem.periods)))
        for position in self.path.awards:
            lot = problem.awards[position].lot
            if problem.void_price_share[lot] >= 1:  # else even guaranteed beds are bought through a layer
                lots[lot] += problem.guaranteed_share[lot] * self.award_beds[position, :-1].sum(axis=0)
        for layer, (_, position, _) in enumerate(problem.lot_layers):
            lots[problem.awards[position].lot] += self.placements.lot_layer_used[layer]
        spots = self.placements.spot_layer_used.sum(axis=1)
        nothing = np.zeros((1, len(problem.periods)))
        return np.concatenate([self.home_beds, lots, self.supply_beds, spots, nothing])

    @cached_property
    def beds_lost(self) -> Floats:
        """Beds that go in a period, [source, period].

        Homes count each closing home for itself, even where another opens in the same period. A contract loses what
        it delivered before and no longer does: an extension that takes over the same beds loses none. Of an unlimited
        spot market that becomes limited, the beds lost are the children who no longer fit.
        """
        homes = self._home_beds_lost()
        lots, supplies = _fall(self.lot_beds), _fall(self.supply_beds)
        start = self.problem.placed_at_start.sum(axis=0)
        first = slice(self.problem.supply_source, self.problem.spot_source)
        supplies[:, :1] = np.maximum(start[first, None] - self.supply_beds[:, :1], 0.0)
        nothing = np.zeros((1, len(self.problem.periods)))
        return np.concatenate([homes, lots, supplies, self._spot_beds_lost(), nothing])

    def _home_beds_lost(self) -> Floats:
        shrinking = np.einsum("hp,hpt->ht", self.path.begun, _fall(self.scenario.home_open))
        lost: Floats = (shrinking + self.path.closed) * beds_a_home(self.problem)[:, None]
        return lost

    def _spot_beds_lost(self) -> Floats:
        markets = slice(self.problem.spot_source, self.problem.unregistered)
        living = self.before[:, markets].sum(axis=0)
        offered = np.concatenate([living[:, :1], self.spot_beds[:, :-1]], axis=1)
        offered = np.where(np.isinf(offered), living, offered)
        lost: Floats = np.maximum(offered - self.spot_beds, 0.0)
        return lost

    def where(self, *parts: str) -> str:
        """A place in this future, in the problem's own names."""
        return ", ".join((*parts, self.scenario.name))


def _fall(level: Floats) -> Floats:
    """By how much a series falls from one period to the next, zero in the first; along the last axis."""
    fall = np.zeros_like(level)
    fall[..., 1:] = np.maximum(level[..., :-1] - level[..., 1:], 0.0)
    return fall


def by_year(problem: Problem, values: Floats) -> Floats:
    """Sums over the periods of each financial year: [..., period] to [..., year]."""
    belongs = problem.period_year[:, None] == np.arange(len(problem.financial_years))
    result: Floats = values @ belongs.astype(float)
    return result


def probability_of(problem: Problem) -> Floats:
    """Probability of each future, [scenario]."""
    return np.array([scenario.probability for scenario in problem.scenarios])


def own_periods(problem: Problem, node: int) -> Bools:
    """Whether decisions of the node are taken in the period, [period]."""
    periods = np.arange(len(problem.periods))
    stretch = problem.nodes[node]
    own: Bools = (stretch.first_period <= periods) & (periods < stretch.end_period)
    return own


def paths(problem: Problem, decisions: Decisions) -> Iterator[tuple[Path, str]]:
    """Every path from the root to a leaf, and what to call it; a path that is the only one needs no name."""
    for leaf in problem.leaves:
        name = problem.nodes[leaf].name if len(problem.leaves) > 1 else ""
        yield Path(problem, decisions, problem.path_to(leaf)), name


def beds_a_home(problem: Problem) -> Floats:
    """Most beds of one home that matching lets be filled, [home]."""
    beds: Floats = problem.home_beds * problem.home_occupancy
    return beds


def beds_held(problem: Problem, decisions: Decisions) -> Floats:
    """Beds awarded, [award, kind]."""
    beds = np.zeros((len(problem.awards), decisions.beds_extended.shape[1]))
    beds[:, :-1] = decisions.beds_in_tier
    beds[:, -1] = decisions.optional_beds
    return beds


def buildings(problem: Problem) -> list[int]:
    """Positions of the homes from which lots are run."""
    return sorted({int(building) for building in problem.lot_building if building >= 0})


def lots_in(problem: Problem, building: int) -> list[int]:
    """Positions among the sources of the lots run from a building."""
    return [problem.lot_source + int(lot) for lot in np.flatnonzero(problem.lot_building == building)]


# shapes


def decision_shapes(problem: Problem) -> dict[str, tuple[int, ...]]:
    """Shape of every array of the first stage, by its name."""
    tiers = max((len(tiers) for tiers in problem.lot_tiers), default=0)
    awards, extensions = len(problem.awards), len(problem.extensions)
    return {
        "homes_begun": (len(problem.begins),),
        "homes_closed": (len(problem.closures),),
        "managers": (len(problem.nodes), len(problem.periods)),
        "lot_awarded": (awards,),
        "tier_chosen": (awards, tiers),
        "beds_in_tier": (awards, tiers),
        "optional_beds": (awards,),
        "extension_taken": (extensions,),
        "beds_extended": (extensions, tiers + 1),
    }


def placement_shapes(problem: Problem, scenario: Scenario) -> dict[str, tuple[int, ...]]:
    """Shape of every array of the second stage in one future, by its name."""
    cohorts, sources, periods = len(problem.cohorts), len(problem.sources), len(problem.periods)
    return {
        "placed": (cohorts, sources, periods),
        "planned_moves": (cohorts, sources, periods),
        "moves_at_closure": (cohorts, sources, periods),
        "lot_layer_used": (len(problem.lot_layers), periods),
        "spot_layer_used": scenario.spot_layer_beds.shape,
        "beds_sold": (sources, periods),
    }


def refuse_wrong_shapes(problem: Problem, decisions: Decisions, placements: Sequence[Placements]) -> None:
    """Raise a ``ValueError`` that names every array of a plan whose shape is not the problem's."""
    if len(placements) != len(problem.scenarios):
        raise ValueError(f"{len(placements)} placements for {len(problem.scenarios)} scenarios")
    wrong = _wrong(decisions, decision_shapes(problem), "decisions")
    for scenario, placed in zip(problem.scenarios, placements, strict=True):
        wrong += _wrong(placed, placement_shapes(problem, scenario), scenario.name)
    if wrong:
        raise ValueError("the plan does not have the problem's shapes: " + "; ".join(wrong))


def _wrong(holder: Decisions | Placements, shapes: dict[str, tuple[int, ...]], name: str) -> list[str]:
    found: list[str] = []
    for field, shape in shapes.items():
        array: Floats | Ints = getattr(holder, field)
        if np.shape(array) != shape:
            found.append(f"{name}: {field} has shape {np.shape(array)}, not {shape}")
    return found
