"""Look up the sentences of server/translations.tsv by group and key in the current language."""

from functools import lru_cache

from promolift.foundation.i18n.formatting import current_locale
from promolift.foundation.i18n.text import LocalizedText
from promolift.foundation.settings import read_tsv
from promolift.server.ledger.schema import Refused


@lru_cache
def _words() -> dict[str, dict[str, LocalizedText]]:
    found: dict[str, dict[str, LocalizedText]] = {}
    for group, key, en, zh in read_tsv("server/translations.tsv"):
        found.setdefault(group, {})[key] = LocalizedText(en=en, zh=zh)
    return found


def translate_key(group: str, key: str) -> str:
    """Return the text of a key; the key itself where the table has none."""
    words = _words()[group].get(key)
    return words.text_in(current_locale()) if words else key


def translate_group(group: str) -> dict[str, str]:
    """Return all texts of a group, in their order."""
    return {key: words.text_in(current_locale()) for key, words in _words()[group].items()}


def translate_refusal(code: str) -> Refused:
    """Return the refusal with this code, with its text."""
    return Refused(code, translate_key("refused", code))
