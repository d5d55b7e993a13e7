"""A sentence that a step kept in English in; the same in Chinese, by the catalogue chinese.tsv, out.

Steps keep their reasons in English, with their numbers in them. The catalogue holds each of these sentences as a
pattern, where `{}` stands for what differs, beside its Chinese, where `{0}` is the first of them.
"""

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import NamedTuple

from promolift.settings import rows_of
from promolift.words import spoken


class Pattern(NamedTuple):
    """A sentence of the catalogue: what matches its English, and its Chinese."""

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
    for english, chinese in catalogue():
        if found := english.fullmatch(text):
            return chinese.format(*(in_chinese(each, names) for each in found.groups()))
    return text


@lru_cache
def catalogue() -> tuple[Pattern, ...]:
    """All of it; the pattern with the most words of its own first, so that a general one takes no other's place."""
    pairs = sorted(rows_of("results/chinese.tsv"), key=lambda pair: -len(pair[0].replace("{}", "")))
    return tuple(Pattern(re.compile(re.escape(en).replace(r"\{\}", "(.+?)"), re.S), zh) for en, zh in pairs)
