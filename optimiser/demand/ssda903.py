"""A council's SSDA903 returns as placements: read, reconciled, counted, and without anything that says who a child is.

Source: DfE, *Children looked-after by local authorities in England: guide to the SSDA903 collection*, 2024/25 and before.
``records.reading`` says what is a fault, ``records.placements`` by which rules rows become placements.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd

from optimiser.demand.records import placements as rules
from optimiser.demand.records.costs import read_costs, with_costs
from optimiser.demand.records.reading import read_filed
from optimiser.errors import Fault, InstanceError

#: Smallest count of children observed in records that may be published.
PUBLISHABLE = 5


@dataclass(frozen=True, eq=False)
class Reconciliation:
    """What became of each row of Episodes: every row read is used, merged, cut or dropped, once.

    Attributes
    ----------
    rows
        One row per row of Episodes read, in the order of reading: ``file``, ``row`` (line of the file), ``outcome``,
        ``reason``, ``placement`` (row of the placements table that it is part of, -1 for none).
        *used*: begins a placement, dates as filed; *merged*: continues one, dates as filed; *cut*: begins or continues
        one, with an earlier end than filed; *dropped*: part of none.
    children_without_age, children_without_episodes, children_with_two_births
        Children with episodes and no date of birth (their age is unknown), with a header and no episodes, and with more
        than one date of birth (the later header counts).
    """

    rows: pd.DataFrame = field(repr=False)
    children_without_age: int
    children_without_episodes: int
    children_with_two_births: int = 0

    @property
    def episodes_read(self) -> int:
        """Rows of Episodes read."""
        return len(self.rows)

    def counts(self) -> dict[str, int]:
        """Rows by outcome. They add up to ``episodes_read``."""
        found = self.rows["outcome"].value_counts()
        outcomes = (rules.USED, rules.MERGED, rules.CUT, rules.DROPPED)
        return {outcome: int(found.get(outcome, 0)) for outcome in outcomes}

    def published(self) -> list[dict[str, str]]:
        """Rows by ``outcome`` and ``reason`` with ``episodes`` as they may be published.

        Within an outcome the reasons are parts of its total, and the outcomes parts of the rows read.
        """
        outcomes = suppressed_parts(self.counts())
        found = [{"outcome": outcome, "reason": "all", "episodes": shown} for outcome, shown in outcomes.items()]
        for outcome, part in self.reasons().groupby("outcome", sort=False):
            parts = dict(zip(part["reason"], part["episodes"].astype(int), strict=True))
            # parts of a total that is not shown would add up to it
            if len(parts) > 1 and outcomes[str(outcome)] == f"{sum(parts.values()):,}":
                shown = suppressed_parts(parts)
                found += [{"outcome": str(outcome), "reason": name, "episodes": shown[name]} for name in parts]
        return found

    def reasons(self) -> pd.DataFrame:
        """Rows by ``outcome`` and ``reason``: exact, for the analyst; ``published`` is for everyone else."""
        counted = self.rows.groupby(["outcome", "reason"], sort=True).size()
        return counted.rename("episodes").reset_index()


@dataclass(frozen=True, eq=False)
class Returns:
    """Placements of looked-after children in beds, from a council's returns.

    Attributes
    ----------
    placements
        One row per placement with at least a night in the years read, by child and start:

        - ``child``: running number from 1, in the order of reading; says nothing about who the child is
        - ``care_spell``: number of the stay in care within the child, from 1
        - ``start``, ``end``: first day, and the day it ended (not counted); of a censored one the day after the last
          day known
        - ``start_period``, ``end_period``: months of the first and last night, counted from the first April read
          (negative before it)
        - ``category``, ``place``, ``provider``: kind of placement, PLACE code at start, sector of the provider
        - ``came_from``, ``went_to``: category before and after in the same stay in care, ``entered-care``,
          ``left-care``, ``open``, or ``not-recorded`` where the records begin or stop without a reason
        - ``age_at_start``: whole years, -1 where no header gives a date of birth
        - ``sex``, ``uasc`` (ever in the UASC table), ``need`` (CIN code) and ``legal_status`` at start
        - ``days_in_care_before``: since the stay in care began, as far as the records show it
        - ``location`` (in or out of the area), ``distance_band``: where the records give them, else ``unknown``
        - ``gbp_per_week``, ``sourcing``: what it costs and how it was bought, where a cost file says so, else NaN and
          ``not-recorded``
        - ``censored``: open when last heard of; ``truncated``: began before the first return, so that it is here only
          because it lasted; ``start_known``: false where the rows show that it began before ``start``, in episodes that
          ended before the first return (only the legal status changed since, or the child was away for some nights)
    reconciliation
        What became of each row read.
    first_day, end_day
        Days covered: from the first of April of the first return up to, not including, the first of April after the last.
    years
        Financial years covered, in words.
    """

    placements: pd.DataFrame = field(repr=False)
    reconciliation: Reconciliation
    first_day: np.datetime64
    end_day: np.datetime64
    years: str


def read_returns(paths: Iterable[Path], costs: Sequence[Path] = ()) -> Returns:
    """Read SSDA903 returns of one council, of one or more consecutive years.

    Parameters
    ----------
    paths
        Files, or folders with files in them, however they are called: CSV recognised by columns, and the XML form.
    costs
        Files of what placements or homes cost (``records.costs``); what a later file says counts.

    Raises
    ------
    InstanceError
        With every fault found, by file and row: what cannot be read, is no return, lacks columns, has unknown codes,
        impossible dates or an end before its beginning, mixes years, or leaves a year out between others.
    """
    filed = read_filed(paths)
    found = [read_costs(path) for path in costs]
    resolved = rules.resolve(filed)
    account = Reconciliation(
        resolved.rows, filed.children_without_age, filed.children_without_episodes, filed.children_with_two_births
    )
    _check_apart(account)
    window = resolved.window
    first, end = (np.datetime64(day, "D") for day in (window.first, window.end))
    placements = with_costs(resolved.placements, resolved.homes, filed, found)
    return Returns(placements, account, first, end, str(window))


def _check_apart(account: Reconciliation) -> None:
    """Children are told apart: a child is in one place, so that few rows overlap another of the same child."""
    reason = account.rows["reason"]
    clash = int((reason.str.endswith(rules.CUT_AT_NEXT) | (reason == rules.SAME_DAY)).sum())
    rows = int((~reason.isin([rules.REPEATED, rules.SUPERSEDED])).sum())
    if clash > max(PUBLISHABLE, rows / 2):
        rule = f"does not tell children apart: {100 * clash / rows:.0f}% of the rows overlap another of the same child"
        fix = "Export the returns with the number that the council keeps for each child."
        raise InstanceError([Fault("the records", None, "CHILD", "", rule, fix)], "the records")


def daily_stock(returns: Returns) -> pd.DataFrame:
    """Children in beds each night: index ``day``, a column per category in alphabetical order [children].

    A child is counted on the day a placement begins and not on the day it ends.
    """
    nights = int((returns.end_day - returns.first_day).astype(np.int64))
    table = returns.placements
    names = sorted(table["category"].unique())
    category = pd.Categorical(table["category"], categories=names).codes.astype(np.int64)
    begun, ended = (
        np.clip((table[column].to_numpy("datetime64[D]") - returns.first_day).astype(np.int64), 0, nights)
        for column in ("start", "end")
    )
    change = np.zeros((nights + 1, len(names)), dtype=np.int64)
    np.add.at(change, (begun, category), 1)
    np.add.at(change, (ended, category), -1)
    days = pd.date_range(returns.first_day, periods=nights, name="day")
    return pd.DataFrame(change.cumsum(axis=0)[:nights], index=days, columns=names)


def suppressed(count: int) -> str:
    """A count of children observed in records as it may be published: 1 to 4 are not shown, none is."""
    return f"fewer than {PUBLISHABLE}" if 0 < count < PUBLISHABLE else f"{count:,}"


def suppressed_parts(counts: Mapping[str, int]) -> dict[str, str]:
    """Parts of a published total: where one alone is suppressed so is the next smallest, lest it be subtracted."""
    shown = {name: suppressed(count) for name, count in counts.items()}
    hidden = [name for name, count in counts.items() if 0 < count < PUBLISHABLE]
    others = {name: count for name, count in counts.items() if count >= PUBLISHABLE}
    if len(hidden) == 1 and others:
        shown[min(others, key=lambda name: others[name])] = "suppressed"
    return shown
