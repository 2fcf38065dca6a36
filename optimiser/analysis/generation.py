"""More partners than every group of them can be planned for: sampled orders, and groups found by the program itself.

Which group would gain most by leaving a given split is one stochastic program: the program of the joint plan with joining
free and each council's bill taken off what it costs. So least core and nucleolus are found from the few groups that matter.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from models.problem import within
from optimiser.analysis.entitlements import entitlements, plans_needed
from optimiser.analysis.games import Floats, Ints, in_proportion
from optimiser.analysis.groups import (
    AT_FIRST,
    CLOSEST,
    Clock,
    Game,
    Groups,
    Solved,
    Store,
    demand_of,
    plan_all,
    prepared,
)
from optimiser.analysis.nucleolus import Generated, generated
from optimiser.analysis.planning import Asked, Told
from optimiser.analysis.rules import coalitions_of, sampled_orders, shapley_sampled, with_remainder
from optimiser.analysis.splits import FIXED_PARTS, PAYS_FOR_USE, bill_row, common_rows, shared_limits, use_of
from optimiser.analysis.verdicts import AT_INCUMBENTS, FOR_ALL_VALUES, NO
from optimiser.errors import NoPlanError, SolverError
from optimiser.instance.schema import Instance
from optimiser.plan import Plan, Row
from optimiser.solve.engine import Engine
from optimiser.solve.engine import Row as Rule
from optimiser.solve.executor import executor
from optimiser.verify import verify

#: Share of the whole cost to which the gain of a group that would leave is found.
EXACTLY = CLOSEST
#: Searches for groups that would leave, for each partner, after which a rule looks at groups that are known only.
SEARCHES = {"least_core": 1.5, "nucleolus": 0.5, "per_capita_nucleolus": 0.5}
#: Seconds of a search against the first of all.
AGAINST_FIRST = 1.0
#: Part of the most that any group may gain beyond a level for which a group is taken: on the way to a rule; in a verdict.
ON_THE_WAY, IN_A_VERDICT = 0.5, 0.95
#: Groups beside one that gains, planned for with it.
BESIDE = 4
#: Least core and nucleoli are found to within this share of what all save together.
WITHIN = 0.005
#: Groups in the span of the settled that are shut out one by one before the span is shut out by its equations.
ONE_BY_ONE = 30
#: Pairs of groups named whom merging makes dearer.
NAMED = 10


class Many:
    """A game of many partners, planned for group by group as somebody asks; every answer is kept."""

    def __init__(
        self,
        groups: Groups,
        gap: float,
        *,
        solved: dict[int, Solved] | None = None,
        store: Store | None = None,
        told: Told | None = None,
        stop: threading.Event | None = None,
    ) -> None:
        self.groups, self.gap, self.stop = groups, gap, stop
        self.partners, self.everyone = len(groups.problem.authorities), groups.everyone
        self.store, self.told = store, told or Told()
        self.solved: dict[int, Solved] = {} if solved is None else solved
        self.costs: dict[int, float] = {}  # of groups planned for since a rule was begun
        self.searches = 0
        self.searching = 0.0  # seconds
        self.most_searches = np.inf  # after so many, only groups that are known are looked at
        self.cut_short = False  # whether that has happened
        self.most_left = 0.0  # £ by which the last search's bound lies above the level that it was for
        self.left_open = 0.0  # £ by which a search's bound on a gain lies above what a plan bears out

    def group(self, coalition: int) -> Solved:
        """One group's plan."""
        if coalition not in self.solved:
            if self.stop is not None and self.stop.is_set():
                raise NoPlanError("Stopped before every group that matters had a plan.")
            self.solved[coalition], _, learned = self.groups.plan(coalition, self.gap, self.stop)
            self.groups.family.learn(learned)
            self.costs[coalition] = self.solved[coalition].objective
            if self.store is not None:
                self.store.save(self.solved)
        return self.solved[coalition]

    def cost_of(self, coalition: int) -> float:
        """What a group minimises, at the plan found."""
        return self.group(coalition).objective

    def excess(self, paid: Floats, coalition: int) -> float:
        """What a group gains by leaving when partners pay so much, £ [partner]."""
        return float(paid[self.members(coalition)].sum()) - self.cost_of(coalition)

    def members(self, coalition: int) -> list[int]:
        """Places of a group's members."""
        return [partner for partner in range(self.partners) if coalition >> partner & 1]

    def would_gain_most(
        self, paid: Floats, rules: tuple[Rule, ...] = (), *, beyond: float = -np.inf, part: float = np.inf
    ) -> tuple[int | None, float] | None:
        """The group that gains most by leaving when partners pay so much, £ [partner], and what no group gains more than.

        None where no group keeps the rules; no group where none gains more than ``beyond``.
        """
        began = time.perf_counter()
        found = self.groups.gains_most(paid, EXACTLY, rules, self.stop, beyond=beyond, part=part)
        self.searches, self.searching = self.searches + 1, self.searching + time.perf_counter() - began
        self.told.step(
            f"looked {self.searches} times for groups that would leave, {len(self.solved)} groups planned for"
        )
        return found

    def oracle(self, paid: Floats, kernel: Ints, level: float, per_capita: bool) -> tuple[int, float] | None:
        """A group outside the span of what is settled that gains more than a level, with its cost, £; None where none does.

        Where excesses count per member, a group gains more than the level just where it gains anything once every bill is
        less by the level (Dinkelbach, 1967): no loop over sizes is needed. Groups in the span are shut out one by one as
        they are found; where they are many, by the equations of the span.
        """
        if per_capita and np.isfinite(level):
            paid, level = paid - level, 0.0
        shut: list[Rule] = []
        while len(shut) < ONE_BY_ONE:
            if self.searches >= self.most_searches:
                # from here on only groups that are known are looked at
                self.cut_short = True
                return None
            found = self.would_gain_most(paid, tuple(shut), beyond=level, part=ON_THE_WAY)
            if found is None or found[0] is None:
                return None
            coalition, self.most_left = found[0], found[1] - level
            inside = np.array([coalition >> partner & 1 for partner in range(self.partners)])
            if (inside @ kernel != 0).any():
                return self._if_beyond(paid, coalition, level, found[1])
            shut.append(self._other_than(coalition))
        for rules in self._outside(kernel):
            if self.searches >= self.most_searches:
                self.cut_short = True
                return None
            found = self.would_gain_most(paid, rules, beyond=level, part=ON_THE_WAY)
            if found is not None and found[0] is not None:
                known = self._if_beyond(paid, found[0], level, found[1])
                if known is not None:
                    return known
        return None

    def _if_beyond(self, paid: Floats, coalition: int, level: float, most: float) -> tuple[int, float] | None:
        """The group and its cost, if the plan made for it bears out what the search says; ``most`` is the search's bound."""
        if self.excess(paid, coalition) > level:
            self._beside(paid, coalition, level)
            return coalition, self.cost_of(coalition)
        self.left_open = max(self.left_open, most - level)
        return None

    def _beside(self, paid: Floats, coalition: int, level: float) -> None:
        """Plan for the groups beside one, a member more or less, that may gain beyond the level too: cheaper than a search."""
        found = []
        for partner in range(self.partners):
            other = coalition ^ 1 << partner
            if 0 < other < self.everyone and other not in self.solved:
                gain = float(paid[self.members(other)].sum()) - self.groups.cost_about(other)
                found.append((gain, other))
        for gain, other in sorted(found, reverse=True)[:BESIDE]:
            if gain > level:
                self.group(other)

    def _other_than(self, coalition: int) -> Rule:
        """Somebody joins who is not in a group, or somebody of it does not."""
        factors: dict[tuple[str, object], float] = {
            ("joined", partner): -1.0 if coalition >> partner & 1 else 1.0 for partner in range(self.partners)
        }
        return Rule(factors, 1.0 - coalition.bit_count(), np.inf)

    def _outside(self, kernel: Ints) -> list[tuple[Rule, ...]]:
        """Rules, one set after the other, that together allow every group outside the span.

        A group is outside where its product with some vector of the kernel is not zero: a whole number, so at least one or
        at most minus one.
        """
        found: list[tuple[Rule, ...]] = []
        for vector in kernel.T:
            factors: dict[tuple[str, object], float] = {
                ("joined", partner): float(value) for partner, value in enumerate(vector) if value
            }
            found += [(Rule(factors, 1.0, np.inf),), (Rule(factors, -np.inf, -1.0),)]
        return found


