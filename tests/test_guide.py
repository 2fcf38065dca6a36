"""The guide: pages made from the code hold what it says, and every command of every page does what it is said to do."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import typer.main
from typer.testing import CliRunner

from models import NOTATION, RULES
from optimiser.analysis import planning
from optimiser.cli import app
from optimiser.report.files import commands_in
from tests.guide import DOCS, MEANINGS, documents, documents_page, mathematics
from tests.test_readme import commands

ROOT = DOCS.parent
PAGES = sorted(DOCS.glob("*.md"))
#: What stands in a fence: the words after its ticks, and its lines.
FENCE = re.compile(r"^```([^\n]*)\n(.*?)^```", flags=re.DOTALL | re.MULTILINE)
#: Commands that search are run on few futures, to a wide gap, by the method that more futures are searched with.
FEW = {
    "plan": ["--scenarios", "2", "--gap", "0.05", "--method", "lshaped"],
    "appraise": ["--scenarios", "2", "--gap", "0.05"],
    "frontier": ["--scenarios", "2", "--gap", "0.05"],
    "split": ["--scenarios", "2", "--gap", "0.001"],
    "sensitivity": ["--scenarios", "1", "--gap", "0.05", "--tolerance", "50%", "--inputs", "1", "--capital", "700000"],
    "simulate": ["--scenarios", "2"],
}


def text_of(name: str) -> str:
    return (DOCS / name).read_text(encoding="utf-8")


# pages made from the code


def test_the_mathematics_is_what_the_docstrings_and_the_notation_table_say() -> None:
    page = text_of("mathematics.md")
    assert page == mathematics(), "write it again: python -m tests.guide"
    assert all(f"| `{symbol.name}` |" in page for symbol in NOTATION)
    assert page.count("```\n") >= 2 * 15
    assert len(RULES) > 30


@pytest.mark.long
def test_the_page_of_documents_names_every_key_of_real_documents() -> None:
    found = documents()
    assert set(found) == set(MEANINGS)
    assert text_of("documents.md") == documents_page(found), "write it again: python -m tests.guide"
    with pytest.raises(KeyError, match=r"without words \['new'\]"):
        documents_page({**found, "trace": found["trace"] | {"new": 1}})
    with pytest.raises(KeyError, match=r"without a key \['run'\]"):
        documents_page({"trace": {key: value for key, value in found["trace"].items() if key != "run"}})


# every page


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere_and_nothing_is_still_to_be_filled_in(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    assert "@@" not in text and "TODO" not in text
    for target in re.findall(r"\]\(([^)#:]+)\)", text):
        assert (page.parent / target).exists(), target


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_command_and_option_that_a_page_names_is_there(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    group = typer.main.get_command(app)
    known = {"--help", "--debug"}
    for command in group.commands.values():  # type: ignore[attr-defined]
        known |= {option for parameter in command.params for option in parameter.opts}
    for name in re.findall(r"`optimiser ([a-z]+)[^`]*`", text):
        assert name in group.commands  # type: ignore[attr-defined]
    assert set(re.findall(r"`(--[a-z-]+)", text)) <= known


def test_every_page_is_in_the_index_and_the_readme_leads_to_the_guide() -> None:
    index = text_of("README.md")
    assert {page.name for page in PAGES if page.name != "README.md"} == set(re.findall(r"\]\(([a-z-]+\.md)\)", index))
    assert "(docs/README.md)" in (ROOT / "README.md").read_text(encoding="utf-8")


# every command


def steps(page: Path) -> Iterator[tuple[str, str]]:
    """Files that a page gives, by name, and blocks of commands, in order."""
    for words, block in FENCE.findall(page.read_text(encoding="utf-8")):
        _, _, name = words.partition(" ")
        yield name, block


@pytest.mark.long
@pytest.mark.parametrize(
    "page", [page for page in PAGES if commands(page.read_text(encoding="utf-8"))], ids=lambda p: p.name
)
def test_the_commands_of_a_page_run_in_their_order(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("SIMULATED", "SEARCHED", "PAIRED", "FRESH"):
        monkeypatch.setattr(planning, name, 4)
    ran = 0
    for name, block in steps(page):
        if name:
            (tmp_path / name).write_text(block, encoding="utf-8")
            continue
        for call in commands(block):
            beside_run = any(commands_in(Path(word)) for word in call[1:2])
            few = [] if "--costs" in call or beside_run else FEW.get(call[0], [])
            done = CliRunner().invoke(app, [*call, *few])
            assert done.exit_code == 0, f"optimiser {' '.join(call)}: {done.output} {done.exception}"
            ran += 1
    assert ran == len(commands("\n".join(block for _, block in steps(page))))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_command_of_a_page_is_understood_as_it_stands(page: Path) -> None:
    group = typer.main.get_command(app)
    for words in commands("\n".join(block for _, block in FENCE.findall(page.read_text(encoding="utf-8")))):
        named, *arguments = words
        group.commands[named].make_context(named, list(arguments))  # type: ignore[attr-defined]
