"""Histories, a moment and optional encoder scores in; the next items of each customer, ranked by trees and a net, out.

The stacker over everything that tells what comes next: the customer's counters, rhythm and basket sizes, how items do
lately, EASE and customers alike. Boosted trees and a small network learn it, and the mean of both is given; its order
is mixed with the encoder's, if there is one. They learn the expected gain directly: an item of the next basket is worth
y = 1 / IDEAL[size of that basket], everything else 0, and E[y] by cross-entropy is the quantity whose order maximises
expected NDCG. Plain relevance ranks worse, because large baskets then speak louder than they count.

Legend: R rows (a customer and a candidate item), X features, G lists of rows; the rest as in encoder_data.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import lightgbm as lgb
import numpy as np
from pydantic import Field
from scipy import sparse

from promolift.errors import SupportError
from promolift.hashing import hash_int, hash_units
from promolift.profile.counters import COUNTERS, PERSONAL, RATES, count
from promolift.profile.ease import Ease, fit_ease, incidence
from promolift.profile.encoder_data import Floats, Histories, Ints
from promolift.profile.net import BlendNet, fit_net
from promolift.settings import Settings

ITEM = (
    "buyers", "share", "share_7", "share_28", "share_84", "trend", "trend_28", "own_gap", "repeats", "deals", "deals_7",
    "deals_up", "cost", "basket_of",
)  # fmt: skip
SHARED = ("prior", "ease", "alike")
NAMES = (*COUNTERS, *RATES, *(f"own_{name}" for name in PERSONAL), *(f"item_{name}" for name in ITEM), *SHARED)
LEAST_EASE = 0.003  # EASE scores below are all alike
CELLS = 8_000_000  # customers times items held at once
Scores = Callable[[Ints, float], Floats]  # customers and a moment -> an encoder's log probability of every item, P x I


class BlendSettings(Settings):
    """How the stacker learns. `new` ranks only what a customer never bought; `weeks` is the stretch after a moment."""

    new: bool = False
    weeks: int = Field(default=2, ge=1)
    moments: int = Field(default=24, ge=1)  # weekly moments before the end; each teaches on a share of the customers
    share: float = Field(default=1.0, gt=0, le=1)
    others: float = Field(default=0.33, gt=0, le=1)  # share of the rows without gain that are kept, with more weight
    candidates: int = Field(default=60, ge=10)  # per customer in training
    keep: int = Field(default=150, ge=10)  # per customer in prediction
    ease_items: int = Field(default=4_000, ge=1)
    ease_l2: float = Field(default=1_500.0, gt=0)
    ease_weight: float = Field(default=0.5, ge=0, le=1)  # where `new`: of EASE's logarithm against that of the gain
    rank_weight: float = Field(default=0.0, ge=0)  # where `new`: of a lambdarank's score, added to both logarithms
    encoder_weight: float = Field(default=0.2, ge=0, le=1)  # of the encoder's log probability against the log gain
    neighbours: int = Field(default=100, ge=1)
    trees: int = Field(default=250, ge=1)
    leaves: int = Field(default=31, ge=2)
    learning_rate: float = Field(default=0.06, gt=0)
    min_leaf: int = Field(default=100, ge=1)
    epochs: int = Field(default=4, ge=0)  # of the network; 0: trees alone
    net_rate: float = Field(default=6e-3, gt=0)
    min_rows: int = Field(default=2_000, ge=1)
    seed: int = 1


@dataclass(frozen=True)
class Rows:
    """Candidates: `point_R` is the row of the customer asked for, features in the order of names."""

    point_R: Ints
    item_R: Ints
    x_RX: Floats


class Ranked(NamedTuple):
    """Candidates and the expected gain of each."""

    rows: Rows
    gain_R: Floats


class BlendRows(NamedTuple):
    """What the stacker learns from: features, gains and weights, and how many rows in turn belong to one list."""

    x_RX: Floats
    y_R: Floats
    weight_R: Floats
    size_G: Ints


@dataclass(frozen=True)
class Moment:
    """What all customers share at one moment; computed once and passed to every shard."""

    day: float
    ease: Ease
    item_IX: Floats
    rate_CI: sparse.csr_matrix
    bought_CI: sparse.csr_matrix


@dataclass(frozen=True)
class Blend:
    """A fitted stacker: LightGBM's text, the network, the names of their inputs, and EASE as of the end."""

    settings: BlendSettings
    names: tuple[str, ...]
    text: str
    net: BlendNet | None
    ease: Ease
    ranker: str | None = None

    def rank(self, h: Histories, day: float, customers: Ints, scores: Scores | None = None) -> Ranked:
        """Candidates of each customer and their expected gain (0 to 1).

        With `scores`, the log probabilities of an encoder, gain^(1 - w) probability^w instead, w `encoder_weight`; and
        gain^(1 - w) EASE^w e^(v score) for new items, w `ease_weight`, v `rank_weight`, score that of the ranker: a
        better order, but no longer an expected value.
        """
        rows = candidates(look(h, day, self.ease), h, customers, self.settings.keep, self.settings)
        gain_R = np.asarray(lgb.Booster(model_str=self.text).predict(rows.x_RX, num_threads=1), np.float32)
        if self.net is not None:
            gain_R = np.asarray((gain_R + self.net.predict(rows.x_RX)) / 2, np.float32)
        if self.settings.new:
            ease_R = np.maximum(rows.x_RX[:, NAMES.index("ease")], LEAST_EASE)
            weight = self.settings.ease_weight
            gain_R = np.asarray(gain_R ** (1 - weight) * ease_R**weight, np.float32)
        if self.ranker is not None:
            score_R = np.asarray(lgb.Booster(model_str=self.ranker).predict(rows.x_RX, num_threads=1))
            gain_R = np.asarray(gain_R * np.exp(self.settings.rank_weight * score_R), np.float32)
        if scores is None:
            return Ranked(rows, gain_R)
        weight = self.settings.encoder_weight
        share_R = scores(customers, day)[rows.point_R, rows.item_R]
        return Ranked(rows, np.asarray(np.exp((1 - weight) * np.log(gain_R + 1e-6) + weight * share_R), np.float32))


