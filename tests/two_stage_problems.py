"""Two-stage problems of every kind, most with an answer known by construction; an oracle by SciPy; planning problems.

A problem is drawn around a point and dual vectors that prove what is said of it. Where recourse costs are random and
the first stage is continuous, the point is the optimum by complementary slackness; elsewhere the point shows that the
problem is feasible and the duals that its cost is bounded from below. Infeasible and unbounded problems are made by
adding rows that contradict each other, or columns whose cost falls for ever: their status is known without any solver.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from scipy.optimize import Bounds, LinearConstraint, OptimizeResult, linprog, milp

from models.problem import Award, Begin, Envelope, Group, Node, Tier
from optimiser.solve.twostage import Scenario, Stage, TwoStageProblem
from tests.random_problems import Draft

INF = np.inf
Floats = NDArray[np.float64]

#: Kinds of rows and columns, and how often each is drawn unless told.
ROWS = {"at least": 0.3, "at most": 0.25, "equal": 0.2, "range": 0.2, "free": 0.05}
COLUMNS = {"from zero": 0.4, "box": 0.35, "free": 0.1, "up to": 0.1, "fixed": 0.05}


@dataclass(frozen=True, eq=False)
class Drawn:
    """A problem with what is known of it: its status, and where ``optimum`` is not None the optimum itself.

    A badly scaled problem is a ``plain`` one in other units: x of the plain problem is ``column_units`` times its own x,
    and its costs are ``money`` times those of the plain one.
    """

    problem: TwoStageProblem
    status: str = "optimal"
    optimum: float | None = None
    plain: TwoStageProblem | None = None
    column_units: Floats | float = 1.0
    money: float = 1.0

    @property
    def readable(self) -> TwoStageProblem:
        """The same problem in units in which nothing is far from one."""
        return self.problem if self.plain is None else self.plain


def stage(
    cost: Any,
    matrix: Any,
    row_lower: Any,
    row_upper: Any,
    lower: Any = 0.0,
    upper: Any = INF,
    integer: Any = False,
) -> Stage:
    """A stage from lists; bounds and wholeness may be given once for all columns or rows."""
    cost = np.array(cost, dtype=float)
    matrix = sparse.csr_matrix(np.array(matrix, dtype=float).reshape(-1, len(cost)))

    def spread(value: Any, kind: type, size: int) -> NDArray[Any]:
        return np.broadcast_to(np.array(value, dtype=kind), (size,)).copy()

    rows, columns = matrix.shape
    return Stage(
        cost=cost,
        lower=spread(lower, float, columns),
        upper=spread(upper, float, columns),
        matrix=matrix,
        row_lower=spread(row_lower, float, rows),
        row_upper=spread(row_upper, float, rows),
        integer=spread(integer, bool, columns),
    )


def scenario(
    probability: float, technology: Any, recourse: Stage, first_stage_cost: Any = None, offset: float = 0.0
) -> Scenario:
    """A scenario from lists."""
    own = None if first_stage_cost is None else np.array(first_stage_cost, dtype=float)
    return Scenario(probability, sparse.csr_matrix(np.array(technology, dtype=float)), recourse, own, offset)


# drawing


@dataclass(frozen=True, eq=False)
class Held:
    """Limits around a value, and a multiplier whose sign fits the side on which the value lies."""

    lower: Floats
    upper: Floats
    multiplier: Floats


def _kinds(rng: np.random.Generator, shares: dict[str, float], size: int) -> NDArray[np.str_]:
    share = np.array(list(shares.values()))
    return rng.choice(list(shares), size=size, p=share / share.sum())


def _around(rng: np.random.Generator, value: Floats, kinds: NDArray[np.str_], *, scale: float = 1.0) -> Held:
    """Limits of the given kinds around values; about two in five of them are not touched and have no multiplier."""
    size = len(value)
    room, force = rng.uniform(0.5, 4.0, (2, size)), scale * rng.uniform(0.2, 3.0, size)
    touched, low_side = rng.random(size) < 0.6, rng.random(size) < 0.5
    lower, upper, multiplier = np.full(size, -INF), np.full(size, INF), np.zeros(size)
    for place, kind in enumerate(kinds):
        if kind in ("equal", "fixed"):
            lower[place] = upper[place] = value[place]
            multiplier[place] = force[place] if low_side[place] else -force[place]
            continue
        has_low, has_high = (
            kind in ("at least", "from zero", "range", "box"),
            kind in ("at most", "up to", "range", "box"),
        )
        if has_low:
            lower[place] = value[place] - room[0, place]
        if has_high:
            upper[place] = value[place] + room[1, place]
        if touched[place] and has_low and (low_side[place] or not has_high):
            lower[place], multiplier[place] = value[place], force[place]
        elif touched[place] and has_high:
            upper[place], multiplier[place] = value[place], -force[place]
    return Held(lower, upper, multiplier)


def _from_zero(held: Held, kinds: NDArray[np.str_], value: Floats) -> tuple[Held, Floats]:
    """The same with columns of kind ``from zero`` moved so that their lower bound is zero."""
    shift = np.where(kinds == "from zero", np.where(np.isfinite(held.lower), held.lower, 0.0), 0.0)
    return Held(held.lower - shift, held.upper - shift, held.multiplier), value - shift


def tail_weights(probability: Floats, costs: Floats, level: float) -> Floats:
    """Weights on scenarios under which the mean of the costs is their tail mean at ``level``, [scenario]."""
    weights, left = np.zeros(len(costs)), 1.0
    for place in np.argsort(-costs, kind="stable"):
        weights[place] = min(probability[place] / (1 - level), left)
        left -= weights[place]
    return weights


def draw(
    rng: np.random.Generator,
    *,
    scenarios: int | None = None,
    columns: int | None = None,
    random: Sequence[str] = ("right-hand side",),
    whole: str = "none",
    first_rows: dict[str, float] | None = None,
    rows: dict[str, float] | None = None,
    first_columns: dict[str, float] | None = None,
    recourse_columns: dict[str, float] | None = None,
    number_of_rows: tuple[int, int] = (1, 5),
    number_of_first_rows: tuple[int, int] = (0, 3),
    complete: bool = True,
    zero_probability: bool = False,
    weight: float = 0.0,
    level: float = 0.9,
    limited: bool = False,
    small_integers: bool = False,
) -> Drawn:
    """A feasible problem whose cost is bounded.

    Parameters
    ----------
    random : what differs by scenario, of right-hand side, costs, technology, matrix, first-stage cost, offset
    whole : first-stage columns that are whole: none, binary, general or mixed
    complete : every row can be met at a price
    limited : the tail mean is limited to what it is at the point around which the problem is drawn
    small_integers : coefficients and values are small integers, so that many vertices and duals coincide
    """
    count = int(rng.integers(2, 8)) if scenarios is None else scenarios
    n = int(rng.integers(1, 6)) if columns is None else columns
    size, high = int(rng.integers(1, 6)), int(rng.integers(*number_of_rows))

    def numbers(*shape: int) -> Floats:
        values = rng.integers(-2, 4, shape).astype(float) if small_integers else rng.uniform(-3, 4, shape).round(2)
        return np.where(rng.random(shape) < 0.7, values, 0.0)

    def points(length: int) -> Floats:
        return rng.integers(-2, 4, length).astype(float) if small_integers else rng.uniform(-3, 5, length).round(2)

    # the first stage
    integer = {
        "none": np.zeros(n, dtype=bool),
        "binary": np.ones(n, dtype=bool),
        "general": np.ones(n, dtype=bool),
        "mixed": np.arange(n) % 2 == 0,
    }[whole]
    kinds = _kinds(rng, first_columns or COLUMNS, n)
    kinds[integer] = "box"
    x = points(n)
    held, x = _from_zero(_around(rng, x, kinds), kinds, x)
    if whole == "binary":
        x = rng.integers(0, 2, n).astype(float)
        held = Held(np.zeros(n), np.ones(n), held.multiplier)
    elif integer.any():
        x = np.where(integer, np.round(x), x)
        span = rng.integers(0, 4, (2, n))
        held = Held(
            np.where(integer, x - span[0], held.lower), np.where(integer, x + span[1], held.upper), held.multiplier
        )
    above = int(rng.integers(*number_of_first_rows))
    matrix = numbers(above, n)
    first_held = _around(rng, matrix @ x, _kinds(rng, first_rows or ROWS, above))

    # the second stage, what all scenarios share first
    row_kinds, column_kinds = _kinds(rng, rows or ROWS, high), _kinds(rng, recourse_columns or COLUMNS, size)
    shared, technology, y = numbers(high, size), numbers(high, n), points(size)
    own_cost, own_matrix = "costs" in random, "matrix" in random
    box, y = _from_zero(_around(rng, y, column_kinds), column_kinds, y)
    meant = technology @ x + shared @ y
    base = _around(rng, meant, row_kinds)
    price = np.where(own_matrix, 0.0, base.multiplier)  # the same dual must fit every scenario's matrix
    cost = shared.T @ price + box.multiplier
    penalty = rng.uniform(8.0, 15.0)
    probability = rng.dirichlet(np.full(count, 3.0))
    if zero_probability and count > 1:
        probability[rng.integers(count)] = 0.0
        probability /= probability.sum()

    futures, duals, costs = [], [], np.zeros(count)
    for number in range(count):
        w = shared + np.where(rng.random(shared.shape) < 0.4, numbers(high, size) / 4, 0) if own_matrix else shared
        t = technology + numbers(high, n) / 3 if "technology" in random else technology
        if own_cost or "right-hand side" in random:
            place = points(size)
            limits, place = _from_zero(_around(rng, place, column_kinds), column_kinds, place)
            activity = t @ x + w @ place
            around = _around(rng, activity, row_kinds)
        else:
            # the same limits for all; where nothing helps out they move so that the point stays feasible
            limits, place = box, y
            shift = np.zeros(high) if complete else t @ x + w @ place - meant
            around = Held(base.lower + shift, base.upper + shift, base.multiplier)
        dual = around.multiplier if own_cost else price
        q = w.T @ dual + limits.multiplier if own_cost else cost
        lower, upper = limits.lower, limits.upper
        if complete:
            w = np.hstack([w, np.eye(high), -np.eye(high)])
            q = np.concatenate([q, np.full(2 * high, penalty)])
            lower, upper = np.append(lower, np.zeros(2 * high)), np.append(upper, np.full(2 * high, INF))
            place = np.append(place, np.zeros(2 * high))
        recourse = stage(q, w, around.lower, around.upper, lower, upper)
        own = points(n) / 2 if "first-stage cost" in random else None
        offset = float(rng.uniform(-20, 20)) if "offset" in random else 0.0
        futures.append(scenario(float(probability[number]), t, recourse, own, offset))
        duals.append(dual)
        costs[number] = q @ place + offset + (0.0 if own is None else own @ x)

    # first-stage costs under which the point and the duals fit together
    tail = tail_weights(probability, costs, level)
    multiplier = float(rng.uniform(0.3, 2.0)) if limited else 0.0
    weights = (1 - weight) * probability + (weight + multiplier) * tail
    if not own_cost:
        weights = probability * (1 + multiplier)  # only to be bounded: the mean is in the dual set of any tail
    entering = sum(
        (
            share * (future.technology.T @ dual - (0.0 if future.first_stage_cost is None else future.first_stage_cost))
            for share, future, dual in zip(weights, futures, duals, strict=True)
        ),
        np.zeros(n),
    )
    first_cost = entering / (1 + multiplier) + matrix.T @ first_held.multiplier + held.multiplier
    if integer.any():
        first_cost = first_cost + np.where(integer, rng.uniform(-4, 4, n), 0.0)
    first = stage(first_cost, matrix, first_held.lower, first_held.upper, held.lower, held.upper, integer)
    costs = costs + first_cost @ x
    tail_mean = float(tail @ costs)
    slack = 0.0 if own_cost and not integer.any() else 0.05 * abs(tail_mean) + 1.0
    problem = TwoStageProblem(first, tuple(futures), weight, level, cvar_limit=tail_mean + slack if limited else None)
    known = own_cost and not integer.any()
    return Drawn(problem, "optimal", float((1 - weight) * probability @ costs + weight * tail_mean) if known else None)


# kinds of problems that have a solution


def _pick(rng: np.random.Generator, *values: Any) -> Any:
    return values[int(rng.integers(len(values)))]


EVERYTHING = ("right-hand side", "costs", "technology", "matrix", "first-stage cost", "offset")


def _some(rng: np.random.Generator) -> tuple[str, ...]:
    """What differs by scenario: a random part of everything, right-hand sides always."""
    return (EVERYTHING[0], *(name for name in EVERYTHING[1:] if rng.random() < 0.5))


def _level(rng: np.random.Generator) -> dict[str, float]:
    return {"weight": _pick(rng, 0.2, 0.7, 1.0), "level": _pick(rng, 0.0, 0.5, 0.9, 0.99)}


def _no_rows(rng: np.random.Generator) -> Drawn:
    """Neither stage has a row, or one of them has none."""
    where = _pick(rng, "first", "second", "both")
    return draw(
        rng,
        random=_some(rng),
        number_of_first_rows=(1, 3) if where == "second" else (0, 1),
        number_of_rows=(1, 4) if where == "first" else (0, 1),
        complete=False,
    )


def _with_stage(problem: TwoStageProblem, change: Callable[[Stage], Stage]) -> TwoStageProblem:
    return replace(problem, scenarios=tuple(replace(s, recourse=change(s.recourse)) for s in problem.scenarios))


def _duplicated(rng: np.random.Generator) -> Drawn:
    """Every row twice, once at another scale; rows without coefficients; a column that nothing mentions."""
    drawn = draw(rng, random=_some(rng), complete=bool(rng.random() < 0.5))
    factor = float(rng.uniform(0.2, 5.0))

    def twice(own: Stage) -> Stage:
        columns = own.matrix.shape[1]
        return replace(
            own,
            cost=np.append(own.cost, 0.0),
            lower=np.append(own.lower, 0.0),
            upper=np.append(own.upper, 1.0),
            integer=np.append(own.integer, False),
            matrix=sparse.csr_matrix(
                np.hstack(
                    [
                        np.vstack([own.matrix.toarray(), factor * own.matrix.toarray(), np.zeros((1, columns))]),
                        np.zeros((2 * own.matrix.shape[0] + 1, 1)),
                    ]
                )
            ),
            row_lower=np.concatenate([own.row_lower, factor * own.row_lower, [-1.0]]),
            row_upper=np.concatenate([own.row_upper, factor * own.row_upper, [INF]]),
        )

    problem = drawn.problem
    columns = problem.first.matrix.shape[1]
    first = twice(problem.first)
    futures = tuple(
        replace(
            s,
            recourse=twice(s.recourse),
            technology=sparse.csr_matrix(
                np.hstack(
                    [
                        np.vstack([s.technology.toarray(), factor * s.technology.toarray(), np.zeros((1, columns))]),
                        np.zeros((2 * s.technology.shape[0] + 1, 1)),
                    ]
                )
            ),
            first_stage_cost=None if s.first_stage_cost is None else np.append(s.first_stage_cost, 0.0),
        )
        for s in problem.scenarios
    )
    return replace(drawn, problem=replace(problem, first=first, scenarios=futures))


def _same_futures(rng: np.random.Generator) -> Drawn:
    """All futures are one and the same."""
    one = draw(rng, random=EVERYTHING, scenarios=1, weight=_pick(rng, 0.0, 0.5), whole="none")
    future = one.problem.scenarios[0]
    share = rng.dirichlet(np.ones(5))
    futures = tuple(replace(future, probability=float(p)) for p in share)
    return replace(one, problem=replace(one.problem, scenarios=futures))


def scaled(drawn: Drawn, *, rows: Callable[[int], Floats], columns: Callable[[int], Floats], money: float) -> Drawn:
    """The same problem in other units: ``rows`` and ``columns`` give factors; whole columns keep theirs."""
    problem = drawn.problem
    own = np.where(problem.first.integer, 1.0, columns(len(problem.first.cost)))

    def one(part: Stage, by_row: Floats, by_column: Floats) -> Stage:
        return replace(
            part,
            cost=money * part.cost * by_column,
            lower=part.lower / by_column,
            upper=part.upper / by_column,
            matrix=sparse.csr_matrix(sparse.diags(by_row) @ part.matrix @ sparse.diags(by_column)),
            row_lower=part.row_lower * by_row,
            row_upper=part.row_upper * by_row,
        )

    futures = []
    for s in problem.scenarios:
        by_row = rows(s.recourse.matrix.shape[0])
        futures.append(
            replace(
                s,
                recourse=one(s.recourse, by_row, columns(len(s.recourse.cost))),
                technology=sparse.csr_matrix(sparse.diags(by_row) @ s.technology @ sparse.diags(own)),
                first_stage_cost=None if s.first_stage_cost is None else money * s.first_stage_cost * own,
                offset=money * s.offset,
            )
        )
    return replace(
        drawn,
        problem=replace(
            problem,
            first=one(problem.first, rows(problem.first.matrix.shape[0]), own),
            scenarios=tuple(futures),
            cvar_limit=None if problem.cvar_limit is None else money * problem.cvar_limit,
        ),
        plain=problem,
        column_units=own,
        money=money,
    )


def _badly_scaled(what: str, *factors: float) -> Callable[[np.random.Generator], Drawn]:
    def make(rng: np.random.Generator) -> Drawn:
        drawn = draw(
            rng, random=EVERYTHING, whole=_pick(rng, "none", "none", "mixed"), complete=bool(rng.random() < 0.7)
        )

        decades = 1.5 if what == "all" else 3.0

        def uneven(size: int) -> Floats:
            return np.asarray(10.0 ** rng.uniform(-decades, decades, size))

        def even(size: int) -> Floats:
            return np.ones(size)

        return scaled(
            drawn,
            rows=uneven if what in ("rows", "all") else even,
            columns=uneven if what in ("columns", "all") else even,
            money=float(_pick(rng, *factors)),
        )

    return make


# kinds that have none, each with a reason that any reader can check


def _with_rows(own: Stage, matrix: Floats, lower: Any, upper: Any) -> Stage:
    return replace(
        own,
        matrix=sparse.vstack([own.matrix, sparse.csr_matrix(matrix)], format="csr"),
        row_lower=np.append(own.row_lower, np.array(lower, dtype=float)),
        row_upper=np.append(own.row_upper, np.array(upper, dtype=float)),
    )


def _infeasible_first(rng: np.random.Generator) -> Drawn:
    """Two rows of which a third, their sum, contradicts the sum of the limits."""
    problem = draw(rng, random=_some(rng), whole=_pick(rng, "none", "mixed", "binary")).problem
    rows = rng.uniform(-2, 2, (2, len(problem.first.cost)))
    first = _with_rows(problem.first, np.vstack([rows, rows.sum(axis=0)]), [1, 2, -INF], [INF, INF, 2.5])
    return Drawn(replace(problem, first=first), "infeasible")


def _infeasible_recourse(rng: np.random.Generator) -> Drawn:
    """The same in the recourse of one scenario, whatever the first stage decides."""
    problem = draw(rng, random=_some(rng), whole=_pick(rng, "none", "general")).problem
    at = int(rng.integers(len(problem.scenarios)))
    chosen = problem.scenarios[at]
    rows = rng.uniform(-2, 2, (2, len(chosen.recourse.cost)))
    enters = rng.uniform(-2, 2, (2, len(problem.first.cost)))
    changed = replace(
        chosen,
        recourse=_with_rows(chosen.recourse, np.vstack([rows, rows.sum(axis=0)]), [1, 2, -INF], [INF, INF, 2.5]),
        technology=sparse.vstack(
            [chosen.technology, sparse.csr_matrix(np.vstack([enters, enters.sum(axis=0)]))], format="csr"
        ),
    )
    futures = (*problem.scenarios[:at], changed, *problem.scenarios[at + 1 :])
    return Drawn(replace(problem, scenarios=futures), "infeasible")


def _with_row_in(chosen: Scenario, technology: Floats, least: float, price: float) -> Scenario:
    """One more row technology·x - y >= least, y >= 0 a new column at a price: technology·x must be at least that."""
    own = chosen.recourse
    size = len(own.cost)
    wide = replace(
        own,
        cost=np.append(own.cost, price),
        lower=np.append(own.lower, 0.0),
        upper=np.append(own.upper, INF),
        integer=np.append(own.integer, False),
        matrix=sparse.hstack([own.matrix, sparse.csr_matrix((own.matrix.shape[0], 1))], format="csr"),
    )
    row = np.append(np.zeros(size), -1.0)[None]
    return replace(
        chosen,
        recourse=_with_rows(wide, row, [least], [INF]),
        technology=sparse.vstack([chosen.technology, sparse.csr_matrix(technology[None])], format="csr"),
    )


def _infeasible_together(rng: np.random.Generator) -> Drawn:
    """One scenario needs a·x >= 1, another a·x <= 0.5; each alone could be met where the first stage is free to."""
    problem = draw(rng, random=_some(rng), scenarios=int(rng.integers(2, 6)), whole=_pick(rng, "none", "mixed")).problem
    direction = rng.uniform(-2, 2, len(problem.first.cost))
    futures = list(problem.scenarios)
    futures[0] = _with_row_in(futures[0], direction, 1.0, float(rng.uniform(0, 3)))
    futures[-1] = _with_row_in(futures[-1], -direction, -0.5, float(rng.uniform(0, 3)))
    return Drawn(replace(problem, scenarios=tuple(futures)), "infeasible")


def _infeasible_whole(rng: np.random.Generator) -> Drawn:
    """Feasible but for whole numbers: 2·(sum of x) is odd, said by the first stage or by two scenarios."""
    problem = draw(
        rng,
        random=_some(rng),
        scenarios=int(rng.integers(2, 6)),
        columns=int(rng.integers(2, 5)),
        whole=_pick(rng, "general", "binary"),
        number_of_first_rows=(0, 1),
        rows={"at least": 1.0, "at most": 1.0},
    ).problem
    twos = np.full(len(problem.first.cost), 2.0)
    middle = 2 * np.floor((problem.first.lower + problem.first.upper).sum() / 2) + 1
    if rng.random() < 0.5:
        first = _with_rows(problem.first, twos[None], [middle], [middle])
        return Drawn(replace(problem, first=first), "infeasible")
    futures = list(problem.scenarios)
    futures[0] = _with_row_in(futures[0], twos, middle - 0.5, 1.0)
    futures[-1] = _with_row_in(futures[-1], -twos, -middle - 0.5, 1.0)
    return Drawn(replace(problem, scenarios=tuple(futures)), "infeasible")


def _infeasible_limit(rng: np.random.Generator) -> Drawn:
    """The tail mean is limited to less than the least expected cost, which is known."""
    drawn = draw(rng, random=EVERYTHING, level=_pick(rng, 0.5, 0.9, 0.99))
    assert drawn.optimum is not None
    return Drawn(replace(drawn.problem, cvar_limit=drawn.optimum - 0.5 - 0.1 * abs(drawn.optimum)), "infeasible")


def _with_columns(problem: TwoStageProblem, cost: float, technology: Callable[[int], Floats]) -> TwoStageProblem:
    """One more first-stage column, from zero on, that no first-stage row mentions."""
    first = problem.first
    return replace(
        problem,
        first=replace(
            first,
            cost=np.append(first.cost, cost),
            lower=np.append(first.lower, 0.0),
            upper=np.append(first.upper, INF),
            integer=np.append(first.integer, False),
            matrix=sparse.hstack([first.matrix, sparse.csr_matrix((first.matrix.shape[0], 1))], format="csr"),
        ),
        scenarios=tuple(
            replace(
                s,
                technology=sparse.hstack(
                    [s.technology, sparse.csr_matrix(technology(number).reshape(-1, 1))], format="csr"
                ),
                first_stage_cost=None if s.first_stage_cost is None else np.append(s.first_stage_cost, 0.0),
            )
            for number, s in enumerate(problem.scenarios)
        ),
    )


def _unbounded_first(rng: np.random.Generator) -> Drawn:
    """A column earns for ever, and what rows of scenarios make of it costs less than it earns."""
    problem = draw(rng, random=_some(rng), whole=_pick(rng, "none", "mixed"), complete=True).problem
    if rng.random() < 0.5:
        return Drawn(
            _with_columns(problem, -1.0, lambda s: np.zeros(problem.scenarios[s].technology.shape[0])), "unbounded"
        )
    # complete recourse pays at most 15 a unit for each row that the column enters with a coefficient of 1
    earns = -16.0 * max(s.technology.shape[0] for s in problem.scenarios)
    return Drawn(
        _with_columns(problem, earns, lambda s: np.ones(problem.scenarios[s].technology.shape[0])), "unbounded"
    )


def _unbounded_recourse(rng: np.random.Generator) -> Drawn:
    """In one scenario a column earns for ever; or it follows the first stage, which costs less than it earns."""
    problem = draw(rng, random=_some(rng), whole=_pick(rng, "none", "mixed", "binary")).problem
    at = int(np.argmax(problem.probability))
    chosen = problem.scenarios[at]
    together = rng.random() < 0.5
    if together:
        # x - y >= 0, with x at 1 and y at -2 / probability
        problem = _with_columns(problem, 1.0, lambda s: np.zeros(problem.scenarios[s].technology.shape[0]))
        follows = np.append(np.zeros(len(problem.first.cost) - 1), 1.0)
        changed = _with_row_in(problem.scenarios[at], follows, 0.0, -2.0 / chosen.probability)
    else:
        own = chosen.recourse
        wide = replace(
            own,
            cost=np.append(own.cost, -0.5),
            lower=np.append(own.lower, 0.0),
            upper=np.append(own.upper, INF),
            integer=np.append(own.integer, False),
            matrix=sparse.hstack([own.matrix, sparse.csr_matrix((own.matrix.shape[0], 1))], format="csr"),
        )
        changed = replace(chosen, recourse=wide)
    futures = (*problem.scenarios[:at], changed, *problem.scenarios[at + 1 :])
    return Drawn(replace(problem, scenarios=futures), "unbounded")


def _falling_but_infeasible(rng: np.random.Generator) -> Drawn:
    """Cost would fall for ever were anything feasible."""
    falling = _unbounded_recourse(rng).problem
    rows = rng.uniform(-2, 2, (2, len(falling.first.cost)))
    first = _with_rows(falling.first, np.vstack([rows, rows.sum(axis=0)]), [1, 2, -INF], [INF, INF, 2.5])
    return Drawn(replace(falling, first=first), "infeasible")


#: Makers of random problems, by what is particular about them.
KINDS: dict[str, Callable[[np.random.Generator], Drawn]] = {
    "random right-hand sides": lambda rng: draw(rng),
    "random costs": lambda rng: draw(rng, random=("costs",)),
    "random technology": lambda rng: draw(rng, random=("technology",)),
    "random recourse matrices": lambda rng: draw(rng, random=("matrix", "right-hand side")),
    "first-stage costs and offsets by scenario": lambda rng: draw(
        rng, random=("right-hand side", "first-stage cost", "offset")
    ),
    "everything random": lambda rng: draw(rng, random=EVERYTHING),
    "binary first stage": lambda rng: draw(rng, random=_some(rng), whole="binary", columns=int(rng.integers(2, 8))),
    "general whole first stage": lambda rng: draw(rng, random=_some(rng), whole="general"),
    "mixed first stage": lambda rng: draw(rng, random=_some(rng), whole="mixed", columns=int(rng.integers(2, 7))),
    "free first-stage columns": lambda rng: draw(rng, random=_some(rng), first_columns={"free": 0.7, "up to": 0.3}),
    "free first-stage columns beside whole ones": lambda rng: draw(
        rng, random=_some(rng), first_columns={"free": 0.7, "up to": 0.3}, whole="mixed", columns=4
    ),
    "free recourse columns": lambda rng: draw(rng, random=_some(rng), recourse_columns={"free": 0.6, "up to": 0.4}),
    "bounded columns": lambda rng: draw(
        rng, random=_some(rng), first_columns={"box": 1.0, "fixed": 0.2}, recourse_columns={"box": 1.0, "fixed": 0.2}
    ),
    "equality rows": lambda rng: draw(rng, random=_some(rng), rows={"equal": 1.0}, first_rows={"equal": 1.0}),
    "ranged rows": lambda rng: draw(rng, random=_some(rng), rows={"range": 1.0}, first_rows={"range": 1.0}),
    "one-sided rows": lambda rng: draw(rng, random=_some(rng), rows={"at least": 0.5, "at most": 0.5}),
    "incomplete recourse": lambda rng: draw(rng, random=_some(rng), complete=False),
    "incomplete recourse, whole first stage": lambda rng: draw(
        rng, random=_some(rng), complete=False, whole=_pick(rng, "general", "binary", "mixed")
    ),
    "incomplete recourse by equalities": lambda rng: draw(
        rng, random=_some(rng), complete=False, rows={"equal": 1.0}, number_of_rows=(2, 5)
    ),
    "weight on the tail": lambda rng: draw(rng, random=EVERYTHING, **_level(rng)),
    "weight on the tail, whole first stage": lambda rng: draw(
        rng, random=_some(rng), whole=_pick(rng, "general", "mixed"), **_level(rng)
    ),
    "weight on the tail, incomplete recourse": lambda rng: draw(
        rng, random=_some(rng), complete=False, whole=_pick(rng, "none", "binary"), **_level(rng)
    ),
    "limit on the tail": lambda rng: draw(
        rng, random=EVERYTHING, limited=True, level=_pick(rng, 0.5, 0.9, 0.99), weight=_pick(rng, 0.0, 0.4)
    ),
    "limit on the tail, whole first stage": lambda rng: draw(
        rng, random=_some(rng), limited=True, level=_pick(rng, 0.5, 0.9, 0.99), whole=_pick(rng, "general", "mixed")
    ),
    "scenarios of no probability": lambda rng: draw(
        rng,
        random=_some(rng),
        zero_probability=True,
        complete=bool(rng.random() < 0.5),
        whole=_pick(rng, "none", "mixed"),
    ),
    "one scenario": lambda rng: draw(
        rng, random=_some(rng), scenarios=1, whole=_pick(rng, "none", "mixed"), **_pick(rng, {}, _level(rng))
    ),
    "all scenarios alike": _same_futures,
    "stages without rows": _no_rows,
    "duplicate and empty rows": _duplicated,
    "degenerate": lambda rng: draw(
        rng, random=_some(rng), small_integers=True, whole=_pick(rng, "none", "general"), number_of_rows=(3, 7)
    ),
    "many scenarios": lambda rng: draw(
        rng, random=_some(rng), scenarios=15, whole=_pick(rng, "none", "binary", "mixed"), columns=6
    ),
    "badly scaled rows": _badly_scaled("rows", 1.0),
    "badly scaled columns": _badly_scaled("columns", 1.0),
    "costs a thousand times smaller or larger": _badly_scaled("money", 1e-3, 1e3),
    "costs a million times larger": _badly_scaled("money", 1e6),
    "costs a million times smaller": _badly_scaled("money", 1e-6),
    "badly scaled everything": _badly_scaled("all", 1e-3, 1e3, 1e6),
    "infeasible first stage": _infeasible_first,
    "infeasible recourse": _infeasible_recourse,
    "infeasible together": _infeasible_together,
    "infeasible in whole numbers": _infeasible_whole,
    "infeasible limit on the tail": _infeasible_limit,
    "unbounded first stage": _unbounded_first,
    "unbounded recourse": _unbounded_recourse,
    "infeasible where cost would fall for ever": _falling_but_infeasible,
}


def drawn(kind: str, seed: int) -> Drawn:
    """The problem of a kind with a seed: the same every time."""
    return KINDS[kind](np.random.default_rng([list(KINDS).index(kind), seed]))


# the oracle


@dataclass(frozen=True)
class Oracle:
    """What SciPy says of the whole problem."""

    status: str
    optimum: float


def whole_by_scipy(problem: TwoStageProblem, *, presolve: bool = True) -> Oracle:
    """The extensive form, written down from the arrays by hand and solved by SciPy's own copy of HiGHS."""
    first, futures = problem.first, problem.scenarios
    n, count = len(first.cost), len(futures)
    sizes = [len(s.recourse.cost) for s in futures]
    starts = n + np.concatenate([[0], np.cumsum(sizes)]).astype(int)
    total = int(starts[-1]) + 1 + count  # x, every y, value at risk, excess of every scenario
    risk, level, probability = problem.risk_weight, problem.risk_level, problem.probability
    own = [first.cost + (0.0 if s.first_stage_cost is None else s.first_stage_cost) for s in futures]

    cost, constant = np.zeros(total), 0.0
    lower, upper = np.full(total, -INF), np.full(total, INF)
    lower[:n], upper[:n] = first.lower, first.upper
    rows, row_lower, row_upper = [], [], []

    def add(entries: dict[int, Floats], low: Floats, high: Floats) -> None:
        block = np.zeros((len(low), total))
        for start, values in entries.items():
            block[:, start : start + values.shape[1]] += values
        rows.append(block)
        row_lower.append(np.asarray(low, dtype=float))
        row_upper.append(np.asarray(high, dtype=float))

    add({0: first.matrix.toarray()}, first.row_lower, first.row_upper)
    place, excess = int(starts[-1]), int(starts[-1]) + 1
    lower[excess:] = 0.0
    for number, s in enumerate(futures):
        at, size = int(starts[number]), sizes[number]
        share = (1 - risk) * probability[number]
        cost[:n] += share * own[number]
        cost[at : at + size] = share * s.recourse.cost
        constant += share * s.offset
        lower[at : at + size], upper[at : at + size] = s.recourse.lower, s.recourse.upper
        add({0: s.technology.toarray(), at: s.recourse.matrix.toarray()}, s.recourse.row_lower, s.recourse.row_upper)
        if problem.tail_counts:
            entries = {0: own[number][None], at: s.recourse.cost[None]}
            entries |= {place: -np.ones((1, 1)), excess + number: -np.ones((1, 1))}
            add(entries, np.array([-INF]), np.array([-s.offset]))
    if problem.tail_counts:
        tail = np.concatenate([[1.0], probability / (1 - level)])
        cost[place:] = risk * tail
        if problem.cvar_limit is not None:
            add({place: tail[None]}, np.array([-INF]), np.array([problem.cvar_limit]))
    else:
        lower[place:] = upper[place:] = 0.0
    integrality = np.zeros(total, dtype=int)
    integrality[:n] = first.integer

    def solved(price: Floats) -> OptimizeResult:
        return milp(
            price,
            integrality=integrality,
            bounds=Bounds(lower, upper),
            constraints=LinearConstraint(np.vstack(rows), np.concatenate(row_lower), np.concatenate(row_upper)),
            options={"presolve": presolve, "mip_rel_gap": 0.0},
        )

    found = solved(cost)
    status = {0: "optimal", 2: "infeasible", 3: "unbounded"}.get(found.status, f"unknown: {found.message}")
    if "unbounded or infeasible" in status:
        # what is feasible at no cost is unbounded
        status = {0: "unbounded", 2: "infeasible"}[solved(0 * cost).status]
    return Oracle(status, float(found.fun) + constant if status == "optimal" else float("nan"))


