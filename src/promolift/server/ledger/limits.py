"""Reserve, confirm and return money within the limits of a campaign; none of them is ever exceeded.

Every limit counts in cells of `usage`: (campaign, limit, subject, period). A reservation holds its amount in each cell
it falls in; a confirmation turns held into spent; a rollback or expiry returns it. A cell is always the sum of its
redemptions, so a new, removed or changed limit counts what came before. All checks precede all writes, so a refusal
changes nothing.
"""

import unicodedata
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime
from functools import lru_cache
from string import ascii_lowercase, ascii_uppercase
from typing import Any, NamedTuple, Self
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
    literal_column,
    select,
    text,
    update,
)

from promolift.foundation.time.clock import DAY_MS
from promolift.server.ledger.audit_log import AuditAction, AuditEntry, append_audit_entries
from promolift.server.ledger.schema import (
    CODES,
    CUSTOMERS,
    IS_STOCK_CODE,
    LIMITS,
    REDEMPTIONS,
    UPPERCASE_CODE,
    USAGE,
    JsonList,
    Query,
    Refused,
    campaign_lock,
    json_list,
    locked_campaigns,
    pipelined,
    require_lock,
    transaction_cache,
)

ASCII_UPPERCASE = str.maketrans(ascii_lowercase, ascii_uppercase)
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
IS_NAMED_REDEMPTION = REDEMPTIONS.c.redemption_id == bindparam("named")
SELECT_REDEMPTION = Query(select(REDEMPTIONS).where(IS_NAMED_REDEMPTION))
SELECT_REDEMPTIONS = Query(select(REDEMPTIONS).where(REDEMPTIONS.c.redemption_id.op("in")(NAMES_PARAMETER)))
SELECT_CODES = Query(select(CODES).where(CODES.c.code.op("in")(NAMES_PARAMETER)))
SELECT_SIMILAR_CODES = Query(
    select(CODES.c.code)
    .where(
        CODES.c.campaign_id == CAMPAIGN_PARAMETER,
        CODES.c.offer_id == bindparam("offer"),
        IS_STOCK_CODE,
        UPPERCASE_CODE.in_([bindparam("ascii"), bindparam("all")]),
    )
    .limit(literal_column("2"))
)
PERSONAL_LIMITS = Query(select(LIMITS).where(LIMITS.c.per != "campaign"))
IS_OF_CUSTOMER: ColumnElement[bool] = REDEMPTIONS.c.customer_id == bindparam("subject")
SELECT_CUSTOMER_REDEMPTIONS = Query(select(REDEMPTIONS).where(IS_OF_CUSTOMER))
RENAMED_PERSON = case((REDEMPTIONS.c.person == bindparam("subject"), bindparam("alias")), else_=REDEMPTIONS.c.person)
RENAME_CUSTOMER_REDEMPTIONS = Query(
    update(REDEMPTIONS).where(IS_OF_CUSTOMER).values(customer_id=bindparam("alias"), person=RENAMED_PERSON)
)
IS_EXPIRED_RESERVATION = REDEMPTIONS.c.status == bindparam("open"), REDEMPTIONS.c.expires_ms <= bindparam("now_ms")
SELECT_EXPIRED = Query(select(REDEMPTIONS).where(*IS_EXPIRED_RESERVATION))
SELECT_EXPIRED_OF_CAMPAIGNS = Query(
    select(REDEMPTIONS).where(*IS_EXPIRED_RESERVATION, REDEMPTIONS.c.campaign_id.op("in")(NAMES_PARAMETER))
)
UPSERT_REDEMPTIONS = Query(
    insert(REDEMPTIONS).inline(),
    then=" on conflict (redemption_id) do update set status = excluded.status, final_cents = excluded.final_cents",
)
SELECT_CODE = Query(select(CODES).where(CODES.c.code == bindparam("named")))
UPDATE_CODE_STATUS = Query(
    update(CODES)
    .where(CODES.c.code.op("in")(NAMES_PARAMETER), CODES.c.status != "blocked")
    .values(status=bindparam("to_status"))
)
SELECT_PERSONS = Query(
    select(CUSTOMERS.c.customer_id, CUSTOMERS.c.person_id).where(CUSTOMERS.c.customer_id.op("in")(NAMES_PARAMETER))
)
UNUSABLE_CODE_REASONS = {
    "code_not_issued": "this code was not given to anybody yet",
    "code_blocked": "this code was blocked",
    "code_of_another": "this code was given to another customer",
    "code_used": "this code was used already",
    "code_expired": "this code is no longer valid",
    "above_cap": "this offer takes off {} at most, in minor units",
}
SUBJECT_COLUMNS = {"customer": "customer_id", "natural_person": "person"}
USAGE_COLUMNS = [str(column.name) for column in USAGE.c]  # plain ones: JSON takes long to see what others are
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


