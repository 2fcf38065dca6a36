"""Reports: what page, workbook and paper say is what the documents hold, and can be read by everybody."""

from __future__ import annotations

import io
import json
import re
import zipfile
from copy import deepcopy
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import docx
import pytest
from python_calamine import CalamineWorkbook
from typer.testing import CliRunner

import optimiser
from optimiser.analysis import planning, trail
from optimiser.analysis.frontier import frontier
from optimiser.analysis.planning import Asked, make_appraisal, make_plan
from optimiser.analysis.splits import split
from optimiser.analysis.trail import headlines_of_runs
from optimiser.cli import app
from optimiser.errors import InstanceError
from optimiser.instance.reading import read_instance
from optimiser.instance.workbook import write_template_workbook
from optimiser.report import charts
from optimiser.report.files import read_documents, write_appraisal, write_frontier, write_plan, write_report
from optimiser.report.layout import Documents, tables_of
from optimiser.report.page import page
from optimiser.report.paper import paper
from optimiser.report.parts import parts_of
from optimiser.report.simulated import market_lines
from optimiser.report.terminal import decision_words, pounds
from optimiser.report.workbook import HEAD, workbook
from tests.instance_folders import Folder

Row = dict[str, Any]


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """A plan under stress, an appraisal and a frontier of the template over eighteen months, as ``--out`` writes them."""
    place = tmp_path_factory.mktemp("runs")
    folder = Folder(place / "instance")
    folder.setting("periods", '"18x1"')
    instance = read_instance(folder.path)
    with pytest.MonkeyPatch.context() as patch:
        for name, futures in (("SIMULATED", 6), ("SEARCHED", 4), ("PAIRED", 4), ("FRESH", 4)):
            patch.setattr(planning, name, futures)
        plan, planned = make_plan(instance, Asked(scenarios=3, stresses=("more-arrivals",)))
        options, appraised = make_appraisal(instance, Asked(scenarios=3))
        _, limits = frontier(instance, Asked(scenarios=3, gap=0.01))
    write_plan(plan, planned, place / "plan", folder.path)
    write_appraisal(options, appraised, place / "appraisal")
    write_frontier(limits, place / "frontier")
    return [place / "plan", place / "appraisal", place / "frontier"]


@pytest.fixture
def documents(runs: list[Path]) -> Documents:
    return read_documents(runs) | headlines_of_runs(runs)


@pytest.fixture(scope="module")
def shared() -> Row:
    """How three councils share a bill: the region's instance on two futures."""
    return split(optimiser.load("south-east-regional-block-2021"), Asked(scenarios=2, gap=0.01), entitled=False)


def words_of(paper_bytes: bytes) -> str:
    return "\n".join(paragraph.text for paragraph in docx.Document(io.BytesIO(paper_bytes)).paragraphs)


# parts


def test_a_report_says_nothing_of_options_where_none_were_appraised(documents: Documents) -> None:
    names = [part.name for part in parts_of(documents)]
    calm = {"plan": documents["plan"] | {"stresses": []}}
    without = [part.name for part in parts_of(calm)]
    always = ["decision", "places", "money", "risks", "change", "evidence", "computed"]
    assert [name for name in names if name in always] == without == always
    assert set(names) == {*always, "frontier", "stresses", "options", "trace"}
    assert "No options were appraised" in words_of(paper(calm))


def test_a_report_without_a_plan_is_refused(documents: Documents) -> None:
    with pytest.raises(InstanceError, match=r"hold no plan\. Name also a folder that optimiser plan --out has written"):
        parts_of({"appraise": documents["appraise"]})


def test_runs_of_different_instances_are_refused(documents: Documents) -> None:
    other = deepcopy(documents)
    other["appraise"]["instance"]["fingerprint"] = "another"
    with pytest.raises(InstanceError, match="is not of the instance that was planned, or has another envelope"):
        parts_of(other)


