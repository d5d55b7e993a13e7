"""Trees are walked to the same predictions as LightGBM's own, bit for bit."""

import lightgbm as lgb
import numpy as np
import pytest

from promolift.core.customers.forecasts.boosted_trees import LEAVES, read_trees


def grown(x, y, rounds, **more):
    options = {"objective": "binary", "num_leaves": 31, "min_data_in_leaf": 5, "num_threads": 1, "verbose": -1}
    return lgb.train(options | more, lgb.Dataset(x, y), rounds)


@pytest.mark.parametrize("missing", [0.0, 0.2])
@pytest.mark.parametrize("leaves", [2, 31, LEAVES])
def test_predictions_are_lightgbms_to_the_bit(missing, leaves):
    rng = np.random.default_rng(leaves)
    x = rng.normal(size=(3_000, 6)).astype(np.float32)
    x[:, 1] = x[:, 1].round(1)  # ties with limits
    x[rng.random(x.shape) < missing] = np.nan
    y = np.nan_to_num(x[:, 0] * x[:, 1]) + np.isnan(x[:, 2]) + rng.normal(size=len(x)) > 0.3
    model = grown(x, y, 20, num_leaves=leaves)
    trees = read_trees(model.model_to_string())
    values = np.r_[np.nan, np.inf, -np.inf, 0.0, trees.limit_D, np.nextafter(trees.limit_D, np.float32(np.inf))]
    values = values[~(np.abs(values) <= 1e-35) | (values == 0)]  # LightGBM takes such for 0
    new = np.r_[x, np.repeat(values.astype(np.float32)[:, None], 6, axis=1)]
    found = trees.raw(new)
    assert found.tolist() == model.predict(new, raw_score=True, num_threads=1).tolist()


def test_trees_that_found_no_split_and_no_rows():
    x = np.ones((100, 2), np.float32)
    model = grown(x, np.arange(100) % 3 == 0, 3)
    found = read_trees(model.model_to_string())
    assert found.raw(x[:5]).tolist() == model.predict(x[:5], raw_score=True).tolist()
    assert found.raw(x[:0]).tolist() == []
