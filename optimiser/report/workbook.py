"""Parts of a report → an Excel workbook for finance: every figure in full, totals as live formulas, native charts.

A formula is written with the value that it has, so that viewers that do not calculate show it, and one that does finds the same.
"""

from __future__ import annotations

import io
import textwrap
from datetime import UTC, datetime
from typing import Any

from optimiser.report.charts import COSTS, PALETTE, SOURCES
from optimiser.report.layout import WORDS, Column, Documents, Part, Row, Table
from optimiser.report.partners import RULES
from optimiser.report.parts import parts_of

#: Number formats by kind of column; what is not here is written as it stands.
FORMATS = {
    "pounds": "£#,##0;[Red]-£#,##0;£0",
    "exact_pounds": "£#,##0;[Red]-£#,##0;£0",
    "share": "0%",
    "number": "#,##0.0",
    "count": "#,##0",
    "figure": "#,##0.####",
    "value": "#,##0.####",
}
#: Widest a column of words, and characters of a figure.
WIDEST, FIGURE_WIDTH = 60, 13
#: Height of a line [points], and characters of a line of words and of a caption on the summary.
LINE, SUMMARY_WIDTH, CAPTION_WIDTH = 15, 125, 72
#: Rows above a table: its caption, and a blank one. Columns that stay in sight.
HEAD, FROZEN = 2, 1
STYLE = "Table Style Medium 2"


def workbook(documents: Documents) -> bytes:
    """The whole workbook; the same documents give the same bytes.

    Raises
    ------
    InstanceError
        As ``parts_of`` says.
    """
    import xlsxwriter

    parts = parts_of(documents)
    plan = documents["plan"]
    file = io.BytesIO()
    book = xlsxwriter.Workbook(file, {"in_memory": True})
    # the month of the question, not the clock, so that the same run gives the same file
    year, month = plan["instance"]["as_at"].split("-")
    about = {"title": plan["instance"]["title"], "subject": plan["instance"]["question"]}
    book.set_properties({**about, "created": datetime(int(year), int(month), 1, tzinfo=UTC).replace(tzinfo=None)})
    sheets = _Sheets(book, {name: _title_of(chart) for part in parts for name, chart in part.charts})
    summary = book.add_worksheet("Summary")
    for part in parts:
        for table in part.tables:
            sheets.add(table)
    sheets.draw()
    sheets.draw_frontier(documents.get("frontier"))
    sheets.draw_partners()
    _write_summary(summary, sheets, plan, parts)
    book.close()
    return file.getvalue()


