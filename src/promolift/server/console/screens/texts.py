"""The texts that messages are made from: previews on a real offer, broken rules, approval and rejection."""

from collections import Counter
from datetime import UTC, datetime
from typing import Any

import polars as pl
from sqlalchemy import Connection

from promolift.core import messages
from promolift.core.messages import text_pool as pools
from promolift.core.messages.angles import ANGLES, AngleFacts
from promolift.core.messages.composition import MessageDelivery
from promolift.core.messages.drafts import Draft, LintFinding
from promolift.core.messages.text_pool import PoolText, TextPool
from promolift.core.offers.product_names import readable_name
from promolift.core.offers.terms import Offer
from promolift.foundation.errors import PromoError
from promolift.foundation.i18n.catalogue import gettext
from promolift.foundation.i18n.formatting import current_locale
from promolift.server.console.pages.context import (
    PageVisit,
    Redirect,
    Reply,
    Screen,
    cached_result,
    form,
    page,
    sentence,
)
from promolift.server.ledger.schema import Refused
from promolift.server.translations import translate_group, translate_key, translate_refusal
from promolift.shop.pipeline.text_pool import load_shop_pool, save_pool
from promolift.shop.reports.chapters.recipients import angle_name
from promolift.shop.results.messages import Offers, read_tallies
from promolift.shop.results.work_folder.run_context import Job

TEXTS_LISTED = 30
TITLED_CHANNELS = ("push", "email_en", "plain")  # channels that show a title above the text
WAITING_STATUSES = ("judged", "edited")


def load_text_pool(visit: PageVisit) -> TextPool:
    """Load the shop's text pool, in its languages."""
    return load_shop_pool(visit.shared.config.message).in_languages(visit.shared.shop.languages)


@page("/words")
def words(visit: PageVisit) -> Reply:
    """The list: those that wait for a person first."""
    config, pool = visit.shared.config, load_text_pool(visit)
    state, language = visit.query.get("state", "waiting"), visit.query.get("language", current_locale())
    angle = visit.query.get("angle", "")
    wanted = WAITING_STATUSES if state == "waiting" else (state,)
    texts = [
        text for text in pool.texts
        if (state == "all" or text.state in wanted) and language in ("", text.language) and angle in ("", text.angle)
    ]  # fmt: skip
    page_at = int(visit.number("page", 0, 0, 10_000))
    shown, taken = Counter[str](), Counter[str]()
    for each in read_tallies(visit.server.settings.work / "serve"):
        shown[each.text_id] += each.shown
        taken[each.text_id] += each.taken
    listed = [
        {"text": text, "angle": angle_name(text.angle), "shown": shown[text.text_id], "taken": taken[text.text_id]}
        for text in texts[page_at * TEXTS_LISTED : (page_at + 1) * TEXTS_LISTED]
    ]
    data = {
        "texts": listed, "number": len(texts), "page": page_at, "more": len(texts) > (page_at + 1) * TEXTS_LISTED,
        "funnel": pool.funnel(), "usable": len(pool.usable(config.message.approve).texts),
        "approve": config.message.approve, "own": config.message.pool_path.exists(), "state": state,
        "language": language,
        "angle": angle, "angles": {each: angle_name(each) for each in ANGLES}, "waiting": WAITING_STATUSES,
    }  # fmt: skip
    return Screen("texts/page.html", translate_key("nav", "/words"), data)


@cached_result("notes/offers.json")
def example_offer(job: Job) -> Offer | None:
    """A planned offer to show texts on; None before there is one."""
    found = Offers.load(job.store).offers if Offers.has(job.store) else ()
    return found[0] if found else None


def example_customer(text: PoolText) -> AngleFacts:
    """Of a made-up customer, as much as a text for this reason may say."""
    bought = (readable_name("coffee", "category"),) if text.angle == "just_bought" else ()
    return AngleFacts(name="Ann" if text.language == "en" else "小安", bought=bought, angle=text.angle)


def previews(visit: PageVisit, text: PoolText) -> list[dict[str, Any]]:
    """On every channel, on a planned offer; the parts of an SMS; why it cannot be shown."""
    offer, sender = example_offer(visit), visit.shared.config.message.sender
    if offer is None:
        return []
    if not sender.name:
        sender = sender.model_copy(update={"name": visit.shared.shop.name[:20]})
    found = []
    for channel, name in translate_group("channel").items():
        one: dict[str, Any] = {"channel": name, "text": "", "parts": None, "why": ""}
        try:
            way = MessageDelivery(channel, visit.shared.config.message.packs, sender)  # type: ignore[arg-type]
            made = messages.write_message(offer, example_customer(text), text.language, text.draft, way)
            one["text"] = f"{made.title}\n{made.text}" if made.title and channel in TITLED_CHANNELS else made.text
            one["parts"] = messages.count_sms_parts(made.text) if channel == "sms_cn" else None
        except PromoError as error:
            one["why"] = str(error)
        found.append(one)
    return found


