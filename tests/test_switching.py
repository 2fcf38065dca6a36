"""Switching values against solves of other engines on both sides, and what is said of inputs that do not matter."""

from __future__ import annotations

from functools import cache
from io import StringIO

import numpy as np
import pytest
from rich.console import Console

from models.decisions import Decisions
from optimiser.analysis.appraisal import best_plan
from optimiser.analysis.planning import Asked, prepare
from optimiser.analysis.sensitivity import Swing, assumed_figures, with_figure
from optimiser.analysis.switching import Decided, Savings, Side, _chosen, crossing, sensitivity, todays
from optimiser.assemble import assemble
from optimiser.demand.scenarios import make_scenarios
from optimiser.instance.register import mean_of
from optimiser.instance.schema import Instance
from optimiser.plan import Plan
from optimiser.report.sensitivity import show_sensitivity
from optimiser.solve.engine import Engine, Found
from optimiser.solve.twostage import Settings
from optimiser.verify import verify
from tests.test_frontier import reduced_kent

FUTURES, GAP = 5, 1e-3
COST = "homes.*.fixed_gbp_per_year"


@pytest.mark.parametrize("at", [0.1, 3.3, 7.9])
@pytest.mark.parametrize("start", [0.0, 10.0])
def test_halving_finds_a_crossing_to_the_tolerance(at: float, start: float) -> None:
    end = 10.0 - start
    asked: list[float] = []

    def beyond(value: float) -> bool:
        asked.append(value)
        return (value > at) == (end > start)

    found = crossing(start, end, beyond, 0.05)
    assert found.stands is not None and found.changes is not None
    assert min(found.stands, found.changes) <= at <= max(found.stands, found.changes)
    assert abs(found.changes - found.stands) <= 0.05 * 10 + 1e-9
    assert not beyond(found.stands) and beyond(found.changes)
    assert len(asked) <= 2 + 6


def test_what_stands_at_the_end_of_the_range_has_no_crossing() -> None:
    found = crossing(1.0, 2.0, lambda value: False, 0.1)
    assert (found.stands, found.changes) == (None, None)
    assert crossing(1.0, 1.0, lambda value: True, 0.1).changes is None


def test_whole_numbers_are_not_halved() -> None:
    found = crossing(1.0, 4.0, lambda value: value > 2.4, 0.01, least=1.0)
    assert found.stands is not None and found.changes is not None
    assert abs(found.changes - found.stands) <= 1.0


def test_a_decision_changes_only_where_it_is_proven() -> None:
    assert Side(best=9.0, best_bound=8.9, held=10.0, held_bound=9.5).changed
    assert not Side(best=9.6, best_bound=9.0, held=10.0, held_bound=9.5).changed
    assert Side(best=9.0, best_bound=8.9, held=np.inf, held_bound=np.inf).changed
    assert not Side(best=np.inf, best_bound=np.inf, held=np.inf, held_bound=np.inf).changed


def test_inputs_that_break_a_limit_are_sought_beside_the_widest() -> None:
    swings = [
        Swing(f"input-{place}", 0, 1, 0, 100.0 - place, 0, 0, ("rule",) if place > 6 else ()) for place in range(10)
    ]
    chosen = [swing.figure for swing in _chosen(swings, 5)]
    assert chosen == ["input-0", "input-1", "input-2", "input-7", "input-8"]
    assert _chosen(swings, 0) == []


@cache
def few_inputs() -> Instance:
    """The reduced Kent with ranges for a few inputs only, that of a home's cost so wide that it ends the saving."""
    instance = reduced_kent()
    kept = ("layers.private.1.gbp_per_week", COST, "homes.*.abortive_gbp")
    evidence = tuple(
        row.model_copy(update={} if row.figures in kept else {"low": "", "high": ""}) for row in instance.evidence
    )
    evidence = tuple(row.model_copy(update={"high": "3000000"}) if row.figures == COST else row for row in evidence)
    return instance.model_copy(update={"evidence": evidence})


@cache
def document() -> dict:
    return sensitivity(few_inputs(), Asked(scenarios=FUTURES, gap=GAP), tolerance=0.25)


def cold(figure: str, value: float) -> Engine:
    """An engine of its own at one value of a figure, on the same futures."""
    instance = few_inputs()
    like = assemble(instance, make_scenarios(instance, FUTURES))
    moved = with_figure(instance, figure, value)
    return Engine(assemble(moved, make_scenarios(moved, FUTURES), like=like))


def decided(engine: Engine) -> Decisions:
    """The plan that the document is about."""
    decisions = Decisions.none(engine.problem)
    for row in document()["decisions"]:
        if row["action"] == "begin":
            for place, begin in enumerate(engine.problem.begins):
                if (
                    engine.problem.homes[begin.home] == row["item"]
                    and engine.problem.periods[begin.period] == row["month"]
                ):
                    decisions.homes_begun[place] = row["number"]
    return decisions


def test_switching_values_hold_on_both_sides_by_other_engines() -> None:
    rows = document()["switching"]
    assert len(rows) == document()["inputs"], "every input is tried, unless fewer are asked for"
    changing = 0
    for row in rows:
        for each in row["decision"].values():
            if each["changes"] is None:
                holds(row["figure"], each["stands_at"])
                continue
            changing += 1
            assert abs(each["changes"] - each["stands"]) <= 0.25 * abs(each["end"] - row["value"]) * (1 + 1e-9)
            assert not each["stands_at"]["changed"] and each["changes_at"]["changed"]
            for name in ("stands_at", "changes_at"):
                holds(row["figure"], each[name])
    assert changing, "the widest input changes the decision at one of its ends"


