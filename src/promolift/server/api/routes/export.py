"""Export ledger tables page by page, and carry out a customer's requests for access, erasure and anonymisation.

Large reads run in a separate process and an erasure runs in small transactions, so that decisions do not wait.
"""

import io
import json
import logging
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from functools import cache, partial
from pathlib import Path as Folder
from typing import Annotated, Any, Literal, NamedTuple

import polars as pl
from fastapi import APIRouter, Path, Query, Response
from fastapi.responses import JSONResponse
from pydantic_core import to_json
from sqlalchemy import ColumnElement, Connection, Table, create_engine, func, select

from promolift.core.decisions.decision_rule import first_decision_id
from promolift.core.experiments.exposure_log import LogFormat, to_exposure_log
from promolift.foundation.errors import PromoError
from promolift.foundation.privacy.identifier_search import IdentifierSearch
from promolift.foundation.privacy.redaction import pseudonym
from promolift.foundation.storage.local_store import Store
from promolift.foundation.tables.schemas import DECISIONS as CONTRACT
from promolift.foundation.time.clock import Clock
from promolift.server.admin_responses import CustomerErased, CustomerExport, CustomerForgotten, answers
from promolift.server.api.routes import IdempotentRoute, Route, RouteContext, ServerRoute, slow
from promolift.server.decisions import decision_record
from promolift.server.decisions.decisions import last_decision_ms
from promolift.server.decisions.release_storage import load_shared_release
from promolift.server.ledger.audit_log import HttpResponse
from promolift.server.ledger.erasure import (
    CUSTOMER_TABLES,
    ERASED_TABLES,
    count_rows,
    delete_rejects,
    erase_batch,
    mark_erased,
    replace_customer_id,
    replace_mentions,
)
from promolift.server.ledger.event_rows import event_items
from promolift.server.ledger.field_types import Id
from promolift.server.ledger.outbox_rows import post_webhook_event
from promolift.server.ledger.outcomes import finite_number
from promolift.server.ledger.schema import DECISIONS, EVENTS, OUTBOX, REDEMPTIONS, REJECTS
from promolift.server.tasks import erasure_report
from promolift.shop.results.work_folder.customer_erasure import erase_customer

router = APIRouter(route_class=ServerRoute)
LOG = logging.getLogger("promolift.server")
POSITION_COLUMNS = {EVENTS: "seq", DECISIONS: "ts_ms", REDEMPTIONS: "ts_ms", REJECTS: "seq"}  # how pages are counted
EXPORT_TABLES = {table.name: table for table in POSITION_COLUMNS} | {"purchases": EVENTS, "exposures": DECISIONS}
MAX_EXPORT_ROWS = 200_000
MEDIA_TYPES = {
    "csv": "text/csv; charset=utf-8", "jsonl": "application/jsonl", "parquet": "application/vnd.apache.parquet",
}  # fmt: skip
ERASED_PER_CHANGE, EXPANDED_PER_CHANGE = 2000, 100  # rows that go, or records that are written out, in one change


class ExportRequest(NamedTuple):
    """At most `limit` rows after one number or moment up to another; and where releases are shared."""

    table: str
    kind: str
    after: int
    until: int
    limit: int
    spreadsheet: bool
    releases: str | None
    shape: LogFormat


class ExportPage(NamedTuple):
    """A page as a file, and the `after` of the next one."""

    content: bytes
    next: str


@router.get("/v1/exports/{table}.{kind}", response_class=Response, tags=["export"])
@slow
def export(
    asked: Route,
    table: Literal["events", "decisions", "redemptions", "rejects", "purchases", "exposures"],
    kind: Annotated[Literal["csv", "jsonl", "parquet"], Path()],
    after: Annotated[int, Query(ge=0, le=2**53)] = 0,
    limit: Annotated[int, Query(ge=1, le=MAX_EXPORT_ROWS)] = MAX_EXPORT_ROWS,
    spreadsheet: bool = False,
    shape: LogFormat = "growthbook",
) -> Response:
    """Rows after a moment (`ts_ms`) or number (`seq`) in order; header `x-next` is the `after` of the next page.

    Every id stands as it is. With `spreadsheet=true` a cell that a spreadsheet would take for a formula gets an
    apostrophe in front: for people, not for the next `promolift ingest`.

    `purchases` has a line per product of every completed order, in columns that `promolift ingest` understands;
    `exposures` a line per answered decision of a draw, in the columns of `shape`.
    """
    until = asked.server.ledger.settled(partial(_latest, table, asked.server.clock))
    wanted = ExportRequest(table, kind, after, until, limit, spreadsheet, asked.server.settings.releases, shape)
    page: ExportPage = asked.server.run_in_reader(read_export_page, wanted)
    return Response(page.content, headers={"x-next": page.next}, media_type=MEDIA_TYPES[kind])


