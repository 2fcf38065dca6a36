"""SSDA903 returns of children who never were, with the truth behind them known.

Children arrive, stay, move and leave by the rates of a ``Truth``, night by night; what happened is filed as councils
file it: a return a year, open episodes again in the next, legal statuses changing, stays in hospital, and the untidiness
of real files, which never changes what happened.
"""

from __future__ import annotations

import csv
import io
import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from datetime import date, timedelta
from pathlib import Path
from typing import Any, Literal
from xml.sax.saxutils import escape

import numpy as np
import pandas as pd

from optimiser.demand.records import codes
from optimiser.demand.records.files import ENDINGS, XML_ROOT
from optimiser.demand.records.placements import ENTERED, LEFT, NOT_RECORDED, OPEN
from optimiser.demand.records.reading import year_name
from optimiser.errors import Fault, InstanceError

NIGHTS_PER_MONTH = 365.25 / 12
#: Years lived before the first return, so that its first day finds children in care.
WARM_UP_YEARS = 8
#: Homes, or agencies, of one kind and sector of provider.
HOMES_PER_SOURCE = 12


@dataclass(frozen=True)
class TrueCohort:
    """Children of one need, and what happens to them.

    A *source* is a PLACE and a PLACE_PROVIDER code, such as ``K2/PR4``. Monthly rates are hazards: the probability of a
    night is the rate divided by 365.25 / 12.

    Attributes
    ----------
    arrivals_per_month
        Mean children starting to be looked after in the first month of the records.
    mix
        Probability of each source for a new placement.
    leaving_per_month, breakdown_per_month
        By source: leaving care; needing another placement of the mix.
    steps_per_month
        By cohort: stepping across to it, and to a placement of its mix.
    ages
        Youngest and oldest age on arrival, whole years.
    needs
        Probability of each CIN code.
    dispersion
        Size of a negative binomial of monthly arrivals; None for Poisson.
    growth_per_year
        Growth of mean arrivals in the years of the records, share a year; level before them.
    season
        Factors of mean arrivals from April to March, of mean 1.
    """

    name: str
    arrivals_per_month: float
    mix: Mapping[str, float]
    leaving_per_month: Mapping[str, float]
    breakdown_per_month: Mapping[str, float]
    steps_per_month: Mapping[str, float] = field(default_factory=dict)
    ages: tuple[int, int] = (10, 15)
    needs: Mapping[str, float] = field(default_factory=lambda: {"N1": 0.7, "N4": 0.3})
    dispersion: float | None = None
    growth_per_year: float = 0.0
    season: tuple[float, ...] = (1.0,) * 12
    uasc_share: float = 0.0

    def mean_arrivals(self, month: int) -> float:
        """Mean arrivals in a month counted from the first of the records; the months before it are negative."""
        growth = (1 + self.growth_per_year) ** (max(month, 0) / 12)
        return float(self.arrivals_per_month * self.season[month % 12] * growth)


@dataclass(frozen=True)
class Truth:
    """What is true of synthetic records: cohorts, and what happens to all alike."""

    cohorts: tuple[TrueCohort, ...]
    leaves_at: int = 18
    #: Why children leave: REC codes, or P1 (placed with parents first) and A3 (placed for adoption first).
    left_for: Mapping[str, float] = field(
        default_factory=lambda: {"E4A": 0.4, "E3": 0.1, "E45": 0.15, "E8": 0.15, "E13": 0.1, "P1": 0.1}
    )
    legal_changes_per_month: float = 0.06
    temporary_stays_per_month: float = 0.02
    #: Share of arrivals of children who were in care before.
    returning_share: float = 0.1

    def arrival_rates(self, first_year: int, years: int) -> pd.DataFrame:
        """Mean arrivals, [month, cohort], children a month."""
        months = pd.period_range(f"{first_year - 1}-04", periods=12 * years, freq="M", name="month")
        rates = {cohort.name: [cohort.mean_arrivals(month) for month in range(12 * years)] for cohort in self.cohorts}
        return pd.DataFrame(rates, index=months)


