"""Customers, what each could be offered and offers they accepted in; a network that draws offers like those out.

    G(noise, customer, products) -> benefit, percent or amount, threshold, product, companion, validity, channel, hour

A conditional WGAN-GP (Gulrajani et al. 2017): the critic separates accepted (customer, product, offer) triples from
drawn ones, `pack` rows at a time against mode collapse (PacGAN, Lin et al. 2018). Discrete parts are drawn by the
straight-through Gumbel-softmax (Jang et al. 2017), amounts and thresholds are bounded. It imitates; whether an offer
pays, the effect model says.

Legend: N customers, S slots (products, categories, everything) of a customer, B batch, F customer features, I features
of a slot, U uniform numbers, K benefits, D percents, V validities, C channels, A accepted offers. Deterministic given
seed, data and machine; needs the extra `deep`.
"""

from dataclasses import dataclass, field

import numpy as np
import polars as pl
import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn.functional import one_hot

from promolift.errors import SupportError
from promolift.hashing import hash_int
from promolift.offer.market import HOURS, KINDS, REWARD, SPEND, Accepted, Floats, Ints, Layout, Market, read_accepted
from promolift.offer.proposals import PROPOSALS
from promolift.settings import Settings

LEAST = 100  # accepted offers; fewer teach nothing
NOISE, TEMPERATURE, PENALTY = 16, 0.7, 10.0


class GeneratorSettings(Settings):
    """How long and how wide the generator is trained."""

    steps: int = Field(default=300, ge=1)
    batch: int = Field(default=128, ge=8)
    critic_steps: int = Field(default=1, ge=1)
    hidden: int = Field(default=48, ge=4)
    learning_rate: float = Field(default=2e-3, gt=0)
    pack: int = Field(default=4, ge=1)
    seed: int = 0


@dataclass(frozen=True)
class Parts:
    """Drawn offers: one-hot rows (smoothed backwards, hard forwards) and two bounded numbers."""

    slot_BS: Tensor
    because_BS: Tensor  # all 0: no reason given
    kind_BK: Tensor
    percent_BD: Tensor
    money_B2: Tensor  # reward and spend, each in [0, 1] of its bounds
    valid_BV: Tensor
    channel_BC: Tensor
    hour_BH: Tensor

    def at(self, rows: Ints) -> "Parts":
        """Some of the offers."""
        return Parts(*(value[torch.from_numpy(rows)] for value in self.__dict__.values()))

    def encode(self, item_BSI: Tensor) -> Tensor:
        """What the critic sees, a row an offer; parts that the benefit does not use are 0."""
        goods = [torch.einsum("bs,bsi->bi", one, item_BSI) for one in (self.slot_BS, self.because_BS)]
        percent = self.percent_BD * self.kind_BK[:, :1]
        reward = self.money_B2[:, :1] * self.kind_BK[:, 1:2]
        spend = self.money_B2[:, 1:] * (1 - self.kind_BK[:, :1])
        rest = [self.kind_BK, percent, reward, spend, self.valid_BV, self.channel_BC, self.hour_BH]
        return torch.cat([*goods, self.because_BS.sum(1, keepdim=True), *rest], dim=1)


@dataclass(frozen=True)
class Crowd:
    """Customers as tensors, standardised, and what may be drawn for them."""

    x_BF: Tensor
    item_BSI: Tensor
    open_BSD: Tensor
    kind_BSK: Tensor
    bought_BS: Tensor

    def at(self, rows: Ints) -> "Crowd":
        """Some of them."""
        return Crowd(*(value[torch.from_numpy(rows)] for value in self.__dict__.values()))


