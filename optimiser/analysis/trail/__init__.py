"""Any figure of a run traced: the terms that make it up, recomputed, and the sources of their inputs."""

from __future__ import annotations

import csv
import math
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from optimiser.analysis.appraisal import DO_NOTHING, OPTIMISED
from optimiser.analysis.planning import asked_again, posed
from optimiser.analysis.trail.figures import KEYS, Figure, figures_of, find
from optimiser.analysis.trail.terms import Terms
from optimiser.errors import Fault, InstanceError
from optimiser.plan import Plan
from optimiser.report import files
from optimiser.report.files import is_run, read_placements, read_run
from optimiser.solve.engine import Found
from optimiser.verify import verify

Row = dict[str, Any]

#: Figures agree to the penny; other units as closely.
PENNY = 0.005


class Run:
    """A folder that ``plan --out`` has written, and its figures."""

    def __init__(self, folder: Path) -> None:
        """Read the run.

        Raises
        ------
        InstanceError
            If the folder holds no run, or one that cannot be read.
        """
        if not is_run(folder):
            fix = "Name a folder that optimiser plan --out has written."
            raise InstanceError([Fault(str(folder), None, "RUN", "", "holds no run", fix)], "the command")
        self.folder = folder
        self.instance, self.document = read_run(folder)
        self.costs = _costs(folder)
        self.figures = figures_of(self.document, self.costs)

    def listed(self) -> Row:
        """What can be traced: by table its rows and columns, and how many figures there are."""
        tables: dict[str, dict[str, Any]] = {}
        for figure in self.figures:
            own = tables.setdefault(figure.table, {"rows": {}, "columns": {}, "figures": 0})
            own["rows"][".".join(figure.row)] = None
            own["columns"][figure.column] = None
            own["figures"] += 1
        return {
            "document": "traceable/1",
            "run": str(self.folder),
            "figures": len(self.figures),
            "tables": [
                {
                    "table": name,
                    "figures": own["figures"],
                    "rows": [row for row in own["rows"] if row],
                    "columns": list(own["columns"]),
                }
                for name, own in tables.items()
            ],
        }

    def trace(self, asked: str) -> Row:
        """The figures that are meant, each with its terms and sources.

        Raises
        ------
        InstanceError
            If no figure is meant, with the nearest names.
        """
        meant = find(asked, self.figures, str(self.folder))
        terms = self._terms()
        return {
            "document": "trace/1",
            "run": str(self.folder),
            "instance": self.document["instance"]["name"],
            "figures": [traced(terms, figure) for figure in meant],
        }

    def headlines(self) -> Row:
        """Net present cost, then the nominal cost of each financial year, as ``trace`` has them."""
        return _headlines(self._terms(), self.figures, self.document) | {"run": str(self.folder)}

    def _terms(self) -> Terms:
        """The run's plans as they were, recomputed from its instance, decisions and placements."""
        asked = asked_again(self.document["asked"])
        instance, problem = posed(self.instance, asked)
        plans = {}
        for name, (decisions, placements) in read_placements(self.folder).items():
            found = Found(decisions, placements, -np.inf, self.document["status"], 0.0, "")
            try:
                plans[name] = Plan(instance, problem, found, verify(problem, decisions, placements))
            except ValueError as error:
                fix = "Plan again with --out."
                fault = Fault(str(self.folder), None, "", "", f"does not belong to its instance: {error}", fix)
                raise InstanceError([fault], "the run") from None
        return Terms(plans[OPTIMISED], plans.get(DO_NOTHING), self.document)


def _costs(folder: Path) -> list[Row]:
    path = folder / "costs.csv"
    if not path.is_file():
        return []
    with path.open(encoding="utf-8", newline="") as file:
        return [
            {name: float(value) if name.endswith("_gbp") else value for name, value in row.items()}
            for row in csv.DictReader(file)
        ]


def headlines_of_runs(folders: Sequence[Path]) -> dict[str, Row]:
    """``{"trace": document}`` with the headlines of the plan among runs; {} where none of them holds placements.

    Raises
    ------
    InstanceError
        If the plan does not belong to the instance beside it.
    """
    for folder in folders:
        if files.is_plan_with_placements(folder):
            return {"trace": Run(folder).headlines()}
    return {}


def headlines_of(plan: Plan, document: Row) -> Row:
    """Headlines of a plan that has just been made, as ``Run.headlines`` has them."""
    return _headlines(Terms(plan, plan.beside.get(DO_NOTHING), document), figures_of(document, []), document)


def _headlines(terms: Terms, figures: Sequence[Figure], document: Row) -> Row:
    wanted = [figure for figure in figures if figure.name == "summary.expected_cost_gbp"]
    wanted += [figure for figure in figures if figure.table == "years" and figure.column == "nominal_gbp"]
    name = document["instance"]["name"]
    return {"document": "trace/1", "instance": name, "figures": [traced(terms, figure) for figure in wanted]}


def traced(terms: Terms, figure: Figure) -> Row:
    """A figure with its terms, what they come to, and the register's rows for their inputs."""
    made = terms.of(figure)
    patterns = [pattern for term in made.terms for pattern in term.inputs]
    return {
        "figure": figure.name,
        "value": figure.value,
        "unit": figure.unit,
        "how": made.how,
        "terms": [asdict(term) | {"inputs": terms.sources.keys(term.inputs)} for term in made.terms],
        "combined": made.combined,
        "agrees": math.isclose(made.combined, figure.value, rel_tol=1e-12, abs_tol=PENNY),
        "sources": terms.sources.of(patterns),
    }


__all__ = ["KEYS", "Figure", "Run", "Terms", "figures_of", "find", "traced"]
