"""An instance as an Excel workbook: a sheet of settings, a sheet a table, and the README; another view of the same cells.

Workbook and folder hold the same text, cell by cell, so that either can be made from the other and both read alike. Comments in
a folder's files are not among its cells: a workbook has notes of its own, and a folder made from one has those of the template.
"""

from __future__ import annotations

import re
import tempfile
import zipfile
from collections.abc import Iterator, Mapping
from datetime import date, datetime, time, timedelta
from pathlib import Path
from typing import Any, Literal, get_args, get_origin
from xml.etree import ElementTree

from optimiser.errors import Fault, InstanceError
from optimiser.instance.checks import REFERENCES
from optimiser.instance.draft import suggestion
from optimiser.instance.finding import SETTINGS_FILE
from optimiser.instance.reading import SettingsText, Sheet, as_written, make_instance
from optimiser.instance.schema import TABLES, Instance, Row, Settings
from optimiser.instance.template import column_note, folder_files, write_files, write_template

SETTINGS, README = "settings", "README"
ENDING = ".xlsx"
#: Rows below the heads of a sheet that get drop-downs and limits.
ROWS = 500
#: Columns of the sheet of settings.
SETTINGS_HEAD = ("setting", "value", "what it is")
#: Excel's number for the paper size.
A4 = 9
#: Colour of heads that need a value, and of tabs of sheets that hold rows.
FILLED = "#a6d8f5"
#: Longest note beside a cell that Excel shows, characters.
LONGEST_NOTE = 255


def is_workbook(path: Path) -> bool:
    """Whether a path names an Excel workbook, there already or not."""
    return path.suffix.lower() == ENDING


def holds_instance(path: Path) -> bool:
    """Whether a file is a workbook with an instance's settings, and not some other workbook, such as a report's."""
    try:
        with zipfile.ZipFile(path) as file:
            return any(sheet.get("name") == SETTINGS for sheet in _root(file, "xl/workbook.xml").iter(f"{MAIN}sheet"))
    except (OSError, zipfile.BadZipFile, ElementTree.ParseError):
        return False


# reading


def read_workbook(path: Path) -> Instance:
    """Read and check an instance's workbook.

    Raises
    ------
    InstanceError
        With every fault found, each with its sheet and cell.
    """
    settings, sheets, _, faults = cells_of(path)
    try:
        return make_instance(settings, sheets, faults, path.name)
    except InstanceError as error:
        told = {fault.file for fault in faults}
        found = [(fault, _in_cells(fault, path, settings, sheets)) for fault in error.faults]
        # of a cell that holds nothing to read, what else may be wrong with it is not known
        named = [shown for fault, shown in found if shown.file == fault.file or shown.file not in told]
        raise InstanceError(named, path.name) from None


def cells_of(path: Path) -> tuple[SettingsText, dict[str, Sheet | None], str | None, list[Fault]]:
    """Settings, tables and README of a workbook as written, and what cannot be read; files are named as in a folder.

    Raises
    ------
    InstanceError
        Where the file is no workbook.
    """
    from python_calamine import CalamineError, CalamineWorkbook

    try:
        with path.open("rb") as file:
            book = CalamineWorkbook.from_filelike(file)
    except (OSError, CalamineError) as error:
        fix = f"Name a workbook in Excel's format, {ENDING}, without a password."
        fault = Fault(str(path), None, "", "", f"cannot be read as a workbook: {error}", fix)
        raise InstanceError([fault], path.name) from None
    faults: list[Fault] = []
    settings = SettingsText(SETTINGS_FILE, None, {})
    sheets: dict[str, Sheet | None] = {}
    readme: str | None = None
    for name in book.sheet_names:
        found = book.get_sheet_by_name(name).to_python(skip_empty_area=False)
        rows = [[_text_of(cell) for cell in row] for row in found]
        if name == README:
            readme = "".join(f"{row[0] if row else ''}\n" for row in found)
        elif name == SETTINGS:
            settings = _settings_of(rows)
        elif name in TABLES:
            sheet = _sheet_of(name, rows)
            if sheet is not None:
                sheets[name] = sheet
        else:
            fix = suggestion(name, [SETTINGS, *TABLES]) + " Rename the sheet, or move it to another workbook."
            faults.append(Fault(f"{path.name} sheet {name}", None, "", "", "is not a table of an instance", fix))
    faults += _without_values(path)
    if settings.cells is None:
        fix = f"Add the sheet, with columns {', '.join(SETTINGS_HEAD[:2])}."
        faults.append(Fault(f"{path.name} sheet {SETTINGS}", None, "", "", "is missing", fix))
    for table, (model, _, needed) in TABLES.items():
        if needed and table not in sheets:
            columns = ", ".join(name for name, field in model.model_fields.items() if field.is_required())
            fix = f"Fill in the sheet, at least its columns {columns}."
            faults.append(Fault(f"{path.name} sheet {table}", None, "", "", "has no rows", fix))
            sheets[table] = None
    return settings, sheets, readme, faults


