"""Stored results of the message step: the message of every planned offer, and the pool of texts."""

import json
from collections import Counter
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import ClassVar, Literal, Self

import polars as pl
from pydantic import Field

from promolift.core.messages.channels import RulePack, Sender
from promolift.core.messages.composition import MessageDelivery
from promolift.core.messages.text_choice import TextChooser, TextCounts
from promolift.core.messages.text_pool import ApprovalMode, PoolText, TextPool
from promolift.core.offers.terms import Offer
from promolift.foundation.localized_text import LANGUAGES, Language, LocalizedText
from promolift.foundation.settings import Settings
from promolift.foundation.storage.local_store import Store
from promolift.foundation.storage.stored_model import Note
from promolift.shop.results.histograms import rows_as


class LanguageCount(Settings):
    """How many messages there are in a language, and the length of the one in the middle, in characters."""

    language: Language
    messages: int
    characters: float


Motive = Literal["away", "deals", "prices", "category", "spend", "habit", "visits"]


class Offers(Note):
    """The plan's offers as they can be printed."""

    NAME: ClassVar[str] = "offers"
    offers: tuple[Offer, ...]

    @property
    def by_id(self) -> dict[str, Offer]:
        return {offer.id: offer for offer in self.offers}


class MotiveCount(Settings):
    """For how many customers something is what sets them apart: a key of `reasons.MOTIVES`."""

    motive: Motive
    customers: int


class PoolWords(Note):
    """The pool that messages are made from, which of its texts may be sent, and how messages go out."""

    NAME: ClassVar[str] = "wording"
    texts: tuple[PoolText, ...] = ()
    approve: ApprovalMode = "person"
    packs: tuple[RulePack, ...] = ()
    sender: Sender = Sender()
    seed: int = 0
    names: dict[str, LocalizedText] = Field(default={})  # the shop's own, by product, category or catalogue name

    @property
    def pool(self) -> TextPool:
        return TextPool(self.texts)

    @property
    def way(self) -> MessageDelivery:
        return MessageDelivery("plain", self.packs, self.sender)

    def choice(self, tallies: tuple[TextCounts, ...] = ()) -> TextChooser:
        """Who chooses among the texts that may be sent, given what was learned of them."""
        return TextChooser(self.pool.usable(self.approve).texts, tallies, self.seed)

    @property
    def sendable(self) -> "PoolWords":
        """The same without the texts that may not be sent."""
        return self.model_copy(update={"texts": self.pool.usable(self.approve).texts})


@dataclass(frozen=True)
class WithheldMessages:
    """`rows`: a row per customer who is held out and would have got an offer: the offer, the reason, and per language
    the text that the message would have had, with its probability.
    """

    rows: pl.DataFrame

    @classmethod
    def load(cls, store: Store) -> Self:
        return cls(store.frame("withheld"))

    @classmethod
    def has(cls, store: Store) -> bool:
        return store.has("withheld")


TALLIES_FILE = "words.json"  # in the folder of the server: what it counted of each text


def read_tallies(folder: Path) -> tuple[TextCounts, ...]:
    """How often each text was shown and taken up, as a server has counted it; none where none ran."""
    path = folder / TALLIES_FILE
    if not path.is_file():
        return ()
    return tuple(TextCounts(*row) for row in json.loads(path.read_text(encoding="utf-8")))


@dataclass(frozen=True)
class Messages:
    """`rows`: a row per customer who gets an offer: its angle, the facts of its reason, motive, and
    per language message, title and text.
    """

    rows: pl.DataFrame

    @classmethod
    def load(cls, store: Store) -> Self:
        return cls(store.frame("messages"))

    @classmethod
    def has(cls, store: Store) -> bool:
        return store.has("messages")

    @property
    def languages(self) -> tuple[Language, ...]:
        """The languages that messages were written in."""
        return tuple(each for each in LANGUAGES if f"message_{each}" in self.rows.columns)

    @cached_property
    def written(self) -> tuple[LanguageCount, ...]:
        found = []
        for language in self.languages:
            lengths = self.rows[f"message_{language}"].str.len_chars().drop_nulls()
            if lengths.len():
                middle = float(lengths.median())  # type: ignore[arg-type]
                found.append(LanguageCount(language=language, messages=lengths.len(), characters=middle))
        return tuple(found)

    @cached_property
    def angles(self) -> dict[str, int]:
        """How many messages give each reason, most frequent first."""
        return dict(Counter(self.rows["angle"].drop_nulls()).most_common()) if "angle" in self.rows.columns else {}

    @cached_property
    def silent(self) -> int:
        """Customers with an offer and no words in any language."""
        return self.rows.filter(
            pl.all_horizontal(pl.col(f"message_{each}").is_null() for each in self.languages)
        ).height

    @cached_property
    def motives(self) -> tuple[MotiveCount, ...]:
        """What sets those with an offer apart, the most frequent first; empty where an earlier version did not say."""
        if "motive" not in self.rows.columns:
            return ()
        found = self.rows.group_by("motive").agg(customers=pl.len())
        return rows_as(MotiveCount, found.sort(["customers", "motive"], descending=[True, False]))

    def typical(self, most: int) -> pl.DataFrame:
        """One row with words for each of the `most` most frequent angles and offers: median gain, ties by customer."""
        spoken = self.rows.filter(pl.any_horizontal(pl.col(f"message_{each}").is_not_null() for each in self.languages))
        by = ["angle", "offer_id"] if "angle" in spoken.columns else ["offer_id"]
        often = spoken.group_by(by).len().sort(["len", *by], descending=[True, *(False for _ in by)])
        if "angle" in by:  # every reason is shown before one is shown twice
            often = often.with_columns(turn=pl.int_range(pl.len()).over("angle")).sort("turn", maintain_order=True)
        often = often.head(most).with_row_index("place")
        # the lower median: between two rows equally far from a mean of them, rounding would choose
        away = (pl.col("gain_cents") - pl.col("gain_cents").quantile(0.5, "lower").over(by)).abs()
        ranked = spoken.join(often, on=by).with_columns(away.alias("away")).sort("away", "customer_id", nulls_last=True)
        first = ranked.unique("place", keep="first", maintain_order=True)
        return first.sort("place").drop("len", "away", "place", "turn", strict=False)
