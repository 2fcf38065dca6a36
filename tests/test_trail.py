"""Every figure of every table of a run traced: its terms come to it to the penny, and its inputs stand in the register."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import cache, lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import optimiser
from optimiser.analysis.appraisal import DO_NOTHING, OPTIMISED, Appraised
from optimiser.analysis.frontier import frontier, plans_of
from optimiser.analysis.planning import Asked, make_appraisal, make_plan, plan_document
from optimiser.analysis.simulation.options import make_simulation
from optimiser.analysis.slippage import Slippage
from optimiser.analysis.splits import split
from optimiser.analysis.switching import sensitivity
from optimiser.analysis.trail import KEYS, Figure, Run, Terms, figures_in, figures_of, find, made, rule_of, traced
from optimiser.errors import InstanceError
from optimiser.finance import month_name, month_number
from optimiser.instance.finding import bundled, find_instance
from optimiser.instance.schema import Home, Instance
from optimiser.instance.template import write_template
from optimiser.plan import Plan
from optimiser.report import files
from optimiser.verify import Item
from tests.regional import regional_instance
from tests.test_budget import borrowing, both
from tests.test_plan import bound_by_limits

NAMES = [folder.name for folder in bundled()]
PENNY = 0.005


def document_of(plan: Plan, nothing: Plan, futures: int) -> dict[str, Any]:
    """The document of a plan whose decisions are given, without what only a search could say."""
    compared = [Appraised(DO_NOTHING, "Do nothing", False, nothing, ())]
    return plan_document(plan, compared, [], None, Asked(scenarios=futures))


@lru_cache
def run_of(name: str) -> tuple[Terms, list[Figure]]:
    plan, nothing = both(name)
    document = document_of(plan, nothing, 4)
    return Terms(plan, nothing, document), figures_of(document, plan.terms_table())


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small run on disk, searched under another envelope, with limits that bind and capital that is borrowed."""
    out = tmp_path_factory.mktemp("runs") / "run"
    with pytest.MonkeyPatch.context() as patch:
        quick(patch)
        plan, document = make_plan(
            optimiser.load("kent-in-house-2025"), Asked(scenarios=2, gap=0.01, capital=2_000_000.0)
        )
    files.write_plan(plan, document, out, find_instance("kent-in-house-2025"))
    return out


def quick(patch: pytest.MonkeyPatch) -> None:
    """Leave out what takes longest and is traced nowhere: which assumptions matter, fresh futures and simulation."""
    patch.setattr("optimiser.analysis.planning.swings", lambda *_: [])
    patch.setattr("optimiser.analysis.planning.out_of_sample", lambda *_: None)
    patch.setattr("optimiser.analysis.planning.foresight_of", lambda *_: None)


# to the penny


@pytest.mark.parametrize("name", NAMES)
def test_the_terms_of_every_figure_of_every_table_come_to_it_to_the_penny(name: str) -> None:
    terms, figures = run_of(name)
    assert len({figure.name for figure in figures}) == len(figures)
    assert {figure.table for figure in figures} >= {"summary", "years", "mtfp", "costs", "quarters", "voids"}
    for figure in figures:
        row = traced(terms, figure)
        assert row["combined"] == pytest.approx(figure.value, abs=PENNY), figure.name
        assert row["agrees"]


@pytest.mark.parametrize("name", NAMES)
def test_every_input_of_every_term_is_covered_by_the_register(name: str) -> None:
    terms, figures = run_of(name)
    known = terms.plan.instance.figure_values()
    results = {row.result for row in terms.plan.instance.published}
    seen = set()
    for figure in figures:
        if figure.table in ("years", "financing", "capital"):
            row = traced(terms, figure)
            if row["terms"]:
                assert row["sources"], figure.name
            seen |= {source["figure"] for source in row["sources"]}
            for source in row["sources"]:
                assert source["figure"] in known or source["figure"] in results
                if source["evidence"] == "published":
                    assert source["document"]
                    assert source["place"]
    assert any("gbp" in key for key in seen)


