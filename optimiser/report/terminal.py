"""Plan → terminal: the decision first, then children, money, limits, and how good it is."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

from rich import box
from rich.console import Console, Group
from rich.table import Table
from rich.text import Text

from optimiser.finance import month_number, whole_pounds
from optimiser.report.budgeted import budget_lines

Row = dict[str, Any]

MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
WIDTH = 110


# figures as people write them


def pounds(amount: float | None, step: float = 10_000) -> str:
    """``£3.81m``, ``£640k``, ``£4,557``: no closer than the step that the inputs bear; ``£0.35`` where steps are pence."""
    if amount is None:
        return "–"
    if 0 < step < 1:
        return f"{'−' if amount < -step / 2 else ''}£{abs(amount):,.2f}"
    rounded = round(amount / step) * step if step else amount
    sign, size = ("−" if rounded < 0 else ""), abs(rounded)
    if size >= 1e6:
        places = 2 if step <= 10_000 else 1
        return f"{sign}£{size / 1e6:,.{places}f}m"
    if size >= 10_000:
        return f"{sign}£{size / 1e3:,.0f}k"
    return f"{sign}£{size:,.0f}"


def exact(amount: float | None, unit: str = "£") -> str:
    """A figure to the pound, or to two places where it is not money."""
    if amount is None:
        return "–"
    if unit.startswith("£"):
        return whole_pounds(amount)
    return f"{amount:,.0f}" if abs(amount - round(amount)) < 1e-9 else f"{amount:,.2f}"


def month(name: str | None) -> str:
    """``Apr 2025`` for ``2025-04``; *beyond the horizon* for none."""
    if name is None:
        return "beyond the horizon"
    return f"{MONTHS[month_number(name) % 12]} {name[:4]}"


def quarter(name: str) -> str:
    """``Apr–Jun 25`` for ``2025-04``."""
    start = month_number(name) % 12
    return f"{MONTHS[start]}–{MONTHS[(start + 2) % 12]} {name[2:4]}"


def share(value: float | None, places: int = 0) -> str:
    """A percentage."""
    if value is None:
        return "–"
    # no minus before what rounds to nothing
    rounded = round(100 * value, places)
    return f"{'−' if rounded < 0 else ''}{abs(rounded):.{places}f}%"


def number(value: float | None, places: int = 1) -> str:
    """A number of children or beds, which are averages."""
    return "–" if value is None else f"{value:,.{places}f}"


def more_or_fewer(more: float) -> str:
    """``12.1 more``, ``0.3 fewer``; ``as many`` for what one decimal does not show."""
    if abs(more) < 0.05:
        return "as many"
    return f"{number(abs(more))} {'more' if more > 0 else 'fewer'}"


def gap_words(document: Row) -> str:
    """What can be said of how good the plan is: *optimal* only with its bound."""
    gap = document["gap"]
    if gap is None:
        return "no bound is known"
    if document["status"] == "optimal":
        return f"optimal to within {share(gap, 2)} of the best possible"
    return f"the search was stopped: within {share(gap, 1)} of the best possible"


# the plan


def show_plan(document: Row, console: Console) -> None:
    """Print a plan document: one screen and a half."""
    console.print(Text(document["instance"]["title"], style="bold"), highlight=False)
    console.print(document["instance"]["question"], style="italic", highlight=False)
    for part in (_decision, _children, _money, _limits, _quality):
        console.print()
        console.print(part(document), highlight=False)
    show_stresses(document, console)


def show_stresses(document: Row, console: Console) -> None:
    """What was tested under stresses, where anything was."""
    if document["stresses"] or document["stresses_left_out"]:
        from optimiser.report.stressed import stress_parts

        console.print()
        console.print(stress_parts(document), highlight=False)


def _heading(words: str) -> Text:
    return Text(words, style="bold")


def table_of(columns: Sequence[str], rows: Sequence[Sequence[str]], left: int = 1) -> Table:
    """A table whose first columns are words and the others figures."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1), show_edge=False)
    for place, column in enumerate(columns):
        table.add_column(column, justify="left" if place < left else "right", no_wrap=place > 0)
    for row in rows:
        table.add_row(*row)
    return table


