"""Beds that stand free while a child waits who could have one: whether a plan leaves anybody without a home for nothing."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from models.decisions import Decisions, Placements
from models.problem import Bools, Floats, Problem
from optimiser.verify.futures import Futures, buildings, futures_of, in_order, lots_in, refuse_wrong_shapes

#: Fewer children, and fewer beds, than count.
NOBODY = 1e-12


def idle_while_unregistered(problem: Problem, decisions: Decisions, placements: Sequence[Placements]) -> Floats:
    """Child-weeks without a registered home though a bed that takes the child stands free, [scenario].

    Free beds count whatever they would cost: unused call-off beds and spot layers, and beds sold to others instead.
    Each bed takes one child; beds in a council building only as far as the building has room.
    """
    refuse_wrong_shapes(problem, decisions, placements)
    return in_order([(futures, _idle(futures)) for futures in futures_of(problem, decisions, placements)])


def _idle(futures: Futures) -> Floats:
    problem = futures.problem
    waiting = np.maximum(futures.placed[:, :, problem.unregistered], 0.0)
    free = np.maximum(futures.usable_beds - futures.children, 0.0)
    rooms = _rooms_in_buildings(futures)
    found = np.zeros(len(futures.scenarios))
    somewhere = np.einsum("nct,cst,nst->nt", waiting > NOBODY, problem.allowed, free > NOBODY)
    for future, period in np.argwhere(somewhere).tolist():
        beds = _most_placed(
            waiting[future, :, period],
            free[future, :, period],
            problem.allowed[:, :, period],
            [(sources, float(room[future, period])) for sources, room in rooms],
        )
        found[future] += beds * problem.weeks[period]
    return found


def _rooms_in_buildings(futures: Futures) -> list[tuple[list[int], Floats]]:
    """Sources that share a council building, and how many more children it has room for, [scenario, period]."""
    rooms: list[tuple[list[int], Floats]] = []
    for building in buildings(futures.problem):
        sources = [building, *lots_in(futures.problem, building)]
        room = futures.home_beds[:, building] - futures.children[:, sources].sum(axis=1)
        rooms.append((sources, np.maximum(room, 0.0)))
    return rooms


def _most_placed(waiting: Floats, free: Floats, allowed: Bools, rooms: list[tuple[list[int], float]]) -> float:
    """Most children that free beds could take, as a largest flow: cohorts, sources, buildings, out.

    waiting : children, [cohort]; free : beds, [source], infinity where unlimited; allowed : [cohort, source]
    """
    cohorts, sources = allowed.shape
    start, end = 0, 1 + cohorts + sources + len(rooms)
    capacity = np.zeros((end + 1, end + 1))
    capacity[start, 1 : 1 + cohorts] = waiting
    capacity[1 : 1 + cohorts, 1 + cohorts : 1 + cohorts + sources] = np.where(allowed, waiting[:, None], 0.0)
    everyone = float(waiting.sum())
    capacity[1 + cohorts : 1 + cohorts + sources, end] = np.minimum(free, everyone)
    for number, (members, room) in enumerate(rooms):
        building = 1 + cohorts + sources + number
        capacity[building, end] = min(room, everyone)
        for source in members:
            capacity[1 + cohorts + source, building] = capacity[1 + cohorts + source, end]
            capacity[1 + cohorts + source, end] = 0.0
    return _largest_flow(capacity, start, end)


def _largest_flow(capacity: Floats, start: int, end: int) -> float:
    """Largest flow through a small network by shortest augmenting paths (Edmonds and Karp, 1972)."""
    left, total = capacity.copy(), 0.0
    while True:
        came_from, queue = {start: start}, [start]
        for node in queue:
            for other in np.flatnonzero(left[node] > NOBODY).tolist():
                if other not in came_from:
                    came_from[other] = node
                    queue.append(other)
        if end not in came_from:
            return total
        arcs, node = [], end
        while node != start:
            arcs.append((came_from[node], node))
            node = came_from[node]
        flow = min(float(left[arc]) for arc in arcs)
        for one, other in arcs:
            left[one, other] -= flow
            left[other, one] += flow
        total += flow
