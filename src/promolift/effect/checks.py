"""The response panel in; what a reader needs to trust the response or not: curve by depth, placebos, overlap.

M panel cells.
"""

from itertools import pairwise

import numpy as np
import polars as pl

from promolift.effect.ppml import Codes, PoissonFit, Real, codes, fit_ppml
from promolift.errors import SupportError
from promolift.hashing import hash_units

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


def fixed_effects(data: pl.DataFrame) -> list[Codes]:
    """Customer by target, target by week, customer by week."""
    return [codes(data, "customer_id", "target"), codes(data, "target", "week"), codes(data, "customer_id", "week")]


def depth_curves(data: pl.DataFrame, y: Real, z: Real) -> pl.DataFrame:
    """Lift by depth step, without a shape imposed: everybody, and thirds of price sensitivity where it is known."""
    groups = {"everyone": np.ones(len(y), dtype=bool)}
    if np.ptp(z) > 0:
        low, high = np.quantile(z, [1 / 3, 2 / 3])
        groups |= {"least price-sensitive third": z <= low, "most price-sensitive third": z > high}
    rows = [_curve(data.filter(pl.Series(mask)), y[mask], name) for name, mask in groups.items()]
    return pl.concat([row for row in rows if row is not None])


def _curve(data: pl.DataFrame, y: Real, name: str) -> pl.DataFrame | None:
    depth = data["depth"].to_numpy()
    bounds = [*DEPTH_EDGES, 1.01]
    steps = [(depth >= a) & (depth < b) for a, b in pairwise(bounds)]
    steps = [step for step in steps if step.sum() >= 200]
    if not steps:
        return None
    try:
        fit = fit_ppml(
            y, np.stack([s.astype(np.float64) for s in steps], axis=1), fixed_effects(data), codes(data, "customer_id")
        )
    except SupportError:
        return None  # a group too small for a curve of its own: the population's is shown
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


def placebo_table(data: pl.DataFrame, y: Real, min_cells: int, seed: int, main: tuple[float, float]) -> pl.DataFrame:
    """Two questions whose true answer is zero: next month's discounts, and another customer's discounts."""
    keep = data["lead"].is_not_null().to_numpy()
    rows = [("discount now", *main, "the response itself: log of demand per unit of depth")]
    if keep.sum() >= min_cells:
        part = data.filter(pl.Series(keep))
        x = part.select("depth", "lag", "lead").to_numpy().astype(np.float64)
        fit = fit_ppml(y[keep], x, fixed_effects(part), codes(part, "customer_id"))
        rows.append(
            (
                "discount 3 to 6 weeks later",
                float(fit.beta_K[2]),
                float(fit.se_K[2]),
                "must be near zero: the future causes nothing",
            )
        )
    shuffled = _swap(data, seed)
    x = np.stack([shuffled, data["depth"].to_numpy()], axis=1)
    fit = fit_ppml(y, x, fixed_effects(data), codes(data, "customer_id"))
    rows.append(
        (
            "another customer's discount, same category and week",
            float(fit.beta_K[0]),
            float(fit.se_K[0]),
            "must be near zero: it is not his products",
        )
    )
    frame = pl.DataFrame(rows, schema=["name", "value", "se", "meaning"], orient="row")
    return frame.select(
        "name",
        "value",
        (pl.col("value") - 1.96 * pl.col("se")).alias("low"),
        (pl.col("value") + 1.96 * pl.col("se")).alias("high"),
        "meaning",
    )


def _swap(data: pl.DataFrame, seed: int) -> Real:
    """Each customer's depth replaced by that of the next customer in hash order within the same target and week."""
    people = data["customer_id"].unique().sort()
    order = pl.DataFrame({"customer_id": people, "u": hash_units(f"swap{seed}", people)})
    ranked = data.with_row_index("row").join(order, on="customer_id").sort("target", "week", "u", "customer_id")
    swapped = ranked.with_columns(
        pl.col("depth").shift(1).over("target", "week").fill_null(pl.col("depth").last().over("target", "week"))
    )
    return swapped.sort("row")["depth"].to_numpy()


def overlap_table(data: pl.DataFrame, fit: PoissonFit) -> pl.DataFrame:
    """How much of the discount's variation is left to learn from, and how many pairs saw full price and a discount."""
    depth = data["depth"].to_numpy()
    mean = (fit.mu_M * depth).sum() / fit.mu_M.sum()
    left = (fit.mu_M * fit.resid_MK[:, 0] ** 2).sum() / (fit.mu_M * (depth - mean) ** 2).sum()
    both = data.group_by("customer_id", "target").agg(
        ((pl.col("depth").min() < 0.05) & (pl.col("depth").max() >= 0.15)).alias("both")
    )
    rows = [
        ("share of the discount's variance left after the fixed effects", float(left)),
        ("customer-category pairs that saw both full price and 15 % or more", float(both["both"].mean() or 0.0)),  # type: ignore[arg-type]
        (
            "weeks with a discount of 2 % or more on the customer's usual products",
            float((depth >= DEPTH_EDGES[0]).mean()),
        ),
    ]
    return pl.DataFrame(rows, schema=["name", "value"], orient="row").select(
        "name",
        "value",
        pl.lit(None, pl.Float64).alias("low"),
        pl.lit(None, pl.Float64).alias("high"),
        pl.lit("a share").alias("meaning"),
    )
