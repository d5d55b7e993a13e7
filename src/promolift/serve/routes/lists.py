"""What the ledger keeps, filtered and a page at a time; and the codes of offers: looked up, validated, blocked."""

import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Sequence
from typing import Annotated, Any, NamedTuple

from fastapi import APIRouter, Query, Response
from pydantic import BaseModel, Field
from sqlalchemy import Column, Connection, Table, select, tuple_, update

from promolift.offer import MenuItem
from promolift.serve.cart import find_code
from promolift.serve.menu import MenuDraft, MenuVersion, versions
from promolift.serve.models import Body, Cents, Id, Slug, Typed, Yes
from promolift.serve.problems import REFUSALS, wrong_field
from promolift.serve.routes import Asked, Keyed, Page
from promolift.store.ledger_audit import HttpAnswer
from promolift.store.ledger_money import unusable
from promolift.store.ledger_schema import CODES, CUSTOMERS, DECISIONS, REDEMPTIONS, Refused

router = APIRouter(tags=["lists"])
Place = Annotated[str | None, Query(max_length=2000, description="`next` of the page before.")]
Since = Annotated[int, Query(ge=0, le=2**53, description="Not before this moment, in milliseconds.")]
HIDDEN = {"candidates", "ineligible", "terms", "closed"}  # of a decision: `:explain` tells them


class Listed(NamedTuple):
    """A table that is listed, and the columns that order it; the latest or the greatest comes first."""

    table: Table
    order: tuple[str, ...]


@router.get("/v1/decisions")
def decisions(
    call: Asked, customer_id: Id | None = None, campaign_id: Slug | None = None, offer_id: Id | None = None,
    since_ms: Since = 0, cursor: Place = None, limit: Page = 100,
) -> dict[str, Any]:  # fmt: skip
    """Decisions, the latest first; `next` is the cursor of the next page, null at the end."""
    wanted = {"customer_id": customer_id, "campaign_id": campaign_id, "offer_id": offer_id}
    return _page(call, Listed(DECISIONS, ("ts_ms", "decision_id")), wanted, since_ms, cursor, limit)


@router.get("/v1/redemptions")
def redemptions(
    call: Asked, customer_id: Id | None = None, campaign_id: Slug | None = None, offer_id: Id | None = None,
    status: Slug | None = None, since_ms: Since = 0, cursor: Place = None, limit: Page = 100,
) -> dict[str, Any]:  # fmt: skip
    """Redemptions, the latest first; `status` is reserved, confirmed, rolled_back or expired."""
    wanted = {"customer_id": customer_id, "campaign_id": campaign_id, "offer_id": offer_id, "status": status}
    return _page(call, Listed(REDEMPTIONS, ("ts_ms", "redemption_id")), wanted, since_ms, cursor, limit)


@router.get("/v1/customers")
def customers(
    call: Asked, person_id: Id | None = None, since_ms: Since = 0, cursor: Place = None, limit: Page = 100
) -> dict[str, Any]:
    """What the server was told of customers: consent (2: by a web page alone), language, zone; the latest first."""
    return _page(
        call, Listed(CUSTOMERS, ("updated_ms", "customer_id")), {"person_id": person_id}, since_ms, cursor, limit
    )


@router.get("/v1/codes")
def codes(
    call: Asked, campaign_id: Slug | None = None, offer_id: Id | None = None, customer_id: Id | None = None,
    status: Slug | None = None, cursor: Place = None, limit: Page = 100,
) -> dict[str, Any]:  # fmt: skip
    """Codes; `status` is stock, issued, reserved, redeemed or blocked."""
    wanted = {"campaign_id": campaign_id, "offer_id": offer_id, "customer_id": customer_id, "status": status}
    return _page(call, Listed(CODES, ("code",)), wanted, 0, cursor, limit)


class MenuAnswer(BaseModel):
    """The menu that plans choose from, its drafts, and every version that was approved, the latest first."""

    lines: tuple[MenuItem, ...]
    drafts: dict[str, MenuDraft]
    versions: dict[int, MenuVersion]


