"""What the message step wrote, kept in a work folder: the words of every planned offer, counted once."""

from dataclasses import dataclass
from functools import cached_property
from typing import Self

import polars as pl

from promolift.results.figures import typed
from promolift.results.reasons import Motive
from promolift.settings import Settings
from promolift.store import Store
from promolift.terms import Language

LANGUAGES: tuple[Language, ...] = ("zh", "en")


class Written(Settings):
    """How many messages there are in a language, and the length of the one in the middle, in characters."""

    language: Language
    messages: int
    characters: float


class MotiveCount(Settings):
    """For how many customers something is what sets them apart: a key of `reasons.MOTIVES`."""

    motive: Motive
    customers: int


@dataclass(frozen=True)
class Messages:
    """`rows`: a row per customer who gets an offer, with message_zh, message_en, code, reason, reason_zh and motive."""

    rows: pl.DataFrame

    @classmethod
    def load(cls, store: Store) -> Self:
        """The messages of this work folder. StepError, naming the verb, if there are none."""
        return cls(store.frame("messages"))

    @cached_property
    def written(self) -> tuple[Written, ...]:
        """Each language that has messages."""
        found = []
        for language in LANGUAGES:
            lengths = self.rows[f"message_{language}"].str.len_chars().drop_nulls()
            if lengths.len():
                middle = float(lengths.median())  # type: ignore[arg-type]
                found.append(Written(language=language, messages=lengths.len(), characters=middle))
        return tuple(found)

    @cached_property
    def silent(self) -> int:
        """Customers with an offer and no words in any language."""
        return self.rows.filter(pl.all_horizontal(pl.col(f"message_{each}").is_null() for each in LANGUAGES)).height

    @cached_property
    def motives(self) -> tuple[MotiveCount, ...]:
        """What sets those with an offer apart, the most frequent first; empty where an earlier version did not say."""
        if "motive" not in self.rows.columns:
            return ()
        found = self.rows.group_by("motive").agg(customers=pl.len())
        return typed(MotiveCount, found.sort(["customers", "motive"], descending=[True, False]))

    def typical(self, most: int) -> pl.DataFrame:
        """One row with words for each of the `most` most frequent offers: that of median gain, ties by customer."""
        spoken = self.rows.filter(pl.any_horizontal(pl.col(f"message_{each}").is_not_null() for each in LANGUAGES))
        often = spoken.group_by("offer_id").len().sort(["len", "offer_id"], descending=[True, False]).head(most)
        away = (pl.col("gain_cents") - pl.col("gain_cents").median().over("offer_id")).abs()
        ranked = (
            spoken.join(often, on="offer_id")
            .with_columns(away.alias("away"))
            .sort("away", "customer_id", nulls_last=True)
        )
        first = ranked.unique("offer_id", keep="first", maintain_order=True)
        return first.sort(["len", "offer_id"], descending=[True, False]).drop("len", "away")
