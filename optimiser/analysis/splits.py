"""Joint procurement: how the bill may be shared, and who would be better off alone.

The game is played in what the plans minimise: expected pounds plus the deterrent on having no registered place, since only
that has a bound. No council can be invoiced for a deterrent: each bears that of its own children, and bills are the
shares less it. They add up to the pounds of the joint plan.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from models.problem import Problem
from optimiser.analysis.games import CostGame, Floats
from optimiser.analysis.groups import CLAIMED, EVERY_GROUP, Game, play, smallest_saving
from optimiser.analysis.planning import Asked, Told, instance_row, rounding, versions
from optimiser.analysis.rules import all_rules, refuse_unless_it_adds_up
from optimiser.analysis.verdicts import (
    AT_INCUMBENTS,
    FOR_ALL_VALUES,
    Leaving,
    Verdict,
    core_of,
    dearer_than_alone,
    dearer_together,
    verdict,
)
from optimiser.errors import NoPlanError
from optimiser.instance.schema import Instance
from optimiser.plan import Plan, Row, decisions_table, in_words, titles_of
from optimiser.solve.engine import stopped_by_hand
from optimiser.verify import pounds_by_source

#: Rules whose bill in each future is a fixed part of what the plan costs in it; the others are use and a fixed payment.
FIXED_PARTS = ("equal", "by_demand", "proportional")
PAYS_FOR_USE = "use"


# who uses what


@dataclass(frozen=True, eq=False)
class Use:
    """What each council's own children and its part of shared beds cost, by future.

    Parameters
    ----------
    present : present real £, [scenario, authority]
    by_year : expected, nominal £, [authority, year]
    voids : expected nominal £ of shared beds paid for and empty, [authority]
    """

    present: Floats
    by_year: Floats
    voids: Floats


def use_of(plan: Plan) -> Use:
    """Each pays for what it uses, under the access rule that beds of shared contracts are to be had pro rata to demand.

    In each future and period a council's claim to a shared source is its part of the children who may live there. What
    the source costs anyway, voids included, is paid by claim. A council whose children hold more of its filled beds than
    its claim pays the others what a week of spot purchase costs on average then: it is their children who are elsewhere.
    So nobody's bill hangs on which of two equally dear placements the plan happens to choose, and the bills add up.
    """
    problem = plan.problem
    placed = np.array([each.placed for each in plan.solution.placements])  # [scenario, cohort, source, period]
    belongs = (problem.cohort_authority[:, None] == np.arange(len(problem.authorities))).astype(float)
    bill = plan.verified.ledger.nominal.sum(axis=1)  # [scenario, authority, period]
    anyway, by_use = pounds_by_source(problem, plan.decisions, plan.solution.placements)
    spots = slice(problem.spot_source, problem.unregistered)
    spot_weeks = placed[:, :, spots].sum(axis=(1, 2)) * problem.weeks
    spot_pounds = by_use[:, spots].sum(axis=1)
    price = np.divide(spot_pounds, spot_weeks, out=np.zeros_like(spot_pounds), where=spot_weeks > 1e-9)
    voids = np.zeros(len(problem.authorities))
    for source in range(problem.spot_source):
        may = problem.allowed[:, source]
        owners = {int(a) for a in problem.cohort_authority[may.any(axis=1)]}
        if len(owners | set(problem.members(source))) < 2:
            continue
        here = np.einsum("scrt,ct,ca->sat", placed, may, belongs)
        total = here.sum(axis=1, keepdims=True)
        claim = np.divide(here, total, out=np.zeros_like(here), where=total > 1e-9)
        claim = np.where(total > 1e-9, claim, problem.cost_share[source][None, :, None])
        bill += anyway[:, None, source] * (claim - problem.cost_share[source][None, :, None])
        own = np.einsum("sct,ca->sat", placed[:, :, source], belongs)
        filled = own.sum(axis=1, keepdims=True)
        bill += (own - claim * filled) * (problem.weeks * price)[:, None, :]
        voids += np.einsum("s,sat->a", plan.probability, claim * _void_pounds(plan, source, filled)[:, None, :])
    worth = problem.present_value
    expected = np.einsum("s,sat->at", plan.probability, bill)
    by_year = np.stack(
        [expected[:, problem.period_year == year].sum(axis=1) for year in range(len(problem.financial_years))], axis=1
    )
    return Use(bill @ worth, by_year, voids)


def _void_pounds(plan: Plan, source: int, filled: Floats) -> Floats:
    """What a source's beds cost that are paid for and empty, nominal £, [scenario, period]."""
    problem = plan.problem
    if problem.source_kind(source) != "lot":
        return np.zeros((len(problem.scenarios), len(problem.periods)))
    paid, price = plan.guaranteed(source - problem.lot_source)
    return np.maximum(paid - filled[:, 0], 0.0) * price * problem.weeks


