"""A model of demand → terminal: what was read, what was fitted with its intervals, and how well it would have forecast."""

from __future__ import annotations

from typing import Any

from rich.console import Console, Group
from rich.text import Text

from optimiser.demand.ssda903 import PUBLISHABLE
from optimiser.report.terminal import month, number, share, table_of

Row = dict[str, Any]


def show_demand(document: Row, console: Console) -> None:
    """Print the diagnostics of a model of demand."""
    if document["records"] is None:
        console.print(_counted(document), highlight=False)
        return
    parts = [_records(document), _arrivals(document), _stays(document), _moves(document), _today(document)]
    for part in [*parts, _tested(document), *_notes(document)]:
        console.print(part, highlight=False)
        console.print()


def _heading(words: str) -> Text:
    return Text(words, style="bold")


def _within(row: Row, name: str, places: int = 1) -> str:
    """A figure with its interval."""
    if row[name] is None:
        return "too few"
    low, high = number(row[f"{name}_low"], places), number(row[f"{name}_high"], places)
    return f"{number(row[name], places)} ({low}–{high})"


def _share_within(row: Row, name: str, places: int = 1) -> str:
    if row[name] is None:
        return "too few"
    low, high = share(row[f"{name}_low"], places), share(row[f"{name}_high"], places)
    return f"{share(row[name], places)} ({low} to {high})".replace("-", "−")


def _records(document: Row) -> Group:
    records = document["records"]
    lines = [
        f"Returns {records['years']}: {records['episodes']} episodes, {records['placements']} placements in beds; "
        f"{records['placements_in_cohorts']} under the rules of a cohort, {records['placements_outside']} outside them.",
        f"Children without an episode: {records['children_without_episodes']}; without a date of birth: "
        f"{records['children_without_age']}; with more than one: {records['children_with_two_births']}.",
    ]
    rows = [[row["reason"], row["outcome"], row["episodes"]] for row in document["reconciliation"]]
    table = table_of(("Why", "outcome", "rows"), rows, left=2)
    nights = list(dict.fromkeys(row["night"] for row in document["children_by_kind"]))
    kinds = list(dict.fromkeys(row["category"] for row in document["children_by_kind"]))
    shown = {(row["category"], row["night"]): row["children"] for row in document["children_by_kind"]}
    counts = [[kind, *(_short(shown[kind, night]) for night in nights)] for kind in kinds]
    by_kind = table_of(("Children in beds on 31 March", *(night[:4] for night in nights)), counts)
    return Group(_heading("1  What was read"), *lines, table, by_kind, "Under 5: 1 to 4 children; –: suppressed.")


def _short(count: str) -> str:
    """A count for a narrow column."""
    return {f"fewer than {PUBLISHABLE}": f"under {PUBLISHABLE}", "suppressed": "–"}.get(count, count)


def _arrivals(document: Row) -> Group:
    rows = []
    for row in document["cohorts"]:
        family = row["family"] if row["dispersion"] is None else f"neg. binomial {row['dispersion']:g}"
        season = f"{min(row['season']):.2f} to {max(row['season']):.2f}" if row["season"] else "none"
        of = [row["cohort"], row["arrived"], _within(row, "arrivals_per_month", 2)]
        rows.append([*of, _share_within(row, "growth_per_year"), family, season])
    table = table_of(("Cohort", "Arrived", "A month (90%)", "Growth a year (90%)", "Spread", "Season"), rows)
    return Group(_heading("2  Arrivals"), table, *_asked(document))


def _asked(document: Row) -> list[str]:
    asked, lines = document["asked"], []
    if asked["level"]:
        lines.append(
            f"Arrivals at the level of {asked['level']}, as asked; the records after it do not count for them."
        )
    if asked["growth_per_year"] is not None:
        lines.append(f"Growth of {share(asked['growth_per_year'], 1)} a year is laid on top of the trend, as asked.")
    return lines


