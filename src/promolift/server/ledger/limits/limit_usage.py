"""Count what campaigns hold and spend in the cells of their limits.

Every limit counts in cells of `usage`: (campaign, limit, subject, period). A cell is always the sum of its redemptions,
so a new, removed or changed limit counts what came before.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from functools import lru_cache
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

from sqlalchemy import (
    BindParameter,
    ColumnElement,
    Connection,
    and_,
    bindparam,
    case,
    delete,
    func,
    insert,
    select,
    text,
    update,
)

from promolift.foundation.i18n.lazy_message import gettext_lazy
from promolift.foundation.time.clock import DAY_MS
from promolift.server.ledger.schema import (
    LIMITS,
    REDEMPTIONS,
    USAGE,
    JsonList,
    Query,
    Refused,
    campaign_lock,
    json_list,
    require_lock,
    transaction_cache,
)

CAMPAIGN_PARAMETER: BindParameter[str] = bindparam("campaign")
SELECT_LIMITS = Query(select(LIMITS).where(LIMITS.c.campaign_id == CAMPAIGN_PARAMETER).order_by(LIMITS.c.limit_id))
NAMES_PARAMETER = JsonList("names")
# One by one: asked for as a list, PostgreSQL may read what a limit holds of everybody.
SELECT_CELL_USE = Query(text("""
    select n.value, (select u.held + u.spent from usage u where u.campaign_id = :campaign and u.limit_id = :limit
                     and u.period_key = :period and u.subject = n.value)
    from json_each(:names) n
"""))  # fmt: skip
SELECT_USAGE_SUMS = Query(
    select(
        USAGE.c.limit_id, USAGE.c.period_key, func.sum(USAGE.c.held), func.sum(USAGE.c.spent),
        func.max(USAGE.c.held + USAGE.c.spent),
    )
    .where(USAGE.c.campaign_id == CAMPAIGN_PARAMETER)
    .group_by(USAGE.c.limit_id, USAGE.c.period_key)
)  # fmt: skip
ADD_USAGE = Query(
    insert(USAGE).inline(),
    then=" on conflict (campaign_id, limit_id, subject, period_key)"
    " do update set held = usage.held + excluded.held, spent = usage.spent + excluded.spent",
)
PERSONAL_LIMITS = Query(select(LIMITS).where(LIMITS.c.per != "campaign"))
IS_OF_CUSTOMER: ColumnElement[bool] = REDEMPTIONS.c.customer_id == bindparam("subject")
SELECT_CUSTOMER_REDEMPTIONS = Query(select(REDEMPTIONS).where(IS_OF_CUSTOMER))
RENAMED_PERSON = case((REDEMPTIONS.c.person == bindparam("subject"), bindparam("alias")), else_=REDEMPTIONS.c.person)
RENAME_CUSTOMER_REDEMPTIONS = Query(
    update(REDEMPTIONS).where(IS_OF_CUSTOMER).values(customer_id=bindparam("alias"), person=RENAMED_PERSON)
)
SUBJECT_COLUMNS = {"customer": "customer_id", "natural_person": "person"}
RELEASE_LIMIT_ID = "release-budget"  # the limit that a campaign has of the release it serves, beside its own
BEFORE_LIMIT = "before"  # the period of what was reserved before a limit began to count
ALL_CAMPAIGNS = "*"  # whose limits count over all campaigns; no campaign can be called so
LONGEST_DAYS = {"day": 2, "week": 8, "month": 32}
Row = Mapping[str, Any]
COUNTED_STATUSES = ("reserved", "confirmed")


class LimitUsageRow(NamedTuple):
    """A limit, and what it holds and has spent in its present period: in total, and the most for one subject."""

    limit: Row
    held: int
    spent: int
    most: int


class UsageCell(NamedTuple):
    """The key of a row of `usage`: what a limit counts of a subject in a period."""

    campaign_id: str
    limit_id: str
    subject: str
    period_key: str


class UsageAmount(NamedTuple):
    """What a redemption holds and has spent: 1 for a limit on redemptions, cents for one on discounts."""

    held: int
    spent: int


NO_USAGE, ONE_HELD, ONE_SPENT = UsageAmount(0, 0), UsageAmount(1, 0), UsageAmount(0, 1)


@lru_cache(maxsize=10_000)  # those who are in one commit share their moments
def period_key(period: str, ts_ms: int, zone: str) -> str:
    """The period a moment falls in, in the limit's zone: '' for total, 2026-11-25, 2026-W48 or 2026-11."""
    if period == "total":
        return ""
    local = datetime.fromtimestamp(ts_ms / 1000, ZoneInfo(zone))
    if period == "week":
        year, week, _ = local.isocalendar()
        return f"{year}-W{week:02d}"
    return local.date().isoformat()[: 10 if period == "day" else 7]


