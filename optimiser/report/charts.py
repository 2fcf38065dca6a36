"""Charts: one palette, told apart in black and white too, a title that states the finding, a text alternative.

A chart is an ``altair.Chart`` made by a function of this module from tidy rows, so that page, workbook, paper and the commands
that write files all show the same one.
"""

from __future__ import annotations

import textwrap
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from optimiser.finance import financial_year, month_name, month_number
from optimiser.report.terminal import month, more_or_fewer, pounds, quarter

if TYPE_CHECKING:
    import altair

Row = dict[str, Any]

# after Okabe and Ito, whose colours people with any colour vision tell apart; made lighter and darker until every kind of source
# differs from every other in lightness as well, so that black and white tells them apart too
PALETTE = {
    "in_house": "#00508a",
    "block": "#a6d8f5",
    "existing": "#009e73",
    "spot": "#f0a800",
    "unregistered": "#b04500",
    "neutral": "#404040",
    "range": "#d9d9d9",
    "further": "#009e73",
    "other": "#d488b0",
}
WIDTH, LABELLED_WIDTH, HEIGHT = 640, 500, 280  # [pixels]; labelled: with names of rows beside it
#: Characters of a title, of the units beneath it, and of the name of a row, that go on a line.
TITLE_WIDTH, UNITS_WIDTH, LABEL_WIDTH = 90, 110, 46


def titled(
    chart: Any, finding: str, units: str, alternative: str, height: int = HEIGHT, width: int = WIDTH
) -> altair.Chart:
    """A chart with the title that states its finding, its units beneath, and its text alternative.

    Parameters
    ----------
    chart : altair chart, of any kind
    finding : what the chart shows, as a sentence with this run's figures
    units : what is counted and in what, as ``children, mean of 200 futures``
    alternative : what a reader who cannot see the chart needs
    height, width : of what is drawn, pixels
    """
    from altair import TitleParams

    return chart.properties(
        width=width,
        height=height,
        title=TitleParams(
            textwrap.wrap(finding, TITLE_WIDTH),
            subtitle=textwrap.wrap(units, UNITS_WIDTH),
            anchor="start",
            frame="bounds",
            fontSize=14,
            subtitleFontSize=12,
            offset=10,
        ),
        description=alternative,
    )


def svg_of(chart: altair.Chart, *, validate: bool = True) -> str:
    """The chart as SVG. ``validate``: hold it against the schema of all charts first, which takes as long as drawing some."""
    import vl_convert

    drawn: str = vl_convert.vegalite_to_svg(chart.to_json(validate=validate))
    return drawn


def png_of(chart: altair.Chart) -> bytes:
    """The chart as PNG, two pixels for one."""
    import vl_convert

    drawn: bytes = vl_convert.vegalite_to_png(chart.to_json(), scale=2)
    return drawn


def write_chart(chart: altair.Chart, folder: Path, name: str) -> list[Path]:
    """Write ``name.svg`` and ``name.png`` to an existing folder; no browser is needed."""
    svg, png = folder / f"{name}.svg", folder / f"{name}.png"
    svg.write_text(svg_of(chart), encoding="utf-8")
    png.write_bytes(png_of(chart))
    return [svg, png]


# a plan's document → charts

#: Kinds of source in the order in which they are stacked, from the bottom, in words.
SOURCES = {
    "in_house": "Own homes",
    "block": "Block contracts",
    "existing": "In place already",
    "spot": "Spot purchase",
    "unregistered": "No registered place",
}
#: Kinds whose beds are held, and not bought one at a time.
HELD = ("in_house", "block", "existing")
#: Groups of cost that a financial year is made of: key in ``years``, colour in ``PALETTE``, words.
COSTS = {
    "in_house_gbp": ("in_house", "Own homes"),
    "capital_less_residual_gbp": ("other", "Capital less residual"),
    "block_gbp": ("block", "Block contracts"),
    "existing_gbp": ("existing", "In place already"),
    "spot_gbp": ("spot", "Spot purchase"),
    "unregistered_gbp": ("unregistered", "No registered place"),
    "moves_and_closures_gbp": ("range", "Moves and closures"),
    "income_gbp": ("neutral", "Income"),
}
#: What is below this is drawn as nothing, and has no place in a legend.
LEAST_CHILDREN, LEAST_SHARE = 0.05, 0.002


