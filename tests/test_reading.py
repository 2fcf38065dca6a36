"""Reading an instance's folder: what is accepted, and that nothing but readable faults ever comes of what is not."""

from __future__ import annotations

import csv
import io
import re
import tomllib
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from optimiser.errors import InstanceError
from optimiser.instance import expressions, finding
from optimiser.instance.distributions import Distribution
from optimiser.instance.reading import read_instance
from optimiser.instance.register import best_pattern, evidence_for, range_of
from optimiser.instance.schema import TABLES, Evidence, Settings
from optimiser.instance.template import template_files, write_template
from tests.instance_folders import Folder


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    return Folder(tmp_path / "plan")


# the template


def test_the_template_reads_without_fault(tmp_path: Path) -> None:
    write_template(tmp_path / "First plan")
    instance = read_instance(tmp_path / "First plan")
    assert instance.settings.name == "first-plan"
    counts = {"authorities": 1, "cohorts": 2, "steps": 1, "homes": 1, "lots": 1, "tiers": 2, "existing": 1, "layers": 2}
    assert {table: len(getattr(instance, table)) for table in counts} == counts
    assert instance.settings.periods == "36x1"
    assert instance.settings.scenarios == 20


def test_the_template_names_every_column_and_setting_with_its_description(folder: Folder) -> None:
    for table in (path.stem for path in folder.path.glob("*.csv")):
        text = folder.text(f"{table}.csv")
        for column, field in TABLES[table][0].model_fields.items():
            assert f"# {column}: {field.description}" in text
    for name, field in Settings.model_fields.items():
        assert f"# {field.description}\n" in folder.text("instance.toml")
        assert f"\n{name} = " in folder.text("instance.toml") or f"\n# {name} = " in folder.text("instance.toml")


def test_the_settings_that_the_template_leaves_out_are_noted_with_their_defaults(folder: Folder) -> None:
    plain = read_instance(folder.path).settings
    noted = re.findall(r"^# (\w+ = .*)$", folder.text("instance.toml"), flags=re.MULTILINE)
    values = tomllib.loads("\n".join(noted))
    assert set(values) == set(Settings.model_fields) - plain.model_fields_set
    given = {name: value for name, value in values.items() if value != ""}
    assert Settings.model_validate({**plain.model_dump(exclude_unset=True), **given}) == plain


def test_the_template_refuses_a_folder_that_is_not_empty(tmp_path: Path) -> None:
    (tmp_path / "plan").mkdir()
    (tmp_path / "plan" / "notes.txt").write_text("mine")
    with pytest.raises(InstanceError, match="is there already, and not an empty folder"):
        write_template(tmp_path / "plan")
    assert [path.name for path in (tmp_path / "plan").iterdir()] == ["notes.txt"]


def test_the_template_fills_an_empty_folder_and_makes_those_above_it(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    write_template(tmp_path / "empty")
    write_template(tmp_path / "a" / "b")
    assert read_instance(tmp_path / "empty").settings.name == "empty"
    assert read_instance(tmp_path / "a" / "b").settings.name == "b"


def test_the_template_is_written_whole_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written = Path.write_text

    def failing(path: Path, *args: str, **options: str) -> int:
        if path.name == "lots.csv":
            raise OSError(28, "No space left on device")
        return written(path, *args, **options)

    monkeypatch.setattr(Path, "write_text", failing)
    with pytest.raises(InstanceError, match="cannot be written: No space left on device"):
        write_template(tmp_path / "plan")
    assert list(tmp_path.iterdir()) == []


# what is accepted


def test_a_byte_order_mark_changes_nothing(folder: Folder) -> None:
    plain = read_instance(folder.path)
    for path in folder.path.iterdir():
        path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())
    assert read_instance(folder.path) == plain


def test_windows_line_ends_change_nothing(folder: Folder) -> None:
    plain = read_instance(folder.path)
    for path in folder.path.iterdir():
        path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n"))
    assert read_instance(folder.path) == plain


def test_comments_blank_rows_and_spaces_change_nothing(folder: Folder) -> None:
    plain = read_instance(folder.path)
    comments, rows = folder.rows("placements")
    spaced = [[f" {cell} " for cell in row] for row in rows]
    folder.save("placements", [*comments, '"# a spreadsheet quotes, this",,'], [["", "", "", ""], *spaced, []])
    folder.write("placements.csv", folder.text("placements.csv") + '\n# an "open quotation mark\n,,,,\n')
    assert read_instance(folder.path) == plain


def test_headers_are_read_in_any_case(folder: Folder) -> None:
    plain = read_instance(folder.path)
    comments, rows = folder.rows("homes")
    folder.save("homes", comments, [[cell.upper() for cell in rows[0]], *rows[1:]])
    assert read_instance(folder.path) == plain


def test_columns_may_stand_in_any_order_and_rows_too(folder: Folder) -> None:
    plain = read_instance(folder.path)
    comments, rows = folder.rows("cohorts")
    folder.save("cohorts", comments, [row[::-1] for row in rows])
    assert read_instance(folder.path) == plain
    folder.save("cohorts", comments, [rows[0], *rows[:0:-1]])
    assert set(read_instance(folder.path).cohorts) == set(plain.cohorts)


