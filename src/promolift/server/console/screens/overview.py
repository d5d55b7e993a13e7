"""The first screen: value added by the campaign, its state, pending work for a user and the first steps."""

from dataclasses import replace
from typing import Any, NamedTuple

from sqlalchemy import Connection, select

from promolift.foundation.evidence import IntervalEstimate
from promolift.foundation.i18n.catalogue import gettext, ngettext
from promolift.foundation.i18n.formatting import (
    MoneyFormat,
    count,
    date,
    days,
    in_brackets,
    interval,
    percent,
    sentence_space,
    upper_first,
)
from promolift.foundation.i18n.lazy_message import render_message
from promolift.foundation.pages.blocks import Figure, KeyFigure
from promolift.foundation.pages.charts import headline
from promolift.foundation.time.clock import DAY_MS
from promolift.server.api.routes import admin
from promolift.server.api.routes.campaign_summary import (
    NEAR_LIMIT_SHARE,
    CampaignSummary,
    Made,
    load_last_learning,
    summary,
)
from promolift.server.budgets.redemptions import STEPS
from promolift.server.console.pages.context import PageVisit, Reply, Screen, cached_result, form, page, sentence
from promolift.server.console.screens.earnings import excluded_periods
from promolift.server.console.screens.monitoring import spending
from promolift.server.console.screens.plan import manifest
from promolift.server.delivery.alert_messages import describe_waiting_texts
from promolift.server.ledger.audit_log import list_records, put_record
from promolift.server.ledger.records import MenuDraft
from promolift.server.ledger.schema import AUDIT, REDEMPTIONS
from promolift.server.translations import translate_key, translate_refusal
from promolift.shop.pipeline.text_pool import count_waiting_texts
from promolift.shop.reports.earnings import SIGNIFICANT, curve, describe_power
from promolift.shop.results.ingest import Span
from promolift.shop.results.plan import Plan
from promolift.shop.results.plan_note import PlanNote, PlanSummary
from promolift.shop.results.work_folder.run_context import Job
from promolift.shop.results.work_folder.work_tables import CleanTables

STALE_DAYS, CHANGES = 14, 6  # days; changes that are listed
DISMISSED = "console_dismissed"


class PendingItem(NamedTuple):
    """Something that waits for a user; `key` identifies it until it is settled."""

    key: str
    text: str
    why: str
    path: str
    tone: str = "warn"


class PlanFacts(NamedTuple):
    """The plan that decides, or would, and the moment of the last event that it knows."""

    plan: PlanSummary
    last_ms: int | None


def plan_facts(visit: PageVisit) -> PlanFacts | None:
    """The figures of the release that decides, as it was frozen; before there is one, those of the work folder's plan,
    None without a plan.
    """
    planned = folder_plan_facts(visit)
    live = visit.campaign().release
    frozen = manifest(visit, live) if live else None
    if frozen is None:
        return planned
    return PlanFacts(frozen.expected, planned.last_ms if planned else None)


@cached_result("tables/policies.parquet", "notes/unchecked.json")
def folder_plan_facts(job: Job) -> PlanFacts | None:
    """The figures of the plan in the work folder; None where there is no plan."""
    if not PlanNote.has(job.store):
        return None
    plan = Plan.load(job.store)
    return PlanFacts(plan.summary, Span.load(job.store).last_ms if Span.has(job.store) else None)


@page("/")
def today(visit: PageVisit) -> Reply:
    """The first screen."""
    facts, cash = plan_facts(visit) if visit.server.config else None, MoneyFormat(visit.shared.shop.currency)
    now = summary(visit.call, visit.campaign_id)
    with visit.read() as db:
        dismissed = list_records(db, DISMISSED)
    return Screen("overview.html", translate_key("nav", "/"), {
        "big": headline_card(now, facts, cash, visit), "blocks": today_chart(visit), "summary": now,
        "tiles": tiles(visit, now, facts, cash),
        "needs": [each for each in pending_items(visit, now, facts) if each.key not in dismissed],
        "steps": first_steps(visit, now, facts), "campaign_id": visit.campaign_id, "changes": changes(visit),
        "can_roll_back": bool(now.previous),
    })  # fmt: skip


