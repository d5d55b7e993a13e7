"""One trial and several outcomes in; what each arm adds to each of them, and whom its discounts were paid to, out.

Legend: N customers, A arms (arm 0 is control), K = A - 1 treatments, M outcomes, S surrogates, H past customers.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import polars as pl
import scipy
from numpy.typing import ArrayLike

from promolift.effect.diagnose import holm
from promolift.effect.linear import Basis, basis_of
from promolift.effect.trial import Z95, Floats, Ints, Level, Trial, chunks, numbers
from promolift.errors import InputError, SupportError

LEAST = 50  # customers of an arm


@dataclass(frozen=True)
class _Scores:
    """score_NAM, whose mean is the mean of outcome m had all been in arm a."""

    score_NAM: Floats

    def effect(self, a: int, m: int) -> tuple[float, float, float]:
        """Effect of an arm over control, its standard error, and the control mean."""
        part_N = self.score_NAM[:, a, m] - self.score_NAM[:, 0, m]
        return float(part_N.mean()), _error(part_N), float(self.score_NAM[:, 0, m].mean())


def average_effects(trial: Trial, outcomes: Mapping[str, ArrayLike], level: Level) -> pl.DataFrame:
    """One row per outcome and arm: outcome, arm, control_mean, effect, se, low, high, p, p_holm, n, level.

    Doubly robust means with a ridge regression on the features fitted out of fold, so features only take noise away.
    Intervals are 95 % each; `p_holm` is adjusted for all rows being looked at together (Holm 1979). `level` is the one
    earned in `diagnose`. Costs are outcomes like any other. Raises SupportError if an arm has fewer than 50 customers.
    """
    names, y_NM = _outcomes(trial, outcomes)
    found, n = _scores(trial, y_NM), len(trial.arm_N)
    rows = [(name, a, *_row(*found.effect(a, m))) for m, name in enumerate(names) for a in range(1, trial.arms)]
    columns = ["outcome", "arm", "control_mean", "effect", "se", "low", "high", "p"]
    frame = pl.DataFrame(rows, schema=columns, orient="row")
    adjusted = pl.Series("p_holm", holm(frame["p"].to_numpy()))
    return frame.with_columns(adjusted, n=pl.lit(n), level=pl.lit(level))


def split_redemptions(
    trial: Trial, bought_N: ArrayLike, redeemed_N: ArrayLike, discount_N: ArrayLike, level: Level
) -> pl.DataFrame:
    """How many of an arm's redemptions it caused, and how many it paid to customers who would have bought anyway.

    With Y purchases (0/1), D redemptions (0/1, D <= Y) and C the discount paid, per customer given the arm:
    incremental I = E[Y(a)] - E[Y(0)], redeemed R = E[D(a)], cost E[C(a)]. If no customer is kept from buying by an
    offer, those who redeem and would have bought anyway number between max(0, R - I) and min(R, E[Y(0)]) (Frechet):
    at least all redemptions that are not incremental purchases, at most all who buy without the offer. The lower end
    is the truth where only redeemers are moved. As shares of R, cut to [0, 1]: `subsidised_least`, `subsidised_most`,
    with delta-method s.e.; `low` and `high` are the 95 % limits of the pair. Costs split in the same shares, the
    discount being taken as equal for both. Columns: arm, incremental, incremental_se, redeemed, subsidised_least,
    least_se, subsidised_most, most_se, low, high, cost, subsidised_cost_least, subsidised_cost_most, n, level.
    """
    named = {"bought": bought_N, "redeemed": redeemed_N, "discount": discount_N}
    _, y_NM = _outcomes(trial, named)
    if not np.isin(y_NM[:, :2], (0.0, 1.0)).all() or (y_NM[:, 1] > y_NM[:, 0]).any() or (y_NM[:, 2] < 0).any():
        raise InputError("split: bought and redeemed must be 0 or 1, nobody redeems without buying, discounts are >= 0")
    found = _scores(trial, y_NM)
    rows = [_split_row(found, a) for a in range(1, trial.arms)]
    return pl.DataFrame(rows).with_columns(n=pl.lit(len(trial.arm_N)), level=pl.lit(level))


def surrogate_effects(
    trial: Trial, surrogates: Mapping[str, ArrayLike], past_HS: ArrayLike, past_long_H: ArrayLike
) -> pl.DataFrame:
    """Effect on a long-term outcome not yet seen, through early ones that are: arm, effect, se, low, high, n, level.

    A surrogate index (Athey, Chetty, Imbens & Kang 2019), linear: past customers' long-term outcome is regressed on
    their early ones (`past_HS`, columns as in `surrogates`), and the effect on that index is taken from the trial:
    tau' b, variance b' V(tau) b + tau' V(b) tau. It is the effect on the long-term outcome only if the offer works
    through the early outcomes alone and past customers answer as these do. Neither can be tested here, so the level
    is `assumed`.
    """
    names, y_NM = _outcomes(trial, surrogates)
    past, long = np.asarray(past_HS, dtype=np.float64), numbers(past_long_H, "past_long_H")
    if past.shape != (len(long), len(names)) or not np.isfinite(past).all():
        raise InputError(f"surrogates: past values {past.shape} must be finite, {len(long)} x {len(names)}")
    coef_S, cov_SS = _regress(past, long)
    found, index = _scores(trial, y_NM), _scores(trial, (y_NM @ coef_S)[:, None])
    rows = []
    for a in range(1, trial.arms):
        tau_S = np.array([found.effect(a, m)[0] for m in range(len(names))])
        effect, first, _ = index.effect(a, 0)
        se = float(np.sqrt(first**2 + tau_S @ cov_SS @ tau_S))
        rows.append((a, effect, se, effect - Z95 * se, effect + Z95 * se))
    frame = pl.DataFrame(rows, schema=["arm", "effect", "se", "low", "high"], orient="row")
    return frame.with_columns(n=pl.lit(len(trial.arm_N)), level=pl.lit("assumed"))


def _outcomes(trial: Trial, outcomes: Mapping[str, ArrayLike]) -> tuple[list[str], Floats]:
    found = {name: numbers(values, name) for name, values in outcomes.items()}
    short = {name: len(values) for name, values in found.items() if len(values) != len(trial.arm_N)}
    if short or not found:
        raise InputError(f"outcomes: {short or 'none given'}; give one value for each of {len(trial.arm_N)} customers")
    counts = np.bincount(trial.arm_N, minlength=trial.arms)
    if counts.min() < LEAST:
        raise SupportError(f"outcomes: arm {counts.argmin()} has {counts.min()} customers; at least {LEAST} are needed")
    return list(found), np.column_stack(list(found.values()))


def _scores(trial: Trial, y_NM: Floats) -> _Scores:
    """Augmented inverse propensity scores (Robins, Rotnitzky & Zhao 1994); each half is predicted by the other."""
    basis = basis_of(trial.x_NF)
    half_N = ((trial.key_N >> np.uint64(40)) % np.uint64(2)).astype(np.int64)
    coef_HAPM = _halves(basis, trial, half_N, y_NM)
    score_NAM = np.empty((len(y_NM), trial.arms, y_NM.shape[1]))
    for part in chunks(len(y_NM)):
        z_NP, half, score = basis.columns(trial.x_NF[part]), half_N[part], score_NAM[part]
        for h, a in np.ndindex(2, trial.arms):
            score[half == h, a] = z_NP[half == h] @ coef_HAPM[1 - h, a]
    for a in range(trial.arms):
        mine = trial.arm_N == a
        left_NM = y_NM[mine] - score_NAM[mine, a]
        score_NAM[mine, a] += left_NM / trial.prob_NA[mine, a][:, None]
    return _Scores(score_NAM)


def _halves(basis: Basis, trial: Trial, half_N: Ints, y_NM: Floats) -> Floats:
    """Ridge coefficients of each half and arm, coef_HAPM; the columns of a long trial are never held at once."""
    wide = len(basis.source_P) + 1
    gram = np.zeros((2, trial.arms, wide, wide))
    pull = np.zeros((2, trial.arms, wide, y_NM.shape[1]))
    for part in chunks(len(y_NM)):
        z_NP = basis.columns(trial.x_NF[part])
        for h, a in np.ndindex(2, trial.arms):
            mine = (half_N[part] == h) & (trial.arm_N[part] == a)
            gram[h, a] += z_NP[mine].T @ z_NP[mine]
            pull[h, a] += z_NP[mine].T @ y_NM[part][mine]
    return np.array([[_ridge(gram[h, a], pull[h, a]) for a in range(trial.arms)] for h in (0, 1)])


def _ridge(gram_PP: Floats, pull_PM: Floats) -> Floats:
    """Ridge with a penalty of one row per column on standardised columns; the intercept is never shrunk."""
    penalty = np.full(len(gram_PP), float(len(gram_PP)))
    penalty[0] = 1e-9
    return np.asarray(np.linalg.solve(gram_PP + np.diag(penalty), pull_PM))


def _error(part_N: Floats) -> float:
    return float(part_N.std(ddof=1) / np.sqrt(len(part_N)))


def _row(effect: float, se: float, control: float) -> tuple[float, ...]:
    p = float(2 * scipy.stats.norm.sf(abs(effect) / se)) if se > 0 else float(effect == 0)
    return control, effect, se, effect - Z95 * se, effect + Z95 * se, p


def _split_row(found: _Scores, a: int) -> dict[str, float]:
    score = found.score_NAM
    lift_N, base_N, redeem_N = score[:, a, 0] - score[:, 0, 0], score[:, 0, 0], score[:, a, 1]
    lift, base, redeemed = float(lift_N.mean()), float(base_N.mean()), float(redeem_N.mean())
    if redeemed <= 0:
        raise SupportError(f"split: nobody redeemed in arm {a}, so there is nothing to split")
    least, most = 1 - lift / redeemed, base / redeemed
    least_se = _error((lift_N - lift / redeemed * redeem_N) / redeemed)
    most_se = _error((base_N - most * redeem_N) / redeemed)
    cost = float(score[:, a, 2].mean())
    low, high = np.clip([least - Z95 * least_se, most + Z95 * most_se], 0, 1)
    least, most = float(np.clip(least, 0, 1)), float(np.clip(most, 0, 1))
    return {
        "arm": a,
        "incremental": lift,
        "incremental_se": _error(lift_N),
        "redeemed": redeemed,
        "subsidised_least": least,
        "least_se": least_se,
        "subsidised_most": max(least, most),
        "most_se": most_se,
        "low": float(low),
        "high": float(max(high, low)),
        "cost": cost,
        "subsidised_cost_least": cost * least,
        "subsidised_cost_most": cost * max(least, most),
    }


def _regress(x_HS: Floats, y_H: Floats) -> tuple[Floats, Floats]:
    """Least squares with an intercept: slopes and their heteroskedasticity-robust (HC1) covariance."""
    z = np.column_stack([np.ones(len(y_H)), x_HS])
    h, p = z.shape
    if h < 10 * p or np.linalg.matrix_rank(z) < p:
        raise SupportError(f"surrogates: {h} past customers cannot tell {p - 1} surrogates apart; 10 each are needed")
    inverse = np.linalg.inv(z.T @ z)
    coef = inverse @ (z.T @ y_H)
    half = z * (y_H - z @ coef)[:, None] @ inverse
    return coef[1:], (half.T @ half * h / (h - p))[1:, 1:]
