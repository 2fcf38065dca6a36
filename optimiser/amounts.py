"""Amounts of money as people write them."""

from __future__ import annotations

import re


def amount_of(words: str) -> float | None:
    """``3.8m``, ``£500k`` or ``1,900,000`` in pounds; None where it is no amount."""
    match = re.fullmatch(r"£?(\d[\d,]*(?:\.\d+)?)\s*([km]?)", words.strip().lower(), flags=re.ASCII)
    if match is None:
        return None
    return float(match[1].replace(",", "")) * {"": 1.0, "k": 1e3, "m": 1e6}[match[2]]
