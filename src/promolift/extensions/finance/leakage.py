"""Features and a yes or no in; features that can only have been known after the outcome out.

No name is asked: a feature leaks by what it tells. How long a call lasted is no word for "bought", and yet leaves less
open than all that was known before the call. Legend: N rows.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import polars as pl
import scipy
from numpy.typing import NDArray

from promolift.core.effects.trial_arrays import Floats, encoder_of
from promolift.foundation.hashing import hash_units

ROWS = 20_000  # looked at, drawn by hash
TELLS = 0.95  # an AUC of one feature alone that nothing known before has
ALL, SHARE = 0.88, 0.5  # with it all features reach this AUC, and it closes this share of what the others leave open
LEAST = 0.02  # of AUC that it adds: where the others tell all, none is needed
TIED = 0.6  # a rank correlation with the feature from which another one says the same, and is no judge of it
SURE, OTHERS, FEW = 0.99, 0.8, 30  # so many rows all but sure of the rarer outcome, of which the others were not
LOOKED = 4  # features, the most telling first
TREES: dict[str, Any] = {
    "objective": "binary", "verbose": -1, "num_threads": 1, "deterministic": True, "seed": 1, "num_leaves": 8,
    "learning_rate": 0.1, "min_data_in_leaf": 20,
}  # fmt: skip


class Leak(NamedTuple):
    """A feature that was hardly known before: AUC of it alone, of all others that do not say the same, and of both."""

    feature: str
    alone: float
    others: float
    both: float

    def __str__(self) -> str:
        return f"{self.feature} (alone {self.alone:.2f}, all others {self.others:.2f}, together {self.both:.2f} AUC)"


def find_leaks(features: pl.DataFrame, outcome_N: Floats, keep: Sequence[str] = ()) -> list[Leak]:
    """Features that leak, one found after the other; those in `keep` are known to have been known.

    A feature leaks if it alone tells the outcome as only what came afterwards does; if it closes most of what all
    others leave open, and little stays; or if where it has some values the rarer outcome is sure while the others
    doubt it.
    """
    y_N = np.asarray(outcome_N, dtype=np.float64)
    rows = np.argsort(hash_units("leaks0", pl.Series([str(n) for n in range(len(y_N))])))[:ROWS]
    y_N, frame = y_N[rows], features[rows]
    found: list[Leak] = []
    left = [name for name in frame.columns if frame[name].n_unique() > 1]
    while len(left) > 1 and (leak := _next_leak(frame.select(left), y_N, keep)):
        found.append(leak)
        left.remove(leak.feature)
    return found


def _next_leak(frame: pl.DataFrame, y_N: Floats, keep: Sequence[str]) -> Leak | None:
    prob = {name: _held_out(frame.select(name), y_N) for name in frame.columns if name not in keep}
    alone = sorted(((area(y_N, prob_N), name) for name, prob_N in prob.items()), reverse=True)[:LOOKED]
    for tells, name in alone:
        others = [each for each in frame.columns if each != name and _tie(frame[each], frame[name]) < TIED]
        other_N = _held_out(frame.select(others), y_N) if others else np.full(len(y_N), y_N.mean())
        both_N = _held_out(frame.select(*others, name), y_N)
        leak = Leak(name, tells, area(y_N, other_N), area(y_N, both_N))
        closes = leak.both >= ALL and leak.both - leak.others >= max(SHARE * (1 - leak.others), LEAST)
        if tells >= TELLS or closes or _settles(prob[name], other_N, y_N):
            return leak
    return None


def _settles(prob_N: Floats, other_N: Floats, y_N: Floats) -> bool:
    """Whether the feature is sure of the rarer outcome, and right, of rows of which the others are not."""
    rare = y_N.mean() <= 0.5
    mine_N, other_N, hit_N = (each if rare else 1 - each for each in (prob_N, other_N, y_N))
    sure = mine_N >= SURE - 0.02
    many = int(sure.sum()) >= max(FEW, len(y_N) // 200)
    return many and bool(hit_N[sure].mean() >= SURE and other_N[sure].mean() <= OTHERS)


def area(y_N: Floats, score_N: Floats) -> float:
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

    x_NF, half_N, prob_N = encoder_of(frame).encode(frame), np.arange(len(y_N)) % 2 == 0, np.empty(len(y_N))
    for half in (half_N, ~half_N):
        trees = lightgbm.train(TREES, lightgbm.Dataset(x_NF[~half], y_N[~half]), 60)
        prob_N[half] = trees.predict(x_NF[half])
    return prob_N


def _tie(one: pl.Series, other: pl.Series) -> float:
    """How closely the ranks of two columns of numbers hang together; of texts nothing is said."""
    if not (one.dtype.is_numeric() and other.dtype.is_numeric()):
        return 0.0
    pair = pl.DataFrame({"a": one.rank(), "b": other.rank()}).drop_nulls()
    found = pair.select(pl.corr("a", "b")).item() if pair.height > 2 else None
    return abs(found) if found is not None and np.isfinite(found) else 0.0
