"""Room 1. Raw events and their mapping in, judged events out: each row taken, repaired or set aside."""

import re
from collections.abc import Callable, Iterator
from collections.abc import Mapping as Dict
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field, replace

from promolift.contract import Table
from promolift.data import sql
from promolift.data.counts import Counts, count
from promolift.data.mapping import Mapping
from promolift.data.names import GONE_STATUS, KIND_OF_WORD, KIND_WORD_SQL, PART_STATUS, currency_sql, kind_word
from promolift.data.reader import Reader
from promolift.data.rules import RULES, CleanRules, Rule
from promolift.data.times import GAPS
from promolift.sql import bind, ident, kept, literal, run
from promolift.tables import EVENTS

Relation = sql.Relation
MONEY_ROLES = ("amount", "unit_price", "list_amount", "list_unit_price")
TILLS_AT_ONCE = 100  # so many rows lie at most between two lines that one order got at one time
LONGEST_LOOK_S = 86_400  # nobody looks for longer: the page was left open
SAME_EVENT = ("kind", "time", "product_id", "order_id", "quantity", *MONEY_ROLES)  # what one event says in one way


@dataclass(frozen=True)
class Cleaned:
    """Judged rows of one table, still lazy: the clean columns, `_row`, `_reason` (null if accepted), `_flags`, `_raw`.

    Each of `accepted`, `rejected` and `counts` runs the cleaning anew; inside
    `with cleaned.staged(store.staged) as kept:` it has run once.
    """

    table: Table
    judged: Relation = field(repr=False)
    order: str

    def accepted(self) -> Relation:
        """The clean rows, in a fixed order (but for the shelf, whose millions of rows stay as the source has them)."""
        extra = [name for name in self.judged.columns if name not in self.table.schema and not name.startswith("_")]
        columns = [*self.table.schema, *(extra if self.table.open else [])]
        kept = self.judged.filter("_reason is null")
        return (kept.order(self.order) if self.order else kept).project(", ".join(map(ident, columns)))

    def rejected(self, source: str) -> Relation:
        """The rows set aside, as tables.REJECTED."""
        bad = self.judged.filter("_reason is not null").order("_row")
        return bad.project(f"{literal(source)} as source, _row as row, _reason as reason, _raw as raw")

    def counts(self) -> Counts:
        """Read, accepted, repaired and rejected rows by rule."""
        return count(self.table.name, self.judged)

    @contextmanager
    def staged(self, stage: Callable[[Relation], AbstractContextManager[Relation]]) -> Iterator["Cleaned"]:
        """The same with its rows computed once and kept by `stage` until the block ends."""
        with stage(self.judged) as kept:
            yield replace(self, judged=kept)


def key_rows(raw: Relation, mapping: Mapping) -> Relation:
    """Add to raw rows what shards are made by: `_customer` (text, '' if missing) and `_key` (equal for duplicates).

    A raw relation has `_row` (from 1) and the source's own columns.
    """
    reader = Reader.of(raw, mapping, mapping.table)
    hidden = [name for name in ("_line", "_price") if name in reader.types]
    line = ["_line"] if "_line" in hidden else []  # equal lines of one basket are two
    key = f"hash({', '.join([ident('=' + name) for name in reader.raw_columns] + line)})"
    if mapping.has("event_id"):
        event = reader.id("event_id")
        # An id that comes again with another time, product or amount is not that of one event: a concert's, say.
        same = [ident("=" + name) for role in SAME_EVENT for name in mapping.sources(role)]
        sent = ", ".join([reader.id("customer_id"), event, *same, *line])
        key = f"case when {event} is not null then hash({sent}) else {key} end"
    columns = [f"{ident('=' + name)} as {ident(name)}" for name in reader.raw_columns] + hidden
    query = f"""
        with renamed as (select {reader.renamed()} from raw)
        select _row, coalesce({reader.id("customer_id")}, '') as _customer, {key} as _key, {", ".join(columns)}
        from renamed
    """
    return sql.select(raw, query)


def price_rows(raw: Relation, mapping: Mapping, prices: Relation) -> Relation:
    """Add to raw events `_price`, the catalogue's price_cents, for purchases that carry none of their own.

    `prices` has product_id (unique) and price_cents, as tables.PRODUCTS.
    """
    reader = Reader.of(raw, mapping, mapping.table)
    product = reader.id("product_id").replace('"=', '"')
    catalogue = prices.project("product_id as _product, price_cents as _price").filter("_price is not null")
    joined = raw.set_alias("raw").join(catalogue.set_alias("catalogue"), f"{product} = _product", how="left")
    return joined.project("* exclude (_product)")


