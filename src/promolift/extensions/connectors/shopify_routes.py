"""What shop systems send of their own accord: Shopify's webhooks and its discount function.

Shopify may tell of a refund before it tells of its order: it waits in the ledger until that comes.
"""

import json
import os
from collections.abc import Sequence
from typing import Any, NamedTuple

from fastapi import APIRouter, Request
from sqlalchemy import Connection, delete, func, select

from promolift.extensions.connectors.shopify import FunctionInput, event_of, operations, signed
from promolift.foundation.time.units import DAY_MS
from promolift.server.api.problems import ApiError
from promolift.server.api.routes import Asked, Call
from promolift.server.carts.carts import priced, wallet
from promolift.server.events import events
from promolift.server.ledger.audit_log import put
from promolift.server.ledger.event_rows import EventsTaken, Parsed
from promolift.server.ledger.schema import EVENTS, THINGS, need, of_customer

router = APIRouter()
SECRET = "PROMOLIFT_SHOPIFY_SECRET"
EARLY = "early_refund"  # things of the ledger: refunds whose order was not told of yet
MOST_EARLY, EARLY_DAYS = 1000, 60  # so many wait, and so long; beyond, the oldest go


@router.post("/v1/shopify/webhooks", tags=["events"])
async def shopify_webhook(request: Request) -> EventsTaken:
    """An order, refund, checkout or customer of Shopify as an event. Its signature takes the place of a key; a topic
    that tells nothing is answered, so that it is not sent again.
    """
    context, call = request.scope["promolift"], Call.of(request)
    secret, headers = os.environ.get(SECRET, ""), context.headers
    if not secret or not signed(secret, context.body, headers.get(b"x-shopify-hmac-sha256", b"").decode("latin-1")):
        raise ApiError(401, "key_missing", f"no signature by the secret in {SECRET}: X-Shopify-Hmac-Sha256")
    try:
        body = json.loads(context.body)
        found = event_of(headers.get(b"x-shopify-topic", b"").decode(), body, call.server.settings.shopify_customer)
    except (ValueError, TypeError, AttributeError, KeyError, ArithmeticError, RecursionError):
        raise ApiError(400, "webhook_invalid", "this is no webhook as Shopify documents it") from None
    if found is None:
        return Parsed().answer(0)
    webhook = Webhook(found, call.server.clock.now_ms())
    answer: EventsTaken = await call.server.ledger.call(keep_webhooks, webhook, locks=locks)
    call.server.metrics.received(answer["accepted"], answer["duplicates"], answer["rejected_count"])
    return answer


class Webhook(NamedTuple):
    """A webhook as an event, and when it came."""

    event: dict[str, Any]
    now_ms: int


def locks(db: Connection, some: Sequence[Webhook]) -> set[str]:
    """The customers and orders they are of; and all refunds that wait, where one will."""
    found = set[str]()
    for event, _ in some:
        order = event.get("of", event["messageId"])
        who = event.get("userId") or _customer(db, order)
        found |= {f"o:{order}", of_customer(who) if who else EARLY}
    return found


def _customer(db: Connection, order: str) -> str | None:
    found: str | None = db.execute(select(EVENTS.c.customer_id).where(EVENTS.c.message_id == order)).scalar()
    return found


def keep_webhooks(db: Connection, some: Sequence[Webhook]) -> list[EventsTaken]:
    """Keep each webhook; a refund is its order's customer's, and one that came before its order is kept with it."""
    return [_kept(db, *each) for each in some]


def _kept(db: Connection, event: dict[str, Any], now_ms: int) -> EventsTaken:
    said = dict(event)
    if order := said.pop("of", None):
        who = said["userId"] = _customer(db, order)
        need(db, of_customer(who) if who else EARLY)  # the order may have come between `locks` and its lock
        if who is None:
            return _wait(db, order, said, now_ms)
    parsed = events.parse([said], None, now_ms)
    answer = parsed.answer(events.keep(db, [parsed])[0])
    early = THINGS.c.kind == EARLY, THINGS.c.id.startswith(f"{said['messageId']}/", autoescape=True)
    for row in db.execute(select(THINGS.c.body, THINGS.c.ts_ms).where(*early)).all():
        events.keep(db, [events.parse([json.loads(row.body) | {"userId": said["userId"]}], None, row.ts_ms)])
    if not parsed.rejects:
        db.execute(delete(THINGS).where(*early))
    return answer


def _wait(db: Connection, order: str, refund: dict[str, Any], now_ms: int) -> EventsTaken:
    """Let a refund wait for its order; the same one again counts once."""
    checked = events.parse([refund | {"userId": order}], None, now_ms)
    if not checked.events:
        return checked.answer(events.keep(db, [checked])[0])
    mine, name = THINGS.c.kind == EARLY, f"{order}/{refund['messageId']}"
    known = db.execute(select(THINGS.c.ts_ms).where(mine, THINGS.c.id == name)).scalar()
    put(db, EARLY, name, refund, now_ms if known is None else known)
    db.execute(delete(THINGS).where(mine, THINGS.c.ts_ms < now_ms - EARLY_DAYS * DAY_MS))
    over = db.execute(select(func.count()).where(mine)).scalar_one() - MOST_EARLY
    if over > 0:
        oldest = select(THINGS.c.id).where(mine).order_by(THINGS.c.ts_ms).limit(over)
        db.execute(delete(THINGS).where(mine, THINGS.c.id.in_(oldest)))
    new = int(known is None)
    return {"accepted": new, "duplicates": 1 - new, "repaired": 0, "rejected_count": 0, "rejected": []}


@router.post("/v1/carts:shopify", tags=["carts"])
def shopify_cart(call: Asked, body: FunctionInput) -> dict[str, Any]:
    """What Shopify's discount function answers for a cart; nothing is held."""
    now_ms, asked = call.server.clock.now_ms(), body.asked(call.server.settings.shopify_customer)
    with call.read() as db:
        mine = wallet(db, call.server.decider.ensure, asked, now_ms)
    return operations(body, mine, priced(asked, mine, {}, now_ms))