def test_every_table_has_heads_that_differ_and_the_columns_that_its_paper_names(documents: Documents) -> None:
    tables = tables_of(parts_of(documents))
    assert len({table.name for table in tables}) == len(tables)
    for table in tables:
        heads = [column.head.lower() for column in table.columns]
        assert len(set(heads)) == len(heads), table.name
        assert set(table.brief) <= {column.key for column in table.columns}
        assert all(set(column.adds) <= {other.key for other in table.columns} for column in table.columns)


def test_columns_that_add_others_hold_their_sum(documents: Documents) -> None:
    added = 0
    for table in tables_of(parts_of(documents)):
        for column in table.columns:
            for row in table.rows if column.adds else ():
                assert row[column.key] == pytest.approx(sum(row[key] for key in column.adds), abs=0.005)
                added += 1
    assert added


def test_children_live_in_beds_that_are_held_and_add_up_to_all(documents: Documents) -> None:
    for row in documents["plan"]["quarters"]:
        assert row["all_expected"] == pytest.approx(sum(row[f"{kind}_expected"] for kind in charts.SOURCES))
        assert row["all_p10"] <= row["all_p90"]
        for kind in charts.HELD:
            assert row[f"{kind}_expected"] <= row[f"{kind}_usable_beds"] + 1e-6


def test_an_option_that_costs_more_than_doing_nothing_has_that_among_its_risks(documents: Documents) -> None:
    told = deepcopy(documents)
    row = next(row for row in told["appraise"]["options"] if row["option"] == "one-home")
    row["saving_gbp"] = -2_000_000.0
    benefits, risks = (
        next(line for line in words_of(paper(told)).split(row["title"])[-2].splitlines() if line.startswith(label))
        for label in ("Benefits", "Risks")
    )
    assert "£2.00m more than doing nothing" in risks
    assert "more than doing nothing" not in benefits


# further parts


def test_what_the_cost_is_made_of_comes_to_the_plans_cost_to_the_penny(documents: Documents) -> None:
    (part,) = (part for part in parts_of(documents) if part.name == "trace")
    made, inputs = part.tables
    totals = made.totals()
    assert totals["present"] == pytest.approx(documents["plan"]["expected_cost_gbp"], abs=0.005)
    for row in documents["plan"]["years"]:
        assert totals[row["year"]] == pytest.approx(row["nominal_gbp"], abs=0.005)
    assert "to the penny" in part.sentences[0]
    assert {row["term"] for row in inputs.rows} == {row["term"] for row in made.rows}
    register = {row["figure"]: row for row in documents["plan"]["evidence"]["register"]}
    named = [row for row in inputs.rows if row["figure"] in register]
    assert len(named) > 10
    assert all(row["evidence"] == register[row["figure"]]["evidence"] for row in named)


def test_a_figure_that_its_terms_do_not_come_to_is_not_called_right(documents: Documents) -> None:
    told = deepcopy(documents)
    told["trace"]["figures"][1]["agrees"] = False
    (part,) = (part for part in parts_of(told) if part.name == "trace")
    assert "does not come to what the plan says" in part.sentences[0]


def two_plans(documents: Documents) -> Documents:
    """The same with a second plan on the frontier, which half a million buys."""
    told = deepcopy(documents)
    (first,) = told["frontier"]["points"]
    further = {"capital_limit_gbp": 500_000.0, "objective_gbp": first["objective_gbp"] - 1e5, "homes": 1}
    further["bound_gbp"] = further["objective_gbp"] - 1e4
    first["best_until_gbp"] = 500_000.0
    told["frontier"]["points"].append({**first, **further, "best_from_gbp": 500_000.0, "best_until_gbp": None})
    return told


