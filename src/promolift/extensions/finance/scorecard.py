"""Predict a yes or no outcome as a calibrated probability with reasons: take-up of an offer, or default on a loan.

The model learns which customers say yes, separately from when: each month has its own level, and the level of the next
month is estimated from the latest rows. A score is a prediction, not an effect. Legend: N rows, F features, P columns
of the basis, B blocks of time (months), J folds.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import polars as pl
import scipy
from numpy.typing import NDArray

from promolift.core.effects.trial_arrays import FeatureEncoder, Floats, Ints, fit_encoder, row_keys
from promolift.core.effects.uplift.linear_learners import Basis, fit_basis
from promolift.foundation.errors import SupportError
from promolift.foundation.i18n.lazy_message import gettext_lazy

MIN_CLASS_ROWS = 30  # of yes and of no, below which there is no model
FOLDS = 5
PERIOD_CORRELATION = (
    0.8  # of the variance of a column's ranks between blocks: then it says when a row was made, not whose it is
)
PENALTIES = (0.003, 0.03, 0.3)  # inverse ones of the logistic regression on standardised columns
TREE_SIZES = ((4, 0.05, 100), (8, 0.04, 200))  # leaves, rate and number of trees
LIGHTGBM_OPTIONS: dict[str, Any] = {
    "objective": "binary", "verbose": -1, "num_threads": 1, "deterministic": True, "seed": 1, "min_data_in_leaf": 30,
    "feature_fraction": 0.7, "lambda_l2": 5.0,
}  # fmt: skip
LEVEL_WINDOWS = (250, 500, 1000, 2000, 4000)  # latest rows that the next block's level may be read from
BLOCK_DECAY = 0.7  # how much of a block's say in that choice is left a block later; each block has one, however large
MIN_BLOCKS = 3  # before a level is forecast


class MemberLogOdds(NamedTuple):
    """Log odds of a logistic regression and of trees, without the level of any time."""

    linear_N: Floats
    trees_N: Floats

    def combine(self, weight_2: Floats) -> Floats:
        return np.asarray(weight_2[0] * self.linear_N + weight_2[1] * self.trees_N)


class RiskReason(NamedTuple):
    """A feature, the value a customer has, and what it adds to their log odds over a usual value."""

    feature: str
    value: str
    adds: float


@dataclass(frozen=True)
class Scorecard:
    """Logistic regression on hinges and boosted trees, both about each block's own level, weighted out of fold.

    `fixed`: features left out since they only say when. `level` is the next block's, read from the latest `window`
    rows. `fold_prob_N`: probabilities of the training rows, in their order, by models that did not see them. `usual`:
    the middle value of every feature, which `reasons` compare with.
    """

    features: tuple[str, ...]
    fixed: tuple[str, ...]
    encoder: FeatureEncoder
    basis: Basis
    coef_P: Floats
    trees: Any
    weight_2: Floats
    level: float
    window: int
    fold_prob_N: Floats
    usual: pl.DataFrame

    def member_log_odds(self, features: pl.DataFrame) -> MemberLogOdds:
        x_NF = self.encoder.encode(features)
        return MemberLogOdds(self.basis.columns(x_NF)[:, 1:] @ self.coef_P, self.trees.predict(x_NF, raw_score=True))

    def log_odds(self, features: pl.DataFrame) -> Floats:
        """Of rows to come, one for each row of `features`."""
        return np.asarray(self.level + self.member_log_odds(features).combine(self.weight_2))

    def predict(self, features: pl.DataFrame) -> Floats:
        """The probability of a yes, in (0, 1). InputError where a feature is missing."""
        return np.asarray(np.clip(scipy.special.expit(self.log_odds(features)), 1e-6, 1 - 1e-6))

    def reasons(self, features: pl.DataFrame, most: int = 3) -> list[list[RiskReason]]:
        """Of each row the `most` features that raise its log odds most over the usual value of that feature alone."""
        whole_N = self.log_odds(features)
        usual = [pl.lit(self.usual[name][0], features.schema[name]).alias(name) for name in self.features]
        added_FN = np.stack([whole_N - self.log_odds(features.with_columns(each)) for each in usual])
        order_FN = np.argsort(-added_FN, axis=0, kind="stable")[:most]
        values = {name: features[name].cast(pl.String).fill_null("?").to_list() for name in self.features}
        return [
            [
                RiskReason(self.features[f], values[self.features[f]][n], float(added_FN[f, n]))
                for f in order_N
                if added_FN[f, n] > 0
            ]
            for n, order_N in enumerate(order_FN.T.tolist())
        ]


def fit_scorecard(features: pl.DataFrame, outcome_N: Floats, block_N: Ints | None = None, seed: int = 0) -> Scorecard:
    """Learn from rows with a yes (1) or no (0). `block_N` numbers the blocks of time in order, the rows of each
    standing in their order; left out: all rows are of one time.

    SupportError where fewer than LEAST said yes, or no.
    """
    y_N = np.asarray(outcome_N, dtype=np.float64)
    yes = int(y_N.sum())
    if min(yes, len(y_N) - yes) < MIN_CLASS_ROWS:
        raise SupportError(
            "too_few_outcomes",
            gettext_lazy(
                "{yes} said yes and {y_n} no: at least {min_class_rows} of each are needed to learn from",
                yes=yes,
                y_n=len(y_N) - yes,
                min_class_rows=MIN_CLASS_ROWS,
            ),
        )
    at_N = np.zeros(len(y_N), np.int64) if block_N is None else np.unique(block_N, return_inverse=True)[1]
    order = np.argsort(at_N, kind="stable")
    fixed = period_features(features, at_N)
    names = [name for name in features.columns if name not in fixed]
    if not names:
        raise SupportError(
            "no_usable_features",
            gettext_lazy("every feature only says when a row was made; give what was known of the customers"),
        )
    rows = features[order].select(names)
    encoder = fit_encoder(rows)
    x_NF, y, at = encoder.encode(rows), y_N[order], at_N[order]
    fold_N = ((row_keys(np.column_stack([x_NF, y]), seed) >> np.uint64(24)) % np.uint64(FOLDS)).astype(np.int64)
    basis = fit_basis(x_NF)
    z_NP = basis.columns(x_NF)[:, 1:]
    linear = _best([_Linear(z_NP, y, at, penalty) for penalty in PENALTIES], y, at, fold_N)
    grown = _best([_Trees(x_NF, y, at, size) for size in TREE_SIZES], y, at, fold_N)
    held = MemberLogOdds(linear.held_N, grown.held_N)
    weight_2 = _weights(held, y, at)
    eta_N = held.combine(weight_2)
    level_B = fit_levels(eta_N, y, at)
    window = _window(eta_N, y, at)
    usual = rows.select(
        pl.col(name).median() if rows.schema[name].is_numeric() else pl.col(name).drop_nulls().mode().sort().first()
        for name in names
    )
    prob_N = np.empty(len(y))
    prob_N[order] = scipy.special.expit(eta_N + level_B[at])
    return Scorecard(
        tuple(names), tuple(fixed), encoder, basis, linear.model.slopes(np.arange(len(y))),
        grown.model.grown(np.arange(len(y))), weight_2, fit_level(eta_N[-window:], y[-window:]), window, prob_N, usual,
    )  # fmt: skip


def period_features(features: pl.DataFrame, block_N: Ints) -> list[str]:
    """Return features that the block of time almost determines, such as an index of the month.

    Their correlation ratio of ranks is at least PERIOD_CORRELATION; in a new block they have values never seen. The
    list is empty if there are few blocks.
    """
    if len(np.unique(block_N)) < MIN_BLOCKS:
        return []
    found = []
    for column in features:
        method: Any = "average" if column.dtype.is_numeric() or column.dtype.is_temporal() else "dense"
        rank = pl.DataFrame({"at": block_N, "rank": column.rank(method).cast(pl.Float64).fill_null(0.0)})
        total = float(rank["rank"].var(ddof=0) or 0.0)  # type: ignore[arg-type]
        within = rank.select((pl.col("rank") - pl.col("rank").mean().over("at")).pow(2).mean()).item()
        if total > 0 and within <= (1 - PERIOD_CORRELATION) * total:
            found.append(column.name)
    return found


def fit_level(eta_N: Floats, y_N: Floats) -> float:
    """What is added to log odds so that they come to the number of yes; half a yes and half a no more, for blocks in
    which all are alike."""
    more_N = np.append(eta_N, float(np.median(eta_N)))
    return float(
        scipy.optimize.brentq(
            lambda level: float(scipy.special.expit(level + more_N).sum() - y_N.sum()) - 0.5,
            -30 - float(more_N.max()), 30 - float(more_N.min()),
        )
    )  # fmt: skip


def fit_levels(eta_N: Floats, y_N: Floats, at_N: Ints) -> Floats:
    """The level of each block."""
    return np.array([fit_level(eta_N[at_N == b], y_N[at_N == b]) for b in range(int(at_N.max()) + 1)])


class _Linear(NamedTuple):
    """Ridge logistic regression with a free level for each block."""

    z_NP: Floats
    y_N: Floats
    at_N: Ints
    penalty: float

    def slopes(self, rows: Ints) -> Floats:
        from sklearn.linear_model import LogisticRegression

        blocks = np.unique(self.at_N[rows])
        level_NB = 30.0 * (self.at_N[rows][:, None] == blocks[1:])  # so large that its penalty is none
        found = LogisticRegression(C=self.penalty, solver="newton-cholesky").fit(
            np.hstack([self.z_NP[rows], level_NB]), self.y_N[rows]
        )
        return np.asarray(found.coef_[0][: self.z_NP.shape[1]])

    def predict(self, learned: Ints, asked: Ints) -> Floats:
        return np.asarray(self.z_NP[asked] @ self.slopes(learned))


class _Trees(NamedTuple):
    """Boosted trees that start from the level of each block."""

    x_NF: Floats
    y_N: Floats
    at_N: Ints
    size: Sequence[float]

    def grown(self, rows: Ints) -> Any:
        import lightgbm

        leaves, rate, trees = self.size
        y_N, at_N = self.y_N[rows], np.unique(self.at_N[rows], return_inverse=True)[1]
        start_N = fit_levels(np.zeros(len(rows)), y_N, at_N)[at_N]
        data = lightgbm.Dataset(self.x_NF[rows], y_N, init_score=start_N)
        return lightgbm.train(LIGHTGBM_OPTIONS | {"num_leaves": int(leaves), "learning_rate": rate}, data, int(trees))

    def predict(self, learned: Ints, asked: Ints) -> Floats:
        return np.asarray(self.grown(learned).predict(self.x_NF[asked], raw_score=True))


class _Chosen(NamedTuple):
    """A model and its log odds of the rows that it did not see."""

    model: Any
    held_N: Floats


def _best(models: Sequence[Any], y_N: Floats, at_N: Ints, fold_N: Ints) -> _Chosen:
    """The model whose log odds out of fold lose least about each block's level."""
    found = []
    for model in models:
        held_N = np.empty(len(y_N))
        for fold in range(FOLDS):
            mine = fold_N == fold
            if mine.any():
                held_N[mine] = model.predict(np.flatnonzero(~mine), np.flatnonzero(mine))
        loss = _loss(held_N + fit_levels(held_N, y_N, at_N)[at_N], y_N)
        found.append((loss, _Chosen(model, held_N)))
    return min(found, key=lambda each: each[0])[1]


