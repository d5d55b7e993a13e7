"""Features, randomised discount depths and outcomes in; what each depth adds for each customer, with bands, out.

Legend: N customers, F encoded features, D depths, K tried depths above 0, J terms of a customer, B columns of a depth,
P = J x B parameters, C forms or candidates of a blend, T folds, S segments, Z standardised columns. Depth t is
relative to the deepest one tried.
"""

from dataclasses import dataclass, replace
from typing import Any, Literal, NamedTuple, Self

import numpy as np
import polars as pl
import scipy
from numpy.typing import ArrayLike, NDArray
from pydantic import Field

from promolift.effect.nuisance import booster
from promolift.effect.parts import Arrays, ModelParts, from_parts, to_parts
from promolift.effect.trial import (
    FeatureColumn,
    FeatureEncoder,
    Features,
    Floats,
    Ints,
    Level,
    encoder_of,
    numbers,
    row_keys,
)
from promolift.errors import InputError, SupportError
from promolift.settings import Settings
from promolift.tables import Z95

FLAT = 1e-8  # prior precision of the common slope, relative to the data's: in effect none
BEND = 0.5  # a curve may depart from a line by this share of itself (s.d. over the range), whatever the data say
EVIDENCE_ROUNDS, TOLERANCE = 40, 0.02


class TermName(NamedTuple):
    """A term of the customer, and how it enters the gain."""

    term: str
    how: str


@dataclass(frozen=True)
class Terms:
    """A customer's terms: 1, the base, the features, the features times the base. `group_J` says which is which."""

    features: tuple[str, ...]
    mean: float
    middle: float
    spread: float
    ratio: bool

    def columns(self, z_NZ: Floats, base_N: Floats) -> Floats:
        """u_NJ. The base is a ratio to its mean less 1 where outcomes are counts, else a standard score."""
        safe_N = np.log(np.maximum(base_N, 0.02 * self.mean)) if self.ratio else base_N
        score_N = np.clip((safe_N - self.middle) / self.spread, -3, 3)
        if not self.ratio:
            return np.column_stack([np.ones(len(base_N)), score_N, z_NZ])
        ratio_N, own_NZ = base_N / self.mean, np.column_stack([z_NZ, score_N])
        return np.column_stack([np.ones(len(base_N)), ratio_N - 1, own_NZ, own_NZ * ratio_N[:, None]])

    @property
    def names(self) -> list[TermName]:
        """One for each column."""
        own, ways = [*self.features, "base (log)"], ("added", "in proportion")
        head = [TermName("everybody", "the common curve"), TermName("base", ways[self.ratio])]
        if not self.ratio:
            return [*head, *(TermName(name, "added") for name in self.features)]
        return [*head, *(TermName(name, how) for how in ways for name in own)]

    @property
    def group_J(self) -> Ints:
        """0 common, 1 base, 2 features added, 3 features in proportion."""
        count = len(self.features)
        return np.repeat([0, 1, 2, 3], [1, 1, count + 1, count + 1] if self.ratio else [1, 1, count, 0])


class NormalEquations(NamedTuple):
    """Of each fold: gram coef = side."""

    gram_TPP: Floats
    side_TP: Floats


@dataclass(frozen=True)
class DoseRows:
    """Terms, arm, fold, residual of the base and its variance of each customer; centred columns of each depth."""

    u_NJ: Floats
    arm_N: Ints
    fold_N: Ints
    left_N: Floats
    noise_N: Floats
    b_DB: Floats

    def equations(self) -> NormalEquations:
        """Weighted by each row's noise; made arm by arm, as all rows of one share a b."""
        folds, P = int(self.fold_N.max()) + 1, self.u_NJ.shape[1] * self.b_DB.shape[1]
        gram_TPP, side_TP = np.zeros((folds, P, P)), np.zeros((folds, P))
        for t in range(folds):
            for d, b_B in enumerate(self.b_DB):
                at = np.flatnonzero((self.fold_N == t) & (self.arm_N == d))
                u, scaled = self.u_NJ[at], self.u_NJ[at] / self.noise_N[at, None]
                gram_TPP[t] += np.kron(scaled.T @ u, np.outer(b_B, b_B))
                side_TP[t] += np.kron(scaled.T @ self.left_N[at], b_B)
        return NormalEquations(gram_TPP, side_TP)

    def score(self, coef_P: Floats, t: int) -> float:
        """Log score of fold t, up to a constant."""
        at = np.flatnonzero(self.fold_N == t)
        said_N = ((self.u_NJ[at] @ coef_P.reshape(self.u_NJ.shape[1], -1)) * self.b_DB[self.arm_N[at]]).sum(axis=1)
        return float(-0.5 * (((self.left_N[at] - said_N) ** 2 - self.left_N[at] ** 2) / self.noise_N[at]).sum())


