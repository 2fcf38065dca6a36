"""The two-stage solvers: against each other, against published optima, and at the limits of what they take."""

from __future__ import annotations

import threading
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace

import numpy as np
import pytest
from scipy import sparse

from optimiser.solve.extensive import solve_extensive
from optimiser.solve.highs import Basis, Program, Warm
from optimiser.solve.lshaped import solve_lshaped
from optimiser.solve.twostage import Round, Scenario, Settings, Stage, TwoStageProblem, tail_mean, total_cost

INF = np.inf
EXACT = Settings(gap=1e-7)


def stage(cost, matrix, row_lower, row_upper, lower=0.0, upper=INF, integer=False) -> Stage:
    """A stage from lists; bounds and wholeness may be given once for all columns."""
    cost = np.array(cost, dtype=float)
    return Stage(
        cost=cost,
        lower=np.broadcast_to(np.array(lower, dtype=float), cost.shape).copy(),
        upper=np.broadcast_to(np.array(upper, dtype=float), cost.shape).copy(),
        matrix=sparse.csr_matrix(np.array(matrix, dtype=float).reshape(-1, len(cost))),
        row_lower=np.array(row_lower, dtype=float),
        row_upper=np.array(row_upper, dtype=float),
        integer=np.broadcast_to(np.array(integer, dtype=bool), cost.shape).copy(),
    )


def scenario(probability, technology, recourse, first_stage_cost=None, offset=0.0) -> Scenario:
    own = None if first_stage_cost is None else np.array(first_stage_cost, dtype=float)
    return Scenario(probability, sparse.csr_matrix(np.array(technology, dtype=float)), recourse, own, offset)


# random problems


def random_two_stage(seed: int) -> TwoStageProblem:
    """Everything a two-stage problem may hold, a random part of it each time."""
    rng = np.random.default_rng(seed)
    columns, count = int(rng.integers(1, 5)), int(rng.integers(1, 8))
    kinds = rng.choice(4, size=columns, p=[0.6, 0.2, 0.1, 0.1])
    wide = rng.integers(1, 6, size=columns).astype(float)
    lower = np.select([kinds == 0, kinds == 1, kinds == 2], [0 * wide, -wide, 0 * wide], -INF)
    upper = np.select([kinds == 0, kinds == 1, kinds == 2], [wide, wide, INF + wide], INF)
    integer = rng.random(columns) < rng.choice([0.0, 0.5, 1.0])
    first = Stage(
        rng.integers(-3, 8, size=columns).astype(float),
        lower,
        upper,
        *_random_rows(rng, int(rng.integers(0, 3)), columns),
        integer,
    )
    own_costs, complete = rng.random() < 0.4, rng.random() < 0.7
    random_matrix, random_cost, random_technology = rng.random(3) < 0.5
    size, rows = int(rng.integers(1, 5)), int(rng.integers(1, 4))
    shared = rng.integers(-2, 4, size=(rows, size)).astype(float)
    prices, technology = (
        rng.integers(0, 9, size=size).astype(float),
        rng.integers(-2, 3, size=(rows, columns)).astype(float),
    )
    probability = rng.random(count) + 0.05
    if count > 2 and rng.random() < 0.2:
        probability[0] = 0.0
    probability /= probability.sum()
    weight = float(rng.choice([0.0, 0.0, 0.3, 1.0]))
    scenarios = []
    for number in range(count):
        matrix = shared + rng.integers(0, 2, size=shared.shape) if random_matrix else shared
        cost = prices + rng.integers(0, 3, size=size) if random_cost else prices
        enters = technology + rng.integers(0, 2, size=technology.shape) if random_technology else technology
        low, high = np.zeros(size), np.where(rng.random(size) < 0.3, rng.integers(1, 9, size=size), INF)
        if rng.random() < 0.15 and weight < 1 and probability.min() > 0:
            low[0], high[0] = (-INF, INF) if rng.random() < 0.5 else (-4.0, INF)
        if complete:
            # what is missing or over may be had at a high price
            matrix = np.hstack([matrix, np.eye(rows), -np.eye(rows)])
            cost = np.concatenate([cost, np.full(2 * rows, 40.0)])
            low, high = np.concatenate([low, np.zeros(2 * rows)]), np.concatenate([high, np.full(2 * rows, INF)])
        at = rng.integers(-6, 12, size=rows).astype(float)
        kind = rng.choice(4, size=rows)
        row_lower = np.where(kind == 0, -INF, at)
        row_upper = np.select([kind == 0, kind == 1, kind == 2], [at, at, at + 3], INF)
        recourse = Stage(
            cost, low, high, sparse.csr_matrix(matrix), row_lower, row_upper, np.zeros(len(cost), dtype=bool)
        )
        extra = rng.integers(-1, 3, size=columns).astype(float) if own_costs else None
        scenarios.append(
            Scenario(float(probability[number]), sparse.csr_matrix(enters), recourse, extra, float(rng.integers(-5, 6)))
        )
    problem = TwoStageProblem(
        first,
        tuple(scenarios),
        risk_weight=weight,
        risk_level=float(rng.choice([0.0, 0.5, 0.8, 0.95])),
    )
    if rng.random() < 0.3:
        free = solve_extensive(replace(problem, risk_weight=0.0), EXACT)
        strict = solve_extensive(replace(problem, risk_weight=1.0), EXACT)
        if free.scenario_costs is not None and strict.scenario_costs is not None:
            most, least = tail_mean(problem, free.scenario_costs)[0], strict.objective
            problem = replace(problem, cvar_limit=least + float(rng.choice([-0.1, 0.3, 0.7])) * (most - least) + 1e-6)
    return problem


