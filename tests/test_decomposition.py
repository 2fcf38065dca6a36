"""The decomposition against the extensive form, SciPy and answers known by construction, on problems of every kind."""

from __future__ import annotations

import threading
from dataclasses import replace

import numpy as np
import pytest

from optimiser.solve.extensive import solve_extensive
from optimiser.solve.lshaped import solve_lshaped
from optimiser.solve.twostage import Floats, Round, Settings, TwoStageProblem, TwoStageSolution
from tests.two_stage_problems import (
    KINDS,
    Drawn,
    cost_of,
    costs_by_scipy,
    drawn,
    tail_weights,
    whole_by_scipy,
)

GAP = 1e-6
SEEDS = 8


def optimum_of(case: Drawn, label: str) -> float:
    """Optimum by construction and by SciPy, which must agree, without presolve and, where it finds one, with it."""
    plain, presolved = (whole_by_scipy(case.readable, presolve=presolve) for presolve in (False, True))
    assert plain.status == case.status, label
    values = [plain.optimum, *([] if case.optimum is None else [case.optimum])]
    if presolved.status == "optimal":  # now and then its presolve takes a bounded problem for an unbounded one
        values.append(presolved.optimum)
    assert values == pytest.approx([values[0]] * len(values), rel=1e-6, abs=1e-6, nan_ok=True), label
    return values[0]


def check(case: Drawn, found: TwoStageSolution, optimum: float, label: str) -> None:
    """Bound <= optimum <= objective, as close as asked, and the objective is what the point costs."""
    assert found.status == "optimal", label
    assert found.x is not None and found.scenario_costs is not None
    problem, first, x = case.readable, case.readable.first, found.x * case.column_units
    costs, bound, objective = (value / case.money for value in (found.scenario_costs, found.bound, found.objective))
    slack = slack_of(costs)
    assert bound <= optimum + slack, label
    assert objective >= optimum - slack, label
    assert objective - bound <= GAP * abs(objective) + slack, label
    row, size, near = first.matrix @ x, 1e-5 * (1 + abs(first.matrix) @ np.abs(x)), 1e-6 * (1 + np.abs(x))
    assert (x >= first.lower - near).all() and (x <= first.upper + near).all(), label
    assert (row >= first.row_lower - size).all() and (row <= first.row_upper + size).all(), label
    assert x[first.integer] == pytest.approx(np.round(x[first.integer]), abs=1e-6), label
    assert objective == pytest.approx(cost_of(problem, costs), rel=1e-9, abs=slack), label
    best = costs_by_scipy(problem, x)
    assert (costs >= best - 10 * slack).all(), label
    assert cost_of(problem, best) == pytest.approx(objective, abs=10 * slack), label
    if problem.cvar_limit is not None:
        tail = tail_weights(problem.probability, costs, problem.risk_level) @ costs
        assert tail <= problem.cvar_limit + slack, label


def slack_of(costs: Floats) -> float:
    """Rounding errors of sums of scenario costs."""
    return 1e-6 * (1 + float(np.abs(costs).mean()))


def compare(kind: str, seed: int) -> None:
    """Both solvers on one problem: the status, the optimum, and a bound that held in every round."""
    case, label = drawn(kind, seed), f"{kind}, seed {seed}"
    heard: list[Round] = []
    split = solve_lshaped(case.problem, Settings(gap=GAP, time_limit=20.0), progress=heard.append)
    whole = solve_extensive(case.problem, Settings(gap=GAP, time_limit=20.0))
    optimum = optimum_of(case, label)
    assert (split.status, whole.status) == (case.status, case.status), label
    if case.status != "optimal":
        assert split.x is None and split.objective == split.bound == whole.objective, label
        return
    check(case, split, optimum, f"decomposition, {label}")
    check(case, whole, optimum, f"extensive form, {label}")
    slack = slack_of(split.scenario_costs / case.money)
    for state in heard:
        assert state.bound / case.money <= optimum + slack and state.incumbent / case.money >= optimum - slack, label


def known(kind: str, seed: int) -> tuple[Drawn, float]:
    """A problem and its optimum, by construction where it is known so."""
    case = drawn(kind, seed)
    return case, whole_by_scipy(case.problem, presolve=False).optimum if case.optimum is None else case.optimum


@pytest.mark.parametrize("seed", range(SEEDS))
@pytest.mark.parametrize("kind", KINDS)
def test_decomposition_and_extensive_form_agree_with_what_is_known(kind: str, seed: int) -> None:
    compare(kind, seed)


@pytest.mark.long
@pytest.mark.parametrize("kind", KINDS)
def test_decomposition_and_extensive_form_agree_on_a_larger_sweep(kind: str) -> None:
    for seed in range(SEEDS, SEEDS + 60):
        compare(kind, seed)