#: A council with about 300 children in care: homes, foster care, and supported accommodation from 16 on.
USUAL_TRUTH = Truth(
    (
        TrueCohort(
            "residential",
            1.6,
            {"K2/PR4": 0.62, "K2/PR1": 0.2, "K2/PR5": 0.1, "R1/PR4": 0.03, "S1/PR4": 0.05},
            dict.fromkeys(("K2/PR4", "K2/PR1", "K2/PR5", "R1/PR4", "S1/PR4"), 0.05),
            {"K2/PR4": 0.06, "K2/PR1": 0.03, "K2/PR5": 0.04, "R1/PR4": 0.02, "S1/PR4": 0.02},
            {"fostering": 0.015, "supported": 0.01},
            ages=(9, 16),
            needs={"N1": 0.5, "N4": 0.3, "N6": 0.2},
            growth_per_year=0.04,
        ),
        TrueCohort(
            "fostering",
            5.0,
            {"U4/PR1": 0.4, "U4/PR4": 0.35, "U1/PR1": 0.2, "U6/PR5": 0.05},
            {"U4/PR1": 0.03, "U4/PR4": 0.03, "U1/PR1": 0.04, "U6/PR5": 0.02},
            dict.fromkeys(("U4/PR1", "U4/PR4", "U1/PR1", "U6/PR5"), 0.02),
            {"residential": 0.006, "supported": 0.004},
            ages=(0, 15),
            needs={"N1": 0.8, "N3": 0.1, "N5": 0.1},
            season=(0.9, 1.0, 1.1, 1.2, 0.8, 1.0, 1.1, 1.0, 0.8, 1.1, 1.0, 1.0),
        ),
        TrueCohort(
            "supported",
            2.0,
            {"K3/PR4": 0.8, "K3/PR5": 0.2},
            {"K3/PR4": 0.05, "K3/PR5": 0.05},
            {"K3/PR4": 0.04, "K3/PR5": 0.03},
            ages=(16, 17),
            needs={"N8": 0.6, "N4": 0.4},
            dispersion=4.0,
            uasc_share=0.6,
        ),
    )
)


def scaled(truth: Truth, children_per_year: float) -> Truth:
    """A larger or smaller council with the same children: mean arrivals of all cohorts as many a year in the first month."""
    factor = children_per_year / 12 / sum(cohort.arrivals_per_month for cohort in truth.cohorts)
    cohorts = tuple(replace(one, arrivals_per_month=one.arrivals_per_month * factor) for one in truth.cohorts)
    return replace(truth, cohorts=cohorts)


@dataclass(frozen=True)
class Untidiness:
    """Shares of rows, or of children, that are untidy in ways that do not change what happened.

    Attributes
    ----------
    repeated
        Rows that stand twice in their return.
    corrected
        Rows that the next return reports with another place, status or need.
    overlapping
        Episodes that end some days after the next has begun.
    no_night
        Episodes before which stands one that begins and ends on the same day.
    without_header, header_only, short_breaks
        Children with episodes and no header or date of birth; with a header and no episodes; on short breaks only.
    formats
        Byte order marks, small letters, quotation marks, blank lines, ISO dates, both sex codings, shuffled rows.
    """

    repeated: float = 0.02
    corrected: float = 0.05
    overlapping: float = 0.03
    no_night: float = 0.01
    without_header: float = 0.02
    header_only: float = 0.02
    short_breaks: float = 0.04
    formats: bool = True


TIDY = Untidiness(**{each.name: False if each.name == "formats" else 0.0 for each in fields(Untidiness)})  # type: ignore[arg-type]


@dataclass(frozen=True, eq=False)
class Synthetic:
    """Returns written, and what is true of them.

    Attributes
    ----------
    placements
        Placements in beds that the records show, as ``ssda903.Returns.placements`` has them, with ``cohort``, and with
        ``began``, which the records may not show; ``child`` is another running number.
    arrivals
        Children who started to be looked after, [month, cohort].
    identifiers
        Identifiers, UPNs, dates of birth and postcodes written: what nothing may ever print.
    """

    folder: Path
    files: tuple[Path, ...]
    truth: Truth
    placements: pd.DataFrame = field(repr=False)
    arrivals: pd.DataFrame = field(repr=False)
    identifiers: frozenset[str] = field(repr=False)


@dataclass
class _Child:
    identifier: str
    upn: str
    born: date
    sex: str
    uasc: bool
    home_post: str
    has_header: bool = True


