"""Month after month: who leaves, who must move, who is placed where, by what is known on the day.

In each month, in this order: children leave care, step across or break down; beds and permissions that end send children
away; beds left are matched anew; planned moves make room in protected beds; every child who needs a place is placed, one
telephone call at a time; children whose placement may be changed by plan move where that is cheaper. A child is placed in
the cheapest allowed registered bed that is free, else has no registered home; who has none is placed first in the next month.

*Protection levels* keep the last beds of a pool (in-house homes, block contracts ...) for children whose spot places are dearer: a
cohort is bought a spot place when no more than so many beds of the pool are free. Where the policy says so, children of the
cohort who live there already make room as well, at the rate of planned moves. No bed is protected against a child who would
otherwise have no registered home.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from optimiser.analysis.simulation.beds import UNLIMITED, Draws, Places
from optimiser.analysis.simulation.draws import Block, Draw, fate, realised_chances, uniform
from optimiser.demand.scenarios import departures

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]

#: Where a child is who is in no place: not in care (or not yet), or about to be placed.
ELSEWHERE, WAITING = -1, -2
#: £ a week that make a protected bed dearer than any bed that is not.
PROTECTED = 1e7
#: £ a week that parts beds of the same price: the first listed is taken.
TIE = 1e-6
#: Multiples of irrational numbers fall evenly between whole numbers: a set of draws for each thing that befalls children.
EVENLY = {Draw.LEAVES: 5**0.5 / 2, Draw.BREAKS_DOWN: 2**0.5, Draw.MOVES: 3**0.5, Draw.TURN: 7**0.5}
#: £ a week below which a planned move saves nothing worth moving a child for.
WORTH_MOVING = 1.0


@dataclass(frozen=True, eq=False)
class Policy:
    """Protection levels: beds of each pool that each cohort leaves free where a spot place is to be had."""

    pools: tuple[tuple[int, ...], ...]  # sources whose free beds are counted together
    protected: Ints  # [cohort, pool]
    makes_room: Bools  # whether the cohort also moves out by plan while fewer beds are free, [cohort, pool]


@dataclass(frozen=True, eq=False)
class Lived:
    """Where the children of a block lived under given decisions."""

    placed: Floats  # children, [scenario, cohort, source, month]
    beds: Floats  # whole beds, matched or not, [scenario, source, month]; UNLIMITED where no limit is known
    planned_moves: Floats  # [scenario, cohort, source, month]
    moves_at_closure: Floats  # [scenario, cohort, source, month]
    breakdowns: Floats  # placements that broke down, [scenario, month]
    sold: Floats  # idle beds sold, [scenario, source, month]
    moves: Ints  # moves of each child, or part of one, [scenario, child]
    unregistered: Bools  # whether the child was ever without a registered home, [scenario, child]


def live(block: Block, places: Places, draws: Draws, policy: Policy, parts: int = 1) -> Lived:
    """Let the children of a block live through the horizon.

    Parameters
    ----------
    parts
        How many parts each child and each bed is divided into. Whole children in whole beds: 1. Parts are counted as the
        optimiser counts children: who leaves, steps across or breaks down does so by the future's realised shares, spread
        evenly over all places. Only where matching is no matter.
    """
    life = _Life(block, places, draws, policy, parts)
    for month in range(life.months):
        life.one_month(month)
    return life.lived()


class _Life:
    """A block of futures on its way through the months. Children are one long axis, future by future."""

    def __init__(self, block: Block, places: Places, draws: Draws, policy: Policy, parts: int) -> None:
        self.block, self.draws, self.parts = block, draws, parts
        self.places = places = replace(places, beds=places.beds * parts, top=places.top * parts)
        self.policy = policy = replace(policy, protected=policy.protected * parts)
        problem = self.problem = block.problem
        self.futures, self.most = len(block.numbers), block.children.cohort.shape[1] * parts
        self.months, self.cohorts, self.sources = len(problem.periods), len(problem.cohorts), len(problem.sources)
        self.count = len(places.source)  # places
        self.unregistered = self.count - 1
        self.key = np.repeat(block.children.key.ravel(), parts)
        self.cohort = np.repeat(block.children.cohort.ravel(), parts)
        self.arrival = np.repeat(block.children.arrival.ravel(), parts)
        self.place = np.full(self.cohort.shape, ELSEWHERE)
        self.came_from = np.full(self.cohort.shape, ELSEWHERE)
        self.moves = np.zeros(self.cohort.shape, dtype=np.int64)
        self.ever_unregistered = np.zeros(self.cohort.shape, dtype=bool)
        at_start = np.flatnonzero(self.arrival < 0)
        where = np.repeat(block.children.source.ravel(), parts)[at_start]
        self.place[at_start] = where + self.count - self.sources  # no child is in a home that has not begun
        own = block.leave, block.step, block.breakdown
        self.leave, self.step, self.breakdown = own if parts == 1 else realised_chances(problem)
        self.closed = np.zeros((self.futures, self.count), dtype=bool)
        self.occupied = self._counted()
        self.held = np.zeros((self.futures, self.count), dtype=np.int64)
        self.open = np.ones((self.futures, self.count), dtype=bool)
        self.beds_before = np.zeros((self.futures, self.count), dtype=np.int64)
        self.movable = problem.mobility
        self.pool_of = np.full(self.count, -1)
        for pool, members in enumerate(policy.pools):
            self.pool_of[np.isin(places.source, members)] = pool
        self.in_pool = (self.pool_of[:, None] == np.arange(len(policy.pools))).astype(float)  # [place, pool]
        self.protects = bool(policy.protected.any())
        self.most_sold = problem.sold_maximum * parts  # [source, month]
        self.sells = self.most_sold[places.source]  # [place, month]
        self.home_places = np.flatnonzero(places.unit >= 0)
        self.mixes = np.flatnonzero(places.mixes)
        self.holds = np.flatnonzero(places.holds)
        self.rooms = np.arange(self.futures)[:, None] * self.count
        shape = self.futures, self.cohorts, self.sources, self.months
        self.placed = np.zeros(shape, dtype=np.int64)
        self.planned = np.zeros(shape, dtype=np.int64)
        self.closures = np.zeros(shape, dtype=np.int64)
        self.broken = np.zeros((self.futures, self.months), dtype=np.int64)
        self.beds_seen = np.zeros((self.futures, self.sources, self.months), dtype=np.int64)
        self.sold = np.zeros((self.futures, self.sources, self.months), dtype=np.int64)

    def lived(self) -> Lived:
        """What has been counted."""
        shape = self.futures, self.most
        return Lived(
            placed=self.placed / self.parts,
            beds=self.beds_seen / self.parts,
            planned_moves=self.planned / self.parts,
            moves_at_closure=self.closures / self.parts,
            breakdowns=self.broken / self.parts,
            sold=self.sold / self.parts,
            moves=self.moves.reshape(shape),
            unregistered=self.ever_unregistered.reshape(shape),
        )

    # one month

    def one_month(self, month: int) -> None:
        """Everything that happens in a month, in order."""
        self.month = month
        self.allowed = self.problem.allowed[:, self.places.source, month]  # [cohort, place]
        self.top, self.price = self.places.top[..., month], self.places.price[..., month]
        may_move = self._fates()
        self._close_homes()
        self.beds = np.where(self.closed, 0, self.places.beds[..., month])
        self._lose_beds(may_move)
        self._match()
        self.room = self._has_room()
        self.next_price = self._price_of(self.occupied)
        self._make_room(may_move)
        self._place_waiting()
        self._move_by_plan(np.flatnonzero(may_move & (self.place >= 0)))
        self._count_month()

    def _counted(self) -> Ints:
        """Children in each place, [scenario, place]."""
        here = np.flatnonzero(self.place >= 0)
        flat = here // self.most * self.count + self.place[here]
        return np.bincount(flat, minlength=self.futures * self.count).reshape(self.futures, self.count)

    def _drawn(self, who: Ints, what: Draw) -> Floats:
        return uniform(self.key[who], self.month, what)

    def _befalls(self, who: Ints, what: Draw) -> Floats:
        """Draws for what befalls children: each child's own, or spread evenly over the parts that live in a place."""
        if self.parts == 1:
            return self._drawn(who, what)
        order = np.lexsort((self.place[who], self.cohort[who], who // self.most))
        spread = np.empty(len(who))
        spread[order] = np.arange(len(who)) * EVENLY[what] + (self.month * len(Draw) + what) * EVENLY[Draw.TURN]
        return spread % 1.0

    def _fates(self) -> Bools:
        """Children leave, step across, break down, or may no longer live where they do; who of the rest may move by plan."""
        month, problem = self.month, self.problem
        here = np.flatnonzero(self.place >= 0)
        future, place, cohort = here // self.most, self.place[here], self.cohort[here]
        source = self.places.source[place]
        gone, step, stay = fate(
            self._befalls(here, Draw.LEAVES),
            cohort,
            self.leave[future, cohort, source, month],
            self.step[future, :, source, month].T,
            problem.steps,
        )
        for number, (_, destination) in enumerate(problem.steps):
            self.cohort[here[step == number]] = destination
        staying = ~gone & (step < 0) & (place != self.unregistered)
        breakdown = self.breakdown[future, cohort, source, month]
        with np.errstate(divide="ignore", invalid="ignore"):
            broke = staying & (self._befalls(here, Draw.BREAKS_DOWN) < breakdown / stay)
            kept = stay - breakdown
            moves = staying & ~broke & (self._befalls(here, Draw.MOVES) < self.movable[cohort, month] / kept)
        ended = ~gone & ~broke & ~self.allowed[self.cohort[here], place]
        closure = ended & staying & ~moves
        self._note(self.closures, future[closure], cohort[closure], source[closure])
        by_plan = ended & moves
        self._note(self.planned, future[by_plan], cohort[by_plan], source[by_plan])
        self.broken[:, month] = np.bincount(future[broke], minlength=self.futures)
        self.place[here[gone]] = ELSEWHERE
        self._send_away(here[broke | ended])
        may_move = np.zeros(self.place.shape, dtype=bool)
        may_move[here[moves & ~ended]] = True
        return may_move

    def _note(self, counts: Ints, future: Ints, cohort: Ints, source: Ints) -> None:
        np.add.at(counts, (future, cohort, source, np.full(len(future), self.month)), 1)

    def _send_away(self, who: Ints) -> None:
        """Children lose their place and wait for another."""
        self.came_from[who] = self.place[who]
        self.place[who] = WAITING

    def _close_homes(self) -> None:
        """Homes that the plan closes this month: of those open, the one with the fewest children first."""
        closing = self.places.closing[..., self.month]
        for future, home in np.argwhere(closing > 0):
            counted = self._counted()[future]
            units = [
                place
                for place in self.home_places
                if self.places.source[place] == home
                and not self.closed[future, place]
                and self.places.beds[future, place, self.month] > 0
            ]
            for place in sorted(units, key=lambda place: (counted[place], place))[: closing[future, home]]:
                self.closed[future, place] = True

    def _lose_beds(self, may_move: Bools) -> None:
        """Where beds have gone, children beyond those left must move; spot places once held are never taken away."""
        counted = self._counted()
        excess = counted - np.where(self.places.spots, UNLIMITED, self.beds)
        excess[:, self.unregistered] = 0
        if not (excess > 0).any():
            return
        here = np.flatnonzero(self.place >= 0)
        key = here // self.most * self.count + self.place[here]
        affected = excess.ravel()[key] > 0
        here, key = here[affected], key[affected]
        order = np.lexsort((self._drawn(here, Draw.TURN), ~may_move[here], key))  # those who may move by plan go first
        here, key = here[order], key[order]
        starts = np.searchsorted(key, key, side="left")
        leaving = here[np.arange(len(key)) - starts < excess.ravel()[key]]
        future, cohort, source = leaving // self.most, self.cohort[leaving], self.places.source[self.place[leaving]]
        by_plan = may_move[leaving]
        self._note(self.closures, future[~by_plan], cohort[~by_plan], source[~by_plan])
        self._note(self.planned, future[by_plan], cohort[by_plan], source[by_plan])
        may_move[leaving] = False
        self._send_away(leaving)

    # matching

    def _match(self) -> None:
        """Beds that children have left, and new ones: matched by who lives there still, or one by one."""
        before, self.occupied = self.occupied, self._counted()
        for place in self.mixes:
            changed = np.flatnonzero(self.occupied[:, place] != before[:, place])
            self._draw_mix(changed, np.full(len(changed), place))
        if len(self.holds):
            holds, beds = self.holds, self.beds[:, self.holds]
            occupied = self.occupied[:, holds]
            empty = np.maximum(beds - occupied, 0)
            fresh = np.maximum(beds - self.beds_before[:, holds], 0)
            left = np.maximum(before[:, holds] - occupied, 0)
            held = self.held[:, holds] + left
            held = held - departures(held.astype(float), self.places.release[:, holds], self._held_draws(0)).astype(
                np.int64
            )
            share = np.broadcast_to(self.places.held_at_first[holds], fresh.shape)
            held = held + departures(fresh.astype(float), share, self._held_draws(1)).astype(np.int64)
            self.held[:, holds] = np.minimum(held, empty)
        self.beds_before = self.beds.copy()

    def _held_draws(self, kind: int) -> Floats:
        """Uniform draws for places whose beds are matched one by one: released (0), new (1); [scenario, place]."""
        columns = []
        for place in self.holds:
            source = self.places.source[place]
            if self.places.unit[place] >= 0:
                columns.append(self.draws.mix[:, self.month, source, self.places.unit[place], kind])
            else:
                columns.append(self.draws.held[:, self.month, kind, source - self.problem.lot_source])
        return np.clip(np.array(columns).T, 1e-12, 1 - 1e-12)

    def _draw_mix(self, future: Ints, place: Ints) -> None:
        """Whether one more child matches those who live in a home now; an empty home takes any child."""
        living = self.occupied[future, place]
        home, unit = self.places.source[place], self.places.unit[place]
        drawn = self.draws.mix[future, self.month, home, unit, np.minimum(living, self.draws.mix.shape[4] - 1)]
        self.open[future, place] = (living == 0) | (drawn < self.places.joins[future, place])

    # placing

    def _has_room(self) -> Bools:
        room = (self.occupied + self.held < self.beds) & self.open
        room[:, self.unregistered] = False
        return room

    def _price_of(self, children: Ints) -> Floats:
        """£ a week of the child after so many children, [scenario, place]."""
        layer = (self.top <= children[:, :, None] + 1e-9).sum(axis=2)
        layer = np.minimum(layer, self.top.shape[2] - 1)
        prices: Floats = np.take_along_axis(self.price, layer[:, :, None], axis=2)[:, :, 0]
        return prices

    def _price_at(self, future: Ints, place: Ints, children: Ints) -> Floats:
        layer = (self.top[future, place] <= children[:, None] + 1e-9).sum(axis=1)
        prices: Floats = self.price[future, place, np.minimum(layer, self.top.shape[2] - 1)]
        return prices

    def _place_waiting(self) -> None:
        """Everybody who needs a place: first who has no registered home, then the others in the order of their calls."""
        self.place[self.arrival == self.month] = WAITING
        homeless = self.place == self.unregistered
        self.occupied[:, self.unregistered] = 0
        self._send_away(np.flatnonzero(homeless))
        who = np.flatnonzero(self.place == WAITING)
        turn = self._drawn(who, Draw.TURN) - homeless[who]  # who has no registered home comes first
        who = who[np.lexsort((turn, who // self.most))]
        while len(who):
            future = who // self.most
            choice = self._choose(future, self.cohort[who], self.came_from[who])
            settled = self._settled(future, choice)
            self._place(who[settled], choice[settled])
            who = who[~settled]

    def _settled(self, future: Ints, choice: Ints) -> Bools:
        """Whose choice among the children in turn stands as if they had been placed one after the other, [child].

        All choices were made on the same beds. A choice stands while nobody before it in the future has taken the last bed
        there, or made it dearer; whoever comes after one that does not stand chooses again. Beds only become fewer and
        dearer, so that what was not chosen before would not be chosen after.
        """
        registered = choice != self.unregistered
        place = future * self.count + choice
        living = self.occupied[future, choice] + _earlier(place, registered) + 1
        price, before = self._price_at(future, choice, living), self.next_price[future, choice]
        full = living + self.held[future, choice] >= self.beds[future, choice]
        last = registered & (full | (price > before) | self.places.mixes[choice])
        changed = _earlier(place, last) > 0
        changed |= _earlier(future, registered & (price < before)) > 0
        sells = registered & (self.sells[choice, self.month] > 0)
        if sells.any():
            changed |= sells & (_earlier(future * self.sources + self.places.source[choice], sells) > 0)
        if self.protects:
            pool = self.pool_of[choice]
            pooled = future * len(self.policy.pools) + pool
            inside = pool >= 0
            free = self._free_in_pools(future)[np.arange(len(pool)), pool] - _earlier(pooled, inside) - 1
            # a home where nobody matches who has come has no free bed left at all
            reached = inside & ((self.policy.protected[:, pool] == free).any(axis=0) | self.places.mixes[choice])
            changed |= inside & (_earlier(pooled, reached) > 0)
        settled: Bools = (_earlier(future, changed) == 0) & ~changed
        return settled

    def _place(self, who: Ints, choice: Ints) -> None:
        """Place children where they have been found a bed."""
        future = who // self.most
        came_from = self.came_from[who]
        still_without = (came_from == self.unregistered) & (choice == self.unregistered)
        self.moves[who] += (came_from != ELSEWHERE) & ~still_without  # the first place is no move
        self.place[who] = choice
        self.came_from[who] = ELSEWHERE
        self.ever_unregistered[who] |= choice == self.unregistered
        self._change(future, choice, +1)

    def _choose(self, future: Ints, cohort: Ints, came_from: Ints) -> Ints:
        """Cheapest allowed registered place with a free bed for one child in each of some futures, else none."""
        free = self.allowed[cohort] & self.room[future]
        back = np.flatnonzero((came_from >= 0) & (came_from < len(self.home_places)))
        free[back, came_from[back]] = False  # not back to the home that the placement has just ended in
        cost = self._costs(future, cohort)
        cost[~free] = np.inf
        best = np.argmin(cost, axis=1)
        return np.where(np.isinf(cost[np.arange(len(best)), best]), self.unregistered, best)

    def _costs(self, future: Ints, cohort: Ints) -> Floats:
        """£ a week of a child in each place, protected beds made dear, [child, place]."""
        cost = self.next_price[future] + TIE * np.arange(self.count)
        sells = self.sells[:, self.month]
        if sells.any():
            cost = cost + self._sales_lost(future, sells)
        if self.protects:
            few = self._free_in_pools(future) <= self.policy.protected[cohort]
            cost += PROTECTED * (few @ self.in_pool.T)
        return cost

    def _free_in_pools(self, future: Ints) -> Ints:
        """Beds of each pool that can be filled today, [child, pool]."""
        usable = np.where(self.room, self.beds - self.occupied - self.held, 0)
        free: Ints = (usable @ self.in_pool).astype(np.int64)
        return free[future]

    def _sales_lost(self, future: Ints, sells: Floats) -> Floats:
        """£ a week of idle beds that could not be sold any more if one more were filled, [scenario, place]."""
        usable = np.where(self.room, self.beds - self.occupied - self.held, 0)[future]
        lost = np.zeros(usable.shape)
        for source in np.unique(self.places.source[sells > 0]):
            inside = self.places.source == source
            short = usable[:, inside].sum(axis=1) <= self.most_sold[source, self.month]
            lost[:, inside] = short[:, None] * self.problem.sold_price[source, self.month]
        return lost

    def _change(self, future: Ints, place: Ints, by: int) -> None:
        """Children more or less in places; only one in a home where who lives there decides who may join.

        A bed that a planned move leaves is matched ahead of it, and not held.
        """
        np.add.at(self.occupied, (future, place), by)
        mixed = self.places.mixes[place]
        if mixed.any():
            self._draw_mix(future[mixed], place[mixed])
        full = self.occupied[future, place] + self.held[future, place] >= self.beds[future, place]
        self.room[future, place] = ~full & self.open[future, place] & (place != self.unregistered)
        self.next_price[future, place] = self._price_at(future, place, self.occupied[future, place])

    # planned moves

    def _make_room(self, may_move: Bools) -> None:
        """Planned moves out of protected beds come before today's calls: they have been prepared for."""
        if not self.policy.makes_room.any():
            return
        who = np.flatnonzero(may_move & (self.place >= 0))
        pool = self.pool_of[self.place[who]]
        who = who[(pool >= 0) & self.policy.makes_room[self.cohort[who], pool]]
        self._move_by_plan(who)
        may_move[who] = False

    def _move_by_plan(self, who: Ints) -> None:
        """Children whose placement may be changed by plan this month move where that is cheaper."""
        who = who[self.place[who] != self.unregistered]
        who = who[self._saves(who)[1]]
        for movers in _by_turn(who // self.most, self._drawn(who, Draw.TURN), who):
            choice, saves = self._saves(movers)
            movers, choice = movers[saves], choice[saves]
            if not len(movers):
                continue
            future, place = movers // self.most, self.place[movers]
            self._note(self.planned, future, self.cohort[movers], self.places.source[place])
            self._change(future, place, -1)
            self._change(future, choice, +1)
            self.place[movers] = choice
            self.moves[movers] += 1

    def _saves(self, who: Ints) -> tuple[Ints, Bools]:
        """Cheapest other place of each child, and whether moving there saves more than the move costs over the time expected."""
        future, cohort, place = who // self.most, self.cohort[who], self.place[who]
        cost = self._costs(future, cohort)
        cost[~(self.allowed[cohort] & self.room[future])] = np.inf
        cost[np.arange(len(who)), place] = np.inf
        best = np.argmin(cost, axis=1)
        now = self._price_at(future, place, self.occupied[future, place] - 1)
        if self.policy.makes_room.any():
            pool = self.pool_of[place]
            short = self._free_in_pools(future)[np.arange(len(who)), pool] < self.policy.protected[cohort, pool]
            now = now + PROTECTED / 2 * ((pool >= 0) & self.policy.makes_room[cohort, pool] & short)
        saving = now - cost[np.arange(len(who)), best]
        source = self.places.source[place]
        ending = (
            self.block.leave[future, cohort, source, self.month]
            + self.block.breakdown[future, cohort, source, self.month]
        )
        weeks = self.problem.weeks[self.month] / np.maximum(ending, 1 / self.months)
        return best, (saving > WORTH_MOVING) & (saving * weeks > self.problem.planned_move_price[cohort])

    # counting

    def _count_month(self) -> None:
        month = self.month
        here = np.flatnonzero(self.place >= 0)
        future, source = here // self.most, self.places.source[self.place[here]]
        flat = (future * self.cohorts + self.cohort[here]) * self.sources + source
        counted = np.bincount(flat, minlength=self.futures * self.cohorts * self.sources)
        self.placed[..., month] = counted.reshape(self.futures, self.cohorts, self.sources)
        usable = np.where(self.room, self.beds - self.occupied - self.held, 0)
        for place, source_of_place in enumerate(self.places.source):
            self.beds_seen[:, source_of_place, month] += self.beds[:, place]
            if self.sells[place, month] > 0:
                left = self.most_sold[source_of_place, month] - self.sold[:, source_of_place, month]
                self.sold[:, source_of_place, month] += np.minimum(usable[:, place], left.astype(np.int64))


def _earlier(group: Ints, counted: Bools) -> Ints:
    """How many counted come earlier in the same group, [position]."""
    order = np.argsort(group, kind="stable")
    number = counted[order].astype(np.int64)
    before = np.cumsum(number) - number
    ordered = group[order]
    first = np.searchsorted(ordered, ordered, side="left")
    found = np.empty_like(before)
    found[order] = before - before[first]
    return found


def _by_turn(future: Ints, turn: Floats, who: Ints) -> list[Ints]:
    """Children to be dealt with together: the first of every future, the second of every future that has one, and so on."""
    if not len(who):
        return []
    order = np.lexsort((turn, future))
    future, who = future[order], who[order]
    rank = np.arange(len(who)) - np.searchsorted(future, future, side="left")
    by_rank = np.argsort(rank, kind="stable")
    return np.split(who[by_rank], np.cumsum(np.bincount(rank))[:-1])
