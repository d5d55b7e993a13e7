"""Limits, codes and a redemption in; money reserved, confirmed or given back out, never beyond a limit.

Every limit counts in cells of `usage`: (campaign, limit, subject, period). A reservation holds its amount in each cell
it falls in; confirming turns what was held into spent, rolling back or expiry gives it back. A cell is always the sum
of the redemptions that fall in it, so that a limit that comes, goes or is stated anew counts what was before it. All
checks come before all writes, so that a refusal changes nothing.
"""

import unicodedata
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from string import ascii_lowercase, ascii_uppercase
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

from sqlalchemy import BindParameter, Connection, and_, bindparam, delete, func, insert, select, update

from promolift.sql import DAY_MS
from promolift.store.ledger_audit import Act, audit
from promolift.store.ledger_schema import (
    CODES,
    CUSTOMERS,
    FOLDED,
    LIMITS,
    REDEMPTIONS,
    STOCKED,
    USAGE,
    Query,
    Refused,
    memo,
)

UPPER = str.maketrans(ascii_lowercase, ascii_uppercase)
CAMPAIGN: BindParameter[str] = bindparam("campaign")
ALL_LIMITS = Query(select(LIMITS).where(LIMITS.c.campaign_id == CAMPAIGN).order_by(LIMITS.c.limit_id))
MINE = and_(
    USAGE.c.campaign_id == CAMPAIGN,
    USAGE.c.limit_id == bindparam("limit"),
    USAGE.c.subject == bindparam("who"),
    USAGE.c.period_key == bindparam("period"),
)
USED = Query(select(USAGE.c.held + USAGE.c.spent).where(MINE))
ADD = Query(
    insert(USAGE).inline(),
    then=" on conflict (campaign_id, limit_id, subject, period_key)"
    " do update set held = usage.held + excluded.held, spent = usage.spent + excluded.spent",
)
MOVE = Query(
    update(USAGE)
    .where(MINE)
    .values(held=USAGE.c.held + bindparam("more_held"), spent=USAGE.c.spent + bindparam("more_spent"))
)
NAMED = REDEMPTIONS.c.redemption_id == bindparam("named")
REDEMPTION = Query(select(REDEMPTIONS).where(NAMED))
LATE = Query(
    select(REDEMPTIONS).where(
        REDEMPTIONS.c.status == bindparam("open"), REDEMPTIONS.c.expires_ms <= bindparam("now_ms")
    )
)
KEEP = Query(insert(REDEMPTIONS).inline())
SETTLE = Query(
    update(REDEMPTIONS).where(NAMED).values(status=bindparam("to_status"), final_cents=bindparam("to_cents"))
)
CODE = Query(select(CODES).where(CODES.c.code == bindparam("named")))
CODE_STATUS = Query(
    update(CODES)
    .where(CODES.c.code == bindparam("named"), CODES.c.status != "blocked")
    .values(status=bindparam("to_status"))
)
PERSON = Query(select(CUSTOMERS.c.person_id).where(CUSTOMERS.c.customer_id == bindparam("who")))
UNUSABLE = {
    "code_not_issued": "this code was not given to anybody yet",
    "code_blocked": "this code was blocked",
    "code_of_another": "this code was given to another customer",
    "code_used": "this code was used already",
    "code_expired": "this code is no longer valid",
    "above_cap": "this offer takes off {} at most, in minor units",
}
LONGEST_DAYS = {"day": 2, "week": 8, "month": 32}
Row = Mapping[str, Any]
COUNTED = ("reserved", "confirmed")


class UsageCell(NamedTuple):
    """A row of `usage`: what a limit counts of a subject in a period."""

    campaign_id: str
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
    return local.date().isoformat()[: 10 if period == "day" else 7]


