"""Room 1. Raw events in, the raw customers or products that stand inside them out: the last value said of each."""

from promolift.data import sql
from promolift.data.mapping import NEEDED, Mapping
from promolift.data.reader import Reader
from promolift.sql import ident

Relation = sql.Relation


def latest(raw: Relation, mapping: Mapping) -> Relation:
    """One raw row per customer or product with the last value that stands in each mapped column.

    For files in which every event repeats the product's name or the customer's age. Give the result to
    clean_products or clean_customers together with the same mapping.
    """
    reader = Reader.of(raw, mapping, mapping.table)
    key_role = NEEDED[mapping.table][0]
    key = mapping.sources(key_role)[0]
    others = sorted({name for role in mapping.columns for name in mapping.sources(role)} - {key})
    last = ", ".join(_last(name, reader) for name in others)
    query = f"""
        with renamed as (select {reader.renamed()} from raw)
        select max(_row) as _row, {reader.id(key_role)} as {ident(key)}, {last} from renamed
        where {reader.id(key_role)} is not null group by all
    """
    return sql.select(raw, query)


def _last(name: str, reader: Reader) -> str:
    column = "=" + name
    said = f"{sql.text(column, reader.types[name])} is not null"
    return f"arg_max({ident(column)}, _row) filter ({said}) as {ident(name)}"
