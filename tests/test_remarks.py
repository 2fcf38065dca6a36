"""What deserves a second look in an instance without a fault."""

from __future__ import annotations

from pathlib import Path

import pytest

from optimiser.instance.reading import read_instance
from optimiser.instance.remarks import remarks
from tests.instance_folders import Folder


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    return Folder(tmp_path / "plan")


def said(folder: Folder) -> list[str]:
    return remarks(read_instance(folder.path))


def test_the_template_deserves_no_second_look(folder: Folder) -> None:
    assert said(folder) == []


def test_a_lot_in_which_no_child_may_live_is_remarked_on(folder: Folder) -> None:
    folder.remove("placements", 6)
    assert said(folder) == []  # the other cohort still may
    folder.remove("placements", 2)
    assert said(folder) == [
        "placements.csv has no row for block-offer (Block contract offered): no child can ever live there. "
        "Add one a cohort that may."
    ]


def test_a_building_run_by_a_provider_has_the_children_of_its_lot(folder: Folder) -> None:
    folder.remove("placements", 1)
    assert len(said(folder)) == 1
    folder.cell("homes", 1, "operator", "provider")
    folder.cell("homes", 1, "fixed_gbp_per_year", "0")
    folder.cell("lots", 1, "building", "two-bed-home")
    assert said(folder) == []


def test_a_market_that_ends_where_it_begins_is_remarked_on(folder: Folder) -> None:
    folder.remove("layers", 2)
    assert said(folder) == [
        "layers.csv: spot-market has 6 places at any price, and 5 children in them at the start; whoever needs one more has no "
        "registered place. Where more can be bought, add a dearer row with blank beds."
    ]
    folder.cell("layers", 1, "beds", "7")
    assert said(folder) == []


def test_an_envelope_whose_years_release_less_than_its_total_is_remarked_on(folder: Folder) -> None:
    folder.remove("capital", 3)
    assert said(folder) == [
        "capital.csv: the years of homes-programme release £1,000,000 of £2,000,000 in total; "
        "a year without a row releases nothing. Add its row, or leave only the total."
    ]
    folder.remove("capital", 2)
    assert said(folder) == []


def test_children_whom_arrivals_and_stays_do_not_keep_are_remarked_on(folder: Folder) -> None:
    folder.remove("steps", 1)
    folder.delete("steps.csv")
    folder.remove("evidence", 7)
    folder.cell("cohorts", 2, "arrivals_per_month", "0.2")
    assert said(folder) == []
    folder.cell("placements", 8, "children_at_start", "5")
    folder.cell("cohorts", 2, "arrivals_per_month", "0.1")
    # five in spot places, one under the contract; 0.1 a month times 18 months
    assert said(folder) == [
        "cohorts.csv: lower-needs begins with 6 children, and its arrivals and stays keep about 2 (arrivals_per_month times "
        "mean_stay_months). Right if you expect that."
    ]
