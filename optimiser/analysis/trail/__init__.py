"""Any figure of a run traced: the terms that make it up, recomputed, and the sources of their inputs."""

from __future__ import annotations

import csv
import math
from collections.abc import Sequence
from dataclasses import asdict
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from optimiser.analysis.appraisal import DO_NOTHING, OPTIMISED
from optimiser.analysis.planning import as_asked, asked_again, posed
from optimiser.analysis.trail.documents import figures_in, made, rule_of
from optimiser.analysis.trail.figures import HEADLINE, KEYS, UNREGISTERED, Figure, figures_of, find
from optimiser.analysis.trail.plans import Plans
from optimiser.analysis.trail.sources import Sources
from optimiser.analysis.trail.terms import Made, Terms
from optimiser.errors import Fault, InstanceError
from optimiser.instance.schema import Instance
from optimiser.plan import Plan
from optimiser.report import files
from optimiser.report.files import DOCUMENTS, read_other, read_placements, read_run
from optimiser.solve.engine import Found
from optimiser.verify import verify

Row = dict[str, Any]

#: Figures agree to the penny; other units as closely.
PENNY = 0.005


class Run:
    """A folder that ``--out`` of a command has written, and its figures."""

    def __init__(self, folder: Path) -> None:
        """Read the run.

        Raises
        ------
        InstanceError
            If the folder holds no run, or one that cannot be read.
        """
        self.folder = folder
        self.kind = next((kind for kind, name in DOCUMENTS.items() if (folder / name).is_file()), "")
        if not self.kind:
            fix = "Name a folder that --out has written."
            raise InstanceError([Fault(str(folder), None, "RUN", "", "holds no run", fix)], "the command")
        self.instance: Instance | None
        if self.kind == "plan":
            self.instance, self.document = read_run(folder)
        else:
            self.instance, self.document = read_other(folder, DOCUMENTS[self.kind])
        self.costs = _costs(folder) if self.kind == "plan" else []
        self.ledger = figures_of(self.document, self.costs) if self.kind == "plan" else []
        #: Figures that the ledger of the plan does not hold, with the path to each.
        self.others = {figure: path for figure, path in figures_in(self.document) if not self._in_ledger(path)}
        self.figures = [*self.ledger, *self.others]

    def _in_ledger(self, path: tuple[str | int, ...]) -> bool:
        if self.kind != "plan":
            return False
        return (
            path[0] in KEYS
            or (len(path) == 1 and path[0] in HEADLINE)
            or (path[0] == "unregistered" and path[-1] in UNREGISTERED)
        )

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
        terms = self._terms() if any(figure not in self.others for figure in meant) else None
        return {
            "document": "trace/1",
            "run": str(self.folder),
            "instance": self.document["instance"]["name"],
            "figures": [self.of(figure, terms) for figure in meant],
        }

    def headlines(self) -> Row:
        """Net present cost, then the nominal cost of each financial year, as ``trace`` has them."""
        return _headlines(self._terms(), self.figures, self.document) | {"run": str(self.folder)}

    def of(self, figure: Figure, terms: Terms | None) -> Row:
        """One figure traced; ``terms`` are needed for those of the plan's ledger.

        Raises
        ------
        InstanceError
            If the document is of another version, which lacks what the figure is made of.
        """
        path = self.others.get(figure)
        if path is None:
            assert terms is not None
            return traced(terms, figure)
        try:
            own = None if self._plans is None else self._plans.made(path)
            found = own or made(self.kind, self.document, path)
        except KeyError as error:
            rule = f"is of another version, which has no {error.args[0]}"
            fault = Fault(str(self.folder), None, "", "", rule, "Run the command again with --out.")
            raise InstanceError([fault], "the run") from None
        return _row(figure, found, self._sources)

    @cached_property
    def _sources(self) -> Sources | None:
        """The register of the instance as it was asked for; None where the run keeps no instance."""
        if self.instance is None:
            return None
        asked = self.document.get("asked")
        return Sources(self.instance if asked is None else as_asked(self.instance, asked_again(asked)))

    @cached_property
    def _plans(self) -> Plans | None:
        """Plans beside one another; None where the run has kept none, and for the plan of ``plan``, whose terms are a ledger."""
        if self.kind == "plan" or self.instance is None or not (self.folder / files.PLACEMENTS).is_file():
            return None
        return Plans(self.kind, self.document, self._recomputed())

    def _terms(self) -> Terms:
        """The run's plan, and doing nothing."""
        plans = self._recomputed()
        return Terms(plans[OPTIMISED], plans.get(DO_NOTHING), self.document)

    def _recomputed(self) -> dict[str, Plan]:
        """The run's plans as they were, recomputed from its instance, decisions and placements."""
        assert self.instance is not None
        asked = asked_again(self.document["asked"])
        instance, problem = posed(self.instance, asked)
        plans = {}
        for name, (decisions, placements) in read_placements(self.folder).items():
            found = Found(decisions, placements, -np.inf, self.document.get("status", ""), 0.0, "")
            try:
                plans[name] = Plan(instance, problem, found, verify(problem, decisions, placements))
            except ValueError as error:
                fix = "Plan again with --out."
                fault = Fault(str(self.folder), None, "", "", f"does not belong to its instance: {error}", fix)
                raise InstanceError([fault], "the run") from None
        return plans


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
    """A figure of the ledger with its terms, what they come to, and the register's rows for their inputs."""
    return _row(figure, terms.of(figure), terms.sources)


def _row(figure: Figure, found: Made, sources: Sources | None) -> Row:
    patterns = [pattern for term in found.terms for pattern in term.inputs]
    return {
        "figure": figure.name,
        "value": figure.value,
        "unit": figure.unit,
        "how": found.how,
        "sum_of_terms": found.whole,
        "terms": [
            asdict(term) | {"inputs": list(term.inputs) if sources is None else sources.keys(term.inputs)}
            for term in found.terms
        ],
        "combined": found.combined,
        "agrees": math.isclose(found.combined, figure.value, rel_tol=1e-12, abs_tol=PENNY),
        "sources": [] if sources is None else sources.of(patterns),
    }


__all__ = ["KEYS", "Figure", "Run", "Terms", "figures_in", "figures_of", "find", "made", "rule_of", "traced"]