def test_a_run_on_disk_is_traced_whole_limits_and_borrowing_included(small: Path) -> None:
    run = Run(small)
    terms = run._terms()
    tables = {figure.table for figure in run.figures}
    assert tables >= set(KEYS) - {"beyond_horizon"}
    assert any(figure.table == "limits" and figure.value > 0 for figure in run.figures)
    for figure in run.ledger:
        row = traced(terms, figure)
        assert row["combined"] == pytest.approx(figure.value, abs=PENNY), figure.name


def test_worths_and_limits_of_a_search_are_traced(monkeypatch: pytest.MonkeyPatch) -> None:
    quick(monkeypatch)
    plan, document = make_plan(bound_by_limits(), Asked(scenarios=4, gap=1e-6))
    assert document["limits"]
    terms = Terms(plan, plan.beside[DO_NOTHING], document)
    for figure in figures_of(document, plan.terms_table()):
        assert traced(terms, figure)["combined"] == pytest.approx(figure.value, abs=PENNY), figure.name


def test_the_tail_and_a_weight_on_it_are_traced() -> None:
    plan, nothing = both("kent-in-house-2025")
    weighted = replace(plan.problem, risk_weight=0.4, cvar_level=0.7)
    from optimiser.verify import verify

    plan = replace(plan, problem=weighted, verified=verify(weighted, plan.decisions, plan.solution.placements))
    document = document_of(plan, nothing, 4)
    terms = Terms(plan, nothing, document)
    for figure in figures_of(document, []):
        if figure.table == "summary":
            assert traced(terms, figure)["combined"] == pytest.approx(figure.value, abs=PENNY), figure.name


def test_a_slip_in_the_ledger_would_be_seen() -> None:
    terms, figures = run_of("kent-in-house-2025")
    (figure,) = find("years.2026/27.spot", figures, "run")
    assert traced(terms, figure)["agrees"]
    assert not traced(terms, replace(figure, value=figure.value + 0.02))["agrees"]


# what finance would type


def names(asked: str, name: str = "kent-in-house-2025") -> list[str]:
    return [figure.name for figure in find(asked, run_of(name)[1], "the run")]


def test_a_figure_is_found_by_its_name_with_and_without_endings_and_by_words() -> None:
    whole = ["years.2026/27.in_house_gbp"]
    for asked in (
        "years.2026/27.in_house_gbp",
        "years.2026/27.in_house",
        "years 2026/27 in_house",
        "YEARS.2026/27.In_House",
    ):
        assert names(asked) == whole
    assert names("mtfp.2026/27.cashable") == ["mtfp.2026/27.cashable_saving_gbp"]
    assert names("mtfp.2026/27.base") == ["mtfp.2026/27.base_budget_gbp"]
    assert names("expected_cost") == ["summary.expected_cost_gbp"]
    assert names("quarters.2025-04.spot") == ["quarters.2025-04.spot_expected"]


def test_a_row_without_a_column_means_its_main_column() -> None:
    assert names("years.2026/27") == ["years.2026/27.nominal_gbp"]
    assert names("mtfp 2027/28") == ["mtfp.2027/28.nominal_gbp"]
    paths = names("capital.2025/26")
    assert paths == [
        f"capital.in-house.{path}.2025/26.begun_gbp" for path in dict.fromkeys(p.split(".")[2] for p in paths)
    ]
    assert len(paths) == 2


def test_an_unknown_figure_gets_the_nearest_names() -> None:
    with pytest.raises(InstanceError) as error:
        names("years.2026/27.inhouse")
    assert "is no figure of this run" in str(error.value)
    assert "years.2026/27.in_house_gbp" in str(error.value)
    with pytest.raises(InstanceError) as error:
        names("2026/27.in_house")
    assert "could be 3 figures" in str(error.value) or "could be" in str(error.value)


# terms and sources


