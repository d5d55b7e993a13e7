"""A reading, an offer and a context in; who and what the text names, checked and protected from later rules."""

import re
from collections.abc import Iterator
from functools import cache, lru_cache
from itertools import chain
from typing import NamedTuple

from promolift.message.names import SMUGGLED, any_of, is_sensitive, known_names, table
from promolift.message.reading.text import (
    BOUGHT,
    DATE,
    OFFERED,
    OTHER,
    PERSON,
    SENTENCE_END,
    Context,
    FactKind,
    Reading,
    ready,
    sentence_around,
)
from promolift.message.reading.word_lists import LINK, MARKUP, SLOT
from promolift.terms import Language, Offer, Words

_FAMILY = (  # common Chinese family names: with one or two characters more, they address a person
    "[王李张刘陈杨赵吴徐孙朱胡郭何林罗郑梁谢宋唐许邓冯韩曹曾彭萧蔡潘董袁吕蒋余杜叶程魏苏丁任沈姚卢姜崔钟谭陆范"
    "廖贾韦傅邹孟熊秦邱侯薛闫段雷龙黎贺龚钱汤]"
)
_LIST = """
    顾客,客户,用户,会员,朋友,您,各位,新老顾客,贵宾,买家,顾客朋友,customer,valued customer,dear customer,
    friend,friends,there,shopper,fellow shopper,guest,member,sir,madam,sir or madam,sir/madam,all,everyone,neighbour,
    neighbor,client,cardholder,cardmember,passenger,traveller,traveler,subscriber,reader,持卡人,储户,旅客,车主,读者
"""
_ADDRESSEES = frozenset(word.strip() for word in _LIST.split(","))
_OPENERS = """
    now today hello hi hey yes great greetings good news surprise welcome thanks finally meanwhile for from until
    through this just because starting when if as at on in with psst ta-da congratulations remember cheers
"""
_NOT_A_NAME = frozenset(_OPENERS.split())
_DOUBLE_FAMILY = ("欧阳", "司马", "诸葛", "上官", "司徒", "东方", "慕容", "皇甫", "尉迟")
_GREETING = re.compile(
    r"^\s*(?:【[^】]*】\s*)?"
    r"(?:(?:尊敬的|敬爱的|亲爱的|亲,?)\s*(?P<zh>[^，,：:！!。\n]{1,40}?)\s*(?:您好|你好)?\s*[，,：:！!\n]"
    r"|(?:嗨|你好|您好|Hi|Hello|Hey|Dear|Good (?:morning|afternoon|evening))[，,]?\s+"
    r"(?P<en>(?:(?:Mrs?|Ms|Dr|Prof)\.\s*)?[^，,：:！!.\n]{1,40}?)\s*[，,：:！!.\n-]"
    r"|(?P<han>[\u4e00-\u9fffA-Za-z\ue002]{2,20}?)\s*(?:先生|女士|小姐|老师)?\s*[，,]?\s*[您你]好)",
    re.IGNORECASE,
)
_VOCATIVE = re.compile(
    r"^\s*(?P<name>[A-Z\ue002][\w'\ue002-]*(?: [A-Z\ue002][\w'\ue002.-]*){0,2}),\s+"
    r"(?=you\b|you're|your|enjoy|get|here|take|save|thank|we\b|a\b|spend|buy|it's|\d|[$€£¥])"
)
_WITNESS = re.compile(rf"(?<![\u4e00-\u9fff]){_FAMILY}[\u4e00-\u9fff]{{1,2}}(?:[也说已刚都用买]|正在|推荐)")
_CALLED = re.compile(
    rf"(?<=[。！？!?\n]){_FAMILY}[\u4e00-\u9fff]{{1,2}}(?:[，,！!](?=[快来您你请]|恭喜|我们)|(?=[您你]好))"
)
_VOCATIVE_ZH = re.compile(rf"^\s*(?P<zh>(?:{_FAMILY}|{'|'.join(_DOUBLE_FAMILY)})[\u4e00-\u9fff]{{1,2}})[，,：:！!]")
_TITLED = re.compile(rf"{_FAMILY}[\u4e00-\u9fff]{{0,2}}(?:先生|女士|小姐)|[小老阿]{_FAMILY}(?=[您你，,：:])")
_HONORIFIC = re.compile(
    r"^(?:mr|mrs|ms|miss|dr|prof)\.?\s+|(?:先生|女士|小姐|老师|客户|会员|顾客|用户|您|你)$", re.IGNORECASE
)
# Words that turn 'milk' into something else: milk chocolate, soy milk, 有机牛奶.
_ANOTHER_BEFORE = any_of(
    r"""
    \b(?:organic|natural|imported|vegan|chocolate|soy|almond|oat|low-fat|skim(?:med)?|fat-free|sugar-free|gluten-free
        |baby|kids'?|diet|decaf|frozen|canned|dried|smoked|premium|luxury|herbal|green|iced|instant|non-dairy)\s+
    有机|进口|国产|低脂|脱脂|无糖|儿童|婴儿|高端|特级|巧克力|冷冻|罐装|速溶|植物|素食
    """,
    tail="$",
)
_ANOTHER_AFTER = any_of(
    r"""
    \s+(?:chocolate|cakes?|powder|machines?|makers?|shakes?|bars?|cookies?|crackers?|pudding|cups?|mugs?|filters?|sauces?
        |soups?|chips|bread|juice|drinks?|oil|flavou?red|substitutes?|accessories)\b
    巧克力|饼干|蛋糕|糖|饮料|酒|咖啡|机|杯|粉|片|酱|汁|布丁|冰淇淋|面包|沐浴|香皂|味|伴侣|配件|替代品|专用(?=[\u4e00-\u9fff])
    """,
    head="^",
)
_ANOTHER_MODEL = re.compile(  # the next model, or what belongs to it: 'Aero Lamp Pro'
    r"\s*(?:(?:Pro|Plus|Max|Mini|Lite|SE|Ultra|XL|II|III|Deluxe)\b|(?:升级|青春|旗舰|增强|加强|豪华|儿童)[版款型])",
    re.IGNORECASE,
)
_ON_OFFER = any_of(rf"""
    \d|%|折|优惠|减|省|[包免]邮|免费|运费|半价|也[是有享参打可能一]|还有|同样|同享|以及|{OFFERED}|\boff\b|\bsav|\bdiscount|\bfree|\bhalf\b|\balso\b
    \btoo\b|\bincluded?|\bincluding\b|\bas well\b|\bplus\b|\boffers?\b|\bdeals?\b|\bsale\b|\bcheaper\b|\bper ?cent\b
    \bfifth\b|\bthird\b|\bquarter\b|\bshipping\b|\bdelivery\b|\bpostage\b
""")
# A category in an offer on everything narrows it, or is asked for, unless its sentence holds no fact and no order.
_NARROWS = any_of(rf"""
    {_ON_OFFER.pattern}|{DATE}|\b(?:buy|bought|purchas|order|add|choose|pick|get|take|only|just|for)\w*\b|[买购点选加仅只凭]|下单
""")
_PARTED = re.compile(r"[:：—]|\s[-–]\s")
_BENEFIT = any_of(
    r"[%折¥$€£减省]|优惠|[包免]邮|运费|半价|便宜|\boff\b|\bfree\b|\bless\b|\bcheaper\b|\bsav\w+|\bdiscount|\bhalf\b|\bdeals?\b|\bsale\b|元"
)
_ALL = any_of(r"\beverything\b|\banything\b|\b(?:whole|entire) (?:store|shop)\b|\b(?:store|shop|site)-?wide\b|全[场店]")
_COMPANY = re.compile(
    r"先生|女士|小姐|老师|同学|朋友|会员|顾客|客户|用户|家人|您|你|亲|\b(?:mr|mrs|ms|miss|dr|prof|our|dear|valued|customer|friend|member)\b\.?"
    r"|[\s\ue002.'·-]",
    re.IGNORECASE,
)
_ADDRESSED = r"(?=\s*(?:$|[,，.。!！?？:：;；)）\n-]|'s\b|[您你]|先生|女士|小姐|老师|同学))"
_NOTHING = re.compile(r"(?!)")
_FACTS: dict[str, FactKind] = {OFFERED: "name", BOUGHT: "bought", PERSON: "person"}


