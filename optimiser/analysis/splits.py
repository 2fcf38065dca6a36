"""Joint procurement: what every group of councils would pay, how the bill may be shared, and who would be better off alone.

The game is played in what the plans minimise: expected pounds plus the deterrent on having no registered place, since only
that has a bound. No council can be invoiced for a deterrent: each bears that of its own children, and bills are the
shares less it. They add up to the pounds of the joint plan.
"""

from __future__ import annotations

import json
import os
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import Executor, as_completed
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np

from models.problem import Problem, UnregisteredLimit, within
from optimiser.analysis.games import (
    AT_INCUMBENTS,
    FOR_ALL_VALUES,
    CostGame,
    Floats,
    Leaving,
    Verdict,
    all_rules,
    core_of,
    dearer_than_alone,
    dearer_together,
    refuse_unless_it_adds_up,
    verdict,
)
from optimiser.analysis.planning import Asked, Told, fingerprint, instance_row, rounding, versions
from optimiser.assemble import assemble
from optimiser.demand.scenarios import make_scenarios
from optimiser.errors import Fault, InfeasibleError, InstanceError, NoPlanError, SolverError
from optimiser.instance.checks import check_chance
from optimiser.instance.schema import Instance
from optimiser.plan import Plan, Row, decisions_table, titles_of
from optimiser.solve.engine import Bounds, Engine, Found, stopped_by_hand
from optimiser.solve.executor import executor
from optimiser.solve.twostage import Settings
from optimiser.verify import pounds_by_source, verify

#: Partners up to which every group is planned.
EVERY_GROUP = 10
#: Absolute gap of a group's plan, as a share of the smallest saving claimed; and the closest relative gap that is asked for.
CLAIMED, CLOSEST = 0.05, 1e-6
#: Rounds in which gaps are brought down.
CLOSER = 3
#: Groups saved at least so often, seconds.
SAVE_EVERY = 2.0
GROUPS = "groups.json"
#: Rules whose bill in each future is a fixed part of what the plan costs in it; the others are use and a fixed payment.
FIXED_PARTS = ("equal", "by_demand", "proportional")
PAYS_FOR_USE = "use"


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


# the game


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


def solve_group(shared: Sequence[Engine], coalition: int, gap: float, stop: threading.Event | None = None) -> Solved:
    """The best plan of one group, verified on the problem of its members alone.

    ``shared`` holds the engine: a cluster sends it once and keeps it.
    """
    return solved_group(shared[0], coalition, gap, stop)[0]


def solved_group(
    engine: Engine, coalition: int, gap: float, stop: threading.Event | None, learn: bool = False
) -> tuple[Solved, Found]:
    """One group's plan in figures, and the plan; with ``learn`` its dual vectors serve the groups after it.

    Raises
    ------
    InfeasibleError, NoPlanError, SolverError
        Where the group cannot keep every limit by itself, was stopped, or its plan is rejected by the recomputation.
    """
    problem = engine.problem
    settings = Settings(gap=gap, stop=stop, workers=1)
    found = engine.search(settings, bounds=bounds_of(problem, coalition), learn=learn)
    names = [name for place, name in enumerate(problem.authorities) if coalition >> place & 1]
    if not isinstance(found, Found):
        if found.status == "infeasible":
            raise InfeasibleError(f"no plan of {' and '.join(names)} without the others keeps every limit")
        raise NoPlanError("Stopped before every group had a plan.")
    if stop is not None and stop.is_set() and found.status != "optimal":
        raise NoPlanError("Stopped before every group had a plan.")
    members = within(problem, [place for place in range(len(problem.authorities)) if coalition >> place & 1])
    verified = verify(members, found.decisions, found.placements)
    if verified.violations:
        first = "; ".join(str(violation) for violation in verified.violations[:3])
        raise SolverError(
            f"the independent recomputation rejects what the solver returned for {'+'.join(names)}: {first}"
        )
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
        found.seconds,
        tuple(verified.scenario_pounds.tolist()) if keep else (),
    ), found