def places_chart(document: Row) -> altair.Chart:
    """Where children live by quarter, stacked, against how many there may be (P10 to P90) and the beds held."""
    import altair

    quarters = document["quarters"]
    kinds = [kind for kind in SOURCES if _any_children([document], kind)]
    rows = [
        {"date": date, "source": SOURCES[kind], "order": place, "children": row[f"{kind}_expected"]}
        for date, row in _steps(quarters)
        for place, kind in enumerate(kinds)
    ]
    totals = [
        {
            "date": date,
            "low": row["all_p10"],
            "high": row["all_p90"],
            "held": sum(row[f"{kind}_usable_beds"] for kind in HELD),
        }
        for date, row in _steps(quarters)
    ]
    time = altair.X("date:T", title=None, axis=_months())
    area = (
        altair.Chart(altair.Data(values=rows))
        .mark_area(interpolate="step-after", stroke="white", strokeWidth=0.6)
        .encode(
            x=time,
            y=altair.Y("children:Q", title="Children", stack="zero"),
            color=_colours("source", [(SOURCES[kind], PALETTE[kind]) for kind in kinds]),
            order="order:Q",
        )
    )
    fan = altair.Chart(altair.Data(values=totals))
    band = fan.mark_area(interpolate="step-after", color=PALETTE["range"]).encode(x=time, y="low:Q", y2="high:Q")
    lines = [
        fan.mark_line(interpolate="step-after", strokeDash=[2, 3], color="black", strokeWidth=1.5).encode(
            x=time, y=altair.Y(f"{end}:Q")
        )
        for end in ("low", "high")
    ]
    # a light band beneath, so that dots show on dark areas
    lines = [
        *(
            fan.mark_line(interpolate="step-after", color="white", strokeWidth=4, opacity=0.6).encode(
                x=time, y=f"{end}:Q"
            )
            for end in ("low", "high")
        ),
        *lines,
    ]
    held = fan.mark_line(interpolate="step-after", color="black", strokeWidth=2).encode(x=time, y="held:Q")
    named = _line_names(totals, {"high": "children in all, P90", "low": "P10", "held": "usable beds held"})
    first, last = quarters[0], quarters[-1]

    def part(row: Row) -> float:
        return float(sum(row[f"{kind}_expected"] for kind in HELD) / max(row["all_expected"], 1e-9))

    finding = f"Beds held in advance house {part(first):.0%} of children at first, and {part(last):.0%} at the end"
    words = "; ".join(
        f"{row['all_expected']:.1f} in {quarter(row['quarter'])} (P10 {row['all_p10']:.1f}, P90 {row['all_p90']:.1f})"
        for row in (first, last)
    )
    return titled(
        altair.layer(band, area, *lines, held, *named),
        finding,
        f"Children by where they live, expected, by quarter; {_futures(document)}. Grey, between the dots: all children in eight "
        "futures of ten. Line: beds held that can be filled.",
        f"{finding}. Children in all, expected: {words}. The table of places by quarter holds the figures.",
    )


