"""A sensitivity document on the terminal: what moves the cost, and what would change the decision."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from rich.console import Console
from rich.text import Text

from optimiser.report.terminal import (
    changed_lines,
    counted,
    decision_words,
    exact,
    number,
    pounds,
    share,
    table_of,
)

Row = dict[str, Any]

#: Inputs of a table that are shown, and those whose other decisions are told; the others are in the document.
SHOWN, TOLD = 12, 5
NOTHING_TODAY = "Begin no home, award no lot, extend nothing."


def show_sensitivity(document: Row, console: Console) -> None:
    """Print what moves the cost, switching values, and what does not matter."""
    step = document["rounding_gbp"]
    console.print(Text(document["instance"]["title"], style="bold"), highlight=False)
    console.print(
        f"What would change the decision: {counted(document['inputs'], 'assumed or calibrated input')}, each over the range that "
        f"the instance gives. The plan is made on {document['futures']} futures, seed {document['seed']}; it costs "
        f"{pounds(document['expected_cost_gbp'], step)} and saves {pounds(document['saving_gbp'], step)} against doing nothing "
        "(present real £, expected).",
        highlight=False,
    )
    console.print(f"Decided today, before the first review: {_today_words(document)}", highlight=False)
    if document["changed"] is not None:
        for line in changed_lines(document["changed"], document):
            console.print(line, highlight=False)
    console.print()
    console.print(
        Text(f"One input at a time, decisions held ({document['futures']} common futures)", style="bold"),
        highlight=False,
    )
    rows = [
        [
            row["figure"],
            f"{exact(row['low'], '')} to {exact(row['high'], '')}",
            f"{pounds(row['cost_at_low_gbp'], step)} to {pounds(row['cost_at_high_gbp'], step)}",
            f"{number(row['child_weeks_at_low'])} to {number(row['child_weeks_at_high'])}",
        ]
        for row in document["tornado"][:SHOWN]
    ]
    console.print(table_of(["Input", "Range", "Cost", "Unregistered"], rows), highlight=False)
    console.print()
    changing = _changing(document)
    if changing:
        console.print(Text("Switching values", style="bold"), highlight=False)
        heads = ["Input", "Value", "Today's decisions change at", "Saving gone at"]
        console.print(table_of(heads, [_switching(row) for row in changing[:SHOWN]]), highlight=False)
        if len(changing) > SHOWN:
            console.print(f"{len(changing) - SHOWN} more in the document (--json, --out).", highlight=False)
        console.print()
    for line in sensitivity_lines(document):
        console.print(f"• {line}", highlight=False)


def _today_words(document: Row) -> str:
    """What the plan decides before the first review, managers apart."""
    rows = [row for row in document["decisions"] if not row["branch"] and row["action"] != "recruit"]
    return " ".join(_short(row, document["titles"]) for row in rows) or NOTHING_TODAY


def _changing(document: Row) -> list[Row]:
    """Inputs that change today's decisions or end the saving somewhere in their range, the widest first."""
    return [
        row
        for row in document["switching"]
        if any(found.get("changes") is not None for of in ("decision", "saving") for found in row[of].values())
    ]


def _switching(row: Row) -> list[str]:
    return [row["figure"], exact(row["value"], ""), _ends_words(row["decision"]), _ends_words(row["saving"])]


def _ends_words(ends: Row) -> str:
    """Between which values something changes, downwards and upwards; or that it does not within the range."""
    parts = [
        f"{fine(found['stands'])}–{fine(found['changes'])}"
        for found in ends.values()
        if found.get("changes") is not None
    ]
    return " and ".join(parts) or "nowhere"


def fine(value: float) -> str:
    """A figure to four digits that matter."""
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"


