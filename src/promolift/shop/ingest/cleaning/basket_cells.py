"""Find the column whose cells hold whole baskets, and split each cell into a row per item."""

import json
import re
from collections.abc import Sequence
from typing import Any

import duckdb
import polars as pl

from promolift.foundation.files.column_names import COLUMN_SYNONYMS
from promolift.foundation.sql import quote_identifier, sql_literal
from promolift.shop.ingest.cleaning import sql_casts

Relation = sql_casts.Relation
ITEM, UNITS = "\x01", "\x02"  # before each item, and between its units and its name
UNITS_FIRST = r"(^|[,;|]\s*)(\d+)\s?[×xX*]\s"
UNITS_LAST = r"\s?[×xX*]\s?(\d+)\s*([,;|]\s*|$)"
LIST_SEPARATORS = (";", "|", ",")
FIELDS = ("product", "quantity")


def split_baskets(raw: Relation, basket: str, fields: Sequence[str]) -> Relation:
    """A row for each item of the column `basket`, its `fields` in columns `<basket>.<field>`; `_line` counts them."""
    cell = f"cast({quote_identifier(basket)} as varchar)"
    texts = f"nullif({_items_of_text(cell)}, [])"
    records = f"case when json_valid({cell}) then cast(nullif(json_extract({cell}, '$[*]'), []) as varchar[]) end"
    columns = ", ".join(f"{_field(field)} as {quote_identifier(f'{basket}.{field}')}" for field in fields)
    query = f"""
        with listed as (
            select *, coalesce(case when starts_with(ltrim({cell}), '[') then {records} else {texts} end,
                [cast(null as varchar)]) as _items from raw),
        lines as (select * exclude (_items), unnest(_items) as _item, generate_subscripts(_items, 1) as _line
            from listed)
        select * exclude (_item){", " + columns if columns else ""} from lines
    """
    return sql_casts.select(raw, query)


def _items_of_text(cell: str) -> str:
    """SQL for the items of a text cell, each written as units, UNITS and the name; without units where none is said."""
    mark, between = sql_literal(ITEM), sql_literal(UNITS)
    first = f"regexp_replace({cell}, {sql_literal(UNITS_FIRST)}, chr(1) || '\\2' || chr(2), 'g')"
    last = f"regexp_replace({cell}, {sql_literal(UNITS_LAST)}, chr(2) || '\\1' || chr(1), 'g')"
    swapped = f"list_transform(string_split({last}, {mark}), lambda x: string_split(x, {between})[2] || {between} || "
    swapped += f"trim(string_split(x, {between})[1]))"
    plain = "null"
    for separator in LIST_SEPARATORS:
        split = f"list_transform(string_split({cell}, {sql_literal(separator)}), lambda x: trim(x))"
        plain = f"case when contains({cell}, {sql_literal(separator)}) then {split} else {plain} end"
    plain = f"coalesce({plain}, [trim({cell})])"
    return f"""list_filter(case
        when regexp_matches({cell}, {sql_literal(UNITS_FIRST)}) then string_split({first}, {mark})
        when regexp_matches({cell}, {sql_literal(UNITS_LAST)}) then {swapped} else {plain} end, lambda x: x <> '')"""


def _field(field: str) -> str:
    between = sql_literal(UNITS)
    record = f"json_extract_string(_item, {sql_literal(f'$.{json.dumps(field)}')})"
    parts = f"string_split(_item, {between})"
    text = {"product": f"{parts}[-1]", "quantity": f"case when len({parts}) > 1 then {parts}[1] else '1' end"}
    return f"case when starts_with(_item, '{{') then {record} else {text.get(field, 'null')} end"


def basket_column(sample: pl.DataFrame) -> str:
    """The column whose cells hold whole baskets, '' if there is none: records in JSON, or items with their units."""
    for name, dtype in sample.schema.items():
        if dtype != pl.String:
            continue
        cells = [cell for cell in sample.get_column(name).drop_nulls().str.strip_chars() if cell not in ("", "[]")]
        records = [found for cell in cells[:200] if (found := _records(cell))]
        if cells and len(records) > 0.5 * len(cells[:200]) and _are_things(records):
            return name
        counted = [cell for cell in cells if re.search(UNITS_FIRST, cell) or re.search(UNITS_LAST, cell)]
        several = any(len(re.findall(f"{UNITS_FIRST}|{UNITS_LAST}", cell)) > 1 for cell in counted)
        if cells and len(counted) > 0.8 * len(cells) and several:
            return name
        if _lists_of_ids(name, cells):
            return name
    return ""


def _lists_of_ids(name: str, cells: Sequence[str]) -> bool:
    """Whether cells are lists such as 'A12;B7': few words that come again and again in other company."""
    if re.search(r"tag|categor|path|note|address|name|描述|地址|类", name.lower()):
        return False
    for separator in LIST_SEPARATORS:
        lists = [cell.split(separator) for cell in cells]
        parts = [part.strip() for each in lists for part in each]
        sizes = {len(each) for each in lists}
        if len(cells) >= 20 and len(sizes) > 2 and len(parts) > 1.3 * len(cells):
            return all(parts) and len({*cells}) >= 1.5 * len({*parts}) and max(map(len, parts)) <= 60
    return False


def _records(cell: str) -> list[dict[str, Any]]:
    if not cell.startswith("["):
        return []
    try:
        found = json.loads(cell)
    except ValueError:
        return []
    return found if isinstance(found, list) and found and all(isinstance(each, dict) for each in found) else []


def _are_things(records: Sequence[list[dict[str, Any]]]) -> bool:
    """Whether records name things bought, and are no list of further properties of the row."""
    keys = {re.sub(r"[\W_]+", "", key).lower() for cell in records for each in cell for key in each}
    return not keys <= {"key", "value", "name"} and bool(keys & {*COLUMN_SYNONYMS["product_id"], "id", "variantid"})


def split_sample(sample: pl.DataFrame, column: str) -> pl.DataFrame:
    """The sample with a row for each item of its baskets, whose fields are columns `<column>.<field>`."""
    items = [item for cell in sample.get_column(column).fill_null("") for item in _records(cell.strip())]
    named = dict.fromkeys(key for item in items for key, value in item.items() if not isinstance(value, dict | list))
    with duckdb.connect() as connection:
        raw = connection.from_arrow(sample.with_row_index("_row").to_arrow())
        lines: pl.DataFrame = split_baskets(raw, column, [*named] or FIELDS).order("_row, _line").pl()
    return lines.drop("_row", "_line")
