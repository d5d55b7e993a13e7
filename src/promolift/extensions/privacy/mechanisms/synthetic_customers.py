"""Release noisy sums of a shop's purchases, and generate a log of synthetic customers who add up to these sums.

Under a privacy budget, everything that customers share (`aggregation`) is summed over the synthetic customers, so
nothing else about the shop's customers reaches the profile of another customer. Two sums are released. The first counts
customers by how long and how often they came, the number of targets per order, how readily they try new targets, their
recent spend and their usual line price. The second has the share of each target in customers' orders, and its price
relative to the usual line.

Legend: T targets, C synthetic customers, L their lines.
"""

from typing import NamedTuple

import numpy as np
import polars as pl
from duckdb import DuckDBPyRelation as Relation
from numpy.typing import NDArray

from promolift.extensions.privacy.mechanisms.noise import quantile_from_counts
from promolift.foundation import sql
from promolift.foundation.hashing import hash_int
from promolift.foundation.sql import bind, fetch_frame
from promolift.foundation.tables.schemas import CATEGORY_LEVEL_SQL, CATEGORY_TARGET_SQL, EVENTS
from promolift.foundation.time.clock import DAY_MS

Real = NDArray[np.float64]
ORDER_EDGES = np.array([1, 2, 3, 6, 11, 21, 41, 81, 161])  # lower edges of the bins of orders; the last is an end
TIME_PARTS = 4  # of the time that the log spans
BASKET_SIZE_EDGES: Real = np.array([1, 1.5, 2, 3, 5, 8, 13, 21])  # targets per order, lower edges
NOVELTY_EDGES: Real = np.exp2(np.arange(-2, 9, dtype=np.float64))  # strength of trying new targets (the urn's theta)
SPEND_EDGES: Real = np.exp2(np.arange(32, dtype=np.float64))  # upper edges of amounts in minor units
BLOCK_WIDTHS = {
    "came": (len(ORDER_EDGES) - 1) * TIME_PARTS**2, "size": len(BASKET_SIZE_EDGES), "novel": len(NOVELTY_EDGES),
    "spent": len(SPEND_EDGES), "line": len(SPEND_EDGES), "deals": 2,
}  # fmt: skip
FIRST_CLIP, SECOND_CLIP = len(BLOCK_WIDTHS) ** 0.5, 2**0.5  # each block of a customer is at most 1 long
MAX_LOG_PRICE_RATIO = 3.0  # log of how far a target's price is from the usual line's, at most
SIGNAL_TO_NOISE = 2.0  # times the noise, below which a count is taken for noise
MAX_LOG_LINES, MAX_CUSTOMERS = 300_000, 5_000  # of the made-up log
MAX_REDRAWS = 5  # of a target that an order does not have yet
PUBLIC_LINES = 1_000_000  # lines of a target and week, where nothing of them is known but one share
CUSTOMER_ID_FORMAT = "stand-in {:05d}"
GRID = 2.0**-24  # what customers give is cut to multiples of it, so that sums are the same bits in any order of shards

CUSTOMERS_SQL = f"""
with {CATEGORY_LEVEL_SQL}, lines as (
    select e.customer_id, coalesce(e.order_id, 'at ' || e.ts_ms) as order_id, e.ts_ms, {CATEGORY_TARGET_SQL} as target,
        abs(e.list_cents) as list_cents, abs(e.revenue_cents) as revenue_cents, e.shelf_cents
    from events e left join products p using (product_id) cross join level
    where e.kind = 'purchase' and e.ts_ms < $asof
)
select customer_id, count(distinct order_id) as orders, min(ts_ms) as first_ms, max(ts_ms) as last_ms,
    count(distinct (order_id, target)) as choices, count(distinct target) as targets,
    sum(revenue_cents) filter (ts_ms >= $since)::double as spent,
    avg(round(ln(greatest(list_cents, 1)) / {GRID}) * {GRID}) as line,
    avg((shelf_cents > 0)::int) as deals,
    avg(case when list_cents > 0 then round(least(shelf_cents / list_cents, 1) / {GRID}) * {GRID} else 0 end) as depth
from lines group by customer_id order by customer_id
"""
TARGETS_SQL = f"""
with {CATEGORY_LEVEL_SQL}, lines as (
    select e.customer_id, coalesce(e.order_id, 'at ' || e.ts_ms) as order_id, {CATEGORY_TARGET_SQL} as target,
        round((ln(greatest(abs(e.list_cents), 1)) - $usual) / {GRID}) * {GRID} as far
    from events e left join products p using (product_id) cross join level
    where e.kind = 'purchase' and e.ts_ms < $asof
), cells as (
    select customer_id, target, count(distinct order_id) as n, greatest(least(avg(far) / $reach, 1), -1) as far
    from lines where target is not null group by all
), shares as (select *, n / sum(n) over (partition by customer_id) as share from cells)
select target, sum(trunc(share / {GRID}) * {GRID})::double as share,
    sum(trunc(share * far / {GRID}) * {GRID})::double as far
from shares group by target order by target
"""


