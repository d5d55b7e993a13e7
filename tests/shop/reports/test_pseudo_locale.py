"""Visible texts come from the catalogue: in a language that brackets every message, a report has no word outside.

Outside stand what the shop itself names (goods, people, columns), offers and texts as customers read them, names of
measures, and the notes of those who reviewed the texts of the pool.
"""

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from pseudo_language import WORD, pseudo_language, words_outside
from test_report_language import in_language

import promolift
from promolift.core.messages.angles import ANGLE_RULES
from promolift.shop.pipeline.pool_file import load_pool
from promolift.shop.results.work_folder.run_context import Job

PACKAGE = Path(promolift.__file__).parent
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
OWN = r"Shop|Drawn|Ann|USD|AUC|NDCG@10|[Bb]eef|[Bb]read|[Cc]heese|[Cc]offee|[Mm]ilk|[Tt]ea|category|amount|carts_4w"
FOR_CUSTOMERS = re.compile(r"^\d+ ?% off[ :]|^Dear |^Ends |^尊敬的|^February 1$|\{\w+\}")


def visible_text(page: str) -> str:
    """What people see of a page, a line for each paragraph, cell and heading."""
    body = re.sub(r"<(script|style|svg)\b.*?</\1>", "\n", page, flags=re.S)
    return re.sub(r"<[^>]*>", "\n", re.sub(r"</?(b|i|em|strong|span|a|code|small|abbr)\b[^>]*>", "", body))


def left_over(line: str) -> str:
    """A line of a report without what stands outside messages by right; empty where that is all."""
    reviews = {note for text in load_pool(None).texts for note in (text.note, text.why, text.rejected_because) if note}
    angles = {each.label.en for each in ANGLE_RULES.values()}
    if FOR_CUSTOMERS.search(line) or line in reviews | angles:
        return ""
    line = re.sub(rf"\b(?:{OWN})(?: and (?:{OWN}))?\b", " ", line)
    return line if WORD.search(line) else ""


def test_no_word_of_a_report_is_outside_a_message(
    job_of: Callable[[str], Job], monkeypatch: pytest.MonkeyPatch
) -> None:
    job = job_of("dollars")
    with pseudo_language(monkeypatch):
        page = in_language(job, "en")
    found = [rest for line in words_outside(visible_text(page)) if (rest := left_over(line))]
    assert not found, "\n".join(found)


@pytest.mark.parametrize("line", ["Nothing is known of it", "beef sells well", "n = 34 offers", "Shop and more"])
def test_a_planted_sentence_is_found(line: str) -> None:
    assert left_over(line)


@pytest.mark.parametrize("path", sorted(PACKAGE.rglob("*.html")), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_no_word_stands_in_a_template_itself(path: Path) -> None:
    text = re.sub(r"\{#.*?#\}|\{%.*?%\}|\{\{.*?\}\}", "", path.read_text("utf-8"), flags=re.S)
    text = re.sub(r"<(script|style|code|textarea|pre)\b.*?</\1>", "", text, flags=re.S)
    visible = re.sub(r"<[^>]*>", "\n", text)
    named = re.findall(r'\b(?:aria-label|title|alt|placeholder)="([^"]*)"', text)
    for each in (*visible.split("\n"), *named):
        assert each.strip() in CODES or not WORD.search(each), each.strip()
