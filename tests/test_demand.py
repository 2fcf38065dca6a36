"""From returns to an instance: what is counted agrees with slow counts, nothing gives a child away, all or nothing is written."""

from __future__ import annotations

import csv
import re
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import stats

import optimiser
from optimiser.demand.arrivals import Estimate
from optimiser.demand.backtest import QUANTILES, CohortTest, back_test, pinball, totals
from optimiser.demand.cohorts import CohortRule, Rules, SourceRule, read_rules, usual_rules
from optimiser.demand.diagnostics import stretch_of
from optimiser.demand.fitting import Demand, Wanted, fit_demand, held_back
from optimiser.demand.rows import evidence_cells, placement_cells, today_by_source
from optimiser.demand.ssda903 import PUBLISHABLE, Reconciliation, Returns, daily_stock, read_returns
from optimiser.demand.synthetic import USUAL_TRUTH, Synthetic, TrueCohort, Truth, synthesise
from optimiser.errors import InstanceError
from optimiser.instance.schema import Placement
from tests.demand_records import council, files_in, run

HOMES = CohortRule(name="homes", categories=("childrens-home",))
FOSTER = CohortRule(name="foster", categories=("fostering",))


@pytest.fixture(scope="module")
def synthetic(tmp_path_factory: pytest.TempPathFactory) -> Synthetic:
    return council(tmp_path_factory.mktemp("records"))


@pytest.fixture(scope="module")
def returns(synthetic: Synthetic) -> Returns:
    return read_returns([synthetic.folder])


@pytest.fixture(scope="module")
def model(returns: Returns) -> Demand:
    return fit_demand(returns, usual_rules(False), usual=True)


