"""Forecast with a trained encoder: embeddings, calibrated expectations, sentences and reasons.

This module loads without the training code. Calibration is fitted on the validation window, which the weights were not
trained on. A forecast is no effect: it says what is likely, not what an offer would change. Legend as in encoder.py; N
customers who came before the window and in it, R their 40 likeliest items, A all customers who came before.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import polars as pl
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression

from promolift.core.customers.forecasts.model_weights import WEIGHTS, ModelWeight, choose_weight, paired_difference
from promolift.extensions.encoder.network.basket_ranker import BasketRanker, RankingSnapshot
from promolift.extensions.encoder.network.encoder import (
    SPEND_56,
)
from promolift.extensions.encoder.network.learned_encoder import ForecastBatch, LearnedEncoder, log_share, ndcg_at_10
from promolift.extensions.encoder.network.purchase_histories import (
    ITEM_COUNTERS,
    LIST_LENGTH,
    Histories,
    Popularity,
    count_visits,
)
from promolift.foundation.errors import SupportError
from promolift.foundation.i18n.catalogue import gettext_noop
from promolift.foundation.i18n.lazy_message import LazyMessage, gettext_lazy
from promolift.foundation.jit import Bools, Days, Floats, Ints
from promolift.foundation.time.clock import DAY_MS

MoneyFormat = Callable[[float], str]
HORIZON_DAYS, HORIZON_COLUMN = 56, 1  # the horizon told, and its place in encoder.HORIZONS
MIN_CALIBRATION_CUSTOMERS, CHECKED_ITEMS = (
    50,
    40,
)  # customers needed to calibrate; items of each whose probability is checked


class LogitLine(NamedTuple):
    """Log odds that are a line in one number."""

    intercept: float
    slope: float


class LogitPlane(NamedTuple):
    """Log odds that are a plane in two numbers."""

    intercept: float
    first: float
    second: float


@dataclass(frozen=True)
class ForecastCalibration:
    """How what the heads say becomes probabilities and means.

    `item`: constant and slopes of an item's log share and of the log of the customer's usual basket size; `deal`: of
    the head's log odds and of their own share so far; `churn`: a line on log odds; `spend`, `orders`: factors. `usual`
    is everybody's, of which those who are little known need to know a little.
    """

    item: LogitPlane
    churn: LogitLine
    deal: LogitPlane
    spend: float
    orders: float
    usual: "PopulationMeans"


@dataclass(frozen=True)
class PopulationMeans:
    """Everybody's mean spend in 8 weeks, share of discounted items and items per visit, before a moment."""

    spend: float
    deal: float
    size: float


@dataclass(frozen=True)
class SentenceFormat:
    """How sentences print money and items. An item that `names` leaves out is never told; without `names` all are."""

    money: MoneyFormat
    names: Mapping[str, str] | None = None

    def name(self, item: str) -> str | None:
        """The item's readable name, None where it must not be told."""
        return item if self.names is None else self.names.get(item)


@dataclass(frozen=True)
class BacktestWindow:
    """The 56 days after a moment: what was expected of the A customers known before it, and what came.

    Of the N of them who came, in `who_N` by their place among the A: at each weight W of the trees (model_weights.py;
    one without trees) NDCG@10 of the next basket, the log shares of the likeliest items and whether these were in it;
    NDCG@10 by `habitual_items`, and the log of the usual basket size. `churn_A`, `deal_A` and `own_A` are log odds.
    """

    day: float
    usual: "PopulationMeans"
    customer_A: Ints
    churn_A: Days
    gone_A: Bools
    deal_A: Days
    own_A: Days
    deals_A: Days
    spend_A: Days
    spent_A: Days
    orders_A: Days
    visits_A: Days
    who_N: Ints
    gain_NW: Days
    habit_N: Days
    size_N: Days
    log_NWR: Floats
    bought_NWR: Bools


