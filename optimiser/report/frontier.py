"""A frontier document on the terminal: what each further pound of capital buys."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

from rich.console import Console
from rich.text import Text

from optimiser.report.terminal import counted, decision_words, exact, more_or_fewer, number, pounds, share, table_of

Row = dict[str, Any]

#: Rows of a grid that the terminal shows; the others are in the document.
SHOWN = 16
BAR = 30


def show_frontier(document: Row, console: Console) -> None:
    """Print a frontier: the curve, the table, where the instance's own envelope lies, and what is proven."""
    console.print(Text(document["instance"]["title"], style="bold"), highlight=False)
    console.print(ground_words(document), highlight=False)
    for year in dict.fromkeys(row["year"] for row in document["points"]):
        rows = [row for row in document["points"] if row["year"] == year]
        console.print()
        if year is not None:
            console.print(Text(f"Capital that {year} releases", style="bold"), highlight=False)
        _chart(rows, document, console)
        console.print()
        _table(rows, document, console)
        console.print()
        _taken(rows, document, console)
        if any(row["before"] is not None for row in rows):
            console.print()
            _slipped(rows, document, console)
    console.print()
    for line in frontier_lines(document):
        console.print(f"• {line}", highlight=False)


def ground_words(document: Row) -> str:
    """What was asked, on how many futures, to which gap."""
    what = "the capital envelope" if document["by"] == "total" else "the capital of one financial year at a time"
    points = (
        "every best plan between no capital and enough"
        if document["grid"] is None
        else counted(len(document["points"]), "envelope")
    )
    slipped = f" Once this slips: {'; '.join(document['slipped'])}." if document["slipped"] else ""
    return (
        f"What each further pound buys: {points}, by {what} ({_envelope_words(document)}).{slipped} {document['futures']} "
        f"futures, seed "
        f"{document['seed']}, gap {share(document['gap_asked'], 2)}, {counted(document['solves'], 'search', 'searches')}. "
        "Pounds are present and real, without the deterrent on having no registered place unless it is named."
    )


def _envelope_words(document: Row) -> str:
    """Which envelopes are varied, and which stay as they are."""
    varied = document["envelopes"]
    words = str(document["envelope"])
    if len(varied) > 1:
        words = "together: " + ", ".join(f"{row['name']} {share(row['share'])}" for row in varied)
    held = [
        f"{row['name']} {'without a total' if row['limit_gbp'] is None else exact(row['limit_gbp'])}"
        for row in document["envelopes_held"]
    ]
    return words + (f"; held: {', '.join(held)}" if held else "")


def _slipped(rows: list[Row], document: Row, console: Console) -> None:
    """What each envelope bought before anything slipped, and what it buys now."""
    step = document["rounding_gbp"]
    console.print(Text("What slipping costs at each envelope, planned anew", style="bold"), highlight=False)
    heads = ["Envelope", "Homes", "Cost before", "Cost now", "More", "Unregistered before", "Now"]
    shown = [row for row in _spread(rows) if row["before"] is not None]
    table = [
        [
            pounds(row["capital_limit_gbp"], step),
            f"{row['before']['homes']} → {row['homes']}",
            pounds(row["before"]["expected_cost_gbp"], step),
            pounds(row["expected_cost_gbp"], step),
            pounds(row["slippage_costs_gbp"], step),
            number(row["before"]["unregistered_child_weeks"]),
            number(row["unregistered_child_weeks"]),
        ]
        for row in shown
    ]
    console.print(table_of(heads, table), highlight=False)


