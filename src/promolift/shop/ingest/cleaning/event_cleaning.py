"""Clean raw events: accept, repair or reject each row by the cleaning rules."""

import re
from collections.abc import Callable, Iterator
from collections.abc import Mapping as Dict
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field, replace
from typing import NamedTuple

import numpy as np
import polars as pl

from promolift.foundation.files.column_names import (
    CANCELLED_STATUS,
    EVENT_NAME_SQL,
    KIND_BY_EVENT_NAME,
    PARTIAL_STATUS,
    currency_sql,
    normalise_event_name,
)
from promolift.foundation.sql import bind, fetch_frame, materialise, quote_identifier, run_select, sql_literal
from promolift.foundation.tables.contract import Table
from promolift.foundation.tables.schemas import EVENTS
from promolift.shop.configuration.column_mapping import DAYS_SINCE_LAST, Mapping
from promolift.shop.configuration.settings import CleanRules
from promolift.shop.ingest.cleaning import sql_casts
from promolift.shop.ingest.cleaning.cleaning_rules import RULES, Rule
from promolift.shop.ingest.cleaning.role_expressions import RoleExpressions, local_timestamp_sql
from promolift.shop.ingest.cleaning.row_counts import RuleHits, count_rows, count_rule_hits
from promolift.shop.results.ingest import Counts

Relation = sql_casts.Relation
MONEY_ROLES = ("amount", "unit_price", "list_amount", "list_unit_price")
MAX_ROWS_BETWEEN_REPEATS = 100  # so many rows lie at most between two lines that one order got at one time
LONGEST_LOOK_S = 86_400  # nobody looks for longer: the page was left open
ROLE_OF = {  # the role that each typed column of an event says
    **{"ts_ms": "time", "received_ms": "received", "word": "kind"},
    **{role: role for role in ("product_id", "order_id", "session_id", "store_id", "channel", "coupon_id")},
    **{role: role for role in ("quantity", *MONEY_ROLES)},
    **{"shelf_said": "shelf_discount", "coupon_said": "coupon_discount"},
    **{role: role for role in ("currency", "status", "dwell")},
}
NUMBER_SIGNS = r"[\d\s.,()+'-]"  # of a cell such as '€ 1.234,50', all but its currency
SAME_EVENT = ("kind", "time", "product_id", "order_id", "quantity", *MONEY_ROLES)  # what one event says in one way


@dataclass(frozen=True)
class CleanedTable:
    """Judged rows of one table, still lazy: the clean columns, `_row`, `_reason` (null if accepted), `_flags`, `_raw`.

    Each of `accepted`, `rejected` and `counts` runs the cleaning anew; of `cleaned.computed()`, and inside
    `with cleaned.staged(store.staged) as kept:`, it has run once.
    """

    table: Table
    judged: Relation = field(repr=False)
    order: str

    def accepted(self) -> Relation:
        """The clean rows, in a fixed order (but for the shelf, whose millions of rows stay as the source has them)."""
        extra = [name for name in self.judged.columns if name not in self.table.schema and not name.startswith("_")]
        columns = [*self.table.schema, *(extra if self.table.open else [])]
        kept = self.judged.filter("_reason is null")
        return (kept.order(self.order) if self.order else kept).project(", ".join(map(quote_identifier, columns)))

    def rejected(self, source: str) -> Relation:
        """The rows set aside, as tables.REJECTED."""
        bad = self.judged.filter("_reason is not null").order("_row")
        return bad.project(f"{sql_literal(source)} as source, _row as row, _reason as reason, _raw as raw")

    def counts(self) -> Counts:
        """Read, accepted, repaired and rejected rows by rule."""
        return count_rows(self.table.name, self.judged)

    def computed(self) -> "CleanedTable":
        """The same with its rows computed once, in memory."""
        return replace(self, judged=materialise(self.judged))

    @contextmanager
    def staged(self, stage: Callable[[Relation], AbstractContextManager[Relation]]) -> Iterator["CleanedTable"]:
        """The same with its rows computed once and kept by `stage` until the block ends."""
        with stage(self.judged) as kept:
            yield replace(self, judged=kept)


