"""How often a ranker learned from earlier headline tests picks the better of two headlines of a later test.

Prints one JSON object per line: figure, value, se, unit, peer, peer_value, n, data. Data: the Upworthy archive of 2014
(Matias et al. 2021, Scientific Data 8), arms of one test with the same picture; trained on the weeks before the last
ten, tested on those. Only pairs count whose click rates differ at the 5 % level. The error is that of tests drawn anew,
since pairs of one test are not independent. n-grams, counts and the penalty were chosen on the ten weeks before. Run:

    python benchmarks/message_ranker.py DATA.parquet [--quick]
"""

import argparse
import json
import time
from collections.abc import Callable
from itertools import combinations
from pathlib import Path

import numpy as np
import polars as pl
from sklearn.decomposition import TruncatedSVD
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression

from promolift.hashing import hash_unit
from promolift.message.ranker import click_z, fit_ranker

WEEKS = 10
Scores = Callable[[list[str]], np.ndarray]


def arms(path: Path) -> pl.DataFrame:
    """test_id (one per test and picture), week, text, shown, clicked."""
    return pl.read_parquet(path).drop_nulls(["headline", "eyecatcher_id"]).select(
        pl.concat_str("test_id", "eyecatcher_id").alias("test_id"), pl.col("test_week").alias("week"),
        pl.col("headline").alias("text"), pl.col("impressions").alias("shown"), pl.col("clicks").alias("clicked"),
    )  # fmt: skip


def clear_pairs(later: pl.DataFrame) -> list[tuple[str, str, str]]:
    """(test, better text, worse text) of every pair that differs at the 5 % level."""
    pairs = []
    for test, group in later.group_by("test_id", maintain_order=True):
        for a, b in combinations(group.iter_rows(named=True), 2):
            if a["text"] == b["text"]:
                continue
            z = click_z(*(np.array([arm[key]]) for arm in (a, b) for key in ("shown", "clicked")))[0]
            if abs(z) > 1.96:
                better, worse = (a, b) if z > 0 else (b, a)
                pairs.append((str(test[0]), better["text"], worse["text"]))
    return pairs


def right(pairs: list[tuple[str, str, str]], scores: Scores) -> np.ndarray:
    """1 where the better text scores higher, one half for ties."""
    texts = sorted({text for _, *both in pairs for text in both})
    of = dict(zip(texts, scores(texts), strict=True))
    return np.array([0.5 * (float(of[a] > of[b]) + float(of[a] >= of[b])) for _, a, b in pairs])


def error(pairs: list[tuple[str, str, str]], hits: np.ndarray, draws: int = 500) -> float:
    """Standard error over tests drawn with replacement."""
    tests = np.unique([test for test, *_ in pairs], return_inverse=True)[1]
    sums, counts = np.bincount(tests, hits), np.bincount(tests)
    rng = np.random.default_rng(0)
    picked = rng.integers(0, len(counts), (draws, len(counts)))
    return float((sums[picked].sum(axis=1) / counts[picked].sum(axis=1)).std())


def embedding_logistic(earlier: pl.DataFrame) -> Scores:
    """The peer: word TF-IDF reduced to 100 dimensions, logistic regression of being above the test's mean rate."""
    texts = earlier["text"].to_list()
    tfidf = TfidfVectorizer(ngram_range=(1, 2), min_df=2, sublinear_tf=True).fit(texts)
    svd = TruncatedSVD(100, random_state=0).fit(tfidf.transform(texts))
    rate = pl.col("clicked") / pl.col("shown")
    above = earlier.select((rate > rate.mean().over("test_id")).alias("above"))["above"].to_numpy()
    model = LogisticRegression(C=1.0, max_iter=500).fit(svd.transform(tfidf.transform(texts)), above)
    return lambda several: model.decision_function(svd.transform(tfidf.transform(several)))


def main(path: Path, quick: bool) -> None:
    every = arms(path)
    weeks = sorted(every["week"].unique())
    earlier, later = every.filter(pl.col("week") < weeks[-WEEKS]), every.filter(pl.col("week") >= weeks[-WEEKS])
    if quick:
        tests = earlier["test_id"].unique().sort()
        earlier = earlier.filter(pl.col("test_id").is_in(tests.gather_every(3).implode()))
    pairs = clear_pairs(later)
    start = time.process_time()
    ranker = fit_ranker(earlier)
    seconds = time.process_time() - start
    peers: list[tuple[str, Scores]] = [
        ("longer headline", lambda texts: np.array([len(text) for text in texts], dtype=float)),
        ("random", lambda texts: np.array([hash_unit("random", text) for text in texts])),
        ("text embedding and logistic regression", embedding_logistic(earlier)),
    ]
    hits = right(pairs, ranker.scores)
    for peer, scores in peers:
        other = right(pairs, scores)
        print(json.dumps({
            "figure": "pairs of headlines told apart", "value": round(hits.mean(), 4), "se": round(error(pairs, hits), 4),
            "unit": "share right", "peer": peer, "peer_value": round(other.mean(), 4), "n": len(pairs),
            "data": f"Upworthy 2014, weeks {weeks[-WEEKS]} to {weeks[-1]}; trained on {ranker.pairs} earlier pairs",
            "difference_se": round(error(pairs, hits - other), 4),
        }))  # fmt: skip
    print(json.dumps({
        "figure": "fitting the ranker", "value": round(seconds, 1), "se": None, "unit": "CPU seconds", "peer": None,
        "peer_value": None, "n": ranker.pairs, "data": "the same",
    }))  # fmt: skip


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "data", type=Path, help="parquet with test_id, headline, eyecatcher_id, impressions, clicks, test_week"
    )
    parser.add_argument("--quick", action="store_true", help="learn from a third of the earlier tests")
    arguments = parser.parse_args()
    main(arguments.data, arguments.quick)