def today_chart(visit: PageVisit) -> list[Figure]:
    """The one chart of the screen: how what the offers added grew; before that is known, what was spent beside the
    budget. Empty while no release decides.
    """
    cash, zone = MoneyFormat(visit.shared.shop.currency), visit.shared.shop.zone
    found = load_last_learning(visit.call, visit.campaign_id)
    if found and (grown := curve(found, (), excluded_periods(visit), cash, zone)):
        shown = [replace(grown, title=gettext("How it grew"))]
    else:
        shown = [spending(visit)] if visit.campaign().release else []
    return [replace(chart, how="", spec={**chart.spec, "short": True}) for chart in shown]


def headline_card(now: CampaignSummary, facts: PlanFacts | None, cash: MoneyFormat, visit: PageVisit) -> KeyFigure:
    """What was added so far; before that is known, what is expected, and when it will be known."""
    earned, label = now.earned, sentence("added")
    if earned is not None:
        gain = (
            None
            if earned.total_cents is None
            else IntervalEstimate(earned.total_cents, earned.low_cents, earned.high_cents)
        )
        said = translate_key("answer", earned.answer)
        if gain is None:
            said += sentence_space() + upper_first(render_message(earned.why)) + gettext(".")
        said += sentence_space() + sentence("compared", n=count(earned.customers), held=count(earned.held_out))
        found = load_last_learning(visit.call, visit.campaign_id)
        if found and (power := describe_power(found, cash)):
            said += sentence_space() + power
        shown = earned.answer in SIGNIFICANT
        return headline(label, gain, said, earned.evidence, cash, shown=shown)  # type: ignore[arg-type]
    if facts is None or facts.plan.value_cents is None:
        return KeyFigure(label, sentence("not_known_yet"), sentence("no_plan"))
    between = in_brackets(interval(facts.plan.low_cents, facts.plan.high_cents, cash))
    text = sentence(
        "measured_later" if now.release else "no_release", gain=f"{cash(facts.plan.value_cents, sign=True)}{between}"
    )
    known_ms = facts.plan.learned.known_ms if now.release and facts.plan.learned else None
    if known_ms and known_ms > visit.now_ms:
        text += sentence_space() + sentence("known_on", day=date(known_ms, visit.shared.shop.zone))
    return KeyFigure(label, sentence("not_measured"), text)


def tiles(visit: PageVisit, now: CampaignSummary, facts: PlanFacts | None, cash: MoneyFormat) -> list[KeyFigure]:
    """Money and decisions now."""

    def made(name: str, some: Made) -> KeyFigure:
        text = sentence("gave_none", share=percent(some.none_share)) if some.decisions else sentence("nobody_asked")
        return KeyFigure(sentence(name), count(some.decisions), text)

    spent = sentence("paid")
    if facts is not None:
        long = days(facts.plan.days)
        spent += sentence_space() + sentence("plan_has", budget=cash(facts.plan.budget_cents), days=long)
    spent += sentence_space() + sentence("held", money=cash(now.held_cents))
    found = [
        KeyFigure(sentence("spent"), cash(now.spent_cents), spent),
        made("in_hour", now.hour),
        made("in_day", now.day),
    ]
    if facts and facts.plan.value_cents is not None:
        plan = facts.plan
        between = interval(plan.low_cents, plan.high_cents, cash)
        text = ngettext(
            "{between}, for {customers} customer.",
            "{between}, for {customers} customers.",
            plan.treated,
            between=between,
            customers=count(plan.treated),
        )
        found.insert(0, KeyFigure(sentence("plan_expects"), cash(plan.value_cents, sign=True), text, plan.evidence))
    return found


