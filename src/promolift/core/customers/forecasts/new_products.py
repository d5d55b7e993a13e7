"""Find new products that few customers have bought yet, and the customers who may buy them.

A product bought by fewer than FEW is made of the known ones most like it (product_vectors.py): a customer's pace for
it is that
of their visits that bought those. The three of highest pace are put forward for each customer, with the rate at which
such pairs were bought in the window after an earlier moment, when other products were new; below LEAST_BOUGHT such
purchases nothing is put forward. Legend: N customers, J known products, C new ones.
"""

from typing import NamedTuple

import numpy as np
import polars as pl
from scipy.sparse import csr_array

from promolift.core.customers.forecasts.first_purchases import BINS_PER_OCTAVE, calibrated_probability
from promolift.core.customers.profiles.population_sums import PopulationSums, Shard
from promolift.core.customers.profiles.purchase_lines import PurchaseLines, read_lines
from promolift.core.customers.settings import ProfileSettings
from promolift.core.customers.vectors import nearest_neighbours
from promolift.foundation import sql
from promolift.foundation.hashing import hash_units
from promolift.foundation.sql import bind, fetch_frame
from promolift.foundation.time.clock import DAY_MS

MAX_NEW_BUYERS, MAX_NEW_PRODUCTS, PRODUCTS_SHOWN, MIN_BOUGHT = 5, 5_000, 3, 10
SALES = """
select a.asof_ms, product_id, count(distinct customer_id) as buyers,
    count(distinct customer_id) filter (ts_ms >= a.asof_ms - 2 * $window_ms) as lately
from asofs a join lines l on l.ts_ms < a.asof_ms
where kind = 'purchase' and product_id is not null group by all
"""
TIMES = """
select customer_id, product_id, count(distinct order_id) filter (ts_ms < $asof) as visits, min(ts_ms) as first_ms,
    count(*) filter (ts_ms >= $asof) > 0 as later
from lines where kind = 'purchase' and product_id is not null and ts_ms < $until group by all order by all
"""
PACES = {"customer_id": pl.String, "product_id": pl.String, "pace": pl.Float64}
CALIBRATION_SCHEMA = pl.Schema({"asof_ms": pl.Int64, "bin": pl.Int64, "rows": pl.Int64, "bought": pl.Int64})


class NewProducts(NamedTuple):
    """Products that few have bought at one moment, and of which known ones each is made (J x C)."""

    known: list[str]
    new: list[str]
    weight_JC: csr_array


def count_sales(lines: PurchaseLines, asofs: pl.DataFrame, settings: ProfileSettings) -> pl.DataFrame:
    """asof_ms, product_id, buyers before the moment, and those of them within two windows before it."""
    query = bind(SALES, window_ms=settings.window_days * DAY_MS)
    return lines.texts(fetch_frame(sql.run_select(query, lines=lines.rows, asofs=asofs)), "product_id")


def find_new_products(shared: PopulationSums, asof_ms: int) -> NewProducts:
    """What is new at a moment of which sales are summed: bought by fewer than FEW, and not long ago by those few.

    Of more than MOST_NEW those bought lately come first, then any, drawn by hash.
    """
    found: NewProducts | None = shared.spaces.get(("new", asof_ms))
    if found is None and shared.vectors is not None:
        at = shared["sales"].filter(pl.col("asof_ms") == asof_ms)
        goods = shared.vectors.join(at, on="product_id", how="left").with_columns(
            pl.col("buyers", "lately").fill_null(0)
        )
        known = goods.filter(pl.col("buyers") >= MAX_NEW_BUYERS).sort("product_id")
        new = goods.filter((pl.col("buyers") < MAX_NEW_BUYERS) & ((pl.col("buyers") == 0) | (pl.col("lately") > 0)))
        drawn = pl.Series("drawn", hash_units("new", new["product_id"].to_list()), dtype=pl.Float64)
        new = (
            new.with_columns(drawn)
            .sort("lately", "drawn", descending=[True, False])
            .head(MAX_NEW_PRODUCTS)
            .sort("product_id")
        )
        found = weights_on_known(known.select("product_id", "vector"), new.select("product_id", "vector"))
        shared.spaces["new", asof_ms] = found
    assert found is not None
    return found


def weights_on_known(known: pl.DataFrame, new: pl.DataFrame) -> NewProducts:
    """New products by known ones; both have columns product_id and vector."""
    weight_JC = nearest_neighbours(new["vector"].to_numpy(), known["vector"].to_numpy())
    return NewProducts(known["product_id"].to_list(), new["product_id"].to_list(), weight_JC)


