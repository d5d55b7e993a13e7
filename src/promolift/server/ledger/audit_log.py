"""The audit log (a hash chain that reveals later edits), idempotent responses, and JSON records by kind and id."""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from pydantic_core import to_json
from sqlalchemy import Connection, bindparam, delete, insert, select, update

from promolift.foundation.hashing import chain_hash, find_chain_break, sha256_of
from promolift.foundation.i18n.lazy_message import gettext_lazy
from promolift.server.ledger.schema import (
    ANSWERS,
    AUDIT,
    CHAIN_LOCK,
    RECORDS,
    JsonList,
    LedgerError,
    Query,
    Refused,
    acquired_locks,
    execute_raw,
    json_list,
    transaction_cache,
)

RESPONSE_LIFETIME_MS = 24 * 3_600_000
CANONICAL = json.JSONEncoder(ensure_ascii=False, sort_keys=True, separators=(",", ":"), default=str)
SCALAR_TYPES = frozenset({str, int, bool, type(None)})
REFUSED_STATUS = 0  # in the place of a status: the kept answer is a refusal
LAST_AUDIT_ROW = Query(select(AUDIT.c.seq, AUDIT.c.hash).order_by(AUDIT.c.seq.desc()).limit(1))
INSERT_AUDIT_ROWS = Query(insert(AUDIT).inline())
SELECT_RESPONSES = Query(
    select(ANSWERS.c.key, ANSWERS.c.digest, ANSWERS.c.status, ANSWERS.c.body).where(
        ANSWERS.c.key.op("in")(JsonList("keys")), ANSWERS.c.ts_ms > bindparam("since_ms")
    )
)
DELETE_OLD_RESPONSES = Query(delete(ANSWERS).where(ANSWERS.c.ts_ms <= bindparam("since_ms")))
INSERT_RESPONSES = Query(insert(ANSWERS).inline())
IS_KIND = RECORDS.c.kind == bindparam("kind")
SELECT_RECORD = Query(select(RECORDS.c.body).where(IS_KIND, RECORDS.c.id == bindparam("id")))
SELECT_RECORDS = Query(select(RECORDS.c.id, RECORDS.c.body).where(IS_KIND).order_by(RECORDS.c.id))
UPSERT_RECORD = Query(
    insert(RECORDS).inline(), then=" on conflict (kind, id) do update set body = excluded.body, ts_ms = excluded.ts_ms"
)


class AuditAction(NamedTuple):
    """An action: who did what to what. Subjects must not be personal data."""

    actor: str
    action: str
    subject: str


class AuditEntry(NamedTuple):
    """A row for the audit chain: time, action, old and new value."""

    ts_ms: int
    act: AuditAction
    old: Any
    new: Any


class HttpResponse(NamedTuple):
    """The response to a request: HTTP status and JSON body."""

    status: int
    body: Any


class IdempotentResponse(NamedTuple):
    """The response to a request; `refused` is a refusal to raise when the change is over."""

    answer: HttpResponse
    refused: Refused | None = None


class StoredResponse(NamedTuple):
    """A request with its Idempotency-Key and its response."""

    key: str
    request: Any
    answer: HttpResponse


def canonical_json(value: Any) -> str:
    """Encode as JSON with sorted keys and no spaces: one text per value."""
    if value is None:
        return "null"
    if (
        type(value) is dict
        and {str}.issuperset(map(type, value))
        and SCALAR_TYPES.issuperset(map(type, value.values()))
    ):
        return to_json({name: value[name] for name in sorted(value)}).decode()  # the same text, ten times as fast
    return CANONICAL.encode(value)


def append_audit(db: Connection, ts_ms: int, act: AuditAction, old: Any = None, new: Any = None) -> None:
    """Append a row to the audit chain."""
    append_audit_entries(db, [AuditEntry(ts_ms, act, old, new)])


def append_audit_entries(db: Connection, notes: Sequence[AuditEntry]) -> None:
    """Append rows to the audit chain."""
    kept = transaction_cache(db)
    if acquired_locks(db) is not None and "audit" not in kept:
        execute_raw(db, f"select pg_advisory_xact_lock({CHAIN_LOCK})")
    seq, last = kept.get("audit") or next(iter(LAST_AUDIT_ROW.rows(db)), (0, ""))
    rows = []
    for ts_ms, (actor, action, subject), old, new in notes:
        seq += 1
        row = {"action": action, "actor": actor, "new": canonical_json(new), "old": canonical_json(old), "seq": seq,
               "subject": subject, "ts_ms": ts_ms}  # fmt: skip
        last = row["hash"] = chain_hash(last, row)
        rows.append(row)
    INSERT_AUDIT_ROWS.many(db, rows)
    kept["audit"] = seq, last


def audit_rows(db: Connection) -> Iterator[dict[str, Any]]:
    """The chain, from its first row on."""
    return (dict(row) for row in db.execute(select(AUDIT).order_by(AUDIT.c.seq)).mappings())


class AuditLink(NamedTuple):
    """The last row of the audit log: its number and hash."""

    rows: int
    head: str


