"""What every step works with: settings, store, a way to tell how far it is, and the moments all steps agree on."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any, Concatenate, ParamSpec, TypeVar
from zoneinfo import ZoneInfo

import polars as pl

from promolift.extensions.cluster.node_files import NodeTask, leave
from promolift.foundation.errors import SupportError
from promolift.foundation.executors.executor import Engine
from promolift.foundation.progress import Tell, quiet
from promolift.foundation.sql import bind, fetch, run
from promolift.foundation.storage.local_store import Store, StorePlace
from promolift.foundation.storage.location import PARTS, brought
from promolift.foundation.time.units import DAY_MS, WEEK_MS
from promolift.shop.configuration.configuration import Config
from promolift.shop.results.ingest import Span
from promolift.shop.results.work_folder.work_tables import EVERYBODY, Among, Clean, Effects, Profiled

Asked = ParamSpec("Asked")
Found = TypeVar("Found")
SALES = """
select e.customer_id, floor((e.ts_ms - $asof) / $day_ms)::bigint as day,
    sum(case when e.kind = 'refund' then -1 else 1 end * (abs(e.revenue_cents)
        - coalesce(abs(e.quantity) * p.cost_cents, (1 - $rate) * abs(coalesce(e.list_cents, e.revenue_cents))))
    )::double as value_cents,
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
    tell: Tell
    out: Path | None = None
    engine: Engine | None = None

    @property
    def clean(self) -> Clean:
        return Clean(self.store)

    @property
    def profiled(self) -> Profiled:
        return Profiled(self.store)

    @property
    def effects(self) -> Effects:
        return Effects(self.store)


def mapped(
    job: Job, function: Callable[Concatenate[Job, int, Asked], Found], shards: Sequence[int], *more: Asked.args,
    **named: Asked.kwargs,
) -> Iterator[Found]:  # fmt: skip
    """What a function finds for each of these shards, in their order, by the engine of the job.

    It is one of a module, and so is what it is given and finds: values that travel to another process. There it sees
    the same settings and work folder. It may run twice: what it writes is the table of a `TableDraft` or a `Scratch`.
    """
    if job.engine is None:
        return (_alone(job, partial(function, job, shard, *more, **named)) for shard in shards)
    return spread(job, job.engine, partial(_on_worker, job.config, job.store.place, function, more, named), shards)


def spread(job: Job, engine: Engine, task: Callable[[int], Found], shards: Sequence[int]) -> Iterator[Found]:
    """`task` of each shard, in their order, by an engine whose workers see the work folder, or nodes that bring what
    they read of it from its URL. Paths below it, and nothing else of this machine, are found there.
    """
    remote = job.store.remote
    if remote:
        remote.apart = engine.node_disk is not None
    if remote is None or engine.node_disk is None:
        for part in PARTS if remote else ():
            brought(job.store.root / part)
        yield from engine.map(task, shards)
        return
    engine.leaving = partial(leave, remote.url)
    files = remote.share(job.store.place.work)
    for answer in engine.map(NodeTask(remote.url, files, task, engine.node_disk), shards):
        remote.learn(answer.files)
        yield answer.found


def _alone(job: Job, work: Callable[[], Found]) -> Found:
    with job.store.one_thread():
        return work()


def found_in(job: Job, shard: int, query: str, among: Among = EVERYBODY) -> pl.DataFrame:
    """What a SELECT finds in a shard's `events` (of these customers), with all `products`."""
    return fetch(run(query, events=among.rows(job.clean.events(shard)), products=job.clean.products))


def daily_sales(job: Job, asof_ms: int, margin_rate: float) -> pl.DataFrame:
    """customer_id, day (0 is the day that begins at `asof_ms`), value_cents, coupon_cents; a row per day with an
    order.

    A refund counts where something was bought on its day; the margin is by the products' cost, else `margin_rate`.
    """
    query = bind(SALES, asof=asof_ms, day_ms=DAY_MS, rate=margin_rate)
    return pl.concat(mapped(job, found_in, job.clean.shards, query)).sort("customer_id", "day")


def _on_worker(
    config: Config, place: StorePlace, function: Callable[..., Found], more: Sequence[Any], named: Mapping[str, Any],
    shard: int,
) -> Found:  # fmt: skip
    with Store.at(place, memory=config.data.memory) as store:
        return function(Job(config, store, quiet), shard, *more, **named)


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
            "events_missing", "no events were accepted, so there is nothing to plan from; see `promolift health`"
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
