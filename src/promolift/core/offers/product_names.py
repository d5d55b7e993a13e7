"""Map a shop's own keys to readable names in Chinese and English, and decide what may be named or discounted.

`product_names.csv` (package data, read once) knows the categories and departments of the Complete Journey. Any other
key is tidied by rule, see `readable_name`.
"""

import csv
import re
import tomllib
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache, lru_cache
from importlib.resources import files
from types import MappingProxyType
from typing import Any, Literal, NamedTuple

from promolift.core.customers.sensitive_topics import names_sensitive_topic
from promolift.core.offers.terms import covered_targets
from promolift.foundation.errors import InputError
from promolift.foundation.i18n.lazy_message import gettext_lazy
from promolift.foundation.localized_text import CATEGORY_SEPARATOR, Language, LocalizedText, reads_in

NameKind = Literal["category", "department", "product"]

_HAN = re.compile(r"[\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff]")
_LEVELS = re.compile(r"\s*(?:>|\||::|»)\s*|(?<=\w)\.(?=[A-Za-z])")
_CAMEL = re.compile(r"(?<=[a-z])(?=[A-Z])")
_ACRONYMS = frozenset("BBQ CD DIY DVD EV GPS HDMI LED LP PC SSD TV UHT USB VR".split())  # noqa: SIM905
_NO_NAME: dict[NameKind, LocalizedText] = {
    "category": LocalizedText(zh="品类", en="category"),
    "department": LocalizedText(zh="部门", en="department"),
    "product": LocalizedText(zh="商品", en="product"),
}


def load_toml(path: str) -> dict[str, Any]:
    """A TOML file of the package's `core`."""
    return tomllib.loads(files("promolift.core").joinpath(path).read_text(encoding="utf-8"))


_DATA = load_toml("offers/product_names.toml")
_PAIRS = "".join(_DATA.pop("simplified").split())
_SIMPLIFIED = str.maketrans(_PAIRS[::2], _PAIRS[1::2])
_RULES = {name: re.compile("|".join(parts), re.IGNORECASE) for name, parts in _DATA.items()}
NO_PERSON = _RULES["no_person"]


LONGEST_NAME, SHORTEST_NAME = 60, 8  # characters of a product's printed name: a title of a marketplace says more
_TITLE_ENDS = (", ", "，", " - ", " – ", " / ", "; ", "(", "（", "【")
_PRINTED = str.maketrans({"[": "(", "{": "(", "]": ")", "}": ")", "|": "/", "\\": "/", "<": None, ">": None})
_BLANK_INSIDE = re.compile(r"(?<=[\u4e00-\u9fff\d])\s+(?=[\u4e00-\u9fff])|(?<=[\u4e00-\u9fff])\s+(?=\d)")
_SPACED_LETTERS = re.compile(r"(?<=\b[A-Za-z]) +(?=[A-Za-z]\b)")
_PLAIN_SIGNS = "®©°™℠℃℉№"
MARKUP = re.compile(r"[<>{}\[\]\\|\x00-\x1f\u200b-\u200f\u202a-\u202e\u2066-\u2069]|https?://|www\.")


@dataclass(frozen=True)
class ProductName:
    """One row of product_names.csv: `sensitive` must not be mentioned by itself, `couponable` may carry a discount.

    `short` is what stands beside a second name: "salad dressing" for "salad dressing and mayonnaise".
    """

    words: LocalizedText
    sensitive: bool
    couponable: bool
    short: LocalizedText


class TableKey(NamedTuple):
    """What a row of product_names.csv is found by."""

    kind: str
    key: str


@cache
def load_product_names() -> dict[TableKey, ProductName]:
    """All rows of product_names.csv by (kind, key)."""
    text = files("promolift.core.offers").joinpath("product_names.csv").read_text(encoding="utf-8")
    rows = csv.DictReader(line for line in text.splitlines() if not line.startswith("#"))
    return {
        TableKey(row["kind"], row["key"]): ProductName(
            LocalizedText(zh=row["zh"], en=row["en"]),
            row["sensitive"] == "true",
            row["couponable"] == "true",
            LocalizedText(
                zh=row["short_zh"] or re.split("[与、]", row["zh"])[0],  # the first thing of a list
                en=row["short_en"] or re.split(r",| and ", row["en"])[0],
            ),
        )
        for row in rows
    }


@cache
def name_matcher(language: Language) -> re.Pattern[str]:
    """Finds the table's names in a text, to tell one category from another; without 'coupons' and the like."""
    names = {
        name.words.text_in(language) for name in load_product_names().values() if name.couponable or name.sensitive
    }
    inner = "|".join(re.escape(name) for name in sorted(names, key=len, reverse=True) if len(name) > 1)
    return re.compile(rf"(?<![a-z])(?:{inner})(?![a-z])" if language == "en" else inner, re.IGNORECASE)


