"""A frontier against one cold solve, in one run.

``python -m tests.benchmarks.frontier [INSTANCE] [FUTURES] [POINTS]``: kent-in-house-2025, 200 futures and 50 envelopes from no
capital to enough unless given. Processor seconds, since the machine may be shared; building the model is the same for both and
not counted. The first envelope is solved cold: search, placement of every future, independent recomputation.
"""

from __future__ import annotations

import sys

import optimiser
from optimiser.analysis.frontier import Curve, Grid, Limited
from optimiser.analysis.planning import Asked, prepare
from optimiser.solve.twostage import Settings

GAP = 1e-3


def main(name: str = "kent-in-house-2025", futures: str = "200", points: str = "50") -> None:
    """Print what every envelope took, and the ratio."""
    instance, engine = prepare(optimiser.load(name), Asked(scenarios=int(futures)))
    curve = Curve(instance, engine, Limited((0,), None), Settings(gap=GAP))
    assert curve.sums is not None
    top = curve.sums[-1]
    grid = Grid(0.0, top, top / (int(points) - 1))
    print(f"{name}, {futures} futures, gap {GAP:.1%}, {len(grid.limits)} envelopes from £0 to £{top:,.0f}", flush=True)
    curve.trace(grid.limits)
    for found, seconds in zip(curve.solved, curve.seconds, strict=True):
        print(f"  £{found.limit:>12,.0f}  uses £{found.used:>12,.0f}  {seconds:>8.2f} s", flush=True)
    settled = sum(curve.settled(limit) for limit in grid.limits)
    cold, all_of_it = curve.seconds[0], sum(curve.seconds)
    print(f"  {settled} envelopes within the gap by {len(curve.seconds)} searches")
    print(f"  one cold solve {cold:.1f} s, the frontier {all_of_it:.1f} s: {all_of_it / cold:.2f} times")


if __name__ == "__main__":
    main(*sys.argv[1:])
