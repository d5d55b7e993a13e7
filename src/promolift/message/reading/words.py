"""A reading and an offer in; words that are never true of an offer, or never fit to send, flagged."""

import re
import unicodedata

from promolift.message.names import any_of
from promolift.message.reading import word_lists as words
from promolift.message.reading.asides import in_scene
from promolift.message.reading.text import DATE, DONE, SENTENCE_END, Context, Reading, ready, sentence_around
from promolift.terms import Language, Offer

_HAN = re.compile(r"[\u3400-\u9fff]")
_INVISIBLE = frozenset({"Cc", "Cf", "Co", "Cs", "Cn", "Zl", "Zp"})  # Unicode general categories
_LATIN = "app vip sms td r off usd cny rmb eur gbp jpy hkd sgd twd aud cad code pm am"  # usual in Chinese texts
_KNOWN_LATIN = frozenset(_LATIN.split())
_FOREIGN = re.compile(
    r"\b(?:hasta|para|con|del|los|las|disfruta|descuento|und|der|das|für|mit|auf|bis|rabatt|avec|pour|les|des|jusqu|sur"
    r"|remise|profitez|della|fino|sconto|sobre|oferta|até|em|kaufen|sparen)\b",
    re.IGNORECASE,
)
_ITS = re.compile(r"\s*(?:it's|it is|that's|that is|this is|which is|那一?[天日]|这一?[天日]|当[天日])", re.IGNORECASE)
_CODE = re.compile(
    r"\b(?:(?:promo|coupon|voucher|discount|offer|checkout|your)\s*)?code\b[\s:]*(?:is\s+)?[\"'“(]?(?P<code>(?=[A-Z\d-]*[A-Z])[A-Z\d-]{3,}|\d{4,})"
    r"|(?:券码|优惠码|兑换码|折扣码|口令|暗号)\s*(?:为|是|[:：])?\s*[“\"「]?(?P<code_zh>[A-Za-z\d-]{3,})"
)
# A day or week without a date: pressure, unless it belongs to a scene before the benefit.
WEEK = any_of(r"""
    最后[一1]?(?:[件单次轮](?!机会|优惠|打折)|小时|分钟|周)
    \bthis week\b(?!end)(?![^.!;:\n]*\?)
    \b(?:by|until|through|before|till|on|this) (?:mon|tues|wednes|thurs|fri|satur|sun)day\b(?!,?\s*(?:the )?\ue004)
""")
# A last day, true where its date stands in the same sentence and it is not called today.
LAST_DAY = any_of(r"最后[一1]?[天日](?!的)|\b(?:last|final) (?:days?|call)\b")
TODAY = any_of(r"今[天日晚]|明[天日]|\btoday\b|\btonight\b|\btomorrow\b")
# How often and when: a condition where the sentence speaks of the offer, and everyday life where it does not.
HABIT = any_of(r"""
    [两二三四五六七八九]次|工作日|\bevery (?:second|other|third)\b|\b(?:twice|three times)\b|\bweekdays?\b
    \b(?:each|every) (?:week|month|time|visit|evening|night)\b|\bweekly\b|\bmonthly\b|\bon (?:the )?weekends?\b
    \b(?:on|every) (?:mon|tues|wednes|thurs|fri|satur|sun)days?\b(?!,? \ue004)
""")
# A sentence about the offer.
OFFER_TALK = any_of(r"""
    [\d%¥$€£\ue000\ue004\ue005折减省券]|[包免]邮|半价|优惠|活动|有效|适用|参[加与]|取消|暂停|除外|不含|不包括|可用
        |能用|使用|限
    \b(?:offers?|discount\w*|coupons?|vouchers?|codes?|sales?|deals?|savings?|valid|appl(?:y|ies|icable)|eligib\w+
        |available|off
        |includ\w+|exclu\w+|restrict\w*|cancel\w*|withdrawn|redeem\w*|shipping|delivery|free|half|percent|use)\b
""")


def check_hygiene(reading: Reading) -> None:
    """Control characters, markup, links and unfilled slots in the text as it stands."""
    for i, c in enumerate(reading.raw):
        if unicodedata.category(c) in _INVISIBLE and c != "\n" and not _joins_emoji(reading.raw, i):
            reading.flag("control_character", i, i + 1, f"U+{ord(c):04X} is invisible and does not belong in a message")
    _flag_all(reading, words.LINK, "link", "a message carries no link or address the offer does not have")
    _flag_all(reading, words.MARKUP, "markup", "a message is plain text")


def check_slots(reading: Reading) -> None:
    """Unfilled slots, outside protected names."""
    _flag_all(reading, words.SLOT, "unfilled_slot", "a slot of a template was left unfilled")
    if not reading.text.strip():
        reading.flag("empty", 0, len(reading.raw), "there is no text")


def check_tone(reading: Reading) -> None:
    """No shouting, no abuse."""
    _flag_all(reading, words.TONE, "tone", "a message neither shouts nor insults")
    letters = [c for c in reading.text if c.isascii() and c.isalpha()]
    if len(letters) > 24 and sum(c.isupper() for c in letters) > 0.7 * len(letters):
        reading.flag("tone", 0, len(reading.raw), "capitals throughout shout")


def check_code(reading: Reading, context: Context) -> None:
    """A coupon code is the customer's own; it is hidden, any other one is flagged."""
    if context.code:
        for match in re.finditer(rf"(?<![A-Za-z\d]){re.escape(ready(context.code))}(?![A-Za-z\d])", reading.text):
            reading.note("code", *match.span())
            reading.hide(*match.span(), DONE)
    for match in _CODE.finditer(reading.text):
        known = f"the customer's code is {context.code}" if context.code else "no code is known"
        group = "code" if match["code"] else "code_zh"
        reading.flag("wrong_code", *match.span(group), known)
        reading.hide(*match.span(group), DONE)


