"""Reserve, confirm and return money within the limits of a campaign; none of them is ever exceeded.

A reservation holds its amount in each cell of `usage` it falls in; a confirmation turns held into spent; a rollback or
expiry returns it. All checks precede all writes, so a refusal changes nothing.
"""

import unicodedata
from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from string import ascii_lowercase, ascii_uppercase
from typing import Any, NamedTuple, Self

from sqlalchemy import (
    Connection,
    bindparam,
    insert,
    literal_column,
    select,
    update,
)

from promolift.foundation.i18n.lazy_message import LazyMessage, gettext_lazy
from promolift.server.ledger.audit_log import AuditAction, AuditEntry, append_audit_entries
from promolift.server.ledger.limits.code_stock import UNUSABLE_CODE_REASONS, code_problem
from promolift.server.ledger.limits.limit_usage import (
    ADD_USAGE,
    ALL_CAMPAIGNS,
    CAMPAIGN_PARAMETER,
    COUNTED_STATUSES,
    NAMES_PARAMETER,
    SELECT_CELL_USE,
    Row,
    UsageCell,
    all_limits,
    cell_of,
    limits_of_offer,
    period_key,
    read_usage,
    usage_of,
)
from promolift.server.ledger.schema import (
    CODES,
    CUSTOMERS,
    IS_STOCK_CODE,
    REDEMPTIONS,
    UPPERCASE_CODE,
    USAGE,
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
USAGE_COLUMNS = [str(column.name) for column in USAGE.c]  # plain ones: JSON takes long to see what others are


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


class RefusedClaim(NamedTuple):
    """The first of several claims that a rule refuses, and the refusal."""

    claim: RedemptionClaim
    refusal: Refused


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
        found = self.reserve_all([claim])
        if isinstance(found, RefusedClaim):
            raise found.refusal
        return found[0]

    def reserve_all(self, claims: Sequence[RedemptionClaim], new_ids: bool = False) -> list[Row] | RefusedClaim:
        """Hold all of these claims, or none: their rows, or the first that a rule refuses. See `reserve`.

        `new_ids`: their ids were drawn for them, so that no redemption can have one already.
        """
        rows: list[Row] = []
        new: list[RedemptionClaim] = []
        asked: Counter[UsageCell] = Counter()
        for claim in claims:
            try:
                if not new_ids and (found := self.redemption(claim.redemption_id)):
                    rows.append(_again(found, claim))
                    continue
                row = self._row_of(claim)
                self._check_room(row, asked)
            except Refused as refusal:
                return RefusedClaim(claim, refusal)
            rows.append(row)
            new.append(claim)
        by_id = {row["redemption_id"]: row for row in rows}
        for claim in new:
            self._put(by_id[claim.redemption_id], None, "reserved")
            said = {"campaign": claim.campaign_id, "cents": claim.amount_cents, "offer": claim.offer_id}
            self._note(claim.actor, "reserve", claim.redemption_id, None, said)
        return rows

    def _row_of(self, claim: RedemptionClaim) -> Row:
        if claim.amount_cents < 0:
            raise Refused(
                "amount_invalid",
                gettext_lazy("amount_cents is {amount}; it must be 0 or more", amount=claim.amount_cents),
            )
        self._check_code(claim)
        if claim.customer_id not in self._person:
            self.look_up((), (), (claim.customer_id,))
        return {
            "redemption_id": claim.redemption_id, "campaign_id": claim.campaign_id, "offer_id": claim.offer_id,
            "customer_id": claim.customer_id, "order_id": claim.order_id, "code": claim.code,
            "decision_id": claim.decision_id, "reserved_cents": claim.amount_cents, "final_cents": None,
            "status": "reserved", "ts_ms": claim.now_ms, "expires_ms": claim.now_ms + claim.hold_ms,
            "person": self._person[claim.customer_id],
        }  # fmt: skip

    def confirm(self, redemption_id: str, amount_cents: int | None, actor: str = "api") -> Row:
        """Spend what was reserved, or less of it. Confirming twice is the same as once.

        Raises Refused if the reservation is unknown, expired, rolled back, or smaller than the amount.
        """
        row = self._known(redemption_id)
        final = row["reserved_cents"] if amount_cents is None else amount_cents
        if row["status"] == "confirmed" and row["final_cents"] == final:
            return row
        if row["status"] != "reserved":
            raise Refused(
                f"already_{row['status']}",
                gettext_lazy(
                    "{redemption_id} is {status}; reserve anew", redemption_id=redemption_id, status=row["status"]
                ),
            )
        if not 0 <= final <= row["reserved_cents"]:
            raise Refused(
                "amount_invalid",
                gettext_lazy(
                    "amount_cents {final} is outside 0 to the {reserved} reserved",
                    final=final,
                    reserved=row["reserved_cents"],
                ),
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
            raise Refused(
                "code_unknown", gettext_lazy("no such code for this campaign and offer; check what was typed")
            )
        if why := code_problem(code, claim.customer_id, self.now_ms, claim.amount_cents):
            raise Refused(why, LazyMessage.of(UNUSABLE_CODE_REASONS[why], {"most": code["cap_cents"]}))

    def _check_room(self, row: Row, asked: Counter[UsageCell]) -> None:
        """Raise Refused where a limit has no room for this beside what is `asked` of it already, and add this there."""
        found = [(limit, cell_of(limit, row), usage_of(limit, row).held) for limit in self._limits_of(row)]
        for limit, cell, amount in found:
            left = limit["amount"] - self._in(limit, cell) - asked[cell]
            if amount > left:
                name = f"limit {limit['limit_id']} ({limit['metric']} per {limit['per']}, {limit['period']})"
                raise Refused(
                    "limit_reached",
                    gettext_lazy(
                        "{name} has {left} left, {amount} are asked for", name=name, left=max(left, 0), amount=amount
                    ),
                )
        for _, cell, amount in found:
            asked[cell] += amount

    def _limits_of(self, row: Row) -> list[dict[str, Any]]:
        offer = row["campaign_id"], row["offer_id"]
        found = self._limits.get(offer)
        if found is None:
            require_lock(self.db, campaign_lock(offer[0]))
            found = self._limits[offer] = limits_of_offer(self.db, *offer)
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
            for who, used in read_usage(self.db, limit, [cell.subject for cell in mine]).items():
                cell = limit._replace(subject=who)
                self._used[cell] += used
                self._there.add(cell)

    def _put(self, new: Row, old: Row | None, code_status: str | None = None) -> Row:
        """Keep a redemption as it is now, what that moves in every limit it falls under, and what its code becomes."""
        name = new["redemption_id"]
        self._rows[name] = new
        self._changed.add(name)
        for limit in self._limits_of(new):
            cell, come, gone = cell_of(limit, new), usage_of(limit, new), usage_of(limit, old)
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
            raise Refused(
                "redemption_unknown",
                gettext_lazy("no redemption {redemption_id}; reserve first", redemption_id=redemption_id),
            )
        return found

    def _return_part(self, row: Row, cents: int, actor: str) -> Row:
        spent = row["final_cents"]
        if row["status"] != "confirmed" or not 0 < cents < spent:
            raise Refused(
                "amount_invalid",
                gettext_lazy(
                    "amount_cents {cents} is not a part of the {spent} that were spent", cents=cents, spent=spent or 0
                ),
            )
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
    """One reservation: see `RedemptionTransaction.reserve`."""
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


def _again(found: Row, claim: RedemptionClaim) -> Row:
    same = {"campaign_id", "offer_id", "customer_id", "order_id", "code", "decision_id"}
    stated = {name: getattr(claim, name) for name in same} | {"reserved_cents": claim.amount_cents}
    if stated != {name: found[name] for name in stated}:
        raise Refused(
            "redemption_differs", gettext_lazy("this redemption_id was used for something else; use a new one")
        )
    if found["status"] not in COUNTED_STATUSES:
        raise Refused(
            f"already_{found['status']}",
            gettext_lazy(
                "{redemption_id} is {status}; use a new id", redemption_id=claim.redemption_id, status=found["status"]
            ),
        )
    return found
