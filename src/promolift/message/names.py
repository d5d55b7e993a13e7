"""A shop's own key in, the name people read out, in Chinese and English; and what may be named or discounted at all.

`names.csv` (package data, read once) knows the categories and departments of the Complete Journey. Any other key is
tidied by rule, see `label`.
"""

import csv
import re
import unicodedata
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Literal, NamedTuple

from promolift.errors import InputError
from promolift.terms import AND, Language, Words, covered


def any_of(lines: str, *, head: str = "", tail: str = "") -> re.Pattern[str]:
    """Match any alternative of `lines`, between `head` and `tail`, in capitals or not.

    A line holds one alternative or several, parted by `|`. A line that is indented further than the first one goes on
    with the alternative before it.
    """
    rows = [line for line in lines.splitlines() if line.strip()]
    margin = len(rows[0]) - len(rows[0].lstrip())
    parts: list[str] = []
    for row in rows:
        deeper = len(row) - len(row.lstrip()) > margin
        parts = [*parts[:-1], parts[-1] + row.strip()] if deeper else [*parts, row.strip()]
    return re.compile(f"{head}(?:{'|'.join(parts)}){tail}", re.IGNORECASE)


Kind = Literal["category", "department", "product"]

_HAN = re.compile(r"[\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff]")
_LEVELS = re.compile(r"\s*(?:>|\||::|»)\s*|(?<=\w)\.(?=[A-Za-z])")
_CAMEL = re.compile(r"(?<=[a-z])(?=[A-Z])")
_SHORT = "BBQ CD DIY DVD EV GPS HDMI LED LP PC SSD TV UHT USB VR"
_ACRONYMS = frozenset(_SHORT.split())
_NO_NAME: dict[Kind, Words] = {
    "category": Words(zh="品类", en="category"),
    "department": Words(zh="部门", en="department"),
    "product": Words(zh="商品", en="product"),
}

# Words that make an unknown shop's category or product a private matter; the same rule as the table's `sensitive`.
_PRIVATE = any_of(r"""
    condom|contracept|lubricant|pregnan|prenatal|maternity|nursing|breast(?:feed|[ -]?pump| milk)|fertility|ovulation
    incontinen|menstr|tampon|feminine|sanitary (?:pad|napkin|towel)|\bbab(?:y|ies)\b|infant|toddler|diaper
    napp(?:y|ies)|newborn|medicine|medication|medical|pharmac|prescription|\bdrugs?\b|painkill|pain relief|analgesic
    antacid|laxative|hemorrhoid|antidepress|\bcold and flu|allergy|diabet|insulin|\bhiv\b|cigar|tobacco
    smok(?:ing|ers?)\b(?! ?(?:bacon|salmon))|\bvap(?:e|ing)|nicotine|alcohol|(?<!root )(?<!ginger )\bbeers?\b|\bales?\b
    \bwines?\b|liquor|spirits|vodka|whiske?y|\brum\b|\bgin\b|champagne|weight loss|slimming|\bdiet(?:ary)? \w
    lottery|gambl|casino|\bsex|erotic|adult toy|wigs?\b|hair loss|denture
    避孕|安全套|计生|怀孕|孕妇|孕期|备孕|产妇|产后|哺乳|母婴|排卵|失禁|卫生巾|月经|女性护理|婴|宝宝|幼儿|纸尿裤|尿不湿
    (?<![山芍])药|止痛|止泻|感冒|过敏|糖尿|胰岛素|痔|便秘|抑郁|戒烟|香烟|卷烟|雪茄|烟草|电子烟
    酒(?!店|精湿巾|红色)|减肥|减重|瘦身|代餐|彩票|博彩|情趣|成人用品|性用品|假发|脱发|假牙|医疗|处方
""")
_NO_COUPON = any_of(r"""
    tobacco|cigar|vap(?:e|ing)\b|alcohol|(?<!root )(?<!ginger )\bbeers?\b|\bwines?\b|liquor|spirits|lottery|\bfuel\b
    gasoline|gift ?cards?|coupons?\b|prescription|infant formula|donation|deposit|firework
    烟(?!熏)|酒(?!店|精湿巾|红色)|彩票|燃油|汽油|礼品卡|购物卡|优惠券|处方|婴儿配方|捐款|捐赠|押金
""")

