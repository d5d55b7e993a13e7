"""What the ledger keeps, filtered and a page at a time; and the codes of offers: looked up, validated, blocked."""

import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Mapping, Sequence
from pathlib import Path as Folder
from typing import Annotated, Any, Literal, NamedTuple

import polars as pl
from fastapi import APIRouter, Path, Query, Response
from pydantic import BaseModel, Field
from sqlalchemy import Column, Connection, Row, Select, Table, create_engine, select, tuple_, update

from promolift.core.offers.menu import MenuItem
from promolift.server.api.problems import wrong_field
from promolift.server.api.routes import Asked, Keyed, Page
from promolift.server.api.routes.export import MOST, TYPES, ExportPage, written
from promolift.server.carts.carts import find_code
from promolift.server.ledger.audit_log import HttpAnswer
from promolift.server.ledger.field_types import Body, Cents, Id, Slug, Typed, Yes
from promolift.server.ledger.limits import unusable
from promolift.server.ledger.records import MenuDraft, MenuVersion, versions
from promolift.server.ledger.refusals import REFUSALS
from promolift.server.ledger.schema import CODES, CUSTOMERS, DECISIONS, REDEMPTIONS, Refused

router = APIRouter(tags=["lists"])
Place = Annotated[str | None, Query(max_length=2000, description="`next` of the page before.")]
Since = Annotated[int, Query(ge=0, le=2**53, description="Not before this moment, in milliseconds.")]
HIDDEN = {"candidates", "ineligible", "terms", "closed"}  # of a decision: `:explain` tells them


Wanted = Mapping[str, str | None]  # by column


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
    """What the server was told of customers: consent (2: by a web page alone), personal decisions, language,
    timezone; the latest first.
    """
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


@router.get("/v1/exports/codes.{kind}", response_class=Response, tags=["export"])
def export_codes(
    call: Asked, kind: Annotated[Literal["csv", "jsonl"], Path()], campaign_id: Slug | None = None,
    offer_id: Id | None = None, customer_id: Id | None = None, status: Slug | None = None, cursor: Place = None,
    limit: Annotated[int, Query(ge=1, le=MOST)] = MOST, spreadsheet: bool = False,
) -> Response:  # fmt: skip
    """Codes as a file, filtered as their list; header `x-next` is the `cursor` of the next page, empty at the end.

    With `spreadsheet=true` a cell that a spreadsheet would take for a formula gets an apostrophe in front.
    """
    wanted = {"campaign_id": campaign_id, "offer_id": offer_id, "customer_id": customer_id, "status": status}
    place = _place(cursor, [CODES.c.code]) if cursor else None
    page: ExportPage = call.server.beside(codes_file, wanted, place, limit, kind, spreadsheet)
    return Response(page.content, headers={"x-next": page.next}, media_type=TYPES[kind])


def codes_file(
    ledger: str, _: Folder, wanted: Wanted, place: list[Any] | None, limit: int, kind: str, spreadsheet: bool
) -> ExportPage:
    """A page of codes, as `export_codes` answers it."""
    listed = Listed(CODES, ("code",))
    engine = create_engine(ledger)
    with engine.connect() as db:
        rows = db.execute(_selected(listed, wanted, 0, place, limit)).all()
    engine.dispose()
    schema = {column.name: pl.String if column.type.python_type is str else pl.Int64 for column in CODES.c}
    frame = pl.DataFrame([tuple(row) for row in rows], schema=schema, orient="row")
    return ExportPage(written(frame, kind, spreadsheet), _next(listed, rows, limit) or "")


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


def _page(call: Asked, listed: Listed, wanted: Wanted, since_ms: int, cursor: str | None, limit: int) -> dict[str, Any]:
    """One page, with the cursor of the next."""
    place = _place(cursor, [listed.table.c[name] for name in listed.order]) if cursor else None
    with call.read() as db:
        found = db.execute(_selected(listed, wanted, since_ms, place, limit)).all()
    named = {"zone": "timezone"}  # as it is stated
    data = [{named.get(name, name): value for name, value in row._mapping.items()} for row in found]
    return {"data": data, "next": _next(listed, found, limit)}


def _selected(
    listed: Listed, wanted: Wanted, since_ms: int, place: list[Any] | None, limit: int
) -> Select[tuple[Any, ...]]:
    """The rows of one page, after a place."""
    table, order = listed.table, [listed.table.c[name] for name in listed.order]
    rows = select(*(column for column in table.c if column.name not in HIDDEN))
    rows = rows.where(*(table.c[name] == value for name, value in wanted.items() if value is not None))
    if since_ms:
        rows = rows.where(order[0] >= since_ms)
    if place:
        rows = rows.where(tuple_(*order) < tuple_(*place))
    return rows.order_by(*(column.desc() for column in order)).limit(limit)


def _next(listed: Listed, found: Sequence[Row[Any]], limit: int) -> str | None:
    """The cursor of what comes after some rows; None at the end."""
    if len(found) < limit:
        return None
    more = [found[-1]._mapping[name] for name in listed.order]
    return urlsafe_b64encode(json.dumps(more).encode()).decode()


def _place(cursor: str, order: Sequence[Column[Any]]) -> list[Any]:
    """The values that a cursor holds."""
    try:
        place = json.loads(urlsafe_b64decode(cursor))
        if [type(value) for value in place] == [column.type.python_type for column in order]:
            return list(place)
    except (ValueError, TypeError):
        pass
    raise wrong_field("wrong cursor", "cursor", "send `next` of the page before as it came")
