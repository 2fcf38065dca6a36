"""The command split."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from optimiser.cli.shared import (
    Cluster,
    Gap,
    Json,
    Out,
    Scenarios,
    Seed,
    asked_of,
    folder_of,
    load,
    no_plan_if_stopped,
    refuse_beside_run,
    refuse_given,
    say_written,
    show,
    telling,
)

if TYPE_CHECKING:
    from optimiser.analysis.games import CostGame


#: What asks for plans, which a finished split and a game from a file have already.
PLANNING = ("scenarios", "seed", "gap", "workers", "orders", "entitlements", "resale", "cluster")
#: Pounds that an invoice can be for.
MOST_POUNDS = 1e13


def split(
    context: typer.Context,
    instance: Annotated[
        str | None,
        typer.Argument(
            metavar="INSTANCE", help="A bundled instance, a folder, or an earlier run of split to settle by."
        ),
    ] = None,
    costs: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="A cost game instead: a CSV file with the columns coalition (a+b) and cost."),
    ] = None,
    settle: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Child-weeks that there were: a CSV file, authority and child_weeks."),
    ] = None,
    rule: Annotated[
        str, typer.Option(help="The rule agreed, for invoices: shapley, nucleolus, by_demand …")
    ] = "shapley",
    amount: Annotated[float | None, typer.Option(metavar="£", help="Pounds really spent, for invoices.")] = None,
    scenarios: Scenarios = None,
    seed: Seed = None,
    gap: Gap = 0.0001,
    workers: Annotated[int, typer.Option(min=1, help="Groups of councils planned at a time.")] = 2,
    orders: Annotated[
        int, typer.Option(min=4, help="Orders sampled for the Shapley value of more than ten partners.")
    ] = 40,
    entitlements: Annotated[
        bool, typer.Option(help="Plan for fixed entitlements too: beds nominated by each council and kept to itself.")
    ] = True,
    resale: Annotated[
        float | None, typer.Option(min=0.0, metavar="£", help="What an idle nominated bed is sold on for a week.")
    ] = None,
    cluster: Cluster = None,
    out: Out = None,
    as_json: Json = False,
) -> None:
    """Say who should join a joint procurement, who pays what under each rule, and whether anyone is better off alone."""
    if (instance is None) == (costs is None):
        raise typer.BadParameter("give an INSTANCE or --costs FILE, and not both", param_hint="INSTANCE")
    if amount is not None and not abs(amount) <= MOST_POUNDS:
        raise typer.BadParameter(f"{amount} is no sum of pounds", param_hint="--amount")
    if (settle is None) != (amount is None):
        raise typer.BadParameter("invoices need both --settle and --amount", param_hint="--settle")
    if costs is not None:
        why = "Its costs are given: nothing is planned, and nothing is written."
        refuse_given(context, "--costs", why, *PLANNING, "out")
    if settle is None:
        refuse_given(context, "a split without invoices", "Invoices want --settle FILE and --amount £ too.", "rule")
    with no_plan_if_stopped():
        from optimiser.report.files import SPLIT

        if costs is None and (Path(instance or "") / SPLIT).is_file():
            refuse_beside_run(context, Path(instance or ""), *PLANNING, by="split")
        document = (
            _of_file(costs)
            if costs is not None
            else _of_instance(instance or "", scenarios, seed, gap, cluster, workers, orders, resale, entitlements, out)
        )
    if settle is None:
        show(document, as_json, "show_split", "partners")
        say_written(out if costs is None else None, as_json)
        return
    from decimal import Decimal

    from optimiser.analysis.settlement import invoices, read_child_weeks

    weeks = read_child_weeks(settle, document["partners"])
    found = invoices(document, rule, weeks, Decimal(str(amount)), document.get("demand_child_weeks"))
    show(found, as_json, "show_invoices", "partners")


def _of_file(path: Path) -> dict[str, Any]:
    from optimiser.analysis.gamefile import read_game
    from optimiser.analysis.splits import game_document

    game: CostGame = read_game(path)
    return game_document(game)


def _of_instance(
    name: str,
    scenarios: int | None,
    seed: int | None,
    gap: float,
    cluster: str | None,
    workers: int,
    orders: int,
    resale: float | None,
    entitled: bool,
    out: Path | None,
) -> dict[str, Any]:
    from dataclasses import replace

    from optimiser.analysis.splits import split
    from optimiser.report.files import INSTANCE, read_split, refuse_unless_writable, write_split

    earlier = read_split(Path(name))
    if earlier is not None:
        if out is not None:
            refuse_unless_writable(out, "split")
            kept = Path(name) / INSTANCE
            write_split(earlier, out, kept if kept.is_dir() else None)
        return earlier
    asked = replace(asked_of(scenarios, seed, gap, None, None, None, "auto"), cluster=cluster)
    found = load(name)
    if out is not None:
        refuse_unless_writable(out, "split")
    with telling() as told:
        document = split(
            found, asked, told, folder=out, workers=workers, orders=orders, resale=resale, entitled=entitled
        )
    if out is not None:
        write_split(document, out, folder_of(name))
    return document
