"""What slips: later registration, capital cut or split by year, a grant refused; and what that does to a plan.

Each is a change of the instance, so that everything downstream treats it as if it had always been so. The plan that stood
before is kept and priced under the change, and beside it stands the plan made anew from all that was learned before.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace

from models.decisions import Decisions, with_managers_needed
from optimiser.demand.scenarios import calendar_of
from optimiser.errors import Fault, InstanceError
from optimiser.finance import whole_pounds
from optimiser.instance.register import best_pattern, matches
from optimiser.instance.schema import Capital, Evidence, Instance
from optimiser.plan import Plan, Row, decisions_table
from optimiser.solve.compile import decisions_from, vector_from
from optimiser.solve.engine import Engine
from optimiser.verify import verify, within_other_limits


@dataclass(frozen=True)
class Slippage:
    """What has slipped against the instance.

    Parameters
    ----------
    registration_delay : months that every registration takes longer
    capital_years : (financial year, £) that the first envelope releases; other years as the instance has them
    carry_forward : whether what a year leaves may be used later; the instance's own where None
    grant_refused : homes are bought without the grants that the instance counts on
    """

    registration_delay: int = 0
    capital_years: tuple[tuple[str, float], ...] = ()
    carry_forward: bool | None = None
    grant_refused: bool = False

    @classmethod
    def of(cls, row: Row | None) -> Slippage:
        """As a document holds it; nothing where it holds nothing."""
        if not row:
            return cls()
        years = tuple((str(year), float(amount)) for year, amount in row["capital_years"])
        return cls(int(row["registration_delay"]), years, row["carry_forward"], bool(row["grant_refused"]))

    @property
    def row(self) -> Row:
        """For a document."""
        return asdict(self)

    @property
    def any(self) -> bool:
        """Whether anything slips."""
        return self != Slippage()

    @property
    def words(self) -> list[str]:
        """What slips, in words."""
        found = []
        if self.registration_delay:
            months = "1 month" if self.registration_delay == 1 else f"{self.registration_delay} months"
            found.append(f"every registration {months} later")
        found += [f"{whole_pounds(amount)} of capital in {year}" for year, amount in self.capital_years]
        if self.carry_forward is not None:
            found.append("unused capital carried forward" if self.carry_forward else "no capital carried forward")
        if self.grant_refused:
            found.append("no grant towards homes")
        return found


def with_capital(instance: Instance, capital: float) -> Instance:
    """The instance with another capital envelope in total."""
    names = list(dict.fromkeys(row.envelope for row in instance.capital)) or ["capital"]
    rows = [row for row in instance.capital if not (row.envelope == names[0] and row.year == "total")]
    old = next((row for row in instance.capital if row.envelope == names[0]), None)
    authority = None if old is None else old.authority
    carry = True if old is None else old.carry_forward
    total = Capital(envelope=names[0], year="total", limit_gbp=capital, authority=authority, carry_forward=carry)
    return _with_asked_evidence(instance.model_copy(update={"capital": (total, *rows)}))


def _with_asked_evidence(instance: Instance) -> Instance:
    """The instance with a row of evidence for limits that only the command line knows."""
    pattern = "capital.*.limit_gbp"
    known = [row.figures for row in instance.evidence]
    keys = [key for key in instance.figure_values() if matches(pattern, key)]
    if all(best_pattern(key, known) is not None for key in keys):
        return instance
    row = Evidence(figures=pattern, evidence="assumption", note="Asked for on the command line.")
    return instance.model_copy(update={"evidence": (*instance.evidence, row)})


def with_slippage(instance: Instance, slippage: Slippage) -> Instance:
    """The instance as it is once all of it has slipped.

    Raises
    ------
    InstanceError
        Where something cannot slip: there is no such year, no grant, no home, or no envelope by year. All faults at once.
    """
    faults = [*_faults(instance, slippage)]
    if faults:
        raise InstanceError(faults, "the command")
    if slippage.registration_delay:
        homes = tuple(
            row.model_copy(
                update={"registration_delay_months": row.registration_delay_months.shifted(slippage.registration_delay)}
            )
            for row in instance.homes
        )
        instance = instance.model_copy(update={"homes": homes})
    if slippage.grant_refused:
        # only where there is one: a home without a grant has no row for it in the register
        homes = tuple(row.model_copy(update={"grant_gbp": 0.0}) if row.grant_gbp > 0 else row for row in instance.homes)
        instance = instance.model_copy(update={"homes": homes})
    if slippage.capital_years or slippage.carry_forward is not None:
        instance = _with_capital_years(instance, slippage)
    return instance


def _faults(instance: Instance, slippage: Slippage) -> list[Fault]:
    def fault(option: str, value: str, rule: str, fix: str) -> Fault:
        return Fault("the command", None, option, value, rule, fix)

    years, found = calendar_of(instance).financial_years, []
    if not instance.homes:
        if slippage.registration_delay:
            found.append(fault("--registration-delay", "", "delays nothing: there are no homes", "Leave it out."))
        if slippage.capital_years:
            found.append(fault("--capital-year", "", "limits nothing: there are no homes", "Leave it out."))
    for year, _ in slippage.capital_years:
        if year not in years:
            fix = f"Name one of {', '.join(years)}."
            found.append(fault("--capital-year", year, "is no financial year of the horizon", fix))
    named = [year for year, _ in slippage.capital_years]
    for year in sorted({year for year in named if named.count(year) > 1}):
        found.append(fault("--capital-year", year, "is given more than once", "Give each year once."))
    if slippage.carry_forward is not None and not slippage.capital_years and not _by_year(instance):
        rule = "asks about years, but the envelope has none"
        found.append(fault("--carry-forward", "", rule, "Give what each year releases: --capital-year 2026/27=500k."))
    if slippage.grant_refused and not any(row.grant_gbp > 0 for row in instance.homes):
        found.append(fault("--grant-refused", "", "refuses nothing: no home counts on a grant", "Leave it out."))
    return found


def _by_year(instance: Instance) -> bool:
    first = instance.capital[0].envelope if instance.capital else None
    return any(row.envelope == first and row.year != "total" for row in instance.capital)


def _with_capital_years(instance: Instance, slippage: Slippage) -> Instance:
    """The first envelope with what some years release.

    Years that are not named stay as they are. Where the envelope has no years yet: with carry-forward they release nothing of
    their own; without, each is limited by the total alone, or by the price of all homes where there is no total.
    """
    name = instance.capital[0].envelope if instance.capital else "capital"
    own = [row for row in instance.capital if row.envelope == name]
    others = [row for row in instance.capital if row.envelope != name]
    authority = own[0].authority if own else None
    total = next((row.limit_gbp for row in own if row.year == "total"), None)
    before = {row.year: row.limit_gbp for row in own if row.year != "total"}
    carry = slippage.carry_forward
    if carry is None:
        carry = own[0].carry_forward if before else False
    if not before and not carry:
        every = sum(row.available * row.capital_gbp * (1 + row.capital_bias()) for row in instance.homes)
        before = dict.fromkeys(calendar_of(instance).financial_years, every if total is None else total)
    years = {**before, **dict(slippage.capital_years)}

    def line(year: str, amount: float) -> Capital:
        return Capital(envelope=name, year=year, limit_gbp=amount, authority=authority, carry_forward=carry)

    rows = [] if total is None else [line("total", total)]
    rows += [line(year, amount) for year, amount in sorted(years.items())]
    return _with_asked_evidence(instance.model_copy(update={"capital": (*rows, *others)}))


# the difference


def figures_of(plan: Plan) -> Row:
    """What a plan is compared by."""
    return {
        "expected_cost_gbp": plan.verified.expected_cost,
        "objective_gbp": plan.verified.objective,
        "p90_gbp": plan.quantile(plan.scenario_pounds, 0.9),
        "unregistered_child_weeks": plan.mean(plan.unregistered_child_weeks),
        "decisions": decisions_table(plan.problem, plan.decisions),
        "decided": plan.decided,
        "futures": len(plan.problem.scenarios),
    }


def figures_in(document: Row) -> Row:
    """The same of a run's document."""
    return {
        "expected_cost_gbp": document["expected_cost_gbp"],
        "objective_gbp": document["objective_gbp"],
        "p90_gbp": document["p90_gbp"],
        "unregistered_child_weeks": document["unregistered"]["expected_child_weeks"],
        "decisions": document["decisions"],
        "decided": document["decided"],
        "futures": document["futures"],
        "seed": document["seed"],
    }