def collect_backtest_window(
    model: LearnedEncoder, trees: str, h: Histories, shared: Popularity, day: float
) -> BacktestWindow:
    """One pass over the customers known at `day`, by an encoder that learned before it, and trees that did ("": none).

    Raises SupportError below 50 customers.
    """
    everyone = np.arange(len(h.customers))
    first_C, end_C = (h.before(everyone, np.full(len(everyone), at)) for at in (day, day + HORIZON_DAYS))
    asked = np.flatnonzero(first_C > h.start_C[:-1])
    if len(asked) < MIN_CALIBRATION_CUSTOMERS or day + HORIZON_DAYS > h.day_V.max() + 1:
        raise SupportError(
            "too_few_customers",
            gettext_lazy(
                "encoder: {asked} customers known at the start of a whole window of {horizon_days} days; "
                "{min_calibration_customers} needed",
                asked=len(asked),
                horizon_days=HORIZON_DAYS,
                min_calibration_customers=MIN_CALIBRATION_CUSTOMERS,
            ),
        )
    usual = population_means(h, day)
    ranker = BasketRanker(trees, 1.0, RankingSnapshot.of(h, day)) if trees else None
    popular = np.argsort(-np.bincount(h.until(day).item_L, minlength=len(h.catalogue.items)), kind="stable")
    batches = model.forecast(h, shared, asked, np.full(len(asked), day))
    parts = [_outcomes(h, said, usual, ranker, popular, end_C) for said in batches]
    found = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    return BacktestWindow(day=day, usual=usual, customer_A=asked, who_N=np.flatnonzero(~found["gone_A"]), **found)


def _outcomes(
    h: Histories, said: ForecastBatch, usual: PopulationMeans, ranker: BasketRanker | None, popular: Ints, end_C: Ints
) -> dict[str, NDArray[Any]]:
    """One batch of a BacktestWindow."""
    p = said.points
    end_P = end_C[p.customer_P]
    came = end_P > p.visit_P
    next_P, total_V = np.minimum(p.visit_P, len(h.day_V) - 1), np.r_[0.0, np.cumsum(h.spend_V, dtype=np.float64)]
    alone_NI, baskets = log_share(said.logit_PI)[came], [h.items_of(v) for v in p.visit_P[came]]
    orders = [alone_NI]
    if ranker is not None:
        gain_NI = ranker.log_gain(h, p.customer_P[came])
        orders += [log_share(w * gain_NI + (1 - w) * alone_NI) for w in WEIGHTS[1:]]
    top_WNR = [np.argsort(-order, axis=1, kind="stable")[:, :CHECKED_ITEMS] for order in orders]
    bought_WNR = [np.array([np.isin(*each) for each in zip(top, baskets, strict=True)]).reshape(top.shape)
                  for top in top_WNR]  # fmt: skip
    gains = [[ndcg_at_10(*each) for each in zip(top, baskets, strict=True)] for top in top_WNR]
    pairs = zip(p.customer_P[came], p.visit_P[came], baskets, strict=True)
    return {
        "churn_A": _logit(said.churn_P),
        "gone_A": ~came,
        "deal_A": _logit(said.deal_P),
        "own_A": deal_log_odds(h, said, usual.deal),
        "deals_A": h.deal_V[next_P].astype(np.float64),
        "spend_A": said.spend_PK[:, HORIZON_COLUMN] * spend_levels(h, said, usual.spend),
        "spent_A": total_V[end_P] - total_V[p.visit_P],
        "orders_A": said.orders_PK[:, HORIZON_COLUMN].astype(np.float64),
        "visits_A": (end_P - p.visit_P).astype(np.float64),
        "gain_NW": np.array(gains).T,
        "habit_N": np.array([ndcg_at_10(habitual_items(h, c, v, popular), basket) for c, v, basket in pairs]),
        "size_N": log_basket_sizes(h, said, usual.size)[came],
        "log_NWR": np.stack([np.take_along_axis(o, top, 1) for o, top in zip(orders, top_WNR, strict=True)], axis=1),
        "bought_NWR": np.stack(bought_WNR, axis=1),
    }


def fit_calibration(back: BacktestWindow, weight: float, mine_A: Bools | None = None) -> ForecastCalibration:
    """From what the customers `mine_A` (all without it) did, next baskets in the order with trees of this weight."""
    mine_A = np.ones(len(back.gone_A), np.bool_) if mine_A is None else mine_A
    mine_N, came_A = mine_A[back.who_N], mine_A & ~back.gone_A
    log_NR, bought_NR = (x[mine_N, WEIGHTS.index(weight)] for x in (back.log_NWR, back.bought_NWR))
    size_R = np.repeat(back.size_N[mine_N], log_NR.shape[1])
    return ForecastCalibration(
        item=_plane(np.stack([log_NR.ravel().astype(np.float64), size_R], axis=1), bought_NR.ravel().astype(float)),
        churn=_line(back.churn_A[mine_A], back.gone_A[mine_A].astype(np.float64)),
        deal=_plane(np.stack([back.deal_A, back.own_A], axis=1)[came_A], back.deals_A[came_A]),
        spend=float(back.spent_A[mine_A].sum() / max(back.spend_A[mine_A].sum(), 1e-9)),
        orders=float(back.visits_A[mine_A].sum() / max(back.orders_A[mine_A].sum(), 1e-9)),
        usual=back.usual,
    )


