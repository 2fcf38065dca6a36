"""Plan → files: tidy CSV tables, results by future as Parquet, and the whole document; all of it or nothing."""

from __future__ import annotations

import csv
import json
import os
import shutil
import tempfile
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
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
    from optimiser.analysis.appraisal import Appraised
    from optimiser.demand.ssda903 import Reconciliation
    from optimiser.instance.schema import Instance
    from optimiser.solve.kept import Kept

Row = dict[str, Any]

DOCUMENT = "plan.json"
APPRAISAL = "appraisal.json"
SIMULATION = "simulation.json"
FRONTIER = "frontier.json"
SENSITIVITY = "sensitivity.json"
SPLIT = "split.json"
#: Groups of councils planned so far, from which a stopped split goes on.
GROUPS = "groups.json"
#: Documents that ``--out`` writes, by the command that does.
DOCUMENTS = {
    "plan": DOCUMENT,
    "appraise": APPRAISAL,
    "simulate": SIMULATION,
    "split": SPLIT,
    "frontier": FRONTIER,
    "sensitivity": SENSITIVITY,
}
KEPT = "kept.npz"
DEMAND = "demand.json"
#: Folder in an instance's with the tables and charts of the model of demand that it was given.
DIAGNOSTICS = "diagnostics"
#: Tables of a model of demand that are written as CSV.
DEMAND_TABLES = (
    "reconciliation",
    "children_by_kind",
    "cohorts",
    "sources",
    "steps",
    "arrivals",
    "survival",
    "stock",
    "back_test",
    "back_test_months",
)
#: Where children live in every future, under the plan and the options beside it: what its figures are traced from.
PLACEMENTS = "placements.npz"
#: Documents that a report is made from, each with a key that those of earlier versions lack.
REPORTED = {
    "plan": "stresses",
    "appraise": "stresses",
    "frontier": "points",
    "sensitivity": "gap_of_sides",
    "split": "bills",
}
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


def refuse_unless_writable(folder: Path, command: str) -> None:
    """Say so before a long search where its result could not be written.

    Parameters
    ----------
    command
        Whose result is to be written: an earlier one of the same command is replaced, one of another never is.

    Raises
    ------
    InstanceError
        If the folder holds what another command has written or something else again, or cannot be written.
    """
    other = next((name for name in commands_in(folder) if name != command), None)
    if other is not None:
        rule = f"holds what optimiser {other} has written, and would lose it"
        fix = "Name a new folder, beside that one."
        raise InstanceError([Fault(str(folder), None, "--out", "", rule, fix)], "the command")
    if folder.exists() and (not folder.is_dir() or (any(folder.iterdir()) and not commands_in(folder))):
        fix = "Name a new folder, or one that an earlier run has written."
        raise InstanceError([Fault(str(folder), None, "--out", "", "holds other files", fix)], "the command")
    parent = folder.absolute().parent
    while not parent.exists():
        parent = parent.parent
    if not os.access(parent, os.W_OK):
        fix = "Name a folder that can be written."
        raise InstanceError([Fault(str(folder), None, "--out", "", "cannot be written", fix)], "the command")


def commands_in(folder: Path) -> list[str]:
    """Commands whose ``--out`` has written the folder."""
    left = {**DOCUMENTS, "split": GROUPS} if (folder / GROUPS).is_file() else DOCUMENTS
    return [command for command, name in left.items() if (folder / name).is_file()]


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
    """Whether ``plan --out`` has written the folder."""
    return (folder / DOCUMENT).is_file()


def is_plan_with_placements(folder: Path) -> bool:
    """Whether ``plan --out`` has written the folder, with what its figures are traced from."""
    return is_run(folder) and (folder / PLACEMENTS).is_file()


def read_documents(folders: Sequence[Path]) -> dict[str, Row]:
    """The documents that runs have left in folders, by the command that made each.

    Raises
    ------
    InstanceError
        Where a folder holds none, one cannot be read or is of an earlier version, or two are of the same command.
    """
    faults: list[Fault] = []
    found: dict[str, Row] = {}
    for folder in folders:
        files = {
            command: folder / DOCUMENTS[command] for command in REPORTED if (folder / DOCUMENTS[command]).is_file()
        }
        if not files:
            fix = "Name folders that plan, appraise, frontier, sensitivity or split have written with --out, or one instance."
            faults.append(Fault(str(folder), None, "", "", "holds no run that a report is made from", fix))
        for command, file in files.items():
            if command in found:
                fix = "Name one folder of each command."
                faults.append(Fault(str(file), None, "", "", f"is a second run of optimiser {command}", fix))
            try:
                found[command] = json.loads(file.read_text(encoding="utf-8"))
                whole = REPORTED[command] in found[command]
            except (OSError, ValueError, TypeError):
                whole = False
            if not whole:
                rule = "is not a document of this version that can be read"
                faults.append(Fault(str(file), None, "", "", rule, f"Run optimiser {command} --out again."))
    if faults:
        raise InstanceError(faults, "the runs")
    return found


