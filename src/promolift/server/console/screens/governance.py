"""Governance: who may be written to, how groups are treated, which data are kept how long, what laws ask to be said,
and whether the log of changes holds; checked, compared and taken along from here.
"""

from collections import Counter
from dataclasses import replace
from typing import Any, NamedTuple, get_args

from sqlalchemy import func, select

from promolift.core.customers.consent import may_send
from promolift.core.customers.disclosure_control import small_cells
from promolift.core.messages.angles import Known
from promolift.core.messages.channels import SOURCES, Pack, notices
from promolift.extensions.privacy.results import PURPOSES, privacy_spent
from promolift.foundation.errors import ConfigError
from promolift.foundation.i18n.formatting import count, pick, plural, share, spoken
from promolift.foundation.i18n.translation import kept
from promolift.foundation.pages.blocks import Big, Block, Figure
from promolift.foundation.pages.rendering import render_page
from promolift.server.api.routes.admin import last_link
from promolift.server.console.pages.context import Download, PageVisit, Reply, Screen, form, once, page, say
from promolift.server.ledger.audit_log import first_break
from promolift.server.ledger.schema import AUDIT, CUSTOMERS
from promolift.server.translations import refused, worded
from promolift.shop.reports.chapters import fairness as fair
from promolift.shop.reports.data_subject_rights import KeptDays
from promolift.shop.reports.processing_record import processing_page
from promolift.shop.reports.story_builder import tell_plan
from promolift.shop.results.fairness import FairnessNote
from promolift.shop.results.ingest import Health
from promolift.shop.results.plan import PlanNote
from promolift.shop.results.work_folder.run_context import Job, moments

LATEST, VERIFIED_S = 12, 3600.0  # rows of a list; how long a check of the chain is spoken of
YES = "may be written to"
PACKS: tuple[Pack, ...] = get_args(Pack)


class Verified(NamedTuple):
    """The chain as it was checked: when, up to which row, the last hash, and the first row that does not hold."""

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
    asked, groups, chain = consents(visit), treated(visit), verified(visit)
    record = processing_page(visit.job().config, kept_days(visit))
    with visit.read() as db:
        rows, _ = last_link(db)
    parts = {chapter.slug: chapter for chapter in record.chapters}
    return Screen("governance.html", worded("nav", "/governance"), {
        "tiles": [consent_tile(asked), fairness_tile(visit), erasure_tile(visit), chain_tile(chain, rows)],
        "todo": record.do, "fair": groups, "reasons": asked.reasons, "said": said_since(visit),
        "erasures": erasures(visit), "record": parts["record"].blocks, "private": private(visit),
        "notices": [notice_of(visit, pack) for pack in PACKS], "spent": spent(visit), "chain": chain, "rows": rows,
        "changes": visit.rows(select(AUDIT).order_by(AUDIT.c.seq.desc()).limit(LATEST)),
        "evidence": visit.shared.jobs.last("evidence"), "compared": visit.shared.jobs.last("fairness"),
        "least": visit.job().config.privacy.least_cell,
    })  # fmt: skip


@once("tables/profiles.parquet", "tables/customers.parquet")
def consents(job: Job) -> Consents:
    """Of everybody the plan knows, who may be written to, and why others may not; the most frequent first."""
    if not job.profiled.has_profiles:
        return Consents([], 0)
    ids = job.profiled.profiles(moments(job).asof)["customer_id"]
    found = may_send(ids, job.clean.people, job.config.consent)
    by = Counter(why or YES for why in found["reason"].to_list())
    ranked = sorted(by.items(), key=lambda each: (each[0] != YES, -each[1]))
    few = small_cells([n for _, n in ranked], job.config.privacy.least_cell)
    shown = [ConsentCount(why, None if small else n, why == YES) for (why, n), small in zip(ranked, few, strict=True)]
    return Consents(shown, found.height)


@once("notes/fairness.json")
def treated(job: Job) -> list[Block | Figure]:
    """What the comparison of groups found, and the limits of the plan; nothing where there is neither."""
    if not PlanNote.has(job.store):
        return []
    note = FairnessNote.load(job.store) if FairnessNote.has(job.store) else None
    chapter = fair.tell(replace(tell_plan(job), fairness=note))
    return [*chapter.blocks] if chapter else []


def kept_days(visit: PageVisit) -> KeptDays:
    """How long the server's own ledger keeps what."""
    keep = visit.server.settings.keep
    return KeptDays(keep.events_days, keep.decisions_days)


def verified(visit: PageVisit, anew: bool = False) -> Verified | None:
    """The chain as it was last checked, in the last hour; `anew`: now."""

    def check() -> Verified:
        with visit.read() as db:
            rows, head = last_link(db)
            return Verified(visit.now_ms, rows, head, first_break(db))

    found: Verified | None = visit.shared.lately("chain", check if anew else lambda: None, 0.0 if anew else VERIFIED_S)
    return found


