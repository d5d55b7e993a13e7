"""A text in, the same text readied for reading out: plain digits, protected names, numbers in three scripts.

Everything keeps its length, so that a place found in the readied text is the same place in the original.
"""

import re
import unicodedata
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Literal, NamedTuple

from promolift.errors import InputError
from promolift.terms import Words


@dataclass(frozen=True)
class BrokenRule:
    """One way in which a text is not true or not fit to send: a code, the offending words and their place, and why.

    `span` is `text[start:end]`; something that is missing has an empty one.
    """

    code: str
    span: str
    reason: str
    start: int = 0
    end: int = 0

    @property
    def source(self) -> str:
        """Where the rule comes from: the offer, a law, or a channel."""
        return source_of(self.code)


FactKind = Literal[
    "name", "percent", "amount", "threshold", "cap", "shipping", "start", "end", "code", "person", "bought"
]


@dataclass(frozen=True)
class Fact:
    """One fact a text states, at [start, end); `holds` if no rule is broken there."""

    kind: FactKind
    start: int
    end: int
    said: str
    holds: bool = True


@dataclass(frozen=True)
class Context:
    """What besides the offer the text may rely on.

    `name` is the recipient's, `bought` what they bought a moment ago and may be reminded of. `private` are facts of
    their profile that must not appear (age, occupation, income), `other_names` are other people than the recipient.
    `sent` is the moment of sending: without it no text may count days. `full` texts must state the expiry date; a
    sentence whose terms stand elsewhere need not. `allow_sensitive` is the shop's own word that a private matter may be
    named. `code` is the customer's own coupon code: a text may name it and no other.
    """

    name: str | None = None
    bought: tuple[Words, ...] = ()
    private: tuple[str, ...] = ()
    other_names: tuple[str, ...] = ()
    sent: datetime | None = None
    full: bool = True
    allow_sensitive: bool = False
    code: str | None = None

    def __post_init__(self) -> None:
        """Raise InputError if `sent` has no time zone."""
        if self.sent and self.sent.tzinfo is None:
            raise InputError(f"message: sent = {self.sent} has no time zone; pass an aware datetime")


# One private-use character per kind of protected stretch; regular expressions below name them.
OFFERED, BOUGHT, PERSON, OTHER, DATE, DONE = "\ue000", "\ue001", "\ue002", "\ue003", "\ue004", "\ue005"

_SIMPLIFIED = (  # pairs of a traditional character and its simplified form, for the words the rules look for
    "滿满減减購购買买優优運运費费員员專专屬属顧顾絕绝對对場场單单價价個个級级僅仅獨独無无張张點点節节歡欢樂乐氣气這这們们時时間间"
    "雙双貨货剛刚現现從从開开贈赠積积產产億亿萬万圓圆兩两幣币歐欧韓韩盧卢倫伦終终結结過过據据瀏浏覽览歷历戶户親亲愛爱請请選选凍冻飯饭麵面雞鸡魚鱼豬猪醬酱麥麦飲饮廚厨電电腦脑機机燈灯褲裤襪袜鮮鲜葉叶類类護护膚肤寵宠糧粮圖图書书筆笔紙纸盤盘鍋锅壺壶蘋苹穀谷罐罐頭头幫帮衛卫給给讓让號号"
)
_FORMAL = re.compile(
    "[壹贰叁肆伍陆柒捌玖拾佰仟]{2,}|[壹贰叁肆伍陆柒捌玖拾佰仟](?=[元圆折])"
)  # as on cheques; alone some of them are family names
_FORMAL_DIGITS = str.maketrans("壹贰叁肆伍陆柒捌玖拾佰仟", "一二三四五六七八九十百千")
_PLAIN = dict(zip(_SIMPLIFIED[::2], _SIMPLIFIED[1::2], strict=True))
_PLAIN |= dict.fromkeys("’‘", "'") | dict.fromkeys("–—−‐‑", "-") | dict.fromkeys("\u00a0\u202f\u3000", " ")
_PLAIN |= dict.fromkeys("〜～", "~") | {"￥": "¥"}


