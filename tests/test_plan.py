"""A plan's document: its keys, its sums, what limits and assumptions are worth, and the files it is written to."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import optimiser
from models.decisions import Decisions
from models.problem import COST_TERMS, Problem
from optimiser.analysis.limits import limits_of
from optimiser.analysis.planning import Asked, make_plan, plan_document, prepare
from optimiser.analysis.sensitivity import with_figure
from optimiser.assemble import assemble
from optimiser.demand.scenarios import make_scenarios
from optimiser.errors import InstanceError
from optimiser.instance.finding import find_instance
from optimiser.instance.schema import Evidence, Instance
from optimiser.plan import KINDS, Plan, break_even
from optimiser.report import files
from optimiser.report.terminal import limit_words, more_or_fewer
from optimiser.solve.engine import Engine, Found
from optimiser.solve.twostage import Settings
from optimiser.verify import verify
from tests.instance_folders import Folder
from tests.test_appraisal import choices
from tests.test_assemble import HOME, LOT, TIER, tiny

Document = dict[str, Any]
Made = tuple[Plan, Document]

KEYS = {
    "document",
    "instance",
    "status",
    "objective_gbp",
    "bound_gbp",
    "gap",
    "futures",
    "seed",
    "method",
    "expected_cost_gbp",
    "deterrent_gbp",
    "p90_gbp",
    "cvar_gbp",
    "saving_gbp",
    "unregistered",
    "decisions",
    "against_paper",
    "quarters",
    "years",
    "mtfp",
    "mtfp_base",
    "saving_in_budget",
    "capital",
    "financing",
    "financing_terms",
    "voids",
    "break_even",
    "limits",
    "evidence",
    "warnings",
    "beyond_horizon",
    "versions",
    "timings",
}


def bound_by_limits() -> Instance:
    """Two councils, scarce spot places, and capital, homes and block beds of which one more would be used."""
    base = choices()
    cohorts = [
        {"cohort": f"of-{name}", "authority": name, "title": name, "mean_stay_months": "uniform(8, 20)"}
        for name in ("council", "neighbour")
    ]
    placements: list[dict[str, Any]] = []
    for cohort in ("of-council", "of-neighbour"):
        placements += [
            {"cohort": cohort, "source": "market", "children_at_start": 2},
            {"cohort": cohort, "source": "two-bed"},
            {"cohort": cohort, "source": "block"},
            {"cohort": cohort, "source": "unregistered", "children_at_start": 2},
        ]
    changed = tiny(
        authorities=[{"authority": name, "title": name} for name in ("council", "neighbour")],
        cohorts=[cohort | {"arrivals_per_month": "uniform(0.2, 0.6)"} for cohort in cohorts],
        placements=placements,
        homes=[HOME | {"begin_until": "2025-06", "capital_gbp": 200_000, "residual_share": 0.9}],
        lots=[
            LOT | {"maximum_beds": 2, "award_until": "2025-05", "term_months": 18, "bid_factor": "uniform(0.8, 1.2)"}
        ],
        tiers=[TIER | {"to_beds": 2}],
        capital=[{"envelope": "programme", "year": "total", "limit_gbp": 350_000}],
    )
    tables = ("authorities", "cohorts", "placements", "homes", "lots", "tiers", "capital")
    evidence = Evidence(figures="*.*", evidence="assumption", low="-20%", high="+20%")
    decisions = tuple(row.model_copy(update={"number": min(row.number, 2)}) for row in base.decisions)
    return base.model_copy(
        update={name: getattr(changed, name) for name in tables} | {"evidence": (evidence,), "decisions": decisions}
    )


@pytest.fixture(scope="module")
def small() -> Made:
    return make_plan(bound_by_limits(), Asked(scenarios=4, gap=1e-6))


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Made:
    folder = Folder(tmp_path_factory.mktemp("instances") / "plan")
    folder.setting("periods", '"18x1"')
    return make_plan(optimiser.load(str(folder.path)), Asked(scenarios=2))


@pytest.fixture(scope="module")
def bundled() -> Made:
    # which assumptions matter, and fresh futures, take longest and are looked at elsewhere
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("optimiser.analysis.planning.swings", lambda *_: [])
        patch.setattr("optimiser.analysis.planning.out_of_sample", lambda *_: None)
        return make_plan(optimiser.load("cambridgeshire-residential-2024"), Asked(scenarios=3))


@pytest.fixture(params=["small", "template", "bundled"])
def made(request: pytest.FixtureRequest) -> Made:
    result: Made = request.getfixturevalue(request.param)
    return result


# the document


def test_the_document_has_every_key_and_is_json(made: Made) -> None:
    _, document = made
    assert set(document) >= KEYS
    assert json.loads(json.dumps(document, allow_nan=False)) is not None


def test_the_plan_is_verified_and_its_gap_is_that_of_its_bound(made: Made) -> None:
    plan, document = made
    assert document["status"] == "optimal"
    assert not plan.verified.violations
    assert document["bound_gbp"] <= document["objective_gbp"] + 1e-6
    gap = (document["objective_gbp"] - document["bound_gbp"]) / abs(document["objective_gbp"])
    assert document["gap"] == pytest.approx(max(gap, 0.0))
    assert document["gap"] <= 1e-3
    assert document["futures"] == len(plan.problem.scenarios)


def test_what_is_minimised_is_pounds_and_the_deterrent(made: Made) -> None:
    _, document = made
    weight = document["risk_weight"]
    pounds = (1 - weight) * document["expected_cost_gbp"] + weight * document["cvar_gbp"]
    assert pounds + document["deterrent_gbp"] == pytest.approx(document["objective_gbp"])
    assert document["deterrent_gbp"] >= -1e-6


def test_the_years_add_up_to_the_expected_cost(made: Made) -> None:
    plan, document = made
    assert sum(row["present_gbp"] for row in document["years"]) == pytest.approx(document["expected_cost_gbp"])
    for row in document["years"]:
        groups = [
            name for name in row if name.endswith("_gbp") and name not in ("nominal_gbp", "real_gbp", "present_gbp")
        ]
        assert sum(row[group] for group in groups) == pytest.approx(row["nominal_gbp"])
    expected = plan.probability @ plan.scenario_pounds
    assert document["expected_cost_gbp"] == pytest.approx(float(expected))


def test_the_councils_tables_and_the_terms_add_up_to_the_whole(made: Made) -> None:
    plan, document = made
    whole = [row["nominal_gbp"] for row in document["years"]]
    councils = [plan.money_by_year(authority) for authority in range(len(plan.problem.authorities))]
    assert [sum(rows[year]["nominal_gbp"] for rows in councils) for year in range(len(whole))] == pytest.approx(whole)
    terms = plan.terms_table()
    assert {row["term"] for row in terms} == set(COST_TERMS)
    for year, amount in zip(document["years"], whole, strict=True):
        own = [row for row in terms if row["year"] == year["year"]]
        assert sum(row["nominal_gbp"] for row in own) == pytest.approx(amount)
        assert sum(row["real_gbp"] for row in own) == pytest.approx(year["real_gbp"])
        assert sum(row["present_gbp"] for row in own) == pytest.approx(year["present_gbp"])


def test_the_ledger_of_every_future_adds_up_to_its_cost(made: Made) -> None:
    plan, _ = made
    by_year = plan.verified.ledger.by_year(plan.problem)
    nominal = plan.verified.ledger.nominal
    assert by_year.sum(axis=(1, 2, 3)) == pytest.approx(nominal.sum(axis=(1, 2, 3)))
    present = (nominal * plan.problem.present_value).sum(axis=(1, 2, 3))
    assert present == pytest.approx(plan.scenario_pounds)


def census(problem: Problem) -> np.ndarray:
    """Children in care where all sources are stayed with alike, [scenario, period]."""
    counted = np.zeros((len(problem.scenarios), len(problem.cohorts), len(problem.periods)))
    for number, scenario in enumerate(problem.scenarios):
        before = problem.placed_at_start.sum(axis=1)
        for period in range(len(problem.periods)):
            stay, step = scenario.stay[:, :-1, period], scenario.step[:, :-1, period]
            assert np.ptp(stay, axis=1).max() < 1e-9
            now = stay[:, 0] * before + scenario.arrivals[:, period]
            for place, (origin, destination) in enumerate(problem.steps):
                now[destination] += step[place, 0] * before[origin]
            counted[number, :, period] = before = now
    return counted.sum(axis=1)


def test_children_by_kind_add_up_to_the_census_in_every_quarter(small: Made) -> None:
    plan, document = small
    expected = plan.probability @ census(plan.problem)
    for number, row in enumerate(document["quarters"]):
        months = slice(3 * number, 3 * number + 3)  # the horizon begins in April, and all months are as long
        assert sum(row[f"{kind}_expected"] for kind in KINDS) == pytest.approx(expected[months].mean())


def test_bad_cases_are_not_below_good_ones(made: Made) -> None:
    for row in made[1]["quarters"]:
        for kind in KINDS:
            assert row[f"{kind}_p10"] <= row[f"{kind}_p90"]
            assert row[f"{kind}_expected"] >= 0
    for row in made[1]["decisions"]:
        if row["first_child_p50"] and row["first_child_p90"]:
            assert row["month"] <= row["first_child_p50"] <= row["first_child_p90"]


def test_children_without_a_place_are_counted_alike_everywhere(made: Made) -> None:
    plan, document = made
    weeks = plan.verified.unregistered_child_weeks.sum(axis=(1, 2))
    assert plan.unregistered_child_weeks == pytest.approx(weeks, abs=1e-6)
    assert document["unregistered"]["expected_child_weeks"] == pytest.approx(float(plan.probability @ weeks), abs=1e-6)
    worst = max(row["unregistered_p90"] for row in document["quarters"])
    assert document["unregistered"]["worst_quarter_p90"] == pytest.approx(worst)


def test_the_saving_is_the_difference_to_doing_nothing(small: Made) -> None:
    plan, document = small
    engine = Engine(plan.problem)
    nothing = replace(plan.decisions, **{name: 0 * value for name, value in vars(plan.decisions).items()})
    placed = engine.place(nothing)
    cost = verify(plan.problem, nothing, placed.placements).expected_cost
    assert document["saving_gbp"] == pytest.approx(cost - document["expected_cost_gbp"])


def test_capital_by_year_is_what_is_begun(small: Made) -> None:
    _, document = small
    begun = sum(row["number"] for row in document["decisions"] if row["action"] == "begin")
    assert begun == 1
    assert sum(row["begun_gbp"] for row in document["capital"]) == 200_000 * begun
    assert all(row["cumulative_gbp"] <= row["total_limit_gbp"] for row in document["capital"])


def test_cost_without_residual_is_cost_and_residual(made: Made) -> None:
    document = made[1]
    assert document["residual_gbp"] >= 0
    without = document["expected_cost_gbp"] + document["residual_gbp"]
    assert document["expected_cost_without_residual_gbp"] == pytest.approx(without)


def test_an_empty_bed_of_a_block_is_a_void_at_its_price(small: Made) -> None:
    # nobody in care, one future: all that a contract pays for is void
    instance = tiny(
        lots=[LOT | {"lead_months": 0, "award_until": "2025-04"}],
        tiers=[TIER],
        options=[{"option": "do-nothing", "title": "None"}],
    )
    problem = assemble(instance, make_scenarios(instance, 1))
    decisions = Decisions.none(problem)
    decisions.lot_awarded[0] = decisions.tier_chosen[0, 0] = 1
    decisions.beds_in_tier[0, 0] = 3
    found = Engine(problem).place(decisions)
    plan = Plan(instance, problem, found, verify(problem, decisions, found.placements))
    first, second = plan.voids_by_year()
    assert first["block_bed_weeks"] == pytest.approx(3 * 52)
    assert first["block_gbp"] == pytest.approx(3 * 52 * 4_557)
    assert second["block_bed_weeks"] == 0


# what limits are worth


def solved(problem: Problem) -> tuple[float, float]:
    """Objective and bound of the best plan of a problem, built and solved from nothing."""
    found = Engine(problem).search(Settings(gap=1e-6), method="extensive")
    assert isinstance(found, Found)
    checked = verify(problem, found.decisions, found.placements)
    assert not checked.violations
    return checked.objective, found.bound


def test_limits_that_bind_are_worth_what_solving_on_both_sides_says(small: Made) -> None:
    plan, document = small
    limits = {
        limit.name: limit
        for limit in limits_of(plan.problem, plan.decisions, plan.verified.unregistered_child_weeks, {})
    }
    assert {row["unit"] for row in document["limits"]} >= {"£", "beds"}
    here, _ = solved(plan.problem)
    assert here == pytest.approx(document["objective_gbp"], rel=1e-5)
    for row in document["limits"]:
        limit = limits[row["name"]]
        assert limit.binding
        beyond, bound = solved(limit.raised(plan.problem, limit.step))
        slack = 1e-5 * abs(here)
        assert row["worth_least_gbp"] <= here - bound + slack, row["name"]
        assert row["worth_most_gbp"] >= here - beyond - slack, row["name"]
        assert row["worth_least_gbp"] <= row["worth_most_gbp"] + slack


def test_something_is_worth_more_than_nothing_and_a_limit_that_does_not_bind_is_not_listed(small: Made) -> None:
    _, document = small
    assert max(row["worth_least_gbp"] for row in document["limits"]) > 1_000
    for row in document["limits"]:
        # so much capital is left that no home can be bought with it
        room = 200_000 if row["unit"] == "£" else row["step"]
        assert row["used"] + room > row["limit"], row["name"]


def test_managers_are_told_of_in_the_month_in_which_fewest_are_to_spare() -> None:
    instance = optimiser.load("kent-in-house-2025")
    problem = assemble(instance, make_scenarios(instance, 2))
    assert problem.managers is not None
    decisions = Decisions.none(problem)
    nothing = np.zeros((2, len(problem.authorities), len(problem.financial_years)))
    seen = set()
    for more in range(int(problem.managers.recruitable.max()) + 1):
        # one manager fewer than can be had until the last are wanted, which is more than there were at first
        decisions.managers[:] = np.minimum(problem.managers.recruitable, more)
        (limit,) = (row for row in limits_of(problem, decisions, nothing, {}) if row.unit == "managers")
        assert limit.month in problem.periods
        assert limit.used <= limit.limit == problem.managers.recruitable[problem.periods.index(limit.month)]
        assert limit.binding == (limit.used >= limit.limit)
        seen.add((limit.used, limit.month))
    assert len(seen) > 1


def test_a_limit_whose_worth_was_not_computed_is_named_and_says_so(small: Made) -> None:
    plan, document = small
    limits = limits_of(plan.problem, plan.decisions, plan.verified.unregistered_child_weeks, {})
    left = [limit for limit in limits if limit.binding]
    rows = plan_document(plan, [], left, None, Asked())["limits"]
    assert [row["name"] for row in rows] == [row["name"] for row in document["limits"]]
    assert set(rows[0]) == set(document["limits"][0])
    for row, limit in zip(rows, left, strict=True):
        assert row["worth_least_gbp"] is row["worth_most_gbp"] is None
        words = limit_words(row, 10_000)
        assert words.endswith(f"what {limit.step_words} is worth was not computed, since the search was stopped.")


# which assumptions matter


def test_a_figure_that_the_instance_does_not_have_is_refused(small: Made) -> None:
    plan, document = small
    known = document["evidence"]["matter_most"][0]["figure"]
    moved = with_figure(plan.instance, known, 7.0).figure_values()
    assert moved[known] != plan.instance.figure_values()[known]
    for key in (f"{known}s", known.replace(".", "x", 1), "settings.nothing", "nothing.at.all"):
        with pytest.raises(InstanceError, match=f"{key} is no figure of the instance"):
            with_figure(plan.instance, key, 1.0)


def test_an_assumptions_swing_is_the_held_plan_priced_at_both_ends_of_its_range(small: Made) -> None:
    plan, document = small
    for row in document["evidence"]["matter_most"][:3]:
        for end in ("low", "high"):
            changed = with_figure(plan.instance, row["figure"], row[end])
            problem = assemble(changed, make_scenarios(changed, 4), like=plan.problem)
            placed = Engine(problem).place(plan.decisions)
            checked = verify(problem, plan.decisions, placed.placements)
            # placements that cost the same may be told apart by the deterrent only
            assert row[f"cost_at_{end}_gbp"] == pytest.approx(checked.expected_cost, rel=1e-3), row["figure"]
            weeks = float(checked.unregistered_child_weeks.sum(axis=(1, 2)).mean())
            assert row[f"child_weeks_at_{end}"] == pytest.approx(weeks, abs=0.5)


def test_assumptions_are_ranked_widest_first(small: Made) -> None:
    rows = small[1]["evidence"]["matter_most"]
    widths = [abs(row["cost_at_high_gbp"] - row["cost_at_low_gbp"]) for row in rows]
    assert len(rows) >= 3
    assert widths == sorted(widths, reverse=True)


def test_every_figure_is_in_the_register_with_its_evidence(template: Made) -> None:
    plan, document = template
    register = document["evidence"]["register"]
    assert [row["figure"] for row in register] == list(plan.instance.figure_values())
    assert sum(document["evidence"]["counts"].values()) == len(register)


# break-even


def one_home_one_lot(**home: Any) -> Plan:
    instance = tiny(
        {"periods": "12x1"},
        homes=[HOME | {"lead_months": 0, "registration_delay_months": 0, "capital_gbp": 0} | home],
        lots=[LOT | {"lead_months": 0}],
        tiers=[TIER],
        placements=[{"cohort": "children", "source": source} for source in ("two-bed", "block", "market")],
    )
    problem = assemble(instance, make_scenarios(instance, 1))
    found = Engine(problem).place(Decisions.none(problem))
    return Plan(instance, problem, found, verify(problem, found.decisions, found.placements))


def test_break_even_occupancy_is_cost_over_what_spot_purchase_of_all_beds_would_cost() -> None:
    home, lot = break_even(one_home_one_lot(fixed_gbp_per_year=390_000))
    assert home["occupancy"] == pytest.approx(390_000 / (2 * 52 * 5_000))
    assert lot["occupancy"] == pytest.approx(4_557 / 5_000)


def test_what_each_child_costs_in_a_home_is_taken_off_the_spot_price_at_break_even() -> None:
    home, _ = break_even(one_home_one_lot(fixed_gbp_per_year=390_000, variable_gbp_per_week=1_000))
    assert home["occupancy"] == pytest.approx(390_000 / (2 * 52 * 4_000))


def test_capital_less_what_is_left_counts_at_break_even() -> None:
    home, _ = break_even(one_home_one_lot(fixed_gbp_per_year=0, capital_gbp=500_000, residual_share=0.6))
    assert home["occupancy"] == pytest.approx(200_000 / (2 * 52 * 5_000))


def test_a_late_home_pays_for_waiting_and_earns_in_what_is_left() -> None:
    home, _ = break_even(
        one_home_one_lot(fixed_gbp_per_year=390_000, registration_delay_months=6, waiting_gbp_per_month=10_000)
    )
    assert home["occupancy"] == pytest.approx((195_000 + 60_000) / (2 * 26 * 5_000))


# capital asked for


def test_another_capital_envelope_may_be_asked_for() -> None:
    instance, engine = prepare(bound_by_limits(), Asked(scenarios=1, capital=500_000))
    assert [row.limit_gbp for row in instance.capital] == [500_000]
    assert engine.problem.envelopes[0].total == 500_000


# files

#: Any instance's folder: what is copied beside a plan is not looked into.
SOURCE = find_instance("kent-in-house-2025")


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def run(folder: Path, out: Path, hashing: str) -> None:
    command = [sys.executable, "-m", "optimiser", "plan", str(folder), "--scenarios", "2", "--out", str(out)]
    done = subprocess.run(
        command, env={**os.environ, "PYTHONHASHSEED": hashing}, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr


def test_the_same_seed_gives_the_same_bytes_twice(tmp_path: Path) -> None:
    folder = Folder(tmp_path / "plan")
    folder.setting("periods", '"15x1"')
    folder.setting("scenarios", "2")
    for hashing in ("1", "2"):
        run(folder.path, tmp_path / hashing, hashing)
    names = sorted(contents(tmp_path / "1"))
    assert names == sorted(contents(tmp_path / "2"))
    assert {"plan.json", "quarters.csv", "costs.csv", "futures-costs.parquet", "futures-children.parquet"} <= set(names)
    for name in names:
        texts = [(tmp_path / hashing / name).read_bytes() for hashing in ("1", "2")]
        if name == "plan.json":
            documents = [json.loads(text) for text in texts]
            for document in documents:
                assert document.pop("timings")
            texts = [json.dumps(document).encode() for document in documents]
        assert texts[0] == texts[1], name


def test_an_earlier_run_is_replaced_whole(small: Made, tmp_path: Path) -> None:
    out = tmp_path / "run"
    files.write_plan(*small, out, SOURCE)
    before = contents(out)
    (out / "left-over.csv").write_text("old")
    files.write_plan(*small, out, SOURCE)
    assert contents(out) == before
    assert [path.name for path in tmp_path.iterdir()] == ["run"]


@pytest.mark.parametrize("earlier", [False, True])
def test_a_write_that_fails_leaves_what_was_there_and_nothing_else(
    small: Made, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, earlier: bool
) -> None:
    out = tmp_path / "run"
    if earlier:
        files.write_plan(*small, out, SOURCE)
    before = contents(out)

    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(files, "_write_futures", full)
    with pytest.raises((OSError, InstanceError)):
        files.write_plan(*small, out, SOURCE)
    assert [path.name for path in tmp_path.iterdir()] == (["run"] if earlier else [])
    if earlier:
        assert contents(out) == before


def test_a_folder_that_holds_other_files_is_refused_and_left_alone(small: Made, tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(InstanceError, match="holds other files"):
        files.write_plan(*small, tmp_path, SOURCE)
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]


def test_what_another_command_has_written_is_refused_and_left_alone(small: Made, tmp_path: Path) -> None:
    out = tmp_path / "run"
    files.write_plan(*small, out, SOURCE)
    before = contents(out)
    rule = "holds what optimiser plan has written, and would lose it. Name a new folder, beside that one."
    for command in set(files.DOCUMENTS) - {"plan"}:
        with pytest.raises(InstanceError, match=rule):
            files.refuse_unless_writable(out, command)
    with pytest.raises(InstanceError, match=rule):
        files.write_simulation({"options": []}, out)
    assert contents(out) == before
    files.refuse_unless_writable(out, "plan")


def test_a_change_too_small_to_show_is_no_change() -> None:
    assert [more_or_fewer(change) for change in (0.04, -0.04, 0.06, -12.06)] == [
        "as many",
        "as many",
        "0.1 more",
        "12.1 fewer",
    ]


def test_written_futures_add_up_to_the_plan(small: Made, tmp_path: Path) -> None:
    import pandas as pd

    plan, document = small
    files.write_plan(plan, document, tmp_path / "run", SOURCE)
    costs = pd.read_parquet(tmp_path / "run" / "futures-costs.parquet")
    nominal = sum(row["nominal_gbp"] for row in document["years"])
    assert (costs["nominal_gbp"] * costs["probability"]).sum() == pytest.approx(nominal)
    children = pd.read_parquet(tmp_path / "run" / "futures-children.parquet")
    assert children["children"].sum() == pytest.approx(plan.placed.sum())
    assert json.loads((tmp_path / "run" / "plan.json").read_text(encoding="utf-8")) == json.loads(json.dumps(document))
