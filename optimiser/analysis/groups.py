"""The plan of every group of councils: one program in which joining is a decision, one pool of cuts for all groups."""

from __future__ import annotations

import json
import os
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor, as_completed
from copy import copy
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np

from models.problem import Problem, UnregisteredLimit, within
from optimiser.analysis.games import CostGame, Floats
from optimiser.analysis.planning import Asked, Told, fingerprint, versions
from optimiser.assemble import assemble
from optimiser.demand.scenarios import make_scenarios
from optimiser.errors import Fault, InfeasibleError, InstanceError, NoPlanError, SolverError
from optimiser.instance.checks import check_chance
from optimiser.instance.schema import Instance
from optimiser.plan import Plan, Row, present_terms
from optimiser.solve.engine import Bounds, Engine, Found, Prices
from optimiser.solve.engine import Row as Rule
from optimiser.solve.executor import executor
from optimiser.solve.family import Family, Learned
from optimiser.solve.twostage import Settings
from optimiser.verify import verify

#: Partners up to which every group is planned.
EVERY_GROUP = 10
#: Absolute gap of a group's plan, as a share of the smallest saving claimed; and the closest relative gap that is asked for.
CLAIMED, CLOSEST = 0.05, 1e-6
#: Relative gap of groups at first: from cuts of their neighbours, closer costs little more, and twice costs twice.
AT_FIRST = 1e-5
#: £ that no plan is brought closer to its bound than.
CLOSE_ENOUGH = 1.0
#: Rounds in which gaps are brought down.
CLOSER = 3
#: Groups planned from the same cuts before those learn from each other: what is found does not depend on how many at a time.
AT_A_TIME = 16
#: Groups saved at least so often, seconds.
SAVE_EVERY = 2.0
GROUPS = "groups.json"


@dataclass(frozen=True)
class Solved:
    """One group's plan: what it minimises with its bound, its pounds, and the deterrent of each council's children.

    All in present real £; ``scenario_pounds`` for single councils and for all together only.
    """

    coalition: int
    objective: float
    bound: float
    pounds: float
    deterrent: tuple[float, ...]  # [authority]
    child_weeks: tuple[float, ...]  # without a registered place, expected, [authority]
    seconds: float
    scenario_pounds: tuple[float, ...] = ()
    terms: tuple[Row, ...] = ()  # the pounds by cost term


def prepared(instance: Instance, asked: Asked) -> Problem:
    """The problem in which joining is a decision, on common futures, limits by authority; expected cost only.

    Raises
    ------
    InstanceError
        Where there is nobody to plan with, or a shared contract holds more of a council's children than its part.
    """
    if len(instance.authorities) < 2:
        fix = "Add the councils that may plan together, each with its cohorts"
        raise InstanceError(
            [Fault("authorities.csv", None, "", "", "names one council: there is nothing to split", fix)],
            instance.settings.name,
        )
    futures = make_scenarios(instance, asked.scenarios, asked.seed)
    faults = check_chance(instance, len(futures.names))
    problem = assemble(instance, futures, risk_weight=0.0)
    problem = replace(problem, coalitions=True, cvar_limit=None, unregistered_limits=by_authority(problem))
    faults = [*faults, *_children_beyond_their_part(problem)]
    if faults:
        raise InstanceError(faults, instance.settings.name)
    return problem


def by_authority(problem: Problem) -> tuple[UnregisteredLimit, ...]:
    """Limits on having no registered place, one for each council: chances as they are, child-weeks by expected demand."""
    weight = demand_of(problem)
    found = []
    for limit in problem.unregistered_limits:
        whole = float(weight[list(limit.authorities)].sum()) or 1.0
        for authority in limit.authorities:
            weeks = None if limit.child_weeks is None else limit.child_weeks * float(weight[authority]) / whole
            name = f"{limit.name}, {problem.authorities[authority]}"
            found.append(replace(limit, name=name, authorities=(authority,), child_weeks=weeks))
    return tuple(found)


