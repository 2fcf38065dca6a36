"""What must agree between the tables of an instance: one small function per subject, each yielding its faults.

The checks see valid rows, and the names that faulty rows carry; they do not guess what a faulty row may have meant.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Any

from optimiser.errors import Fault
from optimiser.finance import Calendar, month_number, rate_of, whole_pounds
from optimiser.instance import expressions
from optimiser.instance.draft import (
    LONGEST_HORIZON,
    UNREGISTERED,
    Draft,
    DraftRow,
    counted,
    last_month,
    suggestion,
)
from optimiser.instance.register import check_register, figure_values, mean_of, suggested_key
from optimiser.instance.schema import Cohort, Existing, Home, Instance, Lot, Placement, Settings

SOURCES = ("homes", "lots", "existing", "spots")
#: Results of an option that a published result may be computed from.
METRICS = ("cost_gbp", "saving_gbp", "capital_gbp", "child_weeks_unregistered")
#: Fewest futures that an accepted probability must leave, so that it is told from none.
FEWEST_FUTURES = 5
LONGEST_ASSET_LIFE = int(rate_of("longest-asset-life", "land-and-buildings").value)

Check = Callable[[Draft], Iterator[Fault]]


def check_all(draft: Draft) -> Iterator[Fault]:
    """Every fault between the tables of a draft."""
    for check in CHECKS:
        yield from check(draft)


def check_chance(instance: Instance, scenarios: int) -> list[Fault]:
    """Faults of tolerated probabilities that are too small for a number of futures, as ``--scenarios`` may give it."""
    return list(_chance(Draft.of(instance), scenarios))


# settings


def check_settings(draft: Draft) -> Iterator[Fault]:
    """The horizon, the weeks of a year, and the life of an asset."""
    settings = draft.settings
    if settings is None:
        return
    if draft.calendar is None:
        yield draft.setting_fault(
            "periods", settings.periods, f"is not a horizon of 1 to {LONGEST_HORIZON:,} months in periods of 1 or more"
        )
    elif settings.decision_date > last_month(draft.calendar):
        yield draft.setting_fault(
            "decision_date",
            settings.decision_date,
            f"is after the horizon, which ends with {last_month(draft.calendar)}",
        )
    if min(abs(settings.weeks_per_year - weeks) for weeks in (52, 365 / 7)) > 1e-4:
        yield draft.setting_fault(
            "weeks_per_year", f"{settings.weeks_per_year:g}", "is neither 52 nor 365/7", "Write 52 or 365/7."
        )
    if settings.asset_life_years is not None and settings.asset_life_years > LONGEST_ASSET_LIFE:
        fix = "The statutory guidance of 2024 allows no longer life."
        rule = f"is not at most {LONGEST_ASSET_LIFE}"
        yield draft.setting_fault("asset_life_years", settings.asset_life_years, rule, fix)
    if settings.capital_treatment == "borrowing":
        yield from _borrowing(draft, settings)


def _borrowing(draft: Draft, settings: Settings) -> Iterator[Fault]:
    """What a council says of its borrowing: nobody else can."""
    assumed = rate_of("borrowing", "public-works-loan-board")
    fixes = {
        "borrowing_rate": "Give the rate that treasury management expects, as a share such as "
        f"{assumed.value:g}; {assumed.low:.0%} to {assumed.high:.0%} was assumed for the Public Works Loan Board in "
        f"{assumed.published}.",
        "asset_life_years": f"Give the life in years over which provision is made, at most {LONGEST_ASSET_LIFE}.",
        "repayment": "Write equal-instalments or annuity, as the council's policy on minimum revenue provision says.",
    }
    for name, fix in fixes.items():
        if getattr(settings, name) is None:
            yield draft.setting_fault(name, "", "is missing where capital_treatment is borrowing", fix)


# names


#: Columns that hold names of rows of other tables: table, column, the tables referred to, and other words allowed.
REFERENCES: tuple[tuple[str, str, tuple[str, ...], tuple[str, ...]], ...] = (
    ("cohorts", "authority", ("authorities",), ()),
    ("homes", "authority", ("authorities",), ()),
    ("existing", "members", ("authorities",), ()),
    ("lots", "members", ("authorities",), ()),
    ("lots", "building", ("homes",), ()),
    ("spots", "members", ("authorities",), ()),
    ("steps", "origin", ("cohorts",), ()),
    ("steps", "destination", ("cohorts",), ()),
    ("steps", "source", SOURCES, ()),
    ("arrivals", "cohort", ("cohorts",), ()),
    ("census", "cohort", ("cohorts",), ()),
    ("leaving", "cohort", ("cohorts",), ()),
    ("tiers", "lot", ("lots",), ()),
    ("extensions", "contract", ("lots", "existing"), ()),
    ("layers", "spot", ("spots",), ()),
    ("placements", "cohort", ("cohorts",), ()),
    ("placements", "source", SOURCES, (UNREGISTERED,)),
    ("bands", "source", SOURCES, ()),
    ("local", "cohorts", ("cohorts",), ()),
    ("tolerances", "authorities", ("authorities",), ()),
    ("capital", "authority", ("authorities",), ()),
    ("groups", "members", ("homes", "lots"), ()),
    ("income", "authority", ("authorities",), ()),
    ("options", "homes", ("homes",), ("all",)),
    ("options", "lots", ("lots", "existing"), ("all",)),
    ("decisions", "option", ("options",), ()),
)

#: Tables that the item of a decision stands in.
DECIDED: Mapping[str, tuple[str, ...]] = {
    "begin": ("homes",),
    "close": ("homes",),
    "award": ("lots",),
    "extend": ("lots", "existing"),
}

#: Tables that the item of a quantity of scenarios.csv stands in, and the least and the most of its value.
QUANTITIES: Mapping[str, tuple[tuple[str, ...], float, float]] = {
    "probability": ((), 0.0, 1.0),
    "arrivals": (("cohorts",), 0.0, math.inf),
    "mean-stay-months": (("cohorts",), 0.0, math.inf),
    "price-growth": (("spots",), -0.5, 1.0),
    "availability": (("spots",), 0.0, 1.0),
    "bid-factor": (("lots",), 0.1, 10.0),
    "capital-bid-factor": (("homes",), 0.1, 10.0),
    "lead-months": (("homes", "lots"), 0.0, math.inf),
    "registration-delay-months": (("homes",), 0.0, math.inf),
    "mobilisation-delay-months": (("lots",), 0.0, math.inf),
    "failure-month": (("lots", "existing"), 0.0, math.inf),
}

#: Tables that the item of an effect of stresses.csv stands in, and the least and the most of its value.
EFFECTS: Mapping[str, tuple[tuple[str, ...], float, float]] = {
    "arrivals-factor": (("cohorts",), 0.0, 100.0),
    "arrivals-per-month": (("cohorts",), 0.0, math.inf),
    "registration-months": (("homes",), 0.0, 120.0),
    "price-growth": (("spots",), -0.5, 1.0),
    "unregistered-growth": ((), -0.5, 1.0),
    "provider-failure": (("lots", "existing"), 1.0, math.inf),
    "home-empty": (("homes",), 1.0, 120.0),
}


def check_references(draft: Draft) -> Iterator[Fault]:
    """Names of rows of other tables exist, also where another cell of the row is faulty."""
    for table, column, targets, words in REFERENCES:
        for row in draft.written(table):
            for name in row.cells.get(column, "").split():
                if name not in words:
                    yield from _reference(draft, table, row, column, name, targets, words)
    for row in draft.written("decisions"):
        if row.cells.get("action") in DECIDED and "item" in row.cells:
            yield from _reference(draft, "decisions", row, "item", row.cells["item"], DECIDED[row.cells["action"]])
    for row in draft.written("scenarios"):
        targets = QUANTITIES.get(row.cells.get("quantity", ""), ((), 0, 0))[0]
        if targets and "item" in row.cells:
            yield from _reference(draft, "scenarios", row, "item", row.cells["item"], targets)
    for row in draft.written("stresses"):
        targets = EFFECTS.get(row.cells.get("effect", ""), ((), 0, 0))[0]
        if targets and "item" in row.cells:
            yield from _reference(draft, "stresses", row, "item", row.cells["item"], targets)


def _reference(
    draft: Draft,
    table: str,
    row: DraftRow,
    column: str,
    name: str,
    targets: tuple[str, ...],
    words: tuple[str, ...] = (),
) -> Iterator[Fault]:
    known = draft.names(*targets)
    # what is not even a name is reported as such, and a table that could not be read may hold it
    if name in known or not draft.readable(*targets) or not _is_name(name):
        return
    files = " or ".join(draft.tables[target].file for target in targets)
    yield draft.fault(table, row, column, name, f"is not in {files}", suggestion(name, (*known, *words)))


def _is_name(text: str) -> bool:
    return len(text) <= 40 and text.isascii() and text.replace("-", "a").isalnum() and text == text.lower()


def check_source_names(draft: Draft) -> Iterator[Fault]:
    """A source is named once across homes, lots, existing supply and spot markets."""
    owner: dict[str, str] = {}
    for table in SOURCES:
        column = {"homes": "home", "lots": "lot", "existing": "supply", "spots": "spot"}[table]
        for row in draft.written(table):
            name = row.cells.get(column)
            if name == UNREGISTERED:
                fix = "The word is kept for children without a registered place; choose another name."
                yield draft.fault(table, row, column, name, "cannot be the name of a source", fix)
            elif name is not None and owner.setdefault(name, table) != table:
                file = draft.tables[owner[name]].file
                fix = "Homes, lots, existing supply and spot markets need different names; rename one."
                yield draft.fault(table, row, column, name, f"is already a name in {file}", fix)


# demand


def check_demand(draft: Draft) -> Iterator[Fault]:
    """Each cohort has exactly one of a mean of arrivals, rows in arrivals.csv and a census, with what that needs."""
    if not draft.readable("arrivals", "census"):
        return
    listed, counted = draft.names("arrivals"), draft.names("census")
    for row, cohort in draft.rows("cohorts"):
        yield from _one_demand(draft, row, cohort, cohort.cohort in listed, cohort.cohort in counted)
        if cohort.cohort in counted:
            if cohort.turnover_per_month is None:
                yield draft.fault("cohorts", row, "turnover_per_month", "", "is missing")
            continue
        if cohort.mean_stay_months is None:
            yield draft.fault("cohorts", row, "mean_stay_months", "", "is missing")
        if cohort.turnover_per_month is not None:
            fix = "Clear the cell, or give the cohort a census."
            rule = "is only used where census.csv counts the cohort"
            yield draft.fault("cohorts", row, "turnover_per_month", cohort.turnover_per_month, rule, fix)


def _one_demand(draft: Draft, row: DraftRow, cohort: Cohort, listed: bool, counted: bool) -> Iterator[Fault]:
    given = cohort.arrivals_per_month is not None
    tables = [f"{table}.csv" for table, there in (("arrivals", listed), ("census", counted)) if there]
    if given + len(tables) == 1:
        return
    fix = "Give each cohort one of them: arrivals_per_month, rows in arrivals.csv, or rows in census.csv."
    if given:
        rule = f"is given beside rows in {' and '.join(tables)}"
        yield draft.fault("cohorts", row, "arrivals_per_month", cohort.arrivals_per_month, rule, fix)
    elif tables:
        rule = "has rows in arrivals.csv and in census.csv"
        yield draft.fault("cohorts", row, "cohort", cohort.cohort, rule, fix)
    else:
        rule = "is missing, and the cohort has no rows in arrivals.csv or census.csv"
        yield draft.fault("cohorts", row, "arrivals_per_month", "", rule, fix)


def check_demand_months(draft: Draft) -> Iterator[Fault]:
    """Arrivals and leaving cover every month of the horizon, and a census the first month of every period."""
    calendar = draft.calendar
    if calendar is None:
        return
    for table, wanted, rule, fix in (
        ("arrivals", _months(calendar), "is not a month of the horizon", "Every month of the horizon has one row."),
        ("leaving", _months(calendar), "is not a month of the horizon", "Every month of the horizon has one row."),
        (
            "census",
            calendar.labels,
            "is not the first month of a period",
            "The first month of every period has one row.",
        ),
    ):
        found: dict[str, set[str]] = defaultdict(set)
        for row, model in draft.rows(table):
            found[model.cohort].add(model.month)
            if model.month not in wanted:
                yield draft.fault(table, row, "month", model.month, rule, f"{_horizon(calendar)} {fix}")
        if draft.complete(table):
            for cohort, months in found.items():
                missing = [month for month in wanted if month not in months]
                if missing:
                    more = f" with {len(missing) - 1} more" if len(missing) > 1 else ""
                    yield draft.fault(table, None, "month", missing[0], f"is missing for {cohort}{more}", fix)


def check_seasons(draft: Draft) -> Iterator[Fault]:
    """A season has twelve factors of mean 1, and arrivals that it is a season of."""
    for row, cohort in draft.rows("cohorts"):
        if not cohort.season:
            continue
        written, fix = row.cells["season"], "Write twelve factors, January to December, or clear the cell."
        if len(cohort.season) != 12:
            yield draft.fault("cohorts", row, "season", written, f"has {len(cohort.season)} factors, not 12", fix)
        elif abs(sum(cohort.season) / 12 - 1) > 0.005:
            rule = f"has the mean {sum(cohort.season) / 12:.3g}, not 1"
            yield draft.fault("cohorts", row, "season", written, rule, "Divide each factor by the mean of them all.")
        if cohort.arrivals_per_month is None:
            rule = "is only used with arrivals_per_month"
            yield draft.fault("cohorts", row, "season", written, rule, "Clear the cell: the months say it already.")


def check_leaving(draft: Draft) -> Iterator[Fault]:
    """Nobody leaves twice, and a cohort with a census says already who leaves."""
    calendar, counted_cohorts = draft.calendar, draft.names("census")
    stays = {cohort.cohort: cohort.mean_stay_months for _, cohort in draft.rows("cohorts")}
    for row, leaving in draft.rows("leaving"):
        if leaving.cohort in counted_cohorts:
            fix = "Delete the row: the turnover of a census says how many leave."
            yield draft.fault("leaving", row, "cohort", leaving.cohort, "has a census", fix)
        stay = stays.get(leaving.cohort)
        if calendar is not None and stay is not None and stay.low > 0:
            share = leaving.factor * max(calendar.months_by_period) / stay.low
            if share > 1:
                rule = f"makes {share:.2g} of the children leave in a period"
                fix = "No more than all can leave: use a smaller factor, shorter periods or a longer stay."
                yield draft.fault("leaving", row, "factor", row.cells["factor"], rule, fix)


def check_census(draft: Draft) -> Iterator[Fault]:
    """A cohort with a census neither steps nor is stepped into, and has one stay for all its places."""
    counted = draft.names("census")
    for row, step in draft.rows("steps"):
        for column in ("origin", "destination"):
            cohort = getattr(step, column)
            if cohort in counted:
                fix = "A census says how many children there are already; give the cohort arrivals, or delete the step."
                yield draft.fault("steps", row, column, cohort, "has a census, so no child steps from or to it", fix)
    for row, place in draft.rows("placements"):
        if place.cohort in counted and place.mean_stay_months is not None:
            fix = "Clear the cell: its turnover says how long children stay."
            rule = "cannot be given for a cohort with a census"
            yield draft.fault("placements", row, "mean_stay_months", row.cells["mean_stay_months"], rule, fix)


def check_stays(draft: Draft) -> Iterator[Fault]:
    """No period is longer than a mean stay: children would leave before they are counted."""
    if draft.calendar is None:
        return
    longest = max(draft.calendar.months_by_period)
    fix = f"The longest period has {counted(longest)}; use shorter periods in {draft.settings_file}, or a longer stay."
    for row, cohort in draft.rows("cohorts"):
        stay = cohort.mean_stay_months
        if stay is not None and stay.low < longest and cohort.cohort not in draft.names("census"):
            rule = "is shorter than a period" if stay.kind == "fixed" else "can be shorter than a period"
            yield draft.fault("cohorts", row, "mean_stay_months", stay, rule, fix)
    for row, place in draft.rows("placements"):
        stay = place.mean_stay_months
        if stay is not None and stay.low < longest:
            rule = "is shorter than a period" if stay.kind == "fixed" else "can be shorter than a period"
            yield draft.fault("placements", row, "mean_stay_months", stay, rule, fix)
    for row, future in draft.rows("scenarios"):
        if future.quantity == "mean-stay-months" and future.value < longest:
            yield draft.fault("scenarios", row, "value", row.cells["value"], "is shorter than a period", fix)


def check_steps(draft: Draft) -> Iterator[Fault]:
    """A step leads elsewhere, and children cannot leave and step across more than all of them."""
    for row, step in draft.rows("steps"):
        if step.origin == step.destination:
            fix = "Name another cohort, or delete the row."
            yield draft.fault("steps", row, "destination", step.destination, "is the cohort that children leave", fix)
    if draft.calendar is None:
        return
    longest = max(draft.calendar.months_by_period)
    for row, cohort in draft.rows("cohorts"):
        total = longest * max(_gone_a_month(draft, cohort), default=0.0)
        if total > 1 + 1e-9:
            rule = f"and the steps out of it come to {total:.3g} of its children in a period of {counted(longest)}"
            fix = "Leaving and stepping across together cannot exceed 1; use shorter periods, or smaller shares."
            yield draft.fault("cohorts", row, "mean_stay_months", cohort.mean_stay_months, rule, fix)


def _gone_a_month(draft: Draft, cohort: Cohort) -> Iterator[float]:
    """Largest share of a cohort that leaves or steps across in a month, by source that it steps from."""
    steps = [step for _, step in draft.rows("steps") if step.origin == cohort.cohort]
    stay = cohort.mean_stay_months
    if not steps or stay is None or stay.low <= 0:
        return
    own = {
        place.source: stay if place.mean_stay_months is None else place.mean_stay_months
        for _, place in draft.rows("placements")
        if place.cohort == cohort.cohort
    }
    for source, of_source in (own or {"": stay}).items():
        stepping = sum(step.share_per_month.high for step in steps if step.source in (None, source))
        if stepping > 0 and source != UNREGISTERED and of_source.low > 0:
            yield 1 / of_source.low + stepping


# homes and lots


def check_homes(draft: Draft) -> Iterator[Fault]:
    """Grants within capital, dates to begin within the horizon, and profiles that rise to 1."""
    for row, home in draft.rows("homes"):
        if home.grant_gbp > home.capital_gbp:
            rule = f"is more than its capital of {whole_pounds(home.capital_gbp)}"
            yield draft.fault("homes", row, "grant_gbp", row.cells["grant_gbp"], rule)
        yield from _profile(draft, "homes", row, "opening_profile", home.opening_profile)
        yield from _window(draft, "homes", row, "begin_from", "begin_until", home)


def check_lots(draft: Draft) -> Iterator[Fault]:
    """Sizes of lots, dates of award within the horizon, and profiles that rise to 1."""
    for row, lot in draft.rows("lots"):
        if lot.minimum_beds > lot.maximum_beds:
            rule = f"is more than maximum_beds, {lot.maximum_beds}"
            yield draft.fault("lots", row, "minimum_beds", lot.minimum_beds, rule)
        yield from _profile(draft, "lots", row, "delivery_profile", lot.delivery_profile)
        yield from _window(draft, "lots", row, "award_from", "award_until", lot)


def _window(draft: Draft, table: str, row: DraftRow, first: str, last: str, model: Home | Lot) -> Iterator[Fault]:
    begin, until = getattr(model, first), getattr(model, last)
    if begin > until:
        yield draft.fault(table, row, last, until, f"is before {first}, {begin}")
    if draft.settings is not None and begin < draft.settings.decision_date:
        rule = f"is before the decision date, {draft.settings.decision_date}"
        fix = f"Nothing may begin before the decision date; move {first} or the decision date."
        yield draft.fault(table, row, first, begin, rule, fix)
    elif draft.calendar is not None:
        yield from _inside(draft, table, row, first, begin)
    if draft.calendar is not None and begin <= until:
        yield from _inside(draft, table, row, last, until)


def _profile(draft: Draft, table: str, row: DraftRow, column: str, profile: Sequence[float]) -> Iterator[Fault]:
    written = " ".join(f"{share:g}" for share in profile)
    if any(later < earlier for earlier, later in pairwise(profile)):
        yield draft.fault(table, row, column, written, "falls")
    elif not profile or abs(profile[-1] - 1) > 1e-9:
        yield draft.fault(table, row, column, written, "does not end at 1")


def check_buildings(draft: Draft) -> Iterator[Fault]:
    """A lot run from a council building names a home with a provider as operator, and each such home has its lot."""
    operators = {home.home: home.operator for _, home in draft.rows("homes")}
    for row, lot in draft.rows("lots"):
        if lot.building is not None and operators.get(lot.building) == "council":
            fix = "Write provider as operator of that home, or leave the building blank."
            yield draft.fault("lots", row, "building", lot.building, "is run by the council", fix)
    buildings = draft.names("lots", column="building")
    for row, home in draft.rows("homes"):
        if home.operator == "provider" and draft.readable("lots") and home.home not in buildings:
            fix = "Name the home as building of a lot, or let the council run it."
            yield draft.fault("homes", row, "operator", "provider", "has no lot that is run from the home", fix)


def check_tiers(draft: Draft) -> Iterator[Fault]:
    """The tiers of a lot stand in order, do not overlap, and price every size of it."""
    for row, tier in draft.rows("tiers"):
        if tier.from_beds > tier.to_beds:
            yield draft.fault("tiers", row, "to_beds", tier.to_beds, f"is less than from_beds, {tier.from_beds}")
    for row, lot in draft.rows("lots"):
        tiers = [(place, tier) for place, tier in draft.rows("tiers") if tier.lot == lot.lot]
        for (_, before), (place, tier) in pairwise(tiers):
            yield from _next_tier(draft, place, before.to_beds, tier.from_beds)
        if not draft.complete("tiers"):
            continue
        if not tiers:
            yield draft.fault("lots", row, "lot", lot.lot, "has no price in tiers.csv", "Add a row with its tier.")
            continue
        first, last = tiers[0][1].from_beds, tiers[-1][1].to_beds
        if first > max(lot.minimum_beds, 1):
            rule, fix = f"is above minimum_beds of the lot, {lot.minimum_beds}", "Tiers price every size of the lot."
            yield draft.fault("tiers", tiers[0][0], "from_beds", first, rule, fix)
        if last < lot.maximum_beds:
            rule, fix = f"is below maximum_beds of the lot, {lot.maximum_beds}", "Tiers price every size of the lot."
            yield draft.fault("tiers", tiers[-1][0], "to_beds", last, rule, fix)


def _next_tier(draft: Draft, row: DraftRow, ends: int, begins: int) -> Iterator[Fault]:
    if begins != ends + 1:
        rule = f"overlaps the tier before, which ends at {ends}" if begins <= ends else f"leaves a gap after {ends}"
        fix = f"Tiers stand in order, and the next begins at {ends + 1}."
        yield draft.fault("tiers", row, "from_beds", begins, rule, fix)


def check_call_off(draft: Draft) -> Iterator[Fault]:
    """Nobody would rather call a bed off than fill one that is committed."""
    for row, lot in draft.rows("lots"):
        prices = [tier.gbp_per_week for _, tier in draft.rows("tiers") if tier.lot == lot.lot]
        adds = 1.0 if lot.guaranteed_share < 1 else 1 - lot.void_price_share
        filling = adds * max(prices, default=0.0)
        if lot.call_off_beds and lot.call_off_gbp_per_week < filling:
            rule = f"is less than £{filling:,.0f}, what filling a committed bed costs on top of keeping it empty"
            fix = "Beds are called off once all committed ones are taken: price them at that at least."
            yield draft.fault("lots", row, "call_off_gbp_per_week", lot.call_off_gbp_per_week, rule, fix)


def check_layers(draft: Draft) -> Iterator[Fault]:
    """A spot market has layers, each dearer than the one before, and none after an unlimited one."""
    for row, spot in draft.rows("spots"):
        layers = [(place, layer) for place, layer in draft.rows("layers") if layer.spot == spot.spot]
        if not layers and draft.complete("layers"):
            yield draft.fault(
                "spots", row, "spot", spot.spot, "has no price in layers.csv", "Add a row with its layer."
            )
        for (_, before), (place, layer) in pairwise(layers):
            if before.beds is None:
                fix = "Give the layer before a number of beds, or delete this one."
                yield draft.fault("layers", place, "spot", spot.spot, "has a layer after one without limit", fix)
            if layer.gbp_per_week.mean <= before.gbp_per_week.mean:
                rule = f"is not above the layer before, {before.gbp_per_week}"
                fix = "Layers stand in order of price; equal prices are one layer."
                yield draft.fault("layers", place, "gbp_per_week", layer.gbp_per_week, rule, fix)


def check_extensions(draft: Draft) -> Iterator[Fault]:
    """The extensions of a contract count 1, 2, 3 …, and an existing supply that is extended ends."""
    endless = {supply.supply for _, supply in draft.rows("existing") if supply.until is None}
    counted: dict[str, int] = defaultdict(int)
    # by number, not by row: the order of rows does not matter
    for row, extension in sorted(draft.rows("extensions"), key=lambda pair: pair[1].option):
        counted[extension.contract] += 1
        expected = counted[extension.contract]
        if extension.option != expected and draft.complete("extensions"):
            fix = "Extensions of a contract count 1, 2, 3 and so on: each needs the one before."
            rule = f"comes where {expected} is due for {extension.contract}"
            yield draft.fault("extensions", row, "option", extension.option, rule, fix)
            counted[extension.contract] = extension.option
        if extension.contract in endless:
            fix = "Say in existing.csv until when it runs, or delete the extension."
            yield draft.fault("extensions", row, "contract", extension.contract, "does not expire", fix)


def check_existing(draft: Draft) -> Iterator[Fault]:
    """What is in place ends after it starts, and starts within the horizon."""
    for row, supply in draft.rows("existing"):
        yield from _stretch(draft, "existing", row, supply.start, supply.until)


def _stretch(draft: Draft, table: str, row: DraftRow, start: str | None, until: str | None) -> Iterator[Fault]:
    if start is not None and until is not None and start >= until:
        yield draft.fault(table, row, "until", until, f"is not after start, {start}")
    if start is not None and draft.calendar is not None and start > last_month(draft.calendar):
        fix = f"{_horizon(draft.calendar)} Move it, or delete the row."
        yield draft.fault(table, row, "start", start, "is after the horizon", fix)


# placements


def check_placements(draft: Draft) -> Iterator[Fault]:
    """Placements end after they start, in sources open to the authority, not in a building that a provider runs."""
    authority = {cohort.cohort: cohort.authority for _, cohort in draft.rows("cohorts")}
    members = {name: model.members for name, model in _sources(draft).items() if getattr(model, "members", ())}
    run = {home.home for _, home in draft.rows("homes") if home.operator == "provider"}
    for row, place in draft.rows("placements"):
        yield from _stretch(draft, "placements", row, place.start, place.until)
        council = authority.get(place.cohort)
        if council is not None and place.source in members and council not in members[place.source]:
            rule = f"is not open to children of {council}, which is not a member"
            fix = "Add the authority to the members, or delete the row."
            yield draft.fault("placements", row, "source", place.source, rule, fix)
        if place.source in run:
            fix = "Children live in the beds of the lot that is run from it; name the lot."
            yield draft.fault("placements", row, "source", place.source, "is a building that a provider runs", fix)
        if place.source == UNREGISTERED:
            yield from _only_at_start(draft, row, place)


def _only_at_start(draft: Draft, row: DraftRow, place: Placement) -> Iterator[Fault]:
    for column in sorted(place.model_fields_set - {"cohort", "source", "children_at_start"}):
        if column in row.cells:
            fix = "Clear the cell: only children_at_start is read."
            yield draft.fault("placements", row, column, row.cells[column], f"has no meaning for {UNREGISTERED}", fix)


def _sources(draft: Draft) -> dict[str, Any]:
    """Models of all sources by name."""
    return {
        **{home.home: home for _, home in draft.rows("homes")},
        **{lot.lot: lot for _, lot in draft.rows("lots")},
        **{supply.supply: supply for _, supply in draft.rows("existing")},
        **{spot.spot: spot for _, spot in draft.rows("spots")},
    }


def check_children_at_start(draft: Draft) -> Iterator[Fault]:
    """Children only start where there are beds already, within them, and where they are allowed in the first month."""
    supplies = {supply.supply: supply for _, supply in draft.rows("existing")}
    living: dict[str, float] = defaultdict(float)
    for row, place in draft.rows("placements"):
        if place.children_at_start == 0:
            continue

        def fault(rule: str, fix: str, row: DraftRow = row, place: Placement = place) -> Fault:
            return draft.fault("placements", row, "children_at_start", row.cells["children_at_start"], rule, fix)

        if place.source in draft.names("homes", "lots"):
            rule = f"cannot be in {place.source}, which is not open yet"
            yield fault(rule, "Homes and lots open later; what is there already belongs in existing.csv.")
        if draft.settings is None:
            continue
        first, supply = draft.settings.first_month, supplies.get(place.source)
        stretches = [(place.start, place.until)] + ([(supply.start, supply.until)] if supply is not None else [])
        # a stretch that ends before it starts is a fault of its own
        stretches = [(start, until) for start, until in stretches if not (start and until and start >= until)]
        if any((start or first) > first or (until is not None and until <= first) for start, until in stretches):
            rule = f"cannot be in {place.source}, which is not allowed in the first month, {first}"
            yield fault(rule, "Move them elsewhere, or mend start and until of the placement or the supply.")
        if supply is not None:
            before = living[place.source]
            living[place.source] += place.children_at_start
            if living[place.source] > supply.beds + 1e-9 >= before:
                total = f"{living[place.source]:g}"
                rule = f"brings the children in {place.source} to {total}, beyond its {supply.beds:g} beds"
                yield fault(rule, "Count the children again, or mend the beds in existing.csv.")


def check_somewhere_registered(draft: Draft) -> Iterator[Fault]:
    """Every cohort can be placed with a registered source at some time of the horizon."""
    if not draft.complete("placements"):
        return
    supplies = {supply.supply: supply for _, supply in draft.rows("existing")}
    for row, cohort in draft.rows("cohorts"):
        places = [place for _, place in draft.rows("placements") if place.cohort == cohort.cohort]
        if not any(_ever_allowed(draft, place, supplies.get(place.source)) for place in places):
            rule = "has no registered place in placements.csv at any time"
            fix = "Add a row with a home, lot, existing supply or spot market that may take them."
            yield draft.fault("cohorts", row, "cohort", cohort.cohort, rule, fix)


def _ever_allowed(draft: Draft, place: Placement, supply: Existing | None) -> bool:
    if place.source == UNREGISTERED:
        return False
    if draft.calendar is None:
        return True
    stretches = [(place.start, place.until)] + ([(supply.start, supply.until)] if supply is not None else [])
    opens = max([draft.calendar.first_month, *(start for start, _ in stretches if start is not None)])
    closes = min([until for _, until in stretches if until is not None], default="9999-12")
    return opens <= last_month(draft.calendar) and opens < closes


# limits


def check_local(draft: Draft) -> Iterator[Fault]:
    """A local limit's band is given for at least one source."""
    known = draft.names("bands", column="band")
    for row, limit in draft.rows("local"):
        if draft.readable("bands") and limit.band not in known:
            yield draft.fault(
                "local", row, "band", limit.band, "is no band in bands.csv", suggestion(limit.band, known)
            )


