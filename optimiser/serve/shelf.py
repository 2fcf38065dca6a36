"""Kept variants: run folders in one stated folder, each written whole, so that a stopped server loses none."""

from __future__ import annotations

import json
import os
import re
import secrets
import shutil
import threading
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from optimiser.analysis.planning import Asked, as_asked, asked_again, fingerprint
from optimiser.errors import Fault, InstanceError
from optimiser.instance.schema import Instance
from optimiser.plan import Plan
from optimiser.report.files import DOCUMENT, KEPT, is_run, read_kept, restore_swapped, write_plan
from optimiser.solve.kept import Kept

Row = dict[str, Any]
#: How many variants are kept beside the base.
MOST = 4
#: Folder of the plan that variants are compared with.
BASE = "base"
LONGEST_NAME = 40
#: File with what every address of the page begins with.
KEY = ".key"


@dataclass(frozen=True)
class Run:
    """A run on disk: its folder, what it is called, and its document."""

    slug: str
    name: str
    folder: Path
    document: Row

    @property
    def asked(self) -> Asked:
        """What it was asked."""
        return asked_again(self.document["asked"])

    @property
    def complete(self) -> bool:
        """Whether it holds what the plan is compared with, rests on and is tested by, too."""
        return whole(self.document)

    def kept(self) -> Kept | None:
        """What its search learned; None where it kept nothing."""
        return read_kept(self.folder) if (self.folder / KEPT).is_file() else None


def whole(document: Row) -> bool:
    """Whether a plan's document holds what it is compared with, rests on and is tested by; a table of futures has no others."""
    tested = document["simulated"] is not None or document["out_of_sample"] is None
    return tested and "fresh_futures_seconds" in document["timings"]


def write_for_us_alone(file: Path, text: str) -> None:
    """Write a file that no other user of this computer can read, in place of an earlier one."""
    file.parent.mkdir(parents=True, exist_ok=True)
    file.unlink(missing_ok=True)
    with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as opened:
        opened.write(text)


