"""Estimate how demand responds to a discount, per target and price sensitivity, with placebo checks.

Legend: M panel cells, K regressors. Poisson pseudo-likelihood with fixed effects and cluster-robust errors is ours: a
library (pyhdfe, pyfixest) would bring a compiled stack for one estimator of thirty lines.
"""

from contextlib import suppress
from dataclasses import dataclass, field, fields, replace
from itertools import pairwise
from typing import Any, Literal, NamedTuple, Self

import numpy as np
import polars as pl
from numpy.typing import NDArray

from promolift.core.effects.offer_value.demand_panel import CARRIED, LAGS
from promolift.core.effects.settings import DiscountSettings
from promolift.foundation.errors import SupportError
from promolift.foundation.evidence import Z95, Level
from promolift.foundation.hashing import hash_units
from promolift.foundation.i18n.catalogue import gettext_noop
from promolift.foundation.i18n.lazy_message import LazyMessage, gettext_lazy

Real = NDArray[np.float64]
Codes = NDArray[np.int64]

SWEEPS, STEPS, TOLERANCE = 3, 40, 1e-5
MIN_VARIANCE = 0.08  # with less of the discounts' variation between customers of one week, weeks are compared instead
WINSOR = 0.995  # quantile of weekly amounts at which larger ones are cut off, so that a few do not decide
PLACEBO_SHARE = 0.25  # a placebo fails that shows more than this part of the response and is not 0 at 99 %
# Of four weeks of a discount, the k-th comes after k - 1 others whose pull it misses, the last one most: with LAGS = 4
# weeks that halve, 8, 4, 2 and 1 parts of 15, (0 + 8 + 12 + 14) / 15 / 4.
WITHIN_WINDOW = (
    sum(CARRIED**back * (LAGS - back) for back in range(1, LAGS))
    / LAGS
    / sum(CARRIED**back for back in range(1, LAGS + 1))
)
MIN_OWN_VARIANCE = 1e-6  # the least share of its own variance that a mixture of regressors must have


@dataclass(frozen=True)
class PoissonFit:
    """Coefficients and their clustered covariance; `mu_M` fitted means; `resid_MK` regressors net of fixed effects."""

    beta_K: Real
    cov_KK: Real
    mu_M: Real
    resid_MK: Real
    cells: int

    @property
    def se_K(self) -> Real:
        return np.asarray(np.sqrt(np.diag(self.cov_KK)))


def dense_codes(frame: pl.DataFrame, *columns: str) -> Codes:
    """Dense integers 0..G-1, one per distinct combination of `columns`, in sorted order."""
    ranked = frame.select(pl.struct(columns).rank("dense") - 1).to_series()
    return ranked.to_numpy().astype(np.int64)


def fit_ppml(outcome_M: Real, regressors_MK: Real, effects: list[Codes], clusters: list[Codes]) -> PoissonFit:
    """Poisson pseudo-maximum likelihood with high-dimensional fixed effects.

    E[y] = exp(sum of effects + x'beta); consistent whenever the mean is right, whatever the distribution of y
    (Gourieroux, Monfort, Trognon 1984; Correia, Guimaraes, Zylkin 2020). Effects are profiled out by exact scaling,
    beta by Newton steps on regressors made orthogonal to the effects in the current weights. Variance is the sandwich,
    clustered in each of the ways given, the widest of them kept (their sum is not always positive). Raises SupportError
    where a regressor does not vary within the effects, is a mixture of the others, or no fit is found.
    """
    y, x = outcome_M, regressors_MK
    totals: list[Real] = [np.bincount(f, weights=y).astype(np.float64) for f in effects]
    mu, net, beta = np.full(len(y), y.mean()), x.copy(), np.zeros(x.shape[1])
    spread = x.std(axis=0)
    for step_number in range(STEPS):
        _scale(mu, totals, effects)
        _project(net, mu, effects, sweeps=15 if step_number == 0 else 5)
        hessian = (net * mu[:, None]).T @ net
        if (np.sqrt(np.diag(hessian) / mu.sum()) < 1e-3 * np.maximum(spread, 1e-12)).any():
            raise SupportError(
                "no_variation",
                gettext_lazy("the discount does not vary within customer, category and week: no response can be read"),
            )
        scale = np.sqrt(np.diag(hessian))
        if np.linalg.eigvalsh(hessian / np.outer(scale, scale))[0] < MIN_OWN_VARIANCE:
            raise SupportError(
                "discounts_collinear",
                gettext_lazy(
                    "what is now and what was before cannot be told apart: discounts stay as they are too long"
                ),
            )
        step = np.linalg.solve(hessian, net.T @ (y - mu))
        beta += step
        mu *= np.exp(x @ step)
        if not np.isfinite(mu).all() or np.abs(beta).max() > 50:
            break
        if np.abs(step).max() < TOLERANCE:
            _scale(mu, totals, effects)
            fits = (_robust(beta, y, mu, net, each) for each in clusters)
            return max(fits, key=lambda fit: float(np.trace(fit.cov_KK)))  # the widest errors
    raise SupportError(
        "not_converged",
        gettext_lazy(
            "the response model did not settle after {steps} steps: too little variation in {y} cells",
            steps=STEPS,
            y=len(y),
        ),
    )