# bills


def bills(game: Game) -> dict[str, Row]:
    """Every rule's bills: expected, in the futures, year by year, and what they say of voids; present real £ unless said."""
    costs, plan, everyone = game.costs, game.joint, game.everyone
    own = np.array(everyone.deterrent)
    use = use_of(plan)
    shares = {PAYS_FOR_USE: refuse_unless_it_adds_up(costs, plan.probability @ use.present + own, PAYS_FOR_USE)}
    shares |= all_rules(costs)
    return {
        name: bill_row(game, use, name, share, verdict_row(costs, verdict(costs, share)))
        for name, share in shares.items()
    }


def bill_row(game: Game, use: Use, rule: str, share: Floats, found: Row) -> Row:
    """One rule's bills from its shares [authority] of what is minimised, with its verdict."""
    plan, own = game.joint, np.array(game.everyone.deterrent)
    problem = plan.problem
    pounds = plan.scenario_pounds
    bill = share - own  # [authority]
    total = float(plan.probability @ pounds)
    by_year = plan_years(plan)
    if rule in FIXED_PARTS:
        part = bill / total
        futures = pounds[:, None] * part
        years = by_year[None, :] * part[:, None]
        voids = use.voids.sum() * part
    else:
        payment = bill - plan.probability @ use.present
        futures = use.present + payment
        years = use.by_year + payment[:, None] * (by_year / total)
        voids = use.voids
    partners = {}
    ledger = np.einsum("s,stap,p->a", plan.probability, plan.verified.ledger.nominal, problem.present_value)
    for place, name in enumerate(problem.authorities):
        alone = game.solved[1 << place]
        partners[name] = {
            "bill_gbp": float(bill[place]),
            "p10_gbp": plan.quantile(futures[:, place], 0.1),
            "p90_gbp": plan.quantile(futures[:, place], 0.9),
            "alone_gbp": alone.pounds,
            "alone_p10_gbp": plan.quantile(np.array(alone.scenario_pounds), 0.1),
            "alone_p90_gbp": plan.quantile(np.array(alone.scenario_pounds), 0.9),
            "saving_gbp": alone.pounds - float(bill[place]),
            "better_off_gbp": alone.objective - float(share[place]),
            "better_off_least_gbp": alone.bound - float(share[place]),
            "settled_gbp": float(
                (bill if rule in FIXED_PARTS else plan.probability @ use.present)[place] - ledger[place]
            ),
            "balancing_payment_gbp": None if rule in FIXED_PARTS else float(payment[place]),
            "voids_gbp": float(voids[place]),
            "years_gbp": {year: float(years[place, at]) for at, year in enumerate(problem.financial_years)},
            "futures_gbp": futures[:, place].tolist(),
        }
    return {
        "partners": partners,
        "bill_in_each_future": "a fixed part of the cost" if rule in FIXED_PARTS else "own use and a fixed payment",
        "verdict": found,
    }


def plan_years(plan: Plan) -> Floats:
    """Expected cost by financial year, nominal £, [year]."""
    return np.array([row["nominal_gbp"] for row in plan.money_by_year()])


def verdict_row(costs: CostGame, found: Verdict) -> Row:
    """A verdict with names for coalitions."""

    def row(each: Leaving) -> Row:
        return {"group": costs.name_of(each.coalition), "gain_gbp": each.gain, "gain_at_most_gbp": each.most}

    return {
        "nobody_leaves": found.nobody_leaves,
        "nobody_worse_off": found.nobody_worse_off,
        "leaving": [row(each) for each in found.leaving[:10]],
        "groups_leaving": len(found.leaving),
        "worse_off": [row(each) for each in found.worse_off],
    }


def core_row(costs: CostGame) -> Row:
    """Whether the core is empty, by how much, and how sure that is."""
    found = core_of(costs)
    return {
        "empty": found.empty,
        "least_core_epsilon_gbp": found.excess,
        "least_gbp": found.least,
        "most_gbp": found.most,
        "holds": found.sure,
    }


