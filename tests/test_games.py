"""Rules for sharing costs, held against closed forms, other libraries, and Kohlberg's criterion."""

from __future__ import annotations

from collections.abc import Callable
from itertools import permutations

import coopgame
import numpy as np
import pytest
from coopgt import shapley_value as coopgt_shapley
from hypothesis import given, settings
from hypothesis import strategies as st
from tucoopy import Game as OtherGame
from tucoopy.base.exceptions import ConvergenceError
from tucoopy.solutions.least_core import least_core_epsilon_star
from tucoopy.solutions.nucleolus import per_capita_nucleolus as other_per_capita
from tucoopy.solutions.nucleolus import prenucleolus as other_prenucleolus

from optimiser.analysis.games import CostGame, members_of
from optimiser.analysis.nucleolus import Scaled, generated, keeps_kohlberg, kernel_of, least_core_excess, nucleolus
from optimiser.analysis.rules import all_rules, refuse_unless_it_adds_up, scrb, shapley, shapley_sampled
from optimiser.analysis.verdicts import AT_INCUMBENTS, FOR_ALL_VALUES, NO, core_of, dearer_together, verdict

GAMES = 500


def game_of(partners: int, cost: Callable[[frozenset[int]], float], **named: object) -> CostGame:
    """A game from a function of the set of members."""
    groups = [frozenset(p for p in range(partners) if c >> p & 1) for c in range(1 << partners)]
    found = np.array([0.0, *(cost(group) for group in groups[1:])])
    return CostGame(tuple("abcdefghijklmnopqr"[:partners]), found, **named)  # type: ignore[arg-type]


def random_game(seed: int) -> CostGame:
    """Games of two to eight partners: smooth, lumpy, with many ties, or without any order; some with an empty core."""
    draws = np.random.default_rng(seed)
    partners = int(draws.integers(2, 9))
    member = members_of(np.arange(1 << partners), partners)
    cost = [
        draws.uniform(50, 150, 1 << partners) * member.sum(axis=1) ** 0.8,
        draws.integers(0, 10, 1 << partners).astype(float),
        np.sqrt(member @ draws.uniform(1, 5, partners)) * 1e8,
        np.ceil(member @ draws.integers(1, 6, partners) / 7) * 1e6 + 2e8 * member.sum(axis=1),
        draws.uniform(0, 1, 1 << partners),
    ][seed % 5]
    cost[0] = 0.0
    return CostGame(tuple("abcdefgh"[:partners]), cost)


# closed forms


def test_shapley_shares_a_runway_by_the_parts_that_each_needs() -> None:
    lengths = [1.0, 3.0, 4.0, 9.0]
    game = game_of(4, lambda group: max(lengths[p] for p in group))
    # 1 for all four, 2 more for three of them, 1 more for two, 5 more for the last
    assert shapley(game) == pytest.approx([1 / 4, 1 / 4 + 2 / 3, 1 / 4 + 2 / 3 + 1 / 2, 1 / 4 + 2 / 3 + 1 / 2 + 5])


def talmud(claims: list[float], estate: float) -> np.ndarray:
    """The rule of the Talmud: half-claims shared equally up to half the estate, losses alike beyond."""
    half = np.array(claims) / 2

    def awards(amount: float) -> np.ndarray:
        low, high = 0.0, max(half)
        for _ in range(200):
            level = (low + high) / 2
            low, high = (level, high) if np.minimum(half, level).sum() < amount else (low, level)
        return np.minimum(half, high)

    if estate <= half.sum():
        return awards(estate)
    return np.array(claims) - awards(sum(claims) - estate)


@pytest.mark.parametrize("estate", [100.0, 200.0, 300.0, 450.0])
def test_the_nucleolus_of_a_bankruptcy_is_the_rule_of_the_talmud(estate: float) -> None:
    claims = [100.0, 200.0, 300.0]
    # an estate is a cost below zero: what others cannot claim is left to a group
    game = game_of(3, lambda group: -max(estate - sum(c for p, c in enumerate(claims) if p not in group), 0.0))
    assert -nucleolus(game) == pytest.approx(talmud(claims, estate), abs=1e-9)


def test_the_talmud_gives_its_own_figures() -> None:
    assert talmud([100.0, 200.0, 300.0], 200.0) == pytest.approx([50, 75, 75])


def test_a_saving_that_takes_two_partners_is_theirs_alone() -> None:
    game = game_of(4, lambda group: 10.0 * len(group) - (6.0 if {0, 2} <= group else 0.0))
    for rule, shares in all_rules(game).items():
        if rule in ("shapley", "nucleolus"):
            assert shares == pytest.approx([7, 10, 7, 10]), rule


