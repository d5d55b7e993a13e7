"""Price products for one customer, and manage the promotions that a shop keeps beside its plan."""

from typing import Any

from fastapi import APIRouter, Response
from sqlalchemy import Connection, select

from promolift.foundation.i18n.lazy_message import gettext_lazy
from promolift.server.admin_responses import PromotionDeleted, PromotionList, PromotionShown, answers
from promolift.server.api.routes import IfMatch, Route, check_version, version_tag
from promolift.server.carts.carts import (
    CartIn,
    CartLineIn,
    PricesIn,
    PromotionIn,
    issue_promotion_codes,
    load_wallet,
    price_products,
    stored_promotion,
)
from promolift.server.ledger.audit_log import HttpResponse, delete_record, list_records
from promolift.server.ledger.field_types import Slug
from promolift.server.ledger.records import Campaign, StoredPromotion
from promolift.server.ledger.schema import AUDIT, Refused
from promolift.server.response_models import PricesAnswer

router = APIRouter()


@router.post("/v1/prices", tags=["carts"])
def page_prices(call: Route, body: PricesIn) -> PricesAnswer:
    """What products cost one customer, with the notices that rule packs ask for beside personal prices."""
    now_ms = call.server.clock.now_ms()
    lines = [
        CartLineIn(**one.model_dump(exclude={"lowest_30d_cents"}), line_id=str(k)) for k, one in enumerate(body.items)
    ]
    asked = CartIn(
        customer_id=body.customer_id,
        lines=tuple(lines),
        codes=body.codes,
        campaign_id=body.campaign_id,
        currency=body.currency,
    )
    with call.read() as db:
        return price_products(body, load_wallet(db, call.server.decider.ensure, asked, now_ms), now_ms)


@router.put("/v1/promotions/{promotion_id}", tags=["carts"], **answers(PromotionShown))
def put_promotion(call: Route, promotion_id: Slug, body: PromotionIn, if_match: IfMatch = None) -> Response:
    """Make a promotion that carts may use, or replace it whole; it counts in the limits of its campaign.

    To change one, the version that was read must come along (`If-Match`), else 428.
    """

    def do(db: Connection, now_ms: int) -> HttpResponse:
        Campaign.load(db, body.campaign_id)
        old, new = StoredPromotion.find(db, promotion_id), stored_promotion(body)
        kept, wanted = old and old.to_json(), new.to_json()
        check_version(if_match, kept, kept not in (None, wanted), f"promotion {promotion_id}")
        new.save(db, promotion_id, now_ms)
        issue_promotion_codes(db, promotion_id)
        call.append_audit(db, now_ms, "promotion.put", promotion_id, kept, wanted)
        return HttpResponse(200, wanted)

    reply = call.change(do)
    reply.headers["etag"] = version_tag(stored_promotion(body).to_json())
    return reply


@router.get("/v1/promotions/{promotion_id}", tags=["carts"], **answers(PromotionShown))
def promotion(call: Route, promotion_id: Slug, response: Response) -> dict[str, Any]:
    """One promotion; `ETag` is its version."""
    with call.read() as db:
        found = StoredPromotion.load(db, promotion_id).to_json()
    response.headers["etag"] = version_tag(found)
    return {"promotion_id": promotion_id} | found


@router.get("/v1/promotions", tags=["carts"], **answers(PromotionList))
def promotions(call: Route) -> dict[str, Any]:
    """All promotions that the shop keeps beside its plan."""
    with call.read() as db:
        return {"data": [{"promotion_id": id_} | body for id_, body in list_records(db, StoredPromotion.KIND).items()]}


@router.delete("/v1/promotions/{promotion_id}", tags=["carts"], **answers(PromotionDeleted))
def delete_promotion(call: Route, promotion_id: Slug, if_match: IfMatch = None) -> Response:
    """Take a promotion back: no cart gets it any more; what is reserved for it stays.

    Where another key set it last, the version that was read must come along (`If-Match`), else 428.
    """

    def do(db: Connection, now_ms: int) -> HttpResponse:
        old = StoredPromotion.find(db, promotion_id)
        if old is None:
            raise Refused("promotion_unknown", gettext_lazy("no promotion {promotion_id}", promotion_id=promotion_id))
        lost = _set_by(db, promotion_id) != call.who
        check_version(if_match, old.to_json(), lost, f"promotion {promotion_id}")
        delete_record(db, StoredPromotion.KIND, promotion_id)
        call.append_audit(db, now_ms, "promotion.delete", promotion_id, old.to_json())
        return HttpResponse(200, {"promotion_id": promotion_id, "deleted": True})

    return call.change(do)


def _set_by(db: Connection, promotion_id: str) -> str | None:
    """Who made a promotion or changed it last, where the audit log says it."""
    mine = AUDIT.c.action == "promotion.put", AUDIT.c.subject == promotion_id, AUDIT.c.old != AUDIT.c.new
    found: str | None = db.execute(select(AUDIT.c.actor).where(*mine).order_by(AUDIT.c.seq.desc()).limit(1)).scalar()
    return found
