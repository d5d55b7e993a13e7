"""Texts from the catalogue: what is missing is English, counts choose the form, and both languages fill the same."""

import re
from importlib.resources import files

import pytest
from babel.messages.pofile import read_po
from hypothesis import given
from hypothesis import strategies as st

from promolift.foundation.i18n import catalogue
from promolift.foundation.i18n.catalogue import gettext, gettext_noop, load_catalogue, ngettext, pgettext, use_locale
from promolift.foundation.i18n.formatting import count, days

NUMBERS = st.one_of(st.none(), st.integers(-3, 3000), st.floats(allow_nan=True, allow_infinity=True))


def test_a_message_that_no_catalogue_holds_is_shown_in_english() -> None:
    with use_locale("zh"):
        assert gettext("a text that {nobody} translated", nobody="no person") == "a text that no person translated"
        assert pgettext("nowhere", "a text that nobody translated") == "a text that nobody translated"
        assert ngettext("{n} such text", "{n} such texts", 1, n=1) == "1 such text"


def test_a_message_without_arguments_may_hold_braces_and_arguments_may_too() -> None:
    assert gettext("{") == "{"
    assert gettext("a {name}", name="{b}") == "a {b}"
    assert gettext("set {{x}} to {value}", value=1) == "set {x} to 1"


@given(n=NUMBERS)
def test_a_count_takes_the_form_that_its_printed_number_asks_for(n: object) -> None:
    assert (
        ngettext("{n} customer", "{n} customers", n, n=count(n))
        == f"{count(n)} customer{'' if count(n) == '1' else 's'}"
    )


@given(value=st.floats(0, 50))
def test_days_take_the_form_of_the_printed_number(value: float) -> None:
    said = days(value)
    assert said.endswith(" day") == (said.split(" ")[0] == "1")


def test_a_text_marked_where_it_is_defined_is_translated_where_it_is_shown() -> None:
    text = gettext_noop("the weights of the encoder")
    assert gettext(text) == text


def test_a_plural_of_another_language_follows_its_own_rule(monkeypatch: pytest.MonkeyPatch) -> None:
    class Polish(catalogue.GNUTranslations):
        def ngettext(self, msgid1: str, msgid2: str, n: int) -> str:
            return "{n} klient" if n == 1 else "{n} klienci" if 2 <= n <= 4 else "{n} klientów"

    monkeypatch.setattr(catalogue, "load_catalogue", lambda language: Polish())
    forms = [ngettext("{n} customer", "{n} customers", n, n=n) for n in (1, 3, 7)]
    assert forms == ["1 klient", "3 klienci", "7 klientów"]


def test_every_chinese_message_is_chinese_and_loads() -> None:
    file = files("promolift.foundation.i18n").joinpath("locale", "zh", "LC_MESSAGES", "promolift.po")
    with file.open("rb") as source:
        entries = [each for each in read_po(source, locale="zh") if each.id]
    assert entries
    for each in entries:
        one, text = (value if isinstance(value, str) else value[0] for value in (each.id, each.string))
        translated = re.search(r"[\u3000-\u9fff\uff00-\uffef]|Webhook|Slack|Microsoft Teams| ms$", text)
        assert translated or not re.search(r"[A-Za-z]{2,}", re.sub(r"\{\w+\}", "", text)), one
        assert not re.search(r"[\u4e00-\u9fff]", one), one
        loaded = load_catalogue("zh")
        assert text == (loaded.pgettext(each.context, one) if each.context else loaded.gettext(one) if
                        isinstance(each.id, str) else loaded.ngettext(*each.id, 5))  # fmt: skip


def test_a_third_language_is_one_file_and_what_it_lacks_is_english() -> None:
    with use_locale("de"):
        assert pgettext("nav", "Customers") == "Kunden"
        assert [ngettext("{customers} customer", "{customers} customers", n, customers=n) for n in (1, 2)] == [
            "1 Kunde",
            "2 Kunden",
        ]
        assert (days(1), days(2)) == ("1 Tag", "2 Tage")
        assert gettext("a text that nobody translated") == "a text that nobody translated"
    with use_locale("a language without a file"):
        assert pgettext("nav", "Customers") == "Customers"
