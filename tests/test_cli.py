"""The command line: what it prints where, how it ends, and how soon it answers."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from optimiser import cli
from optimiser.analysis import planning
from optimiser.analysis.planning import Asked, Told, make_plan
from optimiser.instance.finding import bundled
from optimiser.solve import highs
from optimiser.solve.twostage import Round
from tests.instance_folders import Folder
from tests.test_plan import bound_by_limits

COMMANDS = (
    "plan",
    "appraise",
    "simulate",
    "value",
    "alternatives",
    "split",
    "demand",
    "synthesise",
    "frontier",
    "sensitivity",
    "trace",
    "report",
    "check",
    "new",
    "convert",
    "instances",
)


class Ended:
    """How a command ended: its exit code and what it printed."""

    def __init__(self, code: int, out: str, error: str) -> None:
        self.code, self.out, self.error = code, out, error


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Any:
    """Runs the command line as the console script does."""

    def run(*words: str) -> Ended:
        monkeypatch.setattr(sys, "argv", ["optimiser", *words])
        try:
            cli.main()
            code = 0
        except SystemExit as ended:
            code = int(ended.code or 0)
        printed = capsys.readouterr()
        return Ended(code, printed.out, printed.err)

    return run


@pytest.fixture
def small(tmp_path: Path) -> Folder:
    """The template over eighteen months, which plans in a few seconds."""
    folder = Folder(tmp_path / "plan")
    folder.setting("periods", '"18x1"')
    folder.setting("scenarios", "2")
    return folder


def make_impossible(folder: Folder) -> None:
    """Hardly a spot place, and hardly a child-week tolerated."""
    folder.cell("layers", 2, "beds", "1")
    folder.cell("tolerances", 1, "child_weeks", "3")


def without_ranking(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave out which assumptions matter and fresh futures: they take longest and are looked at elsewhere."""
    monkeypatch.setattr(planning, "swings", lambda *_: [])
    monkeypatch.setattr(planning, "out_of_sample", lambda *_: None)


# help


@pytest.mark.parametrize("name", ["", *COMMANDS])
def test_every_command_says_what_it_does(command: Any, name: str) -> None:
    ended = command(*filter(None, [name, "--help"]))
    assert ended.code == 0
    assert "Usage: " in ended.out
    assert len(ended.out.splitlines()) > 5


def test_help_names_every_command_and_exit_code(command: Any) -> None:
    text = command("--help").out
    for name in COMMANDS:
        assert name in text
    for code in "012345":
        assert f"{code} " in text


def test_help_takes_a_small_multiple_of_pythons_own_start() -> None:
    def seconds(*words: str) -> float:
        taken = []
        for _ in range(3):
            began = time.perf_counter()
            subprocess.run([sys.executable, *words], capture_output=True, check=True)
            taken.append(time.perf_counter() - began)
        return min(taken)

    # -S and -E as they come: the same interpreter both times
    multiple = seconds("-m", "optimiser", "--help") / seconds("-c", "pass")
    print(f"optimiser --help takes {multiple:.1f} times as long as python -c pass")
    assert multiple < 25


# the commands


def test_instances_are_listed_with_their_question(command: Any) -> None:
    ended = command("instances")
    assert ended.code == 0
    names = ended.out.splitlines()[::2]
    assert names == [folder.name for folder in bundled()]
    assert all(line.rstrip().endswith("?") for line in ended.out.splitlines()[1::2])


