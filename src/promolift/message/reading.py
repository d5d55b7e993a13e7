"""A text that a person wrote and the offer it speaks of in; what is untrue in it, and what code cannot read, out.

Numbers, 折, sums, dates and names are read and compared with the offer; banned words are looked up. What is left that
may assert something is called `unread`, not guessed: `promolift check` asks the judge, where one is configured, or says
that a person must read it. Messages of the pool need no reading: `gate` compares them letter by letter.
"""

import re
import tomllib
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import date, timedelta
from decimal import Decimal
from functools import lru_cache
from importlib.resources import files
from typing import Literal, NamedTuple

from promolift.currency import CURRENCY_DIGITS
from promolift.message.angles import Known
from promolift.message.channels import SOURCES, Channel, Pack, Sender, blanked, breaches
from promolift.message.lint import banned
from promolift.message.names import SMUGGLED, is_sensitive, known_names
from promolift.terms import Language, Offer

LONGEST = 1000  # characters; nobody reads more in a promotion
FactKind = Literal[
    "name", "percent", "amount", "threshold", "cap", "shipping", "start", "end", "code", "person", "bought"
]
OPEN = "unread"  # the code of what only a judge or a person can read
_OFFER = "the offer: a message says what the offer says, no more and no less"
_PRIVACY = "Personal Information Protection Law of the PRC (2021), articles 6 and 28; GDPR, article 5"
_PRIVATE = frozenset({"profile_leak", "sensitive_name", "wrong_name", "unknown_purchase"})
# of banned.csv, what is wrong in any text; and what only a reader can tell. The rest is for drafts, which know no facts
_ALWAYS = {"superlative", "vague_deadline", "stock", "health_claim", "contact", "injection"}
_PERHAPS = {"endorsement", "guarantee", "profile_leak", "surveillance", "guilt"}


@dataclass(frozen=True)
class BrokenRule:
    """One way in which a text is not true, not fit to send, or (code `unread`) not readable by code.

    `span` is `text[start:end]`; something that is missing has an empty one.
    """

    code: str
    span: str
    reason: str
    start: int = 0
    end: int = 0

    @property
    def source(self) -> str:
        """Where the rule comes from: the offer, a law, or a channel."""
        law = next((row.source for row in banned() if row.code == self.code), None)
        return SOURCES.get(self.code) or law or (_PRIVACY if self.code in _PRIVATE else _OFFER)


@dataclass(frozen=True)
class Fact:
    """One fact a text states, at [start, end); `holds` if no rule is broken there."""

    kind: FactKind
    start: int
    end: int
    said: str
    holds: bool = True


class _Read(NamedTuple):
    broken: list[BrokenRule]
    facts: list[Fact]


def broken_rules(
    text: str, offer: Offer, language: Language, channel: Channel = "plain", *, known: Known | None = None,
    packs: tuple[Pack, ...] = (), sender: Sender | None = None,
) -> list[BrokenRule]:  # fmt: skip
    """All broken rules of `text` as a message about `offer`, and with code `unread` what code cannot read; [] is true.

    Reads digits of any script, full width, Chinese numerals, English number words, 折, percentages, sums and dates.
    `known` is what may be said besides the offer. Codes: those of banned.csv and of channels, and missing_name,
    other_name, sensitive_name, wrong_name, unknown_purchase, missing_date, wrong_date, missing_benefit, wrong_benefit,
    wrong_percent, wrong_amount, wrong_currency, missing_threshold, missing_cap, wrong_scope, wrong_code,
    wrong_language, too_long, no_offer, unread.
    """
    return _read(text, offer, language, channel, known or Known(), packs, sender).broken


def facts(
    text: str, offer: Offer, language: Language, channel: Channel = "plain", *, known: Known | None = None
) -> list[Fact]:
    """The facts `text` states, in their order, each ticked if no rule is broken where it stands."""
    read = _read(text, offer, language, channel, known or Known(), (), None)
    wrong = [(rule.start, rule.end) for rule in read.broken if rule.end > rule.start and rule.code != OPEN]
    ticked = [replace(f, holds=not any(a < f.end and f.start < b for a, b in wrong)) for f in read.facts]
    return sorted(ticked, key=lambda fact: (fact.start, fact.end, fact.kind))


