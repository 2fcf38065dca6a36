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


def write_chart(chart: altair.Chart, folder: Path, name: str) -> list[Path]:
    """Write ``name.svg`` and ``name.png`` (two pixels for one) to an existing folder; no browser is needed."""
    import vl_convert

    specification = chart.to_json()
    svg, png = folder / f"{name}.svg", folder / f"{name}.png"
    svg.write_text(vl_convert.vegalite_to_svg(specification), encoding="utf-8")
    png.write_bytes(vl_convert.vegalite_to_png(specification, scale=2))
    return [svg, png]


# demand fitted to records


def arrivals_chart(rows: list[dict[str, Any]], cohort: str, finding: str) -> altair.Chart:
    """Arrivals observed (points) and fitted (line), by the stretch of months in which counts may be shown.

    ``rows`` as ``demand.diagnostics`` has them; counts that are not shown have no point.
    """
    import altair

    own = [{**row, "observed": _number(row["observed"])} for row in rows if row["cohort"] == cohort]
    months = own[0]["months"] if own else 1
    base = altair.Chart(altair.Data(values=own)).encode(x=altair.X("from_month:T", title="from"))
    observed = base.transform_filter("isValid(datum.observed)").mark_point(color=PALETTE["neutral"], filled=True)
    fitted = base.transform_filter("isValid(datum.fitted)").mark_line(color=PALETTE["in_house"])
    layers = altair.layer(
        fitted.encode(y=altair.Y("fitted:Q", title="children arriving")), observed.encode(y=altair.Y("observed:Q"))
    )
    units = f"children arriving in {months} month{'s' if months > 1 else ''}; points observed, line fitted"
    return titled(layers, finding, units, f"{finding} Observed and fitted arrivals of {cohort}.")


def survival_chart(rows: list[dict[str, Any]], cohort: str, finding: str) -> altair.Chart:
    """Share still there by months: observed (steps) and fitted (line)."""
    import altair

    own = [row for row in rows if row["cohort"] == cohort]
    base = altair.Chart(altair.Data(values=own)).encode(x=altair.X("months:Q", title="months since the stay began"))
    scale = altair.Scale(domain=[0, 1])
    observed = base.mark_line(color=PALETTE["neutral"], interpolate="step-after", point=True)
    layers = altair.layer(
        observed.encode(y=altair.Y("observed:Q", title="share still there", scale=scale, axis=altair.Axis(format="%"))),
        base.mark_line(color=PALETTE["in_house"]).encode(y=altair.Y("fitted:Q", scale=scale)),
    )
    units = "share still there; steps observed (Kaplan and Meier, late entry), line fitted"
    return titled(layers, finding, units, f"{finding} Share of {cohort} still there by months.")


def stock_chart(rows: list[dict[str, Any]], tested: list[dict[str, Any]], cohort: str, finding: str) -> altair.Chart:
    """Children at the end of each month, with the band in which the last year was forecast by the years before it."""
    import altair

    own = [{**row, "children": _number(row["children"])} for row in rows if row["cohort"] == cohort]
    held = [row for row in tested if row["cohort"] == cohort]
    x = altair.X("month:T", title=None)
    y = altair.Y("children:Q", title="children")
    observed = altair.Chart(altair.Data(values=own)).transform_filter("isValid(datum.children)")
    layers: list[Any] = [observed.mark_line(color=PALETTE["neutral"]).encode(x=x, y=y)]
    if held:
        forecast = altair.Chart(altair.Data(values=held)).encode(x=x)
        band = forecast.mark_area(color=PALETTE["block"], opacity=0.6)
        layers.insert(0, band.encode(y=altair.Y("low:Q", title="children"), y2="high:Q"))
        layers.append(forecast.mark_line(color=PALETTE["in_house"], strokeDash=[6, 3]).encode(y="median:Q"))
    units = "children at the end of each month; band and dashes: the last year forecast by those before it, 90%"
    return titled(altair.layer(*layers), finding, units, f"{finding} Children of {cohort} by month.")


def _number(shown: str) -> float | None:
    """A count as it may be published as a number; none where it is not shown."""
    digits = shown.replace(",", "")
    return float(digits) if digits.isdigit() else None
