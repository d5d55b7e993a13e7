"""The routes with the most traffic (decisions, events, money), as plain Starlette endpoints."""

import asyncio
import json
from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime
from functools import lru_cache
from operator import itemgetter
from typing import Any, NamedTuple

from fastapi import FastAPI
from pydantic import BaseModel, TypeAdapter, ValidationError
from pydantic_core import from_json, to_json
from starlette.requests import Request
from starlette.routing import Route

from promolift.core.customers.reason_text import render_reason
from promolift.core.decisions.decision_rule import NONE
from promolift.foundation.errors import PromoError
from promolift.foundation.i18n.catalogue import use_locale
from promolift.foundation.i18n.lazy_message import gettext_lazy
from promolift.foundation.localized_text import Language
from promolift.server.api.api_keys import EVENT_KINDS, JITSU_PREFIXES
from promolift.server.api.problems import ApiError, FieldError, field_error
from promolift.server.api.request_models import BatchIn, DecisionIn, EventIn
from promolift.server.api.server import Endpoint, FastResponse, Server
from promolift.server.budgets import redemptions
from promolift.server.budgets.redemptions import ReserveIn
from promolift.server.carts import carts as cart
from promolift.server.carts.held_carts import HoldRequest
from promolift.server.decisions import decisions as live
from promolift.server.decisions import message_rendering
from promolift.server.decisions.decision_record import rebuild_lists, withheld_offer
from promolift.server.events import events
from promolift.server.ledger.event_rows import MESSAGE_WITHHELD, OFFER_MESSAGE, EventsTaken
from promolift.server.ledger.schema import Refused, no_locks
from promolift.server.response_models import CartAnswer, DecisionAnswer, Redeemed

IDEMPOTENCY_HEADER, LANGUAGE_HEADER, MAX_KEY_LENGTH = b"idempotency-key", b"accept-language", 255
JSON_TYPES = frozenset({b"application/json", b"text/plain", b""})
EVENT_TYPES = JSON_TYPES | {
    b"application/x-www-form-urlencoded",
    b"application/octet-stream",
}  # what libraries say of gzip
DECISION_FIELDS = (
    "decision_id",
    "ts_ms",
    "customer_id",
    "campaign_id",
    "policy_id",
    "policy_version",
    "offer_id",
    "reason",
    "propensity",
    "holdout",
    "release_id",
    "experiment_id",
    "variant",
)
get_decision_fields = itemgetter(*DECISION_FIELDS)
EMPTY_DECISION: Mapping[str, Any] = dict.fromkeys((*DECISION_FIELDS, "code", "send_ms", "considered"))
BOOL_ADAPTER = TypeAdapter(bool)


class FastRoute(NamedTuple):
    """A route outside FastAPI, and what the OpenAPI document says about it."""

    path: str
    tag: str
    endpoint: Endpoint
    body: type[BaseModel]
    answer: Any
    status: int
    text: str


def add_fast_routes(app: FastAPI, server: Server) -> list[FastRoute]:
    """Add the routes to the app and return them."""
    text = "Which offer for this customer now, or none"
    routes = [FastRoute("/v1/decisions", "decisions", _decisions(server), DecisionIn, DecisionAnswer, 200, text)]
    text = "What a cart costs under all that its customer may use; with `hold`, money and codes are reserved for it"
    routes.append(FastRoute("/v1/carts:price", "carts", _carts(server), cart.CartIn, CartAnswer, 200, text))
    text, batch = "Events, as the Segment clients send them", _events(server, None)
    routes.append(FastRoute("/v1/batch", "events", batch, BatchIn, EventsTaken, 202, text))
    for kind in EVENT_KINDS:
        endpoint, text = _events(server, kind), f"One {kind} event of the Segment spec"
        paths = {"/v1/": text} | dict.fromkeys(JITSU_PREFIXES, f"{text}, where Jitsu's clients send it")
        for place, said in paths.items():
            routes.append(FastRoute(place + kind, "events", endpoint, EventIn, EventsTaken, 202, said))
    for name, step in redemptions.STEPS.items():
        path, endpoint = f"/v1/redemptions:{name}", _money(server, name, step)
        routes.append(FastRoute(path, "redemptions", endpoint, step.body, Redeemed, 200, step.text))
    app.router.routes.extend(Route(route.path, route.endpoint, methods=["POST"]) for route in routes)
    return routes


def _money(server: Server, name: str, step: redemptions.RedemptionStep) -> Endpoint:
    async def money(request: Request) -> FastResponse:
        body, who = step.body.model_validate(_read(_body(request))), request.scope["promolift"].key.key_id
        if isinstance(body, ReserveIn) and not (body.decision_id or body.code):
            raise field_error(gettext_lazy("name the decision, or give its code"), "/decision_id", "or code")
        server.check_clock()
        try:
            answer = await server.move_money(redemptions.StepRequest(step, body, who, _key(request)))
        except Refused as refusal:
            server.metrics.count_redemption(name, refusal.code)
            raise
        server.metrics.count_redemption(name, "ok")
        return _reply(answer.body, answer.status)

    return money


