"""Batches of customers' visits in; a state per customer and moment, and what they will do next, out.

A causal transformer over visits. A visit is the sum of its products' vectors plus its gap, spend, size, discounts and
channel; a first token tells the customer's attributes, known or not. Two heads share the choice of the next items:
*repeat* scores what they bought before from point-in-time counters (profile.counters), *explore* scores everything from
their state, the set of all they ever bought (started from EASE) and recent popularity. More heads tell when they come,
what they spend and how often they buy on discount. One dial, `depth`, sets the size.

Legend: B sequences, T tokens (attributes first), D width, H heads, P points, M personal items, F counters, I items,
N sampled items, K horizons.
"""

import math
from typing import NamedTuple

import torch
from pydantic import Field
from torch import Tensor, nn
from torch import distributed as dist
from torch.nn import functional as nf

from promolift.profile.encoder_tensors import EDGES, HORIZONS, OFFER, VISIT, Batch, Marks, Sizes, Targets
from promolift.settings import Settings

SMALL = 0.005  # rates and faded counts below it are all alike


class EncoderSettings(Settings):
    """Size by `depth` (layers = heads = depth, width = 16 depth) and how it is trained. 2 is made for a CPU."""

    depth: int = Field(default=2, ge=1, le=64)
    max_visits: int = Field(default=128, ge=2)  # visits a sequence may hold; older ones live on in the counters
    keep: int = Field(default=80, ge=1)  # personal items the repeat head scores
    id_drop: float = Field(default=0.3, ge=0, lt=1)  # how often a product must do without its id
    drop: float = Field(default=0.3, ge=0, lt=1)
    full_softmax: int = Field(default=20_000, ge=1)  # more items than this: sampled softmax with log-Q correction
    sampled: int = Field(default=2_048, ge=1)
    epochs: int = Field(default=5, ge=1)
    patience: int = Field(default=3, ge=1)
    points: int = Field(default=6, ge=1)  # moments drawn per customer and epoch
    batch: int = Field(default=64, ge=1)  # customers per step
    accumulate: int = Field(default=1, ge=1)
    learning_rate: float = Field(default=3e-3, gt=0)
    weight_decay: float = Field(default=0.05, ge=0)
    mixed: bool = False  # bfloat16 where torch finds it safe
    horizon_days: int = Field(default=56, ge=7)  # the validation window at the end of what is known
    seed: int = 1

    @property
    def width(self) -> int:
        """Width of the states."""
        return 16 * self.depth


def signed_log(x: Tensor) -> Tensor:
    """Odd, near the logarithm above SMALL: a rate of 1 % differs from one of 2 % as 20 % from 40 %."""
    return torch.asinh(x / SMALL)


class Norm(nn.RMSNorm):
    """RMS norm in full precision, also under autocast."""

    def forward(self, x: Tensor) -> Tensor:
        """Same shape, 32 bits."""
        return super().forward(x.float())


class ProductTower(nn.Module):
    """A vector per item from its id, category, brand, price and frozen text: an item never seen still has the rest."""

    def __init__(self, sizes: Sizes, settings: EncoderSettings) -> None:
        """Embeddings start small, so that an item without an id is an ordinary item."""
        super().__init__()
        D = settings.width
        self.id_drop = settings.id_drop
        self.own = nn.Embedding(sizes.items, D)
        self.category = nn.Embedding(sizes.categories + 1, D)
        self.brand = nn.Embedding(sizes.brands + 1, D)
        self.price = nn.Linear(2, D)
        self.text = nn.Linear(sizes.text, D, bias=False) if sizes.text else None
        for table in (self.own, self.category, self.brand):
            nn.init.normal_(table.weight, std=0.5 / math.sqrt(D))

    def forward(
        self, category_I: Tensor, brand_I: Tensor, price_I2: Tensor, text_IK: Tensor, known_I: Tensor
    ) -> Tensor:
        """I x D. `known_I` is 0 for items without purchases: their id was never trained and is left out."""
        own_ID = self.own.weight * known_I[:, None]
        if self.training and self.id_drop:
            own_ID = own_ID * (torch.rand(len(own_ID), 1, device=own_ID.device) >= self.id_drop)
        x_ID = own_ID + self.category(category_I) + self.brand(brand_I) + self.price(price_I2)
        vectors: Tensor = x_ID if self.text is None else x_ID + self.text(text_IK)
        return vectors