def protect_names(reading: Reading, offer: Offer, language: Language, context: Context) -> None:
    """Hide the names of what is offered and bought and of the person, and every other known category, longest first."""
    found: list[tuple[int, int, int, str]] = []
    for rank, (name, mark) in enumerate(_names(offer, language, context)):
        loose = mark == OFFERED and (offer.scope == "category" or name.islower())
        for match in _name_pattern(name, loose, mark == PERSON).finditer(reading.text):
            found.append((match.start() - match.end(), rank, match.start(), mark))
    for match in _table_pattern(language).finditer(reading.text):
        found.append((match.start() - match.end(), 99, match.start(), OTHER))
    taken = [False] * len(reading.text)
    for minus_length, _, start, mark in sorted(found):
        end = start - minus_length
        if not any(taken[start:end]):
            taken[start:end] = [True] * (end - start)
            reading.hide(start, end, mark)
            if mark in _FACTS:
                reading.note(_FACTS[mark], start, end)


class _Marked(NamedTuple):
    """A name, and the mark that stands for its kind."""

    name: str
    mark: str


def _names(offer: Offer, language: Language, context: Context) -> Iterator[_Marked]:
    if offer.label:
        yield _Marked(offer.label.in_(language), OFFERED)
    for words in context.bought:
        yield _Marked(words.in_(language), BOUGHT)
    if context.name:
        yield _Marked(context.name, PERSON)
        yield from (_Marked(part, PERSON) for part in context.name.split() if len(part) > 1)
        if re.fullmatch(r"[\u4e00-\u9fff]{2,4}", context.name):  # 唐先生 is 唐一鸣
            family = context.name[: 2 if context.name.startswith(_DOUBLE_FAMILY) else 1]
            yield from (_Marked(family + title, PERSON) for title in ("先生", "女士", "小姐"))


