"""Options side by side on the same futures, and the papers' published figures."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import optimiser
from models.problem import COST_TERMS
from optimiser.analysis import planning
from optimiser.analysis.appraisal import (
    OPTIMISED,
    Appraised,
    appraise_options,
    budget_columns,
    comparison,
    cost_by_year,
    published_results,
)
from optimiser.analysis.planning import Asked, make_appraisal, make_plan, rank_of
from optimiser.assemble import assemble
from optimiser.demand.scenarios import make_scenarios
from optimiser.instance.distributions import Distribution
from optimiser.instance.expressions import evaluate, keys
from optimiser.instance.reading import read_instance
from optimiser.instance.schema import BudgetRow, Evidence, FigureRow, Instance, Placement, Published
from optimiser.report.terminal import order_lines
from optimiser.solve.engine import Engine
from optimiser.solve.kept import Kept
from optimiser.solve.twostage import Settings
from tests.instance_folders import Folder
from tests.test_assemble import HOME, LOT, tiny

CAMBRIDGESHIRE = "cambridgeshire-residential-2024"
REGIONAL = "south-east-regional-block-2021"
KENT = "kent-in-house-2025"


def published(name: str) -> dict[str, dict[str, Any]]:
    """Published results of a bundled instance that need no option to be placed, by name."""
    return {row["result"]: row for row in published_results(optimiser.load(name), [])}


def row_of(instance: Instance, **row: Any) -> dict[str, Any]:
    """One published result of an instance."""
    base = {"result": "result", "title": "Result", "unit": "£", "document": "A paper", "place": "Page 1"}
    return published_results(instance.model_copy(update={"published": (Published(**(base | row)),)}), [])[0]


# the papers' figures


def test_cambridgeshires_avoidance_comes_out_to_the_pound_by_construction() -> None:
    rows = published(CAMBRIDGESHIRE)
    for result, pounds in (("commissioned-avoidance", 638_976), ("in-house-avoidance", 438_984)):
        assert rows[result]["published"] == pounds
        assert rows[result]["ours"] == pytest.approx(pounds, abs=0.5)
        assert rows[result]["difference"] == pytest.approx(0, abs=0.5)
        assert rows[result]["match"] == "matches by construction"


def test_one_empty_bed_turns_both_avoidances_into_losses() -> None:
    rows = published(CAMBRIDGESHIRE)
    assert rows["commissioned-one-empty-bed"]["ours"] == pytest.approx(-224_016, abs=0.5)
    assert rows["in-house-one-empty-bed"]["ours"] == pytest.approx(-424_008, abs=0.5)


def test_children_with_lower_needs_avoid_nothing_in_the_properties() -> None:
    rows = published(CAMBRIDGESHIRE)
    assert rows["commissioned-lower-needs"]["ours"] == pytest.approx(-975_000, abs=0.5)
    assert rows["in-house-lower-needs"]["ours"] == pytest.approx(-1_174_992, abs=0.5)


def test_the_regional_block_costs_its_published_sum_a_year_and_ten_times_that_over_ten_flat_years() -> None:
    rows = published(REGIONAL)
    assert rows["yearly-commitment"]["published"] == 3_564_000
    assert rows["yearly-commitment"]["ours"] == pytest.approx(3_564_225, abs=0.5)
    assert rows["yearly-commitment"]["match"] in ("published", "matches by construction")
    assert rows["yearly-commitment-52-weeks"]["ours"] == pytest.approx(3_554_460, abs=0.5)
    assert rows["ten-years-flat"]["ours"] == pytest.approx(35_642_250, abs=5)
    # the paper prints another figure, and that is said
    assert rows["ten-years-printed"]["published"] == 30_564_000
    assert rows["ten-years-printed"]["match"] == "differs"
    assert rows["ten-years-printed"]["difference"] == pytest.approx(35_642_250 - 30_564_000, abs=5)


def test_kents_three_figures_come_out_to_ten_thousand_pounds_by_construction() -> None:
    rows = published(KENT)
    for result, pounds in (
        ("private-five-years", 15_190_000),
        ("in-house-five-years", 9_980_000),
        ("saving-five-years", 5_210_000),
    ):
        assert rows[result]["published"] == pounds
        assert round(rows[result]["ours"], -4) == pounds
        assert rows[result]["match"] == "matches by construction"


def test_kents_saving_is_shown_over_the_ranges_of_occupancy_delay_and_price() -> None:
    moves = {move["figure"]: move for move in published(KENT)["saving-five-years"]["moves"]}
    for part in ("matching_occupancy", "months-before-opening", "gbp_per_week"):
        (move,) = (move for figure, move in moves.items() if part in figure)
        assert move["low"] < move["high"]
        assert move["at_low"] != pytest.approx(move["at_high"], rel=0.01)


def test_kents_saving_is_gone_below_two_thirds_of_the_occupancy_assumed() -> None:
    assert published(KENT)["share-of-occupancy-at-break-even"]["ours"] == pytest.approx(9.98 / 15.19, abs=0.005)


# the engine, and not only the arithmetic


def certain_cambridgeshire(children: int, lower_needs: bool = False) -> Instance:
    """The bundled instance for one certain year: ready at once, no works, every bed can be filled, nobody leaves.

    Prices of beds, homes and unregistered placements stay the bundled files' own.
    """
    bundled = optimiser.load(CAMBRIDGESHIRE)
    zero, one = Distribution("fixed", (0.0,)), Distribution("fixed", (1.0,))
    certain = {"lead_months": zero, "matching_occupancy": 1.0}
    homes = [
        home.model_copy(
            update=certain
            | {
                "begin_from": "2025-04",
                "begin_until": "2025-04",
                "capital_gbp": 0.0,
                "capital_bid_factor": one,
                "registration_delay_months": zero,
                "opening_profile": (1.0,),
                "waiting_gbp_per_month": 0.0,
                "lifecycle_gbp_per_year": 0.0,
                "cost_growth_per_year": 0.0,
            }
        )
        for home in bundled.homes
    ]
    lots = [
        lot.model_copy(
            update=certain
            | {
                "award_from": "2025-04",
                "award_until": "2025-04",
                "mobilisation_delay_months": zero,
                "delivery_profile": (1.0,),
                "bid_factor": one,
                "indexation_per_year": zero,
                "setup_gbp": 0.0,
                "failure_per_year": 0.0,
            }
        )
        for lot in bundled.lots
    ]
    settings = bundled.settings.model_copy(
        update={
            "first_month": "2025-04",
            "decision_date": "2025-04",
            "periods": "12x1",
            "homes_per_manager": None,
            "unregistered_gbp_per_week": Distribution("fixed", (bundled.settings.unregistered_gbp_per_week.mean,)),
            "unregistered_growth_per_year": zero,
        }
    )
    cohort = bundled.cohorts[0].model_copy(
        update={"arrivals_per_month": None, "mean_stay_months": None, "planned_moves_per_month": 1.0}
    )
    sources = [row.home for row in homes if row.operator == "council"] + [row.lot for row in lots]
    placements = [Placement(cohort=cohort.cohort, source=source) for source in sources]
    outside = "spot-lower" if lower_needs else "unregistered"
    placements.append(Placement(cohort=cohort.cohort, source=outside, children_at_start=children))
    layers = [
        layer.model_copy(update={"beds": None, "gbp_per_week": Distribution("fixed", (layer.gbp_per_week.mean,))})
        for layer in bundled.layers
        if layer.spot == "spot-lower"
    ][:1]
    spots = [spot.model_copy(update={"growth_per_year": zero}) for spot in bundled.spots if spot.spot == "spot-lower"]
    fixed = {"do-nothing", "commissioned", "in-house"}
    decisions = [
        row.model_copy(update={"month": "2025-04"})
        for row in bundled.decisions
        if row.option in fixed and row.action != "extend"
    ]
    return bundled.model_copy(
        update={
            "settings": settings,
            "cohorts": (cohort,),
            "homes": tuple(homes),
            "lots": tuple(lots),
            "extensions": (),
            "placements": tuple(placements),
            "spots": tuple(spots),
            "layers": tuple(layers),
            "options": tuple(row for row in bundled.options if row.option in fixed),
            "decisions": tuple(decisions),
        }
    )


def savings(instance: Instance) -> dict[str, float]:
    """Nominal saving of each option against doing nothing."""
    engine = Engine(assemble(instance, make_scenarios(instance, 1)))
    costs = {}
    for option in appraise_options(instance, engine, Settings()):
        assert option.plan is not None
        assert not option.broken
        costs[option.name] = float(option.plan.nominal.sum())
    return {name: costs["do-nothing"] - cost for name, cost in costs.items()}


@pytest.mark.parametrize(
    ("children", "commissioned", "in_house"),
    [(3, 638_976, 438_984), (2, -224_016, -424_008), (1, -1_087_008, -1_287_000)],
)
def test_the_engine_itself_places_three_children_and_avoids_what_cambridgeshire_published(
    children: int, commissioned: int, in_house: int
) -> None:
    # where a bed is free no child is left without a home, and one empty bed turns the avoidance round
    found = savings(certain_cambridgeshire(children))
    assert found["commissioned"] == pytest.approx(commissioned, abs=0.5)
    assert found["in-house"] == pytest.approx(in_house, abs=0.5)


def test_the_engine_itself_avoids_nothing_for_children_with_lower_needs() -> None:
    # they move in from an ordinary placement at £6,250, since the beds are paid for anyway
    found = savings(certain_cambridgeshire(3, lower_needs=True))
    assert found["commissioned"] == pytest.approx(-975_000, abs=0.5)
    assert found["in-house"] == pytest.approx(-1_174_992, abs=0.5)


def test_the_engine_itself_pays_for_fifteen_regional_beds_what_was_published() -> None:
    bundled = optimiser.load(REGIONAL)
    price = next(row.gbp_per_week for row in bundled.layers if row.spot == "spot-kent").mean
    assert price == 4_557
    instance = tiny(
        {"weeks_per_year": "365/7", "periods": "12x1"},
        lots=[LOT | {"lead_months": 0, "award_until": "2025-04"}],
        tiers=[{"lot": "block", "from_beds": 1, "to_beds": 15, "gbp_per_week": price}],
        options=[{"option": "do-nothing", "title": "None"}, {"option": "block", "title": "Block", "paper": "yes"}],
        decisions=[{"option": "block", "action": "award", "item": "block", "month": "2025-04", "number": 15}],
    )
    assert -savings(instance)["block"] == pytest.approx(3_564_225, abs=0.5)


# how a result is marked


def instance_with_figures() -> Instance:
    figures = [
        FigureRow(figure=name, value=value, unit="£", title=name) for name, value in (("one", 100), ("other", 7))
    ]
    evidence = [
        Evidence(figures="figures.one.value", evidence="published", document="A paper", place="Page 1"),
        Evidence(figures="figures.other.value", evidence="calibrated", low="5", high="+100%", derived_from="result"),
    ]
    return tiny().model_copy(update={"figures": tuple(figures), "evidence": tuple(evidence)})


def test_a_result_of_published_figures_alone_is_marked_published() -> None:
    row = row_of(instance_with_figures(), value=200, expression="[figures.one.value] * 2")
    assert (row["match"], row["ours"], row["difference"]) == ("published", 200, 0)


def test_a_result_that_uses_a_calibrated_figure_matches_by_construction() -> None:
    row = row_of(instance_with_figures(), value=700, expression="[figures.one.value] * [figures.other.value]")
    assert row["match"] == "matches by construction"
    (move,) = row["moves"]
    assert (move["low"], move["high"]) == (5, 14)
    assert (move["at_low"], move["at_high"]) == (500, 1_400)


def test_a_result_that_does_not_come_out_differs_and_says_by_how_much() -> None:
    row = row_of(instance_with_figures(), value=210, expression="[figures.one.value] * 2", tolerance=9)
    assert (row["match"], row["difference"]) == ("differs", -10)


def test_a_result_within_its_tolerance_is_reproduced() -> None:
    row = row_of(instance_with_figures(), value=210, expression="[figures.one.value] * 2", tolerance=10)
    assert row["match"] == "published"


def test_a_result_without_a_published_value_is_computed_only() -> None:
    row = row_of(instance_with_figures(), expression="[figures.one.value] / 4")
    assert (row["match"], row["ours"], row["difference"]) == ("computed, not published", 25, None)


def test_a_result_of_an_option_that_has_no_plan_is_not_computed() -> None:
    row = row_of(instance_with_figures(), value=3, expression="[options.none.saving_gbp]")
    assert (row["match"], row["ours"]) == ("not computed", None)


# the evaluator


@pytest.mark.parametrize(
    ("expression", "value"),
    [("1 + 2 * 3", 7), ("(1 + 2) * 3", 9), ("-[a.b] / 4", -2), ("[a.b] - [c d] - 1", 4), ("2e3 * .5", 1_000)],
)
def test_arithmetic_is_read_as_it_is_written(expression: str, value: float) -> None:
    assert evaluate(expression, {"a.b": 8, "c d": 3}) == value


@pytest.mark.parametrize(
    ("expression", "rule"),
    [
        ("[a] / ([a] - 8)", "divides by zero"),
        ("[missing] + 1", r"uses \[missing\], which has no value"),
        ("__import__('os')", "outside square brackets"),
        ("2 ** 9", "not arithmetic"),
        ("[a", "does not close"),
        ("[] + 1", "empty square brackets"),
        ("1e308 * 10", "does not come out as a finite number"),
        ("key0", "outside square brackets"),
    ],
)
def test_whatever_is_not_arithmetic_is_refused_with_the_rule_it_breaks(expression: str, rule: str) -> None:
    with pytest.raises(ValueError, match=rule):
        evaluate(expression, {"a": 8})


def test_keys_are_listed_once_in_the_order_of_their_use() -> None:
    assert keys("[b.x] * [a] + [b.x] / 2") == ("b.x", "a")


# options side by side


@pytest.fixture(scope="module")
def appraisal() -> tuple[list[Appraised], dict[str, Any]]:
    return make_appraisal(choices(), Asked(scenarios=6))


def choices(**figures: float) -> Instance:
    """Two years with dear and scarce spot places, a home and a block contract to choose from."""
    cohort = {"cohort": "children", "authority": "council", "title": "All", "mean_stay_months": "uniform(8, 20)"}
    options: list[dict[str, Any]] = [
        {"option": "do-nothing", "title": "Do nothing"},
        {"option": "home", "title": "One home", "paper": "yes"},
        {"option": "block", "title": "Three beds"},
        {"option": "block-best", "title": "As many beds as best", "lots": "all"},
    ]
    decisions: list[dict[str, Any]] = [
        {"option": "home", "action": "begin", "item": "two-bed", "month": "2025-04"},
        {"option": "block", "action": "award", "item": "block", "month": "2025-04", "number": 3},
    ]
    rows = [{"figure": name.replace("_", "-"), "value": v, "unit": "£", "title": name} for name, v in figures.items()]
    return tiny(
        {"inflation_per_year": 0.02, "discount_rate": 0.035, "scenarios": 6},
        cohorts=[cohort | {"arrivals_per_month": "uniform(0.2, 0.6)"}],
        homes=[HOME | {"begin_until": "2025-04", "capital_gbp": 200_000, "residual_share": 0.9, "beds": 4}],
        lots=[LOT | {"award_until": "2025-04", "term_months": 18, "bid_factor": "uniform(0.6, 1.4)"}],
        tiers=[{"lot": "block", "from_beds": 1, "to_beds": 15, "gbp_per_week": 4_800}],
        layers=[{"spot": "market", "beds": 3, "gbp_per_week": "uniform(4000, 7000)"}],
        placements=[
            {"cohort": "children", "source": "market", "children_at_start": 3},
            {"cohort": "children", "source": "two-bed"},
            {"cohort": "children", "source": "block"},
            {"cohort": "children", "source": "unregistered", "children_at_start": 2},
        ],
        options=options,
        decisions=decisions,
        figures=rows,
    )


def test_every_option_is_placed_on_the_same_futures(appraisal: tuple[list[Appraised], dict[str, Any]]) -> None:
    options, _ = appraisal
    assert [option.name for option in options] == ["do-nothing", "home", "block", "block-best", OPTIMISED]
    arrivals = [[s.arrivals.tolist() for s in option.plan.problem.scenarios] for option in options if option.plan]
    assert all(own == arrivals[0] for own in arrivals)


def test_probabilities_of_being_cheapest_add_up_to_one(appraisal: tuple[list[Appraised], dict[str, Any]]) -> None:
    rows = appraisal[1]["options"]
    assert sum(row["probability_cheapest"] for row in rows) == pytest.approx(1)
    assert all(0 <= row["probability_below_doing_nothing"] <= 1 for row in rows)


def test_the_optimised_plan_is_never_worse_in_what_is_minimised(
    appraisal: tuple[list[Appraised], dict[str, Any]],
) -> None:
    options, document = appraisal
    objective = {option.name: option.plan.verified.objective for option in options if option.plan and not option.broken}
    least = min(objective.values())
    assert objective[OPTIMISED] <= least * (1 + 1e-3)
    assert objective["block-best"] <= objective["block"] * (1 + 1e-3)
    assert document["objective_gbp"] == objective[OPTIMISED]


def test_the_papers_option_is_marked(appraisal: tuple[list[Appraised], dict[str, Any]]) -> None:
    assert [row["option"] for row in appraisal[1]["options"] if row["paper"]] == ["home"]


def test_savings_are_differences_to_doing_nothing(appraisal: tuple[list[Appraised], dict[str, Any]]) -> None:
    rows = {row["option"]: row for row in appraisal[1]["options"]}
    base = rows["do-nothing"]["expected_cost_gbp"]
    assert rows["do-nothing"]["saving_gbp"] == 0
    for row in rows.values():
        assert row["saving_gbp"] == pytest.approx(base - row["expected_cost_gbp"])


def test_costs_by_year_add_up_to_each_options_cost(appraisal: tuple[list[Appraised], dict[str, Any]]) -> None:
    options, document = appraisal
    assert document["years"] == cost_by_year(options)
    for option in options:
        assert option.plan is not None
        years = [row for row in document["years"] if row["option"] == option.name]
        assert sum(row["nominal_gbp"] for row in years) == pytest.approx(float(option.plan.nominal.sum()))


@pytest.mark.parametrize("in_budget", [0.0, 20_000.0, 5_000_000.0])
def test_budget_columns_add_up_to_the_net_saving(
    appraisal: tuple[list[Appraised], dict[str, Any]], in_budget: float
) -> None:
    counted = choices().model_copy(update={"budget": (BudgetRow(year="2025/26", saving_gbp=in_budget),)})
    options = [
        replace(option, plan=None if option.plan is None else replace(option.plan, instance=counted))
        for option in appraisal[0]
    ]
    rows = budget_columns(options)
    assert [row["option"] for row in rows] == ["home", "block", "block-best", OPTIMISED]
    for row in rows:
        gains = row["already_in_budget_gbp"] + row["cashable_gbp"] + row["cost_avoidance_gbp"]
        assert gains - row["pressure_gbp"] == pytest.approx(row["net_saving_gbp"], abs=0.01)
        assert min(value for name, value in row.items() if name.endswith("_gbp") and name != "net_saving_gbp") >= 0


def test_what_an_unregistered_placement_would_have_cost_is_avoidance_and_not_cashable(
    appraisal: tuple[list[Appraised], dict[str, Any]],
) -> None:
    options, document = appraisal
    plans = {option.name: option.plan for option in options if option.plan is not None}
    rows = {row["option"]: row for row in document["budget"]}
    unregistered = COST_TERMS.index("unregistered")
    nothing = plans["do-nothing"]
    for name, row in rows.items():
        avoided = float((nothing.nominal - plans[name].nominal)[unregistered].sum())
        assert row["cost_avoidance_gbp"] >= avoided - 0.01
        # were none of them to cost anything, as much less would be avoided and not a pound less cashed
        free = {}
        for which in ("do-nothing", name):
            nominal = plans[which].nominal.copy()
            nominal[unregistered] = 0.0
            free[which] = replace(plans[which])
            free[which].__dict__["nominal"] = nominal
        (without,) = budget_columns(
            [replace(option, plan=free[option.name]) for option in options if option.name in free]
        )
        assert without["cashable_gbp"] == pytest.approx(row["cashable_gbp"], abs=0.01)
        assert row["cost_avoidance_gbp"] - without["cost_avoidance_gbp"] == pytest.approx(max(avoided, 0.0), abs=0.01)


def test_an_option_that_breaks_a_limit_is_shown_with_the_limit() -> None:
    instance = choices().model_copy(
        update={"capital": tiny(capital=[{"envelope": "programme", "year": "total", "limit_gbp": 100}]).capital}
    )
    engine = Engine(assemble(instance, make_scenarios(instance, 2)))
    rows = {row["option"]: row for row in comparison(appraise_options(instance, engine, Settings()))}
    assert any("capital_within_envelope" in words for words in rows["home"]["broken"])
    assert rows["block"]["broken"] == []


def test_an_option_free_to_choose_its_lots_begins_no_home() -> None:
    instance = choices()
    engine = Engine(assemble(instance, make_scenarios(instance, 3)))
    (option,) = appraise_options(instance, engine, Settings(), only=("block-best",))
    assert option.plan is not None
    assert option.plan.decisions.homes_begun.sum() == 0
    assert np.isin(option.plan.decisions.lot_awarded, (0, 1)).all()


def test_options_that_cost_the_same_share_a_rank() -> None:
    costs = {"a": 10.0, "b": 7.2, "c": 7.0, "d": 9.0}
    assert {name: rank_of(name, costs) for name in costs} == {"a": 4, "b": 1, "c": 1, "d": 3}


def test_an_order_other_than_the_optimisers_is_told_from_noise_or_said_to_be_none() -> None:
    def row(option: str, rank: int, its_rank: int, more: float | None, error: float | None = 1_000.0) -> dict[str, Any]:
        above = None if more is None else {"mean": more, "standard_error": error}
        return {"option": option, "rank": rank, "rank_by_optimiser": its_rank, "above_before_gbp": above}

    titles = {name: name.upper() for name in "abcde"}
    rows = [row("a", 1, 2, None), row("b", 2, 1, 5_000.0), row("c", 3, 5, 90_000.0), row("d", 4, 4, 1_500.0)]
    rows += [row("e", 5, 3, 2_000.0, None)]
    assert order_lines(rows, titles, 10_000.0) == [
        "B costs £5,000 ± £1,000 more than A.",
        "D costs £2,000 ± £1,000 more than C, which cannot be told from noise.",
        "E costs £2,000 ± – more than D, which cannot be told from noise.",
    ]
    assert order_lines([row("a", 1, 1, None), row("b", 1, 2, 0.0), row("c", 3, 3, 10.0)], titles, 10_000.0) == []


def test_the_plan_that_was_started_from_is_appraised_where_it_is_within_the_gap(tmp_path: Path) -> None:
    """Else a report has two figures for what was planned; a plan beyond the gap gives way to the one found."""
    instance = read_instance(Folder(tmp_path / "instance").path)
    instance = instance.model_copy(update={"options": (), "decisions": ()})
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(planning, "simulated_ranking", lambda *_: None)
        plan, _ = make_plan(instance, Asked(scenarios=3, gap=0.01, keep=True, brief=True, method="lshaped"))
        assert plan.kept is not None and plan.kept.start
        idle = replace(plan.kept, start={})

        def appraised(gap: float, kept: Kept) -> dict[str, float]:
            _, document = make_appraisal(instance, Asked(scenarios=3, gap=gap, start=kept))
            return {row["option"]: row["expected_cost_gbp"] for row in document["options"]}

        close, wide = appraised(0.01, idle), appraised(0.9, idle)
        assert wide["optimised"] == pytest.approx(wide["do-nothing"])
        assert close["optimised"] != pytest.approx(close["do-nothing"])
        same = appraised(0.01, plan.kept)
    assert same["optimised"] == pytest.approx(plan.verified.expected_cost, abs=0.005)
