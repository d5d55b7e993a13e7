"""Repair drafts of offers: project each to the nearest offer that the shop may give and would print.

Legal means: printable numbers, products and categories only with a percentage, and an effective depth (percent, or
amount over threshold) within what is left: the least of `max_share` and (margin_rate - margin_floor) / (1 -
supplier_share). The projection:

- percent: the printable percent nearest to the draft's among those within room; of two equally near the smaller;
- amount: the nearest printable amount; threshold: the least printable one of at least the draft's and amount / room.

A row with no legal offer is dropped: room below the smallest percent, or a threshold above the largest. Projecting
twice changes nothing.
"""

from collections.abc import Sequence
from itertools import pairwise

import polars as pl

from promolift.core.offers.menu import MenuItem
from promolift.core.offers.settings import PrintRules

EPS = 1e-9


def max_discount_share(rules: PrintRules, margin_floor: float) -> pl.Expr:
    """The largest share of the price that may be taken off, from `margin_rate` and `supplier_share`.

    A missing margin leaves no room: it is not known that the offer keeps the floor.
    """
    own, left = 1 - pl.col("supplier_share"), pl.col("margin_rate") - margin_floor
    kept = pl.when(left < 0).then(0.0).when(own > EPS).then(left / own).otherwise(1.0)
    return pl.min_horizontal(rules.max_share, kept.fill_null(0.0)).clip(0.0)


def add_margins(drafts: pl.DataFrame, grid: pl.DataFrame, menu: Sequence[MenuItem], usual: float) -> pl.DataFrame:
    """Drafts with margin_rate (of the valued `grid`, else `usual`) and supplier_share."""
    key, names = ["customer_id", "scope", "target"], ["benefit", "scope", "supplier_share"]
    margins = grid.select(*key, "margin_rate").unique(key)
    share = {(item.benefit.type, item.scope): item.supplier_share for item in reversed(menu)}
    paid = pl.DataFrame([(*what, value) for what, value in share.items()], names, orient="row")
    known = drafts.join(margins, on=key, how="left", nulls_equal=True).join(paid, on=names[:2], how="left")
    return known.with_columns(pl.col("margin_rate").fill_null(usual), pl.col("supplier_share").fill_null(0.0))


def repair_offers(drafts: pl.DataFrame, rules: PrintRules, margin_floor: float = 0.0) -> pl.DataFrame:
    """The projection above. `drafts` has PROPOSALS' columns, margin_rate and supplier_share; so has the result, with
    rows in the same order.
    """
    is_percent, is_amount = pl.col("benefit") == "percent_off", pl.col("benefit") == "amount_off"
    space = max_discount_share(rules, margin_floor)
    percent = _nearest(pl.col("percent"), rules.percents, 100 * space)
    amount = pl.when(is_amount).then(_nearest(pl.col("amount_cents"), rules.amounts_cents)).otherwise(0)
    fixed = drafts.with_columns(
        pl.when(is_percent).then(percent).otherwise(0).alias("percent"), amount.cast(pl.Int64).alias("amount_cents")
    )
    most = rules.max_threshold_cents + 1  # out of reach: the row is dropped
    least = pl.min_horizontal((pl.col("amount_cents") / space - EPS).ceil(), most)
    spend = _threshold(pl.max_horizontal(pl.col("min_spend_cents"), pl.when(is_amount).then(least).otherwise(0)), rules)
    priced = fixed.with_columns(pl.when(is_percent).then(0).otherwise(spend).alias("min_spend_cents"))
    legal = pl.col("percent").is_not_null() & (pl.col("min_spend_cents") <= rules.max_threshold_cents)
    return priced.filter(legal, is_percent | (pl.col("scope") == "all")).with_columns(
        pl.col("percent", "min_spend_cents").cast(pl.Int64)
    )


def _nearest(value: pl.Expr, ladder: tuple[int, ...], most: pl.Expr | None = None) -> pl.Expr:
    """The step nearest to `value`, of two the smaller; null if `most` is below the first step."""
    best = pl.lit(ladder[0])
    for low, high in pairwise(ladder):
        nearer = 2 * value > low + high
        best = pl.when(nearer if most is None else nearer & (high <= most + 1e-6)).then(pl.lit(high)).otherwise(best)
    return best if most is None else pl.when(ladder[0] <= most + 1e-6).then(best)


def _threshold(spend: pl.Expr, rules: PrintRules) -> pl.Expr:
    """The least printable threshold at or above `spend`; 0 stays 0."""
    step, less = rules.threshold_step_cents, rules.threshold_less_cents
    whole = ((spend + less) / step - EPS).ceil() * step - less
    return pl.when(spend <= 0).then(0.0).otherwise(whole).cast(pl.Int64)