class TransformerBlock(nn.Module):
    """Pre-norm attention with a bias that fades with the time between visits, then a gated layer."""

    def __init__(self, settings: EncoderSettings) -> None:
        """Head h starts forgetting at rate 2^-h per factor e of days."""
        super().__init__()
        D, H = settings.width, settings.depth
        self.heads = H
        self.norm_1, self.norm_2 = Norm(D), Norm(D)
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


class Exposure(nn.Module):
    """Tokens of exposures and coupon uses, and the probability that an exposure is redeemed."""

    def __init__(self, sizes: Sizes, settings: EncoderSettings) -> None:
        """Like the repeat head: facts, state and offer meet in one layer; facts also count directly."""
        super().__init__()
        D, F = settings.width, sizes.facts
        self.number, self.lines = nn.Linear(len(OFFER), D), nn.Linear(1, D, bias=False)
        self.channel, self.use = nn.Embedding(sizes.offer_channels + 1, D), nn.Parameter(torch.zeros(1, D))
        self.of_fact, self.of_state, self.of_offer = nn.Linear(F, 48), nn.Linear(D, 48), nn.Linear(D, 48)
        self.hidden, self.direct = nn.Linear(48, 1), nn.Linear(F, 1)

    def vectors(self, marks: Marks, table_ID: Tensor) -> Tensor:
        """(1 + O) x D: a use, then every offer from what it covers, its depth and its channel."""
        bag_OD = nf.embedding_bag(marks.bag_L, table_ID, marks.bag_start, mode="sum")
        size_O = torch.diff(marks.bag_start, append=marks.bag_start.new_tensor([len(marks.bag_L)])).clamp(min=1)
        told_OD = bag_OD / size_O[:, None].sqrt() + self.number(marks.offer_OF) + self.channel(marks.channel_O)
        return torch.cat([self.use, told_OD])

    def tokens(self, marks: Marks, table_ID: Tensor) -> Tensor:
        """B x U x D."""
        token: Tensor = self.vectors(marks, table_ID)[marks.offer_BU] + self.lines(marks.lines_BU[:, :, None])
        return token

    def forward(self, state_QD: Tensor, fact_QF: Tensor, offer_QD: Tensor) -> Tensor:
        """Q log odds; facts standardised."""
        hidden = self.of_fact(fact_QF) + self.of_state(state_QD) + self.of_offer(offer_QD)
        score_Q: Tensor = (self.hidden(nf.silu(hidden)) + self.direct(fact_QF))[:, 0]
        return score_Q


class MoneyRates(NamedTuple):
    """P x K each: spend as a multiple of the customer's level, and expected orders."""

    spend_PK: Tensor
    orders_PK: Tensor


