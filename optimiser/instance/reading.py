"""Files to ``Instance``: a folder of ``instance.toml`` and one CSV file per table, every fault reported at once."""

from __future__ import annotations

import calendar
import csv
import io
import itertools
import re
import tomllib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from optimiser.amounts import amount_of
from optimiser.errors import Fault, InstanceError
from optimiser.instance.checks import check_all
from optimiser.instance.distributions import Distribution
from optimiser.instance.draft import Draft, DraftRow, DraftTable, description, on_one_line, suggestion
from optimiser.instance.finding import SETTINGS_FILE
from optimiser.instance.schema import TABLES, Instance, Row, Settings

#: Larger numbers are slips of the finger, and would overflow further on.
LARGEST = 1e12

_NAME_WORDS = "small letters, digits and hyphens, such as two-bed-home"
_MONTH_RULE = "is not a month such as 2025-04"
_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_PATTERNS = {
    r"^[a-z0-9][a-z0-9-]*$": _NAME_WORDS,
    r"^\d+x\d+( \d+x\d+)*$": "24x1 12x3",
    r"^(total|\d{4}/\d{2})$": "2025/26, or total",
    r"^\d{4}/\d{2}$": "2025/26",
}


@dataclass(frozen=True)
class SettingsText:
    """The settings as written: text of each, and its line. ``cells`` is None where they could not be read."""

    file: str
    cells: Mapping[str, str] | None
    lines: Mapping[str, int]


@dataclass(frozen=True)
class Sheet:
    """A table as written: its header and records, each with its number as a spreadsheet shows it.

    ``places`` are the positions of its columns in a workbook's sheet; empty where they are as they stand.
    """

    file: str
    header: tuple[int, tuple[str, ...]]
    records: tuple[tuple[int, tuple[str, ...]], ...]
    places: tuple[int, ...] = ()


def read_instance(path: Path) -> Instance:
    """Read and check an instance: a folder, or a workbook.

    Of a folder other files than ``instance.toml`` and the tables of ``TABLES`` are ignored, unless they end in ``.csv``.

    Raises
    ------
    InstanceError
        With every fault found: what is written wrongly, what is missing, and what does not agree.
    """
    if path.is_file():
        from optimiser.instance.workbook import is_workbook, read_workbook

        if is_workbook(path):
            return read_workbook(path)
    settings, sheets, _, faults = as_written(path)
    return make_instance(settings, sheets, faults, path.name)


def as_written(path: Path) -> tuple[SettingsText, dict[str, Sheet | None], str | None, list[Fault]]:
    """Settings, tables and README of a folder as written, and what cannot be read.

    Raises
    ------
    InstanceError
        Where there is no such folder.
    """
    faults: list[Fault] = []
    if not path.is_dir():
        rule = "is not a folder" if path.exists() else "does not exist"
        fix = f"An instance is a folder with {SETTINGS_FILE} and its tables; optimiser new NAME makes one."
        raise InstanceError([Fault(str(path), None, "", "", rule, fix)], path.name)
    settings = _read_settings(path / SETTINGS_FILE, faults)
    sheets = _read_folder(path, faults)
    readme = path / "README.md"
    words = readme.read_text(encoding="utf-8", errors="replace") if readme.is_file() else None
    return settings, sheets, words, faults


def read_draft(path: Path) -> Draft:
    """An instance's folder as it stands, faults and all."""
    faults: list[Fault] = []
    return _make_draft(_read_settings(path / SETTINGS_FILE, faults), _read_folder(path, faults), faults)


def make_instance(
    settings: SettingsText, sheets: Mapping[str, Sheet | None], faults: Iterable[Fault] = (), name: str = ""
) -> Instance:
    """Validate settings and tables as written, wherever they were read from.

    Parameters
    ----------
    settings
        The settings as text.
    sheets
        Tables by name; None for one that could not be read, whose fault is in ``faults`` already.
    faults
        Faults found while reading.

    Raises
    ------
    InstanceError
        With every fault found.
    """
    found = list(faults)
    draft = _make_draft(settings, sheets, found)
    found.extend(check_all(draft))
    if found:
        raise InstanceError(_in_order(found, draft), name)
    assert draft.settings is not None
    values: dict[str, Any] = {table: tuple(row for _, row in draft.rows(table)) for table in TABLES}
    return Instance(settings=draft.settings, **values)


