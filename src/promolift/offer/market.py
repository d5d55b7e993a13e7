"""What the conditional generator learns from, as arrays and without torch: a market of customers and their products in,
accepted offers in its numbers out.

Legend: N customers, S slots (products, categories, everything) of a customer, F customer features, I features of a
slot, K benefits, D percents, A accepted offers.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import polars as pl
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
KINDS = ("percent_off", "amount_off", "free_shipping")
HOURS = 24


class Between(NamedTuple):
    """The least and the most that a drawn number may be."""

    low: float
    high: float


REWARD = Between(0.02, 0.5)  # amount as a share of the threshold
SPEND = Between(0.5, 3.0)  # threshold in mean baskets


@dataclass(frozen=True)
class Layout:
    """What the discrete parts stand for."""

    percents: tuple[int, ...]
    valid_days: tuple[int, ...]
    channels: tuple[str, ...]


@dataclass(frozen=True)
class Market:
    """Customers and what could be offered to each. `open_NSD`: which percents are legal, none where a slot is empty.

    `slots`: (scope, target) of each number in `slot_NS` (-1: empty). `bought_NS`: what may be a companion's reason.
    `all_NS`: slots that cover everything, where amounts and free delivery live; `kind_K`: benefits the shop gives.
    """

    customer_ids: tuple[str, ...]
    slots: tuple[tuple[str, str | None], ...]
    slot_NS: Ints
    x_NF: Floats
    item_NSI: Floats
    open_NSD: NDArray[np.bool_]
    bought_NS: NDArray[np.bool_]
    basket_N: Floats
    kind_K: NDArray[np.bool_]

    @property
    def all_NS(self) -> NDArray[np.bool_]:
        """True where a slot covers everything."""
        everything = np.array([scope == "all" for scope, _ in self.slots] + [False])
        found: NDArray[np.bool_] = everything[self.slot_NS]
        return found


@dataclass(frozen=True)
class Accepted:
    """Accepted offers: customer, slot, companion (-1: none), codes of the layout, and reward and spend in [0, 1]."""

    who_A: Ints
    slot_A: Ints
    because_A: Ints
    kind_A: Ints
    percent_A: Ints
    valid_A: Ints
    channel_A: Ints
    hour_A: Ints
    money_A2: Floats


def read_accepted(accepted: pl.DataFrame, market: Market, layout: Layout) -> Accepted:
    """`accepted` has PROPOSALS' columns; rows about customers or products outside of the market are left out.

    A percent or a length that the layout lacks becomes the nearest, a missing channel or hour the first.
    """
    number = {who: n for n, who in enumerate(market.customer_ids)}
    place = [{s: i for i, s in enumerate(row) if s >= 0} for row in market.slot_NS.tolist()]
    slot_number = {slot: s for s, slot in enumerate(market.slots)}
    found = []
    for row in accepted.iter_rows(named=True):
        n = number.get(row["customer_id"])
        at = None if n is None else place[n].get(slot_number.get((row["scope"], row["target"]), -1))
        if n is None or at is None or row["benefit"] not in KINDS:
            continue
        why = place[n].get(slot_number.get(("category", row["because"]), -1), -1)
        spend, channel = row["min_spend_cents"], row["channel"]
        found.append(
            (
                n, at, why, KINDS.index(row["benefit"]), _nearest(layout.percents, row["percent"]),
                _nearest(layout.valid_days, row["valid_days"]),
                layout.channels.index(channel) if channel in layout.channels else 0, row["hour"] or 0,
                _unit(row["amount_cents"] / max(spend, 1), REWARD),
                _unit(spend / max(float(np.nan_to_num(market.basket_N[n])), 1.0), SPEND),
            )
        )  # fmt: skip
    table = np.array(found, dtype=np.float64).reshape(-1, 10)
    who, slot, why, kind, percent, valid, channel, hour = table[:, :8].T.astype(np.int64)
    return Accepted(who, slot, why, kind, percent, valid, channel, hour, table[:, 8:])


def _nearest(ladder: tuple[int, ...], value: float) -> int:
    return int(np.argmin(np.abs(np.array(ladder) - value)))


def _unit(value: float, bounds: Between) -> float:
    return float(np.clip((value - bounds.low) / (bounds.high - bounds.low), 0.0, 1.0))


def market_from(grid: pl.DataFrame, people: pl.DataFrame, layout: Layout, kinds: frozenset[str]) -> Market:
    """The market of CANDIDATES of percentages and of `people` (what `list_candidates` calls profiles).

    A slot is a target of the customer. What is not known of them has a flag of its own.
    """
    rows = grid.filter(
        (pl.col("benefit") == "percent_off") & pl.col("customer_id").is_in(people["customer_id"].implode())
    )
    names = rows.select("scope", "target").unique().sort("scope", "target", nulls_last=True).with_row_index("number")
    key = ["customer_id", "scope", "target"]
    ids = tuple(rows["customer_id"].unique().sort())
    what = ("base_cents", "buy_prob", "margin_rate", "bought")
    slots = rows.sort(key).unique(key, keep="first").sort(key).select(*key, *what)
    slots = slots.with_columns(
        pl.int_range(pl.len()).over("customer_id").alias("s"), (pl.col("customer_id").rle_id()).alias("n")
    ).join(names, on=["scope", "target"], how="left", nulls_equal=True, maintain_order="left")
    n, s = slots["n"].to_numpy(), slots["s"].to_numpy()
    shape = (len(ids), int(s.max()) + 1 if s.size else 1)
    slot = np.full(shape, -1, dtype=np.int64)
    slot[n, s] = slots["number"].to_numpy()
    item, bought = np.zeros((*shape, 7)), np.zeros(shape, dtype=bool)
    item[n, s] = slots.select(
        pl.col("base_cents").fill_null(0.0).log1p(), pl.col("buy_prob", "margin_rate").fill_null(0.0),
        pl.col("bought").fill_null(False).cast(pl.Float64),
        *((pl.col("scope") == one).cast(pl.Float64).alias(one) for one in ("category", "product", "all")),
    ).to_numpy()  # fmt: skip
    bought[n, s] = slots["bought"].fill_null(False).to_numpy()
    cells = rows.join(slots.select(*key, "n", "s"), on=key, nulls_equal=True)
    percent = (100 * cells["depth"]).round().cast(pl.Int64).replace_strict(
        layout.percents, range(len(layout.percents)), default=-1, return_dtype=pl.Int64
    )  # fmt: skip
    cells = cells.with_columns(percent.alias("d")).filter(pl.col("d") >= 0)
    at = tuple(cells[name].to_numpy() for name in "nsd")
    wide = (*shape, len(layout.percents))
    open_ = np.zeros(wide, dtype=bool)
    open_[at] = cells["eligible"].to_numpy()
    known = pl.DataFrame({"customer_id": ids}).join(people, on="customer_id", how="left", maintain_order="left")
    return Market(
        ids, tuple(names.select("scope", "target").iter_rows()), slot, _features(known), item, open_, bought,
        known["basket_mean_cents"].cast(pl.Float64).fill_null(np.nan).to_numpy(),
        np.array([kind in kinds for kind in KINDS]),
    )  # fmt: skip


def _features(people: pl.DataFrame) -> Floats:
    numbers = people.select(
        pl.col("orders_expected", "basket_mean_cents").log1p(), "price_sensitivity", pl.col("online").cast(pl.Float64)
    ).cast(pl.Float64)  # fmt: skip
    filled = numbers.with_columns(pl.all().fill_null(pl.all().mean())).fill_null(0.0)
    features: Floats = np.hstack([filled.to_numpy(), numbers.select(pl.all().is_null().cast(pl.Float64)).to_numpy()])
    return features
