"""Find and judge the past promotions in a work folder's cleaned log, and keep the result.

Promotions for everybody come from days with unusual reductions or coupons, or from redemptions of a campaign that names
no customers; campaigns from the promotions file; price cuts from the products with most discount.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any, NamedTuple

import numpy as np
import polars as pl
from duckdb import DuckDBPyRelation

from promolift.core.effects.event_study import Window, promotion_days, why_untold
from promolift.core.effects.past_promotions import (
    LONGEST_DAYS,
    MIN_ORDERS,
    DailySales,
    Judged,
    PromotionWindow,
    Reason,
    adjust_verdicts,
    always_reduced,
    find_coupon_days,
    find_cuts,
    find_sales,
    judge_group,
    judge_sitewide,
    leave_unjudged,
    sells_steadily,
)
from promolift.foundation.errors import SupportError
from promolift.foundation.i18n.catalogue import pgettext_noop
from promolift.foundation.i18n.lazy_message import gettext_lazy
from promolift.foundation.sql import bind, fetch_frame, run_select
from promolift.foundation.time.clock import DAY_MS
from promolift.shop.results.ingest import Span
from promolift.shop.results.promotion_history import Amount, PastPromotion, PromotionEffect, PromotionHistory, Unknown
from promolift.shop.results.work_folder.run_context import MARGIN_SQL, Job, map_shards, moments

EPOCH = date(1970, 1, 1)
LAST_DAYS = 730  # of the log that are read
MOST_CAMPAIGNS = 20  # the largest, and as many codes
MIN_CODE_SHARE = 0.03  # of the orders in its days that use a code; a rarer one cannot be seen in the shop's sales
MOST_PRODUCTS = 12  # price cuts that are judged, one of each product
PRODUCTS_TRIED = 60  # products with most discount, among which price cuts are looked for
EVERYBODY = 0.9  # of the customers: a campaign that reaches so many is for everybody
ROLLING_DAYS = 7  # between the starts of a campaign's customers, above which they have days of their own
LOCAL_DAY = "floor(epoch_ms(timezone($zone, make_timestamptz({ts} * 1000))) / 86400000)::int"
LINES = f"""lines as (
    select e.customer_id, e.product_id, {LOCAL_DAY.format(ts="e.ts_ms")} as day, {MARGIN_SQL} as margin,
        e.kind = 'purchase' as bought, coalesce(e.list_cents, e.revenue_cents) as list,
        coalesce(e.shelf_cents, 0) as shelf, coalesce(e.coupon_cents, 0) as coupon,
        coalesce(e.order_id, e.customer_id || ' ' || e.ts_ms) as order_id
    from events e left join products p using (product_id)
    where e.kind in ('purchase', 'refund') and e.ts_ms < $asof
)"""
SUMS = """sum(margin)::double as margin, count(distinct order_id) filter (bought)::double as orders,
    coalesce(sum(list) filter (bought), 0)::double as list, coalesce(sum(shelf) filter (bought), 0)::double as shelf,
    coalesce(sum(coupon) filter (bought), 0)::double as coupon,
    coalesce(sum(list) filter (bought and shelf > 0), 0)::double as reduced,
    count(distinct order_id) filter (bought and coupon > 0)::double as coupon_orders"""
BY_DAY = f"with {LINES} select day, {SUMS} from lines group by day"
BY_PRODUCT = f"""with {LINES}
select product_id, day, {SUMS} from lines semi join wanted using (product_id) group by product_id, day"""
BY_CAMPAIGN = f"""with {LINES}
select campaign_id, day, {SUMS} from lines join wanted using (customer_id) group by campaign_id, day"""
DISCOUNTED = """select product_id, sum(shelf_cents)::double as shelf from events
where kind = 'purchase' and shelf_cents > 0 and product_id is not null and ts_ms < $asof group by product_id"""
# Of campaigns and codes: their days, their customers or uses, and how far apart the starts of single customers lie.
SENT = f"""
select campaign_id, count(distinct customer_id) as size,
    {LOCAL_DAY.format(ts="quantile_disc(start_ms, 0.05)")} as first,
    {LOCAL_DAY.format(ts="quantile_disc(end_ms, 0.95)")} as last,
    (quantile_disc(start_ms, 0.95) - quantile_disc(start_ms, 0.05)) / {DAY_MS} as spread
