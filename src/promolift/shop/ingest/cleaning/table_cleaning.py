"""Clean raw customers, products, promotions, coupons, shelf rows and texts by the cleaning rules."""

from promolift.foundation.sql import bind, quote_identifier, sql_literal
from promolift.foundation.tables.contract import Column, Table, Text
from promolift.foundation.tables.schemas import COUPONS, CUSTOMERS, EXPOSURES, PRODUCTS, REDEMPTIONS, SHELF, WORDS
from promolift.foundation.time.clock import DAY_MS
from promolift.shop.configuration.column_mapping import REQUIRED_ROLES, Mapping
from promolift.shop.configuration.settings import CleanRules
from promolift.shop.ingest.cleaning import sql_casts
from promolift.shop.ingest.cleaning.cleaning_rules import RULES
from promolift.shop.ingest.cleaning.consent_answers import agreed_sql, refused_sql, unread_sql
from promolift.shop.ingest.cleaning.event_cleaning import CleanedTable, flags_sql, reason_sql
from promolift.shop.ingest.cleaning.role_expressions import RoleExpressions

Relation = sql_casts.Relation
CHINESE = "^(zh|chin|cn|mandarin|中文|汉语|普通话).*"
ENGLISH = "^(en|英).*"
RAW_WORDS = Table(
    "words", "Words before they are read.", (), (*WORDS.columns[:3], Column("text", Text, "what was said"))
)


def clean_customers(raw: Relation, mapping: Mapping, rules: CleanRules) -> CleanedTable:
    """One row per customer, the last one of the source; columns we have no name for are kept as text.

    A customer of several rows refused if any of them says so, whichever is the last.
    Where a row is a `member` of a household, it agrees only if all do, and has name and age only if it is one person.
    """
    reader = RoleExpressions.of(raw, mapping, "customers")
    language = f"lower({reader.text('language')})"
    age = reader.id("age")
    young = f"try_cast({age} as double)"
    unread, agreed = (write(mapping, reader.types) for write in (unread_sql, agreed_sql))
    name = reader.text("name")
    house = f"over (partition by {reader.id('customer_id')})"
    said, no = f"bool_and(({agreed}) is not null) {house}", f"bool_or(not ({agreed})) {house}"
    agreed = f"case when {no} then false else {agreed} end"
    if mapping.has("member"):
        alone = f"min({reader.id('member')}) {house} = max({reader.id('member')}) {house}"
        name, age = (f"case when {alone} then {one} end" for one in (name, age))
        agreed = f"case when {no} then false when {said} then true end"
    columns = [
        f"{reader.id('customer_id')} as customer_id",
        f"{name} as name",
        *(f"{reader.text(role)} as {role}" for role in ("sex", "occupation", "income", "tier")),
        f"case when {young} between 0 and {rules.max_age} is not false then {age} end as age",  # 35.0 years are 35
        f"coalesce({young} not between 0 and {rules.max_age}, false) as age_bad",
        f"{_case(f'{language} ~ $chinese', 'zh', f'{language} ~ $english', 'en')} as language",
        f"{agreed} as consent",
        f"coalesce({unread}, false) as consent_bad",
        *_extra(reader),
    ]
    return _judge(raw, reader, rules, CUSTOMERS, columns, _not_the_last("customer_id"))


def clean_products(raw: Relation, mapping: Mapping, rules: CleanRules) -> CleanedTable:
    """One row per product, the last one of the source."""
    reader = RoleExpressions.of(raw, mapping, "products")
    path = mapping.category_path
    levels = {role: reader.text(role) for role in ("category", "type", "department")}
    if path:
        parts = f"list_transform(string_split({reader.text('category')}, {sql_literal(path)}), lambda part: trim(part))"
        whole = f"array_to_string(({parts})[:2], {sql_literal(path)})"
        levels = {"category": f"nullif({whole}, '')", "type": reader.text("category"), "department": f"({parts})[1]"}
    columns = [
        f"{reader.id('product_id')} as product_id",
        f"{reader.text('name')} as name",
        *(f"{value} as {quote_identifier(role)}" for role, value in levels.items()),
        *(f"{reader.text(role)} as {role}" for role in ("brand", "description", "picture", "colour")),
    ]
    for role in ("price", "cost"):
        value = f"({reader.number(role)}) * {mapping.minor_factor}"
        if role == "cost" and mapping.has("quantity"):
            value += f" / nullif(abs({reader.number('quantity')}), 0)"
        believed = f"{value} between 0 and {rules.max_price_cents}"
        columns.append(f"case when {believed} then cast(round({value}) as bigint) end as {role}_cents")
        columns.append(f"{reader.written(role)} and not coalesce({believed}, false) as {role}_bad")
    return _judge(raw, reader, rules, PRODUCTS, columns, _not_the_last("product_id"))