def _random_rows(rng, rows, columns):
    matrix = sparse.csr_matrix(rng.integers(-2, 4, size=(rows, columns)).astype(float))
    at, kind = rng.integers(0, 9, size=rows).astype(float), rng.choice(3, size=rows)
    lower = np.select([kind == 0, kind == 1], [-INF + at, at - 6], at - 9)
    upper = np.select([kind == 0, kind == 1], [at, at], INF)
    return matrix, lower, upper


@pytest.mark.parametrize("batch", range(10))
def test_decomposition_agrees_with_the_extensive_form(batch: int) -> None:
    for seed in range(batch * 12, batch * 12 + 12):
        problem = random_two_stage(seed)
        whole, split = solve_extensive(problem, EXACT), solve_lshaped(problem, EXACT)
        assert split.status == whole.status, f"seed {seed}"
        if whole.status != "optimal":
            continue
        slack = 1e-5 * (1 + abs(whole.objective))
        assert split.objective == pytest.approx(whole.objective, abs=slack), f"seed {seed}"
        assert split.bound <= whole.objective + slack, f"seed {seed}"
        assert split.scenario_costs is not None and split.x is not None
        assert split.objective == pytest.approx(total_cost(problem, split.scenario_costs), abs=slack), f"seed {seed}"


def test_costs_that_cancel_out_to_nothing_end_the_search() -> None:
    # a gap is no share of zero; HiGHS searched for ever below a cost of 1e-14
    solution = solve_lshaped(random_two_stage(4805), Settings(gap=1e-7, time_limit=20.0))
    assert (solution.status, solution.objective) == ("optimal", pytest.approx(0.0, abs=1e-7))


# known optima


def farmer() -> TwoStageProblem:
    """Birge and Louveaux (2011), section 1.1: acres of wheat, corn and sugar beets before the weather is known."""
    planting, yields = [150.0, 230.0, 260.0], np.array([2.5, 3.0, 20.0])
    # buy wheat, buy corn; sell wheat, sell corn, sell beets up to 6,000 tonnes, sell beets beyond
    prices = [238.0, 210.0, -170.0, -150.0, -36.0, -10.0]
    matrix = [[1, 0, -1, 0, 0, 0], [0, 1, 0, -1, 0, 0], [0, 0, 0, 0, -1, -1]]
    recourse = stage(prices, matrix, [200, 240, 0], [INF, INF, INF], upper=[INF, INF, INF, INF, 6000, INF])
    futures = tuple(scenario(1 / 3, np.diag(yields * weather), recourse) for weather in (1.2, 1.0, 0.8))
    return TwoStageProblem(stage(planting, [1, 1, 1], [-INF], [500]), futures)


@pytest.mark.parametrize("solver", [solve_extensive, solve_lshaped])
def test_the_farmer_earns_what_the_book_says(solver) -> None:
    solution = solver(farmer(), EXACT)
    assert solution.objective == pytest.approx(-108_390, abs=1)
    assert solution.x == pytest.approx([170, 80, 250], abs=1e-4)
    assert solution.scenario_costs == pytest.approx([-167_000, -109_350, -48_820], abs=1)


def news_vendor(**risk: float) -> TwoStageProblem:
    """Papers at 4 each, sold at 10; demand 0 to 9, each as likely: the best stock is the quantile 0.6."""
    recourse = stage([-10.0], [[1.0], [1.0]], [-INF, -INF], [0.0, 0.0])
    futures = tuple(
        scenario(0.1, [[-1.0], [0.0]], replace(recourse, row_upper=np.array([0.0, float(demand)])))
        for demand in range(10)
    )
    return TwoStageProblem(stage([4.0], np.zeros((0, 1)), [], [], upper=20.0, integer=True), futures, **risk)


