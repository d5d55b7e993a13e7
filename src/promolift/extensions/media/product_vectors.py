"""Compute one vector per product from its texts and its picture, and predict missing colours and categories from them.

Texts are weighted character n-grams of 2 to 4 characters, for Chinese and English alike, reduced by latent semantic
analysis (Deerwester et al. 1990). Pictures are histograms of oriented gradients (Dalal & Triggs 2005) and shares of
colours. Everything is learned from the shop's own catalogue, and the same catalogue gives the same vectors.
Legend: N products, D dimensions, H, W pixels, C classes.
"""

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from promolift.core.customers.vectors import Floats, _long
from promolift.foundation.evidence import Z95
from promolift.foundation.hashing import hash_units

if TYPE_CHECKING:
    pass

VECTOR_VERSION = 1  # of the vectors: another number makes all of them anew
WORD_DIRECTIONS, MAX_FITTED_TEXTS, MAX_NGRAMS = 128, 20_000, 50_000
PICTURE_SIDE, CELL, ANGLES = 96, 16, 8
COLOURS = 80  # 12 hues x 2 saturations x 3 values, and 8 greys
PICTURE_WIDTH = (PICTURE_SIDE // CELL) ** 2 * ANGLES + COLOURS
PICTURE_WEIGHT = 0.7  # weight of edges and of colours each, where words have 1
FOLDS, MIN_CLASS_PRODUCTS, RIDGE = 5, 8, 0.1
BACKGROUND_DISTANCE = 0.06  # a pixel so near to the colour of the border is background


def text_vectors(texts: Sequence[str]) -> Floats:
    """N x D of length 1, D at most 128; 0 for an empty text. About 0.5 CPU s for 1,000 products."""
    known = sorted({text for text in texts if text.strip()})
    if len(known) < 3:
        return np.zeros((len(texts), 0), np.float32)
    from sklearn.decomposition import TruncatedSVD
    from sklearn.feature_extraction.text import TfidfVectorizer

    fitted = (
        sorted(known, key=lambda text: hash_units("words", [text])[0])[:MAX_FITTED_TEXTS]
        if len(known) > MAX_FITTED_TEXTS
        else known
    )
    pieces = TfidfVectorizer(analyzer="char_wb", ngram_range=(2, 4), sublinear_tf=True, max_features=MAX_NGRAMS)
    weighed = pieces.fit_transform(fitted)
    directions = TruncatedSVD(min(WORD_DIRECTIONS, min(weighed.shape) - 1), random_state=0).fit(weighed)
    place = {text: n for n, text in enumerate(known)}
    found = _long(directions.transform(pieces.transform(known)))
    none = np.zeros((1, found.shape[1]), np.float32)
    return np.concatenate([found, none])[[place.get(text, len(known)) for text in texts]]


def picture_features(pixels_HWC: NDArray[np.uint8]) -> Floats:
    """Return PICTURE_WIDTH features of a square picture of PICTURE_SIDE pixels, 0 to 255: edges, then colours."""
    x: Floats = (pixels_HWC / 255).astype(np.float32)
    return np.concatenate([_edges(x.mean(axis=2)), _colours(x)]).astype(np.float32)


def _edges(grey_HW: Floats) -> Floats:
    """How much edge there is in each direction in each cell, as a share of that around it."""
    down, right = np.gradient(grey_HW)
    angle = (np.arctan2(down, right) % np.pi / np.pi * ANGLES).astype(int) % ANGLES
    n = PICTURE_SIDE // CELL
    cell = (np.arange(PICTURE_SIDE) // CELL)[:, None] * n + np.arange(PICTURE_SIDE) // CELL
    sums = np.bincount((cell * ANGLES + angle).ravel(), np.hypot(down, right).ravel(), n * n * ANGLES)
    cells = sums.reshape(n, n, ANGLES)
    around = np.pad((cells**2).sum(axis=2), 1, mode="edge")
    energy = sum(around[i : i + n, j : j + n] for i in range(3) for j in range(3))
    return (cells / np.sqrt(energy + 0.01)[:, :, None]).ravel().astype(np.float32)


def _colours(x_HWC: Floats) -> Floats:
    """Roots of the shares of colours in the middle, where the product is; what looks like the border counts a tenth."""
    edge = PICTURE_SIDE // 8
    pixels = x_HWC[edge:-edge, edge:-edge].reshape(-1, 3)
    border = np.median(np.concatenate([x_HWC[0], x_HWC[-1], x_HWC[:, 0], x_HWC[:, -1]]), axis=0)
    weight = np.where(np.abs(pixels - border).max(axis=1) < BACKGROUND_DISTANCE, 0.1, 1.0)
    value, low = pixels.max(axis=1), pixels.min(axis=1)
    spread = value - low
    some = np.where(spread > 0, spread, 1.0)
    r, g, b = pixels.T
    turn = np.where(value == r, (g - b) / some % 6, np.where(value == g, (b - r) / some + 2, (r - g) / some + 4))
    saturation = np.where(value > 0, spread / np.maximum(value, 1e-6), 0)
    hue = np.round(turn * 2).astype(int) % 12
    coloured = hue * 6 + (saturation > 0.55) * 3 + np.minimum((value * 3).astype(int), 2)
    grey = 72 + np.minimum((value * 8).astype(int), 7)
    code = np.where((saturation < 0.15) | (value < 0.15), grey, coloured)
    share = np.bincount(code, weight, COLOURS)
    found: Floats = np.sqrt(share / share.sum()).astype(np.float32)
    return found


def join_vectors(text_ND: Floats, picture_ND: Floats) -> Floats:
    """Words, edges and colours side by side; pictures that are missing are rows of NaN and count nothing."""
    seen = ~np.isnan(picture_ND).any(axis=1)
    parts = [text_ND]
    for part in (picture_ND[:, :-COLOURS], picture_ND[:, -COLOURS:]) if seen.any() else ():
        centred = np.zeros_like(part)
        centred[seen] = PICTURE_WEIGHT * _long(part[seen] - part[seen].mean(axis=0))
        parts.append(centred)
    return np.concatenate(parts, axis=1).astype(np.float32)


class LabelPredictions(NamedTuple):
    """The label of each product that had none, where it is certain, else None; of how many with a label that was
    learned, and how often it was right where it would have spoken, out of fold: at least so often in 95 of 100.
    """

    labels: list[str | None]
    learned: int
    at_least: float


def predict_labels(x_ND: Floats, labels: Sequence[str | None], least: float) -> LabelPredictions:
    """Labels for the products without one, such as their category, by the vectors of those with one.

    Ridge regression on each class; certainty is the lead of the best class over the next. What lead is enough is found
    out of fold: the lower end of the 95 % interval of the share that is right (Wilson 1927) must reach `least`. A class
    needs FEWEST products. Nothing is said of products without a vector.
    """
    there = (x_ND**2).sum(axis=1) > 0
    rows = [n for n, each in enumerate(labels) if each is not None and there[n]]
    asked = [n for n, each in enumerate(labels) if each is None and there[n]]
    times = Counter(str(labels[n]) for n in rows)
    often = sorted(name for name, n in times.items() if n >= MIN_CLASS_PRODUCTS)
    nothing = LabelPredictions([None] * len(labels), len(rows), 0.0)
    if len(often) < 2 or not asked:
        return nothing
    # rows of a rare class are judged, too: they are always guessed wrongly, as new ones of such a class will be
    place_of = {name: n for n, name in enumerate(often)}
    label_R, at_R = np.array([place_of.get(str(labels[n]), -1) for n in rows]), np.array(rows)
    fold = (hash_units("folds", [str(n) for n in rows]) * FOLDS).astype(int)
    best_R, lead_R = np.zeros(len(rows), int), np.zeros(len(rows))
    for each in range(FOLDS):
        out, taught = fold == each, (fold != each) & (label_R >= 0)
        if out.any() and taught.any():
            best_R[out], lead_R[out] = best_class(x_ND[at_R[taught]], label_R[taught], len(often), x_ND[at_R[out]])
    order = np.argsort(-lead_R, kind="stable")
    sure_R = _wilson(np.cumsum((best_R == label_R)[order]), np.arange(1, len(rows) + 1))
    enough = np.flatnonzero(sure_R >= least)
    if not len(enough):
        return nothing
    best, ahead = best_class(x_ND[at_R[label_R >= 0]], label_R[label_R >= 0], len(often), x_ND[asked])
    found: list[str | None] = [None] * len(labels)
    for n, which, lead in zip(asked, best, ahead, strict=True):
        if lead >= lead_R[order[enough[-1]]]:
            found[n] = often[which]
    return LabelPredictions(found, len(rows), float(sure_R[enough[-1]]))


class BestClass(NamedTuple):
    """The class of the highest score of each product, and its lead over the next."""

    at: NDArray[np.int_]
    lead: Floats


def best_class(x_ND: Floats, label_N: NDArray[np.int_], classes: int, of_MD: Floats) -> BestClass:
    """The class of the highest ridge score, and its lead over the next."""
    x, mean = x_ND.astype(np.float64), x_ND.mean(axis=0)
    y_NC = np.eye(classes)[label_N] - (share := np.bincount(label_N, minlength=classes) / len(label_N))
    x = x - mean
    size = (x**2).sum(axis=1).mean() or 1.0
    weights = np.linalg.solve(x.T @ x + RIDGE * size * np.eye(x.shape[1]), x.T @ y_NC)
    score = (of_MD - mean) @ weights + share
    two = -np.partition(-score, 1, axis=1)[:, :2]
    return BestClass(score.argmax(axis=1), (two[:, 0] - two[:, 1]).astype(np.float32))


def _wilson(right: NDArray[np.int_], n: NDArray[np.int_]) -> NDArray[np.float64]:
    """Lower end of the 95 % interval of a share."""
    p, z = right / n, Z95**2 / n
    found: NDArray[np.float64] = (p + z / 2 - Z95 * np.sqrt(p * (1 - p) / n + z / n / 4)) / (1 + z)
    return found