def purchase_paces(times: pl.DataFrame, goods: NewProducts, most: int) -> pl.DataFrame:
    """Each customer's `most` new products of highest pace: customer_id, product_id, pace; none of pace 0.

    `times`: customer_id, product_id and `rate`, in how many visits of a window they bought it: what they never bought
    is not there.
    """
    place = pl.DataFrame({"product_id": goods.known}, schema={"product_id": pl.String}).with_row_index("column")
    rows = times.join(place, on="product_id")
    who = rows["customer_id"].unique().sort()
    if who.is_empty() or not goods.new:
        return pl.DataFrame(schema=PACES)
    at = (who.search_sorted(rows["customer_id"]).to_numpy(), rows["column"].to_numpy())
    rate_NJ = csr_array((rows["rate"].to_numpy(), at), shape=(len(who), len(goods.known)))
    pace_NC = (rate_NJ @ goods.weight_JC).tocoo()
    found = pl.DataFrame(
        {
            "customer_id": who.gather(pace_NC.row),
            "product_id": pl.Series(goods.new, dtype=pl.String).gather(pace_NC.col),
            "pace": pace_NC.data,
        }
    ).filter(pl.col("pace") > 0)
    never = found.join(times, on=["customer_id", "product_id"], how="anti")
    ranked = never.sort("customer_id", "pace", "product_id", descending=[False, True, False])
    return ranked.group_by("customer_id", maintain_order=True).head(most)


def purchase_times(lines: PurchaseLines, asof_ms: int, until_ms: int, settings: ProfileSettings) -> pl.DataFrame:
    """customer_id, product_id, `rate` of visits in a window before the moment (0: not bought), and whether it was
    bought from then `until` the later one."""
    window = settings.window_days * DAY_MS
    found = fetch_frame(sql.run_select(bind(TIMES, asof=asof_ms, until=until_ms), lines=lines.rows))
    known = pl.max_horizontal(asof_ms - pl.col("first_ms").min().over("customer_id"), pl.lit(window))
    rate = (pl.col("visits") * window / known).alias("rate")
    return lines.texts(found.select("customer_id", "product_id", rate, "later"), "product_id")


def cached_purchase_times(shard: Shard, asof_ms: int, settings: ProfileSettings) -> pl.DataFrame:
    """`times` as of a window before the moment, until it; read in the first pass, kept for the third."""
    before = asof_ms - settings.window_days * DAY_MS
    return shard.saved_frame(
        f"times {asof_ms}", lambda: purchase_times(read_lines(shard, settings.zone), before, asof_ms, settings)
    )


def check_new_products(shard: Shard, shared: PopulationSums, asof_ms: int, settings: ProfileSettings) -> pl.DataFrame:
    """Of what would have been shown a window before the moment, what was bought since, by half octaves of the pace."""
    before = asof_ms - settings.window_days * DAY_MS
    kept = cached_purchase_times(shard, asof_ms, settings)
    shown = purchase_paces(kept.filter(pl.col("rate") > 0), find_new_products(shared, before), PRODUCTS_SHOWN)
    came = shown.join(kept.filter("later"), on=["customer_id", "product_id"], how="left")
    bins = (pl.col("pace").log(2) * BINS_PER_OCTAVE).floor().cast(pl.Int64).alias("bin")
    found = came.group_by(bins).agg(
        pl.len().cast(pl.Int64).alias("rows"), pl.col("later").sum().cast(pl.Int64).alias("bought")
    )
    return found.select(pl.lit(asof_ms, pl.Int64).alias("asof_ms"), "bin", "rows", "bought").cast(CALIBRATION_SCHEMA)


def new_product_interests(
    shard: Shard, known: pl.DataFrame, shared: PopulationSums, settings: ProfileSettings
) -> pl.DataFrame:
    """Rows as of `find_interests`, with 0 views, for the customers and moments of `known` (customer_id, asof_ms)."""
    parts = []
    for asof_ms in shared.asofs:
        checked = shared["new_check"].filter(pl.col("asof_ms") == asof_ms)
        rows, bought = int(checked["rows"].sum()), int(checked["bought"].sum())
        if bought < MIN_BOUGHT:
            continue
        mine = purchase_times(read_lines(shard, settings.zone), asof_ms, asof_ms, settings)
        shown = purchase_paces(mine.filter(pl.col("rate") > 0), find_new_products(shared, asof_ms), PRODUCTS_SHOWN)
        scores = shown["pace"].to_numpy()
        overall = np.full(len(scores), bought / rows)
        rate = calibrated_probability(overall, scores, checked.with_columns(prior=pl.col("rows") * (bought / rows)))
        parts.append(
            shown.select(
                "customer_id", pl.lit(asof_ms, pl.Int64).alias("asof_ms"), "product_id",
                pl.lit(0, pl.Int64).alias("views"), pl.lit(None, pl.Int64).alias("last_view_ms"),
                pl.Series("buy_rate", rate, dtype=pl.Float64),
            )
        )  # fmt: skip
    return pl.concat(parts).join(known, on=["customer_id", "asof_ms"], how="semi") if parts else pl.DataFrame()
