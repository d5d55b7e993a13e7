"""A pseudo-language: every message of the catalogue in brackets, so that a word outside brackets is no message."""

import re
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from gettext import NullTranslations

import pytest

from promolift.foundation.i18n import catalogue

MESSAGE = re.compile(r"⟦[^⟦⟧]*⟧")
WORD = re.compile(r"[A-Za-z]{3,}")


class Pseudo(NullTranslations):
    """A language that has every message of the Chinese catalogue: its English in brackets. Other texts stay."""

    def __init__(self) -> None:
        super().__init__()
        self._catalog = catalogue.load_catalogue("zh")._catalog  # type: ignore[attr-defined]
        self.known = {each[0] if isinstance(each, tuple) else each for each in self._catalog}

    def gettext(self, message: str) -> str:
        return f"⟦{message}⟧" if message in self.known else message

    def pgettext(self, context: str, message: str) -> str:
        return f"⟦{message}⟧" if f"{context}\4{message}" in self.known else message

    def ngettext(self, msgid1: str, msgid2: str, n: int) -> str:
        text = msgid1 if n == 1 else msgid2
        return f"⟦{text}⟧" if msgid1 in self.known else text


@contextmanager
def pseudo_language(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Show every message in brackets inside the block."""
    language = Pseudo()
    with monkeypatch.context() as patched:
        patched.setattr(catalogue, "load_catalogue", lambda _: language)
        yield


def without_messages(text: str) -> str:
    """A text without the messages in it."""
    while (shorter := MESSAGE.sub(" ", text)) != text:
        text = shorter
    return text


def words_outside(text: str, values: Collection[str] = ()) -> list[str]:
    """The lines of a text that have words outside messages. `values` are those of the shop, such as names of goods."""
    text = without_messages(text)
    for value in sorted(values, key=len, reverse=True):
        text = text.replace(value, " ")
    return sorted({" ".join(line.split()) for line in text.splitlines() if WORD.search(line)})
