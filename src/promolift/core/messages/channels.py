"""Apply what a channel or rule pack adds to a message and requires of its text.

A channel's own parts (a signature, how to refuse, a postal address) and the notices that laws ask for are no part of
the offer: they are set by code, and blanked before a text of a person is read. None of this is legal advice.
"""

import re
from collections.abc import Iterator
from typing import Literal, NamedTuple

from pydantic import Field

from promolift.core.messages.angles import AngleFacts
from promolift.core.messages.offer_text import format_money
from promolift.core.offers.product_names import load_toml
from promolift.core.offers.terms import Offer
from promolift.foundation.i18n.lazy_message import LazyMessage, gettext_lazy
from promolift.foundation.localized_text import Language
from promolift.foundation.settings import Settings

Channel = Literal["plain", "sms_cn", "email_en", "push", "wechat_store"]
RulePack = Literal["ny_349a", "pipl_24", "eu_price_30d"]
CreditRulePack = Literal["credit_us", "credit_eu", "credit_cn"]

ONE_PART, PER_PART, MOST_PARTS = 70, 67, 3
PUSH_WIDTH = 178  # half-width characters, a Chinese one counts twice
WECHAT_NAME = 10  # 汉字; two half-width characters count as one
FLOOR_PERCENT = 20  # of the price is left to pay, at least
NY_NOTICE = "THIS PRICE WAS SET BY AN ALGORITHM USING YOUR PERSONAL DATA."

_DATA = load_toml("messages/channels.toml")
RULE_SOURCES: dict[str, str] = _DATA["sources"]


class Sender(Settings):
    """Who sends, and how a reader refuses: what channels and rule packs ask for in every message."""

    name: str = Field(
        default="",
        max_length=20,
        description="Name of the sender, for the signature of an SMS and of an e-mail. Left out: the shop's.",
        examples=["Corner Shop"],
    )
    address: str = Field(
        default="", description="Postal address, for e-mails.", examples=["1 High Street, Springfield, 12345"]
    )
    unsubscribe: str = Field(
        default="", description="Address that stops e-mails.", examples=["https://shop.example/stop"]
    )
    refuse_zh: str = Field(
        default="不需要个性化推荐可随时联系我们关闭",
        description="How to refuse personal decisions, in Chinese, for the rule pack `pipl_24`.",
    )
    refuse_en: str = Field(default="To stop personal offers, tell us at any time", description="The same in English.")


class Breach(NamedTuple):
    """What a channel or rule pack asks for and does not find; the place, empty for what is missing."""

    code: str
    start: int
    end: int
    why: LazyMessage


_ASKED: dict[str, str] = _DATA["asked"]
_OPT_OUT: dict[Language, str] = _DATA["endings"]["sms_cn"]
_SIGNATURE, _REFUSE = (re.compile(_ASKED[code]) for code in ("sms_signature", "sms_opt_out"))
_ASKED_FOR = {code: re.compile(_ASKED[code]) for code in ("email_unsubscribe", "email_address")}
_LINES = tuple(re.compile(rf"[^\n]*(?:{pattern.pattern})[^\n]*") for pattern in _ASKED_FOR.values())


def format_for_channel(text: str, channel: Channel, sender: Sender, language: Language) -> str:
    """A finished text with what its channel adds around it."""
    if channel == "sms_cn":
        return f"【{sender.name or _DATA['nameless'][language]}】{text}{_OPT_OUT[language]}"
    if channel == "email_en":
        stop = "Unsubscribe" if language == "en" else "退订"
        return f"{text}\n\n{sender.name}, {sender.address}\n{stop}: {sender.unsubscribe}"
    return text


def rule_pack_notices(
    packs: tuple[RulePack, ...], sender: Sender, currency: str, known: AngleFacts, language: Language
) -> list[str]:
    """The sentences that rule packs ask for behind a message."""
    found = []
    if "ny_349a" in packs:
        found.append(NY_NOTICE)
    if "pipl_24" in packs:
        how = sender.refuse_zh if language == "zh" else sender.refuse_en
        found.append(f"{how}。" if language == "zh" else f"{how}.")
    if "eu_price_30d" in packs and known.lowest is not None:
        cost = format_money(known.lowest, currency, language)
        found.append(f"近30天最低价：{cost}。" if language == "zh" else f"Lowest price of the last 30 days: {cost}.")
    return found