def _decision(document: Row) -> Group:
    lines: list[Any] = [_heading("1  What to decide"), unregistered_words(document["unregistered"])]
    lines += [f"• {line}" for line in decision_lines(document)]
    if document["against_paper"] is not None:
        lines.append(f"  {against_paper_words(document['against_paper'], document)}")
    if document.get("changed") is not None:
        lines += [f"  {line}" for line in changed_lines(document["changed"], document)]
    return Group(*lines)


def decision_lines(document: Row) -> list[str]:
    """Every decision as a sentence, in the order in which it falls due; managers together."""
    rows = [row for row in document["decisions"] if row["action"] != "recruit"]
    recruits = [row for row in document["decisions"] if row["action"] == "recruit"]
    lines = [decision_words(row, document["titles"]) for row in rows]
    if not rows:
        lines.append("Begin no home, award no lot, extend nothing: buy each place as it is needed.")
    if recruits:
        lines.append(recruiting_words(recruits))
    return lines


def recruiting_words(rows: list[Row]) -> str:
    """How many registered managers by when, in one sentence."""
    when = ", ".join(f"{row['number']} by {month(row['month'])}" + _on_branch(row) for row in rows)
    return f"Recruit registered managers: {when}."


def unregistered_words(worst: Row) -> str:
    """How many children are expected to have no registered place, and in the worst quarter."""
    name = worst["name"]
    if worst["expected_child_weeks"] < 0.05 and worst["p90_child_weeks"] < 0.05:
        return f"No child is expected to be {_as_state(name)} in nine futures of ten."
    return (
        f"Children, {name}: {number(worst['expected_child_weeks'])} child-weeks expected over the horizon "
        f"(one future in ten above {number(worst['p90_child_weeks'])}); worst quarter {quarter(worst['worst_quarter'])}: "
        f"{number(worst['worst_quarter_expected'], 2)} children expected, {number(worst['worst_quarter_p90'], 2)} "
        "in a bad case."
    )


def _as_state(name: str) -> str:
    return name if name.startswith("without") else f"in a place that is not registered ({name})"


def _on_branch(row: Row) -> str:
    return f" if {row['branch']}" if row["branch"] else ""


def against_paper_words(paper: Row, document: Row) -> str:
    """How the plan differs from the paper's own option, and what that is worth."""
    titles, step = document["titles"], document["rounding_gbp"]
    rows = paper["decisions"]
    parts = [
        f"{row['number']} × {titles[row['item']]} from {month(row['month'])}"
        if row["action"] == "begin"
        else f"{titles[row['item']]} {counted(row['beds'], 'bed')} from {month(row['month'])}"
        for row in rows
        if row["action"] in ("begin", "award") and not row["branch"]
    ]
    parts += sorted(
        {f"extension {row['number']} of {titles[row['item']]}" for row in rows if row["action"] == "extend"}
    )
    theirs = "; ".join(parts) or "nothing begun or awarded today"
    saving, weeks = paper["saving_gbp"], paper["child_weeks_avoided"]
    money = f"saves {pounds(saving, step)}" if saving >= 0 else f"costs {pounds(-saving, step)} more"
    if abs(saving) < step / 2:
        money = "costs the same"
    fewer = f"has {more_or_fewer(-weeks)} child-weeks without a registered place"
    kept = f" The paper's option does not keep: {paper['broken'][0]}." if paper["broken"] else ""
    return f"Against the paper's option ({theirs}), this plan {money} and {fewer} (expected, present real £).{kept}"


