"""How dates, clock times and spans of days are written in Chinese and English, and what relates them to an end.

The groups of `CORES`: y, m, d (year, month, day), mon (English month), a and b (month and day in either order), d2
(last day of 'June 1-30'), last ('the end of June').
"""

import re

from promolift.message.names import any_of
from promolift.message.reading.text import HAN, WORDS

MONTHS = (
    r"jan(?:uary)?|feb(?:ruary)?|mar(?:ch)?|apr(?:il)?|may|june?|july?|aug(?:ust)?|sept?(?:ember)?|oct(?:ober)?"
    r"|nov(?:ember)?|dec(?:ember)?"
)
_MON = rf"(?P<mon>{MONTHS})\b\.?"
_DAY = r"(?P<d>\d{1,2})(?:st|nd|rd|th)?"
_DAY_2 = r"(?P<d2>\d{1,2})(?:st|nd|rd|th)?"
_TO_DAY = rf"(?:\s*(?:-|to|through|thru|until|till)\s*{_DAY_2}(?!\s*(?:%|[a-z]*\d)))?"
_YEAR = r"(?:(?:,?\s+|-)(?P<y>\d{4})\b)?"
_ORDINALS = """
    first second third fourth fifth sixth seventh eighth ninth tenth eleventh twelfth thirteenth fourteenth fifteenth
    sixteenth seventeenth eighteenth nineteenth twentieth twenty-first twenty-second twenty-third twenty-fourth
    twenty-fifth twenty-sixth twenty-seventh twenty-eighth twenty-ninth thirtieth thirty-first
"""
ORDINALS = _ORDINALS.split()
_ORDINAL = rf"\b(?P<d>{'|'.join(ORDINALS)})\b"
_CARDINAL = rf"(?P<d>{WORDS})"
_HAN_DAY = "[一二三四五六七八九十]{1,3}"
# A day without its month, where it can only be a deadline; read if the offer's month is the only one or is named.
_TO_THE = "(?:(?<=day )|(?<=including )|(?<=on )|(?<=by )|(?<=to )|(?<=until )|(?<=till )|(?<=through )|(?<=before ))"
_NO_NOUN = (
    r"(?: of (?:the|this) month\b)?(?=\s*(?:[,.;:!?)]|$|(?:and|is|at|for|when|if|with|inclusive|included|only)\b))"
)
_IS_LAST = (
    r"(?=\s+(?:is|being|as) (?:the |your |our |its )?(?:last|final|closing|end|when|deadline|cut)"
    r"|,? (?:included|inclusive|too)\b)"
)
_BARE = (
    rf"(?:(?<=[至到于是为])|(?<=[本个]月)|(?<=[日天][:：]))(?P<d>\d{{1,2}}|{_HAN_DAY})[日号](?![内间起后常用子元线楼店])",
    rf"(?<![\d.月/至到年-])(?P<d>\d{{1,2}}|{_HAN_DAY})[日号](?=(?:当[天日]|晚上?|[(（][^)）]*[)）])?[是为]?"
    r"(?:最后|截止|之?前|止|结束|到期|收官|收尾|落幕)"
    r"|当[天日]|[晚夜]?\s*\d{1,2}[:：]\d\d|晚[上间])",
    rf"{_TO_THE}the (?P<d>\d{{1,2}})(?:st|nd|rd|th)\b{_NO_NOUN}",
    rf"{_TO_THE}the {_ORDINAL}{_NO_NOUN}",
    rf"\bthe (?P<d>\d{{1,2}})(?:st|nd|rd|th)\b{_IS_LAST}",
    rf"\bthe {_ORDINAL}{_IS_LAST}",
)
CORES = [
    re.compile(pattern, re.IGNORECASE)
    for pattern in (
        r"(?<!\d)(?P<y>20\d{2})(?P<m>0[1-9]|1[0-2])(?P<d>[0-3]\d)(?!\d)",
        r"(?<![\d-])(?P<m>\d{1,2})-(?P<d>\d{1,2})[日号]",
        r"(?<!\d)(?P<y>\d{4})\s*(?P<sep>[-/.])\s*(?P<m>\d{1,2})\s*(?P=sep)\s*(?P<d>\d{1,2})(?!\d)",
        r"(?:(?P<y>\d{4}|[〇零一二三四五六七八九]{4})\s*年\s*|今年)?"
        rf"(?<!\d)(?P<m>\d{{1,2}}|{HAN})\s*月(?:份)?\s*"
        rf"(?:(?P<last>底|末|的?最后(?:一|1)[天日])|(?P<d>\d{{1,2}}|{_HAN_DAY})\s*(?:日|号)?"
        rf"(?:\s*[-至到~]\s*(?P<d2>\d{{1,2}}|{_HAN_DAY})\s*[日号])?)",
        rf"(?P<last>(?:the )?(?:end|last day) of )(?:the month of )?{_MON}(?!\s*\d{{1,2}}(?!\d)){_YEAR}",
        rf"\b{_MON}\s+(?:the\s+)?{_DAY}(?!\d){_TO_DAY}{_YEAR}",
        rf"(?<!\d)(?:the\s+)?{_DAY}(?:\s*(?:-|to|through)\s*{_DAY_2})?\s*(?:of\s+|-)?{_MON}{_YEAR}",
        rf"(?:\bthe\s+)?{_ORDINAL}\s+(?:day\s+)?of\s+{_MON}{_YEAR}",
        rf"\b{_MON}\s+(?:the\s+)?{_ORDINAL}{_YEAR}",
        rf"{_CARDINAL}\s+(?:of\s+)?{_MON}(?! \d){_YEAR}",
        rf"\b{_MON}\s+{_CARDINAL}(?=\s*(?:[.,;:!)]|$|(?:and|is|at|inclusive|included|ends?)\b)){_YEAR}",
        r"(?<![\d/.])(?P<a>\d{1,2})[/.](?P<b>\d{1,2})[/.](?P<y>\d{4}|\d{2})(?![\d/.]*\d)",
        r"(?<![\d-])(?P<a>\d{1,2})-(?P<b>\d{1,2})-(?P<y>\d{4})(?![\d-]*\d)",
        r"(?<![\d/.])(?!24/7|1/[2-5]\b)(?P<a>\d{1,2})/(?P<b>\d{1,2})(?![\d/.]*\d)",
        r"(?:(?<=[至到止])|(?<=有效期)|(?<=有效期[:：]))\s*(?P<m>\d{1,2})\.(?P<d>\d{1,2})(?![\d.%折元])",
        r"(?<![\d.])(?P<m>\d{1,2})\.(?P<d>\d{1,2})(?=\s*(?:前|之前|截止|到期|止))",
        *_BARE,
    )
]
_WEEKDAY = r"\b(?P<w>mon|tue|tues|wed|weds|thu|thur|thurs|fri|sat|sun)(?:[a-z]*day|nesday|rsday|urday)?\b\.?"
WEEKDAY_BEFORE = re.compile(rf"{_WEEKDAY},?\s*(?:the\s+)?$", re.IGNORECASE)
WEEKDAY_AFTER = re.compile(
    rf"^\s*[,(（]?\s*(?:{_WEEKDAY}|(?:周|星期|礼拜)(?P<z>[一二三四五六日天]))\s*[)）]?", re.IGNORECASE
)
_CLOCK = (
    r"(?:(?P<part>凌晨|早上|上午|中午|下午|傍晚|晚上|晚|夜里)\s*)?"
    r"(?:(?P<h>\d{1,2}|[零〇一二两三四五六七八九十]{1,3})\s*"
    r"(?:[:：]\s*(?P<mi>\d{2})(?:\s*[:：]\s*(?P<s>\d{2}))?\s*(?P<ap>[ap]\.?\s?m\b\.?)?"
    r"|(?P<ap2>[ap]\.?\s?m\b\.?)"
    r"|o'clock(?:\s+(?:in the|at)\s+(?P<ap3>morning|afternoon|evening|night))?"
    r"|(?:点钟?|时)(?:整|(?P<half>半)|(?P<mi2>\d{1,2}|[零〇一二三四五六七八九十]{2,3}(?=分|$|[^元块折年月天\u4e00-\u9fff])|[一二三四五六七八九十](?=分))\s*分?(?!钟)(?:\s*(?P<s2>\d{1,2})\s*秒)?)?)"
    r"|(?:12(?::00)?\s*)?(?P<word>零点|午夜|正午|中午|midnight|noon|midday))"
)
CLOCK = re.compile(rf"(?<![\d:.])(?!一点)(?!两点){_CLOCK}", re.IGNORECASE)
CLOCK_AFTER = re.compile(rf"^(?:T|\s*(?:当[天日])?[)）(（]?\s*,?\s*(?:at\s+|@\s*)?)\s*{_CLOCK}", re.IGNORECASE)
CLOCK_BEFORE = re.compile(rf"{_CLOCK}\s*(?:on|,)?\s*(?:the evening of\s*)?$", re.IGNORECASE)
DURATION = re.compile(
    rf"(?<![\d.,])(?<!最后)(?<!每)(?<!第)(?P<n>\d+|{WORDS}|{HAN})\s*-?\s*(?:more\s+|full\s+)?"
    r"(?P<unit>days?|hours?|weeks?|months?|minutes?|years?|hrs?"
    r"|天|日(?![元圆常用子历三])|小时|周|星期|个月|分钟|年)(?![a-z\d])",
    re.IGNORECASE,
)
JOIN = any_of(
    "起?至|到|直到|-|~|to|through|thru|until|till|up to|and", head=r"^\s*(?:起|[(（]含[)）])?\s*", tail=r"\s*$"
)
TODAY = any_of(r"""
    (?:only|just|ends?|ending|until|through|by|expires?|valid|good)\s+(?:\w+\s+){0,2}?(?:today|tonight)\b|(?:today|tonight)\s+only
    (?:仅|只|限|截止到?|截至|有效期至)(?:限|于|在)?今[天日晚]
    今[天日晚](?:截止|有效|止|结束|限定|特惠|专享|为止)
""")
MONTH_END = any_of(r"(?:the\s+)?end of (?:the|this) month|month-end|本?月底|本?月末")
NOW = any_of(r"现在|现享|立即|马上|\bnow\b|right away|today")

