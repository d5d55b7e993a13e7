"""Settings and results of an advertising project (`[ads]`), in which an offer is a creative at a placement.

Legend: A creatives.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import polars as pl
from pydantic import Field

from promolift.foundation.evidence import SampleEstimate
from promolift.foundation.i18n.lazy_message import LazyMessage
from promolift.foundation.localized_text import Language
from promolift.foundation.settings import Settings
from promolift.foundation.storage.local_store import Store
from promolift.foundation.storage.stored_model import Note
from promolift.trials.analysis.settings import Names

Layout = Literal["tests", "impressions"]


class CreativeSettings(Settings):
    """What the columns of a file of advertisements mean. With `shown` a row is a creative in a test, with the
    impressions it had; without it a row is one impression, with the probability of its creative.
    `promolift init --trade ads` writes it.
    """

    path: str = Field(description="The file, any layout.", examples=["impressions.csv"])
    creative: str = Field(description="Column of the creative: its id, or its text.", examples=["item_id"])
    clicked: str = Field(description="Column of clicks: their number, or 1 and 0.", examples=["click"])
    text: str | None = Field(
        default=None, description="Column of the creative's words, by which new ones are ranked before any impression.",
        examples=["headline"],
    )  # fmt: skip
    shown: str | None = Field(default=None, description="Column of the impressions a row counts.",
                              examples=["impressions"])  # fmt: skip
    test: Names = Field(
        default=(), description="Columns that together name a test: creatives of one were randomised against each "
        "other.", examples=[["test_id"]],
    )  # fmt: skip
    picture: str | None = Field(
        default=None, description="Column of the creative's picture: a path or address, handed on as it is.",
        examples=["image_url"],
    )  # fmt: skip
    propensity: str | None = Field(
        default=None, description="Column of the probability with which the creative was drawn.",
        examples=["propensity_score"],
    )  # fmt: skip
    placement: str | None = Field(default=None, description="Column of the place on the page.", examples=["position"])
    audience: Names = Field(
        default=(), description="Columns that were known of the viewer before; audiences are their values.",
        examples=[["device"]],
    )  # fmt: skip
    customer: str | None = Field(
        default=None, description="Column that names the viewer: fatigue is read from their exposures.",
        examples=["user_id"],
    )  # fmt: skip
    period: str | None = Field(
        default=None, description="Column that orders the rows: later ones judge what earlier ones taught.",
        examples=["timestamp"],
    )  # fmt: skip
    new: str | None = Field(
        default=None, description="File of new creatives: a table with the `text` column (and `test`, if they "
        "compete), or a .txt file with one a line.", examples=["new.txt"],
    )  # fmt: skip
    budget: int = Field(default=100_000, ge=1, description="Impressions to plan.", examples=[50_000])
    days: int = Field(default=7, ge=1, description="Days over which they are paced.")
    campaign: str = Field(
        default="ads",
        pattern=r"^[a-z0-9][a-z0-9-]*$",
        max_length=64,
        description="The campaign that they are served by.",
    )
    price_cents: float = Field(
        default=1.0, gt=0, description="What an impression costs, in minor units; 0.5 is 5.00 for a thousand. At 1 the "
        "budget on the server counts impressions.", examples=[0.5],
    )  # fmt: skip
    unasked: bool = Field(
        default=False, description="Whether a visitor of whom neither a yes nor a no is known gets the creatives of "
        "their audience. Else they get, like who said no, what everybody gets at the placement.",
    )  # fmt: skip
    cap: int = Field(default=3, ge=1, description="The most impressions of one creative a viewer gets a day.")
    explore: float = Field(
        default=0.1, ge=0.01, lt=1, description="Share of impressions drawn evenly, so that the next log can teach."
    )
    policy: Literal["proven", "bandit"] = Field(
        default="proven", description="Of a log with propensities. `proven`: the learned creatives where later rows "
        "show that they beat what ran, else what ran. `bandit`: each creative as often as it is probably the best of "
        "its placement and audience, so that each next log teaches the next plan.",
    )  # fmt: skip
    language: Language = Field(default="en", description="Of what is printed: zh or en.")


class Creative(Settings):
    """What is shown of a creative."""

    text: str | None = None
    picture: str | None = None


class CreativeCatalogue(Note):
    """What a release of creatives has beside its shares: the settings it was planned by, and each creative."""

    NAME: ClassVar[str] = "creative_plan"
    settings: CreativeSettings
    creatives: dict[str, Creative]

    @staticmethod
    def load_shares(store: Store) -> pl.DataFrame:
        """placement, audience, creative, share, shown, clicks: what is served, and what the next shares go on from."""
        return store.frame("creatives")

    def save_plan(self, store: Store, planned: pl.DataFrame) -> None:
        """Write both into the work folder, the note last."""
        store.save("creatives", planned)
        self.keep(store)

    def to_response(self, creative: str) -> dict[str, Any]:
        """A creative as it is answered: `offer`, of the type `creative`, and its words as the message."""
        each = self.creatives.get(creative, Creative(text=creative))
        offer = {"id": creative, "type": "creative", "benefit": {"type": "none"}, **each.model_dump()}
        return {"offer": offer, "message": each.text, "language": self.settings.language}


class CreativeFile(Settings):
    """A settings file of the trade `ads`, which has one part."""

    ads: CreativeSettings


@dataclass(frozen=True)
class CreativeResults:
    """All that a run found. `plan`: shares and impressions of creatives by placement and audience, or new creatives in
    order. `counts`: impressions and clicks of each by placement and audience. `values`: clicks per impression on later
    rows, and differences. `verdict` says what may be claimed."""

    settings: CreativeSettings
    layout: Layout
    counts: pl.DataFrame
    catalogue: CreativeCatalogue
    training_rows: int
    evaluation_rows: int
    plan: pl.DataFrame
    values: Mapping[str, SampleEstimate]
    fatigue: pl.DataFrame
    verdict: LazyMessage
    notes: tuple[LazyMessage, ...]