class JudgedShard(NamedTuple):
    """Judged rows in memory: the clean ones in their order; `_row`, `_line` and `_reason` of the others; the counts,
    without the first bad rows.
    """

    accepted: pl.DataFrame
    aside: pl.DataFrame
    counts: Counts


def clean_shard_events(part: Relation, mapping: Mapping, rules: CleanRules) -> JudgedShard:
    """Clean the rows of one shard of `partition_events`."""
    if "_reason" in part.columns:
        rows = _with_repeats(fetch_frame(part), part, mapping)
    else:
        rows = fetch_frame(clean_events(part, mapping, rules).judged.project("* exclude (_raw)"))
    met = rows.group_by("_reason", "_flags").agg(pl.len(), (pl.col("_line") > 1).sum())
    counts = count_rule_hits("events", (RuleHits(*row) for row in met.iter_rows()))
    good = pl.col("_reason").is_null()
    order = rows.select(pl.arg_where(good)).to_series()
    known = rows.select("customer_id", "ts_ms", "_row")[order]
    people = known["customer_id"].cast(pl.Enum(known["customer_id"].unique().sort())).to_physical()
    order = order[np.lexsort((known["_row"], known["ts_ms"], people))]  # numbers are sorted in a third of the time
    reasons = pl.Enum([rule.name for rule in RULES["events"]])  # texts would keep those of all rows in memory
    aside = rows.filter(~good).select("_row", "_line", pl.col("_reason").cast(reasons))
    return JudgedShard(rows.select(*EVENTS.schema)[order], aside, counts)


def _with_repeats(rows: pl.DataFrame, part: Relation, mapping: Mapping) -> pl.DataFrame:
    """Rows that were judged each by itself, with those set aside that come again."""
    again = _again(rows, part.project("*, coalesce(customer_id, '') as _customer"), mapping)
    if again is None:
        return rows
    found = rows.select("_key", "_row").join(fetch_frame(again), on="_key", how="left", maintain_order="left")
    repeated = (found["_row"] > found["last_row"]).fill_null(False)
    equal_line = (found["_row"] > found["first_row"]).fill_null(False) & ~repeated
    names = [rule.name for rule in RULES["events"]]
    sooner = pl.col("_reason").is_in(names[: names.index("duplicate")]).fill_null(False)  # the first rule met counts
    reason = pl.when(repeated & ~sooner).then(pl.lit("duplicate")).otherwise(pl.col("_reason"))
    line = pl.when(equal_line).then(1 << names.index("equal line")).otherwise(0)
    return rows.with_columns(reason.alias("_reason")).with_columns(
        pl.when(pl.col("_reason").is_null()).then(pl.col("_flags") + line).otherwise(0).alias("_flags")
    )


def rejected_rows(raw: Relation, mapping: Mapping, aside: pl.DataFrame, source: str) -> Relation:
    """The raw rows that stand in `aside` (see JudgedShard), read once more, as tables.REJECTED."""
    reader = RoleExpressions.of(raw, mapping, mapping.table)
    key = ", ".join(name for name in ("_row", "_line") if name in reader.types)
    query = f"""
        with renamed as (select {reader.renamed()} from raw)
        select {sql_literal(source)} as source, _row as row, _reason::varchar as reason, {reader.raw_json()} as raw
        from renamed join aside using ({key}) order by row
    """
    return run_select(query, raw=raw, aside=aside)