@pytest.mark.parametrize("solver", [solve_extensive, solve_lshaped])
def test_the_news_vendor_stocks_the_critical_quantile(solver) -> None:
    solution = solver(news_vendor(), EXACT)
    stock = solution.x[0]
    assert stock in (5.0, 6.0)
    assert solution.objective == pytest.approx(4 * 5 - 10 * np.minimum(5, np.arange(10)).mean())


# the tail


@pytest.mark.parametrize("solver", [solve_extensive, solve_lshaped])
def test_the_tail_mean_at_level_zero_is_the_mean(solver) -> None:
    mean = solver(farmer(), EXACT).objective
    assert solver(replace(farmer(), risk_weight=1.0, risk_level=0.0), EXACT).objective == pytest.approx(mean, rel=1e-6)


@pytest.mark.parametrize("solver", [solve_extensive, solve_lshaped])
def test_the_tail_mean_near_level_one_is_the_worst_case(solver) -> None:
    # nothing stocked costs nothing whatever happens; any stock loses if nobody comes
    worst = solver(news_vendor(risk_weight=1.0, risk_level=0.95), EXACT)
    assert worst.x == pytest.approx([0.0])
    assert worst.objective == pytest.approx(0.0, abs=1e-9)


@pytest.mark.parametrize("solver", [solve_extensive, solve_lshaped])
def test_a_limit_on_the_tail_is_kept_and_told_from_an_impossible_one(solver) -> None:
    limited = solver(news_vendor(risk_level=0.9, cvar_limit=8.0), EXACT)
    assert limited.x == pytest.approx([2.0])  # at worst 2 papers are thrown away
    assert solver(news_vendor(risk_level=0.9, cvar_limit=-1.0), EXACT).status == "infeasible"


def test_the_tail_mean_splits_the_scenario_at_the_quantile() -> None:
    problem = replace(farmer(), risk_level=0.5)
    # the worst third, and a sixth of the second
    assert tail_mean(problem, np.array([3.0, 9.0, 6.0]))[0] == pytest.approx((9 / 3 + 6 / 6) / 0.5)


# problems without a solution


@pytest.mark.parametrize("solver", [solve_extensive, solve_lshaped])
def test_infeasible_first_stages_are_named(solver) -> None:
    problem = replace(farmer(), first=stage([150.0, 230.0, 260.0], [1, 1, 1], [600], [500]))
    assert solver(problem, EXACT).status == "infeasible"


@pytest.mark.parametrize("solver", [solve_extensive, solve_lshaped])
def test_recourse_that_no_decision_makes_feasible_is_named(solver) -> None:
    recourse = stage([1.0], [1.0], [5.0], [5.0], upper=2.0)
    problem = TwoStageProblem(stage([1.0], np.zeros((0, 1)), [], [], upper=2.0), (scenario(1.0, [[1.0]], recourse),))
    solution = solver(problem, EXACT)
    assert (solution.status, solution.x) == ("infeasible", None)


@pytest.mark.parametrize("solver", [solve_extensive, solve_lshaped])
@pytest.mark.parametrize("where", ["first stage", "recourse"])
def test_cost_that_falls_for_ever_is_named(solver, where: str) -> None:
    price = -1.0 if where == "recourse" else 1.0
    recourse = stage([price], [1.0], [0.0], [INF])
    first = stage([-1.0 if where == "first stage" else 1.0], np.zeros((0, 1)), [], [])
    solution = solver(TwoStageProblem(first, (scenario(1.0, [[1.0]], recourse),)), EXACT)
    assert (solution.status, solution.objective) == ("unbounded", -INF)


def test_what_nothing_here_solves_is_refused() -> None:
    whole = stage([1.0], [1.0], [0.0], [1.0], integer=True)
    first = stage([1.0], np.zeros((0, 1)), [], [])
    with pytest.raises(ValueError, match="scenario 0: recourse columns must not be whole numbers"):
        TwoStageProblem(first, (scenario(1.0, [[1.0]], whole),))
    fine = replace(whole, integer=np.array([False]))
    with pytest.raises(ValueError, match=r"probabilities sum to 0\.5"):
        TwoStageProblem(first, (scenario(0.5, [[1.0]], fine),))
    with pytest.raises(ValueError, match="technology has shape"):
        TwoStageProblem(first, (scenario(1.0, [[1.0, 2.0]], fine),))


# time, threads, and what is kept


def test_a_stopped_search_keeps_bound_and_incumbent_apart() -> None:
    problem = hard_problem()
    limited = solve_lshaped(problem, Settings(gap=1e-9, time_limit=0.0))
    assert (limited.status, limited.x) == ("stopped", None)
    event = threading.Event()

    def after_three(state: Round) -> None:
        if state.round >= 3:
            event.set()

    stopped = solve_lshaped(problem, Settings(gap=1e-9, stop=event), start=np.zeros(12), progress=after_three)
    optimum = solve_lshaped(problem, Settings(gap=1e-4))
    assert stopped.status == "stopped"
    assert stopped.bound <= optimum.objective * (1 + 1e-9)
    assert optimum.bound <= stopped.objective
    assert optimum.gap <= 1e-4


