"""Stress futures with names: the futures of an instance with one thing laid on that nobody drew.

The draws stay what they are, so that a plan under a stress and the plan as it was are compared on the same children, dates
and prices but for what the stress changes. What can be decided, and what is known when deciding, stays as well: envelopes,
dates, registrations in hand at their planning quantile. An instance may add stresses of its own in ``stresses.csv``.
"""

from __future__ import annotations

import re
from calendar import month_name as month_names
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from difflib import get_close_matches

import numpy as np
from numpy.typing import NDArray

from models.problem import Problem, SharedRows, packed
from optimiser.demand.scenarios import ScenarioSet, calendar_of
from optimiser.errors import Fault, InstanceError
from optimiser.finance import Calendar, month_number
from optimiser.instance.checks import EFFECTS
from optimiser.instance.distributions import Distribution
from optimiser.instance.schema import Existing, Home, Instance, Lot, StressRow

Floats = NDArray[np.float64]

#: The word that asks for every stress.
ALL = "all"
#: Month of the horizon from which a provider is lost, where nothing else is said.
FAILURE_FROM = 24

#: Stresses that any instance can be put under, with their parameters.
STRESSES: tuple[StressRow, ...] = (
    StressRow(stress="more-arrivals", title="Half as many arrivals again", effect="arrivals-factor", value=1.5),
    StressRow(stress="slow-registration", title="Registration takes 18 months", effect="registration-months", value=18),
    StressRow(stress="prices-rise", title="Spot prices rise by a tenth a year", effect="price-growth", value=0.1),
    StressRow(
        stress="unregistered-cheaper",
        title="The price of having no registered place falls",
        effect="unregistered-growth",
        value=-0.15,
    ),
    StressRow(stress="provider-failure", title="A provider fails for a year", effect="provider-failure", value=12),
    StressRow(stress="home-empty", title="Homes stand empty for six months", effect="home-empty", value=6),
)


@dataclass(frozen=True)
class Stress:
    """A named stress: rows that are laid on together."""

    name: str
    title: str
    effects: tuple[StressRow, ...]

    def words(self, instance: Instance) -> str:
        """What it does to the instance, in a sentence with its figures."""
        return "; ".join(_LAYING[row.effect].words(instance, row) for row in self.effects) + "."

    def nothing_to_lay_on(self, instance: Instance) -> str | None:
        """Why it can do nothing to the instance, in words; None where it can."""
        reasons = [_LAYING[row.effect].missing(instance, row) for row in self.effects]
        return None if None in reasons else "; ".join(reason for reason in reasons if reason)

    def on_instance(self, instance: Instance) -> Instance:
        """The instance that futures under the stress are drawn from."""
        for row in self.effects:
            instance = _LAYING[row.effect].instance(instance, row)
        return instance

    def on_futures(self, instance: Instance, futures: ScenarioSet) -> ScenarioSet:
        """Futures drawn, with what no distribution of an instance can say."""
        for row in self.effects:
            if row.effect == "registration-months":
                futures = _registration(instance, futures, row)
        return futures

    def on_problem(self, instance: Instance, problem: Problem) -> Problem:
        """The problem without the beds of a provider that fails."""
        for row in self.effects:
            if row.effect == "provider-failure":
                problem = _without_provider(instance, problem, row)
        return problem


def stresses_of(instance: Instance) -> dict[str, Stress]:
    """Every stress of an instance by name: its own, which may replace a common one, and the common ones."""
    own: dict[str, list[StressRow]] = {}
    for row in instance.stresses:
        own.setdefault(row.stress, []).append(row)
    common = {row.stress: [row] for row in STRESSES if row.stress not in own}
    return {name: Stress(name, rows[0].title, tuple(rows)) for name, rows in (own | common).items()}


