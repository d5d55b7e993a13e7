"""Check a text that a person wrote against its offer: find untrue statements and what code cannot read.

Numbers, 折, sums, dates and names are read and compared with the offer; banned words are looked up. What is left that
may assert something is called `unread`, not guessed: `promolift check` asks the judge, where one is configured, or says
that a person must read it. Messages of the pool need no reading: `check_message` compares them letter by letter.
"""

import re
import unicodedata
from dataclasses import dataclass, replace
from datetime import date, timedelta
from decimal import Decimal
from functools import lru_cache
from itertools import pairwise
from typing import Literal, NamedTuple

from promolift.core.messages.angles import AngleFacts
from promolift.core.messages.channels import RULE_SOURCES, Channel, RulePack, Sender, blank_channel_parts, find_breaches
from promolift.core.messages.drafts import OFFER_RULE, PRIVACY_LAW, load_banned_phrases
from promolift.core.messages.numerals import ANY_WORD, CHINESE_NUMERAL, DIGITS, normalise_text, parse_number
from promolift.core.offers.product_names import is_sensitive, load_toml, makes_claim, name_matcher
from promolift.core.offers.terms import Offer
from promolift.foundation.i18n.lazy_message import NOTHING, LazyMessage, gettext_lazy
from promolift.foundation.localized_text import Language
from promolift.foundation.money import CURRENCY_DIGITS

MAX_CHARACTERS = 1000  # characters; nobody reads more in a promotion
FactKind = Literal[
    "name", "percent", "amount", "threshold", "cap", "shipping", "price", "more", "gift", "points", "start", "end",
    "code", "person", "bought",
]  # fmt: skip
UNREAD_CODE = "unread"  # the code of what only a judge or a person can read
_PRIVATE = frozenset({"profile_leak", "sensitive_name", "wrong_name", "unknown_purchase"})
# of banned.csv, what is wrong in any text; and what only a reader can tell. The rest is for drafts, which know no facts
_ALWAYS = {"superlative", "vague_deadline", "stock", "health_claim", "contact", "injection", "comparison", "popularity",
           "prize", "delivery_speed"}  # fmt: skip
_PERHAPS = {"endorsement", "guarantee", "profile_leak", "surveillance", "guilt"}
# the kinds of benefit that code reads, and the fact that states each
_BENEFIT_FACT: dict[str, FactKind] = {
    "percent_off": "percent", "amount_off": "amount", "free_shipping": "shipping", "fixed_price": "price",
    "buy_x_get_y": "more", "gift": "gift", "points": "points",
}  # fmt: skip
FACT_NAMES: dict[str, LazyMessage] = {
    "name": gettext_lazy("its goods"), "end": gettext_lazy("its last day"), "percent": gettext_lazy("the percentage"),
    "amount": gettext_lazy("the amount off"), "shipping": gettext_lazy("free delivery"),
    "price": gettext_lazy("the fixed price"), "more": gettext_lazy("how many to buy and get"),
    "gift": gettext_lazy("the gift"), "points": gettext_lazy("the points"),
    "threshold": gettext_lazy("the spend it asks for"), "cap": gettext_lazy("the most that is taken off"),
}  # fmt: skip
_OF_BENEFIT = {"wrong_percent", "wrong_amount", "wrong_benefit", "wrong_threshold", "wrong_cap"}


@dataclass(frozen=True)
class BrokenRule:
    """One way in which a text is not true, not fit to send, or (code `unread`) not readable by code.

    `span` is `text[start:end]`; something that is missing has an empty one.
    """

    code: str
    span: str
    reason: LazyMessage
    start: int = 0
    end: int = 0

    @property
    def source(self) -> str:
        """Where the rule comes from: the offer, a law, or a channel."""
        law = next((row.source for row in load_banned_phrases() if row.code == self.code), None)
        return RULE_SOURCES.get(self.code) or law or (PRIVACY_LAW if self.code in _PRIVATE else OFFER_RULE)


@dataclass(frozen=True)
class Fact:
    """One fact a text states, at [start, end); `holds` if no rule is broken there."""

    kind: FactKind
    start: int
    end: int
    text: str
    holds: bool = True