def split_many(
    instance: Instance,
    asked: Asked,
    told: Told | None = None,
    *,
    folder: Path | None = None,
    workers: int = 2,
    orders: int = 40,
    resale: float | None = None,
    entitled: bool = True,
    stop: threading.Event | None = None,
) -> Row:
    """A split among more partners than every group of them can be planned for.

    Equal, by demand, in proportion, separable costs and by use are exact to the gaps of the plans they rest on; least core
    and both nucleoli are found by coalition generation, to within a stated sum; the Shapley value is estimated from sampled
    orders. How long the whole should take is told once each council alone has been planned for.
    """
    told = told or Told()
    began = time.perf_counter()
    told.step("drawing futures and building the model")
    problem = prepared(instance, asked)
    store = Store(folder, instance, problem, asked)
    solved = dict(store.known)
    groups, gap = Groups(Engine(problem)), min(asked.gap, AT_FIRST)
    partners, everyone = len(problem.authorities), groups.everyone
    told.step("planning for all councils together")
    solved[everyone], found, learned = groups.plan(everyone, gap, stop)
    groups.family.learn(learned)
    joint = within(problem, range(partners))
    plan = Plan(instance, joint, found, verify(joint, found.decisions, found.placements))
    game = Many(groups, gap, solved=solved, store=store, told=told, stop=stop)
    demand, seed = demand_of(problem), asked.seed or 1
    alone_first = [1 << partner for partner in range(partners)]
    needed = {everyone - one for one in alone_first}
    needed |= {coalition for order in sampled_orders(partners, orders, seed) for coalition in coalitions_of(order)}
    further = sorted(needed - set(alone_first) - {everyone}, key=lambda c: (-c.bit_count(), c))
    made = Game(instance, joint, solved, plan, groups, demand, len(store.known), 0.0)
    with executor(asked.cluster, workers) as pool:
        clock = Clock(told, partners)
        plan_all(pool, groups, [c for c in alone_first if c not in solved], gap, solved, store, clock, stop)
        alone = np.array([game.cost_of(one) for one in alone_first])
        total = game.cost_of(everyone)
        game.would_gain_most(total * alone / alone.sum(), beyond=0.0, part=IN_A_VERDICT)
        expected = _expected(game, clock, began, [c for c in further if c not in solved], made if entitled else None)
        told.step(f"the whole should take some {expected:.0f} seconds")
        plan_all(
            pool,
            groups,
            [c for c in further if c not in solved],
            gap,
            solved,
            store,
            Clock(told, len(further)),
            stop,
        )
    shapley = shapley_sampled(partners, game.cost_of, orders=orders, seed=seed)
    tolerance = max(2 * EXACTLY * abs(total), WITHIN * (float(alone.sum()) - total))
    levels, short = _generated(game, alone, total, tolerance, searches=True)
    shares = _shares(game, alone, total, demand) | {
        "shapley": shapley.shares,
        **{rule: own.shares + (total - float(own.shares.sum())) / partners for rule, own in levels.items()},
    }
    store.save(game.solved, at_once=True)
    use = use_of(plan)
    shares = {PAYS_FOR_USE: plan.probability @ use.present + np.array(solved[everyone].deterrent), **shares}
    rows = {}
    for rule, share in shares.items():
        told.step(f"looking for groups that would leave: {rule}")
        rows[rule] = bill_row(made, use, rule, share, _verdict(game, share))
    excess = levels["least_core"].excess
    most = excess + tolerance + game.left_open
    own_gap = solved[everyone].objective - solved[everyone].bound
    owed = entitlements(made, gap=gap, resale=resale, told=told.step) if entitled else None
    seconds = time.perf_counter() - began
    made = Game(instance, joint, solved, plan, groups, demand, len(store.known), seconds)
    document = common_rows(made, asked, rows)
    document["timings"] |= {
        "expected_seconds": expected,
        "searches": game.searches,
        "searching_seconds": game.searching,
    }
    return {
        **document,
        "core": {
            "empty": excess > tolerance,
            "least_core_epsilon_gbp": excess,
            "least_gbp": excess - own_gap,
            "most_gbp": most,
            "holds": FOR_ALL_VALUES if excess - own_gap > tolerance or most <= 0 else AT_INCUMBENTS,
        },
        "dearer_than_alone": [
            problem.authorities[partner]
            for partner, one in enumerate(alone_first)
            if total - game.cost_of(everyone - one) > alone[partner] + 1e-9 * abs(total)
        ],
        "dearer_together": _mergers(game, document["item_titles"]),
        "if_another_leaves": _if_another_leaves(game, demand),
        "entitlements": owed,
        "estimated": {
            "shapley": {
                "orders": shapley.orders,
                "standard_error_gbp": dict(zip(problem.authorities, shapley.standard_error.tolist(), strict=True)),
            },
            "generated": {
                "within_gbp": tolerance,
                "groups_planned": len(solved),
                "rounds": {rule: own.rounds for rule, own in levels.items()},
                "cut_short": [rule for rule, own in short.items() if own],
            },
        },
    }