@router.get("/v1/menu", response_model_exclude_defaults=True)
def menu(call: Asked) -> MenuAnswer:
    """The shop's menu of offers, drafts of lines and what became of them, and its versions."""
    config = call.server.config
    with call.read() as db:
        drafts, old = MenuDraft.all(db), versions(db)
    return MenuAnswer(lines=config.menu if config else (), drafts=drafts, versions=old)


class ValidateIn(Body):
    """A code that somebody typed; with an amount, whether its offer takes off so much."""

    code: Typed
    customer_id: Id
    amount_cents: Cents | None = None


@router.post("/v1/codes:validate")
def validate(call: Asked, body: ValidateIn) -> dict[str, Any]:
    """Whether this customer could use a code now, and why not; nothing is held."""
    with call.read() as db:
        row = find_code(db, body.code)
    now_ms, cents = call.server.clock.now_ms(), body.amount_cents or 0
    why = "code_unknown" if row is None else unusable(row, body.customer_id, now_ms, cents)
    known = {name: row[name] for name in ("code", "campaign_id", "offer_id", "expires_ms", "cap_cents")} if row else {}
    return {"valid": why is None, "reason": why, "words": REFUSALS[why].words.model_dump() if why else None, **known}


class BlockIn(Body):
    """Codes that nobody may use any more, or may use again."""

    codes: Annotated[tuple[Id, ...], Field(min_length=1, max_length=10_000)]
    blocked: Yes = True


@router.post("/v1/codes:block")
def block(call: Keyed, body: BlockIn) -> Response:
    """Block codes that are in stock or issued, or let blocked ones be used again; those in use stay as they are."""

    def do(db: Connection, now_ms: int) -> HttpAnswer:
        known = set(db.execute(select(CODES.c.code).where(CODES.c.code.in_(body.codes))).scalars())
        if unknown := sorted(set(body.codes) - known):
            raise Refused("code_unknown", f"no such code: {', '.join(unknown[:5])}")
        mine = update(CODES).where(CODES.c.code.in_(body.codes))
        issued = CODES.c.customer_id.is_not(None) | (CODES.c.stocked == 0)
        if body.blocked:
            changes = [mine.where(CODES.c.status.in_(("stock", "issued"))).values(status="blocked")]
        else:
            back = mine.where(CODES.c.status == "blocked")
            changes = [back.where(issued).values(status="issued"), back.where(~issued).values(status="stock")]
        new = {"changed": sum(db.execute(change).rowcount for change in changes), "blocked": body.blocked}
        call.note(db, now_ms, "codes.block", body.codes[0], None, new)
        return HttpAnswer(200, new)

    return call.changed(do, body)


def _page(
    call: Asked, listed: Listed, wanted: dict[str, str | None], since_ms: int, cursor: str | None, limit: int
) -> dict[str, Any]:
    """One page, with the cursor of the next."""
    table, order = listed.table, [listed.table.c[name] for name in listed.order]
    rows = select(*(column for column in table.c if column.name not in HIDDEN))
    rows = rows.where(*(table.c[name] == value for name, value in wanted.items() if value is not None))
    if since_ms:
        rows = rows.where(order[0] >= since_ms)
    if cursor:
        rows = rows.where(tuple_(*order) < tuple_(*_place(cursor, order)))
    with call.read() as db:
        found = db.execute(rows.order_by(*(column.desc() for column in order)).limit(limit)).mappings().all()
    more = [found[-1][name] for name in listed.order] if len(found) == limit else None
    after = urlsafe_b64encode(json.dumps(more).encode()).decode() if more else None
    return {"data": [dict(row) for row in found], "next": after}


def _place(cursor: str, order: Sequence[Column[Any]]) -> list[Any]:
    """The values that a cursor holds."""
    try:
        place = json.loads(urlsafe_b64decode(cursor))
        if [type(value) for value in place] == [column.type.python_type for column in order]:
            return list(place)
    except (ValueError, TypeError):
        pass
    raise wrong_field("wrong cursor", "cursor", "send `next` of the page before as it came")