def spend_levels(h: Histories, said: ForecastBatch, mean: float) -> Days:
    """What the spend head's rates multiply: spend per 8 weeks (half-life 8 weeks) plus 7 % of everybody's mean."""
    p = said.points
    personal_PG = count_visits(h, p.customer_P, p.visit_P, p.day_P, 1).personal_PG
    own = np.nan_to_num(personal_PG[:, SPEND_56].astype(np.float64)) * 8
    return np.clip(own, 0, None) + 0.07 * mean


def population_means(h: Histories, day: float) -> PopulationMeans:
    """From all visits before a moment; there must be some."""
    known_V = h.day_V < day
    return PopulationMeans(
        mean_spend_level(h, day), float(h.deal_V[known_V].mean()), float(np.diff(h.line_V)[known_V].mean())
    )


def log_basket_sizes(h: Histories, said: ForecastBatch, usual: float) -> Days:
    """Log of the customer's mean number of items per visit so far, everybody's mean counting as 3 visits."""
    p, first_P = said.points, h.start_C[said.points.customer_P]
    lines_P = h.line_V[p.visit_P] - h.line_V[first_P]
    return np.asarray(np.log((lines_P + 3 * usual) / (p.visit_P - first_P + 3)))


def deal_log_odds(h: Histories, said: ForecastBatch, mean: float) -> Days:
    """Log odds of the share of discounted items on their visits so far, everybody's mean counting as 5 visits."""
    p, total_V = said.points, np.r_[0.0, np.cumsum(h.deal_V, dtype=np.float64)]
    first_P = h.start_C[p.customer_P]
    return _logit((total_V[p.visit_P] - total_V[first_P] + 5 * mean) / (p.visit_P - first_P + 5))


def mean_spend_level(h: Histories, day: float) -> float:
    """Mean level of all customers with a visit before a moment."""
    everyone, days = np.arange(len(h.customers)), np.full(len(h.customers), day)
    spend_C = count_visits(h, everyone, h.before(everyone, days), days, 1).personal_PG[:, SPEND_56]
    return float(np.nanmean(spend_C) * 8) if np.isfinite(spend_C).any() else 0.0


def _logit(p: Floats | Days) -> Days:
    q = np.clip(np.asarray(p, np.float64), 1e-6, 1 - 1e-6)
    return np.log(q / (1 - q))


def _line(x: Days, y: Days) -> LogitLine:
    """Logistic regression on one number; where nothing varies, the log odds of the mean alone."""
    if 0 < y.sum() < len(y):
        fitted = LogisticRegression(C=100.0).fit(x[:, None], y)
        return LogitLine(float(fitted.intercept_[0]), float(fitted.coef_[0, 0]))
    return LogitLine(float(_logit(np.array([(y.sum() + 0.5) / (len(y) + 1)]))[0]), 0.0)


def _plane(x: Days, share: Days) -> LogitPlane:
    """Logistic regression of shares on two numbers: each row counts as its share of ones and the rest of zeros."""
    if not 0 < share.sum() < len(share):
        return LogitPlane(_line(x[:, 0], share).intercept, 0.0, 0.0)
    y = np.repeat([1.0, 0.0], len(share))
    fitted = LogisticRegression(C=100.0).fit(np.tile(x, (2, 1)), y, sample_weight=np.r_[share, 1 - share])
    return LogitPlane(float(fitted.intercept_[0]), float(fitted.coef_[0, 0]), float(fitted.coef_[0, 1]))


def _probability(line: LogitLine, x: Days | Floats) -> Days:
    return np.asarray(1 / (1 + np.exp(-(line.intercept + line.slope * x))))


