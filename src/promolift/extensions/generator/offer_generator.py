"""A neural network that draws offers like those that customers accepted before.

    G(noise, customer, products) -> product, benefit, percent or amount and threshold

It is a conditional WGAN-GP (Gulrajani et al. 2017). The critic separates accepted (customer, product, offer) triples
from drawn ones, `pack` rows at a time against mode collapse (PacGAN, Lin et al. 2018). Discrete parts are drawn by the
straight-through Gumbel-softmax (Jang et al. 2017); amounts and thresholds are bounded. The generator only imitates:
the effect model decides whether an offer pays.

Legend: N customers, S slots (products, categories, everything) of a customer, B batch, F customer features, I features
of a slot, U uniform numbers, K benefits, D percents, A accepted offers. Deterministic given seed, data and machine;
needs the extra `deep`.
"""

from dataclasses import dataclass, field, replace
from typing import NamedTuple

import numpy as np
import polars as pl
import torch
from numpy.typing import NDArray
from pydantic import Field
from torch import Tensor, nn
from torch.nn.functional import one_hot

from promolift.core.offers.proposals import PROPOSALS
from promolift.foundation.errors import SupportError
from promolift.foundation.hashing import hash_int
from promolift.foundation.i18n.lazy_message import gettext_lazy
from promolift.foundation.settings import Settings

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
BENEFIT_KINDS = ("percent_off", "amount_off", "free_shipping")
MIN_ACCEPTED = 100  # accepted offers; fewer teach nothing
NOISE_WIDTH, TEMPERATURE, GRADIENT_PENALTY = 16, 0.7, 10.0


class GeneratorSettings(Settings):
    """How long and how wide the generator is trained."""

    steps: int = Field(default=300, ge=1)
    batch: int = Field(default=128, ge=8)
    critic_steps: int = Field(default=1, ge=1)
    hidden: int = Field(default=48, ge=4)
    learning_rate: float = Field(default=2e-3, gt=0)
    pack: int = Field(default=4, ge=1)
    seed: int = 0


class Bounds(NamedTuple):
    """The least and the most that a drawn number may be."""

    low: float
    high: float


REWARD_BOUNDS = Bounds(0.02, 0.5)  # amount as a share of the threshold
SPEND_BOUNDS = Bounds(0.5, 3.0)  # threshold in mean baskets


@dataclass(frozen=True)
class OfferMarket:
    """Customers and what could be offered to each. `open_NSD`: which percents are legal, none where a slot is empty.

    `slots`: (scope, target) of each number in `slot_NS` (-1: empty). `all_NS`: slots that cover everything, where
    amounts and free delivery live; `kind_K`: benefits the shop gives; `percents`: what may be printed.
    """

    percents: tuple[int, ...]
    customer_ids: tuple[str, ...]
    slots: tuple[tuple[str, str | None], ...]
    slot_NS: Ints
    x_NF: Floats
    item_NSI: Floats
    open_NSD: NDArray[np.bool_]
    basket_N: Floats
    kind_K: NDArray[np.bool_]

    def with_slot_vectors(self, vector_SV: NDArray[np.floating]) -> "OfferMarket":
        """What is seen and said of each slot in `slots`, among its features."""
        seen_NSV = np.where(self.slot_NS[:, :, None] >= 0, vector_SV[self.slot_NS], 0.0)
        return replace(self, item_NSI=np.concatenate([self.item_NSI, seen_NSV], axis=2))

    @property
    def all_NS(self) -> NDArray[np.bool_]:
        """True where a slot covers everything."""
        everything = np.array([scope == "all" for scope, _ in self.slots] + [False])
        found: NDArray[np.bool_] = everything[self.slot_NS]
        return found


@dataclass(frozen=True)
class AcceptedOffers:
    """Accepted offers: customer, slot, codes of benefit and percent, and reward and spend in [0, 1]."""

    who_A: Ints
    slot_A: Ints
    kind_A: Ints
    percent_A: Ints
    money_A2: Floats


