"""The frontier against every first stage tried one by one, and what is said of its points."""

from __future__ import annotations

import csv
import json
import os
import signal
from dataclasses import replace
from functools import cache
from io import StringIO
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console
from typer.testing import CliRunner

import optimiser
from models.decisions import Decisions, with_managers_needed
from models.problem import Envelope, Problem
from optimiser.amounts import amount_of
from optimiser.analysis.frontier import Curve, Grid, Limited, Solved, frontier
from optimiser.analysis.planning import Asked, Told, prepare
from optimiser.analysis.slippage import Slippage
from optimiser.cli import app
from optimiser.cli.frontier import grid_of
from optimiser.errors import InstanceError, SolverError
from optimiser.instance.schema import Instance
from optimiser.instance.template import write_template
from optimiser.report.frontier import show_frontier
from optimiser.solve.engine import Engine
from optimiser.solve.highs import relative_gap
from optimiser.solve.twostage import Settings
from optimiser.verify import verify
from tests import oracle
from tests.random_problems import random_problem

EXACT = Settings(gap=1e-7)
#: Random problems in which homes take capital: with reviews, weight or a limit on the tail, limits across futures, and
#: envelopes by year with and without carry-forward.
SEEDS = (4, 5, 8, 13, 14, 21, 32, 37, 40, 46, 53, 69)
YEARS = (5, 46, 53)
#: Whose it is does not matter to a curve.
INSTANCE = optimiser.load("kent-in-house-2025")


def with_envelope(problem: Problem) -> Problem:
    if problem.envelopes:
        return problem
    return replace(problem, envelopes=(Envelope("all", tuple(range(len(problem.homes))), None, None, True),))


@cache
def by_brute_force(seed: int, limited: Limited) -> list[tuple[float, float]]:
    """(capital used, least objective): every amount of capital that buys a lower cost than less capital does."""
    problem = with_envelope(random_problem(seed))
    top = max(limited.sums(problem) or (0.0,))
    ample = limited.at(problem, top)
    recourse = oracle.Recourse(ample)
    least: dict[float, float] = {}
    for decisions in oracle.first_stages(ample):
        objective = recourse.objective(decisions)
        if objective is not None:
            used = limited.used(ample, decisions)
            least[used] = min(least.get(used, np.inf), objective)
    found: list[tuple[float, float]] = []
    for used in sorted(least):
        if not found or least[used] < found[-1][1] - 1e-6 * max(1.0, abs(found[-1][1])):
            found.append((used, least[used]))
    return found


def curve_of(problem: Problem, limited: Limited) -> Curve:
    curve = Curve(INSTANCE, Engine(problem), limited, EXACT)
    top = max(limited.sums(problem) or (0.0,))
    assert curve.descend(top)
    return curve


CASES = [(seed, None) for seed in SEEDS] + [(seed, year) for seed in YEARS for year in (0, 1)]


@pytest.mark.parametrize(("seed", "year"), CASES)
def test_every_breakpoint_is_the_one_that_brute_force_finds(seed: int, year: int | None) -> None:
    problem, limited = with_envelope(random_problem(seed)), Limited((0,), year)
    if year is not None and not (year < len(problem.financial_years) and limited.amounts(problem).any()):
        pytest.skip("no home begins in that year")
    expected = by_brute_force(seed, limited)
    curve = curve_of(problem, limited)
    limits = [limit for each in curve.solved for limit in (each.limit, each.used)]
    stretches = curve.stretches(limits)
    assert [each.solved.used for each in stretches] == pytest.approx([used for used, _ in expected], abs=0.011)
    for each, (_, cost) in zip(stretches, expected, strict=True):
        assert each.solved.objective == pytest.approx(cost, rel=1e-5, abs=1e-5)
        assert each.bound <= cost + 1e-5 * max(1.0, abs(cost))
        assert each.least
    if not expected:
        assert all(each.plan is None and each.bound == np.inf for each in curve.solved)
        return
    for limit in np.linspace(0.0, expected[-1][0] * 1.2 + 1, 13):
        affordable = [cost for used, cost in expected if used <= limit + 0.005]
        best = curve.best(limit)
        assert (best is None) == (not affordable)
        if best is not None:
            assert best.objective == pytest.approx(affordable[-1], rel=1e-5, abs=1e-5)
            assert curve.bound(min(limit, curve.solved[0].limit)) <= affordable[-1] + 1e-5 * max(
                1.0, abs(affordable[-1])
            )


