"""The auditor: recomputes feasibility and every pound of a plan from the problem, the decisions and the placements.

Nothing here knows Pyomo or a solver, and nothing is shared with the model beyond the data: each rule is written from
what it means, so that a slip in the model shows as a disagreement. ``verify`` checks the rules of the formulation one
by one, in its order and by its names, and writes every pound into a ledger by future, term, authority and period.

Where beds of an award are sought, *kind* means a position in the award's volume tiers, or last of all its call-off
beds: the layout of ``Decisions.beds_extended``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from models.decisions import Decisions, Placements
from models.problem import COST_TERMS, Bools, Floats, Ints, Problem, Scenario

TERM = {term: position for position, term in enumerate(COST_TERMS)}

#: A year counts as one with *no registered home found* from this many child-weeks.
ANY_CHILD_WEEKS = 1.0

Where = Callable[..., str]


@dataclass(frozen=True)
class Violation:
    """One rule that the plan breaks.

    ``rule`` is the formulation's name, ``where`` is in the problem's own names, ``amount`` is by how much, in the
    rule's own unit (beds, children, homes, £).
    """

    rule: str
    where: str
    amount: float

    def __str__(self) -> str:
        """Rule, place and amount in one line."""
        return f"{self.rule}: {self.where}, by {self.amount:,.6g}"


@dataclass(frozen=True, eq=False)
class Ledger:
    """Every pound of a plan. Income and residual value are negative; the deterrent is no pound and is kept apart."""

    nominal: Floats  # £ nominal, [scenario, term, authority, period], terms in the order of COST_TERMS
    deterrent: Floats  # £ nominal, [scenario, period]

    def present(self, problem: Problem) -> Floats:
        """Present real £, [scenario, term, authority, period]."""
        return self.nominal * problem.present_value

    def by_year(self, problem: Problem) -> Floats:
        """£ nominal, [scenario, term, authority, year]."""
        return _by_year(problem, self.nominal)

    def scenario_pounds(self, problem: Problem) -> Floats:
        """Present real £ that each future costs, [scenario]."""
        pounds: Floats = self.present(problem).sum(axis=(1, 2, 3))
        return pounds

    def scenario_cost(self, problem: Problem) -> Floats:
        """Present real £ of each future with the deterrent: what is minimised, [scenario]."""
        cost: Floats = self.scenario_pounds(problem) + self.deterrent @ problem.present_value
        return cost


@dataclass(frozen=True, eq=False)
class Verified:
    """What an independent recomputation finds."""

    violations: tuple[Violation, ...]
    ledger: Ledger
    objective: float  # present real £, deterrent included
    expected_cost: float  # present real £, without the deterrent
    cvar: float  # present real £, deterrent included, at the problem's level
    scenario_cost: Floats  # present real £, deterrent included, [scenario]
    scenario_pounds: Floats  # present real £, without the deterrent, [scenario]
    unregistered_child_weeks: Floats  # [scenario, authority, year]
    usable_beds: Floats  # beds, call-off beds held and spot beds on offer included, [scenario, source, period]

    @property
    def accepted(self) -> bool:
        """Whether the plan breaks no rule."""
        return not self.violations


def verify(
    problem: Problem, decisions: Decisions, placements: Sequence[Placements], *, tolerance: float = 1e-6
) -> Verified:
    """Recompute feasibility and cost of a plan.

    Parameters
    ----------
    problem : the problem that the plan answers
    decisions : first stage
    placements : second stage, one entry per scenario in the problem's order
    tolerance : by how much a rule may be missed, relative to the larger of 1 and the size of the row

    Raises
    ------
    ValueError
        When the arrays do not have the problem's shapes.
    """
    _refuse_wrong_shapes(problem, decisions, placements)
    futures = [
        Future(problem, decisions, scenario, placed)
        for scenario, placed in zip(problem.scenarios, placements, strict=True)
    ]
    ledger = Ledger(
        nominal=np.array([pounds(future) for future in futures]),
        deterrent=np.array([deterrent(future) for future in futures]),
    )
    scenario_cost, scenario_pounds = ledger.scenario_cost(problem), ledger.scenario_pounds(problem)
    probability = _probability(problem)
    expected, tail = float(probability @ scenario_cost), tail_mean(scenario_cost, probability, problem.cvar_level)
    unregistered = np.array([unregistered_child_weeks(future) for future in futures])

    violations = [
        *(found for rule in DECISION_RULES for found in rule(problem, decisions, tolerance)),
        *(found for future in futures for rule in PLACEMENT_RULES for found in rule(future, tolerance)),
        *local_enough(problem, futures, tolerance),
        *registered_reliably(problem, futures, unregistered, tolerance),
        *cvar_within_limit(problem, tail, tolerance),
    ]
    return Verified(
        violations=tuple(violations),
        ledger=ledger,
        # written so that a tail of no weight does not matter even where it is not a number
        objective=expected if problem.risk_weight == 0 else expected + problem.risk_weight * (tail - expected),
        expected_cost=float(probability @ scenario_pounds),
        cvar=tail,
        scenario_cost=scenario_cost,
        scenario_pounds=scenario_pounds,
        unregistered_child_weeks=unregistered,
        usable_beds=np.array([future.usable_beds for future in futures]),
    )


# what was decided along a path, and what a future makes of it


@dataclass(frozen=True, eq=False)
class Path:
    """First-stage decisions as one path from the root sees them."""

    problem: Problem
    decisions: Decisions
    nodes: tuple[int, ...]

    @cached_property
    def begun(self) -> Floats:
        """Homes begun, [home, period begun]."""
        homes = np.zeros((len(self.problem.homes), len(self.problem.periods)))
        for number, begin in zip(self.decisions.homes_begun, self.problem.begins, strict=True):
            if begin.node in self.nodes:
                homes[begin.home, begin.period] += number
        return homes

    @cached_property
    def closed(self) -> Floats:
        """Homes closed, [home, period]."""
        homes = np.zeros((len(self.problem.homes), len(self.problem.periods)))
        for number, (home, node, period) in zip(self.decisions.homes_closed, self.problem.closures, strict=True):
            if node in self.nodes:
                homes[home, period] += number
        return homes

    @cached_property
    def managers(self) -> Floats:
        """Managers in post, [period]."""
        return sum(
            (np.where(_own(self.problem, node), self.decisions.managers[node], 0.0) for node in self.nodes),
            start=np.zeros(len(self.problem.periods)),
        )

    @cached_property
    def awards(self) -> tuple[int, ...]:
        """Positions of the awards that lie on the path."""
        return tuple(position for position, award in enumerate(self.problem.awards) if award.node in self.nodes)

    def extensions(self, *, award: int | None = None, supply: int | None = None) -> tuple[int, ...]:
        """Positions of the extensions of an award or a supply that are decided on the path."""
        found = self.problem.extensions_of(award=award, supply=supply)
        return tuple(position for position in found if self.problem.extensions[position].node in self.nodes)


@dataclass(frozen=True, eq=False)
class Future:
    """One future of a plan: what is there, and who lives where."""

    problem: Problem
    decisions: Decisions
    scenario: Scenario
    placements: Placements

    @cached_property
    def path(self) -> Path:
        """The decisions of this future."""
        return Path(self.problem, self.decisions, self.scenario.path)

    @cached_property
    def children(self) -> Floats:
        """Children by source, [source, period]."""
        children: Floats = self.placements.placed.sum(axis=0)
        return children

    @cached_property
    def before(self) -> Floats:
        """Children where they lived in the period before, [cohort, source, period]."""
        start = self.problem.placed_at_start[:, :, None]
        return np.concatenate([start, self.placements.placed[:, :, :-1]], axis=2)

    @cached_property
    def home_beds(self) -> Floats:
        """Beds of homes registered, ramped up and matched, less those of homes closed, [home, period]."""
        homes = np.einsum("hp,hpt->ht", self.path.begun, self.scenario.home_open) - np.cumsum(self.path.closed, axis=1)
        beds: Floats = homes * _beds_a_home(self.problem)[:, None]
        return beds

    @cached_property
    def award_beds(self) -> Floats:
        """Beds delivered under an award and its extensions, filled or not, [award, kind, period]."""
        initial, extended = self.initial_beds, self.extended_beds
        beds = initial.copy()
        for position in self.path.awards:
            for extension in self.path.extensions(award=position):
                beds[position] += extended[extension]
        return beds

    @cached_property
    def initial_beds(self) -> Floats:
        """Beds delivered in the initial term of an award, [award, kind, period]."""
        held = _beds_held(self.problem, self.decisions)
        beds = np.zeros((*held.shape, len(self.problem.periods)))
        for position in self.path.awards:
            award = self.problem.awards[position]
            beds[position] = np.outer(held[position], self.scenario.lot_delivered[award.lot, award.period])
        return beds

    @cached_property
    def extended_beds(self) -> Floats:
        """Beds delivered under an extension of an award, [extension, kind, period]."""
        beds: Floats = self.decisions.beds_extended[:, :, None] * self.scenario.extension_delivered[:, None, :]
        return beds

    @cached_property
    def lot_beds(self) -> Floats:
        """Beds of a lot, committed and call-off together, that matching lets be filled, [lot, period]."""
        beds = np.zeros((len(self.problem.lots), len(self.problem.periods)))
        for position in self.path.awards:
            lot = self.problem.awards[position].lot
            beds[lot] += self.problem.lot_occupancy[lot] * self.award_beds[position].sum(axis=0)
        return beds

    @cached_property
    def supply_beds(self) -> Floats:
        """Usable beds of supplies, extensions included, [supply, period]."""
        beds = self.scenario.supply_beds.copy()
        for supply in range(len(self.problem.supplies)):
            for extension in self.path.extensions(supply=supply):
                taken = self.decisions.extension_taken[extension]
                beds[supply] += self.scenario.supply_extension_beds[extension] * taken
        return beds

    @cached_property
    def spot_beds(self) -> Floats:
        """Beds on offer in spot markets, [spot, period]; infinity where unlimited."""
        beds: Floats = self.scenario.spot_layer_beds.sum(axis=1)
        return beds

    @cached_property
    def usable_beds(self) -> Floats:
        """Beds usable at whatever price, [source, period]; none where *no registered home found*."""
        nothing = np.zeros((1, len(self.problem.periods)))
        return np.concatenate([self.home_beds, self.lot_beds, self.supply_beds, self.spot_beds, nothing])

    @cached_property
    def layer_beds(self) -> Floats:
        """Beds that a priced layer of a lot holds, matched or not, [lot layer, period]."""
        problem, periods = self.problem, len(self.problem.periods)
        beds = np.zeros((len(problem.lot_layers), periods))
        for layer, (kind, position, tier) in enumerate(problem.lot_layers):
            lot = problem.awards[position].lot
            guaranteed = float(problem.guaranteed_share[lot])
            share = {"filled": guaranteed, "above_guarantee": 1 - guaranteed, "call_off": 1.0}[kind]
            beds[layer] = share * self.award_beds[position, tier]
        return beds

    @cached_property
    def beds_paid(self) -> Floats:
        """Beds that somebody pays for and a child may therefore use as far as matching lets it, [source, period]."""
        problem = self.problem
        lots = np.zeros((len(problem.lots), len(problem.periods)))
        for position in self.path.awards:
            lot = problem.awards[position].lot
            if problem.void_price_share[lot] >= 1:  # else even guaranteed beds are bought through a layer
                lots[lot] += problem.guaranteed_share[lot] * self.award_beds[position, :-1].sum(axis=0)
        for layer, (_, position, _) in enumerate(problem.lot_layers):
            lots[problem.awards[position].lot] += self.placements.lot_layer_used[layer]
        spots = self.placements.spot_layer_used.sum(axis=1)
        nothing = np.zeros((1, len(problem.periods)))
        return np.concatenate([self.home_beds, lots, self.supply_beds, spots, nothing])

    @cached_property
    def beds_lost(self) -> Floats:
        """Beds that go in a period, [source, period].

        Homes count each closing home for itself, even where another opens in the same period. A contract loses what
        it delivered before and no longer does: an extension that takes over the same beds loses none. Of an unlimited
        spot market that becomes limited, the beds lost are the children who no longer fit.
        """
        homes = self._home_beds_lost()
        lots, supplies = _fall(self.lot_beds), _fall(self.supply_beds)
        start = self.problem.placed_at_start.sum(axis=0)
        first = slice(self.problem.supply_source, self.problem.spot_source)
        supplies[:, :1] = np.maximum(start[first, None] - self.supply_beds[:, :1], 0.0)
        nothing = np.zeros((1, len(self.problem.periods)))
        return np.concatenate([homes, lots, supplies, self._spot_beds_lost(), nothing])

    def _home_beds_lost(self) -> Floats:
        shrinking = np.einsum("hp,hpt->ht", self.path.begun, _fall(self.scenario.home_open))
        lost: Floats = (shrinking + self.path.closed) * _beds_a_home(self.problem)[:, None]
        return lost

    def _spot_beds_lost(self) -> Floats:
        markets = slice(self.problem.spot_source, self.problem.unregistered)
        living = self.before[:, markets].sum(axis=0)
        offered = np.concatenate([living[:, :1], self.spot_beds[:, :-1]], axis=1)
        offered = np.where(np.isinf(offered), living, offered)
        lost: Floats = np.maximum(offered - self.spot_beds, 0.0)
        return lost

    def where(self, *parts: str) -> str:
        """A place in this future, in the problem's own names."""
        return ", ".join((*parts, self.scenario.name))