def read_accepted(accepted: pl.DataFrame, market: OfferMarket) -> AcceptedOffers:
    """`accepted` has PROPOSALS' columns; rows about customers or products outside of the market are left out.

    A percent that is not printed becomes the nearest.
    """
    number = {who: n for n, who in enumerate(market.customer_ids)}
    place = [{s: i for i, s in enumerate(row) if s >= 0} for row in market.slot_NS.tolist()]
    slot_number = {slot: s for s, slot in enumerate(market.slots)}
    percents = np.array(market.percents)
    found = []
    for row in accepted.iter_rows(named=True):
        n = number.get(row["customer_id"])
        at = None if n is None else place[n].get(slot_number.get((row["scope"], row["target"]), -1))
        if n is None or at is None or row["benefit"] not in BENEFIT_KINDS:
            continue
        spend = row["min_spend_cents"]
        found.append(
            (
                n, at, BENEFIT_KINDS.index(row["benefit"]), int(np.argmin(np.abs(percents - row["percent"]))),
                _unit(row["amount_cents"] / max(spend, 1), REWARD_BOUNDS),
                _unit(spend / max(float(np.nan_to_num(market.basket_N[n])), 1.0), SPEND_BOUNDS),
            )
        )  # fmt: skip
    table = np.array(found, dtype=np.float64).reshape(-1, 6)
    who, slot, kind, percent = table[:, :4].T.astype(np.int64)
    return AcceptedOffers(who, slot, kind, percent, table[:, 4:])


def _unit(value: float, bounds: Bounds) -> float:
    return float(np.clip((value - bounds.low) / (bounds.high - bounds.low), 0.0, 1.0))


def build_market(
    grid: pl.DataFrame, people: pl.DataFrame, percents: tuple[int, ...], kinds: frozenset[str]
) -> OfferMarket:
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
    item = np.zeros((*shape, 7))
    item[n, s] = slots.select(
        pl.col("base_cents").fill_null(0.0).log1p(), pl.col("buy_prob", "margin_rate").fill_null(0.0),
        pl.col("bought").fill_null(False).cast(pl.Float64),
        *((pl.col("scope") == one).cast(pl.Float64).alias(one) for one in ("category", "product", "all")),
    ).to_numpy()  # fmt: skip
    cells = rows.join(slots.select(*key, "n", "s"), on=key, nulls_equal=True)
    percent = (100 * cells["depth"]).round().cast(pl.Int64).replace_strict(
        percents, range(len(percents)), default=-1, return_dtype=pl.Int64
    )  # fmt: skip
    cells = cells.with_columns(percent.alias("d")).filter(pl.col("d") >= 0)
    at = tuple(cells[name].to_numpy() for name in "nsd")
    wide = (*shape, len(percents))
    open_ = np.zeros(wide, dtype=bool)
    open_[at] = cells["eligible"].to_numpy()
    known = pl.DataFrame({"customer_id": ids}).join(people, on="customer_id", how="left", maintain_order="left")
    return OfferMarket(
        percents, ids, tuple(names.select("scope", "target").iter_rows()), slot, _features(known), item, open_,
        known["basket_mean_cents"].cast(pl.Float64).fill_null(np.nan).to_numpy(),
        np.array([kind in kinds for kind in BENEFIT_KINDS]),
    )  # fmt: skip


def _features(people: pl.DataFrame) -> Floats:
    numbers = people.select(
        pl.col("orders_expected", "basket_mean_cents").log1p(), "price_sensitivity", pl.col("online").cast(pl.Float64)
    ).cast(pl.Float64)  # fmt: skip
    filled = numbers.with_columns(pl.all().fill_null(pl.all().mean())).fill_null(0.0)
    features: Floats = np.hstack([filled.to_numpy(), numbers.select(pl.all().is_null().cast(pl.Float64)).to_numpy()])
    return features