def test_the_brute_force_problems_have_steps_to_find() -> None:
    steps = [len(by_brute_force(seed, Limited((0,), None))) for seed in SEEDS]
    assert sum(count > 1 for count in steps) >= 5 and max(steps) >= 3


# Kent, made small enough to try every purchase


def reduced_kent() -> Instance:
    """No contracts and no review; homes begun on two dates, joint ones on one; at most three."""
    instance = optimiser.load("kent-in-house-2025")
    dates = {"two-bed": ("2025-04", "2025-10"), "joint": ("2025-10", "2025-10")}
    homes = tuple(
        row.model_copy(
            update={"begin_from": dates[row.home][0], "begin_until": dates[row.home][1], "begin_every_months": 6}
        )
        for row in instance.homes
        if row.home in dates
    )
    groups = tuple(row.model_copy(update={"members": ("two-bed", "joint"), "limit": 3}) for row in instance.groups)
    placements = tuple(row for row in instance.placements if row.source not in ("block", "two-bed-later"))
    return instance.model_copy(
        update={"homes": homes, "groups": groups, "placements": placements, "lots": (), "tiers": (), "reviews": ()}
    )


@cache
def kent() -> tuple[Engine, dict[float, float]]:
    """The engine, and the least objective by capital used over all home purchases, each placed by itself."""
    _, engine = prepare(reduced_kent(), Asked(scenarios=3))
    problem = Limited((0,), None).at(engine.problem, 1e8)
    engine = engine.under(problem)
    least: dict[float, float] = {}
    size = len(problem.begins)
    for begun in np.ndindex(*(4,) * size):
        decisions = Decisions.none(problem)
        decisions.homes_begun[:] = begun
        decisions = with_managers_needed(problem, decisions)
        if sum(begun) > 3:
            continue
        checked = verify(problem, decisions, engine.place(decisions).placements)
        if not checked.violations:
            used = Limited((0,), None).used(problem, decisions)
            least[used] = min(least.get(used, np.inf), checked.objective)
    return engine, least


def test_no_purchase_of_a_reduced_kent_that_beats_its_neighbours_by_more_than_the_gap_is_missed() -> None:
    engine, least = kent()
    assert len(least) >= 6
    settings = Settings(gap=1e-3)
    curve = Curve(reduced_kent(), engine, Limited((0,), None), settings)
    assert curve.descend(1e8)
    stretches = curve.stretches([limit for each in curve.solved for limit in (each.limit, each.used)])
    used = [each.solved.used for each in stretches]
    cheapest = np.inf
    for capital in sorted(least):
        own = [each for each in stretches if each.solved.used <= capital + 0.005][-1]
        best = min(cost for other, cost in least.items() if other <= capital + 0.005)
        assert own.solved.objective <= best / (1 - settings.gap) + 1e-3, "within the gap at every envelope"
        assert own.bound <= best * (1 + 1e-9)
        if best < cheapest * (1 - settings.gap):
            assert min(abs(capital - each) for each in used) < 0.01, (
                "a step beyond the gap begins where it can be afforded"
            )
        cheapest = min(cheapest, best)


# what holds whatever the problem


def test_plans_that_are_kept_differ_by_more_than_the_gap_and_costs_fall() -> None:
    _, document = small()
    for one, other in pairwise(document["points"]):
        assert one["capital_limit_gbp"] < other["capital_limit_gbp"]
        assert one["best_until_gbp"] == other["best_from_gbp"]
        assert relative_gap(one["objective_gbp"], other["bound_gbp"]) > document["gap_asked"]
        assert other["objective_gbp"] < one["objective_gbp"]
    for row in document["points"]:
        assert row["bound_gbp"] <= row["objective_gbp"]
        assert relative_gap(row["objective_gbp"], row["bound_gbp"]) <= document["gap_asked"] * 1.001