_SIMPLIFIED = (  # pairs of a traditional character and its simplified form, for the words the rules look for
    "滿满減减購购買买優优運运費费員员專专屬属顧顾絕绝對对場场單单價价個个級级僅仅獨独無无張张點点節节歡欢樂乐氣气這这們们時时間间"
    "雙双貨货剛刚現现從从開开贈赠積积產产億亿萬万圓圆兩两幣币歐欧韓韩盧卢倫伦終终結结過过據据瀏浏覽览歷历戶户親亲愛爱請请選选凍冻飯饭麵面雞鸡魚鱼豬猪醬酱麥麦飲饮廚厨電电腦脑機机燈灯褲裤襪袜鮮鲜葉叶類类護护膚肤寵宠糧粮圖图書书筆笔紙纸盤盘鍋锅壺壶蘋苹穀谷罐罐頭头幫帮衛卫給给讓让號号"
)
_FORMAL = re.compile(
    "[壹贰叁肆伍陆柒捌玖拾佰仟]{2,}|[壹贰叁肆伍陆柒捌玖拾佰仟](?=[元圆折])"
)  # as on cheques; alone some of them are family names
_FORMAL_DIGITS = str.maketrans("壹贰叁肆伍陆柒捌玖拾佰仟", "一二三四五六七八九十百千")
_AS_PLAIN = dict(zip(_SIMPLIFIED[::2], _SIMPLIFIED[1::2], strict=True))
_AS_PLAIN |= dict.fromkeys("’‘", "'") | dict.fromkeys("–—−‐‑", "-") | dict.fromkeys("\u00a0\u202f\u3000", " ")
_AS_PLAIN |= dict.fromkeys("〜～", "~") | {"￥": "¥"}


def ready(text: str) -> str:
    """`text` with plain digits, Latin letters, signs and simplified characters, one character for one."""
    return "".join(map(_plain_character, _FORMAL.sub(lambda m: m.group().translate(_FORMAL_DIGITS), text)))


def _plain_character(c: str) -> str:
    if c < "\x7f":
        return c
    if c in _AS_PLAIN:
        return _AS_PLAIN[c]
    if "\ue000" <= c <= "\uf8ff":
        return "?"
    if "\uff01" <= c <= "\uff5e" and c not in "，！？；：":  # full width; Chinese punctuation keeps its meaning
        return chr(ord(c) - 0xFEE0)
    digit = unicodedata.digit(c, None)  # circled, superscript and other scripts' digits
    return str(digit) if digit is not None else c


DIGITS = r"(?:\d{1,3}(?:,\d{3})+|\d+)(?:\.\d+)?"
HAN = r"[零〇一二两三四五六七八九十百千万]+(?:点[零〇一二三四五六七八九]+)?"
_TO_NINETEEN = """
    zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen
    eighteen nineteen
"""
_TENS = "twenty thirty forty fifty sixty seventy eighty ninety"
_WORD_VALUES = {w: i for i, w in enumerate(_TO_NINETEEN.split())} | {
    w: 20 + 10 * i for i, w in enumerate(_TENS.split())
}
_WORD_VALUES |= {"a": 1, "hundred": 100, "thousand": 1000}
_ONE_WORD = "|".join(sorted((w for w in _WORD_VALUES if w != "a"), key=len, reverse=True))
WORDS = rf"\b(?:a (?=hundred|thousand))?(?:{_ONE_WORD})(?:(?:[\s-]+(?:and )?)(?:{_ONE_WORD}))*\b"
_HAN_DIGITS = {c: i for i, c in enumerate("零一二三四五六七八九")} | {"〇": 0, "两": 2}
_HAN_UNITS = {"十": 10, "百": 100, "千": 1000}


