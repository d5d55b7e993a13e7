"""Estimate what each randomised discount depth adds for each customer, with credible bands.

Legend: N customers, F encoded features, D depths, K tried depths above 0, J terms of a customer, B columns of a depth,
P = J x B parameters, C forms or candidates of a blend, T folds, S segments, Z standardised columns. Depth t is
relative to the deepest one tried.
"""

from dataclasses import dataclass, replace
from typing import NamedTuple, Self

import numpy as np
import polars as pl
import scipy
from numpy.typing import ArrayLike, NDArray

from promolift.core.effects.trial_arrays import (
    CachedRows,
    FeatureEncoder,
    Features,
    Floats,
    Ints,
    TrialArrays,
    finite_vector,
    fit_encoder,
    row_keys,
)
from promolift.core.effects.uplift.linear_learners import outcome_unit
from promolift.core.effects.uplift.nuisance import Response, assign_folds, fit_nuisance, sorted_rows, subset_trial
from promolift.foundation.errors import InputError, SupportError
from promolift.foundation.evidence import Z95, Level
from promolift.foundation.i18n.lazy_message import gettext_lazy

SLOPE_PRECISION = 1e-8  # prior precision of the common slope, relative to the data's: in effect none
CURVATURE_SD = (
    0.5  # a curve may depart from a line by this share of itself (s.d. over the range), whatever the data say
)
EVIDENCE_ROUNDS, TOLERANCE = 40, 0.02


@dataclass(frozen=True)
class Terms:
    """A customer's terms: 1, the base, the features, the features times the base. `group_J` says which is which."""

    features: int
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
    def group_J(self) -> Ints:
        """0 common, 1 base, 2 features added, 3 features in proportion."""
        own = self.features
        return np.repeat([0, 1, 2, 3], [1, 1, own + 1, own + 1] if self.ratio else [1, 1, own, 0])

    @classmethod
    def of(cls, base_N: Floats, features: int, counts: bool) -> Self:
        """Learn the base's level and spread from training rows."""
        mean = float(base_N.mean())
        score_N = np.log(np.maximum(base_N, 0.02 * mean)) if counts else base_N
        return cls(features, mean, float(score_N.mean()), float(score_N.std()) or 1.0, counts)


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


def depth_basis(depth_D: Floats, tried_D: Floats) -> DepthBasis:
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
    alpha_G[0] = SLOPE_PRECISION * scale_G[0]  # the common slope is not shrunk
    for _ in range(EVIDENCE_ROUNDS):
        cov = np.linalg.inv(gram + np.diag(alpha_G[group_P]))
        mean = cov @ side
        gamma_G = np.bincount(group_P) - alpha_G * np.bincount(group_P, np.diag(cov))
        new_G = np.clip((gamma_G + 1e-3) / (np.bincount(group_P, mean**2) + 1e-300), 1e-9 * scale_G, 1e6 * scale_G)
        new_G[0] = alpha_G[0]
        for g in range(0, min(len(new_G), 4), 2):  # common and base curves may always bend some
            slope = np.flatnonzero(group_P == g)[0]
            new_G[g + 1] = min(new_G[g + 1], 1 / (CURVATURE_SD**2 * (mean[slope] ** 2 + cov[slope, slope])))
        done = np.allclose(np.log(new_G), np.log(alpha_G), atol=TOLERANCE)
        alpha_G = new_G
        if done:
            break
    P, bend_J = len(side_P), np.zeros(len(keep_J))
    coef_P, cov_PP = np.zeros(P), np.zeros((P, P))
    coef_P[keep_P], cov_PP[np.ix_(keep_P, keep_P)] = mean, cov
    bend_J[keep_J] = 1 / alpha_G[2 * group_J[keep_J] + 1]
    return Posterior(coef_P, cov_PP, bend_J)


MIN_MISSING_SHARE = 0.005  # a column gets a flag "missing" if more than this share of it is missing, and some is known
MAX_STANDARDISED = 3.0  # standardised columns are cut here: nobody is extrapolated far


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
        flags = np.flatnonzero((share_F > MIN_MISSING_SHARE) & (share_F < 1 - MIN_MISSING_SHARE))
        return cls(mean_F, np.where(sd_F > 1e-9, sd_F, 0.0), tuple(flags.tolist()))

    def columns(self, x_NF: Floats) -> Floats:
        """z_NZ; a column that never varied is 0 for everybody."""
        safe_F = np.where(self.sd_F > 0, self.sd_F, np.inf)
        z_NF = np.nan_to_num(np.clip((_log(x_NF) - self.mean_F) / safe_F, -MAX_STANDARDISED, MAX_STANDARDISED))
        return np.column_stack([z_NF, np.isnan(x_NF[:, list(self.flags)]).astype(np.float64)])