def fit_blend(h: Histories, end_day: float, settings: BlendSettings | None = None) -> Blend:
    """Fit on weekly moments before `end_day`. No encoder takes part: it has learned from those very weeks.

    Raises SupportError where there are too few rows or nothing was bought after any moment.
    """
    S = settings or BlendSettings()
    h = h.until(end_day)
    x_RX, y_R, weight_R, size_G = training(h, end_day, S)
    if len(y_R) < S.min_rows or not y_R.any():
        raise SupportError(f"blend: {len(y_R)} rows; at least {S.min_rows} and one purchase after a moment are needed")
    options = {"max_bin": 127, "verbose": -1}
    data = lgb.Dataset(x_RX, y_R, weight=weight_R, feature_name=list(NAMES), params=options)
    booster = lgb.train(_parameters(S), data, S.trees)
    net = fit_net(x_RX, y_R, weight_R, S.epochs, S.seed, S.net_rate) if S.epochs else None
    ranker = _fit_ranker(x_RX, y_R, size_G, S) if S.new and S.rank_weight else None
    return Blend(S, NAMES, booster.model_to_string(), net, ease_of(h, end_day, S), ranker)


def _fit_ranker(x_RX: Floats, y_R: Floats, size_G: Ints, S: BlendSettings) -> str:
    """LightGBM's lambdarank on bought or not: it errs elsewhere than expected gains do."""
    options = _parameters(S) | {"objective": "lambdarank", "lambdarank_truncation_level": 15}
    data = lgb.Dataset(x_RX, y_R > 0, group=size_G, feature_name=list(NAMES), params={"max_bin": 127, "verbose": -1})
    return str(lgb.train(options, data, S.trees).model_to_string())


def training(h: Histories, end_day: float, S: BlendSettings) -> BlendRows:
    """The rows of all training moments."""
    first, step = (7.0 * S.weeks, 28.0) if S.new else (7.0, 7.0)  # what is new needs a whole window to show
    days = [end_day - first - step * k for k in range(S.moments)]
    days = [day for day in days if (h.day_V < day).any()]
    parts, ease, fitted = [], None, -np.inf
    for day in sorted(days):
        if ease is None or day - fitted >= 28:  # EASE, too, knows nothing after the moment
            ease, fitted = ease_of(h, day, S), day
        until = min(day + 7 * S.weeks, end_day)
        customers = _asked(h, day, until, S)
        rows = candidates(look(h, day, ease), h, customers, S.candidates, S)
        y_R = gains(h, day, until, customers, rows, S)
        drawn_R = np.random.default_rng(hash_int("rows", S.seed, day)).random(len(y_R)) < S.others
        kept_R = (y_R > 0) | drawn_R
        weight_R = np.where(y_R[kept_R] > 0, 1, 1 / S.others).astype(np.float32)
        parts.append((rows.x_RX[kept_R], y_R[kept_R], weight_R, np.bincount(rows.point_R[kept_R])))
    if not parts:
        none = np.zeros(0, np.float32)
        return BlendRows(np.zeros((0, len(NAMES)), np.float32), none, none, np.zeros(0, np.int64))
    x, y, weight, size = (np.concatenate(part) for part in zip(*parts, strict=True))
    return BlendRows(x, y, weight, size[size > 0])


