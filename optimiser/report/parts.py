"""Documents of finished runs → parts that page, workbook and paper share: sentences, tables and charts.

A part is made from the documents that it needs and left out where one of them is missing, so that a report says as much as its
runs can carry. Page and paper print tables rounded to what the inputs bear; the workbook holds every figure in full.
"""

from __future__ import annotations

from collections.abc import Callable

from optimiser.errors import Fault, InstanceError
from optimiser.finance import month_number
from optimiser.report import charts
from optimiser.report.budgeted import COLUMNS as MTFP
from optimiser.report.budgeted import financing_words, saving_words
from optimiser.report.further import counted_kind, frontier, partners, stresses, trace
from optimiser.report.layout import Column, Documents, Part, Row, Table, filled
from optimiser.report.sensitivity import switching_lines, switching_rows
from optimiser.report.simulated import market_lines
from optimiser.report.terminal import (
    NO_LIMIT,
    against_paper_words,
    capital_words,
    counted,
    decision_lines,
    exact,
    gap_words,
    limit_words,
    matters,
    month,
    number,
    order_lines,
    pounds,
    quarter,
    share,
    simulated_words,
    spot_words,
    unregistered_words,
    void_words,
)

#: Documents that are taken from a run itself, and so are of its instance.
OF_THE_RUN = ("trace",)


def parts_of(documents: Documents) -> list[Part]:
    """Every part that the documents carry, in the order in which a reader needs them.

    Raises
    ------
    InstanceError
        If there is no plan among the documents, or they are of different instances.
    """
    refuse_unless_one_instance(documents)
    return [made for made in (part(documents) for part in PARTS) if made is not None]


def refuse_unless_one_instance(documents: Documents) -> None:
    """A report has a plan, and everything in it is of the same instance with the same limits.

    Raises
    ------
    InstanceError
        Where that is not so.
    """
    if "plan" not in documents:
        fix = "Name also a folder that optimiser plan --out has written."
        raise InstanceError([Fault("the runs", None, "", "", "hold no plan", fix)], "the command")
    planned = documents["plan"]["instance"]["fingerprint"]
    faults = [
        Fault(
            f"the run of {command}",
            None,
            "",
            documents[command]["instance"]["name"],
            "is not of the instance that was planned, or has another envelope",
            "Make both runs from the same files with the same --capital.",
        )
        for command in documents
        if command not in OF_THE_RUN and documents[command]["instance"]["fingerprint"] != planned
    ]
    if faults:
        raise InstanceError(faults, "the runs")


# parts


def decision(documents: Documents) -> Part:
    """What to decide, and by when."""
    plan = documents["plan"]
    titles = plan["titles"]
    points = decision_lines(plan)
    if plan["against_paper"] is not None:
        points.append(against_paper_words(plan["against_paper"], plan))
    rows = [
        {
            "what": ACTIONS[row["action"]],
            "item": titles.get(row["item"], row["item"]),
            "by": month(row["month"]),
            "branch": row["branch"] or "in any case",
            "number": row["number"],
            "beds": row["beds"],
            "call_off": row["call_off"],
            "half": month(row["first_child_p50"]) if _takes_in(row) else "",
            "nine": month(row["first_child_p90"]) if _takes_in(row) else "",
        }
        for row in plan["decisions"]
    ]
    columns = (
        Column("what", "Decision"),
        Column("item", "Home or contract"),
        Column("by", "By", "date"),
        Column("branch", "If"),
        Column("number", "Number", "count"),
        Column("beds", "Beds", "count"),
        Column("call_off", "Call-off beds", "count"),
        Column("half", "First child in by, half the futures", "date"),
        Column("nine", "In nine of ten", "date"),
    )
    tables = [Table("Decision", "Decisions in the order in which they fall due", columns, tuple(rows))] if rows else []
    drawn = [("timeline", charts.timeline_chart(plan))] if plan["timeline"] else []
    sentences = (unregistered_words(plan["unregistered"]),)
    return Part("decision", "What to decide", sentences, tuple(points), tuple(tables), tuple(drawn))


def _takes_in(row: Row) -> bool:
    """Whether a decision brings beds in which a first child is waited for; a provider's building brings none of its own."""
    return row["beds"] is not None and row["action"] != "extend" and row.get("operator") != "provider"