@pytest.fixture(scope="module")
def made(synthetic: Synthetic, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """A new instance from the returns, and what the command printed."""
    out = tmp_path_factory.mktemp("made") / "my-council"
    done = run("demand", str(synthetic.folder), "--out", str(out))
    assert done.exit_code == 0, done.output
    return out, done.output


@pytest.fixture
def without_charts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Charts are drawn for one instance, and not for each."""
    monkeypatch.setattr("optimiser.report.charts.write_chart", lambda *_: [])


# counts


def test_children_at_the_end_of_each_month_are_those_of_the_daily_count(returns: Returns) -> None:
    model = fit_demand(returns, Rules(cohort=(HOMES, FOSTER)))
    daily = daily_stock(returns)
    ends = daily.resample("ME").last()
    assert model.cohorts[0].stock.tolist() == ends["childrens-home"].tolist()
    assert model.cohorts[1].stock.tolist() == ends["fostering"].tolist()


def test_arrivals_departures_and_steps_add_up_to_the_children_of_today(returns: Returns) -> None:
    model = fit_demand(returns, Rules(cohort=(HOMES, FOSTER)))
    table = returns.placements
    for fit in model.cohorts:
        category = fit.rule.categories[0]
        at_start = ((table["category"] == category) & (table["start"] < pd.Timestamp(returns.first_day))).sum()
        began_before = ((table["category"] == category) & ~table["start_known"] & ~table["truncated"]).sum()
        lost = (
            (table["category"] == category) & table["censored"] & (table["end"] < pd.Timestamp(returns.end_day))
        ).sum()
        stepped_in = sum(step.rate.times for step in model.steps if step.destination == fit.name)
        stepped_out = sum(step.rate.times for step in model.steps if step.origin == fit.name)
        reached = at_start + began_before + fit.counted.sum() + stepped_in - fit.leaving.times - stepped_out - lost
        assert fit.today == reached


def test_arrivals_and_exits_are_those_of_a_slow_count(returns: Returns) -> None:
    model = fit_demand(returns, Rules(cohort=(HOMES, FOSTER)))
    rows = returns.placements.to_dict("records")
    arrived = left = moved = nights = 0
    first = pd.Timestamp(returns.first_day)
    for place, row in enumerate(rows):
        if row["category"] != "childrens-home":
            continue
        before = rows[place - 1] if place else None
        after = rows[place + 1] if place + 1 < len(rows) else None
        same = ("child", "care_spell")
        came = before is not None and all(before[k] == row[k] for k in same) and before["end"] == row["start"]
        goes = after is not None and all(after[k] == row[k] for k in same) and after["start"] == row["end"]
        from_model = came and before is not None and before["category"] in ("childrens-home", "fostering")
        if row["start"] >= first and row["start_known"] and not from_model:
            arrived += 1
        if goes and after is not None and after["category"] == "childrens-home":
            moved += 1
        elif not (goes and after is not None and after["category"] == "fostering") and not row["censored"]:
            left += 1
        day = max(row["start"], first)
        while day < row["end"]:
            nights += 1
            day += timedelta(days=1)
    homes = model.cohorts[0]
    assert (int(homes.counted.sum()), homes.leaving.times, homes.moving.times) == (arrived, left, moved)
    assert homes.leaving.months * 365.25 / 12 == pytest.approx(nights)


def test_csv_and_xml_give_the_same_demand(synthetic: Synthetic, model: Demand, tmp_path: Path) -> None:
    other = fit_demand(read_returns([council(tmp_path, form="xml").folder]), usual_rules(False), usual=True)
    for one, two in zip(model.cohorts, other.cohorts, strict=True):
        assert one.counted.tolist() == two.counted.tolist() and one.stock.tolist() == two.stock.tolist()
        assert one.leaving == two.leaving and one.moving == two.moving
    assert model.steps == other.steps


def test_a_step_seen_seldom_is_a_departure_and_an_arrival(returns: Returns) -> None:
    cohorts = (HOMES, FOSTER)
    model = fit_demand(returns, Rules(cohort=cohorts))
    assert {(step.origin, step.destination) for step in model.steps} == {("homes", "foster"), ("foster", "homes")}
    table = returns.placements
    # all but four of the steps from homes are taken to lead elsewhere
    follows = (table["category"] == "childrens-home") & (table["went_to"] == "fostering")
    dropped = follows & (follows.cumsum() > 4)
    cut = table.assign(end=table["end"].where(~dropped, table["end"] - pd.Timedelta(days=1)))
    other = fit_demand(replace(returns, placements=cut), Rules(cohort=cohorts))
    assert ("homes", "foster") not in {(step.origin, step.destination) for step in other.steps}
    steps = next(step.rate.times for step in model.steps if step.origin == "homes")
    assert other.cohorts[0].leaving.times == model.cohorts[0].leaving.times + steps
    assert other.cohorts[1].counted.sum() == model.cohorts[1].counted.sum() + steps


# cohorts


def test_the_first_rule_that_fits_counts_and_unknown_ages_are_not_asked(returns: Returns) -> None:
    from optimiser.demand.cohorts import cohort_of

    young = CohortRule(name="young", ages=(0, 9), categories=("childrens-home", "fostering"))
    number = cohort_of(returns.placements, (young, HOMES))
    for row, found in zip(returns.placements.to_dict("records"), number, strict=True):
        fits_young = row["category"] in young.categories and (row["age_at_start"] <= 9)
        wanted = 0 if fits_young else 1 if row["category"] == "childrens-home" else -1
        assert found == wanted


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[[cohort]]\nname = 'Homes'", "cohort 1 name"),
        ("[[cohort]]\nname = 'homes'\nages = [9, 3]", "ages are out of order"),
        ("[[cohort]]\nname = 'homes'\ncategories = ['homes']", "homes is not one of the categories: "),
        ("[[cohort]]\nname = 'homes'\nage = 3", "cohort 1 age"),
        ("[[cohort]]\nname = 'homes'\n[[cohort]]\nname = 'homes'", "homes is there twice"),
        ("[[source]]\nname = 'council-homes'", "has no cohort"),
        ("[[cohort]]\nname = 'homes'\n[[source]]\nname = 'own'\n[[source]]\nname = 'own'", "own is there twice"),
        ("[[cohort]", "is not valid TOML"),
    ],
)
def test_faulty_rules_are_refused_with_what_is_wrong(text: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "rules.toml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(InstanceError) as told:
        read_rules(path)
    assert message in str(told.value)


def test_the_rules_of_the_documentation_are_read() -> None:
    import optimiser.demand.cohorts as module

    text = (module.__doc__ or "").split("::\n", 1)[1]
    rules = Rules.model_validate(__import__("tomllib").loads(text))
    assert [rule.name for rule in rules.cohort] == ["complex-needs"] and rules.arrivals[0].since == "2016-01"


def test_a_cohort_of_ones_own_with_too_few_children_is_a_fault(returns: Returns) -> None:
    rule = CohortRule(name="secure", categories=("secure-home",))
    with pytest.raises(InstanceError, match="secure has fewer than 5 arrivals or departures"):
        fit_demand(returns, Rules(cohort=(HOMES, rule)))


def test_a_cohort_whose_children_stay_for_days_is_a_fault_and_nothing_is_written(tmp_path: Path) -> None:
    cohort = TrueCohort("days", 10.0, {"K2/PR4": 1.0}, {"K2/PR4": 3.0}, {"K2/PR4": 0.1})
    synthesise(tmp_path / "r", authority="anyshire", first_year=2023, years=2, seed=1, truth=Truth((cohort,)))
    done = run("demand", str(tmp_path / "r"), "--out", str(tmp_path / "out"))
    assert done.exit_code == 1 and "leave, or step across, within a month on average" in done.output
    assert [path.name for path in tmp_path.iterdir()] == ["r"]


def test_rules_that_ask_for_costs_need_a_cost_file(synthetic: Synthetic, tmp_path: Path) -> None:
    (tmp_path / "rules.toml").write_text("[[cohort]]\nname = 'dear'\ncost_from = 6000\n", encoding="utf-8")
    done = run("demand", str(synthetic.folder), "--rules", str(tmp_path / "rules.toml"), "--out", str(tmp_path / "out"))
    assert done.exit_code == 2 and "the rules of dear ask for costs" in " ".join(done.output.replace("│", " ").split())


def test_usual_cohorts_of_a_small_council_are_put_together(tmp_path: Path) -> None:
    done = run("synthesise", str(tmp_path / "r"), "--years", "2", "--children", "24", "--seed", "3")
    assert done.exit_code == 0 and "the children in them never were" in done.output
    model = fit_demand(read_returns([tmp_path / "r"]), usual_rules(False), usual=True)
    assert model.notes and all(fit.counted.sum() >= PUBLISHABLE for fit in model.cohorts)
    assert not {"homes-under-13"} & {fit.name for fit in model.cohorts}


# costs


def costs_of(synthetic: Synthetic, path: Path, returns: Returns) -> list[str]:
    """A census of placements: each child in a home today, with a cost; the identifiers in it."""
    rows = []
    with next(file for file in synthetic.files if "episodes" in file.name.lower() and "2024-25" in str(file)).open(
        encoding="utf-8-sig", newline=""
    ) as file:
        for row in csv.DictReader(file):
            cells = {name.upper(): cell for name, cell in row.items()}
            if cells.get("PLACE") == "K2" and not cells["DEC"] and cells["LS"] not in ("V3", "V4"):
                rows.append(cells["CHILD"])
    identifiers = sorted(set(rows))
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["Child ID", "Total weekly cost (£)", "Sourcing", "Notes"])
        for number, child in enumerate(identifiers):
            writer.writerow([child, f"£{4_000 + 500 * number:,}", "Block contract" if number % 2 else "Spot", ""])
    return identifiers


def test_costs_are_joined_to_the_placements_of_today(synthetic: Synthetic, returns: Returns, tmp_path: Path) -> None:
    path = tmp_path / "costs.csv"
    text_of = costs_of(synthetic, path, returns)
    table = read_returns([synthetic.folder], [path]).placements
    known = table[table["gbp_per_week"].notna()]
    assert len(known) == len(text_of)
    assert sorted(known["gbp_per_week"]) == [4_000 + 500 * number for number in range(len(text_of))]
    assert set(known["sourcing"]) == {"block", "spot"} and known["censored"].mean() > 0.9
    dear = CohortRule(name="dear", cost_from=6_000)
    from optimiser.demand.cohorts import cohort_of

    assert (cohort_of(table, (dear,)) == 0).sum() == (known["gbp_per_week"] >= 6_000).sum()


def homes_of(synthetic: Synthetic) -> dict[str, set[str]]:
    """URN of each children's home in the returns, with the providers it is filed under."""
    found: dict[str, set[str]] = {}
    for path in synthetic.files:
        if "episodes" in path.name.lower():
            with path.open(encoding="utf-8-sig", newline="") as file:
                for row in csv.DictReader(file):
                    cells = {name.upper(): cell.strip() for name, cell in row.items()}
                    if cells["PLACE"] == "K2" and cells["URN"].strip("X"):
                        found.setdefault(cells["URN"], set()).add(cells["PLACE_PROVIDER"])
    return found


def test_costs_by_home_are_joined_to_every_placement_there_and_a_childs_own_counts_first(
    synthetic: Synthetic, returns: Returns, tmp_path: Path
) -> None:
    homes = homes_of(synthetic)
    price = {urn: 3_000 + 10 * number for number, urn in enumerate(sorted(homes))}
    by_home = tmp_path / "internal.csv"
    by_home.write_text(
        "URN,Weekly cost per bed\n" + "".join(f"{urn.lower()},{gbp}\n" for urn, gbp in price.items()), encoding="utf-8"
    )
    table = read_returns([synthetic.folder], [by_home]).placements
    in_homes = table["category"] == "childrens-home"
    assert table.loc[in_homes, "gbp_per_week"].notna().mean() > 0.9
    assert not table.loc[~in_homes & (table["category"] != "secure-home"), "gbp_per_week"].notna().any()
    assert set(table["gbp_per_week"].dropna()) <= set(price.values())
    # homes that the council runs are in-house; how others were bought the file does not say
    known = table["gbp_per_week"].notna()
    own = known & (table["provider"] == "own-council")
    assert own.any() and set(table.loc[own, "sourcing"]) == {"in-house"}
    assert set(table.loc[known & ~own, "sourcing"]) == {"not-recorded"}
    # a slow count of one home's placements in the reconciliation's own terms: its rows lead to placements of its price
    one = max(price, key=lambda urn: (table["gbp_per_week"] == price[urn]).sum())
    assert (table["gbp_per_week"] == price[one]).sum() == placements_in(synthetic, returns, one)
    by_child = tmp_path / "children.csv"
    identifiers = costs_of(synthetic, by_child, returns)
    both = read_returns([synthetic.folder], [by_child, by_home]).placements
    swapped = read_returns([synthetic.folder], [by_home, by_child]).placements
    assert both.equals(swapped)
    assert set(4_000 + 500 * number for number in range(len(identifiers))) <= set(both["gbp_per_week"])
    assert both["gbp_per_week"].notna().sum() >= known.sum()


def placements_in(synthetic: Synthetic, returns: Returns, urn: str) -> int:
    """Placements whose first row in the returns names the home, by the account of rows."""
    account = returns.reconciliation.rows
    begins = account[account["reason"].str.startswith("begins") & (account["placement"] >= 0)]
    texts = {f"{path.parent.name}/{path.name}": path for path in synthetic.files}
    cells = {}
    for name in begins["file"].unique():
        with texts[name].open(encoding="utf-8-sig", newline="") as file:
            records = list(csv.reader(file))
        titles = [title.upper() for title in next(record for record in records if any(record))]
        cells[name] = titles.index("URN"), titles.index("PLACE"), records
    found = 0
    for row in begins.itertuples():
        place, kind, records = cells[str(row.file)]
        record = records[int(str(row.row)) - 1]
        found += record[place].strip().upper() == urn and record[kind].strip().upper() in ("K1", "K2", "S1", "R1")
    return found


def test_a_cost_of_a_home_since_a_day_belongs_to_who_lives_there_on_it(synthetic: Synthetic, tmp_path: Path) -> None:
    urns = sorted(homes_of(synthetic))
    path = tmp_path / "costs.csv"
    path.write_text("Child ID,URN,Weekly cost,Start\n" + f",{urns[0]},5000,01/04/2023\n", encoding="utf-8")
    table = read_returns([synthetic.folder], [path]).placements
    known = table[table["gbp_per_week"].notna()]
    day = pd.Timestamp(2023, 4, 1)
    assert ((known["start"] <= day) & (known["end"] > day)).all()
    path.write_text("Child ID,URN,Weekly cost\n,,5000\nC1,,x\n", encoding="utf-8")
    done = run("demand", str(synthetic.folder), "--costs", str(path), "--out", str(tmp_path / "out"))
    assert done.exit_code == 1 and not (tmp_path / "out").exists()
    assert "row 2, child: is blank, and so is the URN" in done.output
    assert "row 3, weekly cost: is not an amount" in done.output


def test_faulty_costs_are_refused_without_a_cell_of_theirs(synthetic: Synthetic, tmp_path: Path) -> None:
    path, out = tmp_path / "costs.csv", tmp_path / "out"
    path.write_text("child,weekly cost,start\nC1234567,lots,2024-13-01\n,5,\n", encoding="utf-8")
    done = run("demand", str(synthetic.folder), "--costs", str(path), "--out", str(out))
    assert done.exit_code == 1 and not out.exists()
    assert "row 2, weekly cost: is not an amount" in done.output and "row 3, child: is blank" in done.output
    assert "row 2, start: is not a date" in done.output
    assert "C1234567" not in done.output and "lots" not in done.output
    path.write_text("child,weekly cost\nnobody,5000\n", encoding="utf-8")
    done = run("demand", str(synthetic.folder), "--costs", str(path), "--out", str(out))
    assert "the costs, child: names no child or home of the returns" in done.output and not out.exists()
    path.write_text("child,weekly cost\nC1234567,inf\n", encoding="utf-8")
    done = run("demand", str(synthetic.folder), "--costs", str(path), "--out", str(out))
    assert "row 2, weekly cost: is not an amount" in done.output
    for text, rule in (
        ("", "c.csv: is empty"),
        ("child,weekly cost\n", "row 1: has columns but no costs"),
        ("child;weekly cost\nC1;5\n", "row 1: has semicolons between its cells"),
        ("child|weekly cost\nC1|5\n", "row 1: has bars between its cells"),
        ("child,weekly cost,Child\nC1,5,C2\n", "row 1, child: has its column twice"),
    ):
        (tmp_path / "c.csv").write_text(text, encoding="utf-8")
        done = run("demand", str(synthetic.folder), "--costs", str(tmp_path / "c.csv"), "--out", str(out))
        assert done.exit_code == 1 and rule in done.output and not out.exists()
    path.write_text("name,price\nx,5\n", encoding="utf-8")
    done = run("demand", str(synthetic.folder), "--costs", str(path), "--out", str(out))
    assert "child: has no column" in done.output and "weekly cost: has no column" in done.output


# what is written


def test_the_new_instance_reads_and_has_the_demand_of_the_records(made: tuple[Path, str], model: Demand) -> None:
    instance = optimiser.load(str(made[0]))
    assert [row.cohort for row in instance.cohorts] == [fit.name for fit in model.cohorts]
    for row, fit in zip(instance.cohorts, model.cohorts, strict=True):
        assert row.arrivals_per_month is not None and row.mean_stay_months is not None
        assert row.arrivals_per_month.mean == pytest.approx(fit.arrivals.level.mean, rel=1e-3)
        assert row.mean_stay_months.mean == pytest.approx(fit.leaving.stay.mean, rel=1e-3)
        living = sum(place.children_at_start for place in instance.placements if place.cohort == row.cohort)
        assert living == fit.today
    assert {(row.origin, row.destination) for row in instance.steps} == {
        (step.origin, step.destination) for step in model.steps
    }
    assert instance.settings.first_month == "2025-04"
    assert all(row.evidence != "published" or row.document for row in instance.evidence)


def test_the_new_instance_plans(made: tuple[Path, str]) -> None:
    from optimiser.analysis.appraisal import best_plan
    from optimiser.analysis.planning import Asked, prepare
    from optimiser.solve.twostage import Settings

    instance, engine = prepare(optimiser.load(str(made[0])), Asked(scenarios=2))
    plan = best_plan(instance, engine, Settings(gap=0.05))
    assert not plan.verified.violations


@pytest.mark.usefixtures("without_charts")
def test_of_an_instance_that_is_there_only_the_demand_is_replaced(
    synthetic: Synthetic, made: tuple[Path, str], tmp_path: Path
) -> None:
    folder = tmp_path / "first-plan"
    assert run("new", str(folder)).exit_code == 0
    (folder / "notes.txt").write_text("ours", encoding="utf-8")
    before = files_in(folder)
    rules = tmp_path / "rules.toml"
    rules.write_text(
        "[[cohort]]\nname = 'complex-needs'\nproviders = ['private']\n"
        "[[cohort]]\nname = 'lower-needs'\n[[source]]\nname = 'spot-market'\n",
        encoding="utf-8",
    )
    done = run("demand", str(synthetic.folder), "--rules", str(rules), "--out", str(folder))
    assert done.exit_code == 0, done.output
    after = files_in(folder)
    changed = {name for name in before if before[name] != after.get(name)}
    assert changed == {"cohorts.csv", "steps.csv", "placements.csv", "evidence.csv"}
    assert {name for name in after if name not in before and not name.startswith("diagnostics")} <= {
        "figures.csv",
        "leaving.csv",
    }
    instance = optimiser.load(str(folder))
    assert {(row.cohort, row.source) for row in instance.placements} == {
        ("complex-needs", source) for source in ("two-bed-home", "block-offer", "current-contract", "spot-market")
    } | {("lower-needs", source) for source in ("block-offer", "current-contract", "spot-market")}
    assert [row.title for row in instance.cohorts] == ["Complex needs, 10 to 16", "Lower needs, 10 to 16"]
    again = run("demand", str(synthetic.folder), "--rules", str(rules), "--out", str(folder))
    assert again.exit_code == 0
    assert {k: v for k, v in files_in(folder).items() if not k.startswith("diagnostics")} == {
        k: v for k, v in after.items() if not k.startswith("diagnostics")
    }


@pytest.mark.usefixtures("without_charts")
def test_nothing_is_written_where_the_instance_would_have_faults(synthetic: Synthetic, tmp_path: Path) -> None:
    folder = tmp_path / "first-plan"
    run("new", str(folder))
    (folder / "local.csv").write_text(
        "limit,cohorts,band,minimum_share\nnear,complex-needs,near,0.5\n", encoding="utf-8"
    )
    (folder / "bands.csv").write_text("source,band,share\nspot-market,near,0.5\n", encoding="utf-8")
    with (folder / "evidence.csv").open("a", encoding="utf-8") as file:
        file.write("local.*,assumption,,,-50%,+50%,,\nbands.*,assumption,,,-50%,+50%,,\n")
    before = files_in(folder)
    done = run("demand", str(synthetic.folder), "--out", str(folder))
    assert done.exit_code == 1 and "complex-needs is not in cohorts.csv" in done.output
    assert files_in(folder) == before
    assert [path.name for path in tmp_path.iterdir()] == ["first-plan"]


def test_a_folder_with_something_else_is_left_alone(synthetic: Synthetic, tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("ours", encoding="utf-8")
    done = run("demand", str(synthetic.folder), "--out", str(tmp_path))
    assert done.exit_code == 1 and "holds no instance" in done.output
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]


def spoilt(kind: str, folder: Path) -> None:
    """Spoil returns in one way."""
    path = next(path for path in sorted(folder.rglob("*.csv")) if "episodes" in path.name.lower())
    text = path.read_text(encoding="utf-8-sig")
    lines = text.splitlines()
    if kind == "an Excel file":
        path.write_bytes(b"PK\x03\x04" + b"\0" * 100)
    elif kind == "a missing column":
        path.write_text(text.replace("DECOM", "BEGAN").replace("decom", "began"), encoding="utf-8")
    elif kind == "an unknown code":
        cells = [re.sub(r"\bPR\d\b", "PR9", lines[1])]
        path.write_text("\n".join([lines[0], *cells, *lines[2:]]), encoding="utf-8")
    elif kind == "an impossible date":
        path.write_text(re.sub(r"\d\d/\d\d/(\d{4})|(\d{4})-\d\d-\d\d", r"31/02/2020", text, count=1), encoding="utf-8")
    elif kind == "mixed years":
        other = [one for one in sorted(folder.rglob("*.csv")) if "episodes" in one.name.lower()][-1]
        more = other.read_text(encoding="utf-8-sig").splitlines()[1:60]
        path.write_text("\n".join([*lines, *more]), encoding="utf-8")


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("an Excel file", "is an Excel workbook, whatever its name"),
        ("a missing column", "DECOM: is missing"),
        ("an unknown code", "PLACE_PROVIDER: PR9 is not a code"),
        ("an impossible date", "is not a date"),
        ("mixed years", "years are mixed"),
    ],
)
def test_malformed_records_are_listed_and_nothing_is_written(
    kind: str, message: str, synthetic: Synthetic, tmp_path: Path
) -> None:
    folder, out = tmp_path / "records", tmp_path / "out"
    shutil.copytree(synthetic.folder, folder)
    spoilt(kind, folder)
    done = run("demand", str(folder), "--out", str(out))
    assert done.exit_code == 1 and message in done.output
    assert [path.name for path in tmp_path.iterdir()] == ["records"]
    assert not identifiers_in(done.output, synthetic)