# rules on decisions


def whole_numbers(problem: Problem, decisions: Decisions, tolerance: float) -> Iterator[Violation]:
    """Decisions are whole numbers, not below zero; awards, tiers and extensions are yes or no."""
    yes_or_no = {"lot_awarded", "tier_chosen", "extension_taken"}
    for name, shape in _decision_shapes(problem).items():
        values = np.asarray(getattr(decisions, name), dtype=float).reshape(shape)
        most = 1.0 if name in yes_or_no else np.inf
        where = _position(name)
        with np.errstate(invalid="ignore"):
            yield from _broken("whole_numbers", np.abs(values - np.round(values)), 0.0, tolerance, where)
        yield from _broken("nonnegative", -values, 0.0, tolerance, where)
        yield from _broken("whole_numbers", values - most, 0.0, tolerance, where)


def homes_available(problem: Problem, decisions: Decisions, tolerance: float) -> Iterator[Violation]:
    """Homes begun along a path never exceed what a type, locality or property offers [homes]."""
    for path, branch in _paths(problem, decisions):
        for group in problem.home_groups:
            number = path.begun[list(group.members)].sum()
            yield from _at_most("homes_available", number, group.limit, tolerance, _joined(group.name, branch))


def only_certainly_open_homes_closed(problem: Problem, decisions: Decisions, tolerance: float) -> Iterator[Violation]:
    """Homes closed so far never exceed those that are open by then in every future [homes]."""
    periods = np.arange(len(problem.periods))
    for path, branch in _paths(problem, decisions):
        closed = np.cumsum(path.closed, axis=1)
        surely = problem.certainly_open[:, :, None] <= periods
        open_by = np.einsum("hp,hpt->ht", path.begun, surely.astype(float))
        yield from _broken(
            "only_certainly_open_homes_closed",
            closed - open_by,
            closed,
            tolerance,
            lambda home, period, branch=branch: _joined(problem.homes[home], problem.periods[period], branch),
        )


