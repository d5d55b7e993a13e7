"""HTTP routes that Shopify calls: its webhooks and its discount function.

Shopify may send a refund before the order that it belongs to. Such a refund waits in the ledger until the order
arrives.
"""

import json
import os
from collections.abc import Sequence
from typing import Any, NamedTuple

from fastapi import APIRouter, Request
from sqlalchemy import Connection, delete, func, select
from typing_extensions import TypedDict

from promolift.extensions.connectors.shopify import (
    FunctionInput,
    discount_operations,
    event_from_webhook,
    has_valid_signature,
)
from promolift.foundation.i18n.lazy_message import gettext_lazy
from promolift.foundation.time.clock import DAY_MS
from promolift.server.admin_responses import answers
from promolift.server.api.problems import ApiError
from promolift.server.api.routes import Route, RouteContext
from promolift.server.carts.carts import load_wallet, price_with_wallet
from promolift.server.events import events
from promolift.server.ledger.audit_log import put_record
from promolift.server.ledger.event_rows import EventsTaken, ParsedEvents
from promolift.server.ledger.schema import EVENTS, RECORDS, customer_lock, require_lock

router = APIRouter()
SECRET_VARIABLE = "PROMOLIFT_SHOPIFY_SECRET"
EARLY_REFUND = "early_refund"  # things of the ledger: refunds whose order was not told of yet
MAX_EARLY_REFUNDS, EARLY_REFUND_DAYS = 1000, 60  # so many wait, and so long; beyond, the oldest go


@router.post("/v1/shopify/webhooks", tags=["events"])
async def shopify_webhook(request: Request) -> EventsTaken:
    """An order, refund, checkout or customer of Shopify as an event. Its signature takes the place of a key; a topic
    that tells nothing is answered, so that it is not sent again.
    """
    context, call = request.scope["promolift"], RouteContext.of(request)
    secret, headers = os.environ.get(SECRET_VARIABLE, ""), context.headers
    if not secret or not has_valid_signature(
        secret, context.body, headers.get(b"x-shopify-hmac-sha256", b"").decode("latin-1")
    ):
        raise ApiError(
            401,
            "key_missing",
            gettext_lazy(
                "no signature by the secret in {secret_variable}: X-Shopify-Hmac-Sha256",
                secret_variable=SECRET_VARIABLE,
            ),
        )
    try:
        body = json.loads(context.body)
        found = event_from_webhook(
            headers.get(b"x-shopify-topic", b"").decode(), body, call.server.settings.shopify_customer
        )
    except (ValueError, TypeError, AttributeError, KeyError, ArithmeticError, RecursionError):
        raise ApiError(400, "webhook_invalid", gettext_lazy("this is no webhook as Shopify documents it")) from None
    if found is None:
        return ParsedEvents().answer(0)
    webhook = Webhook(found, call.server.clock.now_ms())
    answer: EventsTaken = await call.server.ledger.call(store_webhooks, webhook, locks=webhook_locks)
    call.server.metrics.count_events(answer["accepted"], answer["duplicates"], answer["rejected_count"])
    return answer


class Webhook(NamedTuple):
    """A webhook as an event, and when it came."""

    event: dict[str, Any]
    now_ms: int


def webhook_locks(db: Connection, some: Sequence[Webhook]) -> set[str]:
    """The customers and orders they are of; and all refunds that wait, where one will."""
    found = set[str]()
    for event, _ in some:
        order = event.get("of", event["messageId"])
        who = event.get("userId") or _customer(db, order)
        found |= {f"o:{order}", customer_lock(who) if who else EARLY_REFUND}
    return found


def _customer(db: Connection, order: str) -> str | None:
    found: str | None = db.execute(select(EVENTS.c.customer_id).where(EVENTS.c.message_id == order)).scalar()
    return found


def store_webhooks(db: Connection, some: Sequence[Webhook]) -> list[EventsTaken]:
    """Keep each webhook; a refund is its order's customer's, and one that came before its order is kept with it."""
    return [_kept(db, *each) for each in some]


def _kept(db: Connection, event: dict[str, Any], now_ms: int) -> EventsTaken:
    said = dict(event)
    if order := said.pop("of", None):
        who = said["userId"] = _customer(db, order)
        require_lock(
            db, customer_lock(who) if who else EARLY_REFUND
        )  # the order may have come between `webhook_locks` and its lock
        if who is None:
            return _wait(db, order, said, now_ms)
    parsed = events.parse_events([said], None, now_ms)
    answer = parsed.answer(events.store_events(db, [parsed])[0])
    early = RECORDS.c.kind == EARLY_REFUND, RECORDS.c.id.startswith(f"{said['messageId']}/", autoescape=True)
    for row in db.execute(select(RECORDS.c.body, RECORDS.c.ts_ms).where(*early)).all():
        events.store_events(
            db, [events.parse_events([json.loads(row.body) | {"userId": said["userId"]}], None, row.ts_ms)]
        )
    if not parsed.rejects:
        db.execute(delete(RECORDS).where(*early))
    return answer


def _wait(db: Connection, order: str, refund: dict[str, Any], now_ms: int) -> EventsTaken:
    """Let a refund wait for its order; the same one again counts once."""
    checked = events.parse_events([refund | {"userId": order}], None, now_ms)
    if not checked.events:
        return checked.answer(events.store_events(db, [checked])[0])
    mine, name = RECORDS.c.kind == EARLY_REFUND, f"{order}/{refund['messageId']}"
    known = db.execute(select(RECORDS.c.ts_ms).where(mine, RECORDS.c.id == name)).scalar()
    put_record(db, EARLY_REFUND, name, refund, now_ms if known is None else known)
    db.execute(delete(RECORDS).where(mine, RECORDS.c.ts_ms < now_ms - EARLY_REFUND_DAYS * DAY_MS))
    over = db.execute(select(func.count()).where(mine)).scalar_one() - MAX_EARLY_REFUNDS
    if over > 0:
        oldest = select(RECORDS.c.id).where(mine).order_by(RECORDS.c.ts_ms).limit(over)
        db.execute(delete(RECORDS).where(mine, RECORDS.c.id.in_(oldest)))
    new = int(known is None)
    return {"accepted": new, "duplicates": 1 - new, "repaired": 0, "rejected_count": 0, "rejected": []}


class FunctionResult(TypedDict):
    """The output of a Shopify discount function: codes that are accepted, discounts that are added."""

    operations: list[dict[str, Any]]


@router.post("/v1/carts:shopify", tags=["carts"], **answers(FunctionResult))
def shopify_cart(call: Route, body: FunctionInput) -> dict[str, Any]:
    """What Shopify's discount function answers for a cart; nothing is held."""
    now_ms, asked = call.server.clock.now_ms(), body.to_cart(call.server.settings.shopify_customer)
    with call.read() as db:
        mine = load_wallet(db, call.server.decider.ensure, asked, now_ms)
    return discount_operations(body, mine, price_with_wallet(asked, mine, {}, now_ms))
