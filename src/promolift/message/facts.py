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

    def money(self, cents: int, language: Language) -> str:
        """An amount in the offer's currency."""
        return money(cents, self.currency, language)


@lru_cache(maxsize=65_536)
def line_of(offer: Offer, language: Language) -> OfferLine:
    """What an offer's words are made of in a language."""
    on = offer.label.in_(language) if offer.label else None
    plural = bool(on) and offer.scope != "product" and is_plural(on or "")
    return OfferLine(offer.benefit, offer.min_spend_cents, offer.currency, on, offer.joined, plural)


def offer_words(offer: Offer, language: Language) -> str:
    """'20 % off tea', '茶打8折', '¥500 off from ¥5,000 up'; of two categories whether each or both together count."""
    needs = NEEDS[offer.activation]
    return _said(line_of(offer, language), language) + (f"{_comma(language)}{needs.in_(language)}" if needs else "")


def line_words(
    benefit: Benefit, min_spend_cents: int, currency: str, language: Language, on: Words | None = None
) -> str:
    """The same of a menu line, where `on` is what it covers in general: 'one category'."""
    return _said(OfferLine(benefit, min_spend_cents, currency, on.in_(language) if on else None, None), language)


def deal(offer: Offer, language: Language) -> str:
    """The benefit alone, for a title: '8折', '20% off', '满100元减20元', 'free delivery from $50'."""
    line, benefit = line_of(offer, language), offer.benefit
    spend = line.money(line.min_spend_cents, language) if line.min_spend_cents else ""
    if language == "zh":
        what = (
            f"减{line.money(benefit.amount_cents, 'zh')}" if benefit.type == "amount_off" else
            "免运费" if benefit.type == "free_shipping" else "全免" if benefit.percent == 100 else zhe(benefit.percent)
        )  # fmt: skip
        whole = f"满{spend}{what}" if spend else f"立{what}" if benefit.type == "amount_off" else what
        return f"一起买{whole}" if line.joined == "together" else whole
    what = {"percent_off": f"{benefit.percent}% off", "free_shipping": "free delivery"}.get(
        benefit.type, f"{line.money(benefit.amount_cents, 'en')} off"
    )
    return what + (" together" if line.joined == "together" else "") + (f" from {spend}" if spend else "")


def sentence(offer: Offer, language: Language, *, begun: bool = True, clause: bool = False, named: bool = False) -> str:
    """The offer as one sentence that ends a message's claim; `clause`: it goes on after a hook without a full stop;
    `named`: the hook has said what the offer is on.

    After '您刚刚购买了商品1': '，现在购买商品2可以享受8折优惠！'; alone: '商品2现在打8折。'
    In English it begins in lower case.
    """
    line = line_of(offer, language)
    plain = line.benefit.type == "percent_off" and not line.min_spend_cents and line.joined != "together"
    if named and plain and begun and line.on and not clause:  # the hook has just said what
        whichever = "" if line.joined is None else "，买哪样都算" if language == "zh" else ", whichever you buy"
        if language == "en":
            return f"now {line.benefit.percent}% off{_cap(line, 'en')}{whichever}."
        return f"现在{'都' if line.joined else ''}打{zhe(line.benefit.percent)}{_cap(line, 'zh')}{whichever}。"
    if language == "zh":
        return _clause_zh(line, begun) if clause else _short_zh(line, begun)
    return _clause_en(line, begun) if clause else _short_en(line)


def terms(offer: Offer, language: Language, *, begun: bool = True) -> str:
    """Until when (from when, if it has not begun; the hour, if it ends within a day), and how it is redeemed."""
    day, clock = _end(offer)
    redeem = REDEEM[offer.activation].in_(language)
    if language == "zh":
        start = "" if begun else f"{day_text(offer.starts, 'zh')}起，"
        return f"{start}有效期至{day_text(day, 'zh')}{f'{clock:%H:%M}' if clock else ''}。{redeem}"
    start = "" if begun else f" from {day_text(offer.starts, 'en')}"
    until = f"until {_clock_en(clock)} on" if clock else "through"
    return f"Valid{start} {until} {day_text(day, 'en')}. {redeem}"


def day_text(day: datetime, language: Language) -> str:
    """'2026年6月30日', 'June 30, 2026'."""
    if language == "zh":
        return f"{day.year}年{day.month}月{day.day}日"
    return f"{_MONTHS.split()[day.month - 1]} {day.day}, {day.year}"


def _clause_zh(line: OfferLine, begun: bool) -> str:
    on, benefit, each = line.on, line.benefit, line.joined == "each"
    spend = f"满{line.money(line.min_spend_cents, 'zh')}" if line.min_spend_cents else ""
    who = f"{'一起' if line.joined == 'together' else ''}购买{on}{spend}" if on else f"全场购物{spend}"
    what = {
        "percent_off": "享受全额减免" if benefit.percent == 100 else f"享受{zhe(benefit.percent)}优惠",
        "free_shipping": "享受免运费优惠",
    }.get(benefit.type, f"立减{line.money(benefit.amount_cents, 'zh')}")
    whichever = "，买哪样都算" if each else ""
    return f"，{'现在' if begun else ''}{who}{'都' if each else ''}可以{what}{_cap(line, 'zh')}{whichever}！"


