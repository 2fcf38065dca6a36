"""How every figure of every document is made: a sum of other figures of it, or why it is no sum.

One rule a pattern of names. A name is the path to a figure, a star for any row or key, two stars for anything below. Parts
are figures of the same document, with their sign; the amounts that they come to are compared with the figure itself.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from optimiser.analysis.trail.figures import Figure, dated
from optimiser.analysis.trail.sources import inputs_of_term
from optimiser.analysis.trail.terms import NOTHING, TERM_WORDS, Made, Term

Row = dict[str, Any]
Path = tuple[str | int, ...]

#: Columns that name a row, in their order; a row has those that it has.
NAMES = (
    "envelope",
    "frontier_year",
    "option",
    "stress",
    "kind",
    "figure",
    "action",
    "item",
    "group",
    "authority",
    "partner",
    "rule",
    "source",
    "pool",
    "cohort",
    "path",
    "year",
    "quarter",
    "term",
    "capital_limit_gbp",
    "month",
    "branch",
    "leaves",
    "result",
    "name",
    "key",
    "cheapest",
)
#: What says which program made a document, how long it took, or how its decisions are written for another run.
NO_FIGURES = ("versions", "timings", "decided", "taken_up", "fingerprint")


@dataclass(frozen=True)
class Rule:
    """How figures whose names follow a pattern are made.

    Parameters
    ----------
    pattern : name with stars
    how : in words; of a figure that is no sum, why it is none
    parts : figures of the document that it is the sum of, each after + or -; one after ÷ is divided by. A path is of the same
        row, ^ goes up one, / starts at the document; [option={option}] takes the rows with the same option
    inputs : patterns of the register
    above : cut off at nothing, where the parts come to less
    """

    pattern: str
    how: str
    parts: tuple[str, ...] = ()
    inputs: tuple[str, ...] = ()
    above: bool = False


def figures_in(document: Row) -> list[tuple[Figure, Path]]:
    """Every number and date of a document with the path to it."""
    found: list[tuple[Figure, Path]] = []
    seen: dict[str, int] = {}
    for path, names, value in _leaves(document, (), ()):
        table, *row, column = names if len(names) > 1 else ("summary", *names)
        date = isinstance(_at(document, path), str)
        figure = Figure(table, 0, tuple(row), column, value, date)
        seen[figure.name] = seen.get(figure.name, 0) + 1
        if seen[figure.name] > 1:
            figure = Figure(table, 0, (*row, str(seen[figure.name])), column, value, date)
        found.append((figure, path))
    return found


def _at(document: Row, path: Path) -> Any:
    value: Any = document
    for step in path:
        value = value[step]
    return value


def _leaves(value: Any, path: Path, names: tuple[str, ...]) -> Iterator[tuple[Path, tuple[str, ...], float]]:
    if isinstance(value, Mapping):
        named = {name for name in NAMES if name in value} if path and isinstance(path[-1], int) else set()
        for key, own in value.items():
            if (not path and key in NO_FIGURES) or (key in named and not isinstance(own, (Mapping, list))):
                continue
            yield from _leaves(own, (*path, key), (*names, str(key)))
    elif isinstance(value, list):
        for place, own in enumerate(value):
            row = str(place + 1)
            if isinstance(own, Mapping):
                row = ".".join(_word(own[name]) for name in NAMES if _names_a_row(own.get(name))) or row
            yield from _leaves(own, (*path, place), (*names, row))
    elif isinstance(value, (int, float)) and not isinstance(value, bool):
        yield path, names, float(value)
    elif isinstance(value, str) and dated(value) is not None:
        yield path, names, float(dated(value) or 0)


def _word(value: Any) -> str:
    """A name, or a whole number without its point."""
    return f"{value:.0f}" if isinstance(value, float) and value == round(value) else str(value)


def _names_a_row(value: Any) -> bool:
    return value not in (None, "") and not isinstance(value, (Mapping, list))


def rule_of(kind: str, path: Path) -> Rule | None:
    """The first rule whose pattern the path follows; None where there is none."""
    name = ".".join("*" if isinstance(step, int) else str(step) for step in path)
    return next((rule for rule in (*RULES.get(kind, ()), *EVERYWHERE) if _pattern(rule.pattern).fullmatch(name)), None)


@cache
def _pattern(pattern: str) -> re.Pattern[str]:
    parts = [
        ".+" if part == "**" else "[^.]+" if part == "*" else re.escape(part) for part in re.split(r"(\*+)", pattern)
    ]
    return re.compile("".join(parts))


def made(kind: str, document: Row, path: Path) -> Made:
    """What a figure is made of.

    Raises
    ------
    KeyError
        Where no rule says how.
    """
    rule = rule_of(kind, path)
    if rule is None:
        raise KeyError(".".join(map(str, path)))
    rows: list[Any] = [document]
    for step in path[:-1]:
        rows.append(rows[-1][step])
    if not rule.parts:
        value = rows[-1][path[-1]]
        amount = float(value) if isinstance(value, (int, float)) else float(dated(value) or 0)
        words = str(path[-1] if not isinstance(path[-1], int) else path[-2]).removesuffix("_gbp").replace("_", " ")
        term = str(_own("term", rows))
        inputs = _filled(rule.inputs, rows) or (() if term == "*" else inputs_of_term(term))
        return Made(rule.how, [Term(words, amount, inputs)], whole=False)
    terms: list[Term] = []
    for part in rule.parts:
        for row, column, amount in _found(part[1:], rows, path):
            if abs(amount) < NOTHING and len(rule.parts) == 1:
                continue
            named = {name: _word(row[name]) for name in NAMES if _names_a_row(row.get(name)) and name != "branch"}
            term = named.pop("term", "")
            what = TERM_WORDS.get(term, term) or column.removesuffix("_gbp").replace("_", " ")
            words = " ".join(named.values())
            inputs = inputs_of_term(str(row["term"])) if "term" in row else _filled(rule.inputs, rows)
            role = "under" if part[0] == "÷" else "over" if any(each[0] == "÷" for each in rule.parts) else "add"
            terms.append(
                Term(f"{words}: {what}" if words else what, -amount if part[0] == "-" else amount, inputs, role)
            )
    if rule.above and sum(term.amount for term in terms) < 0:
        terms = []
    return Made(f"{rule.how}: the sum of", terms)


def _filled(patterns: Sequence[str], rows: Sequence[Any], path: Path = ()) -> tuple[str, ...]:
    """Patterns with what the rows around a figure say of {figure}, {item} and so on; {3} is that step of its path."""

    def said(match: re.Match[str]) -> str:
        return str(path[int(match[1])] if match[1].isdigit() else _own(match[1], rows))

    return tuple(re.sub(r"\{(\w+)\}", said, pattern) for pattern in patterns)


def _own(name: str, rows: Sequence[Any]) -> Any:
    return next((row[name] for row in reversed(rows) if isinstance(row, Mapping) and name in row), "*")


def _found(part: str, rows: Sequence[Any], path: Path) -> Iterator[tuple[Row, str, float]]:
    """Rows that a part means, its column, and the amounts."""
    around = [row for row in rows if isinstance(row, Mapping)]
    part = _filled((part,), rows, path)[0]
    if part.startswith("/"):
        around, part = around[:1], part[1:]
    while part.startswith("^"):
        around, part = around[:-1], part[1:]
    here: list[Any] = [around[-1]]
    *steps, column = re.split(r"\.(?![^\[]*\])", part)
    for step in steps:
        name, _, chosen = step.partition("[")
        wanted = dict(each.split("=") for each in chosen.rstrip("]").split(",")) if chosen else {}
        following: list[Any] = []
        for row in here:
            own = row[name]
            following += (
                [each for each in own if all(str(each.get(key)) == value for key, value in wanted.items())]
                if isinstance(own, list)
                else [own]
            )
        here = following
    for row in here:
        if row.get(column) is not None:
            yield row, column, float(row[column])


# what the documents hold

_SEARCHED = "found by the search, and recomputed independently; its terms are those of a plan at this envelope or under this change"
_PROVEN = "proven by the search: no plan within the limits has an objective below it"
_FUTURE = (
    "the cost of one future, or child-weeks in one, by rank: the futures differ in every term, so that it is no sum of expected "
    "ones. plan --out and trace take it apart"
)
_COUNTED = "counted from the decisions"
_SIMULATED = (
    "counted day by day in the simulated futures, and averaged: no ledger of expected amounts lies behind it; the standard error "
    "says how far chance moves it"
)
_RANK = "the simulated future by rank: one life of the plan, no sum of means"
_MOVED = "the decisions held and priced anew with the input at this value: its terms are those of the changed instance"
_GIVEN = "given, or asked for"
_SHARE = "a share of futures or draws, counted"
_GAME = "what the rule makes of what every group of councils costs (groups); rules are no sums of cost terms"

EVERYWHERE = (
    Rule("instance.**", _GIVEN),
    Rule("asked.**", _GIVEN),
    Rule("seed", _GIVEN),
    Rule("futures", _GIVEN),
    Rule("cvar_level", _GIVEN),
    Rule("risk_weight", _GIVEN),
    Rule("rounding_gbp", "the step to which figures are shown, by their size"),
    Rule("gap_asked", _GIVEN),
    Rule("gap", "how far above the bound the objective is at most", ("+objective_gbp", "-bound_gbp", "÷objective_gbp")),
    Rule("objective_gbp", "what is minimised, present real £, with the deterrent; " + _SEARCHED),
    Rule("bound_gbp", _PROVEN),
    Rule("reduction.**", "how futures were chosen to stand for more: distances between them, measured"),
    Rule("simulated.futures", "how many futures were simulated"),
    Rule("**.cost_gbp.p10", _RANK),
    Rule("**.cost_gbp.p50", _RANK),
    Rule("**.cost_gbp.p90", _RANK),
    Rule("**.cost_gbp.worst_tenth", "the mean of the worst tenth of simulated futures, by rank: no sum of means"),
    Rule("**.unregistered_child_weeks.p10", _RANK),
    Rule("**.unregistered_child_weeks.p50", _RANK),
    Rule("**.unregistered_child_weeks.p90", _RANK),
    Rule("**.unregistered_child_weeks.worst_tenth", "the mean of the worst tenth of simulated futures, by rank"),
    Rule(
        "**.standard_error",
        "how far chance moves the mean: the spread over futures divided by the root of their number",
    ),
    Rule("**.foresight.futures", "how many futures the optimiser has seen as well"),
    Rule(
        "**.foresight.gap_gbp.mean",
        "what the plan costs when nobody knows the future, less what the optimiser says of the same children",
        ("+^simulated_gbp", "-^optimiser_gbp"),
    ),
    Rule("**.foresight.gap_share", "the gap over what the optimiser says", ("+gap_gbp.mean", "÷optimiser_gbp")),
    Rule("**.foresight.optimiser_gbp", "the best placements of the very children simulated, each future known whole"),
    Rule("**.foresight.**", _SIMULATED),
    Rule(
        "**.when_to_go_to_market.**",
        "found by a search over protection levels on futures of its own; kept where it saves",
    ),
    Rule(
        "stresses.*.best.gap",
        "how far above the bound the objective is at most",
        ("+objective_gbp", "-bound_gbp", "÷objective_gbp"),
    ),
    Rule("stresses.*.best.bound_gbp", _PROVEN),
    Rule(
        "stresses.*.plans.*.regret.at_least_gbp",
        "the least that the plan is worse than the best under the stress, as proven",
    ),
    Rule(
        "stresses.*.plans.*.regret.at_most_gbp",
        "the objective of the plan held less the bound of the best: the most that it is worse",
        ("+^objective_gbp", "-^^best.bound_gbp"),
    ),
    Rule(
        "stresses.*.plans.*.regret.expected_cost_gbp",
        "cost of the plan held less cost of the best under the stress",
        ("+^expected_cost_gbp", "-^^best.expected_cost_gbp"),
    ),
    Rule(
        "stresses.*.plans.*.regret.unregistered_child_weeks",
        "child-weeks of the plan held less those of the best under the stress",
        ("+^unregistered_child_weeks", "-^^best.unregistered_child_weeks"),
    ),
    Rule("stresses.*.plans.*.p90_gbp", _FUTURE),
    Rule("stresses.*.plans.*.ordinary_**", "the same plan in the futures as drawn: the figure of the run itself"),
    Rule(
        "stresses.**",
        "the plan held, or made anew, in futures under the stress: its terms are those of the changed futures",
    ),
    Rule("**.decisions.*.*", _COUNTED),
    Rule("decisions.*.*", _COUNTED),
    Rule("simulated.**", _SIMULATED),
)

RULES: dict[str, tuple[Rule, ...]] = {
    "plan": (
        Rule("unregistered.worst_quarter*", "of the quarter with most children without a registered place (quarters)"),
        Rule("unregistered.worst_quarter", "the quarter with most children without a registered place (quarters)"),
        Rule("unregistered.probability_any", _SHARE),
        Rule(
            "unregistered.idle_bed_child_weeks",
            "child-weeks without a registered place while an allowed bed stood free, counted",
        ),
        Rule(
            "unregistered.*_gbp_per_week",
            "the price of a week without a registered place, and what is charged on top",
            (),
            ("settings.unregistered_gbp_per_week", "settings.deterrent_gbp_per_week"),
        ),
        Rule(
            "timeline.**",
            "dates of the decisions and of homes and contracts that follow: medians over the futures, and terms",
        ),
        Rule(
            "against_paper.**",
            "this plan less the paper's option on the same futures: optimiser appraise takes both apart by year and term",
        ),
        Rule(
            "saving_in_budget.counted_gbp", "the saving that the agreed budget counts on", (), ("budget.*.saving_gbp",)
        ),
        Rule("saving_in_budget.published_gbp", "published by the document that the register names"),
        Rule(
            "saving_in_budget.not_delivered_gbp",
            "over the years, what the plan falls short of the saving in the budget of the year, at most that saving: a sum of "
            "lesser amounts (mtfp recurring_of_plan), not of terms",
        ),
        Rule(
            "saving_in_budget.revenue_saving_gbp",
            "what doing nothing costs the revenue budget less what the plan costs it",
            (
                "+/mtfp.base_budget_gbp",
                "+/mtfp.demand_and_prices_gbp",
                "+/mtfp.unregistered_pressure_gbp",
                "+/mtfp.one_off_pressure_gbp",
                "-/mtfp.revenue_gbp",
            ),
        ),
        Rule("financing_terms.**", _GIVEN, (), ("settings.borrowing_rate", "settings.asset_life_years")),
        Rule("evidence.counts.*", "inputs of the class, counted in the register"),
        Rule("evidence.matter_most.*.low", _GIVEN, (), ("{figure}",)),
        Rule("evidence.matter_most.*.high", _GIVEN, (), ("{figure}",)),
        Rule("evidence.matter_most.**", _MOVED, (), ("{figure}",)),
        Rule("evidence.register.**", "an input, as given", (), ("{figure}",)),
        Rule("out_of_sample.futures", "how many fresh futures"),
        Rule(
            "out_of_sample.expected_cost_gbp",
            "the plan's decisions placed in fresh futures, the mean by cost term",
            ("+terms.present_gbp",),
        ),
        Rule("out_of_sample.unregistered_child_weeks", "the mean over fresh futures, which the search has not seen"),
        Rule(
            "out_of_sample.terms.*.present_gbp",
            "the plan's decisions placed in fresh futures: the mean of this cost term over them",
        ),
        Rule(
            "out_of_sample.**",
            "how far chance moves the mean: the spread over futures divided by the root of their number",
        ),
        Rule(
            "simulated.cost_gbp.mean",
            "the plan lived through child by child, the mean by cost term",
            ("+^terms.present_gbp",),
        ),
        Rule(
            "changed.slippage_costs_gbp",
            "the plan from before, carried out all the same, less what it cost before",
            ("+held.expected_cost_gbp", "-before.expected_cost_gbp"),
        ),
        Rule(
            "changed.replanning_recovers_gbp",
            "objective of the plan from before as it now stands, less that of the plan made anew",
            ("+held.objective_gbp", "-replanned.objective_gbp"),
        ),
        Rule(
            "changed.**", "a plan beside this one: the run before, or the same decisions placed anew after the change"
        ),
    ),
    "appraise": (
        Rule(
            "options.*.expected_cost_gbp",
            "expected cost, present real £, by year and cost term",
            ("+/terms[option={option}].present_gbp",),
        ),
        Rule(
            "options.*.saving_gbp",
            "cost of doing nothing less cost of the option",
            ("+/options[option=do-nothing].expected_cost_gbp", "-expected_cost_gbp"),
        ),
        Rule(
            "options.*.capital_gbp",
            "capital begun at planning prices along the branch that needs most",
            (),
            ("homes.*.capital_gbp",),
        ),
        Rule(
            "options.*.unregistered_child_weeks",
            "child-weeks in no registered place, the mean of all futures, by cohort in the plan",
        ),
        Rule("options.*.probability_*", _SHARE),
        Rule("options.*.homes", _COUNTED),
        Rule("options.*.block_beds", _COUNTED),
        Rule("options.*.*", _FUTURE),
        Rule(
            "years.*.nominal_gbp",
            "expected cost of the year, nominal, by cost term",
            ("+/terms[option={option},year={year}].nominal_gbp",),
        ),
        Rule(
            "years.*.real_gbp",
            "expected cost of the year in pounds of the price base, by cost term",
            ("+/terms[option={option},year={year}].real_gbp",),
        ),
        Rule(
            "years.*.saving_nominal_gbp",
            "cost of doing nothing in the year less that of the option",
            ("+/years[option=do-nothing,year={year}].nominal_gbp", "-nominal_gbp"),
        ),
        Rule("terms.*.*", "expected, the entries of the ledger under one cost term in one year"),
        Rule(
            "budget.*.net_saving_gbp",
            "what is in the budget, cashable or avoided, less the pressure",
            ("+already_in_budget_gbp", "+cashable_gbp", "+cost_avoidance_gbp", "-pressure_gbp"),
        ),
        Rule(
            "budget.*.*",
            "lines of the option's Medium-Term Financial Plan over its years, split by what is greater in each year (base, growth, "
            "saving): plan --out and trace take each line of each year apart",
            (),
            ("budget.*",),
        ),
        Rule("published.*.published", "published by the document that stands beside it"),
        Rule("published.*.difference", "ours less the published figure", ("+ours", "-published")),
        Rule(
            "published.*.ours",
            "the expression that the instance gives for the result, of its figures and the options' results",
        ),
        Rule("published.*.moves.**", "the same expression with one figure at an end of its range", (), ("{figure}",)),
        Rule(
            "simulated.options.*.cost_gbp.mean",
            "the option lived through child by child, the mean by cost term",
            ("+^terms.present_gbp",),
        ),
    ),
    "frontier": (
        Rule(
            "points.*.expected_cost_gbp",
            "expected cost, present real £, by year and cost term",
            ("+terms.present_gbp",),
        ),
        Rule(
            "points.*.objective_gbp",
            "what is minimised: cost and the deterrent",
            ("+expected_cost_gbp", "+deterrent_gbp"),
        ),
        Rule(
            "points.*.deterrent_gbp",
            "what is charged on top for having no registered place, and is no pound of any budget",
        ),
        Rule(
            "points.*.gap",
            "how far above the bound the objective is at most",
            ("+objective_gbp", "-bound_gbp", "÷objective_gbp"),
        ),
        Rule("points.*.bound_gbp", _PROVEN),
        Rule(
            "points.*.saving_gbp",
            "cost without capital less cost here",
            ("+without_capital.expected_cost_gbp", "-expected_cost_gbp"),
        ),
        Rule(
            "points.*.child_weeks_avoided",
            "child-weeks without capital less those here",
            ("+without_capital.unregistered_child_weeks", "-unregistered_child_weeks"),
        ),
        Rule("points.*.without_capital.*", "the first point: the best plan that takes no capital"),
        Rule("points.*.capital_used_gbp", "capital begun, by financial year", ("+capital_by_year.capital_gbp",)),
        Rule(
            "points.*.capital_by_year.*.*",
            "capital of the homes begun in the year at planning prices",
            (),
            ("homes.*.capital_gbp", "homes.*.grant_gbp"),
        ),
        Rule(
            "points.*.years.*.revenue_gbp",
            "expected revenue cost of the year, nominal, by cost term",
            ("+^terms[year={year},stream=revenue].nominal_gbp",),
        ),
        Rule("points.*.terms.*.*", "expected, the entries of the ledger under one cost term in one year"),
        Rule(
            "points.*.slippage_costs_gbp",
            "cost here less what the same envelope cost before anything slipped",
            ("+expected_cost_gbp", "-before.expected_cost_gbp"),
        ),
        Rule("points.*.before.bound_gbp", _PROVEN),
        Rule(
            "points.*.before.**",
            "the best plan within the same envelope before anything slipped: frontier without the change takes it apart",
        ),
        Rule(
            "points.*.next_million.least_gbp",
            "proven: what the next million saves at least, none of it below nothing",
            ("+bound_here_gbp", "-objective_gbp"),
            above=True,
        ),
        Rule(
            "points.*.next_million.most_gbp",
            "proven: what the next million saves at most, none of it below nothing",
            ("+^objective_gbp", "-bound_gbp"),
            above=True,
        ),
        Rule(
            "points.*.next_million.found_gbp",
            "objective here less that of the best plan found within a million more",
            ("+^objective_gbp", "-objective_gbp"),
        ),
        Rule("points.*.next_million.*bound*", _PROVEN),
        Rule(
            "points.*.next_million.**",
            "this plan beside the best within an envelope larger by a million, or their bounds: two searches",
        ),
        Rule("points.*.p90_gbp", _FUTURE),
        Rule(
            "points.*.cvar_gbp",
            "mean of the worst futures, by rank: no sum of expected terms. plan --out and trace take it apart",
        ),
        Rule("points.*.unregistered_p90_child_weeks", _FUTURE),
        Rule("points.*.unregistered_child_weeks", "child-weeks in no registered place, the mean of all futures"),
        Rule("points.*.spot_share", "child-weeks in spot places over all child-weeks in care, the mean of all futures"),
        Rule(
            "points.*.break_even.*.*",
            "what a home or bed costs over what spot purchase of all its bed-weeks would; plan --out and trace take it apart",
        ),
        Rule("points.*.break_even_occupancy", "the mean of the homes begun, by number"),
        Rule(
            "points.*.*_year",
            "the first year by whose end what is saved against no capital has made up for the outlay: a date, found year by year",
        ),
        Rule(
            "points.*.best_*",
            "between these envelopes the plan is the best that was found within the gap: capital that it and the next plan take",
        ),
        Rule("points.*.*", _COUNTED),
        Rule("own.before.**", "the best plan within the instance's envelope before anything slipped: its own search"),
        Rule(
            "own.**",
            "the points of the curve that the instance's envelope, a million less and a million more afford, side by side",
        ),
        Rule("own_limit_gbp", _GIVEN, (), ("capital.*",)),
        Rule(
            "enough_gbp.*",
            "all homes that can be had at planning prices",
            (),
            ("homes.*.capital_gbp", "homes.*.available"),
        ),
        Rule("envelopes.**", _GIVEN, (), ("capital.*",)),
        Rule("envelopes_held.**", _GIVEN, (), ("capital.*",)),
        Rule("grid.*", _GIVEN),
        Rule("next_gbp", _GIVEN),
        Rule("solves", "searches made"),
    ),
    "sensitivity": (
        Rule(
            "expected_cost_gbp",
            "expected cost of the plan, decisions held, present real £, by cost term",
            ("+terms.present_gbp",),
        ),
        Rule(
            "saving_gbp",
            "cost of doing nothing less cost of the plan, on the same futures",
            ("+doing_nothing_gbp", "-expected_cost_gbp"),
        ),
        Rule(
            "doing_nothing_gbp",
            "expected cost of doing nothing on the same futures, present real £, by cost term",
            ("+doing_nothing_terms.present_gbp",),
        ),
        Rule("terms.*.*", "expected, the entries of the ledger under one cost term"),
        Rule("doing_nothing_terms.*.*", "expected, the entries of the ledger under one cost term"),
        Rule(
            "tornado.*.cost_at_low_gbp",
            "the decisions held and priced anew with the input at this value, by cost term",
            ("+terms_at_low.present_gbp",),
            ("{figure}",),
        ),
        Rule(
            "tornado.*.cost_at_high_gbp",
            "the decisions held and priced anew with the input at this value, by cost term",
            ("+terms_at_high.present_gbp",),
            ("{figure}",),
        ),
        Rule("tornado.*.terms_**", _MOVED, (), ("{figure}",)),
        Rule("inputs", "inputs of the register with a range, counted"),
        Rule("matters_from_gbp", "a thousandth of the objective: what the gap can tell"),
        Rule("tolerance", _GIVEN),
        Rule("tornado.*.width_gbp", "distance between the costs at both ends of the range", (), ("{figure}",)),
        Rule("tornado.*.child_weeks_**", _MOVED, (), ("{figure}",)),
        Rule("tornado.*.*", "as the register gives it", (), ("{figure}",)),
        Rule("joint.draws", "draws of all inputs at once, counted"),
        Rule("joint.left_out", "draws that no plan can be priced under, counted"),
        Rule("joint.share_that_saves", _SHARE),
        Rule("joint.**", "one draw of all inputs by rank: no sum of terms"),
        Rule("switching.*.value", "as the register gives it", (), ("{figure}",)),
        Rule("switching.*.low", "as the register gives it", (), ("{figure}",)),
        Rule("switching.*.high", "as the register gives it", (), ("{figure}",)),
        Rule("gap_of_sides", "a hundredth of the gap asked for"),
        Rule("switching.*.decision.*.*.*bound_gbp", _PROVEN, (), ("{figure}",)),
        Rule(
            "switching.*.decision.*.*.dearer_by_*_gbp",
            "the best plan with the input at this value against the best with today's decisions: the one's cost and the "
            "other's bound",
            (),
            ("{figure}",),
        ),
        Rule(
            "switching.*.decision.*.*.*_gbp",
            "the best plan with the input at this value, or the best with today's decisions: a search",
            (),
            ("{figure}",),
        ),
        Rule(
            "switching.*.saving.**",
            "found by halving the way to the end of the range: the decisions held and priced on both sides",
            (),
            ("{figure}",),
        ),
        Rule(
            "switching.**", "found by halving the way to the end of the range, solved on both sides", (), ("{figure}",)
        ),
        Rule(
            "saving_gone.**",
            "found by halving the way to the end of the range: the decisions held and priced on both sides",
            (),
            ("{figure}",),
        ),
        Rule(
            "together.**",
            "all inputs moved by the same share of the way to an end of their range; found by halving it, solved on both sides",
        ),
        Rule("changed.**", "a plan beside this one: before anything slipped, or the same decisions placed anew"),
    ),
    "simulate": (
        Rule(
            "options.*.cost_gbp.mean",
            "the option lived through child by child, the mean by cost term",
            ("+^terms.present_gbp",),
        ),
        Rule("options.*.terms.*.present_gbp", "paid day by day in the simulated futures under one cost term, the mean"),
        Rule("options.**", _SIMULATED),
        Rule(
            "differences.**",
            "the option less the cheapest in each simulated future, the mean; both are among the options",
        ),
        Rule(
            "calibration.**",
            "the occupancy at which the optimiser fills as many bed-weeks as the simulation, found by search",
        ),
    ),
    "split": (
        Rule(
            "demand_child_weeks.*",
            "children of the council in care, child-weeks, the mean of all futures",
            (),
            ("cohorts.*",),
        ),
        Rule("total_gbp", "expected cost of all together, by year, council and cost term", ("+terms.present_gbp",)),
        Rule("terms.*.*", "expected, the entries of the joint plan's ledger under one cost term in one year"),
        Rule("groups.*.pounds_gbp", "expected cost of the group's own plan, by cost term", ("+terms.present_gbp",)),
        Rule("groups.*.objective_gbp", "what is minimised: cost and the deterrent", ("+pounds_gbp", "+deterrent_gbp")),
        Rule(
            "groups.*.saving_gbp",
            "what its councils minimise each alone less what they do together",
            ("+alone_gbp", "-objective_gbp"),
        ),
        Rule("groups.*.terms.*.*", "expected, the entries of the ledger of the group's own plan under one cost term"),
        Rule("groups.*.gap_gbp", "objective less bound", ("+objective_gbp", "-bound_gbp")),
        Rule("groups.*.bound_gbp", _PROVEN),
        Rule("groups.*.**", "the best plan of the group for itself: a search of its own"),
        Rule("bills.*.partners.*.saving_gbp", "cost alone less the bill", ("+alone_gbp", "-bill_gbp")),
        Rule(
            "bills.*.partners.*.bill_gbp",
            "what the ledger of the joint plan books to the council, and what it settles with the others",
            ("+/terms[authority={3}].present_gbp", "+settled_gbp", "+balancing_payment_gbp"),
        ),
        Rule(
            "bills.*.partners.*.settled_gbp",
            "what the council pays the others for beds that they share, or for its fixed part of the whole, or is paid; "
            + _GAME,
        ),
        Rule("bills.*.partners.*.balancing_payment_gbp", "the same in every future; " + _GAME),
        Rule(
            "bills.*.partners.*.alone_gbp",
            "expected cost of the council's plan for itself, by cost term",
            ("+/groups[group={3}].terms.present_gbp",),
        ),
        Rule("bills.*.partners.*.*p*0_gbp", "the bill in one future by rank: no sum of expected terms"),
        Rule("bills.*.partners.*.voids_gbp", "empty beds that are paid for, the council's part, expected, nominal"),
        Rule(
            "bills.*.verdict.**", "what groups pay under the rule beside what they would pay alone, within the bounds"
        ),
        Rule("bills.**", _GAME),
        Rule("verdicts.**", "what groups pay under the rule beside what they would pay alone, within the bounds"),
        Rule("unregistered.*.*", "child-weeks in no registered place, the mean of all futures, in two searches"),
        Rule(
            "rules.*.*",
            "the bill under the rule: what the ledger of the joint plan books to the council, and what it settles with the others",
            (
                "+/terms[authority={2}].present_gbp",
                "+/bills.{1}.partners.{2}.settled_gbp",
                "+/bills.{1}.partners.{2}.balancing_payment_gbp",
            ),
        ),
        Rule("core.**", _GAME),
        Rule("if_another_leaves.**", _GAME),
        Rule("estimated.**", "how closely a rule was estimated from sampled orders"),
        Rule("entitlements.**", "a plan of its own, in which each council keeps the beds that it nominates"),
        Rule("largest_gap_gbp", "the largest of the groups' gaps"),
        Rule("smallest_saving_gbp", "the smallest saving that is claimed"),
        Rule("dearer_**", "groups' costs beside each other (groups)"),
    ),
}
