"""The audiences that a play may name, in plain words, with the benefits that are tried on each."""

from functools import cache
from typing import NamedTuple

from promolift.foundation.i18n.catalogue import pgettext
from promolift.foundation.settings import read_tsv

READ_FROM_LOG = "-"  # in place of a query: `core/experiments/audiences.py` and the carts tell who belongs to it


class NamedAudience(NamedTuple):
    """Its name, the query (None where the log's return curve, rhythms or carts tell), the benefits to try, who belongs
    to it, and why it may be empty."""

    name: str
    query: str | None
    benefits: tuple[str, ...]
    who: str
    why_empty: str

    @property
    def title(self) -> str:
        """Its name, in the language that is spoken."""
        return pgettext("audience", self.name)

    @property
    def words(self) -> str:
        """Who belongs to it, in the language that is spoken."""
        return pgettext("audience", self.who)

    @property
    def empty_words(self) -> str:
        """Why it may be empty, in the language that is spoken."""
        return pgettext("audience", self.why_empty)


@cache
def named_audiences() -> dict[str, NamedAudience]:
    """Return all of them by name, in the order in which customers are sorted into them."""
    found = {}
    for name, query, benefits, *words in read_tsv("core/customers/named_audiences.tsv"):
        listed = tuple(filter(None, benefits.split(", ")))
        found[name] = NamedAudience(name, None if query == READ_FROM_LOG else query, listed, *words)
    return found
