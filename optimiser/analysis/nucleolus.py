"""Least core and nucleolus: shares under which those with most reason to leave have as little as can be.

The *excess* of a coalition under some shares is what its members pay together less what they would pay on their own: what
they would gain by leaving. Excesses are looked at in the game less everybody's cost alone, scaled to one: a saving of
£200k in a cost of £200m is as exact as any other.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from math import gcd, lcm

import numpy as np
from scipy.optimize import linprog, nnls

from optimiser.analysis.games import LAST_DIGITS, ROUNDING, CostGame, Floats, Ints, in_proportion, members_of

#: Feasibility and optimality of the linear programs: the least that HiGHS takes.
EXACT = 1e-10
#: A row that bears at least this much of the dual weight of its program (which is one) is tight in every optimum.
WEIGHTY = 1e-7
#: Coalitions taken up at a time where an excess is too high.
TAKEN_UP = 20


# the span of settled coalitions, exactly


def kernel_of(rows: Iterable[Sequence[int]], partners: int) -> Ints:
    """Whole-number vectors that span everything at right angles to the rows, [partner, vector].

    Worked out in whole numbers: a coalition lies in the span of the rows just where all products with it are zero.
    """
    reduced: list[list[Fraction]] = []
    leading: list[int] = []
    for row in rows:
        new = [Fraction(int(value)) for value in row]
        for place, known in zip(leading, reduced, strict=True):
            if new[place]:
                factor = new[place]
                new = [a - factor * b for a, b in zip(new, known, strict=True)]
        lead = next((place for place, value in enumerate(new) if value), None)
        if lead is None:
            continue
        new = [value / new[lead] for value in new]
        for number, known in enumerate(reduced):
            if known[lead]:
                factor = known[lead]
                reduced[number] = [a - factor * b for a, b in zip(known, new, strict=True)]
        reduced.append(new)
        leading.append(lead)
    vectors = []
    for place in (place for place in range(partners) if place not in leading):
        vector = [Fraction(0)] * partners
        vector[place] = Fraction(1)
        for lead, known in zip(leading, reduced, strict=True):
            vector[lead] = -known[place]
        common = lcm(*(value.denominator for value in vector))
        whole = [int(value * common) for value in vector]
        divisor = gcd(*whole)
        vectors.append([value // divisor for value in whole])
    return np.array(vectors, dtype=np.int64).reshape(len(vectors), partners).T


# least core and nucleolus


@dataclass(frozen=True, eq=False)
class Row:
    """One coalition of the linear program: what it would pay for itself, in the scaled game."""

    coalition: int
    cost: float


#: Finds coalitions whose weighted excess is above a level under some charges: charges [partner] in the scaled game, the
#: kernel of what is settled [partner, vector] and the level; coalitions in the span of the settled are left out. Those with
#: the highest excess, or some of them, highest first; what it finds at or below the level does no harm.
Separate = Callable[[Floats, Ints, float], Sequence[Row]]


@dataclass(frozen=True, eq=False)
class Levels:
    """Where the excesses of a lexicographic minimum lie: shares of the scaled game [partner] and the excess of each round."""

    shares: Floats
    excess: tuple[float, ...]
    settled: tuple[tuple[int, ...], ...]  # coalitions settled in each round
    programs: int
    asked: int


def lexicographic(
    partners: int,
    total: float,
    separate: Separate,
    *,
    per_capita: bool = False,
    within_alone: bool = True,
    rounds: int | None = None,
    taken: Iterable[Row] = (),
    tolerance: float = EXACT,
    near: Floats | None = None,
) -> Levels:
    """Shares whose excesses, from the highest down, are as low as can be, by one linear program a round.

    In each round the highest excess of what is not settled is made as low as it can be. The coalitions that bear dual
    weight are at that excess in every optimum (strict complementarity is not needed for that side) and are settled there;
    so is every coalition in their span, which is found in whole numbers. Each round settles at least one dimension.
    Coalitions enter the program as they are found to be violated. In the end the shares are solved for once more from
    the equations that settled them, so that what the programs round does not add up (Maschler, Peleg and Shapley, 1979;
    Kohlberg, 1971; coalition generation after Hallefjord, Helming and Jørnsten, 1995).

    Parameters
    ----------
    total : what all partners pay, in the scaled game, in which each pays nothing alone
    separate : finds the coalitions with the highest excess
    per_capita : excesses count per member
    within_alone : nobody pays more than alone (the nucleolus proper); otherwise the prenucleolus
    rounds : stop after so many: one gives the least core
    taken : coalitions to begin with
    tolerance : by how much an excess may lie above the highest of those taken up, in the scaled game
    near : shares [partner] of the scaled game near which others are looked for, of those that do as well: where few coalitions
        are known, the corners of what they leave open are far from anything that will stand
    """
    rows: dict[int, Row] = {1 << partner: Row(1 << partner, 0.0) for partner in range(partners)}
    rows |= {row.coalition: row for row in taken}
    asked = programs = 0
    everyone = np.ones(partners)
    fixed: list[Floats] = [everyone]
    fixed_at: list[float] = [total]
    equations: list[tuple[Floats, int, float, float]] = [(everyone, -1, 0.0, total)]  # row, round, weight, right side
    whole: list[list[int]] = [[1] * partners]
    kernel = kernel_of(whole, partners)
    shares = np.full(partners, total / partners)
    most = np.zeros(partners) if within_alone else np.full(partners, np.inf)
    least = np.full(partners, -np.inf)
    excesses: list[float] = []
    settled: list[tuple[int, ...]] = []

    def weight_of(coalition: int) -> float:
        return float(coalition.bit_count()) if per_capita else 1.0

    while kernel.shape[1] and (rounds is None or len(excesses) < rounds):
        while True:
            inside = members_of(np.array(list(rows), dtype=np.int64), partners)
            free = [row for row, out in zip(rows.values(), (inside @ kernel != 0).any(axis=1), strict=True) if out]
            if free:
                found, level, dual, reduced = _program(partners, free, weight_of, fixed, fixed_at, least, most)
                programs += 1
                shares = found if near is None else _nearby(near, found, level, free, weight_of, fixed, fixed_at, most)
            else:
                level = -np.inf
            new = separate(shares, kernel, level + tolerance)
            asked += 1
            violated = [
                row
                for row in new
                if row.coalition not in rows
                and _excess(row, shares, partners) / weight_of(row.coalition) > level + tolerance
            ]
            if not violated:
                break
            rows |= {row.coalition: row for row in violated}
        if not free:
            break  # nothing is left that could tell shares apart
        excesses.append(level)
        own = tuple(row.coalition for row, value in zip(free, dual, strict=True) if value > WEIGHTY)
        settled.append(own)
        for row, value in zip(free, dual, strict=True):
            if value > WEIGHTY:
                member = members_of(np.array([row.coalition]), partners)[0]
                weight = weight_of(row.coalition)
                fixed.append(member.astype(float))
                fixed_at.append(row.cost + weight * level)
                equations.append((member.astype(float), len(excesses) - 1, weight, row.cost))
                whole.append(member.astype(int).tolist())
        for partner in np.flatnonzero(reduced > WEIGHTY) if within_alone else ():
            line = np.zeros(partners)
            line[partner] = 1.0
            fixed.append(line)
            fixed_at.append(0.0)
            equations.append((line, -1, 0.0, 0.0))
            whole.append(line.astype(int).tolist())
        fixed, fixed_at = _independent(fixed, fixed_at)
        kernel = kernel_of(whole, partners)
        if len(excesses) == 1:
            # later rounds keep every coalition of one at or below this excess
            most = np.minimum(most, level + ROUNDING)
            least = total - (most.sum() - most)
    polished, levels = _solved_again(partners, equations, shares, excesses, kernel.shape[1] == 0)
    return Levels(polished, levels, tuple(settled), programs, asked)


def _excess(row: Row, shares: Floats, partners: int) -> float:
    return float(shares[members_of(np.array([row.coalition]), partners)[0]].sum()) - row.cost


def _program(
    partners: int,
    free: Sequence[Row],
    weight_of: Callable[[int], float],
    fixed: Sequence[Floats],
    fixed_at: Sequence[float],
    least: Floats,
    most: Floats,
) -> tuple[Floats, float, Floats, Floats]:
    """Least highest excess of the free coalitions: shares, excess, dual weight of each, and of each upper bound."""
    member = members_of(np.array([row.coalition for row in free], dtype=np.int64), partners).astype(float)
    weight = np.array([weight_of(row.coalition) for row in free])
    size = partners + 1
    for attempt in ({}, {"presolve": False}):
        found = linprog(
            np.eye(size)[partners],
            A_ub=np.column_stack([member, -weight]),
            b_ub=np.array([row.cost for row in free]),
            A_eq=np.column_stack([np.array(fixed), np.zeros(len(fixed))]),
            b_eq=np.array(fixed_at),
            bounds=np.column_stack([np.append(least, -np.inf), np.append(most, np.inf)]),
            method="highs-ds",
            options={"primal_feasibility_tolerance": EXACT, "dual_feasibility_tolerance": EXACT, **attempt},
        )
        if found.status == 0:
            return found.x[:partners], float(found.x[partners]), -found.ineqlin.marginals, -found.upper.marginals[:-1]
    raise ArithmeticError(f"the linear program of a round was not solved: {found.message}")


def _nearby(
    near: Floats,
    found: Floats,
    level: float,
    free: Sequence[Row],
    weight_of: Callable[[int], float],
    fixed: Sequence[Floats],
    fixed_at: Sequence[float],
    most: Floats,
) -> Floats:
    """Of shares with no excess above a level, those whose distances from some others come to the least sum."""
    partners = len(near)
    member = members_of(np.array([row.coalition for row in free], dtype=np.int64), partners).astype(float)
    nothing, one = np.zeros_like(member), np.eye(partners)
    limit = np.array([row.cost + weight_of(row.coalition) * level for row in free])
    outcome = linprog(
        np.append(np.zeros(partners), np.ones(partners)),
        A_ub=np.vstack([np.hstack([member, nothing]), np.hstack([one, -one]), np.hstack([-one, -one])]),
        b_ub=np.concatenate([limit + ROUNDING, near, -near]),
        A_eq=np.column_stack([np.array(fixed), np.zeros((len(fixed), partners))]),
        b_eq=np.array(fixed_at),
        bounds=[(None, top if np.isfinite(top) else None) for top in most] + [(0, None)] * partners,
        method="highs-ds",
        options={"primal_feasibility_tolerance": EXACT, "dual_feasibility_tolerance": EXACT},
    )
    return found if outcome.status != 0 else np.asarray(outcome.x[:partners], dtype=float)


def _independent(rows: Sequence[Floats], at: Sequence[float]) -> tuple[list[Floats], list[float]]:
    """Rows that say something new, in order: equations that repeat others could disagree in the last digit."""
    kept: list[Floats] = []
    sides: list[float] = []
    size = len(rows[0])
    left = size
    for row, side in zip(rows, at, strict=True):
        now = kernel_of([[int(value) for value in each] for each in (*kept, row)], size).shape[1]
        if now < left:
            kept.append(row)
            sides.append(side)
            left = now
    return kept, sides


def _solved_again(
    partners: int,
    equations: Sequence[tuple[Floats, int, float, float]],
    shares: Floats,
    excesses: Sequence[float],
    complete: bool,
) -> tuple[Floats, tuple[float, ...]]:
    """Shares and excesses from the equations that settle them; as they were where those do not settle all."""
    if not complete:
        return shares, tuple(excesses)
    rounds = len(excesses)
    matrix = np.zeros((len(equations), partners + rounds))
    side = np.zeros(len(equations))
    for place, (row, number, weight, cost) in enumerate(equations):
        matrix[place, :partners] = row
        side[place] = cost
        if number >= 0:
            matrix[place, partners + number] = -weight
    found, _, rank, _ = np.linalg.lstsq(matrix, side, rcond=None)
    # equations that do not agree, or leave something open, are no better than what the programs say
    if rank < matrix.shape[1] or np.abs(found[:partners] - shares).max() > 1e-6:
        return shares, tuple(excesses)
    settled: Floats = np.asarray(found[:partners], dtype=float)
    return settled, tuple(found[partners:].tolist())


@dataclass(frozen=True, eq=False)
class Scaled:
    """A game less everybody's cost alone, divided by its size: what the linear programs see."""

    game: CostGame
    cost: Floats  # [coalition]
    size: float

    @classmethod
    def of(cls, game: CostGame) -> Scaled:
        """Scale a game."""
        beyond = game.cost - game.members @ game.alone
        beyond = np.where(np.abs(beyond) > LAST_DIGITS * game.scale, beyond, 0.0)
        size = float(np.abs(beyond).max(initial=0.0)) or 1.0
        return cls(game, beyond / size, size)

    @property
    def noise(self) -> float:
        """£ that cannot be told from nothing."""
        return max(ROUNDING * self.size, LAST_DIGITS * self.game.scale)

    @property
    def total(self) -> float:
        """What all partners pay together."""
        return float(self.cost[self.game.everyone])

    def shares(self, scaled: Floats) -> Floats:
        """Pounds from shares of the scaled game, [partner]."""
        return self.game.alone + self.size * scaled

    def separate(self, *, per_capita: bool) -> Separate:
        """Looks at every coalition."""
        size = self.game.members.sum(axis=1).clip(1)
        weight = size if per_capita else np.ones_like(size)
        coalitions = np.arange(len(self.cost))
        member = self.game.members.astype(np.int64)

        def find(shares: Floats, kernel: Ints, level: float) -> list[Row]:
            outside = (member @ kernel != 0).any(axis=1)
            excess = np.where(outside, (self.game.members @ shares - self.cost) / weight, -np.inf)
            highest = np.argsort(-excess, kind="stable")[:TAKEN_UP]
            return [Row(int(coalitions[c]), float(self.cost[c])) for c in highest if np.isfinite(excess[c])]

        return find


