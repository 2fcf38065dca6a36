"""Every group of ten councils, as a multiple of one plan for all of them, measured in one run.

``python -m tests.benchmarks.partners [PARTNERS] [FUTURES] [dask]``: ten partners on five futures unless given. With
``dask`` once more through a local cluster of two workers (extra ``scale``). What dual vectors of the joint plan are worth to
other groups is measured on a dozen of them.
"""

from __future__ import annotations

import sys
import time

from optimiser.analysis.groups import bounds_of, play, prepared
from optimiser.analysis.planning import Asked
from optimiser.analysis.splits import split_document
from optimiser.solve.engine import Engine, Found
from optimiser.solve.twostage import Settings
from tests.regional import regional_instance

GAP = 1e-4
#: Groups on which it is measured what kept duals are worth.
SAMPLE = 12


def main(partners: str = "10", futures: str = "5", cluster: str = "") -> None:
    """Print seconds on the clock and of the processor, and multiples of one plan for all together."""
    instance, asked = regional_instance(int(partners)), Asked(int(futures), gap=GAP)
    problem = prepared(instance, asked)
    everyone = (1 << int(partners)) - 1
    engine = Engine(problem)
    began, spent = time.perf_counter(), time.process_time()
    found = engine.search(Settings(GAP, workers=1), bounds=bounds_of(problem, everyone))
    assert isinstance(found, Found)
    once, once_spent = time.perf_counter() - began, time.process_time() - spent
    print(f"one plan for all {partners}: {once:.2f} s, {once_spent:.2f} processor seconds", flush=True)

    learned = Engine(problem)
    learned.search(Settings(GAP, workers=1), bounds=bounds_of(problem, everyone), method="lshaped", learn=True)
    sample = [(7 * step) % everyone or 1 for step in range(1, SAMPLE + 1)]
    seconds = {}
    for words, own in (("from scratch", engine), ("from the duals of all together", learned)):
        spent = time.process_time()
        for group in sample:
            own.search(Settings(GAP, workers=1), bounds=bounds_of(problem, group), method="lshaped")
        seconds[words] = time.process_time() - spent
        print(f"{len(sample)} groups {words}: {seconds[words]:.2f} processor seconds", flush=True)

    def measure(words: str, workers: int, address: str | None = None) -> None:
        from dataclasses import replace

        began, spent = time.perf_counter(), time.process_time()
        game = play(instance, replace(asked, cluster=address), workers=workers)
        clock, processor = time.perf_counter() - began, time.process_time() - spent
        print(
            f"{len(game.solved)} groups, {words}: {clock:.1f} s, {processor:.1f} processor seconds: "
            f"{clock / once:.0f} and {processor / once_spent:.0f} times one plan",
            flush=True,
        )
        if workers == 2 and address is None:
            began = time.process_time()
            split_document(game, asked)
            print(f"rules, bills and verdicts: {time.process_time() - began:.1f} processor seconds", flush=True)

    measure("1 worker", 1)
    measure("2 workers", 2)
    if cluster:
        from distributed import LocalCluster

        with LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as local:
            measure("a Dask cluster of 2", 2, local.scheduler_address)


if __name__ == "__main__":
    main(*sys.argv[1:])
