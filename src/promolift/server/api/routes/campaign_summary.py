"""The state of one campaign: value added over the holdout, spend and its forecast, decision counts, pending work."""

from math import sqrt
from typing import Any, NamedTuple

import numpy as np
from fastapi import APIRouter
from numpy.typing import NDArray
from pydantic import BaseModel
from sqlalchemy import Connection, case, func, select

from promolift.core.decisions.decision_rule import first_decision_id
from promolift.foundation.evidence import Z95
from promolift.foundation.i18n.lazy_message import NOTHING, LazyMessage, gettext_lazy, load_messages
from promolift.foundation.time.clock import DAY_MS, HOUR_MS
from promolift.server.admin_responses import LearningResults, answers
from promolift.server.api.routes import Route, RouteContext
from promolift.server.ledger.field_types import Slug
from promolift.server.ledger.limits import ALL_CAMPAIGNS, current_usage
from promolift.server.ledger.records import Campaign, LearningTask, LearnRun, ReleaseRecord, StoredModel
from promolift.server.ledger.schema import DECISIONS, EVENTS, REDEMPTIONS, Refused
from promolift.shop.configuration.configuration import PlanSettings

NEAR_LIMIT_SHARE = 0.9  # of a limit, from which on people are told
MIN_FORECAST_DAYS = 7  # of spending, before anything is said of the days ahead
router = APIRouter(tags=["admin"])


class SimulatedPeriod(StoredModel):
    """Days of a demo that were simulated: what is measured on them is simulated, too."""

    KIND = "played"
    begun_ms: int
    ended_ms: int


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
    why: LazyMessage
    rule: LazyMessage
    evidence: str
    total_cents: float | None
    low_cents: float | None
    high_cents: float | None
    customers: int
    held_out: int
    until_ms: int
    ratio_ok: bool
    ratio_rule: LazyMessage


class LimitUse(BaseModel):
    """The most that a limit has held and spent for one subject in its present period, as a share of its amount; `per`
    says what a subject is.
    """

    limit_id: str
    metric: str
    per: str
    amount: int
    used: int

    @property
    def share(self) -> float | None:
        """Of the amount, what is used."""
        return self.used / self.amount if self.amount else None

    def reaches(self, share: float) -> bool:
        """Whether this share of a limit over all customers is used. One that counts for each customer on their own does
        what it is for where it is full.
        """
        return self.per == "campaign" and (self.share or 0.0) >= share


class SpendPoint(BaseModel):
    """Money spent by a day, counted from the start of the series; ahead of today with its 95 % interval."""

    day: int
    cents: float
    low_cents: float | None = None
    high_cents: float | None = None


class CampaignSpend(BaseModel):
    """Redeemed money, day by day and in sum, beside the budget of the release; `ahead` is where it leads by the end of
    the plan's window if days go on as they did, empty with `why` where too few have passed.
    """

    starts_ms: int | None
    window_days: int
    budget_cents: int
    spent: tuple[SpendPoint, ...]
    ahead: tuple[SpendPoint, ...]
    why: LazyMessage


class CampaignSummary(BaseModel):
    """A campaign as it stands. Money in minor units, moments in milliseconds UTC. `shared_limits` count over all
    campaigns together.
    """

    campaign_id: str
    release: str | None
    previous: str | None
    paused: bool
    hour: Made
    day: Made
    spent_cents: int
    held_cents: int
    limits: tuple[LimitUse, ...]
    shared_limits: tuple[LimitUse, ...]
    earned: EarnedSoFar | None
    why_unknown: str
    learning: str
    waiting: tuple[str, ...]
    last_event_ms: int | None
    last_decision_ms: int | None


@router.get("/v1/campaigns/{campaign_id}/summary")
def summary(asked: Route, campaign_id: Slug) -> CampaignSummary:
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
        waiting = [
            name for name, made in ReleaseRecord.all(db).items()
            if made.campaign_id == campaign_id and made.status == "asked" and name != campaign.release
        ]  # fmt: skip
        earned = earned_so_far(asked, campaign_id)
        limits, shared = (limit_uses(db, whose, now_ms) for whose in (campaign_id, ALL_CAMPAIGNS))
        return CampaignSummary(
            campaign_id=campaign_id, release=campaign.release, previous=campaign.previous, paused=campaign.paused,
            hour=_made(db, campaign_id, now_ms - HOUR_MS), day=_made(db, campaign_id, now_ms - DAY_MS),
            spent_cents=db.execute(paid).scalar() or 0, held_cents=db.execute(held).scalar() or 0,
            limits=limits, shared_limits=shared, earned=earned, why_unknown="" if earned else run.why or "",
            learning=run.status, waiting=tuple(waiting), last_event_ms=db.execute(heard).scalar(),
            last_decision_ms=db.execute(last).scalar(),
        )  # fmt: skip


def limit_uses(db: Connection, campaign_id: str, now_ms: int) -> tuple[LimitUse, ...]:
    """Return how far the limits of a campaign, or of all together (ALL_CAMPAIGNS), are used."""
    return tuple(
        LimitUse(used=use.most, **{name: use.limit[name] for name in ("limit_id", "metric", "per", "amount")})
        for use in current_usage(db, campaign_id, now_ms)
    )