def add_shard_keys(raw: Relation, mapping: Mapping, texts: bool = True) -> Relation:
    """Raw rows read, each role as a typed column, and what shards are made by: `_customer` (text, '' if missing) and
    `_key` (equal for duplicates).

    A raw relation has `_row` (from 1) and the source's own columns; with `texts` these stay under '=<name>', so that
    rows that are set aside can be shown.
    """
    reader = RoleExpressions.of(raw, mapping, mapping.table)
    line = ["_line"] if "_line" in reader.types else []  # equal lines of one basket are two
    key = f"hash({', '.join([quote_identifier('=' + name) for name in reader.raw_columns] + line)})"
    if mapping.has("event_id"):
        event = reader.id("event_id")
        # An id that comes again with another time, product or amount is not that of one event: a concert's, say.
        same = [quote_identifier("=" + name) for role in SAME_EVENT for name in mapping.sources(role)]
        sent = ", ".join([reader.id("customer_id"), event, *same, *line])
        key = f"case when {event} is not null then hash({sent}) else {key} end"
    typed = {name: _column(reader, name) for name, role in ROLE_OF.items() if role in mapping.columns}
    if mapping.time_format == DAYS_SINCE_LAST:
        del typed["ts_ms"]
        typed |= {"gap": reader.number("time"), "number": reader.number("sequence")}
        typed["since"] = reader.since_midnight() if mapping.has("clock") else "0"
    if "_price" in reader.types:
        typed["price"] = "_price"
    own = {"_customer": f"coalesce({reader.id('customer_id')}, '')", "_key": key, **typed}
    names = ["_row", *line, *own, *(f"={name}" for name in reader.raw_columns if texts)]
    query = f"""
        with renamed as (select {reader.renamed()} from raw),
        typed as (
            select *, {", ".join(f"{value} as {quote_identifier(name)}" for name, value in own.items())} from renamed)
        select {", ".join([*map(quote_identifier, names), *_written(reader, typed)])} from typed
    """
    return sql_casts.select(raw, query)


def _column(reader: RoleExpressions, name: str) -> str:
    """SQL for a typed column of ROLE_OF. Money is in minor units, unrounded; purchases and reductions are positive."""
    mapping, role = reader.mapping, ROLE_OF[name]
    reduced = -1 if mapping.discount == "negative" else 1
    match name:
        case "ts_ms" | "received_ms":
            return reader.time(role)
        case "word":
            return EVENT_NAME_SQL.format(reader.text(role))
        case "channel":
            return reader.text(role)
        case "quantity":
            return reader.number(role)
        case "shelf_said":
            return f"({reader.number(role)}) * {reduced * _discount_factor(mapping)}"
        case "coupon_said":
            return f"({reader.number(role)}) * {reduced * mapping.minor_factor}"
        case "currency":
            return currency_sql(_currency_text(reader))
        case "status":
            return f"lower({reader.text(role)})"
        case "dwell":
            return f"({reader.number(role)}) / {1000 if _in_ms(mapping) else 1}"
    if name in MONEY_ROLES:
        return f"({reader.number(role)}) * {mapping.minor_factor * (-1 if mapping.spending == 'negative' else 1)}"
    return reader.id(role)


def _currency_text(reader: RoleExpressions) -> str:
    """The text that names the currency; beside an amount in its own cell, what is no part of the number."""
    mapping = reader.mapping
    said = reader.text("currency")
    if not set(mapping.sources("currency")) & {name for role in MONEY_ROLES for name in mapping.sources(role)}:
        return said
    return f"nullif(regexp_replace({said}, {sql_literal(NUMBER_SIGNS)}, '', 'g'), '')"


def _written(reader: RoleExpressions, typed: Dict[str, str]) -> list[str]:
    """Whether anything stands in the cells of times, quantities and money: asked only where they could not be read."""
    time = "gap" if reader.mapping.time_format == DAYS_SINCE_LAST else "ts_ms"
    found = []
    for name, columns in (("time", (time,)), ("quantity", ("quantity",)), ("money", MONEY_ROLES)):
        if there := [column for column in columns if column in typed]:
            said = " or ".join(reader.written(ROLE_OF.get(column, "time")) for column in there)
            found.append(f"case when coalesce({', '.join(there)}) is null then {said} else true end as {name}_written")
    return found


def add_catalogue_price(raw: Relation, mapping: Mapping, prices: Relation) -> Relation:
    """Add to raw events `_price`, the catalogue's price_cents, for purchases that carry none of their own.

    `prices` has product_id (unique) and price_cents, as tables.PRODUCTS.
    """
    reader = RoleExpressions.of(raw, mapping, mapping.table)
    product = reader.id("product_id").replace('"=', '"')
    catalogue = prices.project("product_id as _product, price_cents as _price").filter("_price is not null")
    joined = raw.set_alias("raw").join(catalogue.set_alias("catalogue"), f"{product} = _product", how="left")
    return joined.project("* exclude (_product)")


