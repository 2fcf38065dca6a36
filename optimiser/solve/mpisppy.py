"""The problem as mpi-sppy takes it: one Pyomo model per future, so that its drivers run our model as theirs.

    python -m mpisppy.generic_cylinders --module-name optimiser.solve.mpisppy --instance NAME --num-scens N --seed K …

Every capacity decision, on whatever branch of a review it is taken, is decided before the future is seen: branches of a
review differ by which futures follow them, not by stage, so two stages hold the whole tree.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pyomo.environ as pyo
from pyomo.repn import generate_standard_repn

from models.extensive import build
from models.problem import Problem
from optimiser.assemble import assemble
from optimiser.demand.scenarios import make_scenarios
from optimiser.errors import SolverError
from optimiser.instance.schema import Instance
from optimiser.solve.compile import DECISIONS, collection_paused

#: What scenarios are called: this and their number, from 0, which mpi-sppy reads off the end of the name.
PREFIX = "scenario"


class Futures:
    """Futures of an instance, drawn when first asked for.

    Confidence intervals ask for futures beyond those that a plan is made on; a draw of more begins with the same ones,
    and the branches of reviews stay those of the first ``count``.
    """

    def __init__(self, instance: Instance, count: int, seed: int | None = None) -> None:
        self.instance, self.count, self.seed = instance, count, seed
        self._drawn = self._draw(count)

    def problem(self, number: int) -> Problem:
        """The problem with one future alone, certain to happen.

        Raises
        ------
        SolverError
            If the instance's own table of futures ends before it.
        """
        if number >= len(self._drawn.scenarios):
            if self.instance.scenarios:
                raise SolverError(self._table_ends())
            # twice as many at least, so that a run of numbers costs few draws
            self._drawn = self._draw(max(number + 1, 2 * len(self._drawn.scenarios)))
        future = self._drawn.scenarios[number]
        return replace(self._drawn, scenarios=(replace(future, probability=1.0),))

    def probability(self, number: int) -> float | str:
        """Probability of a future among the first ``count``; drawn ones are as likely as each other in any number."""
        return self._drawn.scenarios[number].probability if self.instance.scenarios else "uniform"

    def _draw(self, count: int) -> Problem:
        problem = assemble(self.instance, make_scenarios(self.instance, count, self.seed), basis=self.count)
        if len(problem.scenarios) < count:
            raise SolverError(self._table_ends())
        refuse_what_joins_futures(problem)
        return problem

    def _table_ends(self) -> str:
        rows = len({row.scenario for row in self.instance.scenarios})
        return (
            f"{self.instance.settings.name} brings a table of {rows} futures of its own, and more were asked for. "
            f"Ask for all of them: --num-scens {rows}"
        )


def refuse_what_joins_futures(problem: Problem) -> None:
    """Refuse a problem with limits or weights that mpi-sppy's futures, each by itself, cannot hold.

    Raises
    ------
    SolverError
        Naming every one of them.
    """
    found = [f"the local share {limit.name!r}" for limit in problem.local_limits]
    found += [f"the tolerance of no registered home {limit.name!r}" for limit in problem.unregistered_limits]
    if problem.cvar_limit is not None:
        found.append(f"the limit of £{problem.cvar_limit:,.0f} on the tail mean (CVaR)")
    if problem.risk_weight > 0:
        found.append(f"the weight {problem.risk_weight:g} on the tail mean (CVaR); mpi-sppy has its own: --cvar")
    if found:
        raise SolverError(
            "mpi-sppy takes every future by itself and minimises expected cost, and this joins futures: "
            + "; ".join(found)
            + ". Leave it out of the instance, or use optimiser plan, which keeps it."
        )


# what mpi-sppy calls


def scenario_creator(scenario_name: str, *, futures: Futures) -> pyo.ConcreteModel:
    """Model of one future by itself, with the capacity decisions marked as made before it is seen.

    Cost of decisions depends on the future (when homes open, what bids come in). mpi-sppy's L-shaped method takes the
    first stage's cost from one scenario for all, and counts constants once per scenario; so here all of it is counted
    by a variable of the future, ``decided_cost``, and the first stage is free.
    """
    import mpisppy.utils.sputils as sputils

    number = sputils.extract_num(scenario_name)
    with collection_paused():
        model = build(futures.problem(number))
        decisions = [getattr(model, name) for name in DECISIONS]
        variables = [variable for decision in decisions for variable in decision.values()]
        decided = {id(variable) for variable in variables}
        cost = generate_standard_repn(model.scenario_cost[0].expr)
        terms = list(zip(cost.linear_coefs, cost.linear_vars, strict=True))
        model.decided_cost = pyo.Var(doc="Cost of the decisions, and of what is paid anyway [present real £]")
        model.decided_cost_counted = pyo.Constraint(
            expr=model.decided_cost
            == cost.constant + sum(price * variable for price, variable in terms if id(variable) in decided),
            doc="Cost of the decisions in this future [present real £]",
        )
        # progressive hedging stops at a decision that no row and no cost of a future mentions: managers without homes,
        # decisions on other branches. This row mentions all and asks nothing
        model.decisions_mentioned = pyo.Constraint(
            expr=sum(variables) <= sum(variable.ub for variable in variables), doc="Every decision within its bound"
        )
        model.del_component(model.total_cost)
        model.total_cost = pyo.Objective(
            expr=model.decided_cost + sum(price * variable for price, variable in terms if id(variable) not in decided)
        )
    sputils.attach_root_node(model, 0.0, decisions)
    model._mpisppy_probability = futures.probability(number)
    return model


def scenario_names_creator(num_scens: int, start: int | None = None) -> list[str]:
    """Names of ``num_scens`` scenarios from number ``start``, 0 where left out."""
    first = start or 0
    return [f"{PREFIX}{number}" for number in range(first, first + num_scens)]


def inparser_adder(cfg: Any) -> None:
    """Add --num-scens, --instance and --seed to mpi-sppy's options."""
    cfg.num_scens_required()
    cfg.add_to_config("instance", description="A bundled instance by name, or a folder", domain=str, default=None)
    cfg.add_to_config(
        "seed", description="Seed of the futures; the instance's own if left out", domain=int, default=None
    )


def kw_creator(cfg: Any) -> dict[str, Futures]:
    """Keyword arguments of ``scenario_creator`` from mpi-sppy's options, or any mapping with the same names.

    Raises
    ------
    SolverError
        If no instance is named, or it has limits that join futures.
    """
    import optimiser

    name = cfg.get("instance")
    if name is None:
        raise SolverError("no instance is named. Name one: --instance kent-in-house-2025")
    return {"futures": Futures(optimiser.load(name), cfg.get("num_scens"), cfg.get("seed"))}


def scenario_denouement(rank: int, scenario_name: str, scenario: pyo.ConcreteModel) -> None:
    """Nothing to report per future when mpi-sppy is done: its own writers say what was decided."""
