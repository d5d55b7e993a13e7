"""List ledger rows with filters and cursors; validate, block and export the codes of offers."""

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
from promolift.foundation.i18n.lazy_message import gettext_lazy
from promolift.server.admin_responses import (
    HIDDEN_COLUMNS,
    RENAMED_COLUMNS,
    CodePage,
    CodesBlocked,
    CodeValidated,
    CustomerPage,
    DecisionPage,
    RedemptionPage,
    answers,
)
from promolift.server.api.problems import field_error
from promolift.server.api.routes import IdempotentRoute, PageSize, Route, ServerRoute, slow
from promolift.server.api.routes.export import MAX_EXPORT_ROWS, MEDIA_TYPES, ExportPage, encode_table
from promolift.server.carts.carts import find_code
from promolift.server.ledger.audit_log import HttpResponse
from promolift.server.ledger.field_types import Body, Cents, Id, Slug, StrictBool, TypedCode
from promolift.server.ledger.limits import code_problem
from promolift.server.ledger.records import MenuDraft, MenuVersion, menu_versions
from promolift.server.ledger.refusals import REFUSALS
from promolift.server.ledger.schema import CODES, CUSTOMERS, DECISIONS, REDEMPTIONS, Refused

router = APIRouter(route_class=ServerRoute, tags=["lists"])
PageCursor = Annotated[str | None, Query(max_length=2000, description="`next` of the page before.")]
Since = Annotated[int, Query(ge=0, le=2**53, description="Not before this moment, in milliseconds.")]


ListFilters = Mapping[str, str | None]  # by column


class ListedTable(NamedTuple):
    """A table that can be listed, and the columns that order it; the latest or greatest comes first."""

    table: Table
    order: tuple[str, ...]


@router.get("/v1/decisions", **answers(DecisionPage))
def decisions(
    call: Route, customer_id: Id | None = None, campaign_id: Slug | None = None, offer_id: Id | None = None,
    since_ms: Since = 0, cursor: PageCursor = None, limit: PageSize = 100,
) -> dict[str, Any]:  # fmt: skip
    """Decisions, the latest first; `next` is the cursor of the next page, null at the end."""
    wanted = {"customer_id": customer_id, "campaign_id": campaign_id, "offer_id": offer_id}
    return _page(call, ListedTable(DECISIONS, ("ts_ms", "decision_id")), wanted, since_ms, cursor, limit)


@router.get("/v1/redemptions", **answers(RedemptionPage))
def redemptions(
    call: Route, customer_id: Id | None = None, campaign_id: Slug | None = None, offer_id: Id | None = None,
    status: Slug | None = None, since_ms: Since = 0, cursor: PageCursor = None, limit: PageSize = 100,
) -> dict[str, Any]:  # fmt: skip
    """Redemptions, the latest first; `status` is reserved, confirmed, rolled_back or expired."""
    wanted = {"customer_id": customer_id, "campaign_id": campaign_id, "offer_id": offer_id, "status": status}
    return _page(call, ListedTable(REDEMPTIONS, ("ts_ms", "redemption_id")), wanted, since_ms, cursor, limit)


@router.get("/v1/customers", **answers(CustomerPage))
def customers(
    call: Route, person_id: Id | None = None, since_ms: Since = 0, cursor: PageCursor = None, limit: PageSize = 100
) -> dict[str, Any]:
    """What the server was told of customers: consent (2: by a web page alone), personal decisions, language,
    timezone; the latest first.
    """
    return _page(
        call, ListedTable(CUSTOMERS, ("updated_ms", "customer_id")), {"person_id": person_id}, since_ms, cursor, limit
    )


@router.get("/v1/codes", **answers(CodePage))
def codes(
    call: Route, campaign_id: Slug | None = None, offer_id: Id | None = None, customer_id: Id | None = None,
    status: Slug | None = None, cursor: PageCursor = None, limit: PageSize = 100,
) -> dict[str, Any]:  # fmt: skip
    """Codes; `status` is stock, issued, reserved, redeemed or blocked."""
    wanted = {"campaign_id": campaign_id, "offer_id": offer_id, "customer_id": customer_id, "status": status}
    return _page(call, ListedTable(CODES, ("code",)), wanted, 0, cursor, limit)


@router.get("/v1/exports/codes.{kind}", response_class=Response, tags=["export"])
@slow
def export_codes(
    call: Route, kind: Annotated[Literal["csv", "jsonl"], Path()], campaign_id: Slug | None = None,
    offer_id: Id | None = None, customer_id: Id | None = None, status: Slug | None = None, cursor: PageCursor = None,
    limit: Annotated[int, Query(ge=1, le=MAX_EXPORT_ROWS)] = MAX_EXPORT_ROWS, spreadsheet: bool = False,
) -> Response:  # fmt: skip
    """Codes as a file, filtered as their list; header `x-next` is the `cursor` of the next page, empty at the end.

    With `spreadsheet=true` a cell that a spreadsheet would take for a formula gets an apostrophe in front.
    """
    wanted = {"campaign_id": campaign_id, "offer_id": offer_id, "customer_id": customer_id, "status": status}
    place = _place(cursor, [CODES.c.code]) if cursor else None
    page: ExportPage = call.server.run_in_reader(read_codes_file, wanted, place, limit, kind, spreadsheet)
    return Response(page.content, headers={"x-next": page.next}, media_type=MEDIA_TYPES[kind])


