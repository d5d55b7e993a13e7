"""Look up the texts of server/translations.tsv by group and key; the catalogue has them in other languages."""

from functools import lru_cache

from promolift.foundation.i18n.catalogue import pgettext
from promolift.foundation.i18n.lazy_message import LazyMessage
from promolift.foundation.settings import read_tsv
from promolift.server.ledger.schema import Refused


@lru_cache
def _texts() -> dict[str, dict[str, str]]:
    found: dict[str, dict[str, str]] = {}
    for group, key, text in read_tsv("server/translations.tsv"):
        found.setdefault(group, {})[key] = text
    return found


def translate_key(group: str, key: str) -> str:
    """Return the text of a key; the key itself where the table has none."""
    text = _texts()[group].get(key)
    return key if text is None else pgettext(group, text)


def translate_group(group: str) -> dict[str, str]:
    """Return all texts of a group, in their order."""
    return {key: pgettext(group, text) for key, text in _texts()[group].items()}


def translate_refusal(code: str) -> Refused:
    """Return the refusal with this code, with its text."""
    return Refused(code, LazyMessage.untranslated(translate_key("refused", code)))
