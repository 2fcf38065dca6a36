"""Need profiles: which cohort a placement belongs to, and which of an instance's sources it lives in.

A profile is a rule over age at placement, category of placement, provider and weekly cost. The first rule that fits counts;
placements that no rule fits are no part of what is planned (fostering, under the rules that are given). Rules of one's own
are a small TOML file::

    [[cohort]]
    name = "complex-needs"
    title = "Complex needs, 10 to 17"
    ages = [10, 17]                      # at placement, both counted
    categories = ["childrens-home", "secure-home"]
    providers = ["private", "voluntary"] # left out: any
    cost_from = 6000                     # £ a week, needs --costs
    cost_below = 12000

    [[source]]                           # where children who live there today are counted in the instance
    name = "council-homes"
    providers = ["own-council"]
    sourcing = ["block"]                 # needs --costs

    [[arrivals]]                         # a cohort whose arrivals come from a published table of counts by month
    cohort = "reception"
    share = "triangular(0.6, 0.75, 0.9)" # part of the counted who are of the cohort
    since = "2016-01"
    until = "2019-03"                    # first month left out
    derived_from = "figures.male-16-17-share.value"  # figures of the instance that the share rests on
"""

from __future__ import annotations

import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from optimiser.demand.records import codes
from optimiser.errors import Fault, InstanceError
from optimiser.instance.distributions import Distribution
from optimiser.instance.reading import plain_rule
from optimiser.instance.schema import Month, UncertainShare

#: Kinds of homes for children that a plan of beds is about.
HOMES = (codes.CHILDRENS_HOME.name, codes.SECURE_HOME.name, codes.CARE_HOME.name, codes.SCHOOL.name)
SUPPORTED = (codes.SUPPORTED.name, codes.SEMI_INDEPENDENT.name, codes.INDEPENDENT.name)
#: Oldest age that a rule can name.
OLDEST = 25
BEDS = tuple(sorted({kind.name for kind in codes.PLACES.values() if kind.is_bed}))
SECTORS = tuple(dict.fromkeys(codes.PROVIDERS.values()))

ShortName = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]*$", max_length=24)]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", arbitrary_types_allowed=True)


class CohortRule(_Part):
    """A need profile; what is left out is not asked."""

    name: ShortName
    title: str = ""
    ages: tuple[int, int] = (0, OLDEST)
    categories: tuple[str, ...] = HOMES
    providers: tuple[str, ...] = ()
    cost_from: Annotated[float, Field(ge=0)] | None = None
    cost_below: Annotated[float, Field(gt=0)] | None = None
    sources: tuple[str, ...] = ()

    @model_validator(mode="after")
    def _known(self) -> CohortRule:
        _all_known("categories", self.categories, BEDS)
        _all_known("providers", self.providers, SECTORS)
        if self.ages[0] > self.ages[1]:
            raise ValueError("ages are out of order")
        if self.ages[0] < 0:
            raise ValueError("ages begin below 0")
        if self.cost_from is not None and self.cost_below is not None and self.cost_from >= self.cost_below:
            raise ValueError("cost_from is not below cost_below")
        return self

    @property
    def asks_costs(self) -> bool:
        """Whether the rule needs to know what a placement costs."""
        return self.cost_from is not None or self.cost_below is not None


class SourceRule(_Part):
    """Which placements are counted in a source of the instance."""

    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]*$", max_length=40)]
    categories: tuple[str, ...] = ()
    providers: tuple[str, ...] = ()
    sourcing: tuple[str, ...] = ()

    @model_validator(mode="after")
    def _known(self) -> SourceRule:
        _all_known("categories", self.categories, BEDS)
        _all_known("providers", self.providers, SECTORS)
        return self


class CountedRule(_Part):
    """A cohort whose arrivals are a share of a published table of counts by month."""

    cohort: ShortName
    share: UncertainShare = Distribution("fixed", (1.0,))
    since: Month | None = None
    until: Month | None = None
    derived_from: str = ""


class Rules(_Part):
    """Need profiles in the order in which they are asked, and sources in theirs."""

    cohort: tuple[CohortRule, ...] = ()
    source: tuple[SourceRule, ...] = ()
    arrivals: tuple[CountedRule, ...] = ()

    @model_validator(mode="after")
    def _once(self) -> Rules:
        for names in (
            [rule.name for rule in self.cohort],
            [rule.name for rule in self.source],
            [rule.cohort for rule in self.arrivals],
        ):
            for name in names:
                if names.count(name) > 1:
                    raise ValueError(f"{name} is there twice")
        return self


def _all_known(what: str, names: Sequence[str], known: Sequence[str]) -> None:
    for name in names:
        if name not in known:
            raise ValueError(f"{name} is not one of the {what}: {', '.join(known)}")