def test_the_frontier_has_every_plan_its_bound_and_the_envelope_of_the_instance(documents: Documents) -> None:
    documents = two_plans(documents)
    (part,) = (part for part in parts_of(documents) if part.name == "frontier")
    table, decided = part.tables
    points = documents["frontier"]["points"]
    assert [row["capital_limit_gbp"] for row in table.rows] == [row["capital_limit_gbp"] for row in points]
    assert len(decided.rows) == len(points) > 1
    assert all(row["bound_gbp"] <= row["objective_gbp"] + 0.005 for row in table.rows)
    drawn = json.dumps(json.loads(dict(part.charts)["frontier"].to_json()))
    assert "the instance's" in drawn and all(f'"envelope": {row["capital_limit_gbp"] / 1e6}' in drawn for row in points)


def test_a_frontier_by_year_is_drawn_in_panels_with_words(documents: Documents) -> None:
    told = two_plans(documents)
    found = told["frontier"]
    later = [{**row, "year": "2026/27", "objective_gbp": row["objective_gbp"] - 1e6} for row in found["points"]]
    found["points"] = [{**row, "year": "2025/26"} for row in found["points"]] + later
    found |= {"by": "year", "own": None}
    chart = charts.frontier_chart(found)
    assert len(chart.concat) == 2
    assert "2026/27" in chart.description
    assert chart.title.text[0].startswith("What 202")
    assert charts.svg_of(chart).startswith("<svg")
    assert "Year whose release is varied" in page(told)
    assert workbook(told).startswith(b"PK")


def test_regret_under_a_stress_is_what_the_plan_costs_more_than_the_best_for_it(documents: Documents) -> None:
    (part,) = (part for part in parts_of(documents) if part.name == "stresses")
    (table,) = part.tables
    assert table.rows
    for row in table.rows:
        assert row["regret_gbp"] == pytest.approx(row["expected_cost_gbp"] - row["best_gbp"], abs=0.01)
        assert row["regret_weeks"] == pytest.approx(row["weeks"] - row["best_weeks"], abs=1e-6)
    assert len(part.points) == len(documents["plan"]["stresses"])


def test_stresses_of_plan_and_appraisal_are_shown_once(documents: Documents) -> None:
    told = deepcopy(documents)
    told["appraise"]["stresses"] = deepcopy(told["plan"]["stresses"])
    (part,) = (part for part in parts_of(told) if part.name == "stresses")
    assert len(part.points) == len(told["plan"]["stresses"])


def of_region(documents: Documents, shared: Row) -> Documents:
    """The plan, with the split of another instance made out to be of its own."""
    return {"plan": documents["plan"], "split": shared | {"instance": documents["plan"]["instance"]}}


def test_bills_of_every_rule_come_to_the_cost_of_the_joint_plan(documents: Documents, shared: Row) -> None:
    (part,) = (part for part in parts_of(of_region(documents, shared)) if part.name == "partners")
    tables = {table.name: table for table in part.tables}
    assert len(tables["Partners"].rows) == len(shared["bills"]) > 5
    for row in tables["Partners"].rows:
        assert row["together"] == pytest.approx(shared["total_gbp"], abs=0.01)
    saved = {row["together"] for row in tables["Partners savings"].rows}
    assert max(saved) - min(saved) < 0.05
    assert tables["Partners savings"].rows[-1]["what"] == "Equal shares"
    assert any("better off" in line or "nobody would leave" in line for line in part.points)
    assert dict(part.charts)["partners"].description


def test_more_councils_than_stand_side_by_side_are_rows(documents: Documents, shared: Row) -> None:
    told = deepcopy(of_region(documents, shared))
    found = told["split"]
    for number in range(3):
        for row in found["bills"].values():
            row["partners"][f"other-{number}"] = deepcopy(row["partners"]["kent"])
        found["titles"][f"other-{number}"] = f"Other {number}"
    (part,) = (part for part in parts_of(told) if part.name == "partners")
    table = next(table for table in part.tables if table.name == "Partners")
    assert [row["what"] for row in table.rows][-1] == "Other 2"
    assert len(table.brief) < len(table.columns)
    assert workbook(told).startswith(b"PK") and paper(told).startswith(b"PK")