def capital_within_envelope(problem: Problem, decisions: Decisions, tolerance: float) -> Iterator[Violation]:
    """Capital begun at planning prices stays within each envelope, in total and by financial year [£]."""
    for path, branch in _paths(problem, decisions):
        capital = path.begun * problem.planning_capital
        for envelope in problem.envelopes:
            spent = _by_year(problem, capital[list(envelope.homes)].sum(axis=0))
            if envelope.total is not None:
                where = _joined(f"{envelope.name}, in total", branch)
                yield from _at_most("capital_within_envelope", spent.sum(), envelope.total, tolerance, where)
            if envelope.by_year is not None:
                limit = np.array(envelope.by_year)
                if envelope.carry_forward:  # what a year leaves over is there for the next
                    spent, limit = np.cumsum(spent), np.cumsum(limit)
                yield from _broken(
                    "capital_within_envelope",
                    spent - limit,
                    limit,
                    tolerance,
                    lambda year, envelope=envelope, branch=branch: _joined(
                        envelope.name, problem.financial_years[year], branch
                    ),
                )


def registrations_in_hand(problem: Problem, decisions: Decisions, tolerance: float) -> Iterator[Violation]:
    """Homes between start and the planning quantile of their registration stay within the number at once [homes]."""
    if problem.registrations_limit is None:
        return
    for path, branch in _paths(problem, decisions):
        number = np.einsum("hp,hpt->t", path.begun, problem.in_hand.astype(float))
        yield from _broken(
            "registrations_in_hand",
            number - problem.registrations_limit,
            number,
            tolerance,
            lambda period, branch=branch: _joined(problem.periods[period], branch),
        )


def homes_have_managers(problem: Problem, decisions: Decisions, tolerance: float) -> Iterator[Violation]:
    """Homes open or registering are within what the managers in post may run, and they can be recruited [homes]."""
    if problem.managers is None:
        anybody = decisions.managers.astype(float)
        yield from _broken("homes_have_managers", anybody, 0.0, tolerance, lambda node, _: problem.nodes[node].name)
        return
    for node, stretch in enumerate(problem.nodes):
        elsewhere = ~_own(problem, node)
        yield from _broken(
            "homes_have_managers",
            np.where(elsewhere, decisions.managers[node], 0.0),
            0.0,
            tolerance,
            lambda period, name=stretch.name: f"{name} does not decide in {problem.periods[period]}",
        )
    for path, branch in _paths(problem, decisions):
        begun = np.einsum("hp,hpt->ht", path.begun, problem.needs_manager.astype(float))
        # a home that never needed a manager frees none when it closes
        running = np.maximum(begun - np.cumsum(path.closed, axis=1), 0.0).sum(axis=0)
        yield from _broken(
            "homes_have_managers",
            running - problem.managers.homes_each * path.managers,
            running,
            tolerance,
            lambda period, branch=branch: _joined(problem.periods[period], branch),
        )
        yield from _broken(
            "homes_have_managers",
            path.managers - problem.managers.recruitable,
            path.managers,
            tolerance,
            lambda period, branch=branch: _joined("managers to be recruited", problem.periods[period], branch),
        )


def lot_awarded_once(problem: Problem, decisions: Decisions, tolerance: float) -> Iterator[Violation]:
    """A lot is awarded once along a path at most, and alternatives as often as their group says [awards]."""
    for path, branch in _paths(problem, decisions):
        awarded = np.zeros(len(problem.lots))
        for position in path.awards:
            awarded[problem.awards[position].lot] += decisions.lot_awarded[position]
        for lot, name in enumerate(problem.lots):
            yield from _at_most("lot_awarded_once", awarded[lot], 1.0, tolerance, _joined(name, branch))
        for group in problem.lot_groups:
            number = awarded[list(group.members)].sum()
            yield from _at_most("lot_awarded_once", number, group.limit, tolerance, _joined(group.name, branch))


def one_tier(problem: Problem, decisions: Decisions, tolerance: float) -> Iterator[Violation]:
    """All committed beds of an award lie in one volume tier, within that tier's limits [beds]."""
    for position, award in enumerate(problem.awards):
        name, tiers = _award_name(problem, position), problem.lot_tiers[award.lot]
        chosen, beds = decisions.tier_chosen[position], decisions.beds_in_tier[position]
        missed = abs(float(chosen.sum()) - float(decisions.lot_awarded[position]))
        yield from _at_most("one_tier", missed, 0.0, tolerance, name)
        for tier in range(len(chosen)):
            least, most = (tiers[tier].minimum, tiers[tier].maximum) if tier < len(tiers) else (0, 0)
            place = f"tier {tier + 1}, {name}"
            yield from _at_most("one_tier", least * chosen[tier], beds[tier], tolerance, place)
            yield from _at_most("one_tier", beds[tier], most * chosen[tier], tolerance, place)


def lot_size(problem: Problem, decisions: Decisions, tolerance: float) -> Iterator[Violation]:
    """Committed beds lie between the lot's minimum and maximum when awarded, and are zero otherwise [beds]."""
    for position, award in enumerate(problem.awards):
        beds, awarded = decisions.beds_in_tier[position].sum(), decisions.lot_awarded[position]
        name = _award_name(problem, position)
        yield from _at_most("lot_size", problem.lot_minimum[award.lot] * awarded, beds, tolerance, name)
        yield from _at_most("lot_size", beds, problem.lot_maximum[award.lot] * awarded, tolerance, name)


def call_off_within_option(problem: Problem, decisions: Decisions, tolerance: float) -> Iterator[Violation]:
    """Call-off beds come with an award only, and no more than the lot offers [beds]."""
    for position, award in enumerate(problem.awards):
        most = problem.call_off_maximum[award.lot] * decisions.lot_awarded[position]
        beds = decisions.optional_beds[position]
        yield from _at_most("call_off_within_option", beds, most, tolerance, _award_name(problem, position))