@dataclass(frozen=True, eq=False)
class Game:
    """The game of an instance: every group's plan, and the joint plan itself."""

    instance: Instance
    problem: Problem  # of all together
    solved: dict[int, Solved]
    joint: Plan
    engine: Engine  # of the program in which joining is a decision
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

    The plan of all together comes first; the dual vectors that it and the councils alone leave behind serve every other
    group, so that what is found does not depend on the order in which the others are done, or on how many at a time.

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
    everyone = (1 << partners) - 1
    engine = Engine(problem)
    gap = min(asked.gap, 1e-4)
    told.step("planning for all councils together")
    together, found = solved_group(engine, everyone, gap, stop, learn=True)
    for coalition in (1 << place for place in range(partners)):
        if coalition not in solved:
            told.step(f"planning for {problem.authorities[coalition.bit_length() - 1]} alone")
            solved[coalition] = solved_group(engine, coalition, gap, stop, learn=False)[0]
            store.save(solved)
    solved[everyone] = together
    store.save(solved)
    with executor(asked.cluster, workers) as pool:
        left = [coalition for coalition in range(1, everyone) if coalition not in solved]
        _solve_all(pool, engine, {coalition: gap for coalition in left}, solved, store, told, stop)
        for _ in range(CLOSER):
            wanted = closer_gaps(problem, solved)
            if not wanted:
                break
            told.step(f"bringing {len(wanted)} groups closer to their best")
            _solve_all(pool, engine, wanted, solved, store, told, stop)
    if solved[everyone] is not together:
        told.step("the joint plan as close as the others")
        again, found = solved_group(engine, everyone, _relative(solved[everyone]), stop)
        # the plan adopted is the one whose bills are shared
        solved[everyone] = replace(again, bound=min(max(again.bound, solved[everyone].bound), again.objective))
    joint = within(problem, range(partners))
    verified = verify(joint, found.decisions, found.placements)
    _put_in_order(solved, partners)
    demand = demand_of(problem)
    plan = Plan(instance, joint, found, verified)
    return Game(instance, joint, solved, plan, engine, demand, len(store.known), time.perf_counter() - began)


def _relative(solved: Solved) -> float:
    return max((solved.objective - solved.bound) / max(abs(solved.objective), 1.0), CLOSEST)


def _solve_all(
    pool: Executor,
    engine: Engine,
    gaps: dict[int, float],
    solved: dict[int, Solved],
    store: Store,
    told: Told,
    stop: threading.Event | None,
) -> None:
    """Plan for groups, as many at a time as there are workers; what is finished is kept."""
    began, total = time.perf_counter(), len(gaps)
    # an event cannot travel to a cluster; there, what runs is finished and the rest not begun
    local = type(pool).__module__.startswith("concurrent")
    shared = [engine]
    tasks = {pool.submit(solve_group, shared, c, gap, stop if local else None): c for c, gap in gaps.items()}
    try:
        for done, task in enumerate(as_completed(tasks), start=1):
            own = task.result()
            old = solved.get(own.coalition)
            solved[own.coalition] = own if old is None else _better(own, old)
            store.save(solved)
            spent = time.perf_counter() - began
            told.step(f"planned {done} of {total} groups; some {spent / done * (total - done):.0f} seconds left")
            if stop is not None and stop.is_set():
                raise NoPlanError("Stopped before every group had a plan.")
    finally:
        for task in tasks:
            task.cancel()
        store.save(solved, at_once=True)


def _better(new: Solved, old: Solved) -> Solved:
    """The cheaper plan with the higher bound of two."""
    best = new if new.objective <= old.objective else old
    return replace(best, bound=min(max(new.bound, old.bound), best.objective))


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
    """Smallest saving that is claimed of a group of two or more; nought where none is."""
    partners = len(problem.authorities)
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
    return {name: tuple(row[name]) for name in ("deterrent", "child_weeks", "scenario_pounds")}