def credit_notices(packs: tuple[CreditRulePack, ...], refused: bool, language: Language) -> list[str]:
    """The sentences that rule packs for credit ask for with an offer, or with a refusal."""
    known: dict[str, dict[str, str]] = _DATA["credit"]
    return [known[pack][f"{'refusal' if refused else 'offer'}_{language}"] for pack in packs]


def find_breaches(
    text: str, offer: Offer, channel: Channel, packs: tuple[RulePack, ...] = (), sender: Sender | None = None,
    known: AngleFacts | None = None, language: Language = "en",
) -> Iterator[Breach]:  # fmt: skip
    """What the channel and the rule packs ask for and the text does not give."""
    end = len(text)
    if channel == "sms_cn":
        if not _SIGNATURE.match(text):
            yield Breach("sms_signature", 0, 0, gettext_lazy("the sender's 【signature】 must stand first"))
        if not _REFUSE.search(text):
            ending = _OPT_OUT[language].strip()
            yield Breach(
                "sms_opt_out", end, end, gettext_lazy("the text must end with how to refuse: {ending}", ending=ending)
            )
        if count_sms_parts(text) > MOST_PARTS:
            yield Breach(
                "sms_length",
                0,
                end,
                gettext_lazy(
                    "{characters} characters are {parts} parts; send at most {most_parts}",
                    characters=end,
                    parts=count_sms_parts(text),
                    most_parts=MOST_PARTS,
                ),
            )
    elif channel == "email_en":
        for code, what in (
            ("email_unsubscribe", gettext_lazy("an e-mail needs a way to unsubscribe")),
            ("email_address", gettext_lazy("an e-mail needs the sender's postal address")),
        ):
            if not _ASKED_FOR[code].search(text[-600:]):  # at the end, and a long text is slow to search
                yield Breach(code, end, end, what)
    elif channel == "push" and display_width(text) > PUSH_WIDTH:
        yield Breach(
            "push_length",
            0,
            end,
            gettext_lazy(
                "{width} half-width characters; at most {push_width} show",
                width=display_width(text),
                push_width=PUSH_WIDTH,
            ),
        )
    elif channel == "wechat_store":
        name = text.strip().split("\n")[0]
        if display_width(name) > 2 * WECHAT_NAME:
            yield Breach(
                "wechat_name",
                0,
                len(name),
                gettext_lazy("a coupon's name has at most {wechat_name} Chinese characters", wechat_name=WECHAT_NAME),
            )
        least = offer.min_spend_cents * (100 - FLOOR_PERCENT)
        if offer.benefit.percent > 100 - FLOOR_PERCENT or (least and offer.benefit.amount_cents * 100 > least):
            yield Breach(
                "wechat_floor",
                0,
                0,
                gettext_lazy(
                    "the customer must pay at least {floor_percent} % of the price", floor_percent=FLOOR_PERCENT
                ),
            )
    for pack in packs:
        for notice in rule_pack_notices((pack,), sender or Sender(), offer.currency, known or AngleFacts(), language):
            if notice.rstrip("。.") not in text:
                yield Breach(pack, end, end, gettext_lazy("this notice is missing: {notice}", notice=notice))
    if "eu_price_30d" in packs and offer.scope == "product" and (known is None or known.lowest is None):
        yield Breach(
            "eu_price_30d",
            0,
            0,
            gettext_lazy("the lowest price of the last 30 days is not known; give it or leave the price out"),
        )


def blank_channel_parts(text: str, channel: Channel) -> str:
    """The text with the channel's own parts as blanks of the same length, so that they are no facts of the offer."""
    patterns = {"sms_cn": (_SIGNATURE, _REFUSE), "email_en": _LINES}.get(channel, ())
    for pattern in patterns:
        text = pattern.sub(lambda match: " " * len(match.group()), text)
    return text


def count_sms_parts(text: str) -> int:
    """How many parts a Chinese SMS is sent, and paid, in."""
    return 1 if len(text) <= ONE_PART else -(-len(text) // PER_PART)


_WIDE = re.compile(r"[^\x00-\u2e7f]")


def display_width(text: str) -> int:
    """Half-width characters: a Chinese character or sign counts twice."""
    return len(text) + len(_WIDE.findall(text))
