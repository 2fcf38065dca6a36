"""What slips changes the instance as one would by hand, and the plan from before stands priced beside the new one."""

from __future__ import annotations

import json
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

import optimiser
from optimiser.analysis.appraisal import best_plan
from optimiser.analysis.planning import Asked, _changes, as_asked, asked_again, prepare
from optimiser.analysis.slippage import Slippage, difference, figures_of, with_capital, with_slippage
from optimiser.assemble import assemble
from optimiser.cli import app
from optimiser.cli.shared import capital_of
from optimiser.demand.scenarios import make_scenarios
from optimiser.errors import InstanceError
from optimiser.instance.distributions import Distribution
from optimiser.instance.register import evidence_for, given, with_evidence
from optimiser.instance.schema import Instance
from optimiser.instance.template import write_template
from optimiser.plan import Plan
from optimiser.report.files import read_run
from optimiser.solve.engine import Engine
from optimiser.solve.highs import relative_gap
from optimiser.solve.twostage import Settings
from optimiser.verify import verify
from tests.test_frontier import reduced_kent

KENT = optimiser.load("kent-in-house-2025")
FUTURES = 6
GAP = 1e-4


@pytest.mark.parametrize("written", ["8", "uniform(3, 12)", "triangular(3, 6, 12)", "4:0.5 12:0.5", "normal(6, 1)"])
def test_a_shifted_distribution_has_every_quantile_shifted(written: str) -> None:
    levels = np.array([0.05, 0.3, 0.5, 0.9])
    before = Distribution.parse(written)
    assert before.shifted(6).quantile(levels) == pytest.approx(before.quantile(levels) + 6)
    assert before.shifted(6).mean == pytest.approx(before.mean + 6)


def test_a_delay_moves_every_registration_in_every_future() -> None:
    late = with_slippage(KENT, Slippage(registration_delay=6))
    one, other = make_scenarios(KENT, 5), make_scenarios(late, 5)
    assert other.registration_months == pytest.approx(one.registration_months + 6)
    assert other.lead_months == pytest.approx(one.lead_months)
    assert other.arrivals == pytest.approx(one.arrivals)


def test_a_refused_grant_is_paid_from_the_envelope() -> None:
    refused = with_slippage(KENT, Slippage(grant_refused=True))
    before, after = (assemble(each, make_scenarios(each, 2)).planning_capital[:, 0] for each in (KENT, refused))
    assert after - before == pytest.approx([row.grant_gbp for row in KENT.homes])
    assert max(after - before) > 0


def envelope(**slipped: object) -> tuple[float | None, tuple[float, ...] | None, bool]:
    changed = with_slippage(KENT, Slippage(**slipped))  # type: ignore[arg-type]
    (own,) = assemble(changed, make_scenarios(changed, 2)).envelopes
    return own.total, own.by_year, own.carry_forward


def test_a_year_that_is_cut_stands_alone_and_the_others_keep_the_total() -> None:
    total, by_year, carry = envelope(capital_years=(("2026/27", 5e5),))
    assert (total, carry) == (3.8e6, False)
    assert by_year == (3.8e6, 5e5, 3.8e6, 3.8e6, 3.8e6)


def test_carried_forward_only_the_years_named_release_capital() -> None:
    total, by_year, carry = envelope(capital_years=(("2025/26", 1e6), ("2026/27", 2e6)), carry_forward=True)
    assert (total, carry) == (3.8e6, True)
    assert by_year == (1e6, 2e6, 0, 0, 0)


def test_limits_from_the_command_line_have_their_evidence() -> None:
    for changed in (
        with_slippage(KENT, Slippage(capital_years=(("2026/27", 5e5),))),
        with_capital(optimiser.load("cambridgeshire-residential-2024"), 1e6),
    ):
        for key in changed.figure_values():
            assert evidence_for(changed, key)


@pytest.mark.parametrize("slippage", [Slippage(grant_refused=True), Slippage(registration_delay=6)], ids=str)
def test_every_figure_of_what_has_slipped_is_in_the_register(slippage: Slippage) -> None:
    instance = with_slippage(optimiser.load("kent-in-house-2025"), slippage)
    for key in instance.figure_values():
        assert evidence_for(instance, key).evidence