def demand_of(problem: Problem) -> Floats:
    """Expected child-weeks in care of each council's children, as if each stayed the mean of the sources, [authority]."""
    weight = np.zeros(len(problem.authorities))
    for scenario in problem.scenarios:
        children = problem.placed_at_start.sum(axis=1)
        stay = np.where(problem.allowed, scenario.stay, np.nan)
        mean = np.nanmean(stay, axis=1)
        for period in range(len(problem.periods)):
            children = children * mean[:, period] + scenario.arrivals[:, period]
            np.add.at(weight, problem.cohort_authority, scenario.probability * problem.weeks[period] * children)
    return weight


def _children_beyond_their_part(problem: Problem) -> Iterator[Fault]:
    """Shared contracts in place in which a council has more children than its part of the beds."""
    for supply, name in enumerate(problem.supplies):
        source = problem.supply_source + supply
        if len(problem.members(source)) < 2:
            continue
        beds = min(float(scenario.supply_beds[supply, 0]) for scenario in problem.scenarios)
        here = np.zeros(len(problem.authorities))
        np.add.at(here, problem.cohort_authority, problem.placed_at_start[:, source])
        for authority in np.flatnonzero(here > problem.cost_share[source] * beds + 1e-6):
            council = problem.authorities[authority]
            part = float(problem.cost_share[source, authority] * beds)
            yield Fault(
                "existing.csv",
                None,
                name,
                f"{here[authority]:g} children of {council}",
                f"live there at the start, and its part is {part:.1f} beds",
                "Give each council's part of the contract a row of its own, with that council as its only member",
            )


def bounds_of(problem: Problem, coalition: int) -> Bounds:
    """Who is in the plan, and who is not."""
    inside = [float(coalition >> place & 1) for place in range(len(problem.authorities))]
    return {("joined", place): (value, value) for place, value in enumerate(inside)}