#: Names of elements of a workbook's files, and of what leads from a sheet's name to its file.
MAIN = "{http://schemas.openxmlformats.org/spreadsheetml/2006/main}"
LINK = "{http://schemas.openxmlformats.org/officeDocument/2006/relationships}id"


def _without_values(path: Path) -> Iterator[Fault]:
    """Cells that a spreadsheet program left without a value: errors, and formulas that nobody has worked out."""
    with zipfile.ZipFile(path) as file:
        links = {link.get("Id"): link.get("Target", "") for link in _root(file, "xl/_rels/workbook.xml.rels")}
        for sheet in _root(file, "xl/workbook.xml").iter(f"{MAIN}sheet"):
            name, target = sheet.get("name"), links.get(sheet.get(LINK), "")
            target = target.lstrip("/") if target.startswith("/") else f"xl/{target}"
            if (name != SETTINGS and name not in TABLES) or target not in file.namelist():
                continue
            for cell in _root(file, target).iter(f"{MAIN}c"):
                value = cell.findtext(f"{MAIN}v") or ""
                where = f"{path.name} sheet {name} cell {cell.get('r', '')}".rstrip()
                if cell.get("t") == "e":
                    fix = "Mend the formula, or write the value itself."
                    yield Fault(where, None, "", value, "is an error of a formula, and no value", fix)
                elif cell.find(f"{MAIN}f") is not None and not value and cell.get("t") != "str":
                    fix = "Open the workbook in a spreadsheet program and save it there, or write the value itself."
                    yield Fault(where, None, "", "", "is a formula that has not been worked out", fix)


def _root(file: zipfile.ZipFile, name: str) -> ElementTree.Element:
    """A file of a workbook; one without anything in it where there is none."""
    return ElementTree.fromstring(file.read(name)) if name in file.namelist() else ElementTree.Element("none")


def _text_of(cell: Any) -> str:
    """A cell as text, as a CSV file would have it."""
    if isinstance(cell, bool):
        return "yes" if cell else "no"
    if isinstance(cell, (int, float)):
        return _number_text(float(cell))
    if isinstance(cell, datetime):
        return cell.isoformat(sep=" ")
    if isinstance(cell, (date, time)):
        return cell.isoformat()
    return str(cell) if isinstance(cell, timedelta) else str(cell).strip()


def _number_text(number: float) -> str:
    return str(int(number)) if number.is_integer() and abs(number) < 1e15 else repr(number)


def _settings_of(rows: list[list[str]]) -> SettingsText:
    cells: dict[str, str] = {}
    lines: dict[str, int] = {}
    for number, row in enumerate(rows, start=1):
        name, value = (*row, "", "")[:2]
        if number > 1 and name and not name.startswith("#"):
            cells[name], lines[name] = value, number
    return SettingsText(SETTINGS_FILE, {name: value for name, value in cells.items() if value}, lines)