class LogSpan(NamedTuple):
    """The time that the log is read for, ms UTC: from its beginning to the plan; and the plan's window."""

    first_ms: int
    asof_ms: int
    window_ms: int


class CatalogueTargets(NamedTuple):
    """The catalogue, which says nothing of customers: targets in order, a row of product and target, and the noise."""

    names: tuple[str, ...]
    products: pl.DataFrame


class ShopSums(NamedTuple):
    """Both releases, with the standard deviation of their noise: the first's blocks laid end to end, and two rows of T
    numbers.
    """

    first: Real
    first_sd: float
    second_2T: Real
    second_sd: float

    def block(self, name: str) -> Real:
        """One block of the first release, counts that are noise at 0."""
        start = 0
        for each, size in BLOCK_WIDTHS.items():
            if each == name:
                found = self.first[start : start + size]
                return np.where(found > SIGNAL_TO_NOISE * self.first_sd, found, 0.0)
            start += size
        raise KeyError(name)

    @property
    def customers(self) -> float:
        return float(self.block("came").sum())

    @property
    def deals(self) -> float:
        """The mean customer's share of discounted lines."""
        return float(np.clip(self.first[-2] * 2**0.5 / max(self.customers, 1), 0, 0.95))

    @property
    def largest_cents(self) -> float:
        """What all but a hundredth of those who buy spend in a window at most."""
        return quantile_from_counts(self.block("spent"), SPEND_EDGES, 0.99)

    @property
    def revenue_cents(self) -> float:
        """Of the last window: each bin of customers at its middle."""
        return float((self.block("spent") * SPEND_EDGES / 2**0.5).sum())


def catalogue_targets(products: Relation) -> CatalogueTargets:
    """Return the targets of the catalogue's products."""
    target = CATEGORY_TARGET_SQL.replace("e.", "p.")
    query = f"with {CATEGORY_LEVEL_SQL} select product_id, {target} as target from products p cross join level"
    rows = fetch_frame(
        sql.run_select(f"select * from ({query}) where target is not null order by all", products=products)
    )
    return CatalogueTargets(tuple(rows["target"].unique().sort()), rows)