def text_facts(visit: PageVisit, text: PoolText) -> list[Any]:
    """Which words of the text are facts, of which kind, and whether the offer bears them out."""
    if (offer := example_offer(visit)) is None:
        return []
    try:
        made = messages.write_message(offer, example_customer(text), text.language, text.draft)
        return [
            *messages.extract_facts(f"{made.title} {made.text}", offer, text.language, known=example_customer(text))
        ]
    except PromoError:
        return []


def requested_text(visit: PageVisit) -> PoolText:
    """Return the text that the path names."""
    text = next((each for each in load_text_pool(visit).texts if each.text_id == visit.params["text_id"]), None)
    if text is None:
        raise translate_refusal("text_unknown")
    return text


@page("/words/{text_id}")
def show_text(visit: PageVisit) -> Reply:
    """A text: the offer's facts, its words, previews, and what may be done with it."""
    text, offer = requested_text(visit), example_offer(visit)
    data = {
        "text": text, "angle": angle_name(text.angle), "findings": broken_rules(text.draft, text),
        "previews": previews(visit, text), "facts": text_facts(visit, text), "waiting": WAITING_STATUSES,
        "offer": messages.describe_offer(offer, current_locale()) if offer else "", "next": next_text(visit, text),
    }  # fmt: skip
    return Screen("texts/one.html", gettext("A text"), data)


def next_text(visit: PageVisit, text: PoolText) -> str:
    """The next text that waits, so that a person can go on; empty at the end."""
    waiting = [each.text_id for each in load_text_pool(visit).texts if each.state in WAITING_STATUSES and each != text]
    return waiting[0] if waiting else ""


def broken_rules(draft: Draft, text: PoolText) -> list[LintFinding]:
    """Return the rules that a draft breaks, with their position."""
    return list(messages.lint_draft(draft, text.angle, text.language))


def submitted_draft(visit: PageVisit) -> Draft:
    """Return the submitted text."""
    return Draft(*(visit.text(name) for name in ("title", "hook", "call")))


@page("/words/{text_id}/check")
def check(visit: PageVisit) -> Reply:
    """While somebody types: what breaks a rule, and how it would read. Nothing is kept."""
    text, values = requested_text(visit), {name: visit.query.get(name, "")[:400] for name in ("title", "hook", "call")}
    typed = text.model_copy(update=values)
    data = {"findings": broken_rules(Draft(**values), text), "previews": previews(visit, typed)}
    return Screen("texts/check.html", gettext("Check"), data, whole=False)


def save_decision(visit: PageVisit, action: str, row: dict[str, str], why: str = "") -> TextPool:
    """What a person said of a text into the shop's pool; a reason stands in the audit log."""
    pool = load_text_pool(visit)
    today = datetime.now(UTC).date().isoformat()
    frame = pl.DataFrame([row], schema=dict.fromkeys(row, pl.String))
    done = pools.from_csv(pool, frame, visit.visitor.name, today)
    new = done.pool
    if why:
        noted = [t.model_copy(update={"note": why}) for t in new.texts if t.text_id == row["text_id"]]
        new = new.merge(noted)
    save_pool(new, visit.shared.config.message.pool_path, visit.shared.shop.languages)

    def do(db: Connection, now_ms: int) -> None:
        visit.append_audit(db, now_ms, action, row["text_id"], None, {"why": why} if why else None)

    visit.change(do)
    return new


def pool_row(text: PoolText, draft: Draft, approved: str) -> dict[str, str]:
    """As `from_csv` takes it."""
    said = {"text_id": text.text_id, "approved": approved, "angle": text.angle, "language": text.language}
    return said | {"title": draft.title, "hook": draft.hook, "call": draft.call}


@form("/words/{text_id}/judge", "approver")
def judge(visit: PageVisit) -> Reply:
    """Yes to exactly these words, or no with a reason."""
    text, said, why = requested_text(visit), visit.form.get("said", ""), visit.text("why", 200)
    if said == "no" and not why:
        raise translate_refusal("why_missing")
    if said == "yes" and text.state == "faulty":
        raise translate_refusal("text_faulty")
    if said not in ("yes", "no"):
        raise translate_refusal("say_yes_or_no")
    save_decision(visit, "text.approve" if said == "yes" else "text.reject", pool_row(text, text.draft, said), why)
    onward = next_text(visit, text)
    text_said = sentence("text_approved" if said == "yes" else "text_rejected")
    return Redirect(f"/words/{onward}" if onward and visit.form.get("go") else "/words", text_said)


@form("/words/{text_id}/edit", "editor")
def edit(visit: PageVisit) -> Reply:
    """Other words: a new text that waits for a yes; the old one is retired."""
    text, draft = requested_text(visit), submitted_draft(visit)
    if draft == text.draft:
        raise translate_refusal("unchanged")
    if broken := broken_rules(draft, text):
        raise Refused("text_faulty", f"{broken[0].span}: {broken[0].why}")
    save_decision(visit, "text.edit", pool_row(text, draft, ""))
    return Redirect(f"/words/{draft.text_id}", sentence("text_kept"))
