"""A sentence in English in; the same in Chinese, by the catalogue chinese.tsv, out.

What is said is written in English, with its numbers in it. The catalogue holds each of these sentences as a pattern,
where `{}` stands for what differs, beside its Chinese, where `{0}` is the first of them. Groups of customers are named
by a function of their own.
"""

import re
from collections import defaultdict
from collections.abc import Mapping
from functools import lru_cache
from typing import NamedTuple

from promolift.foundation.i18n.formatting import spoken
from promolift.foundation.settings import rows_of

WORD = re.compile(r"[A-Za-z]+")
OWN = re.compile(r"(?<![}A-Za-z])[A-Za-z]+(?![{A-Za-z])")  # a word of a pattern that no fill can lengthen


class Pattern(NamedTuple):
    """A sentence of the catalogue: how many of its letters are its own, what matches its English, and its Chinese."""

    own: int
    english: re.Pattern[str]
    chinese: str


def kept(text: str, names: Mapping[str, str] | None = None) -> str:
    """`text` in the language that is spoken; `names`: see `in_chinese`."""
    return in_chinese(text, names) if spoken() == "zh" else text


def in_chinese(text: str, names: Mapping[str, str] | None = None) -> str:
    """`text` in Chinese; as it is where the catalogue does not hold it. What fills a pattern is looked up, too; `names`
    are the Chinese of further names that stand in it.
    """
    if names and text in names:
        return names[text]
    for _, english, chinese in near(text):
        if found := english.fullmatch(text):
            return chinese.format(*(in_chinese(each, names) for each in found.groups()))
    return text


def line_in_chinese(line: str) -> str:
    """A line of which nobody knows whether it is a sentence: in Chinese where the catalogue holds it by words, else as
    it is, whatever commas and colons are in it.
    """
    worded = any(each.english.fullmatch(line) for word in WORD.findall(line) for each in catalogue().get(word, ()))
    return in_chinese(line) if worded else line


def near(text: str) -> list[Pattern]:
    """Patterns that share a word with `text`, and those without words; the one with the most letters of its own first,
    so that a general one takes no other's place.
    """
    words = sorted({"", *WORD.findall(text)})
    return sorted((each for word in words for each in catalogue().get(word, ())), key=lambda each: -each.own)


@lru_cache
def catalogue() -> Mapping[str, list[Pattern]]:
    """All of it, each pattern under its longest word."""
    found = defaultdict(list)
    for en, zh in rows_of("foundation/i18n/sentences_zh.tsv"):
        english = re.compile(re.escape(en).replace(r"\{\}", "(.*?)"), re.S)
        found[max(OWN.findall(en), key=len, default="")].append(Pattern(len(en.replace("{}", "")), english, zh))
    return dict(found)
