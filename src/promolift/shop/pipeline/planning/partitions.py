"""Store candidates in partitions of whole customers, and map functions over the partitions.

One partition is in memory at a time. The solver works on the same partitions through the executor; a round reads only
what it needs.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, MutableMapping, Sequence
from dataclasses import dataclass, fields, replace
from functools import partial
from typing import Any, Concatenate, NamedTuple, ParamSpec, TypeVar

import numpy as np
import polars as pl

from promolift.core.allocation.algorithms.choice import ChoiceRows, SlotChoice
from promolift.core.allocation.algorithms.constraints import LimitMask
from promolift.core.allocation.candidate_table import (
    CandidateMatrices,
    LimitKinds,
    code_masks,
    find_limit_kinds,
    merge_limit_kinds,
    to_matrices,
)
from promolift.core.allocation.settings import Limit
from promolift.core.decisions.price_decisions import PriceDecisions
from promolift.foundation.storage.table_writing import Scratch
from promolift.shop.results.work_folder.run_context import Job, map_shards

Change = Callable[[pl.DataFrame], pl.DataFrame]
Params = ParamSpec("Params")
TaskParams = ParamSpec("TaskParams")
Result = TypeVar("Result")


@dataclass(frozen=True)
class PartitionedFrame:
    """A table in `count` partitions of whole customers. Each is read when it is used, so that one is in memory at a
    time. What was put on disk travels to workers, if `changes` are functions of modules.
    """

    read: Callable[[int], pl.DataFrame]
    count: int
    changes: tuple[Change, ...] = ()

    @classmethod
    def of(cls, *frames: pl.DataFrame) -> "PartitionedFrame":
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

    def map(self, change: Change) -> "PartitionedFrame":
        """Return the frame with `change` applied to each partition when it is read."""
        return replace(self, changes=(*self.changes, change))

    def collect(self, change: Change) -> pl.DataFrame:
        """Apply `change` to each partition and return all results in one frame."""
        return pl.concat((change(part) for part in self), how="vertical_relaxed")


class PartitionStore:
    """Stores the partitions of a step: in memory if there is one, on disk if there are more."""

    def __init__(self, frames: MutableMapping[str, pl.DataFrame]) -> None:
        """`frames` holds what is put: a dict, or a `Scratch` of the work folder."""
        self.frames = frames
        self.slots = dict[str, CandidateMatrices]()

    def each(
        self, job: Job, count: int, task: Callable[Concatenate[Job, int, Params], Result], *more: Params.args,
        **named: Params.kwargs,
    ) -> Iterator[Result]:  # fmt: skip
        """Yield what `task` returns for each partition, in order (see `map_shards`). Partitions in memory are worked on
        in this process."""
        if isinstance(self.frames, Scratch):
            return map_shards(job, task, range(count), *more, **named)
        return (task(job, number, *more, **named) for number in range(count))

    def put(self, name: str, part: int, frame: pl.DataFrame) -> None:
        self.frames[_key(name, part)] = frame

    def get(self, name: str, part: int) -> pl.DataFrame:
        return self.frames[_key(name, part)]

    def parts(self, name: str) -> PartitionedFrame:
        count = sum(key.rpartition(" ")[0] == name for key in self.frames)
        return PartitionedFrame(partial(self.get, name), count)

    def put_slots(self, name: str, part: int, spread: CandidateMatrices) -> None:
        """Keep a part as the solver sees it. Units that are all 0 are not written."""
        if not isinstance(self.frames, Scratch):
            self.slots[_key(name, part)] = spread
            return
        arrays = {each.name: getattr(spread.rows, each.name) for each in fields(ChoiceRows)}
        kept = {name: array for name, array in arrays.items() if array.any() or name not in ZEROS}
        self.frames.put_arrays(_key(name, part), {**kept, "row_NK": spread.row_NK})

    def get_slots(self, name: str, part: int) -> CandidateMatrices:
        if not isinstance(self.frames, Scratch):
            return self.slots[_key(name, part)]
        arrays = self.frames.arrays(_key(name, part))
        zeros = {
            name: np.zeros(arrays["gain_NK"].shape[:depth], kind)
            for name, (depth, kind) in ZEROS.items()
            if name not in arrays
        }
        row_NK = arrays.pop("row_NK")
        return CandidateMatrices(ChoiceRows(**arrays, **zeros), row_NK)


ZEROS = {"units_NK": (2, np.float64), "offer_NK": (2, np.int32), "label_N": (1, np.int32)}


def _key(name: str, part: int) -> str:
    return f"{name} {part:05}"


@dataclass(frozen=True)
class StoredRounds:
    """Rounds over the partitions that are laid out under a name."""

    job: Job
    shelf: PartitionStore
    name: str
    count: int

    def each(
        self,
        task: Callable[Concatenate[ChoiceRows, TaskParams], Result],
        *args: TaskParams.args,
        **kwargs: TaskParams.kwargs,
    ) -> Iterator[Result]:
        """See PartitionedRows."""
        return self.shelf.each(self.job, self.count, run_on_slots, self.shelf, self.name, task, args, kwargs)


def run_on_slots(
    job: Job, number: int, shelf: PartitionStore, name: str, task: Callable[..., Result], given: tuple[Any, ...],
    named: Mapping[str, Any],
) -> Result:  # fmt: skip
    """Run a task on the slots of one partition."""
    return task(shelf.get_slots(name, number).rows, *given, **named)


@dataclass(frozen=True)
class StoredOffers:
    """Stored candidates under `name`, laid out for limits; they implement PreparedCandidates."""

    partitions: StoredRounds
    name: str
    masks: Mapping[str, LimitMask]
    codes: int
    boosted: bool
    scopes: pl.DataFrame

    @classmethod
    def lay_out(
        cls, job: Job, shelf: PartitionStore, name: str, limits: Sequence[Limit], scopes: pl.DataFrame, boosted: bool
    ) -> "StoredOffers":
        """Lay out the parts under a name for plans under these limits, whatever their bounds."""
        count, seed = shelf.parts(name).count, job.config.plan.seed
        found = [*shelf.each(job, count, partition_limit_kinds, shelf, name, limits)]
        kinds = merge_limit_kinds(found)
        for _ in shelf.each(job, count, lay_out_partition, shelf, name, limits, kinds, seed):
            pass
        rounds = StoredRounds(job, shelf, f"{name} laid", count)
        return cls(rounds, name, code_masks(found, limits), max(kinds.height, 1), boosted, scopes)

    def map_chosen(self, choice: SlotChoice, what: Callable[[pl.DataFrame], Result]) -> Iterator[Result]:
        """See PreparedCandidates."""
        of = self.partitions
        return of.shelf.each(of.job, of.count, map_chosen_rows, of.shelf, self.name, choice, what)


def partition_limit_kinds(
    job: Job, number: int, shelf: PartitionStore, name: str, limits: Sequence[Limit]
) -> LimitKinds:
    """Return which limits apply to a partition, and how."""
    return find_limit_kinds(shelf.get(name, number), limits)


def lay_out_partition(
    job: Job, number: int, shelf: PartitionStore, name: str, limits: Sequence[Limit], kinds: pl.DataFrame, seed: int
) -> None:
    """Lay out one partition for the solver."""
    shelf.put_slots(f"{name} laid", number, to_matrices(shelf.get(name, number), limits, kinds).hashed(seed))


def chosen_rows(shelf: PartitionStore, name: str, number: int, choice: SlotChoice) -> pl.DataFrame:
    """Return the chosen rows of a partition."""
    return shelf.get(name, number)[shelf.get_slots(f"{name} laid", number).chosen(choice, number)]


def map_chosen_rows(
    job: Job, number: int, shelf: PartitionStore, name: str, choice: SlotChoice, what: Callable[[pl.DataFrame], Result]
) -> Result:
    """Apply `what` to the chosen rows of a partition."""
    return what(chosen_rows(shelf, name, number, choice))


class DecisionRecords(NamedTuple):
    """Everybody's decision: the candidates with the probability of each, and DECISIONS, both in parts; the candidates
    that were decided for, by customer; and customer_id, offer_id and holdout of everybody.
    """

    rows: PartitionedFrame
    decisions: PartitionedFrame
    chosen: pl.DataFrame
    assignments: pl.DataFrame


class PartitionRecords(NamedTuple):
    """The chosen rows and assignments of one partition: see DecisionRecords."""

    chosen: pl.DataFrame
    assignments: pl.DataFrame


def record_partition(made: PriceDecisions, shelf: PartitionStore, name: str, number: int) -> PartitionRecords:
    """Store the decisions of one partition."""
    rows, drawn = made
    known = pl.all_horizontal(pl.col("gain_cents", "cost_cents").is_not_null())
    open_ = pl.col("eligible") & pl.col("why_not").is_null() & known
    rows = rows.with_columns(pl.Series("prob", drawn.prob_R), open_.alias("open"))
    ids = drawn.decisions.filter(pl.col("offer_id") != "none")["decision_id"]
    shelf.put(f"{name} rows", number, rows)
    shelf.put(f"{name} decisions", number, drawn.decisions)
    assignments = drawn.decisions.select("customer_id", "offer_id", "holdout")
    return PartitionRecords(rows[drawn.chosen_C].with_columns(ids), assignments)


def collect_records(made: Iterable[PartitionRecords], shelf: PartitionStore, name: str) -> DecisionRecords:
    """Collect the stored decisions of all partitions."""
    chosen, assignments = zip(*made, strict=True)
    rows, decisions = (shelf.parts(f"{name} {what}") for what in ("rows", "decisions"))
    return DecisionRecords(rows, decisions, pl.concat(chosen).sort("customer_id"), pl.concat(assignments))
