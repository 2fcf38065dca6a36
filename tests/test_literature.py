"""Two-stage problems of the literature: both solvers give the optima that were published."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import product
from typing import Any

import numpy as np
import pytest
from scipy import sparse

from optimiser.solve.extensive import solve_extensive
from optimiser.solve.lshaped import solve_lshaped
from optimiser.solve.twostage import Scenario, Settings, TwoStageProblem, TwoStageSolution
from tests.two_stage_problems import scenario, stage

INF = np.inf
EXACT, CLOSE = Settings(gap=1e-7), Settings(gap=1e-6)
SOLVERS = pytest.mark.parametrize("solver", [solve_extensive, solve_lshaped])
Solver = Callable[[TwoStageProblem, Settings], TwoStageSolution]


def no_rows(columns: int) -> np.ndarray:
    return np.zeros((0, columns))


def assert_optimum(solution: TwoStageSolution, published: float, *, decimals: int) -> None:
    """Objective and bound round to the published figure."""
    assert solution.status == "optimal"
    half = 0.5 * 10.0**-decimals + 1e-6 * abs(published)
    assert solution.objective == pytest.approx(published, abs=half)
    assert solution.bound == pytest.approx(published, abs=half)
    assert solution.bound <= solution.objective + 1e-9 * abs(published)


def wait_and_see(problem: TwoStageProblem, solver: Solver) -> float:
    """Expected cost where every decision waits for the future to be known."""
    alone = [replace(problem, scenarios=(replace(s, probability=1.0),)) for s in problem.scenarios]
    return float(problem.probability @ [solver(one, EXACT).objective for one in alone])


def fixed(problem: TwoStageProblem, x: Any) -> TwoStageProblem:
    """The same problem with the first stage decided."""
    x = np.array(x, dtype=float)
    return replace(problem, first=replace(problem.first, lower=x, upper=x))


def joint(*marginals: Sequence[tuple[float, float]]) -> list[tuple[tuple[float, ...], float]]:
    """Values and probability of every combination of independent values."""
    return [
        (tuple(value for value, _ in chosen), float(np.prod([share for _, share in chosen])))
        for chosen in product(*marginals)
    ]


# the farmer: Birge and Louveaux, Introduction to Stochastic Programming (2nd edition 2011), section 1.1


def farmer(weathers: Sequence[float] = (1.2, 1.0, 0.8)) -> TwoStageProblem:
    """Acres of wheat, corn and sugar beets before the weather is known."""
    planting, yields = [150.0, 230.0, 260.0], np.array([2.5, 3.0, 20.0])
    # buy wheat, buy corn; sell wheat, sell corn, sell beets up to 6,000 tonnes, sell beets beyond
    prices = [238.0, 210.0, -170.0, -150.0, -36.0, -10.0]
    matrix = [[1, 0, -1, 0, 0, 0], [0, 1, 0, -1, 0, 0], [0, 0, 0, 0, -1, -1]]
    recourse = stage(prices, matrix, [200, 240, 0], INF, upper=[INF, INF, INF, INF, 6000, INF])
    futures = tuple(scenario(1 / len(weathers), np.diag(yields * weather), recourse) for weather in weathers)
    return TwoStageProblem(stage(planting, [1, 1, 1], [-INF], [500]), futures)


@SOLVERS
def test_the_farmer_earns_108390_and_perfect_information_is_worth_7016(solver: Solver) -> None:
    solution = solver(farmer(), EXACT)
    assert_optimum(solution, -108_390, decimals=0)
    assert solution.x == pytest.approx([170, 80, 250], abs=1e-3)
    assert solution.objective - wait_and_see(farmer(), solver) == pytest.approx(7016, abs=1)


@SOLVERS
def test_the_farmer_who_plans_for_average_weather_loses_1150(solver: Solver) -> None:
    average = solver(farmer([1.0]), EXACT)
    assert average.x == pytest.approx([120, 80, 300], abs=1e-3)
    loss = solver(fixed(farmer(), average.x), EXACT).objective - solver(farmer(), EXACT).objective
    assert loss == pytest.approx(1150, abs=0.5)


@SOLVERS
def test_the_farmer_of_four_whole_fields_earns_107975(solver: Solver) -> None:
    # exercise: fields of 185, 145, 105 and 65 acres, one crop on each
    sizes = np.array([185.0, 145.0, 105.0, 65.0])
    plain = farmer()
    take = np.kron(np.eye(3), sizes)  # acres of a crop = sum of the fields given to it
    first = stage(plain.first.cost @ take, np.kron(np.ones(3), np.eye(4)), -INF, 1.0, upper=1.0, integer=True)
    futures = tuple(replace(s, technology=sparse.csr_matrix(s.technology @ take)) for s in plain.scenarios)
    assert_optimum(solver(TwoStageProblem(first, futures), EXACT), -107_975, decimals=0)


# Birge and Louveaux, chapter 5: the L-shaped method


def two_products() -> TwoStageProblem:
    """Section 5.1: demands and profits of two products are random."""
    first = stage([100, 150], [[1, 1]], -INF, 120, lower=[40, 20])
    matrix = [[6, 10], [8, 5]]
    futures = tuple(
        scenario(share, [[-60, 0], [0, -80]], stage(profit, matrix, -INF, 0, upper=demand))
        for share, demand, profit in ((0.4, [500, 100], [-24, -28]), (0.6, [300, 300], [-28, -32]))
    )
    return TwoStageProblem(first, futures)


@SOLVERS
def test_two_products_earn_855_83_and_information_is_worth_662_92(solver: Solver) -> None:
    # worth of information and of the stochastic solution: tests of StochasticPrograms.jl (Biel and Johansson 2022)
    problem = two_products()
    solution = solver(problem, EXACT)
    assert_optimum(solution, -855.83, decimals=2)
    assert solution.x == pytest.approx([46.67, 36.25], abs=5e-3)
    assert solution.objective - wait_and_see(problem, solver) == pytest.approx(662.92, abs=6e-3)
    mean = stage([-26.4, -30.4], [[6, 10], [8, 5]], -INF, 0, upper=[380, 220])
    average = solver(replace(problem, scenarios=(scenario(1.0, [[-60, 0], [0, -80]], mean),)), EXACT)
    assert average.objective == pytest.approx(-1445.92, abs=6e-3)
    assert solver(fixed(problem, average.x), EXACT).objective == pytest.approx(-568.92, abs=6e-3)


@SOLVERS
def test_the_distance_to_1_2_or_4_is_least_at_2(solver: Solver) -> None:
    # section 5.1: Q = |value - x|, 0 <= x <= 10, three values as likely
    recourse = stage([1, 1], [[1, -1]], 0, 0)
    futures = tuple(
        scenario(1 / 3, [[1]], replace(recourse, row_lower=np.array([v]), row_upper=np.array([v])))
        for v in (1.0, 2.0, 4.0)
    )
    solution = solver(TwoStageProblem(stage([0], no_rows(1), [], [], upper=10), futures), EXACT)
    assert_optimum(solution, 1.0, decimals=6)
    assert solution.x == pytest.approx([2.0], abs=1e-6)


@SOLVERS
def test_feasibility_cuts_find_the_first_stage_that_serves_every_demand(solver: Solver) -> None:
    # section 5.1.b: demands 4 or 6 and 4 or 8; at least 80% of each must be served
    futures = []
    for first_demand, second_demand in product((4.0, 6.0), (4.0, 8.0)):
        demand = np.array([first_demand, second_demand])
        recourse = stage([-15, -12], [[3, 2], [2, 5]], -INF, 0, lower=0.8 * demand, upper=demand)
        futures.append(scenario(0.25, [[-1, 0], [0, -1]], recourse))
    solution = solver(TwoStageProblem(stage([3, 2], no_rows(2), [], []), tuple(futures)), EXACT)
    # 3·0.8·6 + 2·0.8·8 and 2·0.8·6 + 5·0.8·8, which the book ends at too
    assert solution.x == pytest.approx([27.2, 41.6], abs=1e-4)
    assert_optimum(solution, 30.94, decimals=6)


# electricity: Louveaux and Smeers (1988), in Ermoliev and Wets (eds.), Numerical Techniques for Stochastic Optimization


def electricity(*, least: float, budget: float, shortage: bool, demands: Any) -> TwoStageProblem:
    """Capacity of four technologies, then power for three kinds of load; ``demands`` with their probabilities."""
    build, run = np.array([10.0, 7.0, 16.0, 6.0]), np.array([4.0, 4.5, 3.2, 5.5])
    first = stage(build, [np.ones(4), build], [least, -INF], [INF, budget])
    use, serve = np.kron(np.eye(4), np.ones(3)), np.kron(np.ones(4), np.eye(3))
    cost = np.kron(run, [10.0, 6.0, 1.0])
    if shortage:  # more power than there is capacity, at 1,000
        cost, use, serve = (
            np.append(cost, np.full(4, 1000.0)),
            np.hstack([use, -np.eye(4)]),
            np.hstack([serve, np.zeros((3, 4))]),
        )
    futures = tuple(
        scenario(
            share,
            np.vstack([-np.eye(4), np.zeros((3, 4))]),
            stage(cost, np.vstack([use, serve]), [*[-INF] * 4, *demand], [*[0.0] * 4, *[INF] * 3]),
        )
        for demand, share in demands
    )
    return TwoStageProblem(first, futures)


@SOLVERS
def test_electricity_investment_costs_381_85(solver: Solver) -> None:
    demands = [((peak, 3.0, 2.0), share) for peak, share in ((3.0, 0.3), (5.0, 0.4), (7.0, 0.3))]
    solution = solver(electricity(least=12, budget=120, shortage=False, demands=demands), EXACT)
    assert_optimum(solution, 381.853, decimals=3)
    assert solution.x == pytest.approx([8 / 3, 4, 10 / 3, 2], abs=1e-4)


@SOLVERS
def test_power_generation_planning_pgp2_costs_447_324(solver: Solver) -> None:
    # Higle and Sen (1996), Stochastic Decomposition: PGP2, 576 scenarios
    tails = (0.0215, 0.2857, 0.3830, 0.2857, 0.0215, 0.00125, 0.00005)
    demands = joint(
        list(zip((0.5, 1.0, 2.5, 3.5, 5.0, 6.5, 7.5, 9.0, 9.5), (0.00005, 0.00125, *tails), strict=True)),
        list(zip((0.0, 1.5, 2.5, 4.0, 5.5, 6.5, 8.0, 8.5), (0.0013, *tails), strict=True)),
        list(zip((0.0, 0.5, 1.5, 3.0, 4.5, 5.5, 7.0, 7.5), (0.0013, *tails), strict=True)),
    )
    assert len(demands) == 576
    solution = solver(electricity(least=15, budget=220, shortage=True, demands=demands), CLOSE)
    assert_optimum(solution, 447.324, decimals=3)


@SOLVERS
def test_power_expansion_apl1p_costs_24642_32(solver: Solver) -> None:
    # Infanger (1992), Monte Carlo (importance) sampling within a Benders decomposition: APL1P, 1,280 scenarios
    first_available = [(1.0, 0.2), (0.9, 0.3), (0.5, 0.4), (0.1, 0.1)]
    second_available = [(1.0, 0.1), (0.9, 0.2), (0.7, 0.5), (0.1, 0.1), (0.0, 0.1)]
    demand = [(900.0, 0.15), (1000.0, 0.45), (1100.0, 0.25), (1200.0, 0.15)]
    cost = [4.3, 2.0, 0.5, 8.7, 4.0, 1.0, 10.0, 10.0, 10.0]
    use = np.hstack([np.kron(np.eye(2), np.ones(3)), np.zeros((2, 3))])
    serve = np.hstack([np.kron(np.ones(2), np.eye(3)), np.eye(3)])
    matrix = sparse.csr_matrix(np.vstack([use, serve]))
    futures = []
    for (one, other, *wanted), share in joint(first_available, second_available, demand, demand, demand):
        recourse = stage(cost, matrix.toarray(), [-INF, -INF, *wanted], [0, 0, INF, INF, INF])
        futures.append(scenario(share, [[-one, 0], [0, -other], [0, 0], [0, 0], [0, 0]], recourse))
    assert len(futures) == 1280
    problem = TwoStageProblem(stage([4.0, 2.5], no_rows(2), [], [], lower=1000), tuple(futures))
    solution = solver(problem, CLOSE)
    assert_optimum(solution, 24642.32, decimals=2)
    assert solution.x[1] == pytest.approx(1571.43, abs=5e-3)


# aircraft: Ferguson and Dantzig (1956); Dantzig (1963), Linear Programming and Extensions, chapter 28


@SOLVERS
def test_aircraft_for_uncertain_passengers_cost_1566_04(solver: Solver) -> None:
    operating = np.array(
        [[18, 21, 18, 16, 10], [0, 15, 16, 14, 9], [0, 10, 0, 9, 6], [17, 16, 17, 15, 10]], dtype=float
    )
    seats = np.array([[16, 15, 28, 23, 81], [0, 10, 14, 15, 57], [0, 5, 0, 7, 29], [9, 11, 22, 17, 55]], dtype=float)
    lost = [13.0, 13.0, 7.0, 7.0, 1.0]
    demands = joint(
        [(200, 0.2), (220, 0.05), (250, 0.35), (270, 0.2), (300, 0.2)],
        [(50, 0.3), (150, 0.7)],
        [(140, 0.1), (160, 0.2), (180, 0.4), (200, 0.2), (220, 0.1)],
        [(10, 0.2), (50, 0.2), (80, 0.3), (100, 0.2), (340, 0.1)],
        [(580, 0.1), (600, 0.8), (620, 0.1)],
    )
    assert len(demands) == 750
    able = seats.ravel() > 0
    first = stage(
        operating.ravel(), np.kron(np.eye(4), np.ones(5)), -INF, [10, 19, 25, 15], upper=np.where(able, INF, 0)
    )
    carry = np.vstack([np.diag(row) for row in seats]).T  # passengers carried by route
    futures = tuple(scenario(share, carry, stage(lost, np.eye(5), demand, INF)) for demand, share in demands)
    assert_optimum(solver(TwoStageProblem(first, futures), EXACT), 1566.04, decimals=2)


# furniture: Higle (2005), Stochastic Programming: Optimization When Uncertainty Matters, INFORMS TutORials


@SOLVERS
@pytest.mark.parametrize("integer", [False, True])
def test_dakota_furniture_earns_1730(solver: Solver, integer: bool) -> None:
    needs = np.array([[8, 6, 1], [4, 2, 1.5], [2, 1.5, 0.5]])  # lumber, finishing, carpentry of desk, table, chair
    futures = tuple(
        scenario(
            share,
            np.vstack([-np.eye(3), np.zeros((3, 3))])[:3],
            stage([-60, -40, -10], needs, -INF, 0, upper=demand),
        )
        for share, demand in ((0.3, [50, 20, 200]), (0.4, [150, 110, 225]), (0.3, [250, 250, 500]))
    )
    first = stage([2.0, 4.0, 5.2], no_rows(3), [], [], upper=10_000, integer=integer)
    solution = solver(TwoStageProblem(first, futures), EXACT)
    assert_optimum(solution, -1730, decimals=0)
    assert solution.x == pytest.approx([1300, 540, 325], abs=1e-3)


# the news vendor


def news_vendor(demands: Any, *, cost: float, price: float, **risk: float) -> TwoStageProblem:
    """Papers bought at a cost and sold at a price, all demands as likely."""
    recourse = stage([-price], [[1.0], [1.0]], -INF, [0.0, 0.0])
    futures = tuple(
        scenario(1 / len(demands), [[-1.0], [0.0]], replace(recourse, row_upper=np.array([0.0, float(demand)])))
        for demand in demands
    )
    return TwoStageProblem(stage([cost], no_rows(1), [], [], upper=1000.0), futures, **risk)


def quantile(demands: Any, share: float) -> float:
    """Least demand that is not exceeded with at least this probability."""
    ordered = np.sort(np.asarray(demands, dtype=float))
    return float(ordered[int(np.ceil(share * len(ordered) - 1e-9)) - 1])


@SOLVERS
@pytest.mark.parametrize(("cost", "price"), [(4.0, 10.0), (1.0, 10.0), (7.7, 10.0)])
def test_the_news_vendor_stocks_the_critical_quantile(solver: Solver, cost: float, price: float) -> None:
    demands = np.random.default_rng(11).integers(0, 200, 37) + np.arange(37) / 100
    solution = solver(news_vendor(demands, cost=cost, price=price), EXACT)
    best = quantile(demands, (price - cost) / price)
    assert solution.x == pytest.approx([best], abs=0.01)
    assert_optimum(solution, float(cost * best - price * np.minimum(best, demands).mean()), decimals=6)


@SOLVERS
@pytest.mark.parametrize("level", [0.5, 0.9])
def test_the_news_vendor_who_minds_the_tail_stocks_a_lower_quantile(solver: Solver, level: float) -> None:
    # Gotoh and Takano (2007), Chen, Xu and Zhang (2009): the quantile at (1 - level) (price - cost) / price
    cost, price = 4.0, 10.0
    demands = np.random.default_rng(12).integers(0, 200, 47) + np.arange(47) / 100
    solution = solver(news_vendor(demands, cost=cost, price=price, risk_weight=1.0, risk_level=level), EXACT)
    best = quantile(demands, (1 - level) * (price - cost) / price)
    assert solution.x == pytest.approx([best], abs=0.01)
    losses = np.sort(cost * best - price * np.minimum(best, demands))[::-1]
    beyond = (1 - level) * len(demands)  # so many of the worst futures, the last of them in part
    whole = int(beyond)
    tail = (losses[:whole].sum() + (beyond - whole) * losses[whole]) / beyond
    assert_optimum(solution, float(tail), decimals=6)


@SOLVERS
def test_the_inventory_that_is_short_or_over_orders_up_to_the_critical_ratio(solver: Solver) -> None:
    # Shapiro, Dentcheva and Ruszczynski (2009), Lectures on Stochastic Programming, section 1.2.1: (b - c) / (b + h)
    order, short, hold = 1.0, 1.5, 0.1
    demands = np.arange(0.5, 100.0)  # uniform on [0, 100], by the middle of each of a hundred parts
    recourse = stage([short, hold], [[1, -1]], 0, 0)
    futures = tuple(
        scenario(0.01, [[1]], replace(recourse, row_lower=np.array([d]), row_upper=np.array([d]))) for d in demands
    )
    solution = solver(TwoStageProblem(stage([order], no_rows(1), [], []), futures), EXACT)
    best = quantile(demands, (short - order) / (short + hold))
    cost = order * best + short * np.maximum(demands - best, 0).mean() + hold * np.maximum(best - demands, 0).mean()
    assert solution.x == pytest.approx([best], abs=0.01)
    assert_optimum(solution, float(cost), decimals=6)


# whole numbers in the recourse


def test_the_sizes_problem_is_refused_by_name_since_its_recourse_is_whole() -> None:
    # Jorjani, Scott and Woodruff (1999): a set-up is a yes-or-no decision in both stages
    sizes = 10
    size = stage(np.full(2 * sizes, 453.0), np.ones((1, 2 * sizes)), 1.0, INF, upper=1.0)
    whole = replace(size, integer=np.arange(2 * sizes) < sizes)
    with pytest.raises(ValueError, match="scenario 0: recourse columns must not be whole numbers"):
        TwoStageProblem(size, (Scenario(1.0, sparse.csr_matrix((1, 2 * sizes)), whole),))