ACTIONS = {"begin": "Begin", "close": "Close", "award": "Award", "extend": "Extend", "recruit": "Recruit"}


def places(documents: Documents) -> Part:
    """When to spot purchase: where children live, by quarter."""
    plan = documents["plan"]
    kinds = [kind for kind in charts.SOURCES if any(row[f"{kind}_p90"] > 0.005 for row in plan["quarters"])]
    columns = [Column("quarter", "Quarter", "date")]
    for kind, words in [("all", "All children"), *((kind, charts.SOURCES[kind]) for kind in kinds)]:
        columns += [
            Column(f"{kind}_expected", words, "number"),
            Column(f"{kind}_p10", f"{words}, P10", "number"),
            Column(f"{kind}_p90", f"{words}, P90", "number"),
        ]
    columns.append(Column("usable_beds", "Usable beds held", "number"))
    columns.append(Column("moves_at_least", "Moves, at least", "number"))
    if "out_of_area_expected" in plan["quarters"][0]:
        columns.append(Column("out_of_area_expected", "Out of area", "number"))

    def row_of(row: Row) -> Row:
        held = sum(row[f"{kind}_usable_beds"] for kind in charts.HELD)
        return {**row, "quarter": quarter(row["quarter"]), "usable_beds": held}

    table = Table(
        "Places",
        "Children by where they live, by quarter: expected, and the range from the tenth to the ninetieth percentile",
        tuple(columns),
        tuple(row_of(row) for row in plan["quarters"]),
    )
    points = []
    if plan["simulated"] is not None:
        points = market_lines(plan["simulated"]["when_to_go_to_market"], plan["titles"])
    drawn = (("places", charts.places_chart(plan)), ("spot", charts.spot_chart(plan)))
    return Part("places", "When to spot purchase", (spot_words(plan["quarters"]),), tuple(points), (table,), drawn)


def money(documents: Documents) -> Part:
    """What it costs by financial year, capital against its envelope, voids and break-even."""
    plan = documents["plan"]
    step = plan["rounding_gbp"]
    sentences = [cost_words(plan), *capital_words(plan, step).splitlines(), void_words(plan, step)]
    groups = [key for key in charts.COSTS if any(abs(row[key]) >= 0.005 for row in plan["years"])]
    columns = (
        Column("year", "Financial year", "date"),
        *(Column(key, charts.COSTS[key][1], "pounds", total=True) for key in groups),
        Column("nominal_gbp", "Cost, nominal", "pounds", total=True, adds=tuple(groups)),
        Column("real_gbp", "Real", "pounds", total=True),
        Column("present_gbp", "Present", "pounds", total=True),
    )
    rows = tuple(plan["years"])
    brief = ("year", *groups, "nominal_gbp", "real_gbp")
    tables = [Table("Years", f"Expected cost by financial year{charts.part_years_words(plan)}", columns, rows, brief)]
    if plan["mtfp"]:
        tables.append(_budget_plan(plan))
    if plan["capital"]:
        capital = tuple(
            Column(key, head, kind)
            for key, head, kind in (
                ("envelope", "Envelope", "text"),
                ("path", "If", "text"),
                ("year", "Financial year", "date"),
                ("begun_gbp", "Begun", "exact_pounds"),
                ("cumulative_gbp", "Begun so far", "exact_pounds"),
                ("year_limit_gbp", "Limit of the year", "exact_pounds"),
                ("total_limit_gbp", "Limit in all", "exact_pounds"),
            )
        )
        tables.append(Table("Capital", "Capital begun against its envelope", capital, tuple(plan["capital"])))
    voids = (
        Column("year", "Financial year", "date"),
        Column("in_house_bed_weeks", "Own homes, bed-weeks", "number", total=True),
        Column("in_house_gbp", "Own homes", "pounds", total=True),
        Column("block_bed_weeks", "Block beds, bed-weeks", "number", total=True),
        Column("block_gbp", "Block beds", "pounds", total=True),
        Column("all_gbp", "Together", "pounds", total=True, adds=("in_house_gbp", "block_gbp")),
    )
    void_rows = tuple({**row, "all_gbp": row["in_house_gbp"] + row["block_gbp"]} for row in plan["voids"])
    tables.append(Table("Voids", "Beds paid for and not filled, expected, nominal", voids, void_rows))
    even = tuple(row for row in plan["break_even"] if row["occupancy"] is not None)
    if even:
        columns = (Column("title", "Home or contract"), Column("occupancy", "Occupancy", "share"))
        caption = "Occupancy at which each costs what spot purchase would"
        if any(row["occupancy"] > 1 for row in even):
            caption += " (above 100%: dearer even when full)"
        tables.append(Table("Break-even", caption, columns, even, ("title", "occupancy")))
    points = _budget_points(plan)
    return Part("money", "Money", tuple(sentences), points, tuple(tables), (("years", charts.years_chart(plan)),))