@dataclass(frozen=True)
class DrawnOffers:
    """Drawn offers: one-hot rows (smoothed backwards, hard forwards) and two bounded numbers."""

    slot_BS: Tensor
    kind_BK: Tensor
    percent_BD: Tensor
    money_B2: Tensor  # reward and spend, each in [0, 1] of its bounds

    def at(self, rows: Ints) -> "DrawnOffers":
        return DrawnOffers(*(value[torch.from_numpy(rows)] for value in self.__dict__.values()))

    def encode(self, item_BSI: Tensor) -> Tensor:
        """What the critic sees, a row an offer; parts that the benefit does not use are 0."""
        goods = torch.einsum("bs,bsi->bi", self.slot_BS, item_BSI)
        percent = self.percent_BD * self.kind_BK[:, :1]
        reward = self.money_B2[:, :1] * self.kind_BK[:, 1:2]
        spend = self.money_B2[:, 1:] * (1 - self.kind_BK[:, :1])
        return torch.cat([goods, self.kind_BK, percent, reward, spend], dim=1)


@dataclass(frozen=True)
class CustomerTensors:
    """Customers as tensors, standardised, and what may be drawn for them."""

    x_BF: Tensor
    item_BSI: Tensor
    open_BSD: Tensor
    kind_BSK: Tensor

    def at(self, rows: Ints) -> "CustomerTensors":
        return CustomerTensors(*(value[torch.from_numpy(rows)] for value in self.__dict__.values()))


class Generator(nn.Module):
    """One pass: who they are and the noise -> which product -> all other terms, knowing the product."""

    def __init__(self, features: int, items: int, percents: int, H: int) -> None:
        """Untrained weights for this many features of customers and slots."""
        super().__init__()
        self.body = nn.Sequential(nn.Linear(features + NOISE_WIDTH, H), nn.ReLU(), nn.Linear(H, H))
        self.key, self.aim = nn.Linear(items, H), nn.Linear(H, 1)
        self.more = nn.Sequential(nn.Linear(H + items, H), nn.ReLU(), nn.Linear(H, H), nn.ReLU())
        self.money = nn.Linear(H, 2)
        self.widths = {"kind": len(BENEFIT_KINDS), "percent": percents}
        self.heads = nn.ModuleDict({name: nn.Linear(H, width) for name, width in self.widths.items()})

    def uniforms(self, slots: int) -> int:
        """How many uniform numbers one offer takes."""
        return NOISE_WIDTH + slots + sum(self.widths.values())

    def forward(self, u_BU: Tensor, seen: CustomerTensors) -> DrawnOffers:
        """Offers for the batch; a pure function of the uniform numbers, the customers and their products."""
        S = seen.item_BSI.shape[1]
        z, g_slot, g_kind, g_percent = torch.split(u_BU, [NOISE_WIDTH, S, *self.widths.values()], dim=1)
        h_BH = self.body(torch.cat([seen.x_BF, torch.special.ndtri(z)], dim=1))
        key_BSH = self.key(seen.item_BSI)
        score_BS = self.aim(torch.relu(h_BH[:, None] + key_BSH))[:, :, 0]
        slot_BS = _pick(score_BS, seen.open_BSD.any(2), g_slot)
        m_BH = self.more(torch.cat([h_BH, torch.einsum("bs,bsi->bi", slot_BS, seen.item_BSI)], dim=1))
        drawn = slot_BS.detach()
        kinds = torch.einsum("bs,bsk->bk", drawn, seen.kind_BSK.float()) > 0.5
        percents = torch.einsum("bs,bsd->bd", drawn, seen.open_BSD.float()) > 0.5
        kind_BK = _pick(self.heads["kind"](m_BH), kinds, g_kind)
        percent_BD = _pick(self.heads["percent"](m_BH), percents, g_percent)
        return DrawnOffers(slot_BS, kind_BK, percent_BD, torch.sigmoid(self.money(m_BH)))


