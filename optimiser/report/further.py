"""Documents of frontier, split and stresses, and a run's trace → further parts of a report; each left out without its document."""

from __future__ import annotations

from collections import Counter

from optimiser.report import charts
from optimiser.report.frontier import frontier_lines, ground_words
from optimiser.report.layout import Column, Documents, Part, Row, Table, filled
from optimiser.report.partners import (
    FEW_RULES,
    RULES,
    SIDE_BY_SIDE,
    children_words,
    entitlement_lines,
    estimated_words,
    group_words,
    risk_words,
    sure_words,
    verdict_lines,
)
from optimiser.report.stressed import change_words
from optimiser.report.terminal import counted, decision_words, exact, pounds

# capital


def frontier(documents: Documents) -> Part | None:
    """What each further pound of capital buys."""
    found = documents.get("frontier")
    if found is None:
        return None
    titles = found["titles"]
    rows = tuple(
        {
            **row,
            "next_least_gbp": (row["next_million"] or {}).get("least_gbp"),
            "next_most_gbp": (row["next_million"] or {}).get("most_gbp"),
            "proven": "proven" if row["least_envelope_proven"] else "?",
        }
        for row in found["points"]
    )
    by_year = (Column("year", "Year whose release is varied", "date"),) if found["by"] != "total" else ()
    columns = (
        *by_year,
        Column("capital_limit_gbp", "Envelope", "exact_pounds"),
        Column("capital_used_gbp", "Capital begun", "exact_pounds"),
        Column("homes", "Homes", "count"),
        Column("block_beds", "Block beds", "count"),
        Column("expected_cost_gbp", "Expected cost", "pounds"),
        Column("saving_gbp", "Saving against no capital", "pounds"),
        Column("objective_gbp", "Cost with the deterrent", "exact_pounds"),
        Column("bound_gbp", "No plan can cost less than", "exact_pounds"),
        Column("p90_gbp", "Cost, P90", "pounds"),
        Column("unregistered_child_weeks", "Child-weeks without a registered place", "number"),
        Column("next_least_gbp", f"The next {pounds(found['next_gbp'])} saves at least", "pounds"),
        Column("next_most_gbp", "and at most", "pounds"),
        Column("outlay_repaid_year", "Repaid", "date"),
        Column("break_even_occupancy", "Break-even occupancy", "share"),
        Column("proven", "That no smaller envelope does as well"),
    )
    keys = ("capital_limit_gbp", "homes", "block_beds", "expected_cost_gbp", "saving_gbp", "unregistered_child_weeks")
    brief = (*(column.key for column in by_year), *keys)
    table = Table("Frontier", "Plans by capital envelope, present real £, expected", columns, rows, brief)
    decided = (*by_year, columns[len(by_year)], Column("decided", "What is begun, awarded and extended"))
    done = tuple(
        {
            **row,
            "decided": " ".join(decision_words(each, titles) for each in row["decisions"] if each["action"] in DECIDED),
        }
        for row in found["points"]
    )
    plans = Table("Frontier decisions", "What each of those plans decides", decided, done)
    lines = frontier_lines(found)
    drawn = (("frontier", charts.frontier_chart(found)),)
    return Part("frontier", "What capital buys", (ground_words(found),), tuple(lines), (table, plans), drawn)


#: Decisions that a plan is known by.
DECIDED = ("begin", "award", "extend")

# partners


def partners(documents: Documents) -> Part | None:
    """Who should join, who pays what under each rule, and whether anyone is better off alone."""
    found = documents.get("split")
    if found is None:
        return None
    step = found["rounding_gbp"]
    sentences = [
        f"The joint plan costs {pounds(found['total_gbp'], step)} (expected, present real £; objective "
        f"{exact(found['objective_gbp'])} with the deterrent, bound {exact(found['bound_gbp'])}).",
        sure_words(found),
        *estimated_words(found, step),
        risk_words(found),
    ]
    points = [
        f"Joint plan: {decision_words(row, found['item_titles'])}"
        for row in found["decisions"]
        if row["action"] != "recruit"
    ]
    points += children_words(found)
    points += [line.removeprefix("• ") for line in (*verdict_lines(found), *entitlement_lines(found, step))]
    tables = [_groups(found), _by_rule(found, "Partners", "bill_gbp", "Bill of each council by rule"), _savings(found)]
    tables += [_ranges(found), _years(found)]
    if found["if_another_leaves"]:
        tables.append(_leaving(found))
    drawn = (("partners", charts.savings_by_rule(found)),)
    return Part("partners", "Who joins, who pays what", tuple(sentences), tuple(points), tuple(tables), drawn)


