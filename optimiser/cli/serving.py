"""The command serve."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from optimiser.cli.shared import (
    CapitalOption,
    Gap,
    RiskWeight,
    Scenarios,
    Seed,
    TimeLimit,
    asked_of,
    folder_of,
    load,
    no_plan_if_stopped,
    refuse_beside_run,
)

if TYPE_CHECKING:
    from optimiser.analysis.planning import Asked
    from optimiser.serve.desk import Desk
    from optimiser.serve.shelf import Run

ServedArgument = Annotated[
    str,
    typer.Argument(
        metavar="INSTANCE|RUN",
        help="An instance to plan first, or a folder that plan --out has written.",
        show_default=False,
    ),
]


def serve(
    context: typer.Context,
    served: ServedArgument,
    keep: Annotated[
        Path | None,
        typer.Option("--keep", metavar="DIR", help="Folder in which variants are kept; what-if-INSTANCE if left out."),
    ] = None,
    port: Annotated[
        int, typer.Option("--port", min=0, max=65535, help="Port on this computer; 0 for any free one.")
    ] = 8765,
    scenarios: Scenarios = None,
    seed: Seed = None,
    gap: Gap = 0.001,
    time_limit: TimeLimit = None,
    capital: CapitalOption = None,
    risk_weight: RiskWeight = None,
    browse: Annotated[bool, typer.Option("--open", help="Open the page in the browser.")] = False,
) -> None:
    """Open a page on this computer on which envelopes, managers, blocks and risk can be moved, and plans compared."""
    with no_plan_if_stopped():
        from optimiser.report.files import is_run
        from optimiser.serve.server import bound, listen

        if is_run(Path(served)):
            refuse_beside_run(context, Path(served), "scenarios", "seed", "gap", "capital", "risk_weight")
        asked = asked_of(scenarios, seed, gap, time_limit, capital, risk_weight, "auto")
        own = bound(port)
        desk = _desk_of(served, keep, asked)
        listen(desk, own, browse, typer.echo)


def _desk_of(served: str, keep: Path | None, asked: Asked) -> Desk:
    """The desk of an instance, or of a run."""
    from optimiser.report.files import INSTANCE, is_run, read_run
    from optimiser.serve.desk import Desk
    from optimiser.serve.shelf import Run, Shelf

    folder = Path(served)
    base: Run | None = None
    if is_run(folder):
        instance, document = read_run(folder)
        source = folder / INSTANCE
        base = Run(folder.name, "The base", folder, document)
        asked = replace(base.asked, time_limit=asked.time_limit)
    else:
        instance, source = load(served), folder_of(served)
    shelf = Shelf(keep or Path(f"what-if-{instance.settings.name}"), source, instance, asked)
    return Desk(shelf, base)