def changed_lines(changed: Row, document: Row) -> list[str]:
    """What has changed since the run before, what that costs, and what planning anew recovers."""
    step, before, held = document["rounding_gbp"], changed["before"], changed["held"]
    what = "; ".join(changed["words"]) or "nothing that the command names"
    cost, weeks = before["expected_cost_gbp"], before["unregistered_child_weeks"]
    lines = [
        f"Changed: {what}. Before, the plan cost {pounds(cost, step)} with {number(weeks)} child-weeks unregistered."
    ]
    if not changed["same_futures"]:
        lines.append("That was on other futures, so that some of the difference is chance.")
    if held["broken"]:
        lines.append(
            f"The plan from before can no longer be carried out: {held['broken'][0]}{_and_more(held['broken'])}."
        )
    else:
        lines.append(
            f"Carried out all the same, it would now cost {pounds(held['expected_cost_gbp'], step)} with "
            f"{number(held['unregistered_child_weeks'])} child-weeks: {_more_or_less(changed['slippage_costs_gbp'], step)}."
        )
    now = changed["replanned"]
    if changed["same_plan"]:
        lines.append("Planning anew changes no decision.")
        return lines
    recovered = changed["replanning_recovers_gbp"]
    worth = (
        ""
        if recovered is None
        else f", which recovers {pounds(max(recovered, 0.0), min(step, 1_000.0))} with the deterrent"
    )
    lines.append(
        f"Planned anew, as above, it costs {pounds(now['expected_cost_gbp'], step)} with "
        f"{number(now['unregistered_child_weeks'])} child-weeks{worth}. No longer decided: "
        f"{_only_in(before, now, document['titles'])}. New: {_only_in(now, before, document['titles'])}."
    )
    return lines


def _more_or_less(amount: float, step: float) -> str:
    return f"{pounds(abs(amount), step)} {'more' if amount >= 0 else 'less'}"


def _only_in(one: Row, other: Row, titles: dict[str, str]) -> str:
    """Decisions of one plan that are not those of another, in short."""
    keys = ("action", "item", "month", "number", "branch", "beds", "call_off")
    known = {tuple(row[key] for key in keys) for row in other["decisions"]}
    rows = [row for row in one["decisions"] if row["action"] != "recruit" and tuple(row[k] for k in keys) not in known]
    parts = []
    for row in rows:
        beds = "" if row["beds"] is None else f" ({counted(row['beds'], 'bed')})"
        what = f"{row['action']} {row['number']} × {titles.get(row['item'], row['item'])}{beds}"
        parts.append(f"{what} by {month(row['month'])}{_on_branch(row)}")
    return "; ".join(parts) or "nothing"


def counted(amount: int, thing: str, things: str | None = None) -> str:
    """``1 bed``, ``2 beds``; ``things`` where the plural is another word."""
    return f"{amount} {thing}" if amount == 1 else f"{amount} {things or thing + 's'}"


def decision_words(row: Row, titles: dict[str, str]) -> str:
    """One decision as a sentence."""
    title = titles.get(row["item"], row["item"])
    when = f"{month(row['month'])}{_on_branch(row)}"
    if row["action"] == "begin":
        opens = "building ready" if row.get("operator") == "provider" else "first child in"
        return (
            f"By {when}: begin {row['number']} × {title} ({counted(row['beds'], 'bed')}); {opens} by "
            f"{month(row['first_child_p50'])} in half the futures, {month(row['first_child_p90'])} in nine of ten."
        )
    if row["action"] == "award":
        option = f" with {row['call_off']} call-off" if row["call_off"] else ""
        beds = f"{counted(row['beds'], 'committed bed')} (volume tier {row['tier']}){option}"
        return (
            f"By {when}: award {title}, {beds}; first child in by {month(row['first_child_p50'])} in half the futures, "
            f"{month(row['first_child_p90'])} in nine of ten."
        )
    if row["action"] == "extend":
        return f"By {when}: take extension {row['number']} of {title}."
    if row["action"] == "close":
        return f"In {when}: close {row['number']} × {title}."
    return f"By {when}: recruit {counted(row['number'], str(title))}."


