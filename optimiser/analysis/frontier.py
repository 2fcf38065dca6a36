"""What each further pound of capital buys: the best cost at every envelope, and where plans change.

Best cost never rises with the envelope. So a bound at one envelope holds for every smaller one, and a plan is feasible at
every envelope from the capital that it uses: between what a plan uses and the envelope it was found for nothing is left to
solve. An envelope is rounded down to the largest sum of home prices that can be reached, since what is left over buys
nothing. The complete list steps below the capital just used until none is used; what one envelope teaches of the placements
serves every other, since capital is limited in the first stage only.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, replace

import numpy as np

from models.decisions import Decisions
from models.problem import COST_TERMS, Envelope, Problem
from optimiser.analysis.appraisal import heaviest_leaf, max_on_paths
from optimiser.analysis.planning import (
    Asked,
    Told,
    asked_row,
    instance_row,
    prepare,
    refuse_if_stopped,
    rounding,
    tail_mean_of,
    versions,
)
from optimiser.analysis.slippage import Slippage
from optimiser.errors import Fault, InfeasibleError, InstanceError, NoPlanError, SolverError
from optimiser.finance import whole_pounds
from optimiser.instance.schema import Instance
from optimiser.plan import Plan, Row, break_even, decisions_table, expected_terms, titles_of
from optimiser.solve.engine import WORKERS, Engine, Found, stopped_by_hand
from optimiser.solve.executor import executor
from optimiser.solve.highs import relative_gap
from optimiser.solve.twostage import Round, Settings
from optimiser.verify import verify

#: The next pounds whose worth is told at every point.
NEXT = 1_000_000.0
#: Envelopes of a grid at most.
MANY_ENVELOPES = 10_000
#: Sums of home prices beyond which envelopes are not rounded down to them.
MANY_SUMS = 20_000
#: Capital that is paid for by the saving on everything else.
CAPITAL_TERMS = ("capital", "residual")


@dataclass(frozen=True)
class Grid:
    """Envelopes to look at, £: from ``low`` to ``high``, ``step`` apart."""

    low: float
    high: float
    step: float

    @property
    def limits(self) -> tuple[float, ...]:
        """Every envelope of the grid, the highest always among them."""
        count = int(np.floor((self.high - self.low) / self.step + 1e-9))
        found = [self.low + place * self.step for place in range(count + 1)]
        return tuple(found if self.high - found[-1] < 0.005 else [*found, self.high])


@dataclass(frozen=True)
class Limited:
    """The capital that is varied: envelopes in total, or what they release in one financial year.

    Several envelopes are varied together: each has the same share of every amount.
    """

    envelopes: tuple[int, ...]
    year: int | None  # None: in total
    shares: tuple[float, ...] = (1.0,)

    def at(self, problem: Problem, limit: float) -> Problem:
        """The problem with this much capital, the rest of the envelopes as it was."""
        envelopes = list(problem.envelopes)
        for place, part in zip(self.envelopes, self.shares, strict=True):
            envelopes[place] = self._with(problem, envelopes[place], limit if part == 1 else round(part * limit, 2))
        return replace(problem, envelopes=tuple(envelopes))

    def _with(self, problem: Problem, own: Envelope, amount: float) -> Envelope:
        """One envelope with its part of a limit."""
        if self.year is None:
            return replace(own, total=amount)
        whole = Limited((problem.envelopes.index(own),), None)
        ample = whole.enough(problem) if own.total is None else own.total
        by_year = (ample,) * len(problem.financial_years) if own.by_year is None else own.by_year
        carry = own.carry_forward and own.by_year is not None
        years = tuple(amount if place == self.year else before for place, before in enumerate(by_year))
        return replace(own, by_year=years, carry_forward=carry)

    def amounts(self, problem: Problem) -> np.ndarray:
        """Capital that one home begun at each place takes of all of it, £, [begin]."""
        return np.array(np.max([self._amounts(problem, problem.envelopes[place]) for place in self.envelopes], axis=0))

    def sums(self, problem: Problem) -> tuple[float, ...] | None:
        """Every limit at which one more sum of home prices can be reached in an envelope, rising, £ rounded up to the penny.

        None where there are too many.
        """
        found: set[float] = set()
        for place, part in zip(self.envelopes, self.shares, strict=True):
            reached = _reached(problem, self._amounts(problem, problem.envelopes[place]))
            if reached is None:
                return None
            found |= {_up(amount / part) if part else 0.0 for amount in reached}
        return tuple(sorted(found)) if len(found) <= MANY_SUMS else None

    def enough(self, problem: Problem) -> float:
        """A limit beyond which nothing more can be bought, £."""
        found = 0.0
        for place, part in zip(self.envelopes, self.shares, strict=True):
            envelope = problem.envelopes[place]
            amounts = self._amounts(problem, envelope)
            reached = _reached(problem, amounts)
            most = float(amounts.max(initial=0.0)) * sum(group.limit for group in problem.home_groups)
            most = most if reached is None else reached[-1]
            if self.year is not None and envelope.total is not None:
                most = min(most, envelope.total)
            found = max(found, _up(most / part) if part else 0.0)
        return found

    def used(self, problem: Problem, decisions: Decisions) -> float:
        """The least limit that affords decisions, on the path of the tree that takes most, £ to the penny."""
        found = 0.0
        for place, part in zip(self.envelopes, self.shares, strict=True):
            taken = self._most(problem, decisions, self._amounts(problem, problem.envelopes[place]))
            if taken:
                found = max(found, taken if part == 1 else _up(taken / part) if part else np.inf)
        return found

    def taken(self, problem: Problem, decisions: Decisions) -> float:
        """Capital that decisions take of all of it together, on the path of the tree that takes most, £ to the penny."""
        return self._most(problem, decisions, self.amounts(problem))

    def _amounts(self, problem: Problem, envelope: Envelope) -> np.ndarray:
        return np.array(
            [
                float(problem.planning_capital[begin.home, begin.period])
                if begin.home in envelope.homes and self.year in (None, int(problem.period_year[begin.period]))
                else 0.0
                for begin in problem.begins
            ]
        )

    def _most(self, problem: Problem, decisions: Decisions, amounts: np.ndarray) -> float:
        taken = amounts * decisions.homes_begun
        most = max(
            sum(taken[place] for place, begin in enumerate(problem.begins) if begin.node in problem.path_to(leaf))
            for leaf in problem.leaves
        )
        return round(float(most), 2)


def _up(amount: float) -> float:
    """Rounded up to the penny."""
    return abs(float(np.ceil(amount * 100 - 1e-4) / 100))


def _reached(problem: Problem, amounts: np.ndarray) -> tuple[float, ...] | None:
    """Every amount of capital that homes begun along one path can come to, rising, £ rounded up to the penny.

    Held to what each group of homes allows, and to nothing else, so that none is missed. None where there are too many.

    Parameters
    ----------
    amounts
        Capital of one home begun at each place, £, [begin].
    """
    prices: dict[tuple[int, float], None] = {}
    for begin, amount in zip(problem.begins, amounts, strict=True):
        prices[(begin.home, float(amount))] = None
    # (capital, homes begun of each group): what one more price can be added to
    reached: set[tuple[float, tuple[int, ...]]] = {(0.0, (0,) * len(problem.home_groups))}
    for home, price in prices:
        own = [place for place, group in enumerate(problem.home_groups) if home in group.members]
        grown = set(reached)
        for capital, counts in reached:
            more = list(counts)
            amount = capital
            while all(more[place] < problem.home_groups[place].limit for place in own):
                for place in own:
                    more[place] += 1
                amount += price
                grown.add((round(amount, 6), tuple(more)))
        reached = grown
        if len(reached) > MANY_SUMS:
            return None
    return tuple(sorted({_up(amount) for amount, _ in reached}))


@dataclass(frozen=True, eq=False)
class Solved:
    """The best plan found within one envelope, the capital it uses, and a bound on every plan within it; None for none."""

    limit: float
    used: float
    plan: Plan | None
    bound: float
    stopped: bool

    @property
    def objective(self) -> float:
        """Objective of the plan; infinite without one."""
        return np.inf if self.plan is None else self.plan.verified.objective


@dataclass(frozen=True, eq=False)
class Stretch:
    """Envelopes over which one plan is best within the gap: from what it uses to the largest that was proven.

    ``bound`` holds at every envelope up to ``until``. ``below`` is the bound at the next envelope that buys less: where the
    plan costs less than that, no smaller envelope buys as little cost.
    """

    solved: Solved
    until: float
    bound: float
    below: float | None

    @property
    def least(self) -> bool:
        """Whether it is proven that no smaller envelope does as well."""
        return self.solved.used <= 0 or (self.below is not None and bool(self.below > self.solved.objective))


class Curve:
    """Best cost by envelope: what has been solved, and what that says of every other envelope."""

    def __init__(
        self,
        instance: Instance,
        engine: Engine,
        limited: Limited,
        settings: Settings,
        progress: Callable[[Round], None] | None = None,
    ) -> None:
        self.instance, self.engine, self.limited, self.settings = instance, engine.stand(), limited, settings
        self.progress = progress
        self.sums = limited.sums(engine.problem)
        self.solved: list[Solved] = []
        self.seconds: list[float] = []

    # what is known

    def floor(self, limit: float) -> float:
        """The largest amount within an envelope that can be spent, £."""
        if self.sums is None:
            return limit
        return self.sums[max(int(np.searchsorted(self.sums, limit + 0.005)) - 1, 0)]

    def below(self, used: float) -> float:
        """The largest amount that can be spent below one that is used, £."""
        return self.floor(used - 0.01) if self.sums is not None else max(used - 0.01, 0.0)

    def bound(self, limit: float) -> float:
        """No plan within this envelope costs less: a bound at a larger one holds here."""
        return max((each.bound for each in self.solved if each.limit >= self.floor(limit) - 0.005), default=-np.inf)

    def best(self, limit: float) -> Solved | None:
        """The cheapest plan found that this envelope affords; of equals the one that takes least."""
        affordable = [each for each in self.solved if each.plan is not None and each.used <= limit + 0.005]
        return min(affordable, key=lambda each: (each.objective, each.used), default=None)

    def settled(self, limit: float) -> bool:
        """Whether best cost at this envelope is known to within the gap, or that there is no plan."""
        best, bound = self.best(limit), self.bound(limit)
        return bound == np.inf or (best is not None and relative_gap(best.objective, bound) <= self.settings.gap)

    # finding out

    def solve(self, limit: float) -> Solved:
        """Solve within one envelope, from all that was learned before."""
        began = time.process_time()
        limit = self.floor(limit)
        # each search adds to what the ones before have learned
        self.engine = self.engine.under(self.limited.at(self.engine.problem, limit))
        known = self.best(limit)
        start = None if known is None or known.plan is None else known.plan.decisions
        found = self.engine.search(self.settings, start=start, progress=self.progress)
        stopped = found.status == "stopped"
        if isinstance(found, Found):
            plan = _verified(self.instance, self.engine.problem, found)
            # the recomputation adds up in another order: a bound is no more than the cost of what it bounds
            cost = plan.verified.objective
            bound = min(found.bound, cost) if found.bound <= cost + 1e-9 * abs(cost) else found.bound
            solved = Solved(limit, self.limited.used(plan.problem, plan.decisions), plan, bound, stopped)
        else:
            solved = Solved(limit, 0.0, None, -np.inf if stopped else np.inf, stopped)
        self.solved.append(solved)
        self.seconds.append(time.process_time() - began)
        self.check()
        return solved

    def take(self, limit: float, other: Solved) -> None:
        """Take over what was solved without this limit, which an envelope so large does not feel."""
        if other.plan is not None:
            used = self.limited.used(other.plan.problem, other.plan.decisions)
            self.solved.append(replace(other, limit=self.floor(limit), used=used))

    def check(self) -> None:
        """Costs never rise with the envelope: no bound lies above a plan that its envelope affords.

        Raises
        ------
        SolverError
            Where one does, so that one of the two is wrong.
        """
        for each in self.solved:
            cheapest = self.best(each.limit)
            if cheapest is not None and each.bound > cheapest.objective + 1e-6 * max(abs(cheapest.objective), 1.0):
                raise SolverError(
                    f"at an envelope of {whole_pounds(each.limit)} the bound, {each.bound:,.0f}, lies above a plan that costs "
                    f"{cheapest.objective:,.0f}: one of the two is wrong"
                )

    def trace(self, limits: Iterable[float], told: Callable[[str], None] | None = None) -> bool:
        """Settle envelopes; whether all are.

        The largest first, whose bound holds for all; then the smallest and so on up: what one affords so does the next, and a
        search that begins with a good plan is a short one.
        """
        rising = sorted({self.floor(limit) for limit in limits})
        for limit in [*rising[-1:], *rising[:-1]]:
            if self.settled(limit):
                continue
            if told is not None:
                told(f"an envelope of {whole_pounds(limit)} ({len(self.solved)} solved)")
            if self.settings.stop is not None and self.settings.stop.is_set():
                return False
            if self.solve(limit).stopped:
                return False
        return True

    def descend(self, top: float, told: Callable[[str], None] | None = None) -> bool:
        """Step below the capital just used until none is used, or no plan is left; whether it came so far."""
        limit = self.floor(top)
        while True:
            if not self.trace([limit], told):
                return False
            best = self.best(limit)
            if best is None or best.used <= 0:
                return True
            limit = self.below(best.used)

    def stretches(self, limits: Iterable[float]) -> list[Stretch]:
        """Plans that are best over stretches of envelopes, rising; steps smaller than the gap are merged into the smaller.

        ``limits`` are envelopes, all settled; a plan counts from what it uses.
        """
        found: list[Stretch] = []
        for limit in sorted(set(limits), reverse=True):
            best, bound = self.best(limit), self.bound(limit)
            if best is None:
                continue
            if found:
                above = found[-1]
                if best is above.solved:
                    continue
                # the plan below does for the envelopes above as well: what lies between is smaller than the gap
                if relative_gap(best.objective, above.bound) <= self.settings.gap:
                    found[-1] = Stretch(best, above.until, above.bound, None)
                    continue
            found.append(Stretch(best, limit, bound, None))
        rising = found[::-1]
        return [
            replace(each, below=self.bound(self.below(each.solved.used)) if each.solved.used > 0 else None)
            for each in rising
        ]


def _verified(instance: Instance, problem: Problem, found: Found) -> Plan:
    verified = verify(problem, found.decisions, found.placements)
    if verified.violations:
        first = "; ".join(str(violation) for violation in verified.violations[:3])
        raise SolverError(f"the independent recomputation rejects what the solver returned: {first}")
    return Plan(instance, problem, found, verified)


# the document


def frontier(
    instance: Instance,
    asked: Asked,
    told: Told | None = None,
    grid: Grid | None = None,
    by: str = "total",
    envelope: str | None = None,
) -> tuple[list[list[Stretch]], Row]:
    """Best plans by capital envelope, and the document.

    Parameters
    ----------
    grid
        Envelopes to look at; every plan between no capital and enough where left out.
    by
        ``total`` varies the envelope in total; ``year`` varies what it releases in one financial year, one year after the
        other, the rest as the instance has it.
    envelope
        Name of the envelope that is varied; all of them together, each with its share, where left out.

    Raises
    ------
    InstanceError
        Where no home takes capital, so that an envelope means nothing, or no envelope has the name.
    InfeasibleError, NoPlanError, SolverError
        As for a plan, at the largest envelope.
    """
    told = told or Told()
    began = time.perf_counter()
    with stopped_by_hand() as stop, executor(asked.cluster, WORKERS) as pool:
        told.step("drawing futures and building the model")
        unchanged = instance
        instance, engine = prepare(instance, asked, pool)
        refuse_if_stopped(stop)
        engine = _with_envelope(engine)
        places = _places(engine.problem, envelope)
        totals = [engine.problem.envelopes[place].total for place in places]
        own = None if None in totals else float(sum(total or 0.0 for total in totals))
        if asked.start is not None:
            engine.take_up(asked.start)
        settings = Settings(gap=asked.gap, time_limit=asked.time_limit, stop=stop)
        found: list[tuple[Curve, list[Stretch], bool]] = []
        shared: Solved | None = None
        for limited in _varied(engine.problem, by, places):
            curve = Curve(instance, engine, limited, settings, told.search)
            complete = _follow(curve, grid, shared, told)
            shared = shared or next(each for each in curve.solved)
            found.append((curve, curve.stretches(_looked_at(curve, grid, complete)), complete))
            engine = curve.engine
            if not complete:
                break
            if stop.is_set():
                break
        by_curve = [
            _points(curve, stretches, grid, sum(len(each) for _, each, _ in found[:place]))
            for place, (curve, stretches, _) in enumerate(found)
        ]
        rows = [row for points in by_curve for row in points]
        located = _own_point(found[0][0], found[0][1], own)
        if asked.slippage.any and rows and not stop.is_set():
            _tell_before(unchanged, asked, engine, [curve for curve, _, _ in found], by_curve, located, settings, told)
    if not rows:
        raise NoPlanError(
            "stopped before any plan was found: allow more time (--time-limit) or fewer futures (--scenarios)"
        )
    first = found[0][0]
    plan = next(each.plan for each in first.solved if each.plan is not None)
    seconds = [spent for curve, _, _ in found for spent in curve.seconds]
    document: Row = {
        "document": "frontier/1",
        "instance": instance_row(instance),
        "titles": titles_of(instance),
        "unregistered_name": plan.problem.unregistered_name,
        "envelope": " and ".join(plan.problem.envelopes[place].name for place in places),
        "envelopes": [
            {"name": plan.problem.envelopes[place].name, "share": part}
            for place, part in zip(places, first.limited.shares, strict=True)
        ],
        "envelopes_held": [
            {"name": each.name, "limit_gbp": each.total}
            for place, each in enumerate(plan.problem.envelopes)
            if place not in places
        ],
        "slipped": asked.slippage.words,
        "asked": asked_row(plan, asked),
        "by": by,
        "grid": None if grid is None else asdict(grid),
        "own_limit_gbp": own,
        "enough_gbp": [curve.limited.enough(curve.engine.problem) for curve, _, _ in found],
        "futures": len(plan.problem.scenarios),
        "seed": instance.settings.seed if asked.seed is None else asked.seed,
        "gap_asked": asked.gap,
        "complete": all(complete for _, _, complete in found),
        "next_gbp": NEXT,
        "cvar_level": plan.problem.cvar_level,
        "capital_in_running_cost": instance.settings.financing_in_running_cost,
        "rounding_gbp": rounding(plan.verified.expected_cost),
        "points": rows,
        "own": located,
        "solves": len(seconds),
        "versions": versions(),
        "timings": {
            "total_seconds": time.perf_counter() - began,
            "first_processor_seconds": seconds[0],
            "further_processor_seconds": sum(seconds[1:]),
        },
    }
    return [stretches for _, stretches, _ in found], document


def _with_envelope(engine: Engine) -> Engine:
    """The engine with an envelope over all homes where the instance has none."""
    problem = engine.problem
    if not problem.begins or not max(float(problem.planning_capital[b.home, b.period]) for b in problem.begins) > 0:
        fix = "Ask for a frontier where homes may be begun, or give capital_gbp in homes.csv."
        raise InstanceError([Fault("homes.csv", None, "capital_gbp", "", "asks for no capital", fix)], "the instance")
    if problem.envelopes:
        return engine
    every = Envelope("capital", tuple(range(len(problem.homes))), None, None, True)
    return engine.under(replace(problem, envelopes=(every,)))


def _places(problem: Problem, name: str | None) -> tuple[int, ...]:
    """Positions of the envelopes that are varied: all, or the one of a name."""
    names = [each.name for each in problem.envelopes]
    if name is None:
        return tuple(range(len(names)))
    if name not in names:
        fix = f"Name one of {', '.join(names)}, or leave it out to vary all of them together."
        raise InstanceError([Fault("the command", None, "--envelope", name, "is no envelope", fix)], "the command")
    return (names.index(name),)


def _varied(problem: Problem, by: str, places: tuple[int, ...]) -> list[Limited]:
    """What is varied: envelopes in total, or in each financial year in which they can be spent."""
    if by == "total":
        return [Limited(places, None, _shares(problem, places, None))]
    found = []
    for year in range(len(problem.financial_years)):
        limited = Limited(places, year, _shares(problem, places, year))
        if limited.amounts(problem).any():
            found.append(limited)
    return found


def _shares(problem: Problem, places: tuple[int, ...], year: int | None) -> tuple[float, ...]:
    """Share of each envelope in every amount: as its own limit, or what all its homes cost where it has none."""
    if len(places) == 1:
        return (1.0,)
    weights = []
    for place in places:
        own = problem.envelopes[place]
        given = own.total if year is None or own.by_year is None else own.by_year[year]
        weights.append(Limited((place,), year).enough(problem) if given is None else given)
    total = sum(weights)
    return tuple(weight / total for weight in weights) if total > 0 else (1 / len(places),) * len(places)


def _tell_before(
    instance: Instance,
    asked: Asked,
    engine: Engine,
    curves: list[Curve],
    by_curve: list[list[Row]],
    located: Row | None,
    settings: Settings,
    told: Told,
) -> None:
    """Put beside every point what the same envelope bought before anything slipped, from what has been learned."""
    told.step("the same envelopes before the change")
    instance, other = prepare(instance, replace(asked, slippage=Slippage()), engine.executor)
    other = _with_envelope(other)
    kept = engine.keep()
    if kept is not None:
        other.take_up(kept)
    for after, points in zip(curves, by_curve, strict=True):
        curve = Curve(instance, other, after.limited, settings, told.search)
        rows = points if located is None or after is not curves[0] else [*points, located]
        curve.trace([row["capital_limit_gbp"] for row in rows], told.step)
        other = curve.engine
        for row in rows:
            limit = row["capital_limit_gbp"]
            best = curve.best(limit) if curve.settled(limit) else None
            if best is None or best.plan is None:
                continue
            plan = best.plan
            row["before"] = {
                "expected_cost_gbp": plan.verified.expected_cost,
                "objective_gbp": plan.verified.objective,
                "bound_gbp": curve.bound(limit),
                "unregistered_child_weeks": plan.mean(plan.unregistered_child_weeks),
                "homes": int(max_on_paths(plan, plan.decisions.homes_begun)),
            }
            row["slippage_costs_gbp"] = row["expected_cost_gbp"] - row["before"]["expected_cost_gbp"]


def _follow(curve: Curve, grid: Grid | None, shared: Solved | None, told: Told) -> bool:
    """Settle what is asked of a curve; whether all of it is. The largest envelope first, since its bound holds for all."""
    problem, words = curve.engine.problem, ""
    enough = curve.limited.enough(problem)
    if curve.limited.year is not None:
        words = f"{problem.financial_years[curve.limited.year]}: "
    top = enough if grid is None else min(grid.high + NEXT, enough)

    def tell(step: str) -> None:
        told.step(words + step)

    if shared is not None and curve.floor(top) >= curve.floor(enough):
        curve.take(top, shared)
    if not curve.solved:
        tell(f"an envelope of {whole_pounds(curve.floor(top))}")
        first = curve.solve(top)
        if first.plan is None and not first.stopped:
            from optimiser.analysis.clash import explain

            raise InfeasibleError(explain(curve.instance, curve.engine, curve.settings))
        if first.stopped:
            return False
    if grid is None:
        return curve.descend(top, tell)
    # without capital too: every saving is against that
    return curve.trace([*grid.limits, 0.0], tell)


def _looked_at(curve: Curve, grid: Grid | None, complete: bool) -> list[float]:
    """Envelopes at which something is settled."""
    if grid is not None:
        return [limit for limit in (0.0, *grid.limits) if curve.settled(limit)]
    limits = [limit for each in curve.solved for limit in (each.limit, each.used)]
    return [limit for limit in limits if complete or curve.settled(limit) or curve.best(limit) is not None]


def plans_of(curves: Sequence[Sequence[Stretch]]) -> dict[str, Plan]:
    """Plans by the number under which points name them."""
    every = [each.solved.plan for stretches in curves for each in stretches]
    return {str(number): plan for number, plan in enumerate(every, start=1) if plan is not None}


def _points(curve: Curve, stretches: list[Stretch], grid: Grid | None, before: int) -> list[Row]:
    """One row a plan, at the envelope from which it is best; or one a point of the grid.

    ``before`` counts the plans of the curves before this one.
    """
    if not stretches:
        return []
    nothing = stretches[0] if stretches[0].solved.used <= 0 else None
    made: dict[int, Row] = {}

    def row_of(place: int, stretch: Stretch, limit: float, until: float | None) -> Row:
        plan = stretch.solved.plan
        assert plan is not None
        if id(plan) not in made:
            made[id(plan)] = _plan_row(plan, curve.limited, None if nothing is None else nothing.solved.plan)
        bound = stretch.bound
        return {
            "year": None if curve.limited.year is None else plan.problem.financial_years[curve.limited.year],
            "capital_limit_gbp": limit,
            "plan": str(before + place + 1),
            "plan_without_capital": None if nothing is None else str(before + 1),
            "best_from_gbp": stretch.solved.used,
            "best_until_gbp": until,
            "least_envelope_proven": stretch.least,
            "expected_cost_gbp": plan.verified.expected_cost,
            "objective_gbp": plan.verified.objective,
            "bound_gbp": bound if np.isfinite(bound) else None,
            "gap": relative_gap(plan.verified.objective, bound) if np.isfinite(bound) else None,
            "next_million": _next(curve, stretch, limit),
            "before": None,
            "slippage_costs_gbp": None,
            **made[id(plan)],
        }

    # what lies between two sums of prices buys what the lower one buys: up to the next plan, and beyond the last for ever
    ends = [*(each.solved.used for each in stretches[1:]), None]
    if grid is None:
        both = zip(stretches, ends, strict=True)
        return [row_of(place, each, each.solved.used, end) for place, (each, end) in enumerate(both)]
    found = []
    for limit in grid.limits:
        own = [each for each in stretches if each.solved.used <= limit + 0.005]
        if own and curve.settled(limit):
            here = replace(own[-1], bound=max(own[-1].bound, curve.bound(limit)))
            found.append(row_of(len(own) - 1, here, limit, ends[len(own) - 1]))
    return found


def _next(curve: Curve, stretch: Stretch, limit: float) -> Row | None:
    """What the next million pounds of capital save: at least, at most (of what is minimised), and by the plans found."""
    here, there = stretch.solved, curve.best(limit + NEXT)
    bound = curve.bound(min(limit + NEXT, max(each.limit for each in curve.solved)))
    if here.plan is None or there is None or there.plan is None or not np.isfinite(bound):
        return None
    if there.objective >= here.objective:
        there = here
    assert there.plan is not None
    own = max(stretch.bound, curve.bound(limit))
    return {
        "objective_gbp": there.objective,
        "bound_gbp": bound,
        "bound_here_gbp": own if np.isfinite(own) else None,
        "least_gbp": max(own - there.objective, 0.0),
        "most_gbp": max(here.objective - bound, 0.0),
        "found_gbp": here.objective - there.objective,
        "pounds_gbp": here.plan.verified.expected_cost - there.plan.verified.expected_cost,
        "child_weeks_avoided": here.plan.mean(here.plan.unregistered_child_weeks)
        - there.plan.mean(there.plan.unregistered_child_weeks),
    }


def _plan_row(plan: Plan, limited: Limited, nothing: Plan | None) -> Row:
    """What finance asks of one plan, against the best plan without capital."""
    pounds, weeks = plan.scenario_pounds, plan.unregistered_child_weeks
    children = {
        kind: float(plan.probability @ (own @ plan.problem.weeks)) for kind, own in plan.children_by_kind.items()
    }
    cared = sum(children.values())
    beds = np.array([plan.problem.home_beds[begin.home] for begin in plan.problem.begins]) * plan.decisions.homes_begun
    even = [row for row in break_even(plan) if row["occupancy"] is not None]
    begun = homes_along(plan)
    own = [(row["occupancy"], begun[row["item"]]) for row in even if row["item"] in begun]
    return {
        "deterrent_gbp": plan.verified.objective - plan.verified.expected_cost
        if plan.problem.risk_weight == 0
        else None,
        "p90_gbp": plan.quantile(pounds, 0.9),
        "cvar_gbp": tail_mean_of(plan, pounds),
        "capital_used_gbp": _capital_used(plan, limited),
        "capital_by_year": _capital_by_year(plan, limited),
        "homes": int(max_on_paths(plan, plan.decisions.homes_begun)),
        "beds": int(max_on_paths(plan, beds)),
        "block_beds": int(plan.decisions.beds_in_tier.sum(axis=1).max(initial=0)),
        "spot_share": children["spot"] / cared if cared > 0 else 0.0,
        "unregistered_child_weeks": plan.mean(weeks),
        "unregistered_p90_child_weeks": plan.quantile(weeks, 0.9),
        "saving_gbp": None if nothing is None else nothing.verified.expected_cost - plan.verified.expected_cost,
        "child_weeks_avoided": None
        if nothing is None
        else nothing.mean(nothing.unregistered_child_weeks) - plan.mean(weeks),
        "payback_year": None if nothing is None else payback_year(plan, nothing, _charged(plan), limited),
        "outlay_repaid_year": None if nothing is None else payback_year(plan, nothing, _outlay(plan, limited), limited),
        "break_even_occupancy": sum(float(share) * count for share, count in own) / sum(count for _, count in own)
        if own
        else None,
        "break_even": even,
        "without_capital": None
        if nothing is None
        else {
            "expected_cost_gbp": nothing.verified.expected_cost,
            "unregistered_child_weeks": nothing.mean(nothing.unregistered_child_weeks),
        },
        "years": _revenue_by_year(plan),
        "terms": [
            row | {"stream": "capital" if row["term"] in CAPITAL_TERMS else "revenue"} for row in expected_terms(plan)
        ],
        "decisions": decisions_table(plan.problem, plan.decisions, plan),
    }


def homes_along(plan: Plan) -> dict[str, int]:
    """Homes begun by type, on the path with most."""
    problem = plan.problem
    path = problem.path_to(heaviest_leaf(problem, plan.decisions.homes_begun))
    found: dict[str, int] = {}
    for place, begin in enumerate(problem.begins):
        if plan.decisions.homes_begun[place] and begin.node in path:
            name = problem.homes[begin.home]
            found[name] = found.get(name, 0) + int(plan.decisions.homes_begun[place])
    return found


def _capital_used(plan: Plan, limited: Limited) -> float:
    return replace(limited, year=None).taken(plan.problem, plan.decisions)


def _capital_by_year(plan: Plan, limited: Limited) -> list[Row]:
    """Capital begun by financial year on the path that takes most, planning prices, nominal £."""
    problem = plan.problem
    taken = replace(limited, year=None).amounts(problem) * plan.decisions.homes_begun
    path = problem.path_to(heaviest_leaf(problem, taken))
    by_year = np.zeros(len(problem.financial_years))
    for place, begin in enumerate(problem.begins):
        if begin.node in path:
            by_year[problem.period_year[begin.period]] += taken[place]
    return [
        {"year": label, "capital_gbp": float(amount)}
        for label, amount in zip(problem.financial_years, by_year, strict=True)
        if amount
    ]


def _revenue_by_year(plan: Plan) -> list[Row]:
    """Expected revenue by financial year: everything but capital and residual value, nominal £."""
    problem = plan.problem
    revenue = plan.nominal.sum(axis=1)[[term not in CAPITAL_TERMS for term in COST_TERMS]].sum(axis=0)
    return [
        {"year": label, "revenue_gbp": float(revenue[problem.period_year == year].sum())}
        for year, label in enumerate(problem.financial_years)
    ]


def payback_year(plan: Plan, nothing: Plan, outlay: np.ndarray, limited: Limited) -> str | None:
    """First financial year by whose end a plan has repaid its outlay by costing less than the one without capital.

    And never falls behind again. Expected nominal pounds, everything but capital and residual value; ``outlay``: what is to
    be repaid, £, [financial year]. None where the plan takes no capital, or repays it beyond the horizon.
    """
    if _capital_used(plan, limited) <= 0:
        return None
    years = plan.problem.financial_years
    saved = [
        before["revenue_gbp"] - now["revenue_gbp"]
        for before, now in zip(*map(_revenue_by_year, (nothing, plan)), strict=True)
    ]
    ahead = np.cumsum(np.array(saved) - outlay) >= -0.005
    stays = [place for place in range(len(years)) if ahead[place:].all()]
    return years[stays[0]] if stays else None


def _charged(plan: Plan) -> np.ndarray:
    """Expected capital as the model charges it: nothing where running cost holds the financing, £ nominal, [year]."""
    problem = plan.problem
    capital = plan.nominal[COST_TERMS.index("capital")].sum(axis=0)
    return np.array([capital[problem.period_year == year].sum() for year in range(len(problem.financial_years))])


def _outlay(plan: Plan, limited: Limited) -> np.ndarray:
    """Expected capital begun at planning prices, whoever is charged for it, £, [year]."""
    problem = plan.problem
    taken = replace(limited, year=None).amounts(problem) * plan.decisions.homes_begun
    outlay = np.zeros(len(problem.financial_years))
    for place, begin in enumerate(problem.begins):
        there = sum(scenario.probability for scenario in problem.scenarios if begin.node in scenario.path)
        outlay[problem.period_year[begin.period]] += there * taken[place]
    return outlay


def _own_point(curve: Curve, stretches: list[Stretch], own: float | None) -> Row | None:
    """Where the instance's own envelope lies: the plan that it buys, and what a million less or more would do."""
    if own is None or curve.limited.year is not None:
        return None
    largest = max(each.limit for each in curve.solved)
    enough = curve.limited.enough(curve.engine.problem)

    def stretch_at(limit: float) -> Stretch | None:
        affordable = [each for each in stretches if each.solved.used <= limit + 0.005]
        known = curve.settled(min(limit, largest)) and (limit <= largest + 0.005 or largest >= enough)
        return affordable[-1] if affordable and known else None

    stretch = stretch_at(own)
    here = None if stretch is None else stretch.solved.plan
    if stretch is None or here is None:
        return None
    before = here.mean(here.unregistered_child_weeks)

    def against(limit: float) -> Row | None:
        other = stretch_at(limit)
        there = None if other is None else other.solved.plan
        if other is None or there is None:
            return None
        return {
            "capital_limit_gbp": limit,
            "plan": str(stretches.index(other) + 1),
            "capital_used_gbp": _capital_used(there, curve.limited),
            "objective_more_gbp": there.verified.objective - here.verified.objective,
            "bound_gbp": curve.bound(min(limit, largest)),
            "pounds_more_gbp": there.verified.expected_cost - here.verified.expected_cost,
            "child_weeks_more": there.mean(there.unregistered_child_weeks) - before,
            "homes": int(max_on_paths(there, there.decisions.homes_begun)),
            "homes_before": int(max_on_paths(here, here.decisions.homes_begun)),
        }

    return {
        "capital_limit_gbp": own,
        "plan": str(stretches.index(stretch) + 1),
        "capital_used_gbp": _capital_used(here, curve.limited),
        "objective_gbp": here.verified.objective,
        "bound_gbp": curve.bound(min(own, largest)),
        "expected_cost_gbp": here.verified.expected_cost,
        "before": None,
        "less": against(max(own - NEXT, 0.0)) if own > 0 else None,
        "more": against(own + NEXT),
    }
