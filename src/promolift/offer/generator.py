"""Accepted offers and what the effect model says in; a network that draws complete offers for a customer out.

    G(noise, customer, products) -> benefit, percent or amount, threshold, product, companion, validity, channel, hour

A conditional WGAN-GP (Gulrajani et al. 2017): the critic separates accepted (customer, product, offer) triples from
drawn ones. Discrete parts are drawn by the straight-through Gumbel-softmax (Jang et al. 2017), amounts and thresholds
are bounded by the shop's rules. A second signal steers: the effect model's gain - price x cost of the drawn offer,
looked up in its table and so differentiable in the choice; effects that nobody knows (NaN) steer nothing.

Legend: N customers, S slots (products, categories, everything) of a customer, B batch, F customer features, I features
of a slot, Z noise, U uniform numbers, H hidden, K benefits, D percents, V validities, C channels, W width of an encoded
offer, A accepted offers. Deterministic given seed, data and machine; needs the extra `deep`.
"""

import json
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
import polars as pl
import torch
from pydantic import Field
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor, nn
from torch.nn.functional import one_hot

from promolift.errors import InputError
from promolift.hashing import hash_int
from promolift.offer.market import (
    HOURS,
    KINDS,
    REWARD,
    SPEND,
    Floats,
    Ints,
    Layout,
    Market,
)
from promolift.offer.proposals import PROPOSALS
from promolift.settings import Settings


class GeneratorSettings(Settings):
    """`guide`: weight of the effect model beside the critic; 0 imitates what was accepted.

    Each offer is drawn for its own price of a cent of budget, log-uniform between `prices`: dear offers at low prices,
    cheap ones at high. The critic judges `pack` rows at a time, against mode collapse (PacGAN, Lin et al. 2018).
    """

    steps: int = Field(default=300, ge=1)
    batch: int = Field(default=128, ge=8)
    critic_steps: int = Field(default=1, ge=1)
    hidden: int = Field(default=48, ge=4)
    noise: int = Field(default=16, ge=1)
    temperature: float = Field(default=0.7, gt=0)
    penalty: float = Field(default=10.0, ge=0)
    learning_rate: float = Field(default=2e-3, gt=0)
    guide: float = Field(default=20.0, ge=0)
    prices: tuple[float, float] = (0.1, 2.0)
    pack: int = Field(default=4, ge=1)
    seed: int = 0

    def price(self, unit: Floats) -> Floats:
        """Prices for uniform numbers."""
        low, high = np.log(self.prices)
        return np.asarray(np.exp(low + (high - low) * unit))


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
        """B x W, what the critic sees; parts that the benefit does not use are 0."""
        goods = [torch.einsum("bs,bsi->bi", one, item_BSI) for one in (self.slot_BS, self.because_BS)]
        percent = self.percent_BD * self.kind_BK[:, :1]
        reward = self.money_B2[:, :1] * self.kind_BK[:, 1:2]
        spend = self.money_B2[:, 1:] * (1 - self.kind_BK[:, :1])
        rest = [self.kind_BK, percent, reward, spend, self.valid_BV, self.channel_BC, self.hour_BH]
        return torch.cat([*goods, self.because_BS.sum(1, keepdim=True), *rest], dim=1)


@dataclass(frozen=True)
class CustomerBatch:
    """A batch of customers as the networks see them. `worth_BSD`: gain - price x cost of every percent on every slot,
    as a share of the customer's best; it stands among the features of a slot, too.
    """

    x_BF: Tensor
    item_BSI: Tensor
    open_BSD: Tensor
    kind_BSK: Tensor
    bought_BS: Tensor
    worth_BSD: Tensor


@dataclass(frozen=True)
class Crowd:
    """All customers as tensors, standardised; effects as the model says them, 0 where unknown or closed."""

    x_NF: Tensor
    item_NSI: Tensor
    open_NSD: Tensor
    kind_NSK: Tensor
    bought_NS: Tensor
    gain_NSD: Tensor
    cost_NSD: Tensor

    def at(self, row_B: Ints, price_B: Floats) -> CustomerBatch:
        """Some of them, each at their own price of a cent spent."""
        rows, price = torch.from_numpy(row_B), torch.from_numpy(price_B.astype(np.float32))
        net = self.gain_NSD[rows] - price[:, None, None] * self.cost_NSD[rows]
        worth = (net / net.amax(dim=(1, 2), keepdim=True).clamp_min(1e-6)).clamp(-1, 1)
        x = torch.cat([self.x_NF[rows], torch.log(price)[:, None]], 1)
        item = torch.cat([self.item_NSI[rows], worth], 2)
        return CustomerBatch(x, item, self.open_NSD[rows], self.kind_NSK[rows], self.bought_NS[rows], worth)


