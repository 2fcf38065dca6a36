"""Plans under stress → terminal: what each stress costs, and whether one would have decided otherwise."""

from __future__ import annotations

from typing import Any

from rich.console import Group
from rich.text import Text

from optimiser.report.terminal import counted, exact, month, number, pounds, share, table_of

Row = dict[str, Any]


def stress_parts(document: Row) -> Group:
    """A table of stresses, then what each does and what the best plan for it would do instead."""
    step = document["rounding_gbp"]
    heading = "Under stress: the plan held, beside what would have been best had one planned for it (present real £)"
    lines: list[Any] = [Text(heading, style="bold")]
    if document["stresses"]:
        lines.append(_table(document, step))
        lines.append(
            "More: than in the futures as drawn. Unregistered: child-weeks without a registered place, expected. Best for it: "
            "what the best plan for the stress within the same limits would cost, and its child-weeks. Regret: what the plan "
            "costs more than that, and by how many child-weeks more. The best is best by the objective, in which having no "
            "registered place bears its deterrent."
        )
    for row in document["stresses"]:
        lines.append(f"• {row['stress']}: {row['words']} {change_words(row, document)}")
    if any(plan["broken"] for row in document["stresses"] for plan in row["plans"]):
        lines.append("* does not keep every limit under the stress, or never did.")
    for row in document["stresses_left_out"]:
        lines.append(f"• {row['stress']} was left out: {row['reason']}.")
    return Group(*lines)


def _table(document: Row, step: float) -> Any:
    several = len(document["stresses"][0]["plans"]) > 1
    rows = []
    for row in document["stresses"]:
        for place, plan in enumerate(row["plans"]):
            more = plan["expected_cost_gbp"] - plan["ordinary_expected_cost_gbp"]
            before = number(plan["ordinary_unregistered_child_weeks"])
            name = [plan["plan"] + ("*" if plan["broken"] else "")] if several else []
            cells = [row["stress"] if place == 0 else "", *name, pounds(plan["expected_cost_gbp"], step)]
            cells += [pounds(more, step), f"{number(plan['unregistered_child_weeks'])} ({before})"]
            cells += [_best(row["best"], step) if place == 0 else "", _regret(plan["regret"], step)]
            rows.append([*cells, *([str(plan["rank"])] if several else [])])
    heads = ["Stress", *(["Plan"] if several else []), "Cost", "More", "Unregistered (drawn)", "Best for it", "Regret"]
    return table_of([*heads, *(["Rank"] if several else [])], rows, 2 if several else 1)


def _best(best: Row | None, step: float) -> str:
    if best is None:
        return "–"
    return f"{pounds(best['expected_cost_gbp'], step)}, {number(best['unregistered_child_weeks'])}"


def _regret(regret: Row | None, step: float) -> str:
    """Pounds and child-weeks more than the best for the stress."""
    if regret is None:
        return "–"
    weeks = number(regret["unregistered_child_weeks"]).replace("-", "−")
    return f"{pounds(regret['expected_cost_gbp'], step)}, {weeks}"


def change_words(row: Row, document: Row) -> str:
    """Whether one would have decided otherwise under a stress, with the proof."""
    if row["best"] is None:
        ended = "no plan keeps every limit under it" if row["status"] == "infeasible" else "none was found in the time"
        return f"What would have been best for it is not known: {ended}."
    gap, bound = row["best"]["gap"], row["best"]["bound_gbp"]
    proof = f"objective {exact(row['best']['objective_gbp'])}, bound {exact(bound)}"
    found = f"(within {share(gap, 2)}: {proof})" if gap is not None else "(no bound is known)"
    if row["decision_changes"] is None:
        return f"Whether one would have decided otherwise cannot be told {found}."
    if not row["decision_changes"]:
        return f"The decision stands {found}."
    theirs, ours = (
        [_decided(each, document["titles"]) for each in row["instead"][which] if not each["branch"]]
        for which in ("only_best", "only_plan")
    )
    words = f"One would have decided otherwise {found}"
    if not theirs and not ours:
        return f"{words}, on the branches of a review."
    parts = [f"{head} {'; '.join(listed)}" for head, listed in (("rather", theirs), ("and not", ours)) if listed]
    return f"{words}: {', '.join(parts)}."


def _decided(row: Row, titles: dict[str, str]) -> str:
    """One decision in a few words."""
    title, when = titles.get(row["item"], row["item"]), month(row["month"])
    if row["action"] == "begin":
        return f"{row['number']} × {title} from {when}"
    if row["action"] == "award":
        option = f" and {row['call_off']} call-off" if row["call_off"] else ""
        return f"{title} with {counted(row['beds'], 'bed')}{option} from {when}"
    if row["action"] == "extend":
        return f"extension {row['number']} of {title}"
    return f"{row['number']} × {title} closed in {when}"
