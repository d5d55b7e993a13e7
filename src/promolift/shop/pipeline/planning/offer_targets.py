"""List what an offer could be about for each customer: affinities and interests with expected value and margin."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import polars as pl

from promolift.core.customers.comparison_groups import group_lists
from promolift.core.offers.menu import MenuItem
from promolift.core.offers.order_replay import mean_per_order, past_orders, replay_orders, total_replays
from promolift.core.offers.proposals import OfferInputs
from promolift.foundation import sql
from promolift.foundation.sql import bind, fetch_frame
from promolift.foundation.tables.schemas import CATEGORY_LEVEL_SQL, CATEGORY_TARGET_SQL
from promolift.foundation.time.clock import DAY_MS
from promolift.shop.pipeline.planning.play_audiences import add_play_names
from promolift.shop.results.segments import fairness_group_columns, segment_members
from promolift.shop.results.work_folder.run_context import Job, Moments, map_shards, query_shard
from promolift.shop.results.work_folder.work_tables import ALL_CUSTOMERS, CustomerSubset

ONLINE = ("web", "app", "online", "mobile", "site", "mini-program")
PRICES = """
select product_id, sum(list_cents)::double as list_cents, sum(quantity) as units
from events where kind = 'purchase' and list_cents > 0 and quantity > 0 and ts_ms < $asof group by product_id
"""
MARGINS = f"""
with {CATEGORY_LEVEL_SQL}
select {CATEGORY_TARGET_SQL} as target, avg(1 - p.cost_cents / p.price_cents) as margin_rate
from products e cross join level join products p on p.product_id = e.product_id
where p.cost_cents is not null and p.price_cents > 0 and {CATEGORY_TARGET_SQL} is not null
group by target order by target
"""
SHELF_SUMS = """
select customer_id, sum(list_cents)::double as list_cents, sum(least(shelf_cents, list_cents))::double as shelf_cents,
    count(*)::double as lines