def reserve(db: Connection, claim: Claim) -> Row:
    """Hold the claim's amount in all limits; the new row of `redemptions`. Raises Refused with the rule's code.

    The same claim again is answered with the row that is there, while that counts.
    """
    if found := REDEMPTION.first(db, named=claim.redemption_id):
        return _again(found, claim)
    if claim.amount_cents < 0:
        raise Refused("amount_invalid", f"amount_cents is {claim.amount_cents}; it must be 0 or more")
    expire(db, claim.now_ms)
    _check_code(db, claim)
    row = {name: getattr(claim, name) for name in ("redemption_id", "campaign_id", "offer_id", "customer_id")}
    row |= {"order_id": claim.order_id, "code": claim.code, "decision_id": claim.decision_id, "status": "reserved"}
    row |= {"reserved_cents": claim.amount_cents, "ts_ms": claim.now_ms, "expires_ms": claim.now_ms + claim.hold_ms}
    person = PERSON.rows(db, who=claim.customer_id)
    row |= {"person": (person[0][0] if person else None) or claim.customer_id, "final_cents": None}
    room = _room(db, row)
    ADD.many(db, [{**cell._asdict(), "held": amount, "spent": 0} for cell, amount in room.items()])
    KEEP.run(db, **row)
    if claim.code:
        CODE_STATUS.run(db, named=claim.code, to_status="reserved")
    new = {"campaign": claim.campaign_id, "offer": claim.offer_id, "cents": claim.amount_cents}
    audit(db, claim.now_ms, Act(claim.actor, "reserve", claim.redemption_id), None, new)
    return row


def confirm(db: Connection, redemption_id: str, amount_cents: int | None, now_ms: int, actor: str = "api") -> Row:
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
    for limit in _limits(db, row):
        one = limit["metric"] == "redemptions"
        _move(db, limit, row, held=-1 if one else -row["reserved_cents"], spent=1 if one else final)
    audit(db, now_ms, Act(actor, "confirm", redemption_id), {"held": row["reserved_cents"]}, {"spent": final})
    return _settle(db, row, "confirmed", final, "redeemed")


def rollback(
    db: Connection, redemption_id: str, now_ms: int, actor: str = "api", amount_cents: int | None = None
) -> Row:
    """Give back what was reserved or spent, and the code with it. Rolling back twice is the same as once.

    With an amount only that part of what was spent, as where one line of an order is returned: the redemption stays
    confirmed with what is left. Raises Refused where less than that was spent.
    """
    row = _known(db, redemption_id)
    if row["status"] in ("rolled_back", "expired"):
        return row
    if amount_cents is not None and amount_cents != row["final_cents"]:
        return _return_part(db, row, amount_cents, now_ms, actor)
    audit(db, now_ms, Act(actor, "rollback", redemption_id), {"status": row["status"]}, {"status": "rolled_back"})
    return _give_back(db, row, "rolled_back")


def expire(db: Connection, now_ms: int) -> int:
    """Give back all reservations whose time is over; how many."""
    kept = memo(db)
    if kept.get("expired") == now_ms:
        return 0
    late = LATE.dicts(db, open="reserved", now_ms=now_ms)
    for row in late:
        _give_back(db, row, "expired")
        audit(db, now_ms, Act("ledger", "expire", row["redemption_id"]), {"status": "reserved"}, {"status": "expired"})
    kept["expired"] = now_ms
    return len(late)


def set_limits(db: Connection, campaign_id: str, limits: Sequence[Row], now_ms: int) -> None:
    """Let a campaign have these limits alone; each counts what was reserved and spent before it, too.

    A limit is the same one while only its amount changes. Raises Refused if two have one id.
    """
    new = {limit["limit_id"]: dict(limit) | {"campaign_id": campaign_id} for limit in limits}
    if len(new) < len(limits):
        raise Refused("limit_id_taken", "a limit_id is used twice; the ids of a campaign must differ")
    old = {row["limit_id"]: row for row in all_limits(db, campaign_id)}
    for name in sorted(old.keys() | new.keys()):
        before, after = old.get(name), new.get(name)
        same = before and after and before | {"amount": 0} == after | {"amount": 0}
        for table in (LIMITS,) if same else (LIMITS, USAGE):
            db.execute(delete(table).where(table.c.campaign_id == campaign_id, table.c.limit_id == name))
        if after:
            db.execute(insert(LIMITS).values(**after))
        if after and not same:
            recount(db, after, now_ms)
    memo(db).clear()