class Groups:
    """Plans of any group of councils of one problem: what one group teaches about the futures serves every other."""

    def __init__(self, engine: Engine) -> None:
        self.engine, self.family = engine, Family(engine.two_stage)
        self.problem = engine.problem
        self.everyone = (1 << len(self.problem.authorities)) - 1

    def as_it_stands(self) -> Groups:
        """The same, learning no more."""
        other = copy(self)
        other.family = copy(self.family)
        return other

    def plan(self, coalition: int, gap: float, stop: threading.Event | None = None) -> tuple[Solved, Found, Learned]:
        """One group's plan in figures, the plan itself, and what it teaches, which is not learned yet.

        Raises
        ------
        InfeasibleError, NoPlanError, SolverError
            Where the group cannot keep every limit by itself, was stopped, or its plan is rejected by the recomputation.
        """
        began = time.perf_counter()
        problem = self.problem
        members = [place for place in range(len(problem.authorities)) if coalition >> place & 1]
        names = [problem.authorities[place] for place in members]
        settings = Settings(gap=gap, stop=stop, workers=1)
        solution, learned = self.family.solve(
            self.engine.first_stage(bounds_of(problem, coalition)), settings, absolute=CLOSE_ENOUGH
        )
        if solution.status == "infeasible":
            raise InfeasibleError(f"no plan of {' and '.join(names)} without the others keeps every limit")
        if solution.x is None or solution.status != "optimal":
            raise NoPlanError("Stopped before every group had a plan.")
        found = self.engine.plan_of(solution, learned.bases)
        return self._audited(coalition, members, found, time.perf_counter() - began), found, learned

    def cost_about(self, coalition: int) -> float:
        """About what a group's plan costs, £: of the decisions that other groups have taken, the cheapest by the cuts known."""
        first = self.engine.first_stage(bounds_of(self.problem, coalition))
        return self.family.modelled(first)

    def gains_most(
        self,
        paid: Floats,
        gap: float,
        rules: Sequence[Rule] = (),
        stop: threading.Event | None = None,
        *,
        beyond: float = -np.inf,
        part: float = np.inf,
    ) -> tuple[int | None, float] | None:
        """The group that gains most by leaving when partners pay so much, £ [partner], and what no group gains more than.

        The program of the joint plan with joining free, and each council's bill taken off what it costs. It learns.

        Parameters
        ----------
        gap : £ to which the gain is found, as a share of all that is paid
        rules : further rules on who is in the group
        beyond : £ that a group must gain more than to be looked for
        part : a group will do that gains beyond that by this part of the most that any may

        Returns
        -------
        The group (None where none gains more than ``beyond``), and the bound; None where no group keeps the rules.
        """
        partners, whole = len(paid), float(paid.sum())
        prices: Prices = {("joined", partner): -float(bill) for partner, bill in enumerate(paid)}
        everybody: dict[tuple[str, object], float] = {("joined", partner): 1.0 for partner in range(partners)}
        solution, learned = self.family.solve(
            self.engine.first_stage({}, prices, (Rule(everybody, 1.0, partners - 1.0), *rules)),
            Settings(gap=gap, stop=stop, workers=1),
            absolute=CLOSE_ENOUGH,
            constant=whole,
            enough=whole - beyond,
            part=part,
        )
        self.family.learn(learned)
        if solution.status == "infeasible":
            return None
        if solution.status != "optimal":
            raise NoPlanError("Stopped before the group that gains most was found.")
        if solution.x is None:
            return None, whole - solution.bound
        joined = self.engine.first.columns["joined"]
        coalition = sum(1 << place for place, column in joined.items() if solution.x[column] > 0.5)
        return coalition, whole - solution.bound

    def _audited(self, coalition: int, members: list[int], found: Found, seconds: float) -> Solved:
        problem = self.problem
        own = within(problem, members)
        verified = verify(own, found.decisions, found.placements)
        if verified.violations:
            first = "; ".join(str(violation) for violation in verified.violations[:3])
            names = "+".join(problem.authorities[place] for place in members)
            raise SolverError(f"the independent recomputation rejects what the solver returned for {names}: {first}")
        probability = np.array([scenario.probability for scenario in problem.scenarios])
        deterred = np.zeros((len(problem.scenarios), len(problem.authorities)))
        worth = problem.weeks * problem.present_value
        for number, (scenario, placed) in enumerate(zip(problem.scenarios, found.placements, strict=True)):
            without = placed.placed[:, problem.unregistered]
            np.add.at(deterred[number], problem.cohort_authority, without @ (scenario.deterrent * worth))
        weeks = probability @ verified.unregistered_child_weeks.sum(axis=2)
        keep = coalition.bit_count() in (1, len(problem.authorities))
        return Solved(
            coalition,
            verified.objective,
            min(found.bound, verified.objective),
            verified.expected_cost,
            tuple((probability @ deterred).tolist()),
            tuple(weeks.tolist()),
            seconds,
            tuple(verified.scenario_pounds.tolist()) if keep else (),
            tuple(present_terms(own, verified)),
        )


def plan_group(
    shared: Sequence[Groups], coalition: int, gap: float, stop: threading.Event | None = None
) -> tuple[Solved, Learned]:
    """One group's plan and what it teaches; ``shared`` holds the groups' program, which a cluster sends once and keeps."""
    solved, _, learned = shared[0].plan(coalition, gap, stop)
    return solved, learned


@dataclass(frozen=True, eq=False)
class Game:
    """The game of an instance: every group's plan, and the joint plan itself."""

    instance: Instance
    problem: Problem  # of all together
    solved: dict[int, Solved]
    joint: Plan
    groups: Groups  # the program in which joining is a decision
    demand: Floats
    taken: int  # groups taken over from a run that was stopped
    seconds: float

    @property
    def costs(self) -> CostGame:
        """What every group minimises, with bounds."""
        size = 1 << len(self.problem.authorities)
        cost, bound = np.zeros(size), np.zeros(size)
        for coalition, solved in self.solved.items():
            cost[coalition], bound[coalition] = solved.objective, solved.bound
        return CostGame(self.problem.authorities, cost, bound, self.demand)

    @property
    def everyone(self) -> Solved:
        """All together."""
        return self.solved[(1 << len(self.problem.authorities)) - 1]