def two_envelopes() -> Instance:
    """Kent with a second envelope, of which 2026/27 releases half a million."""
    own = KENT.capital[0]
    second = own.model_copy(update={"envelope": "second", "limit_gbp": 2e6, "carry_forward": False})
    half = second.model_copy(update={"year": "2026/27", "limit_gbp": 5e5})
    return with_evidence(
        KENT.model_copy(update={"capital": (own, second, half)}),
        [given(f"capital.second.{year}.limit_gbp", 1.0, None, "Test") for year in ("total", "2026/27")],
    )


def limits(instance: Instance) -> dict[str, tuple[float | None, tuple[float, ...] | None]]:
    return {each.name: (each.total, each.by_year) for each in assemble(instance, make_scenarios(instance, 2)).envelopes}


def test_of_several_envelopes_the_one_that_is_named_changes() -> None:
    both = two_envelopes()
    before = limits(both)
    asked = as_asked(both, Asked(envelopes=(("second", 1e6),)))
    assert limits(asked) == before | {"second": (1e6, before["second"][1])}
    assert limits(as_asked(both, Asked(envelopes=(("second", 1e6), ("in-house", 3e6)))))["in-house"][0] == 3e6
    cut = limits(with_slippage(both, Slippage(capital_years=(("in-house:2026/27", 1e5), ("second:2027/28", 2e5)))))
    assert cut["in-house"][1] == (3.8e6, 1e5, 3.8e6, 3.8e6, 3.8e6)
    assert cut["second"][1] == (0, 5e5, 2e5, 0, 0)
    # where years are named of neither, the envelopes that have years carry forward
    carried = assemble(two := with_slippage(both, Slippage(carry_forward=True)), make_scenarios(two, 2)).envelopes
    assert {each.name: (each.by_year is not None, each.carry_forward) for each in carried}["second"] == (True, True)


def test_an_amount_that_could_be_for_either_envelope_is_refused() -> None:
    both = two_envelopes()
    with pytest.raises(InstanceError) as raised:
        as_asked(both, Asked(capital=2e6))
    assert str(raised.value) == (
        "1 fault in the command:\n"
        "  the command, --capital: £2,000,000 does not say which envelope it is for: the instance has in-house and second. "
        "Name it, as --capital in-house=2000000; it may be given again."
    )
    with pytest.raises(InstanceError, match=r"third is no envelope\. Name one of in-house, second"):
        as_asked(both, Asked(envelopes=(("third", 2e6),)))
    with pytest.raises(
        InstanceError, match=r"2026/27 does not say which envelope.*--capital-year in-house:2026/27=500k"
    ):
        with_slippage(both, Slippage(capital_years=(("2026/27", 1e5),)))
    with pytest.raises(InstanceError, match=r"third is no envelope"):
        with_slippage(both, Slippage(capital_years=(("third:2026/27", 1e5),)))
    with pytest.raises(InstanceError, match="limits nothing: there are no homes"):
        as_asked(optimiser.load("kent-sufficiency-2019"), Asked(capital=1e6))


def test_the_register_says_that_a_figure_was_given_on_the_command_line() -> None:
    key = "capital.in-house.total.limit_gbp"
    assert evidence_for(KENT, key).evidence == "published"
    for asked in (Asked(capital=2.8e6), Asked(envelopes=(("in-house", 2.8e6),))):
        row = evidence_for(as_asked(KENT, asked), key)
        assert (row.evidence, row.document, row.low, row.high) == ("assumption", "", "2800000", "2800000")
        assert row.note == "Given on the command line; the instance has 3,800,000."
    cut = with_slippage(KENT, Slippage(6, (("2026/27", 5e5),), grant_refused=True))
    year, other = (evidence_for(cut, f"capital.in-house.{year}.limit_gbp") for year in ("2026/27", "2027/28"))
    assert year.note == "Given on the command line; the instance has no limit." and year.evidence == "assumption"
    assert (other.evidence, other.derived_from) == ("derived", key)
    assert evidence_for(cut, key).evidence == "published", "the total stands as the paper has it"
    refused = evidence_for(cut, "homes.joint.grant_gbp")
    assert refused.low == "0" and refused.note.startswith("Refused on the command line; the instance has ")
    late = evidence_for(cut, "homes.two-bed.registration_delay_months")
    before = evidence_for(KENT, "homes.two-bed.registration_delay_months")
    assert [float(late.low) - float(before.low), float(late.high) - float(before.high)] == [6, 6]
    assert late.note.startswith("Given on the command line: 6 months on top of what the instance has.")