def _latest(table: str, clock: Clock, db: Connection) -> int:
    """The number or moment of the last row there is."""
    column = EXPORT_TABLES[table].c[POSITION_COLUMNS[EXPORT_TABLES[table]]]
    if column.name == "ts_ms":  # has no index of its own
        return max(clock.now_ms(), last_decision_ms(db))
    return db.execute(select(func.max(column))).scalar() or 0


def read_export_page(ledger: str, work: Folder, asked: ExportRequest) -> ExportPage:
    """Read one page of a table, as the route `export` returns it."""
    table, kind, after, until, limit, spreadsheet, releases, shape = asked
    source = EXPORT_TABLES[table]
    column = source.c[POSITION_COLUMNS[source]]
    order = source.c.decision_id if source is DECISIONS else column
    wanted = select(source).where(*_counted(source, after + 1, until)).order_by(order).limit(limit)
    if table == "purchases":
        wanted = wanted.where(EVENTS.c.name == "Order Completed")
    engine = create_engine(ledger)
    with engine.connect() as db:
        rows = [tuple(row) for row in db.execute(wanted)]
        if rows and len(rows) == limit and column.name == "ts_ms":  # a page must not end within one millisecond
            place = list(source.c).index(column)
            last_ms = rows[-1][place]
            rest = db.execute(select(source).where(*_counted(source, last_ms, last_ms)))
            rows = [row for row in rows if row[place] != last_ms] + [tuple(row) for row in rest]
    engine.dispose()
    schema: dict[str, Any] = {c.name: pl.String if c.type.python_type is str else None for c in source.c}
    if table == "decisions":
        schema = {name: kind for name, kind in schema.items() if name not in decision_record.COMPACT_COLUMNS}
        schema |= {name: CONTRACT.schema[name] for name in decision_record.LIST_COLUMNS}
        kept = (dict(zip(source.c.keys(), row, strict=True)) for row in rows)
        whole = decision_record.expand_rows(kept, cache(partial(load_shared_release, releases, work)))
        rows = [tuple(map(each.columns(each.terms_text).__getitem__, schema)) for each in whole]
    frame = pl.DataFrame(rows, schema=schema, orient="row", infer_schema_length=None)
    last = str(frame[column.name].max()) if frame.height >= limit else ""
    if table == "exposures":
        frame = to_exposure_log(frame.filter(pl.col("unanswered") == 0), shape)
    return ExportPage(encode_table(purchase_rows(frame) if table == "purchases" else frame, kind, spreadsheet), last)


def _counted(source: Table, first: int, last: int) -> Iterator[ColumnElement[bool]]:
    """Rows from one moment or number to another; of decisions, whose ids rise with time, their key finds them."""
    yield source.c[POSITION_COLUMNS[source]].between(first, last)
    if source is DECISIONS:
        yield source.c.decision_id.between(first_decision_id(first), first_decision_id(last + 1))


def purchase_rows(events: pl.DataFrame) -> pl.DataFrame:
    """Return one row per product of every completed order: customer_id, event_time, order_id, product_id, ..."""
    rows = []
    for event in events.iter_rows(named=True):
        about = json.loads(event["body"]).get("properties") or {}
        ts_ms = max(0, event["ts_ms"])  # an earlier version took times that no calendar has
        moment = datetime.fromtimestamp(ts_ms / 1000, UTC).isoformat(timespec="milliseconds")
        order = {"customer_id": event["customer_id"], "event_time": moment, "event_type": "purchase"}
        order |= {"order_id": _plain(about.get("order_id"))}
        for line in event_items(about):
            coupon = _plain(about.get("coupon") or line.properties.get("coupon"))
            bought = {
                "quantity": finite_number(line.properties.get("quantity", 1)),
                "price": finite_number(line.properties.get("price")),
            }
            rows.append(order | {"product_id": line.product, "category": line.category, "coupon": coupon} | bought)
    texts = ("customer_id", "event_time", "event_type", "order_id", "product_id", "category")
    schema = dict.fromkeys(texts, pl.String) | {"quantity": pl.Float64, "price": pl.Float64, "coupon": pl.String}
    return pl.DataFrame(rows, schema=schema)


