"""Exposure features and outcomes in; the probability that a targeted customer redeems a coupon of a campaign out.

A PREDICTION, not an effect: it says who redeems once targeted, not what targeting adds; who is targeted was never
randomised, so no difference between targeted and other customers is formed here. Depth of the discount is unknown to
it. Legend: N rows, P parameters (intercept, slopes, kinds of campaign, campaigns), T terms, G groups of parameters,
Q quadrature nodes. statsmodels' mixed GLM cannot penalise groups by spreads it estimates; scikit-learn knows no
covariance.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, NamedTuple, Self

import numpy as np
import polars as pl
from duckdb import DuckDBPyRelation as Relation
from numpy.typing import NDArray
from pydantic import Field

from promolift.errors import InputError, SupportError
from promolift.hashing import hash_units
from promolift.settings import Settings
from promolift.sql import DAY_MS, bind, some
from promolift.tables import EXPOSURE_FEATURES, Z95

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class LogitFit:
    """`sd_G`: standard deviation of the coefficients of each group (log odds)."""

    coef_P: Floats
    covariance_PP: Floats
    sd_G: tuple[float, ...]


def fit_logit(x_NP: Floats, y_N: Floats, sizes: Sequence[int], guess_G: Sequence[float], weight: float) -> LogitFit:
    """Logistic regression of `y_N` (0 or 1); column 0 of `x_NP` is 1, then come groups of `sizes` columns.

    A group's coefficients are normal around zero; its spread starts at `guess_G`, which weighs as much as `weight`
    coefficients, and is fitted by EM steps on a Laplace approximation (Breslow and Clayton 1993, JASA 88(421)), which
    makes it a little small where groups have few columns with few rows each.
    """
    guess = np.array(guess_G) ** 2
    variance_G = guess.copy()
    group_P = np.repeat(np.arange(len(sizes)), sizes)
    coef_P = np.zeros(x_NP.shape[1])
    for _ in range(100):
        # the intercept is hardly held at all: it is the level of the data
        coef_P, covariance_PP = _newton(x_NP, y_N, np.r_[1e-6, 1 / variance_G[group_P]], coef_P)
        square_P = coef_P[1:] ** 2 + np.diag(covariance_PP)[1:]
        total_G = np.bincount(group_P, square_P, minlength=len(sizes))
        new_G = (total_G + weight * guess) / (np.array(sizes) + weight)
        moved = np.abs(np.log(new_G / variance_G)).max()
        variance_G = new_G
        if moved < 1e-3:
            break
    return LogitFit(coef_P, covariance_PP, tuple(np.sqrt(variance_G).tolist()))


class _Optimum(NamedTuple):
    """Where log likelihood - penalty * coef^2 / 2 is largest, and the inverse of its curvature there."""

    coef_P: Floats
    covariance_PP: Floats


def _newton(x_NP: Floats, y_N: Floats, penalty_P: Floats, start_P: Floats) -> _Optimum:

    def loss(b_P: Floats) -> float:
        eta_N = x_NP @ b_P
        return float((np.logaddexp(0, eta_N) - y_N * eta_N).sum() + (penalty_P * b_P**2).sum() / 2)

    b_P, value = start_P, loss(start_P)
    for _ in range(100):
        mu_N = sigmoid(x_NP @ b_P)
        slope_P = x_NP.T @ (y_N - mu_N) - penalty_P * b_P
        curve_PP = (x_NP.T * (mu_N * (1 - mu_N))) @ x_NP + np.diag(penalty_P)
        step_P = np.linalg.solve(curve_PP, slope_P)
        while loss(b_P + step_P) > value + 1e-9 * abs(value):
            step_P = step_P / 2  # a full step can overshoot where almost nobody redeems
        b_P = b_P + step_P
        value = loss(b_P)
        if np.abs(step_P).max() < 1e-9:
            break
    inverse_PP: Floats = np.linalg.inv(curve_PP).astype(np.float64, copy=False)
    return _Optimum(b_P, inverse_PP)


def mean_probability(eta_N: Floats, sd_N: Floats) -> Floats:
    """Mean of the logistic function over a normal log odds, by Gauss-Hermite quadrature with 20 nodes."""
    node_Q, weight_Q = np.polynomial.hermite_e.hermegauss(20)
    weight_Q = weight_Q / weight_Q.sum()
    total_N = np.zeros_like(eta_N)
    for node, weight in zip(node_Q, weight_Q, strict=True):
        total_N += weight * sigmoid(eta_N + node * sd_N)
    return total_N


def sigmoid(eta_N: Floats) -> Floats:
    """1 / (1 + exp(-eta)) without overflow."""
    p_N: Floats = np.exp(-np.logaddexp(0, -eta_N))
    return p_N


NATURE = "predictive: who redeems once targeted, not what targeting adds"
KEY = ["campaign_id", "customer_id"]

# How each term reads, for people; its formula stands in `_terms`.
MEANING = {
    "habit": "receipt lines with a coupon a week, recent ones first",
    "answers": "coupons used of earlier campaigns, against all their targets",
    "orders": "orders a week lately",
    "recency": "days since the last order",
    "told_us": "the customer told us something about themselves",
    "fits_recently": "orders lately with a covered product",
    "fits_ever": "orders a week with a covered product, ever",
    "fits_coupons": "coupons on things they once bought with a coupon",
    "fits_types": "share of the covered types of product they ever bought, of any maker",
}

OUTCOMES = """
select e.campaign_id, e.customer_id,
    case when least(any_value(e.end_ms) + 1, any_value(e.start_ms) + $window_ms) <= $asof_ms
        then count(r.ts_ms) > 0 end as redeemed
