"""The plan: expected gain by budget and its uncertainty, drafts, approval and the active release."""

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any, NamedTuple

from sqlalchemy import Connection

from promolift.foundation.errors import PromoError
from promolift.foundation.i18n.catalogue import gettext
from promolift.foundation.i18n.formatting import MoneyFormat, count, number, percent
from promolift.foundation.pages.blocks import Block, Figure, HeadlineAssumption, KeyFigure, TextTable
from promolift.server.api.routes import admin
from promolift.server.console.pages.context import (
    PageVisit,
    Reply,
    Screen,
    cached_result,
    chart_options,
    form,
    page,
    sentence,
)
from promolift.server.console.pages.empty_page import empty_screen
from promolift.server.ledger.records import Campaign, ReleaseRecord
from promolift.server.translations import translate_group, translate_key, translate_refusal
from promolift.shop.pipeline.release import Manifest, read_manifest
from promolift.shop.reports.chapters import budget, planned_audiences, recipients, summary
from promolift.shop.reports.story import Story
from promolift.shop.reports.story_builder import build_plan_story
from promolift.shop.results.plan import BudgetCurve, Plan
from promolift.shop.results.plan_note import PlanNote, WhatIf
from promolift.shop.results.work_folder.run_context import Job

WAITING = ("draft", "asked", "approved")  # states of a release that somebody may go on with


class PlanPart(NamedTuple):
    """A folded part of the screen: its key in the page, its title, and which of the screen's blocks stand in it."""

    key: str
    title: str
    first: int
    end: int


class PlanScreen(NamedTuple):
    """What the screen shows of the plan, made once per plan; `top` is the largest budget that was tried. The curve is
    the first of the `blocks`, how to read it stands in `curve_how`.
    """

    story: Story
    head: KeyFigure
    numbers: list[KeyFigure]
    audiences: TextTable
    stands: list[HeadlineAssumption]
    blocks: list[Figure | Block]
    curve_how: str
    parts: list[PlanPart]
    top: float

    def what_if(self, budget_cents: float) -> WhatIf | None:
        """The best plan at another budget."""
        return BudgetCurve(self.story.frontier, self.story.plan.budget_cents).what_if(budget_cents)


@cached_result("tables/policies.parquet", "tables/messages.parquet", "notes/unchecked.json", "notes/offers.json")
def load_plan_screen(job: Job) -> PlanScreen:
    """Load the screen from the work folder."""
    story, plan = build_plan_story(job), Plan.load(job.store)
    cost, rules = budget.build_chapter(story), budget.build_policies_chapter(story)
    curve = [each for each in cost.blocks if isinstance(each, Figure) and each.id == "frontier"]
    who = [each for each in recipients.build_chapter(story).blocks if each.kind in ("figure", "grid")]
    folded = {
        "profit": (cost.title, [each for each in cost.blocks if each not in curve]),
        "method": (gettext("How was the plan chosen?"), [*budget.build_method_chapter(story).blocks]),
        "who": (gettext("Which offers, and why these customers?"), who),
        "rules": (rules.title, [*rules.blocks]),
    }
    blocks: list[Figure | Block] = [replace(each, how="", spec={**each.spec, "short": True}) for each in curve]
    curve_how, parts = "".join(each.how for each in curve), list[PlanPart]()
    for key, (title, some) in folded.items():
        if some:
            parts.append(PlanPart(key, title, len(blocks), len(blocks) + len(some)))
            blocks += some
    stands = [summary.assumption_row(each, story.cash) for each in story.summary.assumptions]
    top = float(story.frontier["budget_cents"].max() or 0) if story.frontier.height else 0.0  # type: ignore[arg-type]
    table = planned_audiences.audience_table(planned_audiences.planned_audiences(job, plan), plan)
    head, numbers = summary.headline_figure(story), summary.numbers(story)
    return PlanScreen(story, head, numbers, table, stands, blocks, curve_how, parts, top)


@page("/plan")
def plan(visit: PageVisit) -> Reply:
    """The screen."""
    if not PlanNote.has(visit.job().store):
        return empty_screen(visit, "/plan", "/data")
    shown, lines = load_plan_screen(visit), releases(visit)
    story, cents = shown.story, shown.story.plan.budget_cents
    return Screen("plan/page.html", translate_key("nav", "/plan"), {
        "head": shown.head, "numbers": shown.numbers, "stands": shown.stands, "why": story.why, "next": story.next,
        "audiences": shown.audiences, "blocks": shown.blocks, "curve_how": shown.curve_how,
        "parts": shown.parts, "top": shown.top, "budget": cents,
        "what_if": shown.what_if(float(cents)), "releases": lines, "job": visit.shared.jobs.last("plan"),
        "two_eyes": visit.two_eyes,
    })  # fmt: skip


