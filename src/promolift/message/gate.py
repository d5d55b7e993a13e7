"""A message in; every reason why it may not leave out. Code, microseconds, no model.

`write` fills a message and looks for what construction alone does not give: numerals outside the spans that code
filled, a text that lint refuses, private data, other people's names, private goods, smuggled orders, length and
notices. `gate` does the same for a finished one, and finds whatever letter was changed since.
"""

import re
from functools import lru_cache

from promolift.errors import InputError
from promolift.message.angles import Angle, Known
from promolift.message.channels import SOURCES, breaches
from promolift.message.drafts import Draft
from promolift.message.fill import PLAIN, Message, Way, fill, sayable
from promolift.message.lint import Finding, findings
from promolift.message.names import SMUGGLED, is_sensitive
from promolift.terms import Language, Offer, covered

_NUMERAL = re.compile(
    r"[\d０-９%％¥￥$€£]|[零二两三四五六七八九十百千万](?=[折元块天月日年成]|[零一二三四五六七八九十百千万])|折|半价"
)
_OURS = "the offer: a message says what the offer says, no more and no less"
_PRIVACY = "Personal Information Protection Law of the PRC (2021), articles 6 and 28; GDPR, article 5"


def write(offer: Offer, known: Known, language: Language, draft: Draft | None = None, way: Way = PLAIN) -> Message:
    """A true message, gated. InputError, naming offer, rules and words, where the offer itself cannot be said.

    A purchase that cannot be mentioned truly and a name that cannot stand in a greeting are left out, and with it the
    words that rely on it.
    """
    may = sayable(offer, known)
    message = fill(offer, may, language, draft, way)
    wrong = _faults(message, message.text, offer, may, language, draft, way)
    if wrong and draft is not None:
        message = fill(offer, may, language, None, way)
        wrong = _faults(message, message.text, offer, may, language, None, way)
    if wrong:
        told = "; ".join(f"{each.code} {each.span!r} ({each.why})" for each in wrong[:3])
        raise InputError(f"message: offer {offer.id!r} cannot be said in {language}: {told}; change its label or terms")
    return message


def gate(
    title: str, text: str, offer: Offer, known: Known, language: Language, draft: Draft | None = None, way: Way = PLAIN
) -> list[Finding]:  # fmt: skip
    """Why a finished message may not leave; empty: it may. `draft` is the text of the pool that it was filled from.

    For a message that was kept somewhere: it is filled again and compared letter by letter.
    """
    again = fill(offer, known, language, draft, way)
    found: list[Finding] = []
    for said, right in ((title, again.title), (text, again.text)):
        if said != right:
            at = next(
                (i for i, (a, b) in enumerate(zip(said, right, strict=False)) if a != b), min(len(said), len(right))
            )
            found.append(Finding("changed", said[at : at + 12], "this is not what code filled in", _OURS))
    return found + _faults(again, text, offer, known, language, draft, way)


def _faults(
    message: Message, text: str, offer: Offer, known: Known, language: Language, draft: Draft | None, way: Way
) -> list[Finding]:  # fmt: skip
    """What construction alone does not give."""
    found: list[Finding] = []
    title = message.title
    literal = "\n".join(part.text for part in (*message.titles, *message.said, *message.rest) if part.kind is None)
    if bare := _NUMERAL.search(literal):
        found.append(Finding("number", bare.group(), "a numeral that code did not fill in", _OURS))
    if draft is not None:
        found += _linted(draft, known.angle, language)
    for fault in _label_faults(offer, language):
        if not (fault.code == "sensitive_name" and known.allow_sensitive):
            found.append(fault)
    for private in known.private:
        if private and private in text + title:
            found.append(Finding("profile_leak", private, "a fact of the profile", _PRIVACY))
    for other in known.other_names:
        if len(other.strip()) > 1 and other != known.name and other in text:
            found.append(Finding("wrong_name", other, "another customer's name", _PRIVACY))
    for each in breaches(text, offer, way.channel, way.packs, way.sender, known, language):
        found.append(Finding(each.code, text[each.start : each.end][:40], each.why, SOURCES[each.code]))
    return found


_HIDDEN = re.compile(r"[<>{}\[\]\\|\x00-\x1f\u200b-\u200f\u202a-\u202e\u2066-\u2069]|https?://|www\.")


@lru_cache(maxsize=8192)
def _linted(draft: Draft, angle: Angle, language: Language) -> list[Finding]:
    return findings(draft, angle, language)


@lru_cache(maxsize=65_536)
def _label_faults(offer: Offer, language: Language) -> tuple[Finding, ...]:
    """A label that is a private matter, or smuggles."""
    found, label = [], offer.label.in_(language) if offer.label else ""
    names = (offer.label.zh, offer.label.en) if offer.label and offer.scope == "product" else ()
    parts = covered(offer.covers) if offer.scope == "category" else ()
    if any(map(is_sensitive, parts)) or any(is_sensitive(name, "product") for name in names):
        why = f"{offer.covers!r} is a private matter; a message must not name it"
        found.append(Finding("sensitive_name", label, why, _PRIVACY))
    if bad := SMUGGLED.search(label) or _HIDDEN.search(label):
        found.append(Finding("injection", bad.group(), "a label is a name, no offer, link or order", _OURS))
    return tuple(found)
