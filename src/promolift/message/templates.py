"""An offer and a recipient in, the words of a message in Chinese or English out; not yet verified.

Every fact is put in by code from the offer. One of `FRAMES` phrasings is chosen by hash, the same one in both
languages. A recipient who bought something a moment ago always gets phrasing 0, which says so.
"""

import re
from dataclasses import dataclass
from datetime import datetime, time, timedelta
from decimal import Decimal
from typing import Literal, NamedTuple

from pydantic import AwareDatetime, Field

from promolift.currency import CURRENCY_DIGITS, SIGNS
from promolift.hashing import hash_int
from promolift.message.names import SMUGGLED, Kind, is_sensitive
from promolift.settings import Settings
from promolift.terms import Language, Offer, Words

FRAMES = 4
JUST = timedelta(days=3)  # 'you just bought' is true for this long
# not strftime, whose words follow the machine's language
_MONTHS = "January February March April May June July August September October November December"


class Bought(Settings):
    """What the recipient bought a moment ago: its name, when, and the key and kind that tell if it may be named."""

    label: Words
    key: str
    kind: Kind = "category"
    category: str = ""
    at: AwareDatetime | None = None


class Recipient(Settings):
    """Who is written to: the id that chooses the phrasing, how to address them, what they bought a moment ago."""

    customer_id: str = ""
    name: str | None = None
    bought: Bought | None = None


class Style(Settings):
    """How messages are written. `sent` is the moment of sending, if it is known; `seed` varies the phrasings.

    `allow_sensitive` is the shop's own decision that an offer on a private matter may name it; a private purchase is
    never named.
    """

    seed: int = 0
    sent: AwareDatetime | None = None
    allow_sensitive: bool = False


class MessageSettings(Settings):
    """Who writes; see [messages.md](messages.md)."""

    writer: Literal["template", "local", "remote", "replay"] = Field(
        default="template",
        description="The template writes every message. A model (`local`, `remote`, or `replay` of a recorded run, "
        "named under `llm`) adds a title and a line.",
    )
    languages: tuple[Language, ...] = Field(
        default=("zh", "en"),
        description="Languages in which a model writes; the template writes both.",
        examples=[["en"]],
    )
    review: str | None = Field(
        default=None,
        description="CSV file, from the folder of the command, that a person reads: a model's text is delivered only "
        "once `approved` says yes there. Left out: all that passed the checks are.",
        examples=["review.csv"],
    )


@dataclass(frozen=True)
class Message:
    """A message in its parts. `sentence` is greeting and body, `text` the whole with its terms, as delivered.

    `title` and `line` are a model's free words, empty in a message of the template alone. The title is no part of the
    text: it heads a push notice or an e-mail.
    """

    greeting: str
    body: str
    terms: str
    gap: str = ""
    title: str = ""
    line: str = ""

    @property
    def sentence(self) -> str:
        """Greeting and body: 'Dear customer, enjoy 20% off frozen meals.'"""
        return self.greeting + self.body

    @property
    def text(self) -> str:
        """The whole message, with the sentence on its validity and the free line."""
        return self.sentence + self.gap + self.terms + (self.gap + self.line if self.line else "")


def frame_of(offer: Offer, customer_id: str, style: Style) -> int:
    """The phrasing for this customer and offer, fixed by the hash of both and the seed."""
    return hash_int("phrasing", style.seed, offer.id, customer_id) % FRAMES


def compose(offer: Offer, recipient: Recipient, language: Language, frame: int, style: Style) -> Message:
    """The message in its parts. `frame` 0 to 3 chooses among the phrasings."""
    bought = nameable(recipient.bought, offer, style)
    begun = style.sent is None or style.sent >= offer.starts
    name = recipient.name if recipient.name and addressable(recipient.name) else None
    parts = _chinese if language == "zh" else _english
    return Message(
        greeting(name, language),
        parts(offer, bought.in_(language) if bought else None, 0 if bought else frame, begun),
        _terms(offer, language, begun),
        "" if language == "zh" else " ",
    )