# What a product's title or a person's name must not carry into a message: an offer, an order to a machine, a contact.
SMUGGLED = any_of(r"""
    \d\s*%\s*(?:off|discount|cheaper|cash ?back)|\b(?:save|get|take|only)\s+[$€£¥]?\d
        |[$€£¥]\s?\d+(?:\.\d+)? (?:off|only)
    \bhalf price\b|\bfree (?:shipping|delivery|gift)\b|\bbuy (?:one|two|1|2)\b|\bbogo\b|\bclearance\b|\bon sale\b
    [打享]\s*[\d.一二三四五六七八九半]+\s*折|[\d一二三四五六七八九]折(?:优惠|起|价|特价)|[立直满]减|包邮|免邮|半价|买.送.|优惠|特价|秒杀|清仓
    返现|红包|全场|免费|赠送
    \b(?:ignore|disregard|forget|override)\b.{0,30}\b(?:instructions?|rules?|prompts?|above|previous|everything)\b
    \b(?:system|assistant|user|developer)\s*:|\byou are now\b|\bnew instructions?\b|\bprompt\b|\bsay (?:that|")|<\|
    忽略|无视|以上(?:指令|规则|内容)|系统提示|提示词|请(?:写|说|回复|输出|告诉)|你现在是|指令
    \b1[3-9]\d{9}\b|微信号?\s*[:：]|加(?:微信|[qQ]{2}|群|v|V)|[qQ]{2}\s*[:：]?\s*\d{5,}
    \bcall (?:us|now)\b|\+\d{7,}|扫码|点击
    \bclick\b|\bvisit\b|\bwhatsapp\b|\btelegram\b|\bdiscount code\b|\bbest (?:price|deal)\b|\blimited time\b
    \bguaranteed\b|最(?:低价|便宜)|第一品牌|全网|限时
""")


@dataclass(frozen=True)
class Name:
    """One row of names.csv: `sensitive` must not be mentioned by itself, `couponable` may carry a discount.

    `short` is what stands beside a second name: "salad dressing" for "salad dressing and mayonnaise".
    """

    words: Words
    sensitive: bool
    couponable: bool
    short: Words


class TableKey(NamedTuple):
    """What a row of names.csv is found by."""

    kind: str
    key: str


@cache
def table() -> dict[TableKey, Name]:
    """All rows of names.csv by (kind, key)."""
    text = files("promolift.message").joinpath("names.csv").read_text(encoding="utf-8")
    rows = csv.DictReader(line for line in text.splitlines() if not line.startswith("#"))
    return {
        TableKey(row["kind"], row["key"]): Name(
            Words(zh=row["zh"], en=row["en"]),
            row["sensitive"] == "true",
            row["couponable"] == "true",
            Words(zh=row["short_zh"] or re.split("[与、]", row["zh"])[0], en=row["short_en"] or _first(row["en"])),
        )
        for row in rows
    }


def _first(english: str) -> str:
    """The first thing of a list: "bread" of "bread, buns and rolls"."""
    return re.split(r",| and ", english)[0]


@cache
def known_names(language: Language) -> frozenset[str]:
    """The table's names in `language`, to tell one category from another; without 'coupons' and the like."""
    return frozenset(name.words.in_(language) for name in table().values() if name.couponable or name.sensitive)


_NOT_PLURAL = re.compile(r"(?:ss|us|is|news|(?:care|hygiene) products?)$")


def is_plural(english: str) -> bool:
    """Whether a name takes 'are': 'eggs', 'toys and games'; 'milk' and 'asparagus' take 'is'."""
    return " and " in english or bool(english.lower().endswith("s") and not _NOT_PLURAL.search(english.lower()))