def _children(document: Row) -> Group:
    rows = []
    columns = ["Quarter", "In-house", "Block", "Existing", "Spot", "Unregistered", "Moves"]
    kinds = ["in_house", "block", "existing", "spot", "unregistered"]
    table = document["quarters"]
    shown = [
        (column, kind)
        for column, kind in zip(columns[1:-1], kinds, strict=True)
        if any(row[f"{kind}_p90"] > 0.005 for row in table)
    ]
    area = "out_of_area_expected" in (table[0] if table else {})
    for row in thinned(table):
        cells = [quarter(row["quarter"])]
        for _, kind in shown:
            low, high = number(row[f"{kind}_p10"]), number(row[f"{kind}_p90"])
            cells.append(f"{number(row[f'{kind}_expected'])} ({low}–{high})")
        cells.append(number(row["moves_at_least"]))
        if area:
            cells.append(number(row["out_of_area_expected"]))
        rows.append(cells)
    heads = ["Quarter", *(column for column, _ in shown), "Moves", *(["Out of area"] if area else [])]
    return Group(
        _heading("2  When to spot purchase: children by where they live, expected (P10–P90)"),
        table_of(heads, rows),
        spot_words(table),
    )


def spot_words(table: list[Row]) -> str:
    """When spot purchase is heaviest, and how much of it is left at the end."""
    peak = max(table, key=lambda row: row["spot_expected"])
    last = table[-1]
    if peak["spot_expected"] < 0.05:
        return "Nothing is bought on the spot market."

    def part(row: Row) -> str:
        kinds = ("in_house", "block", "existing", "spot", "unregistered")
        return share(row["spot_expected"] / max(sum(row[f"{kind}_expected"] for kind in kinds), 1e-9))

    if peak is last:
        first = table[0]
        return (
            f"Spot purchase is heaviest at the end: {number(last['spot_expected'])} children ({part(last)} of all) in "
            f"{quarter(last['quarter'])}, after {number(first['spot_expected'])} ({part(first)}) in {quarter(first['quarter'])}."
        )
    return (
        f"Spot purchase peaks in {quarter(peak['quarter'])} at {number(peak['spot_expected'])} children ({part(peak)} of all) "
        f"and stands at {number(last['spot_expected'])} ({part(last)}) in {quarter(last['quarter'])}."
    )


def thinned(rows: list[Row]) -> list[Row]:
    """Every quarter of the first two years, then one a year, so that the table stays within a screen."""
    return [row for place, row in enumerate(rows) if place < 8 or place % 4 == 3 or place == len(rows) - 1]


def _money(document: Row) -> Group:
    step = document["rounding_gbp"]
    groups = [key for key in document["years"][0] if key.endswith("_gbp") and key not in ("real_gbp", "present_gbp")]
    shown = [
        key for key in groups if key == "nominal_gbp" or any(abs(row[key]) >= step / 2 for row in document["years"])
    ]
    heads = {
        "in_house_gbp": "In-house",
        "capital_less_residual_gbp": "Capital*",
        "block_gbp": "Block",
        "existing_gbp": "Existing",
        "spot_gbp": "Spot",
        "unregistered_gbp": "Unregistered",
        "moves_and_closures_gbp": "Moves",
        "income_gbp": "Income",
        "nominal_gbp": "Nominal",
    }
    rows = [
        [row["year"], *(pounds(row[key], step) for key in shown), pounds(row["real_gbp"], step)]
        for row in document["years"]
    ]
    lines: list[Any] = [
        _heading("3  Money: expected cost by financial year"),
        table_of(["Year", *(heads[key] for key in shown), "Real"], rows),
        f"Net present cost {pounds(document['expected_cost_gbp'], step)} (P90 {pounds(document['p90_gbp'], step)}, "
        f"mean of the worst {share(1 - document['cvar_level'])} {pounds(document['cvar_gbp'], step)}); "
        + _saving_words(document, step),
    ]
    if "capital_less_residual_gbp" in shown:
        lines.append(f"* Capital outlay less {pounds(document['residual_gbp'], step)} residual value at the horizon.")
    lines += [capital_words(document, step), void_words(document, step)]
    if document["break_even"]:
        parts = [
            f"{row['title']} {share(row['occupancy'])}" + (" (dearer even when full)" if row["occupancy"] > 1 else "")
            for row in document["break_even"]
            if row["occupancy"] is not None
        ]
        lines.append("Break-even occupancy against spot: " + "; ".join(parts) + ".")
    lines += budget_lines(document, step, pounds, table_of)
    return Group(*(line for line in lines if line))