class DepthBasis(NamedTuple):
    """`b_DB`: the line, and the bends' loadings given the tried depths. `left_D`: variance those depths leave open."""

    b_DB: Floats
    left_D: Floats


def basis(depth_D: Floats, tried_D: Floats) -> DepthBasis:
    """Columns of depths, as shares of the deepest tried one.

    A bend is a Wiener process that starts at depth 0: straight between tried depths on average, level beyond them.
    """
    t_D, t_K = depth_D / tried_D[-1], tried_D[1:] / tried_D[-1]
    root_KK = np.linalg.cholesky(np.minimum(t_K[:, None], t_K))
    load_DK = np.linalg.solve(root_KK, np.minimum(t_D[:, None], t_K).T).T
    left_D = np.maximum(t_D - (load_DK**2).sum(axis=1), 0.0)
    return DepthBasis(np.column_stack([t_D, load_DK]), np.where(left_D < 1e-9, 0.0, left_D))


class Posterior(NamedTuple):
    """Mean and covariance of the coefficients, and the prior variance of each term's bends."""

    coef_P: Floats
    cov_PP: Floats
    bend_J: Floats


def posterior(gram_PP: Floats, side_P: Floats, group_J: Ints, keep_J: NDArray[np.bool_], columns: int) -> Posterior:
    """The posterior with precisions learned per group of line or bend."""
    keep_P = np.repeat(keep_J, columns)
    gram, side = gram_PP[np.ix_(keep_P, keep_P)], side_P[keep_P]
    line_P = np.tile(np.arange(columns) == 0, int(keep_J.sum()))
    group_P = 2 * np.repeat(group_J[keep_J], columns) + ~line_P
    count_G = np.maximum(np.bincount(group_P), 1)
    scale_G = np.bincount(group_P, np.diag(gram)) / count_G + 1e-12
    alpha_G = 0.01 * scale_G
    alpha_G[0] = FLAT * scale_G[0]  # the common slope is not shrunk
    for _ in range(EVIDENCE_ROUNDS):
        cov = np.linalg.inv(gram + np.diag(alpha_G[group_P]))
        mean = cov @ side
        gamma_G = np.bincount(group_P) - alpha_G * np.bincount(group_P, np.diag(cov))
        new_G = np.clip((gamma_G + 1e-3) / (np.bincount(group_P, mean**2) + 1e-300), 1e-9 * scale_G, 1e6 * scale_G)
        new_G[0] = alpha_G[0]
        for g in range(0, min(len(new_G), 4), 2):  # common and base curves may always bend some
            slope = np.flatnonzero(group_P == g)[0]
            new_G[g + 1] = min(new_G[g + 1], 1 / (BEND**2 * (mean[slope] ** 2 + cov[slope, slope])))
        done = np.allclose(np.log(new_G), np.log(alpha_G), atol=TOLERANCE)
        alpha_G = new_G
        if done:
            break
    P, bend_J = len(side_P), np.zeros(len(keep_J))
    coef_P, cov_PP = np.zeros(P), np.zeros((P, P))
    coef_P[keep_P], cov_PP[np.ix_(keep_P, keep_P)] = mean, cov
    bend_J[keep_J] = 1 / alpha_G[2 * group_J[keep_J] + 1]
    return Posterior(coef_P, cov_PP, bend_J)


def shaped(known_NK: Floats, tried_D: Floats, depth_D: Floats, shape: str) -> Floats:
    """Least-squares projection at the tried depths, straight between them, the last slope beyond."""
    gap_K = np.diff(tried_D)
    value_ND = np.column_stack([np.zeros(len(known_NK)), known_NK])
    if shape == "rising":
        slope_NK = (
            np.diff(np.column_stack([np.zeros(len(known_NK)), np.maximum(_rising(known_NK, np.ones(len(gap_K))), 0)]))
            / gap_K
        )
    else:
        slope_NK = np.maximum(-_rising(-np.diff(value_ND) / gap_K, gap_K), 0)
    reach_DK = np.clip(depth_D[:, None] - tried_D[:-1], 0, np.r_[gap_K[:-1], np.inf])
    return np.asarray(slope_NK @ reach_DK.T)


