"""A draft in; what code alone can see is wrong with it out: numbers outside slots, banned words, other goods, length.

A draft is words around slots that code fills later, so it may hold no fact of an offer at all. Every finding names the
words, the rule and its source. What a text means is no matter of lint; the judge reads that.
"""

import csv
import re
from functools import cache
from importlib.resources import files
from typing import NamedTuple

from promolift.message.angles import Angle
from promolift.message.drafts import SLOT, SLOTS, Draft
from promolift.message.names import known_names
from promolift.terms import Language

LEAD: dict[Language, int] = {"zh": 8, "en": 22}  # before {deal}: the benefit is read first, also on a lock screen
LONGEST: dict[Language, tuple[int, int, int]] = {"zh": (16, 34, 18), "en": (42, 110, 60)}  # title, hook, call


class Finding(NamedTuple):
    """One thing that is wrong: a code, the words, why, and where the rule comes from."""

    code: str
    span: str
    why: str
    source: str


class Banned(NamedTuple):
    """A line of banned.csv."""

    language: str
    pattern: re.Pattern[str]
    code: str
    source: str


@cache
def banned() -> tuple[Banned, ...]:
    """All lines of banned.csv."""
    text = files("promolift.message").joinpath("banned.csv").read_text(encoding="utf-8")
    rows = csv.reader(line for line in text.splitlines()[1:] if line and not line.startswith("#"))
    # a pattern may hold commas: the first field is the language, the last two are code and source
    kept = [(row[0], ",".join(row[1:-2]), row[-2], row[-1]) for row in rows if row[0] != "language"]
    return tuple(Banned(a, re.compile(b, re.IGNORECASE), c, d) for a, b, c, d in kept)


_HAN = re.compile(r"[\u4e00-\u9fff]")


def findings(draft: Draft, angle: Angle, language: Language) -> list[Finding]:
    """Everything wrong with a draft; empty: a judge may read it."""
    whole = f"{draft.title}\n{draft.hook}\n{draft.call}"
    bare = SLOT.sub(" ", whole)
    return [*_form(draft, angle, language), *_words(bare, angle, language)]


def _ours(code: str, span: str, why: str) -> Finding:
    return Finding(code, span, why, "Ours: a draft is words around slots")


def _form(draft: Draft, angle: Angle, language: Language) -> list[Finding]:
    """Slots, lengths, script, signs."""
    found, texts = [], (draft.title, draft.hook, draft.call)
    for slot in SLOT.findall("".join(texts)):
        if slot not in SLOTS or (slot == "{bought}" and angle != "just_bought"):
            found.append(_ours("slot", slot, f"a text for {angle} cannot fill this slot"))
    lead = draft.title.partition("{deal}")[0]
    if draft.title.count("{deal}") != 1 or "{deal}" in draft.hook + draft.call or SLOT.search(lead):
        found.append(_ours("deal", draft.title, "the title holds {deal} once, no other slot before it"))
    elif len(lead) > LEAD[language]:
        found.append(_ours("deal", lead, f"at most {LEAD[language]} characters before {{deal}}"))
    if angle == "just_bought" and "{bought}" not in draft.hook:
        found.append(_ours("slot", draft.hook, "just_bought names {bought} in its hook"))
    for text, most in zip(texts, LONGEST[language], strict=True):
        if len(SLOT.sub("", text)) > most:
            found.append(_ours("length", text, f"at most {most} characters without slots"))
    if draft.call and not draft.call.rstrip().endswith(tuple("。！？!?.…~～")):
        found.append(_ours("sign", draft.call, "a call to action ends with a full stop"))
    if draft.hook.rstrip().endswith(("，", ",", "、", ";", "；")):
        found.append(_ours("sign", draft.hook, "a hook ends with a full stop, a colon, or no sign at all"))
    if not draft.hook.strip():
        found.append(_ours("length", "", "a hook is needed"))
    bare = SLOT.sub("", "".join(texts))
    if re.search(r"[{}\[\]<>|\\\n\t]", bare) or any(ord(c) > 0xFFFF for c in bare):
        found.append(_ours("sign", bare, "no brackets, no pictures"))
    script = _HAN.search(bare) if language == "en" else re.search(r"[A-Za-z]{2,}", bare)
    if script or (language == "zh" and not _HAN.search(bare)):
        found.append(_ours("script", bare, f"this is not all {language}"))
    return found


def _words(bare: str, angle: Angle, language: Language) -> list[Finding]:
    """Numbers, times, banned words, what another angle's row would have to say, other goods."""
    found = []
    for row in banned():
        match = row.pattern.search(bare) if row.language in ("any", language) else None
        if match and row.code == "angle" and angle not in row.source.split():
            found.append(_ours("angle", match.group(), f"only {row.source} makes this true"))
        elif match and row.code != "angle":
            found.append(Finding(row.code, match.group(), "banned.csv", row.source))
    if others := _goods(language).search(bare):
        found.append(_ours("other_goods", others.group(), "goods are named by slots alone"))
    return found


@cache
def _goods(language: Language) -> re.Pattern[str]:
    """Every name of the table as a word of its own."""
    names = sorted(known_names(language), key=len, reverse=True)
    inner = "|".join(re.escape(name) for name in names if language == "en" or len(name) > 1)
    return re.compile(rf"\b(?:{inner})\b" if language == "en" else inner, re.IGNORECASE)