class Generator(nn.Module):
    """One pass: who they are and the noise -> which product -> all other terms, knowing the product."""

    def __init__(self, features: int, items: int, layout: Layout, settings: GeneratorSettings) -> None:
        """Untrained weights for this many features of customers and slots."""
        super().__init__()
        self.features, self.items = features, items
        H, self.noise, self.temperature = settings.hidden, settings.noise, settings.temperature
        self.body = nn.Sequential(nn.Linear(features + settings.noise, H), nn.ReLU(), nn.Linear(H, H))
        self.key = nn.Linear(items, H)
        self.aim = nn.Linear(H, 1)
        self.more = nn.Sequential(nn.Linear(H + items, H), nn.ReLU(), nn.Linear(H, H), nn.ReLU())
        self.reason = nn.Linear(H, 1)
        self.no_reason = nn.Linear(H, 1)
        self.widths = {
            "kind": len(KINDS), "percent": len(layout.percents), "valid": len(layout.valid_days),
            "channel": len(layout.channels), "hour": HOURS,
        }  # fmt: skip
        self.heads = nn.ModuleDict({name: nn.Linear(H, width) for name, width in self.widths.items()})
        self.money = nn.Linear(H, 2)

    def uniforms(self, slots: int) -> int:
        """How many uniform numbers one offer takes."""
        return self.noise + slots + (slots + 1) + sum(self.widths.values())

    def forward(self, u_BU: Tensor, seen: CustomerBatch) -> Parts:
        """Offers for the batch; a pure function of the uniform numbers, the customers and their products."""
        S = seen.item_BSI.shape[1]
        z, g_slot, g_why, *g_rest = torch.split(u_BU, [self.noise, S, S + 1, *self.widths.values()], dim=1)
        h_BH = self.body(torch.cat([seen.x_BF, torch.special.ndtri(z)], dim=1))
        key_BSH = self.key(seen.item_BSI)
        score_BS = self.aim(torch.relu(h_BH[:, None] + key_BSH))[:, :, 0]
        slot_BS = self.pick(score_BS, seen.open_BSD.any(2), g_slot)
        m_BH = self.more(torch.cat([h_BH, torch.einsum("bs,bsi->bi", slot_BS, seen.item_BSI)], dim=1))
        why_BS = self.reason(torch.relu(m_BH[:, None] + key_BSH))[:, :, 0]
        may_BS = seen.bought_BS & (slot_BS.detach() < 0.5)
        none_B1 = self.no_reason(m_BH)
        because = self.pick(
            torch.cat([why_BS, none_B1], 1), torch.cat([may_BS, torch.ones_like(none_B1).bool()], 1), g_why
        )
        allowed = {
            "kind": torch.einsum("bs,bsk->bk", slot_BS.detach(), seen.kind_BSK.float()) > 0.5,
            "percent": torch.einsum("bs,bsd->bd", slot_BS.detach(), seen.open_BSD.float()) > 0.5,
        }
        rest = {
            name: self.pick(head(m_BH), allowed.get(name), g)
            for (name, head), g in zip(self.heads.items(), g_rest, strict=True)
        }
        return Parts(
            slot_BS, because[:, :-1], rest["kind"], rest["percent"], torch.sigmoid(self.money(m_BH)),
            rest["valid"], rest["channel"], rest["hour"],
        )  # fmt: skip

    def pick(self, logit: Tensor, allowed: Tensor | None, u: Tensor) -> Tensor:
        """Straight-through Gumbel-softmax among what is allowed."""
        if allowed is not None:
            logit = logit.masked_fill(~allowed, -1e9)
        smoothed = torch.softmax((logit - torch.log(-torch.log(u))) / self.temperature, dim=1)
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
        open_BSD = market.open_NSD[at_B] & full[:, :, None]
        x = (market.x_NF[at_B] - self.x_2F[0]) / self.x_2F[1]
        item = np.where(full[:, :, None], (market.item_NSI[at_B] - self.item_2I[0]) / self.item_2I[1], 0.0)
        unknown = ~open_BSD | np.isnan(market.gain_NSD[at_B]) | np.isnan(market.cost_NSD[at_B])
        effects = (np.where(unknown, 0.0, table[at_B]) for table in (market.gain_NSD, market.cost_NSD))
        kind = market.kind_K & (market.all_NS[at_B][:, :, None] | np.array([True, False, False]))
        numbers = (torch.from_numpy(a.astype(np.float32)) for a in (np.clip(x, -5, 5), np.clip(item, -5, 5)))
        flags = (torch.from_numpy(a) for a in (open_BSD, kind, market.bought_NS[at_B] & full))
        return Crowd(*numbers, *flags, *(torch.from_numpy(a.astype(np.float32)) for a in effects))


