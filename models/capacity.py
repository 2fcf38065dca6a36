"""First stage: homes, managers, registration, capital, lots, tiers and extensions.

Everything here is decided before the future is seen: by node of the decision tree, never by scenario.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import pyomo.environ as pyo

from models.problem import Ints, Problem


def build(model: pyo.ConcreteModel, problem: Problem) -> None:
    """Add the capacity decisions and every rule that involves no future."""
    add_decisions(model, problem)
    add_homes_available(model, problem)
    add_only_certainly_open_homes_closed(model, problem)
    add_capital_within_envelope(model, problem)
    add_registrations_in_hand(model, problem)
    add_homes_have_managers(model, problem)
    add_lot_awarded_once(model, problem)
    add_one_tier(model, problem)
    add_lot_size(model, problem)
    add_call_off_within_option(model, problem)
    add_all_or_none_extended(model, problem)
    add_extension_needs_the_one_before(model, problem)
    add_contract_has_its_home_begun(model, problem)
    add_members_only(model, problem)


def add_decisions(model: pyo.ConcreteModel, problem: Problem) -> None:
    """Integer and binary decisions, bounded by the groups and lot sizes that hold them."""
    model.BEGINS = pyo.Set(initialize=[(b.home, b.node, b.period) for b in problem.begins], dimen=3)
    model.CLOSURES = pyo.Set(initialize=problem.closures, dimen=3)
    model.AWARDS = pyo.Set(initialize=[(a.lot, a.node, a.period) for a in problem.awards], dimen=3)
    model.TIERED_AWARDS = pyo.Set(
        initialize=[
            (a.lot, tier, a.node, a.period) for a in problem.awards for tier in range(len(problem.lot_tiers[a.lot]))
        ],
        dimen=4,
    )
    model.EXTENSIONS = pyo.RangeSet(0, len(problem.extensions) - 1)
    model.EXTENDED_BEDS = pyo.Set(
        initialize=[(extension, tier) for extension in model.EXTENSIONS for tier in bed_kinds(problem, extension)],
        dimen=2,
    )
    model.JOINING = pyo.RangeSet(0, len(problem.authorities) - 1 if problem.coalitions else -1)
    model.joined = pyo.Var(model.JOINING, domain=pyo.Binary, doc="Authority plans with the others [yes or no]")
    model.MANAGED = pyo.Set(
        initialize=[
            (node, period)
            for node in range(len(problem.nodes))
            for period in own_periods(problem, node)
            if problem.managers is not None
        ],
        dimen=2,
    )

    most_managers: Ints = np.zeros(0, np.int64) if problem.managers is None else problem.managers.recruitable

    def most_homes(model: pyo.ConcreteModel, home: int, node: int, period: int) -> tuple[int, int]:
        return 0, most_of_home(problem, home)

    model.homes_begun = pyo.Var(
        model.BEGINS, domain=pyo.NonNegativeIntegers, bounds=most_homes, doc="Acquisitions begun [homes]"
    )
    model.homes_closed = pyo.Var(
        model.CLOSURES, domain=pyo.NonNegativeIntegers, bounds=most_homes, doc="Homes closed [homes]"
    )
    model.lot_awarded = pyo.Var(model.AWARDS, domain=pyo.Binary, doc="Lot awarded [yes or no]")
    model.tier_chosen = pyo.Var(model.TIERED_AWARDS, domain=pyo.Binary, doc="Volume tier of the award [yes or no]")
    model.beds_in_tier = pyo.Var(
        model.TIERED_AWARDS,
        domain=pyo.NonNegativeIntegers,
        bounds=lambda model, lot, tier, node, period: (0, problem.lot_tiers[lot][tier].maximum),
        doc="Committed beds in the volume tier [beds]",
    )
    model.optional_beds = pyo.Var(
        model.AWARDS,
        domain=pyo.NonNegativeIntegers,
        bounds=lambda model, lot, node, period: (0, int(problem.call_off_maximum[lot])),
        doc="Call-off beds that the award lets one buy later [beds]",
    )
    model.extension_taken = pyo.Var(model.EXTENSIONS, domain=pyo.Binary, doc="Extension taken [yes or no]")
    model.beds_extended = pyo.Var(
        model.EXTENDED_BEDS,
        domain=pyo.NonNegativeIntegers,
        bounds=lambda model, extension, tier: (0, most_beds(problem, extension, tier)),
        doc="Beds of an award that an extension keeps [beds]",
    )
    # one home a manager: homes are whole, so managers are without being asked to be
    one_each = problem.managers is not None and problem.managers.homes_each == 1
    model.managers = pyo.Var(
        model.MANAGED,
        domain=pyo.NonNegativeReals if one_each else pyo.NonNegativeIntegers,
        bounds=lambda model, node, period: (0, int(most_managers[period])),
        doc="Registered managers in post [managers]",
    )


# who plans together


def joined(model: pyo.ConcreteModel, problem: Problem, authority: int) -> object:
    """One where the authority is in the plan: a decision where it is one, and otherwise simply one."""
    return model.joined[authority] if problem.coalitions else 1.0


def part_of(model: pyo.ConcreteModel, problem: Problem, source: int) -> object:
    """The part of something in place that belongs to those in the plan: the parts in which they bear its cost."""
    if not problem.coalitions:
        return 1.0
    share = problem.cost_share[source]
    return sum(float(share[authority]) * model.joined[authority] for authority in problem.members(source))


# what is decided where


def own_periods(problem: Problem, node: int) -> range:
    """Periods in which decisions of this node are taken."""
    return range(problem.nodes[node].first_period, problem.nodes[node].end_period)


def bed_kinds(problem: Problem, extension: int) -> tuple[int, ...]:
    """Tiers of the award that is extended, and -1 where it has call-off beds; none for a supply."""
    award = problem.extensions[extension].award
    if award is None:
        return ()
    lot = problem.awards[award].lot
    tiers = tuple(range(len(problem.lot_tiers[lot])))
    return (*tiers, -1) if problem.call_off_maximum[lot] > 0 else tiers


def most_beds(problem: Problem, extension: int, tier: int) -> int:
    """Most beds of one kind that an award can hold: a bound for what an extension keeps."""
    award = problem.extensions[extension].award
    assert award is not None
    lot = problem.awards[award].lot
    return int(problem.call_off_maximum[lot]) if tier == -1 else problem.lot_tiers[lot][tier].maximum


def most_of_home(problem: Problem, home: int) -> int:
    """Most homes of one type that any group lets be begun; every home type is in at least one group."""
    return min(group.limit for group in problem.home_groups if home in group.members)


def begun_on(problem: Problem, path: Iterable[int], home: int) -> list[tuple[int, int, int]]:
    """Places at which acquisition of this home type may begin along a path: (home, node, period)."""
    return [index for node in path for index in problem.begins_by.get((home, node), ())]


def closed_on(problem: Problem, path: Iterable[int], home: int) -> list[tuple[int, int, int]]:
    """Places at which homes of this type may be closed along a path: (home, node, period)."""
    if not problem.closable[home]:
        return []
    return [(home, node, period) for node in path for period in own_periods(problem, node)]


def awarded_on(problem: Problem, path: Iterable[int], lot: int) -> list[tuple[int, int, int]]:
    """Places at which the lot may be awarded along a path: (lot, node, period)."""
    return [index for node in path for index in problem.awards_by.get((lot, node), ())]


def constrain(model: pyo.ConcreteModel, name: str, index: pyo.Set | None, rule: object, doc: str) -> None:
    """Add a named constraint; an index without terms is skipped, since nothing could break it."""
    constraint = pyo.Constraint(rule=rule, doc=doc) if index is None else pyo.Constraint(index, rule=rule, doc=doc)
    setattr(model, name, constraint)


def at_most(terms: list[object], limit: float) -> object:
    """``sum(terms) <= limit``, skipped where there are no terms."""
    return sum(terms) <= limit if terms else pyo.Constraint.Skip


def last_delivered(problem: Problem, award: int) -> int:
    """Last period in which any future can see a bed of the award or of its extensions; -1 where none does."""
    which = problem.awards[award]
    there = np.zeros(len(problem.periods), dtype=bool)
    for scenario in problem.scenarios:
        there |= scenario.lot_delivered[which.lot, which.period] > 0
        for extension in problem.extensions_of(award=award):
            there |= scenario.extension_delivered[extension] > 0
    periods = np.flatnonzero(there)
    return int(periods[-1]) if len(periods) else -1


# homes


def add_homes_available(model: pyo.ConcreteModel, problem: Problem) -> None:
    """Homes begun never exceed what can be bought by type, locality or property.

    sum of homes_begun over the group's homes along a path <= limit   for all groups, leaves   [homes]

    A property is a group of its own with limit 1: used by one operator, it is not free for another.
    """
    groups = range(len(problem.home_groups))

    def rule(model: pyo.ConcreteModel, group: int, leaf: int) -> object:
        path = problem.path_to(leaf)
        terms = [
            model.homes_begun[index]
            for home in problem.home_groups[group].members
            for index in begun_on(problem, path, home)
        ]
        return at_most(terms, problem.home_groups[group].limit)

    index = pyo.Set(initialize=[(group, leaf) for group in groups for leaf in problem.leaves], dimen=2)
    constrain(model, "homes_available", index, rule, "Homes to be had by type, locality and property [homes]")


def add_only_certainly_open_homes_closed(model: pyo.ConcreteModel, problem: Problem) -> None:
    """A home can be closed only once it is open in every future.

    sum homes_closed up to period <= sum homes_begun with certainly_open <= period
    for all closable homes, leaves, periods   [homes]
    """

    def rule(model: pyo.ConcreteModel, home: int, leaf: int, period: int) -> object:
        path = problem.path_to(leaf)
        closed = [model.homes_closed[index] for index in closed_on(problem, path, home) if index[2] <= period]
        if not closed:
            return pyo.Constraint.Skip
        return sum(closed) <= sum(
            model.homes_begun[index]
            for index in begun_on(problem, path, home)
            if problem.certainly_open[home, index[2]] <= period
        )

    index = pyo.Set(
        initialize=[
            (home, leaf, period)
            for home in range(len(problem.homes))
            if problem.closable[home]
            for leaf in problem.leaves
            for period in range(len(problem.periods))
        ],
        dimen=3,
    )
    constrain(model, "only_certainly_open_homes_closed", index, rule, "Closures among homes certainly open [homes]")


def add_capital_within_envelope(model: pyo.ConcreteModel, problem: Problem) -> None:
    """Capital begun stays within the envelope, in total and by financial year.

    sum planning_capital * homes_begun <= envelope   for all envelopes, leaves, years   [£]

    With carry-forward a year's limit is what the envelope has released by its end, less what was begun before;
    without it each year stands alone. Prices are planning prices: what is known when deciding.
    """
    total = -1

    def rule(model: pyo.ConcreteModel, envelope: int, leaf: int, year: int) -> object:
        limit = problem.envelopes[envelope]
        terms = [
            float(problem.planning_capital[home, index[2]]) * model.homes_begun[index]
            for home in limit.homes
            for index in begun_on(problem, problem.path_to(leaf), home)
            if year == total
            or problem.period_year[index[2]] == year
            or (limit.carry_forward and problem.period_year[index[2]] < year)
        ]
        if year == total:
            assert limit.total is not None
            return at_most(terms, limit.total)
        assert limit.by_year is not None
        return at_most(terms, sum(limit.by_year[: year + 1]) if limit.carry_forward else limit.by_year[year])

    index = pyo.Set(
        initialize=[
            (position, leaf, year)
            for position, envelope in enumerate(problem.envelopes)
            for leaf in problem.leaves
            for year in (
                *([total] if envelope.total is not None else []),
                *(range(len(problem.financial_years)) if envelope.by_year is not None else []),
            )
        ],
        dimen=3,
    )
    constrain(model, "capital_within_envelope", index, rule, "Capital begun within the envelope [£]")


def add_registrations_in_hand(model: pyo.ConcreteModel, problem: Problem) -> None:
    """Homes between their start and the planning quantile of their registration stay within the number at once.

    sum in_hand * homes_begun <= registrations_limit   for all leaves, periods   [homes]
    """

    def rule(model: pyo.ConcreteModel, leaf: int, period: int) -> object:
        assert problem.registrations_limit is not None
        path = problem.path_to(leaf)
        terms = [
            model.homes_begun[index]
            for home in range(len(problem.homes))
            for index in begun_on(problem, path, home)
            if problem.in_hand[home, index[2], period]
        ]
        return at_most(terms, problem.registrations_limit)

    index = pyo.Set(
        initialize=[
            (leaf, period)
            for leaf in problem.leaves
            for period in range(len(problem.periods))
            if problem.registrations_limit is not None
        ],
        dimen=2,
    )
    constrain(model, "registrations_in_hand", index, rule, "Registrations at once [homes]")


def add_homes_have_managers(model: pyo.ConcreteModel, problem: Problem) -> None:
    """Homes open or registering have a registered manager.

    sum needs_manager * homes_begun - sum homes_closed <= homes_each * managers   for all nodes, own periods   [homes]

    How many managers can be in post by then is the bound of the variable.
    """

    def rule(model: pyo.ConcreteModel, node: int, period: int) -> object:
        assert problem.managers is not None
        path = problem.path_to(node)
        needing = [
            model.homes_begun[index]
            for home in range(len(problem.homes))
            for index in begun_on(problem, path, home)
            if problem.needs_manager[home, index[2], period]
        ]
        if not needing:
            return pyo.Constraint.Skip
        closed = [
            model.homes_closed[index]
            for home in range(len(problem.homes))
            if problem.needs_manager[home].any()
            for index in closed_on(problem, path, home)
            if index[2] <= period
        ]
        return sum(needing) - sum(closed) <= problem.managers.homes_each * model.managers[node, period]

    constrain(model, "homes_have_managers", model.MANAGED, rule, "A manager for every home open or registering [homes]")


# lots


def add_lot_awarded_once(model: pyo.ConcreteModel, problem: Problem) -> None:
    """A lot is awarded at most once along each path, and no more lots of a group than may be awarded together.

    sum lot_awarded over the group's lots along a path <= limit   for all groups, leaves   [awards]

    Every lot is a group of its own with limit 1.
    """
    groups = (
        *(((lot,), 1) for lot in range(len(problem.lots))),
        *((group.members, group.limit) for group in problem.lot_groups),
    )

    def rule(model: pyo.ConcreteModel, group: int, leaf: int) -> object:
        members, limit = groups[group]
        path = problem.path_to(leaf)
        return at_most([model.lot_awarded[index] for lot in members for index in awarded_on(problem, path, lot)], limit)

    index = pyo.Set(initialize=[(group, leaf) for group in range(len(groups)) for leaf in problem.leaves], dimen=2)
    constrain(model, "lot_awarded_once", index, rule, "One award of a lot, and of alternatives [awards]")


def add_one_tier(model: pyo.ConcreteModel, problem: Problem) -> None:
    """All committed beds of an award lie in one volume tier, and between that tier's limits.

    sum over tiers of tier_chosen = lot_awarded   for all awards
    minimum * tier_chosen <= beds_in_tier <= maximum * tier_chosen   for all tiers, awards   [beds]
    """

    def chosen(model: pyo.ConcreteModel, lot: int, node: int, period: int) -> object:
        tiers = range(len(problem.lot_tiers[lot]))
        return sum(model.tier_chosen[lot, tier, node, period] for tier in tiers) == model.lot_awarded[lot, node, period]

    def from_minimum(model: pyo.ConcreteModel, lot: int, tier: int, node: int, period: int) -> object:
        index = lot, tier, node, period
        return model.beds_in_tier[index] >= problem.lot_tiers[lot][tier].minimum * model.tier_chosen[index]

    def to_maximum(model: pyo.ConcreteModel, lot: int, tier: int, node: int, period: int) -> object:
        index = lot, tier, node, period
        return model.beds_in_tier[index] <= problem.lot_tiers[lot][tier].maximum * model.tier_chosen[index]

    constrain(model, "one_tier", model.AWARDS, chosen, "One volume tier an award [tiers]")
    constrain(model, "tier_minimum", model.TIERED_AWARDS, from_minimum, "Beds from the tier's minimum [beds]")
    constrain(model, "tier_maximum", model.TIERED_AWARDS, to_maximum, "Beds up to the tier's maximum [beds]")


def add_lot_size(model: pyo.ConcreteModel, problem: Problem) -> None:
    """Committed beds lie between the lot's minimum and maximum when awarded, and are zero otherwise.

    lot_minimum * lot_awarded <= sum beds_in_tier <= lot_maximum * lot_awarded   for all awards   [beds]
    """

    def committed(model: pyo.ConcreteModel, lot: int, node: int, period: int) -> object:
        return sum(model.beds_in_tier[lot, tier, node, period] for tier in range(len(problem.lot_tiers[lot])))

    def from_minimum(model: pyo.ConcreteModel, lot: int, node: int, period: int) -> object:
        awarded = model.lot_awarded[lot, node, period]
        return committed(model, lot, node, period) >= int(problem.lot_minimum[lot]) * awarded

    def to_maximum(model: pyo.ConcreteModel, lot: int, node: int, period: int) -> object:
        awarded = model.lot_awarded[lot, node, period]
        return committed(model, lot, node, period) <= int(problem.lot_maximum[lot]) * awarded

    constrain(model, "lot_minimum", model.AWARDS, from_minimum, "Committed beds from the lot's minimum [beds]")
    constrain(model, "lot_maximum", model.AWARDS, to_maximum, "Committed beds up to the lot's maximum [beds]")


def add_call_off_within_option(model: pyo.ConcreteModel, problem: Problem) -> None:
    """Call-off beds only with an award, and no more than the lot offers.

    optional_beds <= call_off_maximum * lot_awarded   for all awards   [beds]
    """

    def rule(model: pyo.ConcreteModel, lot: int, node: int, period: int) -> object:
        index = lot, node, period
        return model.optional_beds[index] <= int(problem.call_off_maximum[lot]) * model.lot_awarded[index]

    constrain(model, "call_off_within_option", model.AWARDS, rule, "Call-off beds within the option [beds]")


def add_all_or_none_extended(model: pyo.ConcreteModel, problem: Problem) -> None:
    """An extension keeps all beds of its award or none.

    beds_extended <= beds,  beds_extended <= most * taken,  beds_extended >= beds - most * (1 - taken)
    for all extensions of awards, kinds of bed   [beds]

    ``most`` is the largest number of such beds that the award can hold, so that the last line asks nothing where the
    extension is not taken.
    """

    def beds(model: pyo.ConcreteModel, extension: int, tier: int) -> object:
        position = problem.extensions[extension].award
        assert position is not None
        award = problem.awards[position]
        if tier == -1:
            return model.optional_beds[award.lot, award.node, award.period]
        return model.beds_in_tier[award.lot, tier, award.node, award.period]

    def within_award(model: pyo.ConcreteModel, extension: int, tier: int) -> object:
        return model.beds_extended[extension, tier] <= beds(model, extension, tier)

    def none_unless_taken(model: pyo.ConcreteModel, extension: int, tier: int) -> object:
        most = most_beds(problem, extension, tier)
        return model.beds_extended[extension, tier] <= most * model.extension_taken[extension]

    def all_if_taken(model: pyo.ConcreteModel, extension: int, tier: int) -> object:
        most = most_beds(problem, extension, tier)
        not_taken = 1 - model.extension_taken[extension]
        return model.beds_extended[extension, tier] >= beds(model, extension, tier) - most * not_taken

    index = model.EXTENDED_BEDS
    constrain(model, "extended_within_award", index, within_award, "No more beds extended than awarded [beds]")
    constrain(model, "none_extended_unless_taken", index, none_unless_taken, "No beds without the extension [beds]")
    constrain(model, "all_extended_if_taken", index, all_if_taken, "All beds with the extension [beds]")


def add_extension_needs_the_one_before(model: pyo.ConcreteModel, problem: Problem) -> None:
    """Extension years are taken in order: each needs the one before, and the first an award to extend.

    extension_taken <= extension_taken of the one it needs, or lot_awarded   for all extensions   [yes or no]
    """

    def rule(model: pyo.ConcreteModel, position: int) -> object:
        extension = problem.extensions[position]
        if extension.needs is not None:
            return model.extension_taken[position] <= model.extension_taken[extension.needs]
        if extension.award is None:
            return pyo.Constraint.Skip
        award = problem.awards[extension.award]
        return model.extension_taken[position] <= model.lot_awarded[award.lot, award.node, award.period]

    constrain(model, "extension_needs_the_one_before", model.EXTENSIONS, rule, "Extensions in order [yes or no]")


def add_contract_has_its_home_begun(model: pyo.ConcreteModel, problem: Problem) -> None:
    """Beds contracted in a council building have a building that has been begun.

    sum beds_in_tier + sum optional_beds over awards up to period <= home_beds * sum homes_begun up to period
    for all lots with a building, leaves, periods of award   [beds]

    Contracts that have ended in every future no longer count. The beds placed are held to what is open by
    ``contract_has_its_home`` in the second stage.
    """

    last = {
        position: last_delivered(problem, position)
        for lot in range(len(problem.lots))
        if problem.lot_building[lot] >= 0
        for position in problem.awards_of(lot)
    }

    def rule(model: pyo.ConcreteModel, lot: int, leaf: int, period: int) -> object:
        path = problem.path_to(leaf)
        building = int(problem.lot_building[lot])
        sharing = [other for other in range(len(problem.lots)) if problem.lot_building[other] == building]
        awards = [
            (award.lot, award.node, award.period)
            for other in sharing
            for position in problem.awards_of(other)
            for award in [problem.awards[position]]
            if award.node in path and award.period <= period <= max(last[position], award.period)
        ]
        if not awards:
            return pyo.Constraint.Skip
        contracted = sum(
            model.optional_beds[index]
            + sum(
                model.beds_in_tier[index[0], tier, index[1], index[2]]
                for tier in range(len(problem.lot_tiers[index[0]]))
            )
            for index in awards
        )
        begun = [model.homes_begun[index] for index in begun_on(problem, path, building) if index[2] <= period]
        return contracted <= int(problem.home_beds[building]) * sum(begun)

    index = pyo.Set(
        initialize=[
            (lot, leaf, period)
            for lot in range(len(problem.lots))
            if problem.lot_building[lot] >= 0
            for leaf in problem.leaves
            for period in sorted({a.period for a in problem.awards if a.lot == lot})
        ],
        dimen=3,
    )
    constrain(model, "contract_has_its_home_begun", index, rule, "A building for every bed contracted in one [beds]")


# who plans together


def add_members_only(model: pyo.ConcreteModel, problem: Problem) -> None:
    """Homes are begun by owners in the plan, lots awarded and contracts extended by groups with a member of theirs.

    homes_begun <= most * joined[owner];  lot_awarded, extension_taken <= sum of joined over members
    for all begins, awards, extensions of supplies   [homes], [yes or no]

    Only where it is to be decided who joins. A group without children of its own would gain nothing by them, but could
    hold what others must be kept from.
    """
    supplies = [place for place, each in enumerate(problem.extensions) if each.supply is not None]

    def home(model: pyo.ConcreteModel, home: int, node: int, period: int) -> object:
        owner = int(problem.home_authority[home])
        return model.homes_begun[home, node, period] <= most_of_home(problem, home) * model.joined[owner]

    def lot(model: pyo.ConcreteModel, lot: int, node: int, period: int) -> object:
        members = problem.members(problem.lot_source + lot)
        return model.lot_awarded[lot, node, period] <= sum(model.joined[authority] for authority in members)

    def extension(model: pyo.ConcreteModel, extension: int) -> object:
        supply = problem.extensions[extension].supply
        assert supply is not None
        members = problem.members(problem.supply_source + supply)
        return model.extension_taken[extension] <= sum(model.joined[authority] for authority in members)

    wanted = problem.coalitions
    constrain(model, "homes_of_members", model.BEGINS if wanted else pyo.Set(dimen=3), home, "Owners joined [homes]")
    constrain(model, "lots_of_members", model.AWARDS if wanted else pyo.Set(dimen=3), lot, "Members joined [yes or no]")
    extended = pyo.Set(initialize=supplies if wanted else [])
    constrain(model, "extensions_of_members", extended, extension, "Members joined [yes or no]")