def spot_chart(document: Row) -> altair.Chart:
    """Children in spot placements by quarter: expected, and the range that holds in eight futures of ten."""
    import altair

    quarters = document["quarters"]
    rows = [
        {
            "quarter": quarter(row["quarter"]),
            "expected": row["spot_expected"],
            "low": row["spot_p10"],
            "high": row["spot_p90"],
            "without": row["unregistered_expected"],
        }
        for row in quarters
    ]
    base = altair.Chart(altair.Data(values=rows)).encode(
        x=altair.X("quarter:N", sort=[row["quarter"] for row in rows], title=None, axis=altair.Axis(labelAngle=-45))
    )
    bars = base.mark_bar(color=PALETTE["spot"]).encode(y=altair.Y("expected:Q", title="Children"))
    whiskers = base.mark_rule(color="black", strokeWidth=1.5).encode(y="low:Q", y2="high:Q")
    ends = [base.mark_tick(color="black", thickness=1.5, width=8).encode(y=f"{end}:Q") for end in ("low", "high")]
    peak = max(quarters, key=lambda row: float(row["spot_expected"]))
    last = quarters[-1]
    if peak["spot_expected"] < LEAST_CHILDREN:
        finding = "Nothing is bought on the spot market"
    elif peak is last:
        finding = (
            f"Spot purchase is heaviest at the end: {last['spot_expected']:.1f} children, after "
            f"{quarters[0]['spot_expected']:.1f} in {quarter(quarters[0]['quarter'])}"
        )
    else:
        finding = (
            f"Spot purchase is heaviest in {quarter(peak['quarter'])}, with {peak['spot_expected']:.1f} children, "
            f"and stands at {last['spot_expected']:.1f} at the end"
        )
    return titled(
        altair.layer(bars, whiskers, *ends),
        finding,
        f"Children in spot placements by quarter: bar expected, line P10 to P90; {_futures(document)}",
        f"{finding}. In {quarter(peak['quarter'])} between {peak['spot_p10']:.1f} and {peak['spot_p90']:.1f} in eight futures "
        f"of ten; in {quarter(last['quarter'])} between {last['spot_p10']:.1f} and {last['spot_p90']:.1f}.",
    )


def years_chart(document: Row) -> altair.Chart:
    """Expected cost by financial year, stacked by what it pays for; income below the line."""
    import altair

    years = document["years"]
    most = max(abs(row["nominal_gbp"]) for row in years)
    shown = [key for key in COSTS if any(abs(row[key]) > LEAST_SHARE * most for row in years)]
    rows = [
        {"year": row["year"], "part": COSTS[key][1], "order": place, "millions": row[key] / 1e6}
        for row in years
        for place, key in enumerate(shown)
    ]
    totals = [
        {
            "year": row["year"],
            "millions": row["nominal_gbp"] / 1e6,
            "top": sum(max(row[key], 0.0) for key in shown) / 1e6,
        }
        for row in years
    ]
    highest = 1.08 * max(row["top"] for row in totals)  # room for the totals
    bars = (
        altair.Chart(altair.Data(values=rows))
        .mark_bar(stroke="white", strokeWidth=0.6)
        .encode(
            x=altair.X("year:N", title="Financial year", axis=altair.Axis(labelAngle=0)),
            y=altair.Y("millions:Q", title="£m, nominal", stack="zero", scale=altair.Scale(domainMax=highest)),
            color=_colours("part", [(COSTS[key][1], PALETTE[COSTS[key][0]]) for key in shown]),
            order="order:Q",
        )
    )
    labels = (
        altair.Chart(altair.Data(values=totals))
        .mark_text(dy=-8, fontSize=11)
        .encode(x="year:N", y="top:Q", text=altair.Text("millions:Q", format=".2f"))
    )
    # a year of which the horizon holds a part cannot be set beside a whole one
    in_part = part_years(document)
    whole = [row for row in years if row["year"] not in in_part] or years
    first, last = whole[0], whole[-1]
    spot = [row["spot_gbp"] / max(row["nominal_gbp"], 1e-9) for row in (first, last)]
    finding = (
        f"Cost goes from £{first['nominal_gbp'] / 1e6:.2f}m in {first['year']} to £{last['nominal_gbp'] / 1e6:.2f}m in "
        f"{last['year']}; spot purchase from {spot[0]:.0%} of it to {spot[1]:.0%}"
    )
    if first is last:
        finding = f"Cost is £{first['nominal_gbp'] / 1e6:.2f}m in {first['year']}; spot purchase is {spot[0]:.0%} of it"
    totals_words = ", ".join(f"{row['year']} £{row['nominal_gbp'] / 1e6:.2f}m" for row in years)
    return titled(
        altair.layer(bars, labels),
        finding,
        f"Expected cost by financial year, £m nominal, totals above the bars; {_futures(document)}{part_years_words(document)}",
        f"{finding}. Totals: {totals_words}. The table of cost by financial year holds the parts.",
    )


