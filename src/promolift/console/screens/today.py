"""Today: what the campaign has added, how it runs, what needs a person now, and what is left to do at first."""

from pathlib import Path
from typing import NamedTuple

from sqlalchemy import Connection, select

from promolift.console.visit import PageVisit, Reply, Screen, form, page
from promolift.errors import InputError
from promolift.message import load_pool
from promolift.pages.blocks import Badge, Big
from promolift.pages.figures import headline
from promolift.results.chinese import kept
from promolift.results.learned import Ranged
from promolift.results.plan import Plan, PlanNote
from promolift.results.shop import Span
from promolift.results.tables import Clean
from promolift.serve.menu import MenuDraft
from promolift.serve.redeem import STEPS
from promolift.serve.routes import admin
from promolift.serve.routes.summary import CampaignSummary, LimitUse, summary
from promolift.serve.worded import refused
from promolift.sql import DAY_MS
from promolift.store.ledger_audit import every, put
from promolift.store.ledger_schema import AUDIT, REDEMPTIONS
from promolift.words import Cash, bracket, count, date, days, interval, pick, plural, share, upper_first

STALE_DAYS = 14
NEARLY = 0.9  # of a limit
DISMISSED = "console_dismissed"
ANSWERS = {
    "higher": ("The offers earned more than they cost.", "优惠带来的收益高于花费。"),
    "lower": ("The offers lost money.", "优惠亏了钱。"),
    "not shown": ("Not proven yet: luck alone could make this difference.", "尚未证实：这个差别可能只是偶然。"),
    "too early": ("Too early to say.", "现在下结论还太早。"),
    "cannot say": ("Nothing can be said yet.", "目前还不能下结论。"),
}


class Need(NamedTuple):
    """Something that waits for a person; `key` names it until it is settled."""

    key: str
    text: str
    why: str
    path: str
    tone: str = "warn"


class FirstStep(NamedTuple):
    """A step of the first days, and whether it is done."""

    text: str
    how: str
    done: bool
    path: str = ""


class PlanFacts(NamedTuple):
    """What Today says of the plan of the work folder."""

    gain: Ranged | None
    evidence: Badge
    budget_cents: int
    window_days: int
    treated: int
    sentence: str
    last_ms: int | None


def plan_facts(visit: PageVisit) -> PlanFacts | None:
    """The plan's headline; None where there is no plan, or no shop."""
    config = visit.server.config
    if config is None:
        return None

    def make(job: object) -> PlanFacts | None:
        store = job.store  # type: ignore[attr-defined]
        if not PlanNote.has(store):
            return None
        plan = Plan.load(store)
        head, note = plan.headline, plan.note
        gain = Ranged(head.gain_cents, head.low_cents, head.high_cents)
        return PlanFacts(
            gain,
            note.evidence,
            note.budget_cents,
            config.plan.window_days,
            note.treated,
            str(plan).splitlines()[0],
            Span.load(store).last_ms if Span.has(store) else None,
        )

    found: PlanFacts | None = visit.shared.once("plan facts", make, "tables/policies.parquet", "notes/unchecked.json")
    return found


@page("")
def today(visit: PageVisit) -> Reply:
    """The first screen."""
    facts, cash = plan_facts(visit), Cash(visit.shared.shop.currency)
    now = summary(visit.call, visit.campaign_id)
    with visit.read() as db:
        dismissed = every(db, DISMISSED)
        first_redeemed = db.execute(select(REDEMPTIONS.c.redemption_id).limit(1)).first() is not None
    needs = [each for each in needed(visit, now, facts) if each.key not in dismissed]
    data = {
        "big": big(now, facts, cash),
        "tiles": tiles(now, facts, cash),
        "needs": needs,
        "steps": steps(visit, now, facts, first_redeemed),
        "summary": now,
        "campaign_id": visit.campaign_id,
        "changes": changes(visit),
        "can_roll_back": bool(now.previous),
    }
    return Screen("today.html", pick("Today", "今日"), data)