def partition_events(raw: Relation, mapping: Mapping, rules: CleanRules) -> Relation:
    """Raw events as they are parted into shards by customer_id or, where that is not there, `_customer`: judged already
    in all that a row says of itself, so that texts are read once. Amounts of whole orders, and days counted from one
    order to the next, need the other rows of a customer first.
    """
    rows = add_shard_keys(raw, mapping, texts=False)
    if mapping.shared or mapping.time_format == DAYS_SINCE_LAST:
        return rows
    more = ", _key"
    if _counts_lines(mapping):
        more += f", {_order_of(mapping)} as _order"
    return run_select(_judging(rows, mapping, rules, False, more), rows=rows)


def clean_events(raw: Relation, mapping: Mapping, rules: CleanRules) -> CleanedTable:
    """Judge every raw event, or row of `add_shard_keys`. A customer's rows are judged without any other customer's, so
    shards change nothing.
    """
    rows = raw if "_key" in raw.columns else add_shard_keys(raw, mapping)
    if mapping.time_format == DAYS_SINCE_LAST:
        rows = _days_of_gaps(rows, mapping)
    kinds = dict(zip(rows.columns, map(sql_casts.type_family, rows.types), strict=True))
    source = RoleExpressions(mapping, {name[1:]: kind for name, kind in kinds.items() if name.startswith("=")})
    more = f", case when _reason is not null then {source.raw_json() if source.types else 'null::varchar'} end as _raw"
    keyed = rows
    if _counts_lines(mapping):
        keyed = rows.project(f"_customer, _key, _row, {_order_of(mapping)} as _order")
    again = _again(fetch_frame(keyed.project("_key, _row")), keyed, mapping)
    query = _judging(rows, mapping, rules, again is not None, more)
    found = run_select(query, rows=rows) if again is None else run_select(query, rows=rows, again=again)
    return CleanedTable(EVENTS, found, "customer_id, ts_ms, _row")


def _judging(rows: Relation, mapping: Mapping, rules: CleanRules, repeating: bool, more: str) -> str:
    """The columns of tables.EVENTS, `_row`, `_line`, `_reason` and `_flags` of `add_shard_keys`, and `more`; of those
    rows that stand in `again` where some are `repeating`.
    """
    limits: dict[str, object] = {**rules.model_dump(), "currency": mapping.currency}
    return f"""
        with words as (from (values {_kind_words(mapping)}) as words(word, kind)),
        parsed as ({_parsed(rows, mapping, repeating)}),
        shared as ({_shared(mapping)}),
        valued as ({_valued(mapping)}),
        known as ({_known(mapping)}),
        judged as (select *, {reason_sql(RULES["events"], limits)} as _reason from known)
        select {bind(_events(mapping), **limits)}, _row, {"_line" if "_line" in rows.columns else "1"} as _line,
            _reason, {flags_sql(RULES["events"], limits)} as _flags{more}
        from judged
    """


def _counts_lines(mapping: Mapping) -> bool:
    """Whether equal rows may be lines of one order."""
    return mapping.repeats == "lines" and not mapping.has("event_id") and not mapping.basket


def _order_of(mapping: Mapping) -> str:
    """SQL for what tells a customer's orders apart, null where nothing does."""
    if "order_id" in mapping.columns:
        return "case when order_id is not null then hash(order_id) end"
    if mapping.has("order_id"):
        return "0::ubigint"
    return "ts_ms" if mapping.constants.get("kind") == "purchase" else "null::ubigint"


