"""Profiles, targets and the menu in; one row per customer and offer out, each open or with the reason why not."""

from collections.abc import Sequence

import polars as pl

from promolift.offer.menu import MenuItem, offer_id
from promolift.offer.settings import OfferRules
from promolift.tables import CANDIDATES


def list_candidates(
    profiles: pl.DataFrame,
    targets: pl.DataFrame,
    menu: Sequence[MenuItem],
    rules: OfferRules,
    resting: pl.DataFrame,
) -> pl.DataFrame:
    """CANDIDATES without effects: `none` for everybody, then every menu line that could fit.

    `profiles`: customer_id, price_sensitivity, orders_expected, basket_mean_cents, basket_sd_cents, online.
    `targets`: customer_id, target, scope, base_cents, base_se_cents, buy_prob, bought, margin_rate.
    `resting`: customer_id, target of what was redeemed within `rest_days`.
    """
    kept = (
        targets.sort("base_cents", "target", descending=[True, False])
        .with_columns(pl.int_range(pl.len()).over("customer_id", "scope").alias("rank"))
        .filter(pl.col("rank") < rules.top_targets)
        .drop("rank")
    )
    none = profiles.select("customer_id", pl.lit("none").alias("menu_id"), pl.lit("none").alias("offer_id"))
    parts = [none, *(_rows(item, profiles, kept, rules) for item in menu)]
    people = profiles.select(
        "customer_id", "price_sensitivity", "orders_expected", "basket_mean_cents", "basket_sd_cents"
    )
    rows = pl.concat(parts, how="diagonal").join(people, on="customer_id", how="left")
    marked = rows.join(
        resting.select("customer_id", "target").unique().with_columns(resting=pl.lit(True)),
        on=["customer_id", "target"],
        how="left",
    )
    return CANDIDATES.conform(_close(marked, rules)).sort("customer_id", "offer_id")


def _rows(item: MenuItem, profiles: pl.DataFrame, targets: pl.DataFrame, rules: OfferRules) -> pl.DataFrame:
    if item.scope == "all":
        rows = profiles.select("customer_id", "online").with_columns(pl.lit("all").alias("scope"))
        offer = pl.lit(offer_id(item.id, ""))
    else:
        rows = targets.filter(pl.col("scope") == item.scope).join(
            profiles.select("customer_id", "online"), on="customer_id"
        )
        ids = {t: offer_id(item.id, t) for t in rows["target"].unique().sort()}
        offer = pl.col("target").replace_strict(ids, default=None, return_dtype=pl.String)
    return rows.with_columns(
        offer.alias("offer_id"),
        pl.lit(item.id).alias("menu_id"),
        pl.lit(item.benefit.type).alias("benefit"),
        pl.lit(item.depth, pl.Float64).alias("depth"),
        pl.lit(item.benefit.amount_cents, pl.Int64).alias("amount_cents"),
        pl.lit(item.min_spend_cents, pl.Int64).alias("min_spend_cents"),
        pl.lit(item.activation).alias("activation"),
        pl.lit(item.supplier_share).alias("supplier_share"),
        pl.lit(item.send_cost_cents).alias("send_cost_cents"),
        (pl.lit(item.online_only) & ~pl.col("online").fill_null(False)).alias("no_online"),
    ).drop("online")


def _close(rows: pl.DataFrame, rules: OfferRules) -> pl.DataFrame:
    """The first rule that closes an offer to a customer, in the order a shopkeeper would ask."""
    margin_left = pl.col("margin_rate") - pl.col("depth") * (1 - pl.col("supplier_share"))
    reasons: list[tuple[pl.Expr, str]] = [
        (pl.col("target").is_in(list(rules.excluded)), "the shop gives no offers on this"),
        (margin_left < rules.margin_floor, "the margin left would be below the floor"),
        (pl.col("resting").fill_null(False), "a coupon for it was redeemed lately"),
        (pl.col("buy_prob") < rules.min_buy_prob, "not plausible: neither bought nor close to what is bought"),
        (pl.col("no_online").fill_null(False), "no online orders seen"),
        (
            (pl.col("scope") == "all") & (pl.col("min_spend_cents") > 0) & pl.col("basket_mean_cents").is_null(),
            "no order seen to compare the threshold with",
        ),
    ]
    why = pl.coalesce(*(pl.when(broken.fill_null(False)).then(pl.lit(text)) for broken, text in reasons))
    return rows.with_columns(why.alias("why_not"), why.is_null().alias("eligible"))
