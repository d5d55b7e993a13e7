"""Events, catalogue and moments in; one row per customer, moment and target out: what he buys, and what he will.

Rows are (1) every target the customer bought, with what he is expected to spend on it in the next window without any
further promotion; (2) the most plausible targets he never bought, and (3) targets he only looked at (`bought` false).
"""

import numpy as np
import polars as pl
from duckdb import DuckDBPyRelation as Relation

from promolift.profile.choices import read_cells, read_choices, read_pace, read_targets
from promolift.profile.forecast import forecast, order_prior, target_prior
from promolift.profile.lines import read_lines, read_moments, read_slices, read_visits
from promolift.profile.novel import Space, calibrated, incidence, score, space_of
from promolift.profile.settings import ProfileSettings
from promolift.profile.shared import Shard, Shared
from promolift.sql import DAY_MS, bind, fetch
from promolift.tables import AFFINITIES

KEY = ["customer_id", "asof_ms"]
CHUNK = 10_000  # customers whose matrix is held at once: 10,000 x 500 targets are 40 MB

VIEWED = """
select m.customer_id, m.asof_ms,
    coalesce(t.target, case when k.kind = 'product' then l.product_id end) as target, count(*) as views
from moments m
join lines l on l.customer_id = m.customer_id and l.ts_ms < m.asof_ms and l.kind = 'view'
left join targets t using (product_id), (select coalesce(max(target_kind), 'product') as kind from targets) k
group by all
having target is not null
"""

FIRSTS = "select customer_id, target, min(ts_ms) as first_ms from cells group by all"

INTERESTS = """
with seen as (
    select m.customer_id, m.asof_ms, l.product_id,
        count(*) filter (l.kind = 'view') as views,
        max(l.ts_ms) filter (l.kind = 'view') as last_view_ms,
        count(*) filter (l.kind = 'purchase') as bought
    from moments m join events l
        on l.customer_id = m.customer_id and l.ts_ms < m.asof_ms and l.ts_ms >= m.asof_ms - $window_days * $day
    where l.product_id is not null
    group by all
)
select customer_id, asof_ms, product_id, views, last_view_ms from seen where views > 0 and bought = 0
order by customer_id, asof_ms, product_id
"""


def affinities(shard: Shard, moments: Relation, shared: Shared, settings: ProfileSettings) -> pl.DataFrame:
    """Table AFFINITIES for the customers and moments of `moments` (columns customer_id, asof_ms).

    Formulas and errors: forecast.py for targets bought, novel.py for targets never bought. Forecasts are null for a
    moment earlier than every moment of `shared`.
    """
    lines = read_lines(shard.events, shard.products, moments, settings.zone)
    targets = read_targets(shard.products)
    cells, known = read_cells(lines, targets), read_moments(moments, shared)
    pace = (
        read_pace(read_visits(read_slices(lines), known), settings)
        .pl()
        .join(known.pl().select(*KEY, "shared_ms"), on=KEY)
    )
    bought = _bought(read_choices(cells, known, settings).pl(), pace, shared, settings)
    novel = _novel(fetch(cells.query("cells", FIRSTS)), pace, shared, settings)
    viewed = _viewed(lines, known, targets)
    table = pl.concat([bought, novel], how="diagonal").join(viewed, on=[*KEY, "target"], how="full", coalesce=True)
    return _finish(table.join(known.pl().select(*KEY, "has_shelf"), on=KEY, how="left"), _kind(targets))


def interests(events: Relation, moments: Relation, shared: Shared, settings: ProfileSettings) -> pl.DataFrame:
    """Products viewed but not bought in the last `interest_days`; empty for data without views.

    Columns customer_id, asof_ms, product_id, views, last_view_ms, buy_rate.

    `buy_rate` is the share of such customer-product pairs that were bought in the following window of the same length,
    one window before the shared moment, per product and shrunk towards all products: (bought + s p) / (pairs + s) with
    s = 20 pairs; null where the shop has no such history yet.
    """
    known = read_moments(moments, shared)
    table = _viewed_only(events, known, settings.interest_days).join(known.pl().select(*KEY, "shared_ms"), on=KEY)
    counts = shared["interests"].rename({"asof_ms": "shared_ms"})
    overall = counts.group_by("shared_ms").agg((pl.col("bought").sum() / pl.col("pairs").sum()).alias("overall"))
    table = table.join(counts, on=["shared_ms", "product_id"], how="left").join(overall, on="shared_ms", how="left")
    bought, pairs = pl.col("bought").fill_null(0), pl.col("pairs").fill_null(0)
    rate = ((bought + 20 * pl.col("overall")) / (pairs + 20)).alias("buy_rate")
    return table.select(*KEY, "product_id", "views", "last_view_ms", rate).sort(*KEY, "product_id")


def _viewed_only(events: Relation, moments: Relation, window_days: int) -> pl.DataFrame:
    return fetch(events.query("events", bind(INTERESTS, window_days=window_days, day=DAY_MS)))


