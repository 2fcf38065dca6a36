"""The README's commands: found, run by CI word for word, and understood by the command line."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
import typer.main

from optimiser.cli import app
from optimiser.instance.finding import bundled

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCKS = [block.strip() for block in re.findall(r"^```[a-z]*\n(.*?)^```", README, flags=re.DOTALL | re.MULTILINE)]


def commands(text: str) -> list[list[str]]:
    """Every call of the command line in a shell line or several, as words after its name."""
    found = []
    for line in text.splitlines():
        for part in re.split(r"&&|;|\|", line.removeprefix("$ ")):
            words = shlex.split(part, comments=True) if part.count("'") % 2 == 0 else []
            if words and re.fullmatch(r"(.*/)?optimiser", words[0]):
                found.append(words[1:])
    return found


CALLS = [call for block in BLOCKS for call in commands(block)]


def test_the_two_commands_stand_in_the_readme() -> None:
    (plans,) = (block for block in BLOCKS if "pip install ." in block)
    (tests,) = (block for block in BLOCKS if re.search(r"\bpytest\b", block))
    assert "optimiser plan " in plans
    assert len(plans.splitlines()) == len(tests.splitlines()) == 1


def test_ci_runs_the_test_command_word_for_word() -> None:
    (tests,) = (block for block in BLOCKS if re.search(r"\bpytest\b", block))
    script = ROOT / ".ci" / "run"
    assert tests in script.read_text(encoding="utf-8").splitlines()
    assert script.stat().st_mode & 0o111, "can be run"


def test_ci_looks_at_style_and_types_and_the_wheel() -> None:
    script = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    for words in ("ruff check", "ruff format --check", "mypy", "pip wheel", "optimiser plan"):
        assert words in script


@pytest.mark.parametrize("words", CALLS, ids=" ".join)
def test_a_command_of_the_readme_is_understood(words: list[str]) -> None:
    group = typer.main.get_command(app)
    named, *arguments = [word for word in words if word != "--debug"]
    if named.startswith("--"):
        assert named == "--help"
        return
    command = group.commands[named]  # type: ignore[attr-defined]
    # read, and not run
    context = command.make_context(named, list(arguments), resilient_parsing=False)
    for instance in (context.params.get("instance"), context.params.get("path")):
        if instance is not None:
            known = {folder.name for folder in bundled()}
            name = instance.removesuffix(".xlsx")
            assert name in known or any(call[:1] == ["new"] and name in call for call in CALLS)


def test_there_are_commands_to_plan_appraise_or_begin_with() -> None:
    assert {"plan", "new", "check"} <= {call[0] for call in CALLS}


def test_every_command_and_option_that_the_readme_names_is_there() -> None:
    group = typer.main.get_command(app)
    for name in re.findall(r"`optimiser ([a-z]+)[^`]*`", README):
        assert name in group.commands  # type: ignore[attr-defined]
    known = {"--help", "--debug"}
    for command in group.commands.values():  # type: ignore[attr-defined]
        known |= {option for parameter in command.params for option in parameter.opts}
    named = set(re.findall(r"`(--[a-z-]+)", README))
    assert named
    assert named <= known


def test_the_readme_names_every_bundled_instance_and_every_exit_code() -> None:
    for folder in bundled():
        assert folder.name in README
    assert re.search(r"0 done.*1 .*2 .*3 .*4 .*5 ", README, flags=re.DOTALL)


def test_nothing_in_the_readme_is_still_to_be_filled_in() -> None:
    assert "@@" not in README
    assert "TODO" not in README


def test_links_within_the_readme_lead_somewhere() -> None:
    for target in re.findall(r"\]\(([^)#:]+)\)", README):
        assert (ROOT / target).exists(), target