def play(
    instance: Instance,
    asked: Asked,
    told: Told | None = None,
    *,
    folder: Path | None = None,
    workers: int = 2,
    stop: threading.Event | None = None,
) -> Game:
    """Plan for every group of councils on the same futures.

    All together come first, then each council alone, then groups from the largest down: what a group's plan says about
    the futures holds for the smaller ones inside it, and few of those need to look at the futures more than once. A number
    of groups are planned from the same cuts before they learn from each other, so that what is found does not depend on how
    many are planned at a time.

    Parameters
    ----------
    folder : where finished groups are kept, so that a stopped run goes on; None keeps nothing
    workers : groups planned at a time
    """
    told = told or Told()
    began = time.perf_counter()
    told.step("drawing futures and building the model")
    problem = prepared(instance, asked)
    partners = len(problem.authorities)
    if partners > EVERY_GROUP:
        raise ValueError(f"every group of {partners} councils is more than is planned one by one")
    store = Store(folder, instance, problem, asked)
    solved = dict(store.known)
    groups = Groups(Engine(problem))
    everyone, gap = groups.everyone, min(asked.gap, AT_FIRST)
    told.step("planning for all councils together")
    solved[everyone], found, learned = groups.plan(everyone, gap, stop)
    groups.family.learn(learned)
    alone = [1 << place for place in range(partners)]
    others = sorted((c for c in range(1, everyone) if c not in alone), key=lambda c: (-c.bit_count(), c))
    with executor(asked.cluster, workers) as pool:
        clock = Clock(told, len([c for c in (*alone, *others) if c not in solved]))
        plan_all(pool, groups, [c for c in alone if c not in solved], gap, solved, store, clock, stop)
        plan_all(pool, groups, [c for c in others if c not in solved], gap, solved, store, clock, stop)
        for _ in range(CLOSER):
            wanted = closer_gaps(problem, solved)
            if not wanted:
                break
            if everyone in wanted:
                told.step("the joint plan as close as the others")
                closer, again, learned = groups.plan(everyone, wanted.pop(everyone), stop)
                groups.family.learn(learned)
                if closer.objective < solved[everyone].objective:
                    found = again
                solved[everyone] = _better(closer, solved[everyone])
            clock = Clock(told, len(wanted), "brought closer to their best")
            plan_all(pool, groups, list(wanted), gap, solved, store, clock, stop)
    joint = within(problem, range(partners))
    verified = verify(joint, found.decisions, found.placements)
    _put_in_order(solved, partners)
    plan = Plan(instance, joint, found, verified)
    return Game(
        instance, joint, solved, plan, groups, demand_of(problem), len(store.known), time.perf_counter() - began
    )


class Clock:
    """Tells how many groups are planned and how long the rest should take."""

    def __init__(self, told: Told, total: int, words: str = "planned") -> None:
        self.told, self.total, self.words = told, total, words
        self.done, self.began, self.seconds_each = 0, time.perf_counter(), 0.0

    def tick(self) -> None:
        """One group more."""
        self.done += 1
        self.seconds_each = (time.perf_counter() - self.began) / self.done
        left = self.seconds_each * (self.total - self.done)
        self.told.step(f"{self.done} of {self.total} groups {self.words}; some {left:.0f} seconds left")


def plan_all(
    pool: Executor,
    groups: Groups,
    coalitions: list[int],
    gap: float,
    solved: dict[int, Solved],
    store: Store,
    clock: Clock,
    stop: threading.Event | None,
) -> None:
    """Plan for groups, as many at a time as there are workers; what is finished is kept."""
    # an event cannot travel to a cluster; there, what runs is finished and the rest not begun
    own = stop if type(pool).__module__.startswith("concurrent") else None
    for start in range(0, len(coalitions), AT_A_TIME):
        chosen = coalitions[start : start + AT_A_TIME]
        closer = close_enough(groups.problem, solved, gap)
        # a cluster keeps what it was sent for as long as that object lives: each lot of groups has its own
        shared = [groups.as_it_stands()]
        tasks = {pool.submit(plan_group, shared, c, closer(c), own): c for c in chosen}
        try:
            for task in as_completed(tasks):
                found = task.result()[0]
                old = solved.get(found.coalition)
                solved[found.coalition] = found if old is None else _better(found, old)
                store.save(solved)
                clock.tick()
                if stop is not None and stop.is_set():
                    raise NoPlanError("Stopped before every group had a plan.")
        finally:
            for task in tasks:
                task.cancel()
            store.save(solved, at_once=stop is not None and stop.is_set())
        for task in tasks:
            groups.family.learn(task.result()[1])
    store.save(solved, at_once=True)