def pending_items(visit: PageVisit, now: CampaignSummary, facts: PlanFacts | None) -> list[PendingItem]:
    """What waits for a person, the most pressing first."""
    found = []
    if now.earned and not now.earned.ratio_ok:
        found.append(PendingItem("ratio", sentence("ratio"), now.earned.ratio_rule, "/results", "bad"))
    if now.paused:
        found.append(PendingItem("paused", sentence("is_paused"), sentence("all_none"), "/live"))
    for each in now.limits:
        if each.reaches(NEAR_LIMIT_SHARE):
            text = sentence("limit_near", name=each.limit_id, share=percent(each.share))
            found.append(PendingItem(f"limit {each.limit_id}", text, sentence("limit_full"), "/live"))
    found += [PendingItem(f"release {name}", sentence("release_waits"), name, "/plan") for name in now.waiting]
    with visit.read() as db:
        asked = {name: each.line.id for name, each in MenuDraft.all(db).items() if each.status == "asked"}
    found += [PendingItem(f"menu {name}", sentence("offer_waits"), line, "/offers") for name, line in asked.items()]
    last_ms = facts.last_ms if facts and not visit.shared.simulated_since() else None
    if last_ms and (old := (visit.now_ms - last_ms) / DAY_MS) > STALE_DAYS:
        why = sentence("data_old_why", day=date(last_ms, visit.shared.shop.zone), days=days(old))
        found.append(PendingItem(f"stale {last_ms}", sentence("data_old"), why, "/data"))
    config = visit.server.config
    if waiting := count_waiting_texts(config) if config else 0:
        text = describe_waiting_texts(waiting)
        found.append(PendingItem(f"texts {waiting}", text, sentence("texts_not_sent"), "/words"))
    return found


def first_steps(visit: PageVisit, now: CampaignSummary, facts: PlanFacts | None) -> list[dict[str, Any]]:
    """The first days in order, and which of them are done; empty once all are."""
    data = visit.server.config is not None and CleanTables(visit.store).has_events
    with visit.read() as db:
        redeemed = db.execute(select(REDEMPTIONS.c.redemption_id).limit(1)).first() is not None
    key = any(each["scope"] == "decide" and not each["revoked"] for each in admin.keys(visit.call)["data"])
    done = {
        "read": (data, "/data", ""), "plan": (facts is not None, "/data", ""),
        "freeze": (bool(now.release), "/plan", ""), "key": (key, "/developer", ""),
        "decision": (now.last_decision_ms is not None, "/developer", "POST /v1/decisions"),
        "redeemed": (redeemed, "/developer", "POST /v1/redemptions:reserve"),
    }  # fmt: skip
    found = [{"text": translate_key("first", name), "done": is_done, "path": path, "how": how}
             for name, (is_done, path, how) in done.items()]  # fmt: skip
    return [] if all(each["done"] for each in found) else found


def changes(visit: PageVisit) -> list[dict[str, object]]:
    """The last rows of the audit log that people care for."""
    wanted = select(AUDIT.c.ts_ms, AUDIT.c.actor, AUDIT.c.action, AUDIT.c.subject)
    plain = AUDIT.c.action.not_in(STEPS), AUDIT.c.action.not_like("session.%")
    with visit.read() as db:
        return [
            dict(r) for r in db.execute(wanted.where(*plain).order_by(AUDIT.c.seq.desc()).limit(CHANGES)).mappings()
        ]


@form("/dismiss", "editor", "/")
def dismiss(visit: PageVisit) -> None:
    """Hide something that waits, with the reason; it stays in the audit log."""
    key, why = visit.text("key", 200), visit.text("why", 300)
    if not why:
        raise translate_refusal("why_missing")

    def do(db: Connection, now_ms: int) -> None:
        put_record(db, DISMISSED, key, {"by": visit.visitor.name, "why": why}, now_ms)
        visit.append_audit(db, now_ms, "console.dismiss", key, None, {"why": why})

    visit.change(do)


@form("/roll-back", "approver", "/")
def roll_back(visit: PageVisit) -> None:
    """Back to the release before, at once."""
    admin.roll_back(visit.call, visit.campaign_id)
