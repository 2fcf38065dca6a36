"""What there is to tell of a simulation, as one JSON document; every mean with its standard error."""

from __future__ import annotations

from dataclasses import asdict, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.problem import COST_TERMS, Problem
from optimiser.analysis.simulation import Simulated
from optimiser.analysis.simulation.calibration import Calibration
from optimiser.analysis.simulation.results import MANY_MOVES
from optimiser.demand.scenarios import standard_error
from optimiser.finance import month_name, month_number
from optimiser.instance.schema import Instance
from optimiser.plan import KIND_OF, KINDS, titles_of

Floats = NDArray[np.float64]
Row = dict[str, Any]


def simulation_document(simulated: dict[str, Simulated], titles: dict[str, str] | None = None) -> Row:
    """One document of all options simulated side by side.

    Parameters
    ----------
    simulated
        As ``simulate`` returns it.
    titles
        Options in words; their names where left out.
    """
    from optimiser.analysis.planning import rounding

    first = next(iter(simulated.values()))
    instance = first.instance
    return {
        "document": "simulation/1",
        "instance": {
            "name": instance.settings.name,
            "title": instance.settings.title,
            "as_at": instance.settings.as_at,
        },
        "futures": len(first.outcome.term_gbp),
        "rounding_gbp": rounding(float(first.outcome.cost_gbp.mean())),
        "unregistered_name": instance.settings.unregistered_name,
        "titles": titles_of(instance),
        "cohorts": {row.cohort: row.title for row in instance.cohorts},
        "options": [
            option_row(name, found, (titles or {}).get(name, name)) | {"same_as": same_as(name, simulated)}
            for name, found in simulated.items()
        ],
        "differences": differences(simulated),
    }


def same_as(name: str, simulated: dict[str, Simulated]) -> str | None:
    """The first option before this one that decides the same; None where it is the first to do so."""
    own = simulated[name].decisions
    for other, found in simulated.items():
        if other == name:
            return None
        if all(np.array_equal(getattr(own, each.name), getattr(found.decisions, each.name)) for each in fields(own)):
            return other
    return None


def option_row(name: str, found: Simulated, title: str) -> Row:
    """Everything of one option."""
    outcome, problem = found.outcome, found.problem
    cost = outcome.cost_gbp
    months = month_weeks(found)
    unregistered = outcome.children[:, :, -1].sum(axis=1) @ months
    in_care = outcome.children.sum(axis=(1, 2)) @ months
    return {
        "option": name,
        "title": title,
        "cost_gbp": mean_row(cost) | quantiles(cost),
        "deterrent_gbp": mean_row(outcome.deterrent_gbp),
        "terms": [
            {"term": term, "present_gbp": float(outcome.term_gbp[:, place].mean())}
            for place, term in enumerate(COST_TERMS)
        ],
        "years": [
            {"year": label, "nominal_gbp": float(outcome.nominal_gbp[:, :, place].sum(axis=1).mean())}
            for place, label in enumerate(problem.financial_years)
        ],
        "quarters": quarters(found),
        "occupancy": occupancy(found),
        "placements_ended_early": {
            "breakdowns": mean_row(outcome.breakdowns),
            "bed_gone": mean_row(outcome.closures),
            "planned_moves": mean_row(outcome.planned_moves),
        },
        "moves_per_child": ratio_row(outcome.moves, outcome.children_in_care),
        "many_moves": MANY_MOVES,
        "share_with_many_moves": ratio_row(outcome.many_moves, outcome.children_in_care),
        "children_in_care": mean_row(outcome.children_in_care),
        "child_weeks": mean_row(in_care),
        "unregistered_child_weeks": mean_row(unregistered) | quantiles(unregistered),
        "children_unregistered": mean_row(outcome.children_unregistered),
        "probability_any_unregistered": mean_row((unregistered > 0).astype(float)),
        "in_area_share": in_area(found),
        "local_limits": local_limits(found),
        "when_to_go_to_market": when_to_go_to_market(found),
        "protection": protection(found),
        "foresight": foresight_row(found),
    }


def month_weeks(found: Simulated) -> Floats:
    """Weeks of each month simulated, [month]."""
    months = found.outcome.children.shape[3]
    return np.full(months, found.instance.settings.weeks_per_year / 12)


# means


def mean_row(amounts: Floats) -> Row:
    """Mean over futures with its standard error."""
    return {"mean": float(amounts.mean()), "standard_error": standard_error(amounts)}