def _budget_points(plan: Row) -> tuple[str, ...]:
    """What the budget counts on already, what the capital would be as borrowing, and what the columns of the plan hold."""

    def shown(amount: float | None) -> str:
        return pounds(amount, plan["rounding_gbp"])

    points = []
    if plan["saving_in_budget"] is not None:
        points.append(saving_words(plan["saving_in_budget"], shown))
    if plan["financing"]:
        points.append(financing_words(plan, shown))
    if plan["mtfp"]:
        points.append(
            "In the Medium-Term Financial Plan: "
            + "; ".join(f"{head.lower()}, {words}" for head, words in MTFP_WORDS.items() if _filled(plan, head))
            + "."
        )
    return tuple(points)


#: What each column of the Medium-Term Financial Plan holds.
MTFP_WORDS = {
    "Pressures": "need and prices beyond the base if nothing is done, and what having no registered place would cost",
    "In budget": "the saving that the agreed budget counts on already",
    "Of the plan": "what the plan falls short of that saving, or costs more than doing nothing",
    "Avoided": "placements without registration that do not happen, and growth held back, which frees no cash",
    "Cashable": "what takes spending on registered placements below the base",
    "One-off": "waiting, procurement and closures",
    "Capital": "outlay less what is left at the end",
}


def _filled(plan: Row, head: str) -> bool:
    """Whether a column of the Medium-Term Financial Plan holds anything."""
    return any(abs(row[line]) >= 0.005 for row in plan["mtfp"] for line in MTFP[head])


def _budget_plan(plan: Row) -> Table:
    """The Medium-Term Financial Plan: what each year is made of, against the base budget."""
    heads = [head for head in MTFP if head != "Cost" and _filled(plan, head)]
    rows = tuple(
        {"year": row["year"], **{head: sum(row[line] for line in lines) for head, lines in MTFP.items()}}
        for row in plan["mtfp"]
    )
    columns = (
        Column("year", "Financial year", "date"),
        *(Column(head, head, "pounds", total=True) for head in heads),
        Column("Cost", "Cost, nominal", "pounds", total=True, adds=tuple(heads)),
    )
    caption = f"Medium-Term Financial Plan against the base budget ({plan['mtfp_base']}), nominal"
    return Table("MTFP", caption, columns, rows, tuple(column.key for column in columns))


def risks(documents: Documents) -> Part:
    """What may turn out worse than expected, with how much."""
    plan = documents["plan"]
    step = plan["rounding_gbp"]
    worst = plan["unregistered"]
    points = [
        f"Cost: one future in ten costs more than {pounds(plan['p90_gbp'], step)}; the worst {share(1 - plan['cvar_level'])} "
        f"cost {pounds(plan['cvar_gbp'], step)} on average, against {pounds(plan['expected_cost_gbp'], step)} expected "
        "(present real £).",
        f"Children without a registered place ({worst['name']}): at least one child-week in {share(worst['probability_any'])} of "
        f"futures; more than {number(worst['p90_child_weeks'])} child-weeks in one future in ten."
        if worst["p90_child_weeks"] >= 0.05
        else unregistered_words(worst),
    ]
    points += [_late_words(row) for row in plan["timeline"] if row["kind"] in ("in_house", "block")]
    points += [
        f"Beyond the horizon: {plan['titles'].get(row['item'], row['item'])} runs on for {row['months_left']:g} months with "
        f"{counted(row['beds'], 'bed')}; that cost is not counted."
        for row in plan["beyond_horizon"]
    ]
    fresh = plan["out_of_sample"]
    if fresh is not None:
        points.append(
            f"Other futures: on {fresh['futures']} that the search has not seen the plan costs "
            f"{pounds(fresh['expected_cost_gbp'], step)} (standard error {pounds(fresh['standard_error_gbp'], step)}), on its own "
            f"{pounds(plan['expected_cost_gbp'], step)} ({pounds(fresh['own_standard_error_gbp'], step)})."
        )
    if plan["simulated"] is not None:
        points.append(simulated_words(plan["simulated"], step))
    points += [f"{warning[0].upper()}{warning[1:]}" for warning in plan["warnings"]]
    return Part("risks", "Risks", (), tuple(points))


