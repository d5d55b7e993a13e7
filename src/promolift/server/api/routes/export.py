"""The ledger's tables, a page at a time; and a customer's rights: all that is known of them, forgotten or nameless.

What reads many rows runs in a process of its own, and what forgets in parts: no decision waits for either.
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
from pydantic_core import to_json
from sqlalchemy import ColumnElement, Connection, Table, create_engine, func, select

from promolift.core.decisions.decision_rule import first_id
from promolift.core.experiments.exposure_log import Shape, exposures
from promolift.foundation.errors import PromoError
from promolift.foundation.redaction import pseudonym
from promolift.foundation.storage.local_store import Store
from promolift.foundation.tables.schemas import DECISIONS as CONTRACT
from promolift.foundation.time.clock import Clock
from promolift.server.api.routes import Asked, Call, Keyed
from promolift.server.decisions import decision_record
from promolift.server.decisions.decisions import last_moment
from promolift.server.decisions.release_storage import load_from
from promolift.server.ledger.audit_log import HttpAnswer
from promolift.server.ledger.erasure import FORGOTTEN, WITH_CUSTOMER, count_rows, forget_part, mark_erased, rename
from promolift.server.ledger.event_rows import lines
from promolift.server.ledger.field_types import Id
from promolift.server.ledger.outbox_rows import announce
from promolift.server.ledger.outcomes import number
from promolift.server.ledger.schema import DECISIONS, EVENTS, OUTBOX, REDEMPTIONS, REJECTS

router = APIRouter()
LOG = logging.getLogger("promolift.server")
COUNTED = {EVENTS: "seq", DECISIONS: "ts_ms", REDEMPTIONS: "ts_ms", REJECTS: "seq"}  # how pages are counted
EXPORTED = {table.name: table for table in COUNTED} | {"purchases": EVENTS, "exposures": DECISIONS}
MOST = 200_000
TYPES = {
    "csv": "text/csv; charset=utf-8", "jsonl": "application/jsonl", "parquet": "application/vnd.apache.parquet",
}  # fmt: skip
PART, LISTED = 2000, 100  # rows that go, or records that are written out, in one change


class ExportAsked(NamedTuple):
    """At most `limit` rows after one number or moment up to another; and where releases are shared."""

    table: str
    kind: str
    after: int
    until: int
    limit: int
    spreadsheet: bool
    releases: str | None
    shape: Shape


class ExportPage(NamedTuple):
    """A page as a file, and the `after` of the next one."""

    content: bytes
    next: str


@router.get("/v1/exports/{table}.{kind}", response_class=Response, tags=["export"])
def export(
    asked: Asked,
    table: Literal["events", "decisions", "redemptions", "rejects", "purchases", "exposures"],
    kind: Annotated[Literal["csv", "jsonl", "parquet"], Path()],
    after: Annotated[int, Query(ge=0, le=2**53)] = 0,
    limit: Annotated[int, Query(ge=1, le=MOST)] = MOST,
    spreadsheet: bool = False,
    shape: Shape = "growthbook",
) -> Response:
    """Rows after a moment (`ts_ms`) or number (`seq`) in order; header `x-next` is the `after` of the next page.

    Every id stands as it is. With `spreadsheet=true` a cell that a spreadsheet would take for a formula gets an
    apostrophe in front: for people, not for the next `promolift ingest`.

    `purchases` has a line per product of every completed order, in columns that `promolift ingest` understands;
    `exposures` a line per answered decision of a draw, in the columns of `shape`.
    """
    until = asked.server.ledger.settled(partial(_latest, table, asked.server.clock))
    wanted = ExportAsked(table, kind, after, until, limit, spreadsheet, asked.server.settings.releases, shape)
    page: ExportPage = asked.server.beside(exported, wanted)
    return Response(page.content, headers={"x-next": page.next}, media_type=TYPES[kind])


def _latest(table: str, clock: Clock, db: Connection) -> int:
    """The number or moment of the last row there is."""
    column = EXPORTED[table].c[COUNTED[EXPORTED[table]]]
    if column.name == "ts_ms":  # has no index of its own
        return max(clock.now_ms(), last_moment(db))
    return db.execute(select(func.max(column))).scalar() or 0


def exported(ledger: str, work: Folder, asked: ExportAsked) -> ExportPage:
    """A page of a table, as `export` answers it."""
    table, kind, after, until, limit, spreadsheet, releases, shape = asked
    source = EXPORTED[table]
    column = source.c[COUNTED[source]]
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
        schema = {name: kind for name, kind in schema.items() if name not in decision_record.OWN}
        schema |= {name: CONTRACT.schema[name] for name in decision_record.LISTS}
        kept = (dict(zip(source.c.keys(), row, strict=True)) for row in rows)
        whole = decision_record.whole(kept, cache(partial(load_from, releases, work)))
        rows = [tuple(map(each.columns(each.terms_text).__getitem__, schema)) for each in whole]
    frame = pl.DataFrame(rows, schema=schema, orient="row", infer_schema_length=None)
    last = str(frame[column.name].max()) if frame.height >= limit else ""
    if table == "exposures":
        frame = exposures(frame.filter(pl.col("unanswered") == 0), shape)
    return ExportPage(written(purchases(frame) if table == "purchases" else frame, kind, spreadsheet), last)


def _counted(source: Table, first: int, last: int) -> Iterator[ColumnElement[bool]]:
    """Rows from one moment or number to another; of decisions, whose ids rise with time, their key finds them."""
    yield source.c[COUNTED[source]].between(first, last)
    if source is DECISIONS:
        yield source.c.decision_id.between(first_id(first), first_id(last + 1))


def purchases(events: pl.DataFrame) -> pl.DataFrame:
    """One row per product of every completed order: customer_id, event_time, event_type, order_id, product_id, ..."""
    rows = []
    for event in events.iter_rows(named=True):
        about = json.loads(event["body"]).get("properties") or {}
        ts_ms = max(0, event["ts_ms"])  # an earlier version took times that no calendar has
        moment = datetime.fromtimestamp(ts_ms / 1000, UTC).isoformat(timespec="milliseconds")
        order = {"customer_id": event["customer_id"], "event_time": moment, "event_type": "purchase"}
        order |= {"order_id": _plain(about.get("order_id"))}
        for line in lines(about):
            coupon = _plain(about.get("coupon") or line.said.get("coupon"))
            bought = {"quantity": number(line.said.get("quantity", 1)), "price": number(line.said.get("price"))}
            rows.append(order | {"product_id": line.product, "category": line.category, "coupon": coupon} | bought)
    texts = ("customer_id", "event_time", "event_type", "order_id", "product_id", "category")
    schema = dict.fromkeys(texts, pl.String) | {"quantity": pl.Float64, "price": pl.Float64, "coupon": pl.String}
    return pl.DataFrame(rows, schema=schema)


def _plain(value: object) -> str | None:
    return str(value) if isinstance(value, str | int | float) and not isinstance(value, bool) else None


def written(frame: pl.DataFrame, kind: str, spreadsheet: bool) -> bytes:
    """A table as a file of this kind."""
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


@router.post("/v1/privacy/{subject}:export", tags=["privacy"])
def known(asked: Asked, subject: Id) -> Response:
    """Everything that is kept under the customer's id, table by table, and what the releases loaded say of them."""
    server, more = asked.server, {}
    for name, release in sorted(server.decider.releases.items()):
        if subject in release.place or subject in release.people:
            rows = [option._asdict() for option in release.rows.options(release.span(subject))]
            person = release.people.get(subject)
            more[f"release {name}"] = [{"name, age, language, consent": person, "candidates": rows}]
    body: bytes = server.beside(all_of, subject, more, server.settings.releases)
    alias = pseudonym(subject, server.secret)

    def note(db: Connection, now_ms: int) -> HttpAnswer:
        asked.note(db, now_ms, "privacy.export", alias)
        return HttpAnswer(200, None)

    server.change(note)
    return Response(body, media_type="application/json")


