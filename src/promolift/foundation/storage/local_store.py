"""A folder in, tables out: Parquet files, JSON notes and finished steps, through one DuckDB connection.

    root/tables/<name>.parquet              a table in one file
    root/tables/<name>/shard=<k>.parquet    a table in shards of whole customers
    root/notes/<name>.json                  small results
    root/models/<name>/                     a model's files
    root/steps.json                         which step was done on which inputs

Every write goes to root/tmp first and is renamed into place, so an interruption leaves the old table or the new one.
Where the folder is a URL, root is a copy of this machine, and what a step wrote is sent when it is done.
"""

import json
import math
import os
import secrets
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from socket import gethostname
from time import time
from types import TracebackType
from typing import Any, NamedTuple, Self
from uuid import uuid4

import duckdb
import numpy as np
import polars as pl
from numpy.typing import NDArray

from promolift.foundation.errors import ConfigError, InputError, StepError
from promolift.foundation.i18n.lazy_message import gettext_lazy
from promolift.foundation.sql import quote_identifier, sql_literal
from promolift.foundation.storage.artifacts import PRODUCED_BY
from promolift.foundation.storage.next_version import finish_switch
from promolift.foundation.storage.remote_storage import brought, is_stored, listed, on_this_machine, storage_at, url_of
from promolift.foundation.storage.table_writing import (
    Relation,
    Scratch,
    TableDraft,
    name_query_errors,
    run_query,
    write_rows,
)
from promolift.foundation.storage.temporary_folder import TemporaryFolder

try:
    import fcntl
except ImportError:  # pragma: no cover - Windows has no advisory locks of this kind
    fcntl = None  # type: ignore[assignment]

BATCH = 131_072  # rows parted at once
SECRET_LENGTH = 32  # characters that a secret has at least


def made_by(name: str) -> str:
    """The verb that makes a table, a note or a model; a model of a trial's outcome is made where its trial is."""
    return "effect fit" if name.startswith("effect_") else PRODUCED_BY.get(name, "run")


def shards_for(rows: int, memory: str = "1GB") -> int:
    """How many shards keep the work on one of them within `memory`: one per 200,000 rows to a gigabyte."""
    size = float(memory[:-2]) / (1 if memory.endswith("GB") else 1000)
    return min(max(1, math.ceil(rows / (200_000 * size))), 4096)


def shard_expression(column: str, shards: int) -> str:
    """SQL for the shard (0 to shards - 1) of a customer: low 64 bits of md5, the same in every version and machine."""
    hashed = f"cast(md5_number_lower(coalesce({quote_identifier(column)}, '')) % {shards} as integer)"
    return hashed if shards > 1 else "0"


class SavedModel(NamedTuple):
    """The arrays and the manifest of a model."""

    arrays: dict[str, NDArray[Any]]
    manifest: Any


class StorePlace(NamedTuple):
    """Where a run's work folder lies, for its workers: `work` is what the run itself keeps there until it ends."""

    root: Path
    work: Path


