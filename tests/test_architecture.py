"""Who may know whom, and that the model, the notation table, the docstrings and the tests speak of the same things."""

from __future__ import annotations

import ast
import inspect
import re
import subprocess
import sys
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from types import ModuleType

import pyomo.environ as pyo
import pytest

from models import NOTATION, RULES, VARIABLES, capacity, placement, risk
from models.extensive import build
from tests.problems import small_problem
from tests.random_problems import random_problem

ROOT = Path(__file__).resolve().parent.parent
SOURCES = sorted(
    path for top in ("models", "optimiser") for path in (ROOT / top).rglob("*.py") if "__pycache__" not in path.parts
)
HEAVY = ("pandas", "pyomo", "scipy", "highspy", "numpy", "pydantic", "pyarrow", "rich.console")


@lru_cache
def imported(path: Path) -> frozenset[str]:
    """Modules that a file imports, wherever in it the import stands; those for type checking apart."""
    found: set[str] = set()

    def walk(node: ast.AST) -> None:
        if isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING":
            return
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: a relative import"
            found.add(str(node.module))
            found.update(f"{node.module}.{alias.name}" for alias in node.names)
        for child in ast.iter_child_nodes(node):
            walk(child)

    walk(ast.parse(path.read_text(encoding="utf-8")))
    return frozenset(found)


def tops(path: Path) -> set[str]:
    return {name.partition(".")[0] for name in imported(path)}


def name_of(path: Path) -> str:
    return str(path.relative_to(ROOT))


# who may know whom


@pytest.mark.parametrize("path", [path for path in SOURCES if path.is_relative_to(ROOT / "models")], ids=name_of)
def test_the_mathematics_imports_pyomo_numpy_and_the_standard_library_only(path: Path) -> None:
    assert tops(path) <= {"pyomo", "numpy", "models", *sys.stdlib_module_names}


@pytest.mark.parametrize("path", sorted((ROOT / "optimiser" / "verify").glob("*.py")), ids=name_of)
def test_the_recomputation_knows_neither_pyomo_nor_the_model_nor_a_solver(path: Path) -> None:
    assert not tops(path) & {"pyomo", "highspy", "scipy"}
    own = {name for name in imported(path) if name.split(".")[0] in ("models", "optimiser")}
    forbidden = {f"models.{name}" for name in ("capacity", "placement", "costs", "risk", "extensive")}
    assert not own & forbidden
    assert not [name for name in own if name.startswith("optimiser.") and not name.startswith("optimiser.verify")]


def test_highs_is_known_in_one_module() -> None:
    assert [name_of(path) for path in SOURCES if "highspy" in tops(path)] == ["optimiser/solve/highs.py"]


def test_pyomo_is_known_to_the_model_and_to_what_compiles_it_or_hands_it_on() -> None:
    outside = [name_of(path) for path in SOURCES if "pyomo" in tops(path) and path.parent != ROOT / "models"]
    assert outside == ["optimiser/solve/compile.py", "optimiser/solve/mpisppy.py"]


@pytest.mark.parametrize("path", sorted((ROOT / "optimiser" / "instance").glob("*.py")), ids=name_of)
def test_reading_an_instance_knows_no_solver_and_no_model(path: Path) -> None:
    assert not tops(path) & {"pyomo", "highspy", "models"}
    assert not [name for name in imported(path) if name.startswith(("optimiser.solve", "optimiser.analysis"))]


@pytest.mark.parametrize("path", SOURCES, ids=name_of)
def test_nothing_imports_tests_or_what_is_shared_beside_the_project(path: Path) -> None:
    assert not tops(path) & {"tests", "shared"}
    assert "../shared" not in path.read_text(encoding="utf-8")


def test_the_model_does_not_know_the_engine() -> None:
    assert not [name_of(path) for path in SOURCES if path.parent == ROOT / "models" and "optimiser" in tops(path)]


def test_the_command_line_imports_nothing_heavy_before_it_is_needed() -> None:
    code = f"import sys, optimiser.cli; print([name for name in {HEAVY!r} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stdout.strip() == "[]"


def test_models_and_engine_read_no_clock_but_for_timings_and_write_no_print() -> None:
    for path in SOURCES:
        tree = ast.parse(path.read_text(encoding="utf-8"))
        calls = {
            node.func.id for node in ast.walk(tree) if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
        }
        assert "print" not in calls, name_of(path)
        if path.parent == ROOT / "models":
            assert not tops(path) & {"time", "datetime", "random", "logging", "os", "pathlib"}, name_of(path)


# the notation table


