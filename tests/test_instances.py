"""The bundled instances: they read, say where they come from, and plan."""

from __future__ import annotations

import calendar
import csv
import re
import tomllib
from pathlib import Path

import pytest

import optimiser
from optimiser.analysis.appraisal import best_plan, published_results
from optimiser.analysis.planning import Asked, prepare
from optimiser.finance import month_number
from optimiser.instance.finding import bundled
from optimiser.instance.schema import TABLES, Instance
from optimiser.solve.twostage import Settings

FOLDERS = bundled()
NAMES = [folder.name for folder in FOLDERS]
EXPECTED = [
    "cambridgeshire-residential-2024",
    "kent-in-house-2025",
    "kent-sufficiency-2019",
    "kent-supported-accommodation-2018",
    "south-east-regional-block-2021",
]


@pytest.fixture(params=FOLDERS, ids=NAMES)
def folder(request: pytest.FixtureRequest) -> Path:
    found: Path = request.param
    return found


@pytest.fixture
def instance(folder: Path) -> Instance:
    return optimiser.load(folder.name)


def readme(folder: Path) -> str:
    return (folder / "README.md").read_text(encoding="utf-8")


def plain(text: str) -> str:
    """Words only, so that line breaks and marks between them do not matter."""
    return " ".join(re.findall(r"\w+", text.lower()))


def test_five_instances_come_with_the_optimiser() -> None:
    assert NAMES == EXPECTED


def test_an_instance_has_the_name_of_its_folder_and_a_question(folder: Path) -> None:
    settings = tomllib.loads((folder / "instance.toml").read_text(encoding="utf-8"))
    assert settings["name"] == folder.name
    assert settings["question"].endswith("?")
    assert "\n" not in settings["question"]


def test_every_file_of_an_instance_is_one_that_is_read(folder: Path) -> None:
    # records: what optimiser demand made part of it from
    known = {f"{table}.csv" for table in TABLES} | {"instance.toml", "README.md", "records"}
    assert {path.name for path in folder.iterdir()} <= known


def test_the_readme_says_the_question_and_the_month_at_which_everything_stands(
    folder: Path, instance: Instance
) -> None:
    text = readme(folder)
    assert re.search(r"\*\*Question\.?\*\*|^#+ .*question", text, flags=re.IGNORECASE | re.MULTILINE)
    year, month = instance.settings.as_at.split("-")
    name = calendar.month_name[int(month)]
    assert f"{name} {year}" in text


def test_the_readme_names_every_document_that_figures_are_published_in(folder: Path, instance: Instance) -> None:
    text = plain(readme(folder))
    documents = {row.document for row in instance.evidence if row.evidence == "published"}
    documents |= {row.document for row in instance.published if row.document}
    for document in documents:
        if "Green Book" in document:
            continue
        # its number where it has one, else its title without what stands in brackets
        number = re.search(r"\b(?:KD)?\d{2,4}/\d{3,5}\b", document)
        wanted = number[0] if number else re.sub(r"\(.*?\)", "", document.partition(":")[2] or document)
        assert plain(wanted) in text, document


def test_no_paper_is_said_to_have_decided(folder: Path) -> None:
    # they are proposed decisions; "what was decided is not known" says the same
    said = r"\bcouncil (?:has )?(?:decided|approved|agreed)\b|\bit was (?:decided|approved|agreed)\b"
    assert not re.search(said, readme(folder), flags=re.IGNORECASE)


def test_an_instance_can_be_compared_with_doing_nothing_and_with_the_papers_option(instance: Instance) -> None:
    names = [row.option for row in instance.options]
    assert "do-nothing" in names
    assert not [row for row in instance.decisions if row.option == "do-nothing"]
    assert sum(row.paper for row in instance.options) == 1


def test_enough_futures_are_drawn_by_default(instance: Instance) -> None:
    assert instance.settings.scenarios >= 30


def test_nothing_may_begin_before_the_decision_date(instance: Instance) -> None:
    first = month_number(instance.settings.decision_date)
    dates = [row.begin_from for row in instance.homes] + [row.award_from for row in instance.lots]
    assert all(month_number(date) >= first for date in dates)
    assert month_number(instance.settings.as_at) <= first


def test_every_figure_has_its_evidence_and_every_assumption_a_range(folder: Path, instance: Instance) -> None:
    with (folder / "evidence.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(line for line in file if not line.startswith("#")))
    for row in rows:
        if row["evidence"] == "assumption":
            assert row["low"] and row["high"], row["figures"]
        if row["evidence"] == "published":
            assert row["document"] and row["place"], row["figures"]
        if row["evidence"] in ("derived", "calibrated"):
            assert row["derived_from"] or row["note"], row["figures"]


def test_published_results_come_out_or_say_that_they_differ(instance: Instance) -> None:
    for row in published_results(instance, []):
        if row["published"] is None or row["match"] == "not computed":
            continue
        assert row["match"] in ("published", "matches by construction", "differs")
        assert row["document"] and row["place"], row["result"]
        if row["match"] == "differs":
            assert row["note"], row["result"]


@pytest.mark.parametrize("name", [name for name in EXPECTED if name != "kent-sufficiency-2019"])
def test_an_instance_plans_on_four_futures_and_the_plan_is_verified(name: str) -> None:
    planned(name, futures=4, gap=0.02)


def test_the_continuum_of_kent_plans_on_two_futures_and_the_plan_is_verified() -> None:
    planned("kent-sufficiency-2019", futures=2, gap=0.05)


@pytest.mark.long
@pytest.mark.parametrize("name", EXPECTED)
def test_an_instance_plans_on_its_own_futures_to_a_thousandth(name: str) -> None:
    planned(name, futures=None, gap=1e-3)


def planned(name: str, futures: int | None, gap: float) -> None:
    """Plan, and see that the recomputation accepts it within the gap."""
    instance, engine = prepare(optimiser.load(name), Asked(scenarios=futures))
    plan = best_plan(instance, engine, Settings(gap=gap))
    assert not plan.verified.violations
    objective, bound = plan.verified.objective, plan.solution.bound
    assert plan.solution.status == "optimal"
    assert bound <= objective + 1e-6 * abs(objective)
    assert objective - bound <= gap * abs(objective) * (1 + 1e-6)
