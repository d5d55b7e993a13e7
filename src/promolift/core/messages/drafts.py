"""Brief a writer, have a language model write drafts (title, hook, call to action) around slots, and lint them.

A brief holds all that a draft needs: voice, play, reason, occasion, channel, goods, terms, and what was learned. It
holds no fact of an offer, no profile and no customer, and its prompt is in the language of the draft, with the rules of
that language (`prompts/`). The answer is structured. So a draft may hold no fact of an offer at all, and `lint_draft`
says what code alone can see is wrong with one: numbers outside slots, banned words, other goods, length. What a text
means is no matter of lint; the judge reads that.
"""

import csv
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, NamedTuple

from promolift.core.messages.angles import ANGLE_RULES, REMINDER_ANGLES, Angle
from promolift.core.messages.prompt_templates import Writer, WriterRequest, fill_prompt, load_prompt, object_schema
from promolift.core.messages.voice import VoiceCard
from promolift.core.offers.product_names import MARKUP, name_matcher
from promolift.core.offers.terms import BenefitType
from promolift.foundation.hashing import hash_id, hash_int
from promolift.foundation.i18n.lazy_message import LazyMessage, gettext_lazy
from promolift.foundation.localized_text import Language, LocalizedText

if TYPE_CHECKING:
    from promolift.core.messages.channels import Channel

SLOTS = ("{deal}", "{offer}", "{product}", "{bought}")
SLOT = re.compile(r"\{\w+\}")
OFFER_RULE = "the offer: a message says what the offer says, no more and no less"
PRIVACY_LAW = "Personal Information Protection Law of the PRC (2021), articles 6 and 28; GDPR, article 5"
BOUGHT_ANGLES = frozenset[Angle](("just_bought", "remind_bought"))  # whose texts name a purchase
DRAFT_FIELDS = ("title", "hook", "call")
MAX_LENGTHS: dict[Language, tuple[int, int, int]] = {"zh": (16, 34, 18), "en": (42, 110, 60)}  # of these, without slots
PROMPT_SHARE, SHORT_SHARE = 0.9, 0.6  # of those lengths: what a writer is asked for, as models do not count well
TOKENS_PER_DRAFT, TOKENS_PER_ANSWER = 130, 100
_SCHEMA = object_schema(
    drafts={"type": "array", "items": object_schema(**{name: {"type": "string"} for name in DRAFT_FIELDS})}
)


NO_VOICE = VoiceCard()


class PlayBrief(NamedTuple):
    """What a writer is told of a play: who its audience is, and the shop's own reason, empty for none."""

    audience: str
    reason: str = ""


class RejectedText(NamedTuple):
    """A text that was rejected, and why."""

    text: str
    why: str


@dataclass(frozen=True)
class Brief:
    """All a writer is given, in the language of the draft. `goods` None: for any goods, through slots alone.

    `shop_goods` are everyday names of what the shop sells, `benefits` the kinds that its offers have, `earned` and
    `ignored` the texts that earned or were answered most and least. Where learning dropped texts, `winners` did best in
    the place of those that `dropped` lists, and the drafts are asked for as successors of the ids in `successor_of`.
    """

    angle: Angle
    language: Language
    goods: LocalizedText | None = None
    voice: VoiceCard = NO_VOICE
    play: PlayBrief | None = None
    occasions: tuple[str, ...] = ()
    channel: "Channel" = "plain"
    shop_goods: tuple[str, ...] = ()
    benefits: tuple[BenefitType, ...] = ()
    earned: tuple[str, ...] = ()
    ignored: tuple[str, ...] = ()
    rejected: tuple[RejectedText, ...] = ()
    winners: tuple[str, ...] = ()
    dropped: tuple[str, ...] = ()
    successor_of: tuple[str, ...] = ()