class Encoder(nn.Module):
    """The whole model. `scale` buffers standardise counters; catalogue buffers describe the items."""

    def __init__(self, sizes: Sizes, settings: EncoderSettings) -> None:
        """All weights; buffers are filled by `describe` and `standardise`."""
        super().__init__()
        D, S = settings.width, settings
        self.settings, self.sizes = settings, sizes
        self.tower = ProductTower(sizes, settings)
        self.visit = nn.Linear(len(VISIT), D)
        self.channel = nn.Embedding(sizes.channels + 1, D)
        self.attributes = nn.Linear(2 * sizes.attributes + 1, D)
        self.blocks = nn.ModuleList(TransformerBlock(settings) for _ in range(S.depth))
        self.norm = Norm(D)
        self.personal = nn.Sequential(nn.Linear(sizes.personal, D), nn.SiLU(), nn.Linear(D, D))
        self.state = nn.Sequential(Norm(D), nn.Linear(D, 2 * D), nn.SiLU(), nn.Linear(2 * D, D), Norm(D))
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
        self.later = nn.Linear(D, len(EDGES) + 1)
        self.money = nn.Sequential(nn.Linear(D + sizes.personal, D), nn.SiLU(), nn.Linear(D, 2 * len(HORIZONS)))
        self.deal = nn.Linear(D, 1)
        for table in (self.set_in, self.set_out, self.bias):
            nn.init.normal_(table.weight, std=0.01)
        self.exposure = Exposure(sizes, S) if sizes.facts else None  # last: all other weights start as without it
        self._buffers_for(sizes)

    def _buffers_for(self, sizes: Sizes) -> None:
        scales = {"visit": len(VISIT), "counter": sizes.item_counters, "personal": sizes.personal}
        for name, size in (scales | ({"fact": sizes.facts} if sizes.facts else {})).items():
            self.register_buffer(f"{name}_mean", torch.zeros(size))
            self.register_buffer(f"{name}_sd", torch.ones(size))
        for name in ("category", "brand"):
            self.register_buffer(f"{name}_I", torch.zeros(sizes.items, dtype=torch.long))
        self.register_buffer("price_I2", torch.zeros(sizes.items, 2))
        self.register_buffer("text_IK", torch.zeros(sizes.items, sizes.text))
        self.register_buffer("known_I", torch.ones(sizes.items))
        self.register_buffer("attribute_mean", torch.zeros(sizes.attributes))
        self.register_buffer("attribute_sd", torch.ones(sizes.attributes))

    def forward(self, batch: Batch, target: Targets) -> dict[str, Tensor]:
        """The losses (see `loss`); a method so that a distributed wrapper can call it."""
        return loss(self, batch, target)

    def table(self) -> Tensor:
        """Product vectors, I x D."""
        vectors: Tensor = self.tower(self.category_I, self.brand_I, self.price_I2, self.text_IK, self.known_I)
        return vectors

    def scaled(self, name: str, values: Tensor) -> Tensor:
        """Log of counters, standardised, within 4 standard deviations; missing counts as average."""
        x = signed_log(values)
        x = (x - self.get_buffer(f"{name}_mean")) / self.get_buffer(f"{name}_sd")
        return torch.nan_to_num(x, nan=0.0).clamp(-4, 4)

    def states(self, batch: Batch, table_ID: Tensor) -> Tensor:
        """P x D: what the customer is like at each point, from the visits before it and how long ago they were."""
        return self.read(self.trunk(batch, table_ID), batch.row_P, batch.seen_P, batch.personal_PG)

    def trunk(self, batch: Batch, table_ID: Tensor) -> Tensor:
        """B x T x D: every token after all blocks; exposures and uses stand among the visits by time."""
        B, T = batch.channel_BT.shape[0], batch.channel_BT.shape[1] + 1
        bag_VD = nf.embedding_bag(batch.bag_L, table_ID, batch.bag_start, mode="sum")  # one bag per B x (T - 1)
        size_V = torch.diff(batch.bag_start, append=batch.bag_start.new_tensor([len(batch.bag_L)])).clamp(min=1)
        pooled = (bag_VD / size_V[:, None].sqrt()).view(B, T - 1, -1)
        token = pooled + self.visit(self.scaled("visit", batch.visit_BTF)) + self.channel(batch.channel_BT)
        if self.exposure is not None and batch.marks is not None:
            token = torch.cat([token, self.exposure.tokens(batch.marks, table_ID)], dim=1)
            token = token.gather(1, batch.marks.order_BT[:, :, None].expand(-1, -1, token.shape[2]))
        x_BTD = torch.cat([self._first(batch.attribute_BA)[:, None], token], dim=1)
        T = x_BTD.shape[1]
        lag_BTT = torch.log1p((batch.days_BT[:, :, None] - batch.days_BT[:, None, :]).clamp(min=0))
        causal_TT = torch.full((T, T), -math.inf, device=x_BTD.device).triu(1)
        for block in self.blocks:
            x_BTD = block(x_BTD, lag_BTT, causal_TT)
        normed: Tensor = self.norm(x_BTD)
        return normed

    def read(self, x_BTD: Tensor, row_P: Tensor, seen_P: Tensor, personal_PG: Tensor) -> Tensor:
        """P x D: the states at some tokens."""
        at_PD = x_BTD[row_P, seen_P]
        state: Tensor = self.state(self.drop(at_PD) + self.personal(self.scaled("personal", personal_PG)))
        dropped: Tensor = self.drop(state)
        return dropped

    def redemption(self, x_BTD: Tensor, table_ID: Tensor, marks: Marks) -> Tensor:
        """Q log odds that the exposure is redeemed."""
        assert self.exposure is not None
        state_QD = self.read(x_BTD, marks.row_Q, marks.seen_Q, marks.personal_QG)
        offer_QD = self.exposure.vectors(marks, table_ID)[marks.offer_Q]
        score_Q: Tensor = self.exposure(state_QD, self.scaled("fact", marks.fact_QF), offer_QD)
        return score_Q

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


