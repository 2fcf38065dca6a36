"""What an instance can say: one row model per table, and the settings.

Every table is a CSV file of the same name in the instance's folder; the settings are ``instance.toml``. Cells hold plain
values: numbers, dates (``2025-04``), words, names separated by spaces, or distributions such as ``uniform(3, 12)``.
A blank cell takes the default given here. The description of a field is also what a reader is told to do about a fault
in it, and the note that ``optimiser new`` writes beside it.
"""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

from optimiser.finance.rates import rate_of
from optimiser.instance.distributions import Distribution


class Figure:
    """Marks a field as a figure: where it is filled in, the evidence register must say where it comes from."""


def _names(value: object) -> object:
    return tuple(value.split()) if isinstance(value, str) else value


def _numbers(value: object) -> object:
    if isinstance(value, (int, float)):
        return (value,)
    return tuple(value.split()) if isinstance(value, str) else value


def _yes_or_no(value: object) -> object:
    if isinstance(value, str) and value.strip().lower() in ("yes", "no"):
        return value.strip().lower() == "yes"
    if isinstance(value, bool):
        return value
    raise ValueError("is not yes or no")


def _month(value: object) -> object:
    # a day, and an hour, may follow: a spreadsheet makes dates of months
    match = re.fullmatch(r"(\d{4})-(\d{2})(?:-\d{2}(?:[ T][\d:.]*)?)?", str(value), flags=re.ASCII)
    if not match or not 1 <= int(match[2]) <= 12 or not 1990 <= int(match[1]) <= 2150:
        raise ValueError("is not a month such as 2025-04")
    return f"{match[1]}-{match[2]}"


def _weeks_per_year(value: object) -> object:
    return 365 / 7 if value == "365/7" else value


def _within(low: float | None, high: float | None) -> AfterValidator:
    """A distribution that never falls outside the limits."""

    def check(value: Distribution) -> Distribution:
        if low is not None and value.low < low:
            raise ValueError(f"is not at least {low:g}" if value.kind == "fixed" else f"can be below {low:g}")
        if high is not None and value.high > high:
            raise ValueError(f"is not at most {high:g}" if value.kind == "fixed" else f"can be above {high:g}")
        return value

    return AfterValidator(check)


Name = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]*$", max_length=40)]
Names = Annotated[tuple[Name, ...], BeforeValidator(_names)]
YesOrNo = Annotated[bool, BeforeValidator(_yes_or_no)]
Month = Annotated[str, BeforeValidator(_month)]
Count = Annotated[int, Field(ge=0), Figure()]
Positive = Annotated[int, Field(ge=1), Figure()]
Pounds = Annotated[float, Field(ge=0, allow_inf_nan=False), Figure()]
Share = Annotated[float, Field(ge=0, le=1), Figure()]
Rate = Annotated[float, Field(ge=-0.5, le=1), Figure()]
Number = Annotated[float, Field(ge=0, allow_inf_nan=False), Figure()]
Profile = Annotated[tuple[Annotated[float, Field(ge=0, le=1)], ...], BeforeValidator(_numbers), Figure()]
Factors = Annotated[tuple[Annotated[float, Field(ge=0, allow_inf_nan=False)], ...], BeforeValidator(_numbers), Figure()]
Uncertain = Annotated[Distribution, Figure()]
UncertainNumber = Annotated[Distribution, _within(0, None), Figure()]
UncertainShare = Annotated[Distribution, _within(0, 1), Figure()]
UncertainRate = Annotated[Distribution, _within(-0.5, 1), Figure()]
UncertainFactor = Annotated[Distribution, _within(0.1, 10), Figure()]

ZERO = Distribution("fixed", (0.0,))
ONE = Distribution("fixed", (1.0,))


class Row(BaseModel):
    """A row of a table. Blank cells take their defaults; unknown columns are faults."""

    model_config = ConfigDict(frozen=True, extra="forbid", str_strip_whitespace=True, arbitrary_types_allowed=True)