def _bought(choices: pl.DataFrame, pace: pl.DataFrame, shared: Shared, settings: ProfileSettings) -> pl.DataFrame:
    orders = order_prior(shared["orders"])
    prior = target_prior(shared["targets"], shared["orders"])
    table = choices.join(pace.drop("orders"), on=KEY).join(orders, on="shared_ms", how="left")
    table = table.join(prior, on=["shared_ms", "target"], how="left").with_columns(
        (pl.col("faded_orders") / pl.col("choice_weight")).alias("n_c"),
        (pl.col("faded_choices") / pl.col("choice_weight")).alias("e"),
    )
    recency = (pl.col("asof_ms") - pl.col("last_ms")) / DAY_MS
    whole = pl.col("revenue_cents").sum().over(KEY)
    return forecast(table, settings.window_days).with_columns(
        recency.alias("recency_days"),
        (pl.col("gap_days") - recency).alias("due_in_days"),
        pl.when(whole > 0).then(pl.col("revenue_cents") / whole).alias("spend_share"),
        pl.lit(True).alias("bought"),
    )


def _novel(firsts: pl.DataFrame, pace: pl.DataFrame, shared: Shared, settings: ProfileSettings) -> pl.DataFrame:
    parts = [pl.DataFrame(schema={"customer_id": pl.String, "asof_ms": pl.Int64, "target": pl.String})]
    for (shared_ms,), group in pace.drop_nulls("shared_ms").group_by("shared_ms", maintain_order=True):
        space = space_of(shared, int(str(shared_ms)), settings)
        check = shared["calibration"].filter(pl.col("asof_ms") == shared_ms)
        for (asof_ms,), same in group.group_by("asof_ms", maintain_order=True):
            for chunk in same.sort("customer_id").iter_slices(CHUNK):
                parts.append(_plausible(firsts, chunk, int(str(asof_ms)), space, check, settings))
    return pl.concat(parts, how="diagonal")


def _plausible(
    firsts: pl.DataFrame, pace: pl.DataFrame, asof_ms: int, space: Space, check: pl.DataFrame, settings: ProfileSettings
) -> pl.DataFrame:
    """The never bought targets of highest score, at most `plausible_targets` a customer; ties by target name."""
    bought_NK = incidence(firsts, pace["customer_id"].to_list(), space.targets, asof_ms)
    prior_NK, score_NK = score(bought_NK, pace, space, settings)
    order_NK = np.argsort(-np.where(bought_NK > 0, -1.0, score_NK), axis=1, kind="stable")[
        :, : settings.plausible_targets
    ]
    row, column = np.repeat(np.arange(len(order_NK)), order_NK.shape[1]), order_NK.ravel()
    keep = bought_NK[row, column] == 0
    row, column = row[keep], column[keep]
    chosen = space.prior[column].select("target", "a", "alpha", "value_cents", "value_strength", "value_var")
    prob = calibrated(prior_NK[row, column], score_NK[row, column], check)
    table = pl.concat([pace[row].select(*KEY, "eff_orders"), chosen], how="horizontal")
    return _value(table.with_columns(pl.Series("buy_prob", prob, dtype=pl.Float64)))


def _value(table: pl.DataFrame) -> pl.DataFrame:
    """Expected value of a first purchase: about -ln(1 - prob) orders, each worth the target's mean order."""
    spread = pl.col("value_var") * (1 + 1 / pl.col("value_strength")) / pl.col("value_cents").clip(lower_bound=1.0) ** 2
    relative = (1 / (pl.col("alpha") + pl.col("eff_orders")) + 1 / pl.col("a") + spread).sqrt()
    expected = -(1 - pl.col("buy_prob").clip(upper_bound=0.99)).log() * pl.col("value_cents")
    return table.select(
        *KEY,
        "target",
        pl.lit(False).alias("bought"),
        "buy_prob",
        expected.alias("expected_cents"),
        (expected * relative).alias("expected_se_cents"),
    )


def _viewed(lines: Relation, moments: Relation, targets: Relation) -> pl.DataFrame:
    return fetch(lines.query("lines", VIEWED))


def _kind(targets: Relation) -> str:
    found = fetch(targets.query("targets", "select coalesce(max(target_kind), 'product') as kind from targets"))
    return str(found["kind"][0])


def _finish(table: pl.DataFrame, kind: str) -> pl.DataFrame:
    """Columns and types of AFFINITIES. Counts of things that did not happen are 0; what cannot be known stays null."""
    counts = ["orders", "list_cents", "revenue_cents", "recent_list_cents", "recent_revenue_cents", "views"]
    table = table.with_columns(
        pl.lit(kind).alias("target_kind"),
        pl.col("bought").fill_null(False),
        pl.when(pl.col("has_shelf")).then(pl.col("deal_share")).alias("deal_share"),
        *(pl.col(name).fill_null(0) for name in counts),
    )
    return AFFINITIES.conform(table).sort("customer_id", "asof_ms", "target").rechunk()
