"""Capital as a revenue budget sees it: loans, interest, and the minimum revenue provision.

This is another view of the same capital, never a further cost: interest and provision up to the end of the horizon, with
the debt that is left then, are worth the capital spent when they are discounted at the rate of interest.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

#: How borrowing is repaid, and provision made for it: equal parts of the principal, or equal payments.
METHODS = ("equal-instalments", "annuity")


@dataclass(frozen=True)
class Instalment:
    """One year of a loan, £: what is owed at its start, and interest and principal paid at its end."""

    opening: float
    interest: float
    principal: float

    @property
    def payment(self) -> float:
        """Interest and principal together."""
        return self.interest + self.principal

    @property
    def closing(self) -> float:
        """What is owed after the payment."""
        return self.opening - self.principal


def equal_instalments(principal: float, rate: float, years: int) -> tuple[Instalment, ...]:
    """A loan repaid in equal instalments of principal at the end of each year, with interest on what is left."""
    part = principal / years
    return tuple(Instalment(principal - part * year, (principal - part * year) * rate, part) for year in range(years))


def annuity(principal: float, rate: float, years: int) -> tuple[Instalment, ...]:
    """A loan repaid in equal payments at the end of each year: at first mostly interest, at last mostly principal."""
    if rate == 0:
        return equal_instalments(principal, rate, years)
    # 1 - (1 + rate) ** -years, written so that the smallest of rates divides by no nought
    payment = principal * (rate / -math.expm1(-years * math.log1p(rate)))
    left, found = principal, []
    for _ in range(years):
        found.append(Instalment(left, left * rate, payment - left * rate))
        left = found[-1].closing
    return tuple(found)


def schedule(method: str, principal: float, rate: float, years: int) -> tuple[Instalment, ...]:
    """The loan by its method, one of ``METHODS``."""
    return {"equal-instalments": equal_instalments, "annuity": annuity}[method](principal, rate, years)


def minimum_revenue_provision(method: str, amount: float, rate: float, life: int) -> Floats:
    """What is put aside from revenue in each year of an asset's life, £, [year of provision]; adds up to the amount.

    The asset life method of the statutory guidance, in equal instalments or as the principal of an annuity. The first
    entry belongs to the financial year after the one in which the asset comes into use.
    """
    return np.array([instalment.principal for instalment in schedule(method, amount, rate, life)])


@dataclass(frozen=True, eq=False)
class Charges:
    """What capital financed by borrowing costs a revenue budget, £, each [year]; ``debt`` is as the year ends."""

    interest: Floats
    provision: Floats
    debt: Floats


def charges(
    amount: float,
    spent: int,
    in_use: int | None,
    years: int,
    *,
    method: str,
    rate: float,
    life: int,
    months_left: float = 12.0,
) -> Charges:
    """Revenue charges of capital spent in one financial year.

    Parameters
    ----------
    amount
        Capital spent net of grant, £.
    spent, in_use
        Positions of the financial years in which it is spent, and in which the asset comes into use; None where that is
        not within the horizon, so that no provision is due.
    years
        Financial years of the horizon.
    method, rate, life
        One of ``METHODS``, interest a year, and years over which provision is made.
    months_left
        Months of the year in which it is spent that interest is due for.
    """
    interest, provision, debt = np.zeros(years), np.zeros(years), np.zeros(years)
    due = np.zeros(years)
    if in_use is not None and in_use + 1 < years:
        parts = minimum_revenue_provision(method, amount, rate, life)[: years - in_use - 1]
        due[in_use + 1 : in_use + 1 + len(parts)] = parts
    owed = 0.0
    for year in range(spent, years):
        if year == spent:
            owed, interest[year] = amount, amount * rate * months_left / 12
        else:
            interest[year] = owed * rate
        provision[year] = due[year]
        owed -= due[year]
        debt[year] = owed
    return Charges(interest, provision, debt)