def all_or_none_extended(problem: Problem, decisions: Decisions, tolerance: float) -> Iterator[Violation]:
    """An extension keeps every bed of its award where it is taken, and none where it is not [beds]."""
    held = _beds_held(problem, decisions)
    for position, extension in enumerate(problem.extensions):
        whole = np.zeros(held.shape[1]) if extension.award is None else held[extension.award]
        wanted = whole * decisions.extension_taken[position]
        missed = np.abs(decisions.beds_extended[position] - wanted).sum()
        yield from _at_most("all_or_none_extended", missed, 0.0, tolerance, _extension_name(problem, position))


def extension_needs_the_one_before(problem: Problem, decisions: Decisions, tolerance: float) -> Iterator[Violation]:
    """An extension needs the one before, and the first of an award needs the award [yes or no]."""
    for position, extension in enumerate(problem.extensions):
        taken = decisions.extension_taken[position]
        name = _extension_name(problem, position)
        if extension.needs is not None:
            ready = decisions.extension_taken[extension.needs]
            yield from _at_most("extension_needs_the_one_before", taken, ready, tolerance, name)
        if extension.award is not None:
            ready = decisions.lot_awarded[extension.award]
            yield from _at_most("extension_needs_the_one_before", taken, ready, tolerance, name)


def contract_has_its_home_begun(problem: Problem, decisions: Decisions, tolerance: float) -> Iterator[Violation]:
    """When a contract in a council building is awarded, a building begun and not closed holds every bed of it [beds].

    Contracts in the same building that have ended in every future by then no longer count.
    """
    beds = _beds_held(problem, decisions).sum(axis=1)
    for path, branch in _paths(problem, decisions):
        for position in path.awards:
            award = problem.awards[position]
            building = int(problem.lot_building[award.lot])
            if building < 0 or beds[position] == 0:
                continue
            contracted = sum(
                beds[other]
                for other in path.awards
                if problem.lot_building[problem.awards[other].lot] == building
                and problem.awards[other].period <= award.period
                and not _ended(problem, decisions, other, award.period)
            )
            buildings = path.begun[building, : award.period + 1].sum() - path.closed[building, : award.period + 1].sum()
            yield from _at_most(
                "contract_has_its_home",
                contracted,
                problem.home_beds[building] * buildings,
                tolerance,
                _joined(f"{_award_name(problem, position)}, {problem.homes[building]} begun", branch),
            )


DECISION_RULES = (
    whole_numbers,
    homes_available,
    only_certainly_open_homes_closed,
    capital_within_envelope,
    registrations_in_hand,
    homes_have_managers,
    lot_awarded_once,
    one_tier,
    lot_size,
    call_off_within_option,
    all_or_none_extended,
    extension_needs_the_one_before,
    contract_has_its_home_begun,
)


# rules on placements


def nonnegative(future: Future, tolerance: float) -> Iterator[Violation]:
    """No children, moves or beds below zero."""
    for name in _placement_shapes(future.problem, future.scenario):
        values = getattr(future.placements, name)
        where = _position(name, future.scenario.name)
        yield from _broken("nonnegative", -values, 0.0, tolerance, where)


def source_allowed(future: Future, tolerance: float) -> Iterator[Violation]:
    """No child lives where registration, age, need, membership or dates do not allow it [children]."""
    problem = future.problem
    excess = np.where(problem.allowed, 0.0, future.placements.placed)
    yield from _broken("source_allowed", excess, 0.0, tolerance, _child_place(future))


def every_child_placed(future: Future, tolerance: float) -> Iterator[Violation]:
    """Children living somewhere are those who stayed, stepped across into the cohort, or arrived [children]."""
    problem, scenario = future.problem, future.scenario
    due = (scenario.stay * future.before).sum(axis=1) + scenario.arrivals
    for step, (origin, destination) in enumerate(problem.steps):
        due[destination] += (scenario.step[step] * future.before[origin]).sum(axis=0)
    here = future.placements.placed.sum(axis=1)
    yield from _broken(
        "every_child_placed",
        np.abs(here - due),
        due,
        tolerance,
        lambda cohort, period: future.where(problem.cohorts[cohort], problem.periods[period]),
    )


def placements_last(future: Future, tolerance: float) -> Iterator[Violation]:
    """A child stays until leaving, breakdown, a planned move, or the bed goes [children].

    Those who step across within a source stay there if it takes their new cohort. Off for *no registered home found*.
    """
    problem, scenario, placements = future.problem, future.scenario, future.placements
    lasting = problem.kept(scenario) * future.before
    priced = problem.planned_move_price[:, None, None] > 0
    moves = np.where(priced, placements.planned_moves, problem.movable(scenario) * future.before)
    stepped = np.zeros_like(lasting)
    for step, (origin, destination) in enumerate(problem.steps):
        stepped[destination] += scenario.step[step] * future.before[origin]
    due = lasting + np.where(problem.allowed, stepped, 0.0) - moves - placements.moves_at_closure
    missing = (due - placements.placed)[:, : problem.unregistered]
    yield from _broken("placements_last", missing, due[:, : problem.unregistered], tolerance, _child_place(future))


def planned_moves_within_mobility(future: Future, tolerance: float) -> Iterator[Violation]:
    """Planned moves that are paid for stay within the rate at which placements may end by one [children]."""
    problem = future.problem
    most = problem.movable(future.scenario) * future.before
    excess = future.placements.planned_moves - most
    excess[problem.planned_move_price <= 0] = 0.0
    yield from _broken("planned_moves_within_mobility", excess, most, tolerance, _child_place(future))


def moves_at_closure_within_beds_lost(future: Future, tolerance: float) -> Iterator[Violation]:
    """Placements end because beds go only where beds go [beds].

    Children whose cohort may no longer live there move whatever beds remain, and are not counted.
    """
    moves = np.where(future.problem.allowed, future.placements.moves_at_closure, 0.0).sum(axis=0)
    yield from _broken(
        "moves_at_closure_within_beds_lost", moves - future.beds_lost, moves, tolerance, _source_place(future)
    )


def homes_open_after_registration(future: Future, tolerance: float) -> Iterator[Violation]:
    """Nobody lives in homes of which none is registered and open [children]."""
    living = future.children[: future.problem.lot_source]
    excess = np.where(future.home_beds <= tolerance, living, 0.0)
    yield from _broken("homes_open_after_registration", excess, 0.0, tolerance, _source_place(future))


def lot_delivered_after_mobilisation(future: Future, tolerance: float) -> Iterator[Violation]:
    """Nobody lives in beds of a lot before they are delivered or after its term and extensions [children]."""
    problem = future.problem
    living = future.children[problem.lot_source : problem.supply_source]
    excess = np.where(future.lot_beds <= tolerance, living, 0.0)
    yield from _broken(
        "lot_delivered_after_mobilisation", excess, 0.0, tolerance, _source_place(future, problem.lot_source)
    )


