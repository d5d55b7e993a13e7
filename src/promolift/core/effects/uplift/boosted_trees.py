"""Grow small boosted trees (LightGBM) on binned features, and evaluate them with numba.

Every tree of a fit shares the bins, so that new rows are binned once; a tree of 8 leaves is walked by masks of bits as
in QuickScorer (Lucchese et al. 2015, SIGIR), several times faster than LightGBM does it. Legend: N rows, F features,
E edges, T trees, D inner nodes (7 at most), L leaves (8), J folds.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from itertools import count
from typing import TYPE_CHECKING, Any, NamedTuple, cast

import numpy as np
from numpy.typing import NDArray

from promolift.core.effects.trial_arrays import Family, Floats, Ints

if TYPE_CHECKING:
    from lightgbm import Booster, Dataset

Codes = NDArray[np.uint8]
TREES, PATIENCE, LEAVES = 300, 15, 8
MAX_EDGES = 62  # of a feature at most; codes 0..62 are values, MISSING is none
MISSING, NEVER = 255, 254
EDGE_SAMPLE_ROWS = 50_000  # rows that edges are found on
BLOCK_ROWS = 1024  # rows whose masks are held at once
LIGHTGBM_OPTIONS = {"num_threads": 1, "deterministic": True, "force_row_wise": True, "verbosity": -1}  # of LightGBM
OBJECTIVE = {"binary": "binary", "count": "poisson", "real": "regression"}
LOWEST_SET_BIT = np.array([0] + [(i & -i).bit_length() - 1 for i in range(1, 256)], dtype=np.int64)  # lowest set bit


@dataclass(frozen=True)
class Bins:
    """Ascending edges of each feature, padded with infinity; they know no arm and no outcome."""

    edge_FE: Floats

    def codes(self, x_NF: Floats) -> Codes:
        """code_FN: how many edges a value lies above; MISSING for NaN."""
        code_FN = np.stack([np.searchsorted(edge_E, x_N) for edge_E, x_N in zip(self.edge_FE, x_NF.T, strict=True)])
        return np.where(np.isnan(x_NF.T), MISSING, code_FN).astype(np.uint8)


def fit_bins(x_NF: Floats) -> Bins:
    """Edges between all values where they are few, else at quantiles."""
    edge_FE = np.full((x_NF.shape[1], MAX_EDGES), np.inf)
    for f in range(x_NF.shape[1]):
        values = x_NF[:: max(1, len(x_NF) // EDGE_SAMPLE_ROWS), f]
        values = values[np.isfinite(values)]
        unique = np.unique(values)
        if len(unique) > MAX_EDGES + 1:
            unique = np.unique(np.quantile(values, np.linspace(0, 1, MAX_EDGES + 1)))
        middles = (unique[1:] + unique[:-1]) / 2
        edge_FE[f, : len(middles)] = middles
    return Bins(edge_FE)


@dataclass(frozen=True)
class Boosted:
    """Trees on bins: node d of tree t sends a row on if code > `limit_TD` of `feature_TD` (-1: no node), and keeps then
    the leaves of `mask_TD`; `missing_TD` is the code that goes left all the same. `leaf_TL` left to right. All add to
    `start`."""

    feature_TD: Ints
    limit_TD: Codes
    missing_TD: Codes
    mask_TD: Codes
    leaf_TL: Floats
    start: float

    def raw(self, code_FN: Codes) -> Floats:
        """Raw predictions, the start among them."""
        out_N = np.full(code_FN.shape[1], self.start)
        _walker()(
            code_FN,
            self.feature_TD,
            self.limit_TD,
            self.missing_TD,
            self.mask_TD,
            self.leaf_TL,
            LOWEST_SET_BIT,
            BLOCK_ROWS,
            out_N,
        )
        return out_N


_NO_NODE = np.zeros((0, LEAVES - 1), dtype=np.uint8)
NO_TREE = Boosted(_NO_NODE.astype(np.int64), _NO_NODE, _NO_NODE, _NO_NODE, np.zeros((0, LEAVES)), 0.0)


@lru_cache(1)
def _walker() -> Callable[..., None]:
    """Compiled at its first call, which alone loads numba: a refusal need not wait for it."""
    import numba

    def walk(
        code_FN: Codes, feature_TD: Ints, limit_TD: Codes, missing_TD: Codes, mask_TD: Codes, leaf_TL: Floats,
        lowest: Ints, block: int, out_N: Floats,
    ) -> None:  # fmt: skip
        mask = np.empty(block, dtype=np.uint8)
        for start in range(0, len(out_N), block):
            size = min(block, len(out_N) - start)
            out = out_N[start : start + size]
            for t in range(len(leaf_TL)):
                mask[:] = 255
                for d in range(feature_TD.shape[1]):
                    f = feature_TD[t, d]
                    if f < 0:
                        break
                    codes = code_FN[f, start : start + size]
                    limit, missing, left = limit_TD[t, d], missing_TD[t, d], mask_TD[t, d]
                    for i in range(size):
                        mask[i] &= np.uint8(255) if (codes[i] <= limit) | (codes[i] == missing) else left
                leaves = leaf_TL[t]
                for i in range(size):
                    out[i] += leaves[lowest[mask[i]]]

    return cast(Callable[..., None], numba.njit(cache=True, nogil=True, error_model="numpy")(walk))


def with_arm(code_FN: Codes, arm: int, arms: int) -> Codes:
    """The codes and a 0/1 row for each treatment, of customers who are all in one arm."""
    flags = [np.full(code_FN.shape[1], a == arm, dtype=np.uint8) for a in range(1, arms)]
    return np.vstack([code_FN, *flags])


class BoostingData(NamedTuple):
    """What trees are grown on: LightGBM's view of the codes, with a 0/1 column for each treatment after them."""

    data: "Dataset"
    features: int