def label(key: str, kind: Kind = "category") -> Words:
    """The readable name of a category, department or product; raises InputError for an empty key.

    A key of the table has its own row. Otherwise: of a path (`Home > Kitchen > Knives`, `home.kitchen`) the last
    level counts; underscores become blanks; `&` and `/` become `and`; capitals become lower case, short acronyms
    excepted ('HOME_DECOR' -> 'home decor'). There is no translation by guess: a key in one script serves both languages
    as it is, of a key in both scripts ('零食 Snacks') each language takes its own part. A product's name stays as
    printed, blanks tidied. A mere number says nothing and gets a word before it: 'product 851', '商品851'. An offer on
    two at once names both, each by its short name: 'coffee and tea', '咖啡、茶'.
    """
    if AND in key:
        both = [_short(part, kind) for part in covered(key)]
        joiner = " plus " if any(" and " in w.en for w in both) else " and "
        return Words(zh="、".join(w.zh for w in both), en=joiner.join(w.en for w in both))
    clean = _plain(key)
    if not clean:
        raise InputError(f"message: empty {kind} name {key!r}; give the {kind} a key or leave the offer out")
    row = table().get(TableKey(kind, key)) or table().get(TableKey(kind, key.strip()))
    if row:
        return row.words
    if not any(character.isalpha() for character in clean):
        noun = _NO_NAME[kind]
        return Words(zh=f"{noun.zh}{clean}", en=f"{noun.en} {clean}")
    return Words(zh=clean, en=clean) if kind == "product" else _tidy(clean)


def _short(key: str, kind: Kind) -> Words:
    row = table().get(TableKey(kind, key)) if kind == "category" else None
    return row.short if row else label(key, kind)


def is_sensitive(key: str, kind: Kind = "category") -> bool:
    """Whether a message must not name this by itself: the table's column, or the same rule by words elsewhere."""
    if AND in key:
        return any(is_sensitive(part, kind) for part in covered(key))
    row = table().get(TableKey(kind, key))
    return row.sensitive if row else bool(_PRIVATE.search(_words(key)))


def is_couponable(key: str, kind: Kind = "category") -> bool:
    """Whether a coupon on this makes sense and is lawful: the table's column, or the same rule by words elsewhere."""
    if AND in key:
        return all(is_couponable(part, kind) for part in covered(key))
    row = table().get(TableKey(kind, key))
    return row.couponable if row else not _NO_COUPON.search(_words(key))


def _plain(key: str) -> str:
    """Without control characters, blanks collapsed."""
    kept = "".join(" " if unicodedata.category(c) in ("Cc", "Cf", "Zs") else c for c in key)
    return " ".join(kept.split())


def _words(key: str) -> str:
    return _CAMEL.sub(" ", _plain(key).replace("_", " "))


def _tidy(clean: str) -> Words:
    levels = [part for part in _LEVELS.split(clean) if part.strip(" _-/")]
    last = levels[-1] if levels else clean
    text = re.sub(r"[\s_]+", " ", last).strip(" -/,&")
    if not _HAN.search(text):
        english = _lower(text)
        return Words(zh=english, en=english)
    chinese = re.sub(r"[A-Za-z][A-Za-z0-9 '&/-]*", "", text).strip(" ()（）-/,，&·")
    foreign = " ".join(re.findall(r"[A-Za-z][A-Za-z0-9'&/-]*", text)).strip(" -/&")
    if not _HAN.search(chinese) or len(foreign) < 3:  # 'T恤' is one word, not two languages
        return Words(zh=text, en=text)
    return Words(zh=chinese, en=_lower(foreign))


def _lower(text: str) -> str:
    shouted = text.upper() == text
    spaced = _CAMEL.sub(" ", text) if not shouted else text
    spaced = re.sub(r"\s*[&/]\s*", " and ", spaced)
    keep = _ACRONYMS if shouted else _ACRONYMS | {w for w in spaced.split() if w.isupper() and len(w) <= 4}
    return " ".join(word if word in keep else word.lower() for word in spaced.split())