def test_a_source_from_which_children_leave_differently_has_a_stay_of_its_own_with_its_interval(tmp_path: Path) -> None:
    rates = {"K2/PR4": 0.15, "K2/PR1": 0.04}
    cohort = TrueCohort("homes", 6.0, {"K2/PR4": 0.6, "K2/PR1": 0.4}, rates, {"K2/PR4": 0.08, "K2/PR1": 0.02})
    synthesise(tmp_path, authority="anyshire", first_year=2022, years=4, seed=1, truth=Truth((cohort,)))
    sources = tuple(
        SourceRule(name=name, providers=(provider,))
        for name, provider in (("council-homes", "own-council"), ("spot-market", "private"))
    )
    model = fit_demand(read_returns([tmp_path]), Rules(cohort=(HOMES,), source=sources))
    (fit,) = model.cohorts
    evidence = {row["figures"]: row for row in evidence_cells(model, "Returns", [])}
    for one in fit.sources:
        assert one.leaves_differently and one.moves_differently
        code = {"council-homes": "K2/PR1", "spot-market": "K2/PR4"}[one.source]
        low, high = one.leaving.stay_estimate.low, one.leaving.stay_estimate.high
        assert low < 1 / rates[code] < high
        stay = Placement.model_validate(placement_cells(model, fit, one.source, 10)).mean_stay_months
        assert stay is not None
        assert stay.quantile(np.array([0.05, 0.95])) == pytest.approx((low, high), rel=0.03)
        row = evidence[f"placements.homes.{one.source}.mean_stay_months"]
        assert (float(row["low"]), float(row["high"])) == pytest.approx((low, high), rel=1e-3)
        row = evidence[f"placements.homes.{one.source}.breakdown_per_month"]
        assert float(row["low"]) < one.moving.distribution.mean < float(row["high"])