def _rising(value_NK: Floats, weight_K: Floats) -> Floats:
    """Isotonic regression of each row by the max-min formula (Barlow et al. 1972); K is small."""
    K = value_NK.shape[1]
    total_NK = np.cumsum(np.column_stack([np.zeros(len(value_NK)), value_NK * weight_K]), axis=1)
    weight = np.r_[0.0, np.cumsum(weight_K)]
    mean = {
        (i, j): (total_NK[:, j + 1] - total_NK[:, i]) / (weight[j + 1] - weight[i])
        for i in range(K)
        for j in range(i, K)
    }
    low = {(i, k): np.min([mean[i, j] for j in range(k, K)], axis=0) for k in range(K) for i in range(k + 1)}
    return np.stack([np.max([low[i, k] for i in range(k + 1)], axis=0) for k in range(K)], axis=1)


RARE = 0.005  # a column gets a flag "missing" if more than this share of it is missing, and some is known
REACH = 3.0  # standardised columns are cut here: nobody is extrapolated far
NEWTON, RIDGE = 15, 10.0
TREES = {"num_leaves": 8, "learning_rate": 0.06, "min_data_in_leaf": 100, "lambda_l2": 5.0, "max_bin": 63}
ROUNDS = 120


@dataclass(frozen=True)
class Standardiser:
    """Features to columns a straight line can use: signed logarithm, standardised, cut; missing is average + flag."""

    mean_F: Floats
    sd_F: Floats
    flags: tuple[int, ...]

    @classmethod
    def of(cls, x_NF: Floats) -> Self:
        """Learn means and spreads from training rows."""
        known_NF = ~np.isnan(x_NF)
        count_F = np.maximum(known_NF.sum(axis=0), 1)
        t_NF = np.where(known_NF, _log(x_NF), 0.0)
        mean_F = t_NF.sum(axis=0) / count_F
        sd_F = np.sqrt((np.where(known_NF, t_NF - mean_F, 0.0) ** 2).sum(axis=0) / count_F)
        share_F = 1 - known_NF.mean(axis=0)
        flags = np.flatnonzero((share_F > RARE) & (share_F < 1 - RARE))
        return cls(mean_F, np.where(sd_F > 1e-9, sd_F, 0.0), tuple(flags.tolist()))

    def columns(self, x_NF: Floats) -> Floats:
        """z_NZ; a column that never varied is 0 for everybody."""
        safe_F = np.where(self.sd_F > 0, self.sd_F, np.inf)
        z_NF = np.nan_to_num(np.clip((_log(x_NF) - self.mean_F) / safe_F, -REACH, REACH))
        return np.column_stack([z_NF, np.isnan(x_NF[:, list(self.flags)]).astype(np.float64)])

    def names(self, features: tuple[str, ...]) -> tuple[str, ...]:
        """One name per column."""
        return (*features, *(f"{features[f]} is missing" for f in self.flags))


@dataclass(frozen=True)
class Base:
    """E[outcome | features] over all arms: per fold a generalised linear model and boosted trees, blended."""

    scale: Standardiser
    counts: bool  # outcomes are never negative: log links, and gains may be proportional to the base
    top: float
    coef_TZ: Floats  # one row per fold
    trees: tuple[str, ...]
    blend_C: Floats

    def predict(self, x_NF: Floats) -> Floats:
        """base_N for rows that were not trained on: the mean of the folds' models."""
        folds = [self.fold(x_NF, t) for t in range(len(self.trees))]
        return np.asarray(np.mean(folds, axis=0))

    def fold(self, x_NF: Floats, t: int) -> Floats:
        """base_N by the model that did not see fold t."""
        return np.asarray(self.each(x_NF, t) @ self.blend_C)

    def each(self, x_NF: Floats, t: int) -> Floats:
        """Both candidates of the blend, N x C."""
        eta_N = _ones(self.scale.columns(x_NF)) @ self.coef_TZ[t]
        line_N = np.exp(np.clip(eta_N, -20, np.log(self.top))) if self.counts else eta_N
        return np.column_stack([line_N, booster(self.trees[t]).predict(x_NF, num_threads=1)])


class FittedBase(NamedTuple):
    """The base model, and base_N of the training rows each by the models that did not see it."""

    model: Base
    base_N: Floats


