"""Joint procurement: every group's plan, bills that add up, verdicts, settlement, and runs that go on."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from decimal import Decimal
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from models.problem import Problem, within
from optimiser.analysis import groups, splits
from optimiser.analysis.gamefile import read_game
from optimiser.analysis.games import CostGame
from optimiser.analysis.generation import Many, _generated
from optimiser.analysis.groups import (
    CLOSEST,
    Game,
    Groups,
    Solved,
    bounds_of,
    closer_gaps,
    play,
    prepared,
    smallest_saving,
)
from optimiser.analysis.nucleolus import least_core_excess, nucleolus
from optimiser.analysis.planning import Asked
from optimiser.analysis.rules import shapley
from optimiser.analysis.settlement import invoices, read_child_weeks, to_the_penny
from optimiser.analysis.splits import PAYS_FOR_USE, bills, game_document, split_document, use_of
from optimiser.assemble import assemble
from optimiser.cli import app
from optimiser.demand.scenarios import make_scenarios
from optimiser.errors import InstanceError, NoPlanError
from optimiser.instance.schema import Tolerance
from optimiser.solve.engine import Engine, Found
from optimiser.solve.family import Learned
from optimiser.solve.twostage import Settings
from optimiser.verify import verify
from tests.random_problems import random_problem
from tests.regional import regional_instance

FUTURES = 4
THREE = Asked(FUTURES)


@pytest.fixture(scope="module")
def game() -> Game:
    return play(regional_instance(3), THREE)


@pytest.fixture(scope="module")
def document(game: Game) -> dict[str, object]:
    return split_document(game, THREE)


# one program for every group


def owned(problem: Problem, seed: int) -> Problem:
    """A random problem whose contracts in place belong to one council each, and whose markets hold who is there."""
    share, allowed = problem.cost_share.copy(), problem.allowed.copy()
    start = problem.placed_at_start.copy()
    for source in range(problem.supply_source, problem.spot_source):
        share[source] = np.arange(len(problem.authorities)) == seed % len(problem.authorities)
        others = share[source][problem.cohort_authority] == 0
        allowed[others, source], start[others, source] = False, 0.0
    start[:, problem.spot_source : problem.unregistered] = 0.0
    return replace(
        problem,
        cost_share=share,
        allowed=allowed,
        placed_at_start=start,
        risk_weight=0.0,
        cvar_limit=None,
        local_limits=(),
        unregistered_limits=(),
    )


def some_problems() -> Iterator[Problem]:
    for seed in range(16):
        problem = random_problem(seed)
        if len(problem.authorities) > 1:
            yield owned(problem, seed)


def test_a_group_of_the_one_program_is_the_problem_of_its_members_alone() -> None:
    compared = 0
    for problem in some_problems():
        engine = Engine(replace(problem, coalitions=True))
        for size in range(1, len(problem.authorities) + 1):
            for members in combinations(range(len(problem.authorities)), size):
                alone = within(problem, members)
                if not (alone.placed_at_start.any() or any(s.arrivals.any() for s in alone.scenarios)):
                    continue
                coalition = sum(1 << member for member in members)
                joined = engine.search(Settings(1e-6), bounds=bounds_of(problem, coalition), method="extensive")
                apart = Engine(alone).search(Settings(1e-6), method="extensive")
                assert isinstance(joined, Found) == isinstance(apart, Found)
                if isinstance(joined, Found) and isinstance(apart, Found):
                    audited = verify(alone, joined.decisions, joined.placements)
                    other = verify(alone, apart.decisions, apart.placements)
                    assert audited.accepted, audited.violations[:2]
                    assert audited.objective == pytest.approx(other.objective, rel=1e-4, abs=1e-4)
                    assert set(joined.joined) == set(members)
                    compared += 1
    assert compared > 20


def test_homes_of_members_lots_of_members_and_extensions_of_members_are_closed_to_others() -> None:
    for rule in ("homes_of_members", "lots_of_members", "extensions_of_members"):
        found = 0
        for problem in some_problems():
            first = Engine(replace(problem, coalitions=True)).first
            for index, rows in first.rows.get(rule, {}).items():
                row = first.stage.matrix[rows[0]].toarray()[0]
                joined = list(first.columns["joined"].values())
                name = {"homes": "homes_begun", "lots": "lot_awarded", "extensions": "extension_taken"}[
                    rule.split("_")[0]
                ]
                decided = first.columns[name][index]
                # nobody joined: the decision cannot be above zero
                assert row[decided] > 0
                assert (row[joined] <= 0).all()
                assert first.stage.row_upper[rows[0]] == 0
                found += 1
        assert found, rule


def test_dual_vectors_of_one_group_bound_every_other() -> None:
    problem = prepared(regional_instance(3), THREE)
    learned = Engine(problem)
    learned.search(Settings(1e-4), bounds=bounds_of(problem, 7), method="lshaped", learn=True)
    for coalition in (1, 2, 5):
        bounds = bounds_of(problem, coalition)
        warm = learned.search(Settings(1e-5), bounds=bounds, method="lshaped")
        cold = Engine(problem).search(Settings(1e-5), bounds=bounds, method="extensive")
        assert isinstance(warm, Found)
        assert isinstance(cold, Found)
        assert warm.bound <= cold.bound * (1 + 2e-5)
        assert warm.bound == pytest.approx(cold.bound, rel=3e-5)


# the game


def test_every_group_has_a_plan_with_a_bound_close_enough(game: Game) -> None:
    assert sorted(game.solved) == list(range(1, 8))
    for solved in game.solved.values():
        assert solved.bound <= solved.objective
        assert solved.objective == pytest.approx(solved.pounds + sum(solved.deterrent))
    claimed = smallest_saving(game.problem, game.solved)
    assert claimed > 0
    assert max(s.objective - s.bound for s in game.solved.values()) <= 0.05 * claimed


def test_gaps_are_brought_down_to_a_twentieth_of_the_smallest_saving_claimed(game: Game) -> None:
    wide = {
        c: replace(s, bound=s.objective - (2e4 if c == 7 else 0.0), scenario_pounds=()) for c, s in game.solved.items()
    }
    asked = closer_gaps(game.problem, wide)
    claimed = smallest_saving(game.problem, wide)
    assert (7 in asked) == (0.05 * claimed < 2e4)
    if 7 in asked:
        assert asked[7] * wide[7].objective <= 0.05 * claimed


def test_bills_add_up_in_total_in_every_year_and_to_what_the_plan_costs(game: Game) -> None:
    years = splits.plan_years(game.joint)
    for rule, row in bills(game).items():
        each = row["partners"].values()
        assert sum(r["bill_gbp"] for r in each) == pytest.approx(game.everyone.pounds, abs=0.01), rule
        for place, year in enumerate(game.problem.financial_years):
            assert sum(r["years_gbp"][year] for r in each) == pytest.approx(years[place], abs=0.01), rule


def test_use_adds_up_in_every_future(game: Game) -> None:
    use = use_of(game.joint)
    assert use.present.sum(axis=1) == pytest.approx(game.joint.scenario_pounds, rel=1e-9)


def test_a_rule_that_loses_pounds_is_refused(game: Game, monkeypatch: pytest.MonkeyPatch) -> None:
    def short(game: CostGame) -> dict[str, np.ndarray]:
        return {"planted": splits.refuse_unless_it_adds_up(game, shapley(game) * 0.999, "planted")}

    monkeypatch.setattr(splits, "all_rules", short)
    with pytest.raises(ValueError, match="planted"):
        bills(game)


def test_risk_lies_with_all_under_fixed_parts_and_with_each_under_a_fixed_payment(game: Game) -> None:
    rows = bills(game)
    pounds = game.joint.scenario_pounds
    part = rows["proportional"]["partners"]["council-1"]
    share = part["bill_gbp"] / game.everyone.pounds
    assert part["p90_gbp"] == pytest.approx(share * game.joint.quantile(pounds, 0.9))
    used, balanced = rows[PAYS_FOR_USE]["partners"]["council-1"], rows["shapley"]["partners"]["council-1"]
    spread = used["p90_gbp"] - used["p10_gbp"]
    assert balanced["p90_gbp"] - balanced["p10_gbp"] == pytest.approx(spread)


def test_the_document_says_every_bill_verdict_and_bound(document: dict) -> None:  # type: ignore[type-arg]
    assert set(document["rules"]) == {
        PAYS_FOR_USE, "equal", "by_demand", "proportional", "scrb", "shapley", "nucleolus", "per_capita_nucleolus",
        "least_core",
    }  # fmt: skip
    assert json.dumps(document)
    assert document["gaps_close_enough"]
    assert len(document["if_another_leaves"]) == 3
    for row in document["if_another_leaves"]:
        assert row["leaves"] not in row["bills"]["shapley"]
    costs = {row["group"]: row for row in document["groups"]}
    saving = costs["council-1+council-2+council-3"]["saving_gbp"]
    better = sum(row["better_off_gbp"] for row in document["bills"]["nucleolus"]["partners"].values())
    assert better == pytest.approx(saving)


def test_the_number_of_workers_changes_nothing(game: Game) -> None:
    again = play(regional_instance(3), THREE, workers=1)
    for coalition, solved in game.solved.items():
        assert replace(again.solved[coalition], seconds=0.0) == replace(solved, seconds=0.0)


# runs that go on


def test_a_stopped_run_goes_on_where_it_was(tmp_path: Path, game: Game, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(groups, "SAVE_EVERY", 0.0)
    planned: list[int] = []
    real = Groups.plan

    def counted(own: Groups, coalition: int, *others: object) -> tuple[Solved, Found, Learned]:
        planned.append(coalition)
        if len(planned) == 6:
            raise NoPlanError("Stopped before every group had a plan.")
        return real(own, coalition, *others)  # type: ignore[arg-type]

    monkeypatch.setattr(Groups, "plan", counted)
    folder = tmp_path / "run"
    with pytest.raises(NoPlanError):
        play(regional_instance(3), THREE, folder=folder, workers=1)
    held = json.loads((folder / groups.GROUPS).read_text())
    assert len(held["groups"]) == 5
    assert [path.name for path in folder.iterdir()] == [groups.GROUPS]
    planned[:] = [0] * 10
    again = play(regional_instance(3), THREE, folder=folder, workers=1)
    assert again.taken == 5
    for coalition, solved in game.solved.items():
        assert again.solved[coalition].objective == solved.objective
    # of other futures nothing is taken over
    assert groups.Store(folder, regional_instance(3), game.problem, Asked(FUTURES, seed=9)).known == {}


# what cannot be split


def test_one_council_alone_has_nothing_to_split() -> None:
    with pytest.raises(InstanceError, match="nothing to split"):
        prepared(regional_instance(1), THREE)


def test_a_shared_contract_must_hold_a_councils_children_within_its_part() -> None:
    problem = random_problem(3)
    if len(problem.supplies) == 0 or len(problem.authorities) < 2:
        problem = next(
            p for p in (random_problem(s) for s in range(4, 60)) if len(p.supplies) and len(p.authorities) > 1
        )
    source = problem.supply_source
    share, start = problem.cost_share.copy(), problem.placed_at_start.copy()
    share[source] = 1 / len(problem.authorities)
    start[:, source] = 50.0
    problem = replace(problem, cost_share=share, placed_at_start=start)
    faults = list(groups._children_beyond_their_part(problem))
    assert "a row of its own" in str(faults[0])


def test_limits_on_having_no_registered_place_are_by_council() -> None:
    instance = regional_instance(3).model_copy(
        update={"tolerances": (Tolerance(limit="all", authorities=(), child_weeks=30.0, probability=None),)}
    )
    problem = assemble(instance, make_scenarios(instance, FUTURES, 1))
    found = groups.by_authority(problem)
    assert [limit.authorities for limit in found] == [(0,), (1,), (2,)]
    assert sum(limit.child_weeks or 0.0 for limit in found) == pytest.approx(30.0)
    weight = groups.demand_of(problem)
    assert found[0].child_weeks == pytest.approx(30.0 * weight[0] / weight.sum())


# beyond enumeration


def test_the_group_that_gains_most_by_leaving_is_found_by_one_search(game: Game) -> None:
    many = Many(Groups(Engine(prepared(regional_instance(3), THREE))), 1e-6)
    costs = game.costs
    paid = np.full(3, costs.total / 3)
    found = many.would_gain_most(paid)
    assert found is not None
    gains = costs.excess(paid)[1:7]
    assert found[0] == 1 + int(gains.argmax())
    assert found[1] >= gains.max() - 1.0
    assert found[1] == pytest.approx(gains.max(), abs=2e-4 * costs.total)


@pytest.mark.parametrize("partners", [5, pytest.param(8, marks=pytest.mark.long)])
def test_coalition_generation_agrees_with_planning_for_every_group(partners: int) -> None:
    instance, asked = regional_instance(partners), Asked(2)
    every = play(instance, asked)
    costs = every.costs
    many = Many(Groups(Engine(prepared(instance, asked))), CLOSEST)
    alone = np.array([many.cost_of(1 << p) for p in range(partners)])
    tolerance = 2 * CLOSEST * costs.total
    found, short = _generated(many, alone, many.cost_of(many.everyone), tolerance)
    assert not any(short.values())
    within_bounds = tolerance + max(s.objective - s.bound for s in every.solved.values())
    least, core = found["least_core"], least_core_excess(costs)
    assert abs(least.excess - core) <= 2 * within_bounds
    assert costs.excess(least.shares)[1:-1].max() <= core + 2 * within_bounds
    for per_capita, rule in ((False, "nucleolus"), (True, "per_capita_nucleolus")):
        other = nucleolus(costs, per_capita=per_capita)
        # what is open in one round adds up over the rounds
        assert np.abs(found[rule].shares - other).max() <= 2 * partners * within_bounds, rule
    if partners > 5:
        assert len(many.solved) < (1 << partners) / 2


@pytest.mark.long
def test_many_councils_are_told_what_is_exact_and_what_is_estimated(monkeypatch: pytest.MonkeyPatch) -> None:
    from rich.console import Console

    from optimiser.report.partners import show_split

    instance, asked = regional_instance(4), Asked(2)
    whole = splits.split(instance, asked, entitled=False)
    monkeypatch.setattr(splits, "EVERY_GROUP", 3)
    found = splits.split(instance, asked, orders=4)
    for rule in ("equal", "by_demand", "proportional", "scrb"):
        assert found["rules"][rule] == pytest.approx(whole["rules"][rule], abs=500.0), rule
    for rule, bills_of in found["rules"].items():
        assert sum(bills_of.values()) == pytest.approx(found["total_gbp"], abs=0.01), rule
    assert abs(found["core"]["least_core_epsilon_gbp"] - whole["core"]["least_core_epsilon_gbp"]) <= (
        found["estimated"]["generated"]["within_gbp"] + 500.0
    )
    assert len(found["if_another_leaves"]) == 4
    assert found["entitlements"] is not None
    assert found["timings"]["expected_seconds"] > 0
    console = Console(width=120, record=True, file=open("/dev/null", "w"))  # noqa: SIM115
    show_split(found, console)
    words = console.export_text()
    assert "were foretold" in words
    assert "is estimated from" in words


def test_names_are_shown_as_they_are_written(tmp_path: Path) -> None:
    text = "coalition,cost\n[red]x[/red],5\nÅsa & Söner,7\n[red]x[/red]+Åsa & Söner,11\n"
    done = CliRunner().invoke(app, ["split", "--costs", str(file_of(tmp_path, "costs.csv", text))])
    assert done.exit_code == 0, done.output
    assert "[red]x[/red]" in done.stdout


def test_sums_beyond_counting_are_refused(tmp_path: Path) -> None:
    text = "coalition,cost\na,1e308\nb,1e308\na+b,1.5e308\n"
    with pytest.raises(InstanceError, match="is beyond"):
        read_game(file_of(tmp_path, "costs.csv", text))
    weeks = str(file_of(tmp_path, "weeks.csv", "authority,child_weeks\n"))
    done = CliRunner().invoke(app, ["split", "--costs", "x.csv", "--settle", weeks, "--amount", "nan"])
    assert done.exit_code == 2


# settlement


def file_of(tmp_path: Path, name: str, text: str) -> Path:
    path = tmp_path / name
    path.write_text(text, encoding="utf-8")
    return path


def test_invoices_add_up_to_the_penny_and_follow_the_child_weeks(document: dict) -> None:  # type: ignore[type-arg]
    weeks = {"council-1": 200.0, "council-2": 410.0, "council-3": 95.5}
    expected = document["demand_child_weeks"]
    for rule in document["rules"]:
        found = invoices(document, rule, weeks, Decimal("1234567.89"), expected)
        pennies = sum(round(row["invoice_gbp"] * 100) for row in found["invoices"])
        assert pennies == 123456789, rule
    by_demand = invoices(document, "by_demand", weeks, Decimal("705.50"), expected)
    assert [row["invoice_gbp"] for row in by_demand["invoices"]] == [200.0, 410.0, 95.5]
    as_expected = invoices(document, "shapley", expected, Decimal("1000000"), expected)
    agreed = document["rules"]["shapley"]
    for row in as_expected["invoices"]:
        assert row["invoice_gbp"] == pytest.approx(1e6 * agreed[row["partner"]] / sum(agreed.values()), abs=0.01)


@given(
    st.lists(st.floats(0, 1e6), min_size=1, max_size=12).filter(lambda weights: sum(weights) > 1e-3),
    st.integers(0, 10**11),
)
def test_pennies_are_never_lost(weights: list[float], pennies: int) -> None:
    amount = Decimal(pennies) / 100
    parts = to_the_penny({str(place): weight for place, weight in enumerate(weights)}, amount)
    assert sum(parts.values()) == amount
    total = sum(weights)
    for place, weight in enumerate(weights):
        assert abs(float(parts[str(place)]) - float(amount) * weight / total) <= 0.011 + 1e-9 * float(amount)


def test_faults_in_child_weeks_come_all_at_once(tmp_path: Path) -> None:
    path = file_of(tmp_path, "weeks.csv", "authority,child_weeks\na,ten\nd,3\na,4\n")
    with pytest.raises(InstanceError) as caught:
        read_child_weeks(path, ["a", "b"])
    words = str(caught.value)
    for fault in ("ten is not a number", "d is no partner", "stands twice", "no row for b"):
        assert fault in words


# a game from a file

GOOD = "coalition,cost\na,10\nb,12\nc,20\nb+a,18\na+c,25\nc+b,26\na + b+c,30\n"


def test_a_cost_game_from_a_file_gives_every_rule_as_json(tmp_path: Path) -> None:
    path = file_of(tmp_path, "costs.csv", GOOD)
    done = CliRunner().invoke(app, ["split", "--costs", str(path), "--json"])
    assert done.exit_code == 0, done.output
    found = json.loads(done.stdout)
    rules = {"equal", "proportional", "scrb", "shapley", "nucleolus", "per_capita_nucleolus", "least_core"}
    assert set(found["rules"]) == rules
    game = read_game(path)
    assert list(found["rules"]["nucleolus"].values()) == pytest.approx(nucleolus(game).tolist())
    assert found["rules"]["shapley"] == pytest.approx({"a": 6.5, "b": 8.0, "c": 15.5})
    assert found["core"]["empty"] is False


def test_more_than_four_partners_are_told_one_to_a_line(tmp_path: Path) -> None:
    names = [f"p{place}" for place in range(6)]
    groups = [[n for p, n in enumerate(names) if c >> p & 1] for c in range(1, 64)]
    text = "coalition,cost\n" + "".join(f"{'+'.join(group)},{1e6 * len(group) ** 0.8}\n" for group in groups)
    done = CliRunner().invoke(app, ["split", "--costs", str(file_of(tmp_path, "costs.csv", text))])
    assert done.exit_code == 0, done.output
    assert all(any(line.startswith(name) for line in done.stdout.splitlines()) for name in names)
    assert "nobody would leave" in done.stdout


def test_demand_and_bounds_may_stand_in_the_file(tmp_path: Path) -> None:
    text = "# from the regional model\ncoalition,cost,bound,demand\na,10,9,1\nb,12,,3\na+b,20,19,\n"
    game = read_game(file_of(tmp_path, "costs.csv", text))
    assert game.bound.tolist() == [0, 9, 12, 19]
    assert game_document(game)["rules"]["by_demand"] == {"a": 5.0, "b": 15.0}


def test_every_fault_of_a_file_is_told_at_once(tmp_path: Path) -> None:
    text = "coalition,cost\na,10\nb,x\nc,7\nb+a,18\na+b,3\na+d,3\na+c,1,4\n+b,4\na+a,\n"
    done = CliRunner().invoke(app, ["split", "--costs", str(file_of(tmp_path, "costs.csv", text))])
    assert done.exit_code == 1
    with pytest.raises(InstanceError) as caught:
        read_game(tmp_path / "costs.csv")
    words = str(caught.value)
    for fault in (
        "row 3, cost: x is not a number",
        "row 6, coalition: a+b is the same group as row 5",
        "row 7, coalition: a+d names d, who has no row alone",
        "row 8: has 3 cells, not 2",
        "row 9, coalition: +b has no name",
        "row 10, coalition: a+a names a twice",
        "3 groups have no row: a+c, b+c, a+b+c",
    ):
        assert fault in words, fault


@pytest.mark.parametrize("text", ["", "group,cost\n", "coalition,cost\n", "coalition,cost,cost\na,1,2\n"])
def test_a_file_that_is_no_game_is_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(InstanceError):
        read_game(file_of(tmp_path, "costs.csv", text))


def test_invoices_come_from_the_command_line(tmp_path: Path) -> None:
    costs = file_of(tmp_path, "costs.csv", GOOD)
    weeks = file_of(tmp_path, "weeks.csv", "authority,child_weeks\na,10\nb,7\nc,3\n")
    call = [
        "split",
        "--costs",
        str(costs),
        "--settle",
        str(weeks),
        "--amount",
        "100.01",
        "--rule",
        "nucleolus",
        "--json",
    ]
    done = CliRunner().invoke(app, call)
    assert done.exit_code == 0, done.output
    rows = json.loads(done.stdout)["invoices"]
    assert [row["invoice_gbp"] for row in rows] == [23.34, 26.67, 50.0]


def test_an_instance_or_a_file_is_needed_and_not_both() -> None:
    assert CliRunner().invoke(app, ["split"]).exit_code == 2
    assert CliRunner().invoke(app, ["split", "x", "--costs", "y"]).exit_code == 2
    assert CliRunner().invoke(app, ["split", "x", "--amount", "3"]).exit_code == 2


def test_a_split_is_written_with_tables_and_a_chart_and_read_again_to_settle_by(
    tmp_path: Path,
    document: dict,  # type: ignore[type-arg]
) -> None:
    from optimiser.report.files import read_split, write_split

    write_split(document, tmp_path / "run")
    names = {path.name for path in (tmp_path / "run").iterdir()}
    assert names == {
        "split.json", "groups.csv", "group_terms.csv", "terms.csv", "bills.csv", "bills_by_year.csv", "bills_by_future.csv",
        "savings_by_rule.svg", "savings_by_rule.png",
    }  # fmt: skip
    assert read_split(tmp_path / "run") == json.loads(json.dumps(document))
    weeks = file_of(tmp_path, "weeks.csv", "authority,child_weeks\ncouncil-1,1\ncouncil-2,2\ncouncil-3,3\n")
    call = ["split", str(tmp_path / "run"), "--settle", str(weeks), "--amount", "600", "--rule", "by_demand", "--json"]
    done = CliRunner().invoke(app, call)
    assert [row["invoice_gbp"] for row in json.loads(done.stdout)["invoices"]] == [100.0, 200.0, 300.0]


def test_a_split_is_told_in_the_words_of_a_board(document: dict) -> None:  # type: ignore[type-arg]
    from rich.console import Console

    from optimiser.report.partners import show_split, verdict_lines

    console = Console(width=120, record=True, file=open("/dev/null", "w"))  # noqa: SIM115
    show_split(document, console)
    words = console.export_text()
    for phrase in (
        "Group of councils",
        "Going alone",
        "Would anyone leave?",
        "If a council leaves",
        "Empty block beds",
    ):
        assert phrase in words
    assert len(verdict_lines(document)) >= 10


# fixed entitlements


def test_nominations_are_the_best_of_all_that_lie_within_a_tier(game: Game) -> None:
    from optimiser.analysis.entitlements import Nominated, _put_together

    draws = np.random.default_rng(2)
    none = np.zeros(1)

    def nominated(beds: int) -> Nominated:
        cost, resold = float(draws.uniform(0, 100)), float(draws.uniform(0, 20))
        return Nominated(beds, cost, none, resold, none, 0.0, none, none)

    curves = {partner: [nominated(beds) for beds in range(5)] for partner in range(3)}
    for sold in (False, True):
        best = min(
            sum(own.objective - sold * own.resold for own in chosen)
            for chosen in ((a, b, c) for a in curves[0] for b in curves[1] for c in curves[2])
            if 4 <= sum(own.beds for own in chosen) <= 7
        )
        found = _put_together(curves, 4, 7, sold)
        assert found is not None
        assert found[0] == pytest.approx(best)
    assert _put_together(curves, 20, 30, False) is None


def test_entitlements_are_never_cheaper_than_the_pool_and_resale_never_dearer(game: Game) -> None:
    from optimiser.analysis.entitlements import entitlements

    assert game.joint.decisions.lot_awarded.any()
    found = entitlements(game, gap=1e-4, resale=1500.0)
    assert found is not None
    without, resold = found["without_resale"], found["with_resale"]
    # what the joint plan could not find, it could have: each council's beds are beds of the pool
    assert without["pooling_worth_gbp"] >= -2e-4 * game.everyone.objective
    assert resold["pooling_worth_gbp"] <= without["pooling_worth_gbp"] + 1e-4 * game.everyone.objective
    assert sum(row["beds"] for row in without["partners"].values()) == without["beds"] >= 3
    deterred = sum(row["bill_gbp"] for row in without["partners"].values())
    assert deterred == pytest.approx(without["total_gbp"])