def consent_tile(found: Consents) -> Big:
    """How many may be written to."""
    label, least = pick("May be written to", "可以联系"), [each for each in found.reasons if not each.may][:1]
    yes = next((each.customers for each in found.reasons if each.may), 0)
    if not found.customers or yes is None:
        return Big(label, pick("Not known", "未知"), pick("Too few customers are described.", "有画像的客户过少。"))
    why = kept(least[0].why) if least else ""
    more = pick(f" Most of the others: {why}.", f"其余多为：{why}。") if why else ""
    people = plural(found.customers, "customer")
    return Big(label, share(yes / found.customers), pick(
        f"{count(yes)} of {people}.{more}", f"{count(found.customers)}位客户中的{count(yes)}位。{more}"))  # fmt: skip


def fairness_tile(visit: PageVisit) -> Big:
    """How many groups are treated otherwise, beyond chance."""
    label = pick("Groups treated otherwise", "待遇有差别的群体")
    if not FairnessNote.has(visit.store):
        return Big(label, pick("Not compared", "尚未比较"), pick("Compare them below; it takes a minute.",
                                                             "可在下方比较，约需一分钟。"))  # fmt: skip
    note = FairnessNote.load(visit.store)
    worse = {each.group for each in note.shown}
    return Big(label, count(len(worse)), pick(
        f"{plural(len(note.gaps), 'comparison')} at equal baskets; beyond chance {plural(len(note.shown), 'gap')}.",
        f"同等购物篮下共{count(len(note.gaps))}项比较；{count(len(note.shown))}项差距超出偶然。"))  # fmt: skip


def erasure_tile(visit: PageVisit) -> Big:
    """How many customers were forgotten."""
    (row,) = visit.rows(select(func.count().label("n")).where(AUDIT.c.action == "privacy.erase"))
    text = pick("Their events are gone; books of money stand under a pseudonym.", "其事件已删除；账目以假名保留。")
    return Big(pick("Erased on request", "按请求删除"), count(row["n"]), text)


def chain_tile(chain: Verified | None, rows: int) -> Big:
    """Whether the log of changes holds."""
    label = pick("Log of changes", "变更日志")
    if chain is None:
        return Big(label, count(rows), pick("rows, each with the hash of those before; not checked in the last hour.",
                                            "行，每行含之前各行的哈希；近一小时内未校验。"))  # fmt: skip
    if chain.broken is not None:
        return Big(label, pick("Broken", "已断裂"), pick(
            f"Row {count(chain.broken)} does not follow from the one before: it was altered, or one is missing.",
            f"第{count(chain.broken)}行与前一行不衔接：被改动过，或有缺失。"))  # fmt: skip
    return Big(label, pick("Holds", "完整"), pick(f"Verified up to row {count(chain.rows)} of {count(rows)}.",
                                                f"已校验至第{count(chain.rows)}行，共{count(rows)}行。"))  # fmt: skip


def said_since(visit: PageVisit) -> dict[str, int]:
    """What customers said to the server itself, by consent: yes and no."""
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
    return visit.rows(asked.order_by(AUDIT.c.seq.desc()).limit(LATEST))


def private(visit: PageVisit) -> list[str]:
    """What the last ingest left out as too private, in sentences."""
    found = Health.load(visit.store).notes if Health.has(visit.store) else ()
    return [kept(each) for each in found if "privacy.sensitive_allowed" in each]


def notice_of(visit: PageVisit, pack: Pack) -> Notice:
    """A rule pack as it stands in the settings."""
    asked = visit.job().config.message
    said = notices((pack,), asked.sender, visit.shared.shop.currency, Known(), spoken())
    text = said[0] if said else pick("Lowest price of the last 30 days: as POST /v1/prices is given it.",
                                     "近30天最低价：由POST /v1/prices提供。")  # fmt: skip
    return Notice(pack, pack in asked.packs, text, SOURCES[pack])


def spent(visit: PageVisit) -> dict[str, Any]:
    """What was spent of the privacy budget, in a sentence and by purpose; empty where none is stated."""
    try:
        found = privacy_spent(visit.job().config, visit.store)
    except ConfigError as error:  # the extra that counts is not installed
        return {"text": str(error), "purposes": []}
    if found is None:
        return {}
    return {"text": found.text, "purposes": [(pick(*PURPOSES[of]), f"{e:.2f}") for of, e in found.purposes.items()]}


@form("/governance/verify", "viewer", "/governance")
def verify(visit: PageVisit) -> str:
    """Check every row of the log of changes."""
    found = verified(visit, anew=True)
    assert found is not None
    if found.broken is not None:
        return say("chain_broken", row=count(found.broken))
    return say("chain_holds", rows=count(found.rows), head=found.head)


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
        raise refused("no_evidence")
    return Download(path.read_bytes(), "evidence.zip", "application/zip")


@page("/governance/record.html")
def record(visit: PageVisit) -> Reply:
    """The record of processing and the impact assessment, as a page to complete and sign."""
    config = visit.job().config
    text = render_page(processing_page(config, kept_days(visit), privacy_spent(config, visit.store)))
    return Download(text.encode(), "privacy.html", "text/html; charset=utf-8")