def fit_base(x_NF: Floats, y_N: Floats, fold_N: Ints, seed: int) -> FittedBase:
    """A generalised linear model and boosted trees for each fold, and their blend.

    The blend has non-negative weights that minimise the out-of-fold error, relative to the mean for counts.
    """
    scale, counts = Standardiser.of(x_NF), bool(y_N.min() >= 0 and y_N.max() > 0)
    z_NZ, top = _ones(scale.columns(x_NF)), max(float(y_N.max()), 1e-9)
    folds = range(int(fold_N.max()) + 1)
    coef = np.stack([_glm(z_NZ[fold_N != t], y_N[fold_N != t], counts) for t in folds])
    trees = tuple(_boost(x_NF[fold_N != t], y_N[fold_N != t], counts, seed) for t in folds)
    raw = Base(scale, counts, top, coef, trees, np.full(2, 0.5))
    each_NC = np.empty((len(y_N), 2))
    for t in folds:
        each_NC[fold_N == t] = raw.each(x_NF[fold_N == t], t)
    floor = 0.01 * float(np.abs(y_N).mean()) + 1e-12
    weight_N = 1 / np.sqrt(np.maximum(each_NC.mean(axis=1), floor)) if counts else np.ones(len(y_N))
    blend, _ = scipy.optimize.nnls(each_NC * weight_N[:, None], y_N * weight_N)
    return FittedBase(Base(scale, counts, top, coef, trees, blend), each_NC @ blend)


def variance(base_N: Floats, y_N: Floats, z_NZ: Floats, counts: bool) -> Floats:
    """How noisy customers' outcomes are around their base: a + b base + c base^2 for counts, else log-linear in z."""
    square_N = (y_N - base_N) ** 2
    square_N = np.minimum(square_N, np.quantile(square_N, 0.999))  # one large amount must not set the scale
    mean = float(square_N.mean()) + 1e-12
    if not counts:
        fitted_N = np.exp(np.clip(_ones(z_NZ) @ _glm(_ones(z_NZ), square_N / mean, True), -2, 2))
        return np.asarray(fitted_N * float((square_N / fitted_N).mean()))
    floor_N = np.maximum(base_N, 0.02 * float(base_N.mean()) + 1e-12)
    terms_NT, weight_N = np.column_stack([np.ones(len(y_N)), floor_N, floor_N**2]), 1 / floor_N
    for _ in range(3):  # iteratively reweighted: a squared residual's own error grows with its mean
        coef, _ = scipy.optimize.nnls(terms_NT * weight_N[:, None], square_N * weight_N)
        fitted_N = np.maximum(terms_NT @ coef, 1e-3 * mean)
        weight_N = 1 / fitted_N
    return np.asarray(fitted_N)


def _log(x_NF: Floats) -> Floats:
    return np.asarray(np.sign(x_NF) * np.log1p(np.abs(x_NF)))


def _ones(z_NZ: Floats) -> Floats:
    return np.column_stack([np.ones(len(z_NZ)), z_NZ])


def _glm(z_NZ: Floats, y_N: Floats, counts: bool) -> Floats:
    """Ridge regression, or Poisson quasi-likelihood with a log link; the intercept is not shrunk."""
    ridge_Z = np.full(z_NZ.shape[1], RIDGE)
    ridge_Z[0] = 0.0
    if not counts:
        return np.asarray(np.linalg.solve(z_NZ.T @ z_NZ + np.diag(ridge_Z + 1e-9), z_NZ.T @ y_N))
    mean = float(y_N.mean()) + 1e-12
    ridge_Z *= float(y_N.var()) / mean + 1e-12
    beta = np.zeros(len(ridge_Z))
    beta[0] = np.log(mean)
    for _ in range(NEWTON):
        mu_N = np.exp(np.clip(z_NZ @ beta, -20, 20))
        hessian = (z_NZ * mu_N[:, None]).T @ z_NZ + np.diag(ridge_Z + 1e-9 * mean)
        step = np.linalg.solve(hessian, z_NZ.T @ (y_N - mu_N) - ridge_Z * beta)
        size = float(np.abs(z_NZ @ step).max())
        beta = beta + step * min(1.0, 2.0 / max(size, 1e-12))  # no linear predictor moves by more than 2 at once
        if size < 1e-6:
            break
    return beta


def _boost(x_NF: Floats, y_N: Floats, counts: bool, seed: int) -> str:
    import lightgbm

    how: dict[str, Any] = {"objective": "poisson" if counts else "regression", "seed": seed % 2**31}
    fixed = {"num_threads": 1, "deterministic": True, "force_row_wise": True, "verbosity": -1}
    data = lightgbm.Dataset(x_NF, y_N, params={"max_bin": TREES["max_bin"], "verbosity": -1})
    return str(lightgbm.train({**TREES, **how, **fixed}, data, ROUNDS).model_to_string())


Shape = Literal["free", "rising", "concave"]
FORMS = ("one curve for all", "in proportion to the base", "by features")
MOST_DEPTHS = 20
OWN_ROWS = 20_000  # customers by whom the spread of gains is judged
TEMPER = 0.5  # out-of-fold scores are noisy themselves: half of their difference counts