def find_broken_rules(
    text: str, offer: Offer, language: Language, channel: Channel = "plain", *, known: AngleFacts | None = None,
    packs: tuple[RulePack, ...] = (), sender: Sender | None = None,
) -> list[BrokenRule]:  # fmt: skip
    """All broken rules of `text` as a message about `offer`, and with code `unread` what code cannot read; [] is true.

    Reads digits of any script, full width, Chinese numerals, English number words, 折, percentages, sums and dates.
    `known` is what may be said besides the offer. Codes: those of banned.csv and of channels, and missing_name,
    other_name, sensitive_name, wrong_name, unknown_purchase, missing_date, wrong_date, missing_benefit, wrong_benefit,
    wrong_percent, wrong_amount, wrong_currency, missing_threshold, missing_cap, missing_condition, wrong_scope,
    wrong_code, wrong_language, too_long, no_offer, unread.
    """
    return _read(text, offer, language, channel, known or AngleFacts(), packs, sender).broken


def extract_facts(
    text: str, offer: Offer, language: Language, channel: Channel = "plain", *, known: AngleFacts | None = None
) -> list[Fact]:
    """The facts `text` states, in their order, each ticked if no rule is broken where it stands."""
    read = _read(text, offer, language, channel, known or AngleFacts(), (), None)
    wrong = [(rule.start, rule.end) for rule in read.broken if rule.end > rule.start and rule.code != UNREAD_CODE]
    ticked = [replace(f, holds=not any(a < f.end and f.start < b for a, b in wrong)) for f in read.facts]
    return sorted(ticked, key=lambda fact: (fact.start, fact.end, fact.kind))


_DATA: dict[str, str] = load_toml("messages/fact_check.toml")
_PARTS = {"@DIGITS@": DIGITS, "@HAN@": CHINESE_NUMERAL, "@WORDS@": rf"\b(?:{ANY_WORD})\b", "@WORD@": ANY_WORD}
_P = {
    name: re.compile(re.sub("@[A-Z]+@", lambda part: _PARTS[part.group()], pattern), re.IGNORECASE)
    for name, pattern in _DATA.items()
    if name != "as_plain"
}
_SENTENCE = re.compile(r"[。！!？?；;\n]|\.(?=\s|$)")
_HAN = re.compile(r"[\u4e00-\u9fff]")


class _Beside(NamedTuple):
    """What stands before and after a place, within its sentence."""

    before: str
    after: str


class _Reader:
    """One reading: `text` is readied, what has been understood is blanked to `\ue000`; places stay the original's."""

    def __init__(self, text: str, offer: Offer, language: Language, known: AngleFacts) -> None:
        self.raw, self.text, self.offer, self.language, self.known = text, normalise_text(text), offer, language, known
        self.broken: list[BrokenRule] = []
        self.facts: list[Fact] = []
        self.left = 0  # words, or Chinese characters, that are no known fact and no plain word

    def flag(self, code: str, start: int, end: int, why: LazyMessage) -> None:
        self.broken.append(BrokenRule(code, self.raw[start:end], why, start, end))

    def flag_all(self, pattern: str, code: str, why: LazyMessage) -> None:
        for match in _P[pattern].finditer(self.text):
            self.flag(code, *match.span(), why)

    def hide(self, start: int, end: int) -> None:
        self.text = self.text[:start] + "\ue000" * (end - start) + self.text[end:]

    def take(self, kind: FactKind, start: int, end: int, wrong: str | None = None, why: LazyMessage = NOTHING) -> None:
        """A fact at [start, end), with the code it breaks; it is not read again."""
        self.facts.append(Fact(kind, start, end, self.raw[start:end]))
        if wrong:
            self.flag(wrong, start, end, why)
        self.hide(start, end)

    def beside(self, start: int, end: int) -> _Beside:
        before, after = self.text[max(0, start - 40) : start], self.text[end : end + 40]
        return _Beside(_SENTENCE.split(before)[-1].lower(), _SENTENCE.split(after)[0].lower())


