"""Months, financial years, deflating, discounting and indexation; loans, provision and published rates, to the penny."""

from __future__ import annotations

import numpy as np
import numpy_financial as npf
import pytest
from hypothesis import given
from hypothesis import strategies as some

from optimiser.assemble import assemble
from optimiser.demand.scenarios import make_scenarios
from optimiser.finance import (
    METHODS,
    Calendar,
    anniversary_index,
    annuity,
    charges,
    deflator,
    discount_factor,
    equal_instalments,
    financial_year,
    minimum_revenue_provision,
    month_name,
    month_number,
    rate_of,
    rates,
    schedule,
)
from tests.test_assemble import HOME, LOT, TIER, tiny

PENNY = 0.005


@given(some.integers(1990 * 12, 2150 * 12))
def test_months_are_counted_and_named_alike(number: int) -> None:
    assert month_number(month_name(number)) == number
    assert month_number(month_name(number + 12)) - number == 12


@pytest.mark.parametrize(
    ("month", "year"),
    [
        ("2025-03", "2024/25"),
        ("2025-04", "2025/26"),
        ("2025-12", "2025/26"),
        ("2026-01", "2025/26"),
        ("1999-04", "1999/00"),
        ("2000-03", "1999/00"),
        ("2099-05", "2099/00"),
    ],
)
def test_a_financial_year_runs_from_april_to_march(month: str, year: str) -> None:
    assert financial_year(month_number(month)) == year


def test_periods_of_several_lengths_follow_each_other() -> None:
    calendar = Calendar.read("2025-01", "3x1 2x3 1x12", 52)
    assert calendar.months == 21
    assert calendar.length.tolist() == [1, 1, 1, 3, 3, 12]
    assert calendar.start.tolist() == [0, 1, 2, 3, 6, 9]
    assert calendar.labels == ("2025-01", "2025-02", "2025-03", "2025-04", "2025-07", "2025-10")
    assert calendar.financial_years == ("2024/25", "2025/26", "2026/27")
    assert calendar.year.tolist() == [0, 0, 0, 1, 1, 1]


@pytest.mark.parametrize("weeks", [52, 365 / 7])
def test_twelve_months_have_the_weeks_of_a_year(weeks: float) -> None:
    calendar = Calendar.read("2025-04", "12x1 4x3", weeks)
    assert calendar.weeks[:12].sum() == pytest.approx(weeks)
    assert calendar.weeks[12:].sum() == pytest.approx(weeks)


def test_a_month_belongs_to_the_period_that_holds_it() -> None:
    calendar = Calendar.read("2025-01", "3x1 2x3", 52)
    assert [calendar.period_of(month) for month in range(9)] == [0, 1, 2, 3, 3, 3, 4, 4, 4]
    assert calendar.period_of(-1) == -1
    assert [calendar.period_starting(month) for month in range(8)] == [0, 1, 2, 3, 4, 4, 4, 5]
    assert calendar.month_of("2024-12") == -1
    assert calendar.month_of("2026-01") == 12


def test_sums_and_means_by_period_keep_the_whole() -> None:
    calendar = Calendar.read("2025-01", "2x1 2x3", 52)
    monthly = np.arange(16.0).reshape(2, 8)
    assert calendar.sum_by_period(monthly).tolist() == [[0, 1, 9, 18], [8, 9, 33, 42]]
    assert (calendar.mean_by_period(monthly) * calendar.length).sum(axis=1) == pytest.approx(monthly.sum(axis=1))


def test_a_pound_of_the_first_financial_year_is_a_real_and_present_pound() -> None:
    calendar = Calendar.read("2025-01", "27x1", 52)
    assert deflator(calendar, 0.02)[[0, 2, 3, 14, 15]] == pytest.approx([1, 1, 1 / 1.02, 1 / 1.02, 1 / 1.02**2])
    assert discount_factor(calendar, 0.035)[[0, 3, 26]] == pytest.approx([1, 1 / 1.035, 1 / 1.035**2])


def test_falling_prices_make_a_later_pound_worth_more() -> None:
    assert deflator(Calendar.read("2025-04", "24x1", 52), -0.05)[-1] == pytest.approx(1 / 0.95)


# discounting


