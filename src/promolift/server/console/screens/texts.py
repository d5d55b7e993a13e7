"""The texts that messages are made from: cards on a customer of the plan, approval, rejection, other words, undo."""

import json
from collections.abc import Callable, Collection, Mapping
from typing import Any, NamedTuple

import polars as pl
from sqlalchemy import Connection, select

from promolift.core import messages
from promolift.core.messages import text_pool as pools
from promolift.core.messages.angles import ANGLES, Angle
from promolift.core.messages.composition import MessageDelivery
from promolift.core.messages.drafts import Draft, LintFinding
from promolift.core.messages.everyday_names import LONGEST
from promolift.core.messages.text_choice import TextChooser, TextCounts
from promolift.core.messages.text_pool import PoolText, TextPool
from promolift.core.offers.terms import Offer
from promolift.foundation.i18n.catalogue import gettext, ngettext
from promolift.foundation.i18n.formatting import MoneyFormat, count, current_locale, in_brackets, interval, percent
from promolift.foundation.i18n.lazy_message import gettext_lazy
from promolift.foundation.localized_text import LANGUAGE_NAMES
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
from promolift.server.ledger.records import LearningTask
from promolift.server.ledger.schema import AUDIT, Refused
from promolift.server.translations import translate_group, translate_key, translate_refusal
from promolift.shop.configuration.goods_names import change_names, decide, load_names
from promolift.shop.pipeline import text_review as review
from promolift.shop.pipeline.pool_file import load_shop_pool
from promolift.shop.pipeline.text_pool import bring_back, change_pool
from promolift.shop.reports.chapters.recipients import angle_name
from promolift.shop.reports.offer_reasons import reason_text
from promolift.shop.reports.text_values import (
    PoolLearning,
    describe_dropped,
    describe_text_value,
    describe_wanted,
    how_to_write,
    learn_pool,
    read_text_values,
)
from promolift.shop.results.messages import Offers, read_tallies
from promolift.shop.results.work_folder.run_context import Job

TEXTS_LISTED, ROWS_SHOWN = 30, 6  # of the list; of the cards, each with a text of every language
TITLED_CHANNELS = ("push", "email_en", "plain")  # channels that show a title above the text
DECISIONS = ("text.approve", "text.reject", "text.approve_all")  # actions of the audit log that can be undone once
UNDO = "text.undo"
SITTING_MS = 12 * 3_600_000  # a page that was opened earlier begins to count again


def load_text_pool(visit: PageVisit) -> TextPool:
    """Load the shop's text pool, in its languages."""
    return load_shop_pool(visit.shared.config.message).in_languages(visit.shared.shop.languages)


@page("/words")
def words(visit: PageVisit) -> Reply:
    """The list: what is to be written first, then the texts that wait for a person."""
    config, pool = visit.shared.config, load_text_pool(visit)
    state, language = visit.query.get("state", "waiting"), visit.query.get("language", current_locale())
    angle = visit.query.get("angle", "")
    texts = [
        text for text in pool.texts
        if (state == "all" or text.state == state or (state == "waiting" and text.waits))
        and language in ("", text.language) and angle in ("", text.angle)
    ]  # fmt: skip
    page_at = int(visit.number("page", 0, 0, 10_000))
    counts = read_tallies(visit.server.settings.work / "serve")
    chooser = TextChooser(pool.usable(config.message.approve).texts, counts, config.plan.seed)
    earned, learned = earned_texts(visit), learned_pool(visit, pool)
    dropped = describe_dropped(learned.dropped)
    listed = [
        {"text": text, "angle": angle_name(text.angle), "earned": earned.get(text.text_id, ""), "learned": [
            learned_text(chooser, text, each) for each in counts if each.text_id == text.text_id and each.shown
        ], "dropped": dropped.get(text.text_id, "")}
        for text in texts[page_at * TEXTS_LISTED : (page_at + 1) * TEXTS_LISTED]
    ]  # fmt: skip
    data = {
        "texts": listed, "number": len(texts), "page": page_at, "more": len(texts) > (page_at + 1) * TEXTS_LISTED,
        "funnel": pool.funnel(), "usable": len(pool.usable(config.message.approve).texts),
        "approve": config.message.approve, "own": config.message.pool_path.exists(), "state": state,
        "language": language,
        "angle": angle, "angles": {each: angle_name(each) for each in ANGLES},
        "waiting": sum(text.waits for text in pool.texts),
        "wanted": [{"said": describe_wanted(each), "angle": each.angle, "language": each.language}
                   for each in learned.wanted], "how": how_to_write(config),
        "names": [each for each in load_names(config.message) if each.state == "drafted"],
        "longest": LONGEST,
    }  # fmt: skip
    return Screen("texts/page.html", translate_key("nav", "/words"), data)