def _sheet_of(table: str, rows: list[list[str]]) -> Sheet | None:
    """A table as written, without columns that hold nothing; None where it has no row."""
    filled = [(number, row) for number, row in enumerate(rows, start=1) if any(row) and not row[0].startswith("#")]
    model = TABLES[table][0]
    if not filled or (len(filled) == 1 and {title.lower() for title in filled[0][1] if title} <= {*model.model_fields}):
        return None
    (first, head), records = filled[0], filled[1:]
    kept = [
        place
        for place, title in enumerate(head)
        if any(row[place] for _, row in records)
        or (title and not records)
        or (title in model.model_fields and model.model_fields[title].is_required())
    ]
    return Sheet(
        f"{table}.csv",
        (first, tuple(head[place] for place in kept)),
        tuple((number, tuple(row[place] for place in kept)) for number, row in records),
        places=tuple(kept),
    )


def _in_cells(fault: Fault, path: Path, settings: SettingsText, sheets: Mapping[str, Sheet | None]) -> Fault:
    """A fault of a file and row as one of a sheet and cell."""
    rule, fix = in_sheets(fault.rule), in_sheets(fault.fix)
    where = fault.file
    if fault.file == SETTINGS_FILE:
        row = settings.lines.get(fault.field)
        where = f"{path.name} sheet {SETTINGS}" + (f" cell B{row}" if row else "")
    elif fault.file.endswith(".csv"):
        table = fault.file.removesuffix(".csv")
        where = f"{path.name} sheet {table}{_cell_words(fault, sheets.get(table))}"
    return Fault(where, None, fault.field, fault.value, rule, fix)


def in_sheets(words: str) -> str:
    """Words that name files of a folder, as of sheets."""
    return re.sub(r"\b(\w+)\.csv\b", r"sheet \1", words.replace(SETTINGS_FILE, f"sheet {SETTINGS}"))


def _cell_words(fault: Fault, sheet: Sheet | None) -> str:
    if fault.row is None or sheet is None:
        return ""
    column = fault.field.split(",")[0]
    titles = [title.lower() for title in sheet.header[1]]
    if column.lower() not in titles:
        return f" row {fault.row}"
    place = sheet.places[titles.index(column.lower())] if sheet.places else titles.index(column.lower())
    return f" cell {_letter(place)}{fault.row}"


def _letter(place: int) -> str:
    """``A`` to ``Z``, then ``AA`` and on."""
    ahead, own = divmod(place, 26)
    return ("" if ahead == 0 else _letter(ahead - 1)) + "ABCDEFGHIJKLMNOPQRSTUVWXYZ"[own]


# converting


def convert(source: Path, target: Path) -> None:
    """Write an instance, a folder or a workbook, as the other of the two, or again as what it is.

    Faults in its cells do not hinder it; only what cannot be read at all does. A workbook of that name is not replaced, nor a
    folder that is not empty.

    Raises
    ------
    InstanceError
        Where the source cannot be read, or the target is there already or cannot be written.
    """
    if is_workbook(source):
        settings, sheets, readme, faults = cells_of(source)
    else:
        settings, sheets, readme, faults = as_written(source)
    unread = [fault for fault in faults if settings.cells is None or any(sheet is None for sheet in sheets.values())]
    if unread:
        raise InstanceError(unread, source.name)
    tables = {name: sheet for name, sheet in sheets.items() if sheet is not None}
    if is_workbook(target):
        write_workbook(settings.cells or {}, tables, readme, target)
    else:
        files = folder_files(settings.cells or {}, {name: _rows(sheet) for name, sheet in tables.items()})
        write_files(files | ({} if readme is None else {"README.md": readme}), target)


def _rows(sheet: Sheet) -> list[tuple[str, ...]]:
    return [sheet.header[1], *(record for _, record in sheet.records)]


# writing


def write_workbook(cells: Mapping[str, str], tables: Mapping[str, Sheet], readme: str | None, path: Path) -> None:
    """Write a workbook: every setting and table of the schema, filled in where given, with notes, drop-downs and limits.

    Raises
    ------
    InstanceError
        Where the file is there already, or cannot be written.
    """
    if path.exists():
        raise InstanceError([Fault(str(path), None, "", "", "is there already", "Choose another name.")], path.name)
    content = workbook_bytes(cells, tables, readme)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    except OSError as error:
        rule = f"cannot be written: {error.strerror or error}"
        raise InstanceError([Fault(str(path), None, "", "", rule, "Choose another place.")], path.name) from error


