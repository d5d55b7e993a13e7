"""Regular expressions that find one identifier as a whole.

It is an id, an e-mail address, a phone number, or a short id after the name of a customer column.
"""

import json
import re
from collections.abc import Collection, Iterator
from html import escape
from typing import NamedTuple
from urllib.parse import quote, quote_plus

PHONE_DIGITS = 9  # that tell a number from others: a country's code or a leading 0 may be left out
SEPARATORS = " ().-"  # of a phone number
# What may stand before an identifier though it ends in a letter or digit: escapes of JSON and of URLs.
WITHOUT_SEPARATORS = {ord(sign): None for sign in SEPARATORS}
ESCAPES = r"\\[nrtbf]|\\u[0-9A-Fa-f]{4}|%[0-9A-Fa-f]{2}"


class ByteSpan(NamedTuple):
    """A part of bytes."""

    start: int
    end: int


class Pattern(NamedTuple):
    """A regular expression that Python and DuckDB read alike, and texts of which one stands in all that it finds, once
    the signs in `SEPARATORS` are left out if it is `spaced`.
    """

    regex: str
    literals: tuple[str, ...]
    digits: bool = False  # it may stand in a column of numbers
    spaced: bool = False
    core: str = ""  # a quick regular expression of its middle, where a text alone does not find it
    start: str = ""  # one from its beginning to the end of its middle, where many texts have the middle

    def candidates(self, small: bytes) -> Iterator[ByteSpan]:
        """Where it may stand in bytes, in small letters."""
        bare = small.translate(None, SEPARATORS.encode()) if self.spaced else small
        if not any(word.encode() in bare for word in self.literals):
            return
        if self.core:
            yield from (ByteSpan(*found.span()) for found in re.finditer(self.core.encode(), small))
        else:
            words = dict.fromkeys(word.encode() for word in self.literals)
            yield from (ByteSpan(at, at + len(word)) for word in words for at in places_of(small, word))


def named_pattern(identifier: str, columns: Collection[str]) -> Pattern:
    """Return the pattern of a short id after the name of one of the columns."""
    keys = "|".join(sorted(map(re.escape, columns), key=len, reverse=True))
    mark = r"""[\\"' ]{0,6}"""
    value = "|".join(map(re.escape, _forms(identifier)))
    end = "(?:$|[^A-Za-z0-9_.-]|[.-](?:$|[^A-Za-z0-9]))"
    named = rf"(?:^|[^A-Za-z])(?:{keys}){mark}[:=/]{mark}(?:{value})(?:\.0)?{end}"
    core = rf"[:=/]{mark}(?:{value.lower()})"
    start = rf"(?:{keys}){mark}[:=/]{mark}(?:{value})$"
    return Pattern(named, tuple(each.lower() for each in _forms(identifier)), core=core, start=start)


def _forms(identifier: str) -> list[str]:
    """An identifier as it stands in a text, and as URLs, HTML and JSON write it."""
    said = json.dumps(identifier)[1:-1]
    return sorted(
        {
            identifier,
            quote(identifier, safe=""),
            quote_plus(identifier),
            escape(identifier),
            said,
            json.dumps(said)[1:-1],
        }
    )


def whole_pattern(identifier: str) -> Pattern:
    """Return the pattern of an id that stands alone: no letter or digit goes on from it."""
    before = f"(?:^|[^A-Za-z0-9]|{ESCAPES})" if identifier[:1].isascii() and identifier[:1].isalnum() else ""
    after = "(?:$|[^A-Za-z0-9])" if identifier[-1:].isascii() and identifier[-1:].isalnum() else ""
    forms = _forms(identifier)
    pattern = f"{before}(?:{'|'.join(map(re.escape, forms))}){after}"
    return Pattern(pattern, tuple(each.lower() for each in forms), digits=identifier.isdigit())


def contact_pattern(text: str) -> Pattern:
    """Return the pattern of an e-mail address, or of a phone number's digits."""
    return email_pattern(text) if "@" in text else phone_pattern(text)


def email_pattern(address: str) -> Pattern:
    """Return the pattern of an e-mail address that stands alone."""
    forms = _forms(address.lower())
    after = "(?:$|[^A-Za-z0-9.-]|[.-](?:$|[^A-Za-z0-9]))"
    pattern = f"(?:^|[^A-Za-z0-9._%+-]|{ESCAPES})(?:{'|'.join(map(re.escape, forms))}){after}"
    return Pattern(pattern, tuple(each.lower() for each in forms))


def phone_pattern(number: str) -> Pattern:
    """Return the pattern of the last digits with what people put between them, and before them a country's code."""
    between = f"[{re.escape(SEPARATORS)}]{{0,3}}"
    digits = number[-PHONE_DIGITS:]
    pattern = f"(?:^|[^0-9])(?:[0-9]{between}){{0,5}}{between.join(digits)}(?:$|[^0-9])"
    return Pattern(pattern, (digits,), digits=True, spaced=True, core=between.join(digits))


def places_of(data: bytes, word: bytes) -> Iterator[int]:
    """Yield where a word begins."""
    at = data.find(word)
    while at >= 0:
        yield at
        at = data.find(word, at + len(word))
