"""Which inputs make a pound or a child what it is, and what the register of evidence says of them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from optimiser.finance import rate_of
from optimiser.instance.distributions import Distribution
from optimiser.instance.register import evidence_for, matches
from optimiser.instance.schema import Instance, Published
from optimiser.verify import Item

Row = dict[str, Any]

#: How long a home takes to open, and how often a purchase is begun again.
OPENING = (
    "homes.{}.lead_months",
    "homes.{}.duration_bias",
    "homes.{}.fall_through_*",
    "homes.{}.registration_delay_months",
    "rates.duration-bias.{}",
)
LOT_PRICE = ("tiers.{}.*.gbp_per_week", "lots.{}.bid_factor", "lots.{}.indexation_per_year", "settings.weeks_per_year")
LOT_TIME = (
    "lots.{}.lead_months",
    "lots.{}.mobilisation_delay_months",
    "lots.{}.delivery_profile",
    "lots.{}.term_months",
    "lots.{}.failure_per_year",
    "extensions.{}.*",
)
CAPITAL = (
    "homes.{}.capital_gbp",
    "homes.{}.capital_bid_factor",
    "homes.{}.optimism_bias",
    "rates.capital-bias.{}",
    "homes.{}.grant_gbp",
)
#: What a bed that can be filled rests on, by kind of source.
USABLE = {
    "home": ("homes.{}.beds", "homes.{}.matching_occupancy", "homes.{}.opening_profile", *OPENING),
    "lot": ("lots.{}.maximum_beds", "lots.{}.matching_occupancy", *LOT_TIME),
    "supply": ("existing.{}.beds", "existing.{}.failure_per_year", "extensions.{}.*"),
}
CHILDREN = ("cohorts.*", "arrivals.*", "census.*", "steps.*", "placements.*")

#: Inputs by cost term and kind of item; {} stands for the item's name.
INPUTS: dict[tuple[str, str], tuple[str, ...]] = {
    ("capital", "home"): CAPITAL,
    ("residual", "home"): (*CAPITAL, "homes.{}.residual_share"),
    ("running", "home"): ("homes.{}.fixed_gbp_per_year", "homes.{}.cost_growth_per_year", *OPENING),
    ("waiting", "home"): (
        "homes.{}.waiting_gbp_per_month",
        "homes.{}.redeployment_recovers",
        "homes.{}.cost_growth_per_year",
        *OPENING,
    ),
    ("lifecycle", "home"): ("homes.{}.lifecycle_gbp_per_year", "homes.{}.cost_growth_per_year", *OPENING[:3]),
    ("procurement", "home"): ("homes.{}.abortive_gbp", "homes.{}.fall_through_probability"),
    ("closures", "home"): ("homes.{}.closing_gbp",),
    ("income", "home"): ("homes.{}.sold_beds", "homes.{}.sold_gbp_per_week", "settings.weeks_per_year"),
    ("block", "lot"): (*LOT_PRICE, "lots.{}.guaranteed_share", "lots.{}.void_price_share", *LOT_TIME),
    ("call_off", "lot"): (
        "lots.{}.call_off_gbp_per_week",
        "lots.{}.call_off_retainer_gbp_per_week",
        *LOT_PRICE[1:],
        *LOT_TIME,
    ),
    ("procurement", "lot"): ("lots.{}.setup_gbp",),
    ("existing", "supply"): (
        "existing.{}.beds",
        "existing.{}.committed_gbp_per_week",
        "existing.{}.cost_growth_per_year",
        "existing.{}.failure_per_year",
        "extensions.{}.*",
        "settings.weeks_per_year",
    ),
    ("spot", "spot"): (
        "layers.{}.*.gbp_per_week",
        "layers.{}.*.beds",
        "spots.{}.growth_per_year",
        "spots.{}.availability",
        "settings.weeks_per_year",
    ),
    ("variable", "cohort"): (
        "homes.*.variable_gbp_per_week",
        "homes.*.cost_growth_per_year",
        "settings.weeks_per_year",
    ),
    ("existing", "cohort"): (
        "existing.*.child_gbp_per_week",
        "existing.*.cost_growth_per_year",
        "settings.weeks_per_year",
    ),
    ("unregistered", "cohort"): (
        "settings.unregistered_gbp_per_week",
        "settings.unregistered_growth_per_year",
        "settings.weeks_per_year",
    ),
    ("closures", "cohort"): ("cohorts.{}.closure_move_gbp",),
    ("planned_moves", "cohort"): ("cohorts.{}.planned_move_gbp", "cohorts.{}.planned_moves_per_month"),
    ("income", "cohort"): ("cohorts.{}.contribution_gbp_per_week", "settings.weeks_per_year"),
    ("managers", "managers"): ("settings.manager_gbp_per_year", "settings.homes_per_manager"),
    ("income", "grant"): ("income.*",),
}


def inputs_of(item: Item) -> tuple[str, ...]:
    """Figures that an entry of the itemised ledger comes from, as patterns; those of demand last."""
    own = tuple(pattern.format(item.name) for pattern in INPUTS[item.term, item.kind])
    return own if item.basis == "anyway" else (*own, *CHILDREN)


def inputs_of_term(term: str) -> tuple[str, ...]:
    """Figures that any entry of the ledger under a cost term comes from, as patterns."""
    return tuple(
        dict.fromkeys(
            pattern.format("*") for (own, _), patterns in INPUTS.items() if own == term for pattern in patterns
        )
    )


class Sources:
    """The register of an instance, asked by patterns; what a pattern covers is looked up once."""

    def __init__(self, instance: Instance) -> None:
        self._instance = instance
        self._values = instance.figure_values()
        self._covered: dict[str, list[str]] = {}
        self._rows: dict[str, Row] = {}

    def of(self, patterns: Iterable[str]) -> list[Row]:
        """What the register says of every figure that the patterns cover, each once, in the order of the patterns.

        Last stand the figures and published results that others are derived from or calibrated to.
        """
        keys = list(self.keys(patterns))
        for key in keys:  # grows as origins are found, and with theirs
            for name in self._rows[key]["derived_from"].split():
                keys += [origin for origin in self._keys(name) if origin not in keys]
        return [self._rows[key] for key in keys]

    def keys(self, patterns: Iterable[str]) -> tuple[str, ...]:
        """Figures that the patterns cover, each once."""
        return tuple(dict.fromkeys(key for pattern in dict.fromkeys(patterns) for key in self._keys(pattern)))

    def _keys(self, pattern: str) -> list[str]:
        if pattern not in self._covered:
            if pattern.startswith("rates."):
                rows = _published_rate(self._instance, pattern)
            else:
                rows = {key: self._row(key) for key in self._values if matches(pattern, key)}
                rows |= {row.result: _result(row) for row in self._instance.published if row.result == pattern}
            self._rows |= rows
            self._covered[pattern] = list(rows)
        return self._covered[pattern]

    def _row(self, key: str) -> Row:
        if key in self._rows:
            return self._rows[key]
        evidence, value = evidence_for(self._instance, key), self._values[key]
        return {
            "figure": key,
            "value": str(value) if isinstance(value, (Distribution, tuple)) else value,
            "evidence": evidence.evidence,
            "document": evidence.document,
            "place": evidence.place,
            "low": evidence.low,
            "high": evidence.high,
            "derived_from": evidence.derived_from,
            "note": evidence.note,
        }


def _result(row: Published) -> Row:
    """A published result that figures are derived from or calibrated to."""
    return {
        "figure": row.result,
        "value": row.value,
        "evidence": "published" if row.value is not None else "computed",
        "document": row.document,
        "place": row.place,
        "low": "",
        "high": "",
        "derived_from": "",
        "note": row.note,
    }


def _published_rate(instance: Instance, pattern: str) -> dict[str, Row]:
    """A rate of the Green Book that a home takes because the instance gives none of its own."""
    _, rate, name = pattern.split(".", 2)
    home = next((row for row in instance.homes if row.home == name), None)
    if home is None or home.building_works is None:
        return {}
    if (home.optimism_bias if rate == "capital-bias" else home.duration_bias) is not None:
        return {}
    row = rate_of(rate, home.building_works)
    return {
        f"rates.{rate}.{home.building_works}": {
            "figure": f"rates.{rate}.{home.building_works}",
            "value": row.value,
            "evidence": row.evidence,
            "document": f"{row.document} ({row.published})",
            "place": row.place,
            "low": "" if row.low is None else f"{row.low:g}",
            "high": "" if row.high is None else f"{row.high:g}",
            "derived_from": "",
            "note": row.note,
        }
    }
