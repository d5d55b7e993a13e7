"""Rank the items of each customer's next basket with boosted trees.

The features are the customer's counters of an item (`purchase_histories`), the item's recent sales, the item's score by
EASE from everything the customer bought, and the purchases of similar customers. The trees learn from weekly moments of
the past. An item of the first basket after a moment has the gain 1 / IDEAL_DCG[items in that basket], any other item 0.
The trees predict the mean gain by cross-entropy, because ordering by it maximises the expected NDCG; labelling items
only as bought or not would give large baskets too much weight.

Legend: R rows (a customer and a candidate item), N customers among whom similar ones are sought; the rest as in
`purchase_histories`.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import lightgbm as lgb
import numpy as np
from scipy import sparse

from promolift.core.customers.forecasts.boosted_trees import read_trees
from promolift.extensions.encoder.network.purchase_histories import (
    CUSTOMER_COUNTERS,
    ITEM_COUNTERS,
    RATE_FEATURES,
    Ease,
    Histories,
    count_visits,
    fit_ease,
    purchase_incidence,
)
from promolift.foundation.errors import SupportError
from promolift.foundation.hashing import hash_int, hash_units
from promolift.foundation.i18n.lazy_message import gettext_lazy
from promolift.foundation.jit import Days, Floats, Ints

ITEM_FEATURES = (
    "buyers", "share", "share_7", "share_28", "share_84", "trend_7", "trend_28", "own_gap", "repeats", "deals",
    "deals_7", "deals_up", "cost", "basket_of",
)  # fmt: skip
CUSTOMER_FEATURES = tuple(f"their_{name}" for name in CUSTOMER_COUNTERS)
FEATURES = (
    *ITEM_COUNTERS,
    *RATE_FEATURES,
    *CUSTOMER_FEATURES,
    *(f"item_{name}" for name in ITEM_FEATURES),
    "prior",
    "ease",
    "alike",
)
TRAINING_WEEKS, TRAINING_POINTS = (
    8,
    20_000,
)  # weekly moments that are learned from; about so many customers and moments in all
TRAINING_CANDIDATES, RANKED_CANDIDATES = 60, 100  # candidate items of a customer, in training and after it
NEGATIVE_SAMPLE_SHARE = 0.33  # the share of the rows without gain that is kept, with the more weight
MIN_TRAINING_ROWS = 2_000  # fewer with so many candidates teach nothing
EASE_L2, EASE_ITEMS, EASE_REFIT_DAYS = 1_500.0, 2_000, 28.0  # FRESH: days for which EASE stays as it was, in training
NEIGHBOURS, NEIGHBOUR_POOL = 100, 2_500  # customers alike, sought among so many drawn by hash
RATE_HALF_LIFE_DAYS, RATE_FLOOR_WEIGHT = (
    120.0,
    0.1,
)  # half-life in days of a visit's say in a customer's rates, and what never fades
MAX_CELLS = 8_000_000  # customers times items held at once
NON_CANDIDATE_GAIN = 1e-4  # the gain of what is no candidate
LIGHTGBM_OPTIONS = {
    "objective": "cross_entropy", "num_leaves": 31, "learning_rate": 0.1, "min_data_in_leaf": 100,
    "feature_fraction": 0.4, "bagging_fraction": 0.7, "bagging_freq": 1, "lambda_l2": 10.0, "max_bin": 127,
    "num_threads": 1, "deterministic": True, "force_row_wise": True, "verbose": -1,
}  # fmt: skip
BOOSTING_ROUNDS = 120


class CandidateRows(NamedTuple):
    """Candidates: `point_R` is the row of the customer asked for; FEATURES in their order."""

    point_R: Ints
    item_R: Ints
    x_RX: Floats


@dataclass(frozen=True)
class RankingSnapshot:
    """What all customers share at a moment: ITEM of each item, EASE, and the rates of those alike are sought among."""

    day: float
    ease: Ease = field(repr=False)
    item_IX: Floats = field(repr=False)
    rate_NI: sparse.csr_matrix = field(repr=False)
    place: dict[str, int] = field(repr=False)

    @classmethod
    def of(cls, h: Histories, day: float, ease: Ease | None = None) -> "RankingSnapshot":
        """From visits strictly before the moment. Raises SupportError where there are none."""
        h = h.until(day)
        ease = ease or fit_ease(purchase_incidence(h), l2=EASE_L2, min_buyers=1, max_items=EASE_ITEMS)
        among = np.sort(np.argsort(hash_units("alike", h.customers), kind="stable")[:NEIGHBOUR_POOL])
        place = {h.customers[c]: row for row, c in enumerate(among)}
        return cls(day, ease, _items(h, day), _rates(h, day)[among], place)

    def rows(self, h: Histories, customers: Ints, most: int) -> CandidateRows:
        """The `most` likeliest items of each customer, as the histories stood at the moment."""
        items = len(h.catalogue.items)
        size = max(MAX_CELLS // items, 1)
        starts = range(0, len(customers), size)
        parts = [self._some(h.of(customers[at : at + size]).until(self.day), min(most, items)) for at in starts]
        point_R = np.repeat(np.arange(len(customers)), min(most, items))
        return CandidateRows(point_R, *(np.concatenate(part) for part in zip(*(p[1:] for p in parts), strict=True)))

    def _some(self, h: Histories, most: int) -> CandidateRows:
        bought_CI, rate_CI = purchase_incidence(h), _rates(h, self.day)
        ease_CI = np.zeros(bought_CI.shape, np.float32)
        ease_CI[:, self.ease.item_J] = bought_CI[:, self.ease.item_J] @ self.ease.weight_JJ
        alike_CI = self._alike(rate_CI, h.customers)
        prior_CI = rate_CI.toarray() + 0.15 * self.item_IX[:, ITEM_FEATURES.index("share_28")] + 0.3 * alike_CI
        item_CM = np.sort(np.argpartition(-prior_CI, most - 1, axis=1)[:, :most], axis=1)
        customer_R, item_R = np.repeat(np.arange(len(h.customers)), most), item_CM.ravel()
        scores = [table[customer_R, item_R][:, None] for table in (prior_CI, ease_CI, alike_CI)]
        counted = self._counters(h, customer_R, item_R)
        x_RX = np.concatenate([counted, self.item_IX[item_R], *scores], axis=1).astype(np.float32)
        return CandidateRows(customer_R, item_R, x_RX)

    def _alike(self, rate_CI: sparse.csr_matrix, names: Sequence[str]) -> Floats:
        """Mean rates of the customers most alike (cosine of root rates), squared similarity as weight."""
        near_CN = (_unit(rate_CI) @ _unit(self.rate_NI).T).toarray()
        own = [(row, self.place[name]) for row, name in enumerate(names) if name in self.place]
        if own:  # nobody is their own neighbour
            near_CN[tuple(np.array(own).T)] = 0
        if near_CN.shape[1] > NEIGHBOURS:
            least = -np.partition(-near_CN, NEIGHBOURS, axis=1)[:, NEIGHBOURS, None]
            near_CN = np.where(near_CN >= least, near_CN, 0)
        near_CN = near_CN**2 / ((near_CN**2).sum(axis=1, keepdims=True) + 1e-9)
        return np.asarray((sparse.csr_matrix(near_CN) @ self.rate_NI).toarray(), np.float32)

    def _counters(self, h: Histories, customer_R: Ints, item_R: Ints) -> Floats:
        """COUNTERS, RATES and PERSONAL of each row; the first two are NaN for items never bought."""
        everyone = np.arange(len(h.customers))
        most = min(int(np.diff(h.line_V[h.start_C]).max(initial=1)), len(h.catalogue.items))
        counts = count_visits(h, everyone, h.start_C[1:], np.full(len(everyone), self.day), most)
        column_CI = np.full((len(everyone), len(h.catalogue.items)), -1, np.int32)
        known = np.nonzero(counts.item_PM >= 0)
        column_CI[known[0], counts.item_PM[known]] = known[1]
        column_R = column_CI[customer_R, item_R]
        counted = np.concatenate([counts.item_PMF, counts.rates()], axis=2)[customer_R, column_R]
        counted[column_R < 0] = np.nan
        return np.concatenate([counted, counts.personal_PG[customer_R]], axis=1)


@dataclass(frozen=True)
class BasketRanker:
    """Trees as LightGBM's text, their share in the order, the encoder's being the rest, and the moment they look at."""

    trees: str = field(repr=False)
    weight: float
    snapshot: RankingSnapshot

    def combined_scores(self, h: Histories, customers: Ints, log_share_PI: Floats) -> Floats:
        """P x I: the order of both members together, from the encoder's log share of every item."""
        found = self.weight * self.log_gain(h, customers) + (1 - self.weight) * log_share_PI
        return np.asarray(found, np.float32)

    def log_gain(self, h: Histories, customers: Ints) -> Floats:
        """P x I: log of the expected gain of every item in a customer's next list; FLOOR where it is no candidate."""
        found_PI = np.full((len(customers), len(h.catalogue.items)), np.log(NON_CANDIDATE_GAIN), np.float32)
        if len(customers):
            rows = self.snapshot.rows(h, customers, RANKED_CANDIDATES)
            gain_R = 1 / (1 + np.exp(-read_trees(self.trees).raw(rows.x_RX)))
            found_PI[rows.point_R, rows.item_R] = np.log(np.maximum(gain_R, NON_CANDIDATE_GAIN))
        return found_PI


