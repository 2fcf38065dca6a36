"""Pages of the guide that are made from the code: ``python -m tests.guide`` writes them, and a test holds them against it.

The mathematics comes from the notation table and the docstrings of ``models``; the list of keys in each JSON document from
documents of small runs, so that a key without words, or words without a key, cannot stand.
"""

from __future__ import annotations

import inspect
import re
import tempfile
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest

import optimiser
from models import RULES, VARIABLES, Symbol, capacity, costs, placement, risk
from models.problem import COST_TERMS
from optimiser.analysis import planning, switching
from optimiser.analysis.frontier import frontier
from optimiser.analysis.planning import Asked, make_appraisal, make_plan
from optimiser.analysis.simulation.options import make_simulation
from optimiser.analysis.splits import split
from optimiser.analysis.trail import headlines_of
from optimiser.analysis.trail.terms import TERM_WORDS
from optimiser.instance.reading import read_instance
from optimiser.report.files import DOCUMENTS
from tests.instance_folders import Folder

Row = dict[str, Any]

DOCS = Path(__file__).resolve().parent.parent / "docs"
MADE = "*This page is made from the code by `python -m tests.guide`; a test fails where it differs.*"


# the mathematics


def mathematics() -> str:
    """The page: what is decided, what must hold, what it costs, what is minimised."""
    parts = [
        "# The mathematics",
        MADE,
        "A stochastic mixed-integer program with two stages. Homes, managers, lots, tiers and extensions are decided before the "
        "future is seen, by *node* of a tree of reviews. Where children live is decided month by month in each *scenario*, "
        "drawn with its probability. Each rule below stands in the code as one function whose docstring is its text here; its "
        "number is that of the notation table.",
        "## Notation",
        "### What is decided",
        _symbols(VARIABLES),
        "### What must hold",
        _symbols(RULES, numbered=True),
        "Rule 10, which sources a cohort may live in, has no row: `placed` exists only where it is allowed.",
    ]
    for title, module in SECTIONS:
        parts += [f"## {title}", _opening(module), *_rules(module)]
    parts += ["## What it costs", _opening(costs), _cost_table(), *_costs()]
    return "\n\n".join(part for part in parts if part) + "\n"


SECTIONS = (
    ("Before the future is seen: capacity", capacity),
    ("In each future: where children live", placement),
    ("Across futures: tolerances, the tail and what is minimised", risk),
)


def _symbols(symbols: Iterable[Symbol], numbered: bool = False) -> str:
    head = "| name | by | unit | meaning |" + (" rule |" if numbered else "")
    lines = [head, "|---|---|---|---|" + ("---|" if numbered else "")]
    for symbol in symbols:
        end = f" {symbol.number} |" if numbered else ""
        lines.append(f"| `{symbol.name}` | {symbol.index} | {symbol.unit} | {symbol.meaning} |{end}")
    return "\n".join(lines)


def _opening(module: Any) -> str:
    """The module's docstring without its first line, which is its title."""
    words = inspect.cleandoc(module.__doc__ or "").partition("\n\n")[2].strip()
    return words.replace("``", "`")


def _rules(module: Any) -> Iterator[str]:
    """Every rule of a module in the order of its lines."""
    for name, function in _functions(module):
        if name.startswith("add_"):
            yield f"### {name.removeprefix('add_').replace('_', ' ').capitalize()}"
            yield from _paragraphs(inspect.getdoc(function) or "")


def _functions(module: Any) -> list[tuple[str, Callable[..., object]]]:
    """Functions of a module in the order of its lines."""
    found = [
        (name, function)
        for name, function in inspect.getmembers(module, inspect.isfunction)
        if function.__module__ == module.__name__
    ]
    return sorted(found, key=lambda pair: pair[1].__code__.co_firstlineno)


def _paragraphs(words: str) -> Iterator[str]:
    """Text as text, and formulas as code: a paragraph of a relation or sum with its unit in brackets."""
    for paragraph in words.split("\n\n"):
        if FORMULA.search(paragraph) and UNIT.search(paragraph):
            yield f"```\n{paragraph}\n```"
        else:
            yield re.sub(r"``", "`", paragraph)


FORMULA = re.compile(r" (<=|>=|==|=|\*) ")
UNIT = re.compile(r"\[[a-z£][^\]]*\]\.?\s*$")


def _cost_table() -> str:
    lines = ["| term | words |", "|---|---|"]
    return "\n".join([*lines, *(f"| `{term}` | {TERM_WORDS[term]} |" for term in COST_TERMS)])


