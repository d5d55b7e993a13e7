"""Describe an offer in Chinese or English, by code alone.

Four lengths of the same facts: `benefit_text` for a title, `describe_offer` for a list or a till, `offer_sentence` for
a message and `terms_text` for what stands after it. Money, days and 折 are printed here and nowhere else.
"""

from datetime import datetime, time, timedelta
from decimal import Decimal
from functools import cache, lru_cache
from typing import NamedTuple

from promolift.core.offers.product_names import (
    brand_in_latin,
    is_plural,
    is_printable,
    load_product_names,
    load_toml,
    names_in,
    readable_name,
)
from promolift.core.offers.terms import Benefit, Offer, PairCondition
from promolift.foundation.localized_text import Language, LocalizedText, reads_in
from promolift.foundation.money import CURRENCY_DIGITS, CURRENCY_SIGNS

_DATA = load_toml("messages/offer_text.toml")
EVERYTHING = LocalizedText(zh="全场", en="everything")


class Phrase(NamedTuple):
    """How a kind of benefit is said: in a title; in a list; in a sentence after 'you can'. See offers.toml."""

    title: str
    list_text: str
    sentence_text: str
    outright: str = ""


_PHRASES = {key: {kind: Phrase(*forms) for kind, forms in _DATA[key].items()} for key in ("zh", "en")}


def format_money(cents: int, currency: str, language: Language) -> str:
    """The amount as printed: `$1,234.50`, `¥200`, `CHF 15` in English, `1,234.50元`, `30美元` in Chinese.

    `cents` is in minor units; a whole amount has no decimals.
    """
    digits = CURRENCY_DIGITS.get(currency, 2)
    value = Decimal(cents).scaleb(-digits)
    number = f"{value:,.0f}" if value == value.to_integral_value() else f"{value:,.{digits}f}"
    if language == "zh":
        unit = _DATA["units_zh"].get(currency)
        return f"{number}{unit}" if unit else f"{number} {currency}"
    sign = CURRENCY_SIGNS.get(currency)
    return f"{sign}{number}" if sign else f"{currency} {number}"


def chinese_discount(percent: int) -> str:
    """20 % off is 8折, 25 % 7.5折: what is paid, in tenths of the price."""
    tenths, rest = divmod(100 - percent, 10)
    return f"{tenths}.{rest}折" if rest else f"{tenths}折"


_CHEAPEST = LocalizedText(zh="（价低者优惠）", en=" (the cheapest of them)")


class OfferLine(NamedTuple):
    """What an offer's words are made of; `on` is None where the whole order counts.

    `name` is what the offer is on as a name ('brewing'), `on` the same as a sentence needs it ('everything in
    Brewing').
    """

    benefit: Benefit
    min_spend_cents: int
    currency: str
    on: str | None = None
    joined: PairCondition | None = None
    plural: bool = False
    members: bool = False
    single: bool = False  # on one product
    name: str | None = None

    @property
    def plain(self) -> bool:
        """A share off whatever is bought of it."""
        return self.benefit.type == "percent_off" and not self.min_spend_cents and self.joined != "together"

    def spend(self, language: Language) -> str:
        """The threshold: '满100元', '$50'; empty for none."""
        said = format_money(self.min_spend_cents, self.currency, language) if self.min_spend_cents else ""
        return f"满{said}" if said and language == "zh" else said

    def cap(self, language: Language, pattern: str) -> str:
        """The most it takes off, put into `pattern`; empty for no bound."""
        most = self.benefit.max_discount_cents
        return pattern.format(format_money(most, self.currency, language)) if most else ""

    def most(self, language: Language, pattern: str) -> str:
        """How many units, sets or groups it holds for, put into `pattern`; empty for no bound."""
        times = self.benefit.max_times
        return pattern.format(f"最多{times}份" if language == "zh" else f"at most {times} times") if times else ""

    def ends(self, language: Language) -> str:
        """How a sentence of it ends: its cap, which units are lowered, for whom, and that each of two counts."""
        zh = language == "zh"
        whichever = "" if self.joined != "each" else "，买哪样都算" if zh else ", whichever you buy"
        cheapest = _CHEAPEST.text_in(language) if self.benefit.type == "buy_x_get_y" and not self.single else ""
        members = " for members" if self.members and not zh else ""
        return (
            members
            + self.cap(language, "（最高减{}）" if zh else " (up to {} off)")
            + self.most(language, "（{}）" if zh else " ({})")
            + cheapest
            + whichever
        )

    def zh(self, form: str, outright: bool = True) -> str:
        """A form of its phrase in Chinese; `outright`: with what stands there for a threshold."""
        free = self.benefit.type == "percent_off" and self.benefit.percent == 100
        phrase = _PHRASES["zh"]["all_off" if free else self.benefit.type]
        lead = phrase.outright if outright and not self.min_spend_cents else ""
        return lead + str(getattr(phrase, form)).format_map(self._facts("zh"))

    def en(self, form: str) -> str:
        """A form of its phrase in English."""
        return str(getattr(_PHRASES["en"][self.benefit.type], form)).format_map(self._facts("en"))

    def _facts(self, language: Language) -> dict[str, object]:
        b, item = self.benefit, _item(self.benefit, language)
        on = f"{self.on}{' bought together' if self.joined == 'together' else ''}" if self.on else ""
        whole = on or ("your order" if b.type in ("free_shipping", "amount_off") else EVERYTHING.en)
        said: dict[str, object] = {
            "percent": b.percent, "zhe": chinese_discount(b.percent), "points": f"{b.points:,}", "item": item,
            "what": whole,
            "of": f" {on}" if on else "", "on": f" of {on}" if on else "", "with": f" with {on}" if on else "",
            "upon": f" on {on}" if on else "",
        }  # fmt: skip
        if b.amount_cents:
            said["sum"] = format_money(b.amount_cents, self.currency, language)
        if b.price_cents:
            said["price"] = format_money(b.price_cents, self.currency, language)
        if b.buy:
            said["more"] = more_units_text(b, language)
        if item:
            free = "a " if _article(item) else ""
            said |= {"free": f"{free}free {item}", "one": f"{_article(item)}{item}"}
        return said


