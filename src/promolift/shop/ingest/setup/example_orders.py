"""Show five orders as a mapping reads them, in plain words, so that a person sees a wrong guess before anything runs.

The sample of a file, 2,000 rows from all of its parts, is cleaned as `ingest` cleans the whole file.
"""

from collections.abc import Callable, Collection
from collections.abc import Mapping as Dict
from dataclasses import replace
from typing import NamedTuple

import duckdb
import polars as pl

from promolift.foundation.errors import PromoError
from promolift.foundation.files.raw_table import RawTable
from promolift.foundation.i18n import formatting
from promolift.foundation.i18n.catalogue import gettext, ngettext
from promolift.foundation.money import currency_digits
from promolift.foundation.sql import fetch_frame, quote_identifier, sql_literal
from promolift.shop.configuration.column_mapping import Mapping
from promolift.shop.configuration.settings import CleanRules
from promolift.shop.ingest.cleaning.event_cleaning import clean_events
from promolift.shop.ingest.cleaning.table_join import order_lines
from promolift.shop.ingest.schema_matching.role_matching.mapping_draft import RoleGuess
from promolift.shop.ingest.schema_matching.role_matching.role_scores import BY_VALUES
from promolift.shop.ingest.setup.guessed_tables import GuessedTable

ORDERS_SHOWN, LINES_SHOWN = 5, 3
MIN_UNREAD = 0.02  # share of sampled rows that one reason may set aside before it is shown
LARGE_TIMES = 128  # times the middle order above which an order is shown

READ_BY = {  # whose column is in doubt where a rule rejects many rows
    "unreadable time": ("time",),
    "unreadable amount": ("amount", "unit_price"),
    "impossible price": ("amount", "unit_price"),
}


class SampleReading(NamedTuple):
    """What a mapping makes of the sample: sentences for a person, how many rows were read, and how many each rule
    rejected.
    """

    orders: tuple[str, ...]
    rows: int
    rejected: Dict[str, int]


def show_examples(parts: list[GuessedTable], show: Callable[[str], None] | None, rules: CleanRules) -> SampleReading:
    """Read the sample of the events, the first of `parts`, and make guesses less sure that set many rows aside."""
    events, products = parts[0], next((part for part in parts if part.name == "products"), None)
    assert events.log
    names = product_names(products, _product_ids(events))
    reading = read_sample(events.log.table, events.mapping, names, rules)
    parts[0] = replace(events, roles=doubt_roles(events.roles, reading))
    if show and (text := examples_text(reading)):
        show(text)
    return reading


def read_sample(table: RawTable, mapping: Mapping, names: Dict[str, str], rules: CleanRules) -> SampleReading:
    """Clean the sample of `table`; `names` are the products' names by id. Nothing is shown where it cannot be read."""
    sample = table.sample().with_row_index("_row", offset=1).with_columns(pl.col("_row").cast(pl.Int64))
    with duckdb.connect() as connection:
        connection.execute("set TimeZone = 'UTC'")
        try:
            raw = order_lines(connection.from_arrow(sample.to_arrow()), mapping)
            cleaned = clean_events(raw, mapping, rules).computed()
            counts, events = cleaned.counts(), cleaned.accepted().pl()
        except PromoError:
            return SampleReading((), sample.height, {})
    return SampleReading(_sentences(events, mapping, names), counts.read, counts.rejected)


def _product_ids(events: GuessedTable) -> set[str]:
    """The products of the sample of the events."""
    assert events.log
    sample = events.log.table.sample()
    columns = [name for name in events.mapping.sources("product_id") if name in sample.columns]
    return {value for name in columns for value in sample[name].cast(pl.String, strict=False).drop_nulls()}


def product_names(products: GuessedTable | None, ids: Collection[str]) -> dict[str, str]:
    """Return the names of some products, in the events or in a file of their own, as far as there are any."""
    if products is None or products.log is None or not products.mapping.has("name") or not ids:
        return {}
    key, name = (products.mapping.sources(role)[0] for role in ("product_id", "name"))
    rows = products.log.table.rows
    if not {key, name} <= set(rows.columns):
        return {}
    pairs = rows.project(f"{quote_identifier(key)}::varchar as key, {quote_identifier(name)}::varchar as name")
    named = fetch_frame(pairs.filter(f"key in {sql_literal(sorted(ids))} and name is not null"))
    return dict(named.unique(subset="key", keep="first", maintain_order=True).iter_rows())


def _sentences(events: pl.DataFrame, mapping: Mapping, names: Dict[str, str]) -> tuple[str, ...]:
    bought = events.filter(pl.col("kind") == "purchase")
    if not bought.height:
        return tuple(_view(row, mapping, names) for row in events.head(ORDERS_SHOWN).iter_rows(named=True))
    key = [name for name in ("customer_id", "order_id") if bought[name].null_count() < bought.height]
    orders = bought.group_by(key, maintain_order=True).agg(
        pl.len().alias("lines"),
        pl.col("revenue_cents").sum().alias("paid"),
        (pl.col("list_cents") - pl.col("revenue_cents")).sum().alias("off"),
    )
    chosen = _choose(orders)
    return tuple(
        _order(bought.join(orders[place].select(key), on=key, nulls_equal=True), mapping, names) for place in chosen
    )