def _chart(rows: list[Row], document: Row, console: Console) -> None:
    """Cost with the deterrent by envelope, drawn as bars."""
    step = document["rounding_gbp"]
    shown = _spread(rows)
    low, high = min(row["objective_gbp"] for row in shown), max(row["objective_gbp"] for row in shown)
    own = None if document["own"] is None else document["own_limit_gbp"]
    here = max(
        (row["capital_limit_gbp"] for row in shown if own is not None and row["capital_limit_gbp"] <= own + 0.005),
        default=None,
    )
    console.print(
        Text("Cost with the deterrent by envelope: above the least, in full, and its bound", style="bold"),
        highlight=False,
    )
    for row in shown:
        above = row["objective_gbp"] - low
        bar = "█" * round(BAR * above / (high - low)) if high > low else ""
        mark = "  ◄ the instance's" if row["capital_limit_gbp"] == here else ""
        console.print(
            f"{pounds(row['capital_limit_gbp'], step):>8} {bar or '▏':<{BAR}} {pounds(above, min(step, 10_000.0)):>7}  "
            f"{exact(row['objective_gbp'])}, bound {exact(row['bound_gbp'])}{mark}",
            highlight=False,
        )


def _spread(rows: list[Row]) -> list[Row]:
    """At most so many rows, evenly spaced, the first and the last among them."""
    if len(rows) <= SHOWN:
        return rows
    return [rows[round(place * (len(rows) - 1) / (SHOWN - 1))] for place in range(SHOWN)]


def _table(rows: list[Row], document: Row, console: Console) -> None:
    step = document["rounding_gbp"]
    heads = [
        "Envelope",
        "Cost",
        "Saving",
        "Unregistered",
        "Homes/block",
        "P90",
        "Next £1m saves",
        "Repaid",
        "Break-even",
    ]
    shown = _spread(rows)
    console.print(
        table_of(
            heads,
            [
                [
                    pounds(row["capital_limit_gbp"], step) + ("" if row["least_envelope_proven"] else " ?"),
                    pounds(row["expected_cost_gbp"], step),
                    pounds(row["saving_gbp"], step),
                    number(row["unregistered_child_weeks"]),
                    f"{row['homes']} / {row['block_beds']}",
                    pounds(row["p90_gbp"], step),
                    next_words(row["next_million"], step),
                    _repaid(row),
                    share(row["break_even_occupancy"]),
                ]
                for row in shown
            ],
        ),
        highlight=False,
    )
    if len(shown) < len(rows):
        console.print(f"{len(rows) - len(shown)} more in the document (--json, --out).", highlight=False)


def _taken(rows: list[Row], document: Row, console: Console) -> None:
    """The capital of each point by financial year, its beds, where children live, and the mean of its worst futures."""
    step = document["rounding_gbp"]
    worst = f"Worst {share(1 - document['cvar_level'])}"
    table = [
        [
            pounds(row["capital_limit_gbp"], step),
            ", ".join(f"{each['year']} {pounds(each['capital_gbp'], step)}" for each in row["capital_by_year"])
            or "none",
            f"{row['beds']} / {row['block_beds']}",
            share(row["spot_share"]),
            pounds(row["cvar_gbp"], step),
        ]
        for row in _spread(rows)
    ]
    heads = ["Envelope", "Capital used, by year begun", "Beds owned/block", "In spot places", worst]
    console.print(table_of(heads, table, left=2), highlight=False)


def next_words(row: Row | None, step: float) -> str:
    """What the next million saves of what is minimised, as far as it is proven."""
    if row is None:
        return "–"
    low, high = pounds(row["least_gbp"], step), pounds(row["most_gbp"], step)
    return low if low == high else f"{low}–{high}"


def _repaid(row: Row) -> str:
    if row["capital_used_gbp"] <= 0:
        return "–"
    return row["outlay_repaid_year"] or "later"


def frontier_lines(document: Row) -> list[str]:
    """The document in sentences."""
    lines = [*_own_lines(document), *_step_lines(document)]
    proven = sum(row["least_envelope_proven"] for row in document["points"])
    if document["grid"] is None:
        count = len(document["points"])
        lines.append(
            f"At every envelope from one plan's to the next the plan costs at most {share(document['gap_asked'], 2)} more than "
            f"the best possible there. For {proven} of {count} it is proven that no smaller envelope does as well"
            + (" (the others are marked ?)" if proven < count else "")
            + ". Steps smaller than the gap are merged into the plan that takes less capital."
        )
    lines.append(
        "Costs never rise with the envelope: every bound lies below every plan that its envelope affords."
        if document["complete"]
        else "Stopped: the points shown hold; smaller envelopes were not looked at."
    )
    lines.append(
        "Next £1m saves: the least and the most that is proven, with the deterrent. In spot places: share of all child-weeks in "
        f"care. Worst {share(1 - document['cvar_level'])}: mean cost of that share of futures."
    )
    if not any(row["capital_used_gbp"] > 0 for row in document["points"]):
        return lines
    lines.append(
        "Repaid: the year by whose end spending less than without capital has made up for the outlay (nominal, without residual "
        "value)."
        + (
            " The running cost already holds the financing of the capital, so this asks for the outlay a second time; by the "
            "revenue budget alone, the plans are ahead from " + _ahead_words(document) + "."
            if document["capital_in_running_cost"]
            else ""
        )
    )
    return lines


