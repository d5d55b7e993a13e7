"""Frames of whole customers in, in memory or on disk; the same one at a time, changed by what was asked of all, out.

And as the solver sees them: a round goes to each part by the engine, which reads no more of it than that round asks.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, MutableMapping, Sequence
from dataclasses import dataclass, fields, replace
from functools import partial
from typing import Any, Concatenate, NamedTuple, ParamSpec, TypeVar

import numpy as np
import polars as pl

from promolift.core.allocation.algorithms.choice import ChoiceRows, SlotChoice
from promolift.core.allocation.algorithms.constraints import Mask
from promolift.core.allocation.candidate_table import LimitKinds, SpreadRows, all_kinds, code_masks, kinds_of, spread
from promolift.core.allocation.settings import Limit
from promolift.core.decisions.price_decisions import Settled
from promolift.foundation.storage.local_store import Scratch
from promolift.shop.results.work_folder.run_context import Job, mapped

Change = Callable[[pl.DataFrame], pl.DataFrame]
Asked = ParamSpec("Asked")
Given = ParamSpec("Given")
Found = TypeVar("Found")


@dataclass(frozen=True)
class CustomerParts:
    """A table in `count` parts of whole customers, each read whenever it is come to, so that one lies in memory at a
    time. What was put on disk travels to workers, if `changes` are functions of modules.
    """

    read: Callable[[int], pl.DataFrame]
    count: int
    changes: tuple[Change, ...] = ()

    @classmethod
    def of(cls, *frames: pl.DataFrame) -> "CustomerParts":
        return cls(frames.__getitem__, len(frames))

    def part(self, number: int) -> pl.DataFrame:
        frame = self.read(number)
        for change in self.changes:
            frame = change(frame)
        return frame

    def __iter__(self) -> Iterator[pl.DataFrame]:
        return map(self.part, range(self.count))

    def __len__(self) -> int:
        return self.count

    def then(self, change: Change) -> "CustomerParts":
        """The same with each part changed, whenever it is read."""
        return replace(self, changes=(*self.changes, change))

    def together(self, change: Change) -> pl.DataFrame:
        """What the change leaves of each part, in one frame."""
        return pl.concat((change(part) for part in self), how="vertical_relaxed")


class PartShelf:
    """Where a step puts its parts: in memory if there is one, on disk if there are more."""

    def __init__(self, frames: MutableMapping[str, pl.DataFrame]) -> None:
        """`frames` holds what is put: a dict, or a `Scratch` of the work folder."""
        self.frames = frames
        self.slots = dict[str, SpreadRows]()

    def each(
        self, job: Job, count: int, task: Callable[Concatenate[Job, int, Asked], Found], *more: Asked.args,
        **named: Asked.kwargs,
    ) -> Iterator[Found]:  # fmt: skip
        """What a function finds for each of so many parts, in their order: see `mapped`. What lies in memory is worked
        on here."""
        if isinstance(self.frames, Scratch):
            return mapped(job, task, range(count), *more, **named)
        return (task(job, number, *more, **named) for number in range(count))

    def put(self, name: str, part: int, frame: pl.DataFrame) -> None:
        self.frames[_key(name, part)] = frame

    def get(self, name: str, part: int) -> pl.DataFrame:
        return self.frames[_key(name, part)]

    def parts(self, name: str) -> CustomerParts:
        count = sum(key.rpartition(" ")[0] == name for key in self.frames)
        return CustomerParts(partial(self.get, name), count)

    def put_slots(self, name: str, part: int, spread: SpreadRows) -> None:
        """Keep a part as the solver sees it. Units that are all 0 are not written."""
        if not isinstance(self.frames, Scratch):
            self.slots[_key(name, part)] = spread
            return
        arrays = {each.name: getattr(spread.rows, each.name) for each in fields(ChoiceRows)}
        kept = {name: array for name, array in arrays.items() if array.any() or name not in ZEROS}
        self.frames.put_arrays(_key(name, part), {**kept, "row_NK": spread.row_NK})

    def get_slots(self, name: str, part: int) -> SpreadRows:
        if not isinstance(self.frames, Scratch):
            return self.slots[_key(name, part)]
        arrays = self.frames.arrays(_key(name, part))
        zeros = {
            name: np.zeros(arrays["gain_NK"].shape[:depth], kind)
            for name, (depth, kind) in ZEROS.items()
            if name not in arrays
        }
        row_NK = arrays.pop("row_NK")
        return SpreadRows(ChoiceRows(**arrays, **zeros), row_NK)


ZEROS = {"units_NK": (2, np.float64), "offer_NK": (2, np.int32), "label_N": (1, np.int32)}


def _key(name: str, part: int) -> str:
    return f"{name} {part:05}"


@dataclass(frozen=True)
class ShelvedRounds:
    """Rounds over the parts that lie laid out under a name."""

    job: Job
    shelf: PartShelf
    name: str
    count: int

    def each(
        self, task: Callable[Concatenate[ChoiceRows, Given], Found], *given: Given.args, **named: Given.kwargs
    ) -> Iterator[Found]:
        """See allocate.rounds.Rounds."""
        return self.shelf.each(self.job, self.count, on_slots, self.shelf, self.name, task, given, named)


def on_slots(
    job: Job, number: int, shelf: PartShelf, name: str, task: Callable[..., Found], given: tuple[Any, ...],
    named: Mapping[str, Any],
) -> Found:  # fmt: skip
    """What a task finds in one part as the solver sees it."""
    return task(shelf.get_slots(name, number).rows, *given, **named)


@dataclass(frozen=True)
class ShelvedOffers:
    """Candidates on a shelf, under `name`, laid out for limits: see allocate.offers.OpenOffers."""

    rounds: ShelvedRounds
    name: str
    masks: Mapping[str, Mask]
    codes: int
    boosted: bool
    scopes: pl.DataFrame

    @classmethod
    def laid(
        cls, job: Job, shelf: PartShelf, name: str, limits: Sequence[Limit], scopes: pl.DataFrame, boosted: bool
    ) -> "ShelvedOffers":
        """Lay out the parts under a name for plans under these limits, whatever their bounds."""
        count, seed = shelf.parts(name).count, job.config.plan.seed
        found = [*shelf.each(job, count, kinds_in, shelf, name, limits)]
        kinds = all_kinds(found)
        for _ in shelf.each(job, count, laid_out, shelf, name, limits, kinds, seed):
            pass
        rounds = ShelvedRounds(job, shelf, f"{name} laid", count)
        return cls(rounds, name, code_masks(found, limits), max(kinds.height, 1), boosted, scopes)

    def taken(self, choice: SlotChoice, what: Callable[[pl.DataFrame], Found]) -> Iterator[Found]:
        """See OpenOffers."""
        of = self.rounds
        return of.shelf.each(of.job, of.count, in_chosen, of.shelf, self.name, choice, what)


def kinds_in(job: Job, number: int, shelf: PartShelf, name: str, limits: Sequence[Limit]) -> LimitKinds:
    """Which limits touch a part, and how."""
    return kinds_of(shelf.get(name, number), limits)


def laid_out(
    job: Job, number: int, shelf: PartShelf, name: str, limits: Sequence[Limit], kinds: pl.DataFrame, seed: int
) -> None:
    """Lay out one part."""
    shelf.put_slots(f"{name} laid", number, spread(shelf.get(name, number), limits, kinds).hashed(seed))


def chosen_in(shelf: PartShelf, name: str, number: int, choice: SlotChoice) -> pl.DataFrame:
    """The rows of a part that are chosen."""
    return shelf.get(name, number)[shelf.get_slots(f"{name} laid", number).chosen(choice, number)]


def in_chosen(
    job: Job, number: int, shelf: PartShelf, name: str, choice: SlotChoice, what: Callable[[pl.DataFrame], Found]
) -> Found:
    """What is asked of them."""
    return what(chosen_in(shelf, name, number, choice))


class Recorded(NamedTuple):
    """Everybody's decision: the candidates with the probability of each, and DECISIONS, both in parts; the candidates
    that were decided for, by customer; and customer_id, offer_id and holdout of everybody.
    """

    rows: CustomerParts
    decisions: CustomerParts
    chosen: pl.DataFrame
    given: pl.DataFrame


class RecordedPart(NamedTuple):
    """Of one part what is held of all: see Recorded."""

    chosen: pl.DataFrame
    given: pl.DataFrame


def record(made: Settled, shelf: PartShelf, name: str, number: int) -> RecordedPart:
    """Decisions of one part put on the shelf."""
    rows, drawn = made
    known = pl.all_horizontal(pl.col("gain_cents", "cost_cents").is_not_null())
    open_ = pl.col("eligible") & pl.col("why_not").is_null() & known
    rows = rows.with_columns(pl.Series("prob", drawn.prob_R), open_.alias("open"))
    ids = drawn.decisions.filter(pl.col("offer_id") != "none")["decision_id"]
    shelf.put(f"{name} rows", number, rows)
    shelf.put(f"{name} decisions", number, drawn.decisions)
    given = drawn.decisions.select("customer_id", "offer_id", "holdout")
    return RecordedPart(rows[drawn.chosen_C].with_columns(ids), given)


def recorded(made: Iterable[RecordedPart], shelf: PartShelf, name: str) -> Recorded:
    """Everybody's decisions, of which each part was put on the shelf."""
    chosen, given = zip(*made, strict=True)
    rows, decisions = (shelf.parts(f"{name} {what}") for what in ("rows", "decisions"))
    return Recorded(rows, decisions, pl.concat(chosen).sort("customer_id"), pl.concat(given))
