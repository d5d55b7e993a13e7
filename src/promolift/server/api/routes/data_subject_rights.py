"""Explain to one customer, in plain sentences, which of their data is stored and how decisions are made."""

from typing import Literal
from urllib.parse import urlsplit

from fastapi import APIRouter, Query
from pydantic import BaseModel
from sqlalchemy import Connection, func, select

from promolift.core.decisions.decision_rule import NONE
from promolift.foundation.i18n.formatting import current_locale, use_locale
from promolift.server.api.routes import Route, RouteContext, ServerRoute, slow
from promolift.server.decisions import message_rendering
from promolift.server.decisions.eligibility import load_activity_at
from promolift.server.ledger.erasure import CUSTOMER_TABLES
from promolift.server.ledger.field_types import Id
from promolift.server.ledger.outbox_rows import WebhookEndpoint
from promolift.server.ledger.records import Campaign
from promolift.server.ledger.schema import CUSTOMERS, DECISIONS, EVENTS, OUTBOX, REJECTS
from promolift.server.translations import translate_key
from promolift.shop.configuration.configuration import ShopSettings
from promolift.shop.configuration.settings import PrivacySettings
from promolift.shop.reports.data_subject_rights import LastDecision, RetentionDays, SubjectFacts, explain_subject

router = APIRouter(route_class=ServerRoute, tags=["privacy"])
EXPLAINED_TABLES = (*CUSTOMER_TABLES, REJECTS, OUTBOX)


class SubjectPart(BaseModel):
    """One thing that a customer may know: what it is about, a title, and the sentences."""

    about: str
    title: str
    text: str


class SubjectExplained(BaseModel):
    """All of it, and the same as one text to send."""

    subject: str
    language: Literal["zh", "en"]
    parts: list[SubjectPart]
    text: str


@router.get("/v1/privacy/{subject}:explain")
@slow
def explain(asked: Route, subject: Id, language: Literal["zh", "en"] | None = Query(default=None)) -> SubjectExplained:
    """What a customer may know, in plain words: which data, what for, how decisions come about, how to refuse.

    `promolift.toml` says who answers for the data and what allows their use, in its part `[privacy]`.
    """
    server = asked.server
    shop = server.config.shop if server.config else ShopSettings()
    settings = server.config.privacy if server.config else PrivacySettings()
    kept = RetentionDays(server.settings.keep.events_days, server.settings.keep.decisions_days)
    with use_locale(language or shop.language):
        with asked.read() as db:
            facts = _facts(asked, db, subject)
        said = explain_subject(facts, settings, shop.name, shop.zone, kept)
        parts = [SubjectPart(about=each.about, title=each.title, text=each.text) for each in said]
        text = "\n\n".join(f"{each.title}\n{each.text}" for each in said)
        return SubjectExplained(subject=subject, language=current_locale(), parts=parts, text=text)


def _facts(asked: RouteContext, db: Connection, subject: str) -> SubjectFacts:
    releases = asked.server.decider.releases.values()
    known = [each for each in releases if subject in each.place or subject in each.people]
    counts = {table.name: select(func.count()).where(table.c.customer_id == subject) for table in EXPLAINED_TABLES}
    span = select(func.min(EVENTS.c.ts_ms), func.max(EVENTS.c.ts_ms)).where(EVENTS.c.customer_id == subject)
    first_ms, last_ms = db.execute(span).one()
    said = select(CUSTOMERS.c.consent, CUSTOMERS.c.personal).where(CUSTOMERS.c.customer_id == subject)
    consent, personal = db.execute(said).first() or (None, None)
    stated = [each.people[subject] for each in known if subject in each.people]
    return SubjectFacts(
        rows={name: db.execute(count).scalar_one() for name, count in counts.items()},
        first_ms=first_ms,
        last_ms=last_ms,
        planned=bool(known),
        consent=next((each.consent for each in stated), None) if consent is None else bool(consent),
        refused=any(each.personal is False for each in stated) if personal is None else not personal,
        last=_latest(asked, db, subject),
        receivers=sorted({urlsplit(hook.url).hostname or "" for hook in WebhookEndpoint.all(db).values()}),
    )


def _latest(asked: RouteContext, db: Connection, subject: str) -> LastDecision | None:
    mine = select(DECISIONS).where(DECISIONS.c.customer_id == subject).order_by(DECISIONS.c.ts_ms.desc()).limit(1)
    row = db.execute(mine).mappings().first()
    if row is None:
        return None
    if row["offer_id"] == NONE:
        return LastDecision(row["ts_ms"], None, bool(row["holdout"]))
    release = asked.server.decider.ensure(row["release_id"])
    ends_ms = Campaign.load(db, row["campaign_id"]).ends_ms(row["release_id"])
    lately, choice = load_activity_at(db, release, dict(row)), asked.server.texts.choice(release)
    said = message_rendering.render_message(
        release, subject, row["offer_id"], row["ts_ms"], current_locale(), lately, choice, ends_ms
    )
    kind = translate_key("benefit", said["offer"]["benefit"]["type"])
    return LastDecision(row["ts_ms"], said["message"] or kind, held=False)
