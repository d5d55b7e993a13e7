"""Who changed what in; a chain of hashes that shows any later edit, answers kept for retries, and small JSON things."""

import json
from collections.abc import Callable
from typing import Any, NamedTuple

from sqlalchemy import Connection, delete, insert, select, update

from promolift.hashing import sha256_of
from promolift.store.ledger_schema import ANSWERS, AUDIT, THINGS, Refused

KEEP_ANSWERS_MS = 24 * 3_600_000


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
    """The answer to a request, and whether it is the one kept from the first time."""

    answer: HttpAnswer
    kept: bool


def canonical(value: Any) -> str:
    """JSON with sorted keys and no spaces: one text per value."""
    return json.dumps(value, ensure_ascii=False, sort_keys=True, separators=(",", ":"), default=str)


def audit(db: Connection, ts_ms: int, act: Act, old: Any = None, new: Any = None) -> None:
    """Add a row to the chain."""
    last = db.execute(select(AUDIT.c.seq, AUDIT.c.hash).order_by(AUDIT.c.seq.desc()).limit(1)).first()
    seq, before = (last.seq + 1, last.hash) if last else (1, "")
    row = {"seq": seq, "ts_ms": ts_ms, **act._asdict(), "old": canonical(old), "new": canonical(new)}
    db.execute(insert(AUDIT).values(**row, hash=_link(before, row)))


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


def once(db: Connection, key: str, request: Any, ts_ms: int, do: Callable[[], HttpAnswer]) -> OnceAnswer:
    """The answer to a request; the same key and payload never run twice in 24 hours.

    The answer is kept in the same transaction as what `do` changed. Raises Refused if the key came with another
    payload. A refusal that `do` raises is not kept.
    """
    digest = sha256_of(canonical(request))
    fresh = ANSWERS.c.ts_ms > ts_ms - KEEP_ANSWERS_MS
    kept = db.execute(select(ANSWERS).where(ANSWERS.c.key == key, fresh)).mappings().first()
    if kept is not None:
        if kept["digest"] != digest:
            raise Refused("idempotency_key_reused", "this Idempotency-Key came with another payload; use a new key")
        return OnceAnswer(HttpAnswer(kept["status"], json.loads(kept["body"])), True)
    answer = do()
    db.execute(delete(ANSWERS).where(~fresh))
    kept_row = {"key": key, "digest": digest, "status": answer.status, "body": canonical(answer.body), "ts_ms": ts_ms}
    db.execute(insert(ANSWERS).values(kept_row))
    return OnceAnswer(answer, False)


def amend(db: Connection, key: str, answer: HttpAnswer) -> None:
    """Put an answer in the place of the one kept for a key: the caller got this one."""
    mine = ANSWERS.c.key == key
    db.execute(update(ANSWERS).where(mine).values(status=answer.status, body=canonical(answer.body)))


def put(db: Connection, kind: str, id_: str, body: Any, ts_ms: int) -> Any:
    """Keep a JSON body under (kind, id); the old body, or None."""
    old = get(db, kind, id_)
    values = {"body": canonical(body), "ts_ms": ts_ms}
    if old is None:
        db.execute(insert(THINGS).values(kind=kind, id=id_, **values))
    else:
        db.execute(update(THINGS).where(THINGS.c.kind == kind, THINGS.c.id == id_).values(**values))
    return old


def get(db: Connection, kind: str, id_: str) -> Any:
    """The body kept under (kind, id), or None."""
    found = db.execute(select(THINGS.c.body).where(THINGS.c.kind == kind, THINGS.c.id == id_)).scalar()
    return None if found is None else json.loads(found)


def every(db: Connection, kind: str) -> dict[str, Any]:
    """All bodies of a kind by id, in order of id."""
    rows = db.execute(select(THINGS.c.id, THINGS.c.body).where(THINGS.c.kind == kind).order_by(THINGS.c.id))
    return {id_: json.loads(body) for id_, body in rows}


def drop(db: Connection, kind: str, id_: str) -> Any:
    """Forget (kind, id); the old body, or None."""
    old = get(db, kind, id_)
    db.execute(delete(THINGS).where(THINGS.c.kind == kind, THINGS.c.id == id_))
    return old


def _link(before: str, row: dict[str, Any]) -> str:
    return sha256_of(before + canonical(row))
