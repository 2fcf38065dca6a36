"""A problem looks at what it is made of once, and futures kept in little memory read as what they were made from."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields, replace
from typing import Any

import numpy as np
import pytest

from models import problem as module
from models.problem import Extension, Problem, Scenario, SharedRows, across, packed
from tests.problems import small_problem

LARGE = ("stay", "home_open", "lot_price", "spot_layer_beds")


def small_futures() -> tuple[Scenario, ...]:
    return tuple(small_problem().scenarios)


def test_a_packed_future_reads_as_the_future_that_it_was_made_from() -> None:
    shared = SharedRows()
    for scenario in small_futures():
        found = packed(scenario, shared)
        for each in fields(Scenario):
            own, theirs = getattr(found, each.name), getattr(scenario, each.name)
            assert np.array_equal(own, theirs) if isinstance(theirs, np.ndarray) else own == theirs, each.name
        dearer = replace(found, spot_layer_price=2 * found.spot_layer_price)
        assert np.array_equal(dearer.spot_layer_price, 2 * scenario.spot_layer_price)
        assert np.array_equal(dearer.stay, scenario.stay)
        with pytest.raises(AttributeError, match="price_of_bread"):
            _ = found.price_of_bread


def test_what_is_written_into_an_array_of_a_packed_future_is_lost() -> None:
    found = packed(small_futures()[0], SharedRows())
    found.stay[:] = 7.0
    assert found.stay.max() <= 1.0


@pytest.mark.parametrize("kept", ["plain", "packed together", "packed apart", "packed and plain"])
@pytest.mark.parametrize("name", LARGE)
def test_one_array_of_several_futures_is_that_of_each(kept: str, name: str) -> None:
    plain, together = small_futures(), SharedRows()
    futures: dict[str, list[Scenario]] = {
        "plain": list(plain),
        "packed together": [packed(scenario, together) for scenario in plain],
        "packed apart": [packed(scenario, SharedRows()) for scenario in plain],
        "packed and plain": [packed(plain[0], together), *plain[1:]],
    }

    assert np.array_equal(across(futures[kept], name), [getattr(scenario, name) for scenario in plain])
    last = tuple(size - 1 for size in getattr(plain[0], name).shape[:2])
    assert np.array_equal(across(futures[kept], name, last), [getattr(scenario, name)[last] for scenario in plain])


def with_future(**changes: Callable[[Any], Any]) -> Problem:
    """The small problem, its first future packed and changed."""
    problem, shared = small_problem(), SharedRows()
    first, *others = problem.scenarios
    changed = replace(first, **{name: change(getattr(first, name).copy()) for name, change in changes.items()})
    return replace(problem, scenarios=tuple(packed(scenario, shared) for scenario in (changed, *others)))


def _first(array: Any, value: float) -> Any:
    array.flat[0] = value
    return array


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"stay": lambda stay: stay[:, :, :-1]}, r"few arrivals: stay has shape .* for \[cohort, source, period\]"),
        (
            {"lot_price": lambda price: _first(price, np.nan)},
            "few arrivals: lot_price holds a value that is not a number",
        ),
        (
            {"stay": lambda stay: _first(stay, 2.0)},
            "few arrivals: some source is stayed with longer than no registered",
        ),
        (
            {"spot_layer_beds": lambda beds: _first(beds, np.inf)},
            "few arrivals: a spot layer is unlimited in some periods",
        ),
        (
            {"spot_layer_beds": lambda beds: beds[:, :1]},
            "many arrivals: spot_layer_beds has shape .* that of few arrivals",
        ),
    ],
)
def test_futures_that_do_not_agree_are_named(changes: dict[str, Callable[[Any], Any]], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        with_future(**changes)


def test_futures_are_looked_at_once_and_again_where_they_or_what_they_go_with_changed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    problem, looked = small_problem(), list[str]()
    look = module._wrong_future

    def noted(scenario: Scenario, *others: Any) -> list[str]:
        looked.append(scenario.name)
        return look(scenario, *others)

    monkeypatch.setattr(module, "_wrong_future", noted)
    limited = replace(problem, registrations_limit=0, envelopes=())
    assert looked == [] and limited.scenarios is problem.scenarios

    replace(problem, scenarios=tuple(problem.scenarios))
    assert looked == [scenario.name for scenario in problem.scenarios]
    with pytest.raises(ValueError, match="extension_delivered has shape"):
        replace(problem, extensions=(*problem.extensions, Extension(0, None, 1, 0, 0, None)))
    with pytest.raises(ValueError, match=r"add up to 0\.6"):
        replace(problem, scenarios=tuple(problem.scenarios[:1]))


@pytest.mark.parametrize("colliding", [False, True], ids=["as they are", "all hashes alike"])
def test_rows_that_futures_share_come_back_as_they_were(colliding: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    if colliding:
        monkeypatch.setattr(module, "hash", lambda content: 7, raising=False)
    draw = np.random.default_rng(5)
    arrays = [draw.integers(0, 3, size=(4, 5, length)).astype(float) for length in (2, 3, 2, 6) * 5]
    shared = SharedRows()
    kept = [shared.of(array) for array in arrays]
    for array, rows in zip(arrays, kept, strict=True):
        assert rows.shape == array.shape
        assert np.array_equal(rows.whole(), array)
    # of numbers from three values there are nine rows of two, the one of zeros among them
    assert len(kept[0].table.matrix) == 9