class Generator(nn.Module):
    """One pass: who they are and the noise -> which product -> all other terms, knowing the product."""

    def __init__(self, features: int, items: int, layout: Layout, H: int) -> None:
        """Untrained weights for this many features of customers and slots."""
        super().__init__()
        self.body = nn.Sequential(nn.Linear(features + NOISE, H), nn.ReLU(), nn.Linear(H, H))
        self.key, self.aim = nn.Linear(items, H), nn.Linear(H, 1)
        self.more = nn.Sequential(nn.Linear(H + items, H), nn.ReLU(), nn.Linear(H, H), nn.ReLU())
        self.reason, self.no_reason, self.money = nn.Linear(H, 1), nn.Linear(H, 1), nn.Linear(H, 2)
        self.widths = {
            "kind": len(KINDS), "percent": len(layout.percents), "valid": len(layout.valid_days),
            "channel": len(layout.channels), "hour": HOURS,
        }  # fmt: skip
        self.heads = nn.ModuleDict({name: nn.Linear(H, width) for name, width in self.widths.items()})

    def uniforms(self, slots: int) -> int:
        """How many uniform numbers one offer takes."""
        return NOISE + slots + (slots + 1) + sum(self.widths.values())

    def forward(self, u_BU: Tensor, seen: Crowd) -> Parts:
        """Offers for the batch; a pure function of the uniform numbers, the customers and their products."""
        S = seen.item_BSI.shape[1]
        z, g_slot, g_why, *g_rest = torch.split(u_BU, [NOISE, S, S + 1, *self.widths.values()], dim=1)
        h_BH = self.body(torch.cat([seen.x_BF, torch.special.ndtri(z)], dim=1))
        key_BSH = self.key(seen.item_BSI)
        score_BS = self.aim(torch.relu(h_BH[:, None] + key_BSH))[:, :, 0]
        slot_BS = _pick(score_BS, seen.open_BSD.any(2), g_slot)
        m_BH = self.more(torch.cat([h_BH, torch.einsum("bs,bsi->bi", slot_BS, seen.item_BSI)], dim=1))
        why_BS = self.reason(torch.relu(m_BH[:, None] + key_BSH))[:, :, 0]
        may_BS, none_B1 = seen.bought_BS & (slot_BS.detach() < 0.5), self.no_reason(m_BH)
        may = torch.cat([may_BS, torch.ones_like(none_B1).bool()], 1)
        because = _pick(torch.cat([why_BS, none_B1], 1), may, g_why)
        allowed = {
            "kind": torch.einsum("bs,bsk->bk", slot_BS.detach(), seen.kind_BSK.float()) > 0.5,
            "percent": torch.einsum("bs,bsd->bd", slot_BS.detach(), seen.open_BSD.float()) > 0.5,
        }
        rest = [
            _pick(head(m_BH), allowed.get(name), g) for (name, head), g in zip(self.heads.items(), g_rest, strict=True)
        ]
        kind, percent, valid, channel, hour = rest
        money_B2 = torch.sigmoid(self.money(m_BH))
        return Parts(slot_BS, because[:, :-1], kind, percent, money_B2, valid, channel, hour)


def _pick(logit: Tensor, allowed: Tensor | None, u: Tensor) -> Tensor:
    """Straight-through Gumbel-softmax among what is allowed."""
    if allowed is not None:
        logit = logit.masked_fill(~allowed, -1e9)
    smoothed = torch.softmax((logit - torch.log(-torch.log(u))) / TEMPERATURE, dim=1)
    hard = one_hot(smoothed.argmax(1), smoothed.shape[1]).to(smoothed.dtype)
    return hard + smoothed - smoothed.detach()


@dataclass(frozen=True)
class Scale:
    """Means and spreads of the features, from training."""

    x_2F: Floats
    item_2I: Floats

    @classmethod
    def of(cls, market: Market) -> "Scale":
        """Of the market's filled slots."""
        rows = [market.x_NF, market.item_NSI[market.slot_NS >= 0]]
        return cls(*(np.stack([row.mean(0), row.std(0) + 1e-6]) for row in rows))

    def crowd(self, market: Market, at_B: Ints) -> Crowd:
        """Customers `at_B` of the market."""
        full = market.slot_NS[at_B] >= 0
        x = (market.x_NF[at_B] - self.x_2F[0]) / self.x_2F[1]
        item = np.where(full[:, :, None], (market.item_NSI[at_B] - self.item_2I[0]) / self.item_2I[1], 0.0)
        kind = market.kind_K & (market.all_NS[at_B][:, :, None] | np.array([True, False, False]))
        numbers = (torch.from_numpy(a.astype(np.float32)) for a in (np.clip(x, -5, 5), np.clip(item, -5, 5)))
        open_BSD = market.open_NSD[at_B] & full[:, :, None]
        return Crowd(*numbers, *(torch.from_numpy(a) for a in (open_BSD, kind, market.bought_NS[at_B] & full)))


