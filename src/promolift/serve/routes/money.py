"""Redemptions, feedback, messages, and what a decision was made of."""

import json
from collections.abc import Mapping
from secrets import token_hex
from typing import Annotated, Any, NamedTuple

from fastapi import APIRouter, Header, Request, Response
from sqlalchemy import Connection, bindparam, select
from starlette.responses import JSONResponse

from promolift.deliver import normalise
from promolift.serve import events, now, outbox, record, words
from promolift.serve.answers import Redeemed
from promolift.serve.models import ConfirmIn, FeedbackIn, Id, MailIn, ReserveIn, RollbackIn
from promolift.serve.problems import ApiError, wrong_field
from promolift.serve.seal import unseal
from promolift.serve.server import Server
from promolift.serve.switch import Change
from promolift.serve.things import Campaign
from promolift.store.ledger_audit import HttpAnswer
from promolift.store.ledger_money import CODE, Claim, confirm, meant, reserve, rollback
from promolift.store.ledger_schema import CODES, CUSTOMERS, DECISIONS, REDEMPTIONS, Query, Refused
from promolift.tables import DECISIONS as CONTRACT

router = APIRouter()
IdempotencyKey = Annotated[str | None, Header(min_length=1, max_length=255)]
CHECKED = [column.name for column in CONTRACT.columns]  # what a replay compares
DECISION = Query(select(DECISIONS).where(DECISIONS.c.decision_id == bindparam("named")))
SECRETS = ("key", "secret")
SHOWN = tuple(Redeemed.__annotations__)


def server_of(request: Request) -> Server:
    """The state of this server."""
    found: Server = request.app.state.server
    return found


def actor(request: Request) -> str:
    """The id of the key that asks: what the audit log names."""
    return str(request.scope["promolift"].key.key_id)


def changed(request: Request, do: Change, key: str | None, body: Any = None) -> Response:
    """Run a change, once per Idempotency-Key."""
    payload = body.model_dump(mode="json") if hasattr(body, "model_dump") else body
    server = server_of(request)
    answer = server.change(do, named(request, key), payload)
    body = answer.body
    if isinstance(body, dict):  # what is kept of an answer holds a secret sealed
        body = {name: unseal(server.secret, value) if name in SECRETS else value for name, value in body.items()}
    return JSONResponse(body, answer.status)


def named(request: Request, key: str | None) -> str | None:
    """What an Idempotency-Key counts for: one path, whichever API key it comes with, since those are replaced."""
    return None if key is None else f"{request.url.path}\n{key}"


@router.post("/v1/redemptions:reserve", tags=["redemptions"])
async def reserve_(request: Request, body: ReserveIn, idempotency_key: IdempotencyKey = None) -> Response:
    """Hold an offer's money and code for an order, within all limits of the campaign.

    It refers to a decision or to a code: once, as long as that is valid, and for no more than the offer takes off.
    """
    who = actor(request)

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

    return await _counted(request, "reserve", do, idempotency_key, body)


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


@router.post("/v1/redemptions:confirm", tags=["redemptions"])
async def confirm_(request: Request, body: ConfirmIn, idempotency_key: IdempotencyKey = None) -> Response:
    """The order is paid: spend what was reserved, or less of it."""
    who = actor(request)

    def do(db: Connection, now_ms: int) -> HttpAnswer:
        row = confirm(db, body.redemption_id, body.amount_cents, now_ms, who)
        return _announced(db, "redemption.confirmed", row, now_ms)

    return await _counted(request, "confirm", do, idempotency_key, body)


@router.post("/v1/redemptions:rollback", tags=["redemptions"])
async def rollback_(request: Request, body: RollbackIn, idempotency_key: IdempotencyKey = None) -> Response:
    """The order is cancelled: give back the money and the code."""
    who = actor(request)

    def do(db: Connection, now_ms: int) -> HttpAnswer:
        return _announced(db, "redemption.rolled_back", rollback(db, body.redemption_id, now_ms, who), now_ms)

    return await _counted(request, "rollback", do, idempotency_key, body)


@router.post("/v1/feedback", status_code=202, tags=["decisions"])
def feedback(request: Request, body: FeedbackIn, idempotency_key: IdempotencyKey = None) -> Response:
    """What came of a decision: joins it by its id, and counts once per message_id."""

    def do(db: Connection, now_ms: int) -> HttpAnswer:
        made = decision(db, body.decision_id)
        message_id = body.message_id or f"fb_{token_hex(12)}"
        row: events.EventRow = {
            "message_id": message_id, "customer_id": made["customer_id"], "ts_ms": body.ts_ms or now_ms,
            "received_ms": now_ms, "name": body.name, "decision_id": body.decision_id,
            "body": json.dumps({"value_cents": body.value_cents}), "value_cents": body.value_cents,
        }  # fmt: skip
        (new,) = events.keep(db, [events.Parsed(events=[row], places=[0])])
        return HttpAnswer(202, {"accepted": new, "duplicates": 1 - new, "message_id": message_id})

    return changed(request, do, idempotency_key, body)