class Shelf:
    """The folder of kept variants of one instance.

    The folder is looked at anew each time: what stands there is what is kept, whoever wrote it.
    """

    def __init__(self, folder: Path, source: Path, instance: Instance, asked: Asked) -> None:
        """``source`` is the folder or workbook that ``instance`` was read from; ``asked`` what every variant is asked alike.

        Raises
        ------
        InstanceError
            Where the folder is a file, or an instance's or a run's own.
        """
        holds = folder.is_dir() and (is_run(folder) or (folder / "instance.toml").is_file())
        if holds or (folder.exists() and not folder.is_dir()):
            rule = "is a run or an instance, and no folder of variants" if holds else "is a file"
            fix = "Name a new folder, or one in which optimiser serve has kept variants."
            raise InstanceError([Fault(str(folder), None, "--keep", "", rule, fix)], "the command")
        self.folder, self.source, self.instance, self.asked = folder, source, instance, asked
        self._lock = threading.Lock()
        self._read: dict[Path, tuple[tuple[int, int], Run | None]] = {}
        restore_swapped(folder)

    def key(self) -> str:
        """What every address of the page begins with: the same each time a server is started on this folder.

        It lies in a file that nobody else on this computer can read; where none can be written it is of this time only.
        """
        file = self.folder / KEY
        try:
            found = file.read_text(encoding="ascii").strip()
        except (OSError, ValueError):
            found = ""
        if re.fullmatch(r"[\w-]{20,}", found, flags=re.ASCII):
            return found
        made = secrets.token_urlsafe(16)
        with suppress(OSError):
            write_for_us_alone(file, made)
        return made

    def variants(self) -> list[Run]:
        """Every kept variant, by name; what is of another instance, or cannot be read, is left alone."""
        if not self.folder.is_dir():
            return []
        found = [self._run(path) for path in sorted(self.folder.iterdir()) if path.name != BASE]
        return sorted((run for run in found if run is not None), key=lambda run: run.name.casefold())

    def others(self) -> list[str]:
        """Names of runs in the folder that are of another instance, or cannot be read."""
        if not self.folder.is_dir():
            return []
        return [path.name for path in sorted(self.folder.iterdir()) if is_run(path) and self._run(path) is None]

    def base(self) -> Run | None:
        """The plan that variants are compared with, where it is kept here."""
        return self._run(self.folder / BASE)

    def find(self, slug: str) -> Run | None:
        """A variant by the name of its folder."""
        return next((run for run in self.variants() if run.slug == slug), None)

    def keep(self, name: str, plan: Plan, document: Row) -> Run:
        """Keep a variant under a name.

        Raises
        ------
        InstanceError
            With one fault: where the name is blank, too long or taken, or four variants are kept already.
        """
        with self._lock:
            slug = self._slug(name)
            return self._write(self.folder / slug, plan, {**document, "variant": " ".join(name.split())})

    def keep_base(self, plan: Plan, document: Row) -> Run:
        """Keep the plan that variants are compared with, in place of an earlier one."""
        with self._lock:
            return self._write(self.folder / BASE, plan, document)

    def replace(self, run: Run, plan: Plan, document: Row) -> Run | None:
        """A variant or the base written anew, under its name; None where it has been discarded meanwhile."""
        with self._lock:
            if not is_run(run.folder):
                return None
            named = {"variant": run.document["variant"]} if "variant" in run.document else {}
            return self._write(run.folder, plan, {**document, **named})

    def discard(self, slug: str) -> None:
        """Drop a variant and its files; nothing where it is gone already."""
        with self._lock:
            run = self.find(slug)
            if run is not None:
                # out of sight at once, so that no half of it is ever read
                gone = run.folder.with_name(f".{run.folder.name}-discarded")
                shutil.rmtree(gone, ignore_errors=True)
                run.folder.rename(gone)
                shutil.rmtree(gone, ignore_errors=True)

    def _write(self, folder: Path, plan: Plan, document: Row) -> Run:
        try:
            write_plan(plan, document, folder, self.source)
        except OSError as error:
            fix = "Make room there, or start optimiser serve with another --keep."
            fault = Fault(str(folder), None, "", "", f"cannot be written: {error.strerror or error}", fix)
            raise InstanceError([fault], "what is kept") from error
        run = self._run(folder)
        if run is None:
            fix = "Leave the files to optimiser serve, and keep the plan again."
            raise InstanceError([Fault(str(folder), None, "", "", "was changed while it was written", fix)], "the run")
        return run

    def _slug(self, name: str) -> str:
        name = " ".join(name.split())
        taken = [run.name.casefold() for run in self.variants()]
        slug = re.sub(r"[^a-z0-9]+", "-", name.casefold()).strip("-")
        rule, fix = "", "Give it another name."
        if len(taken) >= MOST:
            rule, fix = f"would be one more than {MOST} variants", "Discard one first; the base does not count."
        elif not name:
            rule, fix = "is blank", "Name the variant in a few words, such as: £1m less."
        elif len(name) > LONGEST_NAME:
            rule, fix = f"is longer than {LONGEST_NAME} characters", "Name the variant in a few words."
        elif not slug or slug == BASE:
            rule, fix = "is no name for a variant", "Use letters and numbers, and another name than base."
        elif name.casefold() in taken or (self.folder / slug).exists():
            rule, fix = "is the name of a kept variant already", "Give it another name, or discard that one first."
        if rule:
            raise InstanceError([Fault("Name", None, "", name[:60], rule, fix)], "the variant")
        return slug

    def _run(self, folder: Path) -> Run | None:
        """The run in a folder; None where there is none, it is of another instance, or it cannot be read."""
        file = folder / DOCUMENT
        try:
            about = file.stat()
            stamp = (about.st_mtime_ns, about.st_size)
            known = self._read.get(folder)
            if known is not None and known[0] == stamp:
                return known[1]
            document = json.loads(file.read_text(encoding="utf-8"))
            found = self._of_ours(folder, document)
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            return None
        self._read[folder] = (stamp, found)
        return found

    def _alike(self, asked: Asked) -> bool:
        """Whether a run stands on the same futures, with the same capital and slippage, as what is planned here."""
        named = ("seed", "capital", "slippage", "reduce_from")
        if any(getattr(asked, name) != getattr(self.asked, name) for name in named):
            return False
        futures = self.asked.scenarios or self.instance.settings.scenarios
        return bool(self.instance.scenarios) or asked.scenarios == futures

    def _of_ours(self, folder: Path, document: Row) -> Run | None:
        asked = asked_again(document["asked"])
        try:
            planned = fingerprint(as_asked(self.instance, asked))
        except (InstanceError, StopIteration):
            return None
        if folder.name.startswith(".") or planned != document["instance"]["fingerprint"] or not self._alike(asked):
            return None
        return Run(folder.name, str(document.get("variant", "The base")), folder, document)
