"""Arithmetic on figures, as published results are written: ``[homes.two-bed.capital_gbp] * 4 / 1000``."""

from __future__ import annotations

import ast
import math
import operator
import re
from collections.abc import Callable, Mapping

_LONGEST = 2000
_KEY = re.compile(r"\[([^\[\]]*)\]")
_OPERATIONS: dict[type[ast.operator], Callable[[float, float], float]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
}


def keys(expression: str) -> tuple[str, ...]:
    """Keys that an expression uses, in order, each once.

    Raises ``ValueError`` with the rule that is broken where the expression is not arithmetic.
    """
    return _parse(expression)[1]


def evaluate(expression: str, values: Mapping[str, float]) -> float:
    """Value of an expression: numbers and ``[keys]`` joined by ``+ - * /`` and parentheses, and nothing else.

    Raises ``ValueError`` with the rule that is broken: not arithmetic, a key without a value, a division by zero.
    """
    tree, names = _parse(expression)
    for name in names:
        if name not in values:
            raise ValueError(f"uses [{name}], which has no value")
    try:
        result = _value(tree, [float(values[name]) for name in names])
    except ZeroDivisionError:
        raise ValueError("divides by zero") from None
    except (OverflowError, RecursionError):
        raise ValueError("cannot be computed") from None
    if not math.isfinite(result):
        raise ValueError("does not come out as a finite number")
    return result


def _parse(expression: str) -> tuple[ast.expr, tuple[str, ...]]:
    """The expression as a tree, in which ``key0``, ``key1`` … stand for its keys."""
    if len(expression) > _LONGEST:
        raise ValueError(f"is longer than {_LONGEST} characters")
    names: dict[str, int] = {}

    def place(match: re.Match[str]) -> str:
        name = match[1].strip()
        if not name:
            raise ValueError("has empty square brackets")
        return f" key{names.setdefault(name, len(names))} "

    bare = _KEY.sub("0", expression)
    if re.search(r"[\[\]]", bare):
        raise ValueError("has a square bracket that does not close")
    # letters outside the brackets, but for the exponent of a number such as 1e6, would be names or calls
    foreign = re.search(r"[^\d.eE+\-*/()\s]", bare)
    if foreign:
        raise ValueError(
            f"has {foreign[0]!r} outside square brackets; only numbers, + - * / and parentheses may stand there"
        )
    try:
        tree = ast.parse(_KEY.sub(place, expression).strip(), mode="eval").body
        _refuse_other(tree)
    except (SyntaxError, MemoryError, RecursionError):
        raise ValueError("is not arithmetic") from None
    return tree, tuple(names)


def _refuse_other(tree: ast.expr) -> None:
    """Refuse whatever is not a number, a key, or arithmetic on them."""
    if isinstance(tree, ast.BinOp) and type(tree.op) in _OPERATIONS:
        _refuse_other(tree.left)
        _refuse_other(tree.right)
    elif isinstance(tree, ast.UnaryOp) and isinstance(tree.op, (ast.UAdd, ast.USub)):
        _refuse_other(tree.operand)
    elif isinstance(tree, ast.Name):
        if not tree.id.startswith("key"):
            raise ValueError(f"has {tree.id} outside square brackets")
    elif not (isinstance(tree, ast.Constant) and type(tree.value) in (int, float)):
        raise ValueError("is not arithmetic: only numbers, [keys], + - * / and parentheses are read")


def _value(tree: ast.expr, values: list[float]) -> float:
    if isinstance(tree, ast.BinOp):
        return _OPERATIONS[type(tree.op)](_value(tree.left, values), _value(tree.right, values))
    if isinstance(tree, ast.UnaryOp):
        operand = _value(tree.operand, values)
        return -operand if isinstance(tree.op, ast.USub) else operand
    if isinstance(tree, ast.Name):
        return values[int(tree.id.removeprefix("key"))]
    assert isinstance(tree, ast.Constant) and isinstance(tree.value, (int, float))
    return float(tree.value)
