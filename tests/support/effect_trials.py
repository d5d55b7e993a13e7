"""Randomised trials whose truth is known."""

import numpy as np
import polars as pl

from promolift.core.effects.trial_arrays import Floats, Ints, TrialArrays, fit_encoder, row_keys
from promolift.core.effects.uplift.nuisance import Nuisance, assign_folds, fit_nuisance, sorted_rows, subset_trial


def draw(n: int, seed: int, kind: str = "none", arms: int = 2) -> tuple[pl.DataFrame, Ints, Floats, Floats]:
    """Features (numbers, a category, missing values), arms, a 0/1 outcome, and the true gains."""
    rng = np.random.default_rng(seed)
    spend, member, region = rng.normal(size=n), rng.uniform(size=n) < 0.5, rng.choice(["north", "south"], n)
    odds = -1.2 + 0.9 * spend
    lift = {
        "none": np.zeros(n),
        "same": np.full(n, 0.8),
        "segment": 1.6 * member,
        "turning": 1.5 * np.sign(spend) * (1 + member),
    }[kind]
    arm = rng.integers(0, arms, n)
    prob_NA = 1 / (1 + np.exp(-(odds[:, None] + np.outer(lift, np.r_[0.0, np.linspace(1, 0.5, arms - 1)]))))
    y = (rng.uniform(size=n) < prob_NA[np.arange(n), arm]).astype(float)
    some = pl.Series(np.where(rng.uniform(size=n) < 0.1, np.nan, rng.normal(size=n))).fill_nan(None)
    frame = pl.DataFrame({"spend": spend, "member": member, "region": region, "age": some})
    return frame, arm, y, prob_NA[:, 1:] - prob_NA[:, :1]


def trial(x: pl.DataFrame, arm: Ints, y: Floats, prob_NA: Floats | None = None) -> TrialArrays:
    """The same as a Trial."""
    encoder = fit_encoder(x)
    x_NF = encoder.encode(x)
    shares = np.bincount(arm) / len(arm)
    prob = np.tile(shares, (len(arm), 1)) if prob_NA is None else prob_NA
    return TrialArrays(x_NF, arm, y, prob, row_keys(np.column_stack([x_NF, arm, y]), 0), tuple(encoder.names))


def by_arm(made: TrialArrays) -> TrialArrays:
    """Its rows as a linear fit without folds wants them."""
    return subset_trial(made, np.argsort(made.arm_N, kind="stable"))


def crossed(made: TrialArrays, folds: int = 5) -> Nuisance:
    """Response models without each fold."""
    ready = subset_trial(made, sorted_rows(made, folds))
    return fit_nuisance(ready, assign_folds(ready, folds))