def _again(keys: pl.DataFrame, rows: Relation, mapping: Mapping) -> Relation | None:
    """Keys that stand in several rows: the first of these, and the last one that is no duplicate. None without such.

    Kept, since the engine would take it for the larger side of the join. `keys` are `_key` and `_row` of `rows`.
    """
    repeated = keys.filter(keys["_key"].is_duplicated()).select("_key", "_row")
    if repeated.is_empty():
        return None
    often = repeated.group_by("_key").agg(pl.col("_row").min().alias("first_row"))
    if _counts_lines(mapping):
        query = _again_in_orders("farthest = 1" if mapping.has("order_id") else "false")
    elif mapping.repeats == "units" and not mapping.has("event_id") and not mapping.basket:
        query = f"select *, {2**63 - 1} as last_row from often"
    else:
        query = "select *, first_row as last_row from often"
    return materialise(run_select(query, rows=rows, often=often))


def _again_in_orders(alone: str) -> str:
    """How often each line counts: as often as any one run of its order's rows says it, where not each line of the run
    stands there equally often; what is said of the whole order several times is said once.

    A run are rows of an order that stand near each other. If it has one product `alone`, only rows with no other
    order's between them are two scans of it. Without an order a customer's moment is one, if it has several products.
    """
    return f"""
        with lines as (select _customer, _order, _key, _row from rows where _order is not null),
        orders as (select distinct _customer, _order from lines semi join often using (_key)),
        theirs as (
            select lines.*, _row - lag(_row) over (partition by _customer, _order order by _row) as step
            from lines semi join orders using (_customer, _order)),
        runs as (
            select *, count(*) filter (step > {MAX_ROWS_BETWEEN_REPEATS}) over (
                partition by _customer, _order order by _row rows unbounded preceding) as run
            from theirs),
        said as (
            select _customer, _order, run, _key, count(*) as times,
                max(step) filter (step <= {MAX_ROWS_BETWEEN_REPEATS}) as reach
            from runs group by all),
        whole as (
            select _customer, _order, run, count(*) as lines, max(reach) as farthest,
                list_reduce(list(times), lambda one, other: greatest_common_divisor(one, other)) as copies
            from said group by all),
        units as (
            select _key, max(case when lines = 1 and {alone} then times else times // copies end) as units
            from said join whole using (_customer, _order, run) group by all),
        places as (select _key, list(_row order by _row) as places from rows semi join often using (_key) group by all)
        select _key, first_row, coalesce(places[units], first_row) as last_row
        from often join places using (_key) left join units using (_key)
    """


def _days_of_gaps(rows: Relation, mapping: Mapping) -> Relation:
    """Add `ts_ms`, counted back from the last order of each customer: all last orders stand on the same day."""
    moment = local_timestamp_sql(
        sql_casts.time_ms("_day", "int", "days", "UTC", mapping.time_origin), "since", mapping.zone
    )
    query = f"""
        with gaps as (select _row, _customer, number, coalesce(gap, 0) as gap from raw),
        orders as (select _customer, number, max(gap) as gap from gaps where number is not null group by all),
        days as (
            select _customer, number,
                sum(gap) over (partition by _customer order by number) - sum(gap) over (partition by _customer) as day
            from orders),
        moments as (
            select _row, cast(day as integer) as _day from gaps left join days using (_customer, number))
        select raw.*, {moment} as ts_ms from raw join moments using (_row)
    """
    return sql_casts.select(rows, query)


def reason_sql(rules: tuple[Rule, ...], limits: Dict[str, object]) -> str:
    """The name of the first rule that rejects the row, or null."""
    cases = " ".join(
        f"when {bind(rule.sql, **limits)} then {sql_literal(rule.name)}" for rule in rules if rule.action == "rejected"
    )
    return f"case {cases} end"


def flags_sql(rules: tuple[Rule, ...], limits: Dict[str, object]) -> str:
    """An integer with bit k set where an accepted row met rule k; 0 for rejected rows."""
    bits = [
        f"case when {bind(rule.sql, **limits)} then {1 << bit} else 0 end"
        for bit, rule in enumerate(rules)
        if rule.action != "rejected"
    ]
    return f"case when _reason is null then {' + '.join(bits or ['0'])} else 0 end"


def _kind_words(mapping: Mapping) -> str:
    words = KIND_BY_EVENT_NAME | {normalise_event_name(word): kind for word, kind in mapping.kinds.items()}
    return ", ".join(f"({sql_literal(word)}, {sql_literal(kind)})" for word, kind in words.items())