def test_the_running_cost_of_homes_leads_to_the_papers_figure() -> None:
    terms, figures = run_of("kent-in-house-2025")
    (figure,) = find("years.2027/28.in_house", figures, "run")
    row = traced(terms, figure)
    assert any(term["words"].startswith("running open homes: Two-bed home") for term in row["terms"])
    (source,) = (each for each in row["sources"] if each["figure"] == "homes.two-bed.fixed_gbp_per_year")
    assert source["evidence"] == "calibrated"
    assert source["derived_from"] == "in-house-five-years"
    # and from there to the paper
    (paper,) = (each for each in row["sources"] if each["figure"] == "in-house-five-years")
    assert (paper["value"], paper["evidence"]) == (9_980_000, "published")
    assert paper["place"] == "Financial Implications: first paragraph"


def test_spot_purchase_is_child_weeks_at_a_price() -> None:
    terms, figures = run_of("kent-in-house-2025")
    (figure,) = find("years.2027/28.spot", figures, "run")
    plan = terms.plan
    inside = plan.problem.period_year == 2
    source = plan.problem.sources.index("private")
    weeks = plan.probability @ plan.placed[:, :, source].sum(axis=1)[:, inside] @ plan.problem.weeks[inside]
    (term,) = (each for each in traced(terms, figure)["terms"] if "private" in each["inputs"][0])
    assert f", {weeks:,.1f} child-weeks at £{term['amount'] / weeks:,.0f}" in term["words"]
    assert 10_000 < term["amount"] / weeks < 14_000


def test_capital_is_so_many_homes_at_a_planning_price() -> None:
    terms, figures = run_of("kent-in-house-2025")
    (figure, *_) = find("capital.2025/26", figures, "run")
    row = traced(terms, figure)
    assert [term["amount"] for term in row["terms"]] == [1_900_000, 950_000, 950_000]
    evidence = {source["figure"]: source["evidence"] for source in row["sources"]}
    assert evidence == {
        "homes.two-bed.capital_gbp": "derived",
        "capital.in-house.total.limit_gbp": "published",
        "figures.units.value": "published",
    }


def test_a_bias_of_the_green_book_is_a_source_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    quick(monkeypatch)
    home = Home(
        **{
            **bound_by_limits().homes[0].model_dump(exclude={"optimism_bias", "duration_bias", "building_works"}),
            "building_works": "standard-building",
        }
    )
    instance: Instance = bound_by_limits().model_copy(update={"homes": (home,)})
    plan, document = make_plan(borrowing(instance), Asked(scenarios=2, gap=1e-6))
    assert plan.problem.planning_capital[0, 0] == pytest.approx(1.24 * home.capital_gbp - home.grant_gbp)
    terms = Terms(plan, plan.beside[DO_NOTHING], document)
    begun = [figure for figure in figures_of(document, []) if figure.table == "capital" and figure.value]
    row = traced(terms, next(figure for figure in begun if figure.column == "begun_gbp"))
    (source,) = (each for each in row["sources"] if each["figure"].startswith("rates."))
    assert source["value"] == 0.24
    assert "optimism bias" in source["document"]


def test_every_kind_of_entry_of_the_ledger_names_its_inputs() -> None:
    from optimiser.analysis.trail.sources import inputs_of

    entries: set[tuple[str, str, str, str]] = set()
    for name in NAMES:
        terms, _ = run_of(name)
        for plan in (terms.plan, terms.nothing):
            assert plan is not None
            items, amounts = terms._ledger(plan)
            entries |= {(item.term, item.kind, item.name, item.basis) for item in items}
            assert np.isfinite(amounts).all()
    for entry in entries:
        assert inputs_of(Item(*entry))


# runs on disk


def test_a_run_that_keeps_no_placements_says_what_to_do(small: Path, tmp_path: Path) -> None:
    copy = tmp_path / "run"
    shutil.copytree(small, copy)
    (copy / files.PLACEMENTS).unlink()
    with pytest.raises(InstanceError, match=r"holds no placements that can be read\. Plan again with --out"):
        Run(copy).trace("expected_cost")


def test_a_folder_that_is_no_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InstanceError, match=r"holds no run\. Name a folder that --out has written"):
        Run(tmp_path)
    with pytest.raises(InstanceError, match="holds no run"):
        Run(find_instance("kent-in-house-2025"))


