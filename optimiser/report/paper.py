"""Parts of a report → a committee report in Word, on the structure that councils use.

It is a draft for officers: every sentence about the plan is made from the figures of the run, and what they cannot say (legal
advice, equality, consultation) is named as theirs to add.
"""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterable
from datetime import datetime
from typing import Any

from optimiser.report.charts import png_of
from optimiser.report.layout import WORDS, Column, Documents, Part, Row, Table, shown
from optimiser.report.parts import cost_words, parts_of
from optimiser.report.terminal import (
    against_paper_words,
    capital_words,
    decision_words,
    gap_words,
    month,
    more_or_fewer,
    number,
    pounds,
    quarter,
    recruiting_words,
    share,
    spot_words,
    unregistered_words,
)

#: Width of what is printed [cm], and size of the text of tables [points].
PRINTED_CM, TABLE_POINTS = 17.0, 8
#: Width of a character of that size, and of what is left beside the words of a cell [cm].
CHARACTER_CM, MARGINS_CM = 0.17, 0.45
#: Behind the heads of tables.
HEAD_COLOUR = "E8EEF4"
#: Most rows of a table that is kept on one page, and the font of everything.
KEPT_TOGETHER, FONT = 16, "Arial"
#: What a committee report has and no run can fill.
FOR_OFFICERS = (
    "legal advice on this decision",
    "equality and data protection impact assessments",
    "the views of children, of providers and of partners",
    "the effect on staff",
    "the comments of the officers responsible for finance and for law",
)


def paper(documents: Documents) -> bytes:
    """The whole report; the same documents give the same bytes.

    Raises
    ------
    InstanceError
        As ``parts_of`` says.
    """
    parts = {part.name: part for part in parts_of(documents)}
    plan = documents["plan"]
    writer = _Writer(plan)
    _opening(writer, plan)
    _decision_sought(writer, plan, parts["decision"])
    _reasons(writer, plan, documents.get("appraise"))
    _background(writer, plan, parts["places"])
    _options(writer, plan, documents.get("appraise"), parts.get("options"))
    _finance(writer, plan, parts["money"], parts.get("options"))
    _section(writer, parts.get("frontier"), level=2)
    _section(writer, parts.get("partners"), level=1)
    _legal(writer, plan)
    writer.heading("Risks")
    writer.bullets(parts["risks"].points)
    _section(writer, parts.get("stresses"), level=2)
    writer.heading("What would change the answer")
    writer.paragraphs(parts["change"].sentences)
    writer.bullets(parts["change"].points)
    writer.table(_table(parts["change"], "Switching values"))
    writer.heading("What was assumed")
    writer.paragraphs(parts["evidence"].sentences)
    writer.table(_table(parts["change"], "Assumptions"))
    _section(writer, parts.get("trace"), level=2)
    _not_proposed(writer, plan, documents.get("appraise"))
    writer.heading("How the figures were made")
    writer.paragraphs(parts["computed"].sentences)
    writer.paragraphs([f"Versions: {', '.join(f'{name} {words}' for name, words in plan['versions'].items())}."])
    writer.heading("For officers to add")
    writer.paragraphs(["What no run can say, and this report does not:"])
    writer.bullets([f"{words}." for words in FOR_OFFICERS])
    return writer.bytes()


def _opening(writer: _Writer, plan: Row) -> None:
    instance = plan["instance"]
    writer.title(instance["title"], "Report to committee: draft for officers to complete")
    writer.paragraphs(
        [
            instance["question"],
            f"As at {month(instance['as_at'])}. This report proposes; nothing in it says what a council has decided. Figures are "
            "rounded to what their inputs bear; the workbook of the same run holds them in full.",
        ]
    )


def _decision_sought(writer: _Writer, plan: Row, part: Part) -> None:
    """What is to be agreed now, and what is to be noted for later."""
    writer.heading("Decision sought")
    titles, step = plan["titles"], plan["rounding_gbp"]
    now = [row for row in plan["decisions"] if not row["branch"]]
    later = [row for row in plan["decisions"] if row["branch"]]
    writer.paragraphs(["The committee is asked to:"])
    asked = [_agreed(decision_words(row, titles)) for row in now if row["action"] != "recruit"]
    if not asked:
        asked = ["agree to begin no home and award no contract now, and to buy each place as it is needed."]
    asked += [
        f"note for the review: {_lower(decision_words(row, titles))}" for row in later if row["action"] != "recruit"
    ]
    recruits = [row for row in plan["decisions"] if row["action"] == "recruit"]
    if recruits:
        asked.append(f"agree to {_lower(recruiting_words(recruits))}")
    asked += [f"note: {_lower(line)}" for line in capital_words(plan, step).splitlines()]
    writer.letters(asked)
    writer.charts(part)


