"""An offer in; what it is in print, Chinese or English, out: by code alone, whoever wrote the words around it.

Four lengths of the same facts: `deal` for a title, `offer_words` for a list or a till, `sentence` for a message and
`terms` for what stands after it. Money, days and 折 are printed here and nowhere else.
"""

from datetime import datetime, time, timedelta
from decimal import Decimal
from functools import lru_cache
from typing import NamedTuple

from promolift.currency import CURRENCY_DIGITS, SIGNS
from promolift.message.names import is_plural
from promolift.terms import Activation, Benefit, Joined, Language, Offer, Words

EVERYTHING = Words(zh="全场", en="everything")
NEEDS: dict[Activation, Words | None] = {
    "automatic": None,
    "code": Words(zh="凭券", en="with a code"),
    "link": Words(zh="点消息里的链接领取", en="by the link in the message"),
}
REDEEM: dict[Activation, Words] = {
    "automatic": Words(zh="结账时自动生效。", en="Applied automatically at checkout."),
    "code": Words(zh="结账时使用您的优惠码。", en="Use your code at checkout."),
    "link": Words(zh="点消息里的链接领取。", en="Open the link in this message to claim it."),
}
# not strftime, whose words follow the machine's language
_MONTHS = "January February March April May June July August September October November December"
# The unit's Chinese name stands after the number; others take the code: "1,234.50 CLP".
_UNITS_ZH = {
    "CNY": "元", "USD": "美元", "EUR": "欧元", "GBP": "英镑", "JPY": "日元", "KRW": "韩元", "INR": "印度卢比",
    "VND": "越南盾", "THB": "泰铢", "PHP": "菲律宾比索", "RUB": "卢布", "CAD": "加元", "AUD": "澳元", "NZD": "新西兰元",
    "HKD": "港元", "MOP": "澳门元", "SGD": "新加坡元", "TWD": "新台币", "MYR": "林吉特", "IDR": "印尼盾",
    "CHF": "瑞士法郎", "SEK": "瑞典克朗", "NOK": "挪威克朗", "DKK": "丹麦克朗", "MXN": "墨西哥比索", "BRL": "雷亚尔",
}  # fmt: skip


def money(cents: int, currency: str, language: Language) -> str:
    """The amount as printed: `$1,234.50`, `¥200`, `CHF 15` in English, `1,234.50元`, `30美元` in Chinese.

    `cents` is in minor units; a whole amount has no decimals.
    """
    digits = CURRENCY_DIGITS.get(currency, 2)
    value = Decimal(cents).scaleb(-digits)
    number = f"{value:,.0f}" if value == value.to_integral_value() else f"{value:,.{digits}f}"
    if language == "zh":
        unit = _UNITS_ZH.get(currency)
        return f"{number}{unit}" if unit else f"{number} {currency}"
    sign = SIGNS.get(currency)
    return f"{sign}{number}" if sign else f"{currency} {number}"


def zhe(percent: int) -> str:
    """20 % off is 8折, 25 % 7.5折: what is paid, in tenths of the price."""
    tenths, rest = divmod(100 - percent, 10)
    return f"{tenths}.{rest}折" if rest else f"{tenths}折"


class OfferLine(NamedTuple):
    """What an offer's words are made of; `on` is None where the whole order counts."""

    benefit: Benefit
    min_spend_cents: int
    currency: str
    on: str | None
    joined: Joined | None
    plural: bool = False

    @property
    def plain(self) -> bool:
        """A share off whatever is bought of it."""
        return self.benefit.type == "percent_off" and not self.min_spend_cents and self.joined != "together"

    def off(self, language: Language) -> str:
        """The amount it takes off, as printed."""
        return money(self.benefit.amount_cents, self.currency, language)

    def spend(self, language: Language) -> str:
        """The threshold: '满100元', '$50'; empty for none."""
        said = money(self.min_spend_cents, self.currency, language) if self.min_spend_cents else ""
        return f"满{said}" if said and language == "zh" else said

    def cap(self, language: Language, pattern: str) -> str:
        """The most it takes off, put into `pattern`; empty for no bound."""
        most = self.benefit.max_discount_cents
        return pattern.format(money(most, self.currency, language)) if most else ""

    def ends(self, language: Language) -> str:
        """How a sentence of it ends: its cap, and that each of two counts."""
        whichever = "" if self.joined != "each" else "，买哪样都算" if language == "zh" else ", whichever you buy"
        return self.cap(language, "（最高减{}）" if language == "zh" else " (up to {} off)") + whichever


