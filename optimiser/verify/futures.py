"""What is decided along a path, and what futures make of it: the beds that are there, and who lives where.

Futures that take the same path are computed together: the first axis of every array is the future.

Where beds of an award are sought, *kind* means a position in the award's volume tiers, or last of all its call-off
beds: the layout of ``Decisions.beds_extended``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from models.decisions import Decisions, Placements
from models.problem import Bools, Floats, Ints, Problem, Scenario, across

#: Futures whose arrays are computed together at most, so that thousands of them take no more memory than these.
TOGETHER = 250


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
class Futures:
    """Futures of a plan that take one path: what is there, and who lives where."""

    path: Path
    scenarios: Sequence[Scenario]
    placements: Sequence[Placements]
    numbers: Sequence[int]  # their positions among all futures of the problem

    @property
    def problem(self) -> Problem:
        """The problem that the plan answers."""
        return self.path.problem

    @property
    def decisions(self) -> Decisions:
        """The first stage of the plan."""
        return self.path.decisions

    def there(self, name: str, at: tuple[int, ...] = ()) -> Floats:
        """An array of the scenarios by its name, or what stands at positions on its leading axes, [scenario, ...]."""
        return across(self.scenarios, name, at)

    # who lives where

    @cached_property
    def placed(self) -> Floats:
        """Children, [scenario, cohort, source, period]."""
        return self.second_stage("placed")

    def second_stage(self, name: str) -> Floats:
        """An array of the placements by its name, [scenario, ...]."""
        return np.array([getattr(placements, name) for placements in self.placements], dtype=float)

    @cached_property
    def planned_moves(self) -> Floats:
        """Children, [scenario, cohort, source, period]."""
        return self.second_stage("planned_moves")

    @cached_property
    def moves_at_closure(self) -> Floats:
        """Children, [scenario, cohort, source, period]."""
        return self.second_stage("moves_at_closure")

    @cached_property
    def lot_layer_used(self) -> Floats:
        """Beds, [scenario, lot layer, period]."""
        return self.second_stage("lot_layer_used")

    @cached_property
    def spot_layer_used(self) -> Floats:
        """Beds, [scenario, spot, layer, period]."""
        return self.second_stage("spot_layer_used")

    @cached_property
    def beds_sold(self) -> Floats:
        """Beds, [scenario, source, period]."""
        return self.second_stage("beds_sold")

    @cached_property
    def children(self) -> Floats:
        """Children by source, [scenario, source, period]."""
        children: Floats = self.placed.sum(axis=1)
        return children

    @cached_property
    def used(self) -> Floats:
        """Children by source with idle beds sold, [scenario, source, period]."""
        return self.children + self.beds_sold

    @cached_property
    def before(self) -> Floats:
        """Children where they lived in the period before, [scenario, cohort, source, period]."""
        before = np.empty_like(self.placed)
        before[..., 0], before[..., 1:] = self.problem.placed_at_start, self.placed[..., :-1]
        return before

    @cached_property
    def stay(self) -> Floats:
        """Share who stay in care in the cohort, [scenario, cohort, source, period]."""
        return self.there("stay")

    @cached_property
    def breakdown(self) -> Floats:
        """Share of placements that break down, [scenario, cohort, source, period]."""
        return self.there("breakdown")

    @cached_property
    def lasting(self) -> Floats:
        """Children whose placement lasts while they stay in the cohort, [scenario, cohort, source, period]."""
        return self.problem.kept(self) * self.before

    @cached_property
    def movable(self) -> Floats:
        """Children whose placement a planned move may end, [scenario, cohort, source, period]."""
        return self.problem.movable(self) * self.before

    # homes

    def begun_stream(self, name: str, of: Callable[[Floats], Floats] = lambda stream: stream) -> Floats:
        """Something of each home, by when it was begun, summed over the homes begun, [scenario, home, period].

        Parameters
        ----------
        name : an array of the scenarios, [home, period begun, period]
        of : what is summed, of what is there of one home [scenario, period]
        """
        begun = self.path.begun
        total = np.zeros((len(self.scenarios), *begun.shape))
        for home, period in np.argwhere(begun).tolist():
            total[:, home] += begun[home, period] * of(self.there(name, (home, period)))
        return total

    @cached_property
    def home_beds(self) -> Floats:
        """Beds of homes registered, ramped up and matched, less those of homes closed, [scenario, home, period]."""
        homes = self.begun_stream("home_open") - np.cumsum(self.path.closed, axis=1)
        return homes * beds_a_home(self.problem)[:, None]

    # contracts

    @cached_property
    def initial_beds(self) -> dict[int, Floats]:
        """Beds delivered in the initial term of each award that holds any, [scenario, kind, period], by its position."""
        held = beds_held(self.problem, self.decisions)
        beds = {}
        for position in self.path.awards:
            if held[position].any():
                award = self.problem.awards[position]
                delivered = self.there("lot_delivered", (award.lot, award.period))
                beds[position] = held[position][:, None] * delivered[:, None]
        return beds

    @cached_property
    def extended_beds(self) -> dict[int, Floats]:
        """Beds delivered under each extension of an award that keeps any, [scenario, kind, period], by its position."""
        kept = self.decisions.beds_extended
        found = (e for position in self.path.awards for e in self.path.extensions(award=position) if kept[e].any())
        return {e: kept[e][:, None] * self.there("extension_delivered", (e,))[:, None] for e in found}

    @cached_property
    def award_beds(self) -> dict[int, Floats]:
        """Beds delivered under each award and its extensions, filled or not, [scenario, kind, period], by its position.

        Awards that hold no beds are left out.
        """
        return self.award_beds_at(lambda extension: 1.0)

    def award_beds_at(self, price: Callable[[int], Floats | float]) -> dict[int, Floats]:
        """As ``award_beds``, those of an extension times something of it [scenario, 1, 1]."""
        beds = dict(self.initial_beds)
        for extension, extended in self.extended_beds.items():
            award = self.problem.extensions[extension].award
            assert award is not None
            beds[award] = beds.get(award, 0.0) + extended * price(extension)
        return beds

    @cached_property
    def lot_beds(self) -> Floats:
        """Beds of a lot, committed and call-off together, that matching lets be filled, [scenario, lot, period]."""
        beds = self._nothing(len(self.problem.lots))
        for position, delivered in self.award_beds.items():
            lot = self.problem.awards[position].lot
            beds[:, lot] += self.problem.lot_occupancy[lot] * delivered.sum(axis=1)
        return beds

    def extended_supplies(self) -> Iterator[tuple[int, int, float]]:
        """Extensions of supplies that are taken on the path: (supply, extension, how far)."""
        for supply in range(len(self.problem.supplies)):
            for extension in self.path.extensions(supply=supply):
                if self.decisions.extension_taken[extension]:
                    yield supply, extension, float(self.decisions.extension_taken[extension])

    @cached_property
    def supply_beds(self) -> Floats:
        """Usable beds of supplies, extensions included, [scenario, supply, period]."""
        beds = self.there("supply_beds")
        for supply, extension, taken in self.extended_supplies():
            beds[:, supply] += self.there("supply_extension_beds", (extension,)) * taken
        return beds

    @cached_property
    def spot_beds(self) -> Floats:
        """Beds on offer in spot markets, [scenario, spot, period]; infinity where unlimited."""
        beds: Floats = self.there("spot_layer_beds").sum(axis=2)
        return beds

    @cached_property
    def usable_beds(self) -> Floats:
        """Beds usable at whatever price, [scenario, source, period]; none where *no registered home found*."""
        parts = [self.home_beds, self.lot_beds, self.supply_beds, self.spot_beds, self._nothing(1)]
        return np.concatenate(parts, axis=1)

    @cached_property
    def layer_beds(self) -> Floats:
        """Beds that a priced layer of a lot holds, matched or not, [scenario, lot layer, period]."""
        problem = self.problem
        beds = self._nothing(len(problem.lot_layers))
        for layer, (kind, position, tier) in enumerate(problem.lot_layers):
            if position in self.award_beds:
                guaranteed = float(problem.guaranteed_share[problem.awards[position].lot])
                share = {"filled": guaranteed, "above_guarantee": 1 - guaranteed, "call_off": 1.0}[kind]
                beds[:, layer] = share * self.award_beds[position][:, tier]
        return beds

    @cached_property
    def beds_paid(self) -> Floats:
        """Beds that somebody pays for and a child may therefore use as far as matching lets it, [scenario, source, period]."""
        problem = self.problem
        lots = self._nothing(len(problem.lots))
        for position, beds in self.award_beds.items():
            lot = problem.awards[position].lot
            if problem.void_price_share[lot] >= 1:  # else even guaranteed beds are bought through a layer
                lots[:, lot] += problem.guaranteed_share[lot] * beds[:, :-1].sum(axis=1)
        for layer, (_, position, _) in enumerate(problem.lot_layers):
            lots[:, problem.awards[position].lot] += self.lot_layer_used[:, layer]
        spots = self.spot_layer_used.sum(axis=2)
        return np.concatenate([self.home_beds, lots, self.supply_beds, spots, self._nothing(1)], axis=1)

    # beds that go

    @cached_property
    def beds_lost(self) -> Floats:
        """Beds that go in a period, [scenario, source, period].

        Homes count each closing home for itself, even where another opens in the same period. A contract loses what
        it delivered before and no longer does: an extension that takes over the same beds loses none. Of an unlimited
        spot market that becomes limited, the beds lost are the children who no longer fit.
        """
        shrinking = self.begun_stream("home_open", fall)
        homes = (shrinking + self.path.closed) * beds_a_home(self.problem)[:, None]
        lots, supplies = fall(self.lot_beds), fall(self.supply_beds)
        start = self.problem.placed_at_start.sum(axis=0)
        first = slice(self.problem.supply_source, self.problem.spot_source)
        supplies[:, :, :1] = np.maximum(start[first, None] - self.supply_beds[:, :, :1], 0.0)
        return np.concatenate([homes, lots, supplies, self._spot_beds_lost(), self._nothing(1)], axis=1)

    def _spot_beds_lost(self) -> Floats:
        markets = slice(self.problem.spot_source, self.problem.unregistered)
        living = self.before[:, :, markets].sum(axis=1)
        offered = np.concatenate([living[:, :, :1], self.spot_beds[:, :, :-1]], axis=2)
        offered = np.where(np.isinf(offered), living, offered)
        lost: Floats = np.maximum(offered - self.spot_beds, 0.0)
        return lost

    def _nothing(self, rows: int) -> Floats:
        return np.zeros((len(self.scenarios), rows, len(self.problem.periods)))

    def where(self, future: int, *parts: str) -> str:
        """A place in one of these futures, in the problem's own names."""
        return ", ".join((*parts, self.scenarios[future].name))