def test_a_new_instance_checks_and_plans_as_it_stands(
    command: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    without_ranking(monkeypatch)
    folder = tmp_path / "my-plan"
    assert command("new", str(folder)).code == 0
    checked = command("check", str(folder))
    assert (checked.code, checked.error) == (0, "")
    assert checked.out.startswith("my-plan: no fault.")
    planned = command("plan", str(folder), "--scenarios", "2", "--gap", "0.05", "--out", str(tmp_path / "run"))
    assert planned.code == 0, planned.error
    assert "£" in planned.out
    assert (tmp_path / "run" / "plan.json").exists()


def test_a_new_instance_is_never_written_over_something(command: Any, tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    ended = command("new", str(tmp_path))
    assert ended.code == 1
    assert "is there already, and not an empty folder" in ended.error
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]


@pytest.mark.parametrize("name", [folder.name for folder in bundled()])
def test_every_bundled_instance_checks(command: Any, name: str) -> None:
    ended = command("check", name)
    assert ended.code == 0
    assert ended.out.startswith(f"{name}: no fault.")


def test_json_is_one_document_and_nothing_else(command: Any, small: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    without_ranking(monkeypatch)
    ended = command("plan", str(small.path), "--json")
    assert (ended.code, ended.error) == (0, "")
    document = json.loads(ended.out)
    assert {"objective_gbp", "bound_gbp", "gap", "status"} <= set(document)
    ended = command("appraise", str(small.path), "--json")
    assert (ended.code, ended.error) == (0, "")
    document = json.loads(ended.out)
    assert [row["option"] for row in document["options"]][-1] == "optimised"


def test_json_with_out_still_prints_the_document_alone(
    command: Any, small: Folder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    without_ranking(monkeypatch)
    ended = command("plan", str(small.path), "--json", "--out", str(tmp_path / "run"))
    assert json.loads(ended.out) == json.loads((tmp_path / "run" / "plan.json").read_text(encoding="utf-8"))


def test_a_plan_fits_one_screen_and_a_half(command: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    without_ranking(monkeypatch)
    ended = command("plan", "cambridgeshire-residential-2024", "--scenarios", "2", "--gap", "0.02")
    assert ended.code == 0
    lines = ended.out.splitlines()
    assert max(map(len, lines)) <= 132
    assert len(lines) <= 110, "a screen holds about seventy lines"


@pytest.mark.long
def test_an_appraisal_marks_the_papers_option_and_every_published_figure(command: Any) -> None:
    ended = command("appraise", "cambridgeshire-residential-2024", "--scenarios", "2", "--gap", "0.02")
    assert ended.code == 0
    for words in ("638,976", "438,984", "matches by construction", "224,016", "424,008"):
        assert words in ended.out


# how it ends


def test_faults_end_with_one_and_are_told_all_at_once(command: Any, small: Folder) -> None:
    small.cell("homes", 1, "beds", "0")
    small.cell("layers", 1, "gbp_per_week", "cheap")
    for name in ("plan", "appraise", "check"):
        ended = command(name, str(small.path))
        assert (ended.code, ended.out) == (1, "")
        assert ended.error.startswith("2 faults in plan:")
        assert "homes.csv" in ended.error
        assert "layers.csv" in ended.error
        assert "Traceback" not in ended.error


def test_an_instance_that_is_not_there_ends_with_one_and_a_suggestion(command: Any) -> None:
    ended = command("plan", "kent-in-hous-2025")
    assert ended.code == 1
    assert "kent-in-house-2025" in ended.error
    assert "Traceback" not in ended.error


@pytest.mark.parametrize(
    "words",
    [
        ["plam"],
        ["plan"],
        ["plan", "kent-in-house-2025", "--scenarios", "0"],
        ["plan", "kent-in-house-2025", "--scenarios", "many"],
        ["plan", "kent-in-house-2025", "--gap", "2"],
        ["plan", "kent-in-house-2025", "--method", "guess"],
        ["plan", "kent-in-house-2025", "--risk-weight", "-1"],
        ["plan", "kent-in-house-2025", "--faster"],
    ],
    ids=" ".join,
)
def test_a_command_that_is_not_understood_ends_with_two(command: Any, words: list[str]) -> None:
    ended = command(*words)
    assert (ended.code, ended.out) == (2, "")
    assert ended.error
    assert "Traceback" not in ended.error


def test_limits_that_clash_end_with_three(command: Any, small: Folder) -> None:
    make_impossible(small)
    ended = command("plan", str(small.path))
    assert (ended.code, ended.out) == (3, "")
    assert ended.error.startswith("No plan keeps ")
    assert "Traceback" not in ended.error


def test_no_time_at_all_ends_with_four_or_a_plan_with_its_gap(command: Any, small: Folder) -> None:
    ended = command("plan", str(small.path), "--scenarios", "8", "--time-limit", "0", "--json")
    assert ended.code in (0, 4)
    if ended.code == 4:
        assert (ended.out, ended.error.startswith("stopped before any plan was found")) == ("", True)
    else:
        assert json.loads(ended.out)["status"] in ("stopped", "optimal")


def test_a_search_that_finds_nothing_in_time_ends_with_four(
    command: Any, small: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    from optimiser.solve import engine
    from optimiser.solve.twostage import Settings, TwoStageProblem

    monkeypatch.setattr(engine, "FEW_FUTURES", 100)
    real = engine.solve_extensive

    def at_once(problem: TwoStageProblem, settings: Settings) -> Any:
        found = real(problem, settings)
        return type(found)(**{**vars(found), "x": None, "status": "stopped"})

    monkeypatch.setattr(engine, "solve_extensive", at_once)
    ended = command("plan", str(small.path))
    assert (ended.code, ended.out) == (4, "")
    assert ended.error.startswith("stopped before any plan was found: allow more time (--time-limit)")


def test_an_excluded_version_of_highs_is_refused_with_a_sentence(
    command: Any, small: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(highs, "_installed", lambda: "1.14.0")
    ended = command("plan", str(small.path))
    assert (ended.code, ended.out) == (5, "")
    assert ended.error.strip() == (
        "highspy 1.14.0 is installed, and it returns wrong optima on some models: no plan is made with it. "
        "Install another with: pip install 'highspy!=1.14.0'"
    )


def test_a_folder_that_cannot_be_written_is_refused_before_the_search(
    command: Any, small: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(planning, "make_plan", lambda *_: pytest.fail("searched"))
    ended = command("plan", str(small.path), "--out", str(small.path))
    assert ended.code == 1
    assert "holds other files" in ended.error


@pytest.mark.parametrize("place", ["before", "after"])
def test_debug_shows_the_traceback_wherever_it_stands(small: Folder, place: str) -> None:
    small.cell("homes", 1, "beds", "0")
    words = ["check", str(small.path)]
    words = ["--debug", *words] if place == "before" else [*words, "--debug"]
    done = subprocess.run([sys.executable, "-m", "optimiser", *words], capture_output=True, text=True)
    assert done.returncode == 1
    assert "Traceback" in done.stderr
    assert "InstanceError" in done.stderr


# Ctrl-C


def test_ctrl_c_before_the_search_says_that_there_is_no_plan(
    command: Any, small: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(planning, "prepare", interrupted)
    for name in ("plan", "appraise"):
        ended = command(name, str(small.path))
        assert (ended.code, ended.out) == (4, "")
        assert "topped before any plan was found" in ended.error
        assert "Traceback" not in ended.error


def test_ctrl_c_in_the_search_gives_the_best_plan_so_far_with_its_gap() -> None:
    seen: list[Round] = []
    # a shell starts what runs in the background with the signal ignored
    before = signal.getsignal(signal.SIGINT)

    def press(found: Round) -> None:
        seen.append(found)
        if found.incumbent < float("inf") and sum(one.incumbent < float("inf") for one in seen) == 1:
            signal.raise_signal(signal.SIGINT)

    plan, document = make_plan(bound_by_limits(), Asked(scenarios=12, gap=0.0, method="lshaped"), Told(search=press))
    assert seen
    assert document["status"] in ("stopped", "optimal")
    assert not plan.verified.violations
    assert document["gap"] is None or document["gap"] >= 0
    assert document["evidence"]["matter_most"] == []
    # and Ctrl-C means what it meant before
    assert signal.getsignal(signal.SIGINT) is before


def test_ctrl_c_on_a_running_command_ends_it_without_a_traceback() -> None:
    command = [sys.executable, "-m", "optimiser", "plan", "kent-sufficiency-2019", "--scenarios", "40", "--json"]
    running = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env={**os.environ, "PYTHONUNBUFFERED": "1"}
    )
    time.sleep(4)
    running.send_signal(signal.SIGINT)
    out, error = running.communicate(timeout=120)
    assert running.returncode in (0, 4), error
    assert "Traceback" not in error
    assert (out == "") == (running.returncode == 4)
    if out:
        assert json.loads(out)["status"] in ("stopped", "optimal")


def test_a_workbook_named_without_its_ending_is_told(command: Any, tmp_path: Path) -> None:
    command("new", str(tmp_path / "mine"), "--workbook")
    told = command("check", str(tmp_path / "mine"))
    assert told.code == 1
    assert f"Did you mean {tmp_path / 'mine'}.xlsx?" in " ".join(told.error.split())


def test_check_and_plan_say_what_deserves_a_second_look(command: Any, small: Folder, tmp_path: Path) -> None:
    small.remove("layers", 2)
    book = tmp_path / "book.xlsx"
    command("convert", str(small.path), str(book))
    for path, place in ((small.path, "layers.csv"), (book, "sheet layers")):
        told = command("check", str(path))
        assert (told.code, told.error) == (0, "")
        assert f"Note: {place}: spot-market has 6 places" in " ".join(told.out.split())
    planned = command("plan", str(small.path), "--scenarios", "1", "--time-limit", "0", "--json")
    assert "Note: layers.csv: spot-market has 6 places" in " ".join(planned.error.split())
    assert "Note: layers" not in planned.out


# what does not go together


@pytest.mark.parametrize(
    ("name", "document", "options"),
    [
        ("simulate", "plan.json", ["--scenarios", "--seed", "--gap", "--capital"]),
        ("report", "plan.json", ["--scenarios", "--seed", "--gap", "--capital"]),
        ("report", "split.json", ["--capital"]),
        ("serve", "plan.json", ["--scenarios", "--seed", "--gap", "--capital", "--risk-weight"]),
        ("split", "split.json", ["--scenarios", "--seed", "--gap", "--workers", "--orders", "--resale", "--cluster"]),
    ],
)
def test_options_of_a_plan_are_refused_beside_a_finished_run(
    command: Any, tmp_path: Path, name: str, document: str, options: list[str]
) -> None:
    run = tmp_path / "run"
    run.mkdir()
    (run / document).write_text("{}", encoding="utf-8")
    # one alone, and all that the command has, each at its own default: given is given
    for given in ([options[0]], options):
        words = [
            word for option in given for word in (option, {"--gap": "0.001", "--risk-weight": "1"}.get(option, "4"))
        ]
        ended = command(name, str(run), *words)
        told = " ".join(ended.error.replace("│", " ").split())
        assert (ended.code, ended.out) == (2, "")
        assert all(option in told for option in given)
        assert f"{'does' if len(given) == 1 else 'do'} not go with a finished run." in told
        assert "Give the instance instead" in told


def test_options_of_a_plan_are_refused_beside_the_costs_of_a_game(command: Any, tmp_path: Path) -> None:
    costs = tmp_path / "costs.csv"
    costs.write_text("coalition,cost\na,1\nb,1\na+b,1\n", encoding="utf-8")
    ended = command("split", "--costs", str(costs), "--scenarios", "4", "--out", str(tmp_path / "out"))
    told = " ".join(ended.error.replace("│", " ").split())
    assert ended.code == 2 and "--scenarios and --out do not go with --costs" in told.replace("'", "")
    ended = command("split", "--costs", str(costs), "--rule", "equal")
    assert ended.code == 2 and "Invoices want --settle" in " ".join(ended.error.replace("│", " ").split())


# the simulation


def test_a_run_and_its_instance_are_simulated_alike(command: Any, small: Folder, tmp_path: Path) -> None:
    run = tmp_path / "run"
    assert command("plan", str(small.path), "--out", str(run)).code == 0
    again = command("simulate", str(run), "--option", "optimised", "--futures", "6", "--json")
    assert again.code == 0, again.error
    anew = command("simulate", str(small.path), "--option", "optimised", "--futures", "6", "--json")
    one, other = json.loads(again.out), json.loads(anew.out)
    assert one.pop("timings") and other.pop("timings")
    assert one == other


def test_a_simulation_is_written_whole_and_shown(command: Any, small: Folder, tmp_path: Path) -> None:
    out = tmp_path / "lived"
    ended = command("simulate", str(small.path), "--option", "do-nothing", "--futures", "4", "--out", str(out))
    assert ended.code == 0, ended.error
    assert "Foresight gap" in ended.out
    assert {"simulation.json", "quarters.csv"} <= {path.name for path in out.iterdir()}


def test_an_option_that_is_none_and_a_run_that_has_changed_are_told(
    command: Any, small: Folder, tmp_path: Path
) -> None:
    ended = command("simulate", str(small.path), "--option", "nothing-like-it")
    assert (ended.code, ended.out) == (1, "")
    assert "is no option of the instance. Name one of: all, optimised" in ended.error
    run = tmp_path / "run"
    assert command("plan", str(small.path), "--out", str(run)).code == 0
    table = run / "instance" / "homes.csv"
    table.write_text(table.read_text(encoding="utf-8").replace("900000", "910000"), encoding="utf-8")
    ended = command("simulate", str(run))
    assert ended.code == 1
    assert "has changed since the plan was made" in ended.error