def sampled_loss(model: Encoder, state_PD: Tensor, table_ID: Tensor, batch: Batch, target: Targets) -> Tensor:
    """Multi-label softmax over a point's own items, its targets, and items drawn, corrected by -log(expected draws).

    Bengio and Senecal 2008, IEEE Trans. Neural Networks 19(4). Own items and targets are exact; only the rest is drawn.
    """
    set_PD, scale = model.sets(batch), math.sqrt(table_ID.shape[1])

    def explore(point: Tensor, item: Tensor) -> Tensor:
        own = (state_PD[point] * table_ID[item]).sum(-1) / scale + (set_PD[point] * model.set_out.weight[item]).sum(-1)
        score: Tensor = own + model.bias.weight[item, 0] + model.prior * batch.prior_WI[batch.week_P[point], item]
        return score

    P, M = batch.item_PM.shape
    rows, missing_PM = torch.arange(P, device=state_PD.device)[:, None], batch.item_PM < 0
    own_PM = model.share * explore(rows.expand(P, M), batch.item_PM.clamp(min=0))
    own_PM = own_PM + model.repeats(state_PD, table_ID, batch)
    own_PM = own_PM.masked_fill(missing_PM, -math.inf)
    same_YM = batch.item_PM[target.point_Y] == target.item_Y[:, None]
    fresh_Y = ~same_YM.any(1)
    new_Y = explore(target.point_Y, target.item_Y)
    N = len(target.drawn_N)
    device = state_PD.device
    place_I = torch.full((len(table_ID),), N, device=device).scatter(0, target.drawn_N, torch.arange(N, device=device))
    taken_PN = torch.zeros(P, N + 1, dtype=torch.bool, device=device)  # the last column takes what was not drawn
    taken_PN.scatter_(1, torch.where(missing_PM, N, place_I[batch.item_PM.clamp(min=0)]), True)
    taken_PN[target.point_Y, place_I[target.item_Y]] = True
    drawn_PN = state_PD @ table_ID[target.drawn_N].T / scale + set_PD @ model.set_out.weight[target.drawn_N].T
    drawn_PN = drawn_PN + model.prior * batch.prior_WI[:, target.drawn_N][batch.week_P]
    drawn_PN = drawn_PN + model.bias.weight[target.drawn_N, 0] - target.log_q_N
    known_PN = torch.cat([own_PM, drawn_PN.masked_fill(taken_PN[:, :N], -math.inf)], dim=1)
    top_P = (
        known_PN.detach().amax(1).clamp(min=float(new_Y.detach().max()) if len(new_Y) else 0.0)
    )  # keeps exp in range
    total_P = (known_PN - top_P[:, None]).exp().sum(1)
    total_P = total_P.index_add(0, target.point_Y[fresh_Y], (new_Y - top_P[target.point_Y])[fresh_Y].exp())
    score_Y = torch.where(fresh_Y, new_Y, own_PM[target.point_Y].masked_fill(~same_YM, 0.0).sum(1))
    loss_Y = total_P.log()[target.point_Y] + top_P[target.point_Y] - score_Y
    return per((target.weight_Y * loss_Y).sum(), target.weight_Y.sum(), 1e-9)


