"""What the terminal says of the budget, of borrowing and of a traced figure: words held word for word."""

from __future__ import annotations

import io
import sys
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from optimiser import cli
from optimiser.analysis.trail import Run
from optimiser.report.budgeted import COLUMNS, budget_lines
from optimiser.report.terminal import pounds, table_of
from optimiser.report.traced import amount, show_trace, show_traceable
from tests.test_budget import both
from tests.test_trail import document_of, small

__all__ = ["small"]  # the run on disk, which pytest finds here by its name


def said(lines: list[Any]) -> str:
    console = Console(file=io.StringIO(), width=120)
    for line in lines:
        console.print(line, highlight=False)
    return console.file.getvalue()  # type: ignore[attr-defined,no-any-return]


def budget_of(name: str, step: float = 1_000.0) -> str:
    plan, nothing = both(name)
    return said(budget_lines(document_of(plan, nothing, 4), step, pounds, table_of))


def test_kents_budget_shows_the_published_saving_beside_ours() -> None:
    text = " ".join(budget_of("kent-in-house-2025", 10_000).split())
    assert "The budget counts on saving £5.21m already (published, 24/00105" in text
    assert "net revenue saving over five years, £5.21m)" in text
    assert "is not delivered in its year: a pressure." in text
    assert "interest and minimum revenue provision 2025/26 £150k, 2026/27" in text
    assert "Running costs pay for it already: no further cost." in text


def test_a_plan_without_a_saving_in_the_budget_or_borrowing_says_nothing_of_either() -> None:
    text = budget_of("south-east-regional-block-2021")
    assert "Medium-Term Financial Plan" in text
    assert "counts on saving" not in text
    assert "borrowing" not in text
    assert "Of the plan" not in text  # columns of nothing are left out


def test_residual_value_is_shown_with_and_without() -> None:
    text = budget_of("cambridgeshire-residential-2024")
    assert "the net present cost; £" in text
    assert "without residual value." in text


def test_the_columns_of_the_table_hold_every_line_once() -> None:
    plan, nothing = both("kent-in-house-2025")
    for row in document_of(plan, nothing, 4)["mtfp"]:
        shown = sum(row[line] for head, lines in COLUMNS.items() if head != "Cost" for line in lines)
        assert shown == pytest.approx(row["nominal_gbp"], abs=0.005)


def test_amounts_are_shown_to_the_penny() -> None:
    assert amount(1_129_299.384, "£") == "£1,129,299.38"
    assert amount(-0.5, "£") == "−£0.50"
    assert amount(4.25, "children") == "4.25"
    assert amount(3.0, "") == "3"


def test_a_traced_figure_is_told_with_its_terms_and_sources(small: Path) -> None:
    run = Run(small)
    console = Console(file=io.StringIO(), width=110)
    show_trace(run.trace("expected_cost"), console)
    text = console.file.getvalue()  # type: ignore[attr-defined]
    assert f"summary.expected_cost_gbp: £{run.document['expected_cost_gbp']:,.2f}" in text
    assert "spot purchase, as used:" in text
    assert f"Together{'':>1}" in text
    assert "published: 24/00105" in " ".join(text.split())


def test_a_run_that_was_changed_by_hand_is_said_to_differ(small: Path) -> None:
    run = Run(small)
    row = run.trace("years.2026/27.spot")
    row["figures"][0] |= {"value": 1.0, "agrees": False}
    console = Console(file=io.StringIO(), width=110)
    show_trace(row, console)
    assert "The run says £1.00: it was made by another version, or has been changed." in " ".join(
        console.file.getvalue().split()  # type: ignore[attr-defined]
    )


def test_the_list_of_what_can_be_traced_ends_with_an_example_that_works(small: Path) -> None:
    run = Run(small)
    console = Console(file=io.StringIO(), width=400)
    show_traceable(run.listed(), console)
    example = console.file.getvalue().split("Such as: optimiser trace ")[1].split()[1].rstrip(".")  # type: ignore[attr-defined]
    assert run.trace(example)["figures"][0]["agrees"]


def test_the_command_traces_lists_and_refuses(
    small: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def run(*words: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["optimiser", "trace", str(small), *words])
        try:
            cli.main()
            code = 0
        except SystemExit as ended:
            code = int(ended.code or 0)
        printed = capsys.readouterr()
        return code, printed.out, printed.err

    code, out, error = run("years", "2026/27", "spot")
    assert (code, error) == (0, "")
    assert out.startswith("years.2026/27.spot_gbp: £")
    code, out, _ = run()
    assert code == 0
    assert "can be traced" in out
    code, out, _ = run("mtfp.2026/27", "--json")
    assert code == 0
    assert out.startswith('{\n  "document": "trace/1"')
    code, out, error = run("years.2026/27.spott")
    assert (code, out) == (1, "")
    assert "years.2026/27.spott is no figure of this run. The nearest are years.2026/27.spot_gbp" in error