def _late_words(row: Row) -> str:
    """How late a home or contract is in one future of ten."""
    branch = f" (if {row['branch']})" if row["branch"] else ""
    half, nine = row["first_child_p50"], row["first_child_p90"]
    later = "does not open within the horizon"
    if half is not None and nine is not None:
        months = month_number(nine) - month_number(half)
        behind = f", {counted(months, 'month')} or more behind the date that half the futures keep" if months else ""
        later = f"has its first child after {month(nine)}{behind}"
    return f"Late opening: in one future in ten {row['title']}{branch} {later}."


def options(documents: Documents) -> Part | None:
    """The named options and the optimised plan on the same futures; published figures beside ours."""
    found = documents.get("appraise")
    if found is None:
        return None
    titles = {row["option"]: row["title"] for row in found["options"]}
    columns = (
        Column("title", "Option"),
        Column("expected_cost_gbp", "Expected cost", "pounds"),
        Column("saving_gbp", "Saving against doing nothing", "pounds"),
        Column("p10_gbp", "Cost, P10", "pounds"),
        Column("p90_gbp", "Cost, P90", "pounds"),
        Column("capital_gbp", "Capital", "pounds"),
        Column("homes", "Homes", "count"),
        Column("block_beds", "Block beds", "count"),
        Column("unregistered_child_weeks", "Child-weeks without a registered place", "number"),
        Column("unregistered_p90_child_weeks", "The same, P90", "number"),
        Column("probability_cheapest", "Cheapest in", "share"),
        Column("probability_below_doing_nothing", "Cheaper than doing nothing in", "share"),
        Column("kept", "Limits not kept"),
    )
    rows = tuple(
        {**row, "title": _option_title(row), "kept": "; ".join(row["broken"][:2]) + _more(row["broken"][2:])}
        for row in found["options"]
    )
    caption = "Options on the same futures, present real £"
    brief = ("title", "expected_cost_gbp", "saving_gbp", "p90_gbp", "capital_gbp", "unregistered_child_weeks")
    tables = [Table("Options", caption, filled(columns, rows), rows, brief)]
    if found["simulated"] is not None:
        tables.append(_simulated_table(found["simulated"], titles))
    by_year = _by_year(found["years"], titles)
    tables.append(by_year)
    if found["budget"]:
        tables.append(_budget_table(found["budget"], titles))
    if found["published"]:
        tables += _published_tables(found["published"], found["titles"])
    sentences = (
        f"Every option is priced on the same {found['futures']} futures (seed {found['seed']}). The optimised plan: "
        f"{gap_words(found)}. What is optimised is cost together with a deterrent on having no registered place, so the "
        "optimised plan need not be the cheapest in pounds.",
        *_rank_words(found, titles),
    )
    drawn = (("options", charts.options_chart(found)),)
    return Part("options", "Options compared", sentences, (), tuple(tables), drawn)


def _option_title(row: Row) -> str:
    return str(row["title"]) + (" (the paper's)" if row["paper"] else "")


def _more(rest: list[str]) -> str:
    return f" (and {len(rest)} more)" if rest else ""