from events where kind = 'purchase' and list_cents > 0 and ts_ms >= $since and ts_ms < $asof group by customer_id
"""
SHELF_LINES = 10  # of their own at which a customer's share counts as much as the shop's
RESTING = f"""
with {CATEGORY_LEVEL_SQL}
select distinct e.customer_id, {CATEGORY_TARGET_SQL} as target
from (
    select r.customer_id, c.product_id from redemptions r
    join coupons c on c.campaign_id = r.campaign_id and c.coupon_id = r.coupon_id
    where r.ts_ms >= $since and r.ts_ms < $asof
) e cross join level left join products p on p.product_id = e.product_id
where {CATEGORY_TARGET_SQL} is not null order by all
"""

BASKETS = f"""
with {CATEGORY_LEVEL_SQL}, lines as (
    select e.customer_id, e.order_id, e.product_id, {CATEGORY_TARGET_SQL} as category, sum(e.quantity) as quantity,
        sum(e.list_cents)::double as list_cents, max(e.ts_ms) as ts_ms
    from events e cross join level left join products p on p.product_id = e.product_id
    where e.kind = 'purchase' and e.list_cents > 0 and e.order_id is not null and e.ts_ms >= $since and e.ts_ms < $asof
    group by all
), orders as (
    select customer_id, order_id, max(ts_ms) as at_ms from lines group by all
), numbered as (
    select *, row_number() over (partition by customer_id order by at_ms desc, order_id) as n from orders
)
select l.* from lines l join numbered o using (customer_id, order_id) where o.n <= $most
order by customer_id, order_id, product_id, category
"""
MOST_BASKETS, MOST_ORDERS, BASKET_DAYS = 8, 400_000, 364  # of one customer, of all, and how far back


class ShelfTotals(NamedTuple):
    """Of all purchases of a year: list value and what it was reduced by on the shelf, in cents, and lines."""

    list_cents: float
    shelf_cents: float
    lines: float


class SharedInputs(NamedTuple):
    """Inputs that the candidates of all shards share: see CandidateInputs; None if none of them needs it."""

    resting: pl.DataFrame
    prices: pl.DataFrame | None
    segments: pl.DataFrame | None
    groups: pl.DataFrame | None
    replay_totals: pl.DataFrame | None
    shelf_totals: ShelfTotals | None


@dataclass(frozen=True)
class CandidateInputs:
    """The inputs of candidates; shared ones are read once, on first use, or were `known`."""

    job: Job
    at: Moments
    known: SharedInputs | None = None

    def shared(self) -> SharedInputs:
        """What other processes need not read again."""
        prices = self.prices if self.job.profiled.has_interests(self.at.asof) else None
        segments = self.segments if self.job.config.segment or self.job.config.plays else None
        return SharedInputs(self.resting, prices, segments, self.groups, self.replay_totals, self.shelf_totals)

    @cached_property
    def resting(self) -> pl.DataFrame:
        """What is not offered to whom again yet."""
        return list_resting(self.job, self.at.asof) if self.known is None else self.known.resting

    @cached_property
    def prices(self) -> pl.DataFrame:
        known = self.known and self.known.prices
        return product_prices(self.job, self.at.asof) if known is None else known

    @cached_property
    def segments(self) -> pl.DataFrame:
        """Of everybody: some go by how all others spend."""
        known = self.known and self.known.segments
        if known is not None:
            return known
        members = segment_members(self.job, self.job.profiled.profiles(self.at.asof))
        return add_play_names(self.job, members) if self.job.config.plays else members

    @cached_property
    def groups(self) -> pl.DataFrame | None:
        """customer_id and the groups that limits of fairness name; None where there are none."""
        if not self.job.config.fairness.limited:
            return None
        if self.known is not None:
            return self.known.groups
        return group_lists(fairness_group_columns(self.job, self.job.profiled.profiles(self.at.asof)))

    @cached_property
    def replay_totals(self) -> pl.DataFrame | None:
        """Sums of the replays of all customers, whoever is asked for; None where nobody's orders may value another's
        offers, or no menu line needs them.
        """
        if self.known is not None:
            return self.known.replay_totals
        items = basket_items(self.job)
        if not self.job.release_policy.is_exact or not items:
            return None
        query = last_orders(self.job, self.at.asof)
        parts = map_shards(self.job, total_shard, self.job.clean.shards, query, items)
        return pl.concat(parts).group_by("menu_id").sum().sort("menu_id")

    def replays(self, among: CustomerSubset) -> pl.DataFrame | None:
        """Means per past order of what each menu line that is valued by baskets would have done: see `mean_per_order`.

        The whole shop's means are the same for any subset of customers, so that shards change no plan. None where no
        menu line needs them.
        """
        items = basket_items(self.job)
        if not items:
            return None
        query = last_orders(self.job, self.at.asof)
        shards = self.job.clean.shards if among.shard is None else [among.shard]
        found = pl.concat(map_shards(self.job, replay_shard, shards, query, items, among))
        if among == ALL_CUSTOMERS and self.job.release_policy.is_exact:
            return mean_per_order(found, total_replays(found))
        return mean_per_order(found, self.replay_totals)

    @cached_property
    def shelf_totals(self) -> ShelfTotals | None:
        """Sums over all customers, whoever is asked for; None where nobody's purchases may tell of another's."""
        if self.known is not None:
            return self.known.shelf_totals
        if not self.job.release_policy.is_exact:
            return None
        sums = pl.concat(map_shards(self.job, query_shard, self.job.clean.shards, shelf_query(self.job, self.at.asof)))
        return ShelfTotals(*(float(sums[name].sum()) for name in ShelfTotals._fields))

    def shelf_shares(self, among: CustomerSubset) -> pl.DataFrame:
        """customer_id and shelf_share: see `shelf_shares`."""
        query = shelf_query(self.job, self.at.asof)
        shards = self.job.clean.shards if among.shard is None else [among.shard]
        return shelf_shares(pl.concat(map_shards(self.job, query_shard, shards, query, among)), self.shelf_totals)

    def grouped(self, rows: pl.DataFrame) -> pl.DataFrame:
        """Candidates with their customers' groups, where limits of fairness need them."""
        if self.groups is None:
            return rows
        return rows.join(self.groups, on="customer_id", how="left", maintain_order="left")

    def inputs(self, among: CustomerSubset = ALL_CUSTOMERS) -> OfferInputs:
        """The customers, and what an offer could be about for each."""
        asof, shelf = self.at.asof, self.shelf_shares(among)
        people = list_people(self.job, asof, among, lambda: self.segments)
        margin = self.job.config.value.margin_rate
        own_share = pl.col("shelf_share").fill_null(usual_share(self.shelf_totals))
        whole = people.join(shelf, on="customer_id", how="left", maintain_order="left").with_columns(
            margin_rate=margin - own_share
        )
        targets = list_targets(self.job, asof, among, lambda: self.prices)
        about = targets.join(shelf, on="customer_id", how="left", maintain_order="left").with_columns(
            pl.col("margin_rate") - own_share
        )
        return OfferInputs(whole.drop("shelf_share"), about.drop("shelf_share"), self.resting)