def mergers(costs: CostGame, game: Game | None) -> list[Row]:
    """Pairs of groups whom merging makes dearer, with what they have to share then where there is a model."""
    titles = {} if game is None else titles_of(game.instance)
    rows = []
    for each in dearer_together(costs):
        rows.append(
            {
                "one": costs.name_of(each.one),
                "other": costs.name_of(each.other),
                "dearer_gbp": each.dearer,
                "certain": each.least > 0,
                "shared_limits": [] if game is None else shared_limits(game.problem, titles, each.one, each.other),
            }
        )
    return rows


def shared_limits(problem: Problem, titles: Mapping[str, str], one: int, other: int) -> list[str]:
    """Limits that each of two groups has whole to itself, and both together only once; items by their ``titles``."""

    def called(name: str) -> str:
        return f"‘{titles.get(name, in_words(name))}’"

    def inside(authorities: Sequence[int], coalition: int) -> bool:
        return any(coalition >> authority & 1 for authority in authorities)

    def both(authorities: Sequence[int]) -> bool:
        return inside(authorities, one) and inside(authorities, other)

    found = []
    for lot, name in enumerate(problem.lots):
        if both(problem.members(problem.lot_source + lot)):
            found.append(f"{called(name)}: at most {int(problem.lot_maximum[lot])} beds")
    for group in problem.lot_groups:
        members = {a for lot in group.members for a in problem.members(problem.lot_source + lot)}
        if both(sorted(members)):
            found.append(f"{called(group.name)}: at most {group.limit} of its lots")
    for spot, name in enumerate(problem.spots):
        limited = np.isfinite(problem.scenarios[0].spot_layer_beds[spot]).any()
        if limited and both(problem.members(problem.spot_source + spot)):
            found.append(f"{called(name)}: places on offer at each price")
    for group in problem.home_groups:
        if both([int(problem.home_authority[home]) for home in group.members]):
            found.append(f"{called(group.name)}: at most {group.limit} homes")
    for envelope in problem.envelopes:
        if both([int(problem.home_authority[home]) for home in envelope.homes]):
            found.append(f"{called(envelope.name)}: the capital envelope")
    if problem.registrations_limit is not None and len(problem.homes):
        found.append(f"at most {problem.registrations_limit} registrations in hand")
    if problem.managers is not None:
        found.append("registered managers to be recruited")
    return found


def if_another_leaves(game: Game) -> list[Row]:
    """What each bill becomes if one partner leaves and the others plan on, by rule; present real £."""
    costs, partners = game.costs, len(game.problem.authorities)
    rows = []
    for gone in range(partners):
        rest = [place for place in range(partners) if place != gone]
        subsets = [sum(1 << rest[place] for place in range(len(rest)) if s >> place & 1) for s in range(1 << len(rest))]
        left = CostGame(
            tuple(game.problem.authorities[place] for place in rest),
            costs.cost[subsets],
            costs.bound[subsets],
            game.demand[rest],
        )
        own = np.array(game.solved[subsets[-1]].deterrent)[rest]
        found = all_rules(left)
        rows.append(
            {
                "leaves": game.problem.authorities[gone],
                "bills": {
                    rule: dict(zip(left.partners, (share - own).tolist(), strict=True)) for rule, share in found.items()
                },
            }
        )
    return rows


# documents


def game_document(costs: CostGame) -> Row:
    """Rules and verdicts of a cost game from a file."""
    found = all_rules(costs)
    return {
        "document": "split/1",
        "partners": list(costs.partners),
        "total_gbp": costs.total,
        "alone_gbp": dict(zip(costs.partners, costs.alone.tolist(), strict=True)),
        "rules": {rule: dict(zip(costs.partners, share.tolist(), strict=True)) for rule, share in found.items()},
        "verdicts": {rule: verdict_row(costs, verdict(costs, share)) for rule, share in found.items()},
        "demand_child_weeks": None
        if costs.demand is None
        else dict(zip(costs.partners, costs.demand.tolist(), strict=True)),
        "core": core_row(costs),
        "dearer_than_alone": [costs.partners[place] for place in dearer_than_alone(costs)],
        "dearer_together": mergers(costs, None),
    }