def test_the_green_books_rate_steps_down_after_30_and_75_years() -> None:
    factor = discount_factor(Calendar.read("2025-04", "100x12", 52), 0.035)
    by_hand = [1.035**-year for year in range(31)]
    by_hand += [by_hand[30] * 1.03**-year for year in range(1, 46)]
    by_hand += [by_hand[75] * 1.025**-year for year in range(1, 25)]
    assert factor.tolist() == pytest.approx(by_hand, rel=1e-12)
    # as printed in the Green Book's table of discount factors, to four places
    assert [round(float(factor[year]), 4) for year in (1, 10, 30, 31, 50, 75, 76)] == [
        0.9662,
        0.7089,
        0.3563,
        0.3459,
        0.1973,
        0.0942,
        0.0919,
    ]


def test_a_rate_of_ones_own_is_kept_throughout() -> None:
    factor = discount_factor(Calendar.read("2025-04", "60x12", 52), 0.03)
    assert factor == pytest.approx(1.03 ** -np.arange(60.0), rel=1e-12)


@given(some.lists(some.floats(-1e6, 1e6), min_size=1, max_size=30))
def test_present_values_agree_with_numpy_financial(flows: list[float]) -> None:
    calendar = Calendar.read("2025-04", f"{len(flows)}x12", 52)
    ours = float(np.array(flows) @ discount_factor(calendar, 0.035))
    assert ours == pytest.approx(float(npf.npv(0.035, flows)), abs=PENNY)


# loans


LOANS = [(3_800_000.0, 0.05, 40), (950_000.0, 0.0475, 25), (1_000.0, 0.12, 1), (250_000.0, 0.0, 10)]


@pytest.mark.parametrize(("principal", "rate", "years"), LOANS)
def test_an_annuity_agrees_with_numpy_financial_to_the_penny_in_every_year(
    principal: float, rate: float, years: int
) -> None:
    ours = annuity(principal, rate, years)
    number = np.arange(1, years + 1)
    assert [part.payment for part in ours] == pytest.approx([-npf.pmt(rate, years, principal)] * years, abs=PENNY)
    if rate:
        assert [part.interest for part in ours] == pytest.approx(-npf.ipmt(rate, number, years, principal), abs=PENNY)
        assert [part.principal for part in ours] == pytest.approx(-npf.ppmt(rate, number, years, principal), abs=PENNY)
    assert ours[-1].closing == pytest.approx(0, abs=PENNY)


def test_equal_instalments_of_principal_by_hand() -> None:
    ours = equal_instalments(1_200_000, 0.05, 4)
    assert [(part.opening, part.interest, part.principal, part.payment, part.closing) for part in ours] == [
        (1_200_000, 60_000, 300_000, 360_000, 900_000),
        (900_000, 45_000, 300_000, 345_000, 600_000),
        (600_000, 30_000, 300_000, 330_000, 300_000),
        (300_000, 15_000, 300_000, 315_000, 0),
    ]


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(("principal", "rate", "years"), LOANS)
def test_the_payments_of_a_loan_are_worth_its_principal(method: str, principal: float, rate: float, years: int) -> None:
    payments = [part.payment for part in schedule(method, principal, rate, years)]
    assert npf.npv(rate, [0.0, *payments]) == pytest.approx(principal, abs=PENNY)


# minimum revenue provision


@pytest.mark.parametrize("method", METHODS)
def test_provision_adds_up_to_what_was_borrowed(method: str) -> None:
    provision = minimum_revenue_provision(method, 3_800_000, 0.05, 40)
    assert provision.sum() == pytest.approx(3_800_000, abs=PENNY)
    if method == "annuity":
        assert provision == pytest.approx(-npf.ppmt(0.05, np.arange(1, 41), 40, 3_800_000), abs=PENNY)
    else:
        assert provision == pytest.approx([95_000.0] * 40)


def test_charges_begin_with_interest_and_provision_waits_for_the_year_after_use() -> None:
    # £1m spent in October of the first year, in use in the third, 4% over 5 years in equal instalments
    ours = charges(1_000_000, 0, 2, 8, method="equal-instalments", rate=0.04, life=5, months_left=6)
    assert ours.interest.tolist() == pytest.approx([20_000, 40_000, 40_000, 40_000, 32_000, 24_000, 16_000, 8_000])
    assert ours.provision.tolist() == pytest.approx([0, 0, 0, 200_000, 200_000, 200_000, 200_000, 200_000])
    assert ours.debt.tolist() == pytest.approx([1_000_000] * 3 + [800_000, 600_000, 400_000, 200_000, 0], abs=PENNY)


