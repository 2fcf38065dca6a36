"""Money as finance knows it: financial years, discounting, indexation, borrowing, and the rates that others publish."""

from optimiser.finance.borrowing import (
    METHODS,
    Charges,
    Instalment,
    annuity,
    charges,
    equal_instalments,
    minimum_revenue_provision,
    schedule,
)
from optimiser.finance.calendar import (
    Calendar,
    anniversary_index,
    deflator,
    discount_factor,
    financial_year,
    month_name,
    month_number,
)
from optimiser.finance.rates import Rate, rate_of, rates
from optimiser.finance.words import whole_pounds

__all__ = [
    "METHODS",
    "Calendar",
    "Charges",
    "Instalment",
    "Rate",
    "anniversary_index",
    "annuity",
    "charges",
    "deflator",
    "discount_factor",
    "equal_instalments",
    "financial_year",
    "minimum_revenue_provision",
    "month_name",
    "month_number",
    "rate_of",
    "rates",
    "schedule",
    "whole_pounds",
]