def placed_within_capacity(future: Future, tolerance: float) -> Iterator[Violation]:
    """Children placed with a source and idle beds sold never exceed its usable beds that are paid for [beds]."""
    used = (future.children + future.placements.beds_sold)[: future.problem.unregistered]
    yield from _broken(
        "placed_within_capacity",
        used - future.beds_paid[: future.problem.unregistered],
        used,
        tolerance,
        _source_place(future),
    )


def placed_within_matching(future: Future, tolerance: float) -> Iterator[Violation]:
    """Children placed in a lot and idle beds sold never exceed what matching lets all its beds hold together [beds]."""
    problem = future.problem
    lots = slice(problem.lot_source, problem.supply_source)
    used = (future.children + future.placements.beds_sold)[lots]
    yield from _broken(
        "placed_within_matching", used - future.lot_beds, used, tolerance, _source_place(future, problem.lot_source)
    )


def layers_within_award(future: Future, tolerance: float) -> Iterator[Violation]:
    """Beds bought in a priced layer of a lot are beds that the award holds [beds]."""
    problem, used = future.problem, future.placements.lot_layer_used

    def where(layer: int, period: int) -> str:
        kind, position, _ = problem.lot_layers[layer]
        return future.where(kind.replace("_", " "), _award_name(problem, position), problem.periods[period])

    yield from _broken("layers_within_award", used - future.layer_beds, used, tolerance, where)


def spot_layers_within_offer(future: Future, tolerance: float) -> Iterator[Violation]:
    """Beds bought in a layer of a spot market are beds on offer [beds]."""
    problem, used = future.problem, future.placements.spot_layer_used
    yield from _broken(
        "spot_layers_within_offer",
        used - future.scenario.spot_layer_beds,
        used,
        tolerance,
        lambda spot, layer, period: future.where(problem.spots[spot], f"layer {layer + 1}", problem.periods[period]),
    )


def beds_sold_within_limit(future: Future, tolerance: float) -> Iterator[Violation]:
    """Idle beds sold to others are no more than others buy, and never beds that do not exist [beds]."""
    problem = future.problem
    most = problem.sold_maximum.copy()
    most[problem.unregistered] = 0.0
    yield from _broken(
        "beds_sold_within_limit", future.placements.beds_sold - most, most, tolerance, _source_place(future)
    )


def contract_has_its_home(future: Future, tolerance: float) -> Iterator[Violation]:
    """Beds in use in a council building, whoever runs them, fit in the buildings refurbished and open [beds]."""
    problem = future.problem
    used = future.children + future.placements.beds_sold
    for building in _buildings(problem):
        sources = [building, *_lots_in(problem, building)]
        in_use = used[sources].sum(axis=0)
        yield from _broken(
            "contract_has_its_home",
            in_use - future.home_beds[building],
            in_use,
            tolerance,
            lambda period, building=building: future.where(problem.homes[building], problem.periods[period]),
        )


PLACEMENT_RULES = (
    nonnegative,
    source_allowed,
    every_child_placed,
    placements_last,
    planned_moves_within_mobility,
    moves_at_closure_within_beds_lost,
    homes_open_after_registration,
    lot_delivered_after_mobilisation,
    placed_within_capacity,
    placed_within_matching,
    layers_within_award,
    spot_layers_within_offer,
    beds_sold_within_limit,
    contract_has_its_home,
)


# rules across futures


def local_enough(problem: Problem, futures: Sequence[Future], tolerance: float) -> Iterator[Violation]:
    """Expected child-weeks within the band are at least the minimum share of all [child-weeks].

    Those without a registered home count as children and never as near.
    """
    probability = _probability(problem)
    for limit in problem.local_limits:
        near = limit.share.copy()
        near[problem.unregistered] = 0.0
        weeks = [np.einsum("crt,t->r", f.placements.placed[list(limit.cohorts)], problem.weeks) for f in futures]
        expected = probability @ np.array(weeks)
        wanted = limit.minimum * float(expected.sum())
        yield from _at_most("local_enough", wanted, float(expected @ near), tolerance, limit.name)


def registered_reliably(
    problem: Problem, futures: Sequence[Future], unregistered: Floats, tolerance: float
) -> Iterator[Violation]:
    """Expected child-weeks without a registered home, and the chance of any in a financial year, are tolerable.

    ``unregistered``: child-weeks, [scenario, authority, year].
    """
    probability = _probability(problem)
    for limit in problem.unregistered_limits:
        own = unregistered[:, list(limit.authorities)].sum(axis=1)
        if limit.child_weeks is not None:
            expected = float(probability @ own.sum(axis=1))
            yield from _at_most("registered_reliably", expected, limit.child_weeks, tolerance, limit.name)
        if limit.epsilon is not None:
            # a yes-or-no that misses a whole number by the tolerance frees that part of all child-weeks of the year
            cohorts = np.isin(problem.cohort_authority, limit.authorities)
            census = np.array([f.placements.placed[cohorts].sum(axis=(0, 1)) * problem.weeks for f in futures])
            slack = 10 * tolerance * np.maximum(_by_year(problem, census), 1.0)
            chance = probability @ (own > ANY_CHILD_WEEKS + slack)
            for year, name in enumerate(problem.financial_years):
                where = f"{limit.name}, {name}"
                yield from _at_most("registered_reliably", float(chance[year]), limit.epsilon, tolerance, where)


def cvar_within_limit(problem: Problem, tail: float, tolerance: float) -> Iterator[Violation]:
    """The tail mean of the cost stays within its limit [present real £]."""
    if problem.cvar_limit is not None:
        where = f"the worst {1 - problem.cvar_level:.0%} of futures"
        yield from _at_most("cvar", tail, problem.cvar_limit, tolerance, where)


def tail_mean(cost: Floats, probability: Floats, level: float) -> float:
    """Mean cost in the worst ``1 - level`` of probability: CVaR of a discrete distribution.

    It equals the minimum over a value at risk *v* of *v* + E[max(cost - v, 0)] / (1 - level) (Rockafellar and
    Uryasev, 2000); here the worst futures are counted directly, the last of them in part.
    """
    worst_first = np.argsort(-cost)
    mass = 1.0 - level
    if mass <= 0:
        return float(cost.max())
    reached = np.cumsum(probability[worst_first])
    weight = np.clip(mass - (reached - probability[worst_first]), 0.0, probability[worst_first])
    return float(weight @ cost[worst_first] / weight.sum())


# every pound


def pounds(future: Future) -> Floats:
    """What one future costs, £ nominal, [term, authority, period].

    What a child causes falls to the authority of the child's cohort; what a source costs anyway to those who share in
    it; beds bought in priced layers to the children placed with the source in that period.
    """
    problem = future.problem
    by_source, by_cohort, by_use = _before_sharing(future)
    total: Floats = (
        np.einsum("kst,sa->kat", by_source, problem.cost_share)
        + np.einsum("kct,ca->kat", by_cohort, _membership(problem))
        + np.einsum("kst,sat->kat", by_use, _users(future))
    )
    total[TERM["income"]] -= problem.grant_income
    if problem.managers is not None:
        total[TERM["managers"]] += np.outer(_managers_share(problem), problem.managers.cost * future.path.managers)
    return total


