"""Build features per campaign and targeted customer from what was known before the campaign began.

The same columns are built for campaigns that took place (`exposure_features`) and for offers that are only thought of
(`offer_features`), by the same statements. Two shared facts need the whole shop: when its history begins (`since_ms`)
and how many of a campaign's customers had redeemed by a moment (`campaign_totals`). All else is read of one shard of
customers at a time, but for products and coupons.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import log

import polars as pl
from duckdb import DuckDBPyRelation as Relation

from promolift.foundation.errors import InputError
from promolift.foundation.i18n.lazy_message import gettext_lazy
from promolift.foundation.sql import bind, exact_sum_sql, fetch_frame, run_select
from promolift.foundation.tables.schemas import EXPOSURE_FEATURES, PRODUCTS
from promolift.foundation.time.clock import DAY_MS, WEEK_MS

WINDOW_DAYS, HALF_LIFE_DAYS = 84, 60.0  # of what is recent, and of a coupon used in the past
ORDER_CAP = 5  # coupon lines of one order that count at most
BROAD_CATEGORIES = 10  # a coupon on more suits everybody, and says nothing of how well it fits this one


@dataclass(frozen=True)
class CampaignHistory:
    """The logs, as relations of one connection with the columns of `tables`.

    `since_ms` is the first event of the whole shop, `campaigns` what `campaign_totals` found in it; without them, they
    are read of `events`, `exposures` and `redemptions` (right only if these are whole).
    """

    events: Relation
    exposures: Relation
    redemptions: Relation
    products: Relation | None = None
    coupons: Relation | None = None
    customers: Relation | None = None
    since_ms: int | None = None
    campaigns: "CampaignTotals | None" = None


@dataclass(frozen=True)
class CampaignTotals:
    """How many customers campaigns were sent to, and how many redeemed, before moments that are asked about:
    campaign_id, start_ms, customers; and campaign_id, ts_ms, coupons, redeemers."""

    sent: pl.DataFrame
    used: pl.DataFrame


LINES = """
select customer_id, product_id, coalesce(order_id, 'at ' || ts_ms) as order_id, ts_ms, coupon_cents > 0 as couponed
from events semi join moments using (customer_id)
where kind = 'purchase'
"""

HABITS = f"""
with slices as (
    select customer_id, order_id, ts_ms, count(*) filter (couponed) as coupon_lines from lines group by all
),
orders as (
    select m.customer_id, m.start_ms, s.order_id, max(s.ts_ms) as ts_ms, sum(s.coupon_lines) as coupon_lines
    from moments m join slices s on s.customer_id = m.customer_id and s.ts_ms < m.start_ms
    group by all
)
select m.customer_id, m.start_ms,
    count(o.order_id) filter (o.ts_ms >= m.start_ms - $window_ms) as orders_recent,
    (m.start_ms - max(o.ts_ms)) / $day as recency_days,
    coalesce({exact_sum_sql("least(o.coupon_lines, $order_cap) * pow(0.5, (m.start_ms - o.ts_ms) / $half_life_ms)")}, 0)
        as coupon_lines
from moments m left join orders o on o.customer_id = m.customer_id and o.start_ms = m.start_ms
group by m.customer_id, m.start_ms
"""

# what all targets of the same earlier campaign had done by the moment is the yardstick: it knows the campaign's appeal
# and how far it had run, and does not grow with the length of the log. Of the rows between two moments the last is kept
SENT = """
with counted as (
    select campaign_id, start_ms, sum(count(*)) over (partition by campaign_id order by start_ms)::bigint as customers
    from exposures group by campaign_id, start_ms
)
select c.campaign_id, max(c.start_ms) as start_ms, max(c.customers) as customers
from counted c asof join moments m on m.moment_ms > c.start_ms
group by c.campaign_id, m.moment_ms order by 1, 2
"""

USED = """
with uses as (
    select campaign_id, r.ts_ms, row_number() over (partition by campaign_id, customer_id order by r.ts_ms) as nth
    from redemptions r semi join exposures using (campaign_id, customer_id)
),
counted as (
    select campaign_id, ts_ms, sum(count(*)) over running::bigint as coupons,
        sum(count(*) filter (nth = 1)) over running::bigint as redeemers
    from uses group by campaign_id, ts_ms
    window running as (partition by campaign_id order by ts_ms)
)
select c.campaign_id, max(c.ts_ms) as ts_ms, max(c.coupons) as coupons, max(c.redeemers) as redeemers
from counted c asof join moments m on m.moment_ms > c.ts_ms
group by c.campaign_id, m.moment_ms order by 1, 2
"""

EARLIER = f"""
with own as (
    select m.customer_id, m.start_ms, u.campaign_id, count(*) as coupons
    from moments m join redemptions u on u.customer_id = m.customer_id and u.ts_ms < m.start_ms
    group by all
),
pairs as (
    select m.customer_id, m.start_ms, e.campaign_id, coalesce(o.coupons, 0) as coupons
    from moments m join exposures e on e.customer_id = m.customer_id and e.start_ms < m.start_ms
    left join own o on o.customer_id = m.customer_id and o.start_ms = m.start_ms and o.campaign_id = e.campaign_id
)
select p.customer_id, p.start_ms,
    count(*) as earlier_campaigns,
    count(*) filter (p.coupons > 0) as earlier_redeemed,
    {exact_sum_sql("coalesce(u.redeemers, 0) / s.customers")} as earlier_expected,
    sum(p.coupons)::bigint as earlier_coupons,
    {exact_sum_sql("coalesce(u.coupons, 0) / s.customers")} as earlier_coupons_expected
