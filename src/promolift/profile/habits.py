"""Lines in; when and where each customer is active before a moment: hours, weekdays, stores and channels, out.

A customer is active in an hour however many rows it holds, and once in each store and channel of that hour.
Legend: L active hours by store and channel, C customers, H hours of the day, D days of the week.
"""

from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from promolift import sql
from promolift.profile.encoder_data import Bools, Ints
from promolift.profile.lines import Lines
from promolift.profile.tastes import best
from promolift.sql import fetch

EVER = """
select customer_id::bigint as customer_id, hours::bigint as hours, coalesce(store_id, -1)::bigint as store_id,
    coalesce(channel, -1)::bigint as channel, min(ts_ms) as ts_ms
from lines group by all order by customer_id, hours, ts_ms
"""


@dataclass(frozen=True)
class Habits:
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


def read_habits(lines: Lines) -> Habits:
    """The shard's active hours."""
    rows = fetch(sql.run(EVER, lines=lines.rows))
    columns: list[NDArray[np.int64]] = [rows[name].to_numpy() for name in rows.columns]
    return Habits(*columns)
