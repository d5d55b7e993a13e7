"""Limits, codes and a redemption in; money reserved, confirmed or given back out, never beyond a limit.

Every limit counts in cells of `usage`: (limit, subject, period). A reservation holds its amount in each cell it falls
in; confirming turns what was held into spent, rolling back or expiry gives it back. All checks come before all writes,
so that a refusal changes nothing.
"""

import json
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from string import ascii_lowercase, ascii_uppercase
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

from sqlalchemy import Connection, RowMapping, and_, bindparam, func, insert, or_, select, tuple_, update

from promolift.store.ledger_audit import Act, audit
from promolift.store.ledger_schema import CODES, CUSTOMERS, FOLDED, LIMITS, REDEMPTIONS, STOCKED, USAGE, Query, Refused

UPPER = str.maketrans(ascii_lowercase, ascii_uppercase)
SHARED = Query(select(LIMITS).where(LIMITS.c.campaign_id == bindparam("campaign"), LIMITS.c.per == "campaign"))


class Cell(NamedTuple):
    """A row of `usage`: what a limit counts of a subject in a period."""

    limit_id: str
    subject: str
    period_key: str


@dataclass(frozen=True)
class Claim:
    """A wish to use an offer now. Without a `code` the campaign's limits alone decide."""

    redemption_id: str
    campaign_id: str
    offer_id: str
    customer_id: str
    amount_cents: int
    now_ms: int
    hold_ms: int = 900_000
    order_id: str | None = None
    code: str | None = None
    decision_id: str | None = None
    actor: str = "api"


def period_key(period: str, ts_ms: int, zone: str) -> str:
    """The period a moment falls in, in the limit's zone: '' for total, 2026-11-25, 2026-W48 or 2026-11."""
    if period == "total":
        return ""
    local = datetime.fromtimestamp(ts_ms / 1000, ZoneInfo(zone))
    if period == "week":
        year, week, _ = local.isocalendar()
        return f"{year}-W{week:02d}"
    return local.strftime("%Y-%m-%d" if period == "day" else "%Y-%m")


def reserve(db: Connection, claim: Claim) -> RowMapping:
    """Hold the claim's amount in all limits; the new row of `redemptions`. Raises Refused with the rule's code.

    The same redemption_id again is answered with the row that is there.
    """
    if found := _redemption(db, claim.redemption_id):
        return found
    if claim.amount_cents < 0:
        raise Refused("amount_invalid", f"amount_cents is {claim.amount_cents}; it must be 0 or more")
    expire(db, claim.now_ms)
    _check_code(db, claim)
    cells = _room(db, claim)
    for cell, amount in cells.items():
        _add(db, cell, held=amount)
    row = {name: getattr(claim, name) for name in ("redemption_id", "campaign_id", "offer_id", "customer_id")}
    row |= {"order_id": claim.order_id, "code": claim.code, "decision_id": claim.decision_id, "status": "reserved"}
    row |= {"reserved_cents": claim.amount_cents, "ts_ms": claim.now_ms, "expires_ms": claim.now_ms + claim.hold_ms}
    db.execute(insert(REDEMPTIONS).values(**row, cells=json.dumps([*cells])))
    if claim.code:
        _code_status(db, claim.code, "reserved")
    new = {"campaign": claim.campaign_id, "offer": claim.offer_id, "cents": claim.amount_cents}
    audit(db, claim.now_ms, Act(claim.actor, "reserve", claim.redemption_id), None, new)
    return _known(db, claim.redemption_id)


def confirm(
    db: Connection, redemption_id: str, amount_cents: int | None, now_ms: int, actor: str = "api"
) -> RowMapping:
    """Spend what was reserved, or less of it. Confirming twice is the same as once.

    Raises Refused if the reservation is unknown, expired, rolled back, or smaller than the amount.
    """
    expire(db, now_ms)
    row = _known(db, redemption_id)
    final = row["reserved_cents"] if amount_cents is None else amount_cents
    if row["status"] == "confirmed" and row["final_cents"] == final:
        return row
    if row["status"] != "reserved":
        raise Refused(f"already_{row['status']}", f"{redemption_id} is {row['status']}; reserve anew")
    if not 0 <= final <= row["reserved_cents"]:
        raise Refused("amount_invalid", f"amount_cents {final} is outside 0 to the {row['reserved_cents']} reserved")
    _move(db, row, final)
    _settle(db, row, {"status": "confirmed", "final_cents": final}, "redeemed")
    audit(db, now_ms, Act(actor, "confirm", redemption_id), {"held": row["reserved_cents"]}, {"spent": final})
    return _known(db, redemption_id)


