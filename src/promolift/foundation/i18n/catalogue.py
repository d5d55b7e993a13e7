"""Look texts up in the catalogue of the language that is in use (gettext).

The code writes every text in English, with named arguments: `gettext("{customers} customers get none.", customers=n)`.
The English text is the id of the message. Its translation stands in `locale/<language>/LC_MESSAGES/promolift.po`; a
text that is missing there is shown in English.
"""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import lru_cache
from gettext import GNUTranslations, NullTranslations
from importlib.resources import files
from io import BytesIO
from typing import Literal

Locale = Literal["zh", "en"]
_LOCALE: ContextVar[Locale] = ContextVar("locale", default="en")


@contextmanager
def use_locale(language: Locale) -> Iterator[None]:
    """Use a language for all text that is made inside the block. Outside of any block it is English."""
    before = _LOCALE.set(language)
    try:
        yield
    finally:
        _LOCALE.reset(before)


def current_locale() -> Locale:
    """Return the language that is in use."""
    return _LOCALE.get()


def gettext(message: str, /, **arguments: object) -> str:
    """Return the message in the language that is in use, with its arguments. An argument that is itself text for
    people is translated before.
    """
    return _fill(load_catalogue(_LOCALE.get()).gettext(message), arguments)


def pgettext(context: str, message: str, /, **arguments: object) -> str:
    """Return a message that other places translate otherwise: `context` says which meaning is wanted."""
    return _fill(load_catalogue(_LOCALE.get()).pgettext(context, message), arguments)


def ngettext(one: str, many: str, n: object, /, **arguments: object) -> str:
    """Return the form of a message that fits the count `n`, rounded. An unknown count takes the form for many."""
    return _fill(load_catalogue(_LOCALE.get()).ngettext(one, many, _whole(n)), arguments)


def gettext_noop(message: str) -> str:
    """Mark a text for the catalogue where it is defined; `gettext` translates it where it is shown."""
    return message


@lru_cache
def load_catalogue(language: str) -> NullTranslations:
    """Load the catalogue of a language; the empty one for English, whose texts are the ids."""
    if language == "en":
        return NullTranslations()
    from babel.messages.mofile import write_mo  # not needed for English
    from babel.messages.pofile import read_po

    file = files("promolift.foundation.i18n").joinpath("locale", language, "LC_MESSAGES", "promolift.po")
    compiled = BytesIO()
    with file.open("rb") as source:
        write_mo(compiled, read_po(source, locale=language))
    compiled.seek(0)
    return GNUTranslations(compiled)


def _fill(text: str, arguments: dict[str, object]) -> str:
    return text.format(**arguments) if arguments else text


def _whole(n: object) -> int:
    try:
        number = float(n)  # type: ignore[arg-type]
    except (TypeError, ValueError, OverflowError):
        return 0
    return round(number) if math.isfinite(number) else 0