def item_probs(fitted: ForecastCalibration, h: Histories, said: ForecastBatch) -> Days:
    """P x I: the calibrated probability of every item to be in the next basket."""
    level, slope, by_size = fitted.item
    size_P = log_basket_sizes(h, said, fitted.usual.size)
    return _probability(LogitLine(level, 1.0), slope * log_share(said.logit_PI) + by_size * size_P[:, None])


def churn_probs(fitted: ForecastCalibration, said: ForecastBatch) -> Days:
    """P: the calibrated probability that no visit comes within 56 days."""
    return _probability(fitted.churn, _logit(said.churn_P))


def deal_shares(fitted: ForecastCalibration, h: Histories, said: ForecastBatch) -> Days:
    """P: the calibrated share of the next visit's items bought on discount."""
    level, head, own = fitted.deal
    return _probability(
        LogitLine(level, 1.0), head * _logit(said.deal_P) + own * deal_log_odds(h, said, fitted.usual.deal)
    )


def forecast_rows(
    model: LearnedEncoder, fitted: ForecastCalibration, h: Histories, said: ForecastBatch, voice: SentenceFormat
) -> pl.DataFrame:
    """One batch, a row per customer as of a day; items and rhythms are those that `voice` may name.

    customer_id, churn_prob (no visit in 56 days), spend_cents, orders (both of 56 days), deal_share (of the next
    visit's items), items and item_probs (the three likeliest of the next basket), sentences (messages as `to_text`
    stores them). Spend and orders are calibrated means.
    """
    p, log_PI = said.points, log_share(said.logit_PI)
    open_I = np.array([voice.name(item) is not None for item in model.items])
    top_PT = np.argsort(-np.where(open_I, log_PI, -np.inf), axis=1, kind="stable")[:, : min(3, int(open_I.sum()))]
    table = pl.DataFrame(
        {
            "customer_id": [h.customers[c] for c in p.customer_P],
            "churn_prob": churn_probs(fitted, said),
            "spend_cents": fitted.spend * said.spend_PK[:, HORIZON_COLUMN] * spend_levels(h, said, fitted.usual.spend),
            "orders": fitted.orders * said.orders_PK[:, HORIZON_COLUMN].astype(np.float64),
            "deal_share": deal_shares(fitted, h, said),
            "items": [[model.items[i] for i in top] for top in top_PT],
            "item_probs": np.take_along_axis(item_probs(fitted, h, said), top_PT, 1).tolist(),
        },
        schema_overrides={"items": pl.List(pl.String), "item_probs": pl.List(pl.Float64)},
    )
    rhythm = describe_rhythms(h, p.customer_P, p.visit_P, p.day_P, voice)
    rows = zip(table.iter_rows(named=True), rhythm, strict=True)
    return table.with_columns(sentences=pl.Series([_sentences(row, r, voice) for row, r in rows]))


def describe_rhythms(
    h: Histories, customer_P: Ints, visit_P: Ints, day_P: Days, voice: SentenceFormat | None = None
) -> list[LazyMessage | None]:
    """The customer's most regular item bought four times or more: 'Buys milk every 9 days, due in 2.', or None."""
    counts = count_visits(h, customer_P, visit_P, day_P, 40)
    names = [voice.name(item) if voice else item for item in h.catalogue.items]
    open_I = np.array([name is not None for name in names])
    c = {name: counts.item_PMF[:, :, at] for at, name in enumerate(ITEM_COUNTERS)}
    with np.errstate(invalid="ignore", divide="ignore"):
        steady = (c["visits"] >= 4) & (c["gap"] >= 2) & open_I[counts.item_PM]
        spread_PM = np.where(steady, c["gap_sd"] / c["gap"], np.inf)
        spread_PM = np.where(np.isnan(spread_PM), np.inf, spread_PM)
    best_P = spread_PM.argmin(axis=1)
    return [
        _rhythm(str(names[counts.item_PM[p, m]]), float(c["gap"][p, m]), float(c["recency"][p, m]))
        if np.isfinite(spread_PM[p, m])
        else None
        for p, m in enumerate(best_P)
    ]


def _rhythm(item: str, gap: float, recency: float) -> LazyMessage:
    left, days = round(gap) - round(recency), round(gap)
    if left > 0:
        return gettext_lazy("Buys {item} every {days} days, due in {left}.", item=item, days=days, left=left)
    if left == 0:
        return gettext_lazy("Buys {item} every {days} days, due today.", item=item, days=days)
    return gettext_lazy("Buys {item} every {days} days, overdue by {late}.", item=item, days=days, late=-left)