def part_years(document: Row) -> dict[str, int]:
    """Months of the horizon in each financial year that it does not hold whole."""
    instance = document["instance"]
    if "first_month" not in instance:
        return {}
    first = month_number(instance["first_month"])
    months = Counter(financial_year(first + passed) for passed in range(instance["months"]))
    return {year: count for year, count in months.items() if count < 12}


def part_years_words(document: Row) -> str:
    """The same in words, to follow others; nothing where every year is whole."""
    months = part_years(document)
    words = ", ".join(f"{year} {count} month{'' if count == 1 else 's'}" for year, count in months.items())
    return f" (only in part: {words})" if words else ""


def timeline_chart(document: Row) -> altair.Chart:
    """When homes are acquired, registered and open, and contracts awarded, delivered and expired."""
    import altair

    start = _month(document["quarters"][0]["quarter"])
    end = _after(document["quarters"][-1]["quarter"])
    spans: list[Row] = []
    points: list[Row] = []
    names: list[str] = []
    for row in document["timeline"]:
        name = _timeline_name(row)
        while name in names:  # the same done twice is two rows
            name += " "
        names.append(name)
        spans += [{"item": name, **span} for span in _spans(row, start, end)]
        if row["first_child_p90"] is not None and row["kind"] != "building" and _month(row["first_child_p90"]) <= end:
            points.append({"item": name, "date": _month(row["first_child_p90"])})
    stages = [stage for stage in STAGES if any(span["stage"] == stage for span in spans)]
    lines = altair.Y("item:N", sort=names, title=None, axis=_names())
    bars = (
        altair.Chart(altair.Data(values=spans))
        .mark_bar(height=14, stroke="black", strokeWidth=0.4)
        .encode(
            x=altair.X(
                "from:T",
                title=None,
                axis=_months(),
                scale=altair.Scale(domain=[start, end]),
            ),
            x2="to:T",
            y=lines,
            color=_colours("stage", [(stage, STAGES[stage]) for stage in stages]),
        )
    )
    late = (
        altair.Chart(altair.Data(values=points))
        .mark_point(shape="diamond", filled=True, color="black", size=60)
        .encode(x="date:T", y=lines)
    )
    finding = _timeline_finding(document["timeline"])
    starred = "; * only on one branch of a review" if any(row["branch"] for row in document["timeline"]) else ""
    return titled(
        altair.layer(bars, late) if points else altair.layer(bars),
        finding,
        "Dates in half the futures; diamond: first child in by then in nine of ten" + starred,
        f"{finding}. " + " ".join(_timeline_words(row) for row in document["timeline"]),
        height=_height(names),
        width=LABELLED_WIDTH,
    )


#: What a home or contract goes through, with its colour.
STAGES = {
    "Acquisition": "#ffffff",
    "Registration": PALETTE["range"],
    "Award to first bed": PALETTE["other"],
    "Own home open": PALETTE["in_house"],
    "Building for a provider": PALETTE["spot"],
    "Block beds": PALETTE["block"],
    "In place already": PALETTE["existing"],
}


