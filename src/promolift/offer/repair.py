"""Drafts of offers in; the nearest offers that the shop may give and would print, out.

Let room be the largest reduction allowed on a row, as a share of the price: the least of `max_share` less what the
shelf already takes off, and (margin_rate - margin_floor) / (1 - supplier_share). The projection:

- percent: the printable percent nearest to the draft's among those within room; of two equally near the smaller;
- amount: the nearest printable amount; threshold: the least printable one of at least the draft's and amount / room;
- validity: the nearest printable length; hour: the nearest waking hour; channel: unknown ones become missing.

A row with no legal offer is dropped: room below the smallest percent, or a threshold above the largest. Projecting
twice changes nothing.
"""

from collections.abc import Sequence
from itertools import pairwise

import polars as pl

from promolift.offer.menu import MenuItem
from promolift.offer.settings import PrintRules

EPS = 1e-9


def room(rules: PrintRules, margin_floor: float) -> pl.Expr:
    """The largest share of the price that may be taken off, from `margin_rate`, `supplier_share`, `shelf_depth`.

    A missing margin leaves no room: it is not known that the offer keeps the floor.
    """
    shelf = pl.col("shelf_depth").fill_null(0.0)
    most = rules.max_share - shelf if rules.stack else pl.when(shelf > 0).then(0.0).otherwise(rules.max_share)
    own = 1 - pl.col("supplier_share")
    left = pl.col("margin_rate") - margin_floor
    kept = pl.when(left < 0).then(0.0).when(own > EPS).then(left / own).otherwise(1.0)
    return pl.min_horizontal(most, kept.fill_null(0.0)).clip(0.0)


def with_terms(drafts: pl.DataFrame, grid: pl.DataFrame, menu: Sequence[MenuItem], usual: float) -> pl.DataFrame:
    """Drafts with margin_rate (of the valued `grid`, else `usual`), supplier_share and shelf_depth."""
    key, names = ["customer_id", "scope", "target"], ["benefit", "scope", "supplier_share"]
    margins = grid.select(*key, "margin_rate").unique(key)
    share = {(item.benefit.type, item.scope): item.supplier_share for item in reversed(menu)}
    paid = pl.DataFrame([(*what, value) for what, value in share.items()], names, orient="row")
    known = drafts.join(margins, on=key, how="left", nulls_equal=True).join(paid, on=names[:2], how="left")
    return known.with_columns(
        pl.col("margin_rate").fill_null(usual), pl.col("supplier_share").fill_null(0.0), shelf_depth=0.0
    )


def repair(drafts: pl.DataFrame, rules: PrintRules, margin_floor: float = 0.0) -> pl.DataFrame:
    """The projection above. `drafts` has PROPOSALS' columns and margin_rate, supplier_share, shelf_depth; so has the
    result, with rows in the same order.
    """
    is_percent, is_amount = pl.col("benefit") == "percent_off", pl.col("benefit") == "amount_off"
    space = room(rules, margin_floor)
    percent = _nearest(pl.col("percent"), rules.percents, 100 * space)
    amount = pl.when(is_amount).then(_nearest(pl.col("amount_cents"), rules.amounts_cents)).otherwise(0)
    fixed = drafts.with_columns(
        pl.when(is_percent).then(percent).otherwise(0).alias("percent"),
        amount.cast(pl.Int64).alias("amount_cents"),
        _nearest(pl.col("valid_days"), rules.valid_days).alias("valid_days"),
        pl.col("hour").clip(rules.first_hour, rules.last_hour),
        pl.when(pl.col("channel").is_in(rules.channels)).then(pl.col("channel")).alias("channel"),
    )
    most = rules.max_threshold_cents + 1  # out of reach: the row is dropped
    least = pl.min_horizontal((pl.col("amount_cents") / space - EPS).ceil(), most)
    needed = pl.when(is_amount).then(least).otherwise(0)
    spend = _threshold(pl.max_horizontal(pl.col("min_spend_cents"), needed), rules)
    priced = fixed.with_columns(pl.when(is_percent).then(0).otherwise(spend).alias("min_spend_cents"))
    return priced.filter(broken(rules, margin_floor).is_null()).with_columns(
        pl.col("percent", "min_spend_cents", "valid_days", "hour").cast(pl.Int64)
    )


def broken(rules: PrintRules, margin_floor: float = 0.0) -> pl.Expr:
    """The first rule that a row breaks, in words; null for a legal offer. It shares nothing with the projection but
    `room`.
    """
    space, spend = room(rules, margin_floor), pl.col("min_spend_cents")
    is_percent, is_amount = pl.col("benefit") == "percent_off", pl.col("benefit") == "amount_off"
    reasons = (
        (~pl.col("benefit").is_in(["percent_off", "amount_off", "free_shipping"]), "no such benefit"),
        (~is_percent & (pl.col("scope") != "all"), "offers on a category or product are percent_off"),
        (is_percent & ~pl.col("percent").is_in(rules.percents).fill_null(False), "a percent that is not printed"),
        (~is_percent & (pl.col("percent") != 0), "a percent beside another benefit"),
        (
            is_percent & (pl.col("percent") > 100 * space + 1e-6),
            "deeper than margin, shelf and law leave room for",
        ),
        (is_amount & ~pl.col("amount_cents").is_in(rules.amounts_cents), "an amount that is not printed"),
        (~is_amount & (pl.col("amount_cents") != 0), "an amount beside another benefit"),
        (is_amount & (pl.col("amount_cents") > space * spend + 1e-6), "the amount is too large a share of the spend"),
        (
            (spend != 0) & ((spend + rules.threshold_less_cents) % rules.threshold_step_cents != 0),
            "a threshold that is not printed",
        ),
        ((spend < 0) | (spend > rules.max_threshold_cents), "a threshold out of reach"),
        (~pl.col("valid_days").is_in(rules.valid_days), "a validity that is not printed"),
        (~pl.col("hour").is_between(rules.first_hour, rules.last_hour), "an hour of rest"),
        (~pl.col("channel").is_in(rules.channels), "a channel the shop has not"),
    )
    return pl.coalesce(*(pl.when(bad.fill_null(False)).then(pl.lit(text)) for bad, text in reasons))


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
