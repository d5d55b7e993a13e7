"""A reading in; turns of phrase about an end put into the plain ones that `dates.py` compares, each of its old length.

'Until July 5th is over', 'the last minute of June' and 二十三点五十九分 all say what 'through July 5th' says; what
follows 'after' or 过了 says what is over by then.
"""

import re

from promolift.message.names import any_of
from promolift.message.reading.date_cues import MONTHS
from promolift.message.reading.text import Reading, number

_MON = rf"(?:{MONTHS})"
_TH = r"(?:\d{1,2}(?:st|nd|rd|th)?|[a-z]+(?:-[a-z]+)?(?:st|nd|rd|th))"
_DAY_EN = rf"(?:{_MON}\b\.?(?: (?:the )?{_TH})?|(?:the )?{_TH}(?: of)? {_MON}\b\.?|the {_TH})(?:,? 20\d\d)?"
_GONE_EN = (
    r"(?:is|are|has|'s) (?:(?:well and )?truly |finally |all )?(?:run out|over|done|out|up|through|gone|ended"
    r"|finished|past|behind us)|ends?|closes|runs? out|finishes|expires|passes|has passed|turns? into \w+"
    r"|comes? to an end"
)
# 'before June 30 is over' is through June 30; the day itself is part of it.
_OVER = re.compile(
    rf"\b(?P<till>until|till|before|by the time|up to when|as long as)\s(?P<day>(?:[a-z]+day,? (?:the )?)?{_DAY_EN}"
    rf"|(?:that|this|the) (?:same )?(?:day|date|month|(?:mon|tues|wednes|thurs|fri|satur|sun)day))"
    rf"(?P<over>,?\s(?:{_GONE_EN}))\b",
    re.IGNORECASE,
)
_TICK = r"(?:minute|moment|second|hour|tick|stroke|breath|gasp|night|evening|sunset|drop|page|bell|light)s?"
_TICK_OF = re.compile(
    rf"\b(?P<tick>(?:the )?(?:very )?(?:last|final|closing) {_TICK} of )(?P<day>{_DAY_EN})", re.IGNORECASE
)
_TICK_AFTER = re.compile(
    rf"(?P<day>\b{_DAY_EN})(?P<tick>,?\s(?:(?:to|until|till|down to|up to|including|through) )?(?:its|the) (?:very )?"
    rf"(?:last|final) {_TICK}(?: (?:included|inclusive|of (?:it|the day)))?"
    rf"|,? (?:the )?(?:very )?last {_TICK} included)\b",
    re.IGNORECASE,
)
_BARE_MONTH = re.compile(rf"{_MON}\b\.?$", re.IGNORECASE)
_WITH = re.compile(
    rf"\b(?P<with>(?:ends?|runs? out|closes?|expires?|finish(?:es)?|goes|is over|stops?|leaves?|dies|fades|ending)"
    rf" (?:together )?with )(?=(?:the )?(?:(?:end|last day) of )?(?:the month of )?{_MON}\b)",
    re.IGNORECASE,
)
_WHEN = re.compile(
    rf"\b(?P<with>(?:(?:it |that )?(?:ends?|runs? out|closes?|expires?|finish(?:es)?|goes|stops?|leaves?|dies"
    rf"|fades|bows? out|is over)"
    rf"|until|till) when )(?P<day>(?:the month of )?{_DAY_EN})(?P<over> (?:does|is over|ends|goes|finishes"
    rf"|is done|runs out))\b",
    re.IGNORECASE,
)
_CLOSE = any_of(
    r"没了|散场|散了|收场|打烊|下线|落幕|谢幕|收官|收摊|关门|关张|翻篇|作罢|拜拜|再见|告别|消失|回家|归零|不候|作废|失效|结束|截止|停"
    r"|不作数|不算数|不管用|不算|无效|为止|恢复(?:原价|正常)?|晚了|到期|收工|收[口尾]|收起来|溜走|熄灯",
    head=r"^[^，,。！!？?；;\d]{0,6}?(?<![不没])",
    tail=r"(?:[了啦咯哦吧]|[，。！；])*(?=$|[，。！!；;\n])",
)
_PAST_ZH = re.compile(
    r"(?P<past>过了?|过完|错过)\s*(?P<day>(?:20\d\d年)?(?:\d{1,2}|[一二三四五六七八九十]{1,2})月"
    r"(?:\d{1,2}|[一二三四五六七八九十]{1,3})[日号]?(?:[(（][^)）]{0,6}[)）])?(?:这一?天|当[天日]|晚上|半夜|零点|午夜)?)[，,\s]*"
)
# 过完之前, 之前都不晚，当天也行, 以前，连同当天: the day belongs to it.
_WITH_DAY_ZH = re.compile(
    r"(?<=[月日号天)）])\s*(?P<said>(?:这一?天)?(?:过完|过去|走完|结束|收尾|用完|翻篇)(?:之前|以前|前|为止)"
    r"|(?:之前|以前|前)(?:都|也|还|全|一直)?(?:不晚|不迟|来得及|有效|可用|能用|行|可以|算数)?[，,、；(（\s]*"
    r"(?:(?:连同?|包?含|包括|算上|加上|带上)(?:着|了)?(?:当[天日]|那一?[天日]|这一?[天日]|本日|最后一天)(?:一起|在内|都算)?"
    r"|(?:当[天日]|那一?[天日]|这一?[天日]|本日|\d{1,2}[日号]|[一二三四五六七八九十]{1,3}[日号])(?:也|都|同样|照样|还|一样)"
    r"(?:算|行|可以?|成|有效|在内|包括|能用|能|不晚|来得及|作数)(?:在内|进去|数|的|用)?)[)）]?)"
)