def _before_sharing(future: Future) -> tuple[Floats, Floats, Floats]:
    """£ nominal before authorities share: what sources cost anyway, what children cause, and beds bought in layers.

    [term, source, period], [term, cohort, period], [term, source, period].
    """
    problem = future.problem
    by_source = np.zeros((len(COST_TERMS), len(problem.sources), len(problem.periods)))
    by_cohort = np.zeros((len(COST_TERMS), len(problem.cohorts), len(problem.periods)))
    by_use = np.zeros_like(by_source)
    _add_homes(future, by_source)
    _add_lots(future, by_source, by_use)
    _add_supplies(future, by_source)
    _add_spots(future, by_use)
    _add_children(future, by_cohort)
    by_source[TERM["income"]] -= problem.sold_price * problem.weeks * future.placements.beds_sold
    return by_source, by_cohort, by_use


def pounds_by_source(problem: Problem, decisions: Decisions, placements: Sequence[Placements]) -> tuple[Floats, Floats]:
    """What sources cost anyway, and what their priced layers cost, £ nominal, [scenario, source, period] each."""
    _refuse_wrong_shapes(problem, decisions, placements)
    found = [
        _before_sharing(Future(problem, decisions, scenario, placed))
        for scenario, placed in zip(problem.scenarios, placements, strict=True)
    ]
    return np.array([one.sum(axis=0) for one, _, _ in found]), np.array([other.sum(axis=0) for _, _, other in found])


@dataclass(frozen=True)
class Item:
    """One entry of an itemised ledger: a cost term, and the source, cohort, managers or grant that it is paid for."""

    term: str
    kind: str  # home, lot, supply, spot, unregistered, cohort, managers or grant
    name: str
    basis: str  # anyway: paid whether used or not; use: bought as it is used; child: goes with each child


def itemised(
    problem: Problem, decisions: Decisions, placements: Sequence[Placements], weights: Floats | None = None
) -> tuple[list[Item], Floats]:
    """Every pound of a plan by what it is paid for: items, and £ nominal expected over the futures, [item, authority, period].

    Sums over the items of a term to what the ledger has for it. ``weights`` take the place of the probabilities, [scenario].
    """
    share = _probability(problem) if weights is None else weights
    authorities, periods = len(problem.authorities), len(problem.periods)
    shape = (len(COST_TERMS), len(problem.sources), authorities, periods)
    by_source, by_use = np.zeros(shape), np.zeros(shape)
    by_cohort = np.zeros((len(COST_TERMS), len(problem.cohorts), authorities, periods))
    managers = np.zeros((authorities, periods))
    for weight, scenario, placed in zip(share, problem.scenarios, placements, strict=True):
        if not weight:
            continue
        future = Future(problem, decisions, scenario, placed)
        anyway, children, use = _before_sharing(future)
        by_source += weight * anyway[:, :, None] * problem.cost_share[None, :, :, None]
        by_cohort += weight * children[:, :, None] * _membership(problem)[None, :, :, None]
        by_use += weight * use[:, :, None] * _users(future)[None]
        if problem.managers is not None:
            managers += weight * np.outer(_managers_share(problem), problem.managers.cost * future.path.managers)
    found: list[tuple[Item, Floats]] = []
    for term, position in TERM.items():
        for source, name in enumerate(problem.sources):
            kind = problem.source_kind(source)
            found.append((Item(term, kind, name, "anyway"), by_source[position, source]))
            found.append((Item(term, kind, name, "use"), by_use[position, source]))
        for cohort, name in enumerate(problem.cohorts):
            found.append((Item(term, "cohort", name, "child"), by_cohort[position, cohort]))
    found.append((Item("managers", "managers", "registered managers", "anyway"), managers))
    found.append((Item("income", "grant", "revenue grant", "anyway"), -share.sum() * problem.grant_income))
    kept = [(item, amounts) for item, amounts in found if amounts.any()]
    items = [item for item, _ in kept]
    return items, np.array([amounts for _, amounts in kept]).reshape(len(items), authorities, periods)


def deterrent(future: Future) -> Floats:
    """The value judgement on *no registered home found*, £ nominal, [period]."""
    charged: Floats = future.scenario.deterrent * future.problem.weeks * future.children[future.problem.unregistered]
    return charged


def _add_homes(future: Future, by_source: Floats) -> None:
    problem, scenario, path = future.problem, future.scenario, future.path
    homes = slice(0, problem.lot_source)
    by_source[TERM["capital"], homes] += path.begun * scenario.capital_outlay
    by_source[TERM["residual"], homes, -1] -= (path.begun * scenario.residual_value).sum(axis=1)
    by_source[TERM["procurement"], homes] += path.begun * scenario.abortive_cost
    streams = {"running": scenario.home_running, "waiting": scenario.home_waiting, "lifecycle": scenario.home_lifecycle}
    for term, stream in streams.items():
        by_source[TERM[term], homes] += np.einsum("hp,hpt->ht", path.begun, stream)
    by_source[TERM["running"], homes] -= problem.closed_saving * np.cumsum(path.closed, axis=1)
    by_source[TERM["closures"], homes] += path.closed * problem.closing_cost[:, None]


def _add_lots(future: Future, by_source: Floats, by_use: Floats) -> None:
    problem, scenario, decisions = future.problem, future.scenario, future.decisions
    for position in future.path.awards:
        award = problem.awards[position]
        source = problem.lot_source + award.lot
        setup = scenario.lot_setup[award.lot, award.period] * decisions.lot_awarded[position]
        by_source[TERM["procurement"], source, award.period] += setup

        charged = future.initial_beds[position].copy()  # beds to be paid for, at the price of the initial term
        for extension in future.path.extensions(award=position):
            charged += future.extended_beds[extension] * scenario.extension_price[extension]
        tiers = len(problem.lot_tiers[award.lot])
        price = scenario.lot_price[award.lot, :tiers, award.period]
        paid_anyway = problem.guaranteed_share[award.lot] * problem.void_price_share[award.lot]
        by_source[TERM["block"], source] += paid_anyway * problem.weeks * (price * charged[:tiers]).sum(axis=0)
        retainer = scenario.call_off_retainer[award.lot, award.period]
        by_source[TERM["call_off"], source] += retainer * problem.weeks * charged[-1]

    for layer, (kind, position, tier) in enumerate(problem.lot_layers):
        if position in future.path.awards:
            term = TERM["call_off" if kind == "call_off" else "block"]
            used = future.placements.lot_layer_used[layer]
            source = problem.lot_source + problem.awards[position].lot
            by_use[term, source] += _layer_price(future, kind, position, tier) * problem.weeks * used


def _layer_price(future: Future, kind: str, position: int, tier: int) -> Floats:
    """£ a bed-week in a priced layer, [period].

    In a period that sees both the end of a term and the beginning of its extension, the price of the term stands.
    """
    problem, scenario = future.problem, future.scenario
    lot, period = problem.awards[position].lot, problem.awards[position].period
    if kind == "call_off":
        price = scenario.call_off_price[lot, period]
    else:
        still_due = 1.0 - problem.void_price_share[lot] if kind == "filled" else 1.0
        price = scenario.lot_price[lot, tier, period] * still_due
    multiple = np.ones(len(problem.periods))
    latest_first = sorted(future.path.extensions(award=position), key=lambda e: -problem.extensions[e].option)
    for extension in latest_first:  # the earlier term overwrites the later one where both deliver
        multiple[scenario.extension_delivered[extension] > 0] = scenario.extension_price[extension]
    multiple[scenario.lot_delivered[lot, period] > 0] = 1.0
    result: Floats = price * multiple
    return result