def fit_basket_trees(h: Histories, end_day: float, seed: int = 1) -> str:
    """LightGBM's text of trees that learned from the weeks before a moment; nothing later is looked at.

    Raises SupportError where there are too few rows or nothing was bought after any moment.
    """
    h = h.until(end_day)
    days = [end_day - 7.0 * (back + 1) for back in reversed(range(TRAINING_WEEKS))]
    days = [day for day in days if (h.day_V < day).any()]
    share = TRAINING_POINTS / max(TRAINING_WEEKS * len(h.customers), 1)
    parts: list[_Lesson] = []
    ease, fitted = None, -np.inf
    for day in days:
        if day - fitted >= EASE_REFIT_DAYS:
            ease, fitted = None, day
        look = RankingSnapshot.of(h, day, ease)
        ease = look.ease
        parts.append(_lesson(h, look, min(day + 14, end_day), share, seed))
    rows = sum(len(part.gain_R) for part in parts)
    if rows < MIN_TRAINING_ROWS or not any(part.gain_R.any() for part in parts):
        raise SupportError(
            "too_few_rows",
            gettext_lazy(
                "next basket: {rows} rows to learn from; {min_training_rows} and one purchase are needed",
                rows=rows,
                min_training_rows=f"{MIN_TRAINING_ROWS:,}",
            ),
        )
    x_RX, gain_R = (np.concatenate(part) for part in zip(*parts, strict=True))
    weight_R = np.where(gain_R > 0, 1.0, 1 / NEGATIVE_SAMPLE_SHARE)
    data = lgb.Dataset(x_RX, gain_R, weight=weight_R, feature_name=list(FEATURES), params=LIGHTGBM_OPTIONS)
    return str(lgb.train(LIGHTGBM_OPTIONS | {"seed": seed}, data, BOOSTING_ROUNDS).model_to_string())


