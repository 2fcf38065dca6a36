"""Alternatives against every first stage tried one by one, and what is said of each."""

from __future__ import annotations

import signal
from collections import defaultdict
from io import StringIO
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from models.decisions import Decisions
from models.problem import Problem
from optimiser.analysis import alternatives as module
from optimiser.analysis.alternatives import (
    Alternative,
    Listed,
    _around,
    alternatives,
    enumerate_alternatives,
    marks_of,
    most_different,
)
from optimiser.analysis.planning import Asked, Told
from optimiser.errors import NoPlanError
from optimiser.report.valued import complete_words, show_alternatives
from optimiser.solve.compile import vector_from
from optimiser.solve.engine import Engine
from optimiser.solve.search import Search
from optimiser.solve.twostage import Cuts, Settings
from optimiser.verify import verify
from tests import oracle
from tests.random_problems import random_problem
from tests.test_value import tabled

EXACT = Settings(gap=1e-7)


def signature_of(engine: Engine, decisions: Decisions, branches: bool) -> tuple[int, ...]:
    x = vector_from(engine.first, engine.problem, decisions)
    return tuple(round(x[list(mark.columns)].sum()) for mark in marks_of(engine.problem, engine.first, branches))


def by_brute_force(problem: Problem, engine: Engine, within: float, branches: bool) -> dict[tuple[int, ...], float]:
    """Least objective of every signature within a share of the best, by the oracle."""
    recourse = oracle.Recourse(problem)
    least: dict[tuple[int, ...], float] = defaultdict(lambda: np.inf)
    for decisions in oracle.first_stages(problem):
        objective = recourse.objective(decisions)
        if objective is not None:
            signature = signature_of(engine, decisions, branches)
            least[signature] = min(least[signature], objective)
    if not least:
        return {}
    best = min(least.values())
    limit = best + within * abs(best)
    return {signature: cost for signature, cost in least.items() if cost <= limit}


#: Random problems with several plans within the share, and few enough first stages to try one by one; with and without
#: reviews, weight on the tail and limits across futures.
SEEDS = (1, 4, 12, 20, 29, 31, 32, 37, 41, 43, 44, 52, 57)


@pytest.mark.parametrize("method", ["extensive", "lshaped"])
@pytest.mark.parametrize("branches", [False, True])
@pytest.mark.parametrize("seed", SEEDS)
def test_alternatives_equal_brute_force(
    seed: int, branches: bool, method: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "FEW_FUTURES", 4 if method == "extensive" else 0)
    problem = random_problem(seed)
    engine = Engine(problem)
    within = 0.15
    expected = by_brute_force(problem, engine, within, branches)
    assert len(expected) > 1
    listed = enumerate_alternatives(engine, EXACT, within=within, branches=branches, most=1000)
    assert listed.complete and listed.open_bound is None
    found = {each.signature: each.objective for each in listed.alternatives}
    assert set(found) == set(expected)
    for signature, cost in expected.items():
        assert found[signature] == pytest.approx(cost, rel=1e-5, abs=1e-5)


@pytest.mark.parametrize("seed", SEEDS[:6])
def test_what_an_earlier_run_kept_is_where_the_list_begins_and_changes_nothing_on_it(
    seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "FEW_FUTURES", 0)
    engine = Engine(random_problem(seed))
    engine.search(EXACT, method="lshaped")
    kept = engine.keep()
    assert kept is not None and len(kept.scenario)
    handed: list[int] = []
    reuse = Search.reuse

    def counted(search: Search, cuts: Cuts) -> None:
        handed.append(len(cuts.scenario))
        reuse(search, cuts)

    monkeypatch.setattr(Search, "reuse", counted)
    cold = enumerate_alternatives(engine, EXACT, within=0.1, most=1000)
    assert cold.taken_up is None and handed == []
    warm = enumerate_alternatives(engine, EXACT, within=0.1, most=1000, kept=kept)
    assert warm.taken_up is not None
    # every vector that was kept is in a master before its first search
    assert warm.taken_up.dropped == 0 and sum(handed) == warm.taken_up.vectors == len(kept.scenario)
    assert warm.complete and cold.complete
    found, expected = ({each.signature: each.objective for each in listed.alternatives} for listed in (warm, cold))
    assert found == pytest.approx(expected, rel=1e-5, abs=1e-5)


@pytest.mark.parametrize("seed", SEEDS[:6])
def test_every_alternative_is_accepted_by_the_recomputation_at_its_cost_above_its_bound(seed: int) -> None:
    problem = random_problem(seed)
    engine = Engine(problem)
    listed = enumerate_alternatives(engine, EXACT, within=0.1, most=8)
    for each in listed.alternatives:
        checked = verify(problem, each.decisions, engine.place(each.decisions).placements, tolerance=1e-5)
        assert not checked.violations
        assert checked.objective == pytest.approx(each.objective, rel=1e-4, abs=1e-4)
        assert each.bound <= each.objective + 1e-6 * max(1.0, abs(each.objective))


