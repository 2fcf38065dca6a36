"""What slips: later registration, capital cut or split by year, a grant refused; and what that does to a plan.

Each is a change of the instance, so that everything downstream treats it as if it had always been so. The plan that stood
before is kept and priced under the change, and beside it stands the plan made anew from all that was learned before.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace

from models.decisions import Decisions, with_managers_needed
from optimiser.demand.scenarios import calendar_of
from optimiser.errors import Fault, InstanceError
from optimiser.finance import whole_pounds
from optimiser.instance.register import evidence_for, given, range_of, with_evidence
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
    capital_years : (financial year, £) that the envelope releases, the year after the envelope's name and a colon where the
        instance has several; other years as the instance has them
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
        for label, amount in self.capital_years:
            name, year = _named_year(label)
            found.append(f"{whole_pounds(amount)} of capital in {year}" + (f" ({name})" if name else ""))
        if self.carry_forward is not None:
            found.append("unused capital carried forward" if self.carry_forward else "no capital carried forward")
        if self.grant_refused:
            found.append("no grant towards homes")
        return found


def _named_year(label: str) -> tuple[str, str]:
    """``second:2026/27`` as the envelope's name, blank where there is none, and the year."""
    name, _, year = label.rpartition(":")
    return name.strip(), year.strip()


#: Who says so, of figures that the command line gives instead of the instance's.
BY_COMMAND = "Given on the command line"


def envelopes_of(instance: Instance) -> tuple[str, ...]:
    """Names of the capital envelopes, each once."""
    return tuple(dict.fromkeys(row.envelope for row in instance.capital))


def with_capital(instance: Instance, capital: float | None, envelopes: Sequence[tuple[str, float]] = ()) -> Instance:
    """The instance with other capital envelopes in total, and the register saying who gives them.

    Parameters
    ----------
    capital
        Of the only envelope; of all homes where the instance has none.
    envelopes
        By name, where it has several.

    Raises
    ------
    InstanceError
        Where it is not clear which envelope is meant, none has the name, or there are no homes. All faults at once.
    """
    names = envelopes_of(instance)
    faults = [*_capital_faults(instance, capital, envelopes)]
    if faults:
        raise InstanceError(faults, "the command")
    asked = dict(envelopes) if capital is None else {names[0] if names else "capital": capital}
    values = instance.figure_values()
    evidence = []
    for name, amount in asked.items():
        own = [row for row in instance.capital if row.envelope == name]
        rest = [row for row in instance.capital if not (row.envelope == name and row.year == "total")]
        total = Capital(envelope=name, year="total", limit_gbp=amount)
        if own:
            total = own[0].model_copy(update={"year": "total", "limit_gbp": amount})
        instance = instance.model_copy(update={"capital": (total, *rest)})
        key = f"capital.{name}.total.limit_gbp"
        evidence.append(given(key, amount, values.get(key), BY_COMMAND))
    return with_evidence(instance, evidence)


def _capital_faults(
    instance: Instance, capital: float | None, envelopes: Sequence[tuple[str, float]]
) -> Iterator[Fault]:
    names, named = envelopes_of(instance), [name for name, _ in envelopes]
    known = f"Name one of {', '.join(names)}." if names else "Give the amount alone: the instance has no envelope."
    if not instance.homes:
        yield _fault("--capital", "", "limits nothing: there are no homes", "Leave it out.")
        return
    if capital is not None and (named or len(names) > 1):
        several = " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)
        rule = f"does not say which envelope it is for: the instance has {several or 'none'}"
        example = f"{(names or ('capital',))[0]}={whole_pounds(capital).replace('£', '').replace(',', '')}"
        yield _fault(
            "--capital", whole_pounds(capital), rule, f"Name it, as --capital {example}; it may be given again."
        )
    for name in dict.fromkeys(named):
        if name not in names:
            yield _fault("--capital", name, "is no envelope", known)
        if named.count(name) > 1:
            yield _fault("--capital", name, "is given more than once", "Give each envelope once.")


def _fault(option: str, value: str, rule: str, fix: str) -> Fault:
    return Fault("the command", None, option, value, rule, fix)


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
    values = instance.figure_values()
    if slippage.registration_delay:
        months, column = slippage.registration_delay, "registration_delay_months"
        homes = tuple(row.model_copy(update={column: getattr(row, column).shifted(months)}) for row in instance.homes)
        later = [_later(instance, f"homes.{row.home}.{column}", months) for row in instance.homes]
        instance = with_evidence(instance.model_copy(update={"homes": homes}), later)
    if slippage.grant_refused:
        # only where there is one: a home without a grant has no row for it in the register
        homes = tuple(row.model_copy(update={"grant_gbp": 0.0}) if row.grant_gbp > 0 else row for row in instance.homes)
        refused = [f"homes.{row.home}.grant_gbp" for row in instance.homes if row.grant_gbp > 0]
        rows = [given(key, 0.0, values[key], "Refused on the command line") for key in refused]
        instance = with_evidence(instance.model_copy(update={"homes": homes}), rows)
    if slippage.capital_years or slippage.carry_forward is not None:
        instance = _with_capital_years(instance, slippage)
    return instance