def futures_of(
    problem: Problem, decisions: Decisions, placements: Sequence[Placements], numbers: Iterable[int] | None = None
) -> Iterator[Futures]:
    """The futures of a plan, those together that take one path, and no more than ``TOGETHER``.

    Parameters
    ----------
    placements : second stage, one entry per scenario in the problem's order
    numbers : positions of the futures asked for; all where left out
    """
    along: dict[tuple[int, ...], list[int]] = {}
    for number in range(len(problem.scenarios)) if numbers is None else numbers:
        along.setdefault(problem.scenarios[number].path, []).append(number)
    for nodes, members in along.items():
        path = Path(problem, decisions, nodes)
        for first in range(0, len(members), TOGETHER):
            some = members[first : first + TOGETHER]
            yield Futures(path, [problem.scenarios[n] for n in some], [placements[n] for n in some], some)


def in_order(parts: Sequence[tuple[Futures, Floats]]) -> Floats:
    """Something of futures that were computed together [scenario, ...], in the problem's order."""
    found = np.concatenate([amounts for _, amounts in parts])
    return found[np.argsort(np.concatenate([futures.numbers for futures, _ in parts]))]


# small things


def fall(level: Floats) -> Floats:
    """By how much a series falls from one period to the next, zero in the first; along the last axis."""
    fallen = np.zeros_like(level)
    fallen[..., 1:] = np.maximum(level[..., :-1] - level[..., 1:], 0.0)
    return fallen


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