def read_codes_file(
    ledger: str, _: Folder, wanted: ListFilters, place: list[Any] | None, limit: int, kind: str, spreadsheet: bool
) -> ExportPage:
    """Read one page of codes, as the route `export_codes` returns it."""
    listed = ListedTable(CODES, ("code",))
    engine = create_engine(ledger)
    with engine.connect() as db:
        rows = db.execute(_selected(listed, wanted, 0, place, limit)).all()
    engine.dispose()
    schema = {column.name: pl.String if column.type.python_type is str else pl.Int64 for column in CODES.c}
    frame = pl.DataFrame([tuple(row) for row in rows], schema=schema, orient="row")
    return ExportPage(encode_table(frame, kind, spreadsheet), _next(listed, rows, limit) or "")


class MenuAnswer(BaseModel):
    """The menu that plans choose from, its drafts, and every version that was approved, the latest first."""

    lines: tuple[MenuItem, ...]
    drafts: dict[str, MenuDraft]
    versions: dict[int, MenuVersion]


@router.get("/v1/menu", response_model_exclude_defaults=True)
def menu(call: Route) -> MenuAnswer:
    """The shop's menu of offers, drafts of lines and what became of them, and its versions."""
    config = call.server.config
    with call.read() as db:
        drafts, old = MenuDraft.all(db), menu_versions(db)
    return MenuAnswer(lines=config.menu if config else (), drafts=drafts, versions=old)


class ValidateIn(Body):
    """A code that somebody typed; with an amount, whether its offer takes off so much."""

    code: TypedCode
    customer_id: Id
    amount_cents: Cents | None = None


@router.post("/v1/codes:validate", **answers(CodeValidated))
def validate(call: Route, body: ValidateIn) -> dict[str, Any]:
    """Whether this customer could use a code now, and why not; nothing is held."""
    with call.read() as db:
        row = find_code(db, body.code)
    now_ms, cents = call.server.clock.now_ms(), body.amount_cents or 0
    why = "code_unknown" if row is None else code_problem(row, body.customer_id, now_ms, cents)
    known = {name: row[name] for name in ("code", "campaign_id", "offer_id", "expires_ms", "cap_cents")} if row else {}
    return {"valid": why is None, "reason": why, "words": REFUSALS[why].words.model_dump() if why else None, **known}


class BlockIn(Body):
    """Codes that nobody may use any more, or may use again."""

    codes: Annotated[tuple[Id, ...], Field(min_length=1, max_length=10_000)]
    blocked: StrictBool = True


@router.post("/v1/codes:block", **answers(CodesBlocked))
def block(call: IdempotentRoute, body: BlockIn) -> Response:
    """Block codes that are in stock or issued, or let blocked ones be used again; those in use stay as they are."""

    def do(db: Connection, now_ms: int) -> HttpResponse:
        known = set(db.execute(select(CODES.c.code).where(CODES.c.code.in_(body.codes))).scalars())
        if unknown := sorted(set(body.codes) - known):
            raise Refused("code_unknown", gettext_lazy("no such code: {unknown}", unknown=", ".join(unknown[:5])))
        mine = update(CODES).where(CODES.c.code.in_(body.codes))
        issued = CODES.c.customer_id.is_not(None) | (CODES.c.stocked == 0)
        if body.blocked:
            changes = [mine.where(CODES.c.status.in_(("stock", "issued"))).values(status="blocked")]
        else:
            back = mine.where(CODES.c.status == "blocked")
            changes = [back.where(issued).values(status="issued"), back.where(~issued).values(status="stock")]
        new = {"changed": sum(db.execute(change).rowcount for change in changes), "blocked": body.blocked}
        call.append_audit(db, now_ms, "codes.block", body.codes[0], None, new)
        return HttpResponse(200, new)

    return call.change(do, body)


def _page(
    call: Route, listed: ListedTable, wanted: ListFilters, since_ms: int, cursor: str | None, limit: int
) -> dict[str, Any]:
    """One page, with the cursor of the next."""
    place = _place(cursor, [listed.table.c[name] for name in listed.order]) if cursor else None
    with call.read() as db:
        found = db.execute(_selected(listed, wanted, since_ms, place, limit)).all()
    data = [{RENAMED_COLUMNS.get(name, name): value for name, value in row._mapping.items()} for row in found]
    return {"data": data, "next": _next(listed, found, limit)}


def _selected(
    listed: ListedTable, wanted: ListFilters, since_ms: int, place: list[Any] | None, limit: int
) -> Select[tuple[Any, ...]]:
    """The rows of one page, after a place."""
    table, order = listed.table, [listed.table.c[name] for name in listed.order]
    rows = select(*(column for column in table.c if column.name not in HIDDEN_COLUMNS))
    rows = rows.where(*(table.c[name] == value for name, value in wanted.items() if value is not None))
    if since_ms:
        rows = rows.where(order[0] >= since_ms)
    if place:
        rows = rows.where(tuple_(*order) < tuple_(*place))
    return rows.order_by(*(column.desc() for column in order)).limit(limit)


def _next(listed: ListedTable, found: Sequence[Row[Any]], limit: int) -> str | None:
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
    raise field_error(gettext_lazy("wrong cursor"), "cursor", "send `next` of the page before as it came")