def _page(documents: dict[str, Row]) -> bytes:
    from optimiser.report.page import page

    return page(documents).encode()


def _workbook(documents: dict[str, Row]) -> bytes:
    from optimiser.report.workbook import workbook

    return workbook(documents)


def _paper(documents: dict[str, Row]) -> bytes:
    from optimiser.report.paper import paper

    return paper(documents)


#: Kinds of report: how their files end, and what makes one from the documents of runs.
REPORTS: dict[str, tuple[str, Callable[[dict[str, Row]], bytes]]] = {
    "page": (".html", _page),
    "workbook": (".xlsx", _workbook),
    "paper": (".docx", _paper),
}


def write_report(documents: dict[str, Row], kinds: Sequence[str], folder: Path) -> list[Path]:
    """Write page, workbook and paper, as named, to a folder: all of them or none.

    Returns
    -------
    Paths of the files, each named after the instance. A file of that name is replaced.

    Raises
    ------
    InstanceError
        Where a file would replace a workbook that holds an instance, or cannot be written.
    """
    if "plan" in documents:  # where there is none the makers say so
        keep_instances(documents["plan"]["instance"]["name"], kinds, folder)
    made = {REPORTS[kind][0]: REPORTS[kind][1](documents) for kind in kinds}
    name = documents["plan"]["instance"]["name"]
    try:
        folder.mkdir(parents=True, exist_ok=True)
        written = []
        for ending, content in made.items():
            path = folder / f"{name}{ending}"
            fresh = path.with_name(f".{path.name}-new")
            fresh.write_bytes(content)
            fresh.replace(path)
            written.append(path)
    except OSError as error:
        fix = "Name a folder that can be written, and close the file elsewhere."
        fault = Fault(str(folder), None, "--to", "", f"cannot be written: {error.strerror}", fix)
        raise InstanceError([fault], "the command") from error
    return written


def keep_instances(name: str, kinds: Sequence[str], folder: Path) -> None:
    """Refuse to write reports where one would replace a workbook that holds an instance: both are called after the instance.

    Raises
    ------
    InstanceError
        Where there is such a workbook.
    """
    from optimiser.instance.workbook import ENDING, holds_instance

    path = folder / f"{name}{ENDING}"
    if any(REPORTS[kind][0] == ENDING for kind in kinds) and holds_instance(path):
        fix = f"Name another folder, such as --to {name}-report."
        fault = Fault(str(path), None, "--to", "", "holds an instance, and a report would replace it", fix)
        raise InstanceError([fault], "the command")


def read_run(folder: Path) -> tuple[Instance, Row]:
    """The instance that a run was made on, and its document.

    Raises
    ------
    InstanceError
        If the document cannot be read, or the instance beside it is not the one that was planned.
    """
    from optimiser.analysis.planning import as_asked, asked_again, fingerprint
    from optimiser.instance.reading import read_instance

    file = folder / DOCUMENT
    try:
        document = json.loads(file.read_text(encoding="utf-8"))
        planned, asked, _ = document["instance"]["fingerprint"], asked_again(document["asked"]), document["decided"]
    except (OSError, ValueError, KeyError, TypeError):
        fix = "Plan again with --out."
        raise InstanceError([Fault(str(file), None, "", "", "is no plan that can be read", fix)], "the run") from None
    instance = read_instance(folder / INSTANCE)
    if fingerprint(as_asked(instance, asked)) != planned:
        fix = "Plan again with --out, or put back the files that the run was made on."
        fault = Fault(str(folder / INSTANCE), None, "", "", "has changed since the plan was made", fix)
        raise InstanceError([fault], "the run")
    return instance, document