def placement_shapes(problem: Problem) -> dict[str, tuple[int, ...]]:
    """Shape of every array of the second stage in a future, by its name: in all of them the same."""
    cohorts, sources, periods = len(problem.cohorts), len(problem.sources), len(problem.periods)
    return {
        "placed": (cohorts, sources, periods),
        "planned_moves": (cohorts, sources, periods),
        "moves_at_closure": (cohorts, sources, periods),
        "lot_layer_used": (len(problem.lot_layers), periods),
        "spot_layer_used": problem.scenarios[0].spot_layer_beds.shape,
        "beds_sold": (sources, periods),
    }


def refuse_wrong_shapes(problem: Problem, decisions: Decisions, placements: Sequence[Placements]) -> None:
    """Raise a ``ValueError`` that names every array of a plan whose shape is not the problem's."""
    if len(placements) != len(problem.scenarios):
        raise ValueError(f"{len(placements)} placements for {len(problem.scenarios)} scenarios")
    wrong, shapes = _wrong(decisions, decision_shapes(problem), "decisions"), placement_shapes(problem)
    for scenario, placed in zip(problem.scenarios, placements, strict=True):
        wrong += _wrong(placed, shapes, scenario.name)
    if wrong:
        raise ValueError("the plan does not have the problem's shapes: " + "; ".join(wrong))


def _wrong(holder: Decisions | Placements, shapes: dict[str, tuple[int, ...]], name: str) -> list[str]:
    found: list[str] = []
    for field, shape in shapes.items():
        array: Floats | Ints = getattr(holder, field)
        if np.shape(array) != shape:
            found.append(f"{name}: {field} has shape {np.shape(array)}, not {shape}")
    return found