def _read(
    text: str, offer: Offer, language: Language, channel: Channel, known: AngleFacts, packs: tuple[RulePack, ...],
    sender: Sender | None,
) -> _Reader:  # fmt: skip
    reader = _Reader(text, offer, language, known)
    if len(text) > MAX_CHARACTERS:
        reader.flag(
            "too_long",
            MAX_CHARACTERS,
            len(text),
            gettext_lazy("more than {max_characters} characters; the rest is not read", max_characters=MAX_CHARACTERS),
        )
        return reader
    if offer.benefit.type == "none":
        reader.flag("no_offer", 0, len(text), gettext_lazy("'none' is no offer; nobody is written to about it"))
    for breach in find_breaches(text, offer, channel, packs, sender, known, language):
        reader.flag(breach.code, breach.start, breach.end, breach.why)
    reader.text = blank_channel_parts(reader.text, channel)
    for step in (_signs, _people, _names, _words, _terms, _dates, _percents, _goods, _sums, _shipping, _others, _prose):
        step(reader)
    if channel != "wechat_store":
        _missing(reader)
    if offer.benefit.type not in (*_BENEFIT_FACT, "reminder"):  # which gives nothing, and must promise nothing
        why = gettext_lazy("code does not read this kind of benefit")
        reader.broken = [
            replace(r, code=UNREAD_CODE, reason=why) if r.code in _OF_BENEFIT else r for r in reader.broken
        ]
    return reader


def _signs(r: _Reader) -> None:
    if not r.raw.strip():
        r.flag("empty", 0, len(r.raw), gettext_lazy("there is no text"))
    r.flag_all("markup", "markup", gettext_lazy("no markup, no open slot, no link of its own"))
    for at, sign in enumerate(r.raw):
        if unicodedata.category(sign) in ("Cc", "Cf", "Co") and sign != "\n":
            r.flag(
                "control_character",
                at,
                at + 1,
                gettext_lazy("an invisible character, U+{sign}", sign=f"{ord(sign):04X}"),
            )
    han, latin = len(_HAN.findall(r.raw)), len(re.findall(r"[A-Za-z]+", r.raw))
    if (r.language == "zh" and latin > 3 * max(han, 1)) or (r.language == "en" and han > latin):
        r.flag("wrong_language", 0, len(r.raw), gettext_lazy("this is not {language}", language=r.language))


def _people(r: _Reader) -> None:
    """A greeting names the recipient or nobody; no other person, no fact of the profile."""
    if r.known.name:
        for match in re.finditer(_loose(r.known.name), r.text, re.IGNORECASE):
            r.take("person", *match.span())
    if greeted := _P["greeted"].match(r.text):
        group = next(name for name in ("bare", "zh", "en") if greeted[name])
        rest = re.sub(r"[\ue000\s]|先生|女士|小姐|mrs?\.?|ms\.?", "", greeted[group], flags=re.IGNORECASE)
        if rest and not _P["anybody"].match(greeted[group]):
            r.flag(
                "wrong_name",
                *greeted.span(group),
                gettext_lazy("the recipient is {name}", name=r.known.name)
                if r.known.name
                else gettext_lazy("the recipient's name is not known"),
            )
        r.hide(*greeted.span())
    for private in filter(None, r.known.private):
        for match in re.finditer(re.escape(normalise_text(private)), r.text, re.IGNORECASE):
            r.flag("profile_leak", *match.span(), gettext_lazy("a fact of the profile"))


@lru_cache(maxsize=4096)
def _loose(name: str) -> str:
    """A name as readers know it: blanks and one plural s do not matter."""
    plain = re.escape(" ".join(normalise_text(name).split())).replace(r"\ ", r"[\s-]+")
    plain = plain.removesuffix("s") if plain.islower() else plain
    return rf"(?<![A-Za-z\d]){plain}(?:e?s)?(?![A-Za-z\d])" if plain.isascii() else plain