def big(now: CampaignSummary, facts: PlanFacts | None, cash: Cash) -> Big:
    """What was added so far; before that is known, what is expected."""
    earned = now.earned
    if earned is not None:
        gain = None
        if earned.total_cents is not None:
            gain = Ranged(earned.total_cents, earned.low_cents, earned.high_cents)
        said = pick(*ANSWERS.get(earned.answer, (earned.answer, earned.answer)))
        if gain is None:
            said += pick(" ", "") + upper_first(kept(earned.why)) + pick(".", "。")
        compared = pick(
            f"{count(earned.customers)} customers who could get an offer, against {count(earned.held_out)} held out at "
            "random.",
            f"{count(earned.customers)}位可得到优惠的客户，对照随机留出的{count(earned.held_out)}位。",
        )
        evidence: Badge = earned.evidence  # type: ignore[assignment]
        return headline(pick("Added by the offers so far", "优惠至今多赚"), gain, f"{said} {compared}", evidence, cash)
    label = pick("Added by the offers so far", "优惠至今多赚")
    if facts is None or facts.gain is None:
        return Big(label, pick("Not known yet", "尚未知道"), pick("There is no plan yet.", "还没有计划。"))
    gain = facts.gain
    expected = f"{cash(gain.value, sign=True)}{bracket(interval(gain.low, gain.high, cash))}"
    if not now.release:
        text = pick(
            f"No release decides yet, so nothing was earned. The plan expects {expected}.",
            f"还没有启用的发布，因此尚无收益。计划预期{expected}。",
        )
    else:
        text = pick(
            f"Measured once customers had time to answer: they are compared with those held out at random. The plan "
            f"expects {expected}.",
            f"客户有时间作出反应后才能测量：与随机留出的客户比较。计划预期{expected}。",
        )
    return Big(label, pick("Not measured yet", "尚未测量"), text)


def tiles(now: CampaignSummary, facts: PlanFacts | None, cash: Cash) -> list[Big]:
    """Money and decisions now."""
    of = pick("Paid out in redeemed offers so far.", "至今已核销优惠的花费。")
    if facts is not None:
        whole, long = cash(facts.budget_cents), days(facts.window_days)
        of += pick(f" The plan has {whole} for {long}.", f"计划{long}预算{whole}。")
    part = share(now.hour.none_share) if now.hour.decisions else ""
    hour = pick(
        f"{part} of them gave no offer." if part else "Nobody asked in this hour.",
        f"其中{part}没有给优惠。" if part else "这一小时没有请求。",
    )
    part = share(now.day.none_share) if now.day.decisions else ""
    held = pick(
        f"{cash(now.held_cents)} more is held for open orders.", f"另有{cash(now.held_cents)}为未完成订单预占。"
    )
    found = [
        Big(pick("Spent", "已花费"), cash(now.spent_cents), f"{of} {held}"),
        Big(pick("Decisions in the last hour", "最近一小时的决策"), count(now.hour.decisions), hour),
        Big(
            pick("Decisions in the last day", "最近一天的决策"),
            count(now.day.decisions),
            pick(f"{part} gave no offer." if part else "None yet.", f"{part}没有给优惠。" if part else "暂无。"),
        ),
    ]
    if facts and facts.gain:
        gain = facts.gain
        between = interval(gain.low, gain.high, cash)
        found.insert(
            0,
            Big(
                pick("The plan expects", "计划预期"),
                cash(gain.value, sign=True),
                pick(
                    f"{between}, for {plural(facts.treated, 'customer')}.",
                    f"{between}，涉及{count(facts.treated)}位客户。",
                ),
                facts.evidence,
            ),
        )
    return found


