"""Plan → files: tidy CSV tables, results by future as Parquet, and the whole document; all of it or nothing."""

from __future__ import annotations

import csv
import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from models.problem import COST_TERMS
from optimiser.errors import Fault, InstanceError
from optimiser.plan import Plan

if TYPE_CHECKING:
    from optimiser.instance.schema import Instance
    from optimiser.solve.kept import Kept

Row = dict[str, Any]

DOCUMENT = "plan.json"
SIMULATION = "simulation.json"
KEPT = "kept.npz"
#: Copy of the instance that a run was made on, so that it can be read again whatever becomes of the original.
INSTANCE = "instance"
#: Tables of the document that are written as CSV.
TABLES = ("decisions", "quarters", "years", "capital", "voids", "break_even", "limits", "beyond_horizon")


def refuse_unless_writable(folder: Path) -> None:
    """Say so before a long search where its result could not be written.

    Raises
    ------
    InstanceError
        If the folder holds something that is not an earlier run, or cannot be written.
    """
    if folder.exists() and (not folder.is_dir() or (any(folder.iterdir()) and not _own(folder))):
        fix = "Name a new folder, or one that an earlier run has written."
        raise InstanceError([Fault(str(folder), None, "--out", "", "holds other files", fix)], "the command")
    parent = folder.absolute().parent
    while not parent.exists():
        parent = parent.parent
    if not os.access(parent, os.W_OK):
        fix = "Name a folder that can be written."
        raise InstanceError([Fault(str(folder), None, "--out", "", "cannot be written", fix)], "the command")


def _own(folder: Path) -> bool:
    return any((folder / name).is_file() for name in (DOCUMENT, SIMULATION))


def read_kept(folder: Path) -> Kept:
    """What an earlier run has kept.

    Raises
    ------
    InstanceError
        If the folder holds no run, or one that kept nothing that can be read.
    """
    from optimiser.errors import SolverError
    from optimiser.solve.kept import Kept

    file = folder / KEPT
    if not is_run(folder):
        fix = "Name a folder that optimiser plan --out has written."
        raise InstanceError([Fault(str(folder), None, "--from", "", "holds no run", fix)], "the command")
    if not file.exists():
        fix = "Plan again with --out and --method lshaped: the extensive form keeps nothing."
        raise InstanceError([Fault(str(file), None, "--from", "", "is not there", fix)], "the command")
    try:
        return Kept.from_bytes(file.read_bytes())
    except SolverError as error:
        fix = "Plan again with --out."
        raise InstanceError([Fault(str(file), None, "--from", "", str(error), fix)], "the command") from None


def is_run(folder: Path) -> bool:
    """Whether ``--out`` has written the folder."""
    return (folder / DOCUMENT).is_file()


def read_run(folder: Path) -> tuple[Instance, Row]:
    """The instance that a run was made on, and its document.

    Raises
    ------
    InstanceError
        If the document cannot be read, or the instance beside it is not the one that was planned.
    """
    from optimiser.analysis.planning import fingerprint, with_capital
    from optimiser.instance.reading import read_instance

    file = folder / DOCUMENT
    try:
        document = json.loads(file.read_text(encoding="utf-8"))
        planned, capital, _ = document["instance"]["fingerprint"], document["asked"]["capital"], document["decided"]
    except (OSError, ValueError, KeyError, TypeError):
        fix = "Plan again with --out."
        raise InstanceError([Fault(str(file), None, "", "", "is no plan that can be read", fix)], "the run") from None
    instance = read_instance(folder / INSTANCE)
    if fingerprint(instance if capital is None else with_capital(instance, capital)) != planned:
        fix = "Plan again with --out, or put back the files that the run was made on."
        fault = Fault(str(folder / INSTANCE), None, "", "", "has changed since the plan was made", fix)
        raise InstanceError([fault], "the run")
    return instance, document


def write_plan(plan: Plan, document: Row, folder: Path, source: Path) -> None:
    """Write a plan to a folder, with the instance from ``source``.

    An earlier run there is replaced, once everything new has been written beside it.
    """
    with _replacing(folder) as fresh:
        _write_everything(plan, document, fresh)
        shutil.copytree(source, fresh / INSTANCE)


