"""A task on stdin; what `promolift learn` says of the ledger's decisions, on stdout. A process of its own.

So no decision waits for it: it reads the ledger through its own connection, at low priority, and writes but into its
own folder. `python -m promolift.server.tasks.learning_task`; the server starts it, see `schedule`.
"""

import os
import sys
from collections.abc import Iterable, Iterator
from functools import cache, partial
from pathlib import Path
from typing import Any

import polars as pl
from sqlalchemy import Connection, create_engine, select

from promolift.extensions.ads import serving
from promolift.foundation.errors import PromoError, SupportError
from promolift.foundation.storage.local_store import Store
from promolift.foundation.tables.schemas import DECISIONS as CONTRACT
from promolift.server.decisions.decision_record import whole
from promolift.server.decisions.release_storage import load_from
from promolift.server.ledger.outcomes import KINDS, HeardEvent, outcomes
from promolift.server.ledger.records import Annotation, Learned, Task
from promolift.server.ledger.schema import DECISIONS, EVENTS
from promolift.shop.configuration.configuration import ShopSettings
from promolift.shop.feedback.learning import Request, run_learn
from promolift.shop.results.ingest import Span
from promolift.shop.results.learned_policy import NO_DRAWS
from promolift.shop.results.work_folder.work_tables import Clean

PART = 50_000


def answer(task: Task) -> Learned:
    """What was learned, or `why` nothing can be said."""
    try:
        return learn(task)
    except PromoError as error:
        return Learned(why=str(error))


def learn(task: Task) -> Learned:
    """Run `promolift learn` on the ledger's decisions; its proposal. PromoError where nothing can be said."""
    config, folder = task.config, task.folder
    folder.mkdir(parents=True, exist_ok=True)
    decisions, events = folder / "decisions.parquet", folder / "events.parquet"
    shop = config.shop if config else ShopSettings()
    engine = create_engine(task.ledger)
    try:
        with engine.connect() as db:
            counted = partial(without, left_out=Annotation.all(db).values(), zone=shop.zone)
            if (next_shares := serving.learn(db, task, counted)) is not None:
                return next_shares
            some(counted(read_decisions(db, task))).write_parquet(decisions)
            counted(read_events(db, task, shop.currency)).write_parquet(events)
    finally:
        engine.dispose()
    request = Request(decisions, events, task.work, folder, config or Path("none"), task.settings)
    try:
        proposal = run_learn(request, lambda *_: None).proposal
    finally:
        for file in (decisions, events):  # they name customers, who may ask to be forgotten
            file.unlink(missing_ok=True)
    if proposal is None:
        return Learned(why=NO_DRAWS)
    return Learned(release=proposal.release, why=proposal.why, within_guardrails=proposal.within_guardrails)


def without(rows: pl.DataFrame, left_out: Iterable[Annotation], zone: str, at: str = "ts_ms") -> pl.DataFrame:
    """Rows whose moment (`at`) is of the days that somebody excluded are left out, of every group alike."""
    day = pl.from_epoch(at, "ms").dt.replace_time_zone("UTC").dt.convert_time_zone(zone).dt.date()
    spans = [day.is_between(each.first, each.last) for each in left_out if each.excluded]
    return rows.filter(~pl.any_horizontal(spans)) if spans else rows


def read_decisions(db: Connection, task: Task) -> pl.DataFrame:
    """The campaign's decisions that the shop got in time, with the terms they were made by.

    Those whose release is gone say nothing of their offers and are left out. SupportError if there are no others.
    """
    names = [*CONTRACT.schema, "terms"]
    wanted = select(DECISIONS).where(DECISIONS.c.campaign_id == task.campaign_id, DECISIONS.c.unanswered == 0)
    schema = CONTRACT.schema | {"terms": pl.String}
    parts, release, gone = [pl.DataFrame(schema=schema)], cache(partial(load_from, task.releases, task.work)), 0
    for rows in _parts(db, wanted.order_by(DECISIONS.c.ts_ms, DECISIONS.c.decision_id)):
        kept = (dict(zip(DECISIONS.c.keys(), row, strict=True)) for row in rows)
        known = [each for each in whole(kept, release) if each.terms is not None]
        gone += len(rows) - len(known)
        listed = [tuple(map(each.columns(each.terms_text).__getitem__, names)) for each in known]
        parts.append(pl.DataFrame(listed, schema=schema | {"holdout": pl.Int64}, orient="row"))
    found = pl.concat([part.with_columns(pl.col("holdout").cast(pl.Boolean)) for part in parts])
    if gone and found.is_empty():
        raise SupportError(
            "terms_gone", f"learn: the releases of all {gone:,} decisions are gone or of another version of promolift"
        )
    return found


def some(rows: pl.DataFrame) -> pl.DataFrame:
    """The same; SupportError where nobody was decided on."""
    if rows.is_empty():
        raise SupportError("decisions_missing", "learn: nobody was decided on yet")
    return rows


def read_events(db: Connection, task: Task, currency: str) -> pl.DataFrame:
    """What the work folder knows was bought, and what the ledger heard after that."""
    kept, last_ms = [], -1
    with Store(task.work) as store:
        clean = Clean(store)
        if clean.has_events:
            last_ms = Span.load(store).last_ms or -1
            columns = ("customer_id", "ts_ms", "kind", "product_id", "order_id", "quantity", "revenue_cents",
                       "list_cents", "coupon_cents")  # fmt: skip
            kept.append(clean.events().filter("kind in ('purchase', 'refund')").project(", ".join(columns)).pl())
    wanted = select(EVENTS.c.customer_id, EVENTS.c.ts_ms, EVENTS.c.received_ms, EVENTS.c.name, EVENTS.c.body)
    wanted = wanted.where(EVENTS.c.name.in_(KINDS), EVENTS.c.ts_ms > last_ms).order_by(EVENTS.c.seq)
    heard = [outcomes([HeardEvent(*row) for row in rows], currency) for rows in _parts(db, wanted)]
    frame: pl.DataFrame = pl.concat([outcomes([], currency), *kept, *heard], how="diagonal_relaxed")
    if frame.is_empty():
        raise SupportError(
            "orders_missing", "learn: no order is known yet, neither from the shop's files nor from /v1/batch"
        )
    return frame


def _parts(db: Connection, wanted: Any) -> Iterator[list[Any]]:
    found = db.execution_options(stream_results=True).execute(wanted)
    while rows := found.fetchmany(PART):
        yield [tuple(row) for row in rows]


def main() -> None:
    """Read the task, learn, print one line of JSON."""
    os.nice(10)
    print(answer(Task.model_validate_json(sys.stdin.read())).model_dump_json(exclude_unset=True), flush=True)


if __name__ == "__main__":
    main()