def _item(benefit: Benefit, language: Language) -> str:
    """What a gift or an exchange is, and how many of it; the id of its product where no name is given."""
    if benefit.type not in ("gift", "exchange"):
        return ""
    words = benefit.item or readable_name(benefit.product_id or "", "product")
    said = words.text_in(language)
    if not benefit.item and not names_in(said, language):
        said = _SELECTED_PRODUCT.zh if language == "zh" else _SELECTED_PRODUCT.en.removeprefix("a ")
    times = f"{benefit.quantity}件" if language == "zh" else f"{benefit.quantity} x "
    return (times if benefit.quantity > 1 else "") + said


def _article(item: str) -> str:
    return "" if is_plural(item) or item[:1].isdigit() else "an " if item[:1].lower() in "aeiou" else "a "


def more_units_text(benefit: Benefit, language: Language) -> str:
    """Describe a buy_x_get_y: '买2送1', '第2件打5折'; 'buy 2, get 1 free', 'buy 1, get 1 at 50% off'."""
    buy, get, percent = benefit.buy, benefit.get, benefit.percent
    if language == "en":
        return f"buy {buy}, get {get} {'free' if percent == 100 else f'at {percent}% off'}"
    if percent == 100:
        return f"买{buy}送{get}"
    return (
        f"第{buy + 1}件打{chinese_discount(percent)}"
        if get == 1
        else f"买{buy}件，另{get}件打{chinese_discount(percent)}"
    )


@lru_cache(maxsize=65_536)
def offer_line(offer: Offer, language: Language) -> OfferLine:
    """What an offer's words are made of in a language."""
    single = offer.scope == "product"
    name = offer.label.text_in(language) if offer.label else None
    if name and not names_in(name, language):
        name = (_SELECTED_PRODUCT if single else _SELECTED_PRODUCTS).text_in(language)
    elif name and not single and language == "zh" and brand_in_latin(name):
        name = category_phrase(name, language)  # 'Nike商品'
    as_is = name is None or single or offer.joined or name == _SELECTED_PRODUCTS.text_in(language)
    on = name if as_is else category_phrase(name or "", language)
    plural = bool(on) and (_title_is_plural if single else is_plural)(on or "")
    return OfferLine(
        offer.benefit, offer.min_spend_cents, offer.currency, on, offer.joined, plural, offer.members, single, name
    )


def has_name(offer: Offer, language: Language) -> bool:
    """Whether a text of the pool may name what the offer is on: not where the neutral form stands in its place."""
    name = offer_line(offer, language).name
    return name is None or not name.startswith(_NEUTRAL)


def neutral_name(category: str, language: Language) -> str:
    """What stands for a product that cannot be named in the language, by its category: '指定茶叶', 'a selected product
    in tea'."""
    if language == "zh":
        return _SELECTED + category_phrase(category, language)
    return f"{_SELECTED_PRODUCT.en} in {category}"


# whose name cannot be read in a language, or would say what only the offer may
_SELECTED = "指定"
_SELECTED_PRODUCT = LocalizedText(zh="指定商品", en="a selected product")
_SELECTED_PRODUCTS = LocalizedText(zh="指定商品", en="selected products")
_NEUTRAL = (_SELECTED, _SELECTED_PRODUCT.en, _SELECTED_PRODUCTS.en)
_SMALL_WORDS = frozenset(("and", "or", "of", "for", "in", "the", "a", "plus", "with"))


