"""Price products for one customer, and manage the promotions that a shop keeps beside its plan."""

from typing import Any

from fastapi import APIRouter, Response
from sqlalchemy import Connection

from promolift.server.api.routes import Route
from promolift.server.carts.carts import (
    CartIn,
    CartLineIn,
    PricesIn,
    PromotionIn,
    load_wallet,
    price_products,
    stored_promotion,
)
from promolift.server.ledger.audit_log import HttpResponse, delete_record, list_records
from promolift.server.ledger.field_types import Slug
from promolift.server.ledger.records import Campaign, StoredPromotion
from promolift.server.ledger.schema import Refused
from promolift.server.response_models import PricesAnswer

router = APIRouter()


@router.post("/v1/prices", tags=["carts"])
def page_prices(call: Route, body: PricesIn) -> PricesAnswer:
    """What products cost one customer, with the notices that rule packs ask for beside personal prices."""
    now_ms = call.server.clock.now_ms()
    lines = [
        CartLineIn(**one.model_dump(exclude={"lowest_30d_cents"}), line_id=str(k)) for k, one in enumerate(body.items)
    ]
    asked = CartIn(customer_id=body.customer_id, lines=tuple(lines), codes=body.codes, campaign_id=body.campaign_id)
    with call.read() as db:
        return price_products(body, load_wallet(db, call.server.decider.ensure, asked, now_ms), now_ms)


@router.put("/v1/promotions/{promotion_id}", tags=["carts"])
def put_promotion(call: Route, promotion_id: Slug, body: PromotionIn) -> Response:
    """Make a promotion that carts may use, or replace it whole; it counts in the limits of its campaign."""

    def do(db: Connection, now_ms: int) -> HttpResponse:
        Campaign.load(db, body.campaign_id)
        old, new = StoredPromotion.find(db, promotion_id), stored_promotion(body).save(db, promotion_id, now_ms)
        call.append_audit(db, now_ms, "promotion.put", promotion_id, old and old.to_json(), new.to_json())
        return HttpResponse(200, new.to_json())

    return call.change(do)


@router.get("/v1/promotions", tags=["carts"])
def promotions(call: Route) -> dict[str, Any]:
    """All promotions that the shop keeps beside its plan."""
    with call.read() as db:
        return {"data": [{"promotion_id": id_} | body for id_, body in list_records(db, StoredPromotion.KIND).items()]}


@router.delete("/v1/promotions/{promotion_id}", tags=["carts"])
def delete_promotion(call: Route, promotion_id: Slug) -> Response:
    """Take a promotion back: no cart gets it any more; what is reserved for it stays."""

    def do(db: Connection, now_ms: int) -> HttpResponse:
        old = StoredPromotion.find(db, promotion_id)
        if old is None:
            raise Refused("promotion_unknown", f"no promotion {promotion_id}")
        delete_record(db, StoredPromotion.KIND, promotion_id)
        call.append_audit(db, now_ms, "promotion.delete", promotion_id, old.to_json())
        return HttpResponse(200, {"promotion_id": promotion_id, "deleted": True})

    return call.change(do)
