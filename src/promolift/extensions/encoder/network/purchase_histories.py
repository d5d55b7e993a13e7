"""Arrange purchases as flat arrays of visits, and count what each customer bought before a moment.

The encoder and the trees read these arrays and counters: how often, how recently and how regularly a customer bought an
item. A visit is an order; its lines are its distinct items. Counters use only visits strictly before a point. A visit
has the weight 1 / IDEAL_DCG[size], because an item of a small basket is worth more in a ranked list than an item of a
large one. An opening visit is the first after a moment a whole number of weeks before the point: the next visit will be
an opening visit too, and opening visits differ from a customer's other visits.

Legend: C customers, V visits, L lines, I items, A attributes, P points (a customer at a moment), M items counted per
point, F counters of an item, G of the customer.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
import polars as pl
from duckdb import DuckDBPyRelation as Relation
from scipy import sparse
from sklearn.utils.extmath import randomized_svd

from promolift.foundation import sql
from promolift.foundation.errors import InputError, SupportError
from promolift.foundation.i18n.lazy_message import gettext_lazy
from promolift.foundation.jit import Bools, Days, Floats, Ints, jit_compile
from promolift.foundation.sql import fetch_frame
from promolift.foundation.time.clock import DAY_MS

UNKNOWN_VALUE = ""
LIST_LENGTH = 10  # places of a list that count in NDCG and recall
IDEAL_DCG = np.cumsum(1 / np.log2(np.arange(LIST_LENGTH) + 2))  # the best possible DCG of 1, 2, ... hits

PURCHASES_SQL = """
select e.customer_id, coalesce(e.order_id, 'at ' || e.ts_ms) as order_id, e.ts_ms, {item} as item,
    e.revenue_cents, e.shelf_cents + e.coupon_cents > 0 as deal, e.channel