def _ahead_words(document: Row) -> str:
    years = sorted({row["payback_year"] for row in document["points"] if row["payback_year"] is not None})
    if not years:
        return "no year within the horizon"
    return years[0] if len(years) == 1 else f"{years[0]} to {years[-1]}"


def _own_lines(document: Row) -> list[str]:
    own, step = document["own"], document["rounding_gbp"]
    if own is None:
        return []
    lines = [
        f"The instance's envelope, {pounds(own['capital_limit_gbp'], step)}: the best plan uses "
        f"{pounds(own['capital_used_gbp'], step)} and costs {pounds(own['expected_cost_gbp'], step)} (objective "
        f"{exact(own['objective_gbp'])}, bound {exact(own['bound_gbp'])})."
    ]
    before = own["before"]
    if before is not None:
        more = own["expected_cost_gbp"] - before["expected_cost_gbp"]
        lines[0] += (
            f" Before anything slipped it bought {counted(before['homes'], 'home')} for "
            f"{pounds(before['expected_cost_gbp'], step)} (objective {exact(before['objective_gbp'])}, bound "
            f"{exact(before['bound_gbp'])}): slipping costs {pounds(more, step)}, planned anew."
        )
    for name in ("less", "more"):
        there = own[name]
        if there is None:
            continue
        change = abs(own["capital_limit_gbp"] - there["capital_limit_gbp"])
        lead = f"{pounds(change, step)} {name} ({pounds(there['capital_limit_gbp'], step)})"
        if there["objective_more_gbp"] == 0:
            lines.append(f"{lead} changes nothing that the gap can tell: {_enough_words(document, name)}.")
            continue
        cost, weeks = there["pounds_more_gbp"], there["child_weeks_more"]
        money = f"costs {pounds(cost, step)} more" if cost >= 0 else f"costs {pounds(-cost, step)} less"
        lines.append(
            f"{lead}: {counted(there['homes'], 'home')} instead of {there['homes_before']}; {money} and has "
            f"{more_or_fewer(weeks)} child-weeks without a registered place (with the deterrent "
            f"{pounds(abs(there['objective_more_gbp']), step)} {'more' if there['objective_more_gbp'] > 0 else 'less'})."
        )
    return lines


def _enough_words(document: Row, name: str) -> str:
    enough = document["enough_gbp"][0]
    if name == "more" and document["own_limit_gbp"] >= enough - 0.005:
        return f"all the homes that can be had cost {pounds(enough, document['rounding_gbp'])}"
    return "the plan stays as it is"


def _step_lines(document: Row) -> list[str]:
    """What is decided at the first, the largest step and the last plan."""
    rows = [row for row in document["points"] if row["year"] == document["points"][0]["year"]]
    if document["grid"] is not None or len(rows) < 2:
        return []
    step, titles = document["rounding_gbp"], document["titles"]
    steps = [(one["objective_gbp"] - other["objective_gbp"], one, other) for one, other in pairwise(rows)]
    most, one, other = max(steps, key=lambda each: each[0])
    begun = [row for row in other["decisions"] if row["action"] in ("begin", "award", "extend")]
    words = " ".join(decision_words(row, titles) for row in begun)
    return [
        f"The largest step: from {pounds(one['capital_limit_gbp'], step)} to {pounds(other['capital_limit_gbp'], step)} lowers "
        f"cost with the deterrent by {pounds(most, step)}. The plan there: {words}"
    ]
