"""A reading and an offer in; every sum of money put in its role, compared with the offer and hidden.

Roles: amount off, spend asked for (threshold), largest discount (cap), price of shipping, a price. What a printed sign
or word means is known here independently of how the writer prints it.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from functools import cache
from typing import Literal

from promolift.currency import CURRENCY_DIGITS
from promolift.message.reading import number_cues as cue
from promolift.message.reading.text import DIGITS, DONE, HAN, WORDS, Reading, number
from promolift.terms import Offer

ISO_CODES = frozenset(CURRENCY_DIGITS)

Role = Literal["amount", "threshold", "cap", "price", "shipping", "below", "other"]

_SEVERAL = {
    "$ dollar buck 刀": "USD CAD AUD NZD HKD SGD TWD MXN ARS CLP COP BND FJD JMD TTD BSD BBD BZD NAD LRD GYD SRD",
    "¥": "CNY JPY", "元": "CNY HKD TWD MOP SGD", "pound": "GBP EGP", "rupee": "INR PKR LKR NPR", "卢比": "INR PKR",
}  # fmt: skip
_ONE = {
    "USD": "us$ 美元 美金", "CAD": "ca$ c$ 加元", "AUD": "a$ au$ 澳元", "NZD": "nz$ 新西兰元", "HKD": "hk$ 港元 港币",
    "SGD": "s$ 新加坡元 新币", "TWD": "nt$ 新台币 台币", "MXN": "mx$ 墨西哥比索", "BRL": "r$ 雷亚尔",
    "EUR": "€ euro 欧元 欧", "GBP": "£ quid 英镑", "CNY": "cn¥ yuan rmb renminbi 块 块钱 人民币 元人民币",
    "JPY": "jp¥ yen 円 日元 日圆", "KRW": "₩ won 韩元 韩币", "INR": "₹ 印度卢比", "VND": "₫ 越南盾",
    "THB": "฿ baht 泰铢", "PHP": "₱ 菲律宾比索", "ILS": "₪", "NGN": "₦", "RUB": "₽ 卢布", "TRY": "₺", "UAH": "₴",
    "MOP": "澳门元", "MYR": "林吉特", "IDR": "印尼盾", "CHF": "瑞士法郎", "SEK": "瑞典克朗",
    "NOK": "挪威克朗", "DKK": "丹麦克朗",
}  # fmt: skip
_MEANS = {sign: frozenset(codes.split()) for signs, codes in _SEVERAL.items() for sign in signs.split()} | {
    sign: frozenset({code}) for code, signs in _ONE.items() for sign in signs.split()
}
# Every word of them, as a text may hold it: "us$" and "人民币", "kwd" and "cents".
CURRENCY_WORDS = frozenset(f"{' '.join(_MEANS)} cent pence penny 角 毛 分".split()) | {c.lower() for c in ISO_CODES}
_NATIONS = {"us ": "USD", "canadian ": "CAD", "australian ": "AUD", "hong kong ": "HKD"}
_MINOR = r"cents?\b|pence\b|¢|角|毛(?!巾|衣|线)|分(?!钟)"
_SIGN = r"(?:US|CA|AU|NZ|HK|NT|MX|[ACSR])?\$|(?:CN|JP)?¥|[€£₩₹₫฿₱₪₦₽₺₴]"
_LATIN = (
    r"(?:US |Canadian |Australian |Hong Kong )?(?:dollar|euro|pound|buck|rupee)s?\b"
    r"|\b(?:quid|yuan|renminbi|rmb|yen|won|baht)\b"
)
_HAN_UNIT = "|".join(sorted((k for k in _MEANS if k[0] > "\u2e80"), key=len, reverse=True))
_ENGLISH_WORDS = ("ALL", "TOP", "TRY")  # codes that shout like words
_SCALE = {None: 1, "百": 100, "千": 1000, "k": 1000, "K": 1000, "万": 10_000}
_SHORT = re.compile(rf"(?<![\d.-])(?P<sum>{DIGITS})\s*-\s*(?P<off>{DIGITS})(?![\d-]|\s*[%折])")
_EVERYDAY = ("一块", "一元", "千万")  # 一块儿, 一元复始: no sums
_NUMBER = re.compile(rf"{DIGITS}|(?i:{WORDS})|(?<!第)(?<!第.)(?!千万){HAN}")
_AFTER_SUM = re.compile(rf"满(?:{DIGITS}|{HAN}|{DONE}+)减$")
_KEPT = re.compile(
    r"(?:[$€£¥]\s?\d|\b(?:dollars?|euros?|pounds?|yuan|bucks?|rmb)\b)[^.!?]*\b(?:keep|get|save|pocket|take|lose|hold)\s$",
    re.IGNORECASE,
)
# A lone 百 in four characters that mean no number: 百里挑一, 千里之行.
_IDIOM = re.compile(
    r"(?:^|[^满减省近上过超破达数第付买花抵\d一二两三四五六七八九十几])[百千万](?![元块美折件人位名家个双瓶万千百十%减款种份])[\u4e00-\u9fff]{2,3}"
)
_SMALL = 10  # up to here a number word may be prose: 'one of those days', 三餐
_HOURS = 12  # 'letters after eleven' is prose too
_NEEDED: tuple[tuple[Role, str], ...] = (
    ("threshold", "missing_threshold"),
    ("cap", "missing_cap"),
    ("amount", "missing_benefit"),
)


@dataclass(frozen=True)
class _Sum:
    """One sum of money of a text, in minor units; `unit` is its sign or word of a currency, if it has one."""

    start: int
    end: int
    cents: Decimal
    role: Role
    unit: str | None


def check_money(reading: Reading, offer: Offer) -> None:
    """Compare every sum of money with the offer, hide it, and flag sums the offer has but the text does not say."""
    benefit = offer.benefit
    facts: dict[Role, int] = {
        "amount": benefit.amount_cents,
        "threshold": offer.min_spend_cents,
        "cap": benefit.max_discount_cents or 0,
    }
    said = _short(reading, facts) | ({"amount"} if "amount" in reading.stated else set())
    for money in list(_sums(reading, offer)):
        said |= _check_sum(reading, money, offer, facts)
        if money.role in facts:
            reading.note(money.role, money.start, money.end)  # type: ignore[arg-type]  # three of the roles are facts
        reading.hide(money.start, money.end, DONE)
    for role, code in _NEEDED:
        if facts[role] and role not in said:
            reason = f"the text does not state the {role} of {facts[role]} minor units of {offer.currency}"
            reading.flag(code, 0, 0, reason)


def _short(reading: Reading, facts: dict[Role, int]) -> set[Role]:
    """'200-30' for 'spend 200, get 30 off', if it is so."""
    for match in _SHORT.finditer(reading.text):
        pair = [number(match[k]).scaleb(2) for k in ("sum", "off")]
        if facts["amount"] and pair == [facts["threshold"], facts["amount"]]:
            reading.hide(*match.span(), DONE)
            return {"amount", "threshold"}
    return set()


def check_shipping(reading: Reading, offer: Offer) -> None:
    """Free shipping is stated if and only if it is the offer; the statement is hidden."""
    matches = list(cue.FREE_SHIPPING.finditer(reading.text))
    wanted = offer.benefit.type == "free_shipping"
    for match in list(cue.PART_SHIPPING.finditer(reading.text)) if wanted else []:
        reading.flag("wrong_benefit", *match.span(), "shipping is wholly free, not in part")
    for match in matches:
        if not wanted:
            reading.flag("wrong_benefit", *match.span(), "the offer does not include free shipping")
        elif cue.FAST.search(match.group()):
            reading.flag("wrong_benefit", *match.span(), "the offer says nothing of speed or distance")
        reading.note("shipping", *match.span())
        reading.hide(*match.span(), DONE)
    if wanted and not matches and not cue.ZERO_SHIPPING.search(reading.text):
        reading.flag("missing_benefit", 0, 0, "the text does not say that shipping is free")


def check_leftovers(reading: Reading) -> None:
    """Flag every number that no rule has understood: a fact the offer does not contain."""
    for match in _NUMBER.finditer(reading.text):
        if _IDIOM.match(reading.text, max(0, match.start() - 1)) and len(match[0]) == 1:
            continue
        if match[0][0].isdigit() or number(match[0]) > (99 if match[0][0] > "\u2e80" else _HOURS):
            reading.flag("unknown_number", *match.span(), "this number is no part of the offer")


def _check_sum(reading: Reading, money: _Sum, offer: Offer, facts: dict[Role, int]) -> set[Role]:
    """Flag one sum if it is not the offer's; returns the roles it states."""
    span, role = (money.start, money.end), money.role
    if money.unit and offer.currency not in currencies(money.unit):
        reading.flag("wrong_currency", *span, f"the offer is in {offer.currency}")
        return set()
    if money.cents == 0 and offer.benefit.type == "free_shipping":
        return set()  # 运费减为0元
    if role == "shipping" and (money.cents != 0 or offer.benefit.type != "free_shipping"):
        reading.flag("wrong_benefit", *span, "the offer names no such price of shipping")
    if role == "below":
        reading.flag("wrong_threshold", *span, "the offer has no upper limit of spend")
    if role in ("shipping", "below"):
        return set()
    if role == "other":
        roles: set[Role] = {known for known, cents in facts.items() if cents and cents == money.cents}
        if facts["amount"] and money.cents == facts["threshold"] - facts["amount"]:
            return set()
        if not roles:
            reading.flag("unknown_number", *span, "no such sum is in the offer")
        if roles == {"amount"} and not cue.GIVES.search(reading.text):
            reading.flag("wrong_price", *span, "the text does not say that this sum is taken off")
        return roles if len(roles) == 1 else set()
    before, after = reading.clause(*span)
    if role in ("amount", "cap") and cue.LEAST_BEFORE.search(before):
        reading.flag("vague_amount", *span, "the sum is exactly what the offer says")
    loose = cue.EXACT_BEFORE.search(before) or (role in ("amount", "cap") and cue.EXACT_AFTER.match(after))
    if loose:
        reading.flag("vague_amount", *span, "the sum is exactly what the offer says")
    wanted = facts.get(role, 0)
    if role == "price" and facts["amount"] and money.cents == facts["threshold"] - facts["amount"]:
        return set()  # 'a $200 order costs $170'
    if wanted != money.cents or not wanted:
        fact = f"the offer's {role} is {wanted} minor units of {offer.currency}"
        reading.flag(f"wrong_{role}", *span, fact if wanted else f"the offer has no {role}")
    return {role}


