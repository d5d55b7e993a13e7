"""Predict the probability that a targeted customer redeems a coupon of a campaign.

A PREDICTION, not an effect: it says who redeems once targeted, not what targeting adds; who is targeted was never
randomised, so no difference between targeted and other customers is formed here. Depth of the discount is unknown to
it. Legend: N rows, P parameters (slopes, kinds of campaign), T terms.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl
import scipy
from duckdb import DuckDBPyRelation as Relation
from numpy.typing import NDArray

from promolift.foundation.errors import InputError, SupportError
from promolift.foundation.hashing import hash_units
from promolift.foundation.i18n.lazy_message import gettext_lazy
from promolift.foundation.sql import bind, fetch_frame, run_select
from promolift.foundation.tables.schemas import EXPOSURE_FEATURES
from promolift.foundation.time.clock import DAY_MS

Floats = NDArray[np.float64]


KEY = ["campaign_id", "customer_id"]

TERMS = (
    "habit", "answers", "orders", "recency", "told_us", "fits_recently", "fits_ever", "fits_coupons", "fits_types",
)  # fmt: skip

OUTCOMES = """
select e.campaign_id, e.customer_id,
    case when least(any_value(e.end_ms) + 1, any_value(e.start_ms) + $window_ms) <= $asof_ms
        then count(r.ts_ms) > 0 end as redeemed
from exposures e left join redemptions r on r.campaign_id = e.campaign_id and r.customer_id = e.customer_id
    and r.ts_ms >= e.start_ms and r.ts_ms < e.start_ms + $window_ms and r.ts_ms < $asof_ms