def ready(text: str) -> str:
    """`text` with plain digits, Latin letters, signs and simplified characters, one character for one."""
    return "".join(map(_plain_character, _FORMAL.sub(lambda m: m.group().translate(_FORMAL_DIGITS), text)))


def _plain_character(c: str) -> str:
    if c < "\x7f":
        return c
    if c in _PLAIN:
        return _PLAIN[c]
    if "\ue000" <= c <= "\uf8ff":
        return "?"
    if "\uff01" <= c <= "\uff5e" and c not in "，！？；：":  # full width; Chinese punctuation keeps its meaning
        return chr(ord(c) - 0xFEE0)
    digit = unicodedata.digit(c, None)  # circled, superscript and other scripts' digits
    return str(digit) if digit is not None else c


class Clause(NamedTuple):
    """The words of a sentence before a place in it, and those after."""

    before: str
    after: str


@dataclass
class Reading:
    """The state of reading one text: `text` is what has not yet been understood, `broken` what was found wrong.

    `stated` are the kinds of facts that worked examples have stated.
    """

    raw: str
    text: str
    broken: list[BrokenRule] = field(default_factory=list)
    facts: list[Fact] = field(default_factory=list)
    stated: set[FactKind] = field(default_factory=set)

    def flag(self, code: str, start: int, end: int, reason: str) -> None:
        """Note a broken rule at [start, end) of the original."""
        self.broken.append(BrokenRule(code, self.raw[start:end], reason, start, end))

    def note(self, kind: FactKind, start: int, end: int) -> None:
        """Note a fact the text states at [start, end)."""
        self.facts.append(Fact(kind, start, end, self.raw[start:end]))

    def hide(self, start: int, end: int, mark: str) -> None:
        """Replace [start, end) by `mark`, keeping the length: it has been understood."""
        self.text = self.text[:start] + mark * (end - start) + self.text[end:]

    def clause(self, start: int, end: int) -> "Clause":
        """What stands beside [start, end) within its sentence."""
        before = SENTENCE_END.split(self.text[max(0, start - 60) : start])[-1]
        after = SENTENCE_END.split(self.text[end : end + 60])[0]
        return Clause(before, after)


SENTENCE_END = re.compile(r"[。！!？?；;\n]|\.(?=\s|$)(?<![Mm]in\.)(?<![Mm]ax\.)(?<![apAP]\.m\.)")

DIGITS = r"(?:\d{1,3}(?:,\d{3})+|\d+)(?:\.\d+)?"
HAN = r"[零〇一二两三四五六七八九十百千万]+(?:点[零〇一二三四五六七八九]+)?"
_TO_NINETEEN = """
    zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen
    eighteen nineteen
"""
_TENS = "twenty thirty forty fifty sixty seventy eighty ninety"
_WORD_VALUES = {w: i for i, w in enumerate(_TO_NINETEEN.split())} | {
    w: 20 + 10 * i for i, w in enumerate(_TENS.split())
}
_WORD_VALUES |= {"a": 1, "hundred": 100, "thousand": 1000}
_ONE_WORD = "|".join(sorted((w for w in _WORD_VALUES if w != "a"), key=len, reverse=True))
WORDS = rf"\b(?:a (?=hundred|thousand))?(?:{_ONE_WORD})(?:(?:[\s-]+(?:and )?)(?:{_ONE_WORD}))*\b"
_HAN_DIGITS = {c: i for i, c in enumerate("零一二三四五六七八九")} | {"〇": 0, "两": 2}
_HAN_UNITS = {"十": 10, "百": 100, "千": 1000}


def number(text: str) -> Decimal:
    """The value of digits ('1,234.5'), Chinese numerals ('两百五', '七点五') or English words ('twenty-five')."""
    text = text.strip()
    if text[0].isdigit():
        return Decimal(text.replace(",", ""))
    return Decimal(_english(text)) if text[0].isascii() else _chinese(text)


