"""Charts can be told apart without colour, and carry their finding and text alternative into the files."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import altair

from optimiser.report.charts import PALETTE, titled, write_chart


def luminance(colour: str) -> float:
    """Relative luminance (WCAG 2.2)."""
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def test_sources_that_are_stacked_next_to_each_other_differ_in_lightness() -> None:
    order = [luminance(PALETTE[source]) for source in ("in_house", "block", "existing", "spot", "unregistered")]
    for one, other in pairwise(order):
        assert (max(one, other) + 0.05) / (min(one, other) + 0.05) > 1.3


def test_a_chart_is_written_as_svg_and_png_with_its_finding_and_text_alternative(tmp_path: Path) -> None:
    rows = altair.Data(values=[{"year": "2025/26", "cost": 1.0}, {"year": "2026/27", "cost": 2.0}])
    bars = altair.Chart(rows).mark_bar(color=PALETTE["in_house"]).encode(x="year:N", y="cost:Q")
    svg, png = write_chart(titled(bars, "Cost doubles", "£m", "Cost is £1m, then £2m."), tmp_path, "cost")
    words = svg.read_text(encoding="utf-8")
    assert "Cost doubles" in words and "£m" in words
    assert png.read_bytes().startswith(b"\x89PNG")