def _saving_words(document: Row, step: float) -> str:
    saving = document["saving_gbp"]
    if saving is None:
        return "no comparison with doing nothing."
    words = "saves" if saving >= 0 else "costs"
    more = "" if saving >= 0 else " more"
    return f"{words} {pounds(abs(saving), step)}{more} against doing nothing (present real £)."


def capital_words(document: Row, step: float) -> str:
    """Capital begun by year against its envelope, in one line an envelope."""
    lines = []
    for name in dict.fromkeys(row["envelope"] for row in document["capital"]):
        rows = [row for row in document["capital"] if row["envelope"] == name]
        paths = list(dict.fromkeys(row["path"] for row in rows))
        most = max(paths, key=lambda path: sum(row["begun_gbp"] for row in rows if row["path"] == path))
        begun = [row for row in rows if row["path"] == most and row["begun_gbp"] > 0]
        total = rows[0]["total_limit_gbp"]
        years = ", ".join(f"{row['year']} {pounds(row['begun_gbp'], step)}" for row in begun) or "none begun"
        of = f" of {pounds(total, step)}" if total is not None else ""
        lines.append(f"Capital ({name}): {years}; {pounds(sum(row['begun_gbp'] for row in begun), step)}{of} used.")
    return "\n".join(lines)


def void_words(document: Row, step: float) -> str:
    """What voids are paid for over the horizon."""
    homes = sum(row["in_house_gbp"] for row in document["voids"])
    block = sum(row["block_gbp"] for row in document["voids"])
    if max(homes, block) < step / 2:
        return "Voids paid for: none worth naming."
    weeks = sum(row["in_house_bed_weeks"] + row["block_bed_weeks"] for row in document["voids"])
    where = ((homes, "own homes"), (block, "block beds"))
    words = ", ".join(f"{pounds(cost, step)} in {kind}" for cost, kind in where if cost >= step / 2)
    return f"Voids paid for: {words} ({number(weeks, 0)} bed-weeks, nominal)."


def _limits(document: Row) -> Group:
    lines: list[Any] = [_heading("4  What holds it back, and what one unit more is worth")]
    if not document["limits"]:
        lines.append(NO_LIMIT)
    for row in document["limits"]:
        lines.append(f"• {limit_words(row, document['rounding_gbp'])}")
    return Group(*lines)


#: What is said where no limit of the first stage binds.
NO_LIMIT = "No limit binds: more capital, registrations, managers or block beds would change nothing."


def limit_words(row: Row, step: float) -> str:
    """One binding limit as a sentence."""
    when = f" by {month(row['month'])}" if row.get("month") else ""
    used = (
        f"{pounds(row['used'], step)} of {pounds(row['limit'], step)}"
        if row["unit"] == "£"
        else (f"{number(row['used'], 0)} of {number(row['limit'], 0)} {row['unit']}")
    )
    limit = f"{row['words'][0].upper()}{row['words'][1:]}{when} ({used}): "
    if row["worth_least_gbp"] is None:
        return f"{limit}what {row['step_words']} is worth was not computed, since the search was stopped."
    head = f"{limit}{row['step_words']} "
    if row["worth_most_gbp"] < step / 2:
        return head + "is worth nothing."
    if row["worth_least_gbp"] <= row["resolution_gbp"]:
        return head + f"is worth at most {pounds(row['worth_most_gbp'], step)}, which the gap cannot tell from nothing."
    weeks = row["child_weeks_avoided"]
    avoided = f" and avoids {number(weeks)} child-weeks without a registered place" if weeks > 0.05 else ""
    cost = row["saving_gbp"]
    money = f"saves {pounds(cost, step)}" if cost >= 0 else f"costs {pounds(-cost, step)} more"
    return head + f"{money}{avoided} (present real £)."


