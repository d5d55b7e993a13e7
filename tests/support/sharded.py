"""A relation split into shards of whole customers and written, as ingest does it."""

from promolift.foundation.storage.local_store import Relation, Store


def write_shards(store: Store, relation: Relation, name: str, shards: int, by: str = "customer_id") -> None:
    """Every shard exists afterwards, if need be with no rows."""
    with store.split(relation, shards, by) as parts, store.sharded(name) as put:
        for shard, part in enumerate(parts):
            put(shard, store.part(part))
