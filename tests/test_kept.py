"""What one run learned serves the next: every bound from kept duals is one that a cold solve agrees with."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

import optimiser
from models.decisions import Decisions
from models.problem import Begin, Managers, Problem
from optimiser.analysis.planning import Asked, Ready
from optimiser.analysis.sensitivity import with_figure
from optimiser.assemble import assemble
from optimiser.cli import app
from optimiser.demand.scenarios import make_scenarios
from optimiser.errors import InstanceError, SolverError
from optimiser.instance.schema import Instance
from optimiser.instance.template import write_template
from optimiser.report.files import read_kept
from optimiser.solve.engine import Engine, Found
from optimiser.solve.kept import FORMAT, Kept, TakenUp
from optimiser.solve.twostage import Settings, TwoStageProblem, total_cost
from optimiser.verify import verify, within_other_limits
from tests.random_problems import random_problem
from tests.two_stage_problems import council

FUTURES = 8
CLOSE = Settings(gap=1e-4)

#: A figure of the instance, what it is moved to one way and the other, and whether each way leaves every vector holding.
FIGURES = [
    ("capital.homes-programme.total.limit_gbp", (900_000.0, 3_000_000.0), (True, True)),
    ("capital.homes-programme.2026/27.limit_gbp", (0.0, 2_000_000.0), (True, True)),
    ("settings.registrations_limit", (1, 3), (True, True)),
    ("homes.two-bed-home.capital_gbp", (700_000.0, 1_100_000.0), (True, True)),
    ("homes.two-bed-home.fixed_gbp_per_year", (450_000.0, 800_000.0), (True, True)),
    ("homes.two-bed-home.waiting_gbp_per_month", (5_000.0, 40_000.0), (True, True)),
    ("homes.two-bed-home.beds", (1, 3), (True, True)),
    ("homes.two-bed-home.matching_occupancy", (0.6, 1.0), (True, True)),
    ("homes.two-bed-home.available", (1, 5), (True, True)),
    ("homes.two-bed-home.lead_months", (3.0, 11.0), (True, True)),
    ("homes.two-bed-home.registration_delay_months", (6.0, 17.0), (True, True)),
    ("homes.two-bed-home.variable_gbp_per_week", (50.0, 400.0), (True, True)),
    ("lots.block-offer.maximum_beds", (6, 12), (True, True)),
    ("lots.block-offer.minimum_beds", (4, 5), (True, True)),
    ("lots.block-offer.lead_months", (2, 10), (True, True)),
    ("lots.block-offer.setup_gbp", (0.0, 200_000.0), (True, True)),
    ("lots.block-offer.call_off_retainer_gbp_per_week", (50.0, 600.0), (True, True)),
    ("lots.block-offer.call_off_gbp_per_week", (4_000.0, 6_500.0), (True, True)),
    ("tiers.block-offer.4.gbp_per_week", (4_200.0, 6_000.0), (True, True)),
    ("existing.current-contract.beds", (4.0, 8.0), (True, True)),
    ("layers.spot-market.1.gbp_per_week", (4_500.0, 6_500.0), (True, True)),
    ("layers.spot-market.2.gbp_per_week", (6_000.0, 9_000.0), (False, True)),
    ("layers.spot-market.1.beds", (4.0, 9.0), (None, None)),
    ("cohorts.lower-needs.arrivals_per_month", (0.2, 0.6), (None, None)),
    ("cohorts.lower-needs.mean_stay_months", (12, 24), (None, None)),
]


@pytest.fixture(scope="module")
def instance(tmp_path_factory: pytest.TempPathFactory) -> Instance:
    folder = tmp_path_factory.mktemp("kept") / "council"
    write_template(folder)
    return optimiser.load(str(folder))


def problem_of(instance: Instance) -> Problem:
    return assemble(instance, make_scenarios(instance, FUTURES))


@pytest.fixture(scope="module")
def kept(instance: Instance) -> Kept:
    engine = Engine(problem_of(instance))
    engine.search(CLOSE, method="lshaped")
    found = engine.keep()
    assert found is not None
    return Kept.from_bytes(found.to_bytes())


def lower_bounds(problem: TwoStageProblem, cuts: object, x: np.ndarray) -> list[tuple[int, float]]:
    """What every dual vector that is no ray says a future costs at least at x, by weak duality."""
    found = []
    for number, ray, dual in zip(cuts.scenario, cuts.ray, cuts.dual, strict=True):  # type: ignore[attr-defined]
        if ray:
            continue
        scenario = problem.scenarios[int(number)]
        stage, taken = scenario.recourse, scenario.technology @ x
        reduced = stage.cost - dual @ stage.matrix
        side = np.where(dual > 0, stage.row_lower - taken, stage.row_upper - taken)
        ends = np.where(reduced > 0, stage.lower, stage.upper)
        ends = np.where(np.isfinite(ends), ends, 0.0)
        cost = (
            problem.first.cost if scenario.first_stage_cost is None else problem.first.cost + scenario.first_stage_cost
        )
        used = dual != 0
        found.append((int(number), float(dual[used] @ side[used] + reduced @ ends + cost @ x + scenario.offset)))
    return found


def replanned(kept: Kept, problem: Problem) -> TakenUp:
    """Plan a changed problem cold and from what was kept, and hold the two against each other."""
    cold, warm = Engine(problem), Engine(problem)
    taken = warm.take_up(kept)
    without, found = cold.search(CLOSE, method="lshaped"), warm.search(CLOSE, method="lshaped")
    assert isinstance(without, Found) == isinstance(found, Found)
    assert found.bound <= without_objective(cold, without) * (1 + 1e-7)
    if not isinstance(found, Found) or not isinstance(without, Found):
        return taken
    assert without.bound <= without_objective(warm, found) * (1 + 1e-7)
    assert without_objective(warm, found) == pytest.approx(without_objective(cold, without), rel=2 * CLOSE.gap)
    return taken


def without_objective(engine: Engine, found: object) -> float:
    if not isinstance(found, Found):
        return np.inf
    assert engine._best is not None
    costs = []
    for scenario, placements in zip(engine.two_stage.scenarios, found.placements, strict=True):
        assert scenario.first_stage_cost is not None
        y = np.zeros(len(scenario.recourse.cost))
        for name in ("placed", "planned_moves", "moves_at_closure", "beds_sold"):
            index, columns = engine.template.columns[name]
            y[columns] = getattr(placements, name)[tuple(index.T)]
        index, columns = engine.template.columns["layer_used"]
        for (source, layer, period), column in zip(index.tolist(), columns, strict=True):
            spot = source - engine.problem.spot_source
            y[column] = (
                placements.lot_layer_used[layer, period]
                if spot < 0
                else placements.spot_layer_used[spot, layer, period]
            )
        first = scenario.first_stage_cost @ engine._best
        costs.append(first + scenario.offset + scenario.recourse.cost @ y)
    return total_cost(engine.two_stage, np.array(costs))


@pytest.mark.parametrize("way", [0, 1], ids=["down", "up"])
@pytest.mark.parametrize(("figure", "values", "holds"), FIGURES, ids=[row[0] for row in FIGURES])
def test_replanning_from_kept_duals_agrees_with_a_cold_solve(
    instance: Instance,
    kept: Kept,
    figure: str,
    values: tuple[float, float],
    holds: tuple[bool | None, bool | None],
    way: int,
) -> None:
    taken = replanned(kept, problem_of(with_figure(instance, figure, values[way])))
    assert taken.vectors + taken.dropped == len(kept.scenario)
    if holds[way] is not None:
        assert (taken.dropped == 0) == holds[way]


LIMITS: dict[str, Callable[[Problem], Problem]] = {
    "risk weight up": lambda p: replace(p, risk_weight=0.3),
    "risk level up": lambda p: replace(p, risk_weight=0.3, cvar_level=0.99),
    "limit on the tail": lambda p: replace(p, cvar_limit=2e7),
    "tolerance up": lambda p: replace(p, unregistered_limits=(replace(p.unregistered_limits[0], child_weeks=200.0),)),
    "tolerance down": lambda p: replace(p, unregistered_limits=(replace(p.unregistered_limits[0], child_weeks=30.0),)),
    "few managers": lambda p: replace(
        p, managers=Managers(1, np.ones(len(p.periods), dtype=np.int64), np.full(len(p.periods), 5_000.0))
    ),
    "many managers": lambda p: replace(
        p, managers=Managers(2, np.full(len(p.periods), 3), np.full(len(p.periods), 1_000.0))
    ),
}


@pytest.mark.parametrize("change", LIMITS)
def test_limits_and_weights_change_no_vector(instance: Instance, kept: Kept, change: str) -> None:
    assert replanned(kept, LIMITS[change](problem_of(instance))).dropped == 0


@pytest.mark.parametrize(
    ("figure", "value"),
    [
        ("homes.two-bed-home.registration_delay_months", 17.0),
        ("lots.block-offer.lead_months", 10),
        ("layers.spot-market.1.gbp_per_week", 4_500.0),
        ("cohorts.lower-needs.mean_stay_months", 24),
    ],
)
def test_no_vector_taken_up_says_more_than_a_future_costs(
    instance: Instance, kept: Kept, figure: str, value: float
) -> None:
    engine = Engine(problem_of(with_figure(instance, figure, value)))
    engine.take_up(kept)
    assert engine._kept is not None
    (cuts,) = engine._kept
    found = engine.search(CLOSE, method="extensive")
    assert isinstance(found, Found)
    assert engine._best is not None
    assert cuts is not None
    exact = _costs_at(engine, engine._best)
    said = lower_bounds(engine.two_stage, cuts, engine._best)
    assert said
    assert all(bound <= exact[number] * (1 + 1e-6) + 1.0 for number, bound in said)


def _costs_at(engine: Engine, x: np.ndarray) -> list[float]:
    from optimiser.solve.highs import solve
    from optimiser.solve.recourse import Recourse

    costs = []
    for scenario in engine.two_stage.scenarios:
        assert scenario.first_stage_cost is not None
        best = solve(Recourse(scenario).program(x))
        costs.append(best.objective + scenario.first_stage_cost @ x + scenario.offset)
    return costs


def test_a_run_is_taken_up_from_the_command_line_and_says_so(tmp_path: Path) -> None:
    run, council = tmp_path / "run", tmp_path / "council"
    write_template(council)
    asked = ["plan", str(council), "--scenarios", "6", "--method", "lshaped", "--gap", "0.01"]
    first = CliRunner().invoke(app, [*asked, "--out", str(run)])
    assert first.exit_code == 0, first.output
    again = CliRunner().invoke(app, [*asked, "--capital", "1000000", "--from", str(run)])
    assert again.exit_code == 0, again.output
    assert "Started from an earlier run" in again.output
    assert "dropped" not in again.output


def test_what_a_version_with_other_rows_kept_is_refused_and_not_misread(monkeypatch: pytest.MonkeyPatch) -> None:
    engine = Engine(random_problem(4))
    engine.search(Settings(gap=1e-6), method="lshaped")
    kept = engine.keep()
    assert kept is not None
    assert Kept.from_bytes(kept.to_bytes()).rows == kept.rows
    monkeypatch.setattr("optimiser.solve.kept.FORMAT", FORMAT - 1)
    earlier = kept.to_bytes()
    monkeypatch.undo()
    with pytest.raises(SolverError, match=f"format {FORMAT - 1}; this version reads {FORMAT}"):
        Kept.from_bytes(earlier)


def test_a_folder_without_a_run_and_a_file_of_something_else_are_told_apart(tmp_path: Path) -> None:
    with pytest.raises(InstanceError, match="holds no run"):
        read_kept(tmp_path)
    (tmp_path / "plan.json").write_text("{}", encoding="utf-8")
    with pytest.raises(InstanceError, match="is not there"):
        read_kept(tmp_path)
    (tmp_path / "kept.npz").write_bytes(b"something else")
    with pytest.raises(InstanceError, match="cannot be read"):
        read_kept(tmp_path)
    with pytest.raises(SolverError, match="cannot be read"):
        Kept.from_bytes(b"")


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("capital.homes-programme.total.limit_gbp", 900_000.0),
        ("settings.registrations_limit", 1),
    ],
)
def test_a_model_held_in_memory_within_other_limits_is_the_one_assembled_anew(
    instance: Instance, key: str, value: float
) -> None:
    asked = Asked(scenarios=FUTURES)
    ready = Ready()
    ready.hold(instance, asked, Engine(problem_of(instance)))
    moved = with_figure(instance, key, value)
    held, anew = ready.engine_for(moved, asked, None), Engine(problem_of(moved))
    assert held is not None
    for name in ("cost", "lower", "upper", "row_lower", "row_upper"):
        assert np.array_equal(getattr(held.two_stage.first, name), getattr(anew.two_stage.first, name))
    assert (held.two_stage.first.matrix != anew.two_stage.first.matrix).nnz == 0
    for one, other in zip(held.two_stage.scenarios, anew.two_stage.scenarios, strict=True):
        assert np.array_equal(one.recourse.cost, other.recourse.cost)
        assert np.array_equal(one.recourse.row_upper, other.recourse.row_upper)
        assert (one.technology != other.technology).nnz == 0
        assert one.first_stage_cost is not None and other.first_stage_cost is not None
        assert np.array_equal(one.first_stage_cost, other.first_stage_cost)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("homes.two-bed-home.capital_gbp", 700_000.0),
        ("homes.two-bed-home.registration_delay_months", 6.0),
        ("layers.spot-market.1.gbp_per_week", 6_500.0),
    ],
)
def test_a_model_held_in_memory_serves_no_other_change(instance: Instance, key: str, value: float) -> None:
    asked, ready = Asked(scenarios=FUTURES), Ready()
    ready.hold(instance, asked, Engine(problem_of(instance)))
    assert ready.engine_for(with_figure(instance, key, value), asked, None) is None
    assert ready.engine_for(instance, replace(asked, seed=7), None) is None


def test_a_plan_within_other_limits_is_verified_as_it_would_be_anew(instance: Instance) -> None:
    problem = problem_of(instance)
    begun = Decisions.none(problem).homes_begun
    begun[0] = 1
    found = Engine(problem).place(replace(Decisions.none(problem), homes_begun=begun))
    known = verify(problem, found.decisions, found.placements)
    assert not known.violations
    for limit in (0.0, 900_000.0, 9_000_000.0):
        moved = with_figure(instance, "capital.homes-programme.total.limit_gbp", limit)
        other = problem_of(moved)
        quick = within_other_limits(other, found.decisions, known)
        anew = verify(other, found.decisions, found.placements)
        assert quick is not None
        assert quick.violations == anew.violations
        assert quick.objective == anew.objective
        assert np.array_equal(quick.scenario_cost, anew.scenario_cost)
        # and back: what a closer limit broke, a wider one mends
        back = within_other_limits(problem, found.decisions, anew)
        assert back is not None and back.violations == ()
    placed = found.placements[0].placed.copy()
    placed[0, 0, 0] += 1.0
    misplaced = (replace(found.placements[0], placed=placed), *found.placements[1:])
    assert within_other_limits(problem, found.decisions, verify(problem, found.decisions, misplaced)) is None


def test_what_is_asked_again_at_the_best_point_is_not_solved_again(
    instance: Instance, kept: Kept, monkeypatch: pytest.MonkeyPatch
) -> None:
    from optimiser.solve.recourse import Recourse
    from optimiser.solve.search import Search

    solved: list[int] = []
    answer = Recourse.answer
    monkeypatch.setattr(Recourse, "answer", lambda *asked: (solved.append(1), answer(*asked))[1])
    engine = Engine(problem_of(instance))
    engine.take_up(kept)
    assert engine._kept is not None and len(engine._kept) == 1 and engine._kept[0] is not None
    cuts, problem = engine._kept[0], engine.two_stage
    assert cuts.known is not None
    # in one future everything costs more
    other = problem.scenarios[3]
    moved = replace(other.recourse, cost=1.5 * other.recourse.cost)
    scenarios = (*problem.scenarios[:3], replace(other, recourse=moved), *problem.scenarios[4:])
    with ThreadPoolExecutor(1) as pool:
        for asked, wanted in ((problem, 0), (replace(problem, scenarios=scenarios), 1)):
            cold, warm = (Search(asked, CLOSE, pool, None, 0.0) for _ in range(2))
            warm.reuse(cuts)
            cost = cold.evaluate(cuts.known.x)
            solved.clear()
            assert warm.evaluate(cuts.known.x) == pytest.approx(cost, rel=1e-9)
            assert len(solved) == wanted
            assert warm.costs == pytest.approx(cold.costs, rel=1e-9)
            assert len(warm.placed) == FUTURES


@pytest.mark.parametrize(("before", "after"), [((0, 1), (0, 3)), ((1,), (3,)), ((0, 1, 3), (0, 2, 3))])
def test_homes_begun_at_other_times_are_other_decisions_though_they_open_as_those_before(
    before: tuple[int, ...], after: tuple[int, ...]
) -> None:
    def begun_in(periods: tuple[int, ...]) -> Problem:
        draft = council(7, homes=1, lots=0, demand=2.0, futures=6)
        for future in draft.futures:
            # an intake date: open from the sixth period, whenever begun before
            future.home_open[0] = 0.0
            future.home_open[0, :, 5:] = 1.0
            future.home_running[0] = 0.0
            future.spot_layer_price[:] = 3 * future.spot_layer_price
        draft.begins = [Begin(0, 0, period) for period in periods]
        return draft.build()

    engine = Engine(begun_in(before))
    assert isinstance(engine.search(CLOSE, method="lshaped"), Found)
    learned = engine.keep()
    assert learned is not None
    problem = begun_in(after)
    replanned(Kept.from_bytes(learned.to_bytes()), problem)
    again = Engine(problem)
    again.take_up(learned)
    found = again.search(CLOSE, method="lshaped")
    assert isinstance(found, Found)
    assert verify(problem, found.decisions, found.placements).violations == ()