def _costs() -> Iterator[str]:
    for name, function in _functions(costs):
        if not name.startswith("_") and name != "build":
            words = " ".join((inspect.getdoc(function) or "").split())
            yield f"* **{name.replace('_', ' ')}**: {re.sub('``', '`', words)}"


# the JSON documents


def documents() -> dict[str, Row]:
    """A small document of every command that writes one, and of a trace."""
    with tempfile.TemporaryDirectory() as place, pytest.MonkeyPatch.context() as patch:
        for name in ("SIMULATED", "SEARCHED", "PAIRED", "FRESH"):
            patch.setattr(planning, name, 4)
        folder = Folder(Path(place) / "instance")
        folder.setting("periods", '"18x1"')
        small = read_instance(folder.path)
        few = Asked(scenarios=3, gap=0.01)
        stressed = Asked(scenarios=2, gap=0.05, stresses=("more-arrivals",))
        plan, planned = make_plan(optimiser.load("kent-in-house-2025"), stressed)
        return {
            "plan": planned,
            "appraise": make_appraisal(small, stressed)[1],
            "frontier": frontier(small, few)[1],
            "split": split(optimiser.load("south-east-regional-block-2021"), Asked(scenarios=2, gap=0.001)),
            "simulate": make_simulation(small, few, futures=4)[1],
            "sensitivity": switching.sensitivity(small, Asked(scenarios=2, gap=0.05), sought=1, tolerance=0.5),
            "trace": headlines_of(plan, planned) | {"run": "kent-run"},
        }


def documents_page(found: dict[str, Row]) -> str:
    """The page: every key of every document, with what it means.

    Raises
    ------
    KeyError
        Where a key has no words in ``MEANINGS`` or ``COMMON``, or words have no key.
    """
    parts = ["# The JSON documents", MADE, OPENING]
    for command, document in found.items():
        own = MEANINGS[command]
        missing = [key for key in document if key not in own and key not in COMMON]
        extra = [key for key in own if key not in document]
        if missing or extra:
            raise KeyError(f"{command}: keys without words {missing}, words without a key {extra}")
        where = f"`{DOCUMENTS[command]}`" if command in DOCUMENTS else "`--json`"
        lines = ["| key | meaning | holds |", "|---|---|---|"]
        for key, value in document.items():
            holds = "" if key in COMMON else _holds(value, key in BY_NAME)
            lines.append(f"| `{key}` | {own.get(key) or COMMON[key]} | {holds} |")
        parts += [f"## {where}: `optimiser {command}`, version `{document['document']}`", "\n".join(lines)]
    return "\n\n".join(parts) + "\n"


def _holds(value: Any, by_name: bool) -> str:
    """Keys of a row, or of every row of a list."""
    if by_name and isinstance(value, dict):
        inner = _holds(next(iter(value.values()), None), False)
        return f"by name{': ' + inner if inner else ''}"
    if isinstance(value, dict):
        return ", ".join(f"`{key}`" for key in value)
    if isinstance(value, list) and value and isinstance(value[0], dict):
        return "rows of " + ", ".join(f"`{key}`" for key in dict.fromkeys(key for row in value for key in row))
    return ""


OPENING = """Every command prints its document with `--json`, and writes it with `--out DIR` beside CSV tables of the same rows.
`document` names it and its version: a key changes its meaning only with another version, while further keys may come.

* Endings say the unit: `_gbp` pounds, `_gbp_per_week` pounds a week, `_months`, `_seconds`; shares and probabilities lie between
  0 and 1.
* Months are written `2025-04`, financial years `2025/26`, quarters by their first month. Nothing is rounded.
* A key whose figure there is not, such as a saving where doing nothing cannot be priced, holds `null`.
* Pounds are expected, present and real unless the name or the table says nominal. `objective_gbp` and `bound_gbp` hold the
  deterrent on having no registered place, and so do what one unit or £1m more is worth and the savings of councils and groups in
  a split; no other figure of money does unless it is named.
* The same instance, seed and version give the same bytes, `timings` aside."""

