"""A model of demand → the tables of an instance's folder: a new one from the template, or the demand part of one's own.

What says how many children there are, arrive, stay and step across is replaced; homes, lots, contracts, prices and limits stay
as they are. The folder is one that nobody reads yet: ``report.files`` puts it in place once it reads without a fault.
"""

from __future__ import annotations

import csv
import io
import re
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from optimiser.demand.cohorts import BLOCK, COUNCIL_HOMES, HOMES, HOMES_SPOT, SUPPORT_SPOT
from optimiser.demand.counted import CountedFit
from optimiser.demand.fitting import CohortFit, Demand
from optimiser.demand.rows import (
    Cells,
    arrivals_cells,
    arrivals_evidence,
    cohort_cells,
    counted_figures,
    evidence_cells,
    growth_words,
    leaving_cells,
    placement_cells,
    step_cells,
    today_by_source,
)
from optimiser.errors import Fault, InstanceError
from optimiser.finance import Calendar, month_name, month_number
from optimiser.instance.finding import SETTINGS_FILE
from optimiser.instance.reading import read_draft, read_instance
from optimiser.instance.register import idle_rows
from optimiser.instance.schema import TABLES
from optimiser.instance.template import column_notes, template_files

#: Columns of cohorts.csv that say how many children there are, and how long they stay.
DEMAND_COLUMNS = (
    "mean_stay_months",
    "arrivals_per_month",
    "arrivals_dispersion",
    "growth_per_year",
    "season",
    "turnover_per_month",
)
#: Columns of a cohort that the template gives and records do not.
KEPT_COLUMNS = ("planned_moves_per_month", "planned_move_gbp", "closure_move_gbp", "contribution_gbp_per_week")
TEMPLATE_MONTH = 2026
RECORDS = "records-"


@dataclass
class Sheet:
    """A table as text: comment lines above it, its columns, and rows by column."""

    comments: list[str]
    columns: list[str]
    rows: list[Cells]

    @classmethod
    def read(cls, path: Path) -> Sheet:
        """Read a table; none is an empty one."""
        if not path.exists():
            return cls([], [], [])
        lines = path.read_text(encoding="utf-8-sig").splitlines(keepends=True)
        comments = [line.rstrip("\r\n") for line in lines if line.lstrip().startswith("#")]
        reader = csv.DictReader(io.StringIO("".join(line for line in lines if not line.lstrip().startswith("#"))))
        columns = [title.strip().lower() for title in reader.fieldnames or []]
        reader.fieldnames = columns
        rows = [
            {name: (row.get(name) or "").strip() for name in columns if (row.get(name) or "").strip()} for row in reader
        ]
        return cls(comments, columns, [row for row in rows if row])

    def write(self, path: Path) -> None:
        """Write the table; one without rows is none."""
        if not self.rows:
            path.unlink(missing_ok=True)
            return
        if path.exists() and Sheet.read(path).rows == self.rows:
            return
        used = {name for row in self.rows for name in row}
        model = TABLES[path.stem][0]
        columns = [name for name in model.model_fields if name in used or name in self.columns]
        comments = self.comments
        if not path.exists():
            comments = [f"# {line}" for line in column_notes(model, columns)]
        text = io.StringIO()
        text.writelines(f"{line}\n" for line in comments)
        writer = csv.DictWriter(text, fieldnames=columns, lineterminator="\n")
        writer.writeheader()
        writer.writerows(self.rows)
        path.write_text(text.getvalue(), encoding="utf-8", newline="\n")


# a new instance


def start_from_template(folder: Path, name: str, demand: Demand) -> None:
    """Write the template into a folder, moved to the years of the records, with sources for the children of today."""
    shift = demand.start // 12 - TEMPLATE_MONTH
    for file, text in template_files(name).items():
        if file == SETTINGS_FILE:
            text = re.sub(
                r"^title = .*$", 'title = "A first plan on the council\'s own returns"', text, flags=re.MULTILINE
            )
            text = re.sub(r"^as_at = .*$", f'as_at = "{month_name(demand.end - 1)}"', text, flags=re.MULTILINE)
            for setting in ("first_month", "decision_date"):
                written = f'{setting} = "{month_name(demand.start)}"'
                text = re.sub(rf"^{setting} = .*$", written, text, flags=re.MULTILINE)
            text = _years_moved(text, shift, r'^(price_base = ")(\d{4})/\d\d')
        elif file == "README.md":
            text = text.replace(
                "Every figure in it is made up",
                "Its demand is from the council's returns; every other figure is made up",
            )
        else:
            text = "".join(
                line if line.startswith("#") else _moved(line, shift) for line in text.splitlines(keepends=True)
            )
        (folder / file).write_text(text, encoding="utf-8", newline="\n")
    _todays_sources(folder, demand)