def options_chart(document: Row) -> altair.Chart:
    """What each option costs over the futures: P10 to P90, the middle half, median and mean."""
    import altair

    placed = [row for row in document["options"] if row["expected_cost_gbp"] is not None]
    ranked = sorted(placed, key=lambda row: float(row["expected_cost_gbp"]))
    rows = [
        {"option": _option_name(row), "mean": row["expected_cost_gbp"] / 1e6}
        | {level: row[f"{level}_gbp"] / 1e6 for level in ("p10", "p25", "p50", "p75", "p90")}
        for row in ranked
    ]
    base = altair.Chart(altair.Data(values=rows)).encode(
        y=altair.Y(
            "option:N",
            sort=[row["option"] for row in rows],
            title=None,
            axis=_names(),
        )
    )
    scale = altair.Scale(zero=False, nice=True)
    wide = base.mark_rule(color="black", strokeWidth=1.5).encode(
        x=altair.X("p10:Q", title="£m, present real", scale=scale, axis=altair.Axis(tickCount=8)), x2="p90:Q"
    )
    half = base.mark_bar(height=14, color=PALETTE["block"], stroke="black", strokeWidth=0.5).encode(
        x=altair.X("p25:Q", scale=scale), x2="p75:Q"
    )
    middle = base.mark_tick(color="black", thickness=2, height=14).encode(x=altair.X("p50:Q", scale=scale))
    mean = base.mark_point(shape="diamond", filled=True, color=PALETTE["unregistered"], size=70, opacity=1).encode(
        x=altair.X("mean:Q", scale=scale)
    )
    finding = _options_finding(ranked, document["rounding_gbp"])
    words = " ".join(
        f"{row['title']}: mean £{row['expected_cost_gbp'] / 1e6:.2f}m, P10 £{row['p10_gbp'] / 1e6:.2f}m, "
        f"P90 £{row['p90_gbp'] / 1e6:.2f}m."
        for row in ranked
    )
    return titled(
        altair.layer(wide, half, middle, mean),
        finding,
        f"Cost over {_futures(document)}, £m present real: line P10 to P90, box the middle half, bar median, diamond mean",
        f"{finding}. {words}",
        height=_height([row["option"] for row in rows]),
        width=LABELLED_WIDTH,
    )


def change_chart(before: Row, now: Row) -> altair.Chart:
    """Children in spot placements and without a registered place by quarter: a plan beside the one it is compared with."""
    import altair

    kinds = ["spot", *(["unregistered"] if _any_children((before, now), "unregistered") else [])]
    rows = [
        {"quarter": quarter(row["quarter"]), "plan": name, "children": row[f"{kind}_expected"], "where": SOURCES[kind]}
        for name, document in (("base", before), ("this plan", now))
        for kind in kinds
        for row in document["quarters"]
    ]
    order = [quarter(row["quarter"]) for row in now["quarters"]]
    lines = (
        altair.Chart(altair.Data(values=rows))
        .mark_line(interpolate="linear", strokeWidth=2.5)
        .encode(
            x=altair.X("quarter:N", sort=order, title=None, axis=altair.Axis(labelAngle=-45)),
            y=altair.Y("children:Q", title="Children"),
            color=altair.Color(
                "where:N",
                scale=altair.Scale(domain=[SOURCES[kind] for kind in kinds], range=[PALETTE[kind] for kind in kinds]),
                legend=altair.Legend(title=None, orient="top", symbolType="stroke", symbolStrokeWidth=3),
            ),
            strokeDash=altair.StrokeDash(
                "plan:N",
                title=None,
                scale=altair.Scale(domain=["this plan", "base"], range=[[1, 0], [3, 4]]),
                legend=altair.Legend(orient="top", symbolStrokeColor="black", symbolType="stroke"),
            ),
        )
    )
    sums = [sum(row["spot_expected"] for row in document["quarters"]) / len(order) for document in (before, now)]
    moved = {
        now_row["quarter"]: now_row["spot_expected"] - row["spot_expected"]
        for row, now_row in zip(before["quarters"], now["quarters"], strict=True)
    }
    furthest = max(moved, key=lambda name: abs(moved[name]))
    if abs(moved[furthest]) < LEAST_CHILDREN:
        finding = f"Spot purchase stays as it is, {sums[1]:.1f} children on average"
    elif abs(sums[1] - sums[0]) < LEAST_CHILDREN:
        more = f"{abs(moved[furthest]):.1f} {'more' if moved[furthest] > 0 else 'fewer'}"
        finding = f"As many children in spot placements on average, {sums[1]:.1f}, but {more} in {quarter(furthest)}"
    else:
        finding = (
            f"{abs(sums[1] - sums[0]):.1f} {'more' if sums[1] > sums[0] else 'fewer'} children in spot placements on average: "
            f"{sums[1]:.1f} instead of {sums[0]:.1f}"
        )
    last = [document["quarters"][-1] for document in (before, now)]
    return titled(
        lines,
        finding,
        f"Children by quarter, expected; dotted: the base; {_futures(now)}",
        f"{finding}. In {order[-1]} {last[1]['spot_expected']:.1f} children in spot placements (base "
        f"{last[0]['spot_expected']:.1f}) and {last[1]['unregistered_expected']:.2f} without a registered place (base "
        f"{last[0]['unregistered_expected']:.2f}).",
        height=220,
    )


