"""L-shaped decomposition: a two-stage problem solved once, or again and again within other limits of its first stage."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import nullcontext
from dataclasses import replace

import numpy as np

from optimiser.solve import highs
from optimiser.solve.highs import Basis
from optimiser.solve.search import Search
from optimiser.solve.twostage import (
    Cuts,
    Duals,
    Floats,
    Round,
    Settings,
    Stage,
    TwoStageProblem,
    TwoStageSolution,
    legible_factor,
    with_costs_times,
)


def solve_lshaped(
    problem: TwoStageProblem,
    settings: Settings | None = None,
    *,
    start: Floats | None = None,
    cuts: Cuts | None = None,
    executor: Executor | None = None,
    progress: Callable[[Round], None] | None = None,
) -> TwoStageSolution:
    """Solve a two-stage problem by decomposition.

    Parameters
    ----------
    start : a first-stage point to begin from, [column]; left out where it breaks a row of the first stage
    cuts : duals of an earlier solve with the same recourse costs and matrices, whatever else has changed
    executor : where recourse problems are solved; threads of its own without one
    progress : told of every pass over the scenarios

    Raises
    ------
    SolverError
        If HiGHS ends in numerical trouble, or columns without bounds grow beyond 1e10.

    Notes
    -----
    A recourse problem whose cost falls for ever makes the whole problem ``unbounded``, also where only the tail weighs.
    """
    settings = Settings() if settings is None else settings
    began = time.perf_counter()
    highs.check_version()
    with ThreadPoolExecutor(settings.workers) if executor is None else nullcontext(executor) as pool:
        factor = legible_factor(problem)
        told = progress if factor == 1 or progress is None else _in_money(progress, factor)
        within = replace(settings, ceiling=settings.ceiling * factor)
        search = Search(with_costs_times(problem, factor), within, pool, told, began)
        status = search.run(start, None if cuts is None else _times(cuts, factor))
    found = _solution(search, status, factor, time.perf_counter() - began)
    return found if status in ("infeasible", "unbounded") else replace(found, cuts=_times(search.kept(), 1 / factor))


class Standing:
    """A problem solved again and again with other limits, bounds and costs of its first stage.

    Every cut stays: they hold whatever the first stage is. Points met before are never priced again.
    """

    def __init__(
        self, problem: TwoStageProblem, executor: Executor, start: Floats | None = None, cuts: Cuts | None = None
    ) -> None:
        """``executor`` is where recourse problems are solved; ``start`` and ``cuts`` are what another solve has kept."""
        highs.check_version()
        self.factor = legible_factor(problem)
        scaled = with_costs_times(problem, self.factor)
        self._search = Search(scaled, Settings(), executor, None, time.perf_counter())
        self._search.standing = True
        self._start, self._cuts = start, None if cuts is None else _times(cuts, self.factor)

    def solve(
        self,
        first: Stage,
        settings: Settings,
        *,
        cvar_limit: float | None = None,
        start: Floats | None = None,
        executor: Executor | None = None,
        progress: Callable[[Round], None] | None = None,
    ) -> TwoStageSolution:
        """Solve with another first stage of the same columns, and perhaps in another place; without its cuts.

        Parameters
        ----------
        cvar_limit : the limit on the tail mean, None for none
        start : a first-stage point to look at first, [column]
        """
        began, search, factor = time.perf_counter(), self._search, self.factor
        search.executor = search.executor if executor is None else executor
        search.progress = progress if factor == 1 or progress is None else _in_money(progress, factor)
        limit = None if cvar_limit is None else cvar_limit * factor
        within = replace(settings, ceiling=settings.ceiling * factor)
        search.within(replace(first, cost=first.cost * factor), limit, within)
        status = search.run(self._start if start is None else start, self._cuts)
        self._start = self._cuts = None
        return _solution(search, status, factor, time.perf_counter() - began)

    @property
    def bases(self) -> Sequence[Basis | None]:
        """Where the last look at each scenario ended, [scenario]."""
        return self._search.bases

    def kept(self) -> Cuts:
        """What every solve so far has learned, for another."""
        return _times(self._search.kept(), 1 / self.factor)


def _solution(search: Search, status: str, factor: float, seconds: float) -> TwoStageSolution:
    """What a search has come to, in pounds."""
    if status == "beyond":
        bound = search.bound / factor
        return TwoStageSolution(None, np.inf, bound, np.inf, status, None, search.rounds, None, seconds)
    if status in ("infeasible", "unbounded"):
        value = np.inf if status == "infeasible" else -np.inf
        return TwoStageSolution(None, value, value, np.inf, status, None, search.rounds, None, seconds)
    return TwoStageSolution(
        search.x,
        search.objective / factor,
        search.bound / factor,
        search.gap,
        status,
        None if search.costs is None else search.costs / factor,
        search.rounds,
        None,
        seconds,
        search.placed,
    )


def _times(cuts: Cuts, factor: float) -> Cuts:
    """The same duals where costs are multiplied; proofs of infeasibility know no costs."""
    if factor == 1:
        return cuts
    pairs = zip(cuts.dual, cuts.ray, strict=True)
    return replace(cuts, dual=Duals(dual if ray else dual * factor for dual, ray in pairs))


def _in_money(progress: Callable[[Round], None], factor: float) -> Callable[[Round], None]:
    """Progress told in the unit of money of whoever listens."""

    def tell(found: Round) -> None:
        progress(replace(found, incumbent=found.incumbent / factor, bound=found.bound / factor))

    return tell
