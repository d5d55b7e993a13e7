"""The tensors that go into the encoder, and what came after, which it is trained on. Legend as in encoder.py."""

from dataclasses import dataclass, replace
from typing import Self

import torch
from torch import Tensor

HORIZONS = (28, 56, 84)  # days of the spend and orders heads
EDGES = (1, 2, 3, 5, 7, 10, 14, 21, 28, 42, 56)  # days until the next visit; the last bin is beyond
VISIT = ("gap", "spend", "size", "deal", "sine", "cosine")
OFFER = ("depth", "depth is known", "covered items")


class Moved:
    """Tensors that go to another device together."""

    def to(self, device: torch.device) -> Self:
        """The same on another device."""
        there = {k: v.to(device) for k, v in self.__dict__.items() if v is not None}
        return replace(self, **there)  # type: ignore[type-var]


@dataclass(frozen=True)
class Sizes:
    """What the data decide: items, codes, attributes, text features, channels, counters; `facts` 0: no exposures."""

    items: int
    categories: int
    brands: int
    text: int
    attributes: int
    channels: int
    item_counters: int
    personal: int
    facts: int = 0
    offer_channels: int = 0


@dataclass(frozen=True)
class Marks(Moved):
    """Exposures and coupon uses as further tokens, U per sequence, and the exposures asked about, Q.

    O offers of the batch (bags of covered items, OFFER numbers, channel); `offer_BU` counts them from 1, 0 is a use.
    `order_BT` sorts visits followed by marks by time.
    """

    bag_L: Tensor
    bag_start: Tensor
    offer_OF: Tensor
    channel_O: Tensor
    offer_BU: Tensor
    lines_BU: Tensor
    order_BT: Tensor
    row_Q: Tensor
    seen_Q: Tensor
    personal_QG: Tensor
    fact_QF: Tensor
    offer_Q: Tensor


@dataclass(frozen=True)
class Batch(Moved):
    """One batch as tensors; `bag_L`, `bag_start` list the items of all visits, `row_P`, `seen_P` place the points.

    `days_BT` is the day of each token (the attribute token has that of the first visit); `prior_WI` the log popularity
    of every item in the weeks before, and `week_P` the week of each point.
    """

    bag_L: Tensor
    bag_start: Tensor
    visit_BTF: Tensor
    channel_BT: Tensor
    days_BT: Tensor
    attribute_BA: Tensor
    row_P: Tensor
    seen_P: Tensor
    personal_PG: Tensor
    item_PM: Tensor
    counter_PMF: Tensor
    prior_WI: Tensor
    week_P: Tensor
    marks: Marks | None = None


@dataclass(frozen=True)
class Targets(Moved):
    """What came after each point: items as pairs (point, item, weight), days to the next visit, spend, orders, deals.

    `bin_P` is the bin of the next visit; where none came, `open_P` tells that only later bins are possible. Unknown
    spend and orders are NaN. `redeemed_Q` belongs to the exposures asked about.
    """

    point_Y: Tensor
    item_Y: Tensor
    weight_Y: Tensor
    bin_P: Tensor
    open_P: Tensor
    spend_PK: Tensor
    orders_PK: Tensor
    deal_P: Tensor
    level_P: Tensor
    drawn_N: Tensor
    log_q_N: Tensor
    redeemed_Q: Tensor | None = None