def last_audit_link(db: Connection) -> AuditLink:
    """Return the end of the audit chain; 0 rows where nothing was ever changed."""
    last = db.execute(select(AUDIT.c.seq, AUDIT.c.hash).order_by(AUDIT.c.seq.desc()).limit(1)).first()
    return AuditLink(*last) if last else AuditLink(0, "")


def first_break(db: Connection) -> int | None:
    """`chain_break` of the whole log."""
    return find_chain_break(audit_rows(db))


def run_once(
    db: Connection, key: str | None, request: Any, ts_ms: int, do: Callable[[], HttpResponse]
) -> IdempotentResponse:
    """The answer to a request; the same key and payload never run twice in 24 hours.

    The answer is kept in the same transaction as what `do` changed, and so is a refusal that `do` raises, whose
    changes are undone. Raises nothing: also that the key came with another payload is a refusal. Without a key nothing
    is kept, and `do` must check all before it writes.
    """
    try:
        if key is None:
            return IdempotentResponse(do())
    except Refused as refusal:
        return refusal_response(refusal)
    if kept := load_responses(db, {key: request}, ts_ms):
        return kept[key]
    execute_raw(db, "savepoint once")
    try:
        found = IdempotentResponse(do())
    except Refused as refusal:
        execute_raw(db, "rollback to savepoint once")
        found = refusal_response(refusal)
    execute_raw(db, "release savepoint once")
    store_responses(db, [StoredResponse(key, request, found.answer)], ts_ms)
    return found


def refusal_response(refusal: Refused) -> IdempotentResponse:
    """Convert a refusal to a response that can be stored."""
    return IdempotentResponse(HttpResponse(REFUSED_STATUS, {"code": refusal.code, "text": str(refusal)}), refusal)


def load_responses(db: Connection, asked: Mapping[str, Any], ts_ms: int) -> dict[str, IdempotentResponse]:
    """Load the responses of the last 24 hours by Idempotency-Key; a key with another payload is refused."""
    found = {}
    since_ms = ts_ms - RESPONSE_LIFETIME_MS
    for key, digest, status, body in (
        SELECT_RESPONSES.rows(db, keys=json_list(asked), since_ms=since_ms) if asked else ()
    ):
        said = json.loads(body)
        if digest != sha256_of(canonical_json(asked[key])):
            text = gettext_lazy("this Idempotency-Key came with another payload; use a new key")
            found[key] = refusal_response(Refused("idempotency_key_reused", text))
        elif status == REFUSED_STATUS:
            found[key] = refusal_response(Refused(said["code"], said["text"]))
        else:
            found[key] = IdempotentResponse(HttpResponse(status, said))
    return found


def store_responses(db: Connection, some: Sequence[StoredResponse], ts_ms: int) -> None:
    """Store responses for retries and delete those older than 24 hours."""
    if not some:
        return
    DELETE_OLD_RESPONSES.run(db, since_ms=ts_ms - RESPONSE_LIFETIME_MS)
    rows = []
    for key, request, (status, body) in some:
        who = body.get("customer_id") if isinstance(body, dict) else None
        digest = sha256_of(canonical_json(request))
        kept = {"key": key, "digest": digest, "status": status, "body": _text(body)}
        rows.append(kept | {"ts_ms": ts_ms, "customer_id": who})
    INSERT_RESPONSES.many(db, rows)


def replace_response(db: Connection, key: str, answer: HttpResponse) -> None:
    """Replace the stored response of a key by the one that the caller got."""
    mine = ANSWERS.c.key == key
    db.execute(update(ANSWERS).where(mine).values(status=answer.status, body=_text(answer.body)))


def put_record(db: Connection, kind: str, id_: str, body: Any, ts_ms: int) -> Any:
    """Store a JSON body under (kind, id) and return the old body, or None."""
    old = get_record(db, kind, id_)
    UPSERT_RECORD.many(db, [{"kind": kind, "id": id_, "body": canonical_json(body), "ts_ms": ts_ms}])
    transaction_cache(db).clear()
    return old


def get_record(db: Connection, kind: str, id_: str) -> Any:
    """Return the body stored under (kind, id), or None."""
    found = SELECT_RECORD.rows(db, kind=kind, id=id_)
    return _parse(kind, id_, found[0][0]) if found else None


def list_records(db: Connection, kind: str) -> dict[str, Any]:
    """Return all bodies of a kind by id, in order of id."""
    return {id_: _parse(kind, id_, body) for id_, body in SELECT_RECORDS.rows(db, kind=kind)}


def _parse(kind: str, id_: str, body: str) -> Any:
    try:
        return json.loads(body)
    except ValueError:
        raise damaged_record(kind, id_) from None


def damaged_record(kind: str, id_: str) -> LedgerError:
    """Return the error for a record that is not as it was stored."""
    return LedgerError(
        "ledger_damaged",
        gettext_lazy("ledger: its record {kind} {id} cannot be read; put a backup back", kind=kind, id=repr(id_)),
    )


def delete_record(db: Connection, kind: str, id_: str) -> Any:
    """Delete (kind, id) and return the old body, or None."""
    old = get_record(db, kind, id_)
    db.execute(delete(RECORDS).where(RECORDS.c.kind == kind, RECORDS.c.id == id_))
    transaction_cache(db).clear()
    return old


def _text(body: Any) -> str:
    return to_json(body, fallback=str).decode()
