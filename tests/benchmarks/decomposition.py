"""Our decomposition beside its peers, in one run on one machine.

``python -m tests.benchmarks.decomposition [--instance NAME] [--scenarios 10 50 200 1000] [--peers-up-to 50]``

Peers: HiGHS on the extensive form, by way of Pyomo and of linopy, and mpi-sppy's L-shaped method on MPI. They need the
extras ``scale`` and ``peers``. Everything runs in a process of its own, one at a time, to the same gap and on the same
number of cores; reading the instance, drawing futures and assembling the problem are the same for all and not timed.

*Build* is what turns the problem into what the solver takes: our compiled arrays, Pyomo's model, linopy's model (which is
given our arrays and so spared Pyomo), mpi-sppy's models of all futures. *Passes* is the time of our solve over the time of
one pass over all placement problems at the plan found: one thread, one HiGHS object, each from the basis before it.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

import optimiser
from models.problem import Problem
from optimiser.assemble import assemble
from optimiser.demand.scenarios import make_scenarios
from optimiser.solve.highs import Program, relative_gap
from optimiser.solve.twostage import Settings

Floats = NDArray[np.float64]

ROOT = Path(__file__).resolve().parent.parent.parent
GAP = 1e-3
CORES = 2
OURS = "ours"
PEERS = ("Pyomo", "linopy", "mpi-sppy")
NAMES = {
    OURS: "ours, L-shaped",
    "Pyomo": "HiGHS, extensive form, Pyomo",
    "linopy": "HiGHS, extensive form, linopy",
    "mpi-sppy": "mpi-sppy, L-shaped",
}
#: A peer gets so many times as long as ours took, and at least so many seconds.
PATIENCE, LEAST = 100.0, 300.0
TOO_LONG = "not within"


@dataclass
class Timed:
    """What one process measured."""

    build_seconds: float
    solve_seconds: float
    objective: float
    bound: float
    processor_seconds: float  # of build and solve, in all threads and ranks; ranks that wait count
    megabytes: float  # peak of resident memory, over all ranks
    pass_seconds: float = float("nan")

    @property
    def seconds(self) -> float:
        """Build and solve."""
        return self.build_seconds + self.solve_seconds


def main() -> int:
    """Print the table, a line as soon as it is measured; 1 where anything failed otherwise than by its time."""
    asked = arguments()
    if asked.way:
        one_way(asked)
        return 0
    print(
        f"{asked.instance}, seed {asked.seed}, gap {GAP:.1%}, {asked.cores} cores; peers up to {asked.peers_up_to} futures"
    )
    print(
        f"{'futures':>7}  {'':<30}{'build s':>9}{'solve s':>9}{'total s':>9}{'cpu s':>9}"
        f"{'ratio':>8}{'gap':>9}{'MB':>7}{'passes':>8}"
    )
    ours: dict[int, Timed] = {}
    failed = False
    for count in asked.scenarios:
        found = measured(asked, OURS, count, asked.limit)
        show(count, OURS, found, None)
        if isinstance(found, Timed):
            ours[count] = found
        else:
            failed |= not found.startswith(TOO_LONG)
        if count > asked.peers_up_to:
            continue
        limit = max(PATIENCE * found.seconds, LEAST) if isinstance(found, Timed) else asked.limit
        for peer in asked.peers:
            theirs = measured(asked, peer, count, min(limit, asked.limit))
            failed |= isinstance(theirs, str) and not theirs.startswith(TOO_LONG)
            show(count, peer, theirs, found)
    for fewer, more in zip(sorted(ours), sorted(ours)[1:], strict=False):
        for words, one, other in (
            ("solve", ours[fewer].solve_seconds, ours[more].solve_seconds),
            ("build", ours[fewer].build_seconds, ours[more].build_seconds),
        ):
            power = np.log(other / one) / np.log(more / fewer)
            print(f"our {words} from {fewer} to {more} futures grows with their number to the power {power:.2f}")
    return int(failed)


def arguments() -> argparse.Namespace:
    """What is asked for."""
    parser = argparse.ArgumentParser(description="Our decomposition beside its peers.")
    parser.add_argument("--instance", default="kent-in-house-2025")
    parser.add_argument("--scenarios", type=int, nargs="+", default=[10, 50, 200, 1000])
    parser.add_argument("--peers-up-to", type=int, default=50, help="Futures beyond which only ours runs")
    parser.add_argument("--peers", nargs="*", choices=PEERS, default=list(PEERS))
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--cores", type=int, default=CORES)
    parser.add_argument("--limit", type=float, default=1800.0, help="Seconds that any one may take")
    parser.add_argument("--way", choices=(OURS, *PEERS), help=argparse.SUPPRESS)
    parser.add_argument("--answer", help=argparse.SUPPRESS)
    return parser.parse_args()


def show(count: int, way: str, found: Timed | str, ours: Timed | str | None) -> None:
    """One line of the table."""
    line = f"{count:>7}  {NAMES[way]:<30}"
    if isinstance(found, str):
        print(f"{line}  {found}", flush=True)
        return
    ratio = f"{found.seconds / ours.seconds:.1f}" if isinstance(ours, Timed) else "1"
    passes = f"{found.solve_seconds / found.pass_seconds:.1f}" if np.isfinite(found.pass_seconds) else ""
    build = f"{found.build_seconds:.2f}" if found.build_seconds else "in solve"
    print(
        f"{line}{build:>9}{found.solve_seconds:>9.2f}{found.seconds:>9.2f}{found.processor_seconds:>9.2f}{ratio:>8}"
        f"{relative_gap(found.objective, found.bound):>9.3%}{found.megabytes:>7.0f}{passes:>8}"
        f"   £{found.objective:,.0f}",
        flush=True,
    )


def measured(asked: argparse.Namespace, way: str, count: int, limit: float) -> Timed | str:
    """One way of solving in a process of its own; in words why there is nothing to show."""
    with tempfile.TemporaryDirectory() as folder:
        answer = Path(folder) / "answer.json"
        command = [sys.executable, "-m"]
        if way == "mpi-sppy":
            mpiexec = shutil.which(
                "mpiexec", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}"
            )
            if mpiexec is None:
                return "mpiexec is not there: install the extra scale"
            command = [mpiexec, "--bind-to", "none", "-n", str(asked.cores), sys.executable, "-m", "mpi4py", "-m"]
        command += [
            "tests.benchmarks.decomposition",
            "--way",
            way,
            "--answer",
            str(answer),
            "--instance",
            asked.instance,
        ]
        command += ["--scenarios", str(count), "--seed", str(asked.seed), "--cores", str(asked.cores)]
        with subprocess.Popen(
            command, cwd=folder, env=environment(), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
        ) as process:
            try:
                errors = process.communicate(timeout=limit)[1]
            except subprocess.TimeoutExpired:
                # asked first, so that mpiexec ends its ranks
                process.terminate()
                try:
                    process.communicate(timeout=10)
                except subprocess.TimeoutExpired:
                    process.kill()
                return f"{TOO_LONG} {limit:,.0f} s"
        if not answer.exists():
            words = [line for line in errors.splitlines() if re.match(r"\w+(\.\w+)*(Error|Exception)\b", line)]
            return words[-1] if words else f"failed with exit code {process.returncode}"
        return Timed(**json.loads(answer.read_text(encoding="utf-8")))


def environment() -> dict[str, str]:
    """One thread for every linear algebra library; Open MPI as in a container; found from any folder."""
    one = {name: "1" for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")}
    mpi = {
        "OMPI_ALLOW_RUN_AS_ROOT": "1",
        "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1",
        "PRTE_MCA_rmaps_default_mapping_policy": ":oversubscribe",
    }
    return os.environ | one | mpi | {"PYTHONPATH": str(ROOT)}


# in the process


def one_way(asked: argparse.Namespace) -> None:
    """Solve one way and leave the answer in a file."""
    (count,) = asked.scenarios
    ways: dict[str, Callable[[argparse.Namespace, int], Timed | None]] = {
        OURS: by_ours,
        "Pyomo": by_pyomo,
        "linopy": by_linopy,
        "mpi-sppy": by_mpisppy,
    }
    found = ways[asked.way](asked, count)
    if found is not None:
        Path(asked.answer).write_text(json.dumps(vars(found)), encoding="utf-8")


def problem_of(asked: argparse.Namespace, count: int) -> Problem:
    """The problem that all solve."""
    instance = optimiser.load(asked.instance)
    return assemble(instance, make_scenarios(instance, count, asked.seed))


class Clock:
    """Wall-clock seconds of each part, and processor seconds of all."""

    def __init__(self) -> None:
        self.seconds: list[float] = []
        self.processor = 0.0

    @contextmanager
    def __call__(self) -> Iterator[None]:
        began, processor = time.perf_counter(), time.process_time()
        yield
        self.seconds.append(time.perf_counter() - began)
        self.processor += time.process_time() - processor


def megabytes() -> float:
    """Peak of this process's resident memory."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 2**20 if sys.platform == "darwin" else peak / 2**10