def draft_request(brief: Brief, several: int, seed: int = 0) -> WriterRequest:
    """Return the request for `several` drafts of a brief."""
    language, rule = brief.language, ANGLE_RULES[brief.angle]
    words = load_prompt(language)
    goods = brief.goods.text_in(language) if brief.goods else words["any_goods"]
    short = brief.voice.length == "short" or brief.channel == "sms_cn"
    lengths = [str(int(most * (SHORT_SHARE if short else PROMPT_SHARE))) for most in MAX_LENGTHS[language]]
    reminds = brief.angle in REMINDER_ANGLES
    slots = [] if reminds else ["deal", "offer", "product"]
    if brief.angle in BOUGHT_ANGLES:
        slots.append("bought")
    kinds = words["benefits"]
    listed = words["separator"].join(kinds[kind] for kind in brief.benefits or kinds if kind in kinds)
    means = words["slots"] | ({"bought": words["slots"]["bought_before"]} if reminds else {})
    told = [f"{{{slot}}}{words['colon']}{fill_prompt(means[slot], benefits=listed)}" for slot in slots]
    user = fill_prompt(
        words["reminder_user" if reminds else "user"], several=str(several), angle=rule.label.text_in(language),
        may=rule.may.text_in(language), never=rule.never.text_in(language), goods=goods,
        context="\n".join(_context(brief)), slots="\n".join(told) or words["no_slots"],
        **dict(zip(("title_length", "hook_length", "call_length"), lengths, strict=True)),
    )  # fmt: skip
    number = hash_int("draft", seed, user) % 2**31
    tokens = TOKENS_PER_ANSWER + TOKENS_PER_DRAFT * several
    return WriterRequest(words["system"], user, _SCHEMA, number, tokens)


def _context(brief: Brief) -> list[str]:
    """The lines of a prompt on what is known beyond the angle, each only where it is known."""
    words, voice, language = load_prompt(brief.language), brief.voice, brief.language
    separator = str(words["separator"])

    def quoted(texts: Sequence[str]) -> str:
        return separator.join(f"“{text}”" for text in texts)

    values = {
        "speaker": voice.speaker, "tone": voice.tone, "address": voice.address(language),
        "use": separator.join(voice.texts_in("use", language)),
        "avoid": separator.join(voice.texts_in("avoid", language)),
        "examples": quoted(voice.texts_in("examples", language)), "shop_goods": separator.join(brief.shop_goods),
        "play": brief.play.audience if brief.play else "", "play_reason": brief.play.reason if brief.play else "",
        "occasion": separator.join(brief.occasions), "channel": words["channels"][brief.channel],
        "earned": quoted(brief.earned), "ignored": quoted(brief.ignored),
        "dropped": quoted(brief.dropped), "winners": quoted(brief.winners),
        "rejected": separator.join(f"“{text}”{words['colon']}{why}" for text, why in brief.rejected),
    }  # fmt: skip
    return [fill_prompt(words["lines"][name], value=value) for name, value in values.items() if value]


VOICE_TOKENS = 800


def _voice_schema() -> dict[str, object]:
    text, several = {"type": "string"}, {"type": "array", "items": {"type": "string"}}
    return object_schema(
        speaker=text, tone=text, address_en=text, address_zh={"type": "string", "enum": ["", "您", "你"]}, use=several,
        avoid=several, length={"type": "string", "enum": ["short", "medium"]}, examples=several,
    )  # fmt: skip


def voice_request(texts: Sequence[str], language: Language, seed: int = 0) -> WriterRequest:
    """Return the request to describe the voice of texts, in the shop's own language."""
    words = load_prompt(language)
    lines = "\n".join(f"- {text}" for text in texts)
    return WriterRequest(
        words["voice_system"], fill_prompt(words["voice_user"], texts=lines), _voice_schema(), seed, VOICE_TOKENS
    )


@dataclass(frozen=True)
class Draft:
    """Words around slots. {offer} at the start of a hook is the sentence of the offer; it else follows the hook, as a
    clause where the hook ends without a full stop."""

    title: str
    hook: str
    call: str = ""

    @property
    def text_id(self) -> str:
        return hash_id("txt", self.title, self.hook, self.call)

    @property
    def plain(self) -> str:
        """The words without slots, as a reader compares them."""
        return SLOT.sub("", f"{self.title} {self.hook} {self.call}").strip()


