"""One shard's tables, moments and the shared tables in; table PROFILES, one row per customer and moment, out."""

import polars as pl
from duckdb import DuckDBPyRelation as Relation

from promolift.profile.attributes import BANDS, BASKET, BRANDS, BREADTH, CADENCE, DEALS, HABITS, MONEY, NOVELTY, ORDERS
from promolift.profile.lines import read_lines, read_moments, read_slices, read_visits
from promolift.profile.sensitivity import fit_customers, posterior, read_deal_trials
from promolift.profile.settings import ProfileSettings
from promolift.profile.shared import Shard, Shared
from promolift.profile.signals import VIEWS, read_coupons, read_price_tier, read_trials, shrunk_rates
from promolift.sql import DAY_MS, WEEK_MS, bind, fetch
from promolift.tables import PROFILES

KEY = ["customer_id", "asof_ms"]
ABOUT = ("name", "sex", "age", "occupation", "income", "language", "consent")


def profile(
    shard: Shard, moments: Relation, shared: Shared, settings: ProfileSettings, customers: Relation | None = None
) -> pl.DataFrame:
    """Table PROFILES for the customers and moments of `moments` (columns customer_id, asof_ms), every one of them.

    Everything `attributes` tells, price sensitivity (sensitivity.py), and what the customers told themselves.
    """
    lines, known = (
        read_lines(shard.events, shard.products, moments, settings.zone),
        read_moments(moments, shared),
    )
    table = _attributes(lines, known, shard, shared, settings)
    table = table.join(_sensitivity(lines, known, shared, settings), on=KEY, how="left")
    if customers is not None:
        told = customers.pl()
        table = table.join(
            told.select("customer_id", *(c for c in ABOUT if c in told.columns)), on="customer_id", how="left"
        )
    return PROFILES.conform(table).sort(KEY).rechunk()


def attributes(shard: Shard, moments: Relation, shared: Shared, settings: ProfileSettings) -> pl.DataFrame:
    """The columns of PROFILES that describe behaviour before each moment, without sensitivity and self-description."""
    lines, known = (
        read_lines(shard.events, shard.products, moments, settings.zone),
        read_moments(moments, shared),
    )
    return _attributes(lines, known, shard, shared, settings).sort(KEY).rechunk()


def reasons(shared: Shared, asof_ms: int) -> dict[str, str]:
    """Why columns are null for everybody as of a moment: column name to sentence. Empty when nothing is missing."""
    shop = shared["shop"].filter(pl.col("asof_ms") <= asof_ms).sort("asof_ms").tail(1)
    if not shop.height:
        return {"orders_total": "the shop has no rows before this moment"}
    row, found = shop.row(0, named=True), {}
    if row["purchases_first_ms"] is None:
        found["orders_total"] = "the data hold no purchases before this moment"
    if not row["shelf_cents"]:
        found["deal_share"] = found["price_sensitivity"] = (
            "the data hold no shelf discounts, so nobody could answer to one"
        )
    if not row["coupon_cents"]:
        found["coupon_share"] = "the data hold no coupon reductions"
    if row["views_first_ms"] is None:
        found["views_total"] = "the data hold no product views"
    if row["carts_first_ms"] is None:
        found["carts_4w"] = "the data hold no carts"
    if shared["prices"].filter(pl.col("asof_ms") == row["asof_ms"]).height == 0:
        found["price_tier"] = "the catalogue names no product types or categories, or quantities are unknown"
    return found


def _attributes(
    lines: Relation, moments: Relation, shard: Shard, shared: Shared, settings: ProfileSettings
) -> pl.DataFrame:
    visits = read_visits(read_slices(lines), moments)
    parts = [
        *_history(lines, visits, moments, basket_edges(shared["baskets"])),
        *_tastes(lines, moments, shard.products, settings),
        read_price_tier(lines, moments, shared["prices"]),
        *_answers(lines, moments, shard, shared),
    ]
    table = fetch(moments).select(KEY)
    for part in parts:
        table = table.join(part, on=KEY, how="left")
    return table.with_columns((pl.col("cadence_days") - pl.col("recency_days")).alias("due_in_days"))


def _history(lines: Relation, visits: Relation, moments: Relation, edges: pl.DataFrame) -> list[pl.DataFrame]:
    statements = [ORDERS, MONEY, CADENCE, BASKET, BANDS, DEALS, HABITS, VIEWS]
    found = []
    for statement in statements:  # no comprehension: DuckDB finds relations by this function's own variable names
        found.append(fetch(lines.query("lines", bind(statement, day=DAY_MS, week=WEEK_MS))))
    return found


def _tastes(lines: Relation, moments: Relation, products: Relation, settings: ProfileSettings) -> list[pl.DataFrame]:
    values = {"day": DAY_MS, "novelty_days": settings.novelty_days}
    private = tuple(brand.lower() for brand in settings.private_brands)
    found = []
    for statement in (BREADTH, BRANDS, NOVELTY):
        found.append(fetch(lines.query("lines", bind(statement, private_brands=private, **values))))
    return found


def _answers(lines: Relation, moments: Relation, shard: Shard, shared: Shared) -> list[pl.DataFrame]:
    known, rates = moments.pl(), shared["rates"]
    trials = read_trials(lines, moments, shard.exposures, shard.redemptions).pl()
    parts = [shrunk_rates(trials, known, rates, "view", "view_to_purchase")]
    if shard.exposures is not None and shard.redemptions is not None:
        parts.append(read_coupons(moments, shard.exposures, shard.redemptions))
        parts.append(shrunk_rates(trials, known, rates, "redemption", "redemption_rate"))
    return parts


def _sensitivity(lines: Relation, moments: Relation, shared: Shared, settings: ProfileSettings) -> pl.DataFrame:
    known = moments.pl().select(*KEY, "shared_ms", "has_shelf")
    fit = fit_customers(read_deal_trials(lines, shared["deals"]), moments, settings.zone)
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