@lru_cache(maxsize=65_536)
def line_of(offer: Offer, language: Language) -> OfferLine:
    """What an offer's words are made of in a language."""
    on = offer.label.in_(language) if offer.label else None
    plural = bool(on) and offer.scope != "product" and is_plural(on or "")
    return OfferLine(offer.benefit, offer.min_spend_cents, offer.currency, on, offer.joined, plural)


def offer_words(offer: Offer, language: Language) -> str:
    """'20 % off tea', '茶打8折', '¥500 off from ¥5,000 up'; of two categories whether each or both together count."""
    needs = NEEDS[offer.activation]
    return _listed(line_of(offer, language), language, needs.in_(language) if needs else "")


def line_words(
    benefit: Benefit, min_spend_cents: int, currency: str, language: Language, on: Words | None = None
) -> str:
    """The same of a menu line, where `on` is what it covers in general: 'one category'."""
    return _listed(OfferLine(benefit, min_spend_cents, currency, on.in_(language) if on else None, None), language)


def _listed(line: OfferLine, language: Language, needs: str = "") -> str:
    """An offer for a list or a till."""
    benefit, spend, joined = line.benefit, line.spend(language), line.joined or ""
    if benefit.type == "reminder":
        return "一条提醒，没有折扣" if language == "zh" else "a reminder, no discount"
    if language == "zh":
        what = {"percent_off": _zhe(benefit, "打"), "free_shipping": "免运费"}.get(benefit.type, f"减{line.off('zh')}")
        on = line.on or (EVERYTHING.zh if benefit.type == "percent_off" else "")
        parts = [f"{on}{spend}{_BOTH[joined]}{what}", "买哪样都算" if joined == "each" else ""]
        parts = ["没有优惠"] if benefit.type == "none" else [*parts, line.cap("zh", "最多减{}"), needs]
        return "，".join(filter(None, parts))
    on = f" {line.on}" if line.on else ""
    what = {
        "percent_off": f"{benefit.percent} % off{on or f' {EVERYTHING.en}'}",
        "free_shipping": f"free delivery{' of' if on else ''}{on}",
    }.get(benefit.type, f"{line.off('en')} off{on}")
    parts = [what + (f" from {spend} up" if spend else ""), {"together": "bought together"}.get(joined, joined)]
    parts = ["no offer"] if benefit.type == "none" else [*parts, line.cap("en", "at most {} off"), needs]
    return ", ".join(filter(None, parts))


_BOTH = {"each": "都", "together": "一起买", "": ""}


def _zhe(benefit: Benefit, verb: str) -> str:
    return "全额减免" if benefit.percent == 100 else f"{verb}{zhe(benefit.percent)}"


def _benefit_en(line: OfferLine) -> str:
    named = {"percent_off": f"{line.benefit.percent}% off", "free_shipping": "free delivery"}
    return named.get(line.benefit.type, f"{line.off('en')} off")


def deal(offer: Offer, language: Language) -> str:
    """The benefit alone, for a title: '8折', '20% off', '满100元减20元', 'free delivery from $50'."""
    line, benefit = line_of(offer, language), offer.benefit
    if benefit.type == "reminder":
        return "期待再见" if language == "zh" else "see you soon"
    spend, together = line.spend(language), line.joined == "together"
    if language == "zh":
        percent = "全免" if benefit.percent == 100 else zhe(benefit.percent)
        amount = f"{'' if spend else '立'}减{line.off('zh')}"
        what = {"percent_off": percent, "free_shipping": "免运费"}.get(benefit.type, amount)
        return f"{'一起买' if together else ''}{spend}{what}"
    return _benefit_en(line) + (" together" if together else "") + (f" from {spend}" if spend else "")


