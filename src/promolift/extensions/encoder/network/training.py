"""Train the encoder on purchase histories. Forecasting with a saved model does not need this module.

Points are drawn anew each epoch, uniformly over each customer's days before the validation window, so the model trains
on moments like those it will forecast from. A batch is processed in BATCH_PARTS parts, in one process or by workers
(`Hooks.map_parts`), and their gradients are added in order. The result is deterministic given the seed, the data and
the kind of machine.

`fit_private` trains with differential privacy: no customer can move the weights by more than the noise hides. The
encoder is trained on synthetic customers first. Then only its heads are fitted to the real customers by DP-SGD (Abadi
and others 2016): each step samples every customer with the same probability, clips the customer's whole gradient to the
length CLIP_NORM, and adds normal noise to the sum. The noise grows with the number of weights, and the heads have few;
the layers below them have seen synthetic customers only. Customers are processed one at a time, because the product
tower is shared by all customers of a batch and per-row gradients do not separate them.
"""

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import nn

from promolift.core.customers.vectors import nearest_neighbours, principal_directions
from promolift.extensions.encoder.network.encoder import (
    Batch,
    Encoder,
    EncoderSettings,
    HistoryPoints,
    ModelSizes,
    Targets,
    build_batch,
    build_targets,
    history_points,
    signed_log,
)
from promolift.extensions.encoder.network.learned_encoder import LearnedEncoder, ndcg_at_10
from promolift.extensions.encoder.network.purchase_histories import (
    CUSTOMER_COUNTERS,
    ITEM_COUNTERS,
    LIST_LENGTH,
    RATE_FEATURES,
    Histories,
    Popularity,
    fit_ease,
    purchase_incidence,
    weekly_popularity,
)
from promolift.foundation.errors import InputError, SupportError
from promolift.foundation.hashing import hash_int
from promolift.foundation.i18n.lazy_message import gettext_lazy
from promolift.foundation.jit import Floats, Ints

VECTOR_DIRECTIONS = 32  # of words and pictures that items are placed by
BATCH_PARTS = 2  # of a batch: with four, one process took a fifth longer
MIN_VISITS = 200  # of all customers together; fewer teach nothing
CLIP_NORM = 1.0
SAMPLE_RATE = 1 / 16  # of the customers, in each step
PRIVATE_HEADS = ("prior", "share", "counters", "repeat", "direct", "later", "money.2", "deal")
PRETRAINING_FACTOR = 2  # times as many epochs on the made-up customers, which cost nobody's privacy
PRIVATE_LEARNING_RATE_FACTOR = 0.3  # times the learning rate of the first training


@dataclass(frozen=True)
class Epoch:
    """For a progress display: mean losses of each head and NDCG@10, in training and on the validation window."""

    number: int
    train: dict[str, float]
    valid: dict[str, float]
    train_ndcg: float
    valid_ndcg: float
    best: bool


class TrainingExample(NamedTuple):
    """Inputs, and what came."""

    batch: Batch
    target: Targets


class EvaluationScores(NamedTuple):
    """Mean losses of each head, and NDCG@10."""

    losses: dict[str, float]
    ndcg: float


class Checkpoint(NamedTuple):
    """Where training goes on: the next epoch, the best NDCG@10 with its weights, a row per epoch so far."""

    number: int
    best: float
    best_weights: dict[str, torch.Tensor]
    record: list[dict[str, float]]


@dataclass(frozen=True)
class Training:
    """What stays the same during training."""

    h: Histories
    settings: EncoderSettings
    shared: Popularity
    until: float  # end of the training window
    end: float  # end of what is known
    device: torch.device

    def example(self, points: HistoryPoints, until: float) -> TrainingExample:
        """What is known at the points, and what came before `until`."""
        batch = build_batch(self.h, points, self.shared, self.settings.keep, self.settings.max_visits)
        target = build_targets(self.h, points, batch, until)
        return TrainingExample(batch.to(self.device), target.to(self.device))


