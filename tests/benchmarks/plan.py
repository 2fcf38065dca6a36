"""Times of one plan, part by part, and ratios measured in the same run.

``python -m tests.benchmarks.plan [INSTANCE] [FUTURES]``: INSTANCE is cambridgeshire-residential-2024 unless given, FUTURES its own.
"""

from __future__ import annotations

import io
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pyomo.environ as pyo

import optimiser
from models.extensive import build
from models.problem import Problem
from optimiser.analysis.planning import Asked, plan_document
from optimiser.assemble import assemble
from optimiser.demand.scenarios import make_scenarios
from optimiser.instance.schema import Instance
from optimiser.plan import Plan
from optimiser.solve import highs
from optimiser.solve.compile import compile_model, compile_problem
from optimiser.solve.engine import Engine, Found
from optimiser.solve.twostage import Settings
from optimiser.verify import verify

GAP = 1e-3
SMALL = (10, 20)


class Clock:
    """Seconds by name, printed as they are taken."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    @contextmanager
    def __call__(self, name: str) -> Iterator[None]:
        began = time.perf_counter()
        yield
        self.seconds[name] = time.perf_counter() - began
        print(f"  {name:<44}{self.seconds[name]:>9.3f} s", flush=True)

    def ratio(self, words: str, one: str, other: str) -> None:
        """Print how many times as long one took as the other."""
        print(f"  {words:<44}{self.seconds[one] / max(self.seconds[other], 1e-9):>9.2f} times", flush=True)


def main(name: str = "cambridgeshire-residential-2024", futures: str | None = None) -> None:
    """Print every part of one plan, then the ratios."""
    clock = Clock()
    with clock("read"):
        instance = optimiser.load(name)
    count = instance.settings.scenarios if futures is None else int(futures)
    print(f"{name}, {count} futures, gap {GAP:.1%}")
    one_plan(clock, instance, count)
    for number in SMALL:
        compared(clock, instance, number)
    start_up(clock)


def one_plan(clock: Clock, instance: Instance, count: int) -> None:
    """One plan, each part by itself."""
    with clock("draw futures"):
        drawn = make_scenarios(instance, count)
    with clock("assemble"):
        problem = assemble(instance, drawn)
    with clock("build (Pyomo)"):
        model = build(problem)
    with clock("compile to arrays"):
        program = compile_model(model)
    rows, columns = program.matrix.shape
    print(f"  {rows:,} rows, {columns:,} columns, {int(program.integer.sum()):,} of them whole numbers")
    del model, program
    with clock("one template, written for every future"):
        compile_problem(problem)
    engine = Engine(problem)
    with clock("solve"):
        found = engine.search(Settings(gap=GAP))
    if not isinstance(found, Found):
        print(f"  no plan: {found.status}")
        return
    with clock("verify"):
        checked = verify(problem, found.decisions, found.placements)
    plan = Plan(instance, problem, found, checked)
    with clock("report"):
        show(plan)
    share = (checked.objective - found.bound) / abs(checked.objective)
    print(f"  {found.method}, {found.status}, objective £{checked.objective:,.0f}, gap {share:.4%}")
    clock.ratio("build against solve", "build (Pyomo)", "solve")
    clock.ratio("verify against build", "verify", "build (Pyomo)")


def show(plan: Plan) -> None:
    """The document and the terminal's pages, to nowhere."""
    from rich.console import Console

    from optimiser.report import terminal

    document = plan_document(plan, [], [], None, Asked())
    document |= {"timings": {"total_seconds": 0.0}, "stresses": [], "stresses_left_out": []}
    document |= dict.fromkeys(("out_of_sample", "simulated", "taken_up", "reduction"))
    terminal.show_plan(document, Console(file=io.StringIO(), width=terminal.WIDTH))


def compared(clock: Clock, instance: Instance, number: int) -> None:
    """L-shaped against the extensive form, and our arrays against Pyomo's own way to HiGHS, on few futures."""
    print(f"{number} futures")
    problem = assemble(instance, make_scenarios(instance, number))
    objectives = {}
    for method in ("extensive", "lshaped"):
        engine = Engine(problem)
        with clock(f"{method}, {number}"):
            found = engine.search(Settings(gap=GAP), method=method)
        if isinstance(found, Found):
            objectives[method] = verify(problem, found.decisions, found.placements).objective
    clock.ratio("extensive form against L-shaped", f"extensive, {number}", f"lshaped, {number}")
    ours = timed(clock, f"arrays and highspy, {number}", lambda: by_arrays(problem))
    theirs = timed(clock, f"Pyomo's appsi_highs, {number}", lambda: by_pyomo(problem))
    clock.ratio("appsi_highs against arrays", f"Pyomo's appsi_highs, {number}", f"arrays and highspy, {number}")
    values = [*objectives.values(), ours, theirs]
    apart = (max(values) - min(values)) / max(abs(float(np.mean(values))), 1e-9)
    print(f"  objectives agree to {apart:.3%}")


def timed(clock: Clock, name: str, solve: Callable[[], float]) -> float:
    """Objective that a way of solving finds, timed with building."""
    with clock(name):
        return solve()


def by_arrays(problem: Problem) -> float:
    """Whole model as arrays, straight to HiGHS."""
    return float(highs.solve(compile_model(build(problem)), gap=GAP).objective)


def by_pyomo(problem: Problem) -> float:
    """Whole model through Pyomo's persistent interface to HiGHS."""
    model = build(problem)
    solver: Any = pyo.SolverFactory("appsi_highs")
    solver.options = {"mip_rel_gap": GAP, "threads": 1}
    solver.solve(model)
    return float(pyo.value(model.total_cost))


def start_up(clock: Clock) -> None:
    """Help against Python's own start-up."""
    print("start-up")
    for name, words in (("python -c pass", ["-c", "pass"]), ("optimiser --help", ["-m", "optimiser", "--help"])):
        with clock(name):
            subprocess.run([sys.executable, *words], capture_output=True, check=True)
    clock.ratio("help against python -c pass", "optimiser --help", "python -c pass")


if __name__ == "__main__":
    main(*sys.argv[1:3])
