"""Reports of all bundled instances, opened by the programs that their readers use: a browser, and an office.

Each is skipped where its program is not installed, unless ``REQUIRE_PROGRAMS`` is set, as CI does.
"""

from __future__ import annotations

import html
import io
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest
import xlsxwriter
from docx import Document
from python_calamine import CalamineWorkbook

import optimiser
from optimiser.analysis import planning
from optimiser.analysis.frontier import frontier
from optimiser.analysis.planning import Asked, make_appraisal, make_plan
from optimiser.analysis.splits import split
from optimiser.analysis.trail import headlines_of
from optimiser.instance.finding import bundled
from optimiser.instance.schema import TABLES, Instance
from optimiser.report.files import write_report
from optimiser.report.layout import Documents, tables_of
from optimiser.report.parts import parts_of
from optimiser.report.workbook import HEAD

NAMES = [folder.name for folder in bundled()]
ARGUMENTS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update"]
KINDS = ("page", "workbook", "paper")

pytestmark = pytest.mark.long


def program(name: str) -> str:
    """Path of a program; without it the test is skipped, or fails where programs are required."""
    found = shutil.which(name)
    if found is None and os.environ.get("REQUIRE_PROGRAMS"):
        pytest.fail(f"{name} is not installed")
    return found or pytest.skip(f"{name} is not installed")


@pytest.fixture(scope="module")
def documents() -> dict[str, Documents]:
    """A rough plan of every instance on two futures and under a stress, with the options whose decisions are all fixed, what its
    cost is made of, and where it has them what capital buys and who pays what."""
    made: dict[str, Documents] = {}
    with pytest.MonkeyPatch.context() as patch:
        for name, futures in (("SIMULATED", 4), ("SEARCHED", 2), ("PAIRED", 2), ("FRESH", 2)):
            patch.setattr(planning, name, futures)
        patch.setattr(planning, "swings", lambda *_: [])
        # every limit is told of, without what one unit more of it is worth
        patch.setattr(planning, "worths", lambda engine, plan, limits, *_: limits)
        patch.setattr(planning, "simulated_ranking", lambda *_: None)
        asked = Asked(scenarios=2, gap=0.05, stresses=("more-arrivals",))
        for name in NAMES:
            instance = optimiser.load(name)
            fixed = tuple(row for row in instance.options if row.homes == () and row.lots == ())
            plan, planned = make_plan(instance, asked)
            # the same futures again: what has been found need not be searched for
            with pytest.MonkeyPatch.context() as again:
                again.setattr(planning, "best_plan", lambda *_, plan=plan: plan)
                _, appraised = make_appraisal(instance.model_copy(update={"options": fixed}), asked)
            appraised["instance"] = planned["instance"]  # fewer options, of the same instance
            made[name] = {"plan": planned, "appraise": appraised, "trace": headlines_of(plan, planned)}
            if any(home.capital_gbp for home in instance.homes):
                _, made[name]["frontier"] = frontier(instance, Asked(scenarios=2, gap=0.05))
            if len(instance.authorities) > 1:
                made[name]["split"] = split(instance, Asked(scenarios=2, gap=0.001))
    return made


