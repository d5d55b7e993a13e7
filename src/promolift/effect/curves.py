"""Terms of customers and columns of depths in; posteriors of their products, and curves made to fit a shape, out.

Legend: N customers, D depths, K tried depths above 0, J terms of a customer, B columns of a depth, P = J x B
parameters, G groups of parameters, T folds. Depth t is relative to the deepest one tried.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from promolift.effect.trial import Floats, Ints

FLAT = 1e-8  # prior precision of the common slope, relative to the data's: in effect none
BEND = 0.5  # a curve may depart from a line by this share of itself (s.d. over the range), whatever the data say
ROUNDS, TOLERANCE = 40, 0.02

Posterior = tuple[Floats, Floats, Floats]


@dataclass(frozen=True)
class Terms:
    """A customer's terms: 1, his base, his features, his features times his base. `group_J` says which is which."""

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
    def names(self) -> list[tuple[str, str]]:
        """(term, how it enters) of each column."""
        own = [*self.features, "base (log)"]
        head = [("everybody", "the common curve")]
        if not self.ratio:
            return [*head, ("base", "added"), *((name, "added") for name in self.features)]
        return [*head, ("base", "in proportion"), *((n, "added") for n in own), *((n, "in proportion") for n in own)]

    @property
    def group_J(self) -> Ints:
        """0 common, 1 base, 2 features added, 3 features in proportion."""
        count = len(self.features)
        return np.repeat([0, 1, 2, 3], [1, 1, count + 1, count + 1] if self.ratio else [1, 1, count, 0])


@dataclass(frozen=True)
class Rows:
    """Terms, arm, fold, residual of the base and its variance of each customer; centred columns of each depth."""

    u_NJ: Floats
    arm_N: Ints
    fold_N: Ints
    left_N: Floats
    noise_N: Floats
    b_DB: Floats

    def products(self) -> tuple[Floats, Floats]:
        """Per fold the weighted normal equations T x P x P and T x P; arm by arm, as all rows of one share a b."""
        folds, P = int(self.fold_N.max()) + 1, self.u_NJ.shape[1] * self.b_DB.shape[1]
        gram_TPP, side_TP = np.zeros((folds, P, P)), np.zeros((folds, P))
        for t in range(folds):
            for d, b_B in enumerate(self.b_DB):
                at = np.flatnonzero((self.fold_N == t) & (self.arm_N == d))
                u, scaled = self.u_NJ[at], self.u_NJ[at] / self.noise_N[at, None]
                gram_TPP[t] += np.kron(scaled.T @ u, np.outer(b_B, b_B))
                side_TP[t] += np.kron(scaled.T @ self.left_N[at], b_B)
        return gram_TPP, side_TP

    def score(self, coef_P: Floats, t: int) -> float:
        """Log score of fold t, up to a constant."""
        at = np.flatnonzero(self.fold_N == t)
        said_N = ((self.u_NJ[at] @ coef_P.reshape(self.u_NJ.shape[1], -1)) * self.b_DB[self.arm_N[at]]).sum(axis=1)
        return float(-0.5 * (((self.left_N[at] - said_N) ** 2 - self.left_N[at] ** 2) / self.noise_N[at]).sum())


def basis(depth_D: Floats, tried_D: Floats) -> tuple[Floats, Floats]:
    """b_DB: the line, and the bends' loadings given the tried depths; left_D: variance those depths leave open.

    A bend is a Wiener process that starts at depth 0: straight between tried depths on average, level beyond them.
    """
    t_D, t_K = depth_D / tried_D[-1], tried_D[1:] / tried_D[-1]
    root_KK = np.linalg.cholesky(np.minimum(t_K[:, None], t_K))
    load_DK = np.linalg.solve(root_KK, np.minimum(t_D[:, None], t_K).T).T
    left_D = np.maximum(t_D - (load_DK**2).sum(axis=1), 0.0)
    return np.column_stack([t_D, load_DK]), np.where(left_D < 1e-9, 0.0, left_D)


def posterior(gram_PP: Floats, side_P: Floats, group_J: Ints, keep_J: NDArray[np.bool_], columns: int) -> Posterior:
    """Mean, covariance, and prior variance of bends per term, with precisions learned per group of line or bend."""
    keep_P = np.repeat(keep_J, columns)
    gram, side = gram_PP[np.ix_(keep_P, keep_P)], side_P[keep_P]
    line_P = np.tile(np.arange(columns) == 0, int(keep_J.sum()))
    group_P = 2 * np.repeat(group_J[keep_J], columns) + ~line_P
    count_G = np.maximum(np.bincount(group_P), 1)
    scale_G = np.bincount(group_P, np.diag(gram)) / count_G + 1e-12
    alpha_G = 0.01 * scale_G
    alpha_G[0] = FLAT * scale_G[0]  # the common slope is not shrunk
    for _ in range(ROUNDS):
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
    return coef_P, cov_PP, bend_J


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