def _plain(value: object) -> str | None:
    return str(value) if isinstance(value, str | int | float) and not isinstance(value, bool) else None


def encode_table(frame: pl.DataFrame, kind: str, spreadsheet: bool) -> bytes:
    """Encode a table as a file of this kind."""
    buffer = io.BytesIO()
    if kind == "parquet":
        frame.write_parquet(buffer)
    elif kind == "jsonl":
        frame.write_ndjson(buffer)
    else:
        lists = [name for name, dtype in frame.schema.items() if isinstance(dtype, pl.List)]
        texts = {name: [to_json(each).decode() for each in frame[name].to_list()] for name in lists}
        frame = frame.with_columns(pl.Series(name, each, dtype=pl.String) for name, each in texts.items())
        if spreadsheet:  # a cell that would be taken for a formula gets an apostrophe in front
            cell = pl.col(pl.String)
            formula = cell.str.contains(r"^[=+\-@\t\r\n]")
            frame = frame.with_columns(pl.when(formula).then(pl.lit("'") + cell).otherwise(cell).name.keep())
        frame.write_csv(buffer)
    return buffer.getvalue()


@router.post("/v1/privacy/{subject}:export", tags=["privacy"], **answers(CustomerExport))
@slow
def known(asked: Route, subject: Id) -> Response:
    """Everything that is kept under the customer's id, table by table, and what the releases loaded say of them."""
    server, more = asked.server, {}
    for name, release in sorted(server.decider.releases.items()):
        if subject in release.place or subject in release.people:
            rows = [option._asdict() for option in release.rows.options(release.span(subject))]
            person = release.people.get(subject)
            more[f"release {name}"] = [{"name, age, language, consent": person, "candidates": rows}]
    body: bytes = server.run_in_reader(read_customer_data, subject, more, server.settings.releases)
    alias = pseudonym(subject, server.secret)

    def note(db: Connection, now_ms: int) -> HttpResponse:
        asked.append_audit(db, now_ms, "privacy.export", alias)
        return HttpResponse(200, None)

    server.change(note)
    return Response(body, media_type="application/json")


def read_customer_data(ledger: str, work: Folder, subject: str, more: dict[str, Any], releases: str | None) -> bytes:
    """Return JSON of all rows about a customer, by table, and `more`."""
    engine = create_engine(ledger)
    with engine.connect() as db:
        tables = (*CUSTOMER_TABLES, REJECTS, OUTBOX)
        wanted = {table.name: select(table).where(table.c.customer_id == subject) for table in tables}
        found = {name: [dict(row) for row in db.execute(mine).mappings()] for name, mine in wanted.items()}
    engine.dispose()
    whole = decision_record.expand_rows(found[DECISIONS.name], cache(partial(load_shared_release, releases, work)))
    found[DECISIONS.name] = [each.columns(each.terms_shown) for each in whole]
    return to_json({"subject": subject, "tables": found | more})


@router.post("/v1/privacy/{subject}:erase", tags=["privacy"], **answers(CustomerErased))
@slow
def erase(asked: IdempotentRoute, subject: Id) -> Response:
    """Forget the customer: their events go, records of money and decisions stay under a pseudonym, no offer ever again.

    Order numbers go from redemptions, stored answers and webhooks, since a shop could find the customer by them.

    Only the mark that they must not be written to stays under their id. Then everything that promolift wrote, and the
    shop's own files, are searched for the id and for the e-mail addresses and phone numbers known of the customer:
    `left` is where they still stand, `searched` what was read, `unread` what could not be. A retry with its key hears
    the same report.
    """
    if asked.key is None:
        return _erase(asked, subject)
    with asked.server.alone(f"{asked.key}\nwhole"):  # its change and its search: one request is one erasure
        kept = asked.server.stored_answer(asked.key)
        if kept is not None and "searched" in kept.body:
            return JSONResponse(kept.body, kept.status)
        return _erase(asked, subject)


