"""A small instance to start from: what ``optimiser new NAME`` writes.

Its comments come from the schema's descriptions, so that they cannot say other than what is read.
"""

from __future__ import annotations

import csv
import io
import json
import re
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from optimiser.errors import Fault, InstanceError
from optimiser.instance.finding import SETTINGS_FILE
from optimiser.instance.schema import TABLES, Row, Settings

#: Settings that are given; all others stand as comments with their defaults.
_SETTINGS: dict[str, object] = {
    "title": "A first plan",
    "question": "How many homes should begin and how many beds should be contracted, and when?",
    "as_at": "2026-01",
    "first_month": "2026-04",
    "periods": "36x1",
    "decision_date": "2026-04",
    "price_base": "2026/27",
    "inflation_per_year": 0.02,
    "discount_rate": 0.035,
    "scenarios": 20,
    "registrations_limit": 2,
    "unregistered_gbp_per_week": "triangular(12000, 15000, 20000)",
    "unregistered_growth_per_year": "uniform(-0.05, 0.05)",
}

_TABLES = {
    "authorities": """
authority,title
my-council,My council
""",
    "cohorts": """
cohort,authority,title,mean_stay_months,arrivals_per_month,growth_per_year,planned_moves_per_month,closure_move_gbp
complex-needs,my-council,"Complex needs, 10 to 16",14,"uniform(0.3, 0.6)","uniform(0, 0.04)",0.05,5000
lower-needs,my-council,"Lower needs, 10 to 16",18,0.4,,0.05,5000
""",
    "steps": """
origin,destination,share_per_month
complex-needs,lower-needs,0.02
""",
    "homes": """
home,title,authority,beds,available,capital_gbp,residual_share,begin_from,begin_until,begin_every_months,lead_months,\
registration_delay_months,matching_occupancy,fixed_gbp_per_year,variable_gbp_per_week,waiting_gbp_per_month
two-bed-home,Two-bed home run by the council,my-council,2,3,900000,0.6,2026-06,2027-06,3,"triangular(3, 6, 12)",\
"uniform(6, 18)",0.85,600000,150,20000
""",
    "existing": """
supply,title,beds,until,committed_gbp_per_week,cost_growth_per_year
current-contract,Block contract in place,6,2027-10,4600,0.02
""",
    "lots": """
lot,title,minimum_beds,maximum_beds,call_off_beds,call_off_gbp_per_week,call_off_retainer_gbp_per_week,award_from,\
award_until,award_every_months,lead_months,mobilisation_delay_months,term_months,indexation_per_year,bid_factor,\
matching_occupancy,setup_gbp
block-offer,Block contract offered,4,10,2,5400,200,2026-06,2026-12,3,6,"4:0.2 2:0.3 0:0.5",60,0.03,\
"uniform(0.9, 1.15)",0.9,40000
""",
    "tiers": """
lot,from_beds,to_beds,gbp_per_week
block-offer,4,6,5000
block-offer,7,10,4800
""",
    "extensions": """
contract,option,months,notice_months,price_factor
current-contract,1,12,6,1.03
""",
    "spots": """
spot,title,growth_per_year,availability
spot-market,Children's homes bought one place at a time,"uniform(-0.02, 0.06)","uniform(0.6, 1)"
""",
    "layers": """
spot,beds,gbp_per_week
spot-market,6,5600
spot-market,,7200
""",
    "placements": """
cohort,source,breakdown_per_month,children_at_start
complex-needs,two-bed-home,0.01,
complex-needs,block-offer,0.02,
complex-needs,current-contract,0.02,4
complex-needs,spot-market,0.03,2
complex-needs,unregistered,,1
lower-needs,block-offer,0.02,
lower-needs,current-contract,0.02,1
lower-needs,spot-market,0.02,3
""",
    "tolerances": """
limit,child_weeks
few-unregistered,60
""",
    "capital": """
envelope,year,limit_gbp
homes-programme,total,2000000
homes-programme,2026/27,1000000
homes-programme,2027/28,1000000
""",
    "options": """
option,title,paper,homes,lots
do-nothing,"Do nothing: no home, no award, no extension",,,
one-home,"One home, and the contract extended",yes,,
""",
    "decisions": """
option,action,item,month,number
one-home,begin,two-bed-home,2026-06,1
one-home,extend,current-contract,,1
""",
    "evidence": """
figures,evidence,document,place,low,high,derived_from,note
settings.discount_rate,published,HM Treasury: The Green Book,"Discounting, standard rate for years 0 to 30",,,,
settings.inflation_per_year,assumption,,,0.01,0.04,,Replace this by a forecast.
settings.registrations_limit,assumption,,,1,4,,How many homes the service can bring through registration at once.
settings.unregistered_gbp_per_week,assumption,,,12000,20000,,Replace this by what is paid today.
settings.unregistered_growth_per_year,assumption,,,-0.05,0.05,,
cohorts.*,assumption,,,-30%,+30%,,Replace these by what the records say.
steps.*,assumption,,,-50%,+50%,,
homes.*,assumption,,,-20%,+20%,,
homes.*.matching_occupancy,assumption,,,0.6,0.95,,
homes.*.lead_months,assumption,,,3,12,,
homes.*.registration_delay_months,assumption,,,6,18,,
homes.*.waiting_gbp_per_month,derived,,,,,homes.*.fixed_gbp_per_year,Two fifths of a month's fixed cost.
existing.*,assumption,,,-10%,+10%,,Replace these by the contract.
lots.*,assumption,,,-10%,+10%,,
lots.*.bid_factor,assumption,,,0.9,1.15,,
tiers.*,assumption,,,-15%,+15%,,
extensions.*,assumption,,,-5%,+5%,,
spots.*.growth_per_year,assumption,,,-0.02,0.06,,
spots.*.availability,assumption,,,0.6,1,,
layers.*,assumption,,,-15%,+15%,,
placements.*,assumption,,,-50%,+50%,,
tolerances.*,assumption,,,-50%,+50%,,A value judgement: what the council tolerates.
capital.*,assumption,,,-25%,+25%,,Replace this by the capital programme.
""",
}

