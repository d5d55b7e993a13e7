"""The plan: what each budget would bring, how sure that is, who gets what; drafts, approval, and what decides."""

import json
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from sqlalchemy import Connection

from promolift.console.visit import PageVisit, Redirect, Reply, Screen, form, on_to, page
from promolift.errors import PromoError
from promolift.pages.blocks import Big, Block, Figure, Stand
from promolift.pages.chapters import budget, people, summary
from promolift.pages.shop import tell_plan
from promolift.pages.story import Story
from promolift.results.plan import Curve, PlanNote, WhatIf
from promolift.serve.release import Manifest, read_manifest
from promolift.serve.routes import admin
from promolift.serve.things import Campaign, MadeRelease
from promolift.serve.worded import refused
from promolift.words import Cash, count, number, pick, share

STEPS_OF_SLIDER = 200
FILES = ("tables/policies.parquet", "tables/messages.parquet", "notes/unchecked.json", "notes/offers.json")


class PlanScreen(NamedTuple):
    """What the screen shows of the plan, made once per plan."""

    story: Story
    head: Big
    numbers: list[Big]
    stands: list[Stand]
    blocks: list[Figure | Block]


class ReleaseLine(NamedTuple):
    """A release in the list: the numbers it was frozen with, where it stands, and what may be done with it."""

    release_id: str
    status: str
    by: str
    approved_by: str
    note: str
    budget_cents: int | None
    gain_cents: float | None
    cost_cents: float | None
    treated: int | None
    evidence: str | None
    live: bool
    previous: bool
    may_ask: bool
    may_approve: bool
    may_activate: bool


def screen_of(visit: PageVisit) -> PlanScreen:
    """From the work folder, or from memory. The curve stands first, below its slider."""

    def make(job: Any) -> PlanScreen:
        story = tell_plan(job)
        cost, rules = budget.tell(story).blocks, budget.tell_policies(story).blocks
        who = [each for each in people.tell(story).blocks if each.kind in ("figure", "grid")]
        blocks = [*budget.tell_method(story).blocks, *who, *cost, *rules]
        blocks.sort(key=lambda each: not (isinstance(each, Figure) and each.id == "frontier"))
        stands = [summary.stand(each) for each in story.believed]
        return PlanScreen(story, summary.first(story), summary.numbers(story), stands, blocks)

    found: PlanScreen = visit.shared.once("plan", make, *FILES)
    return found


@page("/plan")
def plan(visit: PageVisit) -> Reply:
    """The screen."""
    working = visit.shared.jobs.running
    with visit.job() as job:
        if not PlanNote.has(job.store):
            return Screen("plan_none.html", pick("Plan", "计划"), {"job": working})
    shown = screen_of(visit)
    story = shown.story
    top = float(story.frontier["budget_cents"].max() or 0) if story.frontier.height else 0.0  # type: ignore[arg-type]
    lines = releases(visit)
    data = {
        "head": shown.head, "numbers": shown.numbers, "stands": shown.stands, "why": story.why, "next": story.next,
        "blocks": shown.blocks, "top": top, "step": max(1, round(top / STEPS_OF_SLIDER)),
        "budget": story.plan.budget_cents, "what_if": what_if(story, float(story.plan.budget_cents)),
        "releases": lines,
        "job": visit.shared.jobs.last("plan"),
        "two_eyes": visit.server.settings.console.two_eyes,
        "frozen": any(each.budget_cents == story.plan.budget_cents for each in lines),
    }  # fmt: skip
    figures = {each.id: each.spec for each in shown.blocks if isinstance(each, Figure)}
    return Screen("plan.html", pick("Plan", "计划"), data, figures)


def what_if(story: Story, budget_cents: float) -> WhatIf | None:
    """The best plan at another budget."""
    return Curve(story.frontier, story.plan.budget_cents).what_if(budget_cents)


@page("/plan/what-if")
def try_budget(visit: PageVisit) -> Reply:
    """The part of the screen that follows the slider; nothing is written."""
    story = screen_of(visit).story
    top = float(story.frontier["budget_cents"].max() or 0) if story.frontier.height else 0.0  # type: ignore[arg-type]
    asked = visit.number("budget", float(story.plan.budget_cents), 0.0, top)
    data = {"what_if": what_if(story, asked), "budget": story.plan.budget_cents}
    figure = next(each for each in screen_of(visit).blocks if isinstance(each, Figure) and each.id == "frontier")
    found, cash = data["what_if"], story.cash
    spec: dict[str, Any] = dict(figure.spec)
    if isinstance(found, WhatIf):
        spec["chosen"] = [found.budget_cents, found.gain_cents, found.price]
        spec["label"] = pick("tried: ", "试算：") + f"{cash(found.budget_cents)} → {cash(found.gain_cents)}"
        more = number(found.price)
        spec["slope"] = pick(f"the next {cash.unit} adds {more}", f"再加{cash.unit}多赚{more}")
    return Screen("plan_what_if.html", pick("What if", "试算"), data, {"frontier": spec}, whole=False)