def set_limits(db: Connection, campaign_id: str, limits: Sequence[Row], now_ms: int) -> None:
    """Let a campaign, or ALL_CAMPAIGNS, have these limits alone; each counts what was reserved and spent before, too.

    A limit is the same one while only its amount changes; that of the release stays. Raises Refused if two have one id.
    """
    ids = [limit["limit_id"] for limit in limits]
    if len(set(ids)) < len(ids):
        raise Refused("limit_id_taken", gettext_lazy("a limit_id is used twice; the ids of a campaign must differ"))
    if RELEASE_LIMIT_ID in ids:
        raise Refused(
            "limit_id_taken",
            gettext_lazy(
                "{release_limit_id} is the release's own; change plan.budget_cents and plan anew",
                release_limit_id=RELEASE_LIMIT_ID,
            ),
        )
    _put_limits(db, campaign_id, own_limits(db, campaign_id), limits, now_ms)


def set_release_limit(db: Connection, campaign_id: str, budget_cents: int, since_ms: int, now_ms: int) -> None:
    """Let a campaign reserve and spend no more than this from a moment on, whatever limits it has of its own."""
    limit = {
        "limit_id": RELEASE_LIMIT_ID, "offer_id": "", "metric": "discount_amount", "amount": budget_cents,
        "period": "total", "per": "campaign", "zone": "UTC", "since_ms": since_ms,
    }  # fmt: skip
    old = [row for row in all_limits(db, campaign_id) if row["limit_id"] == RELEASE_LIMIT_ID]
    _put_limits(db, campaign_id, old, [limit], now_ms)


def _put_limits(db: Connection, campaign_id: str, before: Sequence[Row], after: Sequence[Row], now_ms: int) -> None:
    old = {row["limit_id"]: dict(row) for row in before}
    new = {row["limit_id"]: {"since_ms": None} | dict(row) | {"campaign_id": campaign_id} for row in after}
    for name in sorted(old.keys() | new.keys()):
        was, limit = old.get(name), new.get(name)
        same = was and limit and was | {"amount": 0} == limit | {"amount": 0}
        for table in (LIMITS,) if same else (LIMITS, USAGE):
            db.execute(delete(table).where(table.c.campaign_id == campaign_id, table.c.limit_id == name))
        if limit:
            db.execute(insert(LIMITS).values(**limit))
        if limit and not same:
            recount_usage(db, limit, now_ms)
    transaction_cache(db).clear()


def recount_usage(db: Connection, limit: Row, now_ms: int) -> None:
    """Fill the cells of the present period from the redemptions that fall in them."""
    mine: list[ColumnElement[bool]] = [REDEMPTIONS.c.status.in_(COUNTED_STATUSES)]
    if limit["campaign_id"] != ALL_CAMPAIGNS:
        mine.append(REDEMPTIONS.c.campaign_id == limit["campaign_id"])
    if limit["offer_id"]:
        mine.append(REDEMPTIONS.c.offer_id == limit["offer_id"])
    if limit["period"] != "total":
        mine.append(REDEMPTIONS.c.ts_ms > now_ms - LONGEST_DAYS[limit["period"]] * DAY_MS)
    period = period_key(limit["period"], now_ms, limit["zone"])
    sums = _sums([limit], map(dict[str, Any], db.execute(select(REDEMPTIONS).where(*mine)).mappings()))
    ADD_USAGE.many(db, [{**cell._asdict(), **sums[cell]._asdict()} for cell in sums if cell.period_key == period])


def rename_customer(db: Connection, customer_id: str, alias: str) -> None:
    """Let a customer's redemptions be another's, with what limits counted of them: beside what that one has already,
    and without what the same name counts for a campaign, or for others who are the same natural person.
    """
    limits = PERSONAL_LIMITS.dicts(db)
    sums = _sums(limits, SELECT_CUSTOMER_REDEMPTIONS.dicts(db, subject=customer_id))
    for limit in limits:
        cells = USAGE.c.campaign_id == limit["campaign_id"], USAGE.c.limit_id == limit["limit_id"]
        theirs = and_(*cells, USAGE.c.subject == customer_id)
        for cell in [UsageCell(*row[:4]) for row in db.execute(select(USAGE).where(theirs))]:
            held, spent = sums.get(cell, NO_USAGE)
            there, here = cell._asdict(), cell._asdict() | {"subject": alias}
            ADD_USAGE.many(db, [there | {"held": -held, "spent": -spent}, here | {"held": held, "spent": spent}])
        db.execute(delete(USAGE).where(theirs, USAGE.c.held == 0, USAGE.c.spent == 0))
    RENAME_CUSTOMER_REDEMPTIONS.run(db, subject=customer_id, alias=alias)


def current_usage(db: Connection, campaign_id: str, now_ms: int) -> list[LimitUsageRow]:
    """All limits of a campaign as they are used; what was used in earlier periods holds nobody back."""
    found = {(limit, period): used for limit, period, *used in SELECT_USAGE_SUMS.rows(db, campaign=campaign_id)}
    here = ((limit, period_key(limit["period"], now_ms, limit["zone"])) for limit in all_limits(db, campaign_id))
    return [LimitUsageRow(limit, *map(int, found.get((limit["limit_id"], key), (0, 0, 0)))) for limit, key in here]


