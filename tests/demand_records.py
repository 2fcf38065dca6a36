"""Synthetic councils and the command line, for tests of demand."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from typer.testing import CliRunner

from optimiser.cli import app
from optimiser.demand.synthetic import Synthetic, synthesise
from optimiser.errors import OptimiserError


@dataclass(frozen=True)
class Done:
    """What a command printed, on either stream, and its exit code."""

    exit_code: int
    output: str
    stdout: str


def run(*words: str) -> Done:
    """Run a command as the shell would, errors told in words."""
    result = CliRunner().invoke(app, list(words))
    if isinstance(result.exception, OptimiserError):
        return Done(result.exception.exit_code, result.output + str(result.exception), result.stdout)
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return Done(result.exit_code, result.output, result.stdout)


def council(folder: Path, *, years: int = 4, seed: int = 1, form: str = "csv") -> Synthetic:
    """Returns of a council of some 300 children."""
    assert form in ("csv", "xml")
    return synthesise(
        folder,
        authority="anyshire",
        first_year=2026 - years,
        years=years,
        seed=seed,
        form="xml" if form == "xml" else "csv",
    )


def files_in(folder: Path) -> dict[str, bytes]:
    """Content of every file in a folder, by its path there."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}