def per(total: Tensor, size: Tensor, least: float = 1.0) -> Tensor:
    """A sum per unit of size. With several processes the size is their mean, so that the mean loss is that of all."""
    size = size.detach().to(total.dtype)
    if dist.is_available() and dist.is_initialized():
        size = size.clone()
        dist.all_reduce(size)
        size /= dist.get_world_size()
    return total / size.clamp(min=least)


def loss(model: Encoder, batch: Batch, target: Targets) -> dict[str, Tensor]:
    """Each head's loss; `total` is their weighted sum. An item weighs 1 / IDEAL[size]: the order suits NDCG."""
    table_ID = model.table()
    x_BTD = model.trunk(batch, table_ID)
    state_PD = model.read(x_BTD, batch.row_P, batch.seen_P, batch.personal_PG)
    if model.sizes.items > model.settings.full_softmax:
        items = sampled_loss(model, state_PD, table_ID, batch, target)
    else:
        log_PI = nf.log_softmax(model.logits(state_PD, table_ID, batch).float(), dim=1)
        picked = log_PI[target.point_Y, target.item_Y]
        items = -per((target.weight_Y * picked).sum(), target.weight_Y.sum(), 1e-9)
    log_PK = nf.log_softmax(model.later(state_PD).float(), dim=1)
    possible = torch.arange(log_PK.shape[1], device=log_PK.device)[None] >= target.bin_P[:, None]
    after = log_PK.masked_fill(~possible, -math.inf).logsumexp(1)
    came = torch.where(target.open_P, after, log_PK.gather(1, target.bin_P[:, None])[:, 0])
    later = -per(came.sum(), torch.ones_like(came).sum())
    rate_PK, orders_PK = model.money_rates(state_PD, batch.personal_PG)
    known = ~target.spend_PK.isnan()
    spend_PK = target.spend_PK.nan_to_num()
    miss = (rate_PK * target.level_P[:, None] * torch.tensor(HORIZONS, device=rate_PK.device) / 56 - spend_PK).abs()
    money = per((miss * known).sum(), (spend_PK * known).sum(), 1e-9)
    poisson = orders_PK - target.orders_PK.nan_to_num() * torch.log(orders_PK + 1e-6)
    orders = per((poisson * known).sum(), known.sum())
    seen = ~target.deal_P.isnan()
    deal = nf.binary_cross_entropy_with_logits(
        model.deal(state_PD)[:, 0].float(), target.deal_P.nan_to_num(), reduction="none"
    )
    deal = per((deal * seen).sum(), seen.sum())
    total = items + 0.2 * later + 0.5 * money + 0.02 * orders + 0.1 * deal
    losses = {"total": total, "items": items, "later": later, "money": money, "orders": orders, "deal": deal}
    if batch.marks is None or target.redeemed_Q is None:
        return losses
    odds_Q, redeemed_Q = model.redemption(x_BTD, table_ID, batch.marks).float(), target.redeemed_Q
    redeem = per(
        nf.binary_cross_entropy_with_logits(odds_Q, redeemed_Q, reduction="sum"), torch.ones_like(redeemed_Q).sum()
    )
    return losses | {"total": total + 0.1 * redeem, "redeem": redeem}