def _add_supplies(future: Future, by_source: Floats) -> None:
    problem, scenario = future.problem, future.scenario
    supplies = by_source[TERM["existing"], problem.supply_source : problem.spot_source]
    supplies += scenario.supply_commitment
    for supply in range(len(problem.supplies)):
        for extension in future.path.extensions(supply=supply):
            taken = future.decisions.extension_taken[extension]
            supplies[supply] += scenario.supply_extension_cost[extension] * taken


def _add_spots(future: Future, by_use: Floats) -> None:
    problem = future.problem
    cost = (future.scenario.spot_layer_price * future.placements.spot_layer_used).sum(axis=1) * problem.weeks
    by_use[TERM["spot"], problem.spot_source : problem.unregistered] += cost


def _add_children(future: Future, by_cohort: Floats) -> None:
    problem, scenario, placements = future.problem, future.scenario, future.placements
    weeks = placements.placed * problem.weeks  # child-weeks
    price = scenario.variable_price
    homes, supplies = slice(0, problem.lot_source), slice(problem.supply_source, problem.spot_source)
    by_cohort[TERM["variable"]] += (weeks[:, homes] * price[homes]).sum(axis=1)
    by_cohort[TERM["existing"]] += (weeks[:, supplies] * price[supplies]).sum(axis=1)
    by_cohort[TERM["unregistered"]] += weeks[:, problem.unregistered] * scenario.unregistered_price
    by_cohort[TERM["closures"]] += placements.moves_at_closure.sum(axis=1) * problem.closure_price[:, None]
    by_cohort[TERM["planned_moves"]] += placements.planned_moves.sum(axis=1) * problem.planned_move_price[:, None]
    by_cohort[TERM["income"]] -= weeks.sum(axis=1) * problem.contribution[:, None]


def _users(future: Future) -> Floats:
    """Authorities of the children placed with a source, share, [source, authority, period].

    Where nobody is placed: those who share in the source's fixed cost.
    """
    problem = future.problem
    placed = np.einsum("cst,ca->sat", np.maximum(future.placements.placed, 0.0), _membership(problem))
    total = placed.sum(axis=1, keepdims=True)
    somebody = total > 1e-9  # fewer children than a solver can tell from none
    share: Floats = np.where(somebody, placed / np.where(somebody, total, 1.0), problem.cost_share[:, :, None])
    return share


def _membership(problem: Problem) -> Floats:
    """1 where the cohort is the authority's, [cohort, authority]."""
    belongs: Bools = problem.cohort_authority[:, None] == np.arange(len(problem.authorities))
    return belongs.astype(np.float64)


def _managers_share(problem: Problem) -> Floats:
    """Who bears the managers: the mean over council-run homes, share, [authority]."""
    shares = problem.cost_share[: problem.lot_source][problem.home_council_run]
    if not len(shares):
        return np.full(len(problem.authorities), 1.0 / len(problem.authorities))
    mean: Floats = shares.mean(axis=0)
    return mean


def unregistered_child_weeks(future: Future) -> Floats:
    """Child-weeks with no registered home found, [authority, year]."""
    problem = future.problem
    weeks = future.placements.placed[:, problem.unregistered] * problem.weeks
    return _by_year(problem, _membership(problem).T @ weeks)


# quality


def idle_while_unregistered(problem: Problem, decisions: Decisions, placements: Sequence[Placements]) -> Floats:
    """Child-weeks without a registered home though a bed that takes the child stands free, [scenario].

    Free beds count whatever they would cost: unused call-off beds and spot layers, and beds sold to others instead.
    Each bed takes one child; beds in a council building only as far as the building has room.
    """
    _refuse_wrong_shapes(problem, decisions, placements)
    found = np.zeros(len(problem.scenarios))
    for position, (scenario, placed) in enumerate(zip(problem.scenarios, placements, strict=True)):
        future = Future(problem, decisions, scenario, placed)
        free = np.maximum(future.usable_beds - future.children, 0.0)
        for period in range(len(problem.periods)):
            waiting = np.maximum(placed.placed[:, problem.unregistered, period], 0.0)
            if waiting.any():
                room = _room_in_buildings(future, period)
                beds = _most_placed(waiting, free[:, period], problem.allowed[:, :, period], room)
                found[position] += beds * problem.weeks[period]
    return found


def _room_in_buildings(future: Future, period: int) -> list[tuple[list[int], float]]:
    """Sources that share a council building, and how many more children it has room for."""
    problem = future.problem
    rooms: list[tuple[list[int], float]] = []
    for building in _buildings(problem):
        sources = [building, *_lots_in(problem, building)]
        room = float(future.home_beds[building, period] - future.children[sources, period].sum())
        rooms.append((sources, max(room, 0.0)))
    return rooms


def _most_placed(waiting: Floats, free: Floats, allowed: Bools, rooms: list[tuple[list[int], float]]) -> float:
    """Most children that free beds could take, as a largest flow: cohorts, sources, buildings, out.

    waiting : children, [cohort]; free : beds, [source], infinity where unlimited; allowed : [cohort, source]
    """
    cohorts, sources = allowed.shape
    start, end = 0, 1 + cohorts + sources + len(rooms)
    capacity = np.zeros((end + 1, end + 1))
    capacity[start, 1 : 1 + cohorts] = waiting
    capacity[1 : 1 + cohorts, 1 + cohorts : 1 + cohorts + sources] = np.where(allowed, waiting[:, None], 0.0)
    everyone = float(waiting.sum())
    capacity[1 + cohorts : 1 + cohorts + sources, end] = np.minimum(free, everyone)
    for number, (members, room) in enumerate(rooms):
        building = 1 + cohorts + sources + number
        capacity[building, end] = min(room, everyone)
        for source in members:
            capacity[1 + cohorts + source, building] = capacity[1 + cohorts + source, end]
            capacity[1 + cohorts + source, end] = 0.0
    return _largest_flow(capacity, start, end)


def _largest_flow(capacity: Floats, start: int, end: int) -> float:
    """Largest flow through a small network by shortest augmenting paths (Edmonds and Karp, 1972)."""
    left, total = capacity.copy(), 0.0
    while True:
        came_from, queue = {start: start}, [start]
        for node in queue:
            for other in np.flatnonzero(left[node] > 1e-12).tolist():
                if other not in came_from:
                    came_from[other] = node
                    queue.append(other)
        if end not in came_from:
            return total
        arcs, node = [], end
        while node != start:
            arcs.append((came_from[node], node))
            node = came_from[node]
        flow = min(float(left[arc]) for arc in arcs)
        for one, other in arcs:
            left[one, other] -= flow
            left[other, one] += flow
        total += flow


# small things