@cache
def _nouns(language: Language) -> frozenset[str]:
    """What the names of the table end with: nouns that stand in a sentence as they are ('ground coffee')."""
    names = (words.text_in(language) for row in load_product_names().values() for words in (row.words, row.short))
    ends = (name.lower().split()[-1] if language == "en" else name for name in names)
    more = _DATA["nouns_en"].split() if language == "en" else ()
    return frozenset((*(end for end in ends if len(end) > (language == "en")), *more))


def _title_is_plural(title: str) -> bool:
    """Whether a product's English title takes 'are': 'Hiking boots' does; 'Cheerios', which may be a brand, 'is'."""
    last = title.split()[-1]
    return is_plural(last) and (last.islower() or last.lower() in _nouns("en"))


@lru_cache(maxsize=8192)
def category_phrase(name: str, language: Language) -> str:
    """A category as a sentence needs it: 'milk' and 'green tea' as they are, 'everything in Brewing', '冲煮类商品'.

    A plural, and a name that ends with a known noun, stand as they are; of other names nobody knows whether they can.
    """
    if brand_in_latin(name):
        return f"{name}商品" if language == "zh" else f"everything from {name}"
    if language == "en":
        if is_plural(name) or name.lower().split()[-1] in _nouns("en"):
            return name
        words = (word if word in _SMALL_WORDS else word[:1].upper() + word[1:] for word in name.split())
        return f"everything in {' '.join(words)}"
    if name.endswith((*_nouns("zh"), *_DATA["noun_endings_zh"])):
        return name
    return f"{name}{'商品' if name.endswith('类') else '类商品'}"


def describe_offer(offer: Offer, language: Language) -> str:
    """'20 % off tea', '茶打8折', '¥500 off from ¥5,000 up'; of two categories whether each or both together count.

    For people of the shop: a name in Latin letters that no Chinese message would print stands as it is.
    """
    line = offer_line(offer, language)
    own = offer.label.text_in(language) if offer.label else ""
    if own and not has_name(offer, language) and reads_in(own, language) and is_printable(own):
        line = line._replace(on=own)  # people of the shop know their own names, and must tell one product from another
    return _listed(line, language, _DATA["needs"][language].get(offer.activation, ""))


def describe_menu_line(
    benefit: Benefit, min_spend_cents: int, currency: str, language: Language, on: LocalizedText | None = None
) -> str:
    """The same of a menu line, where `on` is what it covers in general: 'one category'."""
    return _listed(OfferLine(benefit, min_spend_cents, currency, on.text_in(language) if on else None), language)


def _listed(line: OfferLine, language: Language, needs: str = "") -> str:
    """An offer for a list or a till."""
    spend, kind = line.spend(language), line.benefit.type
    if kind == "none":
        return "没有优惠" if language == "zh" else "no offer"
    if kind == "reminder":
        return "一条提醒，没有折扣" if language == "zh" else "a reminder, no discount"
    if language == "zh":
        on = line.on or ("" if kind in ("amount_off", "free_shipping") else EVERYTHING.zh)
        what = line.zh("list_text", outright=kind != "amount_off")
        parts = [f"{on}{_MEMBERS[line.members]}{spend}{_BOTH[line.joined or '']}{what}"]
        parts += ["买哪样都算" if line.joined == "each" else "", line.cap("zh", "最多减{}")]
        parts += [line.most("zh", "{}"), needs]
        return "，".join(filter(None, parts))
    what = line.en("list_text") + (f" {EVERYTHING.en}" if kind == "percent_off" and not line.on else "")
    what = what.replace(" bought together", "") + (f" from {spend} up" if spend else "")
    joined = {"together": "bought together", "each": "each"}.get(line.joined or "", "")
    parts = [what, joined, "members only" if line.members else "", line.cap("en", "at most {} off")]
    parts += [line.most("en", "{}"), needs]
    return ", ".join(filter(None, parts))


_BOTH = {"each": "都", "together": "一起买", "": ""}
_MEMBERS = {True: "会员", False: ""}


def benefit_text(offer: Offer, language: Language) -> str:
    """The benefit alone, for a title: '8折', '20% off', '满100元减20元', 'free delivery from $50'."""
    line = offer_line(offer, language)
    if offer.benefit.type == "reminder":
        return "期待再见" if language == "zh" else "see you soon"
    spend, together = line.spend(language), line.joined == "together"
    if language == "zh":
        what = line.zh("title", outright=offer.benefit.type == "amount_off")
        return f"{'一起买' if together else ''}{_MEMBERS[line.members]}{spend}{what}"
    whom = " for members" if line.members else ""
    return line.en("title") + (" together" if together else "") + whom + (f" when you spend {spend}" if spend else "")


