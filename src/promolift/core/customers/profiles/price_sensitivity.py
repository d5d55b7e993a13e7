"""Estimate each customer's price sensitivity and its standard error from purchases at discounts.

For a purchase line of customer i let y = 1 if it was bought at a shelf discount, and let p be the share of the *other*
customers' lines of the same product type and week that were (pulled towards the type's share up to that week, by s = 4
lines, where the others are few). Then

    logit P(y = 1) = logit(p) + theta_i,        theta_i ~ N(mu, tau^2).

theta > 0: they take the discounted product more often than others who buy the type that week; +0.7 doubles the odds.
theta_i is the maximum of Firth's penalised likelihood (bias O(1/n^2), finite even if every y is alike: Firth 1993,
Biometrika 80), found by Newton steps on counts per 0.25-wide bin of logit(p). Lines of one basket are alike, so its
error is v_i = (I_i + rho (A_i - I_i)) / I_i^2, where I = sum P(1-P) over lines, A = sum over baskets of
(sum sqrt(P(1-P)))^2 and rho, the correlation of two lines of one basket, is a ratio of sums over the whole shop. mu and
tau^2 follow by moments (DerSimonian and Laird 1986, with fixed weights) from sums over customers. Reported are the
posterior mean and its error

    price_sensitivity = (theta_i / v_i + mu / tau^2) / (1 / v_i + 1 / tau^2),   se = (1 / v_i + 1 / tau^2)^(-1/2),

which hold mu, tau^2 and rho as known. It tells how a customer chooses, not what a deeper discount would cause: a
favourite product that is often discounted looks the same as a hunt for discounts. Only weeks that ended before the
moment are used. A shop without shelf discounts has no sensitivity: null for all, with the reason (see
`missing_column_reasons`).
"""

from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import polars as pl
from numpy.typing import NDArray

from promolift.core.customers.profiles.population_sums import PopulationSums, Shard, exact_sum
from promolift.core.customers.profiles.purchase_lines import number_texts, read_lines
from promolift.core.customers.settings import ProfileSettings
from promolift.foundation import sql
from promolift.foundation.frames import without_constants
from promolift.foundation.jit import Days, Ints, jit_compile
from promolift.foundation.sql import fetch_frame

KEY = ["customer_id", "asof_ms"]
BIN_WIDTH = 0.25  # of logit(p): at most 0.125 off, of no weight beside the error of theta
MIN_OTHERS = 3  # fewer lines of others say nothing about the week
SMOOTH_LINES = 4.0
GUESS_TAU2 = 0.25  # weights of the moment estimator; any fixed value is consistent
NEWTON_STEPS = 60
NEWTON_TOLERANCE = 1e-12  # a Newton step so small ends the search
MAX_THETA = 8.0  # |theta|: odds 3,000 times those of the others

# lines of one customer, type, week and basket, and how many of them were discounted
WEEKLY = """
select customer_id, coalesce(type, product_id) as target, week, order_id,
    count(*)::int as n, count(*) filter (shelf_cents > 0)::int as y
from lines where kind = 'purchase' and coalesce(type, product_id) is not null
group by all order by customer_id, target, week
"""

Vector = NDArray[np.float64]


def weekly_lines(shard: Shard, settings: ProfileSettings) -> pl.DataFrame:
    """The shard's purchase lines as WEEKLY says."""
    return shard.saved_frame(
        "weekly", lambda: fetch_frame(sql.run_select(WEEKLY, lines=read_lines(shard, settings.zone).rows))
    )


def deal_sums(weekly: pl.DataFrame) -> pl.DataFrame:
    """Lines and discounted lines per target and week."""
    lines, deals = (pl.col(name).sum().cast(pl.Int64) for name in ("n", "y"))
    return weekly.group_by("week", "target").agg(lines.alias("lines"), deals.alias("deals"))


def deal_trials(weekly: pl.DataFrame, deals: pl.DataFrame) -> pl.DataFrame:
    """Discounted lines y of n, per customer, week, basket and bin of logit(p), for all weeks; baskets together.

    `weekly` as WEEKLY says; `deals` are the whole shop's lines and discounted lines per target and week. Of a target
    and week that these do not know, nothing is said.
    """
    rows, shop = weekly.sort("customer_id", "target", "week"), deals.sort("target", "week")
    rows = rows.join(shop.select("target", "week"), on=["target", "week"], how="semi", maintain_order="left")
    names = ("customer_id", "target", "week", "n", "y")
    who, target, week, n, y = (rows[name].to_numpy().astype(np.int64) for name in names)
    own = _runs(who, target, week)  # first row of each customer, target and week
    lines_S, deals_S = (shop[name].to_numpy().astype(np.int64) for name in ("lines", "deals"))
    place = np.searchsorted(_cells(shop["target"].to_numpy(), shop["week"].to_numpy()), _cells(target[own], week[own]))
    n_O, y_O = np.add.reduceat(n, own) if len(n) else n, np.add.reduceat(y, own) if len(n) else y
    others, cut = lines_S[place] - n_O, deals_S[place] - y_O
    shop_target = shop["target"].to_numpy()
    past = [
        _past(values_S, _runs(shop_target))[place] - _past(values_O, _runs(who[own], target[own]))
        for values_S, values_O in ((lines_S, n_O), (deals_S, y_O))
    ]
    share = (cut + SMOOTH_LINES * (past[1] + 0.5) / (past[0] + 1)) / (others + SMOOTH_LINES)
    enough = others >= MIN_OTHERS
    odds = np.log(np.where(enough, share / (1 - share), 1.0)) / BIN_WIDTH
    size = np.diff(np.r_[own, len(n)])
    bin_ = np.repeat(np.trunc(odds + np.copysign(0.5, odds)), size).astype(np.int32)  # halves away from zero
    found = rows.select("customer_id", "week", "order_id", pl.Series("bin", bin_), "n", "y")
    kept = found.filter(pl.Series(np.repeat(enough, size)))
    return kept.sort("customer_id", "order_id", "week", "bin", "n", "y")  # one order for sums, whoever else is here


