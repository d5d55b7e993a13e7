"""Step 2: clean tables in; profiles, affinities and interests as of the plan's and the checks' moments kept.

What an encoder forecasts, where one is asked for, is kept beside them (forecast.py).
"""

from collections.abc import MutableMapping

import polars as pl
from duckdb import DuckDBPyRelation as Relation

from promolift import profile, sql
from promolift.results.job import Job, moments
from promolift.results.shop import Unknown
from promolift.sql import bind
from promolift.steps import forecast

KNOWN = """
select customer_id, asof_ms from (
    select customer_id, min(ts_ms) as first_ms from events group by customer_id
), (select unnest($asofs) as asof_ms) where first_ms < asof_ms
order by all
"""


def run(job: Job) -> None:
    """Profile all customers known at each moment: three passes for what customers share, one to write."""
    store, settings = job.store, profile_settings(job)
    at = moments(job)
    asofs = sorted({at.asof, at.check, at.response})
    shards = job.clean.shards
    shared = profile.Shared.start(asofs)
    with store.scratch() as kept:
        total, done = len(shards) * (len(profile.STEPS) + 1) + 1, 0
        for step in profile.STEPS:
            parts = []
            for shard in shards:
                parts.append(step(open_shard(job, shard, kept.part(str(shard))), shared, settings))
                done += 1
                job.tell("profile", done / total, "what customers have in common")
            shared = shared.plus(parts)
        with (
            store.sharded("profiles") as put_p,
            store.sharded("affinities") as put_a,
            store.sharded("interests") as put_i,
        ):
            for shard in shards:
                here = open_shard(job, shard, kept.part(str(shard)))
                known = sql.kept(moments_of(here.events, asofs))
                put_p(shard, [profile.profile(here, known, shared, settings, job.clean.customers)])
                put_a(shard, profile.affinities(here, known, shared, settings))
                put_i(shard, [profile.interests(here, known, shared, settings)])
                done += 1
                job.tell("profile", done / total, "one row per customer")
    Unknown(reasons=profile.reasons(shared, at.asof)).keep(store)
    forecast.run(job)


def profile_settings(job: Job) -> profile.ProfileSettings:
    """The room's settings with the shop's zone and the plan's window."""
    return profile.ProfileSettings(zone=job.config.shop.zone, window_days=job.config.plan.window_days)


def open_shard(job: Job, shard: int, kept: MutableMapping[str, pl.DataFrame] | None = None) -> profile.Shard:
    """One shard's events beside the whole of the small tables; `kept` holds what earlier passes found out about it."""
    clean = job.clean
    return profile.Shard(
        clean.events(shard), clean.products, clean.exposures, clean.redemptions, {} if kept is None else kept
    )


def moments_of(events: Relation, asofs: list[int]) -> Relation:
    """One row per customer and moment before which they were seen."""
    return sql.run(bind(KNOWN, asofs=asofs), events=events)