def sentence(offer: Offer, language: Language, *, begun: bool = True, clause: bool = False, named: bool = False) -> str:
    """The offer as one sentence that ends a message's claim; `clause`: it goes on after a hook without a full stop;
    `named`: the hook has said what the offer is on.

    After '您刚刚购买了商品1': '，现在购买商品2可以享受8折优惠！'; alone: '商品2现在打8折。'
    In English it begins in lower case.
    """
    line = line_of(offer, language)
    benefit, ends = line.benefit, line.ends(language)
    if benefit.type == "reminder":
        return "欢迎您随时再来。" if language == "zh" else "you are welcome any time."
    said_already = named and line.plain and begun and bool(line.on) and not clause  # the hook has just said what
    if language == "en":
        if clause:
            return f"{', and now' if begun else ':'} you can enjoy {_offered_en(line)}!"
        if said_already:
            return f"now {benefit.percent}% off{ends}."
        if line.plain:
            return f"{line.on or EVERYTHING.en} {'are' if line.plural else 'is'} {benefit.percent}% off{ends}."
        return f"get {_offered_en(line)}."
    spend, now, both = line.spend("zh"), "现在" if begun else "", _BOTH[line.joined or ""]
    if clause:
        together, each = "一起" if line.joined == "together" else "", "都" if line.joined == "each" else ""
        who = f"{together}购买{line.on}{spend}" if line.on else f"全场购物{spend}"
        share = "享受全额减免" if benefit.percent == 100 else f"享受{zhe(benefit.percent)}优惠"
        what = {"percent_off": share, "free_shipping": "享受免运费优惠"}.get(benefit.type, f"立减{line.off('zh')}")
        return f"，{now}{who}{each}可以{what}{ends}！"
    if said_already:
        return f"现在{both}打{zhe(benefit.percent)}{ends}。"
    amount = f"{'' if spend else '立'}减{line.off('zh')}"
    what = {"percent_off": _zhe(benefit, "打"), "free_shipping": "免运费"}.get(benefit.type, amount)
    return f"{line.on or EVERYTHING.zh}{now}{both}{spend}{what}{ends}。"


def _offered_en(line: OfferLine) -> str:
    """'20% off milk', 'free delivery when you spend $50 or more on milk'."""
    kind, what = line.benefit.type, _benefit_en(line)
    on = f"{line.on}{' bought together' if line.joined == 'together' else ''}" if line.on else ""
    if line.min_spend_cents:
        said = f"{what} when you spend {line.spend('en')} or more{f' on {on}' if on else ''}"
    elif kind == "free_shipping":
        said = f"{what} of {on or 'your order'}"
    else:
        said = f"{what} {on or ('your order' if kind == 'amount_off' else EVERYTHING.en)}"
    return said + line.ends("en")


def terms(offer: Offer, language: Language, *, begun: bool = True) -> str:
    """Until when (from when, if it has not begun; the hour, if it ends within a day), and how it is redeemed; empty
    for a reminder, which gives nothing that could end."""
    if offer.benefit.type == "reminder":
        return ""
    day, clock, redeem = offer.expires.replace(tzinfo=None), None, REDEEM[offer.activation].in_(language)
    if day.time() < time(0, 1):
        day -= timedelta(days=1)  # midnight belongs to the day it ends
    elif day.time() < time(23, 59):
        clock = day + timedelta(seconds=1)  # 17:59:59 is 'until 18:00'
    if language == "zh":
        start = "" if begun else f"{day_text(offer.starts, 'zh')}起，"
        return f"{start}有效期至{day_text(day, 'zh')}{f'{clock:%H:%M}' if clock else ''}。{redeem}"
    until = "through"
    if clock:
        until = f"until {(clock.hour - 1) % 12 + 1}:{clock.minute:02d} {'a.m.' if clock.hour < 12 else 'p.m.'} on"
    start = "" if begun else f" from {day_text(offer.starts, 'en')}"
    return f"Valid{start} {until} {day_text(day, 'en')}. {redeem}"


def day_text(day: datetime, language: Language) -> str:
    """'2026年6月30日', 'June 30, 2026'."""
    if language == "zh":
        return f"{day.year}年{day.month}月{day.day}日"
    return f"{_MONTHS.split()[day.month - 1]} {day.day}, {day.year}"