def check_tolerances(draft: Draft) -> Iterator[Fault]:
    """A tolerance limits something, and its probability leaves futures to tell it by."""
    for row, limit in draft.rows("tolerances"):
        if limit.child_weeks is None and limit.probability is None:
            fix = "Give child_weeks, probability, or both; delete the row to drop the limit."
            yield draft.fault("tolerances", row, "limit", limit.limit, "limits nothing", fix)
    futures = draft.names("scenarios")
    if futures:
        yield from _chance(draft, len(futures))
    elif draft.settings is not None:
        yield from _chance(draft, draft.settings.scenarios)


def _chance(draft: Draft, scenarios: int) -> Iterator[Fault]:
    for row, limit in draft.rows("tolerances"):
        if limit.probability is not None and limit.probability * scenarios < FEWEST_FUTURES - 1e-9:
            enough = math.ceil(FEWEST_FUTURES / limit.probability - 1e-9)
            rule = f"is too small to tell with {scenarios:,} scenarios: fewer than {FEWEST_FUTURES} of them"
            fix = f"Use at least {enough:,} scenarios, or a larger probability."
            yield draft.fault("tolerances", row, "probability", row.cells["probability"], rule, fix)


def check_capital(draft: Draft) -> Iterator[Fault]:
    """Envelopes: years of the horizon, one authority and one rule of carrying forward, no year above the total."""
    first: dict[str, Any] = {}
    totals = {row.envelope: row.limit_gbp for _, row in draft.rows("capital") if row.year == "total"}
    for row, line in draft.rows("capital"):
        if line.year != "total":
            yield from _financial_year(draft, "capital", row, line.year)
            if line.limit_gbp > totals.get(line.envelope, math.inf):
                rule = f"is more than the envelope's total, {whole_pounds(totals[line.envelope])}"
                yield draft.fault(
                    "capital", row, "limit_gbp", row.cells["limit_gbp"], rule, "Mend the year or the total."
                )
        one = first.setdefault(line.envelope, line)
        if line.authority != one.authority:
            rule = f"differs from {one.authority or 'all'} in the envelope's first row"
            fix = "An envelope pays for one council's homes, or for all."
            yield draft.fault("capital", row, "authority", line.authority or "blank", rule, fix)
        if line.carry_forward != one.carry_forward:
            rule = "differs from the envelope's first row"
            fix = "An envelope carries forward in all its rows or in none."
            yield draft.fault("capital", row, "carry_forward", "yes" if line.carry_forward else "no", rule, fix)