class _Lesson(NamedTuple):
    x_RX: Floats
    gain_R: Floats


def _lesson(h: Histories, look: RankingSnapshot, until: float, share: float, seed: int) -> _Lesson:
    """Candidates at one moment and what each was worth next, of customers drawn who came again before `until`."""
    everyone = np.arange(len(h.customers))
    first_C, end_C = (h.before(everyone, np.full(len(everyone), day)) for day in (look.day, until))
    drawn_C = hash_units(f"basket {seed} {look.day}", h.customers) < share
    asked = np.flatnonzero((first_C > h.start_C[:-1]) & (end_C > first_C) & drawn_C)
    if not len(asked):
        return _Lesson(np.zeros((0, len(FEATURES)), np.float32), np.zeros(0, np.float32))
    rows = look.rows(h, asked, TRAINING_CANDIDATES)
    gain_R = _gains(h, first_C[asked][rows.point_R], rows.item_R)
    random_R = np.random.default_rng(hash_int("basket", seed, look.day)).random(len(gain_R))
    kept_R = (gain_R > 0) | (random_R < NEGATIVE_SAMPLE_SHARE)
    return _Lesson(rows.x_RX[kept_R], gain_R[kept_R])


def _gains(h: Histories, visit_R: Ints, item_R: Ints) -> Floats:
    """1 / IDEAL_DCG of the items in the visit where the item is one of them, else 0."""
    items, visit_L = len(h.catalogue.items), np.repeat(np.arange(len(h.day_V)), np.diff(h.line_V))
    right_R = np.isin(visit_R * items + item_R, visit_L * items + h.item_L)
    return np.where(right_R, h.weight_V[visit_R], 0).astype(np.float32)