def noise_variance(base_N: Floats, y_N: Floats, counts: bool) -> Floats:
    """How noisy customers' outcomes are around their base: a + b base + c base^2 for counts, else alike."""
    square_N = (y_N - base_N) ** 2
    square_N = np.minimum(square_N, np.quantile(square_N, 0.999))  # one large amount must not set the scale
    mean = float(square_N.mean()) + 1e-12
    if not counts:
        return np.full(len(y_N), mean)
    floor_N = np.maximum(base_N, 0.02 * float(base_N.mean()) + 1e-12)
    terms_NT, weight_N = np.column_stack([np.ones(len(y_N)), floor_N, floor_N**2]), 1 / floor_N
    for _ in range(3):  # iteratively reweighted: a squared residual's own error grows with its mean
        coef, _ = scipy.optimize.nnls(terms_NT * weight_N[:, None], square_N * weight_N)
        fitted_N = np.maximum(terms_NT @ coef, 1e-3 * mean)
        weight_N = 1 / fitted_N
    return np.asarray(fitted_N)


def _log(x_NF: Floats) -> Floats:
    return np.asarray(np.sign(x_NF) * np.log1p(np.abs(x_NF)))


FORMS = ("one curve for all", "in proportion to the base", "by features")
MAX_DEPTHS = 20
SPREAD_SAMPLE_ROWS = 20_000  # customers by whom the spread of gains is judged
TEMPER = 0.5  # out-of-fold scores are noisy themselves: half of their difference counts
FOLDS, SEED = 4, 0
SIMPLICITY_MARGIN = 1.0  # log score a richer form must win by, out of fold, to weigh as much as the next simpler one
MAX_EXTRAPOLATION = 1.5  # depths up to this multiple of the deepest tried one are scored
MIN_ROWS = 100  # customers needed at every depth


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
class DoseModel:
    """A weighted mean of forms, each a Gaussian process over depth that is linear in the customer's terms.

    `weight_C`: weights by out-of-fold score, `coef_CP` and `cov_CPP`: the posteriors, `bend_CJ`: the prior
    variance of each term's departure from a straight line. `base_J`: without each fold, the outcome expected over all
    depths.
    """

    encoder: FeatureEncoder
    base_J: tuple[Response, ...]
    unit: float  # the outcome's, in which the base was learned
    scale: Standardiser
    terms: Terms
    depth_D: Floats  # tried, 0 included, rising
    weight_C: Floats
    coef_CP: Floats
    cov_CPP: Floats
    bend_CJ: Floats
    own_K: Floats  # how far customers' own gains may lie from what is said of them, s.d. at each tried depth
    level: Level = "randomised"

    @property
    def forms(self) -> dict[str, float]:
        """How much each form weighs; "one curve for all" near 1 means that no difference was detected."""
        return dict(zip(FORMS, self.weight_C.tolist(), strict=True))

    def predict_outcomes(self, features: Features) -> Floats:
        """Outcome each customer is expected to show, over the depths as they were tried."""
        return self._base(self.encoder.encode(features))

    def curve(self, features: Features, depths: ArrayLike | None = None) -> DoseCurve:
        """Gain at `depths` (default: the tried ones above 0) for each row of `features`.

        Depths that were never tried are scored too, with wider bands; SupportError beyond BEYOND times the deepest.
        """
        depth_D = self._asked(depths)
        gain_ND, se_ND = self._moments(self._terms(features), depth_D)
        own_D = np.interp(depth_D, self.depth_D, np.r_[0.0, self.own_K])
        own_D = own_D * np.maximum(depth_D / self.depth_D[-1], 1.0)  # beyond the deepest tried it grows on
        return DoseCurve(depth_D, gain_ND, se_ND, np.hypot(se_ND, own_D), self.level)

    def segment(self, features: Features, by_N: ArrayLike, depths: ArrayLike | None = None) -> pl.DataFrame:
        """Mean gain of each segment: segment, depth, customers, gain, se, low, high (95 % of the mean), sorted."""
        names_N = np.asarray(by_N).astype(str)
        depth_D, u_NJ = self._asked(depths), self._terms(features)
        if len(names_N) != len(u_NJ):
            raise InputError(
                "shapes_differ",
                gettext_lazy(
                    "by: {names_n} segments for {u_nj} customers; give one for each",
                    names_n=len(names_N),
                    u_nj=len(u_NJ),
                ),
            )
        names_S, of_N, count_S = np.unique(names_N, return_inverse=True, return_counts=True)
        mean_SJ = np.stack([np.bincount(of_N, u, len(names_S)) for u in u_NJ.T], axis=1) / count_S[:, None]
        gain_SD, se_SD = self._moments(mean_SJ, depth_D)
        rows = pl.DataFrame({
            "segment": np.repeat(names_S, len(depth_D)), "depth": np.tile(depth_D, len(names_S)),
            "customers": np.repeat(count_S, len(depth_D)), "gain": gain_SD.ravel(), "se": se_SD.ravel(),
        })  # fmt: skip
        return rows.with_columns(low=pl.col("gain") - Z95 * pl.col("se"), high=pl.col("gain") + Z95 * pl.col("se"))

    def _asked(self, depths: ArrayLike | None) -> Floats:
        if depths is None:
            return self.depth_D[1:]
        depth_D, top = finite_vector(np.atleast_1d(np.asarray(depths)), "depths"), MAX_EXTRAPOLATION * self.depth_D[-1]
        if (depth_D < 0).any() or (depth_D > top + 1e-12).any():
            raise SupportError(
                "depth_out_of_range",
                gettext_lazy(
                    "depths: {tolist} asked, but the data reach from 0 to {top}; ask within",
                    tolist=depth_D.tolist(),
                    top=f"{top:g}",
                ),
            )
        return depth_D

    def _base(self, x_NF: Floats) -> Floats:
        asked = CachedRows(x_NF)
        return np.asarray(self.unit * np.mean([response.mean(asked)[:, 0] for response in self.base_J], axis=0))

    def _terms(self, features: Features) -> Floats:
        x_NF = self.encoder.encode(features)
        return self.terms.columns(self.scale.columns(x_NF), self._base(x_NF))

    def _moments(self, u_NJ: Floats, depth_D: Floats) -> "_Moments":
        """Gain and standard error, with what depths never tried may hold on top."""
        b_DB, left_D = depth_basis(depth_D, self.depth_D)
        gain_ND, se_ND = self._spread(u_NJ, b_DB)
        bend_N = np.square(u_NJ) @ (self.weight_C @ self.bend_CJ)
        slope_N = u_NJ @ (self.weight_C @ self.coef_CP).reshape(u_NJ.shape[1], -1)[:, 0]
        bend_N = np.maximum(bend_N, (CURVATURE_SD * slope_N) ** 2)
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


