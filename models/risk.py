"""Expectation, CVaR, and limits that run across scenarios.

A limit on an expectation or a probability is carried by first-stage budgets per scenario that cap the scenario's own
amount, so that scenarios stay separate once the first stage is known.
"""

from __future__ import annotations

import pyomo.environ as pyo

from models.coefficients import Coefficients
from models.problem import Problem


def build_budgets(model: pyo.ConcreteModel, problem: Problem) -> None:
    """Add what each scenario may take of the limits across scenarios: part of the first stage."""
    add_local_enough(model, problem)
    add_registered_reliably(model, problem)


def build_within_budgets(
    future: pyo.Block, model: pyo.ConcreteModel, problem: Problem, numbers: Coefficients, scenario: int
) -> None:
    """Hold one scenario to its budgets: part of its placement problem."""
    add_local_within_budget(future, model, problem, scenario)
    add_unregistered_within_budget(future, model, problem, scenario)
    add_any_unregistered_counted(future, model, problem, numbers, scenario)


def build(model: pyo.ConcreteModel, problem: Problem) -> None:
    """Add what is minimised, and the tail."""
    add_scenario_cost(model, problem)
    add_cvar(model, problem)
    add_objective(model, problem)


def add_scenario_cost(model: pyo.ConcreteModel, problem: Problem) -> None:
    """A scenario's total cost: first stage, scenario-dependent first stage, placement and deterrent [present real £]."""
    model.scenario_cost = pyo.Expression(
        model.SCENARIOS,
        rule=lambda model, scenario: sum(model.future[scenario].cost.values()) + model.future[scenario].deterrent,
        doc="Total cost of a scenario [present real £]",
    )


# budgets


def add_local_enough(model: pyo.ConcreteModel, problem: Problem) -> None:
    """Expected share of a cohort's child-weeks within the band is at least the minimum.

    sum over scenarios of probability * local_budget <= 0   for all limits   [child-weeks]

    The budget is signed: a future with more local places than asked leaves room for another.
    """
    limits = range(len(problem.local_limits))
    model.local_budget = pyo.Var(limits, model.SCENARIOS, doc="Child-weeks short of the local share [child-weeks]")

    def in_expectation(model: pyo.ConcreteModel, limit: int) -> object:
        return (
            sum(
                problem.scenarios[scenario].probability * model.local_budget[limit, scenario]
                for scenario in model.SCENARIOS
            )
            <= 0
        )

    model.local_enough = pyo.Constraint(limits, rule=in_expectation, doc="Expected local share [child-weeks]")


def add_registered_reliably(model: pyo.ConcreteModel, problem: Problem) -> None:
    """Expected child-weeks without a registered home, and the probability of any in a financial year, stay tolerable.

    sum probability * unregistered_budget <= limit;  sum probability * any_unregistered <= epsilon for all years
    for all limits   [child-weeks], [probability]
    """
    limits = problem.unregistered_limits
    expected = [position for position, limit in enumerate(limits) if limit.child_weeks is not None]
    chance = [position for position, limit in enumerate(limits) if limit.epsilon is not None]
    years = range(len(problem.financial_years))
    probability = [scenario.probability for scenario in problem.scenarios]

    model.unregistered_budget = pyo.Var(
        expected, model.SCENARIOS, domain=pyo.NonNegativeReals, doc="Child-weeks tolerated in a scenario [child-weeks]"
    )
    model.any_unregistered = pyo.Var(
        chance, years, model.SCENARIOS, domain=pyo.Binary, doc="Any child-week in the year [yes or no]"
    )

    def expectation(model: pyo.ConcreteModel, limit: int) -> object:
        return (
            sum(probability[scenario] * model.unregistered_budget[limit, scenario] for scenario in model.SCENARIOS)
            <= limits[limit].child_weeks
        )

    def in_probability(model: pyo.ConcreteModel, limit: int, year: int) -> object:
        return (
            sum(probability[scenario] * model.any_unregistered[limit, year, scenario] for scenario in model.SCENARIOS)
            <= limits[limit].epsilon
        )

    model.registered_in_expectation = pyo.Constraint(
        expected, rule=expectation, doc="Expected unregistered child-weeks [child-weeks]"
    )
    model.registered_reliably = pyo.Constraint(
        chance, years, rule=in_probability, doc="Probability of any unregistered child-week [probability]"
    )


# one scenario within its budgets


def add_local_within_budget(future: pyo.Block, model: pyo.ConcreteModel, problem: Problem, scenario: int) -> None:
    """A scenario's shortfall from the local share stays within its budget. Unregistered never counts as local.

    sum over r, t of (minimum - share[r]) * weeks[t] * placed[c, r, t] <= local_budget[limit, scenario]
    for all limits   [child-weeks]
    """

    def rule(future: pyo.Block, limit: int) -> object:
        which = problem.local_limits[limit]
        short = sum(
            float(
                (which.minimum - (0.0 if source == problem.unregistered else which.share[source]))
                * problem.weeks[period]
            )
            * future.placed[cohort, source, period]
            for cohort, source, period in future.PLACEABLE
            if cohort in which.cohorts
        )
        return short - model.local_budget[limit, scenario] <= 0

    limits = range(len(problem.local_limits))
    future.local_within_budget = pyo.Constraint(limits, rule=rule, doc="Own shortfall [child-weeks]")