# what is asked on the command line


@pytest.mark.usefixtures("without_charts")
def test_a_level_a_growth_and_a_first_month_are_taken_and_said(synthetic: Synthetic, tmp_path: Path) -> None:
    out = tmp_path / "one"
    done = run("demand", str(synthetic.folder), "--out", str(out), "--growth", "2.9%", "--level", "2022/23")
    assert done.exit_code == 0, done.output
    assert "Arrivals at the level of 2022/23, as asked" in done.output
    assert "Growth of 2.9% a year is laid on top of the trend, as asked" in done.output
    instance = optimiser.load(str(out))
    assert all(row.growth_per_year.mean == pytest.approx(0.029) for row in instance.cohorts)
    notes = [
        row.note for row in instance.evidence if row.figures.endswith("growth_per_year") and "cohorts" in row.figures
    ]
    assert notes and all("+2.9% a year is laid on top" in note for note in notes)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--growth", "lots"), "growth a year"),
        (("--level", "then"), "a year, a financial year or months"),
        (("--since", "2024"), "a month, as 2021-04"),
        (("--level", "1999"), "too few of the months asked for"),
    ],
)
def test_what_cannot_be_understood_is_said(
    words: tuple[str, str], message: str, synthetic: Synthetic, tmp_path: Path
) -> None:
    done = run("demand", str(synthetic.folder), "--out", str(tmp_path / "out"), *words)
    assert done.exit_code in (1, 2) and message in " ".join(done.output.replace("│", " ").split())
    assert not (tmp_path / "out").exists()