@pytest.mark.parametrize("kind", [kind for kind in KINDS if "infeasible" not in kind and "unbounded" not in kind])
def test_results_do_not_depend_on_the_number_of_workers_or_the_run(kind: str) -> None:
    problem = drawn(kind, 0).problem
    runs = [solve_lshaped(problem, Settings(gap=1e-4, workers=workers, time_limit=20.0)) for workers in (1, 2, 4, 2)]
    assert len({run.x.tobytes() + run.scenario_costs.tobytes() for run in runs}) == 1
    assert len({(run.status, run.objective, run.bound, run.rounds) for run in runs}) == 1


SOUND = (
    "everything random",
    "mixed first stage",
    "free first-stage columns",
    "incomplete recourse, whole first stage",
    "incomplete recourse by equalities",
    "weight on the tail, whole first stage",
    "limit on the tail",
    "many scenarios",
)


def assert_encloses(found: TwoStageSolution, optimum: float, label: str) -> None:
    slack = 1e-5 * (1 + abs(optimum))
    assert found.bound <= optimum + slack and found.objective >= optimum - slack, label


@pytest.mark.parametrize("kind", SOUND)
def test_a_search_stopped_in_any_round_encloses_the_optimum(kind: str) -> None:
    for seed in range(3):
        case, optimum = known(kind, seed)
        for last in (1, 2, 4):
            event = threading.Event()

            def heard(state: Round, last: int = last, event: threading.Event = event) -> None:
                if state.round >= last:
                    event.set()

            found = solve_lshaped(case.problem, Settings(gap=1e-9, stop=event), progress=heard)
            assert found.status in ("optimal", "stopped")
            assert_encloses(found, optimum, f"seed {seed}, stopped in round {last}")


@pytest.mark.parametrize("kind", SOUND)
@pytest.mark.parametrize("gap", [0.5, 0.05])
def test_a_coarse_gap_is_kept_and_encloses_the_optimum(kind: str, gap: float) -> None:
    for seed in range(3):
        case, optimum = known(kind, seed)
        found = solve_lshaped(case.problem, Settings(gap=gap))
        assert found.status == "optimal"
        assert found.objective - found.bound <= gap * abs(found.objective) + 1e-6
        assert_encloses(found, optimum, f"seed {seed}")


@pytest.mark.parametrize("kind", SOUND)
def test_no_start_is_too_wild(kind: str) -> None:
    for seed in range(3):
        case, optimum = known(kind, seed)
        start = np.random.default_rng(seed).normal(0, 50, len(case.problem.first.cost))
        found = solve_lshaped(case.problem, Settings(gap=GAP), start=start)
        check(case, found, optimum, f"seed {seed}")


def changed(problem: TwoStageProblem, seed: int) -> TwoStageProblem:
    """Other demands, technology, first-stage costs and recourse costs, some of them lower."""
    rng = np.random.default_rng(seed)
    futures = []
    for s in problem.scenarios:
        shift = rng.normal(0, 0.5, s.technology.shape[0])
        technology = s.technology.copy()
        technology.data = technology.data * rng.uniform(0.8, 1.2, len(technology.data))
        own = s.recourse
        own = replace(
            own,
            row_lower=own.row_lower + shift,
            row_upper=own.row_upper + shift,
            cost=own.cost + np.where(rng.random(len(own.cost)) < 0.5, rng.normal(0, 0.5, len(own.cost)), 0.0),
        )
        futures.append(replace(s, technology=technology, recourse=own, offset=s.offset + float(rng.normal())))
    first = replace(problem.first, cost=problem.first.cost + rng.normal(0, 0.3, len(problem.first.cost)))
    return replace(problem, first=first, scenarios=tuple(futures), cvar_limit=None)


@pytest.mark.parametrize("kind", SOUND)
def test_kept_duals_never_change_what_is_found(kind: str) -> None:
    for seed in range(4):
        before = drawn(kind, seed).problem
        kept = solve_lshaped(before, Settings(gap=GAP)).cuts
        problem = changed(before, seed)
        oracle = whole_by_scipy(problem, presolve=False)
        found = solve_lshaped(problem, Settings(gap=GAP), cuts=kept)
        assert found.status == oracle.status, f"seed {seed}"
        if oracle.status == "optimal":
            check(Drawn(problem), found, oracle.optimum, f"seed {seed}")


def test_problems_ask_for_what_their_kinds_promise() -> None:
    rays = 0
    for kind in ("incomplete recourse", "incomplete recourse, whole first stage", "incomplete recourse by equalities"):
        for seed in range(SEEDS):
            cuts = solve_lshaped(drawn(kind, seed).problem, Settings(gap=GAP)).cuts
            rays += cuts is not None and bool(cuts.ray.any())
    assert rays >= SEEDS
    rounds = [solve_lshaped(drawn("mixed first stage", seed).problem, Settings(gap=GAP)).rounds for seed in range(SEEDS)]
    assert max(rounds) >= 5
    assert sum(drawn(kind, 0).optimum is not None for kind in KINDS) >= 8
