"""What the encoder left in the store in; the report's `Outlook` out, or the reason why there is none."""

from collections.abc import Sequence

import polars as pl

from promolift import message
from promolift.learn.metrics import Bin
from promolift.report import Outlook, Told
from promolift.results import shop
from promolift.steps.checks import BINS, SCORES
from promolift.steps.job import Job, Moments
from promolift.steps.profile import at_moment

LOSS = "total"
NEXT, HABIT = "the next basket, ten likeliest", "what he bought most often, then what all buy"


def outlook_told(job: Job, at: Moments) -> tuple[Outlook | None, str | None]:
    """The outlook, or why there is none."""
    note = shop.Outlook.load(job.store)
    checked = note.checked
    if checked is None:
        return None, note.missing
    ahead = job.store.frame("outlook").drop("embedding")
    return Outlook(
        record=record(checked.record),
        scores=scores(checked),
        bins=pl.DataFrame([bin_row(b) for b in checked.bins], schema=BINS),
        people=people(job, at, ahead),
        goods=goods(job),
        told=told(note.told),
        stays_away=(checked.stays_away.predicted, checked.stays_away.observed),
        customers=ahead.height,
    ), None


def record(rows: Sequence[dict[str, float]]) -> pl.DataFrame:
    """One row per epoch: loss and NDCG@10, in training and on the window."""
    names = {f"{kind}_loss": f"{kind}_{LOSS}" for kind in ("train", "valid")}
    names |= {f"{kind}_ndcg": f"{kind}_ndcg" for kind in ("train", "valid")}
    return pl.DataFrame([{name: row[key] for name, key in names.items()} for row in rows])


def scores(note: shop.Checked) -> pl.DataFrame:
    """The list against habit: the figure itself, and the lead, which is paired by customer."""
    ndcg, lead = note.ndcg, note.lead
    rows = [
        {"figure": "NDCG@10", **ndcg.model_dump(include={"value", "low", "high"}), "baseline_value": ndcg.habit},
        {"figure": "lead in NDCG@10, paired", **lead.model_dump(), "baseline_value": 0.0},
    ]
    shared = {"model": NEXT, "n": ndcg.n, "baseline": HABIT, "better": "higher"}
    return pl.DataFrame([shared | row for row in rows], schema=SCORES)


def bin_row(b: Bin) -> dict[str, object]:
    """One bar of the calibration plot."""
    return {"model": NEXT, "predicted": b.prob, "observed": b.rate, "low": b.low, "high": b.high, "n": b.n}


def people(job: Job, at: Moments, ahead: pl.DataFrame) -> pl.DataFrame:
    """Customers on the map with what colours them."""
    shown = job.store.frame("outlook_map").filter(pl.col("kind") == "customer").select("x", "y", customer_id="key")
    profiles = at_moment(job, "profiles", at.asof).select("customer_id", "price_sensitivity")
    return (
        shown.join(ahead.select("customer_id", "spend_cents", "leans_to"), on="customer_id")
        .join(profiles, on="customer_id", how="left")
        .sort("customer_id")
    )


def goods(job: Job) -> pl.DataFrame:
    """Items on the map that may be told, with the shelf they belong to."""
    items = job.store.frame("outlook_items").drop("embedding").filter(pl.col("name").is_not_null())
    shelf = pl.col("department").fill_null(pl.col("category")).fill_null("other")
    shown = job.store.frame("outlook_map").filter(pl.col("kind") == "item").select("x", "y", item="key")
    rows = shown.join(items, on="item").with_columns(shelf.alias("group"))
    words = {key: message.label(key, "department").en for key in rows["group"].unique().sort()}
    return rows.select("name", "x", "y", pl.col("group").replace_strict(words, return_dtype=pl.String), "visits")


def told(row: shop.Told | None) -> Told | None:
    """One customer's story, None where none was kept."""
    if row is None:
        return None
    return Told(
        customer_id=row.customer_id,
        sentences=row.sentences,
        item=row.item,
        visits=[(r.day, ", ".join(r.items) or "private matters", r.odds_factor) for r in row.reasons],
        alike=[(a.customer_id, a.next_1, a.spend_cents, a.leans_to) for a in row.alike],
    )