def _groups(found: Row) -> Table:
    rows = tuple(
        {**row, "words": group_words(row["group"], found["titles"])}
        | {"saving_gbp": row["saving_gbp"] if "+" in row["group"] else None}
        for row in sorted(found["groups"], key=lambda row: str(row["group"]).count("+"))
    )
    columns = (
        Column("words", "Group of councils"),
        Column("pounds_gbp", "Cost", "pounds"),
        Column("child_weeks_unregistered", "Child-weeks without a registered place", "number"),
        Column("saving_gbp", "Saving against each alone", "pounds"),
        Column("gap_gbp", "Could be cheaper by at most", "exact_pounds"),
    )
    caption = "What each group of councils would pay by itself, expected, present real £"
    brief = tuple(column.key for column in columns) if len(rows) <= 2**SIDE_BY_SIDE else ()
    return Table("Partners groups", caption, columns, rows, brief)


def side_by_side(found: Row) -> bool:
    """Whether councils stand beside each other, a rule to a row; else rules do, a council to a row."""
    return len(found["bills"]["use"]["partners"]) <= SIDE_BY_SIDE


def _savings(found: Row) -> Table:
    caption = "Saving of each council against going alone by rule, children without a registered place counted"
    return _by_rule(found, "Partners savings", "better_off_gbp", caption)


def _by_rule(found: Row, name: str, key: str, caption: str) -> Table:
    """One figure of every bill, with what all councils have together."""
    in_order = sorted(RULES, key=lambda rule: rule == "equal") if key == "better_off_gbp" else list(RULES)
    rules = {rule: RULES[rule] for rule in in_order if rule in found["bills"]}
    councils = {council: found["titles"][council] for council in found["bills"]["use"]["partners"]}
    value = {(rule, who): found["bills"][rule]["partners"][who][key] for rule in rules for who in councils}
    caption = f"{caption}, expected, present real £"
    if side_by_side(found):
        columns = (
            Column("what", "Rule"),
            *(Column(who, words, "pounds") for who, words in councils.items()),
            Column("together", "All councils", "pounds", adds=tuple(councils)),
        )
        rows = [
            {"what": words, **{who: value[rule, who] for who in councils}}
            | {"together": sum(value[rule, who] for who in councils)}
            for rule, words in rules.items()
        ]
        return Table(name, caption, columns, tuple(rows), tuple(column.key for column in columns))
    columns = (
        Column("what", "Council"),
        *(Column(rule, words, "pounds", total=True) for rule, words in rules.items()),
    )
    rows = [{"what": words, **{rule: value[rule, who] for rule in rules}} for who, words in councils.items()]
    return Table(name, caption, columns, tuple(rows), ("what", *(rule for rule in FEW_RULES if rule in rules)))


def _ranges(found: Row) -> Table:
    """How much a bill may turn out to be."""
    columns = (
        Column("rule", "Rule"),
        Column("council", "Council"),
        Column("bill_gbp", "Bill, expected", "pounds"),
        Column("p10_gbp", "P10", "pounds"),
        Column("p90_gbp", "P90", "pounds"),
        Column("balancing_payment_gbp", "Payment that balances the rule", "pounds"),
        Column("voids_gbp", "Empty block beds, nominal", "pounds"),
    )
    rows = tuple(
        {**row, "rule": words, "council": found["titles"][who]}
        for rule, words in RULES.items()
        if rule in found["bills"]
        for who, row in found["bills"][rule]["partners"].items()
    )
    return Table("Partners risk", "How each bill may turn out, present real £", columns, rows)


