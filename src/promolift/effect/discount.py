"""The response panel in; how list-value demand answers a discount, per target and price sensitivity, with its checks.

M panel cells.
"""

from dataclasses import dataclass, field, fields, replace
from typing import Any, Literal, Self

import numpy as np
import polars as pl
from numpy.typing import NDArray

from promolift.effect.checks import (
    CHECKS,
    CURVE,
    Design,
    Sample,
    depth_curves,
    overlap_table,
    placebo_table,
    variance_left,
)
from promolift.effect.ppml import PoissonFit, Real
from promolift.effect.settings import DiscountSettings
from promolift.errors import SupportError
from promolift.hashing import hash_units

Level = Literal["randomised", "adjusted", "assumed"]
TARGETS = {"target": pl.String, "response": pl.Float64, "response_se": pl.Float64, "cells": pl.Int64}
FRAMES = {"targets": TARGETS, "curve": CURVE, "placebo": CHECKS, "overlap": CHECKS}


@dataclass(frozen=True)
class DiscountResponse:
    """Demand at depth d is exp(now * d) times demand without it; `later` (negative) is what is only pulled forward.

    For a customer with standardised price sensitivity z and a target t: now = beta + deviation[t] + beta_z * z and
    net = now + later. `targets` has target, response (beta + deviation), response_se, cells; `target_sd` is the spread
    of the deviations. `curve` has group, depth, lift, low, high, cells; `placebo` and `overlap` have name, value, low,
    high, meaning.
    """

    level: Level
    why: str
    beta: float
    beta_se: float
    beta_z: float = 0.0
    beta_z_se: float = 0.0
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
    targets: pl.DataFrame = field(default_factory=lambda: pl.DataFrame(schema=TARGETS))
    curve: pl.DataFrame = field(default_factory=lambda: pl.DataFrame(schema=CURVE))
    placebo: pl.DataFrame = field(default_factory=lambda: pl.DataFrame(schema=CHECKS))
    overlap: pl.DataFrame = field(default_factory=lambda: pl.DataFrame(schema=CHECKS))

    def standardise(self, sensitivity: pl.Expr) -> pl.Expr:
        """Price sensitivity as z, within +-3; unknown counts as average."""
        return ((sensitivity - self.z_mean) / self.z_sd).clip(-3, 3).fill_null(0.0)

    def respond(self, candidates: pl.DataFrame) -> pl.DataFrame:
        """Add `response_now`, `response_net`, `response_se` to rows with `target` and `price_sensitivity`.

        A target without cells of its own gets the population's mean, and its error the spread between targets. The
        error of `beta`, common to all rows, is part of every row's error.
        """
        z = self.standardise(pl.col("price_sensitivity"))
        joined = candidates.join(self.targets.select("target", "response", "response_se"), on="target", how="left")
        now = pl.col("response").fill_null(self.beta) + self.beta_z * z
        own = pl.col("response_se").fill_null((self.beta_se**2 + self.target_sd**2) ** 0.5)
        error = (own**2 + (self.beta_z_se * z) ** 2 + self.later_se**2).sqrt()
        return joined.with_columns(
            now.alias("response_now"), (now + self.later).alias("response_net"), error.alias("response_se")
        ).drop("response")

    def to_dict(self) -> dict[str, Any]:
        """All fields as JSON values; frames as lists of rows."""
        plain = {f.name: getattr(self, f.name) for f in fields(self)}
        return {k: v.to_dicts() if isinstance(v, pl.DataFrame) else v for k, v in plain.items()}

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Self:
        """The inverse of `to_dict`."""
        plain: dict[str, Any] = {k: pl.DataFrame(v, schema=FRAMES[k]) if k in FRAMES else v for k, v in values.items()}
        return cls(**plain)