from campaigns where start_ms < $asof group by campaign_id order by size desc, campaign_id"""
USED = f"""
select campaign_id, count(*) as size, {LOCAL_DAY.format(ts="quantile_disc(ts_ms, 0.02)")} as first,
    {LOCAL_DAY.format(ts="quantile_disc(ts_ms, 0.98)")} as last, 0 as spread
from campaigns where ts_ms < $asof group by campaign_id having count(*) >= {MIN_ORDERS}
order by size desc, campaign_id"""
COLUMNS = ("margin", "orders", "list", "shelf", "coupon", "reduced", "coupon_orders")


@dataclass(frozen=True)
class _Log:
    """The job, the values that its queries are bound to, the log's first day and its number of days."""

    job: Job
    bound: dict[str, object]
    first: date
    days: int

    def window(self, first: int, last: int) -> Window | None:
        """The days of a promotion, counted from 1970, as indexes; None where the log has none of them."""
        start = (self.first - EPOCH).days
        a, b = max(first - start, 0), min(last - start, self.days - 1)
        return Window(a, b - a + 1) if b >= a else None

    def series(self, rows: pl.DataFrame) -> DailySales:
        """Sums by day as arrays; days without a row are 0."""
        at = rows["day"].to_numpy() - (self.first - EPOCH).days
        inside = (at >= 0) & (at < self.days)
        arrays = []
        for name in COLUMNS:
            values = np.zeros(self.days)
            np.add.at(values, at[inside], rows[name].to_numpy()[inside])
            arrays.append(values)
        return DailySales(*arrays)

    def sums(self, query: str, wanted: pl.DataFrame) -> pl.DataFrame:
        """The rows of a query over all shards of events, added up by day and key."""
        return _sums(self.job, bind(query, **self.bound), wanted)

    def rows(self, table: DuckDBPyRelation, query: str) -> list[dict[str, Any]]:
        """The rows of a query on a table of campaigns."""
        return fetch_frame(run_select(bind(query, **self.bound), campaigns=table)).to_dicts()


class _Reached(NamedTuple):
    """A judged promotion and how many customers could get it, None for everybody."""

    judged: Judged
    reach: int | None = None


class _Sent(NamedTuple):
    """A campaign and the number of its customers."""

    found: PromotionWindow
    customers: int


class _Cut(NamedTuple):
    """A product's price cut: whether it cannot be told, its days, the product's sales, and the promotions that it met
    besides."""

    untold: bool
    product: str
    window: Window
    sales: DailySales
    others: Sequence[Window]


class _Campaigns(NamedTuple):
    """Judged campaigns with customers of their own, promotions for everybody that are still to be judged, those that
    cannot be, and how many are too small to be listed."""

    targeted: list[_Reached]
    open_to_all: list[PromotionWindow]
    unjudged: list[_Reached]
    smaller: int = 0


def keep_history(job: Job) -> PromotionHistory:
    """Judge the past promotions of the log and keep what was found.

    Raises SupportError under `privacy.epsilon`: exact sums of customers would be released.
    """
    if job.config.privacy.epsilon is not None:
        raise SupportError(
            "model_not_private",
            gettext_lazy("history: under privacy.epsilon no exact sums of customers' days are read; leave it out"),
        )
    job.tell(pgettext_noop("step", "history"), 0.0, gettext_lazy("sales by day"))
    bound: dict[str, object] = {
        "zone": job.config.shop.zone, "asof": moments(job).asof, "rate": job.config.value.margin_rate
    }  # fmt: skip
    rows = _sums(job, bind(BY_DAY, **bound)).filter(pl.col("orders") > 0).sort("day")
    empty = PromotionHistory(
        currency=job.config.shop.currency, margin_rate=job.config.value.margin_rate, days=0, promotions=(), smaller=0,
        unknown="no_amounts",
    )  # fmt: skip
    if rows.is_empty() or not rows["list"].sum() > 0:
        return empty.keep(job.store)
    last = int(rows["day"][-1])
    days = min(last - int(rows["day"][0]) + 1, LAST_DAYS)
    log = _Log(job, bound, EPOCH + timedelta(days=last + 1 - days), days)
    daily = log.series(rows)
    sales = [PromotionWindow(each, "sitewide") for each in find_sales(daily)]
    campaigns = _campaigns(log, daily, sales)
    open_to_all = [*sales, *campaigns.open_to_all]
    if job.clean.exposures is None and not campaigns.open_to_all:  # else campaigns and codes tell of the coupons
        open_to_all += [PromotionWindow(each, "coupons") for each in find_coupon_days(daily)]
    sitewide = judge_sitewide(daily, open_to_all)
    job.tell("history", 0.5, gettext_lazy("price cuts of single products"))
    cuts = _judge_cuts(log, daily, [each.found.window for each in sitewide])
    found = [*map(_Reached, sitewide), *campaigns.targeted, *campaigns.unjudged, *cuts]
    verdicts = adjust_verdicts([each.judged for each in found])
    every = [each._replace(judged=judged) for each, judged in zip(found, verdicts, strict=True)]
    listed = sorted((each for each in every if each.judged.sold >= MIN_ORDERS), key=_order)
    unknown: Unknown | None = None
    if not listed and always_reduced(daily):
        unknown = "always"
    elif not listed:
        unknown = "no_promotions" if (daily.shelf_D + daily.coupon_D).any() else "no_discounts"
    names = _product_names(job, [each.judged.found.name for each in cuts])
    return empty.model_copy(
        update={
            "days": days,
            "promotions": tuple(_promotion(log, each, names) for each in listed),
            "smaller": campaigns.smaller + len(every) - len(listed),
            "unknown": unknown,
        }
    ).keep(job.store)