def sensitivity_lines(document: Row) -> list[str]:
    """The document in sentences."""
    step, lines = document["rounding_gbp"], []
    changing = [row for row in document["switching"] if _changes(row)]
    if changing:
        lines.append(
            "Nowhere: not within the range that the instance gives. Of the widest inputs, what would be decided instead:"
        )
    for row in changing[:TOLD]:
        lines += _decision_lines(row, document)
    lines += _standing_lines(document)
    if document["saving_gone"]:
        lines.append(_saving_words(document))
    lines += _verified_lines(document)
    lines += _together_lines(document)
    joint = document["joint"]
    if joint is not None and joint["draws"]:
        lines.append(
            f"All inputs at once, {joint['draws']} draws from their ranges: the plan saves {pounds(joint['saving_p50_gbp'], step)} "
            f"in the middle case ({pounds(joint['saving_p10_gbp'], step)} to {pounds(joint['saving_p90_gbp'], step)} in four "
            f"cases of five), and saves something in {share(joint['share_that_saves'])} of them; it costs "
            f"{pounds(joint['cost_p10_gbp'], step)} to {pounds(joint['cost_p90_gbp'], step)}."
        )
    never = [row["figure"] for row in document["tornado"] if not row["matters"]]
    if never:
        lines.append(
            f"{counted(len(never), 'input does', 'inputs do')} not matter to this plan: over the whole range its cost moves by "
            f"less than {pounds(document['matters_from_gbp'], 1_000.0)}, no limit breaks"
            + (
                ", today's decisions stand and so does the saving"
                if len(document["switching"]) == len(document["tornado"])
                else ""
            )
            + f": {_some(never)}."
        )
    if document["not_moved"]:
        lines.append(
            f"Not moved, since the shape of the decisions depends on them: {_some(document['not_moved'])}. Change them in the "
            "instance and plan again."
        )
    if not document["complete"]:
        lines.append("Stopped: what is shown was finished before.")
    return lines


def switching_lines(document: Row, called: Callable[[str], str]) -> list[str]:
    """What a committee reads of a sensitivity: what was established of today's decisions and of the saving."""
    if not document["switching"]:
        return []
    lines = [
        f"How far an input must move before other decisions today are better, on {document['futures']} futures, on which the best "
        f"plan decides today: {_today_words(document)}"
    ]
    lines += [*_verified_lines(document), *_standing_lines(document, called)]
    return [*lines, _saving_words(document, called)] if document["saving_gone"] else lines


def switching_rows(document: Row, called: Callable[[str], str]) -> list[Row]:
    """One row a switching value: between which values today's decisions change, what is better beyond, and by how much."""
    return [
        {
            "what": called(row["figure"]),
            "value": exact(row["value"], ""),
            "moves": words,
            "stands": fine(found["stands"]),
            "changes": fine(found["changes"]),
            "instead": _instead(found, document),
            "better_gbp": found["changes_at"]["dearer_by_at_least_gbp"],
        }
        for row in document["switching"]
        for name, words in (("low", "down"), ("high", "up"))
        for found in [row["decision"].get(name, {})]
        if found.get("changes") is not None
    ]


def _standing_lines(document: Row, called: Callable[[str], str] = str) -> list[str]:
    """Of how many inputs today's decisions stand over the whole range, by how much at most; and what is not known of the others."""
    rows = [row for row in document["switching"] if not _changes(row)]
    ends = {
        row["figure"]: [end["stands_at"] for end in row["decision"].values() if end.get("stands_at") is not None]
        for row in rows
        if not any("refused" in end for end in row["decision"].values())
    }
    proven = {figure: sides for figure, sides in ends.items() if all(side["established"] == "stands" for side in sides)}
    lines = []
    if proven:
        most = max((side["dearer_by_at_most_gbp"] for sides in proven.values() for side in sides), default=0.0)
        lines.append(
            f"Today's decisions stand at both ends of the range of {counted(len(proven), 'input')} of "
            f"{len(document['switching'])}: no plan there costs less than theirs by more than {_up_to(most)}."
        )
    none = [figure for figure, sides in ends.items() if any(side["established"] == "no plan" for side in sides)]
    if none:
        lines.append(f"At an end of the range of {_some(none, called)} no plan at all keeps every limit.")
    unknown = [row["figure"] for row in rows if row["figure"] not in {*proven, *none}]
    if unknown:
        lines.append(f"Not settled whether today's decisions stand over the whole range of {_some(unknown, called)}.")
    return lines


