"""Sort customers into audiences, those of the shop's own plays first, and open the lines of plays to their customers.

A play sees the customers who may be written to, and nothing later than the moment of the plan.
"""

from collections.abc import Collection, Mapping
from dataclasses import replace

import polars as pl

from promolift.core.customers.audience_query import query_audience, read_views
from promolift.core.customers.consent import may_send
from promolift.core.customers.segments import customer_columns
from promolift.core.experiments.audiences import LEFT_CART, NOT_BOUGHT, assign_audiences, fit_return_curve
from promolift.foundation.sql import bind, fetch_frame, run_select
from promolift.foundation.time.clock import DAY_MS
from promolift.shop.configuration.plays import Play
from promolift.shop.configuration.views import EVENTS_VIEW, LEFT_CARTS, ORDERS_VIEW, left_since
from promolift.shop.results.segments import load_play_members, save_play_members
from promolift.shop.results.work_folder.plan_inputs import plan_spans
from promolift.shop.results.work_folder.run_context import Job, Moments, daily_sales, map_shards, moments, query_shard


def with_plays(job: Job) -> Job:
    """Sort customers into the shop's plays, and put the lines that these state on the menu of this job."""
    if not job.config.plays:
        save_play_members(job.store, None)
        return job
    save_play_members(job.store, current_audiences(job))
    return replace(job, config=job.config.model_copy(update={"menu": job.config.lines}))


def current_audiences(job: Job) -> pl.DataFrame:
    """The audiences of everybody who may be written to now, as of `find_audiences`."""
    at = moments(job)
    people = job.profiled.profiles(at.asof)["customer_id"]
    consent = may_send(people, job.clean.current_customers(people), job.config.consent)
    return find_audiences(job, at, consent, daily_sales(job, at.asof, job.config.value.margin_rate))


def find_audiences(job: Job, at: Moments, consent: pl.DataFrame, sales: pl.DataFrame) -> pl.DataFrame:
    """customer_id, group (their audience), play (the id, or null) and due_day (when their next purchase is due, in days
    from the plan; null without a rhythm) of those who may be written to, in order of customer_id. `consent` as of
    `may_send`, `sales` as of `daily_sales`."""
    window = plan_spans(job).window
    audience = assign_audiences(sales, 0, window, fit_return_curve(sales, 0, window)).drop("recency")
    query = bind(LEFT_CARTS, asof=at.asof, since=left_since(at.asof))
    carts = pl.concat(map_shards(job, query_shard, job.clean.shards, query)).with_columns(left=pl.lit(True))
    rows = consent.filter("may_send").select("customer_id").sort("customer_id")
    rows = rows.join(audience, on="customer_id", how="left", maintain_order="left")
    rows = rows.join(carts, on="customer_id", how="left", maintain_order="left").select(
        "customer_id",
        group=pl.when("left").then(pl.lit(LEFT_CART)).otherwise(pl.col("audience").fill_null(NOT_BOUGHT)),
        play=pl.lit(None, pl.String), due_day="due_day",
    )  # fmt: skip
    asked = {name for play in job.config.plays if play.query for name in read_views(play.query)}
    views = load_views(job, at, rows["customer_id"], asked)
    for play in job.config.plays:
        mine = in_play(play, rows, views) & pl.col("play").is_null()
        rows = rows.with_columns(
            play=pl.when(mine).then(pl.lit(play.id)).otherwise("play"),
            group=pl.when(mine).then(pl.lit(play.group)).otherwise("group"),
        )
    return rows


def in_play(play: Play, rows: pl.DataFrame, views: Mapping[str, pl.DataFrame]) -> pl.Expr:
    """Whether a customer is in the audience of a play."""
    if play.query is None:
        return pl.col("group") == play.audience
    found = query_audience(play.query, views, f"promolift.toml: play {play.id!r}")
    return pl.col("customer_id").is_in(found.implode())


def load_views(job: Job, at: Moments, customer_ids: pl.Series, asked: Collection[str]) -> dict[str, pl.DataFrame]:
    """The views of these names, of these customers alone and of nothing later than the plan."""
    mine, found = pl.DataFrame({"customer_id": customer_ids}), dict[str, pl.DataFrame]()
    for name, query in (("events", EVENTS_VIEW), ("orders", ORDERS_VIEW)):
        if name in asked:
            sql = bind(query, asof=at.asof, day_ms=DAY_MS)
            found[name] = pl.concat(map_shards(job, query_view, job.clean.shards, sql, mine))
    if "customers" in asked:
        people = job.profiled.profiles(at.asof).join(mine, on="customer_id", how="semi", maintain_order="left")
        found["customers"] = customer_columns(people, job.clean.people).sort("customer_id")
    if "products" in asked:
        found["products"] = job.clean.catalogue
    return found


def query_view(job: Job, shard: int, sql: str, mine: pl.DataFrame) -> pl.DataFrame:
    """The rows of a view in one shard."""
    return fetch_frame(run_select(sql, events=job.clean.events(shard), mine=mine))


def add_play_names(job: Job, members: pl.DataFrame) -> pl.DataFrame:
    """Segments of customers, with the play that each is in: the lines that a play states are for its customers."""
    plays = load_play_members(job.store).select("customer_id", "play")
    both = members.join(plays, on="customer_id", how="left", maintain_order="left")
    own = pl.concat_list("segments", pl.concat_list("play").list.drop_nulls())
    return both.select("customer_id", segments=own)
