"""Who changed what in; a chain of hashes that shows any later edit, answers kept for retries, and small JSON things."""

import json
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from sqlalchemy import Connection, bindparam, delete, insert, select, update

from promolift.hashing import sha256_of
from promolift.store.ledger_schema import ANSWERS, AUDIT, THINGS, Query, Refused, driver_sql, memo

KEEP_ANSWERS_MS = 24 * 3_600_000
CANONICAL = json.JSONEncoder(ensure_ascii=False, sort_keys=True, separators=(",", ":"), default=str)
REFUSED = 0  # in the place of a status: the kept answer is a refusal
LAST = Query(select(AUDIT.c.seq, AUDIT.c.hash).order_by(AUDIT.c.seq.desc()).limit(1))
NOTE = Query(insert(AUDIT).inline())
ANSWERED = Query(
    select(ANSWERS.c.digest, ANSWERS.c.status, ANSWERS.c.body).where(
        ANSWERS.c.key == bindparam("key"), ANSWERS.c.ts_ms > bindparam("since_ms")
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
    return CANONICAL.encode(value)


def audit(db: Connection, ts_ms: int, act: Act, old: Any = None, new: Any = None) -> None:
    """Add a row to the chain."""
    kept = memo(db)
    seq, before = kept.get("audit") or next(iter(LAST.rows(db)), (0, ""))
    row = {"seq": seq + 1, "ts_ms": ts_ms, **act._asdict(), "old": canonical(old), "new": canonical(new)}
    link = _link(before, row)
    NOTE.run(db, **row, hash=link)
    kept["audit"] = seq + 1, link


def first_break(db: Connection) -> int | None:
    """The number of the first audit row that was changed, or that a row before it is missing of; None if all hold.

    Rows cut off at the end cannot be seen from the chain alone: keep its last hash elsewhere.
    """
    before = ""
    for expected, row in enumerate(db.execute(select(AUDIT).order_by(AUDIT.c.seq)).mappings(), start=1):
        plain = {name: row[name] for name in row if name != "hash"}
        if row["seq"] != expected or row["hash"] != _link(before, plain):
            return expected
        before = row["hash"]
    return None


def once(db: Connection, key: str | None, request: Any, ts_ms: int, do: Callable[[], HttpAnswer]) -> OnceAnswer:
    """The answer to a request; the same key and payload never run twice in 24 hours.

    The answer is kept in the same transaction as what `do` changed, and so is a refusal that `do` raises, whose
    changes are undone. Raises nothing: also that the key came with another payload is a refusal. Without a key nothing
    is kept, and `do` must check all before it writes.
    """
    try:
        if key is None:
            return OnceAnswer(do())
        kept = kept_answer(db, key, request, ts_ms)
        if kept is not None:
            return OnceAnswer(kept)
    except Refused as refusal:
        return OnceAnswer(HttpAnswer(REFUSED, None), refusal)
    driver_sql(db, "savepoint once")
    refused = None
    try:
        answer = do()
    except Refused as refusal:
        driver_sql(db, "rollback to savepoint once")
        refused, answer = refusal, HttpAnswer(REFUSED, {"code": refusal.code, "text": str(refusal)})
    driver_sql(db, "release savepoint once")
    keep_answers(db, [Answered(key, request, answer)], ts_ms)
    return OnceAnswer(answer, refused)


def kept_answer(db: Connection, key: str, request: Any, ts_ms: int) -> HttpAnswer | None:
    """What a request was answered with in the last 24 hours; None if it is new. Raises what `once` raises."""
    for digest, status, body in ANSWERED.rows(db, key=key, since_ms=ts_ms - KEEP_ANSWERS_MS):
        if digest != sha256_of(canonical(request)):
            raise Refused("idempotency_key_reused", "this Idempotency-Key came with another payload; use a new key")
        said = json.loads(body)
        if status == REFUSED:
            raise Refused(said["code"], said["text"])
        return HttpAnswer(status, said)
    return None


def keep_answers(db: Connection, some: Sequence[Answered], ts_ms: int) -> None:
    """Keep answers for retries; those older than 24 hours go."""
    OUTDATED.run(db, since_ms=ts_ms - KEEP_ANSWERS_MS)
    rows = []
    for key, request, (status, body) in some:
        who = body.get("customer_id") if isinstance(body, dict) else None
        digest = sha256_of(canonical(request))
        kept = {"key": key, "digest": digest, "status": status, "body": canonical(body)}
        rows.append(kept | {"ts_ms": ts_ms, "customer_id": who})
    ANSWER.many(db, rows)


def amend(db: Connection, key: str, answer: HttpAnswer) -> None:
    """Put an answer in the place of the one kept for a key: the caller got this one."""
    mine = ANSWERS.c.key == key
    db.execute(update(ANSWERS).where(mine).values(status=answer.status, body=canonical(answer.body)))


def put(db: Connection, kind: str, id_: str, body: Any, ts_ms: int) -> Any:
    """Keep a JSON body under (kind, id); the old body, or None."""
    old = get(db, kind, id_)
    PUT.run(db, kind=kind, id=id_, body=canonical(body), ts_ms=ts_ms)
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


def _link(before: str, row: dict[str, Any]) -> str:
    return sha256_of(before + canonical(row))
