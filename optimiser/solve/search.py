"""L-shaped decomposition: a master over the first stage, one linear program per scenario, cuts between.

The order of work: a centre from a few scenarios; the linear relaxation by in-out cuts; whole-number points and their proof
in one tree over a small master, to which cuts of the pool come as they are violated.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from optimiser.errors import SolverError
from optimiser.solve import highs
from optimiser.solve.extensive import solve_extensive
from optimiser.solve.highs import Basis, Program, Warm, relative_gap
from optimiser.solve.masters import Clustered, Lazy, alike
from optimiser.solve.pool import Pool
from optimiser.solve.recourse import Answer, Clock, Recourse, answers_of
from optimiser.solve.twostage import (
    Cuts,
    Duals,
    Floats,
    Ints,
    Known,
    Round,
    Settings,
    Stage,
    Strung,
    Thin,
    TwoStageProblem,
    TwoStageSolution,
    fingerprints_of,
    legible_rows,
    tail_mean,
    thin,
    total_cost,
)

#: Scenarios solved one after the other in one thread, each from the basis of the one before it. A constant: what is
#: found does not depend on the number of threads.
CHUNK = 8
#: Share of the master's point in the point at which cuts are made; the rest is the best point so far.
OUTWARD = 0.3
#: What a point told beyond the cuts, as a share of the distance to the master, up to which the next lies farther out.
TOLD = 0.3
#: Differences in cost that are rounding errors, relative to the costs of scenarios.
ROUNDING = 1e-8
#: How much less, relative to it, a cut may say than a scenario is known to cost at a point, and still be its cut there.
UNTOLD = 1e-7
#: A whole-number column within this of a whole number is one.
WHOLE = 1e-6
#: Scenarios whose extensive forms give the first centre, so many programs apart: half the scenarios take a third of the time.
FIRST_SAMPLE, APART = 6, 2
#: Scenarios beyond which a sample is solved first: one in so many of them, and about so many at most.
SAMPLE_BEYOND, ONE_IN, SAMPLE = 100, 6, 100
#: Relative gap of the sample, as a multiple of the gap asked for.
SAMPLE_GAP = 4.0
#: Groups of scenarios in the master that HiGHS solves anew for every cut, and in that of one tree, where every cut is a row
#: for each group and rows are what a node costs.
CLUSTERS, FEW_CLUSTERS = 25, 2
#: Waves in which scenarios are solved where a point may turn out too dear before all are.
WAVES = 4
#: The same where it is known which scenarios tell most, and the chunks of the smallest: one for each of two cores.
FINE_WAVES, LEAST_WAVE = 14, 2
#: Linear programs of the tree; what is left after them HiGHS proves.
NODES = 3000
#: Points of a search kept for another.
REMEMBERED = 24
#: Layers of cuts, and points priced, that a search asked again and again holds on to.
HELD = 100
#: How far from a whole-number point towards the centre its first cuts are made: they hold for more than that point.
INWARD = 0.5
#: Artificial bounds on first-stage columns that have none, tried in this order.
BOXES = (1e4, 1e7, 1e10)


class Stopped(Exception):
    """The time is over, or someone asked to stop."""


class Infeasible(Exception):
    """No first-stage point is feasible."""


class Unbounded(Exception):
    """Cost falls for ever, if anything is feasible."""


@dataclass(frozen=True, eq=False)
class Relaxed:
    """How the linear relaxation ended: the master's point, the best point, its cost, and the master's."""

    x: Floats
    centre: Floats
    best: float
    bound: float


@dataclass(frozen=True, eq=False)
class Priced:
    """A whole-number point whose costs are known: [scenario], in all, and the recourse they are of, [scenario]."""

    x: Floats  # [first-stage column]
    costs: Floats
    objective: float
    placed: Duals


class Search:
    """One solve: what is known of the problem so far, and the ways to know more."""

    #: Whether whole-number points are looked for in one tree first, which proves a bound by itself.
    ONE_TREE = True

    def __init__(
        self,
        problem: TwoStageProblem,
        settings: Settings,
        executor: Executor,
        progress: Callable[[Round], None] | None,
        began: float,
    ) -> None:
        self.problem, self.settings, self.executor, self.progress = problem, settings, executor, progress
        self.began = began
        limit = settings.time_limit
        self.clock = Clock(None if limit is None else time.time() + limit, settings.stop)
        self.first = problem.first
        self.columns = len(problem.first.cost)
        self.count = len(problem.scenarios)
        self.probability = problem.probability
        self.recourse = [Recourse(scenario) for scenario in problem.scenarios]
        self.order(np.arange(self.count))
        self.bases: list[Basis | None] = [None] * self.count
        self.elastic_bases: list[Basis | None] = [None] * self.count
        own = [np.zeros(self.columns) if s.first_stage_cost is None else s.first_stage_cost for s in problem.scenarios]
        self.first_cost = problem.first.cost + np.array(own)  # [scenario, column]
        self.offset = np.array([s.offset for s in problem.scenarios], dtype=float)
        self.pool = Pool(self.count, self.columns)
        self.rounds = 0
        self.x: Floats | None = None
        self.costs: Floats | None = None
        self.placed: Sequence[Floats] = ()  # [scenario], best recourse at the best point
        self.settled: list[Basis | None] = []  # [scenario], where its solve ended
        self.objective = np.inf
        self.merit = np.inf
        self.bound = -np.inf
        self.unit = 1.0
        self.box = BOXES[0]
        self.remembered: list[Floats] = []
        self.ceiling = settings.ceiling
        self.standing = False  # whether it will be asked again, with another first stage
        self.relaxed: Relaxed | None = None  # the linear relaxation from which whole-number points were found
        self.priced: list[Priced] = []
        self.known: Known | None = None  # of an earlier solve
        self.answered: dict[int, Floats] = {}  # scenario to its recourse at that point, where the same is asked again

    def order(self, scenarios: Ints) -> None:
        """Solve scenarios in this order: those that tell most first, for points found too dear on the way."""
        self.chunks = [scenarios[i : i + CHUNK] for i in range(0, self.count, CHUNK)]

    # from beginning to end

    def run(self, start: Floats | None, cuts: Cuts | None) -> str:
        """Search until solved, stopped, or known to have no solution: says which.

        Parameters
        ----------
        start : a first-stage point to begin from, [column]
        cuts : what another search has kept
        """
        try:
            if cuts is not None:
                self.reuse(cuts)
            if start is not None:
                start = self.whole(np.asarray(start, dtype=float))
                # a point outside the first stage may cost less than any inside: nothing can be measured by it
                start = start if self.allowed(start) else None
            whole = bool(self.first.integer.any())
            relaxed = None
            if whole and (cuts is not None or self.relaxed is not None):
                relaxed = self.recall(start)
            if relaxed is None:
                centre = start
                if self.relaxed is not None:
                    centre = self.relaxed.centre
                elif self.count > SAMPLE_BEYOND and start is None and cuts is None:
                    centre = self.sample()
                elif start is not None and whole:
                    self.evaluate(start)
                relaxed = self.relax(self.begin() if centre is None else centre, 200 if whole else 10_000)
            if whole and not self.done:
                self.improve(relaxed)
        except Stopped:
            pass
        except Infeasible:
            return "infeasible"
        except Unbounded:
            return "unbounded" if self.feasible() else "infeasible"
        if self.beyond:
            return "beyond"
        return "optimal" if self.near else "stopped"

    # time

    def left(self) -> float | None:
        """Seconds left, None for no limit."""
        return self.clock.left

    def check(self) -> None:
        """Stop if it is time to."""
        if self.clock.stopped():
            raise Stopped

    # points

    def evaluate(self, x: Floats, reject: float = np.inf) -> float:
        """Cost of a first-stage point, infinite where a scenario or the limit on the tail forbids it; keeps its cuts.

        Scenarios are solved in waves. Where those solved, with the cuts of the others, already cost ``reject`` or more,
        the rest is left out and the cost known so far comes back: no more than the true one.
        A point that is whole where it must be, and obeys the first stage, may become the incumbent.
        """
        self.rounds += 1
        if self.integral(x):
            # whole but for rounding errors: a millionth of a home more would hold a child who has no place when it is rounded off
            x = self.whole(x)
        value, penalised = np.full(self.count, np.nan), np.full(self.count, np.nan)
        constant, slope = np.full(self.count, -np.inf), np.zeros((self.count, self.columns))
        dual: dict[int, Thin] = {}
        placed: dict[int, Thin] = {}
        allowed = self.allowed(x)
        # within other limits it may be the best point
        placing = allowed or (self.standing and self.integral(x))
        self.pool.ask(x)
        known = self.pool.at(x)[0] if self.pool.complete and (self.remembered or np.isfinite(reject)) else None
        modelled = known if np.isfinite(reject) else None
        waves = FINE_WAVES if self.remembered else WAVES
        size = max(-(-len(self.chunks) // waves), LEAST_WAVE) if modelled is not None else len(self.chunks)
        partial = np.inf
        before = self.first_cost @ x + self.offset
        if self.known is not None and np.array_equal(x, self.known.x):
            told = self.pool.at(x)[0] if known is None else known
            for number, y in self.answered.items():
                cost = float(self.problem.scenarios[number].recourse.cost @ y)
                # where no cut says as much any more, one is made
                if told[number] >= before[number] + cost - UNTOLD * max(1.0, abs(before[number] + cost)):
                    value[number] = penalised[number] = cost
                    placed[number] = thin(y)
        chunks = [chunk[np.isnan(value[chunk])] for chunk in self.chunks]
        for wave in (chunks[i : i + size] for i in range(0, len(chunks), size)):
            for number, answer in self.answers(x, wave, placing):
                value[number], placed[number] = answer.value, answer.y
                penalised[number] = answer.penalised
                if answer.ray is not None:
                    self.pool.add_ray(answer.ray[0], -answer.ray[1], number, answer.ray[2])
                if np.isfinite(answer.constant):
                    dual[number] = answer.dual
                    constant[number] = answer.constant + self.offset[number]
                    slope[number] = self.first_cost[number] - answer.slope
            if modelled is None:
                continue
            partial = total_cost(self.problem, np.maximum(modelled, constant + slope @ x))
            if partial >= reject or np.isinf(value).any():
                break
        own = np.flatnonzero(np.isfinite(constant))
        self.pool.add(own, constant[own], slope[own], Duals(dual[number] for number in own.tolist()))
        if np.isnan(value).any():
            self.tell()
            return np.inf if np.isinf(value).any() else partial
        objective, costs = np.inf, before + value
        if self.remembered and known is not None:
            # what kept cuts say least of here they will say least of elsewhere: the next point may be found too dear soon
            short = np.zeros(self.count)
            np.multiply(self.probability, known - costs, out=short, where=self.probability > 0)
            self.order(np.argsort(short, kind="stable"))
        self.merit = self.with_penalties(before + penalised)
        if np.isfinite(value).all() and self.tail_within_limit(costs):
            objective = total_cost(self.problem, costs)
        if objective < self.objective and allowed:
            self.x, self.costs, self.objective = x.copy(), costs, objective
            self.placed, self.settled = Duals(placed[number] for number in range(self.count)), self.bases.copy()
        if self.standing and np.isfinite(objective) and self.integral(x):
            recourse = Duals(placed[number] for number in range(self.count))
            self.priced.append(Priced(x.copy(), costs, objective, recourse))
        self.tell()
        return objective

    @property
    def bounded(self) -> bool:
        """Whether every column of the first stage has both bounds."""
        return bool(np.isfinite(self.first.lower).all() and np.isfinite(self.first.upper).all())

    def integral(self, x: Floats) -> bool:
        """Whether a point is whole where it must be, up to rounding errors."""
        return bool((np.abs(x - np.round(x))[self.first.integer] <= WHOLE).all())

    def within(self, first: Stage, cvar_limit: float | None, settings: Settings) -> None:
        """Begin again with another first stage of the same columns: cuts hold but for what these cost, and so do costs."""
        dearer = first.cost - self.first.cost
        if dearer.any():
            self.first_cost = self.first_cost + dearer
            self.pool.tilt(dearer)
            self.priced = [self._dearer(point, dearer) for point in self.priced]
        self.first, self.settings, self.ceiling = first, settings, settings.ceiling
        self.problem = replace(self.problem, first=first, cvar_limit=cvar_limit)
        self.rounds, self.began = 0, time.perf_counter()
        self.bound, self.merit = -np.inf, np.inf
        self.x, self.costs, self.objective, self.placed = None, None, np.inf, ()
        limit = settings.time_limit
        self.clock = Clock(None if limit is None else time.time() + limit, settings.stop)
        self.remembered = self.pool.asked[-REMEMBERED:]
        self.pool.forget(HELD)
        self.priced = self.priced[-HELD:]
        for point in self.priced:
            within_limit = self.tail_within_limit(point.costs)
            if within_limit and point.objective < self.objective and self.allowed(point.x):
                self.x, self.costs, self.objective, self.placed = point.x, point.costs, point.objective, point.placed

    def _dearer(self, point: Priced, dearer: Floats) -> Priced:
        """A point where columns of the first stage cost more, [column]."""
        costs = point.costs + float(dearer @ point.x)
        return replace(point, costs=costs, objective=total_cost(self.problem, costs))

    def with_penalties(self, costs: Floats) -> float:
        """Cost of a point where what scenarios miss has its price, and so has a tail beyond its limit."""
        limit, total = self.problem.cvar_limit, total_cost(self.problem, costs)
        return total if limit is None else total + 10.0 * max(tail_mean(self.problem, costs)[0] - limit, 0.0)

    def answers(self, x: Floats, chunks: Sequence[Ints], placing: bool) -> list[tuple[int, Answer]]:
        """Scenarios of some chunks, and what each says at x."""
        work = [
            self.executor.submit(
                answers_of,
                [self.recourse[s] for s in chunk],
                x,
                [self.bases[s] for s in chunk],
                [self.elastic_bases[s] for s in chunk],
                self.clock,
                placing,
            )
            for chunk in chunks
        ]
        parts = [task.result() for task in work]
        found: list[tuple[int, Answer]] = []
        for chunk, part in zip(chunks, parts, strict=True):
            if part is None:
                raise Stopped
            found += zip(chunk, part, strict=True)
        for number, answer in found:
            self.bases[number], self.elastic_bases[number] = answer.basis, answer.elastic_basis
            if answer.value == -np.inf:
                raise Unbounded
        return found

    def tail_within_limit(self, costs: Floats) -> bool:
        """Whether the tail mean keeps its limit, up to rounding errors."""
        limit = self.problem.cvar_limit
        return limit is None or tail_mean(self.problem, costs)[0] <= limit + 1e-7 * max(1.0, abs(limit))

    def allowed(self, x: Floats) -> bool:
        """Whether a point obeys the first stage, up to rounding errors."""
        first, slack = self.first, 1e-6
        row = first.matrix @ x
        size = 1.0 + abs(first.matrix) @ np.abs(x)
        return bool(
            self.integral(x)
            and (x >= first.lower - slack).all()
            and (x <= first.upper + slack).all()
            and (row >= first.row_lower - slack * size).all()
            and (row <= first.row_upper + slack * size).all()
        )

    def modelled(self, x: Floats) -> float:
        """Cost of a point by the cuts: never above its true cost."""
        return total_cost(self.problem, self.pool.at(x)[0])

    def whole(self, x: Floats) -> Floats:
        """The point with whole numbers where they must be, within its bounds."""
        x = np.clip(x, self.first.lower, self.first.upper)
        x[self.first.integer] = np.round(x[self.first.integer])
        return x

    def begin(self) -> Floats:
        """A point to begin from: best by the cuts there are, for a few scenarios together, or by first-stage costs."""
        if self.pool.complete:
            self.rescaled(self.modelled(np.clip(np.zeros(self.columns), self.first.lower, self.first.upper)))
            known = Lazy(self).solve()
            if known.status == "optimal":
                return known.x[: self.columns]
        step = max(self.count // FIRST_SAMPLE, 1)
        chosen = range(step // 2, self.count, step)
        # where a column may go very far the mean of two points can lie far from both
        apart = APART if self.bounded else 1
        groups = [group for group in (chosen[start::apart] for start in range(apart)) if group]
        with ThreadPoolExecutor(min(self.settings.workers, apart)) as threads:
            found = list(threads.map(self.together, groups))
        if any(each.status == "infeasible" for each in found):
            raise Infeasible
        points = [each.x for each in found if each.x is not None]
        if points:
            # a mean obeys every row of the first stage that each of them obeys
            return np.asarray(np.mean(points, axis=0))
        nothing = Program(
            np.zeros(self.columns),
            0.0,
            self.first.matrix,
            self.first.row_lower,
            self.first.row_upper,
            self.first.lower,
            self.first.upper,
            np.zeros(self.columns, dtype=bool),
        )
        x = Warm().solve(nothing).x
        if len(x) != self.columns:
            raise Infeasible
        return x

    def together(self, scenarios: Sequence[int]) -> TwoStageSolution:
        """The linear relaxation for some scenarios, as one program."""
        share = self.probability[list(scenarios)]
        share = share / share.sum() if share.sum() > 0 else np.full(len(share), 1 / len(share))
        matrix, least, most = legible_rows(self.first)
        few = replace(
            self.problem,
            first=replace(
                self.first,
                matrix=matrix,
                row_lower=least,
                row_upper=most,
                integer=np.zeros(self.columns, dtype=bool),
            ),
            scenarios=tuple(
                self.problem.scenarios[s].changed(probability=p) for s, p in zip(scenarios, share, strict=True)
            ),
            cvar_limit=None,
        )
        # what lies beyond the ceiling of all scenarios may not lie beyond that of a few
        return solve_extensive(few, replace(self.settings, time_limit=self.left(), ceiling=np.inf))

    def sample(self) -> Floats | None:
        """Solve a spaced sample of the scenarios; keep its cuts, and try its best point; gives its centre."""
        step = max(self.count // SAMPLE, ONE_IN)
        chosen = np.arange(step // 2, self.count, step)
        share = self.probability[chosen]
        if share.sum() <= 0:
            return None
        scenarios = tuple(
            self.problem.scenarios[int(s)].changed(probability=float(p))
            for s, p in zip(chosen, share / share.sum(), strict=True)
        )
        left = self.left()
        settings = replace(self.settings, time_limit=None if left is None else 0.3 * left)
        problem = replace(self.problem, scenarios=scenarios, cvar_limit=None)
        # what lies beyond the ceiling of all scenarios may not lie beyond that of a sample
        settings = replace(settings, ceiling=np.inf, gap=SAMPLE_GAP * settings.gap)
        part = Search(problem, settings, self.executor, None, time.perf_counter())
        centre: Floats | None = None
        try:
            whole = bool(self.first.integer.any())
            relaxed = part.relax(part.begin(), 200)
            centre = relaxed.centre
            if whole:
                part.improve(relaxed)
        except Stopped:
            self.check()
        except Unbounded:
            return None
        kept = part.kept()
        self.reuse(replace(kept, scenario=chosen[kept.scenario], bases=(), points=()))
        # a scenario starts from where its nearest neighbour of the sample ended
        self.bases = [part.bases[int(np.argmin(np.abs(chosen - number)))] for number in range(self.count)]
        self.order(np.concatenate([np.setdiff1d(np.arange(self.count), chosen), chosen]))
        if part.x is not None:
            self.evaluate(part.x)
        return centre

    def feasible(self) -> bool:
        """Whether any point is feasible, whatever it costs."""
        return solve_extensive(_without_costs(self.problem), self.settings).status != "infeasible"

    def kept(self) -> Cuts:
        """Dual vectors of every cut that says most at some point asked for; the others would change nothing there.

        Points remembered from another search count too: what it learned is not lost to the search after this one.
        """
        pool = self.pool
        points = [*self.remembered, *pool.asked]
        used: set[tuple[int, int]] = set()
        held = np.array([known.dual is not None for known in pool.layers], dtype=bool)
        for costs, layer in pool.at_all(points) if pool.layers else ():
            told = np.flatnonzero(np.isfinite(costs) & held[layer])
            used.update(zip(layer[told].tolist(), told.tolist(), strict=True))
        order, rays = sorted(used), Duals(dual for _, dual in pool.ray_dual)
        return Cuts(
            np.array([s for _, s in order] + [s for s, _ in pool.ray_dual], dtype=np.int64),
            np.array([False] * len(order) + [True] * len(pool.ray_dual), dtype=bool),
            Strung([*pool.duals(*np.array(order).reshape(-1, 2).T), rays]),
            tuple(self.settled or self.bases),
            tuple(points[-REMEMBERED:]),
            self._known(),
        )

    def _known(self) -> Known | None:
        """The best point and its recourse, where that is at hand."""
        if self.x is None or not len(self.placed):
            return None
        before = self.known
        same = before is not None and np.array_equal(self.x, before.x)
        asked = before.asked if before is not None and same else self._asked(self.x, np.arange(self.count))
        return Known(self.x, Duals.of(self.placed), asked, fingerprints_of(self.problem.scenarios))

    def _asked(self, x: Floats, scenarios: Ints) -> NDArray[np.uint64]:
        """Fingerprint of the recourse problem of some scenarios at a first-stage point."""
        return np.array([self.recourse[number].opened().asked(x) for number in scenarios.tolist()], dtype=np.uint64)

    def reuse(self, cuts: Cuts) -> None:
        """Cuts from dual vectors kept from another solve; those that do not fit are left out."""
        self.remembered = [point for point in cuts.points if len(point) == self.columns]
        known = cuts.known
        if known is not None and len(known.x) == self.columns and len(known.asked) == self.count:
            asked = known.asked.copy()
            of = fingerprints_of(self.problem.scenarios)
            moved = np.ones(self.count, dtype=bool) if known.of is None else (of != known.of).any(axis=1)
            asked[moved] = self._asked(known.x, np.flatnonzero(moved))
            self.known = replace(known, asked=asked, of=of)
            for number in np.flatnonzero(asked == known.asked).tolist():
                self.answered[number] = known.recourse[number]
        for number, basis in enumerate(cuts.bases[: self.count]):
            self.bases[number] = basis
        duals = Duals.of(cuts.dual)
        order = np.argsort(cuts.scenario, kind="stable")
        ends = np.searchsorted(cuts.scenario[order], np.arange(self.count + 1))
        found: list[tuple[Ints, Ints, Floats, Floats]] = []
        for number in range(self.count):
            recourse = self.recourse[number].opened()
            mine = order[ends[number] : ends[number + 1]]
            rows = recourse.matrix.shape[0]
            mine = mine[duals.sizes[mine] == rows]
            if not mine.size:
                continue
            table = duals.table(mine.tolist(), rows)
            rays = cuts.ray[mine]
            constants, slopes, good = recourse.floors(table, rays)
            for place in np.flatnonzero(good & rays).tolist():
                self.pool.add_ray(float(constants[place]), -slopes[place], number, table[place])
            good &= ~rays
            constants, slopes = constants[good] + self.offset[number], self.first_cost[number] - slopes[good]
            found.append((np.full(len(constants), number), mine[good], constants, slopes))
        if not found:
            return
        numbers, places, constant, slope = (np.concatenate([part[entry] for part in found]) for entry in range(4))
        # the first cut of every scenario makes the first layer, and so on
        depth = np.arange(len(numbers)) - np.searchsorted(numbers, numbers)
        for own in (np.flatnonzero(depth == layer) for layer in range(int(depth.max(initial=-1)) + 1)):
            self.pool.add(numbers[own], constant[own], slope[own], duals.some(places[own]))

    def raise_bound(self, bound: float) -> None:
        """Take a bound; never above the incumbent, beyond which there is nothing to say."""
        self.bound = max(self.bound, min(bound, self.objective))

    @property
    def gap(self) -> float:
        """Relative gap between the best point and the bound."""
        return relative_gap(self.objective, self.bound)

    @property
    def done(self) -> bool:
        """Whether the gap asked for is reached, or what is left cannot be told from rounding errors."""
        return self.beyond or (self.near and self.objective <= self.ceiling)

    @property
    def near(self) -> bool:
        """Whether the best point is as near its bound as the gap asked for."""
        return self.x is not None and self.objective - self.bound <= self.slack

    @property
    def beyond(self) -> bool:
        """Whether no plan can cost less than the ceiling."""
        return self.bound >= self.ceiling

    @property
    def slack(self) -> float:
        """Distance of bound and incumbent that is close enough.

        Costs of scenarios may cancel out to about zero, of which no gap is a share: rounding errors of theirs count.
        """
        if self.costs is None:
            return np.inf
        return max(self.settings.gap * abs(self.objective), ROUNDING * max(1.0, float(np.abs(self.costs).mean())))

    def tell(self) -> None:
        """Tell whoever listens where the search stands."""
        if self.progress is not None:
            seconds = time.perf_counter() - self.began
            self.progress(Round(self.rounds, self.objective, self.bound, self.gap, seconds))

    # the linear relaxation

    def relax(self, point: Floats, most_rounds: int) -> Relaxed:
        """Solve the linear relaxation to the gap asked for, cutting between the master's point and the best point so far.

        Parameters
        ----------
        point : where the first cuts are made, [column]
        """
        gap = self.settings.gap
        whole = bool(self.first.integer.any())
        best, merit, centre, bound, outward = np.inf, np.inf, point, -np.inf, OUTWARD
        x, settled = point, np.inf
        master: Lazy | None = None
        complete, bounded = False, -1
        for _ in range(most_rounds):
            foretold = self.modelled(point) if complete else -np.inf
            best = min(best, self.evaluate(point))
            told = self.merit - foretold
            improved = self.merit < merit
            if improved:
                merit, centre = self.merit, point
                if self.rescaled(merit):
                    master = None
            if master is None or bounded != self.pool.bounded:
                # a scenario's cost is held at zero until it has a cut, and let free with it
                complete, bounded = self.pool.complete, self.pool.bounded
                master = Lazy(self)
            found = master.solve()
            if found.status == "stopped":
                raise Stopped
            if found.status == "infeasible":
                raise Infeasible
            if found.status != "optimal":
                raise SolverError(f"the master of the decomposition ended as {found.status}")
            x, value = found.x[: self.columns], found.bound * self.unit
            free = (x < 0.999 * self.box) | np.isfinite(self.first.upper)
            inside = bool((free & ((x > -0.999 * self.box) | np.isfinite(self.first.lower))).all())
            raised = False
            if complete and inside:
                raised = value > bound + 0.1 * (merit - bound)
                bound = max(bound, value)
                self.raise_bound(value)
                if self.done and (self.beyond or not whole):
                    break
            # whole numbers come later: until then the centre may miss a little what scenarios need
            close = relative_gap(merit, value) <= gap
            if complete and close and (whole or relative_gap(best, value) <= gap):
                # the least cost within a box is convex in its size: where a larger box gains nothing, none ever does
                if inside or value >= settled - gap * max(abs(value), 1.0):
                    self.raise_bound(value)
                    break
                settled = value
                if self.recedes():
                    raise Unbounded
                if self.box == BOXES[-1]:
                    raise SolverError("first-stage columns without bounds grow beyond 1e10: give them bounds")
                self.box, master = BOXES[BOXES.index(self.box) + 1], None
            # where the cuts knew nearly all there was, what they do not know lies farther out
            telling = told > TOLD * (merit - value) and (improved or raised)
            outward = OUTWARD if telling else min(2 * outward, 1.0)
            point = outward * x + (1 - outward) * centre if np.isfinite(merit) and not close else x
        return Relaxed(x, centre, best, bound)

    def recall(self, start: Floats | None) -> Relaxed | None:
        """Where whole-number points are looked for from, by the cuts there are; None where they, or bounds, leave it unbounded.

        The best point of the earlier solve is evaluated, or that of the points remembered which is best by the cuts: nothing
        that costs more is looked for.
        """
        if start is not None:
            self.remembered.append(start)
        if not self.pool.complete or not self.bounded:
            return None
        self.rescaled(self.modelled(self.first.lower))
        from_points = self.ONE_TREE and bool(self.remembered)
        relaxed = None if from_points else self.relaxed_by_cuts()
        if relaxed is None and not from_points:
            return None
        known = [] if self.beyond else [point for point in self.remembered if self.allowed(point)]
        best = min(known, key=self.modelled, default=None)
        before = self.known
        if known and before is not None and 2 * len(self.answered) > self.count and self.allowed(before.x):
            # what most scenarios answer there is known
            self.evaluate(before.x, self.ceiling)
        elif best is not None and (self.x is None or self.modelled(best) < self.cutoff(0.999)):
            self.evaluate(best, self.ceiling)
        if relaxed is None:
            # the tree finds the relaxation's point from these; to find it first takes a third of the time of the tree
            last = self.remembered[-1]
            relaxed = Relaxed(last if best is None else best, last, np.inf, -np.inf)
        return relaxed

    def relaxed_by_cuts(self) -> Relaxed | None:
        """The linear relaxation by the cuts there are, and what it says of the bound; None where they leave it unbounded."""
        found = Lazy(self, quick=True).solve()
        if found.status == "stopped":
            raise Stopped
        if found.status == "infeasible":
            raise Infeasible
        if found.status != "optimal":
            return None
        x, bound = found.x[: self.columns], found.bound * self.unit
        self.raise_bound(bound)
        return Relaxed(x, x, np.inf, bound)

    def rescaled(self, cost: float) -> bool:
        """Whether the unit of money had to change so that the master sees costs of about a hundred."""
        unit = 2.0 ** round(np.log2(max(abs(cost), 1.0) / 100.0))
        if 1 / 16 <= unit / self.unit <= 16:
            return False
        self.unit = unit
        return True

    def recedes(self) -> bool:
        """Whether some direction lowers cost for ever: the same problem with every finite bound at zero, in a box."""

        def cone(stage: Stage) -> Stage:
            return replace(
                stage,
                lower=np.where(np.isfinite(stage.lower), 0.0, -1.0),
                upper=np.where(np.isfinite(stage.upper), 0.0, 1.0),
                row_lower=np.where(np.isfinite(stage.row_lower), 0.0, -np.inf),
                row_upper=np.where(np.isfinite(stage.row_upper), 0.0, np.inf),
                integer=np.zeros(len(stage.cost), dtype=bool),
            )

        limit = None if self.problem.cvar_limit is None else 0.0
        scenarios = tuple(s.changed(recourse=cone(s.recourse), offset=0.0) for s in self.problem.scenarios)
        directions = replace(self.problem, first=cone(self.first), scenarios=scenarios, cvar_limit=limit)
        return solve_extensive(directions, replace(self.settings, time_limit=self.left())).objective < -1e-7

    # whole numbers

    def clusters(self, count: int, points: Sequence[Floats]) -> list[Ints]:
        """Scenarios in groups that answer the first stage alike: by slope of their cuts at some points."""
        if count >= self.count:
            return [np.array([s]) for s in range(self.count)]
        features = []
        for point in points:
            features.append(self.pool.cuts_of(self.pool.at(point)[1])[1])
        table = np.concatenate(features, axis=1)
        spread = table.std(axis=0)
        table = table[:, spread > 0]
        if not table.shape[1]:
            return [np.array(part) for part in np.array_split(np.arange(self.count), count)]
        return alike(table * self._reach[np.tile(np.arange(self.columns), len(points))[spread > 0]], count)

    @property
    def _reach(self) -> Floats:
        """How far each column can go: weights slopes by what they can do."""
        span = self.first.upper - self.first.lower
        return np.where(np.isfinite(span), np.minimum(span, 1e3), 1.0)

    def improve(self, relaxed: Relaxed) -> None:
        """Find whole-number points and prove the best of them: in one tree, and by HiGHS where that does not end."""
        self.relaxed = relaxed
        if self.bounded and self.pool.complete:
            self.branch(self.clustered(FEW_CLUSTERS, relaxed), relaxed.centre)
        if not self.done:
            self.prove(self.clustered(CLUSTERS, relaxed), relaxed.centre)

    def clustered(self, count: int, relaxed: Relaxed) -> Clustered:
        """A master over so many groups of scenarios, with the cuts around the relaxation and the best point."""
        model = Clustered(self, self.clusters(count, [relaxed.x, relaxed.centre]))
        for point in (relaxed.x, relaxed.centre, *([] if self.x is None else [self.x])):
            model.cut_at(point)
        return model

    def branch(self, model: Clustered, centre: Floats) -> None:
        """Whole-number points of a master in one tree; no more than so many nodes of it.

        A node takes a thousandth of a second or two, and what is cut off at one is cut off at all.
        """
        tree = model.tree()
        seen = set()
        around = bool(self.remembered)
        while not self.done:
            limit = self.cutoff(0.999)
            found = tree.best(limit / self.unit, NODES)
            self.raise_bound(min(tree.bound * self.unit, limit))
            if found is None:
                if tree.bound == np.inf and self.x is None and limit == np.inf:
                    raise Infeasible
                break
            point = self.whole(found[: self.columns])
            if point.tobytes() in seen:
                break
            seen.add(point.tobytes())
            self.explore(point, centre, around)

    def prove(self, model: Clustered, centre: Floats) -> None:
        """Whole-number points of a master, solved anew for every cut, until none can be better by more than the gap."""
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
            added = model.cut_at(point, found.x)
            if not added:
                if point.tobytes() in settled:
                    # no cut can tell more: what is left between the bounds is a rounding error
                    break
                settled.add(point.tobytes())
                self.explore(point, centre, False)
                model.cut_at(point, found.x)
            for passed in found.passed:
                model.cut_at(passed[: self.columns], passed)

    def explore(self, point: Floats, centre: Floats, around: bool) -> None:
        """Cuts that say what a point costs, or that it hardly betters the incumbent.

        Where cuts do not tell what lies ``around`` already, the way in from the point tells more than the point itself.
        """
        limit = self.cutoff(0.999)
        if not around:
            self.evaluate(point + INWARD * (centre - point))
        if limit == np.inf or self.modelled(point) < limit:
            self.evaluate(point, limit)

    def cutoff(self, share: float) -> float:
        """Cost below which a point improves on the incumbent by more than a share of the gap; never above the ceiling."""
        if self.x is None or self.objective > self.ceiling:
            return self.ceiling
        return self.objective - share * self.slack

    def heed(self, found: highs.Outcome, cutoff: float) -> None:
        """Take what a search of the whole master below ``cutoff`` says of the bound."""
        if found.status == "unbounded":
            raise SolverError("first-stage columns without bounds can grow at no cost: give them bounds")
        if found.status == "infeasible":
            if cutoff == np.inf:
                raise Infeasible
            self.raise_bound(cutoff)
            return
        self.raise_bound(min(found.bound * self.unit, cutoff))
        if found.status == "stopped":
            raise Stopped


def _without_costs(problem: TwoStageProblem) -> TwoStageProblem:
    """The same problem at no cost: what is left is whether anything is feasible.

    A limit on the tail is left out: where cost can fall for ever it can be met.
    """

    def free(stage: Stage) -> Stage:
        return replace(stage, cost=np.zeros(len(stage.cost)))

    scenarios = tuple(
        s.changed(recourse=free(s.recourse), first_stage_cost=None, offset=0.0) for s in problem.scenarios
    )
    return replace(problem, first=free(problem.first), scenarios=scenarios, risk_weight=0.0, cvar_limit=None)