def costs_by_scipy(problem: TwoStageProblem, x: Floats) -> Floats:
    """Cost of every scenario at a first-stage point, each recourse problem solved by itself, [scenario]."""
    costs = np.empty(len(problem.scenarios))
    for number, s in enumerate(problem.scenarios):
        own, taken = s.recourse, s.technology @ x
        found = _recourse(own, taken, 0.0)
        if found.status == 2:
            found = _recourse(own, taken, 1e-6 * (1 + float(np.abs(taken).max(initial=0.0))))
        before = problem.first.cost + (0.0 if s.first_stage_cost is None else s.first_stage_cost)
        costs[number] = before @ x + s.offset + (float(found.fun) if found.status == 0 else INF)
    return costs


def _recourse(own: Stage, taken: Floats, relaxed: float) -> OptimizeResult:
    matrix = own.matrix.toarray()
    low, high = own.row_lower - taken, own.row_upper - taken
    above, below = np.isfinite(high), np.isfinite(low)
    return linprog(
        own.cost,
        A_ub=np.vstack([matrix[above], -matrix[below]]),
        b_ub=np.concatenate([high[above], -low[below]]) + relaxed,
        bounds=np.column_stack([own.lower, own.upper]),
    )


def cost_of(problem: TwoStageProblem, costs: Floats) -> float:
    """Weighed mean and tail mean of scenario costs, the tail mean by its weights."""
    tail = tail_weights(problem.probability, costs, problem.risk_level)
    return float((1 - problem.risk_weight) * problem.probability @ costs + problem.risk_weight * tail @ costs)