def _sums(job: Job, sql: str, wanted: pl.DataFrame | None = None) -> pl.DataFrame:
    """The rows of a query over all shards of events, added up by day and key."""
    rows = pl.concat(map_shards(job, _shard_sums, job.clean.shards, sql, wanted))
    keys = [name for name in rows.columns if name not in COLUMNS]
    return rows.sort([*keys, *COLUMNS]).group_by(keys, maintain_order=True).agg(pl.col(COLUMNS).sum())


def _shard_sums(job: Job, shard: int, sql: str, wanted: pl.DataFrame | None) -> pl.DataFrame:
    more = {} if wanted is None else {"wanted": wanted}
    return fetch_frame(run_select(sql, events=job.clean.events(shard), products=job.clean.products, **more))


def _order(each: _Reached) -> tuple[int | str, ...]:
    """The latest first."""
    found = each.judged.found
    return -found.window.first, found.kind, found.name


def _campaigns(log: _Log, daily: DailySales, sales: Sequence[PromotionWindow]) -> _Campaigns:
    """Judge the campaigns that name their customers; find those for everybody, and codes that anybody could use."""
    clean, found, targeted = log.job.clean, _Campaigns([], [], []), list[_Sent]()
    sent = [] if clean.exposures is None else log.rows(clean.exposures, SENT)
    used = [] if clean.redemptions is None else log.rows(clean.redemptions, USED)
    sizes = {row["campaign_id"]: row["size"] for row in sent}
    # where all who are known of have used it, nobody was chosen: it is a code
    codes = [row for row in used if row["size"] >= sizes.get(row["campaign_id"], 0)]
    coded = {row["campaign_id"] for row in codes}
    sent = [row for row in sent if row["campaign_id"] not in coded]
    everybody = EVERYBODY * Span.load(log.job.store).customers
    smaller = max(len(sent) - MOST_CAMPAIGNS, 0) + max(len(codes) - MOST_CAMPAIGNS, 0)
    for row in [*sent[:MOST_CAMPAIGNS], *codes[:MOST_CAMPAIGNS]]:
        window, by_code = log.window(row["first"], row["last"]), row["campaign_id"] in coded
        orders = 0.0 if window is None else float(daily.orders_D[window.first : window.end].sum())
        if window is None or (by_code and row["size"] < MIN_CODE_SHARE * orders):
            smaller += 1
            continue
        each = PromotionWindow(window, "coupons" if by_code else "campaign", row["campaign_id"])
        if row["spread"] > ROLLING_DAYS or window.days > LONGEST_DAYS:
            reason: Reason = "rolling" if row["spread"] > ROLLING_DAYS else "too_long"
            found.unjudged.append(_Reached(leave_unjudged(daily, each, reason), None if by_code else row["size"]))
        elif by_code:
            found.open_to_all.append(each)
        elif row["size"] >= everybody:
            found.open_to_all.append(each._replace(kind="sitewide"))
        else:
            targeted.append(_Sent(each, row["size"]))
    others = [each.window for each in [*sales, *found.open_to_all]]
    return found._replace(targeted=_judge_targeted(log, daily, targeted, others), smaller=smaller)