def _leading(rules: Row) -> str:
    """The rule that one is shown for: the Shapley value where there is one."""
    return "shapley" if "shapley" in rules else next(rule for rule in RULES if rule in rules)


def _years(found: Row) -> Table:
    rule = _leading(found["bills"])
    councils = found["bills"][rule]["partners"]
    years = list(next(iter(councils.values()))["years_gbp"])
    columns = (
        Column("year", "Financial year", "date"),
        *(Column(who, found["titles"][who], "pounds", total=True) for who in councils),
        Column("together", "All councils", "pounds", total=True, adds=tuple(councils)),
    )
    rows = []
    for year in years:
        own = {who: row["years_gbp"][year] for who, row in councils.items()}
        rows.append({"year": year, **own, "together": sum(own.values())})
    brief = tuple(column.key for column in columns) if side_by_side(found) else ()
    caption = f"Bills by financial year, nominal, expected: {RULES[rule]}"
    return Table("Partners by year", caption, columns, tuple(rows), brief)


def _leaving(found: Row) -> Table:
    rule = _leading(found["if_another_leaves"][0]["bills"])
    together = found["rules"][rule]
    columns = (
        Column("leaves", "Leaves"),
        Column("council", "Whose bill"),
        Column("bill_gbp", "Bill then", "pounds"),
        Column("more_gbp", "More than together", "pounds"),
    )
    rows = tuple(
        {
            "leaves": found["titles"][row["leaves"]],
            "council": found["titles"][who],
            "bill_gbp": bill,
            "more_gbp": bill - together[who],
        }
        for row in found["if_another_leaves"]
        for who, bill in row["bills"].get(rule, {}).items()
    )
    return Table("Partners leaving", f"If a council leaves: the others' bills ({RULES[rule]})", columns, rows)


# stresses


def stresses(documents: Documents) -> Part | None:
    """What each stress costs every plan that it was laid on, and whether one would have decided otherwise."""
    plan, appraised = documents["plan"], documents.get("appraise")
    found = [] if appraised is None else list(appraised["stresses"])
    found += [row for row in plan["stresses"] if row["stress"] not in {each["stress"] for each in found}]
    if not found:
        return None
    names = {} if appraised is None else {row["option"]: row["title"] for row in appraised["options"]}
    rows = tuple(
        {
            "title": row["title"],
            "plan": names.get(each["plan"], "The plan" if each["plan"] == "optimised" else each["plan"]),
            "expected_cost_gbp": each["expected_cost_gbp"],
            "more_gbp": each["expected_cost_gbp"] - each["ordinary_expected_cost_gbp"],
            "p90_gbp": each["p90_gbp"],
            "weeks": each["unregistered_child_weeks"],
            "weeks_drawn": each["ordinary_unregistered_child_weeks"],
            "best_gbp": (row["best"] or {}).get("expected_cost_gbp"),
            "best_weeks": (row["best"] or {}).get("unregistered_child_weeks"),
            "regret_gbp": (each["regret"] or {}).get("expected_cost_gbp"),
            "regret_weeks": (each["regret"] or {}).get("unregistered_child_weeks"),
            "kept": "; ".join(each["broken"]),
        }
        for row in found
        for each in row["plans"]
    )
    columns = (
        Column("title", "Stress"),
        Column("plan", "Plan"),
        Column("expected_cost_gbp", "Cost", "pounds"),
        Column("more_gbp", "More than as drawn", "pounds"),
        Column("p90_gbp", "Cost, P90", "pounds"),
        Column("weeks", "Child-weeks without a registered place", "number"),
        Column("weeks_drawn", "The same, as drawn", "number"),
        Column("best_gbp", "Cost of the best plan for it", "pounds"),
        Column("best_weeks", "Its child-weeks", "number"),
        Column("regret_gbp", "Regret", "pounds"),
        Column("regret_weeks", "Regret, child-weeks", "number"),
        Column("kept", "Limits not kept"),
    )
    brief = ("title", *(("plan",) if len(rows) > len(found) else ()), "expected_cost_gbp", "more_gbp", "weeks")
    caption = "Plans held while a stress is laid on the same futures, present real £, expected"
    table = Table("Stresses", caption, filled(columns, rows), rows, (*brief, "regret_gbp", "regret_weeks"))
    sentences = (
        "A plan that is held is not adapted: what a council would do on the way is not in these figures. Regret is how much more "
        "the plan costs, and how many more child-weeks without a registered place it has, than what would have been best had one "
        "planned for the stress within the same limits. The best is best by the objective, in which having no registered place "
        "bears its deterrent.",
    )
    told = {"titles": plan["titles"]}
    points = [f"{row['title']}. {change_words(row, told)}" for row in found]
    left = [*(appraised or {}).get("stresses_left_out", []), *plan["stresses_left_out"]]
    points += [f"Left out: {row['stress']}, since {row['reason']}." for row in left]
    return Part("stresses", "Under stress", sentences, tuple(points), (table,))