def _in_order(faults: Iterable[Fault], draft: Draft) -> list[Fault]:
    """Each fault once, by file and row, on one line whatever is in the cells that it quotes."""
    rank = {draft.settings_file: -1} | {table.file: place for place, table in enumerate(draft.tables.values())}
    faults = [
        Fault(
            fault.file,
            fault.row,
            on_one_line(fault.field),
            on_one_line(fault.value),
            on_one_line(fault.rule, 300),
            on_one_line(fault.fix, 300),
        )
        for fault in faults
    ]
    # what is no table of an instance comes first: what follows may be for want of it
    return sorted(dict.fromkeys(faults), key=lambda fault: (rank.get(fault.file, -2), fault.row or 0))


# files


def _text_of(path: Path, faults: list[Fault]) -> str | None:
    """Text of a UTF-8 file with or without a byte order mark; None with a fault where it is something else."""
    try:
        content = path.read_bytes()
    except OSError as error:
        fix = "Close it elsewhere or mend its permissions."
        faults.append(Fault(path.name, None, "", "", f"cannot be read: {error.strerror}", fix))
        return None
    if content.startswith(b"PK"):
        fix = "Save it from the spreadsheet as CSV UTF-8 instead of renaming it."
        faults.append(Fault(path.name, None, "", "", "is an Excel workbook with another name", fix))
        return None
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        row = content[: error.start].count(b"\n") + 1
        fix = "Save it from the spreadsheet as CSV UTF-8." if path.suffix == ".csv" else "Save it as UTF-8."
        faults.append(Fault(path.name, row, "", "", "is not text in UTF-8", fix))
        return None


def _read_settings(path: Path, faults: list[Fault]) -> SettingsText:
    unread = SettingsText(path.name, None, {})
    if not path.exists():
        faults.append(Fault(path.name, None, "", "", "is missing", "Add the file with the settings of the instance."))
        return unread
    text = _text_of(path, faults)
    if text is None:
        return unread
    try:
        values = tomllib.loads(text)
    except (ValueError, RecursionError) as error:
        message, line = _toml_rule(str(error))
        fix = 'Each line is name = value, with text in quotes, such as first_month = "2025-04".'
        faults.append(Fault(path.name, line, "", "", f"is not valid TOML: {message}", fix))
        return unread
    lines: dict[str, int] = {}
    for number, line_text in enumerate(text.splitlines(), start=1):
        match = re.match(r"\s*[\"']?([\w-]+)[\"']?\s*=", line_text)
        if match:
            lines.setdefault(match[1], number)
    return SettingsText(path.name, _settings_cells(path.name, values, lines, faults), lines)


def _toml_rule(message: str) -> tuple[str, int | None]:
    match = re.search(r"\(at (?:line (\d+), column \d+|end of document)\)", message)
    words = re.sub(r"\s*\(at .*\)", "", message)
    return words[:1].lower() + words[1:], int(match[1]) if match and match[1] else None


def _settings_cells(
    file: str, values: Mapping[str, Any], lines: Mapping[str, int], faults: list[Fault]
) -> dict[str, str]:
    """Settings as text, as if they were cells, so that numbers and quoted numbers read alike."""
    cells: dict[str, str] = {}
    for name, value in values.items():
        if isinstance(value, (dict, list)):
            shown = f"[{name}]" if isinstance(value, dict) else ""
            fix = "Settings stand one by one, without sections or lists; tables are CSV files."
            faults.append(Fault(file, lines.get(name), name, shown, "is not a single value", fix))
            cells[name] = ""
        elif isinstance(value, bool):
            cells[name] = "yes" if value else "no"
        else:
            cells[name] = value.isoformat() if isinstance(value, date) else str(value)
    return cells


def _read_folder(path: Path, faults: list[Fault]) -> dict[str, Sheet | None]:
    sheets: dict[str, Sheet | None] = {}
    for file in sorted(path.iterdir()):
        if file.suffix.lower() != ".csv" or file.name.startswith((".", "~")):
            continue
        table = file.name.removesuffix(".csv")
        if table in TABLES:
            sheets[table] = _read_sheet(file, faults)
        else:
            known = [f"{name}.csv" for name in TABLES]
            fix = suggestion(file.name, known) + " Rename the file, or move it out of the folder."
            faults.append(Fault(file.name, None, "", "", "is not a table of an instance", fix))
    for table, (model, _, needed) in TABLES.items():
        if needed and table not in sheets:
            columns = ", ".join(name for name, field in model.model_fields.items() if field.is_required())
            faults.append(Fault(f"{table}.csv", None, "", "", "is missing", f"Add the file, with columns {columns}."))
            sheets[table] = None
    return sheets