@dataclass(frozen=True)
class OfferGenerator:
    """A trained generator. `record`: losses by step."""

    layout: Layout
    scale: Scale
    record: tuple[dict[str, float], ...]
    model: Generator = field(repr=False)

    @torch.no_grad()
    def draw(self, market: Market, at_B: Ints, seed: int, times: int) -> pl.DataFrame:
        """`times` PROPOSALS drafts for each of these customers; the noise is a hash of seed, customer and draw."""
        width = self.model.uniforms(market.slot_NS.shape[1])
        key = [hash_int("offers", seed, market.customer_ids[n], t) for n in at_B for t in range(times)]
        u = np.stack([np.random.default_rng(k).random(width) for k in key]).clip(1e-6, 1 - 1e-6)
        who = np.repeat(at_B, times)
        parts = self.model(torch.from_numpy(u.astype(np.float32)), self.scale.crowd(market, who))
        return self._frame(market, who, parts)

    def propose(self, market: Market, times: int, seed: int = 0, block: int = 1024) -> pl.DataFrame:
        """PROPOSALS drafts, `times` for each customer who could be offered anything, before any repair."""
        able = np.flatnonzero((market.open_NSD.any(2) & (market.slot_NS >= 0)).any(1))
        frames = [self.draw(market, able[a : a + block], seed, times) for a in range(0, able.size, block)]
        return pl.concat(frames) if frames else PROPOSALS.empty()

    def _frame(self, market: Market, who: Ints, parts: Parts) -> pl.DataFrame:
        one_hots = ("slot_BS", "because_BS", "kind_BK", "percent_BD", "valid_BV", "channel_BC", "hour_BH")
        code = {name: getattr(parts, name).argmax(1).numpy() for name in one_hots}
        slot = market.slot_NS[who, code["slot_BS"]]
        why = np.where(parts.because_BS.sum(1).numpy() > 0.5, market.slot_NS[who, code["because_BS"]], -1)
        low, high = np.array([REWARD.low, SPEND.low]), np.array([REWARD.high, SPEND.high])
        reward, spend = (low + parts.money_B2.numpy() * (high - low)).T
        kind = code["kind_BK"]
        asked = np.where(kind == 0, 0, np.rint(spend * np.nan_to_num(market.basket_N[who]))).astype(np.int64)
        return pl.DataFrame(
            {
                "customer_id": [market.customer_ids[n] for n in who],
                "scope": [market.slots[s][0] for s in slot],
                "target": pl.Series([market.slots[s][1] for s in slot], dtype=pl.String),
                "because": pl.Series([market.slots[s][1] if s >= 0 else None for s in why], dtype=pl.String),
                "benefit": [KINDS[k] for k in kind],
                "percent": np.where(kind == 0, np.array(self.layout.percents)[code["percent_BD"]], 0),
                "amount_cents": np.where(kind == 1, np.rint(reward * asked), 0).astype(np.int64),
                "min_spend_cents": asked,
                "valid_days": np.array(self.layout.valid_days)[code["valid_BV"]],
                "channel": [self.layout.channels[c] for c in code["channel_BC"]],
                "hour": code["hour_BH"],
            },
            schema=PROPOSALS.schema,
        )


def fit_generator(
    market: Market, accepted: pl.DataFrame, layout: Layout, settings: GeneratorSettings | None = None
) -> OfferGenerator:
    """Train on `accepted` (PROPOSALS' columns). SupportError where fewer than 100 of them lie in the market."""
    settings = settings or GeneratorSettings()
    table = read_accepted(accepted, market, layout)
    if len(table.who_A) < LEAST:
        raise SupportError(f"offer generator: {len(table.who_A)} accepted offers lie in the market; {LEAST} are needed")
    scale = Scale.of(market)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(hash_int("offer generator", settings.seed) % 2**63)
        model = Generator(market.x_NF.shape[1], market.item_NSI.shape[2], layout, settings.hidden)
        crowd = scale.crowd(market, np.arange(len(market.customer_ids)))
        record = _train(model, crowd, table.who_A, _parts_of(table, crowd, layout), settings)
    return OfferGenerator(layout, scale, tuple(record), model.eval().requires_grad_(False))


