"""What a council can move: envelopes, registrations and managers in hand, sizes and prices of blocks, prices of contracts in place,
the weight of risk.

Each is a figure of the instance, by its key in the register. What is asked for instead is a change of the instance, so that
everything downstream treats it as if it had always been so, and the register says that it was chosen.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Annotated, Any

from pydantic import TypeAdapter, ValidationError

from optimiser.amounts import amount_of
from optimiser.errors import Fault
from optimiser.instance.checks import check_all
from optimiser.instance.draft import Draft, description
from optimiser.instance.reading import LARGEST, plain_rule
from optimiser.instance.register import given
from optimiser.instance.schema import TABLES, Capital, Instance, Lot, Row, Settings

RISK_WEIGHT = "settings.risk_weight"
#: Tables in which a fault can come of what is moved; a year that releases more than the total does no harm.
MOVED = ("lots", "tiers", "existing", "extensions", "settings")
#: Tables whose figures stand under the name of a contract.
OF_CONTRACTS = ("lots.", "tiers.", "existing.", "extensions.")
#: What a unit asks for where what is written is no number at all.
EXAMPLES = {"£": "Write pounds as 2,800,000, 2800k or £2.8m.", "share": "Write a share from 0 to 1, as 0.3 or 30%."}


@dataclass(frozen=True)
class Lever:
    """A figure that can be moved.

    Parameters
    ----------
    key : of the figure, as in the register
    group, label : heading under which it stands, and what it is called there
    unit : £, £ a week, beds, homes, managers, managers a year, times, or share
    value : as the instance has it; None for no limit
    step : by how much it is moved at once, in its unit
    endless : whether there may be no limit
    """

    key: str
    group: str
    label: str
    unit: str
    value: float | None
    step: float
    endless: bool = False

    def words(self, value: float | None) -> str:
        """A value as people write it, without its unit but for pounds and percentages."""
        if value is None:
            return "no limit"
        if self.unit.startswith("£"):
            return f"£{value:,.0f}" if value == round(value) else f"£{value:,.2f}"
        return f"{value:g}"


def levers_of(instance: Instance) -> list[Lever]:
    """Everything that can be moved in an instance, in the order in which it is shown."""
    return [*_capital(instance), *_managers(instance), *_blocks(instance), *_in_place(instance), *_risk(instance)]


def _capital(instance: Instance) -> Iterator[Lever]:
    if not instance.homes:
        return
    for place, row in enumerate(instance.capital):
        key = f"capital.{instance.row_key('capital', place)}.limit_gbp"
        when = "in total" if row.year == "total" else f"in {row.year}"
        several = len({each.envelope for each in instance.capital}) > 1
        label = f"Capital {when}" + (f" ({row.envelope})" if several else "")
        yield Lever(key, "Capital", label, "£", row.limit_gbp, _step(row.limit_gbp, 0.1), row.year == "total")
    if not instance.capital:
        yield Lever("capital.capital.total.limit_gbp", "Capital", "Capital in total", "£", None, 500_000.0, True)


def _managers(instance: Instance) -> Iterator[Lever]:
    settings, group = instance.settings, "Registrations and managers in hand"
    if not instance.homes:
        return
    limit = settings.registrations_limit
    label = "Homes between start and registration at once"
    yield Lever("settings.registrations_limit", group, label, "homes", limit, 1.0, True)
    if settings.homes_per_manager is not None:
        rate = settings.managers_recruited_per_year
        label = "Managers in post or to be had at once"
        yield Lever("settings.managers_at_start", group, label, "managers", settings.managers_at_start, 1.0)
        label = "Further managers recruited a year"
        yield Lever("settings.managers_recruited_per_year", group, label, "managers a year", rate, 0.5)


def _blocks(instance: Instance) -> Iterator[Lever]:
    for lot in instance.lots:
        key, group = f"lots.{lot.lot}", lot.title
        yield Lever(f"{key}.minimum_beds", group, "Fewest committed beds", "beds", lot.minimum_beds, 1.0)
        yield Lever(f"{key}.maximum_beds", group, "Most committed beds", "beds", lot.maximum_beds, 1.0)
        for place, tier in enumerate(instance.tiers):
            if tier.lot == lot.lot:
                own = f"tiers.{instance.row_key('tiers', place)}.gbp_per_week"
                beds = f"{tier.from_beds} to {tier.to_beds} beds" if tier.to_beds > tier.from_beds else "the only size"
                price = tier.gbp_per_week
                yield Lever(own, group, f"Price of a bed, {beds}", "£ a week", price, _step(price))
        yield Lever(f"{key}.call_off_beds", group, "Most call-off beds", "beds", lot.call_off_beds, 1.0)
        if lot.call_off_beds:
            price = lot.call_off_gbp_per_week
            label = "Price of a call-off bed when used"
            yield Lever(f"{key}.call_off_gbp_per_week", group, label, "£ a week", price, _step(price))
            price = lot.call_off_retainer_gbp_per_week
            label = "Retainer of a call-off bed, used or not"
            yield Lever(f"{key}.call_off_retainer_gbp_per_week", group, label, "£ a week", price, _step(price))
        yield from _extensions(instance, lot.lot, group)


def _in_place(instance: Instance) -> Iterator[Lever]:
    """Prices of contracts in place: what they cost until they end, and what their extensions cost."""
    for supply in instance.existing:
        key, group = f"existing.{supply.supply}", supply.title
        price = supply.child_gbp_per_week
        if price:
            label = "Price of each child there"
            yield Lever(f"{key}.child_gbp_per_week", group, label, "£ a week", price, _step(price))
        if supply.committed_gbp_per_week or not price:
            price, label = supply.committed_gbp_per_week, "Price of a bed in place, used or not"
            yield Lever(f"{key}.committed_gbp_per_week", group, label, "£ a week", price, _step(price))
        yield from _extensions(instance, supply.supply, group)


def _extensions(instance: Instance, contract: str, group: str) -> Iterator[Lever]:
    for place, row in enumerate(instance.extensions):
        if row.contract == contract:
            own = f"extensions.{instance.row_key('extensions', place)}.price_factor"
            label = f"Price in extension {row.option}, as a multiple of the price before"
            yield Lever(own, group, label, "times", row.price_factor, 0.05)


def _risk(instance: Instance) -> Iterator[Lever]:
    label = "Weight of the worst futures, 0 (none) to 1 (nothing else counts)"
    yield Lever(RISK_WEIGHT, "Risk", label, "share", instance.settings.risk_weight, 0.1)


def _step(value: float, share: float = 0.05) -> float:
    """About so large a share of a figure, as a round number."""
    if value <= 0:
        return 1.0
    size = 10.0 ** math.floor(math.log10(value * share))
    return min((size * mark for mark in (1, 2, 5, 10)), key=lambda step: abs(math.log(step / (value * share))))


# what is written


def read_levers(instance: Instance, written: Mapping[str, str]) -> tuple[dict[str, float | None], dict[str, Fault]]:
    """Figures that differ from the instance's, by key, and the faults of what is written, by key.

    Parameters
    ----------
    written : text by key, as a person writes it; figures that are not there stay as they are

    Returns
    -------
    figures, faults
        Faults at once, each with its rule and what mends it; those between figures only where each is right by itself.
    """
    figures: dict[str, float | None] = {}
    faults: dict[str, Fault] = {}
    for lever in levers_of(instance):
        text = written.get(lever.key)
        if text is None:
            continue
        try:
            value = _value(lever, text)
        except ValueError as error:
            faults[lever.key] = _fault(lever, text, str(error))
            continue
        if value != lever.value:
            figures[lever.key] = value
    return figures, faults or dict(_disagreements(instance, figures))


def _value(lever: Lever, text: str) -> float | None:
    """What a text says; ``ValueError`` with the rule that it breaks."""
    text = text.strip()
    if not text or text.lower() == "no limit":
        if lever.endless:
            return None
        raise ValueError("is blank" if not text else "is not a number")
    number = _number(lever, text)
    table, _, rest = lever.key.partition(".")
    column = rest.rpartition(".")[2]
    field = _model(table).model_fields[column]
    try:
        checked: TypeAdapter[float] = TypeAdapter(Annotated[field.annotation, *field.metadata, column])  # type: ignore[arg-type]
        value = checked.validate_python(number)
    except ValidationError as error:
        raise ValueError(plain_rule(error.errors()[0])) from None
    if value > LARGEST:
        raise ValueError(f"is larger than {LARGEST:,.0f}")
    return value


def _number(lever: Lever, text: str) -> str:
    """A number as the schema reads it: pounds with £, k or m, a percentage as a share."""
    if lever.unit.startswith("£"):
        pounds = amount_of(text)
        return text if pounds is None else repr(pounds)
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*%", text, flags=re.ASCII)
    return repr(float(match[1]) / 100) if match and lever.unit == "share" else text


def _model(table: str) -> type[Row]:
    return Settings if table == "settings" else TABLES[table][0]


def _fault(lever: Lever, value: str, rule: str) -> Fault:
    table, _, rest = lever.key.partition(".")
    fix = description(_model(table), rest.rpartition(".")[2])
    known = EXAMPLES.get("£" if lever.unit.startswith("£") else lever.unit)
    endless = "Leave it blank for no limit." if lever.endless and "blank for no limit" not in fix else ""
    return Fault(lever.label, None, "", value, rule, " ".join(part for part in (fix, known, endless) if part))


def _disagreements(instance: Instance, figures: Mapping[str, float | None]) -> Iterator[tuple[str, Fault]]:
    """What does not agree with one another once the figures are moved, by the key of the figure that says so."""
    moved = with_figures(instance, figures)
    draft = Draft.of(moved)
    numbered = {
        name: replace(table, rows=tuple(replace(row, number=place) for place, row in enumerate(table.rows or ())))
        for name, table in draft.tables.items()
    }
    known = {lever.key: lever for lever in levers_of(moved)}
    for fault in check_all(replace(draft, tables=numbered)):
        table = "settings" if fault.file == draft.settings_file else fault.file.removesuffix(".csv")
        if table not in MOVED or fault.rule.startswith("has no row in evidence.csv"):
            continue
        key = f"{table}.{fault.field}"
        if fault.row is not None:
            key = f"{table}.{moved.row_key(table, fault.row)}.{fault.field}"
        if key in known:
            yield key, Fault(known[key].label, None, "", fault.value, fault.rule, fault.fix)


# the instance moved


def with_figures(instance: Instance, figures: Mapping[str, float | None]) -> Instance:
    """The instance with figures as asked for, and the register saying so.

    Where a block's sizes grow, its first and last price hold for the sizes added. A capital limit of None is no limit. Options
    that award what can no longer be awarded are left out.

    Raises
    ------
    KeyError
        Where the instance has no such figure.
    """
    tables: dict[str, list[Any]] = {}
    settings: dict[str, Any] = {}
    chosen = []
    before = instance.figure_values()
    for key, value in figures.items():
        table, _, rest = key.partition(".")
        name, _, column = rest.rpartition(".")
        if table == "settings":
            settings[rest] = _typed(getattr(instance.settings, rest), Settings, rest, value)
        else:
            rows = tables.setdefault(table, list(getattr(instance, table)))
            place = _place(instance, table, name, rows)
            rows[place] = rows[place].model_copy(update={column: _typed(None, type(rows[place]), column, value)})
        if value is not None:
            chosen.append(given(key, value, before.get(key), "Chosen in a what-if"))
    for lot in {key.split(".")[1] for key in figures if re.fullmatch(r"lots\..*\.(?:minimum|maximum)_beds", key)}:
        row = next(row for row in tables["lots"] if row.lot == lot)
        tables["tiers"] = _priced_throughout(tables.get("tiers", list(instance.tiers)), row)
    if "capital" in tables:
        tables["capital"] = [row for row in tables["capital"] if row.limit_gbp is not None]
    kept = [row for row in instance.evidence if row.figures not in figures]
    update: dict[str, Any] = {table: tuple(rows) for table, rows in tables.items()}
    update["evidence"] = (*kept, *chosen)
    if settings:
        update["settings"] = instance.settings.model_copy(update=settings)
    return _with_possible_options(instance.model_copy(update=update))


def _with_possible_options(instance: Instance) -> Instance:
    lots = {lot.lot: lot for lot in instance.lots}
    gone = {
        row.option
        for row in instance.decisions
        if row.action == "award"
        and not (
            lots[row.item].minimum_beds <= row.number <= lots[row.item].maximum_beds
            and row.call_off <= lots[row.item].call_off_beds
        )
    }
    kept = {
        table: tuple(row for row in getattr(instance, table) if row.option not in gone)
        for table in ("options", "decisions")
    }
    return instance.model_copy(update=kept) if gone else instance


def _place(instance: Instance, table: str, name: str, rows: list[Any]) -> int:
    """Position of a row; a limit on capital may be a new one."""
    for place in range(len(getattr(instance, table))):
        if instance.row_key(table, place) == name:
            return place
    if table != "capital" or instance.capital:
        raise KeyError(f"{table}.{name}")
    envelope, _, year = name.rpartition(".")
    rows.append(Capital(envelope=envelope, year=year, limit_gbp=0.0))
    return len(rows) - 1


def _typed(old: object, model: type[Row], column: str, value: float | None) -> float | int | None:
    """A whole number where the schema asks for one, so that the same figure has the same fingerprint."""
    if value is None:
        return None
    whole = "int" in str(model.model_fields[column].annotation)
    return round(value) if whole or isinstance(old, int) else float(value)


def _priced_throughout(tiers: list[Any], lot: Lot) -> list[Any]:
    own = [place for place, tier in enumerate(tiers) if tier.lot == lot.lot]
    first, last = own[0], own[-1]
    if tiers[first].from_beds > max(lot.minimum_beds, 1):
        tiers[first] = tiers[first].model_copy(update={"from_beds": lot.minimum_beds})
    if tiers[last].to_beds < lot.maximum_beds:
        tiers[last] = tiers[last].model_copy(update={"to_beds": lot.maximum_beds})
    return tiers


def figure_asked_words(key: str, value: float | None) -> str:
    """A figure that was asked for, in words: ``risk weight 0.3`` for ``settings.risk_weight``."""
    table, _, rest = key.partition(".")
    name, _, column = rest.rpartition(".")
    shown = "no limit" if value is None else f"£{value:,.0f}" if "gbp" in column else f"{value:g}"
    words = PRICES.get(column, re.sub(r"_?gbp(?:_per_week)?", "", column).replace("_", " ").strip())
    if table == "capital":
        words = "capital" + ("" if name.endswith("total") else f" in {name.rpartition('.')[2]}")
        name = name.rpartition(".")[0]
    if table == "tiers":
        lot, _, beds = name.rpartition(".")
        words, name = f"weekly price from {beds} beds", lot
    return f"{words} {shown}" + (f" ({name.replace('-', ' ')})" if name else "")


#: Prices that are asked for, in words.
PRICES = {
    "committed_gbp_per_week": "weekly price of a bed in place",
    "child_gbp_per_week": "weekly price of a child",
    "call_off_gbp_per_week": "weekly price of a call-off bed",
    "call_off_retainer_gbp_per_week": "weekly retainer of a call-off bed",
}


def lever_words(instance: Instance, figures: Mapping[str, float | None]) -> list[str]:
    """What has been moved in an instance, each as ``Capital in total: £2,800,000 instead of £3,800,000``."""
    found = []
    for lever in levers_of(instance):
        if lever.key in figures:
            place = f" ({lever.group})" if lever.key.startswith(OF_CONTRACTS) else ""
            unit = lever.unit.removeprefix("£").strip()
            unit = "" if unit == "share" else f" {unit}" if unit else ""
            now = lever.words(figures[lever.key])
            explained = lever.key.startswith(("settings.", "extensions."))
            label = lever.label.partition(",")[0] if explained else lever.label
            found.append(f"{label}{place}: {now}{unit} instead of {lever.words(lever.value)}")
    return found
