"""Step 2: compute profiles, affinities and interests as of the moments of the plan and of the checks.

The forecasts of an encoder, where one is configured, are stored beside them.
"""

from collections.abc import Callable, MutableMapping
from contextlib import suppress
from dataclasses import replace
from typing import NamedTuple

import polars as pl
from duckdb import DuckDBPyRelation as Relation

from promolift.core import customers
from promolift.core.customers.profiles.population_sums import Tables
from promolift.extensions.encoder import pipeline_step
from promolift.extensions.privacy.synthetic_step import (
    SYNTHETIC_SHARD,
    load_deals,
    save_synthetic_customers,
    synthetic_shard,
)
from promolift.foundation import sql
from promolift.foundation.errors import StepError
from promolift.foundation.i18n.lazy_message import gettext_lazy
from promolift.foundation.sql import bind
from promolift.foundation.storage.table_writing import Scratch, TableDraft
from promolift.foundation.tables.schemas import AFFINITIES
from promolift.foundation.time.clock import DAY_MS
from promolift.shop.results.ingest import UnknownAttributes
from promolift.shop.results.predictions import PurchaseMembers
from promolift.shop.results.work_folder.run_context import Job, Moments, map_shards, moments

ProfilePass = Callable[[customers.Shard, customers.PopulationSums, customers.ProfileSettings], Tables]
FIRST_SEEN_SQL = """
select customer_id, asof_ms from (
    select customer_id, min(ts_ms) as first_ms from events group by customer_id
), (select unnest($asofs) as asof_ms) where first_ms < asof_ms
order by all
"""


OWN = 0.5  # of what is expected under privacy.epsilon: a customer's own spend is theirs, and has no noise


def run(job: Job) -> None:
    """Profile all customers known at each moment: three passes for what customers share, one to write."""
    store, settings = job.store, profile_settings(job)
    at, window_ms = moments(job), settings.window_days * DAY_MS
    asofs, planned = sorted({at.asof, at.check, at.response}), (at.check, at.asof)
    earlier = [moment for asof in planned for moment in customers.training_moments(asof, window_ms)]
    shards, private = job.clean.shards, job.config.privacy.epsilon is not None
    vectors = None if private else job.clean.vectors
    shared = customers.PopulationSums.start(asofs, earlier, vectors)
    if private:
        job.tell("profile", 0.0, gettext_lazy("noisy sums"))
        save_synthetic_customers(job)
    learned = [SYNTHETIC_SHARD] if private else shards
    with store.scratch() as kept:
        total, done = len(learned) * len(customers.AGGREGATION_STEPS) + len(shards) + 1, 0
        for step in customers.AGGREGATION_STEPS:
            parts = []
            for part in map_shards(job, run_pass, learned, step, shared, settings, kept):
                parts.append(part)
                done += 1
                job.tell("profile", done / total, gettext_lazy("what customers have in common"))
            shared = shared.plus(parts)
            if private and "deals" in parts[0]:  # discounts by week are nobody's but those who met them
                shared = shared.plus([{"deals": load_deals(job)}])
        facts, spoken_of = list[pl.DataFrame](), sorted({*planned, *earlier})
        with store.sharded("profiles") as put_p, store.sharded("interests") as put_i:
            puts = ProfileDrafts(put_p, put_i)
            for sums in map_shards(job, write_profiles, shards, shared, settings, spoken_of, kept, puts):
                facts += sums
                done += 1
                job.tell("profile", done / total, gettext_lazy("one row per customer"))
        forecast_purchases(job, kept, facts, settings)
    UnknownAttributes(reasons=customers.missing_column_reasons(shared, at.asof)).keep(store)
    pipeline_step.run(job)


class ProfileDrafts(NamedTuple):
    """The tables that are written customer by customer."""

    profiles: TableDraft
    interests: TableDraft


def run_pass(
    job: Job,
    shard: int,
    step: ProfilePass,
    shared: customers.PopulationSums,
    settings: customers.ProfileSettings,
    kept: Scratch,
) -> Tables:
    "One of customers.AGGREGATION_STEPS on a shard."
    return step(open_shard(job, shard, kept.part(str(shard))), shared, settings)