class BriefAnswer(NamedTuple):
    """What a writer made of a brief: its drafts, who it was, what it cost, and why there are none."""

    brief: Brief
    drafts: tuple[Draft, ...]
    model: str
    cost_cents: float
    fault: str | None


def write_drafts(briefs: Sequence[Brief], writer: Writer, several: int = 6, seed: int = 0) -> list[BriefAnswer]:
    """`several` drafts for each distinct brief, in order. A failed answer is a `fault`, never a crash."""
    distinct = list(dict.fromkeys(briefs))
    asks = [draft_request(brief, several, seed) for brief in distinct]
    made = []
    for brief, answer in zip(distinct, writer(asks) if asks else [], strict=True):
        read = _Read((), answer.fault) if answer.fault else _read(answer.text)
        made.append(BriefAnswer(brief, read.drafts, answer.model, answer.cost_cents, read.fault))
    return made


class _Read(NamedTuple):
    """The drafts of an answer, or why there are none."""

    drafts: tuple[Draft, ...]
    fault: str | None


def _read(text: str) -> _Read:
    try:
        several = json.loads(text)["drafts"]
        found = tuple(Draft(*(str(each[name]).strip() for name in DRAFT_FIELDS)) for each in several)
    except (ValueError, KeyError, TypeError):
        return _Read((), "the answer is not the JSON that was asked for")
    return _Read(found, None if found else "the answer holds no draft")


MAX_LEAD: dict[Language, int] = {"zh": 8, "en": 22}  # before {deal}: the benefit is read first, also on a lock screen


class LintFinding(NamedTuple):
    """One thing that is wrong: a code, the words, why, and where the rule comes from."""

    code: str
    span: str
    why: LazyMessage
    source: str


class BannedPhrase(NamedTuple):
    """A line of banned.csv."""

    language: str
    pattern: re.Pattern[str]
    code: str
    source: str


@cache
def load_banned_phrases() -> tuple[BannedPhrase, ...]:
    """All lines of banned.csv."""
    text = files("promolift.core.messages").joinpath("banned_phrases.csv").read_text(encoding="utf-8")
    rows = csv.reader(line for line in text.splitlines()[1:] if line and not line.startswith("#"))
    # a pattern may hold commas: the first field is the language, the last two are code and source
    kept = [(row[0], ",".join(row[1:-2]), row[-2], row[-1]) for row in rows if row[0] != "language"]
    return tuple(BannedPhrase(a, re.compile(b, re.IGNORECASE), c, d) for a, b, c, d in kept)


NUMERAL = re.compile(
    r"[\d０-９%％¥￥$€£]|[零二两三四五六七八九十百千万](?=[折元块天月日年成]|[零一二三四五六七八九十百千万])|折|半价"
)
_HAN = re.compile(r"[\u4e00-\u9fff]")


def lint_draft(draft: Draft, angle: Angle, language: Language) -> list[LintFinding]:
    """Everything wrong with a draft; empty: a judge may read it."""
    whole = f"{draft.title}\n{draft.hook}\n{draft.call}"
    bare = SLOT.sub(" ", whole)
    return [*_form(draft, angle, language), *_words(bare, angle, language)]


# Words that two readers new to the texts refused: the customer feels watched or pressed, a gift is thanked for, or the
# English is British.
_OFF_STYLE: dict[Language, re.Pattern[str]] = {
    "zh": re.compile("您(?:之前)?看过|您还没|清单(?:里|上)|还在(?:挑|想|考虑|犹豫)|想好了吗|笑纳"),
    "en": re.compile(
        r"\byou (?:looked at|had your eye on|haven't tried)|\bon your list\b|\bstill (?:thinking|looking)|"
        r"\bmade up your mind|\bfancy\b|\b(?:a|the|your|next|big|bigger) shop\b",
        re.IGNORECASE,
    ),
}
_MOST_REPEATED: dict[Language, int] = {"zh": 3, "en": 2}  # characters or words on end in both title and text
_UNITS: dict[Language, re.Pattern[str]] = {"zh": _HAN, "en": re.compile(r"[A-Za-z']+")}