@router.post("/v1/messages", status_code=202, tags=["decisions"])
def message(request: Request, body: MailIn, idempotency_key: IdempotencyKey = None) -> Response:
    """Send a decided offer by e-mail; consent is looked at again, and the address is forgotten once it is out."""
    server = server_of(request)
    if server.settings.mail is None:
        raise ApiError(422, "mail_off", "no SMTP server is configured; set mail in the server's settings")

    def do(db: Connection, now_ms: int) -> HttpAnswer:
        made = decision(db, body.decision_id)
        said = db.execute(select(CUSTOMERS).where(CUSTOMERS.c.customer_id == made["customer_id"])).mappings().first()
        if said and (said["erased"] or said["consent"] == 0):
            raise Refused("consent_missing", "the customer does not want messages")
        if made["offer_id"] == "none":
            raise Refused("decision_of_another", "this decision gave no offer")
        release = server.decider.ensure(made["release_id"])
        text = words.words(release, made["customer_id"], made["offer_id"], made["ts_ms"], body.language)
        if not text["message"]:
            raise Refused("message_untrue", "no true message can be written for this offer")
        mail = mail_of(release.shop.name, text, made["code"], body)
        return HttpAnswer(202, {"message_id": outbox.post(db, "email", made["decision_id"], mail._asdict(), now_ms)})

    return changed(request, do, idempotency_key, body)


def mail_of(shop: str, text: Mapping[str, Any], code: str | None, body: MailIn) -> outbox.Mail:
    """The e-mail: the gated words, the code, and what the law asks for: who sends it, from where, how to stop it."""
    zh = text["language"] == "zh"
    lines = [text["message"], "" if not code else f"{'优惠码' if zh else 'Your code'}: {code}", ""]
    lines += [f"{shop}, {body.postal_address}", f"{'退订' if zh else 'Unsubscribe'}: {body.unsubscribe_url}"]
    subject = f"{shop}: {text.get('title') or ('您的优惠' if zh else 'an offer for you')}"
    return outbox.Mail(body.to, subject, "\n".join(lines), body.unsubscribe_url)


@router.get("/v1/decisions/{decision_id}:explain", tags=["decisions"])
def explain(request: Request, decision_id: Id) -> dict[str, Any]:
    """Why this decision: the candidates at their price, what was closed, and the rule that settled it."""
    with server_of(request).ledger.read() as db:
        made = _whole(request, db, decision_id)
        row = made.row
        policy = (Campaign.find(db, row["campaign_id"]) or Campaign()).policy
        lately = now.recent(db, [row["customer_id"]], policy.live, row["ts_ms"]).get(row["customer_id"], now.Now())
    price = made.terms.price if made.terms else 0.0
    opened = [
        {**each, "worth_at_price_cents": each["gain_cents"] - each["charge_cents"] - price * each["cost_cents"]}
        for each in made.lists.candidates
    ]
    closed = made.lists.ineligible
    lines = [
        f"{len(opened) - 1} offers were open, {len(closed)} closed.",
        f"A cent of budget was worth {price:.4f} cents of gain.",
        f"Decided: {row['offer_id']}, with probability {row['propensity']:.4f}; {row['reason']}.",
        "What the customer did since the release closes offers; it changes no score.",
    ]
    own = {name: row[name] for name in row if name not in ("candidates", "ineligible", "terms", *record.OWN)}
    parts = {"candidates": opened, "ineligible": closed, "terms": made.terms_shown, "live": lately.to_json()}
    return own | parts | {"text": " ".join(lines)}


@router.get("/v1/decisions/{decision_id}:replay", tags=["decisions"])
def replay(request: Request, decision_id: Id) -> dict[str, Any]:
    """The decision made again from its record; `same` is true unless the record was changed."""
    with server_of(request).ledger.read() as db:
        return record.replay(_whole(request, db, decision_id), CHECKED)._asdict()


def _whole(request: Request, db: Connection, decision_id: str) -> record.DecisionRecord:
    """A decision with its lists and its terms."""
    (found,) = record.whole([decision(db, decision_id)], server_of(request).decider.ensure)
    return found


def decision(db: Connection, decision_id: str) -> Any:
    """The row of a decision; Refused if there is none."""
    rows = DECISION.rows(db, named=decision_id)
    if not rows:
        raise Refused("decision_unknown", "no such decision")
    return dict(zip(DECISIONS.c.keys(), rows[0], strict=True))


@router.get("/v1/redemptions/{redemption_id}", tags=["redemptions"])
def redemption(request: Request, redemption_id: Id) -> dict[str, Any]:
    """A redemption as it stands."""
    with server_of(request).ledger.read() as db:
        row = db.execute(select(REDEMPTIONS).where(REDEMPTIONS.c.redemption_id == redemption_id)).mappings().first()
    if row is None:
        raise Refused("redemption_unknown", "no such redemption")
    return {name: row[name] for name in SHOWN}


def _announced(db: Connection, kind: str, row: Any, now_ms: int) -> HttpAnswer:
    body = {name: row[name] for name in SHOWN}
    outbox.announce(db, kind, body, now_ms)
    return HttpAnswer(200, body)


async def _counted(request: Request, step: str, do: Change, key: str | None, body: Any) -> Response:
    """Run a change of money among the decisions, counted by its result. The same key gets a refusal again, too."""
    server = server_of(request)
    server.check_clock()
    try:
        answer = await server.change_soon(do, named(request, key), body.model_dump(mode="json"))
    except Refused as refusal:
        server.metrics.money.labels(step, refusal.code).inc()
        raise
    server.metrics.money.labels(step, "ok").inc()
    return JSONResponse(answer.body, answer.status)