def _names(r: _Reader) -> None:
    """What is offered and what was bought; another category of the table may be on offer, too: unread."""
    offer, known = r.offer, r.known
    if offer.label:
        name = offer.label.text_in(r.language)
        parts = [part for part in re.split(r"、|及| and ", name) if len(part) > 1] if offer.joined else []
        for each in (name, *parts):
            for match in list(re.finditer(_loose(each), r.text, re.IGNORECASE)):
                r.take("name", *match.span())
        private = offer.covers if offer.scope == "category" else name
        if is_sensitive(private, "category" if offer.scope == "category" else "product"):
            r.flag(
                "sensitive_name",
                0,
                0,
                gettext_lazy(
                    "{private} is a private matter; a message must not name it by itself", private=repr(private)
                ),
            )
        if makes_claim(name):
            r.flag("injection", 0, 0, gettext_lazy("the label carries an offer or an order"))
    for words in known.bought:
        for match in list(re.finditer(_loose(words.text_in(r.language)), r.text, re.IGNORECASE)):
            secret = is_sensitive(words.text_in(r.language), "product") or is_sensitive(words.en)
            why = gettext_lazy("a private purchase must not be named")
            r.take("bought", *match.span(), "sensitive_name" if secret else None, why)
    if not known.bought:
        r.flag_all("bought", "unknown_purchase", gettext_lazy("it is not known what they bought"))
        r.flag_all("history", "unknown_purchase", gettext_lazy("it is not known what they bought"))
    for match in name_matcher(r.language).finditer(r.text):
        r.flag(UNREAD_CODE, *match.span(), gettext_lazy("names another category; nobody has read what is said of it"))


def _words(r: _Reader) -> None:
    for row in load_banned_phrases():
        if row.code in _ALWAYS | _PERHAPS and row.language in ("any", r.language):
            for match in row.pattern.finditer(r.text):
                if (
                    row.code == "vague_deadline"
                    and _P["limited"].match(r.text, match.start())
                    and (_P["date"].search(r.text) or _P["clock"].search(r.text))
                ):
                    continue  # the text says until when, which is compared below
                r.flag(
                    row.code if row.code in _ALWAYS else UNREAD_CODE,
                    *match.span(),
                    gettext_lazy("a word that no promotion may use")
                    if row.code in _ALWAYS
                    else gettext_lazy("may claim too much"),
                )
    for match in _P["code"].finditer(r.text):
        said = match.group(1)
        if any(c.isdigit() or c.isupper() for c in said):
            wrong = UNREAD_CODE if r.offer.activation == "code" else "wrong_code"
            r.take("code", match.start(1), match.end(1), wrong, gettext_lazy("the offer says no such code"))
    if r.offer.scope != "all":
        r.flag_all("everything", "wrong_scope", gettext_lazy("the offer is on one category or product"))


def _terms(r: _Reader) -> None:
    """For whom, by which step, and together or each: a text may not deny or leave out what the offer asks for."""
    offer = r.offer
    if offer.joined == "each":
        r.flag_all("together", "wrong_scope", gettext_lazy("each of them counts alone"))
    if offer.joined == "together":
        r.flag_all("alone", "wrong_scope", gettext_lazy("both are bought together"))
    if offer.members:
        r.flag_all("no_members", "wrong_scope", gettext_lazy("members alone get it"))
    elif found := _P["members_alone"].search(r.text):
        r.flag("wrong_scope", *found.span(), gettext_lazy("it is not for members alone"))
    r.flag_all("stacks", "wrong_benefit", gettext_lazy("the offer does not say that it counts beside others"))
    if offer.min_spend_cents:
        r.flag_all("again", "wrong_threshold", gettext_lazy("the offer counts once for an order"))
    r.flag_all("multiple", "wrong_amount", gettext_lazy("the offer multiplies no points"))
    if offer.scope == "all":
        r.flag_all("narrowed", "wrong_scope", gettext_lazy("the offer is on everything"))
    if offer.activation != "automatic":
        r.flag_all("no_code", "wrong_code", gettext_lazy("the customer does something to get it"))


_MONTH = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")