def fit_dose(features: Features, depth_N: ArrayLike, outcome_N: ArrayLike) -> DoseModel:
    """Learn gain(customer, depth) from randomised depths (0: control), each with the same probability for everybody.

    outcome = base(x) + sum over terms j of u_j(x) f_j(depth) + noise, f_j being a line through 0 plus a Wiener
    process. Residuals of the cross-fitted base are regressed on centred depth columns (Robinson 1988; Nie & Wager
    2021), each row weighted by its own noise. How far terms may differ from 0 is learned per group by evidence
    (MacKay 1992). Forms from one common curve to features weigh by their out-of-fold log score (pseudo-BMA; Yao et
    al. 2018). SupportError if depth 0 or rows are missing.
    """
    encoder = fit_encoder(features)
    x_NF, depth_N, y_N = encoder.encode(features), finite_vector(depth_N, "depth"), finite_vector(outcome_N, "outcome")
    depth_D, arm_N = _check(x_NF, depth_N, y_N)
    key_N = row_keys(np.column_stack([x_NF, depth_N, y_N]), SEED)
    unit, nobody = outcome_unit(y_N), np.zeros(len(y_N), dtype=np.int64)
    alike = TrialArrays(x_NF, nobody, y_N / unit, np.ones((len(y_N), 1)), key_N, tuple(encoder.names))
    order = sorted_rows(alike, FOLDS)
    alike, arm_N, y_N = subset_trial(alike, order), arm_N[order], y_N[order]
    fold_N = assign_folds(alike, FOLDS)
    found = fit_nuisance(alike, fold_N)
    base_N, counts, scale = unit * found.mu_NA[:, 0], bool(y_N.min() >= 0), Standardiser.of(alike.x_NF)
    noise_N = noise_variance(base_N, y_N, counts)
    noise_N *= float(((y_N - base_N) ** 2 / noise_N).mean())
    z_NZ = scale.columns(alike.x_NF)
    terms = Terms.of(base_N, z_NZ.shape[1], counts)
    share_D = np.bincount(arm_N) / len(arm_N)
    b_DB = depth_basis(depth_D, depth_D).b_DB
    rows = DoseRows(terms.columns(z_NZ, base_N), arm_N, fold_N, y_N - base_N, noise_N, b_DB - share_D @ b_DB)
    # one curve for all is the mean gain of all, so every row counts alike: quiet rows may gain less than others
    even = replace(rows, noise_N=np.full(len(rows.noise_N), np.square(rows.left_N).mean()))
    posteriors, score_C = [], np.zeros(len(FORMS))
    for c, (richest, source) in enumerate(((0, even), (1, rows), (3, rows))):
        gram_TPP, side_TP = source.equations()
        gram_PP, side_P = gram_TPP.sum(axis=0), side_TP.sum(axis=0)
        kept = (terms.group_J, terms.group_J <= richest, rows.b_DB.shape[1])
        posteriors.append(posterior(gram_PP, side_P, *kept))
        for t in range(FOLDS):
            unseen = posterior(gram_PP - gram_TPP[t], side_P - side_TP[t], *kept)
            score_C[c] += rows.score(unseen.coef_P, t)
    weight_C = np.exp(TEMPER * (score_C - SIMPLICITY_MARGIN * np.arange(len(FORMS)) - score_C.max()))
    coef_CP, cov_CPP, bend_CJ = (np.stack(each) for each in zip(*posteriors, strict=True))
    model = DoseModel(
        encoder, found.responses, unit, scale, terms, depth_D, weight_C / weight_C.sum(), coef_CP, cov_CPP, bend_CJ,
        np.zeros(len(depth_D) - 1),
    )  # fmt: skip
    some = np.argsort(alike.key_N)[:SPREAD_SAMPLE_ROWS]
    return replace(model, own_K=_own(model, rows, base_N, some))