def test_the_workbook_draws_savings_by_partner_and_rule(documents: Documents, shared: Row) -> None:
    content = workbook(of_region(documents, shared))
    with zipfile.ZipFile(io.BytesIO(content)) as book:
        drawn = "".join(book.read(name).decode() for name in book.namelist() if name.startswith("xl/charts/chart"))
    for title in shared["titles"].values():
        assert title in drawn
    assert "'Partners savings'" in drawn


def test_the_workbook_draws_the_frontier_from_cells_that_follow_its_table(documents: Documents) -> None:
    documents = two_plans(documents)
    content = workbook(documents)
    with zipfile.ZipFile(io.BytesIO(content)) as book:
        drawn = "".join(book.read(name).decode() for name in book.namelist() if name.startswith("xl/charts/chart"))
    for words in ("A plan begins", "No plan can cost less"):
        assert words in drawn
    (table,) = (table for table in tables_of(parts_of(documents)) if table.name == "Frontier")
    rows = CalamineWorkbook.from_filelike(io.BytesIO(content)).get_sheet_by_name("Frontier").to_python()
    side = len(table.columns) + 1
    steps = [(row[side], row[side + 1]) for row in rows[HEAD + 1 :] if row[side] != ""]
    assert len(steps) == 2 * len(table.rows)
    assert [step[0] for step in steps[:3]] == [0, 500_000, 500_000]
    for place, row in enumerate(table.rows):
        assert steps[2 * place] == (pytest.approx(row["capital_limit_gbp"]), pytest.approx(row["objective_gbp"]))
        assert steps[2 * place + 1][1] == pytest.approx(row["objective_gbp"])


# charts


def test_areas_of_the_chart_of_places_add_up_to_all_children(documents: Documents) -> None:
    chart = json.loads(charts.places_chart(documents["plan"]).to_json())
    fan, area = (layer for layer in chart["layer"] if layer["mark"]["type"] == "area")
    assert {(row["low"], row["high"]) for row in fan["data"]["values"]} == {
        (row["all_p10"], row["all_p90"]) for row in documents["plan"]["quarters"]
    }
    by_date: dict[str, float] = {}
    for row in area["data"]["values"]:
        by_date[row["date"]] = by_date.get(row["date"], 0.0) + row["children"]
    for row in documents["plan"]["quarters"]:
        # what is hardly there is not drawn
        assert by_date[f"{row['quarter']}-01"] == pytest.approx(row["all_expected"], abs=5 * charts.LEAST_CHILDREN)


def test_bars_of_the_chart_of_years_add_up_to_the_cost_of_the_year(documents: Documents) -> None:
    chart = json.loads(charts.years_chart(documents["plan"]).to_json())
    (bars,) = (layer for layer in chart["layer"] if layer["mark"]["type"] == "bar")
    for row in documents["plan"]["years"]:
        drawn = sum(found["millions"] for found in bars["data"]["values"] if found["year"] == row["year"])
        assert drawn == pytest.approx(row["nominal_gbp"] / 1e6, rel=0.02)


def test_titles_of_charts_change_with_the_figures(documents: Documents) -> None:
    plan = deepcopy(documents["plan"])
    before = charts.years_chart(plan).title.text, charts.spot_chart(plan).title.text
    plan["years"][0]["nominal_gbp"] *= 2
    plan["quarters"][2]["spot_expected"] = 99.0
    after = charts.years_chart(plan).title.text, charts.spot_chart(plan).title.text
    assert all(one != other for one, other in zip(before, after, strict=True))
    assert "99.0 children" in " ".join(after[1])


def test_the_chart_of_options_says_where_the_optimised_plan_is_not_the_cheapest(documents: Documents) -> None:
    appraisal = deepcopy(documents["appraise"])
    rows = {row["option"]: row for row in appraisal["options"]}
    rows["do-nothing"]["expected_cost_gbp"] = 1.0
    rows["do-nothing"]["unregistered_child_weeks"] = rows["optimised"]["unregistered_child_weeks"] + 7.5
    title = " ".join(charts.options_chart(appraisal).title.text)
    assert title.startswith(rows["do-nothing"]["title"])
    assert "The optimised plan:" in title and "7.5 fewer child-weeks" in title


