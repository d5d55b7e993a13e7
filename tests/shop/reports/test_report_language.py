"""A report speaks one language: of a Chinese page no sentence is English, and the other way round."""

import ast
import json
import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from html import unescape
from pathlib import Path
from typing import Any

import pytest
from error_checks import raises_code

import promolift.foundation.pages
from promolift.cli.command_line import with_language
from promolift.foundation.i18n.formatting import date, days, interval, join_list, money, number, percent, use_locale
from promolift.foundation.i18n.lazy_message import render_message
from promolift.shop.configuration.configuration import Config
from promolift.shop.ingest.cleaning.cleaning_rules import RULES
from promolift.shop.ingest.cleaning.data_health import health
from promolift.shop.ingest.cleaning.data_summary import Summary
from promolift.shop.reports.chapters.summary import render
from promolift.shop.reports.story_builder import build_story
from promolift.shop.results.ingest import Counts
from promolift.shop.results.work_folder.run_context import Job

# pages whose every text is looked up when they are shown
ENGLISH = ("trials/page.py", "trials/analysis/results.py", "shop/reports/learning_page.py")
SOURCE = Path(promolift.__file__).parent
PAGES = (
    "foundation/pages/*.py", "shop/reports/**/*.py", "shop/results/**/*.py", "shop/pipeline/**/*.py", "trials/page.py",
    "trials/analysis/results.py", "extensions/*/page.py", "extensions/*/chapter.py", "extensions/*/results.py",
    "extensions/encoder/*.py", "extensions/privacy/*.py", "server/console/pages/experiment_blocks.py",
)  # fmt: skip
# what the shop itself names: items of the drawn shop, settings, files and commands
OWN = r"[Gg]ood item \d+|promolift \w+|[a-z_]+\.[a-z_]+"


def in_language(job: Job, language: str) -> str:
    """The page of a drawn shop."""
    report = job.config.report.model_copy(update={"language": language})
    return render(build_story(replace(job, config=job.config.model_copy(update={"report": report}))))


def texts(page: str) -> Iterator[str]:
    """Every text that people see, in elements and charts, without the messages to customers."""
    body = re.sub(r"<(script|style|svg|blockquote)\b.*?</\1>", " ", page[page.index("<body") :], flags=re.S)
    body = re.sub(r'<(p|bdi) [^>]*lang="\w+".*?</\1>', " ", body, flags=re.S)
    yield from (unescape(each).strip() for each in re.sub(r"<[^>]+>", "\n", body).split("\n"))
    yield from strings(json.loads(page.split('id="report-data">')[1].split("</script>")[0])["figures"])


def strings(value: object) -> Iterator[str]:
    """The texts in a chart's data that are no key words of the script."""
    if isinstance(value, dict):
        for key, each in value.items():
            if key not in ("kind", "fmt", "tone"):
                yield from strings(each)
    elif isinstance(value, list):
        for each in value:
            yield from strings(each)
    elif isinstance(value, str):
        yield value


@pytest.mark.parametrize("shop", ["dollars", "yen, all assumed"])
def test_no_sentence_of_a_chinese_page_is_english(job_of: Callable[[str], Job], shop: str) -> None:
    page = in_language(job_of(shop), "zh")
    assert '<html lang="zh-Hans">' in page
    for text in texts(page):
        rest = re.sub(OWN, " ", text)
        assert not re.search(r"[A-Za-z]{2,}[ ,;:'-]+[A-Za-z]{2,}", rest), text


def test_no_text_of_an_english_page_is_chinese(job_of: Callable[[str], Job]) -> None:
    page = in_language(job_of("dollars"), "en")
    assert '<html lang="en">' in page
    for text in texts(page):
        assert not re.search(r"[\u3000-\u9fff\uff00-\uffef]", text), text


def said(file: Path) -> Iterator[str]:
    """Every sentence that a module says in English and the catalogue in Chinese, `7` for each number in it."""
    for node in ast.walk(ast.parse(file.read_text("utf-8"))):
        name = getattr(node.func, "id", "") if isinstance(node, ast.Call) else ""
        if (
            isinstance(node, ast.Call)
            and name in ("translate", "unknown_note", "Axis", "table", "sentences")
            and node.args
        ):
            yield from sentence(node.args[0])
        elif isinstance(node, ast.Call) and name == "Chapter":
            for each in node.args[1:]:
                yield from sentence(each)
        elif isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") in ("heads", "title"):
            for each in node.value.elts if isinstance(node.value, ast.List | ast.Tuple) else [node.value]:
                yield from sentence(each)