@dataclass(frozen=True)
class _Stretch:
    """One placement: where, from when until when, and what came before and after."""

    child: int
    cohort: str
    source: str
    urn: str
    start: int
    end: int
    first: bool
    cause: str


@dataclass(frozen=True)
class _Episode:
    child: int
    start: int
    end: int
    rne: str
    ls: str
    cin: str
    place: str
    provider: str
    rec: str
    urn: str


def synthesise(
    folder: Path,
    *,
    authority: str,
    first_year: int,
    years: int,
    seed: int,
    truth: Truth = USUAL_TRUTH,
    untidiness: Untidiness = Untidiness(),
    form: Literal["csv", "xml"] = "csv",
) -> Synthetic:
    """Write a council's returns of some years into a folder.

    Parameters
    ----------
    folder
        Made if need be; must hold no CSV or XML files.
    authority
        Name of the council, for the names of files.
    first_year
        Year in which the financial year of the first return ends: 2021 for 2020/21.
    years
        Returns, one a year.
    seed
        Of all draws. The same seed tells the same story in either form.

    Raises
    ------
    InstanceError
        Where the folder holds other records: two sets would be read as one.
    """
    _check(truth)
    folder.mkdir(parents=True, exist_ok=True)
    if any(one.suffix.lower() in ENDINGS for one in folder.rglob("*")):
        fix = "Name a new folder: two sets of records would be read as one."
        raise InstanceError([Fault(folder.name, None, "", "", "holds CSV or XML files already", fix)], "the records")
    window = (date(first_year - 1, 4, 1).toordinal(), date(first_year - 1 + years, 4, 1).toordinal())
    story = _Story(truth, window, np.random.default_rng([seed, 1]))
    story.live(12 * years)
    filing = _Filing(story, untidiness, np.random.default_rng([seed, 2]))
    files: list[Path] = []
    for year in range(first_year, first_year + years):
        write = filing.write_csv if form == "csv" else filing.write_xml
        files.extend(write(folder, authority, year))
    placements, arrivals = story.placements(filing), story.arrivals(first_year, years)
    return Synthetic(folder, tuple(files), truth, placements, arrivals, filing.identifiers())


def _check(truth: Truth) -> None:
    names = {cohort.name for cohort in truth.cohorts}
    for cohort in truth.cohorts:
        sources = set(cohort.mix)
        if abs(sum(cohort.mix.values()) - 1) > 1e-9 or abs(sum(cohort.needs.values()) - 1) > 1e-9:
            raise ValueError(f"{cohort.name}: the probabilities of mix and needs do not add up to 1")
        if not sources <= set(cohort.leaving_per_month) or not sources <= set(cohort.breakdown_per_month):
            raise ValueError(f"{cohort.name}: a source of the mix has no rate of leaving or breakdown")
        if not set(cohort.steps_per_month) <= names or len(cohort.season) != 12:
            raise ValueError(f"{cohort.name}: steps go to no cohort, or the season has not twelve months")
        for source in sources:
            place, _, provider = source.partition("/")
            if place not in codes.PLACES or not codes.PLACES[place].is_bed or provider not in codes.PROVIDERS:
                raise ValueError(f"{cohort.name}: {source} is not a PLACE with a bed and a PLACE_PROVIDER")


def _drawn(probabilities: Mapping[str, float], draw: np.random.Generator) -> str:
    names = list(probabilities)
    weights = np.cumsum([probabilities[name] for name in names])
    return names[min(int(np.searchsorted(weights, draw.random() * weights[-1], side="right")), len(names) - 1)]


# what happens