def test_a_cap_is_told_and_what_is_left_has_a_bound() -> None:
    engine = Engine(random_problem(4))
    everything = enumerate_alternatives(engine, EXACT, within=0.5, most=1000)
    assert everything.complete and len(everything.alternatives) > 2
    some = enumerate_alternatives(engine, EXACT, within=0.5, most=2)
    assert not some.complete and len(some.alternatives) == 2
    assert some.open_bound is not None and some.open_bound <= some.limit


def test_boxes_around_a_signature_hold_every_other_one_once() -> None:
    box = ((0, 2), (0, 1), (1, 3))
    points = [(a, b, c) for a in range(3) for b in range(2) for c in range(1, 4)]
    for signature in points:
        boxes = _around(box, signature)
        held = [
            sum(all(low <= own <= high for own, (low, high) in zip(point, each, strict=True)) for each in boxes)
            for point in points
        ]
        assert held == [0 if point == signature else 1 for point in points]


def test_the_most_different_come_first_and_the_best_before_all() -> None:
    engine = Engine(random_problem(4))
    marks = marks_of(engine.problem, engine.first)[:1]
    width = len(marks)
    nothing = Decisions.none(engine.problem)
    alternatives = tuple(
        Alternative((value,) * width, nothing, 1.0 + place, 1.0, False) for place, value in enumerate((2, 3, 9, 5))
    )
    listed = Listed(marks, alternatives, 10.0, 1.0, True, 1, None)
    # 9 is farthest from 2; then 5 is three from 2, and 3 only one
    assert most_different(listed) == [0, 2, 3, 1]


def test_a_document_lists_the_sizes_that_arithmetic_says_with_what_they_trade(tmp_path: Path) -> None:
    """One bed costs 46,500, two 49,750, none 52,000 and three 53,000: 0, 7.0, 11.8 and 14.0 in a hundred above."""
    told = alternatives(tabled(tmp_path), Asked(gap=1e-9), within=0.12)
    assert told["complete"]
    by_size = {row["signature"][0]: row for row in told["alternatives"]}
    assert set(by_size) == {0, 1, 2}
    for beds, cost in ((1, 46_500), (2, 49_750), (0, 52_000)):
        assert by_size[beds]["objective_gbp"] == pytest.approx(cost)
        assert by_size[beds]["bound_gbp"] == pytest.approx(cost)
        assert not by_size[beds]["borderline"]
    assert by_size[0]["voids_gbp"] == 0
    # two beds stand half empty where one child comes, in three futures of eight
    assert by_size[2]["voids_gbp"] == pytest.approx(0.375 * 4000 * 52 / 12)
    assert told["alternatives"][0]["signature"] == [1]
    console = Console(width=110, record=True, file=StringIO())
    show_alternatives(told, console)
    shown = " ".join(console.export_text().split())
    assert "3 plans that differ materially cost at most 12.0% more than the best. There is no other" in shown
    assert "Begin no home, award no lot, extend nothing." in shown
    assert "voids paid for +£6,500" not in shown and "voids paid for +" in shown


def test_a_list_cut_short_says_what_may_be_missing(tmp_path: Path) -> None:
    told = alternatives(tabled(tmp_path), Asked(gap=1e-9), within=0.12, most=1)
    assert not told["complete"] and told["open_bound_gbp"] == pytest.approx(46_500)
    assert "The list is not complete" in complete_words(told)


def test_ctrl_c_keeps_the_alternatives_found_and_says_that_there_may_be_more(tmp_path: Path) -> None:
    instance = tabled(tmp_path)
    whole = alternatives(instance, Asked(gap=1e-7), within=0.2)
    assert whole["complete"] and not whole["stopped"] and len(whole["alternatives"]) > 2

    def press(step: str) -> None:
        if step.startswith("2 plans"):
            signal.raise_signal(signal.SIGINT)

    found = alternatives(instance, Asked(gap=1e-7), Told(step=press), within=0.2)
    assert found["stopped"] and not found["complete"]
    assert found["open_bound_gbp"] <= found["limit_gbp"]
    kept = [tuple(row["signature"]) for row in found["alternatives"]]
    assert 2 <= len(kept) < len(whole["alternatives"])
    assert set(kept) <= {tuple(row["signature"]) for row in whole["alternatives"]}
    assert found["alternatives"][0]["objective_gbp"] == whole["alternatives"][0]["objective_gbp"]
    assert "The list is not complete: the search was stopped by hand" in complete_words(found)
    # before there is a plan there is nothing to keep
    with pytest.raises(NoPlanError):
        alternatives(instance, Asked(gap=1e-7), Told(step=lambda step: signal.raise_signal(signal.SIGINT)), within=0.2)