_DAY_AGAIN = re.compile(r"(\d{1,2}|[一二三四五六七八九十]{1,3})[日号]")
_DAY_NAMED = re.compile(r"月\s*(\d{1,2}|[一二三四五六七八九十]{1,3})[日号]?(?:\s*[(（][^)）]{0,6}[)）])?$")


def plain_ends(reading: Reading) -> None:
    """Put every turn of phrase about an end into its plain form."""
    for match in list(_OVER.finditer(reading.text)):
        if not re.search(_MON, match["day"], re.IGNORECASE) and not match["day"].startswith("the "):
            reading.hide(match.start("till"), match.end("over"), " ")  # 'before that day is over'
            continue
        _put(reading, *match.span("till"), "until")
        reading.hide(*match.span("over"), " ")
    for pattern in (_TICK_OF, _TICK_AFTER):
        for match in list(pattern.finditer(reading.text)):
            end = "the end of" if pattern is _TICK_OF and _BARE_MONTH.search(match["day"]) else ""
            _put(reading, *match.span("tick"), f"{end} " if end else "")
    for match in list(_WITH.finditer(reading.text)):
        _put(reading, *match.span("with"), "until ")
    for match in list(_WHEN.finditer(reading.text)):
        _put(reading, *match.span("with"), "until ")
        reading.hide(*match.span("over"), " ")
    for match in list(_WITH_DAY_ZH.finditer(reading.text)):
        again, named = _DAY_AGAIN.search(match["said"]), _DAY_NAMED.search(reading.text[: match.start()])
        if not again or (named and number(again[1]) == number(named[1])):
            reading.hide(*match.span("said"), " ")
    for match in list(_PAST_ZH.finditer(reading.text)):
        close = _CLOSE.match(reading.text[match.end() :])
        if close:
            reading.hide(*match.span("past"), " ")
            reading.hide(match.end("day"), match.end() + close.end(), " ")
            stop = match.end() + close.end() - 1
            reading.text = reading.text[:stop] + "。" + reading.text[stop + 1 :]


def _put(reading: Reading, start: int, end: int, words: str) -> None:
    """Replace [start, end) by `words`, filled up with spaces before them; `words` that do not fit are left out."""
    words = words if len(words) <= end - start else ""
    reading.text = reading.text[:start] + words.rjust(end - start) + reading.text[end:]