def _agreed(words: str) -> str:
    """``agree, by Apr 2025, to begin …`` for ``By Apr 2025: begin …``."""
    when, _, what = words.partition(": ")
    return f"agree, {_lower(when)}, to {what}"


def _reasons(writer: _Writer, plan: Row, appraisal: Row | None) -> None:
    writer.heading("Reasons for the decision")
    writer.paragraphs([unregistered_words(plan["unregistered"]), cost_words(plan)])
    if appraisal is not None:
        rows = {row["option"]: row for row in appraisal["options"]}
        nothing, ours = rows.get("do-nothing"), rows["optimised"]
        if nothing is not None and nothing["expected_cost_gbp"] is not None:
            weeks = nothing["unregistered_child_weeks"] - ours["unregistered_child_weeks"]
            writer.paragraphs(
                [
                    f"Doing nothing would leave {number(nothing['unregistered_child_weeks'])} child-weeks without a registered "
                    f"place; the plan has {more_or_fewer(-weeks)} (expected, on the {appraisal['futures']} futures of the "
                    "appraisal)."
                ]
            )
    if plan["against_paper"] is not None:
        writer.paragraphs([against_paper_words(plan["against_paper"], plan)])
    writer.paragraphs([f"How good the plan is: {gap_words(plan)}, under the figures assumed."])


def _background(writer: _Writer, plan: Row, part: Part) -> None:
    writer.heading("Background")
    first, last = plan["quarters"][0], plan["quarters"][-1]
    writer.paragraphs(
        [
            f"In {quarter(first['quarter'])}, {number(first['all_expected'])} children are expected to need a place, and "
            f"{number(last['all_expected'])} in {quarter(last['quarter'])}, where one future in ten has more than "
            f"{number(last['all_p90'])} and one in ten fewer than {number(last['all_p10'])}.",
            spot_words(plan["quarters"]),
        ]
    )
    writer.charts(part)
    writer.bullets(part.points)


#: Figures by which options are known to come out as one.
TELLING = ("expected_cost_gbp", "capital_gbp", "p90_gbp", "unregistered_child_weeks", "block_beds", "homes")


def _telling(row: Row) -> tuple[float, ...]:
    """What tells one priced option from another."""
    return tuple(round(row[key], 2) for key in TELLING)


def _options(writer: _Writer, plan: Row, appraisal: Row | None, part: Part | None) -> None:
    """Each option with its benefits, risks and finance."""
    writer.heading("Options considered")
    if appraisal is None or part is None:
        writer.paragraphs(["No options were appraised in the runs that this report was made from."])
        return
    writer.paragraphs(part.sentences)
    writer.table(_table(part, "Options"))
    writer.charts(part)
    step = appraisal["rounding_gbp"]
    nothing = next((row for row in appraisal["options"] if row["option"] == "do-nothing"), None)
    told: dict[tuple[float, ...], str] = {}
    for row in appraisal["options"]:
        writer.heading(row["title"] + (" (the paper's own)" if row["paper"] else ""), level=2)
        if row["expected_cost_gbp"] is None:
            writer.paragraphs([f"Not priced: {'; '.join(row['broken'])}."])
            continue
        figures = _telling(row)
        if figures in told:
            writer.paragraphs([f"Comes out as {told[figures]}, above: the same benefits, risks and finance."])
            continue
        told[figures] = row["title"]
        writer.labelled("Benefits", _benefits(row, nothing, step))
        writer.labelled("Risks", _option_risks(row, nothing, step))
        years = [found for found in appraisal["years"] if found["option"] == row["option"]]
        by_year = ", ".join(f"{found['year']} {pounds(found['nominal_gbp'], step)}" for found in years)
        writer.labelled(
            "Finance",
            f"net present cost {pounds(row['expected_cost_gbp'], step)}; capital {pounds(row['capital_gbp'], step)}; by year, "
            f"nominal: {by_year}.",
        )


