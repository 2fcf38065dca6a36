"""The simulation where mathematics knows the answer, and that nothing in it is lost or counted twice."""

from __future__ import annotations

import math
from dataclasses import fields
from functools import lru_cache
from typing import Any

import numpy as np
import pytest

import optimiser
from models.decisions import Decisions
from models.problem import COST_TERMS, Problem
from optimiser.analysis.appraisal import decisions_of
from optimiser.analysis.simulation import Simulated, simulate
from optimiser.analysis.simulation.draws import BLOCK, Block, block_of, ground_of, unseen
from optimiser.analysis.simulation.matching import chance_to_match, chance_to_release, saturated_mean
from optimiser.analysis.simulation.policy import levels_of, pools_of
from optimiser.analysis.simulation.results import Outcome, standard_error
from optimiser.assemble import assemble
from optimiser.demand.scenarios import make_scenarios
from optimiser.instance.finding import bundled
from optimiser.instance.schema import Instance
from tests.test_assemble import HOME, LOT, TIER, tiny

COHORT: dict[str, Any] = {"cohort": "children", "authority": "council", "title": "All", "mean_stay_months": 10}
#: A home that is open from the first day.
OPEN = HOME | {"lead_months": 0, "registration_delay_months": 0, "begin_until": "2025-04"}


def problem_of(instance: Instance, futures: int = 2) -> Problem:
    return assemble(instance, make_scenarios(instance, futures))


def begun(problem: Problem, homes: int = 1) -> Decisions:
    """Homes of the first type begun at the first date."""
    decisions = Decisions.none(problem)
    decisions.homes_begun[0] = homes
    return decisions


def awarded(problem: Problem, beds: int) -> Decisions:
    """Beds of the first lot awarded at the first date."""
    decisions = Decisions.none(problem)
    decisions.lot_awarded[0] = decisions.tier_chosen[0, 0] = 1
    decisions.beds_in_tier[0, 0] = beds
    return decisions


def lived(instance: Instance, decisions: Decisions | None = None, futures: int = 1_000, **more: Any) -> Simulated:
    """One set of decisions simulated; do nothing where none is given."""
    problem = problem_of(instance)
    chosen = Decisions.none(problem) if decisions is None else decisions
    asked = {"search": 0, "paired": 0} | more
    return simulate(instance, problem, {"option": chosen}, futures=futures, **asked)["option"]


def within(amounts: np.ndarray, truth: float, errors: float = 3.0) -> bool:
    """Whether the truth lies within so many standard errors of the mean over futures."""
    error = standard_error(amounts)
    assert error is not None
    return abs(float(amounts.mean()) - truth) <= errors * error


# children in care


@pytest.mark.parametrize(("rate", "stay"), [(1.2, 10), (3.0, 14)])
def test_children_in_care_without_limits_are_poisson_with_the_mean_and_variance_of_an_infinite_server_queue(
    rate: float, stay: int
) -> None:
    months = 8 * stay
    cohort = COHORT | {"mean_stay_months": stay, "arrivals_per_month": rate}
    census = lived(tiny({"periods": f"{months}x1"}, cohorts=[cohort]), futures=2_000).outcome.children.sum(axis=(1, 2))
    # from nobody: Poisson with mean rate x (1 + q + q^2 ...), where q is the chance to stay a month
    staying = 1 - 1 / stay
    for month in (0, 3, stay, months - 1):
        mean = rate * (1 - staying ** (month + 1)) / (1 - staying)
        assert within(census[:, month], mean)
        # the variance of a sample variance of a Poisson number is about (mean + 2 mean^2) / n; mirrored futures count as half
        spread = math.sqrt((mean + 2 * mean**2) / (len(census) / 2))
        assert abs(census[:, month].var(ddof=1) - mean) <= 3 * spread
    # the whole distribution, not only two moments
    mean = float(rate * stay)
    for level in range(int(mean) - 3, int(mean) + 4):
        expected = sum(math.exp(-mean) * mean**k / math.factorial(k) for k in range(level + 1))
        assert within((census[:, -1] <= level).astype(float), expected, errors=3.5)