class Settings(Row):
    """``instance.toml``: the question, the horizon, money, risk and what holds everywhere."""

    name: Name = Field(description="Name of the instance: small letters, digits and hyphens.")
    title: str = Field(min_length=1, description="Title in words.")
    question: str = Field(min_length=1, description="The question that the instance answers, in one line.")
    as_at: Month = Field(description="The month at which everything is known as it stands; nothing later is used.")
    first_month: Month = Field(description="First month of the horizon.")
    periods: str = Field(
        pattern=r"^\d+x\d+( \d+x\d+)*$",
        description="Number of periods x months each, such as 24x1 12x3 for two years by month, then three by quarter.",
    )
    decision_date: Month = Field(description="Month before which nothing may begin.")
    weeks_per_year: Annotated[
        float, BeforeValidator(_weeks_per_year), Field(ge=52, le=53, description="52 or 365/7."), Figure()
    ] = 365 / 7
    price_base: str = Field(min_length=1, description="The year in whose pounds prices are given, such as 2024/25.")
    inflation_per_year: Rate = Field(description="General inflation that turns nominal into real pounds, share a year.")
    discount_rate: Rate = Field(description="Real discount rate, share a year (Green Book: 0.035).")
    scenarios: int = Field(ge=1, le=100_000, description="Futures drawn unless --scenarios says otherwise.")
    seed: int = Field(ge=0, default=1, description="Seed of the draws unless --seed says otherwise.")
    demand_price_correlation: Annotated[float, Field(ge=-1, le=1), Figure()] = Field(
        default=0.0, description="Correlation of price growth with demand growth, from -1 to 1."
    )
    demand_correlation: Share = Field(
        default=0.5, description="How much of the uncertainty of demand is shared by all cohorts, 0 to 1."
    )
    delay_correlation: Share = Field(
        default=0.5, description="How much of the delay of one home is shared by all homes of its future, 0 to 1."
    )
    risk_weight: Share = Field(default=0.0, description="Weight of the tail mean (CVaR) in what is minimised, 0 to 1.")
    cvar_level: Annotated[float, Field(ge=0, lt=1)] = Field(
        default=0.9, description="Tail of CVaR: 0.9 is the worst tenth."
    )
    cvar_limit_gbp: Pounds | None = Field(
        default=None, description="Largest CVaR tolerated, present real £; blank for none."
    )
    capital_treatment: Literal["outlay", "borrowing"] = Field(
        default="outlay", description="outlay or borrowing: the budget view of the same capital, never a second cost."
    )
    borrowing_rate: Rate | None = Field(
        default=None,
        description="Interest on borrowing, share a year, for the budget view; needed where it is borrowed.",
    )
    asset_life_years: Positive | None = Field(
        default=None, description="Life over which provision is made, years, at most 50; needed where it is borrowed."
    )
    repayment: Literal["equal-instalments", "annuity"] | None = Field(
        default=None,
        description="How minimum revenue provision is made: equal-instalments or annuity; needed where it is borrowed.",
    )
    registrations_limit: Count | None = Field(
        default=None, description="Homes that can be between start and registration at once; blank for no limit."
    )
    planning_quantile: Annotated[float, Field(gt=0, lt=1)] = Field(
        default=0.8, description="Quantile of delays at which registrations in hand are planned, above 0 and below 1."
    )
    homes_per_manager: Positive | None = Field(
        default=None, description="Homes that one registered manager may run; blank where managers are no limit."
    )
    manager_gbp_per_year: Pounds = Field(default=0.0, description="Cost of a registered manager in post, £ a year.")
    managers_at_start: Count = Field(default=0, description="Registered managers in post or to be had at once.")
    managers_recruited_per_year: Number = Field(
        default=0.0, description="Further managers that can be recruited a year."
    )
    unregistered_name: str = Field(
        default="no registered home found", min_length=1, description="What having no registered place is called."
    )
    unregistered_gbp_per_week: UncertainNumber = Field(description="What such a placement really costs, £ a week.")
    unregistered_growth_per_year: UncertainRate = Field(default=ZERO, description="Growth of that price, share a year.")
    deterrent_gbp_per_week: Pounds | None = Field(
        default=None,
        description="Value judgement charged on top in the objective, £ a week; blank to have it computed.",
    )
    financing_in_running_cost: YesOrNo = Field(
        default=False,
        description="yes where running costs already pay for the capital: it counts against the envelope and is no further cost.",
    )
    capital_note: str = Field(default="", description="What the published capital covers, in words.")


class Authority(Row):
    authority: Name = Field(description="Name of the council.")
    title: str = Field(min_length=1, description="Name in words.")