def _later(instance: Instance, key: str, months: int) -> Evidence:
    """The register's row for a registration delay that takes longer, its range as much later."""
    own = evidence_for(instance, key)
    low, high = range_of(own, instance.figure_values()[key])
    note = f"{BY_COMMAND}: {months} months on top of what the instance has. {own.note}".strip()
    return Evidence(figures=key, evidence="assumption", low=f"{low + months:g}", high=f"{high + months:g}", note=note)


def _faults(instance: Instance, slippage: Slippage) -> Iterator[Fault]:
    years, names = calendar_of(instance).financial_years, envelopes_of(instance)
    if not instance.homes:
        if slippage.registration_delay:
            yield _fault("--registration-delay", "", "delays nothing: there are no homes", "Leave it out.")
        if slippage.capital_years:
            yield _fault("--capital-year", "", "limits nothing: there are no homes", "Leave it out.")
    named = [_named_year(label) for label, _ in slippage.capital_years]
    for name, year in dict.fromkeys(named):
        words = f"{name}:{year}" if name else year
        if year not in years:
            fix = f"Name one of {', '.join(years)}."
            yield _fault("--capital-year", year, "is no financial year of the horizon", fix)
        if name and name not in names:
            fix = f"Name one of {', '.join(names)}." if names else "Give the year alone: the instance has no envelope."
            yield _fault("--capital-year", name, "is no envelope", fix)
        elif not name and len(names) > 1:
            rule = f"does not say which envelope it is for: the instance has {', '.join(names)}"
            fix = f"Name it before the year, as --capital-year {names[0]}:{year}=500k."
            yield _fault("--capital-year", year, rule, fix)
        if named.count((name, year)) > 1:
            yield _fault("--capital-year", words, "is given more than once", "Give each year once.")
    if slippage.carry_forward is not None and not slippage.capital_years and not _by_year(instance):
        rule = f"asks about years, but {'no envelope has any' if len(names) > 1 else 'the envelope has none'}"
        fix = "Give what each year releases: --capital-year 2026/27=500k."
        yield _fault("--carry-forward", "", rule, fix)
    if slippage.grant_refused and not any(row.grant_gbp > 0 for row in instance.homes):
        yield _fault("--grant-refused", "", "refuses nothing: no home counts on a grant", "Leave it out.")


def _by_year(instance: Instance) -> tuple[str, ...]:
    """Envelopes that say what each year releases."""
    return tuple(dict.fromkeys(row.envelope for row in instance.capital if row.year != "total"))


def _with_capital_years(instance: Instance, slippage: Slippage) -> Instance:
    """The envelopes with what some years release; where none is named, whether those by year carry forward."""
    only = (*envelopes_of(instance), "capital")[0]
    named: dict[str, dict[str, float]] = {}
    for label, amount in slippage.capital_years:
        name, year = _named_year(label)
        named.setdefault(name or only, {})[year] = amount
    for name in named or _by_year(instance):
        instance = _with_years_of(instance, name, named.get(name, {}), slippage.carry_forward)
    return instance


def _with_years_of(instance: Instance, name: str, asked: Mapping[str, float], carry: bool | None) -> Instance:
    """One envelope with what some years release.

    Years that are not named stay as they are. Where the envelope has no years yet: with carry-forward they release nothing of
    their own; without, each is limited by the total alone, or by the price of all homes where there is no total.
    """
    own = [row for row in instance.capital if row.envelope == name]
    others = [row for row in instance.capital if row.envelope != name]
    total = next((row.limit_gbp for row in own if row.year == "total"), None)
    before = {row.year: row.limit_gbp for row in own if row.year != "total"}
    if carry is None:
        carry = own[0].carry_forward if before else False
    ample: dict[str, float] = {}
    if not before and not carry:
        every = sum(row.available * row.capital_gbp * (1 + row.capital_bias()) for row in instance.homes)
        ample = dict.fromkeys(calendar_of(instance).financial_years, every if total is None else total)
    first = own[0] if own else Capital(envelope=name, year="total", limit_gbp=0.0)

    def line(year: str, amount: float) -> Capital:
        return first.model_copy(update={"year": year, "limit_gbp": amount, "carry_forward": carry})

    rows = [] if total is None else [line("total", total)]
    rows += [line(year, amount) for year, amount in sorted({**ample, **before, **asked}.items())]
    changed = instance.model_copy(update={"capital": (*rows, *others)})
    evidence = [given(f"capital.{name}.{year}.limit_gbp", asked[year], before.get(year), BY_COMMAND) for year in asked]
    origin = "homes.*.capital_gbp" if total is None else f"capital.{name}.total.limit_gbp"
    note = "All homes that can be had: no limit of its own." if total is None else "As the total: no limit of its own."
    evidence += [
        Evidence(figures=f"capital.{name}.{year}.limit_gbp", evidence="derived", derived_from=origin, note=note)
        for year in ample
        if year not in asked
    ]
    return with_evidence(changed, evidence)


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
            return Plan(plan.instance, problem, replace(known.solution, decisions=decisions), checked, first=first)
    placed = engine.place(decisions)
    checked = verify(problem, decisions, placed.placements)
    return Plan(plan.instance, problem, replace(placed, decisions=decisions), checked, first=first)


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
