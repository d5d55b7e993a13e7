"""A reading in; every word flagged that is neither a fact already read nor one of the words a message may be made of.

The other checks look for what is wrong; this one asks of each word by what right it stands there. A sentence about
stock, other people, prizes or effects needs words that are in no list of `vocabulary.toml`, however it is put. A fair
reading flags the cues of a claim (`claims.py`) and those unlisted words that by the shape of their clause add to
the offer (`fair.py`); a mood, a scene or a question may hold any words. A strict one flags every unlisted word, too.
"""

import re
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache, lru_cache
from importlib.resources import files
from typing import NamedTuple

from promolift.message.names import any_of
from promolift.message.reading.claims import CUES
from promolift.message.reading.fair import STATED, Place, Strange, adding
from promolift.message.reading.money import CURRENCY_WORDS
from promolift.message.reading.number_cues import FREE_SHIPPING
from promolift.message.reading.text import BOUGHT, DATE, DONE, HAN, OFFERED, PERSON, SENTENCE_END, WORDS, Reading
from promolift.terms import Language, Offer

LISTS: dict[str, list[str]] = {
    name: text.split()
    for name, text in tomllib.loads(files(__package__).joinpath("vocabulary.toml").read_text(encoding="utf-8")).items()
}
_BENEFIT = any_of(rf"[\d%¥$€£{DONE}]|折|减|半价|一半|{HAN}(?:元|块|成)|百分之|分之|省|\bper ?cent\b|\bhalf\b")
_FACT = any_of(rf"""
    {_BENEFIT.pattern}|{DATE}|(?!\bone\b){WORDS}
    \b(?:free|zero|gratis|complimentary|third|quarter|fifth|\w*tenth|twentieth)\b
    \bno (?=code|coupon|min|max|cap|limit|string|threshold)
""")
_SHIPS = any_of(r"\b(?:postage|shipping|deliver\w*|ships?)\b|包邮|免|运费|邮费|配送|快递")
# Who is spoken to: 'you', a question, an order; the subject of a sentence about others is none of them.
_ADDRESS = any_of(
    rf"""
    \b(?:you|your|yours|please|let's|welcome|thanks?|thank you|happy|enjoy)\b|\?
    ^\W*(?:(?:and|just|so|then|now|simply|don't|do not|only|forget to|remember to)\W+)*
        (?:order|shop|use|apply|redeem|enter|show|add|pick|choose|select|grab|claim|buy|start|begin|get|take|come|see
        |visit|no|not|valid|good|make|unsubscribe|(?:the |this )?(?:offer|coupon|code|discount)|all|everything)\b
    [请您你祝谢吧哦呀啦吗呢？{OFFERED}]|欢迎|记得|别忘|快来|注意|^\W*(?:全场|全店|活动|优惠|截止|有效)
    """
)
_JOINED = any_of(r"\band|\bplus|&|\+|[和与及加]", tail=r"\s*$")
# Words that assert nothing where they stand: whom a greeting speaks to, 'a box of' the product, the shop's own name.
_ASIDE = any_of(rf"""
    \b(?:dear|hi|hello|hey|welcome|thanks|thank you)\b,?\s+(?:dear |valued |our )*
        (?:{"|".join(LISTS["GREETED_EN"])})s?\b
    (?:尊敬的|亲爱的|各位|敬爱的|(?<={PERSON}))(?:{"|".join(LISTS["GREETED_ZH"])})|不(?=，)
    \bnew (?=year|[{OFFERED}{BOUGHT}])|[新旧](?=[{OFFERED}{BOUGHT}])|(?<={OFFERED})类|(?<={BOUGHT})已?发货
    \b(?:pack|box|carton|bottle|loaf|bag|jar|can|cup|bowl|pair|piece|pot|tin|slice)(?:e?s)? of
        (?= [a-z ]{{0,8}}{OFFERED})
    (?<={OFFERED})[ -](?:lovers?|fans?)\b|\bbest (?=regards|wishes)|\bstock(?:ing)? (?:up|the)\b|\bnot? later\b
    \bno (?:rush|hurry)\b|\blook(?:ing)? forward\b|\banywhere (?=in the (?:store|shop))
    \b(?:or|and) (?:bigger|larger|greater|higher)\b|\bthe bigger the\b|\bany size\b|\bsize of (?=your|the|an?\b)
""")
_SENDER = re.compile(
    r"\b(?:[A-Z][a-z]+ ){0,2}(?:Market|Mart|Goods|Shop|Store|Foods|Bank|Team)\b(?=[,:.!—-]|\s*$|\n)"
    r"|^\s*【[\u4e00-\u9fff]{1,6}(?:超市|商城|商店|便利店|优选|生活|银行|旗舰店|专卖店|百货|家居|严选|邻居|小店|书店)】"
    r"|\b[A-Z]{1,2}(?=[$¥])"  # HK$
)
_STOP = re.compile(r"(?<=[a-z])\.(?=\s+[A-Z])")
_LATIN = re.compile(r"[A-Za-z][A-Za-z']*(?:[.-][A-Za-z]+)*")
_CHINESE = re.compile(r"[\u3400-\u9fff]+")
_CLITIC = re.compile(r"(?:n't|'(?:s|ll|re|ve|d|m)?)$")
_ENDINGS = (
    ("", ""), ("s", ""), ("es", ""), ("ies", "y"), ("ed", ""), ("d", ""), ("ied", "y"), ("ing", ""), ("ing", "e"),
    ("y", ""),
)  # fmt: skip
_LONGEST = 6
_AND_ZH = "和与及跟加"
_AND = r"\s*(?:,\s*and\b|,|\band\b|\bplus\b|[&+、])\s*(?:(?:an?|the|your|some)\s+)?"
_AND_THEN = re.compile(rf"{OFFERED}(?:{_AND}[a-z]+){{0,2}}{_AND}$")
_AND_OFFERED = re.compile(rf"(?:{_AND}[a-z]+){{0,2}}{_AND}{OFFERED}")


