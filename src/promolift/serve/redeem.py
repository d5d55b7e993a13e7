"""A request to reserve, confirm or give back in; the change of money that it is, told to those who listen, out."""

from secrets import token_hex
from typing import NamedTuple

from sqlalchemy import Connection, bindparam, select

from promolift.deliver import normalise
from promolift.serve import outbox
from promolift.serve.answers import Redeemed
from promolift.serve.models import ConfirmIn, ReserveIn, RollbackIn
from promolift.serve.problems import wrong_field
from promolift.serve.switch import Change
from promolift.serve.things import Campaign
from promolift.store.ledger_audit import HttpAnswer
from promolift.store.ledger_money import CODE, Claim, Row, confirm, meant, reserve, rollback
from promolift.store.ledger_schema import CODES, DECISIONS, Query, Refused

SHOWN = tuple(Redeemed.__annotations__)
DECISION = Query(select(DECISIONS).where(DECISIONS.c.decision_id == bindparam("named")))


def reserving(body: ReserveIn, who: str) -> Change:
    """Hold an offer's money and code for an order, within all limits of the campaign.

    It refers to a decision or to a code: once, as long as that is valid, and for no more than the offer takes off.
    """

    def do(db: Connection, now_ms: int) -> HttpAnswer:
        campaign, offer, code = _meant(db, body)
        known = Campaign.find(db, campaign)
        if known is None:
            raise Refused("campaign_unknown", f"no campaign {campaign}; PUT /v1/campaigns/{campaign} first")
        hold_ms = round(known.policy.hold_minutes * 60_000)
        claim = Claim(
            body.redemption_id or f"rdm_{token_hex(12)}", campaign, offer, body.customer_id, body.amount_cents, now_ms,
            hold_ms, body.order_id, code, body.decision_id, who,
        )  # fmt: skip
        return _announced(db, "redemption.reserved", reserve(db, claim), now_ms)

    return do


class Meant(NamedTuple):
    """What a redemption is of."""

    campaign_id: str
    offer_id: str
    code: str


def _meant(db: Connection, body: ReserveIn) -> Meant:
    """From the decision, or from the code alone; Refused where they are not of this customer, campaign or offer."""
    campaign, offer = body.campaign_id, body.offer_id
    if body.decision_id:
        made = decision(db, body.decision_id)
        if made["customer_id"] != body.customer_id or made["offer_id"] == "none":
            raise Refused("decision_of_another", "this decision gave this customer no offer")
        campaign, offer = campaign or made["campaign_id"], offer or made["offer_id"]
        if (campaign, offer) != (made["campaign_id"], made["offer_id"]):
            raise Refused("decision_of_another", "this decision was for another campaign or offer")
        code = made["code"] if body.code is None else meant(db, campaign, offer, body.code, normalise(body.code))
        return Meant(campaign, offer, code)
    if body.code is None:
        raise wrong_field("name the decision, or give its code", "/decision_id", "or code")
    if campaign and offer:
        return Meant(campaign, offer, meant(db, campaign, offer, body.code, normalise(body.code)))
    for typed in (body.code, normalise(body.code)):
        found = CODE.rows(db, named=typed)
        if found:
            row = dict(zip(CODES.c.keys(), found[0], strict=True))
            stated = {"campaign_id": campaign, "offer_id": offer}
            if all(value in (None, row[name]) for name, value in stated.items()):
                return Meant(row["campaign_id"], row["offer_id"], row["code"])
    raise Refused("code_unknown", "no such code; check what was typed, and name campaign_id and offer_id")


def confirming(body: ConfirmIn, who: str) -> Change:
    """The order is paid: spend what was reserved, or less of it."""

    def do(db: Connection, now_ms: int) -> HttpAnswer:
        row = confirm(db, body.redemption_id, body.amount_cents, now_ms, who)
        return _announced(db, "redemption.confirmed", row, now_ms)

    return do


def rolling_back(body: RollbackIn, who: str) -> Change:
    """The order is cancelled: give back the money and the code."""

    def do(db: Connection, now_ms: int) -> HttpAnswer:
        row = rollback(db, body.redemption_id, now_ms, who, body.amount_cents)
        kind = "redemption.rolled_back" if row["status"] != "confirmed" else "redemption.returned"
        return _announced(db, kind, row, now_ms)

    return do


def decision(db: Connection, decision_id: str) -> Row:
    """The row of a decision; Refused if there is none."""
    rows = DECISION.rows(db, named=decision_id)
    if not rows:
        raise Refused("decision_unknown", "no such decision")
    return dict(zip(DECISIONS.c.keys(), rows[0], strict=True))


def _announced(db: Connection, kind: str, row: Row, now_ms: int) -> HttpAnswer:
    body = {name: row[name] for name in SHOWN}
    outbox.announce(db, kind, body, now_ms)
    return HttpAnswer(200, body)
