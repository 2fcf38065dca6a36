"""Files to tables of text: CSV recognised by its columns, and the XML form, whatever the files are called.

Nothing here knows what a cell means, and no fault quotes one.
"""

from __future__ import annotations

import csv
import io
import zipfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from xml.parsers import expat

import numpy as np
import numpy.typing as npt

from optimiser.demand.records import codes
from optimiser.errors import Fault

#: Ending of the files that are looked for in folders.
ENDINGS = (".csv", ".xml")
XML_ROOT = "EXPSSDA903"

Text = npt.NDArray[np.object_]


@dataclass(frozen=True, repr=False, eq=False)
class Table:
    """A table as filed: ``cells`` by column, trimmed; ``rows`` as an editor numbers its lines, [record].

    Has no repr of its own cells: they are personal.
    """

    file: str
    kind: str
    cells: dict[str, Text]
    rows: npt.NDArray[np.int64]

    def column(self, name: str) -> Text:
        """Cells of a column, blank where the table does not have it."""
        return self.cells[name] if name in self.cells else np.full(len(self.rows), "", dtype=object)


@dataclass(repr=False)
class _Sheet:
    """What is being read of one table."""

    columns: Sequence[str]
    records: list[Sequence[str]] = field(default_factory=list)
    rows: list[int] = field(default_factory=list)

    def table(self, file: str, kind: str) -> Table:
        cells = {name: np.empty(len(self.records), dtype=object) for name in self.columns if name}
        for place, name in enumerate(self.columns):
            if name:
                cells[name][:] = [record[place].strip() for record in self.records]
        return Table(file, kind, cells, np.array(self.rows, dtype=np.int64))


def find_files(paths: Iterable[Path], faults: list[Fault]) -> list[tuple[str, Path]]:
    """Files to read with the names to call them by, in order of the paths, then of their names.

    A folder gives every CSV and XML file in it and in its folders; a file that is named is read whatever its ending. What is
    called like a return and is no file that can be read is a fault: a year would be missing in silence.
    """
    found: list[Path] = []
    for path in paths:
        if path.is_dir():
            inside = [one for one in sorted(path.rglob("*")) if one.suffix.lower() in ENDINGS]
            kept = [one for one in inside if not one.name.startswith((".", "~"))]
            for one in [one for one in kept if not one.is_file()]:
                what = "is a folder" if one.is_dir() else "is no file that can be read"
                fix = "Rename or remove it, or put the file in its place."
                faults.append(Fault(f"{one.parent.name}/{one.name}", None, "", "", what, fix))
            kept = [one for one in kept if one.is_file()]
            if not kept:
                fix = "Give the folder that holds the CSV or XML files of the returns."
                faults.append(Fault(path.name, None, "", "", "has no CSV or XML file in it", fix))
            found.extend(kept)
        elif path.exists():
            found.append(path)
        else:
            faults.append(Fault(path.name, None, "", "", "does not exist", "Mend the path, or leave it out."))
    unique = list(dict.fromkeys(one.resolve() for one in found))
    names = [f"{one.parent.name}/{one.name}" for one in unique]
    return [(str(one) if names.count(name) > 1 else name, one) for name, one in zip(names, unique, strict=True)]


def read_tables(name: str, path: Path, faults: list[Fault]) -> list[Table]:
    """Tables of one file that are needed: Episodes, Header, UASC."""
    content = _content(name, path, faults)
    if content is None:
        return []
    if content.removeprefix(b"\xef\xbb\xbf").lstrip().startswith(b"<"):
        return _read_xml(name, content, faults)
    text = _decoded(name, content, faults)
    if text is None:
        return []
    table = _read_csv(name, text, faults)
    return [] if table is None else [table]


def read_text(name: str, path: Path, faults: list[Fault]) -> str | None:
    """Text of a file; None with its fault where it is none."""
    content = _content(name, path, faults)
    return None if content is None else _decoded(name, content, faults)


def _content(name: str, path: Path, faults: list[Fault]) -> bytes | None:
    try:
        content = path.read_bytes()
    except OSError as error:
        rule = f"cannot be read: {error.strerror}"
        faults.append(Fault(name, None, "", "", rule, "Close it elsewhere or mend its permissions."))
        return None
    if content.startswith(b"PK") and b"[Content_Types].xml" not in content and _archived(content):
        faults.append(Fault(name, None, "", "", "is a ZIP archive", "Unpack it, and give the folder."))
        return None
    if content.startswith((b"PK", b"\xd0\xcf\x11\xe0")):
        fix = "Save it from the spreadsheet as CSV UTF-8 instead of renaming it."
        faults.append(Fault(name, None, "", "", "is an Excel workbook, whatever its name", fix))
        return None
    # old database programs end a text with it
    return content.removesuffix(b"\x1a")