def recount(db: Connection, limit: Row, now_ms: int) -> None:
    """Fill the cells of the present period from the redemptions that fall in them."""
    mine = [REDEMPTIONS.c.campaign_id == limit["campaign_id"], REDEMPTIONS.c.status.in_(COUNTED)]
    if limit["offer_id"]:
        mine.append(REDEMPTIONS.c.offer_id == limit["offer_id"])
    if limit["period"] != "total":
        mine.append(REDEMPTIONS.c.ts_ms > now_ms - LONGEST_DAYS[limit["period"]] * DAY_MS)
    period = period_key(limit["period"], now_ms, limit["zone"])
    sums: dict[UsageCell, list[int]] = defaultdict(lambda: [0, 0])
    for row in map(dict[str, Any], db.execute(select(REDEMPTIONS).where(*mine)).mappings()):
        cell, spent = _cell(limit, row), row["status"] == "confirmed"
        if cell.period_key == period:
            sums[cell][spent] += _amount(limit, row["final_cents"] if spent else row["reserved_cents"])
    ADD.many(db, [{**cell._asdict(), "held": held, "spent": spent} for cell, (held, spent) in sums.items()])


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


def unusable(code: Row, customer_id: str, now_ms: int, cents: int = 0) -> str | None:
    """Why this customer cannot use a code now for so much, as a key of UNUSABLE; None if they can."""
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
    mine = and_(CODES.c.campaign_id == campaign_id, CODES.c.offer_id == offer_id, CODES.c.stocked == 1)
    counts = select(CODES.c.status, func.count()).where(mine).group_by(CODES.c.status)
    by_status: dict[str, int] = {row[0]: row[1] for row in db.execute(counts)}
    return by_status.get("stock", 0) if by_status else None


def used_up(db: Connection, campaign_id: str, now_ms: int) -> set[str]:
    """Offer ids of the campaign with no room left in a limit per campaign; '' stands for all of them."""
    shared = [limit for limit in all_limits(db, campaign_id) if limit["per"] == "campaign"]
    here = {"campaign_id": campaign_id, "ts_ms": now_ms}
    return {limit["offer_id"] for limit in shared if _used(db, _cell(limit, here)) >= limit["amount"]}


def wrong_cells(db: Connection) -> list[UsageCell]:
    """The cells of `usage` that are not the sum of the redemptions that fall in them."""
    limits = [dict(row) for row in db.execute(select(LIMITS)).mappings()]
    sums: dict[UsageCell, list[int]] = defaultdict(lambda: [0, 0])
    for row in map(dict[str, Any], db.execute(select(REDEMPTIONS).where(REDEMPTIONS.c.status.in_(COUNTED))).mappings()):
        for limit in limits:
            if limit["campaign_id"] == row["campaign_id"] and limit["offer_id"] in ("", row["offer_id"]):
                spent = row["status"] == "confirmed"
                sums[_cell(limit, row)][spent] += _amount(limit, row["final_cents" if spent else "reserved_cents"])
    return [
        UsageCell(*row[:4]) for row in db.execute(select(USAGE)) if [row.held, row.spent] != sums[UsageCell(*row[:4])]
    ]


# parts


def _again(found: Row, claim: Claim) -> Row:
    same = {"campaign_id", "offer_id", "customer_id", "order_id", "code", "decision_id"}
    stated = {name: getattr(claim, name) for name in same} | {"reserved_cents": claim.amount_cents}
    if stated != {name: found[name] for name in stated}:
        raise Refused("redemption_differs", "this redemption_id was used for something else; use a new one")
    if found["status"] not in COUNTED:
        raise Refused(f"already_{found['status']}", f"{claim.redemption_id} is {found['status']}; use a new id")
    return found


def _check_code(db: Connection, claim: Claim) -> None:
    if claim.code is None:
        return
    code = CODE.first(db, named=claim.code)
    if code is None or (code["campaign_id"], code["offer_id"]) != (claim.campaign_id, claim.offer_id):
        raise Refused("code_unknown", "no such code for this campaign and offer; check what was typed")
    if why := unusable(code, claim.customer_id, claim.now_ms, claim.amount_cents):
        raise Refused(why, UNUSABLE[why].format(code["cap_cents"]))


