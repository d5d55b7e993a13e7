"""Randomised tests of texts in, a ranker out that says which of two texts more will click; and a bandit over variants.

Only pairs of one test are compared, so that the day and the audience cancel out. Features are hashed character n-grams
(any language) and a few plain counts; a logistic regression on the differences of two texts, each pair counted for one
and for the other text by how sure the test is (Bradley and Terry 1952 with soft outcomes).
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray
from pydantic import Field
from scipy import sparse
from scipy.stats import norm
from sklearn.feature_extraction.text import HashingVectorizer
from sklearn.linear_model import LogisticRegression

from promolift.errors import InputError, SupportError
from promolift.hashing import hash_int
from promolift.settings import Settings

Floats = NDArray[np.float64]
LEAST_PAIRS = 50
_CUES = [
    re.compile(pattern, re.IGNORECASE)
    for pattern in (
        r"[?？]", r"[!！]", r"\d", r"[\"“”「」]", r"\.\.\.|…", r"[.。].+[.。]", r"[:：]",
        r"^\W*(?:why|how|what|who|when|为什么|怎么|如何|谁)",
        r"\b(?:you|your)\b|[您你]", r"\b(?:he|she|him|her|his)\b|[他她]", r"\b(?:they|them|their)\b|[他她]们",
        r"\b(?:this|these|that)\b|[这那]", r"\b(?:i|my|me|we)\b|我", r"n't\b|\b(?:not|no|never)\b|[不没]",
    )
]  # fmt: skip


class RankerSettings(Settings):
    """`buckets` of hashed n-grams; `inverse_penalty` is scikit-learn's C; `cue_scale` weighs the counts."""

    buckets: int = Field(default=2**15, ge=2**8, le=2**20)
    inverse_penalty: float = Field(default=0.03, gt=0)
    cue_scale: float = Field(default=0.05, ge=0)


@dataclass(frozen=True)
class Ranker:
    """A fitted ranker. V: buckets of n-grams, then the counts."""

    settings: RankerSettings
    rarity_V: Floats
    middle_C: Floats
    spread_C: Floats
    weight_V: Floats
    pairs: int

    def scores(self, texts: Sequence[str]) -> Floats:
        """One number per text; of two texts for the same readers the higher one is expected to be clicked more."""
        scores: Floats = _features(texts, self.settings, self.rarity_V, self.middle_C, self.spread_C) @ self.weight_V
        return scores

    def better(self, first: str, second: str) -> float:
        """The chance that `first` is clicked more than `second`, as far as words tell."""
        one, two = self.scores([first, second])
        return float(1 / (1 + np.exp(two - one)))

    def parts(self) -> tuple[dict[str, Any], pl.DataFrame]:
        """A manifest of plain values and a table of numbers: all of it, with nothing that runs."""
        cues = {"middle": self.middle_C.tolist(), "spread": self.spread_C.tolist()}
        rarity_V = np.concatenate([self.rarity_V, np.ones(len(self.middle_C))])
        table = pl.DataFrame({"rarity": rarity_V, "weight": self.weight_V})
        return {"settings": self.settings.model_dump(), "pairs": self.pairs, **cues}, table


def ranker_of(manifest: Mapping[str, Any], table: pl.DataFrame) -> Ranker:
    """The ranker whose `parts` these are; InputError where they do not fit together."""
    settings = RankerSettings.parse(manifest.get("settings"), "ranker")
    middle, spread = (np.array(manifest.get(key, ()), dtype=float) for key in ("middle", "spread"))
    size = settings.buckets + len(_cues([""])[0])
    if set(table.columns) != {"rarity", "weight"} or table.height != size or len(middle) != size - settings.buckets:
        raise InputError(f"ranker: {table.height} weights do not fit its settings; fit it again")
    weight_V, rarity_V = (table[name].to_numpy() for name in ("weight", "rarity"))
    return Ranker(settings, rarity_V[: settings.buckets], middle, spread, weight_V, int(manifest["pairs"]))


def fit_ranker(tests: pl.DataFrame, settings: RankerSettings | None = None) -> Ranker:
    """Learn from arms of randomised tests: columns test_id, text, shown, clicked.

    Arms of one test whose texts differ are compared in pairs. Raises SupportError below 50 such pairs.
    """
    settings = settings or RankerSettings()
    arms = tests.select("test_id", "text", "shown", "clicked").sort("test_id", "text")
    texts = arms.get_column("text").to_list()
    first, second, sureness = _pairs(arms)
    if len(first) < LEAST_PAIRS:
        raise SupportError(f"ranker: {len(first)} pairs of texts in one test; {LEAST_PAIRS} are needed to learn from")
    grams = _grams(texts, settings)
    seen = np.asarray((grams > 0).sum(axis=0)).ravel()
    rarity = np.log((1 + len(texts)) / (1 + seen)) + 1
    cues = _cues(texts)
    middle, spread = cues.mean(axis=0), cues.std(axis=0) + 1e-9
    features = _features(texts, settings, rarity, middle, spread)
    gaps = features[first] - features[second]
    sides = np.concatenate([np.ones(len(first)), np.zeros(len(first))])
    weights = np.concatenate([sureness, 1 - sureness])
    model = LogisticRegression(C=settings.inverse_penalty, fit_intercept=False, max_iter=300)
    model.fit(sparse.vstack([gaps, gaps]), sides, sample_weight=weights)
    return Ranker(settings, rarity, middle, spread, model.coef_[0].astype(float), len(first))


