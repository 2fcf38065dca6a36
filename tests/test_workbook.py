"""An instance as a workbook: the same cells as its folder, whoever has saved it, and faults named by sheet and cell."""

from __future__ import annotations

import functools
import io
import json
import re
import shutil
import subprocess
import sys
import zipfile
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import pytest
import xlsxwriter
from python_calamine import CalamineWorkbook

import optimiser
from optimiser.cli import app
from optimiser.errors import InstanceError
from optimiser.instance.finding import bundled
from optimiser.instance.reading import Sheet, as_written, read_instance
from optimiser.instance.schema import TABLES, Settings
from optimiser.instance.workbook import convert, workbook_bytes, write_template_workbook, write_workbook
from tests.instance_folders import Folder

FOLDERS = bundled()


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    return Folder(tmp_path / "plan")


def filled(sheet: Sheet) -> list[list[str]]:
    """The cells of a table but for columns that hold nothing."""
    rows = [sheet.header[1], *(record for _, record in sheet.records)]
    kept = [place for place in range(len(rows[0])) if any(row[place] for row in rows[1:])]
    return [[row[place] for place in kept] for row in rows]


def edited(folder: Folder, path: Path, table: str, row: int, column: str, value: str) -> Path:
    """A workbook of the folder with one cell changed; rows of data count from 1."""
    settings, sheets, readme, _ = as_written(folder.path)
    tables = {name: sheet for name, sheet in sheets.items() if sheet is not None}
    sheet = tables[table]
    place = sheet.header[1].index(column)
    number, record = sheet.records[row - 1]
    changed = (number, (*record[:place], value, *record[place + 1 :]))
    records = (*sheet.records[: row - 1], changed, *sheet.records[row:])
    tables[table] = replace(sheet, records=records)
    write_workbook(settings.cells or {}, tables, readme, path)
    return path


# without loss


@pytest.mark.parametrize("source", FOLDERS, ids=lambda path: path.name)
def test_a_workbook_and_its_folder_read_alike_and_convert_into_each_other_without_loss(
    source: Path, tmp_path: Path
) -> None:
    book, back = tmp_path / "book.xlsx", tmp_path / "back"
    convert(source, book)
    convert(book, back)
    one, two, three = (read_instance(path) for path in (source, book, back))
    assert one.model_dump_json() == two.model_dump_json() == three.model_dump_json()
    assert one.figure_values() == two.figure_values() == three.figure_values()  # blank cells stay blank
    before, after = as_written(source), as_written(back)
    assert before[0].cells == after[0].cells
    assert before[2] == after[2]
    assert before[1].keys() == after[1].keys()
    for name, sheet in before[1].items():
        other = after[1][name]
        assert sheet is not None and other is not None
        assert filled(sheet) == filled(other)


def test_the_same_cells_give_the_same_bytes_and_a_second_round_changes_nothing(tmp_path: Path) -> None:
    convert(FOLDERS[0], tmp_path / "one.xlsx")
    convert(tmp_path / "one.xlsx", tmp_path / "folder")
    for name in ("two", "three"):
        convert(tmp_path / "folder", tmp_path / f"{name}.xlsx")
    assert (tmp_path / "two.xlsx").read_bytes() == (tmp_path / "three.xlsx").read_bytes()
    convert(tmp_path / "two.xlsx", tmp_path / "again")
    for file in (tmp_path / "folder").iterdir():
        assert file.read_bytes() == (tmp_path / "again" / file.name).read_bytes()


def test_text_that_a_number_would_change_stays_text() -> None:
    texts = ["0.10", "007", "1e3", "0.30000000000000004", "-10%", "2025-04", "12", "0.035"]
    head, cells = ("layer", "gbp_per_week"), tuple((place, ("x", text)) for place, text in enumerate(texts, start=2))
    content = workbook_bytes({}, {"layers": Sheet("layers.csv", (1, head), cells)}, None)
    rows = CalamineWorkbook.from_filelike(io.BytesIO(content)).get_sheet_by_name("layers").to_python()
    assert [row[1] for row in rows[1:]] == [*texts[:6], 12.0, 0.035]


