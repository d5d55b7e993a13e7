"""Add the shop's own codes to an offer's stock, count them, and say why a customer cannot use one."""

from collections.abc import Sequence
from typing import Any, NamedTuple

from sqlalchemy import (
    Connection,
    and_,
    case,
    func,
    insert,
    select,
)

from promolift.foundation.i18n.catalogue import gettext_noop
from promolift.server.ledger.limits.limit_usage import Row
from promolift.server.ledger.schema import (
    CODES,
    IS_STOCK_CODE,
    transaction_cache,
)

UNUSABLE_CODE_REASONS = {
    "code_not_issued": gettext_noop("this code was not given to anybody yet"),
    "code_blocked": gettext_noop("this code was blocked"),
    "code_of_another": gettext_noop("this code was given to another customer"),
    "code_used": gettext_noop("this code was used already"),
    "code_expired": gettext_noop("this code is no longer valid"),
    "above_cap": gettext_noop("this offer takes off {most} at most, in minor units"),
}


def add_stock(db: Connection, campaign_id: str, offer_id: str, codes: Sequence[str]) -> int:
    """Add the shop's own codes to an offer's stock; how many were new. A code that is known already is left alone."""
    known = set(db.execute(select(CODES.c.code).where(CODES.c.code.in_(codes))).scalars())
    offer = {"campaign_id": campaign_id, "offer_id": offer_id, "status": "stock", "stocked": 1}
    new = [{"code": code, **offer} for code in sorted(set(codes) - known)]
    if new:
        db.execute(insert(CODES), new)
        transaction_cache(db).clear()
    return len(new)


def code_problem(code: Row, customer_id: str, now_ms: int, cents: int = 0) -> str | None:
    """Return why this customer cannot use a code now, as a key of UNUSABLE_CODE_REASONS; None if they can."""
    if code["status"] in ("stock", "blocked"):
        return "code_not_issued" if code["status"] == "stock" else "code_blocked"
    if code["customer_id"] not in (None, customer_id):
        return "code_of_another"
    if code["status"] != "issued":
        return "code_used"
    if code["expires_ms"] is not None and code["expires_ms"] <= now_ms:
        return "code_expired"
    return "above_cap" if code["cap_cents"] is not None and cents > code["cap_cents"] else None


def stock_left(db: Connection, campaign_id: str, offer_id: str) -> int | None:
    """Codes left in stock; None for an offer that was never given any."""
    mine = and_(CODES.c.campaign_id == campaign_id, CODES.c.offer_id == offer_id, IS_STOCK_CODE)
    counts = select(CODES.c.status, func.count()).where(mine).group_by(CODES.c.status)
    by_status: dict[str, int] = {row[0]: row[1] for row in db.execute(counts)}
    return by_status.get("stock", 0) if by_status else None


class CodeStock(NamedTuple):
    """The shop's own codes of an offer: how many are left, and how many there were."""

    offer_id: str
    left: int
    total: int


def code_stocks(db: Connection, campaign_id: str) -> list[CodeStock]:
    """Of every offer of a campaign that was given codes, the one with the least left first."""
    left: Any = func.sum(case((CODES.c.status == "stock", 1), else_=0))
    counts = select(CODES.c.offer_id, left, func.count()).where(CODES.c.campaign_id == campaign_id, IS_STOCK_CODE)
    return sorted((CodeStock(*row) for row in db.execute(counts.group_by(CODES.c.offer_id))), key=lambda each: each[1:])