def _expected(game: Many, clock: Clock, began: float, further: list[int], entitled: Game | None) -> float:
    """Seconds that the whole should take, from what each council alone and the first search have taken."""
    # councils alone come first, when little has been learned: what comes after them takes less
    plans = len(further) * GROUP_AGAINST_ALONE * clock.seconds_each
    if entitled is not None:
        plans += plans_needed(entitled) * ENTITLED_AGAINST_ALONE * clock.seconds_each
    searches = sum(SEARCHES.values()) * game.partners + RULES_JUDGED
    return time.perf_counter() - began + plans + searches * AGAINST_FIRST * game.searching / max(game.searches, 1)


#: Rules on which a verdict is given, by one search each.
RULES_JUDGED = 9
#: Seconds that a group of the sampled orders takes, and one council with beds of its own, against each alone at the start.
GROUP_AGAINST_ALONE, ENTITLED_AGAINST_ALONE = 0.4, 0.2


def _generated(
    game: Many, alone: Floats, total: float, tolerance: float, *, searches: bool = False
) -> tuple[dict[str, Generated], dict[str, bool]]:
    """Least core and nucleoli from the groups that matter, each begun with all that are known; and which were cut short.

    With ``searches`` there is an end to searches: from then on a rule is that of the groups known.
    """
    found, short = {}, {}
    for rule, per_capita, rounds in (
        ("least_core", False, 1),
        ("nucleolus", False, None),
        ("per_capita_nucleolus", True, None),
    ):
        game.told.step(f"finding the groups that decide: {rule.replace('_', ' ')}")
        game.cut_short = False
        if searches:
            game.most_searches = game.searches + SEARCHES[rule] * game.partners
        game.costs = {coalition: solved.objective for coalition, solved in game.solved.items()}
        found[rule] = generated(
            alone,
            total,
            game.oracle,
            per_capita=per_capita,
            rounds=rounds,
            within_alone=rule != "least_core",
            known=game.costs,
            tolerance=tolerance,
        )
        short[rule] = game.cut_short
        if rule == "least_core" and game.cut_short:
            game.left_open = max(game.left_open, game.most_left)
    game.most_searches = np.inf
    return found, short