class _Story:
    """Children, their placements and episodes, as they were, whatever is filed about them."""

    def __init__(self, truth: Truth, window: tuple[int, int], draw: np.random.Generator) -> None:
        self.truth, self.window, self.draw = truth, window, draw
        self.children: list[_Child] = []
        self.stretches: list[_Stretch] = []
        self.episodes: list[_Episode] = []
        self.started: list[tuple[int, str]] = []
        self.away: dict[str, list[tuple[int, int]]] = {
            cohort.name: [] for cohort in truth.cohorts
        }  # child, day of leaving
        self._by_name = {cohort.name: cohort for cohort in truth.cohorts}
        self._numbers: set[int] = set()
        self._places = sorted({source for cohort in truth.cohorts for source in cohort.mix})

    def live(self, months: int) -> None:
        """All months from before the records to their end."""
        first = date.fromordinal(self.window[0])
        for month in range(-12 * WARM_UP_YEARS, months):
            begins = date(first.year + (first.month - 1 + month) // 12, (first.month - 1 + month) % 12 + 1, 1)
            after = (begins + timedelta(days=31)).replace(day=1)
            for cohort in self.truth.cohorts:
                mean = cohort.mean_arrivals(month)
                if cohort.dispersion is not None:
                    mean = self.draw.gamma(cohort.dispersion, mean / cohort.dispersion)
                days = self.draw.integers(begins.toordinal(), after.toordinal(), self.draw.poisson(mean))
                for day in sorted(days.tolist()):
                    self.arrive(cohort, day)

    def new_child(self, youngest: int, oldest: int, day: int, uasc_share: float) -> int:
        """A child of an age, at least a month under the age of leaving."""
        at_least = youngest * 365.25 + 1
        at_most = min((oldest + 1) * 365.25 - 1, self.truth.leaves_at * 365.25 - 30)
        born = date.fromordinal(day - int(self.draw.uniform(at_least, at_most)))
        number = int(self.draw.integers(1_000_000, 10_000_000))
        while number in self._numbers:
            number = int(self.draw.integers(1_000_000, 10_000_000))
        self._numbers.add(number)
        upn = f"{'ABCDEFGHJKLMNPQRTUVWXYZ'[number % 23]}{number:07d}{self.draw.integers(10**4, 10**5)}"
        post = f"ZZ{number % 90 + 10} {number % 9 + 1}ZX"
        sex = "1" if self.draw.random() < 0.55 else "2"
        uasc = bool(self.draw.random() < uasc_share)
        self.children.append(_Child(f"C{number}", upn, born, sex, uasc, post))
        return len(self.children) - 1

    def arrive(self, cohort: TrueCohort, day: int) -> None:
        """A child starts to be looked after, stays, moves, and leaves or is there at the end."""
        child = self.returning(cohort, day) if self.draw.random() < self.truth.returning_share else None
        if child is None:
            child = self.new_child(*cohort.ages, day, cohort.uasc_share)
        self.started.append((day, cohort.name))
        legal = "V2" if self.draw.random() < 0.5 else "C1"
        need = _drawn(cohort.needs, self.draw)
        source, urn, first, cause = _drawn(cohort.mix, self.draw), "", True, "S"
        while True:
            urn = self.home(source, urn)
            p_leave = cohort.leaving_per_month[source] / NIGHTS_PER_MONTH
            p_move = cohort.breakdown_per_month[source] / NIGHTS_PER_MONTH
            p_step = {name: rate / NIGHTS_PER_MONTH for name, rate in cohort.steps_per_month.items()}
            total = p_leave + p_move + sum(p_step.values())
            end = day + int(self.draw.geometric(total)) if total > 0 else self.window[1]
            what = _drawn({"leave": p_leave, "move": p_move, **p_step}, self.draw) if total > 0 else "leave"
            limit = self.birthday(child)
            aged_out = end >= limit
            end = min(end, limit)
            ends_open = end >= self.window[1]
            left_for = (
                ("E8" if aged_out else _drawn(self.truth.left_for, self.draw)) if what == "leave" or aged_out else ""
            )
            stretch = _Stretch(child, cohort.name, source, urn, day, min(end, self.window[1]), first, cause)
            self.stretches.append(stretch)
            rec = "" if ends_open else left_for if left_for.startswith("E") else codes.ANOTHER_EPISODE
            legal = self.file_episodes(stretch, need, legal, rec)
            if ends_open:
                return
            if left_for:
                last = end if left_for.startswith("E") else self.without_bed(child, end, left_for, need, legal, limit)
                if last < self.window[1]:
                    self.away[cohort.name].append((child, last))
                return
            if what != "move":
                cohort, urn = self._by_name[what], ""
                need = _drawn(cohort.needs, self.draw)
            day, first = end, False
            source = _drawn(cohort.mix, self.draw)
            cause = "P" if self.draw.random() < 0.8 else "B"

    def returning(self, cohort: TrueCohort, day: int) -> int | None:
        """A child who left a month ago or more, and is not about to be too old; None where a few draws find none."""
        away = self.away[cohort.name]
        for _ in range(min(len(away), 20)):
            place = int(self.draw.integers(len(away)))
            child, left = away[place]
            if day > left + 30 and self.birthday(child) > day + 30:
                del away[place]
                return child
        return None

    def birthday(self, child: int) -> int:
        born = self.children[child].born
        return date(born.year + self.truth.leaves_at, born.month, min(born.day, 28)).toordinal()

    def home(self, source: str, before: str) -> str:
        """URN of a home or an agency; another than before, as a breakdown needs another bed."""
        if source == "U1/PR1":
            return "XXXXXXX"
        kind = self._places.index(source)
        while True:
            urn = f"SC{10_000 + kind * 100 + int(self.draw.integers(HOMES_PER_SOURCE))}"
            if urn != before:
                return urn

    def without_bed(self, child: int, day: int, place: str, need: str, legal: str, limit: int) -> int:
        """A last stretch with parents or adopters, the child still looked after."""
        end = min(day + int(self.draw.geometric(1 / 90)), limit)
        if end <= day:
            return day
        provider = "PR0" if place == "P1" else "PR1"
        rec = "" if end >= self.window[1] else "E4A" if place == "P1" else "E11"
        end = min(end, self.window[1])
        self.episodes.append(_Episode(child, day, end, "P", legal, need, place, provider, rec, "XXXXXXX"))
        return end

    def file_episodes(self, stretch: _Stretch, need: str, legal: str, rec: str) -> str:
        """Episodes of a placement: the legal status changes, and the child may be away for some nights."""
        place, _, provider = stretch.source.partition("/")
        nights = stretch.end - stretch.start
        rate = nights / NIGHTS_PER_MONTH
        changes: dict[int, str] = {}
        if nights > 2:
            for day in self.draw.integers(1, nights, self.draw.poisson(self.truth.legal_changes_per_month * rate)):
                changes[int(day)] = "legal"
        if nights > 40 and self.draw.random() < self.truth.temporary_stays_per_month * rate:
            away = int(self.draw.integers(5, nights - 20))
            back = away + int(self.draw.integers(2, 15))
            changes = {day: what for day, what in changes.items() if not away <= day <= back}
            changes |= {away: "away", back: "back"}
        days = [0, *sorted(changes), nights]
        rne, here = stretch.cause, place
        for begin, after in itertools.pairwise(days):
            what = changes.get(begin, "")
            if what == "legal":
                rne, legal = "L", str(self.draw.choice([code for code in ("C1", "C2", "V2", "J1") if code != legal]))
                if here in ("U4", "U5") and self.draw.random() < 0.2:
                    # a foster carer is approved anew: the same carers, another code
                    rne, here = "U", "U5" if here == "U4" else "U4"
            elif what:
                rne = "P"
            away_now = what == "away"
            self.episodes.append(
                _Episode(
                    stretch.child,
                    stretch.start + begin,
                    stretch.start + after,
                    rne,
                    legal,
                    need,
                    "T1" if away_now else here,
                    "PR3" if away_now else provider,
                    rec if after == nights else codes.ANOTHER_EPISODE,
                    "XXXXXXX" if away_now else stretch.urn,
                )
            )
        return legal

    # what is true

    def arrivals(self, first_year: int, years: int) -> pd.DataFrame:
        """Children started, [month, cohort]."""
        rates = self.truth.arrival_rates(first_year, years)
        counts = pd.DataFrame(0, index=rates.index, columns=rates.columns)
        for day, cohort in self.started:
            if day >= self.window[0]:
                counts.loc[pd.Period(date.fromordinal(day), "M"), cohort] += 1
        return counts

    def placements(self, filing: _Filing) -> pd.DataFrame:
        """Placements with a night in the records, as a reader without fault would find them."""
        first_day, end_day = self.window
        at = {(episode.child, episode.start): episode for episode in self.episodes}
        here = {(stretch.child, stretch.start): stretch for stretch in self.stretches}
        before = {(stretch.child, stretch.end): stretch for stretch in self.stretches}
        rows: list[dict[str, Any]] = []
        for stretch in self.stretches:
            if stretch.end <= first_day:
                continue
            within = [at[stretch.child, stretch.start]]
            while within[-1].end < stretch.end:
                within.append(at[stretch.child, within[-1].end])
            closing = within[-1]
            # the first return holds what was open in it: of a long placement the last of its episodes
            reported = [episode for episode in within if episode.end >= first_day]
            opening = next(episode for episode in reported if episode.place != "T1")
            child = self.children[stretch.child]
            earlier = before.get((stretch.child, stretch.start))
            came_from = NOT_RECORDED
            if reported[0] is not opening:
                came_from = codes.TEMPORARY.name
            elif opening is within[0] and stretch.first:
                came_from = ENTERED
            elif opening is within[0] and earlier is not None and earlier.end >= first_day:
                came_from = _category(earlier.source)
            following = here.get((stretch.child, stretch.end))
            if stretch.end == end_day:
                went_to = OPEN
            elif closing.rec in codes.LEFT_CARE:
                went_to = LEFT
            elif following is not None:
                went_to = _category(following.source)
            else:
                went_to = codes.PLACES[at[stretch.child, stretch.end].place].name
            start = date.fromordinal(opening.start)
            age = start.year - child.born.year - ((start.month, start.day) < (child.born.month, child.born.day))
            rows.append(
                {
                    "child": stretch.child + 1,
                    "cohort": stretch.cohort,
                    "start": pd.Timestamp(start),
                    "end": pd.Timestamp(date.fromordinal(stretch.end)),
                    "category": _category(stretch.source),
                    "place": opening.place,
                    "provider": codes.PROVIDERS[opening.provider],
                    "came_from": came_from,
                    "went_to": went_to,
                    "age_at_start": age if child.has_header else -1,
                    "sex": codes.SEXES[child.sex] if child.has_header else "unknown",
                    "uasc": child.uasc and child.has_header,
                    "need": opening.cin,
                    "legal_status": opening.ls,
                    "censored": stretch.end == end_day,
                    "truncated": opening.start < first_day,
                    # one back from a stay before the records looks like any new placement
                    "start_known": reported[0] is opening and (opening is within[0] or opening.rne == "P"),
                    "began": pd.Timestamp(date.fromordinal(stretch.start)),
                }
            )
        table = pd.DataFrame(rows)
        return table.sort_values(["child", "start"], ignore_index=True) if rows else table


def _category(source: str) -> str:
    return codes.PLACES[source.partition("/")[0]].name


# what is filed


@dataclass(frozen=True)
class _Style:
    """How one year's files are written."""

    mark: bool = False
    small: bool = False
    quoted: bool = False
    blank_lines: bool = False
    iso: bool = False
    letters: bool = False
    shuffled: bool = False

    def day(self, ordinal: int) -> str:
        moment = date.fromordinal(ordinal)
        return moment.isoformat() if self.iso else moment.strftime("%d/%m/%Y")

    def sex(self, code: str) -> str:
        return {"1": "M", "2": "F"}[code] if self.letters else code


STYLES = (
    _Style(),
    _Style(mark=True, quoted=True, shuffled=True),
    _Style(small=True, blank_lines=True),
    _Style(iso=True, letters=True, shuffled=True),
    _Style(mark=True, small=True, blank_lines=True, letters=True),
)

Row = dict[str, str]


class _Filing:
    """A story filed, return by return, as untidily as asked for."""

    def __init__(self, story: _Story, untidiness: Untidiness, draw: np.random.Generator) -> None:
        self.story, self.untidiness, self.draw = story, untidiness, draw
        self.window = story.window
        real = len(story.children)
        reported = sorted({one.child for one in story.episodes if one.end >= self.window[0]})
        for child in self.some(reported, untidiness.without_header):
            story.children[child].has_header = False
        self.others = [story.new_child(2, 16, self.window[0], 0.0) for _ in self.some(reported, untidiness.header_only)]
        breaks = [story.new_child(4, 15, self.window[0], 0.0) for _ in self.some(reported, untidiness.short_breaks)]
        self.short_breaks = [episode for child in breaks for episode in self.short_break_episodes(child)]
        self.real = real

        following = {(one.child, one.start) for one in story.episodes}
        moved = [one for one in story.episodes if (one.child, one.end) in following and one.end > self.window[0]]
        self.late_by = {
            (one.child, one.start): int(self.draw.integers(1, 10)) for one in self.some(moved, untidiness.overlapping)
        }
        in_records = [one for one in story.episodes if one.start >= self.window[0]]
        self.no_night = {(one.child, one.start) for one in self.some(in_records, untidiness.no_night)}
        self._seed = int(self.draw.integers(2**31))

    def some(self, things: Sequence[Any], share: float) -> list[Any]:
        """A share of things, drawn."""
        return [thing for thing, drawn in zip(things, self.draw.random(len(things)), strict=True) if drawn < share]

    def short_break_episodes(self, child: int) -> Iterator[_Episode]:
        """Some nights away each month, or an agreement over all of them."""
        legal = str(self.draw.choice(["V3", "V4"]))
        day = int(self.draw.integers(self.window[0], self.window[0] + 200))
        last = min(self.window[1], self.story.birthday(child))
        while day + 12 < last:
            nights = int(self.draw.integers(1, 5)) if legal == "V3" else last - day
            yield _Episode(child, day, day + nights, "S", legal, "N2", "K2", "PR1", "E8", "SC99999")
            day += nights + int(self.draw.integers(10, 60))

    # rows of one return

    def rows(self, year: int) -> list[tuple[_Episode, bool]]:
        """Episodes of the return of a year and whether each is open at its end, as untidy as they are filed."""
        first, end = date(year - 1, 4, 1).toordinal(), date(year, 4, 1).toordinal()
        # a generator of its own, so that both forms file the same
        draw = np.random.default_rng([self._seed, year])
        found: list[tuple[_Episode, bool]] = []
        everything = sorted([*self.story.episodes, *self.short_breaks], key=lambda one: (one.child, one.start))
        for episode in everything:
            if episode.start >= end or episode.end < first:
                continue
            is_open = episode.end >= end
            filed = episode
            late = self.late_by.get((episode.child, episode.start))
            if late is not None and not is_open:
                filed = replace(filed, end=min(episode.end + late, end - 1))
            again = is_open and end < self.window[1]
            if again and draw.random() < self.untidiness.corrected:
                wrong = draw.random()
                if wrong < 0.4:
                    filed = replace(filed, place="Z1")
                else:
                    filed = replace(filed, ls="E1") if wrong < 0.7 else replace(filed, cin="N7")
            if (
                (episode.child, episode.start) in self.no_night
                and episode.start >= first
                and episode.end > episode.start
            ):
                found.append((replace(filed, end=episode.start, place="U4", rec="X1", rne="P"), False))
            found.append((filed, is_open))
            if draw.random() < self.untidiness.repeated:
                found.append((filed, is_open))
        return found

    def style(self, year: int) -> _Style:
        return STYLES[year % len(STYLES)] if self.untidiness.formats else STYLES[0]

    def episode_row(self, episode: _Episode, is_open: bool, style: _Style) -> Row:
        child = self.story.children[episode.child]
        number = episode.start * 7 + episode.child
        return {
            "CHILD": child.identifier,
            "DECOM": style.day(episode.start),
            "RNE": episode.rne,
            "LS": episode.ls,
            "CIN": episode.cin,
            "PLACE": episode.place,
            "PLACE_PROVIDER": episode.provider,
            "DEC": "" if is_open else style.day(episode.end),
            "REC": "" if is_open else episode.rec,
            "REASON_PLACE_CHANGE": "PLACE" if episode.rec == "X1" and not is_open else "",
            "HOME_POST": child.home_post,
            "PL_POST": f"ZZ{number % 90 + 10} {number % 9 + 1}ZY",
            "URN": episode.urn,
        }

    def header_row(self, child: _Child, style: _Style) -> Row:
        return {
            "CHILD": child.identifier,
            "SEX": style.sex(child.sex),
            "DOB": style.day(child.born.toordinal()),
            "ETHNIC": "WBRI",
            "UPN": child.upn,
            "MOTHER": "",
            "MC_DOB": "",
        }

    def write_csv(self, folder: Path, authority: str, year: int) -> list[Path]:
        """Header, Episodes, UASC and tables that a reader has to know it does not need."""
        style = self.style(year)
        rows = self.rows(year)
        numbers = list(dict.fromkeys([*(one.child for one, _ in rows), *self.others]))
        children = [self.story.children[number] for number in numbers]
        with_header = [child for child in children if child.has_header]
        tables: dict[str, list[Row]] = {
            "header": [self.header_row(child, style) for child in with_header],
            "episodes": [self.episode_row(episode, is_open, style) for episode, is_open in rows],
            "uasc": [
                {name: self.header_row(child, style)[name] for name in ("CHILD", "SEX", "DOB")} | {"DUC": ""}
                for child in with_header
                if child.uasc
            ],
            "reviews": [
                {"CHILD": one.identifier, "DOB": style.day(one.born.toordinal()), "REVIEW": "", "REVIEW_CODE": "PN1"}
                for one in with_header[::5]
            ],
            "missing": [
                {"CHILD": one.identifier, "DOB": style.day(one.born.toordinal()), "MISSING": "M", "MIS_START": ""}
                for one in with_header[::40]
            ],
        }
        inside = folder / year_name(year).replace("/", "-")
        inside.mkdir()
        files = []
        for name, table in tables.items():
            if not table:
                continue
            if style.shuffled:
                order = np.random.default_rng([self._seed, year, len(name)]).permutation(len(table))
                table = [table[place] for place in order]
            title = f"{authority} {name}" if year % 2 else f"{name.upper()}_{authority}_{year}"
            path = inside / f"{title}.csv"
            path.write_bytes(_csv_of(table, style))
            files.append(path)
        return files

    def write_xml(self, folder: Path, authority: str, year: int) -> list[Path]:
        """The XML form: a child's header and episodes together, blank tags left out."""
        style = replace(self.style(year), iso=False)
        episodes: dict[int, list[Row]] = {number: [] for number in self.others}
        for episode, is_open in self.rows(year):
            episodes.setdefault(episode.child, []).append(self.episode_row(episode, is_open, style))
        lines = ['<?xml version="1.0" encoding="UTF-8"?>', f"<{XML_ROOT}>"]
        for number, rows in episodes.items():
            child = self.story.children[number]
            header = self.header_row(child, style) if child.has_header else {"CHILD": child.identifier}
            if child.has_header and child.uasc:
                header["UASC"] = "1"
            lines += ["  <CHILD>", *_section("HEADER", header, {"CHILD": "CHILDID"})]
            for row in rows:
                lines += _section(
                    "EPISODE", {name: cell for name, cell in row.items() if name != "CHILD"}, {"PLACE": "PL"}
                )
            lines.append("  </CHILD>")
        lines.append(f"</{XML_ROOT}>")
        path = folder / f"{authority}-{year_name(year).replace('/', '-')}.xml"
        path.write_text("\n".join(lines) + "\n", encoding="utf-8")
        return [path]

    def identifiers(self) -> frozenset[str]:
        """All that says who a child is, as written in any style."""
        found: set[str] = set()
        write: Sequence[Callable[[int], str]] = [style.day for style in STYLES]
        for child in self.story.children:
            found |= {child.identifier, child.upn, child.home_post}
            found |= {day(child.born.toordinal()) for day in write}
        places = [self.episode_row(episode, True, STYLES[0])["PL_POST"] for episode in self.story.episodes]
        return frozenset(found | set(places))


def _csv_of(rows: Sequence[Row], style: _Style) -> bytes:
    out = io.StringIO(newline="")
    quoting: Literal[0, 1] = csv.QUOTE_ALL if style.quoted else csv.QUOTE_MINIMAL
    writer = csv.writer(out, quoting=quoting, lineterminator="\r\n")
    columns = list(rows[0])
    writer.writerow([column.lower() if style.small else column for column in columns])
    for number, row in enumerate(rows):
        writer.writerow([row.get(column, "") for column in columns])
        if style.blank_lines and number % 50 == 3:
            out.write("\r\n" if number % 100 == 3 else "," * (len(columns) - 1) + "\r\n")
    return out.getvalue().encode("utf-8-sig" if style.mark else "utf-8")


def _section(tag: str, row: Row, names: Mapping[str, str]) -> list[str]:
    cells = [
        f"      <{names.get(name, name)}>{escape(cell)}</{names.get(name, name)}>" for name, cell in row.items() if cell
    ]
    return [f"    <{tag}>", *cells, f"    </{tag}>"]
