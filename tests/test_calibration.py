"""Matching occupancy calibrated from the simulation: closed forms, the same again, and what is written."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from models.decisions import Decisions
from optimiser.analysis.simulation import calibration, simulate
from optimiser.analysis.simulation.calibration import Calibrated, Calibration, calibrate
from optimiser.cli import app
from optimiser.errors import InstanceError
from optimiser.instance.reading import read_instance
from optimiser.instance.register import evidence_for
from optimiser.instance.rewriting import rewrite_figures
from optimiser.instance.schema import Instance
from optimiser.instance.template import write_template
from optimiser.report.files import write_calibrated
from tests.test_assemble import LOT, TIER, tiny
from tests.test_simulation import COHORT, OPEN, ample, awarded, begun, problem_of

FUTURES = 24


def calibrated(instance: Instance, decisions: Decisions | None = None) -> Calibration:
    """Calibrated on one home begun at the first date, or on the decisions given."""
    problem = problem_of(instance)
    chosen = begun(problem) if decisions is None else decisions
    found = simulate(instance, problem, {"option": chosen}, futures=FUTURES, search=0, paired=0)
    return calibrate(found, count=FUTURES)


def near(row: Calibrated, truth: float) -> bool:
    """Whether a figure lies within three standard errors, or half a per cent for months in which nobody calls."""
    assert row.figure is not None and row.standard_error is not None
    return abs(row.figure - truth) <= max(3 * row.standard_error, 0.005)


@pytest.mark.parametrize(("in_demand", "stated"), [(0.5, 0.8), (1.0, 0.8), (0.8, 1.0)])
def test_in_constant_demand_a_two_bed_home_is_half_full_where_no_two_match_and_full_where_all_do(
    in_demand: float, stated: float
) -> None:
    instance = ample(OPEN | {"matching_occupancy": stated, "matching_in_demand": in_demand})
    (row,) = calibrated(instance).sources
    assert near(row, in_demand)
    assert (row.before, row.in_demand) == (stated, in_demand)
    assert row.standard_error is not None and row.standard_error < 0.03


def test_a_contract_in_constant_demand_comes_out_as_full_as_its_beds_are_matched() -> None:
    instance = tiny(
        {"periods": "40x1"},
        cohorts=[COHORT | {"mean_stay_months": 6, "arrivals_per_month": 8}],
        lots=[LOT | {"matching_in_demand": 0.85, "lead_months": 0, "term_months": 60}],
        tiers=[TIER],
        placements=[{"cohort": "children", "source": source} for source in ("block", "market")],
    )
    (row,) = calibrated(instance, awarded(problem_of(instance), 9)).sources
    assert near(row, 0.85)


def wanting(**home: Any) -> Instance:
    """A home for which somebody often waits, not always."""
    return tiny(
        {"periods": "60x1"},
        cohorts=[COHORT | {"arrivals_per_month": 0.3}],
        homes=[OPEN | {"matching_occupancy": 0.8} | home],
        placements=[{"cohort": "children", "source": source} for source in ("two-bed", "market")],
    )


def test_a_calibrated_figure_comes_out_again_from_the_instance_that_has_it() -> None:
    first = calibrated(wanting())
    (row,) = first.sources
    assert row.figure is not None and row.standard_error is not None
    again = calibrated(wanting(matching_occupancy=row.figure, matching_in_demand=row.in_demand))
    (second,) = again.sources
    assert second.figure == pytest.approx(row.figure, abs=row.standard_error)
    # with it the optimiser fills as many bed-weeks as the simulation, and before it did not
    assert abs(row.optimiser_weeks / row.filled_weeks - 1) > 0.05
    assert second.optimiser_weeks == pytest.approx(second.filled_weeks, rel=0.01)
    assert again.gap_before["option"] == pytest.approx(first.gap_after["option"], rel=0.05)
    assert second.in_demand == row.in_demand == 0.8


def test_a_home_whose_figure_the_simulation_cannot_tell_keeps_it_and_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    instance = wanting()
    quiet = instance.model_copy(
        update={"cohorts": tuple(row.model_copy(update={"arrivals_per_month": None}) for row in instance.cohorts)}
    )
    (row,) = calibrated(quiet).sources
    assert row.figure is None
    assert row.why_not == "no child lives there in any option simulated"
    monkeypatch.setattr(calibration, "TOO_WIDE", 1e-9)
    (row,) = calibrated(wanting()).sources
    assert row.figure is None and row.standard_error is None
    assert row.why_not == "too little demand for matching to matter"


# what is written


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """An instance, and its calibrated copy as the command writes it."""
    folder = tmp_path_factory.mktemp("calibrated")
    source, out = folder / "mine", folder / "calibrated"
    write_template(source)
    asked = ["--calibrate-occupancy", "--scenarios", "4", "--futures", "10", "--out", str(out), "--json"]
    result = CliRunner().invoke(app, ["simulate", str(source), *asked], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return source, out


def test_the_command_writes_a_copy_with_its_evidence_and_leaves_the_instance_as_it_was(
    folders: tuple[Path, Path], tmp_path: Path
) -> None:
    source, out = folders
    write_template(tmp_path / "mine")
    for file in source.iterdir():
        assert file.read_bytes() == (tmp_path / "mine" / file.name).read_bytes()
    was, now = read_instance(source), read_instance(out)
    document = json.loads((out / "simulation.json").read_text())
    rows = {row["source"]: row for row in document["calibration"]["sources"]}
    changed = 0
    for table in ("homes", "lots"):
        for old, new in zip(getattr(was, table), getattr(now, table), strict=True):
            name = new.home if table == "homes" else new.lot
            figure = rows[name]["figure"]
            key = f"{table}.{name}.matching_occupancy"
            if figure is None:
                assert new == old
                continue
            changed += 1
            assert new.matching_occupancy == pytest.approx(figure)
            assert new.matching_in_demand == old.matching_occupancy
            evidence = evidence_for(now, key)
            assert evidence.evidence == "calibrated"
            command = "optimiser simulate mine --calibrate-occupancy --futures 10 --seed 1 --scenarios 4"
            assert evidence.document == command
            assert evidence.place == "10 futures simulated, 10 of them compared, seed 1"
            # what was assumed before is still assumed, of what it still says
            assert evidence_for(now, f"{table}.{name}.matching_in_demand").evidence == evidence_for(was, key).evidence
    assert changed
    assert CliRunner().invoke(app, ["check", str(out)]).exit_code == 0


def test_the_instance_read_is_never_written_over(folders: tuple[Path, Path]) -> None:
    source, out = folders
    for target in (source, source / "inside", out):
        read = out if target == out else source
        asked = ["simulate", str(read), "--calibrate-occupancy", "--out", str(target)]
        with pytest.raises(InstanceError, match="is the instance that is read"):
            CliRunner().invoke(app, asked, catch_exceptions=False)


def test_a_second_calibration_replaces_the_figure_and_keeps_what_was_first_assumed(
    folders: tuple[Path, Path], tmp_path: Path
) -> None:
    _, out = folders
    document = json.loads((out / "simulation.json").read_text())
    for row in document["calibration"]["sources"]:
        if row["figure"] is not None:
            row["figure"] = 0.7
    write_calibrated(document, tmp_path / "again", out, "a command")
    first, again = read_instance(out), read_instance(tmp_path / "again")
    told = [row.matching_occupancy for row in (*again.homes, *again.lots)]
    assert 0.7 in told
    assert [row.matching_in_demand for row in again.homes] == [row.matching_in_demand for row in first.homes]
    assert len(again.evidence) == len(first.evidence)


def test_all_else_in_a_rewritten_table_stays_as_it_was_written(tmp_path: Path) -> None:
    written = '# a comment, as it was\r\nhome,title,beds\r\n one ,"A ""first"" home, here",2\r\n\r\ntwo,Second,3\r\n'
    (tmp_path / "homes.csv").write_bytes(b"\xef\xbb\xbf" + written.encode())
    (tmp_path / "evidence.csv").write_text("figures,evidence\nhomes.*,assumption")
    rewrite_figures(
        tmp_path, {("homes", "one"): {"beds": "4", "matching": "0.5"}}, {"homes.one.beds": {"evidence": "calibrated"}}
    )
    text = (tmp_path / "homes.csv").read_bytes().decode()
    assert text.startswith("# a comment, as it was\r\nhome,title,beds,matching\r\n")
    rows = list(csv.reader(text.splitlines()[1:]))
    assert rows == [
        ["home", "title", "beds", "matching"],
        [" one ", 'A "first" home, here', "4", "0.5"],
        [],
        ["two", "Second", "3", ""],
    ]
    assert (
        tmp_path / "evidence.csv"
    ).read_text() == "figures,evidence\nhomes.*,assumption\nhomes.one.beds,calibrated\n"