def plan_held(engine: Engine, plan: Plan, before: Row, known: Plan | None = None) -> Plan:
    """The plan from before as it now stands.

    Parameters
    ----------
    before : as ``figures_of`` or ``figures_in`` give it
    known : how it stood within other limits of the first stage, all else being as it is now
    """
    first, problem = engine.first, engine.problem
    decisions: Decisions = with_managers_needed(
        problem, decisions_from(first, problem, first.values(before["decided"]))
    )
    if known is not None and known.decided == first.named(vector_from(first, problem, decisions)):
        checked = within_other_limits(problem, decisions, known.verified)
        if checked is not None:
            return Plan(plan.instance, problem, replace(known.solution, decisions=decisions), checked)
    placed = engine.place(decisions)
    checked = verify(problem, decisions, placed.placements)
    return Plan(plan.instance, problem, replace(placed, decisions=decisions), checked)


def difference(
    engine: Engine, plan: Plan, before: Row, words: list[str], seed: int, *, held: Plan | None = None
) -> Row:
    """What a change does: the plan from before as it now stands, and the plan made anew.

    ``before`` as ``figures_of`` or ``figures_in`` give it; ``held`` as ``plan_held`` does, where that is known already.
    """
    held = held or plan_held(engine, plan, before)
    checked, now = held.verified, figures_of(plan)
    kept = figures_of(held)
    same = plan.verified.objective >= checked.objective - 1e-6 * abs(checked.objective) and not checked.violations
    return {
        "words": words,
        "same_futures": before["futures"] == now["futures"] and before.get("seed", seed) == seed,
        "before": _without_names(before),
        "held": _without_names(kept)
        | {"broken": list(dict.fromkeys(f"{violation.rule}: {violation.where}" for violation in checked.violations))},
        "replanned": _without_names(now),
        "slippage_costs_gbp": None if checked.violations else kept["expected_cost_gbp"] - before["expected_cost_gbp"],
        "replanning_recovers_gbp": None if checked.violations else kept["objective_gbp"] - now["objective_gbp"],
        "same_plan": bool(same) and _taken(kept) == _taken(now),
    }


def _without_names(figures: Row) -> Row:
    return {name: value for name, value in figures.items() if name not in ("decided", "seed")}


def _taken(figures: Row) -> list[tuple[object, ...]]:
    """Decisions but for managers, to be compared."""
    keys = ("action", "item", "month", "number", "branch", "beds", "call_off")
    return sorted(tuple(str(row[key]) for key in keys) for row in figures["decisions"] if row["action"] != "recruit")
