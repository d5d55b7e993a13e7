"""A reading and an offer in; every stated part of the price compared with the offer's percent and hidden.

'20% off', 'pay 80% of the price', 8折, 八成价, 'half price' and 'a fifth off' all become the percent the customer pays.
"""

import re
from collections.abc import Callable
from decimal import Decimal

from promolift.message.reading import number_cues as cue
from promolift.message.reading.text import DIGITS, DONE, HAN, WORDS, Reading, number
from promolift.terms import Offer

_ZHE = re.compile(rf"(?P<n>(?<![\d.]){DIGITS}|{HAN}|对|半)\s*折(?!线|叠|腾|磨)")
_PERCENT = re.compile(
    rf"(?P<n>(?<![\d.,]){DIGITS}|(?i:{WORDS}))\s*-?\s*(?:%|(?i:per ?cent|pct)\b|个百分点)"
    rf"|百分之\s*(?P<z>{DIGITS}|{HAN})"
)
_CHENG = re.compile(
    r"(?P<n>[一二三四五六七八九两]|(?<!\d)[1-9])\s*成"
    r"(?=\s*(?:价|优惠|折扣|的?(?:价格|钱)|付款|支付|结[账算]|计价|收费|就|即|便|带|拿|[，。！,!：:；;、？）)]|$))"
)
_DIVISORS = {"half": 2, "third": 3, "quarter": 4, "fifth": 5, "sixth": 6, "eighth": 8, "tenth": 10, "twentieth": 20}
_Pays = Callable[[re.Match[str], str, str], Decimal | None]


def check_percents(reading: Reading, offer: Offer) -> None:
    """Compare every stated part of the price with the offer, hide it, and flag a percent offer that states none."""
    stated = "percent" in reading.stated
    for pattern, pays in _READERS:
        for match in list(pattern.finditer(reading.text)):
            pays_percent = pays(match, *reading.clause(*match.span()))
            if pays_percent is None:
                reading.flag("wrong_percent", *match.span(), "not a way to state a discount")
            else:
                _check_part(reading, match, pays_percent, offer)
            stated = True
            reading.note("percent", *match.span())
            reading.hide(*match.span(), DONE)
    if offer.benefit.type == "percent_off" and not stated:
        reading.flag("missing_benefit", 0, 0, f"the text does not state the discount of {offer.benefit.percent} %")


def _check_part(reading: Reading, match: re.Match[str], pays_percent: Decimal, offer: Offer) -> None:
    span, percent = match.span(), offer.benefit.percent
    before, after = reading.clause(*span)
    if offer.benefit.type != "percent_off":
        reading.flag("wrong_benefit", *span, f"the offer is {offer.benefit.type}, no part of the price")
    elif match.re is _PERCENT and not cue.CUTS.search(f"{before} {match[0]} {after}"):
        reading.flag("wrong_percent", *span, "the text does not say that this is taken off the price")
    elif cue.OTHER_GOOD_AFTER.match(after) or cue.DEARER_BEFORE.search(before):
        reading.flag("wrong_benefit", *span, f"the offer takes {percent} % off the price and does nothing else")
    elif pays_percent != 100 - percent:
        reading.flag("wrong_percent", *span, f"{percent} % is taken off: the customer pays {100 - percent} %")
    elif cue.ABOUT_BEFORE.search(before) or cue.ABOUT_AFTER.match(after):
        reading.flag("vague_amount", *span, f"the discount is exactly {percent} %, neither at most nor at least")


def _zhe(match: re.Match[str], before: str, after: str) -> Decimal | None:
    """8折 pays 80 %, 85折 and 8.5折 pay 85 %; 80折 and 0折 are not Chinese."""
    if match["n"] in "对半":
        return Decimal(50)
    value = number(match["n"])
    if "." in match["n"] or "点" in match["n"] or value < 10:
        return value * 10 if 0 < value < 10 else None
    return value if 10 < value < 100 and value % 10 else None


def _half(match: re.Match[str], before: str, after: str) -> Decimal | None:
    return Decimal(50)


def _fraction(match: re.Match[str], before: str, after: str) -> Decimal | None:
    divisor = _DIVISORS[match["f"].lower()] if match["f"] else number(match["g"] or match["h"])
    count = match["k"] or match["k1"] or match["k2"]
    part = 100 * (Decimal(1) if count.lower() in ("a", "an") else number(count)) / divisor
    pays = cue.PAYS_BEFORE.search(before) and not cue.CUTS_AFTER.match(after)
    return part if pays or _of_price(before, after) else 100 - part


def _cheng(match: re.Match[str], before: str, after: str) -> Decimal | None:
    """八成价 pays 80 %, 优惠两成 pays 80 %."""
    value = number(match["n"]) * 10
    return value if cue.PAYS_AFTER_CHENG.match(after) or cue.PAYS_BEFORE.search(before) else 100 - value


def _percent(match: re.Match[str], before: str, after: str) -> Decimal | None:
    value = number(match["n"] or match["z"])
    pays = cue.PAYS_BEFORE.search(before) and not cue.CUTS_AFTER.match(after)
    return value if pays or _of_price(before, after) else 100 - value


def _of_price(before: str, after: str) -> bool:
    """'80% of the price', but not 'minus 20% of the price'."""
    return bool(cue.PAYS_AFTER.match(after)) and not cue.SHED_BEFORE.search(before)


def _whole(match: re.Match[str], before: str, after: str) -> Decimal | None:
    return Decimal(0)


_READERS: tuple[tuple[re.Pattern[str], _Pays], ...] = (
    (_ZHE, _zhe),
    (cue.HALF, _half),
    (cue.FRACTION, _fraction),
    (_CHENG, _cheng),
    (_PERCENT, _percent),
    (cue.WHOLE, _whole),
)
