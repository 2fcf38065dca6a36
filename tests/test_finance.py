"""Months, financial years, periods of several months, deflating and discounting."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as some

from optimiser.finance import Calendar, deflator, discount_factor, financial_year, month_name, month_number


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