@page("/plan/what-if")
def try_budget(visit: PageVisit) -> Reply:
    """The part of the screen that follows the slider; nothing is written."""
    shown = load_plan_screen(visit)
    story, cash = shown.story, shown.story.cash
    found = shown.what_if(visit.number("budget", float(story.plan.budget_cents), 0.0, shown.top))
    spec = dict(chart_options(shown.blocks)["frontier"])
    if found is not None:
        spec["chosen"] = [found.budget_cents, found.gain_cents, found.price]
        spec["label"] = gettext("tried: ") + f"{cash(found.budget_cents)} → {cash(found.gain_cents)}"
        spec["slope"] = sentence("next_adds", unit=cash.unit, more=number(found.price))
    data = {"what_if": found, "budget": story.plan.budget_cents}
    return Screen("plan/what_if.html", gettext("What if"), data, {"frontier": spec}, whole=False)


def releases(visit: PageVisit) -> list[dict[str, Any]]:
    """All of the campaign, the latest first: with which numbers each was frozen, where it stands, what may be done."""
    campaign = visit.campaign()
    with visit.read() as db:
        made = {name: one for name, one in ReleaseRecord.all(db).items() if one.campaign_id == visit.campaign_id}
    found = [release_line(visit, name, one, campaign) for name, one in made.items()]
    return sorted(found, key=lambda each: (not each["live"], each["release_id"]))


def release_line(visit: PageVisit, name: str, made: ReleaseRecord, campaign: Campaign) -> dict[str, Any]:
    """One of them."""
    frozen, live, mine = manifest(visit, name), campaign.release == name, made.by == visit.visitor.name
    note = frozen.plan if frozen else None
    cleared = not visit.two_eyes or made.approved_by is not None or made.by is None
    numbers = ("budget_cents", "cost_cents", "treated", "evidence")
    return {
        "release_id": name, "status": "live" if live else made.status or "frozen", "live": live,
        "by": made.by or "", "approved_by": made.approved_by or "", "note": made.note or "",
        "previous": campaign.previous == name, "may_ask": made.status == "draft",
        "may_approve": made.status in ("draft", "asked") and not (visit.two_eyes and mine),
        "may_activate": frozen is not None and not live and cleared,
        "waits": frozen is not None and not live and campaign.previous != name and made.status in WAITING,
        "gain_cents": frozen.expected.value_cents if frozen else None,
    } | {each: getattr(note, each, None) for each in numbers}  # fmt: skip


def manifest(visit: PageVisit, release_id: str) -> Manifest | None:
    """What a release says of itself; None where its files are gone or of another version."""
    try:
        return read_manifest(visit.server.settings.work / "serve" / "releases" / release_id, release_id)
    except PromoError:
        return None


@form("/plan/draft", "editor", "/plan")
def save_draft(visit: PageVisit) -> str:
    """The plan at this budget as a draft: at once where it is the plan that is there, else in the background."""
    try:
        wanted = round(float(visit.form.get("budget", "")))
    except ValueError:
        raise translate_refusal("budget_wrong") from None
    if wanted != load_plan_screen(visit).story.plan.budget_cents:
        if wanted <= 0:
            raise translate_refusal("budget_zero")
        visit.shared.jobs.start("plan", {"budget_cents": wanted}, visit.visitor.name)
        return sentence("draft_begun")
    release_id = json.loads(bytes(admin.make_release(visit.call).body))["release_id"]
    return keep_draft(visit, release_id, visit.visitor.name, visit.text("note", 200))


def keep_draft(visit: PageVisit, release_id: str, by: str, note: str) -> str:
    """Mark a release as the draft of the person `by`, unless it decides, or is another's already."""
    campaign, terms = visit.campaign(), visit.server.decider.ensure_everywhere(release_id).terms

    def do(db: Connection, now_ms: int) -> None:
        made = ReleaseRecord.find(db, release_id)
        if made is None:
            made = ReleaseRecord(release_id=release_id, campaign_id=terms.campaign_id, price=terms.price)
            made.save(db, release_id, now_ms)
        if campaign.release == release_id or made.by:
            return
        made.model_copy(update={"status": "draft", "by": by, "note": note}).save(db, release_id, now_ms)
        visit.append_audit(db, now_ms, "release.draft", release_id, None, {"by": by, "note": note})

    visit.change(do)
    return sentence("draft_saved", name=release_id)