class Cohort(Row):
    cohort: Name = Field(description="Name of the cohort: children of one authority with one need profile.")
    authority: Name = Field(description="The authority whose children they are.")
    title: str = Field(min_length=1, description="Who they are, in words.")
    mean_stay_months: UncertainNumber | None = Field(
        default=None,
        description="Mean time until leaving care, stepping across apart, months; at least as long as any period.",
    )
    arrivals_per_month: UncertainNumber | None = Field(
        default=None,
        description="Mean children arriving a month: about the children in care divided by mean_stay_months; "
        "blank where arrivals.csv or census.csv gives them.",
    )
    arrivals_dispersion: Annotated[float, Field(gt=0), Figure()] | None = Field(
        default=None, description="Size of a negative binomial, above 0; blank for Poisson arrivals."
    )
    growth_per_year: UncertainRate = Field(default=ZERO, description="Growth of arrivals, share a year.")
    season: Factors = Field(
        default=(),
        description="Twelve factors of mean arrivals, January to December, with the mean 1; blank for no season.",
    )
    turnover_per_month: Share | None = Field(
        default=None, description="Share who leave and are replaced each month; required where census.csv is used."
    )
    planned_moves_per_month: Share = Field(
        default=0.0, description="Most placements that planned moves may end, share a month."
    )
    planned_move_gbp: Pounds = Field(default=0.0, description="Price of a planned move; 0 where free of charge.")
    closure_move_gbp: Pounds = Field(default=0.0, description="Price of a placement ended because its bed goes.")
    contribution_gbp_per_week: Pounds = Field(
        default=0.0, description="Health and education contributions, £ a child-week."
    )


class Step(Row):
    origin: Name = Field(description="Cohort that children leave.")
    destination: Name = Field(description="Cohort that they step across to.")
    share_per_month: UncertainShare = Field(description="Share of children who step across each month.")
    source: Name | None = Field(default=None, description="Only in this source; blank for all registered sources.")


class Arrivals(Row):
    cohort: Name = Field(description="Cohort that the children arrive in.")
    month: Month = Field(description="Month of the horizon.")
    mean: Number = Field(description="Mean children arriving in that month, at least 0.")


class Census(Row):
    cohort: Name = Field(description="Cohort counted.")
    month: Month = Field(description="First month of a period of the horizon.")
    children: UncertainNumber = Field(description="Children in care in the cohort, at least 0.")


class Leaving(Row):
    cohort: Name = Field(description="Cohort that children leave.")
    month: Month = Field(description="Month of the horizon.")
    factor: Number = Field(
        description="Share who leave care in that month, as a multiple of one divided by mean_stay_months."
    )