def rollback(db: Connection, redemption_id: str, now_ms: int, actor: str = "api") -> RowMapping:
    """Give back what was reserved or spent, and the code with it. Rolling back twice is the same as once."""
    row = _known(db, redemption_id)
    if row["status"] in ("rolled_back", "expired"):
        return row
    _give_back(db, row, "rolled_back")
    audit(db, now_ms, Act(actor, "rollback", redemption_id), {"status": row["status"]}, {"status": "rolled_back"})
    return _known(db, redemption_id)


def expire(db: Connection, now_ms: int) -> int:
    """Give back all reservations whose time is over; how many."""
    late = and_(REDEMPTIONS.c.status == "reserved", REDEMPTIONS.c.expires_ms <= now_ms)
    rows = db.execute(select(REDEMPTIONS).where(late)).mappings().all()
    for row in rows:
        _give_back(db, row, "expired")
        audit(db, now_ms, Act("ledger", "expire", row["redemption_id"]), {"status": "reserved"}, {"status": "expired"})
    return len(rows)


def add_stock(db: Connection, campaign_id: str, offer_id: str, codes: Sequence[str]) -> int:
    """Add the shop's own codes to an offer's stock; how many were new. A code that is known already is left alone."""
    known = set(db.execute(select(CODES.c.code).where(CODES.c.code.in_(codes))).scalars())
    offer = {"campaign_id": campaign_id, "offer_id": offer_id, "status": "stock", "stocked": 1}
    new = [{"code": code, **offer} for code in sorted(set(codes) - known)]
    if new:
        db.execute(insert(CODES), new)
    return len(new)


def meant(db: Connection, campaign_id: str, offer_id: str, typed: str, printed: str | None) -> str:
    """The code of an offer that a person means who typed this; `printed`: if it is one of ours.

    A code as it is kept is always meant. The shop's own are found in any case, spacing and width too, where that fits
    one of them alone; else what was typed comes back, and is refused as unknown.
    """
    mine = and_(CODES.c.campaign_id == campaign_id, CODES.c.offer_id == offer_id)
    plain = "".join(unicodedata.normalize("NFKC", typed).split())
    folded = and_(STOCKED, FOLDED.in_({plain.translate(UPPER), plain.upper()}))  # SQLite knows the ASCII letters alone
    found = set(db.execute(select(CODES.c.code).where(mine, CODES.c.code.in_([typed, printed]))).scalars())
    if typed in found:  # nearly always: then nothing more is looked up
        return typed
    found |= set(db.execute(select(CODES.c.code).where(mine, folded).limit(2)).scalars())
    return found.pop() if len(found) == 1 else typed


def stock_left(db: Connection, campaign_id: str, offer_id: str) -> int | None:
    """Codes left in stock; None for an offer that was never given any."""
    mine = and_(CODES.c.campaign_id == campaign_id, CODES.c.offer_id == offer_id, CODES.c.stocked == 1)
    counts = select(CODES.c.status, func.count()).where(mine).group_by(CODES.c.status)
    by_status: dict[str, int] = {row[0]: row[1] for row in db.execute(counts)}
    return by_status.get("stock", 0) if by_status else None


def used_up(db: Connection, campaign_id: str, now_ms: int) -> set[str]:
    """Offer ids of the campaign with no room left in a limit per campaign; '' stands for all of them."""
    rows = [dict(zip(LIMITS.c.keys(), row, strict=True)) for row in SHARED.rows(db, campaign=campaign_id)]
    cells = {_cell(row, campaign_id, now_ms): row for row in rows}
    used = _used(db, [*cells])
    return {row["offer_id"] for cell, row in cells.items() if used.get(cell, 0) >= row["amount"]}


# parts


def _check_code(db: Connection, claim: Claim) -> None:
    if claim.code is None:
        return
    code = db.execute(select(CODES).where(CODES.c.code == claim.code)).mappings().first()
    if code is None or (code["campaign_id"], code["offer_id"]) != (claim.campaign_id, claim.offer_id):
        raise Refused("code_unknown", "no such code for this campaign and offer; check what was typed")
    if code["status"] == "stock":
        raise Refused("code_not_issued", "this code was not given to anybody yet")
    if code["customer_id"] not in (None, claim.customer_id):
        raise Refused("code_of_another", "this code was given to another customer")
    if code["status"] != "issued":
        raise Refused("code_used", f"this code is {code['status']} already")
    if code["expires_ms"] is not None and code["expires_ms"] <= claim.now_ms:
        raise Refused("code_expired", "this code is no longer valid")


