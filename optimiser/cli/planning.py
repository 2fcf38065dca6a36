"""The commands plan and appraise."""

from __future__ import annotations

from dataclasses import replace

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
    Method,
    Out,
    ReduceFrom,
    RegistrationDelay,
    RiskWeight,
    Scenarios,
    Seed,
    Stress,
    TimeLimit,
    asked_of,
    document_of,
    folder_of,
    kept_in,
    load,
    no_plan_if_stopped,
    say_remarks,
    say_written,
    show,
    slippage_of,
    telling,
)


def plan(
    instance: InstanceArgument,
    scenarios: Scenarios = None,
    reduce_from: ReduceFrom = None,
    seed: Seed = None,
    gap: Gap = 0.001,
    time_limit: TimeLimit = None,
    capital: CapitalOption = None,
    risk_weight: RiskWeight = None,
    method: Method = "auto",
    cluster: Cluster = None,
    start: From = None,
    registration_delay: RegistrationDelay = 0,
    capital_year: CapitalYear = None,
    carry_forward: CarryForward = None,
    grant_refused: GrantRefused = False,
    stress: Stress = None,
    out: Out = None,
    as_json: Json = False,
) -> None:
    """Find the plan that costs least over all futures, with what it rests on."""
    with no_plan_if_stopped():
        from optimiser.analysis.planning import make_plan

        asked = asked_of(scenarios, seed, gap, time_limit, capital, risk_weight, method, reduce_from)
        found = load(instance)
        if out is not None:
            from optimiser.report.files import refuse_unless_writable

            refuse_unless_writable(out, "plan")
        say_remarks(found, instance, err=True)
        if start is not None:
            asked = replace(asked, start=kept_in(start), before=document_of(start))
        slipped = slippage_of(registration_delay, capital_year, carry_forward, grant_refused)
        asked = replace(asked, cluster=cluster, keep=out is not None, slippage=slipped, stresses=tuple(stress or ()))
        with telling() as told:
            made, document = make_plan(found, asked, told)
    if out is not None:
        from optimiser.report.files import write_plan

        write_plan(made, document, out, folder_of(instance))
    show(document, as_json, "show_plan")
    say_written(out, as_json)


def appraise(
    instance: InstanceArgument,
    scenarios: Scenarios = None,
    reduce_from: ReduceFrom = None,
    seed: Seed = None,
    gap: Gap = 0.001,
    time_limit: TimeLimit = None,
    capital: CapitalOption = None,
    risk_weight: RiskWeight = None,
    method: Method = "auto",
    stress: Stress = None,
    start: From = None,
    out: Out = None,
    as_json: Json = False,
) -> None:
    """Set the named options and the optimised plan side by side on the same futures, and published figures beside ours."""
    with no_plan_if_stopped():
        from optimiser.analysis.planning import make_appraisal

        asked = asked_of(scenarios, seed, gap, time_limit, capital, risk_weight, method, reduce_from)
        asked = replace(asked, stresses=tuple(stress or ()))
        found = load(instance)
        if out is not None:
            from optimiser.report.files import refuse_unless_writable

            refuse_unless_writable(out, "appraise")
        asked = replace(asked, start=None if start is None else kept_in(start))
        with telling() as told:
            options, document = make_appraisal(found, asked, told)
    if out is not None:
        from optimiser.report.files import write_appraisal

        write_appraisal(options, document, out, folder_of(instance))
    show(document, as_json, "show_appraisal")
    say_written(out, as_json)