def _judge_targeted(log: _Log, daily: DailySales, sent: Sequence[_Sent], others: Sequence[Window]) -> list[_Reached]:
    """Judge campaigns by the customers who got them, compared with all others on the same days."""
    exposures = log.job.clean.exposures
    if not sent or exposures is None:
        return []
    names = pl.DataFrame({"campaign_id": [each.found.name for each in sent]})
    wanted = fetch_frame(
        run_select("select distinct campaign_id, customer_id from sent semi join names using (campaign_id)",
                   sent=exposures, names=names)
    )  # fmt: skip
    rows = log.sums(BY_CAMPAIGN, wanted)
    judged = []
    for each in sent:
        mine = log.series(rows.filter(pl.col("campaign_id") == each.found.name))
        result = judge_group(mine, _rest(daily, mine), [each.found], others)
        judged += [_Reached(one, each.customers) for one in result]
    return judged


def _judge_cuts(log: _Log, daily: DailySales, sitewide: Sequence[Window]) -> list[_Reached]:
    """Judge the latest price cut of each of the products with most discount, compared with all other products.

    Not the largest: that would be chosen by what it sold. Products that hardly sell in many weeks are left out: their
    cuts begin and end with a sale, and a season looks like a cut.
    """
    sql = bind(DISCOUNTED, **log.bound)
    parts = pl.concat(map_shards(log.job, _shard_sums, log.job.clean.shards, sql, None))
    sums = parts.group_by("product_id").agg(pl.col("shelf").sum())
    wanted = sums.sort(["shelf", "product_id"], descending=[True, False]).head(PRODUCTS_TRIED).select("product_id")
    if wanted.is_empty():
        return []
    rows, latest = log.sums(BY_PRODUCT, wanted), list[_Cut]()
    for product in wanted["product_id"]:
        mine = log.series(rows.filter(pl.col("product_id") == product))
        if not sells_steadily(mine):
            continue
        windows = find_cuts(mine)
        busy_D = promotion_days([*windows, *sitewide], log.days)
        cuts = [
            _Cut(why_untold(each, busy_D) is not None, product, each, mine,
                 [*(other for other in windows if other != each), *sitewide])
            for each in windows
            if each.days <= LONGEST_DAYS
            and not any(each.first < other.end and other.first < each.end for other in sitewide)
        ]  # fmt: skip
        latest += sorted(cuts, key=lambda cut: (cut.untold, -cut.window.first))[:1]
    judged = list[_Reached]()
    for cut in sorted(latest, key=lambda cut: cut.untold)[:MOST_PRODUCTS]:
        found = [PromotionWindow(cut.window, "product", cut.product)]
        judged += map(_Reached, judge_group(cut.sales, _rest(daily, cut.sales), found, cut.others))
    return judged


def _rest(daily: DailySales, mine: DailySales) -> DailySales:
    """All other sales of the same days."""
    return DailySales(*(getattr(daily, f"{name}_D") - getattr(mine, f"{name}_D") for name in COLUMNS))


def _product_names(job: Job, products: Sequence[str]) -> Mapping[str, str]:
    """Names as printed; of a product without one its type or category with its id."""
    rows = job.clean.catalogue.filter(pl.col("product_id").is_in(list(products)))
    kind = pl.coalesce("type", "category")
    known = rows.select("product_id", pl.coalesce("name", pl.format("{} {}", kind.str.to_lowercase(), "product_id")))
    return {product: name for product, name in known.iter_rows() if name is not None}


def _promotion(log: _Log, each: _Reached, names: Mapping[str, str]) -> PastPromotion:
    """The stored form of a judged promotion."""
    found, orders, margin = each.judged.found, each.judged.orders, each.judged.margin
    effect = None
    if orders is not None and margin is not None:
        effect = PromotionEffect(
            expected_orders=max(orders.expected, 0.0),
            orders_before=Amount.of(orders.before),
            orders_within=Amount.of(orders.within),
            orders_after=Amount.of(orders.after),
            margin_within=Amount.of(margin.within),
            margin_after=Amount.of(margin.after),
            net=Amount.of(margin.net),
            after_days=margin.after_days,
            p=each.judged.p,
            placebos=margin.placebos,
        )
    return PastPromotion(
        kind=found.kind,
        names=tuple(names.get(name, name) for name in each.judged.names),
        first=log.first + timedelta(days=found.window.first),
        last=log.first + timedelta(days=found.window.end - 1),
        reach=each.reach,
        orders=round(each.judged.sold),
        cost_cents=round(each.judged.cost),
        effect=effect,
        verdict=each.judged.verdict,
        reason=each.judged.reason,
        evidence=None if effect is None else "adjusted",
    )
