"""A customer's rights: all that is known of them, forgotten, or kept without their name."""

import json
from typing import Any

from fastapi import APIRouter, Request, Response
from sqlalchemy import Connection, Table, delete, func, insert, select, update

from promolift.hashing import hash_id
from promolift.privacy import pseudonym
from promolift.serve import outbox, record
from promolift.serve.models import Id
from promolift.serve.routes.money import IdempotencyKey, actor, changed, server_of
from promolift.serve.server import Server
from promolift.store.ledger_audit import Act, HttpAnswer, audit
from promolift.store.ledger_schema import (
    ALIASES,
    ANSWERS,
    BOUGHT,
    CODES,
    CUSTOMERS,
    DECISIONS,
    EVENTS,
    OUTBOX,
    REDEMPTIONS,
    REJECTS,
    USAGE,
)

router = APIRouter(prefix="/v1/privacy", tags=["privacy"])
WITH_CUSTOMER = (ALIASES, EVENTS, BOUGHT, CUSTOMERS, DECISIONS, CODES, REDEMPTIONS)
FORGOTTEN = (EVENTS, BOUGHT)
PART = 2000  # rows that go in one change
KEPT = (DECISIONS, CODES, REDEMPTIONS)


@router.post("/{subject}:export")
def export(request: Request, subject: Id) -> dict[str, Any]:
    """Everything that is kept under the customer's id, table by table, and what the release says of them."""
    server = server_of(request)
    with server.ledger.read() as db:
        found = {table.name: _rows(db, table, subject) for table in WITH_CUSTOMER}
        whole = record.whole(found[DECISIONS.name], server.decider.ensure)
        found[DECISIONS.name] = [each.columns(each.terms_shown) for each in whole]
        found |= {table.name: _rows(db, table, subject) for table in (REJECTS, OUTBOX)}
    for name, release in sorted(server.decider.releases.items()):
        if subject in release.place or subject in release.people:
            known = release.people.get(subject)
            rows = [option._asdict() for option in release.rows.options(release.span(subject))]
            found[f"release {name}"] = [{"name, age, language, consent": known, "candidates": rows}]
    _note(request, "privacy.export", subject)
    return {"subject": subject, "tables": found}


@router.post("/{subject}:erase")
def erase(request: Request, subject: Id, idempotency_key: IdempotencyKey = None) -> Response:
    """Forget the customer: their events go, records of money and decisions stay under a pseudonym, no offer ever again.

    Only the mark that they must not be written to stays under their id.
    """
    server = server_of(request)
    counts = _counts(server, subject)
    server.change(lambda db, now_ms: _mark(db, subject, now_ms))  # from here on nothing new is kept of them
    for table in FORGOTTEN:
        while server.change(lambda db, _, table=table: _forget_some(db, table, subject)).body:  # type: ignore[misc]
            pass  # in parts, so that decisions go on between them
    return changed(request, lambda db, now_ms: _leave(request, db, subject, now_ms, counts, True), idempotency_key)


@router.post("/{subject}:anonymise")
def anonymise(request: Request, subject: Id, idempotency_key: IdempotencyKey = None) -> Response:
    """Keep all rows under a pseudonym; what they do later starts anew."""
    counts = _counts(server_of(request), subject)
    return changed(request, lambda db, now_ms: _leave(request, db, subject, now_ms, counts, False), idempotency_key)


def _counts(server: Server, subject: str) -> dict[str, int]:
    """How many rows each table has of them."""
    with server.ledger.read() as db:
        mine = {table: select(func.count()).where(table.c.customer_id == subject) for table in WITH_CUSTOMER}
        return {table.name: db.execute(count).scalar_one() for table, count in mine.items()}