def _simulated_table(found: Row, titles: dict[str, str]) -> Table:
    columns = (
        Column("title", "Option"),
        Column("cost", "Cost", "pounds"),
        Column("error", "Standard error", "pounds"),
        Column("weeks", "Child-weeks without a registered place", "number"),
        Column("gap", "More than the optimiser says", "pounds"),
        Column("gap_error", "Standard error of that", "pounds"),
        Column("rank", "Rank", "count"),
        Column("rank_by_optimiser", "The optimiser's rank", "count"),
    )
    rows = tuple(
        {
            "title": titles[row["option"]],
            "cost": row["cost_gbp"]["mean"],
            "error": row["cost_gbp"]["standard_error"],
            "weeks": row["unregistered_child_weeks"],
            "gap": row["foresight"]["gap_gbp"]["mean"],
            "gap_error": row["foresight"]["gap_gbp"]["standard_error"],
            "rank": row["rank"],
            "rank_by_optimiser": row["rank_by_optimiser"],
        }
        for row in found["options"]
    )
    caption = f"When nobody knows the future: simulated child by child on {found['futures']} futures, present real £"
    return Table("Simulated", caption, columns, rows)


#: Options that are named one by one.
FEW = 3


def _rank_words(found: Row, titles: dict[str, str]) -> list[str]:
    if found["simulated"] is None:
        return []
    moved = [titles[row["option"]] for row in found["simulated"]["options"] if row["rank"] != row["rank_by_optimiser"]]
    if not moved:
        return ["Simulated child by child, the options keep the optimiser's order."]
    several = f"{len(moved)} of {len(titles)} options" if len(moved) > FEW else "; ".join(moved)
    return [
        f"Simulated child by child, the order differs from the optimiser's for {several}.",
        *order_lines(found["simulated"]["options"], titles, found["rounding_gbp"]),
    ]


def _by_year(rows: list[Row], titles: dict[str, str]) -> Table:
    years = list(dict.fromkeys(row["year"] for row in rows))
    columns = (
        Column("title", "Option"),
        *(Column(year, year, "pounds") for year in years),
        Column("all", "All years", "pounds", adds=tuple(years)),
    )
    found = []
    for option in dict.fromkeys(row["option"] for row in rows):
        own = {row["year"]: row["nominal_gbp"] for row in rows if row["option"] == option}
        found.append({"title": titles[option], **own, "all": sum(own.values())})
    return Table("Options by year", "Expected cost of each option by financial year, nominal", columns, tuple(found))


def _budget_table(rows: list[Row], titles: dict[str, str]) -> Table:
    columns = (
        Column("title", "Option"),
        Column("already_in_budget_gbp", "Already in budget", "pounds"),
        Column("cashable_gbp", "Cashable", "pounds"),
        Column("cost_avoidance_gbp", "Cost avoidance", "pounds"),
        Column("pressure_gbp", "Pressure", "pounds"),
        Column("net_saving_gbp", "Net saving", "pounds"),
    )
    found = tuple({**row, "title": titles[row["option"]]} for row in rows)
    caption = "Against doing nothing, as the budget sees it: nominal, over the horizon"
    return Table("Budget", caption, columns, found, tuple(column.key for column in columns))


def _published_tables(published: list[Row], titles: dict[str, str]) -> list[Table]:
    """Published results beside ours, and how far each moves over the ranges of what is assumed in it."""
    columns = (
        Column("title", "Result"),
        Column("unit", "Unit"),
        Column("published", "Published", "figure"),
        Column("ours", "Here", "figure"),
        Column("difference", "Difference", "figure"),
        Column("match", "How"),
        Column("source", "Source"),
        Column("note", "Note"),
    )
    rows = tuple(
        {**row, "source": "; ".join(part for part in (row["document"], row["place"]) if part)} for row in published
    )
    tables = [Table("Published", "Published figures beside those computed here", columns, rows)]
    moves = tuple(
        {**move, "title": row["title"], "unit": row["unit"], "what": figure_words(move["figure"], titles)}
        for row in published
        if row["published"] is not None
        for move in row["moves"]
        if matters(row, move)
    )
    if moves:
        moved = (
            Column("title", "Result"),
            Column("what", "Assumption"),
            Column("low", "It goes from", "value"),
            Column("high", "to", "value"),
            Column("at_low", "Result goes from", "figure"),
            Column("at_high", "and to", "figure"),
        )
        caption = "How far published results move over the ranges of what is assumed in them"
        tables.append(Table("Published moved", caption, moved, moves))
    return tables


