"""Switching values against solves of other engines on both sides, and what is said of inputs that do not matter."""

from __future__ import annotations

from copy import deepcopy
from functools import cache
from io import StringIO
from pathlib import Path

import numpy as np
import pytest
from docx import Document
from rich.console import Console

from models.decisions import Decisions
from optimiser.analysis import planning
from optimiser.analysis.appraisal import best_plan
from optimiser.analysis.planning import Asked, prepare
from optimiser.analysis.sensitivity import Swing, assumed_figures, with_figure
from optimiser.analysis.switching import CLOSER, Decided, Savings, Side, _chosen, crossing, sensitivity, todays
from optimiser.assemble import assemble
from optimiser.demand.scenarios import make_scenarios
from optimiser.instance.register import mean_of
from optimiser.instance.schema import Instance
from optimiser.plan import Plan
from optimiser.report.files import write_report
from optimiser.report.parts import change
from optimiser.report.sensitivity import sensitivity_lines, show_sensitivity
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
    assert (found.stands, found.changes) == (2.0, 3.0)
    asked: list[float] = []
    crossing(5.0, 2.0, lambda value: bool(asked.append(value)) or value < 2.6, 0.01, least=1.0)
    assert all(value == round(value) for value in asked)


@pytest.mark.parametrize(
    ("side", "established"),
    [
        (Side(best=9.0, best_bound=8.9, held=10.0, held_bound=9.5), "changes"),
        (Side(best=9.6, best_bound=9.0, held=10.0, held_bound=9.5), "open"),
        (Side(best=9.6, best_bound=9.0, held=9.6, held_bound=9.5, within=0.05), "open"),
        (Side(best=9.6, best_bound=9.5, held=9.6, held_bound=9.5, within=0.05), "stands"),
        (Side(best=9.6, best_bound=9.6, held=9.6, held_bound=9.6), "stands"),
        (Side(best=9.0, best_bound=8.9, held=np.inf, held_bound=np.inf), "changes"),
        (Side(best=np.inf, best_bound=np.inf, held=np.inf, held_bound=np.inf), "no plan"),
        (Side(best=np.inf, best_bound=8.0, held=np.inf, held_bound=8.0), "open"),
    ],
)
def test_only_what_is_proven_is_established(side: Side, established: str) -> None:
    assert side.established == established
    assert (side.changed, side.stands) == (established == "changes", established == "stands")


def test_a_bound_above_the_cost_of_a_plan_is_noticed() -> None:
    assert Side(best=9.0, best_bound=8.9, held=10.0, held_bound=9.5).agrees
    assert not Side(best=9.0, best_bound=8.9, held=9.5, held_bound=9.6).agrees
    assert not Side(best=9.6, best_bound=9.5, held=9.4, held_bound=9.3).agrees
    assert Side(best=np.inf, best_bound=np.inf, held=np.inf, held_bound=np.inf).agrees


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
        assert kept <= least * (1 + 2 * CLOSER * GAP + 2e-5), "today's decisions are as good as any"


def test_both_sides_of_a_switching_value_are_as_the_extensive_form_finds_them_from_nothing() -> None:
    changing = [
        (row["figure"], end)
        for row in document()["switching"]
        for end in row["decision"].values()
        if end["changes"] is not None
    ]
    assert changing
    for figure, end in changing:
        for side, established in ((end["stands_at"], "stands"), (end["changes_at"], "changes")):
            assert side["established"] == established
            engine = cold(figure, side["value"])
            own = todays(engine.problem, decided(engine))
            best = engine.search(Settings(gap=1e-7), method="extensive")
            held = engine.search(Settings(gap=1e-7), bounds=own, method="extensive")
            assert isinstance(best, Found) and isinstance(held, Found)
            least, kept = (
                verify(engine.problem, found.decisions, found.placements).objective for found in (best, held)
            )
            rounding = 2e-7 * least
            # how much dearer today's decisions are lies between what was proven of it
            assert side["dearer_by_at_least_gbp"] - rounding <= kept - least <= side["dearer_by_at_most_gbp"] + rounding
            assert side["dearer_by_at_most_gbp"] - side["dearer_by_at_least_gbp"] <= 3 * CLOSER * GAP * kept
            differs = todays(engine.problem, best.decisions) != own
            assert differs if established == "changes" else kept - least <= 2 * CLOSER * GAP * kept


def test_a_plan_that_is_known_spares_the_search_and_is_no_less_proven() -> None:
    instance, key = few_inputs(), COST.replace("*", "two-bed")
    plan, settings = planned(), Settings(gap=GAP)
    tried, fresh = (Decided(instance, plan, None, settings, None) for _ in range(2))
    assert tried.at(((key, 3e6),)).changed, "a plan without these homes is known now"
    quick, whole = tried.at(((key, 2e6),), likely=True), fresh.at(((key, 2e6),))
    assert quick.best_bound == -np.inf and quick.changed == whole.changed
    assert whole.best * (1 - GAP) <= quick.best and quick.best < quick.held_bound
    close = tried.closely(((key, 2e6),))
    assert close.best_bound > 0, "asked for the best, it is searched for"
    assert close.best - close.best_bound <= CLOSER * GAP * close.best * (1 + 1e-9)
    assert close.best <= quick.best and close.held_bound >= quick.held_bound


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
    assert "Verified by solving on both sides of" in shown and "not settled" not in shown


def test_a_report_says_where_todays_decisions_change_and_calls_inputs_by_words(tmp_path: Path) -> None:
    with pytest.MonkeyPatch.context() as patch:
        for name, futures in (("SIMULATED", 4), ("SEARCHED", 2), ("PAIRED", 2), ("FRESH", 2)):
            patch.setattr(planning, name, futures)
        patch.setattr(planning, "swings", lambda *_: [])
        patch.setattr(planning, "worths", lambda *_: [])
        _, plan = planning.make_plan(few_inputs(), Asked(scenarios=FUTURES, gap=GAP))
    found = {"plan": plan, "sensitivity": document()}
    part = change(found)
    (table,) = (table for table in part.tables if table.name == "Switching values")
    changing = [
        end for row in document()["switching"] for end in row["decision"].values() if end["changes"] is not None
    ]
    assert [row["better_gbp"] for row in table.rows] == [
        end["changes_at"]["dearer_by_at_least_gbp"] for end in changing
    ]
    told = " ".join([*part.points, *(str(value) for row in table.rows for value in row.values())])
    assert "Verified by solving on both sides of" in told and "on which the best plan decides today: By" in told
    assert not any(row["figure"] in told for row in document()["tornado"])
    page, _, paper = write_report(found, ("page", "workbook", "paper"), tmp_path)
    assert "Switching values" in page.read_text(encoding="utf-8")
    assert any("Switching values" in each.text for each in Document(str(paper)).paragraphs)


def test_the_terminal_says_which_side_is_not_settled() -> None:
    told = deepcopy(document())
    row = next(row for row in told["switching"] if any(end["changes"] is not None for end in row["decision"].values()))
    end = next(end for end in row["decision"].values() if end["changes"] is not None)
    end["stands_at"]["established"] = "open"
    other = next(row for row in told["switching"] if all(end["changes"] is None for end in row["decision"].values()))
    other["decision"]["low"]["stands_at"] = {"established": "no plan", "dearer_by_at_most_gbp": None}
    lines = " ".join(sensitivity_lines(told))
    assert "On the near side of the other 1 it is not settled which decisions are better" in lines
    assert f"At an end of the range of {other['figure']} no plan at all keeps every limit." in lines