def check_rest(reading: Reading, offer: Offer, language: Language, strict: bool) -> None:
    """Flag the words that assert something no fact of the offer stands for; all of them if `strict`."""
    text = reading.text
    for aside in (_ASIDE, _SENDER, re.compile(rf"(?<![A-Za-z]){offer.currency}(?![A-Za-z])")):
        text = aside.sub(_blank, text)
    text = _without_label(text, offer)
    ships = offer.benefit.type == "free_shipping"
    spans = _strict_spans(text, reading.raw, ships) if strict else []
    for start, end in spans:
        reading.flag("unbacked", start, end, "the offer says nothing of this")
    cued = FREE_SHIPPING.sub(_blank, text) if ships else text
    for found, why in (
        (_cues(cued, language), "a claim the offer does not make"),
        (_added(text, reading.raw, offer), "the offer says nothing of this"),
    ):
        for start, end in found:
            if not any(start < b and a < end for a, b in spans):
                reading.flag("unbacked", start, end, why)


class _Sentence(NamedTuple):
    start: int
    words: str


class _Stretch(NamedTuple):
    """From `start` to the character before `end`."""

    start: int
    end: int


def _sentences(text: str, raw: str) -> Iterator[_Sentence]:
    start = 0
    for stop in _stops(text, raw):
        yield _Sentence(start, text[start:stop])
        start = stop


def _strict_spans(text: str, raw: str, ships: bool) -> list[_Stretch]:
    """Where words stand that are in no list."""
    return [
        _Stretch(start + word.start, start + word.end)
        for start, sentence in _sentences(text, raw)
        for word in _strange(sentence, ships, strict=True)
    ]


def _added(text: str, raw: str, offer: Offer) -> Iterator[_Stretch]:
    """Where unlisted words stand that by their place add to the offer."""
    stated, ships = False, offer.benefit.type == "free_shipping"
    for start, sentence in _sentences(text, raw):
        benefit = STATED.search(sentence) or (_SHIPS.search(sentence) if ships else None)
        begins, ends = benefit.span() if benefit else (len(sentence), len(sentence))
        strange = list(_strange(sentence, ships, strict=False))
        for word in adding(sentence, strange, Place(begins, ends, stated, offer.scope == "all")):
            yield _Stretch(start + word.start, start + word.end)
        stated = stated or benefit is not None


def _cues(text: str, language: Language) -> list[_Stretch]:
    """Where words make a claim whatever they stand beside, once where several do."""
    found: list[_Stretch] = []
    for start, end in sorted(match.span() for pattern in CUES[language] for match in pattern.finditer(text)):
        if found and start <= found[-1].end:
            found[-1] = _Stretch(found[-1].start, max(end, found[-1].end))
        else:
            found.append(_Stretch(start, end))
    return found


def _blank(match: re.Match[str]) -> str:
    return " " * len(match[0])


def _stops(text: str, raw: str) -> list[int]:
    """Where sentences end; a full stop hidden with the date before it ('until June.') is one too."""
    dated = [m.end() for m in _STOP.finditer(raw) if text[m.start() : m.end()].strip(DATE) == ""]
    return sorted({*(m.end() for m in SENTENCE_END.finditer(text)), *dated, len(text)})


def _without_label(text: str, offer: Offer) -> str:
    """The words of the offered name stand for it when they stand alone: 'your kettle' of a Skylark Kettle."""
    if offer.label is None:
        return text
    english = "|".join(re.escape(w) for w in re.findall(r"[A-Za-z]{3,}", offer.label.en))
    chinese = "|".join(
        part
        for run in _CHINESE.findall(offer.label.zh)
        for n in range(len(run) - 1, 1, -1)
        for part in (run[i : i + n] for i in range(len(run) - n + 1))
    )
    parts = [rf"\b(?:{english})(?:s|es)?\b" if english else "", chinese]
    return re.sub(
        rf"(?<!{OFFERED})(?:{'|'.join(filter(None, parts)) or '$^'})",
        _blank,
        text,
        flags=re.IGNORECASE,
    )