def _read_sheet(path: Path, faults: list[Fault]) -> Sheet | None:
    text = _text_of(path, faults)
    if text is None:
        return None
    records: list[tuple[int, tuple[str, ...]]] = []
    for number, cells in _records(text):
        if isinstance(cells, str):
            fix = 'Close every quotation mark, and write one inside quoted text twice, as in "the ""old"" home".'
            faults.append(Fault(path.name, number, "", "", f"is not valid CSV: {cells}", fix))
            return None
        records.append((number, cells))
    if not records:
        fix = "Write its columns in the first row, or delete the file if the instance needs no such table."
        faults.append(Fault(path.name, None, "", "", "is empty", fix))
        return None
    number, header = records[0]
    if len(header) == 1 and (";" in header[0] or "\t" in header[0]):
        mark = "semicolons" if ";" in header[0] else "tabs"
        fix = "Save it with commas between the cells."
        faults.append(Fault(path.name, number, "", "", f"has {mark} between its cells", fix))
        return None
    return Sheet(path.name, (number, header), tuple(records[1:]))


def _records(text: str) -> Iterator[tuple[int, tuple[str, ...] | str]]:
    """Trimmed cells of each record with its row; comments and blank rows are left out, but counted.

    A string instead of cells says what is wrong with the quotation marks, and ends the records.
    """
    lines = iter(io.StringIO(text, newline=""))
    for number, line in enumerate(lines, start=1):
        if line.lstrip().startswith("#"):
            continue
        # one reader a record: only here is it known that a line starts one, and is not the inside of a quoted cell
        try:
            cells = next(csv.reader(itertools.chain([line], lines), strict=True), [])
        except csv.Error as error:
            yield number, str(error)
            return
        trimmed = tuple(cell.strip() for cell in cells)
        # a spreadsheet quotes a comment with a comma in it
        if any(trimmed) and not trimmed[0].startswith("#"):
            yield number, trimmed


# text to rows


def _make_draft(settings: SettingsText, sheets: Mapping[str, Sheet | None], faults: list[Fault]) -> Draft:
    tables: dict[str, DraftTable] = {}
    for table in TABLES:
        sheet = sheets.get(table)
        if sheet is not None:
            tables[table] = _make_table(table, sheet, faults)
        else:
            tables[table] = DraftTable(f"{table}.csv", None if table in sheets else ())
    return Draft(
        settings=_make_settings(settings, faults),
        settings_cells=_known_settings(settings),
        settings_lines=settings.lines,
        tables=tables,
        settings_file=settings.file,
    )


def _make_settings(settings: SettingsText, faults: list[Fault]) -> Settings | None:
    if settings.cells is None:
        return None
    before = len(faults)
    unknown = [name for name in settings.cells if name not in Settings.model_fields]
    for name in unknown:
        fix = suggestion(name, list(Settings.model_fields))
        faults.append(Fault(settings.file, settings.lines.get(name), name, "", "is not a setting", fix))
    row, problems = _validate(Settings, _known_settings(settings))
    reported = {fault.field for fault in faults if fault.file == settings.file}
    for column, value, rule, fix in problems:
        if column not in reported:
            faults.append(Fault(settings.file, settings.lines.get(column), column, value, rule, fix))
    return row if isinstance(row, Settings) and len(faults) == before else None


def _known_settings(settings: SettingsText) -> dict[str, str]:
    """Filled-in settings that there are."""
    return {
        name: text for name, text in (settings.cells or {}).items() if name in Settings.model_fields and text.strip()
    }


def _make_table(table: str, sheet: Sheet, faults: list[Fault]) -> DraftTable:
    model, naming, needed = TABLES[table]
    header, absent = _read_header(model, sheet, faults)
    rows: list[DraftRow] = []
    seen: dict[tuple[object, ...], int] = {}
    for number, record in sheet.records:
        if len(record) < len(header) or any(record[len(header) :]):
            rule = f"has {len(record)} cells where the header has {len(header)}"
            fix = "Write one cell a column, empty for the default; text with a comma goes in quotation marks."
            faults.append(Fault(sheet.file, number, "", "", rule, fix))
            cells = {column: cell for column, cell in _cells(header, record).items() if column in naming}
            rows.append(DraftRow(number, cells, None, whole=False))
            continue
        draft = DraftRow(number, *_make_row(model, sheet.file, number, _cells(header, record), absent, faults))
        duplicate = _duplicate(naming, draft, seen, sheet.file)
        if duplicate is not None:
            faults.append(duplicate)
            draft = DraftRow(number, draft.cells, None)
        rows.append(draft)
    if needed and not rows:
        faults.append(Fault(sheet.file, None, "", "", "has no rows", f"An instance needs at least one row in {table}."))
        return DraftTable(sheet.file, None)
    return DraftTable(sheet.file, tuple(rows))