def _against_nothing(row: Row, nothing: Row | None, step: float) -> tuple[list[str], list[str]]:
    """What is better than doing nothing, and what is worse."""
    better: list[str] = []
    worse: list[str] = []
    if nothing is None or nothing is row or nothing["expected_cost_gbp"] is None:
        return better, worse
    saving = row["saving_gbp"]
    if abs(saving) >= step / 2:
        words = f"{pounds(abs(saving), step)} {'less' if saving > 0 else 'more'} than doing nothing"
        (better if saving > 0 else worse).append(words)
    more = row["unregistered_child_weeks"] - nothing["unregistered_child_weeks"]
    if abs(more) >= 0.05:
        (worse if more > 0 else better).append(f"{more_or_fewer(more)} child-weeks without a registered place")
    return better, worse


def _benefits(row: Row, nothing: Row | None, step: float) -> str:
    words, _ = _against_nothing(row, nothing, step)
    if row["probability_cheapest"] >= 0.005:
        words.append(f"cheapest of all options in {share(row['probability_cheapest'])} of futures")
    return ("; ".join(words) or "none that these figures show") + "."


def _option_risks(row: Row, nothing: Row | None, step: float) -> str:
    _, words = _against_nothing(row, nothing, step)
    weeks = row["unregistered_p90_child_weeks"]
    words += [
        f"one future in ten costs more than {pounds(row['p90_gbp'], step)}",
        f"one in ten has more than {number(weeks)} child-weeks without a registered place"
        if weeks >= 0.05
        else "nine in ten have no child-week without a registered place",
    ]
    below = row["probability_below_doing_nothing"]
    if below is not None and row["option"] != "do-nothing" and below < 0.995:
        words.append(f"in {share(1 - below)} of futures it does not cost less than doing nothing")
    if row["broken"]:
        words.append(f"it does not keep {len(row['broken'])} of the limits, such as {row['broken'][0]}")
    return "; ".join(words) + "."


def _finance(writer: _Writer, plan: Row, part: Part, options: Part | None) -> None:
    writer.heading("Financial implications")
    writer.paragraphs(part.sentences)
    writer.table(_table(part, "Years"))
    writer.charts(part)
    writer.table(_table(part, "MTFP"))
    writer.paragraphs(part.points)
    writer.table(_table(part, "Break-even"))
    if options is not None:
        writer.table(_table(options, "Budget"))


def _section(writer: _Writer, part: Part | None, level: int) -> None:
    """A part as it stands, under its own heading; nothing where the runs do not carry it."""
    if part is None:
        return
    writer.heading(part.title, level)
    writer.paragraphs(part.sentences)
    writer.charts(part)
    writer.bullets(part.points)
    for table in part.tables:
        writer.table(table)


def _legal(writer: _Writer, plan: Row) -> None:
    """The duties that bear on the question, and the dates on which registration is planned."""
    writer.heading("Legal and registration")
    writer.paragraphs(
        [
            "Section 22G of the Children Act 1989 asks a council to secure, so far as reasonably practicable, enough accommodation "
            "in its area that meets the needs of the children it looks after. A children's home must be registered before a child "
            "lives there, and registration is not the council's to grant."
        ]
    )
    homes = [row for row in plan["timeline"] if row["kind"] == "in_house"]
    writer.bullets(
        row["title"]
        + (f", if {row['branch']}" if row["branch"] else "")
        + f": begun {month(row['month'])}, "
        + (f"registration asked for by {month(row['registration'])}, " if row["registration"] else "")
        + f"open by {month(row['first_child_p50'])} in half the futures and by {month(row['first_child_p90'])} in nine of ten."
        for row in homes
    )
    if not homes:
        writer.paragraphs(
            ["The plan opens no home that the council would run, and so needs no registration of its own."]
        )


