"""The encoder network: a causal transformer over a customer's visits, with heads that forecast the next visit.

A visit is the sum of its products' vectors plus its gap, spend, size, discounts and channel. The first token holds the
customer's attributes, known or unknown. Two heads share the choice of the next items: *repeat* scores items that the
customer bought before, from point-in-time counters (`purchase_histories`); *explore* scores every item from the
customer's state, the set of all items ever bought (initialised from EASE) and recent popularity. Further heads forecast
when the customer comes, what they spend and how often they buy on discount. `depth` alone sets the size.

Legend: B sequences, T tokens (attributes first), D width, H heads, P points (a customer at a moment, `day` since 1970
UTC), M personal items, F counters, I items, K horizons.
"""

import math
from dataclasses import dataclass, replace
from typing import NamedTuple, Self

import numpy as np
import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional as nf

from promolift.extensions.encoder.network.purchase_histories import (
    CUSTOMER_COUNTERS,
    Histories,
    Popularity,
    count_visits,
)
from promolift.foundation.jit import Bools, Days, Floats, Ints
from promolift.foundation.settings import Settings

LOG_SCALE_FLOOR = 0.005  # rates and faded counts below it are all alike
HORIZONS = (28, 56, 84)  # days of the spend and orders heads
GAP_EDGES_DAYS = (1, 2, 3, 5, 7, 10, 14, 21, 28, 42, 56)  # days until the next visit; the last bin is beyond
SPEND_56 = CUSTOMER_COUNTERS.index("spend_56")
VISIT_FEATURES = ("gap", "spend", "size", "deal", "sine", "cosine")


class EncoderSettings(Settings):
    """Size by `depth` (layers = heads = depth, width = 16 depth) and how it is trained. 2 is made for a CPU."""

    depth: int = Field(default=2, ge=1, le=64)
    max_visits: int = Field(default=128, ge=2)  # visits a sequence may hold; older ones live on in the counters
    keep: int = Field(default=80, ge=1)  # personal items the repeat head scores
    id_drop: float = Field(default=0.3, ge=0, lt=1)  # how often a product must do without its id
    drop: float = Field(default=0.3, ge=0, lt=1)
    epochs: int = Field(default=5, ge=1)
    patience: int = Field(default=3, ge=1)
    points: int = Field(default=6, ge=1)  # moments drawn per customer and epoch
    batch: int = Field(default=64, ge=1)  # customers per step
    learning_rate: float = Field(default=3e-3, gt=0)
    weight_decay: float = Field(default=0.05, ge=0)
    device: str = "auto"  # cpu, cuda, or auto: cuda where there is one
    memory_gb: float = Field(default=16.0, gt=0)  # most that training may take of a GPU's memory
    horizon_days: int = Field(default=56, ge=7)  # the validation window at the end of what is known
    seed: int = 1

    @property
    def width(self) -> int:
        """Width of the states."""
        return 16 * self.depth


class DeviceTensors:
    """Tensors that go to another device together."""

    def to(self, device: torch.device) -> Self:
        """The same on another device."""
        there = {k: v.to(device) for k, v in self.__dict__.items() if v is not None}
        return replace(self, **there)  # type: ignore[type-var]


@dataclass(frozen=True)
class ModelSizes:
    """What the data decide: items, codes, attributes, channels and counters."""

    items: int
    categories: int
    brands: int
    attributes: int
    channels: int
    item_counters: int
    personal: int
    directions: int = 0  # of the items' words and pictures


@dataclass(frozen=True)
class Batch(DeviceTensors):
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


