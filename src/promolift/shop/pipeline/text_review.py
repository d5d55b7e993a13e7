"""Show the texts that wait for a person as cards, filled for a customer and an offer of the plan, and keep decisions.

The console and `promolift words review` show the same cards. `find_examples` chooses the customer of each angle,
`make_card` fills exactly the text under review, `decide` keeps a decision, and `restore` takes it back.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, NamedTuple

import polars as pl

from promolift.core import messages
from promolift.core.messages import text_pool as pools
from promolift.core.messages.angles import ANGLES, REMINDER_ANGLES, Angle, AngleFacts
from promolift.core.messages.composition import (
    AUDIENCE_REASONS,
    MessageDelivery,
    fill_draft,
    unfillable_slots,
    usable_facts,
)
from promolift.core.messages.drafts import BOUGHT_ANGLES, SLOT, Draft, LintFinding
from promolift.core.messages.fact_check import Fact
from promolift.core.messages.text_pool import PoolText, TextPool
from promolift.core.offers.product_names import readable_name
from promolift.core.offers.terms import Benefit, Offer
from promolift.foundation.i18n.catalogue import gettext, gettext_noop, use_locale
from promolift.foundation.localized_text import LANGUAGES, Language, LocalizedText
from promolift.shop.results.messages import Messages, Offers
from promolift.shop.results.work_folder.run_context import Job

REJECTION_REASONS = {
    "untrue": gettext_noop("It says something that is not true, or not certain"),
    "pushy": gettext_noop("It is pushy or sounds cheap"),
    "voice": gettext_noop("It does not sound like us"),
    "unclear": gettext_noop("It is clumsy or hard to understand"),
    "unfit": gettext_noop("It does not fit the reason or the offer"),
}
# What a card names where the plan has nothing to name, as offered and as bought.
SAMPLE_GOODS, SAMPLE_BOUGHT = LocalizedText(zh="咖啡", en="coffee"), LocalizedText(zh="面包", en="bread")
EXAMPLES_TRIED = 50  # customers of an angle, nearest to the median gain first
RECORD = ("state", "by", "date", "rejected_because", "note", "restored_by", "restored_on")  # what a decision changes


class ReviewExample(NamedTuple):
    """The customer and offer that texts of an angle are shown on; without `customer_id` the customer is made up.

    `reason` holds the facts of the plan's reason (`offer_reasons.reason_text` prints them); `customers` is how many
    customers of the plan have this angle.
    """

    offer: Offer
    known: AngleFacts
    customer_id: str = ""
    reason: str | None = None
    customers: int = 0


class FilledText(NamedTuple):
    """A text filled with the facts of an offer, or nothing where its words cannot be said of it; what is wrong.

    `stand_in` is what is named in place of goods that have no name in the language, empty where it is the offer's own.
    """

    title: str
    message: str
    findings: tuple[LintFinding, ...]
    stand_in: str = ""


class ReviewCard(NamedTuple):
    """A text under review: filled, the facts in it, and the rules that it breaks. No `example`: nothing to fill it."""

    text: PoolText
    example: ReviewExample | None
    title: str = ""
    message: str = ""
    facts: tuple[Fact, ...] = ()
    findings: tuple[LintFinding, ...] = ()
    stand_in: str = ""


def stand_in_text(name: str) -> str:
    """Return the sentence of a card on goods that the plan's customers would not be named, in the reader's language."""
    return gettext(
        "The plan's goods have no name in the language of this text, so it is shown with {name}; its customers get a "
        "text that needs no name.",
        name=name,
    )


def fits(offer: Offer, angle: Angle) -> bool:
    """Whether texts of this angle can be said of this offer."""
    if angle in REMINDER_ANGLES:
        return offer.benefit.type == "reminder"
    return offer.benefit.type not in ("none", "reminder") and (angle != "pair_you_buy" or offer.joined == "each")


def find_examples(job: Job) -> dict[Angle, ReviewExample]:
    """Return of each angle of the plan the customer with the median gain whom its texts fit."""
    if not (Messages.has(job.store) and Offers.has(job.store)):
        return {}
    return choose_examples(Messages.load(job.store).rows, Offers.load(job.store).by_id)


def choose_examples(rows: pl.DataFrame, offers: Mapping[str, Offer]) -> dict[Angle, ReviewExample]:
    """The same, of the rows of `messages`. Customers of a play with a sentence of its own get no text of the pool."""
    if "angle" not in rows.columns:
        return {}
    own = [name for name in (f"play_reason_{each}" for each in LANGUAGES) if name in rows.columns]
    rows = rows.filter(pl.all_horizontal(pl.lit(True), *(pl.col(name).is_null() for name in own)))
    found: dict[Angle, ReviewExample] = {}
    for angle in ANGLES:
        reminds = angle in REMINDER_ANGLES  # of which a play or an audience may state the reason: another angle
        mine = rows.filter(
            pl.lit(True) if reminds else pl.col("angle") == angle,
            pl.col("offer_id").is_in([name for name, offer in offers.items() if fits(offer, angle)]),
        )
        away = (pl.col("gain_cents") - pl.col("gain_cents").quantile(0.5, "lower")).abs()
        for row in mine.sort(away, "customer_id", nulls_last=True).head(EXAMPLES_TRIED).iter_rows(named=True):
            bought = (readable_name(row["bought_name"], "product"),) if row["bought_name"] else ()
            offer = offers[row["offer_id"]]
            # `fill_text` leaves out what its own language cannot say
            known = AngleFacts(name=row["name"], bought=bought, angle=angle)
            said = any(usable_facts(offer, known, each).bought for each in LANGUAGES)
            known = replace(usable_facts(offer, known, "zh"), bought=bought if said else (), reason=None)
            if angle != "remind" and (said or angle not in BOUGHT_ANGLES):
                found[angle] = ReviewExample(offer, known, row["customer_id"], row["reason_facts"], mine.height)
                break
    return found


def example_for(
    text: PoolText, examples: Mapping[Angle, ReviewExample], offers: Sequence[Offer]
) -> ReviewExample | None:
    """Return the angle's customer of the plan, a made-up one on a planned offer, or None where no offer fits.

    Where no reminder is planned, one is made up for the days of the plan."""
    found = examples.get(text.angle)
    if found and text.goods in ("", found.offer.covers):
        return found
    offer = next((each for each in offers if fits(each, text.angle) and text.goods in ("", each.covers)), None)
    if offer is None and text.angle in REMINDER_ANGLES and offers:
        dates = {name: getattr(offers[0], name) for name in ("id", "menu_id", "starts", "expires", "currency")}
        offer = Offer(benefit=Benefit(type="reminder"), scope="all", **dates)
    if offer is None:
        return None
    bought = (SAMPLE_BOUGHT,) if text.angle in BOUGHT_ANGLES else ()
    name = "小安" if text.language == "zh" else "Ann"
    reason = AUDIENCE_REASONS["due"].text_in(text.language) if text.angle == "remind" else None
    return ReviewExample(offer, AngleFacts(name=name, bought=bought, angle=text.angle, reason=reason))


def mask_name(name: str) -> str:
    """Return what somebody reads of a customer's name who may not see names."""
    return f"{name[:1]}***"


