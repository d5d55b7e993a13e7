"""Distribute the encoder's training over the executor's workers, with the same result as one process, bit for bit.

Histories and settings are written once, where every worker reads them. Each task carries the current weights and
returns the gradient of its part of the batch. If a worker is lost, another worker repeats its part.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import fields
from functools import lru_cache, partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn.utils import parameters_to_vector

from promolift.extensions.encoder.network.encoder import Encoder
from promolift.extensions.encoder.network.learned_encoder import LearnedEncoder
from promolift.extensions.encoder.network.purchase_histories import Catalogue, Histories, Popularity
from promolift.extensions.encoder.network.training import BatchPart, PartMapper, Training, deterministic, unflatten
from promolift.foundation.jit import Floats
from promolift.foundation.storage.table_writing import Scratch

PartTask = Callable[[Training, Encoder, BatchPart], Any]
ShardMap = Callable[[Callable[[int], Any], Sequence[int]], Iterator[Any]]
OMITTED_FIELDS = ("customers", "catalogue")  # of which the parts ask only how many there are


class WorkerState(NamedTuple):
    """What a worker keeps from part to part."""

    training: Training
    model: Encoder


def map_over_workers(over: ShardMap, scratch: Scratch, training: Training, model: Encoder) -> PartMapper:
    """Compute the parts on the workers of an executor (`over` is `Executor.map`)."""
    scratch.put_arrays("training", training_arrays(training, model))

    def each(task: PartTask, now: Encoder, parts: Sequence[BatchPart]) -> Any:
        weights = parameters_to_vector(now.parameters()).detach().numpy()
        return over(partial(run_on_worker, scratch.folder, task, weights, parts), range(len(parts)))

    return each


def run_on_worker(folder: Path, task: PartTask, weights: Floats, parts: Sequence[BatchPart], place: int) -> Any:
    """What a task finds in one of the parts with these weights."""
    training, model = load_worker_state(folder)
    own = [*model.parameters()]
    with torch.no_grad():
        for weight, part in zip(own, unflatten(own, torch.tensor(weights)), strict=True):
            weight.copy_(part)  # into its own memory: sums may go by where that begins
    with deterministic():
        return task(training, model, parts[place])


def training_arrays(training: Training, model: Encoder) -> dict[str, NDArray[Any]]:
    """All that stays the same, as arrays."""
    h = training.h
    files = LearnedEncoder(model.settings, model.sizes, h.catalogue.items, (), model).to_files()
    return {
        **{each.name: getattr(h, each.name) for each in fields(Histories) if each.name not in OMITTED_FIELDS},
        **{name: np.frombuffer(content, np.uint8) for name, content in files.items()},
        "log_WI": training.shared.log_WI,
        "days": np.array([training.shared.opened, training.until, training.end]),
    }


@lru_cache(maxsize=1)
def load_worker_state(folder: Path) -> WorkerState:
    """What was laid down."""
    arrays = {name: array.copy() for name, array in Scratch(folder).arrays("training").items()}  # the folder may go
    files = {name: arrays.pop(name).tobytes() for name in ("manifest.json", "weights.safetensors")}
    learned = LearnedEncoder.from_files(files)
    opened, until, end = arrays.pop("days").tolist()
    shared, none_I = Popularity(opened, arrays.pop("log_WI")), np.zeros(len(learned.items), np.int64)
    goods = Catalogue(learned.items, none_I, none_I, none_I.astype(np.float32))
    h = Histories(customers=("",) * (len(arrays["start_C"]) - 1), catalogue=goods, **arrays)
    training = Training(h, learned.settings, shared, until, end, torch.device("cpu"))
    return WorkerState(training, learned.model.requires_grad_(True))
