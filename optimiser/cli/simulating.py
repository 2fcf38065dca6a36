"""The command simulate."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import typer

from optimiser.cli.shared import (
    CapitalOption,
    Cluster,
    Gap,
    Json,
    Scenarios,
    Seed,
    asked_of,
    folder_of,
    load,
    no_plan_if_stopped,
    refuse_beside_run,
    say_written,
    show,
    telling,
)


def simulate(
    context: typer.Context,
    instance: Annotated[
        str,
        typer.Argument(
            metavar="RUN|INSTANCE", help="A folder that plan --out has written, or an instance to plan first."
        ),
    ],
    option: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="An option of the instance, optimised, or all; may be given again."),
    ] = None,
    futures: Annotated[int, typer.Option(min=2, help="Futures to simulate.")] = 200,
    scenarios: Scenarios = None,
    seed: Seed = None,
    gap: Gap = 0.001,
    capital: CapitalOption = None,
    cluster: Cluster = None,
    take_apart: Annotated[
        bool, typer.Option("--take-apart", help="Say what the foresight gap of each option is made of.")
    ] = False,
    calibrate_occupancy: Annotated[
        bool,
        typer.Option(
            "--calibrate-occupancy",
            help="Say at what matching occupancy the optimiser fills beds as the simulation does; "
            "--out then writes a copy of the instance with these figures.",
        ),
    ] = False,
    out: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Write tables and the document to this folder.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Live through plans child by child and bed by bed, on futures that nobody knew when they were made."""
    with no_plan_if_stopped():
        from optimiser.analysis.planning import asked_again
        from optimiser.analysis.simulation.options import make_simulation
        from optimiser.report.files import (
            INSTANCE,
            is_run,
            read_run,
            refuse_own_folder,
            refuse_unless_writable,
            write_calibrated,
            write_simulation,
        )

        run_folder = is_run(Path(instance))
        if run_folder:
            refuse_beside_run(context, Path(instance), "scenarios", "seed", "gap", "capital")
        source = Path(instance) / INSTANCE if run_folder else folder_of(instance)
        if out is not None:
            if calibrate_occupancy:
                refuse_own_folder(out, source)
            refuse_unless_writable(out, "simulate")
        asked, decided = asked_of(scenarios, seed, gap, None, capital, None, "auto"), None
        if run_folder:
            found, run = read_run(Path(instance))
            asked = asked_again(run["asked"])
            decided = run["decided"]
        else:
            found = load(instance)
        with telling() as told:
            asked = replace(asked, cluster=cluster)
            _, document = make_simulation(
                found,
                asked,
                names=tuple(option or ()),
                futures=futures,
                decided=decided,
                take_apart=take_apart,
                calibrates=calibrate_occupancy,
                told=told,
            )
    if out is not None and calibrate_occupancy:
        write_calibrated(document, out, source, _command(instance, option, scenarios, capital, document))
    elif out is not None:
        write_simulation(document, out, source)
    show(document, as_json, "show_simulation", "simulated")
    say_written(out, as_json)


def _command(
    instance: str,
    option: list[str] | None,
    scenarios: int | None,
    capital: list[str] | None,
    document: dict[str, Any],
) -> str:
    """The command that gives these figures again, for the register of evidence."""
    words = ["optimiser simulate", Path(instance).name or instance, "--calibrate-occupancy"]
    words += [f"--option {name}" for name in option or ()]
    words += [f"--futures {document['futures']}", f"--seed {document['seed']}"]
    words += [] if scenarios is None else [f"--scenarios {scenarios}"]
    words += [f"--capital {each}" for each in capital or ()]
    return " ".join(words)