def _scale(mu: Real, totals: list[Real], effects: list[Codes]) -> None:
    """Multiply `mu` in place until its sums over each effect's groups equal those of the outcome."""
    for _ in range(SWEEPS):
        for total, group in zip(totals, effects, strict=True):
            fitted = np.bincount(group, weights=mu)
            mu *= np.divide(total, fitted, out=np.zeros_like(total), where=fitted > 0)[group]


def _project(net: Real, weight: Real, effects: list[Codes], sweeps: int) -> None:
    """Subtract weighted group means in place, effect by effect (alternating projections)."""
    for _ in range(sweeps):
        for group in effects:
            mass = np.bincount(group, weights=weight)
            for k in range(net.shape[1]):
                mean = np.bincount(group, weights=weight * net[:, k]) / np.maximum(mass, 1e-300)
                net[:, k] -= mean[group]


def _robust(beta: Real, y: Real, mu: Real, net: Real, cluster: Codes) -> PoissonFit:
    clusters = int(cluster.max()) + 1
    if clusters < 10:
        raise SupportError(
            "too_few_clusters",
            gettext_lazy(
                "{clusters} groups carry the discount response; at least 10 are needed for an error", clusters=clusters
            ),
        )
    score = np.stack([np.bincount(cluster, weights=net[:, k] * (y - mu)) for k in range(net.shape[1])], axis=1)
    bread: Any = np.linalg.inv((net * mu[:, None]).T @ net)
    cov = clusters / (clusters - 1) * bread @ (score.T @ score) @ bread
    return PoissonFit(beta, cov, mu, net, len(y))


Design = Literal["customers", "weeks"]  # what is compared: customers within a week, or weeks within a month
# The mean of 1,851 price elasticities is -2.62 (Bijmolt, van Heerde & Pieters 2005, J. Marketing Research 42), which
# is a response of about 3. At 10 a fifth off brings seven times the demand: what shows more is no shelf discount.
LARGEST_RESPONSE = 10.0
Z_LIMIT = 3.0  # of standardised price sensitivity; fewer than one in a hundred lie beyond it
LEAST_SENSITIVITIES = 10  # with fewer known they are not standardised
DEPTH_EDGES, LEAST_CELLS = (0.02, 0.1, 0.2, 0.3, 0.4), 200
CURVE_SCHEMA = {
    "group": pl.String,
    "depth": pl.Float64,
    "lift": pl.Float64,
    "low": pl.Float64,
    "high": pl.Float64,
    "cells": pl.Int64,
}
PLACEBO_SCHEMA = {"name": pl.String, "value": pl.Float64, "low": pl.Float64, "high": pl.Float64, "meaning": pl.String}


