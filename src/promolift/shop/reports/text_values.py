"""Say what a message with each text earned against customers who were held out, which texts learning no longer sends,
and which drafts it asks for in their place."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from promolift.core.messages.text_choice import DroppedText, TextChooser, WantedDraft, list_wanted_drafts
from promolift.core.messages.text_pool import PoolText, TextPool
from promolift.core.messages.text_value import LEAST_READERS, TextAnswer, TextValue
from promolift.core.offers.terms import BenefitType
from promolift.foundation.i18n.catalogue import gettext, pgettext
from promolift.foundation.i18n.formatting import MoneyFormat, count, interval, interval_name, join_list, low_to_high
from promolift.foundation.i18n.lazy_message import load_messages
from promolift.foundation.localized_text import LANGUAGE_NAMES
from promolift.foundation.pages.blocks import Chapter, note, table, unknown_note
from promolift.shop.configuration.configuration import Config
from promolift.shop.reports.chapters.recipients import angle_name
from promolift.shop.results.learned_policy import TextEarnings
from promolift.shop.results.messages import read_tallies

TEXTS_LISTED = 40


def read_text_values(*folders: Path) -> dict[str, TextValue]:
    """Return the values by text that `promolift learn` or a server last left in one of the folders; none where neither
    has learned."""
    written = [path for path in (folder / "learn.json" for folder in folders) if path.is_file()]
    if not written:
        return {}
    path = max(written, key=lambda each: each.stat().st_mtime)
    found = (TextEarnings.of(each) for each in load_messages(path.read_text(encoding="utf-8")).get("texts", ()))
    return {each.value.text_id: each.value for each in found}


def learned_folders(config: Config, work: Path, learned: Path) -> list[Path]:
    """Return where `promolift learn` and the server of a work folder leave what they learned."""
    return [learned, work / "serve" / "learn" / config.plan.campaign]


class PoolLearning(NamedTuple):
    """What learning says of a pool: the texts that it no longer sends, and the drafts that it asks for."""

    dropped: Sequence[DroppedText]
    wanted: Sequence[WantedDraft]


def learn_pool(config: Config, pool: TextPool, work: Path) -> PoolLearning:
    """Return what follows for the pool from what a server counted in the work folder."""
    usable = pool.usable(config.message.approve).texts
    dropped = TextChooser(usable, read_tallies(work / "serve"), config.plan.seed).dropped()
    return PoolLearning(dropped, list_wanted_drafts(dropped, pool.texts))


def benefit_name(benefit: BenefitType) -> str:
    """Return a kind of benefit in the reader's language."""
    match benefit:
        case "percent_off":
            return pgettext("benefit", "a percentage off")
        case "amount_off":
            return pgettext("benefit", "an amount off")
        case "free_shipping":
            return pgettext("benefit", "free delivery")
        case "fixed_price":
            return pgettext("benefit", "a fixed price")
        case "buy_x_get_y":
            return pgettext("benefit", "buy some, get some")
        case "gift":
            return pgettext("benefit", "a gift")
        case "points":
            return pgettext("benefit", "points")
        case "exchange":
            return pgettext("benefit", "an item at a price")
    return pgettext("benefit", "a reminder, nothing given")


def describe_dropped(dropped: Sequence[DroppedText]) -> dict[str, str]:
    """Say of each text that learning dropped with which benefits it is no longer sent, and what does best there."""
    found: dict[str, str] = {}
    for text_id in dict.fromkeys(each.text.text_id for each in dropped):
        mine = [each for each in dropped if each.text.text_id == text_id]
        kinds = join_list([benefit_name(each.benefit) for each in mine])
        best = join_list([quoted(each) for each in dict.fromkeys(each.winner.words for each in mine)])
        found[text_id] = gettext("Learning no longer sends it with {benefits}. {best} does better.",
                                 benefits=kinds, best=best)  # fmt: skip
    return found


def quoted(words: str) -> str:
    """Return words in the quotation marks of the reader's language."""
    return gettext("“{words}”", words=words)


def describe_wanted(wanted: WantedDraft) -> str:
    """Say which draft is asked for, and of which kind."""
    return gettext(
        "Wanted: a text for the reason “{reason}” in {language}, in place of {dropped}. "
        "Write one of the same kind as {winners}.",
        reason=angle_name(wanted.angle), language=LANGUAGE_NAMES[wanted.language],
        dropped=join_list([quoted(text.words) for text in wanted.dropped]),
        winners=join_list([quoted(text.words) for text in wanted.winners]),
    )  # fmt: skip


