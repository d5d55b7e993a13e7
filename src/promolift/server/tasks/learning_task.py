"""Run `promolift learn` on the ledger's decisions in a process of its own: task on stdin, result on stdout.

It reads through a connection of its own at low priority and writes only into its own folder, so decisions do not wait.
`learning_schedule` starts it as `python -m promolift.server.tasks.learning_task`.
"""

import json
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
from promolift.foundation.i18n.lazy_message import STORED, LazyMessage, gettext_lazy
from promolift.foundation.storage.local_store import Store
from promolift.foundation.tables.schemas import DECISIONS as CONTRACT
from promolift.server.decisions.decision_record import expand_rows
from promolift.server.decisions.release_storage import load_shared_release
from promolift.server.ledger.event_rows import MESSAGE_WITHHELD, OFFER_MESSAGE
from promolift.server.ledger.outcomes import OUTCOME_KINDS, LedgerEvent, read_outcomes
from promolift.server.ledger.records import Annotation, LearningProposal, LearningTask
from promolift.server.ledger.schema import DECISIONS, EVENTS
from promolift.shop.configuration.configuration import ShopSettings
from promolift.shop.feedback.learning import Request, run_learn
from promolift.shop.feedback.text_earnings import MESSAGE_SCHEMA
from promolift.shop.pipeline.pool_file import load_shop_pool
from promolift.shop.results.ingest import Span
from promolift.shop.results.learned_policy import NO_DRAWS
from promolift.shop.results.work_folder.ledger_consent import read_ledger_consent
from promolift.shop.results.work_folder.work_tables import CleanTables

ROWS_PER_READ = 50_000


def run_task(task: LearningTask) -> LearningProposal:
    """Return what was learned, or `why` nothing can be said."""
    try:
        return learn(task)
    except PromoError as error:
        return LearningProposal(why=error.message)


def learn(task: LearningTask) -> LearningProposal:
    """Run `promolift learn` on the ledger's decisions; its proposal. PromoError where nothing can be said."""
    config, folder = task.config, task.folder
    folder.mkdir(parents=True, exist_ok=True)
    shop = config.shop if config else ShopSettings()
    engine = create_engine(task.ledger)
    try:
        with engine.connect() as db:
            counted = partial(exclude_days, left_out=Annotation.all(db).values(), zone=shop.zone)
            if (next_shares := serving.learn_next_shares(db, task, counted)) is not None:
                return next_shares
            decisions = require_rows(counted(read_decisions(db, task)))
            events = counted(read_events(db, task, shop.currency))
            messages = read_messages(db, decisions)
    finally:
        engine.dispose()
    request = Request(
        decisions, events, task.work, folder, config or Path("none"), task.settings,
        consent=read_ledger_consent(task.ledger), messages=messages,
        load_pool=load_shop_pool,
    )  # fmt: skip
    proposal = run_learn(request, lambda *_: None).proposal
    if proposal is None:
        return LearningProposal(why=LazyMessage.from_stored(NO_DRAWS))
    return LearningProposal(
        release=proposal.release,
        why=LazyMessage.from_stored(proposal.why),
        within_guardrails=proposal.within_guardrails,
    )


def exclude_days(rows: pl.DataFrame, left_out: Iterable[Annotation], zone: str, at: str = "ts_ms") -> pl.DataFrame:
    """Rows whose moment (`at`) is of the days that somebody excluded are left out, of every group alike."""
    day = pl.from_epoch(at, "ms").dt.replace_time_zone("UTC").dt.convert_time_zone(zone).dt.date()
    spans = [day.is_between(each.first, each.last) for each in left_out if each.excluded]
    return rows.filter(~pl.any_horizontal(spans)) if spans else rows


def read_decisions(db: Connection, task: LearningTask) -> pl.DataFrame:
    """The campaign's decisions that the shop got in time, with the terms they were made by.

    Those whose release is gone say nothing of their offers and are left out. SupportError if there are no others.
    """
    names = [*CONTRACT.schema, "terms"]
    wanted = select(DECISIONS).where(DECISIONS.c.campaign_id == task.campaign_id, DECISIONS.c.unanswered == 0)
    schema = CONTRACT.schema | {"terms": pl.String}
    parts, release, gone = (
        [pl.DataFrame(schema=schema)],
        cache(partial(load_shared_release, task.releases, task.work)),
        0,
    )
    for rows in _parts(db, wanted.order_by(DECISIONS.c.ts_ms, DECISIONS.c.decision_id)):
        kept = (dict(zip(DECISIONS.c.keys(), row, strict=True)) for row in rows)
        known = [each for each in expand_rows(kept, release) if each.terms is not None]
        gone += len(rows) - len(known)
        listed = [tuple(map(each.columns(each.terms_text).__getitem__, names)) for each in known]
        parts.append(pl.DataFrame(listed, schema=schema | {"holdout": pl.Int64}, orient="row"))
    found = pl.concat([part.with_columns(pl.col("holdout").cast(pl.Boolean)) for part in parts])
    if gone and found.is_empty():
        raise SupportError(
            "terms_gone",
            gettext_lazy(
                "learn: the releases of all {decisions} decisions are gone or of another version of promolift",
                decisions=f"{gone:,}",
            ),
        )
    return found


