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
_LANGUAGE: ContextVar[str] = ContextVar("language", default="en")


@contextmanager
def use_locale(language: str) -> Iterator[None]:
    """Use a language for all text that is made inside the block. Outside of any block it is English."""
    before = _LANGUAGE.set(language)
    try:
        yield
    finally:
        _LANGUAGE.reset(before)


def current_locale() -> Locale:
    """Return the language of what code writes in two forms alone: numbers, and texts for customers."""
    return "zh" if _LANGUAGE.get() == "zh" else "en"


def gettext(message: str, /, **arguments: object) -> str:
    """Return the message in the language that is in use, with its arguments. An argument that is itself text for
    people is translated before.
    """
    return _fill(load_catalogue(_LANGUAGE.get()).gettext(message), arguments)


def pgettext(context: str, message: str, /, **arguments: object) -> str:
    """Return a message that other places translate otherwise: `context` says which meaning is wanted."""
    return _fill(load_catalogue(_LANGUAGE.get()).pgettext(context, message), arguments)


def ngettext(one: str, many: str, n: object, /, **arguments: object) -> str:
    """Return the form of a message that fits the count `n`, rounded. An unknown count takes the form for many."""
    return _fill(load_catalogue(_LANGUAGE.get()).ngettext(one, many, _whole(n)), arguments)


def gettext_noop(message: str) -> str:
    """Mark a text for the catalogue where it is defined; `gettext` translates it where it is shown."""
    return message


def pgettext_noop(context: str, message: str) -> str:
    """Mark a text for the catalogue as `gettext_noop` does; `pgettext` translates it with the same context."""
    return message


@lru_cache
def load_catalogue(language: str) -> NullTranslations:
    """Load the catalogue of a language; the empty one for English, whose texts are the ids, and where there is none."""
    file = files("promolift.foundation.i18n").joinpath("locale", language, "LC_MESSAGES", "promolift.po")
    if language == "en" or not file.is_file():
        return NullTranslations()
    from babel.messages.mofile import write_mo  # not needed for English
    from babel.messages.pofile import read_po

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