#: Keys that mean the same in every document.
COMMON = {
    "document": "name and version of the document",
    "instance": "the instance: name, title, question, month of the question, base of prices, and the SHA-256 of all it says",
    "titles": "words for each home, lot, contract, market and cohort, by its name",
    "futures": "futures drawn or kept",
    "seed": "seed of the draw",
    "gap_asked": "relative gap that was asked for",
    "rounding_gbp": "step to which pounds are rounded wherever they are shown to readers",
    "versions": "versions of what computed it",
    "timings": "seconds spent, by part",
    "unregistered_name": "what having no registered place is called in the instance",
    "status": "how the search ended: `optimal` within the gap, or what stopped it",
    "objective_gbp": "what is minimised: expected cost (or its mix with the tail), deterrent included",
    "bound_gbp": "proven: no plan within the limits has a lower objective",
    "gap": "objective less bound, as a share of the objective",
    "method": "how it was solved, in words",
    "expected_cost_gbp": "expected cost over the horizon, without the deterrent",
    "asked": "what was asked on the command line, enough to ask again",
    "reduction": "where futures were kept of more: how many of how many, and the distance lost",
    "stresses": "each stress with the plans held under it and the best plan for it",
    "stresses_left_out": "stresses that have nothing here to be laid on, each with the reason",
    "complete": "whether it ran to its end; where not, what stands in it holds",
    "saving_gbp": "less than doing nothing, on the same futures",
    "slipped": "what slipped, in words: registrations, grants, envelopes of years",
    "cvar_level": "level of the tail, such as 0.9 for the worst tenth",
}

#: Dictionaries whose keys are names of the instance, and not of the document.
BY_NAME = {"titles", "item_titles", "demand_child_weeks", "rules", "bills", "verdicts", "decided", "cohorts"}