def fill_text(
    draft: Draft, example: ReviewExample, language: Language, way: MessageDelivery, masked: bool = False
) -> FilledText:
    """Fill exactly this draft. Where its words cannot be said of the offer nothing stands in their place."""
    offer, known = example.offer, usable_facts(example.offer, example.known, language)
    stand_in = ""
    if unfillable_slots(offer, language) & set(SLOT.findall(f"{draft.title}{draft.hook}{draft.call}")):
        offer, stand_in = offer.model_copy(update={"label": SAMPLE_GOODS}), SAMPLE_GOODS.text_in(language)
    if "{bought}" in draft.hook and not known.bought:
        known, also = replace(known, bought=(SAMPLE_BOUGHT,), reason=None), SAMPLE_BOUGHT.text_in(language)
        stand_in = (gettext(", ") if stand_in else "").join(filter(None, (stand_in, also)))
    made = fill_draft(offer, known, language, draft, way)
    if made.text_id is None:
        return FilledText("", "", tuple(messages.lint_draft(draft, known.angle, language)))
    findings = messages.check_message(made.title, made.text, offer, known, language, draft, way)
    parts = (made.titles, (*made.sentence_parts, *made.rest))
    title, text = (
        "".join(mask_name(part.text) if masked and part.kind == "name" else part.text for part in several)
        for several in parts
    )
    return FilledText(title, text, tuple(dict.fromkeys(findings)), stand_in)