def all_of(ledger: str, work: Folder, subject: str, more: dict[str, Any], releases: str | None) -> bytes:
    """JSON of all rows that name a customer, by table, and `more`."""
    engine = create_engine(ledger)
    with engine.connect() as db:
        tables = (*WITH_CUSTOMER, REJECTS, OUTBOX)
        wanted = {table.name: select(table).where(table.c.customer_id == subject) for table in tables}
        found = {name: [dict(row) for row in db.execute(mine).mappings()] for name, mine in wanted.items()}
    engine.dispose()
    whole = decision_record.whole(found[DECISIONS.name], cache(partial(load_from, releases, work)))
    found[DECISIONS.name] = [each.columns(each.terms_shown) for each in whole]
    return to_json({"subject": subject, "tables": found | more})


@router.post("/v1/privacy/{subject}:erase", tags=["privacy"])
def erase(asked: Keyed, subject: Id) -> Response:
    """Forget the customer: their events go, records of money and decisions stay under a pseudonym, no offer ever again.

    Only the mark that they must not be written to stays under their id.
    """
    counts, now_ms = _counts(asked, subject), asked.server.clock.now_ms()
    mark = _Part(partial(mark_erased, subject=subject, now_ms=now_ms), 1)  # from here on nothing new is kept of them
    _in_parts(asked, [mark, *_forget(subject, None), _spell_out(asked, subject)])
    return _leave(asked, subject, counts | _forgotten(asked, subject), erased=True)


