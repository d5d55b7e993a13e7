"""Non-negative outcomes, regressors and fixed effects in; semi-elasticities with cluster-robust errors out.

Cells are M, regressors K. A library (pyhdfe, pyfixest) would bring a compiled stack for one estimator of thirty lines.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from promolift.errors import SupportError

Real = NDArray[np.float64]
Codes = NDArray[np.int64]

SWEEPS, STEPS, TOLERANCE = 3, 40, 1e-5


@dataclass(frozen=True)
class PoissonFit:
    """Coefficients and their clustered covariance; `mu_M` fitted means; `resid_MK` regressors net of fixed effects."""

    beta_K: Real
    cov_KK: Real
    mu_M: Real
    resid_MK: Real
    cells: int
    clusters: int

    @property
    def se_K(self) -> Real:
        """Standard errors of `beta_K`."""
        return np.asarray(np.sqrt(np.diag(self.cov_KK)))


def codes(frame: pl.DataFrame, *columns: str) -> Codes:
    """Dense integers 0..G-1, one per distinct combination of `columns`, in sorted order."""
    ranked = frame.select(pl.struct(columns).rank("dense") - 1).to_series()
    return ranked.to_numpy().astype(np.int64)


def fit_ppml(outcome_M: Real, regressors_MK: Real, effects: list[Codes], clusters: list[Codes]) -> PoissonFit:
    """Poisson pseudo-maximum likelihood with high-dimensional fixed effects.

    E[y] = exp(sum of effects + x'beta); consistent whenever the mean is right, whatever the distribution of y
    (Gourieroux, Monfort, Trognon 1984; Correia, Guimaraes, Zylkin 2020). Effects are profiled out by exact scaling,
    beta by Newton steps on regressors made orthogonal to the effects in the current weights. Variance is the sandwich,
    clustered in each of the ways given, the widest of them kept (their sum is not always positive). Raises SupportError
    where a regressor does not vary within the effects or no fit is found.
    """
    y, x = outcome_M, regressors_MK
    totals: list[Real] = [np.bincount(f, weights=y).astype(np.float64) for f in effects]
    mu, net, beta = np.full(len(y), y.mean()), x.copy(), np.zeros(x.shape[1])
    spread = x.std(axis=0)
    for step_number in range(STEPS):
        _scale(mu, totals, effects)
        _project(net, mu, effects, sweeps=15 if step_number == 0 else 5)
        hessian = (net * mu[:, None]).T @ net
        if (np.sqrt(np.diag(hessian) / mu.sum()) < 1e-3 * np.maximum(spread, 1e-12)).any():
            raise SupportError("the discount does not vary within customer, category and week: no response can be read")
        step = np.linalg.solve(hessian, net.T @ (y - mu))
        beta += step
        mu *= np.exp(x @ step)
        if not np.isfinite(mu).all() or np.abs(beta).max() > 50:
            break
        if np.abs(step).max() < TOLERANCE:
            _scale(mu, totals, effects)
            return max((_robust(beta, y, mu, net, each) for each in clusters), key=_spread)
    raise SupportError(f"the response model did not settle after {STEPS} steps: too little variation in {len(y)} cells")


def _scale(mu: Real, totals: list[Real], effects: list[Codes]) -> None:
    """Multiply `mu` in place until its sums over each effect's groups equal those of the outcome."""
    for _ in range(SWEEPS):
        for total, group in zip(totals, effects, strict=True):
            fitted = np.bincount(group, weights=mu)
            mu *= np.divide(total, fitted, out=np.zeros_like(total), where=fitted > 0)[group]


def _project(net: Real, weight: Real, effects: list[Codes], sweeps: int) -> None:
    """Subtract weighted group means in place, effect by effect (alternating projections)."""
    for _ in range(sweeps):
        for group in effects:
            mass = np.bincount(group, weights=weight)
            for k in range(net.shape[1]):
                mean = np.bincount(group, weights=weight * net[:, k]) / np.maximum(mass, 1e-300)
                net[:, k] -= mean[group]


def _robust(beta: Real, y: Real, mu: Real, net: Real, cluster: Codes) -> PoissonFit:
    clusters = int(cluster.max()) + 1
    if clusters < 10:
        raise SupportError(f"{clusters} groups carry the discount response; at least 10 are needed for an error")
    score = np.stack([np.bincount(cluster, weights=net[:, k] * (y - mu)) for k in range(net.shape[1])], axis=1)
    bread: Any = np.linalg.inv((net * mu[:, None]).T @ net)
    cov = clusters / (clusters - 1) * bread @ (score.T @ score) @ bread
    return PoissonFit(beta, cov, mu, net, len(y), clusters)


def _spread(fit: PoissonFit) -> float:
    return float(np.trace(fit.cov_KK))