def hard_problem() -> TwoStageProblem:
    """Twelve whole-number sizes of plant against demand in eight places, dear if unmet."""
    rng = np.random.default_rng(5)
    size, places = 12, 8
    reach = rng.integers(1, 9, size=(size, places)).astype(float)
    futures = []
    for _ in range(30):
        demand = rng.integers(0, 30, size=places).astype(float)
        # served[plant, place], then unmet[place]
        cost = np.concatenate([reach.ravel(), np.full(places, 60.0)])
        plant, place = np.kron(np.eye(size), np.ones(places)), np.kron(np.ones(size), np.eye(places))
        matrix = np.vstack([np.hstack([plant, np.zeros((size, places))]), np.hstack([place, np.eye(places)])])
        recourse = stage(
            cost, matrix, np.concatenate([np.full(size, -INF), demand]), np.concatenate([np.zeros(size), demand])
        )
        futures.append(scenario(1 / 30, np.vstack([-7.0 * np.eye(size), np.zeros((places, size))]), recourse))
    return TwoStageProblem(
        stage(rng.integers(60, 120, size=size), np.zeros((0, size)), [], [], upper=6.0, integer=True), tuple(futures)
    )


def test_results_do_not_depend_on_the_number_of_threads_or_the_run() -> None:
    problem = hard_problem()
    runs = [solve_lshaped(problem, Settings(gap=1e-3, workers=workers)) for workers in (1, 2, 2)]
    assert len({run.x.tobytes() + run.scenario_costs.tobytes() for run in runs}) == 1
    assert len({(run.objective, run.bound, run.rounds) for run in runs}) == 1


def test_results_do_not_depend_on_where_recourse_is_solved() -> None:
    problem = random_two_stage(3)
    with ProcessPoolExecutor(1) as elsewhere:
        away = solve_lshaped(problem, EXACT, executor=elsewhere)
    here = solve_lshaped(problem, EXACT)
    assert (away.status, away.objective, away.bound, away.rounds) == (
        here.status,
        here.objective,
        here.bound,
        here.rounds,
    )


@pytest.mark.parametrize("integer", [False, True])
def test_kept_duals_serve_another_first_stage_and_other_demands(integer: bool) -> None:
    problem = hard_problem()
    problem = replace(problem, first=replace(problem.first, integer=np.full(12, integer)))
    before = solve_lshaped(problem, Settings(gap=1e-4))
    limited = replace(
        problem.first,
        matrix=sparse.csr_matrix(problem.first.cost[None]),
        row_lower=np.array([-INF]),
        row_upper=np.array([1500.0]),
    )
    one_more = np.concatenate([np.zeros(12), np.ones(8)])
    futures = tuple(
        replace(
            s,
            recourse=replace(
                s.recourse, row_lower=s.recourse.row_lower + one_more, row_upper=s.recourse.row_upper + one_more
            ),
        )
        for s in problem.scenarios
    )
    changed = replace(problem, first=limited, scenarios=futures)
    cold = solve_lshaped(changed, Settings(gap=1e-4))
    warm = solve_lshaped(changed, Settings(gap=1e-4), cuts=before.cuts)
    assert warm.objective == pytest.approx(cold.objective, rel=2e-4)
    assert warm.bound <= cold.objective * (1 + 1e-6)
    assert warm.rounds < cold.rounds


def test_a_good_start_is_never_lost() -> None:
    problem = hard_problem()
    best = solve_lshaped(problem, EXACT)
    again = solve_lshaped(problem, Settings(gap=0.5), start=best.x)
    assert again.objective <= best.objective * (1 + 1e-9)


def test_a_basis_read_back_from_bytes_is_the_one_that_was_written() -> None:
    program = Program(
        cost=np.array([1.0, 2.0, 0.5]),
        offset=0.0,
        matrix=sparse.csr_matrix(np.array([[1.0, 1.0, 0.0], [0.0, 1.0, 1.0]])),
        row_lower=np.array([3.0, 4.0]),
        row_upper=np.full(2, np.inf),
        lower=np.zeros(3),
        upper=np.array([2.0, 5.0, 1.0]),
        integer=np.zeros(3, dtype=bool),
    )
    found = Warm().solve(program)
    assert found.basis is not None
    again = Basis.of(*found.basis.__getstate__())
    assert again.shape == found.basis.shape == (2, 3)
    assert again.__getstate__() == found.basis.__getstate__()
    assert Warm().solve(program, again).x.tobytes() == found.x.tobytes()
