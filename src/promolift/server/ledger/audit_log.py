"""Who changed what in; a chain of hashes that shows any later edit, answers kept for retries, and small JSON things."""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from pydantic_core import to_json
from sqlalchemy import Connection, bindparam, delete, insert, select, update

from promolift.foundation.hash_chain import chain_break, link
from promolift.foundation.hashing import sha256_of
from promolift.server.ledger.schema import (
    ANSWERS,
    AUDIT,
    CHAIN_LOCK,
    THINGS,
    Members,
    Query,
    Refused,
    driver_sql,
    held,
    members,
    memo,
)

KEEP_ANSWERS_MS = 24 * 3_600_000
CANONICAL = json.JSONEncoder(ensure_ascii=False, sort_keys=True, separators=(",", ":"), default=str)
FLAT = frozenset({str, int, bool, type(None)})
REFUSED = 0  # in the place of a status: the kept answer is a refusal
LAST = Query(select(AUDIT.c.seq, AUDIT.c.hash).order_by(AUDIT.c.seq.desc()).limit(1))
NOTE = Query(insert(AUDIT).inline())
ANSWERED = Query(
    select(ANSWERS.c.key, ANSWERS.c.digest, ANSWERS.c.status, ANSWERS.c.body).where(
        ANSWERS.c.key.op("in")(Members("keys")), ANSWERS.c.ts_ms > bindparam("since_ms")
    )
)
OUTDATED = Query(delete(ANSWERS).where(ANSWERS.c.ts_ms <= bindparam("since_ms")))
ANSWER = Query(insert(ANSWERS).inline())
KIND = THINGS.c.kind == bindparam("kind")
THING = Query(select(THINGS.c.body).where(KIND, THINGS.c.id == bindparam("id")))
EVERY = Query(select(THINGS.c.id, THINGS.c.body).where(KIND).order_by(THINGS.c.id))
PUT = Query(
    insert(THINGS).inline(), then=" on conflict (kind, id) do update set body = excluded.body, ts_ms = excluded.ts_ms"
)


class Act(NamedTuple):
    """Who did what to what. Subjects must not be personal data."""

    actor: str
    action: str
    subject: str


class AuditNote(NamedTuple):
    """A row for the chain: when, who did what to what, and how it was and is."""

    ts_ms: int
    act: Act
    old: Any
    new: Any


class HttpAnswer(NamedTuple):
    """What a request is answered with: HTTP status and JSON body."""

    status: int
    body: Any


class OnceAnswer(NamedTuple):
    """The answer to a request; `refused`: it is a refusal, to be raised when the change is over."""

    answer: HttpAnswer
    refused: Refused | None = None


class Answered(NamedTuple):
    """A request with its Idempotency-Key and what it is answered with."""

    key: str
    request: Any
    answer: HttpAnswer


def canonical(value: Any) -> str:
    """JSON with sorted keys and no spaces: one text per value."""
    if value is None:
        return "null"
    if type(value) is dict and {str}.issuperset(map(type, value)) and FLAT.issuperset(map(type, value.values())):
        return to_json({name: value[name] for name in sorted(value)}).decode()  # the same text, ten times as fast
    return CANONICAL.encode(value)


def audit(db: Connection, ts_ms: int, act: Act, old: Any = None, new: Any = None) -> None:
    """Add a row to the chain."""
    audit_all(db, [AuditNote(ts_ms, act, old, new)])


def audit_all(db: Connection, notes: Sequence[AuditNote]) -> None:
    """Add rows to the chain."""
    kept = memo(db)
    if held(db) is not None and "audit" not in kept:
        driver_sql(db, f"select pg_advisory_xact_lock({CHAIN_LOCK})")
    seq, last = kept.get("audit") or next(iter(LAST.rows(db)), (0, ""))
    rows = []
    for ts_ms, (actor, action, subject), old, new in notes:
        seq += 1
        row = {"action": action, "actor": actor, "new": canonical(new), "old": canonical(old), "seq": seq,
               "subject": subject, "ts_ms": ts_ms}  # fmt: skip
        last = row["hash"] = link(last, row)
        rows.append(row)
    NOTE.many(db, rows)
    kept["audit"] = seq, last


def audit_rows(db: Connection) -> Iterator[dict[str, Any]]:
    """The chain, from its first row on."""
    return (dict(row) for row in db.execute(select(AUDIT).order_by(AUDIT.c.seq)).mappings())


