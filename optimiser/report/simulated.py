"""A simulation document on the terminal."""

from __future__ import annotations

from typing import Any

from rich.console import Console
from rich.text import Text

from optimiser.report.terminal import error_words, more_or_fewer, number, pounds, quarter, share, table_of, with_error

Row = dict[str, Any]

#: Quarters shown: the first years one by one, then each fourth.
FIRST_QUARTERS, EVERY = 8, 4


def show_simulation(document: Row, console: Console) -> None:
    """Print what was simulated: options side by side, then each by itself."""
    step = document["rounding_gbp"]
    console.print(Text(document["instance"]["title"], style="bold"), highlight=False)
    console.print(
        f"Child by child and bed by bed on {document['futures']} futures that no plan was made on, the same for all options.",
        highlight=False,
    )
    console.print()
    _side_by_side(document, console, step)
    _taken_apart(document, console, step)
    _calibration(document, console, step)
    titles = {row["option"]: row["title"] for row in document["options"]}
    for row in document["options"]:
        console.print()
        console.print(Text(row["title"], style="bold"), highlight=False)
        if row["same_as"] is not None:
            console.print(f"• The same decisions as: {titles[row['same_as']]}.", highlight=False)
            continue
        for line in option_lines(row, document, step):
            console.print(f"• {line}", highlight=False)
        _occupancy(row, document, console)
        _quarters(row, console)


def _side_by_side(document: Row, console: Console, step: float) -> None:
    above = {row["option"]: row["above_cheapest_gbp"] for row in document["differences"]}
    rows = []
    for row in document["options"]:
        gap = row["foresight"]
        rows.append(
            [
                row["title"],
                with_error(row["cost_gbp"], step),
                pounds(row["cost_gbp"]["p90"], step),
                with_error(above[row["option"]], step),
                "–" if gap is None else f"{with_error(gap['gap_gbp'], step)}, {share(gap['gap_share'], 1)}",
                f"{number(row['unregistered_child_weeks']['mean'])} ({number(row['unregistered_child_weeks']['p90'])})",
            ]
        )
    heads = ["Option", "Cost ± error", "P90", "Above the cheapest", "Foresight gap", "Unregistered"]
    console.print(
        Text("Simulated cost (present real £; child-weeks without a registered place: mean, P90)", style="bold")
    )
    console.print(table_of(heads, rows), highlight=False)


def _taken_apart(document: Row, console: Console, step: float) -> None:
    """What the foresight gap of each option is made of, where that was asked for."""
    gaps = [(row["title"], row["foresight"]) for row in document["options"]]
    step = min(step, 1_000.0)
    rows = [
        [title, f"{with_error(gap['gap_gbp'], step)}, {share(gap['gap_share'], 1)}"]
        + [with_error(gap["taken_apart"][part], step) for part in APART]
        for title, gap in gaps
        if gap is not None and gap["taken_apart"] is not None
    ]
    if not rows:
        return
    console.print()
    console.print(
        Text("What the foresight gap is made of (present real £ ± error; the three add up)", style="bold"),
        highlight=False,
    )
    console.print(table_of(["Option", "Foresight gap", *APART.values()], rows), highlight=False)


#: Parts of the foresight gap, and their heads.
APART = {
    "matching_gbp": "Do not match",
    "whole_children_gbp": "Whole children",
    "not_knowing_ahead_gbp": "Not known ahead",
}


def _calibration(document: Row, console: Console, step: float) -> None:
    """Matching occupancy before and after, and how much nearer the optimiser comes to the simulation by it."""
    found = document.get("calibration")
    if found is None:
        return
    console.print()
    console.print(
        Text(
            "Matching occupancy at which the optimiser fills as many bed-weeks as the simulation "
            f"({found['futures']} futures)",
            style="bold",
        ),
        highlight=False,
    )
    rows = [
        [
            document["titles"].get(row["source"], row["source"]),
            share(row["before"], 1),
            f"kept: {row['why_not']}" if row["figure"] is None else share(row["figure"], 1),
            "–" if row["standard_error"] is None else share(row["standard_error"], 1),
        ]
        for row in found["sources"]
    ]
    console.print(table_of(["Beds", "As it was", "Calibrated", "Standard error"], rows), highlight=False)
    titles = {row["option"]: row["title"] for row in document["options"]}
    for row in found["gaps"]:
        console.print(
            f"• {titles[row['option']]}: simulated cost less the optimiser's {with_error(row['before_gbp'], step)} before, "
            f"{with_error(row['after_gbp'], step)} with these figures.",
            highlight=False,
        )


def option_lines(row: Row, document: Row, step: float) -> list[str]:
    """One option in sentences."""
    name = document["unregistered_name"]
    ended, moves = row["placements_ended_early"], row["share_with_many_moves"]
    unregistered, children = row["unregistered_child_weeks"], row["children_unregistered"]
    lines = [
        f"Cost {pounds(row['cost_gbp']['mean'], step)} (standard error {error_words(row['cost_gbp'], step)}; "
        f"P10 {pounds(row['cost_gbp']['p10'], step)}, P90 {pounds(row['cost_gbp']['p90'], step)}, "
        f"mean of the worst tenth {pounds(row['cost_gbp']['worst_tenth'], step)}).",
        f"Children, {name}: {number(unregistered['mean'])} child-weeks (one future in ten above "
        f"{number(unregistered['p90'])}), {number(children['mean'])} children of {number(row['children_in_care']['mean'])}; "
        f"some in {share(row['probability_any_unregistered']['mean'])} of futures.",
        f"Placements ended early: {number(ended['breakdowns']['mean'])} by breakdown, {number(ended['bed_gone']['mean'])} "
        f"because the bed went; {number(ended['planned_moves']['mean'])} planned moves to a cheaper place. "
        f"{number(row['moves_per_child']['mean'], 2)} moves a child; {share(moves['mean'], 1)} of children moved "
        f"{row['many_moves']} times or more.",
    ]
    if row["in_area_share"] is not None:
        lines.append(f"In the area: {share(row['in_area_share']['mean'], 1)} of child-weeks.")
    lines += [
        f"{limit['limit']}: {share(limit['mean'], 1)} of child-weeks within; at least {share(limit['minimum'], 1)} asked for."
        for limit in row["local_limits"]
    ]
    lines += _gap_lines(row["foresight"], step)
    lines += _market_lines(row, document, step)
    return lines