def _years_moved(text: str, shift: int, pattern: str) -> str:
    def later(match: re.Match[str]) -> str:
        year = int(match[2]) + shift
        return f"{match[1]}{year}/{(year + 1) % 100:02d}"

    return re.sub(pattern, later, text, flags=re.MULTILINE)


def _moved(line: str, shift: int) -> str:
    line = re.sub(r"\b(20\d\d)-(\d\d)\b", lambda match: f"{int(match[1]) + shift}-{match[2]}", line)
    return _years_moved(line, shift, r"\b()(20\d\d)/\d\d\b")


def _todays_sources(folder: Path, demand: Demand) -> None:
    """Existing supply and spot markets that the children of today live in, instead of the template's contract."""
    today = {source: 0 for source in (COUNCIL_HOMES, BLOCK, HOMES_SPOT)}
    for fit in demand.cohorts:
        allowed = [*(one for one in (COUNCIL_HOMES, BLOCK) if _homes(fit)), _spot(fit)]
        for source, children in today_by_source(demand, fit, allowed, {}).items():
            today[source] = today.get(source, 0) + round(children)
    tables = {
        name: Sheet.read(folder / f"{name}.csv") for name in ("existing", "spots", "layers", "placements", "evidence")
    }
    contract = tables["existing"].rows[0]
    tables["existing"].rows = []
    if today[COUNCIL_HOMES]:
        beds = {"supply": COUNCIL_HOMES, "title": "Homes that the council runs", "beds": str(today[COUNCIL_HOMES])}
        tables["existing"].rows.append({**beds, "committed_gbp_per_week": "4600", "cost_growth_per_year": "0.02"})
    if today[BLOCK]:
        tables["existing"].rows.append({**contract, "beds": str(today[BLOCK])})
    else:
        (folder / "extensions.csv").unlink()
        decisions = Sheet.read(folder / "decisions.csv")
        decisions.rows = [row for row in decisions.rows if row["action"] != "extend"]
        decisions.write(folder / "decisions.csv")
        options = Sheet.read(folder / "options.csv")
        for row in options.rows:
            row["title"] = row["title"].replace(", and the contract extended", "").replace(", no extension", "")
        options.write(folder / "options.csv")
    layer = next(row for row in tables["layers"].rows if row.get("beds"))
    layer["beds"] = str(max(int(layer["beds"]), today[HOMES_SPOT]))
    if any(not _homes(fit) for fit in demand.cohorts):
        title = "Supported accommodation bought one place at a time"
        tables["spots"].rows.append({"spot": SUPPORT_SPOT, "title": title, "growth_per_year": "uniform(-0.02, 0.06)"})
        tables["layers"].rows.append({"spot": SUPPORT_SPOT, "gbp_per_week": "1500"})
        tables["evidence"].rows.append(
            {
                "figures": f"layers.{SUPPORT_SPOT}.*",
                "evidence": "assumption",
                "low": "-50%",
                "high": "+50%",
                "note": "Replace this by what is paid.",
            }
        )
    tables["evidence"].rows.append(
        {
            "figures": "existing.*.beds",
            "evidence": "assumption",
            "low": "-0%",
            "high": "+50%",
            "note": "As many as children live there today, by the returns; replace this by the beds that there are.",
        }
    )
    for name, sheet in tables.items():
        sheet.write(folder / f"{name}.csv")


def _homes(fit: CohortFit) -> bool:
    return bool(set(fit.rule.categories) & set(HOMES))


def _spot(fit: CohortFit) -> str:
    return HOMES_SPOT if _homes(fit) else SUPPORT_SPOT


# the demand part