from pairs p
asof join sent s on s.campaign_id = p.campaign_id and s.start_ms < p.start_ms
asof left join used u on u.campaign_id = p.campaign_id and u.ts_ms < p.start_ms
group by all
"""

NARROW = """
select campaign_id, coupon_id, product_id
from coupons semi join (
    select campaign_id, coupon_id from coupons c left join products p using (product_id)
    group by all having count(distinct p.category) <= $broad_categories
) using (campaign_id, coupon_id)
"""

TARGETED_CUSTOMERS = "select campaign_id, customer_id from targets semi join narrow using (campaign_id)"

# `materialized` keeps the engine from pairing all lines of a customer with all their campaigns first: 100 times slower
COVERED = """
with bought as materialized (
    select n.campaign_id, l.customer_id, n.coupon_id, l.order_id, l.ts_ms, l.couponed
    from lines l join narrow n using (product_id)
)
select t.campaign_id, t.customer_id,
    count(distinct b.coupon_id || ' ' || b.order_id) filter (b.ts_ms >= t.start_ms - $window_ms) as covered_recent,
    count(distinct b.order_id) as covered_orders,
    count(distinct b.coupon_id) filter (b.couponed) as covered_couponed
from bought b join targets t using (campaign_id, customer_id)
where b.ts_ms < t.start_ms
group by all
"""

TYPES = """
with kinds as (
    select product_id, coalesce(type, category) as type from products where coalesce(type, category) is not null
),
wanted as (select distinct campaign_id, type from narrow join kinds using (product_id)),
firsts as (select customer_id, type, min(ts_ms) as ts_ms from lines join kinds using (product_id) group by all),
met as materialized (select w.campaign_id, f.customer_id, f.ts_ms from firsts f join wanted w using (type)),
sizes as (select campaign_id, count(*) as types from wanted group by all)
select t.campaign_id, t.customer_id, any_value(s.types) as covered_types,
    count(met.ts_ms) filter (met.ts_ms < t.start_ms) as types_bought
