"""Sort a shop's files into event logs and the files that are joined to them."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

from promolift.foundation.errors import InputError
from promolift.foundation.files.column_names import KIND_BY_EVENT_NAME, normalise_event_name
from promolift.foundation.files.raw_table import RawTable
from promolift.foundation.files.table_files import open_file
from promolift.foundation.i18n.lazy_message import gettext_lazy
from promolift.foundation.storage.local_store import Store
from promolift.shop.configuration.column_mapping import Mapping
from promolift.shop.ingest.cleaning.table_join import (
    JoinKey,
    find_join_key,
    join_rows,
    state_join_key,
)
from promolift.shop.ingest.schema_matching.customer_identity import person_kind
from promolift.shop.ingest.setup.join_question import FileRows, unclear_join

MAX_COLUMNS = 1000  # of a file of events; one with more is a table of features


class LookupFile(NamedTuple):
    """A file whose rows belong to those of an event file: where it is, by which columns they are tied, its rows."""

    path: Path
    tie: JoinKey
    table: RawTable


class FileArgument(NamedTuple):
    """A file and the names of its columns, where it has no line of them."""

    path: Path
    header: Sequence[str] = ()


@dataclass
class EventFile:
    """One file, of events or of another table, and the files tied to it. `header` names the columns of a file without
    a line of them.
    """

    path: Path
    file: RawTable = field(repr=False)
    header: Sequence[str] = ()
    tied: list[LookupFile] = field(default_factory=list, repr=False)

    @property
    def table(self) -> RawTable:
        """The file's rows with the columns of all that is joined to them."""
        rows = self.file.rows
        for path, tie, other in self.tied:
            rows = join_rows(rows, other.rows, tie.on, tie.key, path.stem)
        return replace(self.file, rows=rows)

    def take(self, path: Path, other: RawTable) -> bool:
        """Join a file that has one row for a key of this one; where it is the other way round, they change places.
        A name is no key.
        """
        tie = find_join_key(self.table.rows, other.rows, path.stem)
        if (
            tie is None
            or person_kind(tie.key, [str(value) for value in other.sample()[tie.key].drop_nulls()]) == "name"
        ):
            return self._turn(path, other)
        self.tied.append(LookupFile(path, tie, other))
        return True

    def _turn(self, path: Path, other: RawTable) -> bool:
        turned = EventFile(path, other)
        if self.header or find_join_key(other.rows, self.file.rows, self.path.stem) is None:
            return False
        if not all(turned.take(*part) for part in ((self.path, self.file), *((t.path, t.table) for t in self.tied))):
            return False
        self.path, self.file, self.tied = turned.path, turned.file, turned.tied
        return True


def open_logs(store: Store, events: Sequence[Path]) -> list[EventFile]:
    """The logs. Files joined by '+' make one of them, in whatever order: lines.csv+orders.csv.

    A path may end in the columns' names of a file without a line of them: E.csv:user,item,time, and a further one in
    the columns that tie it: orders.csv:order_id=id. Raises InputError if files joined by '+' have no column that ties
    them, and `join_unclear` where a person has to say which one does.
    """
    logs = [open_joined(store, path) for path in events]
    for log in logs:
        if len(log.file.columns) > MAX_COLUMNS:
            raise InputError(
                "columns_too_many",
                gettext_lazy(
                    "{path}: {columns} columns are no log of events; export one row per event or order line, "
                    "with at most {max_columns} columns",
                    path=log.path,
                    columns=f"{len(log.file.columns):,}",
                    max_columns=f"{MAX_COLUMNS:,}",
                ),
            )
    return logs