class DrawnOffers(NamedTuple):
    """Offers, and the positions of the customers they are for."""

    who: Ints
    parts: Parts


@dataclass(frozen=True)
class OfferGenerator:
    """A trained generator. `record`: losses by step. `checks`: `distinct` offers per 1,000 of training customers drawn
    and accepted, `near`: median distance to the nearest accepted offer of training, of drawn and of held-out offers.
    """

    settings: GeneratorSettings
    layout: Layout
    sizes: tuple[int, int]
    scale: Scale
    record: tuple[dict[str, float], ...]
    checks: dict[str, float]
    model: Generator = field(repr=False)

    @torch.no_grad()
    def draw(self, market: Market, at_B: Ints, seed: int, times: int = 1) -> "DrawnOffers":
        """`times` offers for each of these customers; the noise is a hash of seed, customer and draw."""
        width = self.model.uniforms(market.slot_NS.shape[1])
        key = [hash_int("offers", seed, market.customer_ids[n], t) for n in at_B for t in range(times)]
        u = np.stack([np.random.default_rng(k).random(1 + width) for k in key]).clip(1e-6, 1 - 1e-6)
        seen = self.scale.crowd(market, at_B).at(np.repeat(np.arange(at_B.size), times), self.settings.price(u[:, 0]))
        return DrawnOffers(np.repeat(at_B, times), self.model(torch.from_numpy(u[:, 1:].astype(np.float32)), seen))

    def draw_for(self, market: Market, who_A: Ints, seed: int = 0) -> Parts:
        """One offer for each of these rows; rows of one customer get different draws."""
        able, at_A = np.unique(who_A, return_inverse=True)
        order = np.argsort(at_A, kind="stable")
        turn_A = np.empty_like(at_A)
        turn_A[order] = np.arange(at_A.size) - np.searchsorted(at_A[order], at_A[order])
        times = int(turn_A.max()) + 1
        return self.draw(market, able, seed, times).parts.at(at_A * times + turn_A)

    def propose(self, market: Market, times: int, seed: int = 0, block: int = 1024) -> pl.DataFrame:
        """PROPOSALS drafts, `times` for each customer who could be offered anything, before any repair."""
        able = np.flatnonzero((market.open_NSD.any(2) & (market.slot_NS >= 0)).any(1))
        blocks = [able[a : a + block] for a in range(0, able.size, block)]
        frames = [self.frame(market, *self.draw(market, at, seed, times)) for at in blocks]
        return pl.concat(frames) if frames else PROPOSALS.empty()

    def frame(self, market: Market, who: Ints, parts: Parts) -> pl.DataFrame:
        """Drawn offers of customers `who` as PROPOSALS drafts."""
        code = {
            name: getattr(parts, name).argmax(1).numpy()
            for name in ("slot_BS", "because_BS", "kind_BK", "percent_BD", "valid_BV", "channel_BC", "hour_BH")
        }
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

    def to_files(self) -> dict[str, bytes]:
        """manifest.json and weights.safetensors."""
        manifest = {
            "model": "offer generator", "settings": self.settings.model_dump(), "layout": self.layout.__dict__,
            "sizes": self.sizes, "x": self.scale.x_2F.tolist(), "item": self.scale.item_2I.tolist(),
            "record": self.record, "checks": self.checks,
        }  # fmt: skip
        weights = {name: value.contiguous().clone() for name, value in self.model.state_dict().items()}
        return {"manifest.json": json.dumps(manifest, indent=1).encode(), "weights.safetensors": save(weights)}

    @classmethod
    def from_files(cls, files: dict[str, bytes]) -> "OfferGenerator":
        """The inverse of `to_files`. InputError where a file is missing, damaged or of another version."""
        try:
            manifest: dict[str, Any] = json.loads(files["manifest.json"])
            settings = GeneratorSettings.parse(manifest["settings"], "offer generator: manifest.json")
            layout = Layout(**{name: tuple(values) for name, values in manifest["layout"].items()})
            model = Generator(manifest["sizes"][0], manifest["sizes"][1], layout, settings)
            model.load_state_dict(load(files["weights.safetensors"]))
            scale = Scale(np.array(manifest["x"]), np.array(manifest["item"]))
            frozen = model.eval().requires_grad_(False)
            sizes, record = tuple(manifest["sizes"]), tuple(manifest["record"])
            return cls(settings, layout, sizes, scale, record, manifest["checks"], frozen)
        except (KeyError, ValueError, TypeError, RuntimeError, SafetensorError) as error:
            raise InputError(f"offer generator: files are missing or damaged ({error!r}); train it again") from None