def check_income(draft: Draft) -> Iterator[Fault]:
    """Income falls in financial years of the horizon."""
    for row, line in draft.rows("income"):
        yield from _financial_year(draft, "income", row, line.year)


def check_budget(draft: Draft) -> Iterator[Fault]:
    """The budget covers financial years of the horizon; a base budget, where there is one, every one of them."""
    rows = list(draft.rows("budget"))
    for row, line in rows:
        yield from _financial_year(draft, "budget", row, line.year)
    based = {line.year for _, line in rows if line.base_gbp is not None}
    if not based or draft.calendar is None or not draft.complete("budget"):
        return
    fix = "Give the base budget of every financial year of the horizon, or of none."
    for row, line in rows:
        if line.base_gbp is None:
            yield draft.fault("budget", row, "base_gbp", "", "is missing where other years have it", fix)
    missing = [year for year in draft.calendar.financial_years if year not in {line.year for _, line in rows}]
    if missing:
        rule = f"and other years have a base budget, but {', '.join(missing)} has no row"
        yield draft.fault("budget", rows[-1][0], "year", rows[-1][1].year, rule, fix)


def _financial_year(draft: Draft, table: str, row: DraftRow, year: str) -> Iterator[Fault]:
    start = int(year[:4])
    following = f"{start}/{(start + 1) % 100:02d}"
    if year != following:
        yield draft.fault(table, row, "year", year, "is not a financial year", f"Did you mean {following}?")
    elif draft.calendar is not None and year not in draft.calendar.financial_years:
        years = draft.calendar.financial_years
        fix = f"The horizon runs through the financial years {years[0]} to {years[-1]}."
        yield draft.fault(table, row, "year", year, "is outside the horizon", fix)