def _chinese(text: str) -> Decimal:
    whole, _, fraction = text.partition("点")
    decimals = "".join(str(_HAN_DIGITS[c]) for c in fraction)
    if all(c in _HAN_DIGITS for c in whole):  # digits read one by one: 二〇二六, 七五
        return Decimal("".join(str(_HAN_DIGITS[c]) for c in whole) + (f".{decimals}" if decimals else ""))
    total, last, digit, unit = 0, 0, 0, 1
    for c in whole:
        if c in _HAN_DIGITS:
            digit = _HAN_DIGITS[c]
        elif c == "万":
            total, last, digit, unit = (total + digit) * 10_000, 10_000, 0, 10_000
        else:
            unit = _HAN_UNITS[c]
            total, last, digit = total + (digit or 1) * unit, unit, 0
    spoken = last > 10 and "零" not in whole and "〇" not in whole  # 两百五 is 250, 两百零五 is 205
    short = digit * (last // 10) if spoken else digit
    return Decimal(f"{total + short}.{decimals or 0}").normalize()


def _english(text: str) -> int:
    total, current = 0, 0
    for word in re.split(r"[\s-]+", text.lower()):
        if word == "and":
            continue
        value = _WORD_VALUES[word]
        if value == 1000:
            total, current = (current or 1) * 1000, 0
        elif value == 100:
            current = (current or 1) * 100
        else:
            current += value
    return total + current


_TRUE = "the offer: a message says what the offer says, no more and no less"
_OURS = "promolift: a message fit to send"
_AD_LAW = "ad_law_cn: Advertising Law of the People's Republic of China (2015, revised 2021), article 9 (3)"
_MISLEAD = "ad_law_cn: the same law, article 28; Directive 2005/29/EC, annex I, no. 7"
_CLAIMS = "ad_law_cn: the same law, articles 11, 17 and 28; Regulation (EC) 1924/2006 on health claims"
_PRIVACY = (
    "Personal Information Protection Law of the People's Republic of China (2021), articles 6 and 28; GDPR, article 5"
)
_SMS = "sms_cn: Provisions on Short Message Services (MIIT order 31, 2015), articles 18 and 20"
_SMS_LENGTH = "sms_cn: 3GPP TS 23.038 and 23.040: 70 characters in one part, 67 per part in several"
_EMAIL = "email_en: CAN-SPAM Act, 15 U.S.C. 7704 (a) (3) and (5)"
_PUSH = "push: lock screens cut what is longer; the limit is ours"
_WECHAT = "wechat_store: rules for coupons of stores in WeChat"

SOURCES: dict[str, str] = {
    "superlative": _AD_LAW,
    "unproven_claim": _CLAIMS,
    "vague_deadline": _MISLEAD,
    "profile_leak": _PRIVACY,
    "sensitive_name": _PRIVACY,
    "wrong_name": _PRIVACY,
    "unknown_purchase": _PRIVACY,
    "sms_signature": _SMS,
    "sms_opt_out": _SMS,
    "sms_length": _SMS_LENGTH,
    "email_unsubscribe": _EMAIL,
    "email_address": _EMAIL,
    "push_length": _PUSH,
    "wechat_name": _WECHAT,
    "wechat_floor": _WECHAT,
} | dict.fromkeys(
    ("wrong_language", "unfilled_slot", "empty", "control_character", "link", "markup", "too_long", "tone", "no_offer",
     "injection"), _OURS,
)  # fmt: skip


def source_of(code: str) -> str:
    """Where the rule with this code comes from; every rule without a law of its own rests on the offer."""
    return SOURCES.get(code, _TRUE)


def sentence_around(text: str, start: int, end: int) -> str:
    """The whole sentence around [start, end)."""
    return SENTENCE_END.split(text[:start])[-1] + text[start:end] + SENTENCE_END.split(text[end:])[0]