_NOT_PLURAL = re.compile(r"(?:ss|us|is|news|(?:care|hygiene) products?)$")
_TWO_KINDS = re.compile(r"^\w+[^e]ed and \w+ \w+$")  # of one thing


def is_plural(english: str) -> bool:
    """Whether a name takes 'are': 'eggs', 'toys and games'; 'milk', 'asparagus' and 'bottled and canned juice' 'is'."""
    name = english.lower()
    return bool(" and " in name and not _TWO_KINDS.search(name)) or bool(
        name.endswith("s") and not _NOT_PLURAL.search(name)
    )


def readable_name(
    key: str, kind: NameKind = "category", everyday: Mapping[str, LocalizedText] = MappingProxyType({})
) -> LocalizedText:
    """The readable name of a category, department or product; raises InputError for an empty key.

    A key of `everyday`, the shop's own names, has the name there; a key of the table has its own row.
    Otherwise: of a path (`Home > Kitchen > Knives`, `home.kitchen`) the last
    level counts; underscores become blanks; `&` and `/` become `and`; capitals become lower case, short acronyms
    excepted ('HOME_DECOR' -> 'home decor'). There is no translation by guess: a key in one script serves both languages
    as it is, of a key in both scripts ('零食 Snacks') each language takes its own part. A product's name stays as
    printed, blanks tidied and brackets round, of a title of more than 60 characters its first part. A mere number says
    nothing and gets a word before it: 'product 851', '商品851'. An offer on two at once names both, each by its short
    name: 'coffee and tea', '咖啡、茶'.
    """
    if key in everyday:
        return everyday[key]
    if CATEGORY_SEPARATOR in key:
        both = [everyday.get(part) or _short(part, kind) for part in covered_targets(key)]
        joiner = " plus " if any(" and " in w.en for w in both) else " and "
        return LocalizedText(zh="、".join(w.zh for w in both), en=joiner.join(w.en for w in both))
    clean = _printable(_plain(key)) if kind == "product" else _plain(key)
    if not clean:
        raise InputError(
            "value_missing",
            gettext_lazy(
                "message: empty {kind} name {key}; give the {kind} a key or leave the offer out",
                kind=kind,
                key=repr(key),
            ),
        )
    row = load_product_names().get(TableKey(kind, key)) or load_product_names().get(TableKey(kind, key.strip()))
    if row:
        return row.words
    if not any(character.isalpha() for character in clean):
        noun = _NO_NAME[kind]
        return LocalizedText(zh=f"{noun.zh}{clean}", en=f"{noun.en} {clean}")
    if brand := brand_in_latin(clean):
        return LocalizedText(zh=brand, en=brand)
    return LocalizedText(zh=clean, en=clean) if kind == "product" else _tidy(clean)


def _short(key: str, kind: NameKind) -> LocalizedText:
    row = load_product_names().get(TableKey(kind, key)) if kind == "category" else None
    return row.short if row else readable_name(key, kind)


def is_sensitive(key: str, kind: NameKind = "category") -> bool:
    """Whether a message must not name this by itself: the table's column, or the same rule by words elsewhere."""
    if CATEGORY_SEPARATOR in key:
        return any(is_sensitive(part, kind) for part in covered_targets(key))
    row = load_product_names().get(TableKey(kind, key))
    return row.sensitive if row else bool(_RULES["private"].search(_words(key))) or names_sensitive_topic(_words(key))


@lru_cache(maxsize=65_536)
def is_unfit(name: str) -> bool:
    """Whether a message must not name a purchase by this: a private matter, or an offer, claim or order in disguise."""
    return is_sensitive(name) or is_sensitive(name, "product") or makes_claim(name)


@lru_cache(maxsize=65_536)
def makes_claim(name: str) -> bool:
    """Whether a name says what only the offer may say, or what nothing may: a discount, a superlative, a cure, a
    deadline, a contact, an order to a machine; in any width, in traditional characters, with blanks between, or by
    signs such as 🆓."""
    if any(unicodedata.category(c) == "So" and c not in _PLAIN_SIGNS for c in name):
        return True
    seen = "".join(c for c in unicodedata.normalize("NFKC", name) if unicodedata.category(c) != "Cf")
    plain = seen.translate(_SIMPLIFIED)
    spellings = (plain, _BLANK_INSIDE.sub("", plain), _SPACED_LETTERS.sub("", plain))
    return any(_RULES["smuggled"].search(each) for each in spellings)


def is_printable(name: str) -> bool:
    """Whether a message may print this as the name of what is offered: no claim, no markup, no hidden sign, and short
    enough for two names."""
    return len(name) <= 2 * LONGEST_NAME and not MARKUP.search(name) and not makes_claim(name)