def clean_exposures(raw: Relation, mapping: Mapping, rules: CleanRules) -> CleanedTable:
    """Who was targeted by which campaign. An end at local midnight means the whole of that day."""
    reader = RoleExpressions.of(raw, mapping, "promotions")
    end = reader.time("end")
    local = f"timezone({sql_literal(mapping.zone)}, timezone('UTC', make_timestamp_ms({end})))"
    next_day = f"epoch_ms(timezone({sql_literal(mapping.zone)}, date_trunc('day', {local}) + to_days(1)))"
    whole_day = f"case when {local} = date_trunc('day', {local}) then {next_day} - 1 else {end} end"
    if not mapping.has("end"):
        whole_day = f"{reader.time('start')} + try_cast({reader.number('valid_days')} * {DAY_MS} as bigint) - 1"
    columns = [
        f"{reader.id('campaign_id')} as campaign_id",
        f"{reader.id('customer_id')} as customer_id",
        f"{reader.text('kind')} as kind",
        f"{reader.time('start')} as start_ms",
        f"{whole_day} as end_ms",
    ]
    return _judge(raw, reader, rules, EXPOSURES, columns, _not_the_last("campaign_id, customer_id"))


def clean_redemptions(raw: Relation, mapping: Mapping, rules: CleanRules) -> CleanedTable:
    """Coupons used: a redemptions table, or those rows of a promotions table that say when."""
    reader = RoleExpressions.of(raw, mapping, mapping.table)
    if mapping.table == "promotions":
        redeemed = reader.written("redeemed_at").replace('"=', '"')
        raw = raw.filter(redeemed)
    columns = [
        f"{reader.id('customer_id')} as customer_id",
        f"{reader.id('campaign_id')} as campaign_id",
        f"{reader.id('coupon_id')} as coupon_id",
        f"{reader.time('redeemed_at')} as ts_ms",
    ]
    again = "row_number() over (partition by customer_id, campaign_id, coupon_id, ts_ms order by _row) > 1"
    return _judge(raw, reader, rules, REDEMPTIONS, columns, again)


def clean_coupons(raw: Relation, mapping: Mapping, rules: CleanRules) -> CleanedTable:
    """Which products a campaign's coupon covers."""
    reader = RoleExpressions.of(raw, mapping, "coupons")
    columns = [f"{reader.id(role)} as {role}" for role in ("campaign_id", "coupon_id", "product_id")]
    again = "row_number() over (partition by campaign_id, coupon_id, product_id order by _row) > 1"
    return _judge(raw, reader, rules, COUPONS, columns, again)


def clean_shelf(raw: Relation, mapping: Mapping, rules: CleanRules) -> CleanedTable:
    """Displays and mailers. A place written as 0, no or nothing is no display."""
    reader = RoleExpressions.of(raw, mapping, "shelf")
    column = mapping.sources("start")[0]
    nowhere = sql_literal(("0", "no", "n", "false", "f"))
    shown = {role: f"coalesce(lower({reader.text(role)}) not in {nowhere}, false)" for role in ("display", "mailer")}
    query = f"""
        with renamed as (select {reader.renamed()} from raw),
        weeks as (
            select *, {reader.time("start")} as start_ms
            from (select distinct {quote_identifier("=" + column)} from renamed)),
        parsed as (
            select _row, {reader.id("product_id")} as product_id, {reader.id("store_id")} as store_id, start_ms,
                {shown["display"]} as display, {shown["mailer"]} as mailer, renamed.* exclude (_row)
            from renamed left join weeks using ({quote_identifier("=" + column)}))
        {_verdict(reader, rules, SHELF)}
    """
    return CleanedTable(SHELF, sql_casts.select(raw, query), "")


def rows_with_consent(raw: Relation, mapping: Mapping, unasked: bool) -> Relation:
    """Return the rows of customers who agreed to have their texts read, if `unasked` also of undecided ones."""
    return raw.filter(_may_read(raw, mapping, unasked))


def rows_without_consent(raw: Relation, mapping: Mapping, unasked: bool) -> Relation:
    """Return the other rows, whose texts nobody reads."""
    return raw.filter(f"not {_may_read(raw, mapping, unasked)}")


def _may_read(raw: Relation, mapping: Mapping, unasked: bool) -> str:
    agreed = agreed_sql(mapping, RoleExpressions.of(raw, mapping, "words").types).replace('"=', '"')
    return f"coalesce({agreed}, {sql_literal(unasked)})"


