"""Fits of arrivals and stays: closed forms, other libraries, and what an instance does with what they find."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from scipy import optimize, stats

from optimiser.analysis.planning import Asked, prepare
from optimiser.demand import arrivals
from optimiser.demand.arrivals import Estimate, fit_arrivals
from optimiser.demand.scenarios import calendar_of, leaving_factors, make_scenarios
from optimiser.demand.stays import (
    LEFT,
    NIGHTS_PER_MONTH,
    OPEN,
    Duration,
    Rate,
    Spells,
    leaving_by_duration,
    leaving_by_month,
    observed_survival,
    spread_between_years,
)
from optimiser.instance.distributions import Distribution
from tests.instance_folders import Folder

START = 24_300


# figures without an end


@pytest.mark.parametrize("kind", ["gamma", "lognormal"])
def test_a_skewed_figure_has_the_mean_and_deviation_that_are_written(kind: str) -> None:
    figure = Distribution.parse(f"{kind}(4, 1.5)")
    draws = figure.quantile((np.arange(200_000) + 0.5) / 200_000)
    assert draws.min() > 0
    assert draws.mean() == pytest.approx(4, rel=1e-3) and draws.std() == pytest.approx(1.5, rel=5e-3)
    frozen = stats.gamma(64 / 9, scale=4 * 9 / 64) if kind == "gamma" else None
    if frozen is not None:
        assert figure.quantile(np.array([0.05, 0.95])) == pytest.approx(frozen.ppf([0.05, 0.95]))
    assert Distribution.parse(str(figure)) == figure
    moved = figure.moved_to(8.0)
    assert moved.quantile(np.array([0.3])) == pytest.approx(2 * figure.quantile(np.array([0.3])))


@pytest.mark.parametrize(
    ("written", "message"), [("gamma(0, 1)", "mean that is not above 0"), ("lognormal(2, -1)", "deviation below 0")]
)
def test_a_skewed_figure_without_sense_is_refused(written: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Distribution.parse(written)


# arrivals


def test_without_trend_the_level_is_jeffreys_posterior(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(arrivals, "RECORDED_TREND_PRIOR", 1e-6)
    counts = np.array([2, 0, 3, 1, 2, 1, 0, 4, 2, 1, 1, 3, 2, 2, 0])
    fit = fit_arrivals(counts, START - 15, START)
    exact = stats.gamma(counts.sum() + 0.5, scale=1 / 15)
    found = Estimate.of(fit.level)
    assert (found.mean, found.low, found.high) == pytest.approx((exact.mean(), exact.ppf(0.05), exact.ppf(0.95)))
    assert fit.size is None and fit.season == ()


@pytest.mark.parametrize(
    ("level", "months", "growth", "size"),
    [(4, 48, 0.0, None), (4, 48, 0.1, None), (5, 48, 0.0, 4.0), (2, 60, -0.1, None)],
    ids=["level", "growing by a tenth", "level, of varying months", "small and falling by a tenth"],
)
@pytest.mark.long
def test_the_level_lies_within_its_interval_in_nine_of_ten_of_five_hundred_records(
    level: float, months: int, growth: float, size: float | None
) -> None:
    """Whatever the trend was: 90 in 100, give or take four and a standard error of one and a third."""
    held = 0
    for seed in range(500):
        rng = np.random.default_rng([seed, months, int(10 * level)])
        mean = level * (1 + growth) ** (np.arange(months) / 12)
        counts = rng.poisson(mean if size is None else rng.gamma(size, mean / size))
        found = Estimate.of(fit_arrivals(counts, START - months, START).level)
        held += found.low <= level * (1 + growth) ** (months / 12) <= found.high
    assert abs(held / 500 - 0.9) <= 0.04, held


@pytest.mark.long
def test_few_arrivals_lie_in_their_interval_in_nine_of_ten_of_records_that_grow_or_fall_as_the_prior_has_it() -> None:
    """Some 29 arrivals say little of a trend: the interval is right over trends, and wide for a record that has none."""
    held = {"trends as the prior has them": 0, "none": 0}
    for seed in range(400):
        rng = np.random.default_rng([seed, 36])
        trends = {"trends as the prior has them": rng.normal(0, arrivals.RECORDED_TREND_PRIOR), "none": 0.0}
        for name, trend in trends.items():
            counts = rng.poisson(0.8 * np.exp(trend * (np.arange(36) - 36) / 12))
            found = Estimate.of(fit_arrivals(counts, START - 36, START).level)
            held[name] += found.low <= 0.8 <= found.high
    assert abs(held["trends as the prior has them"] / 400 - 0.9) <= 0.04, held
    assert held["none"] / 400 > 0.93, held


def test_months_without_any_arrival_have_a_small_level_and_a_wide_interval() -> None:
    fit = fit_arrivals([0] * 24, START - 24, START)
    found = Estimate.of(fit.level)
    assert 0 < found.mean < 0.05 and found.high / max(found.low, 1e-9) > 100


def test_a_short_record_gives_a_wider_level_than_a_long_one() -> None:
    counts = stats.poisson(6).rvs(120, random_state=3)
    widths = []
    for months in (12, 36, 120):
        found = Estimate.of(fit_arrivals(counts[-months:], START - months, START).level)
        widths.append((found.high - found.low) / found.mean)
    assert widths[0] > widths[1] > widths[2]


def test_a_negative_binomial_agrees_with_scipys_likelihood(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(arrivals, "TREND_PRIOR", 100.0)
    monkeypatch.setattr(arrivals, "RECORDED_TREND_PRIOR", 100.0)
    rng = np.random.default_rng(5)
    months = np.arange(START - 120, START)
    mean = 12 * np.exp(0.1 * (months - START) / 12)
    counts = rng.poisson(rng.gamma(3.0, mean / 3.0))
    fit = fit_arrivals(counts, START - 120, START)

    def worse(parameters: np.ndarray) -> float:
        level, trend, log_size = parameters
        size, own = np.exp(log_size), np.exp(level + trend * (months - START) / 12)
        # half a child for the level, as Jeffreys' prior has it
        return -float(stats.nbinom.logpmf(counts, size, size / (size + own)).sum() + 0.5 * level)

    found = optimize.minimize(worse, [2.0, 0.0, 1.0], method="Nelder-Mead", options={"xatol": 1e-6, "fatol": 1e-8})
    level, trend, log_size = found.x
    assert fit.size == pytest.approx(np.exp(log_size), rel=0.02)
    assert np.log(fit.level.mean) == pytest.approx(level, abs=0.01)
    assert np.log1p(fit.growth.mean) == pytest.approx(trend, abs=0.005)


def test_a_season_is_found_where_there_is_one_and_has_the_mean_one() -> None:
    rng = np.random.default_rng(2)
    months = np.arange(START - 72, START)
    true = 1 + 0.5 * np.cos(2 * np.pi * (months % 12 - 7) / 12)
    fit = fit_arrivals(rng.poisson(10 * true), START - 72, START)
    assert len(fit.season) == 12 and np.mean(fit.season) == pytest.approx(1, abs=1e-3)
    assert int(np.argmax(fit.season)) in (6, 7, 8) and max(fit.season) > 1.3
    assert fit_arrivals(rng.poisson(10, 72), START - 72, START).season == ()


def test_an_abrupt_change_of_level_is_found_and_what_was_before_left_out() -> None:
    rng = np.random.default_rng(4)
    counts = np.concatenate([rng.poisson(30, 24), rng.poisson(8, 36)])
    fit = fit_arrivals(counts, START - 60, START)
    assert fit.changed and abs(fit.first - (START - 36)) <= 1
    assert fit.level.mean == pytest.approx(8, rel=0.2)
    assert not fit_arrivals(rng.poisson(8, 60), START - 60, START).changed


def test_a_level_of_other_months_holds_whatever_came_after() -> None:
    counts = np.concatenate([np.full(12, 40), np.full(36, 5)])
    fit = fit_arrivals(counts, START - 48, START, level_of=(START - 48, START - 36))
    assert fit.level.mean == pytest.approx(40, rel=0.02) and fit.growth.mean == 0
    with pytest.raises(ValueError, match="too few months"):
        fit_arrivals(counts, START - 48, START, level_of=(START, START + 12))


# stays


def spells(seed: int, hazard: float | None = None) -> Spells:
    """Spells cut on both sides, in a window of three years, of one rate or of one that falls with time."""
    rng = np.random.default_rng(seed)
    began = rng.integers(17_000, 19_200, 900)
    stay = rng.exponential(300, 900) if hazard is None else 200 * rng.weibull(hazard, 900)
    end = began + np.maximum(np.ceil(stay), 1).astype(np.int64)
    first, last = 18_100, 19_200
    inside = end > first
    began, end = began[inside], end[inside]
    exits = np.where(end > last, OPEN, LEFT)
    return Spells(began, np.maximum(began, first), np.minimum(end, last), exits, np.ones(len(began), dtype=bool))


def test_the_survival_curve_of_spells_seen_from_their_beginning_agrees_with_scipy() -> None:
    some = spells(1)
    whole = some.began >= 18_100
    seen = Spells(*(getattr(some, name)[whole] for name in ("began", "seen", "end", "exit", "began_known")))
    time, gone = seen.end - seen.began, seen.exit != OPEN
    theirs = stats.ecdf(stats.CensoredData(uncensored=time[gone], right=time[~gone])).sf
    ours = observed_survival(seen)
    assert ours.share == pytest.approx(theirs.evaluate(ours.months * NIGHTS_PER_MONTH + 1e-6), abs=1e-9)


def test_the_survival_curve_is_that_of_a_slow_product() -> None:
    some = spells(2)
    ours = observed_survival(some)
    share = 1.0
    days = sorted({int(e - b) for e, b, x in zip(some.end, some.began, some.exit, strict=True) if x != OPEN})
    for place, day in enumerate(days):
        risk = sum(1 for b, s, e in zip(some.began, some.seen, some.end, strict=True) if s - b < day <= e - b)
        gone = sum(1 for b, e, x in zip(some.began, some.end, some.exit, strict=True) if e - b == day and x != OPEN)
        share *= 1 - gone / risk
        assert ours.share[place] == pytest.approx(share)


def test_a_rate_has_its_exact_posterior_and_a_stay_the_same_turned_round() -> None:
    rate = Rate(12, 150.0)
    exact = stats.gamma(12.5, scale=1 / 150)
    assert (rate.estimate.low, rate.estimate.high) == pytest.approx((exact.ppf(0.05), exact.ppf(0.95)))
    stay = rate.stay_estimate
    assert (stay.low, stay.high) == pytest.approx((1 / exact.ppf(0.95), 1 / exact.ppf(0.05)))
    drawn = rate.stay.quantile(np.array([0.05, 0.95]))
    assert drawn == pytest.approx((stay.low, stay.high), rel=0.03)


def test_years_that_differ_widen_the_interval_and_years_that_do_not_leave_it() -> None:
    begun, ended = np.full(400, 18_718), np.full(400, 18_718 + 3 * 365)  # from 1 April 2021
    even = np.repeat(18_718 + np.array([100, 465, 830]), 40)
    uneven = np.repeat(18_718 + np.array([100, 465, 830]), [90, 20, 10])
    assert spread_between_years(begun, ended, even, 18_718, 3) == 1
    spread = spread_between_years(begun, ended, uneven, 18_718, 3)
    assert spread > 10
    one, other = Rate(120, 1000.0).estimate, Rate(120, 1000.0, spread).estimate
    assert other.high - other.low > 3 * (one.high - one.low)


def test_leaving_that_falls_with_time_is_found_and_leaving_alike_is_not() -> None:
    assert not leaving_by_duration(spells(3)).differs
    falling = leaving_by_duration(spells(3, hazard=0.5))
    assert falling.differs and falling.share[0] > 2 * falling.share[-1]


def test_leaving_by_month_is_that_of_a_cohort_followed_child_by_child() -> None:
    duration = Duration(np.array([0.3, 0.1, 0.05, 0.02]), True)
    shares = leaving_by_month(duration, 0.01, [0.0] * 100, [0.0] * 30)
    there, expected = 100.0, []
    for month in range(30):
        hazard = 0.3 if month < 3 else 0.1 if month < 12 else 0.05 if month < 24 else 0.02
        expected.append(hazard)
        there *= 1 - hazard - 0.01
    assert shares == pytest.approx(expected)
    steady = leaving_by_month(Duration(np.full(4, 0.1), False), 0.0, [3.0], [2.0] * 12)
    assert steady == pytest.approx(np.full(12, 0.1))


# what an instance does with them


def seasonal(tmp_path: Path) -> Folder:
    folder = Folder(tmp_path / "plan")
    folder.cell("cohorts", 2, "season", "0.5 0.5 0.5 0.5 0.5 0.5 1.5 1.5 1.5 1.5 1.5 1.5")
    for month in range(36):
        name = f"{2026 + (3 + month) // 12}-{(3 + month) % 12 + 1:02d}"
        folder.add("leaving", cohort="lower-needs", month=name, factor="2" if month < 12 else "1")
    folder.add("evidence", figures="leaving.*", evidence="assumption", low="-50%", high="+50%")
    return folder


def test_a_season_and_leaving_by_month_are_drawn(tmp_path: Path) -> None:
    from optimiser.instance.reading import read_instance

    folder = seasonal(tmp_path)
    assert folder.faults() == ()
    instance = read_instance(folder.path)
    futures = make_scenarios(instance, 4_000, 1)
    mean = futures.arrivals[:, 1].mean(axis=0)
    assert mean[3:9] == pytest.approx(np.full(6, 0.6), rel=0.12)  # July to December
    assert mean[9:15] == pytest.approx(np.full(6, 0.2), rel=0.2)
    factors = leaving_factors(instance, calendar_of(instance))
    assert factors[0].tolist() == [1.0] * 36 and factors[1].tolist() == [2.0] * 12 + [1.0] * 24
    stay = futures.stay[:, 1, -2].mean(axis=0)  # lower needs, in the spot market
    assert 1 - stay[:6].mean() == pytest.approx(2 / 18, rel=0.1)
    assert 1 - stay[14:20].mean() == pytest.approx(1 / 18, rel=0.1)


def test_the_simulation_lets_as_many_leave_as_the_futures_of_the_plan(tmp_path: Path) -> None:
    from optimiser.analysis.simulation.draws import block_of, ground_of, unseen
    from optimiser.instance.reading import read_instance

    instance, engine = prepare(read_instance(seasonal(tmp_path).path), Asked(scenarios=2))
    ground = ground_of(instance, engine.problem)
    block = block_of(ground, unseen(instance, engine.problem, 4), 1)
    own = block.leave[:, 1, 0]
    assert own[:, 0] == pytest.approx(np.full(4, 2 / 18)) and own[:, 20] == pytest.approx(np.full(4, 1 / 18))


@pytest.mark.parametrize(
    ("season", "message"),
    [("1 1 1", "has 3 factors, not 12"), ("2 2 2 2 2 2 2 2 2 2 2 2", "has the mean 2, not 1")],
)
def test_a_season_that_is_none_is_a_fault(season: str, message: str, tmp_path: Path) -> None:
    folder = Folder(tmp_path / "plan")
    folder.cell("cohorts", 2, "season", season)
    assert any(message in str(fault) for fault in folder.faults())


def test_leaving_more_than_all_or_for_some_months_is_a_fault(tmp_path: Path) -> None:
    folder = Folder(tmp_path / "plan")
    folder.add("leaving", cohort="lower-needs", month="2026-04", factor="30")
    folder.add("leaving", cohort="nobody", month="2040-04", factor="1")
    folder.add("evidence", figures="leaving.*", evidence="assumption", low="-50%", high="+50%")
    words = " ".join(str(fault) for fault in folder.faults())
    assert "makes 1.7 of the children leave in a period" in words and "2026-05 is missing" in words
    assert "nobody is not in cohorts.csv" in words and "2040-04 is not a month of the horizon" in words