def _shares(game: Many, alone: Floats, total: float, demand: Floats) -> dict[str, Floats]:
    """Shares by the rules that need each council alone and all others without it."""
    partners = len(alone)
    separable = np.array([total - game.cost_of(game.everyone - (1 << partner)) for partner in range(partners)])
    return {
        "equal": np.full(partners, total / partners),
        "by_demand": in_proportion(total, demand),
        "proportional": in_proportion(total, alone),
        "scrb": with_remainder(total, alone, separable),
    }


def _verdict(game: Many, share: Floats) -> Row:
    """Who gains most by leaving a split, found by one search; nobody at all where its bound says so."""
    names = game.groups.problem.authorities
    found = game.would_gain_most(share, beyond=0.0, part=IN_A_VERDICT)
    if found is None:
        raise SolverError("no group of councils without the others keeps every limit")
    if found[0] is not None:
        game.group(found[0])
    gains = {each: game.excess(share, each) for each in game.solved if each != game.everyone}
    noise = 1e-9 * abs(float(share.sum()))
    leaving = sorted((c for c, gain in gains.items() if gain > noise), key=lambda c: (-gains[c], c))

    def row(each: int) -> Row:
        at_most = float(share[game.members(each)].sum()) - game.solved[each].bound
        return {
            "group": "+".join(names[partner] for partner in game.members(each)),
            "gain_gbp": gains[each],
            "gain_at_most_gbp": at_most,
        }

    single = [1 << partner for partner in range(game.partners)]
    worse = [c for c in single if gains[c] > noise]
    sure = all(float(share[place]) <= game.solved[c].bound + noise for place, c in enumerate(single))
    return {
        "nobody_leaves": NO if leaving else FOR_ALL_VALUES if found[0] is None else AT_INCUMBENTS,
        "nobody_worse_off": NO if worse else FOR_ALL_VALUES if sure else AT_INCUMBENTS,
        "leaving": [row(each) for each in leaving[:10]],
        "groups_leaving": len(leaving),
        "worse_off": [row(each) for each in worse],
        "gain_of_any_at_most_gbp": max(found[1], 0.0),
    }