def variants_chart(plans: list[tuple[str, Row]]) -> altair.Chart:
    """What plans cost, by name, the first being the one that the others are compared with: expected, and in bad futures."""
    import altair

    rows = [
        {
            "plan": _wrapped(name),
            "mean": document["expected_cost_gbp"] / 1e6,
            "p90": document["p90_gbp"] / 1e6,
            "worst": document["cvar_gbp"] / 1e6,
        }
        for name, document in plans
    ]
    base = altair.Chart(altair.Data(values=rows)).encode(
        y=altair.Y("plan:N", sort=[row["plan"] for row in rows], title=None, axis=_names())
    )
    scale = altair.Scale(domain=[0, 1.04 * max(max(row["mean"], row["p90"], row["worst"]) for row in rows)])
    bars = base.mark_bar(height=16, color=PALETTE["block"], stroke="black", strokeWidth=0.5).encode(
        x=altair.X("mean:Q", title="£m, present real", scale=scale)
    )
    words = base.mark_text(align="right", dx=-6, fontSize=11).encode(
        x=altair.X("mean:Q", scale=scale), text=altair.Text("mean:Q", format=".2f")
    )
    ticks = base.mark_tick(color="black", thickness=2, height=16).encode(x=altair.X("p90:Q", scale=scale))
    worst = base.mark_point(shape="diamond", filled=True, color=PALETTE["unregistered"], size=70, opacity=1).encode(
        x=altair.X("worst:Q", scale=scale)
    )
    cheapest = min(plans, key=lambda plan: float(plan[1]["expected_cost_gbp"]))
    fewest = min(plans, key=lambda plan: float(plan[1]["unregistered"]["expected_child_weeks"]))
    finding = f"{cheapest[0]} costs least, £{cheapest[1]['expected_cost_gbp'] / 1e6:.2f}m expected"
    if fewest[0] != cheapest[0]:
        finding += f"; {fewest[0]} leaves the fewest children without a registered place"
    each = " ".join(
        f"{name}: expected £{row['mean']:.2f}m, one future in ten above £{row['p90']:.2f}m, worst futures £{row['worst']:.2f}m."
        for (name, _), row in zip(plans, rows, strict=True)
    )
    return titled(
        altair.layer(bars, words, ticks, worst),
        finding,
        f"Cost, £m present real: bar expected, line one future in ten above, diamond mean of the worst; {_futures(plans[0][1])}",
        f"{finding}. {each}",
        height=_height([name for name, _ in plans]),
        width=LABELLED_WIDTH,
    )


# parts of charts


def _any_children(plans: Iterable[Row], kind: str) -> bool:
    """Whether children live in sources of a kind in some quarter of some plan."""
    return any(row[f"{kind}_expected"] >= LEAST_CHILDREN for plan in plans for row in plan["quarters"])


def _steps(quarters: list[Row]) -> list[tuple[str, Row]]:
    """Each quarter at its beginning, and the last one at its end too: a quarter is a mean, drawn as a step."""
    return [*((_month(row["quarter"]), row) for row in quarters), (_after(quarters[-1]["quarter"]), quarters[-1])]


def _month(name: str) -> str:
    return f"{name}-01"


def _after(quarter_name: str) -> str:
    """First day after a quarter."""
    return _month(month_name(month_number(quarter_name) + 3))


def _futures(document: Row) -> str:
    return f"{document['futures']} future{'' if document['futures'] == 1 else 's'}"


