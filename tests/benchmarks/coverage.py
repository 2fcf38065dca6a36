"""How often intervals fitted to records hold the truth, over synthetic councils whose truth is known.

``python -m tests.benchmarks.coverage [COUNCILS]`` writes the returns of so many councils (500 unless given), untidy as real
ones are, reads and fits each, and prints for each quantity in how many of a hundred councils its interval of nine in ten
holds the truth, with the standard error of that share. The table is printed as it stands after every fiftieth council, so
that a run that is stopped has shown what it found by then. 500 take some ten processor minutes.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Mapping, Sequence
from math import sqrt
from pathlib import Path

from tests.test_demand_coverage import held

#: Councils between two tables.
BLOCK = 50


def main(councils: str = "500") -> None:
    """Print the table, again after every block of councils."""
    found: dict[str, list[bool]] = {}
    for seed in range(int(councils)):
        with tempfile.TemporaryDirectory() as folder:
            for name, hit in held(Path(folder), seed):
                found.setdefault(name, []).append(hit)
        if (seed + 1) % BLOCK == 0 or seed + 1 == int(councils):
            print(told(found, seed + 1), flush=True)


def told(found: Mapping[str, Sequence[bool]], councils: int) -> str:
    """The table: a quantity, the share of councils whose interval holds its truth, and its standard error."""
    lines = [f"{councils} councils: intervals of 90% that hold the truth", f"{'quantity':24} {'held':>6} {'s.e.':>6}"]
    for name, hits in sorted(found.items()):
        share = sum(hits) / len(hits)
        error = sqrt(share * (1 - share) / len(hits))
        lines.append(f"{name:24} {100 * share:>5.1f}% {100 * error:>5.1f}%")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main(*sys.argv[1:])