def assumed_response(why: str, settings: DiscountSettings) -> DiscountResponse:
    """The stated prior, for shops whose data cannot tell: level `assumed`, with `why`."""
    b, se = settings.prior_response, settings.prior_se
    return DiscountResponse("assumed", why, b, se, prior_response=b, prior_se=se)


def fit_response(panel: pl.DataFrame, sensitivity: pl.DataFrame, settings: DiscountSettings) -> DiscountResponse:
    """Fit the response on shelf discounts by Poisson pseudo-likelihood with three sets of fixed effects, and check it.

    log E[list value of customer i, target t, week w] = a_it + g_tw + h_iw + now * depth + later * lag. The effects
    absorb how much he usually buys, what everybody buys that week (seasons, displays, shelf-wide demand) and whether he
    shops at all that week; what is left is that HIS usual products of the target were deeper discounted than other
    customers' (design `customers`). Where customers buy too much alike for that, g_tw becomes what everybody buys in
    that stretch of four weeks, and weeks are compared instead (design `weeks`): more to learn from, less protected.
    `sensitivity` (customer_id, price_sensitivity) must come from before the response period. By-target deviations are
    shrunk by empirical Bayes (DerSimonian and Laird 1986). Where the response is not above zero or a placebo fails, the
    stated prior is returned instead, with the failed checks. Raises SupportError where the panel is too small or depth
    does not vary.
    """
    sample, fit, main = _fit(panel, sensitivity, settings)
    checks = placebo_table(sample, settings.min_cells, settings.seed, (main.beta, main.beta_se))
    level, why = _level(main, checks, settings)
    response = main if level == "adjusted" else assumed_response(why, settings)
    return replace(
        response,
        level=level,
        why=why,
        design=main.design,
        cells=main.cells,
        customers=main.customers,
        curve=depth_curves(sample),
        placebo=checks,
        overlap=overlap_table(sample, fit),
    )


def in_first_half(customer_ids: pl.Series, settings: DiscountSettings) -> NDArray[np.bool_]:
    """Which half of the customers each id belongs to, by hash (True: the first)."""
    people = customer_ids.unique().sort()
    first = pl.Series(hash_units(f"half{settings.seed}", people) < 0.5)
    return customer_ids.replace_strict(people, first, return_dtype=pl.Boolean).to_numpy()


def fit_halves(
    panel: pl.DataFrame, sensitivity: pl.DataFrame, settings: DiscountSettings
) -> tuple[DiscountResponse, DiscountResponse]:
    """Two responses from disjoint halves of the customers (see `in_first_half`), for cross-fitting.

    Who is decided on by one response is judged by the other. Neither is checked again; their level is `adjusted`.
    """
    first = pl.Series(in_first_half(panel["customer_id"], settings))
    one, two = (_fit(panel.filter(part), sensitivity, settings)[2] for part in (first, ~first))
    return one, two


def _fit(
    panel: pl.DataFrame, sensitivity: pl.DataFrame, settings: DiscountSettings
) -> tuple[Sample, PoissonFit, DiscountResponse]:
    """Compare customers if enough of the depth's variance is theirs, else weeks."""
    data = _prepare(panel, sensitivity, settings)
    y = np.minimum(data["list_cents"].to_numpy(), _cap(data, settings)).astype(np.float64)
    z_mean, z_sd = _moments(data)
    z = np.clip((data["price_sensitivity"].fill_null(z_mean).to_numpy() - z_mean) / z_sd, -3, 3)
    sample = Sample(data, y, z, "customers")
    x = sample.columns("depth", "lag")
    if np.ptp(z) > 0:
        x = np.column_stack([x, x[:, 0] * z])
    try:
        fit = sample.fit(x)
        enough = variance_left(sample, fit) >= settings.min_variance
    except SupportError:
        enough = False
    if not enough:
        sample = replace(sample, design="weeks")
        fit = sample.fit(x)
    return sample, fit, _response(sample, fit, (z_mean, z_sd), settings)


