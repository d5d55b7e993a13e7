"""Purchase lines and the shop's discounts per week in; each customer's price sensitivity, shrunk, and its error out.

For a purchase line of customer i let y = 1 if it was bought at a shelf discount, and let p be the share of the *other*
customers' lines of the same product type and week that were (pulled towards the type's share up to that week, by s = 4
lines, where the others are few). Then

    logit P(y = 1) = logit(p) + theta_i,        theta_i ~ N(mu, tau^2).

theta > 0: he takes the discounted product more often than the others who buy the type that week; +0.7 doubles the odds.
theta_i is the maximum of Firth's penalised likelihood (bias O(1/n^2), finite even if every y is alike: Firth 1993,
Biometrika 80), found by Newton steps on counts per 0.25-wide bin of logit(p). Lines of one basket are alike, so its
error is v_i = (I_i + rho (A_i - I_i)) / I_i^2, where I = sum P(1-P) over lines, A = sum over baskets of
(sum sqrt(P(1-P)))^2 and rho, the correlation of two lines of one basket, is a ratio of sums over the whole shop. mu and
tau^2 follow by moments (DerSimonian and Laird 1986, with fixed weights) from sums over customers. Reported are the
posterior mean and its error

    price_sensitivity = (theta_i / v_i + mu / tau^2) / (1 / v_i + 1 / tau^2),   se = (1 / v_i + 1 / tau^2)^(-1/2),

which hold mu, tau^2 and rho as known. It tells how a customer chooses, not what a deeper discount would cause: a
favourite product that is often discounted looks the same as a hunt for discounts. Only weeks that ended before the
moment are used. A shop without shelf discounts has no sensitivity: null for all, with the reason (see `reasons`).
"""

from typing import NamedTuple

import numpy as np
import polars as pl
from duckdb import DuckDBPyRelation as Relation
from numpy.typing import NDArray

from promolift.sql import bind, fetch, some

KEY = ["customer_id", "asof_ms"]
BIN_WIDTH = 0.25  # of logit(p): at most 0.125 off, of no weight beside the error of theta
MIN_OTHERS = 3  # fewer lines of others say nothing about the week
SMOOTH_LINES = 4.0
GUESS_TAU2 = 0.25  # weights of the moment estimator; any fixed value is consistent
NEWTON_STEPS = 60
LIMIT = 8.0  # |theta|: odds 3,000 times those of the others

TRIALS = """
with weekly as (
    select customer_id, coalesce(type, product_id) as target, week, order_id,
        count(*) as n, count(*) filter (shelf_cents > 0) as y
    from lines where kind = 'purchase' and coalesce(type, product_id) is not null group by all
),
mine as (select customer_id, target, week, sum(n) as lines, sum(y) as deals from weekly group by all),
own as (
    select *, sum(lines) over past as past_lines, sum(deals) over past as past_deals
    from mine window past as (partition by customer_id, target order by week)
),
shop as (
    select target, week, lines, deals, sum(lines) over past as past_lines, sum(deals) over past as past_deals
    from deals window past as (partition by target order by week)
),
others as (
    select o.customer_id, target, week,
        s.lines - o.lines as lines, s.deals - o.deals as deals,
        (s.past_deals - o.past_deals + 0.5) / (s.past_lines - o.past_lines + 1) as usual
    from own o join shop s using (target, week)
    where s.lines - o.lines >= $min_others
)
select w.customer_id, w.week, w.order_id,
    round(ln(p / (1 - p)) / $bin_width)::int as bin, sum(n)::bigint as n, sum(y)::bigint as y
from weekly w
join (select *, (deals + $smooth * usual) / (lines + $smooth) as p from others) using (customer_id, target, week)
group by all
"""

# a week counts once it is over at the moment, in the shop's zone
SEEN = """
with clock as (
    select customer_id, asof_ms,
        (epoch_ms(timezone($zone, make_timestamptz(asof_ms * 1000))) // 86400000 + 3) // 7 as asof_week
    from moments
)
select c.customer_id, c.asof_ms, t.order_id, t.bin, sum(t.n)::double as n, sum(t.y)::double as y
from clock c join trials t on t.customer_id = c.customer_id and t.week < c.asof_week
group by all
order by customer_id, asof_ms, order_id, bin
"""

Vector = NDArray[np.float64]


class Fit(NamedTuple):
    """Per customer and moment: theta, information I and A (see the module), and each basket's squared score summed."""

    keys: pl.DataFrame
    theta_N: Vector
    info_N: Vector
    basket_info_N: Vector
    score_sq_N: Vector


def read_deal_trials(lines: Relation, deals: pl.DataFrame) -> Relation:
    """Discounted lines y of n, per customer, week, basket and bin of logit(p), for all weeks."""
    values = {"min_others": MIN_OTHERS, "smooth": SMOOTH_LINES, "bin_width": BIN_WIDTH}
    return some(lines.query("lines", bind(TRIALS, **values))).materialize()


def fit_customers(trials: Relation, moments: Relation, zone: str) -> Fit:
    """Each customer's own theta as of each moment; customers without a usable line are left out."""
    seen = _seen(trials, moments, zone)
    keys = seen.select(KEY).unique(maintain_order=True).with_row_index("row")
    seen = seen.join(keys, on=KEY, maintain_order="left")
    row, basket = seen["row"].to_numpy(), seen.select(pl.struct("row", "order_id").rle_id()).to_series().to_numpy()
    offset, n, y = seen["bin"].to_numpy() * BIN_WIDTH, seen["n"].to_numpy(), seen["y"].to_numpy()
    counts = seen.group_by("row", "bin").agg(pl.col("n", "y").sum()).sort("row", "bin")
    theta_N = _firth(counts, keys.height)
    prob = _expit(offset + theta_N[row])
    score_B = _sum_by(basket, y - n * prob)
    root_B = _sum_by(basket, n * np.sqrt(prob * (1 - prob)))
    owner_B = row[np.unique(basket, return_index=True)[1]] if len(row) else row
    return Fit(
        keys.select(KEY),
        theta_N,
        _sum_by(row, n * prob * (1 - prob), keys.height),
        _sum_by(owner_B, root_B**2, keys.height),
        _sum_by(owner_B, score_B**2, keys.height),
    )