def ease_of(h: Histories, day: float, S: BlendSettings) -> Ease:
    """EASE as of a moment."""
    return fit_ease(incidence(h.until(day)), l2=S.ease_l2, min_buyers=1, max_items=S.ease_items)


def _asked(h: Histories, day: float, until: float, S: BlendSettings) -> Ints:
    """A share of the customers seen before the moment who come again before `until`, by hash."""
    everyone = np.arange(len(h.customers))
    at, end = h.before(everyone, np.full(len(everyone), day)), h.before(everyone, np.full(len(everyone), until))
    drawn = hash_units(f"blend {S.seed} {day}", h.customers) < S.share
    return np.flatnonzero((at > h.start_C[:-1]) & (end > at) & drawn)


def gains(h: Histories, day: float, until: float, customers: Ints, rows: Rows, S: BlendSettings) -> Floats:
    """1 / IDEAL of the number of right answers where the row is one of them, else 0."""
    first = h.before(customers, np.full(len(customers), day))
    last = (
        h.before(customers, np.full(len(customers), until))
        if S.new
        else np.minimum(first + 1, h.start_C[customers + 1])
    )
    size = h.line_V[last] - h.line_V[first]
    point_L = np.repeat(np.arange(len(customers)), size)
    item_L = h.item_L[np.repeat(h.line_V[first] - np.r_[0, np.cumsum(size)[:-1]], size) + np.arange(size.sum())]
    right = sparse.csr_matrix((np.ones(len(item_L)), (point_L, item_L)), shape=(len(customers), len(h.catalogue.items)))
    right.data[:] = 1.0
    if S.new:
        right = right - right.multiply(incidence(h.until(day))[customers] > 0)
    count_P = np.asarray(right.sum(axis=1)).ravel()
    ideal = np.cumsum(1 / np.log2(np.arange(10) + 2))[np.clip(count_P, 1, 10).astype(int) - 1]
    hit_R = np.asarray(right[rows.point_R, rows.item_R]).ravel()
    return np.asarray(hit_R / ideal[rows.point_R], np.float32)


def look(h: Histories, day: float, ease: Ease) -> Moment:
    """What is shared at a moment, from visits strictly before it."""
    h = h.until(day)
    return Moment(day, ease, _items(h, day), _rates(h, day), incidence(h))


def _rates(h: Histories, day: float) -> sparse.csr_matrix:
    """C x I: weighted share of the customer's visits with the item, recent ones first."""
    fade_V = 2.0 ** (-(day - h.day_V) / 120) + 0.1
    size_V, who_V = np.diff(h.line_V), np.repeat(np.arange(len(h.customers)), np.diff(h.start_C))
    worth_L, who_L = np.repeat(fade_V * h.weight_V, size_V), np.repeat(who_V, size_V)
    total_C = np.bincount(who_V, fade_V, minlength=len(h.customers))
    share_L = (worth_L / total_C[who_L]).astype(np.float32)
    rate_CI = sparse.csr_matrix((share_L, (who_L, h.item_L)), shape=(len(h.customers), len(h.catalogue.items)))
    rate_CI.sum_duplicates()
    return rate_CI


def _items(h: Histories, day: float) -> Floats:
    """ITEM per item: how many buy it, lately and before, how soon again, how often on discount."""
    size_V = np.diff(h.line_V)
    age_L, w_L = np.repeat(day - h.day_V, size_V), np.repeat(h.weight_V, size_V).astype(np.float64)
    who_L = np.repeat(np.repeat(np.arange(len(h.customers)), np.diff(h.start_C)), size_V)

    def per(weights: Any) -> Any:
        return np.bincount(h.item_L, weights, minlength=len(h.catalogue.items))

    order = np.lexsort((-age_L, who_L, h.item_L))
    same = (np.diff(h.item_L[order]) == 0) & (np.diff(who_L[order]) == 0)
    gap_L = np.zeros(len(order))
    gap_L[order[1:]] = np.where(same, -np.diff(age_L[order]), 0)
    lines, again = per(None), per(np.isin(np.arange(len(order)), order[1:][same]).astype(float))
    recent = [(age_L <= 7) * 1.0, (age_L <= 28) * 1.0, ((age_L > 28) & (age_L <= 84)) * 1.0]
    visits = [max(((day - h.day_V) <= 7).sum(), 1), max(((day - h.day_V) <= 28).sum(), 1)]
    visits += [max((((day - h.day_V) > 28) & ((day - h.day_V) <= 84)).sum(), 1)]
    s7, s28, s84 = (per(w_L * r) / n for r, n in zip(recent, visits, strict=True))
    with np.errstate(invalid="ignore", divide="ignore"):
        deals, deals_7 = per(h.deal_L) / lines, per(h.deal_L * recent[0]) / per(recent[0])
        columns = [lines - again, per(w_L) / max(len(h.day_V), 1), s7, s28, s84, (s7 + 1e-5) / (s28 + 1e-5)]
        columns += [(s28 + 1e-5) / (s84 + 1e-5), per(gap_L) / again, again / lines, deals, deals_7, deals_7 - deals]
        columns += [per(h.spend_L) / lines, per(np.repeat(size_V, size_V)) / lines]
    return np.stack(columns, axis=1).astype(np.float32)