def _archived(content: bytes) -> bool:
    return zipfile.is_zipfile(io.BytesIO(content))


def _decoded(name: str, content: bytes, faults: list[Fault]) -> str | None:
    text = _decode(content)
    if text is None:
        faults.append(Fault(name, None, "", "", "is not text", "Save it from the spreadsheet as CSV UTF-8."))
    return text


def _decode(content: bytes) -> str | None:
    """UTF-8 with or without mark, UTF-16 with one (database exports), else Windows: what is read is ASCII anyway."""
    marked = content.startswith((b"\xff\xfe", b"\xfe\xff"))
    for encoding in ["utf-16"] if marked else ["utf-8-sig", "cp1252"]:
        try:
            text = content.decode(encoding)
        except UnicodeDecodeError:
            continue
        return None if "\0" in text else text
    return None


# CSV


def _read_csv(name: str, text: str, faults: list[Fault]) -> Table | None:
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    sheet: _Sheet | None = None
    kind = ""
    width = header_row = line = 0
    try:
        for record in reader:
            row, line = line + 1, reader.line_num
            if not any(map(str.strip, record)):
                continue
            if sheet is None:
                header_row = row
                columns = [codes.ALIASES.get(title, title) for title in (cell.strip().upper() for cell in record)]
                kind, wanted = _recognised(name, row, columns, faults)
                if not wanted:
                    return None
                width = len(columns)
                sheet = _Sheet([column if column in wanted else "" for column in columns])
                continue
            if len(record) > width and any(map(str.strip, record[width:])):
                rule = f"has {len(record)} cells where the header has {width}"
                fix = "Text with a comma in it goes in quotation marks."
                faults.append(Fault(name, row, "", "", rule, fix))
                return None
            # spreadsheets leave trailing blank cells out
            sheet.records.append(record if len(record) >= width else [*record, *[""] * (width - len(record))])
            sheet.rows.append(row)
    except csv.Error as error:
        if "field limit" in str(error):
            rule = f"has a cell of more than {csv.field_size_limit():,} letters"
            faults.append(
                Fault(name, line + 1, "", "", rule, "Export the table again from the case management system.")
            )
            return None
        fix = 'Close every quotation mark, and write one inside quoted text twice, as in "the ""old"" home".'
        faults.append(Fault(name, line + 1, "", "", "is not valid CSV: its quotation marks do not match", fix))
        return None
    if sheet is None:
        faults.append(Fault(name, None, "", "", "is empty", "Leave the file out, or file the table with its columns."))
        return None
    if kind == "Episodes" and not sheet.rows:
        fix = "Leave the file out, or export the episodes again."
        faults.append(Fault(name, header_row, "", "", "has columns but no episodes", fix))
    return sheet.table(name, kind)


def other_marks(name: str, row: int, titles: Sequence[str]) -> Fault | None:
    """The fault of a table whose cells are not parted by commas, from its first row."""
    mark = next((mark for mark in ";\t|" if len(titles) == 1 and mark in titles[0]), None)
    if mark is None:
        return None
    words = {";": "semicolons", "\t": "tabs", "|": "bars"}[mark]
    return Fault(name, row, "", "", f"has {words} between its cells", "Save it with commas between them.")


def _recognised(name: str, row: int, columns: Sequence[str], faults: list[Fault]) -> tuple[str, tuple[str, ...]]:
    """Table that the columns belong to, and those of its columns to read: none where it is not needed or faulty."""
    if fault := other_marks(name, row, columns):
        faults.append(fault)
        return "", ()
    there = set(columns)
    if there & set(codes.OTHER_TABLES):
        return "", ()
    kind, needed, optional = "", (), ()  # type: tuple[str, tuple[str, ...], tuple[str, ...]]
    if len(there & (set(codes.EPISODES) - {"CHILD"})) >= 4 or "DECOM" in there:
        kind, needed, optional = "Episodes", codes.EPISODES, codes.EPISODES_OPTIONAL
    elif "DUC" in there:
        kind, needed = "UASC", codes.UASC
    elif there & {"ETHNIC", "UPN", "MOTHER", "MC_DOB"}:
        kind, needed = "Header", codes.HEADER
    if not kind:
        tables = "Episodes, Header, UASC or another table of an SSDA903 return"
        fix = "Leave the file out, or restore the columns in its first row as the guide names them."
        faults.append(Fault(name, row, "", "", f"does not have the columns of {tables}", fix))
        return "", ()
    wanted = (*needed, *optional)
    before = len(faults)
    for column in needed:
        if column not in there:
            fix = f"Add the column to {kind}, as the guide to the collection names it."
            faults.append(Fault(name, row, column, "", "is missing", fix))
    for column in wanted:
        if list(columns).count(column) > 1:
            faults.append(Fault(name, row, column, "", "is there twice", "Delete or rename one of the columns."))
    return (kind, ()) if len(faults) > before else (kind, wanted)