# who uses what


@dataclass(frozen=True, eq=False)
class Use:
    """What each council's own children and its part of shared beds cost, by future.

    Parameters
    ----------
    present : present real £, [scenario, authority]
    by_year : expected, nominal £, [authority, year]
    voids : expected nominal £ of shared beds paid for and empty, [authority]
    """

    present: Floats
    by_year: Floats
    voids: Floats


def use_of(plan: Plan) -> Use:
    """Each pays for what it uses, under the access rule that beds of shared contracts are to be had pro rata to demand.

    In each future and period a council's claim to a shared source is its part of the children who may live there. What
    the source costs anyway, voids included, is paid by claim. A council whose children hold more of its filled beds than
    its claim pays the others what a week of spot purchase costs on average then: it is their children who are elsewhere.
    So nobody's bill hangs on which of two equally dear placements the plan happens to choose, and the bills add up.
    """
    problem = plan.problem
    placed = np.array([each.placed for each in plan.solution.placements])  # [scenario, cohort, source, period]
    belongs = (problem.cohort_authority[:, None] == np.arange(len(problem.authorities))).astype(float)
    bill = plan.verified.ledger.nominal.sum(axis=1)  # [scenario, authority, period]
    anyway, by_use = pounds_by_source(problem, plan.decisions, plan.solution.placements)
    spots = slice(problem.spot_source, problem.unregistered)
    spot_weeks = placed[:, :, spots].sum(axis=(1, 2)) * problem.weeks
    spot_pounds = by_use[:, spots].sum(axis=1)
    price = np.divide(spot_pounds, spot_weeks, out=np.zeros_like(spot_pounds), where=spot_weeks > 1e-9)
    voids = np.zeros(len(problem.authorities))
    for source in range(problem.spot_source):
        may = problem.allowed[:, source]
        owners = {int(a) for a in problem.cohort_authority[may.any(axis=1)]}
        if len(owners | set(problem.members(source))) < 2:
            continue
        here = np.einsum("scrt,ct,ca->sat", placed, may, belongs)
        total = here.sum(axis=1, keepdims=True)
        claim = np.divide(here, total, out=np.zeros_like(here), where=total > 1e-9)
        claim = np.where(total > 1e-9, claim, problem.cost_share[source][None, :, None])
        bill += anyway[:, None, source] * (claim - problem.cost_share[source][None, :, None])
        own = np.einsum("sct,ca->sat", placed[:, :, source], belongs)
        filled = own.sum(axis=1, keepdims=True)
        bill += (own - claim * filled) * (problem.weeks * price)[:, None, :]
        voids += np.einsum("s,sat->a", plan.probability, claim * _void_pounds(plan, source, filled)[:, None, :])
    worth = problem.present_value
    expected = np.einsum("s,sat->at", plan.probability, bill)
    by_year = np.stack(
        [expected[:, problem.period_year == year].sum(axis=1) for year in range(len(problem.financial_years))], axis=1
    )
    return Use(bill @ worth, by_year, voids)


def _void_pounds(plan: Plan, source: int, filled: Floats) -> Floats:
    """What a source's beds cost that are paid for and empty, nominal £, [scenario, period]."""
    problem = plan.problem
    found = np.zeros((len(problem.scenarios), len(problem.periods)))
    kind = problem.source_kind(source)
    for number in range(len(problem.scenarios)):
        if kind == "lot":
            paid, price = plan.guaranteed(number, source - problem.lot_source)
            found[number] = np.maximum(paid - filled[number, 0], 0.0) * price * problem.weeks
    return found


# bills