def by_ours(asked: argparse.Namespace, count: int) -> Timed:
    """The engine; then a pass over all placement problems at its plan, for scale."""
    from optimiser.solve.compile import vector_from
    from optimiser.solve.engine import Engine, Found
    from optimiser.verify import verify
    from tests.benchmarks.passes import chained_pass

    problem, clock = problem_of(asked, count), Clock()
    with clock():
        engine = Engine(problem)
    with clock():
        found = engine.search(Settings(gap=GAP, workers=asked.cores), method="lshaped")
    assert isinstance(found, Found), found.status
    peak = megabytes()
    objective = verify(problem, found.decisions, found.placements).objective
    x = vector_from(engine.first, problem, found.decisions)
    return Timed(*clock.seconds, objective, found.bound, clock.processor, peak, chained_pass(engine.two_stage, x))


def by_pyomo(asked: argparse.Namespace, count: int) -> Timed:
    """The extensive form in Pyomo, by Pyomo's own interface to HiGHS."""
    import pyomo.environ as pyo

    from models.extensive import build
    from optimiser.solve.compile import collection_paused

    problem, clock = problem_of(asked, count), Clock()
    with clock(), collection_paused():
        model = build(problem)
    solver: Any = pyo.SolverFactory("appsi_highs")
    solver.highs_options = {"mip_rel_gap": GAP, "threads": asked.cores}
    with clock():
        result = solver.solve(model)
    bound = float(result.problem.lower_bound)
    return Timed(*clock.seconds, float(pyo.value(model.total_cost)), bound, clock.processor, megabytes())


