"""The forms of the prompt files: whatever can be written with them passes the strict reading, in both languages."""

import json
import re
from collections.abc import Callable, Iterator

import pytest
from message_helpers import LAMP, MEALS, PETS, an_offer, percent

from promolift.message import Brief, Draft, reviewer
from promolift.message.drafts import ANGLES, PRODUCT, Angle, faults, question, read_answer
from promolift.message.forms import OFFERED, Forms, Lists, answer_grammar, forms, parts, some
from promolift.terms import Language

LANGUAGES: tuple[Language, ...] = ("zh", "en")
OFFERS = [an_offer(percent(20), about) for about in (MEALS, PETS)] + [an_offer(percent(20), LAMP, scope="product")]
ALL = 24  # enough texts for each word of each list to be in one


def expand(form: str, lists: Lists, choose: Callable[[tuple[str, ...]], str]) -> str:
    """A sentence of the form, each list's text chosen by `choose`: what a model could write, without one."""
    return "".join(expand(choose(lists[text]), lists, choose) if named else text for text, named in parts(form))


def texts(form: Forms, use: str, angle: Angle, more: Lists) -> Iterator[tuple[str, str]]:
    """Titles and lines in which each text of each list of the use stands at least once."""
    turn: dict[tuple[str, ...], int] = {}

    def next_of(options: tuple[str, ...]) -> str:
        turn[options] = turn.get(options, -1) + 1
        return options[turn[options] % len(options)]

    for i in range(ALL):
        lists = {**form.lists(use, angle, i), **more}
        title, line = (expand(next_of(lists[name]), lists, next_of) for name in ("title", "line"))
        yield title, lists["opener"][0] + form.gap + line


def broken(language: Language, angle: Angle, use: str, more: Lists = {}) -> list[tuple[str, str, list[str]]]:  # noqa: B006
    """The texts of a use that a strict reading refuses, with the reasons."""
    found = []
    for i, (title, line) in enumerate(texts(forms(language), use, angle, more)):
        offer = OFFERS[i % len(OFFERS)]
        assert offer.label
        brief = Brief(offer.label, angle, "percent_off", language)
        draft = Draft(title, line.replace("{label}", PRODUCT))
        wrong = faults(draft, brief) or reviewer({brief: offer})(brief, draft)
        found += [(title, line, wrong)] if wrong else []
    return found


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("angle", ANGLES)
def test_every_sentence_of_the_forms_passes_the_strict_reading(language, angle):
    for use in forms(language).uses:
        assert broken(language, angle, use) == []


@pytest.mark.parametrize(("language", "claim"), [("en", "and grow stronger"), ("zh", "比别家更暖")])
def test_a_claim_among_the_forms_would_be_seen(language, claim):
    assert broken(language, "ease", next(iter(forms(language).uses)), {"tail": (claim,)})


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_grammar_defines_every_rule_it_names_and_every_list_is_one(language):
    grammar = answer_grammar(language, "treat", 'The "Moon" \\ lamp', 1)
    bare = re.sub(r'"(?:[^"\\]|\\.)*"', "", grammar)
    defined = re.findall(r"^(\S+) ::=", bare, re.MULTILINE)
    named = set(re.findall(r"use\d+(?:-\w+)?", re.sub(r"^\S+ ::=", "", bare, flags=re.MULTILINE)))
    assert len(defined) == len(set(defined))
    assert set(defined) == named | {"root"}


def test_a_name_with_quotes_is_written_as_json_and_read_back():
    assert LAMP[1].zh.count('"') == 2
    brief = Brief(LAMP[1], "ease", "percent_off", "zh")
    line = f"忙完一天，家里备上{LAMP[1].zh}，用着顺手。"
    said = json.dumps({"use": "用具", "title": "简单的晚上", "line": line}, ensure_ascii=False)
    assert r"\\\"月光\\\"台灯" in question(brief, 0).grammar
    draft, wrong = read_answer(said, brief)
    assert wrong == []
    assert draft == Draft("简单的晚上", "忙完一天，家里备上{product}，用着顺手。")


def test_a_form_is_cut_into_texts_and_lists():
    assert parts("<serve> {label} <tail>.") == [("serve", True), (" {label} ", False), ("tail", True), (".", False)]


def test_a_model_is_offered_a_few_words_of_each_list_and_in_time_all_of_them():
    lists = forms("en").lists("eating", "ease", 0)
    seen = [some(lists, number)["serve"] for number in range(40)]
    assert all(len(kept) == OFFERED for kept in seen)
    assert {word for kept in seen for word in kept} == set(lists["serve"])
    assert some(lists, 7) == some(lists, 7)