def read_other(folder: Path, name: str) -> tuple[Instance | None, Row]:
    """A document other than a plan's, and the instance beside it where there is one.

    Raises
    ------
    InstanceError
        If it cannot be read.
    """
    from optimiser.instance.reading import read_instance

    file = folder / name
    try:
        document = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        fault = Fault(str(file), None, "", "", f"cannot be read: {error}", "Run the command again with --out.")
        raise InstanceError([fault], str(folder)) from None
    return read_instance(folder / INSTANCE) if (folder / INSTANCE).is_dir() else None, document


def write_plan(plan: Plan, document: Row, folder: Path, source: Path) -> None:
    """Write a plan to a folder, with the instance from ``source``, a folder or a workbook.

    An earlier run there is replaced, once everything new has been written beside it.
    """
    with _replacing(folder, "plan") as fresh:
        _write_everything(plan, document, fresh)
        _copy_instance(source, fresh)


def _copy_instance(source: Path | None, fresh: Path) -> None:
    """Put the instance, a folder or a workbook, beside what was made of it, so that figures lead to their sources."""
    if source is None:
        return
    if source.is_dir():
        shutil.copytree(source, fresh / INSTANCE)
    else:
        from optimiser.instance.workbook import convert

        convert(source, fresh / INSTANCE)


def write_appraisal(options: list[Appraised], document: Row, folder: Path, source: Path | None = None) -> None:
    """Write an appraisal's document, its tables and what each option costs in each future, as ``write_plan`` does."""
    import numpy as np
    import pandas as pd

    with _replacing(folder, "appraise") as fresh:
        compared = [{**row, "broken": "; ".join(row["broken"])} for row in document["options"]]
        published = [{name: value for name, value in row.items() if name != "moves"} for row in document["published"]]
        tables = {"options": compared, "published": published}
        tables |= {name: document[name] for name in ("years", "budget", "terms")}
        _copy_instance(source, fresh)
        for name, rows in tables.items():
            write_table(rows, fresh / f"{name}.csv")
        placed = [(option.name, option.plan) for option in options if option.plan is not None]
        write_placements(dict(placed), fresh / PLACEMENTS)
        futures = [
            pd.DataFrame(
                {
                    "option": name,
                    "future": [scenario.name for scenario in plan.problem.scenarios],
                    "probability": np.asarray(plan.probability),
                    "present_gbp": np.asarray(plan.scenario_pounds),
                }
            )
            for name, plan in placed
        ]
        pd.concat(futures).to_parquet(fresh / "futures-options.parquet", index=False)
        (fresh / APPRAISAL).write_text(_json(document), encoding="utf-8")


def _json(document: Row) -> str:
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


def write_simulation(document: Row, folder: Path, source: Path | None = None) -> None:
    """Write a simulation's document and tables to a folder, as ``write_plan`` does."""
    with _replacing(folder, "simulate") as fresh:
        _copy_instance(source, fresh)
        for name in ("quarters", "occupancy", "years", "terms"):
            rows = [{"option": row["option"], **_flat(each)} for row in document["options"] for each in row[name]]
            write_table(rows, fresh / f"{name}.csv")
        (fresh / SIMULATION).write_text(_json(document), encoding="utf-8")


def write_demand(folder: Path, put: Callable[[Path, bool], None], document: Row) -> bool:
    """Write the demand part of an instance: of a new one, or of one that is there, and its diagnostics beside it.

    The instance is written beside, read as it will stand, and takes its place only where it has no fault.

    Parameters
    ----------
    folder
        A new or empty folder, or an instance's.
    put
        Writes the tables into a folder; told whether it is to be a new instance.

    Returns
    -------
    fresh
        Whether the instance is a new one.

    Raises
    ------
    InstanceError
        Where the folder holds something else, cannot be written, or the instance would have faults.
    """
    from optimiser.instance.finding import SETTINGS_FILE
    from optimiser.instance.reading import read_instance

    fresh = not folder.exists() or (folder.is_dir() and not any(folder.iterdir()))
    if not fresh and not (folder / SETTINGS_FILE).is_file():
        fix = "Name a new folder, or that of an instance."
        raise InstanceError([Fault(str(folder), None, "--out", "", "holds no instance", fix)], "the command")
    try:
        with _swapped_in(folder) as draft:
            if not fresh:
                shutil.copytree(folder, draft, dirs_exist_ok=True)
            put(draft, fresh)
            try:
                read_instance(draft)
            except InstanceError as error:
                raise InstanceError(error.faults, f"{folder} as it would be") from None
            _write_diagnostics(document, draft / DIAGNOSTICS)
    except OSError as error:
        rule = f"cannot be written: {error.strerror or error}"
        fix = "Choose another place."
        raise InstanceError([Fault(str(folder), None, "--out", "", rule, fix)], "the command") from error
    return fresh


