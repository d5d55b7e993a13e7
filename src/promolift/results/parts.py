"""Frames of whole customers in, in memory or on disk; the same one at a time, changed by what was asked of all, out."""

from collections.abc import Callable, Iterable, Iterator, MutableMapping
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

import polars as pl

from promolift.deliver.settle import Settled

Change = Callable[[pl.DataFrame], pl.DataFrame]


@dataclass(frozen=True)
class CustomerParts:
    """A table in parts of whole customers, each read whenever it is come to, so that one lies in memory at a time."""

    reads: tuple[Callable[[], pl.DataFrame], ...]

    @classmethod
    def of(cls, *frames: pl.DataFrame) -> "CustomerParts":
        return cls(tuple(partial(_same, frame) for frame in frames))

    def __iter__(self) -> Iterator[pl.DataFrame]:
        return (read() for read in self.reads)

    def __len__(self) -> int:
        return len(self.reads)

    def then(self, change: Change) -> "CustomerParts":
        """The same with each part changed, whenever it is read."""
        return CustomerParts(tuple(partial(_changed, read, change) for read in self.reads))

    def together(self, change: Change) -> pl.DataFrame:
        """What the change leaves of each part, in one frame."""
        return pl.concat((change(part) for part in self), how="vertical_relaxed")


def _same(frame: pl.DataFrame) -> pl.DataFrame:
    return frame


def _changed(read: Callable[[], pl.DataFrame], change: Change) -> pl.DataFrame:
    return change(read())


class PartShelf:
    """Where a step puts its parts: in memory if there is one, on disk if there are more."""

    def __init__(self, frames: MutableMapping[str, pl.DataFrame]) -> None:
        """`frames` holds what is put: a dict, or a `Scratch` of the work folder."""
        self.frames = frames

    def put(self, name: str, part: int, frame: pl.DataFrame) -> None:
        self.frames[f"{name} {part:05}"] = frame

    def parts(self, name: str) -> CustomerParts:
        keys = sorted(key for key in self.frames if key.rpartition(" ")[0] == name)
        return CustomerParts(tuple(partial(self.frames.__getitem__, key) for key in keys))


class Recorded(NamedTuple):
    """Everybody's decision: the candidates with the probability of each, and DECISIONS, both in parts; the candidates
    that were decided for, by customer; and customer_id, offer_id and holdout of everybody.
    """

    rows: CustomerParts
    decisions: CustomerParts
    chosen: pl.DataFrame
    given: pl.DataFrame


def recorded(made: Iterable[Settled], shelf: PartShelf, name: str) -> Recorded:
    """Decisions as they are made, part by part, put on the shelf."""
    rows_name, decisions_name = f"{name} rows", f"{name} decisions"
    known = pl.all_horizontal(pl.col("gain_cents", "cost_cents").is_not_null())
    open_ = pl.col("eligible") & pl.col("why_not").is_null() & known
    chosen, given = list[pl.DataFrame](), list[pl.DataFrame]()
    for number, (rows, drawn) in enumerate(made):
        rows = rows.with_columns(pl.Series("prob", drawn.prob_R), open_.alias("open"))
        ids = drawn.decisions.filter(pl.col("offer_id") != "none")["decision_id"]
        chosen.append(rows[drawn.chosen_C].with_columns(ids))
        given.append(drawn.decisions.select("customer_id", "offer_id", "holdout"))
        shelf.put(rows_name, number, rows)
        shelf.put(decisions_name, number, drawn.decisions)
    return Recorded(
        shelf.parts(rows_name), shelf.parts(decisions_name), pl.concat(chosen).sort("customer_id"), pl.concat(given)
    )