# --- words around a date; the ones after it may follow 日 and a remark in parentheses -------------------------------

INCLUDED = any_of(
    "包?含|包括|inclusive|included|including", head=r"^[日号]?\s*[(（,，]?\s*(?:前|之前|以前)?\s*[(（,，]?\s*"
)
NOT_INCLUDED = any_of(
    "不(?:包?含|包括)|exclusive|excluded|not included|excluding", head=r"^[日号]?\s*(?:前|之前|以前)?\s*[(（]?\s*"
)
UP_TO_ZH = any_of("(?:及|或|和)(?:之|以)?前|(?:之|以)?前(?:及|或|和)当[天日]", head=r"^[日号]?\s*(?:当[天日])?")
BEFORE_ZH = any_of("之前|以前|前|未到", head=r"^[日号]?\s*(?:[(（][^)）]*[)）])?\s*")
AFTER_ZH = any_of("之后|以后|后|过后", head=r"^[日号]?\s*")
START_ZH = any_of(
    "起|(?:当天|这天|那天|正式|才|就|方)*(?:开始|开启|开抢|开场|开门|开张|开放|开卖|开售|登场|上线|启动|生效|启用|亮相)|当天起"
    "|(?:是|为|才是|就是)(?:本?次?活动|优惠|它|这次优惠)?的?(?:第一[天日]|首日|头一?天|开始|起点|起始|开头|开端|开幕)",
    head=r"^[日号]?\s*",
    tail="(?!至|到)",
)
START_AFTER_EN = any_of(
    r"(?:begins?|starts?|opens?|launch(?:es)?|kicks? (?:it |things )?off)\b|(?:the |our |its )?(?:first day"
    r"|opening|start"
    r"|beginning|launch|kick-?off|debut|day one|day (?:it|this|the \w+) (?:begins|starts|opens))\b",
    head=r"^\s*,?\s*(?:(?:is|marks|sees|will be|would be|being) )(?:when |where |the day )?(?:it |this |that "
    r"|(?:the|our|this) (?:\w+ )?(?:offer|deal|sale|discount|fun|price) )?(?:all )?",
)
BESIDE = re.compile(
    r"^\s*(?:[(（][^)）]{0,8}[)）])?\s*(?:当[天日])?(?:(?:及|或|和)?(?:之|以)?[前后]|止)(?:[(（][^)）]{0,8}[)）])?"
)
INSIDE = re.compile(r"^[^(（)）。\d]{0,4}(?P<in>[(（][^)）]*[)）]|(?:包?含|包括)\s*\d{1,2}[日号])")
BEFORE_EN = any_of(
    r"\bbefore|\bprior to|\bahead of|\bearlier than|早于|up until but not including",
    tail=r"(?:\s+(?!it\b|you|they|we\b|the\b)[a-z][a-z']+(?: [a-z]+)?,)?\s*$",
)
ON_OR_BEFORE_EN = any_of(
    r"on or before|before or on|before (?:the )?(?:end|close) of(?: the day)?(?: on)?", head=r"\b", tail=r"\s*$"
)
START_BEFORE = any_of(
    r"""
    \b(?:from|starting|starts|start|begins|begin|beginning|as of|since|opens|between|valid from)(?: on)?
    \b(?:first day|opening day|start(?:ing)? (?:day|date)|launch(?: day| date)?|opens|starts|begins)(?: is|:| on)
    (?:首日|第一[天日]|头一天|开始(?:日期|时间|的日子)?|起始日期?|开场|开抢)(?:是|为|在|于|[:：])*
    [自从]
    """,
    tail=r"(?:\s+(?:the end of|this|next))?\s*$",
)
AFTER_EN = any_of(r"\bafter", tail=r"\s*$")
OVER = any_of(r"""
    \b(?:not|no longer|never|expires?|invalid|void|lapses?|stops?|runs? out|finish(?:es)?|won't|ends?|gone|over|isn't
        |closes?|cannot|can't)\b
    \bback to|\bfull price|\bregular price|\breturns? to
    \b(?:shuts?|shutting|cold|away|disappears?|vanish\w*|melts?|fades?|leaves?|too late|late|dies|dead|done|history
        |off the (?:table|menu|shelf)|packs? up|retires?|goes? (?:home|dark|quiet|back|out)|nothing|no more|wraps? up
        |turns? (?:off|back)|lost|missed|ended|closed|doors?)\b
    失效|作废|无效|不可|不能|不再|恢复|结束|过期|停止|没了|没有了|散|落幕|收|打烊|关|下线|谢幕|晚了|翻篇|告别|消失|作罢|停|不算|不作数
""")
