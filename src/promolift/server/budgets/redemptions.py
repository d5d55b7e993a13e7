"""Reservations, confirmations and cancellations of one commit in; what each came to, and who hears of it, out."""

from collections.abc import Callable, Iterable, Sequence
from functools import cache, partial
from operator import itemgetter
from secrets import token_hex
from typing import Any, NamedTuple

from pydantic import BaseModel
from sqlalchemy import Connection, bindparam, select

from promolift.core.decisions.decision_rule import NONE
from promolift.core.offers.coupon_codes import normalise
from promolift.foundation.time.clock import Clock
from promolift.foundation.time.units import MINUTE_MS
from promolift.server.budgets.models import ConfirmIn, ReserveIn, RollbackIn
from promolift.server.ledger.audit_log import Answered, HttpAnswer, OnceAnswer, keep_answers, kept_answers, refusal_of
from promolift.server.ledger.limits import SOME_CODES, SOME_REDEMPTIONS, Books, Claim, Row, meant, to_redeem
from promolift.server.ledger.outbox_rows import News, announce_all
from promolift.server.ledger.records import Campaign
from promolift.server.ledger.schema import DECISIONS, Members, Query, Refused, members, of_customer, of_key
from promolift.server.response_models import REDEMPTION

SHOWN = itemgetter(*REDEMPTION)
DECISION = Query(select(DECISIONS).where(DECISIONS.c.decision_id == bindparam("named")))
OF_DECISION = ("decision_id", "customer_id", "campaign_id", "offer_id", "code")
GIVEN = Query(
    select(*(DECISIONS.c[name] for name in OF_DECISION)).where(DECISIONS.c.decision_id.op("in")(Members("names")))
)


class Step(NamedTuple):
    """A step of a redemption: its body, what it is for, what it makes of the redemption, and the change itself."""

    body: type[BaseModel]
    text: str
    becomes: str
    change: "Callable[[_Round, Any, str], Row]"


class Wanted(NamedTuple):
    """A step that is asked for, by which API key, and its Idempotency-Key."""

    step: Step
    body: Any
    who: str
    key: str | None

    @property
    def request(self) -> Any:
        """The payload that the key must come with again."""
        return self.body.model_dump(mode="json")


class Redeemer:
    """The work of the ledger that moves money. One per process."""

    def __init__(self, clock: Clock) -> None:
        """`clock` gives the moments of all steps."""
        self.clock = clock

    def locks(self, db: Connection, some: Sequence[Wanted]) -> set[str]:
        """The customers, keys and campaigns of these steps. Where there is one campaign it is that, unless it turns out
        otherwise.
        """
        bodies = [each.body for each in some]
        campaigns: Iterable[str] = Campaign.all(db)
        if len([*campaigns]) > 1:
            campaigns = _campaigns(db, bodies)
        keys = {of_key(each.key) for each in some if each.key}
        customers = {of_customer(body.customer_id) for body in bodies if isinstance(body, ReserveIn)}
        return to_redeem(db, campaigns) | keys | customers

    def work(self, db: Connection, some: Sequence[Wanted]) -> list[OnceAnswer]:
        """All steps one after the other, or the answers that are kept for their keys.

        A refusal changes nothing and is an answer, so that none makes the others run again.
        """
        now_ms = self.clock.now_ms()
        kept = kept_answers(db, {each.key: each.request for each in some if each.key}, now_ms)
        found, told = [], []
        with Books(db, now_ms) as books:
            round_ = _Round(db, books, [each.body for each in some if each.key not in kept])
            for each in some:
                if each.key in kept:
                    found.append(kept[each.key])
                    continue
                try:
                    row = each.step.change(round_, each.body, each.who)
                except Refused as refusal:
                    found.append(refusal_of(refusal))
                    continue
                shown = dict(zip(REDEMPTION, SHOWN(row), strict=True))
                found.append(OnceAnswer(HttpAnswer(200, shown)))
                part = each.step.becomes == "rolled_back" and row["status"] == "confirmed"
                told.append(News("redemption.returned" if part else f"redemption.{each.step.becomes}", shown))
        announce_all(db, told, now_ms)
        fresh = [(each, one) for each, one in zip(some, found, strict=True) if each.key and each.key not in kept]
        keep_answers(db, [Answered(each.key or "", each.request, one.answer) for each, one in fresh], now_ms)
        return found