def _joins_emoji(text: str, i: int) -> bool:
    near = text[max(0, i - 1) : i] + text[i + 1 : i + 2]
    return text[i] == "\u200d" and any(unicodedata.category(c) in ("So", "Sk", "Mn") for c in near)


def check_language(reading: Reading, language: Language) -> None:
    """Outside names, a Chinese text is written in Chinese and an English one in English."""
    han = list(_HAN.finditer(reading.text))
    latin = [m for m in re.finditer(r"[A-Za-z]{2,}", reading.text) if m.group().lower() not in _KNOWN_LATIN]
    foreign = {m.group().lower() for m in _FOREIGN.finditer(reading.text)} if language == "en" else set()
    if len(foreign) > 1:
        reading.flag("wrong_language", 0, len(reading.raw), f"no English: {', '.join(sorted(foreign))}")
    if language == "en" and han:
        reading.flag("wrong_language", han[0].start(), han[-1].end(), "Chinese words in an English message")
    if language == "zh" and (not han or len(latin) > 3):
        start = latin[0].start() if latin else 0
        reading.flag("wrong_language", start, latin[-1].end() if latin else 0, "this is not written in Chinese")


def check_words(reading: Reading, offer: Offer, context: Context) -> None:
    """Superlatives, urgency, leaks, other benefits, other conditions, negations and a wrong extent."""
    _flag_all(reading, words.SUPERLATIVE, "superlative", "nobody can prove this, and advertising law forbids it")
    _flag_all(reading, words.MACHINE, "injection", "this speaks of a machine, not of the offer")
    _flag_all(reading, words.UNPROVEN, "unproven_claim", "a shop would have to prove this")
    _flag_all(reading, words.URGENCY, "vague_deadline", "pressure without a date; the offer has one: say it")
    _flag_last_day(reading)
    for match in WEEK.finditer(reading.text):
        if not in_scene(reading.text, *match.span()):
            reading.flag("vague_deadline", *match.span(), "a day without its date; the offer has one: say it")
    _flag_all(reading, words.LEAK, "profile_leak", "this tells the customer what is known or guessed about them")
    if offer.benefit.percent != 100:
        _flag_all(reading, words.OTHER_BENEFIT, "wrong_benefit", "the offer does not give this")
    if offer.benefit.type == "free_shipping":
        _flag_all(reading, words.DISCOUNT, "wrong_benefit", "the offer takes nothing off the price")
    _flag_all(reading, words.VAGUE, "vague_amount", "the benefit is exactly what the offer says")
    _flag_all(reading, words.CONDITION, "wrong_condition", "the offer has no such condition")
    _flag_all(reading, HABIT, "wrong_condition", "the offer has no such condition", OFFER_TALK)
    if offer.benefit.type == "amount_off" or offer.benefit.max_discount_cents:
        _flag_all(reading, words.PER_PIECE, "wrong_condition", "the sum is taken off once, not per piece")
    _flag_all(reading, words.NEGATED, "negated", "this takes the offer back", OFFER_TALK)
    if offer.min_spend_cents:
        _flag_all(reading, words.NO_MINIMUM, "wrong_threshold", "the offer asks for a minimum spend")
    if offer.benefit.max_discount_cents or offer.benefit.type == "amount_off":
        _flag_all(reading, words.NO_LIMIT, "wrong_cap", "the discount is limited")
    _flag_all(reading, words.RESTRICTED, "wrong_scope", "the offer is not restricted to a selection")
    _flag_all(reading, words.OTHER_TARGET, "wrong_scope", "the discount is taken off something else")
    if offer.scope == "all":
        _flag_all(reading, words.A_PART, "wrong_scope", "the offer covers everything")
    else:
        _flag_all(reading, words.EVERYTHING, "wrong_scope", f"the offer covers {offer.covers!r} alone")
    _check_private(reading, context)


def _check_private(reading: Reading, context: Context) -> None:
    for fact in context.private:
        if len(fact.strip()) > 1 or fact.strip().isdigit():
            inner = re.escape(fact.strip())
            pattern = rf"(?<![A-Za-z\d]){inner}(?![A-Za-z\d])" if fact.isascii() else inner
            _flag_all(reading, re.compile(pattern, re.IGNORECASE), "profile_leak", "a fact of the customer's profile")


def _flag_last_day(reading: Reading) -> None:
    for match in LAST_DAY.finditer(reading.text):
        said = sentence_around(reading.text, *match.span())
        if _ITS.match(said) and not TODAY.search(said):
            before = _before(reading.text, match.start())
            said += sentence_around(reading.text, before, before)
        if DATE not in said or TODAY.search(said):
            reading.flag("vague_deadline", *match.span(), "a last day without its date; the offer has one: say it")


def _before(text: str, at: int) -> int:
    """A place in the sentence before the one that holds `at`."""
    ends = [m.start() for m in SENTENCE_END.finditer(text, 0, at)]
    return ends[-1] - 1 if ends and ends[-1] else 0


def _flag_all(
    reading: Reading, pattern: re.Pattern[str], code: str, reason: str, where: re.Pattern[str] | None = None
) -> None:
    """Flag every match; if `where` is given, only in a sentence that it is found in."""
    for match in pattern.finditer(reading.text):
        if where is None or where.search(sentence_around(reading.text, *match.span())):
            reading.flag(code, *match.span(), reason)
