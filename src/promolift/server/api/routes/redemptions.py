"""Feedback, messages, stored redemptions, and the explanation and replay of a decision."""

import json
from collections.abc import Mapping
from contextlib import suppress
from datetime import datetime
from secrets import token_hex
from typing import Any

from fastapi import APIRouter, Response
from sqlalchemy import Connection, select

from promolift.core.decisions.decision_rule import NONE
from promolift.foundation.errors import PromoError
from promolift.foundation.i18n.catalogue import gettext, ngettext
from promolift.foundation.i18n.formatting import count, join_sentences, use_locale
from promolift.foundation.i18n.lazy_message import gettext_lazy
from promolift.foundation.tables.schemas import DECISIONS as CONTRACT
from promolift.server.admin_responses import (
    DecisionExplained,
    DecisionPreview,
    DecisionReplayed,
    MessageTaken,
    answers,
)
from promolift.server.api.problems import ApiError
from promolift.server.api.request_models import DecisionIn, FeedbackIn, MailIn
from promolift.server.api.routes import IdempotentRoute, Route, RouteContext, fast_routes
from promolift.server.budgets.redemptions import load_decision
from promolift.server.decisions import decision_record, message_rendering
from promolift.server.decisions.eligibility import RecentActivity, load_activity_at
from promolift.server.decisions.live_release import CREATIVE_POLICY
from promolift.server.delivery import outbox
from promolift.server.delivery.sender import OfferMessage, missing_variables
from promolift.server.events import events
from promolift.server.ledger.audit_log import HttpResponse
from promolift.server.ledger.event_rows import ParsedEvents, event_row
from promolift.server.ledger.field_types import Id
from promolift.server.ledger.limits import SELECT_REDEMPTION as REDEMPTION_ROW
from promolift.server.ledger.records import Campaign
from promolift.server.ledger.schema import CUSTOMERS, Refused
from promolift.server.response_models import REDEMPTION, FeedbackTaken, Redeemed

router = APIRouter()
NO_MESSAGE: dict[str, Any] = {"offer": None, "message": None, "title": None}
CONTRACT_COLUMNS = [column.name for column in CONTRACT.columns]  # what a replay compares


@router.post("/v1/feedback", status_code=202, tags=["decisions"], response_model=FeedbackTaken)
def feedback(asked: IdempotentRoute, body: FeedbackIn) -> Response:
    """What came of a decision: joins it by its id, and counts once per message_id."""

    def do(db: Connection, now_ms: int) -> HttpResponse:
        who, message_id = load_decision(db, body.decision_id)["customer_id"], body.message_id or f"fb_{token_hex(12)}"
        said = {"value_cents": body.value_cents}
        row = event_row(
            message_id, who, body.ts_ms or now_ms, now_ms, body.name, json.dumps(said),
            decision_id=body.decision_id, **said,
        )  # fmt: skip
        (new,) = events.store_events(db, [ParsedEvents(events=[row], places=[0])])
        return HttpResponse(202, {"accepted": new, "duplicates": 1 - new, "message_id": message_id})

    return asked.change(do, body)


