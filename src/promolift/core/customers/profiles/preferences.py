"""Compute each customer's preferred categories, brands and price tier, and when and where the customer buys.

A price tier of 1.10 means: the products they take cost 10 % more than what others take of the same types. A customer is
active in an hour however many rows it holds, and once in each store and channel of that hour.
Legend: L lines (in order of customer and key) or active hours by store and channel, P pairs of a customer and a key,
C customers, V values, K places, H hours of the day, D days of the week.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from promolift.core.customers.profiles.purchase_lines import PurchaseLines
from promolift.foundation import sql
from promolift.foundation.jit import Bools, Days, Ints, jit_compile
from promolift.foundation.sql import fetch_frame
from promolift.foundation.time.clock import DAY_MS

TALLY = """
select customer_id, {key} as key, ts_ms, {values} from lines
where kind = 'purchase' and {key} is not null order by customer_id, key
"""
EVER = """
select customer_id::bigint as customer_id, hours::bigint as hours, coalesce(store_id, -1)::bigint as store_id,
    coalesce(channel, -1)::bigint as channel, min(ts_ms) as ts_ms
from lines group by all order by customer_id, hours, ts_ms
"""


@dataclass(frozen=True)
class PreferenceCounts:
    """Lines per customer and key; those of pair p are rows start[p] to start[p + 1]."""

    pairs: pl.DataFrame
    names: tuple[str, ...]
    start_P: Ints
    ts_L: Ints
    value_LV: Days

    def before(self, asof_ms: int) -> pl.DataFrame:
        """One row per pair with a line before the moment: n lines, first_ms, last_ms, and the sum of each value."""
        seen_P3 = np.zeros((self.pairs.height, 3), np.int64)
        sum_PV = np.zeros((self.pairs.height, len(self.names)))
        _tally(self.start_P, self.ts_L, self.value_LV, asof_ms, seen_P3, sum_PV)
        found = [pl.Series(name, seen_P3[:, at]) for at, name in enumerate(("n", "first_ms", "last_ms"))]
        found += [pl.Series(name, sum_PV[:, at]) for at, name in enumerate(self.names)]
        return self.pairs.with_columns(found).filter(pl.col("n") > 0)


@jit_compile
def _tally(start_P: Ints, ts_L: Ints, value_LV: Days, asof: int, seen_P3: Ints, sum_PV: Days) -> None:
    for p in range(len(start_P) - 1):
        for at in range(start_P[p], start_P[p + 1]):
            if ts_L[at] < asof:
                if not seen_P3[p, 0] or ts_L[at] < seen_P3[p, 1]:
                    seen_P3[p, 1] = ts_L[at]
                seen_P3[p, 0] += 1
                seen_P3[p, 2] = max(seen_P3[p, 2], ts_L[at])
                for v in range(value_LV.shape[1]):
                    sum_PV[p, v] += value_LV[at, v]


def count_preferences(lines: PurchaseLines, key: str, **values: str) -> PreferenceCounts:
    """Purchase lines by customer and the key's column, with these SQL expressions to be summed up."""
    shown = ", ".join(f"({value})::double as {name}" for name, value in values.items())
    rows = fetch_frame(sql.run_select(TALLY.format(key=key, values=shown), lines=lines.rows))
    pairs = rows.select("customer_id", "key")
    numbers = pairs.to_numpy()
    first_P = np.flatnonzero(np.r_[True, (numbers[1:] != numbers[:-1]).any(1)][: len(numbers)])
    start_P = np.r_[first_P, len(numbers)].astype(np.int64)
    return PreferenceCounts(
        pairs[first_P], tuple(values), start_P, rows["ts_ms"].to_numpy(), rows.select(*values).to_numpy()
    )


def best(table: pl.DataFrame, by: Sequence[str], name: str, places: int) -> pl.DataFrame:
    """Per customer, the rows of most `by[0]`, then of most `by[1]`, then as they stand: one column per place.

    `table` is in order of customers and, within one, of keys. Columns customer_id, and `name` with the place in it for
    the row's number, null where there are not so many.
    """
    owner = table["customer_id"].to_numpy()
    first_C = np.flatnonzero(np.r_[True, owner[1:] != owner[:-1]][: len(owner)])
    row_CK = np.full((len(first_C), places), -1, np.int64)
    ranks = [table[column].cast(pl.Float64).to_numpy() for column in by]
    _best(np.r_[first_C, len(owner)].astype(np.int64), ranks[0], ranks[1], row_CK)
    columns = [pl.Series(name.format(k + 1), row_CK[:, k]).replace(-1, None) for k in range(places)]
    return table[first_C].select("customer_id", *columns)