@pytest.fixture(scope="module")
def written(documents: dict[str, Documents], tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("reports")
    for found in documents.values():
        write_report(found, KINDS, folder)
    return folder


def names_of(instance: Instance) -> set[str]:
    """Names of rows that nobody would say as they are written, such as four-units, and that no text of the instance holds."""
    rows = [row for table in TABLES for row in getattr(instance, table)]
    fields = [(name, getattr(row, name)) for row in rows for name in type(row).model_fields]
    said = {"title", "question", "document", "place", "note"}
    words = " ".join(
        [instance.settings.title, instance.settings.question, *(str(value) for name, value in fields if name in said)]
    )
    named = {value for name, value in fields if name not in said and isinstance(value, str)}
    return {name for name in named if re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)+", name) and name not in words}


def shown_by(folder: Path, name: str) -> dict[str, str]:
    """What page, paper and workbook say, but for the register of evidence, whose figures go by their names."""
    page = (folder / f"{name}.html").read_text(encoding="utf-8")
    page = re.sub(r'<section class="evidence".*?</section>', " ", page, flags=re.DOTALL)
    labels = " ".join(re.findall(r'(?:alt|aria-label|title)="([^"]*)"', page))
    page = re.sub(r"<(style|script|svg)\b.*?</\1>|<[^>]*>", " ", page, flags=re.DOTALL)
    paper = Document(str(folder / f"{name}.docx"))
    cells = [cell.text for table in paper.tables for row in table.rows for cell in row.cells]
    book = CalamineWorkbook.from_path(folder / f"{name}.xlsx")
    sheets = [book.get_sheet_by_name(each) for each in book.sheet_names if each not in ("Evidence", "Trace inputs")]
    return {
        "page": html.unescape(f"{page} {labels}"),
        "paper": "\n".join([paragraph.text for paragraph in paper.paragraphs] + cells),
        "workbook": "\n".join(str(value) for sheet in sheets for row in sheet.to_python() for value in row),
    }


@pytest.mark.parametrize("name", NAMES)
def test_nothing_is_called_by_its_name_in_the_files_of_the_instance(written: Path, name: str) -> None:
    names = names_of(optimiser.load(name))
    assert names, "each instance has such names, of figures if of nothing else"
    for kind, text in shown_by(written, name).items():
        assert len(text) > 5_000, kind
        found = {each for each in names if re.search(rf"(?<![\w.-]){each}(?![\w.-])", text)}
        assert not found, (kind, found)


def test_every_part_is_in_some_report(documents: dict[str, Documents]) -> None:
    parts = {name: {part.name for part in parts_of(found)} for name, found in documents.items()}
    for name, found in parts.items():
        assert {"decision", "money", "stresses", "options", "trace", "evidence"} <= found, name
    assert {name for name, found in parts.items() if "frontier" in found} == {
        "cambridgeshire-residential-2024",
        "kent-in-house-2025",
    }
    assert {name for name, found in parts.items() if "partners" in found} == {"south-east-regional-block-2021"}


def test_beds_of_a_building_that_a_provider_runs_are_counted_once(documents: dict[str, Documents]) -> None:
    plan = documents["cambridgeshire-residential-2024"]["plan"]
    built = {row["kind"]: 0 for row in plan["timeline"]} | {"block": 0}
    for row in plan["timeline"]:
        built[row["kind"]] += row["beds"]
    assert built["building"] == built["block"] > 0
    for row in plan["quarters"]:
        assert row["in_house_usable_beds"] == 0
        assert row["block_expected"] <= row["block_usable_beds"] + 1e-6 <= built["block"] + 1e-6


def test_pages_have_no_axe_violation_no_console_error_and_fetch_nothing(written: Path) -> None:
    chromium = program("chromium")
    browsing = pytest.importorskip("playwright.sync_api")
    axe = pytest.importorskip("axe_playwright_python.sync_playwright")
    with browsing.sync_playwright() as started:
        browser = started.chromium.launch(executable_path=chromium, args=ARGUMENTS)
        for name in NAMES:
            opened = browser.new_page(viewport={"width": 1100, "height": 1000})
            asked: list[str] = []
            said: list[str] = []
            opened.on("request", lambda request, asked=asked: asked.append(request.url))
            opened.on("console", lambda message, said=said: said.append(message.text))
            opened.on("pageerror", lambda error, said=said: said.append(str(error)))
            address = (written / f"{name}.html").as_uri()
            opened.goto(address)
            found = axe.Axe().run(opened)
            assert found.violations_count == 0, f"{name}: {found.generate_report()}"
            assert [url for url in asked if not url.startswith("data:")] == [address]
            assert said == []
            # by keyboard alone: the first stop leads past the contents
            opened.keyboard.press("Tab")
            assert opened.evaluate("document.activeElement.getAttribute('href')") == "#main"
            # nothing is cut off on a telephone
            opened.set_viewport_size({"width": 320, "height": 800})
            assert opened.evaluate("document.documentElement.scrollWidth") <= 320
            opened.close()
        browser.close()


#: Settings of LibreOffice under which it works out every formula anew instead of trusting the value beside it.
RECALCULATE = """<?xml version="1.0" encoding="UTF-8"?>
<oor:items xmlns:oor="http://openoffice.org/2001/registry"><item oor:path="/org.openoffice.Office.Calc/Formula/Load">
<prop oor:name="OOXMLRecalcMode" oor:op="fuse"><value>0</value></prop></item></oor:items>
"""


def office(folder: Path, ending: str, to: str) -> Path:
    """Every file of a kind in a folder, converted by LibreOffice to another folder within it."""
    settings = folder / "settings" / "user" / "registrymodifications.xcu"
    settings.parent.mkdir(parents=True, exist_ok=True)
    settings.write_text(RECALCULATE, encoding="utf-8")
    own = f"-env:UserInstallation={(folder / 'settings').as_uri()}"
    files = [str(path) for path in sorted(folder.glob(f"*{ending}"))]
    words = [program("soffice"), own, "--headless", "--convert-to", to, "--outdir", str(folder / to), *files]
    subprocess.run(words, check=True, capture_output=True)
    return folder / to


def test_workbooks_recalculated_hold_the_values_that_were_written(
    written: Path, documents: dict[str, Documents]
) -> None:
    out = office(written, ".xlsx", "ods")
    checked = 0
    for name in NAMES:
        tables = tables_of(parts_of(documents[name]))
        book = CalamineWorkbook.from_path(out / f"{name}.ods")
        for table in tables:
            rows = book.get_sheet_by_name(table.name).to_python(skip_empty_area=False)
            totals = table.totals()
            for place, column in enumerate(table.columns):
                for number, row in enumerate([*table.rows, totals] if totals else table.rows, start=HEAD + 1):
                    value = row.get(column.key)
                    if isinstance(value, (int, float)) and not isinstance(value, bool):
                        assert float(rows[number][place]) == pytest.approx(value, abs=0.005), (name, table.name, column)
                        checked += 1
    assert checked > 1000


def test_the_office_does_recalculate(tmp_path: Path) -> None:
    """A formula written with a wrong value comes out right: else the test above could not fail."""
    with xlsxwriter.Workbook(str(tmp_path / "wrong.xlsx")) as book:
        book.add_worksheet("one").write_formula(0, 0, "=SUM(1,2)", None, 99)
    out = office(tmp_path, ".xlsx", "ods")
    assert CalamineWorkbook.from_path(out / "wrong.ods").get_sheet_by_name("one").to_python() == [[3.0]]


def test_papers_become_pdf_with_every_heading_on_a4(written: Path, documents: dict[str, Documents]) -> None:
    out = office(written, ".docx", "pdf")
    for name in NAMES:
        text = subprocess.run(
            [program("pdftotext"), str(out / f"{name}.pdf"), "-"], check=True, capture_output=True, text=True
        ).stdout
        headings = ["Decision sought", "Financial implications", "Under stress", "What the cost is made of"]
        headings += ["What capital buys"] * ("frontier" in documents[name])
        headings += ["Who joins, who pays what"] * ("split" in documents[name])
        for heading in (*headings, "Alternatives considered and not proposed"):
            assert heading in text, name
        about = subprocess.run(
            [program("pdfinfo"), str(out / f"{name}.pdf")], check=True, capture_output=True, text=True
        ).stdout
        assert "A4" in about


def test_reports_are_small(written: Path) -> None:
    for name in NAMES:
        assert len((written / f"{name}.html").read_bytes()) < 2_000_000
        assert len((written / f"{name}.xlsx").read_bytes()) < 1_000_000
    assert io.BytesIO((written / f"{NAMES[0]}.docx").read_bytes()).read(2) == b"PK"
