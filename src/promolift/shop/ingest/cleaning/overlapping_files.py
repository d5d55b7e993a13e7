"""Find the rows that several files of events hold alike, as two exports of overlapping months do, so that each counts
once; and the orders of which two files say different things.

A row counts as often as the file says it that says it most often: two equal lines of one order in one file stay two.
"""

from collections.abc import Sequence
from typing import NamedTuple

import polars as pl

from promolift.shop.configuration.column_mapping import Mapping

SAME_ROW = ("customer_id", "ts_ms", "kind", "product_id", "order_id", "quantity", "revenue_cents")


class FileRepeats(NamedTuple):
    """Rows of a file that earlier files hold, too, and their money, in minor units."""

    rows: int = 0
    cents: int = 0


class MergedFiles(NamedTuple):
    """The rows of each file without repeats; the repeats of each; the orders (customer_id, order_id) of which a file
    says something else than the files before it, with its number (file).
    """

    rows: list[pl.DataFrame]
    repeats: list[FileRepeats]
    differing: pl.DataFrame | None


def merge_files(files: Sequence[pl.DataFrame], mappings: Sequence[Mapping]) -> MergedFiles:
    """Return the clean events of one shard without what a file repeats of the files before it.

    `files` holds tables of EVENTS. An order differs where both sides have a line of a product that the other lacks, or
    where one side names the products and the other one the whole order alone; a file that has only some of an order's
    lines, as at the end of an export, does not.
    """
    kept, repeats, differing = [files[0]], [FileRepeats()], []
    for number, rows in enumerate(files[1:], 1):
        before = pl.concat(kept)
        key = [*SAME_ROW]
        if all(mapping.has("store_id") for mapping in mappings[: number + 1]):
            key.append("store_id")
        before, rows = (each.with_columns(_nth=pl.int_range(pl.len()).over(key)) for each in (before, rows))
        key.append("_nth")
        new = rows.join(before, on=key, how="anti", nulls_equal=True, maintain_order="left")
        again = rows.join(before, on=key, how="semi", nulls_equal=True)
        kept.append(new.drop("_nth"))
        repeats.append(FileRepeats(again.height, int(again["revenue_cents"].sum())))
        if mappings[number].has("order_id"):
            old = before.join(rows, on=key, how="anti", nulls_equal=True)
            differing.append(_differing_orders(old, new).with_columns(file=pl.lit(number)))
    return MergedFiles(kept, repeats, pl.concat(differing) if differing else None)


def _differing_orders(old: pl.DataFrame, new: pl.DataFrame) -> pl.DataFrame:
    """The orders of which either side has a line that the other one says otherwise."""
    made_up = pl.col("order_id").str.starts_with(pl.col("customer_id") + "@")  # a customer's day, for want of an order
    old, new = (rows.filter(pl.col("order_id").is_not_null() & ~made_up) for rows in (old, new))
    order = ["customer_id", "order_id"]
    sides = [rows.filter(pl.col("kind").is_in(["purchase", "other"])) for rows in (old, new)]
    lines = [rows.select(*order, "product_id", sold=pl.col("kind") == "purchase") for rows in sides]
    same = lines[0].join(lines[1], on=[*order, "product_id"], nulls_equal=True)
    whole, named = pl.col("product_id").is_null().all(), pl.col("product_id").is_not_null().all()
    parts = [rows.filter("sold").group_by(order).agg(whole=whole, named=named) for rows in lines]
    mixed = parts[0].join(parts[1], on=order)
    mixed = mixed.filter((pl.col("whole") & pl.col("named_right")) | (pl.col("named") & pl.col("whole_right")))
    differing = same.filter(pl.col("sold") | pl.col("sold_right"))
    return pl.concat([differing.select(order), mixed.select(order)]).unique().sort(order)