class BatchPart(NamedTuple):
    """Points that are worked on at once, and the seed of what is dropped there; what comes at `until` is not known."""

    points: HistoryPoints
    until: float
    seed: int = 0


class PartGradient(NamedTuple):
    """The gradient of the mean loss, all weights in a row, and each head's mean loss."""

    gradient_W: Floats
    losses: dict[str, float]


class PartScores(NamedTuple):
    """Mean losses of each head, and NDCG@10 of each point."""

    losses: dict[str, float]
    gains: list[float]


PartMapper = Callable[[Callable[[Training, Encoder, BatchPart], Any], Encoder, Sequence[BatchPart]], Iterable[Any]]


def map_in_process(job: Training, model: Encoder) -> PartMapper:
    """This process goes through the parts."""
    return lambda task, now, parts: (task(job, now, part) for part in parts)


@dataclass(frozen=True)
class Hooks:
    """`progress` is called after every epoch, `checkpoint` with bytes to keep; `resume` are such bytes.

    `work` is asked once who goes through the parts, on a CPU; they find what a task makes of each, in their order.
    """

    progress: Callable[[Epoch], None] = lambda epoch: None
    checkpoint: Callable[[bytes], None] = lambda state: None
    resume: bytes | None = None
    map_parts: Callable[[Training, Encoder], PartMapper] = map_in_process


def fit_encoder(
    h: Histories, end_day: float, settings: EncoderSettings | None = None, hooks: Hooks | None = None
) -> LearnedEncoder:
    """Train on what came before `end_day` less the validation window, keep the epoch that does best on that window.

    Raises SupportError where there are too few visits or no visit in the window.
    """
    settings, hooks = settings or EncoderSettings(), hooks or Hooks()
    h = h.until(end_day)
    until = end_day - settings.horizon_days
    if (h.day_V < until).sum() < MIN_VISITS or not (h.day_V >= until).any():
        raise SupportError(
            "too_few_rows",
            gettext_lazy(
                "encoder: {sum} visits before the last {horizon_days} days (validation) and {sum_2} in "
                "them; at least {min_visits} and 1 are needed",
                sum=(h.day_V < until).sum(), horizon_days=settings.horizon_days, sum_2=(h.day_V >= until).sum(),
                min_visits=MIN_VISITS,
            ),
        )  # fmt: skip
    job = Training(h, settings, weekly_popularity(h, end_day), until, end_day, select_device(settings))
    with torch.random.fork_rng(), deterministic():
        torch.manual_seed(hash_int("encoder", settings.seed) % 2**63)
        model = _start(job).to(job.device)
        record = _train(model, job, hooks)
        if h.catalogue.vector_IV is not None:
            fill_new_items(model, h.catalogue.vector_IV)
    return LearnedEncoder.freeze(model.cpu(), h.catalogue, record)


def select_device(settings: EncoderSettings) -> torch.device:
    """Where to train, a GPU's memory bounded; InputError for one that is not there."""
    there = torch.cuda.is_available()
    if settings.device == "cpu" or (settings.device == "auto" and not there):
        return torch.device("cpu")
    if not there:
        raise InputError(
            "gpu_missing",
            gettext_lazy(
                "encoder: device {device}, but torch finds no GPU; say 'auto' or 'cpu'", device=repr(settings.device)
            ),
        )
    device = torch.device("cuda", torch.cuda.current_device())
    whole = torch.cuda.get_device_properties(device).total_memory
    torch.cuda.set_per_process_memory_fraction(min(1.0, settings.memory_gb * 2**30 / whole), device)
    return device


@contextmanager
def deterministic() -> Iterator[None]:
    """Sums in one order, on a CPU by one thread; where a device has no such kernel, it warns and goes on."""
    before, threads = torch.are_deterministic_algorithms_enabled(), torch.get_num_threads()
    torch.use_deterministic_algorithms(True, warn_only=torch.cuda.is_available())
    torch.set_num_threads(1)  # several split long sums, and another split rounds otherwise
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(before)
        torch.set_num_threads(threads)


