"""Assign customers to the segments of promolift.toml, and count what a plan gives each segment.

The groups of the fairness audit are assigned here, too.
"""

import polars as pl

from promolift.core.customers.comparison_groups import find_groups
from promolift.core.customers.disclosure_control import small_cells
from promolift.core.customers.segments import find_segments, segment_counts
from promolift.foundation.i18n.catalogue import gettext
from promolift.foundation.i18n.formatting import count, current_locale
from promolift.foundation.sql import fetch_frame
from promolift.foundation.storage.local_store import Store
from promolift.foundation.time.clock import WEEK_MS
from promolift.shop.results.work_folder.run_context import Job, moments


def segment_members(job: Job, profiles: pl.DataFrame) -> pl.DataFrame:
    """Return customer_id and segments of all customers in PROFILES of one moment.

    Under `privacy.epsilon` a customer's decile of spend is their place among the made-up customers.
    """
    spent = None if job.release_policy.is_exact else synthetic_spend(job)
    return find_segments(profiles, job.clean.people, job.config.segment, spent)


def save_play_members(store: Store, members: pl.DataFrame | None) -> None:
    """Keep customer_id, group and play (null: none) of those who may be written to; None where there are no plays."""
    if members is not None:
        store.save("plays", members)
    elif store.has("plays"):
        store.remove("plays")


def load_play_members(store: Store) -> pl.DataFrame:
    """Load the audience and the play of each customer who may be written to."""
    return store.frame("plays")


def synthetic_spend(job: Job) -> pl.Series:
    """Return what each made-up customer spent in the 52 weeks before the plan, in minor units."""
    asof = moments(job).asof
    rows = job.profiled.synthetic_events.filter(f"ts_ms >= {asof - 52 * WEEK_MS} and ts_ms < {asof}")
    return fetch_frame(rows.aggregate("sum(revenue_cents)::bigint as spent", "customer_id"))["spent"]


def fairness_group_columns(job: Job, profiles: pl.DataFrame) -> pl.DataFrame:
    """Return customer_id and a text column for each column of [fairness], and loyalty, of PROFILES of one moment."""
    asked = job.config.fairness
    return find_groups(profiles, job.clean.people, asked.columns, asked.new_days)


def segment_table(job: Job, chosen: pl.DataFrame | None = None) -> pl.DataFrame:
    """segment, name as it is printed, customers, share of all customers, and of a plan's `chosen` rows treated,
    gain_cents and cost_cents of each segment; a customer of two counts in both. No rows without segments or profiles.
    Null is what would tell of fewer customers than `privacy.least_cell`.
    """
    if not job.config.segment or (profiles := job.profiled.profiles(moments(job).asof)).is_empty():
        return pl.DataFrame()
    mine = segment_members(job, profiles)
    names = pl.DataFrame(
        [(each.name, each.name_in(current_locale())) for each in job.config.segment],
        schema={"segment": pl.String, "name": pl.String},
        orient="row",
    )
    counted = segment_counts(mine, job.config.segment).with_columns(
        (pl.col("customers") / max(profiles.height, 1)).alias("share")
    )
    table = names.join(counted, on="segment", maintain_order="left")
    least = job.config.privacy.printed_cell
    few = pl.Series(small_cells(table["customers"].to_list(), least, profiles.height), dtype=pl.Boolean)
    if chosen is None:
        return _without(table, few, "customers", "share")
    given = chosen.select("customer_id", "gain_cents", "cost_cents").join(mine, on="customer_id")
    sums = (
        given.explode("segments")
        .group_by(segment="segments")
        .agg(pl.len().cast(pl.Int64).alias("treated"), pl.col("gain_cents", "cost_cents").sum())
    )
    whole = table.join(sums, on="segment", how="left", maintain_order="left").with_columns(
        pl.col("treated", "gain_cents", "cost_cents").fill_null(0)
    )
    given_few = pl.Series([0 < n < least for n in whole["treated"]], dtype=pl.Boolean)
    table = _without(whole, few, "customers", "share")
    return _without(table, few | given_few, "treated", "gain_cents", "cost_cents")


def _without(table: pl.DataFrame, rows: pl.Series, *columns: str) -> pl.DataFrame:
    return table.with_columns(pl.when(~rows).then(pl.col(name)).alias(name) for name in columns)


def segment_text(table: pl.DataFrame) -> str:
    """Describe how many customers, and offers if there is a plan, each segment has; empty without segments."""
    said, few = [], gettext("too few to be printed")
    for row in table.iter_rows(named=True):
        name = row["name"]
        number = few if row["customers"] is None else count(row["customers"])
        people = gettext("{name} {number}", name=name, number=number)
        if row.get("treated") is not None:
            people += gettext(" ({treated} with an offer)", treated=count(row["treated"]))
        said.append(people)
    return gettext("Segments: {said}.", said=", ".join(said), said_2="、".join(said)) if said else ""
