"""Apply refusals of personal decisions that a server of an earlier version stored as events alone.

Such a server leaves `personal` in the body of the event and writes no column of the customer. Where the ledger was
migrated, or a server of that version still shares it, these events are read in batches until none is left.
"""

import json
from typing import Any

from sqlalchemy import Connection, func, select

from promolift.server.events.events import _answer, _keep_traits
from promolift.server.ledger.audit_log import delete_record, get_record, put_record
from promolift.server.ledger.migrations import PENDING_REFUSALS, REFUSALS_VERSION, ROWS_PER_BATCH, live_servers
from promolift.server.ledger.schema import EVENTS


def apply_pending_refusals(db: Connection, some: list[Any]) -> list[int]:
    """Apply the refusals in the next ROWS_PER_BATCH events as if they arrived now; return how many events are left.

    It is over once all events are read and no server of the earlier version is alive. An event that takes a refusal
    back does not count: it may have come from a page, and the event does not say so.
    """
    return [_apply_batch(db) for _ in some]


def _apply_batch(db: Connection) -> int:
    if (mark := get_record(db, "ledger", PENDING_REFUSALS)) is None:
        return 0
    last = db.execute(select(func.max(EVENTS.c.seq))).scalar_one() or 0
    after, upto = mark["after"], min(last, mark["after"] + ROWS_PER_BATCH)
    said_in = EVENTS.c.name.in_(("identify", "Consent Updated")) & EVENTS.c.body.contains('"personal"')
    columns = (EVENTS.c[name] for name in ("customer_id", "ts_ms", "name", "body"))
    found = select(*columns).where(EVENTS.c.seq > after, EVENTS.c.seq <= upto, said_in)
    for who, ts_ms, name, body in db.execute(found.order_by(EVENTS.c.ts_ms)).all():
        said = json.loads(body).get("traits" if name == "identify" else "properties")
        if isinstance(said, dict) and _answer(said.get("personal")) == "no":
            _keep_traits(db, {"customer_id": who, "updated_ms": ts_ms, "by_page": True, "personal": 0})
    if upto == last and all(form >= REFUSALS_VERSION for form in live_servers(db).values()):
        delete_record(db, "ledger", PENDING_REFUSALS)
    elif upto > after:
        put_record(db, "ledger", PENDING_REFUSALS, {"after": upto}, 0)
    return int(last - upto)