def test_where_nothing_is_saved_everybody_pays_its_own() -> None:
    own = np.array([5.0, 1e8, 0.25, 3.0])
    game = game_of(4, lambda group: float(sum(own[p] for p in group)))
    found = all_rules(game)
    for rule in ("proportional", "scrb", "shapley", "nucleolus", "per_capita_nucleolus", "least_core"):
        assert found[rule] == pytest.approx(own), rule
    assert not core_of(game).empty


def test_partners_who_are_alike_pay_alike() -> None:
    game = game_of(6, lambda group: 3.0 * len(group) ** 0.7)
    for rule, shares in all_rules(game).items():
        assert shares == pytest.approx(np.full(6, shares.sum() / 6)), rule


def test_separable_costs_and_remaining_benefits_are_those_of_the_hand_calculation() -> None:
    cost = {1: 10.0, 2: 12.0, 4: 20.0, 3: 18.0, 5: 25.0, 6: 26.0, 7: 30.0}
    game = CostGame(("a", "b", "c"), np.array([0.0, *(cost[c] for c in range(1, 8))]))
    # separable 4, 5, 12; nine left, shared by 6, 7 and 8
    assert scrb(game) == pytest.approx([4 + 9 * 6 / 21, 5 + 9 * 7 / 21, 12 + 9 * 8 / 21])


def test_who_adds_more_than_alone_has_no_part_in_the_remainder() -> None:
    # separable 11, 6 and 12, so that a gains nothing; with its weight of -1 a remainder of -0.6 would be shared by a sum of 0.1
    cost = {1: 10.0, 2: 6.9, 4: 12.2, 3: 16.4, 5: 22.4, 6: 17.4, 7: 28.4}
    game = CostGame(("a", "b", "c"), np.array([0.0, *(cost[c] for c in range(1, 8))]))
    assert scrb(game) == pytest.approx([11, 6 - 0.6 * 0.9 / 1.1, 12 - 0.6 * 0.2 / 1.1])


# other libraries, and the criterion


@pytest.mark.parametrize(
    "seed", [pytest.param(seed, marks=[pytest.mark.long] if seed else []) for seed in range(0, GAMES, 50)]
)
def test_rules_agree_with_other_libraries_on_random_games(seed: int) -> None:
    for number in range(seed, seed + 50):
        game = random_game(number)
        found, size = all_rules(game), Scaled.of(game).size
        saved = game.members @ game.alone - game.cost
        other = coopgame.Game(saved[1:].tolist())
        within = saved[-1] >= -1e-9 * size
        domain = "imputation" if within else "preimputation"
        theirs = {
            "shapley": coopgame.shapley(other),
            "nucleolus": coopgame.nucleolus(other, domain)["allocation"],
            "per_capita_nucleolus": coopgame.per_capita_nucleolus(other, domain)["allocation"],
        }
        for rule, allocation in theirs.items():
            assert np.abs(game.alone - allocation - found[rule]).max() <= 1e-7 * size, (number, rule)
        epsilon = least_core_excess(game)
        assert abs(coopgame.least_core(other, "preimputation")["epsilon"] - epsilon) <= 1e-7 * size, number
        assert game.excess(found["least_core"])[1:-1].max() <= epsilon + 1e-7 * size, number
        assert keeps_kohlberg(game, found["nucleolus"]), number
        assert keeps_kohlberg(game, found["per_capita_nucleolus"], per_capita=True), number


def test_a_second_and_a_third_library_say_the_same() -> None:
    for number in range(0, GAMES, 100):
        game = random_game(number)
        size, partners = Scaled.of(game).size, len(game.partners)
        saved = game.members @ game.alone - game.cost
        other = OtherGame(partners, {c: float(saved[c]) for c in range(1 << partners)})
        assert abs(least_core_epsilon_star(other) - least_core_excess(game)) <= 1e-7 * size
        # it settles whatever is tight at one optimum of a round, and so can end above the lowest, or not at all: never below
        for per_capita, rule in ((False, other_prenucleolus), (True, other_per_capita)):
            try:
                theirs = np.array(rule(other).x)
            except ConvergenceError:
                continue
            ours = nucleolus(game, per_capita=per_capita, within_alone=False)
            if np.abs(game.alone - theirs - ours).max() > 1e-6 * size:
                weight = game.members.sum(axis=1)[1:-1] if per_capita else 1.0
                low = -np.sort(-game.excess(ours)[1:-1] / weight)
                high = -np.sort(-game.excess(game.alone - theirs)[1:-1] / weight)
                first = int(np.argmax(np.abs(low - high) > 1e-7 * size))
                assert low[first] < high[first], number
        named = {tuple(p + 1 for p in range(partners) if c >> p & 1): float(game.cost[c]) for c in range(1 << partners)}
        assert np.abs(coopgt_shapley.calculate(named) - shapley(game)).max() <= 1e-7 * size


