"""A reading in; remarks that repeat the offer from its other side checked and put aside.

'Orders below $200 do not qualify' says the same as 'on $200 or more', and '23:59 (Beijing time)' the same as 23:59 in a
shop in Shanghai: the first is turned round, the second compared with the shop's zone, before the numbers are read.
"""

import re
from calendar import monthrange
from datetime import date, datetime, timedelta

from promolift.message.names import any_of
from promolift.message.reading.date_cues import CLOCK
from promolift.message.reading.text import DATE, DONE, HAN, OFFERED, SENTENCE_END, WORDS, Reading, number
from promolift.terms import Offer

_LESS_ZH = re.compile(
    r"(?P<less>不满|未满|不足|不到|低于|少于|未达到?)(?P<sum>[^，。！；]{1,8}?)(?P<none>(?:则|就|的|时|，|订单)*"
    r"(?:不减|不享受?|不打折|不可用|不能用|不参与|不适用|无优惠|不包邮|不免邮|运费自理|按原价|需?自?付运费|另付运费|收运费|恕不)"
    r"[^，。！；]{0,6})"
)
_LESS_EN = re.compile(
    r"(?P<less>\b(?:below|under|less than|smaller than))(?P<sum>\s[^.!?;]{1,12}?)"
    r"(?P<none>\s(?:(?:do|does|are|is|will|can)(?:n't| not)|won't|cannot|can't)\s"
    r"(?:qualify|count|apply|get|ship|earn|receive|be|eligible|included?)\b[^.!?;]{0,24}"
    r"|\spay (?:regular|standard|full|normal) (?:shipping|price|delivery)\b)",
    re.IGNORECASE,
)
_ZONES: dict[str, tuple[float, ...]] = {
    r"ET|EST|EDT|[Ee]astern|New York|纽约|美东|美国东部": (-5, -4),
    r"CT|CDT|[Cc]entral|Chicago|美中|芝加哥": (-6, -5),
    r"MT|MST|MDT|[Mm]ountain": (-7, -6),
    r"PT|PST|PDT|[Pp]acific|Los Angeles|太平洋|美西|洛杉矶": (-8, -7),
    r"CST": (-6, -5, 8),
    r"GMT|UTC|格林尼治": (0,),
    r"BST|UK|London|伦敦|英国": (0, 1),
    r"CET|CEST|Berlin|Paris|柏林|巴黎": (1, 2),
    r"Beijing|China|Shanghai|北京|中国|上海": (8,),
    r"HKT|SGT|Hong Kong|Singapore|香港|新加坡": (8,),
    r"JST|KST|Tokyo|Japan|东京|日本|首尔": (9,),
    r"AEST|AEDT|Sydney|悉尼": (10, 11),
}
_ZONE = re.compile(
    r"[(（]?\s*(?:(?P<offset>(?:UTC|GMT)\s?[+-]\s?\d{1,2}(?::?[03]0)?)|\b(?P<short>[A-Z]{2,4})\b(?=\s*(?:[),.;!）]|on\b|$))"
    r"|(?P<long>[A-Za-z]+(?: [A-Z][a-z]+)?)(?:'s)?(?: [Ss]tandard| [Dd]aylight)? [Tt]ime\b"
    r"|(?P<zh>[\u4e00-\u9fff]{2,4})时间)\s*[)）]?"
)
_CLOCK_BESIDE = re.compile(r"(?:\d|[ap]\.?m\.?|midnight|noon|[点时分整]|\ue004)\s*$", re.IGNORECASE)
_LOCAL = re.compile(r"local|store|your|当地|本地|门店", re.IGNORECASE)
_MONTHS = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
]
_MONTH = re.compile(
    rf"(?:(?P<y>20\d\d)年)?(?<![\d第])(?P<m>1[0-2]|[1-9]|十[一二]?|[一二三四五六七八九])月(?!\d)(?:份)?"
    rf"|\b(?P<mon>{'|'.join(_MONTHS)})\b(?: (?P<y2>20\d\d)\b)?"
)
# What a clause about the offer speaks with; a scene or a mood has none of it.
_SPEAK = any_of(rf"""
    [\d%¥$€£{DATE}{DONE}{OFFERED}折减省免截止限至到期内享延底剩仅]|有效|最后|优惠|活动|结束|倒计时|打烊|送达|充足
    \b(?:until|till?|through|thru|by|before|after|from|for|within|end\w*|valid|good (?:for|until|till?|through)
        |offers?|sales?|deals?|discount\w*|off|free|runs?
        |extend\w*|only|start\w*|beg[iu]n\w*|open\w*|expir\w*|last\w*|left|remain\w*|works?|results?|ready|to go
        |running|arriv\w*|without|deliver\w*|sav\w+|spend\w*|pay\w*|price\w*|less|limit\w*)\b
""")
_BENEFIT = any_of(
    r"[%折]|[¥$€£]\s?\d|\d\s?元|减|[包免]邮|免运|运费|\boff\b|\bper ?cent\b|\b(?:shipping|delivery|postage)\b|\bfree\b"
)
_COUNT = re.compile(
    rf"(?<![\d.,])(?:\d{{1,3}}|(?i:{WORDS})|{HAN})[\s-]*(?:(?i:km|kilomet\w+|miles?|degrees?|pages?|steps|stairs|floors?|laps?"
    r"|songs?|meetings?|kids|children|cats|dogs|e-?mails?|guests?|friends|chapters?|tabs|suitcases?|cups|things|nights?"
    r"|rooms?|episodes?|loads|errands)\b|(?!people|customers|shoppers|users|famil|buyers|reviews|stars|awards|countr|cit|hours|days"
    r"|weeks|months|years|colou?rs|sizes|flavou?rs|pairs|units|pieces|percent|dollars|euros|pounds|bucks|cents|pence|items|points|miles|credits|coupons|gifts|samples|prizes|sold)[a-z]{3,}s\b|°|公里|千米|米|度|页|步|级台阶|层楼|楼|圈|首|集|章|场|趟|遍|封|个会|口人|个人|只猫|条狗|站)"
)
_CLAUSE_END = re.compile(r"[，,：:；;。.!！?？—\n…]")
_FESTIVALS = ((r"双\s*(?:11|十一)", 11, 11), (r"双\s*(?:12|十二)", 12, 12), (r"(?<![\d.])618(?![\d.])", 6, 18))
_CLOSES = re.compile(
    r"(?:through|until|till|by|end of|throughout|至|到|截止)(?: (?:all of|the (?:whole )?(?:month|end) of))?\s*$",
    re.IGNORECASE,
)


