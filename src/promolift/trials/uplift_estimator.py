"""A scikit-learn estimator of uplift: what a treatment adds for each customer.

`UpliftEstimator` wraps `effects.fit_effects` in `fit`, `predict` and `score`, for pipelines, clones and grid searches.
The treatment is metadata, as sample weights are: `set_fit_request(treatment=True)` routes it through a pipeline.
"""

from typing import Any, Self, cast

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_is_fitted, validate_data

from promolift.core.effects.uplift.learner_selection import EffectSettings
from promolift.core.effects.uplift.uplift_model import EffectModel, fit_effects
from promolift.core.experiments.uplift_curves import qini_area
from promolift.foundation.errors import InputError
from promolift.foundation.i18n.lazy_message import gettext_lazy

Floats = NDArray[np.float64]


class UpliftEstimator(BaseEstimator):  # type: ignore[misc]  # scikit-learn has no types
    """Estimate what each treatment adds, net of its cost, for each customer.

    `propensity`: None where all had the same (the arms' shares are taken), "estimate" where it hung on the features, or
    each treatment's, (N, K). `cost`: of treating one customer, in the outcome's unit. Learners compete out of fold, and
    customers are told apart only as far as they prove that they differ (`explain_` says so). X is numeric, (N, F).
    """

    def __init__(self, *, propensity: ArrayLike | None = None, cost: float = 0.0, seed: int = 0) -> None:
        self.propensity, self.cost, self.seed = propensity, cost, seed

    def fit(self, X: ArrayLike, y: ArrayLike, treatment: ArrayLike | None = None) -> Self:
        """Learn from N customers: outcome y (N,), treatment (N,) of 0 for control and 1..K.

        Raises InputError without treatment, SupportError where an arm has fewer than 50 customers.
        """
        if treatment is None:
            raise InputError(
                "value_missing", gettext_lazy("fit: pass treatment=, 0 for control and 1..K, one for each row of X")
            )
        x_NF, y_N = validate_data(self, X, y, dtype=np.float64, y_numeric=True)
        propensity = cast(Any, self.propensity)
        settings = EffectSettings(seed=self.seed)
        self.model_: EffectModel = fit_effects(
            x_NF, treatment, y_N, propensity_NK=propensity, cost_NK=self.cost, settings=settings
        )
        self.explain_ = self.model_.explain()
        return self

    def predict(self, X: ArrayLike) -> Floats:
        """Return the gain net of cost in the outcome's unit: (N,) with one treatment, else (N, K)."""
        gain_NK = self._model().predict(self._checked(X)).gain_NK
        return gain_NK[:, 0] if gain_NK.shape[1] == 1 else gain_NK

    def recommend(self, X: ArrayLike) -> NDArray[np.int64]:
        """Return the arm for each customer, (N,): 0 for no treatment. A ranking is followed only if it proved to earn
        more.
        """
        return self._model().policy(self._checked(X))

    def score(self, X: ArrayLike, y: ArrayLike, treatment: ArrayLike) -> float:
        """Return the area between the Qini curve of `predict` and its diagonal, in y's unit per customer. One treatment
        only.

        Of the worth that decides who is treated, so a model that found no differences still ranks by the best of its
        learners, if one proved to rank.
        """
        worth_NK = self._model().net_gains(self._checked(X))
        if worth_NK.shape[1] != 1:
            raise InputError(
                "multiple_treatments_unsupported",
                gettext_lazy("score: one treatment has a Qini curve; this model has {shape}", shape=worth_NK.shape[1]),
            )
        return qini_area(y, worth_NK[:, 0], treatment).value

    def _model(self) -> EffectModel:
        check_is_fitted(self, "model_")
        return self.model_

    def _checked(self, X: ArrayLike) -> Floats:
        return cast(Floats, validate_data(self, X, dtype=np.float64, reset=False))
