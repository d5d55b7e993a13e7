"""A reading and an offer in; worked examples whose sum is right put aside, before numbers are put in their roles.

'A $100 pair comes to $70' and 买一百付八十五 are the offer in other words; so are shares, '85 cents on the dollar',
'four dollars out of every five', 每十元省一元. A sum that is wrong is left where it stands, and refused as any other.
"""

import re
from decimal import Decimal
from itertools import pairwise

from promolift.currency import CURRENCY_DIGITS
from promolift.message.names import any_of
from promolift.message.reading.money import cents_of, currencies, money_pattern, role_of
from promolift.message.reading.text import DATE, DONE, OFFERED, SENTENCE_END, WORDS, Reading, number
from promolift.terms import Offer

_MAJOR = r"dollar|euro|pound|yuan|buck|renminbi|rmb"
_EACH = r"(?:the|an?|each|every|one)"
# '85 cents on the dollar', '12 fen off every yuan', "88 cents buys a dollar's worth".
_SHARE = re.compile(
    rf"\b(?P<n>\d{{1,2}}|(?i:{WORDS}))\s?(?P<minor>cents?|fen|pence|p|¢)\s(?P<how>(?:(?:off|less|back|saved"
    rf"|knocked off|buys?"
    rf"|gets? you|for|on|of|out of|in|from|to|instead of|where you|pays? for|is enough for|does the work of)\s){{1,3}})"
    rf"{_EACH} (?P<major>{_MAJOR})(?:'s worth(?: of \w+)?)?\b",
    re.IGNORECASE,
)
# 'four dollars out of every five'.
_OUT_OF = re.compile(
    rf"\b(?P<k>\d+|(?i:{WORDS}))(?: (?:of|out of|in) (?:every|each)(?: (?P<n>\d+"
    rf"|(?i:{WORDS})))(?P<u> (?:{_MAJOR}|cent)s?)"
    rf"|(?P<v> (?:{_MAJOR}|cent)s?) (?:out of|of|in|from|off) (?:every|each) (?P<m>\d+|(?i:{WORDS})))\b",
    re.IGNORECASE,
)
_LESS_EN = (
    r"off|less|sav(?:e|es|ed|ing)|back|knock\w*|drop\w*|los(?:e|es|ing)|shed\w*|minus|stay\w*|keep\w*|discount"
    r"|cheaper|free"
)
_CUT = any_of(rf"""
    [减省优惠降抵返免]|少[付花掏]|便宜|让利|回来|\b(?:{_LESS_EN})\b
""")
_EACH_BEFORE = any_of(r"每(?:满|花|付|消费|买)?|\b(?:for |of |on |out of )?(?:every|each|per)", tail=r"\s*$")
_ASKED = re.compile(r"^\s*(?:的?话|呢|的?(?:商品|东西)?呢)?\s*[?？]|^\s*的话|^\s*呢")
# What a price is stated with: 付, 'comes to', 'is yours for', an arrow, or nothing but the product between two sums.
_PAY_BEFORE = any_of(
    r"""
    [付收掏变成花给]|到手价?|只要|[仅只]需|拿走|结账|算下来|等于|→|->?|=|[，,:：、?？]
    \b(?:comes? (?:out |down )?(?:to|at)|becom\w+|costs?|pay|pays|paying|for|is|are|now|down to|drops? to
        |falls? to|goes? for
        |turns? into|rings? up (?:at|as)|leaves? (?:the shop )?(?:at|for)|at|to|you hand over|shrinks? to|means
        |only|just|you owe
        |slips? to|lands? at)
    """,
    tail=r"(?:[了掉出您你到]|\s|just |only |a |an |the |your |you |about to be |by )*$",
)
_PAY_AFTER = any_of(
    r"[就]?(?:拿走|带走|带回家|到手|搞定|拿下|买下|买到|抱回)|\b(?:to pay|all in|at the till|at checkout)\b",
    head=r"^\s*",
)
# The price first: '$70 buys a $100 pair', 七十元拿下一百元的耳机.
_PRICE_FIRST = any_of(
    r"[就能可便]*(?:拿下|买下|买到|带走|换来?|抵|当|买|抱走|搬走)"
    r"|\b(?:buys?|gets? you|for|instead of|rather than|not|takes? home|covers|does for|is enough for|secures|where)\b",
    head=r"^\s*(?:you pay |is what you pay |is the price )?(?:for )?",
)
_PAID_BEFORE = any_of(r"[付掏]|\b(?:pay|pays|paying|hand over)", tail=r"\s*(?:only |just )?$")
_PAST = any_of(
    r"原价|原来|平[时常]|从前|以前|\b(?:was|were|been|used to cost|usually|normally|rrp|before|regularly"
    r"|formerly|once)",
    tail=r"\W*$",
)
_PARTS = re.compile(r"^\s*(?:%|折|成|per ?cent|分之|个百分点)", re.IGNORECASE)
_BARE_BEFORE = re.compile(r"(?:[买付收掏变减花省]|只要|只付|还剩)$")
_FARTHEST = 48


class _Token:
    """One number that may be a sum of money: its place, minor units, role, and whether its currency is said."""

    def __init__(self, match: re.Match[str], text: str, currency: str) -> None:
        self.start, self.end = match.span()
        self.unit = match["sign"] or match["unit"]
        self.cents = cents_of(match, currency)
        self.before = SENTENCE_END.split(text[max(0, self.start - 60) : self.start])[-1]
        self.after = SENTENCE_END.split(text[self.end : self.end + 60])[0]
        self.role = role_of(self.before, self.after)