def split(
    instance: Instance,
    asked: Asked,
    told: Told | None = None,
    *,
    folder: Path | None = None,
    workers: int = 2,
    orders: int = 40,
    resale: float | None = None,
    entitled: bool = True,
) -> Row:
    """Who should join, who pays what under every rule, and would anyone be better off alone."""
    told = told or Told()
    with stopped_by_hand() as stop, _saying_where(folder):
        if len(instance.authorities) > EVERY_GROUP:
            from optimiser.analysis.generation import split_many

            return split_many(
                instance,
                asked,
                told,
                folder=folder,
                workers=workers,
                orders=orders,
                resale=resale,
                entitled=entitled,
                stop=stop,
            )
        game = play(instance, asked, told, folder=folder, workers=workers, stop=stop)
        told.step("sharing the bill")
        document = split_document(game, asked)
        if entitled and not stop.is_set():
            from optimiser.analysis.entitlements import entitlements

            document["entitlements"] = entitlements(game, gap=asked.gap, resale=resale, told=told.step)
    return document


@contextmanager
def _saying_where(folder: Path | None) -> Iterator[None]:
    """Where a run is stopped: that what is finished is kept, and where."""
    try:
        yield
    except NoPlanError as error:
        if folder is None:
            raise
        raise NoPlanError(
            f"{error} What is finished is kept in {folder}: the same command goes on from there."
        ) from None


def split_document(game: Game, asked: Asked) -> Row:
    """The document of a split."""
    costs = game.costs
    found = bills(game)
    return {
        **common_rows(game, asked, found),
        "core": core_row(costs),
        "dearer_than_alone": [costs.partners[place] for place in dearer_than_alone(costs)],
        "dearer_together": mergers(costs, game),
        "if_another_leaves": if_another_leaves(game),
        "estimated": {},
        "entitlements": None,
    }


def common_rows(game: Game, asked: Asked, found: dict[str, Row]) -> Row:
    """What a document says whether every group has been planned for or only some."""
    problem, everyone = game.problem, game.everyone
    alone = np.array([game.solved[1 << place].objective for place in range(len(problem.authorities))])
    inside = {c: [place for place in range(len(alone)) if c >> place & 1] for c in game.solved}
    gaps = [solved.objective - solved.bound for solved in game.solved.values()]
    smallest = smallest_saving(problem, game.solved)
    return {
        "document": "split/1",
        "instance": instance_row(game.instance),
        "futures": len(problem.scenarios),
        "seed": game.instance.settings.seed if asked.seed is None else asked.seed,
        "partners": list(problem.authorities),
        "titles": {row.authority: row.title for row in game.instance.authorities},
        "demand_child_weeks": dict(zip(problem.authorities, game.demand.tolist(), strict=True)),
        "total_gbp": everyone.pounds,
        "objective_gbp": everyone.objective,
        "bound_gbp": everyone.bound,
        "rounding_gbp": min(rounding(everyone.pounds), 10_000.0),
        "terms": [row for row in game.joint.terms_table() if row["nominal_gbp"]],
        "decisions": decisions_table(problem, game.joint.decisions, game.joint),
        "item_titles": titles_of(game.instance),
        "groups": [
            {
                "group": "+".join(problem.authorities[place] for place in inside[solved.coalition]),
                "pounds_gbp": solved.pounds,
                "deterrent_gbp": sum(solved.deterrent),
                "terms": list(solved.terms),
                "alone_gbp": float(alone[inside[solved.coalition]].sum()),
                "objective_gbp": solved.objective,
                "bound_gbp": solved.bound,
                "gap_gbp": solved.objective - solved.bound,
                "saving_gbp": float(alone[inside[solved.coalition]].sum()) - solved.objective,
                "child_weeks_unregistered": sum(solved.child_weeks),
            }
            for solved in game.solved.values()
        ],
        "largest_gap_gbp": max(gaps),
        "smallest_saving_gbp": smallest,
        "gaps_close_enough": smallest > 0 and max(gaps) <= CLAIMED * smallest,
        "unregistered": {
            name: {"alone": game.solved[1 << place].child_weeks[place], "together": everyone.child_weeks[place]}
            for place, name in enumerate(problem.authorities)
        },
        "rules": {
            rule: {name: row["bill_gbp"] for name, row in each["partners"].items()} for rule, each in found.items()
        },
        "bills": found,
        "verdicts": {rule: each["verdict"] for rule, each in found.items()},
        "access_rule": "pro rata to demand",
        "taken_up": game.taken,
        "sure": {"all": FOR_ALL_VALUES, "found": AT_INCUMBENTS},
        "versions": versions(),
        "timings": {
            "total_seconds": game.seconds,
            "together_seconds": everyone.seconds,
            "groups_seconds": sum(solved.seconds for solved in game.solved.values()),
        },
    }
