"""The desk at which plans are asked for: one is worked on at a time, the others wait, and any of them can be stopped."""

from __future__ import annotations

import math
import secrets
import threading
from collections import OrderedDict, deque
from dataclasses import dataclass, field, replace
from typing import Any

from optimiser.analysis.levers import RISK_WEIGHT, with_figures
from optimiser.analysis.planning import Asked, Ready, Told, as_asked, make_plan
from optimiser.errors import OptimiserError
from optimiser.instance.schema import Instance
from optimiser.plan import Plan
from optimiser.serve.shelf import Run, Shelf, whole
from optimiser.solve.kept import Kept
from optimiser.solve.twostage import Round

Row = dict[str, Any]
Figures = dict[str, float | None]
#: Plans that may wait, and finished ones that are remembered until they are kept.
MOST_WAITING, MOST_REMEMBERED = 8, 16
#: What a job can be: waiting, working, done, stopped (before any plan) or failed.
ENDED = ("done", "stopped", "failed")


class BusyError(OptimiserError):
    """More plans are asked for than the desk takes on."""


@dataclass(eq=False)
class Job:
    """A plan that was asked for, and what has become of it.

    Parameters
    ----------
    figures : moved against the instance as the base has it
    written : what stood in the form, by key
    run : the run on disk that is to be worked out in full; None for a new plan
    """

    id: str
    figures: Figures
    written: dict[str, str]
    run: Run | None = None
    base: bool = False
    state: str = "waiting"
    words: str = "waiting for its turn"
    round: Round | None = None
    error: str = ""
    plan: Plan | None = None
    document: Row | None = None
    stop: threading.Event = field(default_factory=threading.Event)

    @property
    def ended(self) -> bool:
        """Whether nothing more will come of it."""
        return self.state in ENDED

    @property
    def progress(self) -> Row:
        """Where it stands, for a page to show."""
        found: Row = {"state": self.state, "words": self.words, "ended": self.ended}
        if self.round is not None:
            names = ("incumbent", "bound", "gap")
            known = {name: getattr(self.round, name) for name in names}
            found |= {name: value if math.isfinite(value) else None for name, value in known.items()}
            found |= {"round": self.round.round, "seconds": self.round.seconds}
        return found


