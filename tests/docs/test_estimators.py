"""`UpliftEstimator` obeys scikit-learn: its own checks, pipelines, a search; and says what `effect.fit` says."""

from typing import Any

import numpy as np
import polars as pl
import pytest
from error_checks import raises_code
from sklearn import config_context
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import check_estimator

from promolift.core import effects
from promolift.trials.uplift_estimator import UpliftEstimator


class Drawn(UpliftEstimator):
    """For checks that know of no treatment and bring a handful of rows: rows repeated, every second treated."""

    def fit(self, X: Any, y: Any = None, treatment: Any = None) -> "Drawn":
        if np.ndim(X) != 2 or not isinstance(X, np.ndarray) or y is None or len(y) != len(X) or len(X) == 0:
            return super().fit(X, y, np.arange(len(y) if y is not None else 0) % 2)
        again = np.resize(np.arange(len(X)), max(len(X), 120))
        return super().fit(X[again], np.asarray(y)[again], np.arange(len(again)) % 2)

    def score(self, X: Any, y: Any, treatment: Any = None) -> float:
        return super().score(X, y, np.arange(len(y)) % 2)


def trial(n: int = 1500, seed: int = 0) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """Those with a positive first feature gain 2, the others nothing."""
    draw = np.random.default_rng(seed)
    X, treatment = draw.normal(size=(n, 3)), draw.integers(0, 2, n)
    return X, X[:, 1] + 2 * (X[:, 0] > 0) * treatment + draw.normal(size=n), treatment


@pytest.mark.slow
def test_scikit_learns_own_checks_pass() -> None:
    found = check_estimator(Drawn(), on_fail=None, on_skip=None)
    assert [(one["check_name"], str(one["exception"])) for one in found if one["status"] == "failed"] == []
    assert sum(one["status"] == "passed" for one in found) > 35


def test_it_says_what_the_room_says_and_finds_who_gains() -> None:
    X, y, treatment = trial()
    mine, theirs = UpliftEstimator().fit(X, y, treatment), effects.fit_effects(X, treatment, y)
    new = trial(200, 1)[0]
    assert (mine.predict(new) == theirs.predict(new).gain_NK[:, 0]).all()
    assert mine.predict(new)[new[:, 0] > 0.2].mean() > mine.predict(new)[new[:, 0] < -0.2].mean() + 1
    assert mine.score(*trial(1500, 2)) > 0.2  # 0.25 is the area of an order that knows who gains
    assert set(mine.recommend(new)) <= {0, 1}
    assert "1500 customers" in mine.explain_


def test_in_a_pipeline_and_a_search_with_routed_treatment() -> None:
    X, y, treatment = trial()
    with config_context(enable_metadata_routing=True):
        last = UpliftEstimator().set_fit_request(treatment=True).set_score_request(treatment=True)
        whole = make_pipeline(StandardScaler(), last).fit(X, y, treatment=treatment)
        search = GridSearchCV(last, {"cost": [0.0, 0.5]}, cv=2).fit(X, y, treatment=treatment)
    assert whole.predict(X[:5]).shape == search.predict(X[:5]).shape == (5,)
    assert search.best_score_ > 0.2


def test_frames_name_their_columns() -> None:
    X, y, treatment = trial(400)
    fitted = UpliftEstimator().fit(pl.DataFrame(X, schema=["a", "b", "c"]), y, treatment)
    assert list(fitted.feature_names_in_) == ["a", "b", "c"]
    with pytest.raises(ValueError) as caught:  # noqa: PT011 - scikit-learn's own
        fitted.predict(pl.DataFrame(X, schema=["b", "a", "c"]))
    assert "feature names" in str(caught.value)


def test_what_it_refuses() -> None:
    X, y, treatment = trial(400)
    with raises_code("value_missing", "treatment="):
        UpliftEstimator().fit(X, y)
    with raises_code("arm_too_small", "50"):
        UpliftEstimator().fit(X[:60], y[:60], treatment[:60])
    three = UpliftEstimator().fit(X, y, np.arange(400) % 3)
    assert three.predict(X).shape == (400, 2)
    with raises_code("multiple_treatments_unsupported", "2"):
        three.score(X, y, treatment)