from events e join products p using (product_id)
where e.kind = 'purchase' and {item} is not null
"""
CATALOGUE_SQL = """
select {item} as item, mode(category) as category, mode(brand) as brand, median(price_cents) as price_cents
from products p where {item} is not null group by 1 order by 1
"""
LEVEL_SQL = {"product": "product_id", "type": "coalesce(p.type, p.category)", "category": "p.category"}
ITEM_COUNTERS = (
    "visits", "weight", "faded_10", "faded_40", "faded_120", "recent_visits", "steady_visits", "recency", "age",
    "visits_since", "gap", "gap_sd", "last_gap", "deal", "last_deal", "basket", "spend", "opening",
)  # fmt: skip
CUSTOMER_COUNTERS = (
    "orders", "faded_10", "faded_40", "faded_120", "recent_visits", "steady_visits", "recency", "tenure", "cadence",
    "size", "size_4", "size_1", "value", "value_8", "orders_28", "orders_7", "items_7", "big_share", "big_recency",
    "spend_14", "spend_28", "spend_56", "spend_112", "opening", "opening_size", "opening_value",
)  # fmt: skip
RATE_FEATURES = (
    "rate", "rate_10", "rate_40", "rate_120", "rate_recent", "rate_steady", "rate_opening", "due", "late", "due_visits",
    "last_due",
)  # fmt: skip
HALF_LIVES = (10.0, 40.0, 120.0)  # days
BIG_BASKET_ITEMS = 10  # items of a big basket
SPEND_HALF_LIVES = np.array([14.0, 28.0, 56.0, 112.0])  # half-lives of the weekly spend, days


@jit_compile
def rows_before(day_V: Days, first_P: Ints, end_P: Ints, day_P: Days) -> Ints:
    """The first row not before each day, in the stretch from `first_P` to `end_P`, whose days ascend."""
    found_P = np.empty(len(first_P), np.int64)
    for p in range(len(first_P)):
        found_P[p] = first_P[p] + np.searchsorted(day_V[first_P[p] : end_P[p]], day_P[p])
    return found_P


@dataclass(frozen=True)
class Catalogue:
    """What is known of each item: codes (0 unknown), price in cents (NaN unknown), and where any has one, a vector of
    its words and pictures (0: none).
    """

    items: tuple[str, ...]
    category_I: Ints
    brand_I: Ints
    price_I: Floats
    vector_IV: Floats | None = None

    @property
    def row_by_item(self) -> dict[str, int]:
        """Row of each item."""
        return {item: at for at, item in enumerate(self.items)}


@dataclass(frozen=True)
class Histories:
    """Visits of customer c are rows start[c] to start[c+1], in order of time; visit v has lines line[v] to line[v+1].

    `day_V` counts days since 1970 UTC; `channel_V` is 0 where unknown; `weight_V` is 1 / IDEAL_DCG[distinct items], the
    share of a perfect list that one of its items is worth. Missing attributes are NaN.
    """

    customers: tuple[str, ...]
    catalogue: Catalogue
    start_C: Ints
    day_V: Days
    spend_V: Floats
    deal_V: Floats
    channel_V: Ints
    weight_V: Floats
    line_V: Ints
    item_L: Ints
    deal_L: Floats
    spend_L: Floats
    attribute_CA: Floats

    def before(self, customer_P: Ints, day_P: Days) -> Ints:
        """Index of each customer's first visit at or after the moment: all earlier ones are known."""
        ends = self.start_C[customer_P], self.start_C[np.asarray(customer_P) + 1]
        found: Ints = rows_before(
            self.day_V, *ends, np.broadcast_to(np.asarray(day_P, np.float64), np.shape(customer_P))
        )
        return found

    def until(self, day: float) -> "Histories":
        """The same customers as they were known at a moment: later visits are gone."""
        return self.select_visits(self.day_V < day)

    def select_visits(self, kept_V: Bools) -> "Histories":
        """The same customers with some of their visits."""
        seen = np.r_[0, np.cumsum(kept_V)]
        size_V = np.diff(self.line_V)
        kept_L = np.repeat(kept_V, size_V)
        names = ("day_V", "spend_V", "deal_V", "channel_V", "weight_V")
        visits = {name: getattr(self, name)[kept_V] for name in names}
        lines = {name: getattr(self, name)[kept_L] for name in ("item_L", "deal_L", "spend_L")}
        line_V = np.r_[0, np.cumsum(size_V[kept_V])].astype(np.int64)
        return replace(self, start_C=seen[self.start_C], line_V=line_V, **visits, **lines)

    def of(self, customers: Ints) -> "Histories":
        """Some of the customers, in the order given, with all that is theirs."""
        visits = _stretches(self.start_C[customers], self.start_C[np.asarray(customers) + 1])
        lines = _stretches(self.line_V[visits], self.line_V[visits + 1])
        return replace(
            self,
            customers=tuple(self.customers[c] for c in customers),
            start_C=np.r_[0, np.cumsum(np.diff(self.start_C)[customers])].astype(np.int64),
            line_V=np.r_[0, np.cumsum(np.diff(self.line_V)[visits])].astype(np.int64),
            attribute_CA=self.attribute_CA[customers],
            **{name: getattr(self, name)[visits] for name in ("day_V", "spend_V", "deal_V", "channel_V", "weight_V")},
            **{name: getattr(self, name)[lines] for name in ("item_L", "deal_L", "spend_L")},
        )

    def items_of(self, visit: int) -> Ints:
        """Distinct items of one visit."""
        return self.item_L[self.line_V[visit] : self.line_V[visit + 1]]


def _stretches(first: Ints, end: Ints) -> Ints:
    """All rows from each `first` to before its `end`, one stretch after the other."""
    size = end - first
    return np.asarray(np.repeat(end - np.cumsum(size), size) + np.arange(size.sum()), np.int64)


class Purchases(NamedTuple):
    """Purchase lines, and the catalogue at the same level."""

    lines: pl.DataFrame
    catalogue: pl.DataFrame


def read_purchases(events: Relation, products: Relation, level: str = "type") -> Purchases:
    """Purchase lines and the catalogue at one level ('product', 'type' or 'category'), for `build_histories`."""
    if level not in LEVEL_SQL:
        raise InputError(
            "value_invalid",
            gettext_lazy(
                "encoder: level {level}; known levels: {level_sql}", level=repr(level), level_sql=", ".join(LEVEL_SQL)
            ),
        )
    item = LEVEL_SQL[level]
    lines = fetch_frame(sql.run_select(PURCHASES_SQL.format(item=item), events=events, products=products))
    return Purchases(lines, fetch_frame(sql.run_select(CATALOGUE_SQL.format(item=item), products=products)))


