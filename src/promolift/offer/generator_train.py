"""A market and its accepted offers in; a trained generator with its losses and checks out.

Critic and generator in turn (WGAN-GP, Gulrajani et al. 2017). Legend and network: generator.py.
"""

from dataclasses import dataclass

import numpy as np
import polars as pl
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.functional import one_hot

from promolift.errors import SupportError
from promolift.hashing import hash_int, hash_units
from promolift.offer.generator import (
    Crowd,
    CustomerBatch,
    DrawnOffers,
    Generator,
    GeneratorSettings,
    OfferGenerator,
    Parts,
    Scale,
)
from promolift.offer.market import HOURS, KINDS, Accepted, Ints, Layout, Market, read_accepted

LEAST = 100  # accepted offers; fewer teach nothing


def fit_generator(
    market: Market, accepted: pl.DataFrame, layout: Layout, settings: GeneratorSettings | None = None
) -> OfferGenerator:
    """Train on `accepted` (PROPOSALS' columns); 20 % of the customers, by hash, is held out for the checks.

    SupportError where fewer than 100 accepted offers lie in the market.
    """
    settings = settings or GeneratorSettings()
    table = read_accepted(accepted, market, layout)
    who_A, real = table.who_A, parts_of(table, market, layout)
    if len(who_A) < LEAST:
        raise SupportError(f"offer generator: {len(who_A)} accepted offers lie in the market; {LEAST} are needed")
    held_N = hash_units((settings.seed, "held out"), market.customer_ids) < 0.2
    rows = np.flatnonzero(~held_N[who_A])
    scale = Scale.of(market)
    crowd = scale.crowd(market, np.arange(len(market.customer_ids)))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(hash_int("offer generator", settings.seed) % 2**63)
        sizes = (market.x_NF.shape[1] + 1, market.item_NSI.shape[2] + len(layout.percents))
        model = Generator(*sizes, layout, settings)
        record = _train(model, _Data(market, who_A[rows], real.at(rows), crowd), settings)
    frozen = model.eval().requires_grad_(False)
    made = OfferGenerator(settings, layout, sizes, scale, tuple(record), {}, frozen)
    made.checks.update(check_generator(made, market, DrawnOffers(who_A, real), held_N))
    return made


@dataclass(frozen=True)
class _Data:
    market: Market
    who_A: Ints
    real: Parts
    crowd: Crowd