def clean_events(raw: Relation, mapping: Mapping, rules: CleanRules) -> Cleaned:
    """Judge every raw event. A customer's rows are judged without any other customer's, so shards change nothing."""
    if "_key" not in raw.columns:
        raw = key_rows(raw, mapping)
    if mapping.time_format == GAPS:
        raw = _days_of_gaps(raw, mapping)
    reader = Reader.of(raw, mapping, "events")
    limits: dict[str, object] = {**rules.model_dump(), "currency": mapping.currency}
    query = f"""
        with renamed as (select {reader.renamed()} from raw),
        words as (from (values {_kind_words(mapping)}) as words(word, kind)),
        parsed as ({_parsed(reader)}),
        shared as ({_shared(mapping)}),
        valued as ({_valued(mapping)}),
        known as ({_known(mapping)}),
        judged as (select *, {reason_sql(RULES["events"], limits)} as _reason from known)
        select {bind(_events(mapping), **limits)}, _row, {"_line" if "_line" in reader.types else "1"} as _line,
            _reason, {flags_sql(RULES["events"], limits)} as _flags,
            case when _reason is not null then {reader.raw_json()} end as _raw
        from judged
    """
    return Cleaned(EVENTS, run(query, raw=raw, again=_again(raw, reader)), "customer_id, ts_ms, _row")


def _again(raw: Relation, reader: Reader) -> Relation:
    """Keys that stand in several rows: the first of these, and the last one that is no duplicate.

    Kept, since the engine would take it for the larger side of the join.
    """
    mapping = reader.mapping
    often = kept(run("select _key, min(_row) as first_row from raw group by all having count(*) > 1", raw=raw))
    if mapping.has("event_id") or mapping.repeats == "duplicates" or mapping.basket:
        return often.project("*, first_row as last_row")
    if mapping.repeats == "units":
        return often.project(f"*, {2**63 - 1} as last_row")
    return kept(run(_again_in_orders(reader), raw=raw, often=often))


def _again_in_orders(reader: Reader) -> str:
    """How often each line counts: as often as any one run of its order's rows says it, where not each line of the run
    stands there equally often; what is said of the whole order several times is said once.

    A run are rows of an order that stand near each other. If it has one product alone, only rows with no other order's
    between them are two scans of it. Without an order a customer's moment is one, if it has several products.
    """
    mapping = reader.mapping
    order, alone = "cast(null as varchar)", "false"
    if mapping.has("order_id"):
        order, alone = reader.id("order_id"), "farthest = 1"
    elif mapping.constants.get("kind") == "purchase":
        order = f"cast({reader.time('time')} as varchar)"
    return f"""
        with renamed as (select {reader.renamed()} from raw),
        lines as (select _customer, {order} as _order, _key, _row from renamed where _order is not null),
        orders as (select distinct _customer, _order from lines semi join often using (_key)),
        theirs as (
            select lines.*, _row - lag(_row) over (partition by _customer, _order order by _row) as step
            from lines semi join orders using (_customer, _order)),
        runs as (
            select *, count(*) filter (step > {TILLS_AT_ONCE}) over (
                partition by _customer, _order order by _row rows unbounded preceding) as run
            from theirs),
        said as (
            select _customer, _order, run, _key, count(*) as times, max(step) filter (step <= {TILLS_AT_ONCE}) as reach
            from runs group by all),
        whole as (
            select _customer, _order, run, count(*) as lines, max(reach) as farthest,
                list_reduce(list(times), lambda one, other: greatest_common_divisor(one, other)) as copies
            from said group by all),
        units as (
            select _key, max(case when lines = 1 and {alone} then times else times // copies end) as units
            from said join whole using (_customer, _order, run) group by all),
        places as (select _key, list(_row order by _row) as places from raw semi join often using (_key) group by all)
        select _key, first_row, coalesce(places[units], first_row) as last_row
        from often join places using (_key) left join units using (_key)
    """


def _days_of_gaps(raw: Relation, mapping: Mapping) -> Relation:
    """Add `_day`, which counts back from the last order of each customer: all last orders stand on the same day."""
    reader = Reader.of(raw, mapping, "events")
    gap, number = reader.number("time"), reader.number("sequence")
    query = f"""
        with renamed as (select {reader.renamed()} from raw),
        gaps as (select _row, _customer, {number} as number, coalesce({gap}, 0) as gap from renamed),
        orders as (select _customer, number, max(gap) as gap from gaps where number is not null group by all),
        days as (
            select _customer, number,
                sum(gap) over (partition by _customer order by number) - sum(gap) over (partition by _customer) as day
            from orders)
        select raw.*, cast(day as integer) as _day
        from raw join gaps using (_row) left join days on gaps._customer = days._customer and gaps.number = days.number
    """
    return sql.select(raw, query)


