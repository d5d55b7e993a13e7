"""Build table PROFILES, one row per customer and moment, for one shard of customers."""

import polars as pl
from duckdb import DuckDBPyRelation as Relation

from promolift.core.customers.profiles.attributes import BANDS, BASKET, CADENCE, DEALS, MONEY, ORDERS
from promolift.core.customers.profiles.engagement import (
    VIEWS,
    read_coupons,
    read_customer_texts,
    read_online,
    read_trials,
    shrunk_rates,
)
from promolift.core.customers.profiles.population_sums import PopulationSums, Shard
from promolift.core.customers.profiles.preferences import (
    brand_preference,
    category_breadth,
    count_preferences,
    novelty_share,
    price_tier,
    read_active_hours,
)
from promolift.core.customers.profiles.price_sensitivity import fit_shard, posterior
from promolift.core.customers.profiles.purchase_counts import read_purchase_counts
from promolift.core.customers.profiles.purchase_lines import PurchaseLines, read_lines, read_moments, read_visits
from promolift.core.customers.settings import ProfileSettings
from promolift.foundation import sql
from promolift.foundation.i18n.catalogue import gettext_noop
from promolift.foundation.sql import bind, fetch_frame
from promolift.foundation.tables.schemas import PROFILES
from promolift.foundation.time.clock import DAY_MS, WEEK_MS

KEY = ["customer_id", "asof_ms"]
TEXT_COLUMNS = ("top_category_1", "top_category_2", "top_category_3", "top_brand", "top_store", "top_channel")
CUSTOMER_COLUMNS = ("name", "sex", "age", "occupation", "income", "tier", "language", "consent")


def build_profiles(
    shard: Shard,
    moments: Relation,
    shared: PopulationSums,
    settings: ProfileSettings,
    customers: Relation | None = None,
) -> pl.DataFrame:
    """Table PROFILES for the customers and moments of `moments` (columns customer_id, asof_ms), every one of them.

    Everything `behaviour_attributes` tells, price sensitivity (price_sensitivity.py), and what the customers told
    themselves.
    """
    lines = read_lines(shard, settings.zone)
    known = read_moments(lines, moments, shared)
    table = _attributes(lines, known, shard, shared, settings)
    table = lines.texts(table.join(_sensitivity(known, shard, shared, settings), on=KEY, how="left"), *TEXT_COLUMNS)
    if customers is not None:
        stated = customers.pl()
        table = table.join(
            stated.select("customer_id", *(c for c in CUSTOMER_COLUMNS if c in stated.columns)),
            on="customer_id",
            how="left",
        )
    return PROFILES.conform(table).sort(KEY).rechunk()


def behaviour_attributes(
    shard: Shard, moments: Relation, shared: PopulationSums, settings: ProfileSettings
) -> pl.DataFrame:
    """The columns of PROFILES that describe behaviour before each moment, without sensitivity and self-description."""
    lines = read_lines(shard, settings.zone)
    known = read_moments(lines, moments, shared)
    return lines.texts(_attributes(lines, known, shard, shared, settings), *TEXT_COLUMNS).sort(KEY).rechunk()


def missing_column_reasons(shared: PopulationSums, asof_ms: int) -> dict[str, str]:
    """Return why columns are null for every customer as of a moment: column name to sentence."""
    shop = shared["shop"].filter(pl.col("asof_ms") <= asof_ms).sort("asof_ms").tail(1)
    if not shop.height:
        return {"orders_total": gettext_noop("the shop has no rows before this moment")}
    row, found = shop.row(0, named=True), {}
    if row["purchases_first_ms"] is None:
        found["orders_total"] = gettext_noop("the data hold no purchases before this moment")
    if not row["shelf_cents"]:
        found["deal_share"] = found["price_sensitivity"] = gettext_noop(
            "the data hold no shelf discounts, so nobody could answer to one"
        )
    if not row["coupon_cents"]:
        found["coupon_share"] = gettext_noop("the data hold no coupon reductions")
    if row["views_first_ms"] is None:
        found["views_total"] = gettext_noop("the data hold no product views")
    if row["carts_first_ms"] is None:
        found["carts_4w"] = gettext_noop("the data hold no carts")
    if row["impressions_first_ms"] is None:
        found["click_rate"] = "the data hold no impressions"
    if shared["prices"].filter(pl.col("asof_ms") == row["asof_ms"]).height == 0:
        found["price_tier"] = gettext_noop(
            "the catalogue names no product types or categories, or quantities are unknown"
        )
    return found


def _attributes(
    lines: PurchaseLines, moments: Relation, shard: Shard, shared: PopulationSums, settings: ProfileSettings
) -> pl.DataFrame:
    known = fetch_frame(moments)
    parts = [
        *_history(lines, moments, basket_edges(shared["baskets"])),
        *_tastes(lines, known, shard, shared, settings),
        *_answers(lines, moments, shard, shared),
    ]
    table = known.select(KEY)
    for part in parts:
        table = table.join(part, on=KEY, how="left")
    return table.with_columns((pl.col("cadence_days") - pl.col("recency_days")).alias("due_in_days"))