def _parsed(rows: Relation, mapping: Mapping, repeating: bool) -> str:
    """Every role as a typed column, also those that no column of the source says, and which rows come again."""
    nothing = RoleExpressions(mapping, {})
    columns = {"customer_id": "nullif(_customer, '')"}
    columns |= {name: _column(nothing, name) for name in ROLE_OF if name not in rows.columns}
    columns |= {f"{name}_written": "false" for name in ("time", "quantity", "money")}
    columns |= {"price": "cast(null as bigint)", "repeated": "false", "equal_line": "false"}
    if repeating:
        columns["repeated"] = "coalesce(_row > last_row, false)"
        columns["equal_line"] = "coalesce(_row > first_row and _row <= last_row, false)"
    selected = ", ".join(f"{value} as {name}" for name, value in columns.items() if name not in rows.columns)
    return f"select rows.*, {selected} from rows {'left join again using (_key)' if repeating else ''}"


def _in_ms(mapping: Mapping) -> bool:
    """Whether the column of `dwell` counts milliseconds."""
    return any(re.search(r"(ms|msec|millis\w*|毫秒)$", name.lower()) for name in mapping.sources("dwell"))


def _discount_factor(mapping: Mapping) -> float:
    return 1 if mapping.discount in ("rate", "percent") else mapping.minor_factor


def _shared(mapping: Mapping) -> str:
    """Amounts of whole orders shared out among their lines by price, else by units: what is left of one goes on."""
    if not mapping.shared:
        return "select * from parsed"
    units = "greatest(coalesce(quantity, 1), 0)" if mapping.has("quantity") else "1"
    prices = [f"{role} * {units}" for role in ("unit_price", "list_unit_price") if mapping.has(role)]
    prices += [role for role in ("amount", "list_amount") if mapping.has(role) and role not in mapping.shared]
    weight = f"coalesce({', '.join([*prices, units])})"
    names = {"shelf_discount": "shelf_said", "coupon_discount": "coupon_said"}
    columns = []
    for name in (names.get(role, role) for role in mapping.shared):
        whole = f"coalesce(first_value(nullif({name}, 0) ignore nulls) over whole, {name})"
        upto, before = (f"round({whole} * {part} / nullif(total, 0))" for part in ("upto", "(upto - weight)"))
        columns.append(f"case when repeated then {name} else {upto} - {before} end as {name}")
    return f"""
        with weighed as (
            select *, coalesce(order_id, '#' || _row) as _order, case when repeated then 0 else {weight} end as weight
            from parsed),
        summed as (
            select *, sum(weight) over (partition by _customer, _order) as total, sum(weight) over upto as upto
            from weighed
            window upto as (partition by _customer, _order order by _row, {"_line, " if mapping.basket else ""}_key
                rows unbounded preceding))
        select * exclude (_order, weight, total, upto) replace ({", ".join(columns)}) from summed
        window whole as (partition by _customer, _order order by _row
            rows between unbounded preceding and unbounded following)
    """


def _valued(mapping: Mapping) -> str:
    """What was paid (`money`), what it would have cost (`listed`, null if not said), and both reductions."""
    units = "quantity" if mapping.has("quantity") else "1"
    shelf = "shelf_said"
    if mapping.discount in ("rate", "percent"):
        share = f"least(greatest(shelf_said / {100 if mapping.discount == 'percent' else 1}, 0), 1)"
        shelf = f"coalesce(listed * {share}, case when {share} < 1 then paid * {share} / (1 - {share}) end)"
    if mapping.has("list_amount") or mapping.has("list_unit_price"):  # a tag beside what was paid
        tag = "listed - paid - coalesce(coupon_said, 0)"
        shelf = f"case when {tag} > coalesce({shelf}, 0) then {tag} else {shelf} end"
    off = "".join(f" - coalesce({role.removesuffix('_discount')}_said, 0)" for role in mapping.amounts_before)
    # What is taken off a row that names a coupon is the coupon's, where no column says that of it.
    code = "coupon_id is not null" if mapping.has("coupon_id") and not mapping.has("coupon_discount") else "false"
    return f"""
        with amounts as (
            select *,
                coalesce(amount, unit_price * {units}){off} as paid,
                coalesce(list_amount, list_unit_price * {units}) as listed
            from shared),
        said as (select *, coalesce({shelf}, 0) as taken, coalesce(coupon_said, 0) as told from amounts),
        reduced as (
            select * exclude (taken, told), case when {code} then 0 else taken end as shelf,
                case when {code} then taken else told end as coupon
            from said)
        select * exclude (paid), coalesce(paid, listed - shelf - coupon, price * coalesce(quantity, 1)) as money,
            paid is null and listed is null and price is not null as from_catalogue
        from reduced
    """


