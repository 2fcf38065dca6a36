"""Cost games: what every group of partners would pay for itself.

A coalition is a whole number whose binary digits say who is in it: digit ``p`` stands for partner ``p``. A game holds for
each coalition the cost of the plan that was found (the incumbent) and a bound below which no plan of that coalition can
lie. Shares are pounds that a partner pays.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]

#: Differences below this share of the game's scale are rounding errors.
ROUNDING = 1e-9
#: Sums of costs are rounded by less than this share of the largest.
LAST_DIGITS = 1e-13
#: Partners up to which every coalition is looked at.
ENUMERATED = 16


@dataclass(frozen=True, eq=False)
class CostGame:
    """What every coalition would pay for itself.

    Parameters
    ----------
    partners : names
    cost : £ of the plan found, [coalition]; the empty coalition costs nothing
    bound : £ below which no plan of the coalition can lie, [coalition]; the cost itself where left out
    demand : weight of each partner for sharing by demand, [partner]; None where it is not known

    Raises
    ------
    ValueError
        If shapes do not fit the number of partners, a value is not finite, or a bound is above its cost.
    """

    partners: tuple[str, ...]
    cost: Floats
    bound: Floats = field(default_factory=lambda: np.empty(0))
    demand: Floats | None = None

    def __post_init__(self) -> None:
        size = 1 << len(self.partners)
        object.__setattr__(self, "cost", np.asarray(self.cost, dtype=float))
        bound = np.asarray(self.bound, dtype=float)
        object.__setattr__(self, "bound", self.cost if bound.size == 0 else bound)
        if not self.partners or len(set(self.partners)) != len(self.partners):
            raise ValueError("a game needs partners with names of their own")
        if self.cost.shape != (size,) or self.bound.shape != (size,):
            raise ValueError(f"{len(self.partners)} partners have {size} coalitions, the empty one counted")
        if not np.isfinite(self.cost).all() or not np.isfinite(self.bound).all():
            raise ValueError("a coalition's cost is not a finite number")
        if self.cost[0] != 0 or self.bound[0] != 0:
            raise ValueError("the empty coalition costs nothing")
        if (self.bound > self.cost + ROUNDING * self.scale).any():
            raise ValueError("a coalition's bound is above its cost")
        if self.demand is not None and (self.demand.shape != (len(self.partners),) or (self.demand < 0).any()):
            raise ValueError("demand must hold one weight for each partner, none below zero")

    @property
    def everyone(self) -> int:
        """The coalition of all partners."""
        return (1 << len(self.partners)) - 1

    @property
    def total(self) -> float:
        """What all partners pay together."""
        return float(self.cost[self.everyone])

    @cached_property
    def members(self) -> Bools:
        """Who is in which coalition, [coalition, partner]."""
        return members_of(np.arange(1 << len(self.partners)), len(self.partners))

    @cached_property
    def alone(self) -> Floats:
        """Cost of each partner going alone, [partner]."""
        found: Floats = self.cost[1 << np.arange(len(self.partners))]
        return found

    @cached_property
    def scale(self) -> float:
        """Size of the costs, against which rounding errors are judged."""
        return float(np.abs(self.cost).max(initial=0.0)) or 1.0

    def name_of(self, coalition: int) -> str:
        """Names of a coalition's members joined by ``+``, in the order of the partners."""
        return "+".join(name for place, name in enumerate(self.partners) if coalition >> place & 1)

    def excess(self, shares: Floats) -> Floats:
        """What each coalition pays beyond its cost of its own under the shares [partner]: £, [coalition]."""
        found: Floats = self.members @ shares - self.cost
        return found

    def at_bounds(self, *, everyone: bool) -> CostGame:
        """The game with the bounds for costs: of the coalition of all partners, or of all the others."""
        change = np.arange(len(self.cost)) == self.everyone
        cost = np.where(change if everyone else ~change, self.bound, self.cost)
        return CostGame(self.partners, cost, demand=self.demand)


def members_of(coalitions: Ints, partners: int) -> Bools:
    """Who is in which coalition, [coalition, partner]."""
    return (np.asarray(coalitions)[:, None] >> np.arange(partners) & 1).astype(bool)


def in_proportion(total: float, weight: Floats) -> Floats:
    """Parts of a total by weights [partner]; equal where those come to nothing."""
    whole = float(weight.sum())
    if abs(whole) <= ROUNDING * float(np.abs(weight).sum()):
        return np.full(len(weight), total / len(weight))
    found: Floats = total * weight / whole
    return found
