"""What the console shows comes from the catalogue: in a language that brackets every message, no word is outside.

Outside stand what people and the shop call their own (goods, people, releases), texts and offers as customers
read them, and the codes of ids, rules and the log. The developer's page shows programs.
"""

import re
from pathlib import Path
from random import Random

import pytest
from console_crawler import Crawler
from pseudo_language import pseudo_language, words_outside
from test_console_crawl import shop_in

from promolift.core.messages.angles import ANGLE_RULES
from promolift.server.console.state.users import ROLES

OWN = re.compile(
    r"\b(?:Shop|My shop|promolift\.toml|complete-journey|Ann|English|USD|URL|spring|orders(?:\.csv)?|customer|category|"
    r"a word, and another|beef|bread|cheese|coffee|milk|tea|day|POST /v1/\S+|https?://\S+|u\d{3}|[a-z]+_[0-9a-f_]{5,}\w*|"
    r"cmp_\w+|[0-9a-f]{40,})\b",
    re.IGNORECASE,
)
CODES = re.compile(  # of what the log keeps, of menu lines and of rules that a text breaks
    r"\b(?:setup|person|test|trial|link|stale|fairness|number|sign|deal|slot|length|amount|release-budget|pl_\w+|"
    r"(?:category|coupon|viewed|save|free-delivery|pr-pair)(?:-\d+)?(?:-\d+d)?)\b"
)
PRINTED = re.compile(r"\{\w+\}|% off|\$\d+ off|free delivery|Dear |Ends \w+ \d|[\u4e00-\u9fff]")  # for customers
BY_OTHERS = re.compile(r"THIS PRICE WAS SET BY")
WORD = re.compile(r"[A-Za-z]{3,}")


def left_over(line: str) -> str:
    """A line of a page without what stands outside messages by right; empty where that is all."""
    if PRINTED.search(line) or BY_OTHERS.search(line):
        return ""
    for rule in ANGLE_RULES.values():
        line = line.replace(rule.label.en, " ")
    line = CODES.sub(" ", OWN.sub(" ", line))
    line = re.sub(rf"\b(?:{'|'.join(ROLES)})\b", " ", line)  # the shop's people are called as their roles are
    return line if WORD.search(line) else ""


@pytest.mark.parametrize("state", ["empty", pytest.param("running", marks=pytest.mark.slow)])
def test_no_word_of_a_page_is_outside_a_message(
    state: str, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)  # where words.jsonl is written
    found = set[tuple[str, str]]()
    with pseudo_language(monkeypatch), shop_in(state, folder, tmp_path) as shop:
        answers = Crawler(shop.person("admin"), Random(state), ("/people/admin",)).walk()
    assert len(answers) > 15
    for each in answers:
        path = each.what.partition("?")[0]
        if "/developer" not in path:
            found |= {(path, rest) for line in words_outside(each.page.text) if (rest := left_over(line))}
    assert not found, "\n".join(f"{path}: {rest}" for path, rest in sorted(found))


def test_roles_are_named_by_messages(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pseudo_language(monkeypatch), shop_in("empty", folder, tmp_path) as shop:
        page = shop.person("admin").get("/people")
    said = re.findall(r"<option[^>]*>([^<]*)</option>|<strong>([^<]*)</strong>", page)
    names = [one or two for one, two in said if any(role in one + two for role in ROLES)]
    assert len(names) > len(ROLES)
    assert all(name not in ROLES for name in names)


@pytest.mark.parametrize("line", ["Nothing here yet", "u001 and nobody else", "admin may do it", "beef is liked"])
def test_a_planted_sentence_is_found(line: str) -> None:
    assert left_over(line)