@dataclass(frozen=True)
class Targets(DeviceTensors):
    """What came after each point: items as pairs (point, item, weight), days to the next visit, spend, orders, deals.

    `bin_P` is the bin of the next visit; where none came, `open_P` tells that only later bins are possible. Unknown
    spend and orders are NaN.
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


@dataclass(frozen=True)
class HistoryPoints:
    """Customers and moments, with the index of the first visit not yet known."""

    customer_P: Ints
    day_P: Days
    visit_P: Ints

    def take(self, rows: Ints) -> "HistoryPoints":
        """Some of the points."""
        return HistoryPoints(self.customer_P[rows], self.day_P[rows], self.visit_P[rows])


def history_points(h: Histories, customer_P: Ints, day_P: Days) -> HistoryPoints:
    """HistoryPoints from customers and moments."""
    day_P = np.broadcast_to(np.asarray(day_P, np.float64), np.shape(customer_P))
    return HistoryPoints(np.asarray(customer_P, np.int64), day_P, h.before(customer_P, day_P))


class VisitBags(NamedTuple):
    """Items of all visits in a row, and where each of the B x T bags begins (padding: an empty bag)."""

    item_L: Ints
    start: Ints


class VisitInputs(NamedTuple):
    """Day of each visit, and its VISIT_FEATURES (NaN: unknown)."""

    day_BT: Days
    visit_BTF: Floats


class SpendOrders(NamedTuple):
    """Spend and orders within each horizon; NaN where the horizon reaches beyond what is known."""

    spend_PK: Floats
    orders_PK: Floats


def build_batch(h: Histories, points: HistoryPoints, shared: Popularity, keep: int, max_visits: int) -> Batch:
    """One sequence per customer of `points`, with the last `max_visits` visits before their latest moment."""
    who_B, row_P = np.unique(points.customer_P, return_inverse=True)
    end_B = np.zeros(len(who_B), np.int64)
    np.maximum.at(end_B, row_P, points.visit_P)
    first_B = np.maximum(h.start_C[who_B], end_B - max_visits)
    T = max(int((end_B - first_B).max(initial=0)), 1)
    at_BT = first_B[:, None] + np.arange(T)
    real_BT = at_BT < end_B[:, None]
    at_BT = np.where(real_BT, at_BT, 0)
    counts = count_visits(h, points.customer_P, points.visit_P, points.day_P, keep)
    bag_L, start = _bags(h, at_BT[real_BT], real_BT)
    days_BT, visit_BTF = _visits(h, at_BT, real_BT, first_B == h.start_C[who_B])
    days_BT = np.concatenate([days_BT[:, :1], days_BT], axis=1)
    numbers = {
        "bag_L": bag_L,
        "bag_start": start,
        "visit_BTF": visit_BTF,
        "channel_BT": np.where(real_BT, h.channel_V[at_BT] if len(h.channel_V) else 0, 0),
        "days_BT": (days_BT - days_BT[:, :1]).astype(np.float32),
        "attribute_BA": h.attribute_CA[who_B],
        "row_P": row_P,
        "seen_P": np.maximum(points.visit_P - first_B[row_P], 0),
        "personal_PG": counts.personal_PG,
        "item_PM": counts.item_PM,
        "counter_PMF": np.concatenate([counts.item_PMF, counts.rates()], axis=2),
        "prior_WI": shared.log_WI,
        "week_P": shared.week(points.day_P),
    }
    return Batch(**{name: torch.from_numpy(value) for name, value in numbers.items()})


def _bags(h: Histories, real: Ints, real_BT: Bools) -> VisitBags:
    size_BT = np.zeros(real_BT.shape, np.int64)
    size_BT[real_BT] = h.line_V[real + 1] - h.line_V[real]
    ends = np.cumsum(size_BT.ravel())
    total = int(ends[-1]) if len(ends) else 0
    begin = np.repeat(h.line_V[real] - (ends - size_BT.ravel())[real_BT.ravel()], size_BT[real_BT])
    return VisitBags(h.item_L[begin + np.arange(total)], ends - size_BT.ravel())


def _visits(h: Histories, at_BT: Ints, real_BT: Bools, whole_B: Bools) -> VisitInputs:
    B, T = at_BT.shape
    if not len(h.day_V):
        return VisitInputs(np.zeros((B, T)), np.full((B, T, 6), np.nan, np.float32))
    day_BT = h.day_V[at_BT]
    day_BT = np.where(real_BT, day_BT, np.where(real_BT, day_BT, -np.inf).max(axis=1, keepdims=True, initial=0))
    gap_BT = np.diff(day_BT, prepend=np.nan)
    later = ~whole_B & (at_BT[:, 0] > 0)  # the first visit of a cut sequence has a known gap
    gap_BT[later, 0] = day_BT[later, 0] - h.day_V[at_BT[later, 0] - 1]
    turn_BT = 2 * np.pi * np.floor(day_BT) / 7
    size_BT = (h.line_V[at_BT + 1] - h.line_V[at_BT]).astype(np.float64)
    parts: list[Days] = [
        gap_BT,
        h.spend_V[at_BT].astype(np.float64),
        size_BT,
        h.deal_V[at_BT].astype(np.float64),
        np.sin(turn_BT),
        np.cos(turn_BT),
    ]
    visit_BTF = np.where(real_BT[:, :, None], np.stack(parts, axis=2), np.nan).astype(np.float32)
    return VisitInputs(day_BT, visit_BTF)


def build_targets(h: Histories, points: HistoryPoints, batch: Batch, until: float) -> Targets:
    """What came after each point and before `until`."""
    next_P = points.visit_P
    came_P = next_P < h.start_C[points.customer_P + 1]
    came_P &= np.where(came_P, _at(h.day_V, next_P), np.inf) < until
    rows = np.flatnonzero(came_P)
    size = h.line_V[next_P[rows] + 1] - h.line_V[next_P[rows]]
    inside = np.arange(size.sum()) - np.repeat(np.cumsum(size) - size, size)
    gap_P = np.where(came_P, _at(h.day_V, next_P), until) - points.day_P
    spend_PK, orders_PK = _money(h, points, until)
    level_P = batch.personal_PG.numpy()[:, SPEND_56] * 8
    floor = 0.07 * float(np.nanmean(level_P)) if np.isfinite(level_P).any() else 1.0
    numbers = {
        "point_Y": np.repeat(rows, size),
        "item_Y": h.item_L[np.repeat(h.line_V[next_P[rows]], size) + inside],
        "weight_Y": np.repeat(h.weight_V[next_P[rows]], size),
        "bin_P": np.searchsorted(np.array(GAP_EDGES_DAYS), gap_P, side="right"),
        "open_P": ~came_P,
        "spend_PK": spend_PK,
        "orders_PK": orders_PK,
        "deal_P": np.where(came_P, _at(h.deal_V, next_P), np.nan).astype(np.float32),
        "level_P": (np.clip(np.nan_to_num(level_P), 0, None) + floor).astype(np.float32),
    }
    return Targets(**{name: torch.from_numpy(np.ascontiguousarray(value)) for name, value in numbers.items()})


def _at(values: Floats | Days, at: Ints) -> Days:
    return np.asarray(values, np.float64)[np.minimum(at, len(values) - 1)] if len(values) else np.zeros(len(at))


def _money(h: Histories, points: HistoryPoints, until: float) -> SpendOrders:
    total_V = np.r_[0.0, np.cumsum(h.spend_V, dtype=np.float64)]
    spend, orders = [], []
    for days in HORIZONS:
        end_P = h.before(points.customer_P, points.day_P + days)
        known_P = points.day_P + days <= until
        spend.append(np.where(known_P, total_V[end_P] - total_V[points.visit_P], np.nan))
        orders.append(np.where(known_P, end_P - points.visit_P, np.nan))
    return SpendOrders(np.stack(spend, 1).astype(np.float32), np.stack(orders, 1).astype(np.float32))


def signed_log(x: Tensor) -> Tensor:
    """Odd, near the logarithm above SMALL: a rate of 1 % differs from one of 2 % as 20 % from 40 %."""
    return torch.asinh(x / LOG_SCALE_FLOOR)


class ProductTower(nn.Module):
    """A vector per item from its id, category, brand and price: an item never seen still has the rest."""

    def __init__(self, sizes: ModelSizes, settings: EncoderSettings) -> None:
        """Embeddings start small, so that an item without an id is an ordinary item."""
        super().__init__()
        D = settings.width
        self.id_drop = settings.id_drop
        self.own = nn.Embedding(sizes.items, D)
        self.category = nn.Embedding(sizes.categories + 1, D)
        self.brand = nn.Embedding(sizes.brands + 1, D)
        self.price = nn.Linear(2, D)
        for table in (self.own, self.category, self.brand):
            nn.init.normal_(table.weight, std=0.5 / math.sqrt(D))

    def forward(self, category_I: Tensor, brand_I: Tensor, price_I2: Tensor, known_I: Tensor) -> Tensor:
        """I x D. `known_I` is 0 for items without purchases: their id was never trained and is left out."""
        own_ID = self.own.weight * known_I[:, None]
        if self.training and self.id_drop:
            own_ID = own_ID * (torch.rand(len(own_ID), 1, device=own_ID.device) >= self.id_drop)
        vectors: Tensor = own_ID + self.category(category_I) + self.brand(brand_I) + self.price(price_I2)
        return vectors


class TransformerBlock(nn.Module):
    """Pre-norm attention with a bias that fades with the time between visits, then a gated layer."""

    def __init__(self, settings: EncoderSettings) -> None:
        """Head h starts forgetting at rate 2^-h per factor e of days."""
        super().__init__()
        D, H = settings.width, settings.depth
        self.heads = H
        self.norm_1, self.norm_2 = nn.RMSNorm(D), nn.RMSNorm(D)
        self.qkv = nn.Linear(D, 3 * D, bias=False)
        self.out = nn.Linear(D, D, bias=False)
        self.up = nn.Linear(D, 4 * D, bias=False)
        self.down = nn.Linear(2 * D, D, bias=False)
        self.slope_H = nn.Parameter(2.0 ** -torch.arange(H).float())
        self.drop = nn.Dropout(settings.drop)
        nn.init.zeros_(self.out.weight)
        nn.init.zeros_(self.down.weight)

    def forward(self, x_BTD: Tensor, lag_BTT: Tensor, causal_TT: Tensor) -> Tensor:
        """B x T x D to the same; `lag_BTT` is log(1 + days) between tokens."""
        B, T, D = x_BTD.shape
        q, k, v = self.qkv(self.norm_1(x_BTD)).view(B, T, 3, self.heads, -1).permute(2, 0, 3, 1, 4)  # B H T D/H each
        bias_BHTT = causal_TT - self.slope_H.abs()[None, :, None, None] * lag_BTT[:, None]
        y_BHTD = nf.scaled_dot_product_attention(q, k, v, attn_mask=bias_BHTT.to(q.dtype))
        x_BTD = x_BTD + self.drop(self.out(y_BHTD.transpose(1, 2).reshape(B, T, D)))
        gate, value = self.up(self.norm_2(x_BTD)).chunk(2, dim=-1)
        y_BTD: Tensor = x_BTD + self.drop(self.down(nf.silu(gate) * value))
        return y_BTD


class MoneyRates(NamedTuple):
    """P x K each: spend as a multiple of the customer's level, and expected orders."""

    spend_PK: Tensor
    orders_PK: Tensor