def _key(request: Request) -> str | None:
    """What its Idempotency-Key counts for: one path, whichever API key it comes with, since those are replaced."""
    key = request.scope["promolift"].headers.get(IDEMPOTENCY_HEADER)
    if key is None:
        return None
    if not 0 < len(key) <= MAX_KEY_LENGTH:
        raise field_error(gettext_lazy("wrong header"), "idempotency-key", f"1 to {MAX_KEY_LENGTH} characters")
    return f"{request.scope['path']}\n{key.decode('latin-1')}"


def decision_request(body: DecisionIn) -> live.DecisionRequest:
    """Convert a request body to a DecisionRequest."""
    return live.DecisionRequest(
        body.customer_id, body.campaign_id, body.channel, body.timezone, body.channels, body.placement, body.audience
    )


def _decisions(server: Server) -> Endpoint:
    async def decisions(request: Request) -> FastResponse:
        body = DecisionIn.model_validate(_read(_body(request)))
        ask, accepts = decision_request(body), accepted_language(request)
        named = _key(request)
        if named is None:
            return _reply(decision_answer(server, await server.decide(ask), body, accepts), 200)
        payload = body.model_dump(mode="json")
        answer = await server.decide_once(
            ask, named, payload, lambda decided: decision_answer(server, decided, body, accepts)
        )
        return _reply(answer.body, answer.status)

    return decisions


def _carts(server: Server) -> Endpoint:
    def whole(body: cart.CartIn) -> CartAnswer:
        """In a thread of its own: it may load a release."""
        now_ms = server.clock.now_ms()
        with server.ledger.read() as db:
            return cart.price_only(body, cart.load_wallet(db, server.decider.ensure, body, now_ms), now_ms)

    async def carts(request: Request) -> FastResponse:
        body, key = cart.CartIn.model_validate(_read(_body(request))), _key(request)
        if body.hold:
            server.check_clock()
            quick = len(body.lines) <= cart.FEW_LINES
            answer = await server.move_money(HoldRequest(body, request.scope["promolift"].key.key_id, key, quick))
            return _reply(answer.body, answer.status)
        found = await server.ledger.call(server.carts.work, body, brief=True, locks=no_locks)
        return _reply(found or await asyncio.to_thread(whole, body), 200)

    return carts


def accepted_language(request: Request) -> str:
    """Return what the request accepts (Accept-Language); empty where it does not say."""
    said: bytes = request.scope["promolift"].headers.get(LANGUAGE_HEADER, b"")
    return said.decode("latin-1").strip()


def reason_language(server: Server, release_id: str | None, asked: Language | None, accepts: str) -> Language:
    """Return the language of reasons in an answer: the one asked for, else the one accepted, else the shop's own."""
    release = server.decider.releases.get(release_id or "")
    shop = release.shop if release else server.config.shop if server.config else None
    if shop is None:
        return "en"
    return shop.nearest_language(asked or accepts)


@lru_cache(maxsize=4096)
def _reason_in(language: Language, reason: str) -> str:
    with use_locale(language):
        return render_reason(reason)


def show_reasons(answer: Mapping[str, Any], language: Language) -> dict[str, Any]:
    """Return an answer with its reasons in a language; `rule` is each as the ledger records it, for programs."""
    shown = {**answer, "reason": _reason_in(language, answer["reason"]), "rule": answer["reason"]}
    if "ineligible" in answer:
        shown["ineligible"] = [
            {**each, "reason": _reason_in(language, each["reason"]), "rule": each["reason"]}
            for each in answer["ineligible"]
        ]
    return shown


def decision_fields(server: Server, answer: live.DecisionResult, asked: DecisionIn, accepts: str) -> dict[str, object]:
    """Return a decision without texts; without a record it says "no offer" and why."""
    given = {"customer_id": asked.customer_id, "offer_id": answer.offer_id, "reason": answer.reason}
    record: Mapping[str, Any] = answer.record or {**EMPTY_DECISION, **given}
    shown = dict(zip(DECISION_FIELDS, get_decision_fields(record), strict=True)) | {
        "offer": None,
        "message": None,
        "code": record["code"],
    }
    language = reason_language(server, record["release_id"], asked.language, accepts)
    return show_reasons(shown, language) | send_and_rival_fields(record) | general_promotions(answer)


def general_promotions(answer: live.DecisionResult) -> dict[str, object]:
    """Return the promotions for everybody, for customers who opted out of personalisation."""
    return {} if answer.general is None else {"general": answer.general}


def send_and_rival_fields(record: Mapping[str, Any]) -> dict[str, object]:
    """Return the send time and the competing campaigns of a record, where it has them."""
    found: dict[str, object] = {}
    if (send_ms := record["send_ms"]) is not None:
        send_at = datetime.fromtimestamp(send_ms / 1000, UTC).isoformat(timespec="milliseconds")
        found["send"] = {"channel": record["channel"], "send_at": send_at, "propensity": record["send_prob"]}
    if record["considered"] is not None:
        found["considered"] = from_json(record["considered"])
    return found


