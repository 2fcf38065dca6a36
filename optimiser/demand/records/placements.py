"""Rows of episodes to placements, by stated rules, with an account of every row.

In this order, for the rows of one child:

1. A row repeated in its return, cell for cell, is dropped.
2. Of rows that start on one day, the one in the latest return counts; within a return the one that ends last, then the
   one further down. The others are superseded, and dropped.
3. Short breaks (legal status V3 and V4) are dropped; so is a row that begins and ends on one day, as it has no night.
4. A row that is open at the end of its return, and not in the next one, is known until 31 March only: it is cut there,
   and its end is not observed.
5. A row that overlaps the next is cut where the next begins.
6. A *stay in care* goes on while each row begins on the day on which the one before ended, other than by leaving care.
7. A temporary stay (T0 to T4) keeps the bed of the placement before it; coming back to it is no move.
8. A row continues the placement before it where only the legal status changed (RNE L, same PLACE); where the carers
   stayed (RNE T or U) with category and provider the same; where PLACE, provider and URN are the same and the URN names
   one home; and where the child came back from a temporary stay to the same PLACE, provider and URN. RNE as the guide to
   the collection has it (2024/25, *reason for new episode*; validation rules 217, 435 and 436): P and B are a change of
   placement with another carer, T and U with the same one, B and U with another legal status as well.
9. Placements without a bed for the council to find (with parents, placed for adoption, hospital, custody …), and those
   that end on the first day of the records, are dropped last, so that leaving for one, or coming from one, is seen.

A child is counted on the day an episode begins, and not on the day it ends, as in the published counts of 31 March.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from optimiser.demand.records import codes
from optimiser.demand.records.reading import BLANK, Filed, ages, first_day, year_name

USED, MERGED, CUT, DROPPED = "used", "merged", "cut", "dropped"
REPEATED = "repeated in its return"
SUPERSEDED = "reported again in a later return"
SAME_DAY = "starts on the same day as another row of its return that ends later or stands below it"
SHORT_BREAK = "short break (V3, V4)"
NO_NIGHT = "begins and ends on one day"
NO_BED = "not a bed to be found: {}"
BEFORE_RECORDS = "ends on the first day of the records: no night in them"
CUT_AT_YEAR_END = "open, and not in the next return: known until 31 March"
CUT_AT_NEXT = "overlaps the next episode: ends where that begins"
BEGINS = "begins a placement"
CONTINUES = "continues a placement"

ENTERED, LEFT, OPEN, NOT_RECORDED = "entered-care", "left-care", "open", "not-recorded"


@dataclass(frozen=True)
class Window:
    """What the returns cover: from the first of April of the first to the 31 March of the last, and both as words."""

    first_year: int
    last_year: int

    @property
    def first(self) -> int:
        """First day, days since 1970."""
        return first_day(self.first_year)

    @property
    def end(self) -> int:
        """The day after the last, days since 1970."""
        return first_day(self.last_year + 1)

    def __str__(self) -> str:
        names = dict.fromkeys((year_name(self.first_year), year_name(self.last_year)))
        return " to ".join(names)


@dataclass(frozen=True, eq=False)
class Resolved:
    """Placements, and the outcome of each row in the order of reading.

    ``homes``: running number of the home in which each placement began, -1 where its URN is no home's, [placement].
    """

    placements: pd.DataFrame
    homes: npt.NDArray[np.int64]
    rows: pd.DataFrame
    window: Window


def resolve(filed: Filed) -> Resolved:
    """Placements and the account of rows; columns as ``ssda903.Returns`` and ``Reconciliation`` describe them."""
    frame = filed.episodes
    window = Window(int(frame["year"].min()), int(frame["year"].max()))
    reasons = np.full(len(frame), "", dtype=object)
    left = _surviving(frame, reasons)
    chain, cut_reasons = _chained(left, window)
    number = chain["placement"].to_numpy(np.int64)
    every = _placements(chain, filed.children, window)
    is_bed = np.array([codes.CATEGORIES[name].is_bed for name in every["category"]], dtype=bool)
    in_records = (every["end"] > pd.Timestamp(1970, 1, 1) + pd.Timedelta(days=window.first)).to_numpy(bool)
    kept = is_bed & in_records
    of_kept = kept[number]
    place = chain.index.to_numpy()
    outcomes = np.full(len(frame), DROPPED, dtype=object)
    continues = ~chain["begins"].to_numpy(bool)
    outcomes[place] = np.where(of_kept, np.where(cut_reasons != "", CUT, np.where(continues, MERGED, USED)), DROPPED)
    begun = np.where(continues, CONTINUES, BEGINS)
    kept_reasons = [f"{one}; {why}" if why else one for one, why in zip(begun, cut_reasons, strict=True)]
    dropped_reasons = np.where(is_bed, BEFORE_RECORDS, [NO_BED.format(name) for name in every["category"]])[number]
    reasons[place] = np.where(of_kept, kept_reasons, dropped_reasons)
    numbers = np.full(len(frame), -1, dtype=np.int64)
    numbers[place] = np.where(of_kept, (np.cumsum(kept) - 1)[number], -1)
    rows = pd.DataFrame(
        {
            "file": np.array(filed.files, dtype=object)[frame["file"].to_numpy(np.int64)],
            "row": frame["row"].to_numpy(np.int64),
            "outcome": outcomes,
            "reason": reasons,
            "placement": numbers,
        }
    )
    first = chain[chain["begins"].to_numpy(bool)]
    is_home = np.array([codes.CATEGORIES[name].urn_is_the_home for name in every["category"]], dtype=bool)
    homes = np.where(is_home, first["urn"].to_numpy(np.int64), -1)[kept]
    return Resolved(every[kept].reset_index(drop=True), homes, rows, window)


def _surviving(frame: pd.DataFrame, reasons: npt.NDArray[np.object_]) -> pd.DataFrame:
    """Rules 1 to 3: the rows left, by child and start; ``reasons`` says why the others went."""
    alike = ["year", "child", "start", "end", "rne", "ls", "cin", "place", "provider", "rec", "urn"]
    repeated = frame.duplicated(alike, keep="first").to_numpy(bool)
    reasons[repeated] = REPEATED
    rest = frame[~repeated]
    order = np.lexsort([rest[name].to_numpy() for name in ("row", "file", "end", "year", "start", "child")])
    rest = rest.iloc[order]
    child, start, year = (rest[name].to_numpy() for name in ("child", "start", "year"))
    last = np.append((child[1:] != child[:-1]) | (start[1:] != start[:-1]), True)
    winner = np.flatnonzero(last)[np.cumsum(last) - last]
    place = rest.index.to_numpy()
    reasons[place[~last]] = np.where(year < year[winner], SUPERSEDED, SAME_DAY)[~last]
    rest = rest[last]
    short = np.isin(rest["ls"].to_numpy(str), sorted(codes.SHORT_BREAKS))
    reasons[rest.index.to_numpy()[short]] = SHORT_BREAK
    rest = rest[~short]
    no_night = (rest["end"] == rest["start"]).to_numpy(bool)
    reasons[rest.index.to_numpy()[no_night]] = NO_NIGHT
    return rest[~no_night]


def _shifted(values: npt.NDArray[Any], first: object) -> npt.NDArray[Any]:
    """Each row's value in the row before it."""
    before = np.empty_like(values)
    before[1:], before[:1] = values[:-1], first
    return before


