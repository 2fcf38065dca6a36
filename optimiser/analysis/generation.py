"""More partners than every group of them can be planned for: sampled orders, and groups found by the program itself.

Which group would gain most by leaving a given split is one stochastic program: the program of the joint plan with joining
free and each council's bill taken off what it costs. So the least core is found from the few groups that matter.
"""

from __future__ import annotations

import threading
import time
from pathlib import Path

import numpy as np

from models.problem import within
from optimiser.analysis.games import (
    AT_INCUMBENTS,
    FOR_ALL_VALUES,
    NO,
    Estimate,
    Floats,
    Ints,
    generated,
    shapley_sampled,
)
from optimiser.analysis.planning import Asked, Told
from optimiser.analysis.splits import (
    PAYS_FOR_USE,
    Game,
    Solved,
    Store,
    bill_row,
    common_rows,
    demand_of,
    prepared,
    solved_group,
    use_of,
)
from optimiser.errors import NoPlanError, SolverError
from optimiser.instance.schema import Instance
from optimiser.plan import Plan, Row
from optimiser.solve.engine import Engine, Found
from optimiser.solve.engine import Row as Rule
from optimiser.solve.twostage import Settings
from optimiser.verify import verify


class Many:
    """A game of many partners, planned for group by group as somebody asks; every answer is kept."""

    def __init__(
        self,
        engine: Engine,
        gap: float,
        *,
        store: Store | None = None,
        told: Told | None = None,
        stop: threading.Event | None = None,
    ) -> None:
        self.engine, self.gap, self.stop = engine, gap, stop
        self.partners = len(engine.problem.authorities)
        self.everyone = (1 << self.partners) - 1
        self.store, self.told = store, told or Told()
        self.solved: dict[int, Solved] = {} if store is None else dict(store.known)
        self.searches = 0
        # all together always come first: their dual vectors serve every other group
        self.together, self.found = solved_group(engine, self.everyone, gap, stop, learn=True)
        self.solved[self.everyone] = self.together

    def group(self, coalition: int) -> Solved:
        """One group's plan."""
        if coalition not in self.solved:
            if self.stop is not None and self.stop.is_set():
                raise NoPlanError("Stopped before every group that matters had a plan.")
            self.solved[coalition] = solved_group(self.engine, coalition, self.gap, self.stop)[0]
            if self.store is not None:
                self.store.save(self.solved)
        return self.solved[coalition]

    def cost_of(self, coalition: int) -> float:
        """What a group minimises, at the plan found."""
        return self.group(coalition).objective

    def would_gain_most(self, paid: Floats, rules: tuple[Rule, ...] = ()) -> tuple[int, float] | None:
        """The group that gains most by leaving when partners pay so much [partner], and what no group gains more than.

        None where no group keeps the rules.
        """
        everybody: dict[tuple[str, object], float] = {("joined", partner): 1.0 for partner in range(self.partners)}
        whole = float(paid.sum())
        found = self.engine.search(
            Settings(gap=self.gap, stop=self.stop, workers=1),
            prices={("joined", partner): -float(bill) for partner, bill in enumerate(paid)},
            constant=whole,
            rows=(Rule(everybody, 1.0, self.partners - 1.0), *rules),
            method="lshaped",
        )
        self.searches += 1
        if not isinstance(found, Found):
            if found.status == "infeasible":
                return None
            raise NoPlanError("Stopped before the group that gains most was found.")
        coalition = sum(1 << partner for partner in found.joined)
        return coalition, whole - found.bound

    def oracle(self, paid: Floats, kernel: Ints, per_capita: bool) -> tuple[int, float] | None:
        """The group of highest excess outside the span of what is settled, with its cost; per member by a loop over sizes."""
        best: tuple[float, int] | None = None
        for rules in self._outside(kernel, per_capita):
            found = self.would_gain_most(paid, rules)
            if found is None:
                continue
            coalition = found[0]
            members = [partner for partner in range(self.partners) if coalition >> partner & 1]
            excess = float(paid[members].sum()) - self.cost_of(coalition)
            excess /= len(members) if per_capita else 1
            if best is None or excess > best[0]:
                best = excess, coalition
            self.told.step(f"looked for groups that would leave {self.searches} times; {len(self.solved)} planned for")
        return None if best is None else (best[1], self.cost_of(best[1]))

    def _outside(self, kernel: Ints, per_capita: bool) -> list[tuple[Rule, ...]]:
        """Rules, one set after the other, that together allow every group outside the span.

        A group is outside where its product with some vector of the kernel is not zero: a whole number, so at least one or
        at most minus one. While only the whole is settled every group is outside.
        """
        everybody: dict[tuple[str, object], float] = {("joined", partner): 1.0 for partner in range(self.partners)}
        sizes = [()] if not per_capita else [(Rule(everybody, k, k),) for k in range(1, self.partners)]
        if kernel.shape[1] >= self.partners - 1:
            return [*sizes]
        found = []
        for vector in kernel.T:
            factors: dict[tuple[str, object], float] = {
                ("joined", partner): float(value) for partner, value in enumerate(vector) if value
            }
            for rule in (Rule(factors, 1.0, np.inf), Rule(factors, -np.inf, -1.0)):
                found += [(rule, *size) for size in sizes]
        return found


