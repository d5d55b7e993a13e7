"""The price of a cart, and the promotions that a shop keeps beside its plan."""

from typing import Any

from fastapi import APIRouter, Response
from sqlalchemy import Connection

from promolift.server.api.routes import Asked
from promolift.server.carts.carts import CartIn, CartLineIn, PricesIn, PromotionIn, kept, prices, wallet
from promolift.server.ledger.audit_log import HttpAnswer, drop, every
from promolift.server.ledger.field_types import Slug
from promolift.server.ledger.records import Campaign, KeptPromotion
from promolift.server.ledger.schema import Refused
from promolift.server.response_models import PricesAnswer

router = APIRouter()


@router.post("/v1/prices", tags=["carts"])
def page_prices(call: Asked, body: PricesIn) -> PricesAnswer:
    """What products cost one customer, with the notices that rule packs ask for beside personal prices."""
    now_ms = call.server.clock.now_ms()
    lines = [
        CartLineIn(**one.model_dump(exclude={"lowest_30d_cents"}), line_id=str(k)) for k, one in enumerate(body.items)
    ]
    asked = CartIn(customer_id=body.customer_id, lines=tuple(lines), codes=body.codes, campaign_id=body.campaign_id)
    with call.read() as db:
        return prices(body, wallet(db, call.server.decider.ensure, asked, now_ms), now_ms)


@router.put("/v1/promotions/{promotion_id}", tags=["carts"])
def put_promotion(call: Asked, promotion_id: Slug, body: PromotionIn) -> Response:
    """Make a promotion that carts may use, or replace it whole; it counts in the limits of its campaign."""

    def do(db: Connection, now_ms: int) -> HttpAnswer:
        Campaign.known(db, body.campaign_id)
        old, new = KeptPromotion.find(db, promotion_id), kept(body).keep(db, promotion_id, now_ms)
        call.note(db, now_ms, "promotion.put", promotion_id, old and old.to_json(), new.to_json())
        return HttpAnswer(200, new.to_json())

    return call.changed(do)


@router.get("/v1/promotions", tags=["carts"])
def promotions(call: Asked) -> dict[str, Any]:
    """All promotions that the shop keeps beside its plan."""
    with call.read() as db:
        return {"data": [{"promotion_id": id_} | body for id_, body in every(db, KeptPromotion.KIND).items()]}


@router.delete("/v1/promotions/{promotion_id}", tags=["carts"])
def delete_promotion(call: Asked, promotion_id: Slug) -> Response:
    """Take a promotion back: no cart gets it any more; what is reserved for it stays."""

    def do(db: Connection, now_ms: int) -> HttpAnswer:
        old = KeptPromotion.find(db, promotion_id)
        if old is None:
            raise Refused("promotion_unknown", f"no promotion {promotion_id}")
        drop(db, KeptPromotion.KIND, promotion_id)
        call.note(db, now_ms, "promotion.delete", promotion_id, old.to_json())
        return HttpAnswer(200, {"promotion_id": promotion_id, "deleted": True})

    return call.changed(do)