@pytest.mark.parametrize(
    ("given_", "asked"),
    [
        (["2.8m"], (2.8e6, ())),
        (["£2,800,000"], (2.8e6, ())),
        (["in-house=2.8m", "second=500k"], (None, (("in-house", 2.8e6), ("second", 5e5)))),
        (None, (None, ())),
    ],
)
def test_capital_is_written_as_people_write_it(given_: list[str] | None, asked: object) -> None:
    assert capital_of(given_) == asked


@pytest.mark.parametrize("given_", [["much"], ["-1"], ["=1m"], ["in-house="], ["1m", "2m"], ["nan"]])
def test_capital_that_is_no_amount_is_refused(given_: list[str]) -> None:
    call = [part for each in given_ for part in ("--capital", each)]
    done = CliRunner().invoke(app, ["plan", "kent-in-house-2025", *call])
    assert done.exit_code == 2 and "--capital" in done.output


def test_what_was_asked_of_envelopes_reads_back_from_a_document() -> None:
    row = {"capital": None, "envelopes": [["second", 1e6]], "slippage": None}
    assert asked_again(row).envelopes == (("second", 1e6),)
    assert asked_again({"capital": 1e6}).envelopes == ()


def test_what_is_asked_of_envelopes_against_a_run_before_is_told() -> None:
    row = {"slippage": None, "capital": None, "envelopes": [["second", 1e6], ["in-house", 3e6]]}
    told = _changes(Asked(envelopes=(("second", 5e5), ("in-house", 3e6)), before={"asked": row}))
    assert told == ["£500,000 of capital in total (second)"]
    assert _changes(Asked(envelopes=(("second", 1e6),), before={"asked": row})) == [
        "capital in total as the instance has it (in-house)"
    ]
    assert _changes(Asked(capital=2e6, before={"asked": {"capital": None}})) == ["£2,000,000 of capital in total"]
    assert _changes(Asked(before={"asked": {"capital": 2e6}})) == ["capital in total as the instance has it"]


def test_everything_that_cannot_slip_is_said_at_once() -> None:
    none = KENT.model_copy(update={"homes": tuple(row.model_copy(update={"grant_gbp": 0.0}) for row in KENT.homes)})
    with pytest.raises(InstanceError) as raised:
        with_slippage(
            none, Slippage(capital_years=(("2040/41", 1.0), ("2026/27", 1.0), ("2026/27", 2.0)), grant_refused=True)
        )
    assert str(raised.value) == (
        "3 faults in the command:\n"
        "  the command, --capital-year: 2040/41 is no financial year of the horizon. Name one of 2025/26, 2026/27, 2027/28, "
        "2028/29, 2029/30.\n"
        "  the command, --capital-year: 2026/27 is given more than once. Give each year once.\n"
        "  the command, --grant-refused: refuses nothing: no home counts on a grant. Leave it out."
    )
    with pytest.raises(InstanceError, match="the envelope has none"):
        with_slippage(KENT, Slippage(carry_forward=True))
    with pytest.raises(InstanceError, match="delays nothing"):
        with_slippage(optimiser.load("kent-sufficiency-2019"), Slippage(registration_delay=3))


def test_what_slipped_reads_back_from_a_document() -> None:
    slipped = Slippage(6, (("2026/27", 5e5),), False, True)
    assert Slippage.of(json.loads(json.dumps(slipped.row))) == slipped
    assert Slippage.of(None) == Slippage() and not Slippage().any
    assert as_asked(KENT, Asked(slippage=Slippage())) is KENT
    assert slipped.words == [
        "every registration 6 months later",
        "£500,000 of capital in 2026/27",
        "no capital carried forward",
        "no grant towards homes",
    ]


@cache
def before() -> tuple[Engine, Plan]:
    asked = Asked(scenarios=FUTURES, gap=GAP)
    instance, engine = prepare(reduced_kent(), asked)
    return engine, best_plan(instance, engine, Settings(gap=GAP), method="lshaped")


CHANGES = [
    Slippage(registration_delay=9),
    Slippage(capital_years=(("2025/26", 1e6),)),
    Slippage(grant_refused=True),
]