def _history(lines: PurchaseLines, moments: Relation, edges: pl.DataFrame) -> list[pl.DataFrame]:
    visits = read_visits(lines.slices, moments)
    statements = [ORDERS, MONEY, CADENCE, BASKET, BANDS, DEALS, VIEWS]
    return [
        fetch_frame(
            sql.run_select(
                bind(each, day=DAY_MS, week=WEEK_MS), moments=moments, lines=lines.rows, visits=visits, edges=edges
            )
        )
        for each in statements
    ]


def _tastes(
    lines: PurchaseLines, known: pl.DataFrame, shard: Shard, shared: PopulationSums, settings: ProfileSettings
) -> list[pl.DataFrame]:
    """Habits, categories, brands, types and price tier, one moment at a time."""
    own, habits, parts = private_brands(lines, settings), read_active_hours(lines), []
    by_brand = count_preferences(lines, "brand", list_cents="list_cents")
    counted = {"list_cents": "list_cents", "units": "quantity", "counted": "1"}
    by_type = count_preferences(
        lines, "type", **{n: f"case when quantity > 0 then {v} else 0 end" for n, v in counted.items()}
    )
    words = fetch_frame(lines.words)
    prices = shared["prices"].join(words, left_on="type", right_on="word").with_columns(pl.col("code").alias("type"))
    has_categories = bool(lines.goods.aggregate("count(category)").fetchall()[0][0])
    for asof_ms, shared_ms in known.select("asof_ms", "shared_ms").unique().sort("asof_ms").iter_rows():
        types = by_type.before(asof_ms)
        held = types if shared_ms in (asof_ms, None) else by_type.before(shared_ms)
        chosen = read_purchase_counts(shard, settings).before(asof_ms, settings)
        found = [
            habits.before(asof_ms),
            category_breadth(chosen if has_categories else chosen.clear()).drop("asof_ms"),
            brand_preference(by_brand.before(asof_ms), own),
            novelty_share(types, asof_ms, settings.novelty_days),
            price_tier(types, held, prices.filter(pl.col("asof_ms").eq_missing(shared_ms))),
        ]
        table = known.filter(pl.col("asof_ms") == asof_ms).select(KEY)
        for part in found:
            table = table.join(part, on="customer_id", how="left")
        parts.append(table)
    return [pl.concat(parts)] if parts else []


def private_brands(lines: PurchaseLines, settings: ProfileSettings) -> list[int]:
    """The numbers of the shop's own brands that its catalogue names."""
    labels = fetch_frame(lines.goods.filter("label is not null").project("brand, lower(label) as label").distinct())
    return labels.filter(pl.col("label").is_in([brand.lower() for brand in settings.private_brands]))["brand"].to_list()


def _answers(lines: PurchaseLines, moments: Relation, shard: Shard, shared: PopulationSums) -> list[pl.DataFrame]:
    known, rates = fetch_frame(moments), shared["rates"]
    trials = fetch_frame(read_trials(shard, lines, moments))
    parts = [shrunk_rates(trials, known, rates, "view", "view_to_purchase")]
    carted = known.filter(pl.col("carts_first_ms").is_not_null())  # else nothing is known of carts
    parts.append(shrunk_rates(trials, carted, rates, "cart", "view_to_cart"))
    shown = known.filter(pl.col("impressions_first_ms").is_not_null())
    parts.append(shrunk_rates(trials, shown, rates, "click", "click_rate"))
    parts.append(read_online(shard, lines, moments))
    if lines.exposures is not None and lines.redemptions is not None:
        parts.append(read_coupons(moments, lines.exposures, lines.redemptions))
        parts.append(shrunk_rates(trials, known, rates, "redemption", "redemption_rate"))
    if lines.customer_texts is not None:
        parts.append(read_customer_texts(moments, lines.customer_texts))
    return parts


def _sensitivity(moments: Relation, shard: Shard, shared: PopulationSums, settings: ProfileSettings) -> pl.DataFrame:
    known = fetch_frame(moments).select(*KEY, "shared_ms", "has_shelf")
    asofs = known["asof_ms"].unique().sort().to_list() or shared.asofs[:1]
    fit = pl.concat([fit_shard(shard, shared, asof_ms, settings) for asof_ms in asofs])
    table = posterior(fit, known, shared["likeness"], shared["sensitivity"]).join(known, on=KEY)
    columns = ("price_sensitivity", "price_sensitivity_se")
    return table.select(*KEY, *(pl.when(pl.col("has_shelf")).then(pl.col(name)).alias(name) for name in columns))


def basket_edges(baskets: pl.DataFrame) -> pl.DataFrame:
    """The shop's basket value at 20, 40, 60 and 80 %, in cents, per `shared_ms`; exact to the table's 5 % steps."""
    ranked = baskets.sort("asof_ms", "bin").with_columns(
        (pl.col("orders").cum_sum().over("asof_ms") / pl.col("orders").sum().over("asof_ms")).alias("share")
    )
    edges = [
        (1.05 ** (pl.col("bin").filter(pl.col("share") >= fifth / 5).first() + 1)).alias(f"fifth_{fifth}")
        for fifth in (1, 2, 3, 4)
    ]
    return ranked.group_by(pl.col("asof_ms").alias("shared_ms"), maintain_order=True).agg(edges)
