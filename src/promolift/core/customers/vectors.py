"""Linear algebra on product vectors: nearest neighbours, principal directions and sums."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import polars as pl
from numpy.typing import NDArray

if TYPE_CHECKING:
    from scipy.sparse import csr_array

Floats = NDArray[np.float32]
NEAR, POWER, SLICE = 20, 16, 512  # neighbours of a product, how fast their weight falls, products compared at once


def sum_vectors(names: Sequence[str], of: pl.Series, vectors: pl.Series) -> Floats:
    """The sum of the vectors of each name's products, whose name is `of`; 0 where it has none."""
    place = {name: at for at, name in enumerate(names)}
    at_N = np.array([place.get(name, len(names)) for name in of], int)
    found = np.zeros((len(names) + 1, vectors.dtype.size), np.float32)  # type: ignore[attr-defined]
    np.add.at(found, at_N, vectors.to_numpy())
    return found[:-1]


def principal_directions(x_ND: Floats, most: int) -> Floats:
    """N x `most` or fewer: rows of length 1 laid on the directions in which they differ most; 0 stays 0."""
    there = (x_ND**2).sum(axis=1) > 0
    x_MD = _long(x_ND[there])
    x_MD -= x_MD.mean(axis=0)
    _, way_DD = np.linalg.eigh(x_MD.T.astype(np.float64) @ x_MD)
    way_DK = way_DD[:, ::-1][:, :most]
    way_DK = way_DK * np.sign(way_DK[np.abs(way_DK).argmax(axis=0), np.arange(way_DK.shape[1])])
    found = np.zeros((len(x_ND), way_DK.shape[1]), np.float32)
    found[there] = x_MD @ way_DK
    return found


def _long(x_ND: NDArray[np.floating]) -> Floats:
    """Rows of length 1; 0 stays 0."""
    size = np.linalg.norm(x_ND, axis=1, keepdims=True)
    return np.asarray(x_ND / np.where(size > 1e-9, size, 1.0), np.float32)


def nearest_neighbours(new_ND: Floats, old_MD: Floats) -> "csr_array":
    """M x N: of which known products a new one is made, weights adding to 1, or to 0 where it is like none.

    The NEAR most alike count, and all that are as like as the last of them: products with equal words are one.
    """
    from scipy.sparse import csr_array, vstack  # slow to import, and a refusal does not need it

    new_ND, old_MD = _long(new_ND), _long(old_MD)
    parts, near = [], min(NEAR, len(old_MD))
    for start in range(0, len(new_ND) if near else 0, SLICE):
        alike = np.maximum(new_ND[start : start + SLICE] @ old_MD.T, 0.0)
        least = -np.partition(-alike, near - 1, axis=1)[:, near - 1 : near]
        weight = np.where((alike >= least - 1e-6) & (alike > 0), alike, 0.0).astype(np.float64) ** POWER
        parts.append(csr_array(weight / np.maximum(weight.sum(axis=1, keepdims=True), 1e-300)))
    if not parts:
        return csr_array((len(old_MD), len(new_ND)))
    return csr_array(vstack(parts).T)