def check_groups(draft: Draft) -> Iterator[Fault]:
    """The members of a group are all homes or all lots."""
    homes, lots = draft.names("homes"), draft.names("lots")
    for row, group in draft.rows("groups"):
        if any(name in homes for name in group.members) and any(name in lots for name in group.members):
            fix = "Make one group of the homes and another of the lots."
            yield draft.fault("groups", row, "members", " ".join(group.members), "mixes homes and lots", fix)
        elif not group.members:
            yield draft.fault("groups", row, "members", "", "is missing")


def check_reviews(draft: Draft) -> Iterator[Fault]:
    """Reviews come one after another, each in the first month of a later period than the first."""
    if draft.calendar is not None:
        for row, review in draft.rows("reviews"):
            if review.month not in draft.calendar.labels[1:]:
                fix = f"{_horizon(draft.calendar)} A review falls in the first month of a period after the first."
                yield draft.fault("reviews", row, "month", review.month, "cannot be the month of a review", fix)
    for (_, before), (row, review) in pairwise(draft.rows("reviews")):
        if review.month < before.month:
            yield draft.fault("reviews", row, "month", review.month, f"is before {before.month}", "Put them in order.")


# options


def check_options(draft: Draft) -> Iterator[Fault]:
    """At most one option is the paper's own, and ``all`` stands alone."""
    first: str | None = None
    for row, option in draft.rows("options"):
        if option.paper and first is not None:
            fix = "At most one option is the paper's own recommendation."
            yield draft.fault("options", row, "paper", "yes", f"stands at {first} already", fix)
        elif option.paper:
            first = option.option
        for column in ("homes", "lots"):
            names = getattr(option, column) or ()
            if "all" in names and len(names) > 1:
                yield draft.fault(
                    "options", row, column, " ".join(names), "names all and more", "Write all, or the names."
                )


