"""The paths with the most traffic, as plain Starlette endpoints: decisions, events and money."""

import json
from collections.abc import Awaitable, Callable, Mapping
from operator import itemgetter
from typing import Any, NamedTuple

from fastapi import FastAPI
from pydantic import BaseModel
from pydantic_core import from_json, to_json
from starlette.requests import Request
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from promolift.deliver.decide import NONE
from promolift.errors import PromoError
from promolift.serve import events, live, words
from promolift.serve.models import BatchIn, ConfirmIn, DecisionIn, EventIn, ReserveIn, RollbackIn
from promolift.serve.problems import ApiError, FieldError, wrong_field
from promolift.serve.record import lists
from promolift.serve.redeem import confirming, reserving, rolling_back
from promolift.serve.server import Server
from promolift.serve.switch import Change
from promolift.store.ledger_schema import Refused

Endpoint = Callable[[Request], Awaitable[ASGIApp]]
KEY, KEY_LENGTH = b"idempotency-key", 255
TYPES = frozenset({"application/json", "text/plain", ""})
EVENT_TYPES = TYPES | {"application/x-www-form-urlencoded", "application/octet-stream"}  # what libraries say of gzip
JSON = (b"application/json", b"application/json; charset=utf-8")
SHOWN = ("decision_id", "ts_ms", "customer_id", "campaign_id", "policy_id", "policy_version", "offer_id", "reason",
         "propensity", "holdout", "release_id", "experiment_id", "variant")  # fmt: skip
SAID = itemgetter(*SHOWN)
EMPTY: Mapping[str, object] = dict.fromkeys((*SHOWN, "code"))


class HotRoute(NamedTuple):
    """A route outside FastAPI, with what the OpenAPI document has to say of it: body, status, what it is for."""

    path: str
    endpoint: Endpoint
    body: type[BaseModel]
    status: int
    text: str


def add(app: FastAPI, server: Server) -> list[HotRoute]:
    """Add the routes; what was added."""
    routes = [
        HotRoute("/v1/decisions", _decisions(server), DecisionIn, 200, "Which offer for this customer now, or none"),
        HotRoute("/v1/batch", _events(server, None), BatchIn, 202, "Events, as the Segment clients send them"),
    ]
    for kind in ("track", "identify", "page", "screen"):
        text = f"One {kind} event of the Segment spec"
        routes.append(HotRoute(f"/v1/{kind}", _events(server, kind), EventIn, 202, text))
    for step, (body, change, text) in MONEY.items():
        path = f"/v1/redemptions:{step}"
        routes.append(HotRoute(path, _money(server, step, body, change), body, 200, text))
    app.router.routes.extend(Route(route.path, route.endpoint, methods=["POST"]) for route in routes)
    return routes


def _money(server: Server, step: str, model: type[BaseModel], change: Callable[..., Change]) -> Endpoint:
    async def money(request: Request) -> ASGIApp:
        body = model.model_validate(_read(_body(request)))
        do = change(body, request.scope["promolift"].key.key_id)
        server.check_clock()
        counter = server.metrics.money
        try:
            answer = await server.change_soon(do, _key(request), body.model_dump(mode="json"))
        except Refused as refusal:
            counter.labels(step, refusal.code).inc()
            raise
        counter.labels(step, "ok").inc()
        return _reply(answer.body, answer.status)

    return money


class Step(NamedTuple):
    """A step of a redemption: its body, the change that it makes of one, and what it is for."""

    body: type[BaseModel]
    change: Callable[..., Change]
    text: str


MONEY = {
    "reserve": Step(
        ReserveIn, reserving, "Hold an offer's money and code for an order, within all limits of the campaign"
    ),
    "confirm": Step(ConfirmIn, confirming, "The order is paid: spend what was reserved, or less of it"),
    "rollback": Step(RollbackIn, rolling_back, "The order is cancelled: give back the money and the code"),
}


def _key(request: Request) -> str | None:
    """What its Idempotency-Key counts for: one path, whichever API key it comes with, since those are replaced."""
    key = next((value.decode("latin-1") for name, value in request.scope["headers"] if name == KEY), None)
    if key is None:
        return None
    if not 0 < len(key) <= KEY_LENGTH:
        raise wrong_field("wrong header", "idempotency-key", f"1 to {KEY_LENGTH} characters")
    return f"{request.url.path}\n{key}"