@router.get("/v1/campaigns/{campaign_id}/spend")
def spend(asked: Route, campaign_id: Slug) -> CampaignSpend:
    """What was spent in the present release's window, and where that leads: the days' mean and spread, carried on."""
    now_ms, config = asked.server.clock.now_ms(), asked.server.config
    window_days = (config.plan if config else PlanSettings()).window_days
    with asked.read() as db:
        release = Campaign.load(db, campaign_id).release
        if release is None:
            raise Refused(
                "release_missing",
                gettext_lazy("campaign {campaign_id} has no release yet; activate one", campaign_id=campaign_id),
            )
        budget_cents = asked.server.decider.ensure(release).plan.budget_cents
        mine = REDEMPTIONS.c.campaign_id == campaign_id, REDEMPTIONS.c.status == "confirmed"
        first = db.execute(select(func.min(REDEMPTIONS.c.ts_ms)).where(*mine)).scalar()
        starts_ms = None if first is None else max(first, now_ms - window_days * DAY_MS)
        since = starts_ms or 0
        day: Any = (REDEMPTIONS.c.ts_ms - since) // DAY_MS
        sums = select(day, func.sum(REDEMPTIONS.c.final_cents)).where(*mine, REDEMPTIONS.c.ts_ms >= since).group_by(day)
        by_day = {int(at): float(cents) for at, cents in db.execute(sums)} if starts_ms is not None else {}
    passed = 0 if starts_ms is None else (now_ms - starts_ms) // DAY_MS
    daily = np.array([by_day.get(at, 0.0) for at in range(passed)])
    sums_D = np.concatenate([[0.0], daily.cumsum(), [sum(by_day.values())] if passed in by_day else []])
    ahead, why = _ahead(daily, window_days)
    return CampaignSpend(
        starts_ms=starts_ms, window_days=window_days, budget_cents=budget_cents, ahead=ahead, why=why,
        spent=tuple(SpendPoint(day=at, cents=cents) for at, cents in enumerate(sums_D.tolist())),
    )  # fmt: skip


class _Ahead(NamedTuple):
    points: tuple[SpendPoint, ...]
    why: LazyMessage


def _ahead(daily: NDArray[np.float64], window_days: int) -> _Ahead:
    """A random walk with drift: after k further days k means, give or take their spread and the doubt of the mean."""
    n = len(daily)
    if n < MIN_FORECAST_DAYS:
        return _Ahead(
            (),
            gettext_lazy(
                "{days} whole days with redemptions; {least} are needed to say where they lead",
                days=n,
                least=MIN_FORECAST_DAYS,
            ),
        )
    mean, spread, total, found = float(daily.mean()), float(daily.std(ddof=1)), float(daily.sum()), []
    for k in range(max(0, window_days - n) + 1):
        half, middle = Z95 * spread * sqrt(k * (1 + k / n)), total + k * mean
        found.append(SpendPoint(day=n + k, cents=middle, low_cents=max(total, middle - half), high_cents=middle + half))
    return _Ahead(tuple(found), NOTHING)


@router.get("/v1/campaigns/{campaign_id}/results", **answers(LearningResults))
def results(asked: Route, campaign_id: Slug) -> dict[str, Any]:
    """What the last run of learning found, in numbers: the verdict, by month and by week, by group, what was predicted
    beside what came, drift, what it hangs on, and what other policies would have earned. Money in minor units.
    """
    found = load_last_learning(asked, campaign_id)
    if found is None:
        raise Refused(
            "results_missing",
            gettext_lazy(
                "nothing was learned yet; POST /v1/campaigns/{campaign_id}:learn starts it", campaign_id=campaign_id
            ),
        )
    return found


def load_last_learning(asked: RouteContext, campaign_id: str) -> dict[str, Any] | None:
    """Return what the last learning run wrote; None before the first one with a result."""
    path = LearningTask(ledger="", work=asked.server.settings.work, campaign_id=campaign_id).folder / "learn.json"
    found: dict[str, Any] | None = load_messages(path.read_text(encoding="utf-8")) if path.is_file() else None
    if found is not None:
        with asked.read() as db:
            played = SimulatedPeriod.find(db, campaign_id) is not None
        if played:
            rule = found["rule"]  # a plain text in a file of an earlier version
            change = rule.with_text if isinstance(rule, LazyMessage) else rule.replace
            found |= {"evidence": "simulated", "rule": change("randomised", "simulated")}
    return found


def earned_so_far(asked: RouteContext, campaign_id: str) -> EarnedSoFar | None:
    """What the last run of learning found; None before one found anything."""
    found = load_last_learning(asked, campaign_id)
    if found is None:
        return None
    return EarnedSoFar(
        **{name: found[name] for name in ("answer", "why", "rule", "evidence", "until_ms")},
        total_cents=found["gain_total"], low_cents=found["total_low"], high_cents=found["total_high"],
        customers=found["customers"]["policy"], held_out=found["customers"]["holdout"],
        ratio_ok=found["sample_ratio"]["ok"], ratio_rule=found["sample_ratio"]["rule"],
    )  # fmt: skip


def _made(db: Connection, campaign_id: str, since_ms: int) -> Made:
    """Ids of decisions rise with time, so that those since a moment are found by the key."""
    none: Any = func.sum(case((DECISIONS.c.offer_id == "none", 1), else_=0))
    since = DECISIONS.c.decision_id >= first_decision_id(since_ms)
    row = db.execute(select(func.count(), none).where(since, DECISIONS.c.campaign_id == campaign_id)).one()
    return Made(decisions=row[0], none=row[1] or 0)
