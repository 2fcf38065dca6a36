"""Plan → files: tidy CSV tables, results by future as Parquet, and the whole document; all of it or nothing."""

from __future__ import annotations

import csv
import json
import os
import shutil
import tempfile
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from models.decisions import Decisions, Placements
from models.problem import COST_TERMS
from optimiser.analysis.appraisal import OPTIMISED
from optimiser.errors import Fault, InstanceError
from optimiser.plan import Plan

if TYPE_CHECKING:
    from optimiser.instance.schema import Instance
    from optimiser.solve.kept import Kept

Row = dict[str, Any]

DOCUMENT = "plan.json"
SIMULATION = "simulation.json"
FRONTIER = "frontier.json"
SENSITIVITY = "sensitivity.json"
KEPT = "kept.npz"
#: Where children live in every future, under the plan and the options beside it: what its figures are traced from.
PLACEMENTS = "placements.npz"
#: Copy of the instance that a run was made on, so that it can be read again whatever becomes of the original.
INSTANCE = "instance"
#: Tables of the document that are written as CSV.
TABLES = (
    "decisions",
    "quarters",
    "years",
    "mtfp",
    "capital",
    "financing",
    "voids",
    "break_even",
    "limits",
    "beyond_horizon",
)


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
    return any((folder / name).is_file() for name in (DOCUMENT, SIMULATION, FRONTIER, SENSITIVITY))


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
    from optimiser.analysis.planning import as_asked, fingerprint
    from optimiser.analysis.slippage import Slippage
    from optimiser.instance.reading import read_instance

    file = folder / DOCUMENT
    try:
        document = json.loads(file.read_text(encoding="utf-8"))
        planned, capital, _ = document["instance"]["fingerprint"], document["asked"]["capital"], document["decided"]
        slipped = Slippage.of(document["asked"].get("slippage"))
    except (OSError, ValueError, KeyError, TypeError):
        fix = "Plan again with --out."
        raise InstanceError([Fault(str(file), None, "", "", "is no plan that can be read", fix)], "the run") from None
    instance = read_instance(folder / INSTANCE)
    if fingerprint(as_asked(instance, capital, slipped)) != planned:
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


def write_frontier(document: Row, folder: Path) -> None:
    """Write a frontier's document, tables and chart to a folder, as ``write_plan`` does."""
    from optimiser.report.charts import frontier_chart, write_chart

    with _replacing(folder) as fresh:
        nested = ("next_million", "capital_by_year", "break_even", "years", "decisions")
        points = document["points"]
        rows = [
            {name: value for name, value in row.items() if name not in nested}
            | {f"next_million_{name}": value for name, value in (row["next_million"] or NOTHING_NEXT).items()}
            for row in points
        ]
        write_table(rows, fresh / "frontier.csv")
        for name in nested[1:]:
            keys = ("year", "capital_limit_gbp")
            write_table(
                [{f"frontier_{key}": row[key] for key in keys} | each for row in points for each in row[name]],
                fresh / f"{name}.csv",
            )
        write_chart(frontier_chart(document), fresh, "frontier")
        (fresh / FRONTIER).write_text(json.dumps(document, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def write_sensitivity(document: Row, folder: Path) -> None:
    """Write a sensitivity's document, tables and chart to a folder, as ``write_plan`` does."""
    from optimiser.report.charts import tornado_chart, write_chart

    with _replacing(folder) as fresh:
        rows = [row | {"limits_broken": "; ".join(row["limits_broken"])} for row in document["tornado"]]
        write_table(rows, fresh / "tornado.csv")
        keys = ("end", "stands", "changes")
        write_table(
            [
                {"figure": row["figure"], "value": row["value"], "of": of, "towards": towards}
                | {key: row[of][towards].get(key) for key in keys}
                for row in document["switching"]
                for of in ("decision", "saving")
                for towards in row[of]
            ],
            fresh / "switching.csv",
        )
        write_table(
            [
                {"figure": row["figure"], "value": row["value"], "towards": towards} | row[towards]
                for row in document["saving_gone"]
                for towards in ("low", "high")
            ],
            fresh / "saving_gone.csv",
        )
        if document["tornado"]:
            write_chart(tornado_chart(document), fresh, "tornado")
        (fresh / SENSITIVITY).write_text(json.dumps(document, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


#: Of a point beyond which nothing was looked at.
NOTHING_NEXT: Row = dict.fromkeys(("least_gbp", "most_gbp", "found_gbp", "pounds_gbp", "child_weeks_avoided"))


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
    write_table(stress_table(document["stresses"]), folder / "stresses.csv")
    _write_futures(plan, folder)
    write_placements({OPTIMISED: plan, **plan.beside}, folder / PLACEMENTS)
    if plan.kept is not None:
        (folder / KEPT).write_bytes(plan.kept.to_bytes())
    (folder / DOCUMENT).write_text(json.dumps(document, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def write_placements(plans: Mapping[str, Plan], path: Path) -> None:
    """Decisions and placements of plans on the same futures, as arrays ``plan/part/field``."""
    import numpy as np

    # one array at a time, so that thousands of futures are not held twice
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:

        def write(name: str, array: np.ndarray) -> None:
            with archive.open(f"{name}.npy", "w", force_zip64=True) as file:
                np.lib.format.write_array(file, np.ascontiguousarray(array), allow_pickle=False)

        for name, plan in plans.items():
            for each in fields(plan.decisions):
                write(f"{name}/decisions/{each.name}", getattr(plan.decisions, each.name))
            for each in fields(Placements):
                stacked = [getattr(placed, each.name) for placed in plan.solution.placements]
                write(f"{name}/placements/{each.name}", np.array(stacked))


def read_placements(folder: Path) -> dict[str, tuple[Decisions, tuple[Placements, ...]]]:
    """Decisions and placements that a run was written with, by plan.

    Raises
    ------
    InstanceError
        If the run holds none, as runs of earlier versions do, or they cannot be read.
    """
    import numpy as np

    file = folder / PLACEMENTS
    try:
        with np.load(file, allow_pickle=False) as arrays:
            held = {name: arrays[name] for name in arrays.files}
        names = dict.fromkeys(name.partition("/")[0] for name in held)
        return {
            name: (
                Decisions(**{each.name: held[f"{name}/decisions/{each.name}"] for each in fields(Decisions)}),
                tuple(
                    Placements(*of_future)
                    for of_future in zip(
                        *(held[f"{name}/placements/{each.name}"] for each in fields(Placements)), strict=True
                    )
                ),
            )
            for name in names
        }
    except (OSError, ValueError, KeyError, zipfile.BadZipFile):
        fix = "Plan again with --out."
        fault = Fault(str(file), None, "", "", "holds no placements that can be read", fix)
        raise InstanceError([fault], "the run") from None


def stress_table(stresses: list[Row]) -> list[Row]:
    """One row for each plan under each stress."""
    found = []
    for row in stresses:
        best = row["best"] or {}
        for plan in row["plans"]:
            flat = {name: value for name, value in plan.items() if name not in ("regret", "broken")}
            ends = {name: (plan["regret"] or {}).get(name) for name in ("at_least_gbp", "at_most_gbp")}
            found.append(
                {"stress": row["stress"], "words": row["words"], **flat}
                | {f"regret_{name}": value for name, value in ends.items()}
                | {f"best_{name}": best.get(name) for name in ("objective_gbp", "bound_gbp", "expected_cost_gbp")}
                | {"decision_changes": row["decision_changes"]}
            )
    return found


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
