"""What was known of rows, and an outcome, in; a ridge regression that foretells it of others out.

Legend: N rows that are learned from, M rows that are asked about, F features, P columns, A arms.
"""

import numpy as np
from numpy.typing import NDArray

from promolift.effect.linear import Basis, basis_of

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


def foretold(basis: Basis, x_NF: Floats, value_N: Floats, x_MF: Floats) -> Floats:
    """Predictions on standardised columns, shrunk by one row for each; the intercept is never shrunk."""
    z_NP = basis.columns(x_NF)
    penalty = np.full(z_NP.shape[1], float(z_NP.shape[1]))
    penalty[0] = 1e-9
    coef_P = np.linalg.solve(z_NP.T @ z_NP + np.diag(penalty), z_NP.T @ value_N)
    return np.asarray(basis.columns(x_MF) @ coef_P)


def expected_money(x_NF: Floats, arm_N: Ints, money_N: Floats, arms: int, x_MF: Floats) -> Floats:
    """Money expected in each arm (M x A), never below 0: what a percentage of it costs."""
    basis = basis_of(x_NF)
    found = [foretold(basis, x_NF[arm_N == arm], money_N[arm_N == arm], x_MF) for arm in range(arms)]
    return np.maximum(np.column_stack(found), 0.0)