def write_template_workbook(path: Path) -> None:
    """Write the small instance to start from as a new workbook.

    Raises
    ------
    InstanceError
        Where the file is there already, or cannot be written.
    """
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place) / path.stem
        write_template(folder)
        convert(folder, path)


def workbook_bytes(cells: Mapping[str, str], tables: Mapping[str, Sheet], readme: str | None) -> bytes:
    """The workbook as a file; the same cells give the same bytes."""
    import io

    import xlsxwriter

    file = io.BytesIO()
    book = xlsxwriter.Workbook(file, {"in_memory": True})
    book.set_properties({"title": cells.get("title", ""), "created": datetime(2000, 1, 1)})
    forms = {
        "needed": book.add_format({"bold": True, "bg_color": FILLED, "border": 1, "text_wrap": True, "valign": "top"}),
        "further": book.add_format(
            {"italic": True, "bg_color": "#f2f2f2", "border": 1, "text_wrap": True, "valign": "top"}
        ),
        "words": book.add_format({"num_format": "@", "text_wrap": True, "valign": "top"}),
        "figures": book.add_format({"valign": "top"}),
    }
    if readme is not None:  # first, since it says where to begin
        sheet = book.add_worksheet(README)
        sheet.set_column(0, 0, 140, forms["words"])
        for number, line in enumerate(readme.splitlines()):
            sheet.write_string(number, 0, line, forms["words"])
    settings = book.add_worksheet(SETTINGS)
    settings.set_tab_color(FILLED)
    _write_settings(settings, cells, forms)
    for table, (model, naming, _) in TABLES.items():
        sheet = book.add_worksheet(table)
        if table in tables:
            sheet.set_tab_color(FILLED)
        _write_table(sheet, table, model, naming, tables.get(table), forms)
    for sheet in book.worksheets():  # printed, each is as wide as a page
        sheet.set_paper(A4)
        sheet.set_landscape()
        sheet.fit_to_pages(1, 0)
    book.close()
    return file.getvalue()


def _write_settings(sheet: Any, cells: Mapping[str, str], forms: dict[str, Any]) -> None:
    for place, (title, width) in enumerate(zip(SETTINGS_HEAD, (32, 40, 100), strict=True)):
        sheet.write_string(0, place, title, forms["needed"])
        sheet.set_column(place, place, width)
    sheet.freeze_panes(1, 1)
    unknown = [name for name in cells if name not in Settings.model_fields]
    for number, name in enumerate([*Settings.model_fields, *unknown], start=1):
        known = Settings.model_fields.get(name)
        needed = known is not None and known.is_required()
        sheet.write_string(number, 0, name, forms["needed" if needed else "further"])
        _write_cell(sheet, number, 1, cells.get(name, ""), known, forms)
        if known is not None:
            sheet.write_string(number, 2, column_note(Settings, name), forms["words"])
            _limit(sheet, (number, 1, number, 1), Settings, name, None)


def _write_table(
    sheet: Any, table: str, model: type[Row], naming: tuple[str, ...], given: Sheet | None, forms: dict[str, Any]
) -> None:
    head = list(given.header[1]) if given is not None else []
    head += [name for name in model.model_fields if name not in head]
    sheet.freeze_panes(1, 1)
    sheet.set_row(0, 32)
    for place, name in enumerate(head):
        known = model.model_fields.get(name)
        needed = known is not None and known.is_required()
        sheet.write_string(0, place, name, forms["needed" if needed else "further"])
        wide = known is not None and _is_words(known) and name in ("title", "note", "document", "place", "expression")
        form = forms["words"] if known is None or _is_words(known) else forms["figures"]
        sheet.set_column(place, place, 40 if wide else max(len(name) * 0.8 + 4, 12), form)
        if known is not None:
            sheet.write_comment(0, place, column_note(model, name), {"x_scale": 2.5, "y_scale": 1.2})
            _limit(sheet, (1, place, ROWS, place), model, name, _referred(table, name, known))
    for number, (_, record) in enumerate(given.records if given is not None else (), start=1):
        for place, text in enumerate(record):
            _write_cell(sheet, number, place, text, model.model_fields.get(head[place]), forms)


