"""The command report."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from optimiser.cli.shared import (
    CapitalOption,
    Gap,
    Scenarios,
    Seed,
    asked_of,
    load,
    no_plan_if_stopped,
    refuse_beside_run,
    telling,
)

if TYPE_CHECKING:
    from optimiser.instance.schema import Instance
    from optimiser.report.layout import Documents

Runs = Annotated[
    list[str],
    typer.Argument(
        metavar="RUN…|INSTANCE",
        help="Folders that plan, appraise, frontier, sensitivity and split have written with --out, or an instance to plan and "
        "appraise first.",
    ),
]


def report(
    context: typer.Context,
    runs: Runs,
    page: Annotated[bool, typer.Option("--page", help="Write the page: one HTML file.")] = False,
    workbook: Annotated[bool, typer.Option("--workbook", help="Write the Excel workbook.")] = False,
    paper: Annotated[bool, typer.Option("--paper", help="Write the committee report, a Word document.")] = False,
    to: Annotated[Path, typer.Option("--to", metavar="DIR", help="Folder to write to.")] = Path(),
    scenarios: Scenarios = None,
    seed: Seed = None,
    gap: Gap = 0.001,
    capital: CapitalOption = None,
) -> None:
    """Write finished runs as a page, a workbook and a committee paper; all three if none is named."""
    with no_plan_if_stopped():
        from optimiser.report.files import commands_in, keep_instances, read_documents, write_report

        wanted = {"page": page, "workbook": workbook, "paper": paper}
        kinds = [kind for kind, named in wanted.items() if named] or list(wanted)
        if len(runs) == 1 and not commands_in(Path(runs[0])):
            found = load(runs[0])
            keep_instances(found.settings.name, kinds, to)  # before the search, and not after it
            documents = _planned(found, scenarios, seed, gap, capital)
        else:
            from optimiser.analysis.trail import headlines_of_runs

            folders = [Path(run) for run in runs]
            refuse_beside_run(context, folders[0], "scenarios", "seed", "gap", "capital")
            documents = read_documents(folders)
            documents |= headlines_of_runs(folders)
        written = write_report(documents, kinds, to)
    for path in written:
        typer.echo(f"Written to {path}.")


def _planned(
    found: Instance, scenarios: int | None, seed: int | None, gap: float, capital: list[str] | None
) -> Documents:
    """An instance planned, and appraised from what that search has learned."""
    from optimiser.analysis.planning import make_appraisal, make_plan
    from optimiser.analysis.trail import headlines_of

    asked = asked_of(scenarios, seed, gap, None, capital, None, "auto")
    with telling() as told:
        made, planned = make_plan(found, replace(asked, keep=True), told)
        _, appraised = make_appraisal(found, replace(asked, start=made.kept), told)
    return {"plan": planned, "appraise": appraised, "trace": headlines_of(made, planned)}