def releases(visit: PageVisit) -> list[ReleaseLine]:
    """All of the campaign, the latest first."""
    campaign = visit.campaign()
    with visit.read() as db:
        made = {name: one for name, one in MadeRelease.all(db).items() if one.campaign_id == visit.campaign_id}
    found = [release_line(visit, name, one, campaign) for name, one in made.items()]
    return sorted(found, key=lambda each: (not each.live, each.release_id))


def release_line(visit: PageVisit, name: str, made: MadeRelease, campaign: Campaign) -> ReleaseLine:
    """One of them."""
    frozen, live = manifest(visit, name), campaign.release == name
    note = frozen.plan if frozen else None
    two_eyes, mine = visit.server.settings.console.two_eyes, made.by == visit.visitor.name
    waits = made.status in ("draft", "asked")
    cleared = not two_eyes or made.approved_by is not None or made.by is None
    return ReleaseLine(
        name, "live" if live else made.status or "frozen", made.by or "", made.approved_by or "", made.note or "",
        note.budget_cents if note else None, note.gain_cents if note else None, note.cost_cents if note else None,
        note.treated if note else None, note.evidence if note else None, live, campaign.previous == name,
        may_ask=made.status == "draft", may_approve=waits and not (two_eyes and mine),
        may_activate=frozen is not None and not live and cleared,
    )  # fmt: skip


def manifest(visit: PageVisit, release_id: str) -> Manifest | None:
    """What a release says of itself; None where its files are gone or of another version."""
    try:
        return read_manifest(visit.server.settings.work / "serve" / "releases" / release_id, release_id)
    except PromoError:
        return None


def known(visit: PageVisit, db: Connection) -> MadeRelease:
    """The release that a form names."""
    release_id = visit.params["release_id"]
    found = MadeRelease.find(db, release_id)
    if found is None:
        raise refused("release_unknown")
    return found


@form("/plan/draft", "editor")
def save_draft(visit: PageVisit) -> Reply:
    """The plan at this budget as a draft: at once where it is the plan that is there, else in the background."""
    try:
        wanted = round(float(visit.form.get("budget", "")))
    except ValueError:
        raise refused("budget_wrong") from None
    story = screen_of(visit).story
    if wanted != story.plan.budget_cents:
        if wanted <= 0:
            raise refused("budget_zero")
        visit.shared.jobs.start("plan", {"budget_cents": wanted}, visit.visitor.name)
        en = "The plan for that budget is being made, with its words. Its release will stand below as a draft."
        return on_to("/plan", en, "正在按该预算制定计划并撰写文案，完成后会作为草稿列在下方。")
    release_id = json.loads(bytes(admin.make_release(visit.call).body))["release_id"]
    keep_draft(visit, release_id, visit.visitor.name, visit.text("note", 200))
    return on_to("/plan", f"Saved as a draft: {release_id}.", f"已保存为草稿：{release_id}。")


def keep_draft(visit: PageVisit, release_id: str, by: str, note: str) -> None:
    """Mark a release as the draft of the person `by`, unless it decides, or is another's already."""
    campaign = visit.campaign()

    def do(db: Connection, now_ms: int) -> None:
        made = MadeRelease.known(db, release_id)
        if campaign.release == release_id or made.by:
            return
        new = made.model_copy(update={"status": "draft", "by": by, "note": note})
        new.keep(db, release_id, now_ms)
        visit.note(db, now_ms, "release.draft", release_id, None, {"by": by, "note": note})

    visit.change(do)


