"""Arguments, options and manners that the commands share."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from optimiser.amounts import amount_of
from optimiser.errors import NoPlanError

if TYPE_CHECKING:
    from optimiser.analysis.planning import Asked, Told
    from optimiser.analysis.slippage import Slippage
    from optimiser.instance.schema import Instance
    from optimiser.solve.kept import Kept

InstanceArgument = Annotated[
    str,
    typer.Argument(
        metavar="INSTANCE",
        help="A bundled instance by name, a folder, or a workbook (.xlsx). List them: optimiser instances.",
    ),
]
Scenarios = Annotated[
    int | None, typer.Option(min=1, help="Futures to plan on; the instance's own number if left out.")
]
ReduceFrom = Annotated[
    int | None,
    typer.Option(min=1, metavar="N", help="Draw so many futures, and plan on those of them that best stand for all."),
]
Stress = Annotated[
    list[str] | None,
    typer.Option(
        "--stress",
        metavar="NAME",
        help="Test what is found under a named stress, or all; may be given again. NAME=VALUE and NAME@ITEM change it; "
        "a name that is not known lists those that are.",
    ),
]
Seed = Annotated[int | None, typer.Option(min=0, help="Seed of the futures; the instance's own if left out.")]
Gap = Annotated[float, typer.Option(min=0.0, max=1.0, help="Stop at this relative gap to the best possible.")]
TimeLimit = Annotated[float | None, typer.Option(min=0.0, help="Stop the search after so many seconds.")]
CapitalOption = Annotated[
    list[str] | None,
    typer.Option(
        "--capital",
        metavar="[NAME=]£",
        help="Capital envelope in total, instead of the instance's, as 2.8m. Where there are several, each by its name, as "
        "in-house=2.8m; may be given again.",
    ),
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
RegistrationDelay = Annotated[
    int, typer.Option("--registration-delay", min=0, metavar="+MONTHS", help="Every registration takes so much longer.")
]
CapitalYear = Annotated[
    list[str] | None,
    typer.Option(
        "--capital-year",
        metavar="[NAME:]YEAR=£",
        help="Capital that a year releases, as 2026/27=500k. Where there are several envelopes, by name, as in-house:2026/27=500k; "
        "may be given again.",
    ),
]
CarryForward = Annotated[
    bool | None, typer.Option("--carry-forward/--no-carry-forward", help="Whether unused capital may be used later.")
]
GrantRefused = Annotated[bool, typer.Option("--grant-refused", help="Homes are bought without their grants.")]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON document and nothing else.")]


def asked_of(
    scenarios: int | None,
    seed: int | None,
    gap: float,
    time_limit: float | None,
    capital: list[str] | None,
    risk_weight: float | None,
    method: str,
    reduce_from: int | None = None,
) -> Asked:
    """What the options ask of a plan."""
    from optimiser.analysis.planning import Asked

    if method not in ("auto", "extensive", "lshaped"):
        raise typer.BadParameter("auto, extensive or lshaped", param_hint="--method")
    total, envelopes = capital_of(capital)
    return Asked(
        scenarios, seed, gap, time_limit, total, risk_weight, method, reduce_from=reduce_from, envelopes=envelopes
    )


def capital_of(given: list[str] | None) -> tuple[float | None, tuple[tuple[str, float], ...]]:
    """Capital in total of the only envelope, and by envelope: ``2.8m`` or ``in-house=2.8m``."""
    alone, named = [], []
    for words in given or ():
        name, equals, amount = words.rpartition("=")
        pounds = amount_of(amount)
        if pounds is None or bool(equals) != bool(name.strip()):
            rule = f"{words}: pounds, as 2.8m, or an envelope and its pounds, as in-house=2.8m"
            raise typer.BadParameter(rule, param_hint="--capital")
        if name:
            named.append((name.strip(), pounds))
        else:
            alone.append(pounds)
    if len(alone) > 1:
        raise typer.BadParameter("more than one amount without a name: as in-house=2.8m", param_hint="--capital")
    return (alone[0] if alone else None), tuple(named)


def share_of(words: str, option: str = "--within") -> float:
    """``1%`` or ``0.01``."""
    try:
        share = float(words.removesuffix("%")) / (100 if words.endswith("%") else 1)
    except ValueError:
        share = -1.0
    if not 0 <= share < 1:
        raise typer.BadParameter("a share as 1% or 0.01", param_hint=option)
    return share


def refuse_given(context: typer.Context, beside: str, why: str, *names: str) -> None:
    """Refuse options that would change nothing beside what else was given, rather than leave them unheard.

    Parameters
    ----------
    beside
        What they do not go with, as ``a finished run``.
    why
        Why not, and what to do instead: one sentence or two.
    names
        Parameters of the command.

    Raises
    ------
    typer.BadParameter
        If any was given on the command line; all are named.
    """
    given = [
        next((words for words in parameter.opts if words.startswith("--")), parameter.opts[0])
        for parameter in context.command.params
        if parameter.name in names and _by_hand(context, parameter.name or "")
    ]
    if given:
        names_given = given[0] if len(given) == 1 else f"{', '.join(given[:-1])} and {given[-1]}"
        raise typer.BadParameter(f"{names_given} {'does' if len(given) == 1 else 'do'} not go with {beside}. {why}")


def _by_hand(context: typer.Context, name: str) -> bool:
    source = context.get_parameter_source(name)
    return source is not None and source.name == "COMMANDLINE"


def refuse_beside_run(context: typer.Context, run: Path, *names: str, by: str = "plan") -> None:
    """Refuse options that ask for another plan where a finished run of the command ``by`` is given, which keeps its own."""
    anew = f"optimiser {by} INSTANCE with these options and --out DIR"
    why = f"{run} holds what was planned already, and for which futures. Give the instance instead, or run {anew}."
    refuse_given(context, "a finished run", why, *names)


def kept_in(folder: Path) -> Kept:
    """What an earlier run has learned."""
    from optimiser.report.files import read_kept

    return read_kept(folder)


def document_of(folder: Path) -> dict[str, Any]:
    """Document of an earlier run."""
    from optimiser.report.files import read_run

    return read_run(folder)[1]


def slippage_of(
    registration_delay: int, capital_year: list[str] | None, carry_forward: bool | None, grant_refused: bool
) -> Slippage:
    """What the options say has slipped."""
    from optimiser.analysis.slippage import Slippage

    years = []
    for words in capital_year or ():
        year, _, amount = words.partition("=")
        pounds = amount_of(amount)
        if pounds is None:
            raise typer.BadParameter(f"{words}: a year and its capital, as 2026/27=500k", param_hint="--capital-year")
        years.append((year.strip(), pounds))
    return Slippage(registration_delay, tuple(years), carry_forward, grant_refused)


def load(name_or_path: str) -> Instance:
    """A validated instance: a bundled one by name, or a folder."""
    import optimiser

    return optimiser.load(name_or_path)


def say_remarks(instance: Instance, name_or_path: str, err: bool = False) -> None:
    """Say what deserves a second look in an instance of one's own, by the file or the sheet that it stands in."""
    from optimiser.instance.remarks import remarks
    from optimiser.instance.workbook import in_sheets, is_workbook

    path = Path(name_or_path)
    for words in remarks(instance) if path.exists() else ():
        typer.echo(f"Note: {in_sheets(words) if is_workbook(path) else words}", err=err)


def folder_of(name_or_path: str) -> Path:
    """Folder of an instance."""
    from optimiser.instance.finding import find_instance

    return find_instance(name_or_path)


def show(document: dict[str, Any], as_json: bool, show: str, module: str = "terminal") -> None:
    """Print a document: as JSON, or in words by a function of ``optimiser.report``."""
    if as_json:
        typer.echo(json.dumps(document, indent=2, ensure_ascii=False))
        return
    from rich.console import Console

    from optimiser.report import terminal

    console = Console(width=None if sys.stdout.isatty() else terminal.WIDTH)
    getattr(import_module(f"optimiser.report.{module}"), show)(document, console)


def say_written(out: Path | None, as_json: bool) -> None:
    """Say where the files are, on standard error."""
    if out is not None and not as_json:
        typer.echo(f"Written to {out}.", err=True)


@contextmanager
def no_plan_if_stopped() -> Iterator[None]:
    """Ctrl-C while there is nothing to show yet; later the search itself stops with the best plan so far."""
    try:
        yield
    except KeyboardInterrupt:
        raise NoPlanError("Stopped before any plan was found.") from None


@contextmanager
def telling() -> Iterator[Told]:
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
