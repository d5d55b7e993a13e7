"""Serve a release for as many days, and for as much money, as its plan was made for.

A campaign notes when it was first served from each release and when that ends. As long as it is served from one, a
limit of the ledger keeps what is reserved since then within the plan's budget.
"""

from collections.abc import Callable, Collection, Mapping
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

from sqlalchemy import Connection, select

from promolift.core.customers.reason_text import RELEASE_ENDED
from promolift.core.offers.menu import end_of_day
from promolift.foundation.hashing import sha256_of
from promolift.foundation.i18n.catalogue import gettext_noop
from promolift.server.decisions.live_release import LiveRelease
from promolift.server.ledger.audit_log import AuditAction, append_audit
from promolift.server.ledger.limits import set_release_limit
from promolift.server.ledger.records import Campaign, ReleasePeriod
from promolift.server.ledger.schema import AUDIT

RELEASE_UNDATED = gettext_noop("release_without_end: nobody knows until when it is served; activate it again")
ACTIVATIONS = ("release.activate", "release.rollback", "experiment.put")  # in the audit log
ReleaseLookup = Callable[[str], LiveRelease]


def last_moment_ms(release: LiveRelease, starts_ms: int) -> int:
    """Return the end of the last day of a release that is first served at `starts_ms`, by the shop's clock: that of its
    plan. A plan whose days were over by then, as one from an old log, is served for as many days from then on.
    """
    planned_ms = release.plan.asof_ms
    if planned_ms is not None and (end_ms := _end_ms(release, planned_ms)) >= starts_ms:
        return end_ms
    return _end_ms(release, starts_ms)


def _end_ms(release: LiveRelease, first_ms: int) -> int:
    first = datetime.fromtimestamp(first_ms / 1000, ZoneInfo(release.shop.zone))
    return round(end_of_day(first, release.plan.days).timestamp() * 1000)


def plan_hash(release: LiveRelease) -> str:
    """Return what tells a release's plan from all others: a hash of its figures and terms."""
    return sha256_of(release.plan.model_dump_json())[:16]


def begin_periods(
    db: Connection, campaign_id: str, state: Campaign, release_of: ReleaseLookup, starts_ms: int, now_ms: int
) -> Campaign:
    """Return the campaign with a period for each release that it is served from, and limit its money to the budget.

    A release that was served before keeps its period, and so does its plan in another release: after an erasure the
    same plan has other files, but no second budget and no later end. Of several releases in a test each plan is for all
    customers, so the largest budget counts.
    """
    releases = [release_of(name) for name in sorted(state.releases)]
    before = {each.plan: each for each in state.periods.values() if each.plan}
    fresh = {each.release_id: before.get(plan_hash(each)) or ReleasePeriod(
        starts_ms=starts_ms, ends_ms=last_moment_ms(each, starts_ms), plan=plan_hash(each)
    ) for each in releases}  # fmt: skip
    new = state.model_copy(update={"periods": fresh | state.periods})
    if releases:
        since_ms = min(new.periods[each.release_id].starts_ms for each in releases)
        set_release_limit(db, campaign_id, max(each.plan.budget_cents for each in releases), since_ms, now_ms)
    return new


def undated_campaigns(db: Connection, loaded: Collection[str]) -> dict[str, Campaign]:
    """Return the campaigns with a release that a server of an earlier version activated; all theirs are loaded."""
    every = Campaign.all(db).items()
    return {name: each for name, each in every if each.releases - each.periods.keys() and each.releases <= set(loaded)}


def adopt_releases(db: Connection, loaded: Mapping[str, LiveRelease], now_ms: int) -> None:
    """Give releases that an earlier version activated their period and budget, counted from that activation."""
    for campaign_id, state in undated_campaigns(db, loaded).items():
        mine = AUDIT.c.subject == campaign_id, AUDIT.c.action.in_(ACTIVATIONS)
        begun_ms = db.execute(select(AUDIT.c.ts_ms).where(*mine).order_by(AUDIT.c.seq.desc()).limit(1)).scalar()
        new = begin_periods(db, campaign_id, state, loaded.__getitem__, begun_ms or now_ms, now_ms)
        new.save(db, campaign_id, now_ms)
        periods = new.to_json()["periods"]
        append_audit(db, now_ms, AuditAction("upgrade", "release.period", campaign_id), None, {"periods": periods})


def closed_by_time(state: Campaign, release_id: str, now_ms: int) -> str | None:
    """Return why a campaign gives nothing from a release at this moment; None within its days."""
    ends_ms = state.ends_ms(release_id)
    if ends_ms is None:
        return RELEASE_UNDATED
    if now_ms <= ends_ms:
        return None
    return RELEASE_ENDED.format(moment=datetime.fromtimestamp(ends_ms / 1000, UTC).isoformat(timespec="seconds"))
