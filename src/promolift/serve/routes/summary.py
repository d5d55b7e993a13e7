"""A campaign in; how it stands now out: what it has added, what it spent, how many decisions it makes, what waits."""

import json
from typing import Any

from fastapi import APIRouter
from pydantic import BaseModel
from sqlalchemy import Connection, case, func, select

from promolift.deliver.decide import first_id
from promolift.serve.models import Slug
from promolift.serve.routes import Asked, Call
from promolift.serve.things import Campaign, LearnRun, MadeRelease, Task
from promolift.sql import DAY_MS, HOUR_MS
from promolift.store.ledger_money import used_now
from promolift.store.ledger_schema import DECISIONS, EVENTS, REDEMPTIONS

router = APIRouter(tags=["admin"])


class Made(BaseModel):
    """Decisions of a time, and how many of them gave nothing."""

    decisions: int
    none: int

    @property
    def none_share(self) -> float | None:
        """The share that gave nothing."""
        return self.none / self.decisions if self.decisions else None


class EarnedSoFar(BaseModel):
    """What the offers added over the holdout, as learning found it last: the total in minor units with its 95 %
    interval, the answer and its rule; `customers` and `held_out` were compared, events read `until_ms`.
    """

    answer: str
    why: str
    rule: str
    evidence: str
    total_cents: float | None
    low_cents: float | None
    high_cents: float | None
    customers: int
    held_out: int
    until_ms: int
    ratio_ok: bool
    ratio_rule: str


class LimitUse(BaseModel):
    """The most that a limit has held and spent for one subject in its present period, as a share of its amount."""

    limit_id: str
    metric: str
    amount: int
    used: int

    @property
    def share(self) -> float | None:
        """Of the amount, what is used."""
        return self.used / self.amount if self.amount else None


class CampaignSummary(BaseModel):
    """A campaign as it stands. Money in minor units, moments in milliseconds UTC."""

    campaign_id: str
    release: str | None
    previous: str | None
    paused: bool
    hour: Made
    day: Made
    spent_cents: int
    held_cents: int
    limits: tuple[LimitUse, ...]
    earned: EarnedSoFar | None
    why_unknown: str
    learning: str
    waiting: tuple[str, ...]
    last_event_ms: int | None
    last_decision_ms: int | None


@router.get("/v1/campaigns/{campaign_id}/summary")
def summary(asked: Asked, campaign_id: Slug) -> CampaignSummary:
    """What it has added so far over the holdout, its money, decisions of the last hour and day, and what waits."""
    now_ms = asked.server.clock.now_ms()
    with asked.read() as db:
        campaign = Campaign.find(db, campaign_id) or Campaign()
        run = LearnRun.find(db, campaign_id) or LearnRun(status="never")
        mine = REDEMPTIONS.c.campaign_id == campaign_id
        paid = select(func.sum(REDEMPTIONS.c.final_cents)).where(mine, REDEMPTIONS.c.status == "confirmed")
        held = select(func.sum(REDEMPTIONS.c.reserved_cents)).where(mine, REDEMPTIONS.c.status == "reserved")
        last = select(DECISIONS.c.ts_ms).order_by(DECISIONS.c.decision_id.desc()).limit(1)
        heard = select(EVENTS.c.received_ms).order_by(EVENTS.c.seq.desc()).limit(1)
        statuses = ("proposed", "draft", "asked")
        waiting = [
            name for name, made in MadeRelease.all(db).items()
            if made.campaign_id == campaign_id and made.status in statuses and name != campaign.release
        ]  # fmt: skip
        earned = earned_so_far(asked, campaign_id)
        limits = tuple(
            LimitUse(used=use.most, **{name: use.limit[name] for name in ("limit_id", "metric", "amount")})
            for use in used_now(db, campaign_id, now_ms)
        )
        return CampaignSummary(
            campaign_id=campaign_id, release=campaign.release, previous=campaign.previous, paused=campaign.paused,
            hour=_made(db, campaign_id, now_ms - HOUR_MS), day=_made(db, campaign_id, now_ms - DAY_MS),
            spent_cents=db.execute(paid).scalar() or 0, held_cents=db.execute(held).scalar() or 0,
            limits=limits, earned=earned, why_unknown="" if earned else run.why or "",
            learning=run.status, waiting=tuple(waiting), last_event_ms=db.execute(heard).scalar(),
            last_decision_ms=db.execute(last).scalar(),
        )  # fmt: skip


def earned_so_far(asked: Call, campaign_id: str) -> EarnedSoFar | None:
    """What the last run of learning found; None before one found anything."""
    task = Task(ledger="", work=asked.server.settings.work, campaign_id=campaign_id)
    path = task.folder / "learn.json"
    if not path.is_file():
        return None
    found = json.loads(path.read_text(encoding="utf-8"))
    return EarnedSoFar(
        **{name: found[name] for name in ("answer", "why", "rule", "evidence", "until_ms")},
        total_cents=found["gain_total"], low_cents=found["total_low"], high_cents=found["total_high"],
        customers=found["customers"]["policy"], held_out=found["customers"]["holdout"],
        ratio_ok=found["sample_ratio"]["ok"], ratio_rule=found["sample_ratio"]["rule"],
    )  # fmt: skip


def _made(db: Connection, campaign_id: str, since_ms: int) -> Made:
    """Ids of decisions rise with time, so that those since a moment are found by the key."""
    none: Any = func.sum(case((DECISIONS.c.offer_id == "none", 1), else_=0))
    since = DECISIONS.c.decision_id >= first_id(since_ms)
    row = db.execute(select(func.count(), none).where(since, DECISIONS.c.campaign_id == campaign_id)).one()
    return Made(decisions=row[0], none=row[1] or 0)