def _own(model: DoseModel, rows: DoseRows, base_N: Floats, some: Ints) -> Floats:
    """How far customers' own gains may lie from what is said of them, at each tried depth.

    No trial shows it, for nobody is seen at two depths. Taken is what the data cannot exclude: that what features do
    not tell moves gains as much as what they do, and that the mean gain, as large as it may be, is shared out as
    unevenly as purchases are. In simulation such bands held 95 % or more of own gains; those of the mean held 60 to 97.
    """
    said_NK = model._moments(rows.u_NJ[some], model.depth_D[1:]).mean_ND
    share_D = np.bincount(rows.arm_N) / len(rows.arm_N)
    scored_ND = np.where(rows.arm_N[:, None] == np.arange(len(share_D)), rows.left_N[:, None] / share_D, 0.0)
    psi_NK = scored_ND[:, 1:] - scored_ND[:, :1]  # doubly robust, without a model of who gains
    uneven = float(base_N.std() / max(abs(base_N.mean()), 1e-12)) if model.terms.ratio else 1.0
    most_K = np.abs(psi_NK.mean(axis=0)) + Z95 * psi_NK.std(axis=0) / np.sqrt(len(psi_NK))
    return np.asarray(np.hypot(said_NK.std(axis=0), most_K * max(uneven, 1.0)))


class _Tried(NamedTuple):
    """The depths that were tried, 0 included and rising, and the place of each customer's among them."""

    depth_D: Floats
    arm_N: Ints


def _check(x_NF: Floats, depth_N: Floats, y_N: Floats) -> _Tried:
    if not len(x_NF) == len(depth_N) == len(y_N):
        raise InputError(
            "shapes_differ",
            gettext_lazy(
                "dose: {x_nf} customers, {depth_n} depths, {y_n} outcomes; one for each",
                x_nf=len(x_NF),
                depth_n=len(depth_N),
                y_n=len(y_N),
            ),
        )
    depth_D, arm_N, count_D = np.unique(depth_N, return_inverse=True, return_counts=True)
    if not len(depth_D) or depth_D[0] != 0 or len(depth_D) < 2:
        raise SupportError(
            "too_few_depths",
            gettext_lazy(
                "depth: {tolist} tried; 0 (control) and at least one depth above are needed",
                tolist=depth_D.tolist()[:5],
            ),
        )
    if len(depth_D) > MAX_DEPTHS:
        raise SupportError(
            "too_many_depths",
            gettext_lazy(
                "depth: {depth_d} different ones; round them to at most {max_depths}",
                depth_d=len(depth_D),
                max_depths=MAX_DEPTHS,
            ),
        )
    if count_D.min() < MIN_ROWS:
        few = float(depth_D[count_D.argmin()])
        raise SupportError(
            "arm_too_small",
            gettext_lazy(
                "depth {few}: {min} customers; {min_rows} are needed at every depth",
                few=f"{few:g}",
                min=count_D.min(),
                min_rows=MIN_ROWS,
            ),
        )
    if np.ptp(y_N) == 0:
        raise SupportError(
            "no_variation",
            gettext_lazy("outcome: {y_n} for everybody; nothing can be learned from it", y_n=f"{y_N[0]:g}"),
        )
    return _Tried(depth_D, arm_N.astype(np.int64))