def _dates(r: _Reader) -> None:
    """Each day must be the first or the last one of the offer, said in the right direction."""
    first, last = r.offer.starts.date(), r.offer.expires.replace(tzinfo=None)
    end = (last - timedelta(minutes=1)).date() if last.hour == 0 and last.minute == 0 else last.date()
    for match in list(_P["date"].finditer(r.text)):
        day = _day(match, end.year)
        before, after = r.beside(*match.span())
        if day is None:
            continue
        exclusive = bool(_P["exclusive"].search(before) and not _P["over"].match(after))
        exclusive |= bool(re.match(r"\s*(?:之)?前(?!\s*[(（]?含)", after))
        if day == first and (_P["from"].search(before) or _P["begins"].match(after)):
            r.take("start", *match.span())
            continue
        # in Chinese most readers take 6月30日前 for through that day
        last_days = {end, end + timedelta(days=1)} if r.language == "zh" else {end + timedelta(days=1)}
        wrong = day not in last_days if exclusive else day != end
        why = gettext_lazy("the offer is valid from {first} through {end}", first=first, end=end)
        r.take("end", *match.span(), "wrong_date" if wrong else None, why)
        beside = _P["weekday"].search(before[-24:] + after[:12])
        if beside and _weekday(beside.group()) != day.weekday():
            r.flag("wrong_date", *match.span(), gettext_lazy("this day is another day of the week"))
    for match in list(_P["clock"].finditer(r.text)):
        digits = [int(part) for part in re.findall(r"\d+", match.group())]
        hour = digits[0] + (12 if "p" in match.group().lower() and digits[0] < 12 else 0)
        stated = 60 * hour + (digits[1] if len(digits) > 1 else 0)
        if (stated - (60 * last.hour + last.minute)) % 1440 > 1:
            r.flag(UNREAD_CODE, *match.span(), gettext_lazy("an hour that code cannot compare"))
        r.hide(*match.span())
    _loose_ends(r, end, last.hour * 60 + last.minute)
    for match in _P["ends_on"].finditer(r.text):
        if _weekday(_P["weekday"].search(match.group()).group()) != end.weekday():  # type: ignore[union-attr]
            r.flag("wrong_date", *match.span(), gettext_lazy("the offer is valid through {end}", end=end))
    for match in list(_P["vague_time"].finditer(r.text)):
        r.flag(UNREAD_CODE, *match.span(), gettext_lazy("a time that depends on when it is read"))
        r.hide(*match.span())


def _loose_ends(r: _Reader, end: date, minute: int) -> None:
    """An end that is no date: a part of a month, a weekend, the end of the year, midnight."""
    why = gettext_lazy("the offer is valid through {end}", end=end)
    for match in _P["part_of_month"].finditer(r.text):
        month = _MONTH.index(match["me"][:3].lower()) + 1 if match["me"] else int(parse_number(match["pm"]))
        part = (match["part"] or match["pe"]).lower()
        start, stop = next(days for words, days in _MONTH_PARTS if any(word in part for word in words))
        if month != end.month or not start <= end.day <= stop:
            r.flag("wrong_date", *match.span(), why)
    if end.weekday() < 5:
        r.flag_all("weekend_lasts", "wrong_date", why)
    if (end.month, end.day) not in ((12, 24), (12, 25), (12, 31), (1, 1)):
        r.flag_all("year_end", "wrong_date", why)
    if minute not in (0, 1439):
        r.flag_all("midnight", "wrong_date", gettext_lazy("the offer ends before the day does"))


_MONTH_PARTS = ((("初", "上旬", "early", "start", "beginning"), (1, 10)), (("中", "mid"), (11, 20)),
                (("下旬", "底", "末", "late", "end"), (21, 31)))  # fmt: skip
_WEEKDAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")


def _weekday(said: str) -> int:
    return (
        _WEEKDAYS.index(said[:3].lower()) if said[0].isascii() else "一二三四五六日".index(said[-1].replace("天", "日"))
    )