def stresses_asked(instance: Instance, asked: Sequence[str]) -> tuple[list[Stress], list[tuple[Stress, str]]]:
    """Stresses as the command line asks for them, and those of ``all`` that can do nothing here, with the reason.

    Parameters
    ----------
    asked
        ``NAME``, or ``NAME=VALUE``, ``NAME@ITEM`` and ``NAME=VALUE@ITEM`` for other parameters; ``all`` for every one.

    Raises
    ------
    InstanceError
        Where a name is not known, a parameter is out of its range, or the stress has nothing here to be laid on.
    """
    known = stresses_of(instance)
    found: dict[str, Stress] = {}
    left_out: list[tuple[Stress, str]] = []
    faults: list[Fault] = []
    for written in asked:
        if written == ALL:
            for stress in known.values():
                reason = stress.nothing_to_lay_on(instance)
                if reason is None:
                    found.setdefault(stress.name, stress)
                else:
                    left_out.append((stress, reason))
            continue
        try:
            stress = _with_parameters(instance, known, written)
            reason = stress.nothing_to_lay_on(instance)
            if reason is not None:
                raise _Unusable(f"can do nothing here: {reason}", "Leave it out.")
            found[written] = stress
        except _Unusable as error:
            faults.append(Fault("the command", None, "--stress", written, error.rule, error.fix))
    if faults:
        raise InstanceError(faults, instance.settings.name)
    return list(found.values()), left_out


class _Unusable(Exception):
    def __init__(self, rule: str, fix: str) -> None:
        super().__init__(rule)
        self.rule, self.fix = rule, fix


def _with_parameters(instance: Instance, known: dict[str, Stress], written: str) -> Stress:
    match = re.fullmatch(r"([^=@]+)(?:=([^@]*))?(?:@(.*))?", written)
    name, value, item = match.groups() if match else (written, None, None)
    if name not in known:
        close = get_close_matches(name, known, n=1)
        fix = (f"Did you mean {close[0]}? " if close else "") + f"Known: {', '.join(known)}; or {ALL}."
        raise _Unusable("is no stress of the instance", fix)
    stress = known[name]
    if value is None and item is None:
        return stress
    if len(stress.effects) > 1:
        raise _Unusable("takes no parameters: it has several effects", "Change them in stresses.csv.")
    (row,) = stress.effects
    targets, least, most = EFFECTS[row.effect]
    if item is not None:
        items = [str(next(iter(each.__dict__.values()))) for table in targets for each in getattr(instance, table)]
        if item not in items:
            raise _Unusable(f"names {item}, which it cannot be laid on", f"After @, one of: {', '.join(items)}.")
        row = row.model_copy(update={"item": item})
    if value is not None:
        try:
            number = float(value)
        except ValueError:
            number = np.nan
        if not least <= number <= most or number == np.inf:
            fix = f"After =, a number of at least {least:g}" + ("." if most == np.inf else f" and at most {most:g}.")
            raise _Unusable(f"has {value or 'nothing'} for a value", fix)
        row = row.model_copy(update={"value": number})
    return Stress(written, stress.title, (row,))


# what is laid on


@dataclass(frozen=True)
class _Laying:
    """How one kind of effect is told, when it has nothing to work on, and what it makes of an instance."""

    words: Callable[[Instance, StressRow], str]
    missing: Callable[[Instance, StressRow], str | None] = lambda instance, row: None
    instance: Callable[[Instance, StressRow], Instance] = lambda instance, row: instance


def _whose(row: StressRow, everyone: str) -> str:
    return everyone if row.item is None else row.item


def _multiplied(instance: Instance, row: StressRow) -> Instance:
    """Arrivals, a census, and the arrivals of a table of futures, times a factor."""

    def times(distribution: Distribution) -> Distribution:
        return distribution.moved_to(distribution.mean * row.value) if distribution.mean else distribution

    def concerned(cohort: str | None) -> bool:
        return row.item in (None, cohort)

    cohorts = tuple(
        each.model_copy(update={"arrivals_per_month": times(each.arrivals_per_month)})
        if concerned(each.cohort) and each.arrivals_per_month is not None
        else each
        for each in instance.cohorts
    )
    arrivals = tuple(
        each.model_copy(update={"mean": each.mean * row.value}) if concerned(each.cohort) else each
        for each in instance.arrivals
    )
    census = tuple(
        each.model_copy(update={"children": times(each.children)}) if concerned(each.cohort) else each
        for each in instance.census
    )
    table = tuple(
        each.model_copy(update={"value": each.value * row.value})
        if each.quantity == "arrivals" and concerned(each.item)
        else each
        for each in instance.scenarios
    )
    changed = {"cohorts": cohorts, "arrivals": arrivals, "census": census, "scenarios": table}
    return instance.model_copy(update=changed)


