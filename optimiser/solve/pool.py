"""The cuts of a search: what scenarios cost at least at any first-stage point."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from optimiser.solve.twostage import Duals, Floats, Ints

#: Points at which cuts are looked up together.
TOGETHER = 32
#: Entries of dual vectors kept for other solves, ten bytes each.
ROOM = 6_000_000


@dataclass(frozen=True, eq=False)
class Layer:
    """At most one cut per scenario, cost >= constant + slope·x, and the duals they come from."""

    scenario: Ints  # [cut], in order
    constant: Floats  # [cut]
    slope: Floats  # [cut, column]
    dual: Duals | None  # [cut]; None once there is no more room for it

    def of(self, scenarios: Ints) -> Ints:
        """Where the cuts of scenarios are that have one."""
        return np.searchsorted(self.scenario, scenarios)


class Pool:
    """Every cut there is. A cut bounds the whole cost of its scenario: cost >= constant + slope·x."""

    def __init__(self, scenarios: int, columns: int) -> None:
        self.layers: list[Layer] = []
        self.has_cut = np.zeros(scenarios, dtype=bool)  # [scenario]
        self.ray_constant = np.empty(0)  # [ray]; constant + slope·x <= 0 must hold
        self.ray_slope = np.empty((0, columns))  # [ray, column]
        self.ray_dual: list[tuple[int, Floats]] = []  # [ray], scenario and dual
        self.asked: list[Floats] = []  # points at which cuts were made or looked up

    def add(self, scenario: Ints, constant: Floats, slope: Floats, dual: Duals) -> None:
        """Add a layer: scenarios in order [cut], constants [cut], slopes [cut, column] and dual vectors [cut]."""
        if not len(scenario):
            return
        self.layers.append(Layer(scenario, constant, slope, dual))
        self.has_cut[scenario] = True
        # the oldest cuts stand, but were made far from where the search is now: their duals go first
        room = ROOM
        for number in range(len(self.layers) - 1, -1, -1):
            kept = self.layers[number].dual
            if kept is not None:
                room -= kept.entries
                if room < 0:
                    self.layers[number] = replace(self.layers[number], dual=None)

    def duals(self, layers: Ints, scenarios: Ints) -> list[Duals]:
        """Dual vectors of cuts that still have one, layers in order, by layer."""
        found = []
        for number in np.unique(layers):
            kept = self.layers[number]
            assert kept.dual is not None
            found.append(kept.dual.some(kept.of(scenarios[layers == number])))
        return found

    def add_ray(self, constant: float, slope: Floats, scenario: int, dual: Floats) -> None:
        """Add a feasibility cut."""
        self.ray_dual.append((scenario, dual))
        self.ray_constant = np.append(self.ray_constant, constant)
        self.ray_slope = np.concatenate([self.ray_slope, slope[None]])

    def ask(self, x: Floats) -> None:
        """Remember a point as the last asked."""
        self.asked = [point for point in self.asked if not np.array_equal(point, x)] + [x]

    def forget(self, most: int) -> None:
        """Let go of all but so many layers and points, the oldest first, and of no scenario's last cut."""
        if len(self.layers) <= most:
            return
        held, later = np.zeros_like(self.has_cut), []
        for place, layer in enumerate(reversed(self.layers)):
            if place < most or not held[layer.scenario].all():
                later.append(layer)
                held[layer.scenario] = True
        self.layers, self.asked = later[::-1], self.asked[-most:]

    def tilt(self, dearer: Floats) -> None:
        """First-stage columns cost so much more, [column], and so does every point."""
        self.layers = [replace(layer, slope=layer.slope + dearer) for layer in self.layers]

    @property
    def bounded(self) -> int:
        """Number of scenarios that have a cut."""
        return int(self.has_cut.sum())

    @property
    def complete(self) -> bool:
        """Whether every scenario has a cut, so that the master is bounded in the scenario costs."""
        return bool(self.has_cut.all())

    def at(self, x: Floats) -> tuple[Floats, Ints]:
        """Cost of every scenario by the cuts at x, and the layer of the cut that says so, [scenario]."""
        most, best = np.full(len(self.has_cut), -np.inf), np.zeros(len(self.has_cut), dtype=np.int64)
        for number, layer in enumerate(self.layers):
            value = layer.constant + layer.slope @ x
            better = value > most[layer.scenario]
            own = layer.scenario[better]
            most[own], best[own] = value[better], number
        return most, best

    def at_all(self, points: Sequence[Floats]) -> Iterator[tuple[Floats, Ints]]:
        """The same at many points, one after the other, of which the cuts are looked up together."""
        for start in range(0, len(points), TOGETHER):
            x = np.array(points[start : start + TOGETHER])
            most = np.full((len(x), len(self.has_cut)), -np.inf)
            best = np.zeros(most.shape, dtype=np.int64)
            for number, layer in enumerate(self.layers):
                value, known = layer.constant + x @ layer.slope.T, most[:, layer.scenario]
                best[:, layer.scenario] = np.where(value > known, number, best[:, layer.scenario])
                most[:, layer.scenario] = np.maximum(value, known)
            yield from zip(most, best, strict=True)

    def cuts_of(self, best: Ints, scenarios: Ints | None = None) -> tuple[Floats, Floats]:
        """Constants and slopes of one layer for every one of some scenarios (all), ``best`` [scenario] saying which."""
        scenarios = np.arange(len(best)) if scenarios is None else scenarios
        constant, slope = np.empty(len(best)), np.empty((len(best), self.ray_slope.shape[1]))
        for number in np.unique(best):
            own = best == number
            layer = self.layers[number]
            place = layer.of(scenarios[own])
            constant[own], slope[own] = layer.constant[place], layer.slope[place]
        return constant, slope

    def sums_of(self, best: Ints, share: Floats) -> tuple[Floats, Floats]:
        """Sums of the same over scenarios, a scenario counting by its ``share`` [sum, scenario]: constants and slopes, [sum]."""
        constant, slope = np.zeros(len(share)), np.zeros((len(share), self.ray_slope.shape[1]))
        counted = share.any(axis=0)
        for number in np.unique(best[counted]).tolist():
            own = np.flatnonzero((best == number) & counted)
            layer = self.layers[number]
            place, part = layer.of(own), share[:, own]
            constant += part @ layer.constant[place]
            slope += part @ layer.slope[place]
        return constant, slope