@form("/plan/take/{job_id}", "editor")
def take_draft(visit: PageVisit) -> Reply:
    """The release that a finished job made, as a draft of who started it."""
    found = visit.shared.jobs.find(visit.params["job_id"])
    if found is None or "release_id" not in found["result"]:
        raise refused("job_unknown")
    release_id = found["result"]["release_id"]
    terms = visit.server.decider.ensure(release_id).terms

    def do(db: Connection, now_ms: int) -> None:
        if MadeRelease.find(db, release_id) is None:
            made = MadeRelease(release_id=release_id, campaign_id=terms.campaign_id, price=terms.price)
            made.keep(db, release_id, now_ms)

    visit.change(do)
    keep_draft(visit, release_id, found["name"], "")
    return on_to("/plan", f"Saved as a draft: {release_id}.", f"已保存为草稿：{release_id}。")


def move(visit: PageVisit, status: str, may: Callable[[MadeRelease], None], **more: Any) -> None:
    """Another status for a release, audited; `may` looks at it in the same change, so that nobody comes between."""

    def do(db: Connection, now_ms: int) -> None:
        made = known(visit, db)
        may(made)
        made.model_copy(update={"status": status, **more}).keep(db, made.release_id, now_ms)
        action = {"asked": "release.ask", "approved": "release.approve"}[status]
        visit.note(db, now_ms, action, made.release_id, {"status": made.status}, {"status": status, **more})

    visit.change(do)


@form("/releases/{release_id}/ask", "editor", "/plan")
def ask(visit: PageVisit) -> None:
    """Ask somebody to approve a draft."""

    def may(made: MadeRelease) -> None:
        if made.status != "draft":
            raise refused("not_a_draft")

    move(visit, "asked", may)


@form("/releases/{release_id}/approve", "approver", "/plan")
def approve(visit: PageVisit) -> None:
    """Say yes to a draft; where two pairs of eyes are asked for, not to one's own."""

    def may(made: MadeRelease) -> None:
        if made.status not in ("draft", "asked"):
            raise refused("not_a_draft")
        visit.need_other_eyes(made.by)

    move(visit, "approved", may, approved_by=visit.visitor.name)


@form("/releases/{release_id}/activate", "approver")
def activate(visit: PageVisit) -> Reply:
    """Decide from it from the next decision on."""

    def may(db: Connection) -> None:
        made = known(visit, db)
        if visit.server.settings.console.two_eyes and made.by is not None and made.approved_by in (None, made.by):
            raise refused("not_approved")

    with visit.read() as db:
        may(db)
    release_id = visit.params["release_id"]
    admin.switch_to(visit.call, release_id, may)
    return on_to("/plan", f"{release_id} decides now.", f"现在由{release_id}决策。")


@page("/plan/compare")
def compare(visit: PageVisit) -> Reply:
    """Two releases side by side, by the numbers they were frozen with."""
    names = [visit.query.get(name, "") for name in ("a", "b")]
    found = [manifest(visit, name) for name in names if name]
    if len(found) != 2 or None in found:
        raise refused("releases_two")
    a, b = (facts(each) for each in found if each)
    table = [{"name": name, "a": a[name], "b": b[name], "same": a[name] == b[name]} for name in a]
    data = {"a": names[0], "b": names[1], "rows": table}
    return Screen("plan_compare.html", pick("Two releases", "比较两个发布"), data)


def facts(frozen: Manifest) -> dict[str, str]:
    """What a release was frozen with, in words."""
    note, cash = frozen.plan, Cash(frozen.plan.shop.currency)
    return {
        pick("budget", "预算"): cash(note.budget_cents),
        pick("expected extra profit, luck not taken off", "预期增加的利润（未扣运气）"): cash(
            note.gain_cents, sign=True
        ),
        pick("expected cost", "预期花费"): cash(note.cost_cents),
        pick("customers with an offer", "得到优惠的客户"): count(note.treated),
        pick("held out", "留作对照"): count(note.held_out),
        pick("different offers", "优惠种类"): count(len(frozen.offers)),
        pick("texts that may be sent", "可发送的文案"): count(len(frozen.wording.texts)),
        pick("drawn at random", "随机探索"): share(frozen.terms.explore),
        pick("evidence", "证据"): note.evidence,
    }


@page("/jobs/{job_id}")
def job(visit: PageVisit) -> Reply:
    """How work in the background stands; asked for again while it runs."""
    found: Mapping[str, Any] | None = visit.shared.jobs.find(visit.params["job_id"])
    if found is None:
        raise refused("work_unknown")
    return Screen("job.html", pick("Work", "任务"), {"job": found}, whole=False)


@form("/jobs/{job_id}/stop", "editor")
def stop_job(visit: PageVisit) -> Reply:
    """Stop it."""
    visit.shared.jobs.stop(visit.params["job_id"])
    return Redirect("/plan")
