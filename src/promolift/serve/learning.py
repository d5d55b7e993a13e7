"""A task on stdin; what `promolift learn` says of the ledger's decisions, on stdout. A process of its own.

So no decision waits for it: it reads the ledger through its own connection, at low priority, and writes but into its
own folder. `python -m promolift.serve.learning`; the server starts it, see `schedule`.
"""

import os
import sys
from collections.abc import Iterator
from functools import cache, partial
from pathlib import Path
from typing import Any

import polars as pl
from sqlalchemy import Connection, create_engine, select

from promolift.errors import PromoError, SupportError
from promolift.results.shop import Span
from promolift.results.tables import Clean
from promolift.serve.learned import Learned, Task
from promolift.serve.outcomes import KINDS, outcomes
from promolift.serve.record import whole
from promolift.serve.release import load
from promolift.steps.learn import Request, run_learn
from promolift.store import Store
from promolift.store.ledger_schema import DECISIONS, EVENTS
from promolift.tables import DECISIONS as CONTRACT

PART = 50_000


def told(task: Task) -> Learned:
    """What was learned, or `why` nothing can be told."""
    try:
        return learn(task)
    except PromoError as error:
        return Learned(why=str(error))


def learn(task: Task) -> Learned:
    """Run `promolift learn` on the ledger's decisions; its proposal. PromoError where nothing can be told."""
    config, folder = task.config, task.folder
    folder.mkdir(parents=True, exist_ok=True)
    decisions, events = folder / "decisions.parquet", folder / "events.parquet"
    engine = create_engine(task.ledger)
    try:
        with engine.connect() as db:
            read_decisions(db, task).write_parquet(decisions)
            read_events(db, task, config.shop.currency if config else "USD").write_parquet(events)
    finally:
        engine.dispose()
    request = Request(decisions, events, task.work, folder, config or Path("none"), task.settings)
    try:
        proposal = run_learn(request, lambda *_: None).proposal.to_json()
    finally:
        for file in (decisions, events):  # they name customers, who may ask to be forgotten
            file.unlink(missing_ok=True)
    return Learned.model_validate({name: proposal[name] for name in Learned.model_fields if name in proposal})


def read_decisions(db: Connection, task: Task) -> pl.DataFrame:
    """The campaign's decisions that the shop got in time, with the terms they were made by, recalibration included.

    Those whose release is gone tell nothing of their offers and are left out. SupportError if there are no others.
    """
    names = [*CONTRACT.schema, "terms"]
    wanted = select(DECISIONS).where(DECISIONS.c.campaign_id == task.campaign_id, DECISIONS.c.unanswered == 0)
    schema = CONTRACT.schema | {"terms": pl.String}
    parts, release, gone = [pl.DataFrame(schema=schema)], cache(partial(load, task.work)), 0
    for rows in _parts(db, wanted.order_by(DECISIONS.c.ts_ms, DECISIONS.c.decision_id)):
        kept = (dict(zip(DECISIONS.c.keys(), row, strict=True)) for row in rows)
        known = [each for each in whole(kept, release) if each.terms is not None]
        gone += len(rows) - len(known)
        told = [tuple(map(each.columns(each.terms_text).__getitem__, names)) for each in known]
        parts.append(pl.DataFrame(told, schema=schema | {"holdout": pl.Int64}, orient="row"))
    found = pl.concat([part.with_columns(pl.col("holdout").cast(pl.Boolean)) for part in parts])
    if gone and found.is_empty():
        raise SupportError(f"learn: the releases of all {gone:,} decisions are gone or of another version of promolift")
    return found


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
    heard = [outcomes(rows, currency) for rows in _parts(db, wanted)]
    frame: pl.DataFrame = pl.concat([outcomes([], currency), *kept, *heard], how="diagonal_relaxed")
    if frame.is_empty():
        raise SupportError("learn: no order is known yet, neither from the shop's files nor from /v1/batch")
    return frame


def _parts(db: Connection, wanted: Any) -> Iterator[list[Any]]:
    """Rows in parts that fit in memory."""
    found = db.execution_options(stream_results=True).execute(wanted)
    while rows := found.fetchmany(PART):
        yield [tuple(row) for row in rows]


def main() -> None:
    """Read the task, learn, print one line of JSON."""
    os.nice(10)
    print(told(Task.model_validate_json(sys.stdin.read())).model_dump_json(exclude_unset=True), flush=True)


if __name__ == "__main__":
    main()