def write_account(account: Reconciliation, path: Path) -> None:
    """Write what became of each row of the returns: an analyst's own, since small counts can be made of it.

    Raises
    ------
    InstanceError
        Where the file cannot be written.
    """
    words = "# What became of each row of Episodes. Not for publication: counts under five can be made of it.\n"
    try:
        rows = account.rows[["file", "row", "outcome", "reason"]]
        path.write_text(words + rows.to_csv(index=False, lineterminator="\n"), encoding="utf-8")
    except OSError as error:
        rule, fix = f"cannot be written: {error.strerror or error}", "Choose another place."
        raise InstanceError([Fault(str(path), None, "--account", "", rule, fix)], "the command") from error


def _write_diagnostics(document: Row, folder: Path) -> None:
    """Tables and charts of a model of demand, and its document."""
    from optimiser.report import charts

    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    for name in DEMAND_TABLES:
        rows = [_flat(row) for row in document.get(name) or []]
        write_table(rows, folder / f"{name.replace('_', '-')}.csv")
    (folder / DEMAND).write_text(_json(document), encoding="utf-8")
    for row in document["cohorts"]:
        cohort = row["cohort"]
        level = f"{row['arrivals_per_month']:.1f}"
        span = f"{row['arrivals_per_month_low']:.1f} to {row['arrivals_per_month_high']:.1f}"
        finding = f"{cohort}: {level} arrive a month ({span})."
        charts.write_chart(charts.arrivals_chart(document["arrivals"], cohort, finding), folder, f"arrivals-{cohort}")
        if document["records"] is None:
            continue
        finding = f"{cohort}: the mean stay is {row['mean_stay_months']:.1f} months."
        charts.write_chart(charts.survival_chart(document["survival"], cohort, finding), folder, f"survival-{cohort}")
        finding = f"{cohort}: {row['today']} children when the records end."
        stock = charts.stock_chart(document["stock"], document["back_test_months"], cohort, finding)
        charts.write_chart(stock, folder, f"stock-{cohort}")


def read_split(folder: Path) -> Row | None:
    """The document of an earlier split in a folder; None where there is none."""
    path = folder / SPLIT
    if not path.is_file():
        return None
    try:
        document: Row = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        fault = Fault(str(path), None, "", "", f"cannot be read: {error}", "Run the split again with --out.")
        raise InstanceError([fault], str(folder)) from None
    return document


#: What is written of a bill to tables of their own.
BY_YEAR_OR_FUTURE = ("years_gbp", "futures_gbp")


def write_split(document: Row, folder: Path, source: Path | None = None) -> None:
    """Write a split's document, tables and chart to a folder, beside the groups that it was made from."""
    from optimiser.report.charts import savings_by_rule, write_chart

    finished = folder / GROUPS
    kept = finished.read_bytes() if finished.is_file() else None
    with _replacing(folder, "split") as fresh:
        _copy_instance(source, fresh)
        groups = [{name: value for name, value in row.items() if name != "terms"} for row in document["groups"]]
        write_table(groups, fresh / "groups.csv")
        terms = [{"group": row["group"]} | each for row in document["groups"] for each in row["terms"]]
        write_table(terms, fresh / "group_terms.csv")
        write_table(document["terms"], fresh / "terms.csv")
        bills = [
            {
                "rule": rule,
                "partner": name,
                **{key: value for key, value in row.items() if key not in BY_YEAR_OR_FUTURE},
            }
            for rule, each in document["bills"].items()
            for name, row in each["partners"].items()
        ]
        years = [
            {"rule": rule, "partner": name, "year": year, "nominal_gbp": amount}
            for rule, each in document["bills"].items()
            for name, row in each["partners"].items()
            for year, amount in row["years_gbp"].items()
        ]
        write_table(bills, fresh / "bills.csv")
        write_table(years, fresh / "bills_by_year.csv")
        futures = [
            {"rule": rule, "partner": name, "future": place, "present_real_gbp": amount}
            for rule, each in document["bills"].items()
            for name, row in each["partners"].items()
            for place, amount in enumerate(row["futures_gbp"], start=1)
        ]
        write_table(futures, fresh / "bills_by_future.csv")
        if kept is not None:
            (fresh / GROUPS).write_bytes(kept)
        (fresh / SPLIT).write_text(_json(document), encoding="utf-8")
        write_chart(savings_by_rule(document), fresh, "savings_by_rule")