def first_break(db: Connection) -> int | None:
    """`chain_break` of the whole log."""
    return chain_break(audit_rows(db))


def once(db: Connection, key: str | None, request: Any, ts_ms: int, do: Callable[[], HttpAnswer]) -> OnceAnswer:
    """The answer to a request; the same key and payload never run twice in 24 hours.

    The answer is kept in the same transaction as what `do` changed, and so is a refusal that `do` raises, whose
    changes are undone. Raises nothing: also that the key came with another payload is a refusal. Without a key nothing
    is kept, and `do` must check all before it writes.
    """
    try:
        if key is None:
            return OnceAnswer(do())
    except Refused as refusal:
        return refusal_of(refusal)
    if kept := kept_answers(db, {key: request}, ts_ms):
        return kept[key]
    driver_sql(db, "savepoint once")
    try:
        found = OnceAnswer(do())
    except Refused as refusal:
        driver_sql(db, "rollback to savepoint once")
        found = refusal_of(refusal)
    driver_sql(db, "release savepoint once")
    keep_answers(db, [Answered(key, request, found.answer)], ts_ms)
    return found


def refusal_of(refusal: Refused) -> OnceAnswer:
    """A refusal as an answer that can be kept."""
    return OnceAnswer(HttpAnswer(REFUSED, {"code": refusal.code, "text": str(refusal)}), refusal)


def kept_answers(db: Connection, asked: Mapping[str, Any], ts_ms: int) -> dict[str, OnceAnswer]:
    """What was answered in the last 24 hours to requests by their keys; a key with another payload is refused."""
    found = {}
    since_ms = ts_ms - KEEP_ANSWERS_MS
    for key, digest, status, body in ANSWERED.rows(db, keys=members(asked), since_ms=since_ms) if asked else ():
        said = json.loads(body)
        if digest != sha256_of(canonical(asked[key])):
            text = "this Idempotency-Key came with another payload; use a new key"
            found[key] = refusal_of(Refused("idempotency_key_reused", text))
        elif status == REFUSED:
            found[key] = refusal_of(Refused(said["code"], said["text"]))
        else:
            found[key] = OnceAnswer(HttpAnswer(status, said))
    return found


def keep_answers(db: Connection, some: Sequence[Answered], ts_ms: int) -> None:
    """Keep answers for retries; those older than 24 hours go."""
    if not some:
        return
    OUTDATED.run(db, since_ms=ts_ms - KEEP_ANSWERS_MS)
    rows = []
    for key, request, (status, body) in some:
        who = body.get("customer_id") if isinstance(body, dict) else None
        digest = sha256_of(canonical(request))
        kept = {"key": key, "digest": digest, "status": status, "body": _text(body)}
        rows.append(kept | {"ts_ms": ts_ms, "customer_id": who})
    ANSWER.many(db, rows)


def amend(db: Connection, key: str, answer: HttpAnswer) -> None:
    """Put an answer in the place of the one kept for a key: the caller got this one."""
    mine = ANSWERS.c.key == key
    db.execute(update(ANSWERS).where(mine).values(status=answer.status, body=_text(answer.body)))


def put(db: Connection, kind: str, id_: str, body: Any, ts_ms: int) -> Any:
    """Keep a JSON body under (kind, id); the old body, or None."""
    old = get(db, kind, id_)
    PUT.many(db, [{"kind": kind, "id": id_, "body": canonical(body), "ts_ms": ts_ms}])
    memo(db).clear()
    return old


def get(db: Connection, kind: str, id_: str) -> Any:
    """The body kept under (kind, id), or None."""
    found = THING.rows(db, kind=kind, id=id_)
    return json.loads(found[0][0]) if found else None


def every(db: Connection, kind: str) -> dict[str, Any]:
    """All bodies of a kind by id, in order of id."""
    return {id_: json.loads(body) for id_, body in EVERY.rows(db, kind=kind)}


def drop(db: Connection, kind: str, id_: str) -> Any:
    """Forget (kind, id); the old body, or None."""
    old = get(db, kind, id_)
    db.execute(delete(THINGS).where(THINGS.c.kind == kind, THINGS.c.id == id_))
    memo(db).clear()
    return old


def _text(body: Any) -> str:
    return to_json(body, fallback=str).decode()
