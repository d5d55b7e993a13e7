"""The price of a cart, and the promotions that a shop keeps beside its plan."""

from typing import Any

from fastapi import APIRouter, Request, Response
from sqlalchemy import Connection
from starlette.responses import JSONResponse

from promolift.serve.answers import CartAnswer, PricesAnswer
from promolift.serve.cart import (
    CartIn,
    CartLineIn,
    HeldCart,
    KeptPromotion,
    PricesIn,
    PromotionIn,
    hold,
    kept,
    priced,
    prices,
    shown,
    wallet,
)
from promolift.serve.models import Slug
from promolift.serve.routes.money import IdempotencyKey, actor, changed, server_of
from promolift.serve.server import audited
from promolift.serve.things import Campaign
from promolift.store.ledger_audit import Act, HttpAnswer, drop, every
from promolift.store.ledger_schema import Refused

router = APIRouter()


@router.post("/v1/carts:price", tags=["carts"], response_model=CartAnswer)
def price(request: Request, body: CartIn, idempotency_key: IdempotencyKey = None) -> Response:
    """What a cart costs under all that its customer may use; with `hold`, money and codes are reserved for it."""
    server, who = server_of(request), actor(request)
    now_ms = server.clock.now_ms()
    with server.ledger.read() as db:
        mine = wallet(db, server.decider, body, now_ms)

    def do(db: Connection, now_ms: int) -> HttpAnswer:
        return HttpAnswer(200, shown(body, mine, hold(db, body, mine, now_ms, who)))

    if body.hold:
        return changed(request, do, idempotency_key, body)
    return JSONResponse(shown(body, mine, HeldCart(priced(body, mine, {}, now_ms), {}, {})))


@router.post("/v1/prices", tags=["carts"])
def page_prices(request: Request, body: PricesIn) -> PricesAnswer:
    """What products cost one customer, with the notices that rule packs ask for beside personal prices."""
    server = server_of(request)
    now_ms = server.clock.now_ms()
    lines = [
        CartLineIn(**one.model_dump(exclude={"lowest_30d_cents"}), line_id=str(k)) for k, one in enumerate(body.items)
    ]
    asked = CartIn(customer_id=body.customer_id, lines=tuple(lines), codes=body.codes, campaign_id=body.campaign_id)
    with server.ledger.read() as db:
        return prices(body, wallet(db, server.decider, asked, now_ms), now_ms)


@router.put("/v1/promotions/{promotion_id}", tags=["carts"])
def put_promotion(request: Request, promotion_id: Slug, body: PromotionIn) -> Response:
    """Make a promotion that carts may use, or replace it whole; it counts in the limits of its campaign."""
    who = actor(request)

    def do(db: Connection, now_ms: int) -> HttpAnswer:
        Campaign.known(db, body.campaign_id)
        old, new = KeptPromotion.find(db, promotion_id), kept(body).keep(db, promotion_id, now_ms)
        return audited(db, now_ms, Act(who, "promotion.put", promotion_id), old and old.to_json(), new.to_json())

    return changed(request, do, None)


@router.get("/v1/promotions", tags=["carts"])
def promotions(request: Request) -> dict[str, Any]:
    """All promotions that the shop keeps beside its plan."""
    with server_of(request).ledger.read() as db:
        return {"data": [{"promotion_id": id_} | body for id_, body in every(db, KeptPromotion.KIND).items()]}


@router.delete("/v1/promotions/{promotion_id}", tags=["carts"])
def delete_promotion(request: Request, promotion_id: Slug) -> Response:
    """Take a promotion back: no cart gets it any more; what is reserved for it stays."""
    who = actor(request)

    def do(db: Connection, now_ms: int) -> HttpAnswer:
        old = KeptPromotion.find(db, promotion_id)
        if old is None:
            raise Refused("promotion_unknown", f"no promotion {promotion_id}")
        drop(db, KeptPromotion.KIND, promotion_id)
        return audited(db, now_ms, Act(who, "promotion.delete", promotion_id), old.to_json(), None)

    return changed(request, do, None)