def make_boosting_data(code_FN: Codes, arm_N: Ints, arms: int) -> BoostingData:
    """One data set for all trees of a fit."""
    import lightgbm

    columns = np.empty((code_FN.shape[1], len(code_FN) + arms - 1), dtype=np.float32)
    for f, codes in enumerate(code_FN):
        columns[:, f] = np.where(codes == MISSING, np.float32(np.nan), codes)
    for a in range(1, arms):
        columns[:, len(code_FN) + a - 1] = arm_N == a
    options = {
        "max_bin": 65, "min_data_in_bin": 1, "bin_construct_sample_cnt": 20_000, "feature_pre_filter": False,
        "enable_bundle": False, "is_enable_sparse": False, "verbosity": -1, "num_threads": 1,
    }  # fmt: skip
    made = lightgbm.Dataset(columns, np.zeros(len(columns)), params=options, free_raw_data=True)
    return BoostingData(made.construct(), len(code_FN))


class BoostingTarget(NamedTuple):
    """What trees are grown for: some rows, their target and fold, and a start for each fold, J x rows. `arms`: whether
    trees may split by the arm."""

    rows_N: Ints
    y_N: Floats
    fold_N: Ints
    start_JN: Floats
    family: Family = "real"
    arms: bool = False


def boost(grown: BoostingData, target: BoostingTarget, *, rate: float = 0.1) -> tuple[Boosted, ...]:
    """Gradient boosting (LightGBM) on all folds but one, for each fold; as many trees for all as lose least on average
    where they did not learn, so that no fold's own outcomes choose the model that judges them. Starts are not kept."""
    import lightgbm

    found, losses = [], []
    if any(np.ptp(target.y_N[target.fold_N != j]) == 0 for j in range(len(target.start_JN))):
        return (NO_TREE,) * len(target.start_JN)  # some fold's others are all alike: nothing can be learned
    for fold in range(len(target.start_JN)):
        inside = target.fold_N != fold
        train, valid = (_subset(grown.data, target, rows, fold) for rows in (inside, ~inside))
        model = lightgbm.Booster(_params(target, grown, int(inside.sum()), rate), train)
        model.add_valid(valid, "held")
        losses.append(_until_patience(model))
        found.append(model)
    shared = min(len(loss) for loss in losses)
    best = int(np.mean([loss[:shared] for loss in losses], axis=0).argmin())  # 0: no tree at all
    return tuple(_read(model, best) for model in found)


def _subset(data: "Dataset", target: BoostingTarget, rows_N: NDArray[np.bool_], fold: int) -> "Dataset":
    part = data.subset(target.rows_N[rows_N].tolist()).construct()
    return part.set_label(target.y_N[rows_N]).set_init_score(target.start_JN[fold][rows_N])


def _until_patience(model: "Booster") -> list[float]:
    """Grow; the loss on the held rows after each number of trees, none first.

    A tree finds no split where the features drawn for it say nothing: the next draw may.
    """
    losses, idle = [float(model.eval_valid()[0][2])], 0
    while idle < PATIENCE and len(losses) <= TREES and len(losses) - int(np.argmin(losses)) <= PATIENCE:
        idle = idle + 1 if model.update() else 0
        if model.num_trees() >= len(losses):
            losses.append(float(model.eval_valid()[0][2]))
    return losses


def _params(target: BoostingTarget, grown: BoostingData, rows: int, rate: float) -> dict[str, object]:
    width = grown.data.num_feature()
    allowed = [1.0] * width if target.arms else [1.0] * grown.features + [0.0] * (width - grown.features)
    return LIGHTGBM_OPTIONS | {
        "objective": OBJECTIVE[target.family], "num_leaves": LEAVES, "learning_rate": rate,
        "min_data_in_leaf": max(10, min(200, rows // 50)), "lambda_l2": 10.0, "feature_fraction": 0.7,
        "feature_contri": allowed, "max_bin": 65, "seed": 1, "boost_from_average": False, "feature_pre_filter": False,
    }  # fmt: skip


def _read(model: "Booster", trees: int) -> Boosted:
    """The first `trees` of a booster as arrays."""
    shape = (trees, LEAVES - 1)
    feature, limit = np.full(shape, -1, dtype=np.int64), np.zeros(shape, dtype=np.uint8)
    missing, mask = np.full(shape, NEVER, dtype=np.uint8), np.zeros(shape, dtype=np.uint8)
    leaf = np.zeros((trees, LEAVES))

    def visit(t: int, node: dict[str, Any], places: Iterator[int], leaves: int) -> int:
        """Keep a node, at the next of `places`, and all below it; how many leaves there are by then."""
        if "split_feature" not in node:
            leaf[t, leaves] = node["leaf_value"]
            return leaves + 1
        d = next(places)
        feature[t, d], limit[t, d] = node["split_feature"], int(np.clip(np.floor(node["threshold"]), 0, NEVER - 1))
        by_default = node["missing_type"] == "NaN"  # missing values were seen, and have a direction
        missing[t, d] = MISSING if not by_default or node["default_left"] else NEVER
        right = visit(t, node["left_child"], places, leaves)
        mask[t, d] = 255 & ~sum(1 << place for place in range(leaves, right))
        return visit(t, node["right_child"], places, right)

    for t, tree in enumerate(model.dump_model(num_iteration=trees)["tree_info"] if trees else ()):
        visit(t, tree["tree_structure"], count(), 0)
    return Boosted(feature, limit, missing, mask, leaf, 0.0)
