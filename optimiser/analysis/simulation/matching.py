"""Who can live with whom: from the matching occupancy that an instance states to beds that a child may or may not have.

An instance says how much of a home or contract can be filled on average (*matching occupancy*), not who the children are.
Two models turn that into single beds. Both are set so that a source for which somebody is always waiting is exactly as full
as the instance says (``matching_in_demand``, where it gives both; see ``calibration``).

*Who lives in a home decides who may join them.* Each time the children of a home change (one moves in or out), one draw says
whether another child would match those who live there now; if not, the beds left stay empty until the children change
again. An empty home takes any child. A two-bed home with a matching occupancy of 0.8 so holds two for two thirds of the
time that it is in demand, and one for the rest; with 0.5 no two children match, and it never holds more than one.

*A bed is matched anew.* A contract says nothing of its homes, and a home that holds less than one child on average has nobody
to match: there a bed that a child has left is held until the next child is matched, for a number of months drawn at a
constant chance. A planned move is prepared for: the bed that it leaves is matched ahead.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import special

Floats = NDArray[np.float64]


def chance_to_match(beds: int, occupancy: float, exit_a_month: float) -> float:
    """Chance that one more child matches those who live in a home, such that it is as full as stated where demand is never short.

    Parameters
    ----------
    beds : beds of the home, two or more
    occupancy : share of its beds filled on average, at least one bed's worth (``occupancy * beds >= 1``)
    exit_a_month : chance that a child who lives there leaves it in a month

    Notes
    -----
    By months, in a home with somebody always waiting: residents leave, each with the chance given; if any left, each
    further child joins with the chance sought until one does not match; else nothing changes. The stationary mean of
    that chain rises with the chance, from one child to all beds, so halving finds it.
    """
    low, high = 0.0, 1.0
    if occupancy >= 1:
        return 1.0
    for _ in range(50):
        middle = (low + high) / 2
        if saturated_mean(beds, middle, exit_a_month) < occupancy * beds:
            low = middle
        else:
            high = middle
    return low


def saturated_mean(beds: int, chance: float, exit_a_month: float) -> float:
    """Children in a home for which somebody is always waiting, on average."""
    levels = np.arange(1, beds + 1)
    move = np.zeros((beds, beds))
    for level in levels:
        for staying in range(level + 1):
            probability = _binomial(int(level), staying, 1 - exit_a_month)
            if staying == level:
                move[level - 1, level - 1] += probability
            else:
                move[level - 1] += probability * _joined(staying, beds, chance)
    system = np.vstack([move.T - np.eye(beds), np.ones(beds)])
    stationary = np.linalg.lstsq(system, np.array([*np.zeros(beds), 1.0]), rcond=None)[0]
    return float(stationary @ levels)


def _binomial(n: int, k: int, p: float) -> float:
    return float(special.comb(n, k) * p**k * (1 - p) ** (n - k))


def _joined(staying: int, beds: int, chance: float) -> Floats:
    """Where a home ends up once children have joined those who stay, probability of 1, 2 … beds children."""
    ends = np.zeros(beds)
    reached, probability = max(staying, 1), 1.0  # an empty home takes any child
    while reached < beds:
        ends[reached - 1] = probability * (1 - chance)
        probability *= chance
        reached += 1
    ends[beds - 1] += probability
    return ends


def chance_to_release(occupancy: Floats, exit_a_month: Floats) -> Floats:
    """Chance a month that a held bed is matched to its next child, such that it is as full as stated where demand is never short.

    A child lives in a bed for 1 / exit months on average, and the bed then stands empty for (1 - r) / r; so
    occupancy = (1 / exit) / (1 / exit + (1 - r) / r).
    """
    filled = occupancy * exit_a_month
    wanted: Floats = np.divide(
        filled, filled + 1 - occupancy, out=np.ones_like(filled), where=filled + 1 - occupancy > 0
    )
    return np.where(occupancy >= 1, 1.0, wanted)