def _read_header(model: type[Row], sheet: Sheet, faults: list[Fault]) -> tuple[tuple[str, ...], frozenset[str]]:
    """Columns in order, "" for one that is not read, and the needed columns that are absent."""
    number, written = sheet.header
    while written and not written[-1]:
        written = written[:-1]
    header: list[str] = []
    fields = tuple(model.model_fields)

    def report(column: str, rule: str, fix: str) -> None:
        faults.append(Fault(sheet.file, number, column, "", rule, fix))

    for place, title in enumerate(written, start=1):
        column = title.lower()
        if not column:
            report(f"column {place}", "has no name", "Name the column, or delete it.")
        elif column not in fields:
            report(title, "is not a column of this table", suggestion(column, fields))
            column = ""
        elif column in header:
            report(column, "is there twice", "Delete or rename one of the columns.")
            column = ""
        header.append(column)
    absent = [name for name in fields if model.model_fields[name].is_required() and name not in header]
    for name in absent:
        report(name, "is missing", f"Add the column. {description(model, name)}")
    return tuple(header), frozenset(absent)


def _cells(header: Sequence[str], record: Sequence[str]) -> dict[str, str]:
    """Filled-in cells by column."""
    return {column: cell for column, cell in zip(header, record, strict=False) if column and cell}


def _make_row(
    model: type[Row], file: str, number: int, cells: dict[str, str], absent: frozenset[str], faults: list[Fault]
) -> tuple[dict[str, str], Row | None]:
    row, problems = _validate(model, cells)
    for column, value, rule, fix in problems:
        # a column that is not there is one fault, not one a row
        if column not in absent:
            faults.append(Fault(file, number, column, value, rule, fix))
    return cells, row


def _duplicate(naming: Sequence[str], draft: DraftRow, seen: dict[tuple[object, ...], int], file: str) -> Fault | None:
    if naming[-1] == "#":
        return None
    key = tuple(getattr(draft.row, column) if draft.row else draft.cells.get(column) for column in naming)
    if key[0] is None:
        return None
    first = seen.setdefault(key, draft.number or 0)
    if first == draft.number:
        return None
    named = [(column, value) for column, value in zip(naming, key, strict=True) if value is not None]
    columns, values = ", ".join(column for column, _ in named), ", ".join(str(value) for _, value in named)
    fix = "Delete or rename one of the two rows."
    return Fault(file, draft.number, columns, values, f"is already in row {first}", fix)


# what pydantic finds, in plain words


def _validate(model: type[Row], cells: Mapping[str, str]) -> tuple[Row | None, list[tuple[str, str, str, str]]]:
    """The row, or what is wrong with it: (field, value, rule, fix)."""
    try:
        row = model.model_validate(dict(cells))
    except ValidationError as error:
        return None, [_problem(model, cells, details) for details in error.errors()]
    problems = [
        (name, cells[name], f"is larger than {LARGEST:,.0f}", description(model, name))
        for name in cells
        if _too_large(getattr(row, name))
    ]
    return (None if problems else row), problems


def _too_large(value: object) -> bool:
    if isinstance(value, Distribution):
        return any(abs(number) > LARGEST for number in value.values)
    if isinstance(value, (int, float)):
        return not abs(value) <= LARGEST  # so that what is no number is too large as well
    return False


def _problem(model: type[Row], cells: Mapping[str, str], details: ErrorDetails) -> tuple[str, str, str, str]:
    column = str(details["loc"][0]) if details["loc"] else ""
    given = details["input"]
    value = "" if details["type"] == "missing" else given if isinstance(given, str) else cells.get(column, "")
    rule = plain_rule(details)
    hint = _month_hint(column, value) if rule == _MONTH_RULE else _hint(details["type"], value, rule)
    fix = " ".join(part for part in (description(model, column), hint) if part)
    return column, value, rule, fix


def plain_rule(details: ErrorDetails) -> str:
    """What pydantic says, in plain words."""
    limits: dict[str, Any] = details.get("ctx") or {}
    kind = details["type"]
    if kind in _RULES:
        return _RULES[kind].format(**{name: _plain(limit) for name, limit in limits.items()})
    if kind == "string_pattern_mismatch":
        return f"is not of the form {_PATTERNS.get(limits['pattern'], limits['pattern'])}"
    if kind == "literal_error":
        return f"is not one of {limits['expected'].replace(' or ', ', ').replace(chr(39), '')}"
    if kind == "value_error":
        return str(limits["error"])
    message = details["msg"]
    return f"is not valid: {message[:1].lower()}{message[1:]}"