class Home(Row):
    home: Name = Field(description="Name of the home type.")
    title: str = Field(min_length=1, description="What it is, in words.")
    authority: Name = Field(description="The council that owns it.")
    operator: Literal["council", "provider"] = Field(
        default="council", description="council, or provider for a lot run from this council-owned building."
    )
    beds: Positive = Field(description="A home needs at least one bed; delete the row to drop the home.")
    available: Count = Field(description="Homes of this type that can be had, at least 0.")
    property: Name | None = Field(
        default=None, description="A property that only one home type can use; blank for none."
    )
    locality: Name | None = Field(default=None, description="Where it is; groups.csv may limit homes by locality.")
    capital_gbp: Pounds = Field(description="Capital for one home at planning prices, £.")
    capital_bid_factor: UncertainFactor = Field(
        default=ONE, description="What is paid, as a multiple of the planning price."
    )
    grant_gbp: Pounds = Field(default=0.0, description="Capital grant for one home, £, at most its capital.")
    building_works: Literal["standard-building", "non-standard-building"] | None = Field(
        default=None,
        description="Works for which a blank optimism_bias and duration_bias are the Green Book's upper bounds: "
        "standard-building or non-standard-building; blank for none.",
    )
    optimism_bias: Rate | None = Field(
        default=None, description="Optimism bias added to capital, share; blank for that of building_works, or none."
    )
    duration_bias: Rate | None = Field(
        default=None, description="Optimism bias added to the lead time, share; blank likewise."
    )
    residual_share: Share = Field(
        default=0.0, description="Part of the capital, without optimism bias, left at the horizon."
    )
    lifecycle_gbp_per_year: Pounds = Field(default=0.0, description="Maintenance and replacement, £ a home a year.")
    begin_from: Month = Field(description="First month in which acquisition may begin.")
    begin_until: Month = Field(description="Last month in which acquisition may begin.")
    begin_every_months: Annotated[int, Field(ge=1)] = Field(
        default=1, description="Months between such dates, at least 1."
    )
    lead_months: UncertainNumber = Field(description="Months from start to asking for registration, at least 0.")
    fall_through_probability: Annotated[float, Field(ge=0, le=0.9), Figure()] = Field(
        default=0.0, description="Probability that a purchase falls through and is begun again, at most 0.9."
    )
    fall_through_months: Number = Field(default=0.0, description="Months lost when a purchase falls through.")
    abortive_gbp: Pounds = Field(default=0.0, description="Cost of a purchase that falls through, £.")
    registration_delay_months: UncertainNumber = Field(description="Months from asking for registration to opening.")
    opening_profile: Profile = Field(
        default=(1.0,), description="Share of beds that can be used in the first, second … month, rising to 1."
    )
    matching_occupancy: Annotated[float, Field(gt=0, le=1), Figure()] = Field(
        description="Most of its beds that matching lets be filled, on average, above 0 and at most 1."
    )
    matching_in_demand: Annotated[float, Field(gt=0, le=1), Figure()] | None = Field(
        default=None,
        description="Share of its beds filled while somebody always waits: who matches in simulations; "
        "blank for matching_occupancy.",
    )
    fixed_gbp_per_year: Pounds = Field(description="Running cost of one open home whether full or not, £ a year.")
    variable_gbp_per_week: Pounds = Field(default=0.0, description="Running cost of each child, £ a week.")
    waiting_gbp_per_month: Pounds = Field(default=0.0, description="Cost while waiting for registration, £ a month.")
    redeployment_recovers: Share = Field(
        default=0.0, description="Part of the waiting cost that redeployment recovers."
    )
    cost_growth_per_year: Rate = Field(default=0.0, description="Growth of running costs, share a year, nominal.")
    closable: YesOrNo = Field(default=False, description="yes where the plan may close homes of this type.")
    closing_gbp: Pounds = Field(default=0.0, description="Cost of closing one home, £.")
    sold_beds: Count = Field(
        default=0, description="Idle beds that can be sold to others at a time, in all such homes."
    )
    sold_gbp_per_week: Pounds = Field(default=0.0, description="Price of an idle bed sold, £ a week.")

    # methods and not properties: this class has a column of that name
    def capital_bias(self) -> float:
        """Optimism bias on capital, share: the row's own, else the Green Book's upper bound for its works, else none."""
        return self._bias(self.optimism_bias, "capital-bias")

    def lead_bias(self) -> float:
        """Optimism bias on the lead time, share, likewise."""
        return self._bias(self.duration_bias, "duration-bias")

    def _bias(self, own: float | None, rate: str) -> float:
        if own is not None:
            return own
        return 0.0 if self.building_works is None else rate_of(rate, self.building_works).value


class Existing(Row):
    supply: Name = Field(description="Name of a home that the council runs already, or of a contract in place.")
    title: str = Field(min_length=1, description="What it is, in words.")
    beds: Number = Field(description="Usable beds, at least 0.")
    members: Names = Field(default=(), description="Authorities that may use it, separated by spaces; blank for all.")
    until: Month | None = Field(
        default=None,
        description="First month without it, 2027-11 where it ends on 31 October 2027; blank where it does not expire.",
    )
    start: Month | None = Field(default=None, description="First month with it; blank where it is there already.")
    committed_gbp_per_week: Pounds = Field(default=0.0, description="Paid for each bed whether used or not, £ a week.")
    child_gbp_per_week: Pounds = Field(default=0.0, description="Paid for each child, £ a week.")
    cost_growth_per_year: Rate = Field(default=0.0, description="Growth of both, share a year, nominal.")
    failure_per_year: Share = Field(default=0.0, description="Probability a year that the provider fails.")
    locality: Name | None = Field(default=None, description="Where it is.")