def greeting(name: str | None, language: Language) -> str:
    """How a message opens; without a name it is addressed to the customer."""
    if language == "zh":
        return f"尊敬的{name or '顾客'}，"
    return f"Dear {name or 'customer'}, "


_NAME = re.compile(r"^[^\W\d_](?:[^\W_]|[ .·'’-]){0,39}$")
_NO_NAME = re.compile(
    r"折|元|减|免|送|赠|优惠|最|第一|https?|www|\.\w{2,}|\d\s*(?:off|percent|usd|rmb)|\b(?:off|free|best)\b"
    r"|^(?:none|nan|nat|null|nil|undefined|unknown|anonymous|test|guest|na|customer|user|顾客|客户|用户|会员|匿名|未知)$",
    re.IGNORECASE,
)


def addressable(name: str) -> bool:
    """Whether this is a name one can write in a greeting, and not an id, a link, an offer or a null in disguise."""
    fit = _NAME.match(name) and name == name.strip()
    return bool(fit) and not _NO_NAME.search(name) and not SMUGGLED.search(name)


def nameable(bought: Bought | None, offer: Offer, style: Style) -> Words | None:
    """The purchase a message may mention: recent, not private, and not the offered thing itself."""
    if bought is None or bought.key == offer.covers or bought.label == offer.label:
        return None
    private = is_sensitive(bought.key, bought.kind) or is_sensitive(bought.label.en) or is_sensitive(bought.label.zh)
    if private or (bought.category and is_sensitive(bought.category)):
        return None
    if bought.at and style.sent and not timedelta(0) <= style.sent - bought.at <= JUST:
        return None
    return bought.label


def _chinese(offer: Offer, bought: str | None, frame: int, begun: bool) -> str:
    benefit, currency = offer.benefit, offer.currency
    item = offer.label.zh if offer.label else None
    spend = f"满{money(offer.min_spend_cents, currency, 'zh')}" if offer.min_spend_cents else ""
    cap = f"（最高减{money(benefit.max_discount_cents, currency, 'zh')}）" if benefit.max_discount_cents else ""
    who = (f"购买{item}" if item else "全场购物") + spend
    if benefit.type == "percent_off":
        deal = "全额减免" if benefit.percent == 100 else f"{zhe(benefit.percent)}优惠"
        verbs = ("可以享受", "即享", "享", "立享")
    elif benefit.type == "amount_off":
        deal = money(benefit.amount_cents, currency, "zh")
        verbs = ("可以立减", "即减", "减", "立减")
    else:
        deal = "免运费优惠"
        verbs = ("可以享受", "即享", "享", "立享")
    say = f"{who}{verbs[frame]}{deal}{cap}"
    now = "现在" if begun else ""
    companion = f"您刚刚购买了{bought}，" if bought else ""
    return (
        f"{companion}{now}{say}！",
        f"{who}，{verbs[1]}{deal}{cap}。",
        f"为您准备了一份优惠：{say}。",
        f"{say}，欢迎选购。",
    )[frame]


def zhe(percent: int) -> str:
    """20 % off is 8折, 25 % 7.5折: what is paid, in tenths of the price."""
    tenths, rest = divmod(100 - percent, 10)
    return f"{tenths}.{rest}折" if rest else f"{tenths}折"


def _english(offer: Offer, bought: str | None, frame: int, begun: bool) -> str:
    benefit, currency = offer.benefit, offer.currency
    deal, everything = {
        "percent_off": (f"{benefit.percent}% off", "everything"),
        "amount_off": (f"{money(benefit.amount_cents, currency, 'en')} off", "your order"),
    }.get(benefit.type, ("free shipping on", "your order"))
    if offer.min_spend_cents:
        item = f" on {offer.label.en}" if offer.label else ""
        spend = money(offer.min_spend_cents, currency, "en")
        deal = f"{deal.removesuffix(' on')} when you spend {spend} or more{item}"
    else:
        deal = f"{deal} {offer.label.en if offer.label else everything}"
    if benefit.max_discount_cents:
        deal += f" (up to {money(benefit.max_discount_cents, currency, 'en')})"
    start = (
        f"you just bought {bought}, and now"
        if bought and begun
        else f"you just bought {bought}:"
        if bought
        else "now" * begun
    )
    return (
        f"{start} you can enjoy {deal}!".strip(),
        f"here is an offer for you: {deal}.",
        f"enjoy {deal}.",
        f"treat yourself to {deal}.",
    )[frame]