@dataclass(frozen=True)
class PanelSample:
    """Panel cells ready to fit: outcome `y_M` in cents, standardised sensitivity `z_M`, and what is compared."""

    data: pl.DataFrame
    y_M: Real
    z_M: Real
    design: Design

    def fit(self, x_MK: Real) -> PoissonFit:
        """Poisson pseudo-likelihood, net of customer by target, customer by week, and what is common to a target: by
        week where customers are compared, by stretch of four weeks where weeks are. Clustered by customer; where weeks
        are compared also by target and week, since what moves a category one week moves it for everybody.
        """
        common = self.data if self.design == "customers" else self.data.with_columns(pl.col("week") // 4)
        effects = [
            dense_codes(self.data, "customer_id", "target"),
            dense_codes(common, "target", "week"),
            dense_codes(self.data, "customer_id", "week"),
        ]
        people, shocks = dense_codes(self.data, "customer_id"), dense_codes(self.data, "target", "week")
        return fit_ppml(self.y_M, x_MK, effects, [people] if self.design == "customers" else [people, shocks])

    def only(self, keep_M: NDArray[np.bool_]) -> "PanelSample":
        return PanelSample(self.data.filter(pl.Series(keep_M)), self.y_M[keep_M], self.z_M[keep_M], self.design)

    def columns(self, *names: str) -> Real:
        """Columns of the panel as regressors, M x K."""
        return self.data.select(names).to_numpy().astype(np.float64)


def identifying_variance(sample: PanelSample, fit: PoissonFit) -> float:
    """Share of the depth's variance, weighted by demand, that the fixed effects do not explain."""
    depth = sample.data["depth"].to_numpy()
    mean = (fit.mu_M * depth).sum() / fit.mu_M.sum()
    return float((fit.mu_M * fit.resid_MK[:, 0] ** 2).sum() / (fit.mu_M * (depth - mean) ** 2).sum())


def depth_curves(sample: PanelSample) -> pl.DataFrame:
    """Lift by depth step, without a shape imposed: everybody, and thirds of price sensitivity where it is known."""
    z = sample.z_M
    groups = {gettext_noop("everyone"): np.ones(len(z), dtype=bool)}
    if np.ptp(z) > 0:
        low, high = np.quantile(z, [1 / 3, 2 / 3])
        groups |= {
            gettext_noop("least price-sensitive third"): z <= low,
            gettext_noop("most price-sensitive third"): z > high,
        }
    curves = [_curve(sample.only(mask), name) for name, mask in groups.items()]
    return pl.concat([pl.DataFrame(schema=CURVE_SCHEMA), *curves])


def _curve(sample: PanelSample, name: str) -> pl.DataFrame:
    depth = sample.data["depth"].to_numpy()
    none, *steps = [(depth >= a) & (depth < b) for a, b in pairwise([-np.inf, *DEPTH_EDGES, 1.01])]
    steps = [step for step in steps if step.sum() >= LEAST_CELLS]
    if not steps or none.sum() < LEAST_CELLS:  # each step is compared with no discount
        return pl.DataFrame(schema=CURVE_SCHEMA)
    kept = np.any([none, *steps], axis=0)
    try:
        fit = sample.only(kept).fit(np.stack([step[kept].astype(np.float64) for step in steps], axis=1))
    except SupportError:
        return pl.DataFrame(schema=CURVE_SCHEMA)  # a group too small for a curve of its own: the population's is shown
    lift, error = fit.beta_K, Z95 * fit.se_K
    return pl.DataFrame({
        "group": [name] * len(steps), "depth": [float(depth[s].mean()) for s in steps], "lift": np.exp(lift) - 1,
        "low": np.exp(lift - error) - 1, "high": np.exp(lift + error) - 1, "cells": [int(s.sum()) for s in steps],
    })  # fmt: skip


def placebo_table(sample: PanelSample, main: "DiscountResponse", settings: DiscountSettings) -> pl.DataFrame:
    """Questions whose true answer is zero: next month's discounts and, where customers are compared, another one's."""
    rows = [
        (
            gettext_noop("discount now"),
            main.beta,
            main.beta_se,
            gettext_noop("the response itself: log of demand per unit of depth"),
        )
    ]
    later = sample.only(sample.data["lead"].is_not_null().to_numpy())
    if later.data.height >= settings.min_cells:
        fit = later.fit(later.columns("depth", "lag", "lead"))
        why = gettext_noop("must be near zero: the future causes nothing")
        rows.append((gettext_noop("discount 3 to 6 weeks later"), float(fit.beta_K[2]), float(fit.se_K[2]), why))
    if sample.design == "customers":
        fit = sample.fit(np.stack([_swap(sample.data, settings.seed), sample.data["depth"].to_numpy()], axis=1))
        why = gettext_noop("must be near zero: they are not this customer's products")
        name = gettext_noop("another customer's discount, same category and week")
        rows.append((name, float(fit.beta_K[0]), float(fit.se_K[0]), why))
    frame = pl.DataFrame(rows, schema=["name", "value", "se", "meaning"], orient="row")
    half = Z95 * pl.col("se")
    bounds = [(pl.col("value") - half).alias("low"), (pl.col("value") + half).alias("high")]
    return frame.select("name", "value", *bounds, "meaning")


def _swap(data: pl.DataFrame, seed: int) -> Real:
    """Each customer's depth replaced by that of the next customer in hash order within the same target and week."""
    people = data["customer_id"].unique().sort()
    order = pl.DataFrame({"customer_id": people, "u": hash_units(f"swap{seed}", people)})
    ranked = data.with_row_index("row").join(order, on="customer_id").sort("target", "week", "u", "customer_id")
    swapped = ranked.with_columns(
        pl.col("depth").shift(1).over("target", "week").fill_null(pl.col("depth").last().over("target", "week"))
    )
    return swapped.sort("row")["depth"].to_numpy()


TARGET_SCHEMA = {"target": pl.String, "response": pl.Float64, "response_se": pl.Float64, "cells": pl.Int64}
FRAME_SCHEMAS = {"targets": TARGET_SCHEMA, "curve": CURVE_SCHEMA, "placebo": PLACEBO_SCHEMA}


@dataclass(frozen=True)
class DiscountResponse:
    """Demand at depth d is exp(now * d) times demand without it; `later` (negative) is what is only pulled forward.

    For a customer with standardised price sensitivity z and a target t: now = beta + deviation[t] + beta_z z + beta_zz
    z^2. Who answers more also buys more in advance, so that the same part of every response is pulled forward: net =
    now (1 + later / beta). `targets` has target, response (beta + deviation), response_se, cells; `target_sd` is the
    spread of the deviations. `curve` has group, depth, lift, low, high, cells; `placebo` has name, value, low,
    high, meaning.
    """

    level: Level
    why: LazyMessage
    beta: float
    beta_se: float
    beta_z: float = 0.0
    beta_z_se: float = 0.0
    beta_zz: float = 0.0
    beta_zz_se: float = 0.0
    later: float = 0.0
    later_se: float = 0.0
    z_mean: float = 0.0
    z_sd: float = 1.0
    target_sd: float = 0.0
    design: Design = "customers"
    cells: int = 0
    customers: int = 0
    prior_response: float = 0.6
    prior_se: float = 0.4
    targets: pl.DataFrame = field(default_factory=lambda: pl.DataFrame(schema=TARGET_SCHEMA))
    curve: pl.DataFrame = field(default_factory=lambda: pl.DataFrame(schema=CURVE_SCHEMA))
    placebo: pl.DataFrame = field(default_factory=lambda: pl.DataFrame(schema=PLACEBO_SCHEMA))

    def standardise(self, sensitivity: pl.Expr) -> pl.Expr:
        """Price sensitivity as z, within +-Z_LIMIT; unknown counts as average."""
        return ((sensitivity - self.z_mean) / self.z_sd).clip(-Z_LIMIT, Z_LIMIT).fill_null(0.0)

    def at_sensitivities(self, price_sensitivity: pl.Series) -> Self:
        """The response for customers as they are known now: z is by their own mean and spread.

        Sensitivities are shrunk towards each other the less the fewer purchases are known, so that those of a later day
        lie further apart; with the spread of the response period extreme customers would seem to answer more than they
        do. With fewer than LEAST_SENSITIVITIES known it stays as it is.
        """
        known = np.sort(price_sensitivity.drop_nulls().to_numpy())  # so that any order of rows gives the same bits
        if len(known) < LEAST_SENSITIVITIES:
            return self
        return replace(self, z_mean=float(known.mean()), z_sd=max(float(known.std()), 1e-9))

    @property
    def pulled_share(self) -> float:
        """The part of the response that is only bought earlier, in [0, 1]."""
        return min(max(-self.later / self.beta, 0.0), 1.0) if self.beta > 0 else 0.0

    @property
    def pulled_se(self) -> float:
        """The standard error of `pulled_share`."""
        return self.later_se / self.beta if self.beta > 0 else 0.0

    def respond(self, candidates: pl.DataFrame) -> pl.DataFrame:
        """Add `response_now`, `response_net`, `response_se`, `pulled_se` to rows with `target`, `price_sensitivity`.

        A target without cells of its own gets the population's mean, and its error the spread between targets. The
        error of `beta`, common to all rows, is part of every row's error. None is above `LARGEST_RESPONSE`. Of what is
        pulled forward the part WITHIN_WINDOW is missing in the window itself, so that its sales, and what is paid on
        them, rise by less than the first week's.
        """
        z = self.standardise(pl.col("price_sensitivity"))
        joined = candidates.join(self.targets.select("target", "response", "response_se"), on="target", how="left")
        now = (pl.col("response").fill_null(self.beta) + self.beta_z * z + self.beta_zz * z**2).clip(
            upper_bound=LARGEST_RESPONSE
        )
        own = pl.col("response_se").fill_null((self.beta_se**2 + self.target_sd**2) ** 0.5)
        error = (own**2 + (self.beta_z_se * z) ** 2 + (self.beta_zz_se * z**2) ** 2).sqrt()
        return joined.with_columns(
            (now * (1 - WITHIN_WINDOW * self.pulled_share)).alias("response_now"),
            (now * (1 - self.pulled_share)).alias("response_net"),
            error.alias("response_se"),
            pl.lit(self.pulled_se).alias("pulled_se"),
        ).drop("response")

    def to_dict(self) -> dict[str, Any]:
        plain = {f.name: getattr(self, f.name) for f in fields(self)}
        plain["why"] = LazyMessage.from_stored(self.why).to_stored()
        return {k: v.to_dicts() if isinstance(v, pl.DataFrame) else v for k, v in plain.items()}

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Self:
        plain: dict[str, Any] = {
            k: pl.DataFrame(v, schema=FRAME_SCHEMAS[k]) if k in FRAME_SCHEMAS else v for k, v in values.items()
        }
        return cls(**plain | {"why": LazyMessage.from_stored(plain["why"])})


def assumed_response(why: str, settings: DiscountSettings) -> DiscountResponse:
    """The stated prior, for shops whose data cannot tell: level `assumed`, with `why`."""
    b, se = settings.prior_response, settings.prior_se
    return DiscountResponse("assumed", LazyMessage.from_stored(why), b, se, prior_response=b, prior_se=se)


def fit_response(panel: pl.DataFrame, sensitivity: pl.DataFrame, settings: DiscountSettings) -> DiscountResponse:
    """Fit the response on shelf discounts by Poisson pseudo-likelihood with three sets of fixed effects, and check it.

    log E[list value of customer i, target t, week w] = a_it + g_tw + h_iw + now * depth + later * lag. The effects
    absorb how much a customer usually buys, what everybody buys that week (seasons, displays, shelf-wide demand) and
    whether they shop at all that week; what is left is that THEIR usual products of the target were deeper discounted
    than other customers' (design `customers`). Where customers buy too much alike for that, g_tw becomes what everybody
    buys in that stretch of four weeks, and weeks are compared instead, by the market's depths (design `weeks`): more to
    learn from, less protected. `sensitivity` (customer_id,
    price_sensitivity) must come from before the response period. By-target
    deviations are shrunk by empirical Bayes (DerSimonian and Laird 1986). Where the response is not above zero or a
    placebo fails, the stated prior is returned instead, with the failed checks. Raises SupportError where the panel is
    too small or depth does not vary.
    """
    sample, main = _fit(panel, sensitivity, settings)
    checks = placebo_table(sample, main, settings)
    failed = _failure(main, checks)
    return replace(
        assumed_response(failed, settings) if failed else main,
        why=failed or CHECKED_BY_DESIGN[main.design],
        design=main.design,
        cells=main.cells,
        customers=main.customers,
        curve=depth_curves(sample),
        placebo=checks,
    )


def in_first_half(customer_ids: pl.Series, settings: DiscountSettings) -> NDArray[np.bool_]:
    """Which half of the customers each id belongs to, by hash (True: the first)."""
    people = customer_ids.unique().sort()
    first = pl.Series(hash_units(f"half{settings.seed}", people) < 0.5)
    return customer_ids.replace_strict(people, first, return_dtype=pl.Boolean).to_numpy()


def fit_response_halves(
    panel: pl.DataFrame, sensitivity: pl.DataFrame, settings: DiscountSettings
) -> list[DiscountResponse]:
    """The responses of the first and of the second half of the customers (see `in_first_half`), for cross-fitting.

    Who is decided on by one response is judged by the other. Neither is checked again; their level is `adjusted`.
    """
    first = pl.Series(in_first_half(panel["customer_id"], settings))
    return [_fit(panel.filter(part), sensitivity, settings).response for part in (first, ~first)]


class _Fitted(NamedTuple):
    """The cells that were compared, and the response that they say."""

    sample: PanelSample
    response: DiscountResponse


def _fit(panel: pl.DataFrame, sensitivity: pl.DataFrame, settings: DiscountSettings) -> _Fitted:
    """Compare customers if enough of the depth's variance is theirs, else weeks."""
    data = _prepare(panel, sensitivity, settings)
    cap = float(data.filter(pl.col("list_cents") > 0)["list_cents"].quantile(WINSOR) or 0.0)
    y = np.minimum(data["list_cents"].to_numpy(), cap).astype(np.float64)
    known = data.unique("customer_id", maintain_order=True)["price_sensitivity"].drop_nulls().to_numpy()
    enough = len(known) >= LEAST_SENSITIVITIES  # else price sensitivity stays as it is
    z_mean, z_sd = (float(known.mean()), max(float(known.std()), 1e-9)) if enough else (0.0, 1.0)
    z = np.clip((data["price_sensitivity"].fill_null(z_mean).to_numpy() - z_mean) / z_sd, -Z_LIMIT, Z_LIMIT)
    sample = PanelSample(data, y, z, "customers")
    fit = None
    with suppress(SupportError):
        fit = sample.fit(_regressors(sample))
    if fit is None or identifying_variance(sample, fit) < MIN_VARIANCE:
        sample = replace(sample, data=_market_depths(data), design="weeks")
        fit = sample.fit(_regressors(sample))
    beta, error = ([*each.tolist(), 0.0, 0.0] for each in (fit.beta_K, fit.se_K))
    by_target = _by_target(sample.data, y, fit)
    response = DiscountResponse(
        level="adjusted", why=gettext_lazy("half of the customers, for cross-fitting"), beta=beta[0], beta_se=error[0],
        beta_z=beta[2], beta_z_se=error[2], beta_zz=beta[3], beta_zz_se=error[3], later=min(beta[1], 0.0),
        later_se=error[1], z_mean=z_mean, z_sd=z_sd, target_sd=by_target.sd, design=sample.design, cells=fit.cells,
        customers=data["customer_id"].n_unique(), prior_response=settings.prior_response, prior_se=settings.prior_se,
        targets=by_target.targets,
    )  # fmt: skip
    return _Fitted(sample, response)


def _regressors(sample: PanelSample) -> Real:
    """Depth, lag and, where price sensitivity takes more than two values, depth times it and times its square."""
    x, z = sample.columns("depth", "lag"), sample.z_M
    return np.column_stack([x, x[:, 0] * z, x[:, 0] * z**2]) if len(np.unique(z)) > 2 else x


def _market_depths(data: pl.DataFrame) -> pl.DataFrame:
    """The panel with everybody's depths in place of each customer's own, where it has them.

    Where weeks are compared, the variation is everybody's. What single customers usually buy is known with an error,
    which would flatten the response and look like an effect of the weeks before.
    """
    if "market_depth" not in data.columns:
        return data
    return data.with_columns(pl.coalesce(f"market_{name}", name).alias(name) for name in ("depth", "lag", "lead"))


def _prepare(panel: pl.DataFrame, sensitivity: pl.DataFrame, settings: DiscountSettings) -> pl.DataFrame:
    data = panel.filter(pl.col("lag").is_not_null())
    people = data["customer_id"].unique().sort()
    if people.len() > settings.max_customers:  # a hash sample: the response is a population's, its error small enough
        drawn = pl.DataFrame({"customer_id": people, "u": hash_units(settings.seed, people)})
        few = drawn.sort("u", "customer_id").head(settings.max_customers)
        data = data.join(few.select("customer_id"), on="customer_id", how="semi")
    for group in (["customer_id", "target"], ["target", "week"], ["customer_id", "week"]):
        data = data.filter(pl.col("list_cents").sum().over(group) > 0)
    if data.height < settings.min_cells:
        raise SupportError(
            "too_few_rows",
            gettext_lazy(
                "{height} customer-category-weeks with known discounts; {min_cells} are needed",
                height=data.height,
                min_cells=settings.min_cells,
            ),
        )
    known = sensitivity.select("customer_id", "price_sensitivity")
    return data.join(known, on="customer_id", how="left").sort("customer_id", "target", "week")


class _ByTarget(NamedTuple):
    """Responses of single targets (columns TARGETS), and the spread of their deviations from the common one."""

    targets: pl.DataFrame
    sd: float


def _by_target(data: pl.DataFrame, y: Real, fit: PoissonFit) -> _ByTarget:
    """One Newton step per target from the common fit, clustered by customer, then shrunk towards it."""
    net = fit.resid_MK[:, 0]
    cells = data.select("customer_id", "target").with_columns(
        pl.Series("score", net * (y - fit.mu_M)), pl.Series("info", fit.mu_M * net**2)
    )
    per_person = cells.group_by("target", "customer_id", maintain_order=True).agg(
        pl.col("score", "info").sum(), pl.len().alias("cells")
    )
    raw = per_person.group_by("target", maintain_order=True).agg(
        (pl.col("score").sum() / pl.col("info").sum()).alias("b"),
        ((pl.col("score") ** 2).sum().sqrt() / pl.col("info").sum()).alias("se"),
        pl.len().alias("people"),
        pl.col("cells").sum().cast(pl.Int64),
    )
    usable = raw.filter((pl.col("people") >= 20) & (pl.col("se") > 0) & pl.col("b").is_finite()).sort("target")
    b, se = usable["b"].to_numpy(), usable["se"].to_numpy()
    if len(b) < 3:
        return _ByTarget(pl.DataFrame(schema=TARGET_SCHEMA), 0.0)
    w = 1 / se**2
    mean = float((w * b).sum() / w.sum())
    excess = float((w * (b - mean) ** 2).sum()) - (len(b) - 1)
    variance = max(0.0, excess / float(w.sum() - (w**2).sum() / w.sum()))
    keep = variance / (variance + se**2)
    frame = usable.select(
        "target",
        pl.Series("response", fit.beta_K[0] + mean + keep * (b - mean)),
        pl.Series("response_se", np.sqrt(keep * se**2 + fit.se_K[0] ** 2)),
        "cells",
    )
    return _ByTarget(frame, variance**0.5)


CHECKED_BY_DESIGN = {
    "customers": gettext_lazy(
        "not randomised: compares customers whose usual products were cut with others in the same category and week; "
        "the placebo checks hold"
    ),
    "weeks": gettext_lazy(
        "not randomised: compares weeks with and without a discount in the same category and month; the placebo checks "
        "hold"
    ),
}


def _failure(main: DiscountResponse, placebo: pl.DataFrame) -> LazyMessage | None:
    """Why the response is not `adjusted`, if so: it is not above zero, or a placebo shows a sizeable effect."""
    if main.beta - Z95 * main.beta_se <= 0:
        return gettext_lazy(
            "demand did not rise with the discount: {beta} +- {z95}",
            beta=f"{main.beta:.2f}",
            z95=f"{Z95 * main.beta_se:.2f}",
        )
    if main.beta > LARGEST_RESPONSE:
        return gettext_lazy(
            "a response of {beta} is more than any shelf discount brings; personal discounts are probably among the "
            "prices: name the column of coupons",
            beta=f"{main.beta:.0f}",
        )
    for row in placebo.iter_rows(named=True):
        error = (row["high"] - row["low"]) / (2 * Z95)
        sizeable = abs(row["value"]) > max(2.58 * error, PLACEBO_SHARE * main.beta)
        if row["name"] != "discount now" and sizeable:
            return gettext_lazy(
                "placebo failed: {name} shows {value} where zero is true",
                name=gettext_lazy(row["name"]),
                value=f"{row['value']:.2f}",
            )
    return None