def _pick(logit: Tensor, allowed: Tensor, u: Tensor) -> Tensor:
    """Straight-through Gumbel-softmax among what is allowed."""
    logit = logit.masked_fill(~allowed, -1e9)
    smoothed = torch.softmax((logit - torch.log(-torch.log(u))) / TEMPERATURE, dim=1)
    hard = one_hot(smoothed.argmax(1), smoothed.shape[1]).to(smoothed.dtype)
    return hard + smoothed - smoothed.detach()


@dataclass(frozen=True)
class FeatureScale:
    """Means and spreads of the features, from training."""

    x_2F: Floats
    item_2I: Floats

    @classmethod
    def of(cls, market: OfferMarket) -> "FeatureScale":
        rows = [market.x_NF, market.item_NSI[market.slot_NS >= 0]]
        return cls(*(np.stack([row.mean(0), row.std(0) + 1e-6]) for row in rows))

    def crowd(self, market: OfferMarket, at_B: Ints) -> CustomerTensors:
        full = market.slot_NS[at_B] >= 0
        x = (market.x_NF[at_B] - self.x_2F[0]) / self.x_2F[1]
        item = np.where(full[:, :, None], (market.item_NSI[at_B] - self.item_2I[0]) / self.item_2I[1], 0.0)
        kind = market.kind_K & (market.all_NS[at_B][:, :, None] | np.array([True, False, False]))
        x_BF, item_BSI = (torch.from_numpy(np.clip(a, -5, 5).astype(np.float32)) for a in (x, item))
        open_BSD = market.open_NSD[at_B] & full[:, :, None]
        return CustomerTensors(x_BF, item_BSI, torch.from_numpy(open_BSD), torch.from_numpy(kind))


@dataclass(frozen=True)
class OfferGenerator:
    """A trained generator. `record`: losses by step."""

    scale: FeatureScale
    record: tuple[dict[str, float], ...]
    model: Generator = field(repr=False)

    @torch.no_grad()
    def draw(self, market: OfferMarket, at_B: Ints, seed: int, times: int) -> pl.DataFrame:
        """`times` PROPOSALS drafts for each of these customers; the noise is a hash of seed, customer and draw."""
        width = self.model.uniforms(market.slot_NS.shape[1])
        key = [hash_int("offers", seed, market.customer_ids[n], t) for n in at_B for t in range(times)]
        u = np.stack([np.random.default_rng(k).random(width) for k in key]).clip(1e-6, 1 - 1e-6)
        who = np.repeat(at_B, times)
        parts = self.model(torch.from_numpy(u.astype(np.float32)), self.scale.crowd(market, who))
        return self._frame(market, who, parts)

    def propose(self, market: OfferMarket, times: int, seed: int = 0, block: int = 1024) -> pl.DataFrame:
        """PROPOSALS drafts, `times` for each customer who could be offered anything, before any repair."""
        able = np.flatnonzero((market.open_NSD.any(2) & (market.slot_NS >= 0)).any(1))
        frames = [self.draw(market, able[a : a + block], seed, times) for a in range(0, able.size, block)]
        return pl.concat(frames) if frames else PROPOSALS.empty()

    def _frame(self, market: OfferMarket, who: Ints, parts: DrawnOffers) -> pl.DataFrame:
        slot_B, kind, percent = (one.argmax(1).numpy() for one in (parts.slot_BS, parts.kind_BK, parts.percent_BD))
        slot = market.slot_NS[who, slot_B]
        low, high = np.array([REWARD_BOUNDS.low, SPEND_BOUNDS.low]), np.array([REWARD_BOUNDS.high, SPEND_BOUNDS.high])
        reward, spend = (low + parts.money_B2.numpy() * (high - low)).T
        asked = np.where(kind == 0, 0, np.rint(spend * np.nan_to_num(market.basket_N[who]))).astype(np.int64)
        return PROPOSALS.conform(
            pl.DataFrame(
                {
                    "customer_id": [market.customer_ids[n] for n in who],
                    "scope": [market.slots[s][0] for s in slot],
                    "target": pl.Series([market.slots[s][1] for s in slot], dtype=pl.String),
                    "benefit": [BENEFIT_KINDS[k] for k in kind],
                    "percent": np.where(kind == 0, np.array(market.percents)[percent], 0),
                    "amount_cents": np.where(kind == 1, np.rint(reward * asked), 0).astype(np.int64),
                    "min_spend_cents": asked,
                }
            )
        )


