"""The files of a shop that nobody has seen before."""

from pathlib import Path

import polars as pl

from promolift.extensions.simulation.worlds.simulated_shop import simulate
from promolift.extensions.simulation.worlds.world import SimulationSettings


def write_shop(folder: Path, customers: int = 240, weeks: int = 40, seed: int = 1) -> Path:
    """A simulated shop as four CSV files with columns named as other people name them."""
    shop = simulate(SimulationSettings(seed=seed, customers=customers, weeks=weeks, categories=6))
    day, second = "%Y-%m-%d", "%Y-%m-%d %H:%M:%S"
    shop.events.select(
        pl.col("customer_id").alias("user_id"),
        pl.from_epoch("ts_ms", "ms").dt.strftime(second).alias("event_time"),
        pl.col("kind").alias("event_type"),
        pl.col("product_id").alias("sku"),
        pl.col("order_id").alias("order_number"),
        "quantity",
        (pl.col("revenue_cents") / 100).alias("sales_value"),
        (pl.col("shelf_cents") / 100).alias("discount"),
    ).write_csv(folder / "events.csv")
    shop.products.write_csv(folder / "products.csv")
    shop.customers.with_columns(consent=pl.lit(True)).write_csv(folder / "customers.csv")
    days = [pl.from_epoch(f"{name}_ms", "ms").dt.strftime(day).alias(f"{name}_date") for name in ("start", "end")]
    shop.exposures.select("customer_id", "campaign_id", *days).write_csv(folder / "promotions.csv")
    return folder
