"""Months, financial years, deflating, discounting and indexation."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from optimiser.finance.rates import rates

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


def month_number(month: str) -> int:
    """Months since year 0 of ``2025-04``, so that months can be subtracted."""
    return int(month[:4]) * 12 + int(month[5:7]) - 1


def month_name(number: int) -> str:
    """``2025-04`` for a number of months since year 0."""
    return f"{number // 12}-{number % 12 + 1:02d}"


def financial_year(month: int) -> str:
    """Financial year, April to March, of a number of months since year 0: ``2025/26``."""
    start = (month - 3) // 12
    return f"{start}/{(start + 1) % 100:02d}"


@dataclass(frozen=True)
class Calendar:
    """The horizon: its first month, the months of each period, and the weeks of a year."""

    first_month: str
    months_by_period: tuple[int, ...]
    weeks_per_year: float

    @classmethod
    def read(cls, first_month: str, periods: str, weeks_per_year: float) -> Calendar:
        """From ``24x1 12x3``: 24 periods of one month, then 12 of three."""
        months: list[int] = []
        for part in periods.split():
            count, length = part.split("x")
            months += [int(length)] * int(count)
        return cls(first_month, tuple(months), weeks_per_year)

    @cached_property
    def months(self) -> int:
        """Months in the horizon."""
        return sum(self.months_by_period)

    @cached_property
    def length(self) -> Ints:
        """Months in each period, [period]."""
        return np.array(self.months_by_period, dtype=np.int64)

    @cached_property
    def start(self) -> Ints:
        """Months from the start of the horizon to each period, [period]."""
        return np.concatenate([[0], np.cumsum(self.length)[:-1]]).astype(np.int64)

    @cached_property
    def weeks(self) -> Floats:
        """Weeks in each period, [period]."""
        return np.asarray(self.length * self.weeks_per_year / 12, dtype=float)

    @cached_property
    def labels(self) -> tuple[str, ...]:
        """First month of each period."""
        first = month_number(self.first_month)
        return tuple(month_name(first + int(start)) for start in self.start)

    @cached_property
    def financial_years(self) -> tuple[str, ...]:
        """Financial years that the horizon touches, in order."""
        first = month_number(self.first_month)
        return tuple(dict.fromkeys(financial_year(first + month) for month in range(self.months)))

    @cached_property
    def year(self) -> Ints:
        """Position of the financial year in which each period begins, [period]."""
        first = month_number(self.first_month)
        return np.array(
            [self.financial_years.index(financial_year(first + int(start))) for start in self.start], dtype=np.int64
        )

    def month_of(self, month: str) -> int:
        """Months from the start of the horizon to a named month; negative before it."""
        return month_number(month) - month_number(self.first_month)

    def period_of(self, month: int) -> int:
        """Position of the period that holds a month of the horizon."""
        return int(np.searchsorted(self.start, month, side="right")) - 1

    def period_starting(self, month: int) -> int:
        """First period that starts in or after a month of the horizon; the number of periods where none does."""
        return int(np.searchsorted(self.start, month, side="left"))

    def mean_by_period(self, monthly: Floats) -> Floats:
        """Mean over the months of each period: [..., month] to [..., period]."""
        return self.sum_by_period(monthly) / self.length

    def sum_by_period(self, monthly: Floats) -> Floats:
        """Sum over the months of each period: [..., month] to [..., period]."""
        result: Floats = np.add.reduceat(monthly, self.start, axis=-1)
        return result


def deflator(calendar: Calendar, inflation_per_year: float) -> Floats:
    """Real pounds of the first financial year for one nominal pound, by the financial year of the period, [period]."""
    return np.asarray((1 + inflation_per_year) ** -calendar.year.astype(float), dtype=float)


def discount_factor(calendar: Calendar, rate: float) -> Floats:
    """Present pounds for one real pound: the first financial year is year 0, as in HM Treasury's Green Book, [period].

    The Green Book's own rate falls as it does: 3.5% to year 30, 3.0% to year 75, 2.5% after (``rates.csv``). Any other
    rate is kept throughout, since nobody has published how it would fall.
    """
    year = calendar.year.astype(float)
    steps = [row for row in rates() if (row.rate, row.about) == ("discount", "standard")]
    if rate != steps[0].value:
        return np.asarray((1 + rate) ** -year, dtype=float)
    factor = np.ones(len(year))
    for step, following in pairwise([*steps, None]):
        assert step is not None and step.from_year is not None
        before = max(step.from_year - 1, 0)  # years that the rates before this one have discounted already
        until = np.inf if following is None or step.to_year is None else step.to_year
        factor = factor * (1 + step.value) ** -np.clip(year - before, 0.0, until - before)
    return np.asarray(factor, dtype=float)


def anniversary_index(months: Ints, rate: float) -> Floats:
    """Price of a contract relative to its first, by months since first delivery: it rises on each anniversary, [month]."""
    return np.asarray((1 + rate) ** (np.maximum(months, 0) // 12), dtype=float)