def _at_level(instance: Instance, row: StressRow) -> Instance:
    """So many arrivals a month in every future, without growth."""
    level = {"arrivals_per_month": _fixed(row.value), "growth_per_year": _fixed(0.0)}
    cohorts = tuple(each.model_copy(update=level) if each.cohort == row.item else each for each in instance.cohorts)
    arrivals = tuple(each for each in instance.arrivals if each.cohort != row.item)
    table = tuple(each for each in instance.scenarios if not (each.quantity == "arrivals" and each.item == row.item))
    return instance.model_copy(update={"cohorts": cohorts, "arrivals": arrivals, "scenarios": table})


def _fixed(value: float) -> Distribution:
    return Distribution("fixed", (value,))


def _prices(instance: Instance, row: StressRow) -> Instance:
    """Spot prices that grow by so much a year; with them, where all do, the price of having no registered place."""
    growth = {"growth_per_year": _fixed(row.value)}
    spots = tuple(each.model_copy(update=growth) if row.item in (None, each.spot) else each for each in instance.spots)
    table = tuple(
        each for each in instance.scenarios if not (each.quantity == "price-growth" and row.item in (None, each.item))
    )
    changed = instance.model_copy(update={"spots": spots, "scenarios": table})
    return changed if row.item is not None else _unregistered(changed, row)


def _unregistered(instance: Instance, row: StressRow) -> Instance:
    growth = {"unregistered_growth_per_year": _fixed(row.value)}
    return instance.model_copy(update={"settings": instance.settings.model_copy(update=growth)})


def _empty(instance: Instance, row: StressRow) -> Instance:
    """The council's homes are open, staffed and paid for, and nobody lives there in their first months."""
    homes = tuple(
        each.model_copy(update={"opening_profile": (*[0.0] * round(row.value), *each.opening_profile)})
        if each in _own_homes(instance, row)
        else each
        for each in instance.homes
    )
    return instance.model_copy(update={"homes": homes})


def _own_homes(instance: Instance, row: StressRow) -> list[Home]:
    return [home for home in instance.homes if home.operator == "council" and row.item in (None, home.home)]


def _registration(instance: Instance, futures: ScenarioSet, row: StressRow) -> ScenarioSet:
    months = futures.registration_months.copy()
    months[:, [row.item in (None, home.home) for home in instance.homes]] = np.ceil(row.value)
    return replace(futures, registration_months=months)


# providers


def failing(instance: Instance, row: StressRow) -> list[Lot] | list[Existing]:
    """The contracts whose provider fails: the one named, or the largest in place then, or the largest lot on offer.

    Alternatives are one provider's offer on other terms, and fail together.
    """
    existing = [each for each in instance.existing if each.supply == row.item]
    lots = [each for each in instance.lots if each.lot == row.item]
    if row.item is None:
        calendar, (first, _) = calendar_of(instance), _failure_months(instance, row)
        in_place = [each for each in instance.existing if each.until is None or calendar.month_of(each.until) > first]
        if in_place or not instance.lots:
            existing = [max(in_place or instance.existing, key=lambda each: each.beds)]
        else:
            lots = [max(instance.lots, key=lambda each: each.maximum_beds)]
    if existing:
        return existing
    (lot,) = lots
    return [
        each for each in instance.lots if each is lot or (lot.alternatives and each.alternatives == lot.alternatives)
    ]


def _name(contract: Lot | Existing) -> str:
    return contract.supply if isinstance(contract, Existing) else contract.lot