def _not_proposed(writer: _Writer, plan: Row, appraisal: Row | None) -> None:
    """Every other option against the plan."""
    writer.heading("Alternatives considered and not proposed")
    if appraisal is None:
        writer.paragraphs(["No options were appraised in the runs that this report was made from."])
        return
    step = appraisal["rounding_gbp"]
    ours = next(row for row in appraisal["options"] if row["option"] == "optimised")
    proposed = _telling(ours)
    words = []
    for row in appraisal["options"]:
        # an option whose best plan is the one proposed is no alternative to it
        if row is ours or (row["expected_cost_gbp"] is not None and _telling(row) == proposed):
            continue
        if row["expected_cost_gbp"] is None:
            words.append(f"{row['title']}: {'; '.join(row['broken'])}.")
            continue
        cost = row["expected_cost_gbp"] - ours["expected_cost_gbp"]
        weeks = row["unregistered_child_weeks"] - ours["unregistered_child_weeks"]
        broken = f" It does not keep: {row['broken'][0]}." if row["broken"] else ""
        dearer = f"{pounds(abs(cost), step)} {'more' if cost >= 0 else 'less'} than the plan"
        words.append(
            f"{row['title']}: {'costs what the plan does' if abs(cost) < step / 2 else dearer}, and "
            f"{more_or_fewer(weeks)} child-weeks without a registered place.{broken}"
        )
    writer.bullets(words)


def _table(part: Part, name: str) -> Table | None:
    return next((table for table in part.tables if table.name == name), None)


def _lower(words: str) -> str:
    return words[:1].lower() + words[1:]


class _Writer:
    """A Word document being written: headings, paragraphs, lists, tables with real headers, charts with their alternatives."""

    def __init__(self, plan: Row) -> None:
        import docx
        from docx.shared import Cm, Pt

        self.step = plan["rounding_gbp"]
        self.document = docx.Document()
        section = self.document.sections[0]
        section.page_width, section.page_height = Cm(21.0), Cm(29.7)
        section.left_margin = section.right_margin = section.top_margin = section.bottom_margin = Cm(2.0)
        normal = self.document.styles["Normal"]
        normal.font.size = Pt(11)
        for name in ("Normal", "Title", "Subtitle", "Heading 1", "Heading 2", "Caption"):
            _use_font(self.document.styles[name], FONT)
        _set(normal.element.get_or_add_rPr(), "w:lang", {"w:val": "en-GB"})
        # the month of the question, not the clock, so that the same run gives the same file
        year, begun = plan["instance"]["as_at"].split("-")
        about = self.document.core_properties
        about.title, about.subject = plan["instance"]["title"], plan["instance"]["question"]
        about.author, about.language, about.comments = "", "en-GB", ""
        about.created = about.modified = datetime(int(year), int(begun), 1)

    def title(self, words: str, below: str) -> None:
        """The title, and a line beneath it."""
        self.document.add_heading(words, level=0)
        self.document.add_paragraph(below, style="Subtitle")

    def heading(self, words: str, level: int = 1) -> None:
        """A heading."""
        self.document.add_heading(words, level=level)

    def paragraphs(self, lines: Iterable[str]) -> None:
        """Paragraphs of text."""
        for line in lines:
            self.document.add_paragraph(line)

    def bullets(self, lines: Iterable[str]) -> None:
        """A list."""
        for line in lines:
            self.document.add_paragraph(line, style="List Bullet")

    def letters(self, lines: Iterable[str]) -> None:
        """A list that can be referred to: (a), (b), (c)."""
        from docx.shared import Cm

        for place, line in enumerate(lines):
            paragraph = self.document.add_paragraph(f"({_letter(place)})\t{line}")
            paragraph.paragraph_format.left_indent = Cm(1.0)
            paragraph.paragraph_format.first_line_indent = Cm(-1.0)
            paragraph.paragraph_format.tab_stops.add_tab_stop(Cm(1.0))

    def labelled(self, label: str, words: str) -> None:
        """A paragraph that begins with a word in bold."""
        paragraph = self.document.add_paragraph()
        paragraph.add_run(f"{label}: ").bold = True
        paragraph.add_run(words)

    def charts(self, part: Part) -> None:
        """The charts of a part, each with its text alternative."""
        from docx.shared import Cm

        for name, chart in part.charts:
            picture = self.document.add_picture(io.BytesIO(png_of(chart)), width=Cm(PRINTED_CM))
            about = picture._inline.docPr
            about.set("descr", chart.description)
            about.set("name", f"Chart: {name}")

    def table(self, table: Table | None) -> None:
        """A table's brief columns, with a header row that repeats on every page, and its totals."""
        from docx.shared import Cm

        if table is None or not table.brief:
            return
        columns = [column for column in table.columns if column.key in table.brief]
        caption = self.document.add_paragraph(table.caption, style="Caption")
        caption.paragraph_format.keep_with_next = True
        totals = table.totals()
        made = self.document.add_table(rows=1 + len(table.rows) + bool(totals), cols=len(columns), style="Table Grid")
        made.autofit = False
        last = [shown(column, totals, self.step) if column.total else "" for column in columns]
        cells = [[shown(column, row, self.step) for column in columns] for row in table.rows]
        for column_made, width in zip(made.columns, _widths(columns, [*cells, last]), strict=True):
            column_made.width = Cm(width)
            for cell in column_made.cells:
                cell.width = Cm(width)
        self._cells(made.rows[0], [column.head for column in columns], columns, bold=True)
        for cell in made.rows[0].cells:
            _set(cell._tc.get_or_add_tcPr(), "w:shd", {"w:val": "clear", "w:color": "auto", "w:fill": HEAD_COLOUR})
        _set(made.rows[0]._tr.get_or_add_trPr(), "w:tblHeader", {"w:val": "true"})
        for place, words in enumerate(cells, start=1):
            self._cells(made.rows[place], words, columns)
        if totals:
            self._cells(made.rows[-1], ["All", *last[1:]], columns, bold=True)
        for row in made.rows:
            _set(row._tr.get_or_add_trPr(), "w:cantSplit", {"w:val": "true"})
        if len(made.rows) <= KEPT_TOGETHER:
            for row in made.rows[:-1]:
                for cell in row.cells:
                    cell.paragraphs[0].paragraph_format.keep_with_next = True
        properties = made._tbl.tblPr
        _set(properties, "w:tblCaption", {"w:val": table.caption})
        self.document.add_paragraph()

    def _cells(self, row: Any, words: list[str], columns: list[Column], bold: bool = False) -> None:
        from docx.enum.text import WD_ALIGN_PARAGRAPH
        from docx.shared import Pt

        for cell, text, column in zip(row.cells, words, columns, strict=True):
            paragraph = cell.paragraphs[0]
            run = paragraph.add_run(text)
            run.font.size, run.bold = Pt(TABLE_POINTS), bold
            if column.kind not in WORDS:
                paragraph.alignment = WD_ALIGN_PARAGRAPH.RIGHT

    def bytes(self) -> bytes:
        """The document as a file, with no clock in it."""
        drawn = io.BytesIO()
        self.document.save(drawn)
        fixed = io.BytesIO()
        with zipfile.ZipFile(drawn) as old, zipfile.ZipFile(fixed, "w", zipfile.ZIP_DEFLATED) as new:
            for name in old.namelist():
                about = zipfile.ZipInfo(name)
                about.compress_type = zipfile.ZIP_DEFLATED
                new.writestr(about, old.read(name))
        return fixed.getvalue()