def _if_another_leaves(game: Many, demand: Floats) -> list[Row]:
    """What each bill becomes if one partner leaves, under the rules that need no further groups; present real £."""
    names, rows = game.groups.problem.authorities, []
    alone = np.array([game.cost_of(1 << partner) for partner in range(game.partners)])
    for gone in range(game.partners):
        rest = [partner for partner in range(game.partners) if partner != gone]
        left = game.group(game.everyone - (1 << gone))
        own = np.array(left.deterrent)[rest]
        weights = {"equal": np.ones(len(rest)), "by_demand": demand[rest], "proportional": alone[rest]}
        bills = {rule: in_proportion(left.objective, weights[rule]) - own for rule in FIXED_PARTS}
        rows.append(
            {
                "leaves": names[gone],
                "bills": {
                    rule: {names[partner]: float(bill) for partner, bill in zip(rest, each, strict=True)}
                    for rule, each in bills.items()
                },
            }
        )
    return rows


def _mergers(game: Many, titles: Mapping[str, str]) -> list[Row]:
    """Pairs of groups planned for whom merging makes dearer, the worst of them, with what they have to share then."""
    problem, found = game.groups.problem, []
    for whole, solved in game.solved.items():
        for one in game.solved:
            other = whole - one
            if one & whole == one and one < other and other in game.solved:
                dearer = solved.objective - game.cost_of(one) - game.cost_of(other)
                if dearer > 1e-9 * abs(game.cost_of(game.everyone)):
                    found.append((dearer, one, other, solved.bound - game.cost_of(one) - game.cost_of(other)))
    found.sort(key=lambda each: (-each[0], each[1], each[2]))

    def name_of(coalition: int) -> str:
        return "+".join(problem.authorities[partner] for partner in game.members(coalition))

    return [
        {
            "one": name_of(one),
            "other": name_of(other),
            "dearer_gbp": dearer,
            "certain": least > 0,
            "shared_limits": shared_limits(problem, titles, one, other),
        }
        for dearer, one, other, least in found[:NAMED]
    ]
