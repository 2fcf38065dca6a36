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


def frontier_chart(document: dict[str, Any]) -> altair.Chart:
    """Cost by capital envelope with its bound, plans where they change, and the instance's own envelope.

    Of a frontier by year, one panel a financial year.
    """
    import altair

    rows = document["points"]
    own, million = document["own_limit_gbp"] if document["by"] == "total" else None, 1e6
    last = max([row["capital_limit_gbp"] for row in rows] + ([] if own is None else [own])) / million
    steps = [
        {
            "envelope": row["capital_limit_gbp"] / million,
            "until": last if row["best_until_gbp"] is None else min(row["best_until_gbp"] / million, last),
            "cost": row["objective_gbp"] / million,
            "bound": row["bound_gbp"] / million if row["bound_gbp"] is not None else None,
            "homes": row["homes"],
            "year": row["year"] or "",
        }
        for row in rows
    ]
    low = min(step["bound"] if step["bound"] is not None else step["cost"] for step in steps)
    high = max(step["cost"] for step in steps)
    scale = altair.Scale(
        domain=[low - 0.05 * (high - low or 1.0), high + 0.08 * (high - low or 1.0)], zero=False, nice=False
    )
    base = altair.Chart(altair.Data(values=steps))
    along = altair.X("envelope:Q", title="Capital envelope, £m")
    up = altair.Y("cost:Q", title="Cost with the deterrent, £m", scale=scale)
    layers = [
        base.mark_rule(color=PALETTE["spot"], strokeDash=[3, 2], strokeWidth=2).encode(
            x=along, x2="until:Q", y=altair.Y("bound:Q", scale=scale, title="Cost with the deterrent, £m")
        ),
        base.mark_rule(color=PALETTE["in_house"], strokeWidth=3).encode(x=along, x2="until:Q", y=up),
        base.mark_point(color=PALETTE["in_house"], filled=True, size=60, opacity=1).encode(x=along, y=up),
    ]
    if document["grid"] is None:
        layers.append(
            base.mark_text(align="left", dx=6, dy=-9, color=PALETTE["neutral"]).encode(x=along, y=up, text="words:N")
        )
        for step in steps:
            step["words"] = "1 home" if step["homes"] == 1 else f"{step['homes']} homes"
    if own is not None:
        mark = altair.Chart(
            altair.Data(values=[{"envelope": own / million, "words": f"the instance's £{own / million:g}m"}])
        )
        layers.append(mark.mark_rule(color=PALETTE["neutral"], strokeDash=[6, 4]).encode(x=along))
        layers.append(
            mark.mark_text(align="right", dx=-6, y=10, color=PALETTE["neutral"]).encode(x=along, text="words:N")
        )
    chart = altair.layer(*layers)
    years = list(dict.fromkeys(step["year"] for step in steps))
    if len(years) > 1:
        panels = [chart.transform_filter(altair.datum.year == year).properties(title=year) for year in years]
        return altair.hconcat(*[panel.properties(width=WIDTH // 2, height=HEIGHT) for panel in panels])
    first, best = steps[0], steps[-1]
    saved = f"£{first['cost'] - best['cost']:.2f}m"
    finding = f"£{best['envelope']:.2f}m of capital lowers cost by {saved}, in {len(steps)} plans"
    if document["grid"] is not None:
        finding = f"From £{first['envelope']:.2f}m to £{best['envelope']:.2f}m of capital, cost falls by {saved}"
    units = f"£m present and real, {document['futures']} futures; dashes beneath: no plan can cost less"
    points = "; ".join(f"£{step['cost']:.2f}m from £{step['envelope']:.2f}m" for step in steps[:40])
    return titled(chart, finding, units, f"Cost with the deterrent by capital envelope: {points}.")


def tornado_chart(document: dict[str, Any], most: int = 12) -> altair.Chart:
    """How far the plan's cost moves as each assumed input goes over its range, the widest first."""
    import altair

    million = 1e6
    rows = document["tornado"][:most]
    bars = [
        {"figure": row["figure"], "end": words, "cost": row[f"cost_at_{name}_gbp"] / million, "value": row[name]}
        for row in rows
        for name, words in (("low", "at its low end"), ("high", "at its high end"))
    ]
    spans = [
        {
            "figure": row["figure"],
            "from": min(row["cost_at_low_gbp"], row["cost_at_high_gbp"]) / million,
            "to": max(row["cost_at_low_gbp"], row["cost_at_high_gbp"]) / million,
        }
        for row in rows
    ]
    order = [row["figure"] for row in rows]
    along = altair.Y("figure:N", sort=order, title=None, axis=altair.Axis(labelLimit=320))
    cost = altair.Scale(zero=False)
    ends = altair.Scale(domain=["at its low end", "at its high end"], range=[PALETTE["in_house"], PALETTE["spot"]])
    shape = altair.Scale(domain=["at its low end", "at its high end"], range=["circle", "square"])
    chart = altair.layer(
        altair.Chart(altair.Data(values=spans))
        .mark_bar(color=PALETTE["range"], height=8)
        .encode(y=along, x=altair.X("from:Q", scale=cost, title="Cost of the plan, £m"), x2="to:Q"),
        altair.Chart(altair.Data(values=bars))
        .mark_point(filled=True, size=70, opacity=1)
        .encode(
            y=along,
            x=altair.X("cost:Q", scale=cost),
            color=altair.Color("end:N", scale=ends, title="Input"),
            shape=altair.Shape("end:N", scale=shape, title="Input"),
        ),
    )
    widest = rows[0]
    finding = f"{widest['figure']} moves the plan's cost most: by £{widest['width_gbp'] / million:.2f}m over its range"
    units = f"£m present and real, decisions held, {document['futures_measured']} common futures"
    points = "; ".join(f"{span['figure']} £{span['from']:.2f}m to £{span['to']:.2f}m" for span in spans)
    return titled(chart, finding, units, f"Cost of the plan over the range of each input: {points}.")


def write_chart(chart: altair.Chart, folder: Path, name: str) -> list[Path]:
    """Write ``name.svg`` and ``name.png`` (two pixels for one) to an existing folder; no browser is needed."""
    import vl_convert

    specification = chart.to_json()
    svg, png = folder / f"{name}.svg", folder / f"{name}.png"
    svg.write_text(vl_convert.vegalite_to_svg(specification), encoding="utf-8")
    png.write_bytes(vl_convert.vegalite_to_png(specification, scale=2))
    return [svg, png]