def _room(db: Connection, row: Row) -> dict[UsageCell, int]:
    amounts = {}
    for limit in _limits(db, row):
        cell, amount = _cell(limit, row), _amount(limit, row["reserved_cents"])
        left = limit["amount"] - _used(db, cell)
        if amount > left:
            name = f"limit {limit['limit_id']} ({limit['metric']} per {limit['per']}, {limit['period']})"
            raise Refused("limit_reached", f"{name} has {max(left, 0)} left, {amount} are asked for")
        amounts[cell] = amount
    return amounts


def all_limits(db: Connection, campaign_id: str) -> list[dict[str, Any]]:
    """A campaign's limits by id."""
    kept, name = memo(db), ("limits", campaign_id)
    if name not in kept:
        kept[name] = ALL_LIMITS.dicts(db, campaign=campaign_id)
    found: list[dict[str, Any]] = kept[name]
    return found


def _limits(db: Connection, row: Row) -> list[dict[str, Any]]:
    return [each for each in all_limits(db, row["campaign_id"]) if each["offer_id"] in ("", row["offer_id"])]


def _cell(limit: Row, row: Row) -> UsageCell:
    subject = {"campaign": "campaign_id", "customer": "customer_id", "natural_person": "person"}[limit["per"]]
    period = period_key(limit["period"], row["ts_ms"], limit["zone"])
    return UsageCell(limit["campaign_id"], limit["limit_id"], row[subject], period)


def _amount(limit: Row, cents: int) -> int:
    return 1 if limit["metric"] == "redemptions" else cents


def _used(db: Connection, cell: UsageCell) -> int:
    campaign, limit, who, period = cell
    rows = USED.rows(db, campaign=campaign, limit=limit, who=who, period=period)
    return int(rows[0][0]) if rows else 0


def _move(db: Connection, limit: Row, row: Row, held: int, spent: int) -> None:
    """Change a cell that is there; the one of a period before the limit was made is not."""
    campaign, name, who, period = _cell(limit, row)
    MOVE.run(db, campaign=campaign, limit=name, who=who, period=period, more_held=held, more_spent=spent)


def _give_back(db: Connection, row: Row, status: str) -> Row:
    spent = row["status"] == "confirmed"
    for limit in _limits(db, row):
        amount = _amount(limit, row["final_cents"] if spent else row["reserved_cents"])
        _move(db, limit, row, held=0 if spent else -amount, spent=-amount if spent else 0)
    return _settle(db, row, status, row["final_cents"], "issued")


def _return_part(db: Connection, row: Row, cents: int, now_ms: int, actor: str) -> Row:
    spent = row["final_cents"]
    if row["status"] != "confirmed" or not 0 < cents < spent:
        raise Refused("amount_invalid", f"amount_cents {cents} is not a part of the {spent or 0} that were spent")
    for limit in _limits(db, row):
        if limit["metric"] == "discount_amount":
            _move(db, limit, row, held=0, spent=-cents)
    audit(db, now_ms, Act(actor, "return", row["redemption_id"]), {"spent": spent}, {"spent": spent - cents})
    SETTLE.run(db, named=row["redemption_id"], to_status="confirmed", to_cents=spent - cents)
    return {**row, "final_cents": spent - cents}


def _settle(db: Connection, row: Row, status: str, cents: int | None, code_status: str) -> Row:
    SETTLE.run(db, named=row["redemption_id"], to_status=status, to_cents=cents)
    if row["code"]:
        CODE_STATUS.run(db, named=row["code"], to_status=code_status)
    return {**row, "status": status, "final_cents": cents}


def _known(db: Connection, redemption_id: str) -> Row:
    found = REDEMPTION.first(db, named=redemption_id)
    if found is None:
        raise Refused("redemption_unknown", f"no redemption {redemption_id}; reserve first")
    return found
