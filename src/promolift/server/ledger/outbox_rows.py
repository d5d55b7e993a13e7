"""Rows of the outbox: webhooks and messages that wait to be sent."""

import json
import secrets
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple

from sqlalchemy import Connection, insert

from promolift.server.ledger.records import Thing
from promolift.server.ledger.schema import OUTBOX, Query

POST = Query(insert(OUTBOX).inline())


class Hook(Thing):
    """A URL that hears what happens, of these kinds; `secret`, which is kept sealed, signs what is sent there."""

    KIND = "webhook"
    url: str
    events: tuple[str, ...]
    secret: str


class Delivery(NamedTuple):
    """A message of the outbox, as it is sent: `target` is the webhook's id, or the decision that a mail tells of;
    `next_ms` is when it is free to be taken again.
    """

    delivery_id: str
    channel: str
    target: str
    body: str
    attempts: int
    next_ms: int


class News(NamedTuple):
    """What webhooks may hear of: its kind, and what happened."""

    kind: str
    data: Any


def announce(db: Connection, kind: str, data: Any, now_ms: int) -> None:
    """Put a message for every webhook that listens to `kind` into the outbox."""
    announce_all(db, [News(kind, data)], now_ms)


def announce_all(db: Connection, news: Sequence[News], now_ms: int) -> None:
    """Put a message for every webhook that listens to it into the outbox, for each of the news."""
    moment = datetime.fromtimestamp(now_ms / 1000, UTC).isoformat(timespec="milliseconds")
    rows = []
    for webhook_id, hook in Hook.all(db).items():
        for kind, data in news:
            if kind in hook.events:
                rows.append(_waiting("webhook", webhook_id, {"type": kind, "timestamp": moment, "data": data}, now_ms))
    POST.many(db, rows)


def _waiting(channel: str, target: str, body: Any, now_ms: int) -> dict[str, Any]:
    text = json.dumps(body, ensure_ascii=False, separators=(",", ":"))
    made = Delivery(f"msg_{secrets.token_hex(12)}", channel, target, text, attempts=0, next_ms=now_ms)
    data = body.get("data") if isinstance(body, dict) else None
    who = data.get("customer_id") if isinstance(data, dict) else None
    waiting = {"status": "waiting", "ts_ms": now_ms, "error": None, "customer_id": who}
    return made._asdict() | waiting