def reason_sql(rules: tuple[Rule, ...], limits: Dict[str, object]) -> str:
    """The name of the first rule that rejects the row, or null."""
    cases = " ".join(
        f"when {bind(rule.sql, **limits)} then {literal(rule.name)}" for rule in rules if rule.action == "rejected"
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
    words = KIND_OF_WORD | {kind_word(word): kind for word, kind in mapping.kinds.items()}
    return ", ".join(f"({literal(word)}, {literal(kind)})" for word, kind in words.items())


def _parsed(reader: Reader) -> str:
    """Every role as a typed column. Money is in minor units, unrounded; purchases and reductions are positive."""
    mapping = reader.mapping
    spent = mapping.minor_factor * (-1 if mapping.spending == "negative" else 1)
    reduced = -1 if mapping.discount == "negative" else 1
    columns = {
        "customer_id": "nullif(_customer, '')",
        "ts_ms": reader.time("time"),
        "time_written": reader.written("time"),
        "received_ms": reader.time("received"),
        "word": KIND_WORD_SQL.format(reader.text("kind")),
        **{role: reader.id(role) for role in ("product_id", "order_id", "session_id", "store_id")},
        "channel": reader.text("channel"),
        "quantity": reader.number("quantity"),
        "quantity_written": reader.written("quantity"),
        **{role: f"({reader.number(role)}) * {spent}" for role in MONEY_ROLES},
        "money_written": " or ".join(reader.written(role) for role in MONEY_ROLES),
        "shelf_said": f"({reader.number('shelf_discount')}) * {reduced * _discount_factor(mapping)}",
        "coupon_said": f"({reader.number('coupon_discount')}) * {reduced * mapping.minor_factor}",
        "currency": currency_sql(reader.text("currency")),
        "status": f"lower({reader.text('status')})",
        "dwell": f"({reader.number('dwell')}) / {1000 if _in_ms(mapping) else 1}",
        "price": "_price" if "_price" in reader.types else "cast(null as bigint)",
        "repeated": "coalesce(_row > last_row, false)",
        "equal_line": "coalesce(_row > first_row and _row <= last_row, false)",
    }
    selected = ",\n".join(f"{expression} as {name}" for name, expression in columns.items())
    return f"select renamed.*, {selected} from renamed left join again using (_key)"


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
    return f"""
        with amounts as (
            select *,
                coalesce(amount, unit_price * {units}){off} as paid,
                coalesce(list_amount, list_unit_price * {units}) as listed
            from shared),
        reduced as (select *, coalesce({shelf}, 0) as shelf, coalesce(coupon_said, 0) as coupon from amounts)
        select * exclude (paid), coalesce(paid, listed - shelf - coupon, price * coalesce(quantity, 1)) as money,
            paid is null and listed is null and price is not null as from_catalogue
        from reduced
    """


def _known(mapping: Mapping) -> str:
    """Events named, refunds recognised, and what the rules ask for."""
    named = literal(mapping.constants.get("kind", "purchase"))
    if "kind" in mapping.columns:
        named = "coalesce(words.kind, 'other')"
    kind_said = _said("kind" in mapping.columns)
    gone = (
        f"coalesce(regexp_matches(regexp_replace(status, {literal(PART_STATUS)}, ''), {literal(GONE_STATUS)}), false)"
    )
    gone_back = ["named = 'refund'", "(money < 0 and coalesce(quantity, -1) < 0)"]
    if mapping.cancel_prefix:
        gone_back.append(f"coalesce(starts_with(order_id, {literal(mapping.cancel_prefix)}), false)")
    # On a bank statement money that comes in is not a purchase taken back.
    back = "'other'" if mapping.spending == "negative" and "kind" not in mapping.columns else "'refund'"
    return f"""
        with named as (
            select valued.*, {named} as named, {kind_said} and words.kind is null as kind_unknown
            from valued left join words using (word)),
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
    return literal(condition)


def _events(mapping: Mapping) -> str:
    """The columns of tables.EVENTS. A refund's money is negative and carries no discounts; its quantity is positive."""
    moment = "make_timestamp_ms(ts_ms)"
    if mapping.zone != "UTC":
        moment = f"timezone({literal(mapping.zone)}, timezone('UTC', {moment}))"

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
