"""Say what a message with each text earned against customers who were held out, for every page and the terminal."""

import json
from collections.abc import Sequence
from pathlib import Path

from promolift.core.messages.text_value import LEAST_READERS, TextAnswer, TextValue
from promolift.foundation.i18n.catalogue import gettext, pgettext
from promolift.foundation.i18n.formatting import MoneyFormat, count, interval, interval_name, low_to_high
from promolift.foundation.i18n.text import LANGUAGE_NAMES
from promolift.foundation.pages.blocks import Chapter, note, table, unknown_note
from promolift.shop.reports.chapters.recipients import angle_name
from promolift.shop.results.learned_policy import TextEarnings

TEXTS_LISTED = 40


def read_text_values(folder: Path) -> dict[str, TextValue]:
    """Return the values by text that `promolift learn` left in its folder; none where it has not run there."""
    path = folder / "learn.json"
    if not path.is_file():
        return {}
    found = (TextEarnings.of(each) for each in json.loads(path.read_text(encoding="utf-8")).get("texts", ()))
    return {each.value.text_id: each.value for each in found}


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


def texts_chapter(texts: Sequence[TextEarnings], cash: MoneyFormat) -> Chapter:
    """The chapter of the learning page: texts that earn most first, those of which nothing can be said last."""
    name, title = gettext("Words"), gettext("Which sentence earned how much?")
    lead = gettext(
        "Readers of a text against customers held out whose message could have been this text. Each interval holds for "
        "its text alone."
    )
    if not texts:
        why = gettext("no message of these decisions came from the text pool, or the plan kept no comparison for it")
        return Chapter("words", name, title, lead, [unknown_note(gettext("what each text earned"), why)])
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
    more = [note(gettext("{n} more texts stand in learn.json.", n=count(rest)))] if rest > 0 else []
    return Chapter("words", name, title, lead, [shown, *more])


def _row(each: TextEarnings, cash: MoneyFormat) -> list[str]:
    found = each.value
    return [
        each.words, angle_name(found.angle), LANGUAGE_NAMES[found.language], count(found.readers), count(found.held),
        "" if found.value is None else cash(found.value), low_to_high(found.low, found.high, cash),
        answer_name(found.answer), count(found.needed) if found.needed else "",
    ]  # fmt: skip