def _stays(document: Row) -> Group:
    rows = []
    for row in document["cohorts"]:
        depends = "by time so far" if row["leaving_depends_on_time_so_far"] else "alike at all times"
        rows.append([row["cohort"], row["left"], _within(row, "mean_stay_months"), depends])
    table = table_of(("Cohort", "Left", "Mean stay, months (90%)", "Leaving"), rows)
    by_source = [
        [row["cohort"], row["source"], row["left"], _within(row, "mean_stay_months"), _yes(row["leaves_differently"])]
        for row in document["sources"]
    ]
    sources = table_of(("Cohort", "where", "Left", "Mean stay, months (90%)", "Differs"), by_source, left=2)
    curves = []
    for row in document["cohorts"]:
        points = [point for point in document["survival"] if point["cohort"] == row["cohort"]][1:]
        picked = points[:: max(len(points) // 4, 1)][:5]
        said = "; ".join(
            f"{_months(point['months'])} {share(point['observed'])} ({share(point['fitted'])})" for point in picked
        )
        if said:
            curves.append(f"Still there, observed (fitted), {row['cohort']}: {said}.")
    return Group(_heading("3  Stays"), table, sources, *curves)


def _months(count: float) -> str:
    return "1 month" if round(count) == 1 else f"{count:.0f} months"


def _yes(value: bool) -> str:
    return "yes" if value else "no"


def _moves(document: Row) -> Group:
    rows = [
        [
            row["cohort"],
            row["source"],
            row["moved"],
            _share_within(row, "moves_per_month"),
            _yes(row["moves_differently"]),
        ]
        for row in document["sources"]
    ]
    parts: list[Any] = [
        _heading("4  Moves and steps"),
        table_of(("Cohort", "where", "Moved", "A month (90%)", "Differs"), rows, left=2),
    ]
    steps = [
        [row["origin"], row["destination"], row["seen"], _share_within(row, "share_per_month")]
        for row in document["steps"]
    ]
    if steps:
        parts.append(table_of(("Steps from", "to", "Seen", "A month (90%)"), steps, left=2))
    return Group(*parts)


def _today(document: Row) -> Group:
    rows = [[row["cohort"], row["source"], row["today"]] for row in document["sources"]]
    total = ", ".join(f"{row['cohort']} {row['today']}" for row in document["cohorts"])
    heading = _heading("5  Children there when the records end")
    return Group(heading, f"By cohort: {total}.", table_of(("Cohort", "where", "Children"), rows, left=2))


def _tested(document: Row) -> Group:
    heading = _heading("6  Back-test: the last year forecast by the years before it")
    if not document["back_test"]:
        return Group(heading, "Not done: the records are too short.")
    every = {"cohort": "all"} | document["back_test_all"]
    rows = [
        [
            row["cohort"],
            share(row["covered_90"]),
            share(row["covered_50"]),
            *(number(row[name], 2) for name in ("loss", "loss_last_value", "loss_mean_rates")),
        ]
        for row in [*document["back_test"], every]
    ]
    columns = ("Cohort", "in 90% band", "in 50% band", "Loss", "last value", "mean rates")
    words = (
        "Months of the year held back whose children lay in the forecast's bands; pinball loss in children (less is better) "
        "beside that of the last value and of mean daily rates."
    )
    return Group(heading, table_of(columns, rows), words)


def _notes(document: Row) -> list[Group]:
    if not document["notes"]:
        return []
    return [Group(_heading("7  Notes"), *(f"• {note}" for note in document["notes"]))]


def _counted(document: Row) -> Group:
    rows = []
    for row in document["cohorts"]:
        family = row["family"] if row["dispersion"] is None else f"neg. binomial {row['dispersion']:g}"
        of = [row["cohort"], f"{row['counted']:,}", row["share"], _within(row, "arrivals_per_month", 2)]
        rows.append([*of, _share_within(row, "growth_per_year"), family])
    table = table_of(("Cohort", "Counted", "Share", "A month (90%)", "Growth a year (90%)", "Spread"), rows)
    said = [
        f"{row['cohort']}: {row['document']}, {row['place']}; fitted from {month(row['fitted_from'])} on."
        for row in document["cohorts"]
    ]
    return Group(_heading("Arrivals from a published table"), table, *said, *_asked(document))
