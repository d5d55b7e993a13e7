"""Test whether arms were assigned as stated: their sizes, and whether features tell the arm."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import polars as pl
import scipy

from promolift.core.effects.trial_arrays import (
    Floats,
    Ints,
    fit_encoder,
    row_keys,
)
from promolift.core.effects.uplift.boosted_trees import LIGHTGBM_OPTIONS
from promolift.foundation.hashing import hash_int
from promolift.foundation.i18n.lazy_message import LazyMessage, gettext_lazy

OUTCOME_LEVELS = 10
SAMPLE_RATIO, BALANCE = gettext_lazy("sample ratio"), gettext_lazy("balance")
MAX_EXACT_COUNTS = 250_000  # at most so many possible counts are enumerated
DRAWS = 3999  # of the stated randomisation, where there are too few rows for the chi-squared distribution
MIN_ROWS_PER_DEGREE = 10  # rows per degree of freedom below which they are drawn
TREES, MIN_ROWS, MAX_ROWS = 60, 500, 200_000


@dataclass(frozen=True)
class DiagnosticCheck:
    """One test; `meaning` says in words what it found."""

    name: LazyMessage
    statistic: float
    p: float
    passed: bool
    meaning: LazyMessage


def sample_ratio_test(arm_N: Ints, prob_NA: Floats, alpha: float) -> DiagnosticCheck:
    """Do the arms have as many customers as planned? Chi-squared; exact multinomial where an expected count is below 5.

    Pearson's statistic; with propensities that differ by row its covariance is the sum of the rows'.
    """
    counts, expected = np.bincount(arm_N, minlength=prob_NA.shape[1]), prob_NA.sum(axis=0)
    gap_K, cov = (counts - expected)[1:], _covariance(np.ones((len(arm_N), 1)), prob_NA)
    statistic, df = _wald(gap_K, cov)
    p = float(scipy.stats.chi2.sf(statistic, df))
    rule = gettext_lazy("chi-squared {statistic}, {df} d.f.", statistic=f"{statistic:.2f}", df=df)
    equal = (prob_NA == prob_NA[0]).all()
    if equal and expected.min() < 5 and (len(arm_N) + 1) ** (len(counts) - 1) <= MAX_EXACT_COUNTS:
        p, rule = _exact(counts, prob_NA[0]), gettext_lazy("exact multinomial")
    found = {
        "counts": ", ".join(map(str, counts)), "planned": ", ".join(f"{e:.0f}" for e in expected), "p": f"{p:.2g}",
        "rule": rule,
    }  # fmt: skip
    passed = p >= alpha
    meaning = (
        gettext_lazy(
            "sample ratio as planned: {counts} customers where {planned} were planned (p = {p}, {rule})", **found
        )
        if passed
        else gettext_lazy(
            "sample ratio mismatch: {counts} customers where {planned} were planned (p = {p}, {rule})", **found
        )
    )
    return DiagnosticCheck(SAMPLE_RATIO, statistic, p, passed, meaning)


def covariate_balance_test(
    columns_NC: Floats, arm_N: Ints, prob_NA: Floats, alpha: float, seed: int
) -> DiagnosticCheck:
    """Are all features together balanced? The score test that the arm does not hang on them (Hansen & Bowers 2008)."""
    z_NC = columns_NC - columns_NC.mean(axis=0)
    spread = z_NC.std(axis=0)
    z_NC = z_NC[:, spread > 0] / spread[spread > 0]
    if not z_NC.shape[1]:
        meaning = gettext_lazy("no feature varies, so none can differ")
        return DiagnosticCheck(BALANCE, 0.0, 1.0, True, meaning)
    got_NK = arm_N[:, None] == np.arange(1, prob_NA.shape[1])
    statistic, df = _wald((z_NC.T @ (got_NK - prob_NA[:, 1:])).T.ravel(), cov := _covariance(z_NC, prob_NA))
    p = float(scipy.stats.chi2.sf(statistic, df))
    if len(arm_N) < MIN_ROWS_PER_DEGREE * df:
        p = _drawn(z_NC, prob_NA, cov, statistic, seed)
    passed = p >= alpha
    found = {"statistic": f"{statistic:.1f}", "df": df, "p": f"{p:.2g}"}
    meaning = (
        gettext_lazy("features balanced (chi-squared {statistic}, {df} d.f., p = {p})", **found)
        if passed
        else gettext_lazy(
            "features differ between arms more than randomisation would make them (chi-squared {statistic}, "
            "{df} d.f., p = {p})",
            **found,
        )
    )
    return DiagnosticCheck(BALANCE, statistic, p, passed, meaning)


def conditional_balance_test(
    feature: pl.Series, outcome_N: Floats, arm_N: Ints, prob_NA: Floats, alpha: float, seed: int
) -> DiagnosticCheck:
    """Is a feature balanced among customers with like outcomes? It is where it only follows the outcome, and is not
    where the arms were drawn by it. Outcomes are alike by value, or by tenth if there are more values.
    """
    frame = feature.to_frame()
    encoder = fit_encoder(frame)
    value_NC = compare_columns(encoder.encode(frame), encoder.names).value_NC
    level_N = np.unique(outcome_N, return_inverse=True)[1]
    if level_N.max() >= OUTCOME_LEVELS:
        level_N = (scipy.stats.rankdata(outcome_N, "min") * OUTCOME_LEVELS // (len(outcome_N) + 1)).astype(np.int64)
    size_L = np.bincount(level_N)
    for column_N in value_NC.T:
        column_N -= (np.bincount(level_N, column_N) / np.maximum(size_L, 1))[level_N]
    return covariate_balance_test(value_NC, arm_N, prob_NA, alpha, seed)


def arm_prediction_test(x_NF: Floats, arm_N: Ints, prob_NA: Floats, alpha: float, seed: int) -> list[DiagnosticCheck]:
    """Can boosted trees tell the arm from the features? They learn on one half and are tested on the other.

    Sum of scores times (1{arm} - propensity) over its standard deviation under the stated shares, mean of both halves;
    the largest of the treatments, Bonferroni. Needs `MIN_ROWS`; at most `MAX_ROWS` are used, chosen by their hash.
    """
    if len(arm_N) < MIN_ROWS or not x_NF.shape[1]:
        return []
    key_N = row_keys(x_NF, seed)
    rows = np.argsort(key_N, kind="stable")[:MAX_ROWS]
    x, arm, prob = x_NF[rows], arm_N[rows], prob_NA[rows]
    half = np.arange(len(rows)) % 2 == 0
    z_K = np.array([_found_by_trees(x, (arm == a) - prob[:, a], prob[:, a], half) for a in range(1, prob.shape[1])])
    p = min(1.0, float(len(z_K) * scipy.stats.norm.sf(z_K.max())))
    passed = p >= alpha
    found = {"z": f"{z_K.max():.1f}", "p": f"{p:.2g}"}
    meaning = (
        gettext_lazy("boosted trees cannot tell the arm (z = {z}, p = {p})", **found)
        if passed
        else gettext_lazy("boosted trees can tell the arm from the features (z = {z}, p = {p})", **found)
    )
    return [DiagnosticCheck(gettext_lazy("unpredictable"), float(z_K.max()), p, passed, meaning)]


def _found_by_trees(x_NF: Floats, left_N: Floats, prob_N: Floats, half_N: np.ndarray) -> float:
    import lightgbm

    knobs = LIGHTGBM_OPTIONS | {
        "objective": "regression", "num_leaves": 8, "learning_rate": 0.1,
        "min_data_in_leaf": max(20, len(x_NF) // 200), "max_bin": 63,
    }  # fmt: skip
    z = []
    for train in (half_N, ~half_N):
        model = lightgbm.train(knobs, lightgbm.Dataset(x_NF[train], left_N[train]), TREES)
        score = np.asarray(model.predict(x_NF[~train], num_threads=1))
        spread = prob_N[~train] * (1 - prob_N[~train])
        score = score - np.average(score, weights=spread)  # an uneven number of customers is not its question
        scale = np.sqrt(np.sum(score**2 * spread))
        z.append(float(score @ left_N[~train]) / scale if scale > 0 else 0.0)
    return float(np.mean(z))  # both halves see nearly the same products of rows, so they are as good as one


def _covariance(z_NC: Floats, prob_NA: Floats) -> Floats:
    """Covariance of sum_i (1{arm_i = k} - p_ik) z_i, treatments outermost: (K C) x (K C)."""
    treatments = prob_NA[:, 1:]
    blocks = [
        [z_NC.T @ (z_NC * (p * (1.0 if k == m else 0.0) - p * q)[:, None]) for m, q in enumerate(treatments.T)]
        for k, p in enumerate(treatments.T)
    ]
    return np.block(blocks)


class _Wald(NamedTuple):
    """gap' cov^-1 gap over the directions in which cov is not nil, and their number."""

    statistic: float
    df: int