def _known(mapping: Mapping) -> str:
    """Events named, refunds recognised, and what the rules ask for."""
    named, unknown, words = sql_literal(mapping.constants.get("kind", "purchase")), "false", ""
    if "kind" in mapping.columns:
        named, unknown, words = "coalesce(words.kind, 'other')", "words.kind is null", "left join words using (word)"
    gone = (
        f"coalesce(regexp_matches(regexp_replace(status, {sql_literal(PARTIAL_STATUS)}, '', 'g'),"
        f" {sql_literal(CANCELLED_STATUS)}), false)"
    )
    gone_back = ["named = 'refund'", "(money < 0 and coalesce(quantity, -1) < 0)"]
    if mapping.cancel_prefix:
        gone_back.append(f"coalesce(starts_with(order_id, {sql_literal(mapping.cancel_prefix)}), false)")
    # On a bank statement money that comes in is not a purchase taken back.
    back = "'other'" if mapping.spending == "negative" and "kind" not in mapping.columns else "'refund'"
    return f"""
        with named as (
            select valued.*, {named} as named, {unknown} as kind_unknown from valued {words}),
        kinds as (
            select *, named = 'purchase' and {gone} as gone,
                case when gone then 'other'
                    when named in ('purchase', 'refund') and ({" or ".join(gone_back)}) then {back}
                    else named end as kind
            from named)
        select *,
            kind in ('purchase', 'refund') as paid,
            coalesce(listed, money + greatest(shelf, 0) + greatest(coupon, 0)) as list,
            {_said("amount" in mapping.columns)} and amount is null and money is not null or from_catalogue as computed,
            {_said(any(role in mapping.columns for role in MONEY_ROLES))} as money_expected,
            {_said("order_id" in mapping.columns)} and order_id is null as order_missing
        from kinds
    """


def _said(condition: bool) -> str:
    return sql_literal(condition)


def _events(mapping: Mapping) -> str:
    """The columns of tables.EVENTS. A refund's money is negative and carries no discounts; its quantity is positive."""
    moment = "make_timestamp_ms(ts_ms)"
    if mapping.zone != "UTC":
        moment = f"timezone({sql_literal(mapping.zone)}, timezone('UTC', {moment}))"

    def cents(purchase: str, refund: str = "0") -> str:
        # A number too large for bigint belongs to a rejected row.
        value = f"case kind when 'purchase' then {purchase} when 'refund' then {refund} else 0 end"
        return f"coalesce(try_cast(round({value}) as bigint), 0)"

    return f"""
        customer_id, ts_ms, kind, product_id,
        case when paid
            then coalesce(order_id, session_id, customer_id || '@' || cast(cast({moment} as date) as varchar))
            else coalesce(session_id, order_id) end as order_id,
        store_id, channel,
        case when quantity <> 0 and abs(quantity) <= $max_quantity and (quantity > 0 or kind = 'refund')
            then abs(quantity) end as quantity,
        {cents("money", "-abs(money)")} as revenue_cents,
        {cents("greatest(list, money)", "-abs(money)")} as list_cents,
        {cents("greatest(shelf, 0)")} as shelf_cents,
        {cents("greatest(coupon, 0)")} as coupon_cents,
        case when dwell between 0 and {LONGEST_LOOK_S} then dwell end as dwell_s
    """