def test_the_criterion_refuses_what_is_no_nucleolus() -> None:
    for number in range(20):
        game = random_game(number)
        moved = nucleolus(game)
        moved[0] += 0.01 * Scaled.of(game).size
        moved[1] -= 0.01 * Scaled.of(game).size
        assert not keeps_kohlberg(game, moved), number


@settings(max_examples=8, deadline=None)
@given(st.integers(0, 10_000), st.floats(-1e6, 1e6), st.floats(0.1, 1e4))
def test_pounds_added_for_one_partner_and_other_units_change_nothing_else(seed: int, added: float, unit: float) -> None:
    game = random_game(seed)
    own = np.zeros(len(game.partners))
    own[0] = added
    other = CostGame(game.partners, unit * game.cost + game.members @ own)
    here, there = all_rules(game), all_rules(other)
    for rule in ("shapley", "nucleolus", "per_capita_nucleolus"):
        tolerance = 1e-7 * Scaled.of(other).size + 1e-12 * other.scale
        assert np.abs(there[rule] - unit * here[rule] - own).max() <= tolerance, rule


def test_a_saving_of_a_thousandth_is_shared_as_exactly_as_a_large_one() -> None:
    draws = np.random.default_rng(3)
    saved = np.sort(draws.uniform(0, 1, 64))
    saved[0] = 0.0
    member = members_of(np.arange(64), 6)
    small = CostGame(tuple("abcdef"), member @ np.full(6, 3e7) - 2e5 * saved)
    large = CostGame(tuple("abcdef"), member @ np.full(6, 1.0) - saved)
    assert (3e7 - nucleolus(small)) / 2e5 == pytest.approx(1 - nucleolus(large), abs=1e-8)


def test_the_span_is_found_in_whole_numbers() -> None:
    draws = np.random.default_rng(5)
    for _ in range(50):
        rows = draws.integers(0, 2, (int(draws.integers(1, 9)), 8))
        kernel = kernel_of(rows.tolist(), 8)
        assert (rows @ kernel == 0).all()
        assert kernel.shape[1] == 8 - np.linalg.matrix_rank(rows)


# adding up


def test_every_rule_shares_the_whole_cost() -> None:
    for number in range(30):
        game = random_game(number)
        for rule, shares in all_rules(game).items():
            assert shares.sum() == pytest.approx(game.total, abs=1e-9 * game.scale), rule


def test_a_split_that_leaves_pounds_over_is_refused() -> None:
    game = random_game(2)
    planted = shapley(game)
    planted[0] -= 1e-4 * game.total
    with pytest.raises(ValueError, match="planted: the shares come to"):
        refuse_unless_it_adds_up(game, planted, "planted")


def test_a_rule_that_leaves_pounds_over_does_not_get_out(monkeypatch: pytest.MonkeyPatch) -> None:
    from optimiser.analysis import rules

    monkeypatch.setitem(rules.RULES, "scrb", lambda game: 0.99 * rules.scrb(game))
    with pytest.raises(ValueError, match="scrb"):
        all_rules(random_game(2))


# verdicts


def three(bound: float = 0.0) -> CostGame:
    """Three partners at ten each; any two save two, all three save four; bounds ``bound`` lower."""
    cost = np.array([0, 10, 10, 18, 10, 18, 18, 26.0])
    return CostGame(("a", "b", "c"), cost, np.where(cost > 0, cost - bound, 0.0))


def test_a_split_that_nobody_leaves_is_told_from_one_that_holds_at_the_plans_found_only() -> None:
    shares = np.full(3, 26 / 3)
    assert verdict(three(), shares).nobody_leaves == FOR_ALL_VALUES
    assert verdict(three(0.5), shares).nobody_leaves == FOR_ALL_VALUES
    # two of them pay 17.33, and might find a plan for 17
    assert verdict(three(1.0), shares).nobody_leaves == AT_INCUMBENTS
    assert verdict(three(1.0), shares).nobody_worse_off == FOR_ALL_VALUES


def test_who_would_leave_is_named_with_what_it_gains() -> None:
    found = verdict(three(), np.array([10.5, 8.5, 7.0]))
    assert found.nobody_leaves == found.nobody_worse_off == NO
    assert [(each.coalition, each.gain) for each in found.leaving] == [(0b011, 1.0), (0b001, 0.5)]
    assert [each.coalition for each in found.worse_off] == [0b001]


def test_the_core_is_empty_by_what_the_best_split_leaves_to_gain() -> None:
    # any two save six of twenty, three no more: somebody can always be bought away
    game = game_of(3, lambda group: 10.0 * len(group) - (6.0 if len(group) > 1 else 0.0))
    found = core_of(game)
    assert found.empty
    assert found.excess == pytest.approx(2.0)
    assert found.sure == FOR_ALL_VALUES