def write_simulation(document: Row, folder: Path) -> None:
    """Write a simulation's document and tables to a folder, as ``write_plan`` does."""
    with _replacing(folder) as fresh:
        for name in ("quarters", "occupancy", "years", "terms"):
            rows = [{"option": row["option"], **_flat(each)} for row in document["options"] for each in row[name]]
            write_table(rows, fresh / f"{name}.csv")
        (fresh / SIMULATION).write_text(json.dumps(document, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def refuse_own_folder(folder: Path, source: Path) -> None:
    """A calibrated instance never takes the place of the one that was read.

    Raises
    ------
    InstanceError
        If both are the same folder, or one is within the other.
    """
    ours, theirs = folder.resolve(), source.resolve()
    if ours == theirs or theirs in ours.parents or ours in theirs.parents:
        fix = "Name a new folder elsewhere."
        raise InstanceError([Fault(str(folder), None, "--out", "", "is the instance that is read", fix)], "the command")


def write_calibrated(document: Row, folder: Path, source: Path, command: str) -> None:
    """Write the instance of ``source`` to a folder with its matching occupancy as calibrated, and the evidence for it.

    Only figures that the simulation could tell are replaced. The former figure stays as ``matching_in_demand``, with
    the evidence that it had; the new one is ``calibrated`` from it.

    Parameters
    ----------
    document
        Of a simulation that calibrated.
    command
        What was run, for the register.
    """
    from optimiser.instance.reading import read_instance
    from optimiser.instance.rewriting import evidence_cells, rewrite_figures

    read_instance(source)
    found = document["calibration"]
    figures: dict[tuple[str, str], dict[str, str]] = {}
    evidence: dict[str, dict[str, str]] = {}
    names = ", ".join(row["option"] for row in found["gaps"])
    for row in found["sources"]:
        if row["figure"] is None:
            continue
        key = f"{row['table']}.{row['source']}"
        occupancy, error = row["figure"], row["standard_error"]
        cells = {"matching_occupancy": f"{occupancy:g}", "matching_in_demand": f"{row['in_demand']:g}"}
        figures[row["table"], row["source"]] = cells
        old = evidence_cells(source, f"{key}.matching_occupancy")
        if old["evidence"] != "calibrated":
            evidence[f"{key}.matching_in_demand"] = {name: cell for name, cell in old.items() if name != "figures"}
        evidence[f"{key}.matching_occupancy"] = {
            "evidence": "calibrated",
            "document": command,
            "place": f"{document['futures']} futures simulated, {found['futures']} of them compared, seed {document['seed']}",
            "low": f"{max(occupancy - 2 * error, min(occupancy, 0.01)):.4f}",
            "high": f"{min(occupancy + 2 * error, 1.0):.4f}",
            "derived_from": f"{key}.matching_in_demand",
            "note": f"Fills as many bed-weeks as the simulation of {names} (standard error {error:.2g}); "
            f"{row['before']:g} before.",
        }
    with _replacing(folder) as fresh:
        shutil.copytree(source, fresh, dirs_exist_ok=True)
        rewrite_figures(fresh, figures, evidence)
        (fresh / SIMULATION).write_text(json.dumps(document, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
        read_instance(fresh)


def _flat(row: Row) -> Row:
    """A row with a mean and its standard error in two columns."""
    found: Row = {}
    for name, value in row.items():
        found |= {f"{name}_{part}": each for part, each in value.items()} if isinstance(value, dict) else {name: value}
    return found


@contextmanager
def _replacing(folder: Path) -> Iterator[Path]:
    """A new folder beside the one asked for, that takes its place once everything is written."""
    refuse_unless_writable(folder)
    folder = folder.absolute()
    folder.parent.mkdir(parents=True, exist_ok=True)
    fresh = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
    try:
        yield fresh
        fresh.chmod(0o755)
        old = None
        if folder.exists():
            old = Path(tempfile.mkdtemp(prefix=f".{folder.name}-old-", dir=folder.parent)) / folder.name
            folder.rename(old)
        fresh.rename(folder)
        if old is not None:
            shutil.rmtree(old.parent)
    except BaseException:
        shutil.rmtree(fresh, ignore_errors=True)
        raise


def _write_everything(plan: Plan, document: Row, folder: Path) -> None:
    for name in TABLES:
        write_table(document[name], folder / f"{name}.csv")
    write_table(document["evidence"]["register"], folder / "evidence.csv")
    write_table(plan.terms_table(), folder / "costs.csv")
    _write_futures(plan, folder)
    if plan.kept is not None:
        (folder / KEPT).write_bytes(plan.kept.to_bytes())
    (folder / DOCUMENT).write_text(json.dumps(document, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def write_table(rows: list[Row], path: Path) -> None:
    """One CSV table; none where there is no row to write."""
    if not rows:
        return
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, fieldnames=list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


def _write_futures(plan: Plan, folder: Path) -> None:
    """Costs by future, term and financial year; children by future, cohort, source and period."""
    import numpy as np
    import pandas as pd

    problem = plan.problem
    names = [scenario.name for scenario in problem.scenarios]
    by_year = plan.verified.ledger.by_year(problem).sum(axis=2)
    index = pd.MultiIndex.from_product([names, COST_TERMS, problem.financial_years], names=["future", "term", "year"])
    costs = pd.DataFrame({"nominal_gbp": by_year.reshape(-1)}, index=index).reset_index()
    costs["probability"] = np.repeat(plan.probability, len(COST_TERMS) * len(problem.financial_years))
    costs.to_parquet(folder / "futures-costs.parquet", index=False)
    index = pd.MultiIndex.from_product(
        [names, problem.cohorts, problem.sources, problem.periods], names=["future", "cohort", "source", "period"]
    )
    children = pd.DataFrame({"children": plan.placed.reshape(-1)}, index=index).reset_index()
    children[children["children"] > 0].to_parquet(folder / "futures-children.parquet", index=False)