def _wald(gap: Floats, cov: Floats) -> _Wald:
    values, vectors = np.linalg.eigh(cov)
    keep = values > 1e-9 * max(values.max(), 1e-300)
    return _Wald(float(np.sum((vectors[:, keep].T @ gap) ** 2 / values[keep])), int(keep.sum()))


def _drawn(z_NC: Floats, prob_NA: Floats, cov: Floats, statistic: float, seed: int) -> float:
    rng = np.random.default_rng(hash_int("lot", seed))
    edge_NA, above = np.cumsum(prob_NA, axis=1), 0
    for _ in range(DRAWS):
        arm_N = (rng.random(len(z_NC))[:, None] >= edge_NA[:, :-1]).sum(axis=1)
        got_NK = arm_N[:, None] == np.arange(1, prob_NA.shape[1])
        above += _wald((z_NC.T @ (got_NK - prob_NA[:, 1:])).T.ravel(), cov).statistic >= statistic - 1e-9
    return (1 + above) / (1 + DRAWS)


def _exact(counts: Ints, share_A: Floats) -> float:
    """Probability, under the stated shares, of counts no likelier than these."""
    n = int(counts.sum())
    grid = np.stack(np.meshgrid(*[np.arange(n + 1)] * (len(counts) - 1), indexing="ij"), axis=-1)
    first = grid.reshape(-1, len(counts) - 1)
    rest = n - first.sum(axis=1)
    every = np.column_stack([first, rest])[rest >= 0]
    prob = scipy.stats.multinomial.pmf(every, n, share_A)
    return float(min(1.0, prob[prob <= scipy.stats.multinomial.pmf(counts, n, share_A) * (1 + 1e-9)].sum()))


class ComparedColumns(NamedTuple):
    """What is compared between arms, with a name for each column."""

    value_NC: Floats
    names: list[str]


def compare_columns(x_NF: Floats, names: list[str]) -> ComparedColumns:
    """Features with missing values at the mean, and a 0/1 column for each feature that has some; constants left out."""
    gone_NF = np.isnan(x_NF)
    known_F = np.maximum((~gone_NF).sum(axis=0), 1)
    filled = np.where(gone_NF, np.where(gone_NF, 0.0, x_NF).sum(axis=0) / known_F, x_NF)
    some = np.asarray(gone_NF.any(axis=0))
    both = np.column_stack([filled, gone_NF[:, some].astype(np.float64)])
    every = [*names, *(f"{name} is missing" for name, s in zip(names, some, strict=True) if s)]
    vary = np.ptp(both, axis=0) > 0 if len(both) else np.zeros(both.shape[1], dtype=bool)
    return ComparedColumns(both[:, vary], [name for name, v in zip(every, vary, strict=True) if v])