def test_the_template_is_a_workbook_that_reads_as_it_stands_with_notes_and_drop_downs(tmp_path: Path) -> None:
    path = tmp_path / "my-council.xlsx"
    write_template_workbook(path)
    assert read_instance(path).settings.name == "my-council"
    book = CalamineWorkbook.from_path(path)
    assert book.sheet_names == ["README", "settings", *TABLES]
    listed = [row[0] for row in book.get_sheet_by_name("settings").to_python()[1:]]
    assert listed == list(Settings.model_fields)
    for table, (model, _, _) in TABLES.items():
        assert set(book.get_sheet_by_name(table).to_python()[0]) == set(model.model_fields)
    with zipfile.ZipFile(path) as parts:
        sheets = {name: parts.read(name).decode() for name in parts.namelist()}
    words = "".join(text for name, text in sheets.items() if name.startswith("xl/worksheets/sheet"))
    assert "&quot;council,provider&quot;" in words or '"council,provider"' in words
    assert "cohorts!$A$2" in words
    assert words.count('state="frozen"') == len(TABLES) + 1
    comments = "".join(text for name, text in sheets.items() if name.startswith("xl/comments"))
    for model, _, _ in TABLES.values():
        for field in model.model_fields.values():
            assert (field.description or "").split("'")[0].split("&")[0][:40] in comments


def test_drop_downs_offer_the_rows_that_a_cell_refers_to_and_no_others(tmp_path: Path) -> None:
    path = tmp_path / "my-council.xlsx"
    write_template_workbook(path)
    offered = {}
    with zipfile.ZipFile(path) as parts:
        for number, table in enumerate(["settings", *TABLES], start=2):
            words = parts.read(f"xl/worksheets/sheet{number}.xml").decode()
            for column, target in re.findall(r'sqref="([A-Z]+)2:[^>]*><formula1>(\w+)!\$A', words):
                place = functools.reduce(lambda ahead, letter: ahead * 26 + ord(letter) - 64, column, 0) - 1
                head = CalamineWorkbook.from_path(path).get_sheet_by_name(table).to_python()[0]
                offered[table, head[place]] = target
    # written out: what a reader may choose from
    assert offered == {
        ("cohorts", "authority"): "authorities",
        ("steps", "origin"): "cohorts",
        ("steps", "destination"): "cohorts",
        ("arrivals", "cohort"): "cohorts",
        ("census", "cohort"): "cohorts",
        ("leaving", "cohort"): "cohorts",
        ("homes", "authority"): "authorities",
        ("lots", "building"): "homes",
        ("tiers", "lot"): "lots",
        ("layers", "spot"): "spots",
        ("placements", "cohort"): "cohorts",
        ("capital", "authority"): "authorities",
        ("income", "authority"): "authorities",
        ("decisions", "option"): "options",
    }


def test_what_a_spreadsheet_makes_of_cells_is_read_as_what_was_meant(folder: Folder, tmp_path: Path) -> None:
    settings, sheets, _, _ = as_written(folder.path)
    path = tmp_path / "typed.xlsx"
    book = xlsxwriter.Workbook(str(path))
    dates = book.add_format({"num_format": "mmm-yy"})
    sheet = book.add_worksheet("settings")
    for number, (name, text) in enumerate((settings.cells or {}).items(), start=1):
        sheet.write(number, 0, name)
        if name == "first_month":
            sheet.write_datetime(number, 1, date(2026, 4, 1), dates)  # type: ignore[arg-type]
        else:
            sheet.write(number, 1, text)  # numbers as numbers
    for table, given in sheets.items():
        assert given is not None
        sheet = book.add_worksheet(table)
        for number, record in enumerate([given.header[1], *(record for _, record in given.records)]):
            for place, text in enumerate(record):
                if table == "options" and text in ("yes", "no"):
                    sheet.write_boolean(number, place, text == "yes")
                else:
                    sheet.write_string(number, place, text) if number == 0 else sheet.write(number, place, text)
    book.close()
    assert read_instance(path).model_dump() == read_instance(folder.path).model_dump()


# faults


def message(path: Path) -> str:
    with pytest.raises(InstanceError) as refused:
        read_instance(path)
    return str(refused.value)


def test_a_fault_names_sheet_and_cell(folder: Folder, tmp_path: Path) -> None:
    path = edited(folder, tmp_path / "book.xlsx", "homes", 1, "beds", "0")
    place = as_written(folder.path)[1]["homes"].header[1].index("beds")  # type: ignore[union-attr]
    cell = f"{'ABCDEFGHIJ'[place]}2"
    assert message(path) == (
        "1 fault in book.xlsx:\n"
        f"  book.xlsx sheet homes cell {cell}, beds: 0 is not at least 1. A home needs at least one bed; delete the row to drop "
        "the home."
    )


