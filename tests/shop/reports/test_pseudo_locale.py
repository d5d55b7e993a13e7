"""Visible texts come from the catalogue: a pseudo-language brackets every message; words outside brackets are counted.

What the shop itself names stands without brackets. The number of other texts outside may only fall.
"""

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from gettext import NullTranslations
from pathlib import Path

import pytest
from test_report_language import in_language, texts

import promolift
from promolift.foundation.i18n import catalogue
from promolift.shop.results.work_folder.run_context import Job

PACKAGE = Path(promolift.__file__).parent
WORD = re.compile(r"[A-Za-z]{3,}")
CODES = (
    "https://",
    "Asia/Shanghai",
    "URL",
    "CSV",
    "JSON",
    "evidence.zip",
    "English",
    "equal · 0.5, 0.5",
)  # the same in any language
OUTSIDE = 106  # texts of the drawn shop's report that do not come from the catalogue


class Pseudo(NullTranslations):
    """A language whose translations are the English texts in brackets."""

    def gettext(self, message: str) -> str:
        return f"⟦{message}⟧"

    def pgettext(self, context: str, message: str) -> str:
        return f"⟦{message}⟧"

    def ngettext(self, msgid1: str, msgid2: str, n: int) -> str:
        return f"⟦{msgid1 if n == 1 else msgid2}⟧"


@contextmanager
def pseudo_language(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Show every message in brackets inside the block."""
    with monkeypatch.context() as patched:
        patched.setattr(catalogue, "load_catalogue", lambda language: Pseudo())
        yield


def without_messages(text: str) -> str:
    """A text without the messages in it."""
    while (shorter := re.sub(r"⟦[^⟦⟧]*⟧", " ", text)) != text:
        text = shorter
    return text


def test_texts_of_a_report_that_do_not_come_from_the_catalogue_only_become_fewer(
    job_of: Callable[[str], Job], monkeypatch: pytest.MonkeyPatch
) -> None:
    job = job_of("dollars")
    with pseudo_language(monkeypatch):
        page = in_language(job, "en")
    outside = {text for text in texts(page) if WORD.search(without_messages(text))}
    assert len(outside) <= OUTSIDE, sorted(outside)


@pytest.mark.parametrize("path", sorted(PACKAGE.rglob("*.html")), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_no_word_stands_in_a_template_itself(path: Path) -> None:
    text = re.sub(r"\{#.*?#\}|\{%.*?%\}|\{\{.*?\}\}", "", path.read_text("utf-8"), flags=re.S)
    text = re.sub(r"<(script|style|code|textarea|pre)\b.*?</\1>", "", text, flags=re.S)
    visible = re.sub(r"<[^>]*>", "\n", text)
    named = re.findall(r'\b(?:aria-label|title|alt|placeholder)="([^"]*)"', text)
    for each in (*visible.split("\n"), *named):
        assert each.strip() in CODES or not WORD.search(each), each.strip()
