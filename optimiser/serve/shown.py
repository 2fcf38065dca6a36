"""Documents of plans → what the what-if page shows of them: figures side by side, words of what changed, charts."""

from __future__ import annotations

import re
import threading
from collections import OrderedDict
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from optimiser.report.charts import change_chart, places_chart, variants_chart, years_chart
from optimiser.report.page import inline
from optimiser.report.parts import cost_words
from optimiser.report.terminal import (
    capital_words,
    changed_lines,
    decision_lines,
    exact,
    gap_words,
    number,
    pounds,
    share,
    spot_words,
    unregistered_words,
)

if TYPE_CHECKING:
    from optimiser.report.layout import Documents

Row = dict[str, Any]

#: How many drawings and downloads are remembered.
REMEMBERED = 64


def capital_begun(document: Row) -> float:
    """Capital begun over the horizon, £: on the dearest path through the reviews, in all envelopes."""
    most: dict[str, float] = {}
    for row in document["capital"]:
        most[row["envelope"]] = max(most.get(row["envelope"], 0.0), float(row["cumulative_gbp"]))
    return sum(most.values())


def beds_decided(document: Row, action: str) -> tuple[int, int]:
    """Homes begun or committed beds awarded: whatever is observed, and at most besides on the branches of reviews."""
    rows = [row for row in document["decisions"] if row["action"] == action]
    key = "number" if action == "begin" else "beds"
    sure = sum(row[key] for row in rows if not row["branch"])
    by_branch: dict[str, int] = {}
    for row in rows:
        if row["branch"]:
            by_branch[row["branch"]] = by_branch.get(row["branch"], 0) + row[key]
    return sure, max(by_branch.values(), default=0)


def _decided_words(document: Row, action: str) -> str:
    sure, further = beds_decided(document, action)
    return f"{sure}" + (f" (and up to {further} at a review)" if further else "")


#: Figures that plans are compared by: words, how each is written, and the figure whose difference is shown (None for none).
FIGURES: tuple[tuple[str, Callable[[Row], str], Callable[[Row], float] | None, str], ...] = (
    (
        "Child-weeks without a registered place",
        lambda plan: number(plan["unregistered"]["expected_child_weeks"]),
        lambda plan: plan["unregistered"]["expected_child_weeks"],
        "weeks",
    ),
    (
        "Net present cost, expected",
        lambda plan: pounds(plan["expected_cost_gbp"], plan["rounding_gbp"]),
        lambda plan: plan["expected_cost_gbp"],
        "pounds",
    ),
    (
        "Cost that one future in ten exceeds",
        lambda plan: pounds(plan["p90_gbp"], plan["rounding_gbp"]),
        lambda plan: plan["p90_gbp"],
        "pounds",
    ),
    (
        "Mean cost of the worst futures",
        lambda plan: f"{pounds(plan['cvar_gbp'], plan['rounding_gbp'])} (worst {share(1 - plan['cvar_level'])})",
        lambda plan: plan["cvar_gbp"],
        "pounds",
    ),
    ("Homes begun", lambda plan: _decided_words(plan, "begin"), lambda plan: sum(beds_decided(plan, "begin")), "count"),
    ("Block beds", lambda plan: _decided_words(plan, "award"), lambda plan: sum(beds_decided(plan, "award")), "count"),
    ("Capital begun", lambda plan: exact(capital_begun(plan)), capital_begun, "pounds"),
    (
        "Children in spot placements at the end",
        lambda plan: number(plan["quarters"][-1]["spot_expected"]),
        lambda plan: plan["quarters"][-1]["spot_expected"],
        "children",
    ),
)


def compared(plan: Row, base: Row | None) -> list[Row]:
    """Rows of figures: of the base, of the plan, and the difference."""
    rows = []
    for words, written, value, unit in FIGURES:
        row = {"words": words, "plan": written(plan), "base": None, "difference": None}
        if base is not None:
            row["base"] = written(base)
            if value is not None:
                row["difference"] = _difference(value(plan) - value(base), unit, plan["rounding_gbp"])
        rows.append(row)
    return rows