def _chained(rest: pd.DataFrame, window: Window) -> tuple[pd.DataFrame, npt.NDArray[np.object_]]:
    """Rules 4 to 8: rows with their ends, stays in care and placements, and why each was cut, or nothing."""
    child = rest["child"].to_numpy(np.int64)
    start, end = rest["start"].to_numpy(np.int64), rest["end"].to_numpy(np.int64).copy()
    year = rest["year"].to_numpy(np.int64)
    ceased = rest["rec"].to_numpy(str)
    cut = np.full(len(rest), "", dtype=object)
    is_open = end == BLANK
    year_ends = np.array([first_day(int(one) + 1) for one in range(window.first_year, window.last_year + 1)])
    end[is_open] = year_ends[year[is_open] - window.first_year]
    cut[is_open & (year < window.last_year)] = CUT_AT_YEAR_END
    following = np.append(np.where(child[1:] == child[:-1], start[1:], BLANK), BLANK)[: len(rest)]
    overlaps = end > following
    end[overlaps] = following[overlaps]
    cut[overlaps] = CUT_AT_NEXT
    is_open &= end < following  # one cut on 31 March whose child is elsewhere on 1 April has moved

    # a row that was cut did not leave care on the day it now ends
    left = np.isin(ceased, sorted(codes.LEFT_CARE)) & (cut == "") & ~is_open
    same_child = _shifted(child, -1) == child
    goes_on = same_child & (_shifted(end, 0) == start) & ~_shifted(left, False)
    stay = np.cumsum(~goes_on)

    codes_of_place, names = pd.factorize(rest["place"])
    kinds = [codes.PLACES[name] for name in names]
    temporary = np.array([kind is codes.TEMPORARY for kind in kinds], dtype=bool)[codes_of_place]
    # the row whose bed is held: the last in the stay that is not temporary, else the row itself
    here = np.arange(len(rest))
    held = np.maximum.accumulate(np.where(temporary, -1, here)) if len(rest) else here
    stay_begins = np.maximum.accumulate(np.where(goes_on, 0, here)) if len(rest) else here
    held = np.where(held >= stay_begins, held, here)

    place, provider = codes_of_place[held], pd.factorize(rest["provider"])[0][held]
    urn = rest["urn"].to_numpy(np.int64)[held]
    all_names = list(dict.fromkeys(kind.name for kind in kinds))
    category = np.array([all_names.index(kind.name) for kind in kinds], dtype=np.int64)[place]
    of_home = np.array([kind.urn_is_the_home for kind in kinds], dtype=bool)[place]
    cause = rest["rne"].to_numpy(str)
    same_place, same_provider = _shifted(place, -1) == place, _shifted(provider, -1) == provider
    same_home = same_place & same_provider & (_shifted(urn, -1) == urn)
    continues = goes_on & (
        (temporary & (held != here))
        | (_shifted(temporary, False) & same_home)
        | ((cause == codes.LEGAL_STATUS_ONLY) & same_place)
        | (np.isin(cause, sorted(codes.SAME_CARERS)) & (_shifted(category, -1) == category) & same_provider)
        | (same_home & of_home & (urn >= 0))
    )
    return rest.assign(
        end=end,
        open=is_open,
        left=left,
        stay=stay,
        goes_on=goes_on,
        begins=~continues,
        placement=np.cumsum(~continues) - 1,
        category=np.array(all_names, dtype=object)[category] if len(rest) else category.astype(object),
    ), cut