def nucleolus(game: CostGame, *, per_capita: bool = False, within_alone: bool | None = None) -> Floats:
    """Nucleolus: the group with most reason to leave has as little as can be, then the next, and so on (Schmeidler, 1969).

    Among the shares under which nobody pays more than alone, where there are any. With ``per_capita`` a group's reason is
    counted per member (Young, Okada and Hashimoto, 1982).
    """
    scaled = Scaled.of(game)
    possible = scaled.total <= ROUNDING
    within = possible if within_alone is None else within_alone
    found = lexicographic(
        len(game.partners),
        min(scaled.total, 0.0) if within else scaled.total,
        scaled.separate(per_capita=per_capita),
        per_capita=per_capita,
        within_alone=within,
    )
    return scaled.shares(found.shares)


def least_core_excess(game: CostGame) -> float:
    """Least highest excess: £ by which the group with most reason to leave gains at least. Above zero: the core is empty."""
    if len(game.partners) == 1:
        return 0.0
    scaled = Scaled.of(game)
    found = lexicographic(
        len(game.partners), scaled.total, scaled.separate(per_capita=False), within_alone=False, rounds=1
    )
    return float(found.excess[0] * scaled.size)


def least_core(game: CostGame) -> Floats:
    """Of all shares that make the highest excess as low as can be, those nearest to proportional to cost alone.

    The least core is seldom a single point. From the prenucleolus, which lies inside it, the nearest point is found by
    non-negative least squares (Lawson and Hanson, 1974, chapter 23) within the directions that the first round leaves open.
    """
    partners = len(game.partners)
    if partners == 1:
        return np.array([game.total])
    scaled = Scaled.of(game)
    separate = scaled.separate(per_capita=False)
    inside = lexicographic(partners, scaled.total, separate, within_alone=False)
    wanted = (in_proportion(game.total, game.alone) - game.alone) / scaled.size
    settled = [[1] * partners, *(game.members[c].astype(int).tolist() for c in inside.settled[0])]
    kernel = kernel_of(settled, partners)
    if not kernel.shape[1]:
        return scaled.shares(inside.shares)
    directions = np.linalg.qr(kernel.astype(float))[0]
    slack = inside.excess[0] - (game.members @ inside.shares - scaled.cost)
    limits = game.members.astype(float) @ directions
    matter = (game.members.astype(np.int64) @ kernel != 0).any(axis=1)
    moved = _nearest(directions.T @ (wanted - inside.shares), limits[matter], np.maximum(slack[matter], 0.0))
    return scaled.shares(inside.shares + directions @ moved)