def _verified_lines(document: Row) -> list[str]:
    """What was established on either side of the switching values, by solving there."""
    found = [
        end
        for row in [
            *document["switching"],
            *({"decision": {"": row["decision"]}} for row in document["together"].values()),
        ]
        for end in row["decision"].values()
        if end.get("changes") is not None
    ]
    if not found:
        return []
    near = [end["stands_at"] for end in found if end["stands_at"]["established"] == "stands"]
    beyond = [end["changes_at"] for end in found if end["changes_at"]["established"] == "changes"]
    least = min(
        (side["dearer_by_at_least_gbp"] for side in beyond if side["dearer_by_at_least_gbp"] is not None), default=None
    )
    most = max((side["dearer_by_at_most_gbp"] for side in near), default=0.0)
    sides = "both sides of it" if len(found) == 1 else f"both sides of all {len(found)} of them"
    closely, every = share(document["tolerance"]), f"of {len(found)}"
    worth = "" if least is None else f", by {pounds(least, 100.0)} or more"
    lines = [
        f"A switching value is where today's decisions stop being the best by cost, found to {closely} of the way to the end of "
        f"the range. Verified by solving on {sides}: on the near side, at {len(near)} {every}, no plan costs less than the best "
        f"with today's decisions by more than {_up_to(most)}; on the far side, at {len(beyond)} {every}, other decisions cost "
        f"less than any plan with today's can{worth}."
    ]
    if len(near) < len(found):
        lines.append(
            f"On the near side of the other {len(found) - len(near)} it is not settled which decisions are better: the change "
            "may lie nearer to today's value than is said."
        )
    return lines


def _up_to(amount: float) -> str:
    """An amount that is not exceeded, to the next hundred pounds."""
    return pounds(100.0 * math.ceil(amount / 100.0), 100.0)


def _changes(row: Row) -> bool:
    return any(found.get("changes") is not None for found in row["decision"].values())


def _together_lines(document: Row) -> list[str]:
    """What happens when all inputs move at once, each by the same share of the way to one end of its range."""
    lines = []
    for name, words in (("against", "that lower the saving"), ("for", "that raise it")):
        row = document["together"].get(name)
        if row is None:
            continue
        parts = []
        for of, what in (("decision", "today's decisions change"), ("saving", "the saving is gone")):
            found = row[of]
            if "refused" in found:
                continue
            if found["changes"] is None:
                parts.append(f"{what} nowhere on the way")
            else:
                parts.append(f"{what} between {share(found['stands'])} and {share(found['changes'])} of the way")
        lines.append(
            f"All {row['inputs']} inputs that move the saving, moved at once towards the ends {words}: {'; '.join(parts)}."
        )
    return lines


def _saving_words(document: Row, called: Callable[[str], str] = str) -> str:
    """Where the saving is gone, of the widest inputs, one at a time."""
    rows = document["saving_gone"]
    parts = [
        f"{called(row['figure'])} {words} to {fine(row[name]['stands'])}–{fine(row[name]['changes'])} (from {fine(row['value'])})"
        for row in rows
        for name, words in (("low", "falls"), ("high", "rises"))
        if row[name]["changes"] is not None
    ]
    lead = f"The saving of {pounds(document['saving_gbp'], document['rounding_gbp'])}, decisions held"
    others = sum(all(row[name]["changes"] is None for name in ("low", "high")) for row in rows)
    rest = f"stands at both ends of the range of {'each' if not parts else 'the other ' + str(others)} of the {len(rows)} inputs"
    if not parts:
        return f"{lead}, {rest}."
    return f"{lead}, is gone where {'; or '.join(parts)}" + (f". It {rest}." if others else ".")


def _some(names: list[str], called: Callable[[str], str] = str, most: int = 8) -> str:
    more = len(names) - most
    return ", ".join(map(called, names[:most])) + (f" and {more} more (in the document)" if more > 0 else "")


def _decision_lines(row: Row, document: Row) -> list[str]:
    """What would be decided beyond each switching value."""
    lines = []
    for name, words in (("low", "falls"), ("high", "rises")):
        found = row["decision"].get(name, {})
        if found.get("changes") is None:
            continue
        beyond = found["changes_at"]
        saved = beyond["dearer_by_at_least_gbp"]
        worth = (
            "today's decisions then break a limit"
            if saved is None
            else f"at least {pounds(saved, 1_000.0 if saved >= 1_000 else 100.0)} better with the deterrent"
        )
        lines.append(f"If {row['figure']} {words} to {fine(found['changes'])}: {_instead(found, document)} ({worth})")
    return lines


def _instead(found: Row, document: Row) -> str:
    """What would be decided beyond a switching value."""
    rows = [each for each in found["decisions"] if each["action"] != "recruit"]
    return " ".join(_short(each, document["titles"]) for each in rows) or NOTHING_TODAY


def _short(row: Row, titles: dict[str, str]) -> str:
    """A decision without its dates."""
    words = decision_words(row | {"first_child_p50": None, "first_child_p90": None}, titles)
    return words.split("; first child")[0].removesuffix(".") + "."