class Lot(Row):
    lot: Name = Field(description="Name of the block-contract offer.")
    title: str = Field(min_length=1, description="What it is, in words.")
    members: Names = Field(default=(), description="Authorities that may join, separated by spaces; blank for all.")
    minimum_beds: Count = Field(description="Fewest committed beds when awarded.")
    maximum_beds: Positive = Field(description="Most committed beds when awarded, at least minimum_beds.")
    call_off_beds: Count = Field(
        default=0, description="Most call-off beds that the contract lets one buy later, beyond the committed ones."
    )
    call_off_gbp_per_week: Pounds = Field(default=0.0, description="Price of a call-off bed when used, £ a week.")
    call_off_retainer_gbp_per_week: Pounds = Field(
        default=0.0, description="Price of holding a call-off bed, £ a week."
    )
    award_from: Month = Field(description="First month in which it may be awarded.")
    award_until: Month = Field(description="Last month in which it may be awarded.")
    award_every_months: Annotated[int, Field(ge=1)] = Field(
        default=1, description="Months between such dates, at least 1."
    )
    lead_months: UncertainNumber = Field(description="Months from award to first delivery as planned.")
    mobilisation_delay_months: UncertainNumber = Field(default=ZERO, description="Months of delay beyond the lead.")
    delivery_profile: Profile = Field(
        default=(1.0,), description="Share of beds delivered in the first, second … month, rising to 1."
    )
    term_months: Positive = Field(description="Months from first delivery to the end of the term.")
    indexation_per_year: UncertainRate = Field(
        default=ZERO, description="Uplift on each anniversary of delivery, nominal."
    )
    bid_factor: UncertainFactor = Field(default=ONE, description="Bids as a multiple of the estimated price.")
    price_cap_gbp_per_week: Pounds | None = Field(
        default=None,
        description="No award where the bid for the dearest tier is above this, £ a bed-week; blank for no cap.",
    )
    guaranteed_share: Share = Field(default=1.0, description="Share of committed beds paid whether filled or not.")
    void_price_share: Share = Field(
        default=1.0, description="Share of the price paid for a guaranteed bed that is empty."
    )
    matching_occupancy: Annotated[float, Field(gt=0, le=1), Figure()] = Field(
        default=1.0,
        description="Most of its beds, committed and call-off together, that matching lets be filled, on average, "
        "above 0 and at most 1.",
    )
    matching_in_demand: Annotated[float, Field(gt=0, le=1), Figure()] | None = Field(
        default=None,
        description="Share of its beds filled while somebody always waits: who matches in simulations; "
        "blank for matching_occupancy.",
    )
    setup_gbp: Pounds = Field(default=0.0, description="Procurement and set-up on award, £.")
    building: Name | None = Field(
        default=None, description="The home type, run by a provider, that it is run from; blank for none."
    )
    alternatives: Name | None = Field(
        default=None, description="At most one lot with this word can be awarded; blank for none."
    )
    failure_per_year: Share = Field(default=0.0, description="Probability a year that the provider fails.")
    locality: Name | None = Field(default=None, description="Where it is.")


class TierRow(Row):
    lot: Name = Field(description="The lot that the tier belongs to.")
    from_beds: Count = Field(description="Fewest committed beds in the tier.")
    to_beds: Positive = Field(description="Most committed beds in the tier, at least from_beds.")
    gbp_per_week: Pounds = Field(description="Price of a bed, £ a week.")


class ExtensionRow(Row):
    contract: Name = Field(description="The lot or existing supply that it extends.")
    option: Annotated[int, Field(ge=1)] = Field(description="1 for the first extension, 2 for the next, and so on.")
    months: Positive = Field(description="Months that it adds, at least 1.")
    notice_months: Count = Field(default=0, description="Months before expiry by which it must be decided.")
    price_factor: Annotated[float, Field(gt=0), Figure()] = Field(
        default=1.0, description="Price as a multiple of the price before, above 0."
    )


class Spot(Row):
    spot: Name = Field(description="Name of the spot market.")
    title: str = Field(min_length=1, description="What is bought there, in words.")
    members: Names = Field(
        default=(), description="Authorities that may buy there, separated by spaces; blank for all."
    )
    growth_per_year: UncertainRate = Field(
        default=ZERO, description="Growth of its prices, share a year, nominal; may fall."
    )
    availability: UncertainShare = Field(
        default=ONE,
        description="Share of each limited layer on offer in a future, 0 to 1; places held at the start stay.",
    )


class Layer(Row):
    spot: Name = Field(description="The spot market that the layer belongs to.")
    beds: Number | None = Field(default=None, description="Places on offer at the price; blank for no limit.")
    gbp_per_week: UncertainNumber = Field(
        description="Price of a place, £ a week; each layer dearer than the one before."
    )