def repeated_words(draft: Draft, language: Language) -> str:
    """Return the longest run of characters (zh) or words (en) that title and text share beside slots; empty: none too
    long."""
    parts = (SLOT.sub(" ", part) for part in (draft.title, f"{draft.hook} {draft.call}"))
    title, text = ([unit.lower() for unit in _UNITS[language].findall(part)] for part in parts)
    joint = "" if language == "zh" else " "
    whole = f" {joint.join(text)} " if joint else joint.join(text)
    runs = (title[a:b] for a in range(len(title)) for b in range(a + _MOST_REPEATED[language] + 1, len(title) + 1))
    shared = (joint.join(run) for run in runs if (f" {' '.join(run)} " if joint else "".join(run)) in whole)
    return max(shared, key=len, default="")


def lint_style(draft: Draft, language: Language) -> list[LintFinding]:
    """Return what readers refuse in a text although it is true. For texts of models alone: a person may write so."""
    found = []
    if again := repeated_words(draft, language):
        found.append(_ours("repeat", again, gettext_lazy("the text repeats its title")))
    if match := _OFF_STYLE[language].search(draft.plain):
        found.append(_ours("style", match.group(), gettext_lazy("readers refused texts with these words")))
    return found


def lint_reason(text: str, language: Language) -> list[LintFinding]:
    """Everything wrong with the reason of a play, which stands before its offer and is read by customers."""
    why = gettext_lazy("numbers are filled in by code from the offer; say the reason without")
    found = [LintFinding("number", bare.group(), why, OFFER_RULE)] if (bare := NUMERAL.search(text)) else []
    if hidden := MARKUP.search(text):
        found.append(
            LintFinding("injection", hidden.group(), gettext_lazy("a reason is words, no link or sign"), OFFER_RULE)
        )
    if bool(_HAN.search(text)) != (language == "zh"):
        found.append(LintFinding("script", text[:40], gettext_lazy("reason is English, reason_zh Chinese"), OFFER_RULE))
    if len(text) > (most := MAX_LENGTHS[language][1]):
        found.append(LintFinding("length", text[:40], gettext_lazy("at most {most} characters", most=most), OFFER_RULE))
    for row in load_banned_phrases():
        match = row.pattern.search(text) if row.language in ("any", language) else None
        if match:
            found.append(
                LintFinding(
                    row.code,
                    match.group(),
                    gettext_lazy("not fit for a promotion ({source})", source=row.source),
                    row.source,
                )
            )
    return found


def lint_voice(draft: Draft, voice: VoiceCard, language: Language) -> list[LintFinding]:
    """Return what the shop's voice card rules out in a draft."""
    word = voice.unfit_word(draft.plain, language)
    return (
        [LintFinding("voice", word, gettext_lazy("the voice card rules this word out"), "Ours: voice.toml")]
        if word
        else []
    )


def _ours(code: str, span: str, why: LazyMessage) -> LintFinding:
    return LintFinding(code, span, why, "Ours: a draft is words around slots")