# whole planning problems


PERIODS = 9


def council(
    seed: int = 0,
    *,
    authorities: int = 1,
    cohorts: int = 2,
    homes: int = 1,
    lots: int = 1,
    futures: int = 5,
    review: bool = False,
    demand: float = 1.0,
    spot_beds: float = INF,
) -> Draft:
    """Nine months, in pounds: homes to begin in three of them, lots with two tiers, homes in place, a spot market.

    Arrivals, delays of registration and spot prices are random by future. With ``review`` the decision tree branches
    after six months by how many children have arrived, and every branch may begin homes and award lots.
    """
    rng = np.random.default_rng(seed)
    nodes, paths = (Node("root", None, 0, PERIODS, ""),), ((0,),) * futures
    if review:
        nodes = (
            Node("root", None, 0, 6, ""),
            Node("few", 0, 6, PERIODS, "few arrivals"),
            Node("many", 0, 6, PERIODS, "many arrivals"),
        )
        paths = tuple((0, 1 + number % 2) for number in range(futures))
    draft = Draft(
        authorities=authorities,
        cohorts=cohorts,
        periods=PERIODS,
        homes=homes,
        lot_tiers=((Tier(1, 3), Tier(4, 6)),) * lots,
        supplies=1,
        layers=2,
        nodes=nodes,
        paths=paths,
    )
    array, first_spot = draft.array, homes + lots + 1
    array.weeks = np.full(PERIODS, 52 / 12)
    array.cohort_authority = np.arange(cohorts) % authorities
    array.placed_at_start[:, first_spot - 1] = demand * 0.5
    array.placed_at_start[:, first_spot] = demand * rng.uniform(0.5, 2.0, cohorts)
    array.mobility[:] = 0.2
    since = np.arange(PERIODS)[None, :] - np.arange(PERIODS)[:, None]  # [begun or awarded, period]
    outlay = rng.uniform(250_000, 600_000, homes)
    for home in range(homes):
        array.home_beds[home] = 2 + home % 3
        array.planning_capital[home] = 1.1 * outlay[home]
        array.needs_manager[home] = since >= 0
    for number, future in enumerate(draft.futures):
        busy = (0.4 if number % 2 == 0 else 1.6) if review else rng.uniform(0.5, 1.5)
        future.arrivals[:] = demand * busy * rng.poisson(0.4, (cohorts, PERIODS))
        future.stay[:] = rng.uniform(0.85, 0.97, (cohorts, 1, 1))
        future.breakdown[:, :-1] = 0.02 if number % 3 else 0.0
        for home in range(homes):
            opened = (since >= 1 + rng.integers(0, 5)).astype(float)
            future.home_open[home] = opened
            future.capital_outlay[home] = outlay[home]
            future.residual_value[home] = 0.9 * outlay[home]
            future.home_running[home] = opened * array.home_beds[home] * 3_500 * array.weeks
            future.home_waiting[home] = np.where(since >= 0, 1 - opened, 0) * 5_000
        for lot in range(lots):
            future.lot_delivered[lot] = since >= 1
            future.lot_price[lot, 0], future.lot_price[lot, 1] = 5_200 - 200 * lot, 4_900 - 200 * lot
            future.lot_setup[lot] = 2_000.0
        future.supply_beds[0] = 2.0
        future.supply_commitment[0] = 2 * 3_000 * array.weeks
        level = rng.uniform(5_000, 9_000) * 1.005 ** np.arange(PERIODS)
        future.spot_layer_price[0] = np.stack([level, 1.3 * level])
        future.spot_layer_beds[0] = np.array([[1.0 * cohorts], [spot_beds]])
        future.unregistered_price[:] = 10_000.0
        future.deterrent[:] = 20_000.0
    draft.home_groups = [Group(f"home {home}", (home,), 2) for home in range(homes)]
    draft.begins = [Begin(home, 0, period) for home in range(homes) for period in (0, 1, 3)]
    draft.awards = [Award(lot, 0, period) for lot in range(lots) for period in (0, 2)]
    if review:
        draft.begins += [Begin(home, node, 6) for home in range(homes) for node in (1, 2)]
        draft.awards += [Award(lot, node, 6) for lot in range(lots) for node in (1, 2)]
    if homes:
        draft.envelopes = [Envelope("capital", tuple(range(homes)), 2.2 * float(outlay.mean()), None, True)]
    return draft
