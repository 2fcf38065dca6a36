"""The planning problem as frozen sets and arrays: everything the formulation needs and nothing else.

Index words and their meaning (positions are integers from 0; the names are kept beside them):

=============  =====================================================================================
authority      a council planning alone or with others
cohort         children of one authority with one need profile
period         one or more months; knows its weeks, financial year, deflator and discount factor
year           a financial year, April to March
home           a type of in-house home
lot            a block-contract offer
supply         a home or contract already in place
spot           a spot market
source         where a child can live: homes, lots, supplies, spots, and no registered home found, in that order
node           the root (today) and one per branch at each review point
begin          one (home, node, period) at which acquisition may begin
award          one (lot, node, period) at which a lot may be awarded
extension      one option to extend an award or a supply, decided at one node
step           one (from cohort, to cohort) along which children step across
scenario       one future
=============  =====================================================================================

All money arrays are nominal pounds; ``present_value[period]`` turns a nominal pound into a real, discounted one.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields, replace
from functools import cached_property
from typing import Any, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]
K = TypeVar("K")
V = TypeVar("V")

#: Cost terms in the order in which they are reported. Income is negative.
COST_TERMS = (
    "capital",
    "residual",
    "running",
    "managers",
    "variable",
    "waiting",
    "lifecycle",
    "block",
    "call_off",
    "procurement",
    "existing",
    "spot",
    "unregistered",
    "closures",
    "planned_moves",
    "income",
)


@dataclass(frozen=True)
class Node:
    """A stretch of the decision tree: the root, or one branch after a review.

    ``first_period`` <= own periods < ``end_period``; decisions are only taken in a node's own periods.
    """

    name: str
    parent: int | None
    first_period: int
    end_period: int
    branch: str  # what has been observed, in words; "" for the root


@dataclass(frozen=True)
class Begin:
    """Acquisition of one home type may begin here."""

    home: int
    node: int
    period: int


@dataclass(frozen=True)
class Award:
    """A lot may be awarded here."""

    lot: int
    node: int
    period: int


@dataclass(frozen=True)
class Tier:
    """A volume tier of a lot: committed beds between minimum and maximum, all at the tier's price."""

    minimum: int
    maximum: int


@dataclass(frozen=True)
class Extension:
    """An option to extend an award (``award`` set) or a supply (``supply`` set), decided at ``node``.

    ``needs`` is the position of the extension that must be taken before this one.
    """

    award: int | None
    supply: int | None
    option: int
    node: int
    notice_period: int
    needs: int | None


@dataclass(frozen=True)
class Group:
    """At most ``limit`` of the members may be chosen along any path from root to leaf."""

    name: str
    members: tuple[int, ...]
    limit: int


@dataclass(frozen=True)
class Envelope:
    """A capital envelope for the homes listed: in total, and by financial year with or without carry-forward."""

    name: str
    homes: tuple[int, ...]
    total: float | None
    by_year: tuple[float, ...] | None  # £, one per financial year
    carry_forward: bool


@dataclass(frozen=True)
class Managers:
    """Registered managers: how many homes each may run and how many can be in post by each period."""

    homes_each: int
    recruitable: Ints  # managers in post at most, [period]
    cost: Floats  # £ nominal for one manager in post, [period]


@dataclass(frozen=True)
class LocalLimit:
    """Expected share of a cohort's child-weeks within a band is at least ``minimum``."""

    name: str
    cohorts: tuple[int, ...]
    share: Floats  # part of the source's places that lie within the band, [source]
    minimum: float


@dataclass(frozen=True)
class UnregisteredLimit:
    """What the instance tolerates of *no registered home found*, for some authorities together.

    ``child_weeks`` limits the expected child-weeks over the horizon; ``epsilon`` the probability of one child-week
    or more in any one financial year.
    """

    name: str
    authorities: tuple[int, ...]
    child_weeks: float | None
    epsilon: float | None