def _decisions(server: Server) -> Endpoint:
    async def decisions(request: Request) -> ASGIApp:
        asked = DecisionIn.model_validate(_read(_body(request)))

        ask = live.Ask(asked.customer_id, asked.campaign_id, asked.channel, asked.timezone)
        named = _key(request)
        if named is None:
            return _reply(shown(server, await server.decide(ask), asked), 200)
        payload = asked.model_dump(mode="json")
        answer = await server.decide_once(ask, named, payload, lambda decided: shown(server, decided, asked))
        return _reply(answer.body, answer.status)

    return decisions


def recorded(answer: live.Answer, asked: DecisionIn) -> dict[str, object]:
    """A decision without its words; without a record it says "no offer" and why."""
    given = {"customer_id": asked.customer_id, "offer_id": answer.offer_id, "reason": answer.reason}
    record: Mapping[str, object] = answer.record or {**EMPTY, **given}
    return dict(zip(SHOWN, SAID(record), strict=True)) | {"offer": None, "message": None, "code": record["code"]}


def shown(server: Server, answer: live.Answer, asked: DecisionIn) -> Mapping[str, object]:
    """A decision as it is answered (`answers.DecisionAnswer`)."""
    row, body = answer.record, recorded(answer, asked)
    if row is None:
        return body
    release = server.decider.releases[row["release_id"]]
    if answer.offer_id != NONE:
        try:
            choice = server.texts.choice(release)
            body |= words.words(
                release, asked.customer_id, answer.offer_id, row["ts_ms"], asked.language, answer.lately, choice
            )
            if (said := words.logged(row, body)) is not None:
                server.ledger.submit(events.keep, said)
        except (PromoError, LookupError, ValueError) as error:
            body["why_no_message"] = type(error).__name__
    if asked.explain and answer.terms:
        body |= lists(row, answer.terms, release)._asdict()
    return body


def _events(server: Server, kind: str | None) -> Endpoint:
    async def receive(request: Request) -> ASGIApp:
        body = _read(_body(request, EVENT_TYPES))
        received_ms = server.clock.now_ms()
        whole: Mapping[str, object] = {"batch": [body]} if kind else body if isinstance(body, dict) else {}
        listed, sent_at = whole.get("batch"), whole.get("sentAt")
        if not isinstance(listed, list):
            raise wrong_field('send {"batch": [events]}', "/batch", "a list of events is needed")
        most = server.settings.batch_events
        if len(listed) > most:
            raise ApiError(
                413, "batch_too_large", f"a batch may have {most} events", FieldError("/batch", f"has {len(listed)}")
            )
        page = request.scope["promolift"].key.scope == "write"
        parsed = events.parse(listed, sent_at, received_ms, kind, server.crowd if page else None)
        dry = request.query_params.get("dry_run", "").lower() in ("1", "true", "yes")
        new = len(parsed.events) if dry else await server.keep(parsed)
        return _reply(parsed.answer(new, dry), 200 if _asks_for_200(request) else 202)

    return receive


def _reply(body: Mapping[str, object], status: int) -> ASGIApp:
    """A JSON answer, without what a Response does besides."""
    text = to_json(body)
    headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(text))]

    async def answer(_: Scope, __: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": text})

    return answer


def _asks_for_200(request: Request) -> bool:
    """Whether the client takes 200 alone for a success: RudderStack's for Python tries any other again for ever."""
    agent = next((value for name, value in request.scope["headers"] if name == b"user-agent"), b"")
    return bool(agent.startswith(b"analytics-python/"))


def _body(request: Request, types: frozenset[str] = TYPES) -> bytes:
    """The body, which the guard has read in one piece; ApiError 415 if it does not say that it is JSON."""
    for name, value in request.scope["headers"]:
        if name == b"content-type" and value not in JSON:
            kind = value.decode("latin-1").partition(";")[0].strip().lower()
            if kind not in types:
                raise ApiError(415, "content_type", "send application/json")
    body: bytes = request.scope["promolift"].body
    return body


def _read(body: bytes) -> Any:
    """The body as JSON, by a fast reader; what that one refuses is judged by `_strict`."""
    try:
        return from_json(body, allow_inf_nan=False)
    except ValueError:
        return _strict(body)


def _strict(body: bytes) -> Any:
    """The body as JSON: no NaN, no endless nesting, nothing that is not UTF-8."""
    try:
        return json.loads(body, parse_constant=_no_constant)
    except (ValueError, RecursionError):
        raise ApiError(400, "json_invalid", "the body is not valid JSON") from None


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")
