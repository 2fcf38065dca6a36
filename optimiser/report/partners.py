"""A split on the terminal, in the words of a partnership board: groups of councils, bills, who would be better off alone."""

from __future__ import annotations

import math
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.text import Text

from optimiser.report.terminal import counted, decision_words, number, pounds, table_of

Row = dict[str, Any]

#: Rules in words, in the order in which they are shown.
RULES = {
    "use": "Each pays for what it uses",
    "equal": "Equal shares",
    "by_demand": "By demand",
    "proportional": "In proportion to cost alone",
    "scrb": "Separable costs, remaining benefit",
    "shapley": "Shapley value",
    "nucleolus": "Nucleolus",
    "per_capita_nucleolus": "Nucleolus per council",
    "least_core": "Least core",
}
ALL_VALUES = "for all values within the bounds"
FOUND_ONLY = "only at the plans found"
#: Partners that tables hold side by side; with more, these rules are shown and the files hold the others.
SIDE_BY_SIDE = 4
FEW_RULES = {"use": "By use", "proportional": "In proportion", "shapley": "Shapley", "nucleolus": "Nucleolus"}
#: Groups of councils listed in full, and groups named of those who would leave.
LISTED, NAMED = 16, 3


def _table(head: list[str], rows: list[list[str]]) -> Any:
    """A table whose cells are shown as they are written."""
    return table_of([escape(cell) for cell in head], [[escape(cell) for cell in row] for row in rows])


def group_words(group: str, titles: dict[str, str]) -> str:
    """``Kent County Council with Portsmouth City Council``."""
    names = [titles.get(name, name) for name in group.split("+")]
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} with {names[-1]}"


def show_split(document: Row, console: Console) -> None:
    """Print a split document: of an instance, or of a cost game from a file."""

    def say(words: str) -> None:
        # names may hold what a terminal takes for a style
        console.print(words, highlight=False, markup=False)

    def head(words: str) -> None:
        console.print()
        console.print(Text(words, style="bold"), highlight=False)

    modelled = "instance" in document
    step = _step(document)
    if modelled:
        console.print(Text(document["instance"]["title"], style="bold"), highlight=False)
        head("1  What each group of councils would pay")
        console.print(_groups(document, step), highlight=False)
        say(sure_words(document))
        say(f"The joint plan costs {pounds(document['total_gbp'], step)} (expected, present real £):")
        for row in document["decisions"]:
            if row["action"] != "recruit":
                say(f"• {decision_words(row, document['item_titles'])}")
        for line in children_words(document):
            say(line)
    else:
        say(f"{counted(len(document['partners']), 'partner')}, together {pounds(document['total_gbp'], step)}.")
    head(f"{'2  ' if modelled else ''}What each would pay under each rule, and its saving against going alone")
    console.print(_bills(document, step), highlight=False)
    for line in estimated_words(document, step):
        say(line)
    if len(document["partners"]) > SIDE_BY_SIDE:
        say("The other rules are in --json and in the files that --out writes.")
    head(f"{'3  ' if modelled else ''}Would anyone leave?")
    for line in verdict_lines(document):
        say(line)
    if modelled:
        for line in entitlement_lines(document, step):
            say(line)
        head("4  Who carries the risk")
        console.print(_spread(document, step), highlight=False)
        say(risk_words(document))
        rule = leaving_rule(document)
        head(f"5  If a council leaves, the others' bills ({RULES[rule].lower() if rule != 'shapley' else RULES[rule]})")
        console.print(_leaving(document, rule, step), highlight=False)
        head("6  Year by year (Shapley value, nominal £, expected)")
        console.print(_years(document, step), highlight=False)


def _step(document: Row) -> float:
    """Pounds to which figures are shown: a ten-thousandth of the cost for a game from a file, in round steps."""
    if "rounding_gbp" in document:
        return float(document["rounding_gbp"])
    size = max(abs(document["total_gbp"]), *(abs(cost) for cost in document["alone_gbp"].values()), 1e-9)
    return float(10.0 ** math.floor(math.log10(size) - 3.5))