def test_the_timeline_keeps_its_stages_in_order(documents: Documents) -> None:
    rows = documents["plan"]["timeline"]
    assert rows
    for row in rows:
        dates = [row[name] for name in ("month", "registration", "first_child_p50", "first_child_p90") if row[name]]
        assert dates == sorted(dates)
        if row["kind"] == "block" and row["ends"]:
            assert row["ends"] > row["first_child_p50"]
    begun = {
        (row["item"], row["month"]) for row in documents["plan"]["decisions"] if row["action"] in ("begin", "award")
    }
    assert begun == {(row["item"], row["month"]) for row in rows if row["kind"] != "existing"}


# the page


def test_the_page_stands_alone_and_is_small(documents: Documents) -> None:
    text = page(documents)
    assert len(text.encode()) < 2_000_000
    assert "<script" not in text
    outside = [link for link in re.findall(r'(?:href|src|url)\s*[=(]\s*["\']?([^"\')\s>]+)', text) if link[0] != "#"]
    assert set(outside) <= {"data:,"}
    ids = re.findall(r'\bid="([^"]+)"', text)
    assert len(set(ids)) == len(ids)
    assert {link[1:] for link in re.findall(r'href="(#[^"]+)"', text)} <= set(ids)


def test_the_page_has_the_decision_first_and_every_chart_with_its_words(documents: Documents) -> None:
    text = page(documents)
    parts = parts_of(documents)
    headings = re.findall(r"<h2[^>]*>([^<]+)</h2>", text)
    assert headings == [part.title for part in parts]
    assert headings[0] == "What to decide"
    drawn = [chart for part in parts for _, chart in part.charts]
    assert text.count('<div role="img" aria-label="') == len(drawn) == 6
    tables = tables_of(parts)
    tables = [table for table in tables if table.in_page]
    assert text.count("<caption") == len(tables)
    assert text.count('<th scope="col"') == sum(len(table.columns) for table in tables)


def test_words_of_an_instance_cannot_become_markup(documents: Documents) -> None:
    told = deepcopy(documents)
    told["plan"]["instance"]["title"] = "<script>alert(1)</script>"
    for row in told["plan"]["timeline"]:
        row["title"] = "<b>home</b> & more"
    text = page(told)
    assert "<script" not in text and "<b>home" not in text


# the workbook


def test_totals_of_the_workbook_are_formulas_that_agree_with_their_values_to_the_penny(documents: Documents) -> None:
    content = workbook(documents)
    book = CalamineWorkbook.from_filelike(io.BytesIO(content))
    checked = 0
    for table in tables_of(parts_of(documents)):
        rows = book.get_sheet_by_name(table.name).to_python(skip_empty_area=False)
        head = rows[HEAD]
        assert [str(cell) for cell in head[: len(table.columns)]] == [column.head for column in table.columns]
        body = rows[HEAD + 1 : HEAD + 1 + len(table.rows)]
        for place, column in enumerate(table.columns):
            if column.total:
                total = rows[HEAD + 1 + len(table.rows)][place]
                assert float(total) == pytest.approx(sum(float(row[place]) for row in body), abs=0.005)
                checked += 1
    assert checked > 8
    formulas = re.findall(r"<f>([^<]+)</f>", sheets_of(content))
    assert sum(words.startswith("SUBTOTAL(109,") for words in formulas) == checked
    assert sum(words.startswith("SUM(") for words in formulas) == 3  # the summary's links


def sheets_of(content: bytes) -> str:
    with zipfile.ZipFile(io.BytesIO(content)) as book:
        return "".join(book.read(name).decode() for name in book.namelist() if name.startswith("xl/worksheets/sheet"))


