"""Linear programs solved elsewhere: the same bytes from threads, processes and a cluster, though a worker is killed."""

from __future__ import annotations

import json
import os
import pickle
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor
from dataclasses import dataclass
from functools import lru_cache
from importlib.util import find_spec
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import pytest

import optimiser
from optimiser.assemble import assemble
from optimiser.demand.scenarios import make_scenarios
from optimiser.errors import SolverError
from optimiser.solve import executor as module
from optimiser.solve.compile import compile_problem
from optimiser.solve.executor import executor
from optimiser.solve.lshaped import solve_lshaped
from optimiser.solve.twostage import Settings, TwoStageProblem, TwoStageSolution

ROOT = Path(__file__).resolve().parent.parent
with_dask = pytest.mark.skipif(find_spec("distributed") is None, reason="the extra 'scale' is not installed")


@lru_cache
def problem() -> TwoStageProblem:
    """Four chunks of futures."""
    instance = optimiser.load("cambridgeshire-residential-2024")
    return compile_problem(assemble(instance, make_scenarios(instance, 32, 1))).two_stage


@lru_cache
def by_threads() -> tuple[object, ...]:
    return bytes_of(solve_lshaped(problem(), Settings(gap=1e-3, workers=2)))


def bytes_of(solution: TwoStageSolution) -> tuple[object, ...]:
    """All that a solution says, timings aside."""
    assert solution.status == "optimal"
    assert solution.x is not None and solution.scenario_costs is not None and solution.cuts is not None
    return (
        solution.x.tobytes(),
        solution.objective,
        solution.bound,
        solution.scenario_costs.tobytes(),
        solution.rounds,
        solution.cuts.scenario.tobytes(),
        b"".join(dual.tobytes() for dual in solution.cuts.dual),
    )


@dataclass
class Cluster:
    """A Dask scheduler and its workers, each a process of its own."""

    address: str
    scheduler: subprocess.Popen[bytes]
    workers: list[subprocess.Popen[bytes]]


def started(folder: Path, workers: int) -> Cluster:
    file = folder / "scheduler.json"

    def process(what: str, *words: str) -> subprocess.Popen[bytes]:
        command = [
            sys.executable,
            "-m",
            f"distributed.cli.dask_{what}",
            "--scheduler-file",
            str(file),
            "--no-dashboard",
        ]
        # workers find what tests send them
        environment = os.environ | {"PYTHONPATH": str(ROOT / "tests")}
        quiet = subprocess.DEVNULL
        return subprocess.Popen([*command, *words], cwd=ROOT, env=environment, stdout=quiet, stderr=quiet)

    scheduler = process("scheduler", "--host", "127.0.0.1", "--port", "0")
    until = time.monotonic() + 60
    while not file.exists() or not file.read_text():
        assert scheduler.poll() is None and time.monotonic() < until, "the scheduler did not start"
        time.sleep(0.05)
    found = Cluster(json.loads(file.read_text())["address"], scheduler, [])
    # no nanny: a worker that is killed stays away
    found.workers += [process("worker", "--nthreads", "1", "--no-nanny") for _ in range(workers)]
    return found


def ended(cluster: Cluster) -> None:
    for process in (*cluster.workers, cluster.scheduler):
        process.kill()
        process.wait()


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    """A scheduler and two workers."""
    found = started(tmp_path, 2)
    yield found
    ended(found)


class Kills(Executor):
    """An executor that does something terrible before a given task is submitted."""

    def __init__(self, inner: Executor, after: int, deed: Any) -> None:
        self.inner, self.after, self.deed, self.count = inner, after, deed, 0

    def submit(self, function: Any, /, *arguments: Any, **named: Any) -> Future[Any]:
        self.count += 1
        if self.count == self.after:
            self.deed()
        return self.inner.submit(function, *arguments, **named)


# the same bytes


def test_threads_are_what_there_is_without_a_cluster() -> None:
    with executor(None, 3) as threads:
        assert isinstance(threads, ThreadPoolExecutor)
        assert bytes_of(solve_lshaped(problem(), Settings(gap=1e-3), executor=threads)) == by_threads()


def test_other_processes_give_the_same_bytes() -> None:
    with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as processes:
        assert bytes_of(solve_lshaped(problem(), Settings(gap=1e-3), executor=processes)) == by_threads()