def write_frontier(
    document: Row, folder: Path, source: Path | None = None, plans: Mapping[str, Plan] | None = None
) -> None:
    """Write a frontier's document, tables and chart to a folder, as ``write_plan`` does; ``plans`` as points name them."""
    from optimiser.report.charts import frontier_chart, write_chart

    with _replacing(folder, "frontier") as fresh:
        _copy_instance(source, fresh)
        nested = (
            "next_million",
            "before",
            "without_capital",
            "capital_by_year",
            "break_even",
            "years",
            "terms",
            "decisions",
        )
        points = document["points"]
        rows = [
            {name: value for name, value in row.items() if name not in nested}
            | {f"next_million_{name}": value for name, value in (row["next_million"] or NOTHING_NEXT).items()}
            | {f"before_{name}": (row["before"] or {}).get(name) for name in BEFORE if document["slipped"]}
            for row in points
        ]
        write_table(rows, fresh / "frontier.csv")
        for name in nested[3:]:
            keys = ("year", "capital_limit_gbp")
            write_table(
                [{f"frontier_{key}": row[key] for key in keys} | each for row in points for each in row[name]],
                fresh / f"{name}.csv",
            )
        if plans:
            write_placements(plans, fresh / PLACEMENTS)
        write_chart(frontier_chart(document), fresh, "frontier")
        (fresh / FRONTIER).write_text(_json(document), encoding="utf-8")


def write_sensitivity(document: Row, folder: Path, source: Path | None = None) -> None:
    """Write a sensitivity's document, tables and chart to a folder, as ``write_plan`` does."""
    from optimiser.report.charts import tornado_chart, write_chart

    with _replacing(folder, "sensitivity") as fresh:
        _copy_instance(source, fresh)
        rows = [
            {name: value for name, value in row.items() if not name.startswith("terms_")}
            | {"limits_broken": "; ".join(row["limits_broken"])}
            for row in document["tornado"]
        ]
        write_table(rows, fresh / "tornado.csv")
        write_table(
            [
                {"figure": row["figure"], "value": row["value"], "of": of, "towards": towards}
                | _switch(row[of][towards])
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
        (fresh / SENSITIVITY).write_text(_json(document), encoding="utf-8")


def _switch(found: Row) -> Row:
    """A switching value with what was established on its near side and beyond it."""
    near, beyond = found.get("stands_at") or {}, found.get("changes_at") or {}
    return {key: found.get(key) for key in ("end", "stands", "changes")} | {
        "near_established": near.get("established"),
        "near_dearer_by_at_most_gbp": near.get("dearer_by_at_most_gbp"),
        "beyond_established": beyond.get("established"),
        "beyond_dearer_by_at_least_gbp": beyond.get("dearer_by_at_least_gbp"),
        "saving_where_it_stands_gbp": found.get("saving_where_it_stands_gbp"),
        "saving_beyond_gbp": found.get("saving_beyond_gbp"),
    }


#: Of a point beyond which nothing was looked at.
NOTHING_NEXT: Row = dict.fromkeys(
    (
        "objective_gbp",
        "bound_gbp",
        "bound_here_gbp",
        "least_gbp",
        "most_gbp",
        "found_gbp",
        "pounds_gbp",
        "child_weeks_avoided",
    )
)


#: Of a point before anything slipped.
BEFORE = ("expected_cost_gbp", "objective_gbp", "bound_gbp", "unregistered_child_weeks", "homes")


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
    with _replacing(folder, "simulate") as fresh:
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
def _replacing(folder: Path, command: str) -> Iterator[Path]:
    """A new folder beside that of an earlier run of a command, that takes its place once everything is written."""
    refuse_unless_writable(folder, command)
    with _swapped_in(folder) as fresh:
        yield fresh


@contextmanager
def _swapped_in(folder: Path) -> Iterator[Path]:
    """A new folder beside the one asked for, that takes its place once everything is written."""
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


def restore_swapped(parent: Path) -> None:
    """Put back folders whose replacement was cut short between its two renames, as a lost current can."""
    for old in parent.glob(".*-old-*/*"):
        if not (parent / old.name).exists():
            old.rename(parent / old.name)


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
    (folder / DOCUMENT).write_text(_json(document), encoding="utf-8")


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
