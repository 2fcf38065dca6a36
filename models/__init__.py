"""The mathematics in Pyomo: what is decided, where children live, what it costs and what it risks.

``NOTATION`` is the notation table: every variable and every rule with its index words, unit and meaning. A test holds it
against the model.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Symbol:
    """One row of the notation table. ``number`` is the rule's number in the formulation, for rules."""

    name: str
    index: str
    unit: str
    meaning: str
    number: str = ""


VARIABLES = (
    Symbol("homes_begun", "home, node, period", "homes", "acquisition begins in that period"),
    Symbol("homes_closed", "home, node, period", "homes", "homes closed, of those certainly open"),
    Symbol("managers", "node, period", "managers", "registered managers in post"),
    Symbol("lot_awarded", "lot, node, period", "yes or no", "award of a block lot"),
    Symbol("tier_chosen", "lot, tier, node, period", "yes or no", "volume tier in which the committed beds lie"),
    Symbol("beds_in_tier", "lot, tier, node, period", "beds", "committed beds by volume tier"),
    Symbol("optional_beds", "lot, node, period", "beds", "call-off beds that the contract lets one buy later"),
    Symbol("extension_taken", "extension", "yes or no", "extension of an award or of an existing contract"),
    Symbol("joined", "authority", "yes or no", "authority plans with the others, where that is a decision"),
    Symbol("beds_extended", "extension, tier", "beds", "beds of an award that the extension keeps; all or none"),
    Symbol("placed", "cohort, source, period", "children", "children living there"),
    Symbol("planned_moves", "cohort, source, period", "children", "planned moves out, where the instance prices them"),
    Symbol("moves_at_closure", "cohort, source, period", "children", "placements ended because the bed goes"),
    Symbol("layer_used", "source, layer, period", "beds", "beds bought in each price layer"),
    Symbol("beds_sold", "source, period", "beds", "idle beds sold to others"),
    Symbol("local_budget", "limit, scenario", "child-weeks", "a scenario's own shortfall from the local share; signed"),
    Symbol(
        "unregistered_budget", "limit, scenario", "child-weeks", "what a scenario may have without a registered home"
    ),
    Symbol("any_unregistered", "limit, year, scenario", "yes or no", "a year with a child-week or more without one"),
    Symbol("value_at_risk", "", "present real £", "cost exceeded in the tail only"),
    Symbol("excess", "scenario", "present real £", "cost beyond the value at risk"),
)

RULES = (
    Symbol("homes_available", "group, leaf", "homes", "homes to be had by type, locality and property", "6"),
    Symbol(
        "only_certainly_open_homes_closed", "home, leaf, period", "homes", "closures among homes certainly open", "1"
    ),
    Symbol("capital_within_envelope", "envelope, leaf, year", "£", "capital begun within the envelope", "3"),
    Symbol("registrations_in_hand", "leaf, period", "homes", "homes between start and planned registration", "4"),
    Symbol("homes_have_managers", "node, period", "homes", "a manager for every home open or registering", "5"),
    Symbol("lot_awarded_once", "group, leaf", "awards", "one award of a lot, and of alternatives", "7"),
    Symbol("one_tier", "lot, node, period", "tiers", "all committed beds in one volume tier", "7"),
    Symbol("tier_minimum", "lot, tier, node, period", "beds", "beds from the tier's minimum", "7"),
    Symbol("tier_maximum", "lot, tier, node, period", "beds", "beds up to the tier's maximum", "7"),
    Symbol("lot_minimum", "lot, node, period", "beds", "committed beds from the lot's minimum", "7"),
    Symbol("lot_maximum", "lot, node, period", "beds", "committed beds up to the lot's maximum", "7"),
    Symbol("call_off_within_option", "lot, node, period", "beds", "call-off beds within the option", "7"),
    Symbol("extended_within_award", "extension, tier", "beds", "no more beds extended than awarded", "8"),
    Symbol("none_extended_unless_taken", "extension, tier", "beds", "no beds without the extension", "8"),
    Symbol("all_extended_if_taken", "extension, tier", "beds", "all beds with the extension", "8"),
    Symbol("extension_needs_the_one_before", "extension", "yes or no", "extensions in order", "8"),
    Symbol("contract_has_its_home_begun", "lot, leaf, period", "beds", "a building begun for beds run in one", "9"),
    Symbol("homes_of_members", "home, node, period", "homes", "homes begun by owners in the plan", "6"),
    Symbol("lots_of_members", "lot, node, period", "yes or no", "lots awarded by groups with a member", "7"),
    Symbol("extensions_of_members", "extension", "yes or no", "contracts extended by groups with a member", "8"),
    Symbol("every_child_placed", "cohort, period", "children", "every child in care lives somewhere", "11"),
    Symbol(
        "placements_last", "cohort, source, period", "children", "a placement lasts until it ends for a reason", "11"
    ),
    Symbol(
        "planned_moves_within_mobility", "cohort, source, period", "children", "planned moves within the rate", "11"
    ),
    Symbol("moves_at_closure_within_beds_lost", "source, period", "beds", "placements end only where beds go", "11"),
    Symbol("placed_within_capacity", "source, period", "beds", "children placed within usable beds", "1, 2, 8"),
    Symbol("placed_within_matching", "lot, period", "beds", "children in a lot with call-off within matching", "2"),
    Symbol("layers_within_award", "source, layer, period", "beds", "priced layers within the award", "2"),
    Symbol("contract_has_its_home", "building, period", "beds", "contracted beds within buildings open", "9"),
    Symbol("local_within_budget", "limit", "child-weeks", "own shortfall from the local share", "12"),
    Symbol("local_enough", "limit", "child-weeks", "expected local share", "12"),
    Symbol("unregistered_within_budget", "limit", "child-weeks", "own unregistered child-weeks", "13"),
    Symbol("registered_in_expectation", "limit", "child-weeks", "expected unregistered child-weeks", "13"),
    Symbol("any_unregistered_counted", "limit, year", "child-weeks", "years with any unregistered", "13"),
    Symbol("registered_reliably", "limit, year", "probability", "probability of any unregistered in a year", "13"),
    Symbol("excess_counted", "scenario", "present real £", "cost beyond the value at risk", "14"),
    Symbol("cvar_within_limit", "", "present real £", "tail mean within its limit", "14"),
)
# Rule 10, source_allowed, is where ``placed`` has no variable: the set PLACEABLE.

NOTATION = VARIABLES + RULES
