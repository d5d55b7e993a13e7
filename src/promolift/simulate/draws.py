"""Hash keys and cell numbers in; uniform, normal and Poisson numbers out, whole arrays at once.

One `hash_int` per row key, then one mixing step per cell, so that millions of cells cost a second and a row's numbers
depend on nothing but its own key.
"""

from collections.abc import Iterable

import numpy as np
import scipy
from numpy.typing import NDArray

from promolift.hashing import hash_int, mix

Floats = NDArray[np.float64]
Keys = NDArray[np.uint64]


def keys(seed: object, purpose: str, names: Iterable[object]) -> Keys:
    """One 64-bit key per name; another purpose gives independent numbers."""
    return np.array([hash_int(seed, purpose, name) for name in names], dtype=np.uint64)


def uniform(key: Keys, cell: NDArray[np.int64] | int = 0) -> Floats:
    """Numbers in (0, 1), 52 bits, for every broadcast pair of key and cell (splitmix64, Steele et al. 2014)."""
    with np.errstate(over="ignore"):  # arithmetic modulo 2^64 is meant
        z = key + (np.asarray(cell).astype(np.uint64) + np.uint64(1)) * np.uint64(0x9E3779B97F4A7C15)
        z = mix(z)
    whole: Floats = ((z >> np.uint64(12)).astype(np.float64) + 0.5) / 2.0**52
    return whole


def normal(key: Keys, cell: NDArray[np.int64] | int = 0) -> Floats:
    """Standard normal numbers."""
    bell: Floats = scipy.special.ndtri(uniform(key, cell))
    return bell


def poisson(unit: Floats, mean: Floats) -> NDArray[np.int64]:
    """The Poisson quantile of each unit: the least k with P(X <= k) >= unit. For small means (below 500)."""
    count = np.zeros(unit.shape, dtype=np.int64)
    mass = np.exp(-mean)
    left = unit - mass
    at = np.flatnonzero(left > 0)
    mean, mass, left = mean.ravel()[at], mass.ravel()[at], left.ravel()[at]
    k = 0
    while at.size:
        k += 1
        mass = mass * mean / k
        left = left - mass
        count.ravel()[at] = k
        # beyond the mean, a mass that rounds to nothing ends the search: the unit was within rounding of 1
        more = (left > 0) & ((mass > 1e-17) | (k < mean))
        at, mean, mass, left = at[more], mean[more], mass[more], left[more]
    return count