def _colours(field: str, pairs: list[tuple[str, str]]) -> Any:
    """Colour by name, with a legend beneath the title in the order of the stack."""
    import altair

    scale = altair.Scale(domain=[name for name, _ in pairs], range=[colour for _, colour in pairs])
    legend = altair.Legend(
        title=None, orient="top", symbolStrokeColor="black", symbolStrokeWidth=0.5, symbolType="square"
    )
    return altair.Color(f"{field}:N", scale=scale, legend=legend)


def _line_names(totals: list[Row], names: dict[str, str]) -> list[Any]:
    """What each line is called, beside its last point, and no closer to another name than can be read."""
    import altair

    last = totals[-1]
    apart = 0.05 * max(row[key] for row in totals for key in names)
    values: list[Row] = []
    for key in sorted(names, key=lambda key: float(last[key])):
        at = last[key] if not values else max(last[key], values[-1]["at"] + apart)
        values.append({"date": last["date"], "at": at, "words": names[key]})
    marks = altair.Chart(altair.Data(values=values)).mark_text(align="left", dx=5, fontSize=11)
    return [marks.encode(x="date:T", y="at:Q", text="words:N")]


def _timeline_name(row: Row) -> str:
    beds = "" if row["beds"] is None else f" ({row['beds']} bed{'' if row['beds'] == 1 else 's'})"
    return _wrapped(row["title"] + beds + (" *" if row["branch"] else ""))


def _spans(row: Row, start: str, end: str) -> list[Row]:
    """Stages of a home or contract within the horizon."""
    first, last = row["first_child_p50"], row["ends"]
    opened = end if first is None else _month(first)
    closed = end if last is None else _month(last)
    if row["kind"] in ("in_house", "building"):
        asked = opened if row["registration"] is None else _month(row["registration"])
        stages = [("Acquisition", _month(row["month"]), asked), ("Registration", asked, opened)]
        stages.append(("Own home open" if row["kind"] == "in_house" else "Building for a provider", opened, closed))
    elif row["kind"] == "block":
        stages = [("Award to first bed", _month(row["month"]), opened), ("Block beds", opened, closed)]
    else:
        stages = [("In place already", start if first is None else opened, closed)]
    cut = [(stage, max(since, start), min(until, end)) for stage, since, until in stages]
    return [{"stage": stage, "from": since, "to": until} for stage, since, until in cut if since < until]


def _timeline_finding(rows: list[Row]) -> str:
    first = [row for row in rows if row["kind"] in ("in_house", "block") and row["first_child_p50"] is not None]
    expiring = [row for row in rows if row["kind"] == "existing"]
    if not first:
        return (
            f"{len(expiring)} contracts in place expire; nothing new opens" if expiring else "Nothing opens or expires"
        )
    soonest = min(first, key=lambda row: str(row["first_child_p50"]))
    late = soonest["first_child_p90"]
    words = "after the horizon" if late is None else f"by {month(late)}"
    return (
        f"The first new bed is there by {month(soonest['first_child_p50'])} in half the futures, {words} in nine of ten"
    )


def _timeline_words(row: Row) -> str:
    if row["kind"] == "existing":
        return f"{row['title']} expires in {month(row['ends'])}."
    done = "awarded" if row["kind"] == "block" else "begun"
    branch = f" if {row['branch']}" if row["branch"] else ""
    asked = f", registration asked for in {month(row['registration'])}" if row["registration"] else ""
    ends = f", ends {month(row['ends'])}" if row["ends"] else ""
    return f"{row['title']}: {done} {month(row['month'])}{branch}{asked}, first child in {month(row['first_child_p50'])}{ends}."


def _options_finding(ranked: list[Row], step: float) -> str:
    """What costs least, and what the optimised plan has for it where that is another."""
    ours = next((row for row in ranked if row["option"] == "optimised"), ranked[0])
    # of two that cost the same the optimised plan is named
    best = ours if ours["expected_cost_gbp"] - ranked[0]["expected_cost_gbp"] < step / 2 else ranked[0]
    finding = f"{best['title']}: least cost on average, {pounds(best['expected_cost_gbp'], step)}"
    if ours is not best:
        more = pounds(ours["expected_cost_gbp"] - best["expected_cost_gbp"], step)
        weeks = best["unregistered_child_weeks"] - ours["unregistered_child_weeks"]
        words = f"{more_or_fewer(-weeks)} child-weeks without a registered place"
        return f"{finding}. The optimised plan: {more} more, with {words}"
    above = [float(row["expected_cost_gbp"] - best["expected_cost_gbp"]) for row in ranked]
    dearer = [amount for amount in above if amount >= step / 2]
    if dearer:
        finding += f"; the next dearer, {pounds(dearer[0], step)} more"
    return finding