def bills(game: Game) -> dict[str, Row]:
    """Every rule's bills: expected, in the futures, year by year, and what they say of voids; present real £ unless said."""
    costs, plan, everyone = game.costs, game.joint, game.everyone
    own = np.array(everyone.deterrent)
    use = use_of(plan)
    shares = {PAYS_FOR_USE: refuse_unless_it_adds_up(costs, plan.probability @ use.present + own, PAYS_FOR_USE)}
    shares |= all_rules(costs)
    return {
        name: bill_row(game, use, name, share, verdict_row(costs, verdict(costs, share)))
        for name, share in shares.items()
    }


def bill_row(game: Game, use: Use, rule: str, share: Floats, found: Row) -> Row:
    """One rule's bills from its shares [authority] of what is minimised, with its verdict."""
    plan, own = game.joint, np.array(game.everyone.deterrent)
    problem = plan.problem
    pounds = plan.scenario_pounds
    bill = share - own  # [authority]
    total = float(plan.probability @ pounds)
    by_year = plan_years(plan)
    if rule in FIXED_PARTS:
        part = bill / total
        futures = pounds[:, None] * part
        years = by_year[None, :] * part[:, None]
        voids = use.voids.sum() * part
    else:
        payment = bill - plan.probability @ use.present
        futures = use.present + payment
        years = use.by_year + payment[:, None] * (by_year / total)
        voids = use.voids
    partners = {}
    for place, name in enumerate(problem.authorities):
        alone = game.solved[1 << place]
        partners[name] = {
            "bill_gbp": float(bill[place]),
            "p10_gbp": plan.quantile(futures[:, place], 0.1),
            "p90_gbp": plan.quantile(futures[:, place], 0.9),
            "alone_gbp": alone.pounds,
            "alone_p10_gbp": plan.quantile(np.array(alone.scenario_pounds), 0.1),
            "alone_p90_gbp": plan.quantile(np.array(alone.scenario_pounds), 0.9),
            "saving_gbp": alone.pounds - float(bill[place]),
            "better_off_gbp": alone.objective - float(share[place]),
            "better_off_least_gbp": alone.bound - float(share[place]),
            "balancing_payment_gbp": None if rule in FIXED_PARTS else float(payment[place]),
            "voids_gbp": float(voids[place]),
            "years_gbp": {year: float(years[place, at]) for at, year in enumerate(problem.financial_years)},
        }
    return {
        "partners": partners,
        "bill_in_each_future": "a fixed part of the cost" if rule in FIXED_PARTS else "own use and a fixed payment",
        "verdict": found,
    }


def plan_years(plan: Plan) -> Floats:
    """Expected cost by financial year, nominal £, [year]."""
    return np.array([row["nominal_gbp"] for row in plan.money_by_year()])


def verdict_row(costs: CostGame, found: Verdict) -> Row:
    """A verdict with names for coalitions."""

    def row(each: Leaving) -> Row:
        return {"group": costs.name_of(each.coalition), "gain_gbp": each.gain, "gain_at_most_gbp": each.most}

    return {
        "nobody_leaves": found.nobody_leaves,
        "nobody_worse_off": found.nobody_worse_off,
        "leaving": [row(each) for each in found.leaving[:10]],
        "groups_leaving": len(found.leaving),
        "worse_off": [row(each) for each in found.worse_off],
    }


def core_row(costs: CostGame) -> Row:
    """Whether the core is empty, by how much, and how sure that is."""
    found = core_of(costs)
    return {
        "empty": found.empty,
        "least_core_epsilon_gbp": found.excess,
        "least_gbp": found.least,
        "most_gbp": found.most,
        "holds": found.sure,
    }


def mergers(costs: CostGame, problem: Problem | None) -> list[Row]:
    """Pairs of groups whom merging makes dearer, with what they have to share then."""
    rows = []
    for each in dearer_together(costs):
        rows.append(
            {
                "one": costs.name_of(each.one),
                "other": costs.name_of(each.other),
                "dearer_gbp": each.dearer,
                "certain": each.least > 0,
                "shared_limits": [] if problem is None else shared_limits(problem, each.one, each.other),
            }
        )
    return rows


