"""Where instances are: a folder of one's own, or one that comes with the optimiser."""

from __future__ import annotations

from pathlib import Path

from optimiser.errors import Fault, InstanceError
from optimiser.instance.draft import suggestion

SETTINGS_FILE = "instance.toml"
_PACKAGE = Path(__file__).resolve().parent.parent
#: Where instances come with the package, and where they stand in a checkout.
_PLACES = (_PACKAGE / "instances", _PACKAGE.parent / "instances")


def bundled() -> list[Path]:
    """Folders of the instances that come with the optimiser, by name."""
    found: dict[str, Path] = {}
    for place in _PLACES:
        if place.is_dir():
            for folder in place.iterdir():
                if (folder / SETTINGS_FILE).is_file():
                    found.setdefault(folder.name, folder)
    return [found[name] for name in sorted(found)]


def find_instance(name_or_path: str) -> Path:
    """Where an instance is: a path to a folder or workbook that exists, else the name of one that comes with the optimiser.

    Raises
    ------
    InstanceError
        Where there is neither.
    """
    path = Path(name_or_path)
    if name_or_path and (path.is_dir() or (path.is_file() and path.suffix.lower() == ".xlsx")):
        return path
    if path.is_file():
        fix = f"Name the folder that holds {SETTINGS_FILE}, or a workbook that ends in .xlsx."
        raise InstanceError([Fault(name_or_path, None, "", "", "is a file, not an instance's folder", fix)], path.name)
    known = bundled()
    for folder in known:
        if folder.name == name_or_path:
            return folder
    book = path.with_name(f"{path.name}.xlsx") if path.name else path
    fix = f"Did you mean {book}?" if book.is_file() else suggestion(path.name, [folder.name for folder in known])
    rule = "is neither a folder, nor a workbook, nor an instance that comes with the optimiser"
    raise InstanceError([Fault(name_or_path, None, "", "", rule, fix)], path.name)