def number(text: str) -> Decimal:
    """The value of digits ('1,234.5'), Chinese numerals ('两百五', '七点五') or English words ('twenty-five')."""
    text = text.strip()
    if text[0].isdigit():
        return Decimal(text.replace(",", ""))
    return Decimal(_english(text)) if text[0].isascii() else _chinese(text)


def _chinese(text: str) -> Decimal:
    whole, _, fraction = text.partition("点")
    decimals = "".join(str(_HAN_DIGITS[c]) for c in fraction)
    if all(c in _HAN_DIGITS for c in whole):  # digits read one by one: 二〇二六, 七五
        return Decimal("".join(str(_HAN_DIGITS[c]) for c in whole) + (f".{decimals}" if decimals else ""))
    total, last, digit, unit = 0, 0, 0, 1
    for c in whole:
        if c in _HAN_DIGITS:
            digit = _HAN_DIGITS[c]
        elif c == "万":
            total, last, digit, unit = (total + digit) * 10_000, 10_000, 0, 10_000
        else:
            unit = _HAN_UNITS[c]
            total, last, digit = total + (digit or 1) * unit, unit, 0
    spoken = last > 10 and "零" not in whole and "〇" not in whole  # 两百五 is 250, 两百零五 is 205
    short = digit * (last // 10) if spoken else digit
    return Decimal(f"{total + short}.{decimals or 0}").normalize()


def _english(text: str) -> int:
    total, current = 0, 0
    for word in re.split(r"[\s-]+", text.lower()):
        if word == "and":
            continue
        value = _WORD_VALUES[word]
        if value == 1000:
            total, current = (current or 1) * 1000, 0
        elif value == 100:
            current = (current or 1) * 100
        else:
            current += value
    return total + current


def _patterns() -> dict[str, re.Pattern[str]]:
    """reading.toml, with the numbers filled in."""
    read = tomllib.loads(files("promolift.message").joinpath("reading.toml").read_text(encoding="utf-8"))
    numbers = {"@DIGITS@": DIGITS, "@HAN@": HAN, "@WORDS@": WORDS, "@WORD@": _ONE_WORD}
    for key, value in numbers.items():
        read = {name: pattern.replace(key, value) for name, pattern in read.items()}
    return {name: re.compile(pattern, re.IGNORECASE) for name, pattern in read.items()}


_P = _patterns()


class _Reader:
    """One reading: `text` is readied, what has been understood is blanked to `\ue000`; places stay the original's."""

    def __init__(self, text: str, offer: Offer, language: Language, known: Known) -> None:
        self.raw, self.text, self.offer, self.language, self.known = text, ready(text), offer, language, known
        self.broken: list[BrokenRule] = []
        self.facts: list[Fact] = []

    def flag(self, code: str, start: int, end: int, why: str) -> None:
        self.broken.append(BrokenRule(code, self.raw[start:end], why, start, end))

    def hide(self, start: int, end: int) -> None:
        self.text = self.text[:start] + "\ue000" * (end - start) + self.text[end:]

    def take(self, kind: FactKind, start: int, end: int, wrong: str | None = None, why: str = "") -> None:
        """A fact at [start, end), with the code it breaks; it is not read again."""
        self.facts.append(Fact(kind, start, end, self.raw[start:end]))
        if wrong:
            self.flag(wrong, start, end, why)
        self.hide(start, end)

    def beside(self, start: int, end: int) -> tuple[str, str]:  # what stands before and after, within the sentence
        return _SENTENCE.split(self.text[max(0, start - 40) : start])[-1].lower(), _SENTENCE.split(
            self.text[end : end + 40]
        )[0].lower()

    def has(self, kind: FactKind) -> bool:
        return any(fact.kind == kind for fact in self.facts)


def _read(
    text: str, offer: Offer, language: Language, channel: Channel, known: Known, packs: tuple[Pack, ...],
    sender: Sender | None,
) -> _Read:  # fmt: skip
    reader = _Reader(text, offer, language, known)
    if len(text) > LONGEST:
        reader.flag("too_long", LONGEST, len(text), f"more than {LONGEST} characters; the rest is not read")
        return _Read(reader.broken, [])
    if offer.benefit.type == "none":
        reader.flag("no_offer", 0, len(text), "'none' is no offer; nobody is written to about it")
    for breach in breaches(text, offer, channel, packs, sender, known, language):
        reader.flag(breach.code, breach.start, breach.end, breach.why)
    reader.text = blanked(reader.text, channel)
    for step in (_signs, _people, _names, _words, _dates, _percents, _sums, _shipping, _left, _prose):
        step(reader)
    if channel != "wechat_store":
        _missing(reader)
    return _Read(reader.broken, reader.facts)


_SENTENCE = re.compile(r"[。！!？?；;\n]|\.(?=\s|$)")
_HAN = re.compile(r"[\u4e00-\u9fff]")


def _signs(r: _Reader) -> None:
    """Empty, hidden characters, markup, slots, the wrong language."""
    if not r.raw.strip():
        r.flag("empty", 0, len(r.raw), "there is no text")
    for match in re.finditer(r"[<>{}\[\]\\]|https?://|www\.", r.text):
        r.flag("markup", *match.span(), "no markup, no open slot, no link of its own")
    for at, sign in enumerate(r.raw):
        if unicodedata.category(sign) in ("Cc", "Cf", "Co") and sign != "\n":
            r.flag("control_character", at, at + 1, f"an invisible character, U+{ord(sign):04X}")
    han, latin = len(_HAN.findall(r.raw)), len(re.findall(r"[A-Za-z]+", r.raw))
    if (r.language == "zh" and latin > 3 * max(han, 1)) or (r.language == "en" and han > latin):
        r.flag("wrong_language", 0, len(r.raw), f"this is not {r.language}")


def _people(r: _Reader) -> None:
    """A greeting names the recipient or nobody; no other person, no fact of the profile."""
    for name in filter(None, (r.known.name,)):
        for match in re.finditer(_loose(name), r.text, re.IGNORECASE):
            r.take("person", *match.span())
    if greeted := _P["greeted"].match(r.text):
        group = "zh" if greeted["zh"] else "en"
        rest = re.sub(r"[\ue000\s]|先生|女士|小姐|mrs?\.?|ms\.?", "", greeted[group], flags=re.IGNORECASE)
        if rest and not _P["anybody"].match(greeted[group]):
            r.flag("wrong_name", *greeted.span(group), f"the recipient is {r.known.name or 'unknown by name'}")
        r.hide(*greeted.span())
    for other in r.known.other_names:
        if len(other.strip()) > 1 and other != r.known.name:
            for match in re.finditer(_loose(other), r.text, re.IGNORECASE):
                r.flag("wrong_name", *match.span(), "this is another customer's name")
    for private in filter(None, r.known.private):
        for match in re.finditer(re.escape(ready(private)), r.text):
            r.flag("profile_leak", *match.span(), "a fact of the profile")


@lru_cache(maxsize=4096)
def _loose(name: str) -> str:
    """A name as readers know it: blanks and one plural s do not matter."""
    plain = re.escape(" ".join(ready(name).split())).replace(r"\ ", r"[\s-]+")
    edge = r"(?<![A-Za-z\d])", r"(?:e?s)?(?![A-Za-z\d])"
    return f"{edge[0]}{plain.removesuffix('s') if plain.islower() else plain}{edge[1]}" if plain.isascii() else plain


def _names(r: _Reader) -> None:
    """What is offered and what was bought; another category of the table may be on offer, too: unread."""
    offer, known = r.offer, r.known
    if offer.label:
        names = [offer.label.in_(r.language)]
        if offer.joined and "、" in names[0] + "、":
            names += [part for part in re.split(r"、|及| and ", names[0]) if len(part) > 1]
        for name in names:
            for match in list(re.finditer(_loose(name), r.text, re.IGNORECASE)):
                r.take("name", *match.span())
        private = offer.covers if offer.scope == "category" else names[0]
        if not known.allow_sensitive and is_sensitive(private, "category" if offer.scope == "category" else "product"):
            r.flag("sensitive_name", 0, 0, f"{private!r} is a private matter; a message must not name it by itself")
        if SMUGGLED.search(names[0]):
            r.flag("injection", 0, 0, "the label carries an offer or an order")
    for words in known.bought:
        for match in list(re.finditer(_loose(words.in_(r.language)), r.text, re.IGNORECASE)):
            secret = is_sensitive(words.in_(r.language), "product") or is_sensitive(words.en)
            why = "a private purchase must not be named"
            r.take("bought", *match.span(), "sensitive_name" if secret else None, why)
    if (said := _P["bought"].search(r.text)) and not known.bought:
        r.flag("unknown_purchase", *said.span(), "it is not known what they bought")
    for match in _tabled(r.language).finditer(r.text):
        r.flag(OPEN, *match.span(), "names another category; nobody has read what is said of it")


@lru_cache(maxsize=2)
def _tabled(language: Language) -> re.Pattern[str]:
    names = sorted((name for name in known_names(language) if len(name) > 1), key=len, reverse=True)
    inner = "|".join(map(re.escape, names))
    return re.compile(rf"(?<![a-z])(?:{inner})(?![a-z])" if language == "en" else inner, re.IGNORECASE)


def _words(r: _Reader) -> None:
    """Banned words, codes, conditions."""
    for row in banned():
        if row.code in _ALWAYS | _PERHAPS and row.language in ("any", r.language):
            for match in row.pattern.finditer(r.text):
                r.flag(row.code if row.code in _ALWAYS else OPEN, *match.span(), f"banned.csv: {row.code}")
    for match in _P["code"].finditer(r.text):
        said = match.group(1)
        if any(c.isdigit() or c.isupper() for c in said):
            right = r.known.code and said.upper() == r.known.code.upper()
            r.take("code", match.start(1), match.end(1), None if right else "wrong_code", "not this customer's code")
    if r.offer.joined == "each":
        for match in _P["together"].finditer(r.text):
            r.flag("wrong_scope", *match.span(), "each of them counts alone")
    if r.offer.scope != "all":
        for match in _P["everything"].finditer(r.text):
            r.flag("wrong_scope", *match.span(), "the offer is on one category or product")


_MONTH = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")


def _dates(r: _Reader) -> None:
    """Each day must be the first or the last one of the offer, said in the right direction."""
    last = r.offer.expires.replace(tzinfo=None)
    end = (last - timedelta(minutes=1)).date() if last.hour == 0 and last.minute == 0 else last.date()
    for match in list(_P["date"].finditer(r.text)):
        day = _day(match, end.year)
        before, after = r.beside(*match.span())
        if day is None:
            continue
        exclusive = bool(_P["exclusive"].search(before)) or bool(re.match(r"\s*(?:之)?前(?!\s*[(（]?含)", after))
        if day == r.offer.starts.date() and (
            _P["from"].search(before) or re.match(r"\s*(?:起|至|到|-|and\b|to\b|through\b|until\b)", after)
        ):
            r.take("start", *match.span())
        elif exclusive and day == end + timedelta(days=1):
            r.take("end", *match.span())
        elif exclusive and day == end and r.language == "zh":
            r.take("end", *match.span())  # 6月30日前 is read as through that day by most readers
        elif day == end and not exclusive:
            r.take("end", *match.span())
        else:
            r.take("end", *match.span(), "wrong_date", f"the offer is valid from {r.offer.starts.date()} through {end}")
    for match in list(_P["clock"].finditer(r.text)):
        if not _same_clock(match.group(), last.hour, last.minute):
            r.flag(OPEN, *match.span(), "an hour that code cannot compare")
        r.hide(*match.span())
    for match in list(_P["vague_time"].finditer(r.text)):
        r.flag(OPEN, *match.span(), "a time that depends on when it is read")
        r.hide(*match.span())


def _same_clock(said: str, hour: int, minute: int) -> bool:
    digits = [int(part) for part in re.findall(r"\d+", said)]
    shown = digits[0] + (12 if re.search("p", said, re.IGNORECASE) and digits[0] < 12 else 0)
    stated = 60 * shown + (digits[1] if len(digits) > 1 else 0)
    return 0 <= (stated - (60 * hour + minute)) % 1440 <= 1


def _day(match: re.Match[str], year: int) -> date | None:
    group = match.groupdict()
    month_word = group["mn"] or group["mb"]
    try:
        month = _MONTH.index(month_word[:3].lower()) + 1 if month_word else int(number(group["m"] or group["zm"]))
        day = int(number(group["d"] or group["zd"] or group["dn"] or group["db"]))
        return date(int(group["y"] or group["yn"] or group["yb"] or year), month, day)
    except (ValueError, TypeError):
        return None


def _percents(r: _Reader) -> None:
    """Percentages, 折, halves: what is taken off, or what is left to pay."""
    for match in list(_P["zhe"].finditer(r.text)):
        said = match.group(1)
        paid = Decimal(50) if not said or said in "对半" else _tenths(said)
        wrong = r.offer.benefit.type != "percent_off" or paid != 100 - r.offer.benefit.percent
        r.take(
            "percent",
            *match.span(),
            "wrong_percent" if wrong else None,
            f"the offer takes {r.offer.benefit.percent} % off",
        )
    for match in list(_P["percent"].finditer(r.text)):
        value, (before, after) = number(match.group(1) or match.group(2)), r.beside(*match.span())
        share = r.offer.benefit.percent
        off, pay = bool(_P["off"].search(before[-14:] + after[:14])), bool(_P["pay"].search(before[-14:] + after[:24]))
        if r.offer.benefit.type != "percent_off" or value not in (share, 100 - share):
            r.take("percent", *match.span(), "wrong_percent", f"the offer takes {share} % off")
        elif pay == off and share != 50:
            r.flag(OPEN, *match.span(), "not clear whether this is taken off or left to pay")
            r.take("percent", *match.span())
        else:
            wrong = value != (100 - share if pay else share)
            r.take("percent", *match.span(), "wrong_percent" if wrong else None, f"the offer takes {share} % off")


def _tenths(said: str) -> Decimal:
    """What 8折, 7.5折, 八五折, 85折 leave to pay, in per cent."""
    value = number(said)
    return value * 10 if value < 10 else value


_WORD_OF = {
    "USD": "$ dollar buck 美元 美金", "CNY": "¥ 元 块 人民币 yuan rmb", "EUR": "€ euro 欧元", "GBP": "£ pound 英镑",
    "JPY": "yen 日元 日圆",
}  # fmt: skip
_SIGN = {word: code for code, words in _WORD_OF.items() for word in words.split()}


def _sums(r: _Reader) -> None:
    """Sums of money: the amount off, the threshold, the cap; a role by the words beside them."""
    offer, digits = r.offer, CURRENCY_DIGITS.get(r.offer.currency, 2)
    right: dict[FactKind, int] = {
        "amount": offer.benefit.amount_cents, "threshold": offer.min_spend_cents,
        "cap": offer.benefit.max_discount_cents or 0,
    }  # fmt: skip
    sums = [_Sum(m, *m.span(), _unit(m), m["a"] or m["b"]) for m in _P["sum"].finditer(r.text)]
    sums += [_Sum(m, *m.span(), offer.currency, m[1] or m[2]) for m in _P["bare_sum"].finditer(r.text)]
    stated = {int(number(each.said).scaleb(digits)) for each in sums}
    for match, start, end, unit, said in sums:
        if unit is None or "\ue000" in r.text[start:end]:
            continue
        cents, (before, after) = int(number(said).scaleb(digits)), r.beside(start, end)
        cap = bool(_P["cap"].search(before[-12:]) or _P["cap"].search(after[:8]))
        spend = bool(_P["spend"].search(before[-16:]) or _P["spend_after"].search(after))
        off = bool(_P["off"].search(before[-6:]) or _P["off"].match(after.lstrip()[:4]))
        role: FactKind = "cap" if cap else "threshold" if spend and not _P["off"].search(before[-4:]) else "amount"
        if unit not in (offer.currency, *(("CNY", "JPY") if match.group().strip().startswith("¥") else ())):
            r.take(role, start, end, "wrong_currency", f"the offer is in {offer.currency}")
        elif cents == right[role] and cents:
            r.take(role, start, end)
        elif cents and (cap or spend or off) and cents not in right.values() and right[role] not in stated:
            r.take(role, start, end, f"wrong_{role}" if right[role] else "wrong_amount", "the offer names no such sum")
        else:
            r.flag(OPEN, start, end, "a sum, but not clear what for")
            role = next((kind for kind, value in right.items() if value == cents and cents), role)
            r.take(role, start, end)


class _Sum(NamedTuple):
    match: re.Match[str]
    start: int
    end: int
    unit: str | None
    said: str


def _unit(match: re.Match[str]) -> str | None:
    said = (match["sign"] or match["unit"] or "").strip().lower()
    for name, code in _SIGN.items():
        if (
            said == name
            or (name.isalpha() and name.isascii() and said.rstrip("s") == name)
            or (name == "块" and said.startswith("块"))
        ):
            return code
    return said.upper() if said.upper() in CURRENCY_DIGITS else None


def _shipping(r: _Reader) -> None:
    """Free delivery, where the offer is that, and where it is not."""
    for match in list(_P["shipping"].finditer(r.text)):
        wrong = r.offer.benefit.type != "free_shipping"
        r.take("shipping", *match.span(), "wrong_benefit" if wrong else None, "the offer is not free delivery")
    for match in _P["gift"].finditer(r.text):
        sure = r.offer.benefit.type != "free_shipping"  # else it may be another way to say that
        r.flag("wrong_benefit" if sure else OPEN, *match.span(), "the offer gives nothing but its benefit")


def _left(r: _Reader) -> None:
    """A number nobody has read says something nobody has checked."""
    for match in _P["number"].finditer(r.text):
        r.flag(OPEN, *match.span(), "a number whose meaning code cannot tell")


def _prose(r: _Reader) -> None:
    """A sentence that says more than the facts that were read: only a judge or a person can tell."""
    at = 0
    for sentence in re.split(r"(?<=[。！!？?；;\n])|(?<=[.])(?=\s|$)", r.text):
        rest = _P[f"plain_{r.language}"].sub(" ", sentence)
        more = len(_HAN.findall(rest)) if r.language == "zh" else len(re.findall(r"[A-Za-z']{2,}", rest))
        if more >= (4 if r.language == "zh" else 2):
            end = at + len(sentence)
            r.flag(OPEN, at + len(sentence) - len(sentence.lstrip()), end, "says more than the facts that code reads")
        at += len(sentence)


def _missing(r: _Reader) -> None:
    """What the offer has and the text does not say; where a part is unread, it may say it there."""
    offer, end, unread = r.offer, len(r.raw), any(rule.code == OPEN for rule in r.broken)
    wanted: list[tuple[FactKind, str, Callable[[], bool]]] = [
        ("name", "missing_name", lambda: offer.scope != "all"),
        ("end", "missing_date", lambda: True),
        ("percent", "missing_benefit", lambda: offer.benefit.type == "percent_off"),
        ("amount", "missing_benefit", lambda: offer.benefit.type == "amount_off"),
        ("shipping", "missing_benefit", lambda: offer.benefit.type == "free_shipping"),
        ("threshold", "missing_threshold", lambda: bool(offer.min_spend_cents)),
        ("cap", "missing_cap", lambda: bool(offer.benefit.max_discount_cents)),
    ]
    for kind, code, needed in wanted:
        if needed() and not r.has(kind):
            r.flag(
                OPEN if unread else code, end, end, f"the text does not say the offer's {kind}, as far as it is read"
            )
