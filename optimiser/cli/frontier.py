"""The commands frontier and sensitivity."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Annotated

import typer

from optimiser.amounts import amount_of
from optimiser.cli.shared import (
    CapitalOption,
    CapitalYear,
    CarryForward,
    Cluster,
    From,
    Gap,
    GrantRefused,
    InstanceArgument,
    Json,
    Out,
    RegistrationDelay,
    RiskWeight,
    Scenarios,
    Seed,
    TimeLimit,
    asked_of,
    folder_of,
    kept_in,
    load,
    no_plan_if_stopped,
    say_written,
    share_of,
    show,
    slippage_of,
    telling,
)

if TYPE_CHECKING:
    from optimiser.analysis.frontier import Grid


def frontier(
    instance: InstanceArgument,
    capital: Annotated[
        str | None,
        typer.Option(
            metavar="LOW:HIGH:STEP", help="Envelopes to look at, as 0:3.8m:100k; every breakpoint if left out."
        ),
    ] = None,
    every: Annotated[
        bool, typer.Option("--all", help="Every plan between no capital and enough, each from the envelope it needs.")
    ] = False,
    by: Annotated[
        str, typer.Option(help="total, or year: what one financial year releases, one year after the other.")
    ] = "total",
    envelope: Annotated[
        str | None,
        typer.Option(
            metavar="NAME", help="The envelope to vary; all of them together, each with its share, if left out."
        ),
    ] = None,
    scenarios: Scenarios = None,
    seed: Seed = None,
    gap: Gap = 0.001,
    time_limit: TimeLimit = None,
    risk_weight: RiskWeight = None,
    cluster: Cluster = None,
    start: From = None,
    registration_delay: RegistrationDelay = 0,
    capital_year: CapitalYear = None,
    carry_forward: CarryForward = None,
    grant_refused: GrantRefused = False,
    out: Out = None,
    as_json: Json = False,
) -> None:
    """Say what each further pound of capital buys, where plans change, and in which year it is repaid."""
    if by not in ("total", "year"):
        raise typer.BadParameter("total or year", param_hint="--by")
    if capital is not None and every:
        raise typer.BadParameter("either a grid or --all", param_hint="--capital")
    grid = None if capital is None else grid_of(capital)
    with no_plan_if_stopped():
        from optimiser.analysis import frontier as limits

        slipped = slippage_of(registration_delay, capital_year, carry_forward, grant_refused)
        asked = replace(asked_of(scenarios, seed, gap, time_limit, None, risk_weight, "auto"), slippage=slipped)
        found = load(instance)
        if out is not None:
            from optimiser.report.files import refuse_unless_writable

            refuse_unless_writable(out, "frontier")
        kept = None if start is None else kept_in(start)
        asked = replace(asked, cluster=cluster, start=kept)
        with telling() as told:
            curves, document = limits.frontier(found, asked, told, grid, by, envelope)
    if out is not None:
        from optimiser.report.files import write_frontier

        write_frontier(document, out, folder_of(instance), limits.plans_of(curves))
    show(document, as_json, "show_frontier", "frontier")
    say_written(out, as_json)


def sensitivity(
    instance: InstanceArgument,
    inputs: Annotated[
        int | None,
        typer.Option(min=0, help="Inputs whose switching values are sought, the widest first; all if left out."),
    ] = None,
    tolerance: Annotated[
        str, typer.Option(metavar="SHARE", help="How closely, as a share of the way to the end of an input's range.")
    ] = "10%",
    scenarios: Annotated[
        int | None, typer.Option(min=1, help="Futures, the same for everything; 10 if left out.")
    ] = None,
    seed: Seed = None,
    gap: Gap = 0.001,
    capital: CapitalOption = None,
    registration_delay: RegistrationDelay = 0,
    capital_year: CapitalYear = None,
    carry_forward: CarryForward = None,
    grant_refused: GrantRefused = False,
    out: Out = None,
    as_json: Json = False,
) -> None:
    """Say which assumed inputs matter, and how far each must move before the decision changes or the saving is gone."""
    share = share_of(tolerance, "--tolerance")
    if share <= 0:
        raise typer.BadParameter("a share above 0, as 10%", param_hint="--tolerance")
    with no_plan_if_stopped():
        from optimiser.analysis import switching

        slipped = slippage_of(registration_delay, capital_year, carry_forward, grant_refused)
        asked = replace(asked_of(scenarios, seed, gap, None, capital, None, "auto"), slippage=slipped)
        found = load(instance)
        if out is not None:
            from optimiser.report.files import refuse_unless_writable

            refuse_unless_writable(out, "sensitivity")
        with telling() as told:
            document = switching.sensitivity(found, asked, told, sought=inputs, tolerance=share)
    if out is not None:
        from optimiser.report.files import write_sensitivity

        write_sensitivity(document, out, folder_of(instance))
    show(document, as_json, "show_sensitivity", "sensitivity")
    say_written(out, as_json)


def grid_of(words: str) -> Grid:
    """``0:3.8m:100k`` as a grid of envelopes."""
    from optimiser.analysis.frontier import MANY_ENVELOPES, Grid

    amounts = [amount_of(part) for part in words.split(":")]
    if len(amounts) != 3 or None in amounts:
        raise typer.BadParameter("LOW:HIGH:STEP in pounds, as 0:3800000:100000 or 0:3.8m:100k", param_hint="--capital")
    low, high, step = (amount or 0.0 for amount in amounts)
    if high < low or step <= 0:
        raise typer.BadParameter("HIGH at least LOW, and STEP above 0", param_hint="--capital")
    if (high - low) / step > MANY_ENVELOPES:
        raise typer.BadParameter(f"a larger STEP: no more than {MANY_ENVELOPES:,} envelopes", param_hint="--capital")
    return Grid(low, high, step)