class _Sheets:
    """The sheets of a workbook, one a table, and where on each a column stands."""

    def __init__(self, book: Any, findings: dict[str, str]) -> None:
        """``findings`` are what the charts of the report show, by name: the native charts say the same."""
        self.book, self.findings = book, findings
        self.tables: dict[str, Table] = {}
        self.sheets: dict[str, Any] = {}
        self.formats = {
            kind: book.add_format({"num_format": words, "valign": "top"}) for kind, words in FORMATS.items()
        }
        wrapped = {"text_wrap": True, "valign": "top"}
        self.formats |= {kind: book.add_format(wrapped) for kind in WORDS}
        self.bold = book.add_format({"bold": True, "font_size": 12})
        self.head = book.add_format(
            {"bold": True, "text_wrap": True, "valign": "top", "bg_color": "#d9e8f3", "border": 1}
        )

    def add(self, table: Table) -> None:
        """Write a table to a sheet of its own."""
        sheet = self.book.add_worksheet(table.name)
        self.tables[table.name], self.sheets[table.name] = table, sheet
        sheet.write_string(0, 0, table.caption, self.bold)
        totals = table.totals()
        last = HEAD + len(table.rows) + bool(totals)
        options: Row = {
            "name": "".join(word.capitalize() for word in table.name.replace("-", " ").split()),
            "style": STYLE,
            "total_row": bool(totals),
            "columns": [self._column(table, column, place) for place, column in enumerate(table.columns)],
        }
        sheet.add_table(HEAD, 0, last, len(table.columns) - 1, options)
        for place, row in enumerate(table.rows, start=HEAD + 1):
            for number, column in enumerate(table.columns):
                self._write(sheet, place, number, column, row, table)
            # not every program makes room for words of several lines by itself
            words = [(str(row[column.key] or ""), column) for column in table.columns if column.kind == "text"]
            lines = max((_lines(text, self._width(table, column)) for text, column in words), default=1)
            if lines > 1:
                sheet.set_row(place, LINE * lines)
        for number, column in enumerate(table.columns):
            sheet.set_column(number, number, self._width(table, column))
        lines = max(_lines(column.head, self._width(table, column) - 2) for column in table.columns)
        sheet.set_row(HEAD, LINE * lines + 4)
        sheet.freeze_panes(HEAD + 1, FROZEN)
        sheet.set_landscape()
        sheet.set_paper(9)
        sheet.fit_to_pages(1, 0)
        sheet.repeat_rows(HEAD)

    def _column(self, table: Table, column: Column, place: int) -> Row:
        options: Row = {"header": column.head, "header_format": self.head, "format": self.formats[column.kind]}
        totals = table.totals()
        if column.total:
            # by cells and not by name: not every program reads a column's name in its own table
            letter = self.column_of(table, column.key)
            cells = f"{letter}{HEAD + 2}:{letter}{HEAD + 1 + len(table.rows)}"
            options |= {"total_function": f"=SUBTOTAL(109,{cells})", "total_value": totals[column.key]}
        elif totals and place == 0:
            options["total_string"] = "All"
        return options

    def _write(self, sheet: Any, place: int, number: int, column: Column, row: Row, table: Table) -> None:
        value, form = row[column.key], self.formats[column.kind]
        if column.adds:
            cells = [self.column_of(table, key) for key in column.adds]
            sheet.write_formula(place, number, "=" + "+".join(f"{cell}{place + 1}" for cell in cells), form, value)
        elif value is None or value == "":
            sheet.write_blank(place, number, None, form)
        elif isinstance(value, str):
            sheet.write_string(place, number, value, form)
        else:
            sheet.write_number(place, number, value, form)

    @staticmethod
    def column_of(table: Table, key: str) -> str:
        """Letter of a column."""
        from xlsxwriter.utility import xl_col_to_name

        place = next(place for place, column in enumerate(table.columns) if column.key == key)
        letter: str = xl_col_to_name(place)
        return letter

    @staticmethod
    def _width(table: Table, column: Column) -> float:
        if column.kind in ("figure", "value"):
            return FIGURE_WIDTH + 4  # with decimals
        if column.kind not in WORDS:
            return FIGURE_WIDTH
        longest = max((len(str(row[column.key])) for row in table.rows), default=0)
        return min(max(longest, len(column.head) if column.kind == "date" else FIGURE_WIDTH) + 2, WIDEST)

    def range_of(self, name: str, key: str, rows: int | None = None) -> str:
        """Cells of a column of a table, or its first ``rows``, as a formula names them."""
        table = self.tables[name]
        letter = self.column_of(table, key)
        last = len(table.rows) if rows is None else rows
        return f"'{name}'!${letter}${HEAD + 2}:${letter}${HEAD + 1 + last}"

    def series(self, name: str, key: str, words: str, colour: str, labels: str, rows: int | None = None) -> Row:
        """A series of a native chart, of all rows of a table or its first."""
        return {
            "name": words,
            "categories": "=" + self.range_of(name, labels, rows),
            "values": "=" + self.range_of(name, key, rows),
            "fill": {"color": colour},
            "border": {"color": "#ffffff", "width": 0.5},
        }

    def draw(self) -> None:
        """Native charts beside the tables that they show."""
        places = self.book.add_chart({"type": "area", "subtype": "stacked"})
        for kind, words in SOURCES.items():
            if any(column.key == f"{kind}_expected" for column in self.tables["Places"].columns):
                places.add_series(self.series("Places", f"{kind}_expected", words, PALETTE[kind], "quarter"))
        self._place(places, "Places", self.findings["places"], "Children, expected")
        spot = self.book.add_chart({"type": "column"})
        if any(column.key == "spot_expected" for column in self.tables["Places"].columns):
            spot.add_series(self.series("Places", "spot_expected", "Spot purchase", PALETTE["spot"], "quarter"))
            self._place(spot, "Places", self.findings["spot"], "Children in spot placements, expected", below=1)
        years = self.book.add_chart({"type": "column", "subtype": "stacked"})
        for key, (colour, words) in COSTS.items():
            if any(column.key == key for column in self.tables["Years"].columns):
                years.add_series(self.series("Years", key, words, PALETTE[colour], "year"))
        self._place(years, "Years", self.findings["years"], "£, expected, nominal")
        if "Options" in self.tables:
            options = self.book.add_chart({"type": "bar"})
            options.add_series(
                self.series("Options", "expected_cost_gbp", "Expected cost", PALETTE["in_house"], "title")
            )
            options.set_y_axis({"reverse": True})
            self._place(options, "Options", self.findings["options"], "£, expected, present real", axis="x", least=0.0)

    def draw_frontier(self, document: Row | None) -> None:
        """Cost by capital envelope as steps, its bound, and the instance's own envelope, from cells beside the table."""
        if document is None or document["by"] != "total":
            return
        table, sheet = self.tables["Frontier"], self.sheets["Frontier"]
        side = len(table.columns) + 1
        heads = ("Envelope", "Cost with the deterrent", "No plan can cost less than", "The instance's envelope", "Cost")
        sheet.write_string(HEAD - 1, side, "What the chart draws: each plan from its envelope to the next")
        sheet.write_row(HEAD, side, heads, self.head)
        sheet.set_column(side, side + len(heads) - 1, FIGURE_WIDTH)
        pounds, rows = self.formats["exact_pounds"], table.rows
        last = max(rows[-1]["capital_limit_gbp"], document["own_limit_gbp"] or 0.0)
        letters = {key: self.column_of(table, key) for key in ("capital_limit_gbp", "objective_gbp", "bound_gbp")}
        place = HEAD
        for number, row in enumerate(rows):
            own = HEAD + 2 + number
            ends = [(f"={letters['capital_limit_gbp']}{own}", row["capital_limit_gbp"])]
            if number + 1 < len(rows):
                ends.append((f"={letters['capital_limit_gbp']}{own + 1}", rows[number + 1]["capital_limit_gbp"]))
            else:
                ends.append((f"={last!r}", last))
            for formula, value in ends:
                place += 1
                sheet.write_formula(place, side, formula, pounds, value)
                for column, key in enumerate(("objective_gbp", "bound_gbp"), start=side + 1):
                    if row[key] is not None:
                        sheet.write_formula(place, column, f"={letters[key]}{own}", pounds, row[key])
        chart = self.book.add_chart({"type": "scatter", "subtype": "straight"})
        steps = ["Frontier", HEAD + 1, side, place, side]
        for column, words, colour, dash in (
            (side + 1, "Cost with the deterrent", "in_house", "solid"),
            (side + 2, "No plan can cost less", "spot", "dash"),
        ):
            chart.add_series(
                {
                    "name": words,
                    "categories": steps,
                    "values": ["Frontier", HEAD + 1, column, place, column],
                    "line": {"color": PALETTE[colour], "width": 2, "dash_type": dash},
                }
            )
        chart.add_series(
            {
                "name": "A plan begins",
                "categories": "=" + self.range_of("Frontier", "capital_limit_gbp"),
                "values": "=" + self.range_of("Frontier", "objective_gbp"),
                "line": {"none": True},
                "marker": {"type": "circle", "size": 7, "fill": {"color": PALETTE["in_house"]}},
            }
        )
        costs = [row[key] for row in rows for key in ("objective_gbp", "bound_gbp") if row[key] is not None]
        if document["own_limit_gbp"] is not None:
            for number, cost in enumerate((min(costs), max(costs)), start=HEAD + 1):
                sheet.write_number(number, side + 3, document["own_limit_gbp"], pounds)
                sheet.write_number(number, side + 4, cost, pounds)
            chart.add_series(
                {
                    "name": "The instance's envelope",
                    "categories": ["Frontier", HEAD + 1, side + 3, HEAD + 2, side + 3],
                    "values": ["Frontier", HEAD + 1, side + 4, HEAD + 2, side + 4],
                    "line": {"color": PALETTE["neutral"], "width": 1.5, "dash_type": "long_dash"},
                }
            )
        chart.set_x_axis({"name": "Capital envelope, £", "num_format": "#,##0", "min": 0})
        self._place(
            chart, "Frontier", self.findings["frontier"], "£ with the deterrent, present real", least=min(costs)
        )

    def draw_partners(self) -> None:
        """What each council saves against going alone, by rule; equal shares, which stand last, would hide the others."""
        table = self.tables.get("Partners savings")
        if table is None:
            return
        chart = self.book.add_chart({"type": "bar"})
        shown = [column for column in table.columns[1:] if not column.adds and column.key != "equal"]
        rows = sum(row["what"] != RULES["equal"] for row in table.rows)
        colours = ("in_house", "spot", "block", "further", "other", "range", "neutral", "unregistered")
        for place, column in enumerate(shown):
            colour = PALETTE[colours[place % len(colours)]]
            chart.add_series(self.series(table.name, column.key, column.head, colour, "what", rows))
        chart.set_y_axis({"reverse": True, "label_position": "low"})
        unit = "£ saved against going alone, by rule but equal shares"
        self._place(chart, table.name, self.findings["partners"], unit, axis="x")

    def _place(
        self, chart: Any, name: str, title: str, unit: str, below: int = 0, axis: str = "y", least: float | None = None
    ) -> None:
        table = self.tables[name]
        chart.set_title({"name": title, "name_font": {"size": 11}})
        lowest = None if least is None else 10.0**6 * (least // 10**6)
        getattr(chart, f"set_{axis}_axis")({"name": unit, "num_format": "#,##0", "min": lowest})
        chart.set_legend({"position": "bottom"} if len(chart.series) > 1 else {"none": True})
        chart.set_size({"width": 860, "height": 380})
        row = HEAD + len(table.rows) + 4 + 20 * below
        words = {"description": f"{title}. The table above holds the figures.", "object_position": 3}
        self.sheets[name].insert_chart(row, 1, chart, words)


def _title_of(chart: Any) -> str:
    """What a chart shows, on one line."""
    return " ".join(chart.title.text)


def _lines(words: str, width: float) -> int:
    """Lines that words take in a cell so many characters wide."""
    return len(textwrap.wrap(words, max(int(width), 1))) or 1


def _write_summary(sheet: Any, sheets: _Sheets, plan: Row, parts: list[Part]) -> None:
    """The question, the headline figures with live links to their sheets, the decision in words, and what is on which sheet."""
    pounds = sheets.formats["pounds"]
    wrapped = sheets.formats["text"]
    as_link = sheets.book.add_format({"font_color": "#004b76", "underline": 1, "valign": "top"})
    instance = plan["instance"]
    sheet.set_column(0, 0, 58)
    sheet.set_column(1, 1, 20)
    sheet.write_string(0, 0, instance["title"], sheets.bold)
    sheet.merge_range(1, 0, 1, 4, instance["question"], wrapped)
    sheet.set_row(1, 30)
    sheet.merge_range(2, 0, 2, 4, "The papers behind this propose; nothing here says what a council decided.", wrapped)
    row = 4
    sheet.write_row(row, 0, ["Headline", "£"], sheets.head)
    years = sheets.tables["Years"].totals()
    linked = [
        ("Cost over the horizon, nominal, expected", "nominal_gbp"),
        ("Cost over the horizon, real, expected", "real_gbp"),
        ("Net present cost, expected", "present_gbp"),
    ]
    for words, key in linked:
        row += 1
        sheet.write_string(row, 0, words)
        sheet.write_formula(row, 1, f"=SUM({sheets.range_of('Years', key)})", pounds, years[key])
    stated = [
        ("Net present cost exceeded in one future in ten", "p90_gbp"),
        (f"Mean net present cost of the worst {1 - plan['cvar_level']:.0%}", "cvar_gbp"),
        ("Less than doing nothing, net present", "saving_gbp"),
    ]
    for words, key in stated:
        if plan[key] is not None:
            row += 1
            sheet.write_string(row, 0, words)
            sheet.write_number(row, 1, plan[key], pounds)
    row += 2
    for title, lines in [(part.title, [*part.sentences, *part.points]) for part in parts]:
        if lines:
            sheet.write_string(row, 0, title, sheets.bold)
            for line in lines:
                row += 1
                sheet.merge_range(row, 0, row, 4, line, wrapped)
                sheet.set_row(row, LINE * _lines(line, SUMMARY_WIDTH))
            row += 2
    sheet.write_string(row, 0, "Sheets", sheets.bold)
    for name, table in sheets.tables.items():
        row += 1
        sheet.write_url(row, 0, f"internal:'{name}'!A1", as_link, name)
        sheet.merge_range(row, 1, row, 4, table.caption, wrapped)
        sheet.set_row(row, LINE * _lines(table.caption, CAPTION_WIDTH))
    sheet.set_landscape()
    sheet.set_paper(9)
    sheet.fit_to_pages(1, 0)
    sheet.freeze_panes(1, 0)
    sheet.set_column(2, 4, 20)
