"""Faults planted one at a time in the template: each is reported where it is, in words, and breeds no other."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from optimiser.errors import Fault, InstanceError
from optimiser.instance.checks import check_chance
from optimiser.instance.reading import read_instance
from optimiser.instance.schema import Existing
from tests.instance_folders import Folder


@dataclass(frozen=True)
class Case:
    """One fault: what is done to the folder, and where and how it must be reported.

    ``row`` counts rows of data from 1, the header as 0; None where the fault has no row. ``faults`` come in all.
    """

    name: str
    edit: Callable[[Folder], object]
    file: str
    row: int | None
    field: str
    rule: str
    faults: int = 1


def cell(table: str, row: int, column: str, value: str) -> Callable[[Folder], object]:
    return lambda folder: folder.cell(table, row, column, value)


def add(table: str, **cells: str) -> Callable[[Folder], object]:
    return lambda folder: folder.add(table, **cells)


def remove(table: str, row: int) -> Callable[[Folder], object]:
    return lambda folder: folder.remove(table, row)


def both(*edits: Callable[[Folder], object]) -> Callable[[Folder], object]:
    return lambda folder: [edit(folder) for edit in edits]


def replace(file: str, old: str, new: str) -> Callable[[Folder], object]:
    return lambda folder: folder.replace(file, old, new)


def wrong(name: str, table: str, row: int, column: str, value: str, rule: str, faults: int = 1) -> Case:
    """A cell that is faulty itself."""
    return Case(name, cell(table, row, column, value), f"{table}.csv", row, column, rule, faults)


def setting(name: str, column: str, value: str, rule: str, faults: int = 1) -> Case:
    """A setting that is faulty; ``value`` as TOML has it."""
    return Case(name, lambda folder: folder.setting(column, value), "instance.toml", None, column, rule, faults)


def expression(name: str, written: str, rule: str) -> Case:
    """The expression of a published result that is faulty."""
    return Case(name, published(written), "published.csv", 1, "expression", rule)


def published(expression: str) -> Callable[[Folder], object]:
    cells = {"title": "A total", "value": "1", "unit": "£", "document": "A paper", "place": "page 1"}
    return add("published", result="total", expression=expression, **cells)


def census(*cells: tuple[int, str, str]) -> Callable[[Folder], object]:
    """Lower needs by census instead of arrivals, and its cells changed."""

    def edit(folder: Folder) -> None:
        folder.delete("steps.csv")
        folder.cell("cohorts", 2, "arrivals_per_month", "")
        folder.cell("cohorts", 2, "mean_stay_months", "")
        folder.cell("cohorts", 2, "turnover_per_month", "0.05")
        for number in range(36):
            month = f"{2026 + (number + 3) // 12}-{(number + 3) % 12 + 1:02d}"
            folder.add("census", cohort="lower-needs", month=month, children="6")
        folder.remove("evidence", 7)  # steps.*
        folder.add("evidence", figures="census.*", evidence="assumption", low="-50%", high="+50%")
        for row, column, value in cells:
            folder.cell("census", row, column, value)

    return edit


def futures(*rows: tuple[str, str, str, str]) -> Callable[[Folder], object]:
    """A table of two futures, with further rows."""

    def edit(folder: Folder) -> None:
        for row in (("mild", "probability", "", "0.6"), ("hard", "probability", "", "0.4"), *rows):
            folder.add("scenarios", **dict(zip(("scenario", "quantity", "item", "value"), row, strict=True)))

    return edit


def quarters(folder: Folder) -> None:
    """A horizon in periods of three months."""
    folder.replace("instance.toml", 'periods = "36x1"', 'periods = "12x3"')


SETTINGS = [
    setting("unknown setting", "scenarois", "3", "is not a setting"),
    Case(
        "setting missing",
        replace("instance.toml", 'periods = "36x1"\n', ""),
        "instance.toml",
        None,
        "periods",
        "is missing",
    ),
    setting("rate in percent", "discount_rate", "3.5", "is not at most 1"),
    setting("setting not a number", "risk_weight", '"half"', "is not a number", faults=2),
    setting("setting half a scenario", "scenarios", "2.5", "is not a whole number"),
    setting("setting of no choice", "capital_treatment", '"lease"', "is not one of outlay, borrowing"),
    setting("setting a list", "title", "[1]", "is not a single value"),
    setting("setting not yes or no", "financing_in_running_cost", '"perhaps"', "is not yes or no"),
    setting("month thirteen", "as_at", '"2026-13"', "is not a month such as 2025-04"),
    setting("periods in words", "periods", '"three years"', "is not of the form 24x1 12x3"),
    setting("no periods", "periods", '"0x1"', "is not a horizon of 1 to 1,200 months"),
    setting("too many periods", "periods", '"9999x9999"', "is not a horizon of 1 to 1,200 months"),
    setting("long life", "asset_life_years", "60", "is not at most 50", faults=2),
    Case(
        "borrowing without terms",
        lambda folder: folder.setting("capital_treatment", '"borrowing"'),
        "instance.toml",
        None,
        "repayment",
        "is missing where capital_treatment is borrowing",
        3,
    ),
    setting("odd weeks", "weeks_per_year", "52.5", "is neither 52 nor 365/7", faults=2),
    setting("capital name", "name", '"My plan"', "is not of the form small letters, digits and hyphens"),
    setting("setting without evidence", "borrowing_rate", "0.05", "has no row in evidence.csv"),
]

CELLS = [
    wrong("no beds", "homes", 1, "beds", "0", "is not at least 1"),
    wrong("half a bed", "homes", 1, "beds", "1.5", "is not a whole number"),
    wrong("beds in words", "homes", 1, "beds", "two", "is not a whole number"),
    wrong("beds missing", "homes", 1, "beds", "", "is missing"),
    wrong("pounds with sign", "homes", 1, "capital_gbp", "£900,000", "is not a number"),
    wrong("pounds infinite", "homes", 1, "capital_gbp", "inf", "is not a finite number"),
    wrong("pounds beyond reason", "homes", 1, "capital_gbp", "1e15", "is larger than 1,000,000,000,000"),
    wrong("negative pounds", "homes", 1, "fixed_gbp_per_year", "-1", "is not at least 0"),
    wrong("occupancy of nothing", "homes", 1, "matching_occupancy", "0", "is not above 0"),
    wrong("unknown operator", "homes", 1, "operator", "charity", "is not one of council, provider"),
    wrong("month as a spreadsheet has it", "homes", 1, "begin_from", "Jun-26", "is not a month such as 2025-04"),
    wrong("unknown distribution", "homes", 1, "lead_months", "weibull(1, 2)", "names no known distribution"),
    wrong("distribution upside down", "homes", 1, "lead_months", "uniform(12, 3)", "has parameters out of order"),
    wrong("distribution below zero", "homes", 1, "lead_months", "uniform(-3, 3)", "can be below 0"),
    wrong(
        "chances that do not add up",
        "lots",
        1,
        "mobilisation_delay_months",
        "0:0.5 3:0.2",
        "has probabilities that add up to 0.7, not 1",
    ),
    Case(
        "capital letters in a name",
        cell("spots", 1, "locality_", ""),
        "spots.csv",
        0,
        "locality_",
        "is not a column of this table",
    ),
    wrong("name with a space", "homes", 1, "locality", "West Kent", "is not of the form small letters"),
    wrong("long name", "homes", 1, "locality", "a" * 50, "is longer than 40 characters"),
    wrong("one member wrong", "lots", 1, "members", "my-council Our_Council", "is not of the form small letters"),
    wrong("profile in words", "homes", 1, "opening_profile", "half 1", "is not a number"),
    wrong("financial year", "capital", 2, "year", "2026", "is not of the form 2025/26, or total"),
]

FILES = [
    Case("no settings", lambda f: f.delete("instance.toml"), "instance.toml", None, "", "is missing"),
    Case(
        "settings not TOML",
        lambda f: f.write("instance.toml", "name = \n"),
        "instance.toml",
        None,
        "",
        "is not valid TOML",
    ),
    Case("no placements", lambda f: f.delete("placements.csv"), "placements.csv", None, "", "is missing"),
    Case(
        "file of a close name",
        lambda f: f.write("home.csv", "home\n"),
        "home.csv",
        None,
        "",
        "is not a table of an instance",
    ),
    Case("empty file", lambda f: f.write("steps.csv", ""), "steps.csv", None, "", "is empty"),
    Case("only comments", lambda f: f.write("steps.csv", "# nothing yet\n"), "steps.csv", None, "", "is empty"),
    Case(
        "header only",
        lambda f: f.write("authorities.csv", "authority,title\n"),
        "authorities.csv",
        None,
        "",
        "has no rows",
    ),
    Case(
        "workbook renamed",
        lambda f: (f.path / "steps.csv").write_bytes(b"PK\x03\x04"),
        "steps.csv",
        None,
        "",
        "is an Excel workbook",
    ),
    Case(
        "semicolons",
        lambda f: f.write("local.csv", "limit;cohorts;band;minimum_share\n"),
        "local.csv",
        0,
        "",
        "has semicolons between its cells",
    ),
    Case(
        "open quotation mark",
        lambda f: f.write("local.csv", 'limit,cohorts\n"a,b\n'),
        "local.csv",
        1,
        "",
        "is not valid CSV",
    ),
    Case(
        "too few cells",
        lambda f: f.write("income.csv", "authority,year,grant_gbp\nmy-council,2026/27\n"),
        "income.csv",
        1,
        "",
        "has 2 cells where the header has 3",
    ),
    Case(
        "too many cells",
        lambda f: f.write("income.csv", "authority,year,grant_gbp\nmy-council,2026/27,1,000\n"),
        "income.csv",
        1,
        "",
        "has 4 cells where the header has 3",
    ),
    Case(
        "unknown column",
        cell("homes", 1, "bedz", "2"),
        "homes.csv",
        0,
        "bedz",
        "is not a column of this table",
    ),
    Case("column twice", cell("steps", 1, "Origin", "x"), "steps.csv", 0, "origin", "is there twice"),
    Case(
        "column missing",
        lambda f: f.write("income.csv", "authority,year\nmy-council,2026/27\n"),
        "income.csv",
        0,
        "grant_gbp",
        "is missing",
    ),
    Case(
        "column without name",
        lambda f: f.write("groups.csv", "group,,members,limit\n"),
        "groups.csv",
        0,
        "column 2",
        "has no name",
    ),
]

NAMES = [
    Case(
        "home twice",
        lambda f: f.write("homes.csv", f.text("homes.csv") + f.text("homes.csv").splitlines()[-1]),
        "homes.csv",
        2,
        "home",
        "is already in row",
    ),
    wrong("authority of a cohort", "cohorts", 1, "authority", "my-counsil", "is not in authorities.csv"),
    wrong("authority of a home", "homes", 1, "authority", "elsewhere", "is not in authorities.csv"),
    wrong("cohort placed", "placements", 5, "cohort", "complex", "is not in cohorts.csv"),
    wrong(
        "source placed",
        "placements",
        2,
        "source",
        "block-offers",
        "is not in homes.csv or lots.csv or existing.csv or spots.csv",
    ),
    Case(
        "lot of a tier",
        add("tiers", lot="block", from_beds="1", to_beds="2", gbp_per_week="4800"),
        "tiers.csv",
        3,
        "lot",
        "is not in lots.csv",
    ),
    Case(
        "spot of a layer",
        add("layers", spot="spots", beds="1", gbp_per_week="5600"),
        "layers.csv",
        3,
        "spot",
        "is not in spots.csv",
    ),
    wrong("contract extended", "extensions", 1, "contract", "curent-contract", "is not in lots.csv or existing.csv"),
    wrong("building of a lot", "lots", 1, "building", "the-lodge", "is not in homes.csv"),
    wrong("item of a decision", "decisions", 1, "item", "block-offer", "is not in homes.csv"),
    wrong("option of a decision", "decisions", 1, "option", "one-homes", "is not in options.csv"),
    wrong("homes of an option", "options", 1, "homes", "two-bed-homes", "is not in homes.csv"),
    Case(
        "source named twice",
        both(
            cell("spots", 1, "spot", "block-offer"),
            lambda f: f.replace("layers.csv", "spot-market", "block-offer"),
            lambda f: f.replace("placements.csv", "needs,spot-market", "needs,current-contract"),
            remove("placements", 8),
            remove("placements", 4),
        ),
        "spots.csv",
        1,
        "spot",
        "is already a name in lots.csv",
    ),
    Case(
        "band of a local limit",
        both(
            add("local", limit="near", cohorts="lower-needs", band="in-aera", minimum_share="0.1"),
            add("bands", source="spot-market", band="in-area", share="0.5"),
            add("evidence", figures="bands.*", evidence="assumption", low="-50%", high="50%"),
            add("evidence", figures="local.*", evidence="assumption", low="-50%", high="50%"),
        ),
        "local.csv",
        1,
        "band",
        "is no band in bands.csv",
    ),
    Case(
        "group of homes and lots",
        both(
            add("groups", group="all", members="two-bed-home block-offer", limit="1"),
            add("evidence", figures="groups.*", evidence="assumption", low="-50%", high="50%"),
        ),
        "groups.csv",
        1,
        "members",
        "mixes homes and lots",
    ),
]

DEMAND = [
    wrong("no arrivals", "cohorts", 1, "arrivals_per_month", "", "is missing, and the cohort has no rows"),
    wrong("no stay", "cohorts", 1, "mean_stay_months", "", "is missing"),
    wrong(
        "turnover without a census",
        "cohorts",
        1,
        "turnover_per_month",
        "0.05",
        "is only used where census.csv counts the cohort",
    ),
    Case(
        "census without turnover",
        both(census(), cell("cohorts", 2, "turnover_per_month", "")),
        "cohorts.csv",
        2,
        "turnover_per_month",
        "is missing",
    ),
    Case(
        "census with a gap",
        both(census(), remove("census", 3)),
        "census.csv",
        None,
        "month",
        "is missing for lower-needs",
    ),
    Case(
        "census before the horizon",
        both(census(), add("census", cohort="lower-needs", month="2026-01", children="6")),
        "census.csv",
        37,
        "month",
        "is not the first month of a period",
    ),
    Case(
        "arrivals with gaps",
        both(
            cell("cohorts", 2, "arrivals_per_month", ""),
            add("arrivals", cohort="lower-needs", month="2026-04", mean="0.4"),
            add("evidence", figures="arrivals.*", evidence="assumption", low="0", high="1"),
        ),
        "arrivals.csv",
        None,
        "month",
        "is missing for lower-needs with 34 more",
    ),
    Case(
        "stepping into a census",
        both(
            census(),
            add("steps", origin="complex-needs", destination="lower-needs", share_per_month="0.01"),
            add("evidence", figures="steps.*", evidence="assumption", low="0", high="1"),
        ),
        "steps.csv",
        1,
        "destination",
        "has a census, so no child steps from or to it",
    ),
    Case(
        "census with a stay of its own",
        both(census(), cell("placements", 8, "mean_stay_months", "12")),
        "placements.csv",
        8,
        "mean_stay_months",
        "cannot be given for a cohort with a census",
    ),
    Case(
        "census and arrivals",
        both(census(), cell("cohorts", 2, "arrivals_per_month", "0.4")),
        "cohorts.csv",
        2,
        "arrivals_per_month",
        "is given beside rows in census.csv",
    ),
    wrong("short stay", "cohorts", 2, "mean_stay_months", "0.5", "is shorter than a period"),
    Case(
        "stay shorter than a quarter",
        both(
            quarters,
            cell("placements", 8, "mean_stay_months", "2"),
            add("evidence", figures="placements.*.mean_stay_months", evidence="assumption", low="2", high="4"),
        ),
        "placements.csv",
        8,
        "mean_stay_months",
        "is shorter than a period",
    ),
    wrong("step to itself", "steps", 1, "destination", "complex-needs", "is the cohort that children leave"),
    Case(
        "more leave than there are",
        cell("steps", 1, "share_per_month", "0.95"),
        "cohorts.csv",
        1,
        "mean_stay_months",
        "come to 1.02 of its children",
    ),
]

CAPACITY = [
    Case(
        "grant above capital",
        both(cell("homes", 1, "grant_gbp", "950000")),
        "homes.csv",
        1,
        "grant_gbp",
        "is more than its capital of £900,000",
    ),
    wrong("begin before the decision", "homes", 1, "begin_from", "2026-03", "is before the decision date, 2026-04"),
    Case(
        "begin backwards",
        both(cell("homes", 1, "begin_until", "2026-05"), remove("decisions", 1)),
        "homes.csv",
        1,
        "begin_until",
        "is before begin_from, 2026-06",
    ),
    wrong("begin after the horizon", "homes", 1, "begin_until", "2029-04", "is after the horizon"),
    wrong("award before the decision", "lots", 1, "award_from", "2026-01", "is before the decision date, 2026-04"),
    wrong("profile that falls", "homes", 1, "opening_profile", "0.5 0.4 1", "falls"),
    wrong("profile that ends low", "lots", 1, "delivery_profile", "0.5 0.9", "does not end at 1"),
    Case(
        "call-off cheaper than a committed bed",
        both(cell("lots", 1, "guaranteed_share", "0.8"), cell("lots", 1, "call_off_gbp_per_week", "4000")),
        "lots.csv",
        1,
        "call_off_gbp_per_week",
        "is less than £5,000, what filling a committed bed costs on top of keeping it empty",
    ),
    wrong("lot of no size", "lots", 1, "minimum_beds", "11", "is more than maximum_beds, 10"),
    wrong("building run by the council", "lots", 1, "building", "two-bed-home", "is run by the council"),
    Case(
        "provider without a lot",
        both(cell("homes", 1, "operator", "provider"), remove("placements", 1)),
        "homes.csv",
        1,
        "operator",
        "has no lot that is run from the home",
    ),
    Case(
        "lot without tiers",
        lambda f: (f.delete("tiers.csv"), f.replace("evidence.csv", "tiers.*,", "layers.*.beds,")),
        "lots.csv",
        1,
        "lot",
        "has no price in tiers.csv",
    ),
    wrong("tiers that overlap", "tiers", 2, "from_beds", "6", "overlaps the tier before"),
    wrong("tiers with a gap", "tiers", 2, "from_beds", "8", "leaves a gap after 6"),
    Case(
        "tiers below the lot",
        cell("lots", 1, "maximum_beds", "12"),
        "tiers.csv",
        2,
        "to_beds",
        "is below maximum_beds of the lot, 12",
    ),
    Case(
        "tiers above the lot",
        cell("lots", 1, "minimum_beds", "3"),
        "tiers.csv",
        1,
        "from_beds",
        "is above minimum_beds of the lot, 3",
    ),
    wrong("layers that get cheaper", "layers", 2, "gbp_per_week", "5000", "is not above the layer before, 5600"),
    Case(
        "layer after no limit",
        both(add("layers", spot="spot-market", beds="2", gbp_per_week="9000")),
        "layers.csv",
        3,
        "spot",
        "has a layer after one without limit",
    ),
    wrong(
        "extensions that skip", "extensions", 1, "option", "2", "comes where 1 is due for current-contract", faults=2
    ),
    Case(
        "extension of what stays", cell("existing", 1, "until", ""), "extensions.csv", 1, "contract", "does not expire"
    ),
    Case(
        "supply backwards",
        cell("existing", 1, "start", "2027-12"),
        "existing.csv",
        1,
        "until",
        "is not after start, 2027-12",
    ),
]

PLACEMENTS = [
    wrong(
        "children in a home to come",
        "placements",
        1,
        "children_at_start",
        "1",
        "cannot be in two-bed-home, which is not open yet",
    ),
    wrong(
        "more children than beds",
        "placements",
        7,
        "children_at_start",
        "3",
        "brings the children in current-contract to 7, beyond its 6 beds",
    ),
    Case(
        "children in what has ended",
        both(cell("placements", 4, "start", "2026-07")),
        "placements.csv",
        4,
        "children_at_start",
        "which is not allowed in the first month, 2026-04",
    ),
    Case(
        "placement backwards",
        both(cell("placements", 2, "start", "2027-07"), cell("placements", 2, "until", "2027-01")),
        "placements.csv",
        2,
        "until",
        "is not after start, 2027-07",
    ),
    wrong("placement after the horizon", "placements", 2, "start", "2029-04", "is after the horizon"),
    Case(
        "not a member",
        both(
            add("authorities", authority="medway", title="Medway"),
            cell("lots", 1, "members", "medway"),
            remove("placements", 6),
        ),
        "placements.csv",
        2,
        "source",
        "is not open to children of my-council",
    ),
    wrong(
        "unregistered with a breakdown",
        "placements",
        5,
        "breakdown_per_month",
        "0.1",
        "has no meaning for unregistered",
    ),
    Case(
        "nowhere registered",
        lambda f: [f.remove("placements", 6) for _ in range(3)],
        "cohorts.csv",
        2,
        "cohort",
        "has no registered place in placements.csv at any time",
    ),
]

LIMITS = [
    Case(
        "tolerance of nothing", cell("tolerances", 1, "child_weeks", ""), "tolerances.csv", 1, "limit", "limits nothing"
    ),
    wrong("chance too small to tell", "tolerances", 1, "probability", "0.1", "is too small to tell with 20 scenarios"),
    wrong("year that is none", "capital", 2, "year", "2026/28", "is not a financial year"),
    wrong("year outside", "capital", 2, "year", "2031/32", "is outside the horizon"),
    wrong(
        "year above the total", "capital", 2, "limit_gbp", "2500000", "is more than the envelope's total, £2,000,000"
    ),
    wrong(
        "envelope of two councils",
        "capital",
        2,
        "authority",
        "my-council",
        "differs from all in the envelope's first row",
    ),
    wrong("envelope of two minds", "capital", 3, "carry_forward", "no", "differs from the envelope's first row"),
    Case(
        "budget of a year outside",
        both(
            add("budget", year="2020/21", saving_gbp="1"),
            add("evidence", figures="budget.*", evidence="assumption", low="0", high="2"),
        ),
        "budget.csv",
        1,
        "year",
        "is outside the horizon",
    ),
    Case(
        "base budget of one year",
        both(
            add("budget", year="2026/27", base_gbp="1"),
            add("evidence", figures="budget.*", evidence="assumption", low="0", high="2"),
        ),
        "budget.csv",
        1,
        "year",
        "and other years have a base budget, but 2027/28, 2028/29 has no row",
    ),
    Case(
        "base budget missing in one year",
        both(
            add("budget", year="2026/27", base_gbp="1", saving_gbp="1"),
            add("budget", year="2027/28", base_gbp="1", saving_gbp="1"),
            add("budget", year="2028/29", saving_gbp="1"),
            add("evidence", figures="budget.*", evidence="assumption", low="0", high="2"),
        ),
        "budget.csv",
        3,
        "base_gbp",
        "is missing where other years have it",
    ),
    Case(
        "income of a year outside",
        both(
            add("income", authority="my-council", year="2020/21", grant_gbp="1"),
            add("evidence", figures="income.*", evidence="assumption", low="0", high="2"),
        ),
        "income.csv",
        1,
        "year",
        "is outside the horizon",
    ),
    Case(
        "review outside",
        add("reviews", month="2031-01", observe="prices"),
        "reviews.csv",
        1,
        "month",
        "cannot be the month of a review",
    ),
    Case(
        "reviews out of order",
        both(add("reviews", month="2027-06", observe="prices"), add("reviews", month="2026-09", observe="prices")),
        "reviews.csv",
        2,
        "month",
        "is before 2027-06",
    ),
]

OPTIONS = [
    Case(
        "two papers",
        add("options", option="two-homes", title="Two homes", paper="yes"),
        "options.csv",
        3,
        "paper",
        "stands at one-home already",
    ),
    wrong(
        "begin in no such month", "decisions", 1, "month", "2026-07", "is not a month in which acquisition may begin"
    ),
    wrong("begin without a month", "decisions", 1, "month", "", "is missing"),
    wrong(
        "begin more than there are",
        "decisions",
        1,
        "number",
        "4",
        "brings the homes begun to 4, more than the 3 that can be had",
    ),
    Case(
        "award of no such size",
        add("decisions", option="one-home", action="award", item="block-offer", month="2026-09", number="3"),
        "decisions.csv",
        3,
        "number",
        "is not a size of the lot",
    ),
    Case(
        "award in no such month",
        add("decisions", option="one-home", action="award", item="block-offer", month="2026-07", number="5"),
        "decisions.csv",
        3,
        "month",
        "is not a month in which the lot may be awarded",
    ),
    Case(
        "close what stays",
        add("decisions", option="one-home", action="close", item="two-bed-home", month="2027-07"),
        "decisions.csv",
        3,
        "item",
        "may not be closed",
    ),
    wrong("extension there is not", "decisions", 2, "number", "3", "is no extension of current-contract"),
    wrong("extension with a month", "decisions", 2, "month", "2027-01", "has no meaning for extend"),
    wrong("call-off of homes", "decisions", 1, "call_off", "1", "only goes with an award"),
]

FUTURES = [
    Case(
        "futures that do not add up",
        both(futures(), cell("scenarios", 2, "value", "0.5")),
        "scenarios.csv",
        None,
        "value",
        "is what the probabilities add up to, not 1",
    ),
    Case(
        "future without probability",
        futures(("odd", "availability", "spot-market", "0.5")),
        "scenarios.csv",
        3,
        "scenario",
        "has no probability",
    ),
    Case(
        "future of the wrong item",
        futures(("mild", "availability", "two-bed-home", "0.5")),
        "scenarios.csv",
        3,
        "item",
        "is not in spots.csv",
    ),
    Case("future of no item", futures(("mild", "availability", "", "0.5")), "scenarios.csv", 3, "item", "is missing"),
    Case(
        "future beyond reason",
        futures(("mild", "availability", "spot-market", "1.5")),
        "scenarios.csv",
        3,
        "value",
        "is not at least 0 and at most 1",
    ),
    Case(
        "future of a short stay",
        futures(("mild", "mean-stay-months", "lower-needs", "0")),
        "scenarios.csv",
        3,
        "value",
        "is shorter than a period",
    ),
]

RESULTS = [
    expression("expression that calls", "abs([lots.block-offer.setup_gbp])", "has 'a' outside square brackets"),
    expression("expression cut short", "2 * (3 +", "is not arithmetic"),
    expression("expression with a power", "2 ** 9", "is not arithmetic"),
    expression("bracket that stays open", "[lots.block-offer.setup_gbp", "has a square bracket that does not close"),
    expression("division by zero", "1 / ([lots.block-offer.setup_gbp] - 40000)", "divides by zero"),
    expression("figure there is not", "[lots.block-offers.setup_gbp]", "is not a figure that is filled in"),
    expression("option there is not", "[options.two-homes.cost_gbp]", "names no option in options.csv"),
    expression("result there is not", "[options.one-home.profit]", "names no result of an option"),
]

EVIDENCE = [
    Case(
        "figure without evidence",
        remove("evidence", 23),
        "capital.csv",
        1,
        "limit_gbp",
        "has no row in evidence.csv",
        faults=3,
    ),
    Case(
        "evidence of nothing",
        add("evidence", figures="homes.*.garden_gbp", evidence="assumption", low="1", high="2"),
        "evidence.csv",
        24,
        "figures",
        "covers nothing that is filled in",
    ),
    wrong("assumption without range", "evidence", 2, "low", "", "is missing"),
    wrong("assumption in words", "evidence", 2, "high", "much", "is not a number or a percentage such as -10%"),
    Case(
        "assumption upside down",
        both(cell("evidence", 2, "low", "0.05"), cell("evidence", 2, "high", "0.01")),
        "evidence.csv",
        2,
        "low",
        "is above high, 0.01",
    ),
    wrong("assumption off its range", "evidence", 4, "high", "13000", "is below the figure itself"),
    wrong("published without a place", "evidence", 1, "place", "", "is missing"),
    wrong("derived from nothing", "evidence", 12, "derived_from", "", "is missing"),
    wrong(
        "derived from what is not there",
        "evidence",
        12,
        "derived_from",
        "homes.*.rent_gbp",
        "is neither a figure nor a result in published.csv",
    ),
    wrong(
        "evidence of no kind",
        "evidence",
        2,
        "evidence",
        "guess",
        "is not one of published, derived, calibrated, assumption",
    ),
]

CASES = [
    *SETTINGS, *CELLS, *FILES, *NAMES, *DEMAND, *CAPACITY, *PLACEMENTS, *LIMITS, *OPTIONS, *FUTURES, *RESULTS, *EVIDENCE
]  # fmt: skip


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    return Folder(tmp_path / "plan")


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name.replace(" ", "-"))
def test_a_planted_fault_is_reported(folder: Folder, case: Case) -> None:
    case.edit(folder)
    faults = folder.faults()
    found = [
        fault for fault in faults if (fault.file, fault.field) == (case.file, case.field) and case.rule in fault.rule
    ]
    assert found, [str(fault) for fault in faults]
    fault = found[0]
    if case.row is not None:
        assert fault.row == folder.line(case.file, case.row)
    elif case.file == "instance.toml" and fault.row is not None and case.field:
        assert folder.text(case.file).splitlines()[fault.row - 1].startswith(f"{case.field} =")
    assert len(faults) == case.faults, [str(fault) for fault in faults]
    for each in faults:
        assert each.fix.endswith((".", "?")), str(each)
        assert each.rule and not each.rule.endswith("."), str(each)
        assert not any(word in str(each) for word in ("Input should", "pydantic", "Error", "Traceback", "None")), str(
            each
        )


# word for word


def test_a_home_without_beds_reads_as_the_guide_says(folder: Folder) -> None:
    comments, rows = folder.rows("homes")
    folder.save("homes", comments[:5], rows)
    folder.cell("homes", 1, "beds", "0")
    assert str(folder.faults()[0]) == (
        "homes.csv row 7, beds: 0 is not at least 1. A home needs at least one bed; delete the row to drop the home."
    )


MESSAGES = [
    (
        cell("cohorts", 1, "authority", "my-counsil"),
        "cohorts.csv row 15, authority: my-counsil is not in authorities.csv. Did you mean my-council?",
    ),
    (
        cell("homes", 1, "begin_from", "2026-03"),
        "homes.csv row 37, begin_from: 2026-03 is before the decision date, 2026-04. "
        "Nothing may begin before the decision date; move begin_from or the decision date.",
    ),
    (
        cell("tolerances", 1, "probability", "0.1"),
        "tolerances.csv row 7, probability: 0.1 is too small to tell with 20 scenarios: fewer than 5 of them. "
        "Use at least 50 scenarios, or a larger probability.",
    ),
    (
        cell("placements", 7, "children_at_start", "3"),
        "placements.csv row 16, children_at_start: 3 brings the children in current-contract to 7, beyond its 6 beds. "
        "Count the children again, or mend the beds in existing.csv.",
    ),
    (
        lambda folder: folder.write("homs.csv", "home\n"),
        "homs.csv: is not a table of an instance. "
        "Did you mean homes.csv? Rename the file, or move it out of the folder.",
    ),
    (
        lambda folder: folder.setting("borrowing_rate", "0.05"),
        "instance.toml row {last}, borrowing_rate: 0.05 has no row in evidence.csv that says where it comes from. "
        "Add a row for settings.borrowing_rate.",
    ),
    (
        cell("homes", 1, "capital_gbp", "£900,000"),
        "homes.csv row 37, capital_gbp: £900,000 is not a number. Capital for one home at planning prices, £. "
        "Write 900000.",
    ),
    (
        cell("cohorts", 1, "growth_per_year", "7"),
        "cohorts.csv row 15, growth_per_year: 7 is not at most 1. Growth of arrivals, share a year. Write 0.07 for 7%.",
    ),
    (
        cell("homes", 1, "matching_occupancy", "85"),
        "homes.csv row 37, matching_occupancy: 85 is not at most 1. Most of its beds that matching lets be filled, "
        "on average, above 0 and at most 1. Write 0.85 for 85%.",
    ),
    (
        cell("homes", 1, "begin_from", "Jun-26"),
        "homes.csv row 37, begin_from: Jun-26 is not a month such as 2025-04. First month in which acquisition may begin. "
        "Write 2026-06; a spreadsheet makes no date of it in cells formatted as text.",
    ),
    (
        lambda folder: folder.write("steps.csv", "origin,destination,share_per_month\n"),
        "evidence.csv row 16, figures: steps.* covers nothing that is filled in. "
        "Delete the row: steps.csv has no row either.",
    ),
]


@pytest.mark.parametrize(("edit", "message"), MESSAGES, ids=lambda value: value[:30] if isinstance(value, str) else "")
def test_a_message_reads_word_for_word(folder: Folder, edit: Callable[[Folder], object], message: str) -> None:
    edit(folder)
    last = len(folder.text("instance.toml").splitlines())
    rows = {file: _comments(folder, file) for file in COMMENTS}
    written = [str(fault) for fault in folder.faults()]
    assert written == [_moved(message, rows).format(last=last)]


#: Comment lines of the files when the messages were written: a new column in the schema adds one, and is no fault.
COMMENTS = {"cohorts": 13, "homes": 35, "tolerances": 5, "placements": 8, "evidence": 8}


@pytest.mark.parametrize(
    ("written", "hint"),
    [
        ("4,100", "Write 4100."),
        ("5,600.50", "Write 5600.5."),
        ("£3m", "Write 3000000."),
        ("12,5", "Write the number without £, commas or spaces."),
        ("4 600", "Write the number without £, commas or spaces."),
        ("7%", "Write 0.07."),
        ("much", ""),
    ],
)
def test_a_number_that_is_not_read_says_how_it_is_written(folder: Folder, written: str, hint: str) -> None:
    cell("existing", 1, "committed_gbp_per_week", written)(folder)
    (fault,) = folder.faults()
    assert fault.fix == f"Paid for each bed whether used or not, £ a week. {hint}".strip()


@pytest.mark.parametrize(
    ("column", "written", "month"),
    [
        ("start", "31/10/2027", "2027-10"),
        ("start", "Oct-27", "2027-10"),
        ("start", "October 2027", "2027-10"),
        ("start", "1 Oct 2027", "2027-10"),
        ("start", "10/2027", "2027-10"),
        ("start", "01-10-27", "2027-10"),
        ("start", "2027/10", "2027-10"),
        ("start", "31/13/2027", ""),
        ("start", "Foo-27", ""),
        ("start", "soon", ""),
        # what ends on the last of a month is there for that month still
        ("until", "31/10/2027", "2027-11"),
        ("until", "31 December 2027", "2028-01"),
        ("until", "28/02/2027", "2027-03"),
        ("until", "28/02/2028", "2028-02"),
        ("until", "1/11/2027", "2027-11"),
        ("until", "Oct-27", ""),
    ],
)
def test_a_date_that_is_not_read_is_told_as_the_month_that_it_is_in(
    folder: Folder, column: str, written: str, month: str
) -> None:
    cell("existing", 1, column, written)(folder)
    (fault,) = folder.faults()
    hint = f" Write {month}; a spreadsheet makes no date of it in cells formatted as text." if month else ""
    assert fault.fix == (Existing.model_fields[column].description or "") + hint


def test_names_as_people_write_them_are_told_as_names_and_totals_as_what_they_are(folder: Folder) -> None:
    cell("homes", 1, "locality", "Mill Lane (own)")(folder)
    (fault,) = folder.faults()
    assert fault.fix.endswith("Write mill-lane-own.")
    cell("homes", 1, "locality", "")(folder)
    folder.add("authorities", authority="Total", title="Total")
    (fault,) = folder.faults()
    assert fault.fix.endswith("Delete a row of totals: each row is taken for one of the table's own.")


def _comments(folder: Folder, table: str) -> int:
    return len(folder.rows(table)[0])


def _moved(message: str, rows: dict[str, int]) -> str:
    table, _, rest = message.partition(".csv row ")
    if not rest:
        return message
    number, _, words = rest.partition(",")
    return f"{table}.csv row {int(number) + rows[table] - COMMENTS[table]},{words}"


def test_several_faults_come_at_once(folder: Folder) -> None:
    folder.cell("homes", 1, "beds", "0")
    folder.cell("homes", 1, "authority", "nowhere")
    folder.cell("cohorts", 2, "mean_stay_months", "long")
    folder.cell("decisions", 1, "month", "2026-07")
    folder.setting("discount_rate", "2")
    folder.delete("placements.csv")
    with pytest.raises(InstanceError) as caught:
        read_instance(folder.path)
    places = [(fault.file, fault.field) for fault in caught.value.faults]
    assert places == [
        ("instance.toml", "discount_rate"),
        ("cohorts.csv", "mean_stay_months"),
        ("homes.csv", "beds"),
        ("homes.csv", "authority"),
        ("placements.csv", ""),
    ]
    assert str(caught.value).startswith("5 faults in plan:\n  instance.toml row ")


def test_a_faulty_row_still_lends_its_name_to_others(folder: Folder) -> None:
    for table, column in (("authorities", "title"), ("cohorts", "title"), ("homes", "beds"), ("lots", "lead_months")):
        folder.cell(table, 1, column, "")
    assert {(fault.file, fault.field, fault.rule) for fault in folder.faults()} == {
        ("authorities.csv", "title", "is missing"),
        ("cohorts.csv", "title", "is missing"),
        ("homes.csv", "beds", "is missing"),
        ("lots.csv", "lead_months", "is missing"),
    }


def test_a_chance_is_checked_against_another_number_of_futures(folder: Folder) -> None:
    folder.cell("tolerances", 1, "probability", "0.25")
    instance = read_instance(folder.path)
    assert check_chance(instance, 20) == []
    assert check_chance(instance, 19) == [
        Fault(
            file="tolerances.csv",
            row=None,
            field="probability",
            value="0.25",
            rule="is too small to tell with 19 scenarios: fewer than 5 of them",
            fix="Use at least 20 scenarios, or a larger probability.",
        )
    ]