class RedemptionClaim(NamedTuple):
    """A request to use an offer now. Without a `code` the campaign's limits alone decide."""

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


class RedemptionTransaction:
    """What one transaction moves: rows are read once for all steps and written once for all, when the `with` ends.

    Each step checks all before it changes anything, so a refusal leaves the books as they were.
    """

    def __init__(self, db: Connection, now_ms: int) -> None:
        """`now_ms` is the moment of all steps; `expired`: how many reservations were over by then."""
        self.db, self.now_ms = db, now_ms
        self._rows: dict[str, Row | None] = {}
        self._codes: dict[str, Row | None] = {}
        self._person: dict[str, str] = {}
        self._used: dict[UsageCell, int] = {}
        self._there: set[UsageCell] = set()  # cells that have a row, or get one
        self._changed: set[str] = set()  # redemptions that are new or settled
        self._marked: dict[str, str] = {}  # codes and their new status
        self._cells: dict[UsageCell, list[int]] = {}  # what is added to held and to spent
        self._limits: dict[tuple[str, str], list[dict[str, Any]]] = {}  # of an offer of a campaign
        self._notes: list[AuditEntry] = []
        self.expired = 0

    def __enter__(self) -> Self:
        """The books themselves, after all reservations whose time is over have given their money back: of those
        campaigns that are held, where others work beside.
        """
        late = expired_reservations(self.db, self.now_ms, locked_campaigns(self.db))
        self._rows |= {row["redemption_id"]: row for row in late}
        for row in late:
            self._put({**row, "status": "expired"}, row, "issued")
            self._note("ledger", "expire", row["redemption_id"], {"status": "reserved"}, {"status": "expired"})
        self.expired = len(late)
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        """Write it all, also where a step was refused: that changed nothing."""
        if kind is None or issubclass(kind, Refused):
            self.keep()

    def look_up(self, redemptions: Iterable[str], codes: Iterable[str], customers: Iterable[str]) -> None:
        """Read at once what the next steps will ask for one by one."""
        wanted = (
            (SELECT_REDEMPTIONS, sorted(set(redemptions) - self._rows.keys())),
            (SELECT_CODES, sorted(set(codes) - self._codes.keys())),
            (SELECT_PERSONS, sorted(set(customers) - self._person.keys())),
        )
        with pipelined(self.db):
            asked = [query.execute(self.db, names=json_list(names)) if names else () for query, names in wanted]
        rows, known, people = (query.read(self.db, each) for (query, _), each in zip(wanted, asked, strict=True))
        (_, ids), (_, typed), (_, who) = wanted
        self._rows |= dict.fromkeys(ids) | {row["redemption_id"]: row for row in rows}
        self._codes |= dict.fromkeys(typed) | {row["code"]: row for row in known}
        self._person |= dict(zip(who, who, strict=True))
        self._person |= {row["customer_id"]: row["person_id"] or row["customer_id"] for row in people}

    def redemption(self, redemption_id: str) -> Row | None:
        """A redemption as it stands by now."""
        if redemption_id not in self._rows:
            self.look_up((redemption_id,), (), ())
        return self._rows[redemption_id]

    def code(self, code: str) -> Row | None:
        """A code as it stands by now."""
        if code not in self._codes:
            self.look_up((), (code,), ())
        return self._codes[code]

    def reserve(self, claim: RedemptionClaim) -> Row:
        """Hold the claim's amount in all limits; the new row of `redemptions`. Raises Refused with the rule's code.

        The same claim again is answered with the row that is there, while that counts.
        """
        if found := self.redemption(claim.redemption_id):
            return _again(found, claim)
        if claim.amount_cents < 0:
            raise Refused("amount_invalid", f"amount_cents is {claim.amount_cents}; it must be 0 or more")
        self._check_code(claim)
        if claim.customer_id not in self._person:
            self.look_up((), (), (claim.customer_id,))
        row: Row = {
            "redemption_id": claim.redemption_id, "campaign_id": claim.campaign_id, "offer_id": claim.offer_id,
            "customer_id": claim.customer_id, "order_id": claim.order_id, "code": claim.code,
            "decision_id": claim.decision_id, "reserved_cents": claim.amount_cents, "final_cents": None,
            "status": "reserved", "ts_ms": claim.now_ms, "expires_ms": claim.now_ms + claim.hold_ms,
            "person": self._person[claim.customer_id],
        }  # fmt: skip
        self._check_room(row)
        self._put(row, None, "reserved")
        new = {"campaign": claim.campaign_id, "cents": claim.amount_cents, "offer": claim.offer_id}
        self._note(claim.actor, "reserve", claim.redemption_id, None, new)
        return row

    def confirm(self, redemption_id: str, amount_cents: int | None, actor: str = "api") -> Row:
        """Spend what was reserved, or less of it. Confirming twice is the same as once.

        Raises Refused if the reservation is unknown, expired, rolled back, or smaller than the amount.
        """
        row = self._known(redemption_id)
        final = row["reserved_cents"] if amount_cents is None else amount_cents
        if row["status"] == "confirmed" and row["final_cents"] == final:
            return row
        if row["status"] != "reserved":
            raise Refused(f"already_{row['status']}", f"{redemption_id} is {row['status']}; reserve anew")
        if not 0 <= final <= row["reserved_cents"]:
            raise Refused(
                "amount_invalid", f"amount_cents {final} is outside 0 to the {row['reserved_cents']} reserved"
            )
        self._note(actor, "confirm", redemption_id, {"held": row["reserved_cents"]}, {"spent": final})
        return self._put({**row, "status": "confirmed", "final_cents": final}, row, "redeemed")

    def rollback(self, redemption_id: str, actor: str = "api", amount_cents: int | None = None) -> Row:
        """Give back what was reserved or spent, and the code with it. Rolling back twice is the same as once.

        With an amount only that part of what was spent, as where one line of an order is returned: the redemption stays
        confirmed with what is left. Raises Refused where less than that was spent.
        """
        row = self._known(redemption_id)
        if row["status"] in ("rolled_back", "expired"):
            return row
        if amount_cents is not None and amount_cents != row["final_cents"]:
            return self._return_part(row, amount_cents, actor)
        self._note(actor, "rollback", redemption_id, {"status": row["status"]}, {"status": "rolled_back"})
        return self._put({**row, "status": "rolled_back"}, row, "issued")

    def _check_code(self, claim: RedemptionClaim) -> None:
        if claim.code is None:
            return
        code = self.code(claim.code)
        if code is None or (code["campaign_id"], code["offer_id"]) != (claim.campaign_id, claim.offer_id):
            raise Refused("code_unknown", "no such code for this campaign and offer; check what was typed")
        if why := code_problem(code, claim.customer_id, self.now_ms, claim.amount_cents):
            raise Refused(why, UNUSABLE_CODE_REASONS[why].format(code["cap_cents"]))

    def _check_room(self, row: Row) -> None:
        for limit in self._limits_of(row):
            cell, amount = _cell(limit, row), _counted(limit, row).held
            left = limit["amount"] - self._in(limit, cell)
            if amount > left:
                name = f"limit {limit['limit_id']} ({limit['metric']} per {limit['per']}, {limit['period']})"
                raise Refused("limit_reached", f"{name} has {max(left, 0)} left, {amount} are asked for")

    def _limits_of(self, row: Row) -> list[dict[str, Any]]:
        offer = row["campaign_id"], row["offer_id"]
        found = self._limits.get(offer)
        if found is None:
            require_lock(self.db, campaign_lock(offer[0]))
            found = self._limits[offer] = _limits(self.db, *offer)
        return found

    def _in(self, limit: Row, cell: UsageCell) -> int:
        """What a cell holds by now; those of all customers who were looked up are read with it."""
        if cell not in self._used:
            campaign, name, subject, period = cell
            known: dict[str, Iterable[str]] = {"customer": self._person, "natural_person": self._person.values()}
            self._read_cells(
                UsageCell(campaign, name, each, period) for each in {subject, *known.get(limit["per"], ())}
            )
        return self._used[cell]

    def _read_cells(self, cells: Iterable[UsageCell]) -> None:
        """One statement for each limit and period."""
        by_limit: dict[UsageCell, list[UsageCell]] = {}
        for cell in set(cells) - self._used.keys():
            self._used[cell] = sum(self._cells.get(cell, ()))
            by_limit.setdefault(cell._replace(subject=""), []).append(cell)
        for limit, mine in by_limit.items():
            for who, used in _used(self.db, limit, [cell.subject for cell in mine]).items():
                cell = limit._replace(subject=who)
                self._used[cell] += used
                self._there.add(cell)

    def _put(self, new: Row, old: Row | None, code_status: str | None = None) -> Row:
        """Keep a redemption as it is now, what that moves in every limit it falls under, and what its code becomes."""
        name = new["redemption_id"]
        self._rows[name] = new
        self._changed.add(name)
        for limit in self._limits_of(new):
            cell, come, gone = _cell(limit, new), _counted(limit, new), _counted(limit, old)
            if cell.period_key == period_key(limit["period"], self.now_ms, limit["zone"]):
                self._there.add(cell)  # a limit has counted its present period from the start
            held, spent = come.held - gone.held, come.spent - gone.spent
            added = self._cells.setdefault(cell, [0, 0])
            added[0] += held
            added[1] += spent
            if cell in self._used:
                self._used[cell] += held + spent
        if code_status:
            self._mark(new["code"], code_status)
        return new

    def _known(self, redemption_id: str) -> Row:
        found = self.redemption(redemption_id)
        if found is None:
            raise Refused("redemption_unknown", f"no redemption {redemption_id}; reserve first")
        return found

    def _return_part(self, row: Row, cents: int, actor: str) -> Row:
        spent = row["final_cents"]
        if row["status"] != "confirmed" or not 0 < cents < spent:
            raise Refused("amount_invalid", f"amount_cents {cents} is not a part of the {spent or 0} that were spent")
        self._note(actor, "return", row["redemption_id"], {"spent": spent}, {"spent": spent - cents})
        return self._put({**row, "final_cents": spent - cents}, row)

    def _mark(self, code: str | None, status: str) -> None:
        if code is None:
            return
        self._marked[code] = status
        known = self._codes.get(code)
        if known and known["status"] != "blocked":
            self._codes[code] = {**known, "status": status}

    def _note(self, actor: str, action: str, subject: str, old: object, new: object) -> None:
        self._notes.append(AuditEntry(self.now_ms, AuditAction(actor, action, subject), old, new))

    def keep(self) -> None:
        """Write what changed."""
        db = self.db
        self._read_cells(self._cells.keys() - self._there)
        # the cell of a period before its limit was made is not there, and is not made
        moved = [(*cell, *added) for cell, added in self._cells.items() if cell in self._there]
        transaction_cache(db)[SELECT_CELL_USE] = {
            cell: used for cell, used in self._used.items() if cell.subject == cell.campaign_id
        }
        with pipelined(db):
            ADD_USAGE.many(db, [dict(zip(USAGE_COLUMNS, values, strict=True)) for values in moved])
            UPSERT_REDEMPTIONS.many(db, [self._rows[name] or {} for name in self._changed])
            for status in sorted(set(self._marked.values())):
                marked = json_list(code for code, its in self._marked.items() if its == status)
                UPDATE_CODE_STATUS.run(db, names=marked, to_status=status)
            append_audit_entries(db, self._notes)