def _short_zh(line: OfferLine, begun: bool) -> str:
    benefit, on = line.benefit, line.on or EVERYTHING.zh
    spend = f"满{line.money(line.min_spend_cents, 'zh')}" if line.min_spend_cents else ""
    what = {
        "percent_off": "全额减免" if benefit.percent == 100 else f"打{zhe(benefit.percent)}",
        "free_shipping": "免运费",
    }.get(benefit.type, f"{'' if spend else '立'}减{line.money(benefit.amount_cents, 'zh')}")
    both = {"each": "都", "together": "一起买", None: ""}[line.joined]
    whichever = "，买哪样都算" if line.joined == "each" else ""
    return f"{on}{'现在' if begun else ''}{both}{spend}{what}{_cap(line, 'zh')}{whichever}。"


def _clause_en(line: OfferLine, begun: bool) -> str:
    return f"{', and now' if begun else ':'} you can enjoy {_offered_en(line)}!"


def _offered_en(line: OfferLine) -> str:
    """'20% off milk', 'free delivery when you spend $50 or more on milk'."""
    benefit = line.benefit
    together = " bought together" if line.joined == "together" else ""
    on = f"{line.on}{together}" if line.on else ""
    what = {"percent_off": f"{benefit.percent}% off", "free_shipping": "free delivery"}.get(
        benefit.type, f"{line.money(benefit.amount_cents, 'en')} off"
    )
    if line.min_spend_cents:
        said = f"{what} when you spend {line.money(line.min_spend_cents, 'en')} or more{f' on {on}' if on else ''}"
    elif benefit.type == "free_shipping":
        said = f"{what} of {on}" if on else f"{what} of your order"
    else:
        said = f"{what} {on or ('your order' if benefit.type == 'amount_off' else EVERYTHING.en)}"
    return said + _cap(line, "en") + (", whichever you buy" if line.joined == "each" else "")


def _short_en(line: OfferLine) -> str:
    if line.benefit.type == "percent_off" and not line.min_spend_cents and line.joined != "together":
        verb = "are" if line.plural else "is"
        whichever = ", whichever you buy" if line.joined == "each" else ""
        return f"{line.on or EVERYTHING.en} {verb} {line.benefit.percent}% off{_cap(line, 'en')}{whichever}."
    return f"get {_offered_en(line)}."


def _cap(line: OfferLine, language: Language) -> str:
    most = line.benefit.max_discount_cents
    if not most:
        return ""
    return f"（最高减{line.money(most, 'zh')}）" if language == "zh" else f" (up to {line.money(most, 'en')} off)"


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


def _clock_en(clock: time) -> str:
    half = "a.m." if clock.hour < 12 else "p.m."
    return f"{(clock.hour - 1) % 12 + 1}:{clock.minute:02d} {half}"


def _said(line: OfferLine, language: Language) -> str:
    parts = _zh(line) if language == "zh" else _en(line)
    return _comma(language).join(parts)


def _comma(language: Language) -> str:
    return "，" if language == "zh" else ", "


def _en(line: OfferLine) -> list[str]:
    benefit, on = line.benefit, f" {line.on}" if line.on else ""
    if benefit.type == "none":
        return ["no offer"]
    if benefit.type == "percent_off":
        what = f"{benefit.percent} % off {line.on or EVERYTHING.en}"
    elif benefit.type == "amount_off":
        what = f"{line.money(benefit.amount_cents, 'en')} off{on}"
    else:
        what = f"free delivery{' of' if on else ''}{on}"
    spend = f" from {line.money(line.min_spend_cents, 'en')} up" if line.min_spend_cents else ""
    joined = {"each": ["each"], "together": ["bought together"], None: []}[line.joined]
    most = benefit.max_discount_cents
    return [what + spend, *joined, *([f"at most {line.money(most, 'en')} off"] if most else [])]


def _zh(line: OfferLine) -> list[str]:
    benefit, most = line.benefit, line.benefit.max_discount_cents
    if benefit.type == "none":
        return ["没有优惠"]
    spend = f"满{line.money(line.min_spend_cents, 'zh')}" if line.min_spend_cents else ""
    both = {"each": "都", "together": "一起买", None: ""}[line.joined]
    if benefit.type == "percent_off":
        on, what = line.on or EVERYTHING.zh, "全额减免" if benefit.percent == 100 else f"打{zhe(benefit.percent)}"
    elif benefit.type == "amount_off":
        on, what = line.on or "", f"减{line.money(benefit.amount_cents, 'zh')}"
    else:
        on, what = line.on or "", "免运费"
    any_of = ["买哪样都算"] if line.joined == "each" else []
    return [f"{on}{spend}{both}{what}", *any_of, *([f"最多减{line.money(most, 'zh')}"] if most else [])]
