"""Rules by which partners may share a cost, and the Shapley value from sampled orders where there are many of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import accumulate

import numpy as np
from scipy.special import gammaln

from optimiser.analysis.games import ROUNDING, CostGame, Floats, in_proportion
from optimiser.analysis.nucleolus import least_core, nucleolus


def refuse_unless_it_adds_up(game: CostGame, shares: Floats, rule: str) -> Floats:
    """The shares [partner], brought to the total to the last digit.

    Raises
    ------
    ValueError
        If they miss the cost of all partners together by more than rounding.
    """
    missing = game.total - float(shares.sum())
    if not np.isfinite(shares).all() or abs(missing) > 1e3 * ROUNDING * game.scale:
        raise ValueError(f"{rule}: the shares come to £{shares.sum():,.2f}, the cost to £{game.total:,.2f}")
    return shares + missing / len(shares)


def equal(game: CostGame) -> Floats:
    """Everybody pays the same."""
    return np.full(len(game.partners), game.total / len(game.partners))


def by_demand(game: CostGame) -> Floats:
    """Everybody pays in proportion to demand; the same each where nobody has any."""
    assert game.demand is not None
    return in_proportion(game.total, game.demand)


def proportional(game: CostGame) -> Floats:
    """Everybody pays in proportion to what it would pay alone."""
    return in_proportion(game.total, game.alone)


def scrb(game: CostGame) -> Floats:
    """Separable costs and remaining benefits: what each adds to the rest, and the remainder by what each still gains.

    Separable cost is c(N) - c(N without p); the weight of the remainder is c(p) less the separable cost (Young, Okada and
    Hashimoto, 1982, *Cost allocation in water resources development*).
    """
    separable = game.total - game.cost[game.everyone - (1 << np.arange(len(game.partners)))]
    return with_remainder(game.total, game.alone, separable)


def with_remainder(total: float, alone: Floats, separable: Floats) -> Floats:
    """Separable costs [partner] and the remainder of the total by what each gains; equal shares of it where nobody does.

    Who adds more than it would pay alone gains nothing and has no part in the remainder: weights of either sign may sum to next
    to nothing, and a small remainder would come out as millions for one and against another.
    """
    found: Floats = separable + in_proportion(total - float(separable.sum()), np.maximum(alone - separable, 0.0))
    return found


def shapley(game: CostGame) -> Floats:
    """Shapley value: what each adds to those before it, the mean of all orders (Shapley, 1953)."""
    partners = len(game.partners)
    size = game.members.sum(axis=1)
    order = np.arange(partners)
    weight = np.exp(gammaln(order + 1) + gammaln(partners - order) - gammaln(partners + 1))
    found = np.empty(partners)
    coalitions = np.arange(len(game.cost))
    for partner in range(partners):
        without = coalitions[~game.members[:, partner]]
        found[partner] = weight[size[without]] @ (game.cost[without | 1 << partner] - game.cost[without])
    return found


@dataclass(frozen=True, eq=False)
class Estimate:
    """Shares and their standard errors, both [partner], from a number of sampled orders."""

    shares: Floats
    standard_error: Floats
    orders: int


def sampled_orders(partners: int, orders: int, seed: int) -> list[tuple[int, ...]]:
    """Orders of partners in pairs, one and its reverse: what the two say together varies less."""
    draws = np.random.default_rng(seed)
    found: list[tuple[int, ...]] = []
    for _ in range(max(-(-orders // 2), 2)):
        order = draws.permutation(partners).tolist()
        found += [tuple(order), tuple(reversed(order))]
    return found


def coalitions_of(order: Sequence[int]) -> list[int]:
    """The coalitions that an order runs through, from the first partner to all."""
    return list(accumulate(1 << partner for partner in order))


def shapley_sampled(partners: int, cost_of: Callable[[int], float], *, orders: int, seed: int) -> Estimate:
    """Shapley value from sampled orders.

    Parameters
    ----------
    cost_of : cost of a coalition
    orders : number of orders, pairs of an order and its reverse counted as two
    """
    added = []
    for order in sampled_orders(partners, orders, seed):
        own = np.zeros(partners)
        costs = [cost_of(coalition) for coalition in coalitions_of(order)]
        own[list(order)] = np.diff([0.0, *costs])
        added.append(own)
    pairs = np.array(added).reshape(-1, 2, partners).mean(axis=1)
    return Estimate(pairs.mean(axis=0), pairs.std(axis=0, ddof=1) / np.sqrt(len(pairs)), 2 * len(pairs))


RULES: dict[str, Callable[[CostGame], Floats]] = {
    "equal": equal,
    "by_demand": by_demand,
    "proportional": proportional,
    "scrb": scrb,
    "shapley": shapley,
    "nucleolus": nucleolus,
    "per_capita_nucleolus": lambda game: nucleolus(game, per_capita=True),
    "least_core": least_core,
}


def all_rules(game: CostGame) -> dict[str, Floats]:
    """Shares by every rule that needs no model, £ [partner] each; by demand only where it is known."""
    wanted = {name: rule for name, rule in RULES.items() if name != "by_demand" or game.demand is not None}
    return {name: refuse_unless_it_adds_up(game, rule(game), name) for name, rule in wanted.items()}