class Placement(Row):
    cohort: Name = Field(description="Cohort that may be placed.")
    source: Name = Field(
        description="Home, lot, existing supply or spot market; or unregistered, for children at the start."
    )
    start: Month | None = Field(default=None, description="First month in which it is allowed; blank for always.")
    until: Month | None = Field(
        default=None, description="First month in which it is no longer allowed; blank for never."
    )
    mean_stay_months: UncertainNumber | None = Field(
        default=None,
        description="Mean time until leaving care where children live here, months; blank for the cohort's own.",
    )
    breakdown_per_month: UncertainShare = Field(
        default=ZERO,
        description="Share of placements that break down each month; a distribution where it is uncertain.",
    )
    children_at_start: Number = Field(default=0.0, description="Children living here when the horizon begins.")


class Band(Row):
    source: Name = Field(description="Home, lot, existing supply or spot market.")
    band: Name = Field(description="Area or distance band, such as in-area or within-20-miles.")
    share: Share = Field(description="Part of the source's places that lie within the band, 0 to 1.")


class Local(Row):
    limit: Name = Field(description="Name of the limit.")
    cohorts: Names = Field(description="Cohorts counted together, separated by spaces.")
    band: Name = Field(description="Area or distance band, as in bands.csv.")
    minimum_share: Share = Field(description="Expected share of child-weeks within the band, at least.")


class Tolerance(Row):
    limit: Name = Field(description="Name of the limit.")
    authorities: Names = Field(
        default=(), description="Authorities counted together, separated by spaces; blank for all."
    )
    child_weeks: Number | None = Field(
        default=None,
        description="Expected child-weeks without a registered place over the horizon, at most; blank for none.",
    )
    probability: Annotated[float, Field(gt=0, lt=1), Figure()] | None = Field(
        default=None, description="Probability of any child-week in a financial year, at most; blank for none."
    )


class Capital(Row):
    envelope: Name = Field(description="Name of the envelope.")
    year: str = Field(
        pattern=r"^(total|\d{4}/\d{2})$",
        description="A financial year such as 2025/26, or total; beside years, one without a row releases nothing.",
    )
    limit_gbp: Pounds = Field(description="Capital that may be begun, £.")
    authority: Name | None = Field(default=None, description="Council whose homes it pays for; blank for all.")
    carry_forward: YesOrNo = Field(default=True, description="yes where what a year leaves may be used in later years.")


class BudgetRow(Row):
    year: str = Field(pattern=r"^\d{4}/\d{2}$", description="A financial year such as 2025/26.")
    base_gbp: Pounds | None = Field(
        default=None,
        description="Base budget of the year for these placements, £; every year or none, blank for what doing nothing costs "
        "in the first.",
    )
    saving_gbp: Pounds = Field(
        default=0.0, description="Saving of the year that the agreed budget counts on already, £."
    )


class GroupRow(Row):
    group: Name = Field(description="Name of the group.")
    members: Names = Field(description="Home types, or lots, separated by spaces.")
    limit: Count = Field(description="Most homes begun, or lots awarded, among them.")
    title: str = Field(default="", description="What a committee reads for it; its name in words where left empty.")


class Review(Row):
    month: Month = Field(description="Month of the review.")
    observe: Literal["arrivals", "prices", "registration"] = Field(
        description="What the branch depends on: arrivals, prices or registration."
    )
    branches: Annotated[int, Field(ge=2, le=5)] = Field(
        default=2, description="Branches with equal numbers of futures, 2 to 5."
    )


class Income(Row):
    authority: Name = Field(description="Council that receives it.")
    year: str = Field(pattern=r"^\d{4}/\d{2}$", description="A financial year such as 2025/26.")
    grant_gbp: Pounds = Field(description="Revenue grant in that year, £.")


class Option(Row):
    option: Name = Field(description="Name of the option.")
    title: str = Field(min_length=1, description="What it is, in words.")
    paper: YesOrNo = Field(default=False, description="yes for the paper's own recommendation; at most one option.")
    homes: Names | None = Field(
        default=(), description="Home types that the plan may still choose freely, separated by spaces; all for all."
    )
    lots: Names | None = Field(
        default=(), description="Lots and existing contracts to extend that the plan may choose freely; all for all."
    )


class Decision(Row):
    option: Name = Field(description="The option that it belongs to.")
    action: Literal["begin", "close", "award", "extend"] = Field(description="begin, close, award or extend.")
    item: Name = Field(description="Home type, lot or existing supply.")
    month: Month | None = Field(default=None, description="Month in which it is done; blank for extend.")
    number: Annotated[int, Field(ge=1)] = Field(
        default=1, description="Homes, committed beds, or number of the extension."
    )
    call_off: Annotated[int, Field(ge=0)] = Field(default=0, description="Call-off beds of an award.")