def _erase(asked: RouteContext, subject: str) -> Response:
    server = asked.server
    counts, now_ms, given = _counts(asked, subject), server.clock.now_ms(), (server.settings, server.config)
    search: IdentifierSearch = server.run_in_reader(erasure_report.identify, subject, *given)  # before the rows go
    mark = _Part(partial(mark_erased, subject=subject, now_ms=now_ms), 1)  # from here on nothing new is kept of them
    rejects = _Part(partial(delete_rejects, seqs=server.run_in_reader(erasure_report.find_rejects, search)), 1)
    masked: list[dict[str, object]] = server.run_in_reader(erasure_report.mask_mentions, search)
    mentions = [
        _Part(partial(replace_mentions, masked=masked[first : first + ERASED_PER_CHANGE]), 1)
        for first in range(0, len(masked), ERASED_PER_CHANGE)
    ]
    _in_parts(asked, [mark, rejects, *mentions, *_forget(subject, None), _spell_out(asked, subject)])
    done = _leave(asked, subject, counts | _forgotten(asked, search), erased=True)
    found = server.run_in_reader(erasure_report.search_after_erasure, search, *given)
    body = json.loads(bytes(done.body)) | found
    if asked.key is not None:
        server.replace_answer(asked.key, HttpResponse(done.status_code, body))
    return JSONResponse(body, done.status_code)


def _forgotten(asked: RouteContext, search: IdentifierSearch) -> dict[str, int]:
    """Their rows in the work folder, kept decisions and draws among them, are deleted; how many, by table. -1 of `work`
    where a step is writing there: `promolift erase` does it when that is over."""
    try:
        found: dict[str, int] = asked.server.run_in_reader(erase_in_work_folder, search)
    except PromoError as error:
        LOG.warning("the work folder was not rid of an erased customer", extra={"detail": search.mask(str(error))})
        return {"work": -1}
    return {f"work.{name}": count for name, count in found.items()}


def load_reader(_: str, __: Folder) -> None:
    """Do nothing: the process that reads has imported this module, and with it all that an erasure needs there."""


def erase_in_work_folder(_: str, work: Folder, search: IdentifierSearch) -> dict[str, int]:
    """Run `erase_customer` in a separate process, since tables of millions are read through."""
    with Store(work) as store:
        return erase_customer(store, search)


@router.post("/v1/privacy/{subject}:anonymise", tags=["privacy"], **answers(CustomerForgotten))
@slow
def anonymise(asked: IdempotentRoute, subject: Id) -> Response:
    """Keep all rows under a pseudonym and without order numbers; what they do later starts anew."""
    counts, alias = _counts(asked, subject), pseudonym(subject, asked.server.secret)
    _in_parts(asked, [*_forget(subject, alias), _spell_out(asked, subject)])
    return _leave(asked, subject, counts, erased=False)


class _Part(NamedTuple):
    """Works on `most` rows at a time; says how many it found."""

    work: Callable[[Connection], int]
    most: int


def _forget(subject: str, alias: str | None) -> list[_Part]:
    return [
        _Part(
            partial(erase_batch, table=table, subject=subject, alias=alias, most=ERASED_PER_CHANGE), ERASED_PER_CHANGE
        )
        for table in ERASED_TABLES
    ]


def _spell_out(asked: RouteContext, subject: str) -> _Part:
    return _Part(
        lambda db: decision_record.expand_customer_rows(db, subject, asked.server.decider.ensure, EXPANDED_PER_CHANGE),
        EXPANDED_PER_CHANGE,
    )


def _in_parts(asked: RouteContext, parts: Sequence[_Part]) -> None:
    """One part after the other until none finds as many as it takes, each of that size in a change of its own:
    decisions go on between them, and one who has few rows waits for the disk once.
    """

    def do(db: Connection, _: int) -> HttpResponse:
        return HttpResponse(200, any(part.work(db) >= part.most for part in parts))

    while asked.server.change(do).body:
        pass


def _counts(asked: RouteContext, subject: str) -> dict[str, int]:
    with asked.read() as db:
        return count_rows(db, subject)


def _leave(asked: RouteContext, subject: str, counts: dict[str, int], erased: bool) -> Response:
    """What stays gets the pseudonym in place of the id."""
    server = asked.server
    alias, action = pseudonym(subject, server.secret), "privacy.erase" if erased else "privacy.anonymise"

    def do(db: Connection, now_ms: int) -> HttpResponse:
        decision_record.expand_customer_rows(db, subject, server.decider.ensure)  # what came meanwhile
        replace_customer_id(db, subject, alias, erased)
        if erased:
            post_webhook_event(db, "customer.erased", {"customer_id": alias}, now_ms)
        asked.append_audit(db, now_ms, action, alias, new=counts)
        return HttpResponse(200, {"pseudonym": alias, "rows": counts, "erased": erased})

    return asked.change(do)
