"""Every group of ten councils, as a multiple of one plan for all of them; and eighteen councils against what was foretold.

``python -m tests.benchmarks.partners [PARTNERS] [FUTURES] [dask] [many]``: ten partners on five futures unless given, with
one worker and with two, all in one run. With ``dask`` once more through a local cluster of two workers (extra ``scale``).
With ``many`` a split among eighteen as well, end to end, with the seconds foretold at its start. More than ten partners
are measured that way only.
"""

from __future__ import annotations

import sys
import time
from dataclasses import replace

from optimiser.analysis.groups import EVERY_GROUP, Groups, play, prepared
from optimiser.analysis.planning import Asked, Told
from optimiser.analysis.splits import split, split_document
from optimiser.solve.engine import Engine
from tests.regional import regional_instance

GAP = 1e-4
#: A region, and futures on which it is measured.
REGION, REGION_FUTURES = 18, 4


def main(*words: str) -> None:
    """Print seconds on the clock and of the processor, and multiples of one plan for all together."""
    numbers = [int(word) for word in words if word.isdigit()]
    partners, futures = (numbers + [10, 5][len(numbers) :])[:2]
    if partners > EVERY_GROUP:
        region(partners, futures)
        return
    every_group(partners, futures, cluster="dask" in words)
    if "many" in words:
        region(REGION, REGION_FUTURES)


def every_group(partners: int, futures: int, *, cluster: bool) -> None:
    """All groups, as multiples of one plan."""
    instance, asked = regional_instance(partners), Asked(futures, gap=GAP)
    began, spent = time.perf_counter(), time.process_time()
    groups = Groups(Engine(prepared(instance, asked)))
    built = time.process_time() - spent
    groups.plan(groups.everyone, GAP)
    once, once_spent = time.perf_counter() - began, time.process_time() - spent
    print(
        f"one plan for all {partners} on {futures} futures: {once:.2f} s, {once_spent:.2f} processor seconds "
        f"({built:.2f} of them to build the model)",
        flush=True,
    )

    def measure(words: str, workers: int, address: str | None = None) -> None:
        began, spent = time.perf_counter(), time.process_time()
        game = play(instance, replace(asked, cluster=address), workers=workers)
        clock, processor = time.perf_counter() - began, time.process_time() - spent
        gaps = max(solved.objective - solved.bound for solved in game.solved.values())
        print(
            f"{len(game.solved)} groups, {words}: {clock:.1f} s, {processor:.1f} processor seconds here: "
            f"{clock / once:.0f} and {processor / once_spent:.0f} times one plan; largest gap £{gaps:,.0f}",
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


def region(partners: int, futures: int) -> None:
    """A split among more councils than every group is planned for, end to end."""

    def tell(words: str) -> None:
        if words.startswith("the whole"):
            print(f"{partners} partners on {futures} futures: {words}", flush=True)

    spent = time.process_time()
    document = split(regional_instance(partners), Asked(futures, gap=GAP), Told(step=tell))
    timings = document["timings"]
    print(
        f"{partners} partners: {timings['total_seconds']:.0f} s ({time.process_time() - spent:.0f} processor seconds), "
        f"{timings['total_seconds'] / timings['expected_seconds']:.2f} times the {timings['expected_seconds']:.0f} s foretold; "
        f"{len(document['groups'])} groups planned for, {timings['searches']} searches for groups that would leave "
        f"({timings['searching_seconds']:.0f} s)",
        flush=True,
    )


if __name__ == "__main__":
    main(*sys.argv[1:])