def learned_pool(visit: PageVisit, pool: TextPool) -> PoolLearning:
    """Return which texts learning dropped, and which drafts it asks for."""
    return learn_pool(visit.shared.config, pool, visit.server.settings.work)


def earned_texts(visit: PageVisit) -> dict[str, str]:
    """Say of each text that was sent what a message with it earned against customers held out, as last learned."""
    folder = LearningTask(ledger="", work=visit.server.settings.work, campaign_id=visit.campaign_id).folder
    cash = MoneyFormat(visit.shared.shop.currency)
    return {name: describe_text_value(each, cash) for name, each in read_text_values(folder).items()}


def learned_text(chooser: TextChooser, text: PoolText, counts: TextCounts) -> str:
    """Say how many readers of a text took up offers of one kind, what is believed, and how often it is sent now."""
    said = gettext("{benefit}: sent {shown}, taken up {taken}", benefit=translate_key("benefit", counts.benefit),
                   shown=count(counts.shown), taken=count(counts.taken))  # fmt: skip
    arms = chooser.arms(text.angle, counts.benefit, text.language, text.goods)
    if text not in arms.texts:  # may not be sent
        return said
    at = arms.texts.index(text)
    span = interval(arms.low_V[at], arms.high_V[at], lambda share: percent(share, 1))
    believed = percent(arms.taken_V[at], 1) + in_brackets(span)
    if arms.share_V[at] == 0:
        return gettext("{said}; {believed} of readers are believed to take it up. No longer sent: others do better.",
                       said=said, believed=believed)  # fmt: skip
    return gettext("{said}; {believed} of readers are believed to take it up. Sent in {share} of such messages.",
                   said=said, believed=believed, share=percent(arms.share_V[at]))  # fmt: skip


class PlanExamples(NamedTuple):
    """The offers of the plan, and the customer of each angle whom texts are shown on."""

    offers: tuple[Offer, ...] = ()
    by_angle: Mapping[Angle, review.ReviewExample] = {}

    def of(self, text: PoolText) -> review.ReviewExample | None:
        """Return what a text is shown on."""
        return review.example_for(text, self.by_angle, self.offers)


@cached_result("notes/offers.json", "tables/messages.parquet")
def plan_examples(job: Job) -> PlanExamples:
    """Read them; nothing before there is a plan with offers."""
    offers = Offers.load(job.store).offers if Offers.has(job.store) else ()
    return PlanExamples(offers, review.find_examples(job))


def delivery(visit: PageVisit, channel: str = "plain") -> MessageDelivery:
    """How messages go out on a channel; an SMS is signed by the shop where nobody else is named."""
    settings, shop = visit.shared.config.message, visit.shared.shop
    sender = settings.sender.model_copy(update={"name": settings.sender.name or shop.name[:20]})
    return MessageDelivery(channel, settings.packs, sender)  # type: ignore[arg-type]


def masked(visit: PageVisit) -> bool:
    """Whether names of customers are masked: viewers decide on no text."""
    return not visit.visitor.may("editor")


def rule_texts(findings: Collection[LintFinding]) -> list[dict[str, str]]:
    """Rules that are broken, with the words at fault and what to do, in the reader's language."""
    said = translate_group("lint")
    return [{"code": each.code, "span": each.span, "why": said.get(each.code, each.why)} for each in findings]


