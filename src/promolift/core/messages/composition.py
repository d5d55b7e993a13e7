"""Compose and check the finished message from an approved text, an offer and facts about the customer.

    message = write(offer, Known(name="用户A", bought=(label("1", "product"),), angle="just_bought"), "zh", draft)
    message.title, message.text

Words come from the pool, facts from code, and no model is asked. Without a text the offer speaks alone. `write_message`
looks for what construction alone does not give: numerals outside the parts that code filled, a text that lint refuses,
private data and goods, other people's names, smuggled orders, length and notices. `check_message` does the same for a
finished message, and finds whatever letter was changed since.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, ClassVar, Literal, NamedTuple

import polars as pl
from pydantic import Field, field_validator

from promolift.core.messages.angles import Angle, AngleFacts
from promolift.core.messages.channels import (
    RULE_SOURCES,
    Channel,
    RulePack,
    Sender,
    find_breaches,
    format_for_channel,
    rule_pack_notices,
)
from promolift.core.messages.drafts import (
    NUMERAL,
    OFFER_RULE,
    PRIVACY_LAW,
    Draft,
    LintFinding,
    lint_draft,
)
from promolift.core.messages.offer_text import (
    EVERYTHING,
    benefit_text,
    has_name,
    offer_line,
    offer_sentence,
    reminder_sentence,
    terms_text,
)
from promolift.core.offers.product_names import (
    NO_PERSON,
    is_sensitive,
    is_unfit,
    load_toml,
    makes_claim,
    names_in,
    readable_name,
)
from promolift.core.offers.terms import Offer, covered_targets
from promolift.foundation.errors import InputError
from promolift.foundation.i18n.lazy_message import SEMICOLON, gettext_lazy, join_messages
from promolift.foundation.localized_text import LANGUAGES, Language, LocalizedText, reads_in
from promolift.foundation.settings import Settings

if TYPE_CHECKING:
    from promolift.core.messages.text_choice import TextChooser

SpanKind = Literal["deal", "product", "bought", "name", "offer", "terms", "notice", "channel"]
_SLOT = re.compile(r"(\{\w+\})")
_STOPS = tuple("。！？!?.…~～：:")  # what else a hook ends with, the offer goes on as a clause


class MessagePart(NamedTuple):
    """A stretch of a message: what code filled in, or (kind None) words of the pool."""

    text: str
    kind: SpanKind | None = None


@dataclass(frozen=True)
class Message:
    """A message in its parts. `title` heads a push notice or an e-mail; `sentence` is `text` without its terms."""

    titles: tuple[MessagePart, ...]
    sentence_parts: tuple[MessagePart, ...]
    rest: tuple[MessagePart, ...]
    text_id: str | None = None

    @property
    def title(self) -> str:
        return "".join(part.text for part in self.titles)

    @property
    def sentence(self) -> str:
        """'Dear Customer A, you just bought Product 1, and now you can enjoy 20% off Product 2!'"""
        return "".join(part.text for part in self.sentence_parts)

    @property
    def text(self) -> str:
        """The whole message as it is delivered, without its title."""
        return self.sentence + "".join(part.text for part in self.rest)


class MessageDelivery(NamedTuple):
    """How messages are delivered: the channel, the rule packs and the sender."""

    channel: Channel = "plain"
    packs: tuple[RulePack, ...] = ()
    sender: Sender = Sender()


PLAIN_DELIVERY = MessageDelivery()


def fill_draft(
    offer: Offer,
    known: AngleFacts,
    language: Language,
    draft: Draft | None = None,
    way: MessageDelivery = PLAIN_DELIVERY,
) -> Message:
    """The message in its parts, not yet gated."""
    if offer.benefit.type == "none":
        raise InputError(
            "benefit_missing",
            gettext_lazy(
                "message: offer {id} has no benefit; send nothing to customers who get 'none'", id=repr(offer.id)
            ),
        )
    facts = _facts(offer, language, known.sent is None or known.sent >= offer.starts)
    if draft is not None and not _true_of(draft, offer, known, language):
        draft = None
    gap = "" if language == "zh" else " "
    said = _greeting(known.name, language)
    if known.reason:
        said.append(MessagePart(_finished(known.reason, language) + gap))
    tail = [MessagePart(gap + facts.terms, "terms")] if facts.terms else []
    if draft is None:
        short = reminder_sentence(known.bought[0], language) if reminds_of(offer, known) else facts.short
        said.append(MessagePart(_opened(short, language, offer, bool(known.reason) or not said), "offer"))
        titles = [MessagePart(_upper(facts.deal, language), "deal")]
        if offer.benefit.type != "reminder" or offer.scope != "all":
            titles += [_ABOUT[language], MessagePart(facts.on, "product")]
        titles = _as_headline(titles, offer, language)
    elif offer.benefit.type == "reminder":
        hook = _filled(draft.hook, facts, known, language)
        if (not said or known.reason) and hook[0].kind is None:
            hook[0] = MessagePart(_upper(hook[0].text, language))
        said += hook
        titles = _filled(draft.title, facts, known, language)
        if draft.call:
            tail += [MessagePart(gap), *_filled(draft.call, facts, known, language)]
    else:
        hook, clause = _filled(draft.hook, facts, known, language), not draft.hook.rstrip().endswith(_STOPS)
        if not said and (hook[0].kind is None or (hook[0].kind == "product" and offer.scope != "product")):
            hook[0] = MessagePart(_upper(hook[0].text, language), hook[0].kind)
        if hook[0].kind == "offer":
            hook[0] = MessagePart(_opened(facts.short, language, offer, not said), "offer")
            said += hook
        else:
            said += hook
            short = facts.named if "{product}" in draft.hook else facts.short
            goes_on = draft.hook.rstrip().endswith(":")
            said.append(
                MessagePart(facts.clause if clause else gap + _opened(short, language, offer, not goes_on), "offer")
            )
        titles = _as_headline(_filled(draft.title, facts, known, language), offer, language)
        if titles[0].kind != "product":
            titles[0] = MessagePart(_upper(titles[0].text, language), titles[0].kind)
        if draft.call:
            tail += [MessagePart(gap), *_filled(draft.call, facts, known, language)]
    if way.packs:
        tail += [
            MessagePart(f"{gap}{notice}", "notice")
            for notice in rule_pack_notices(way.packs, way.sender, offer.currency, known, language)
        ]
    if way.channel in ("sms_cn", "email_en"):
        before, _, after = format_for_channel("\0", way.channel, way.sender, language).partition("\0")
        said, tail = [MessagePart(before, "channel"), *said], [*tail, MessagePart(after, "channel")]
    if way.channel == "wechat_store" and facts.terms:  # the store shows terms beside a coupon's name
        said, tail = [MessagePart(facts.deal, "deal"), MessagePart("券" if language == "zh" else " coupon")], []
    return Message(tuple(titles), tuple(said), tuple(tail), draft.text_id if draft else None)


def reminds_of(offer: Offer, known: AngleFacts) -> bool:
    """Whether the message is a reminder that can name something the customer bought."""
    return offer.benefit.type == "reminder" and bool(known.bought)


def text_angle(offer: Offer, known: AngleFacts) -> Angle:
    """Return the angle whose texts a message takes, of facts that `usable_facts` gave: of a reminder its own, by
    whether a reason stands before it; where no purchase can be named, the offer alone."""
    if offer.benefit.type != "reminder":
        return "generic" if known.angle == "just_bought" and not known.bought else known.angle
    return "remind" if known.reason else "remind_bought"


def unfillable_slots(offer: Offer, language: Language) -> frozenset[str]:
    """Return the slots that no text may have for this offer: {product} where the language has no name for it."""
    return frozenset() if has_name(offer, language) else frozenset(("{product}",))


def require_content(offer: Offer, known: AngleFacts, language: Language) -> None:
    """Raise InputError for a reminder that would name no product and give no reason: it would say nothing."""
    if offer.benefit.type == "reminder" and not (known.reason or usable_facts(offer, known, language).bought):
        raise InputError(
            "message_without_content",
            gettext_lazy(
                "message: the reminder {id} would name no product and give no reason; state one as "
                "`reason` of a play, or name the products in the catalogue",
                id=repr(offer.id),
            ),
        )


def _finished(reason: str, language: Language) -> str:
    """A reason as a sentence of its own."""
    return reason if reason.rstrip().endswith(_STOPS) else reason.rstrip() + ("。" if language == "zh" else ".")


def _true_of(draft: Draft, offer: Offer, known: AngleFacts, language: Language) -> bool:
    """Whether the words can hold: goods and a purchase to name; for a usual pair, of which each counts, an offer
    that says so. Words of a reminder, which promise no offer, are for reminders alone. The reason of a play takes the
    place of other words. Without a title or a hook there are no words."""
    if not (draft.title.strip() and draft.hook.strip()):
        return False
    if offer.benefit.type == "reminder":
        if "{deal}" in draft.title or "{offer}" in draft.hook:
            return False
        named = "{bought}" in draft.hook
        return bool(known.bought) and named if not known.reason else not named
    if known.reason:
        return False
    if known.angle == "pair_you_buy" and offer.joined != "each":
        return False
    if unfillable_slots(offer, language) & set(_SLOT.findall(draft.title + draft.hook + draft.call)):
        return False
    return bool(known.bought) or "{bought}" not in draft.hook


# With what a reminder begins that can name no product, by the audience of its customer.
AUDIENCE_REASONS = {name: LocalizedText(**texts) for name, texts in load_toml("messages/reminders.toml").items()}
_ABOUT: dict[Language, MessagePart] = {"zh": MessagePart("｜"), "en": MessagePart(": ")}


_JOINS: dict[Language, re.Pattern[str]] = {
    "zh": re.compile(r"[\d.]+折|满[\d,.]+元减[\d,.]+元"),
    "en": re.compile(r"\d+% off"),
}  # benefits that make one phrase with their goods
_NAME_JOINS = re.compile(r".*[^\W\da-zA-Z零〇一二两三四五六七八九十百千万半]")  # so that no name runs into 8折
_HEADLINE_LENGTH = 20  # of a Chinese one: the benefit stands within what a lock screen shows


def _as_headline(titles: list[MessagePart], offer: Offer, language: Language) -> list[MessagePart]:
    """Return a title of benefit and goods alone as one phrase where they make one: '咖啡8折', '20% off coffee'."""
    if len(titles) != 3 or titles[1:] != [_ABOUT[language], MessagePart(titles[2].text, "product")]:
        return titles
    deal, _, product = titles
    if not _JOINS[language].fullmatch(deal.text):
        return titles
    if language == "zh":
        fits = len(product.text + deal.text) <= _HEADLINE_LENGTH and _NAME_JOINS.fullmatch(product.text)
        return [product, deal] if fits else titles
    return [deal, MessagePart(" "), MessagePart(offer_line(offer, language).on or EVERYTHING.en, "product")]


class _Facts(NamedTuple):
    """An offer in print."""

    deal: str
    on: str
    clause: str
    short: str
    named: str
    terms: str


@lru_cache(maxsize=65_536)
def _facts(offer: Offer, language: Language, begun: bool) -> _Facts:
    on = offer_line(offer, language).name or ("全场" if language == "zh" else "the whole shop")
    return _Facts(
        benefit_text(offer, language),
        on,
        offer_sentence(offer, language, begun=begun, clause=True),
        offer_sentence(offer, language, begun=begun),
        offer_sentence(offer, language, begun=begun, named=True),
        terms_text(offer, language, begun=begun),
    )


def _filled(text: str, facts: _Facts, known: AngleFacts, language: Language) -> list[MessagePart]:
    found = []
    for piece in _pieces(text):
        if piece == "{deal}":
            found.append(MessagePart(facts.deal, "deal"))
        elif piece == "{product}":
            found.append(MessagePart(facts.on, "product"))
        elif piece == "{offer}":
            found.append(MessagePart(facts.short, "offer"))
        elif piece == "{bought}":
            found.append(MessagePart(known.bought[0].text_in(language) if known.bought else "", "bought"))
        else:
            found.append(MessagePart(piece))
    return found


@lru_cache(maxsize=65_536)
def _pieces(text: str) -> tuple[str, ...]:
    return tuple(piece for piece in _SLOT.split(text) if piece)


def _greeting(name: str | None, language: Language) -> list[MessagePart]:
    if not name:
        return []
    return (
        [MessagePart("尊敬的"), MessagePart(name, "name"), MessagePart("，")]
        if language == "zh"
        else [MessagePart("Dear "), MessagePart(name, "name"), MessagePart(", ")]
    )


def _opened(text: str, language: Language, offer: Offer, begins: bool) -> str:
    """An English sentence of facts with a capital where it begins; the name of a product stays as it is printed."""
    as_printed = not begins or (offer.scope == "product" and not text.startswith(("get ", "now ", "a selected ")))
    return text if as_printed else _upper(text, language)


def _upper(text: str, language: Language) -> str:
    """With a capital where the first word begins, also within quotation marks."""
    at = 1 if text[:1] in "\"'“‘" else 0
    return text[:at] + text[at : at + 1].upper() + text[at + 1 :] if language == "en" else text


_NAME = re.compile(r"^[^\W\d_](?:[^\W_]|[ .·'’-]){0,39}$")


@lru_cache(maxsize=65_536)
def is_greetable_name(name: str) -> bool:
    """Whether this is a name one can write in a greeting, and not an id, a link, an offer or a null in disguise."""
    fit = _NAME.match(name) and name == name.strip()
    return bool(fit) and not NO_PERSON.search(name) and not makes_claim(name)


def usable_facts(offer: Offer, known: AngleFacts, language: Language) -> AngleFacts:
    """`known` without a name that is none, and without a purchase that is private, smuggles, or is on offer itself.

    A name that a sentence of the language cannot hold is left out, too, of the customer as of a purchase. A reminder
    of a purchase that has no name in the language gives the reason that is true of everybody who bought.
    """
    bought = tuple(
        words for words in known.bought
        if words != offer.label and not any(map(is_unfit, (words.zh, words.en)))
        and names_in(words.text_in(language), language)
    )  # fmt: skip
    fit = known.name and is_greetable_name(known.name) and reads_in(known.name, language)
    name = known.name if fit else None
    fit_purchase = any(not is_unfit(words.zh) and not is_unfit(words.en) for words in known.bought)
    if fit_purchase and not bought and offer.benefit.type == "reminder" and not known.reason:
        known = replace(known, reason=AUDIENCE_REASONS["bought"].text_in(language))
    return known if bought == known.bought and name == known.name else replace(known, bought=bought, name=name)


def write_message(
    offer: Offer,
    known: AngleFacts,
    language: Language,
    draft: Draft | None = None,
    way: MessageDelivery = PLAIN_DELIVERY,
) -> Message:
    """A true message, gated. InputError, naming offer, rules and words, where the offer itself cannot be said.

    A purchase that cannot be mentioned truly and a name that cannot stand in a greeting are left out, and with it the
    words that rely on it.
    """
    may = usable_facts(offer, known, language)
    message = fill_draft(offer, may, language, draft, way)
    wrong = _faults(message, message.text, offer, may, language, draft, way)
    if wrong and draft is not None:
        message = fill_draft(offer, may, language, None, way)
        wrong = _faults(message, message.text, offer, may, language, None, way)
    if wrong:
        told = join_messages(
            SEMICOLON,
            *(
                gettext_lazy("{code} {span} ({why})", code=each.code, span=repr(each.span), why=each.why)
                for each in wrong[:3]
            ),
        )
        raise InputError(
            "message_rule_broken",
            gettext_lazy(
                "message: offer {id} cannot be said in {language}: {told}; change its label or terms",
                id=repr(offer.id),
                language=language,
                told=told,
            ),
        )
    return message


def check_message(
    title: str, text: str, offer: Offer, known: AngleFacts, language: Language, draft: Draft | None = None,
    way: MessageDelivery = PLAIN_DELIVERY,
) -> list[LintFinding]:  # fmt: skip
    """Return the reasons why a finished message may not be sent; empty if it may.

    `draft` is the text of the pool that the message was filled from.

    For a message that was kept somewhere: it is filled again and compared letter by letter.
    """
    known = usable_facts(offer, known, language)
    again = fill_draft(offer, known, language, draft, way)
    found: list[LintFinding] = []
    for said, right in ((title, again.title), (text, again.text)):
        if said != right:
            at = next(
                (i for i, (a, b) in enumerate(zip(said, right, strict=False)) if a != b), min(len(said), len(right))
            )
            found.append(
                LintFinding("changed", said[at : at + 12], gettext_lazy("this is not what code filled in"), OFFER_RULE)
            )
    return found + _faults(again, text, offer, known, language, draft, way)


def _faults(
    message: Message, text: str, offer: Offer, known: AngleFacts, language: Language, draft: Draft | None,
    way: MessageDelivery,
) -> list[LintFinding]:  # fmt: skip
    found: list[LintFinding] = []
    title = message.title
    literal = "\n".join(
        part.text for part in (*message.titles, *message.sentence_parts, *message.rest) if part.kind is None
    )
    if bare := NUMERAL.search(literal):
        found.append(
            LintFinding("number", bare.group(), gettext_lazy("a numeral that code did not fill in"), OFFER_RULE)
        )
    if draft is not None:
        found += _linted(draft, text_angle(offer, known), language)
    found += _label_faults(offer, language)
    for private in known.private:
        if private and private in text + title:
            found.append(LintFinding("profile_leak", private, gettext_lazy("a fact of the profile"), PRIVACY_LAW))
    for each in find_breaches(text, offer, way.channel, way.packs, way.sender, known, language):
        found.append(LintFinding(each.code, text[each.start : each.end][:40], each.why, RULE_SOURCES[each.code]))
    return found


@lru_cache(maxsize=8192)
def _linted(draft: Draft, angle: Angle, language: Language) -> list[LintFinding]:
    return lint_draft(draft, angle, language)


@lru_cache(maxsize=65_536)
def _label_faults(offer: Offer, language: Language) -> tuple[LintFinding, ...]:
    found, label = [], offer.label.text_in(language) if offer.label else ""
    names = (offer.label.zh, offer.label.en) if offer.label and offer.scope == "product" else ()
    parts = covered_targets(offer.covers) if offer.scope == "category" else ()
    if any(map(is_sensitive, parts)) or any(is_sensitive(name, "product") for name in names):
        why = gettext_lazy("{covers} is a private matter; a message must not name it", covers=repr(offer.covers))
        found.append(LintFinding("sensitive_name", label, why, PRIVACY_LAW))
    return tuple(found)


class MessageSettings(Settings):
    """Where the words come from, and who approves them; see [messages.md](messages.md)."""

    REMOVED: ClassVar[dict[str, str]] = {"languages": "texts are drafted in the languages of the shop"}

    writer: Literal["pool", "local", "remote", "replay"] = Field(
        default="pool",
        description="Who drafts and judges texts for `promolift words draft` and `promolift words judge`: nobody "
        "(`pool`: the texts at hand are all there are), or a model (`local`, `remote`, or `replay` of a recorded run, "
        "named under `llm`). No message ever waits for one.",
    )
    approve: Literal["person", "judged"] = Field(
        default="person",
        description="Which texts of the pool may be sent: those a person approved, or also those that a model judged. "
        "Where none may, a message states its offer alone.",
    )
    pool: str | None = Field(
        default=None,
        description="The shop's own pool of texts, from the folder of the command; left out: `words.jsonl`. The "
        "console and `promolift words review` write it with the first text that is decided on, `words draft` and "
        "`words import` with what they add. Until then the texts that come with promolift are used, which no person "
        "has approved.",
        examples=["words.jsonl"],
    )
    packs: tuple[RulePack, ...] = Field(
        default=(),
        description="Rule packs whose notices every message must carry: `ny_349a` (prices set by personal data, New "
        "York), `pipl_24` (how to refuse personal decisions, China), `eu_price_30d` (lowest price of the last 30 days, "
        "EU). Not legal advice.",
        examples=[["pipl_24"]],
    )
    sender: Sender = Sender()
    names: dict[str, LocalizedText] = Field(
        default={},
        description="What messages call a product or a category in each language, by its id or its name in the "
        'catalogue: `"UHT MILK 3.5 1L" = {zh = "牛奶", en = "milk"}`. Without an entry the catalogue\'s own name is '
        "printed, or, where that makes a claim or is none in the language, a neutral form.",
    )

    @field_validator("names")
    @classmethod
    def _fit_to_print(cls, names: dict[str, LocalizedText]) -> dict[str, LocalizedText]:
        for key, name in names.items():
            for language in LANGUAGES:
                said = name.text_in(language)
                if not names_in(said, language):
                    raise ValueError(
                        gettext_lazy(
                            "{key} is called {said} in {language}: write a name that its reader can read (in Chinese "
                            "with Chinese characters, unless it is a brand that Chinese shops print in Latin "
                            "letters), without a discount, a claim, a link or signs",
                            key=repr(key),
                            said=repr(said),
                            language=language,
                        )
                    )
        return names

    @property
    def pool_path(self) -> Path:
        """Where the shop's own pool lies, or will lie from the first text on that a person decides on."""
        return Path(self.pool or "words.jsonl")


