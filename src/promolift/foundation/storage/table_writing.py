"""Write tables in one go: Parquet shards of a table, and frames and arrays that a run keeps for itself."""

import shutil
from collections.abc import Iterable, Iterator, Mapping, MutableMapping
from contextlib import contextmanager
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple
from uuid import uuid4

import duckdb
import numpy as np
import polars as pl
from numpy.typing import NDArray

from promolift.foundation.errors import DISK_FULL, InputError, StepError
from promolift.foundation.i18n.lazy_message import gettext_lazy
from promolift.foundation.sql import sql_literal
from promolift.foundation.storage.remote_storage import brought, listed

Relation = duckdb.DuckDBPyRelation

ROWS = 250_000  # in a part of a file that is written at once: bounds the memory


class TableDraft(NamedTuple):
    """A table that is being written shard by shard, by this process or by workers."""

    folder: Path

    def __call__(self, shard: int, rows: Relation | Iterable[pl.DataFrame]) -> None:
        """Write one shard, all of it or nothing; what was written twice counts once."""
        unfinished = self.folder / f"{shard}-{uuid4().hex}.part"
        write_rows(rows, unfinished)
        unfinished.replace(self.folder / f"shard={shard}.parquet")


class Scratch(MutableMapping[str, pl.DataFrame]):
    """Frames by name, each in a file of one folder. Uncompressed: they are read back at once."""

    def __init__(self, folder: Path) -> None:
        """What lies in the folder; it must exist."""
        self.folder = folder

    def part(self, name: str) -> "Scratch":
        """A mapping of its own inside this one."""
        (self.folder / name).mkdir(exist_ok=True)
        return Scratch(self.folder / name)

    def put_arrays(self, name: str, arrays: Mapping[str, NDArray[Any]]) -> None:
        """Write arrays in one go under a name that no frame has, unless a lost worker has written them before."""
        unfinished = self.folder / f".{uuid4().hex}"
        unfinished.mkdir()
        for key, array in arrays.items():
            np.save(unfinished / f"{key}.npy", array)
        try:
            unfinished.rename(self.folder / name)
        except OSError:
            if not (self.folder / name).is_dir():
                raise
            shutil.rmtree(unfinished)

    def arrays(self, name: str) -> dict[str, NDArray[Any]]:
        """Arrays that were put, read from the disk as far as they are looked at; writing to them changes no file."""
        paths = brought(self.folder / name).glob("*.npy")
        return {path.stem: np.asarray(np.load(path, mmap_mode="c")) for path in paths}

    def __getitem__(self, name: str) -> pl.DataFrame:
        """A frame; KeyError where there is none of that name."""
        if name not in self:
            raise KeyError(name)
        return pl.read_ipc(self.folder / name)

    def __setitem__(self, name: str, frame: pl.DataFrame) -> None:
        """Write a frame in one go, replacing what was there."""
        unfinished = self.folder / f".{uuid4().hex}"
        frame.write_ipc(unfinished)
        unfinished.replace(self.folder / name)

    def __delitem__(self, name: str) -> None:
        """Forget a frame."""
        (self.folder / name).unlink()

    def __contains__(self, name: object) -> bool:
        """Whether there is a frame of that name."""
        return brought(self.folder / str(name)).is_file()

    def __iter__(self) -> Iterator[str]:
        """The names."""
        return (name for name in listed(self.folder) if not name.startswith("."))

    def __len__(self) -> int:
        """How many there are."""
        return sum(1 for _ in self)


def write_rows(rows: Relation | Iterable[pl.DataFrame], path: Path) -> None:
    """Write a Parquet file: a relation, or frames of equal columns, at least one, one after another."""
    if isinstance(rows, Relation):
        run_query(rows, f"copy rows to {sql_literal(str(path))} (format parquet, compression zstd)", path.name)
        return
    import pyarrow as pa
    from pyarrow import parquet

    tables = (frame.to_arrow(compat_level=pl.CompatLevel.oldest()) for frame in rows)
    first = next(tables)
    texts = [field.name for field in first.schema if pa.types.is_large_string(field.type)]  # numbers hardly repeat
    with parquet.ParquetWriter(path, first.schema, compression="zstd", use_dictionary=texts) as writer:
        for table in chain([first], tables):
            writer.write_table(table, ROWS)


def run_query(relation: Relation, query: str, what: str) -> None:
    """Run SQL over a relation, named `rows` in it; errors name `what` was done."""
    with name_query_errors(what):
        relation.query("rows", query)


@contextmanager
def name_query_errors(what: str) -> Iterator[None]:
    """Turn DuckDB's and Arrow's errors into a StepError (disk, memory) or an InputError (a row)."""
    from pyarrow import ArrowException

    try:
        yield
    except (duckdb.OutOfMemoryException, duckdb.IOException) as error:
        reason = str(error).splitlines()[0]
        raise StepError(
            "disk_full" if DISK_FULL.search(reason) else "out_of_memory",
            gettext_lazy(
                "{what}: not enough memory or disk ({reason}); free some, or raise the store's memory",
                what=what,
                reason=reason,
            ),
        ) from None
    except (duckdb.Error, ArrowException) as error:
        raise InputError(
            "value_invalid",
            gettext_lazy(
                "{what}: a row cannot be taken in ({splitlines}); correct it in the source",
                what=what,
                splitlines=str(error).splitlines()[0],
            ),
        ) from None