def test_placements_are_read_back_as_they_were_written(small: Path) -> None:
    plans = files.read_placements(small)
    assert {OPTIMISED, DO_NOTHING} <= set(plans)
    document = json.loads((small / files.DOCUMENT).read_text(encoding="utf-8"))
    terms = Run(small)._terms()
    assert terms.plan.verified.expected_cost == document["expected_cost_gbp"]
    assert terms.plan.verified.objective == document["objective_gbp"]
    assert terms.plan.decided == document["decided"]


# every figure of every document


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory, small: Path) -> Callable[[str], Path]:
    """Folder of a small run of a command on disk."""
    place = tmp_path_factory.mktemp("documents")
    write_template(place / "council")

    @cache
    def folder_of(kind: str) -> Path:
        if kind == "plan":
            return small
        write(kind, place / "council", place / kind)
        return place / kind

    return folder_of


def write(kind: str, source: Path, folder: Path) -> None:
    """A small run of a command but plan."""
    council, asked = optimiser.load(str(source)), Asked(scenarios=2, stresses=("slow-registration",))
    if kind == "appraise":
        with pytest.MonkeyPatch.context() as patch:
            for name in ("SIMULATED", "SEARCHED", "PAIRED"):
                patch.setattr(f"optimiser.analysis.planning.{name}", 2)
            files.write_appraisal(*make_appraisal(council, asked), folder, source)
    elif kind == "frontier":
        curves, document = frontier(council, replace(asked, slippage=Slippage(2)))
        files.write_frontier(document, folder, source, plans_of(curves))
    elif kind == "sensitivity":
        ranges = tuple(
            row
            if row.figures in ("lots.*.bid_factor", "settings.discount_rate")
            else row.model_copy(update={"low": "", "high": ""})
            for row in council.evidence
        )
        few = council.model_copy(update={"evidence": ranges})
        files.write_sensitivity(sensitivity(few, asked, tolerance=0.5), folder, source)
    elif kind == "simulate":
        found = make_simulation(council, asked, futures=4, take_apart=True, calibrates=True)
        files.write_simulation(found[1], folder, source)
    else:
        files.write_split(split(regional_instance(2, periods="4x3"), Asked(scenarios=2)), folder, source)


@pytest.mark.parametrize(
    "kind", [pytest.param(kind, marks=[pytest.mark.long] * (kind == "sensitivity")) for kind in files.DOCUMENTS]
)
def test_every_figure_of_every_document_is_traced_or_said_to_be_no_sum(
    kind: str, written: Callable[[str], Path]
) -> None:
    run = Run(written(kind))
    assert run.kind == kind
    names = [figure.name for figure in run.figures]
    assert len(set(names)) == len(names)
    walked = list(numbers(run.document))
    assert len(run.figures) >= len(walked) > 50
    terms = run._terms() if kind == "plan" else None
    sums = 0
    for figure in run.figures:
        row = run.of(figure, terms)
        assert row["agrees"], (figure.name, row["value"], row["combined"])
        assert row["how"] and (row["terms"] or abs(row["value"]) < PENNY)
        sums += row["sum_of_terms"]
        path = ".".join(step for step in run.others.get(figure, ()) if isinstance(step, str))
        asked = {path} & SUMS.get(kind, set())
        assert row["sum_of_terms"] or not asked, figure.name
        assert row["sources"] or not row["terms"] or not asked & SOURCED, figure.name
    assert sums >= 1
    if kind in SUMS:
        named = {".".join(step for step in path if isinstance(step, str)) for path in run.others.values()}
        assert named >= {pattern for pattern in SUMS[kind] if "council" not in pattern}


