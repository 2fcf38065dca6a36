"""Parts of a report → one HTML page that stands alone: styles and charts within it, no script, nothing fetched."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from optimiser.report.charts import svg_of
from optimiser.report.layout import WORDS, Documents, shown
from optimiser.report.parts import parts_of
from optimiser.report.terminal import month

TEMPLATE = Path(__file__).parent / "page.html"
#: What the page and the what-if page look like.
STYLE = Path(__file__).parent / "page.css"


def page(documents: Documents) -> str:
    """The whole page, as text; the same documents give the same bytes.

    Raises
    ------
    InstanceError
        As ``parts_of`` says.
    """
    from jinja2 import Environment, StrictUndefined
    from markupsafe import Markup

    parts = parts_of(documents)
    step = documents["plan"]["rounding_gbp"]
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    template = environment.from_string(TEMPLATE.read_text(encoding="utf-8"))
    return template.render(
        instance=documents["plan"]["instance"],
        as_at=month(documents["plan"]["instance"]["as_at"]),
        parts=parts,
        shown=lambda column, row: shown(column, row, step),
        kind_of=lambda column: column.kind if column.kind in WORDS else "figures",
        drawn=inline,
        style=Markup(STYLE.read_text(encoding="utf-8")),
    )


def inline(name: str, chart: Any, *, validate: bool = True) -> Any:
    """A chart as SVG that scales with the page; the ids within it are its own. ``validate`` as of ``svg_of``."""
    from markupsafe import Markup

    svg = svg_of(chart, validate=validate)
    svg = re.sub(r'\bid="', f'id="{name}-', svg)
    svg = re.sub(r"url\(#", f"url(#{name}-", svg)
    # one picture with one text alternative: what the drawing says of each of its marks is left out
    svg = re.sub(r' (?:aria-[a-z]+|role)="[^"]*"', "", svg)
    svg = re.sub(r"<svg ", '<svg aria-hidden="true" focusable="false" ', svg, count=1)
    return Markup(svg)  # drawn by us, and the words in it are escaped already
