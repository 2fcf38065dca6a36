"""What each partner pays for a year that has happened: an agreed rule, the child-weeks there were, and the pounds spent."""

from __future__ import annotations

import csv
import math
from decimal import ROUND_HALF_UP, Decimal
from pathlib import Path
from typing import Any

from optimiser.errors import Fault, InstanceError

Row = dict[str, Any]

#: Rules whose parts do not follow the child-weeks of a year.
WHATEVER_HAPPENS = ("equal",)


def read_child_weeks(path: Path, partners: list[str]) -> dict[str, float]:
    """Child-weeks by authority from a CSV file with the columns ``authority`` and ``child_weeks``.

    Raises
    ------
    InstanceError
        With every fault at once.
    """
    name, faults, found = path.name, [], {}

    def fault(row: int | None, field: str, value: str, rule: str, fix: str) -> None:
        faults.append(Fault(name, row, field, value, rule, fix))

    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InstanceError(
            [Fault(name, None, "", "", f"cannot be read: {error}", "Give a CSV file in UTF-8")], name
        ) from None
    rows = [(place, line) for place, line in enumerate(lines, 1) if line.strip() and not line.lstrip().startswith("#")]
    header = [cell.strip() for cell in next(csv.reader([rows[0][1]]))] if rows else []
    if sorted(header) != ["authority", "child_weeks"]:
        fault(1, "", "", "has other columns", "The first line is: authority,child_weeks")
        raise InstanceError(faults, name)
    for place, line in rows[1:]:
        cells = [cell.strip() for cell in next(csv.reader([line]))]
        row = dict(zip(header, [*cells, "", ""], strict=False))
        council, cell = row["authority"], row["child_weeks"]
        if council not in partners:
            fault(place, "authority", council, "is no partner", f"Partners are {', '.join(partners)}")
        if council in found:
            fault(place, "authority", council, "stands twice", "Keep one of the rows")
        try:
            weeks = float(cell)
        except ValueError:
            weeks = math.nan
        if not math.isfinite(weeks) or weeks < 0:
            fault(place, "child_weeks", cell, "is not a number of at least 0", "Write child-weeks as 312.5")
        found[council] = weeks
    missing = [council for council in partners if council not in found]
    if missing:
        fault(None, "authority", "", f"has no row for {', '.join(missing)}", "Give every partner a row; 0 for none")
    if faults:
        raise InstanceError(faults, name)
    return {council: found[council] for council in partners}


def invoices(
    document: Row, rule: str, child_weeks: dict[str, float], amount: Decimal, demand: dict[str, float] | None
) -> Row:
    """Invoices of one year, adding up to the penny.

    A rule says in advance what each expected child-week of a partner is charged beside everybody else's; the pounds
    really spent are shared by those charges and the child-weeks there were. Equal shares stay equal. Where no expected
    child-weeks are known, the agreed parts stand whatever happened.

    Parameters
    ----------
    document : a split document
    amount : £ spent, to the penny
    demand : child-weeks expected by partner; None where they are not known

    Raises
    ------
    InstanceError
        Where the split has no such rule, or there is nothing to share by.
    """
    if rule not in document["rules"]:
        fix = f"Choose one of {', '.join(document['rules'])}"
        raise InstanceError(
            [Fault("the command", None, "--rule", rule, "is no rule of this split", fix)], "the command"
        )
    agreed = document["rules"][rule]
    follows = rule not in WHATEVER_HAPPENS and (rule == "by_demand" or demand is not None)
    if rule == "by_demand":
        weight = dict(child_weeks)
    elif follows and demand is not None:
        weight = {
            name: agreed[name] * (child_weeks[name] / demand[name] if demand[name] > 0 else 1.0) for name in agreed
        }
    else:
        weight = dict(agreed)
    if sum(weight.values()) <= 0 or min(weight.values()) < 0:
        fix = "Choose another rule, or give the child-weeks that there were"
        fault = Fault("the command", None, "--settle", "", "leaves nothing to share the pounds by", fix)
        raise InstanceError([fault], "the command")
    shares = to_the_penny(weight, amount)
    return {
        "document": "invoices/1",
        "rule": rule,
        "titles": document.get("titles", {}),
        "amount_gbp": float(amount),
        "basis": (
            "The agreed charge of an expected child-week times the child-weeks that there were, brought to what was spent."
            if follows
            else "The agreed parts of what was spent, whatever the child-weeks."
        ),
        "invoices": [
            {"partner": name, "child_weeks": child_weeks[name], "invoice_gbp": float(shares[name])} for name in agreed
        ],
    }


def to_the_penny(weight: dict[str, float], amount: Decimal) -> dict[str, Decimal]:
    """Parts of an amount by weights, in whole pennies that add up: the largest remainders are rounded up first."""
    pennies = int((amount * 100).to_integral_value(ROUND_HALF_UP))
    exact = {name: Decimal(value) for name, value in weight.items()}
    total = sum(exact.values())
    parts = {name: pennies * value / total for name, value in exact.items()}
    whole = {name: math.floor(part) for name, part in parts.items()}
    by_remainder = sorted(parts, key=lambda name: (-(parts[name] - whole[name]), name))
    for name in by_remainder[: pennies - sum(whole.values())]:
        whole[name] += 1
    return {name: Decimal(value) / 100 for name, value in whole.items()}
