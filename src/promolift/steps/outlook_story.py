"""What the encoder left in the store in; what the report tells of it out, or the reason why there is nothing."""

import polars as pl

from promolift import message
from promolift.results.foreseen import Foreseen
from promolift.results.shop import Outlook
from promolift.steps.job import Job, Moments


def outlook_told(job: Job, at: Moments) -> tuple[Foreseen | None, str | None]:
    """The outlook, or why there is none."""
    note, ahead = Outlook.load(job.store), job.profiled.outlook
    if note.checked is None or ahead is None:
        return None, note.missing
    return Foreseen.of(note.checked, note.told, people(job, at, ahead), goods(job)), None


def people(job: Job, at: Moments, ahead: pl.DataFrame) -> pl.DataFrame:
    """Customers on the map with what colours them; `ahead` is what is expected of everybody."""
    shown = job.profiled.outlook_map.filter(pl.col("kind") == "customer").select("x", "y", customer_id="key")
    profiles = job.profiled.profiles(at.asof).select("customer_id", "price_sensitivity")
    return shown.join(ahead.select("customer_id", "spend_cents", "leans_to"), on="customer_id").join(
        profiles, on="customer_id", how="left"
    )


def goods(job: Job) -> pl.DataFrame:
    """Items on the map that may be told, with the shelf they belong to."""
    items = job.profiled.outlook_items.drop("embedding").filter(pl.col("name").is_not_null())
    shelf = pl.col("department").fill_null(pl.col("category")).fill_null("other")
    shown = job.profiled.outlook_map.filter(pl.col("kind") == "item").select("x", "y", item="key")
    rows = shown.join(items, on="item").with_columns(shelf.alias("shelf"))
    words = {key: message.label(key, "department").en for key in rows["shelf"].unique().sort()}
    return rows.select("name", "x", "y", pl.col("shelf").replace_strict(words, return_dtype=pl.String), "visits")