def test_children_at_the_start_stay_as_long_as_any_other_from_today() -> None:
    instance = tiny(cohorts=[COHORT], placements=[{"cohort": "children", "source": "market", "children_at_start": 40}])
    census = lived(instance, futures=600).outcome.children.sum(axis=(1, 2))
    for month in (0, 5, 15):
        assert within(census[:, month], 40 * 0.9 ** (month + 1))


def test_children_step_across_at_their_rate_and_keep_their_place() -> None:
    instance = tiny(
        cohorts=[COHORT | {"mean_stay_months": 20}, COHORT | {"cohort": "older", "mean_stay_months": 20}],
        steps=[{"origin": "children", "destination": "older", "share_per_month": 0.1}],
        placements=[
            {"cohort": "children", "source": "market", "children_at_start": 50},
            {"cohort": "older", "source": "market"},
        ],
    )
    outcome = lived(instance, futures=400).outcome
    younger = outcome.children[:, 0].sum(axis=1)
    assert within(younger[:, 9], 50 * 0.85**10)
    older = outcome.children[:, 1].sum(axis=1)
    expected = sum(50 * 0.85**month * 0.1 * 0.95 ** (9 - month) for month in range(10))
    assert within(older[:, 9], expected)
    assert outcome.moves.sum() == 0


def test_children_stay_as_long_as_the_source_where_they_live_says() -> None:
    instance = tiny(
        cohorts=[COHORT],
        placements=[{"cohort": "children", "source": "market", "mean_stay_months": 5, "children_at_start": 40}],
    )
    census = lived(instance, futures=400).outcome.children.sum(axis=(1, 2))
    assert within(census[:, 5], 40 * 0.8**6)


def test_placements_break_down_at_their_rate_and_each_is_a_move() -> None:
    cohort = COHORT | {"mean_stay_months": 1_000}
    row = {"cohort": "children", "source": "market", "children_at_start": 20, "breakdown_per_month": 0.05}
    outcome = lived(tiny(cohorts=[cohort], placements=[row]), futures=300).outcome
    expected = 20 * sum(0.999**month * 0.05 for month in range(24))
    assert within(outcome.breakdowns, expected)
    assert np.array_equal(outcome.moves, outcome.breakdowns)
    # of 24 months at 5%, three or more: binomial
    many = 1 - sum(math.comb(24, k) * 0.05**k * 0.95 ** (24 - k) for k in range(3))
    assert abs(outcome.many_moves.mean() / 20 - many) < 0.02


# Erlang


def discretised(beds: int, rate: float, stay: float, months: int) -> tuple[np.ndarray, np.ndarray]:
    """Children in so many beds, and children turned away, by month, exactly: by month each child leaves with 1 / stay, then
    a Poisson number arrives and whoever finds no bed goes elsewhere for good. From empty beds."""
    top = 60
    arrives = np.array([math.exp(-rate) * rate**k / math.factorial(k) for k in range(top)])
    state = np.zeros(beds + 1)
    state[0] = 1.0
    filled, turned_away = [], []
    for _ in range(months):
        after = np.zeros(beds + 1)
        lost = 0.0
        for living, share in enumerate(state):
            for left in range(living + 1):
                kept = math.comb(living, left) * (1 - 1 / stay) ** left * (1 / stay) ** (living - left)
                for come, chance in enumerate(arrives):
                    after[min(beds, left + come)] += share * kept * chance
                    lost += share * kept * chance * max(left + come - beds, 0)
        state = after
        filled.append(float(state @ np.arange(beds + 1)))
        turned_away.append(lost)
    return np.array(filled), np.array(turned_away)


def erlang_loss(beds: int, load: float) -> float:
    """Share of arrivals that find every bed taken (Erlang, 1917)."""
    return (load**beds / math.factorial(beds)) / sum(load**k / math.factorial(k) for k in range(beds + 1))