from targets t join sizes s using (campaign_id)
left join met on met.campaign_id = t.campaign_id and met.customer_id = t.customer_id
group by all
"""

PROVIDED_ATTRIBUTES = """
select customer_id, bool_or(coalesce(name, sex, age, occupation, income) is not null) as told_us
from customers group by all
"""


COVERS = """
select offer_id, coalesce(product_id, offer_id) as product_id
from wanted left join products p on offer_id = coalesce(p.category, p.type, p.product_id)
order by all
"""


def campaign_totals(exposures: Relation, redemptions: Relation, moments_ms: pl.Series) -> CampaignTotals:
    """What features of any shard's customers need to know of all: the tables are the whole shop's, and `moments_ms` all
    starts of the rows and offers whose features are asked for."""
    moments = moments_ms.cast(pl.Int64).unique().sort().rename("moment_ms").to_frame()
    sent = fetch_frame(run_select(SENT, exposures=exposures, moments=moments))
    return CampaignTotals(
        sent, fetch_frame(run_select(USED, exposures=exposures, redemptions=redemptions, moments=moments))
    )


def exposure_features(history: CampaignHistory, targets: Relation | None = None) -> pl.DataFrame:
    """One row per row of `targets` (columns of EXPOSURES; without it, all exposures), with EXPOSURE_FEATURES columns.

    Only events and redemptions strictly before the row's own `start_ms` count. Without coupons, or for a campaign whose
    coupons are all broad, what is covered and how it fits is null; without a customers table `told_us` is.
    Raises InputError where there are no events.
    """
    wanted = history.exposures if targets is None else targets
    rows = wanted.select("campaign_id, customer_id, kind, start_ms, end_ms").pl()
    return _features(history, rows, history.coupons)


def offer_features(history: CampaignHistory, asof_ms: int, covers: pl.DataFrame) -> pl.DataFrame:
    """The same columns for every customer and every offer of `covers` (offer_id, product_id), as if sent at `asof_ms`.

    The offer's id stands in `campaign_id`; each offer counts as one coupon, of no kind. Customers are all with an event
    before `asof_ms`. How deep the discount is plays no part: the logs of past coupons do not tell it.
    """
    known = f"select distinct customer_id from events where ts_ms < {asof_ms} order by 1"
    offers = pl.DataFrame({"campaign_id": covers["offer_id"].unique()})
    rows = offers.join(fetch_frame(run_select(known, events=history.events)), how="cross").with_columns(
        kind=pl.lit(None, pl.String), start_ms=pl.lit(asof_ms, pl.Int64), end_ms=pl.lit(None, pl.Int64)
    )
    coupons = covers.unique().select("product_id", campaign_id="offer_id", coupon_id="offer_id")
    return _features(history, rows, _relation(history.events, coupons))


def target_covers(products: Relation, targets: Sequence[str]) -> pl.DataFrame:
    """The products of each target: offer_id, product_id. A target is a category, else a type, else a product id."""
    wanted = pl.DataFrame({"offer_id": targets}, schema={"offer_id": pl.String}).unique()
    return fetch_frame(run_select(COVERS, products=products, wanted=wanted))


def _features(history: CampaignHistory, rows: pl.DataFrame, coupons: Relation | None) -> pl.DataFrame:
    since_ms = history.since_ms if history.since_ms is not None else _first(history.events)
    targets = _relation(history.events, rows)
    moments = run_select("select distinct customer_id, start_ms from targets", targets=targets).materialize()
    lines = run_select(LINES, events=history.events, moments=moments).materialize()
    habits = bind(
        HABITS, day=float(DAY_MS), window_ms=WINDOW_DAYS * DAY_MS,
        half_life_ms=HALF_LIFE_DAYS * DAY_MS, order_cap=ORDER_CAP,
    )  # fmt: skip
    shared = history.campaigns or campaign_totals(history.exposures, history.redemptions, rows["start_ms"])
    earlier = run_select(
        EARLIER, exposures=history.exposures, redemptions=history.redemptions, moments=moments,
        sent=shared.sent, used=shared.used,
    )  # fmt: skip
    told_us = pl.DataFrame(schema={"customer_id": pl.String, "told_us": pl.Boolean})
    if history.customers is not None:
        told_us = fetch_frame(run_select(PROVIDED_ATTRIBUTES, customers=history.customers))
    moment, key = ["customer_id", "start_ms"], ["campaign_id", "customer_id"]
    counts = [
        "earlier_campaigns", "earlier_redeemed", "earlier_coupons", "earlier_expected", "earlier_coupons_expected",
    ]  # fmt: skip
    known = pl.col("told_us") if history.customers is None else pl.col("told_us").fill_null(False)
    frame = (
        rows.with_columns(history_weeks=((pl.col("start_ms") - since_ms) / WEEK_MS).clip(0))
        .with_columns(
            faded_weeks=_faded(pl.col("history_weeks"), HALF_LIFE_DAYS / 7),
            window_weeks=pl.min_horizontal("history_weeks", WINDOW_DAYS / 7),
        )
        .join(fetch_frame(run_select(habits, lines=lines, moments=moments)), on=moment, how="left")
        .join(fetch_frame(earlier), on=moment, how="left")
        .join(told_us, on="customer_id", how="left")
        .join(_covered(lines, targets, coupons, history.products), on=key, how="left")
        .with_columns(pl.col(counts).fill_null(0), known)
    )
    return EXPOSURE_FEATURES.conform(frame).sort(key)


def _relation(events: Relation, frame: pl.DataFrame) -> Relation:
    """A frame as a relation of the same connection as `events`."""
    return run_select("select frame.* from frame", events=events, frame=frame).materialize()


def _first(events: Relation) -> int:
    first = run_select("select min(ts_ms) from events", events=events).fetchall()[0][0]
    if first is None:
        raise InputError(
            "events_missing", gettext_lazy("events: no rows; past purchases are needed to tell who uses coupons")
        )
    return int(first)


def _faded(weeks: pl.Expr, half_life: float) -> pl.Expr:
    """Weeks of history, each worth half as much per half-life of age: the integral of 0.5^(age / half-life)."""
    scale = half_life / log(2)
    return scale * (1 - (-weeks / scale).exp())


def _covered(lines: Relation, targets: Relation, coupons: Relation | None, products: Relation | None) -> pl.DataFrame:
    """Every row of a campaign with narrow coupons, with zeros where the customer never bought anything covered."""
    if coupons is None:
        return EXPOSURE_FEATURES.empty().select("campaign_id", "customer_id", "^covered_.*$", "types_bought")
    products = _relation(lines, PRODUCTS.empty()) if products is None else products
    narrow = bind(NARROW, broad_categories=BROAD_CATEGORIES)
    narrow_coupons = run_select(narrow, coupons=coupons, products=products).materialize()
    known = fetch_frame(run_select(TARGETED_CUSTOMERS, targets=targets, narrow=narrow_coupons))
    covered = bind(COVERED, window_ms=WINDOW_DAYS * DAY_MS)
    hits = fetch_frame(run_select(covered, lines=lines, targets=targets, narrow=narrow_coupons))
    types = fetch_frame(run_select(TYPES, lines=lines, targets=targets, narrow=narrow_coupons, products=products))
    key, counts = ["campaign_id", "customer_id"], ["covered_recent", "covered_orders", "covered_couponed"]
    fits = known.join(hits, on=key, how="left").with_columns(pl.col(counts).fill_null(0))
    return fits.join(types, on=key, how="left")
