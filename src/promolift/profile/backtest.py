"""A trained encoder and the window kept from it in; how its lists fared there, beside habit alone, out.

The window chose the epoch, so its figures are slightly kind to the model. Legend as in encoder.py; N customers who came
before and in the window, R their 40 likeliest items, A all customers who came before.
"""

from dataclasses import dataclass, replace

import numpy as np

from promolift.profile.encoder_data import IDEAL, TOP, Bools, Days, Histories, Ints, Popularity
from promolift.profile.encoder_forecast import DAYS, FittedForecast, calibrate, churn_probs, item_probs
from promolift.profile.encoder_model import LearnedEncoder

LIKELIEST = 40


@dataclass(frozen=True)
class Backtest:
    """NDCG@10 of the first basket by the encoder and by habit; probabilities and what came true; who stayed away."""

    gain_N: Days
    habit_N: Days
    prob_R: Days
    bought_R: Bools
    customer_R: Ints
    churn_A: Days
    gone_A: Bools


def crossed(model: LearnedEncoder, h: Histories, shared: Popularity, day: float, first_C: Bools) -> Backtest:
    """The window of 56 days from `day` on, the half `first_C` calibrated on the other and the other way round."""
    sides = [of(h, np.flatnonzero(first_C)), of(h, np.flatnonzero(~first_C))]
    lines = [calibrate(model, side, shared, day) for side in reversed(sides)]
    one, two = (backtest(model, line, side, shared, day) for line, side in zip(lines, sides, strict=True))
    two = replace(two, customer_R=two.customer_R + len(one.gain_N))
    return Backtest(**{name: np.concatenate([value, getattr(two, name)]) for name, value in one.__dict__.items()})


def backtest(model: LearnedEncoder, fitted: FittedForecast, h: Histories, shared: Popularity, day: float) -> Backtest:
    """The window of 56 days from `day` on."""
    everyone = np.arange(len(h.customers))
    first, end = (h.before(everyone, np.full(len(everyone), at)) for at in (day, day + DAYS))
    asked = np.flatnonzero(first > h.start_C[:-1])
    bought_I = np.bincount(h.until(day).item_L, minlength=len(h.catalogue.items))
    popular = np.argsort(-bought_I, kind="stable")
    gains, habits, probs, right, stay = [], [], [], [], []
    for said in model.forecast(h, shared, asked, np.full(len(asked), day)):
        came = end[said.points.customer_P] > first[said.points.customer_P]
        prob_PI = item_probs(fitted, h, said)
        top_PT = np.argsort(-prob_PI, axis=1, kind="stable")[:, :LIKELIEST]
        for c, top, prob_I in zip(said.points.customer_P[came], top_PT[came], prob_PI[came], strict=True):
            basket = h.items_of(first[c])
            gains.append(ndcg(top, basket))
            habits.append(ndcg(habit(h, c, first[c], popular), basket))
            probs.append(prob_I[top])
            right.append(np.isin(top, basket))
        stay.append((churn_probs(fitted, said), ~came))
    size = [len(row) for row in right]
    return Backtest(
        gain_N=np.array(gains),
        habit_N=np.array(habits),
        prob_R=np.concatenate(probs),
        bought_R=np.concatenate(right),
        customer_R=np.repeat(np.arange(len(size)), size),
        churn_A=np.concatenate([row[0] for row in stay]),
        gone_A=np.concatenate([row[1] for row in stay]),
    )


def ndcg(ranked: Ints, basket: Ints) -> float:
    """NDCG@10 of a list against a basket of distinct items."""
    hit = np.isin(ranked[:TOP], basket)
    return float((hit / np.log2(np.arange(len(hit)) + 2)).sum() / IDEAL[min(len(basket), TOP) - 1])


def habit(h: Histories, customer: int, end: int, popular: Ints) -> Ints:
    """The TOP items a customer had in most baskets before visit `end`; then what all buy most, in `popular` order."""
    items, times = np.unique(h.item_L[h.line_V[h.start_C[customer]] : h.line_V[end]], return_counts=True)
    rank = np.argsort(popular)
    own = items[np.lexsort((rank[items], -times))]
    rest = popular[: TOP + len(own)]
    return np.concatenate([own, rest[~np.isin(rest, own)]])[:TOP]


def of(h: Histories, customers: Ints) -> Histories:
    """Some of the customers, with all that is theirs."""
    visits = np.concatenate([np.arange(h.start_C[c], h.start_C[c + 1]) for c in customers] or [np.zeros(0, np.int64)])
    lines = np.concatenate([np.arange(h.line_V[v], h.line_V[v + 1]) for v in visits] or [np.zeros(0, np.int64)])
    return replace(
        h,
        customers=tuple(h.customers[c] for c in customers),
        start_C=np.r_[0, np.cumsum(np.diff(h.start_C)[customers])].astype(np.int64),
        line_V=np.r_[0, np.cumsum(np.diff(h.line_V)[visits])].astype(np.int64),
        attribute_CA=h.attribute_CA[customers],
        **{name: getattr(h, name)[visits] for name in ("day_V", "spend_V", "deal_V", "channel_V", "weight_V")},
        **{name: getattr(h, name)[lines] for name in ("item_L", "deal_L", "spend_L")},
    )