def _train(model: Encoder, job: Training, hooks: Hooks) -> list[dict[str, float]]:
    """The loop over epochs; leaves the best weights in `model` and returns one row per epoch."""
    S = job.settings
    each = (hooks.map_parts if job.device.type == "cpu" else map_in_process)(job, model)
    optimizer = torch.optim.AdamW(_groups(model), lr=S.learning_rate, betas=(0.9, 0.98))
    steps = S.epochs * math.ceil(len(_customers(job)) / S.batch)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: _rate(step, steps))
    best, kept = -math.inf, {k: v.clone() for k, v in model.state_dict().items()}
    record: list[dict[str, float]] = []
    first = 0
    if hooks.resume is not None:
        first, best, kept, record = _resume(hooks.resume, model, optimizer, schedule)
    for number in range(first, S.epochs):
        train = _epoch(model, job, number, optimizer, schedule, each)
        valid, ndcg = evaluate(model, job, job.until, job.end, each)
        _, before = evaluate(model, job, job.until - S.horizon_days, job.until, each)
        better = ndcg > best
        if better:
            best, kept = ndcg, {k: v.clone() for k, v in model.state_dict().items()}
        record.append({f"train_{k}": v for k, v in train.items()} | {f"valid_{k}": v for k, v in valid.items()})
        record[-1] |= {"epoch": float(number), "train_ndcg": before, "valid_ndcg": ndcg}
        hooks.progress(Epoch(number, train, valid, before, ndcg, better))
        hooks.checkpoint(_state(model, optimizer, kept, record, best))
        if number - max(record, key=lambda row: row["valid_ndcg"])["epoch"] >= S.patience:
            break
    model.load_state_dict(kept)
    return record


def _epoch(
    model: Encoder,
    job: Training,
    number: int,
    optimizer: torch.optim.Optimizer,
    schedule: torch.optim.lr_scheduler.LambdaLR,
    each: PartMapper,
) -> dict[str, float]:
    """One pass over all customers; mean losses."""
    S, weights, seen = job.settings, [*model.parameters()], 0
    total: dict[str, float] = {}
    for at, customers in enumerate(_batches(job, number)):
        drawn = draw_points(job, customers, hash_int("points", S.seed, number, at))
        places_CP = np.arange(len(drawn.day_P)).reshape(len(customers), -1)
        split = [places.ravel() for places in np.array_split(places_CP, BATCH_PARTS) if len(places)]
        seeds = (hash_int("dropped", S.seed, number, at, place) for place in range(BATCH_PARTS))
        parts = [BatchPart(drawn.take(places), job.until, seed) for places, seed in zip(split, seeds, strict=False)]
        mean_W = np.zeros(sum(each.numel() for each in weights), np.float32)
        for places, found in zip(split, each(part_gradient, model, parts), strict=True):
            share = places.size / places_CP.size
            mean_W += share * found.gradient_W
            total = {k: total.get(k, 0.0) + share * v for k, v in found.losses.items()}
        assign_gradient(weights, torch.from_numpy(mean_W).to(job.device))
        nn.utils.clip_grad_norm_(weights, 1.0)
        optimizer.step()
        schedule.step()
        seen += 1
    return {k: v / seen for k, v in total.items()}


def part_gradient(job: Training, model: Encoder, part: BatchPart) -> PartGradient:
    """What a part of a batch teaches."""
    torch.manual_seed(part.seed % 2**63)
    losses = model.train()(*job.example(part.points, part.until))
    found = torch.autograd.grad(losses["total"], [*model.parameters()])
    row_W = torch.cat([grad.reshape(-1) for grad in found]).cpu().numpy()
    return PartGradient(row_W, {k: float(v.detach()) for k, v in losses.items()})