def build_catalogue(table: pl.DataFrame) -> Catalogue:
    """From columns item and, where known, category, brand, price_cents."""
    if table["item"].is_duplicated().any():
        raise InputError(
            "rows_duplicate", gettext_lazy("encoder: an item stands twice in the catalogue; give each item once")
        )
    table = table.sort("item")
    price = (
        table["price_cents"].cast(pl.Float32) if "price_cents" in table.columns else pl.Series([None] * table.height)
    )
    return Catalogue(
        items=tuple(table["item"].to_list()),
        category_I=_codes(table, "category"),
        brand_I=_codes(table, "brand"),
        price_I=price.cast(pl.Float32).fill_null(float("nan")).to_numpy(),
    )


def _codes(table: pl.DataFrame, name: str) -> Ints:
    """1, 2, ... per known value in order, 0 where missing."""
    if name not in table.columns:
        return np.zeros(table.height, np.int64)
    known = {value: at + 1 for at, value in enumerate(table[name].drop_nulls().unique().sort().to_list())}
    return np.array([known.get(value, 0) for value in table[name].to_list()], dtype=np.int64)


def build_histories(
    lines: pl.DataFrame,
    items: Catalogue,
    attributes: pl.DataFrame | None = None,
    customers: Sequence[str] = (),
    channels: Sequence[str] = (),
) -> Histories:
    """Flat arrays from purchase lines (customer_id, order_id, ts_ms, item, revenue_cents, deal, channel).

    Lines of items outside the catalogue are left out. `attributes` has customer_id and numeric columns. `customers` are
    added even without a visit. Row order of `lines` plays no part.
    """
    wanted = ["customer_id", "order_id", "ts_ms", "item", "revenue_cents", "deal", "channel"]
    if lacking := set(wanted) - set(lines.columns):
        raise InputError(
            "column_missing",
            gettext_lazy("encoder: purchase lines lack the columns {lacking}", lacking=sorted(lacking)),
        )
    known = lines.select(wanted).filter(pl.col("item").is_in(list(items.items)))
    people = pl.Series("customer_id", [*customers], dtype=pl.String).append(known["customer_id"]).unique().sort()
    rows, visits = _rows(known, people, items), _visits(known, people)
    rows = rows.join(visits.with_row_index("v").select("c", "order_id", "v"), on=["c", "order_id"]).sort("v", "i")
    size = visits["size"].to_numpy()
    codes = {channel: at + 1 for at, channel in enumerate(channels or sorted(set(known["channel"].drop_nulls())))}
    return Histories(
        customers=tuple(people.to_list()),
        catalogue=items,
        start_C=np.searchsorted(visits["c"].to_numpy(), np.arange(len(people) + 1)),
        day_V=visits["ts_ms"].to_numpy() / DAY_MS,
        spend_V=visits["spend"].to_numpy().astype(np.float32),
        deal_V=visits["deal"].to_numpy().astype(np.float32),
        channel_V=np.array([codes.get(channel, 0) for channel in visits["channel"]], dtype=np.int64),
        weight_V=(1 / IDEAL_DCG[np.minimum(size, LIST_LENGTH) - 1]).astype(np.float32),
        line_V=np.r_[0, np.cumsum(size)].astype(np.int64),
        item_L=rows["i"].to_numpy().astype(np.int64),
        deal_L=rows["deal"].to_numpy().astype(np.float32),
        spend_L=rows["spend"].to_numpy().astype(np.float32),
        attribute_CA=_attributes(people, attributes),
    )


def _rows(known: pl.DataFrame, people: pl.Series, items: Catalogue) -> pl.DataFrame:
    """One row per order and item: spend, and whether any of it was discounted (unknown counts as not)."""
    place = pl.DataFrame({"item": items.items, "i": np.arange(len(items.items))}, schema_overrides={"item": pl.String})
    who = pl.DataFrame({"customer_id": people, "c": np.arange(len(people))})
    spend = pl.col("revenue_cents").sum().alias("spend")
    grouped = known.group_by("customer_id", "order_id", "item").agg(spend, pl.col("deal").fill_null(False).max())
    return grouped.join(place, on="item").join(who, on="customer_id").select("c", "order_id", "i", "spend", "deal")


