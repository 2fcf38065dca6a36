"""A value document and an alternatives document on the terminal."""

from __future__ import annotations

from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from optimiser.report.terminal import (
    decision_words,
    more_or_fewer,
    number,
    pounds,
    share,
    table_of,
    taken_up_words,
)

Row = dict[str, Any]

#: Alternatives that are told of in full, and listed in the table.
IN_FULL, IN_TABLE = 5, 20


# value


def show_value(document: Row, console: Console) -> None:
    """Print what information, planning under uncertainty and reviews are worth."""
    console.print(Text(document["instance"]["title"], style="bold"), highlight=False)
    console.print(_ground_words(document), highlight=False)
    if document["stopped"]:
        missing = "; ".join(document["missing"]) or "nothing"
        console.print(
            Text(f"Stopped by hand: this is what had been found by then. Not reached: {missing}.", style="bold"),
            highlight=False,
        )
    for line in value_lines(document):
        console.print(f"• {line}", highlight=False)


def _ground_words(document: Row) -> str:
    left_out = f" Left out: {'; '.join(document['left_out'])}." if document["left_out"] else ""
    if not document["drawn"]:
        return (
            f"On the {document['futures']} futures of the instance's table, so that nothing below is an estimate; present "
            f"real £ with the deterrent on having no registered place.{left_out}"
        )
    return (
        f"The plan is made on {document['futures']} futures. All plans are priced on the same "
        f"{document['replications']} × {document['futures_each']} others; present real £ with the deterrent on having no "
        f"registered place; intervals hold what they say in {share(document['confidence'])} of cases.{left_out}"
    )


def value_lines(document: Row) -> list[str]:
    """The document in sentences."""
    step = document["rounding_gbp"]
    cost = document["out_of_sample"]
    lines = [
        f"The plan costs {pounds(document['objective_gbp'], step)} on its own futures and {pounds(cost['mean_gbp'], step)} "
        f"on others ({_between(cost, step)}); without the deterrent {pounds(cost['expected_cost_gbp'], step)} "
        f"(standard error {pounds(cost['expected_cost_error_gbp'], step)})."
    ]
    gap = document["optimality_gap"]
    if gap is not None:
        fine = _finer(step, gap["high_gbp"])
        lines.append(
            f"Another plan can cost at most {pounds(gap['high_gbp'], fine)} less "
            f"({share(gap['high_gbp'] / max(abs(cost['mean_gbp']), 1.0), 2)}); estimated {pounds(gap['gap_gbp'], fine)}, "
            "which the few futures of each replication and the solver's own gap make too high rather than too low."
        )
    lines += _information_lines(document, step)
    for row in document["stochastic_solution"]:
        lines.append(_against_words(document, row, step))
        if row["plan"] == "rule-of-thumb":
            lines.append(f"The rule of thumb: {document['rule_of_thumb']}")
    if document["reviews"] is not None or not document["stopped"]:
        lines.append(_review_words(document["reviews"], step))
    return lines


def _information_lines(document: Row, step: float) -> list[str]:
    lines = []
    for row, words in (
        (document["perfect_information"], "everything"),
        (
            document["perfect_information_about_dates"],
            "when homes are registered and lots delivered, and nothing else,",
        ),
    ):
        if row is None:
            continue
        fine = _finer(step, row["high_gbp"])
        line = f"To know {words} before deciding would be worth between {pounds(row['low_gbp'], fine)} and "
        line += pounds(row["high_gbp"], fine)
        if document["drawn"]:
            line += f" (best estimates {pounds(row['at_least_gbp'], fine)} to {pounds(row['at_most_gbp'], fine)})"
            if row["low_gbp"] <= 0:
                line += "; that it is worth anything cannot be told from noise"
                times = row["times_as_many_would_tell"]
                line += "" if times is None else f", which {times:,} times as many futures would tell"
        lines.append(line + ".")
    return lines


NAMES = {"averages": "The best plan for average figures", "rule-of-thumb": "A plan by rule of thumb"}


def _against_words(document: Row, row: Row, step: float) -> str:
    name = NAMES.get(row["plan"], f"The paper's option ({document['titles'].get(row['plan'], row['plan'])})")
    return f"{name} {_difference_words(row, step)}"


def _difference_words(row: Row, step: float) -> str:
    """What a plan costs more, and whether that is signal."""
    if row["same_plan"]:
        return "is this plan, or costs the same in every future."
    fine = _finer(step, max(abs(row["low_gbp"]), abs(row["high_gbp"])))
    more = "more" if row["mean_gbp"] >= 0 else "less"
    weeks = row["unregistered_child_weeks"]
    words = (
        f"costs {pounds(abs(row['mean_gbp']), fine)} {more} ({_between(row, fine)}), of which "
        f"{pounds(row['expected_cost_gbp'], fine)} without the deterrent, and has {more_or_fewer(weeks)} "
        "child-weeks without a registered place"
    )
    if row["told_from_noise"]:
        return words + "."
    words += f". On {row['futures']} futures that cannot be told from noise"
    if row["futures_that_would_tell"] is None:
        return words + "."
    return words + f"; about {row['futures_that_would_tell']:,} would tell."