def _broken(rule: str, excess: Floats, scale: Floats | float, tolerance: float, where: Where) -> Iterator[Violation]:
    """Every place at which ``excess`` is above the tolerance. What is not a number is broken too."""
    excess = np.asarray(excess, dtype=float)
    if (excess <= tolerance).all():
        return  # within the least that any row may miss
    size = np.broadcast_to(np.nan_to_num(np.abs(np.asarray(scale, dtype=float)), posinf=1.0), excess.shape)
    for index in np.argwhere(~(excess <= tolerance * np.maximum(size, 1.0))):
        at = tuple(int(position) for position in index)
        yield Violation(rule, where(*at), float(excess[at]))


def _at_most(rule: str, left: float, right: float, tolerance: float, where: str) -> Iterator[Violation]:
    """One row: ``left`` is no larger than ``right``."""
    scale = max(abs(float(left)), abs(float(right)))
    yield from _broken(rule, np.asarray(float(left) - float(right)), scale, tolerance, lambda: where)


def _fall(level: Floats) -> Floats:
    """By how much a series falls from one period to the next, zero in the first; along the last axis."""
    fall = np.zeros_like(level)
    fall[..., 1:] = np.maximum(level[..., :-1] - level[..., 1:], 0.0)
    return fall


def _by_year(problem: Problem, values: Floats) -> Floats:
    """Sums over the periods of each financial year: [..., period] to [..., year]."""
    belongs = problem.period_year[:, None] == np.arange(len(problem.financial_years))
    result: Floats = values @ belongs.astype(float)
    return result


def _probability(problem: Problem) -> Floats:
    return np.array([scenario.probability for scenario in problem.scenarios])


def _own(problem: Problem, node: int) -> Bools:
    """Whether decisions of the node are taken in the period, [period]."""
    periods = np.arange(len(problem.periods))
    stretch = problem.nodes[node]
    own: Bools = (stretch.first_period <= periods) & (periods < stretch.end_period)
    return own


def _paths(problem: Problem, decisions: Decisions) -> Iterator[tuple[Path, str]]:
    """Every path from the root to a leaf, and what to call it; a path that is the only one needs no name."""
    for leaf in problem.leaves:
        name = problem.nodes[leaf].name if len(problem.leaves) > 1 else ""
        yield Path(problem, decisions, problem.path_to(leaf)), name


def _beds_a_home(problem: Problem) -> Floats:
    """Most beds of one home that matching lets be filled, [home]."""
    beds: Floats = problem.home_beds * problem.home_occupancy
    return beds


def _beds_held(problem: Problem, decisions: Decisions) -> Floats:
    """Beds awarded, [award, kind]."""
    beds = np.zeros((len(problem.awards), decisions.beds_extended.shape[1]))
    beds[:, :-1] = decisions.beds_in_tier
    beds[:, -1] = decisions.optional_beds
    return beds


def _ended(problem: Problem, decisions: Decisions, position: int, period: int) -> bool:
    """Whether an award has delivered and, with the extensions taken, no future sees a bed of it from ``period`` on."""
    award = problem.awards[position]
    for scenario in problem.scenarios:
        if award.node in scenario.path:
            delivered = scenario.lot_delivered[award.lot, award.period].copy()
            for extension in problem.extensions_of(award=position):
                delivered += scenario.extension_delivered[extension] * decisions.extension_taken[extension]
            if delivered[period:].any() or not delivered[:period].any():
                return False
    return True


def _buildings(problem: Problem) -> list[int]:
    """Positions of the homes from which lots are run."""
    return sorted({int(building) for building in problem.lot_building if building >= 0})


def _lots_in(problem: Problem, building: int) -> list[int]:
    """Positions among the sources of the lots run from a building."""
    return [problem.lot_source + int(lot) for lot in np.flatnonzero(problem.lot_building == building)]


# names


def _joined(*parts: str) -> str:
    return ", ".join(part for part in parts if part)


def _award_name(problem: Problem, position: int) -> str:
    award = problem.awards[position]
    branch = problem.nodes[award.node].name if len(problem.nodes) > 1 else ""
    return _joined(f"{problem.lots[award.lot]} awarded {problem.periods[award.period]}", branch)


def _extension_name(problem: Problem, position: int) -> str:
    extension = problem.extensions[position]
    if extension.award is not None:
        return f"extension {extension.option + 1} of {_award_name(problem, extension.award)}"
    assert extension.supply is not None
    branch = problem.nodes[extension.node].name if len(problem.nodes) > 1 else ""
    return _joined(f"extension {extension.option + 1} of {problem.supplies[extension.supply]}", branch)


def _position(name: str, future: str = "") -> Where:
    return lambda *at: _joined(f"{name}[{', '.join(map(str, at))}]", future)


def _child_place(future: Future) -> Where:
    problem = future.problem
    return lambda cohort, source, period: future.where(
        problem.cohorts[cohort], problem.sources[source], problem.periods[period]
    )


def _source_place(future: Future, first: int = 0) -> Where:
    problem = future.problem
    return lambda source, period: future.where(problem.sources[first + source], problem.periods[period])


# shapes


def _decision_shapes(problem: Problem) -> dict[str, tuple[int, ...]]:
    tiers = max((len(tiers) for tiers in problem.lot_tiers), default=0)
    awards, extensions = len(problem.awards), len(problem.extensions)
    return {
        "homes_begun": (len(problem.begins),),
        "homes_closed": (len(problem.closures),),
        "managers": (len(problem.nodes), len(problem.periods)),
        "lot_awarded": (awards,),
        "tier_chosen": (awards, tiers),
        "beds_in_tier": (awards, tiers),
        "optional_beds": (awards,),
        "extension_taken": (extensions,),
        "beds_extended": (extensions, tiers + 1),
    }


def _placement_shapes(problem: Problem, scenario: Scenario) -> dict[str, tuple[int, ...]]:
    cohorts, sources, periods = len(problem.cohorts), len(problem.sources), len(problem.periods)
    return {
        "placed": (cohorts, sources, periods),
        "planned_moves": (cohorts, sources, periods),
        "moves_at_closure": (cohorts, sources, periods),
        "lot_layer_used": (len(problem.lot_layers), periods),
        "spot_layer_used": scenario.spot_layer_beds.shape,
        "beds_sold": (sources, periods),
    }


def _refuse_wrong_shapes(problem: Problem, decisions: Decisions, placements: Sequence[Placements]) -> None:
    if len(placements) != len(problem.scenarios):
        raise ValueError(f"{len(placements)} placements for {len(problem.scenarios)} scenarios")
    wrong = _wrong(decisions, _decision_shapes(problem), "decisions")
    for scenario, placed in zip(problem.scenarios, placements, strict=True):
        wrong += _wrong(placed, _placement_shapes(problem, scenario), scenario.name)
    if wrong:
        raise ValueError("the plan does not have the problem's shapes: " + "; ".join(wrong))


def _wrong(holder: Decisions | Placements, shapes: dict[str, tuple[int, ...]], name: str) -> list[str]:
    found: list[str] = []
    for field, shape in shapes.items():
        array: Floats | Ints = getattr(holder, field)
        if np.shape(array) != shape:
            found.append(f"{name}: {field} has shape {np.shape(array)}, not {shape}")
    return found