def put_demand(folder: Path, demand: Demand, authority: str | None, fresh: bool) -> None:
    """Replace the demand part of the instance in a folder.

    Parameters
    ----------
    authority
        The council whose returns they are; needed where the instance has several.
    fresh
        The folder is one that ``start_from_template`` has written.

    Raises
    ------
    InstanceError
        Where the council is not one of the instance's.
    """
    tables = {table: Sheet.read(folder / f"{table}.csv") for table in TABLES}
    council = _council(tables["authorities"], authority)
    old = {row["cohort"]: row for row in tables["cohorts"].rows if row.get("authority") == council}
    _put_cohorts(tables, demand, council, old)
    for table in ("arrivals", "census", "leaving"):
        tables[table].rows = [row for row in tables[table].rows if row.get("cohort") not in old]
    months = Calendar.read(month_name(demand.start), _setting(folder, "periods"), 365 / 7).months
    tables["leaving"].rows += leaving_cells(demand, months)
    names = {*old, *(fit.name for fit in demand.cohorts)}
    tables["steps"].rows = [row for row in tables["steps"].rows if not {row["origin"], row["destination"]} & names]
    tables["steps"].rows += step_cells(demand)
    _put_placements(tables, demand, old, _setting(folder, "first_month"), fresh)
    figures = counted_figures(demand)
    _put_figures(tables, figures)
    document = f"SSDA903 returns {demand.years}"
    stale = [f"cohorts.{name}." for name in old] + [f"placements.{name}." for name in old] + ["steps.", "leaving."]
    ours = evidence_cells(demand, document, [name for name, *_ in figures])
    _put_evidence(tables["evidence"], ours, stale, fresh)
    _write_all(folder, tables)


def put_arrivals(folder: Path, fits: Sequence[CountedFit], growth: float | None, level_words: str) -> None:
    """Replace the arrivals of some cohorts, fitted to a published table, in the instance in a folder."""
    tables = {table: Sheet.read(folder / f"{table}.csv") for table in TABLES}
    known = {row["cohort"]: row for row in tables["cohorts"].rows}
    figures, ours = [], []
    for one in fits:
        if one.name not in known:
            fix = f"Name one of {', '.join(known)} in the rules."
            raise InstanceError(
                [Fault("the rules", None, "cohort", one.name, "is not in the instance", fix)], "the rules"
            )
        row = known[one.name]
        for column in ("arrivals_per_month", "arrivals_dispersion", "growth_per_year", "season"):
            row.pop(column, None)
        row |= arrivals_cells(one.fit)
        for table in ("arrivals", "census"):
            tables[table].rows = [cells for cells in tables[table].rows if cells.get("cohort") != one.name]
        name = f"{RECORDS}{one.name}-counted"
        figures.append((name, one.used, "children", f"Counted in the months that arrivals of {one.name} are fitted to"))
        ours.append(
            {
                "figures": f"figures.{name}.value",
                "evidence": "published",
                "document": one.table.document,
                "place": one.table.place,
            }
        )
        share = (
            "" if one.rule.share.kind == "fixed" else f"{one.rule.share.mean:.3g} of those counted ({one.rule.share}). "
        )
        level = f"At the level of {level_words}, as asked. " if level_words else ""
        words = growth_words(growth, level_words)
        ours += arrivals_evidence(
            one.name, one.fit, f"figures.{name}.value {one.rule.derived_from}".strip(), share + level, words
        )
    _put_figures(tables, figures, only={name for name, *_ in figures})
    stale = [row["figures"] for row in ours]
    _put_evidence(tables["evidence"], ours, stale, fresh=False)
    _write_all(folder, tables)


def _council(authorities: Sheet, wanted: str | None) -> str:
    names = [row["authority"] for row in authorities.rows]
    if wanted is None and len(names) == 1:
        return names[0]
    if wanted in names:
        return str(wanted)
    fix = f"Give --authority with one of {', '.join(names)}."
    rule = "is not an authority of the instance" if wanted else "is not said, and the instance has several authorities"
    raise InstanceError([Fault("the command", None, "--authority", wanted or "", rule, fix)], "the command")


def _put_cohorts(tables: Mapping[str, Sheet], demand: Demand, council: str, old: Mapping[str, Cells]) -> None:
    rows = [row for row in tables["cohorts"].rows if row["cohort"] not in old]
    like = next(iter(old.values()), {})
    for fit in demand.cohorts:
        own = old.get(fit.name, {name: like[name] for name in KEPT_COLUMNS if name in like})
        kept = {name: cell for name, cell in own.items() if name not in DEMAND_COLUMNS}
        cells = cohort_cells(fit, council)
        rows.append({**cells, **kept, **({"title": fit.rule.title} if fit.rule.title else {})})
    tables["cohorts"].rows = rows


