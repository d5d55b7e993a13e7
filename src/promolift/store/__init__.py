"""Where tables are kept: Parquet on disk, read and written through one DuckDB connection."""

from typing import TYPE_CHECKING

from promolift.lazy import lazy

__all__ = ["Store", "StorePlace", "exists", "on_this_machine", "shards_for", "url_of", "write_rows"]

if TYPE_CHECKING:
    from promolift.store.local import Store, StorePlace, shards_for, write_rows
    from promolift.store.remote import exists, on_this_machine, url_of
else:
    lazy(__name__)