def split_many(
    instance: Instance,
    asked: Asked,
    told: Told | None = None,
    *,
    folder: Path | None = None,
    orders: int = 40,
    stop: threading.Event | None = None,
) -> Row:
    """A split among more partners than every group of them can be planned for.

    Equal, by demand, in proportion, separable costs and by use are exact to the gaps of the plans they rest on; the
    Shapley value is estimated from sampled orders; the least core is found by coalition generation.
    """
    told = told or Told()
    began = time.perf_counter()
    told.step("drawing futures and building the model")
    problem = prepared(instance, asked)
    store = Store(folder, instance, problem, asked)
    told.step("planning for all councils together")
    game = Many(Engine(problem), min(asked.gap, 1e-4), store=store, told=told, stop=stop)
    partners, everyone = game.partners, game.everyone
    for partner in range(partners):
        told.step(f"planning for each council alone and for the others: {partner + 1} of {partners}")
        game.group(1 << partner)
        game.group(everyone - (1 << partner))
    shapley = _shapley(game, orders, asked, told)
    alone = np.array([game.cost_of(1 << partner) for partner in range(partners)])
    total = game.cost_of(everyone)
    open_gap = game.gap * abs(total)
    known = {coalition: solved.objective for coalition, solved in game.solved.items()}
    core = generated(alone, total, game.oracle, rounds=1, within_alone=False, known=dict(known), tolerance=open_gap)
    shares, demand = _shares(game, alone, total), demand_of(problem)
    shares |= {
        "by_demand": total * demand / demand.sum(),
        "shapley": shapley.shares,
        "least_core": core.shares + (total - float(core.shares.sum())) / partners,
    }
    joint = within(problem, range(partners))
    verified = verify(joint, game.found.decisions, game.found.placements)
    plan = Plan(instance, joint, game.found, verified)
    if store is not None:
        store.save(game.solved, at_once=True)
    made = Game(instance, joint, game.solved, plan, game.engine, demand, len(store.known), time.perf_counter() - began)
    use = use_of(plan)
    own = np.array(game.together.deterrent)
    shares = {PAYS_FOR_USE: plan.probability @ use.present + own, **shares}
    rows = {}
    for rule, share in shares.items():
        told.step(f"looking for groups that would leave: {rule}")
        rows[rule] = bill_row(made, use, rule, share, _verdict(game, share))
    highest = game.would_gain_most(shares["least_core"])
    most = core.excess + open_gap if highest is None else highest[1]
    return {
        **common_rows(made, asked, rows),
        "core": {
            "empty": core.excess > open_gap,
            "least_core_epsilon_gbp": core.excess,
            "least_gbp": core.excess - open_gap,
            "most_gbp": most,
            "holds": FOR_ALL_VALUES if core.excess > 2 * open_gap or most <= 0 else AT_INCUMBENTS,
        },
        "dearer_than_alone": [
            problem.authorities[partner]
            for partner in range(partners)
            if total - game.cost_of(everyone - (1 << partner)) > alone[partner] + 1e-9 * abs(total)
        ],
        "dearer_together": [],
        "if_another_leaves": [],
        "entitlements": None,
        "estimated": {
            "shapley": {
                "orders": shapley.orders,
                "standard_error_gbp": dict(zip(problem.authorities, shapley.standard_error.tolist(), strict=True)),
            }
        },
    }


def _shapley(game: Many, orders: int, asked: Asked, told: Told) -> Estimate:
    began, before = time.perf_counter(), len(game.solved)
    likely = orders * (game.partners - 3)

    def cost_of(coalition: int) -> float:
        found = game.cost_of(coalition)
        done = max(len(game.solved) - before, 1)
        left = (time.perf_counter() - began) / done * max(likely - done, 0)
        told.step(f"sampled orders: {done} of some {likely} groups planned for; some {left:.0f} seconds left")
        return found

    return shapley_sampled(game.partners, cost_of, orders=orders, seed=asked.seed or 1)


def _shares(game: Many, alone: Floats, total: float) -> dict[str, Floats]:
    """Shares by the rules that need each council alone and all others without it."""
    partners = len(alone)
    separable = np.array([total - game.cost_of(game.everyone - (1 << partner)) for partner in range(partners)])
    gain = alone - separable
    left = total - float(separable.sum())
    return {
        "equal": np.full(partners, total / partners),
        "proportional": total * alone / alone.sum(),
        "scrb": separable + left * (gain / gain.sum() if abs(gain.sum()) > 1e-9 * abs(total) else 1 / partners),
    }


def _verdict(game: Many, share: Floats) -> Row:
    """Who gains most by leaving a split, found by one search; nobody at all where its bound says so."""
    names = game.engine.problem.authorities
    found = game.would_gain_most(share)
    if found is None:
        raise SolverError("no group of councils without the others keeps every limit")
    coalition, most = found
    known = set(game.solved) - {game.everyone}
    gains = {}
    game.group(coalition)
    for each in known | {coalition}:
        members = [partner for partner in range(game.partners) if each >> partner & 1]
        gains[each] = float(share[members].sum()) - game.cost_of(each)
    noise = 1e-9 * abs(float(share.sum()))
    leaving = sorted((c for c, gain in gains.items() if gain > noise), key=lambda c: -gains[c])

    def row(each: int) -> Row:
        members = [partner for partner in range(game.partners) if each >> partner & 1]
        at_most = float(share[members].sum()) - game.solved[each].bound
        return {
            "group": "+".join(names[partner] for partner in members),
            "gain_gbp": gains[each],
            "gain_at_most_gbp": at_most,
        }

    single = [1 << partner for partner in range(game.partners)]
    worse = [c for c in single if gains[c] > noise]
    sure = all(float(share[place]) <= game.solved[c].bound + noise for place, c in enumerate(single))
    return {
        "nobody_leaves": NO if leaving else FOR_ALL_VALUES if most <= noise else AT_INCUMBENTS,
        "nobody_worse_off": NO if worse else FOR_ALL_VALUES if sure else AT_INCUMBENTS,
        "leaving": [row(each) for each in leaving[:10]],
        "groups_leaving": len(leaving),
        "worse_off": [row(each) for each in worse],
    }