def test_a_fault_that_spans_tables_speaks_of_sheets_and_not_of_files(folder: Folder, tmp_path: Path) -> None:
    path = edited(folder, tmp_path / "book.xlsx", "cohorts", 1, "authority", "elsewhere")
    assert "book.xlsx sheet cohorts cell B2, authority: elsewhere" in message(path)
    assert ".csv" not in message(path)


def test_a_setting_at_fault_is_named_by_its_cell(folder: Folder, tmp_path: Path) -> None:
    settings, sheets, _, _ = as_written(folder.path)
    path = tmp_path / "book.xlsx"
    write_workbook(
        {**(settings.cells or {}), "discount_rate": "often"}, {k: v for k, v in sheets.items() if v}, None, path
    )
    row = 2 + list(Settings.model_fields).index("discount_rate")
    assert f"book.xlsx sheet settings cell B{row}, discount_rate: often is not a number." in message(path)


def test_the_cell_is_right_where_columns_before_it_hold_nothing(folder: Folder, tmp_path: Path) -> None:
    path = tmp_path / "book.xlsx"
    settings, sheets, _, _ = as_written(folder.path)
    tables = {name: sheet for name, sheet in sheets.items() if sheet is not None}
    tiers = tables["tiers"]
    head = ("", *tiers.header[1])
    records = tuple((number, ("", *record[:-1], "dear")) for number, record in tiers.records)
    tables["tiers"] = replace(tiers, header=(1, head), records=records)
    write_workbook(settings.cells or {}, tables, None, path)
    assert f"sheet tiers cell {'ABCDEFGH'[len(head) - 1]}2, gbp_per_week: dear is not a number" in message(path)


def test_missing_and_unknown_sheets_are_named(tmp_path: Path) -> None:
    path = tmp_path / "book.xlsx"
    book = xlsxwriter.Workbook(str(path))
    book.add_worksheet("homess")
    book.close()
    told = message(path)
    assert "book.xlsx sheet homess: is not a table of an instance. Did you mean homes?" in told
    assert "book.xlsx sheet settings: is missing. Add the sheet, with columns setting, value." in told
    assert "book.xlsx sheet authorities: has no rows. Fill in the sheet, at least its columns authority, title." in told


def test_a_file_that_is_no_workbook_is_told_as_such(tmp_path: Path) -> None:
    path = tmp_path / "book.xlsx"
    path.write_text("cohort,title\n")
    assert "cannot be read as a workbook" in message(path)


def test_nothing_is_overwritten(folder: Folder, tmp_path: Path) -> None:
    path = tmp_path / "book.xlsx"
    convert(folder.path, path)
    before = path.read_bytes()
    with pytest.raises(InstanceError, match="is there already"):
        convert(folder.path, path)
    with pytest.raises(InstanceError, match="is there already, and not an empty folder"):
        convert(path, folder.path)
    assert path.read_bytes() == before


# plans


