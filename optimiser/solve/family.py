"""Problems that differ in limits, rules and prices of their first stage only, solved one after another from one pool of cuts.

A cut says what a future costs at least at any first-stage point: it holds for every member of the family. So each member
begins with what all before it have learned, and most need one look at the futures to be told apart from the others.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from optimiser.errors import SolverError
from optimiser.solve.highs import Basis, check_version
from optimiser.solve.masters import Clustered
from optimiser.solve.pool import Layer, Pool
from optimiser.solve.search import CLUSTERS, Infeasible, Relaxed, Search, Stopped
from optimiser.solve.twostage import (
    Bools,
    Duals,
    Floats,
    Ints,
    Settings,
    Stage,
    TwoStageProblem,
    TwoStageSolution,
    legible_factor,
    with_costs_times,
)

#: Numbers kept in cuts, eight bytes each: beyond, those made first are let go of.
ROOM = 15_000_000
#: Points with bases kept, of which a member starts from the nearest.
NEIGHBOURS = 64
#: Slopes of cuts up to so many £ a unit are rounding errors.
NOTHING = 1e-7
#: The unit of money is chosen for the dearest plan of the family divided by this at least.
LEAST = 1_000.0
#: Points of others that a member looks at.
LOOKED_AT = 8


@dataclass(frozen=True, eq=False)
class Learned:
    """What solving one member says of every other: cuts, proofs that futures have no recourse, and where it ended.

    Parameters
    ----------
    constant, slope : cost of a future >= constant + slope·x; [layer, scenario] and [layer, scenario, column]
    ray_constant, ray_slope : constant + slope·x <= 0 must hold; [ray] and [ray, column]
    x : the best point, [column]; None where there is none
    bases : [scenario], where the last look at the futures ended
    size : what the best point costs
    """

    constant: Floats
    slope: Floats
    ray_constant: Floats
    ray_slope: Floats
    x: Floats | None
    bases: tuple[Basis | None, ...]
    size: float


class Family:
    """A two-stage problem without weight or limit on the tail, of which others differ in their first stage only."""

    def __init__(self, problem: TwoStageProblem) -> None:
        if problem.tail_counts:
            raise ValueError("what the tail costs is not the sum of what cuts say")
        check_version()
        self.factor = legible_factor(problem)
        self.problem = with_costs_times(problem, self.factor)
        scenarios, columns = len(problem.scenarios), len(problem.first.cost)
        self.constant, self.slope = np.empty((0, scenarios)), np.empty((0, scenarios, columns))
        self.ray_constant, self.ray_slope = np.empty(0), np.empty((0, columns))
        self.size = 0.0  # of the dearest plan so far
        self.layers: list[Layer] = []
        self.points: list[Floats] = []
        self.bases: list[tuple[Basis | None, ...]] = []

    def solve(
        self,
        first: Stage,
        settings: Settings,
        *,
        absolute: float = 0.0,
        constant: float = 0.0,
        enough: float = np.inf,
        part: float = np.inf,
    ) -> tuple[TwoStageSolution, Learned]:
        """Solve the member with this first stage; the family itself stays as it is.

        Parameters
        ----------
        first : the problem's own but for bounds, further rows and what columns cost
        absolute : £ between plan and bound that are close enough whatever the relative gap
        constant : £ added to what is minimised whatever is decided: the gap is relative to all of it
        enough : £ at and above which what a plan costs does not matter: a bound of so much ends the search, which then may
            have no point
        part : a plan that lies below ``enough`` by this part of what the bound does will do

        Raises
        ------
        SolverError
            If HiGHS ends in numerical trouble, or the member is unbounded.
        """
        began = time.perf_counter()
        offset = constant * self.factor
        price = first.cost * self.factor - self.problem.first.cost
        problem = replace(self.problem, first=replace(first, cost=first.cost * self.factor))
        if offset:
            problem = replace(
                problem, scenarios=tuple(each.changed(offset=each.offset + offset) for each in problem.scenarios)
            )
        search = _Member(problem, settings, _Here(), None, began)
        search.absolute, search.enough = absolute * self.factor, enough * self.factor
        search.part = part
        search.least = self.size / LEAST
        search.pool = pool = _Shared(self, price, offset)
        inside = self._brought_within(first)
        if inside:
            nearest = sorted(range(len(inside)), key=lambda place: search.modelled(inside[place]))[:LOOKED_AT]
            search.remembered = [inside[place] for place in nearest]
            search.bases = list(self.bases[nearest[0]])
        status = _run(search)
        seconds = time.perf_counter() - began
        learned = pool.learned(price, offset, search)
        if search.x is None:
            bound = np.inf if status == "infeasible" else search.bound / self.factor
            return TwoStageSolution(None, np.inf, bound, np.inf, status, None, search.rounds, None, seconds), learned
        costs = None if search.costs is None else search.costs / self.factor
        objective, bound = search.objective / self.factor, search.bound / self.factor
        return TwoStageSolution(
            search.x, objective, bound, search.gap, status, costs, search.rounds, None, seconds
        ), learned

    def modelled(self, first: Stage) -> float:
        """What a member's plan costs about: the cheapest, by the cuts there are, of the points where others ended."""
        points = np.array(self._brought_within(first))
        if not len(points):
            return -np.inf
        costs = [float(self.problem.probability @ (self.constant + self.slope @ point).max(axis=0)) for point in points]
        return min(costs) / self.factor

    def learn(self, found: Learned) -> None:
        """Keep what a member has told for those after it."""
        room = max(ROOM // max(int(np.prod(self.slope.shape[1:])), 1), 1)
        self.constant = np.concatenate([self.constant, found.constant])[-room:]
        self.slope = np.concatenate([self.slope, found.slope])[-room:]
        told = []
        for own, cut in zip(found.constant, found.slope, strict=True):
            places = np.flatnonzero(np.isfinite(own))
            told.append(Layer(places, own[places], cut[places], None))
        self.layers = [*self.layers, *told][-room:]
        self.ray_constant = np.concatenate([self.ray_constant, found.ray_constant])
        self.ray_slope = np.concatenate([self.ray_slope, found.ray_slope])
        self.size = max(self.size, found.size)
        if found.x is not None:
            self.points = [*self.points, found.x][-NEIGHBOURS:]
            self.bases = [*self.bases, found.bases][-NEIGHBOURS:]

    def _brought_within(self, first: Stage) -> list[Floats]:
        """Points of others brought within a member's bounds, [column] each."""
        return [np.clip(point, first.lower, first.upper) for point in self.points]


class _Member(Search):
    """A search that also ends where plan and bound are so many pounds apart, or nothing is left that matters."""

    ONE_TREE = False
    absolute, enough, part = 0.0, np.inf, np.inf
    least = 0.0  # cost that the unit of money is chosen for at least

    def rescaled(self, cost: float) -> bool:
        """As ever; but a member that costs next to nothing, or of which nothing is known yet, counts in the family's money."""
        return super().rescaled(max(abs(cost), self.least))

    @property
    def done(self) -> bool:
        if self.bound >= self.enough or super().done:
            return True
        if self.objective >= self.enough or not np.isfinite(self.part * self.bound):
            return False
        return self.enough - self.objective >= self.part * (self.enough - self.bound)

    def recall(self, start: Floats | None) -> Relaxed | None:
        """As ever; but points that cost too much to matter are not looked at."""
        known = self.remembered
        if np.isfinite(self.enough):
            self.remembered = [point for point in known if self.modelled(point) < self.enough]
        relaxed = super().recall(start)
        self.remembered = known
        return relaxed

    def improve(self, relaxed: Relaxed) -> None:
        """Find the best whole-number point from what others have learned; where nobody has, as ever."""
        if not self.remembered:
            return super().improve(relaxed)
        model = Clustered(self, self.clusters(CLUSTERS, [relaxed.x, relaxed.centre]))
        for point in (relaxed.x, *([] if self.x is None else [self.x]), *self.remembered):
            model.cut_at(point)
        model.close()
        settled = set()
        while not self.done:
            self.check()
            cutoff = self.cutoff(0.999)
            found = model.solve(cutoff)
            self.heed(found, cutoff)
            if found.x is None:
                break
            point = self.whole(found.x[: self.columns])
            known = model.cut_at(point, found.x)
            for near in self.beside(point):
                model.cut_at(near)
            if known:
                continue
            if point.tobytes() in settled:
                # no cut can tell more: what is left between the bounds is a rounding error
                break
            settled.add(point.tobytes())
            self.evaluate(point)
            model.cut_at(point, found.x)

    @property
    def slack(self) -> float:
        return max(super().slack, self.absolute)

    def beside(self, point: Floats) -> Iterator[Floats]:
        """Points with one yes-or-no decision changed, where a plan is searched for roughly: where the master would go next."""
        if self.part == np.inf:
            return
        yes_or_no = self.first.integer & (self.first.upper - self.first.lower == 1)
        for column in np.flatnonzero(yes_or_no):
            near = point.copy()
            near[column] = self.first.lower[column] + self.first.upper[column] - near[column]
            yield near


class _Here(Executor):
    """Runs what it is given at once, in the thread that gives it: members are solved side by side, not futures."""

    def submit(self, function: Callable[..., Any], /, *arguments: Any, **named: Any) -> Future[Any]:
        task: Future[Any] = Future()
        task.set_result(function(*arguments, **named))
        return task


class _Shared(Pool):
    """The pool of a member: what the family knows, at the member's prices, and what the member finds."""

    def __init__(self, family: Family, price: Floats, offset: float) -> None:
        count, columns = family.slope.shape[1:]
        super().__init__(count, columns)
        self.price, self.offset, self.own = price, offset, len(family.constant)
        self.constant, self.slope = family.constant, family.slope
        self.known_rays = len(family.ray_constant)
        self.ray_constant, self.ray_slope = family.ray_constant, family.ray_slope
        self.has_cut[:] = np.isfinite(self.constant).any(axis=0)
        self.layers = list(family.layers)

    def add(self, scenario: Ints, constant: Floats, slope: Floats, dual: Duals) -> None:
        """Add a layer; dual vectors are not kept, since a member's cuts hold for the others as they are."""
        self.layers.append(Layer(scenario, constant, slope, None))
        self.has_cut[scenario] = True

    def at(self, x: Floats) -> tuple[Floats, Ints]:
        """Cost of every scenario by the cuts at x, and the layer of the cut that says so, [scenario]."""
        count = len(self.has_cut)
        most, best = np.full(count, -np.inf), np.zeros(count, dtype=np.int64)
        if self.own:
            value = self.constant + self.slope @ x
            best = value.argmax(axis=0)
            most = value[best, np.arange(count)] + (self.price @ x + self.offset)
        for number in range(self.own, len(self.layers)):
            layer = self.layers[number]
            told = layer.constant + layer.slope @ x
            better = np.flatnonzero(told > most[layer.scenario])
            place = layer.scenario[better]
            most[place], best[place] = told[better], number
        return most, best

    def cuts_of(self, best: Ints, scenarios: Ints | None = None) -> tuple[Floats, Floats]:
        """Constants and slopes of one layer for every one of some scenarios (all), ``best`` [scenario] saying which."""
        scenarios = np.arange(len(best)) if scenarios is None else scenarios
        constant, slope = np.empty(len(best)), np.empty((len(best), len(self.price)))
        known: Bools = np.asarray(best < self.own, dtype=bool)
        constant[known] = self.constant[best[known], scenarios[known]] + self.offset
        slope[known] = self.slope[best[known], scenarios[known]] + self.price
        for number in np.unique(best[~known]):
            own = best == number
            layer = self.layers[number]
            place = layer.of(scenarios[own])
            constant[own], slope[own] = layer.constant[place], layer.slope[place]
        return constant, slope

    def sums_of(self, best: Ints, share: Floats) -> tuple[Floats, Floats]:
        """Sums of the same over scenarios, as ``Pool`` has them."""
        constant, slope = self.cuts_of(best)
        return share @ constant, share @ slope

    def learned(self, price: Floats, offset: float, search: Search) -> Learned:
        """What the member adds to the family, without its prices."""
        fresh = self.layers[self.own :]
        count, columns = len(self.has_cut), len(price)
        constant, slope = np.full((len(fresh), count), -np.inf), np.zeros((len(fresh), count, columns))
        for number, layer in enumerate(fresh):
            constant[number, layer.scenario] = layer.constant - offset
            slope[number, layer.scenario] = layer.slope - price
        # rounding errors where nothing stands make a program that is hard to solve
        slope[np.abs(slope) < NOTHING] = 0.0
        rays = slice(self.known_rays, None)
        size = 0.0 if search.costs is None else float(np.abs(search.costs - offset).mean())
        bases = tuple(search.bases)
        return Learned(constant, slope, self.ray_constant[rays], self.ray_slope[rays], search.x, bases, size)


def _run(search: Search) -> str:
    """Search until solved, stopped, or known to have no solution."""
    try:
        relaxed = search.recall(None)
        if relaxed is None:
            relaxed = search.relax(search.begin(), 200)
        if not search.done:
            search.improve(relaxed)
    except Stopped:
        pass
    except Infeasible:
        return "infeasible"
    if not np.isfinite(search.objective) and search.objective < 0:
        raise SolverError("a problem of a family is unbounded: its cost falls for ever")
    return "optimal" if search.done else "stopped"
