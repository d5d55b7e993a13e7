"""What the offers earned by month, against the holdout and the prediction; notes on days and excluded days."""

import asyncio
import csv
import io
import json
from collections.abc import Mapping
from datetime import timedelta
from typing import Any, NamedTuple

from sqlalchemy import select

from promolift.foundation.i18n.catalogue import gettext
from promolift.foundation.i18n.formatting import MoneyFormat, days
from promolift.foundation.i18n.lazy_message import gettext_lazy, render_message
from promolift.foundation.pages.blocks import Block, Figure
from promolift.server.api.routes import annotations
from promolift.server.api.routes.annotations import AnnotationIn
from promolift.server.api.routes.campaign_summary import load_last_learning
from promolift.server.console.pages.context import Download, PageVisit, Reply, Screen, cached_result, form, page
from promolift.server.ledger.records import LearnRun
from promolift.server.ledger.schema import AUDIT, Refused
from promolift.server.translations import translate_key, translate_refusal
from promolift.shop.reports.earnings import (
    ExcludedDays,
    TimedChange,
    by_play,
    driver_tiles,
    earned_blocks,
    earned_head,
    past_practice,
)
from promolift.shop.results.line_tests import describe_line
from promolift.shop.results.plan_note import PlanNote
from promolift.shop.results.promotion_history import PromotionHistory
from promolift.shop.results.work_folder.run_context import Job, midnight_ms

CHARTED_ACTIONS = ("release.activate", "release.rollback", "campaign.put", "experiment.put", "experiment.pause",
          "experiment.stop", "text.approve", "text.reject")  # fmt: skip
CHANGES_SHOWN, STARTS_S = 40, 10.0


@page("/results")
def results(visit: PageVisit) -> Reply:
    """The screen; `?part=run` is how the run of learning stands, looked at again while it runs."""
    with visit.read() as db:
        run = LearnRun.find(db, visit.campaign_id) if visit.campaign().release else None
    run = run or LearnRun(status="never")
    state = {"run": run.to_json() | {"why": render_message(run.why or "")}}
    if visit.query.get("part") == "run":
        return Screen("earnings/run.html", gettext("Learning"), state, whole=False)
    found, cash, shop = (
        load_last_learning(visit.call, visit.campaign_id),
        MoneyFormat(visit.shared.shop.currency),
        visit.shared.shop,
    )
    kept_notes, changed = annotations.annotations(visit.call).data, changes(visit)
    data: dict[str, Any] = state | {"notes": kept_notes, "changes": changed, "found": bool(found and "months" in found),
                                    "may_learn": bool(visit.campaign().release)}  # fmt: skip
    if found and "months" in found:
        beside = business_as_usual(visit) if visit.server.config else Beside([], {})
        blocks = earned_blocks(found, changed, excluded_periods(visit), cash, shop.zone)
        blocks[2:2] = [by_play(found, beside.words, cash), *beside.blocks]
        ratio = found["sample_ratio"]
        data |= {"head": earned_head(found, cash), "tiles": driver_tiles(found, cash), "blocks": blocks,
                 "rule": render_message(found["rule"]), "ratio": ratio | {"rule": render_message(ratio["rule"])},
                 "until_ms": found["until_ms"] - 1, "window": days(found["window_days"])}  # fmt: skip
    return Screen("earnings/page.html", translate_key("nav", "/results"), data)


class Beside(NamedTuple):
    """What business as usual earned, and the plan's menu lines in words."""

    blocks: list[Figure | Block]
    words: Mapping[str, str]


@cached_result("notes/history.json")
def business_as_usual(job: Job) -> Beside:
    """What stands beside the results of the campaign, from the work folder."""
    history = PromotionHistory.load(job.store) if PromotionHistory.has(job.store) else None
    lines = PlanNote.load(job.store).menu if PlanNote.has(job.store) else ()
    currency = job.config.shop.currency
    return Beside(past_practice(history), {line.id: describe_line(line, currency) for line in lines})