def _runs(*columns: NDArray[Any]) -> Ints:
    """First row of each run of equal values."""
    new = np.zeros(len(columns[0]), bool)
    new[:1] = True
    for column in columns:
        new[1:] |= column[1:] != column[:-1]
    return np.flatnonzero(new)


def _past(values: Ints, first: Ints) -> Ints:
    """Running sums that begin anew at each of the rows `first`."""
    total = np.cumsum(values)
    before = np.r_[0, total][first]
    return np.asarray(total - np.repeat(before, np.diff(np.r_[first, len(values)])))


def _cells(target: NDArray[Any], week: NDArray[Any]) -> Ints:
    """One number per target and week that sorts as the two do: a week lies within a million of 1970."""
    return np.asarray(target.astype(np.int64) * 2_000_000 + week + 1_000_000)


def discount_trials(shard: Shard, shared: PopulationSums, settings: ProfileSettings) -> pl.DataFrame:
    """`deal_trials` of the shard's customers against the whole shop's discounts."""

    def make() -> pl.DataFrame:
        known = number_texts(shard, settings.zone).rename({"word": "target", "code": "coded"})
        deals = shared["deals"].join(known, on="target").drop("target").rename({"coded": "target"})
        return deal_trials(weekly_lines(shard, settings), deals)

    return shard.cached("trials", make)


def fit_shard(shard: Shard, shared: PopulationSums, asof_ms: int, settings: ProfileSettings) -> pl.DataFrame:
    """`fit_customers` of the shard as of one moment."""
    return shard.saved_frame(
        f"fits {asof_ms}", lambda: fit_customers(discount_trials(shard, shared, settings), asof_ms, settings.zone)
    )


def fit_customers(trials: pl.DataFrame, asof_ms: int, zone: str) -> pl.DataFrame:
    """Each customer's own theta as of a moment, from weeks that were over by then in the shop's zone.

    Columns customer_id, asof_ms, theta, info I and basket_info A (see the module), and score_sq, each basket's squared
    score summed. Customers without a usable line are left out.
    """
    local = datetime.fromtimestamp(asof_ms / 1000, UTC).astimezone(ZoneInfo(zone))
    week = (local.date().toordinal() - datetime(1970, 1, 1).toordinal() + 3) // 7
    seen = trials.filter(pl.col("week") < week)
    row = seen.select(pl.col("customer_id").rle_id()).to_series().to_numpy().astype(np.int64)
    basket = seen.select(pl.struct("customer_id", "order_id").rle_id()).to_series().to_numpy().astype(np.int64)
    columns = [seen[name].to_numpy().astype(np.float64) for name in ("bin", "n", "y")]
    keys = seen.select("customer_id", pl.lit(asof_ms, pl.Int64).alias("asof_ms")).unique(maintain_order=True)
    found_NF = np.zeros((keys.height, 4))
    _fit(np.searchsorted(row, np.arange(keys.height + 1)), basket, tuple(columns), found_NF)
    names = ("theta", "info", "basket_info", "score_sq")
    return keys.with_columns(pl.Series(name, found_NF[:, at]) for at, name in enumerate(names))