@jit_compile
def _best(start_C: Ints, first_P: Days, second_P: Days, row_CK: Ints) -> None:
    for c in range(len(start_C) - 1):
        for p in range(start_C[c], start_C[c + 1]):
            new, moved = p, False
            for k in range(row_CK.shape[1]):
                old = row_CK[c, k]
                level = old >= 0 and first_P[new] == first_P[old]
                if moved or old < 0 or first_P[new] > first_P[old] or (level and second_P[new] > second_P[old]):
                    row_CK[c, k], new, moved = new, old, True
                if new < 0:
                    break


def category_breadth(choices: pl.DataFrame) -> pl.DataFrame:
    """How many categories, how evenly, and the three of most orders with their share of spend at list prices."""
    spend = pl.col("list_cents").clip(lower_bound=0).cast(pl.Float64)
    table = choices.select("customer_id", "asof_ms", "target", "orders", spend.alias("spend"))
    whole = pl.col("spend").sum().over("customer_id")
    table = table.with_columns(pl.when(whole > 0).then(pl.col("spend") / whole).alias("share"))
    positive = pl.col("share").filter(pl.col("share") > 0)
    found = table.group_by("customer_id", "asof_ms", maintain_order=True).agg(
        pl.len().alias("category_count"),
        pl.when(positive.len() > 0).then(-(positive * positive.log()).sum()).alias("category_entropy"),
    )
    top = best(table, ("orders", "spend"), "place_{}", 3)
    tops = []
    for k in (1, 2, 3):
        row = top[f"place_{k}"]
        tops += [
            table["target"].gather(row).alias(f"top_category_{k}"),
            table["share"].gather(row).alias(f"top_category_{k}_share"),
        ]
    return pl.concat([found, pl.DataFrame(tops)], how="horizontal")


def brand_preference(table: pl.DataFrame, private: Sequence[int] | None) -> pl.DataFrame:
    """The brand of most lines, and the share of the shop's own; `private` are its numbers, None where it has none."""
    lines = pl.col("n").sum()
    own = pl.col("n").filter(pl.col("key").is_in(list(private or ()))).sum() / lines
    found = table.group_by("customer_id", maintain_order=True).agg(
        pl.len().alias("brand_count"),
        lines.alias("lines"),
        (own if private else pl.lit(None)).alias("private_label_share"),
    )
    row = best(table, ("n", "list_cents"), "place_{}", 1)["place_1"]
    top, share = table["key"].gather(row).alias("top_brand"), table["n"].gather(row) / found["lines"]
    return found.drop("lines").with_columns(top, share.alias("top_brand_share"))


def novelty_share(table: pl.DataFrame, asof_ms: int, days: int) -> pl.DataFrame:
    """How many types; of those bought in the last `days`, the share never bought before."""
    since = asof_ms - days * DAY_MS
    new, all_ = (pl.col("first_ms") >= since).sum(), (pl.col("last_ms") >= since).sum()
    # somebody who began inside the window cannot be told from somebody who tries new things
    known = (pl.col("first_ms").min() < since) & (all_ > 0)
    return table.group_by("customer_id").agg(
        pl.len().alias("type_count"), pl.when(known).then(new / all_).alias("novelty_share")
    )


