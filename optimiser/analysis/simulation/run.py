"""Running it: blocks of futures, one after the other or on several processors, and what the optimiser makes of the same."""

from __future__ import annotations

import multiprocessing
from collections.abc import Hashable, Mapping
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from typing import Generic, TypeVar

from models.decisions import Decisions
from optimiser.analysis.simulation.beds import Draws, Places, most_units, places_of
from optimiser.analysis.simulation.draws import BLOCK, Block, Ground, Unseen, block_of, decisions_by_month
from optimiser.analysis.simulation.placing import Policy, live
from optimiser.analysis.simulation.results import Outcome, outcome_of

Name = TypeVar("Name", bound=Hashable)


@dataclass(frozen=True, eq=False)
class Task(Generic[Name]):
    """One block of futures, to be lived through under several sets of decisions."""

    ground: Ground
    futures: Unseen
    options: Mapping[Name, tuple[Decisions, Policy]]
    seed: int


def run(task: Task[Name]) -> dict[Name, Outcome]:
    """Outcomes of one block, by option."""
    block = block_of(task.ground, task.futures, task.seed)
    return lived_by(task.ground, block, task.options)


def lived_by(
    ground: Ground, block: Block, options: Mapping[Name, tuple[Decisions, Policy]], parts: int = 1
) -> dict[Name, Outcome]:
    """Outcomes of a block that is drawn already, by option; ``parts`` as for ``live``."""
    decided = {name: decisions for name, (decisions, _) in options.items()}
    found = {}
    for name, (places, draws) in beds_of(ground, block, decided).items():
        found[name] = outcome_of(block, places, live(block, places, draws, options[name][1], parts))
    return found


def beds_of(ground: Ground, block: Block, options: Mapping[Name, Decisions]) -> dict[Name, tuple[Places, Draws]]:
    """Beds of a block under each set of decisions, with the draws that belong to beds, which all options share."""
    by_month = {name: decisions_by_month(ground, block.problem, decisions) for name, decisions in options.items()}
    draws = Draws.of(block, most_units(block.problem, tuple(by_month.values())))
    return {name: (places_of(block, decisions, draws), draws) for name, decisions in by_month.items()}


def simulated(
    ground: Ground, futures: Unseen, options: Mapping[Name, tuple[Decisions, Policy]], seed: int, workers: int = 1
) -> dict[Name, Outcome]:
    """Outcomes on all futures, by option; the same bytes at any number of workers."""
    tasks = [Task(ground, futures.block(start), options, seed) for start in range(0, len(futures.numbers), BLOCK)]
    if workers <= 1 or len(tasks) <= 1:
        parts = [run(task) for task in tasks]
    else:
        # started afresh: a copy of a process in which HiGHS or BLAS has threads can hang
        context = multiprocessing.get_context("spawn")
        with ProcessPoolExecutor(min(workers, len(tasks)), mp_context=context) as pool:
            parts = list(pool.map(run, tasks))
    return {name: Outcome.joined([part[name] for part in parts]) for name in options}