def shelf_query(job: Job, asof_ms: int) -> str:
    """Return the query for what each customer's purchases of a year were reduced by on the shelf."""
    return bind(SHELF_SUMS, since=asof_ms - BASKET_DAYS * DAY_MS, asof=asof_ms)


def usual_share(totals: ShelfTotals | None) -> float:
    """The part of list value that the shop's customers do not pay; 0 where it may not be known."""
    return totals.shelf_cents / totals.list_cents if totals is not None and totals.list_cents > 0 else 0.0


def shelf_shares(sums: pl.DataFrame, totals: ShelfTotals | None) -> pl.DataFrame:
    """Return customer_id and shelf_share: the part of list value that a customer does not pay, since they buy at
    lowered prices. It is drawn towards the shop's by SHELF_LINES lines, where `totals` may be known.
    """
    own, value = pl.col("shelf_cents"), pl.col("list_cents")
    weight = SHELF_LINES * value / pl.col("lines") if totals is not None else pl.lit(0.0)
    share = (own + weight * usual_share(totals)) / (value + weight)
    return sums.select("customer_id", shelf_share=share)


def basket_items(job: Job) -> list[MenuItem]:
    """Return the menu lines that are valued by past baskets."""
    return [item for item in job.config.menu if item.by_baskets]


def last_orders(job: Job, asof_ms: int) -> str:
    """Return the query for each customer's last orders: the more customers, the fewer of each."""
    customers = job.release_policy.known_figure("customers")
    customers = job.profiled.size if customers is None else customers
    most = int(max(1, min(MOST_BASKETS, MOST_ORDERS // max(customers, 1))))
    return bind(BASKETS, since=asof_ms - BASKET_DAYS * DAY_MS, asof=asof_ms, most=most)


def replay_shard(
    job: Job, shard: int, query: str, items: list[MenuItem], among: CustomerSubset = ALL_CUSTOMERS
) -> pl.DataFrame:
    """Replay the menu lines on the last orders of one shard; see `order_replay.replay_orders`."""
    orders = past_orders(query_shard(job, shard, query, among))
    return replay_orders(orders, items, job.config.value.delivery_cost_cents)


def total_shard(job: Job, shard: int, query: str, items: list[MenuItem]) -> pl.DataFrame:
    """Return one shard's part of the totals of all customers."""
    return total_replays(replay_shard(job, shard, query, items))


def list_targets(job: Job, asof_ms: int, among: CustomerSubset, prices: Callable[[], pl.DataFrame]) -> pl.DataFrame:
    """customer_id, target, scope, kind, base_cents, base_se_cents, buy_prob, bought, margin_rate.

    Scope `category` is what they buy or may buy (the product itself in catalogues without categories: `kind`), scope
    `product` what they looked at and did not buy. Base values are expected list value in the window without an offer.
    `prices` gives those of `product_prices`, where somebody looked at one.
    """
    bought = job.profiled.affinities(asof_ms, among=among).filter(pl.col("expected_cents") > 0)
    rows = bought.select(
        "customer_id",
        "target",
        pl.lit("category").alias("scope"),
        pl.col("target_kind").alias("kind"),
        pl.col("expected_cents").alias("base_cents"),
        pl.col("expected_se_cents").alias("base_se_cents"),
        "buy_prob",
        "bought",
    )
    seen = _viewed(job, asof_ms, among, prices)
    margins = fetch_frame(sql.run_select(MARGINS, products=job.clean.products))
    both = pl.concat([rows, seen], how="diagonal") if seen.height else rows
    return both.join(margins, on="target", how="left").with_columns(
        pl.col("margin_rate").fill_null(job.config.value.margin_rate).clip(upper_bound=1.0)
    )


def product_prices(job: Job, asof_ms: int) -> pl.DataFrame:
    """product_id, price: in the catalogue, else the mean of what was paid before discounts; under `privacy.epsilon`
    by the made-up customers.
    """
    query = bind(PRICES, asof=asof_ms)
    if job.release_policy.is_exact:
        sums = pl.concat(map_shards(job, query_shard, job.clean.shards, query))
    else:
        sums = fetch_frame(sql.run_select(query, events=job.profiled.synthetic_events))
    paid = sums.group_by("product_id").agg(pl.col("list_cents", "units").sum())
    listed = fetch_frame(job.clean.products.project("product_id, price_cents"))
    return listed.join(paid, on="product_id", how="full", coalesce=True).select(
        "product_id", pl.coalesce(pl.col("price_cents"), pl.col("list_cents") / pl.col("units")).alias("price")
    )


def _viewed(job: Job, asof_ms: int, among: CustomerSubset, prices: Callable[[], pl.DataFrame]) -> pl.DataFrame:
    """Products viewed and not bought, each worth its price times the rate at which such views end in a purchase."""
    views = job.profiled.interests(asof_ms, among).filter(pl.col("buy_rate") > 0)
    if views.is_empty():
        return views
    rows = views.join(prices().filter(pl.col("price") > 0), on="product_id")
    value = pl.col("buy_rate") * pl.col("price")
    return rows.select(
        "customer_id",
        pl.col("product_id").alias("target"),
        pl.lit("product").alias("scope"),
        pl.lit("product").alias("kind"),
        value.alias("base_cents"),
        (pl.col("price") * (pl.col("buy_rate") * (1 - pl.col("buy_rate"))).sqrt()).alias("base_se_cents"),
        pl.col("buy_rate").alias("buy_prob"),
        pl.lit(False).alias("bought"),
    )


def list_people(job: Job, asof_ms: int, among: CustomerSubset, segments: Callable[[], pl.DataFrame]) -> pl.DataFrame:
    """Per customer: price_sensitivity, orders_expected, basket_mean_cents, basket_sd_cents, complaint_recency_days and
    online; where the shop has segments also these, of which `segments` gives everybody's.
    """
    window, past = job.config.plan.window_days, 16 * 7
    known = job.profiled.profiles(asof_ms, among)
    seen_days = pl.min_horizontal(pl.col("tenure_days") + 1, pl.lit(float(past)))
    people = known.select(
        "customer_id",
        "price_sensitivity",
        (pl.col("orders_16w") * window / seen_days.clip(lower_bound=float(window))).alias("orders_expected"),
        "basket_mean_cents",
        "basket_sd_cents",
        "complaint_recency_days",
        pl.col("top_channel").str.to_lowercase().is_in(list(ONLINE)).fill_null(False).alias("online"),
    )
    if not (job.config.segment or job.config.plays):
        return people
    return people.join(segments(), on="customer_id", how="left", maintain_order="left")


def list_resting(job: Job, asof_ms: int) -> pl.DataFrame:
    """customer_id and target of coupons redeemed within the shop's rest_days."""
    redemptions, coupons = job.clean.redemptions, job.clean.coupons
    if redemptions is None or coupons is None:
        return pl.DataFrame(schema={"customer_id": pl.String, "target": pl.String})
    query = bind(RESTING, since=asof_ms - job.config.rules.rest_days * DAY_MS, asof=asof_ms)
    return fetch_frame(sql.run_select(query, redemptions=redemptions, coupons=coupons, products=job.clean.products))
