"""Results of a trained encoder that the work folder stores: its training record and its accuracy."""

from typing import ClassVar, NamedTuple

from promolift.core.customers.forecasts.model_weights import ModelWeight
from promolift.foundation.i18n.catalogue import gettext_noop
from promolift.foundation.i18n.lazy_message import LazyMessage, gettext_lazy
from promolift.foundation.settings import Settings
from promolift.foundation.storage.local_store import Store
from promolift.foundation.storage.stored_model import Note
from promolift.shop.results.predictions import Reliability, Scored

# names under which the encoder, what customers share, and the trees that order next baskets are kept
ENCODER_MODEL, SHARED_MODEL, BASKET_MODEL = "encoder", "encoder_shared", "encoder_basket"

NEXT_BASKET_LABEL, HABIT_LABEL = (
    gettext_noop("the next basket, ten likeliest"),
    gettext_noop("what they bought most often, then what all buy"),
)


class EpochFigures(Settings):
    """One pass over the data: loss and NDCG@10, where it was learned (`train`) and where it was not (`valid`)."""

    epoch: int
    train_loss: float
    valid_loss: float
    train_ndcg: float
    valid_ndcg: float


class FigureRange(Settings):
    """A figure with its 95 % interval."""

    value: float
    low: float
    high: float


class Ndcg(FigureRange):
    """How well the next basket is ranked: the encoder's list, and by `habit` alone, over `n` customers."""

    habit: float
    n: int


class PredictedShare(Settings):
    """A share as it was predicted and as it happened."""

    predicted: float
    observed: float


class ForecastCheck(Settings):
    """How well an encoder saw the last weeks: one row per epoch of training, and the figures on the window.

    `lead` is paired by customer; `basket` says what the trees add; `reliability` is of an item in the next basket.
    """

    epochs: tuple[EpochFigures, ...]
    ndcg: Ndcg
    lead: FigureRange
    basket: ModelWeight
    reliability: Reliability | None
    stays_away: PredictedShare

    @property
    def best_epoch(self) -> EpochFigures:
        """The epoch that is kept: the best where it was not learned."""
        return max(self.epochs, key=lambda each: each.valid_ndcg)

    @property
    def scores(self) -> tuple[Scored, ...]:
        """The list against habit: the figure itself, and the lead."""
        ndcg, lead = self.ndcg, self.lead
        shared = {"model": NEXT_BASKET_LABEL, "n": ndcg.n, "baseline": HABIT_LABEL, "better": "higher"}
        known = {"low": ndcg.low, "high": ndcg.high, "baseline_value": ndcg.habit}
        return (
            Scored(figure="NDCG@10", value=ndcg.value, **known, **shared),
            Scored(figure=gettext_noop("lead in NDCG@10, paired"), **lead.model_dump(), baseline_value=0.0, **shared),
            *_trees(self.basket),
        )


class BasketTrees(NamedTuple):
    """Trees of the next basket as LightGBM text, "" where there are none; what they weigh, None until it is known."""

    trees: str
    note: ModelWeight | None

    @property
    def weight(self) -> float:
        """Of the trees in the order of next baskets, the encoder having the rest."""
        return self.note.weight if self.note else 0.0

    @classmethod
    def load_or_none(cls, store: Store) -> "BasketTrees | None":
        """Those of an earlier run, None where there are none."""
        files = store.load_files(BASKET_MODEL)
        if "member.json" not in files:
            return None
        return cls(files["trees.txt"].decode(), ModelWeight.model_validate_json(files["member.json"]))


def _trees(note: ModelWeight) -> tuple[Scored, ...]:
    """What the trees add to the encoder's order, at the weight that they were given; nothing where there are none."""
    if note.lead is None:
        return ()
    figure = gettext_lazy("lead in NDCG@10 of trees at weight {weight}, paired", weight=f"{note.weight:g}")
    shared = {
        "model": NEXT_BASKET_LABEL,
        "n": note.n,
        "baseline": gettext_noop("the encoder alone"),
        "baseline_value": 0.0,
        "better": "higher",
    }
    return (Scored(figure=figure, value=note.lead, low=note.lead_low, high=note.lead_high, **shared),)


class ForecastNote(Note):
    """What the learned encoder was checked on; `missing` says why there is none."""

    NAME: ClassVar[str] = "outlook"
    missing: LazyMessage | None = None
    checked: ForecastCheck | None = None
