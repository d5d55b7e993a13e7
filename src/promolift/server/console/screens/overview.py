"""Today: what the campaign has added, how it runs, what needs a person now, and what is left to do at first."""

from pathlib import Path
from typing import Any, NamedTuple

from sqlalchemy import Connection, select

from promolift.foundation.errors import InputError
from promolift.foundation.evidence import Ranged
from promolift.foundation.i18n.formatting import (
    Cash,
    bracket,
    count,
    date,
    days,
    interval,
    pick,
    plural,
    share,
    upper_first,
)
from promolift.foundation.i18n.translation import kept
from promolift.foundation.pages.blocks import Badge, Big
from promolift.foundation.pages.charts import headline
from promolift.foundation.time.units import DAY_MS
from promolift.server.api.routes import admin
from promolift.server.api.routes.campaign_summary import CampaignSummary, Made, summary
from promolift.server.budgets.redemptions import STEPS
from promolift.server.console.pages.context import PageVisit, Reply, Screen, form, once, page, say
from promolift.server.ledger.audit_log import every, put
from promolift.server.ledger.records import MenuDraft
from promolift.server.ledger.schema import AUDIT, REDEMPTIONS
from promolift.server.translations import refused, worded
from promolift.shop.pipeline.text_pool import load_pool
from promolift.shop.reports.earnings import SHOWN
from promolift.shop.results.ingest import Span
from promolift.shop.results.plan import Plan, PlanNote
from promolift.shop.results.work_folder.run_context import Job
from promolift.shop.results.work_folder.work_tables import Clean

STALE_DAYS, NEARLY, CHANGES = 14, 0.9, 6  # days; of a limit; changes that are listed
DISMISSED = "console_dismissed"


class Need(NamedTuple):
    """Something that waits for a person; `key` names it until it is settled."""

    key: str
    text: str
    why: str
    path: str
    tone: str = "warn"


class PlanFacts(NamedTuple):
    """What Today says of the plan of the work folder."""

    gain: Ranged | None
    evidence: Badge
    budget_cents: int
    treated: int
    last_ms: int | None


@once("tables/policies.parquet", "notes/unchecked.json")
def plan_facts(job: Job) -> PlanFacts | None:
    """The plan's headline; None where there is no plan."""
    if not PlanNote.has(job.store):
        return None
    plan = Plan.load(job.store)
    head, note = plan.headline, plan.note
    last_ms = Span.load(job.store).last_ms if Span.has(job.store) else None
    gain = Ranged(head.gain_cents, head.low_cents, head.high_cents)
    return PlanFacts(gain, note.evidence, note.budget_cents, note.treated, last_ms)


@page("/")
def today(visit: PageVisit) -> Reply:
    """The first screen."""
    facts, cash = plan_facts(visit) if visit.server.config else None, Cash(visit.shared.shop.currency)
    now = summary(visit.call, visit.campaign_id)
    with visit.read() as db:
        dismissed = every(db, DISMISSED)
    return Screen("overview.html", worded("nav", "/"), {
        "big": big(now, facts, cash), "tiles": tiles(visit, now, facts, cash), "summary": now,
        "needs": [each for each in needed(visit, now, facts) if each.key not in dismissed],
        "steps": steps(visit, now, facts), "campaign_id": visit.campaign_id, "changes": changes(visit),
        "can_roll_back": bool(now.previous),
    })  # fmt: skip


def big(now: CampaignSummary, facts: PlanFacts | None, cash: Cash) -> Big:
    """What was added so far; before that is known, what is expected."""
    earned, label = now.earned, say("added")
    if earned is not None:
        gain = None if earned.total_cents is None else Ranged(earned.total_cents, earned.low_cents, earned.high_cents)
        said = worded("answer", earned.answer)
        if gain is None:
            said += pick(" ", "") + upper_first(kept(earned.why)) + pick(".", "。")
        said += pick(" ", "") + say("compared", n=count(earned.customers), held=count(earned.held_out))
        shown = earned.answer in SHOWN
        return headline(label, gain, said, earned.evidence, cash, shown=shown)  # type: ignore[arg-type]
    if facts is None or facts.gain is None:
        return Big(label, say("not_known_yet"), say("no_plan"))
    between = bracket(interval(facts.gain.low, facts.gain.high, cash))
    text = say("measured_later" if now.release else "no_release", gain=f"{cash(facts.gain.value, sign=True)}{between}")
    return Big(label, say("not_measured"), text)