@given(
    method=some.sampled_from(METHODS),
    rate=some.floats(0.0, 0.15),
    life=some.integers(1, 50),
    spent=some.integers(0, 4),
    waits=some.integers(0, 6) | some.none(),
    months=some.floats(1, 12),
)
def test_charges_and_the_debt_left_are_worth_what_was_spent(
    method: str, rate: float, life: int, spent: int, waits: int | None, months: float
) -> None:
    in_use = None if waits is None else spent + waits
    ours = charges(950_000, spent, in_use, 10, method=method, rate=rate, life=life, months_left=months)
    worth, factor = 0.0, 1.0
    for year in range(spent, 10):
        factor *= 1 + rate * (months / 12 if year == spent else 1)
        worth += (ours.interest[year] + ours.provision[year]) / factor
    assert worth + ours.debt[-1] / factor == pytest.approx(950_000, abs=PENNY)
    assert ours.provision.sum() + ours.debt[-1] == pytest.approx(950_000, abs=PENNY)


# contracts, homes and what is left of them, by hand


def test_a_contract_is_indexed_on_its_anniversaries_and_not_in_april() -> None:
    assert anniversary_index(np.array([-3, 0, 11, 12, 23, 24]), 0.05) == pytest.approx(
        [1, 1, 1, 1.05, 1.05, 1.1025], rel=1e-12
    )
    lot = LOT | {"lead_months": 2, "term_months": 30, "indexation_per_year": 0.05}
    instance = tiny({"periods": "36x1"}, lots=[lot], tiers=[TIER | {"gbp_per_week": 1000}])
    problem = assemble(instance, make_scenarios(instance, 2))
    (scenario, _) = problem.scenarios
    award = problem.awards[0]
    first = award.period + 2
    price = scenario.lot_price[0, 0, award.period]
    months = [first, first + 11, first + 12, first + 24]
    assert price[months].tolist() == pytest.approx([1000.0, 1000.0, 1050.0, 1102.5], abs=PENNY)


def test_capital_bias_lifecycle_and_residual_value_by_hand() -> None:
    home = HOME | {
        "capital_gbp": 800_000,
        "building_works": "standard-building",
        "grant_gbp": 200_000,
        "residual_share": 0.5,
        "lifecycle_gbp_per_year": 12_000,
        "lead_months": 6,
        "registration_delay_months": 3,
        "cost_growth_per_year": 0.02,
    }
    instance = tiny({"periods": "24x1"}, homes=[home])
    problem = assemble(instance, make_scenarios(instance, 2))
    scenario = problem.scenarios[0]
    # 24% of 800,000 on top, less the grant
    assert problem.planning_capital[0, 0] == pytest.approx(792_000, abs=PENNY)
    assert scenario.capital_outlay[0, 0] == pytest.approx(792_000, abs=PENNY)
    # half of the price without the bias, less the grant's part of 992,000
    assert scenario.residual_value[0, 0] == pytest.approx(0.5 * 800_000 * (1 - 200_000 / 992_000), abs=PENNY)
    # six months of leading, 4% longer and in whole months, are seven; from then £1,000 a month, 2% more from April
    begin = int(np.flatnonzero(scenario.home_lifecycle[0, 0] > 0)[0])
    assert begin == 7
    assert scenario.home_lifecycle[0, 0, [7, 11, 12]].tolist() == pytest.approx([1000, 1000, 1020], abs=PENNY)


# rates as data


def test_every_rate_has_its_source_or_is_an_assumption_with_a_range() -> None:
    for row in rates():
        if row.evidence == "published":
            assert row.document
            assert row.place
        else:
            assert row.evidence == "assumption"
            assert row.low is not None
            assert row.high is not None
            assert row.low <= row.value <= row.high
        assert 1990 < int(row.published) < 2100


def test_the_green_books_upper_bounds_are_as_published() -> None:
    table = {
        (row.rate, row.about): (row.value, row.low) for row in rates() if row.rate in ("capital-bias", "duration-bias")
    }
    assert table == {
        ("capital-bias", "standard-building"): (0.24, 0.02),
        ("capital-bias", "non-standard-building"): (0.51, 0.04),
        ("duration-bias", "standard-building"): (0.04, 0.01),
        ("duration-bias", "non-standard-building"): (0.39, 0.02),
    }


def test_a_rate_that_is_not_in_the_file_is_an_error() -> None:
    with pytest.raises(KeyError, match="borrowing my-bank"):
        rate_of("borrowing", "my-bank")
