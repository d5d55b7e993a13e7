"""Who bought what in; for each customer a score of every item from all else they bought, out.

EASE (Steck 2019, WWW): ridge regression of each item on all others, none predicting itself, in closed form. Strong for
things a customer has never bought. Legend: C customers, I items, J items with enough buyers, D rank.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from scipy import sparse

from promolift.errors import SupportError
from promolift.profile.encoder_data import Floats, Histories, Ints


class EaseFactors(NamedTuple):
    """I x D each; their product is near the weights between items bought (left) and scored (right)."""

    left_ID: Floats
    right_ID: Floats


@dataclass(frozen=True)
class Ease:
    """Weights between the items `kept_J`; all other items score 0."""

    items: int
    kept_J: Ints
    weight_JJ: Floats

    def score(self, bought_CI: sparse.csr_matrix) -> Floats:
        """C x I scores, higher for likelier items; only their order within a customer has a meaning."""
        score_CI = np.zeros(bought_CI.shape, np.float32)
        score_CI[:, self.kept_J] = bought_CI[:, self.kept_J].astype(np.float32) @ self.weight_JJ
        return score_CI

    def factors(self, rank: int, seed: int) -> EaseFactors:
        """Their product is near the weights (randomised SVD, two power steps)."""
        rng = np.random.default_rng(seed)
        size = len(self.kept_J)
        base = self.weight_JJ @ rng.standard_normal((size, min(rank + 8, size)), dtype=np.float32)
        for _ in range(2):
            base = self.weight_JJ @ (self.weight_JJ.T @ np.linalg.qr(base)[0])
        base = np.linalg.qr(base)[0]
        u, s, v = np.linalg.svd(base.T @ self.weight_JJ, full_matrices=False)
        left, right = np.zeros((self.items, rank), np.float32), np.zeros((self.items, rank), np.float32)
        used = min(rank, len(s))
        left[self.kept_J, :used] = (base @ u[:, :used]) * np.sqrt(s[:used])
        right[self.kept_J, :used] = v[:used].T * np.sqrt(s[:used])
        return EaseFactors(left, right)


def incidence(h: Histories) -> sparse.csr_matrix:
    """C x I, 1 where the customer ever bought the item."""
    per_L = np.repeat(np.arange(len(h.day_V)), np.diff(h.line_V))
    who_L = np.repeat(np.arange(len(h.customers)), np.diff(h.start_C))[per_L]
    ones = np.ones(len(h.item_L), np.float32)
    found = sparse.csr_matrix((ones, (who_L, h.item_L)), shape=(len(h.customers), len(h.catalogue.items)))
    found.sum_duplicates()
    found.data[:] = 1.0
    return found


def fit_ease(bought_CI: sparse.csr_matrix, l2: float = 200.0, min_buyers: int = 5, max_items: int = 5_000) -> Ease:
    """Fit on the `max_items` most bought items with at least `min_buyers` buyers; cubic in their number."""
    buyers_I = np.asarray(bought_CI.sum(axis=0)).ravel()
    order = np.lexsort((np.arange(len(buyers_I)), -buyers_I))[:max_items]
    kept_J = np.sort(order[buyers_I[order] >= min_buyers])
    if not len(kept_J):
        raise SupportError(f"EASE: no item has {min_buyers} buyers; a longer history or a coarser level is needed")
    kept = bought_CI[:, kept_J].astype(np.float64)
    gram_JJ = (kept.T @ kept).toarray()
    gram_JJ[np.diag_indices_from(gram_JJ)] += l2
    inverse_JJ = np.linalg.inv(gram_JJ)
    weight_JJ = inverse_JJ / -np.diag(inverse_JJ)
    np.fill_diagonal(weight_JJ, 0.0)
    return Ease(bought_CI.shape[1], kept_J, weight_JJ.astype(np.float32))