def text_card(visit: PageVisit, text: PoolText) -> dict[str, Any]:
    """Return what the card of a text shows."""
    example = plan_examples(visit).of(text)
    made = review.make_card(text, example, delivery(visit), masked(visit))
    own = visit.two_eyes and text.writer == visit.visitor.name
    kinds = translate_group("fact")
    facts = {(each.kind, each.text): each for each in made.facts}.values()
    return {
        "text": text, "language": LANGUAGE_NAMES[text.language], "title": made.title, "message": made.message,
        "facts": [{"text": each.text, "kind": kinds[each.kind], "holds": each.holds} for each in facts],
        "stand_in": review.stand_in_text(made.stand_in) if made.stand_in else "",
        "findings": rule_texts(made.findings), "yes": sum(text.votes), "own": own,
        "claims": [{"claim": each.claim, "by": translate_group("claim").get(each.by, "")} for each in text.claims],
        "together": review.decidable_together(made) and not own,
    }  # fmt: skip


def card_example(visit: PageVisit, text: PoolText) -> dict[str, Any] | None:
    """Return for whom a card is filled: the customer, the offer, and the plan's reason."""
    if (example := plan_examples(visit).of(text)) is None:
        return None
    name = example.known.name or ""
    return {
        "customer_id": example.customer_id, "name": review.mask_name(name) if name and masked(visit) else name,
        "offer": messages.describe_offer(example.offer, current_locale()), "reason": reason_text(example.reason),
        "customers": example.customers,
    }  # fmt: skip


def previews(visit: PageVisit, text: PoolText) -> list[dict[str, Any]]:
    """The text on every channel, on the customer and offer of its card; the parts of an SMS; rules it breaks there."""
    if (example := plan_examples(visit).of(text)) is None:
        return []
    found = []
    for channel, name in translate_group("channel").items():
        made = review.fill_text(text.draft, example, text.language, delivery(visit, channel), masked(visit))
        whole = f"{made.title}\n{made.message}" if made.title and channel in TITLED_CHANNELS else made.message
        parts = messages.count_sms_parts(made.message) if channel == "sms_cn" and made.message else None
        drafted = set(broken_rules(text.draft, text))
        own = rule_texts([each for each in made.findings if each not in drafted])
        found.append({"channel": name, "text": whole, "parts": parts, "findings": own})
    return found


def requested_text(visit: PageVisit) -> PoolText:
    """Return the text that the path names."""
    text = next((each for each in load_text_pool(visit).texts if each.text_id == visit.params["text_id"]), None)
    if text is None:
        raise translate_refusal("text_unknown")
    return text


def typed_text(text: PoolText, values: Mapping[str, str]) -> PoolText:
    """Return the text with the words that somebody is typing."""
    return text.model_copy(update={name: values.get(name, "")[:400] for name in ("title", "hook", "call")})


@page("/words/{text_id}")
def show_text(visit: PageVisit) -> Reply:
    """A text: the offer's facts, its words, previews, and what may be done with it."""
    text = requested_text(visit)
    return text_screen(visit, text, text)


def text_screen(visit: PageVisit, text: PoolText, typed: PoolText, status: int = 200) -> Screen:
    """The page of a text, with words that somebody typed in place of its own."""
    data = {
        "text": text, "typed": typed, "angle": angle_name(text.angle), "previews": previews(visit, typed),
        "findings": rule_texts(broken_rules(typed.draft, text)), "card": text_card(visit, text),
        "example": card_example(visit, text), "next": next_text(visit, text), "reasons": rejection_choices(),
        "earned": earned_texts(visit).get(text.text_id, ""),
        "dropped": describe_dropped(learned_pool(visit, load_text_pool(visit)).dropped).get(text.text_id, ""),
    }  # fmt: skip
    return Screen("texts/one.html", gettext("A text"), data, status=status)


def next_text(visit: PageVisit, text: PoolText) -> str:
    """The next text that waits, so that a person can go on; empty at the end."""
    waiting = [each.text_id for each in load_text_pool(visit).texts if each.waits and each != text]
    return waiting[0] if waiting else ""


def broken_rules(draft: Draft, text: PoolText) -> list[LintFinding]:
    """Return the rules that a draft breaks, with their position."""
    return list(messages.lint_draft(draft, text.angle, text.language))


def rejection_choices() -> dict[str, str]:
    """Return the reasons for a rejection that are offered, in the reader's language."""
    return {key: gettext(text) for key, text in review.REJECTION_REASONS.items()}


@page("/words/{text_id}/check")
def check(visit: PageVisit) -> Reply:
    """While somebody types: what breaks a rule, and how it would read. Nothing is kept."""
    text = requested_text(visit)
    typed = typed_text(text, visit.query)
    data = {"findings": rule_texts(broken_rules(typed.draft, text)), "previews": previews(visit, typed)}
    return Screen("texts/check.html", gettext("Check"), data, whole=False)


