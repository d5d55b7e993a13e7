"""Translate English lines that the command line prints to Chinese, with the catalogue and with sentences_zh.tsv.

sentences_zh.tsv holds the sentences that are not messages of the catalogue yet: each as a pattern, in which `{}` stands
for the variable parts, beside its Chinese, in which `{0}` is the first of them. A sentence that becomes a message
(`lazy_message.py`) leaves that file; nothing is added to it.
"""

import re
from collections import defaultdict
from collections.abc import Mapping
from functools import lru_cache
from typing import NamedTuple

from promolift.foundation.i18n import catalogue
from promolift.foundation.settings import read_tsv

WORD = re.compile(r"[A-Za-z]+")
WHOLE_WORD = re.compile(r"(?<![}A-Za-z])[A-Za-z]+(?![{A-Za-z])")  # a word of a pattern that no fill can lengthen


class CatalogueMessage(NamedTuple):
    """A sentence of the catalogue: the number of its fixed characters, a pattern of its English, and its Chinese."""

    literal_letters: int
    english: re.Pattern[str]
    chinese: str


def to_chinese(text: str) -> str:
    """Return `text` in Chinese, or unchanged if no entry fits. Its variable parts are translated too."""
    patterns = candidate_patterns(text)
    if text and not any(each.english.groups == 0 and each.english.fullmatch(text) for each in patterns):
        message = catalogue.load_catalogue("zh").gettext(text)
        if message != text:
            return message
    for _, english, chinese in patterns:
        if found := english.fullmatch(text):
            return chinese.format(*(to_chinese(each) for each in found.groups()))
    return text


def line_to_chinese(line: str) -> str:
    """Translate a line that may or may not be a sentence: only if the catalogue holds it by a word. Otherwise it stays
    unchanged, whatever commas and colons it contains.
    """
    worded = any(each.english.fullmatch(line) for word in WORD.findall(line) for each in load_catalogue().get(word, ()))
    return to_chinese(line) if worded else line


def candidate_patterns(text: str) -> list[CatalogueMessage]:
    """Return the entries that share a word with `text` and those without words. The entry with the most fixed
    characters comes first, so that a general entry does not win over a specific one.
    """
    words = sorted({"", *WORD.findall(text)})
    return sorted(
        (each for word in words for each in load_catalogue().get(word, ())), key=lambda each: -each.literal_letters
    )


@lru_cache
def load_catalogue() -> Mapping[str, list[CatalogueMessage]]:
    """Load the catalogue: every entry under its longest word."""
    found = defaultdict(list)
    for en, zh in read_tsv("foundation/i18n/sentences_zh.tsv"):
        english = re.compile(re.escape(en).replace(r"\{\}", "(.*?)"), re.S)
        found[max(WHOLE_WORD.findall(en), key=len, default="")].append(
            CatalogueMessage(len(en.replace("{}", "")), english, zh)
        )
    return dict(found)