def _room(db: Connection, claim: Claim) -> dict[Cell, int]:
    """The claim's amount in every cell it falls in; Refused if one of them has no room for it."""
    offer = or_(LIMITS.c.offer_id == "", LIMITS.c.offer_id == claim.offer_id)
    mine = select(LIMITS).where(LIMITS.c.campaign_id == claim.campaign_id, offer).order_by(LIMITS.c.limit_id)
    rows = db.execute(mine).mappings().all()
    person = None
    if any(row["per"] == "natural_person" for row in rows):
        person = db.execute(select(CUSTOMERS.c.person_id).where(CUSTOMERS.c.customer_id == claim.customer_id)).scalar()
    subjects = {"campaign": claim.campaign_id, "customer": claim.customer_id}
    subjects["natural_person"] = person or claim.customer_id
    cells = {_cell(row, subjects[row["per"]], claim.now_ms): row for row in rows}
    used, amounts = _used(db, [*cells]), {}
    for cell, row in cells.items():
        amounts[cell] = 1 if row["metric"] == "redemptions" else claim.amount_cents
        left = row["amount"] - used.get(cell, 0)
        if amounts[cell] > left:
            limit = f"limit {row['limit_id']} ({row['metric']} per {row['per']}, {row['period']})"
            raise Refused("limit_reached", f"{limit} has {max(left, 0)} left, {amounts[cell]} are asked for")
    return amounts


def _cell(limit: RowMapping | dict[str, Any], subject: str, now_ms: int) -> Cell:
    return Cell(limit["limit_id"], subject, period_key(limit["period"], now_ms, limit["zone"]))


def _used(db: Connection, cells: Sequence[Cell]) -> dict[Cell, int]:
    if not cells:
        return {}
    key = tuple_(USAGE.c.limit_id, USAGE.c.subject, USAGE.c.period_key)
    rows = db.execute(select(USAGE).where(key.in_(cells)))
    return {Cell(row.limit_id, row.subject, row.period_key): row.held + row.spent for row in rows}


def _add(db: Connection, cell: Cell, held: int = 0, spent: int = 0) -> None:
    mine = and_(*(USAGE.c[name] == value for name, value in cell._asdict().items()))
    more = {"held": USAGE.c.held + held, "spent": USAGE.c.spent + spent}
    if db.execute(update(USAGE).where(mine).values(**more)).rowcount == 0:
        db.execute(insert(USAGE).values(**cell._asdict(), held=held, spent=spent))


def _cells(db: Connection, row: RowMapping) -> dict[Cell, str]:
    """The cells a redemption counts in, and what each counts; those of a limit since removed are left out."""
    cells = [Cell(*cell) for cell in json.loads(row["cells"])]
    limits = select(LIMITS.c.limit_id, LIMITS.c.metric).where(LIMITS.c.limit_id.in_([cell.limit_id for cell in cells]))
    metric: dict[str, str] = {row[0]: row[1] for row in db.execute(limits)}
    return {cell: metric[cell.limit_id] for cell in cells if cell.limit_id in metric}


def _move(db: Connection, row: RowMapping, final: int) -> None:
    """From held to spent; what was reserved beyond the final amount is free again."""
    for cell, metric in _cells(db, row).items():
        one = metric == "redemptions"
        _add(db, cell, held=-1 if one else -row["reserved_cents"], spent=1 if one else final)


def _give_back(db: Connection, row: RowMapping, status: str) -> None:
    spent = row["status"] == "confirmed"
    cents = row["final_cents"] if spent else row["reserved_cents"]
    for cell, metric in _cells(db, row).items():
        amount = -1 if metric == "redemptions" else -cents
        _add(db, cell, **({"spent": amount} if spent else {"held": amount}))
    _settle(db, row, {"status": status}, "issued")


def _settle(db: Connection, row: RowMapping, changes: Mapping[str, object], code_status: str) -> None:
    db.execute(update(REDEMPTIONS).where(REDEMPTIONS.c.redemption_id == row["redemption_id"]).values(**changes))
    if row["code"]:
        _code_status(db, row["code"], code_status)


def _code_status(db: Connection, code: str, status: str) -> None:
    db.execute(update(CODES).where(CODES.c.code == code).values(status=status))


def _redemption(db: Connection, redemption_id: str) -> RowMapping | None:
    return db.execute(select(REDEMPTIONS).where(REDEMPTIONS.c.redemption_id == redemption_id)).mappings().first()


def _known(db: Connection, redemption_id: str) -> RowMapping:
    found = _redemption(db, redemption_id)
    if found is None:
        raise Refused("redemption_unknown", f"no redemption {redemption_id}; reserve first")
    return found
