"""A trace → terminal: a figure, the terms that make it up, and where their inputs come from."""

from __future__ import annotations

from typing import Any

from rich.console import Console
from rich.text import Text

from optimiser.finance import month_name, whole_pounds
from optimiser.report.terminal import counted, month, table_of

Row = dict[str, Any]


def amount(value: float, unit: str) -> str:
    """A figure to the penny, a date, or to four places where it is neither."""
    if unit == "month":
        return month(month_name(round(value))) if value > 12_000 else f"{value:.0f} months"
    if unit == "financial year":
        return f"{value:.0f}/{(round(value) + 1) % 100:02d}"
    if unit == "£":
        return whole_pounds(value, 2)
    return ("−" if value < 0 else "") + f"{abs(value):,.4f}".rstrip("0").rstrip(".")


def show_trace(document: Row, console: Console) -> None:
    """Print each figure with its terms, then the register's rows for all of them, each once."""
    sources: dict[str, Row] = {}
    for row in document["figures"]:
        _show_figure(row, console)
        sources |= {source["figure"]: source for source in row["sources"]}
    if sources:
        console.print()
        console.print(Text("Where the inputs come from", style="bold"))
        rows = [[source["figure"], _value(source["value"]), _origin(source)] for source in sources.values()]
        table = table_of(["Figure", "Value", "Evidence"], rows, left=3)
        table.columns[0].no_wrap, table.columns[1].max_width = True, 24
        for column in table.columns[1:]:
            column.no_wrap = False
        console.print(table, highlight=False)


def _show_figure(row: Row, console: Console) -> None:
    unit = row["unit"]
    what = "" if unit in ("£", "", "month", "financial year") else f" {unit}"
    console.print(Text(f"{row['figure']}: {amount(row['value'], unit)}{what}", style="bold"), highlight=False)
    how = row["how"][0].upper() + row["how"][1:]
    if not row["terms"]:
        console.print(f"{how.removesuffix(': the sum of')}: nothing goes into it.", highlight=False)
        return
    console.print(f"{how.removesuffix(': the sum of')}.", highlight=False)
    if not row["sum_of_terms"]:
        return
    ratio = any(term["role"] == "under" for term in row["terms"])
    terms = [
        [
            f"{'over: ' if term['role'] == 'under' else ''}{term['words']}",
            amount(term["amount"], term["unit"] if ratio else unit),
        ]
        for term in row["terms"]
    ]
    terms.append(["Together", amount(row["combined"], unit)])
    console.print(table_of(["Term", "Amount"], terms), highlight=False)
    if not row["agrees"]:
        console.print(
            f"The run says {amount(row['value'], unit)}: it was made by another version, or has been changed.",
            style="yellow",
            highlight=False,
        )


def _value(value: Any) -> str:
    if isinstance(value, float) and abs(value) >= 1000:
        return f"{value:,.0f}" if value == round(value) else f"{value:,.2f}"
    return f"{value:g}" if isinstance(value, (int, float)) else str(value)


def _origin(source: Row) -> str:
    """The class of evidence with its document and place, its range, or what it is derived from."""
    kind = source["evidence"]
    if kind == "published":
        return f"published: {source['document']}, {source['place']}"
    if kind == "computed":
        return "computed, not published"
    if kind == "assumption" and source["low"] == source["high"]:
        return f"assumption: {source['note']}"
    if kind == "assumption":
        return f"assumption, {source['low']} to {source['high']}"
    span = f", {source['low']} to {source['high']}" if source["low"] and source["high"] else ""
    return f"{kind} from {source['derived_from']}{span}"


def show_traceable(document: Row, console: Console) -> None:
    """Print the tables of a run, their rows and columns, and an example that works."""
    console.print(Text(f"{document['figures']:,} figures of {document['run']} can be traced", style="bold"))
    rows = []
    for table in document["tables"]:
        rows.append([table["table"], _few(table["rows"]), ", ".join(table["columns"])])
    shown = table_of(["Table", "Rows", "Columns"], rows, left=3)
    for column in shown.columns[1:]:
        column.no_wrap = False
    console.print(shown, highlight=False)
    years = next((table for table in document["tables"] if table["table"] == "years"), document["tables"][-1])
    example = "in_house" if "in_house_gbp" in years["columns"] else years["columns"][0]
    name = ".".join(part for part in (years["table"], *years["rows"][:1], example) if part)
    console.print(
        f"Such as: optimiser trace {document['run']} {name}. Endings such as _gbp may be left out.", highlight=False
    )


def _few(rows: list[str]) -> str:
    if len(rows) <= 3:
        return "; ".join(rows)
    return f"{rows[0]} … {rows[-1]} ({counted(len(rows), 'row')})"