@page("/words/{text_id}/editor", "editor")
def editor(visit: PageVisit) -> Reply:
    """The form for other words, for the script of the cards."""
    text = requested_text(visit)
    return Screen("texts/editor.html", gettext("The words"), {"text": text, "typed": text}, whole=False)


@page("/words/{text_id}/card")
def card(visit: PageVisit) -> Reply:
    """One card, for the script of the cards."""
    data = {"card": text_card(visit, requested_text(visit)), "since": since_ms(visit), "reasons": rejection_choices()}
    return Screen("texts/card.html", gettext("A text"), data, whole=False)


@page("/words/review")
def review_texts(visit: PageVisit) -> Reply:
    """The cards of one angle, in the languages of the shop side by side; the angle of most customers comes first."""
    pool, examples = load_text_pool(visit), plan_examples(visit)
    waiting = review.waiting_by_angle(pool, examples.by_angle)
    asked = visit.query.get("angle", "")
    angle = asked if asked in waiting else next(iter(waiting), "")
    rows = review.pair_texts(waiting.get(angle, []), visit.shared.shop.languages)  # type: ignore[call-overload]
    at = int(visit.number("page", 0, 0, max(len(rows) - 1, 0) // ROWS_SHOWN))
    shown = rows[at * ROWS_SHOWN : (at + 1) * ROWS_SHOWN]
    cards = [[text_card(visit, text) for text in row] for row in shown]
    after = [each for each in waiting if each != angle]
    more = (at + 1) * ROWS_SHOWN < len(rows)
    data = {
        "rows": [{"example": card_example(visit, row[0]), "cards": several}
                 for row, several in zip(shown, cards, strict=True)],
        "angle": angle, "angles": {each: angle_name(each) for each in waiting},
        "numbers": {each: len(texts) for each, texts in waiting.items()}, "page": at, "more": more,
        "next": angle if more else next(iter(after), ""), "progress": progress(visit, pool),
        "since": since_ms(visit), "reasons": rejection_choices(), "undo": undoable(visit, pool),
        "together": sum(one["together"] for several in cards for one in several),
    }  # fmt: skip
    return Screen("texts/review.html", gettext("Approve texts"), data)


def since_ms(visit: PageVisit) -> int:
    """When this sitting began: pages and forms carry it, the first page begins it."""
    now = visit.now_ms
    try:
        asked = int(visit.form.get("since") or visit.query.get("since") or now)
    except ValueError:
        return now
    return asked if now - SITTING_MS <= asked <= now else now


class TextDecision(NamedTuple):
    """A row of the audit log about texts: what was done, to which texts, and what they were before."""

    action: str
    before: Mapping[str, Mapping[str, Any]]


def own_decisions(visit: PageVisit, since: int) -> list[TextDecision]:
    """Return what this person decided on texts since a moment, in order."""
    wanted = select(AUDIT.c.action, AUDIT.c.old).where(
        AUDIT.c.actor == visit.visitor.actor, AUDIT.c.action.in_((*DECISIONS, UNDO)), AUDIT.c.ts_ms >= since
    )
    return [
        TextDecision(row["action"], json.loads(row["old"]) or {}) for row in visit.rows(wanted.order_by(AUDIT.c.seq))
    ]


def progress(visit: PageVisit, pool: TextPool) -> str:
    """Say how many texts this person read in this sitting, of how many, and how long it took."""
    since, read = since_ms(visit), set[str]()
    for each in own_decisions(visit, since):
        read = read - set(each.before) if each.action == UNDO else read | set(each.before)
    waiting = sum(text.waits for text in pool.texts)
    return review.progress_text(len(read), len(read) + waiting, (visit.now_ms - since) // 1000)


def undoable(visit: PageVisit, pool: TextPool) -> int:
    """Return how many texts the last decision of this sitting can be taken back for; none if it was taken back."""
    last = next(reversed(own_decisions(visit, since_ms(visit))), None)
    if last is None or last.action == UNDO:
        return 0
    restored = review.restore(pool, last.before, visit.visitor.name)
    return sum(a != b for a, b in zip(pool.texts, restored.texts, strict=True))


def change_texts(
    visit: PageVisit, action: str, subject: str, change: Callable[[TextPool], TextPool], why: str = ""
) -> TextPool:
    """Change the shop's pool; the audit log keeps what the changed texts were, so that a decision can be undone."""
    before: dict[str, dict[str, Any]] = {}

    def changing(pool: TextPool) -> TextPool:
        new = change(pool)
        known = {text.text_id: text for text in new.texts}
        before.update(review.records(pool, {t.text_id for t in pool.texts if known.get(t.text_id) != t}))
        return new

    new = change_pool(visit.shared.config, changing)

    def do(db: Connection, now_ms: int) -> None:
        visit.append_audit(db, now_ms, action, subject, before, {"why": why} if why else None)

    if before:
        visit.change(do)
    return new


def decided(visit: PageVisit, pool: TextPool, message: str, text: PoolText | None = None) -> Reply:
    """Go on after a decision: for the script the state and the counter, for a form the cards or the next text."""
    if visit.click.plain:
        state = next((each.state for each in pool.texts if text and each.text_id == text.text_id), "")
        data = {"state": translate_key("state", state) if state else "", "progress": progress(visit, pool),
                "text_id": text.text_id if text else "", "undo": undoable(visit, pool)}  # fmt: skip
        return Screen("texts/card.html", message, data, whole=False)
    if visit.form.get("since"):
        angle = visit.form.get("angle", "")
        return Redirect(f"/words/review?angle={angle if angle in ANGLES else ''}&since={since_ms(visit)}", message)
    onward = next_text(visit, text) if text and visit.form.get("go") else ""
    return Redirect(f"/words/{onward}" if onward else "/words", message)


@form("/words/{text_id}/judge", "approver")
def judge(visit: PageVisit) -> Reply:
    """Yes to exactly these words, or no with a reason that the next brief reads."""
    text, said = requested_text(visit), visit.form.get("said", "")
    if said not in ("yes", "no"):
        raise translate_refusal("say_yes_or_no")
    why = review.rejection_reason(visit.form.get("reason", ""), visit.text("why", 200), text.language)
    if said == "no" and not why:
        raise translate_refusal("why_missing")
    if said == "yes" and (text.state == "faulty" or broken_rules(text.draft, text)):
        raise translate_refusal("text_faulty")
    if said == "yes":
        visit.require_other_person(text.writer)
    why, by = why if said == "no" else "", visit.visitor.name
    pool = change_texts(
        visit, "text.approve" if said == "yes" else "text.reject", text.text_id,
        lambda pool: review.decide(pool, [text.text_id], said == "yes", by, review.current_day(), why), why,
    )  # fmt: skip
    return decided(visit, pool, sentence("text_approved" if said == "yes" else "text_rejected"), text)


@form("/words/review/approve", "approver")
def approve_shown(visit: PageVisit) -> Reply:
    """Yes to the texts that the page showed: of one angle, passed by the judge, no rule broken, written by others."""
    named = {name.removeprefix("id:") for name in visit.form if name.startswith("id:")}
    angle, by, ids = visit.form.get("angle", ""), visit.visitor.name, set[str]()

    def change(pool: TextPool) -> TextPool:
        mine = [text for text in pool.texts if text.text_id in named and text.angle == angle]
        ids.update(text.text_id for text in mine if text_card(visit, text)["together"])
        return review.decide(pool, ids, True, by, review.current_day())

    pool = change_texts(visit, "text.approve_all", angle, change)
    if not ids:
        raise translate_refusal("nothing_to_approve")
    many = ngettext("{n} text approved.", "{n} texts approved.", len(ids), n=len(ids))
    return decided(visit, pool, many)


@form("/words/review/undo", "approver")
def undo(visit: PageVisit) -> Reply:
    """Take the last decision of this sitting back, once; what somebody else decided since stays."""
    last = next(reversed(own_decisions(visit, since_ms(visit))), None)
    if last is None or last.action == UNDO:
        raise translate_refusal("nothing_to_undo")
    by = visit.visitor.name
    if not undoable(visit, load_text_pool(visit)):
        raise translate_refusal("nothing_to_undo")
    pool = change_texts(visit, UNDO, "", lambda pool: review.restore(pool, last.before, by))
    return decided(visit, pool, sentence("undone"))


@form("/words/{text_id}/edit", "editor")
def edit(visit: PageVisit) -> Reply:
    """Other words: a new text that waits for a yes; the old one is retired. Words that break a rule are not kept, and
    stay in the form."""
    text = requested_text(visit)
    draft = Draft(*(visit.text(name) for name in ("title", "hook", "call")))
    typed = typed_text(text, vars(draft))
    if draft == text.draft:
        raise translate_refusal("unchanged")
    if draft.text_id in {each.text_id for each in load_text_pool(visit).texts}:
        raise translate_refusal("text_exists")
    if broken_rules(draft, text):
        return text_screen(visit, text, typed, status=422)
    row = pl.DataFrame([review.edit_row(text, draft)])
    pool = change_texts(
        visit,
        "text.edit",
        text.text_id,
        lambda pool: pools.from_csv(pool, row, visit.visitor.name, review.current_day()).pool,
    )
    new = next(each for each in pool.texts if each.text_id == draft.text_id)
    if visit.click.plain or visit.form.get("since"):
        return decided(visit, pool, sentence("text_kept"), new)
    return Redirect(f"/words/{draft.text_id}", sentence("text_kept"))


@form("/words/{text_id}/restore", "approver")
def restore(visit: PageVisit) -> Reply:
    """Send a text again that learning dropped, until a person retires or rejects it."""
    text, by = requested_text(visit), visit.visitor.name
    config, work = visit.shared.config, visit.server.settings.work
    change_texts(visit, "text.restore", text.text_id, lambda pool: bring_back(config, pool, work, [text.text_id], by))
    return Redirect(f"/words/{text.text_id}", sentence("text_restored"))


@form("/words/names/decide", "approver", "/words")
def decide_name(visit: PageVisit) -> Reply:
    """Yes to what a language calls goods, as drafted or as the person writes it, or no."""
    key, language, said = visit.text("key", 200), visit.form.get("language", ""), visit.form.get("said", "")
    if said not in ("yes", "no"):
        raise translate_refusal("say_yes_or_no")
    settings, by = visit.shared.config.message, visit.visitor.name
    drafts = [each for each in load_names(settings) if (" ".join(each.key.split()), each.language) == (key, language)]
    if not drafts:
        raise translate_refusal("name_unknown")
    state, typed = ("approved", visit.text("name", 60) or None) if said == "yes" else ("rejected", None)
    change_names(settings, lambda found: decide(found, [drafts[0].key], state, by, drafts[0].language, typed))  # type: ignore[arg-type]

    def do(db: Connection, now_ms: int) -> None:
        new = {"language": language, "name": typed or drafts[0].name}
        visit.append_audit(db, now_ms, "name.approve" if said == "yes" else "name.reject", key, None, new)

    visit.change(do)
    return Redirect("/words", sentence("name_approved" if said == "yes" else "name_rejected"))


@form("/words/write/{angle}/{language}", "editor", "/words")
def write(visit: PageVisit) -> Reply:
    """A person's text in place of those that learning dropped: it waits for a yes, and keeps to the rules."""
    angle, language = visit.params["angle"], visit.params["language"]
    draft, by = Draft(*(visit.text(name) for name in ("title", "hook", "call"))), visit.visitor.name

    def change(pool: TextPool) -> TextPool:
        asked = [each for each in learned_pool(visit, pool).wanted if (each.angle, each.language) == (angle, language)]
        if not asked:
            raise translate_refusal("text_not_wanted")
        if draft.text_id in {each.text_id for each in pool.texts}:
            raise translate_refusal("text_exists")
        text = pools.lint_text(PoolText(
            text_id=draft.text_id, angle=asked[0].angle, language=asked[0].language, state="edited", writer=by, by=by,
            date=review.current_day(), successor_of=tuple(each.text_id for each in asked[0].dropped), **vars(draft),
        ))  # fmt: skip
        if text.state == "faulty":
            broken = rule_texts(broken_rules(draft, text))[0]
            raise Refused("text_faulty", gettext_lazy("It breaks a rule. {words}: {rule}", words=repr(broken["span"]),
                          rule=broken["why"]))  # fmt: skip
        return pool.merge([text])

    change_texts(visit, "text.edit", draft.text_id, change)
    return Redirect(f"/words/{draft.text_id}", sentence("text_kept"))
