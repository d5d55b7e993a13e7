"""Load the schema of every table from schemas.tsv: type, unit, range and meaning of each column. docs/tables.md is
generated from the same file.

In that file a line that begins with `#` names a table, its key, whether it is open to further columns, and its meaning.
Its columns follow; `!` after a type means never null. `@` includes those columns of another table that are not listed
yet.
"""

from importlib.resources import files

import polars as pl

from promolift.foundation.tables.contract import Column, Flag, Int, Real, Table, Text

OPTION = pl.Struct(
    {"offer": pl.String, "gain_cents": pl.Float64, "cost_cents": pl.Float64, "charge_cents": pl.Float64,
     "prob": pl.Float64, "draw_start": pl.Float64, "draw_share": pl.Float64}
)  # fmt: skip
CLOSED_OFFER = pl.Struct({"offer": pl.String, "reason": pl.String})
COLUMN_TYPES: dict[str, pl.DataType | type[pl.DataType]] = {
    "text": Text, "int": Int, "real": Real, "flag": Flag, "date": pl.Date, "texts": pl.List(Text),
    "options": pl.List(OPTION), "closed": pl.List(CLOSED_OFFER),
}  # fmt: skip


def _read() -> dict[str, Table]:
    text = files("promolift").joinpath("foundation/tables/schemas.tsv").read_text("utf-8")
    found: dict[str, Table] = {}
    for block in text.removeprefix("# ").split("\n# "):
        head, *lines = block.strip("\n").split("\n")
        name, key, open_, meaning = head.split("\t")
        columns: dict[str, Column] = {}
        for line in lines:
            if line.startswith("@ "):
                columns |= {c.name: c for c in found[line[2:]].columns if c.name not in columns}
                continue
            column, kind, unit, span, said = line.split("\t")
            low, _, high = span.partition("..")
            columns[column] = Column(
                column, COLUMN_TYPES[kind.rstrip("!")], said, unit, kind.endswith("!"),
                int(low) if low else None, int(high) if high else None,
            )  # fmt: skip
        found[name] = Table(name, meaning, tuple(key.split()), tuple(columns.values()), open_ == "open")
    return found


TABLES = _read()
EVENTS, CUSTOMERS, PRODUCTS = TABLES["events"], TABLES["customers"], TABLES["products"]
EXPOSURES, REDEMPTIONS, COUPONS, SHELF = (TABLES[name] for name in ("exposures", "redemptions", "coupons", "shelf"))
WORDS, TRANSCRIPTS = TABLES["words"], TABLES["transcripts"]
PROFILES, AFFINITIES, EXPOSURE_FEATURES = TABLES["profiles"], TABLES["affinities"], TABLES["exposure_features"]
DECISIONS, REJECTED, CANDIDATES = TABLES["decisions"], TABLES["rejected"], TABLES["candidates"]
PLANNED, PLAN_FILE = TABLES["planned"], TABLES["plan_file"]
OUTLOOK, OUTLOOK_ITEMS = TABLES["outlook"], TABLES["outlook_items"]

# What a category offer covers: the category, or in catalogues without categories the finer type, or the product itself.
# CATEGORY_LEVEL_SQL is a common table expression over `products`; CATEGORY_TARGET_SQL reads it for an event row `e`
# joined with its product `p`.
CATEGORY_LEVEL_SQL = """level as (
    select case when count(category) > 0 then 'category' when count(type) > 0 then 'type' else 'product' end as level
    from products
)"""
CATEGORY_TARGET_SQL = "case level.level when 'category' then p.category when 'type' then p.type else e.product_id end"


def all_tables() -> list[Table]:
    """Return every table, in the order in which the pipeline makes them."""
    return list(TABLES.values())