def _groups(document: Row, step: float) -> Any:
    rows = [
        [
            group_words(row["group"], document["titles"]),
            pounds(row["pounds_gbp"], step),
            number(row["child_weeks_unregistered"]),
            _signed(row["saving_gbp"], step) if "+" in row["group"] else "",
            pounds(row["gap_gbp"], 100),
        ]
        for row in sorted(document["groups"], key=lambda row: row["group"].count("+"))
    ]
    left = len(rows) - LISTED
    if left > 0:
        rows = [*rows[: LISTED - 1], [f"… and {left} more", "", "", "", ""], rows[-1]]
    return _table(["Group of councils", "Cost", "Child-weeks", "Saving", "Gap"], rows)


def _signed(amount: float, step: float) -> str:
    return pounds(0.0 if abs(amount) < step / 2 else amount, step)


def sure_words(document: Row) -> str:
    """How closely the plans of the groups are known, beside what they would save."""
    words = (
        f"Each is a plan of its own on the same {document['futures']} futures, verified; child-weeks are those without a "
        "registered place, which the saving counts at their deterrent. The gap is how much cheaper a group's plan could still be: "
        f"{pounds(document['largest_gap_gbp'], 100)} at most"
    )
    smallest = document["smallest_saving_gbp"]
    if smallest <= 0:
        return f"{words}; no group saves more than that."
    kept = "within" if document["gaps_close_enough"] else "more than"
    return f"{words}, {kept} a twentieth of the smallest saving claimed ({pounds(smallest, 100)})."


def children_words(document: Row) -> list[str]:
    """Children without a registered place of each council, alone and together; nothing where there are none."""
    rows = [
        f"{document['titles'][name]} {number(row['alone'])} child-weeks alone, {number(row['together'])} together"
        for name, row in document["unregistered"].items()
        if max(row["alone"], row["together"]) >= 0.05
    ]
    return [f"Children without a registered place: {'; '.join(rows)}."] if rows else []


def _bills(document: Row, step: float) -> Any:
    partners = document["partners"]
    titles = document.get("titles", {})
    bills, rows = document.get("bills"), []

    def cell(rule: str, name: str) -> str:
        bill = document["rules"][rule][name]
        saving = (
            document["alone_gbp"][name] - bill if bills is None else bills[rule]["partners"][name]["better_off_gbp"]
        )
        return f"{pounds(bill, step)} ({_signed(saving, step)})"

    if len(partners) > SIDE_BY_SIDE:
        shown = [rule for rule in FEW_RULES if rule in document["rules"]]
        rows = [[titles.get(name, name), *(cell(rule, name) for rule in shown)] for name in partners]
        return _table(["", *(FEW_RULES[rule] for rule in shown)], rows)
    for rule, words in RULES.items():
        if rule not in document["rules"]:
            continue
        rows.append([words, *(cell(rule, name) for name in partners)])
    if bills is not None:
        for words, each in _entitled(document):
            cells = [
                f"{pounds(each[n]['bill_gbp'], step)} ({_signed(each[n]['better_off_gbp'], step)})" for n in partners
            ]
            rows.append([words, *cells])
        alone = next(iter(bills.values()))["partners"]
        rows.append(["Going alone", *(pounds(alone[name]["alone_gbp"], step) for name in partners)])
    else:
        rows.append(["Going alone", *(pounds(document["alone_gbp"][name], step) for name in partners)])
    return _table(["Rule", *(titles.get(name, name) for name in partners)], rows)


def estimated_words(document: Row, step: float) -> list[str]:
    """What is exact, what is found to within a sum, and what is estimated."""
    found = document.get("estimated")
    if not found:
        return []
    shapley, generated, timings = found["shapley"], found["generated"], document["timings"]
    largest = max(shapley["standard_error_gbp"].values())
    return [
        f"With so many councils not every group can be planned for: {generated['groups_planned']} groups were. The Shapley value "
        f"is estimated from {shapley['orders']} orders (standard error {pounds(largest, 100)} at most). Least core and "
        "nucleolus are found from the groups that gain most by leaving, each found by the program itself, to within "
        f"{pounds(generated['within_gbp'], 1)}{_cut_short(generated['cut_short'])}. The other rules are exact to the gaps of the "
        "plans they rest on.",
        f"That took {timings['total_seconds']:,.0f} seconds; {timings['expected_seconds']:,.0f} were foretold.",
    ]


def _cut_short(rules: list[str]) -> str:
    """Which rules were not searched for to the end."""
    if not rules:
        return ""
    names = " and ".join(RULES[rule].lower() for rule in rules)
    return f"; the search for {names} ended early, and what it left is that of the groups planned for"