# nothing gives a child away


def identifiers_in(text: str, synthetic: Synthetic) -> list[str]:
    """Identifiers, UPNs, dates of birth and postcodes of the records in a text."""
    # a month or a year alone is nobody's
    return [one for one in synthetic.identifiers if len(one) > 5 and one in text]


def test_no_identifier_date_of_birth_upn_or_postcode_is_printed_or_written(
    made: tuple[Path, str], synthetic: Synthetic, returns: Returns, model: Demand
) -> None:
    assert len(synthetic.identifiers) > 1_000
    assert not identifiers_in(made[1], synthetic)
    for name, content in files_in(made[0]).items():
        if not name.endswith(".png"):
            assert not identifiers_in(content.decode("utf-8"), synthetic), name
    for words in (repr(returns), repr(model), repr(model.cohorts[0]), str(returns.placements.columns)):
        assert not identifiers_in(words, synthetic)


def observed_cells(folder: Path) -> Iterator[tuple[str, str, str]]:
    """Cells of counts observed in records: table, column and cell."""
    counts = {"episodes", "arrived", "left", "seen", "today", "moved", "observed", "children", "moves_seen"}
    for path in sorted((folder / "diagnostics").glob("*.csv")):
        if path.name == "survival.csv":
            continue
        with path.open(encoding="utf-8", newline="") as file:
            for row in csv.DictReader(file):
                yield from ((path.name, name, cell) for name, cell in row.items() if name in counts)