@lru_cache
def components() -> tuple[frozenset[str], frozenset[str]]:
    """Names of all variables and constraints of the models of a good many problems."""
    variables: set[str] = set()
    rules: set[str] = set()
    problems = [small_problem(), small_problem(review=True, risk_weight=0.5, cvar_limit=1e9)]
    problems += [random_problem(seed) for seed in range(12)]
    for problem in problems:
        model = build(problem)
        for component in model.component_objects(pyo.Var, descend_into=True):
            variables.add(component.local_name)
        for component in model.component_objects(pyo.Constraint, descend_into=True):
            rules.add(component.local_name)
    return frozenset(variables), frozenset(rules)


def test_every_variable_of_the_model_is_in_the_notation_table_and_every_row_in_the_model() -> None:
    assert components()[0] == {symbol.name for symbol in VARIABLES}


def test_every_constraint_of_the_model_is_in_the_notation_table_and_every_row_in_the_model() -> None:
    assert components()[1] == {symbol.name for symbol in RULES}


def test_every_row_of_the_notation_table_has_a_unit_and_a_meaning_and_stands_once() -> None:
    names = [symbol.name for symbol in NOTATION]
    assert len(set(names)) == len(names)
    for symbol in NOTATION:
        assert symbol.unit, symbol.name
        assert symbol.meaning, symbol.name
        assert re.fullmatch(r"[a-z]+(_[a-z]+)*", symbol.name)
    for symbol in RULES:
        assert set(symbol.number.split(", ")) <= {str(number) for number in range(1, 15)}


def test_all_rules_of_the_formulation_are_in_the_notation_table() -> None:
    numbers = {number for symbol in RULES for number in symbol.number.split(", ")}
    # the tenth is where ``placed`` has no variable
    assert numbers == {str(number) for number in range(1, 15)} - {"10"}


def functions(module: ModuleType, prefix: str) -> Iterator[tuple[str, str]]:
    for name, function in inspect.getmembers(module, inspect.isfunction):
        if function.__module__ == module.__name__ and name.startswith(prefix):
            yield f"{module.__name__}.{name}", inspect.getdoc(function) or ""


RULE_FUNCTIONS = [
    pair
    for module in (capacity, placement, risk)
    for pair in functions(module, "add_")
    if pair[0].rpartition(".")[2] not in ("add_decisions", "add_placements")
]


@pytest.mark.parametrize(("name", "words"), RULE_FUNCTIONS, ids=[name for name, _ in RULE_FUNCTIONS])
def test_every_rule_says_in_words_and_symbols_what_holds_with_its_unit(name: str, words: str) -> None:
    assert re.search(r"\[[^\[\]\d][^\[\]]*\]\s*\.?\s*$", words, flags=re.MULTILINE), (
        f"{name}: no unit at the end of a line"
    )


@pytest.mark.parametrize("symbol", [*VARIABLES, *RULES], ids=lambda symbol: symbol.name)
def test_every_part_of_the_model_carries_its_unit(symbol: object) -> None:
    name = symbol.name  # type: ignore[attr-defined]
    model = build(small_problem(review=True, risk_weight=0.5, cvar_limit=1e9)) if not BUILT else BUILT[0]
    BUILT[:] = [model]
    found = model.find_component(name) or model.future[0].find_component(name)
    if found is not None:
        assert re.search(r"\[.+\]$", str(found.doc)), name


BUILT: list[pyo.ConcreteModel] = []


# tests


#: Parts of a rule that tests call by the rule's own name: the recomputation checks them together.
PARTS = {
    "tier_minimum": "one_tier",
    "tier_maximum": "one_tier",
    "lot_minimum": "lot_size",
    "lot_maximum": "lot_size",
    "extended_within_award": "all_or_none_extended",
    "none_extended_unless_taken": "all_or_none_extended",
    "all_extended_if_taken": "all_or_none_extended",
    "local_within_budget": "local_enough",
    "unregistered_within_budget": "registered_reliably",
    "registered_in_expectation": "registered_reliably",
    "any_unregistered_counted": "registered_reliably",
    "excess_counted": "cvar_limit",
    "cvar_within_limit": "cvar_limit",
}


@pytest.mark.parametrize("symbol", RULES, ids=lambda symbol: symbol.name)
def test_every_rule_has_a_test_that_says_so(symbol: object) -> None:
    name = symbol.name  # type: ignore[attr-defined]
    written = [path for path in (ROOT / "tests").glob("test_*.py") if path != Path(__file__)]
    said = "|".join(filter(None, [name, PARTS.get(name)]))
    assert any(re.search(rf"\b({said})\b", path.read_text(encoding="utf-8")) for path in written)


def test_test_names_state_facts_and_stand_once_in_their_file() -> None:
    for path in (ROOT / "tests").glob("test_*.py"):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        names = [
            node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")
        ]
        assert len(set(names)) == len(names), path.name
        for name in names:
            assert name.count("_") >= 2, f"{path.name}: {name} states no fact"