def test_the_workbook_has_real_tables_frozen_heads_and_native_charts_with_words(documents: Documents) -> None:
    content = workbook(documents)
    tables = tables_of(parts_of(documents))
    with zipfile.ZipFile(io.BytesIO(content)) as book:
        names = book.namelist()
        drawings = "".join(book.read(name).decode() for name in names if name.startswith("xl/drawings/drawing"))
    assert sum(name.startswith("xl/tables/") for name in names) == len(tables)
    assert sum(name.startswith("xl/charts/chart") for name in names) == 5
    assert drawings.count('descr="') == 5
    assert sheets_of(content).count('state="frozen"') == len(tables) + 1


# the paper


HEADINGS = [
    "Decision sought",
    "Reasons for the decision",
    "Background",
    "Options considered",
    "Financial implications",
    "Legal and registration",
    "Risks",
    "What would change the answer",
    "What was assumed",
    "Alternatives considered and not proposed",
    "How the figures were made",
    "For officers to add",
]


def test_the_paper_has_the_parts_of_a_committee_report_real_headers_and_pictures_with_words(
    documents: Documents,
) -> None:
    made = docx.Document(io.BytesIO(paper(documents)))
    assert [found.text for found in made.paragraphs if found.style.name == "Heading 1"] == HEADINGS
    titles = [found.text for found in made.paragraphs if found.style.name == "Heading 2"]
    assert [title.removesuffix(" (the paper's own)") for title in titles] == [
        *(row["title"] for row in documents["appraise"]["options"]),
        "What capital buys",
        "Under stress",
        "What the cost is made of",
    ]
    assert len(made.inline_shapes) == 6
    assert all(len(shape._inline.docPr.get("descr")) > 40 for shape in made.inline_shapes)
    brief = [table for table in tables_of(parts_of(documents)) if table.brief]
    assert len(made.tables) == len(brief)
    for table in made.tables:
        assert "w:tblHeader" in table.rows[0]._tr.xml
        assert "w:tblHeader" not in table.rows[1]._tr.xml


def test_sentences_of_the_paper_change_with_the_figures(documents: Documents) -> None:
    told = deepcopy(documents)
    step = told["plan"]["rounding_gbp"]
    cost = told["plan"]["expected_cost_gbp"]
    assert pounds(cost, step) in words_of(paper(documents))
    told["plan"]["expected_cost_gbp"] = 3 * cost
    told["plan"]["saving_gbp"] = -12_345_678.0
    other = told["appraise"]["options"][0]
    ours = next(row for row in told["appraise"]["options"] if row["option"] == "optimised")
    other["expected_cost_gbp"] = ours["expected_cost_gbp"] - 1_000_000
    other["unregistered_child_weeks"] = ours["unregistered_child_weeks"] + 4.2
    words = words_of(paper(told))
    assert f"Net present cost {pounds(3 * cost, step)}" in words
    assert f"{pounds(12_345_678.0, step)} more than doing nothing" in words
    assert f"{other['title']}: £1.00m less than the plan, and 4.2 more child-weeks" in words


def test_a_plan_that_does_nothing_is_told_as_such(documents: Documents) -> None:
    told = {"plan": deepcopy(documents["plan"])}
    told["plan"] |= {
        "stresses": [],
        "decisions": [],
        "timeline": [],
        "limits": [],
        "capital": [],
        "voids": [],
        "break_even": [],
        "mtfp": [],
    }
    words = words_of(paper(told))
    assert "agree to begin no home and award no contract now" in words
    assert "The plan opens no home that the council would run" in words
    assert "Begin no home, award no lot" in page(told)
    assert workbook(told).startswith(b"PK")


# files


def test_the_same_documents_give_the_same_bytes(documents: Documents) -> None:
    for maker in (lambda: page(documents).encode(), lambda: workbook(documents), lambda: paper(documents)):
        assert maker() == maker()