from exposures e left join redemptions r on r.campaign_id = e.campaign_id and r.customer_id = e.customer_id
    and r.ts_ms >= e.start_ms and r.ts_ms < e.start_ms + $window_ms and r.ts_ms < $asof_ms
group by e.campaign_id, e.customer_id
order by all
"""


class RedemptionSettings(Settings):
    """`days` a redemption counts after the start; `min_positives` redeemers below which there is no model.

    A customer's rates are shrunk as if they had been seen `prior_weeks` more at the population's rate, their share of
    the covered types as if there were `prior_types` more of which they bought the usual share, and their answers as if
    they had been due, and used, `prior_coupons` more. `slope_sd`, `kind_sd`, `campaign_sd`: expected spread of the
    standardised slopes, of the kinds and of the campaigns (log odds); the data move them, each guess weighing as much
    as `prior_weight` parameters. Above `max_rows` a hash sample of customers is fitted; campaigns beyond the
    `max_campaigns` largest have no effect of their own.
    """

    days: int = Field(default=56, ge=1)
    min_positives: int = Field(default=30, ge=1)
    min_history_weeks: float = Field(default=4, gt=0)
    prior_weeks: float = Field(default=1, gt=0)
    prior_types: float = Field(default=10, gt=0)
    prior_coupons: float = Field(default=2, gt=0)
    slope_sd: float = Field(default=0.3, gt=0)
    kind_sd: float = Field(default=0.3, gt=0)
    campaign_sd: float = Field(default=0.3, gt=0)
    prior_weight: float = Field(default=2, gt=0)
    max_rows: int = Field(default=100_000, ge=100)
    max_campaigns: int = Field(default=200, ge=1)
    seed: int = 0


DEFAULTS = RedemptionSettings()


@dataclass(frozen=True)
class RedemptionModel:
    """Logistic regression on a few standardised terms, with a random effect per kind of campaign and per campaign.

    `coef` and `covariance` hold the intercept, one slope per name in `terms`, one effect per name in `kinds`;
    `campaign_sd` is how far a new campaign may lie from its kind. `left_out` says why a term is not used. `rates` are
    the population's weekly rates that single customers are shrunk to. `record` tells the data: rows, positives,
    campaigns, first_start_ms, last_start_ms.
    """

    settings: RedemptionSettings
    terms: tuple[str, ...]
    kinds: tuple[str, ...]
    mean: tuple[float, ...]
    sd: tuple[float, ...]
    coef: tuple[float, ...]
    covariance: tuple[tuple[float, ...], ...]
    kind_sd: float
    campaign_sd: float
    rates: Mapping[str, float]
    left_out: Mapping[str, str]
    record: Mapping[str, int]
    nature: str = NATURE

    def predict(self, features: pl.DataFrame) -> Floats:
        """P(at least one coupon redeemed within `settings.days`) for each row, in the rows' order, in (0, 1).

        The mean over all campaigns of that kind that might come: the campaign's own effect and the error of the
        parameters are integrated out. A missing value counts as average, an unknown kind as the mean of kinds.
        """
        missing = set(EXPOSURE_FEATURES.schema) - set(features.columns)
        if missing:
            raise InputError(f"redemption: features lack the columns {sorted(missing)}; build them anew")
        x_NP = self._design(features)
        eta_N = x_NP @ np.array(self.coef)
        unknown_N = (x_NP[:, 1 + len(self.terms) :].sum(axis=1) == 0) & bool(self.kinds)
        variance_N = self.campaign_sd**2 + unknown_N * self.kind_sd**2
        variance_N += np.einsum("np,pq,nq->n", x_NP, np.array(self.covariance), x_NP, optimize=True)
        return mean_probability(eta_N, np.sqrt(variance_N))

    def explain(self) -> pl.DataFrame:
        """One row per term and kind: what it is, and the factor on the odds of one standard deviation more (95 %)."""
        slope, error = np.array(self.coef)[1:], np.sqrt(np.diag(self.covariance))[1:]
        names = [*self.terms, *self.kinds]
        meaning = [MEANING[name] for name in self.terms] + [f"campaign of kind {name}" for name in self.kinds]
        used = {"odds": np.exp(slope), "low": np.exp(slope - Z95 * error), "high": np.exp(slope + Z95 * error)}
        words = [_words(m, o, a, b) for m, o, a, b in zip(meaning, *used.values(), strict=True)]
        rows = pl.DataFrame({"term": names, "meaning": meaning, **used, "words": words}, schema=EXPLAINED)
        gone = [{"term": k, "meaning": MEANING[k], "words": f"not used: {why}"} for k, why in self.left_out.items()]
        return pl.concat([rows, pl.DataFrame(gone, schema=EXPLAINED)])

    def to_dict(self) -> dict[str, Any]:
        """All fields as JSON values."""
        plain = {f.name: getattr(self, f.name) for f in fields(self)}
        return {k: v.model_dump() if isinstance(v, Settings) else v for k, v in plain.items()}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """The inverse of `to_dict`, also after JSON. Raises ConfigError on settings that are none, InputError else."""
        if set(values) != {f.name for f in fields(cls)}:
            raise InputError(f"redemption model: keys {sorted(values)}; it was saved by another version, fit it again")
        plain = {k: _tuples(v) for k, v in values.items()}
        return cls(**{**plain, "settings": RedemptionSettings.parse(values["settings"], "redemption model")})

    def _design(self, features: pl.DataFrame) -> Floats:
        raw_NT = _matrix(_terms(features, self.rates, self.settings), self.terms)
        z_NT = np.nan_to_num((raw_NT - np.array(self.mean)) / np.array(self.sd), nan=0.0)
        return np.hstack([np.ones((len(z_NT), 1)), z_NT, _one_hot(features["kind"], self.kinds)])


EXPLAINED = {
    "term": pl.String,
    "meaning": pl.String,
    "odds": pl.Float64,
    "low": pl.Float64,
    "high": pl.Float64,
    "words": pl.String,
}


def redemption_outcomes(exposures: Relation, redemptions: Relation, asof_ms: int, days: int = 56) -> pl.DataFrame:
    """Whether each targeted customer redeemed within `days` of the start: campaign_id, customer_id, redeemed.

    Null where the campaign, or its `days`, had not ended by `asof_ms`: its late redeemers are not known yet.
    """
    sql = bind(OUTCOMES, window_ms=days * DAY_MS, asof_ms=asof_ms)
    frame: pl.DataFrame = some(exposures.query("exposures", sql)).pl()
    return frame


def fit_redemption(
    features: pl.DataFrame, redeemed: pl.DataFrame, settings: RedemptionSettings = DEFAULTS
) -> RedemptionModel:
    """Fit on the rows of `features` (EXPOSURE_FEATURES) whose outcome is known (`outcomes`) and that have a history.

    Penalised likelihood by Newton's method; the penalties are variances estimated from the data (Laplace
    approximation, EM steps; Breslow and Clayton 1993, JASA 88(421)) with a weak prior, so that two campaigns are
    enough and none runs away. Rows of one customer are taken as independent given the terms.
    Raises SupportError where fewer than `min_positives` redeemed or failed to, InputError on doubled or bad rows.
    """
    data = _training(features, redeemed, settings)
    rates = _rates(data)
    terms = _terms(data, rates, settings)
    left_out = _left_out(terms)
    used = [name for name in MEANING if name not in left_out]
    raw = _matrix(terms, used)
    mean, sd = (np.array([f(column) for column in raw.T]) for f in (np.nanmean, np.nanstd))
    kinds, campaigns = data["kind"].drop_nulls().unique().sort().to_list(), _largest(data, settings)
    groups = [_one_hot(data["kind"], kinds), _one_hot(data["campaign_id"], campaigns)]
    x_NP = np.hstack([np.ones((data.height, 1)), np.nan_to_num((raw - mean) / sd, nan=0.0), *groups])
    sizes = (len(used), len(kinds), len(campaigns))
    guesses = (settings.slope_sd, settings.kind_sd, settings.campaign_sd)
    fit = fit_logit(x_NP, data["redeemed"].to_numpy().astype(np.float64), sizes, guesses, settings.prior_weight)
    keep = 1 + len(used) + len(kinds)  # the campaigns of the past stay behind; only their spread matters
    return RedemptionModel(
        settings=settings,
        terms=tuple(used),
        kinds=tuple(kinds),
        mean=tuple(mean.tolist()),
        sd=tuple(sd.tolist()),
        coef=tuple(fit.coef_P[:keep].tolist()),
        covariance=tuple(tuple(row) for row in fit.covariance_PP[:keep, :keep].tolist()),
        kind_sd=fit.sd_G[1],
        campaign_sd=fit.sd_G[2],
        rates=rates,
        left_out=left_out,
        record=_record(data),
    )


def rolling_origin(
    features: pl.DataFrame, redeemed: pl.DataFrame, settings: RedemptionSettings = DEFAULTS
) -> pl.DataFrame:
    """Campaigns predicted from those that had ended by their start: campaign_id, customer_id, redeemed, prob.

    The honest check of a model that will be used on campaigns to come. Campaigns with too little before them are left
    out; no rows at all is a possible answer. Raises SupportError where all campaigns together are too little.
    """
    data = _training(features, redeemed, settings)
    ends = pl.min_horizontal(pl.col("end_ms") + 1, pl.col("start_ms") + settings.days * DAY_MS)
    parts = [
        pl.DataFrame(
            schema={"campaign_id": pl.String, "customer_id": pl.String, "redeemed": pl.Boolean, "prob": pl.Float64}
        )
    ]
    for start_ms in data["start_ms"].unique().sort():
        now = data.filter(pl.col("start_ms") == start_ms)
        try:
            model = fit_redemption(features, data.filter(ends <= start_ms).select(*KEY, "redeemed"), settings)
        except SupportError:
            continue
        parts.append(now.select(*KEY, "redeemed", pl.Series("prob", model.predict(now))))
    return pl.concat(parts)


def _training(features: pl.DataFrame, redeemed: pl.DataFrame, settings: RedemptionSettings) -> pl.DataFrame:
    EXPOSURE_FEATURES.check(features)
    if redeemed.select(pl.struct(KEY).is_duplicated().any()).item():
        raise InputError("redeemed: a customer stands twice in one campaign; give one outcome per row of features")
    known = features.join(redeemed.select(*KEY, "redeemed").drop_nulls(), on=KEY).sort(KEY)
    data = known.filter(pl.col("history_weeks") >= settings.min_history_weeks)
    yes = int(data["redeemed"].sum())
    if min(yes, data.height - yes) < settings.min_positives:
        raise SupportError(
            f"redemption: {yes} redeemed and {data.height - yes} did not, among targeted customers of ended campaigns "
            f"with {settings.min_history_weeks:g} weeks of history ({known.height - data.height} had less); "
            f"{settings.min_positives} of each are needed; add past campaigns and their redemptions"
        )
    if data.height > settings.max_rows:  # whole customers, the same ones on every machine
        share = settings.max_rows / data.height
        people = data["customer_id"].unique().sort()
        drawn = people.filter(pl.Series(hash_units(f"redemption{settings.seed}", people) < share))
        data = data.filter(pl.col("customer_id").is_in(drawn.implode()))
    return data


def _largest(data: pl.DataFrame, settings: RedemptionSettings) -> list[str]:
    counts = data.group_by("campaign_id").len("rows").sort(["rows", "campaign_id"], descending=[True, False])
    return sorted(counts["campaign_id"].head(settings.max_campaigns).to_list())


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


def _terms(features: pl.DataFrame, rates: Mapping[str, float], settings: RedemptionSettings) -> pl.DataFrame:
    """The terms of MEANING, before standardisation; counts enter as logarithms, since factors act on odds."""
    c, prior, doubt = pl.col, settings.prior_weeks, settings.prior_coupons
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
        fits_types=(c("types_bought") + settings.prior_types * rates["fits_types"])
        / (c("covered_types") + settings.prior_types),
    )


def _left_out(terms: pl.DataFrame) -> dict[str, str]:
    """Terms that cannot tell customers apart, each with the reason."""
    why = {}
    for name in terms.columns:
        values = terms[name].drop_nulls()
        if values.is_empty():
            why[name] = "never known in these data"
        elif float(values.max()) - float(values.min()) < 1e-9:  # type: ignore[arg-type]
            why[name] = "the same for everybody in these data"
    return why


def _matrix(terms: pl.DataFrame, names: Sequence[str]) -> Floats:
    """The named terms side by side, null as nan; N x 0 where there are none."""
    return np.column_stack([np.empty((terms.height, 0)), *(terms[name].to_numpy() for name in names)])


def _one_hot(values: pl.Series, names: Sequence[str]) -> Floats:
    hot = np.zeros((len(values), len(names)))
    for at, name in enumerate(names):
        hot[:, at] = values.eq_missing(name).to_numpy()
    return hot


def _record(data: pl.DataFrame) -> dict[str, int]:
    first, last = data["start_ms"].min(), data["start_ms"].max()
    return {
        "rows": data.height,
        "positives": int(data["redeemed"].sum()),
        "campaigns": data["campaign_id"].n_unique(),
        "first_start_ms": int(first),  # type: ignore[arg-type]
        "last_start_ms": int(last),  # type: ignore[arg-type]
    }


def _words(meaning: str, odds: float, low: float, high: float) -> str:
    return f"{meaning}: odds of redeeming x {odds:.2f} ({low:.2f} to {high:.2f})"


def _tuples(value: Any) -> Any:
    return tuple(_tuples(each) for each in value) if isinstance(value, list) else value