def _widths(columns: list[Column], cells: list[list[str]]) -> list[float]:
    """Centimetres of each column: what its longest figure or word needs, words giving way where there is not enough."""
    need = []
    for place, column in enumerate(columns):
        longest = max((len(row[place]) for row in cells), default=0)
        head = max(len(word) for word in column.head.split())
        need.append(CHARACTER_CM * max(longest, head) + MARGINS_CM)
    words = [column.kind == "text" for column in columns]
    fixed = sum(each for each, text in zip(need, words, strict=True) if not text)
    share_of_words = max(PRINTED_CM - fixed, 0.0) / max(sum(need) - fixed, 1e-9)
    if share_of_words < 1:
        return [each * share_of_words if text else each for each, text in zip(need, words, strict=True)]
    spare = (PRINTED_CM - sum(need)) / len(need)
    return [each + spare for each in need]


def _letter(place: int) -> str:
    """``a`` to ``z``, then ``aa`` and on."""
    ahead, own = divmod(place, 26)
    return ("" if ahead == 0 else _letter(ahead - 1)) + "abcdefghijklmnopqrstuvwxyz"[own]


def _use_font(style: Any, name: str) -> None:
    """Give a style a font by name, over that of the theme."""
    from docx.oxml.ns import qn

    style.font.name = name
    fonts = style.element.rPr.rFonts
    for attribute in ("w:asciiTheme", "w:hAnsiTheme", "w:eastAsiaTheme", "w:cstheme"):
        fonts.attrib.pop(qn(attribute), None)


def _set(parent: Any, name: str, attributes: dict[str, str]) -> None:
    """Add an element of Word's own to another."""
    from docx.oxml import OxmlElement
    from docx.oxml.ns import qn

    element = OxmlElement(name)
    for attribute, value in attributes.items():
        element.set(qn(attribute), value)
    parent.append(element)
