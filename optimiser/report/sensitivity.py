"""A sensitivity document on the terminal: what moves the cost, and what would change the decision."""

from __future__ import annotations

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
    standing = [row["figure"] for row in document["switching"] if row not in changing]
    if standing:
        lines.append(
            f"Today's decisions stand at both ends of the range of {counted(len(standing), 'input')} of "
            f"{len(document['switching'])}: no other plan is proven to cost less there."
        )
    if document["saving_gone"]:
        lines.append(_saving_words(document))
    solved = sum(
        found.get("changes") is not None for row in document["switching"] for found in row["decision"].values()
    )
    if solved:
        lines.append(
            "A decision changes where a plan with other decisions today is proven to cost less than any with these. Both ends of "
            f"each range were tried, and both plans solved on both sides of {_values(solved)} at which it changes, found to "
            f"{share(document['tolerance'])} of the way to the end of the range."
        )
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


def _values(solved: int) -> str:
    return "the one value" if solved == 1 else f"each of the {solved} values"


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


def _saving_words(document: Row) -> str:
    """Where the saving is gone, of the widest inputs, one at a time."""
    rows = document["saving_gone"]
    parts = [
        f"{row['figure']} {words} to {fine(row[name]['stands'])}–{fine(row[name]['changes'])} (from {fine(row['value'])})"
        for row in rows
        for name, words in (("low", "falls"), ("high", "rises"))
        if row[name]["changes"] is not None
    ]
    lead = f"The saving of {pounds(document['saving_gbp'], document['rounding_gbp'])}, decisions held"
    others = len(rows) - len({part.split(" ")[0] for part in parts})
    rest = f"stands at both ends of the range of {'each' if not parts else 'the other ' + str(others)} of the {len(rows)} inputs"
    if not parts:
        return f"{lead}, {rest}."
    return f"{lead}, is gone where {'; or '.join(parts)}" + (f". It {rest}." if others else ".")


def _some(names: list[str], most: int = 8) -> str:
    more = len(names) - most
    return ", ".join(names[:most]) + (f" and {more} more (in the document)" if more > 0 else "")


def _decision_lines(row: Row, document: Row) -> list[str]:
    """What would be decided beyond each switching value."""
    lines = []
    for name, words in (("low", "falls"), ("high", "rises")):
        found = row["decision"].get(name, {})
        if found.get("changes") is None:
            continue
        rows = [each for each in found["decisions"] if each["action"] != "recruit"]
        plan = " ".join(_short(each, document["titles"]) for each in rows) or NOTHING_TODAY
        beyond = found["changes_at"]
        saved = None if beyond["held_bound_gbp"] is None else beyond["held_bound_gbp"] - beyond["best_gbp"]
        worth = (
            "today's decisions then break a limit"
            if saved is None
            else f"at least {pounds(saved, 1_000.0)} better with the deterrent"
        )
        lines.append(f"If {row['figure']} {words} to {fine(found['changes'])}: {plan} ({worth})")
    return lines


def _short(row: Row, titles: dict[str, str]) -> str:
    """A decision without its dates."""
    words = decision_words(row | {"first_child_p50": None, "first_child_p90": None}, titles)
    return words.split("; first child")[0].removesuffix(".") + "."
