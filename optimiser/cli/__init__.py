"""The command line: parse, call, print. One file per kind of question."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from optimiser.cli import (
    demanding,
    frontier,
    instances,
    planning,
    reporting,
    serving,
    simulating,
    splitting,
    tracing,
    valuing,
)
from optimiser.errors import OptimiserError

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    help="How many children's-home beds to own, how many to contract for, and when to spot purchase.",
    epilog=(
        "Exit codes: 0 done; 1 the instance has faults; 2 the command was not understood; 3 no plan keeps every limit; "
        "4 stopped before any plan was found; 5 the solver failed."
    ),
)


@app.callback()
def options(
    context: typer.Context,
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")] = False,
) -> None:
    """Options of every command."""
    context.obj = {"debug": debug}


for command in (
    planning.plan,
    planning.appraise,
    frontier.frontier,
    frontier.sensitivity,
    simulating.simulate,
    valuing.value,
    valuing.alternatives,
    demanding.demand,
    demanding.synthesise,
    splitting.split,
    tracing.trace,
    reporting.report,
    serving.serve,
    instances.check,
    instances.new,
    instances.convert,
    instances.instances,
):
    app.command()(command)


def main() -> None:
    """Run the command line; errors are told in words, with an exit code that scripts can read."""
    debug = "--debug" in sys.argv[1:]
    if debug:
        # wherever it stands on the line
        sys.argv.remove("--debug")
        sys.argv.insert(1, "--debug")
    try:
        app()
    except OptimiserError as error:
        if debug:
            raise
        typer.echo(str(error), err=True)
        raise SystemExit(error.exit_code) from None