def _gap_lines(gap: Row | None, step: float) -> list[str]:
    if gap is None:
        return []
    weeks = gap["unregistered_child_weeks_gap"]["mean"]
    return [
        f"Foresight gap: {with_error(gap['gap_gbp'], step)} ({share(gap['gap_share'], 1)}), with {more_or_fewer(weeks)} "
        f"child-weeks without a registered place, against what the optimiser says of the same children "
        f"({gap['futures']} futures). Counting by month instead of by its own periods changes what it says by "
        f"{with_error(gap['periods_gbp'], step)}."
    ]


def _market_lines(row: Row, document: Row, step: float) -> list[str]:
    lines = []
    for found in row["when_to_go_to_market"]:
        lines.append(market_words(found, document["titles"], document["cohorts"][found["cohort"]]))
    protection = row["protection"]
    if protection is not None and protection["levels"]:
        lines.append(
            f"Keeping beds saves {with_error(protection['cost_saved_gbp'], step)} and "
            f"{number(protection['unregistered_child_weeks_avoided']['mean'])} child-weeks without a registered place."
        )
    return lines


def market_words(found: Row, titles: dict[str, str], cohort: str) -> str:
    """At how many filled beds the market is asked for a child of a cohort."""
    pool = POOLS.get(found["pool"], f"in {titles.get(found['pool'], found['pool'])}")
    room = ", who also move out to make room" if found["makes_room"] else ""
    kept = f" ({found['keep']} kept for children whose spot places are dearer{room})" if found["keep"] else ""
    return f"When to go to market, {cohort}: when {found['above']} of {found['beds']} beds {pool} are filled{kept}."


def market_lines(rows: list[Row], titles: dict[str, str]) -> list[str]:
    """The same for all cohorts: those for whom the market is asked alike are named together."""
    alike: dict[str, list[str]] = {}
    for cohort in dict.fromkeys(row["cohort"] for row in rows):
        full = _in_words([_filled_words(row, titles) for row in rows if row["cohort"] == cohort])
        alike.setdefault(full, []).append(cohort.replace("-", " "))
    taken = {row["cohort"].replace("-", " ") for row in rows if row["above"]}

    def line(full: str, cohorts: list[str]) -> str:
        who = f" ({_in_words(cohorts)})" if len(alike) > 1 else ""
        if taken.isdisjoint(cohorts):
            return f"Go to the market for every child{who} at once: {full}."
        return f"Go to the market for a child{who} when {full}."

    return [line(full, cohorts) for full, cohorts in alike.items()]


def _filled_words(row: Row, titles: dict[str, str]) -> str:
    """How far a pool is filled before the market is asked."""
    pool = POOLS.get(row["pool"], f"in {titles.get(row['pool'], row['pool'])}")
    room = ", who also move out to make room" if row["makes_room"] else ""
    if not row["above"]:
        return f"the {row['beds']} beds {pool} are all kept for children whose spot places are dearer{room}"
    if not row["keep"]:
        beds = {1: "the one bed", 2: "both beds"}.get(row["beds"], f"all {row['beds']} beds")
        return f"{beds} {pool} {'is' if row['beds'] == 1 else 'are'} filled{room}"
    kept = f"{row['keep']} kept for children whose spot places are dearer{room}"
    return f"{row['above']} of {row['beds']} beds {pool} are filled ({kept})"


def _in_words(parts: list[str]) -> str:
    return " and ".join([", ".join(parts[:-1]), parts[-1]] if len(parts) > 1 else parts)


POOLS = {"in_house": "in own homes", "block": "under block contracts", "existing": "in existing homes and contracts"}


def _occupancy(row: Row, document: Row, console: Console) -> None:
    if not row["occupancy"]:
        return
    rows = [
        [
            document["titles"].get(found["source"], found["source"]),
            number(found["beds"]),
            share(found["occupancy"]["mean"]),
            number(found["void_bed_weeks"]["mean"], 0),
        ]
        for found in row["occupancy"]
    ]
    console.print(table_of(["Beds", "Most at a time", "Filled", "Void bed-weeks"], rows), highlight=False)


def _quarters(row: Row, console: Console) -> None:
    kinds = ("in_house", "block", "existing", "spot", "unregistered")
    shown = [
        kind for kind in kinds if any(found[f"{kind}_p90"] or found[f"{kind}_expected"] for found in row["quarters"])
    ]
    rows = [
        [
            quarter(found["quarter"]),
            *(
                f"{number(found[f'{kind}_expected'])} ({number(found[f'{kind}_p10'])}–{number(found[f'{kind}_p90'])})"
                for kind in shown
            ),
        ]
        for place, found in enumerate(row["quarters"])
        if place < FIRST_QUARTERS or (place - FIRST_QUARTERS) % EVERY == EVERY - 1
    ]
    heads = [kind.replace("_", "-").capitalize() for kind in shown]
    console.print(table_of(["Quarter", *heads], rows), highlight=False)