def _quality(document: Row) -> Group:
    evidence = document["evidence"]
    counts = ", ".join(f"{count} {name}" for name, count in evidence["counts"].items() if count)
    lines: list[Any] = [
        _heading("5  How good this is"),
        f"Inputs: {counts}. " + matter_words(evidence, document["rounding_gbp"]),
        f"Objective {exact(document['objective_gbp'])} (with a deterrent of {exact(document['deterrent_gbp'])} on having no "
        f"registered place, a value judgement), bound {exact(document['bound_gbp'])}: {gap_words(document)}.",
        f"{document['futures']} futures, seed {document['seed']}, {document['method']}, "
        f"{document['timings']['total_seconds']:.0f} s. As at {month(document['instance']['as_at'])}. "
        "Accepted by an independent recomputation.",
    ]
    if document["reduction"] is not None:
        lines.append(reduction_words(document["reduction"], document["rounding_gbp"]))
    fresh = document["out_of_sample"]
    if fresh is not None:
        step = document["rounding_gbp"]
        lines.append(
            f"On {fresh['futures']} futures that the search has not seen it costs {pounds(fresh['expected_cost_gbp'], step)} "
            f"(standard error {pounds(fresh['standard_error_gbp'], step)}), "
            f"on its own {pounds(document['expected_cost_gbp'], step)} ({pounds(fresh['own_standard_error_gbp'], step)})."
        )
    if document["simulated"] is not None:
        lines.append(simulated_words(document["simulated"], document["rounding_gbp"]))
    if document["taken_up"] is not None:
        lines.append(taken_up_words(document["taken_up"]))
    if document["warnings"]:
        lines += [Text(f"Note: {warning}", style="yellow") for warning in document["warnings"]]
    return Group(*lines)


def reduction_words(found: Row, step: float) -> str:
    """The sample that the futures stand for, and how much of what tells futures apart is lost."""
    left = found["distance_lost_gbp"] / found["distance_lost_by_one_gbp"] if found["distance_lost_by_one_gbp"] else 0.0
    return (
        f"The {found['kept']:,} futures stand for {found['drawn']:,} drawn, each for those nearest to it, and weigh as much as "
        f"{found['as_many_equal_futures']:,.0f} equal ones. A future is {pounds(found['distance_lost_gbp'], step)} from "
        f"the one that stands for it (the distance lost, {share(left)} of what one future alone would lose)."
    )


def simulated_words(found: Row, step: float) -> str:
    """What the plan costs when nobody knows the future, and by how much the optimiser flatters it."""
    cost, gap = found["cost_gbp"], found["foresight"]
    weeks = found["unregistered_child_weeks"]["mean"]
    words = (
        f"Simulated child by child on {found['futures']} futures that nobody knew, it costs {pounds(cost['mean'], step)} "
        f"(standard error {error_words(cost, step)}), with {number(weeks)} child-weeks without a registered place"
    )
    if gap is None:
        return words + "."
    more = gap["gap_gbp"]["mean"]
    return (
        f"{words}; that is {pounds(abs(more), step)} ({share(abs(gap['gap_share']), 1)}; standard error "
        f"{error_words(gap['gap_gbp'], step)}) {'more' if more >= 0 else 'less'} than the optimiser, who knows each future "
        "whole, says of the same children."
    )


def with_error(found: Row, step: float) -> str:
    """A mean and its standard error."""
    return f"{pounds(found['mean'], step)} ± {error_words(found, step)}"


def error_words(found: Row, step: float) -> str:
    """A standard error, where there are futures enough for one."""
    return "–" if found["standard_error"] is None else pounds(found["standard_error"], step)


def taken_up_words(taken: Row) -> str:
    """What of an earlier run could be taken up."""
    held = f"Started from an earlier run: {taken['vectors']:,} of what it learned still holds"
    if not taken["dropped"]:
        return held + "."
    why = f"prices, stays or beds on offer changed in {taken['futures_changed']:,} futures"
    return f"{held}; {taken['dropped']:,} dropped, since {why}."


