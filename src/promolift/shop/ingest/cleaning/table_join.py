"""Complete raw rows from another table, from a basket in one cell or from the first line of their order."""

from dataclasses import dataclass

from promolift.foundation.files.column_names import normalise_column_name
from promolift.foundation.sql import quote_identifier
from promolift.shop.configuration.column_mapping import REQUIRED_ROLES, Mapping
from promolift.shop.ingest.cleaning import sql_casts
from promolift.shop.ingest.cleaning.basket_cells import split_baskets
from promolift.shop.ingest.cleaning.role_expressions import RoleExpressions

Relation = sql_casts.Relation
MIN_MATCH_SHARE = 0.2  # where fewer rows find a partner, small numbers met by chance


@dataclass(frozen=True, order=True)
class JoinKey:
    """`on`, a column of many rows, names the one row of another table with the same `key`; `share` of them find one."""

    share: float
    on: str
    key: str


def find_join_key(many: Relation, one: Relation, name: str) -> JoinKey | None:
    """The tie by which most rows of `many` find a row of `one`, whose file is called `name`; None if there is none.

    Columns called the same are tried, and 'id' in orders.csv for 'order_id'. No key may stand in `one` twice.
    """
    own = normalise_column_name(name).removesuffix("s") + "id"
    pairs = (
        (on, key) for on in many.columns for key in one.columns if "_row" not in (on, key) and _alike(on, key, own)
    )
    ties = (_tie(many, one, on, key) for on, key in pairs)
    return max((tie for tie in ties if tie is not None and tie.share >= MIN_MATCH_SHARE), default=None)


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


def _alike(on: str, key: str, own: str) -> bool:
    return normalise_column_name(on) == normalise_column_name(key) or (
        normalise_column_name(key) == "id" and normalise_column_name(on) == own
    )


def _tie(many: Relation, one: Relation, on: str, key: str) -> JoinKey | None:
    rows, keys = sql_casts.select(
        one, f"select count({_id(one, key)}), count(distinct {_id(one, key)}) from raw"
    ).fetchall()[0]
    if not rows or rows != keys:
        return None
    known = one.project(f"_row, {quote_identifier(key)}, true as _known")
    found = join_rows(many.project(f"_row, {quote_identifier(on)}"), known, on, key, "one")
    share = found.aggregate("avg(coalesce(_known, false)::int)").fetchall()[0][0]
    return JoinKey(float(share or 0), on, key)


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