@dataclass(frozen=True)
class _Rights:
    """Which lists a word may come from where it stands."""

    act: bool
    offer: bool
    ships: bool
    things: bool


_FREE = _Rights(act=True, offer=True, ships=False, things=False)
_THINGS = frozenset([*LISTS["THINGS_EN"], *LISTS["THINGS_ZH"]])


def _strange(sentence: str, ships: bool, strict: bool) -> Iterator[Strange]:
    """The words of a sentence that may not stand there; a reader who is not `strict` asks no fact beside a word."""
    benefit = _BENEFIT.search(sentence)
    first = benefit.start() if benefit else len(sentence)
    joined = bool(benefit and _JOINED.search(sentence[:first]))
    stated = not strict or bool(_FACT.search(sentence) or (ships and _SHIPS.search(sentence)))
    spoken = stated or bool(_ADDRESS.search(sentence))

    def beside(start: int, end: int) -> bool:
        return start < first < len(sentence) and _beside(sentence, start, end)

    def rights(start: int, end: int) -> _Rights:
        return _Rights(spoken, stated, ships, start < first and not joined and not beside(start, end))

    for word in _LATIN.finditer(sentence):
        another = _another_good(sentence, word) or (beside(*word.span()) and word[0].lower() in _THINGS)
        if another or not _known(word[0].lower(), rights(*word.span())):
            yield Strange(*word.span(), 1, another)
    for run in _CHINESE.finditer(sentence):
        reached, unread = _reach(run[0], _allowed("zh", rights(*run.span())))
        another = _another_good(sentence, run) or (unread > 0 and beside(*run.span()))
        if another or unread:
            last = unread > _reach(run[0][:-1], _allowed("zh", rights(*run.span()))).unread
            yield Strange(run.start() + (0 if another else reached), run.end(), unread / 2, another, last)


def _beside(sentence: str, start: int, end: int) -> bool:
    """Whether a thing is named in one breath with the offered one: 'sunscreen and a mug are', 防晒霜和面膜."""
    before, after = sentence[:start], sentence[end:]
    english = _AND_THEN.search(before) or _AND_OFFERED.match(after)
    chinese = (before.endswith(OFFERED) and sentence[start] in _AND_ZH) or (
        after.startswith(OFFERED) and sentence[end - 1] in _AND_ZH
    )
    return bool(english or chinese)


def _another_good(sentence: str, word: re.Match[str]) -> bool:
    """Whether it makes another product of the offered name: 'strawberry jam', 'quick-dry towels', 浴巾毛巾."""
    if sentence.endswith((OFFERED, f"{OFFERED} "), 0, word.start()):
        return word[0].lower() in _THINGS or any(word[0][:n] in _THINGS for n in (1, 2, 3))
    compound = "-" in word[0] and sentence[word.end() :].lstrip().startswith(OFFERED)
    return compound and not _FACT.search(word[0]) and not _known(word[0].lower().replace("-", ""), _FREE)


@cache
def _allowed(language: Language, rights: _Rights) -> frozenset[str]:
    wanted = {"ACT": rights.act, "OFFER": rights.offer, "SHIPPING": rights.ships, "THINGS": rights.things}
    used = ["PLAIN", *(name for name, use in wanted.items() if use)]
    words = frozenset(word for name in used for word in LISTS[f"{name}_{language.upper()}"])
    return words | (CURRENCY_WORDS if rights.offer else set())


@lru_cache(1 << 16)
def _known(word: str, rights: _Rights) -> bool:
    """Whether an English word, or each part of a joined one, is allowed in some form."""
    known = _allowed("en", rights)
    stem = _CLITIC.sub("", word)
    if len(stem) < 2 or (rights.offer and re.fullmatch(WORDS, word)):
        return True
    if any(form in known for form in (word, *_forms(stem))):
        return True
    parts = re.split(r"[.-]", word)
    return len(parts) > 1 and all(_known(part, rights) for part in parts)


def _forms(word: str) -> Iterator[str]:
    for ending, stem in _ENDINGS:
        if word.endswith(ending):
            form = word[: len(word) - len(ending)] + stem
            yield form
            if ending in ("ed", "ing", "y") and form[-2:-1] == form[-1:]:
                yield form[:-1]


class _Reached(NamedTuple):
    """How far a run of characters can be read as allowed words, and how many characters of it never can."""

    at: int
    unread: int


def _reach(run: str, known: frozenset[str]) -> _Reached:
    """How far a run of Chinese characters can be read."""
    unread = [0] + [len(run)] * len(run)  # at least so many before each place
    for i in range(len(run)):
        unread[i + 1] = min(unread[i + 1], unread[i] + 1)
        for j in range(i + 1, min(i + _LONGEST, len(run)) + 1):
            if unread[i] < unread[j] and run[i:j] in known:
                unread[j] = unread[i]
    return _Reached(max(i for i, count in enumerate(unread) if not count), unread[-1])
