"""Which decisions are simulated side by side: a plan's, or a run's, and the options that an instance names."""

from __future__ import annotations

import time
from typing import Any

from models.decisions import Decisions
from optimiser.analysis.appraisal import DO_NOTHING, OPTIMISED, appraise_options, best_plan
from optimiser.analysis.planning import Asked, Told, prepare, reduction_of, refuse_if_stopped
from optimiser.analysis.simulation import FUTURES, Simulated, simulate
from optimiser.analysis.simulation.calibration import calibrate
from optimiser.analysis.simulation.summary import calibration_row, simulation_document, titles_by_option
from optimiser.errors import Fault, InstanceError
from optimiser.instance.schema import Instance
from optimiser.solve.compile import decisions_from
from optimiser.solve.engine import WORKERS, Engine, stopped_by_hand
from optimiser.solve.executor import executor
from optimiser.solve.twostage import Settings

Row = dict[str, Any]

#: Names every option at once.
ALL = "all"


def make_simulation(
    instance: Instance,
    asked: Asked,
    *,
    names: tuple[str, ...] = (),
    futures: int = FUTURES,
    decided: dict[str, float] | None = None,
    take_apart: bool = False,
    calibrates: bool = False,
    told: Told | None = None,
) -> tuple[dict[str, Simulated], Row]:
    """Simulate options of an instance on the same unseen futures, and the document.

    Parameters
    ----------
    asked
        As for the plan; its seed must be that of the run where there is one.
    names
        Options, or ``all``; the optimised plan, doing nothing and the paper's own where none is named.
    decided
        What a run decided, by name; the plan is sought where left out.
    take_apart
        Whether to say what the foresight gap of each option is made of.
    calibrates
        Whether to calibrate matching occupancy on these options.

    Raises
    ------
    InstanceError
        Where an option is not one of the instance's, or its futures come from a table, which holds no child.
    """
    told = told or Told()
    began = time.perf_counter()
    _refuse(instance, names)
    with stopped_by_hand() as stop, executor(asked.cluster, WORKERS) as pool:
        told.step("drawing futures and building the model")
        reduction = reduction_of(instance, asked)
        instance, engine = prepare(instance, asked, pool, reduction)
        refuse_if_stopped(stop)
        settings = Settings(gap=asked.gap, time_limit=asked.time_limit, stop=stop)
        chosen = _options(instance, engine, settings, asked, names, decided, told)
        refuse_if_stopped(stop)
        found = simulate(
            instance,
            engine.problem,
            chosen,
            futures=futures,
            seed=asked.seed,
            reduction=reduction,
            take_apart=take_apart,
            told=told.step,
        )
        calibrated = calibrate(found, seed=asked.seed, told=told.step) if calibrates else None
    document = simulation_document(found, titles_by_option(instance)) | {
        "seed": instance.settings.seed if asked.seed is None else asked.seed,
        "calibration": None if calibrated is None else calibration_row(calibrated),
    }
    return found, document | {"timings": {"total_seconds": time.perf_counter() - began}}


def _options(
    instance: Instance,
    engine: Engine,
    settings: Settings,
    asked: Asked,
    names: tuple[str, ...],
    decided: dict[str, float] | None,
    told: Told,
) -> dict[str, Decisions]:
    if ALL in names:
        names = (OPTIMISED, DO_NOTHING, *(row.option for row in instance.options))
    wanted = names or (OPTIMISED, DO_NOTHING, *(row.option for row in instance.options if row.paper))
    chosen: dict[str, Decisions] = {}
    if OPTIMISED in wanted:
        if decided is not None:
            chosen[OPTIMISED] = decisions_from(engine.first, engine.problem, engine.first.values(decided))
        else:
            told.step("searching for the best plan")
            chosen[OPTIMISED] = best_plan(instance, engine, settings, told.search, asked.method).decisions
    own = tuple(name for name in wanted if name != OPTIMISED)
    for option in appraise_options(instance, engine, settings, own, told.step):
        if option.plan is not None:
            chosen[option.name] = option.plan.decisions
    return chosen


def _refuse(instance: Instance, names: tuple[str, ...]) -> None:
    known = tuple(dict.fromkeys((ALL, OPTIMISED, DO_NOTHING, *(row.option for row in instance.options))))
    fix = f"Name one of: {', '.join(known)}."
    faults = [
        Fault("the command", None, "--option", name, "is no option of the instance", fix)
        for name in names
        if name not in known
    ]
    if instance.scenarios:
        rule = "gives futures as tables of totals, and children are drawn one by one"
        fix = "Delete the table, so that futures are drawn from the cohorts' distributions."
        faults.append(Fault("scenarios.csv", None, "", "", rule, fix))
    if faults:
        raise InstanceError(faults, instance.settings.name)