def check_decisions(draft: Draft) -> Iterator[Fault]:
    """What an option decides is possible: its month, its number, and an item that allows it."""
    homes = {home.home: home for _, home in draft.rows("homes")}
    lots = {lot.lot: lot for _, lot in draft.rows("lots")}
    for row, decision in draft.rows("decisions"):
        if decision.action == "extend":
            yield from _extended(draft, row, decision)
            continue
        if decision.month is None:
            yield draft.fault("decisions", row, "month", "", "is missing", f"Say in which month to {decision.action}.")
        if decision.call_off and decision.action != "award":
            fix = "Clear the cell."
            yield draft.fault("decisions", row, "call_off", decision.call_off, "only goes with an award", fix)
        if decision.action == "award" and decision.item in lots:
            yield from _awarded(draft, row, decision, lots[decision.item])
        elif decision.action == "begin" and decision.item in homes:
            home = homes[decision.item]
            dates = home.begin_from, home.begin_until, home.begin_every_months
            yield from _possible(draft, row, decision.month, "acquisition may begin", *dates)
        elif decision.action == "close" and decision.item in homes:
            yield from _closed(draft, row, decision, homes[decision.item])
    yield from _decided_together(draft, homes)


def _possible(
    draft: Draft, row: DraftRow, month: str | None, what: str, first: str, last: str, every: int
) -> Iterator[Fault]:
    """Whether a month is one of those from first to last, every so many months."""
    if month is None or first > last:
        return
    after = month_number(month) - month_number(first)
    if month < first or month > last or after % every:
        spaced = f" every {every} months" if every > 1 else ""
        fix = f"It may be done from {first} to {last}{spaced}."
        yield draft.fault("decisions", row, "month", month, f"is not a month in which {what}", fix)