def matter_words(evidence: Row, step: float) -> str:
    """The three assumed inputs that matter most."""
    top = evidence["matter_most"]
    if not top:
        return "Which assumptions matter most was not computed."
    parts = [
        f"{row['figure']} ({exact(row['low'], '')} to {exact(row['high'], '')}: cost {pounds(row['cost_at_low_gbp'], step)} to "
        f"{pounds(row['cost_at_high_gbp'], step)})"
        for row in top[:3]
    ]
    return "Of the assumed, these matter most: " + "; ".join(parts) + "."


# the appraisal


def show_appraisal(document: Row, console: Console) -> None:
    """Print an appraisal document."""
    step = document["rounding_gbp"]
    console.print(Text(document["instance"]["title"], style="bold"), highlight=False)
    console.print(document["instance"]["question"], style="italic", highlight=False)
    rows = []
    for row in document["options"]:
        title = row["title"] + (" (the paper's)" if row["paper"] else "")
        if row["expected_cost_gbp"] is None:
            rows.append([title, "; ".join(row["broken"]), *[""] * 6])
            continue
        weeks = f"{number(row['unregistered_child_weeks'])} ({number(row['unregistered_p90_child_weeks'])})"
        rows.append(
            [
                title + ("*" if row["broken"] else ""),
                pounds(row["expected_cost_gbp"], step),
                pounds(row["saving_gbp"], step),
                pounds(row["capital_gbp"], step),
                f"{row['homes']} / {row['block_beds']}",
                weeks,
                share(row["probability_cheapest"]),
                share(row["probability_below_doing_nothing"]),
            ]
        )
    heads = ["Option", "Cost", "Saving", "Capital", "Homes/beds", "Unregistered", "Cheapest", "Beats nothing"]
    console.print()
    console.print(
        _heading("Options on the same futures (present real £; child-weeks without a registered place: expected, P90)")
    )
    console.print(table_of(heads, rows), highlight=False)
    for row in document["options"]:
        if row["broken"] and row["expected_cost_gbp"] is not None:
            console.print(
                f"* {row['title']} does not keep: {row['broken'][0]}" + _and_more(row["broken"]), highlight=False
            )
    _show_simulated(document, console, step)
    show_stresses(document, console)
    _show_years(document, console, step)
    _show_budget(document, console, step)
    _show_published(document, console)
    console.print()
    if document["reduction"] is not None:
        console.print(reduction_words(document["reduction"], step), highlight=False)
    console.print(
        f"{document['futures']} futures, seed {document['seed']}; optimised plan: {gap_words(document)}. "
        "Every option accepted or its broken limits named by an independent recomputation.",
        highlight=False,
    )


def _show_simulated(document: Row, console: Console, step: float) -> None:
    found = document["simulated"]
    if found is None:
        return
    titles = {row["option"]: row["title"] for row in document["options"]}
    rows = []
    for row in found["options"]:
        gap = row["foresight"]
        rows.append(
            [
                titles[row["option"]],
                with_error(row["cost_gbp"], step),
                number(row["unregistered_child_weeks"]),
                f"{with_error(gap['gap_gbp'], step)} ({share(gap['gap_share'], 1)})",
                str(row["rank"]),
                str(row["rank_by_optimiser"]),
            ]
        )
    console.print()
    console.print(_heading(f"When nobody knows the future: simulated child by child on {found['futures']} futures"))
    heads = ["Option", "Cost ± error", "Unregistered", "More than the optimiser says", "Rank", "Its rank"]
    console.print(table_of(heads, rows), highlight=False)
    moved = [row for row in found["options"] if row["rank"] != row["rank_by_optimiser"]]
    if moved:
        names = ", ".join(titles[row["option"]] for row in moved)
        console.print(f"The order differs from the optimiser's for: {names}.", highlight=False)
    for line in order_lines(found["options"], titles, step):
        console.print(f"• {line}", highlight=False)