def _loss(eta_N: Floats, y_N: Floats) -> float:
    return float(np.mean(np.logaddexp(0.0, eta_N) - y_N * eta_N))


def _weights(held: MemberLogOdds, y_N: Floats, at_N: Ints) -> Floats:
    """Weights of 0 or more at which both models' log odds lose least, levels free: they calibrate the spread, too."""
    some = np.column_stack([held.linear_N, held.trees_N])

    def loss(weight_2: NDArray[np.float64]) -> float:
        eta_N = some @ weight_2
        return _loss(eta_N + fit_levels(eta_N, y_N, at_N)[at_N], y_N) + 1e-4 * float(((weight_2 - 0.5) ** 2).sum())

    found = scipy.optimize.minimize(loss, np.array([0.5, 0.5]), method="L-BFGS-B", bounds=[(0.0, 2.0)] * 2)
    return np.asarray(found.x)


def _window(eta_N: Floats, y_N: Floats, at_N: Ints) -> int:
    """How many of the latest rows have told the next block's level best so far; all where there are few blocks."""
    starts = np.flatnonzero(np.r_[True, at_N[1:] != at_N[:-1]])
    if len(starts) < MIN_BLOCKS:
        return len(y_N)
    loss_W = np.zeros(len(LEVEL_WINDOWS))
    for start, end in zip(starts[1:], [*starts[2:], len(y_N)], strict=True):
        mine = slice(int(start), int(end))
        each = [
            _loss(eta_N[mine] + fit_level(eta_N[max(0, start - w) : start], y_N[max(0, start - w) : start]), y_N[mine])
            for w in LEVEL_WINDOWS
        ]
        loss_W = BLOCK_DECAY * loss_W + np.array(each)
    return LEVEL_WINDOWS[int(loss_W.argmin())]
