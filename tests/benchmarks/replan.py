"""Plans made again from kept duals against the cold solve that kept them, in one run: other envelopes, other delays.

``python -m tests.benchmarks.replan [INSTANCE] [FUTURES] [check]``: kent-in-house-2025 and 200 futures unless given. Processor
seconds, since the machine may be shared, and seconds by the clock. Both begin from a compiled problem and end with where
children live in every future; what is kept is read from its bytes within the time. ``check`` solves each changed problem cold
as well, and prints how far apart the two plans are.
"""

from __future__ import annotations

import sys
import time

import optimiser
from optimiser.analysis.levers import levers_of
from optimiser.analysis.sensitivity import with_figure
from optimiser.assemble import assemble
from optimiser.demand.scenarios import make_scenarios
from optimiser.instance.distributions import Distribution
from optimiser.instance.schema import Instance
from optimiser.solve.engine import Engine, Found
from optimiser.solve.kept import Kept
from optimiser.solve.twostage import Settings
from optimiser.verify import verify

#: Pounds by which the envelope is moved, and what delays are multiplied by.
POUNDS, TIMES = (-1.8e6, -1e6, -0.6e6, 1e6), (2 / 3, 0.9, 1.1, 4 / 3)
SETTINGS = Settings(gap=1e-3)


def main(name: str = "kent-in-house-2025", futures: str = "200", check: str = "") -> None:
    """Print the cold solve, then each plan made again and its ratio."""
    instance, count = optimiser.load(name), int(futures)
    engine = engine_of(instance, count)
    cold, cold_clock, _ = solved(engine)
    print(f"{name}, {count} futures: cold {cold:.1f} processor s, {cold_clock:.1f} s by the clock", flush=True)
    learned = engine.keep()
    assert learned is not None, "nothing was kept"
    kept = learned.to_bytes()
    print(f"kept: {len(kept) / 1e6:.1f} MB", flush=True)
    for words, key, value in changes(instance):
        engine = engine_of(with_figure(instance, key, value), count)
        again, again_clock, found = solved(engine, kept)
        line = f"  {words:<40}{again:5.2f} processor s, {again / cold:.3f} of cold; {again_clock / cold_clock:.3f} by the clock"
        print(line + (f"; {apart(engine, found)}" if check else ""), flush=True)


def changes(instance: Instance) -> list[tuple[str, str, float]]:
    """In words, the figure, and its new value: the first envelope moved, and each home's delay longer and shorter."""
    figures = instance.figure_values()
    envelope = next((each for each in levers_of(instance) if each.unit == "£" and each.value), None)
    found = []
    if envelope is not None and envelope.value is not None:
        found += [
            (f"envelope £{(envelope.value + more) / 1e6:.1f}m", envelope.key, envelope.value + more) for more in POUNDS
        ]
    for key, delay in figures.items():
        if not (key.startswith("homes.") and key.endswith("registration_delay_months")):
            continue
        mean = delay.mean if isinstance(delay, Distribution) else float(delay)
        home = key.split(".")[1]
        found += [(f"{home}: delay {mean * times:.1f} months", key, mean * times) for times in TIMES]
    return found


def engine_of(instance: Instance, futures: int) -> Engine:
    """The problem of an instance, compiled."""
    return Engine(assemble(instance, make_scenarios(instance, futures)))


def solved(engine: Engine, kept: bytes | None = None) -> tuple[float, float, Found]:
    """Processor seconds, seconds by the clock, and the plan."""
    began, clock = time.process_time(), time.perf_counter()
    if kept is not None:
        engine.take_up(Kept.from_bytes(kept))
    found = engine.search(SETTINGS, method="lshaped")
    taken, by_clock = time.process_time() - began, time.perf_counter() - clock
    assert isinstance(found, Found), "there is no plan"
    return taken, by_clock, found


def apart(engine: Engine, found: Found) -> str:
    """How a plan made again and one from a cold solve of the same problem compare: neither bound above the other's cost."""
    _, _, cold = solved(Engine(engine.problem))
    own, other = (verify(engine.problem, each.decisions, each.placements) for each in (found, cold))
    assert not own.violations and not other.violations
    bounds_hold = max(found.bound, cold.bound) <= min(own.objective, other.objective)
    return f"cost {own.objective / other.objective - 1:+.4%} of a cold solve's, bounds {'hold' if bounds_hold else 'CROSS'}"


if __name__ == "__main__":
    main(*sys.argv[1:])