class _Round:
    """What the steps of one commit look at, read at once."""

    def __init__(self, db: Connection, books: Books, bodies: Sequence[Any]) -> None:
        self.db, self.books = db, books
        self._campaign = cache(partial(Campaign.find, db))
        wishes = [body for body in bodies if isinstance(body, ReserveIn)]
        decided = {wish.decision_id for wish in wishes if wish.decision_id}
        self.decisions = {row["decision_id"]: row for row in GIVEN.dicts(db, names=members(decided))} if decided else {}
        self.printed = {wish.code: normalise(wish.code) for wish in wishes if wish.code}
        given = (row["code"] for row in self.decisions.values())
        codes = {*self.printed, *self.printed.values(), *given} - {None}
        books.look_up(
            {body.redemption_id for body in bodies if body.redemption_id},
            {code for code in codes if code is not None},
            {wish.customer_id for wish in wishes},
        )

    def reserve(self, body: ReserveIn, who: str) -> Row:
        """It refers to a decision or to a code: once, in its time, and for no more than the offer takes off."""
        campaign, offer, code = self._meant(body)
        known = self._campaign(campaign)
        if known is None:
            raise Refused("campaign_unknown", f"no campaign {campaign}; PUT /v1/campaigns/{campaign} first")
        named, hold_ms = body.redemption_id or f"rdm_{token_hex(12)}", round(known.policy.hold_minutes * MINUTE_MS)
        who_and_what = named, campaign, offer, body.customer_id, body.amount_cents
        return self.books.reserve(
            Claim(*who_and_what, self.books.now_ms, hold_ms, body.order_id, code, body.decision_id, who)
        )

    def confirm(self, body: ConfirmIn, who: str) -> Row:
        return self.books.confirm(body.redemption_id, body.amount_cents, who)

    def rollback(self, body: RollbackIn, who: str) -> Row:
        return self.books.rollback(body.redemption_id, who, body.amount_cents)

    def _meant(self, body: ReserveIn) -> "_Meant":
        """From the decision, or from the code alone; Refused where they are not of this customer, campaign or offer."""
        campaign, offer = body.campaign_id, body.offer_id
        if body.decision_id:
            made = self.decisions.get(body.decision_id)
            if made is None:
                raise Refused("decision_unknown", "no such decision")
            if made["customer_id"] != body.customer_id or made["offer_id"] == NONE:
                raise Refused("decision_of_another", "this decision gave this customer no offer")
            campaign, offer = campaign or made["campaign_id"], offer or made["offer_id"]
            if (campaign, offer) != (made["campaign_id"], made["offer_id"]):
                raise Refused("decision_of_another", "this decision was for another campaign or offer")
            if body.code is None and made["code"] is not None:
                return _Meant(campaign, offer, made["code"])
        code = body.code or ""
        printed = self.printed.get(code)
        if campaign and offer:
            return _Meant(campaign, offer, meant(self.books, campaign, offer, code, printed))
        for typed in (code, printed):
            row = self.books.code(typed) if typed else None
            if row and campaign in (None, row["campaign_id"]) and offer in (None, row["offer_id"]):
                return _Meant(row["campaign_id"], row["offer_id"], row["code"])
        raise Refused("code_unknown", "no such code; check what was typed, and name campaign_id and offer_id")


class _Meant(NamedTuple):
    """What a redemption is of."""

    campaign_id: str
    offer_id: str
    code: str


STEPS = {
    "reserve": Step(
        ReserveIn, "Hold an offer's money and code for an order, within all limits", "reserved", _Round.reserve
    ),
    "confirm": Step(
        ConfirmIn, "The order is paid: spend what was reserved, or less of it", "confirmed", _Round.confirm
    ),
    "rollback": Step(
        RollbackIn, "The order is cancelled: give the money and the code back", "rolled_back", _Round.rollback
    ),
}


def _campaigns(db: Connection, bodies: Sequence[Any]) -> set[str]:
    """The campaigns of some steps: of the decision, the code or the redemption that each names."""
    wishes = [body for body in bodies if isinstance(body, ReserveIn)]
    typed = {each for wish in wishes if wish.code for each in (wish.code, normalise(wish.code)) if each}
    asked = (
        (GIVEN, {wish.decision_id for wish in wishes if wish.decision_id}),
        (SOME_CODES, typed),
        (SOME_REDEMPTIONS, {body.redemption_id for body in bodies if body.redemption_id}),
    )
    found = (row["campaign_id"] for query, names in asked if names for row in query.dicts(db, names=members(names)))
    return {*found, *(wish.campaign_id for wish in wishes if wish.campaign_id)}


def decision(db: Connection, decision_id: str) -> Row:
    """The row of a decision; Refused if there is none."""
    row = DECISION.first(db, named=decision_id)
    if row is None:
        raise Refused("decision_unknown", "no such decision")
    return row