@router.post("/v1/messages", status_code=202, tags=["decisions"], **answers(MessageTaken, 202))
def message(asked: IdempotentRoute, body: MailIn) -> Response:
    """Send a decided offer in words, by e-mail or a service. Consent is looked at now and again when it goes, which is
    after the quiet hours of its channel; address and words are forgotten once it is out.
    """
    server = asked.server
    if body.by == "email" and server.settings.mail is None:
        raise ApiError(422, "mail_off", gettext_lazy("no SMTP server is configured; set mail in the server's settings"))
    if lacks := missing_variables(body.by):
        raise ApiError(
            422,
            "sender_off",
            gettext_lazy("{by}: {lacks}: not in the server's environment", by=body.by, lacks=", ".join(lacks)),
        )

    def do(db: Connection, now_ms: int) -> HttpResponse:
        made = load_decision(db, body.decision_id)
        said = db.execute(select(CUSTOMERS).where(CUSTOMERS.c.customer_id == made["customer_id"])).mappings().first()
        if said and (said["erased"] or said["consent"] == 0 or said["personal"] == 0):
            raise Refused("consent_missing", gettext_lazy("the customer does not want messages, or no personal ones"))
        if made["offer_id"] == "none":
            raise Refused("decision_of_another", gettext_lazy("this decision gave no offer"))
        if made["policy_id"] == CREATIVE_POLICY:
            raise Refused(
                "decision_of_another",
                gettext_lazy("this decision gave a creative, which is shown in its place, not sent"),
            )
        release = server.decider.ensure(made["release_id"])
        text = message_rendering.render_message(
            release, made["customer_id"], made["offer_id"], made["ts_ms"], body.language,
            load_activity_at(db, release, made), server.texts.choice(release),
            Campaign.load(db, made["campaign_id"]).ends_ms(made["release_id"]),
        )  # fmt: skip
        if not text["message"]:
            raise Refused("message_untrue", gettext_lazy("no true message can be written for this offer"))
        if datetime.fromisoformat(text["offer"]["expires"]).timestamp() * 1000 < now_ms:
            raise Refused("expired", gettext_lazy("this offer has ended; decide anew"))
        zone = (said["zone"] if said else None) or release.shop.zone
        sent = build_offer_message(release.shop.name, text, made, body)._replace(zone=zone)
        return HttpResponse(
            202, {"message_id": outbox.post_message(db, "email", made["decision_id"], sent._asdict(), now_ms)}
        )

    return asked.change(do, body)


def build_offer_message(shop: str, text: dict[str, Any], made: Mapping[str, Any], body: MailIn) -> OfferMessage:
    """Build the message from its verified text and code; an e-mail also names sender, address and opt-out."""
    zh, code = text["language"] == "zh", made["code"]
    needed = code if code and text["offer"]["activation"] == "code" else ""
    title = text.get("title") or ("您的优惠" if zh else "an offer for you")
    whole = OfferMessage(
        body.to, title, text["message"], body.unsubscribe_url, body.by,
        body.channel or ("email" if body.by == "email" else "push"), "UTC", made["campaign_id"], made["customer_id"],
        made["decision_id"], made["offer_id"], needed, str(text["offer"]["expires"]), text["language"],
    )  # fmt: skip
    if body.by != "email":
        return whole
    lines = [text["message"], f"{'优惠码' if zh else 'Your code'}: {needed}" if needed else "", ""]
    lines += [f"{shop}, {body.postal_address}", f"{'退订' if zh else 'Unsubscribe'}: {body.unsubscribe_url}"]
    return whole._replace(subject=f"{shop}: {title}", text="\n".join(lines))


@router.post("/v1/decisions:dry", tags=["decisions"], **answers(DecisionPreview))
def dry_decision(asked: Route, body: DecisionIn) -> dict[str, Any]:
    """What would be decided for this customer now, with what is open and closed and why; nothing is kept or counted."""
    return preview_answer(asked, body)


def preview_answer(asked: RouteContext, body: DecisionIn) -> dict[str, Any]:
    """Return `preview_decision` with its reasons in the reader's language, as the API answers."""
    found = preview_decision(asked, body)
    language = fast_routes.reason_language(asked.server, found["release_id"], body.language, asked.accepts)
    return fast_routes.show_reasons(found, language)


def preview_decision(asked: RouteContext, body: DecisionIn) -> dict[str, Any]:
    """Return what would be decided now, with reasons as the ledger records them; nothing is kept or counted."""
    server = asked.server
    with asked.read() as db:
        ask = fast_routes.decision_request(body)
        answer = server.decider.preview(db, ask)
    told = {"customer_id": body.customer_id, "offer_id": answer.offer_id, "reason": answer.reason}
    row = answer.record
    if row is None or answer.terms is None:
        return (
            told
            | {"release_id": None, "holdout": None, "variant": None, "candidates": [], "ineligible": []}
            | NO_MESSAGE
        )
    release = server.decider.ensure(row["release_id"])
    listed = decision_record.rebuild_lists(row, answer.terms, release)
    opened = [_at_price(each, row["price"]) for each in listed.candidates]
    said = NO_MESSAGE
    if answer.offer_id != NONE:
        said = message_rendering.render_message(
            release, body.customer_id, answer.offer_id, row["ts_ms"], body.language, answer.lately,
            server.texts.choice(release), answer.ends_ms,
        )  # fmt: skip
    named = {name: row[name] for name in ("release_id", "holdout", "variant", "propensity", "price")}
    met = fast_routes.send_and_rival_fields(row) | fast_routes.general_promotions(answer)
    return told | named | {"candidates": opened, "ineligible": listed.ineligible} | met | said