class DoseSettings(Settings):
    """`shape`: what every customer's curve must be: free, rising with depth, or rising and concave.

    `caution`: how many standard errors an advantage over the best fixed depth must exceed to leave it. `beyond`: depths
    up to this multiple of the deepest tried one are scored. `simpler`: log-score a richer form must win by, out of
    fold, to weigh as much as the next simpler one. `min_rows` is needed at every depth.
    """

    shape: Shape = "free"
    folds: int = Field(default=4, ge=2, le=20)
    simpler: float = Field(default=1.0, ge=0)
    caution: float = Field(default=1.0, ge=0)
    beyond: float = Field(default=1.5, ge=1)
    min_rows: int = Field(default=100, ge=20)
    seed: int = 0


DEFAULTS = DoseSettings()


@dataclass(frozen=True)
class DoseCurve:
    """Gain over depth 0 of each customer at each of `depth_D`.

    `se_ND` is the standard error of the mean gain of customers like them. A customer's own gain lies elsewhere:
    `own_ND` is its standard deviation, and `low_ND` to `high_ND` the band that holds 95 % of own gains.
    """

    depth_D: Floats
    gain_ND: Floats
    se_ND: Floats
    own_ND: Floats
    level: Level = "randomised"

    @property
    def low_ND(self) -> Floats:
        """Lower end of the band of customers' own gains."""
        return self.gain_ND - Z95 * self.own_ND

    @property
    def high_ND(self) -> Floats:
        """Upper end of the band of customers' own gains."""
        return self.gain_ND + Z95 * self.own_ND


@dataclass(frozen=True)
class DepthChoice:
    """Depth for each customer, its expected net worth over no discount, and the depth that is best for all alike."""

    depth_N: Floats
    net_N: Floats
    fixed_depth: float
    fixed_net: float

    @property
    def left(self) -> float:
        """Share of customers for whom the data speak for another depth than the best fixed one."""
        return float((self.depth_N != self.fixed_depth).mean()) if len(self.depth_N) else 0.0


@dataclass(frozen=True)
class Record:
    """Rows of each depth, 0 included; mean gain of each tried depth, doubly robust, without a model of who gains."""

    rows_D: Ints
    mean_K: Floats
    se_K: Floats