_README = """# {title}

A small instance to start from. Every figure in it is made up: replace them, and say in evidence where yours come from.
No personal data: numbers of children, never records.

In a folder each table is a file (homes.csv), with comments above its header that say what each column means; the
settings are instance.toml. In a workbook each is a sheet, with a note at the head of each column: a blue head needs a
value in every row, a grey one may be left blank, and sheets whose tab has no colour may stay empty.

Begin with these, in this order:

1. settings: title, as_at, first_month, and periods, how far to look: 36x1 is three years, 24x1 12x3 is five. A home
   that opens in two years pays back little in three.
2. authorities: your council's name. A name that is changed is changed wherever it is used; what was forgotten is told.
3. cohorts: one row a group of children. Arrivals a month are about the children in care divided by their mean stay.
4. existing: one row for each home that you run already and each contract in place, with its price a bed and its end.
5. layers: what a place bought singly costs. A last row with blank beds says that more can be had at that price.
6. placements: one row for each group and each place where it may live, and how many live there today. A home, lot or
   contract that no row names is never used.
7. homes, lots and tiers: what could be begun or awarded, from when until when.
8. capital: how much may be begun in total, and by year. Where years are given, one without a row releases nothing.
9. tolerances: how many child-weeks without a registered place are tolerated; delete the row for no limit.
10. options and decisions: what the draft paper names, to be set beside the best plan.

Shares are written 0.07, months 2026-04, pounds 3000000, names in small letters with hyphens.

Check it at any time: whatever does not agree is reported at once, with its place and what would mend it.
"""


def write_template(folder: Path) -> None:
    """Write a small instance that reads as it stands into a new or empty folder: all of its files or none.

    Raises
    ------
    InstanceError
        Where the folder is there and not empty, or cannot be written.
    """
    write_files(template_files(folder.name), folder)


