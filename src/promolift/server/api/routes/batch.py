"""Decide for many customers in one request."""

import asyncio
from collections.abc import Mapping
from typing import Annotated, Any, Self

from fastapi import APIRouter, Response
from pydantic import Field, model_validator
from pydantic_core import to_json

from promolift.foundation.i18n.lazy_message import gettext_lazy
from promolift.foundation.localized_text import Language
from promolift.server.admin_responses import DecisionList, answers
from promolift.server.api.request_models import Campaigns, DecisionIn, ReachableChannels
from promolift.server.api.routes import IdempotentRoute, fast_routes
from promolift.server.decisions import decisions
from promolift.server.ledger.field_types import Body, Channel, Id, StrictBool

router = APIRouter()
DECISIONS_PER_CHANGE = 200  # decided in one change of the ledger: others' requests wait for no more than that


class BatchDecisionIn(Body):
    """Which offer for each of these customers now? `words` adds the offer in full and its message."""

    customer_ids: Annotated[
        tuple[Id, ...], Field(min_length=1, max_length=10_000, json_schema_extra={"uniqueItems": True})
    ]
    campaign_id: Campaigns = None
    channel: Channel = "site"
    channels: ReachableChannels = ()
    language: Language | None = None
    words: StrictBool = False

    @model_validator(mode="after")
    def _once_each(self) -> Self:
        if len(set(self.customer_ids)) < len(self.customer_ids):
            raise ValueError(gettext_lazy("a customer is named twice"))
        return self


@router.post("/v1/decisions:batch", tags=["decisions"], **answers(DecisionList))
async def batch(call: IdempotentRoute, body: BatchDecisionIn) -> Response:
    """Decisions for up to 10,000 customers: the same as one by one, in the order of `customer_ids`.

    With an Idempotency-Key each customer is decided on once; a retry after a failure half way goes on where it ended.
    """
    server, key, common = call.server, call.key, body.model_dump(exclude={"customer_ids", "words"})

    async def one(who: str) -> Mapping[str, Any]:
        asked = DecisionIn(customer_id=who, **common)
        ask = fast_routes.decision_request(asked)

        def answered(decided: decisions.DecisionResult) -> Mapping[str, Any]:
            return (
                fast_routes.decision_answer(server, decided, asked, call.accepts)
                if body.words
                else fast_routes.decision_fields(server, decided, asked, call.accepts)
            )

        if key is None:
            return answered(await server.decide(ask))
        payload = asked.model_dump(mode="json") | {"words": body.words}
        told: Mapping[str, Any] = (await server.decide_once(ask, f"{key}\n{who}", payload, answered)).body
        return told

    found: list[Mapping[str, Any]] = []
    for first in range(0, len(body.customer_ids), DECISIONS_PER_CHANGE):
        found += await asyncio.gather(*map(one, body.customer_ids[first : first + DECISIONS_PER_CHANGE]))
    return Response(to_json({"data": found}), media_type="application/json")