def side_by_side(plans: list[tuple[str, Row]]) -> list[tuple[str, list[str]]]:
    """Each figure with what it is in every plan, and how sure each plan is."""
    rows = [(words, [written(plan) for _, plan in plans]) for words, written, _, _ in FIGURES]
    years = [row["year"] for row in plans[0][1]["years"]]
    for place, year in enumerate(years):
        cells = [pounds(plan["years"][place]["nominal_gbp"], plan["rounding_gbp"]) for _, plan in plans]
        rows.append((f"Expected cost {year}, nominal", cells))
    rows.append(("How sure", [gap_words(plan) for _, plan in plans]))
    return rows


def _difference(amount: float, unit: str, step: float) -> str:
    if unit == "pounds":
        text = pounds(abs(amount), step)
        nothing = round(abs(amount) / step) == 0
    else:
        text = f"{abs(amount):.0f}" if unit == "count" else number(abs(amount))
        nothing = float(text.replace(",", "")) == 0
    return "no change" if nothing else f"{'+' if amount > 0 else '−'}{text}"


def words_of(plan: Row) -> Row:
    """Sentences that say what a plan decides, what it costs, and how good it is."""
    changed = plan.get("changed")
    return {
        "decisions": decision_lines(plan),
        "children": unregistered_words(plan["unregistered"]),
        "spot": spot_words(plan["quarters"]),
        "cost": cost_words(plan),
        "capital": capital_words(plan, plan["rounding_gbp"]).splitlines(),
        "changed": [_plainly(line) for line in changed_lines(changed, plan)] if changed and changed["words"] else [],
        "gap": f"Objective {exact(plan['objective_gbp'])} (with a deterrent of {exact(plan['deterrent_gbp'])} on having no "
        f"registered place, a value judgement), bound {exact(plan['bound_gbp'])}: {gap_words(plan)}. {plan['futures']} "
        f"futures, seed {plan['seed']}. Accepted by an independent recomputation.",
    }


def _plainly(line: str) -> str:
    """A line with the names of rules as words: ``capital within envelope``."""
    return re.sub(r"\b[a-z]+(?:_[a-z]+)+\b", lambda name: name[0].replace("_", " "), line)


class Drawer:
    """Draws charts and makes downloads, one at a time, and remembers the last ones."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._made: OrderedDict[tuple[str, ...], Any] = OrderedDict()

    def once(self, key: tuple[str, ...], make: Callable[[], Any]) -> Any:
        """What is remembered under a key, or made now."""
        with self._lock:
            if key not in self._made:
                self._made[key] = make()
                while len(self._made) > REMEMBERED:
                    self._made.popitem(last=False)
            self._made.move_to_end(key)
            return self._made[key]

    def charts(self, key: str, plan: Row, base: Row | None) -> list[tuple[str, Any]]:
        """What changed against the base, where children live, and cost by year: text alternative and drawing of each."""

        def make() -> list[tuple[str, Any]]:
            drawn = [("places", places_chart(plan)), ("years", years_chart(plan))]
            if base is not None and base is not plan:
                drawn.insert(0, ("change", change_chart(base, plan)))
            # somebody waits, and what is drawn differs in its figures only from what tests hold against the schema
            return [(chart.description, inline(name, chart, validate=False)) for name, chart in drawn]

        return self.once(("charts", key, str(base is None)), make)  # type: ignore[no-any-return]

    def variants(self, key: str, plans: list[tuple[str, Row]]) -> tuple[str, Any]:
        """Cost of variants beside one another."""

        def make() -> tuple[str, Any]:
            chart = variants_chart(plans)
            return chart.description, inline("variants", chart)

        return self.once(("variants", key), make)  # type: ignore[no-any-return]

    def download(self, key: str, kind: str, documents: Documents) -> bytes:
        """The page, workbook or paper of a plan."""
        from optimiser.report.files import REPORTS

        return self.once((kind, key), lambda: REPORTS[kind][1](documents))  # type: ignore[no-any-return]