def _seen(trials: Relation, moments: Relation, zone: str) -> pl.DataFrame:
    return fetch(trials.query("trials", bind(SEEN, zone=zone)))


def _sum_by(row: NDArray[np.uint32], values: Vector, size: int = 0) -> Vector:
    return np.asarray(np.bincount(row, values, size), dtype=np.float64)


def _expit(x: Vector) -> Vector:
    return np.asarray(1 / (1 + np.exp(-x)))


def _firth(counts: pl.DataFrame, size: int) -> Vector:
    """Root of Firth's score for all customers at once: Newton steps, halving the bracket where one would leave it."""
    low_N, high_N, theta_N = np.full(size, -LIMIT), np.full(size, LIMIT), np.zeros(size)
    row, offset = counts["row"].to_numpy(), counts["bin"].to_numpy() * BIN_WIDTH
    n, y = counts["n"].to_numpy(), counts["y"].to_numpy()
    for _ in range(NEWTON_STEPS):
        prob = _expit(offset + theta_N[row])
        weight = n * prob * (1 - prob)
        info_N = _sum_by(row, weight, size)
        score_N = _sum_by(row, y - n * prob, size) + 0.5 * _sum_by(row, weight * (1 - 2 * prob), size) / info_N
        low_N, high_N = np.where(score_N > 0, theta_N, low_N), np.where(score_N > 0, high_N, theta_N)
        next_N = theta_N + score_N / info_N
        next_N = np.where((next_N > low_N) & (next_N < high_N), next_N, (low_N + high_N) / 2)
        change, theta_N = np.abs(next_N - theta_N).max(initial=0.0), next_N
        if change < 1e-10:
            break
    return theta_N


def basket_sums(fit: Fit) -> pl.DataFrame:
    """Per moment, the sums whose ratio is rho: excess / pairs."""
    table = fit.keys.select("asof_ms").with_columns(
        pl.Series("excess", fit.score_sq_N - fit.info_N), pl.Series("pairs", fit.basket_info_N - fit.info_N)
    )
    return table.group_by("asof_ms").agg(pl.col("excess").sum(), pl.col("pairs").sum())


def variance(fit: Fit, baskets: pl.DataFrame, asof_column: str = "asof_ms") -> Vector:
    """v per customer and moment. rho is kept within [0, 1]; a shop with no two lines in a basket has rho 0."""
    rho = baskets.select(pl.col("asof_ms").alias(asof_column), _rho().alias("rho"))
    rho_N = fit.keys.join(rho, on=asof_column, how="left", maintain_order="left")["rho"].to_numpy()
    return np.asarray((fit.info_N + rho_N * (fit.basket_info_N - fit.info_N)) / fit.info_N**2)


def _rho() -> pl.Expr:
    return pl.when(pl.col("pairs") > 0).then(pl.col("excess") / pl.col("pairs")).otherwise(0.0).clip(0.0, 1.0)


def population_sums(fit: Fit, variance_N: Vector) -> pl.DataFrame:
    """Per moment, the sums over customers that mu and tau^2 follow from."""
    w = 1 / (variance_N + GUESS_TAU2)
    columns = {"w": w, "ww": w**2, "wx": w * fit.theta_N, "wxx": w * fit.theta_N**2, "wv": w * variance_N}
    columns |= {"wwv": w**2 * variance_N, "customers": np.ones(len(w))}
    table = fit.keys.select("asof_ms").with_columns(pl.Series(name, values) for name, values in columns.items())
    return table.group_by("asof_ms").agg(pl.all().sum())


def population(sums: pl.DataFrame) -> pl.DataFrame:
    """mu and tau2 per `shared_ms`. tau2 is at least 0.0025 (an s.d. of 0.05), so that shrinkage stays defined."""
    mu = pl.col("wx") / pl.col("w")
    q = pl.col("wxx") - pl.col("wx") ** 2 / pl.col("w")
    expected = pl.col("wv") - pl.col("wwv") / pl.col("w")
    size = (pl.col("w") - pl.col("ww") / pl.col("w")).clip(lower_bound=1e-9)
    tau2 = ((q - expected) / size).clip(lower_bound=0.0025)
    return sums.select(pl.col("asof_ms").alias("shared_ms"), mu.alias("mu"), tau2.alias("tau2"))


def posterior(fit: Fit, moments: pl.DataFrame, baskets: pl.DataFrame, sums: pl.DataFrame) -> pl.DataFrame:
    """price_sensitivity and its error per customer and moment; `moments` tells the shared table each one may use."""
    known = fit._replace(
        keys=fit.keys.join(moments.select(*KEY, "shared_ms"), on=KEY, how="left", maintain_order="left")
    )
    table = known.keys.with_columns(
        pl.Series("theta", fit.theta_N), pl.Series("v", variance(known, baskets, "shared_ms"), dtype=pl.Float64)
    ).join(population(sums), on="shared_ms", how="left", maintain_order="left")
    precision = 1 / pl.col("v") + 1 / pl.col("tau2")
    mean = (pl.col("theta") / pl.col("v") + pl.col("mu") / pl.col("tau2")) / precision
    return table.select(
        *KEY,
        mean.fill_nan(None).alias("price_sensitivity"),
        (1 / precision.sqrt()).fill_nan(None).alias("price_sensitivity_se"),
    )