@pytest.mark.parametrize("slipped", CHANGES, ids=lambda each: each.words[0])
def test_a_plan_made_anew_from_what_was_learned_is_as_good_as_one_made_cold(slipped: Slippage) -> None:
    first, old = before()
    kept = first.keep()
    assert kept is not None
    asked = Asked(scenarios=FUTURES, gap=GAP, slippage=slipped)
    instance, engine = prepare(reduced_kent(), asked)
    assert engine.take_up(kept).vectors > 0
    plan = best_plan(instance, engine, Settings(gap=GAP), method="lshaped")
    _, other = prepare(reduced_kent(), asked)
    cold = best_plan(instance, other, Settings(gap=GAP), method="extensive")
    assert relative_gap(plan.verified.objective, cold.solution.bound) <= 2 * GAP
    assert relative_gap(cold.verified.objective, plan.solution.bound) <= 2 * GAP

    told = difference(engine, plan, figures_of(old), slipped.words, 1)
    assert told["same_futures"]
    if told["held"]["broken"]:
        assert told["slippage_costs_gbp"] is None
        return
    # the plan from before under the change, placed by an engine that has learned nothing
    checked = verify(other.problem, old.decisions, other.place(old.decisions).placements)
    assert told["held"]["objective_gbp"] == pytest.approx(checked.objective)
    assert told["slippage_costs_gbp"] == pytest.approx(checked.expected_cost - old.verified.expected_cost)
    assert told["replanning_recovers_gbp"] == pytest.approx(checked.objective - plan.verified.objective)
    assert told["replanning_recovers_gbp"] >= -2 * GAP * checked.objective


def test_a_plan_beyond_a_cut_envelope_is_said_to_break_it() -> None:
    _, old = before()
    slipped = Slippage(capital_years=(("2025/26", 1.0),))
    instance, engine = prepare(reduced_kent(), Asked(scenarios=FUTURES, slippage=slipped))
    plan = best_plan(instance, engine, Settings(gap=GAP))
    assert not plan.decisions.homes_begun.any() and old.decisions.homes_begun.any()
    told = difference(engine, plan, figures_of(old), slipped.words, 1)
    assert any("capital_within_envelope" in words for words in told["held"]["broken"])
    assert not told["same_plan"]
    same = difference(engine, plan, figures_of(plan), [], 1)
    # best placements that cost the same may trade pounds for deterrent, within the solver's tolerance
    assert same["same_plan"] and same["slippage_costs_gbp"] == pytest.approx(0, abs=1e-6 * plan.verified.objective)
    assert same["held"]["objective_gbp"] == pytest.approx(plan.verified.objective)
    other = difference(engine, plan, figures_of(plan) | {"seed": 2}, [], 1)
    assert not other["same_futures"]


def test_an_amount_that_is_none_is_refused() -> None:
    done = CliRunner().invoke(app, ["plan", "kent-in-house-2025", "--capital-year", "2026/27=much"])
    assert done.exit_code == 2


@pytest.mark.long
def test_the_command_shows_the_difference_and_its_run_is_read_back(tmp_path: Path) -> None:
    write_template(tmp_path / "council")
    out, late = tmp_path / "run", tmp_path / "late"
    call = ["plan", str(tmp_path / "council"), "--scenarios", "5"]
    assert CliRunner().invoke(app, [*call, "--out", str(out)]).exit_code == 0
    slipped = [*call, "--from", str(out), "--registration-delay", "+6", "--out", str(late)]
    done = CliRunner().invoke(app, slipped)
    assert done.exit_code == 0, done.output
    words = " ".join(done.output.split())
    assert "Changed: every registration 6 months later. Before, the plan cost" in words
    instance, document = read_run(late)
    assert Slippage.of(document["asked"]["slippage"]).registration_delay == 6
    assert (
        instance.homes[0].registration_delay_months
        == optimiser.load(str(tmp_path / "council")).homes[0].registration_delay_months
    )
    # without a run both are planned, to the same end
    alone = json.loads(CliRunner().invoke(app, [*call, "--registration-delay", "+6", "--json"]).stdout)
    for name in ("before", "held", "replanned"):
        assert alone["changed"][name]["objective_gbp"] == pytest.approx(
            document["changed"][name]["objective_gbp"], rel=2e-3
        )
    assert replace(Asked(), slippage=Slippage.of(alone["asked"]["slippage"])).slippage.any
