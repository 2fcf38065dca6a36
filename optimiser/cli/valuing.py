"""The commands value and alternatives."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated

import typer

from optimiser.cli.shared import (
    CapitalOption,
    From,
    Gap,
    InstanceArgument,
    Json,
    ReduceFrom,
    Scenarios,
    Seed,
    asked_of,
    kept_in,
    load,
    no_plan_if_stopped,
    share_of,
    show,
    telling,
)


def value(
    instance: InstanceArgument,
    scenarios: Scenarios = None,
    reduce_from: ReduceFrom = None,
    seed: Seed = None,
    gap: Gap = 0.001,
    capital: CapitalOption = None,
    as_json: Json = False,
) -> None:
    """Say what perfect information, planning under uncertainty and review points are worth, and how sure that is."""
    with no_plan_if_stopped():
        from optimiser.analysis import value as values

        asked = asked_of(scenarios, seed, gap, None, capital, None, "auto", reduce_from)
        found = load(instance)
        with telling() as told:
            document = values.value(found, asked, told)
    show(document, as_json, "show_value", "valued")


def alternatives(
    instance: InstanceArgument,
    within: Annotated[
        str, typer.Option(metavar="SHARE", help="How much dearer than the best a plan may be, as 1% or 0.01.")
    ] = "1%",
    scenarios: Scenarios = None,
    seed: Seed = None,
    gap: Gap = 0.001,
    capital: CapitalOption = None,
    start: From = None,
    as_json: Json = False,
) -> None:
    """List every materially different plan that costs nearly as little as the best, with what each trades."""
    with no_plan_if_stopped():
        from optimiser.analysis import alternatives as others

        asked = asked_of(scenarios, seed, gap, None, capital, None, "auto")
        share = share_of(within)
        found = load(instance)
        asked = replace(asked, start=None if start is None else kept_in(start))
        with telling() as told:
            document = others.alternatives(found, asked, told, share)
    show(document, as_json, "show_alternatives", "valued")
