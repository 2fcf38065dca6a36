"""Limits that cannot be kept together: named, with the least change of each side; and searches stopped too soon."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from optimiser.analysis.appraisal import best_plan
from optimiser.analysis.planning import Asked, prepare
from optimiser.errors import InfeasibleError, NoPlanError
from optimiser.instance.schema import Instance
from optimiser.plan import Plan
from optimiser.solve.twostage import Settings
from tests.test_assemble import HOME, tiny

#: Two children for two years, who would live in the second home.
TWO_CHILDREN = 2 * 2 * 52


def short(
    child_weeks: float = 10,
    capital: float = 1_500_000,
    homes: int = 2,
    settings: dict[str, Any] | None = None,
    **more: Any,
) -> Instance:
    """Five children, one spot place, and homes of two beds at a million each that open as they are begun.

    Both homes are needed; one leaves two children without a registered place throughout.
    """
    tables: dict[str, Any] = {
        "cohorts": [{"cohort": "children", "authority": "council", "title": "All"}],
        "homes": [
            HOME
            | {"lead_months": 0, "registration_delay_months": 0, "begin_until": "2025-04", "available": homes}
            | more.pop("home", {})
        ],
        "layers": [{"spot": "market", "beds": 1, "gbp_per_week": 5_000}],
        "placements": [
            {"cohort": "children", "source": "market", "children_at_start": 1},
            {"cohort": "children", "source": "two-bed"},
            {"cohort": "children", "source": "unregistered", "children_at_start": 4},
        ],
        "tolerances": [{"limit": "few", "child_weeks": child_weeks}],
        "capital": [{"envelope": "programme", "year": "total", "limit_gbp": capital}],
    }
    return tiny(settings, **(tables | more))


def plan_of(instance: Instance, futures: int = 1) -> Plan:
    prepared, engine = prepare(instance, Asked(scenarios=futures))
    return best_plan(prepared, engine, Settings())


def clash_of(instance: Instance, futures: int = 1) -> tuple[str, list[str], list[str]]:
    """First line, the sides of the clash, and the changes that would resolve it."""
    with pytest.raises(InfeasibleError) as raised:
        plan_of(instance, futures)
    assert raised.value.exit_code == 3
    lines = str(raised.value).splitlines()
    heads = [place for place, line in enumerate(lines) if not line.startswith("  • ")]
    assert len(heads) == 2
    sides, changes = lines[1 : heads[1]], lines[heads[1] + 1 :]
    return lines[0], [line.removeprefix("  • ") for line in sides], [line.removeprefix("  • ") for line in changes]


def test_without_the_clash_there_is_a_plan() -> None:
    assert plan_of(short(capital=2_000_000)).decisions.homes_begun.sum() == 2
    assert plan_of(short(child_weeks=250)).decisions.homes_begun.sum() == 1


def test_the_smallest_clash_names_its_two_sides_and_no_other() -> None:
    first, sides, _ = clash_of(short())
    assert first == "No plan keeps every limit. These cannot be kept together:"
    assert sides == [
        "child-weeks expected, no registered home found, council (tolerance few), at most: 10.0 child-weeks",
        "capital envelope (programme): £1,500,000",
    ]


def test_each_side_has_the_least_change_that_makes_a_plan_possible() -> None:
    _, _, changes = clash_of(short())
    assert changes == [
        f"child-weeks expected, no registered home found, council (tolerance few), at most: {TWO_CHILDREN}.0 child-weeks "
        "instead of 10.0 child-weeks",
        "capital envelope (programme): £2,000,000 instead of £1,500,000",
    ]


@pytest.mark.parametrize(
    ("enough", "too_little"),
    [
        ({"capital": 2_000_000}, {"capital": 1_999_000}),
        ({"child_weeks": TWO_CHILDREN}, {"child_weeks": TWO_CHILDREN - 0.1}),
    ],
    ids=["capital", "tolerance"],
)
def test_the_least_change_is_enough_and_a_little_less_is_not(
    enough: dict[str, float], too_little: dict[str, float]
) -> None:
    assert not plan_of(short(**enough)).verified.violations
    with pytest.raises(InfeasibleError):
        plan_of(short(**too_little))


def test_homes_to_be_had_can_be_a_side() -> None:
    _, sides, changes = clash_of(short(capital=9_000_000, homes=1))
    assert [side.partition(":")[0] for side in sides][1:] == ["homes to be had (two-bed)"]
    assert changes[1] == "homes to be had (two-bed): 2 homes instead of 1 homes"


def test_registrations_in_hand_can_be_a_side() -> None:
    instance = short(
        child_weeks=4 * 13 + 10,
        capital=9_000_000,
        settings={"registrations_limit": 1},
        home={"registration_delay_months": 3},
    )
    _, sides, changes = clash_of(instance)
    assert [side.partition(":")[0] for side in sides][1:] == ["registrations in hand at once"]
    assert changes[1] == "registrations in hand at once: 2 homes instead of 1 homes"


def test_managers_can_be_a_side() -> None:
    settings = {"homes_per_manager": 1, "managers_at_start": 1}
    _, sides, changes = clash_of(short(capital=9_000_000, settings=settings))
    assert [side.partition(":")[0] for side in sides][1:] == ["registered managers by the end"]
    assert changes[1] == "registered managers by the end: 2 managers instead of 1 managers"


def test_capital_of_one_financial_year_can_be_a_side() -> None:
    years = [
        {"envelope": "programme", "year": "2025/26", "limit_gbp": 1_200_000},
        {"envelope": "programme", "year": "2026/27", "limit_gbp": 3_000_000},
    ]
    _, sides, changes = clash_of(short().model_copy(update={"capital": tiny(capital=years).capital}))
    assert [side.partition(":")[0] for side in sides][1:] == ["capital envelope (programme) to the end of 2025/26"]
    assert changes[1].endswith(": £2,000,000 instead of £1,200,000")


def test_a_tolerance_that_nothing_else_can_help_stands_alone() -> None:
    # no home before the second month: four children for a month, whatever is spent
    instance = short(capital=9_000_000, home={"registration_delay_months": 1})
    first, sides, changes = clash_of(instance)
    assert first.startswith("No plan keeps this limit, whatever is changed about capital")
    assert len(sides) == len(changes) == 1
    month = 4 * 52 / 12
    assert f"{month + 0.05:.1f} child-weeks instead of 10.0 child-weeks" in changes[0]
    assert not plan_of(
        short(capital=9_000_000, child_weeks=17.4, home={"registration_delay_months": 1})
    ).verified.violations


def dear(limit: float) -> Instance:
    """Homes that cost three times what unregistered placements do."""
    settings = {"cvar_limit_gbp": limit, "cvar_level": 0.5, "deterrent_gbp_per_week": 0}
    return short(capital=9_000_000, settings=settings, home={"fixed_gbp_per_year": 3_000_000})


def test_a_limit_on_the_tail_can_clash_with_what_is_tolerated() -> None:
    _, sides, changes = clash_of(dear(6_000_000))
    assert sides[1] == "mean cost of the worst futures, at most: £6,000,000"
    assert changes[0].endswith("416.0 child-weeks instead of 10.0 child-weeks")
    # two homes, their running for two years, and one spot place, less ten tolerated child-weeks at most
    needed = 2 * (1_000_000 + 2 * 3_000_000) + 104 * 5_000
    wanted = int(changes[1].partition(": £")[2].partition(" ")[0].replace(",", ""))
    assert wanted == pytest.approx(needed, abs=100_000)
    assert not plan_of(dear(wanted)).verified.violations
    with pytest.raises(InfeasibleError):
        plan_of(dear(wanted - 5_000))


def test_the_clash_of_uncertain_futures_is_found_on_all_of_them() -> None:
    cohort = {"cohort": "children", "authority": "council", "title": "All", "mean_stay_months": 30}
    instance = short(child_weeks=1, capital=1_500_000, cohorts=[cohort | {"arrivals_per_month": 0.1}])
    _, sides, changes = clash_of(instance, futures=6)
    tolerated = float(changes[0].partition("at most: ")[2].partition(" ")[0])
    assert tolerated > 1
    assert sides[0].endswith("1.0 child-weeks")
    eased = short(child_weeks=tolerated, capital=1_500_000, cohorts=[cohort | {"arrivals_per_month": 0.1}])
    assert not plan_of(eased, futures=6).verified.violations


# stopped too soon


@pytest.mark.parametrize("method", ["extensive", "lshaped"])
def test_a_search_stopped_before_it_began_has_a_plan_or_says_that_there_is_none(method: str) -> None:
    instance, engine = prepare(short(capital=2_000_000), Asked(scenarios=1))
    stop = threading.Event()
    stop.set()
    for settings in (Settings(stop=stop), Settings(time_limit=0.0)):
        try:
            plan = best_plan(instance, engine, settings, method=method)
        except NoPlanError as error:
            assert error.exit_code == 4
            assert "before any plan was found" in str(error)
        else:
            assert not plan.verified.violations
