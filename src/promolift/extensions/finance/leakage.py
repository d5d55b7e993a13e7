"""Find features that can only have been known after the outcome.

The test ignores names; it measures how much a feature tells about the outcome beyond all other features. The duration
of a call, for example, has a harmless name but leaves less uncertainty than everything known before the call.
Legend: N rows.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import polars as pl
import scipy
from numpy.typing import NDArray

from promolift.core.effects.trial_arrays import Floats, fit_encoder
from promolift.foundation.hashing import hash_units
from promolift.foundation.i18n.lazy_message import LazyMessage, gettext_lazy

MAX_ROWS = 20_000  # looked at, drawn by hash
LEAK_AUC = 0.95  # an AUC of one feature alone that nothing known before has
ALL_FEATURES_AUC, GAP_CLOSED_SHARE = (
    0.88,
    0.5,
)  # with it all features reach this AUC, and it closes this share of what the others leave open
MIN_AUC_GAIN = 0.02  # of AUC that it adds: where the others tell all, none is needed
DUPLICATE_CORRELATION = (
    0.6  # a rank correlation with the feature from which another one says the same, and is no judge of it
)
CERTAIN_RATE, OTHERS_MAX_RATE, MIN_CERTAIN_ROWS = (
    0.99,
    0.8,
    30,
)  # so many rows all but sure of the rarer outcome, of which the others were not
MAX_FEATURES = 4  # features, the most telling first
LIGHTGBM_OPTIONS: dict[str, Any] = {
    "objective": "binary", "verbose": -1, "num_threads": 1, "deterministic": True, "seed": 1, "num_leaves": 8,
    "learning_rate": 0.1, "min_data_in_leaf": 20,
}  # fmt: skip


class Leak(NamedTuple):
    """A feature that was hardly known before: AUC of it alone, of all others that do not say the same, and of both."""

    feature: str
    alone: float
    others: float
    both: float

    @property
    def text(self) -> LazyMessage:
        """The feature with its figures."""
        return gettext_lazy(
            "{feature} (alone {alone}, all others {others}, together {both} AUC)",
            feature=self.feature, alone=f"{self.alone:.2f}", others=f"{self.others:.2f}", both=f"{self.both:.2f}",
        )  # fmt: skip

    def __str__(self) -> str:
        return str(self.text)


def find_leaks(features: pl.DataFrame, outcome_N: Floats, keep: Sequence[str] = ()) -> list[Leak]:
    """Features that leak, one found after the other; those in `keep` are known to have been known.

    A feature leaks if it alone tells the outcome as only what came afterwards does; if it closes most of what all
    others leave open, and little stays; or if where it has some values the rarer outcome is sure while the others
    doubt it.
    """
    y_N = np.asarray(outcome_N, dtype=np.float64)
    rows = np.argsort(hash_units("leaks0", pl.Series([str(n) for n in range(len(y_N))])))[:MAX_ROWS]
    y_N, frame = y_N[rows], features[rows]
    found: list[Leak] = []
    left = [name for name in frame.columns if frame[name].n_unique() > 1]
    while len(left) > 1 and (leak := _next_leak(frame.select(left), y_N, keep)):
        found.append(leak)
        left.remove(leak.feature)
    return found


def _next_leak(frame: pl.DataFrame, y_N: Floats, keep: Sequence[str]) -> Leak | None:
    prob = {name: _held_out(frame.select(name), y_N) for name in frame.columns if name not in keep}
    alone = sorted(((roc_auc(y_N, prob_N), name) for name, prob_N in prob.items()), reverse=True)[:MAX_FEATURES]
    for tells, name in alone:
        others = [
            each for each in frame.columns if each != name and _tie(frame[each], frame[name]) < DUPLICATE_CORRELATION
        ]
        other_N = _held_out(frame.select(others), y_N) if others else np.full(len(y_N), y_N.mean())
        both_N = _held_out(frame.select(*others, name), y_N)
        leak = Leak(name, tells, roc_auc(y_N, other_N), roc_auc(y_N, both_N))
        closes = leak.both >= ALL_FEATURES_AUC and leak.both - leak.others >= max(
            GAP_CLOSED_SHARE * (1 - leak.others), MIN_AUC_GAIN
        )
        if tells >= LEAK_AUC or closes or _settles(prob[name], other_N, y_N):
            return leak
    return None


def _settles(prob_N: Floats, other_N: Floats, y_N: Floats) -> bool:
    """Whether the feature is sure of the rarer outcome, and right, of rows of which the others are not."""
    rare = y_N.mean() <= 0.5
    mine_N, other_N, hit_N = (each if rare else 1 - each for each in (prob_N, other_N, y_N))
    sure = mine_N >= CERTAIN_RATE - 0.02
    many = int(sure.sum()) >= max(MIN_CERTAIN_ROWS, len(y_N) // 200)
    return many and bool(hit_N[sure].mean() >= CERTAIN_RATE and other_N[sure].mean() <= OTHERS_MAX_RATE)


def roc_auc(y_N: Floats, score_N: Floats) -> float:
    """Area under the ROC curve; ties count one half. 0.5 where all are alike."""
    yes = y_N > 0.5
    n1, n0 = int(yes.sum()), int((~yes).sum())
    if not n1 or not n0:
        return 0.5
    rank_N: NDArray[np.float64] = scipy.stats.rankdata(score_N)
    return float((rank_N[yes].sum() - n1 * (n1 + 1) / 2) / (n1 * n0))


def _held_out(frame: pl.DataFrame, y_N: Floats) -> Floats:
    """Probabilities of each half by trees that learned from the other."""
    import lightgbm

    x_NF, half_N, prob_N = fit_encoder(frame).encode(frame), np.arange(len(y_N)) % 2 == 0, np.empty(len(y_N))
    for half in (half_N, ~half_N):
        trees = lightgbm.train(LIGHTGBM_OPTIONS, lightgbm.Dataset(x_NF[~half], y_N[~half]), 60)
        prob_N[half] = trees.predict(x_NF[half])
    return prob_N


def _tie(one: pl.Series, other: pl.Series) -> float:
    """How closely the ranks of two columns of numbers hang together; of texts nothing is said."""
    if not (one.dtype.is_numeric() and other.dtype.is_numeric()):
        return 0.0
    pair = pl.DataFrame({"a": one.rank(), "b": other.rank()}).drop_nulls()
    found = pair.select(pl.corr("a", "b")).item() if pair.height > 2 else None
    return abs(found) if found is not None and np.isfinite(found) else 0.0