def clean_words(raw: Relation, mapping: Mapping, rules: CleanRules) -> CleanedTable:
    """What customers wrote, and where there is a column `_text`, what recordings say: RAW_WORDS, a row a text."""
    reader = RoleExpressions.of(raw, mapping, "words")
    heard = "_text" if "_text" in reader.types else "null::varchar"
    columns = [
        f"{reader.id('customer_id')} as customer_id",
        f"{reader.time('time')} as ts_ms",
        f"{reader.text('channel')} as channel",
        f"coalesce({reader.text('text')}, {heard}) as text",
        *(f"{reader.written(role)} as {role}_written" for role in ("time", "audio")),
    ]
    again = "text is not null and row_number() over (partition by customer_id, ts_ms, text order by _row) > 1"
    return _judge(raw, reader, rules, RAW_WORDS, columns, again)


def _judge(
    raw: Relation, reader: RoleExpressions, rules: CleanRules, table: Table, columns: list[str], repeated: str
) -> CleanedTable:
    query = f"""
        with renamed as (select {reader.renamed()} from raw),
        typed as (select {", ".join(columns)}, * from renamed),
        parsed as (select *, {repeated} as repeated from typed)
        {_verdict(reader, rules, table)}
    """
    keys = ", ".join(table.key) or ", ".join(column.name for column in table.columns if column.required)
    return CleanedTable(table, sql_casts.select(raw, query), f"{keys}, _row")


def _verdict(reader: RoleExpressions, rules: CleanRules, table: Table) -> str:
    limits: dict[str, object] = rules.model_dump()
    columns = [quote_identifier(name) for name in table.schema]
    if table.open:
        columns += [quote_identifier(name) for name in _extra_names(reader).values()]
    return f"""
        select {", ".join(columns)}, _row, _reason, {flags_sql(RULES[table.name], limits)} as _flags,
            case when _reason is not null then {reader.raw_json()} end as _raw
        from (select *, {reason_sql(RULES[table.name], limits)} as _reason from parsed)
    """


def _case(first: str, one: object, second: str, other: object) -> str:
    case = f"case when {first} then {sql_literal(one)} when {second} then {sql_literal(other)} end"
    return bind(case, chinese=CHINESE, english=ENGLISH)


def _not_the_last(key: str) -> str:
    return f"row_number() over (partition by {key} order by _row desc) > 1"


def _extra(reader: RoleExpressions) -> list[str]:
    return [
        f"{sql_casts.text('=' + name, reader.types[name])} as {quote_identifier(new)}"
        for name, new in _extra_names(reader).items()
    ]


def _extra_names(reader: RoleExpressions) -> dict[str, str]:
    """Source columns without a role, and a name for each that is none of ours."""
    used = {source for role in reader.mapping.columns for source in reader.mapping.sources(role)}
    taken = set(CUSTOMERS.schema)
    names = {}
    for name in reader.raw_columns:
        if name in used:
            continue
        new = name.lstrip("_") or "column"
        while new.lower() in taken:
            new += "_"
        taken.add(new.lower())
        names[name] = new
    return names


def latest_values(raw: Relation, mapping: Mapping) -> Relation:
    """One raw row per customer or product with the last value that stands in each mapped column.

    For files in which every event repeats the product's name or the customer's age. Of consent, a no counts, wherever
    it stands. Give the result to clean_products or clean_customers together with the same mapping.
    """
    reader = RoleExpressions.of(raw, mapping, mapping.table)
    key_role = REQUIRED_ROLES[mapping.table][0]
    key = mapping.sources(key_role)[0]
    others = sorted({name for role in mapping.columns for name in mapping.sources(role)} - {key})
    consent = mapping.sources("consent")
    last = ", ".join(_last(name, reader, name in consent) for name in others)
    query = f"""
        with renamed as (select {reader.renamed()} from raw)
        select max(_row) as _row, {reader.id(key_role)} as {quote_identifier(key)}, {last} from renamed
        where {reader.id(key_role)} is not null group by all
    """
    return sql_casts.select(raw, query)


def _last(name: str, reader: RoleExpressions, any_no: bool) -> str:
    column = "=" + name
    said = f"{sql_casts.text(column, reader.types[name])} is not null"
    last = f"arg_max({quote_identifier(column)}, _row) filter"
    no = f"{last} ({refused_sql(name, reader.types)}), " if any_no else ""
    return f"coalesce({no}{last} ({said})) as {quote_identifier(name)}"
