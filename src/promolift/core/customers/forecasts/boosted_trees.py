"""Evaluate small boosted trees from LightGBM's text format; the raw predictions equal LightGBM's bit for bit.

A node takes leaves away from the rows that it sends right, and the leftmost that is left is a row's own (QuickScorer,
Lucchese et al. 2015, SIGIR). Legend: R rows, X inputs, T trees, D inner nodes of all trees, L leaves (32 at most).
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import lightgbm as lgb
import numba
import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Ints = NDArray[np.int64]
Masks = NDArray[np.uint32]
LEAVES = 32
BLOCK_ROWS = 1024  # rows whose masks are held at once
LOWEST_SET_BIT = np.zeros(32, np.int64)  # the place of a bit that stands alone, by the highest five bits of its product
LOWEST_SET_BIT[[(0x077CB531 << place & 0xFFFFFFFF) >> 27 for place in range(32)]] = range(32)


@dataclass(frozen=True)
class Trees:
    """The nodes of tree t are `start_T[t]` to `start_T[t + 1]`: a row whose input is above the limit keeps the leaves
    of `mask_D`; so does one without a value, but where `nan_left_D`.
    """

    start_T: Ints
    input_D: Ints
    limit_D: Floats
    nan_left_D: NDArray[np.bool_]
    mask_D: Masks
    leaf_TL: NDArray[np.float64]

    def raw(self, x_RX: Floats) -> NDArray[np.float64]:
        """The sum over the trees, of each row."""
        out_R = np.zeros(len(x_RX))
        nodes = (self.start_T, self.input_D, self.limit_D, self.nan_left_D, self.mask_D)
        _walked(np.ascontiguousarray(x_RX.T), *nodes, self.leaf_TL, LOWEST_SET_BIT, out_R)
        return out_R


@lru_cache(4)
def read_trees(text: str) -> Trees:
    """The trees of a LightGBM text, each with 32 leaves at most."""
    nodes: list[tuple[int, float, bool, int]] = []
    starts, leaves = [0], []

    def visit(node: dict[str, Any], own: list[float]) -> None:
        """Keep a node and all below it; `own` are the leaves of its tree so far, from the left."""
        if "split_feature" not in node:
            own.append(node["leaf_value"])
            return
        limit, first = node["threshold"], len(own)
        nan_left = node["default_left"] if node["missing_type"] == "NaN" else limit >= 0  # none was seen: it is 0
        visit(node["left_child"], own)
        taken = sum(1 << place for place in range(first, len(own)))
        nodes.append((node["split_feature"], limit, nan_left, 0xFFFFFFFF & ~taken))
        visit(node["right_child"], own)

    for tree in lgb.Booster(model_str=text).dump_model()["tree_info"]:
        own: list[float] = []
        visit(tree["tree_structure"], own)
        starts.append(len(nodes))
        leaves.append(own + [0.0] * (LEAVES - len(own)))
    inputs, limits, nan_left, masks = zip(*nodes, strict=True) if nodes else ((), (), (), ())
    exact = np.array(limits, np.float64)
    with np.errstate(over="ignore"):
        limit = exact.astype(np.float32)  # LightGBM writes 1e300 for infinity
    above = (limit > exact) & np.isfinite(limit)
    limit = np.where(above, np.nextafter(limit, np.float32(-np.inf)), limit)  # the highest float32 that is no higher
    return Trees(
        np.array(starts), np.array(inputs, np.int64), limit, np.array(nan_left, np.bool_),
        np.array(masks, np.uint32), np.array(leaves).reshape(-1, LEAVES),
    )  # fmt: skip


def _walk(
    x_XR: Floats, start_T: Ints, input_D: Ints, limit_D: Floats, nan_left_D: Any, mask_D: Masks, leaf_TL: Any,
    lowest: Ints, out_R: Any,
) -> None:  # fmt: skip
    mask, every, low = np.empty(BLOCK_ROWS, np.uint32), np.uint32(0xFFFFFFFF), np.uint32(0x077CB531)
    for start in range(0, len(out_R), BLOCK_ROWS):
        size = min(BLOCK_ROWS, len(out_R) - start)
        out = out_R[start : start + size]
        for t in range(len(start_T) - 1):
            mask[:] = every
            for d in range(start_T[t], start_T[t + 1]):
                value, limit, kept = x_XR[input_D[d], start : start + size], limit_D[d], mask_D[d]
                if nan_left_D[d]:
                    for i in range(size):
                        mask[i] &= kept if value[i] > limit else every
                else:
                    for i in range(size):
                        mask[i] &= every if value[i] <= limit else kept
            leaves = leaf_TL[t]
            for i in range(size):
                alone = np.uint32(mask[i] & (~mask[i] + np.uint32(1)))
                out[i] += leaves[lowest[np.uint32(alone * low) >> np.uint32(27)]]


_walked: Callable[..., None] = numba.njit(cache=True)(_walk)
