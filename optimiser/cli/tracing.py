"""The command trace."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from optimiser.cli.shared import Json, show


def trace(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="A folder that --out of any command has written.")],
    figure: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="FIGURE",
            help="Table, row and column, such as years.2026/27.in_house; left out, what can be traced is listed.",
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """Say which terms make up a figure of a run, or why it is no sum, and where their inputs come from."""
    from optimiser.analysis.trail import Run

    found = Run(run)
    if not figure:
        show(found.listed(), as_json, "show_traceable", "traced")
        return
    show(found.trace(" ".join(figure)), as_json, "show_trace", "traced")