def _sentences(row: dict[str, object], rhythm: LazyMessage | None, voice: SentenceFormat) -> list[str]:
    items, probs = row["items"], row["item_probs"]
    assert isinstance(items, list)
    assert isinstance(probs, list)
    said = [rhythm] if rhythm else []
    listed = ", ".join(f"{voice.name(item)} ({prob:.0%})" for item, prob in zip(items, probs, strict=True))
    said += [gettext_lazy("Likeliest in the next basket: {items}.", items=listed)] if listed else []
    said.append(
        gettext_lazy(
            "Expected to spend {spend} in {orders} orders within 8 weeks.",
            spend=voice.money(float(str(row["spend_cents"]))),
            orders=f"{row['orders']:.1f}",
        )
    )
    away = float(str(row["churn_prob"]))
    said.append(
        gettext_lazy(
            "Stays away for 8 weeks with a probability of {probability}.",
            probability=f"{away:.0%}" if away >= 0.005 else gettext_lazy("less than 1%"),
        )
    )
    said.append(
        gettext_lazy(
            "About {share} of the items of the next visit will be bought on discount.", share=f"{row['deal_share']:.0%}"
        )
    )
    return [each.to_text() for each in said]


def visit_contributions(
    model: LearnedEncoder, h: Histories, shared: Popularity, customer: int, day: float, item: str
) -> pl.DataFrame:
    """Which of a customer's last 40 visits moved the log odds of `item`: what is lost when a visit is left out.

    Columns day, items, effect (log odds of the softmax), largest effect first. Occlusion: effects need not add up.
    """
    end = int(h.before(np.array([customer]), np.array([day]))[0])
    visits = np.arange(max(h.start_C[customer], end - 40), end)
    copies = h.of(np.full(len(visits) + 1, customer)).until(day)  # the first whole, each other without one visit
    kept_V = np.ones(len(copies.day_V), np.bool_)
    kept_V[copies.start_C[2:] - len(visits) + np.arange(len(visits))] = False
    copies = copies.select_visits(kept_V)
    rows, place = np.arange(len(visits) + 1), model.items.index(item)
    said = model.forecast(copies, shared, rows, np.full(len(rows), day))
    score = np.concatenate([log_share(part.logit_PI)[:, place] for part in said])
    names = [[h.catalogue.items[i] for i in h.items_of(v)] for v in visits]
    table = pl.DataFrame({"day": h.day_V[visits], "items": names, "effect": (score[0] - score[1:]).astype(np.float64)})
    return table.sort(pl.col("effect").abs(), "day", descending=[True, False])


def nearest_customers(state_ND: Floats, row: int, many: int = 5) -> Ints:
    """Rows of the most similar embeddings (cosine), without the row itself; ties by row."""
    unit_ND = state_ND / (np.linalg.norm(state_ND, axis=1, keepdims=True) + 1e-9)
    near_N = unit_ND @ unit_ND[row]
    near_N[row] = -np.inf
    return np.argsort(-near_N, kind="stable")[:many]


def item_vectors(model: LearnedEncoder) -> Floats:
    """I x D, unit length: items bought by the same people stand together. What nobody bought yet stands amid the three
    that the rest of what is known of it makes most like it.
    """
    net = model.model
    vec_ID, table_ID, known_I = net.set_out.weight.numpy(), net.table().numpy(), net.get_buffer("known_I").numpy() > 0
    unit_ID, like_ID = (x / (np.linalg.norm(x, axis=1, keepdims=True) + 1e-9) for x in (vec_ID, table_ID))
    bought = np.flatnonzero(known_I)
    for item in np.flatnonzero(~known_I) if len(bought) else ():
        near = bought[np.argsort(-(like_ID[bought] @ like_ID[item]), kind="stable")[:3]]
        mean = unit_ID[near].mean(axis=0)
        unit_ID[item] = mean / (np.linalg.norm(mean) + 1e-9)
    return np.asarray(unit_ID, np.float32)


