"""Arms and the chances they are said to have had in; tests of whether a lot with these chances drew them, out.

Legend: N customers, F features, C columns, A arms, K = A - 1 treatments. All tests hold for shares that are equal for
all customers and for chances that differ from row to row.
"""

from dataclasses import dataclass

import numpy as np
import scipy

from promolift.effect.trial import Floats, Ints, row_keys
from promolift.hashing import hash_int

EXACT = 250_000  # at most so many possible counts are enumerated
DRAWS = 3999  # of the stated lot, where there are too few rows for the chi-squared distribution
FEW = 10  # rows per degree of freedom below which they are drawn
TREES, LEAST_ROWS, MOST_ROWS = 60, 500, 200_000


@dataclass(frozen=True)
class Check:
    """One test; `meaning` says in words what it found."""

    name: str
    statistic: float
    p: float
    passed: bool
    meaning: str


def sample_ratio(arm_N: Ints, prob_NA: Floats, alpha: float) -> Check:
    """Do the arms have as many customers as planned? Chi-squared; exact multinomial where an expected count is below 5.

    Pearson's statistic; with chances that differ by row its covariance is the sum of the rows'.
    """
    counts, expected = np.bincount(arm_N, minlength=prob_NA.shape[1]), prob_NA.sum(axis=0)
    gap_K, cov = (counts - expected)[1:], _covariance(np.ones((len(arm_N), 1)), prob_NA)
    statistic, df = _wald(gap_K, cov)
    p, rule = float(scipy.stats.chi2.sf(statistic, df)), f"chi-squared {statistic:.2f}, {df} d.f."
    equal = (prob_NA == prob_NA[0]).all()
    if equal and expected.min() < 5 and (len(arm_N) + 1) ** (len(counts) - 1) <= EXACT:
        p, rule = _exact(counts, prob_NA[0]), "exact multinomial"
    told = f"{', '.join(map(str, counts))} customers where {', '.join(f'{e:.0f}' for e in expected)} were planned"
    passed = p >= alpha
    verdict = "sample ratio as planned" if passed else "sample ratio mismatch"
    return Check("sample ratio", statistic, p, passed, f"{verdict}: {told} (p = {p:.2g}, {rule})")


def unrelated(columns_NC: Floats, arm_N: Ints, prob_NA: Floats, alpha: float, seed: int) -> Check:
    """Are all features together balanced? The score test that the arm does not hang on them (Hansen & Bowers 2008)."""
    z_NC = columns_NC - columns_NC.mean(axis=0)
    spread = z_NC.std(axis=0)
    z_NC = z_NC[:, spread > 0] / spread[spread > 0]
    if not z_NC.shape[1]:
        return Check("balance", 0.0, 1.0, True, "no feature varies, so none can differ")
    got_NK = arm_N[:, None] == np.arange(1, prob_NA.shape[1])
    statistic, df = _wald((z_NC.T @ (got_NK - prob_NA[:, 1:])).T.ravel(), cov := _covariance(z_NC, prob_NA))
    p = float(scipy.stats.chi2.sf(statistic, df))
    if len(arm_N) < FEW * df:
        p = _drawn(z_NC, prob_NA, cov, statistic, seed)
    passed = p >= alpha
    verdict = "features balanced" if passed else "features differ between arms more than a lot would make them"
    told = f"{verdict} (chi-squared {statistic:.1f}, {df} d.f., p = {p:.2g})"
    return Check("balance", statistic, p, passed, told)


def predictable(x_NF: Floats, arm_N: Ints, prob_NA: Floats, alpha: float, seed: int) -> list[Check]:
    """Can boosted trees tell the arm from the features? They learn on one half and are tested on the other.

    Sum of scores times (1{arm} - chance) over its standard deviation under the stated lot, mean of both halves; the
    largest of the treatments, Bonferroni. Needs `LEAST_ROWS`; at most `MOST_ROWS` are used, chosen by their hash.
    """
    if len(arm_N) < LEAST_ROWS or not x_NF.shape[1]:
        return []
    key_N = row_keys(x_NF, seed)
    rows = np.argsort(key_N, kind="stable")[:MOST_ROWS]
    x, arm, prob = x_NF[rows], arm_N[rows], prob_NA[rows]
    half = np.arange(len(rows)) % 2 == 0
    z_K = np.array([_told(x, (arm == a) - prob[:, a], prob[:, a], half) for a in range(1, prob.shape[1])])
    p = min(1.0, float(len(z_K) * scipy.stats.norm.sf(z_K.max())))
    passed = p >= alpha
    verdict = "boosted trees cannot tell the arm" if passed else "boosted trees can tell the arm from the features"
    return [Check("unpredictable", float(z_K.max()), p, passed, f"{verdict} (z = {z_K.max():.1f}, p = {p:.2g})")]


def _told(x_NF: Floats, left_N: Floats, prob_N: Floats, half_N: np.ndarray) -> float:
    import lightgbm

    knobs = {
        "objective": "regression",
        "num_leaves": 8,
        "learning_rate": 0.1,
        "min_data_in_leaf": max(20, len(x_NF) // 200),
        "max_bin": 63,
        "num_threads": 1,
        "deterministic": True,
        "force_row_wise": True,
        "verbosity": -1,
    }
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


def _wald(gap: Floats, cov: Floats) -> tuple[float, int]:
    """gap' cov^-1 gap over the directions in which cov is not nil, and their number."""
    values, vectors = np.linalg.eigh(cov)
    keep = values > 1e-9 * max(values.max(), 1e-300)
    return float(np.sum((vectors[:, keep].T @ gap) ** 2 / values[keep])), int(keep.sum())


def _drawn(z_NC: Floats, prob_NA: Floats, cov: Floats, statistic: float, seed: int) -> float:
    rng = np.random.default_rng(hash_int("lot", seed))
    edge_NA, above = np.cumsum(prob_NA, axis=1), 0
    for _ in range(DRAWS):
        arm_N = (rng.random(len(z_NC))[:, None] >= edge_NA[:, :-1]).sum(axis=1)
        got_NK = arm_N[:, None] == np.arange(1, prob_NA.shape[1])
        above += _wald((z_NC.T @ (got_NK - prob_NA[:, 1:])).T.ravel(), cov)[0] >= statistic - 1e-9
    return (1 + above) / (1 + DRAWS)


def _exact(counts: Ints, share_A: Floats) -> float:
    """Chance, under the stated shares, of counts no likelier than these."""
    n = int(counts.sum())
    grid = np.stack(np.meshgrid(*[np.arange(n + 1)] * (len(counts) - 1), indexing="ij"), axis=-1)
    first = grid.reshape(-1, len(counts) - 1)
    rest = n - first.sum(axis=1)
    every = np.column_stack([first, rest])[rest >= 0]
    chance = scipy.stats.multinomial.pmf(every, n, share_A)
    return float(min(1.0, chance[chance <= scipy.stats.multinomial.pmf(counts, n, share_A) * (1 + 1e-9)].sum()))
