"""A copy of an instance's folder with some figures replaced, and their evidence; all else stays as it was written."""

from __future__ import annotations

import csv
import io
import itertools
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from optimiser.instance.register import best_pattern

#: A row of a table by its names, as in the keys of the register: (table, name).
Named = tuple[str, str]


def rewrite_figures(
    folder: Path, figures: Mapping[Named, Mapping[str, str]], evidence: Mapping[str, Mapping[str, str]]
) -> None:
    """Replace figures of homes, lots and the like in a folder that has been read without a fault.

    Parameters
    ----------
    folder
        The copy to change.
    figures
        New text by table and the name in the row's first column, then by column. Columns that are not there are added.
    evidence
        New rows of the register by the key of the figure, which take the place of those of the same key.
    """
    for table in dict.fromkeys(table for table, _ in figures):
        own = {name: cells for (other, name), cells in figures.items() if other == table}
        _rewrite(folder / f"{table}.csv", table.removesuffix("s"), own, append=False)
    _rewrite(folder / "evidence.csv", "figures", evidence, append=True)


def evidence_cells(folder: Path, key: str) -> dict[str, str]:
    """Cells of the register's row for a figure, as written."""
    rows = [cells for _, cells in _records(_read(folder / "evidence.csv")) if cells is not None]
    header = [cell.strip() for cell in rows[0]]
    place = header.index("figures")
    best = best_pattern(key, (row[place].strip() for row in rows[1:]))
    row = next(row for row in rows[1:] if row[place].strip() == best)
    return {name: cell.strip() for name, cell in zip(header, row, strict=False) if name}


def _rewrite(path: Path, naming: str, changed: Mapping[str, Mapping[str, str]], append: bool) -> None:
    text = _read(path)
    ending = "\r\n" if "\r\n" in text else "\n"
    columns = list(dict.fromkeys(column for cells in changed.values() for column in cells))
    header: list[str] = []
    width = 0
    written: list[str] = []
    left = dict(changed)
    for raw, cells in _records(text):
        if cells is None:
            written.append(raw)
            continue
        if not header:
            header = [cell.strip() for cell in cells]
            while header and not header[-1]:
                header.pop()
            width = len(header)
            header += [column for column in columns if column not in header]
            written.append(raw if len(header) == width else _line(header, ending))
            continue
        name = cells[header.index(naming)].strip()
        own = left.pop(name, None)
        if own is None and len(header) == width:
            written.append(raw)
            continue
        cells = cells[:width] + [""] * (len(header) - width)
        for column, cell in (own or {}).items():
            cells[header.index(column)] = cell
        written.append(_line(cells, ending))
    if append:
        if written and not written[-1].endswith("\n"):
            written.append(ending)
        written += [
            _line([{naming: name, **cells}.get(column, "") for column in header], ending)
            for name, cells in left.items()
        ]
    path.write_text("".join(written), encoding="utf-8", newline="")


def _read(path: Path) -> str:
    return path.read_bytes().decode("utf-8-sig")


def _line(cells: Iterable[str], ending: str) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator=ending).writerow(cells)
    return text.getvalue()


def _records(text: str) -> Iterator[tuple[str, list[str] | None]]:
    """Each record as written, with its cells; None for comments and blank rows."""
    lines = iter(io.StringIO(text, newline=""))
    for line in lines:
        if line.lstrip().startswith("#"):
            yield line, None
            continue
        taken = [line]

        def more(taken: list[str] = taken) -> Iterator[str]:
            for further in lines:
                taken.append(further)
                yield further

        cells = next(csv.reader(itertools.chain([line], more())), [])
        filled = any(cell.strip() for cell in cells) and not cells[0].strip().startswith("#")
        yield "".join(taken), cells if filled else None