def open_joined(store: Store, path: Path) -> EventFile:
    """Open one file, or several of one table joined by '+', as `open_logs` says."""
    first, *others = [path] if path.exists() else [Path(part.strip()) for part in str(path).split("+")]
    file, header = parse_file_argument(first)
    log = EventFile(file, open_file(store.connection, file, store.raw_copies, header or None), header)
    waiting: dict[Path, RawTable] = {}
    for stated in others:
        other, on, key = _parse_tie(stated)
        table = open_file(store.connection, other, store.raw_copies)
        if on:
            log.tied.append(LookupFile(other, _stated_tie(log, other, table, on, key), table))
        else:
            waiting[other] = table
    while waiting:
        taken = [other for other, table in waiting.items() if log.take(other, table)]
        if not taken:
            other, table = next(iter(waiting.items()))
            own, all_rows = (FileRows(log.path, each.rows) for each in (log.file, log.table))
            raise unclear_join(all_rows, own, FileRows(other, table.rows)) or InputError(
                "join_column_missing",
                gettext_lazy(
                    "{other}: no column with one row per value that is also in {name}, so their rows cannot be "
                    "joined; it has {columns}",
                    other=other,
                    name=log.path.name,
                    columns=", ".join(table.columns[:20]),
                ),
            )
        waiting = {other: table for other, table in waiting.items() if other not in taken}
    return log


class StatedTie(NamedTuple):
    """A further file, and the columns that a person has named: of the rows so far, and of the file; "" for none."""

    path: Path
    on: str = ""
    key: str = ""


def _parse_tie(path: Path) -> StatedTie:
    """A path such as orders.csv:order_id=id."""
    file, colon, names = str(path).rpartition(":")
    on, equals, key = names.partition("=")
    return (
        StatedTie(path) if path.exists() or not (colon and equals) else StatedTie(Path(file), on.strip(), key.strip())
    )


def _stated_tie(log: EventFile, path: Path, table: RawTable, on: str, key: str) -> JoinKey:
    rows = log.table
    for name, columns, where in ((on, rows.columns, log.path.name), (key, table.columns, path.name)):
        if name not in columns:
            raise InputError(
                "column_unknown",
                gettext_lazy(
                    "{path}: {where} has no column {name}; it has {columns}",
                    path=path,
                    where=where,
                    name=repr(name),
                    columns=", ".join(columns[:20]),
                ),
            )
    tie = state_join_key(rows.rows, table.rows, on, key)
    if tie is None:
        raise InputError(
            "join_column_missing",
            gettext_lazy(
                "{path}: {key} stands in several rows, so a row of {name} cannot find its own: put the "
                "file with one row per value last",
                path=path,
                key=repr(key),
                name=log.path.name,
            ),
        )
    return tie


def parse_file_argument(path: Path) -> FileArgument:
    """A path such as E.csv:user,item,time as the file and its columns' names; any other as it is, without names."""
    file, colon, names = str(path).rpartition(":")
    if not colon or "," not in names or path.exists():
        return FileArgument(path)
    return FileArgument(Path(file), [name.strip() for name in names.split(",")])


def event_kind_from_name(path: Path, mapping: Mapping) -> Mapping:
    """The mapping of one of several logs; where no column says what its events are, the file's name does."""
    words = re.findall(r"[a-z]+|[^\W\d_]+", re.sub(r"([a-z])([A-Z])", r"\1 \2", path.stem).lower())
    pairs = [f"{one} {two}" for one, two in pairwise(words)]
    known = [kind for word in (*words, *pairs) if (kind := _kind(word))]
    if "kind" in mapping.columns or not known or mapping.constants.get("kind") == known[-1]:
        return mapping
    note = f"no kind column: by the file's name every row is read as {known[-1]} (set constants.kind)"
    notes = (*(each for each in mapping.notes if "constants.kind" not in each), note)
    return mapping.model_copy(update={"constants": mapping.constants | {"kind": known[-1]}, "notes": notes})


def _kind(word: str) -> str | None:
    bare = normalise_event_name(word)
    return KIND_BY_EVENT_NAME.get(bare) or KIND_BY_EVENT_NAME.get(bare.removesuffix("s"))