_COLUMNS: dict[str, Any] = dict.fromkeys(
    ("name", "bought_name", "angle", *(f"play_reason_{language}" for language in LANGUAGES)), pl.String
)


def write_messages(
    plan: pl.DataFrame,
    offers: Mapping[str, Offer],
    choice: "TextChooser",
    way: MessageDelivery = PLAIN_DELIVERY,
    languages: Sequence[Language] = LANGUAGES,
    names: Mapping[str, LocalizedText] = MappingProxyType({}),
) -> pl.DataFrame:
    """`plan` with, per language, `message_`, `title_`, `text_` (the pool text's id) and `text_prob_` columns more.

    `plan` needs customer_id and offer_id; it may have name, angle, bought_name (of what was just bought), and per
    language `play_reason_` (the sentence before the offer, in place of a text of the pool). `names` is what a purchase
    is called, by its name in the catalogue. Null where the row's offer is null or gives nothing. InputError for an
    offer_id without offer, and for offers that cannot be said truly, all of them named.
    """
    for column in ("customer_id", "offer_id"):
        if column not in plan.columns:
            raise InputError(
                "column_missing",
                gettext_lazy(
                    "plan: column {column} is missing; it has {columns}", column=repr(column), columns=plan.columns
                ),
            )
    unknown = sorted(set(plan["offer_id"].drop_nulls().unique()) - set(offers))
    if unknown:
        raise InputError(
            "offer_unknown",
            gettext_lazy(
                "plan.offer_id: {unknown} ids have no offer, the first {unknown_2}; pass all offers of the plan",
                unknown=len(unknown),
                unknown_2=unknown[:3],
            ),
        )
    rows = plan.with_columns(pl.lit(None, t).alias(n) for n, t in _COLUMNS.items() if n not in plan.columns)
    made: list[dict[str, Any]] = []
    failed: dict[str, InputError] = {}
    for row in rows.select("customer_id", "offer_id", *_COLUMNS).iter_rows(named=True):
        said: dict[str, Any] = {}
        for language in languages:
            try:
                said |= _said(row, offers.get(row["offer_id"] or ""), language, choice, way, names)
            except InputError as error:
                failed.setdefault(row["offer_id"], error)
        made.append(said)
    if failed:
        first = next(iter(failed.values()))
        raise InputError(
            first.code,
            gettext_lazy(
                "{failed} of {offers} offers cannot be written; {first}",
                failed=len(failed),
                offers=len(offers),
                first=first,
            ),
        )
    types = {f"{name}_{language}": type_ for language in languages for name, type_ in _SAID.items()}
    return plan.hstack(pl.DataFrame(made, types))