class Store:
    """One folder and one DuckDB connection. Use it in a `with`; a second writer on the same folder gets StepError.

    `memory` bounds DuckDB's own buffers; larger work spills to root/tmp. Reading never needs the writer's lock.
    """

    def __init__(self, root: Path | str, *, memory: str = "1GB", threads: int = 2, within: Path | None = None) -> None:
        """Open the folder, made if need be, or the URL. Raises ConfigError if it cannot be.

        Temporary files lie `within` a folder, which a worker shares with who asks; by itself in root/tmp.
        """
        url = url_of(root)
        self.remote = storage_at(url).open_folder(url) if url else None
        self.root = self.remote.folder if self.remote else on_this_machine(root)
        self._lock: int | None = None
        self._closed = False
        self._threads = threads
        try:
            self._temporary = TemporaryFolder(within or self.root.absolute() / "tmp")
            if within is None:
                self._temporary.remove_abandoned()
                finish_switch(self.root)
        except OSError as error:
            reason = f"{error.strerror or error}"
            raise ConfigError(
                "folder_not_writable",
                gettext_lazy(
                    "{root}: cannot make this folder ({reason}); choose another one", root=self.root, reason=reason
                ),
            ) from None
        self._work = self._temporary.path
        self.connection = duckdb.connect(":memory:")
        for setting in (
            f"memory_limit = '{memory}'",
            f"threads = {threads}",
            f"temp_directory = {sql_literal(str(self._work / 'spill'))}",
            "preserve_insertion_order = false",  # results are ordered where order matters
            "TimeZone = 'UTC'",
            "autoinstall_known_extensions = false",  # a data tool that stays offline
        ):
            self.connection.execute(f"set {setting}")
        # a notebook that lacks ipywidgets has no bar, and DuckDB refuses to set what it cannot draw
        if self.connection.execute("select current_setting('enable_progress_bar')").fetchall() == [(True,)]:
            self.connection.execute("set enable_progress_bar = false")

    @classmethod
    def at(cls, place: StorePlace, *, memory: str) -> Self:
        """The same work folder for a worker, who writes tables by a `TableDraft` alone. StepError if it is not here."""
        if not place.work.is_dir():
            raise StepError(
                "work_folder_not_shared",
                gettext_lazy(
                    "{gethostname}: the work folder {root} does not lie here; every node must see it at this "
                    "path as on a network file system, or it must be one at a URL",
                    gethostname=gethostname(), root=place.root,
                ),
            )  # fmt: skip
        return cls(place.root, memory=memory, threads=1, within=place.work)

    @property
    def place(self) -> StorePlace:
        """What `at` takes; of a URL it is the copy on this machine."""
        return StorePlace(self.root.absolute(), self._work)

    def __enter__(self) -> Self:
        """The store itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close, whatever happened; at a URL, what a failure left undone is not sent."""
        self.close(send=kind is None)

    def close(self, send: bool = True) -> None:
        """Close the connection, drop temporary files, let the next writer in."""
        try:
            if self.remote and send and not self._closed:
                self.remote.publish()
        finally:
            self._closed = True
            self.connection.close()
            self._temporary.close()
            if self.remote:
                self.remote.close()
            self.unlock()

    @contextmanager
    def one_thread(self) -> Iterator[None]:
        """Until the block ends queries use one thread: sums of fractions are then to the bit the same in every run."""
        self.connection.execute("set threads = 1")
        try:
            yield
        finally:
            self.connection.execute(f"set threads = {self._threads}")

    @property
    def raw_copies(self) -> Path:
        """Where readable copies of raw files go. They end with the run: when the folder is unlocked, or closed."""
        return self._work / "raw"

    def lock(self) -> None:
        """Keep others from writing until `unlock`, or the end. StepError where another writes."""
        self._claim()

    def unlock(self) -> None:
        """Drop copies of raw files and let the next writer in; this store may write again when they are done."""
        shutil.rmtree(self.raw_copies, ignore_errors=True)
        if self.remote:
            self.remote.unlock()
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    # reading

    def has(self, name: str) -> bool:
        """Whether the table exists, in one file or in shards."""
        return any(is_stored(path) for path in (self._file(name), self._folder(name)))

    def table(self, name: str, shard: int | None = None) -> Relation:
        """The table, or one shard of it, as a lazy relation. Raises StepError if it is not there yet."""
        if self._closed:
            raise StepError(
                "store_closed", gettext_lazy("{root} was closed; open the shop, or the store, again", root=self.root)
            )
        if shard is None and brought(self._file(name)).is_file():
            return self.connection.read_parquet(str(self._file(name)))
        if not is_stored(self._folder(name)):
            raise StepError(
                "step_missing",
                gettext_lazy(
                    "no table {name} yet; run `promolift {made_by}` first", name=repr(name), made_by=made_by(name)
                ),
            )
        if shard is None:
            brought(self._folder(name))
            files = [str(self._shard(name, each)) for each in self.shards(name)]
            return self.connection.read_parquet(files)
        if not brought(self._shard(name, shard)).is_file():
            raise StepError(
                "shard_missing",
                gettext_lazy(
                    "table {name} has no shard {shard}; it has {shards}",
                    name=repr(name), shard=shard, shards=self.shards(name),
                ),
            )  # fmt: skip
        return self.connection.read_parquet(str(self._shard(name, shard)))

    def table_of(self, name: str, customers: pl.DataFrame) -> Relation:
        """The shards of a table in which these customers are (column customer_id); all of one that has no shards."""
        if not (shards := self.shards(name)):
            return self.table(name)
        place = f"{shard_expression('customer_id', len(shards))} as shard"
        found = self.connection.from_arrow(customers.to_arrow()).project(place).distinct().order("shard").fetchall()
        files = [str(brought(self._shard(name, each))) for (each,) in found or [(shards[0],)]]
        return self.connection.read_parquet(files)

    def path(self, name: str) -> Path:
        """The file of a table that is kept in one. StepError if it is not there yet."""
        self.table(name)
        return self._file(name)

    def events(self, shard: int | None = None) -> Relation:
        """The clean events, all of them or one shard."""
        return self.table("events", shard)

    def frame(self, name: str) -> pl.DataFrame:
        """The whole table in memory: for tables with a row per customer or fewer."""
        rows: pl.DataFrame = self.table(name).pl()
        return rows

    def shards(self, name: str) -> list[int]:
        """The shards a table has, in order. Raises StepError if the table is not there yet."""
        if not is_stored(self._folder(name)):
            self.table(name)
            return []
        names = (name.removeprefix("shard=") for name in listed(self._folder(name)) if name.startswith("shard="))
        return sorted(int(name.removesuffix(".parquet")) for name in names)

    # writing

    def save(self, name: str, rows: pl.DataFrame | Relation | Iterable[pl.DataFrame]) -> None:
        """Write a table in one file, replacing what was there under that name; frames are written one after another."""
        self._claim()
        draft = self._work / f"{name}.parquet"
        write_rows([rows] if isinstance(rows, pl.DataFrame) else rows, draft)
        self._publish(draft, self._file(name))
        self._removed(self._folder(name))

    @contextmanager
    def split(self, relation: Relation, shards: int, by: str) -> Iterator[list[Path]]:
        """Rows parted into whole customers, by md5 of the column `by`, in one reading: a file for each, which `part`
        reads. Their order within a customer stays.
        """
        import pyarrow as pa  # at first use, here as below: what only reads a table need not wait for it

        place = f"{shard_expression(by, shards)} as shard"
        with self.scratch() as scratch:
            paths = [scratch.folder / str(shard) for shard in range(shards)]
            with ExitStack() as stack, name_query_errors("cleaning"):
                batches = stack.enter_context(relation.to_arrow_reader(BATCH))
                files = [stack.enter_context(pa.ipc.new_file(path, batches.schema)) for path in paths]
                beside = stack.enter_context(self.connection.cursor())  # a query on the same one would end the reading
                for batch in batches:
                    known = batch[by].dictionary_encode(null_encoding="encode")  # each name is hashed once
                    names = pl.DataFrame({by: pl.from_arrow(known.dictionary)}).with_row_index("place")
                    placed = beside.from_arrow(names.to_arrow()).project(f"place, {place}").pl().sort("place")
                    shard_L = placed["shard"].gather(pl.from_arrow(known.indices)).to_numpy().astype(np.uint16)
                    # by way of polars: to see that this is no frame of pandas, pyarrow would load that first
                    parted = batch.take(pl.Series(np.argsort(shard_L, kind="stable")).to_arrow())
                    ends = np.cumsum(np.bincount(shard_L, minlength=shards)).tolist()
                    for file, start, end in zip(files, [0, *ends], ends, strict=False):
                        if end > start:
                            file.write(parted.slice(start, end - start))
            yield paths

    def part(self, path: Path) -> Relation:
        """The rows of one part of a `split`."""
        import pyarrow as pa

        return self.connection.from_arrow(pa.ipc.open_file(pa.memory_map(str(brought(path)))).read_all())

    @contextmanager
    def sharded(self, name: str) -> Iterator["TableDraft"]:
        """Write a table shard by shard: `with store.sharded("events") as put: put(shard, rows)`.

        Rows are a relation, or frames of equal columns, at least one, that are written one after another. The table
        appears when the block ends; if it fails, the old one stays.
        """
        self._claim()
        draft = self._work / name
        draft.mkdir()
        try:
            yield TableDraft(draft)
            for unfinished in draft.glob("*.part"):  # of a worker that was lost
                unfinished.unlink()
            self._publish(draft, self._folder(name))
            self._removed(self._file(name))
        finally:
            self._removed(draft)

    @contextmanager
    def scratch(self) -> Iterator["Scratch"]:
        """An empty place for frames that a step works with, on disk; gone when the block ends."""
        self._claim()
        folder = self._work / uuid4().hex
        folder.mkdir()
        try:
            yield Scratch(folder)
        finally:
            self._removed(folder)

    @contextmanager
    def staged(self, relation: Relation) -> Iterator[Relation]:
        """The relation's rows computed once and kept (on disk if they are many) until the block ends."""
        name = f"staged_{uuid4().hex}"
        run_query(relation, f"create temp table {name} as from rows", "cleaning")
        try:
            yield self.connection.table(name)
        finally:
            self.connection.execute(f"drop table {name}")

    def remove(self, name: str) -> None:
        """Forget a table; nothing happens if it is not there."""
        self._claim()
        self._removed(self._file(name))
        self._removed(self._folder(name))

    # notes and steps

    def save_json(self, name: str, value: Any) -> None:
        """Keep a JSON-able value under a name."""
        self._claim()
        self._write_text(self.root / "notes" / f"{name}.json", json.dumps(value, ensure_ascii=False, indent=1))

    def load_json(self, name: str) -> Any:
        """The value kept under a name. Raises StepError if there is none."""
        path = brought(self.root / "notes" / f"{name}.json")
        if not path.is_file():
            raise StepError(
                "step_missing",
                gettext_lazy(
                    "no result {name} yet; run `promolift {made_by}` first", name=repr(name), made_by=made_by(name)
                ),
            )
        return _read_json(path)

    def remove_json(self, name: str) -> None:
        """Forget the value kept under a name; nothing happens if there is none."""
        self._claim()
        self._removed(self.root / "notes" / f"{name}.json")

    def has_json(self, name: str) -> bool:
        """Whether a value is kept under that name."""
        return is_stored(self.root / "notes" / f"{name}.json")

    def save_model(self, name: str, arrays: Mapping[str, NDArray[Any]], manifest: Any) -> None:
        """Keep a model as plain arrays and a JSON manifest; nothing is pickled."""
        self._claim()
        draft = self._work / f"{name}.npz"
        with draft.open("wb") as file:
            np.savez(file, **{key: np.asarray(part) for key, part in arrays.items()})  # type: ignore[arg-type]
        self._publish(draft, self.root / "models" / draft.name)
        self._write_text(self.root / "models" / f"{name}.json", json.dumps(manifest, ensure_ascii=False))

    def load_model(self, name: str) -> SavedModel:
        """The model kept under a name. Raises StepError if there are none."""
        path = brought(self.root / "models" / f"{name}.npz")
        if not path.is_file():
            raise StepError(
                "step_missing",
                gettext_lazy(
                    "no model {name} yet; run `promolift {made_by}` first", name=repr(name), made_by=made_by(name)
                ),
            )
        brought(path.with_suffix(".json"))
        with np.load(path, allow_pickle=False) as file:
            arrays = {key: file[key] for key in file.files}
        return SavedModel(arrays, _read_json(path.with_suffix(".json")))

    def forget(self, customer_id: str) -> dict[str, int]:
        """Delete a customer's rows from every table that has `customer_id`; how many went, by table.

        Copies of a warehouse's tables go whole, since their columns are the shop's own; the next ingest asks again.
        """
        self._claim()
        for path in brought(self.root / "tables").rglob("pulled_*.parquet"):
            path.unlink()
        return self.delete("customer_id", pl.col("customer_id").cast(pl.String).eq_missing(pl.lit(customer_id)))

    def delete(self, column: str, rows_of: pl.Expr, *names: str) -> dict[str, int]:
        """Delete the rows that an expression is true of from the named tables, else from all, that have a column; how
        many went, by table.
        """
        self._claim()
        gone: dict[str, int] = {}
        for path in sorted(brought(self.root / "tables").rglob("*.parquet")):
            name = path.stem if path.parent.name == "tables" else path.parent.name
            if (names and name not in names) or column not in pl.scan_parquet(path).collect_schema():
                continue
            if found := self.delete_rows(path, rows_of):
                gone[name] = gone.get(name, 0) + found
        if self.remote:
            self.remote.publish(kept_s=0)
        return gone

    def delete_rows(self, path: Path, rows_of: pl.Expr) -> int:
        """Delete the rows of a Parquet file of this folder that an expression is true of; how many."""
        self._claim()
        rows = pl.scan_parquet(path)
        if found := int(rows.select(rows_of.sum()).collect().item() or 0):
            draft = self._work / path.name
            rows.filter(~rows_of.fill_null(False)).sink_parquet(draft, compression="zstd")
            self._publish(draft, path)
        return found

    def age_days(self, name: str) -> float:
        """Days since a table in parts was written."""
        written = max(path.stat().st_mtime for path in brought(self._folder(name)).iterdir())
        return (time() - written) / 86_400

    def save_files(self, name: str, files: Mapping[str, bytes]) -> None:
        """Keep files as they are in models/<name>/, all of them or none, replacing what was there."""
        self._claim()
        draft = self._work / f"{name}.files"
        draft.mkdir()
        for file, content in files.items():
            (draft / file).write_bytes(content)
        self._publish(draft, self.root / "models" / name)

    def load_files(self, name: str) -> dict[str, bytes]:
        """The files kept under a name; none if there are none."""
        folder = brought(self.root / "models" / name)
        return {path.name: path.read_bytes() for path in sorted(folder.iterdir())} if folder.is_dir() else {}

    def remove_files(self, name: str) -> None:
        """Forget files kept under a name; nothing happens if there are none."""
        self._claim()
        self._removed(self.root / "models" / name)

    def secret(self) -> str:
        """The folder's own random secret for coupon codes: made once, readable by its owner alone, never exported.

        Servers of one ledger have the same: PROMOLIFT_SECRET_FILE names a file that goes before the folder's.
        """
        if named := os.environ.get("PROMOLIFT_SECRET_FILE"):
            return _given(Path(named))
        path = brought(self.root / "secret.key")
        if not path.is_file():
            self._claim()
            draft = self._work / path.name
            draft.touch(mode=0o600)
            draft.write_text(secrets.token_hex(32), encoding="ascii")
            self._publish(draft, path)
        return path.read_text(encoding="ascii")

    def stale(self, step: str, fingerprint: str) -> bool:
        """Whether `step` must run: it never finished, or finished on other inputs than `fingerprint` says."""
        return bool(self._steps().get(step) != fingerprint)

    def done(self, step: str, fingerprint: str) -> None:
        """Remember that `step` finished on these inputs."""
        self._claim()
        steps = self._steps() | {step: fingerprint}
        self._write_text(self.root / "steps.json", json.dumps(steps, indent=1, sort_keys=True))
        if self.remote:
            self.remote.publish()

    def undone(self, steps: Sequence[str]) -> None:
        """Forget that these steps finished."""
        kept = self._steps()
        if set(steps) & set(kept):
            self._claim()
            left = {name: mark for name, mark in kept.items() if name not in steps}
            self._write_text(self.root / "steps.json", json.dumps(left, indent=1, sort_keys=True))

    def _steps(self) -> dict[str, str]:
        path = brought(self.root / "steps.json")
        return dict(_read_json(path)) if path.is_file() else {}

    # files

    def _file(self, name: str) -> Path:
        return self.root / "tables" / f"{name}.parquet"

    def _folder(self, name: str) -> Path:
        return self.root / "tables" / name

    def _shard(self, name: str, shard: int) -> Path:
        return self._folder(name) / f"shard={shard}.parquet"

    def _removed(self, path: Path) -> None:
        if self.remote:
            self.remote.drop(path)
        _remove(path)

    def _write_text(self, path: Path, text: str) -> None:
        draft = self._work / path.name
        draft.write_text(text + "\n", encoding="utf-8")
        self._publish(draft, path)

    def _publish(self, draft: Path, place: Path) -> None:
        if self.remote:
            self.remote.drop(place)
        place.parent.mkdir(parents=True, exist_ok=True)
        old = self._work / f"{place.name}.old-{uuid4().hex[:8]}"
        if draft.is_dir() and place.exists():
            place.rename(old)
        try:
            draft.replace(place)
        except BaseException:
            if old.exists():
                old.rename(place)
            raise
        if self.remote:
            self.remote.move(draft, place)
        _remove(old)

    def _claim(self) -> None:
        if self._closed:
            raise StepError(
                "store_closed", gettext_lazy("{root} was closed; open the shop, or the store, again", root=self.root)
            )
        if self.remote:
            self.remote.lock()
            return
        if self._lock is not None or fcntl is None:
            return
        handle = os.open(self.root / "lock", os.O_RDWR | os.O_CREAT, 0o644)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(handle)
            raise StepError(
                "work_folder_locked",
                gettext_lazy(
                    "{root}: another promolift is writing here; wait until it ends, then try again", root=self.root
                ),
            ) from None
        self._lock = handle
        for left in (self.root / "tmp").iterdir():  # copies of raw files that an earlier version left
            if left.is_file():
                left.unlink()


def _given(path: Path) -> str:
    """The secret in a file that somebody named."""
    try:
        found = path.read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(
            "file_unreadable",
            gettext_lazy(
                "{path}: cannot be read ({name}); see PROMOLIFT_SECRET_FILE", path=path, name=type(error).__name__
            ),
        ) from None
    if len(found) < SECRET_LENGTH:
        raise ConfigError(
            "secret_too_short",
            gettext_lazy("{path}: is too short for a secret; put 64 random hex digits into it", path=path),
        )
    return found


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _read_json(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except ValueError:
        raise InputError(
            "file_unreadable", gettext_lazy("{path}: not readable as JSON; delete it and run the step again", path=path)
        ) from None
