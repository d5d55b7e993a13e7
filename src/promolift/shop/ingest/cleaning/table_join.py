"""Complete raw rows from another table, from a basket in one cell or from the first line of their order."""

import re
from dataclasses import dataclass

from promolift.foundation.files.column_names import COLUMN_SYNONYMS, normalise_column_name
from promolift.foundation.sql import quote_identifier, sql_literal
from promolift.shop.configuration.column_mapping import REQUIRED_ROLES, Mapping
from promolift.shop.ingest.cleaning import sql_casts
from promolift.shop.ingest.cleaning.basket_cells import split_baskets
from promolift.shop.ingest.cleaning.role_expressions import RoleExpressions

Relation = sql_casts.Relation
ROWS_COMPARED = 20_000  # of a file in which a key is looked for under any name
MAX_GAPS = 1.5  # of a running number: its spread by its count
MIN_MATCH_SHARE = 0.5  # where fewer rows find a partner, numbers met by chance
# Names that every file gives to the number of its own rows: two of them meet by chance.
ROW_NUMBERS = frozenset([
    *("id", "no", "nr", "number", "num", "index", "row", "rowid", "rowno", "rownumber", "line", "lineno", "linenumber"),
    *("seq", "sequence", "key", "pk", "recordid", "unnamed0", "编号", "序号", "行号", "nummer", "lfdnr", "numero"),
])  # fmt: skip
# What no row is named by: when something happened or was copied, money, counts, states.
_NO_KEYS = frozenset(
    word
    for role in (
        *("time", "clock", "received", "status", "kind", "currency", "channel", "quantity", "dwell", "amount"),
        *("unit_price", "list_amount", "list_unit_price", "shelf_discount", "coupon_discount"),
    )
    for word in COLUMN_SYNONYMS[role]
)
# What says of a number whose it is.
_NUMBERED = frozenset(
    word for role in ("order_id", "product_id", "customer_id", "session_id") for word in COLUMN_SYNONYMS[role]
)
_MOMENT = re.compile(
    r"sync|etl|batch|extracted|(^|[_ .])(at|on|ts|date|time|timestamp|day)$|(?-i:[a-z](At|Date|Time)$)|时间|日期|datum"
    r"|fecha|hora",
    re.IGNORECASE,
)
_DAY = r"\d{4}[-/.]\d{1,2}[-/.]\d{1,2}.*|\d{1,2}[-/.]\d{1,2}[-/.]\d{2,4}.*"
_ID = re.compile(r"(id|key|no|nr|num|number|code|ref|nummer|编号|号)$")
_FILE_WORDS = frozenset(
    ["raw", "stg", "src", "export", "all", "full", "data", "table", "list", "dump", "csv", "shop", "store", "tbl"]
)  # of a file's name, that say nothing of its rows


@dataclass(frozen=True, order=True)
class JoinKey:
    """`on`, a column of many rows, names the one row of another table with the same `key`; `share` of them find one."""

    share: float
    on: str
    key: str


def find_join_key(many: Relation, one: Relation, name: str) -> JoinKey | None:
    """The tie by which most rows of `many` find a row of `one`, whose file is called `name`; None if there is none.

    'order_id' with 'order_id' or 'id' of orders.csv goes before other columns that are called the same. No key may
    stand in `one` twice, be a time or money, or be the number that each file gives its own rows: `unclear_join_keys`.
    """
    ties = [(_is_named_after(tie.on, name), tie) for tie in _ties(many, one, name, clear=True)]
    return max((each for each in ties if each[1].share >= MIN_MATCH_SHARE), default=(False, None))[1]


def unclear_join_keys(many: Relation, one: Relation, name: str) -> list[JoinKey]:
    """Ties of which a person has to say whether they are meant: a file's own running number, or of few rows."""
    ties = [*_ties(many, one, name, clear=False), *_ties(many, one, name, clear=True)]
    return sorted((tie for tie in ties if tie.share), reverse=True)


