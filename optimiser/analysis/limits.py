"""What holds a plan back: the limits that bind, and what one unit more of each is worth.

Every worth is computed: the limit is raised by one unit and the problem solved again on the same futures, starting from
what the first solve has learned. With whole homes and beds a dual price would be a guess.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

import numpy as np

from models.decisions import Decisions
from models.problem import Group, Problem, Tier
from optimiser.finance import whole_pounds
from optimiser.plan import Plan, in_words
from optimiser.solve.engine import WORKERS, Engine, Found
from optimiser.solve.twostage import Settings
from optimiser.verify import verify

CAPITAL_STEP = 100_000.0


@dataclass(frozen=True)
class Limit:
    """A limit of the first stage: what it is called, how one raises it, and whether the plan touches it.

    ``used`` and ``limit`` are in ``unit``; ``step`` is the least that could change a plan, shown with the result. A limit that
    grows with the months is told of in ``month``, where it is closest.
    """

    name: str
    words: str
    unit: str
    used: float
    limit: float
    step: float
    step_words: str
    binding: bool
    raised: Callable[[Problem, float], Problem]
    month: str | None = None


@dataclass(frozen=True)
class Worth:
    """What raising a limit by one step is worth, present real £ of what is minimised.

    At least ``least`` (a plan that saves so much was found), at most ``most`` (no plan can save more).
    ``pounds`` is the change in expected cost without the deterrent, and ``child_weeks`` the expected child-weeks
    without a registered place that it avoids, both of the plan found. ``objective`` and ``cost`` are that plan's, present
    real £ with and without the deterrent, and ``bound`` what no plan with the unit more can be below.
    """

    limit: Limit
    least: float
    most: float
    pounds: float
    child_weeks: float
    objective: float
    bound: float
    cost: float


def limits_of(
    problem: Problem, decisions: Decisions, unregistered: np.ndarray, titles: Mapping[str, str]
) -> list[Limit]:
    """All limits of the first stage with how far the plan uses them.

    ``unregistered``: child-weeks, [scenario, authority, year]. ``titles``: what items and groups of them are called.
    """
    return [
        *_capital(problem, decisions),
        *_registrations(problem, decisions),
        *_managers(problem, decisions),
        *_homes(problem, decisions, titles),
        *_lots(problem, decisions, titles),
        *_tolerances(problem, unregistered),
    ]


def worths(
    engine: Engine, plan: Plan, limits: list[Limit], settings: Settings, progress: Callable[[str], None] | None = None
) -> list[Worth | Limit]:
    """Worth of one step more of every limit that binds; the limit itself where the search was stopped before it was known."""
    binding = [limit for limit in limits if limit.binding]
    if progress is not None and binding:
        progress("what " + ", ".join(limit.step_words for limit in binding) + " is worth")
    with ThreadPoolExecutor(WORKERS) as pool:
        return list(pool.map(lambda limit: _worth(engine, plan, limit, settings) or limit, binding))


def _worth(engine: Engine, plan: Plan, limit: Limit, settings: Settings) -> Worth | None:
    problem = limit.raised(plan.problem, limit.step)
    more = engine.under(problem).search(settings, start=plan.decisions)
    if not isinstance(more, Found):
        return None
    checked = verify(problem, more.decisions, more.placements)
    if checked.violations:
        return None
    before = plan.verified
    better = checked.objective < before.objective
    probability = plan.probability
    weeks = probability @ (before.unregistered_child_weeks - checked.unregistered_child_weeks).sum(axis=(1, 2))
    return Worth(
        limit,
        least=max(before.objective - checked.objective, 0.0),
        most=max(before.objective - more.bound, 0.0),
        pounds=before.expected_cost - checked.expected_cost if better else 0.0,
        child_weeks=float(weeks) if better else 0.0,
        objective=checked.objective,
        bound=more.bound,
        cost=checked.expected_cost,
    )


# the limits


def _capital(problem: Problem, decisions: Decisions) -> Iterator[Limit]:
    for position, envelope in enumerate(problem.envelopes):
        begun = np.zeros((len(problem.leaves), len(problem.financial_years)))
        for row, leaf in enumerate(problem.leaves):
            for place, begin in enumerate(problem.begins):
                if begin.node in problem.path_to(leaf) and begin.home in envelope.homes:
                    amount = problem.planning_capital[begin.home, begin.period] * decisions.homes_begun[place]
                    begun[row, problem.period_year[begin.period]] += amount
        prices = [float(problem.planning_capital[b.home, b.period]) for b in problem.begins if b.home in envelope.homes]
        cheapest = min((price for price in prices if price > 0), default=CAPITAL_STEP)
        if envelope.total is not None:
            used = float(begun.sum(axis=1).max(initial=0.0))
            yield from _capital_steps(position, "the capital envelope", used, envelope.total, cheapest, None)
        if envelope.by_year is None:
            continue
        for year, label in enumerate(problem.financial_years):
            limit = sum(envelope.by_year[: year + 1]) if envelope.carry_forward else envelope.by_year[year]
            amounts = begun[:, : year + 1].sum(axis=1) if envelope.carry_forward else begun[:, year]
            used = float(amounts.max(initial=0.0))
            if any(problem.period_year[begin.period] == year for begin in problem.begins):
                yield from _capital_steps(position, f"the capital envelope of {label}", used, limit, cheapest, year)


def _capital_steps(
    position: int, words: str, used: float, limit: float, cheapest: float, year: int | None
) -> Iterator[Limit]:
    """One more £100k, and where that buys nothing, enough for one more home."""

    def raised(problem: Problem, step: float) -> Problem:
        envelope = problem.envelopes[position]
        if year is None:
            assert envelope.total is not None
            wider = replace(envelope, total=envelope.total + step)
        else:
            assert envelope.by_year is not None
            years = [amount + (step if place == year else 0.0) for place, amount in enumerate(envelope.by_year)]
            wider = replace(envelope, by_year=tuple(years))
        return replace(problem, envelopes=(*problem.envelopes[:position], wider, *problem.envelopes[position + 1 :]))

    short = used + cheapest - limit
    binding = short > 1e-6
    yield Limit(words, words, "£", used, limit, CAPITAL_STEP, "another £100k of capital", binding, raised)
    if short > CAPITAL_STEP:
        enough = float(np.ceil(short / 10_000) * 10_000)
        name = f"{words}, enough for one more home"
        yield Limit(
            name,
            words,
            "£",
            used,
            limit,
            enough,
            f"another {whole_pounds(enough)} of capital (one more home)",
            binding,
            raised,
        )


def _registrations(problem: Problem, decisions: Decisions) -> Iterator[Limit]:
    if problem.registrations_limit is None:
        return
    most = 0
    for leaf in problem.leaves:
        path = problem.path_to(leaf)
        in_hand = sum(
            (
                problem.in_hand[begin.home, begin.period] * decisions.homes_begun[place]
                for place, begin in enumerate(problem.begins)
                if begin.node in path
            ),
            start=np.zeros(len(problem.periods)),
        )
        most = max(most, int(np.max(in_hand)))
    limit = problem.registrations_limit
    yield Limit(
        "registrations in hand",
        "registrations in hand at once",
        "homes",
        most,
        limit,
        1,
        "one more registration in hand",
        most >= limit,
        lambda problem, step: replace(problem, registrations_limit=limit + int(step)),
    )


def _managers(problem: Problem, decisions: Decisions) -> Iterator[Limit]:
    if problem.managers is None:
        return
    managers = problem.managers
    own = [(n, t) for n, node in enumerate(problem.nodes) for t in range(node.first_period, node.end_period)]
    spare = np.array([int(managers.recruitable[t] - decisions.managers[n, t]) for n, t in own])
    # where fewest are to spare, and of those where most are in post: in a month without either, nothing is held back
    tightest = min(range(len(own)), key=lambda place: (spare[place], -decisions.managers[own[place]]))
    period = own[tightest][1]

    def raised(problem: Problem, step: float) -> Problem:
        more = replace(managers, recruitable=managers.recruitable + int(step))
        return replace(problem, managers=more)

    used, limit = int(decisions.managers[own[tightest]]), int(managers.recruitable[period])
    words, more = "registered managers that can be recruited", "one more registered manager"
    month = problem.periods[period]
    yield Limit(words, words, "managers", used, limit, 1, more, bool(spare.min() <= 0), raised, month)


def _homes(problem: Problem, decisions: Decisions, titles: Mapping[str, str]) -> Iterator[Limit]:
    for position, group in enumerate(problem.home_groups):
        used = 0
        for leaf in problem.leaves:
            path = problem.path_to(leaf)
            begun = sum(
                int(decisions.homes_begun[place])
                for place, begin in enumerate(problem.begins)
                if begin.node in path and begin.home in group.members
            )
            used = max(used, begun)
        if group.limit == 0 or not any(begin.home in group.members for begin in problem.begins):
            continue
        if any(_holds_closer(other, group) for place, other in enumerate(problem.home_groups) if place != position):
            continue

        def raised(problem: Problem, step: float, position: int = position) -> Problem:
            members = problem.home_groups[position].members
            groups = tuple(
                replace(other, limit=other.limit + int(step))
                if place == position or (len(members) == 1 and other.members == members)
                else other
                for place, other in enumerate(problem.home_groups)
            )
            return replace(problem, home_groups=groups)

        key, words = (f"homes to be had: {name}" for name in (group.name, titles.get(group.name, in_words(group.name))))
        yield Limit(key, words, "homes", used, group.limit, 1, "one more home", used >= group.limit, raised)


def _holds_closer(other: Group, group: Group) -> bool:
    """Whether another group holds the same homes, and more, to as few."""
    return set(other.members) > set(group.members) and other.limit <= group.limit


def _lots(problem: Problem, decisions: Decisions, titles: Mapping[str, str]) -> Iterator[Limit]:
    for lot, name in enumerate(problem.lots):
        beds = max((int(decisions.beds_in_tier[place].sum()) for place in problem.awards_of(lot)), default=0)
        limit = int(problem.lot_maximum[lot])

        def raised(problem: Problem, step: float, lot: int = lot) -> Problem:
            maximum = problem.lot_maximum.copy()
            maximum[lot] += int(step)
            tiers = problem.lot_tiers[lot]
            wider = (*tiers[:-1], Tier(tiers[-1].minimum, tiers[-1].maximum + int(step)))
            all_tiers = (*problem.lot_tiers[:lot], wider, *problem.lot_tiers[lot + 1 :])
            return replace(problem, lot_maximum=maximum, lot_tiers=all_tiers)

        key, words = f"committed beds of {name}", f"committed beds: {titles.get(name, in_words(name))}"
        yield Limit(key, words, "beds", beds, limit, 1, "one more block bed", beds >= limit, raised)


def _tolerances(problem: Problem, unregistered: np.ndarray) -> Iterator[Limit]:
    probability = np.array([scenario.probability for scenario in problem.scenarios])
    for position, tolerance in enumerate(problem.unregistered_limits):
        weeks = unregistered[:, list(tolerance.authorities)].sum(axis=1)
        if tolerance.child_weeks is None:
            continue
        used = float(probability @ weeks.sum(axis=1))

        def raised(problem: Problem, step: float, position: int = position) -> Problem:
            old = problem.unregistered_limits[position]
            assert old.child_weeks is not None
            wider = replace(old, child_weeks=old.child_weeks + step)
            limits = problem.unregistered_limits
            return replace(problem, unregistered_limits=(*limits[:position], wider, *limits[position + 1 :]))

        key = f"tolerated child-weeks, {problem.unregistered_name} ({tolerance.name})"
        words = f"tolerated child-weeks, {problem.unregistered_name} ({in_words(tolerance.name)})"
        binding = used >= tolerance.child_weeks - 0.01 * max(tolerance.child_weeks, 1.0)
        step_words = "one more child-week tolerated"
        yield Limit(key, words, "child-weeks", used, tolerance.child_weeks, 1.0, step_words, binding, raised)