def write_profiles(
    job: Job, shard: int, shared: customers.PopulationSums, settings: customers.ProfileSettings, spoken_of: list[int],
    kept: Scratch, put: ProfileDrafts,
) -> list[pl.DataFrame]:  # fmt: skip
    """A shard's profiles and interests written, and what `count` keeps and returns."""
    here = open_shard(job, shard, kept.part(str(shard)))
    known = sql.materialise(moments_of(here.events, list(shared.asofs)))
    put.profiles(shard, [customers.build_profiles(here, known, shared, settings, job.clean.customers)])
    put.interests(shard, [customers.find_interests(here, known, shared, settings)])
    return count(here, sql.materialise(moments_of(here.events, spoken_of)), shared, settings, moments(job))


def count(
    here: customers.Shard,
    moments: Relation,
    shared: customers.PopulationSums,
    settings: customers.ProfileSettings,
    at: Moments,
) -> list[pl.DataFrame]:
    """Keep a shard's AFFINITIES by counts: `planned`, of the moments that are planned and checked at, and `past`, those
    that forecasters learn from, of about MOST_ROWS rows a window. Returns what is summed of all of them.
    """
    rows = int(shared["targets"].filter(pl.col("asof_ms") == at.asof)["customers"].sum())
    share = min(1.0, customers.MAX_TRAINING_ROWS / max(rows, 1))
    found = list(customers.estimate_affinities_by_moment(here, moments, shared, settings, share))
    here.frames["planned"] = pl.concat([AFFINITIES.empty(), *(each.rows for each in found)])
    here.frames["past"] = pl.concat([AFFINITIES.empty(), *(each.learned for each in found)])
    return [each.facts for each in found]


def forecast_purchases(job: Job, kept: Scratch, sums: list[pl.DataFrame], settings: customers.ProfileSettings) -> None:
    """Table `affinities` as of the plan's and the check's moment, by forecasters that learned from the windows before.

    `kept` is what `count` kept of each shard, and `sums` what it returned.
    """
    at, facts, shards = moments(job), customers.merge_target_facts(sums), job.clean.shards
    rows = pl.concat(kept.part(str(shard))["past"] for shard in shards)
    past = customers.PurchaseHistories(rows.sort("asof_ms", "customer_id", "target"), facts)  # in any order of shards
    earlier: dict[int, customers.ModelWeight] = {}
    with suppress(StepError):  # there was no run, or one of another version
        notes = PurchaseMembers.load(job.store)
        earlier = {at.check: notes.at_check, at.asof: notes.at_plan}
    if job.config.privacy.epsilon is not None:
        note = customers.ModelWeight(weight=0.0, why="under privacy.epsilon nobody's purchases teach another's", n=0)
        made = dict.fromkeys((at.check, at.asof), customers.Forecast(note))
    else:
        made = {asof: customers.fit_forecast(past, asof, settings, earlier.get(asof)) for asof in (at.check, at.asof)}
    with job.store.sharded("affinities") as put:
        for _ in map_shards(job, write_affinities, shards, made, facts, kept, put):
            pass
    PurchaseMembers(at_check=made[at.check].note, at_plan=made[at.asof].note).keep(job.store)


def write_affinities(
    job: Job, shard: int, made: dict[int, customers.Forecast], facts: pl.DataFrame, kept: Scratch, put: TableDraft
) -> None:
    """A shard's table by the forecaster of each moment."""
    counted = kept.part(str(shard))["planned"]
    now = ((each, counted.filter(pl.col("asof_ms") == asof)) for asof, each in made.items())
    put(shard, [each.predict(customers.PurchaseHistories(rows, facts)) for each, rows in now])


def profile_settings(job: Job) -> customers.ProfileSettings:
    """The room's settings with the shop's zone and the plan's window."""
    own = OWN if job.config.privacy.epsilon is not None else 0.0
    return customers.ProfileSettings(zone=job.config.shop.zone, window_days=job.config.plan.window_days, own_share=own)


def open_shard(job: Job, shard: int, kept: MutableMapping[str, pl.DataFrame] | None = None) -> customers.Shard:
    """One shard's events beside the whole of the small tables; `kept` holds what earlier passes found out about it."""
    clean = job.clean
    if shard == SYNTHETIC_SHARD:
        return replace(synthetic_shard(job), frames={} if kept is None else kept)
    return customers.Shard(
        clean.events(shard), clean.products, clean.exposures, clean.redemptions,
        {} if kept is None else kept, customer_texts=clean.words,
    )  # fmt: skip


def moments_of(events: Relation, asofs: list[int]) -> Relation:
    """One row per customer and moment before which they were seen."""
    return sql.run_select(bind(FIRST_SEEN_SQL, asofs=asofs), events=events)