_RULES = {
    "missing": "is missing",
    "greater_than_equal": "is not at least {ge}",
    "greater_than": "is not above {gt}",
    "less_than_equal": "is not at most {le}",
    "less_than": "is not below {lt}",
    "int_parsing": "is not a whole number",
    "int_parsing_size": "is not a whole number of sensible size",
    "int_type": "is not a whole number",
    "int_from_float": "is not a whole number",
    "float_parsing": "is not a number",
    "float_type": "is not a number",
    "finite_number": "is not a finite number",
    "string_type": "is not text",
    "string_too_short": "is blank",
    "string_too_long": "is longer than {max_length} characters",
}


def _plain(limit: object) -> str:
    return f"{limit:,g}" if isinstance(limit, (int, float)) and abs(limit) < 1e6 else str(limit)


def _hint(kind: str, value: str, rule: str) -> str:
    """What spreadsheets and habits do to names and numbers, and how to undo it."""
    if kind == "string_pattern_mismatch":
        return _name_hint(value) if _NAME_WORDS in rule else ""
    limit = re.fullmatch(r"is not (?:at most|below) ([\d.]+)", rule)
    if limit is not None:
        return _percentage_hint(value, float(limit[1]))
    return _number_hint(value) if "parsing" in kind or kind == "value_error" else ""


def _name_hint(value: str) -> str:
    if value.lower().rstrip("s:") in ("total", "sum"):
        return "Delete a row of totals: each row is taken for one of the table's own."
    name = re.sub(r"[^a-z0-9]+", "-", value.lower()).strip("-")[:40].strip("-")
    return f"Write {name}." if name else ""


def _percentage_hint(value: str, limit: float) -> str:
    """7 where at most 1 may stand is 7%."""
    try:
        number = float(value)
    except ValueError:
        return ""
    return f"Write {number / 100:g} for {number:g}%." if limit <= 1 and 1 < number <= 100 * limit else ""


def _number_hint(value: str) -> str:
    if re.fullmatch(r"[-+]?[\d.]+\s*%", value):
        return f"Write {float(value.rstrip('% ')) / 100:g}." if value.count(".") <= 1 else ""
    grouped = re.fullmatch(r"(?:£\s*)?\d{1,3}(?:,\d{3})*(?:\.\d+)?", value)
    if grouped is None and re.fullmatch(r"(?=.*[£, ])[-+]?\s*£?\s*[\d,. ]+", value):
        return "Write the number without £, commas or spaces."
    pounds = amount_of(value.replace("£ ", "£"))
    return "" if pounds is None else f"Write {pounds:.15g}."


def _month_hint(column: str, value: str) -> str:
    """The month that a date is in; of what ends on a month's last day, the first month without it."""
    day, month, year = _date_meant(value)
    if not 1 <= month <= 12:
        return ""
    if column == "until":
        if day is None:  # its last month, or the first without it: only the writer knows
            return ""
        if day >= calendar.monthrange(year, month)[1]:
            year, month = year + month // 12, month % 12 + 1
    return f"Write {year}-{month:02d}; a spreadsheet makes no date of it in cells formatted as text."


def _date_meant(value: str) -> tuple[int | None, int, int]:
    """Day, month and year of a date in words or figures, the day first as in England; the month 0 where it is no date."""
    words = value.strip().lower()
    day, month, year = "", "0", "0"
    if match := re.fullmatch(r"(?:(\d\d?)[- ])?([a-z]{3})[a-z]*[- ]?(\d{4}|\d\d)", words, flags=re.ASCII):
        day, year = match[1] or "", match[3]
        month = str(_MONTHS.index(match[2]) + 1) if match[2] in _MONTHS else "0"
    elif match := re.fullmatch(r"(?:(\d\d?)[/.-])?(\d\d?)[/.-](\d{4}|\d\d)", words, flags=re.ASCII):
        day, month, year = match[1] or "", match[2], match[3]
    elif match := re.fullmatch(r"(\d{4})[/.-](\d\d?)(?:[/.-](\d\d?))?", words, flags=re.ASCII):
        year, month, day = match[1], match[2], match[3] or ""
    return int(day) if day else None, int(month), int(year) + 2000 * (len(year) == 2)