def _better(new: Solved, old: Solved) -> Solved:
    """The cheaper plan with the higher bound of two."""
    best = new if new.objective <= old.objective else old
    return replace(best, bound=min(max(new.bound, old.bound), best.objective))


def close_enough(problem: Problem, solved: dict[int, Solved], gap: float) -> Callable[[int], float]:
    """The relative gap to ask for of a group: a twentieth of the smallest saving claimed so far, where that is less."""
    wanted = 0.9 * CLAIMED * smallest_saving(problem, solved)
    if not wanted:
        return lambda coalition: gap
    size = {1 << place: abs(solved[1 << place].objective) for place in range(len(problem.authorities))}

    def relative(coalition: int) -> float:
        cost = sum(own for one, own in size.items() if coalition & one)
        return min(gap, max(wanted / max(cost, 1.0), CLOSEST))

    return relative


def closer_gaps(problem: Problem, solved: dict[int, Solved]) -> dict[int, float]:
    """Groups whose absolute gap is more than a twentieth of the smallest saving claimed, with the relative gap to ask for.

    A saving is claimed where a group's plan costs less than the bounds of its members alone add up to.
    """
    wanted = CLAIMED * smallest_saving(problem, solved)
    found = {}
    for coalition, own in solved.items():
        if wanted and own.objective - own.bound > wanted:
            relative = 0.9 * wanted / max(abs(own.objective), 1.0)
            if relative >= CLOSEST:
                found[coalition] = relative
    return found


def smallest_saving(problem: Problem, solved: dict[int, Solved]) -> float:
    """Smallest saving that is claimed of a group of two or more; nought where none is, or not each alone is planned for."""
    partners = len(problem.authorities)
    if any(1 << place not in solved for place in range(partners)):
        return 0.0
    savings = []
    for coalition, own in solved.items():
        members = [1 << place for place in range(partners) if coalition >> place & 1]
        saving = sum(solved[member].bound for member in members) - own.objective
        if len(members) > 1 and saving > 0:
            savings.append(saving)
    return min(savings, default=0.0)


def _put_in_order(solved: dict[int, Solved], partners: int) -> None:
    """By coalition, so that documents do not depend on which was finished first."""
    for coalition in sorted(solved):
        solved[coalition] = solved.pop(coalition)


class Store:
    """Finished groups in a folder, written whole or not at all; those of another instance or other futures are not read."""

    def __init__(self, folder: Path | None, instance: Instance, problem: Problem, asked: Asked) -> None:
        self.path = None if folder is None else folder / GROUPS
        self.key = {
            "fingerprint": fingerprint(instance),
            "futures": len(problem.scenarios),
            "seed": instance.settings.seed if asked.seed is None else asked.seed,
            "gap": asked.gap,
            "versions": versions(),
        }
        self.known: dict[int, Solved] = {}
        self._saved = 0.0
        if self.path is not None and self.path.is_file():
            try:
                held = json.loads(self.path.read_text(encoding="utf-8"))
                if held["key"] == self.key:
                    rows = [Solved(**{**row, **_tuples(row)}) for row in held["groups"]]
                    self.known = {row.coalition: row for row in rows}
            except (ValueError, KeyError, TypeError, OSError):
                self.known = {}

    def save(self, solved: dict[int, Solved], at_once: bool = False) -> None:
        """Write what there is, now and then."""
        if self.path is None or (not at_once and time.monotonic() - self._saved < SAVE_EVERY):
            return
        self.path.parent.mkdir(parents=True, exist_ok=True)
        document = {"key": self.key, "groups": [asdict(solved[coalition]) for coalition in sorted(solved)]}
        handle, name = tempfile.mkstemp(prefix=f".{GROUPS}-", dir=self.path.parent)
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            json.dump(document, file)
        os.replace(name, self.path)
        self._saved = time.monotonic()


def _tuples(row: Row) -> Row:
    return {name: tuple(row[name]) for name in ("deterrent", "child_weeks", "scenario_pounds", "terms")}
