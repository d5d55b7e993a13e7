"""What shop systems send of their own accord: Shopify's webhooks and its discount function."""

import json
import os
from typing import Any

from fastapi import APIRouter, Request
from sqlalchemy import select

from promolift.serve import events
from promolift.serve.answers import EventsTaken
from promolift.serve.cart import priced, wallet
from promolift.serve.problems import ApiError
from promolift.serve.routes import Asked, Call
from promolift.serve.shopify import FunctionInput, event_of, operations, signed
from promolift.store.ledger_schema import EVENTS

router = APIRouter()
SECRET = "PROMOLIFT_SHOPIFY_SECRET"


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
        raise ApiError(400, "json_invalid", "this is no webhook as Shopify documents it") from None
    if found and (order := found.pop("of", None)):
        with call.read() as db:
            found["userId"] = db.execute(select(EVENTS.c.customer_id).where(EVENTS.c.message_id == order)).scalar()
    parsed = events.parse([found] if found else [], None, call.server.clock.now_ms())
    return parsed.answer(await call.server.keep(parsed))


@router.post("/v1/carts:shopify", tags=["carts"])
def shopify_cart(call: Asked, body: FunctionInput) -> dict[str, Any]:
    """What Shopify's discount function answers for a cart; nothing is held."""
    now_ms, asked = call.server.clock.now_ms(), body.asked(call.server.settings.shopify_customer)
    with call.read() as db:
        mine = wallet(db, call.server.decider.ensure, asked, now_ms)
    return operations(body, mine, priced(asked, mine, {}, now_ms))