def verdict_lines(document: Row) -> list[str]:
    """Whether a split exists that nobody would leave, and what each rule leaves to gain."""
    titles = document.get("titles", {})
    step = min(_step(document), 1_000.0)
    core = document["core"]
    sure = "whatever the plans' true costs within their bounds" if core["holds"] == ALL_VALUES else "at the plans found"
    if core["empty"]:
        lines = [
            f"However the bill is shared, some group of councils is better off by leaving, by "
            f"{pounds(core['least_core_epsilon_gbp'], step)} or more ({sure})."
        ]
    else:
        lines = [
            f"There is a way to share the bill that no group of councils would leave ({sure}); under the best, every group "
            f"would lose {pounds(-core['least_core_epsilon_gbp'], step)} or more by leaving."
        ]
    for rule, words in RULES.items():
        if rule in document["verdicts"]:
            lines.append(f"• {words}: {_verdict_words(document['verdicts'][rule], titles, step)}")
    if document["dearer_than_alone"]:
        names = " and ".join(titles.get(name, name) for name in document["dearer_than_alone"])
        lines.append(
            f"What {names} would add to the others' plan is more than going alone costs: separable costs and remaining benefit "
            "mean little here."
        )
    for row in document["dearer_together"][:NAMED]:
        limits = row["shared_limits"]
        what = f": each has to itself what both have to share then ({'; '.join(limits)})" if limits else ""
        sure = "" if row["certain"] else " (at the plans found only)"
        lines.append(
            f"{group_words(row['one'], titles)} and {group_words(row['other'], titles)} pay "
            f"{pounds(row['dearer_gbp'], step)} more together than apart{sure}{what}."
        )
    return lines


def _verdict_words(found: Row, titles: dict[str, str], step: float) -> str:
    if found["nobody_leaves"] == ALL_VALUES:
        return "nobody would leave, whatever the plans' true costs within their bounds."
    if found["nobody_leaves"] == FOUND_ONLY:
        return "nobody would leave at the plans found; a group might with a plan closer to its bound."
    named = [
        f"{group_words(row['group'], titles)} {'would be better off alone' if '+' not in row['group'] else 'would gain together'} "
        f"by {pounds(row['gain_gbp'], step)}"
        for row in found["leaving"][:NAMED]
    ]
    more = found["groups_leaving"] - len(named)
    further = f"; and {more} more {'group' if more == 1 else 'groups'}" if more > 0 else ""
    return f"{'; '.join(named)}{further}."


def _entitled(document: Row) -> list[tuple[str, Row]]:
    """Fixed entitlements in words with each council's figures, without resale and with it; none where there are none."""
    found = document.get("entitlements")
    if not found:
        return []
    price = f"£{found['resale_gbp_per_week']:,.0f}"
    return [
        ("Fixed entitlements, no resale", found["without_resale"]["partners"]),
        (f"Fixed entitlements, resale {price}", found["with_resale"]["partners"]),
    ]


def entitlement_lines(document: Row, step: float) -> list[str]:
    """What fixed entitlements are, and who nominates how many beds, without resale and with it."""
    found = document.get("entitlements")
    if not found:
        return []
    lines = [
        "Fixed entitlements are a plan of their own: each council nominates beds, keeps them to itself and carries its own "
        "voids."
    ]
    for name, words in (("without_resale", "Without resale"), ("with_resale", "With resale")):
        row = found[name]
        beds = [
            f"{document['titles'][council]} {own['beds']}" for council, own in row["partners"].items() if own["beds"]
        ]
        price = f" at £{found['resale_gbp_per_week']:,.0f} a week" if name == "with_resale" else ""
        more = row["pooling_worth_gbp"]
        compared = f"{pounds(abs(more), step)} {'dearer' if more >= 0 else 'cheaper'} than the joint plan"
        lines.append(f"• {words}{price}: beds nominated {', '.join(beds) or 'by nobody'}; all together {compared}.")
    return lines