def by_linopy(asked: argparse.Namespace, count: int) -> Timed:
    """The extensive form in linopy, built from our arrays, handed to HiGHS in memory."""
    from optimiser.solve.compile import compile_problem
    from optimiser.solve.extensive import extensive_program

    program, clock = extensive_program(compile_problem(problem_of(asked, count)).two_stage), Clock()
    with clock():
        model = linopy_model(program)
    with clock():
        model.solve("highs", io_api="direct", mip_rel_gap=GAP, threads=asked.cores, output_flag=False)
    bound = float(model.solver_model.getInfo().mip_dual_bound) + program.offset
    return Timed(*clock.seconds, float(model.objective.value) + program.offset, bound, clock.processor, megabytes())


def linopy_model(program: Program) -> Any:
    """The program as linopy's variables and constraints: one call per kind of column, and per length and kind of row."""
    import linopy
    import xarray

    model = linopy.Model()
    label = np.empty(len(program.cost), dtype=np.int64)
    for kind in (False, True):
        columns = np.flatnonzero(program.integer == kind)
        if len(columns):
            variables = model.add_variables(
                lower=xarray.DataArray(program.lower[columns], dims="column"),
                upper=xarray.DataArray(program.upper[columns], dims="column"),
                integer=kind,
                name=f"columns_{kind}",
            )
            label[columns] = variables.labels.values
    matrix = sparse.csr_matrix(program.matrix)
    length = np.diff(matrix.indptr)
    for terms in np.unique(length[length > 0]):
        for sign, limit in (("=", program.row_lower), (">=", program.row_lower), ("<=", program.row_upper)):
            equal = program.row_lower == program.row_upper
            wanted = equal if sign == "=" else np.isfinite(limit) & ~equal
            rows = np.flatnonzero((length == terms) & wanted)
            if not len(rows):
                continue
            entries = matrix.indptr[rows][:, None] + np.arange(terms)
            places = {"dims": ("row", "_term")}
            left = linopy.LinearExpression(
                xarray.Dataset(
                    {
                        "coeffs": xarray.DataArray(matrix.data[entries], **places),
                        "vars": xarray.DataArray(label[matrix.indices[entries]], **places),
                    }
                ),
                model,
            )
            model.add_constraints(left, sign, xarray.DataArray(limit[rows], dims="row"), name=f"rows_{terms}_{sign}")
    paid = np.flatnonzero(program.cost)
    model.add_objective(
        linopy.LinearExpression(
            xarray.Dataset(
                {
                    "coeffs": xarray.DataArray(program.cost[paid], dims="_term"),
                    "vars": xarray.DataArray(label[paid], dims="_term"),
                }
            ),
            model,
        )
    )
    return model


def by_mpisppy(asked: argparse.Namespace, count: int) -> Timed | None:
    """mpi-sppy's L-shaped hub, beside a cylinder that prices its points: two cylinders, so an even number of ranks."""
    import mpisppy.utils.cfg_vanilla as vanilla
    from mpi4py import MPI
    from mpisppy.spin_the_wheel import WheelSpinner
    from mpisppy.utils.config import Config

    from optimiser.solve import mpisppy as ours

    cfg = Config()
    for add in (cfg.popular_args, cfg.two_sided_args, cfg.lshaped_args, cfg.xhatlshaped_args):
        add()
    cfg.solver_name, cfg.rel_gap, cfg.max_iterations, cfg.max_solver_threads = "highs", GAP, 100_000, 1
    futures = {"futures": ours.Futures(optimiser.load(asked.instance), count, asked.seed)}
    beans = cfg, ours.scenario_creator, ours.scenario_denouement, ours.scenario_names_creator(count)
    hub = vanilla.lshaped_hub(*beans, scenario_creator_kwargs=futures)
    spoke = vanilla.xhatlshaped_spoke(*beans, scenario_creator_kwargs=futures)
    clock = Clock()
    wheel = WheelSpinner(hub, [spoke])
    with clock():
        wheel.spin()
    peak, processor = (MPI.COMM_WORLD.allreduce(each) for each in (megabytes(), clock.processor))
    if MPI.COMM_WORLD.Get_rank() > 0:
        return None
    return Timed(0.0, *clock.seconds, float(wheel.BestInnerBound), float(wheel.BestOuterBound), processor, peak)


if __name__ == "__main__":
    sys.exit(main())