@with_dask
def test_a_cluster_gives_the_same_bytes_though_a_worker_is_killed_with_work_under_way(cluster: Cluster) -> None:
    def kill() -> None:
        os.kill(cluster.workers[0].pid, signal.SIGKILL)
        assert cluster.workers[0].wait() == -signal.SIGKILL

    with executor(cluster.address, 2) as remote:
        remote._client.wait_for_workers(2, timeout=60)  # type: ignore[attr-defined]
        # the third of four chunks in the second round: chunks are at both workers, and two tasks have just been given
        kills = Kills(remote, 7, kill)
        assert bytes_of(solve_lshaped(problem(), Settings(gap=1e-3), executor=kills)) == by_threads()
        assert kills.count > kills.after, "there was work left to give"
        assert len(remote._client.scheduler_info(n_workers=-1)["workers"]) == 1  # type: ignore[attr-defined]


class Thing:
    """Something large that tasks ask for again and again."""

    def __init__(self) -> None:
        self.ballast = os.urandom(100_000)


def size(things: list[Thing], times: int) -> int:
    return times * sum(len(thing.ballast) for thing in things)


@with_dask
def test_what_comes_first_in_a_task_is_sent_once_and_let_go_of_with_its_owner(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent: list[int] = []
    with executor(cluster.address, 2) as remote:
        submit = remote._client.submit  # type: ignore[attr-defined]

        def counting(function: Any, *arguments: Any, **named: Any) -> Any:
            sent.extend(1 for _ in arguments if function is pickle.loads)
            return submit(function, *arguments, **named)

        monkeypatch.setattr(remote._client, "submit", counting)  # type: ignore[attr-defined]
        things = [Thing(), Thing()]
        assert [remote.submit(size, list(things), times).result() for times in (1, 2, 3)] == [200_000, 400_000, 600_000]
        assert len(sent) == 1
        assert remote.submit(size, things[:1], 1).result() == 100_000
        assert len(sent) == 2
        del things
        assert not remote._resident  # type: ignore[attr-defined]
        # numbers cannot be watched: they go along
        assert remote.submit(sum, [1, 2, 3]).result() == 6


# what goes wrong


def test_a_cluster_without_the_extra_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(SolverError) as error, executor("tcp://127.0.0.1:1", 2):
        pass
    assert str(error.value) == (
        "a cluster needs packages that are not installed. Install them: pip install 'block-capacity-optimiser[scale]'"
    )


@with_dask
@pytest.mark.parametrize("address", ["tcp://127.0.0.1:1", "no-such-host.invalid:8786", "carrier-pigeon://loft:1"])
def test_an_address_where_nothing_answers_is_named(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "ANSWERS_WITHIN", 1.0)
    began = time.monotonic()
    with pytest.raises(SolverError, match=f"no Dask scheduler answers at '{address}'"), executor(address, 2):
        pass
    assert time.monotonic() - began < 20


@with_dask
def test_a_scheduler_without_workers_is_told_apart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "ANSWERS_WITHIN", 2.0)
    alone = started(tmp_path, 0)
    try:
        words = f"has no worker. Start one or more with: dask worker {alone.address}"
        with pytest.raises(SolverError, match=words), executor(alone.address, 2):
            pass
    finally:
        ended(alone)


@with_dask
def test_workers_with_other_versions_are_refused_by_name(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    own = module._versions() | {"highspy": "1.0.0"}
    monkeypatch.setattr(module, "_versions", OtherHere(own))
    words = r"tcp://127\.0\.0\.1:\d+ has highspy [\d.]+, not 1\.0\.0"
    with pytest.raises(SolverError, match=words), executor(cluster.address, 2):
        pass


class OtherHere:
    """Says one thing on this machine, and travels as the function that it stands for."""

    def __init__(self, here: dict[str, str]) -> None:
        self.here = here

    def __call__(self) -> dict[str, str]:
        return self.here

    def __reduce__(self) -> tuple[Any, ...]:
        return getattr, (module, "_versions")


@with_dask
@pytest.mark.parametrize("lost", ["workers", "scheduler"])
def test_a_cluster_that_is_lost_is_an_error_and_no_endless_wait(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch, lost: str
) -> None:
    monkeypatch.setattr(module, "ALONE_FOR", 4.0)
    gone = cluster.workers if lost == "workers" else [cluster.scheduler]

    def kill() -> None:
        for process in gone:
            process.kill()
            process.wait()

    with (
        pytest.raises(SolverError, match="lost work that it could not do again"),
        executor(cluster.address, 2) as remote,
    ):
        solve_lshaped(problem(), Settings(gap=1e-3), executor=Kills(remote, 6, kill))