group by e.campaign_id, e.customer_id
order by all
"""


REDEMPTION_DAYS = 56  # a redemption counts so long after the start
MIN_POSITIVES = 30  # redeemers, and others, below which there is no model
MIN_HISTORY_WEEKS = 4.0  # before a campaign, without which a customer teaches nothing of it
# Rates are shrunk as if a customer had been seen so many weeks more at the population's rate, had been offered so many
# types more and bought the usual share of them, and been due, and used, so many coupons more.
PRIOR_WEEKS, PRIOR_TYPES, PRIOR_COUPONS = 1.0, 10.0, 2.0
SLOPE_SD, KIND_SD, CAMPAIGN_SD = 0.3, 1.0, 0.3  # expected spread of standardised slopes, kinds, campaigns (log odds)
MAX_ROWS = 100_000  # above, a hash sample of customers is fitted
MAX_CAMPAIGNS = 200  # the largest, which have an effect of their own


@dataclass(frozen=True)
class RedemptionModel:
    """Logistic regression on a few standardised terms, with a random effect per kind of campaign and per campaign.

    `coef_P` holds one slope per name in `terms`, one effect per name in `kinds`. `rates` are the population's weekly
    rates that single customers are shrunk to. It was fitted on `rows` rows.
    """

    terms: tuple[str, ...]
    kinds: tuple[str, ...]
    mean_T: Floats
    sd_T: Floats
    intercept: float
    coef_P: Floats
    rates: Mapping[str, float]
    rows: int

    def predict(self, features: pl.DataFrame) -> Floats:
        """P(at least one coupon redeemed within DAYS) for each row, in the rows' order, in (0, 1).

        The mean over all campaigns of that kind that might come (to second order). A missing value counts as average,
        an unknown kind as the mean of kinds.
        """
        missing = set(EXPOSURE_FEATURES.schema) - set(features.columns)
        if missing:
            raise InputError(
                "column_missing",
                gettext_lazy(
                    "redemption: features lack the columns {missing}; build them anew", missing=sorted(missing)
                ),
            )
        x_NP = self._design(features)
        unknown_N = (x_NP[:, len(self.terms) :].sum(axis=1) == 0) & bool(self.kinds)
        variance_N = CAMPAIGN_SD**2 + unknown_N * KIND_SD**2
        return _mean_probability(self.intercept + x_NP @ self.coef_P, variance_N)

    def _design(self, features: pl.DataFrame) -> Floats:
        raw_NT = _matrix(_terms(features, self.rates), self.terms)
        z_NT = np.nan_to_num((raw_NT - self.mean_T) / self.sd_T, nan=0.0)
        return np.hstack([z_NT, _one_hot(features["kind"], self.kinds)])


def redemption_outcomes(
    exposures: Relation, redemptions: Relation, asof_ms: int, days: int = REDEMPTION_DAYS
) -> pl.DataFrame:
    """Whether each targeted customer redeemed within `days` of the start: campaign_id, customer_id, redeemed.

    Null where the campaign, or its `days`, had not ended by `asof_ms`: its late redeemers are not known yet.
    """
    sql = bind(OUTCOMES, window_ms=days * DAY_MS, asof_ms=asof_ms)
    return fetch_frame(run_select(sql, exposures=exposures, redemptions=redemptions))


def fit_redemption(features: pl.DataFrame, redeemed: pl.DataFrame) -> RedemptionModel:
    """Fit on the rows of `features` (EXPOSURE_FEATURES) whose outcome is known (`outcomes`) and that have a history.

    Penalised likelihood: slopes, kinds and campaigns are normal around 0 with the stated spreads. Rows of one customer
    are taken as independent given the terms.
    Raises SupportError where fewer than MIN_POSITIVES redeemed or failed to, InputError on doubled or bad rows.
    """
    from sklearn.linear_model import LogisticRegression

    data = _training(features, redeemed)
    rates = _rates(data)
    terms = _terms(data, rates)
    # a term whose known values all but agree cannot tell customers apart
    used = [name for name in TERMS if ((terms[name].max() or 0.0) - (terms[name].min() or 0.0)) > 1e-9]  # type: ignore[operator]
    raw = _matrix(terms, used)
    mean, sd = (np.array([f(column) for column in raw.T]) for f in (np.nanmean, np.nanstd))
    counts = data.group_by("campaign_id").len("rows").sort(["rows", "campaign_id"], descending=[True, False])
    campaigns = counts["campaign_id"].head(MAX_CAMPAIGNS).sort().to_list()
    kinds = data["kind"].drop_nulls().unique().sort().to_list()
    parts = [
        (np.nan_to_num((raw - mean) / sd, nan=0.0), SLOPE_SD),
        (_one_hot(data["kind"], kinds), KIND_SD),
        (_one_hot(data["campaign_id"], campaigns), CAMPAIGN_SD),
    ]
    x_NP = np.hstack([columns * spread for columns, spread in parts] + [np.zeros((data.height, 1))])
    fit = LogisticRegression(C=1.0, tol=1e-8, max_iter=1000).fit(x_NP, data["redeemed"].to_numpy())
    scale = np.repeat([spread for _, spread in parts], [columns.shape[1] for columns, _ in parts])
    keep = len(used) + len(kinds)  # the campaigns of the past stay behind
    coef_P = (fit.coef_[0][:-1] * scale)[:keep]
    eta_N = np.hstack([columns for columns, _ in parts])[:, :keep] @ coef_P
    # penalised campaigns pull the level towards themselves: it is put where the mean is that of the data
    level = scipy.optimize.brentq(
        lambda at: float((_mean_probability(at + eta_N, CAMPAIGN_SD**2) - data["redeemed"].to_numpy()).mean()),
        -30.0, 30.0,
    )  # fmt: skip
    return RedemptionModel(tuple(used), tuple(kinds), mean, sd, float(level), coef_P, rates, data.height)


def _mean_probability(eta_N: Floats, variance_N: Floats | float) -> Floats:
    """Mean of the logistic function over normal log odds, to second order."""
    p_N = scipy.special.expit(eta_N)
    return np.asarray(np.clip(p_N + variance_N / 2 * p_N * (1 - p_N) * (1 - 2 * p_N), 1e-12, 1 - 1e-12))


def _training(features: pl.DataFrame, redeemed: pl.DataFrame) -> pl.DataFrame:
    EXPOSURE_FEATURES.check(features)
    if redeemed.select(pl.struct(KEY).is_duplicated().any()).item():
        raise InputError(
            "rows_duplicate",
            gettext_lazy("redeemed: a customer stands twice in one campaign; give one outcome per row of features"),
        )
    known = features.join(redeemed.select(*KEY, "redeemed").drop_nulls(), on=KEY).sort(KEY)
    data = known.filter(pl.col("history_weeks") >= MIN_HISTORY_WEEKS)
    yes = int(data["redeemed"].sum())
    if min(yes, data.height - yes) < MIN_POSITIVES:
        raise SupportError(
            "too_few_outcomes",
            gettext_lazy(
                "redemption: {yes} redeemed and {height} did not, among targeted customers of ended "
                "campaigns with {min_history_weeks} weeks of history ({height_2} had less); "
                "{min_positives} of each are needed; add past campaigns and their redemptions",
                yes=yes,
                height=data.height - yes,
                min_history_weeks=f"{MIN_HISTORY_WEEKS:g}",
                height_2=known.height - data.height,
                min_positives=MIN_POSITIVES,
            ),
        )
    if data.height > MAX_ROWS:  # whole customers, the same ones on every machine
        share = MAX_ROWS / data.height
        people = data["customer_id"].unique().sort()
        drawn = people.filter(pl.Series(hash_units("redemption0", people) < share))
        data = data.filter(pl.col("customer_id").is_in(drawn.implode()))
    return data


def _rates(data: pl.DataFrame) -> dict[str, float]:
    """What the population does a week, and its share of covered types: single customers are shrunk to it."""
    fits = data.filter(pl.col("covered_orders").is_not_null())
    return {
        "habit": _ratio(data, "coupon_lines", "faded_weeks"),
        "fits_ever": _ratio(fits, "covered_orders", "history_weeks"),
        "fits_types": _ratio(data, "types_bought", "covered_types"),
    }


def _ratio(data: pl.DataFrame, above: str, below: str) -> float:
    """Sum over sum; a hair above zero, so that its logarithm exists where nobody ever did it."""
    total = float(data[below].sum())
    return max(float(data[above].sum()) / total, 1e-6) if total > 0 else 1e-6


def _terms(features: pl.DataFrame, rates: Mapping[str, float]) -> pl.DataFrame:
    """The TERMS, before standardisation; counts enter as logarithms, since factors act on odds."""
    c, prior, doubt = pl.col, PRIOR_WEEKS, PRIOR_COUPONS
    return features.select(
        habit=((c("coupon_lines") + prior * rates["habit"]) / (c("faded_weeks") + prior)).log(),
        # one lucky coupon does not make a coupon user
        answers=((c("earlier_coupons") + doubt) / (c("earlier_coupons_expected") + doubt)).log(),
        orders=(c("orders_recent") / c("window_weeks").clip(1)).log1p(),
        recency=pl.coalesce(c("recency_days"), c("history_weeks") * 7).log1p(),
        told_us=c("told_us").cast(pl.Float64),
        fits_recently=c("covered_recent").log1p(),
        fits_ever=((c("covered_orders") + prior * rates["fits_ever"]) / (c("history_weeks") + prior)).log(),
        fits_coupons=c("covered_couponed").log1p(),
        # few covered types tell little: shrunk to the usual share
        fits_types=(c("types_bought") + PRIOR_TYPES * rates["fits_types"]) / (c("covered_types") + PRIOR_TYPES),
    )


def _matrix(terms: pl.DataFrame, names: Sequence[str]) -> Floats:
    """The named terms side by side, null as nan; N x 0 where there are none."""
    return np.column_stack([np.empty((terms.height, 0)), *(terms[name].to_numpy() for name in names)])


def _one_hot(values: pl.Series, names: Sequence[str]) -> Floats:
    hot = np.zeros((len(values), len(names)))
    for at, name in enumerate(names):
        hot[:, at] = values.eq_missing(name).to_numpy()
    return hot