def _choose(orders: pl.DataFrame) -> list[int]:
    """Places of five orders: the largest if it is far above the others, one with a discount, one of several lines."""
    wanted = list[int]()
    middle = orders["paid"].median()
    if isinstance(middle, float) and (orders["paid"].max() or 0) > LARGE_TIMES * max(middle, 1):  # type: ignore[operator]
        wanted.append(orders["paid"].arg_max() or 0)
    for condition in (pl.col("off") > 0, pl.col("lines") > 1):
        found = orders.select(pl.arg_where(condition)).to_series()
        wanted += found.head(1).to_list()
    step = max(orders.height // ORDERS_SHOWN, 1)
    wanted += range(0, orders.height, step)
    wanted += range(orders.height)
    return sorted([*dict.fromkeys(wanted)][:ORDERS_SHOWN])


def _order(lines: pl.DataFrame, mapping: Mapping, names: Dict[str, str]) -> str:
    first = lines.row(0, named=True)
    paid, listed = int(lines["revenue_cents"].sum()), int(lines["list_cents"].sum())
    goods = [_line(row, mapping, names) for row in lines.head(LINES_SHOWN).iter_rows(named=True)]
    if lines.height > LINES_SHOWN:
        rest = lines.height - LINES_SHOWN
        goods.append(ngettext("{rest} more line", "{rest} more lines", rest, rest=rest))
    parts = [when(first["ts_ms"], mapping), person(str(first["customer_id"])), *goods]
    if listed > paid:
        off = f"{amount(listed - paid, mapping.currency)} ({1 - paid / listed:.0%})"
        parts.append(gettext("{off} off", off=off))
    parts.append(gettext("paid ") + amount(paid, mapping.currency))
    number = first["order_id"] if mapping.has("order_id") else None
    head = gettext("Order {number}", number=number) if number else gettext("An order")
    return gettext(", ").join([head, *parts])


def _line(row: Dict[str, object], mapping: Mapping, names: Dict[str, str]) -> str:
    listed, units = row["list_cents"], row["quantity"] or 1
    assert isinstance(listed, int)
    assert isinstance(units, int | float)
    product = str(row["product_id"]) if row["product_id"] is not None else gettext("something")
    name = formatting.truncate(names.get(product, product), 40)
    each = amount(round(listed / units), mapping.currency)
    return gettext("{units} x {name} at {each}", units=f"{units:g}", name=name, each=each)


def _view(row: Dict[str, object], mapping: Mapping, names: Dict[str, str]) -> str:
    product = str(row["product_id"])
    parts = [str(row["kind"]), when(row["ts_ms"], mapping), person(str(row["customer_id"]))]
    return gettext(", ").join([*parts, formatting.truncate(names.get(product, product), 40)])


def when(ms: object, mapping: Mapping) -> str:
    """The local day."""
    return formatting.date(ms, mapping.zone)


def amount(cents: int, currency: str) -> str:
    """An amount to its last digit, with the sign of its currency."""
    digits = currency_digits(currency)
    return f"{formatting.currency_symbol(currency)}{cents / 10**digits:,.{digits}f}"


def person(customer: str) -> str:
    """The customer, without the domain of an address."""
    name, at, _ = customer.partition("@")
    return f"{name}@..." if at else formatting.truncate(customer, 24)


def examples_text(reading: SampleReading) -> str:
    """The orders and what would be set aside, as lines."""
    if not reading.orders:
        return ""
    lines = [gettext("this is how your file is read:"), *(f"  {order}" for order in reading.orders)]
    lines += [gettext("  NOT SURE: {text}", text=text) for text in rejection_texts(reading)]
    return "\n".join(lines)


def rejection_texts(reading: SampleReading) -> list[str]:
    """Say for each rule that rejects more than a few rows of the sample how many it rejects."""
    return [
        gettext(
            "{share} of the sampled rows would be set aside: {name}", share=f"{rows / reading.rows:.0%}",
            name=gettext(reason),
        )
        for reason, rows in reading.rejected.items()
        if rows > MIN_UNREAD * reading.rows
    ]  # fmt: skip


def doubt_roles(roles: Dict[str, RoleGuess], reading: SampleReading) -> dict[str, RoleGuess]:
    """The guesses, those less sure whose column sets more than a few rows of the sample aside."""
    bad = [reason for reason, rows in reading.rejected.items() if rows > MIN_UNREAD * reading.rows]
    doubted = {role for reason in bad for role in READ_BY.get(reason, ())}
    return {
        role: guess._replace(sure=min(guess.sure, BY_VALUES)) if role in doubted and guess.sure < 1 else guess
        for role, guess in roles.items()
    }
