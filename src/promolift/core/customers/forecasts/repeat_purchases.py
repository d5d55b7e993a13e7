"""Forecast orders, value and purchase probability per customer and target from purchase counts.

Gamma-Poisson twice. A customer's orders per day R have a Gamma(alpha, beta) prior over the shop's customers; the share
g of orders that hold a target has a Gamma(a, b) prior over customers for that target. Given n effective orders in t
effective days, and n_c effective orders with the target among e effective orders:

    E R = (alpha + n) / (beta + t)        E g = (a + n_c) / (b + e)        orders in W days = m = E R * E g * W
    var(m) / m^2 = 1 / (alpha + n) + 1 / (a + n_c) = 1 / k
    P(at least one) = 1 - (1 + m / k)^-k            (negative binomial)

The value of an order of the target is the mean of their N orders (sum S) shrunk to the target's mean v with strength
s = (variance within customers) / (variance between them):  E V = (S + s v) / (N + s), var V = within / (N + s).
All four priors are fitted by moments to sums over customers. `expected_cents` = m E V; its standard error is that of
the expectation (delta method), not of one month's outcome, which varies more. History includes the shop's usual
promotions, so "without a promotion" means without a further one.
"""

import polars as pl

SMALL = 1e-9


def order_prior(orders: pl.DataFrame) -> pl.DataFrame:
    """Gamma prior of orders per day, per `shared_ms`: columns alpha, beta. From sums n, nn, t, tt, nt over customers.

    n given its rate R is Poisson with mean R t, so sum (n - R0 t)^2 = R0 sum t + var(R) sum t^2 in expectation.
    """
    rate = (pl.col("n") + 0.5) / (pl.col("t") + 1.0)  # half an order in a day: defined even when nobody came back
    spread = pl.col("nn") - 2 * rate * pl.col("nt") + rate**2 * pl.col("tt") - rate * pl.col("t")
    variance = (spread / (pl.col("tt") + 1.0)).clip(lower_bound=0.01 * rate**2)
    return orders.select(
        pl.col("asof_ms").alias("shared_ms"), (rate**2 / variance).alias("alpha"), (rate / variance).alias("beta")
    )


def target_prior(targets: pl.DataFrame, orders: pl.DataFrame) -> pl.DataFrame:
    """Gamma prior of a target's share of orders, and the prior of its value: one row per `shared_ms` and target.

    Columns a, b (share), value_cents, value_strength (in orders), value_var (within customers, cents squared).
    """
    known = targets.join(orders.select("asof_ms", "e", "ee"), on="asof_ms")
    share = pl.col("n") / pl.col("e")
    spread = pl.col("nn") - 2 * share * pl.col("ne") + share**2 * pl.col("ee") - pl.col("n")
    # a heterogeneity below 0.01 (in squared relative terms) cannot be told from none with such sums
    variance = (spread / pl.col("ee")).clip(lower_bound=0.01 * share**2)
    shape = known.with_columns((share**2 / variance).alias("a"), (share / variance).alias("b"))
    return _value_prior(shape).select(
        pl.col("asof_ms").alias("shared_ms"), "target", "a", "b", "value_cents", "value_strength", "value_var"
    )


def _value_prior(known: pl.DataFrame) -> pl.DataFrame:
    """One-way analysis of variance with unequal group sizes, from sums."""
    k, n, total = pl.col("customers"), pl.col("orders"), pl.col("list_cents").cast(pl.Float64)
    within = (pl.col("list_sq") - pl.col("between_sq")) / (n - k)
    # too few repeat orders to see the variance within: take the whole variance, which shrinks more
    whole = (pl.col("list_sq") - total**2 / n) / n
    known = known.with_columns(
        pl.when(n - k >= 10).then(within).otherwise(whole).clip(lower_bound=1.0).alias("value_var")
    )
    between = (pl.col("between_sq") - total**2 / n - (k - 1) * pl.col("value_var")) / (
        n - pl.col("orders_sq") / n + SMALL
    )
    return known.with_columns(
        (total / n).alias("value_cents"),
        (pl.col("value_var") / between.clip(lower_bound=0.01 * pl.col("value_var"))).alias("value_strength"),
    )


def add_purchase_forecast(rows: pl.DataFrame, window_days: float) -> pl.DataFrame:
    """Add expected_orders, buy_prob, expected_cents and expected_se_cents to rows of customer, moment and target.

    `rows` holds eff_orders n, eff_days t, alpha, beta; own n_c, e; a, b; orders N, list_cents S; value_* of the target.
    A row whose priors are null (no shared table, or a target nobody had bought) stays null.
    """
    value_size = pl.col("orders") + pl.col("value_strength")
    rows = rows.with_columns(
        ((pl.col("alpha") + pl.col("eff_orders")) / (pl.col("beta") + pl.col("eff_days"))).alias("rate"),
        ((pl.col("a") + pl.col("n_c")) / (pl.col("b") + pl.col("e"))).alias("share"),
        (1 / (pl.col("alpha") + pl.col("eff_orders")) + 1 / (pl.col("a") + pl.col("n_c"))).alias("relative_var"),
        ((pl.col("list_cents") + pl.col("value_strength") * pl.col("value_cents")) / value_size).alias("value"),
        (pl.col("value_var") / value_size).alias("value_error"),
    )
    rows = rows.with_columns((pl.col("rate") * pl.col("share") * window_days).alias("expected_orders"))
    spread = pl.col("relative_var")
    relative = (spread + pl.col("value_error") / pl.col("value").clip(lower_bound=1.0) ** 2).sqrt()
    return rows.with_columns(
        (1 - (1 + pl.col("expected_orders") * spread) ** (-1 / spread)).alias("buy_prob"),
        (pl.col("expected_orders") * pl.col("value")).alias("expected_cents"),
    ).with_columns((pl.col("expected_cents") * relative).alias("expected_se_cents"))