_SAID = {"message": pl.String, "title": pl.String, "text": pl.String, "text_prob": pl.Float64}


def _said(
    row: Mapping[str, Any], offer: Offer | None, language: Language, choice: "TextChooser", way: MessageDelivery,
    names: Mapping[str, LocalizedText],
) -> dict[str, Any]:  # fmt: skip
    """What one row says in a language, by column; nothing where there is no offer."""
    if offer is None or offer.benefit.type == "none":
        return {}
    bought = (readable_name(row["bought_name"], "product", names),) if row["bought_name"] else ()
    reason = row[f"play_reason_{language}"]
    known = AngleFacts(name=row["name"], bought=bought, angle=row["angle"] or "generic", reason=reason)
    known = usable_facts(offer, known, language)
    require_content(offer, known, language)
    angle, without = text_angle(offer, known), unfillable_slots(offer, language)
    key = f"{row['customer_id']} {offer.id}"
    picked = choice.choose(angle, offer.benefit.type, language, key, offer.covers, without)
    message = write_message(offer, known, language, picked.text.draft if picked.text else None, way)
    prob = picked.propensity if message.text_id else None
    values = (message.text, message.title, message.text_id, prob)
    return {f"{name}_{language}": value for name, value in zip(_SAID, values, strict=True)}