def _months() -> Any:
    """An axis of months, each name beneath its tick."""
    import altair

    return altair.Axis(format="%b %y", labelOverlap=True, labelFlush=False)


def _names() -> Any:
    """An axis of names, each on as many lines as it needs."""
    import altair

    return altair.Axis(labelExpr="split(datum.label, '|')", labelLimit=330, labelFontSize=11)


def _height(names: list[str]) -> int:
    """Pixels for rows with such names."""
    return len(names) * (18 + 12 * max(name.count("|") + 1 for name in names))


def _wrapped(name: str) -> str:
    return "|".join(textwrap.wrap(name, LABEL_WIDTH))


def _option_name(row: Row) -> str:
    mark = " (the paper's)" if row["paper"] else ""
    return _wrapped(row["title"] + mark + (" †" if row["broken"] else ""))


# a model of demand → charts


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


# a split's document → charts


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


# capital envelopes and inputs → charts


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
    units = f"£m present and real, {document['futures']} futures; dashes beneath: no plan can cost less"
    years = list(dict.fromkeys(step["year"] for step in steps))
    if len(years) > 1:
        panels = [chart.transform_filter(altair.datum.year == year).properties(title=year) for year in years]
        shown = [panel.properties(width=WIDTH // 2, height=HEIGHT // 2) for panel in panels]
        finding, words = _by_year_finding(steps, years)
        title = altair.TitleParams(
            textwrap.wrap(finding, TITLE_WIDTH), subtitle=[units], anchor="start", fontSize=14, subtitleFontSize=12
        )
        return altair.concat(*shown, columns=2).properties(title=title, description=f"{finding}. {words}")
    first, best = steps[0], steps[-1]
    saved = f"£{first['cost'] - best['cost']:.2f}m"
    times = "in one step" if len(steps) == 2 else f"in {len(steps) - 1} steps"
    finding = f"£{best['envelope']:.2f}m of capital lowers cost with the deterrent by {saved}, {times}"
    if len(steps) == 1:
        finding = "One plan is best at every envelope"
    if document["grid"] is not None:
        finding = f"From £{first['envelope']:.2f}m to £{best['envelope']:.2f}m of capital, cost with the deterrent falls by {saved}"
    points = "; ".join(f"£{step['cost']:.2f}m from £{step['envelope']:.2f}m" for step in steps[:40])
    return titled(chart, finding, units, f"{finding}. Cost with the deterrent by capital envelope: {points}.")


def _by_year_finding(steps: list[Row], years: list[str]) -> tuple[str, str]:
    """Which financial year's release of capital is worth most, and the ends of every panel in words."""
    ends = {year: [step for step in steps if step["year"] == year] for year in years}
    saved = {year: rows[0]["cost"] - rows[-1]["cost"] for year, rows in ends.items()}
    most = max(years, key=lambda year: saved[year])
    words = " ".join(
        f"{year}: £{rows[0]['cost']:.2f}m at £{rows[0]['envelope']:.2f}m, £{rows[-1]['cost']:.2f}m at "
        f"£{rows[-1]['envelope']:.2f}m."
        for year, rows in ends.items()
    )
    return f"What {most} releases matters most: it lowers cost by up to £{saved[most]:.2f}m", words


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
    units = f"£m present and real, decisions held, {document['futures']} common futures"
    points = "; ".join(f"{span['figure']} £{span['from']:.2f}m to £{span['to']:.2f}m" for span in spans)
    return titled(chart, finding, units, f"{finding}. Cost of the plan over the range of each input: {points}.")