def exhausted_offers(db: Connection, campaign_id: str, now_ms: int) -> set[str]:
    """Return the offers of the campaign with no room left in a limit over all customers; '' stands for all of them."""
    limits = [*all_limits(db, campaign_id), *all_limits(db, ALL_CAMPAIGNS)]
    here = {"campaign_id": campaign_id, "ts_ms": now_ms}
    shared = (limit for limit in limits if limit["per"] == "campaign")
    cells = [(limit, cell_of(limit, here)) for limit in shared]
    return {
        limit["offer_id"]
        for limit, cell in cells
        if read_usage(db, cell, [cell.subject]).get(cell.subject, 0) >= limit["amount"]
        and (limit["amount"] or limit["since_ms"] is None)  # a plan without a budget may have offers that cost nothing
    }


def inconsistent_cells(db: Connection) -> list[UsageCell]:
    """Return the cells of `usage` that are not the sum of their redemptions."""
    limits = [dict(row) for row in db.execute(select(LIMITS)).mappings()]
    rows = db.execute(select(REDEMPTIONS).where(REDEMPTIONS.c.status.in_(COUNTED_STATUSES))).mappings()
    sums = _sums(limits, map(dict[str, Any], rows))
    cells = {UsageCell(*row[:4]): UsageAmount(row.held, row.spent) for row in db.execute(select(USAGE))}
    return [cell for cell, found in cells.items() if found != sums.get(cell, NO_USAGE)]


def all_limits(db: Connection, campaign_id: str) -> list[dict[str, Any]]:
    """The limits of a campaign, or of all of them together (ALL_CAMPAIGNS), by id."""
    kept, name = transaction_cache(db), ("limits", campaign_id)
    if name not in kept:
        kept[name] = SELECT_LIMITS.dicts(db, campaign=campaign_id)
    found: list[dict[str, Any]] = kept[name]
    return found


def own_limits(db: Connection, campaign_id: str) -> list[dict[str, Any]]:
    """The limits that somebody set, without that of the release."""
    return [limit for limit in all_limits(db, campaign_id) if limit["limit_id"] != RELEASE_LIMIT_ID]


def limits_of_offer(db: Connection, campaign: str, offer: str) -> list[dict[str, Any]]:
    """Return all limits that a use of an offer falls under; the caller holds the lock of those over all campaigns."""
    shared = all_limits(db, ALL_CAMPAIGNS)
    if shared:
        require_lock(db, campaign_lock(ALL_CAMPAIGNS))
    limits = [*all_limits(db, campaign), *shared]
    return [each for each in limits if each["offer_id"] in ("", offer)]


def cell_of(limit: Row, row: Row) -> UsageCell:
    """Return the cell in which a limit counts a redemption."""
    period = period_key(limit["period"], row["ts_ms"], limit["zone"])
    if row["ts_ms"] < (limit.get("since_ms") or 0):
        period = BEFORE_LIMIT
    whose = limit["campaign_id"] if limit["per"] == "campaign" else row[SUBJECT_COLUMNS[limit["per"]]]
    return UsageCell(limit["campaign_id"], limit["limit_id"], whose, period)


def usage_of(limit: Row, row: Row | None) -> UsageAmount:
    """Return what a redemption holds and has spent of a limit."""
    status = row["status"] if row else None
    if row is None or status not in COUNTED_STATUSES:
        return NO_USAGE
    if limit["metric"] == "redemptions":
        return ONE_HELD if status == "reserved" else ONE_SPENT
    return UsageAmount(row["reserved_cents"], 0) if status == "reserved" else UsageAmount(0, row["final_cents"])


def _sums(limits: Iterable[Row], rows: Iterable[Row]) -> dict[UsageCell, UsageAmount]:
    """What each cell of these limits must hold."""
    limits, sums = list(limits), dict[UsageCell, UsageAmount]()
    for row in rows:
        for limit in limits:
            mine = limit["campaign_id"] in (ALL_CAMPAIGNS, row["campaign_id"])
            if mine and limit["offer_id"] in ("", row["offer_id"]):
                (held, spent), cell = usage_of(limit, row), cell_of(limit, row)
                before = sums.get(cell, NO_USAGE)
                sums[cell] = UsageAmount(before.held + held, before.spent + spent)
    return sums


def read_usage(db: Connection, limit: UsageCell, subjects: Sequence[str]) -> dict[str, int]:
    """What the cells of a limit and period hold that are there, by subject. All customers' shared one is remembered."""
    kept: dict[UsageCell, int] = transaction_cache(db).get(SELECT_CELL_USE, {})
    campaign, name, _, period = limit
    shared = limit._replace(subject=campaign)
    if shared in kept and list(subjects) == [campaign]:
        return {campaign: kept[shared]}
    given = {"campaign": campaign, "limit": name, "period": period, "names": json_list(subjects)}
    return {who: int(used) for who, used in SELECT_CELL_USE.rows(db, **given) if used is not None}