@dataclass(frozen=True, eq=False)
class Scenario:
    """One future. Shares are of the children or beds concerned; money is nominal pounds."""

    name: str
    probability: float
    path: tuple[int, ...]  # nodes from the root to this future's leaf
    arrivals: Floats  # children, [cohort, period]
    stay: Floats  # share who stay in care in the cohort, [cohort, source, period]
    step: Floats  # share who step across, [step, source, period]
    breakdown: Floats  # share of placements that break down, [cohort, source, period]
    home_open: Floats  # share of a home's beds open, [home, period begun, period]
    capital_outlay: Floats  # £ for one home begun, net of grant, [home, period begun]
    residual_value: Floats  # £ at the horizon for one home begun, [home, period begun]
    abortive_cost: Floats  # £ for purchases that fall through, for one home begun, [home, period begun]
    home_running: Floats  # £ for one home, [home, period begun, period]
    home_waiting: Floats  # £ for one home, [home, period begun, period]
    home_lifecycle: Floats  # £ for one home, [home, period begun, period]
    lot_delivered: Floats  # share of awarded beds delivered in the initial term, [lot, period awarded, period]
    lot_price: Floats  # £ a bed-week by tier, [lot, tier, period awarded, period]
    call_off_price: Floats  # £ a bed-week, [lot, period awarded, period]
    call_off_retainer: Floats  # £ a bed-week held, [lot, period awarded, period]
    lot_setup: Floats  # £ on award, [lot, period awarded]
    extension_delivered: Floats  # share of beds delivered under the extension, [extension, period]
    extension_price: Floats  # £ a bed-week as a multiple of the price before, [extension]
    supply_beds: Floats  # usable beds before any extension, [supply, period]
    supply_commitment: Floats  # £ paid whether used or not, [supply, period]
    supply_extension_beds: Floats  # usable beds added by the extension, [extension, period]
    supply_extension_cost: Floats  # £ paid whether used or not, [extension, period]
    variable_price: Floats  # £ a child-week in homes and supplies, [source, period]
    spot_layer_beds: Floats  # beds on offer; infinity where unlimited, [spot, layer, period]
    spot_layer_price: Floats  # £ a child-week, [spot, layer, period]
    unregistered_price: Floats  # £ a child-week really paid, [period]
    deterrent: Floats  # £ a child-week charged on top in the objective, [period]


#: How much longer a table becomes that is full.
GROWTH = 1.25


class _Table:
    """Rows of one length, each kept once; the first is of zeros."""

    def __init__(self, length: int) -> None:
        self._held, self._count = np.zeros((64, length)), 1

    def add(self, row: Floats) -> int:
        """A further row; gives its place."""
        if self._count == len(self._held):
            longer = np.zeros((int(GROWTH * self._count), self._held.shape[1]))
            longer[: self._count] = self._held
            self._held = longer
        self._held[self._count] = row
        self._count += 1
        return self._count - 1

    @property
    def matrix(self) -> Floats:
        """The rows so far, [row, ...]."""
        return self._held[: self._count]


class SharedRows:
    """What puts equal rows of the futures that are packed together in one place."""

    def __init__(self) -> None:
        # rows are found by a hash of their bytes: to keep the bytes would take as much memory as the rows
        self._tables: dict[int, tuple[_Table, dict[int, int]]] = {}

    def of(self, array: Floats) -> _Rows:
        """An array as its rows along the last axis."""
        length = array.shape[-1]
        if length not in self._tables:
            self._tables[length] = _Table(length), {}
        table, known = self._tables[length]
        flat = array.reshape(-1, length)
        places = np.zeros(len(flat), dtype=np.int32)
        for row in np.flatnonzero(flat.any(axis=1)).tolist():
            content = flat[row].tobytes()
            key = hash(content)
            while key in known and table.matrix[known[key]].tobytes() != content:
                key += 1
            if key not in known:
                known[key] = table.add(flat[row])
            places[row] = known[key]
        return _Rows(table, places.reshape(array.shape[:-1]))