def test_whether_the_core_is_empty_can_depend_on_the_bounds() -> None:
    game = three()
    assert not core_of(game).empty
    assert core_of(three(0.5)).sure == FOR_ALL_VALUES
    found = core_of(three(2.0))
    assert not found.empty
    assert found.sure == AT_INCUMBENTS
    assert found.least < found.excess < found.most


def test_groups_whom_merging_makes_dearer_are_found() -> None:
    game = game_of(3, lambda group: 10.0 * len(group) + (5.0 if len(group) == 3 else 0.0))
    assert {(each.one, each.other): each.dearer for each in dearer_together(game)} == {
        (0b001, 0b110): 5.0,
        (0b010, 0b101): 5.0,
        (0b011, 0b100): 5.0,
    }
    assert dearer_together(three()) == ()


# beyond enumeration


def enumerating(game: CostGame) -> Callable[..., tuple[int, float] | None]:
    def oracle(paid: np.ndarray, kernel: np.ndarray, level: float, per_capita: bool) -> tuple[int, float] | None:
        size = game.members.sum(axis=1).clip(1) if per_capita else 1.0
        outside = (game.members.astype(int) @ kernel != 0).any(axis=1)
        excess = np.where(outside, game.excess(paid) / size, -np.inf)
        best = int(excess.argmax())
        return (best, float(game.cost[best])) if excess[best] > level else None

    return oracle


@pytest.mark.parametrize("per_capita", [False, True])
def test_coalition_generation_agrees_with_looking_at_every_group_of_eight(per_capita: bool) -> None:
    for number in range(12):
        game = game_of(8, lambda group, number=number: random_eight(number).cost[sum(1 << p for p in group)])  # type: ignore[misc]
        found = generated(game.alone, game.total, enumerating(game), per_capita=per_capita)
        size = Scaled.of(game).size
        assert np.abs(found.shares - nucleolus(game, per_capita=per_capita)).max() <= 1e-7 * size
        assert found.asked < 200


def random_eight(seed: int) -> CostGame:
    draws = np.random.default_rng(seed)
    member = members_of(np.arange(256), 8)
    cost = 1e6 * np.sqrt(member @ draws.uniform(1, 5, 8)) + 1e4 * draws.uniform(0, 1, 256)
    cost[0] = 0.0
    return CostGame(tuple("abcdefgh"), cost)


def test_one_round_of_generation_gives_the_least_core() -> None:
    game = random_eight(1)
    found = generated(game.alone, game.total, enumerating(game), rounds=1, within_alone=False)
    assert found.excess == pytest.approx(least_core_excess(game), abs=1e-7 * Scaled.of(game).size)


def test_sampled_shapley_lies_within_its_standard_error() -> None:
    game = random_eight(4)
    found = shapley_sampled(8, lambda coalition: float(game.cost[coalition]), orders=400, seed=1)
    assert found.shares.sum() == pytest.approx(game.total)
    assert (np.abs(found.shares - shapley(game)) <= 4 * found.standard_error).all()
    assert (found.standard_error < 0.05 * game.total / 8).all()


def test_all_orders_of_four_are_the_shapley_value() -> None:
    game = random_game(3)
    partners = len(game.partners)
    if partners > 6:
        partners = 6
    small = CostGame(game.partners[:partners], game.cost[: 1 << partners])
    added = np.zeros(partners)
    orders = list(permutations(range(partners)))
    for order in orders:
        coalition = 0
        for partner in order:
            added[partner] += small.cost[coalition | 1 << partner] - small.cost[coalition]
            coalition |= 1 << partner
    assert shapley(small) == pytest.approx(added / len(orders))


# what no game is


@pytest.mark.parametrize(
    ("cost", "bound", "words"),
    [
        ([0.0, 1.0], [], "4 coalitions"),
        ([1.0, 1.0, 1.0, 1.0], [], "empty coalition"),
        ([0.0, 1.0, np.nan, 1.0], [], "not a finite"),
        ([0.0, 1.0, 1.0, 1.0], [0.0, 2.0, 1.0, 1.0], "above its cost"),
    ],
)
def test_what_is_no_game_is_refused(cost: list[float], bound: list[float], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        CostGame(("a", "b"), np.array(cost), np.array(bound))


def test_one_partner_pays_everything() -> None:
    game = CostGame(("a",), np.array([0.0, 7.0]))
    for rule, shares in all_rules(game).items():
        assert shares == pytest.approx([7.0]), rule
    assert verdict(game, np.array([7.0])).nobody_leaves == FOR_ALL_VALUES
