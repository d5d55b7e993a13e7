"""A group and a key in; its words, of server/translations.tsv, in the language that is spoken, out."""

from functools import lru_cache

from promolift.foundation.i18n.formatting import spoken
from promolift.foundation.i18n.text import Words
from promolift.foundation.settings import rows_of
from promolift.server.ledger.schema import Refused


@lru_cache
def _words() -> dict[str, dict[str, Words]]:
    found: dict[str, dict[str, Words]] = {}
    for group, key, en, zh in rows_of("server/translations.tsv"):
        found.setdefault(group, {})[key] = Words(en=en, zh=zh)
    return found


def worded(group: str, key: str) -> str:
    """The words of a key; the key itself where the table has none."""
    words = _words()[group].get(key)
    return words.in_(spoken()) if words else key


def all_worded(group: str) -> dict[str, str]:
    """All of a group, in their order."""
    return {key: words.in_(spoken()) for key, words in _words()[group].items()}


def refused(code: str) -> Refused:
    """The refusal of this code, in words for people."""
    return Refused(code, worded("refused", code))