def _nearest(wanted: Floats, limits: Floats, slack: Floats) -> Floats:
    """Point z nearest to ``wanted`` with limits @ z <= slack, where slack >= 0, so that the origin is one."""
    # with z = wanted + u: least |u| with -limits @ u >= limits @ wanted - slack
    right = limits @ wanted - slack
    if (right <= 0).all():
        return wanted
    matrix = np.vstack([-limits.T, right[None]])
    goal = np.append(np.zeros(len(wanted)), 1.0)
    dual, _ = nnls(matrix, goal, maxiter=50 * matrix.shape[1])
    residual = matrix @ dual - goal
    if abs(residual[-1]) <= EXACT:
        return np.zeros(len(wanted))
    point = wanted - residual[:-1] / residual[-1]
    # what least squares rounds is taken back towards the origin, which keeps every limit
    over = limits @ point
    factor = np.min(np.where(over > slack, slack / np.where(over > slack, over, 1.0), 1.0), initial=1.0)
    nearest: Floats = point * factor
    return nearest


# checking a nucleolus


def keeps_kohlberg(
    game: CostGame, shares: Floats, *, per_capita: bool = False, within_alone: bool | None = None
) -> bool:
    """Whether shares [partner] are the nucleolus, by Kohlberg's criterion (1971); nothing of the search is used.

    At every level the coalitions whose excess is at least that high must be balanced: some positive weights of them, and
    non-negative weights of partners who pay as much as alone, come to the same for every partner.
    """
    partners = len(game.partners)
    if partners == 1:
        return True
    scaled = Scaled.of(game)
    within_alone = scaled.total <= ROUNDING if within_alone is None else within_alone
    charged = (np.asarray(shares) - game.alone) / scaled.size
    if abs(charged.sum() - scaled.total) > 1e-7 or (within_alone and (charged > 1e-7).any()):
        return False
    proper = np.arange(1, game.everyone)
    weight = game.members[proper].sum(axis=1) if per_capita else np.ones(len(proper))
    excess = (game.members[proper] @ charged - scaled.cost[proper]) / weight
    order = np.argsort(-excess, kind="stable")
    level_ends = np.flatnonzero(np.append(np.diff(excess[order]) < -1e-8, True)) + 1
    at_alone = np.eye(partners)[np.flatnonzero(charged > -1e-8)] if within_alone else np.empty((0, partners))
    for end in level_ends.tolist():
        here = game.members[proper[order[:end]]]
        if not _balanced(here.astype(float), at_alone):
            return False
        if not kernel_of([[1] * partners, *here.astype(int).tolist()], partners).shape[1]:
            return True
    return True


