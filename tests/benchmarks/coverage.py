"""How often what is fitted to records holds the truth, over synthetic councils whose truth is known.

``python -m tests.benchmarks.coverage intervals [COUNCILS]`` writes the returns of so many councils (500 unless given), untidy as
real ones are, reads and fits each, and prints for each quantity in how many of a hundred councils its interval of nine in ten
holds the truth, with the standard error of that share. 500 take some ten processor minutes.

``… backtest [COUNCILS]`` (60 unless given) holds the last of five years back, forecasts it from those before it, and prints how
many of its months lie in the bands, and the pinball loss beside both naive forecasts; arrivals of each council grow or fall
at a rate of its own. Standard errors are between councils, whose months hang together.

``… few [RECORDS]`` (400 unless given) fits monthly counts of so few children that they say little about a trend: records without
any, and records that grow or fall as the prior has it.

Tables are printed as they stand after every twentieth or fiftieth council, so that a run that is stopped has shown what it
found by then.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Mapping, Sequence
from math import sqrt
from pathlib import Path

import numpy as np

from optimiser.demand.arrivals import RECORDED_TREND_PRIOR, Estimate, fit_arrivals
from tests.test_demand import back_tested, summed_up
from tests.test_demand_coverage import held

#: Councils between two tables.
INTERVALS_BLOCK, BACKTEST_BLOCK = 50, 20
#: Arrivals a month and months of records with few.
FEW = ((0.4, 36), (0.8, 36), (0.8, 60), (2.0, 48))
START = 2024 * 12
SCORES = {
    "covered_90": "months in the band of 90%",
    "covered_50": "months in the band of 50%",
    "loss": "pinball loss, children",
    "loss_last_value": "… of the last value",
    "loss_mean_rates": "… of mean daily rates",
    "lost_to_last_value": "less than the last value",
    "lost_to_mean_rates": "less than mean daily rates",
}


def intervals(councils: int) -> None:
    """Print the table of intervals, again after every block of councils."""
    found: dict[str, list[bool]] = {}
    for seed in range(councils):
        with tempfile.TemporaryDirectory() as folder:
            for name, hit in held(Path(folder), seed):
                found.setdefault(name, []).append(hit)
        if (seed + 1) % INTERVALS_BLOCK == 0 or seed + 1 == councils:
            print(intervals_told(found, seed + 1), flush=True)


def intervals_told(found: Mapping[str, Sequence[bool]], councils: int) -> str:
    """A quantity, the share of councils whose interval holds its truth, and its standard error."""
    lines = [f"{councils} councils: intervals of 90% that hold the truth", f"{'quantity':24} {'held':>6} {'s.e.':>6}"]
    for name, hits in sorted(found.items()):
        share = sum(hits) / len(hits)
        error = sqrt(share * (1 - share) / len(hits))
        lines.append(f"{name:24} {100 * share:>5.1f}% {100 * error:>5.1f}%")
    return "\n".join(lines) + "\n"


def backtest(councils: int) -> None:
    """Print the table of back-tests, again after every block of councils."""
    found: list[dict[str, float]] = []
    for seed in range(councils):
        with tempfile.TemporaryDirectory() as folder:
            found.append(back_tested(Path(folder) / "returns", seed))
        if (seed + 1) % BACKTEST_BLOCK == 0 or seed + 1 == councils:
            score = summed_up(found)
            print(f"{seed + 1} councils: the last year forecast by those before it")
            for name, words in SCORES.items():
                value, error = score[name]
                shown = (f"{100 * one:.1f}%" if name.startswith("covered") else f"{one:.2f}" for one in (value, error))
                print(f"{words:27} " + " ± ".join(f"{one:>6}" for one in shown))
            print(flush=True)


def few(records: int) -> None:
    """Print how often the interval of the level holds it, by how many children arrived in all."""
    print(f"{records} records: level held by its interval of 90%\n{'children':>8} {'no trend':>9} {'as the prior':>13}")
    for rate, months in FEW:
        held: list[float] = []
        for spread in (0.0, RECORDED_TREND_PRIOR):
            rng = np.random.default_rng([months, int(10 * rate), int(100 * spread)])
            hits = 0
            for _ in range(records):
                trend = spread * rng.standard_normal()
                counts = rng.poisson(rate * np.exp(trend * (np.arange(months) - months) / 12))
                found = Estimate.of(fit_arrivals(counts, START - months, START).level)
                hits += found.low <= rate <= found.high
            held.append(100 * hits / records)
        print(f"{rate * months:>8.0f} {held[0]:>8.1f}% {held[1]:>12.1f}%", flush=True)


if __name__ == "__main__":
    kind, *number = sys.argv[1:] or ["intervals"]
    usual = {"intervals": 500, "backtest": 60, "few": 400}[kind]
    {"intervals": intervals, "backtest": backtest, "few": few}[kind](int(number[0]) if number else usual)
