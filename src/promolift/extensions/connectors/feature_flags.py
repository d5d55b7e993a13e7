"""Serve decisions and test variants as feature flags, by the OpenFeature Remote Evaluation Protocol (OFREP).

A campaign `spring` has three flags. `spring` is the id of the offer ("none" for no offer), `spring.offer` is an object
with the offer and its texts, and `spring.variant` is the variant of the running test ("" without a test).
"""

import asyncio
from collections.abc import Mapping
from hashlib import sha256
from typing import Any, NamedTuple

from fastapi import APIRouter, Header, Response
from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic_core import to_json

from promolift.core.decisions.decision_rule import NONE
from promolift.server.api.request_models import DecisionIn
from promolift.server.api.routes import Route, fast_routes
from promolift.server.api.routes.redemptions import preview_answer
from promolift.server.ledger.records import Campaign

router = APIRouter(tags=["flags"])
FLAG_SUFFIXES = ("", ".offer", ".variant")
OFFER_FIELDS = ("offer", "message", "title", "code", "language")
CONTEXT_FIELDS = ("language", "channel", "timezone")
METADATA_FIELDS = ("campaign_id", "decision_id", "release_id", "holdout", "propensity", "experiment_id")


def _documented(schema: dict[str, Any]) -> None:
    """What a context must have is checked by the decision it asks for; the document says it beforehand."""
    asked = DecisionIn.model_json_schema()["properties"]
    known = {"targetingKey": asked["customer_id"]} | {name: asked[name] for name in CONTEXT_FIELDS}
    schema["required"] = ["context"]
    schema["properties"]["context"] = {"type": "object", "required": ["targetingKey"], "properties": known}


class FlagsIn(BaseModel):
    """An OpenFeature context: `targetingKey` is the customer; `language`, `channel` and `timezone` count alone."""

    model_config = ConfigDict(extra="ignore", json_schema_extra=_documented)
    context: dict[str, Any] = {}

    def to_decision(self, campaign_id: str) -> DecisionIn:
        """The decision that is asked for. ValidationError for a context that cannot be."""
        known = {name: self.context[name] for name in CONTEXT_FIELDS if name in self.context}
        return DecisionIn(customer_id=self.context.get("targetingKey"), campaign_id=campaign_id, **known)


class FlagAnswer(BaseModel):
    """An evaluated flag, as OFREP has it."""

    key: str
    value: str | dict[str, Any]
    variant: str
    reason: str
    metadata: dict[str, str | float | bool]


class FlagList(BaseModel):
    """All flags of a customer."""

    flags: list[FlagAnswer]


class FlagFailed(BaseModel):
    """Why a flag was not evaluated, as OFREP has it."""

    key: str | None = None
    errorCode: str
    errorDetails: str


PROBLEM_CONTENT = {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}}
ERROR_RESPONSES: dict[int | str, dict[str, Any]] = {
    status: {"model": FlagFailed, "content": PROBLEM_CONTENT} for status in (400, 404)
}


class Flag(NamedTuple):
    """A campaign and which of FLAG_SUFFIXES of its decision is asked for."""

    campaign_id: str
    part: str

    @property
    def key(self) -> str:
        return self.campaign_id + self.part


@router.post("/ofrep/v1/evaluate/flags/{key}", response_model=FlagAnswer, responses=ERROR_RESPONSES)
async def evaluate_flag(call: Route, key: str, body: FlagsIn) -> Response:
    """One flag: the decision is made and kept, as by `/v1/decisions`."""
    flag = await asyncio.to_thread(_flag, call, key)
    if flag is None:
        return _failed(404, "FLAG_NOT_FOUND", "no campaign that decides has this flag", key)
    try:
        asked = body.to_decision(flag.campaign_id)
    except ValidationError as error:
        return _wrong(body, error, key)
    answer = await call.server.decide(fast_routes.decision_request(asked))
    return _json(200, format_flag(flag, fast_routes.decision_answer(call.server, answer, asked, call.accepts)))


@router.post(
    "/ofrep/v1/evaluate/flags", response_model=FlagList,
    responses={**ERROR_RESPONSES, 304: {"description": "As it was, by its ETag"}},
)  # fmt: skip
def evaluate_flags(call: Route, body: FlagsIn, if_none_match: str | None = Header(default=None)) -> Response:
    """All flags of all campaigns that decide, as they would be now. Nothing is kept: a page that asks every half minute
    has shown nothing yet. The same answer has the same ETag.
    """
    with call.read() as db:
        names = [name for name, each in Campaign.all(db).items() if each.release and not each.paused]
    try:
        asked = [body.to_decision(name) for name in names]
    except ValidationError as error:
        return _wrong(body, error)
    found = [
        format_flag(Flag(name, part), said | {"campaign_id": name, "decision_id": None})
        for name, each in zip(names, asked, strict=True)
        for said in (preview_answer(call, each),)
        for part in FLAG_SUFFIXES
    ]
    text = to_json({"flags": found})
    tag = f'"{sha256(text).hexdigest()[:32]}"'
    if if_none_match == tag:
        return Response(status_code=304, headers={"etag": tag})
    return Response(text, headers={"etag": tag}, media_type="application/json")


def _flag(call: Route, key: str) -> Flag | None:
    """The longest campaign id wins: one may be called `spring.offer`."""
    with call.read() as db:
        for part in FLAG_SUFFIXES:
            campaign = Campaign.find(db, key.removesuffix(part)) if key.endswith(part) else None
            if campaign is not None and campaign.release and not campaign.paused:
                return Flag(key.removesuffix(part), part)
    return None


def format_flag(flag: Flag, said: Mapping[str, Any]) -> dict[str, Any]:
    """A decision, as it is answered, as a flag. Its reason is SPLIT where a draw had a part in it."""
    drawn = said.get("holdout") or said.get("variant") or (said.get("propensity") or 1.0) < 1.0
    reason = "SPLIT" if drawn else "DEFAULT" if said["offer_id"] == NONE else "TARGETING_MATCH"
    arm = said.get("variant") or ""
    value = {
        "": said["offer_id"], ".variant": arm,
        ".offer": {"offer_id": said["offer_id"], **{name: said.get(name) for name in OFFER_FIELDS if said.get(name)}},
    }[flag.part]  # fmt: skip
    told = {name: said[name] for name in METADATA_FIELDS if said.get(name) is not None} | {"why": said["reason"]}
    named = arm if flag.part == ".variant" else said["offer_id"]
    return {"key": flag.key, "value": value, "variant": named, "reason": reason, "metadata": told}


def _wrong(body: FlagsIn, error: ValidationError, key: str | None = None) -> Response:
    if not body.context.get("targetingKey"):
        return _failed(400, "TARGETING_KEY_MISSING", "context.targetingKey names the customer", key)
    first = error.errors()[0]
    return _failed(400, "INVALID_CONTEXT", f"{'.'.join(map(str, first['loc']))}: {first['msg']}", key)


def _failed(status: int, code: str, why: str, key: str | None) -> Response:
    return _json(status, ({"key": key} if key else {}) | {"errorCode": code, "errorDetails": why})


def _json(status: int, body: Mapping[str, Any]) -> Response:
    return Response(to_json(body), status, media_type="application/json")