class Encoder(nn.Module):
    """The whole model. `scale` buffers standardise counters; catalogue buffers describe the items."""

    def __init__(self, sizes: ModelSizes, settings: EncoderSettings) -> None:
        """All weights; buffers are filled by `fit_buffers` and `standardise`."""
        super().__init__()
        D, S = settings.width, settings
        self.settings, self.sizes = settings, sizes
        self.tower = ProductTower(sizes, settings)
        self.visit = nn.Linear(len(VISIT_FEATURES), D)
        self.channel = nn.Embedding(sizes.channels + 1, D)
        self.attributes = nn.Linear(2 * sizes.attributes + 1, D)
        self.blocks = nn.ModuleList(TransformerBlock(settings) for _ in range(S.depth))
        self.norm = nn.RMSNorm(D)
        self.personal = nn.Sequential(nn.Linear(sizes.personal, D), nn.SiLU(), nn.Linear(D, D))
        self.state = nn.Sequential(nn.RMSNorm(D), nn.Linear(D, 2 * D), nn.SiLU(), nn.Linear(2 * D, D), nn.RMSNorm(D))
        self.set_in, self.set_out = nn.Embedding(sizes.items, D), nn.Embedding(sizes.items, D)
        self.bias = nn.Embedding(sizes.items, 1)
        self.prior, self.share = nn.Parameter(torch.ones(())), nn.Parameter(torch.tensor(0.5))
        self.drop = nn.Dropout(S.drop)
        self.counters, self.of_state, self.of_item = (
            nn.Linear(sizes.item_counters, 48),
            nn.Linear(D, 48),
            nn.Linear(D, 48),
        )
        self.repeat, self.direct = nn.Linear(48, 1), nn.Linear(sizes.item_counters, 1)
        self.later = nn.Linear(D, len(GAP_EDGES_DAYS) + 1)
        self.money = nn.Sequential(nn.Linear(D + sizes.personal, D), nn.SiLU(), nn.Linear(D, 2 * len(HORIZONS)))
        self.deal = nn.Linear(D, 1)
        for table in (self.set_in, self.set_out, self.bias):
            nn.init.normal_(table.weight, std=0.01)
        if sizes.directions:
            self.sense = nn.Linear(sizes.directions, D, bias=False)
            nn.init.zeros_(self.sense.weight)
        self._buffers_for(sizes)

    def _buffers_for(self, sizes: ModelSizes) -> None:
        scales = {"visit": len(VISIT_FEATURES), "counter": sizes.item_counters, "personal": sizes.personal}
        for name, size in scales.items():
            self.register_buffer(f"{name}_mean", torch.zeros(size))
            self.register_buffer(f"{name}_sd", torch.ones(size))
        for name in ("category", "brand"):
            self.register_buffer(f"{name}_I", torch.zeros(sizes.items, dtype=torch.long))
        self.register_buffer("price_I2", torch.zeros(sizes.items, 2))
        self.register_buffer("known_I", torch.ones(sizes.items))
        self.register_buffer("attribute_mean", torch.zeros(sizes.attributes))
        self.register_buffer("attribute_sd", torch.ones(sizes.attributes))
        if sizes.directions:
            self.register_buffer("sense_IV", torch.zeros(sizes.items, sizes.directions))

    def forward(self, batch: Batch, target: Targets) -> dict[str, Tensor]:
        """Return the losses: see `head_losses`."""
        return head_losses(self, batch, target)

    def table(self) -> Tensor:
        """Product vectors, I x D."""
        vectors: Tensor = self.tower(self.category_I, self.brand_I, self.price_I2, self.known_I)
        return vectors + self.sense(self.sense_IV) if self.sizes.directions else vectors

    def scaled(self, name: str, values: Tensor) -> Tensor:
        """Log of counters, standardised, within 4 standard deviations; missing counts as average."""
        x = signed_log(values)
        x = (x - self.get_buffer(f"{name}_mean")) / self.get_buffer(f"{name}_sd")
        return torch.nan_to_num(x, nan=0.0).clamp(-4, 4)

    def states(self, batch: Batch, table_ID: Tensor) -> Tensor:
        """P x D: what the customer is like at each point, from the visits before it and how long ago they were."""
        B, T = batch.channel_BT.shape[0], batch.channel_BT.shape[1] + 1
        bag_VD = nf.embedding_bag(batch.bag_L, table_ID, batch.bag_start, mode="sum")  # one bag per B x (T - 1)
        size_V = torch.diff(batch.bag_start, append=batch.bag_start.new_tensor([len(batch.bag_L)])).clamp(min=1)
        pooled = (bag_VD / size_V[:, None].sqrt()).view(B, T - 1, -1)
        token = pooled + self.visit(self.scaled("visit", batch.visit_BTF)) + self.channel(batch.channel_BT)
        x_BTD = torch.cat([self._first(batch.attribute_BA)[:, None], token], dim=1)
        lag_BTT = torch.log1p((batch.days_BT[:, :, None] - batch.days_BT[:, None, :]).clamp(min=0))
        causal_TT = torch.full((T, T), -math.inf, device=x_BTD.device).triu(1)
        for block in self.blocks:
            x_BTD = block(x_BTD, lag_BTT, causal_TT)
        at_PD = self.norm(x_BTD)[batch.row_P, batch.seen_P]
        state: Tensor = self.state(self.drop(at_PD) + self.personal(self.scaled("personal", batch.personal_PG)))
        dropped: Tensor = self.drop(state)
        return dropped

    def _first(self, attribute_BA: Tensor) -> Tensor:
        mean, sd = self.get_buffer("attribute_mean"), self.get_buffer("attribute_sd")
        x = torch.nan_to_num((attribute_BA - mean) / sd, nan=0.0).clamp(-4, 4)
        known = (~attribute_BA.isnan()).to(x.dtype)
        token: Tensor = self.attributes(torch.cat([x, known, x.new_ones(len(x), 1)], dim=1))
        return token

    def sets(self, batch: Batch) -> Tensor:
        """P x D: the sum of what they ever bought, for the explore head."""
        known_PM = (batch.item_PM >= 0).to(self.set_in.weight.dtype)
        own_PM = batch.item_PM.clamp(min=0)
        total: Tensor = nf.embedding_bag(own_PM, self.set_in.weight, mode="sum", per_sample_weights=known_PM)
        return total

    def explore(self, state_PD: Tensor, set_PD: Tensor, table_ID: Tensor, batch: Batch) -> Tensor:
        """P x I log odds (up to a constant per point) of every item."""
        scores = state_PD @ table_ID.T / math.sqrt(table_ID.shape[1]) + set_PD @ self.set_out.weight.T
        return scores + self.bias.weight[:, 0] + self.prior * batch.prior_WI[batch.week_P]

    def repeats(self, state_PD: Tensor, table_ID: Tensor, batch: Batch) -> Tensor:
        """P x M: what having bought it before adds."""
        x_PMF = self.scaled("counter", batch.counter_PMF)
        hidden = (
            self.counters(x_PMF) + self.of_state(state_PD)[:, None] + self.of_item(table_ID)[batch.item_PM.clamp(min=0)]
        )
        score_PM: Tensor = (self.repeat(nf.silu(hidden)) + self.direct(x_PMF))[..., 0]
        return score_PM

    def logits(self, state_PD: Tensor, table_ID: Tensor, batch: Batch) -> Tensor:
        """P x I: explore; where they bought it before, repeat and a learned share of explore."""
        scores_PI = self.explore(state_PD, self.sets(batch), table_ID, batch)
        place_PM = batch.item_PM.clamp(min=0)
        known_PM = self.repeats(state_PD, table_ID, batch) + (self.share - 1) * scores_PI.gather(1, place_PM)
        known_PM = known_PM.masked_fill(batch.item_PM < 0, 0.0)
        return scores_PI.scatter_add(1, place_PM, known_PM.to(scores_PI.dtype))

    def money_rates(self, state_PD: Tensor, personal_PG: Tensor) -> MoneyRates:
        """What the money head says."""
        both = self.money(torch.cat([state_PD, self.scaled("personal", personal_PG)], dim=1))
        spend, orders = both.chunk(2, dim=1)
        return MoneyRates(nf.softplus(spend + 0.54), nf.softplus(orders))


