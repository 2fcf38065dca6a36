"""How long a plan takes to find, and how long the same number of unseen futures takes to simulate under it, in one run.

    python -m tests.benchmarks.simulation kent-in-house-2025 1000

Processor seconds, of this process and of those that it starts: the machine may be doing other things. The simulation is run
at one, two and four workers, and every figure of every future is compared byte by byte.
"""

from __future__ import annotations

import argparse
import hashlib
import resource
import time
from dataclasses import fields

import optimiser
from optimiser.analysis.planning import Asked, prepare
from optimiser.analysis.simulation import simulate
from optimiser.analysis.simulation.results import Outcome
from optimiser.solve.engine import Found
from optimiser.solve.twostage import Settings

WORKERS = (1, 2, 4)


def processor_seconds() -> float:
    """Processor seconds of this process and of those that it has started and that have ended."""
    both = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(used.ru_utime + used.ru_stime for used in both)


def fingerprint(outcome: Outcome) -> str:
    """SHA-256 of every figure of every future."""
    content = b"".join(getattr(outcome, field.name).tobytes() for field in fields(Outcome))
    return hashlib.sha256(content).hexdigest()


def main() -> None:
    """Measure one instance."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("instance", nargs="?", default="kent-in-house-2025")
    parser.add_argument("futures", nargs="?", type=int, default=1_000)
    given = parser.parse_args()
    at, clock = processor_seconds(), time.perf_counter()
    instance, engine = prepare(optimiser.load(given.instance), Asked(scenarios=given.futures))
    built = processor_seconds()
    found = engine.search(Settings(gap=1e-3))
    assert isinstance(found, Found), found.status
    searched = processor_seconds()
    print(f"{given.instance}, {given.futures} futures; processor seconds (seconds by the clock)", flush=True)
    print(f"  building the model         {built - at:8.1f}")
    print(
        f"  finding the plan           {searched - built:8.1f} ({time.perf_counter() - clock:.0f} with building)",
        flush=True,
    )
    seen = set()
    for workers in WORKERS:
        at, clock = processor_seconds(), time.perf_counter()
        options = {"plan": found.decisions}
        lived = simulate(instance, engine.problem, options, futures=given.futures, search=0, paired=0, workers=workers)[
            "plan"
        ]
        used = processor_seconds() - at
        seen.add(fingerprint(lived.outcome))
        words = f"{used / (searched - built):.2f} of finding the plan"
        print(
            f"  simulating, {workers} worker{'s' if workers > 1 else ' '}      {used:8.1f} "
            f"({time.perf_counter() - clock:.0f}), {words}",
            flush=True,
        )
    print("  the same bytes at any number of workers" if len(seen) == 1 else f"  {len(seen)} DIFFERENT OUTCOMES")
    raise SystemExit(len(seen) != 1)


if __name__ == "__main__":
    main()