@dataclass(frozen=True, eq=False)
class _Rows:
    """An array kept as the places of its rows in a table."""

    table: _Table
    places: NDArray[np.int32]  # [...]

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the array."""
        return (*self.places.shape, self.table.matrix.shape[1])

    def whole(self) -> Floats:
        """The array, made anew."""
        array: Floats = self.table.matrix[self.places]
        return array


class PackedScenario(Scenario):
    """A future whose large arrays are kept row by row, rows equal to another future's only once.

    Delays and prices take few values, so that thousands of futures fit in memory. Arrays are made anew when read: what
    is written into them is lost. ``across`` reads one array of many futures at once.
    """

    def __getattr__(self, name: str) -> Floats:
        """An array that is kept by its rows."""
        rows = _rows_of(self, name)
        if rows is None:
            raise AttributeError(f"a future has no {name!r}")
        return rows.whole()


def packed(scenario: Scenario, shared: SharedRows) -> PackedScenario:
    """The same future in little memory; ``shared`` holds the rows of all futures packed together."""
    plain: dict[str, Any] = {each.name: getattr(scenario, each.name) for each in fields(Scenario)}
    large = {
        name: shared.of(value)
        for name, value in plain.items()
        if isinstance(value, np.ndarray) and value.ndim > 2 and value.size
    }
    found = PackedScenario.__new__(PackedScenario)
    found.__dict__.update({name: value for name, value in plain.items() if name not in large}, _rows=large)
    return found


def _rows_of(scenario: Scenario, name: str) -> _Rows | None:
    """An array of a future as its rows; None where it is kept whole."""
    kept: dict[str, _Rows] | None = scenario.__dict__.get("_rows")
    return kept.get(name) if kept else None


def across(scenarios: Sequence[Scenario], name: str, at: tuple[int, ...] = ()) -> Floats:
    """One array of several futures, the future first: [scenario, ...].

    Parameters
    ----------
    at
        Positions on the leading axes of the array, where only what stands there is wanted.
    """
    rows = [_rows_of(scenario, name) for scenario in scenarios]
    table = rows[0].table if rows and rows[0] is not None else None
    places = [each.places[at] for each in rows if each is not None and each.table is table]
    if table is not None and len(places) == len(rows):
        array: Floats = table.matrix[np.array(places)]
        return array
    return np.array([getattr(scenario, name)[at] for scenario in scenarios])


class Staying(Protocol):
    """What has the shares of placements that stay and that break down: a future, or several at once."""

    @property
    def stay(self) -> Floats:
        """Share who stay in care in the cohort, [..., cohort, source, period]."""

    @property
    def breakdown(self) -> Floats:
        """Share of placements that break down, [..., cohort, source, period]."""


class _Checked(tuple[Scenario, ...]):
    """Futures that agree with these sizes of the sets: problems that share them need not look at them again."""

    sizes: dict[str, int]


@dataclass(frozen=True, eq=False)
class Problem:
    """Everything the formulation needs. See the module page for the index words and ``Scenario`` for the futures."""

    # sets
    authorities: tuple[str, ...]
    cohorts: tuple[str, ...]
    periods: tuple[str, ...]  # first month of the period, "2025-04"
    financial_years: tuple[str, ...]  # "2025/26"
    homes: tuple[str, ...]
    lots: tuple[str, ...]
    supplies: tuple[str, ...]
    spots: tuple[str, ...]
    unregistered_name: str  # what *no registered home found* is called in the instance's own time
    nodes: tuple[Node, ...]
    begins: tuple[Begin, ...]
    awards: tuple[Award, ...]
    extensions: tuple[Extension, ...]
    steps: tuple[tuple[int, int], ...]
    scenarios: tuple[Scenario, ...]
    # time
    period_months: Ints  # months in the period, [period]
    period_start: Ints  # months from the start of the horizon, [period]
    weeks: Floats  # weeks in the period, [period]
    period_year: Ints  # position of the financial year, [period]
    deflator: Floats  # real pounds for one nominal pound, [period]
    discount: Floats  # present pounds for one real pound, [period]
    # children
    cohort_authority: Ints  # [cohort]
    placed_at_start: Floats  # children, [cohort, source]
    allowed: Bools  # may the cohort be placed there, [cohort, source, period]
    mobility: Floats  # share of placements that may end by a planned move, [cohort, period]
    planned_move_price: Floats  # £ a planned move; 0 where free, [cohort]
    closure_price: Floats  # £ a placement ended because the bed goes, [cohort]
    contribution: Floats  # £ a child-week from health and education, [cohort]
    grant_income: Floats  # £ in the period, [authority, period]
    # homes
    home_authority: Ints  # [home]
    home_beds: Ints  # beds, [home]
    home_occupancy: Floats  # most of its beds that matching lets be filled, share, [home]
    home_council_run: Bools  # False: run by a provider under a lot, [home]
    planning_capital: Floats  # £ net of grant with optimism bias at planning prices, [home, period begun]
    in_hand: Bools  # counts against registrations in hand, [home, period begun, period]
    needs_manager: Bools  # needs a manager, [home, period begun, period]
    closable: Bools  # [home]
    certainly_open: Ints  # first period in which it is open in every future, [home, period begun]
    closing_cost: Floats  # £ to close one home, [home]
    closed_saving: Floats  # £ no longer spent on one open home once closed, [home, period]
    home_groups: tuple[Group, ...]
    # lots
    lot_tiers: tuple[tuple[Tier, ...], ...]
    lot_minimum: Ints  # committed beds when awarded, [lot]
    lot_maximum: Ints  # committed beds when awarded, [lot]
    call_off_maximum: Ints  # optional beds when awarded, [lot]
    lot_occupancy: Floats  # most of its beds that matching lets be filled, share, [lot]
    guaranteed_share: Floats  # share of committed beds paid whether filled or not, [lot]
    void_price_share: Floats  # share of the price paid for a guaranteed bed that is empty, [lot]
    lot_building: Ints  # position of the home it is run from; -1 where the provider has its own, [lot]
    lot_groups: tuple[Group, ...]
    # money
    cost_share: Floats  # who bears a source's fixed cost, share, [source, authority]
    sold_price: Floats  # £ a bed-week for idle beds sold to others, [source, period]
    sold_maximum: Floats  # idle beds that can be sold, [source, period]
    # limits
    envelopes: tuple[Envelope, ...]
    registrations_limit: int | None
    managers: Managers | None
    local_limits: tuple[LocalLimit, ...]
    unregistered_limits: tuple[UnregisteredLimit, ...]
    # risk
    risk_weight: float
    cvar_level: float
    cvar_limit: float | None
    # who plans together
    coalitions: bool = False  # True: which authorities join is a first-stage decision, bounded by whoever asks

    def __post_init__(self) -> None:
        problems = list(self._disagreements())
        if problems:
            raise ValueError("the problem's indices disagree: " + "; ".join(problems))

    # positions of the sources

    @cached_property
    def sources(self) -> tuple[str, ...]:
        """Names of all sources, homes first and *no registered home found* last."""
        return (*self.homes, *self.lots, *self.supplies, *self.spots, self.unregistered_name)

    @cached_property
    def lot_source(self) -> int:
        """Position of the first lot among the sources."""
        return len(self.homes)

    @cached_property
    def supply_source(self) -> int:
        """Position of the first supply among the sources."""
        return self.lot_source + len(self.lots)

    @cached_property
    def spot_source(self) -> int:
        """Position of the first spot market among the sources."""
        return self.supply_source + len(self.supplies)

    @cached_property
    def unregistered(self) -> int:
        """Position of *no registered home found*, always the last source."""
        return self.spot_source + len(self.spots)

    def source_kind(self, source: int) -> str:
        """``home``, ``lot``, ``supply``, ``spot`` or ``unregistered``."""
        starts = (self.lot_source, self.supply_source, self.spot_source, self.unregistered)
        return ("home", "lot", "supply", "spot", "unregistered")[sum(source >= start for start in starts)]

    # money and time

    @cached_property
    def present_value(self) -> Floats:
        """Present real pounds for one nominal pound, [period]."""
        return self.deflator * self.discount

    # the tree

    def path_to(self, node: int) -> tuple[int, ...]:
        """Nodes from the root to ``node``, both included."""
        path: list[int] = []
        at: int | None = node
        while at is not None:
            path.append(at)
            at = self.nodes[at].parent
        return tuple(reversed(path))

    @cached_property
    def leaves(self) -> tuple[int, ...]:
        """Nodes without a branch below them."""
        parents = {node.parent for node in self.nodes}
        return tuple(position for position in range(len(self.nodes)) if position not in parents)

    # what a placement keeps

    def kept(self, scenario: Staying) -> Floats:
        """Share of placements that last where the child stays in the cohort: stay less breakdown.

        [cohort, source, period] of one future; of several at once, [scenario, cohort, source, period].
        """
        return np.maximum(scenario.stay - scenario.breakdown, 0.0)

    def movable(self, scenario: Staying) -> Floats:
        """Share of placements that a planned move may end, never more than last; shapes as of ``kept``."""
        return np.minimum(self.mobility[:, None, :], self.kept(scenario))

    # who plans together

    def members(self, source: int) -> tuple[int, ...]:
        """Authorities that may use a source: those who bear a part of what it costs anyway."""
        return tuple(np.flatnonzero(self.cost_share[source] > 0).tolist())

    # contracts

    @cached_property
    def lot_layers(self) -> tuple[tuple[str, int, int], ...]:
        """Priced layers of the awards: (kind, award, tier); tier is -1 for call-off.

        ``filled``: guaranteed beds whose price is only part paid when empty. ``above_guarantee``: committed beds paid
        only when filled. ``call_off``: optional beds, paid only when filled, which they are beyond all committed beds.
        """
        layers: list[tuple[str, int, int]] = []
        for position, award in enumerate(self.awards):
            for tier in range(len(self.lot_tiers[award.lot])):
                if self.void_price_share[award.lot] < 1 and self.guaranteed_share[award.lot] > 0:
                    layers.append(("filled", position, tier))
                if self.guaranteed_share[award.lot] < 1:
                    layers.append(("above_guarantee", position, tier))
            if self.call_off_maximum[award.lot] > 0:
                layers.append(("call_off", position, -1))
        return tuple(layers)

    def awards_of(self, lot: int) -> tuple[int, ...]:
        """Positions of the awards of one lot."""
        return self._awards_of_lot.get(lot, ())

    def extensions_of(self, *, award: int | None = None, supply: int | None = None) -> tuple[int, ...]:
        """Positions of the extensions of one award or one supply."""
        if award is not None:
            return self._extensions_of_award.get(award, ())
        return self._extensions_of_supply.get(supply, ()) if supply is not None else ()

    @cached_property
    def closures(self) -> tuple[tuple[int, int, int], ...]:
        """Where homes may be closed: (home, node, period), for all closable homes and own periods of nodes."""
        return tuple(
            (home, node, period)
            for home in range(len(self.homes))
            if self.closable[home]
            for node, stretch in enumerate(self.nodes)
            for period in range(stretch.first_period, stretch.end_period)
        )

    @cached_property
    def begins_by(self) -> dict[tuple[int, int], tuple[tuple[int, int, int], ...]]:
        """(home, node, period) of the begins, by (home, node)."""
        return _grouped(((b.home, b.node), (b.home, b.node, b.period)) for b in self.begins)

    @cached_property
    def awards_by(self) -> dict[tuple[int, int], tuple[tuple[int, int, int], ...]]:
        """(lot, node, period) of the awards, by (lot, node)."""
        return _grouped(((a.lot, a.node), (a.lot, a.node, a.period)) for a in self.awards)

    @cached_property
    def _awards_of_lot(self) -> dict[int, tuple[int, ...]]:
        return _grouped((award.lot, position) for position, award in enumerate(self.awards))

    @cached_property
    def _extensions_of_award(self) -> dict[int, tuple[int, ...]]:
        return _grouped((e.award, position) for position, e in enumerate(self.extensions) if e.award is not None)

    @cached_property
    def _extensions_of_supply(self) -> dict[int, tuple[int, ...]]:
        return _grouped((e.supply, position) for position, e in enumerate(self.extensions) if e.supply is not None)

    # agreement of the indices

    def _disagreements(self) -> list[str]:
        sizes = {
            "authority": len(self.authorities),
            "cohort": len(self.cohorts),
            "period": len(self.periods),
            "home": len(self.homes),
            "lot": len(self.lots),
            "supply": len(self.supplies),
            "spot": len(self.spots),
            "source": len(self.homes) + len(self.lots) + len(self.supplies) + len(self.spots) + 1,
            "extension": len(self.extensions),
            "step": len(self.steps),
        }
        found: list[str] = []
        for name, index in PROBLEM_SHAPES.items():
            found += _wrong_shape(name, getattr(self, name), index, sizes)
        if len(self.lot_tiers) != len(self.lots):
            found.append("lot_tiers does not have one entry per lot")
        found += self._disagreements_of_futures(sizes)
        if found:
            return found
        provider_run = np.flatnonzero(~self.home_council_run)
        if self.allowed[:, provider_run].any() or self.sold_maximum[provider_run].any():
            found.append(
                "children are allowed, or beds sold, in a provider-run building itself and not under its contract"
            )
        if self.sold_maximum[-1].any():
            found.append("beds are sold where no registered home is found")
        if (np.abs(self.cost_share.sum(axis=1) - 1) > 1e-9).any():
            found.append("the shares in which authorities bear a source's fixed cost do not add up to 1")
        grouped = {home for group in self.home_groups for home in group.members}
        found += [f"{name} is in no group of homes" for home, name in enumerate(self.homes) if home not in grouped]
        found += [
            f"{envelope.name} does not have one limit per financial year"
            for envelope in self.envelopes
            if envelope.by_year is not None and len(envelope.by_year) != len(self.financial_years)
        ]
        found += [
            f"{name} is run by a provider under a contract and cannot be closed by the plan"
            for name, closable, council in zip(self.homes, self.closable, self.home_council_run, strict=True)
            if closable and not council
        ]
        return found

    def _disagreements_of_futures(self, sizes: dict[str, int]) -> list[str]:
        if isinstance(self.scenarios, _Checked) and self.scenarios.sizes == sizes:
            return []
        found = [fault for scenario in self.scenarios for fault in _wrong_future(scenario, self.scenarios[0], sizes)]
        total = sum(scenario.probability for scenario in self.scenarios)
        if abs(total - 1) > 1e-9:
            found.append(f"the probabilities of the scenarios add up to {total:.6f}, not 1")
        if found:
            return found
        unlimited = np.isinf(across(self.scenarios, "spot_layer_beds"))
        in_part = (unlimited.any(axis=3) != unlimited.all(axis=3)).any(axis=(1, 2))
        stay = across(self.scenarios, "stay")
        longer = (stay[:, :, -1] < stay[:, :, :-1].max(axis=2, initial=0.0) - 1e-9).any(axis=(1, 2))
        for scenario, partly, stays in zip(self.scenarios, in_part, longer, strict=True):
            if partly:
                found.append(f"{scenario.name}: a spot layer is unlimited in some periods only")
            if stays:
                found.append(f"{scenario.name}: some source is stayed with longer than no registered home found")
        if not found:
            checked = _Checked(self.scenarios)
            checked.sizes = sizes
            object.__setattr__(self, "scenarios", checked)
        return found


def within(problem: Problem, members: Iterable[int]) -> Problem:
    """The same problem for some of its authorities only: nobody else's children, grants or parts of what is in place.

    Of supplies in place, members have the parts in which they bear their cost. Homes are begun by owners, lots awarded
    and contracts extended by their members, or not at all. Offers of the market (spot layers, lots, homes to buy) and
    limits stand as they are.
    """
    inside = np.isin(np.arange(len(problem.authorities)), list(members))
    children = inside[problem.cohort_authority]
    share = problem.cost_share * inside
    own = share.sum(axis=1, keepdims=True)
    without = [place for place, owner in enumerate(problem.home_authority) if not inside[owner]]
    barred = [lot for lot in range(len(problem.lots)) if not own[problem.lot_source + lot, 0]]
    open_to = np.array(
        [e.supply is None or own[problem.supply_source + e.supply, 0] > 0 for e in problem.extensions], dtype=float
    ).reshape(-1, 1)
    part = own[problem.supply_source : problem.spot_source]
    return replace(
        problem,
        coalitions=False,
        placed_at_start=problem.placed_at_start * children[:, None],
        grant_income=problem.grant_income * inside[:, None],
        home_groups=(*problem.home_groups, *([Group("owners elsewhere", tuple(without), 0)] if without else [])),
        lot_groups=(*problem.lot_groups, *([Group("members elsewhere", tuple(barred), 0)] if barred else [])),
        cost_share=np.where(own > 0, share / np.where(own > 0, own, 1.0), problem.cost_share),
        scenarios=tuple(
            replace(
                scenario,
                arrivals=scenario.arrivals * children[:, None],
                supply_beds=scenario.supply_beds * part,
                supply_commitment=scenario.supply_commitment * part,
                supply_extension_beds=scenario.supply_extension_beds * open_to,
                supply_extension_cost=scenario.supply_extension_cost * open_to,
            )
            for scenario in problem.scenarios
        ),
    )


#: Index words of every array, so that shapes are checked and documented in one place. None: any length.
PROBLEM_SHAPES: dict[str, tuple[str | None, ...]] = {
    "period_months": ("period",),
    "period_start": ("period",),
    "weeks": ("period",),
    "period_year": ("period",),
    "deflator": ("period",),
    "discount": ("period",),
    "cohort_authority": ("cohort",),
    "placed_at_start": ("cohort", "source"),
    "allowed": ("cohort", "source", "period"),
    "mobility": ("cohort", "period"),
    "planned_move_price": ("cohort",),
    "closure_price": ("cohort",),
    "contribution": ("cohort",),
    "grant_income": ("authority", "period"),
    "home_authority": ("home",),
    "home_beds": ("home",),
    "home_occupancy": ("home",),
    "home_council_run": ("home",),
    "planning_capital": ("home", "period"),
    "in_hand": ("home", "period", "period"),
    "needs_manager": ("home", "period", "period"),
    "closable": ("home",),
    "certainly_open": ("home", "period"),
    "closing_cost": ("home",),
    "closed_saving": ("home", "period"),
    "lot_minimum": ("lot",),
    "lot_maximum": ("lot",),
    "call_off_maximum": ("lot",),
    "lot_occupancy": ("lot",),
    "guaranteed_share": ("lot",),
    "void_price_share": ("lot",),
    "lot_building": ("lot",),
    "cost_share": ("source", "authority"),
    "sold_price": ("source", "period"),
    "sold_maximum": ("source", "period"),
}

SCENARIO_SHAPES: dict[str, tuple[str | None, ...]] = {
    "arrivals": ("cohort", "period"),
    "stay": ("cohort", "source", "period"),
    "step": ("step", "source", "period"),
    "breakdown": ("cohort", "source", "period"),
    "home_open": ("home", "period", "period"),
    "capital_outlay": ("home", "period"),
    "residual_value": ("home", "period"),
    "abortive_cost": ("home", "period"),
    "home_running": ("home", "period", "period"),
    "home_waiting": ("home", "period", "period"),
    "home_lifecycle": ("home", "period", "period"),
    "lot_delivered": ("lot", "period", "period"),
    "lot_price": ("lot", None, "period", "period"),
    "call_off_price": ("lot", "period", "period"),
    "call_off_retainer": ("lot", "period", "period"),
    "lot_setup": ("lot", "period"),
    "extension_delivered": ("extension", "period"),
    "extension_price": ("extension",),
    "supply_beds": ("supply", "period"),
    "supply_commitment": ("supply", "period"),
    "supply_extension_beds": ("extension", "period"),
    "supply_extension_cost": ("extension", "period"),
    "variable_price": ("source", "period"),
    "spot_layer_beds": ("spot", None, "period"),
    "spot_layer_price": ("spot", None, "period"),
    "unregistered_price": ("period",),
    "deterrent": ("period",),
}


def _grouped(pairs: Iterable[tuple[K, V]]) -> dict[K, tuple[V, ...]]:
    groups: dict[K, list[V]] = {}
    for key, value in pairs:
        groups.setdefault(key, []).append(value)
    return {key: tuple(values) for key, values in groups.items()}


def _wrong_future(scenario: Scenario, first: Scenario, sizes: dict[str, int]) -> list[str]:
    found: list[str] = []
    for name, index in SCENARIO_SHAPES.items():
        # as it is kept: made anew, arrays of thousands of futures would take seconds
        array = _rows_of(scenario, name) or getattr(scenario, name)
        wrong = _wrong_shape(f"{scenario.name}: {name}", array, index, sizes)
        if None in index and not wrong and array.shape != (_rows_of(first, name) or getattr(first, name)).shape:
            wrong = [f"{scenario.name}: {name} has shape {array.shape}, which is not that of {first.name}"]
        found += wrong
    return found


def _wrong_shape(name: str, array: Any, index: tuple[str | None, ...], sizes: dict[str, int]) -> list[str]:
    wanted = tuple(None if word is None else sizes[word] for word in index)
    actual = np.shape(array)
    fits = len(actual) == len(wanted) and all(
        size in (None, length) for size, length in zip(wanted, actual, strict=True)
    )
    if not fits:
        return [f"{name} has shape {actual}, not {wanted} for [{', '.join(word or 'any' for word in index)}]"]
    held = np.asarray(array.whole() if isinstance(array, _Rows) else array)
    if held.dtype.kind == "f" and np.isnan(held).any():
        return [f"{name} holds a value that is not a number"]
    return []


assert {field.name for field in fields(Scenario)} >= set(SCENARIO_SHAPES)
