"""The commands demand and synthesise."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from optimiser.cli.shared import Json, say_written, show

if TYPE_CHECKING:
    from optimiser.demand.fitting import Wanted


def demand(
    records: Annotated[
        list[Path],
        typer.Argument(
            metavar="RECORDS…",
            help="SSDA903 returns, files or folders (CSV or XML); or a table of counts by month, with --rules.",
        ),
    ],
    out: Annotated[
        Path, typer.Option(metavar="INSTANCE", help="A new folder, or the instance whose demand tables are replaced.")
    ],
    costs: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="FILE",
            help="What placements cost a week and how they were bought, by child, or by home (URN); may be given again.",
        ),
    ] = None,
    rules: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Your own need profiles and sources, as TOML; see the README.")
    ] = None,
    growth: Annotated[
        str | None, typer.Option(metavar="RATE", help="Growth a year laid on top of the trend, as 2.9% or 0.029.")
    ] = None,
    level: Annotated[
        str | None,
        typer.Option(
            metavar="MONTHS", help="Arrivals at the level of 2015, 2015/16 or 2015-06:2015-10, from the start on."
        ),
    ] = None,
    since: Annotated[
        str | None, typer.Option(metavar="MONTH", help="Leave arrivals before this month out, as 2021-04.")
    ] = None,
    authority: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Whose returns they are, where the instance has several authorities."),
    ] = None,
    account: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Write what became of each row of the returns, by file and row: for you, not to publish.",
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """Turn a council's own returns into the demand part of an instance, with a page of diagnostics."""
    from optimiser.demand.counted import is_counted
    from optimiser.demand.fitting import Wanted

    words = level or ""
    wanted = Wanted(
        since=None if since is None else _month(since, "--since"),
        level_of=None if level is None else _months(level),
        level_words=words,
        growth=None if growth is None else _rate(growth),
    )
    found = [path for path in records if is_counted(path)]
    if found:
        if account is not None:
            raise typer.BadParameter("only for returns: counts have no rows of children", param_hint="--account")
        document = _from_counts(records, found, out, rules, wanted)
    else:
        document = _from_returns(records, out, costs or [], rules, wanted, authority, account)
    show(document, as_json, "show_demand", "fitted")
    say_written(out, as_json)


def _from_returns(
    records: list[Path],
    out: Path,
    costs: list[Path],
    rules: Path | None,
    wanted: Wanted,
    authority: str | None,
    account: Path | None,
) -> dict[str, Any]:
    from dataclasses import replace

    from optimiser.demand.backtest import back_test
    from optimiser.demand.cohorts import read_rules, usual_rules
    from optimiser.demand.diagnostics import diagnostics
    from optimiser.demand.fitting import fit_demand
    from optimiser.demand.ssda903 import read_returns
    from optimiser.demand.writing import first_month_of, put_demand, start_from_template
    from optimiser.report.files import write_account, write_demand

    own = usual_rules(bool(costs)) if rules is None else read_rules(rules)
    dear = [rule.name for rule in own.cohort if rule.asks_costs]
    if dear and not costs:
        raise typer.BadParameter(
            f"a cost file, since the rules of {', '.join(dear)} ask for costs", param_hint="--costs"
        )
    wanted = replace(wanted, start=first_month_of(out))
    returns = read_returns(records, costs)
    model = fit_demand(returns, own, wanted, usual=rules is None)
    document = diagnostics(returns, model, back_test(returns, own, model, wanted))

    def put(folder: Path, fresh: bool) -> None:
        if fresh:
            start_from_template(folder, out.absolute().name, model)
        put_demand(folder, model, authority, fresh)

    write_demand(out, put, document)
    if account is not None:
        write_account(returns.reconciliation, account)
    return document