def currencies(unit: str) -> frozenset[str]:
    """The currencies a sign, word or code may mean."""
    key = unit.strip().lower()
    if re.fullmatch(_MINOR, key):
        return ISO_CODES
    for nation, code in _NATIONS.items():
        if key.startswith(nation):
            return frozenset({code})
    return _MEANS.get(key) or _MEANS.get(key.removesuffix("s")) or frozenset({key.upper()})


@cache
def money_pattern(currency: str) -> re.Pattern[str]:
    """Match a number with its sign, word or code of a currency, if it has one."""
    before, after = ISO_CODES.difference(_ENGLISH_WORDS) | {currency, "RMB"}, ISO_CODES | {currency, "RMB"}
    code = r"(?<![A-Za-z])(?:{})(?![A-Za-z])"
    shout = rf"(?<![A-Za-z])(?:{'|'.join(_ENGLISH_WORDS)})(?=\s{DIGITS}(?:\s+(?:off|or|and|on)\b|[).!,]|$))"
    sign = rf"{_SIGN}|{code.format('|'.join(sorted(before)))}|人民币|(?i:rmb)(?![A-Za-z])|{shout}"
    unit = rf"{_HAN_UNIT}|円|{_MINOR}|{_SIGN}(?!\s?\d)|(?i:{_LATIN})|{code.format('|'.join(sorted(after)))}"
    return re.compile(
        rf"(?:(?P<sign>{sign})\s*)?"
        rf"(?:(?P<n>{DIGITS})\s?(?P<k>万|千(?!克|卡|米)|百|[kK]\b)?|(?P<w>(?i:{WORDS}))|(?P<z>{HAN}))"
        rf"(?:(?:\s*|(?<=[a-z])-)(?P<unit>{unit}))?(?:(?<=[元块])(?P<jiao>[1-9])角)?"
    )