def unflatten(weights: Sequence[nn.Parameter], row_W: torch.Tensor) -> list[torch.Tensor]:
    """What stands in a row, taken apart as the weights are."""
    parts = torch.split(row_W, [each.numel() for each in weights])
    return [part.view_as(weight) for weight, part in zip(weights, parts, strict=True)]


def assign_gradient(weights: Sequence[nn.Parameter], row_W: torch.Tensor) -> None:
    """PartMapper weight its gradient, from all of them in a row."""
    for weight, part in zip(weights, unflatten(weights, row_W), strict=True):
        weight.grad = part


def evaluate(
    model: Encoder, job: Training, day: float, until: float, each: PartMapper | None = None
) -> EvaluationScores:
    """On the first basket in [day, until), at most 1,024 customers with a visit on both sides."""
    everyone = np.arange(len(job.h.customers))
    points = history_points(job.h, everyone, np.full(len(everyone), day))
    next_C, start_C, end_C = points.visit_P, job.h.start_C[:-1], job.h.start_C[1:]
    came = (next_C > start_C) & (next_C < end_C)
    came[came] &= job.h.day_V[next_C[came]] < until
    chosen = everyone[came][:1024]
    total: dict[str, float] = {}
    gains: list[float] = []
    split = np.array_split(chosen, max(len(chosen) // 256, 1))
    parts = [BatchPart(points.take(rows), until) for rows in split]
    for rows, found in zip(split, (each or map_in_process(job, model))(score_part, model, parts), strict=True):
        for k, v in found.losses.items():
            total[k] = total.get(k, 0.0) + v * len(rows) / max(len(chosen), 1)
        gains += found.gains
    return EvaluationScores(total, float(np.mean(gains)) if gains else 0.0)


@torch.no_grad()
def score_part(job: Training, model: Encoder, part: BatchPart) -> PartScores:
    """How well a part's next baskets are forecast."""
    batch, target = job.example(part.points, part.until)
    losses = {k: float(v) for k, v in model.eval()(batch, target).items()}
    table_ID = model.table()
    logit_PI = model.logits(model.states(batch, table_ID), table_ID, batch)
    top_PT = logit_PI.topk(min(LIST_LENGTH, logit_PI.shape[1]), dim=1).indices.cpu().numpy()
    gains = [ndcg_at_10(top, job.h.items_of(visit)) for visit, top in zip(part.points.visit_P, top_PT, strict=True)]
    return PartScores(losses, gains)


@torch.no_grad()
def customer_losses(
    model: LearnedEncoder, h: Histories, shared: Popularity, until: float, draws: int = 2
) -> np.ndarray:
    """The mean loss of each customer at moments of theirs before `until`, the same moments for every model."""
    job = Training(h, model.settings, shared, until, until, torch.device("cpu"))
    found = np.zeros(len(h.customers))
    for customer in range(len(h.customers)):
        for seed in range(draws):
            points = draw_points(job, np.array([customer]), hash_int("losses", customer, seed))
            found[customer] += float(model.model(*job.example(points, until))["total"]) / draws
    return found


def _start(job: Training) -> Encoder:
    """A model with the catalogue and the scales of the counters in its buffers, its set head started from EASE."""
    h, S, items = job.h, job.settings, job.h.catalogue
    sizes = ModelSizes(
        items=len(items.items),
        categories=int(items.category_I.max(initial=0)),
        brands=int(items.brand_I.max(initial=0)),
        attributes=h.attribute_CA.shape[1],
        channels=int(h.channel_V.max(initial=0)),
        item_counters=len(ITEM_COUNTERS) + len(RATE_FEATURES),
        personal=len(CUSTOMER_COUNTERS),
        directions=0 if items.vector_IV is None else min(VECTOR_DIRECTIONS, items.vector_IV.shape[1]),
    )
    model = Encoder(sizes, S)
    fit_buffers(model, job)
    past = purchase_incidence(h.until(job.until))
    try:
        left, right = fit_ease(past).factors(S.width, S.seed)
    except SupportError:
        return model
    scale = math.sqrt(max(float(np.abs(left).max()), 1e-6) / max(float(np.abs(right).max()), 1e-6))
    with torch.no_grad():
        model.set_in.weight += torch.from_numpy(left / scale) * 2
        model.set_out.weight += torch.from_numpy(right * scale)
    return model


@torch.no_grad()
def fill_new_items(model: Encoder, vector_IV: Floats) -> None:
    """What nobody bought goes with the same as the items most like it: nothing else taught its weights."""
    known_I = model.get_buffer("known_I").cpu().numpy() > 0
    old, new = np.flatnonzero(known_I), np.flatnonzero(~known_I & vector_IV.any(axis=1))
    made_NO = nearest_neighbours(vector_IV[new], vector_IV[old]).T
    for table in (model.set_in, model.set_out, model.bias):
        made_ND = (made_NO @ table.weight[old].cpu().numpy()).astype(np.float32)
        table.weight[new] = torch.from_numpy(made_ND).to(table.weight.device)


def fit_buffers(model: Encoder, job: Training) -> None:
    """Fill the buffers: catalogue, which items were bought in training, mean and spread of counters and attributes."""
    h, items = job.h, job.h.catalogue
    price = np.log1p(items.price_I)
    mean, sd = (np.nanmean(price), np.nanstd(price) + 1e-6) if np.isfinite(price).any() else (0.0, 1.0)
    known = np.isfinite(price)
    buffers = {
        "category_I": items.category_I,
        "brand_I": items.brand_I,
        "price_I2": np.stack([np.where(known, (price - mean) / sd, 0), known], 1).astype(np.float32),
        "known_I": (np.bincount(h.until(job.until).item_L, minlength=len(items.items)) > 0).astype(np.float32),
    }
    rng = np.random.default_rng(hash_int("scales", job.settings.seed) % 2**63)
    customers = _customers(job)
    sample = np.sort(rng.choice(customers, min(512, len(customers)), replace=False))
    drawn = draw_points(job, sample, hash_int("scales", job.settings.seed))
    batch = build_batch(h, drawn, job.shared, job.settings.keep, job.settings.max_visits)
    scaled = {"visit": batch.visit_BTF, "counter": batch.counter_PMF, "personal": batch.personal_PG}
    for name, values in scaled.items():
        buffers |= _scale(name, signed_log(values.reshape(-1, values.shape[-1]).double()).numpy())
    buffers |= _scale("attribute", h.attribute_CA)
    if items.vector_IV is not None and model.sizes.directions:
        found = principal_directions(items.vector_IV, model.sizes.directions)
        buffers["sense_IV"] = found / max(float(found.std()), 1e-6)
    for name, value in buffers.items():
        model.get_buffer(name).copy_(torch.from_numpy(np.ascontiguousarray(value)))


def _scale(name: str, x: np.ndarray) -> dict[str, np.ndarray]:
    x = np.where(np.isfinite(x), x, np.nan)
    known = np.isfinite(x).sum(0) > 1
    mean, sd = np.zeros(x.shape[1], np.float32), np.ones(x.shape[1], np.float32)
    if known.any():
        mean[known], sd[known] = np.nanmean(x[:, known], 0), np.nanstd(x[:, known], 0) + 1e-3
    return {f"{name}_mean": mean, f"{name}_sd": sd}


def _customers(job: Training) -> Ints:
    """Customers with a visit in the training window."""
    first = np.minimum(job.h.start_C[:-1], max(len(job.h.day_V) - 1, 0))
    some = np.diff(job.h.start_C) > 0
    return np.flatnonzero(some & (job.h.day_V[first] < job.until))


def _batches(job: Training, number: int) -> Iterator[Ints]:
    """Customers in batches of like length, in an order drawn for the epoch."""
    S, rng = job.settings, np.random.default_rng(hash_int("order", job.settings.seed, number) % 2**63)
    customers = rng.permutation(_customers(job))
    length = np.diff(job.h.start_C)
    pools = [customers[at : at + 8 * S.batch] for at in range(0, len(customers), 8 * S.batch)]
    parts = [
        pool[np.argsort(length[pool], kind="stable")][at : at + S.batch]
        for pool in pools
        for at in range(0, len(pool), S.batch)
    ]
    for at in rng.permutation(len(parts)):
        yield parts[at]


def draw_points(job: Training, customers: Ints, seed: int) -> HistoryPoints:
    """`points` moments per customer, uniform over a stretch of at most `max_visits` / 2 of their visits."""
    S, h, rng = job.settings, job.h, np.random.default_rng(seed % 2**63)
    first, last = h.start_C[customers], h.before(customers, np.full(len(customers), job.until))
    reach = S.max_visits // 2
    spare = np.maximum(last - first - reach, 0)
    begin = first + np.floor(rng.random(len(customers)) * (spare + 1)).astype(np.int64)
    low = np.where(begin == first, np.maximum(h.day_V[first] - 7, job.shared.opened + 7), h.day_V[begin])
    end = begin + reach
    high = np.where(end >= last, job.until, h.day_V[np.minimum(end, len(h.day_V) - 1)])
    unit = rng.random((len(customers), S.points))
    days = low[:, None] + unit * np.maximum(high - low, 0.5)[:, None]
    days = np.minimum(days, job.until - 1e-3)
    return history_points(h, np.repeat(customers, S.points), days.ravel())


def _groups(model: Encoder) -> list[dict[str, object]]:
    """Weights of matrices decay; biases, norms, embeddings and slopes do not."""
    tables = {id(m.weight) for m in model.modules() if isinstance(m, nn.Embedding)}
    decay = [p for p in model.parameters() if p.ndim == 2 and id(p) not in tables]
    rest = [p for p in model.parameters() if p.ndim != 2 or id(p) in tables]
    S = model.settings
    return [{"params": decay, "weight_decay": S.weight_decay}, {"params": rest, "weight_decay": 0.0}]


def _rate(step: int, steps: int) -> float:
    """A short warm-up, then a cosine down to 2 %."""
    warm = max(steps // 20, 1)
    return (
        (step + 1) / warm
        if step < warm
        else 0.02 + 0.49 * (1 + math.cos(math.pi * min((step - warm) / max(steps - warm, 1), 1)))
    )


def _state(
    model: Encoder,
    optimizer: torch.optim.Optimizer,
    kept: dict[str, torch.Tensor],
    record: list[dict[str, float]],
    best: float,
) -> bytes:
    """All that resuming needs as safetensors."""
    tensors = {f"model.{k}": v.contiguous() for k, v in model.state_dict().items()}
    tensors |= {f"kept.{k}": v.contiguous() for k, v in kept.items()}
    for at, state in optimizer.state_dict()["state"].items():
        tensors |= {f"adam.{at}.{k}": v.contiguous() for k, v in state.items()}
    names = list(record[0])
    rows = torch.tensor([[row[name] for name in names] for row in record], dtype=torch.float64)
    tensors |= {"rows." + ",".join(names): rows, "best": torch.tensor(best, dtype=torch.float64)}
    return save({k: v.clone() for k, v in tensors.items()})


def _resume(
    state: bytes, model: Encoder, optimizer: torch.optim.Optimizer, schedule: torch.optim.lr_scheduler.LambdaLR
) -> Checkpoint:
    try:
        tensors = load(state)
        name = next(k for k in tensors if k.startswith("rows."))
        record = [dict(zip(name[5:].split(","), row, strict=True)) for row in tensors[name].tolist()]
        model.load_state_dict({k[6:]: v for k, v in tensors.items() if k.startswith("model.")})
    except (ValueError, KeyError, StopIteration, RuntimeError, SafetensorError) as error:
        raise InputError(
            "checkpoint_mismatch",
            gettext_lazy(
                "encoder: checkpoint does not fit these settings and data ({error}); train anew", error=repr(error)
            ),
        ) from None
    adam: dict[int, dict[str, torch.Tensor]] = {}
    for key, value in tensors.items():
        if key.startswith("adam."):
            _, at, field = key.split(".")
            adam.setdefault(int(at), {})[field] = value
    full = optimizer.state_dict()
    optimizer.load_state_dict(full | {"state": adam})
    steps = int(adam[0]["step"])
    schedule.last_epoch = steps
    for group, rate, base in zip(optimizer.param_groups, schedule.lr_lambdas, schedule.base_lrs, strict=True):
        group["lr"] = base * rate(steps)
    kept = {k[5:]: v for k, v in tensors.items() if k.startswith("kept.")}
    return Checkpoint(len(record), float(tensors["best"]), kept, record)


class PrivateTraining(NamedTuple):
    """How many steps, the noise of each as a multiple of CLIP_NORM, and about how many customers there are."""

    steps: int
    noise: float
    customers: float


def private_step_count(epochs: int) -> int:
    """Steps in which each customer is taken about `epochs` times."""
    return round(epochs / SAMPLE_RATE)


def fit_private(
    h: Histories, made_up: Histories, end_day: float, settings: EncoderSettings, how: PrivateTraining,
    progress: Callable[[float], None] = lambda share: None, rng: np.random.Generator | None = None,
    first: LearnedEncoder | None = None,
) -> LearnedEncoder:  # fmt: skip
    """Learn from what came before `end_day` less the validation window. Who is taken, and the noise, come from the
    machine's entropy unless `rng` is given; `first` is what the made-up ones taught, if it is known. SupportError where
    the made-up customers are too few.
    """
    rng = rng or np.random.default_rng()
    first = first or fit_synthetic(made_up, end_day, settings)
    h, until = h.until(end_day), end_day - settings.horizon_days
    shared = weekly_popularity(made_up.until(end_day), end_day)
    job = Training(h, settings, shared, until, end_day, select_device(settings))
    model = deepcopy(first.model).to(job.device)
    heads = [each for name, each in model.named_parameters() if name.startswith(PRIVATE_HEADS)]
    for each in heads:
        each.requires_grad_(True)
    optimizer = torch.optim.Adam(heads, lr=PRIVATE_LEARNING_RATE_FACTOR * settings.learning_rate, betas=(0.9, 0.98))
    model.train()
    for step in range(how.steps):
        taken = np.flatnonzero(rng.random(len(h.customers)) < SAMPLE_RATE)
        total = torch.zeros(sum(each.numel() for each in heads), device=job.device)
        for customer in taken:
            total += clipped_gradient(model, heads, job, int(customer), int(rng.integers(2**62)))
        noise = torch.from_numpy(rng.normal(0.0, how.noise * CLIP_NORM, len(total)).astype(np.float32)).to(job.device)
        assign_gradient(heads, (total + noise) / max(SAMPLE_RATE * how.customers, 1.0))
        for group in optimizer.param_groups:
            group["lr"] = (
                PRIVATE_LEARNING_RATE_FACTOR
                * settings.learning_rate
                * (0.02 + 0.98 * math.cos(math.pi / 2 * step / how.steps))
            )
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


def fit_synthetic(made_up: Histories, end_day: float, settings: EncoderSettings) -> LearnedEncoder:
    """What a private training begins with: nobody real goes into it."""
    return fit_encoder(made_up, end_day, settings.model_copy(update={"epochs": PRETRAINING_FACTOR * settings.epochs}))


def clipped_gradient(
    model: Encoder, heads: list[torch.nn.Parameter], job: Training, customer: int, seed: int
) -> torch.Tensor:
    """Return one customer's gradient, clipped to CLIP_NORM; 0 if there is no visit or the gradient is not finite."""
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
    return flat * min(1.0, CLIP_NORM / max(length, 1e-12)) if math.isfinite(length) else torch.zeros_like(flat)