def test_a_bound_that_crosses_an_affordable_plan_is_refused() -> None:
    problem = with_envelope(random_problem(69))
    curve = curve_of(problem, Limited((0,), None))
    cheapest = min(curve.solved, key=lambda each: each.used)
    curve.solved.append(replace(curve.solved[0], bound=cheapest.objective * 2 + 1, plan=None))
    with pytest.raises(SolverError, match="one of the two is wrong"):
        curve.check()


def test_steps_smaller_than_the_gap_are_merged_into_the_plan_that_takes_less() -> None:
    problem = with_envelope(random_problem(69))
    curve = curve_of(problem, Limited((0,), None))
    limits = [limit for each in curve.solved for limit in (each.limit, each.used)]
    assert len(curve.stretches(limits)) > 1
    curve.settings = Settings(gap=0.999)
    (only,) = curve.stretches(limits)
    assert only.solved.used == 0 and only.until == curve.solved[0].limit
    assert only.bound == curve.solved[0].bound


def test_sums_of_prices_hold_every_amount_that_homes_along_a_path_can_cost() -> None:
    for seed in (14, 46, 69):
        problem = with_envelope(random_problem(seed))
        limited = Limited((0,), None)
        sums = limited.sums(problem)
        assert sums is not None and sums[0] == 0.0
        ample = limited.at(problem, sums[-1])
        for decisions in oracle.first_stages(ample):
            used = limited.used(ample, decisions)
            assert min(abs(used - each) for each in sums) < 0.011


def test_an_envelope_too_large_to_feel_is_taken_over_without_a_search() -> None:
    problem = with_envelope(random_problem(46))
    curve = curve_of(problem, Limited((0,), None))
    other = Curve(INSTANCE, curve.engine, Limited((0,), 0), EXACT)
    top = max(other.sums or (0.0,))
    other.take(top, curve.solved[0])
    assert isinstance(other.solved[0], Solved) and other.settled(top) and not other.seconds


# the document and the command


@cache
def small() -> tuple[object, dict]:
    """A frontier of the reduced Kent."""
    return frontier(reduced_kent(), Asked(scenarios=3))


def test_points_add_up() -> None:
    stretches, document = small()
    assert document["complete"] and document["points"][0]["capital_used_gbp"] == 0
    first = document["points"][0]
    for row, stretch in zip(document["points"], stretches[0], strict=True):
        plan = stretch.solved.plan
        assert sum(each["capital_gbp"] for each in row["capital_by_year"]) == pytest.approx(row["capital_used_gbp"])
        assert row["saving_gbp"] == pytest.approx(first["expected_cost_gbp"] - row["expected_cost_gbp"])
        assert row["objective_gbp"] == pytest.approx(row["expected_cost_gbp"] + row["deterrent_gbp"])
        assert row["p90_gbp"] <= row["cvar_gbp"] + 1e-6
        worth = row["next_million"]
        assert worth["least_gbp"] <= worth["found_gbp"] + 1e-6 <= worth["most_gbp"] + 2e-6
        # revenue by year, deflated and discounted as the ledger is, is the expected cost: nothing here is capital
        ledger = plan.nominal.sum(axis=1)
        assert sum(each["revenue_gbp"] for each in row["years"]) == pytest.approx(ledger.sum())
    assert any(row["homes"] > 0 and row["break_even_occupancy"] for row in document["points"])
    assert document["own"]["more"]["objective_more_gbp"] == 0
    assert document["own"]["less"]["objective_more_gbp"] >= 0


def test_the_outlay_is_repaid_when_the_saving_reaches_it() -> None:
    _, document = small()
    nothing = document["points"][0]
    for row in document["points"][1:]:
        years = [each["year"] for each in row["years"]]
        saved = [a["revenue_gbp"] - b["revenue_gbp"] for a, b in zip(nothing["years"], row["years"], strict=True)]
        spent = {each["year"]: each["capital_gbp"] for each in row["capital_by_year"]}
        balance, last = 0.0, None
        for year, amount in zip(years, saved, strict=True):
            balance += amount - spent.get(year, 0.0)
            last = (last or year) if balance >= 0 else None
        assert row["outlay_repaid_year"] == last