def _sums(reading: Reading, offer: Offer) -> Iterator[_Sum]:
    """All sums in the text; a number without sign or unit counts only where its neighbours give it a role."""
    for match in money_pattern(offer.currency).finditer(reading.text):
        unit = match["sign"] or match["unit"]
        before, after = reading.clause(*match.span())
        role = role_of(before, after)
        if not before.endswith("第") and _is_sum(match, unit, role, before, after):
            yield _Sum(match.start(), match.end(), cents_of(match, offer.currency), role, unit)


def _is_sum(match: re.Match[str], unit: str | None, role: Role, before: str, after: str) -> bool:
    numeral = match["z"]
    if unit is None:
        bare = bool(cue.NO_SUM_AFTER.match(after)) or role in ("other", "price")
        # 满两百减三十: without a unit, a Chinese numeral is a sum only right there
        paired = bool(_AFTER_SUM.search(before))  # 满二十减五
        alone = not numeral or ((paired or len(numeral) > 1 or numeral in "百千万") and before.endswith(("满", "减")))
        alone = alone or (len(numeral) > 1 and bool(cue.CAP_AFTER_ZH.match(after)))
        kept = bool(_KEPT.search(before)) and bool(cue.CUT_AFTER_EN.match(after))  # 'keep eight of them back'
        prose = bool(match["w"]) and number(match["w"]) <= _SMALL and not kept
        return not bare and alone and not prose
    return not (numeral and (match["unit"] in ("角", "毛", "分") or match[0] in _EVERYDAY))