def _day(match: re.Match[str], year: int) -> date | None:
    group = match.groupdict()
    month_word = group["mn"] or group["mb"]
    try:
        month = _MONTH.index(month_word[:3].lower()) + 1 if month_word else int(parse_number(group["m"] or group["zm"]))
        day = int(parse_number(group["d"] or group["zd"] or group["dn"] or group["db"]))
        return date(int(group["y"] or group["yn"] or group["yb"] or year), month, day)
    except (ValueError, TypeError, KeyError):
        return None


_NTHS = {
    "third": Decimal(33),
    "quarter": Decimal(25),
    "fifth": Decimal(20),
    "eighth": Decimal("12.5"),
    "tenth": Decimal(10),
}


def _percents(r: _Reader) -> None:
    """Percentages, 折, halves: what is taken off, or what is left to pay."""
    shares = r.offer.benefit.type in ("percent_off", "buy_x_get_y")
    share, why = (
        r.offer.benefit.percent,
        gettext_lazy("the offer takes {percent} % off", percent=r.offer.benefit.percent),
    )
    for match in list(_P["zhe"].finditer(r.text)):
        said = match.group(1)
        value = Decimal(5) if not said or said in "对半" else parse_number(said)
        paid = value * 10 if value < 10 else value  # 8折, 7.5折, 八五折, 85折
        wrong = not shares or paid != 100 - share
        r.take("percent", *match.span(), "wrong_percent" if wrong else None, why)
    for match in list(_P["part"].finditer(r.text)):
        tenths = parse_number(match[1]) * 10 + parse_number(match[2] or "零") if match[1] else None
        value = tenths if tenths is not None else _NTHS[match["nth"].lower()]
        wrong = not shares or abs((100 - value if match["left"] else value) - share) > 1
        r.take("percent", *match.span(), "wrong_percent" if wrong else None, why)
    for match in list(_P["percent"].finditer(r.text)):
        value, (before, after) = parse_number(match.group(1) or match.group(2)), r.beside(*match.span())
        off, pay = bool(_P["off"].search(before[-14:] + after[:14])), bool(_P["pay"].search(before[-14:] + after[:24]))
        wrong = not shares or value not in (share, 100 - share)
        if not wrong and pay == off and share != 50:
            r.flag(UNREAD_CODE, *match.span(), gettext_lazy("not clear whether this is taken off or left to pay"))
        elif not wrong:
            wrong = value != (100 - share if pay else share)
        r.take("percent", *match.span(), "wrong_percent" if wrong else None, why)


def _goods(r: _Reader) -> None:
    """More units, a gift, points: what the customer gets, and how many."""
    b, fact = r.offer.benefit, _BENEFIT_FACT.get(r.offer.benefit.type)
    if fact == "gift" and b.item:
        item = f"(?:{_P['gives'].pattern})?{_loose(b.item.text_in(r.language))}"
        for match in list(re.finditer(item, r.text, re.IGNORECASE)):
            r.take("gift", *match.span())
    elif fact == "points":
        for match in list(_P["points"].finditer(r.text)):
            wrong = parse_number(match[1] or match[2]) != b.points
            r.take(
                "points",
                *match.span(),
                "wrong_amount" if wrong else None,
                gettext_lazy("the offer gives {points} points", points=b.points),
            )
    elif fact == "more" and b.percent == 100:
        for match in list(_P["more"].finditer(r.text)):
            said = [int(parse_number(part)) for part in match.groups() if part]
            wrong = said != [b.buy, b.get]
            r.take(
                "more",
                *match.span(),
                "wrong_amount" if wrong else None,
                gettext_lazy("the offer is buy {buy}, get {get}", buy=b.buy, get=b.get),
            )
        for match in list(_P["nth_free"].finditer(r.text)):
            r.hide(*match.span())


_SIGNS = {
    "USD": "$ dollar buck 美元 美金", "CNY": "¥ 元 块 人民币 yuan rmb", "EUR": "€ euro 欧元", "GBP": "£ pound 英镑",
    "JPY": "yen 日元 日圆",
}  # fmt: skip
_UNIT = {word: code for code, words in _SIGNS.items() for word in words.split()} | {"块钱": "CNY"}