def _awarded(draft: Draft, row: DraftRow, decision: Any, lot: Lot) -> Iterator[Fault]:
    dates = lot.award_from, lot.award_until, lot.award_every_months
    yield from _possible(draft, row, decision.month, "the lot may be awarded", *dates)
    if not lot.minimum_beds <= decision.number <= lot.maximum_beds:
        rule, fix = "is not a size of the lot", f"It takes {lot.minimum_beds} to {lot.maximum_beds} committed beds."
        yield draft.fault("decisions", row, "number", decision.number, rule, fix)
    if decision.call_off > lot.call_off_beds:
        rule = f"is more than the lot's call-off beds, {lot.call_off_beds}"
        yield draft.fault("decisions", row, "call_off", decision.call_off, rule, "Mend one of the two.")


def _closed(draft: Draft, row: DraftRow, decision: Any, home: Home) -> Iterator[Fault]:
    if not home.closable:
        fix = "Write yes under closable in homes.csv, or delete the row."
        yield draft.fault("decisions", row, "item", decision.item, "may not be closed", fix)
    if decision.month is not None:
        yield from _inside(draft, "decisions", row, "month", decision.month)


def _extended(draft: Draft, row: DraftRow, decision: Any) -> Iterator[Fault]:
    if decision.month is not None:
        fix = "Clear the cell: the notice of the extension says when it is decided."
        yield draft.fault("decisions", row, "month", decision.month, "has no meaning for extend", fix)
    if decision.call_off:
        yield draft.fault("decisions", row, "call_off", decision.call_off, "only goes with an award", "Clear the cell.")
    options = {row.option for _, row in draft.rows("extensions") if row.contract == decision.item}
    before = [
        other.number
        for _, other in draft.rows("decisions")
        if (other.option, other.action, other.item) == (decision.option, "extend", decision.item)
    ]
    if not draft.complete("extensions") or not set(draft.names("extensions")) <= set(draft.names("lots", "existing")):
        return
    if decision.number not in options:
        known = ", ".join(map(str, sorted(options)))
        fix = f"extensions.csv has {known} for it." if known else "Add it to extensions.csv, or delete the row."
        yield draft.fault("decisions", row, "number", decision.number, f"is no extension of {decision.item}", fix)
    elif decision.number > 1 and decision.number - 1 not in before and draft.complete("decisions"):
        fix = f"Each extension needs the one before; add a row for {decision.number - 1}."
        yield draft.fault("decisions", row, "number", decision.number, "is taken without the one before", fix)


