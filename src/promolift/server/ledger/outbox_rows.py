"""Rows of the outbox: webhooks and messages that wait to be sent."""

import json
import secrets
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple

from sqlalchemy import Connection, insert

from promolift.server.ledger.records import StoredModel
from promolift.server.ledger.schema import OUTBOX, Query

INSERT_MESSAGES = Query(insert(OUTBOX).inline())
ALERT_CHANNEL = "alert"  # messages to people who run the shop; their target is a subscription


class WebhookEndpoint(StoredModel):
    """A URL that receives these kinds of events; `secret`, which is stored sealed, signs what is sent there."""

    KIND = "webhook"
    url: str
    events: tuple[str, ...]
    secret: str


class OutboxMessage(NamedTuple):
    """A message of the outbox, as it is sent: `target` is the webhook's id, the subscription to alerts, or the decision
    that a mail tells of; `next_ms` is when it is free to be taken again.
    """

    delivery_id: str
    channel: str
    target: str
    body: str
    attempts: int
    next_ms: int


class WebhookEvent(NamedTuple):
    """An event for webhooks: its kind and its data."""

    kind: str
    data: Any


def post_webhook_event(db: Connection, kind: str, data: Any, now_ms: int) -> None:
    """Add a message to the outbox for every webhook that listens to `kind`."""
    post_webhook_events(db, [WebhookEvent(kind, data)], now_ms)


def post_webhook_events(db: Connection, news: Sequence[WebhookEvent], now_ms: int) -> None:
    """Add a message to the outbox for every webhook that listens, for each of the events."""
    moment = datetime.fromtimestamp(now_ms / 1000, UTC).isoformat(timespec="milliseconds")
    rows = []
    for webhook_id, hook in WebhookEndpoint.all(db).items():
        for kind, data in news:
            if kind in hook.events:
                rows.append(_waiting("webhook", webhook_id, {"type": kind, "timestamp": moment, "data": data}, now_ms))
    INSERT_MESSAGES.many(db, rows)


def _waiting(channel: str, target: str, body: Any, now_ms: int) -> dict[str, Any]:
    text = json.dumps(body, ensure_ascii=False, separators=(",", ":"))
    made = OutboxMessage(f"msg_{secrets.token_hex(12)}", channel, target, text, attempts=0, next_ms=now_ms)
    data = body.get("data") if isinstance(body, dict) else None
    who = data.get("customer_id") if isinstance(data, dict) else None
    waiting = {"status": "waiting", "ts_ms": now_ms, "error": None, "customer_id": who}
    return made._asdict() | waiting