def _form(draft: Draft, angle: Angle, language: Language) -> list[LintFinding]:
    found, texts = [], (draft.title, draft.hook, draft.call)
    for slot in SLOT.findall("".join(texts)):
        offers = slot != "{bought}" and angle in REMINDER_ANGLES
        if slot not in SLOTS or offers or (slot == "{bought}" and angle not in BOUGHT_ANGLES):
            found.append(_ours("slot", slot, gettext_lazy("a text for {angle} cannot fill this slot", angle=angle)))
    lead = draft.title.partition("{deal}")[0]
    if angle in REMINDER_ANGLES:
        if not draft.title.strip():
            found.append(_ours("length", "", gettext_lazy("a title is needed")))
        if not draft.hook.rstrip().endswith(tuple("。！？!?.…~～")):
            found.append(_ours("sign", draft.hook, gettext_lazy("the hook of a reminder ends with a full stop")))
    elif draft.title.count("{deal}") != 1 or "{deal}" in draft.hook + draft.call or SLOT.search(lead):
        found.append(
            _ours(
                "deal", draft.title, gettext_lazy("the title holds {deal} once, no other slot before it", deal="{deal}")
            )
        )
    elif len(lead) > MAX_LEAD[language]:
        found.append(
            _ours(
                "deal",
                lead,
                gettext_lazy("at most {max_lead} characters before {deal}", max_lead=MAX_LEAD[language], deal="{deal}"),
            )
        )
    if angle in BOUGHT_ANGLES and "{bought}" not in draft.hook:
        found.append(
            _ours(
                "slot", draft.hook, gettext_lazy("{angle} names {bought} in its hook", angle=angle, bought="{bought}")
            )
        )
    for text, most in zip(texts, MAX_LENGTHS[language], strict=True):
        if len(SLOT.sub("", text)) > most:
            found.append(_ours("length", text, gettext_lazy("at most {most} characters without slots", most=most)))
    if draft.call and not draft.call.rstrip().endswith(tuple("。！？!?.…~～")):
        found.append(_ours("sign", draft.call, gettext_lazy("a call to action ends with a full stop")))
    if "{offer}" in draft.title + draft.hook[1:] + draft.call:
        found.append(
            _ours(
                "offer", draft.hook, gettext_lazy("{offer} stands at the start of the hook or nowhere", offer="{offer}")
            )
        )
    if "{offer}" in draft.hook and not draft.hook.rstrip().endswith(tuple("。！？!?.…~～")):
        found.append(
            _ours("sign", draft.hook, gettext_lazy("a hook after {offer} ends with a full stop", offer="{offer}"))
        )
    if draft.hook.rstrip().endswith(("，", ",", "、", ";", "；")):
        found.append(
            _ours("sign", draft.hook, gettext_lazy("a hook ends with a full stop, a colon, or no sign at all"))
        )
    if not draft.hook.replace("{offer}", "").strip():
        found.append(_ours("length", "", gettext_lazy("a hook is needed")))
    bare = SLOT.sub("", "".join(texts))
    if re.search(r"[{}\[\]<>|\\\n\t]", bare) or any(ord(c) > 0xFFFF for c in bare):
        found.append(_ours("sign", bare, gettext_lazy("no brackets, no pictures")))
    script = _HAN.search(bare) if language == "en" else re.search(r"[A-Za-z]{2,}", bare)
    if script or (language == "zh" and not _HAN.search(bare)):
        found.append(_ours("script", bare, gettext_lazy("this is not all {language}", language=language)))
    return found


_PROMISED: dict[Language, re.Pattern[str]] = {
    "zh": re.compile("优惠|便宜|划算|实惠|活动|特价|折|券|红包|省钱"),
    "en": re.compile(r"\b(?:offer|deal|discount|coupon|saving|voucher|price)s?\b|\b(?:save|off)\b", re.IGNORECASE),
}


def _words(bare: str, angle: Angle, language: Language) -> list[LintFinding]:
    found = []
    promised = _PROMISED[language].search(bare) if angle in REMINDER_ANGLES else None
    if promised:
        found.append(_ours("offer", promised.group(), gettext_lazy("a reminder gives nothing, and promises no offer")))
    for row in load_banned_phrases():
        match = row.pattern.search(bare) if row.language in ("any", language) else None
        if match:
            found.append(
                LintFinding(
                    row.code,
                    match.group(),
                    gettext_lazy("a word that promotions must not use (banned.csv)"),
                    row.source,
                )
            )
    if others := name_matcher(language).search(bare):
        found.append(_ours("other_goods", others.group(), gettext_lazy("goods are named by slots alone")))
    return found