def test_ctrl_c_keeps_the_points_found_so_far() -> None:
    pressed: list[str] = []

    def press_once(words: str) -> None:
        if "2 solved" in words and not pressed:
            pressed.append(words)
            os.kill(os.getpid(), signal.SIGINT)

    _, stopped = frontier(reduced_kent(), Asked(scenarios=3), Told(step=press_once))
    assert pressed and not stopped["complete"]
    _, whole = small()
    assert 1 <= len(stopped["points"]) < len(whole["points"])
    console = Console(width=110, record=True, file=StringIO())
    show_frontier(stopped, console)
    assert "Stopped: the points shown hold" in " ".join(console.export_text().split())


def test_a_grid_has_a_row_an_envelope_and_reads_as_people_write_it() -> None:
    assert grid_of("0:3.8m:100k") == Grid(0.0, 3.8e6, 1e5)
    assert len(grid_of("0:3.8m:100k").limits) == 39
    assert grid_of("0:1m:300k").limits == (0.0, 3e5, 6e5, 9e5, 1e6)
    assert amount_of("£1,900,000") == 1.9e6 and amount_of("much") is None


@pytest.mark.parametrize("words", ["0:1m", "1m:0:1k", "0:1m:0", "a:b:c", "0:3.8m:1"])
def test_a_grid_that_is_none_is_refused(words: str, tmp_path: Path) -> None:
    done = CliRunner().invoke(app, ["frontier", "kent-in-house-2025", "--capital", words])
    assert done.exit_code == 2


def test_an_instance_without_homes_is_refused() -> None:
    bare = optimiser.load("kent-sufficiency-2019")
    with pytest.raises(InstanceError, match="asks for no capital"):
        frontier(bare, Asked(scenarios=2))


def halves(problem: Problem) -> Problem:
    """The homes of a problem in two envelopes, the first home in one and all in the other."""
    every = tuple(range(len(problem.homes)))
    two = (Envelope("one", every[:1], None, None, True), Envelope("all", every, None, None, True))
    return replace(problem, envelopes=two)


@pytest.mark.parametrize("seed", [14, 46, 69])
def test_envelopes_varied_together_buy_what_brute_force_finds(seed: int) -> None:
    problem = halves(random_problem(seed))
    limited = Limited((0, 1), None, (0.3, 0.7))
    top = limited.enough(problem)
    ample = limited.at(problem, top)
    recourse = oracle.Recourse(ample)
    costs = [
        (limited.used(ample, decisions), cost)
        for decisions in oracle.first_stages(ample)
        if (cost := recourse.objective(decisions)) is not None
    ]
    curve = curve_of(problem, limited)
    for limit in np.linspace(0.0, top * 1.1, 9):
        affordable = [cost for used, cost in costs if used <= limit + 0.005]
        best = curve.best(limit)
        assert (best is None) == (not affordable)
        if best is not None:
            assert best.objective == pytest.approx(min(affordable), rel=1e-5, abs=1e-5)
            held = limited.at(problem, limit)
            taken = [
                float((limited._amounts(held, each) * best.plan.decisions.homes_begun).sum()) for each in held.envelopes
            ]
            if len(problem.leaves) == 1:
                assert all(amount <= each.total + 0.02 for amount, each in zip(taken, held.envelopes, strict=True))


def with_second_envelope() -> Instance:
    instance = reduced_kent()
    second = instance.capital[0].model_copy(update={"envelope": "second", "limit_gbp": 1_900_000.0, "authority": None})
    return instance.model_copy(update={"capital": (*instance.capital, second)})


def shown(document: dict) -> str:
    console = Console(width=110, record=True, file=StringIO())
    show_frontier(document, console)
    return " ".join(console.export_text().split())