def _balanced(members: Floats, optional: Floats) -> bool:
    """Whether weights of at least one for the rows, and of at least zero for the optional, give the same to everybody."""
    size = members.shape[1]
    matrix = np.column_stack([members.T, optional.T, -np.ones(size)])
    least = np.concatenate([np.ones(len(members)), np.zeros(len(optional) + 1)])
    found = linprog(
        np.zeros(matrix.shape[1]),
        A_eq=matrix,
        b_eq=np.zeros(size),
        bounds=np.column_stack([least, np.full(len(least), np.inf)]),
        method="highs",
    )
    return bool(found.status == 0)


# beyond enumeration


@dataclass(frozen=True, eq=False)
class Generated:
    """Shares found by coalition generation, £ [partner], with how many coalitions were costed and the first excess."""

    shares: Floats
    excess: float
    rounds: int
    asked: int
    settled: tuple[tuple[int, ...], ...]


#: Finds a coalition outside the span of what is settled that gains more than a level: given what partners pay, £ [partner],
#: the kernel of what is settled [partner, vector], the level in £ (for each member, where excesses count per member) and
#: whether they do; gives it with its cost in £, or None where none gains more.
Oracle = Callable[[Floats, Ints, float, bool], tuple[int, float] | None]


def generated(
    alone: Floats,
    total: float,
    oracle: Oracle,
    *,
    per_capita: bool = False,
    within_alone: bool = True,
    rounds: int | None = None,
    known: dict[int, float] | None = None,
    tolerance: float = 0.0,
) -> Generated:
    """Nucleolus, or with one round a point of the least core, of a game given as an oracle.

    Parameters
    ----------
    alone : cost of each partner alone, £ [partner]
    total : cost of all together, £
    oracle : finds the group that would gain most by leaving
    known : costs of coalitions already known, £; what the oracle tells is added, and it may add more
    tolerance : £ by which an excess may lie above the highest of the coalitions looked at: what the oracle leaves open
    """
    partners = len(alone)
    known = {} if known is None else known
    size = max(
        abs(float(alone.sum()) - total), *(abs(float(alone[_places(c)].sum()) - v) for c, v in known.items()), 0.0
    )
    size = size or 1.0
    cost_alone = {1 << partner for partner in range(partners)}

    def scaled(coalition: int, cost: float) -> Row:
        return Row(coalition, (cost - float(alone[_places(coalition)].sum())) / size)

    def separate(shares: Floats, kernel: Ints, level: float) -> list[Row]:
        weight = np.array([coalition.bit_count() if per_capita else 1 for coalition in known_rows])
        outside = (members_of(np.array(list(known_rows), dtype=np.int64), partners) @ kernel != 0).any(axis=1)
        excess = np.array([_excess(row, shares, partners) for row in known_rows.values()]) / weight
        over = np.flatnonzero(outside & (excess > level + 10 * ROUNDING))
        if len(over):
            # what is known already costs nothing to look at
            chosen = over[np.argsort(-excess[over], kind="stable")][:TAKEN_UP]
            rows = list(known_rows.values())
            return [rows[place] for place in chosen]
        found = oracle(alone + size * shares, kernel, level * size, per_capita)
        if found is None:
            return []
        known[found[0]] = found[1]
        # what else was looked at on the way is taken up with it
        fresh = {c: scaled(c, v) for c, v in known.items() if 0 < c < whole and c not in known_rows}
        known_rows.update(fresh)
        return (
            [fresh[found[0]], *(row for c, row in fresh.items() if c != found[0])] if fresh else [known_rows[found[0]]]
        )

    whole = (1 << partners) - 1
    known_rows = {c: scaled(c, v) for c, v in known.items() if 0 < c < whole} | {c: Row(c, 0.0) for c in cost_alone}
    levels = lexicographic(
        partners,
        (total - float(alone.sum())) / size,
        separate,
        per_capita=per_capita,
        within_alone=within_alone and total <= float(alone.sum()),
        rounds=rounds,
        tolerance=max(EXACT, tolerance / size),
        near=(in_proportion(total, alone) - alone) / size,
    )
    first = levels.excess[0] * size if levels.excess else 0.0
    return Generated(alone + size * levels.shares, first, len(levels.excess), levels.asked, levels.settled)


def _places(coalition: int) -> list[int]:
    return [place for place in range(coalition.bit_length()) if coalition >> place & 1]