def cents_of(match: re.Match[str], currency: str) -> Decimal:
    """The minor units that a match of `money_pattern` names."""
    value = number(match["n"] or match["w"] or match["z"]) * _SCALE[match["k"]]
    if match["unit"] and re.fullmatch(_MINOR, match["unit"], re.IGNORECASE):
        return value * 10 if match["unit"] in "角毛" else value
    return value.scaleb(CURRENCY_DIGITS.get(currency, 2)) + 10 * int(match["jiao"] or 0)


def role_of(before: str, after: str) -> Role:
    """The role of a sum by the words around it; the first list that matches decides."""
    tests: tuple[tuple[Role, re.Pattern[str], str], ...] = (
        ("shipping", cue.SHIPPING_BEFORE, before),
        ("below", cue.BELOW_BEFORE, before), ("below", cue.BELOW_AFTER, after),
        ("cap", cue.CAP_BEFORE_ZH, before), ("cap", cue.CAP_BEFORE_EN, before),
        ("cap", cue.CAP_AFTER_ZH, after), ("cap", cue.CAP_AFTER_EN, after),
        ("amount", cue.CUT_BEFORE_ZH, before), ("price", cue.PRICE_BEFORE_ZH, before),
        ("threshold", cue.NEED_BEFORE_ZH, before), ("shipping", cue.SHIPPING_AFTER, after),
        ("amount", cue.CUT_AFTER_ZH, after), ("threshold", cue.NEED_AFTER_ZH, after),
        ("threshold", cue.NEED_AFTER_EN, after), ("amount", cue.CUT_AFTER_EN, after),
        ("amount", cue.CUT_BEFORE_EN, before), ("threshold", cue.NEED_BEFORE_EN, before),
        ("price", cue.PRICE_BEFORE_EN, before),
    )  # fmt: skip
    return next((role for role, pattern, text in tests if pattern.search(text)), "other")