class Desk:
    """Takes on plans of one instance, and works on them one after another in a thread of its own."""

    def __init__(self, shelf: Shelf, base: Run | None = None) -> None:
        """``base`` is a finished run to compare with; without one the base is planned first."""
        self.shelf, self.asked = shelf, shelf.asked
        self._base = base or self._on_shelf()
        self._given = base is not None
        self._kept: Kept | None = None if self._base is None else self._base.kept()
        self._ready = Ready()
        self._jobs: OrderedDict[str, Job] = OrderedDict()
        self._waiting: deque[Job] = deque()
        self._changed = threading.Condition()
        self._closed = False
        self._working: Job | None = None
        self.first: Job | None = None
        if self._base is None:
            self.first = self._take_on(Job(_fresh_id(), {}, {}, base=True))
        self._thread = threading.Thread(target=self._work, name="planning", daemon=True)
        self._thread.start()

    @property
    def instance(self) -> Instance:
        """The instance as the base has it, against which figures are moved."""
        instance = as_asked(self.shelf.instance, self.asked)
        if self.asked.risk_weight is None:
            return instance
        return with_figures(instance, {RISK_WEIGHT: self.asked.risk_weight})

    @property
    def base(self) -> Run | None:
        """The run that variants are compared with; None while there is none."""
        with self._changed:
            return self._base

    @property
    def base_is_ours(self) -> bool:
        """Whether the base is kept here, so that it can be written anew."""
        return not self._given

    def ask(self, figures: Figures, written: dict[str, str], instead_of: str = "") -> Job:
        """Ask for a plan; the one that it takes the place of is stopped.

        Raises
        ------
        BusyError
            Where too many are waiting.
        """
        self.stop(instead_of)
        return self._take_on(Job(_fresh_id(), figures, written))

    def work_out(self, run: Run) -> Job:
        """Ask for everything that a run on disk does not hold yet; one asked for already is given back."""
        with self._changed:
            for job in self._jobs.values():
                if job.run is not None and job.run.slug == run.slug and not job.ended:
                    return job
        base = self._base is not None and run.folder == self._base.folder
        return self._take_on(Job(_fresh_id(), {}, {}, run=run, base=base))

    def again(self) -> Job:
        """Plan the base, after its search was stopped before any plan was found, or failed."""
        with self._changed:
            if self.first is not None and self.first.ended and self._base is None:
                self.first = None
        if self.first is None:
            self.first = self._take_on(Job(_fresh_id(), {}, {}, base=True))
        return self.first

    def find(self, job_id: str) -> Job | None:
        """A job that is remembered."""
        with self._changed:
            return self._jobs.get(job_id)

    def job_of(self, run: Run) -> Job | None:
        """The last job that works a run out in full."""
        with self._changed:
            own = [job for job in self._jobs.values() if job.run is not None and job.run.slug == run.slug]
        return own[-1] if own else None

    def ahead(self, job: Job) -> int:
        """How many plans are done before a waiting one."""
        with self._changed:
            if job not in self._waiting:
                return 0
            return list(self._waiting).index(job) + (self._working is not None)

    def stop(self, job_id: str) -> None:
        """Stop a job: what has been found by then is its result."""
        with self._changed:
            job = self._jobs.get(job_id)
            if job is None or job.ended:
                return
            job.stop.set()
            if job in self._waiting:
                self._waiting.remove(job)
                job.words, job.state = "stopped before its turn came", "stopped"
            else:
                job.words = "stopping"

    def wait(self, job: Job, seconds: float) -> bool:
        """Wait until a job has ended; whether it has."""
        with self._changed:
            return self._changed.wait_for(lambda: job.ended, seconds)

    def close(self, seconds: float = 10.0) -> None:
        """Stop everything; a search is given some time to come to its end."""
        with self._changed:
            self._closed = True
            for job in self._jobs.values():
                job.stop.set()
            self._changed.notify_all()
        self._thread.join(seconds)

    # the work

    def _take_on(self, job: Job) -> Job:
        with self._changed:
            if len(self._waiting) >= MOST_WAITING:
                raise BusyError(f"{MOST_WAITING} plans are waiting already. Stop one, or ask again in a while.")
            ended = [each for each in self._jobs.values() if each.ended]
            for each in ended[: max(len(ended) - MOST_REMEMBERED + 1, 0)]:
                del self._jobs[each.id]
            self._jobs[job.id] = job
            self._waiting.append(job)
            self._changed.notify_all()
        return job

    def _work(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: bool(self._waiting) or self._closed)
                if self._closed:
                    return
                job = self._working = self._waiting.popleft()
                job.state = "working"
            state, words = self._carry_out(job)
            with self._changed:
                job.words, job.state = words, state
                self._working = None
                self._changed.notify_all()

    def _carry_out(self, job: Job) -> tuple[str, str]:
        try:
            if job.run is not None:
                self._complete(job, job.run)
            elif job.base:
                self._plan_base(job)
            else:
                job.plan, job.document = self._plan(self._asked_of(job.figures), job)
        except OptimiserError as error:
            job.error = str(error)
            return ("stopped", "stopped before any plan was found") if job.stop.is_set() else ("failed", "no plan")
        except Exception as error:  # the server lives on, and says so
            job.error = f"Something failed that should not: {type(error).__name__}: {error}"
            return "failed", "no plan"
        if job.document is not None and job.document["status"] != "optimal":
            return "done", "stopped: the best plan so far"
        return "done", "done"

    def _asked_of(self, figures: Figures) -> Asked:
        """What a plan with these figures asks, from what the base has learned, and compared with it."""
        base = self._base
        total = {**dict(self.asked.figures), **figures}
        found = replace(
            self.asked, figures=tuple(sorted(total.items())), start=self._kept, brief=True, ready=self._ready
        )
        if RISK_WEIGHT in total:
            found = replace(found, risk_weight=None)  # the figure says it now
        return replace(found, before=None if base is None else base.document)

    def _plan(self, asked: Asked, job: Job) -> tuple[Plan, Row]:
        def step(words: str) -> None:
            if not job.stop.is_set():
                job.words = words

        def search(found: Round) -> None:
            job.round = found

        return make_plan(self.shelf.instance, asked, Told(step, search), job.stop)

    def _plan_base(self, job: Job) -> None:
        plan, document = self._plan(replace(self.asked, keep=True, brief=True, ready=self._ready), job)
        job.document = document
        self._new_base(self.shelf.keep_base(plan, document))

    def _complete(self, job: Job, run: Run) -> None:
        """Work out all of a run; where that is stopped half-way, the run stays as it was."""
        own = run.kept()
        asked = replace(run.asked, start=own or self._kept, keep=True, method=self.asked.method)
        if not job.base and self._base is not None:
            asked = replace(asked, before=self._base.document)
        plan, document = self._plan(asked, job)
        if not whole(document):
            return
        written = self.shelf.replace(run, plan, document)
        if job.base and written is not None:
            self._new_base(written)

    def _new_base(self, run: Run) -> None:
        kept = run.kept()
        with self._changed:
            self._base, self._kept = run, kept

    def _on_shelf(self) -> Run | None:
        """The base of an earlier server, where it was asked the same."""
        found = self.shelf.base()
        if found is None:
            return None
        same = ("gap", "risk_weight", "figures")
        return found if all(getattr(found.asked, name) == getattr(self.asked, name) for name in same) else None


def _fresh_id() -> str:
    return secrets.token_urlsafe(9)