def shared_limits(problem: Problem, one: int, other: int) -> list[str]:
    """Limits that each of two groups has whole to itself, and both together only once."""

    def inside(authorities: Sequence[int], coalition: int) -> bool:
        return any(coalition >> authority & 1 for authority in authorities)

    def both(authorities: Sequence[int]) -> bool:
        return inside(authorities, one) and inside(authorities, other)

    found = []
    for lot, name in enumerate(problem.lots):
        if both(problem.members(problem.lot_source + lot)):
            found.append(f"{name}: at most {int(problem.lot_maximum[lot])} beds")
    for group in problem.lot_groups:
        members = {a for lot in group.members for a in problem.members(problem.lot_source + lot)}
        if both(sorted(members)):
            found.append(f"{group.name}: at most {group.limit} of its lots")
    for spot, name in enumerate(problem.spots):
        limited = np.isfinite(problem.scenarios[0].spot_layer_beds[spot]).any()
        if limited and both(problem.members(problem.spot_source + spot)):
            found.append(f"{name}: places on offer at each price")
    for group in problem.home_groups:
        if both([int(problem.home_authority[home]) for home in group.members]):
            found.append(f"{group.name}: at most {group.limit} homes")
    for envelope in problem.envelopes:
        if both([int(problem.home_authority[home]) for home in envelope.homes]):
            found.append(f"{envelope.name}: the capital envelope")
    if problem.registrations_limit is not None and len(problem.homes):
        found.append(f"at most {problem.registrations_limit} registrations in hand")
    if problem.managers is not None:
        found.append("registered managers to be recruited")
    return found


def if_another_leaves(game: Game) -> list[Row]:
    """What each bill becomes if one partner leaves and the others plan on, by rule; present real £."""
    costs, partners = game.costs, len(game.problem.authorities)
    rows = []
    for gone in range(partners):
        rest = [place for place in range(partners) if place != gone]
        subsets = [sum(1 << rest[place] for place in range(len(rest)) if s >> place & 1) for s in range(1 << len(rest))]
        left = CostGame(
            tuple(game.problem.authorities[place] for place in rest),
            costs.cost[subsets],
            costs.bound[subsets],
            game.demand[rest],
        )
        own = np.array(game.solved[subsets[-1]].deterrent)[rest]
        found = all_rules(left)
        rows.append(
            {
                "leaves": game.problem.authorities[gone],
                "bills": {
                    rule: dict(zip(left.partners, (share - own).tolist(), strict=True)) for rule, share in found.items()
                },
            }
        )
    return rows


# documents


def game_document(costs: CostGame) -> Row:
    """Rules and verdicts of a cost game from a file."""
    found = all_rules(costs)
    return {
        "document": "split/1",
        "partners": list(costs.partners),
        "total_gbp": costs.total,
        "alone_gbp": dict(zip(costs.partners, costs.alone.tolist(), strict=True)),
        "rules": {rule: dict(zip(costs.partners, share.tolist(), strict=True)) for rule, share in found.items()},
        "verdicts": {rule: verdict_row(costs, verdict(costs, share)) for rule, share in found.items()},
        "demand_child_weeks": None
        if costs.demand is None
        else dict(zip(costs.partners, costs.demand.tolist(), strict=True)),
        "core": core_row(costs),
        "dearer_than_alone": [costs.partners[place] for place in dearer_than_alone(costs)],
        "dearer_together": mergers(costs, None),
    }


def split(
    instance: Instance,
    asked: Asked,
    told: Told | None = None,
    *,
    folder: Path | None = None,
    workers: int = 2,
    orders: int = 40,
    resale: float | None = None,
    entitled: bool = True,
) -> Row:
    """Who should join, who pays what under every rule, and would anyone be better off alone."""
    told = told or Told()
    with stopped_by_hand() as stop, _saying_where(folder):
        if len(instance.authorities) > EVERY_GROUP:
            from optimiser.analysis.generation import split_many

            return split_many(instance, asked, told, folder=folder, orders=orders, stop=stop)
        game = play(instance, asked, told, folder=folder, workers=workers, stop=stop)
        told.step("sharing the bill")
        document = split_document(game, asked)
        if entitled and not stop.is_set():
            from optimiser.analysis.entitlements import entitlements

            document["entitlements"] = entitlements(game, gap=asked.gap, resale=resale, told=told.step)
    return document


