"""Step 2: clean tables in; profiles, affinities and interests as of the plan's and the checks' moments kept.

What an encoder forecasts, where one is asked for, is kept beside them (forecast.py).
"""

from collections.abc import Mapping, MutableMapping
from contextlib import suppress

import polars as pl
from duckdb import DuckDBPyRelation as Relation

from promolift import profile, sql
from promolift.errors import StepError
from promolift.results.job import Job, Moments, moments
from promolift.results.shop import PurchaseMembers, Unknown
from promolift.sql import DAY_MS, bind
from promolift.steps import forecast
from promolift.tables import AFFINITIES

KNOWN = """
select customer_id, asof_ms from (
    select customer_id, min(ts_ms) as first_ms from events group by customer_id
), (select unnest($asofs) as asof_ms) where first_ms < asof_ms
order by all
"""


def run(job: Job) -> None:
    """Profile all customers known at each moment: three passes for what customers share, one to write."""
    store, settings = job.store, profile_settings(job)
    at, window_ms = moments(job), settings.window_days * DAY_MS
    asofs, planned = sorted({at.asof, at.check, at.response}), (at.check, at.asof)
    earlier = [moment for asof in planned for moment in profile.learned_moments(asof, window_ms)]
    shards = job.clean.shards
    shared = profile.Shared.start(asofs, earlier)
    with store.scratch() as kept:
        total, done = len(shards) * (len(profile.STEPS) + 1) + 1, 0
        for step in profile.STEPS:
            parts = []
            for shard in shards:
                parts.append(step(open_shard(job, shard, kept.part(str(shard))), shared, settings))
                done += 1
                job.tell("profile", done / total, "what customers have in common")
            shared = shared.plus(parts)
        facts = []
        with store.sharded("profiles") as put_p, store.sharded("interests") as put_i:
            for shard in shards:
                here = open_shard(job, shard, kept.part(str(shard)))
                known = sql.kept(moments_of(here.events, asofs))
                put_p(shard, [profile.profile(here, known, shared, settings, job.clean.customers)])
                put_i(shard, [profile.interests(here, known, shared, settings)])
                spoken_of = sql.kept(moments_of(here.events, sorted({*planned, *earlier})))
                facts += count(here, spoken_of, shared, settings, at)
                done += 1
                job.tell("profile", done / total, "one row per customer")
        forecast_purchases(job, {shard: kept.part(str(shard)) for shard in shards}, facts, settings)
    Unknown(reasons=profile.reasons(shared, at.asof)).keep(store)
    forecast.run(job)


def count(
    here: profile.Shard, moments: Relation, shared: profile.Shared, settings: profile.ProfileSettings, at: Moments
) -> list[pl.DataFrame]:
    """Keep a shard's AFFINITIES by counts: `planned`, of the moments that are planned and checked at, and `past`, those
    that forecasters learn from, of about MOST_ROWS rows a window. Returns what is summed of all of them.
    """
    rows = int(shared["targets"].filter(pl.col("asof_ms") == at.asof)["customers"].sum())
    share = min(1.0, profile.MOST_ROWS / max(rows, 1))
    found = list(profile.counted(here, moments, shared, settings, share))
    here.kept["planned"] = pl.concat([AFFINITIES.empty(), *(each.rows for each in found)])
    here.kept["past"] = pl.concat([AFFINITIES.empty(), *(each.learned for each in found)])
    return [each.facts for each in found]


def forecast_purchases(
    job: Job,
    kept: Mapping[int, Mapping[str, pl.DataFrame]],
    sums: list[pl.DataFrame],
    settings: profile.ProfileSettings,
) -> None:
    """Table `affinities` as of the plan's and the check's moment, by forecasters that learned from the windows before.

    `kept` is what `count` kept of each shard, and `sums` what it returned.
    """
    at, facts = moments(job), profile.together(sums)
    past = profile.PurchaseHistories(pl.concat(part["past"] for part in kept.values()), facts)
    earlier: dict[int, profile.MemberNote] = {}
    with suppress(StepError):  # there was no run, or one of another version
        notes = PurchaseMembers.load(job.store)
        earlier = {at.check: notes.at_check, at.asof: notes.at_plan}
    made = {asof: profile.forecast(past, asof, settings, earlier.get(asof)) for asof in (at.check, at.asof)}
    with job.store.sharded("affinities") as put:
        for shard, part in kept.items():
            counted = part["planned"]
            now = ((each, counted.filter(pl.col("asof_ms") == asof)) for asof, each in made.items())
            put(shard, [each.expect(profile.PurchaseHistories(rows, facts)) for each, rows in now])
    PurchaseMembers(at_check=made[at.check].note, at_plan=made[at.asof].note).keep(job.store)


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