def first_release_sum(events: Relation, products: Relation, span: LogSpan) -> Real:
    """A shard's part of the first release before the noise: of each customer at most 1 in every block."""
    query = bind(CUSTOMERS_SQL, asof=span.asof_ms, since=span.asof_ms - span.window_ms)
    rows = fetch_frame(sql.run_select(query, events=events, products=products))
    if rows.is_empty():
        return np.zeros(sum(BLOCK_WIDTHS.values()))
    get = {name: rows[name].cast(pl.Float64).fill_null(0.0).to_numpy() for name in rows.columns[1:]}
    part_ms = max(span.asof_ms - span.first_ms, 1) / TIME_PARTS
    first, last = (((get[name] - span.first_ms) // part_ms).clip(0, TIME_PARTS - 1) for name in ("first_ms", "last_ms"))
    orders = np.searchsorted(ORDER_EDGES[:-1], get["orders"], side="right") - 1
    size = np.searchsorted(BASKET_SIZE_EDGES, np.maximum(get["choices"] / get["orders"], 1), side="right") - 1
    expected = NOVELTY_EDGES * np.log1p(
        get["choices"][:, None] / NOVELTY_EDGES
    )  # distinct targets that an urn would have shown
    novel = np.abs(expected - get["targets"][:, None]).argmin(axis=1)
    known = get["choices"] >= 3
    spent = np.searchsorted(SPEND_EDGES, get["spent"]).clip(0, len(SPEND_EDGES) - 1)
    line = np.searchsorted(np.log(SPEND_EDGES), get["line"]).clip(0, len(SPEND_EDGES) - 1)
    return np.concatenate([
        np.bincount((orders * TIME_PARTS**2 + first * TIME_PARTS + last).astype(int), minlength=BLOCK_WIDTHS["came"]),
        np.bincount(size, minlength=BLOCK_WIDTHS["size"]),
        np.bincount(novel[known], minlength=BLOCK_WIDTHS["novel"]),
        np.bincount(spent[get["spent"] > 0], minlength=BLOCK_WIDTHS["spent"]),
        np.bincount(line, minlength=BLOCK_WIDTHS["line"]),
        [(np.floor(get[name].clip(0, 1) / 2**0.5 / GRID) * GRID).sum() for name in ("deals", "depth")],
    ]).astype(np.float64)  # fmt: skip


def second_release_sum(
    events: Relation, products: Relation, targets: CatalogueTargets, span: LogSpan, usual: float
) -> Real:
    """A shard's part of the second one: a customer's shares add up to 1, so neither row is longer than that."""
    query = bind(TARGETS_SQL, asof=span.asof_ms, usual=usual, reach=MAX_LOG_PRICE_RATIO)
    rows = fetch_frame(sql.run_select(query, events=events, products=products))
    found = pl.DataFrame({"target": targets.names}, {"target": pl.String}).join(
        rows, on="target", how="left", maintain_order="left"
    )
    return found.select(pl.col("share", "far").fill_null(0.0)).to_numpy().T.astype(np.float64)


def deals_by_week(products: Relation, span: LogSpan, share: float) -> pl.DataFrame:
    """Shared table `deals` where one share of discounted lines holds for all targets and weeks: of so many lines that
    one customer's own, which are taken off before they are compared, make no difference.
    """
    weeks = [(each // DAY_MS + 3) // 7 for each in (span.first_ms - DAY_MS, span.asof_ms + DAY_MS)]
    query = "select distinct coalesce(type, category, product_id) as target from products order by target"
    known = fetch_frame(sql.run_select(query, products=products))
    rows = known.join(pl.DataFrame({"week": range(weeks[0], weeks[1] + 1)}), how="cross")
    return rows.select(
        "week", "target", lines=pl.lit(PUBLIC_LINES), deals=pl.lit(round(PUBLIC_LINES * share))
    ).with_columns(pl.col("week", "lines", "deals").cast(pl.Int64))


def usual_line(first: Real) -> float:
    """The log of the middle customer's usual line, by a noisy first release."""
    start = sum(size for name, size in BLOCK_WIDTHS.items() if name in ("came", "size", "novel", "spent"))
    return float(np.log(quantile_from_counts(first[start : start + BLOCK_WIDTHS["line"]], SPEND_EDGES / 2**0.5, 0.5)))


def synthetic_log(sums: ShopSums, targets: CatalogueTargets, span: LogSpan, seed: int = 0) -> pl.DataFrame:
    """EVENTS of the made-up customers; nothing but the releases, the catalogue and the span goes into them. What nobody
    happened to buy is bought once on the first day.
    """
    rng = np.random.default_rng(hash_int("stand-in", seed) % 2**63)
    came, many = sums.block("came"), int(min(round(sums.customers), MAX_CUSTOMERS))
    if many < 1 or not targets.names:
        return EVENTS.empty()
    price, share = _prices(sums), _shares(sums)
    cell_C = rng.choice(len(came), many, p=came / came.sum())
    low_C, high_C = ORDER_EDGES[cell_C // TIME_PARTS**2], ORDER_EDGES[cell_C // TIME_PARTS**2 + 1]
    orders_C = rng.integers(low_C, high_C)
    size_C = _drawn(rng, np.sqrt(BASKET_SIZE_EDGES * np.r_[BASKET_SIZE_EDGES[1:], 34]), sums.block("size"), many)
    many = max(int((np.cumsum(orders_C * size_C) <= MAX_LOG_LINES).sum()), 1)
    theta_C = _drawn(rng, NOVELTY_EDGES, sums.block("novel"), many)
    part_ms, first_C, last_C = (
        (span.asof_ms - span.first_ms) / TIME_PARTS,
        cell_C // TIME_PARTS % TIME_PARTS,
        cell_C % TIME_PARTS,
    )
    deals, depth = sums.deals, float(np.clip(sums.first[-1] * 2**0.5 / max(sums.customers, 1), 0, 0.9))
    parts = []
    for c in range(many):
        ends = span.first_ms + part_ms * np.sort(np.array([first_C[c], last_C[c]]) + rng.random(2))
        between = rng.uniform(ends[0], ends[1], orders_C[c] - 2) if orders_C[c] > 2 else []
        days = np.sort(np.r_[ends[: orders_C[c]], between])
        order_L = np.repeat(np.arange(orders_C[c]), 1 + rng.poisson(max(size_C[c] - 1, 0), orders_C[c]))
        lines = len(order_L)
        target_L = _urn(rng.choice(len(share), lines, p=share), order_L, theta_C[c], rng)
        parts.append((np.full(lines, c), order_L, days[order_L].astype(np.int64), target_L))
    for target in np.setdiff1d(np.arange(len(share)), np.concatenate([part[-1] for part in parts])):
        parts.append((np.array([target % many]), np.array([-1]), np.array([span.first_ms]), np.array([target])))
    who_L, order_L, ts_L, target_L = (np.concatenate(column) for column in zip(*parts, strict=True))
    ts_L[ts_L == ts_L.max()] = span.asof_ms - 1  # the log reaches to the plan's moment
    list_L = np.maximum(np.rint(np.exp(price[target_L] + 0.3 * rng.standard_normal(len(who_L)))), 1).astype(np.int64)
    shelf_L = np.rint(list_L * depth / max(deals, 1e-9) * (rng.random(len(who_L)) < deals)).astype(np.int64)
    shelf_L = np.minimum(shelf_L, list_L)
    by = targets.products.group_by("target", maintain_order=True).agg("product_id").sort("target")["product_id"]
    some = [by[int(t)] for t in range(len(share))]
    product = [some[t][int(u * len(some[t]))] for t, u in zip(target_L, rng.random(len(who_L)), strict=True)]
    return EVENTS.conform(pl.DataFrame({
        "customer_id": [CUSTOMER_ID_FORMAT.format(c) for c in who_L],
        "ts_ms": ts_L.clip(span.first_ms, span.asof_ms - 1), "kind": "purchase", "product_id": product, "quantity": 1.0,
        "order_id": [f"{c}-{o}" for c, o in zip(who_L, order_L, strict=True)],
        "revenue_cents": list_L - shelf_L, "list_cents": list_L, "shelf_cents": shelf_L,
    }))  # fmt: skip


def _shares(sums: ShopSums) -> Real:
    """Parts of the targets: what is above the noise, and the rest shared evenly by those below it."""
    share_T = sums.second_2T[0]
    kept_T = np.where(share_T > SIGNAL_TO_NOISE * sums.second_sd, share_T, 0.0)
    low = kept_T == 0
    if low.any():
        kept_T = kept_T + low * max(sums.customers - kept_T.sum(), 0.02 * sums.customers) / low.sum()
    return np.asarray(kept_T / kept_T.sum())


def _prices(sums: ShopSums) -> Real:
    """The log of each target's usual line: the less a count stands out of the noise, the nearer to everybody's."""
    share_T, far_T = sums.second_2T
    base_T = np.maximum(share_T, sums.second_sd)
    trust_T = base_T**2 / (base_T**2 + (MAX_LOG_PRICE_RATIO * SIGNAL_TO_NOISE * sums.second_sd) ** 2)
    return np.asarray(usual_line(sums.first) + MAX_LOG_PRICE_RATIO * trust_T * np.clip(far_T / base_T, -1, 1))


def _drawn(rng: np.random.Generator, value_B: Real, count_B: Real, many: int) -> Real:
    """Values by counts of bins; the middle one where all counts are noise."""
    if count_B.sum() <= 0:
        return np.full(many, value_B[len(value_B) // 2])
    return np.asarray(rng.choice(value_B, many, p=count_B / count_B.sum()))


def _urn(
    new_L: NDArray[np.int64], order_L: NDArray[np.int64], theta: float, rng: np.random.Generator
) -> NDArray[np.int64]:
    """Choices that come back: a new target with probability theta / (theta + number before), else one of those; if the
    order has it already, another one of those is tried, and at last a new one is taken.
    """
    found, at, many = new_L.tolist(), np.arange(len(new_L)), MAX_REDRAWS + 1
    again = (rng.random(len(new_L)) >= theta / (theta + at)).tolist()
    before = (rng.random((len(new_L), many)) * at[:, None]).astype(int).tolist()
    order, has = -1, set[int]()
    for place, mine in enumerate(order_L.tolist()):
        if mine != order:
            order, has = mine, set()
        if again[place]:
            found[place] = next((found[k] for k in before[place] if found[k] not in has), found[place])
        has.add(found[place])
    return np.array(found, np.int64)