def change(documents: Documents) -> Part:
    """What would change the answer: limits that bind, and assumptions that matter most."""
    plan = documents["plan"]
    step = plan["rounding_gbp"]
    points = [limit_words(row, step) for row in plan["limits"]]
    sentences = [] if points else [NO_LIMIT]
    tables = []
    if plan["limits"]:
        limits = (
            Column("words", "Limit"),
            Column("step_words", "One unit more"),
            Column("worth_least_gbp", "Worth at least", "pounds"),
            Column("worth_most_gbp", "Worth at most", "pounds"),
            Column("resolution_gbp", "What the gap leaves open", "pounds"),
            Column("child_weeks_avoided", "Child-weeks avoided", "number"),
        )
        tables.append(
            Table("Limits", "Limits that bind, and what one unit more is worth", limits, tuple(plan["limits"]))
        )
    swings = plan["evidence"]["matter_most"]
    if swings:
        columns = (
            Column("what", "Assumption"),
            Column("low", "Low", "figure"),
            Column("high", "High", "figure"),
            Column("cost_at_low_gbp", "Cost at low", "pounds"),
            Column("cost_at_high_gbp", "Cost at high", "pounds"),
            Column("child_weeks_at_low", "Child-weeks without a registered place at low", "number"),
            Column("child_weeks_at_high", "At high", "number"),
        )
        rows = tuple({**row, "what": figure_words(row["figure"], plan["titles"])} for row in swings)
        caption = "Assumptions that matter most: the same plan with one figure at either end of its range"
        brief = ("what", "low", "high", "cost_at_low_gbp", "cost_at_high_gbp")
        tables.append(Table("Assumptions", caption, columns, rows, brief))
    found = documents.get("sensitivity")
    if found is not None:

        def called(key: str) -> str:
            return figure_words(key, plan["titles"])

        points += switching_lines(found, called)
        switches = tuple(switching_rows(found, called))
        tables += [_switching_table(switches)] if switches else []
    return Part("change", "What would change it", tuple(sentences), tuple(points), tuple(tables))


def _switching_table(rows: tuple[Row, ...]) -> Table:
    """Where today's decisions change, input by input, the widest first."""
    columns = (
        Column("what", "Input"),
        Column("value", "Value now", "figure"),
        Column("moves", "Moves"),
        Column("stands", "Today's decisions are best up to", "figure"),
        Column("changes", "Others are better at", "figure"),
        Column("instead", "What is better then"),
        Column("better_gbp", "By at least, with the deterrent", "pounds"),
    )
    caption = "Switching values: how far each input must move, by itself, before other decisions today are better"
    return Table("Switching values", caption, columns, rows, tuple(column.key for column in columns))


def evidence(documents: Documents) -> Part:
    """Where every figure comes from."""
    plan = documents["plan"]
    found = plan["evidence"]
    counts = ", ".join(counted_kind(name, count) for name, count in found["counts"].items() if count)
    columns = (
        Column("figure", "Figure"),
        Column("what", "What it is"),
        Column("value", "Value", "figure"),
        Column("evidence", "Evidence"),
        Column("source", "Source"),
        Column("range", "Range"),
        Column("note", "Note"),
    )
    rows = tuple(
        {
            **row,
            "what": _meaning(row["figure"]),
            "value": row["value"] if isinstance(row["value"], (int, float)) else str(row["value"]),
            "source": "; ".join(part for part in (row["document"], row["place"], row["derived_from"]) if part),
            "range": f"{row['low']} to {row['high']}" if row["low"] or row["high"] else "",
        }
        for row in found["register"]
    )
    sentences = (
        f"Inputs: {counts}. An assumption has a range instead of a source; a calibrated figure was chosen so that a published "
        "result comes out.",
    )
    return Part("evidence", "Evidence register", sentences, (), (Table("Evidence", "Every figure", columns, rows),))