def test_it_is_said_which_envelopes_are_varied_and_which_are_held() -> None:
    _, together = frontier(with_second_envelope(), Asked(scenarios=2), grid=Grid(0.0, 5.7e6, 1.9e6))
    assert [each["name"] for each in together["envelopes"]] == ["in-house", "second"]
    assert sum(each["share"] for each in together["envelopes"]) == pytest.approx(1)
    assert together["own_limit_gbp"] == 5.7e6
    for row in together["points"]:
        assert row["capital_used_gbp"] <= row["capital_limit_gbp"] / 3 + 0.02, (
            "the second holds a third of every amount"
        )
    assert "together: in-house 67%, second 33%" in shown(together)
    _, named = frontier(with_second_envelope(), Asked(scenarios=2), grid=Grid(0.0, 1.9e6, 1.9e6), envelope="second")
    assert named["envelopes_held"] == [{"name": "in-house", "limit_gbp": 3.8e6}]
    # a third of the whole is the second by itself
    assert named["points"][1]["objective_gbp"] == pytest.approx(together["points"][-1]["objective_gbp"], rel=2e-3)
    assert "second; held: in-house £3,800,000" in shown(named)
    with pytest.raises(InstanceError, match=r"is no envelope.*Name one of in-house, second"):
        frontier(with_second_envelope(), Asked(scenarios=2), envelope="third")


def test_what_slips_stands_beside_what_the_same_envelopes_bought_before() -> None:
    slipped = Slippage(6, (("2025/26", 1_200_000.0),))
    _, document = frontier(reduced_kent(), Asked(scenarios=3, slippage=slipped))
    _, before = small()
    for row in (*document["points"], document["own"]):
        limit = row["capital_limit_gbp"]
        same = [each for each in before["points"] if each["best_from_gbp"] <= limit + 0.005][-1]
        assert row["before"]["objective_gbp"] == pytest.approx(same["objective_gbp"], rel=1.1e-3)
        assert row["before"]["bound_gbp"] <= same["objective_gbp"] * (1 + 1e-9)
        # what slips can only cost: fewer homes in time, or less capital
        assert row["objective_gbp"] >= row["before"]["bound_gbp"]
        if "slippage_costs_gbp" in row:
            assert row["slippage_costs_gbp"] == pytest.approx(
                row["expected_cost_gbp"] - row["before"]["expected_cost_gbp"]
            )
    words = shown(document)
    assert "Once this slips: every registration 6 months later; £1,200,000 of capital in 2025/26" in words
    assert "What slipping costs at each envelope" in words and "Before anything slipped it bought" in words


def test_no_envelope_at_all_buys_nothing_and_says_so() -> None:
    instance = reduced_kent()
    none = instance.model_copy(update={"capital": (instance.capital[0].model_copy(update={"limit_gbp": 0.0}),)})
    _, document = frontier(none, Asked(scenarios=2), grid=Grid(0.0, 0.0, 1e5))
    (point,) = document["points"]
    assert point["homes"] == 0 and point["saving_gbp"] == 0 and document["own"]["less"] is None
    words = shown(document)
    assert "1 envelope, by" in words and "Repaid" not in words.split("•", 1)[1]


def test_the_command_writes_tables_and_chart_and_prints_one_document(tmp_path: Path) -> None:
    write_template(tmp_path / "council")
    out = tmp_path / "frontier"
    call = [
        "frontier",
        str(tmp_path / "council"),
        "--scenarios",
        "2",
        "--capital",
        "0:2m:500k",
        "--json",
        "--out",
        str(out),
    ]
    done = CliRunner().invoke(app, call)
    assert done.exit_code == 0, done.output
    document = json.loads(done.stdout)
    assert [row["capital_limit_gbp"] for row in document["points"]] == [0, 5e5, 1e6, 1.5e6, 2e6]
    assert all(a["objective_gbp"] >= b["objective_gbp"] for a, b in pairwise(document["points"]))
    written = {path.name for path in out.iterdir()}
    assert {"frontier.json", "frontier.csv", "frontier.svg", "frontier.png", "years.csv"} <= written
    with (out / "frontier.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [float(row["objective_gbp"]) for row in rows] == [row["objective_gbp"] for row in document["points"]]
    # any figure of the folder leads to terms and their inputs
    traced = json.loads(CliRunner().invoke(app, ["trace", str(out), "points.2000000.p90", "--json"]).stdout)["figures"][
        0
    ]
    assert traced["sum_of_terms"] and traced["agrees"] and traced["sources"]
    assert traced["value"] == document["points"][-1]["p90_gbp"]
    words = " ".join(CliRunner().invoke(app, [*call[:6], "--by", "year"]).output.split())
    assert "Capital used, by year begun" in words and "In spot places" in words
    assert "Capital that" in words and "Costs never rise with the envelope" in words
