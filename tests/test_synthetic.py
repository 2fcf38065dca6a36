"""Synthetic returns: what is said to be true of them is, and untidiness changes nothing of it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from optimiser.demand.ssda903 import read_returns
from optimiser.demand.synthetic import (
    NIGHTS_PER_MONTH,
    TIDY,
    USUAL_TRUTH,
    Synthetic,
    TrueCohort,
    Truth,
    Untidiness,
    synthesise,
)
from optimiser.errors import InstanceError

PLAIN = Truth(
    (
        TrueCohort(
            "homes",
            8.0,
            {"K2/PR4": 0.7, "K2/PR1": 0.3},
            {"K2/PR4": 0.08, "K2/PR1": 0.12},
            {"K2/PR4": 0.05, "K2/PR1": 0.02},
            {"foster": 0.04},
            ages=(3, 5),
            growth_per_year=0.05,
        ),
        TrueCohort(
            "foster",
            6.0,
            {"U4/PR1": 1.0},
            {"U4/PR1": 0.06},
            {"U4/PR1": 0.03},
            ages=(2, 4),
            dispersion=2.0,
            season=(0.5,) * 6 + (1.5,) * 6,
        ),
    ),
    left_for={"E4A": 1.0},
    legal_changes_per_month=0.0,
    temporary_stays_per_month=0.0,
    returning_share=0.0,
)


def made(folder: Path, **changed: Any) -> Synthetic:
    settings: dict[str, Any] = {"authority": "anyshire", "first_year": 2022, "years": 3, "seed": 3} | changed
    return synthesise(folder, **settings)


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Synthetic:
    folder = tmp_path_factory.mktemp("plain")
    return made(folder, first_year=2013, years=12, truth=PLAIN, untidiness=TIDY)


@pytest.mark.parametrize("cohort", PLAIN.cohorts, ids=lambda cohort: str(cohort.name))
@pytest.mark.parametrize("provider", ["private", "own-council"])
def test_children_leave_move_and_step_across_at_the_true_rates(
    cohort: TrueCohort, provider: str, plain: Synthetic
) -> None:
    table = read_returns([plain.folder]).placements
    place = "K2" if cohort.name == "homes" else "U4"
    table = table[(table["place"] == place) & (table["provider"] == provider)]
    source = f"{place}/{'PR4' if provider == 'private' else 'PR1'}"
    if source not in cohort.mix:
        assert table.empty
        return
    first = pd.Timestamp(2012, 4, 1)
    nights = (table["end"] - table["start"].clip(lower=first)).dt.days.sum()
    same, other = ("childrens-home", "fostering") if place == "K2" else ("fostering", "childrens-home")
    true = {
        "left-care": cohort.leaving_per_month[source],
        same: cohort.breakdown_per_month[source],
        other: cohort.steps_per_month.get("foster", 0.0),
    }
    for way_out, rate in true.items():
        events = (table["went_to"] == way_out).sum()
        expected = rate * nights / NIGHTS_PER_MONTH
        assert abs(events - expected) <= 4 * np.sqrt(expected), way_out


def test_children_arrive_at_the_true_rates_by_month(plain: Synthetic) -> None:
    rates = PLAIN.arrival_rates(2013, 12)
    assert rates.index.equals(plain.arrivals.index) and len(rates) == 144
    homes, foster = plain.arrivals["homes"], plain.arrivals["foster"]
    assert abs(homes.sum() - rates["homes"].sum()) <= 4 * np.sqrt(rates["homes"].sum())
    spread = ((homes - rates["homes"]) ** 2 / rates["homes"]).mean()
    assert 0.6 < spread < 1.5  # Poisson: one
    mean = rates["foster"]
    assert ((foster - mean) ** 2 / mean).mean() > 1.8  # negative binomial of size 2: one plus mean / 2
    winter = foster.index.month.isin([10, 11, 12, 1, 2, 3])
    assert foster[winter].mean() > 2 * foster[~winter].mean()
    assert rates["homes"].iloc[12] == pytest.approx(8.0 * 1.05)


def test_records_show_every_arrival_of_their_years(plain: Synthetic) -> None:
    table = read_returns([plain.folder]).placements
    arrived = table[(table["came_from"] == "entered-care") & ~table["truncated"]]
    by_month = arrived.groupby(arrived["start"].dt.to_period("M")).size()
    assert by_month.reindex(plain.arrivals.index, fill_value=0).equals(plain.arrivals.sum(axis=1).astype("int64"))


def test_first_placements_have_the_true_mix(plain: Synthetic) -> None:
    first = plain.placements[
        (plain.placements["cohort"] == "homes") & (plain.placements["came_from"] == "entered-care")
    ]
    private = (first["provider"] == "private").mean()
    assert abs(private - 0.7) <= 4 * np.sqrt(0.7 * 0.3 / len(first))


def test_untidiness_changes_nothing_of_what_happened(tmp_path: Path) -> None:
    most = Untidiness(0.1, 0.3, 0.2, 0.1, 0.1, 0.1, 0.1)
    one, other = made(tmp_path / "tidy", untidiness=TIDY), made(tmp_path / "untidy", untidiness=most)
    known = [name for name in one.placements.columns if name not in ("age_at_start", "sex", "uasc")]
    assert one.placements[known].equals(other.placements[known])
    tidy, untidy = read_returns([one.folder]), read_returns([other.folder])
    shown = [name for name in known if name in tidy.placements.columns and name != "child"]
    order = ["start", "end", "place", "provider", "legal_status", "need", "came_from", "went_to"]
    frames = [each.placements[shown].sort_values(order, ignore_index=True) for each in (tidy, untidy)]
    assert frames[0].equals(frames[1])
    assert tidy.reconciliation.counts()["cut"] == 0 < untidy.reconciliation.counts()["cut"]
    assert untidy.reconciliation.episodes_read > tidy.reconciliation.episodes_read


def test_the_same_seed_writes_the_same_files_and_another_seed_others(tmp_path: Path) -> None:
    once, again, other = made(tmp_path / "a"), made(tmp_path / "b"), made(tmp_path / "c", seed=4)
    assert [path.read_bytes() for path in once.files] == [path.read_bytes() for path in again.files]
    assert [path.read_bytes() for path in once.files] != [path.read_bytes() for path in other.files]


def test_files_are_as_untidy_as_those_of_councils(tmp_path: Path) -> None:
    records = made(tmp_path, first_year=2020, years=5)
    written = [path.read_bytes() for path in records.files if "episodes" in path.name.lower()]
    assert {content.startswith(b"\xef\xbb\xbf") for content in written} == {True, False}
    texts = [content.decode("utf-8-sig") for content in written]
    assert {text.splitlines()[0].replace('"', "")[:5] for text in texts} == {"CHILD", "child"}
    assert any(text.startswith('"') for text in texts) and any("\r\n\r\n" in text for text in texts)
    assert {"-" in text.splitlines()[1] for text in texts} == {True, False}
    assert len({path.name for path in records.files}) > 10


def test_a_folder_with_records_is_not_added_to(tmp_path: Path) -> None:
    made(tmp_path)
    with pytest.raises(InstanceError, match="holds CSV or XML files already"):
        made(tmp_path, form="xml")


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"mix": {"K2/PR4": 0.7}}, "do not add up to 1"),
        ({"mix": {"K2/PR2": 1.0}}, "no rate of leaving"),
        ({"steps_per_month": {"nowhere": 0.1}}, "steps go to no cohort"),
        ({"season": (1.0,)}, "twelve months"),
        (
            {"mix": {"A3/PR1": 1.0}, "leaving_per_month": {"A3/PR1": 0.1}, "breakdown_per_month": {"A3/PR1": 0.1}},
            "not a PLACE with a bed",
        ),
    ],
)
def test_a_truth_that_contradicts_itself_is_refused(changed: dict[str, Any], message: str, tmp_path: Path) -> None:
    cohort = replace(USUAL_TRUTH.cohorts[0], **changed)
    with pytest.raises(ValueError, match=message):
        made(tmp_path, truth=replace(USUAL_TRUTH, cohorts=(cohort, *USUAL_TRUTH.cohorts[1:])))
    assert not list(tmp_path.iterdir())


def test_nobody_stays_in_care_beyond_the_age_of_leaving(tmp_path: Path) -> None:
    records = made(tmp_path, truth=replace(USUAL_TRUTH, leaves_at=17))
    assert records.placements["age_at_start"].max() <= 16
    years = (records.placements["end"] - records.placements["start"]).dt.days / 365.25
    assert (records.placements["age_at_start"] + years).max() < 18
