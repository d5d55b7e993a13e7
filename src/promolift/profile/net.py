"""Rows of features and gains in; the expected gain of a row by a small network, out.

Two hidden layers beside a straight line, trained by cross-entropy. It errs elsewhere than trees do: the mean of both
ranks better than either. Legend: R rows, X inputs, Q cut points, B rows of a step.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from promolift.profile.encoder_data import Floats

CUTS, REACH = 33, 1.7  # cut points per input, its range once scaled
STEP, PART = 2_048, 65_536  # rows per step in training, rows at once in prediction
HIDDEN = (96, 48)


@dataclass(frozen=True)
class BlendNet:
    """Cut points of each input, and weights: in, its bias, middle, its bias, out, the straight line, its bias."""

    cut_QX: Floats
    weights: tuple[Floats, ...]

    def predict(self, x_RX: Floats) -> Floats:
        """Expected gain of each row, 0 to 1."""
        some = [x_RX[at : at + PART] for at in range(0, len(x_RX), PART)]
        parts = [_forward(_scaled(x, self.cut_QX), self.weights).prob_R for x in some]
        return np.concatenate([np.zeros(0, np.float32), *parts])


def fit_net(x_RX: Floats, y_R: Floats, weight_R: Floats, epochs: int, seed: int, rate: float = 2e-3) -> BlendNet:
    """By Adam with decoupled decay; the rate rises over the first tenth of the steps and then falls to 0."""
    rng = np.random.default_rng(seed)
    some = x_RX[:: max(len(x_RX) // 50_000, 1)]
    cut_QX = np.full((CUTS, x_RX.shape[1]), np.nan, np.float32)
    for x in range(x_RX.shape[1]):
        known = some[np.isfinite(some[:, x]), x]
        cut_QX[:, x] = np.quantile(known, np.linspace(0, 1, CUTS)) if len(known) else np.nan
    x_RX = _scaled(x_RX, cut_QX)
    weights = _start(x_RX.shape[1], float(np.average(y_R, weights=weight_R)), rng)
    mean, square = ([np.zeros_like(w) for w in weights] for _ in range(2))
    steps, step = epochs * max(len(y_R) // STEP, 1), 0
    for _ in range(epochs):
        for row_B in np.array_split(rng.permutation(len(y_R)), max(len(y_R) // STEP, 1)):
            step += 1
            pace = rate * min(10 * step / steps, (1 - step / steps) / 0.9)
            slopes = _slopes(x_RX[row_B], y_R[row_B], weight_R[row_B], weights)
            for w, g, m, v in zip(weights, slopes, mean, square, strict=True):
                m += 0.1 * (g - m)
                v += 0.001 * (g * g - v)
                w -= pace * (m / (1 - 0.9**step) / (np.sqrt(v / (1 - 0.999**step)) + 1e-8) + 0.01 * w)
    return BlendNet(cut_QX, tuple(weights))


def _scaled(x_RX: Floats, cut_QX: Floats) -> Floats:
    """Each input by its place among the cut points, missing ones in the middle; last, whether the first is missing."""
    scaled_RX = np.zeros((len(x_RX), x_RX.shape[1] + 1), np.float32)
    for x in range(x_RX.shape[1]):
        cuts = np.unique(cut_QX[:, x])
        if len(cuts) > 1:  # NaN, where nothing is known, stands alone
            placed_R = np.interp(x_RX[:, x], cuts, np.linspace(-REACH, REACH, len(cuts)))
            scaled_RX[:, x] = np.where(np.isfinite(x_RX[:, x]), placed_R, 0)
    scaled_RX[:, -1] = np.isnan(x_RX[:, 0])
    return scaled_RX


def _start(inputs: int, base: float, rng: np.random.Generator) -> list[Floats]:
    sizes = [inputs, *HIDDEN, 1]
    layers = [rng.uniform(-1, 1, (a, b)) / np.sqrt(a) for a, b in pairwise(sizes)]
    line, bias = np.zeros((inputs, 1)), np.array([np.log(base / (1 - base))])
    both = [layers[0], np.zeros(sizes[1]), layers[1], np.zeros(sizes[2]), layers[2], line, bias]
    return [w.astype(np.float32) for w in both]


class _Forward(NamedTuple):
    """Probabilities, and what the way back needs: inputs and gates of both layers."""

    prob_R: Floats
    a: Floats
    gate_a: Floats
    b: Floats
    gate_b: Floats


def _forward(x_RX: Floats, weights: Sequence[Floats]) -> _Forward:
    into, into_bias, mid, mid_bias, out, line, bias = weights
    a = x_RX @ into + into_bias
    gate_a = 1 / (1 + np.exp(-a))
    b = (a * gate_a) @ mid + mid_bias
    gate_b = 1 / (1 + np.exp(-b))
    odds_R = ((b * gate_b) @ out + x_RX @ line + bias)[:, 0]
    return _Forward(1 / (1 + np.exp(-odds_R)), a, gate_a, b, gate_b)


def _slopes(x_BX: Floats, y_B: Floats, weight_B: Floats, weights: Sequence[Floats]) -> list[Floats]:
    """Gradient of the mean cross-entropy by each weight."""
    prob_B, a, gate_a, b, gate_b = _forward(x_BX, weights)
    error_B1 = ((prob_B - y_B) * weight_B / len(y_B))[:, None]
    to_b = error_B1 @ weights[4].T * gate_b * (1 + b * (1 - gate_b))
    to_a = to_b @ weights[2].T * gate_a * (1 + a * (1 - gate_a))
    slopes = [x_BX.T @ to_a, to_a.sum(0), (a * gate_a).T @ to_b, to_b.sum(0)]
    return [*slopes, (b * gate_b).T @ error_B1, x_BX.T @ error_B1, error_B1.sum(0)]