def _response(
    sample: Sample, fit: PoissonFit, z_moments: tuple[float, float], settings: DiscountSettings
) -> DiscountResponse:
    beta, error = [*fit.beta_K.tolist(), 0.0], [*fit.se_K.tolist(), 0.0]
    targets, target_sd = _by_target(sample.data, sample.y_M, fit)
    return DiscountResponse(
        level="adjusted",
        why="half of the customers, for cross-fitting",
        beta=beta[0],
        beta_se=error[0],
        beta_z=beta[2],
        beta_z_se=error[2],
        later=min(beta[1], 0.0),
        later_se=error[1],
        z_mean=z_moments[0],
        z_sd=z_moments[1],
        target_sd=target_sd,
        design=sample.design,
        cells=fit.cells,
        customers=sample.data["customer_id"].n_unique(),
        prior_response=settings.prior_response,
        prior_se=settings.prior_se,
        targets=targets,
    )


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
            f"{data.height} customer-category-weeks with known discounts; {settings.min_cells} are needed"
        )
    known = sensitivity.select("customer_id", "price_sensitivity")
    return data.join(known, on="customer_id", how="left").sort("customer_id", "target", "week")


def _cap(data: pl.DataFrame, settings: DiscountSettings) -> float:
    positive = data.filter(pl.col("list_cents") > 0)["list_cents"]
    return float(positive.quantile(settings.winsor) or 0.0)


def _moments(data: pl.DataFrame) -> tuple[float, float]:
    known = data.unique("customer_id")["price_sensitivity"].drop_nulls().to_numpy()
    return (float(known.mean()), max(float(known.std()), 1e-9)) if len(known) >= 10 else (0.0, 1.0)


def _by_target(data: pl.DataFrame, y: Real, fit: PoissonFit) -> tuple[pl.DataFrame, float]:
    """One Newton step per target from the common fit, clustered by customer, then shrunk towards it."""
    net = fit.resid_MK[:, 0]
    cells = data.select("customer_id", "target").with_columns(
        pl.Series("score", net * (y - fit.mu_M)), pl.Series("info", fit.mu_M * net**2)
    )
    per_person = cells.group_by("target", "customer_id").agg(pl.col("score", "info").sum(), pl.len().alias("cells"))
    raw = per_person.group_by("target").agg(
        (pl.col("score").sum() / pl.col("info").sum()).alias("b"),
        ((pl.col("score") ** 2).sum().sqrt() / pl.col("info").sum()).alias("se"),
        pl.len().alias("people"),
        pl.col("cells").sum().cast(pl.Int64),
    )
    usable = raw.filter((pl.col("people") >= 20) & (pl.col("se") > 0) & pl.col("b").is_finite()).sort("target")
    b, se = usable["b"].to_numpy(), usable["se"].to_numpy()
    if len(b) < 3:
        return pl.DataFrame(schema=TARGETS), 0.0
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
    return frame, variance**0.5


def _level(main: DiscountResponse, placebo: pl.DataFrame, settings: DiscountSettings) -> tuple[Level, str]:
    """`adjusted` needs a response above zero and no placebo that shows a sizeable effect where none can be."""
    if main.beta - 1.96 * main.beta_se <= 0:
        return "assumed", f"demand did not rise with the discount: {main.beta:.2f} +- {1.96 * main.beta_se:.2f}"
    for row in placebo.iter_rows(named=True):
        error = (row["high"] - row["low"]) / (2 * 1.96)
        sizeable = abs(row["value"]) > max(2.58 * error, settings.placebo_share * main.beta)
        if row["name"] != "discount now" and sizeable:
            return "assumed", f"placebo failed: {row['name']} shows {row['value']:.2f} where zero is true"
    compared = {
        "customers": "customers whose usual products were cut with others in the same category and week",
        "weeks": "weeks with and without a discount in the same category and month",
    }
    return "adjusted", f"not randomised: compares {compared[main.design]}; the placebo checks hold"
