"""mpi-sppy's drivers on our model: extensive form, L-shaped and progressive hedging agree with ours; limits are refused."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from dataclasses import replace
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

import optimiser
from models.problem import Problem
from optimiser.assemble import assemble
from optimiser.demand.scenarios import make_scenarios
from optimiser.errors import SolverError
from optimiser.instance.reading import read_instance
from optimiser.solve.compile import compile_problem
from optimiser.solve.engine import Engine, Found
from optimiser.solve.extensive import solve_extensive
from optimiser.solve.mpisppy import (
    Futures,
    kw_creator,
    refuse_what_joins_futures,
    scenario_creator,
    scenario_names_creator,
)
from optimiser.solve.twostage import Settings
from optimiser.verify import verify
from tests.instance_folders import Folder
from tests.problems import small_problem

ROOT = Path(__file__).resolve().parent.parent
GAP = 1e-3
EXACT = Settings(gap=1e-7)
COUNT = 3
#: One without reviews, and one whose second year is decided on two branches.
PLAIN, REVIEWED = "cambridgeshire-residential-2024", "kent-in-house-2025"
MPIEXEC = shutil.which("mpiexec", path=os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")]))
with_mpisppy = pytest.mark.skipif(find_spec("mpisppy") is None, reason="the extra 'scale' is not installed")
with_mpiexec = pytest.mark.skipif(
    find_spec("mpisppy") is None or find_spec("mpi4py") is None or MPIEXEC is None,
    reason="the extra 'scale' is not installed",
)


@lru_cache
def ours(name: str) -> tuple[float, float]:
    """Objective, recomputed independently, and bound of our own decomposition."""
    instance = optimiser.load(name)
    engine = Engine(assemble(instance, make_scenarios(instance, COUNT, 1)))
    found = engine.search(Settings(gap=GAP), method="lshaped")
    assert isinstance(found, Found) and found.status == "optimal"
    return verify(engine.problem, found.decisions, found.placements).objective, found.bound


def options(name: str) -> dict[str, object]:
    return {"instance": name, "num_scens": COUNT, "seed": 1}


def spun(folder: Path, name: str, *words: str) -> tuple[float, float]:
    """Inner and outer bound that mpi-sppy's driver ends with, on three ranks; its logs go to the folder."""
    assert MPIEXEC is not None
    command = [MPIEXEC, "--bind-to", "none", "-n", "3", sys.executable, "-u", "-m", "mpi4py"]
    command += ["-m", "mpisppy.generic_cylinders", "--module-name", "optimiser.solve.mpisppy"]
    command += ["--instance", name, "--num-scens", str(COUNT), "--seed", "1", "--rel-gap", str(GAP), *words]
    container = {
        "OMPI_ALLOW_RUN_AS_ROOT": "1",
        "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1",
        "PRTE_MCA_rmaps_default_mapping_policy": ":oversubscribe",
    }
    done = subprocess.run(
        command,
        cwd=folder,
        env=os.environ | container | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=900,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    last = done.stdout.rpartition("Statistics at termination")[2]
    numbers = re.search(r"\]\s+\d+\D*?(-?[\d.]+)\s+(-?[\d.]+)\s+[\d.]+%", last)
    assert numbers is not None, done.stdout[-2000:]
    outer, inner = (float(number) for number in numbers.groups())
    return inner, outer


# the same answers


@with_mpisppy
@pytest.mark.parametrize("name", [PLAIN, pytest.param(REVIEWED, marks=pytest.mark.long)])
def test_the_extensive_form_of_mpi_sppy_costs_what_ours_does_without_mpi(name: str) -> None:
    from mpisppy.opt.ef import ExtensiveForm

    form = ExtensiveForm(
        {"solver": "appsi_highs"},
        scenario_names_creator(COUNT),
        scenario_creator,
        scenario_creator_kwargs=kw_creator(options(name)),
    )
    form.solve_extensive_form(solver_options={"mip_rel_gap": GAP})
    objective, bound = ours(name)
    theirs = form.get_objective_value()
    assert bound * (1 - 1e-9) <= theirs
    assert objective * (1 - GAP) <= theirs <= objective * (1 + GAP)


@pytest.mark.long
@with_mpiexec
def test_the_l_shaped_method_of_mpi_sppy_on_three_ranks_ends_within_the_gap_of_ours(tmp_path: Path) -> None:
    inner, outer = spun(
        tmp_path, REVIEWED, "--lshaped-hub", "--xhatlshaped", "--xhatshuffle", "--solver-name", "highs", "--max-iterations", "100",
        "--default-rho", "1",
    )  # fmt: skip
    objective, bound = ours(REVIEWED)
    assert inner - outer <= GAP * inner
    assert outer <= objective * (1 + 1e-9)
    assert bound * (1 - 1e-9) <= inner <= objective * (1 + GAP)


@pytest.mark.long
@with_mpiexec
def test_progressive_hedging_of_mpi_sppy_on_three_ranks_has_bounds_on_either_side_of_ours(
    tmp_path: Path,
) -> None:
    inner, outer = spun(
        tmp_path, PLAIN, "--lagrangian", "--xhatshuffle", "--solver-name", "appsi_highs", "--max-iterations", "5",
        "--default-rho", "1000", "--linearize-proximal-terms",
    )  # fmt: skip
    objective, bound = ours(PLAIN)
    assert outer <= objective * (1 + GAP)
    assert inner >= bound * (1 - 1e-9)
    # and they are bounds worth having
    assert inner - outer <= 0.05 * inner


class Given:
    """The futures of a problem as they are."""

    def __init__(self, problem: Problem) -> None:
        self.whole = problem

    def problem(self, number: int) -> Problem:
        return replace(self.whole, scenarios=(replace(self.whole.scenarios[number], probability=1.0),))

    def probability(self, number: int) -> float:
        return self.whole.scenarios[number].probability


def free_of_limits() -> Problem:
    """Two branches, unlike probabilities, and first-stage costs, offsets and delays that differ by future."""
    return small_problem(review=True, local_limits=(), unregistered_limits=())


@with_mpisppy
def test_the_extensive_form_agrees_on_a_problem_with_every_kind_of_decision() -> None:
    from mpisppy.opt.ef import ExtensiveForm

    problem = free_of_limits()
    form = ExtensiveForm(
        {"solver": "appsi_highs"},
        scenario_names_creator(len(problem.scenarios)),
        scenario_creator,
        scenario_creator_kwargs={"futures": Given(problem)},
    )
    form.solve_extensive_form(solver_options={"mip_rel_gap": 0.0})
    assert form.get_objective_value() == pytest.approx(
        solve_extensive(compile_problem(problem).two_stage, EXACT).objective, rel=1e-6
    )


@with_mpisppy
def test_the_l_shaped_method_agrees_though_first_stage_costs_depend_on_the_future() -> None:
    from mpisppy.opt.lshaped import LShapedMethod

    problem = free_of_limits()
    method = LShapedMethod(
        {"root_solver": "highs", "sp_solver": "highs", "root_solver_options": {"mip_rel_gap": 0.0}, "verbose": False},
        scenario_names_creator(len(problem.scenarios)),
        scenario_creator,
        scenario_creator_kwargs={"futures": Given(problem)},
    )
    method.options["max_iter"] = 200
    method.lshaped_algorithm()
    assert method.first_stage_solution_available
    assert method._LShaped_bound == pytest.approx(
        solve_extensive(compile_problem(problem).two_stage, EXACT).objective, rel=1e-6
    )


# futures


def test_futures_beyond_those_planned_on_continue_the_draw_on_the_same_branches() -> None:
    instance = optimiser.load(REVIEWED)
    futures = Futures(instance, 4, 1)
    more = assemble(instance, make_scenarios(instance, 9, 1), basis=4)
    for number in (1, 8):
        alone = futures.problem(number)
        (future,) = alone.scenarios
        assert alone.nodes == futures.problem(0).nodes == more.nodes
        assert future.probability == 1.0
        assert future.path == more.scenarios[number].path
        np.testing.assert_array_equal(future.arrivals, more.scenarios[number].arrivals)
    assert futures.probability(3) == "uniform"


def test_scenarios_are_named_by_number_from_any_start() -> None:
    assert scenario_names_creator(2) == ["scenario0", "scenario1"]
    assert scenario_names_creator(2, start=7) == ["scenario7", "scenario8"]


def test_a_table_of_futures_keeps_its_probabilities_and_has_an_end(tmp_path: Path) -> None:
    folder = Folder(tmp_path / "table")
    for name, probability in (("mild", "0.25"), ("harsh", "0.75")):
        folder.add("scenarios", scenario=name, quantity="probability", item="", value=probability)
    instance = read_instance(folder.path).model_copy(update={"tolerances": ()})
    futures = Futures(instance, 2)
    assert [futures.probability(number) for number in (0, 1)] == [0.25, 0.75]
    with pytest.raises(SolverError, match=r"brings a table of 2 futures of its own.* --num-scens 2$"):
        futures.problem(2)
    with pytest.raises(SolverError, match=r"--num-scens 2$"):
        Futures(instance, 3)


# what it cannot hold


def test_limits_and_weights_across_futures_are_refused_each_by_its_name() -> None:
    refuse_what_joins_futures(free_of_limits())
    with pytest.raises(SolverError) as error:
        refuse_what_joins_futures(small_problem(risk_weight=0.25, cvar_limit=2e6))
    assert str(error.value) == (
        "mpi-sppy takes every future by itself and minimises expected cost, and this joins futures: "
        "the local share 'older children near'; the tolerance of no registered home 'both councils'; "
        "the limit of £2,000,000 on the tail mean (CVaR); "
        "the weight 0.25 on the tail mean (CVaR); mpi-sppy has its own: --cvar. "
        "Leave it out of the instance, or use optimiser plan, which keeps it."
    )


def test_an_instance_has_to_be_named() -> None:
    with pytest.raises(SolverError, match="no instance is named"):
        kw_creator({"num_scens": 3})
