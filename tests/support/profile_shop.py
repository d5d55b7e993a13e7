"""Hand-made shops for the tests of room 2."""

from collections.abc import Iterable, Sequence
from typing import Any

import duckdb
import polars as pl

import promolift.core.customers as room
from promolift.foundation.tables.contract import Table
from promolift.foundation.tables.schemas import EVENTS, EXPOSURES, PRODUCTS, REDEMPTIONS
from promolift.foundation.time.clock import DAY_MS

MONDAY = 17_007 * DAY_MS  # 2016-07-25, a Monday, 00:00 UTC
SETTINGS = room.ProfileSettings()


def relation(connection: duckdb.DuckDBPyConnection, table: Table, rows: Iterable[dict[str, Any]]) -> Any:
    """Rows with any columns missing as a relation of that table."""
    frame = pl.DataFrame(list(rows), schema=table.schema) if rows else table.empty()
    return connection.from_arrow(frame.to_arrow())


def event(customer: str, day: float, **more: Any) -> dict[str, Any]:
    """One purchase `day` days after MONDAY, worth 100 cents unless told otherwise."""
    row = {"customer_id": customer, "ts_ms": MONDAY + int(day * DAY_MS), "kind": "purchase", "product_id": "p1"}
    row |= {"order_id": None, "quantity": 1.0, "revenue_cents": 100, "shelf_cents": 0, "coupon_cents": 0} | more
    row.setdefault("list_cents", row["revenue_cents"] + row["shelf_cents"])
    return row


def product(product: str, **more: Any) -> dict[str, Any]:
    return {"product_id": product, **more}


class Shop:
    """One connection and the clean tables in it, as shards of customers."""

    def __init__(
        self,
        events: Sequence[dict[str, Any]],
        products: Sequence[dict[str, Any]] = (),
        exposures: Sequence[dict[str, Any]] | None = None,
        redemptions: Sequence[dict[str, Any]] | None = None,
    ) -> None:
        self.connection = duckdb.connect(config={"threads": 1})
        self.events, self.customers = list(events), sorted({row["customer_id"] for row in events})
        self.products = relation(self.connection, PRODUCTS, products)
        self.exposures = None if exposures is None else relation(self.connection, EXPOSURES, exposures)
        self.redemptions = None if redemptions is None else relation(self.connection, REDEMPTIONS, redemptions)

    def shard(self, customers: Iterable[str] | None = None) -> room.Shard:
        chosen = set(self.customers if customers is None else customers)
        events = relation(self.connection, EVENTS, [row for row in self.events if row["customer_id"] in chosen])
        return room.Shard(events, self.products, self.exposures, self.redemptions)

    def moments(self, asofs: Sequence[int], customers: Iterable[str] | None = None) -> Any:
        pairs = [(c, a) for c in (self.customers if customers is None else customers) for a in asofs]
        schema = {"customer_id": pl.String, "asof_ms": pl.Int64}
        return self.connection.from_arrow(pl.DataFrame(pairs, schema=schema, orient="row").to_arrow())

    def shared(
        self,
        asofs: Sequence[int],
        parts: Sequence[Sequence[str]] | None = None,
        settings: room.ProfileSettings = SETTINGS,
    ) -> room.PopulationSums:
        shared = room.PopulationSums.start(asofs)
        shards = [self.shard(part) for part in (parts or [self.customers])]
        for step in room.AGGREGATION_STEPS:
            shared = shared.plus(step(shard, shared, settings) for shard in shards)
        return shared


def attributes_of(shop: Shop, asof_ms: int, settings: room.ProfileSettings = SETTINGS) -> pl.DataFrame:
    """What the first pass is enough for: PROFILES without sensitivity and self-description."""
    shared = room.PopulationSums.start([asof_ms])
    shared = shared.plus([room.AGGREGATION_STEPS[0](shop.shard(), shared, settings)])
    return room.behaviour_attributes(shop.shard(), shop.moments([asof_ms]), shared, settings)


def profile_of(shop: Shop, *asofs: int, settings: room.ProfileSettings = SETTINGS) -> pl.DataFrame:
    """PROFILES of the whole shop in one shard."""
    return room.build_profiles(shop.shard(), shop.moments(asofs), shop.shared(asofs, settings=settings), settings)


def affinities_of(shop: Shop, *asofs: int, settings: room.ProfileSettings = SETTINGS) -> pl.DataFrame:
    """AFFINITIES of the whole shop in one shard."""
    found = room.estimate_affinities(shop.shard(), shop.moments(asofs), shop.shared(asofs, settings=settings), settings)
    return pl.concat(found)
