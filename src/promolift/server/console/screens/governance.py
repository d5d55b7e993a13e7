"""Governance: consent, fairness between groups, retention, legal notices and the integrity of the audit log."""

from collections import Counter
from dataclasses import replace
from typing import Any, NamedTuple, get_args

import polars as pl
from sqlalchemy import case, func, select

from promolift.core.customers.consent import apply_consent_updates, may_send
from promolift.core.customers.disclosure_control import small_cells
from promolift.core.customers.reason_text import render_reason
from promolift.core.messages.angles import AngleFacts
from promolift.core.messages.channels import RULE_SOURCES, RulePack, rule_pack_notices
from promolift.foundation.errors import ConfigError
from promolift.foundation.i18n.catalogue import gettext, gettext_noop, ngettext, pgettext
from promolift.foundation.i18n.formatting import count, current_locale, percent
from promolift.foundation.i18n.lazy_message import render_message
from promolift.foundation.pages.blocks import Block, Figure, KeyFigure
from promolift.foundation.pages.rendering import render_page
from promolift.server.console.pages.context import (
    Download,
    PageVisit,
    Reply,
    Screen,
    cached_result,
    form,
    page,
    sentence,
)
from promolift.server.ledger.audit_log import first_break, last_audit_link
from promolift.server.ledger.schema import AUDIT, CUSTOMERS
from promolift.server.translations import translate_key, translate_refusal
from promolift.shop.reports.chapters import fairness as fair
from promolift.shop.reports.data_subject_rights import RetentionDays
from promolift.shop.reports.processing_record import processing_page
from promolift.shop.reports.story_builder import build_plan_story
from promolift.shop.results.fairness import FairnessNote
from promolift.shop.results.ingest import Health
from promolift.shop.results.plan_note import PlanNote
from promolift.shop.results.work_folder.run_context import Job, moments

ERASURES_SHOWN, VERIFICATION_LIFETIME_S = 12, 3600.0  # rows of a list; how long a check of the chain is spoken of
SENDABLE_REASON = gettext_noop("may be written to")
PACKS: tuple[RulePack, ...] = get_args(RulePack)


class ChainCheck(NamedTuple):
    """A check of the audit chain: time, last row checked, last hash and the first broken row."""

    at_ms: int
    rows: int
    head: str
    broken: int | None


class ConsentCount(NamedTuple):
    """How many customers may be written to, or why not, in words; None: too few to be printed."""

    why: str
    customers: int | None
    may: bool


class Consents(NamedTuple):
    """The reasons, and how many customers there are in all."""

    reasons: list[ConsentCount]
    customers: int


class Notice(NamedTuple):
    """A rule pack, whether it is in force, its sentence and where it comes from."""

    pack: str
    on: bool
    text: str
    source: str


@page("/governance")
def governance(visit: PageVisit) -> Reply:
    """The screen."""
    asked, groups, chain = count_consents(visit), load_fairness(visit), check_chain(visit)
    record = processing_page(visit.job().config, retention_days(visit))
    with visit.read() as db:
        rows, _ = last_audit_link(db)
    parts = {chapter.slug: chapter for chapter in record.chapters}
    return Screen(
        "governance.html",
        translate_key("nav", "/governance"),
        {
            "tiles": [consent_tile(asked), fairness_tile(visit), erasure_tile(visit), chain_tile(chain, rows)],
            "todo": record.actions,
            "fair": groups,
            "reasons": asked.reasons,
            "said": consent_changes(visit),
            "erasures": erasures(visit),
            "record": parts["record"].blocks,
            "private": excluded_columns(visit),
            "notices": [notice_of(visit, pack) for pack in PACKS],
            "spent": privacy_spending(visit),
            "chain": chain,
            "rows": rows,
            "changes": visit.rows(select(AUDIT).order_by(AUDIT.c.seq.desc()).limit(ERASURES_SHOWN)),
            "evidence": visit.shared.jobs.last("evidence"),
            "compared": visit.shared.jobs.last("fairness"),
            "least": visit.job().config.privacy.printed_cell,
        },
    )


@cached_result("tables/profiles.parquet", "tables/customers.parquet")
def stated_consents(job: Job) -> pl.DataFrame:
    """customer_id and reason (null: may be written to) of everybody the plan knows, by the shop's own tables."""
    if not job.profiled.has_profiles:
        return pl.DataFrame(schema={"customer_id": pl.String, "reason": pl.String})
    ids = job.profiled.profiles(moments(job).asof)["customer_id"]
    return may_send(ids, job.clean.people, job.config.consent).select("customer_id", "reason")


