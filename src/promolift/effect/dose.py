"""Features, randomised discount depths and outcomes in; what each depth adds for each customer, with bands, out.

Legend: N customers, F encoded features, D depths, K tried depths above 0, J terms of a customer, B columns of a depth,
P = J x B parameters, C forms, T folds, S segments. Depth t is relative to the deepest one tried.
"""

from dataclasses import dataclass, replace
from typing import Any, Literal, Self

import numpy as np
import polars as pl
from numpy.typing import ArrayLike
from pydantic import Field

from promolift.effect.base import Base, Scale, fit_base, variance
from promolift.effect.curves import BEND, Posterior, Rows, Terms, basis, posterior, shaped
from promolift.effect.parts import Arrays, from_parts, to_parts
from promolift.effect.trial import Column, Encoder, Features, Floats, Ints, Level, encoder_of, numbers, row_keys
from promolift.errors import InputError, SupportError
from promolift.settings import Settings

Shape = Literal["free", "rising", "concave"]
FORMS = ("one curve for all", "in proportion to the base", "by features")
MOST_DEPTHS = 20
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
class Curve:
    """Gain over depth 0 of each customer at each of `depth_D`, and its standard error."""

    depth_D: Floats
    gain_ND: Floats
    se_ND: Floats
    level: Level = "randomised"


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

    encoder: Encoder
    base: Base
    terms: Terms
    depth_D: Floats  # tried, 0 included, rising
    weight_C: Floats
    coef_CP: Floats
    cov_CPP: Floats
    bend_CJ: Floats
    record: Record
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

    def curve(self, features: Features, depths: ArrayLike | None = None) -> Curve:
        """Gain at `depths` (default: the tried ones above 0) for each row of `features`.

        Depths that were never tried are scored too, with wider bands; SupportError beyond `beyond` times the
        deepest. Where a shape is asked, curves run straight between tried depths after projection onto the shape.
        """
        depth_D = self._asked(depths)
        gain_ND, se_ND = self._moments(self._terms(features), depth_D)
        if self.shape != "free":
            known_NK, _ = self._moments(self._terms(features), self.depth_D[1:])
            gain_ND = shaped(known_NK, self.depth_D, depth_D, self.shape)
        return Curve(depth_D, gain_ND, se_ND, self.level)

    def segment(self, features: Features, by_N: ArrayLike, depths: ArrayLike | None = None) -> pl.DataFrame:
        """Mean gain of each segment: segment, depth, customers, gain, se, low, high (95 %), sorted."""
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
        return rows.with_columns(low=pl.col("gain") - 1.96 * pl.col("se"), high=pl.col("gain") + 1.96 * pl.col("se"))

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
            _, se_N1 = self._spread(u_NJ, (slope_DB[d] - slope_DB[fixed])[None])
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

    def to_parts(self) -> tuple[Arrays, dict[str, Any]]:
        """Arrays for a tensor file and a JSON manifest."""
        return to_parts(self)

    @classmethod
    def from_parts(cls, arrays: Arrays, manifest: dict[str, Any]) -> Self:
        """The inverse of `to_parts`, also after JSON."""
        model: Self = from_parts(arrays, manifest, (cls, Record, Terms, Base, Scale, Encoder, Column))
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
        return basis(depth_D, self.depth_D)[0]

    def _moments(self, u_NJ: Floats, depth_D: Floats) -> tuple[Floats, Floats]:
        """Gain and standard error, with what depths never tried may hold on top."""
        b_DB, left_D = basis(depth_D, self.depth_D)
        gain_ND, se_ND = self._spread(u_NJ, b_DB)
        bend_N = np.square(u_NJ) @ (self.weight_C @ self.bend_CJ)
        slope_N = u_NJ @ (self.weight_C @ self.coef_CP).reshape(u_NJ.shape[1], -1)[:, 0]
        bend_N = np.maximum(bend_N, (BEND * slope_N) ** 2)
        return gain_ND, np.sqrt(se_ND**2 + bend_N[:, None] * left_D)

    def _spread(self, u_NJ: Floats, b_DB: Floats) -> tuple[Floats, Floats]:
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
        return np.asarray(mean_ND), np.sqrt(np.maximum(square_ND - np.square(mean_ND), 0.0))


def fit_dose(
    features: Features, depth_N: ArrayLike, outcome_N: ArrayLike, *, settings: DoseSettings = DEFAULTS
) -> DoseModel:
    """Learn gain(customer, depth) from depths drawn by lot (0: control), the same chances for everybody.

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
    b_DB = basis(depth_D, depth_D)[0]
    rows = Rows(terms.columns(z_NZ, base_N), arm_N, fold_N, y_N - base_N, noise_N, b_DB - share_D @ b_DB)
    found, weight_C = _forms(rows, terms, settings)
    coef_CP, cov_CPP, bend_CJ = (np.stack(each) for each in zip(*found, strict=True))
    kept = (settings.shape, settings.caution, settings.beyond)
    return DoseModel(encoder, base, terms, depth_D, weight_C, coef_CP, cov_CPP, bend_CJ, _record(rows), *kept)


def _terms_of(base: Base, base_N: Floats, names: tuple[str, ...]) -> Terms:
    mean = float(base_N.mean())
    score_N = np.log(np.maximum(base_N, 0.02 * mean)) if base.counts else base_N
    return Terms(names, mean, float(score_N.mean()), float(score_N.std()) or 1.0, base.counts)


def _check(x_NF: Floats, depth_N: Floats, y_N: Floats, settings: DoseSettings) -> tuple[Floats, Ints]:
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
    return depth_D, arm_N.astype(np.int64)


def _record(rows: Rows) -> Record:
    rows_D = np.bincount(rows.arm_N)
    share_D, total = rows_D / rows_D.sum(), len(rows.arm_N)
    scored_ND = np.where(rows.arm_N[:, None] == np.arange(len(rows_D)), rows.left_N[:, None] / share_D, 0.0)
    psi_NK = scored_ND[:, 1:] - scored_ND[:, :1]
    return Record(rows_D, psi_NK.mean(axis=0), psi_NK.std(axis=0) / np.sqrt(total))


def _forms(rows: Rows, terms: Terms, settings: DoseSettings) -> tuple[list[Posterior], Floats]:
    """The posterior of each form on all rows, and its weight by the log score of rows that it did not see."""
    # one curve for all is the mean gain of all, so every row counts alike: quiet rows may gain less than others
    even = replace(rows, noise_N=np.full(len(rows.noise_N), np.square(rows.left_N).mean()))
    found, score_C = [], np.zeros(len(FORMS))
    for c, (richest, source) in enumerate(((0, even), (1, rows), (3, rows))):
        gram_TPP, side_TP = source.products()
        gram_PP, side_P = gram_TPP.sum(axis=0), side_TP.sum(axis=0)
        kept = (terms.group_J, terms.group_J <= richest, rows.b_DB.shape[1])
        found.append(posterior(gram_PP, side_P, *kept))
        for t in range(settings.folds):
            coef_P, _, _ = posterior(gram_PP - gram_TPP[t], side_P - side_TP[t], *kept)
            score_C[c] += rows.score(coef_P, t)
    weight_C = np.exp(TEMPER * (score_C - settings.simpler * np.arange(len(FORMS)) - score_C.max()))
    return found, weight_C / weight_C.sum()