def fit_generator(
    market: OfferMarket, accepted: pl.DataFrame, settings: GeneratorSettings | None = None
) -> OfferGenerator:
    """Train on `accepted` (PROPOSALS' columns). SupportError where fewer than 100 of them lie in the market."""
    settings = settings or GeneratorSettings()
    table = read_accepted(accepted, market)
    if len(table.who_A) < MIN_ACCEPTED:
        raise SupportError(
            "too_few_outcomes",
            gettext_lazy(
                "offer generator: {who_a} accepted offers lie in the market; {min_accepted} are needed",
                who_a=len(table.who_A),
                min_accepted=MIN_ACCEPTED,
            ),
        )
    scale = FeatureScale.of(market)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(hash_int("offer generator", settings.seed) % 2**63)
        model = Generator(market.x_NF.shape[1], market.item_NSI.shape[2], len(market.percents), settings.hidden)
        crowd = scale.crowd(market, np.arange(len(market.customer_ids)))
        record = _train(model, crowd, table.who_A, _parts_of(table, crowd), settings)
    return OfferGenerator(scale, tuple(record), model.eval().requires_grad_(False))


def _train(
    model: Generator, crowd: CustomerTensors, who_A: Ints, real: DrawnOffers, S: GeneratorSettings
) -> list[dict[str, float]]:
    """Critic and generator in turn; a row of losses every twentieth of the way."""
    rng = np.random.default_rng(hash_int("offer batches", S.seed))
    width = crowd.x_BF.shape[1] + crowd.item_BSI.shape[2] + sum(model.widths.values()) + 2
    critic = nn.Sequential(
        nn.Linear(S.pack * width, 2 * S.hidden), nn.LeakyReLU(0.2), nn.Linear(2 * S.hidden, S.hidden),
        nn.LeakyReLU(0.2), nn.Linear(S.hidden, 1),
    )  # fmt: skip
    step_g, step_c = (torch.optim.Adam(net.parameters(), S.learning_rate, (0.5, 0.9)) for net in (model, critic))
    record: list[dict[str, float]] = []

    def draw(seen: CustomerTensors) -> DrawnOffers:
        u = torch.rand(len(seen.x_BF), model.uniforms(seen.open_BSD.shape[1])).clamp(1e-6, 1 - 1e-6)
        drawn: DrawnOffers = model(u, seen)
        return drawn

    def packed(seen: CustomerTensors, parts: DrawnOffers) -> Tensor:
        return torch.cat([seen.x_BF, parts.encode(seen.item_BSI)], 1).reshape(S.batch // S.pack, -1)

    for step in range(S.steps):
        for _ in range(S.critic_steps):
            at = rng.integers(0, len(who_A), S.batch)
            seen = crowd.at(who_A[at])
            with torch.no_grad():
                parts = draw(seen)
            true, fake = packed(seen, real.at(at)), packed(seen, parts)
            gap = critic(true).mean() - critic(fake).mean()
            _step(step_c, -gap + GRADIENT_PENALTY * _slope_penalty(critic, true, fake))
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


def _parts_of(table: AcceptedOffers, crowd: CustomerTensors) -> DrawnOffers:
    """AcceptedOffers offers as the generator would have drawn them."""
    _, slots, percents = crowd.open_BSD.shape
    pairs = ((table.slot_A, slots), (table.kind_A, len(BENEFIT_KINDS)), (table.percent_A, percents))
    slot, kind, percent = (one_hot(torch.from_numpy(code), width).float() for code, width in pairs)
    return DrawnOffers(slot, kind, percent, torch.from_numpy(table.money_A2).float())