def plausible_join_keys(many: Relation, one: Relation) -> list[JoinKey]:
    """Ties of columns of any names by which most of the first rows of `many` find a row of `one`."""
    some = many.limit(ROWS_COMPARED)
    keys = [name for name in one.columns if name != "_row" and _may_be_key(one, name) and _is_unique(one, name)]
    owns = [name for name in many.columns if name != "_row" and _may_be_key(many, name)]
    ties = [_tie(some, one, on, key) for on in owns for key in keys]
    return sorted((tie for tie in ties if tie is not None and tie.share >= MIN_MATCH_SHARE), reverse=True)


def state_join_key(many: Relation, one: Relation, on: str, key: str) -> JoinKey | None:
    """The tie that a person has named, None where a key stands in `one` twice."""
    return _tie(many, one, on, key)


def join_rows(many: Relation, one: Relation, on: str, key: str, name: str) -> Relation:
    """`many` with the columns of the row of `one` that has the same key; nulls where there is none.

    Every row of `many` stays, once: of several rows of `one` with a key the first counts. A column that `many` has,
    too, becomes '<name>.<column>'.
    """
    taken = {column.lower() for column in many.columns}
    added = {
        column: column if column.lower() not in taken else f"{name}.{column}"
        for column in one.columns
        if column not in ("_row", key)
    }
    columns = [
        f"{_id(one, key)} as _tied",
        *(f"{quote_identifier(old)} as {quote_identifier(new)}" for old, new in added.items()),
    ]
    first = f"select {', '.join(columns)} from raw qualify row_number() over (partition by _tied order by _row) = 1"
    tied = many.project(f"*, {_id(many, on)} as _on").set_alias("many")
    joined = tied.join(sql_casts.select(one, first).set_alias("one"), "_on = _tied", how="left")
    return joined.project("* exclude (_on, _tied)")


def _ties(many: Relation, one: Relation, name: str, clear: bool) -> list[JoinKey]:
    pairs = [(on, key) for on in many.columns for key in one.columns if "_row" not in (on, key)]
    found = [_tie(many, one, on, key) for on, key in pairs if _alike(many, one, on, key, name) is clear]
    return [tie for tie in found if tie is not None]


def _alike(many: Relation, one: Relation, on: str, key: str, name: str) -> bool | None:
    """Whether two columns are a key by what they are called; None where nothing says so, False where a person must."""
    both = normalise_column_name(on), normalise_column_name(key)
    numbered = both[1] in ROW_NUMBERS
    if both[0] != both[1] and not numbered:
        return None
    if not (_may_be_key(many, on) and _may_be_key(one, key)):
        return None
    if both[0] == both[1]:
        if numbered:
            return not _share_like(one, key, r"\d+")
        return _says_whose(on, name) or not (_counts_rows(many, on) and _counts_rows(one, key))
    if _is_named_after(on, name):
        return True
    return False if both[0] not in ROW_NUMBERS and _ID.search(both[0]) else None


def _is_named_after(on: str, name: str) -> bool:
    """Whether a column such as 'order_id' is called after a file such as raw_orders_2024.csv."""
    bare = _ID.sub("", normalise_column_name(on))
    words = [word for word in re.findall(r"[^\W\d_]+", name.lower()) if word not in _FILE_WORDS] or [""]
    last = normalise_column_name(words[-1]).removesuffix("表")
    stem = bare[:-1] if len(bare) >= 5 and bare.endswith("y") else bare  # 'category' of categories
    return len(bare) >= 2 and last.startswith(stem) and len(last) - len(stem) <= 3


def _says_whose(on: str, name: str) -> bool:
    """Whether a column's name says what it numbers: an order, a customer, a product, the rows of the file."""
    return normalise_column_name(on) in _NUMBERED or _is_named_after(on, name)