def test_other_files_are_ignored(folder: Folder) -> None:
    folder.write("README.md", "# mine")
    folder.write("notes.txt", "x")
    folder.write(".~lock.homes.csv", "x")
    (folder.path / "scans").mkdir()
    assert folder.faults() == ()


def test_numbers_in_quotes_read_like_numbers(folder: Folder) -> None:
    plain = read_instance(folder.path)
    folder.setting("discount_rate", '"0.035"')
    folder.setting("as_at", "2026-01-01")
    assert read_instance(folder.path) == plain


def test_a_blank_cell_takes_the_default_and_is_no_figure(folder: Folder) -> None:
    folder.cell("homes", 1, "optimism_bias", "")
    instance = read_instance(folder.path)
    assert instance.homes[0].optimism_bias is None
    assert instance.homes[0].capital_bias() == 0.0
    assert "homes.two-bed-home.optimism_bias" not in instance.figure_values()


def test_rows_are_numbered_as_a_spreadsheet_numbers_them(folder: Folder) -> None:
    header = "authority,title"
    folder.write("authorities.csv", f'# one\n\n{header}\nmy-council,"Our\nCouncil"\n\n# more\nmedway,\n')
    assert [(fault.file, fault.row, fault.field) for fault in folder.faults()] == [("authorities.csv", 7, "title")]


def test_text_in_another_encoding_is_a_fault_with_its_row(folder: Folder) -> None:
    (folder.path / "authorities.csv").write_bytes("authority,title\nmy-council,Añover\n".encode("latin-1"))
    (fault,) = folder.faults()
    assert (fault.file, fault.row, fault.rule) == ("authorities.csv", 2, "is not text in UTF-8")


def test_a_path_that_is_no_folder_is_a_fault(tmp_path: Path) -> None:
    with pytest.raises(InstanceError, match="does not exist"):
        read_instance(tmp_path / "nothing")
    (tmp_path / "file").write_text("x")
    with pytest.raises(InstanceError, match="is not a folder"):
        read_instance(tmp_path / "file")


# finding