def excluded_periods(visit: PageVisit) -> list[ExcludedDays]:
    """The days that count in no result, as moments in the shop's zone."""
    zone = visit.shared.shop.zone
    return [
        ExcludedDays(midnight_ms(each.first, zone), midnight_ms(each.last + timedelta(days=1), zone))
        for each in annotations.annotations(visit.call).data if each.excluded
    ]  # fmt: skip


def changes(visit: PageVisit) -> list[TimedChange]:
    """What was changed of the campaign, and what people noted; the latest first, numbered as the chart has them."""
    wanted = select(AUDIT.c.ts_ms, AUDIT.c.action, AUDIT.c.subject, AUDIT.c.actor).where(
        AUDIT.c.action.in_(CHARTED_ACTIONS)
    )
    with visit.read() as db:
        rows = db.execute(wanted.order_by(AUDIT.c.seq.desc()).limit(CHANGES_SHOWN)).all()
    zone = visit.shared.shop.zone
    found = [TimedChange(row.ts_ms, f"{row.actor}: {translate_key('act', row.action)} {row.subject}") for row in rows]
    found += [
        TimedChange(midnight_ms(each.first, zone), each.text) for each in annotations.annotations(visit.call).data
    ]
    ordered = sorted(found, key=lambda each: each.ts_ms)
    return [each._replace(place=place) for place, each in enumerate(ordered, 1)][::-1]


@form("/results/learn", "editor", "/results")
def learn(visit: PageVisit) -> None:
    """Read what came of the decisions so far, in a process of its own; a page loaded again knows how it stands."""
    if not visit.campaign().release:
        raise translate_refusal("release_missing")
    starting = visit.server.scheduler.start(visit.campaign_id)
    asyncio.run_coroutine_threadsafe(starting, visit.shared.loop).result(STARTS_S)
    visit.change(lambda db, now_ms: visit.append_audit(db, now_ms, "job.start", "learn"))


@form("/results/annotate", "editor", "/results")
def annotate(visit: PageVisit) -> None:
    """Note something of some days; leaving them out of results is for who may approve."""
    excluded = visit.form.get("excluded") == "yes"
    if excluded:
        visit.require_role("approver")
    first = visit.text("first", 10)
    values = {"first": first, "last": visit.text("last", 10) or first, "text": visit.text("text", 300)}
    annotations.annotate(visit.call, AnnotationIn.model_validate(values | {"excluded": excluded}))


@form("/results/notes/{annotation_id}/take-back", "editor", "/results")
def take_back(visit: PageVisit) -> None:
    """Forget a note."""
    named = visit.params["annotation_id"]
    if any(each.annotation_id == named and each.excluded for each in annotations.annotations(visit.call).data):
        visit.require_role("approver")
    annotations.forget_annotation(visit.call, named)


@page("/results/export")
def export(visit: PageVisit) -> Reply:
    """All numbers as JSON, or what each month and week earned as a table."""
    found = load_last_learning(visit.call, visit.campaign_id)
    if found is None:
        raise Refused("results_missing", gettext_lazy("nothing was learned yet"))
    if visit.query.get("kind") == "json":
        return Download(json.dumps(found, ensure_ascii=False, indent=1).encode(), "results.json")
    text, parts = io.StringIO(), [(name, end) for name in ("alone", "so_far") for end in ("value", "low", "high")]
    writer = csv.writer(text)
    writer.writerow(("period", "first_ms", "customers", "held_out", *(f"{name}_{end}_cents" for name, end in parts)))
    for period in ("months", "weeks"):
        for each in found.get(period, ()):
            amounts = [(each[name] or {}).get(end) for name, end in parts]
            writer.writerow((period[:-1], each["first_ms"], each["n"], each["held"], *amounts))
    return Download(b"\xef\xbb\xbf" + text.getvalue().encode(), "results.csv", "text/csv")
