"""The register of evidence: which row of ``evidence.csv`` says where a figure comes from, and how far it may be off."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from difflib import get_close_matches
from functools import lru_cache

from optimiser.errors import Fault
from optimiser.instance.distributions import Distribution
from optimiser.instance.draft import Draft, DraftRow, suggestion
from optimiser.instance.schema import TABLES, Evidence, Instance, Settings, figure_fields

#: What a figure can be: a number, an uncertain number, or a profile of shares.
FigureValue = float | Distribution | tuple[float, ...]


def evidence_for(instance: Instance, key: str) -> Evidence:
    """The register's row for a figure: an exact match before a pattern, and fewer stars before more.

    Raises ``KeyError`` where no row covers the key, which no figure of an instance that was read can meet.
    """
    best = best_pattern(key, (row.figures for row in instance.evidence))
    if best is None:
        raise KeyError(key)
    return next(row for row in instance.evidence if row.figures == best)


def best_pattern(key: str, patterns: Iterable[str]) -> str | None:
    """The pattern that says most about a key: fewest stars, then longest, then first; None where none matches."""
    matching = [pattern for pattern in patterns if matches(pattern, key)]
    return min(matching, key=lambda pattern: (pattern.count("*"), -len(pattern)), default=None)


def matches(pattern: str, key: str) -> bool:
    """Whether a pattern, with ``*`` for any part, covers a key."""
    return pattern == key or ("*" in pattern and _compiled(pattern).fullmatch(key) is not None)


@lru_cache(maxsize=4096)
def _compiled(pattern: str) -> re.Pattern[str]:
    # neighbouring stars are one: two would make matching slow for nothing
    parts = re.split(r"\*+", pattern)
    return re.compile(".*".join(re.escape(part) for part in parts))


def mean_of(value: FigureValue) -> float:
    """A figure as one number: its mean where it is uncertain or a profile."""
    if isinstance(value, Distribution):
        return value.mean
    if isinstance(value, tuple):
        return sum(value) / len(value) if value else 0.0
    return float(value)


def range_of(evidence: Evidence, value: FigureValue) -> tuple[float, float]:
    """Lowest and highest that a figure may be.

    An assumption's own range; percentages are relative to the value's mean. Where the register gives none, the ends of
    a distribution, or the value itself twice.

    Raises ``ValueError`` with the rule where an end of the range is neither a number nor a percentage.
    """
    mean = mean_of(value)
    low, high = (value.low, value.high) if isinstance(value, Distribution) else (mean, mean)
    return (
        end_of_range(evidence.low, mean) if evidence.low else low,
        end_of_range(evidence.high, mean) if evidence.high else high,
    )


def given(key: str, value: float, was: object, where: str) -> Evidence:
    """The register's row for a figure that is given instead of the instance's: an assumption, whatever the instance's own was.

    Parameters
    ----------
    was : the instance's own; None for no limit
    where : who gives it, such as ``Given on the command line``
    """
    own = "no limit" if was is None else f"{was:,.12g}" if isinstance(was, (int, float)) else str(was)
    text = f"{value:.15g}"
    note = f"{where}; the instance has {own}."
    return Evidence(figures=key, evidence="assumption", low=text, high=text, note=note)


def with_evidence(instance: Instance, rows: Iterable[Evidence]) -> Instance:
    """The instance with rows of the register in place of those for the same figures."""
    new = {row.figures: row for row in rows}
    kept = [row for row in instance.evidence if row.figures not in new]
    return instance.model_copy(update={"evidence": (*kept, *new.values())})


def end_of_range(written: str, mean: float) -> float:
    """One end of a range: ``12000``, or ``-10%`` of the mean's size below the mean.

    Raises ``ValueError`` with the rule where it is neither.
    """
    match = re.fullmatch(r"([-+]?\d+(?:\.\d+)?|[-+]?\.\d+)\s*(%?)", written.strip(), flags=re.ASCII)
    if not match or len(written) > 40:
        raise ValueError("is not a number or a percentage such as -10%")
    number = float(match[1])
    return mean + abs(mean) * number / 100 if match[2] else number


def suggested_key(written: str, known: Iterable[str]) -> str:
    """``Did you mean …?`` where a known key is close, else how keys are made."""
    keys = tuple(known)
    close = get_close_matches(written, keys, n=1, cutoff=0.7)
    if close:
        return f"Did you mean {close[0]}?"
    head = written.split(".")[0]
    example = max(keys, key=lambda key: (key.split(".")[0] == head, not key.startswith("settings.")), default="")
    if not example:
        return "Figures are called table.row.column."
    return f"Figures are called table.row.column, such as {example}."


# what must agree between the register and the figures


def figure_values(draft: Draft) -> dict[str, FigureValue | None]:
    """Figures that are filled in, by the keys of ``Instance.figure_values``; None where the row is faulty."""
    values: dict[str, FigureValue | None] = {}
    for name in figure_fields(Settings):
        if name in draft.settings_cells:
            values[f"settings.{name}"] = None if draft.settings is None else getattr(draft.settings, name)
    for table, (model, _, _) in TABLES.items():
        names = figure_fields(model)
        for key, row in zip(draft.keys(table), draft.written(table), strict=True):
            for name in names:
                if name in row.cells:
                    values[f"{table}.{key}.{name}"] = None if row.row is None else getattr(row.row, name)
    return values


def check_register(draft: Draft) -> Iterator[Fault]:
    """Every figure is covered, every row of the register covers something, and says what its kind needs."""
    if not draft.readable("evidence"):
        return
    places = _filled_in(draft)
    figures = figure_values(draft)
    patterns = draft.names("evidence")
    covered: dict[str, list[str]] = {pattern: [] for pattern in patterns}
    for key in figures:
        pattern = best_pattern(key, patterns)
        if pattern is None:
            yield _uncovered(draft, key, *places[key])
        else:
            covered[pattern].append(key)
    published = draft.names("published")
    for row, evidence in draft.rows("evidence"):
        about = evidence.figures
        if not covered[about] and draft.settled(about) and not any(matches(about, key) for key in places):
            head = about.split(".")[0]
            emptied = head in draft.tables and not draft.written(head)
            emptied_fix = f"Delete the row: {head}.csv has no row either."
            fix = emptied_fix if emptied else f"{suggested_key(about, figures)} Mend the row, or delete it."
            yield draft.fault("evidence", row, "figures", about, "covers nothing that is filled in", fix)
        if evidence.evidence == "assumption" or evidence.low or evidence.high:
            own = {key: value for key in covered[about] if (value := figures[key]) is not None}
            yield from _range(draft, row, evidence, own)
        if evidence.evidence == "published":
            yield from _place(draft, row, evidence)
        elif evidence.evidence != "assumption":
            yield from _origin(draft, row, evidence, places, figures, published)


def idle_rows(draft: Draft) -> frozenset[str]:
    """Rows of the register, by what they cover, that cover nothing that is filled in."""
    places = _filled_in(draft)
    return frozenset(pattern for pattern in draft.names("evidence") if not any(matches(pattern, key) for key in places))


def _filled_in(draft: Draft) -> dict[str, tuple[str, DraftRow | None, str]]:
    """Everything that is filled in, by key: its table ("" for the settings), row and column."""
    places: dict[str, tuple[str, DraftRow | None, str]] = {
        f"settings.{name}": ("", None, name) for name in draft.settings_cells
    }
    for table in TABLES:
        if table == "evidence":
            continue
        for key, row in zip(draft.keys(table), draft.written(table), strict=True):
            for column in row.cells:
                places.setdefault(f"{table}.{key}.{column}", (table, row, column))
    return places


def _uncovered(draft: Draft, key: str, table: str, row: DraftRow | None, column: str) -> Fault:
    rule = "has no row in evidence.csv that says where it comes from"
    if row is None:
        return draft.setting_fault(column, draft.settings_cells[column], rule, f"Add a row for {key}.")
    fix = f"Add a row for {key}, or for {table}.*.{column}."
    return draft.fault(table, row, column, row.cells[column], rule, fix)


def _place(draft: Draft, row: DraftRow, evidence: Evidence) -> Iterator[Fault]:
    for column in ("document", "place"):
        if not getattr(evidence, column):
            fix = "A published figure has its document, and its place there."
            yield draft.fault("evidence", row, column, "", "is missing", fix)


def _range(draft: Draft, row: DraftRow, evidence: Evidence, figures: Mapping[str, FigureValue]) -> Iterator[Fault]:
    readable = True
    for column in ("low", "high"):
        written = getattr(evidence, column)
        try:
            if written:
                end_of_range(written, 1.0)
            elif evidence.evidence == "assumption":
                raise ValueError("is missing")
        except ValueError as error:
            readable = False
            fix = (
                "Give a range by low and high: numbers, or percentages such as -10% and +10%; an assumption needs both."
            )
            yield draft.fault("evidence", row, column, written, str(error), fix)
    if not readable:
        return
    for key, value in figures.items() or {"": 1.0}.items():
        low, high = range_of(evidence, value)
        about = f", {high:g} for {key}" if key and "%" in evidence.low + evidence.high else ""
        if low > high:
            fix = "Exchange the two."
            yield draft.fault("evidence", row, "low", evidence.low, f"is above high, {evidence.high}{about}", fix)
            return
        mean, slack = mean_of(value), 1e-9 * max(abs(low), abs(high), 1.0)
        if key and not low - slack <= mean <= high + slack:
            column = "low" if mean < low else "high"
            side = "above" if mean < low else "below"
            rule = f"is {side} the figure itself: {key} is {mean:g}"
            fix = "The figure lies within its range; mend one of the two."
            yield draft.fault("evidence", row, column, getattr(evidence, column), rule, fix)
            return


def _origin(
    draft: Draft,
    row: DraftRow,
    evidence: Evidence,
    places: Mapping[str, object],
    figures: Mapping[str, object],
    published: Iterable[str],
) -> Iterator[Fault]:
    names = evidence.derived_from.split()
    if not names:
        fix = f"Name the figures or published results that it is {evidence.evidence} from."
        yield draft.fault("evidence", row, "derived_from", "", "is missing", fix)
    known = tuple(published)
    for name in names:
        if (
            name not in known
            and draft.readable("published")
            and draft.settled(name)
            and not any(matches(name, key) for key in places)
        ):
            fix = suggestion(name, known) if "." not in name and known else suggested_key(name, figures)
            rule = "is neither a figure nor a result in published.csv"
            yield draft.fault("evidence", row, "derived_from", name, rule, fix)