def add_unregistered_within_budget(
    future: pyo.Block, model: pyo.ConcreteModel, problem: Problem, scenario: int
) -> None:
    """A scenario's child-weeks without a registered home stay within its budget.

    sum weeks[t] * placed[c, unregistered, t] <= unregistered_budget[limit, scenario]   for all limits   [child-weeks]
    """

    def rule(future: pyo.Block, limit: int) -> object:
        total = sum(unregistered_child_weeks(future, problem, limit).values())
        if isinstance(total, (int, float)):
            return pyo.Constraint.Skip
        return total - model.unregistered_budget[limit, scenario] <= 0

    limits = [place for place, limit in enumerate(problem.unregistered_limits) if limit.child_weeks is not None]
    future.unregistered_within_budget = pyo.Constraint(limits, rule=rule, doc="Own child-weeks [child-weeks]")


def add_any_unregistered_counted(
    future: pyo.Block, model: pyo.ConcreteModel, problem: Problem, numbers: Coefficients, scenario: int
) -> None:
    """A scenario's year with a child-week or more without a registered home is counted.

    unregistered child-weeks of the year <= 1 + most * any_unregistered[limit, year, scenario]
    for all limits, years   [child-weeks]

    ``most`` is what the year would hold if no child of the scenario had a registered home: the smallest number that
    asks nothing of a year in which any is tolerated.
    """

    def rule(future: pyo.Block, limit: int, year: int) -> object:
        amount = unregistered_child_weeks(future, problem, limit)[year]
        if isinstance(amount, (int, float)):
            return pyo.Constraint.Skip
        most = numbers.most_unregistered[limit, year]
        return amount - most * model.any_unregistered[limit, year, scenario] <= 1

    limits = [place for place, limit in enumerate(problem.unregistered_limits) if limit.epsilon is not None]
    future.any_unregistered_counted = pyo.Constraint(
        limits, range(len(problem.financial_years)), rule=rule, doc="Years with any unregistered [child-weeks]"
    )


def unregistered_child_weeks(future: pyo.Block, problem: Problem, limit: int) -> dict[int, object]:
    """Child-weeks with no registered home found, by financial year, for the authorities of a tolerance together."""
    authorities = problem.unregistered_limits[limit].authorities
    by_year: dict[int, list[object]] = {year: [] for year in range(len(problem.financial_years))}
    for cohort, source, period in future.PLACEABLE:
        if source == problem.unregistered and problem.cohort_authority[cohort] in authorities:
            by_year[int(problem.period_year[period])].append(
                float(problem.weeks[period]) * future.placed[cohort, source, period]
            )
    return {year: sum(terms) for year, terms in by_year.items()}


# the tail


def add_cvar(model: pyo.ConcreteModel, problem: Problem) -> None:
    """Tail mean of a scenario's total cost, as Rockafellar and Uryasev (2000) put it.

    cvar = value_at_risk + sum probability * excess / (1 - level);  excess >= scenario_cost - value_at_risk,  excess >= 0
    cvar <= cvar_limit where there is one   [present real £]

    Left out where the tail neither weighs nor is limited.
    """
    wanted = problem.risk_weight > 0 or problem.cvar_limit is not None
    scenarios = model.SCENARIOS if wanted else []
    model.value_at_risk = pyo.Var([0] if wanted else [], doc="Cost exceeded in the tail only [present real £]")
    model.excess = pyo.Var(scenarios, domain=pyo.NonNegativeReals, doc="Cost beyond the value at risk [present real £]")

    def beyond(model: pyo.ConcreteModel, scenario: int) -> object:
        return model.excess[scenario] >= model.scenario_cost[scenario] - model.value_at_risk[0]

    model.excess_counted = pyo.Constraint(scenarios, rule=beyond, doc="Cost beyond the value at risk [present real £]")
    tail = (
        model.value_at_risk[0]
        + sum(problem.scenarios[scenario].probability * model.excess[scenario] for scenario in scenarios)
        / (1 - problem.cvar_level)
        if wanted
        else 0.0
    )
    model.cvar = pyo.Expression(rule=lambda model: tail, doc="Conditional value at risk [present real £]")
    if problem.cvar_limit is not None:
        model.cvar_within_limit = pyo.Constraint(
            rule=lambda model: model.cvar <= problem.cvar_limit, doc="CVaR within its limit [present real £]"
        )


def add_objective(model: pyo.ConcreteModel, problem: Problem) -> None:
    """(1 - risk_weight) * expected cost + risk_weight * CVaR [present real £]."""
    expected = sum(
        problem.scenarios[scenario].probability * model.scenario_cost[scenario] for scenario in model.SCENARIOS
    )
    model.total_cost = pyo.Objective(expr=(1 - problem.risk_weight) * expected + problem.risk_weight * model.cvar)
