"""Amounts of money as every message and report writes them."""

from __future__ import annotations


def whole_pounds(amount: float, places: int = 0) -> str:
    """``£3,800,000``, ``−£120``: to the pound, or to the penny with two ``places``; no minus before a nought."""
    sign = "−" if round(amount, places) < 0 else ""
    return f"{sign}£{abs(amount):,.{places}f}"