def count_consents(visit: PageVisit) -> Consents:
    """Of everybody the plan knows, who may be written to, and why others may not; the most frequent first. What
    customers answered to the API counts, as it does for decisions.
    """
    found, job, mine = stated_consents(visit), visit.job(), CUSTOMERS.c
    consent = case((mine.erased != 0, 0), else_=mine.consent)
    answered = (mine.consent.is_not(None)) | (mine.personal.is_not(None)) | (mine.erased != 0)
    rows = visit.rows(select(mine.customer_id, consent.label("consent"), mine.personal).where(answered))
    said = pl.DataFrame(rows, {"customer_id": pl.String, "consent": pl.Int64, "personal": pl.Int64})
    said = said.join(found, on="customer_id", how="semi")
    if said.height:
        people = job.clean.people.join(said, on="customer_id", how="semi")
        now = may_send(said["customer_id"], apply_consent_updates(people, said), job.config.consent)
        found = pl.concat([found.join(said, on="customer_id", how="anti"), now.select("customer_id", "reason")])
    by = Counter(why or SENDABLE_REASON for why in found["reason"].to_list())
    ranked = sorted(by.items(), key=lambda each: (each[0] != SENDABLE_REASON, -each[1]))
    few = small_cells([n for _, n in ranked], job.config.privacy.printed_cell)
    shown = [
        ConsentCount(why, None if small else n, why == SENDABLE_REASON)
        for (why, n), small in zip(ranked, few, strict=True)
    ]
    return Consents(shown, found.height)


@cached_result("notes/fairness.json")
def load_fairness(job: Job) -> list[Block | Figure]:
    """What the comparison of groups found, and the limits of the plan; nothing where there is neither."""
    if not PlanNote.has(job.store):
        return []
    note = FairnessNote.load(job.store) if FairnessNote.has(job.store) else None
    chapter = fair.build_chapter(replace(build_plan_story(job), fairness=note))
    return [*chapter.blocks] if chapter else []


def retention_days(visit: PageVisit) -> RetentionDays:
    """Return how long the server's ledger keeps each kind of data."""
    keep = visit.server.settings.keep
    return RetentionDays(keep.events_days, keep.decisions_days)


def check_chain(visit: PageVisit, anew: bool = False) -> ChainCheck | None:
    """The chain as it was last checked, in the last hour; `anew`: now."""

    def check() -> ChainCheck:
        with visit.read() as db:
            rows, head = last_audit_link(db)
            return ChainCheck(visit.now_ms, rows, head, first_break(db))

    found: ChainCheck | None = visit.shared.cached_for(
        "chain", check if anew else lambda: None, 0.0 if anew else VERIFICATION_LIFETIME_S
    )
    return found


def consent_tile(found: Consents) -> KeyFigure:
    """How many may be written to."""
    label, least = gettext("May be written to"), [each for each in found.reasons if not each.may][:1]
    yes = next((each.customers for each in found.reasons if each.may), 0)
    if not found.customers or yes is None:
        return KeyFigure(label, gettext("Not known"), gettext("Too few customers are described."))
    why = render_reason(least[0].why) if least else ""
    more = gettext(" Most of the others: {why}.", why=why) if why else ""
    people = ngettext("{n} customer", "{n} customers", found.customers, n=count(found.customers))
    return KeyFigure(
        label,
        percent(yes / found.customers),
        gettext("{yes} of {people}.{more}", yes=count(yes), people=people, more=more, customers=count(found.customers)),
    )


def fairness_tile(visit: PageVisit) -> KeyFigure:
    """How many groups are treated otherwise, beyond chance."""
    label = gettext("Groups treated otherwise")
    if not FairnessNote.has(visit.store):
        return KeyFigure(label, gettext("Not compared"), gettext("Compare them below; it takes a minute."))
    note = FairnessNote.load(visit.store)
    if not note.gaps:
        return KeyFigure(label, pgettext("governance", "Not compared"), note.findings[0])
    worse = {each.group for each in note.shown}
    gaps = ngettext("{gaps} gap", "{gaps} gaps", len(note.shown), gaps=count(len(note.shown)))
    return KeyFigure(
        label,
        count(len(worse)),
        ngettext(
            "{comparisons} comparison at equal baskets; beyond chance {gaps}.",
            "{comparisons} comparisons at equal baskets; beyond chance {gaps}.",
            len(note.gaps),
            comparisons=count(len(note.gaps)),
            gaps=gaps,
        ),
    )


def erasure_tile(visit: PageVisit) -> KeyFigure:
    """How many customers were forgotten."""
    (row,) = visit.rows(select(func.count().label("n")).where(AUDIT.c.action == "privacy.erase"))
    text = gettext("Their events are gone; books of money stand under a pseudonym.")
    return KeyFigure(gettext("Erased on request"), count(row["n"]), text)