# trace


def trace(documents: Documents) -> Part | None:
    """Net present cost and the cost of each financial year taken apart, with what their inputs rest on."""
    found = documents.get("trace")
    if found is None:
        return None
    present, *years = found["figures"]
    names = [figure["figure"].split(".")[1] for figure in years]
    amounts: dict[tuple[str, str], float] = {}
    inputs: dict[str, dict[str, None]] = {}
    for key, figure in zip(("present", *names), (present, *years), strict=True):
        for term in figure["terms"]:
            amounts[key, term["item"]] = amounts.get((key, term["item"]), 0.0) + term["amount"]
            inputs.setdefault(term["item"], {}).update(dict.fromkeys(term["inputs"]))
    sources = {source["figure"]: source for figure in found["figures"] for source in figure["sources"]}
    rows = []
    for term, own in inputs.items():
        by_year = {name: amounts.get((name, term), 0.0) for name in names}
        kinds = Counter(sources[key]["evidence"] for key in own if key in sources)
        rests = ", ".join(counted_kind(kind, count) for kind, count in kinds.most_common())
        row: Row = {"term": term, "present": amounts.get(("present", term), 0.0), **by_year}
        rows.append(row | {"all": sum(by_year.values()), "evidence": rests})
    columns = (
        Column("term", "What it pays for"),
        Column("present", "Net present cost", "pounds", total=True),
        *(Column(name, name, "pounds", total=True) for name in names),
        Column("all", "All years", "pounds", total=True, adds=tuple(names)),
        Column("evidence", "What its inputs are"),
    )
    caption = "Net present cost (real), and cost by financial year (nominal), by what they pay for; expected"
    tables = [
        Table("Trace", caption, columns, tuple(rows), ("term", "present", "all", "evidence")),
        _inputs(inputs, sources),
    ]
    agrees = all(figure["agrees"] for figure in found["figures"])
    sentences = (
        "Each figure below was recomputed from the decisions and from where children live in every future, and "
        + ("comes to what the plan says, to the penny." if agrees else "does not come to what the plan says.")
        + " Any other figure can be taken apart in the same way (optimiser trace); the evidence register says where each input "
        "comes from.",
    )
    return Part("trace", "What the cost is made of", sentences, (), tuple(tables))


def counted_kind(kind: str, count: int) -> str:
    """``6 assumptions``, ``1 calibrated``."""
    return counted(count, kind) if kind == "assumption" else f"{count} {kind}"


def _inputs(inputs: dict[str, dict[str, None]], sources: dict[str, Row]) -> Table:
    """The register's rows behind each term: for the workbook, where they can be filtered."""
    columns = (
        Column("term", "What it pays for"),
        Column("figure", "Input"),
        Column("value", "Value", "figure"),
        Column("evidence", "Evidence"),
        Column("source", "Source"),
    )
    rows = tuple(
        {
            "term": term,
            "figure": key,
            "value": sources[key]["value"],
            "evidence": sources[key]["evidence"],
            "source": "; ".join(
                part for part in (sources[key][name] for name in ("document", "place", "derived_from")) if part
            ),
        }
        for term, own in inputs.items()
        for key in own
        if key in sources
    )
    return Table("Trace inputs", "Inputs of each part of the cost, as the register has them", columns, rows, (), False)