def safe_divide(total: Tensor, size: Tensor, least: float = 1.0) -> Tensor:
    """A sum per unit of size."""
    return total / size.detach().to(total.dtype).clamp(min=least)


def head_losses(model: Encoder, batch: Batch, target: Targets) -> dict[str, Tensor]:
    """Each head's loss; `total` is their weighted sum. An item weighs 1 / IDEAL_DCG[size]: the order suits NDCG."""
    table_ID = model.table()
    state_PD = model.states(batch, table_ID)
    log_PI = nf.log_softmax(model.logits(state_PD, table_ID, batch).float(), dim=1)
    picked = log_PI[target.point_Y, target.item_Y]
    items = -safe_divide((target.weight_Y * picked).sum(), target.weight_Y.sum(), 1e-9)
    log_PK = nf.log_softmax(model.later(state_PD).float(), dim=1)
    possible = torch.arange(log_PK.shape[1], device=log_PK.device)[None] >= target.bin_P[:, None]
    after = log_PK.masked_fill(~possible, -math.inf).logsumexp(1)
    came = torch.where(target.open_P, after, log_PK.gather(1, target.bin_P[:, None])[:, 0])
    later = -safe_divide(came.sum(), torch.ones_like(came).sum())
    rate_PK, orders_PK = model.money_rates(state_PD, batch.personal_PG)
    known = ~target.spend_PK.isnan()
    spend_PK = target.spend_PK.nan_to_num()
    miss = (rate_PK * target.level_P[:, None] * torch.tensor(HORIZONS, device=rate_PK.device) / 56 - spend_PK).abs()
    money = safe_divide((miss * known).sum(), (spend_PK * known).sum(), 1e-9)
    poisson = orders_PK - target.orders_PK.nan_to_num() * torch.log(orders_PK + 1e-6)
    orders = safe_divide((poisson * known).sum(), known.sum())
    seen = ~target.deal_P.isnan()
    deal = nf.binary_cross_entropy_with_logits(
        model.deal(state_PD)[:, 0].float(), target.deal_P.nan_to_num(), reduction="none"
    )
    deal = safe_divide((deal * seen).sum(), seen.sum())
    total = items + 0.2 * later + 0.5 * money + 0.02 * orders + 0.1 * deal
    return {"total": total, "items": items, "later": later, "money": money, "orders": orders, "deal": deal}
