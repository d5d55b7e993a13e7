"""The script that rewrites pairs of texts as messages, and the check of the catalogues."""

import ast
import itertools
import re
import sys
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path

import pytest
from babel.messages.catalog import Catalog
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from promolift.foundation.i18n.formatting import count, plural
from promolift.foundation.settings import read_tsv

ROOT = Path(__file__).parents[2]


sys.path.insert(0, str(ROOT / "tools" / "catalogue"))
check, convert, sentences, table_script = (
    import_module(name) for name in ("check", "convert", "convert_sentences", "convert_table")
)
NAMES = ("customers", "offers", "note.gaps", "row['share']", "cash(x)", "percent(y)", "n", "text")
WORDS = st.sampled_from([" of ", " get ", " {", "} ", '\'s "x" ', ", ", ".", "\\ "])
HAN = st.sampled_from(["位", "得到", "，", "。", "“{", "}”", "占"])


def pieces(words: st.SearchStrategy[str]) -> st.SearchStrategy[list[tuple[str, str]]]:
    """Texts as lists of constants and expressions."""
    text = st.tuples(st.just("text"), words)
    value = st.tuples(st.just("value"), st.sampled_from(NAMES))
    return st.lists(st.one_of(text, value), min_size=1, max_size=6)


def written(parts: list[tuple[str, str]]) -> str:
    """The same as an f-string."""
    inside = "".join(
        f"{{{value}}}" if kind == "value" else value.replace("{", "{{").replace("}", "}}") for kind, value in parts
    )
    return 'f"' + inside.replace("\\", "\\\\").replace('"', '\\"') + '"'


class Any:
    """Every name, attribute and item of drawn code, as a text."""

    def __init__(self, name: str) -> None:
        self.name = name

    def __getattr__(self, name: str) -> "Any":
        return Any(f"{self.name}.{name}")

    def __getitem__(self, key: object) -> "Any":
        return Any(f"{self.name}[{key}]")

    def __call__(self, *arguments: object) -> "Any":
        return Any(f"{self.name}({', '.join(map(str, arguments))})")

    def __str__(self) -> str:
        return f"<{self.name}>"


def evaluated(source: str, language: str, catalogue: Mapping[str, str], **more: object) -> str:
    """A call before or after the rewriting, in a language."""

    def look_up(message: str, arguments: Mapping[str, object]) -> str:
        text = catalogue[message] if language == "zh" else message
        return text.format(**arguments) if arguments else text

    known = {
        name: Any(name) for name in ("customers", "offers", "note", "row", "cash", "percent", "x", "y", "n", "text")
    }
    functions = {
        "localize": lambda en, zh: zh if language == "zh" else en,
        "gettext": lambda message, **arguments: look_up(message, arguments),
        "ngettext": lambda one, many, n, **arguments: look_up(one if count(n) == "1" or language == "zh" else many,
                                                              arguments),
        "count": count, "plural": plural,
    }  # fmt: skip
    return str(eval(source, known | functions | more))


def messages_of(tree: object) -> dict[str, str]:
    """English and Chinese of the messages that a call became."""
    return {each.one: each.chinese for each in convert._messages(tree)}


@given(en=pieces(WORDS), zh=pieces(HAN), test=st.booleans(), branch=pieces(WORDS))
@settings(suppress_health_check=[HealthCheck.too_slow])
def test_a_rewritten_call_prints_the_same_in_both_languages(
    en: list[tuple[str, str]], zh: list[tuple[str, str]], test: bool, branch: list[tuple[str, str]]
) -> None:
    english = f"({written(en)} if offers_given else {written(branch)})" if test else written(en)
    source = f"localize({english}, {written(zh)})"
    call = convert.ast.parse(source, mode="eval").body
    try:
        tree = convert.Converter(Catalog()).cases(*(convert.python_parts(each) for each in call.args), "a.py")
    except convert.OddError:
        return
    convert.prove(call, tree)
    after, found = convert.call_source(tree), messages_of(tree)
    for language, given_ in itertools.product(("en", "zh"), (True, False)):
        before = evaluated(source, language, {}, offers_given=given_)
        assert evaluated(after, language, found, offers_given=given_) == before