@lru_cache(maxsize=4096)
def _name_pattern(name: str, loose: bool = False, person: bool = False) -> re.Pattern[str]:
    """`name` as a reader would recognise it: case, blanks and, if `loose`, one plural s do not matter.

    A `person` is named only where somebody can be addressed: 'Dear May,' but not 'through May 30'.
    """
    plain = " ".join(ready(name).split())
    if not plain:
        return _NOTHING
    inner = re.escape(plain).replace(r"\ ", r"[\s-]+")
    if loose and plain.isascii():
        inner = re.sub(r"(?<=\+)and(?=\[)", r"(?:and|&)", inner)
        inner = _numbers(inner)
    head = r"(?<![A-Za-z\d])" if plain[0].isascii() and plain[0].isalnum() else ""
    tail = r"(?![A-Za-z\d])" if plain[-1].isascii() and plain[-1].isalnum() else ""
    if plain[-1].isdigit():
        tail = r"(?![\d%折元]|[.,]\d|[A-Za-z])"
    return re.compile(head + inner + tail + (_ADDRESSED if person else ""), re.IGNORECASE)


def _numbers(name: str) -> str:
    """A pattern for one of them and for several: lamp(s), berry and berries, scarf and scarves."""
    for several, endings in (("ies", "(?:ies|y)"), ("ves", "(?:ves|fe?)")):
        if name.endswith(several):
            return name[:-3] + endings
    return name.removesuffix("s") + "(?:e?s)?"


@cache
def _table_pattern(language: Language) -> re.Pattern[str]:
    names = sorted(known_names(language), key=len, reverse=True)
    if language == "zh":
        return re.compile("|".join(names))
    several = [re.escape(n).replace(r"\ ", r"[\s-]+") + ("?" if " " in n and n.endswith("s") else "") for n in names]
    return re.compile(rf"\b(?:{'|'.join(several)})\b", re.IGNORECASE)