def position_vectors(said: ForecastBatch, shared: Popularity, vec_ID: Floats) -> Floats:
    """P x 2D, each half of unit length: the state, and where the next basket lies against everybody's last 28 days.

    The first tells how somebody shops, the second what sets them apart.
    """
    share_I = np.exp(shared.log_WI[-1].astype(np.float64))
    share_I /= share_I.sum()
    apart_PI = (np.exp(log_share(said.logit_PI)) - share_I) / np.sqrt(share_I)
    halves = (said.state_PD, apart_PI @ vec_ID)
    unit = [x / (np.linalg.norm(x, axis=1, keepdims=True) + 1e-9) for x in halves]
    return np.concatenate(unit, axis=1).astype(np.float32)


@dataclass(frozen=True)
class Backtest:
    """NDCG@10 of the first basket by the order kept, by the encoder alone and by habit; probabilities and what came
    true; who stayed away. Weight and calibration of each half of the customers are the other half's.
    """

    gain_N: Days
    alone_N: Days
    habit_N: Days
    prob_R: Days
    bought_R: Bools
    customer_R: Ints
    churn_A: Days
    gone_A: Bools


def cross_backtest(back: BacktestWindow, first_A: Bools) -> Backtest:
    """How the window was forecast, the half `first_A` by the other and the other way round."""
    parts: list[dict[str, NDArray[Any]]] = []
    chosen = choose_weight(-back.gain_NW, back.who_N, first_A[back.who_N])
    for mine_A in (first_A, ~first_A):
        mine_N = mine_A[back.who_N]
        w = int(chosen.at_R[mine_N].max(initial=0))  # one for all of them: the other half's
        fitted = fit_calibration(back, WEIGHTS[w], ~mine_A)
        log_NR = back.log_NWR[mine_N, w]
        by_size_N = fitted.item.second * back.size_N[mine_N]
        line = LogitLine(fitted.item.intercept, 1.0)
        parts.append({
            "gain_N": back.gain_NW[mine_N, w], "alone_N": back.gain_NW[mine_N, 0], "habit_N": back.habit_N[mine_N],
            "prob_R": _probability(line, fitted.item.first * log_NR + by_size_N[:, None]).ravel(),
            "bought_R": back.bought_NWR[mine_N, w].ravel(),
            "customer_R": np.repeat(back.who_N[mine_N], log_NR.shape[1]),
            "churn_A": _probability(fitted.churn, back.churn_A[mine_A]), "gone_A": back.gone_A[mine_A],
        })  # fmt: skip
    return Backtest(**{name: np.concatenate([part[name] for part in parts]) for name in parts[0]})


def choose_tree_weight(back: BacktestWindow, found: Backtest, log_rows: int) -> ModelWeight:
    """The trees' weight in the order of next baskets by all who came; their lead where the other half chose it."""
    n, at = len(back.who_N), choose_weight(-back.gain_NW, back.who_N, back.who_N < 0).at
    judged = {"n": n, "judged_ms": round(back.day * DAY_MS), "log_rows": log_rows}
    if n < MIN_CALIBRATION_CUSTOMERS:
        return ModelWeight(
            weight=0.0,
            why=gettext_lazy(
                "{n} next baskets in the window; {min_calibration_customers} are needed",
                n=n,
                min_calibration_customers=MIN_CALIBRATION_CUSTOMERS,
            ),
            **judged,
        )
    lead = paired_difference(found.gain_N - found.alone_N, np.arange(n))
    why = (
        gettext_noop("the encoder alone is within one standard error")
        if at == 0
        else gettext_noop("they rank the next baskets better")
    )
    return ModelWeight(
        weight=WEIGHTS[at], why=why, alone=float(found.alone_N.mean()), lead=lead.mean,
        lead_low=lead.mean - lead.half, lead_high=lead.mean + lead.half, **judged,
    )  # fmt: skip


def habitual_items(h: Histories, customer: int, end: int, popular: Ints) -> Ints:
    """Return LIST_LENGTH items: first those in most of a customer's baskets before visit `end`, then `popular` ones."""
    items, times = np.unique(h.item_L[h.line_V[h.start_C[customer]] : h.line_V[end]], return_counts=True)
    rank = np.argsort(popular)
    own = items[np.lexsort((rank[items], -times))]
    rest = popular[: LIST_LENGTH + len(own)]
    return np.concatenate([own, rest[~np.isin(rest, own)]])[:LIST_LENGTH]
