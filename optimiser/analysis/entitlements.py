"""Fixed entitlements: each council nominates beds of the joint contract, keeps them to itself, and carries its own voids.

That is a different plan from the joint one, and not only a different bill: a bed that stands empty for one council is not
there for another's child. What it costs beyond the joint plan is what pooling is worth.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from models.problem import Floats, Problem, Tier, within
from optimiser.analysis.groups import CLOSE_ENOUGH, CLOSEST, Game
from optimiser.errors import SolverError
from optimiser.plan import Row
from optimiser.solve.engine import Bounds, Engine
from optimiser.solve.family import Family
from optimiser.solve.twostage import Settings
from optimiser.verify import verify

#: Share of a bed's price at which idle beds are sold on, unless said otherwise.
RESALE = 0.5


@dataclass(frozen=True, eq=False)
class Nominated:
    """One council with so many beds of its own: present real £ and what is minimised, set-up left out."""

    beds: int
    objective: float
    pounds: Floats  # [scenario]
    resold: float  # expected income from beds idle after own children
    resold_in: Floats  # the same, [scenario]
    idle_bed_weeks: float
    by_year: Floats  # expected nominal £, set-up left out, [year]
    resold_by_year: Floats  # expected nominal £, [year]


def entitlements(
    game: Game, *, gap: float, resale: float | None = None, told: Callable[[str], None] = lambda words: None
) -> Row | None:
    """Nominations that minimise the sum of what each council pays without pooling, with resale and without.

    The contract, its month and its tiers are those of the joint plan; how many beds each nominates, and all that each does
    on its own besides, are found anew: every number of beds for every council in every tier is a plan of its own, and the
    best numbers that together lie within a tier are put together exactly.

    Parameters
    ----------
    resale : nominal £ a week for which an idle bed is sold on; half its price where left out

    Returns
    -------
    None where the joint plan awards no contract that councils share.
    """
    problem = game.problem
    shared = _shared(game)
    if not shared:
        return None
    position = shared[0]
    lot = problem.awards[position].lot
    apart = game.groups.engine.under(_without_minimum(game.groups.problem, lot))
    setup = _setup(problem, position)
    asked = RESALE * _price_of(problem, position) if resale is None else resale
    best: dict[bool, tuple[float, int, dict[int, Nominated]]] = {}
    for tier, limits in enumerate(problem.lot_tiers[lot]):
        curves: dict[int, list[Nominated]] = {}
        for partner, (most, planned) in enumerate(_beds_to_try(problem, position, limits)):
            told(f"entitlements: beds of tier {tier + 1} for {problem.authorities[partner]}")
            curve = [
                _nominated(game.groups.family, apart, partner, position, tier, beds, setup, min(gap, CLOSEST), asked)
                for beds in range(planned + 1)
            ]
            curves[partner] = [*curve, *(_beyond(curve, beds) for beds in range(planned + 1, most + 1))]
        least = max(limits.minimum, int(problem.lot_minimum[lot]))
        most = min(limits.maximum, int(problem.lot_maximum[lot]))
        for sold in (False, True):
            found = _put_together(curves, least, most, sold)
            if found is not None and (sold not in best or found[0] < best[sold][0]):
                best[sold] = found[0], tier, found[1]
    if not best:
        return None
    return {
        "lot": problem.lots[lot],
        "resale_gbp_per_week": asked,
        "without_resale": _row(game, *best[False], setup, sold=False),
        "with_resale": _row(game, *best[True], setup, sold=True),
        "other_shared_awards": len(shared) - 1,
    }


def plans_needed(game: Game) -> int:
    """How many plans of single councils that takes."""
    shared = _shared(game)
    if not shared:
        return 0
    lot = game.problem.awards[shared[0]].lot
    return sum(
        planned + 1
        for limits in game.problem.lot_tiers[lot]
        for _, planned in _beds_to_try(game.problem, shared[0], limits)
    )


def _shared(game: Game) -> list[int]:
    """Awards of the joint plan that councils share, that of most beds first."""
    problem, decisions = game.problem, game.joint.decisions
    found = [
        position
        for position, award in enumerate(problem.awards)
        if decisions.lot_awarded[position] and len(problem.members(problem.lot_source + award.lot)) > 1
    ]
    return sorted(found, key=lambda position: -int(decisions.beds_in_tier[position].sum()))


def _beds_to_try(problem: Problem, position: int, limits: Tier) -> list[tuple[int, int]]:
    """Most beds that each council may nominate, and up to how many a plan is made: more than it could ever fill, and one."""
    award = problem.awards[position]
    members = problem.members(problem.lot_source + award.lot)
    most = min(limits.maximum, int(problem.lot_maximum[award.lot]))
    delivered = np.concatenate([scenario.lot_delivered[award.lot, award.period] for scenario in problem.scenarios])
    usable = float(delivered[delivered > 0].min(initial=1.0)) * float(problem.lot_occupancy[award.lot])
    found = []
    for partner in range(len(problem.authorities)):
        own = most if partner in members else 0
        filled = int(np.ceil(_most_children(problem, partner) / max(usable, 1e-6)))
        found.append((own, min(own, filled + 1)))
    return found


def _most_children(problem: Problem, partner: int) -> float:
    """Children of a council that there can be at a time in any future: as if all stayed as long as anywhere."""
    own = problem.cohort_authority == partner
    most = 0.0
    for scenario in problem.scenarios:
        staying = scenario.stay.copy()
        for step, (cohort, _) in enumerate(problem.steps):
            staying[cohort] += scenario.step[step]
        longest = staying[own].max(axis=(0, 1), initial=0.0)
        children = float(problem.placed_at_start[own].sum())
        for period, arriving in enumerate(scenario.arrivals[own].sum(axis=0)):
            children = children * float(longest[period]) + float(arriving)
            most = max(most, children)
    return most


def _beyond(curve: list[Nominated], beds: int) -> Nominated:
    """So many beds, where the last two numbers planned for are more than the council could ever fill.

    Each further bed costs what the last did, stands empty as much, and brings what that did.
    """
    last, before = curve[-1], curve[-2]
    more = beds - last.beds
    return Nominated(
        beds,
        last.objective + more * (last.objective - before.objective),
        last.pounds + more * (last.pounds - before.pounds),
        last.resold + more * (last.resold - before.resold),
        last.resold_in + more * (last.resold_in - before.resold_in),
        last.idle_bed_weeks + more * (last.idle_bed_weeks - before.idle_bed_weeks),
        last.by_year + more * (last.by_year - before.by_year),
        last.resold_by_year + more * (last.resold_by_year - before.resold_by_year),
    )


def _without_minimum(problem: Problem, lot: int) -> Problem:
    """The same with no least number of beds in one lot or its tiers: a part of it is not held to what the whole is."""
    tiers = tuple(
        tuple(Tier(0, tier.maximum) for tier in own) if place == lot else own
        for place, own in enumerate(problem.lot_tiers)
    )
    minimum = problem.lot_minimum.copy()
    minimum[lot] = 0
    return replace(problem, lot_tiers=tiers, lot_minimum=minimum)


def _setup(problem: Problem, position: int) -> float:
    """Expected set-up of an award, present real £."""
    return float(_setup_by_period(problem, position) @ problem.present_value)


def _setup_by_period(problem: Problem, position: int) -> Floats:
    """Expected set-up of an award, nominal £, [period]."""
    award = problem.awards[position]
    found = np.zeros(len(problem.periods))
    found[award.period] = sum(
        scenario.probability * scenario.lot_setup[award.lot, award.period] * (award.node in scenario.path)
        for scenario in problem.scenarios
    )
    return found


def _by_year(problem: Problem, amounts: Floats) -> Floats:
    """Sums of amounts [period] by financial year, [year]."""
    found: Floats = np.bincount(problem.period_year, amounts, len(problem.financial_years)).astype(float)
    return found


def _price_of(problem: Problem, position: int) -> float:
    """Expected price of a bed in the highest tier when awarded, nominal £ a week."""
    award = problem.awards[position]
    tier = len(problem.lot_tiers[award.lot]) - 1
    prices = [s.probability * s.lot_price[award.lot, tier, award.period, award.period] for s in problem.scenarios]
    return float(sum(prices))


def _bounds(problem: Problem, partner: int, position: int, tier: int, beds: int) -> Bounds:
    """One council by itself, with its beds of the joint award and no other contract that councils share."""
    bounds: Bounds = {("joined", place): (float(place == partner),) * 2 for place in range(len(problem.authorities))}
    for place, award in enumerate(problem.awards):
        if len(problem.members(problem.lot_source + award.lot)) < 2:
            continue
        index = award.lot, award.node, award.period
        taken = place == position and beds > 0
        bounds["lot_awarded", index] = (float(taken),) * 2
        for each in range(len(problem.lot_tiers[award.lot])):
            held = float(beds if taken and each == tier else 0)
            bounds["beds_in_tier", (award.lot, each, award.node, award.period)] = (held, held)
    return bounds


def _nominated(
    family: Family,
    engine: Engine,
    partner: int,
    position: int,
    tier: int,
    beds: int,
    setup: float,
    gap: float,
    resale: float,
) -> Nominated:
    problem = engine.problem
    first = engine.first_stage(_bounds(problem, partner, position, tier, beds))
    solution, learned = family.solve(first, Settings(gap, workers=1), absolute=CLOSE_ENOUGH)
    family.learn(learned)
    name = problem.authorities[partner]
    if solution.x is None:
        raise SolverError(f"no plan of {name} with {beds} beds of its own keeps every limit ({solution.status})")
    found = engine.plan_of(solution, learned.bases)
    audited = verify(within(problem, [partner]), found.decisions, found.placements)
    if audited.violations:
        raise SolverError(f"the independent recomputation rejects the plan of {name}: {audited.violations[0]}")
    award = problem.awards[position]
    source = problem.lot_source + award.lot
    income, idle = np.zeros(len(problem.scenarios)), 0.0
    nominal_income = np.zeros(len(problem.periods))
    for number, (scenario, placed) in enumerate(zip(problem.scenarios, found.placements, strict=True)):
        if award.node not in scenario.path:
            continue
        usable = beds * scenario.lot_delivered[award.lot, award.period] * problem.lot_occupancy[award.lot]
        empty = np.maximum(usable - placed.placed[:, source].sum(axis=0), 0.0) * problem.weeks
        income[number] = resale * float(empty @ problem.present_value)
        nominal_income += scenario.probability * resale * empty
        idle += scenario.probability * float(empty.sum())
    once = setup if beds else 0.0
    once_by_year = _by_year(problem, _setup_by_period(problem, position)) if beds else 0.0
    probability = np.array([scenario.probability for scenario in problem.scenarios])
    return Nominated(
        beds,
        audited.objective - once,
        audited.scenario_pounds - once,
        float(probability @ income),
        income,
        idle,
        _by_year(problem, np.einsum("s,stap->p", probability, audited.ledger.nominal)) - once_by_year,
        _by_year(problem, nominal_income),
    )


def _put_together(
    curves: dict[int, list[Nominated]], least: int, most: int, sold: bool
) -> tuple[float, dict[int, Nominated]] | None:
    """Nominations of least sum whose beds together lie within limits: all sums, one council after the other."""
    best: dict[int, tuple[float, dict[int, Nominated]]] = {0: (0.0, {})}
    for partner, curve in curves.items():
        further: dict[int, tuple[float, dict[int, Nominated]]] = {}
        for beds, (cost, chosen) in best.items():
            for own in curve:
                total = beds + own.beds
                sum_of = cost + own.objective - (own.resold if sold else 0.0)
                if total <= most and (total not in further or sum_of < further[total][0]):
                    further[total] = sum_of, {**chosen, partner: own}
        best = further
    within_limits = [found for beds, found in best.items() if least <= beds <= most]
    return min(within_limits, key=lambda found: found[0], default=None)


def _row(game: Game, total: float, tier: int, chosen: dict[int, Nominated], setup: float, *, sold: bool) -> Row:
    """One plan of entitlements; the set-up is paid by beds nominated."""
    problem, plan = game.problem, game.joint
    beds = sum(own.beds for own in chosen.values())
    position = _shared(game)[0]
    setup_by_year = _by_year(problem, _setup_by_period(problem, position))
    partners = {}
    for partner, own in chosen.items():
        paid = setup * own.beds / beds if beds else 0.0
        futures = own.pounds + paid - (own.resold_in if sold else 0.0)
        alone = game.solved[1 << partner]
        minimised = own.objective + paid - (own.resold if sold else 0.0)
        partners[problem.authorities[partner]] = {
            "beds": own.beds,
            "bill_gbp": float(plan.probability @ futures),
            "p10_gbp": plan.quantile(futures, 0.1),
            "p90_gbp": plan.quantile(futures, 0.9),
            "better_off_gbp": alone.objective - minimised,
            "idle_bed_weeks": own.idle_bed_weeks,
            "resold_gbp": own.resold if sold else 0.0,
            "years_gbp": dict(
                zip(
                    problem.financial_years,
                    (
                        own.by_year
                        + setup_by_year * (own.beds / beds if beds else 0.0)
                        - (own.resold_by_year if sold else 0.0)
                    ).tolist(),
                    strict=True,
                )
            ),
            "futures_gbp": futures.tolist(),
        }
    return {
        "tier": tier + 1,
        "beds": beds,
        "total_gbp": sum(row["bill_gbp"] for row in partners.values()),
        "pooling_worth_gbp": total + setup - game.everyone.objective,
        "partners": partners,
    }
