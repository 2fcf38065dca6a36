"""The simulation where mathematics knows the answer, and that nothing in it is lost or counted twice."""

from __future__ import annotations

import io
import json
import math
import re
from dataclasses import fields, replace
from typing import Any

import numpy as np
import pytest
from rich.console import Console

import optimiser
from models.decisions import Decisions
from models.problem import COST_TERMS, Problem
from optimiser.analysis.appraisal import decisions_of
from optimiser.analysis.simulation import Simulated, simulate
from optimiser.analysis.simulation.draws import BLOCK, Block, block_of, ground_of, unseen
from optimiser.analysis.simulation.matching import chance_to_match, chance_to_release, saturated_mean
from optimiser.analysis.simulation.placing import Policy, live
from optimiser.analysis.simulation.policy import levels_of, pools_of
from optimiser.analysis.simulation.results import Outcome, outcome_of
from optimiser.analysis.simulation.run import beds_of, lived_by
from optimiser.analysis.simulation.summary import simulation_document
from optimiser.assemble import assemble
from optimiser.demand.scenarios import make_scenarios, standard_error
from optimiser.instance.finding import bundled
from optimiser.instance.schema import Instance
from optimiser.report.simulated import show_simulation
from optimiser.solve.engine import Placing
from optimiser.verify import verify
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
    months = 4 * stay
    cohort = COHORT | {"mean_stay_months": stay, "arrivals_per_month": rate}
    census = lived(tiny({"periods": f"{months}x1"}, cohorts=[cohort]), futures=1_000).outcome.children.sum(axis=(1, 2))
    # from nobody: Poisson with mean rate x (1 + q + q^2 ...), where q is the chance to stay a month
    staying = 1 - 1 / stay
    for month in (0, stay // 2, months - 1):
        mean = rate * (1 - staying ** (month + 1)) / (1 - staying)
        assert within(census[:, month], mean)
        # the variance of a sample variance of a Poisson number is about (mean + 2 mean^2) / n; mirrored futures count as half
        spread = math.sqrt((mean + 2 * mean**2) / (len(census) / 2))
        assert abs(census[:, month].var(ddof=1) - mean) <= 3 * spread
    # the whole distribution, not only two moments
    mean = float(rate * (1 - staying**months) / (1 - staying))
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


@pytest.mark.parametrize("rate", [0.05, "gamma(0.08, 0.03)"])
def test_the_optimiser_is_told_the_very_breakdowns_that_were_lived_through(rate: Any) -> None:
    row = {"cohort": "children", "source": "market", "children_at_start": 20, "breakdown_per_month": rate}
    instance = tiny(cohorts=[COHORT | {"arrivals_per_month": 2}], placements=[row])
    problem = problem_of(instance)
    ground = ground_of(instance, problem)
    block = block_of(ground, unseen(instance, problem, 40), 1)
    (places, draws) = beds_of(ground, block, {"option": Decisions.none(problem)})["option"]
    done = live(
        block, places, draws, Policy((), np.zeros((1, 0), dtype=np.int64), np.zeros((1, 0), dtype=bool))
    ).breakdowns
    for number, future in enumerate(block.problem.scenarios):
        there = 20.0
        for month in range(len(block.problem.periods)):
            assert there * future.breakdown[0, 0, month] == pytest.approx(done[number, month])
            there = there * future.stay[0, 0, month] + future.arrivals[0, month]
    assert done.sum() > 100


def test_an_uncertain_rate_of_breakdown_is_one_for_all_months_of_a_simulated_future() -> None:
    cohort = COHORT | {"mean_stay_months": 1_000_000}
    row = {"cohort": "children", "source": "market", "children_at_start": 20, "breakdown_per_month": "gamma(0.1, 0.05)"}
    moves = lived(tiny(cohorts=[cohort], placements=[row]), futures=400).outcome.breakdowns
    assert within(moves, 20 * 24 * 0.1)
    chance = 20 * 24 * (0.1 - 0.1**2 - 0.05**2)
    assert moves.var() == pytest.approx(chance + (20 * 24 * 0.05) ** 2, rel=0.25)


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
    beds, rate, stay, months = 4, 0.08, 50.0, 240
    instance = tiny(
        {"periods": f"{months}x1"},
        cohorts=[COHORT | {"mean_stay_months": stay, "arrivals_per_month": rate}],
        homes=[OPEN | {"beds": beds}],
        placements=[{"cohort": "children", "source": source} for source in ("two-bed", "market")],
    )
    found = lived(instance, begun(problem_of(instance)), futures=400)
    in_home = found.outcome.children[:, 0, 0]
    filled, turned_away = discretised(beds, rate, stay, months)
    for month in (0, 20, 100, 239):
        assert within(in_home[:, month], filled[month])
    # nobody moves from spot, so spot holds who was turned away and stays: an infinite-server queue of the overflow
    waiting = 0.0
    for lost in turned_away:
        waiting = waiting * (1 - 1 / stay) + lost
    assert within(found.outcome.children[:, 0, 1, -1], waiting)
    # by the end both are where Erlang's formula says, as near as months are to a continuum
    lost = erlang_loss(beds, rate * stay)
    assert turned_away[-1] / rate == pytest.approx(lost, rel=0.02)
    late = in_home[:, 200:].mean(axis=1)
    assert within(late, filled[200:].mean())
    assert filled[-1] == pytest.approx(rate * stay * (1 - lost), rel=0.01)


# matching


def ample(home: dict[str, Any]) -> Instance:
    """So many children that a bed that can be filled is filled."""
    return tiny(
        {"periods": "80x1"},
        cohorts=[COHORT | {"mean_stay_months": 6, "arrivals_per_month": 6}],
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
    children = lived(instance, begun(problem_of(instance)), futures=100).outcome.children[:, 0, 0]
    assert children.max() == (beds if beds * occupancy > 1 else 1)
    assert within(children[:, 20:].mean(axis=1), beds * occupancy)


def test_a_contract_in_constant_demand_is_as_full_as_its_matching_occupancy() -> None:
    instance = tiny(
        {"periods": "60x1"},
        cohorts=[COHORT | {"mean_stay_months": 6, "arrivals_per_month": 8}],
        lots=[LOT | {"matching_occupancy": 0.85, "lead_months": 0, "term_months": 60}],
        tiers=[TIER],
        placements=[{"cohort": "children", "source": source} for source in ("block", "market")],
    )
    children = lived(instance, awarded(problem_of(instance), 9), futures=100).outcome.children[:, 0, 0]
    assert within(children[:, 5:].mean(axis=1), 9 * 0.85)


def test_the_chance_to_match_is_between_never_and_always_and_gives_back_its_occupancy() -> None:
    for beds in (2, 3, 5):
        for occupancy in (1 / beds, 0.7, 0.9, 1.0):
            chance = chance_to_match(beds, occupancy, 0.15)
            assert 0 <= chance <= 1
            assert saturated_mean(beds, chance, 0.15) == pytest.approx(beds * occupancy, abs=1e-6)
    assert chance_to_release(np.array([1.0, 0.5]), np.array([0.1, 0.1])) == pytest.approx([1.0, 0.05 / 0.55])


# against the optimiser


def rich(periods: str = "24x1", **tables: Any) -> Instance:
    """Two cohorts, breakdowns, moves and money, and a market that is never short: foresight is worth nothing."""
    given: dict[str, Any] = {
        "cohorts": [
            COHORT
            | {
                "arrivals_per_month": "uniform(0.5, 1.5)",
                "planned_moves_per_month": 0.05,
                "contribution_gbp_per_week": 300,
            },
            COHORT | {"cohort": "older", "mean_stay_months": "uniform(6, 18)", "arrivals_per_month": 0.6},
        ],
        "steps": [{"origin": "children", "destination": "older", "share_per_month": 0.03}],
        "spots": [{"spot": "market", "title": "Market", "growth_per_year": "uniform(-0.05, 0.1)"}],
        "placements": [
            {"cohort": "children", "source": "market", "breakdown_per_month": 0.04, "children_at_start": 9},
            {"cohort": "older", "source": "market", "breakdown_per_month": 0.02, "children_at_start": 4},
        ],
        **tables,
    }
    return tiny({"periods": periods, "inflation_per_year": 0.02, "discount_rate": 0.035}, **given)


def expected_cost(problem: Problem, decisions: Decisions) -> tuple[np.ndarray, np.ndarray]:
    """What the optimiser says: cost of each future, and its children in care, [scenario, period]."""
    placements = Placing().place(problem, decisions)
    census = np.array([placed.placed.sum(axis=(0, 1)) for placed in placements])
    return verify(problem, decisions, placements).scenario_pounds, census


def test_where_only_an_ample_market_is_to_be_had_the_optimiser_and_the_simulation_cost_the_same_child_by_child() -> (
    None
):
    found = lived(rich(), futures=40, paired=40)
    gap = found.foresight
    assert gap is not None
    assert gap.simulated_gbp == pytest.approx(gap.optimised_gbp, rel=1e-9)
    assert found.outcome.term_gbp[:, COST_TERMS.index("income")].mean() < 0


def test_where_homes_have_ample_beds_the_optimiser_and_the_simulation_cost_the_same_child_by_child() -> None:
    home = OPEN | {
        "beds": 80,
        "variable_gbp_per_week": 700,
        "lifecycle_gbp_per_year": 9_000,
        "capital_bid_factor": "uniform(0.8, 1.2)",
    }
    placements = [
        {"cohort": name, "source": source} for name in ("children", "older") for source in ("two-bed", "market")
    ]
    instance = rich(homes=[home], placements=placements)
    found = lived(instance, begun(problem_of(instance)), futures=20, paired=20)
    gap = found.foresight
    assert gap is not None
    assert gap.simulated_gbp == pytest.approx(gap.optimised_gbp, rel=1e-9)
    assert found.outcome.children[:, :, 0].sum() == found.outcome.children.sum()


@pytest.mark.parametrize(("committed", "optional"), [(6, 34), (0, 40), (12, 28)])
def test_call_off_is_paid_from_the_first_child_beyond_the_committed_beds_by_optimiser_and_simulation_alike(
    committed: int, optional: int
) -> None:
    """Ten children who stay, and a lot in which matching never keeps any of them out: nothing is left to foresee."""
    lot = LOT | {
        "minimum_beds": 0,
        "lead_months": 0,
        "term_months": 24,
        "matching_occupancy": 0.6,
        "call_off_beds": 40,
        "call_off_gbp_per_week": 4_800,
        "call_off_retainer_gbp_per_week": 50,
    }
    instance = tiny(
        cohorts=[COHORT | {"mean_stay_months": 1e9, "planned_moves_per_month": 1.0}],
        lots=[lot],
        tiers=[TIER | {"from_beds": 0}],
        placements=[
            {"cohort": "children", "source": "block"},
            {"cohort": "children", "source": "market", "children_at_start": 10},
        ],
    )
    decisions = awarded(problem_of(instance), committed)
    decisions.optional_beds[0] = optional
    found = lived(instance, decisions, futures=10, paired=10)
    gap = found.foresight
    assert gap is not None
    a_week = committed * 4_557 + optional * 50 + max(10 - committed, 0) * 4_800
    assert gap.optimised_gbp == pytest.approx(a_week * 52 / 12 * 24, rel=1e-6)
    assert gap.simulated_gbp == pytest.approx(gap.optimised_gbp, rel=1e-6)


def test_what_a_gap_is_made_of_adds_up_and_is_nothing_where_foresight_is_worth_nothing() -> None:
    found = lived(rich(), futures=20, paired=20, take_apart=True)
    gap = found.foresight
    assert gap is not None and gap.apart is not None
    parts = gap.apart.matching_gbp + gap.apart.whole_gbp + gap.apart.unknown_gbp
    assert parts == pytest.approx(gap.simulated_gbp - gap.optimised_gbp, abs=1e-6)
    assert gap.apart.matching_gbp == pytest.approx(0, abs=1e-6)
    # the parts of children leave, step across and break down as the optimiser's do
    assert within(gap.apart.unknown_gbp, 0.0)
    assert abs(gap.apart.unknown_gbp.mean()) < 0.01 * gap.optimised_gbp.mean()


def test_a_gap_where_hardly_any_two_children_match_is_put_down_to_matching() -> None:
    instance = tiny(
        {"periods": "40x1"},
        cohorts=[COHORT | {"arrivals_per_month": 0.4}],
        homes=[OPEN | {"matching_occupancy": 1.0, "matching_in_demand": 0.55}],
        placements=[{"cohort": "children", "source": source} for source in ("two-bed", "market")],
    )
    found = lived(instance, begun(problem_of(instance), 2), futures=40, paired=40, take_apart=True)
    gap = found.foresight
    assert gap is not None and gap.apart is not None
    matching, whole, unknown = (
        float(part.mean()) for part in (gap.apart.matching_gbp, gap.apart.whole_gbp, gap.apart.unknown_gbp)
    )
    assert matching > 0.5 * gap.gap_gbp > 0
    # without whole numbers and matching, one home at one price is filled as well by who knows nothing ahead
    assert abs(unknown) < matching and whole > 0


@pytest.mark.parametrize("periods", ["24x1", "6x1 6x3"])
def test_the_optimisers_own_futures_have_the_simulations_expected_cost_and_census(periods: str) -> None:
    """On futures drawn apart, with longer periods too: no part of a gap comes from when things are counted."""
    instance = rich(periods)
    found = lived(instance, futures=600).outcome
    problem = problem_of(instance, 60)
    cost, _ = expected_cost(problem, Decisions.none(problem))
    theirs, ours = standard_error(cost), standard_error(found.cost_gbp)
    assert theirs is not None and ours is not None
    assert abs(cost.mean() - found.cost_gbp.mean()) <= 3 * math.hypot(theirs, ours)
    # the census of many futures needs no placement: everyone stays as in the one market
    futures = make_scenarios(instance, 600, seed=77)
    children = np.array([[9.0, 4.0]] * 600)
    for period in range(len(problem.periods)):
        stepped = futures.step[:, 0, 0, period] * children[:, 0]
        children = children * futures.stay[:, :, 0, period] + futures.arrivals[:, :, period]
        children[:, 1] += stepped
    census = children.sum(axis=1)
    last = found.children.sum(axis=(1, 2))[:, -int(problem.period_months[-1]) :].mean(axis=1)
    assert abs(census.mean() - last.mean()) <= 3 * math.sqrt(census.var() / 300 + last.var() / 300)
    assert census.var() == pytest.approx(last.var(), rel=0.2 if periods == "24x1" else 0.3)


def test_foresight_and_fractions_flatter_a_plan_where_beds_are_few() -> None:
    instance = optimiser.load("kent-in-house-2025")
    problem = problem_of(instance, 4)
    paper = decisions_of(instance, problem, next(option for option in instance.options if option.paper))
    found = simulate(instance, problem, {"paper": paper}, futures=20, search=0, paired=20)["paper"]
    gap = found.foresight
    assert gap is not None and gap.gap_error_gbp is not None
    assert gap.gap_gbp > -2 * gap.gap_error_gbp
    assert gap.simulated_child_weeks.mean() > gap.optimised_child_weeks.mean()
    assert gap.gap_share == pytest.approx(gap.gap_gbp / gap.optimised_gbp.mean())


# common random numbers


def arrays(outcome: Outcome) -> dict[str, np.ndarray]:
    return {field.name: getattr(outcome, field.name) for field in fields(Outcome)}


def test_the_same_children_come_and_stay_whatever_is_decided() -> None:
    instance = optimiser.load("kent-in-house-2025")
    problem = problem_of(instance, 4)
    paper = decisions_of(instance, problem, next(option for option in instance.options if option.paper))
    found = simulate(
        instance, problem, {"none": Decisions.none(problem), "paper": paper}, futures=10, search=0, paired=0
    )
    none, other = found["none"].outcome, found["paper"].outcome
    assert np.array_equal(none.children.sum(axis=2), other.children.sum(axis=2))
    assert not np.array_equal(none.children, other.children)
    assert np.array_equal(none.children_in_care, other.children_in_care)


def test_an_option_costs_the_same_alone_as_beside_others() -> None:
    instance = optimiser.load("kent-in-house-2025")
    problem = problem_of(instance, 4)
    paper = decisions_of(instance, problem, next(option for option in instance.options if option.paper))
    beside = simulate(
        instance, problem, {"none": Decisions.none(problem), "paper": paper}, futures=6, search=0, paired=0
    )
    alone = simulate(instance, problem, {"paper": paper}, futures=6, search=0, paired=0)
    assert np.array_equal(beside["paper"].outcome.cost_gbp, alone["paper"].outcome.cost_gbp)


def limited() -> Instance:
    """A home in which matching matters, a contract, a limited market and children without a registered home."""
    home = OPEN | {
        "matching_occupancy": 0.8,
        "sold_beds": 1,
        "sold_gbp_per_week": 3_000,
        "lead_months": "uniform(0, 6)",
    }
    return rich(
        homes=[home],
        lots=[LOT | {"matching_occupancy": 0.85, "failure_per_year": 0.3, "delivery_profile": "0.5 1"}],
        tiers=[TIER],
        spots=[{"spot": "market", "title": "Market", "availability": "uniform(0.5, 1)"}],
        layers=[
            {"spot": "market", "beds": 5, "gbp_per_week": 4_000},
            {"spot": "market", "beds": 3, "gbp_per_week": 6_000},
        ],
        placements=[
            {
                "cohort": name,
                "source": source,
                "breakdown_per_month": 0.05,
                "children_at_start": 3 if source == "market" else 0,
            }
            for name in ("children", "older")
            for source in ("two-bed", "block", "market")
        ],
    )


def mixed(problem: Problem) -> Decisions:
    decisions = awarded(problem, 4)
    decisions.homes_begun[0] = 2
    return decisions


def test_one_worker_and_two_give_the_same_bytes() -> None:
    instance = limited()
    problem = problem_of(instance)
    options = {"none": Decisions.none(problem), "mixed": mixed(problem)}
    one, two = (
        simulate(instance, problem, options, futures=BLOCK + 10, search=0, paired=0, workers=workers)
        for workers in (1, 2)
    )
    for name in options:
        for array, values in arrays(one[name].outcome).items():
            assert values.tobytes() == getattr(two[name].outcome, array).tobytes(), array


def test_more_futures_only_add_to_those_of_a_smaller_run_and_another_seed_draws_others() -> None:
    instance = limited()
    problem = problem_of(instance)
    few, many = (lived(instance, mixed(problem), futures=futures).outcome for futures in (8, 20))
    assert np.array_equal(few.cost_gbp, many.cost_gbp[:8])
    other = assemble(instance, make_scenarios(instance, 2, 5))
    elsewhere = simulate(instance, other, {"": mixed(other)}, futures=8, seed=5, search=0, paired=0)[""]
    assert not np.array_equal(few.cost_gbp, elsewhere.outcome.cost_gbp)


def test_futures_are_none_that_the_plan_was_made_on() -> None:
    instance = limited()
    problem = problem_of(instance, 6)
    futures = unseen(instance, problem, 8)
    assert futures.numbers.tolist() == list(range(6, 14))
    seen = make_scenarios(instance, 14)
    assert np.array_equal(futures.futures.arrivals, seen.arrivals[6:])


def test_a_seed_that_the_plan_was_not_made_on_is_refused() -> None:
    instance = optimiser.load("kent-in-house-2025")
    problem = problem_of(instance, 20)
    with pytest.raises(ValueError, match="does not draw the futures that the plan was made on"):
        unseen(instance, problem, 4, seed=instance.settings.seed + 1)


# nothing is lost, nothing counted twice


def block(instance: Instance, problem: Problem, futures: int) -> Block:
    return block_of(ground_of(instance, problem), unseen(instance, problem, futures), instance.settings.seed)


def test_every_child_lives_in_one_place_every_month_until_leaving_care() -> None:
    instance = limited().model_copy(update={"steps": ()})  # whoever has no registered home does not step across
    problem = problem_of(instance)
    outcome = lived(instance, mixed(problem), futures=30).outcome
    assert outcome.children[:, :, -1].any()
    scenarios = block(instance, problem, 30).problem.scenarios
    before = np.array([[3.0, 3.0]] * 30)
    for month in range(24):
        stay = np.array([scenario.stay[:, 0, month] for scenario in scenarios])
        arrivals = np.array([scenario.arrivals[:, month] for scenario in scenarios])
        census = outcome.children[..., month].sum(axis=2)
        assert census == pytest.approx(before * stay + arrivals, abs=1e-9)
        before = census
    arrived = sum(scenario.arrivals.sum() for scenario in scenarios)
    assert outcome.children_in_care.sum() == arrived + 30 * 6


def test_nobody_lives_where_there_is_no_bed() -> None:
    instance = limited()
    outcome = lived(instance, mixed(problem_of(instance)), futures=60).outcome
    living = outcome.children.sum(axis=1)
    own = [0, 1]  # the homes and the contract
    assert (living[:, own] + outcome.sold[:, own] <= outcome.beds[:, own]).all()
    assert outcome.sold.max() == 1
    assert (living[:, 2, 6:] <= outcome.beds[:, 2, 6:]).all()


def test_nobody_is_without_a_registered_home_while_an_allowed_bed_is_free() -> None:
    instance = rich(
        layers=[{"spot": "market", "beds": 7, "gbp_per_week": 4_000}],
        placements=[{"cohort": name, "source": "market", "breakdown_per_month": 0.1} for name in ("children", "older")],
    )
    outcome = lived(instance, futures=60).outcome
    without = outcome.children[:, :, -1].sum(axis=1) > 0
    assert without.any()
    assert (outcome.children[:, :, 0].sum(axis=1)[without] == 7).all()
    assert (outcome.children_unregistered > 0).any()


def test_every_pound_is_that_of_the_beds_and_children_counted() -> None:
    cohort = COHORT | {"arrivals_per_month": 1.2, "closure_move_gbp": 400}
    lot = LOT | {
        "call_off_beds": 2,
        "call_off_gbp_per_week": 4_800,
        "call_off_retainer_gbp_per_week": 100,
        "setup_gbp": 7_000,
    }
    placements = [{"cohort": "children", "source": source} for source in ("block", "market")]
    instance = tiny(cohorts=[cohort], lots=[lot], tiers=[TIER], placements=placements)
    problem = problem_of(instance)
    decisions = awarded(problem, 3)
    decisions.optional_beds[0] = 2
    outcome = lived(instance, decisions, futures=50).outcome
    weeks = 52 / 12
    living = outcome.children[:, 0]
    pounds = dict(zip(COST_TERMS, outcome.term_gbp.T, strict=True))
    assert pounds["spot"] == pytest.approx(living[:, 1].sum(axis=1) * weeks * 5_000)
    assert pounds["block"] == pytest.approx(12 * 3 * weeks * 4_557)
    called_off = np.maximum(living[:, 0] - 3, 0).sum(axis=1)
    assert called_off.any()
    assert pounds["call_off"] == pytest.approx(weeks * (12 * 2 * 100 + called_off * 4_800))
    assert pounds["procurement"] == pytest.approx(7_000)
    assert pounds["unregistered"] == pytest.approx(0)
    assert outcome.closures.any()
    assert pounds["closures"] == pytest.approx(outcome.closures * 400)
    assert outcome.cost_gbp == pytest.approx(sum(pounds.values()))
    assert outcome.nominal_gbp.sum(axis=2) == pytest.approx(outcome.term_gbp)


def test_beds_lived_in_a_second_time_are_charged_for_the_second_time() -> None:
    """The search for protection levels lives in the same beds again and again."""
    layers = [{"spot": "market", "beds": 1, "gbp_per_week": 5_000}]
    instance = tiny(cohorts=[COHORT | {"arrivals_per_month": 2.0}], layers=layers)
    problem = problem_of(instance)
    ground = ground_of(instance, problem)
    block = block_of(ground, unseen(instance, problem, 5), 1)
    (places, draws) = beds_of(ground, block, {"option": Decisions.none(problem)})["option"]
    nobody_kept_out = Policy((), np.zeros((1, 0), dtype=np.int64), np.zeros((1, 0), dtype=bool))
    done = live(block, places, draws, nobody_kept_out)
    assert (outcome_of(block, places, done).deterrent_gbp > 0).all()

    again = outcome_of(block, places, replace(done, placed=np.zeros_like(done.placed)))
    assert (again.deterrent_gbp == 0).all()
    assert again.term_gbp[:, COST_TERMS.index("unregistered")].sum() == 0


# beds come and go


def test_children_of_a_contract_that_ends_move_once_each_and_nobody_stays() -> None:
    cohort = COHORT | {"mean_stay_months": 1_000}
    placements = [
        {"cohort": "children", "source": "old", "children_at_start": 5},
        {"cohort": "children", "source": "market"},
    ]
    old = {"supply": "old", "title": "Old", "beds": 5, "until": "2026-04"}
    outcome = lived(tiny(cohorts=[cohort], existing=[old], placements=placements), futures=40).outcome
    in_old, in_market = outcome.children[:, 0, 0], outcome.children[:, 0, 1]
    assert (in_old[:, 12:] == 0).all()
    assert (in_old[:, 0] >= 4).all()
    assert np.array_equal(outcome.closures, outcome.moves)
    assert within(outcome.closures, 5 * 0.999**13)
    assert (in_market[:, 12] <= in_old[:, 11]).all()


def test_homes_open_when_their_future_says_and_close_when_the_plan_says() -> None:
    home = OPEN | {
        "begin_until": "2025-04",
        "lead_months": "uniform(1, 6)",
        "registration_delay_months": 2,
        "closable": True,
    }
    instance = ample(home | {"beds": 3})
    problem = problem_of(instance)
    decisions = begun(problem, 2)
    closing = next(place for place, (_, _, period) in enumerate(problem.closures) if period == 40)
    decisions.homes_closed[closing] = 1
    outcome = lived(instance, decisions, futures=30).outcome
    scenarios = block(instance, problem, 30).problem.scenarios
    for future, scenario in enumerate(scenarios):
        expected = 6 * scenario.home_open[0, 0]
        expected[40:] -= 3
        assert outcome.beds[future, 0] == pytest.approx(expected)
    assert (outcome.children[:, 0, 0, 40] == 3).all()
    assert outcome.closures.any()


def test_parts_of_beds_become_whole_beds_with_the_same_mean() -> None:
    instance = tiny(existing=[{"supply": "old", "title": "Old", "beds": 2.3}])
    beds = lived(instance, futures=400).outcome.beds[:, 0, 0]
    assert set(beds) == {2.0, 3.0}
    assert within(beds, 2.3)


# the placing policy


def test_children_who_may_move_every_month_never_stay_in_a_dearer_place() -> None:
    cohort = COHORT | {"arrivals_per_month": 1.0, "planned_moves_per_month": 1.0}
    placements = [{"cohort": "children", "source": source} for source in ("two-bed", "market")]
    instance = tiny(cohorts=[cohort], homes=[OPEN | {"beds": 4}], placements=placements)
    moving = lived(instance, begun(problem_of(instance)), futures=60).outcome
    in_home, in_market = moving.children[:, 0, 0], moving.children[:, 0, 1]
    assert (in_home[in_market > 0] == 4).all()
    assert moving.planned_moves.any()
    staying = instance.model_copy(
        update={"cohorts": (instance.cohorts[0].model_copy(update={"planned_moves_per_month": 0.0}),)}
    )
    stayed = lived(staying, begun(problem_of(staying)), futures=60).outcome
    assert (stayed.children[:, 0, 0][stayed.children[:, 0, 1] > 0] < 4).any()
    assert stayed.planned_moves.sum() == 0


def test_a_planned_move_that_costs_more_than_it_saves_is_not_made() -> None:
    cohort = COHORT | {"arrivals_per_month": 1.0, "planned_moves_per_month": 1.0, "planned_move_gbp": 1e7}
    placements = [{"cohort": "children", "source": source} for source in ("two-bed", "market")]
    instance = tiny(cohorts=[cohort], homes=[OPEN | {"beds": 4}], placements=placements)
    assert lived(instance, begun(problem_of(instance)), futures=20).outcome.planned_moves.sum() == 0


def two_needs() -> Instance:
    """One home for two cohorts: spot places of one cost four times those of the other."""
    return tiny(
        {"periods": "36x1"},
        cohorts=[
            COHORT | {"arrivals_per_month": 0.8},
            COHORT | {"cohort": "complex", "arrivals_per_month": 0.15},
        ],
        homes=[OPEN | {"beds": 4}],
        spots=[{"spot": "cheap", "title": "Cheap"}, {"spot": "dear", "title": "Dear"}],
        layers=[{"spot": "cheap", "gbp_per_week": 3_000}, {"spot": "dear", "gbp_per_week": 16_000}],
        placements=[
            {"cohort": "children", "source": "two-bed"},
            {"cohort": "children", "source": "cheap"},
            {"cohort": "complex", "source": "two-bed"},
            {"cohort": "complex", "source": "dear"},
        ],
    )


def test_protection_levels_are_searched_for_the_cohort_whose_spot_places_are_cheaper_only() -> None:
    instance = two_needs()
    problem = problem_of(instance)
    beds = lived(instance, begun(problem), futures=4).outcome.beds
    assert pools_of(problem) == ((0,),)
    assert levels_of(problem, beds) == [(0, 0)]
    assert levels_of(problem, np.zeros_like(beds)) == []


def test_protection_levels_keep_the_last_beds_and_save_money_on_futures_that_they_were_not_searched_on() -> None:
    instance = two_needs()
    found = lived(instance, begun(problem_of(instance)), futures=200, search=100)
    keep = int(found.policy.protected[0, 0])
    assert 1 <= keep <= 3
    assert found.policy.protected[1, 0] == 0
    # the cheaper cohort enters only while more than that many beds are free
    assert found.outcome.children[:, 0, 0].max() == 4 - keep
    assert found.plain.children[:, 0, 0].max() == 4
    saved = found.plain.cost_gbp - found.outcome.cost_gbp
    error = standard_error(saved)
    assert error is not None and saved.mean() > 2 * error
    document = simulation_document({"option": found})
    rows = document["options"][0]["when_to_go_to_market"]
    assert [(row["cohort"], row["beds"], row["above"]) for row in rows] == [
        ("children", 4, 4 - keep),
        ("complex", 4, 4),
    ]


def test_children_who_make_room_leave_protected_beds_at_the_rate_of_planned_moves() -> None:
    instance = two_needs()
    moving = instance.cohorts[0].model_copy(update={"planned_moves_per_month": 1.0})
    instance = instance.model_copy(update={"cohorts": (moving, instance.cohorts[1])})
    problem = problem_of(instance)
    ground, drawn = ground_of(instance, problem), block(instance, problem, 20)
    pools, keep = pools_of(problem), np.array([[2], [0]])
    stays, leaves = (
        lived_by(ground, drawn, {"": (begun(problem), Policy(pools, keep, np.array([[room], [False]])))})[""]
        for room in (False, True)
    )

    def crowded(outcome: Outcome) -> float:
        younger, both = outcome.children[:, 0, 0], outcome.children[:, :, 0].sum(axis=1)
        return float((both[younger > 0] > 2).mean())

    # beds are free when the month's calls begin; children with complex needs may then fill them
    assert crowded(leaves) < 0.5 * crowded(stays)
    assert leaves.children[:, 1, 2].sum() < 0.8 * stays.children[:, 1, 2].sum()
    assert leaves.planned_moves.sum() > 0


def test_no_bed_is_protected_against_a_child_who_would_have_no_registered_home() -> None:
    instance = two_needs()
    nowhere = tuple(row for row in instance.placements if row.source != "cheap")
    instance = instance.model_copy(update={"placements": nowhere})
    problem = problem_of(instance)
    ground, chosen = ground_of(instance, problem), begun(problem)
    drawn = block(instance, problem, 20)
    policy = Policy(pools_of(problem), np.array([[3], [0]]), np.array([[True], [False]]))
    outcome = lived_by(ground, drawn, {"kept": (chosen, policy)})["kept"]
    living, without = outcome.children[:, :, 0].sum(axis=1), outcome.children[:, 0, -1]
    assert (living[without > 0] == 4).all()
    assert without.any()


# what is told


def test_the_share_in_the_area_is_that_of_the_places_where_children_live() -> None:
    instance = rich(
        bands=[{"source": "market", "band": "in-area", "share": 0.6}],
        local=[{"limit": "near", "cohorts": "children older", "band": "in-area", "minimum_share": 0.5}],
    )
    found = lived(instance, futures=10)
    row = simulation_document({"option": found})["options"][0]
    assert row["in_area_share"]["mean"] == pytest.approx(0.6)
    assert row["local_limits"][0] | {"standard_error": None} == {
        "limit": "near",
        "minimum": 0.5,
        "mean": pytest.approx(0.6),
        "standard_error": None,
    }


@pytest.mark.parametrize("name", [folder.name for folder in bundled()])
def test_doing_nothing_in_a_bundled_instance_is_simulated_and_told_as_json_and_in_words(name: str) -> None:
    instance = optimiser.load(name)
    problem = problem_of(instance, 4)
    found = simulate(instance, problem, {"do-nothing": Decisions.none(problem)}, futures=4, search=0, paired=0)
    document = simulation_document(found)
    assert json.loads(json.dumps(document)) == document
    row = document["options"][0]
    outcome = found["do-nothing"].outcome
    assert row["cost_gbp"]["mean"] == pytest.approx(sum(term["present_gbp"] for term in row["terms"]))
    assert outcome.children_in_care.min() > 0
    assert row["child_weeks"]["mean"] > row["unregistered_child_weeks"]["mean"]
    console = Console(width=110, record=True, file=io.StringIO())
    show_simulation(document, console)
    assert instance.settings.title in console.export_text()


def test_options_that_decide_the_same_are_told_of_once_and_percentages_have_a_minus() -> None:
    instance = optimiser.load("kent-in-house-2025")
    problem = problem_of(instance, 2)
    paper = decisions_of(instance, problem, next(option for option in instance.options if option.paper))
    options = {"do-nothing": Decisions.none(problem), "paper": paper, "waiting": Decisions.none(problem)}
    document = simulation_document(simulate(instance, problem, options, futures=2, search=0, paired=2, take_apart=True))
    assert [row["same_as"] for row in document["options"]] == [None, None, "do-nothing"]
    console = Console(width=110, record=True, file=io.StringIO())
    show_simulation(document, console)
    shown = " ".join(console.export_text().split())
    assert shown.count("• Cost ") == 2
    assert "waiting • The same decisions as: do-nothing." in shown
    assert "child-weeks without a registered place, against what the optimiser says of the same children" in shown
    assert not re.search(r"[^0-9]-[0-9.]+%", shown)