def check_examples(reading: Reading, offer: Offer) -> None:
    """Hide every share and every pair of sums that is the offer worked out; note what they state."""
    if offer.benefit.type == "percent_off":
        _shares(reading, offer)
    if offer.benefit.type in ("percent_off", "amount_off"):
        for first, second in pairwise(_tokens(reading.text, offer)):
            _pair(reading, first, second, offer)


def _shares(reading: Reading, offer: Offer) -> None:
    for match in list(_SHARE.finditer(reading.text)):
        major = {"rmb": "yuan", "renminbi": "yuan"}.get(match["major"].lower(), match["major"].lower())
        if offer.currency not in currencies(major):
            continue
        cut = bool(_CUT.search(match["how"])) or bool(
            _CUT.search(reading.text[max(0, match.start() - 10) : match.start()])
        )
        _take_share(reading, match, number(match["n"]), cut, offer)
    for match in list(_OUT_OF.finditer(reading.text)):
        unit, whole = (match["u"] or match["v"]).strip(), number(match["n"] or match["m"])
        if whole and (offer.currency in currencies(unit)):
            before, after = reading.clause(*match.span())
            around = f"{re.split('[,:;]', before)[-1]} {re.split('[,:;]', after)[0]}"
            cut = bool(_CUT.search(around)) and not re.search(r"\bpay", around, re.IGNORECASE)
            _take_share(reading, match, 100 * number(match["k"]) / whole, cut, offer)


def _take_share(reading: Reading, match: re.Match[str], part: Decimal, cut: bool, offer: Offer) -> None:
    if part == (offer.benefit.percent if cut else 100 - offer.benefit.percent):
        reading.stated.add("percent")
        reading.note("percent", *match.span())
        reading.hide(*match.span(), DONE)


def _tokens(text: str, offer: Offer) -> list[_Token]:
    """The sums of a text, and numbers that a verb of paying makes one: 付八十五."""
    found = []
    for match in money_pattern(offer.currency).finditer(text):
        if _PARTS.match(text[match.end() :]):
            continue
        token = _Token(match, text, offer.currency)
        wrong = token.unit and offer.currency not in currencies(token.unit)
        bare = not token.unit and not _BARE_BEFORE.search(token.before)
        if not wrong and not bare:
            found.append(token)
    return found


def _pair(reading: Reading, first: _Token, second: _Token, offer: Offer) -> None:
    between = reading.text[first.end : second.start]
    words = re.sub(f"[{OFFERED}{DONE}{DATE}]+", " ", between)
    if (
        len(words) > _FARTHEST
        or re.search(r"[;；。\n]|\.\s", words)
        or not (first.unit or second.unit or _chinese(first, second))
    ):
        return
    benefit = offer.benefit
    paid = _PAID_BEFORE.search(first.before) and _PRICE_FIRST.match(words)
    if first.cents > second.cents and not paid:
        base, part = first, second
        cut = bool(_CUT.search(_near(words))) or bool(re.match(rf"\s*(?:{_LESS_EN})\b", second.after))
        if not cut and not (_PAY_BEFORE.search(words) or _PAY_AFTER.match(second.after)):
            return
    else:
        base, part, cut = second, first, False
        if not _PRICE_FIRST.match(words):
            return
    off = _off(base.cents, offer)
    right = part.cents == (off if cut else base.cents - off)
    if _PAST.search(base.before):
        return  # 'was $10, now $8': no past price is known
    asked = bool(_EACH_BEFORE.search(base.before) or _ASKED.match(between))
    if {base.role, part.role} & {"cap", "shipping", "below"}:
        return
    if not right or (cut and not (benefit.type == "percent_off" and asked)) or not _enough(base, offer, asked):
        return
    if base.cents != offer.min_spend_cents or (benefit.type == "percent_off" and base.role != "threshold"):
        reading.hide(base.start, base.end, DONE)
    reading.hide(part.start, part.end, DONE)
    if benefit.type == "amount_off":
        reading.stated.add("amount")
    elif off * 100 == base.cents * benefit.percent:
        reading.stated.add("percent")


def _near(words: str) -> str:
    """What of the words between two sums stands nearest to the second one."""
    return re.split("[，,:：?？→=]", words)[-1]


def _chinese(first: _Token, second: _Token) -> bool:
    """Whether two bare numbers stand in one breath after verbs of buying and paying: 买一百付八十五."""
    return first.before.endswith(("买", "花")) and second.before.endswith(("付", "收", "减", "掏", "省"))


def _off(cents: Decimal, offer: Offer) -> Decimal:
    """What the offer takes off `cents`."""
    benefit = offer.benefit
    if benefit.type == "amount_off":
        return Decimal(benefit.amount_cents)
    exact = cents * benefit.percent / 100
    return min(exact, Decimal(benefit.max_discount_cents)) if benefit.max_discount_cents else exact


def _enough(base: _Token, offer: Offer, asked: bool) -> bool:
    """Whether the example is one of the offer: large enough, unless it tells a rate ('for each $10')."""
    rate = asked and bool(_EACH_BEFORE.search(base.before))
    if rate and offer.benefit.type == "amount_off":
        return False
    least = 10 ** CURRENCY_DIGITS.get(offer.currency, 2)
    return rate or base.cents >= max(offer.min_spend_cents, least)
