"""An instance's folder that tests edit, one cell or file at a time."""

from __future__ import annotations

import csv
import io
from pathlib import Path

from optimiser.errors import Fault, InstanceError
from optimiser.instance.reading import read_instance
from optimiser.instance.template import template_files


class Folder:
    """A copy of the template that can be edited. Rows of data count from 1, as ``row`` says."""

    def __init__(self, path: Path) -> None:
        self.path = path
        path.mkdir(parents=True, exist_ok=True)
        for name, text in template_files("plan").items():
            (path / name).write_text(text, encoding="utf-8")

    def text(self, file: str) -> str:
        return (self.path / file).read_text(encoding="utf-8")

    def write(self, file: str, text: str) -> None:
        (self.path / file).write_text(text, encoding="utf-8", newline="")

    def replace(self, file: str, old: str, new: str) -> None:
        text = self.text(file)
        assert old in text, f"{old!r} is not in {file}"
        self.write(file, text.replace(old, new))

    def delete(self, file: str) -> None:
        (self.path / file).unlink()

    def setting(self, name: str, value: str) -> None:
        """Give a setting; ``value`` as TOML has it."""
        lines = [line for line in self.text("instance.toml").splitlines() if not line.startswith(f"{name} = ")]
        self.write("instance.toml", "\n".join([*lines, f"{name} = {value}"]) + "\n")

    def rows(self, table: str) -> tuple[list[str], list[list[str]]]:
        """Comment lines, and the header and rows of a table."""
        path = self.path / f"{table}.csv"
        lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
        comments = [line for line in lines if line.startswith("#")]
        return comments, list(csv.reader(line for line in lines if not line.startswith("#")))

    def save(self, table: str, comments: list[str], rows: list[list[str]]) -> None:
        written = io.StringIO()
        csv.writer(written, lineterminator="\n").writerows(rows)
        self.write(f"{table}.csv", "".join(f"{line}\n" for line in comments) + written.getvalue())

    def cell(self, table: str, number: int, column: str, value: str) -> None:
        """Write a cell, in a new column where the table has none of that name."""
        comments, rows = self.rows(table)
        if column not in rows[0]:
            rows = [[*row, ""] for row in rows]
            rows[0][-1] = column
        rows[number][rows[0].index(column)] = value
        self.save(table, comments, rows)

    def add(self, table: str, **cells: str) -> None:
        """Add a row, to a new table where there is none; columns that are new are added."""
        comments, rows = self.rows(table)
        if not rows:
            rows = [list(cells)]
        for column in cells:
            if column not in rows[0]:
                rows = [[*row, ""] for row in rows]
                rows[0][-1] = column
        rows.append([cells.get(column, "") for column in rows[0]])
        self.save(table, comments, rows)

    def remove(self, table: str, number: int) -> None:
        comments, rows = self.rows(table)
        del rows[number]
        self.save(table, comments, rows)

    def line(self, file: str, number: int) -> int:
        """Row of a table's data row as a spreadsheet shows it."""
        comments, _ = self.rows(file.removesuffix(".csv"))
        return len(comments) + 1 + number

    def faults(self) -> tuple[Fault, ...]:
        """What reading reports; nothing where it reads."""
        try:
            read_instance(self.path)
        except InstanceError as error:
            return error.faults
        return ()