def order_lines(rows: list[Row], titles: dict[str, str], step: float) -> list[str]:
    """Neighbours in the order of simulated cost that the optimiser puts otherwise, and whether noise can tell them apart."""
    lines = []
    for before, row in pairwise(rows):
        more = row.get("above_before_gbp")
        same_order = row["rank"] == before["rank"] or row["rank_by_optimiser"] >= before["rank_by_optimiser"]
        if more is None or same_order:
            continue
        error = more["standard_error"]
        words = (
            f"{titles[row['option']]} costs {with_error(more, min(step, 1_000.0))} more than {titles[before['option']]}"
        )
        sure = error is not None and abs(more["mean"]) > 2 * error
        lines.append(words + ("." if sure else ", which cannot be told from noise."))
    return lines


def _and_more(broken: list[str]) -> str:
    return f" (and {len(broken) - 1} more)" if len(broken) > 1 else ""


def _show_years(document: Row, console: Console, step: float) -> None:
    years = list(dict.fromkeys(row["year"] for row in document["years"]))
    rows = []
    for option in dict.fromkeys(row["option"] for row in document["years"]):
        own = [row for row in document["years"] if row["option"] == option]
        rows.append([option, *(pounds(row["nominal_gbp"], step) for row in own)])
    console.print()
    console.print(_heading("Expected cost by financial year, nominal"))
    console.print(table_of(["Option", *years], rows), highlight=False)


def _show_budget(document: Row, console: Console, step: float) -> None:
    if not document["budget"]:
        return
    keys = ("already_in_budget_gbp", "cashable_gbp", "cost_avoidance_gbp", "pressure_gbp", "net_saving_gbp")
    rows = [[row["option"], *(pounds(row[key], step) for key in keys)] for row in document["budget"]]
    console.print()
    console.print(_heading("Against doing nothing, as the budget sees it (nominal, over the horizon)"))
    heads = ["Option", "Already in budget", "Cashable", "Cost avoidance", "Pressure", "Net saving"]
    console.print(table_of(heads, rows), highlight=False)


def _show_published(document: Row, console: Console) -> None:
    if not document["published"]:
        console.print()
        console.print("No price, volume or saving is published for this question: none is claimed.", highlight=False)
        return
    console.print()
    console.print(_heading("Published figures beside ours"))
    rows = [
        [
            row["title"],
            exact(row["published"], row["unit"]),
            exact(row["ours"], row["unit"]),
            exact(row["difference"], row["unit"]),
            row["match"],
        ]
        for row in document["published"]
    ]
    console.print(table_of(["Result", "Published", "Ours", "Difference", "How"], rows), highlight=False)
    for row in document["published"]:
        moves = [move for move in row["moves"] if matters(row, move)] if row["published"] is not None else []
        if moves:
            console.print(f"  Over its assumed ranges, {row['title']} goes", highlight=False)
        for move in moves:
            low, high = exact(move["low"], ""), exact(move["high"], "")
            ends = f"from {exact(move['at_low'], row['unit'])} to {exact(move['at_high'], row['unit'])}"
            console.print(f"    {ends} as {move['figure']} goes from {low} to {high}", highlight=False)
        if row["note"]:
            console.print(f"  Note, {row['title']}: {row['note']}", highlight=False)


def matters(row: Row, move: Row) -> bool:
    """Whether a published result moves by more than a two-hundredth over a figure's range."""
    return bool(abs(move["at_high"] - move["at_low"]) > 0.005 * max(abs(row["ours"]), 1e-9))


def progress_words(found: Any) -> str:
    """Where the search stands: round, incumbent, bound, gap and time."""
    known = found.incumbent < float("inf")
    incumbent = pounds(found.incumbent, 1_000) if known else "none yet"
    bound = pounds(found.bound, 1_000) if abs(found.bound) < float("inf") else "none yet"
    gap = share(found.gap, 2) if known and abs(found.bound) < float("inf") else "–"
    return f"round {found.round}: best plan {incumbent}, bound {bound}, gap {gap}, {found.seconds:.0f} s"