def require_rows(rows: pl.DataFrame) -> pl.DataFrame:
    """The same; SupportError where nobody was decided on."""
    if rows.is_empty():
        raise SupportError("decisions_missing", gettext_lazy("learn: nobody was decided on yet"))
    return rows


def read_events(db: Connection, task: LearningTask, currency: str) -> pl.DataFrame:
    """What the work folder knows was bought, and what the ledger heard after that."""
    kept, last_ms = [], -1
    with Store(task.work) as store:
        clean = CleanTables(store)
        if clean.has_events:
            last_ms = Span.load(store).last_ms or -1
            columns = ("customer_id", "ts_ms", "kind", "product_id", "order_id", "quantity", "revenue_cents",
                       "list_cents", "coupon_cents")  # fmt: skip
            kept.append(clean.events().filter("kind in ('purchase', 'refund')").project(", ".join(columns)).pl())
    wanted = select(EVENTS.c.customer_id, EVENTS.c.ts_ms, EVENTS.c.received_ms, EVENTS.c.name, EVENTS.c.body)
    wanted = wanted.where(EVENTS.c.name.in_(OUTCOME_KINDS), EVENTS.c.ts_ms > last_ms).order_by(EVENTS.c.seq)
    heard = [read_outcomes([LedgerEvent(*row) for row in rows], currency) for rows in _parts(db, wanted)]
    frame: pl.DataFrame = pl.concat([read_outcomes([], currency), *kept, *heard], how="diagonal_relaxed")
    if frame.is_empty():
        raise SupportError(
            "orders_missing",
            gettext_lazy("learn: no order is known yet, neither from the shop's files nor from /v1/batch"),
        )
    return frame


def read_messages(db: Connection, decisions: pl.DataFrame) -> pl.DataFrame:
    """Which text each decision was answered with first, or would have been of those held out, as MESSAGE_SCHEMA.

    Events of earlier versions did not say on what the offer was, and are left out.
    """
    wanted = select(EVENTS.c.decision_id, EVENTS.c.name, EVENTS.c.body)
    wanted = wanted.where(EVENTS.c.name.in_((OFFER_MESSAGE, MESSAGE_WITHHELD))).order_by(EVENTS.c.seq)
    names = [name for name in MESSAGE_SCHEMA if name not in ("customer_id", "ts_ms", "held")]
    found = [pl.DataFrame(schema={"decision_id": pl.String, **MESSAGE_SCHEMA})]
    for rows in _parts(db, wanted):
        said = [(decision_id, name == MESSAGE_WITHHELD, json.loads(body)) for decision_id, name, body in rows]
        told = [
            {"decision_id": decision_id, "held": held, **{each: body.get(each) for each in names}}
            for decision_id, held, body in said if body.get("scope")
        ]  # fmt: skip
        found.append(pl.DataFrame(told, schema={"decision_id": pl.String, **MESSAGE_SCHEMA}))
    mine = pl.concat(found).drop("customer_id", "ts_ms").unique("decision_id", keep="first", maintain_order=True)
    whose = decisions.select("decision_id", "customer_id", "ts_ms").join(mine, on="decision_id")
    return whose.select(*MESSAGE_SCHEMA).drop_nulls(("text_id", "propensity"))


def _parts(db: Connection, wanted: Any) -> Iterator[list[Any]]:
    found = db.execution_options(stream_results=True).execute(wanted)
    while rows := found.fetchmany(ROWS_PER_READ):
        yield [tuple(row) for row in rows]


def main() -> None:
    """Read the task, learn, print one line of JSON."""
    os.nice(10)
    print(
        run_task(LearningTask.model_validate_json(sys.stdin.read())).model_dump_json(
            exclude_unset=True, context=STORED
        ),
        flush=True,
    )


if __name__ == "__main__":
    main()