#: Figures of documents that are sums of terms, by the path to them, and those whose terms have inputs of the register.
SUMS = {
    "frontier": {
        *(
            f"points.{name}_gbp"
            for name in ("expected_cost", "objective", "deterrent", "p90", "cvar", "saving", "capital_used")
        ),
        *(f"points.{name}" for name in ("homes", "beds", "block_beds", "spot_share", "unregistered_child_weeks")),
        *(f"points.next_million.{name}_gbp" for name in ("least", "most", "found")),
        "points.unregistered_p90_child_weeks",
        "points.break_even.occupancy",
        "points.years.revenue_gbp",
        "points.terms.present_gbp",
        "own.expected_cost_gbp",
        "own.less.pounds_more_gbp",
    },
    "appraise": {
        *(f"options.{name}_gbp" for name in ("expected_cost", "saving", "p10", "p50", "p90", "capital")),
        "options.unregistered_child_weeks",
        "years.nominal_gbp",
        "years.real_gbp",
        "years.saving_nominal_gbp",
        "terms.present_gbp",
        "simulated.options.cost_gbp.mean",
        "simulated.options.foresight.gap_gbp.mean",
    },
    "sensitivity": {
        "expected_cost_gbp",
        "doing_nothing_gbp",
        "saving_gbp",
        "tornado.cost_at_low_gbp",
        "tornado.cost_at_high_gbp",
    },
    "split": {"total_gbp", "groups.pounds_gbp", "groups.objective_gbp", "groups.saving_gbp"},
    "simulate": {"options.cost_gbp.mean"},
}
SUMS["split"] |= {f"rules.{rule}.council-1" for rule in ("use", "shapley", "nucleolus", "equal")}
SUMS["split"] |= {f"bills.shapley.partners.council-2.{name}_gbp" for name in ("bill", "alone", "saving")}
SOURCED = {
    *(f"points.{name}_gbp" for name in ("expected_cost", "objective", "p90", "cvar")),
    "points.spot_share",
    "points.years.revenue_gbp",
    *(f"options.{name}_gbp" for name in ("expected_cost", "p10", "p90")),
    "years.nominal_gbp",
    "simulated.options.cost_gbp.mean",
    "options.cost_gbp.mean",
    "expected_cost_gbp",
    "tornado.cost_at_low_gbp",
    "total_gbp",
    "groups.pounds_gbp",
    "rules.shapley.council-1",
}


def numbers(value: Any, key: str = "") -> Iterator[float]:
    """Every number of a document, walked by other means, but for what only machines read and what names rows."""
    if isinstance(value, dict):
        for name, own in value.items():
            if name not in ("versions", "timings", "decided", "taken_up", "capital_limit_gbp", "beds", "leaves"):
                yield from numbers(own, name)
    elif isinstance(value, list):
        for own in value:
            yield from numbers(own, key)
    elif isinstance(value, (int, float)) and not isinstance(value, bool):
        yield float(value)


def test_what_has_no_rule_and_what_does_not_add_up_is_seen(written: Callable[[str], Path]) -> None:
    document = json.loads((written("appraise") / files.APPRAISAL).read_text(encoding="utf-8"))
    assert rule_of("appraise", ("options", 0, "expected_cost_gbp")) is not None
    assert rule_of("appraise", ("something", "new_gbp")) is None
    document["options"][0]["expected_cost_gbp"] += 0.02
    (figure, path) = next(each for each in figures_in(document) if each[0].column == "expected_cost_gbp")
    assert made("appraise", document, path).combined == pytest.approx(figure.value - 0.02)


def test_a_document_of_another_version_says_what_to_do(written: Callable[[str], Path], tmp_path: Path) -> None:
    document = json.loads((written("frontier") / files.FRONTIER).read_text(encoding="utf-8"))
    for row in document["points"]:
        del row["terms"]
    (tmp_path / files.FRONTIER).write_text(json.dumps(document), encoding="utf-8")
    with pytest.raises(InstanceError, match=r"is of another version, which has no terms\. Run the command again"):
        Run(tmp_path).trace("points.0.expected_cost")


def test_a_date_is_the_month_of_the_decision_and_the_months_until_then(small: Path) -> None:
    run = Run(small)
    (row,) = run.trace("decisions.begin.two-bed.2025-04.first_child_p50")["figures"]
    decision = next(each for each in run.document["decisions"] if each["item"] == "two-bed")
    assert row["unit"] == "month" and month_name(round(row["value"])) == decision["first_child_p50"]
    assert row["agrees"] and round(row["terms"][0]["amount"]) == month_number("2025-04")
    assert any(source["figure"] == "homes.two-bed.registration_delay_months" for source in row["sources"])
