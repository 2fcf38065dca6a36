"""Charts can be told apart without colour, and carry their finding and text alternative into the files."""

from __future__ import annotations

from itertools import combinations, pairwise
from pathlib import Path

import altair
import numpy as np
import pytest

from optimiser.report.charts import COSTS, PALETTE, SOURCES, titled, write_chart


def luminance(colour: str) -> float:
    """Relative luminance (WCAG 2.2)."""
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def test_sources_that_are_stacked_next_to_each_other_differ_in_lightness() -> None:
    order = [luminance(PALETTE[source]) for source in ("in_house", "block", "existing", "spot", "unregistered")]
    for one, other in pairwise(order):
        assert (max(one, other) + 0.05) / (min(one, other) + 0.05) > 1.3


def linear(colour: str) -> np.ndarray:
    """Red, green and blue as light, 0 to 1."""
    parts = np.array([int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)])
    return np.where(parts <= 0.04045, parts / 12.92, ((parts + 0.055) / 1.055) ** 2.4)


def lab(light: np.ndarray) -> np.ndarray:
    """CIE L*a*b* of light under D65: distances are as large as people see them."""
    to_xyz = np.array([[0.41246, 0.35758, 0.18044], [0.21267, 0.71515, 0.07217], [0.01933, 0.11919, 0.95030]])
    parts = to_xyz @ np.clip(light, 0.0, 1.0) / np.array([0.95047, 1.0, 1.08883])
    root = np.where(parts > (6 / 29) ** 3, np.cbrt(parts), parts / (3 * (6 / 29) ** 2) + 4 / 29)
    return np.array([116 * root[1] - 16, 500 * (root[0] - root[1]), 200 * (root[1] - root[2])])


#: What is seen without one kind of cone (Machado, Oliveira and Fernandes 2009, severity 1): red, green, blue.
SEEN_AS = {
    "all cones": np.eye(3),
    "no red": np.array(
        [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]]
    ),
    "no green": np.array(
        [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]]
    ),
    "no blue": np.array(
        [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]]
    ),
}


@pytest.mark.parametrize("vision", SEEN_AS)
def test_colours_are_told_apart_with_any_colour_vision(vision: str) -> None:
    """At least 15 in L*a*b*, where 2.3 is what can just be seen."""
    seen = {name: lab(SEEN_AS[vision] @ linear(colour)) for name, colour in PALETTE.items() if name != "further"}
    for one, other in combinations(seen, 2):
        assert np.linalg.norm(seen[one] - seen[other]) > 15, (one, other)


def test_kinds_of_source_are_told_apart_in_black_and_white() -> None:
    light = {kind: lab(linear(PALETTE[kind]))[0] for kind in SOURCES}
    for one, other in combinations(light, 2):
        assert abs(light[one] - light[other]) > 9.5, (one, other)
    parts = [lab(linear(PALETTE[colour]))[0] for colour, _ in COSTS.values()]
    assert all(abs(one - other) > 9.5 for one, other in pairwise(parts))


def test_the_simulation_of_colour_vision_finds_what_cannot_be_told_apart() -> None:
    """A red and a green of one lightness: else the tests above could not fail."""
    red, green = linear("#b85450"), linear("#7f7a35")
    apart = {vision: np.linalg.norm(lab(seen @ red) - lab(seen @ green)) for vision, seen in SEEN_AS.items()}
    assert apart["no green"] < 15 < apart["all cones"]


def test_a_chart_is_written_as_svg_and_png_with_its_finding_and_text_alternative(tmp_path: Path) -> None:
    rows = altair.Data(values=[{"year": "2025/26", "cost": 1.0}, {"year": "2026/27", "cost": 2.0}])
    bars = altair.Chart(rows).mark_bar(color=PALETTE["in_house"]).encode(x="year:N", y="cost:Q")
    svg, png = write_chart(titled(bars, "Cost doubles", "£m", "Cost is £1m, then £2m."), tmp_path, "cost")
    words = svg.read_text(encoding="utf-8")
    assert "Cost doubles" in words and "£m" in words
    assert png.read_bytes().startswith(b"\x89PNG")
