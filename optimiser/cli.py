"""The command line: parse, call, print."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from optimiser.errors import NoPlanError, OptimiserError

if TYPE_CHECKING:
    from optimiser.analysis.planning import Asked, Told
    from optimiser.instance.schema import Instance
    from optimiser.solve.kept import Kept

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

InstanceArgument = Annotated[
    str,
    typer.Argument(metavar="INSTANCE", help="A bundled instance by name, or a folder. List them: optimiser instances."),
]
Scenarios = Annotated[
    int | None, typer.Option(min=1, help="Futures to plan on; the instance's own number if left out.")
]
Seed = Annotated[int | None, typer.Option(min=0, help="Seed of the futures; the instance's own if left out.")]
Gap = Annotated[float, typer.Option(min=0.0, max=1.0, help="Stop at this relative gap to the best possible.")]
TimeLimit = Annotated[float | None, typer.Option(min=0.0, help="Stop the search after so many seconds.")]
CapitalOption = Annotated[
    float | None, typer.Option(min=0.0, metavar="£", help="Capital envelope in total, instead of the instance's.")
]
RiskWeight = Annotated[float | None, typer.Option(min=0.0, max=1.0, help="Weight of the worst futures' mean, 0 to 1.")]
Method = Annotated[str, typer.Option(help="auto, extensive or lshaped.")]
Out = Annotated[Path | None, typer.Option(metavar="DIR", help="Write tables and the whole document to this folder.")]
From = Annotated[
    Path | None,
    typer.Option(
        "--from", metavar="RUN", help="Start from what an earlier run has learned: a folder written by --out."
    ),
]
Cluster = Annotated[
    str | None, typer.Option(metavar="ADDRESS", help="Solve on a Dask cluster, as tcp://10.0.0.1:8786.")
]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON document and nothing else.")]


@app.callback()
def options(
    context: typer.Context,
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")] = False,
) -> None:
    """Options of every command."""
    context.obj = {"debug": debug}


@app.command()
def plan(
    instance: InstanceArgument,
    scenarios: Scenarios = None,
    seed: Seed = None,
    gap: Gap = 0.001,
    time_limit: TimeLimit = None,
    capital: CapitalOption = None,
    risk_weight: RiskWeight = None,
    method: Method = "auto",
    cluster: Cluster = None,
    start: From = None,
    out: Out = None,
    as_json: Json = False,
) -> None:
    """Find the plan that costs least over all futures, with what it rests on."""
    with _no_plan_if_stopped():
        from optimiser.analysis.planning import make_plan

        asked = _asked(scenarios, seed, gap, time_limit, capital, risk_weight, method)
        found = _load(instance)
        if out is not None:
            from optimiser.report.files import refuse_unless_writable

            refuse_unless_writable(out)
        kept = None if start is None else _kept(start)
        asked = replace(asked, cluster=cluster, keep=out is not None, start=kept)
        with _telling() as told:
            made, document = make_plan(found, asked, told)
    if out is not None:
        from optimiser.report.files import write_plan

        write_plan(made, document, out, _folder(instance))
    _show(document, as_json, "show_plan")
    _say_written(out, as_json)


@app.command()
def appraise(
    instance: InstanceArgument,
    scenarios: Scenarios = None,
    seed: Seed = None,
    gap: Gap = 0.001,
    time_limit: TimeLimit = None,
    capital: CapitalOption = None,
    risk_weight: RiskWeight = None,
    method: Method = "auto",
    as_json: Json = False,
) -> None:
    """Set the named options and the optimised plan side by side on the same futures, and published figures beside ours."""
    with _no_plan_if_stopped():
        from optimiser.analysis.planning import make_appraisal

        asked = _asked(scenarios, seed, gap, time_limit, capital, risk_weight, method)
        found = _load(instance)
        with _telling() as told:
            _, document = make_appraisal(found, asked, told)
    _show(document, as_json, "show_appraisal")


@app.command()
def simulate(
    instance: Annotated[
        str,
        typer.Argument(
            metavar="RUN|INSTANCE", help="A folder that plan --out has written, or an instance to plan first."
        ),
    ],
    option: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="An option of the instance, or optimised; may be given again."),
    ] = None,
    futures: Annotated[int, typer.Option(min=2, help="Futures to simulate.")] = 200,
    scenarios: Scenarios = None,
    seed: Seed = None,
    gap: Gap = 0.001,
    capital: CapitalOption = None,
    cluster: Cluster = None,
    out: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Write tables and the document to this folder.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Live through plans child by child and bed by bed, on futures that nobody knew when they were made."""
    with _no_plan_if_stopped():
        from optimiser.analysis.simulation.options import make_simulation
        from optimiser.report.files import is_run, read_run, refuse_unless_writable, write_simulation

        if out is not None:
            refuse_unless_writable(out)
        asked, decided = _asked(scenarios, seed, gap, None, capital, None, "auto"), None
        if is_run(Path(instance)):
            found, run = read_run(Path(instance))
            asked = replace(asked, **run["asked"])
            decided = run["decided"]
        else:
            found = _load(instance)
        with _telling() as told:
            asked = replace(asked, cluster=cluster)
            _, document = make_simulation(
                found, asked, names=tuple(option or ()), futures=futures, decided=decided, told=told
            )
    if out is not None:
        write_simulation(document, out)
    _show(document, as_json, "show_simulation", "simulated")
    _say_written(out, as_json)