def _mark(db: Connection, subject: str, now_ms: int) -> HttpAnswer:
    """They must not be written to, and nothing more is kept under their id; what they said of themselves goes."""
    db.execute(delete(CUSTOMERS).where(CUSTOMERS.c.customer_id == subject))
    db.execute(insert(CUSTOMERS).values(customer_id=subject, consent=0, erased=1, updated_ms=now_ms))
    return HttpAnswer(200, None)


def _forget_some(db: Connection, table: Table, subject: str) -> HttpAnswer:
    """Delete a part of their rows; how many."""
    part = select(table.c.seq).where(table.c.customer_id == subject).limit(PART)
    return HttpAnswer(200, db.execute(delete(table).where(table.c.seq.in_(part))).rowcount)


def _leave(
    request: Request, db: Connection, subject: str, now_ms: int, counts: dict[str, int], erased: bool
) -> HttpAnswer:
    alias = pseudonym(subject, server_of(request).decider.secret)
    mail = select(DECISIONS.c.decision_id).where(DECISIONS.c.customer_id == subject)
    db.execute(delete(OUTBOX).where(OUTBOX.c.channel == "email", OUTBOX.c.target.in_(mail)))
    _recode(db, subject)
    record.spell_out(db, subject, server_of(request).decider.ensure)
    for table in (*KEPT, *(() if erased else FORGOTTEN)):
        db.execute(update(table).where(table.c.customer_id == subject).values(customer_id=alias))
    mine = REDEMPTIONS.c.customer_id == alias, REDEMPTIONS.c.person == subject
    db.execute(update(REDEMPTIONS).where(*mine).values(person=alias))
    db.execute(update(USAGE).where(USAGE.c.subject == subject).values(subject=alias))
    if erased:
        for table in FORGOTTEN:
            db.execute(delete(table).where(table.c.customer_id == subject))
    db.execute(update(EVENTS).where(EVENTS.c.customer_id == alias).values(body="{}"))  # bodies may name them
    _rename(db, subject, alias)
    db.execute(delete(ALIASES).where(ALIASES.c.customer_id == subject))
    if not erased:
        db.execute(delete(CUSTOMERS).where(CUSTOMERS.c.customer_id == subject))
    if erased:
        outbox.announce(db, "customer.erased", {"customer_id": alias}, now_ms)
    audit(db, now_ms, Act(actor(request), "privacy.erase" if erased else "privacy.anonymise", alias), None, counts)
    return HttpAnswer(200, {"pseudonym": alias, "rows": counts, "erased": erased})


def _recode(db: Connection, subject: str) -> None:
    """Codes made from the customer's id are hashed once more: they lead to them, and may be given to them anew."""
    made = select(CODES.c.code).where(CODES.c.customer_id == subject, CODES.c.stocked == 0)
    for old in db.execute(made).scalars().all():
        for table in KEPT:
            db.execute(update(table).where(table.c.code == old).values(code=hash_id("cod", old)))


def _rename(db: Connection, subject: str, alias: str) -> None:
    """JSON that names the customer: stored answers and webhooks get the pseudonym, rejected events go."""
    for table in (ANSWERS, OUTBOX):
        body: Any = table.c.body
        for form in sorted({json.dumps(subject), json.dumps(subject, ensure_ascii=False)}):  # however it is written
            body = func.replace(body, form, json.dumps(alias))
        db.execute(update(table).where(table.c.customer_id == subject).values(body=body, customer_id=alias))
    db.execute(delete(REJECTS).where(REJECTS.c.customer_id == subject))


def _note(request: Request, action: str, subject: str) -> None:
    server, who = server_of(request), actor(request)
    alias = pseudonym(subject, server.decider.secret)

    def do(db: Connection, now_ms: int) -> HttpAnswer:
        audit(db, now_ms, Act(who, action, alias))
        return HttpAnswer(200, None)

    server.change(do)


def _rows(db: Connection, table: Table, subject: str) -> list[dict[str, object]]:
    return [dict(row) for row in db.execute(select(table).where(table.c.customer_id == subject)).mappings()]