def computed(documents: Documents) -> Part:
    """How it was computed: bound, gap, futures, versions."""
    plan = documents["plan"]
    sentences = (
        f"Objective {exact(plan['objective_gbp'])} (with a deterrent of {exact(plan['deterrent_gbp'])} on having no registered "
        f"place, a value judgement and no pound of any budget), bound {exact(plan['bound_gbp'])}: {gap_words(plan)}.",
        f"{plan['futures']} futures, seed {plan['seed']}, {plan['method']}. Every plan shown was accepted by an independent "
        "recomputation, which shares no code with the search.",
        f"As at {month(plan['instance']['as_at'])}; prices of {plan['instance']['price_base']}. Nominal: as paid. Real: without "
        "general inflation. Present: real and discounted. P10 and P90: one future in ten is below, one in ten above. Expected: "
        "the mean of all futures.",
    )
    columns = (Column("what", "What"), Column("which", "Which"))
    rows = [
        *({"what": f"Version of {name}", "which": words} for name, words in plan["versions"].items()),
        {"what": "Fingerprint of the instance (SHA-256)", "which": plan["instance"]["fingerprint"]},
        {"what": "Documents", "which": ", ".join(document["document"] for document in documents.values())},
    ]
    table = Table("Computed", "Versions and fingerprint", columns, tuple(rows))
    return Part("computed", "How it was computed", sentences, (), (table,))


#: Makers of the parts, in order; each leaves its part out where its document is missing.
PARTS: tuple[Callable[[Documents], Part | None], ...] = (
    decision,
    places,
    money,
    frontier,
    partners,
    risks,
    stresses,
    options,
    change,
    trace,
    evidence,
    computed,
)


# words


def cost_words(plan: Row) -> str:
    """Net present cost, how bad it may be, and the saving."""
    step = plan["rounding_gbp"]
    saving = plan["saving_gbp"]
    against = ""
    if saving is not None:
        words = "less" if saving >= 0 else "more"
        against = f", {pounds(abs(saving), step)} {words} than doing nothing"
    return (
        f"Net present cost {pounds(plan['expected_cost_gbp'], step)} expected over the horizon{against} (present real £); one "
        f"future in ten is above {pounds(plan['p90_gbp'], step)}, and the worst {share(1 - plan['cvar_level'])} cost "
        f"{pounds(plan['cvar_gbp'], step)} on average."
    )


def figure_words(key: str, titles: dict[str, str]) -> str:
    """A figure's key in words: ``Children arriving a month: complex`` for ``cohorts.complex.arrivals_per_month``."""
    table, _, rest = key.partition(".")
    row, _, field = rest.rpartition(".")
    plain = field.replace("gbp_per_", "£ a ").replace("_gbp", ", £").replace("_per_", " a ").replace("_", " ")
    words = FIELDS.get(field, f"{plain[:1].upper()}{plain[1:]}")
    if not row:
        return words
    if table == "figures":
        return row.replace("-", " ").capitalize()
    numbered = {"layers": "price band", "tiers": "from beds", "extensions": "extension"}.get(table)
    names = [
        f"{numbered} {part}" if numbered and part.isdecimal() else titles.get(part, part.replace("-", " "))
        for part in row.split(".")
    ]
    return f"{words}: {', '.join(names)}"


#: Figures that matter most often, in words.
FIELDS = {
    "arrivals_per_month": "Children arriving a month",
    "mean_stay_months": "Mean stay, months",
    "gbp_per_week": "Price, £ a week",
    "fixed_gbp_per_year": "Running cost of an open home, £ a year",
    "matching_occupancy": "Share of beds that matching lets be filled",
    "unregistered_gbp_per_week": "Cost of having no registered place, £ a week",
    "availability": "Share of spot places on offer that can be had",
    "breakdown_per_month": "Share of placements that break down a month",
    "capital_gbp": "Capital for one home, £",
    "growth_per_year": "Growth a year",
    "cost_growth_per_year": "Growth of costs a year",
    "weeks_per_year": "Weeks in a year",
}


def _meaning(key: str) -> str:
    """What the schema says of a figure."""
    from optimiser.instance.draft import description
    from optimiser.instance.schema import TABLES, Settings

    table, _, rest = key.partition(".")
    model = Settings if table == "settings" else TABLES[table][0]
    return description(model, rest.rpartition(".")[2])
