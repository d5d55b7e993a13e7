"""The check of the catalogues finds messages that are missing, stale, or filled with the wrong arguments."""

import re
import sys
from importlib import import_module
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "tools" / "catalogue"))
check = import_module("check")
CATALOGUE = Path(check.LOCALES) / "zh" / "LC_MESSAGES" / "promolift.po"
MODULE = '''"""A module."""

from promolift.foundation.i18n.catalogue import gettext, pgettext, pgettext_noop
from promolift.foundation.i18n.formatting import count
from promolift.foundation.i18n.lazy_message import ngettext_lazy

pgettext_noop("state", "open")


def say(rows: list[int], name: str) -> str:
    """Say how many."""
    kept = ngettext_lazy("{n} row is kept", "{n} rows are kept", len(rows), n=len(rows))
    return gettext("Offers") + gettext("{rows} of them for {name}", rows=count(len(rows)), name=name) + kept
'''
TEMPLATE = '<p>{{ gettext("Campaign ") }}{{ gettext("role {role} is needed", role=role) }}</p>\n'
CHINESE = {
    "Offers": "优惠", "{rows} of them for {name}": "{name}：{rows}个", "Campaign ": "活动：",
    "role {role} is needed": "需要“{role}”", "open": "开放", "{n} row is kept": "保留{n}行",
    "{n} rows are kept": "保留{n}行",
}  # fmt: skip


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A source tree of one module and one template, with a complete catalogue."""
    package = tmp_path / "src" / "promolift"
    (package / "templates").mkdir(parents=True)
    (package / "pages.py").write_text(MODULE, "utf-8")
    (package / "templates" / "page.html").write_text(TEMPLATE, "utf-8")
    check.store(tmp_path / CATALOGUE, check.Catalog(locale="zh", charset="utf-8", fuzzy=False))
    check.update(tmp_path)
    translate(tmp_path, CHINESE)
    return tmp_path


def translate(tree: Path, chinese: dict[str, str]) -> None:
    """Write the Chinese of messages."""
    catalogue = check.load(tree / CATALOGUE)
    for message in catalogue:
        if message.id in chinese:
            message.string = chinese[message.id]
    check.store(tree / CATALOGUE, catalogue)


def test_a_catalogue_with_every_message_has_no_problem(tree: Path) -> None:
    assert list(check.problems(tree)) == []


@pytest.mark.parametrize(
    ("file", "old", "new", "problem"),
    [
        ("pages.py", 'gettext("Offers")', 'gettext("Vouchers")', "missing: Vouchers"),
        ("pages.py", 'gettext("Offers")', '"Offers"', "stale: Offers"),
        ("pages.py", "name=name", "who=name", "the call gives no name"),
        ("pages.py", '("state", "open")', '("state", "shut")', "missing: shut"),
        ("pages.py", "{n} row is", "{n} line is", "missing: {n} line is kept"),
        ("templates/page.html", "role {role}", "role {roll}", "missing: role {roll} is needed"),
        ("zh.po", "需要“{role}”", "需要“{roll}”", "the call gives no roll"),
        ("zh.po", 'msgstr "优惠"', 'msgstr ""', "without a translation: Offers"),
    ],
)
def test_the_check_finds_a_planted_fault(tree: Path, file: str, old: str, new: str, problem: str) -> None:
    path = tree / CATALOGUE if file == "zh.po" else tree / "src/promolift" / file
    text = path.read_text("utf-8")
    assert old in text
    path.write_text(text.replace(old, new), "utf-8")
    assert any(re.search(re.escape(problem), each) for each in check.problems(tree))


def test_an_update_adds_what_is_missing_and_removes_what_is_stale(tree: Path) -> None:
    module = tree / "src/promolift/pages.py"
    module.write_text(module.read_text("utf-8").replace('gettext("Offers")', 'gettext("Vouchers")'), "utf-8")
    check.update(tree)
    assert list(check.problems(tree)) == ["zh: without a translation: Vouchers"]


def test_the_catalogues_of_promolift_fit_its_code() -> None:
    assert list(check.problems(ROOT)) == []


def test_a_table_of_texts_has_its_chinese_in_the_catalogue(tree: Path) -> None:
    table = tree / "src/promolift" / check.TABLE
    table.parent.mkdir()
    table.write_text("# group\tkey\tEnglish\nnav\t/\tToday\nsay\tsent\t{n} sent\n", "utf-8")
    check.update(tree)
    translate(tree, {"Today": "今日", "{n} sent": "已发{n}条"})
    assert list(check.problems(tree)) == []
    table.write_text(table.read_text("utf-8").replace("Today", "Now"), "utf-8")
    assert list(check.problems(tree)) == ["zh: missing: Now", "zh: stale: Today"]