def _put_placements(
    tables: Mapping[str, Sheet], demand: Demand, old: Mapping[str, Cells], first_month: str, fresh: bool
) -> None:
    before = tables["placements"].rows
    others = [row for row in before if row.get("cohort") not in old and row.get("cohort") not in _names(demand)]
    every = list(dict.fromkeys(row["source"] for row in before if row["source"] != "unregistered"))
    existing = {row["supply"]: row for row in tables["existing"].rows}
    spots = [row["spot"] for row in tables["spots"].rows]
    beds = {name: float(row["beds"]) for name, row in existing.items()}
    for row in others:
        if row.get("source") in beds:
            beds[row["source"]] -= float(row.get("children_at_start") or 0)
    rows: list[Cells] = []
    for fit in demand.cohorts:
        # a new instance has the template's rows, which say nothing of a cohort that happens to be named alike
        own = [row for row in before if row.get("cohort") == fit.name and row["source"] != "unregistered" and not fresh]
        if not own:
            sources = fit.rule.sources or (_template_sources(tables, fit) if fresh else every)
            own = [{"cohort": fit.name, "source": source} for source in sources]
        today = [row["source"] for row in own if _there(row, existing, spots, first_month)]
        today.sort(key=lambda source: source in spots)
        living = today_by_source(demand, fit, today, beds)
        for row in own:
            source = row["source"]
            if source in beds:
                beds[source] -= living.get(source, 0.0)
            kept: Cells = {name: row[name] for name in ("cohort", "source", "start", "until") if name in row}
            rows.append({**kept, **placement_cells(demand, fit, source, living.get(source, 0.0))})
    tables["placements"].rows = others + rows


def _names(demand: Demand) -> set[str]:
    return {fit.name for fit in demand.cohorts}


def _template_sources(tables: Mapping[str, Sheet], fit: CohortFit) -> Iterable[str]:
    """Sources of a new instance that may take a cohort."""
    if not _homes(fit):
        return (SUPPORT_SPOT,)
    built = [row[table[:-1]] for table in ("homes", "lots") for row in tables[table].rows]
    return (*built, *(row["supply"] for row in tables["existing"].rows), HOMES_SPOT)


def _there(row: Cells, existing: Mapping[str, Cells], spots: Sequence[str], first_month: str) -> bool:
    """Whether children can live in a source, under a placement, in the first month."""
    source = row["source"]
    if source not in existing and source not in spots:
        return False
    stretches = [row, existing.get(source, {})]
    return all(
        one.get("start", first_month) <= first_month and one.get("until", "9999-12") > first_month for one in stretches
    )


def _put_figures(
    tables: Mapping[str, Sheet], figures: Sequence[tuple[str, int, str, str]], only: set[str] | None = None
) -> None:
    stale = {row["figure"] for row in tables["figures"].rows if row["figure"].startswith(RECORDS)}
    stale = stale if only is None else stale & only
    kept = [row for row in tables["figures"].rows if row["figure"] not in stale]
    new = [{"figure": name, "value": str(count), "unit": unit, "title": title} for name, count, unit, title in figures]
    tables["figures"].rows = kept + new


def _put_evidence(sheet: Sheet, ours: Sequence[Cells], stale: Sequence[str], fresh: bool) -> None:
    """Our rows after those of others; rows for what has been replaced go."""
    names = {row["figures"] for row in ours}
    if fresh:
        # the template's rows for its own demand
        stale = [*stale, "cohorts.*", "steps.*", "placements.*"]
        kept_columns = {f"cohorts.*.{name}" for name in KEPT_COLUMNS}
        assumed = [
            {"figures": name, "evidence": "assumption", "low": "-50%", "high": "+50%", "note": "Records do not say."}
            for name in sorted(kept_columns)
        ]
    else:
        assumed = []
    kept = [
        row
        for row in sheet.rows
        if row["figures"] not in names and not any(row["figures"].startswith(start) for start in stale)
    ]
    sheet.rows = [*kept, *assumed, *({name: cell for name, cell in row.items() if cell} for row in ours)]


def _write_all(folder: Path, tables: Mapping[str, Sheet]) -> None:
    for table, sheet in tables.items():
        if sheet.rows or (folder / f"{table}.csv").exists():
            sheet.write(folder / f"{table}.csv")
    idle = idle_rows(read_draft(folder))
    evidence = Sheet.read(folder / "evidence.csv")
    evidence.rows = [row for row in evidence.rows if row["figures"] not in idle]
    evidence.write(folder / "evidence.csv")


def first_month_of(folder: Path) -> int | None:
    """First month of the horizon of an instance that is there; none where it is to be a new one.

    Raises
    ------
    InstanceError
        Where the folder holds something else, or settings that cannot be read.
    """
    if not (folder / SETTINGS_FILE).is_file():
        if folder.exists() and not (folder.is_dir() and not any(folder.iterdir())):
            fix = "Name a new folder, or that of an instance."
            raise InstanceError([Fault(str(folder), None, "--out", "", "holds no instance", fix)], "the command")
        return None
    return month_number(read_instance(folder).settings.first_month)


def _setting(folder: Path, name: str) -> str:
    return str(tomllib.loads((folder / SETTINGS_FILE).read_text(encoding="utf-8"))[name])
