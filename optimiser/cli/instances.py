"""The commands check, new and instances."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from optimiser.cli.shared import folder_of, load, say_remarks


def check(
    path: Annotated[str, typer.Argument(metavar="PATH", help="A folder, a workbook, or a bundled instance by name.")],
) -> None:
    """Check an instance: every fault at once, with file, row, field and what would mend it; and what deserves a second look."""
    found = load(path)
    figures = len(found.figure_values())
    typer.echo(f"{found.settings.name}: no fault. {figures} figures, each with its evidence.")
    say_remarks(found, path)


def new(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Folder to write; its last part names the instance.")],
    workbook: Annotated[bool, typer.Option("--workbook", help="Write an Excel workbook, NAME.xlsx, instead.")] = False,
) -> None:
    """Write a small commented instance that plans as it stands."""
    from optimiser.instance.template import write_template

    if workbook:
        from optimiser.instance.workbook import ENDING, write_template_workbook

        name = name.removesuffix(ENDING) + ENDING
        write_template_workbook(Path(name))
    else:
        write_template(Path(name))
    typer.echo(f"Written to {name}. Check it: optimiser check {name}. Plan it: optimiser plan {name}.")


def convert(
    source: Annotated[
        str, typer.Argument(metavar="SOURCE", help="A folder, a workbook, or a bundled instance by name.")
    ],
    target: Annotated[
        Path, typer.Argument(metavar="TARGET", help="A new folder, or a new workbook that ends in .xlsx.")
    ],
) -> None:
    """Write an instance's folder as a workbook, or its workbook as a folder, without loss."""
    from optimiser.instance.workbook import convert

    convert(folder_of(source), target)
    typer.echo(f"Written to {target}. Check it: optimiser check {target}.")


def instances() -> None:
    """List the bundled instances with their question in one line."""
    import tomllib

    from optimiser.instance.finding import bundled

    for folder in bundled():
        settings = tomllib.loads((folder / "instance.toml").read_text(encoding="utf-8"))
        typer.echo(f"{folder.name}\n    {settings['question']}")