def _spread(document: Row, step: float) -> Any:
    partners, rows = document["partners"], []

    def cell(rule: str, name: str) -> str:
        row = document["bills"][rule]["partners"][name]
        return f"{pounds(row['p10_gbp'], step)}–{pounds(row['p90_gbp'], step)}"

    if len(partners) > SIDE_BY_SIDE:
        rows = [[document["titles"][name], *(cell(rule, name) for rule in FEW_RULES)] for name in partners]
        return _table(["Bill, P10–P90", *FEW_RULES.values()], rows)
    for rule, words in RULES.items():
        if rule in document["bills"]:
            each = document["bills"][rule]["partners"]
            rows.append(
                [words, *(f"{pounds(each[n]['p10_gbp'], step)}–{pounds(each[n]['p90_gbp'], step)}" for n in partners)]
            )
    for words, each in _entitled(document):
        cells = [f"{pounds(each[n]['p10_gbp'], step)}–{pounds(each[n]['p90_gbp'], step)}" for n in partners]
        rows.append([words, *cells])
    alone = next(iter(document["bills"].values()))["partners"]
    rows.append(
        [
            "Going alone",
            *(f"{pounds(alone[n]['alone_p10_gbp'], step)}–{pounds(alone[n]['alone_p90_gbp'], step)}" for n in partners),
        ]
    )
    return _table(["Bill, P10–P90", *(document["titles"].get(name, name) for name in partners)], rows)


def risk_words(document: Row) -> str:
    """Who bears what turns out otherwise than expected, and the empty beds."""
    use, fixed = document["bills"]["use"]["partners"], document["bills"]["proportional"]["partners"]
    step = 1_000.0

    def voids(rows: Row) -> str:
        return ", ".join(f"{document['titles'][n]} {pounds(row['voids_gbp'], step)}" for n, row in rows.items())

    return (
        "Equal shares, by demand and in proportion are fixed parts of what the plan turns out to cost: a council pays for the "
        "others' surprises. Under every other rule a council pays for its own use, with block beds to be had "
        f"{document['access_rule']}, and a payment fixed in advance that balances the rule. Empty block beds, expected, nominal: "
        f"by use {voids(use)}; in proportion {voids(fixed)}."
    )


def leaving_rule(document: Row) -> str:
    """The rule by which bills are shown if a council leaves: Shapley value where every group is planned for."""
    return "shapley" if "shapley" in document["if_another_leaves"][0]["bills"] else "proportional"


def _leaving(document: Row, rule: str, step: float) -> Any:
    partners, titles = document["partners"], document["titles"]
    together = document["rules"][rule]
    rows = []
    if len(partners) > SIDE_BY_SIDE:
        for row in document["if_another_leaves"]:
            bills = row["bills"][rule]
            more = {name: bill - together[name] for name, bill in bills.items()}
            worst = max(more, key=lambda name: more[name])
            rows.append(
                [
                    titles[row["leaves"]],
                    pounds(sum(bills.values()), step),
                    _signed(sum(more.values()), step),
                    f"{titles[worst]} {_signed(more[worst], step)}",
                ]
            )
        return _table(["Who leaves", "The others pay", "More than now", "Most of it"], rows)
    for row in document["if_another_leaves"]:
        bills = row["bills"][rule]
        cells = [
            f"{pounds(bills[n], step)} ({pounds(bills[n] - together[n], step)})" if n in bills else "" for n in partners
        ]
        rows.append([f"{titles[row['leaves']]} leaves", *cells])
    return _table(["", *(titles[name] for name in partners)], rows)


def _years(document: Row, step: float) -> Any:
    partners = document["bills"]["shapley"]["partners"]
    names = list(partners)
    years = list(partners[names[0]]["years_gbp"])
    if len(names) > SIDE_BY_SIDE:
        rows = [
            [document["titles"][n], *(pounds(partners[n]["years_gbp"][year], step) for year in years)] for n in names
        ]
        return _table(["", *years], rows)
    rows = [[year, *(pounds(partners[name]["years_gbp"][year], step) for name in names)] for year in years]
    return _table(["Year", *(document["titles"][name] for name in names)], rows)


def show_invoices(document: Row, console: Console) -> None:
    """Print each partner's invoice."""
    titles = document.get("titles", {})
    words = RULES[document["rule"]]
    rows = [
        [titles.get(row["partner"], row["partner"]), f"{row['child_weeks']:,.1f}", f"£{row['invoice_gbp']:,.2f}"]
        for row in document["invoices"]
    ]
    rows.append(
        [
            "Together",
            f"{sum(row['child_weeks'] for row in document['invoices']):,.1f}",
            f"£{document['amount_gbp']:,.2f}",
        ]
    )
    console.print(Text(f"Invoices: {words}", style="bold"), highlight=False)
    console.print(_table(["Council", "Child-weeks", "Invoice"], rows), highlight=False)
    console.print(document["basis"], highlight=False)
