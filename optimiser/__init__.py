"""How many children's-home beds to own, how many to contract for, and when to spot purchase.

>>> import optimiser
>>> instance = optimiser.load("kent-in-house-2025")
>>> plan, document = optimiser.plan(instance, scenarios=50)

Everything heavy is imported when it is first used, so that the command line answers at once.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from optimiser.instance.schema import Instance

__all__ = ["appraise", "frontier", "load", "plan", "sensitivity", "split"]


def load(name_or_path: str) -> Instance:
    """A validated instance: a bundled one by name, or a folder.

    Raises
    ------
    optimiser.errors.InstanceError
        With every fault found: file, row, field, value, rule and fix.
    """
    from optimiser.instance.finding import find_instance
    from optimiser.instance.reading import read_instance

    return read_instance(find_instance(name_or_path))


def plan(instance: Instance, **asked: Any) -> tuple[Any, dict[str, Any]]:
    """Best plan of an instance: a ``Plan`` and its document.

    Parameters
    ----------
    asked
        Fields of ``optimiser.analysis.planning.Asked``: scenarios, seed, gap, time_limit, capital, risk_weight, method,
        reduce_from, stresses.
    """
    from optimiser.analysis.planning import Asked, make_plan

    return make_plan(instance, Asked(**asked))


def appraise(instance: Instance, **asked: Any) -> tuple[list[Any], dict[str, Any]]:
    """Every option and the optimised plan on the same futures: the options and the document. Parameters as ``plan``."""
    from optimiser.analysis.planning import Asked, make_appraisal

    return make_appraisal(instance, Asked(**asked))


def split(instance: Instance, **asked: Any) -> dict[str, Any]:
    """What every group of an instance's councils would pay, and the bill by every rule: the document. Parameters as ``plan``."""
    from optimiser.analysis.planning import Asked
    from optimiser.analysis.splits import split as make_split

    return make_split(instance, Asked(**asked))


def frontier(instance: Instance, **asked: Any) -> dict[str, Any]:
    """Every plan between no capital and enough, each from the envelope that it needs: the document. Parameters as ``plan``."""
    from optimiser.analysis import frontier as limits
    from optimiser.analysis.planning import Asked

    return limits.frontier(instance, Asked(**asked))[1]


def sensitivity(instance: Instance, **asked: Any) -> dict[str, Any]:
    """Which inputs matter, and what would change the decision: the document. Parameters as ``plan``."""
    from optimiser.analysis import switching
    from optimiser.analysis.planning import Asked

    return switching.sensitivity(instance, Asked(**asked))