def _decided_together(draft: Draft, homes: Mapping[str, Home]) -> Iterator[Fault]:
    """Homes begun within those that can be had, and a lot awarded once, in each option."""
    begun: dict[tuple[str, str], int] = defaultdict(int)
    awarded: set[tuple[str, str]] = set()
    for row, decision in draft.rows("decisions"):
        key = decision.option, decision.item
        if decision.action == "begin" and decision.item in homes:
            before, available = begun[key], homes[decision.item].available
            begun[key] += decision.number
            if begun[key] > available >= before:
                rule = f"brings the homes begun to {begun[key]}, more than the {available} that can be had"
                yield draft.fault("decisions", row, "number", decision.number, rule, "Begin fewer, or mend available.")
        if decision.action == "award" and key in awarded:
            fix = "A lot is awarded at most once in an option; delete one of the rows."
            yield draft.fault("decisions", row, "item", decision.item, "is awarded twice", fix)
        if decision.action == "award":
            awarded.add(key)


# futures


def check_scenarios(draft: Draft) -> Iterator[Fault]:
    """Each future of the table has a probability, they add up to 1, and each value goes with its item."""
    for row, future in draft.rows("scenarios"):
        yield from _future(draft, row, future)
    if not draft.written("scenarios") or not draft.complete("scenarios"):
        return
    chances = {row.scenario: row.value for _, row in draft.rows("scenarios") if row.quantity == "probability"}
    without = [name for name in draft.names("scenarios") if name not in chances]
    for name in without:
        row = next(draft_row for draft_row, model in draft.rows("scenarios") if model.scenario == name)
        fix = "Add a row with the quantity probability."
        yield draft.fault("scenarios", row, "scenario", name, "has no probability", fix)
    total = sum(chances.values())
    if not without and abs(total - 1) > 1e-6:
        rule = "is what the probabilities add up to, not 1"
        yield draft.fault(
            "scenarios", None, "value", f"{total:g}", rule, "Mend the rows with the quantity probability."
        )


