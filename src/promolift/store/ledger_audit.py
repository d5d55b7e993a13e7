"""Who changed what in; a chain of hashes that shows any later edit, answers kept for retries, and small JSON things."""

import json
from collections.abc import Callable
from typing import Any

from sqlalchemy import Connection, delete, insert, select, update

from promolift.hashing import sha256_of
from promolift.store.ledger_schema import ANSWERS, AUDIT, THINGS, Refused

KEEP_ANSWERS_MS = 24 * 3_600_000
Answer = tuple[int, Any]  # HTTP status and JSON body


def canonical(value: Any) -> str:
    """JSON with sorted keys and no spaces: one text per value."""
    return json.dumps(value, ensure_ascii=False, sort_keys=True, separators=(",", ":"), default=str)


def audit(db: Connection, ts_ms: int, who: tuple[str, str, str], old: Any = None, new: Any = None) -> None:
    """Add a row to the chain; `who` is (actor, action, subject). Subjects must not be personal data."""
    last = db.execute(select(AUDIT.c.seq, AUDIT.c.hash).order_by(AUDIT.c.seq.desc()).limit(1)).first()
    seq, before = (last.seq + 1, last.hash) if last else (1, "")
    row = {"seq": seq, "ts_ms": ts_ms, "actor": who[0], "action": who[1], "subject": who[2]}
    row |= {"old": canonical(old), "new": canonical(new)}
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


def once(db: Connection, key: str, request: Any, ts_ms: int, do: Callable[[], Answer]) -> tuple[Answer, bool]:
    """The answer to a request and whether it is the stored one; the same key and payload never run twice in 24 hours.

    The answer is kept in the same transaction as what `do` changed. Raises Refused if the key came with another
    payload. A refusal that `do` raises is not kept.
    """
    digest = sha256_of(canonical(request))
    fresh = ANSWERS.c.ts_ms > ts_ms - KEEP_ANSWERS_MS
    kept = db.execute(select(ANSWERS).where(ANSWERS.c.key == key, fresh)).mappings().first()
    if kept is not None:
        if kept["digest"] != digest:
            raise Refused("idempotency_key_reused", "this Idempotency-Key came with another payload; use a new key")
        return (kept["status"], json.loads(kept["body"])), True
    answer = do()
    db.execute(delete(ANSWERS).where(~fresh))
    kept_row = {"key": key, "digest": digest, "status": answer[0], "body": canonical(answer[1]), "ts_ms": ts_ms}
    db.execute(insert(ANSWERS).values(kept_row))
    return answer, False


def amend(db: Connection, key: str, answer: Answer) -> None:
    """Put an answer in the place of the one kept for a key: the caller was told this one."""
    status, body = answer
    db.execute(update(ANSWERS).where(ANSWERS.c.key == key).values(status=status, body=canonical(body)))


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