def _failure_months(instance: Instance, row: StressRow) -> tuple[int, int]:
    """First month of the failure and the first after it, from the start of the horizon."""
    calendar = calendar_of(instance)
    start = min(FAILURE_FROM, calendar.months // 2) if row.start is None else calendar.month_of(row.start)
    return start, start + round(row.value)


def _lost_share(calendar: Calendar, first: int, end: int) -> Floats:
    """Part of each period that lies within some months, [period]."""
    months = np.arange(calendar.months)
    return calendar.mean_by_period(((months >= first) & (months < end)).astype(float))


def _without_provider(instance: Instance, problem: Problem, row: StressRow) -> Problem:
    names = {_name(contract) for contract in failing(instance, row)}
    left = 1 - _lost_share(calendar_of(instance), *_failure_months(instance, row))
    lots = [place for place, name in enumerate(problem.lots) if name in names]
    supplies = [place for place, name in enumerate(problem.supplies) if name in names]
    extended = [
        place
        for place, extension in enumerate(problem.extensions)
        if extension.supply in supplies or (extension.award is not None and problem.awards[extension.award].lot in lots)
    ]
    shared = SharedRows()
    scenarios = (
        replace(
            scenario,
            lot_delivered=_times(scenario.lot_delivered, lots, left),
            supply_beds=_times(scenario.supply_beds, supplies, left),
            supply_commitment=_times(scenario.supply_commitment, supplies, left),
            extension_delivered=_times(scenario.extension_delivered, extended, left),
            supply_extension_beds=_times(scenario.supply_extension_beds, extended, left),
            supply_extension_cost=_times(scenario.supply_extension_cost, extended, left),
        )
        for scenario in problem.scenarios
    )
    return replace(problem, scenarios=tuple(packed(scenario, shared) for scenario in scenarios))


def _times(array: Floats, places: list[int], factor: Floats) -> Floats:
    found = np.array(array)
    found[places] *= factor
    return found


# in words


def _arrivals_words(instance: Instance, row: StressRow) -> str:
    return f"Arrivals ({_whose(row, 'all cohorts')}) are {row.value:g} times what is drawn"


def _level_words(instance: Instance, row: StressRow) -> str:
    return f"Arrivals ({row.item}) are {row.value:g} a month on average, without growth"


def _registration_words(instance: Instance, row: StressRow) -> str:
    return f"Registration ({_whose(row, 'all homes')}) takes {row.value:g} months"


def _price_words(instance: Instance, row: StressRow) -> str:
    with_it = "" if row.item else ", and that of having no registered place"
    return f"Spot prices ({_whose(row, 'all markets')}){with_it} change by {row.value:+.0%} a year, nominal"


def _unregistered_words(instance: Instance, row: StressRow) -> str:
    return f"The price of having no registered place changes by {row.value:+.0%} a year, nominal"


def _failure_words(instance: Instance, row: StressRow) -> str:
    first, end = _failure_months(instance, row)
    year, month = divmod(month_number(instance.settings.first_month) + first, 12)
    start = f"{month_names[month + 1]} {year}"
    names = " or ".join(_name(contract) for contract in failing(instance, row))
    return f"No bed of {names} is there, or paid for, for {end - first} months from {start}"


def _empty_words(instance: Instance, row: StressRow) -> str:
    whose = _whose(row, "all types")
    return f"Each home of the council's own ({whose}) stands empty, and is paid for, in its first {row.value:g} months"


def _unless(there: bool, reason: str) -> str | None:
    return None if there else reason


_LAYING: dict[str, _Laying] = {
    "arrivals-factor": _Laying(_arrivals_words, instance=_multiplied),
    "arrivals-per-month": _Laying(_level_words, instance=_at_level),
    "registration-months": _Laying(
        _registration_words, lambda instance, row: _unless(bool(instance.homes), "there is no home to register")
    ),
    "price-growth": _Laying(
        _price_words, lambda instance, row: _unless(bool(instance.spots), "there is no spot market"), _prices
    ),
    "unregistered-growth": _Laying(_unregistered_words, instance=_unregistered),
    "provider-failure": _Laying(
        _failure_words,
        lambda instance, row: _unless(bool(instance.lots or instance.existing), "there is no contract"),
    ),
    "home-empty": _Laying(
        _empty_words,
        lambda instance, row: _unless(bool(_own_homes(instance, row)), "the council has no home of its own"),
        _empty,
    ),
}