def _placements(chain: pd.DataFrame, children: pd.DataFrame, window: Window) -> pd.DataFrame:
    """One row per placement, with what came before and after it."""
    begins = chain["begins"].to_numpy(bool)
    ends = np.append(begins[1:], True)[: len(chain)]
    first, last = chain[begins], chain[ends]
    category = first["category"].to_numpy(object)
    goes_on = first["goes_on"].to_numpy(bool)
    next_goes_on = np.append(goes_on[1:], False)[: len(first)]
    started = first["rne"].to_numpy(str) == codes.STARTED_BEING_LOOKED_AFTER
    came_from = np.where(goes_on, _shifted(category, ENTERED), np.where(started, ENTERED, NOT_RECORDED))
    next_category = np.append(category[1:], NOT_RECORDED)[: len(first)]
    # only legal status or code changed in a placement of before the records, or the child came back to it
    same = ~goes_on & np.isin(first["rne"].to_numpy(str), sorted(codes.SAME_CARERS | {codes.LEGAL_STATUS_ONLY}))
    start_known = ~same & (came_from != codes.TEMPORARY.name)
    is_open = last["open"].to_numpy(bool)
    after = np.where(last["left"].to_numpy(bool), LEFT, NOT_RECORDED)
    went_to = np.where(is_open, OPEN, np.where(next_goes_on, next_category, after))
    child, stay = first["child"].to_numpy(np.int64), first["stay"].to_numpy(np.int64)
    # numbered from one within the child
    new_child = _shifted(child, -1) != child
    base = np.maximum.accumulate(np.where(new_child, stay, 0)) if len(first) else stay
    start, end = first["start"].to_numpy(np.int64), last["end"].to_numpy(np.int64)
    born = children["born"].to_numpy(np.int64)[child]
    stay_start = _first_of_stay(start, stay)
    distance = first["distance"].to_numpy(float)
    bands = np.searchsorted([limit for limit, _ in codes.DISTANCE_BANDS], distance, side="left")
    band_names = np.array([*(name for _, name in codes.DISTANCE_BANDS), "unknown"], dtype=object)
    months = np.array([start, end - 1]).astype("datetime64[D]").astype("datetime64[M]").astype(np.int64)
    first_month = np.int64(window.first).astype("datetime64[D]").astype("datetime64[M]").astype(np.int64)
    return pd.DataFrame(
        {
            "child": child + 1,
            "care_spell": stay - base + 1,
            "start": start.astype("datetime64[D]").astype("datetime64[s]"),
            "end": end.astype("datetime64[D]").astype("datetime64[s]"),
            "start_period": months[0] - first_month,
            "end_period": months[1] - first_month,
            "category": category,
            "place": first["place"].to_numpy(object),
            "provider": [codes.PROVIDERS[code] for code in first["provider"]],
            "came_from": came_from,
            "went_to": went_to,
            "age_at_start": ages(born, start, born != BLANK),
            "sex": children["sex"].to_numpy(object)[child],
            "uasc": children["uasc"].to_numpy(bool)[child],
            "need": np.where(first["cin"] == "", NOT_RECORDED, first["cin"]),
            "legal_status": first["ls"].to_numpy(object),
            "days_in_care_before": start - stay_start,
            "location": [codes.LOCATIONS[code] for code in first["location"]],
            "distance_band": np.where(np.isnan(distance), "unknown", band_names[np.minimum(bands, 3)]),
            "censored": is_open,
            "truncated": start < window.first,
            "start_known": start_known,
        }
    )


def _first_of_stay(start: npt.NDArray[np.int64], stay: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    new = _shifted(stay, -1) != stay
    return start[np.maximum.accumulate(np.where(new, np.arange(len(stay)), 0))] if len(stay) else start