def check_labels(reading: Reading, offer: Offer, context: Context) -> None:
    """The offered title, the bought one and the person's name carry no offer, order or contact of their own."""
    labels = {offer.label, *context.bought} - {None} - _table_words()  # the table's own names are trusted
    carried = sorted(name for words in labels if words for name in (words.zh, words.en))
    for name in [*carried, *filter(None, [context.name])]:
        plain = ready(name)
        found = SMUGGLED.search(plain) or LINK.search(plain) or MARKUP.search(plain) or SLOT.search(plain)
        place = reading.text.lower().find(plain.lower())
        if found and place >= 0:
            reading.flag("injection", place, place + len(name), f"the name carries {found.group()!r} into the text")


def check_names(reading: Reading, offer: Offer, context: Context) -> None:
    """The offered name stands in the text, no other category does, and nothing private is named."""
    if offer.scope != "all" and OFFERED not in reading.text:
        reading.flag("missing_name", 0, 0, f"the text does not name {offer.label}")
    for match in re.finditer(f"{OFFERED}+", reading.text):
        other = offer.scope == "category" and _is_another(reading.text, *match.span())
        other = other and not _set_apart(reading.text, *match.span())
        if other or _ANOTHER_MODEL.match(reading.text, match.end()):
            reading.flag("other_name", *match.span(), "the words around it make it the name of something else")
    for match in re.finditer(f"{OTHER}+", reading.text):
        aside = not _ON_OFFER.search("".join(reading.clause(*match.span()))) or _set_apart(reading.text, *match.span())
        if offer.scope == "all":
            aside = not _NARROWS.search(sentence_around(reading.text, *match.span())) or _leads_to_all(
                reading.text, *match.span()
            )
        if not aside:  # 'goes well with tea' offers no tea
            reading.flag("other_name", *match.span(), "the offer does not cover this")
    _check_private(reading, offer, context)


def _set_apart(text: str, start: int, end: int) -> bool:
    """Whether a scene names it: parted by a colon from the offer, or in a list in a sentence without a benefit."""
    scene = _PARTED.search(SENTENCE_END.split(text[:start])[-1])
    rest = SENTENCE_END.split(text[end:])[0]
    parted = _PARTED.search(rest)
    if scene is None and parted and OFFERED in rest[parted.end() :]:
        said = SENTENCE_END.split(text[:start])[-1] + rest[: parted.start()]
        return not _BENEFIT.search(said)
    before = SENTENCE_END.split(text[:start])[-1]
    clause = re.split(r"[，,：:]", before)[-1] + re.split(r"[，,：:]", rest)[0]
    listed = OFFERED not in clause or "、" in clause
    elsewhere = text[: start - len(before)] + text[end + len(rest) :]
    return listed and OFFERED in elsewhere and not _BENEFIT.search(before + rest)


def _leads_to_all(text: str, start: int, end: int) -> bool:
    """'Paper towels, party hats: 15% off everything'."""
    before, after = SENTENCE_END.split(text[:start])[-1], SENTENCE_END.split(text[end:])[0]
    parted = _PARTED.search(after)
    return bool(parted and _ALL.search(after, parted.end()) and not _BENEFIT.search(before + after[: parted.start()]))


def _is_another(text: str, start: int, end: int) -> bool:
    return bool(_ANOTHER_BEFORE.search(text[:start]) or _ANOTHER_AFTER.match(text[end:]))


def _check_private(reading: Reading, offer: Offer, context: Context) -> None:
    private = offer.scope == "category" and is_sensitive(offer.covers)
    if offer.scope == "product" and offer.label:
        private = is_private(offer.label)
    if private and not context.allow_sensitive:
        reading.flag(
            "sensitive_name", 0, 0, f"{offer.covers!r} is a private matter; a message must not name it by itself"
        )
    for match in re.finditer(f"{BOUGHT}+", reading.text):
        if any(is_private(words) for words in context.bought):
            reading.flag("sensitive_name", *match.span(), "a private purchase must not be named")


def is_private(words: Words) -> bool:
    """Whether this is a sensitive name of the table, or one by its words."""
    return words in _private_words() or is_sensitive(words.zh, "product") or is_sensitive(words.en, "product")