def log_message(
    server: Server, answer: live.DecisionResult, asked: DecisionIn, offer_id: str, event: str
) -> dict[str, Any]:  # fmt: skip
    """Return the message of an offer, and log with an event which text it has."""
    row = answer.record
    assert row is not None
    release = server.decider.releases[row["release_id"]]
    said = message_rendering.render_message(
        release, asked.customer_id, offer_id, row["ts_ms"], asked.language, answer.lately,
        server.texts.choice(release), answer.ends_ms,
    )  # fmt: skip
    if (told := message_rendering.message_event(row, said, event)) is not None:
        server.ledger.submit(events.store_events, told, events.event_locks)
    return said


def decision_answer(
    server: Server, answer: live.DecisionResult, asked: DecisionIn, accepts: str = ""
) -> Mapping[str, object]:
    """Return a decision as the API answers it (`response_models.DecisionAnswer`). `accepts`: its Accept-Language."""
    row, body = answer.record, decision_fields(server, answer, asked, accepts)
    if row is None:
        return body
    release = server.decider.releases[row["release_id"]]
    if answer.offer_id != NONE:
        try:
            body |= log_message(server, answer, asked, answer.offer_id, OFFER_MESSAGE)
        except (PromoError, LookupError, ValueError) as error:
            body["why_no_message"] = type(error).__name__
    elif row["holdout"] and answer.terms and release.creatives is None:
        with suppress(PromoError, LookupError, ValueError):
            if (offer_id := withheld_offer(row, answer.terms, release)) != NONE:
                log_message(server, answer, asked, offer_id, MESSAGE_WITHHELD)
    if asked.explain and answer.terms:
        listed = {"reason": answer.reason} | rebuild_lists(row, answer.terms, release)._asdict()
        body |= show_reasons(listed, reason_language(server, row["release_id"], asked.language, accepts))
    return body


def _events(server: Server, kind: str | None) -> Endpoint:
    async def receive(request: Request) -> FastResponse:
        body = _read(_body(request, EVENT_TYPES))
        if not isinstance(body, dict):
            raise field_error(gettext_lazy("send a JSON object"), "", "an event, or a batch of them, is a JSON object")
        whole: Mapping[str, object] = {"batch": [body]} if kind else body
        listed, most = whole.get("batch"), server.settings.batch_events
        if not isinstance(listed, list):
            raise field_error(gettext_lazy('send {"batch": [events]}'), "/batch", "a list of events is needed")
        if len(listed) > most:
            detail = gettext_lazy("a batch may have {most} events", most=most)
            wrong = FieldError("/batch", gettext_lazy("has {listed}", listed=len(listed)))
            raise ApiError(413, "batch_too_large", detail, wrong)
        page = request.scope["promolift"].key.scope == "write"
        received_ms = server.clock.now_ms()
        parsed = await events.parse_events_async(
            listed,
            whole.get("sentAt"),
            received_ms,
            kind,
            server.event_throttle if page else None,
            server.settings.words,
        )
        try:
            dry = BOOL_ADAPTER.validate_python(request.query_params.get("dry_run", "false"))
        except ValidationError:
            raise field_error(gettext_lazy("wrong parameter"), "dry_run", "true or false") from None
        new = len(parsed.events) if dry else await server.store_events(parsed)
        # RudderStack's client for Python takes 200 alone for a success and tries any other again for ever
        agent = request.scope["promolift"].headers.get(b"user-agent", b"")
        return _reply(parsed.answer(new, dry), 200 if agent.startswith(b"analytics-python/") else 202)

    return receive


def _reply(body: Mapping[str, object], status: int) -> FastResponse:
    return FastResponse(status, to_json(body))


def _body(request: Request, types: frozenset[bytes] = JSON_TYPES) -> bytes:
    """The body, which the guard has read in one piece; ApiError 415 if it does not say that it is JSON."""
    context = request.scope["promolift"]
    if context.headers.get(b"content-type", b"").partition(b";")[0].strip().lower() not in types:
        raise ApiError(415, "content_type_unsupported", gettext_lazy("send application/json"))
    body: bytes = context.body
    return body


def _read(body: bytes) -> Any:
    """The body as JSON: no NaN, no endless nesting, UTF-8 alone; what a fast reader refuses is read again."""

    def no_constant(name: str) -> None:
        raise ValueError(gettext_lazy("{name} is not JSON", name=name))

    try:
        return from_json(body, allow_inf_nan=False)
    except ValueError:
        try:
            return json.loads(body, parse_constant=no_constant)
        except (ValueError, RecursionError):
            raise ApiError(400, "json_invalid", gettext_lazy("the body is not valid JSON")) from None