def _referred(table: str, column: str, field: Any) -> str | None:
    """The table whose rows a column names, one a cell; None where there is none, or more than one."""
    targets, words = next((found[2:] for found in REFERENCES if found[:2] == (table, column)), ((), ()))
    several = get_origin(field.annotation) is tuple
    return targets[0] if len(targets) == 1 and not words and not several else None


def _write_cell(sheet: Any, row: int, column: int, text: str, known: Any, forms: dict[str, Any]) -> None:
    """A cell as a number where it reads back as the same text, else as text."""
    if not text:
        return
    if known is not None and not _is_words(known):
        number = _same_number(text)
        if number is not None:
            sheet.write_number(row, column, number, forms["figures"])
            return
    sheet.write_string(row, column, text, forms["words"])


def _same_number(text: str) -> float | None:
    """The number that a workbook gives back as this very text; None where it would not."""
    if not re.fullmatch(r"-?\d+(\.\d+)?", text):
        return None
    number = float(f"{float(text):.16G}")  # as a workbook keeps it
    return number if _number_text(number) == text else None


def _is_words(field: Any) -> bool:
    """Whether a column holds words, or months, that a spreadsheet must not take for something else."""
    return not any(
        kind in (int, float) or getattr(kind, "__name__", "") == "Distribution" for kind in _kinds(field.annotation)
    )


def _kinds(annotation: Any) -> Iterator[Any]:
    """Every plain type in an annotation."""
    parts = get_args(annotation)
    if not parts or get_origin(annotation) is Literal:
        yield annotation
        return
    for part in parts:
        yield from _kinds(part)


def _limit(sheet: Any, cells: tuple[int, int, int, int], model: type[Row], name: str, owner: str | None) -> None:
    """A drop-down, a limit or at least a message for cells of a field."""
    field = model.model_fields[name]
    kinds = list(_kinds(field.annotation))
    words = [word for kind in kinds if get_origin(kind) is Literal for word in get_args(kind)]
    message = column_note(model, name)
    message = message if len(message) <= LONGEST_NOTE else message[: LONGEST_NOTE - 1] + "…"
    rule: dict[str, Any] = {"validate": "any"}
    if words or bool in kinds:
        rule = {"validate": "list", "source": words or ["yes", "no"]}
    elif owner is not None:
        # names that the other sheet does not have yet may be written first
        rule = {"validate": "list", "source": f"={owner}!$A$2:$A${ROWS + 1}", "error_type": "warning"}
    elif not _is_words(field) and len(set(kinds) - {type(None)}) == 1 and not _is_distribution(kinds):
        low, high = _ends(field)
        whole = int in kinds
        if low is not None and high is not None:
            rule = {"criteria": "between", "minimum": low, "maximum": high}
        elif low is not None:
            rule = {"criteria": ">=", "value": low}
        if len(rule) > 1:
            rule["validate"] = "integer" if whole else "decimal"
    title = name if len(name) <= 32 else name[:31] + "…"
    sheet.data_validation(*cells, {**rule, "input_title": title, "input_message": message, "ignore_blank": True})


def _is_distribution(kinds: list[Any]) -> bool:
    return any(getattr(kind, "__name__", "") == "Distribution" for kind in kinds)


def _ends(field: Any) -> tuple[float | None, float | None]:
    """Least and most that a number may be, ends that are excluded among them."""
    marks = [*field.metadata, *_marks(field.annotation)]
    low = next((getattr(mark, end) for mark in marks for end in ("ge", "gt") if hasattr(mark, end)), None)
    high = next((getattr(mark, end) for mark in marks for end in ("le", "lt") if hasattr(mark, end)), None)
    return low, high


def _marks(annotation: Any) -> Iterator[Any]:
    """What annotations within an annotation say."""
    for mark in getattr(annotation, "__metadata__", ()):
        yield mark
        yield from getattr(mark, "metadata", ())
    for part in get_args(annotation):
        if not isinstance(part, str):
            yield from _marks(part)