def _counts_rows(relation: Relation, column: str) -> bool:
    """Whether a column counts the rows of its file, whatever it is called: each number once, with few gaps."""
    number = f"try_cast(regexp_replace({_id(relation, column)}, '\\D', '', 'g') as bigint)"
    most = relation.aggregate(f"count({number}), count(distinct {number}), max({number}) - min({number}) + 1, count(*)")
    numbers, distinct, spread, rows = most.fetchall()[0]
    return bool(numbers) and numbers == rows == distinct and spread <= MAX_GAPS * rows


def _may_be_key(relation: Relation, column: str) -> bool:
    name, kind = normalise_column_name(column), sql_casts.type_family(relation.types[relation.columns.index(column)])
    if kind in ("date", "stamp", "zoned", "time", "flag", "other") or name in _NO_KEYS:
        return False
    if _MOMENT.search(column) or (kind == "real" and not (_ID.search(name) or name in ROW_NUMBERS)):
        return False
    return kind != "text" or not _share_like(relation, column, _DAY)


def _share_like(relation: Relation, column: str, pattern: str) -> bool:
    text = f"regexp_full_match({_id(relation, column)}, {sql_literal(pattern)})"
    return float(relation.limit(200).aggregate(f"avg({text}::int)").fetchall()[0][0] or 0) > 0.8


def _tie(many: Relation, one: Relation, on: str, key: str) -> JoinKey | None:
    if not _is_unique(one, key):
        return None
    known = one.project(f"_row, {quote_identifier(key)}, true as _known")
    found = join_rows(many.project(f"_row, {quote_identifier(on)}"), known, on, key, "one")
    share = found.aggregate("avg(coalesce(_known, false)::int)").fetchall()[0][0]
    return JoinKey(float(share or 0), on, key)


def _is_unique(one: Relation, key: str) -> bool:
    """Whether a column has values, each in one row."""
    count = f"select count({_id(one, key)}), count(distinct {_id(one, key)}) from raw"
    rows, keys = sql_casts.select(one, count).fetchall()[0]
    return bool(rows) and rows == keys


def _id(relation: Relation, column: str) -> str:
    return sql_casts.identifier(column, sql_casts.type_family(relation.types[relation.columns.index(column)]))


def order_lines(raw: Relation, mapping: Mapping) -> Relation:
    """Raw rows as the mapping says they are meant: baskets split into lines, an order's facts on each of its lines.

    `_row` stays the number of the row in the file; `_line`, from 1, tells the lines of one row apart.
    """
    if mapping.basket:
        said = {source for role in mapping.columns for source in mapping.sources(role)}
        raw = split_baskets(
            raw, mapping.basket, sorted({field for source in said if (field := mapping.of_basket(source))})
        )
    if mapping.inherit and mapping.table in ("events", *REQUIRED_ROLES):
        raw = _filled(raw, mapping)
    return raw


def _filled(raw: Relation, mapping: Mapping) -> Relation:
    """Empty cells of the inherited roles take what the order's first line says."""
    reader = RoleExpressions.of(raw, mapping, mapping.table)
    names = sorted({name for role in mapping.inherit for name in mapping.sources(role)})
    said = {name: f"{sql_casts.text('=' + name, reader.types[name])} is not null" for name in names}
    first = ", ".join(
        f"arg_min({quote_identifier('=' + n)}, _row) filter ({said[n]}) as {quote_identifier('>' + n)}" for n in names
    )
    known = ", ".join(
        f"coalesce(case when {said[n]} then {quote_identifier('=' + n)} end, {quote_identifier('>' + n)})"
        f" as {quote_identifier('=' + n)}"
        for n in names
    )
    back = ", ".join(f"{quote_identifier('=' + name)} as {quote_identifier(name)}" for name in reader.raw_columns)
    hidden = [name for name in reader.types if name not in reader.raw_columns]
    query = f"""
        with renamed as (select {reader.renamed()}, {reader.id("order_id").replace('"=', '"')} as _order from raw),
        orders as (select _order as _of, {first} from renamed where _order is not null group by all),
        filled as (select renamed.* replace ({known}) from renamed left join orders on _order = _of)
        select {", ".join([*hidden, back])} from filled
    """
    return sql_casts.select(raw, query)