_BRACKETS = re.compile(r"[(（【].*?[)）】]")
_MODEL = re.compile(
    r"(?=.*\d)[A-Za-z\d./+-]+$|[A-Z]{1,3}$|(?:Pro|Max|Plus|Mini|Ultra|Air|Lite|Note|Edge|Fold|Flip|Go|One)$"
)


@cache
def _brands() -> Mapping[tuple[str, ...], str]:
    """Brands as they spell themselves, by their words in small letters."""
    text = files("promolift.core.offers").joinpath("brand_names.txt").read_text(encoding="utf-8")
    names = [line.strip() for line in text.splitlines() if line.strip() and not line.startswith("#")]
    return {tuple(name.lower().split()): name for name in names}


@lru_cache(maxsize=65_536)
def brand_in_latin(name: str) -> str | None:
    """A brand that Chinese shops print in Latin letters, spelt as it spells itself, with its model: 'iPhone 15 Pro'.

    None for any other name, also for a brand with words of a language beside it ('Nike running shoes').
    """
    words, lower = name.split(), tuple(name.lower().split())
    most = next((n for n in range(min(3, len(words)), 0, -1) if lower[:n] in _brands()), 0)
    if not most or not all(_MODEL.match(word) for word in words[most:]):
        return None
    return " ".join((_brands()[lower[:most]], *words[most:]))


@lru_cache(maxsize=65_536)
def names_in(name: str, language: Language) -> bool:
    """Whether a sentence of the language can hold this name, of two goods both.

    English takes Latin letters. Chinese takes a name with Chinese characters, or a brand that Chinese shops print in
    Latin letters.
    """
    if not (reads_in(name, language) and is_printable(name)):
        return False
    if language == "en":
        return True
    parts = [_BRACKETS.sub("", part) or part for part in name.split("、")]
    return all(bool(_HAN.search(part) or brand_in_latin(part.removesuffix("商品"))) for part in parts)


def is_couponable(key: str, kind: NameKind = "category") -> bool:
    """Whether a coupon on this makes sense and is lawful: the table's column, or the same rule by words elsewhere."""
    if CATEGORY_SEPARATOR in key:
        return all(is_couponable(part, kind) for part in covered_targets(key))
    row = load_product_names().get(TableKey(kind, key))
    return row.couponable if row else not _RULES["no_coupon"].search(_words(key))


def _plain(key: str) -> str:
    signs = {c: unicodedata.category(c) for c in set(key)}
    return " ".join("".join(" " if signs[c] in ("Cc", "Zs") else c for c in key if signs[c] != "Cf").split())


def _printable(title: str) -> str:
    """The title of a product as a message prints it: brackets are round, and of a long one its first part is enough."""
    clean = " ".join(title.translate(_PRINTED).split())
    if len(clean) <= LONGEST_NAME:
        return clean
    ends = [at for sign in _TITLE_ENDS if SHORTEST_NAME <= (at := clean.find(sign, SHORTEST_NAME)) <= LONGEST_NAME]
    at = min(ends) if ends else clean.rfind(" ", SHORTEST_NAME, LONGEST_NAME + 1)
    return clean[: at if at > 0 else LONGEST_NAME].rstrip(" -–(,;/")


def _words(key: str) -> str:
    return _CAMEL.sub(" ", _plain(key).replace("_", " "))


def _tidy(clean: str) -> LocalizedText:
    levels = [part for part in _LEVELS.split(clean) if part.strip(" _-/")]
    last = levels[-1] if levels else clean
    text = re.sub(r"[\s_]+", " ", last).strip(" -/,&")
    if not _HAN.search(text):
        english = _lower(text)
        return LocalizedText(zh=english, en=english)
    chinese = re.sub(r"[A-Za-z][A-Za-z0-9 '&/-]*", "", text).strip(" ()（）-/,，&·")
    foreign = " ".join(re.findall(r"[A-Za-z][A-Za-z0-9'&/-]*", text)).strip(" -/&")
    if not _HAN.search(chinese) or len(foreign) < 3:  # 'T恤' is one word, not two languages
        return LocalizedText(zh=text, en=text)
    return LocalizedText(zh=chinese, en=_lower(foreign))


def _lower(text: str) -> str:
    shouted = text.upper() == text
    spaced = _CAMEL.sub(" ", text) if not shouted else text
    spaced = re.sub(r"\s*[&/]\s*", " and ", spaced)
    keep = _ACRONYMS if shouted else _ACRONYMS | {w for w in spaced.split() if w.isupper() and len(w) <= 4}
    return " ".join(word if word in keep else word.lower() for word in spaced.split())