class ScenarioRow(Row):
    scenario: Name = Field(description="Name of the future.")
    quantity: Literal[
        "probability",
        "arrivals",
        "mean-stay-months",
        "price-growth",
        "availability",
        "bid-factor",
        "capital-bid-factor",
        "lead-months",
        "registration-delay-months",
        "mobilisation-delay-months",
        "failure-month",
    ] = Field(description="What is given: probability, arrivals, price-growth … as the guide lists them.")
    item: Name | None = Field(
        default=None, description="Cohort, home, lot, supply or spot market; blank for probability."
    )
    month: Month | None = Field(default=None, description="Month, for arrivals; blank for every month.")
    value: Annotated[float, Field(allow_inf_nan=False)] = Field(description="The value.")


class StressRow(Row):
    stress: Name = Field(description="Name of the stress; rows of one name are laid on together.")
    title: str = Field(min_length=1, description="What it is, in words; the same in every row of the stress.")
    effect: Literal[
        "arrivals-factor",
        "arrivals-per-month",
        "registration-months",
        "price-growth",
        "unregistered-growth",
        "provider-failure",
        "home-empty",
    ] = Field(description="What is laid on: arrivals-factor, arrivals-per-month, registration-months, price-growth …")
    item: Name | None = Field(
        default=None,
        description="Cohort, home, spot market, lot or existing supply; blank for all, or the largest contract.",
    )
    value: Annotated[float, Field(allow_inf_nan=False), Figure()] = Field(
        description="A factor, children a month, months, or a share a year, as the effect asks."
    )
    start: Month | None = Field(
        default=None, description="First month of a provider's failure; blank for the 25th month, or halfway if sooner."
    )


class FigureRow(Row):
    figure: Name = Field(description="Name of a figure that only published results are reproduced from.")
    value: Annotated[float, Field(allow_inf_nan=False), Figure()] = Field(description="The value.")
    unit: str = Field(min_length=1, description="Its unit, such as £ a week.")
    title: str = Field(min_length=1, description="What it is, in words.")


class Published(Row):
    result: Name = Field(description="Name of the published result.")
    title: str = Field(min_length=1, description="What it is, in words.")
    value: Annotated[float, Field(allow_inf_nan=False)] | None = Field(
        default=None, description="The published value; blank for a result of the same figures that is not published."
    )
    unit: str = Field(min_length=1, description="Its unit, such as £ a year.")
    document: str = Field(default="", description="The document it stands in; needed with a value.")
    place: str = Field(default="", description="Where in the document; needed with a value.")
    expression: str = Field(
        min_length=1,
        description="How it comes out here: arithmetic on figures of this instance and results of its options.",
    )
    tolerance: Annotated[float, Field(ge=0)] = Field(
        default=0.5, description="Largest difference that counts as reproduced."
    )
    note: str = Field(default="", description="What the reader should know, in words.")


class Evidence(Row):
    figures: str = Field(
        min_length=3, description="Table.row.column of a figure, with * for any part, such as homes.*.capital_gbp."
    )
    evidence: Literal["published", "derived", "calibrated", "assumption"] = Field(
        description="published, derived, calibrated or assumption."
    )
    document: str = Field(default="", description="Document, for a published figure.")
    place: str = Field(default="", description="Where in the document, for a published figure.")
    low: str = Field(
        default="", description="Lower end of an assumption's range: a number, or a percentage such as -10%."
    )
    high: str = Field(
        default="", description="Upper end of an assumption's range: a number, or a percentage such as +10%."
    )
    derived_from: str = Field(
        default="",
        description="What it is derived from or calibrated to: figures, or names in published.csv, separated by spaces.",
    )
    note: str = Field(default="", description="Why, in words.")