def test_only_what_is_named_is_written(documents: Documents, tmp_path: Path) -> None:
    assert [path.suffix for path in write_report(documents, ["page"], tmp_path / "new")] == [".html"]
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["plan.html"]


def test_a_report_does_not_replace_the_workbook_that_the_instance_was_read_from(
    documents: Documents, tmp_path: Path
) -> None:
    mine = tmp_path / "plan.xlsx"
    write_template_workbook(mine)
    before = mine.read_bytes()
    with pytest.raises(InstanceError) as refused:
        write_report(documents, ["page", "workbook"], tmp_path)
    assert f"{mine}, --to: holds an instance, and a report would replace it. Name another folder, such as" in str(
        refused.value
    )
    assert [path.name for path in tmp_path.iterdir()] == ["plan.xlsx"]
    assert mine.read_bytes() == before
    # a report of an earlier run is replaced, and what else is to be written does not stand in its way
    mine.write_bytes(workbook(documents)[:-1] + b"?")
    assert write_report(documents, ["page"], tmp_path) == [tmp_path / "plan.html"]
    assert write_report(documents, ["workbook"], tmp_path) == [mine]
    assert mine.read_bytes() == workbook(documents)


def test_a_folder_without_a_run_and_a_second_plan_are_named_together(runs: list[Path], tmp_path: Path) -> None:
    with pytest.raises(InstanceError) as refused:
        read_documents([runs[0], runs[0], tmp_path])
    assert "is a second run of optimiser plan. Name one folder of each command." in str(refused.value)
    assert f"{tmp_path}: holds no run that a report is made from. Name folders that" in str(refused.value)


@pytest.mark.parametrize("text", ["{}", "[1]", "no document", ""])
def test_a_document_that_is_broken_or_of_an_earlier_version_is_named(tmp_path: Path, text: str) -> None:
    (tmp_path / "plan.json").write_text(text)
    with pytest.raises(
        InstanceError, match=r"plan\.json: is not a document of this version .* Run optimiser plan --out again\."
    ):
        read_documents([tmp_path])


def test_the_command_writes_all_three_or_those_that_are_named(runs: list[Path], tmp_path: Path) -> None:
    words = ["report", *map(str, runs), "--to", str(tmp_path)]
    assert CliRunner().invoke(app, [*words, "--paper"]).exit_code == 0
    assert {path.suffix for path in tmp_path.iterdir()} == {".docx"}
    done = CliRunner().invoke(app, words)
    assert {path.suffix for path in tmp_path.iterdir()} == {".html", ".xlsx", ".docx"}
    assert done.output.splitlines() == [f"Written to {tmp_path / f'plan.{kind}'}." for kind in ("html", "xlsx", "docx")]


def test_the_command_says_what_is_missing_where_only_options_were_appraised(runs: list[Path], tmp_path: Path) -> None:
    done = CliRunner().invoke(app, ["report", str(runs[1]), "--to", str(tmp_path)])
    assert "hold no plan" in str(done.exception)
    assert not list(tmp_path.iterdir())