def _unit(match: re.Match[str]) -> str | None:
    said = (match["sign"] or match["unit"] or "").strip().lower()
    code = said.upper() if said.upper() in CURRENCY_DIGITS else None
    return _UNIT.get(said) or _UNIT.get(said.rstrip("s")) or code


class _Sum(NamedTuple):
    start: int
    end: int
    units: tuple[str, str]
    said: str


def _sums(r: _Reader) -> None:
    """Sums of money: the amount off, the threshold, the cap; a role by the words beside them."""
    offer, digits = r.offer, CURRENCY_DIGITS.get(r.offer.currency, 2)
    right: dict[FactKind, int] = {
        "amount": offer.benefit.amount_cents, "threshold": offer.min_spend_cents,
        "cap": offer.benefit.max_discount_cents or 0, "price": offer.benefit.price_cents,
    }  # fmt: skip
    sums = []
    for match in _P["sum"].finditer(r.text):
        unit = _unit(match)
        if unit is not None:  # one sign stands for yuan and yen
            units = ("CNY", "JPY") if match["sign"] == "¥" else (unit, "")
            sums.append(_Sum(*match.span(), units, match["a"] or match["b"]))
    sums += [_Sum(*m.span(), (offer.currency, ""), m[1] or m[2]) for m in _P["bare_sum"].finditer(r.text)]
    stated = {int(parse_number(each.said).scaleb(digits)) for each in sums}
    if offer.benefit.type == "percent_off":
        sums = _examples(r, sums)
    for start, end, units, said in sums:
        if "\ue000" in r.text[start:end]:
            continue
        cents, (before, after) = int(parse_number(said).scaleb(digits)), r.beside(start, end)
        cap = bool(_P["cap"].search(before[-12:]) or _P["cap"].search(after[:8]))
        spend = bool(_P["spend"].search(before[-16:]) or _P["spend_after"].search(after))
        off = bool(_P["off"].search(before[-6:]) or _P["off"].match(after.lstrip()[:4]))
        role: FactKind = "cap" if cap else "threshold" if spend and not _P["off"].search(before[-4:]) else "amount"
        if role == "amount" and offer.benefit.type == "fixed_price":
            role = "price"
            if cents == right["price"] and off:
                r.take(role, start, end, "wrong_amount", gettext_lazy("the offer is a price, not an amount off"))
                continue
        if offer.currency not in units:
            r.take(
                role, start, end, "wrong_currency", gettext_lazy("the offer is in {currency}", currency=offer.currency)
            )
        elif cents == right[role] and cents:
            r.take(role, start, end)
        elif cents and (cap or spend or off) and cents not in right.values() and right[role] not in stated:
            r.take(
                role,
                start,
                end,
                f"wrong_{role}" if right[role] and role != "price" else "wrong_amount",
                gettext_lazy("the offer names no such sum"),
            )
        elif (
            cents
            and cents not in right.values()
            and offer.benefit.type not in ("amount_off", "exchange", "percent_off")
        ):
            r.take(role, start, end, "wrong_amount", gettext_lazy("the offer names no such sum"))
        else:
            r.flag(UNREAD_CODE, start, end, gettext_lazy("a sum, but not clear what for"))
            r.take(next((kind for kind, value in right.items() if value == cents and cents), role), start, end)


def _examples(r: _Reader, sums: list[_Sum]) -> list[_Sum]:
    """The sums that are no example of a percentage: '100元的只要80元', 'a $10 bag for $8' are, if they are right."""
    left, paid = list(sums), Decimal(100 - r.offer.benefit.percent) / 100
    for one, two in pairwise(sums):
        if _P["example"].fullmatch(r.text[one.end : two.start]):
            wrong = parse_number(two.said) != parse_number(one.said) * paid
            r.take(
                "percent",
                one.start,
                two.end,
                "wrong_percent" if wrong else None,
                gettext_lazy("the sums do not give the percentage"),
            )
            left = [each for each in left if each not in (one, two)]
    return left