def price_tier(table: pl.DataFrame, shared: pl.DataFrame, prices: pl.DataFrame) -> pl.DataFrame:
    """price_tier: own list spend over the same units at the others' average price per type; error clustered by type.

    `table` and `shared` hold counted lines (their list_cents and units), as of the moment and of the shared table
    `prices`, from which the customer's own purchases are left out as far as it holds them.
    """
    own = table.filter(pl.col("counted") > 0).select("customer_id", "key", "list_cents", "units")
    held = shared.select("customer_id", "key", pl.col("list_cents").alias("held_cents"), pl.col("units").alias("held"))
    others = (
        pl.col("price_cents") - pl.col("held_cents").fill_null(0),
        pl.col("price_units") - pl.col("held").fill_null(0),
    )
    compared = (
        own.join(held, on=["customer_id", "key"], how="left")
        .join(prices.select(pl.col("type").alias("key"), price_cents="list_cents", price_units="units"), on="key")
        .filter(others[1] > 1e-6, others[0] > 0)
        .with_columns((pl.col("units") * others[0] / others[1]).alias("others_cents"))
        .with_columns((pl.col("list_cents").sum() / pl.col("others_cents").sum()).over("customer_id").alias("tier"))
    )
    miss, n = pl.col("list_cents") - pl.col("tier") * pl.col("others_cents"), pl.len()
    return compared.group_by("customer_id").agg(
        pl.col("tier").first().alias("price_tier"),
        pl.when(n > 1)
        .then(((miss**2).sum() * n / (n - 1)).sqrt() / pl.col("others_cents").sum())
        .alias("price_tier_se"),
    )


@dataclass(frozen=True)
class ActiveHours:
    """Rows in order of customer, hour and first instant; a store or channel is -1 where it is unknown."""

    customer_L: Ints
    hours_L: Ints  # since 1970, in the shop's zone
    store_L: Ints
    channel_L: Ints
    ts_L: Ints

    def before(self, asof_ms: int) -> pl.DataFrame:
        """One row per customer with a row before the moment; stores and channels as words' numbers."""
        seen_L = self.ts_L < asof_ms
        first_L = np.ones(len(seen_L), bool)  # of the rows of one hour the earliest tells when it was active
        first_L[1:] = (self.customer_L[1:] != self.customer_L[:-1]) | (self.hours_L[1:] != self.hours_L[:-1])
        clock_L, people = seen_L & first_L, np.unique(self.customer_L[seen_L])
        who, hours = np.searchsorted(people, self.customer_L[clock_L]), self.hours_L[clock_L]
        size = len(people)
        hour_CH = np.bincount(who * 24 + hours % 24, minlength=size * 24).reshape(size, 24)
        day_CD = np.bincount(who * 7 + (hours // 24 + 3) % 7, minlength=size * 7).reshape(size, 7)  # from Monday on
        active_C = hour_CH.sum(axis=1)
        found = pl.DataFrame(
            {
                "customer_id": people.astype(np.int32),
                "top_hour": hour_CH.argmax(axis=1) if size else active_C,
                "top_weekday": day_CD.argmax(axis=1) + 1 if size else active_C,
                "active_hours": active_C,
                "weekend_share": day_CD[:, 5:].sum(axis=1) / active_C,
                "morning_share": hour_CH[:, 5:11].sum(axis=1) / active_C,
                "evening_share": hour_CH[:, 18:23].sum(axis=1) / active_C,
            }
        )
        for name, code_L in (("store", self.store_L), ("channel", self.channel_L)):
            places = self._places(code_L, seen_L & (code_L >= 0), name)
            found = found.join(places, on="customer_id", how="left").with_columns(pl.col(f"{name}_count").fill_null(0))
        return found.drop("top_channel_share")

    def _places(self, code_L: Ints, seen_L: Bools, name: str) -> pl.DataFrame:
        """How many stores or channels each customer uses, the one most often, and its share of active hours."""
        width = int(code_L.max(initial=0)) + 1
        pair, n = np.unique(self.customer_L[seen_L] * width + code_L[seen_L], return_counts=True)
        table = pl.DataFrame({"customer_id": (pair // width).astype(np.int32), "code": pair % width, "n": n})
        top = best(table, ("n", "n"), "row", 1)
        whole = table.group_by("customer_id", maintain_order=True).agg(pl.len().cast(pl.Int64), pl.col("n").sum())
        return top.select(
            "customer_id",
            table["code"].gather(top["row"]).alias(f"top_{name}"),
            whole["len"].alias(f"{name}_count"),
            (table["n"].gather(top["row"]) / whole["n"]).alias(f"top_{name}_share"),
        )


def read_active_hours(lines: PurchaseLines) -> ActiveHours:
    """The shard's active hours."""
    rows = fetch_frame(sql.run_select(EVER, lines=lines.rows))
    columns: list[NDArray[np.int64]] = [rows[name].to_numpy() for name in rows.columns]
    return ActiveHours(*columns)