def _from_counts(
    records: list[Path], found: list[Path], out: Path, rules: Path | None, wanted: Wanted
) -> dict[str, Any]:
    from dataclasses import replace

    from optimiser.demand.cohorts import read_rules
    from optimiser.demand.counted import fit_counted, read_counted
    from optimiser.demand.diagnostics import counted_diagnostics
    from optimiser.demand.writing import first_month_of, put_arrivals
    from optimiser.finance import month_name
    from optimiser.report.files import write_demand

    if len(found) != len(records) or len(found) > 1:
        raise typer.BadParameter("one table of counts at a time, and no returns beside it", param_hint="RECORDS")
    start = first_month_of(out)
    if start is None:
        raise typer.BadParameter("counts say how many arrive: name an instance for the rest", param_hint="--out")
    own = read_rules(rules).arrivals if rules is not None else ()
    if not own:
        raise typer.BadParameter("an [[arrivals]] table that names the cohort", param_hint="--rules")
    fits = fit_counted(read_counted(found[0]), own, replace(wanted, start=start))
    document = counted_diagnostics(fits, month_name(start), wanted.growth, wanted.level_words)
    write_demand(out, lambda folder, _: put_arrivals(folder, fits, wanted.growth, wanted.level_words), document)
    return document


def synthesise(
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="A new or empty folder for the returns.")],
    years: Annotated[int, typer.Option(min=1, max=30, help="Returns, one a year.")] = 5,
    last_year: Annotated[
        int, typer.Option(min=1995, max=2100, help="Year in which the last return ends, on 31 March.")
    ] = 2025,
    children: Annotated[
        float, typer.Option(min=1.0, max=20_000.0, help="Children who start to be looked after a year, on average.")
    ] = 103.0,
    seed: Annotated[int, typer.Option(min=0, help="Seed of all draws.")] = 1,
    form: Annotated[str, typer.Option(help="csv or xml.")] = "csv",
    tidy: Annotated[bool, typer.Option("--tidy", help="Without the untidiness of real files.")] = False,
) -> None:
    """Write SSDA903 returns of children who never were, to try the rest without personal data."""
    from optimiser.demand.synthetic import TIDY, USUAL_TRUTH, Untidiness, scaled
    from optimiser.demand.synthetic import synthesise as write

    if form not in ("csv", "xml"):
        raise typer.BadParameter("csv or xml", param_hint="--form")
    made = write(
        folder,
        authority="anyshire",
        first_year=last_year - years + 1,
        years=years,
        seed=seed,
        truth=scaled(USUAL_TRUTH, children),
        untidiness=TIDY if tidy else Untidiness(),
        form="xml" if form == "xml" else "csv",
    )
    plural = "s" if len(made.files) > 1 else ""
    typer.echo(f"{len(made.files)} file{plural} of {years} years written to {folder}; the children in them never were.")
    typer.echo(f"Model their demand: optimiser demand {folder} --out my-instance.")


# what is written on the command line


def _rate(words: str) -> float:
    try:
        rate = float(words.removesuffix("%")) / (100 if words.endswith("%") else 1)
    except ValueError:
        rate = float("nan")
    if not -0.5 <= rate <= 0.5:
        raise typer.BadParameter("growth a year, between -50% and 50%, as 2.9% or 0.029", param_hint="--growth")
    return rate


def _month(words: str, hint: str) -> int:
    from optimiser.finance import month_number

    if not re.fullmatch(r"\d{4}-(0[1-9]|1[0-2])", words, flags=re.ASCII):
        raise typer.BadParameter("a month, as 2021-04", param_hint=hint)
    return month_number(words)


def _months(words: str) -> tuple[int, int]:
    """First month and month after the last of ``2015``, ``2015/16`` or ``2015-06:2015-10``."""
    if re.fullmatch(r"\d{4}", words, flags=re.ASCII):
        return int(words) * 12, int(words) * 12 + 12
    if re.fullmatch(r"\d{4}/\d{2}", words, flags=re.ASCII):
        return int(words[:4]) * 12 + 3, int(words[:4]) * 12 + 15
    first, colon, last = words.partition(":")
    if not colon:
        raise typer.BadParameter(
            "a year, a financial year or months, as 2015, 2015/16 or 2015-06:2015-10", param_hint="--level"
        )
    return _month(first, "--level"), _month(last, "--level") + 1
