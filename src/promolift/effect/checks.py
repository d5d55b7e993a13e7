"""The response panel in; what a reader needs to trust the response or not: curve by depth, placebos, overlap.

M panel cells.
"""

from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

import numpy as np
import polars as pl
from numpy.typing import NDArray

from promolift.effect.ppml import PoissonFit, Real, codes, fit_ppml
from promolift.errors import SupportError
from promolift.hashing import hash_units

Design = Literal["customers", "weeks"]  # what is compared: customers within a week, or weeks within a month
DEPTH_EDGES = (0.02, 0.1, 0.2, 0.3, 0.4)
CURVE = {
    "group": pl.String,
    "depth": pl.Float64,
    "lift": pl.Float64,
    "low": pl.Float64,
    "high": pl.Float64,
    "cells": pl.Int64,
}
CHECKS = {"name": pl.String, "value": pl.Float64, "low": pl.Float64, "high": pl.Float64, "meaning": pl.String}


@dataclass(frozen=True)
class Sample:
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
            codes(self.data, "customer_id", "target"),
            codes(common, "target", "week"),
            codes(self.data, "customer_id", "week"),
        ]
        people, shocks = codes(self.data, "customer_id"), codes(self.data, "target", "week")
        return fit_ppml(self.y_M, x_MK, effects, [people] if self.design == "customers" else [people, shocks])

    def only(self, keep_M: NDArray[np.bool_]) -> "Sample":
        """The cells of a mask."""
        return Sample(self.data.filter(pl.Series(keep_M)), self.y_M[keep_M], self.z_M[keep_M], self.design)

    def columns(self, *names: str) -> Real:
        """Columns of the panel as regressors, M x K."""
        return self.data.select(names).to_numpy().astype(np.float64)


def variance_left(sample: Sample, fit: PoissonFit) -> float:
    """Share of the depth's variance, weighted by demand, that the fixed effects do not explain."""
    depth = sample.data["depth"].to_numpy()
    mean = (fit.mu_M * depth).sum() / fit.mu_M.sum()
    return float((fit.mu_M * fit.resid_MK[:, 0] ** 2).sum() / (fit.mu_M * (depth - mean) ** 2).sum())


def depth_curves(sample: Sample) -> pl.DataFrame:
    """Lift by depth step, without a shape imposed: everybody, and thirds of price sensitivity where it is known."""
    z = sample.z_M
    groups = {"everyone": np.ones(len(z), dtype=bool)}
    if np.ptp(z) > 0:
        low, high = np.quantile(z, [1 / 3, 2 / 3])
        groups |= {"least price-sensitive third": z <= low, "most price-sensitive third": z > high}
    curves = [_curve(sample.only(mask), name) for name, mask in groups.items()]
    return pl.concat([pl.DataFrame(schema=CURVE), *curves])


def _curve(sample: Sample, name: str) -> pl.DataFrame:
    depth = sample.data["depth"].to_numpy()
    steps = [(depth >= a) & (depth < b) for a, b in pairwise([*DEPTH_EDGES, 1.01])]
    steps = [step for step in steps if step.sum() >= 200]
    if not steps:
        return pl.DataFrame(schema=CURVE)
    try:
        fit = sample.fit(np.stack([step.astype(np.float64) for step in steps], axis=1))
    except SupportError:
        return pl.DataFrame(schema=CURVE)  # a group too small for a curve of its own: the population's is shown
    lift, error = fit.beta_K, 1.96 * fit.se_K
    return pl.DataFrame(
        {
            "group": [name] * len(steps),
            "depth": [float(depth[s].mean()) for s in steps],
            "lift": np.exp(lift) - 1,
            "low": np.exp(lift - error) - 1,
            "high": np.exp(lift + error) - 1,
            "cells": [int(s.sum()) for s in steps],
        }
    )


def placebo_table(sample: Sample, min_cells: int, seed: int, main: tuple[float, float]) -> pl.DataFrame:
    """Questions whose true answer is zero: next month's discounts and, where customers are compared, another one's."""
    rows = [("discount now", *main, "the response itself: log of demand per unit of depth")]
    later = sample.only(sample.data["lead"].is_not_null().to_numpy())
    if later.data.height >= min_cells:
        fit = later.fit(later.columns("depth", "lag", "lead"))
        why = "must be near zero: the future causes nothing"
        rows.append(("discount 3 to 6 weeks later", float(fit.beta_K[2]), float(fit.se_K[2]), why))
    if sample.design == "customers":
        fit = sample.fit(np.stack([_swap(sample.data, seed), sample.data["depth"].to_numpy()], axis=1))
        why = "must be near zero: it is not his products"
        name = "another customer's discount, same category and week"
        rows.append((name, float(fit.beta_K[0]), float(fit.se_K[0]), why))
    frame = pl.DataFrame(rows, schema=["name", "value", "se", "meaning"], orient="row")
    half = 1.96 * pl.col("se")
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


def overlap_table(sample: Sample, fit: PoissonFit) -> pl.DataFrame:
    """How much of the discount's variation is left to learn from, and how many pairs saw full price and a discount."""
    depth = pl.col("depth")
    seen = ((depth.min() < 0.05) & (depth.max() >= 0.15)).alias("both")
    both = sample.data.group_by("customer_id", "target").agg(seen)["both"].to_numpy()
    discounted = (sample.data["depth"] >= DEPTH_EDGES[0]).to_numpy()
    rows = [
        ("share of the discount's variance left after the fixed effects", variance_left(sample, fit)),
        ("customer-category pairs that saw both full price and 15 % or more", float(both.mean())),
        ("weeks with a discount of 2 % or more on the customer's usual products", float(discounted.mean())),
    ]
    frame = pl.DataFrame(rows, schema=["name", "value"], orient="row")
    return frame.select(
        "name", "value", low=pl.lit(None, pl.Float64), high=pl.lit(None, pl.Float64), meaning=pl.lit("a share")
    )