@pytest.mark.long
def test_a_workbook_and_its_folder_give_the_same_plan_byte_for_byte(folder: Folder, tmp_path: Path) -> None:
    folder.setting("periods", '"18x1"')
    folder.setting("scenarios", "2")
    book = tmp_path / "plan.xlsx"
    convert(folder.path, book)
    written = {}
    for name, source in (("folder", folder.path), ("book", book)):
        out = tmp_path / f"run-{name}"
        done = subprocess.run(
            [sys.executable, "-m", "optimiser", "plan", str(source), "--out", str(out)], capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr
        document = json.loads((out / "plan.json").read_text(encoding="utf-8"))
        del document["timings"]
        # an archive knows when it was written; what is in it does not
        with zipfile.ZipFile(out / "placements.npz") as archive:
            placed = {each: archive.read(each) for each in archive.namelist()}
        apart = ("plan.json", "placements.npz")
        files = {path.name: path.read_bytes() for path in out.iterdir() if path.is_file() and path.name not in apart}
        files |= placed
        written[name] = (json.dumps(document), files)
        # the run can be read again, whatever it was made from
        assert read_instance(out / "instance").model_dump_json() == read_instance(source).model_dump_json()
    assert written["folder"] == written["book"]


def test_new_and_convert_are_commands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from typer.testing import CliRunner

    monkeypatch.chdir(tmp_path)
    for words in (
        ["new", "mine", "--workbook"],
        ["check", "mine.xlsx"],
        ["convert", "mine.xlsx", "mine"],
        ["check", "mine"],
    ):
        done = CliRunner().invoke(app, words)
        assert done.exit_code == 0, done.output
    # the report would be called mine.xlsx as well: it is refused before anything is planned
    before = Path("mine.xlsx").read_bytes()
    refused = CliRunner().invoke(app, ["report", "mine.xlsx"])
    assert refused.exit_code == 1
    assert Path("mine.xlsx").read_bytes() == before


@pytest.mark.long
@pytest.mark.skipif(shutil.which("soffice") is None, reason="LibreOffice is not installed")
def test_a_workbook_that_another_program_has_saved_reads_alike(tmp_path: Path) -> None:
    for source in FOLDERS:
        convert(source, tmp_path / f"{source.name}.xlsx")
    saved = tmp_path / "saved"
    command: list[Any] = ["soffice", "--headless", "--convert-to", "xlsx", "--outdir", saved, *tmp_path.glob("*.xlsx")]
    subprocess.run(command, check=True, capture_output=True)
    for source in FOLDERS:
        assert read_instance(saved / f"{source.name}.xlsx").model_dump() == read_instance(source).model_dump()


# what spreadsheet programs leave behind


def test_a_cell_without_a_value_says_so_and_nothing_else_is_said_of_it(folder: Folder, tmp_path: Path) -> None:
    path = tmp_path / "formulas.xlsx"
    convert(folder.path, path)
    with zipfile.ZipFile(path) as book:
        content = {name: book.read(name) for name in book.namelist()}
    place = CalamineWorkbook.from_path(path).sheet_names.index("homes") + 1
    name = f"xl/worksheets/sheet{place}.xml"
    text = content[name].decode()
    head = CalamineWorkbook.from_path(path).get_sheet_by_name("homes").to_python()[0]
    cells = [f"{chr(ord('A') + head.index(column))}2" for column in ("capital_gbp", "fixed_gbp_per_year")]
    for cell, instead in zip(cells, ('t="e"><f>1/0</f><v>#DIV/0!</v></c>', "><f>450000*2</f></c>"), strict=True):
        text, times = re.subn(rf'<c r="{cell}"([^>]*?)(?: t="[a-z]+")?>.*?</c>', rf'<c r="{cell}"\1 {instead}', text)
        assert times == 1
    content[name] = text.encode()
    with zipfile.ZipFile(path, "w") as new:
        for each, bytes_of in content.items():
            new.writestr(each, bytes_of)
    with pytest.raises(InstanceError) as raised:
        optimiser.load(str(path))
    assert [str(fault) for fault in raised.value.faults][:2] == [
        f"formulas.xlsx sheet homes cell {cells[0]}: #DIV/0! is an error of a formula, and no value. Mend the formula, or write "
        "the value itself.",
        f"formulas.xlsx sheet homes cell {cells[1]}: is a formula that has not been worked out. Open the workbook in a spreadsheet "
        "program and save it there, or write the value itself.",
    ]


def test_a_sheet_under_another_name_is_named_before_what_is_missing_for_want_of_it(
    folder: Folder, tmp_path: Path
) -> None:
    path = tmp_path / "renamed.xlsx"
    convert(folder.path, path)
    with zipfile.ZipFile(path) as book:
        content = {name: book.read(name) for name in book.namelist()}
    content["xl/workbook.xml"] = content["xl/workbook.xml"].replace(b'name="homes"', b'name="Homes (new)"')
    with zipfile.ZipFile(path, "w") as new:
        for each, bytes_of in content.items():
            new.writestr(each, bytes_of)
    with pytest.raises(InstanceError) as raised:
        optimiser.load(str(path))
    assert str(raised.value.faults[0]).startswith(
        "renamed.xlsx sheet Homes (new): is not a table of an instance. Did you mean"
    )
    assert len(raised.value.faults) > 1


def test_a_sheet_without_its_heads_is_told_as_such(folder: Folder, tmp_path: Path) -> None:
    path = tmp_path / "headless.xlsx"
    settings, sheets, readme, _ = as_written(folder.path)
    tables = {name: sheet for name, sheet in sheets.items() if sheet is not None}
    (first,) = tables["homes"].records
    tables["homes"] = replace(tables["homes"], header=first, records=())
    write_workbook(settings.cells or {}, tables, readme, path)
    with pytest.raises(InstanceError, match=r"sheet homes cell A1, two-bed-home: is not a column of this table"):
        optimiser.load(str(path))


def test_pounds_with_a_letter_are_told_how_to_be_written(folder: Folder, tmp_path: Path) -> None:
    path = edited(folder, tmp_path / "pounds.xlsx", "homes", 1, "capital_gbp", "£0.9m")
    with pytest.raises(InstanceError, match=r"cell F2, capital_gbp: £0.9m is not a number\. .* Write 900000\."):
        optimiser.load(str(path))
