"""What every step works with: settings, store, a way to tell how far it is, and the moments all steps agree on."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any, Concatenate, ParamSpec, TypeVar
from zoneinfo import ZoneInfo

import polars as pl

from promolift.foundation.errors import ConfigError, SupportError
from promolift.foundation.executors.executor import Executor
from promolift.foundation.i18n.lazy_message import gettext_lazy
from promolift.foundation.progress import Progress, no_progress
from promolift.foundation.release_policy import ReleasePolicy, open_release_policy
from promolift.foundation.sql import bind, fetch_frame, run_select
from promolift.foundation.storage.local_store import Store, StorePlace
from promolift.foundation.time.clock import DAY_MS, WEEK_MS
from promolift.shop.configuration.configuration import Config
from promolift.shop.results.ingest import Span
from promolift.shop.results.work_folder.work_tables import (
    ALL_CUSTOMERS,
    CleanTables,
    CustomerSubset,
    EffectTables,
    ProfileTables,
)

Params = ParamSpec("Params")
Result = TypeVar("Result")
# Margin of a purchase `e` of product `p`, below 0 for a refund: by the product's cost, else $rate of the list price.
MARGIN_SQL = """case when e.kind = 'refund' then -1 else 1 end * (abs(e.revenue_cents)
    - coalesce(abs(e.quantity) * p.cost_cents, (1 - $rate) * abs(coalesce(e.list_cents, e.revenue_cents))))"""
SALES = f"""
select e.customer_id, floor((e.ts_ms - $asof) / $day_ms)::bigint as day,
    sum({MARGIN_SQL})::double as value_cents,
    sum(case when e.kind = 'refund' then -1 else 1 end * coalesce(e.coupon_cents, 0))::double as coupon_cents
from events e left join products p using (product_id)
where e.kind in ('purchase', 'refund') group by all having bool_or(e.kind = 'purchase') order by all
"""
CHECK_DAYS = 77  # predictions are checked on the last 11 weeks: long enough for 8 weeks of spend and a few campaigns


@dataclass(frozen=True)
class Job:
    """A run over one work folder. `out` is where the plan and the report go, None if nothing is written there.

    `engine` works on shards of customers, None where this process does.
    """

    config: Config
    store: Store
    tell: Progress
    out: Path | None = None
    engine: Executor | None = None

    @property
    def release_policy(self) -> ReleasePolicy:
        """How figures learned across customers are released. ConfigError where the extension for it is missing."""
        policy = open_release_policy(self.config, self.store)
        if self.config.privacy.epsilon is not None and policy.is_exact:  # never release what should have had noise
            raise ConfigError(
                "extra_missing",
                gettext_lazy("privacy.epsilon needs the extension `privacy` of promolift; install promolift again"),
            )
        return policy

    @property
    def clean(self) -> CleanTables:
        return CleanTables(self.store)

    @property
    def profiled(self) -> ProfileTables:
        return ProfileTables(self.store)

    @property
    def effects(self) -> EffectTables:
        return EffectTables(self.store)


def map_shards(
    job: Job, function: Callable[Concatenate[Job, int, Params], Result], shards: Sequence[int], *more: Params.args,
    **named: Params.kwargs,
) -> Iterator[Result]:  # fmt: skip
    """What a function finds for each of these shards, in their order, by the engine of the job.

    It is one of a module, and so is what it is given and finds: values that travel to another process. There it sees
    the same settings and work folder. It may run twice: what it writes is the table of a `TableDraft` or a `Scratch`.
    """
    if job.engine is None:
        return (_alone(job, partial(function, job, shard, *more, **named)) for shard in shards)
    task = partial(_on_worker, job.config, job.store.place, function, more, named)
    return job.engine.map(task, shards, job.store)


def _alone(job: Job, work: Callable[[], Result]) -> Result:
    with job.store.one_thread():
        return work()


def query_shard(job: Job, shard: int, query: str, among: CustomerSubset = ALL_CUSTOMERS) -> pl.DataFrame:
    """Run a SELECT on a shard's `events` (of these customers) and all `products`."""
    return fetch_frame(run_select(query, events=among.rows(job.clean.events(shard)), products=job.clean.products))


def daily_sales(job: Job, asof_ms: int, margin_rate: float) -> pl.DataFrame:
    """customer_id, day (0 is the day that begins at `asof_ms`), value_cents, coupon_cents; a row per day with an
    order.

    A refund counts where something was bought on its day; the margin is by the products' cost, else `margin_rate`.
    """
    query = bind(SALES, asof=asof_ms, day_ms=DAY_MS, rate=margin_rate)
    return pl.concat(map_shards(job, query_shard, job.clean.shards, query)).sort("customer_id", "day")


def _on_worker(
    config: Config, place: StorePlace, function: Callable[..., Result], more: Sequence[Any], named: Mapping[str, Any],
    shard: int,
) -> Result:  # fmt: skip
    with Store.at(place, memory=config.data.memory) as store:
        return function(Job(config, store, no_progress), shard, *more, **named)


@dataclass(frozen=True)
class Moments:
    """Three instants in ms UTC: all before `asof` is known to the plan, all before `check` to the models that are
    checked, and all before `response` (the start of the response panel) to the price sensitivities used in it.

    `weeks` is the length of the panel.
    """

    asof: int
    check: int
    response: int
    weeks: int


def midnight_ms(day: date, zone: str) -> int:
    """The first instant of a local day."""
    return round(datetime(day.year, day.month, day.day, tzinfo=ZoneInfo(zone)).timestamp() * 1000)


def local_day(ts_ms: int, zone: str) -> date:
    """The local day an instant lies in."""
    return datetime.fromtimestamp(ts_ms / 1000, ZoneInfo(zone)).date()


def moments(job: Job) -> Moments:
    """The moments of this job; SupportError if there is no event at all."""
    zone, span = job.config.shop.zone, Span.load(job.store)
    if span.last_ms is None or span.first_ms is None:
        raise SupportError(
            "events_missing",
            gettext_lazy("no events were accepted, so there is nothing to plan from; see `promolift health`"),
        )
    if job.config.plan.asof:
        day = date.fromisoformat(job.config.plan.asof)
    else:
        day = local_day(span.last_ms, zone) + timedelta(days=1)
    history_weeks = max(0, (midnight_ms(day, zone) - span.first_ms) // WEEK_MS)
    weeks = max(8, min(job.config.panel.weeks, int(history_weeks) // 2))
    return Moments(
        asof=midnight_ms(day, zone),
        check=midnight_ms(day - timedelta(days=CHECK_DAYS), zone),
        response=midnight_ms(day, zone) - weeks * WEEK_MS,
        weeks=weeks,
    )