# XML


class _Tags(dict[str, str]):
    """Columns by tag, without its namespace and in capitals; each worked out once."""

    def __missing__(self, tag: str) -> str:
        name = tag.rpartition(":")[2].upper()
        self[tag] = codes.ALIASES.get(name, name)
        return self[tag]


class _NotAReturn(Exception):
    """What the XML is instead of a return, at the line being read."""


class _XmlReader:
    """EXPSSDA903 / CHILD / HEADER and EPISODE, read as it streams by; blank tags may be left out."""

    def __init__(self) -> None:
        self.parser = expat.ParserCreate()
        self.parser.StartElementHandler = self.start
        self.parser.EndElementHandler = self.end
        self.parser.CharacterDataHandler = self.text
        self.parser.StartDoctypeDeclHandler = self.doctype
        self.parser.buffer_text = True
        self.episodes = _Sheet((*codes.EPISODES, *codes.EPISODES_OPTIONAL))
        self.headers = _Sheet((*codes.HEADER, "UASC"))
        self.tags = _Tags()
        self.depth = 0
        self.letters: list[str] = []
        self.section: dict[str, str] = {}
        self.section_row = 0
        self.header: dict[str, str] = {}
        self.header_row = 0
        self.child_row = 0
        self.children_episodes: list[tuple[int, dict[str, str]]] = []

    def doctype(self, *_: object) -> None:
        # entities can be made to blow up, and no return has any
        raise _NotAReturn("has a document type, which no return has")

    def start(self, tag: str, _: object) -> None:
        self.depth += 1
        if self.depth == 4:
            self.letters = []
        elif self.depth == 1 and self.tags[tag] != XML_ROOT:
            raise _NotAReturn(f"does not begin with {XML_ROOT}")
        elif self.depth == 2:
            self.header, self.children_episodes = {}, []
            self.child_row = self.header_row = self.parser.CurrentLineNumber
        elif self.depth == 3:
            self.section, self.section_row = {}, self.parser.CurrentLineNumber

    def text(self, letters: str) -> None:
        if self.depth == 4:
            self.letters.append(letters)

    def end(self, tag: str) -> None:
        if self.depth == 4:
            self.section[self.tags[tag]] = "".join(self.letters)
        elif self.depth == 3 and self.tags[tag] == "HEADER":
            self.header, self.header_row = self.section, self.section_row
        elif self.depth == 3 and self.tags[tag] == "EPISODE":
            self.children_episodes.append((self.section_row, self.section))
        elif self.depth == 2 and self.tags[tag] == "CHILD":
            self.add_child()
        self.depth -= 1

    def add_child(self) -> None:
        child = self.header.get("CHILD", "")
        uasc = "1" if self.header.get("UASC", "").strip() == "1" or self.header.get("DUC", "").strip() else ""
        self.headers.records.append([child, self.header.get("SEX", ""), self.header.get("DOB", ""), uasc])
        self.headers.rows.append(self.header_row)
        for row, section in self.children_episodes:
            section["CHILD"] = child
            self.episodes.records.append([section.get(column, "") for column in self.episodes.columns])
            self.episodes.rows.append(row)


def _read_xml(name: str, content: bytes, faults: list[Fault]) -> list[Table]:
    reader = _XmlReader()
    fix = "Export the return again from the case management system."
    try:
        reader.parser.Parse(content, True)
    except expat.ExpatError as error:
        rule = f"is not valid XML: {expat.errors.messages[error.code]}"
        faults.append(Fault(name, error.lineno, "", "", rule, fix))
        return []
    except _NotAReturn as error:
        faults.append(Fault(name, reader.parser.CurrentLineNumber, "", "", str(error), fix))
        return []
    if not reader.episodes.rows:
        faults.append(Fault(name, None, "", "", "has no episodes", fix))
    return [reader.headers.table(name, "Header"), reader.episodes.table(name, "Episodes")]