def reserve(db: Connection, claim: RedemptionClaim) -> Row:
    """One reservation: see `Books.reserve`."""
    with RedemptionTransaction(db, claim.now_ms) as books:
        return books.reserve(claim)


def expired_reservations(db: Connection, now_ms: int, campaigns: Collection[str] | None = None) -> list[dict[str, Any]]:
    """Return the expired reservations of these campaigns, or of all."""
    over = {"open": "reserved", "now_ms": now_ms}
    return (
        SELECT_EXPIRED.dicts(db, **over)
        if campaigns is None
        else SELECT_EXPIRED_OF_CAMPAIGNS.dicts(db, **over, names=json_list(campaigns))
    )


def redemption_locks(db: Connection, campaigns: Iterable[str]) -> set[str]:
    """What those who move money of these campaigns must have to themselves: each, and what they all count in, if it is
    limited.
    """
    shared = {ALL_CAMPAIGNS} if all_limits(db, ALL_CAMPAIGNS) else set()
    return {campaign_lock(each) for each in {*campaigns, *shared}}


def expire_reservations(db: Connection, now_ms: int) -> int:
    """Return the money of all expired reservations; return how many there were."""
    with RedemptionTransaction(db, now_ms) as books:
        return books.expired


def set_limits(db: Connection, campaign_id: str, limits: Sequence[Row], now_ms: int) -> None:
    """Let a campaign, or ALL_CAMPAIGNS, have these limits alone; each counts what was reserved and spent before, too.

    A limit is the same one while only its amount changes; that of the release stays. Raises Refused if two have one id.
    """
    ids = [limit["limit_id"] for limit in limits]
    if len(set(ids)) < len(ids):
        raise Refused("limit_id_taken", "a limit_id is used twice; the ids of a campaign must differ")
    if RELEASE_LIMIT_ID in ids:
        raise Refused(
            "limit_id_taken", f"{RELEASE_LIMIT_ID} is the release's own; change plan.budget_cents and plan anew"
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


def add_stock(db: Connection, campaign_id: str, offer_id: str, codes: Sequence[str]) -> int:
    """Add the shop's own codes to an offer's stock; how many were new. A code that is known already is left alone."""
    known = set(db.execute(select(CODES.c.code).where(CODES.c.code.in_(codes))).scalars())
    offer = {"campaign_id": campaign_id, "offer_id": offer_id, "status": "stock", "stocked": 1}
    new = [{"code": code, **offer} for code in sorted(set(codes) - known)]
    if new:
        db.execute(insert(CODES), new)
        transaction_cache(db).clear()
    return len(new)


def resolve_code(books: RedemptionTransaction, campaign_id: str, offer_id: str, typed: str, printed: str | None) -> str:
    """The code of an offer that a person means who typed this; `printed`: if it is one of ours.

    A code as it is kept is always meant. The shop's own are found in any case, spacing and width too, where that fits
    one of them alone; else what was typed comes back, and is refused as unknown.
    """
    found = set()
    for name in (typed, printed):
        row = books.code(name) if name else None
        if row and name and (row["campaign_id"], row["offer_id"]) == (campaign_id, offer_id):
            if name == typed:
                return typed
            found.add(name)
    plain = "".join(unicodedata.normalize("NFKC", typed).split())
    upper = plain.translate(ASCII_UPPERCASE), plain.upper()  # SQLite knows the ASCII letters alone
    folded = SELECT_SIMILAR_CODES.rows(books.db, campaign=campaign_id, offer=offer_id, ascii=upper[0], all=upper[1])
    found |= {code for (code,) in folded}
    return found.pop() if len(found) == 1 else typed


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


def current_usage(db: Connection, campaign_id: str, now_ms: int) -> list[LimitUsageRow]:
    """All limits of a campaign as they are used; what was used in earlier periods holds nobody back."""
    found = {(limit, period): used for limit, period, *used in SELECT_USAGE_SUMS.rows(db, campaign=campaign_id)}
    here = ((limit, period_key(limit["period"], now_ms, limit["zone"])) for limit in all_limits(db, campaign_id))
    return [LimitUsageRow(limit, *map(int, found.get((limit["limit_id"], key), (0, 0, 0)))) for limit, key in here]


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


def exhausted_offers(db: Connection, campaign_id: str, now_ms: int) -> set[str]:
    """Return the offers of the campaign with no room left in a limit over all customers; '' stands for all of them."""
    limits = [*all_limits(db, campaign_id), *all_limits(db, ALL_CAMPAIGNS)]
    here = {"campaign_id": campaign_id, "ts_ms": now_ms}
    shared = (limit for limit in limits if limit["per"] == "campaign")
    cells = [(limit, _cell(limit, here)) for limit in shared]
    return {
        limit["offer_id"]
        for limit, cell in cells
        if _used(db, cell, [cell.subject]).get(cell.subject, 0) >= limit["amount"]
        and (limit["amount"] or limit["since_ms"] is None)  # a plan without a budget may have offers that cost nothing
    }


def inconsistent_cells(db: Connection) -> list[UsageCell]:
    """Return the cells of `usage` that are not the sum of their redemptions."""
    limits = [dict(row) for row in db.execute(select(LIMITS)).mappings()]
    rows = db.execute(select(REDEMPTIONS).where(REDEMPTIONS.c.status.in_(COUNTED_STATUSES))).mappings()
    sums = _sums(limits, map(dict[str, Any], rows))
    cells = {UsageCell(*row[:4]): UsageAmount(row.held, row.spent) for row in db.execute(select(USAGE))}
    return [cell for cell, found in cells.items() if found != sums.get(cell, NO_USAGE)]


# parts


def _again(found: Row, claim: RedemptionClaim) -> Row:
    same = {"campaign_id", "offer_id", "customer_id", "order_id", "code", "decision_id"}
    stated = {name: getattr(claim, name) for name in same} | {"reserved_cents": claim.amount_cents}
    if stated != {name: found[name] for name in stated}:
        raise Refused("redemption_differs", "this redemption_id was used for something else; use a new one")
    if found["status"] not in COUNTED_STATUSES:
        raise Refused(f"already_{found['status']}", f"{claim.redemption_id} is {found['status']}; use a new id")
    return found


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


def _limits(db: Connection, campaign: str, offer: str) -> list[dict[str, Any]]:
    shared = all_limits(db, ALL_CAMPAIGNS)
    if shared:
        require_lock(db, campaign_lock(ALL_CAMPAIGNS))
    limits = [*all_limits(db, campaign), *shared]
    return [each for each in limits if each["offer_id"] in ("", offer)]


def _cell(limit: Row, row: Row) -> UsageCell:
    period = period_key(limit["period"], row["ts_ms"], limit["zone"])
    if row["ts_ms"] < (limit.get("since_ms") or 0):
        period = BEFORE_LIMIT
    whose = limit["campaign_id"] if limit["per"] == "campaign" else row[SUBJECT_COLUMNS[limit["per"]]]
    return UsageCell(limit["campaign_id"], limit["limit_id"], whose, period)


def _counted(limit: Row, row: Row | None) -> UsageAmount:
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
                (held, spent), cell = _counted(limit, row), _cell(limit, row)
                before = sums.get(cell, NO_USAGE)
                sums[cell] = UsageAmount(before.held + held, before.spent + spent)
    return sums


def _used(db: Connection, limit: UsageCell, subjects: Sequence[str]) -> dict[str, int]:
    """What the cells of a limit and period hold that are there, by subject. All customers' shared one is remembered."""
    kept: dict[UsageCell, int] = transaction_cache(db).get(SELECT_CELL_USE, {})
    campaign, name, _, period = limit
    shared = limit._replace(subject=campaign)
    if shared in kept and list(subjects) == [campaign]:
        return {campaign: kept[shared]}
    given = {"campaign": campaign, "limit": name, "period": period, "names": json_list(subjects)}
    return {who: int(used) for who, used in SELECT_CELL_USE.rows(db, **given) if used is not None}
