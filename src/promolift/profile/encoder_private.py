"""Histories of customers and of made-up ones in; an encoder that no customer moves by more than the noise hides, out.

It is trained on the made-up customers as any other (encoder_train.py). Then its heads are fitted to the real ones by
DP-SGD (Abadi and others 2016): every step takes each customer with the same probability, shortens their whole gradient
to the length CLIP, adds normal noise to the sum and forgets who was there. The heads are few weights, and noise grows
with their number; what lies below them knows made-up customers alone. One customer is worked on at a time: the product
tower is shared by all, and hooks that take gradients apart by rows see no customer in it.
"""

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import torch

from promolift.profile.encoder import Encoder, EncoderSettings
from promolift.profile.encoder_data import Histories, popularity
from promolift.profile.encoder_forecast import LearnedEncoder
from promolift.profile.encoder_train import Training, device_of, draw_points, evaluate, fit_encoder

CLIP = 1.0
RATE = 1 / 16  # of the customers, in each step
HEADS = ("prior", "share", "counters", "repeat", "direct", "later", "money.2", "deal")
SLOWER = 0.3  # times the learning rate of the first training


class PrivateSteps(NamedTuple):
    """How many steps, the noise of each as a multiple of CLIP, and about how many customers there are."""

    steps: int
    noise: float
    customers: float


def steps_of(epochs: int) -> int:
    """Steps in which each customer is taken about `epochs` times."""
    return round(epochs / RATE)


def fit_private(
    h: Histories, made_up: Histories, end_day: float, settings: EncoderSettings, how: PrivateSteps,
    progress: Callable[[float], None] = lambda share: None, rng: np.random.Generator | None = None,
) -> LearnedEncoder:  # fmt: skip
    """Learn from what came before `end_day` less the validation window. Who is taken, and the noise, come from the
    machine's entropy unless `rng` is given. SupportError where the made-up customers are too few.
    """
    rng = rng or np.random.default_rng()
    first = fit_encoder(made_up, end_day, settings)
    h, until = h.until(end_day), end_day - settings.horizon_days
    shared = popularity(made_up.until(end_day), end_day)
    job = Training(h, settings, shared, until, end_day, device_of(settings))
    model = first.model.to(job.device)
    heads = [each for name, each in model.named_parameters() if name.startswith(HEADS)]
    for each in heads:
        each.requires_grad_(True)
    optimizer = torch.optim.Adam(heads, lr=SLOWER * settings.learning_rate, betas=(0.9, 0.98))
    model.train()
    for step in range(how.steps):
        taken = np.flatnonzero(rng.random(len(h.customers)) < RATE)
        total = torch.zeros(sum(each.numel() for each in heads), device=job.device)
        for customer in taken:
            total += clipped_gradient(model, heads, job, int(customer), int(rng.integers(2**62)))
        noise = torch.from_numpy(rng.normal(0.0, how.noise * CLIP, len(total)).astype(np.float32)).to(job.device)
        mean, start = (total + noise) / max(RATE * how.customers, 1.0), 0
        for each in heads:
            each.grad = mean[start : start + each.numel()].view_as(each)
            start += each.numel()
        for group in optimizer.param_groups:
            group["lr"] = SLOWER * settings.learning_rate * (0.02 + 0.98 * math.cos(math.pi / 2 * step / how.steps))
        optimizer.step()
        progress((step + 1) / how.steps)
    record = []
    if (h.day_V >= until).any():
        (valid, ndcg), (train, before) = (
            evaluate(model, job, day, day + settings.horizon_days) for day in (until, until - settings.horizon_days)
        )
        row = {f"train_{k}": v for k, v in train.items()} | {f"valid_{k}": v for k, v in valid.items()}
        record.append(row | {"epoch": 0.0, "train_ndcg": before, "valid_ndcg": ndcg})
    return LearnedEncoder.freeze(model.cpu(), h.catalogue, record)


def clipped_gradient(
    model: Encoder, heads: list[torch.nn.Parameter], job: Training, customer: int, seed: int
) -> torch.Tensor:
    """One customer's gradient of the loss at moments of theirs, no longer than CLIP; 0 of who has no visit, and where
    it is no number.
    """
    here, size = np.array([customer]), sum(each.numel() for each in heads)
    first = job.h.start_C[customer]
    if first == job.h.start_C[customer + 1] or job.h.day_V[first] >= job.until:
        return torch.zeros(size, device=job.device)
    losses = model(*job.example(draw_points(job, here, seed), job.until))
    found = torch.autograd.grad(losses["total"], heads, allow_unused=True)
    flat = torch.cat([
        (torch.zeros_like(head) if grad is None else grad).reshape(-1) for head, grad in zip(heads, found, strict=True)
    ])  # fmt: skip
    length = float(flat.norm())
    return flat * min(1.0, CLIP / max(length, 1e-12)) if math.isfinite(length) else torch.zeros_like(flat)