def _review_words(row: Row | None, step: float) -> str:
    if row is None:
        return "There are no review points, so they are worth nothing here."
    fine = _finer(step, max(abs(row["low_gbp"]), abs(row["high_gbp"])))
    words = f"Review points: the best plan that may not wait for them {_difference_words(row, step)}"
    return (
        words + f" On the plan's own futures they are worth {pounds(row['on_own_futures_at_least_gbp'], fine)} to "
        f"{pounds(row['on_own_futures_at_most_gbp'], fine)}."
    )


def _between(row: Row, step: float) -> str:
    if row["low_gbp"] == row["high_gbp"]:
        return "exactly"
    return f"{pounds(row['low_gbp'], step)} to {pounds(row['high_gbp'], step)}"


def _finer(step: float, size: float) -> float:
    """Rounding for a difference: no coarser than a tenth of it, no finer than a thousand pounds unless it is less."""
    return min(step, 10_000.0 if size >= 100_000 else 1_000.0 if size >= 10_000 else 1.0)


# alternatives


def show_alternatives(document: Row, console: Console) -> None:
    """Print the alternatives: the most different few in full, then all side by side."""
    step = document["rounding_gbp"]
    console.print(Text(document["instance"]["title"], style="bold"), highlight=False)
    console.print(complete_words(document), highlight=False)
    if document["taken_up"] is not None:
        console.print(taken_up_words(document["taken_up"]), highlight=False)
    best = min(document["alternatives"], key=lambda row: row["objective_gbp"])
    for place, row in enumerate(document["alternatives"][:IN_FULL], start=1):
        console.print()
        words = "The best" if row is best else f"{share(row['above_best_share'], 2)} above the best"
        console.print(Text(f"{place}  {words}", style="bold"), highlight=False)
        decisions = [found for found in row["decisions"] if found["action"] != "recruit"]
        for found in decisions:
            console.print(f"• {decision_words(found, document['titles'])}", highlight=False)
        if not decisions:
            console.print("• Begin no home, award no lot, extend nothing.", highlight=False)
        if row is not best:
            console.print(f"  {trade_words(row, best, step)}", highlight=False)
    console.print()
    console.print(_side_by_side(document, step), highlight=False)
    left = len(document["alternatives"]) - IN_TABLE
    if left > 0:
        console.print(f"and {left} more in the document.", highlight=False)


def complete_words(document: Row) -> str:
    """How many alternatives there are, and whether that is all."""
    count, within = len(document["alternatives"]), share(document["within"], 1)
    sure = sum(not row["borderline"] for row in document["alternatives"])
    words = f"{sure} plan{'s' if sure != 1 else ''} that differ materially cost at most {within} more than the best"
    if count > sure:
        words += f", and {count - sure} so near that limit that the gap asked for cannot tell"
    if document["complete"]:
        return (
            words + f". There is no other: {document['boxes_searched']} parts of all plans were searched or ruled out."
        )
    ended = "was stopped by hand" if document["stopped"] else "ended at its cap"
    return (
        words + f". The list is not complete: the search {ended}, and plans from "
        f"{pounds(document['open_bound_gbp'], document['rounding_gbp'])} may be missing."
    )


TRADES = (
    ("capital_gbp", "capital", True),
    ("registrations_in_hand", "registrations in hand at once", False),
    ("voids_gbp", "voids paid for", True),
    ("p90_gbp", "cost in the worst future in ten", True),
    ("cvar_gbp", "mean cost of the worst futures", True),
    ("moves_at_least", "moves", False),
    ("unregistered_child_weeks", "child-weeks without a registered place", False),
)


def trade_words(row: Row, best: Row, step: float) -> str:
    """What an alternative gives and takes against the best."""
    parts = []
    for name, words, money in TRADES:
        change = row[name] - best[name]
        if abs(change) < (step / 2 if money else 0.05):
            continue
        amount = pounds(abs(change), step) if money else number(abs(change))
        parts.append(f"{words} {'+' if change > 0 else '−'}{amount}")
    return "Against the best: " + ("; ".join(parts) if parts else "nothing else changes") + "."


def _side_by_side(document: Row, step: float) -> Table:
    heads = ["", "Above best", "Capital", "In hand", "Voids", "P90", "Worst", "Moves", "Unregistered"]
    rows = [
        [
            str(place),
            pounds(row["above_best_gbp"], min(step, 1_000.0)) + (" ?" if row["borderline"] else ""),
            pounds(row["capital_gbp"], step),
            number(row["registrations_in_hand"], 0),
            pounds(row["voids_gbp"], step),
            pounds(row["p90_gbp"], step),
            pounds(row["cvar_gbp"], step),
            number(row["moves_at_least"]),
            number(row["unregistered_child_weeks"]),
        ]
        for place, row in enumerate(document["alternatives"][:IN_TABLE], start=1)
    ]
    return table_of(heads, rows)