def sentence(node: ast.AST) -> Iterator[str]:
    """The text of a constant or an f-string, and nothing of other code."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        yield node.value
    elif isinstance(node, ast.JoinedStr):
        yield "".join(str(each.value) if isinstance(each, ast.Constant) else "7" for each in node.values)


def test_every_sentence_in_the_code_stands_in_both_languages() -> None:
    """A text that is matched when it is shown, and has no Chinese, is a sentence that was forgotten."""
    single = 0
    for file in sorted({path for pattern in PAGES for path in SOURCE.glob(pattern) if path.name != "__init__.py"}):
        for text in said(file) if file.relative_to(SOURCE).as_posix() not in ENGLISH else ():
            single += 1
            with use_locale("zh"):
                translated = re.search(r"[\u3000-\u9fff\uff00-\uffef]", render_message(text))
            assert translated or not re.search(r"[A-Za-z]{2,}", text), (file.name, text)
    assert single  # what is looked up when it is shown


def test_numbers_money_and_dates_follow_the_language() -> None:
    with use_locale("zh"):
        said = [money(235_000_000, "CNY"), percent(0.034), date(0, "UTC"), days(4.56), join_list(["甲", "乙", "丙"])]
        between = interval(1, 2, number)
    assert said == ["¥235万", "3.4%", "1970年1月1日", "4.6天", "甲、乙和丙"]
    assert between == "95%置信区间1.00至2.00"
    assert percent(0.034) == "3.4\u00a0%"


def known(text: str) -> bool:
    """Whether a kept sentence has a Chinese form; names of columns stay as they are."""
    with use_locale("zh"):
        chinese = render_message(text)
    return bool(re.search(r"[\u4e00-\u9fff]", chinese)) or not re.search(r"[a-z]{2,} [a-z]{2,}", text)


def summaries() -> Iterator[Summary]:
    """Shops that can do little, something and much."""
    yield Summary()
    full = {"category": 900, "name": 900, "cost_cents": 900}
    for bought, reduced in ((1000, 0), (1000, 400)):
        told = {"rows": 100, "age": 90, "consent": 100, "name": 90}
        for described in ({}, {"rows": 50, "age": 40, "consent": 10}, told):
            yield Summary(
                rows=2000, customers=100, bought=bought, reduced=reduced, repeaters=80, returned=reduced,
                first_ms=0, last_ms=400 * 86_400_000, revenue_cents=9_000_00, varied_products=30, varied_rows=6000,
                heavy=60, known=full, viewed=10, viewed_with_product=10,
                viewers=5, viewers_who_buy=4, exposures=600, redemptions=120, campaigns=9,
                campaigns_before=1 if reduced else 0, described=described, listed=120,
            )  # fmt: skip


def test_every_ability_and_rule_has_its_chinese() -> None:
    for summary in summaries():
        for each in health([Counts("events", 1, 1)], summary).abilities:
            for text in (each.name, each.level, each.reason, each.add):
                assert known(text), text
    with use_locale("zh"):
        for rule in (rule for rules in RULES.values() for rule in rules):
            assert re.search(r"[\u4e00-\u9fff]", render_message(rule.name)), rule.name


@pytest.mark.parametrize(
    ("shop", "stated", "language"),
    [
        ({"currency": "CNY"}, None, "zh"), ({"currency": "USD"}, None, "en"),
        ({"currency": "CNY", "languages": ["zh", "en"]}, "en", "en"),
        ({"currency": "CNY", "languages": ["en"]}, None, "en"), ({"currency": "EUR", "languages": ["zh"]}, None, "zh"),
    ],
)  # fmt: skip
def test_the_report_speaks_the_shops_language_unless_told(
    shop: dict[str, Any], stated: str | None, language: str
) -> None:
    values = {"shop": shop, "data": {"source": "complete-journey"}, "report": {"language": stated}}
    assert Config.model_validate(values).report_language == language


@pytest.mark.parametrize("languages", [["en"], ["zh"], ["en", "zh"], ["zh", "en"]])
def test_a_report_is_in_a_language_of_the_shop_and_in_no_other(languages: list[str]) -> None:
    values = {"shop": {"languages": languages}, "data": {"source": "complete-journey"}}
    config = Config.model_validate(values)
    assert with_language(config, None) is config
    for language in ("en", "zh", "fr"):
        stated = values | {"report": {"language": language}}
        if language in languages:
            assert with_language(config, language).report_language == language
            assert Config.model_validate(stated).report_language == language
            continue
        with raises_code("language_unavailable"):
            with_language(config, language)
        with raises_code("language_unavailable" if language != "fr" else "setting_invalid"):
            Config.parse(stated, "promolift.toml")
