"""Fit a ranker of texts to randomised tests; it predicts which of two texts more readers click.

Pairs of one test are compared, so that the day and the audience cancel out: a logistic regression on differences of
hashed n-grams and counts (Bradley and Terry 1952). Its scores are the `prior` of texts that nobody has read yet.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy import sparse
from scipy.stats import norm
from sklearn.feature_extraction.text import HashingVectorizer
from sklearn.linear_model import LogisticRegression

from promolift.foundation.errors import SupportError
from promolift.foundation.i18n.lazy_message import gettext_lazy

Floats = NDArray[np.float64]
MIN_PAIRS = 50
BUCKETS, INVERSE_PENALTY, CUE_SCALE = 2**15, 0.03, 0.05
_CUES = [
    re.compile(pattern, re.IGNORECASE)
    for pattern in (
        r"[?？]", r"[!！]", r"\d", r"[\"“”「」]", r"\.\.\.|…", r"[.。].+[.。]", r"[:：]",
        r"^\W*(?:why|how|what|who|when|为什么|怎么|如何|谁)",
        r"\b(?:you|your)\b|[您你]", r"\b(?:he|she|him|her|his)\b|[他她]", r"\b(?:they|them|their)\b|[他她]们",
        r"\b(?:this|these|that)\b|[这那]", r"\b(?:i|my|me|we)\b|我", r"n't\b|\b(?:not|no|never)\b|[不没]",
    )
]  # fmt: skip


@dataclass(frozen=True)
class TextRanker:
    """A fitted ranker. V: buckets of n-grams, then the counts C."""

    rarity_V: Floats
    middle_C: Floats
    spread_C: Floats
    weight_V: Floats
    pairs: int

    def scores(self, texts: Sequence[str]) -> Floats:
        """Log odds per text; of two texts for the same readers the higher one is expected to be clicked more."""
        scores: Floats = _features(texts, self.rarity_V, self.middle_C, self.spread_C) @ self.weight_V
        return scores


def fit_ranker(tests: pl.DataFrame) -> TextRanker:
    """Learn from arms of randomised tests: columns test_id, text, shown, clicked.

    Arms of one test whose texts differ are compared in pairs. Raises SupportError below 50 such pairs.
    """
    arms = tests.select("test_id", "text", "shown", "clicked").sort("test_id", "text")
    texts = arms.get_column("text").to_list()
    pairs = _pairs(arms)
    if pairs.height < MIN_PAIRS:
        raise SupportError(
            "too_few_texts",
            gettext_lazy(
                "ranker: {height} pairs of texts in one test; {min_pairs} are needed to learn from",
                height=pairs.height,
                min_pairs=MIN_PAIRS,
            ),
        )
    seen = np.asarray((_grams(texts) > 0).sum(axis=0)).ravel()
    rarity = np.log((1 + len(texts)) / (1 + seen)) + 1
    cues = _cues(texts)
    middle, spread = cues.mean(axis=0), cues.std(axis=0) + 1e-9
    features = _features(texts, rarity, middle, spread)
    gaps = features[pairs["row"].to_numpy()] - features[pairs["row_b"].to_numpy()]
    sure = pairs["sure"].to_numpy()
    sides = np.concatenate([np.ones(pairs.height), np.zeros(pairs.height)])
    model = LogisticRegression(C=INVERSE_PENALTY, fit_intercept=False, max_iter=300)
    model.fit(sparse.vstack([gaps, gaps]), sides, sample_weight=np.concatenate([sure, 1 - sure]))
    return TextRanker(rarity, middle, spread, model.coef_[0].astype(float), pairs.height)


def _pairs(arms: pl.DataFrame) -> pl.DataFrame:
    """row, row_b of every pair of one test, and `sure`: how sure the test is that the first is clicked more."""
    rows = arms.with_row_index("row").filter(pl.col("shown") > 0)
    pairs = rows.join(rows, on="test_id", suffix="_b").filter(
        (pl.col("row") < pl.col("row_b")) & (pl.col("text") != pl.col("text_b"))
    )
    z = click_z(*(pairs.get_column(c).to_numpy() for c in ("shown", "clicked", "shown_b", "clicked_b")))
    return pairs.select("row", "row_b", sure=pl.Series(norm.cdf(z)))


def click_z(
    shown_a: NDArray[np.int64], clicked_a: NDArray[np.int64], shown_b: NDArray[np.int64], clicked_b: NDArray[np.int64]
) -> Floats:
    """The two-proportion z of a against b, 0 where neither or all were clicked."""
    pooled = (clicked_a + clicked_b) / (shown_a + shown_b)
    error = np.sqrt(pooled * (1 - pooled) * (1 / shown_a + 1 / shown_b))
    gap = clicked_a / shown_a - clicked_b / shown_b
    z: Floats = np.divide(gap, error, out=np.zeros_like(gap), where=error > 0)
    return z


def _grams(texts: Sequence[str]) -> sparse.csr_matrix:
    hashed = HashingVectorizer(
        analyzer="char_wb", ngram_range=(3, 5), n_features=BUCKETS, alternate_sign=False, norm=None
    )
    return hashed.transform(texts)


def _cues(texts: Sequence[str]) -> Floats:
    """Length in characters, twice, words, and whether each cue occurs."""
    rows = [
        [np.log1p(len(t)), (len(t) / 60) ** 2, len(t.split()) / 10, *(bool(cue.search(t)) for cue in _CUES)]
        for t in texts
    ]
    return np.array(rows, dtype=float)


def _features(texts: Sequence[str], rarity: Floats, middle: Floats, spread: Floats) -> sparse.csr_matrix:
    grams = _grams(texts).astype(float)
    grams.data = 1 + np.log(grams.data)
    grams = grams @ sparse.diags_array(rarity)
    lengths = np.sqrt(np.asarray(grams.multiply(grams).sum(axis=1)).ravel())
    grams = sparse.diags_array(1 / np.maximum(lengths, 1e-9)) @ grams
    return sparse.hstack([grams, sparse.csr_matrix((_cues(texts) - middle) / spread * CUE_SCALE)]).tocsr()