@dataclass(frozen=True)
class DoseModel:
    """A weighted mean of forms, each a Gaussian process over depth that is linear in the customer's terms.

    `weight_C`: weights by out-of-fold score, `coef_CP` and `cov_CPP`: the posteriors, `bend_CJ`: the prior
    variance of each term's departure from a straight line. `shape`, `caution`, `beyond`: see DoseSettings.
    """

    encoder: FeatureEncoder
    base: Base
    terms: Terms
    depth_D: Floats  # tried, 0 included, rising
    weight_C: Floats
    coef_CP: Floats
    cov_CPP: Floats
    bend_CJ: Floats
    record: Record
    own_K: Floats  # how far customers' own gains may lie from what is said of them, s.d. at each tried depth
    shape: Shape = "free"
    caution: float = 1.0
    beyond: float = 1.5
    level: Level = "randomised"

    @property
    def forms(self) -> dict[str, float]:
        """How much each form weighs; "one curve for all" near 1 means that no difference was detected."""
        return dict(zip(FORMS, self.weight_C.tolist(), strict=True))

    def expected(self, features: Features) -> Floats:
        """Outcome each customer is expected to show, over the depths as they were tried."""
        return self.base.predict(self.encoder.encode(features))

    def curve(self, features: Features, depths: ArrayLike | None = None) -> DoseCurve:
        """Gain at `depths` (default: the tried ones above 0) for each row of `features`.

        Depths that were never tried are scored too, with wider bands; SupportError beyond `beyond` times the
        deepest. Where a shape is asked, curves run straight between tried depths after projection onto the shape.
        """
        depth_D = self._asked(depths)
        gain_ND, se_ND = self._moments(self._terms(features), depth_D)
        if self.shape != "free":
            known_NK = self._moments(self._terms(features), self.depth_D[1:]).mean_ND
            gain_ND = shaped(known_NK, self.depth_D, depth_D, self.shape)
        own_D = np.interp(depth_D, self.depth_D, np.r_[0.0, self.own_K])
        own_D = own_D * np.maximum(depth_D / self.depth_D[-1], 1.0)  # beyond the deepest tried it grows on
        return DoseCurve(depth_D, gain_ND, se_ND, np.hypot(se_ND, own_D), self.level)

    def segment(self, features: Features, by_N: ArrayLike, depths: ArrayLike | None = None) -> pl.DataFrame:
        """Mean gain of each segment: segment, depth, customers, gain, se, low, high (95 % of the mean), sorted."""
        names_N = np.asarray(by_N).astype(str)
        depth_D, u_NJ = self._asked(depths), self._terms(features)
        if len(names_N) != len(u_NJ):
            raise InputError(f"by: {len(names_N)} segments for {len(u_NJ)} customers; give one for each")
        names_S, of_N, count_S = np.unique(names_N, return_inverse=True, return_counts=True)
        mean_SJ = np.stack([np.bincount(of_N, u, len(names_S)) for u in u_NJ.T], axis=1) / count_S[:, None]
        gain_SD, se_SD = self._moments(mean_SJ, depth_D)
        rows = pl.DataFrame(
            {
                "segment": np.repeat(names_S, len(depth_D)),
                "depth": np.tile(depth_D, len(names_S)),
                "customers": np.repeat(count_S, len(depth_D)),
                "gain": gain_SD.ravel(),
                "se": se_SD.ravel(),
            }
        )
        return rows.with_columns(low=pl.col("gain") - Z95 * pl.col("se"), high=pl.col("gain") + Z95 * pl.col("se"))

    def best_depth(self, features: Features, worth_K: ArrayLike = 1.0, cost_NK: ArrayLike = 0.0) -> DepthChoice:
        """The tried depth (or 0) of the largest worth * gain - cost for each customer.

        `worth_K`: what one unit of outcome is worth at each tried depth; `cost_NK`: what the depth costs whether or not
        it adds anything (both broadcast). The best fixed depth is left only where the advantage exceeds
        `caution` standard errors of the difference.
        """
        u_NJ, tried_K = self._terms(features), self.depth_D[1:]
        curve_NK = self.curve(features).gain_ND
        worth_K = np.broadcast_to(np.asarray(worth_K, dtype=np.float64), tried_K.shape)
        net_ND = np.column_stack([np.zeros(len(u_NJ)), worth_K * curve_NK - np.asarray(cost_NK, dtype=np.float64)])
        fixed = int(np.argmax(net_ND.mean(axis=0)))
        bound_ND = np.zeros_like(net_ND)
        slope_DB = np.vstack([np.zeros(self._basis(tried_K).shape[1]), worth_K[:, None] * self._basis(tried_K)])
        for d in range(len(slope_DB)):
            se_N1 = self._spread(u_NJ, (slope_DB[d] - slope_DB[fixed])[None]).sd_ND
            bound_ND[:, d] = net_ND[:, d] - net_ND[:, fixed] - self.caution * se_N1[:, 0]
        better_ND = np.where(bound_ND > 0, net_ND, -np.inf)
        pick_N = np.where((bound_ND > 0).any(axis=1), better_ND.argmax(axis=1), fixed)
        net_N = net_ND[np.arange(len(pick_N)), pick_N]
        return DepthChoice(self.depth_D[pick_N], net_N, float(self.depth_D[fixed]), float(net_ND[:, fixed].mean()))

    def explain(self) -> pl.DataFrame:
        """What moves the gain at the deepest tried depth: term, how, gain per unit of the term, se; largest |z| first.

        Features count in standard deviations of their logarithm; "in proportion" terms are multiplied by the
        customer's base relative to the mean.
        """
        b_1B = self._basis(self.depth_D[-1:])
        gain_J1, se_J1 = self._spread(np.eye(len(self.terms.names)), b_1B)
        rows = [
            (*name, float(g), float(s)) for name, g, s in zip(self.terms.names, gain_J1[:, 0], se_J1[:, 0], strict=True)
        ]
        frame = pl.DataFrame(rows, schema=["term", "how", "gain", "se"], orient="row")
        return frame.sort(
            (pl.col("gain") / pl.col("se").clip(1e-300)).abs(), "term", "how", descending=[True, False, False]
        )

    def to_parts(self) -> ModelParts:
        """Arrays for a tensor file and a JSON manifest."""
        return to_parts(self)

    @classmethod
    def from_parts(cls, arrays: Arrays, manifest: dict[str, Any]) -> Self:
        """The inverse of `to_parts`, also after JSON."""
        model: Self = from_parts(
            arrays, manifest, (cls, Record, Terms, Base, Standardiser, FeatureEncoder, FeatureColumn)
        )
        return model

    def _asked(self, depths: ArrayLike | None) -> Floats:
        if depths is None:
            return self.depth_D[1:]
        depth_D, top = numbers(np.atleast_1d(np.asarray(depths)), "depths"), self.beyond * self.depth_D[-1]
        if (depth_D < 0).any() or (depth_D > top + 1e-12).any():
            raise SupportError(f"depths: {depth_D.tolist()} asked, but the data reach from 0 to {top:g}; ask within")
        return depth_D

    def _terms(self, features: Features) -> Floats:
        x_NF = self.encoder.encode(features)
        return self.terms.columns(self.base.scale.columns(x_NF), self.base.predict(x_NF))

    def _basis(self, depth_D: Floats) -> Floats:
        return basis(depth_D, self.depth_D).b_DB

    def _moments(self, u_NJ: Floats, depth_D: Floats) -> "_Moments":
        """Gain and standard error, with what depths never tried may hold on top."""
        b_DB, left_D = basis(depth_D, self.depth_D)
        gain_ND, se_ND = self._spread(u_NJ, b_DB)
        bend_N = np.square(u_NJ) @ (self.weight_C @ self.bend_CJ)
        slope_N = u_NJ @ (self.weight_C @ self.coef_CP).reshape(u_NJ.shape[1], -1)[:, 0]
        bend_N = np.maximum(bend_N, (BEND * slope_N) ** 2)
        return _Moments(gain_ND, np.sqrt(se_ND**2 + bend_N[:, None] * left_D))

    def _spread(self, u_NJ: Floats, b_DB: Floats) -> "_Moments":
        """Mean and standard deviation of the mixture of forms."""
        (terms, columns), mean_ND, square_ND = (u_NJ.shape[1], b_DB.shape[1]), 0.0, 0.0
        for weight, coef_P, cov_PP in zip(self.weight_C, self.coef_CP, self.cov_CPP, strict=True):
            g_ND = u_NJ @ coef_P.reshape(terms, columns) @ b_DB.T
            cov_DJJ = np.einsum(
                "db,jbkc,dc->djk", b_DB, cov_PP.reshape(terms, columns, terms, columns), b_DB, optimize=True
            )
            v_ND = np.stack([((u_NJ @ cov_JJ) * u_NJ).sum(axis=1) for cov_JJ in cov_DJJ], axis=1)
            mean_ND = mean_ND + weight * g_ND
            square_ND = square_ND + weight * (g_ND**2 + v_ND)
        return _Moments(np.asarray(mean_ND), np.sqrt(np.maximum(square_ND - np.square(mean_ND), 0.0)))


