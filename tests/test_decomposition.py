"""The decomposition against the extensive form, SciPy and answers known by construction, on problems of every kind."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest
from scipy import sparse

import optimiser
from models.problem import Problem, UnregisteredLimit
from optimiser.assemble import assemble
from optimiser.demand.scenarios import make_scenarios
from optimiser.solve import pool, search
from optimiser.solve.engine import Engine, Found
from optimiser.solve.extensive import solve_extensive
from optimiser.solve.lshaped import Standing, solve_lshaped
from optimiser.solve.twostage import Duals, Floats, Round, Settings, TwoStageProblem, TwoStageSolution
from optimiser.verify import verify
from tests.random_problems import Draft, random_problem
from tests.two_stage_problems import (
    KINDS,
    Drawn,
    cost_of,
    costs_by_scipy,
    council,
    drawn,
    tail_weights,
    whole_by_scipy,
)

GAP = 1e-6
SEEDS = 7


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
    split = solve_lshaped(case.problem, Settings(gap=GAP, time_limit=10.0), progress=heard.append)
    whole = solve_extensive(case.problem, Settings(gap=GAP, time_limit=10.0))
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


@pytest.mark.hours
@pytest.mark.parametrize("kind", KINDS)
def test_decomposition_and_extensive_form_agree_on_a_larger_sweep(kind: str) -> None:
    for seed in range(SEEDS, SEEDS + 60):
        compare(kind, seed)


def test_a_point_whole_but_for_rounding_errors_is_looked_at_as_the_whole_one() -> None:
    # what is placed with a millionth of a home more has no place once it is rounded off
    problem = drawn("general whole first stage", 0).problem
    best = solve_lshaped(problem, Settings(gap=1e-6)).x
    with ThreadPoolExecutor(1) as threads:
        looked = search.Search(problem, Settings(), threads, None, 0.0)
        looked.evaluate(best + 5e-7)
    assert looked.x is not None
    whole = problem.first.integer
    assert whole.any() and np.array_equal(looked.x[whole], np.round(best[whole]))


def test_what_is_known_of_a_point_whose_cuts_are_lost_is_cut_again(monkeypatch: pytest.MonkeyPatch) -> None:
    # room for the vectors of one layer only
    monkeypatch.setattr(pool, "ROOM", 60)
    problem, settings = drawn("general whole first stage", 3006).problem, Settings(gap=1e-6, time_limit=10.0)
    once = solve_lshaped(problem, settings)
    again = solve_lshaped(problem, settings, cuts=once.cuts)
    assert once.status == again.status == "optimal"
    assert again.objective == pytest.approx(once.objective, rel=1e-6)


def test_a_solve_that_goes_round_in_circles_begins_from_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    problem = drawn("mixed first stage", 3).problem
    as_ever = solve_lshaped(problem, Settings(gap=1e-6))
    monkeypatch.setattr("optimiser.solve.highs.CIRCLING", 0.0)
    given_up = solve_lshaped(problem, Settings(gap=1e-6))
    assert given_up.status == "optimal"
    assert given_up.objective == pytest.approx(as_ever.objective, rel=1e-6)


def test_no_scenario_loses_its_last_cut_and_no_point_is_asked_twice() -> None:
    cuts = pool.Pool(3, 1)

    def add(*scenarios: int) -> None:
        own = np.array(scenarios, dtype=np.int64)
        cuts.add(own, own + 1.0, np.zeros((len(own), 1)), Duals([np.ones(2)] * len(own)))

    for scenarios in ((0, 1), (2,), (), (1,), (1,), (1, 2)):
        add(*scenarios)
    for point in (1.0, 2.0, 1.0):
        cuts.ask(np.array([point]))
    assert len(cuts.layers) == 5 and [float(point[0]) for point in cuts.asked] == [2.0, 1.0]
    cuts.forget(2)
    assert [layer.scenario.tolist() for layer in cuts.layers] == [[0, 1], [1], [1, 2]]
    assert cuts.complete and cuts.at(np.zeros(1))[0].tolist() == [1.0, 2.0, 3.0]


@pytest.mark.parametrize("kind", [kind for kind in KINDS if "infeasible" not in kind and "unbounded" not in kind])
def test_results_do_not_depend_on_the_number_of_workers_or_the_run(kind: str) -> None:
    problem = drawn(kind, 0).problem
    runs = [solve_lshaped(problem, Settings(gap=1e-4, workers=workers, time_limit=10.0)) for workers in (1, 2, 4)]
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


@pytest.mark.parametrize("solve", [solve_lshaped, solve_extensive])
@pytest.mark.parametrize("kind", [*SOUND, "first-stage costs and offsets by scenario", "costs a million times smaller"])
def test_nothing_beyond_a_ceiling_is_looked_for_and_the_best_below_it_is_found(
    kind: str, solve: Callable[[TwoStageProblem, Settings], TwoStageSolution]
) -> None:
    for seed in range(3):
        case = drawn(kind, seed)
        optimum = optimum_of(case, kind) * case.money
        room = 0.02 * max(abs(optimum), 1e-3 * case.money)
        below = solve(case.problem, Settings(gap=1e-6, ceiling=optimum + room))
        assert below.status == "optimal" and below.x is not None
        assert_encloses(below, optimum, f"{kind}, seed {seed}")
        beyond = solve(case.problem, Settings(gap=1e-6, ceiling=optimum - room))
        assert (beyond.status, beyond.x, beyond.objective) == ("beyond", None, np.inf), f"{kind}, seed {seed}"
        assert optimum - room <= beyond.bound + 1e-9 * abs(optimum) and beyond.bound <= optimum + 1e-5 * (
            1 + abs(optimum)
        )


@pytest.mark.parametrize("held", [search.HELD, 2], ids=["all", "little"])
def test_a_standing_problem_is_solved_within_other_limits_as_if_it_were_new(
    held: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(search, "HELD", held)
    kinds = (
        "general whole first stage",
        "mixed first stage",
        "incomplete recourse, whole first stage",
        "many scenarios",
    )
    statuses = []
    for kind in (*kinds, "weight on the tail, whole first stage"):
        for seed in range(4):
            statuses += changed_and_changed_back(kind, seed)
    assert statuses.count("another optimum") > 8 and statuses.count("infeasible") > 2


@pytest.mark.parametrize("kind", ["general whole first stage", "mixed first stage", "many scenarios"])
def test_rows_of_the_first_stage_in_pence_or_in_millions_give_the_same_bound(kind: str) -> None:
    # a price of 1e-7 per unit of a row is nothing to HiGHS, and a bound too high where the row is in hundreds of millions
    for seed in range(12):
        case, optimum = known(kind, seed)
        first = case.problem.first
        for factor in (1e-6, 1e8):
            rows = {"row_lower": first.row_lower * factor, "row_upper": first.row_upper * factor}
            scaled = replace(first, matrix=sparse.csr_matrix(first.matrix * factor), **rows)
            found = solve_lshaped(replace(case.problem, first=scaled), Settings(gap=1e-6))
            assert_encloses(found, optimum, f"{kind}, seed {seed}, rows times {factor:g}")


def assert_placed(problem: TwoStageProblem, found: TwoStageSolution, label: str) -> None:
    """Where recourse has been kept it costs what is said of each scenario."""
    if not found.recourse:
        return
    assert found.x is not None and found.scenario_costs is not None
    for scenario, y, cost in zip(problem.scenarios, found.recourse, found.scenario_costs, strict=True):
        own = 0.0 if scenario.first_stage_cost is None else scenario.first_stage_cost @ found.x
        paid = problem.first.cost @ found.x + own + scenario.offset + scenario.recourse.cost @ y
        assert paid == pytest.approx(cost, rel=1e-5, abs=1e-4), label


def changed_and_changed_back(kind: str, seed: int) -> list[str]:
    """How each row of the first stage, made closer by one in either direction, changes what is best."""
    case, optimum = known(kind, seed)
    first, settings, found = case.problem.first, Settings(gap=1e-6), []
    with ThreadPoolExecutor(2) as executor:
        standing = Standing(case.problem, executor)
        best = standing.solve(first, settings, cvar_limit=case.problem.cvar_limit)
        assert_encloses(best, optimum, f"{kind}, seed {seed}")
        for number, activity in enumerate(first.matrix @ best.x):
            for closer in (-1.0, 1.0):
                lower, upper = first.row_lower.copy(), first.row_upper.copy()
                ends = upper if closer < 0 else lower
                ends[number] = activity + closer
                label = f"{kind}, seed {seed}, row {number}, {closer:+g}"
                other = replace(first, row_lower=lower, row_upper=upper)
                anew = solve_extensive(replace(case.problem, first=other), settings)
                again = standing.solve(other, settings, cvar_limit=case.problem.cvar_limit)
                assert again.status == anew.status, label
                found.append(anew.status)
                if anew.status == "optimal":
                    assert_encloses(again, anew.objective, label)
                    assert again.objective - again.bound <= 2e-6 * (1 + abs(anew.objective)), label
                    assert_placed(replace(case.problem, first=other), again, label)
                    if abs(anew.objective - optimum) > 1e-4 * (1 + abs(optimum)):
                        found[-1] = "another optimum"
        for share in (0.5, 1.5):
            other = replace(first, cost=share * first.cost + (1.0 - share) * np.arange(len(first.cost)) % 3)
            anew = solve_extensive(replace(case.problem, first=other), settings)
            again = standing.solve(other, settings, cvar_limit=case.problem.cvar_limit)
            assert again.status == anew.status
            if anew.status == "optimal":
                assert_encloses(again, anew.objective, f"{kind}, seed {seed}, costs {share:g}")
        back = standing.solve(first, settings, cvar_limit=case.problem.cvar_limit)
        assert_encloses(back, optimum, f"{kind}, seed {seed}, back")
    return found


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
    rounds = [solve_lshaped(drawn("many scenarios", seed).problem, Settings(gap=GAP)).rounds for seed in range(SEEDS)]
    assert max(rounds) >= 5
    assert sum(drawn(kind, 0).optimum is not None for kind in KINDS) >= 8


# whole planning problems that look nothing like the reference


def one_home_type() -> Problem:
    return council(1, homes=1, lots=0).build()


def twelve_partners() -> Problem:
    return council(2, authorities=12, cohorts=12, futures=3, demand=0.3).build()


def review_points() -> Problem:
    return council(3, review=True).build()


def prices_that_move_together() -> Problem:
    draft = council(4, demand=1.5, futures=4)
    factors = np.geomspace(0.5, 3.0, len(draft.futures))
    for future, factor in zip(draft.futures, factors, strict=True):
        future.arrivals[:] = draft.futures[0].arrivals
        future.spot_layer_price[:] = factor * draft.futures[0].spot_layer_price
    return draft.build()


def zero_demand() -> Problem:
    return council(5, demand=0.0).build()


def tempting(draft: Draft) -> Draft:
    """No registered home found costs less than a spot bed: only a limit keeps children out of there."""
    for future in draft.futures:
        future.unregistered_price[:], future.deterrent[:] = 4_000.0, 0.0
    return draft


def chance_limit() -> Problem:
    draft = tempting(council(6, spot_beds=6.0, futures=4))
    draft.unregistered_limits = [UnregisteredLimit("all", (0,), None, 0.2)]
    return draft.build()


def expected_and_chance_limit() -> Problem:
    draft = tempting(council(7, authorities=2, spot_beds=6.0, futures=3))
    draft.unregistered_limits = [UnregisteredLimit("all", (0, 1), 40.0, 0.4)]
    return draft.build()


def mostly_the_tail() -> Problem:
    draft = council(8)
    draft.risk_weight, draft.cvar_level = 0.99, 0.9
    return draft.build()


def tail_at_099() -> Problem:
    draft = council(9, homes=1)
    draft.risk_weight, draft.cvar_level = 0.5, 0.99
    return draft.build()


def limited_tail() -> Problem:
    draft = council(10)
    draft.cvar_level = 0.9
    mean = Engine(draft.build()).search(Settings(gap=1e-5), method="extensive")
    draft.risk_weight = 1.0
    worst = Engine(draft.build()).search(Settings(gap=1e-5), method="extensive")
    tails = [verify(draft.build(), found.decisions, found.placements).cvar for found in (mean, worst)]
    assert tails[1] < tails[0]
    draft.risk_weight, draft.cvar_limit = 0.0, 0.5 * sum(tails)
    return draft.build()


def futures_alike() -> Problem:
    draft = council(11, demand=2.0)
    for future in draft.futures[1:]:
        vars(future).update(vars(draft.futures[0]))
    return draft.build()


def one_future_almost_certain() -> Problem:
    draft = council(12)
    rare = 1e-7
    draft.probability = [1 - rare * (len(draft.futures) - 1), *[rare] * (len(draft.futures) - 1)]
    return draft.build()


def nothing_opens() -> Problem:
    draft = council(13)
    for future in draft.futures:
        future.home_open[:] = 0.0
        future.home_running[:] = 0.0
        future.lot_delivered[:] = 0.0
    return draft.build()


def nothing_to_decide() -> Problem:
    return council(14, homes=0, lots=0).build()


PLANNING = (
    one_home_type,
    twelve_partners,
    review_points,
    prices_that_move_together,
    zero_demand,
    chance_limit,
    expected_and_chance_limit,
    mostly_the_tail,
    tail_at_099,
    limited_tail,
    futures_alike,
    one_future_almost_certain,
    nothing_opens,
    nothing_to_decide,
)
SLOW = (expected_and_chance_limit,)
IDLE = (zero_demand, nothing_opens, nothing_to_decide)


@pytest.mark.parametrize(
    "make",
    [pytest.param(make, marks=pytest.mark.long) if make in SLOW else make for make in PLANNING],
    ids=lambda make: make.__name__.replace("_", " "),
)
def test_unlike_planning_problems_are_solved_both_ways_verified_and_repeatable(make: Callable[[], Problem]) -> None:
    problem, gap = make(), 1e-4
    engine = Engine(problem)
    found = {method: Engine(problem).search(Settings(gap=gap), method=method) for method in ("extensive", "lshaped")}
    for method, plan in found.items():
        assert isinstance(plan, Found) and plan.status == "optimal", method
        checked = verify(problem, plan.decisions, plan.placements)
        assert not checked.violations, method
        slack = 1e-6 * (1 + abs(checked.objective))
        assert checked.objective - plan.bound <= gap * abs(checked.objective) + slack, method
        begun = plan.decisions.homes_begun.sum() + plan.decisions.lot_awarded.sum()
        assert (begun == 0) == (make in IDLE), method
        for other in found.values():
            assert other.bound <= checked.objective + slack, method
    runs = [solve_lshaped(engine.two_stage, Settings(gap=1e-3, workers=workers)) for workers in (1, 2, 4)]
    assert len({run.x.tobytes() + run.scenario_costs.tobytes() for run in runs}) == 1
    assert len({(run.objective, run.bound, run.rounds) for run in runs}) == 1


@pytest.mark.parametrize("make", [chance_limit, expected_and_chance_limit], ids=lambda make: make.__name__)
def test_limits_on_children_without_a_home_change_these_plans(make: Callable[[], Problem]) -> None:
    free = Engine(replace(make(), unregistered_limits=())).search(Settings(gap=1e-2), method="lshaped")
    limited = Engine(make()).search(Settings(gap=1e-2), method="lshaped")
    assert limited.bound > 1.02 * free.bound


@pytest.mark.parametrize("seed", range(24))
def test_random_planning_problems_are_solved_both_ways(seed: int) -> None:
    problem, gap = random_problem(100 + seed), 1e-6
    whole, split = (Engine(problem).search(Settings(gap=gap), method=m) for m in ("extensive", "lshaped"))
    assert split.status == whole.status
    if isinstance(split, Found) and isinstance(whole, Found):
        checked = verify(problem, split.decisions, split.placements)
        assert not checked.violations
        slack = 1e-5 * (1 + abs(checked.objective))
        assert split.bound <= checked.objective + slack
        assert checked.objective == pytest.approx(
            verify(problem, whole.decisions, whole.placements).objective, abs=slack
        )
        assert checked.objective - split.bound <= gap * abs(checked.objective) + slack


# the bundled instances


BUNDLED = (
    "kent-in-house-2025",
    "cambridgeshire-residential-2024",
    "south-east-regional-block-2021",
    "kent-sufficiency-2019",
    "kent-supported-accommodation-2018",
)
#: Whose extensive form takes minutes.
MINUTES_EACH = ("kent-in-house-2025", "kent-supported-accommodation-2018")


@pytest.mark.long
@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=pytest.mark.hours) if name in MINUTES_EACH else name for name in BUNDLED]
)
def test_bundled_instances_at_30_futures_are_solved_both_ways(name: str) -> None:
    instance, gap = optimiser.load(name), 1e-3
    problem = assemble(instance, make_scenarios(instance, 30))
    found = {}
    for method in ("lshaped", "extensive"):
        began = time.perf_counter()
        plan = Engine(problem).search(Settings(gap=gap), method=method)
        assert isinstance(plan, Found) and plan.status == "optimal", method
        checked = verify(problem, plan.decisions, plan.placements)
        assert not checked.violations, method
        assert checked.objective - plan.bound <= gap * abs(checked.objective) * (1 + 1e-6), method
        found[method] = plan.bound, checked.objective
        seconds = time.perf_counter() - began
        print(f"{name}, {method}: {plan.bound:,.0f} to {checked.objective:,.0f} in {seconds:.0f} s")
    rounding = 1e-7 * abs(found["extensive"][1])
    assert found["lshaped"][0] <= found["extensive"][1] + rounding
    assert found["extensive"][0] <= found["lshaped"][1] + rounding
