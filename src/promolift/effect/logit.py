"""A design and 0/1 outcomes in; logistic coefficients, their covariance and the spread of each group of columns out.

statsmodels' mixed GLM cannot penalise groups by spreads it estimates, and scikit-learn gives no covariance; hence ours.
Legend: N rows, P columns (an intercept first), G groups of columns, Q quadrature nodes.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class LogitFit:
    """`sd_G`: standard deviation of the coefficients of each group (log odds)."""

    coef_P: Floats
    covariance_PP: Floats
    sd_G: tuple[float, ...]


def fit_logit(x_NP: Floats, y_N: Floats, sizes: Sequence[int], guess_G: Sequence[float], weight: float) -> LogitFit:
    """Logistic regression of `y_N` (0 or 1); column 0 of `x_NP` is 1, then come groups of `sizes` columns.

    A group's coefficients are normal around zero; its spread starts at `guess_G`, which weighs as much as `weight`
    coefficients, and is fitted by EM steps on a Laplace approximation (Breslow and Clayton 1993, JASA 88(421)), which
    makes it a little small where groups have few columns with few rows each.
    """
    guess = np.array(guess_G) ** 2
    variance_G = guess.copy()
    group_P = np.repeat(np.arange(len(sizes)), sizes)
    coef_P = np.zeros(x_NP.shape[1])
    for _ in range(100):
        # the intercept is hardly held at all: it is the level of the data
        coef_P, covariance_PP = _newton(x_NP, y_N, np.r_[1e-6, 1 / variance_G[group_P]], coef_P)
        square_P = coef_P[1:] ** 2 + np.diag(covariance_PP)[1:]
        total_G = np.bincount(group_P, square_P, minlength=len(sizes))
        new_G = (total_G + weight * guess) / (np.array(sizes) + weight)
        moved = np.abs(np.log(new_G / variance_G)).max()
        variance_G = new_G
        if moved < 1e-3:
            break
    return LogitFit(coef_P, covariance_PP, tuple(np.sqrt(variance_G).tolist()))


def _newton(x_NP: Floats, y_N: Floats, penalty_P: Floats, start_P: Floats) -> tuple[Floats, Floats]:
    """Maximum of log likelihood - penalty * coef^2 / 2, and the inverse of its curvature there."""

    def loss(b_P: Floats) -> float:
        eta_N = x_NP @ b_P
        return float((np.logaddexp(0, eta_N) - y_N * eta_N).sum() + (penalty_P * b_P**2).sum() / 2)

    b_P, value = start_P, loss(start_P)
    for _ in range(100):
        mu_N = sigmoid(x_NP @ b_P)
        slope_P = x_NP.T @ (y_N - mu_N) - penalty_P * b_P
        curve_PP = (x_NP.T * (mu_N * (1 - mu_N))) @ x_NP + np.diag(penalty_P)
        step_P = np.linalg.solve(curve_PP, slope_P)
        while loss(b_P + step_P) > value + 1e-9 * abs(value):
            step_P = step_P / 2  # a full step can overshoot where almost nobody redeems
        b_P = b_P + step_P
        value = loss(b_P)
        if np.abs(step_P).max() < 1e-9:
            break
    inverse_PP: Floats = np.linalg.inv(curve_PP).astype(np.float64, copy=False)
    return b_P, inverse_PP


def mean_probability(eta_N: Floats, sd_N: Floats) -> Floats:
    """Mean of the logistic function over a normal log odds, by Gauss-Hermite quadrature with 20 nodes."""
    node_Q, weight_Q = np.polynomial.hermite_e.hermegauss(20)
    weight_Q = weight_Q / weight_Q.sum()
    total_N = np.zeros_like(eta_N)
    for node, weight in zip(node_Q, weight_Q, strict=True):
        total_N += weight * sigmoid(eta_N + node * sd_N)
    return total_N


def sigmoid(eta_N: Floats) -> Floats:
    """1 / (1 + exp(-eta)) without overflow."""
    p_N: Floats = np.exp(-np.logaddexp(0, -eta_N))
    return p_N
