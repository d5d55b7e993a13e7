"""A message is English as a string, keeps its id and arguments, and is shown in the language of its reader."""

import json
import pickle
import tomllib
from pathlib import Path
from typing import ClassVar

import pytest
from hypothesis import given
from hypothesis import strategies as st

from promolift.core.customers.reason_text import REASON_FORMS, render_reason
from promolift.foundation.errors import InputError
from promolift.foundation.i18n import catalogue
from promolift.foundation.i18n.formatting import use_locale
from promolift.foundation.i18n.lazy_message import (
    FIELD,
    LazyMessage,
    dump_messages,
    gettext_lazy,
    list_messages,
    load_messages,
    message_of,
    render_message,
)
from promolift.foundation.settings import Settings, toml_value
from promolift.foundation.storage.artifacts import PRODUCED_BY
from promolift.foundation.storage.local_store import Store
from promolift.foundation.storage.stored_model import Note

WORDS = st.text(st.characters(codec="utf-8", exclude_characters="{}"), min_size=1, max_size=20)
IDS = st.lists(WORDS, min_size=2, max_size=3).map("{value}".join)  # such as "a{value}b"
MESSAGES = st.recursive(
    WORDS.map(gettext_lazy),
    lambda inner: st.builds(lambda text, value: gettext_lazy(text, value=value), IDS, st.one_of(WORDS, inner)),
    max_leaves=3,
)


class Finding(Note):
    """A note with messages wherever results have them."""

    NAME: ClassVar[str] = "unchecked"
    why: LazyMessage
    notes: tuple[LazyMessage, ...] = ()
    reasons: dict[str, LazyMessage]
    missing: LazyMessage | None = None


def parts(message: LazyMessage) -> object:
    """The id of a message and its arguments, all the way down."""
    return message.message_id, {
        name: parts(each) if isinstance(each, LazyMessage) else each for name, each in message.arguments.items()
    }


@given(MESSAGES)
def test_what_is_stored_is_read_back_whole(message: LazyMessage) -> None:
    stored = json.loads(json.dumps(message.to_stored()))
    for copy in (LazyMessage.from_stored(stored), pickle.loads(pickle.dumps(message))):
        assert copy == message
        assert parts(copy) == parts(message)


@given(MESSAGES)
def test_english_is_the_string_itself(message: LazyMessage) -> None:
    assert render_message(message) == str(message)


@given(st.text(max_size=20))
def test_a_text_of_an_earlier_version_is_shown_as_it_was_stored(text: str) -> None:
    with use_locale("zh"):
        assert render_message(LazyMessage.from_stored(text)) == catalogue.gettext(text) if text else True
    assert render_message(LazyMessage.from_stored(text)) == text


def test_each_reader_gets_their_own_language_down_to_the_arguments() -> None:
    failed = gettext_lazy(
        "placebo failed: {name} shows {value} where zero is true", name=gettext_lazy("discount now"), value="0.31"
    )
    assert failed == "placebo failed: discount now shows 0.31 where zero is true"
    with use_locale("zh"):
        assert render_message(failed) == "安慰剂检验未通过：“当期折扣”本应为零，却得到0.31"
        assert render_message("nothing that the catalogue holds") == "nothing that the catalogue holds"


def test_an_argument_that_is_no_message_is_data_and_stays() -> None:
    with use_locale("zh"):
        assert "discount now" in render_message(gettext_lazy("check of {name}", name="discount now"))


def test_a_note_keeps_messages_and_programs_read_english(tmp_path: Path) -> None:
    assert Finding.NAME in PRODUCED_BY
    why = gettext_lazy("check of {name}", name=gettext_lazy("purchases"))
    found = Finding(why=why, notes=(why,), reasons={"a": why}, missing=why)
    with Store(tmp_path) as store:
        found.keep(store)
        kept = Finding.load(store)
    for each in (kept.why, *kept.notes, *kept.reasons.values(), kept.missing):
        assert each is not None
        assert parts(each) == parts(why)
    assert found.model_dump(mode="json")["why"] == "check of purchases"
    assert Finding.model_validate({"why": "check of purchases", "reasons": {}}).why == "check of purchases"


@pytest.mark.parametrize("stored", [3, {"arguments": {}}, {"message": 1}, ["a"]])
def test_what_is_no_message_is_refused(stored: object) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - pydantic turns it into an error of the field
        LazyMessage.from_stored(stored)


def test_several_messages_are_one() -> None:
    assert list_messages([]) is None
    both = list_messages([gettext_lazy("duplicate"), gettext_lazy("late")])
    assert both == "duplicate, late"


def test_an_error_keeps_its_message() -> None:
    error = InputError("rows_rejected", gettext_lazy("check of {name}", name="a file"))
    copy = pickle.loads(pickle.dumps(error))
    assert isinstance(copy.message, LazyMessage)
    assert parts(copy.message) == parts(error.message)  # type: ignore[arg-type]


class Notes(Settings):
    """Settings with notes, as promolift.toml holds them."""

    notes: tuple[LazyMessage, ...] = ()


@given(WORDS, WORDS)
def test_a_note_in_a_settings_file_keeps_its_arguments(name: str, own: str) -> None:
    made = gettext_lazy("check of {name}", name=name)
    doubtful = gettext_lazy("NOT SURE: {note}", note=made)
    found = Notes.model_validate(tomllib.loads(f"notes = {toml_value((made, doubtful, own))}"))
    assert [parts(each) for each in found.notes] == [parts(each) for each in (made, doubtful, gettext_lazy(own))]


@given(WORDS, WORDS)
def test_results_in_a_file_keep_their_messages(name: str, key: str) -> None:
    made = gettext_lazy("NOT SURE: {note}", note=gettext_lazy("check of {name}", name=name))
    results = {key: [made, {"why": made, "n": 3}, name], "message": name}
    found = load_messages(dump_messages(results))
    assert found == results  # in English
    assert parts(found[key][0]) == parts(found[key][1]["why"]) == parts(made)
    assert not isinstance(found["message"], LazyMessage)


FORMS = st.sampled_from(REASON_FORMS)


@given(FORMS, st.lists(st.text("abc123%", min_size=1, max_size=8), min_size=9, max_size=9))
def test_a_stored_reason_is_shown_as_the_message_that_it_was_made_from(form: str, values: list[str]) -> None:
    names = dict.fromkeys(FIELD.findall(form))
    filled = LazyMessage.of(form, dict(zip(names, values, strict=False)))
    found = message_of(str(filled), form)
    assert (found.message_id, dict(found.arguments)) == (form, dict(filled.arguments))
    with use_locale("zh"):
        assert render_message(found) == render_message(filled) != str(filled)


def test_a_reason_within_a_reason_is_shown_and_finished_text_stays() -> None:
    with use_locale("zh"):
        assert render_reason("consent: may be younger than 18") == "营销同意：可能未满18岁"
        assert render_reason("what an earlier version stored") == "what an earlier version stored"


@given(st.text(max_size=20), st.text("abc{}", max_size=9))
def test_a_message_in_a_column_of_text_is_read_as_it_was_written(name: str, text: str) -> None:
    stored = gettext_lazy("{rows} from the warehouse", rows=gettext_lazy("check of {name}", name=name))
    assert LazyMessage.from_text(stored.to_text()).arguments == stored.arguments
    assert LazyMessage.from_text(text) == text