def _pairs(arms: pl.DataFrame) -> tuple[NDArray[np.int64], NDArray[np.int64], Floats]:
    """Row numbers of both texts of every pair, and how sure the test is that the first one is clicked more."""
    rows = arms.with_row_index("row").filter(pl.col("shown") > 0)
    pairs = rows.join(rows, on="test_id", suffix="_b").filter(
        (pl.col("row") < pl.col("row_b")) & (pl.col("text") != pl.col("text_b"))
    )
    z = click_z(*(pairs.get_column(c).to_numpy() for c in ("shown", "clicked", "shown_b", "clicked_b")))
    sure: Floats = norm.cdf(z)
    return (
        pairs.get_column("row").to_numpy().astype(np.int64),
        pairs.get_column("row_b").to_numpy().astype(np.int64),
        sure,
    )


def click_z(
    shown_a: NDArray[np.int64], clicked_a: NDArray[np.int64], shown_b: NDArray[np.int64], clicked_b: NDArray[np.int64]
) -> Floats:
    """The two-proportion z of a against b, 0 where neither or all were clicked."""
    pooled = (clicked_a + clicked_b) / (shown_a + shown_b)
    error = np.sqrt(pooled * (1 - pooled) * (1 / shown_a + 1 / shown_b))
    gap = clicked_a / shown_a - clicked_b / shown_b
    z: Floats = np.divide(gap, error, out=np.zeros_like(gap), where=error > 0)
    return z


def _grams(texts: Sequence[str], settings: RankerSettings) -> sparse.csr_matrix:
    hashed = HashingVectorizer(
        analyzer="char_wb", ngram_range=(3, 5), n_features=settings.buckets, alternate_sign=False, norm=None
    )
    return hashed.transform(texts)


def _cues(texts: Sequence[str]) -> Floats:
    """Length in characters, twice, and whether each cue occurs."""
    rows = [
        [np.log1p(len(t)), (len(t) / 60) ** 2, len(t.split()) / 10, *(bool(cue.search(t)) for cue in _CUES)]
        for t in texts
    ]
    return np.array(rows, dtype=float)


def _features(
    texts: Sequence[str], settings: RankerSettings, rarity: Floats, middle: Floats, spread: Floats
) -> sparse.csr_matrix:
    grams = _grams(texts, settings).astype(float)
    grams.data = 1 + np.log(grams.data)
    grams = grams @ sparse.diags_array(rarity)
    lengths = np.sqrt(np.asarray(grams.multiply(grams).sum(axis=1)).ravel())
    grams = sparse.diags_array(1 / np.maximum(lengths, 1e-9)) @ grams
    cues = (_cues(texts) - middle) / spread * settings.cue_scale
    return sparse.hstack([grams, sparse.csr_matrix(cues)]).tocsr()


@dataclass(frozen=True)
class Choice:
    """A variant chosen for one customer, and the probability with which it was."""

    variant: str
    propensity: float


def choose_variant(
    tally: Mapping[str, tuple[int, int]], key: str, seed: int = 0, floor: float = 0.05, draws: int = 400
) -> Choice:
    """Thompson sampling over variants given (shown, clicked) each: the choice for `key` and its propensity.

    Each variant's rate is Beta(1 + clicked, 1 + not clicked) (Thompson 1933, Biometrika 25). Its propensity is the
    share of `draws` in which it is the highest, mixed with a `floor` shared by all, so that none is ever 0 and what was
    logged can be evaluated later. The draws hang on `seed` and the tally alone, the choice on `key` as well.
    """
    names, share_V = variant_shares(tally, seed, floor, draws)
    at = int(np.searchsorted(share_V.cumsum(), hash_int("variant", seed, key) / 2.0**64, side="right"))
    at = min(at, len(names) - 1)
    return Choice(names[at], float(share_V[at]))


def variant_shares(
    tally: Mapping[str, tuple[int, int]], seed: int = 0, floor: float = 0.05, draws: int = 400
) -> tuple[list[str], Floats]:
    """The variants in order of name, and the probability with which `choose_variant` chooses each."""
    if not tally or any(not 0 <= clicked <= shown for shown, clicked in tally.values()):
        raise InputError("bandit: give at least one variant, each with 0 <= clicked <= shown")
    names = sorted(tally)
    draw = np.random.default_rng(hash_int("bandit", seed, *(f"{name} {tally[name]}" for name in names)))
    rate_DV = np.stack([draw.beta(1 + c, 1 + s - c, draws) for s, c in (tally[name] for name in names)], axis=1)
    wins_V = np.bincount(rate_DV.argmax(axis=1), minlength=len(names)) / draws
    share_V: Floats = (1 - floor) * wins_V + floor / len(names)
    return names, share_V
