"""Charts: one palette, told apart in black and white too, a title that states the finding, a text alternative.

A chart is an ``altair.Chart`` made by a function of this module from tidy rows, so that page, workbook, paper and the commands
that write files all show the same one.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import altair

# Okabe and Ito's colours (block a lighter sky blue), which people with any colour vision tell apart; sources that stand next to
# each other differ in lightness, so that black and white tells them apart too
PALETTE = {
    "in_house": "#0072b2",
    "block": "#a6d8f5",
    "spot": "#e69f00",
    "unregistered": "#d55e00",
    "neutral": "#595959",
    "range": "#cccccc",
    "further": "#009e73",
    "other": "#cc79a7",
}
WIDTH, HEIGHT = 640, 320  # [pixels]


def titled(chart: Any, finding: str, units: str, alternative: str) -> altair.Chart:
    """A chart with the title that states its finding, its units beneath, and its text alternative.

    Parameters
    ----------
    chart : altair chart, of any kind
    finding : what the chart shows, as a sentence with this run's figures
    units : what is counted and in what, as ``children, mean of 200 futures``
    alternative : what a reader who cannot see the chart needs
    """
    from altair import TitleParams

    return chart.properties(
        width=WIDTH,
        height=HEIGHT,
        title=TitleParams(finding, subtitle=units, anchor="start", fontSize=14, subtitleFontSize=12),
        description=alternative,
    )


def savings_by_rule(document: dict[str, Any]) -> altair.Chart:
    """What each council saves against going alone, under every rule of a split document."""
    import altair as alt

    from optimiser.report.partners import RULES

    rows = [
        {"rule": words, "council": document["titles"][name], "saving": row["better_off_gbp"] / 1e6}
        for rule, words in RULES.items()
        if rule in document["bills"]
        for name, row in document["bills"][rule]["partners"].items()
        if rule not in ("equal",)
    ]
    losing = sorted({row["rule"] for row in rows if row["saving"] < -0.0005})
    shown = len({row["rule"] for row in rows})
    finding = (
        f"{len(losing)} of {shown} rules leave some council worse off than alone"
        if losing
        else f"No council is worse off than alone under any of {shown} rules"
    )
    words = "; ".join(f"{row['rule']}, {row['council']}: £{row['saving']:.2f}m" for row in rows)
    chart = (
        alt.Chart(alt.Data(values=rows))
        .mark_bar(stroke=PALETTE["neutral"])
        .encode(
            y=alt.Y("rule:N", sort=list(RULES.values()), title=None, axis=alt.Axis(labelLimit=260)),
            yOffset=alt.YOffset("council:N"),
            x=alt.X("saving:Q", title="Saving against going alone, £m"),
            color=alt.Color(
                "council:N",
                title=None,
                legend=alt.Legend(orient="bottom", labelLimit=300),
                scale=alt.Scale(range=[PALETTE[name] for name in ("in_house", "spot", "block", "further", "other")]),
            ),
        )
    )
    units = "£m, expected, present real, children without a registered place counted; equal shares left out"
    return titled(chart, finding, units, f"{finding}. {words}.")


def write_chart(chart: altair.Chart, folder: Path, name: str) -> list[Path]:
    """Write ``name.svg`` and ``name.png`` (two pixels for one) to an existing folder; no browser is needed."""
    import vl_convert

    specification = chart.to_json()
    svg, png = folder / f"{name}.svg", folder / f"{name}.png"
    svg.write_text(vl_convert.vegalite_to_svg(specification), encoding="utf-8")
    png.write_bytes(vl_convert.vegalite_to_png(specification, scale=2))
    return [svg, png]
