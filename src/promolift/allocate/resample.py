"""Means and deviations of chosen customers in, resampled totals out: the compiled loop of `risk`."""

import numpy as np

from promolift.allocate.core import Floats, Keys
from promolift.allocate.kernel import compiled, mix


@compiled
def totals(mean_C: Floats, deviation_C: Floats, key_C: Keys, seed: np.uint64, draws: int) -> Floats:
    """`draws` totals: exponential weights of mean 1, scaled to their number, times gains from their posterior."""
    total_D = np.empty(draws, np.float64)
    for d in range(draws):
        total, weights = 0.0, 0.0
        for i in range(mean_C.size):
            salt = seed + np.uint64(3 * d)
            weight = -np.log(1.0 - mix(key_C[i], salt))
            radius = np.sqrt(-2.0 * np.log(1.0 - mix(key_C[i], salt + np.uint64(1))))
            normal = radius * np.cos(2.0 * np.pi * mix(key_C[i], salt + np.uint64(2)))
            total += weight * (mean_C[i] + deviation_C[i] * normal)
            weights += weight
        total_D[d] = total / weights * mean_C.size
    return total_D