def _future(draft: Draft, row: DraftRow, future: Any) -> Iterator[Fault]:
    targets, least, most = QUANTITIES[future.quantity]
    if targets and future.item is None:
        yield draft.fault("scenarios", row, "item", "", "is missing")
    if not targets and future.item is not None:
        yield draft.fault("scenarios", row, "item", future.item, "has no meaning for probability", "Clear the cell.")
    if future.month is not None and future.quantity != "arrivals":
        rule = f"has no meaning for {future.quantity}"
        yield draft.fault("scenarios", row, "month", future.month, rule, "Clear the cell: only arrivals go by month.")
    elif future.month is not None:
        yield from _inside(draft, "scenarios", row, "month", future.month)
    if not least <= future.value <= most or (future.quantity == "probability" and future.value == 0):
        above = "above 0" if future.quantity == "probability" else f"at least {least:g}"
        limits = above if most == math.inf else f"{above} and at most {most:g}"
        fix = f"A value of {future.quantity} is {limits}."
        yield draft.fault("scenarios", row, "value", row.cells["value"], f"is not {limits}", fix)


def check_stresses(draft: Draft) -> Iterator[Fault]:
    """Each stress has a name of its own, and each effect an item and a value that it can be laid on with."""
    counted = {row.cohort for _, row in draft.rows("census")}
    for row, stress in draft.rows("stresses"):
        targets, least, most = EFFECTS[stress.effect]
        if stress.stress == "all":
            fix = "It asks for every stress; choose another name."
            yield draft.fault("stresses", row, "stress", stress.stress, "is no name for a stress", fix)
        if not targets and stress.item is not None:
            rule = f"has no meaning for {stress.effect}"
            yield draft.fault("stresses", row, "item", stress.item, rule, "Clear the cell.")
        if stress.effect == "arrivals-per-month":
            if stress.item is None:
                yield draft.fault("stresses", row, "item", "", "is missing", "Name the cohort that arrives.")
            elif stress.item in counted:
                fix = "Use arrivals-factor, which multiplies the census."
                yield draft.fault("stresses", row, "item", stress.item, "is counted in census.csv", fix)
        if stress.start is not None and stress.effect != "provider-failure":
            rule = f"has no meaning for {stress.effect}"
            yield draft.fault("stresses", row, "start", stress.start, rule, "Clear the cell.")
        elif stress.start is not None:
            yield from _inside(draft, "stresses", row, "start", stress.start)
        if not least <= stress.value <= most:
            limits = f"at least {least:g}" + ("" if most == math.inf else f" and at most {most:g}")
            fix = f"A value of {stress.effect} is {limits}."
            yield draft.fault("stresses", row, "value", row.cells["value"], f"is not {limits}", fix)


# published results


def check_published(draft: Draft) -> Iterator[Fault]:
    """Expressions are arithmetic on figures that there are and results of options that there are."""
    figures = figure_values(draft)
    for row, result in draft.rows("published"):
        try:
            names = expressions.keys(result.expression)
            for name in names:
                yield from _key(draft, row, name, figures)
            known = {name: mean_of(value) for name in names if (value := figures.get(name)) is not None}
            # results of options are not known yet, so that only what does without them can divide by zero
            if len(known) == len(names):
                expressions.evaluate(result.expression, known)
        except ValueError as error:
            fix = "Write arithmetic such as [homes.two-bed.capital_gbp] * 4 or [options.build.saving_gbp] / 1000."
            yield draft.fault("published", row, "expression", result.expression, str(error), fix)


def _key(draft: Draft, row: DraftRow, name: str, figures: Mapping[str, object]) -> Iterator[Fault]:
    if name in figures or not draft.settled(name):
        return
    parts = name.split(".")
    if parts[0] == "options" and len(parts) == 3:
        if parts[1] not in draft.names("options") and draft.readable("options"):
            fix = suggestion(parts[1], draft.names("options"))
            yield draft.fault("published", row, "expression", f"[{name}]", "names no option in options.csv", fix)
        elif parts[2] not in METRICS:
            fix = suggestion(parts[2], METRICS)
            yield draft.fault("published", row, "expression", f"[{name}]", "names no result of an option", fix)
        return
    fix = suggested_key(name, figures)
    yield draft.fault("published", row, "expression", f"[{name}]", "is not a figure that is filled in", fix)


# months


def _months(calendar: Calendar) -> tuple[str, ...]:
    """Every month of the horizon."""
    return Calendar(calendar.first_month, (1,) * calendar.months, calendar.weeks_per_year).labels


def _horizon(calendar: Calendar) -> str:
    return f"The horizon runs from {calendar.first_month} to {last_month(calendar)}."


def _inside(draft: Draft, table: str, row: DraftRow, column: str, month: str) -> Iterable[Fault]:
    calendar = draft.calendar
    if calendar is not None and not calendar.first_month <= month <= last_month(calendar):
        side = "before" if month < calendar.first_month else "after"
        yield draft.fault(table, row, column, month, f"is {side} the horizon", _horizon(calendar))


CHECKS: tuple[Check, ...] = (
    check_settings,
    check_references,
    check_source_names,
    check_demand,
    check_demand_months,
    check_seasons,
    check_leaving,
    check_census,
    check_stays,
    check_steps,
    check_homes,
    check_lots,
    check_buildings,
    check_tiers,
    check_call_off,
    check_layers,
    check_extensions,
    check_existing,
    check_placements,
    check_children_at_start,
    check_somewhere_registered,
    check_local,
    check_tolerances,
    check_capital,
    check_income,
    check_budget,
    check_groups,
    check_reviews,
    check_options,
    check_decisions,
    check_scenarios,
    check_stresses,
    check_published,
    check_register,
)