def _forgotten(asked: Call, subject: str) -> dict[str, int]:
    """Their rows in the work folder, kept decisions and draws among them, are deleted; how many, by table. -1 of `work`
    where a step is writing there: `promolift erase` does it when that is over."""
    try:
        found: dict[str, int] = asked.server.beside(forget_in, subject)  # tables of millions are read through
    except PromoError as error:
        LOG.warning("the work folder was not rid of an erased customer", extra={"detail": str(error)})
        return {"work": -1}
    return {f"work.{name}": count for name, count in found.items()}


def forget_in(_: str, work: Folder, subject: str) -> dict[str, int]:
    """`Store.forget`, in a process of its own."""
    with Store(work) as store:
        return store.forget(subject)


@router.post("/v1/privacy/{subject}:anonymise", tags=["privacy"])
def anonymise(asked: Keyed, subject: Id) -> Response:
    """Keep all rows under a pseudonym; what they do later starts anew."""
    counts, alias = _counts(asked, subject), pseudonym(subject, asked.server.secret)
    _in_parts(asked, [*_forget(subject, alias), _spell_out(asked, subject)])
    return _leave(asked, subject, counts, erased=False)


class _Part(NamedTuple):
    """Works on `most` rows at a time; says how many it found."""

    work: Callable[[Connection], int]
    most: int


def _forget(subject: str, alias: str | None) -> list[_Part]:
    return [
        _Part(partial(forget_part, table=table, subject=subject, alias=alias, most=PART), PART) for table in FORGOTTEN
    ]


def _spell_out(asked: Call, subject: str) -> _Part:
    return _Part(lambda db: decision_record.spell_out(db, subject, asked.server.decider.ensure, LISTED), LISTED)


def _in_parts(asked: Call, parts: Sequence[_Part]) -> None:
    """One part after the other until none finds as many as it takes, each of that size in a change of its own:
    decisions go on between them, and one who has few rows waits for the disk once.
    """

    def do(db: Connection, _: int) -> HttpAnswer:
        return HttpAnswer(200, any(part.work(db) >= part.most for part in parts))

    while asked.server.change(do).body:
        pass


def _counts(asked: Call, subject: str) -> dict[str, int]:
    with asked.read() as db:
        return count_rows(db, subject)


def _leave(asked: Call, subject: str, counts: dict[str, int], erased: bool) -> Response:
    """What stays gets the pseudonym in place of the id."""
    server = asked.server
    alias, action = pseudonym(subject, server.secret), "privacy.erase" if erased else "privacy.anonymise"

    def do(db: Connection, now_ms: int) -> HttpAnswer:
        decision_record.spell_out(db, subject, server.decider.ensure)  # what came meanwhile
        rename(db, subject, alias, erased)
        if erased:
            announce(db, "customer.erased", {"customer_id": alias}, now_ms)
        asked.note(db, now_ms, action, alias, new=counts)
        return HttpAnswer(200, {"pseudonym": alias, "rows": counts, "erased": erased})

    return asked.changed(do)
