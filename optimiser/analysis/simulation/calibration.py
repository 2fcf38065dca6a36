"""Matching occupancy calibrated from the simulation: how full the optimiser may take a home or contract to be.

The simulation knows how whole children fill whole beds that do or do not match; the optimiser only knows a cap on the mean
(*matching occupancy*). Calibrated, the cap is such that on the same futures and under the same decisions the optimiser fills
as many bed-weeks of a source as the simulation does. Where somebody always waits that is what matching lets be filled: one
half of a two-bed home in which no two children match, all of it where all do. Elsewhere it also holds the weeks in which a
bed waits for a child whom nobody could foresee.

Who matches whom stays as it is: the instance keeps the former figure as ``matching_in_demand``, from which the simulation
draws it. So simulating a calibrated instance gives the same figures again.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from models.decisions import Decisions
from models.problem import Problem
from optimiser.analysis.simulation import PAIRED, Simulated
from optimiser.analysis.simulation.draws import BLOCK, block_of, decisions_by_month, ground_of, in_demand_of, unseen
from optimiser.analysis.simulation.foresight import alone
from optimiser.demand.scenarios import standard_error
from optimiser.solve.engine import Placing
from optimiser.verify import verify

Floats = NDArray[np.float64]

#: Rounds of the search for the figures, and the part of its standard error to which each is found.
ROUNDS, PRECISION = 8, 0.1
#: Least figure: the optimiser wants a little of every home.
LEAST = 0.05
#: How much lower a figure is tried, for how much it matters.
STEP = 0.05
#: Standard error beyond which a figure is not told: there is too little demand for matching to matter.
TOO_WIDE = 0.1


@dataclass(frozen=True)
class Calibrated:
    """One source: the matching occupancy as it was and as it comes out; None where the simulation cannot tell, and why."""

    table: str  # homes or lots
    source: str
    before: float
    in_demand: float
    figure: float | None
    standard_error: float | None
    why_not: str
    filled_weeks: float  # bed-weeks filled a future, simulated, all options together
    optimiser_weeks: float  # as the optimiser fills them with the figures as they were


@dataclass(frozen=True)
class Calibration:
    """All sources, and the foresight gap of each option before and after, as mean and standard error, £."""

    sources: tuple[Calibrated, ...]
    futures: int
    gap_before: dict[str, tuple[float, float | None]]
    gap_after: dict[str, tuple[float, float | None]]


@dataclass(frozen=True, eq=False)
class _Seen:
    """What the optimiser makes of the futures at some figures."""

    weeks: Floats  # bed-weeks filled, all options together, [scenario, source]
    cost: dict[str, Floats]  # present real £ by option, each [scenario]


def calibrate(
    found: Mapping[str, Simulated],
    *,
    seed: int | None = None,
    count: int = PAIRED,
    told: Callable[[str], None] | None = None,
) -> Calibration:
    """Matching occupancy of every home and contract with beds in any of some simulated options.

    Parameters
    ----------
    found
        As ``simulate`` returns it.
    seed
        The seed that was simulated; the instance's own where left out.
    count
        Futures on which simulation and optimiser are compared: the first of those simulated.

    Notes
    -----
    Sources between which the optimiser cannot choose (homes of one price for the same cohorts, a contract and the
    building it is run from) share one factor. Standard errors are those of the difference in bed-weeks, divided by
    how much the optimiser's change with the figure.
    """
    first = next(iter(found.values()))
    ground = ground_of(first.instance, first.problem)
    count = min(count, len(first.outcome.term_gbp))
    own = first.instance.settings.seed if seed is None else seed
    futures = unseen(first.instance, first.problem, count, seed=seed)
    problems = [alone(block_of(ground, futures.block(at), own).problem, count - at) for at in range(0, count, BLOCK)]
    decided = [
        {name: decisions_by_month(ground, problem, option.decisions) for name, option in found.items()}
        for problem in problems
    ]
    weeks = problems[0].weeks
    lived = sum((option.outcome.children[:count].sum(axis=1) @ weeks for option in found.values()), start=np.zeros(1))
    has_beds = sum(option.outcome.beds[:count].sum(axis=(0, 2)) for option in found.values())
    placing = Placing()

    def seen(figures: Floats) -> _Seen:
        return _placed(placing, problems, decided, figures)

    problem = problems[0]
    stated = np.concatenate([problem.home_occupancy, problem.lot_occupancy])
    groups = [
        group
        for group in _groups(problem)
        if all(np.isfinite(has_beds[source]) for source in group) and lived[:, group].any()
    ]
    before = seen(stated)
    figures, after = _solved(groups, stated, before, lived, seen, told or _nobody)
    lower = figures.copy()
    for group in groups:
        lower[group] = figures[group] * (1 - STEP)
    slopes = (after.weeks - seen(lower).weeks).mean(
        axis=0
    ) / STEP  # bed-weeks by which the figure is changed by all of itself
    errors: dict[int, float | None] = {}
    told_apart = stated.copy()
    for group in groups:
        error = standard_error((lived - after.weeks)[:, group].sum(axis=1))
        slope = float(slopes[group].sum())
        for source in group:
            wide = error is None or slope <= 0
            errors[source] = None if wide else float(figures[source]) * (error or 0.0) / slope
        if all(errors[source] is not None and (errors[source] or 0.0) <= TOO_WIDE for source in group):
            told_apart[group] = figures[group]
    settled = after if np.array_equal(told_apart, figures) else seen(told_apart)
    known = {source for group in groups for source in group}
    sources = tuple(
        _row(first, source, float(stated[source]), float(figures[source]), errors, source in known, lived, before)
        for source in range(len(stated))
    )
    simulated = {name: option.outcome.cost_gbp[:count] for name, option in found.items()}
    gaps = [
        {name: (float(d.mean()), standard_error(d)) for name, cost in simulated.items() for d in [cost - at.cost[name]]}
        for at in (before, settled)
    ]
    return Calibration(sources, count, *gaps)


def _row(
    simulated: Simulated,
    source: int,
    stated: float,
    figure: float,
    errors: Mapping[int, float | None],
    known: bool,
    lived: Floats,
    before: _Seen,
) -> Calibrated:
    instance, homes = simulated.instance, len(simulated.problem.homes)
    row = instance.homes[source] if source < homes else instance.lots[source - homes]
    error = errors.get(source)
    why_not = ""
    if not known:
        why_not = "no child lives there in any option simulated"
    elif error is None or error > TOO_WIDE:
        why_not = "too little demand for matching to matter"
    return Calibrated(
        table="homes" if source < homes else "lots",
        source=simulated.problem.sources[source],
        before=stated,
        in_demand=in_demand_of(row),
        figure=None if why_not else round(figure, 4),
        standard_error=None if why_not else error,
        why_not=why_not,
        filled_weeks=float(lived[:, source].mean()),
        optimiser_weeks=float(before.weeks[:, source].mean()),
    )


def _groups(problem: Problem) -> list[list[int]]:
    """Sources between which the optimiser cannot choose: home types first, then lots, as in ``Problem.sources``."""
    alike: dict[tuple[object, ...], list[int]] = {}
    for home in range(len(problem.homes)):
        if problem.home_council_run[home]:
            price = tuple(float(scenario.variable_price[home].mean()) for scenario in problem.scenarios)
            alike.setdefault(("home", problem.allowed[:, home].tobytes(), price), []).append(home)
    for lot in range(len(problem.lots)):
        building = int(problem.lot_building[lot])
        # beds are the fewest of what the contract and its building let be filled
        own = alike.setdefault(("building", building if building >= 0 else -1 - lot), [])
        own.extend([building] if building >= 0 and not own else [])
        own.append(problem.lot_source + lot)
    return list(alike.values())


def _solved(
    groups: list[list[int]],
    stated: Floats,
    before: _Seen,
    lived: Floats,
    seen: Callable[[Floats], _Seen],
    told: Callable[[str], None],
) -> tuple[Floats, _Seen]:
    """Figures at which the optimiser fills as many bed-weeks as the simulation, by false position, all groups at once."""
    figures, at = stated.copy(), before
    low = [(LEAST, -np.inf)] * len(groups)  # factor, and bed-weeks too many there; below and above nothing
    high: list[tuple[float, float]] = [(1.0, np.inf)] * len(groups)
    for round_ in range(ROUNDS):
        told(f"calibrating matching occupancy: round {round_ + 1}")
        wanted = figures.copy()
        for number, group in enumerate(groups):
            excess = (at.weeks - lived)[:, group].sum(axis=1)
            most, mean = float(figures[group].max()), float(excess.mean())
            if abs(mean) <= max(PRECISION * (standard_error(excess) or 0.0), 1e-6 * float(lived[:, group].sum())):
                continue
            if mean > 0:
                high[number] = (most, mean)
            else:
                low[number] = (most, mean)
            wanted[group] = (
                figures[group]
                / most
                * _next(low[number], high[number], most, mean, float(lived[:, group].mean(axis=0).sum()))
            )
        if np.abs(wanted - figures).max(initial=0.0) < 1e-6:
            break
        figures = wanted
        at = seen(figures)
    return figures, at


def _next(low: tuple[float, float], high: tuple[float, float], now: float, excess: float, lived: float) -> float:
    """The next figure to try: in proportion while only one side is known, between the two by false position after."""
    if np.isinf(low[1]) or np.isinf(high[1]):
        return float(np.clip(now * lived / max(lived + excess, 1e-9), LEAST, 1.0))
    share = -low[1] / (high[1] - low[1])
    # never nearer to an end than a tenth: false position is slow where the optimiser's bed-weeks bend
    return low[0] + (high[0] - low[0]) * float(np.clip(share, 0.1, 0.9))


def _placed(placing: Placing, problems: list[Problem], decided: list[dict[str, Decisions]], figures: Floats) -> _Seen:
    weeks, cost = [], {name: [] for name in decided[0]}  # type: tuple[list[Floats], dict[str, list[Floats]]]
    for problem, options in zip(problems, decided, strict=True):
        homes = len(problem.homes)
        own = replace(problem, home_occupancy=figures[:homes], lot_occupancy=figures[homes:])
        filled = np.zeros((len(problem.scenarios), len(problem.sources)))
        for name, decisions in options.items():
            placements = placing.place(own, decisions)
            filled += np.array([placed.placed.sum(axis=0) @ problem.weeks for placed in placements])
            cost[name].append(verify(own, decisions, placements).scenario_pounds)
        weeks.append(filled)
    return _Seen(np.concatenate(weeks), {name: np.concatenate(parts) for name, parts in cost.items()})


def _nobody(words: str) -> None:
    """Nobody is told."""
