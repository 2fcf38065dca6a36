"""Arrivals from published tables: Kent's reception centre has what its table gives, and faulty tables are refused."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

import optimiser
from optimiser.demand.cohorts import CountedRule, read_rules
from optimiser.demand.counted import fit_counted, is_counted, read_counted
from optimiser.demand.fitting import Wanted
from optimiser.demand.rows import arrivals_cells
from optimiser.errors import InstanceError
from optimiser.finance import month_number
from optimiser.instance.distributions import Distribution
from optimiser.instance.finding import find_instance
from tests.demand_records import run

KENT = find_instance("kent-sufficiency-2019")
TABLE = KENT / "records" / "uasc-referrals.csv"
RULES = KENT / "records" / "rules.toml"


def test_the_reception_centre_of_kent_has_the_arrivals_that_its_published_table_gives() -> None:
    instance = optimiser.load("kent-sufficiency-2019")
    wanted = Wanted(start=month_number(instance.settings.first_month))
    (fit,) = fit_counted(read_counted(TABLE), read_rules(RULES).arrivals, wanted)
    (cohort,) = (row for row in instance.cohorts if row.cohort == "reception")
    cells = arrivals_cells(fit.fit)
    assert str(cohort.arrivals_per_month) == cells["arrivals_per_month"]
    assert str(cohort.growth_per_year) == cells["growth_per_year"]
    assert f"{cohort.arrivals_dispersion:.3g}" == cells["arrivals_dispersion"]
    assert " ".join(f"{factor:g}" for factor in cohort.season) == cells["season"]
    figures = {row.figure: row.value for row in instance.figures}
    assert figures["records-reception-counted"] == fit.used


def test_the_table_of_kent_has_the_months_of_its_figures() -> None:
    table = read_counted(TABLE)
    figures = {row.figure: row.value for row in optimiser.load("kent-sufficiency-2019").figures}
    printed = [figures[name] for name in sorted(figures) if name.startswith("referrals-")]
    assert list(table.counts) == printed
    assert sum(table.counts[:12]) == 948 and sum(table.counts[36:48]) == 161


def test_the_surge_of_2015_is_seen_as_another_level_and_can_be_asked_for() -> None:
    table = read_counted(TABLE)
    start = month_number("2019-04")
    rule = CountedRule(cohort="reception", until="2019-03")
    (usual,) = fit_counted(table, [rule], Wanted(start=start))
    (surge,) = fit_counted(table, [rule], Wanted(start=start, level_of=(2015 * 12, 2016 * 12)))
    assert usual.fit.changed and usual.fit.first > month_number("2015-12")
    assert surge.fit.level.mean == pytest.approx(948.5 / 12, rel=0.05)
    assert surge.fit.growth.mean == 0 and surge.fit.level.mean > 4 * usual.fit.level.mean


def test_a_share_widens_the_level_and_leaves_the_spread(tmp_path: Path) -> None:
    table = read_counted(TABLE)
    wanted = Wanted(start=month_number("2019-04"))
    whole = CountedRule(cohort="reception")
    half = CountedRule(cohort="reception", share=Distribution("uniform", (0.4, 0.6)))
    (one,), (other,) = (fit_counted(table, [rule], wanted) for rule in (whole, half))
    assert other.fit.level.mean == pytest.approx(one.fit.level.mean / 2)
    assert other.fit.size == one.fit.size
    relative = [fit.fit.level.values[1] / fit.fit.level.mean for fit in (one, other)]
    assert relative[1] ** 2 == pytest.approx(relative[0] ** 2 + (0.2 / 12**0.5 / 0.5) ** 2)


def test_a_copy_of_kent_takes_the_table_on_the_command_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("optimiser.report.charts.write_chart", lambda *_: [])
    copy = tmp_path / "kent"
    shutil.copytree(KENT, copy)
    rows = (copy / "cohorts.csv").read_text(encoding="utf-8").splitlines()
    before = optimiser.load(str(copy))
    done = run("demand", str(TABLE), "--rules", str(RULES), "--out", str(copy))
    assert done.exit_code == 0, done.output
    assert (copy / "cohorts.csv").read_text(encoding="utf-8").splitlines() == rows
    assert optimiser.load(str(copy)) == before
    assert (copy / "diagnostics" / "arrivals.csv").is_file()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("month,arrivals\n2018-01,3\n", "document: is not said"),
        ("# document: A\n# place: B\nmonth,arrivals\n2018-13,3\n", "row 4, month: 2018-13 is not a month"),
        ("# document: A\n# place: B\nmonth,arrivals\n2018-01,x\n", "row 4, arrivals: x is not a count"),
        ("# document: A\n# place: B\nmonth,arrivals\n2018-01,3\n2018-01,3\n", "row 5, month: 2018-01 is there twice"),
        ("# document: A\n# place: B\nmonth,arrivals\n2018-01,3\n2018-03,3\n", "2018-02 is missing between others"),
        ("# document: A\n# place: B\nmonth,arrivals\n", "has no counts"),
    ],
)
def test_a_faulty_table_of_counts_is_refused_by_row(text: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "counts.csv"
    path.write_text(text, encoding="utf-8")
    assert is_counted(path)
    with pytest.raises(InstanceError) as told:
        read_counted(path)
    assert message in str(told.value)
