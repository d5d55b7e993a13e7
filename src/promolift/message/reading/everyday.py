"""Lists of words that are wrong in a sentence about the offer and harmless in everyday life; both languages together.

U+E000 stands for the offered name, U+E004 for a date, as in `word_lists.py`.
"""

from promolift.message.reading.patterns import any_of

# A day or week without a date: pressure, unless it belongs to a scene before the benefit.
WEEK = any_of(r"""
    最后[一1]?(?:[件单次轮](?!机会|优惠|打折)|小时|分钟|周)
    \bthis week\b(?!end)(?![^.!;:\n]*\?)
    \b(?:by|until|through|before|till|on|this) (?:mon|tues|wednes|thurs|fri|satur|sun)day\b(?!,?\s*(?:the )?\ue004)
""")
# A last day, true where its date stands in the same sentence and it is not called today.
LAST_DAY = any_of(r"最后[一1]?[天日](?!的)|\b(?:last|final) (?:days?|call)\b")
TODAY = any_of(r"今[天日晚]|明[天日]|\btoday\b|\btonight\b|\btomorrow\b")
# How often and when: a condition where the sentence speaks of the offer, and everyday life where it does not.
HABIT = any_of(r"""
    [两二三四五六七八九]次|工作日|\bevery (?:second|other|third)\b|\b(?:twice|three times)\b|\bweekdays?\b
    \b(?:each|every) (?:week|month|time|visit|evening|night)\b|\bweekly\b|\bmonthly\b|\bon (?:the )?weekends?\b
    \b(?:on|every) (?:mon|tues|wednes|thurs|fri|satur|sun)days?\b(?!,? \ue004)
""")
# A sentence about the offer.
OFFER_TALK = any_of(r"""
    [\d%¥$€£\ue000\ue004\ue005折减省券]|[包免]邮|半价|优惠|活动|有效|适用|参[加与]|取消|暂停|除外|不含|不包括|可用
        |能用|使用|限
    \b(?:offers?|discount\w*|coupons?|vouchers?|codes?|sales?|deals?|savings?|valid|appl(?:y|ies|icable)|eligib\w+
        |available|off
        |includ\w+|exclu\w+|restrict\w*|cancel\w*|withdrawn|redeem\w*|shipping|delivery|free|half|percent|use)\b
""")