def _visits(known: pl.DataFrame, people: pl.Series) -> pl.DataFrame:
    who = pl.DataFrame({"customer_id": people, "c": np.arange(len(people))})
    found = known.group_by("customer_id", "order_id").agg(
        pl.col("ts_ms").min(),
        pl.col("revenue_cents").sum().alias("spend"),
        pl.col("deal").fill_null(False).mean(),
        pl.col("channel").drop_nulls().min(),
        pl.col("item").n_unique().alias("size"),
    )
    return found.join(who, on="customer_id").sort("c", "ts_ms", "order_id")


def _attributes(people: pl.Series, attributes: pl.DataFrame | None) -> Floats:
    if attributes is None:
        return np.zeros((len(people), 0), np.float32)
    joined = pl.DataFrame({"customer_id": people}).join(attributes, on="customer_id", how="left", maintain_order="left")
    return joined.drop("customer_id").cast(pl.Float32).fill_null(float("nan")).to_numpy()


@dataclass(frozen=True)
class Popularity:
    """Log share of each item among weighted purchases of the 28 days before the start of each week; W weeks."""

    opened: float
    log_WI: Floats

    def week(self, day_P: Days) -> Ints:
        """Row of each moment; moments beyond the last row use it."""
        return np.clip((day_P - self.opened) // 7, 0, len(self.log_WI) - 1).astype(np.int64)


def weekly_popularity(h: Histories, until: float) -> Popularity:
    """From visits strictly before `until`; what all customers share, to be passed to every shard."""
    opened = float(h.day_V.min()) if len(h.day_V) else until
    weeks = max(int((until - opened) // 7), 0) + 1
    sums_WI = np.zeros((weeks + 1, len(h.catalogue.items)), np.float64)
    kept_V = h.day_V < until
    week_V = ((h.day_V - opened) // 7).astype(np.int64)
    per_L = np.repeat(np.arange(len(h.day_V)), np.diff(h.line_V))
    kept_L = kept_V[per_L]
    np.add.at(sums_WI, (week_V[per_L[kept_L]] + 1, h.item_L[kept_L]), h.weight_V[per_L[kept_L]])
    total_WI = np.cumsum(sums_WI, axis=0)  # row w: all before week w
    last_WI = total_WI[:weeks] - total_WI[np.maximum(np.arange(weeks) - 4, 0)]
    share = (last_WI + 0.5) / (last_WI.sum(axis=1, keepdims=True) + 0.5 * last_WI.shape[1])
    return Popularity(opened, (np.log(share) - np.log(share).mean(axis=1, keepdims=True)).astype(np.float32))


class EaseFactors(NamedTuple):
    """I x D each; their product is near the weights between items bought (left) and scored (right)."""

    left_ID: Floats
    right_ID: Floats


@dataclass(frozen=True)
class Ease:
    """EASE (Steck 2019, WWW): ridge regression of each item on all others, none predicting itself, in closed form.

    Weights between the items `item_J`; all others have none.
    """

    items: int
    item_J: Ints
    weight_JJ: Floats

    def factors(self, rank: int, seed: int) -> EaseFactors:
        """Their product is near the weights (randomised SVD)."""
        used = min(rank, len(self.item_J))
        u, s, v = randomized_svd(self.weight_JJ, used, n_iter=2, random_state=seed)
        left, right = np.zeros((self.items, rank), np.float32), np.zeros((self.items, rank), np.float32)
        left[self.item_J, :used], right[self.item_J, :used] = u * np.sqrt(s), v.T * np.sqrt(s)
        return EaseFactors(left, right)


def purchase_incidence(h: Histories) -> sparse.csr_matrix:
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
        raise SupportError(
            "too_few_customers",
            gettext_lazy(
                "EASE: no item has {min_buyers} buyers; a longer history or a coarser level is needed",
                min_buyers=min_buyers,
            ),
        )
    kept = bought_CI[:, kept_J].astype(np.float64)
    gram_JJ = (kept.T @ kept).toarray()
    gram_JJ[np.diag_indices_from(gram_JJ)] += l2
    inverse_JJ = np.linalg.inv(gram_JJ)
    weight_JJ = inverse_JJ / -np.diag(inverse_JJ)
    np.fill_diagonal(weight_JJ, 0.0)
    return Ease(bought_CI.shape[1], kept_J, weight_JJ.astype(np.float32))


@dataclass(frozen=True)
class VisitCounts:
    """`item_PM`: items by faded weight, -1 where there are no more; counters are NaN there."""

    item_PM: Ints
    item_PMF: Floats
    personal_PG: Floats

    def rates(self) -> Floats:
        """RATES per point and item: shares of the customer's visits, and how due the item is by its own rhythm."""
        c = {name: self.item_PMF[:, :, at] for at, name in enumerate(ITEM_COUNTERS)}
        p = {name: self.personal_PG[:, at, None] for at, name in enumerate(CUSTOMER_COUNTERS)}
        with np.errstate(invalid="ignore", divide="ignore"):
            shares = [c["weight"] / p["orders"]]
            shares += [c[name] / p[name] for name in (*ITEM_COUNTERS[2:7], "opening")]
            visits_gap = (p["orders"] - c["visits_since"]) / c["visits"]
            due = [c["recency"] / c["gap"], (c["recency"] - c["gap"]) / (c["gap_sd"] + 3)]
            due += [c["visits_since"] / visits_gap, c["recency"] / c["last_gap"]]
        return np.stack([*shares, *due], axis=2).astype(np.float32)


def count_visits(h: Histories, customer_P: Ints, visit_P: Ints, day_P: Days, keep: int) -> VisitCounts:
    """Counters of up to `keep` items per point; `visit_P` as from `Histories.before` or an earlier visit index."""
    shape = (len(customer_P), keep)
    item_PM = np.full(shape, -1, np.int64)
    item_PMF = np.full((*shape, len(ITEM_COUNTERS)), np.nan, np.float32)
    personal_PG = np.full((len(customer_P), len(CUSTOMER_COUNTERS)), np.nan, np.float32)
    points = (h.start_C[customer_P], visit_P.astype(np.int64), day_P.astype(np.float64))
    visits = (h.day_V, h.weight_V, h.line_V, h.item_L, h.deal_L, h.spend_L)
    _count(points, visits, len(h.catalogue.items), item_PM, item_PMF)
    opened = h.day_V.min() if len(h.day_V) else 0.0  # weeks without a visit count from the shop's first day on
    weeks_PH = (
        SPEND_HALF_LIVES / np.log(2) / 7 * (1 - 0.5 ** (np.maximum(day_P - opened, 1)[:, None] / SPEND_HALF_LIVES))
    )
    _persons(points, (*visits[:3], h.spend_V), weeks_PH, personal_PG)
    return VisitCounts(item_PM, item_PMF, personal_PG)


@jit_compile
def crosses_week_start(now: float, before: float, day: float) -> bool:
    """Whether a week, counted back from `now`, began between two visits."""
    return bool(np.ceil((now - before) / 7) > np.ceil((now - day) / 7))


@jit_compile
def _count(points: Any, visits: Any, items: int, item_PM: Ints, item_PMF: Floats) -> None:
    first_P, end_P, now_P = points
    day_V, weight_V, line_V, item_L, deal_L, spend_L = visits
    slot_I = np.full(items, -1, np.int64)
    most = np.max(line_V[end_P] - line_V[first_P]) if len(first_P) else 0
    sums, first, last, square = np.zeros((most, len(ITEM_COUNTERS))), np.zeros(most), np.zeros(most), np.zeros(most)
    which = np.zeros(most, np.int64)
    for p in range(len(first_P)):
        used = 0
        for v in range(first_P[p], end_P[p]):
            age = now_P[p] - day_V[v]
            back = end_P[p] - 1 - v
            w = weight_V[v]
            f10, f40, f120 = w * 2.0 ** (-age / 10), w * 2.0 ** (-age / 40), w * 2.0 ** (-age / 120)
            recent, steady = w * 0.8**back, w * 0.95**back
            opening = f120 if v == first_P[p] or crosses_week_start(now_P[p], day_V[v - 1], day_V[v]) else 0.0
            size = line_V[v + 1] - line_V[v]
            for at in range(line_V[v], line_V[v + 1]):
                s = slot_I[item_L[at]]
                if s < 0:
                    s = used
                    used += 1
                    slot_I[item_L[at]] = s
                    which[s] = item_L[at]
                    sums[s] = 0.0
                    square[s] = 0.0
                    first[s] = day_V[v]
                    sums[s, 12] = np.nan
                else:
                    gap = day_V[v] - last[s]
                    square[s] += gap * gap
                    sums[s, 12] = gap
                last[s] = day_V[v]
                sums[s, 0] += 1
                sums[s, 1] += w
                sums[s, 2] += f10
                sums[s, 3] += f40
                sums[s, 4] += f120
                sums[s, 5] += recent
                sums[s, 6] += steady
                sums[s, 9] = back
                sums[s, 13] += deal_L[at]
                sums[s, 14] = deal_L[at]
                sums[s, 15] += size
                sums[s, 16] += spend_L[at]
                sums[s, 17] += opening
        _close(p, now_P[p], which[:used], (sums, first, last, square), item_PM, item_PMF)
        for s in range(used):
            slot_I[which[s]] = -1


@jit_compile
def _close(p: int, now: float, which: Ints, work: Any, item_PM: Ints, item_PMF: Floats) -> None:
    """Finish the sums of one point and write its best items."""
    sums, first, last, square = work
    order = np.argsort(-(sums[: len(which), 4] + 0.1 * sums[: len(which), 1]), kind="mergesort")
    for m in range(min(len(which), item_PM.shape[1])):
        s = order[m]
        n = sums[s, 0]
        sums[s, 7] = now - last[s]
        sums[s, 8] = now - first[s]
        gaps = n - 1
        sums[s, 10] = (last[s] - first[s]) / gaps if gaps > 0 else np.nan
        sums[s, 11] = np.sqrt(max(square[s] / gaps - sums[s, 10] ** 2, 0.0)) if gaps > 1 else np.nan
        sums[s, 13] /= n
        sums[s, 15] /= n
        sums[s, 16] /= n
        item_PM[p, m] = which[s]
        item_PMF[p, m] = sums[s]


@jit_compile
def _persons(points: Any, visits: Any, weeks_PH: Days, personal_PG: Floats) -> None:
    first_P, end_P, now_P = points
    day_V, weight_V, line_V, spend_V = visits
    for p in range(len(first_P)):
        n = end_P[p] - first_P[p]
        if n == 0:
            continue
        row = np.zeros(len(CUSTOMER_COUNTERS))
        row[18] = np.nan
        for v in range(first_P[p], end_P[p]):
            age = now_P[p] - day_V[v]
            back = end_P[p] - 1 - v
            size = line_V[v + 1] - line_V[v]
            row[1] += 2.0 ** (-age / 10)
            row[2] += 2.0 ** (-age / 40)
            row[3] += 2.0 ** (-age / 120)
            row[4] += 0.8**back
            row[5] += 0.95**back
            row[9] += size / n
            row[10] += size / min(n, 4) if back < 4 else 0.0
            row[11] = size
            row[12] += weight_V[v] / n
            row[13] += weight_V[v] / min(n, 8) if back < 8 else 0.0
            row[14] += age <= 28
            row[15] += age <= 7
            row[16] += size if age <= 7 else 0
            row[17] += (size >= BIG_BASKET_ITEMS) / n
            if size >= BIG_BASKET_ITEMS:
                row[18] = age
            if v == first_P[p] or crosses_week_start(now_P[p], day_V[v - 1], day_V[v]):
                row[23] += 2.0 ** (-age / 120)
                row[24] += size * 2.0 ** (-age / 120)
                row[25] += weight_V[v] * 2.0 ** (-age / 120)
            for at in range(4):
                row[19 + at] += spend_V[v] * 2.0 ** (-age / SPEND_HALF_LIVES[at]) / weeks_PH[p, at]
        row[0] = n
        row[6] = now_P[p] - day_V[end_P[p] - 1]
        row[7] = now_P[p] - day_V[first_P[p]]
        row[8] = (day_V[end_P[p] - 1] - day_V[first_P[p]]) / (n - 1) if n > 1 else np.nan
        row[24] /= row[23]
        row[25] /= row[23]
        personal_PG[p] = row