def quantiles(amounts: Floats) -> Row:
    """The tenth, the middle and the ninth tenth of futures, and the mean of the worst tenth."""
    worst = np.sort(amounts)[::-1][: max(len(amounts) // 10, 1)]
    low, middle, high = np.quantile(amounts, (0.1, 0.5, 0.9), method="inverted_cdf")
    return {"p10": float(low), "p50": float(middle), "p90": float(high), "worst_tenth": float(worst.mean())}


def ratio_row(part: Floats, whole: Floats) -> Row:
    """A ratio of two sums over futures; its standard error by linearisation."""
    if whole.sum() == 0:
        return {"mean": 0.0, "standard_error": None}
    ratio = float(part.sum() / whole.sum())
    error = standard_error((part - ratio * whole) / whole.mean())
    return {"mean": ratio, "standard_error": error}


# children and beds


def quarters(found: Simulated) -> list[Row]:
    """Children by kind of source in each quarter: mean and range."""
    problem, outcome = found.problem, found.outcome
    first = month_number(problem.periods[0])
    months = outcome.children.shape[3]
    names = [month_name((first + month) // 3 * 3) for month in range(months)]
    by_source = outcome.children.sum(axis=1)
    kinds = np.array([KIND_OF[problem.source_kind(source)] for source in range(len(problem.sources))])
    rows = []
    for name in dict.fromkeys(names):
        inside = np.array([other == name for other in names])
        row: Row = {"quarter": name}
        for kind in KINDS:
            living = by_source[:, kinds == kind][:, :, inside].sum(axis=1).mean(axis=1)
            row[f"{kind}_expected"] = float(living.mean())
            row[f"{kind}_p10"], row[f"{kind}_p90"] = (
                float(value) for value in np.quantile(living, (0.1, 0.9), method="inverted_cdf")
            )
        rows.append(row)
    return rows


def occupancy(found: Simulated) -> list[Row]:
    """By source with beds of its own: share of whole beds filled, and bed-weeks empty (voids), those sold apart."""
    problem, outcome = found.problem, found.outcome
    weeks = month_weeks(found)
    rows = []
    for source in range(problem.unregistered):
        beds = outcome.beds[:, source]
        if problem.source_kind(source) == "spot" or not beds.any():
            continue
        filled = outcome.children[:, :, source].sum(axis=1)
        sold = outcome.sold[:, source]
        rows.append(
            {
                "source": problem.sources[source],
                "kind": KIND_OF[problem.source_kind(source)],
                "beds": float(beds.max(axis=1).mean()),
                "occupancy": ratio_row(filled @ weeks, beds @ weeks),
                "void_bed_weeks": mean_row(np.maximum(beds - filled - sold, 0.0) @ weeks),
                "sold_bed_weeks": mean_row(sold @ weeks),
            }
        )
    return rows


def in_area(found: Simulated) -> Row | None:
    """Share of child-weeks in places in the area; None where the instance has no band ``in-area``."""
    bands = {row.source: row.share for row in found.instance.bands if row.band == "in-area"}
    if not bands:
        return None
    share = np.array([bands.get(name, 0.0) for name in found.problem.sources])
    return _share_within(found, share, tuple(range(len(found.problem.cohorts))))


def local_limits(found: Simulated) -> list[Row]:
    """Each local limit beside the share simulated."""
    return [
        {"limit": limit.name, "minimum": limit.minimum, **_share_within(found, limit.share, limit.cohorts)}
        for limit in found.problem.local_limits
    ]


def _share_within(found: Simulated, share: Floats, cohorts: tuple[int, ...]) -> Row:
    near = share.copy()
    near[-1] = 0.0  # no registered home is never near
    child_weeks = found.outcome.children[:, list(cohorts)].sum(axis=1) @ month_weeks(found)
    return ratio_row(child_weeks @ near, child_weeks.sum(axis=1))


# when to go to the market


def when_to_go_to_market(found: Simulated) -> list[Row]:
    """By pool of beds and cohort: the occupancy above which the next child is bought a spot place.

    Of ``beds`` (those that can be filled at once, matched or not), ``keep`` are kept free for children whose spot places are
    dearer; so with ``above`` beds filled or more, the next child of the cohort is bought a spot place where one is to be had.
    """
    problem = found.problem
    rows = []
    for pool, members in enumerate(found.policy.pools):
        beds = found.outcome.beds[:, list(members)].sum(axis=1)
        if not beds.any() or problem.source_kind(members[0]) == "spot":
            continue
        most = round(float(np.median(beds.max(axis=1))))
        for cohort in np.flatnonzero(problem.allowed[:, members].any(axis=(1, 2))):
            keep = min(int(found.policy.protected[cohort, pool]), most)
            rows.append(
                {
                    "pool": pool_name(problem, members),
                    "sources": [problem.sources[source] for source in members if found.outcome.beds[:, source].any()],
                    "cohort": problem.cohorts[cohort],
                    "beds": most,
                    "keep": keep,
                    "above": most - keep,
                    "makes_room": bool(found.policy.makes_room[cohort, pool]),
                }
            )
    return rows


def pool_name(problem: Problem, members: tuple[int, ...]) -> str:
    """What the beds of a pool are: their kind, or the one source."""
    if len(members) == 1:
        return problem.sources[members[0]]
    return KIND_OF[problem.source_kind(members[0])]


def protection(found: Simulated) -> Row | None:
    """What the protection levels are worth on the futures simulated; None where none were searched."""
    if found.searched is None:
        return None
    saved = found.plain.objective_gbp - found.outcome.objective_gbp
    pounds = found.plain.cost_gbp - found.outcome.cost_gbp
    weeks = month_weeks(found)
    avoided = (found.plain.children - found.outcome.children)[:, :, -1].sum(axis=1) @ weeks
    levels = [
        {
            "pool": pool_name(found.problem, members),
            "cohort": found.problem.cohorts[cohort],
            "keep": int(found.policy.protected[cohort, pool]),
            "makes_room": bool(found.policy.makes_room[cohort, pool]),
        }
        for pool, members in enumerate(found.policy.pools)
        for cohort in np.flatnonzero(found.policy.protected[:, pool])
    ]
    return {
        "levels": levels,
        "tried": found.searched.tried,
        "objective_saved_gbp": mean_row(saved),
        "cost_saved_gbp": mean_row(pounds),
        "unregistered_child_weeks_avoided": mean_row(avoided),
    }


# against the optimiser, and against each other


def foresight_row(found: Simulated) -> Row | None:
    """The foresight gap; None where the optimiser was not asked."""
    gap = found.foresight
    if gap is None:
        return None
    weeks = gap.simulated_child_weeks - gap.optimised_child_weeks
    return {
        "futures": len(gap.simulated_gbp),
        "simulated_gbp": float(gap.simulated_gbp.mean()),
        "optimiser_gbp": float(gap.optimised_gbp.mean()),
        "gap_gbp": {"mean": gap.gap_gbp, "standard_error": gap.gap_error_gbp},
        "gap_share": gap.gap_share,
        "taken_apart": None
        if gap.apart is None
        else {
            "matching_gbp": mean_row(gap.apart.matching_gbp),
            "whole_children_gbp": mean_row(gap.apart.whole_gbp),
            "not_knowing_ahead_gbp": mean_row(gap.apart.unknown_gbp),
        },
        "unregistered_child_weeks_gap": mean_row(weeks),
        "optimiser_in_periods_gbp": float(gap.in_periods_gbp.mean()),
        "periods_gbp": {"mean": gap.periods_gbp, "standard_error": gap.periods_error_gbp},
    }


def calibration_row(found: Calibration) -> Row:
    """Matching occupancy as it was and as it comes out of the simulation."""
    return {
        "futures": found.futures,
        "sources": [asdict(source) for source in found.sources],
        "gaps": [
            {
                "option": name,
                "before_gbp": {"mean": before[0], "standard_error": before[1]},
                "after_gbp": {"mean": found.gap_after[name][0], "standard_error": found.gap_after[name][1]},
            }
            for name, before in found.gap_before.items()
        ],
    }


def differences(simulated: dict[str, Simulated]) -> list[Row]:
    """Cost of each option less that of the cheapest, future by future, so that what they share cancels."""
    best = min(simulated.values(), key=lambda found: float(found.outcome.cost_gbp.mean())).outcome.cost_gbp
    return [
        {"option": name, "above_cheapest_gbp": mean_row(found.outcome.cost_gbp - best)}
        for name, found in simulated.items()
    ]


def titles_by_option(instance: Instance) -> dict[str, str]:
    """Options of an instance in words, and the optimised plan."""
    return {row.option: row.title for row in instance.options} | {"optimised": "Optimised plan"}
