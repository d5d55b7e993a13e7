"""The paths with the most traffic, as plain Starlette endpoints: decisions and events."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from time import time
from typing import Any

from fastapi import FastAPI
from pydantic import BaseModel
from sqlalchemy import Connection
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from promolift.deliver.decide import NONE
from promolift.errors import PromoError
from promolift.serve import events, live, words
from promolift.serve.models import BatchIn, DecisionIn, EventIn
from promolift.serve.problems import ApiError
from promolift.serve.server import Server
from promolift.store.ledger_schema import Refused

Endpoint = Callable[[Request], Awaitable[Response]]
Described = tuple[str, type[BaseModel], int, str]  # path, body, status, what it is for
TOLD = ("decision_id", "ts_ms", "customer_id", "campaign_id", "policy_id", "policy_version", "offer_id", "reason",
        "propensity", "holdout", "release_id", "experiment_id", "variant")  # fmt: skip


def add(app: FastAPI, server: Server) -> tuple[dict[str, Endpoint], list[Described]]:
    """Add the routes: the endpoints by path, and what the OpenAPI document has to say of them."""
    paths: list[tuple[str, Endpoint, type[BaseModel], int, str]] = [
        ("/v1/decisions", _decisions(server), DecisionIn, 200, "Which offer for this customer now, or none"),
        ("/v1/batch", _events(server, None), BatchIn, 202, "Events, as the Segment clients send them"),
    ]
    for kind in ("track", "identify", "page", "screen"):
        paths.append((f"/v1/{kind}", _events(server, kind), EventIn, 202, f"One {kind} event of the Segment spec"))
    for path, endpoint, *_ in paths:
        app.router.routes.append(Route(path, endpoint, methods=["POST"]))
    described = [(path, model, status, text) for path, _, model, status, text in paths]
    return {path: endpoint for path, endpoint, *_ in paths}, described


def _decisions(server: Server) -> Endpoint:
    async def decisions(request: Request) -> Response:
        asked = DecisionIn.model_validate(await _json(request))

        def once(db: Connection, _: int) -> tuple[int, Any]:
            (answer,) = server.decider.work(db, [ask])
            server.metrics.decided(answer)
            return 200, told(server, answer, asked)

        ask = live.Ask(asked.customer_id, asked.campaign_id, asked.channel, asked.timezone)
        key = request.headers.get("idempotency-key")
        if key is None:
            return _reply(told(server, await server.decide(ask), asked), 200)
        named = "\n".join([request.scope["promolift"].key.key_id, request.url.path, key])
        change = asyncio.to_thread(server.change, once, named, asked.model_dump(mode="json"))
        try:
            status, body = await asyncio.wait_for(change, server.settings.deadline_ms / 1000)
        except (ApiError, Refused):
            raise  # the key was used wrongly
        except Exception as error:
            return _reply(told(server, server.failed(error), asked), 200)
        return _reply(body, status)

    return decisions


def told(server: Server, answer: live.Answer, asked: DecisionIn) -> dict[str, Any]:
    """A decision as it is answered; without a record it says "no offer" and why."""
    record = answer.record or {"customer_id": asked.customer_id, "offer_id": answer.offer_id, "reason": answer.reason}
    body = {name: record.get(name) for name in TOLD} | {"offer": None, "message": None, "code": record.get("code")}
    if answer.record and answer.offer_id != NONE:
        release = server.decider.releases[record["release_id"]]
        try:
            body |= words.words(release, asked.customer_id, answer.offer_id, record["ts_ms"], asked.language)
        except (PromoError, LookupError, ValueError) as error:
            body["why_no_message"] = type(error).__name__
    if asked.explain and answer.record:
        body |= {name: json.loads(record[name]) for name in ("candidates", "ineligible")}
    return body


def _events(server: Server, kind: str | None) -> Endpoint:
    async def receive(request: Request) -> Response:
        body = await _json(request)
        received_ms = round(time() * 1000)
        whole: dict[str, Any] = {"batch": [body]} if kind else body if isinstance(body, dict) else {}
        listed, sent_at = whole.get("batch"), whole.get("sentAt")
        if not isinstance(listed, list):
            raise ApiError(422, "invalid", 'send {"batch": [events]}', [("/batch", "a list of events is needed")])
        most = server.settings.batch_events
        if len(listed) > most:
            raise ApiError(
                413, "batch_too_large", f"a batch may have {most} events", [("/batch", f"has {len(listed)}")]
            )
        parsed = events.parse(listed, sent_at, received_ms, kind)
        dry = request.query_params.get("dry_run", "").lower() in ("1", "true", "yes")
        new = len(parsed.events) if dry else await server.keep(parsed)
        return _reply(parsed.answer(new) | ({"dry_run": True} if dry else {}), 202)

    return receive


def _reply(body: dict[str, Any], status: int) -> Response:
    return Response(json.dumps(body, ensure_ascii=False), status, media_type="application/json")


async def _json(request: Request) -> Any:
    """The body as JSON, strictly: no NaN, no endless nesting, nothing that is not UTF-8."""
    kind = request.headers.get("content-type", "application/json").partition(";")[0].strip().lower()
    if kind not in ("application/json", "text/plain", ""):
        raise ApiError(415, "content_type", "send application/json")
    try:
        return json.loads(await request.body(), parse_constant=_no_constant)
    except (ValueError, RecursionError):
        raise ApiError(400, "json_invalid", "the body is not valid JSON") from None


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")