@jit_compile
def _fit(start_N: Ints, basket: Ints, columns: Any, found_NF: Days) -> None:
    """Root of Firth's score by Newton steps, by halves of the bracket where they fail; then the sums at the root.

    Bins begin at the customer's own lowest, so that not even the last bits depend on who else is in the shard.
    """
    bin_, n, y = columns
    for c in range(len(start_N) - 1):
        own = bin_[start_N[c] : start_N[c + 1]]
        lowest = np.min(own)
        size = int(np.max(own) - lowest) + 1
        n_B, y_B = np.zeros(size), np.zeros(size)
        for at in range(start_N[c], start_N[c + 1]):
            n_B[int(bin_[at] - lowest)] += n[at]
            y_B[int(bin_[at] - lowest)] += y[at]
        low, high, theta, change = -MAX_THETA, MAX_THETA, 0.0, MAX_THETA
        for _ in range(NEWTON_STEPS):
            score, info, skew = 0.0, 0.0, 0.0
            for b in range(size):
                if n_B[b]:
                    prob = 1 / (1 + np.exp(-(b + lowest) * BIN_WIDTH - theta))
                    weight = n_B[b] * prob * (1 - prob)
                    score += y_B[b] - n_B[b] * prob
                    info += weight
                    skew += weight * (1 - 2 * prob)
            step = (score + 0.5 * skew / info) / info
            if abs(step) <= NEWTON_TOLERANCE:
                break  # going on would throw theta off: once it is an end of the bracket, no step stays inside
            if step > 0:
                low = theta
            else:
                high = theta
            # of few lines the steps shrink slowly, as the score's slope is not the information there
            newton = low < theta + step < high and abs(step) < 0.5 * change
            step = step if newton else (low + high) / 2 - theta
            theta, change = theta + step, abs(step)
        found_NF[c, 0] = theta
        score, root = 0.0, 0.0
        for at in range(start_N[c], start_N[c + 1]):
            prob = 1 / (1 + np.exp(-bin_[at] * BIN_WIDTH - theta))
            weight = prob * (1 - prob)
            found_NF[c, 1] += n[at] * weight
            score += y[at] - n[at] * prob
            root += n[at] * np.sqrt(weight)
            if at + 1 == start_N[c + 1] or basket[at + 1] != basket[at]:
                found_NF[c, 2] += root**2
                found_NF[c, 3] += score**2
                score, root = 0.0, 0.0


def basket_sums(fit: pl.DataFrame) -> pl.DataFrame:
    """Per moment, the sums whose ratio is rho: excess / pairs."""
    info = pl.col("info")
    return fit.group_by("asof_ms").agg(
        exact_sum(pl.col("score_sq") - info).alias("excess"), exact_sum(pl.col("basket_info") - info).alias("pairs")
    )


def with_variance(fit: pl.DataFrame, baskets: pl.DataFrame, asof_column: str = "asof_ms") -> pl.DataFrame:
    """The fit with v per customer. rho is kept within [0, 1]; a shop with no two lines in a basket has rho 0."""
    rho = pl.when(pl.col("pairs") > 0).then(pl.col("excess") / pl.col("pairs")).otherwise(0.0).clip(0.0, 1.0)
    known = baskets.select(pl.col("asof_ms").alias(asof_column), rho.alias("rho"))
    info = pl.col("info")
    v = (info + pl.col("rho") * (pl.col("basket_info") - info)) / info**2
    return fit.join(known, on=asof_column, how="left").with_columns(v.alias("v"))


def population_sums(fit: pl.DataFrame) -> pl.DataFrame:
    """Per moment, the sums over customers that mu and tau^2 follow from; `fit` as from `with_variance`."""
    w, theta, v = 1 / (pl.col("v") + GUESS_TAU2), pl.col("theta"), pl.col("v")
    sums = {"w": w, "ww": w**2, "wx": w * theta, "wxx": w * theta**2, "wv": w * v, "wwv": w**2 * v}
    return fit.group_by("asof_ms").agg(
        *(exact_sum(value).alias(name) for name, value in sums.items()), pl.len().cast(pl.Float64).alias("customers")
    )


def population_prior(sums: pl.DataFrame) -> pl.DataFrame:
    """mu and tau2 per `shared_ms`. tau2 is at least 0.0025 (an s.d. of 0.05), so that shrinkage stays defined."""
    mu = pl.col("wx") / pl.col("w")
    q = pl.col("wxx") - pl.col("wx") ** 2 / pl.col("w")
    expected = pl.col("wv") - pl.col("wwv") / pl.col("w")
    size = (pl.col("w") - pl.col("ww") / pl.col("w")).clip(lower_bound=1e-9)
    tau2 = ((q - expected) / size).clip(lower_bound=0.0025)
    return sums.select(pl.col("asof_ms").alias("shared_ms"), mu.alias("mu"), tau2.alias("tau2"))


def posterior(fit: pl.DataFrame, moments: pl.DataFrame, baskets: pl.DataFrame, sums: pl.DataFrame) -> pl.DataFrame:
    """price_sensitivity and its error per customer and moment; `moments` tells the shared table each one may use."""
    known = fit.join(moments.select(*KEY, "shared_ms"), on=KEY)
    table = without_constants(
        with_variance(known, baskets, "shared_ms").join(population_prior(sums), on="shared_ms", how="left")
    )
    precision = 1 / pl.col("v") + 1 / pl.col("tau2")
    mean = (pl.col("theta") / pl.col("v") + pl.col("mu") / pl.col("tau2")) / precision
    return table.select(
        *KEY,
        mean.fill_nan(None).alias("price_sensitivity"),
        (1 / precision.sqrt()).fill_nan(None).alias("price_sensitivity_se"),
    )