def _others(r: _Reader) -> None:
    """Another thing in one list with what is offered, of which the text says the benefit, too."""
    if r.offer.scope != "all":
        r.flag_all(f"listed_{r.language}", "wrong_scope", gettext_lazy("the offer is on other goods"))


def _shipping(r: _Reader) -> None:
    """Free delivery and gifts, where the offer is that, and where it is not; then what number nobody has read."""
    sure = r.offer.benefit.type != "free_shipping"  # else a gift may be another way to say that
    for match in list(_P["shipping"].finditer(r.text)):
        r.take(
            "shipping", *match.span(), "wrong_benefit" if sure else None, gettext_lazy("the offer is not free delivery")
        )
    given = r.offer.benefit.type not in ("free_shipping", "buy_x_get_y", "exchange", "gift")
    r.flag_all(
        "gift", "wrong_benefit" if given else UNREAD_CODE, gettext_lazy("the offer gives nothing but its benefit")
    )
    if r.language == "zh" and r.offer.benefit.type in ("gift", "fixed_price", "exchange", "points"):
        r.flag_all("several", UNREAD_CODE, gettext_lazy("how many, which code does not compare with the offer"))
    r.flag_all("number", UNREAD_CODE, gettext_lazy("a number whose meaning code cannot tell"))


def _prose(r: _Reader) -> None:
    """A sentence that says more than the facts that were read: only a judge or a person can tell.

    A word or two do not make a sentence unread, but may be the fact that seems to be missing. A proper noun within an
    English sentence does: it may be an origin, a maker or a place.
    """
    at = 0
    for sentence in re.split(r"(?<=[。！!？?；;\n])|(?<=[.])(?=\s|$)", r.text):
        rest = _P[f"plain_{r.language}"].sub(" ", sentence)
        more = len(_HAN.findall(rest)) if r.language == "zh" else len(re.findall(r"[A-Za-z']{2,}", rest))
        r.left += more
        if more:
            start = at + len(sentence) - len(sentence.lstrip())
            r.flag(UNREAD_CODE, start, at + len(sentence), gettext_lazy("says more than the facts that code reads"))
        at += len(sentence)


def _missing(r: _Reader) -> None:
    """What the offer has and the text does not say; where a part is unread, it may say it there."""
    offer, kinds, end = r.offer, {fact.kind for fact in r.facts}, len(r.raw)
    share_of_more = offer.benefit.type == "buy_x_get_y" and offer.benefit.percent < 100  # is read as a percentage
    wanted = {
        "missing_name": "name" if offer.scope != "all" else None,
        "missing_date": "end" if offer.benefit.type != "reminder" else None,
        "missing_benefit": None if share_of_more else _BENEFIT_FACT.get(offer.benefit.type),
        "missing_threshold": "threshold" if offer.min_spend_cents else None,
        "missing_cap": "cap" if offer.benefit.max_discount_cents else None,
    }  # fmt: skip
    conditions = {
        "members": (offer.members, gettext_lazy("the text does not say that members alone get it")),
        "code_said": (offer.activation == "code", gettext_lazy("the text does not say that a code is needed")),
        "joined_said": (
            offer.joined == "together",
            gettext_lazy("the text does not say that both are bought together"),
        ),
    }
    if share_of_more and not _P["of_more"].search(normalise_text(r.raw)):
        r.flag("missing_condition", end, end, gettext_lazy("the text does not say how many are bought for that share"))
    for name, (asked, unsaid) in conditions.items():
        if asked and not _P[name].search(normalise_text(r.raw)):
            r.flag("missing_condition", end, end, unsaid)
    unread = r.left > 0 or any(rule.code == UNREAD_CODE for rule in r.broken)
    counted = bool(_P["number"].search(r.text))  # a sum can only be said by a numeral that is not read yet
    for code, kind in wanted.items():
        if kind and kind not in kinds:
            why = gettext_lazy(
                "as far as it is read, the text does not say this of the offer: {kind}", kind=FACT_NAMES[kind]
            )
            may_be = counted if kind in ("threshold", "cap", "price", "points") else unread
            r.flag(UNREAD_CODE if may_be else code, end, end, why)