def how_to_write(config: Config) -> str:
    """Say who writes the drafts that are asked for."""
    if config.message.writer == "pool":
        return gettext("No model is configured, so a person writes them. They wait for a yes like any other text.")
    return gettext("The next run of drafts asks the model for them. Nothing is sent before it is approved.")


def text_list(
    texts: Sequence[PoolText], values: Mapping[str, TextValue], learned: PoolLearning, cash: MoneyFormat
) -> list[str]:
    """Return the lines of a list of texts: what each earned, and whether it is still sent; most earned first."""
    dropped, lines = describe_dropped(learned.dropped), list[str]()
    worth = {name: each.value for name, each in values.items() if each.value is not None}
    for text in sorted(texts, key=lambda each: (-worth.get(each.text_id, float("-inf")), each.text_id)):
        lines.append(f"  {text.text_id} {angle_name(text.angle)} {text.language}: {text.words}")
        found = values.get(text.text_id)
        notes = [describe_text_value(found, cash) if found else "", dropped.get(text.text_id, ""),
                gettext("{who} brought it back on {date}.", who=text.restored_by, date=text.restored_on)
                if text.restored_by else ""]  # fmt: skip
        lines += [f"    {each}" for each in notes if each]
    return lines


def describe_text_value(found: TextValue, cash: MoneyFormat) -> str:
    """Say in two sentences at most what a message with the text earned, or what is missing to know it."""
    sizes = {"readers": count(found.readers), "held": count(found.held)}
    if found.value is None or found.low is None or found.high is None:
        return gettext("Cannot say yet what a message with this text earns: {readers} readers against {held} customers "
                       "held out; {least} of each are needed.", least=count(LEAST_READERS), **sizes)  # fmt: skip
    span, money = interval(found.low, found.high, cash), cash(abs(found.value))
    if found.answer != "cannot say":
        how = gettext("after discounts and its own cost: {readers} readers against {held} customers held out.", **sizes)
        if found.answer == "earns":
            return gettext("Each message with this text earned {money} ({span}) {how}", money=money, span=span, how=how)
        return gettext("Each message with this text lost {money} ({span}) {how}", money=money, span=span, how=how)
    said = gettext("Cannot say yet what a message with this text earns: {money} ({span}), {readers} readers against "
                   "{held} customers held out.", money=cash(found.value), span=span, **sizes)  # fmt: skip
    if found.needed is None:
        return said
    return said + gettext(" About {needed} readers are needed.", needed=count(found.needed))


def answer_name(answer: TextAnswer) -> str:
    """Return what is known of a text, in the reader's language."""
    match answer:
        case "earns":
            return pgettext("text", "earns")
        case "loses":
            return pgettext("text", "loses")
    return pgettext("text", "cannot say yet")


def texts_chapter(texts: Sequence[TextEarnings], wanted: Sequence[WantedDraft], cash: MoneyFormat) -> Chapter:
    """The chapter of the learning page: texts that earn most first, those of which nothing can be said last."""
    name, title = gettext("Words"), gettext("Which sentence earned how much?")
    lead = gettext(
        "Readers of a text against customers held out whose message could have been this text. Each interval holds for "
        "its text alone."
    )
    asked = [note(describe_wanted(each)) for each in wanted]
    if not texts:
        why = gettext("no message of these decisions came from the text pool, or the plan kept no comparison for it")
        return Chapter("words", name, title, lead, [unknown_note(gettext("what each text earned"), why), *asked])
    known = sorted(texts, key=lambda each: (each.value.value is None, -(each.value.value or 0.0), each.value.text_id))
    heads = [
        pgettext("text", "text"), pgettext("text", "reason"), pgettext("text", "language"), pgettext("text", "readers"),
        pgettext("text", "held out"), gettext("added by a message"), interval_name(), pgettext("text", "answer"),
        gettext("readers needed"),
    ]  # fmt: skip
    shown = table(
        gettext("What a message with each text added, after discounts and its own cost"), heads,
        [_row(each, cash) for each in known[:TEXTS_LISTED]], words=(1, 2, 7),
    )  # fmt: skip
    rest = len(known) - TEXTS_LISTED
    more = [note(gettext("{n} more texts are in learn.json.", n=count(rest)))] if rest > 0 else []
    return Chapter("words", name, title, lead, [shown, *more, *asked])


def _row(each: TextEarnings, cash: MoneyFormat) -> list[str]:
    found = each.value
    return [
        each.words, angle_name(found.angle), LANGUAGE_NAMES[found.language], count(found.readers), count(found.held),
        "" if found.value is None else cash(found.value), low_to_high(found.low, found.high, cash),
        answer_name(found.answer), count(found.needed) if found.needed else "",
    ]  # fmt: skip