def make_card(text: PoolText, example: ReviewExample | None, way: MessageDelivery, masked: bool = False) -> ReviewCard:
    """Return the card of a text: what this customer would receive, the facts in it, and the rules that it breaks."""
    if example is None:
        return ReviewCard(text, None, findings=tuple(messages.lint_draft(text.draft, text.angle, text.language)))
    filled = fill_text(text.draft, example, text.language, way, masked)
    offer = example.offer.model_copy(update={"label": SAMPLE_GOODS}) if filled.stand_in else example.offer
    facts = (
        messages.extract_facts(f"{filled.title} {filled.message}", offer, text.language, known=example.known)
        if filled.message
        else []
    )
    return ReviewCard(text, example, filled.title, filled.message, tuple(facts), filled.findings, filled.stand_in)


def waiting_by_angle(pool: TextPool, examples: Mapping[Angle, ReviewExample]) -> dict[Angle, list[PoolText]]:
    """Return the texts that wait for a person by angle; the angle of most customers of the plan comes first."""
    waiting = [text for text in pool.texts if text.waits]
    customers = {angle: example.customers for angle, example in examples.items()}
    order = sorted(ANGLES, key=lambda angle: -customers.get(angle, 0))
    found = {angle: [text for text in waiting if text.angle == angle] for angle in order}
    return {angle: texts for angle, texts in found.items() if texts}


def pair_texts(texts: Sequence[PoolText], languages: Sequence[Language]) -> list[tuple[PoolText, ...]]:
    """Return rows of at most one text of each language, in order, for the same goods."""
    rows: list[tuple[PoolText, ...]] = []
    for goods in dict.fromkeys(text.goods for text in texts):
        columns = [[t for t in texts if (t.goods, t.language) == (goods, language)] for language in languages]
        most = max(map(len, columns), default=0)
        rows += [tuple(column[at] for column in columns if at < len(column)) for at in range(most)]
    return rows


def rejection_reason(choice: str, words: str, language: Language) -> str:
    """Return why a text is rejected, in the text's language, as the next brief reads it; empty where nobody said."""
    with use_locale(language):
        chosen = gettext(REJECTION_REASONS[choice]) if choice in REJECTION_REASONS else ""
    return f"{chosen}: {words}" if chosen and words else chosen or words


def decide(pool: TextPool, text_ids: Collection[str], said: bool, by: str, date: str, because: str = "") -> TextPool:
    """Return the pool after a yes to exactly these words, or a no with its reason; a faulty text stays as it is."""
    rows = pools.to_csv(TextPool(tuple(text for text in pool.texts if text.text_id in text_ids)))
    answer = {"approved": "yes" if said else "no", "rejected_because": because}
    return pools.from_csv(pool, rows.with_columns(pl.lit(v).alias(k) for k, v in answer.items()), by, date).pool


def current_day() -> str:
    """Return the date that is kept with a decision."""
    return datetime.now(UTC).date().isoformat()


def edit_row(text: PoolText, draft: Draft) -> dict[str, str]:
    """Return other words for a text as `from_csv` takes them."""
    said = {"text_id": text.text_id, "approved": "", "angle": text.angle, "language": text.language}
    return said | {"title": draft.title, "hook": draft.hook, "call": draft.call}


def progress_text(read: int, every: int, seconds: int) -> str:
    """Say how many texts somebody read in this sitting, of how many, and how long it took."""
    return gettext("{read} of {all} read in {minutes} min {seconds} s", read=read, all=every,
                   minutes=seconds // 60, seconds=seconds % 60)  # fmt: skip


def decidable_together(card: ReviewCard) -> bool:
    """Whether the text may be approved with others: the judge passed it and no rule is broken."""
    return card.text.state == "judged" and all(card.text.votes) and not card.findings


def records(pool: TextPool, text_ids: Collection[str]) -> dict[str, dict[str, Any]]:
    """Return what a decision would change of these texts, by text."""
    return {t.text_id: {name: getattr(t, name) for name in RECORD} for t in pool.texts if t.text_id in text_ids}


def restore(pool: TextPool, before: Mapping[str, Mapping[str, Any]], by: str) -> TextPool:
    """Take a decision of `by` back: texts get their `records` again unless somebody else has decided on them since."""
    mine = [t for t in pool.texts if t.text_id in before and t.by == by and t.state in ("approved", "rejected")]
    return pool.merge(text.model_copy(update=dict(before[text.text_id])) for text in mine)
