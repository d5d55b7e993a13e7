"""Where tables are kept: Parquet on disk, read and written through one DuckDB connection."""

from promolift.store.local import Store, shards_for

__all__ = ["Store", "shards_for"]