def test_one_home_with_overflow_to_spot_follows_erlangs_loss_formula() -> None:
    """Months are the step: long stays make it fine, and the chain by month is known exactly besides."""
    beds, rate, stay, months = 4, 0.08, 50.0, 300
    instance = tiny(
        {"periods": f"{months}x1"},
        cohorts=[COHORT | {"mean_stay_months": stay, "arrivals_per_month": rate}],
        homes=[OPEN | {"beds": beds}],
        placements=[{"cohort": "children", "source": source} for source in ("two-bed", "market")],
    )
    found = lived(instance, begun(problem_of(instance)), futures=1_000)
    in_home = found.outcome.children[:, 0, 0]
    filled, turned_away = discretised(beds, rate, stay, months)
    for month in (0, 20, 100, 299):
        assert within(in_home[:, month], filled[month])
    # nobody moves from spot, so spot holds who was turned away and stays: an infinite-server queue of the overflow
    waiting = 0.0
    for lost in turned_away:
        waiting = waiting * (1 - 1 / stay) + lost
    assert within(found.outcome.children[:, 0, 1, -1], waiting)
    # by the end both are where Erlang's formula says, as near as months are to a continuum
    lost = erlang_loss(beds, rate * stay)
    assert turned_away[-1] / rate == pytest.approx(lost, rel=0.02)
    late = in_home[:, 250:].mean(axis=1)
    assert within(late, filled[250:].mean())
    assert filled[-1] == pytest.approx(rate * stay * (1 - lost), rel=0.01)


# matching


def ample(home: dict[str, Any], **settings: Any) -> Instance:
    """So many children that a bed that can be filled is filled."""
    return tiny(
        {"periods": "150x1", **settings},
        cohorts=[COHORT | {"mean_stay_months": 6, "arrivals_per_month": 12, "planned_moves_per_month": 0.0}],
        homes=[home],
        placements=[{"cohort": "children", "source": source} for source in (home["home"], "market")],
    )


def test_a_two_bed_home_in_which_no_two_children_match_never_holds_more_than_one() -> None:
    instance = ample(OPEN | {"matching_occupancy": 0.5})
    children = lived(instance, begun(problem_of(instance), 2), futures=40).outcome.children[:, 0, 0]
    assert children.max() == 2  # two homes, one child in each
    one = lived(instance, begun(problem_of(instance)), futures=40).outcome.children[:, 0, 0]
    assert one.max() == 1
    assert one[:, 5:].mean() == 1.0


@pytest.mark.parametrize(("beds", "occupancy"), [(2, 0.8), (3, 0.85), (1, 0.9), (4, 0.6), (2, 0.4)])
def test_a_home_in_constant_demand_is_as_full_as_its_matching_occupancy(beds: int, occupancy: float) -> None:
    instance = ample(OPEN | {"beds": beds, "matching_occupancy": occupancy})
    children = lived(instance, begun(problem_of(instance)), futures=200).outcome.children[:, 0, 0]
    assert children.max() == (beds if beds * occupancy > 1 else 1)
    assert within(children[:, 30:].mean(axis=1), beds * occupancy)


def test_a_contract_in_constant_demand_is_as_full_as_its_matching_occupancy() -> None:
    instance = tiny(
        {"periods": "100x1"},
        cohorts=[COHORT | {"mean_stay_months": 6, "arrivals_per_month": 12}],
        lots=[LOT | {"matching_occupancy": 0.85, "lead_months": 0, "term_months": 100}],
        tiers=[TIER],
        placements=[{"cohort": "children", "source": source} for source in ("block", "market")],
    )
    children = lived(instance, awarded(problem_of(instance), 9), futures=100).outcome.children[:, 0, 0]
    assert within(children.mean(axis=1), 9 * 0.85)


def test_the_chance_to_match_is_between_never_and_always_and_gives_back_its_occupancy() -> None:
    for beds in (2, 3, 5):
        for occupancy in (1 / beds, 0.7, 0.9, 1.0):
            chance = chance_to_match(beds, occupancy, 0.15)
            assert 0 <= chance <= 1
            assert saturated_mean(beds, chance, 0.15) == pytest.approx(beds * occupancy, abs=1e-6)
    assert chance_to_release(np.array([1.0, 0.5]), np.array([0.1, 0.1])) == pytest.approx([1.0, 0.05 / 0.55])
