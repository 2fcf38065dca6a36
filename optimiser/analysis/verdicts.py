"""Verdicts on a split: who would leave, whether anybody need, and how sure that is within the bounds of the plans."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from optimiser.analysis.games import LAST_DIGITS, Bools, CostGame, Floats
from optimiser.analysis.nucleolus import Scaled, least_core_excess

#: How sure a verdict is: whatever costs the groups really have within their bounds, at the plans found only, or not at all.
FOR_ALL_VALUES, AT_INCUMBENTS, NO = "for all values within the bounds", "only at the plans found", "no"


@dataclass(frozen=True)
class Leaving:
    """A group that pays more under a split than for itself: what it gains at the plan found for it, and at most."""

    coalition: int
    gain: float
    most: float


@dataclass(frozen=True)
class Verdict:
    """Whether a split holds: who would leave, and who pays more than alone.

    ``nobody_leaves`` and ``nobody_worse_off`` say how sure that is; ``leaving`` holds the groups that gain, most first.
    """

    nobody_leaves: str
    nobody_worse_off: str
    leaving: tuple[Leaving, ...]
    worse_off: tuple[Leaving, ...]


def verdict(game: CostGame, shares: Floats) -> Verdict:
    """Who would leave under shares of the plan adopted, which costs what it costs.

    What a group would pay for itself lies between its bound and the plan found for it: nobody leaves whatever the values
    where no group pays more than its bound.
    """
    together = game.members @ shares
    least, most = together - game.cost, together - game.bound
    least[[0, game.everyone]] = most[[0, game.everyone]] = -np.inf
    single = np.zeros(len(least), dtype=bool)
    single[1 << np.arange(len(game.partners))] = True
    noise = Scaled.of(game).noise

    def sure(which: Bools) -> str:
        if (most[which] <= noise).all():
            return FOR_ALL_VALUES
        return AT_INCUMBENTS if (least[which] <= noise).all() else NO

    def groups(which: Bools) -> tuple[Leaving, ...]:
        found = [Leaving(int(c), float(least[c]), float(most[c])) for c in np.flatnonzero(which & (least > noise))]
        return tuple(sorted(found, key=lambda each: (-each.gain, each.coalition.bit_count(), each.coalition)))

    proper = np.isfinite(least)
    if len(game.partners) == 1:
        return Verdict(FOR_ALL_VALUES, FOR_ALL_VALUES, (), ())
    return Verdict(sure(proper), sure(single & proper), groups(proper), groups(single & proper))


@dataclass(frozen=True)
class Core:
    """Whether there is a split that nobody would leave.

    ``excess`` is the least-core epsilon at the plans found: what the group with most reason to leave gains whatever the
    split; below zero, what every group at least stands to lose by leaving under the best split. ``least`` and ``most``
    are its ends over all values within the bounds.
    """

    excess: float
    least: float
    most: float
    empty: bool
    sure: str


def core_of(game: CostGame) -> Core:
    """Whether the core is empty, by how much, and how sure that is."""
    here = least_core_excess(game)
    exact = bool((game.bound == game.cost).all())
    least = here if exact else least_core_excess(game.at_bounds(everyone=True))
    most = here if exact else least_core_excess(game.at_bounds(everyone=False))
    noise = Scaled.of(game).noise
    empty = here > noise
    certain = least > noise if empty else most <= noise
    return Core(here, least, most, empty, FOR_ALL_VALUES if certain else AT_INCUMBENTS)


@dataclass(frozen=True)
class Merger:
    """Two groups without a common member who pay more together than apart: by how much, at the plans found and at least."""

    one: int
    other: int
    dearer: float
    least: float


def dearer_together(game: CostGame, most: int = 10) -> tuple[Merger, ...]:
    """Pairs of groups whom merging makes dearer at the plans found, the worst of them: what each has whole is then shared."""
    found: list[Merger] = []
    noise = Scaled.of(game).noise
    coalitions = np.arange(len(game.cost))
    for one in range(1, len(game.cost)):
        others = coalitions[(coalitions & one == 0) & (coalitions > one)]
        dearer = game.cost[others | one] - game.cost[others] - game.cost[one]
        for place in np.argsort(-dearer, kind="stable")[:most]:
            other = int(others[place])
            least = game.bound[other | one] - game.cost[other] - game.cost[one]
            if dearer[place] > noise:
                found.append(Merger(one, other, float(dearer[place]), float(least)))
        found = sorted(found, key=lambda each: -each.dearer)[:most]
    return tuple(found)


def dearer_than_alone(game: CostGame) -> list[int]:
    """Partners who add more to the others than they would pay alone: separable costs then have no benefit to share."""
    separable = game.total - game.cost[game.everyone - (1 << np.arange(len(game.partners)))]
    return np.flatnonzero(separable > game.alone + LAST_DIGITS * game.scale).tolist()