@app.command()
def value(
    instance: InstanceArgument,
    scenarios: Scenarios = None,
    seed: Seed = None,
    gap: Gap = 0.001,
    capital: CapitalOption = None,
    as_json: Json = False,
) -> None:
    """Say what perfect information, planning under uncertainty and review points are worth, and how sure that is."""
    with _no_plan_if_stopped():
        from optimiser.analysis import value as values

        asked = _asked(scenarios, seed, gap, None, capital, None, "auto")
        found = _load(instance)
        with _telling() as told:
            document = values.value(found, asked, told)
    _show(document, as_json, "show_value", "valued")


@app.command()
def alternatives(
    instance: InstanceArgument,
    within: Annotated[
        str, typer.Option(metavar="SHARE", help="How much dearer than the best a plan may be, as 1% or 0.01.")
    ] = "1%",
    scenarios: Scenarios = None,
    seed: Seed = None,
    gap: Gap = 0.001,
    capital: CapitalOption = None,
    as_json: Json = False,
) -> None:
    """List every materially different plan that costs nearly as little as the best, with what each trades."""
    with _no_plan_if_stopped():
        from optimiser.analysis import alternatives as others

        asked = _asked(scenarios, seed, gap, None, capital, None, "auto")
        share = _share(within)
        found = _load(instance)
        with _telling() as told:
            document = others.alternatives(found, asked, told, share)
    _show(document, as_json, "show_alternatives", "valued")


@app.command()
def check(
    path: Annotated[str, typer.Argument(metavar="PATH", help="A folder, or a bundled instance by name.")],
) -> None:
    """Check an instance: every fault at once, with file, row, field and what would mend it."""
    found = _load(path)
    figures = len(found.figure_values())
    typer.echo(f"{found.settings.name}: no fault. {figures} figures, each with its evidence.")


@app.command()
def new(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Folder to write; its last part names the instance.")],
) -> None:
    """Write a small commented instance that plans as it stands."""
    from optimiser.instance.template import write_template

    write_template(Path(name))
    typer.echo(f"Written to {name}. Check it: optimiser check {name}. Plan it: optimiser plan {name}.")


@app.command()
def instances() -> None:
    """List the bundled instances with their question in one line."""
    import tomllib

    from optimiser.instance.finding import bundled

    for folder in bundled():
        settings = tomllib.loads((folder / "instance.toml").read_text(encoding="utf-8"))
        typer.echo(f"{folder.name}\n    {settings['question']}")


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


# what the commands share


def _asked(
    scenarios: int | None,
    seed: int | None,
    gap: float,
    time_limit: float | None,
    capital: float | None,
    risk_weight: float | None,
    method: str,
) -> Asked:
    from optimiser.analysis.planning import Asked

    if method not in ("auto", "extensive", "lshaped"):
        raise typer.BadParameter("auto, extensive or lshaped", param_hint="--method")
    return Asked(scenarios, seed, gap, time_limit, capital, risk_weight, method)


def _share(words: str) -> float:
    """``1%`` or ``0.01``."""
    try:
        share = float(words.removesuffix("%")) / (100 if words.endswith("%") else 1)
    except ValueError:
        share = -1.0
    if not 0 <= share < 1:
        raise typer.BadParameter("a share as 1% or 0.01", param_hint="--within")
    return share


def _kept(folder: Path) -> Kept:
    from optimiser.report.files import read_kept

    return read_kept(folder)


def _load(name_or_path: str) -> Instance:
    import optimiser

    return optimiser.load(name_or_path)


def _folder(name_or_path: str) -> Path:
    from optimiser.instance.finding import find_instance

    return find_instance(name_or_path)


def _show(document: dict[str, Any], as_json: bool, show: str, module: str = "terminal") -> None:
    if as_json:
        typer.echo(json.dumps(document, indent=2, ensure_ascii=False))
        return
    from rich.console import Console

    from optimiser.report import terminal

    console = Console(width=None if sys.stdout.isatty() else terminal.WIDTH)
    getattr(import_module(f"optimiser.report.{module}"), show)(document, console)


def _say_written(out: Path | None, as_json: bool) -> None:
    if out is not None and not as_json:
        typer.echo(f"Written to {out}.", err=True)


@contextmanager
def _no_plan_if_stopped() -> Iterator[None]:
    """Ctrl-C while there is nothing to show yet; later the search itself stops with the best plan so far."""
    try:
        yield
    except KeyboardInterrupt:
        raise NoPlanError("Stopped before any plan was found.") from None


@contextmanager
def _telling() -> Iterator[Told]:
    """Progress on the terminal, on standard error, where somebody is watching."""
    from optimiser.analysis.planning import Told

    if not sys.stderr.isatty():
        yield Told()
        return
    from rich.console import Console

    from optimiser.report.terminal import progress_words

    console = Console(stderr=True)
    with console.status("reading") as status:
        yield Told(step=status.update, search=lambda found: status.update(progress_words(found)))