def _terms(offer: Offer, language: Language, begun: bool) -> str:
    """The sentence on validity, with the first day if the offer has not begun, and the hour if it ends within a day."""
    day, clock = _end(offer)
    if language == "zh":
        start = "" if begun else f"{_day_zh(offer.starts)}起，"
        return f"{start}有效期至{_day_zh(day)}{f'{clock:%H:%M}' if clock else ''}。"
    start = "" if begun else f" from {_day_en(offer.starts)}"
    if clock:
        return f"Valid{start} until {_clock_en(clock)} on {_day_en(day)}."
    return f"Valid{start} through {_day_en(day)}."


class _End(NamedTuple):
    """The last day, and the clock time unless the offer is valid to the end of that day."""

    day: datetime
    clock: time | None


def _end(offer: Offer) -> _End:
    """When the offer ends."""
    last = offer.expires.replace(tzinfo=None)
    if last.time() >= time(23, 59):
        return _End(last, None)
    if last.time() < time(0, 1):
        return _End(last - timedelta(days=1), None)  # midnight belongs to the day it ends
    return _End(last, (last + timedelta(seconds=1)).time())  # 17:59:59 is 'until 18:00'


def _day_zh(day: datetime) -> str:
    return f"{day.year}年{day.month}月{day.day}日"


def _day_en(day: datetime) -> str:
    return f"{_MONTHS.split()[day.month - 1]} {day.day}, {day.year}"


def _clock_en(clock: time) -> str:
    half = "a.m." if clock.hour < 12 else "p.m."
    return f"{(clock.hour - 1) % 12 + 1}:{clock.minute:02d} {half}"


# The unit's Chinese name stands after the number; others take the code: "1,234.50 CLP".
_UNITS_ZH = {
    "CNY": "元", "USD": "美元", "EUR": "欧元", "GBP": "英镑", "JPY": "日元", "KRW": "韩元", "INR": "印度卢比",
    "VND": "越南盾", "THB": "泰铢", "PHP": "菲律宾比索", "RUB": "卢布", "CAD": "加元", "AUD": "澳元", "NZD": "新西兰元",
    "HKD": "港元", "MOP": "澳门元", "SGD": "新加坡元", "TWD": "新台币", "MYR": "林吉特", "IDR": "印尼盾",
    "CHF": "瑞士法郎", "SEK": "瑞典克朗", "NOK": "挪威克朗", "DKK": "丹麦克朗", "MXN": "墨西哥比索", "BRL": "雷亚尔",
}  # fmt: skip


def money(cents: int, currency: str, language: Language) -> str:
    """The amount as printed: `$1,234.50`, `¥200`, `CHF 15` in English, `1,234.50元`, `30美元` in Chinese.

    `cents` is in minor units; a whole amount has no decimals. Babel would do the same with 10 MB of data.
    """
    number = _number(cents, CURRENCY_DIGITS.get(currency, 2))
    if language == "zh":
        unit = _UNITS_ZH.get(currency)
        return f"{number}{unit}" if unit else f"{number} {currency}"
    sign = SIGNS.get(currency)
    return f"{sign}{number}" if sign else f"{currency} {number}"


def _number(cents: int, decimals: int) -> str:
    value = Decimal(cents).scaleb(-decimals)
    return f"{value:,.0f}" if value == value.to_integral_value() else f"{value:,.{decimals}f}"