def _alike(moment: Moment, customers: Ints, neighbours: int) -> Floats:
    """Mean rates of the customers most alike (cosine of root rates), squared similarity as weight."""
    root_CI = moment.rate_CI.sqrt()
    length_C = np.sqrt(np.asarray(root_CI.multiply(root_CI).sum(axis=1)).ravel()) + 1e-9
    root_CI = sparse.csr_matrix(sparse.diags(1 / length_C) @ root_CI)
    near_PC = (root_CI[customers] @ root_CI.T).toarray()
    near_PC[np.arange(len(customers)), customers] = 0
    if near_PC.shape[1] > neighbours:
        least = -np.partition(-near_PC, neighbours, axis=1)[:, neighbours, None]
        near_PC = np.where(near_PC >= least, near_PC, 0)
    near_PC = near_PC**2 / ((near_PC**2).sum(axis=1, keepdims=True) + 1e-9)
    return np.asarray((sparse.csr_matrix(near_PC) @ moment.rate_CI).toarray(), np.float32)


def candidates(moment: Moment, h: Histories, customers: Ints, keep: int, S: BlendSettings) -> Rows:
    """The most plausible items per customer, with features; known ones and, where `S.new`, only new ones."""
    keep = min(keep, len(h.catalogue.items))
    size = max(CELLS // len(h.catalogue.items), 1)  # customers at a time, for the sake of memory
    parts = [_some(moment, h, customers[at : at + size], keep, S) for at in range(0, len(customers), size)]
    point_R = np.repeat(np.arange(len(customers)), keep)
    if not parts:
        return Rows(point_R, point_R, np.zeros((0, len(NAMES)), np.float32))
    return Rows(point_R, np.concatenate([part.item_R for part in parts]), np.concatenate([part.x_RX for part in parts]))


def _some(moment: Moment, h: Histories, customers: Ints, keep: int, S: BlendSettings) -> Rows:
    """Candidates of a few customers."""
    ease_PI = moment.ease.score(moment.bought_CI[customers])
    alike_PI = _alike(moment, customers, S.neighbours)
    prior_PI = moment.rate_CI[customers].toarray() + 0.15 * np.nan_to_num(moment.item_IX[:, 3]) + 0.3 * alike_PI
    if S.new:
        prior_PI = np.where(moment.bought_CI[customers].toarray() > 0, -1.0, ease_PI + alike_PI)
    item_PM = np.sort(np.argpartition(-prior_PI, keep - 1, axis=1)[:, :keep], axis=1)
    point_R, item_R = np.repeat(np.arange(len(customers)), keep), item_PM.ravel()
    blocks = [*_counters(moment, h, customers, point_R, item_R), moment.item_IX[item_R]]
    blocks += [table[point_R, item_R][:, None] for table in (prior_PI, ease_PI, alike_PI)]
    return Rows(point_R, item_R, np.concatenate(blocks, axis=1).astype(np.float32))


def _counters(moment: Moment, h: Histories, customers: Ints, point_R: Ints, item_R: Ints) -> list[Floats]:
    """COUNTERS, RATES and PERSONAL of each row; NaN for items never bought."""
    day_P = np.full(len(customers), moment.day)
    most = int(np.diff(moment.bought_CI[customers].indptr).max(initial=1))
    counts = count(h, customers, h.before(customers, day_P), day_P, most)
    where_PI = np.full((len(customers), len(h.catalogue.items)), -1, np.int32)
    rows, columns = np.nonzero(counts.item_PM >= 0)
    where_PI[rows, counts.item_PM[rows, columns]] = columns
    place_R = where_PI[point_R, item_R]
    blocks = np.concatenate([counts.item_PMF, counts.rates()], axis=2)[point_R, place_R]
    blocks[place_R < 0] = np.nan
    return [blocks, counts.personal_PG[point_R]]


def _parameters(S: BlendSettings) -> dict[str, Any]:
    return {
        "objective": "cross_entropy",
        "num_leaves": S.leaves,
        "learning_rate": S.learning_rate,
        "min_data_in_leaf": S.min_leaf,
        "feature_fraction": 0.4,
        "bagging_fraction": 0.7,
        "bagging_freq": 1,
        "lambda_l2": 10.0,
        "seed": S.seed,
        "num_threads": 1,
        "deterministic": True,
        "force_row_wise": True,
        "verbose": -1,
    }