def write_files(files: dict[str, str], folder: Path) -> None:
    """Write files by name into a new or empty folder: all of them or none.

    Raises
    ------
    InstanceError
        Where the folder is there and not empty, or cannot be written.
    """
    if folder.exists() and not (folder.is_dir() and not any(folder.iterdir())):
        rule = "is there already, and not an empty folder"
        raise InstanceError([Fault(str(folder), None, "", "", rule, "Choose another name.")], folder.name)
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        draft = Path(tempfile.mkdtemp(prefix=".new-", dir=folder.parent))
        try:
            for name, text in files.items():
                (draft / name).write_text(text, encoding="utf-8", newline="\n")
            draft.chmod(0o755)
            if folder.exists():
                folder.rmdir()
            draft.rename(folder)
        except BaseException:
            shutil.rmtree(draft, ignore_errors=True)
            raise
    except OSError as error:
        rule = f"cannot be written: {error.strerror or error}"
        raise InstanceError([Fault(str(folder), None, "", "", rule, "Choose another place.")], folder.name) from error


def template_files(name: str) -> dict[str, str]:
    """Text of each file of the template, by its name."""
    proper = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")[:40].strip("-") or "first-plan"
    files = {SETTINGS_FILE: _settings_text({"name": proper, **_SETTINGS})}
    for table, text in _TABLES.items():
        rows = text.lstrip("\n")
        header = rows.partition("\n")[0].split(",")
        files[f"{table}.csv"] = _notes_text(table, header) + rows
    files["README.md"] = _README.format(title=_SETTINGS["title"])
    return files


def folder_files(settings: Mapping[str, str], tables: Mapping[str, Sequence[Sequence[str]]]) -> dict[str, str]:
    """Text of each file of an instance's folder, by its name, with the template's comments.

    Parameters
    ----------
    settings
        Settings as written.
    tables
        Rows of cells by table, the header first.
    """
    files = {SETTINGS_FILE: _settings_text({name: _bare(text) for name, text in settings.items()})}
    for table, rows in tables.items():
        written = io.StringIO()
        csv.writer(written, lineterminator="\n").writerows(rows)
        files[f"{table}.csv"] = _notes_text(table, rows[0]) + written.getvalue()
    return files


def _bare(text: str) -> object:
    """A number where TOML gives the same text back, else the text."""
    for kind in (int, float):
        try:
            if str(kind(text)) == text and text not in ("nan", "inf", "-inf"):
                return kind(text)
        except ValueError:
            continue
    return text


def _notes_text(table: str, header: Sequence[str]) -> str:
    return "".join(f"# {line}\n" for line in column_notes(TABLES[table][0], header))


def _settings_text(given: dict[str, object]) -> str:
    """``instance.toml``: what is given, and every other setting as a comment with its default."""
    lines = ["# Settings. A line that begins with # is a comment; take the # away to give the setting.", ""]
    for name, field in Settings.model_fields.items():
        lines.append(f"# {field.description}")
        if name in given:
            lines.append(f"{name} = {_toml(given[name])}")
        else:
            lines.append(f"# {name} = {_toml(field.default)}")
        lines.append("")
    for name in given:
        if name not in Settings.model_fields:  # a fault that its reader is told of
            lines += [f"{name} = {_toml(given[name])}", ""]
    return "\n".join(lines)


def column_notes(model: type[Row], header: Sequence[str]) -> list[str]:
    """One note a column: those of the header first, then those that may be added."""
    notes = [column_note(model, column) for column in header if column in model.model_fields]
    further = [column for column in model.model_fields if column not in header]
    if further:
        notes += ["Further columns that may be added:", *(column_note(model, column) for column in further)]
    return notes


def column_note(model: type[Row], column: str) -> str:
    """What a column or setting holds, and its default."""
    field = model.model_fields[column]
    default = "" if field.is_required() else _text(field.default)
    return f"{column}: {field.description}" + (f" Default {default}." if default else "")


def _text(value: Any) -> str:
    """A value as a cell has it."""
    if value is None or value == ():
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, tuple):
        return " ".join(map(_text, value))
    return f"{value:g}" if isinstance(value, float) else str(value)


def _toml(value: object) -> str:
    if value == 365 / 7:
        return '"365/7"'
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return repr(value)
    return json.dumps(_text(value), ensure_ascii=False)