def _train(model: Generator, crowd: Crowd, who_A: Ints, real: Parts, S: GeneratorSettings) -> list[dict[str, float]]:
    """Critic and generator in turn; a row of losses every twentieth of the way."""
    rng = np.random.default_rng(hash_int("offer batches", S.seed))
    width = crowd.x_BF.shape[1] + 2 * crowd.item_BSI.shape[2] + sum(model.widths.values()) + 3
    critic = nn.Sequential(
        nn.Linear(S.pack * width, 2 * S.hidden), nn.LeakyReLU(0.2), nn.Linear(2 * S.hidden, S.hidden),
        nn.LeakyReLU(0.2), nn.Linear(S.hidden, 1),
    )  # fmt: skip
    step_g, step_c = (torch.optim.Adam(net.parameters(), S.learning_rate, (0.5, 0.9)) for net in (model, critic))
    record: list[dict[str, float]] = []

    def draw(seen: Crowd) -> Parts:
        u = torch.rand(len(seen.x_BF), model.uniforms(seen.open_BSD.shape[1])).clamp(1e-6, 1 - 1e-6)
        drawn: Parts = model(u, seen)
        return drawn

    def packed(seen: Crowd, parts: Parts) -> Tensor:
        return torch.cat([seen.x_BF, parts.encode(seen.item_BSI)], 1).reshape(S.batch // S.pack, -1)

    for step in range(S.steps):
        for _ in range(S.critic_steps):
            at = rng.integers(0, len(who_A), S.batch)
            seen = crowd.at(who_A[at])
            with torch.no_grad():
                parts = draw(seen)
            true, fake = packed(seen, real.at(at)), packed(seen, parts)
            gap = critic(true).mean() - critic(fake).mean()
            _step(step_c, -gap + PENALTY * _slope_penalty(critic, true, fake))
        seen = crowd.at(who_A[rng.integers(0, len(who_A), S.batch)])
        realism = critic(packed(seen, draw(seen))).mean()
        _step(step_g, -realism)
        if (step + 1) % max(1, S.steps // 20) == 0:
            record.append({"step": step + 1, "gap": gap.item(), "realism": realism.item()})
    return record


def _step(optimizer: torch.optim.Optimizer, loss: Tensor) -> None:
    optimizer.zero_grad()
    loss.backward()  # type: ignore[no-untyped-call]
    optimizer.step()


def _slope_penalty(critic: nn.Module, true: Tensor, fake: Tensor) -> Tensor:
    """Mean squared distance from 1 of the critic's slope between real and drawn rows."""
    mix = torch.rand(len(true), 1)
    between = (mix * true + (1 - mix) * fake).requires_grad_(True)
    (slope,) = torch.autograd.grad(critic(between).sum(), between, create_graph=True)
    penalty: Tensor = ((slope.norm(dim=1) - 1) ** 2).mean()
    return penalty


def _parts_of(table: Accepted, crowd: Crowd, layout: Layout) -> Parts:
    """Accepted offers as the generator would have drawn them."""
    slots = crowd.bought_BS.shape[1]
    widths = (slots, len(KINDS), len(layout.percents), len(layout.valid_days), len(layout.channels), HOURS)
    codes = (table.slot_A, table.kind_A, table.percent_A, table.valid_A, table.channel_A, table.hour_A)
    slot, kind, percent, valid, channel, hour = (
        one_hot(torch.from_numpy(code), width).float() for code, width in zip(codes, widths, strict=True)
    )
    because = one_hot(torch.from_numpy(table.because_A + 1), slots + 1)[:, 1:].float()
    money = torch.from_numpy(table.money_A2).float()
    return Parts(slot, because, kind, percent, money, valid, channel, hour)