def test_an_instance_is_found_by_path_then_by_name(folder: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    place = folder.path.parent
    monkeypatch.setattr(finding, "_PLACES", (place / "none", place))
    monkeypatch.chdir(place / "plan")
    assert finding.find_instance(str(folder.path)) == folder.path
    assert finding.find_instance("plan") == folder.path
    assert finding.bundled() == [folder.path]
    with pytest.raises(InstanceError, match=r"Did you mean plan\?"):
        finding.find_instance("plam")
    with pytest.raises(InstanceError, match="is a file, not an instance's folder"):
        finding.find_instance("instance.toml")


# the register


def test_an_exact_name_beats_a_pattern_and_few_stars_beat_many() -> None:
    patterns = ["homes.*", "homes.*.beds", "*.beds", "homes.two.beds", "homes.*.*"]
    assert best_pattern("homes.two.beds", patterns) == "homes.two.beds"
    assert best_pattern("homes.one.beds", patterns) == "homes.*.beds"
    assert best_pattern("homes.one.available", patterns) == "homes.*"
    assert best_pattern("lots.one.setup_gbp", patterns) is None


def test_every_figure_of_an_instance_has_its_evidence(folder: Folder) -> None:
    instance = read_instance(folder.path)
    for key, value in instance.figure_values().items():
        low, high = range_of(evidence_for(instance, key), value)
        assert low <= high
    assert evidence_for(instance, "homes.two-bed-home.lead_months").high == "12"
    with pytest.raises(KeyError):
        evidence_for(instance, "gardens.one.area")


def test_a_range_in_percent_is_relative_to_the_mean() -> None:
    row = Evidence(figures="homes.*", evidence="assumption", low="-10%", high="+20%")
    assert range_of(row, 200.0) == (180.0, 240.0)
    assert range_of(row, Distribution.parse("uniform(100, 300)")) == (180.0, 240.0)
    assert range_of(row, -200.0) == (-220.0, -160.0)
    assert range_of(row, (0.5, 1.5)) == (0.9, 1.2)
    assert range_of(Evidence(figures="homes.*", evidence="assumption", low="1", high="3"), 2) == (1.0, 3.0)
    plain = Evidence(figures="homes.*", evidence="derived", derived_from="x")
    assert range_of(plain, Distribution.parse("uniform(100, 300)")) == (100.0, 300.0)
    assert range_of(plain, 5) == (5.0, 5.0)


# expressions


@pytest.mark.parametrize(
    ("written", "value"),
    [("1 + 2 * 3", 7), ("-(4 - [a.b]) / 2", -1), ("[a.b]*[c 2026/27] - 1e2", -90), ("+.5", 0.5), ("2 -- 1", 3)],
)
def test_an_expression_is_arithmetic(written: str, value: float) -> None:
    assert expressions.evaluate(written, {"a.b": 2, "c 2026/27": 5}) == value


def test_an_expression_tells_its_keys_once_and_in_order() -> None:
    assert expressions.keys("[b] + [a] * [ b ] / 2") == ("b", "a")


@pytest.mark.parametrize(
    ("written", "rule"),
    [
        ("", "is not arithmetic"),
        ("[a] [a]", "is not arithmetic"),
        ("2[a]", "is not arithmetic"),
        ("[a](1)", "is not arithmetic"),
        ("2 ** 3", "is not arithmetic"),
        ("7 // 2", "is not arithmetic"),
        ("key0", "has 'k' outside square brackets"),
        ("e", "outside square brackets"),
        ("[a", "has a square bracket that does not close"),
        ("[[a]]", "has a square bracket that does not close"),
        ("[ ]", "has empty square brackets"),
        ("[a]; 1", "has ';' outside square brackets"),
        ("__import__('os')", "outside square brackets"),
        ("1 / ([a] - 2)", "divides by zero"),
        ("1e308 * 10", "does not come out as a finite number"),
        ("[b]", r"uses \[b\], which has no value"),
        ("(" * 400 + "1" + ")" * 400, "is not arithmetic"),
        ("-" * 1999 + "1", "is not arithmetic|cannot be computed"),
        ("1" * 5000, "is longer than 2000 characters"),
    ],
)
def test_what_is_no_arithmetic_is_refused_in_words(written: str, rule: str) -> None:
    with pytest.raises(ValueError, match=rule):
        expressions.evaluate(written, {"a": 2})


@given(st.text(alphabet="0123456789.eE+-*/()[] a_'\"", max_size=30) | st.text(max_size=20))
def test_no_expression_does_anything_but_count_or_be_refused(written: str) -> None:
    try:
        value = expressions.evaluate(written, {"a": 2.0})
    except ValueError:
        return
    assert isinstance(value, float)


# anything in any cell


FILES = template_files("plan")
CELLS = [
    (table, row, column)
    for table in TABLES
    if f"{table}.csv" in FILES
    for row, cells in enumerate(
        csv.reader(line for line in FILES[f"{table}.csv"].splitlines() if not line.startswith("#"))
    )
    for column in range(len(cells))
]
NUMBERS = ("0", "-1", "1e400", "nan", "inf", "0.5", "-5%", "1" * 400, "99999999999999999999", "1e300")
WORDS = ("", "2026-04", "9999-12", "2026/27", "total", "*", "*.*", "all", "yes", "\x00", "#", "0\n0", "a.b")
UNCERTAIN = ("uniform(0, 1)", "normal(1, 5)", "normal(0,0)", "0:0.5 1:0.5", ":", "uniform(1e308, 1e308)")
NAMES = (
    "unregistered",
    "my-council",
    "complex-needs",
    "two-bed-home",
    "block-offer",
    "current-contract",
    "spot-market",
)
LIKELY = st.sampled_from([*NUMBERS, *WORDS, *UNCERTAIN, *NAMES])


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_any_text_in_any_cell_is_read_or_refused_in_words(tmp_path: Path, data: st.DataObject) -> None:
    folder = Folder(tmp_path / "plan")
    for table, row, column in data.draw(st.lists(st.sampled_from(CELLS), min_size=1, max_size=3, unique=True)):
        _, rows = folder.rows(table)
        if row < len(rows) and column < len(rows[row]):
            rows[row][column] = data.draw(LIKELY | st.text(st.characters(exclude_categories=["Cs"]), max_size=30))
            folder.save(table, [], rows)
    for fault in folder.faults():
        assert fault.rule and fault.file
        assert "\n" not in str(fault)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(content=st.binary(max_size=200) | st.text(max_size=100).map(str.encode), name=st.sampled_from(sorted(FILES)))
def test_any_file_is_read_or_refused_in_words(tmp_path: Path, content: bytes, name: str) -> None:
    folder = Folder(tmp_path / "plan")
    (folder.path / name).write_bytes(content)
    assert all(fault.rule for fault in folder.faults())


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    name=st.sampled_from(sorted(Settings.model_fields)),
    value=LIKELY.map(lambda text: '"' + text.replace("\x00", "") + '"')
    | st.floats().map(repr)
    | st.integers().map(str)
    | st.sampled_from(["true", "[]", "2026-04-01", "{}", "12:30:00", '"1x1"', '"3x12"', '"99999x1"', '"0x0"']),
)
def test_any_setting_is_read_or_refused_in_words(tmp_path: Path, name: str, value: str) -> None:
    folder = Folder(tmp_path / "plan")
    folder.setting(name, value)
    assert all(fault.rule and fault.file for fault in folder.faults())


def test_a_csv_file_that_a_spreadsheet_saves_reads_alike(folder: Folder) -> None:
    plain = read_instance(folder.path)
    for path in folder.path.glob("*.csv"):
        rows = list(csv.reader(io.StringIO(path.read_text(encoding="utf-8"))))
        width = max(map(len, rows))
        padded = io.StringIO()
        csv.writer(padded).writerows([*row, *[""] * (width - len(row))] for row in rows)
        path.write_bytes(b"\xef\xbb\xbf" + padded.getvalue().encode())
    assert read_instance(folder.path) == plain