def _train(model: Generator, data: _Data, S: GeneratorSettings) -> list[dict[str, float]]:
    """Critic and generator in turn; a row of losses every twentieth of the way."""
    market, width = data.market, sum(model.widths.values()) + 3
    rng = np.random.default_rng(hash_int("offer batches", S.seed))
    critic = critic_net(S.pack * (model.features + width + 2 * model.items), S.hidden)
    rate, betas = S.learning_rate, (0.5, 0.9)
    step_g, step_c = (torch.optim.Adam(net.parameters(), rate, betas) for net in (model, critic))
    able = np.flatnonzero((market.open_NSD.any(2) & (market.slot_NS >= 0)).any(1))
    record: list[dict[str, float]] = []

    def look(who: Ints) -> CustomerBatch:
        return data.crowd.at(who, S.price(rng.random(len(who))))

    def draw(seen: CustomerBatch) -> Parts:
        u = torch.rand(len(seen.x_BF), model.uniforms(seen.open_BSD.shape[1])).clamp(1e-6, 1 - 1e-6)
        drawn: Parts = model(u, seen)
        return drawn

    def packed(seen: CustomerBatch, parts: Parts) -> Tensor:
        return torch.cat([seen.x_BF, parts.encode(seen.item_BSI)], 1).reshape(S.batch // S.pack, -1)

    for step in range(S.steps):
        for _ in range(S.critic_steps):
            at = rng.integers(0, len(data.who_A), S.batch)
            with torch.no_grad():
                parts = draw(seen := look(data.who_A[at]))
            true, fake = packed(seen, data.real.at(at)), packed(seen, parts)
            gap = critic(true).mean() - critic(fake).mean()
            _step(step_c, -gap + S.penalty * _slope_penalty(critic, true, fake))
        parts = draw(seen := look(data.who_A[rng.integers(0, len(data.who_A), S.batch)]))
        realism = critic(packed(seen, parts)).mean()
        worth = realism.new_zeros(())
        if S.guide:
            parts = draw(seen := look(able[rng.integers(0, able.size, S.batch)]))
            worth = _worth(parts, seen)
        _step(step_g, -realism - S.guide * worth)
        if (step + 1) % max(1, S.steps // 20) == 0:
            record.append({"step": step + 1, "gap": gap.item(), "realism": realism.item(), "worth": worth.item()})
    return record


def _step(optimizer: torch.optim.Optimizer, loss: Tensor) -> None:
    optimizer.zero_grad()
    loss.backward()  # type: ignore[no-untyped-call]
    optimizer.step()


def _worth(parts: Parts, seen: CustomerBatch) -> Tensor:
    """Mean worth of the drawn offers relative to each customer's best; other benefits than percentages count 0."""
    percent_BD = parts.percent_BD * parts.kind_BK[:, :1]
    return torch.einsum("bs,bd,bsd->b", parts.slot_BS, percent_BD, seen.worth_BSD).mean()


def _slope_penalty(critic: nn.Module, true: Tensor, fake: Tensor) -> Tensor:
    """Mean squared distance from 1 of the critic's slope between real and drawn rows."""
    mix = torch.rand(len(true), 1)
    between = (mix * true + (1 - mix) * fake).requires_grad_(True)
    (slope,) = torch.autograd.grad(critic(between).sum(), between, create_graph=True)
    penalty: Tensor = ((slope.norm(dim=1) - 1) ** 2).mean()
    return penalty


def check_generator(
    made: OfferGenerator, market: Market, accepted: DrawnOffers, held_N: NDArray[np.bool_]
) -> dict[str, float]:
    """Mode collapse and memorisation, on customers that training never saw: see `OfferGenerator`."""
    who_A, real = accepted
    train, held = np.flatnonzero(~held_N[who_A]), np.flatnonzero(held_N[who_A])
    if not held.size:
        return {}
    drawn = made.draw_for(market, who_A[held])

    def coded(rows: Ints, parts: Parts) -> Tensor:
        middle = made.settings.price(np.full(rows.size, 0.5))
        seen = made.scale.crowd(market, who_A[rows]).at(np.arange(rows.size), middle)
        return torch.cat([seen.x_BF, parts.encode(seen.item_BSI)], 1)

    memory = coded(train, real.at(train))
    near = {
        name: float(torch.cdist(coded(held, parts), memory).min(1).values.median())
        for name, parts in (("drawn", drawn), ("held_out", real.at(held)))
    }
    kinds = {
        name: made.frame(market, who_A[held], parts).select(pl.struct(pl.exclude("customer_id")).n_unique()).item()
        for name, parts in (("drawn", drawn), ("accepted", real.at(held)))
    }
    found = {f"near_{name}": value for name, value in near.items()}
    return found | {f"distinct_{name}": 1000 * value / held.size for name, value in kinds.items()}


def parts_of(table: Accepted, market: Market, layout: Layout) -> Parts:
    """Accepted offers as the generator would have drawn them."""
    widths = (market.slot_NS.shape[1], len(KINDS), len(layout.percents), len(layout.valid_days), len(layout.channels))
    codes = (table.slot_A, table.kind_A, table.percent_A, table.valid_A, table.channel_A)
    slot, kind, percent, valid, channel = (
        one_hot(torch.from_numpy(code), width).float() for code, width in zip(codes, widths, strict=True)
    )
    because = one_hot(torch.from_numpy(table.because_A + 1), widths[0] + 1)[:, 1:].float()
    hour = one_hot(torch.from_numpy(table.hour_A), HOURS).float()
    return Parts(slot, because, kind, percent, torch.from_numpy(table.money_A2).float(), valid, channel, hour)


def critic_net(width: int, hidden: int) -> nn.Sequential:
    """A pack of (customer, product, offer) rows -> how real it looks."""
    return nn.Sequential(
        nn.Linear(width, 2 * hidden), nn.LeakyReLU(0.2), nn.Linear(2 * hidden, hidden), nn.LeakyReLU(0.2),
        nn.Linear(hidden, 1),
    )  # fmt: skip
