"""Valued candidates on one category in; offers of the same percentage on two categories at once out.

A customer gets one offer. Where he answers to discounts on several categories, a coupon on coffee and tea earns what
the two would earn apart: more of the budget goes to those who answer most.
"""

from collections.abc import Sequence

import polars as pl

from promolift.offer.menu import MenuItem, offer_id
from promolift.terms import AND

BEST = 3  # categories of a customer at one percentage that are paired with one another
PART = ("target", "base_cents", "base_se_cents", "buy_prob", "bought", "margin_rate", "send_cost_cents")


def pair_line(item: MenuItem) -> MenuItem:
    """The line for two categories that belongs to a line for one."""
    return item.model_copy(update={"id": item.id.replace("category", "pair", 1)})


def list_pairs(valued: pl.DataFrame, items: Sequence[MenuItem], price: float) -> pl.DataFrame:
    """CANDIDATES of the lines `pair_line(item)`, with `parts` for `effect.add_effects`; effects unknown.

    At a price p of a cent of budget the best pair are the two best by gain - p cost, so each customer's three best of a
    line are paired with one another. Both must be open, and known as well as each other.
    """
    lines = {item.id: pair_line(item).id for item in items if item.scope == "category" and item.benefit.percent}
    same = ["customer_id", "menu_id", "kind", "evidence"]
    net = pl.col("gain_cents") - price * pl.col("cost_cents")
    best = (
        valued.filter(
            pl.col("eligible")
            & pl.col("menu_id").is_in(list(lines))
            & ~pl.col("target").str.contains(AND, literal=True)
        )
        .with_columns(net.alias("net"))
        .filter(pl.col("net").is_not_null())
        .sort("net", "target", descending=[True, False])
        .with_columns(pl.int_range(pl.len()).over(same).alias("rank"))
        .filter(pl.col("rank") < BEST)
        .sort("customer_id", "menu_id", "target")
    )
    other = best.select(*same, *PART)
    both = best.join(other, on=same, suffix="_2").filter(pl.col("target") < pl.col("target_2"))
    told = both.with_columns(_parts(), _covers(), *_sums()).with_columns(pl.col("menu_id").replace_strict(lines))
    ids = {key: offer_id(*key) for key in told.select("menu_id", "target").unique().rows()}
    named = [ids[key] for key in told.select("menu_id", "target").iter_rows()]
    return told.with_columns(pl.Series("offer_id", named, dtype=pl.String))


def _covers() -> pl.Expr:
    return pl.concat_str("target", "target_2", separator=AND).alias("target")


def _parts() -> pl.Expr:
    """The two, as `effect.add_effects` values them; telling costs once."""
    first = pl.struct(PART)
    second = pl.struct(
        *(pl.col(f"{name}_2").alias(name) for name in PART[:-1]), (0 * pl.col("send_cost_cents")).alias(PART[-1])
    )
    return pl.concat_list(first, second).alias("parts")


def _sums() -> list[pl.Expr]:
    """What is said of both together."""
    base, base_2 = pl.col("base_cents"), pl.col("base_cents_2")
    margin = (base * pl.col("margin_rate") + base_2 * pl.col("margin_rate_2")) / (base + base_2)
    return [
        (base + base_2).alias("base_cents"),
        (pl.col("base_se_cents") ** 2 + pl.col("base_se_cents_2") ** 2).sqrt().alias("base_se_cents"),
        (1 - (1 - pl.col("buy_prob")) * (1 - pl.col("buy_prob_2"))).alias("buy_prob"),
        (pl.col("bought") & pl.col("bought_2")).alias("bought"),
        margin.fill_nan(None).alias("margin_rate"),
    ]
