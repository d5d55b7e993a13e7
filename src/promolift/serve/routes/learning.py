"""Learn now, and what the last run found: admin keys only."""

import asyncio
from typing import Any

from fastapi import APIRouter, Request, Response
from sqlalchemy import Connection

from promolift.serve.models import Slug
from promolift.serve.routes.money import IdempotencyKey, changed, server_of
from promolift.serve.server import Server
from promolift.serve.things import Campaign, LearnRun
from promolift.store.ledger_audit import HttpAnswer

router = APIRouter(tags=["admin"])


@router.post("/v1/campaigns/{campaign_id}:learn", status_code=202)
async def learn_now(request: Request, campaign_id: Slug, idempotency_key: IdempotencyKey = None) -> Response:
    """Start what `promolift learn` does, in a process of its own. While it runs, the answer is about that run."""
    server, asked_first = server_of(request), []

    def do(db: Connection, _: int) -> HttpAnswer:
        Campaign.known(db, campaign_id)
        asked_first.append(True)
        return HttpAnswer(202, {"campaign_id": campaign_id, "status": "running"})

    reply = await asyncio.to_thread(changed, request, do, idempotency_key)
    if asked_first:
        await server.scheduler.start(campaign_id)
    return reply


@router.get("/v1/campaigns/{campaign_id}/learning")
def learning(request: Request, campaign_id: Slug) -> dict[str, Any]:
    """The last run: when, what became of it, the release it proposes and why. `status` never where there was none."""
    server = server_of(request)
    _known(server, campaign_id)
    with server.ledger.read() as db:
        run = LearnRun.find(db, campaign_id) or LearnRun(status="never")
    return {"campaign_id": campaign_id} | run.to_json()


def _known(server: Server, campaign_id: str) -> None:
    with server.ledger.read() as db:
        Campaign.known(db, campaign_id)