@form("/plan/take/{job_id}", "editor", "/plan")
def take_draft(visit: PageVisit) -> str:
    """The release that a finished job made, as a draft of who started it."""
    found = visit.shared.jobs.find(visit.params["job_id"])
    if found is None or "release_id" not in found["result"]:
        raise translate_refusal("job_unknown")
    return keep_draft(visit, found["result"]["release_id"], found["name"], "")


def change_status(visit: PageVisit, action: str, may: Callable[[ReleaseRecord], bool], **new: Any) -> None:
    """A release as it is `new`, audited; whether it `may` is looked at in the same change, so that nobody comes
    between.
    """

    def do(db: Connection, now_ms: int) -> None:
        made = requested_release(visit, db)
        if not may(made):
            raise translate_refusal("not_a_draft")
        made.model_copy(update=new).save(db, made.release_id, now_ms)
        visit.append_audit(db, now_ms, action, made.release_id, {"status": made.status}, new)

    visit.change(do)


def requested_release(visit: PageVisit, db: Connection) -> ReleaseRecord:
    """Return the release that the form names."""
    found = ReleaseRecord.find(db, visit.params["release_id"])
    if found is None:
        raise translate_refusal("release_unknown")
    return found


@form("/releases/{release_id}/ask", "editor", "/plan")
def ask(visit: PageVisit) -> None:
    """Ask somebody to approve a draft."""
    change_status(visit, "release.ask", lambda made: made.status == "draft", status="asked")


@form("/releases/{release_id}/approve", "approver", "/plan")
def approve(visit: PageVisit) -> None:
    """Say yes to a draft; where two pairs of eyes are asked for, not to one's own."""

    def may(made: ReleaseRecord) -> bool:
        visit.require_other_person(made.by)
        return made.status in ("draft", "asked")

    change_status(visit, "release.approve", may, status="approved", approved_by=visit.visitor.name)


@form("/releases/{release_id}/activate", "approver", "/plan")
def activate(visit: PageVisit) -> str:
    """Decide from it from the next decision on."""

    def may(db: Connection) -> None:
        made = requested_release(visit, db)
        if visit.two_eyes and made.by is not None and made.approved_by in (None, made.by):
            raise translate_refusal("not_approved")

    with visit.read() as db:
        may(db)
    admin.activate_release(visit.call, visit.params["release_id"], may)
    return sentence("decides_now", name=visit.params["release_id"])


@page("/plan/compare")
def compare(visit: PageVisit) -> Reply:
    """Two releases side by side, by the numbers they were frozen with."""
    names = [visit.query.get(name, "") for name in ("a", "b")]
    found = [frozen for name in names if name and (frozen := manifest(visit, name))]
    if len(found) != 2:
        raise translate_refusal("releases_two")
    rows = [
        {"name": name, "a": a, "b": b, "same": a == b}
        for name, a, b in zip(translate_group("frozen").values(), *map(frozen_facts, found), strict=True)
    ]
    return Screen("plan/compare.html", sentence("two_releases"), {"a": names[0], "b": names[1], "rows": rows})


def frozen_facts(frozen: Manifest) -> list[str]:
    """What a release was frozen with, in words: as `frozen` in server/translations.tsv names it."""
    note, cash = frozen.plan, MoneyFormat(frozen.plan.shop.currency)
    return [
        cash(note.budget_cents),
        cash(frozen.expected.value_cents, sign=True),
        cash(note.cost_cents),
        count(note.treated),
        count(note.held_out),
        count(len(frozen.offers)),
        count(len(frozen.wording.texts)),
        percent(frozen.terms.explore),
        note.evidence,
    ]


@page("/jobs/{job_id}")
def show_job(visit: PageVisit) -> Reply:
    """How work in the background stands; asked for again while it runs."""
    found = visit.shared.jobs.find(visit.params["job_id"])
    if found is None:
        raise translate_refusal("work_unknown")
    return Screen("job.html", gettext("Work"), {"job": found}, whole=False)


@form("/jobs/{job_id}/stop", "editor", "/plan")
def stop_job(visit: PageVisit) -> None:
    """Stop it."""
    visit.shared.jobs.stop(visit.params["job_id"])
