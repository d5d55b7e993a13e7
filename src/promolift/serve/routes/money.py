"""Redemptions, feedback, messages, and what a decision was made of."""

import json
from collections.abc import Mapping
from secrets import token_hex
from typing import Annotated, Any

from fastapi import APIRouter, Header, Request, Response
from sqlalchemy import Connection, select
from starlette.responses import JSONResponse

from promolift.serve import events, now, outbox, record, words
from promolift.serve.models import FeedbackIn, Id, MailIn
from promolift.serve.problems import ApiError
from promolift.serve.redeem import SHOWN, decision
from promolift.serve.seal import unseal
from promolift.serve.server import Server
from promolift.serve.switch import Change
from promolift.serve.things import Campaign
from promolift.store.ledger_audit import HttpAnswer
from promolift.store.ledger_schema import CUSTOMERS, REDEMPTIONS, Refused
from promolift.tables import DECISIONS as CONTRACT

router = APIRouter()
IdempotencyKey = Annotated[str | None, Header(min_length=1, max_length=255)]
CHECKED = [column.name for column in CONTRACT.columns]  # what a replay compares
SECRETS = ("key", "secret")


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


@router.get("/v1/redemptions/{redemption_id}", tags=["redemptions"])
def redemption(request: Request, redemption_id: Id) -> dict[str, Any]:
    """A redemption as it stands."""
    with server_of(request).ledger.read() as db:
        row = db.execute(select(REDEMPTIONS).where(REDEMPTIONS.c.redemption_id == redemption_id)).mappings().first()
    if row is None:
        raise Refused("redemption_unknown", "no such redemption")
    return {name: row[name] for name in SHOWN}