@cache
def _table_words() -> frozenset[Words]:
    return frozenset(name.words for name in table().values())


@cache
def _private_words() -> frozenset[Words]:
    return frozenset(name.words for name in table().values() if name.sensitive)


def check_person(reading: Reading, context: Context) -> None:
    """A greeting names the recipient or nobody, and no other person is named."""
    match = _GREETING.match(reading.text) or _VOCATIVE.match(reading.text)
    if not match and context.name:
        match = _VOCATIVE_ZH.match(reading.text)
    reason = f"the recipient is {context.name or 'unknown by name'}"
    if match:
        group = next(k for k, v in match.groupdict().items() if v)
        if _is_stranger(match[group], reading.raw[slice(*match.span(group))], group):
            reading.flag("wrong_name", *match.span(group), reason)
    strangers = (p.finditer(reading.text) for p in (GIVEN_NAMES, _TITLED, _WITNESS, _CALLED))
    for hit in chain.from_iterable(strangers):
        reading.flag("wrong_name", *hit.span(), reason)
    for other in context.other_names:
        if len(other.strip()) > 1 and other != context.name:
            for hit in _name_pattern(other).finditer(reading.text):
                reading.flag("wrong_name", *hit.span(), "this is another customer's name")


def _is_stranger(name: str, raw: str, group: str) -> bool:
    bare = _HONORIFIC.sub("", name).strip().lower()
    if PERSON in name:
        return bool(_COMPANY.sub("", name.replace("'s", "s ")))  # "Anna's husband", 'Anna和Bella'
    if not bare or (group == "en" and raw[:1].islower() and bare not in _ADDRESSEES):
        return False  # 'Hello, we have good news' greets nobody by name
    if bare in _ADDRESSEES or bare.removeprefix("our ").removeprefix("valued ") in _ADDRESSEES:
        return False
    return not (group == "name" and bare.split()[0] in _NOT_A_NAME)


# Given names that are no everyday English words: anyone so called, unless it is the recipient, is a stranger.
_GIVEN = """
    Aaron Abigail Adam Alan Albert Alex Alexander Alexis Alice Amanda Amy Andrea Andrew Angela Anna Anne Anthony
    Arthur Barbara Benjamin Betty Bob Bobby Brandon Brenda Brian Bruce Bryan Carl Catherine Charles Charlotte Cheryl
    Christina Christine Christopher Cynthia Daniel David Deborah Denise Dennis Diana Diane Donald Donna Dorothy
    Douglas Dylan Edward Elizabeth Ella Emily Emma Eric Ethan Eugene Evelyn Fiona Gabriel Gary George Gerald Gloria
    Gregory Hannah Harold Helen Henry Isabella Jacob Jacqueline James Jane Janet Janice Jason Jeffrey Jennifer
    Jeremy Jerry Jesse Jessica Joan Joe John Jonathan Jordan Jose Joseph Joshua Joyce Juan Judith Judy Julia Julie
    Justin Karen Katherine Kathleen Kathryn Kayla Keith Kelly Kenneth Kevin Kimberly Kyle Larry Laura Lauren
    Lawrence Liam Linda Lisa Logan Louis Lucy Luke Margaret Maria Marie Marilyn Martha Martin Mary Matthew Megan
    Melissa Mia Michael Michelle Mohammed Nancy Natalie Nathan Nicholas Nicole Noah Nora Oliver Olivia Oscar Pamela
    Patricia Patrick Paul Peter Philip Rachel Ralph Raymond Rebecca Richard Robert Roger Ronald Roy Russell Ruth
    Ryan Samantha Samuel Sandra Sara Sarah Scott Sean Sharon Shirley Simon Sophia Sophie Stephanie Stephen Steve
    Steven Susan Teresa Terry Theresa Thomas Tim Timothy Tom Tyler Vincent Walter Wayne William Zachary Zoe
"""
GIVEN_NAMES = re.compile(rf"\b(?:{'|'.join(_GIVEN.split())})\b(?!'s Day)")
