"""An offer in; what it is in a few plain words, Chinese or English, out: for a list, a card or a till, not a message.

Money is printed by `templates.money` alone, so that an amount reads the same everywhere.
"""

from typing import NamedTuple

from promolift.message.names import label
from promolift.message.templates import money, zhe
from promolift.terms import AND, Activation, Benefit, Joined, Language, Offer, Words, covered

EVERYTHING = Words(zh="全场", en="everything")
NEEDS: dict[Activation, Words | None] = {
    "automatic": None,
    "code": Words(zh="凭券", en="with a code"),
    "link": Words(zh="点消息里的链接领取", en="by the link in the message"),
}


class _Line(NamedTuple):
    """What the words are made of; `on` is None where the whole order counts."""

    benefit: Benefit
    min_spend_cents: int
    currency: str
    on: str | None
    joined: Joined | None

    def money(self, cents: int, language: Language) -> str:
        return money(cents, self.currency, language)


def offer_words(offer: Offer, language: Language) -> str:
    """'20 % off tea', '茶打8折', '¥500 off from ¥5,000 up'; of two categories whether each or both together count."""
    on = _named(offer, language)
    line = _Line(offer.benefit, offer.min_spend_cents, offer.currency, on, offer.joined)
    needs = NEEDS[offer.activation]
    return _said(line, language) + (f"{_comma(language)}{needs.in_(language)}" if needs else "")


def line_words(
    benefit: Benefit, min_spend_cents: int, currency: str, language: Language, on: Words | None = None
) -> str:
    """The same of a menu line, where `on` is what it covers in general: 'one category'."""
    return _said(_Line(benefit, min_spend_cents, currency, on.in_(language) if on else None, None), language)


def _said(line: _Line, language: Language) -> str:
    parts = _zh(line) if language == "zh" else _en(line)
    return _comma(language).join(parts)


def _comma(language: Language) -> str:
    return "，" if language == "zh" else ", "


def _named(offer: Offer, language: Language) -> str | None:
    """The name of what is covered. Two in Chinese are listed; two that only their ids tell apart bear their label."""
    if offer.label is None:
        return None
    if (
        language == "zh"
        and offer.scope != "all"
        and AND in offer.covers
        and label(offer.covers, offer.scope) == offer.label
    ):
        return "、".join(label(part, offer.scope).zh for part in covered(offer.covers))
    return offer.label.in_(language)


def _en(line: _Line) -> list[str]:
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


def _zh(line: _Line) -> list[str]:
    benefit, most = line.benefit, line.benefit.max_discount_cents
    if benefit.type == "none":
        return ["没有优惠"]
    spend = f"满{line.money(line.min_spend_cents, 'zh')}" if line.min_spend_cents else ""
    both = {"each": "都", "together": "一起买", None: ""}[line.joined]
    if benefit.type == "percent_off":
        on, deal = line.on or EVERYTHING.zh, "全额减免" if benefit.percent == 100 else f"打{zhe(benefit.percent)}"
    elif benefit.type == "amount_off":
        on, deal = line.on or "", f"减{line.money(benefit.amount_cents, 'zh')}"
    else:
        on, deal = line.on or "", "免运费"
    any_of = ["买哪样都算"] if line.joined == "each" else []
    return [f"{on}{spend}{both}{deal}", *any_of, *([f"最多减{line.money(most, 'zh')}"] if most else [])]