def chain_tile(chain: ChainCheck | None, rows: int) -> KeyFigure:
    """Whether the log of changes holds."""
    label = gettext("Log of changes")
    if chain is None:
        return KeyFigure(
            label,
            count(rows),
            gettext("rows, each with the hash of those before; not checked in the last hour."),
        )
    if chain.broken is not None:
        return KeyFigure(
            label,
            gettext("Broken"),
            gettext(
                "Row {broken} does not follow from the one before: it was altered, or one is missing.",
                broken=count(chain.broken),
            ),
        )
    return KeyFigure(
        label,
        gettext("Holds"),
        gettext("Verified up to row {rows} of {count_rows}.", rows=count(chain.rows), count_rows=count(rows)),
    )


def consent_changes(visit: PageVisit) -> dict[str, int]:
    """Return how many customers gave or withdrew consent to the server itself."""
    asked = select(CUSTOMERS.c.consent, func.count().label("n")).where(CUSTOMERS.c.consent.is_not(None))
    found = visit.rows(asked.where(CUSTOMERS.c.erased == 0).group_by(CUSTOMERS.c.consent))
    by = {"yes": sum(row["n"] for row in found if row["consent"]), "no": sum(
        row["n"] for row in found if not row["consent"])}  # fmt: skip
    return by if any(by.values()) else {}


def erasures(visit: PageVisit) -> list[dict[str, Any]]:
    """The last requests of customers' rights; who they were is a pseudonym."""
    asked = select(AUDIT.c.ts_ms, AUDIT.c.actor, AUDIT.c.action, AUDIT.c.subject).where(
        AUDIT.c.action.like("privacy.%")
    )
    return visit.rows(asked.order_by(AUDIT.c.seq.desc()).limit(ERASURES_SHOWN))


def excluded_columns(visit: PageVisit) -> list[str]:
    """Describe what the last ingest left out as too private."""
    found = Health.load(visit.store).notes if Health.has(visit.store) else ()
    return [render_message(each) for each in found if "privacy.sensitive_allowed" in each]


def notice_of(visit: PageVisit, pack: RulePack) -> Notice:
    """A rule pack as it stands in the settings."""
    asked = visit.job().config.message
    said = rule_pack_notices((pack,), asked.sender, visit.shared.shop.currency, AngleFacts(), current_locale())
    text = said[0] if said else gettext("Lowest price of the last 30 days: as POST /v1/prices is given it.")
    return Notice(pack, pack in asked.packs, text, RULE_SOURCES[pack])


def privacy_spending(visit: PageVisit) -> dict[str, Any]:
    """Describe the privacy budget spent so far, in total and by purpose; empty where no budget is set."""
    try:
        found = visit.job().release_policy.budget_use()
    except ConfigError as error:  # the extra that counts is not installed
        return {"text": str(error), "purposes": []}
    if found is None:
        return {}
    return {"text": found.text, "purposes": [(found.labels[of], f"{e:.2f}") for of, e in found.purposes.items()]}


@form("/governance/verify", "viewer", "/governance")
def verify(visit: PageVisit) -> str:
    """Check every row of the log of changes."""
    found = check_chain(visit, anew=True)
    assert found is not None
    if found.broken is not None:
        return sentence("chain_broken", row=count(found.broken))
    return sentence("chain_holds", rows=count(found.rows), head=found.head)


@form("/governance/compare", "editor", "/governance")
def compare(visit: PageVisit) -> None:
    """Compare groups of customers in the background."""
    visit.shared.jobs.start("fairness", {}, visit.visitor.name)


@form("/governance/evidence", "admin", "/governance")
def make_evidence(visit: PageVisit) -> None:
    """Write the archive of evidence in the background."""
    visit.shared.jobs.start("evidence", {}, visit.visitor.name)


@page("/governance/evidence.zip", "admin")
def evidence(visit: PageVisit) -> Reply:
    """The archive that was made last."""
    path = visit.server.settings.work / "serve" / "evidence.zip"
    if not path.is_file():
        raise translate_refusal("no_evidence")
    return Download(path.read_bytes(), "evidence.zip", "application/zip")


@page("/governance/record.html")
def record(visit: PageVisit) -> Reply:
    """The record of processing and the impact assessment, as a page to complete and sign."""
    job = visit.job()
    text = render_page(processing_page(job.config, retention_days(visit), job.release_policy.budget_use()))
    return Download(text.encode(), "privacy.html", "text/html; charset=utf-8")