def needed(visit: PageVisit, now: CampaignSummary, facts: PlanFacts | None) -> list[Need]:
    """What waits for a person, the most pressing first."""
    found = []
    if now.earned and not now.earned.ratio_ok:
        found.append(
            Need(
                "ratio",
                pick("The groups do not have the sizes that were drawn", "分组人数与抽样不符"),
                now.earned.ratio_rule,
                "/results",
                "bad",
            )
        )
    if now.paused:
        found.append(
            Need(
                "paused",
                pick("The campaign is paused", "活动已暂停"),
                pick("Every decision is “no offer”.", "所有决策都是“不发优惠”。"),
                "/live",
            )
        )
    found += [limit_need(each) for each in now.limits if (each.share or 0) >= NEARLY]
    found += [
        Need(f"release {name}", pick("A release waits for a yes", "有一个发布等待批准"), name, "/plan")
        for name in now.waiting
    ]
    with visit.read() as db:
        asked = {name: each.line.id for name, each in MenuDraft.all(db).items() if each.status == "asked"}
    found += [
        Need(f"menu {name}", pick("An offer waits for a yes", "有一条优惠等待批准"), line, "/offers")
        for name, line in asked.items()
    ]
    if (
        facts
        and facts.last_ms
        and not visit.shared.played()
        and (old := (visit.now_ms - facts.last_ms) / DAY_MS) > STALE_DAYS
    ):
        last = date(facts.last_ms, visit.shared.shop.zone)
        en = f"The last event in the log is of {last}, {days(old)} ago. The plan knows nothing of what came after."
        zh = f"日志最后一条事件在{last}，距今{days(old)}。之后发生的事，计划都不知道。"
        found.append(Need(f"stale {facts.last_ms}", pick("The data are old", "数据已经陈旧"), pick(en, zh), "/data"))
    if waiting := texts_waiting(visit):
        found.append(
            Need(
                f"texts {waiting}",
                pick(
                    f"{plural(waiting, 'text')} for messages wait for a person", f"{count(waiting)}条文案等待人工审核"
                ),
                pick("Until then they are not sent.", "审核之前不会发送。"),
                "/words",
            )
        )
    return found


def limit_need(each: LimitUse) -> Need:
    """A limit that is nearly reached."""
    part = share(each.share)
    return Need(
        f"limit {each.limit_id}",
        pick(f"The limit {each.limit_id} is at {part}", f"限额{each.limit_id}已用{part}"),
        pick("At 100 % offers under it are refused.", "用满后，受其约束的优惠会被拒绝。"),
        "/live",
    )


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


def steps(visit: PageVisit, now: CampaignSummary, facts: PlanFacts | None, redeemed: bool) -> list[FirstStep]:
    """The first days, in order; empty once all is done."""
    config = visit.server.config
    data = False
    if config is not None:
        with visit.job() as job:
            data = Clean(job.store).has_events
    scopes = {key["scope"] for key in admin.keys(visit.call)["data"] if not key["revoked"]}
    found = [
        FirstStep(pick("Read the shop's files", "读入店铺数据"), "", data, "/data"),
        FirstStep(pick("Make a plan", "制定计划"), "", facts is not None, "/data"),
        FirstStep(
            pick("Freeze the plan as a release and activate it", "把计划冻结为发布并启用"),
            "",
            bool(now.release),
            "/plan",
        ),
        FirstStep(
            pick("Give the shop a key that asks for decisions", "给店铺一个请求决策的密钥"),
            "",
            "decide" in scopes,
            "/developer",
        ),
        FirstStep(
            pick("First decision", "第一次决策"), "POST /v1/decisions", now.last_decision_ms is not None, "/developer"
        ),
        FirstStep(pick("First offer redeemed", "第一次核销"), "POST /v1/redemptions:reserve", redeemed, "/developer"),
    ]
    return [] if all(step.done for step in found) else found


def changes(visit: PageVisit, most: int = 6) -> list[dict[str, object]]:
    """The last rows of the audit log that people care for."""
    wanted = select(AUDIT.c.ts_ms, AUDIT.c.actor, AUDIT.c.action, AUDIT.c.subject)
    plain = AUDIT.c.action.not_in(STEPS), AUDIT.c.action.not_like("session.%")
    latest = wanted.where(*plain).order_by(AUDIT.c.seq.desc()).limit(most)
    with visit.read() as db:
        return [dict(row) for row in db.execute(latest).mappings()]


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