class _Moments(NamedTuple):
    """Mean and standard deviation of what is believed of a gain."""

    mean_ND: Floats
    sd_ND: Floats


def fit_dose(
    features: Features, depth_N: ArrayLike, outcome_N: ArrayLike, *, settings: DoseSettings = DEFAULTS
) -> DoseModel:
    """Learn gain(customer, depth) from randomised depths (0: control), each with the same probability for everybody.

    outcome = base(x) + sum over terms j of u_j(x) f_j(depth) + noise, f_j being a line through 0 plus a Wiener
    process. Residuals of the cross-fitted base are regressed on centred depth columns (Robinson 1988; Nie & Wager
    2021), each row weighted by its own noise. How far terms may differ from 0 is learned per group by evidence
    (MacKay 1992). Forms from one common curve to features weigh by their out-of-fold log score (pseudo-BMA; Yao et
    al. 2018). SupportError if depth 0 or rows are missing.
    """
    encoder = encoder_of(features)
    x_NF, depth_N, y_N = encoder.encode(features), numbers(depth_N, "depth"), numbers(outcome_N, "outcome")
    depth_D, arm_N = _check(x_NF, depth_N, y_N, settings)
    key_N = row_keys(np.column_stack([x_NF, depth_N, y_N]), settings.seed)
    fold_N = (key_N % np.uint64(settings.folds)).astype(np.int64)
    base, base_N = fit_base(x_NF, y_N, fold_N, settings.seed)
    z_NZ = base.scale.columns(x_NF)
    noise_N = variance(base_N, y_N, z_NZ, base.counts)
    noise_N *= float(((y_N - base_N) ** 2 / noise_N).mean())
    terms = _terms_of(base, base_N, base.scale.names(tuple(encoder.names)))
    share_D = np.bincount(arm_N) / len(arm_N)
    b_DB = basis(depth_D, depth_D).b_DB
    rows = DoseRows(terms.columns(z_NZ, base_N), arm_N, fold_N, y_N - base_N, noise_N, b_DB - share_D @ b_DB)
    forms = _forms(rows, terms, settings)
    coef_CP, cov_CPP, bend_CJ = (np.stack(each) for each in zip(*forms.posteriors, strict=True))
    kept = (settings.shape, settings.caution, settings.beyond)
    record = _record(rows)
    model = DoseModel(
        encoder,
        base,
        terms,
        depth_D,
        forms.weight_C,
        coef_CP,
        cov_CPP,
        bend_CJ,
        record,
        np.zeros(len(depth_D) - 1),
        *kept,
    )
    return replace(model, own_K=_own(model, x_NF[np.argsort(key_N)[:OWN_ROWS]]))


