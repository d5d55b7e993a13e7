"""A trained encoder and histories in; calibrated expectations per customer with plain sentences, and reasons, out.

Calibration is fitted on the validation window, which the weights never saw. Nothing here is an effect: it says what is
likely, not what an offer would change. Legend as in encoder.py.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import numpy as np
import polars as pl
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression

from promolift.errors import SupportError
from promolift.profile.counters import COUNTERS, PERSONAL, count
from promolift.profile.encoder_data import Days, Floats, Histories, Ints, Popularity
from promolift.profile.encoder_model import Foresight, LearnedEncoder

Line = tuple[float, float]
Money = Callable[[float], str]
DAYS, COLUMN = 56, 1  # the horizon told, and its place in encoder.HORIZONS
LEAST = 50  # customers needed to calibrate


@dataclass(frozen=True)
class Calibration:
    """Lines on the log odds of an item in the next basket, of no visit in 56 days and of a deal; factors of means."""

    item: Line
    churn: Line
    deal: Line
    spend: float
    orders: float


def calibrate(model: LearnedEncoder, h: Histories, shared: Popularity, day: float) -> Calibration:
    """From what the customers known at `day` did in the 56 days after it. Raises SupportError below 50 customers."""
    customers = np.flatnonzero(h.before(np.arange(len(h.customers)), np.full(len(h.customers), day)) > h.start_C[:-1])
    if len(customers) < LEAST or day + DAYS > h.day_V.max() + 1:
        raise SupportError(
            f"encoder: {len(customers)} customers known at the start of a whole window of {DAYS} days; {LEAST} needed"
        )
    parts = [_outcomes(h, said) for said in model.foresee(h, shared, customers, np.full(len(customers), day))]
    x = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    return Calibration(
        item=_line(x["item"], x["bought"]),
        churn=_line(x["churn"], x["gone"]),
        deal=(float(_logit(np.array([x["deals"][x["came"]].mean()]))[0] - _logit(x["deal"][x["came"]]).mean()), 1.0),
        spend=float(x["spent"].sum() / max(x["spend"].sum(), 1e-9)),
        orders=float(x["visits"].sum() / max(x["orders"].sum(), 1e-9)),
    )


def _outcomes(h: Histories, said: Foresight) -> dict[str, NDArray[np.float64]]:
    """Predictions and what came, per point; items only of those who came, their 40 likeliest."""
    p = said.points
    end = h.before(p.customer_P, p.day_P + DAYS)
    came = end > p.visit_P
    next_P = np.minimum(p.visit_P, len(h.day_V) - 1)
    log_PI, total_V = log_share(said.logit_PI), np.r_[0.0, np.cumsum(h.spend_V, dtype=np.float64)]
    top_PT = np.argsort(-log_PI, axis=1)[:, :40]
    bought = np.stack([np.isin(top, h.items_of(v)) for top, v in zip(top_PT, next_P, strict=True)])
    return {
        "item": np.take_along_axis(log_PI, top_PT, 1)[came].ravel().astype(np.float64),
        "bought": bought[came].ravel().astype(np.float64),
        "churn": _logit(said.churn_P),
        "gone": (~came).astype(np.float64),
        "deal": said.deal_P.astype(np.float64),
        "deals": h.deal_V[next_P].astype(np.float64),
        "came": came,
        "spend": said.spend_PK[:, COLUMN] * level(h, p.customer_P, p.visit_P, p.day_P),
        "spent": total_V[end] - total_V[p.visit_P],
        "orders": said.orders_PK[:, COLUMN].astype(np.float64),
        "visits": (end - p.visit_P).astype(np.float64),
    }


def log_share(logit_PI: Floats) -> Floats:
    """Log of the softmax."""
    x = logit_PI - logit_PI.max(axis=1, keepdims=True)
    return np.asarray(x - np.log(np.exp(x).sum(axis=1, keepdims=True)), np.float32)


def level(h: Histories, customer_P: Ints, visit_P: Ints, day_P: Days) -> Days:
    """What the spend head's rates multiply: spend per 8 weeks (half-life 8 weeks) plus 7 % of everybody's mean."""
    personal_PG = count(h, customer_P, visit_P, day_P, 1).personal_PG
    own = np.nan_to_num(personal_PG[:, SPEND_56].astype(np.float64)) * 8
    return np.clip(own, 0, None) + 0.07 * mean_level(h, float(day_P.max()))


SPEND_56 = PERSONAL.index("spend_56")


def mean_level(h: Histories, day: float) -> float:
    """Mean level of all customers with a visit before a moment."""
    everyone, days = np.arange(len(h.customers)), np.full(len(h.customers), day)
    spend_C = count(h, everyone, h.before(everyone, days), days, 1).personal_PG[:, SPEND_56]
    return float(np.nanmean(spend_C) * 8) if np.isfinite(spend_C).any() else 0.0


def _logit(p: Floats | Days) -> Days:
    q = np.clip(np.asarray(p, np.float64), 1e-6, 1 - 1e-6)
    return np.log(q / (1 - q))


def _line(x: Days, y: Days) -> Line:
    """Logistic regression on one number; where nothing varies, the log odds of the mean alone."""
    if 0 < y.sum() < len(y):
        fitted = LogisticRegression(C=100.0).fit(x[:, None], y)
        return float(fitted.intercept_[0]), float(fitted.coef_[0, 0])
    return float(_logit(np.array([(y.sum() + 0.5) / (len(y) + 1)]))[0]), 0.0


def _probability(line: Line, x: Days | Floats) -> Days:
    return np.asarray(1 / (1 + np.exp(-(line[0] + line[1] * x))))


def outlook(
    model: LearnedEncoder,
    fitted: Calibration,
    h: Histories,
    shared: Popularity,
    asked: tuple[Ints, float],
    money: Money,
) -> Iterator[pl.DataFrame]:
    """Batch by batch, one row per customer of `asked` (rows of customers, a moment); see the columns.

    customer_id, churn_prob (no visit in 56 days), spend_cents, orders (both of 56 days), deal_share (of the next
    visit's items), items and item_probs (the three likeliest of the next basket), sentences. Spend and orders are
    calibrated means.
    """
    customers, day = asked
    for said in model.foresee(h, shared, customers, np.full(len(customers), day)):
        p = said.points
        log_PI = log_share(said.logit_PI)
        top_PT = np.argsort(-log_PI, axis=1, kind="stable")[:, :3]
        table = pl.DataFrame(
            {
                "customer_id": [h.customers[c] for c in p.customer_P],
                "churn_prob": _probability(fitted.churn, _logit(said.churn_P)),
                "spend_cents": fitted.spend * said.spend_PK[:, COLUMN] * level(h, p.customer_P, p.visit_P, p.day_P),
                "orders": fitted.orders * said.orders_PK[:, COLUMN].astype(np.float64),
                "deal_share": _probability(fitted.deal, _logit(said.deal_P)),
                "items": [[model.items[i] for i in top] for top in top_PT],
                "item_probs": _probability(fitted.item, np.take_along_axis(log_PI, top_PT, 1)).tolist(),
            }
        )
        rhythm = rhythms(h, p.customer_P, p.visit_P, p.day_P)
        yield table.with_columns(
            sentences=pl.Series(
                [_sentences(row, r, money) for row, r in zip(table.iter_rows(named=True), rhythm, strict=True)]
            )
        )


def rhythms(h: Histories, customer_P: Ints, visit_P: Ints, day_P: Days) -> list[str | None]:
    """The customer's most regular item bought four times or more: 'Buys milk every 9 days, due in 2.', or None."""
    counts = count(h, customer_P, visit_P, day_P, 40)
    c = {name: counts.item_PMF[:, :, at] for at, name in enumerate(COUNTERS)}
    with np.errstate(invalid="ignore", divide="ignore"):
        spread_PM = np.where((c["visits"] >= 4) & (c["gap"] >= 2), c["gap_sd"] / c["gap"], np.inf)
        spread_PM = np.where(np.isnan(spread_PM), np.inf, spread_PM)
    best_P = spread_PM.argmin(axis=1)
    return [
        _rhythm(h.catalogue.items[counts.item_PM[p, m]], float(c["gap"][p, m]), float(c["recency"][p, m]))
        if np.isfinite(spread_PM[p, m])
        else None
        for p, m in enumerate(best_P)
    ]


def _rhythm(item: str, gap: float, recency: float) -> str:
    left = round(gap) - round(recency)
    when = f"due in {left}" if left > 0 else "due today" if left == 0 else f"overdue by {-left}"
    return f"Buys {item} every {round(gap)} days, {when}."


def _sentences(row: dict[str, object], rhythm: str | None, money: Money) -> list[str]:
    names, probs = row["items"], row["item_probs"]
    assert isinstance(names, list)
    assert isinstance(probs, list)
    said = [rhythm] if rhythm else []
    listed = ", ".join(f"{name} ({prob:.0%})" for name, prob in zip(names, probs, strict=True))
    said.append(f"Likeliest in the next basket: {listed}.")
    said.append(
        f"Expected to spend {money(float(str(row['spend_cents'])))} in {row['orders']:.1f} orders within 8 weeks."
    )
    said.append(f"Stays away for 8 weeks with a chance of {row['churn_prob']:.0%}.")
    said.append(f"About {row['deal_share']:.0%} of the items of the next visit will be bought on discount.")
    return said


def drivers(
    model: LearnedEncoder, h: Histories, shared: Popularity, asked: tuple[int, float], item: str
) -> pl.DataFrame:
    """Which of a customer's last 40 visits moved the log odds of `item`: what is lost when a visit is left out.

    Columns day, items, effect (log odds of the softmax), largest effect first. Occlusion: effects need not add up.
    """
    customer, day = asked
    end = int(h.before(np.array([customer]), np.array([day]))[0])
    visits = np.arange(max(h.start_C[customer], end - 40), end)
    copies = _without_each(h, customer, end, visits)
    rows, place = np.arange(len(visits) + 1), model.items.index(item)
    said = model.foresee(copies, shared, rows, np.full(len(rows), day))
    score = np.concatenate([log_share(part.logit_PI)[:, place] for part in said])
    names = [[h.catalogue.items[i] for i in h.items_of(v)] for v in visits]
    table = pl.DataFrame({"day": h.day_V[visits], "items": names, "effect": (score[0] - score[1:]).astype(np.float64)})
    return table.sort(pl.col("effect").abs(), "day", descending=[True, False])


def _without_each(h: Histories, customer: int, end: int, visits: Ints) -> Histories:
    """Copies of one customer: the first whole, each other without one of `visits`."""
    own = np.arange(h.start_C[customer], end)
    kept = [own] + [own[own != v] for v in visits]
    rows = np.concatenate(kept)
    size = h.line_V[rows + 1] - h.line_V[rows]
    at = np.repeat(h.line_V[rows] - np.r_[0, np.cumsum(size)[:-1]], size) + np.arange(size.sum())
    names = ("day_V", "spend_V", "deal_V", "channel_V", "weight_V")
    return replace(
        h,
        customers=tuple(f"{h.customers[customer]} {k}" for k in range(len(kept))),
        start_C=np.r_[0, np.cumsum([len(part) for part in kept])].astype(np.int64),
        line_V=np.r_[0, np.cumsum(size)].astype(np.int64),
        attribute_CA=np.repeat(h.attribute_CA[[customer]], len(kept), axis=0),
        **{name: getattr(h, name)[rows] for name in names},
        **{name: getattr(h, name)[at] for name in ("item_L", "deal_L", "spend_L")},
    )


def nearest(state_ND: Floats, row: int, many: int = 5) -> Ints:
    """Rows of the most similar embeddings (cosine), without the row itself; ties by row."""
    unit_ND = state_ND / (np.linalg.norm(state_ND, axis=1, keepdims=True) + 1e-9)
    near_N = unit_ND @ unit_ND[row]
    near_N[row] = -np.inf
    return np.argsort(-near_N, kind="stable")[:many]


def flat_map(state_ND: Floats) -> Floats:
    """N x 2: the two directions in which embeddings differ most, each scaled to unit spread, signs fixed."""
    centred = state_ND - state_ND.mean(axis=0)
    _, _, axes = np.linalg.svd(centred, full_matrices=False)
    axes = axes[:2] * np.sign(axes[:2][np.arange(2), np.abs(axes[:2]).argmax(axis=1)])[:, None]
    found = centred @ axes.T
    return np.asarray(found / (found.std(axis=0) + 1e-9), np.float32)