@contextmanager
def _saying_where(folder: Path | None) -> Iterator[None]:
    """Where a run is stopped: that what is finished is kept, and where."""
    try:
        yield
    except NoPlanError as error:
        if folder is None:
            raise
        raise NoPlanError(
            f"{error} What is finished is kept in {folder}: the same command goes on from there."
        ) from None


def split_document(game: Game, asked: Asked) -> Row:
    """The document of a split."""
    costs, problem = game.costs, game.problem
    found = bills(game)
    return {
        **common_rows(game, asked, found),
        "core": core_row(costs),
        "dearer_than_alone": [costs.partners[place] for place in dearer_than_alone(costs)],
        "dearer_together": mergers(costs, problem),
        "if_another_leaves": if_another_leaves(game),
        "estimated": {},
        "entitlements": None,
    }


def common_rows(game: Game, asked: Asked, found: dict[str, Row]) -> Row:
    """What a document says whether every group has been planned for or only some."""
    problem, everyone = game.problem, game.everyone
    alone = np.array([game.solved[1 << place].objective for place in range(len(problem.authorities))])
    inside = {c: [place for place in range(len(alone)) if c >> place & 1] for c in game.solved}
    gaps = [solved.objective - solved.bound for solved in game.solved.values()]
    smallest = smallest_saving(problem, game.solved)
    return {
        "document": "split/1",
        "instance": instance_row(game.instance),
        "futures": len(problem.scenarios),
        "seed": game.instance.settings.seed if asked.seed is None else asked.seed,
        "partners": list(problem.authorities),
        "titles": {row.authority: row.title for row in game.instance.authorities},
        "demand_child_weeks": dict(zip(problem.authorities, game.demand.tolist(), strict=True)),
        "total_gbp": everyone.pounds,
        "objective_gbp": everyone.objective,
        "bound_gbp": everyone.bound,
        "rounding_gbp": min(rounding(everyone.pounds), 10_000.0),
        "decisions": decisions_table(problem, game.joint.decisions, game.joint),
        "item_titles": titles_of(game.instance),
        "groups": [
            {
                "group": "+".join(problem.authorities[place] for place in inside[solved.coalition]),
                "pounds_gbp": solved.pounds,
                "objective_gbp": solved.objective,
                "bound_gbp": solved.bound,
                "gap_gbp": solved.objective - solved.bound,
                "saving_gbp": float(alone[inside[solved.coalition]].sum()) - solved.objective,
                "child_weeks_unregistered": sum(solved.child_weeks),
            }
            for solved in game.solved.values()
        ],
        "largest_gap_gbp": max(gaps),
        "smallest_saving_gbp": smallest,
        "gaps_close_enough": smallest > 0 and max(gaps) <= CLAIMED * smallest,
        "unregistered": {
            name: {"alone": game.solved[1 << place].child_weeks[place], "together": everyone.child_weeks[place]}
            for place, name in enumerate(problem.authorities)
        },
        "rules": {
            rule: {name: row["bill_gbp"] for name, row in each["partners"].items()} for rule, each in found.items()
        },
        "bills": found,
        "verdicts": {rule: each["verdict"] for rule, each in found.items()},
        "access_rule": "pro rata to demand",
        "taken_up": game.taken,
        "sure": {"all": FOR_ALL_VALUES, "found": AT_INCUMBENTS},
        "versions": versions(),
        "timings": {
            "total_seconds": game.seconds,
            "together_seconds": everyone.seconds,
            "groups_seconds": sum(solved.seconds for solved in game.solved.values()),
        },
    }