def turn_round(reading: Reading) -> None:
    """'Below $200 nothing is taken off' becomes 'over $200', and is read as such."""
    for pattern, more in ((_LESS_ZH, "满"), (_LESS_EN, "over")):
        for match in list(pattern.finditer(reading.text)):
            start, end = match.span("less")
            reading.text = reading.text[:start] + more.rjust(end - start) + reading.text[end:]
            reading.hide(*match.span("none"), " ")


def check_zones(reading: Reading, offer: Offer) -> None:
    """A time zone beside a clock time is the shop's; it is hidden."""
    offset = offer.expires.utcoffset()
    assert offset is not None  # an offer's moments are aware
    for match in list(_ZONE.finditer(reading.text)):
        words = match["offset"] or match["short"] or match["long"] or match["zh"]
        hours = _hours(words)
        named = not hours and bool(match["long"] or match["zh"]) and bool(_LOCAL.search(words))
        if not (hours or named) or not _CLOCK_BESIDE.search(reading.text[: match.start()].rstrip("（( ") + ""):
            continue
        if hours and offset / timedelta(hours=1) not in hours:
            reading.flag("wrong_date", *match.span(), f"the shop's zone is {offer.expires.tzinfo}")
        reading.hide(*match.span(), " ")


def _hours(words: str) -> tuple[float, ...]:
    shift = re.match(r"(?:UTC|GMT)\s?([+-])\s?(\d{1,2})(?::?([03]0))?$", words)
    if shift:
        value = int(shift[2]) + int(shift[3] or 0) / 60
        return (-value if shift[1] == "-" else value,)
    return next((hours for names, hours in _ZONES.items() if re.fullmatch(f"(?:{names})", words)), ())


def check_festivals(reading: Reading, offer: Offer) -> None:
    """双11 and 618 are days of the year; they are hidden where the offer is valid on that day."""
    first, last = offer.starts.date(), offer.expires.date()
    for pattern, month, day in _FESTIVALS:
        for match in list(re.finditer(pattern, reading.text)):
            if any(first <= date(year, month, day) <= last for year in range(first.year, last.year + 1)):
                reading.hide(*match.span(), " ")


def check_months(reading: Reading, last: date, first: datetime) -> int:
    """A month named without a day lies within the offer; 'through June' is its end. Returns how many state the end."""
    ends = 0
    spanned = {(first.year * 12 + first.month - 1 + i) % 12 + 1 for i in range(_months_between(first, last))}
    for match in list(_MONTH.finditer(reading.text)):
        if _in_mood(reading.text, *match.span()):
            continue
        month = _number_of(match)
        if match["mon"] in ("May", "March") and not _CLOSES.search(reading.text[: match.start()]):
            continue  # a name, a verb
        whole = month == last.month and last.day == monthrange(last.year, last.month)[1]
        closes = bool(_CLOSES.search(reading.text[: match.start()]))
        year = match["y"] or match["y2"]
        if month not in spanned or (year and int(year) not in (first.year, last.year)) or (closes and not whole):
            reading.flag("wrong_date", *match.span(), f"the offer runs from {first.date()} through {last}")
        ends += closes and whole
        reading.hide(*match.span(), DATE)
    return ends


def _in_mood(text: str, start: int, end: int) -> bool:
    """Whether a month sets a mood and dates nothing: 'one less to find in December', 'a walk before July?'."""
    before, after = SENTENCE_END.split(text[:start])[-1], SENTENCE_END.split(text[end:])[0]
    asks = text[end + len(after) : end + len(after) + 1] in ("?", "？")
    early = re.match(r"[之以]?前", after)
    return not early and not (_BENEFIT if asks else _SPEAK).search(before + after)


def months_named(text: str) -> set[int]:
    """The months a text names without a day."""
    return {_number_of(match) for match in _MONTH.finditer(text)}


def in_scene(text: str, start: int, end: int) -> bool:
    """Whether a time or a number of minutes belongs to a scene before the benefit: 'breakfast at 5 a.m. again?'."""
    before, after = _CLAUSE_END.split(text[:start])[-1], _CLAUSE_END.split(text[end:])[0]
    if _BENEFIT.search(text[:start]) or len((before + after).strip()) < 2:
        return False
    return not _SPEAK.search(before + after)


def hide_scenes(reading: Reading) -> None:
    """Clock times and counts of a scene are put aside: 'breakfast at 5 a.m. again?', 跑步五公里."""
    for pattern in (CLOCK, _COUNT):
        for match in list(pattern.finditer(reading.text)):
            if in_scene(reading.text, *match.span()):
                reading.hide(*match.span(), " ")


def _number_of(month: re.Match[str]) -> int:
    return _MONTHS.index(month["mon"]) + 1 if month["mon"] else int(number(month["m"]))


def _months_between(first: datetime, last: date) -> int:
    return min(12, max(1, (last.year - first.year) * 12 + last.month - first.month + 1))