def _at_price(option: Mapping[str, Any], price: float) -> Mapping[str, Any]:
    """An open offer with what it is worth at the price; a creative is drawn by its share and has no worth."""
    if "share" in option:
        return option
    worth = option["gain_cents"] - option["charge_cents"] - price * option["cost_cents"]
    return {**option, "worth_at_price_cents": worth}


@router.get("/v1/decisions/{decision_id}:explain", tags=["decisions"], **answers(DecisionExplained))
def explain(asked: Route, decision_id: Id) -> dict[str, Any]:
    """Why this decision: the candidates at their price, what was closed, and the rule that settled it."""
    with asked.read() as db:
        made = _whole(asked, db, decision_id)
        row = made.row
        release, lately = None, RecentActivity()
        with suppress(PromoError):  # a release that is gone
            release = asked.server.decider.ensure(row["release_id"])
            lately = load_activity_at(db, release, row)
        ends_ms = (Campaign.find(db, row["campaign_id"]) or Campaign()).ends_ms(row["release_id"])
    price = made.terms.price if made.terms else 0.0
    lists = {"candidates": [_at_price(each, price) for each in made.lists.candidates]}
    own = {
        name: row[name]
        for name in row
        if name not in (*decision_record.LIST_COLUMNS, "terms", *decision_record.COMPACT_COLUMNS)
    } | fast_routes.send_and_rival_fields(row)
    parts = lists | {"ineligible": made.lists.ineligible, "terms": made.terms_shown, "live": lately.to_json()}
    printed = {"offer": None, "angle": None}
    if release is not None and row["offer_id"] != NONE:
        rendered = message_rendering.render_message(
            release, row["customer_id"], row["offer_id"], row["ts_ms"], None, lately,
            asked.server.texts.choice(release), ends_ms,
        )  # fmt: skip
        printed = {name: rendered.get(name) for name in printed}
    language = fast_routes.reason_language(asked.server, row["release_id"], None, asked.accepts)
    shown = fast_routes.show_reasons(own | parts | printed, language)
    with use_locale(language):
        title = None if release is None else message_rendering.offer_title(release, row["offer_id"], row["ts_ms"])
        return shown | {"title": title, "text": _explanation(shown, title, price)}


def _explanation(shown: Mapping[str, Any], title: str | None, price: float) -> str:
    """Say in the language in use how a decision came about."""
    opened, closed = len(shown["candidates"]) - 1, len(shown["ineligible"])
    sentences = (
        ngettext("{n} offer was open.", "{n} offers were open.", opened, n=count(opened)),
        ngettext("{n} offer was closed.", "{n} offers were closed.", closed, n=count(closed)),
        gettext("A cent of budget was worth {price} cents of gain.", price=f"{price:.4f}"),
        gettext(
            "Decided: {offer}, with probability {share}. Reason: {reason}.",
            offer=title or shown["offer_id"], share=f"{shown['propensity']:.4f}", reason=shown["reason"],
        ),
        gettext("What the customer did since the release closes offers; it changes no score."),
    )  # fmt: skip
    return join_sentences(*sentences)


@router.get("/v1/decisions/{decision_id}:replay", tags=["decisions"], **answers(DecisionReplayed))
def replay(asked: Route, decision_id: Id) -> dict[str, Any]:
    """The decision made again from its record; `same` is true unless the record was changed."""
    with asked.read() as db:
        return decision_record.replay(_whole(asked, db, decision_id), CONTRACT_COLUMNS)._asdict()


def _whole(asked: RouteContext, db: Connection, decision_id: str) -> decision_record.DecisionRecord:
    (found,) = decision_record.expand_rows([load_decision(db, decision_id)], asked.server.decider.ensure)
    return found


@router.get("/v1/redemptions/{redemption_id}", tags=["redemptions"], response_model=Redeemed)
def redemption(asked: Route, redemption_id: Id) -> dict[str, Any]:
    """A redemption as it stands."""
    with asked.read() as db:
        row = REDEMPTION_ROW.first(db, named=redemption_id)
    if row is None:
        raise Refused("redemption_unknown", gettext_lazy("no such redemption"))
    return {name: row[name] for name in REDEMPTION}