def _own(model: DoseModel, x_NF: Floats) -> Floats:
    """How far customers' own gains may lie from what is said of them, at each tried depth.

    No trial shows it, for nobody is seen at two depths. Taken is what the data cannot exclude: that what features do
    not tell moves gains as much as what they do, and that the mean gain, as large as it may be, is shared out as
    unevenly as purchases are. In simulation such bands held 95 % or more of own gains; those of the mean held 60 to 97.
    """
    base_N = model.base.predict(x_NF)
    said_NK = model._moments(model.terms.columns(model.base.scale.columns(x_NF), base_N), model.depth_D[1:]).mean_ND
    uneven = float(base_N.std() / max(abs(base_N.mean()), 1e-12)) if model.base.counts else 1.0
    most_K = np.abs(model.record.mean_K) + Z95 * model.record.se_K
    return np.asarray(np.hypot(said_NK.std(axis=0), most_K * max(uneven, 1.0)))


def _terms_of(base: Base, base_N: Floats, names: tuple[str, ...]) -> Terms:
    mean = float(base_N.mean())
    score_N = np.log(np.maximum(base_N, 0.02 * mean)) if base.counts else base_N
    return Terms(names, mean, float(score_N.mean()), float(score_N.std()) or 1.0, base.counts)


class _Tried(NamedTuple):
    """The depths that were tried, 0 included and rising, and the place of each customer's among them."""

    depth_D: Floats
    arm_N: Ints


def _check(x_NF: Floats, depth_N: Floats, y_N: Floats, settings: DoseSettings) -> _Tried:
    if not len(x_NF) == len(depth_N) == len(y_N):
        raise InputError(f"dose: {len(x_NF)} customers, {len(depth_N)} depths, {len(y_N)} outcomes; one for each")
    depth_D, arm_N, count_D = np.unique(depth_N, return_inverse=True, return_counts=True)
    if not len(depth_D) or depth_D[0] != 0 or len(depth_D) < 2:
        raise SupportError(f"depth: {depth_D.tolist()[:5]} tried; 0 (control) and at least one depth above are needed")
    if len(depth_D) > MOST_DEPTHS:
        raise SupportError(f"depth: {len(depth_D)} different ones; round them to at most {MOST_DEPTHS}")
    if count_D.min() < settings.min_rows:
        few = float(depth_D[count_D.argmin()])
        raise SupportError(f"depth {few:g}: {count_D.min()} customers; {settings.min_rows} are needed at every depth")
    if np.ptp(y_N) == 0:
        raise SupportError(f"outcome: {y_N[0]:g} for everybody; nothing can be learned from it")
    return _Tried(depth_D, arm_N.astype(np.int64))


def _record(rows: DoseRows) -> Record:
    rows_D = np.bincount(rows.arm_N)
    share_D, total = rows_D / rows_D.sum(), len(rows.arm_N)
    scored_ND = np.where(rows.arm_N[:, None] == np.arange(len(rows_D)), rows.left_N[:, None] / share_D, 0.0)
    psi_NK = scored_ND[:, 1:] - scored_ND[:, :1]
    return Record(rows_D, psi_NK.mean(axis=0), psi_NK.std(axis=0) / np.sqrt(total))


class _Forms(NamedTuple):
    """The posterior of each form on all rows, and its weight by the log score of rows that it did not see."""

    posteriors: list[Posterior]
    weight_C: Floats


def _forms(rows: DoseRows, terms: Terms, settings: DoseSettings) -> _Forms:
    # one curve for all is the mean gain of all, so every row counts alike: quiet rows may gain less than others
    even = replace(rows, noise_N=np.full(len(rows.noise_N), np.square(rows.left_N).mean()))
    found, score_C = [], np.zeros(len(FORMS))
    for c, (richest, source) in enumerate(((0, even), (1, rows), (3, rows))):
        gram_TPP, side_TP = source.equations()
        gram_PP, side_P = gram_TPP.sum(axis=0), side_TP.sum(axis=0)
        kept = (terms.group_J, terms.group_J <= richest, rows.b_DB.shape[1])
        found.append(posterior(gram_PP, side_P, *kept))
        for t in range(settings.folds):
            unseen = posterior(gram_PP - gram_TPP[t], side_P - side_TP[t], *kept)
            score_C[c] += rows.score(unseen.coef_P, t)
    weight_C = np.exp(TEMPER * (score_C - settings.simpler * np.arange(len(FORMS)) - score_C.max()))
    return _Forms(found, weight_C / weight_C.sum())