UNDER_13 = CohortRule(name="homes-under-13", title="Children's homes, under 13 when placed", ages=(0, 12))
FROM_13 = CohortRule(name="homes-from-13", title="Children's homes, 13 and over when placed", ages=(13, OLDEST))
ALL_AGES = CohortRule(name="homes", title="Children's homes, all ages")
SUPPORT = CohortRule(name="supported", title="Supported and semi-independent accommodation", categories=SUPPORTED)
#: Where a cost file is given: £6,147 a week is what external placements cost on average (Lincolnshire 2024/25, in answer
#: to a request for information).
DEAR = CohortRule(name="homes-high-cost", title="Children's homes, £6,147 a week or more", cost_from=6147)

#: Sources of a new instance.
COUNCIL_HOMES, BLOCK, HOMES_SPOT, SUPPORT_SPOT = "council-homes", "current-contract", "spot-market", "supported-market"
SOURCES = (
    SourceRule(name=COUNCIL_HOMES, categories=HOMES, providers=("own-council",)),
    SourceRule(name=BLOCK, categories=HOMES, sourcing=("block",)),
    SourceRule(name=HOMES_SPOT, categories=HOMES),
    SourceRule(name=SUPPORT_SPOT, categories=SUPPORTED),
)


def usual_rules(with_costs: bool) -> Rules:
    """Children's homes by age when placed, and by cost where it is known; supported accommodation."""
    first = (DEAR,) if with_costs else ()
    return Rules(cohort=(*first, UNDER_13, FROM_13, SUPPORT), source=SOURCES)


def read_rules(path: Path) -> Rules:
    """Rules from a TOML file.

    Raises
    ------
    InstanceError
        With every fault found.
    """
    fix = "Rules are [[cohort]], [[source]] and [[arrivals]] tables: see the README."
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except OSError as error:
        fault = Fault(path.name, None, "", "", f"cannot be read: {error.strerror}", "Mend the path.")
        raise InstanceError([fault], "the rules") from None
    except ValueError as error:
        raise InstanceError([Fault(path.name, None, "", "", f"is not valid TOML: {error}", fix)], "the rules") from None
    try:
        rules = Rules.model_validate(values)
    except ValidationError as error:
        faults = []
        for details in error.errors():
            where = " ".join(str(part + 1) if isinstance(part, int) else part for part in details["loc"])
            faults.append(Fault(path.name, None, where, "", plain_rule(details), fix))
        raise InstanceError(faults, "the rules") from None
    if not rules.cohort and not rules.arrivals:
        raise InstanceError([Fault(path.name, None, "cohort", "", "has no cohort", fix)], "the rules")
    return rules if rules.source else rules.model_copy(update={"source": SOURCES})


def cohort_of(placements: pd.DataFrame, rules: Sequence[CohortRule]) -> npt.NDArray[np.int64]:
    """Number of the rule that each placement falls under, -1 for none. Where the age is not known, age is not asked."""
    found = np.full(len(placements), -1, dtype=np.int64)
    age = placements["age_at_start"].to_numpy(np.int64)
    cost = placements["gbp_per_week"].to_numpy(float)
    for number, rule in enumerate(rules):
        fits = np.isin(placements["category"].to_numpy(str), rule.categories)
        fits &= (age < 0) | ((age >= rule.ages[0]) & (age <= rule.ages[1]))
        if rule.providers:
            fits &= np.isin(placements["provider"].to_numpy(str), rule.providers)
        if rule.asks_costs:
            with np.errstate(invalid="ignore"):
                fits &= cost >= (rule.cost_from or 0.0)
                fits &= cost < (np.inf if rule.cost_below is None else rule.cost_below)
        found[(found < 0) & fits] = number
    return found


def source_of(placements: pd.DataFrame, rules: Sequence[SourceRule]) -> npt.NDArray[np.int64]:
    """Number of the rule that says where each placement is counted, -1 for none."""
    found = np.full(len(placements), -1, dtype=np.int64)
    for number, rule in enumerate(rules):
        fits = np.ones(len(placements), dtype=bool)
        for column, allowed in (
            ("category", rule.categories),
            ("provider", rule.providers),
            ("sourcing", rule.sourcing),
        ):
            if allowed:
                fits &= np.isin(placements[column].to_numpy(str), allowed)
        found[(found < 0) & fits] = number
    return found


def described(rule: CohortRule) -> str:
    """A rule in words, for the register and the diagnostics."""
    parts: list[Any] = [", ".join(rule.categories)]
    if rule.ages != (0, OLDEST):
        low, high = rule.ages
        parts.append(f"under {high + 1}" if low == 0 else f"{low} and over" if high >= OLDEST else f"{low} to {high}")
    if rule.providers:
        parts.append("provider " + ", ".join(rule.providers))
    if rule.cost_from is not None:
        parts.append(f"£{rule.cost_from:,.0f} a week or more")
    if rule.cost_below is not None:
        parts.append(f"under £{rule.cost_below:,.0f} a week")
    return "; ".join(parts)
