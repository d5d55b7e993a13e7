"""The trained encoder: its weights, read from and written to files, what it expects, and how its lists of items score.

This module loads without the training code. Legend as in encoder.py.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load, save

from promolift.extensions.encoder.network.basket_ranker import BasketRanker, RankingSnapshot
from promolift.extensions.encoder.network.encoder import (
    GAP_EDGES_DAYS,
    HORIZONS,
    Encoder,
    EncoderSettings,
    HistoryPoints,
    ModelSizes,
    build_batch,
    history_points,
)
from promolift.extensions.encoder.network.purchase_histories import (
    IDEAL_DCG,
    LIST_LENGTH,
    Catalogue,
    Histories,
    Popularity,
)
from promolift.foundation.errors import InputError
from promolift.foundation.i18n.lazy_message import gettext_lazy
from promolift.foundation.jit import Days, Floats, Ints


@dataclass(frozen=True)
class ForecastBatch:
    """One batch of points: `state_PD` is the embedding; `logit_PI` ranks items; rates are per horizon of HORIZONS."""

    points: HistoryPoints
    state_PD: Floats
    logit_PI: Floats
    later_PK: Floats
    spend_PK: Floats
    orders_PK: Floats
    deal_P: Floats

    @property
    def churn_P(self) -> Floats:
        """Probability that no visit comes within the last edge (56 days)."""
        return self.later_PK[:, -1]


@dataclass(frozen=True)
class LearnedEncoder:
    """Weights and what they belong to. `record` holds one row per epoch; a `ranker` orders next baskets with it."""

    settings: EncoderSettings
    sizes: ModelSizes
    items: tuple[str, ...]
    record: tuple[dict[str, float], ...]
    model: Encoder = field(repr=False)
    ranker: BasketRanker | None = field(default=None, repr=False)

    @classmethod
    def freeze(cls, model: Encoder, catalogue: Catalogue, record: list[dict[str, float]]) -> "LearnedEncoder":
        """No gradient is ever kept again."""
        model.eval().requires_grad_(False)
        return cls(model.settings, model.sizes, catalogue.items, tuple(record), model)

    @torch.no_grad()
    def forecast(
        self, h: Histories, shared: Popularity, customer_P: Ints, day_P: Days, size: int = 256
    ) -> Iterator[ForecastBatch]:
        """What is expected of each customer from a moment on, in batches of `size` points, in the order given."""
        if h.catalogue.items != self.items:
            raise InputError(
                "result_outdated",
                gettext_lazy("encoder: the catalogue is not the one it was trained on; train it again"),
            )
        table_ID = self.model.table()
        days = np.broadcast_to(np.asarray(day_P, np.float64), np.shape(customer_P))
        if self.ranker is not None and (days != self.ranker.snapshot.day).any():
            raise InputError(
                "moments_differ",
                gettext_lazy("encoder: its ranker belongs to another moment; give it a RankingSnapshot of this moment"),
            )
        for at in range(0, len(customer_P), size):
            points = history_points(h, customer_P[at : at + size], days[at : at + size])
            batch = build_batch(h, points, shared, self.settings.keep, self.settings.max_visits)
            state_PD = self.model.states(batch, table_ID)
            spend_PK, orders_PK = self.model.money_rates(state_PD, batch.personal_PG)
            logit_PI = self.model.logits(state_PD, table_ID, batch).numpy()
            if self.ranker is not None:
                logit_PI = self.ranker.combined_scores(h, points.customer_P, log_share(logit_PI))
            yield ForecastBatch(
                points=points,
                state_PD=state_PD.numpy(),
                logit_PI=logit_PI,
                later_PK=torch.softmax(self.model.later(state_PD), 1).numpy(),
                spend_PK=spend_PK.numpy(),
                orders_PK=orders_PK.numpy(),
                deal_P=torch.sigmoid(self.model.deal(state_PD)[:, 0]).numpy(),
            )

    def with_ranker(self, trees: str, weight: float, h: Histories, day: float) -> "LearnedEncoder":
        """The encoder with trees of this weight (0: none) looking at a moment."""
        return replace(self, ranker=BasketRanker(trees, weight, RankingSnapshot.of(h, day))) if weight else self

    def to_files(self) -> dict[str, bytes]:
        """manifest.json and weights.safetensors."""
        manifest = {
            "model": "encoder",
            "settings": self.settings.model_dump(),
            "sizes": {name: size for name, size in self.sizes.__dict__.items() if size or name != "directions"},
            "items": list(self.items),
            "record": list(self.record),
            "edges": list(GAP_EDGES_DAYS),
            "horizons": list(HORIZONS),
        }
        weights = {k: v.contiguous().clone() for k, v in self.model.state_dict().items()}
        return {"manifest.json": json.dumps(manifest, indent=1).encode(), "weights.safetensors": save(weights)}

    @classmethod
    def from_files(cls, files: dict[str, bytes]) -> "LearnedEncoder":
        """The inverse of `to_files`. Raises InputError where a file is missing, damaged or of another version."""
        try:
            manifest: dict[str, Any] = json.loads(files["manifest.json"])
            settings = EncoderSettings.parse(manifest["settings"], "encoder: manifest.json")
            model = Encoder(ModelSizes(**manifest["sizes"]), settings)
            model.load_state_dict(load(files["weights.safetensors"]))
            if len(manifest["items"]) != model.sizes.items:
                raise ValueError(f"{len(manifest['items'])} items where the weights hold {model.sizes.items}")
            model.eval().requires_grad_(False)
            return cls(settings, model.sizes, tuple(manifest["items"]), tuple(manifest["record"]), model)
        except (KeyError, ValueError, TypeError, AttributeError, RuntimeError, SafetensorError) as error:
            raise InputError(
                "model_invalid",
                gettext_lazy("encoder: files are missing or damaged ({error}); train it again", error=repr(error)),
            ) from None


def log_share(logit_PI: Floats) -> Floats:
    """Log of the softmax."""
    x = logit_PI - logit_PI.max(axis=1, keepdims=True)
    return np.asarray(x - np.log(np.exp(x).sum(axis=1, keepdims=True)), np.float32)


def ndcg_at_10(ranked: Ints, basket: Ints) -> float:
    """NDCG@10 of a list against a basket of distinct items."""
    hit = np.isin(ranked[:LIST_LENGTH], basket)
    return float((hit / np.log2(np.arange(len(hit)) + 2)).sum() / IDEAL_DCG[min(len(basket), LIST_LENGTH) - 1])