@given(n=st.one_of(st.none(), st.floats(), st.integers(-5, 5000)))
def test_a_count_with_its_noun_becomes_a_plural(n: object) -> None:
    source = 'localize(f"{plural(n, \'customer\')} of {x}", f"{x}中的{count(n)}位")'
    call = convert.ast.parse(source, mode="eval").body
    tree = convert.Converter(Catalog()).cases(*(convert.python_parts(each) for each in call.args), "a.py")
    after, found = convert.call_source(tree), messages_of(tree)
    assert (
        after == 'ngettext("{customers} customer of {x}", "{customers} customers of {x}", n, customers=count(n), x=x)'
    )
    for language in ("en", "zh"):
        assert evaluated(after, language, found, n=n) == evaluated(source, language, {}, n=n)


def test_the_proof_finds_a_planted_fault() -> None:
    source = 'localize(f"{n} of {x}", f"{x}中的{n}")'
    call = convert.ast.parse(source, mode="eval").body
    tree = convert.Converter(Catalog()).cases(*(convert.python_parts(each) for each in call.args), "a.py")
    tree.chinese = "{n}中的{x}"
    with pytest.raises(AssertionError):
        convert.prove(call, tree)


MODULE = '''"""A module."""

from promolift.foundation.i18n.formatting import count, localize


def say(rows: list[int], name: str) -> str:
    """Say how many."""
    head = localize("Offers", "优惠")
    return head + localize(
        f"{count(len(rows))} of them for {name}, {'now' if rows else 'never'}", f"{name}：{count(len(rows))}个"
    )
'''
TEMPLATE = (
    '<p>{{ localize("Campaign ", "活动：") }}{{ localize("role " ~ role ~ " is needed", "需要“" ~ role ~ "”") }}</p>\n'
)


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A source tree of one module and one template."""
    package = tmp_path / "src" / "promolift"
    (package / "templates").mkdir(parents=True)
    (package / "pages.py").write_text(MODULE, "utf-8")
    (package / "templates" / "page.html").write_text(TEMPLATE, "utf-8")
    (tmp_path / "pyproject.toml").write_text("[tool.ruff]\nline-length = 120\n", "utf-8")
    return tmp_path


def test_files_are_rewritten_once_and_their_catalogue_is_complete(tree: Path) -> None:
    convert.main(tree)
    module, template = (tree / "src/promolift/pages.py"), tree / "src/promolift/templates/page.html"
    assert template.read_text("utf-8") == (
        '<p>{{ gettext("Campaign ") }}{{ gettext("role {role} is needed", role=role) }}</p>\n'
    )
    assert "localize" not in module.read_text("utf-8")
    assert '"{rows} of them for {name}, now", rows=count(len(rows)), name=name' in module.read_text("utf-8")
    assert list(check.problems(tree)) == []
    before = {
        path: path.read_bytes() for path in tree.rglob("*.*") if path.is_file() and ".ruff_cache" not in str(path)
    }
    convert.main(tree)
    assert {path: path.read_bytes() for path in before} == before


@pytest.mark.parametrize(
    ("file", "old", "new", "problem"),
    [
        ("pages.py", 'gettext("Offers")', 'gettext("Vouchers")', "missing: Vouchers"),
        ("pages.py", 'gettext("Offers")', '"Offers"', "stale: Offers"),
        ("pages.py", "name=name", "who=name", "the call gives no name"),
        ("templates/page.html", "role {role}", "role {roll}", "missing: role {roll} is needed"),
        ("zh.po", "需要“{role}”", "需要“{roll}”", "the call gives no roll"),
        ("zh.po", 'msgstr "优惠"', 'msgstr ""', "without a translation: Offers"),
    ],
)
def test_the_check_finds_a_planted_fault(tree: Path, file: str, old: str, new: str, problem: str) -> None:
    convert.main(tree)
    path = tree / convert.CATALOGUE if file == "zh.po" else tree / "src/promolift" / file
    text = path.read_text("utf-8")
    assert old in text
    path.write_text(text.replace(old, new), "utf-8")
    assert any(re.search(re.escape(problem), each) for each in check.problems(tree))


def test_an_update_adds_what_is_missing_and_removes_what_is_stale(tree: Path) -> None:
    convert.main(tree)
    module = tree / "src/promolift/pages.py"
    module.write_text(module.read_text("utf-8").replace('gettext("Offers")', 'gettext("Vouchers")'), "utf-8")
    check.update(tree)
    assert list(check.problems(tree)) == ["zh: without a translation: Vouchers"]


def test_the_catalogues_of_promolift_fit_its_code() -> None:
    assert list(check.problems(ROOT)) == []


SENTENCES = [row[0] for row in read_tsv("foundation/i18n/sentences_zh.tsv") if row[0].count("{}") <= 4]


@given(pattern=st.sampled_from(SENTENCES), numbers=st.booleans())
@settings(max_examples=300)
def test_a_sentence_becomes_a_message_with_the_chinese_of_its_pattern(pattern: str, numbers: bool) -> None:
    holes = itertools.count()
    value = "count(values[{}])" if numbers else "values[{}].name"
    text = re.sub(r"\{\}", lambda _: f"\x00{value.format(next(holes))}\x01", pattern)
    text = text.replace("{", "{{").replace("}", "}}").replace("\x00", "{").replace("\x01", "}")
    call = ast.Call(ast.Name("translate", ast.Load()), [ast.parse("f" + repr(text), mode="eval").body], [])
    parts = convert.python_parts(call.args[0])
    converter = sentences.SentenceConverter(Catalog())
    try:
        tree = converter.cases(parts, parts, "a.py")
    except convert.OddError:
        return
    convert.prove(call, tree)
    assert numbers == ("translate(" not in convert.call_source(tree)) or not next(holes)


def test_a_sentence_with_a_planted_fault_is_found() -> None:
    call = ast.parse("translate(f'there are fewer than {count(customers)} customers')", mode="eval").body
    parts = convert.python_parts(call.args[0])
    tree = sentences.SentenceConverter(Catalog()).cases(parts, parts, "a.py")
    tree.chinese = tree.chinese + "。"
    with pytest.raises(AssertionError):
        convert.prove(call, tree)


def test_a_sentence_whose_words_come_from_a_value_is_left_for_a_person() -> None:
    for source in ("translate(f'{a.name} {b.name}')", "translate('a sentence that nobody translated')"):
        parts = convert.python_parts(ast.parse(source, mode="eval").body.args[0])
        with pytest.raises(convert.OddError):
            sentences.SentenceConverter(Catalog()).cases(parts, parts, "a.py")


def test_a_table_of_texts_keeps_its_english_and_its_chinese_goes_to_the_catalogue(tree: Path) -> None:
    table = tree / "src/promolift" / check.TABLE
    table.parent.mkdir()
    table.write_text("# group\tkey\tEnglish\tChinese\nnav\t/\tToday\t今日\nsay\tsent\t{n} sent\t已发{n}条\n", "utf-8")
    convert.main(tree)
    for _ in range(2):
        table_script.main(tree)
        assert table.read_text("utf-8") == "# group\tkey\tEnglish\nnav\t/\tToday\nsay\tsent\t{n} sent\n"
        assert list(check.problems(tree)) == []
    table.write_text(table.read_text("utf-8").replace("Today", "Now"), "utf-8")
    assert list(check.problems(tree)) == ["zh: missing: Now", "zh: stale: Today"]


PAGE = '''"""A page."""

from promolift.foundation.pages.blocks import Block, table


def grid(rows: list[list[str]], heading: str) -> Block:
    """Make a table."""
    heads = ["customers", "a heading that nobody translated"]
    return table("Which offers", heads, rows, heading)
'''


def test_headings_that_a_page_translated_become_messages(tree: Path) -> None:
    module = tree / "src/promolift/pages.py"
    module.write_text(PAGE, "utf-8")
    convert.main(tree)
    sentences.main(tree)
    text = module.read_text("utf-8")
    assert 'table(gettext("Which offers"), heads, rows, heading)' in text
    assert '[gettext("customers"), "a heading that nobody translated"]' in text
    assert list(check.problems(tree)) == []
    sentences.main(tree)
    assert module.read_text("utf-8") == text
