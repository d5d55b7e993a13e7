"""Logged rewards, weights and predicted rewards in; the value of another policy, as the mean of one score per row, out.

Legend: N logged decisions, A actions. Of each decision: `weight_N` is the chance of the logged action under the new
policy over its chance when logged; `fit_N` is the reward predicted for the logged action; `direct_N` is the prediction
averaged over the new policy's actions.

Every estimator is written as scores whose mean is the estimate and whose spread gives its standard error. For a ratio
the score is the value plus its linearised deviation (the delta method), so that one set of formulas serves intervals,
bootstrap, customers with several decisions, and differences between policies.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Parts:
    """What all estimators are made of; one number per logged decision."""

    reward_N: Floats
    weight_N: Floats
    fit_N: Floats
    direct_N: Floats


def dm(parts: Parts) -> Floats:
    """Direct method: what the reward model predicts. As good as the model, and no better."""
    return parts.direct_N


def ips(parts: Parts) -> Floats:
    """Inverse propensity score (Horvitz & Thompson 1952): w r. Unbiased."""
    return parts.weight_N * parts.reward_N


def snips(parts: Parts) -> Floats:
    """Self-normalised IPS (Swaminathan & Joachims 2015): sum of w r over sum of w."""
    return _ratio(parts.weight_N, parts.reward_N)


def dr(parts: Parts) -> Floats:
    """Doubly robust (Dudik, Langford & Li 2011): the direct method plus w times what the model got wrong. Unbiased."""
    return parts.direct_N + parts.weight_N * (parts.reward_N - parts.fit_N)


def sndr(parts: Parts) -> Floats:
    """Doubly robust with the correction self-normalised as in `snips`."""
    return parts.direct_N + _ratio(parts.weight_N, parts.reward_N - parts.fit_N)


def switch_dr(parts: Parts, most: float) -> Floats:
    """Switch-DR (Wang, Agarwal & Dudik 2017): no correction where the weight is over `most`. Biased by design."""
    return parts.direct_N + np.where(parts.weight_N <= most, parts.weight_N, 0.0) * (parts.reward_N - parts.fit_N)


def shrunk_dr(parts: Parts, shrink: float) -> Floats:
    """DR with optimistic shrinkage (Su et al. 2020): weights l w / (w^2 + l). `shrink` 0 is `dm`, infinity is `dr`."""
    return parts.direct_N + shrunk_weight(parts.weight_N, shrink) * (parts.reward_N - parts.fit_N)


def shrunk_weight(weight_N: Floats, shrink: float) -> Floats:
    """The weight that optimistic shrinkage puts in the place of w; never above w, and at most sqrt(shrink) / 2."""
    if np.isinf(shrink):
        return weight_N
    return shrink * weight_N / (weight_N**2 + shrink) if shrink else np.zeros_like(weight_N)


def _ratio(weight_N: Floats, value_N: Floats) -> Floats:
    mean = weight_N.mean()
    if mean == 0:
        return np.zeros_like(value_N)
    centre = float((weight_N * value_N).mean() / mean)
    return np.asarray(centre + weight_N / mean * (value_N - centre), dtype=np.float64)