def test_no_count_under_five_is_written_for_publication(made: tuple[Path, str]) -> None:
    cells = list(observed_cells(made[0]))
    assert len(cells) > 50
    for table, column, cell in cells:
        assert not re.fullmatch(r"[1-4](\.0+)?", cell), (table, column, cell)
    instance = optimiser.load(str(made[0]))
    assert all(row.value >= PUBLISHABLE for row in instance.figures if row.figure.startswith("records-"))
    living = [row.children_at_start for row in instance.placements]
    assert all(children == 0 or children >= PUBLISHABLE for children in living)


def test_children_by_kind_are_those_of_the_daily_count_on_31_march(made: tuple[Path, str], returns: Returns) -> None:
    nights = daily_stock(returns)
    with (made[0] / "diagnostics" / "children-by-kind.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert {row["night"] for row in rows} == {f"{year}-03-31" for year in range(2022, 2026)}
    shown = 0
    for row in rows:
        count = int(nights.loc[row["night"], row["category"]])
        assert row["children"] in ("suppressed", f"{count}" if count >= PUBLISHABLE or not count else "fewer than 5")
        shown += row["children"] == f"{count}"
    assert shown > len(rows) / 2


@pytest.mark.usefixtures("without_charts")
def test_the_account_of_rows_is_written_only_where_asked_for_and_adds_up(
    synthetic: Synthetic, returns: Returns, tmp_path: Path
) -> None:
    path = tmp_path / "account.csv"
    done = run("demand", str(synthetic.folder), "--out", str(tmp_path / "out"), "--account", str(path))
    assert done.exit_code == 0, done.output
    text = path.read_text(encoding="utf-8")
    assert text.startswith("# What became of each row of Episodes. Not for publication")
    rows = list(csv.DictReader(text.splitlines()[1:]))
    assert len(rows) == returns.reconciliation.episodes_read == len({(row["file"], row["row"]) for row in rows})
    outcomes = [row["outcome"] for row in rows]
    assert {name: outcomes.count(name) for name in set(outcomes)} == returns.reconciliation.counts()
    assert not identifiers_in(text, synthetic)


def test_the_reconciliation_hides_small_counts_and_what_they_could_be_subtracted_from() -> None:
    outcomes = [
        ("used", "begins", 40),
        ("cut", "begins; overlaps", 9),
        ("cut", "begins; open", 3),
        ("cut", "continues", 20),
    ]
    outcomes += [("dropped", "no night", 2)]
    rows = pd.DataFrame(
        [{"outcome": outcome, "reason": reason} for outcome, reason, count in outcomes for _ in range(count)]
    )
    shown = {(row["outcome"], row["reason"]): row["episodes"] for row in Reconciliation(rows, 0, 0).published()}
    assert (
        shown["dropped", "all"] == "fewer than 5"
        and shown["cut", "all"] == "suppressed"
        and shown["used", "all"] == "40"
    )
    # the parts of a total that is not shown would add up to it
    assert ("cut", "continues") not in shown and ("dropped", "no night") not in shown
    shown = {
        (row["outcome"], row["reason"]): row["episodes"]
        for row in Reconciliation(rows[rows["outcome"] != "dropped"], 0, 0).published()
    }
    assert shown["cut", "all"] == "32" and shown["cut", "begins; open"] == "fewer than 5"
    assert shown["cut", "begins; overlaps"] == "suppressed" and shown["cut", "continues"] == "20"


def test_arrivals_are_shown_by_the_shortest_stretch_without_a_small_count() -> None:
    assert stretch_of(np.array([5, 0, 7] * 8)) == 1
    assert stretch_of(np.array([2, 2, 2] * 8)) == 3
    assert stretch_of(np.array([1, 1, 0] * 8)) == 12
    assert stretch_of(np.array([1, 1, 1] * 8)) == 6


def test_children_of_a_small_source_are_counted_with_the_largest(model: Demand) -> None:
    fit = max(model.cohorts, key=lambda one: one.today)
    whole = replace(fit, stock=np.array([30]))
    (source,) = fit.sources[:1]
    small, large = replace(source, source="small", today=3), replace(source, source="large", today=20)
    last = replace(source, source="last", today=7)
    split = replace(whole, sources=(small, large, last))
    assert today_by_source(model, split, ("small", "large", "last"), {}) == {"large": 20, "last": 10}
    assert today_by_source(model, split, ("small", "large", "last"), {"large": 12}) == {"large": 12, "last": 18}
    few = replace(fit, stock=np.array([3]))
    (modelled,) = today_by_source(model, few, ("last",), {}).values()
    assert modelled == pytest.approx(
        fit.arrivals.level.mean / (fit.leaving.distribution.mean + model.stepping(fit.name)), abs=0.1
    )


def test_breakdowns_are_written_with_the_interval_that_the_records_leave(model: Demand) -> None:
    fit = max(model.cohorts, key=lambda one: one.moving.times)
    written = Placement.model_validate(placement_cells(model, fit, "somewhere", 10)).breakdown_per_month
    assert written.kind == "gamma"
    within = Estimate.of(written)
    exact = stats.gamma(fit.moving.times + 0.5, scale=1 / fit.moving.months)
    assert fit.moving.spread == 1
    assert (within.mean, within.low, within.high) == pytest.approx(
        (exact.mean(), exact.ppf(0.05), exact.ppf(0.95)), rel=2e-3
    )


def test_moves_seen_too_seldom_can_not_be_told_from_what_is_written(model: Demand) -> None:
    first, *others = model.cohorts
    few = replace(first, moving=replace(first.moving, times=PUBLISHABLE - 1), sources=())
    written = placement_cells(replace(model, cohorts=(few, *others)), few, "somewhere", 10)["breakdown_per_month"]
    none = replace(few, moving=replace(few.moving, times=0))
    assert (
        placement_cells(replace(model, cohorts=(none, *others)), none, "somewhere", 10)["breakdown_per_month"]
        == written
    )
    nobody = [replace(one, moving=replace(one.moving, times=2)) for one in others]
    alone = placement_cells(replace(model, cohorts=(few, *nobody)), few, "somewhere", 10)["breakdown_per_month"]
    assert alone == "0.02"


# the back-test


def test_what_is_held_back_is_as_if_it_were_still_to_come(returns: Returns) -> None:
    earlier, months = held_back(returns)
    assert months == 12 and str(earlier.end_day) == "2024-04-01"
    table = earlier.placements
    assert (table["end"] <= pd.Timestamp(2024, 4, 1)).all()
    there = daily_stock(returns).loc["2024-03-31"].sum()
    assert (table["censored"] & (table["end"] == pd.Timestamp(2024, 4, 1))).sum() == there
    assert set(table.loc[table["end"] == pd.Timestamp(2024, 4, 1), "went_to"]) <= {"open", "left-care"} | set(
        returns.placements["went_to"]
    )


def test_pinball_loss_is_the_mean_of_what_each_quantile_misses() -> None:
    observed = np.array([10.0])
    exact = np.full((len(QUANTILES), 1), 10.0)
    assert pinball(observed, exact) == 0
    below = exact - 2
    assert pinball(observed, below) == pytest.approx(2 * np.mean(QUANTILES))
    above = exact + 2
    assert pinball(observed, above) == pytest.approx(2 * np.mean([1 - level for level in QUANTILES]))


def test_a_back_test_forecasts_every_cohort_and_needs_two_years(
    returns: Returns, model: Demand, tmp_path: Path
) -> None:
    tested = back_test(returns, usual_rules(False), model, Wanted())
    assert tested is not None and [test.name for test in tested.cohorts] == [fit.name for fit in model.cohorts]
    for test, fit in zip(tested.cohorts, model.cohorts, strict=True):
        assert test.observed.tolist() == fit.stock[-12:].tolist()
        assert (np.diff(test.quantiles, axis=0) >= 0).all()
        assert test.last_value[0] == fit.stock[-13]
    short = read_returns([council(tmp_path, years=1).folder])
    own = fit_demand(short, usual_rules(False), usual=True)
    assert back_test(short, usual_rules(False), own, Wanted()) is None


@pytest.mark.parametrize("mean", [0.4, 3.0, 40.0])
def test_a_forecast_that_is_right_covers_at_the_nominal_rate_however_few_the_children(mean: float) -> None:
    """Whole children: the closed band from one quantile to another holds more than its share, by far where they are few."""
    children = np.arange(200)
    share, up_to = stats.poisson(mean).pmf(children), stats.poisson(mean).cdf(children)
    below = np.append(0.0, up_to[:-1])
    quantiles = stats.poisson(mean).ppf(QUANTILES)[:, None]
    covered = np.zeros((2, 200))
    for place in np.flatnonzero(share > 1e-12):
        one = slice(place, place + 1)
        test = CohortTest(
            "all", children[one].astype(float), quantiles, below[one], up_to[one], np.zeros(1), np.zeros(1)
        )
        covered[:, place] = test.covered(0, 4), test.covered(1, 3)
    assert covered @ share == pytest.approx([0.9, 0.5])
    closed = share[(children >= quantiles[1, 0]) & (children <= quantiles[3, 0])].sum()
    assert closed > 0.52


def back_tested(folder: Path, seed: int) -> dict[str, float]:
    """Coverage and losses of the back-test of a council whose arrivals grow or fall at a rate of its own."""
    grows = np.random.default_rng([seed, 5]).normal(0, 0.05, len(USUAL_TRUTH.cohorts))
    cohorts = zip(USUAL_TRUTH.cohorts, grows, strict=True)
    truth = replace(USUAL_TRUTH, cohorts=tuple(replace(one, growth_per_year=float(rate)) for one, rate in cohorts))
    synthesise(folder, authority="anyshire", first_year=2021, years=5, seed=seed, truth=truth)
    records = read_returns([folder])
    shutil.rmtree(folder)
    own = fit_demand(records, usual_rules(False), usual=True)
    done = back_test(records, usual_rules(False), own, Wanted())
    assert done is not None
    score = totals(done.cohorts)
    for naive in ("last_value", "mean_rates"):
        score[f"lost_to_{naive}"] = score["loss"] - score[f"loss_{naive}"]
    return score


def summed_up(found: Sequence[dict[str, float]]) -> dict[str, tuple[float, float]]:
    """Mean of each score over councils, with its standard error."""
    every = {name: np.array([one[name] for one in found]) for name in found[0]}
    return {name: (float(one.mean()), float(one.std(ddof=1) / len(one) ** 0.5)) for name, one in every.items()}


def scores(folder: Path, councils: int) -> dict[str, tuple[float, float]]:
    """Coverage and losses of the back-tests of so many councils, with errors."""
    return summed_up([back_tested(folder / str(seed), seed) for seed in range(councils)])


def at_nominal_rates(score: dict[str, tuple[float, float]]) -> bool:
    """Coverage is nominal within 2.6 standard errors (99 in 100), and both naive forecasts are beaten by as much."""
    rates = {"covered_90": 0.9, "covered_50": 0.5}
    covered = all(abs(score[name][0] - rate) < 2.6 * score[name][1] for name, rate in rates.items())
    return covered and all(
        score[name][0] + 2.6 * score[name][1] < 0 for name in ("lost_to_last_value", "lost_to_mean_rates")
    )


@pytest.mark.long
def test_bands_cover_the_year_held_back_and_beat_both_naive_forecasts(tmp_path: Path) -> None:
    score = scores(tmp_path, 20)
    assert at_nominal_rates(score), score


@pytest.mark.hours
def test_bands_of_many_councils_cover_the_year_held_back_to_two_points(tmp_path: Path) -> None:
    """Months of one council hang together: the standard errors are between councils."""
    score = scores(tmp_path, 200)
    assert at_nominal_rates(score), score
    assert max(score[name][1] for name in ("covered_90", "covered_50")) < 0.02, score


def test_the_growth_of_each_estimate_has_its_interval(model: Demand) -> None:
    for fit in model.cohorts:
        level = Estimate.of(fit.arrivals.level)
        assert level.low < level.mean < level.high
        stay = fit.leaving.stay_estimate
        assert stay.low < stay.mean < stay.high