def _unit(rate_PI: sparse.csr_matrix) -> sparse.csr_matrix:
    """Roots of the rates, each row of length 1."""
    root = rate_PI.sqrt()
    length_P = np.sqrt(np.asarray(root.multiply(root).sum(axis=1)).ravel()) + 1e-9
    return sparse.csr_matrix(sparse.diags(1 / length_P) @ root)


def _rates(h: Histories, day: float) -> sparse.csr_matrix:
    """C x I: weighted share of the customer's visits with the item, recent ones first."""
    fade_V = 2.0 ** (-(day - h.day_V) / RATE_HALF_LIFE_DAYS) + RATE_FLOOR_WEIGHT
    size_V, who_V = np.diff(h.line_V), np.repeat(np.arange(len(h.customers)), np.diff(h.start_C))
    who_L = np.repeat(who_V, size_V)
    total_C = np.bincount(who_V, fade_V, minlength=len(h.customers))
    share_L = (np.repeat(fade_V * h.weight_V, size_V) / total_C[who_L]).astype(np.float32)
    found = sparse.csr_matrix((share_L, (who_L, h.item_L)), shape=(len(h.customers), len(h.catalogue.items)))
    found.sum_duplicates()
    return found


def _items(h: Histories, day: float) -> Floats:
    """ITEM per item: how many buy it, lately and before, how soon again, how often on discount."""
    size_V, many = np.diff(h.line_V), len(h.catalogue.items)
    age_V = day - h.day_V
    age_L, weight_L = np.repeat(age_V, size_V), np.repeat(h.weight_V, size_V).astype(np.float64)
    who_L = np.repeat(np.repeat(np.arange(len(h.customers)), np.diff(h.start_C)), size_V)

    def per(values_L: Days | Floats | None = None) -> Days:
        return np.bincount(h.item_L, values_L, minlength=many).astype(np.float64)

    order = np.lexsort((-age_L, who_L, h.item_L))
    same = (np.diff(h.item_L[order]) == 0) & (np.diff(who_L[order]) == 0)
    gap_L, again_L = np.zeros(len(order)), np.zeros(len(order))
    gap_L[order[1:]], again_L[order[1:]] = np.where(same, -np.diff(age_L[order]), 0), same
    lines, again = per(), per(again_L)
    spans = ((0, 7), (0, 28), (28, 84))
    within = [(low < age_L) & (age_L <= high) for low, high in spans]
    visits = [max(int(((low < age_V) & (age_V <= high)).sum()), 1) for low, high in spans]
    week, month, before = (per(weight_L * part) / n for part, n in zip(within, visits, strict=True))
    with np.errstate(invalid="ignore", divide="ignore"):
        deals, deals_7 = per(h.deal_L) / lines, per(h.deal_L * within[0]) / per(within[0] * 1.0)
        columns = [
            lines - again, per(weight_L) / max(len(h.day_V), 1), week, month, before,
            (week + 1e-5) / (month + 1e-5), (month + 1e-5) / (before + 1e-5), per(gap_L) / again, again / lines, deals,
            deals_7, deals_7 - deals, per(h.spend_L) / lines, per(np.repeat(size_V, size_V)) / lines,
        ]  # fmt: skip
    return np.stack(columns, axis=1).astype(np.float32)