def holds(figure: str, side: dict | None) -> None:
    """What is said of one side of a switching value against an engine that starts from nothing."""
    if side is None:
        return
    engine = cold(figure, side["value"])
    bounds = todays(engine.problem, decided(engine))
    best = engine.search(Settings(gap=1e-5), method="lshaped")
    held = engine.search(Settings(gap=1e-5), bounds=bounds, method="lshaped")
    assert isinstance(best, Found)
    least = verify(engine.problem, best.decisions, best.placements).objective
    assert side["best_bound_gbp"] <= least * (1 + 1e-6) and least <= side["best_gbp"] * (1 + 1e-6)
    if not isinstance(held, Found):
        assert side["changed"]
        return
    kept = verify(engine.problem, held.decisions, held.placements).objective
    assert kept >= least * (1 - 1e-6)
    if side["changed"]:
        assert kept > side["best_gbp"], "some other plan costs less than any with today's decisions"
    else:
        assert kept <= least * (1 + 2 * GAP), "today's decisions are as good as any, within the gap"


def test_a_plan_that_is_known_spares_the_search_and_is_no_less_proven() -> None:
    instance, key = few_inputs(), COST.replace("*", "two-bed")
    plan, settings = planned(), Settings(gap=GAP)
    tried, fresh = (Decided(instance, plan, None, settings, None) for _ in range(2))
    assert tried.at(((key, 3e6),)).changed, "a plan without these homes is known now"
    quick, whole = tried.at(((key, 2e6),), likely=True), fresh.at(((key, 2e6),))
    assert quick.best_bound == -np.inf and quick.changed == whole.changed
    assert whole.best * (1 - GAP) <= quick.best and quick.best < quick.held_bound
    assert tried.at(((key, 2e6),)).best_bound > 0, "asked for the best, it is searched for"


@cache
def planned() -> Plan:
    instance, engine = prepare(few_inputs(), Asked(scenarios=FUTURES))
    return best_plan(instance, engine, Settings(gap=GAP))


def test_all_inputs_together_change_the_decision_and_end_the_saving_where_it_is_said() -> None:
    together = document()["together"]
    savings = Savings(few_inputs(), planned(), None)
    assert together["against"]["inputs"] == together["for"]["inputs"] > 0
    gone = together["against"]["saving"]
    assert gone["changes"] is not None and gone["saving_where_it_stands_gbp"] > 0 >= gone["saving_beyond_gbp"]
    assert together["for"]["saving"]["changes"] is None
    # each input goes the same share of the way to the end at which less is saved
    values = few_inputs().figure_values()
    moves = tuple(
        (row["figure"], mean_of(values[row["figure"]]) + gone["changes"] * (end - mean_of(values[row["figure"]])))
        for row in document()["tornado"]
        for low, high in [[savings.at(((row["figure"], row[name]),)) for name in ("low", "high")]]
        if low != high
        for end in [row["low"] if low < high else row["high"]]
    )
    assert savings.at(moves) == pytest.approx(gone["saving_beyond_gbp"])


def test_the_saving_is_gone_beyond_its_switching_value_and_not_before() -> None:
    told = document()
    gone = [row for row in told["saving_gone"] if any(row[end]["changes"] is not None for end in ("low", "high"))]
    assert gone, "homes that cost so much save nothing"
    assert len(told["saving_gone"]) == len(told["tornado"])
    for row in told["saving_gone"]:
        for each in (row["low"], row["high"]):
            if each["changes"] is None:
                assert each["saving_beyond_gbp"] > 0
                continue
            for value, there in ((each["stands"], True), (each["changes"], False)):
                engine = cold(row["figure"], value)
                costs = [
                    verify(engine.problem, decisions, engine.place(decisions).placements).expected_cost
                    for decisions in (Decisions.none(engine.problem), decided(engine))
                ]
                assert (costs[0] - costs[1] > 0) == there


def test_every_assumed_input_is_in_the_tornado_and_widest_first() -> None:
    told = document()
    assert {row["figure"] for row in told["tornado"]} == set(assumed_figures(few_inputs()))
    widths = [row["width_gbp"] for row in told["tornado"]]
    assert widths == sorted(widths, reverse=True)
    assert any(row["matters"] for row in told["tornado"]) and not all(row["matters"] for row in told["tornado"])
    for row in told["tornado"]:
        if not row["matters"]:
            assert row["width_gbp"] < told["matters_from_gbp"] and not row["limits_broken"]
    joint = told["joint"]
    assert joint["draws"] + joint["left_out"] == 20
    assert joint["saving_p10_gbp"] <= joint["saving_p50_gbp"] <= joint["saving_p90_gbp"]


def test_the_terminal_says_what_does_not_matter() -> None:
    console = Console(width=110, record=True, file=StringIO())
    show_sensitivity(document(), console)
    shown = " ".join(console.export_text().split())
    assert "do not matter to this plan" in shown and "Switching values" in shown
    assert "Decided today, before the first review: By" in shown
    assert "All inputs at once, 20 draws" in shown
    assert "decisions held, is gone where" in shown
