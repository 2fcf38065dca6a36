"""Where linear programs are solved: threads of this process, or the workers of a Dask cluster."""

from __future__ import annotations

import pickle
import platform
import threading
import weakref
from collections.abc import Callable, Iterator
from concurrent.futures import CancelledError, Executor, Future, ThreadPoolExecutor
from contextlib import contextmanager
from importlib.metadata import version
from typing import Any, TypeVar

from optimiser.errors import SolverError

T = TypeVar("T")

#: Seconds that a cluster may take to answer, and to have a worker.
ANSWERS_WITHIN = 10.0
#: Seconds without any worker after which a search is given up.
ALONE_FOR = 30.0
#: Seconds between looks at whether there is a worker.
LOOK_EVERY = 2.0
#: Packages whose versions decide what bytes come out.
COMPARED = ("block-capacity-optimiser", "highspy", "numpy", "scipy")


@contextmanager
def executor(cluster: str | None, workers: int) -> Iterator[Executor]:
    """An executor, for as long as it is needed.

    Parameters
    ----------
    cluster
        Address of a Dask scheduler, as ``tcp://10.0.0.1:8786``; None for threads of this process.
    workers
        Number of threads; a cluster has its own.

    Raises
    ------
    SolverError
        If the extra ``scale`` is not installed, nothing answers at the address, no worker is there, or workers have
        other versions than this machine; later if the cluster is lost. A worker that is lost costs time only.
    """
    if cluster is None:
        with ThreadPoolExecutor(workers) as threads:
            yield threads
        return
    client = _client(cluster)
    try:
        _refuse_other_versions(client, cluster)
        with _Cluster(client, cluster) as remote:
            try:
                yield remote
            except (CancelledError, _killed_worker()) as error:
                raise SolverError(
                    f"the cluster at {cluster} lost work that it could not do again ({type(error).__name__}): its scheduler "
                    f"has gone, no worker was left for {ALONE_FOR:.0f} seconds, or worker after worker died on the same "
                    "piece, as when memory is short. See its log"
                ) from error
    finally:
        client.close(timeout=ANSWERS_WITHIN)


# reaching a cluster


def _client(address: str) -> Any:
    """A client of a scheduler that has a worker."""
    try:
        from distributed import Client
    except ImportError:
        raise SolverError(
            "a cluster needs packages that are not installed. Install them: pip install 'block-capacity-optimiser[scale]'"
        ) from None
    try:
        client = Client(address, timeout=ANSWERS_WITHIN, set_as_default=False)
    except (OSError, ValueError, ImportError, TimeoutError) as error:
        raise SolverError(
            f"no Dask scheduler answers at {address!r} ({error}). An address looks like tcp://10.0.0.1:8786; "
            "start one with: dask scheduler"
        ) from None
    try:
        client.wait_for_workers(1, timeout=ANSWERS_WITHIN)
    except TimeoutError:
        client.close(timeout=ANSWERS_WITHIN)
        raise SolverError(
            f"the Dask scheduler at {address} has no worker. Start one or more with: dask worker {address}"
        ) from None
    return client


def _refuse_other_versions(client: Any, address: str) -> None:
    """The same bytes come out on any machine only where the same versions are at work."""
    own = _versions()
    try:
        found = client.run(_versions)
    except Exception as error:  # whatever a worker without this package says
        raise SolverError(
            f"a worker of the cluster at {address} could not say what it has installed ({error}). "
            "Install the same version of block-capacity-optimiser[scale] on every worker"
        ) from None
    faults = [
        f"{worker} has {name} {versions[name]}, not {own[name]}"
        for worker, versions in sorted(found.items())
        for name in own
        if versions[name] != own[name]
    ]
    if faults:
        raise SolverError(
            "workers must have the versions of this machine, for the same plan to come out: " + "; ".join(faults)
        )


def _versions() -> dict[str, str]:
    """Versions on this machine of what decides the bytes of a plan."""
    return {"Python": platform.python_version(), **{name: version(name) for name in COMPARED}}


def _killed_worker() -> type[Exception]:
    from distributed.scheduler import KilledWorker

    killed: type[Exception] = KilledWorker
    return killed


# a cluster as an executor


class _Cluster(Executor):
    """Tasks on a Dask cluster; what comes first in a task is sent once and stays there.

    The scenarios of a chunk are a hundred times what is asked of them in a round. Where the first argument of a task is
    a list, it is sent as a task of its own that unpacks it, which the scheduler keeps: later tasks with the same objects
    go where it is, and when that worker dies another unpacks it again. It is let go of when its first object is.
    """

    def __init__(self, client: Any, address: str) -> None:
        self._client, self._address = client, address
        self._remote = client.get_executor(pure=False)
        self._resident: dict[tuple[int, ...], tuple[list[weakref.ref[Any]], Any]] = {}
        self._waiting: weakref.WeakSet[Future[Any]] = weakref.WeakSet()
        self._closed = threading.Event()
        self._watch = threading.Thread(target=self._watch_workers, daemon=True)
        self._watch.start()

    def submit(self, function: Callable[..., T], /, *arguments: Any, **named: Any) -> Future[T]:
        """Run a function of its arguments at a worker; it is run again at another should that one die."""
        if arguments and isinstance(arguments[0], list) and arguments[0]:
            arguments = (self._kept(arguments[0]), *arguments[1:])
        task: Future[T] = self._remote.submit(function, *arguments, **named)
        self._waiting.add(task)
        return task

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """End it; what still runs is let go of, since nobody is left to ask for it."""
        self._closed.set()
        self._watch.join()
        self._resident.clear()
        self._remote.shutdown(wait=False)

    def _kept(self, objects: list[Any]) -> Any:
        """The list as it stands at the workers."""
        key = tuple(id(each) for each in objects)
        known = self._resident.get(key)
        # an identity may come again once its object has gone
        if known is not None and all(kept() is each for kept, each in zip(known[0], objects, strict=True)):
            return known[1]
        try:
            references = [weakref.ref(each) for each in objects]
        except TypeError:  # numbers and the like: nothing to gain
            return objects
        remote = self._client.submit(pickle.loads, pickle.dumps(objects, protocol=5), pure=False)
        self._resident[key] = references, remote
        weakref.finalize(objects[0], self._resident.pop, key, None)
        return remote

    def _watch_workers(self) -> None:
        """Give up where no worker has been there for long: a task would wait for ever."""
        alone = 0.0
        while not self._closed.wait(LOOK_EVERY):
            alone = 0.0 if self._workers() else alone + LOOK_EVERY
            if alone >= ALONE_FOR:
                for task in list(self._waiting):
                    task.cancel()

    def _workers(self) -> int:
        """How many workers there are; none where the scheduler does not answer either."""
        try:
            return len(self._client.scheduler_info(n_workers=1)["workers"])
        except (OSError, TimeoutError):
            return 0