MEANINGS: dict[str, dict[str, str]] = {
    "plan": {
        "deterrent_gbp": "deterrent in the objective: a value judgement, no pound of any budget",
        "p90_gbp": "cost that one future in ten exceeds",
        "cvar_gbp": "mean cost of the worst futures, at `cvar_level`",
        "risk_weight": "weight of that mean in the objective",
        "residual_gbp": "value left in homes at the horizon, which the cost is net of",
        "expected_cost_without_residual_gbp": "the cost if homes were worth nothing then",
        "unregistered": "child-weeks without a registered place: expected, one future in ten, the worst quarter, and the price and "
        "deterrent of a week",
        "decisions": "what to begin, award, extend, close and recruit, by when, on which branch of a review",
        "timeline": "when each home and contract is acquired, registered, open and at its end",
        "against_paper": "the plan beside the paper's own option on the same futures",
        "quarters": "children by where they live, expected and from P10 to P90, with usable beds and moves",
        "years": "expected cost by financial year and by what it pays for, nominal; its sum real and present",
        "capital": "capital begun by envelope, branch and financial year, against its limits",
        "mtfp": "Medium-Term Financial Plan: every line by financial year, recurring and one-off apart",
        "mtfp_base": "what the base budget is, in words",
        "saving_in_budget": "the saving that the agreed budget counts on already, with its source",
        "financing": "the capital as borrowing: interest, minimum revenue provision and what is owed, by financial year",
        "financing_terms": "rate, asset life and method of that borrowing",
        "voids": "beds paid for and not filled, by financial year: bed-weeks and nominal pounds",
        "break_even": "occupancy at which each home type and lot costs what spot purchase would",
        "limits": "limits that bind, with what one unit more is worth, at least and at most",
        "evidence": "the register: every figure with its class, source and range; counts; which assumptions matter most",
        "warnings": "what to know before relying on it",
        "decided": "the decisions as variables, from which `simulate` and `trace` go on",
        "beyond_horizon": "commitments that run on past the horizon, which are not costed",
        "out_of_sample": "the plan on futures that the search has not seen, with standard errors",
        "simulated": "the plan lived through child by child: cost, child-weeks, when to go to the market, and the foresight gap",
        "taken_up": "what of an earlier run was taken up and what was dropped, counted",
        "changed": "where something slipped: the plan that stood beside the new one",
    },
    "appraise": {
        "options": "each option and the optimised plan on the same futures: cost and its spread, capital, beds, child-weeks, "
        "limits not kept",
        "simulated": "the same ranked when nobody knows the future, with standard errors",
        "years": "cost of each option by financial year",
        "terms": "the same by what it pays for: nominal, real and present",
        "budget": "each option as the budget sees it: in budget already, cashable, avoided, pressure, net",
        "published": "published results beside ours, how each was reproduced, and how far it moves over the ranges assumed",
    },
    "frontier": {
        "envelope": "envelope that is varied",
        "envelopes": "every envelope that is varied, with its share of what is added or taken",
        "envelopes_held": "envelopes that stay as the instance has them",
        "by": "`total`, or `year` where the release of one financial year at a time is varied",
        "grid": "envelopes asked for; `null` where every plan is listed",
        "own_limit_gbp": "the instance's own envelope",
        "enough_gbp": "capital beyond which nothing more can be bought, one number a curve",
        "next_gbp": "how much more capital `next_million` looks at",
        "capital_in_running_cost": "whether running costs already hold the financing of the capital",
        "points": "one row a plan: its envelope, up to which it is best, its cost, bound, capital and revenue by year, decisions",
        "own": "the plan at the instance's envelope, and with £1m less and more",
        "solves": "searches made",
    },
    "split": {
        "partners": "councils, in the order of the instance",
        "demand_child_weeks": "child-weeks of each, expected",
        "total_gbp": "cost of the joint plan, which every rule shares",
        "terms": "cost of the joint plan by financial year, council and what it pays for: nominal, real and present",
        "decisions": "decisions of the joint plan",
        "item_titles": "words for homes and lots, by name",
        "groups": "each group of councils planning by itself: cost, bound, gap, saving, child-weeks",
        "largest_gap_gbp": "the largest objective less bound among the groups",
        "smallest_saving_gbp": "the smallest saving that is claimed for a group",
        "gaps_close_enough": "whether every gap lies within a twentieth of that",
        "unregistered": "child-weeks without a registered place of each council, alone and together",
        "rules": "bill of each council under each rule",
        "bills": "the same with P10, P90, saving, balancing payment, voids and years, and how it turns out in each future",
        "verdicts": "whether anyone would leave under each rule, who, and by how much",
        "access_rule": "how beds of a shared contract are to be had",
        "taken_up": "groups taken from an earlier, stopped run",
        "sure": "the words that verdicts use for how sure they are",
        "core": "whether a split exists that nobody would leave, and by how much",
        "dearer_than_alone": "councils that add more to the others' plan than going alone costs",
        "dearer_together": "groups that pay more together than apart, with the limits they would share",
        "if_another_leaves": "the others' bills if one council leaves, by rule",
        "estimated": "what was sampled where there are more than ten councils",
        "entitlements": "fixed entitlements, without resale and with it: beds nominated, bills, and what pooling is worth",
    },
    "simulate": {
        "cohorts": "words for each cohort",
        "options": "each plan lived through: cost, terms, years, quarters, occupancy, moves, child-weeks and the foresight gap, "
        "each estimate with its standard error",
        "differences": "cost of each above the cheapest, paired by future, with its standard error",
        "calibration": "where asked for: the matching occupancy that fills as many bed-weeks as the simulation",
    },
    "sensitivity": {
        "changed": "where something slipped: the plan that stood before, beside the one that is held",
        "terms": "the plan's cost by what it pays for, decisions held",
        "doing_nothing_terms": "the same of doing nothing",
        "doing_nothing_gbp": "what doing nothing costs on the same futures, from which the saving is counted",
        "gap_of_sides": "relative gap to which both plans are solved on both sides of a switching value",
        "tolerance": "how closely switching values are found, as a share of the way to the end of the range",
        "decisions": "decisions of the plan that is held",
        "inputs": "assumed and calibrated inputs looked at",
        "matters_from_gbp": "movement of the cost from which an input is said to matter",
        "tornado": "cost and child-weeks at either end of each input's range, the widest first",
        "not_moved": "inputs that the shape of the decisions depends on",
        "joint": "all inputs drawn at once: cost and saving in the middle and four cases of five",
        "switching": "where today's decisions, and the saving, stop standing, between which values, and what was established by "
        "solving on both sides",
        "together": "how far all inputs must move at once, for the plan and against it, before decision and saving stop standing",
        "saving_gone": "where the plan no longer saves, towards either end",
    },
    "trace": {
        "run": "folder of the run",
        "figures": "each figure with its terms, what they come to, whether that agrees to the penny, and the register's rows "
        "behind them",
    },
}


def write() -> list[Path]:
    """Write both pages."""
    pages = {"mathematics.md": mathematics(), "documents.md": documents_page(documents())}
    for name, text in pages.items():
        (DOCS / name).write_text(text, encoding="utf-8")
    return [DOCS / name for name in pages]


if __name__ == "__main__":
    import typer

    for path in write():
        typer.echo(f"Written to {path}.")
