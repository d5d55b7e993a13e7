"""A trained encoder in, frozen: files, embeddings and probabilities out, batch by batch.

Loads without the training code. Legend as in encoder.py.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load, save

from promolift.errors import InputError
from promolift.profile.encoder import Encoder, EncoderSettings
from promolift.profile.encoder_batch import NOWHERE, Points, batch_of, points_at
from promolift.profile.encoder_data import Catalogue, Days, Floats, Histories, Ints, Popularity
from promolift.profile.encoder_tensors import EDGES, HORIZONS, Sizes
from promolift.profile.exposures import AskedExposures, Exposed


@dataclass(frozen=True)
class ForecastBatch:
    """One batch of points: `state_PD` is the embedding; `logit_PI` ranks items; rates are per horizon of HORIZONS."""

    points: Points
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
    """Weights and what they belong to. `record` holds one row per epoch."""

    settings: EncoderSettings
    sizes: Sizes
    items: tuple[str, ...]
    record: tuple[dict[str, float], ...]
    model: Encoder = field(repr=False)

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
            raise InputError("encoder: the catalogue is not the one it was trained on; train it again")
        table_ID = self.model.table()
        days = np.broadcast_to(np.asarray(day_P, np.float64), np.shape(customer_P))
        for at in range(0, len(customer_P), size):
            points = points_at(h, customer_P[at : at + size], days[at : at + size])
            batch, _ = batch_of(h, points, shared, self.settings.keep, self.settings.max_visits)
            state_PD = self.model.states(batch, table_ID)
            spend_PK, orders_PK = self.model.money_rates(state_PD, batch.personal_PG)
            yield ForecastBatch(
                points=points,
                state_PD=state_PD.numpy(),
                logit_PI=self.model.logits(state_PD, table_ID, batch).numpy(),
                later_PK=torch.softmax(self.model.later(state_PD), 1).numpy(),
                spend_PK=spend_PK.numpy(),
                orders_PK=orders_PK.numpy(),
                deal_P=torch.sigmoid(self.model.deal(state_PD)[:, 0]).numpy(),
            )

    @torch.no_grad()
    def redemption(self, h: Exposed, shared: Popularity, asked: AskedExposures, size: int = 256) -> Iterator[Floats]:
        """Log odds that each asked exposure is redeemed, not yet calibrated, in batches, in the order given."""
        if self.model.exposure is None or h.catalogue.items != self.items:
            raise InputError("encoder: trained without exposures or on another catalogue; train it again")
        table_ID = self.model.table()
        for at in range(0, len(asked.customer_Q), size):
            part = asked.take(slice(at, at + size))
            batch, _ = batch_of(h, NOWHERE, shared, self.settings.keep, self.settings.max_visits, part)
            assert batch.marks is not None
            yield self.model.redemption(self.model.trunk(batch, table_ID), table_ID, batch.marks).numpy()

    def to_files(self) -> dict[str, bytes]:
        """manifest.json and weights.safetensors."""
        manifest = {
            "model": "encoder",
            "settings": self.settings.model_dump(),
            "sizes": self.sizes.__dict__,
            "items": list(self.items),
            "record": list(self.record),
            "edges": list(EDGES),
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
            model = Encoder(Sizes(**manifest["sizes"]), settings)
            model.load_state_dict(load(files["weights.safetensors"]))
            if len(manifest["items"]) != model.sizes.items:
                raise ValueError(f"{len(manifest['items'])} items where the weights hold {model.sizes.items}")
            model.eval().requires_grad_(False)
            return cls(settings, model.sizes, tuple(manifest["items"]), tuple(manifest["record"]), model)
        except (KeyError, ValueError, TypeError, AttributeError, RuntimeError, SafetensorError) as error:
            raise InputError(f"encoder: files are missing or damaged ({error!r}); train it again") from None
