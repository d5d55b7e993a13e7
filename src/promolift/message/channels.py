"""A text and the channel it goes through in; what that channel asks for and does not find out, the rest for reading.

The channel's own parts (a signature, how to refuse, a postal address) are blanked before the offer is read, so that
they are neither taken for facts of the offer nor able to hide any.
"""

import re
from typing import Literal

from promolift.message.names import SMUGGLED, any_of
from promolift.message.reading.text import Reading
from promolift.terms import Offer

Channel = Literal["plain", "sms_cn", "email_en", "push", "wechat_store"]

ONE_PART, PER_PART, MOST_PARTS = 70, 67, 3
PUSH_WIDTH = 178  # half-width characters, a Chinese one counts twice
WECHAT_NAME = 10  # 汉字; two half-width characters count as one
FLOOR_PERCENT = 20  # of the price is left to pay, at least

_SIGNATURE = re.compile(r"^\s*【[^【】\n]{2,20}】")
_REFUSE = re.compile(
    r"[，。,.;；\s]*(?:拒收|退订|拒收短信|不再接收)?\s*(?:请|可|，)?\s*(?:直接)?(?:回复?|发送)\s*(?:TD|[RTNＲＴＮ0])(?:\s*(?:退订|拒收))?\s*[。.]?\s*$"
)
_UNSUBSCRIBE = any_of(r"""
    (?:to |you can |you may |click (?:here )?to )?(?:unsubscribe|opt[ -]?out|stop receiving (?:these|our) e?mails?)
        (?: (?:here|at any time|any ?time|from (?:these|our) (?:e?mails?|messages?)|with one click))*
        (?:\s*(?::|at|via|,? ?(?:by )?visit(?:ing)?|,|->)?\s*(?:https?://|www\.|mailto:)?[\w.@-]+\.[a-z]{2,}(?:/[\w./?=&%-]*)?)?
    (?:manage|change|update) (?:your )?(?:e?mail )?preferences(?:\s*:?\s*https?://\S+)?
""")
_STREET = any_of(r"""
    \d{1,6}[a-z]?\s+(?:[a-z][\w.'-]*\s+){1,4}?
        (?:street|st|avenue|ave|road|rd|lane|ln|drive|dr|boulevard|blvd|way|square|sq|place|pl|court|ct|parkway|pkwy
        |highway|hwy|plaza|terrace)\b\.?(?:[ ,]+(?:suite|ste|floor|fl|unit|apt|room|rm|#)\.?\s*\w+)?
        (?:[ ,]+(?:st\. )?[a-z][a-z' -]{0,29}[a-z]){0,3}
        (?:[ ,]+(?:\d{5,6}(?:-\d{4})?|[a-z]{1,2}\d[\da-z]? ?\d[a-z]{2}))?
    p\.?\s?o\.?\s?box\s+\d+(?:[ ,]+(?:st\. )?[a-z][a-z' -]{0,29}[a-z]){0,3}(?:[ ,]+\d{5,6}(?:-\d{4})?)?
""")
_SENDER = re.compile(
    r"(?:^|(?<=[\n.]))[ ]*(?:[A-Z][\w&'-]*\.?[ ]?){1,4},\s*$"
)  # 'Morning Light Inc., ' before the street


def check_channel(reading: Reading, offer: Offer, channel: Channel) -> None:
    """Flag what the channel asks for and the text does not give, and blank the channel's own parts."""
    if channel == "sms_cn":
        _sms(reading)
    elif channel == "email_en":
        _email(reading)
    elif channel == "push":
        width = _width(reading.raw)
        if width > PUSH_WIDTH:
            reading.flag(
                "push_length", 0, len(reading.raw), f"{width} half-width characters; at most {PUSH_WIDTH} show"
            )
    elif channel == "wechat_store":
        _wechat(reading, offer)


def is_name_only(text: str, channel: Channel) -> bool:
    """Whether the text is a coupon's name alone, whose terms the store shows beside it."""
    return channel == "wechat_store" and "\n" not in text.strip()


def sms_parts(text: str) -> int:
    """How many parts a Chinese SMS is sent, and paid, in."""
    return 1 if len(text) <= ONE_PART else -(-len(text) // PER_PART)


def _sms(reading: Reading) -> None:
    text = reading.text
    signature, refuse = _SIGNATURE.match(text), _REFUSE.search(text)
    if signature:
        if SMUGGLED.search(signature.group()):
            reading.flag("injection", *signature.span(), "the signature is the sender's name, not an offer")
        reading.hide(*signature.span(), " ")
    else:
        reading.flag("sms_signature", 0, 0, "the sender's 【signature】 must stand first")
    if refuse:
        reading.hide(*refuse.span(), " ")
    else:
        reading.flag("sms_opt_out", len(text), len(text), "the text must end with how to refuse: 拒收请回复R")
    parts = sms_parts(reading.raw)
    if parts > MOST_PARTS:
        reading.flag("sms_length", 0, len(text), f"{len(text)} characters are {parts} parts; send at most {MOST_PARTS}")


def _email(reading: Reading) -> None:
    for code, pattern, what in (
        ("email_unsubscribe", _UNSUBSCRIBE, "a way to unsubscribe"),
        ("email_address", _STREET, "the sender's postal address"),
    ):
        found = list(pattern.finditer(reading.text))
        if not found:
            reading.flag(code, len(reading.raw), len(reading.raw), f"an e-mail needs {what}")
        for match in found:
            sender = _SENDER.search(reading.text[: match.start()])
            reading.hide(sender.start() if sender else match.start(), match.end(), " ")


def _wechat(reading: Reading, offer: Offer) -> None:
    name = reading.raw.strip().split("\n")[0]
    if _width(name) > 2 * WECHAT_NAME:
        reading.flag("wechat_name", 0, len(name), f"a coupon's name has at most {WECHAT_NAME} 汉字")
    benefit = offer.benefit
    least = offer.min_spend_cents * (100 - FLOOR_PERCENT)
    if benefit.percent > 100 - FLOOR_PERCENT or (least and benefit.amount_cents * 100 > least):
        reading.flag("wechat_floor", 0, 0, f"the customer must pay at least {FLOOR_PERCENT} % of the price")


def _width(text: str) -> int:
    """Half-width characters: a Chinese character or sign counts twice."""
    return sum(2 if ord(c) > 0x2E7F else 1 for c in text)