def test_the_command_plans_and_appraises_an_instance_from_what_the_plan_has_learned(
    documents: Documents, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[Asked] = []

    def make(name: str) -> Any:
        def made(_: object, given: Asked, __: object) -> tuple[SimpleNamespace, Row]:
            asked.append(given)
            return SimpleNamespace(kept="learned"), documents[name]

        return made

    monkeypatch.setattr(planning, "make_plan", make("plan"))
    monkeypatch.setattr(planning, "make_appraisal", make("appraise"))
    monkeypatch.setattr(trail, "headlines_of", lambda *_: documents["trace"])
    words = ["report", "kent-in-house-2025", "--scenarios", "7", "--page", "--to", str(tmp_path)]
    assert CliRunner().invoke(app, words).exit_code == 0
    assert [given.scenarios for given in asked] == [7, 7]
    assert asked[0].keep and asked[1].start == "learned"
    assert [path.name for path in tmp_path.iterdir()] == ["plan.html"]


def test_an_appraisal_is_written_with_what_each_option_costs_in_each_future(runs: list[Path]) -> None:
    import pandas as pd

    appraisal = json.loads((runs[1] / "appraisal.json").read_text(encoding="utf-8"))
    futures = pd.read_parquet(runs[1] / "futures-options.parquet")
    for row in appraisal["options"]:
        own = futures[futures["option"] == row["option"]]
        assert (own["present_gbp"] * own["probability"]).sum() == pytest.approx(row["expected_cost_gbp"])
        assert row["p10_gbp"] <= row["p25_gbp"] <= row["p50_gbp"] <= row["p75_gbp"] <= row["p90_gbp"]
        assert {row["p10_gbp"], row["p90_gbp"]} <= set(own["present_gbp"])


def test_the_chart_of_what_changed_says_where_an_average_hides_it(documents: Documents) -> None:
    before = documents["plan"]
    now = deepcopy(before)
    assert charts.change_chart(before, now).title.text[0].startswith("Spot purchase stays as it is")
    first, last = now["quarters"][0], now["quarters"][-1]
    first["spot_expected"] += 1.5
    last["spot_expected"] -= 1.5
    assert ", but 1.5 " in charts.change_chart(before, now).title.text[0]
    last["spot_expected"] += 1.5
    assert "more children in spot placements on average" in charts.change_chart(before, now).title.text[0]


def test_a_year_of_which_the_horizon_holds_a_part_is_not_set_beside_a_whole_one(documents: Documents) -> None:
    plan = documents["plan"]
    in_part = charts.part_years(plan)
    assert list(in_part.values()) == [6], "eighteen months"
    (year,) = in_part
    assert year == plan["years"][-1]["year"]
    title = " ".join(charts.years_chart(plan).title.text)
    assert title.startswith("Cost is £") and year not in title
    assert f"only in part: {year} 6 months" in " ".join(charts.years_chart(plan).title.subtitle)
    assert charts.part_years({"instance": {}}) == {}


def test_a_building_that_a_provider_runs_takes_in_no_child_of_its_own() -> None:
    row = {
        "action": "begin",
        "item": "house",
        "month": "2025-04",
        "number": 1,
        "branch": "",
        "beds": 2,
        "first_child_p50": "2025-10",
        "first_child_p90": "2025-12",
    }
    assert "first child in by Oct 2025" in decision_words(row | {"operator": "council"}, {})
    assert "building ready by Oct 2025" in decision_words(row | {"operator": "provider"}, {})


def test_the_market_is_asked_when_every_pool_that_a_child_may_live_in_is_filled() -> None:
    def row(cohort: str, pool: str, beds: int, keep: int = 0) -> Row:
        return {"cohort": cohort, "pool": pool, "beds": beds, "keep": keep, "above": beds - keep, "makes_room": False}

    alike = [row(cohort, pool, beds) for cohort in ("high", "lower") for pool, beds in (("in_house", 2), ("block", 4))]
    assert market_lines(alike, {}) == [
        "Go to the market for a child when both beds in own homes are filled and all 4 beds under block contracts are filled."
    ]
    assert market_lines([row("high", "block", 3), row("lower-needs", "block", 3, keep=1)], {}) == [
        "Go to the market for a child (high) when all 3 beds under block contracts are filled.",
        "Go to the market for a child (lower needs) when 2 of 3 beds under block contracts are filled (1 kept for children whose "
        "spot places are dearer).",
    ]
    kept = [row("high", "centre", 3), row("moving-on", "centre", 3, keep=3)]
    assert market_lines(kept, {"centre": "the reception centre"}) == [
        "Go to the market for a child (high) when all 3 beds in the reception centre are filled.",
        "Go to the market for every child (moving on) at once: the 3 beds in the reception centre are all kept for children whose "
        "spot places are dearer.",
    ]