#: Tables of an instance: file name without ending, row model, columns that name a row, needed or not.
TABLES: dict[str, tuple[type[Row], tuple[str, ...], bool]] = {
    "authorities": (Authority, ("authority",), True),
    "cohorts": (Cohort, ("cohort",), True),
    "steps": (Step, ("origin", "destination", "source"), False),
    "arrivals": (Arrivals, ("cohort", "month"), False),
    "census": (Census, ("cohort", "month"), False),
    "leaving": (Leaving, ("cohort", "month"), False),
    "homes": (Home, ("home",), False),
    "existing": (Existing, ("supply",), False),
    "lots": (Lot, ("lot",), False),
    "tiers": (TierRow, ("lot", "from_beds"), False),
    "extensions": (ExtensionRow, ("contract", "option"), False),
    "spots": (Spot, ("spot",), False),
    "layers": (Layer, ("spot", "#"), False),
    "placements": (Placement, ("cohort", "source"), True),
    "bands": (Band, ("source", "band"), False),
    "local": (Local, ("limit",), False),
    "tolerances": (Tolerance, ("limit",), False),
    "capital": (Capital, ("envelope", "year"), False),
    "budget": (BudgetRow, ("year",), False),
    "groups": (GroupRow, ("group",), False),
    "reviews": (Review, ("month",), False),
    "income": (Income, ("authority", "year"), False),
    "options": (Option, ("option",), False),
    "decisions": (Decision, ("option", "action", "item", "month", "number"), False),
    "scenarios": (ScenarioRow, ("scenario", "quantity", "item", "month"), False),
    "stresses": (StressRow, ("stress", "effect", "item"), False),
    "figures": (FigureRow, ("figure",), False),
    "published": (Published, ("result",), False),
    "evidence": (Evidence, ("figures",), True),
}


class Instance(BaseModel):
    """A validated instance: the settings and every table, in the order of its rows. Made by ``optimiser.load``."""

    model_config = ConfigDict(frozen=True, arbitrary_types_allowed=True)

    settings: Settings
    authorities: tuple[Authority, ...]
    cohorts: tuple[Cohort, ...]
    steps: tuple[Step, ...] = ()
    arrivals: tuple[Arrivals, ...] = ()
    census: tuple[Census, ...] = ()
    leaving: tuple[Leaving, ...] = ()
    homes: tuple[Home, ...] = ()
    existing: tuple[Existing, ...] = ()
    lots: tuple[Lot, ...] = ()
    tiers: tuple[TierRow, ...] = ()
    extensions: tuple[ExtensionRow, ...] = ()
    spots: tuple[Spot, ...] = ()
    layers: tuple[Layer, ...] = ()
    placements: tuple[Placement, ...]
    bands: tuple[Band, ...] = ()
    local: tuple[Local, ...] = ()
    tolerances: tuple[Tolerance, ...] = ()
    capital: tuple[Capital, ...] = ()
    budget: tuple[BudgetRow, ...] = ()
    groups: tuple[GroupRow, ...] = ()
    reviews: tuple[Review, ...] = ()
    income: tuple[Income, ...] = ()
    options: tuple[Option, ...] = ()
    decisions: tuple[Decision, ...] = ()
    scenarios: tuple[ScenarioRow, ...] = ()
    stresses: tuple[StressRow, ...] = ()
    figures: tuple[FigureRow, ...] = ()
    published: tuple[Published, ...] = ()
    evidence: tuple[Evidence, ...] = ()

    def row_key(self, table: str, position: int) -> str:
        """Name of a row in the register of figures: its naming columns joined by dots."""
        _, columns, _ = TABLES[table]
        row = getattr(self, table)[position]
        if columns[-1] == "#":
            owner = getattr(row, columns[0])
            number = sum(getattr(other, columns[0]) == owner for other in getattr(self, table)[: position + 1])
            return f"{owner}.{number}"
        return ".".join(str(getattr(row, column)) for column in columns if getattr(row, column) is not None)

    def figure_values(self) -> dict[str, Any]:
        """Every figure that is filled in, by its key ``table.row.column`` (``settings.column`` for settings)."""
        values: dict[str, Any] = {}
        for name in figure_fields(Settings):
            if name in self.settings.model_fields_set and getattr(self.settings, name) is not None:
                values[f"settings.{name}"] = getattr(self.settings, name)
        for table, (model, _, _) in TABLES.items():
            names = figure_fields(model)
            for position, row in enumerate(getattr(self, table)):
                for name in names:
                    if name in row.model_fields_set and getattr(row, name) is not None:
                        values[f"{table}.{self.row_key(table, position)}.{name}"] = getattr(row, name)
        return values


def figure_fields(model: type[Row]) -> tuple[str, ...]:
    """Names of the fields of a row model that are figures."""
    return tuple(name for name, field in model.model_fields.items() if _is_figure(field))


def _is_figure(field: Any) -> bool:
    if any(isinstance(mark, Figure) for mark in field.metadata):
        return True
    parts = getattr(field.annotation, "__args__", ())
    return any(isinstance(mark, Figure) for part in parts for mark in getattr(part, "__metadata__", ()))