def tiles(visit: PageVisit, now: CampaignSummary, facts: PlanFacts | None, cash: Cash) -> list[Big]:
    """Money and decisions now."""

    def made(name: str, some: Made) -> Big:
        text = say("gave_none", share=share(some.none_share)) if some.decisions else say("nobody_asked")
        return Big(say(name), count(some.decisions), text)

    spent = say("paid")
    if facts is not None:
        long = days(visit.shared.config.plan.window_days)
        spent += pick(" ", "") + say("plan_has", budget=cash(facts.budget_cents), days=long)
    spent += pick(" ", "") + say("held", money=cash(now.held_cents))
    found = [Big(say("spent"), cash(now.spent_cents), spent), made("in_hour", now.hour), made("in_day", now.day)]
    if facts and facts.gain:
        between = interval(facts.gain.low, facts.gain.high, cash)
        text = pick(f"{between}, for {plural(facts.treated, 'customer')}.",
                    f"{between}，涉及{count(facts.treated)}位客户。")  # fmt: skip
        found.insert(0, Big(say("plan_expects"), cash(facts.gain.value, sign=True), text, facts.evidence))
    return found


def needed(visit: PageVisit, now: CampaignSummary, facts: PlanFacts | None) -> list[Need]:
    """What waits for a person, the most pressing first."""
    found = []
    if now.earned and not now.earned.ratio_ok:
        found.append(Need("ratio", say("ratio"), now.earned.ratio_rule, "/results", "bad"))
    if now.paused:
        found.append(Need("paused", say("is_paused"), say("all_none"), "/live"))
    for each in now.limits:
        if (each.share or 0) >= NEARLY:
            text = say("limit_near", name=each.limit_id, share=share(each.share))
            found.append(Need(f"limit {each.limit_id}", text, say("limit_full"), "/live"))
    found += [Need(f"release {name}", say("release_waits"), name, "/plan") for name in now.waiting]
    with visit.read() as db:
        asked = {name: each.line.id for name, each in MenuDraft.all(db).items() if each.status == "asked"}
    found += [Need(f"menu {name}", say("offer_waits"), line, "/offers") for name, line in asked.items()]
    last_ms = facts.last_ms if facts and not visit.shared.played() else None
    if last_ms and (old := (visit.now_ms - last_ms) / DAY_MS) > STALE_DAYS:
        why = say("data_old_why", day=date(last_ms, visit.shared.shop.zone), days=days(old))
        found.append(Need(f"stale {last_ms}", say("data_old"), why, "/data"))
    if waiting := texts_waiting(visit):
        text = pick(f"{plural(waiting, 'text')} for messages wait for a person", f"{count(waiting)}条文案等待人工审核")
        found.append(Need(f"texts {waiting}", text, say("texts_not_sent"), "/words"))
    return found


def texts_waiting(visit: PageVisit) -> int:
    """Texts of the pool that a person must read before they are sent; 0 where the judge's verdict is enough."""
    config = visit.server.config
    if config is None or config.message.approve != "person":
        return 0
    try:
        pool = load_pool(Path(config.message.pool) if config.message.pool else None)
    except InputError:
        return 0
    return sum(each.state in ("judged", "edited") for each in pool.texts)


def steps(visit: PageVisit, now: CampaignSummary, facts: PlanFacts | None) -> list[dict[str, Any]]:
    """The first days in order, and which of them are done; empty once all are."""
    data = visit.server.config is not None and Clean(visit.store).has_events
    with visit.read() as db:
        redeemed = db.execute(select(REDEMPTIONS.c.redemption_id).limit(1)).first() is not None
    key = any(each["scope"] == "decide" and not each["revoked"] for each in admin.keys(visit.call)["data"])
    done = {
        "read": (data, "/data", ""), "plan": (facts is not None, "/data", ""),
        "freeze": (bool(now.release), "/plan", ""), "key": (key, "/developer", ""),
        "decision": (now.last_decision_ms is not None, "/developer", "POST /v1/decisions"),
        "redeemed": (redeemed, "/developer", "POST /v1/redemptions:reserve"),
    }  # fmt: skip
    found = [{"text": worded("first", name), "done": is_done, "path": path, "how": how}
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
        raise refused("why_missing")

    def do(db: Connection, now_ms: int) -> None:
        put(db, DISMISSED, key, {"by": visit.visitor.name, "why": why}, now_ms)
        visit.note(db, now_ms, "console.dismiss", key, None, {"why": why})

    visit.change(do)


@form("/roll-back", "approver", "/")
def roll_back(visit: PageVisit) -> None:
    """Back to the release before, at once."""
    admin.roll_back(visit.call, visit.campaign_id)
