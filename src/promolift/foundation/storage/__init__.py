"""Where tables are kept: Parquet on disk, read and written through one DuckDB connection."""

from typing import TYPE_CHECKING

from promolift.foundation.lazy_imports import make_lazy

__all__ = ["Store", "StorePlace", "shards_for", "write_rows"]

if TYPE_CHECKING:
    from promolift.foundation.storage.local_store import Store, StorePlace, shards_for
    from promolift.foundation.storage.table_writing import write_rows
else:
    make_lazy(__name__)