def offer_sentence(
    offer: Offer, language: Language, *, begun: bool = True, clause: bool = False, named: bool = False
) -> str:
    """The offer as one sentence that ends a message's claim; `clause`: it goes on after a hook without a full stop;
    `named`: the hook has said what the offer is on.

    After '您刚刚购买了商品1': '，现在购买商品2可以享受8折优惠！'; alone: '商品2现在打8折。'
    In English it begins in lower case.
    """
    line, kind = offer_line(offer, language), offer.benefit.type
    ends = line.ends(language)
    if kind == "reminder":
        return "欢迎您随时再来。" if language == "zh" else "you are welcome any time."
    said_already = named and line.plain and begun and bool(line.on) and not clause  # the hook has just said what
    if language == "en":
        if clause:
            return f"{', and now' if begun else ':'} you can enjoy {_offered_en(line)}!"
        if said_already:
            return f"now {offer.benefit.percent}% off{ends}."
        if line.plain:
            return f"{line.on or EVERYTHING.en} {'are' if line.plural else 'is'} {offer.benefit.percent}% off{ends}."
        return f"{'' if kind == 'buy_x_get_y' else 'get '}{_offered_en(line)}."
    spend, now, both = line.spend("zh"), "现在" if begun else "", _BOTH[line.joined or ""]
    if clause:
        together, each = "一起" if line.joined == "together" else "", "都" if line.joined == "each" else ""
        who = f"{together}购买{line.on}{spend}" if line.on else f"全场购物{spend}"
        what = ("立" if kind == "amount_off" else "") + line.zh("sentence_text", outright=False)
        return f"，{now}{_MEMBERS[line.members]}{who}{each}可以{what}{ends}！"
    if said_already:
        return f"{now}{_MEMBERS[line.members]}{both}打{chinese_discount(offer.benefit.percent)}{ends}。"
    return f"{line.on or EVERYTHING.zh}{now}{_MEMBERS[line.members]}{both}{spend}{line.zh('list_text')}{ends}。"


def reminder_sentence(bought: LocalizedText, language: Language) -> str:
    """A reminder that names what the customer bought here. In English it begins in lower case."""
    if language == "zh":
        return f"您在这里买过{bought.zh}，欢迎您随时再来。"
    return f"you have bought {bought.en} here: you are welcome any time."


def _offered_en(line: OfferLine) -> str:
    """'20% off milk', 'free delivery when you spend $50 or more on milk'."""
    if line.min_spend_cents:
        on = f" on {line._facts('en')['what']}" if line.on else ""
        alone = line._replace(on=None) if line.benefit.type != "fixed_price" else line
        said = f"{alone.en('sentence_text')} when you spend {line.spend('en')} or more{on}"
    else:
        of = {"percent_off": f" {EVERYTHING.en}", "amount_off": " your order", "free_shipping": " of your order"}
        said = line.en("sentence_text") + ("" if line.on else of.get(line.benefit.type, ""))
    return said + line.ends("en")


def terms_text(offer: Offer, language: Language, *, begun: bool = True) -> str:
    """Until when (from when, if it has not begun; the hour, if it ends within a day), and what the customer does to get
    it, where that is anything; empty for a reminder, which gives nothing that could end."""
    if offer.benefit.type == "reminder":
        return ""
    day, clock, redeem = offer.expires.replace(tzinfo=None), None, _DATA["redeem"][language].get(offer.activation)
    if day.time() < time(0, 1):
        day -= timedelta(days=1)  # midnight belongs to the day it ends
    elif day.time() < time(23, 59):
        clock = day + timedelta(seconds=1)  # 17:59:59 is 'until 18:00'
    years = offer.expires - offer.starts > YEAR_UNSAID  # else the next such day is meant
    last, first = day_text(day, language, years), day_text(offer.starts, language, years)
    if language == "zh":
        said = f"{'' if begun else f'{first}起，'}{last}{f'{clock:%H:%M}' if clock else ''}止。"
    else:
        hour = f"at {(clock.hour - 1) % 12 + 1}:{clock:%M} {'a.m.' if clock.hour < 12 else 'p.m.'} on " if clock else ""
        said = f"{'Ends' if begun else f'Starts {first}, ends'} {hour}{last}."
    return f"{said}{' ' if redeem and language == 'en' else ''}{redeem or ''}"


YEAR_UNSAID = timedelta(days=300)  # the longest offer whose days are printed without their year


def day_text(day: datetime, language: Language, year: bool = True) -> str:
    """'2026年6月30日', 'June 30, 2026'; without `year` '6月30日', 'June 30'."""
    if language == "zh":
        return f"{f'{day.year}年' if year else ''}{day.month}月{day.day}日"
    return f"{_DATA['months'][day.month - 1]} {day.day}{f', {day.year}' if year else ''}"
