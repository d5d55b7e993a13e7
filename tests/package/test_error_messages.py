"""What an error says is a message of the catalogue, so that its reader gets it in their language.

That a message is a `LazyMessage` is checked by mypy (`PromoError.__init__`); that it was made by one of the functions
that the catalogue knows, here.
"""

import ast
import re
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import pytest

import promolift

PACKAGE = Path(promolift.__file__).parent
UNTRANSLATED = 10  # places where words of a library or of a table in the reader's language become a message
FOR_PROGRAMMERS = {  # errors that no reader of a page or of the command line sees
    "extensions/encoder/network/learned_encoder.py",
    "foundation/i18n/lazy_message.py",
    "foundation/privacy/encoded_text.py",
    "foundation/privacy/identifier_search.py",
}


def untranslated_texts(source: str) -> Iterator[tuple[int, bool]]:
    """Yield the lines that take a text into no catalogue, and whether it has words of its own."""
    for call in ast.walk(ast.parse(source)):
        if isinstance(call, ast.Call) and getattr(call.func, "attr", "") == "untranslated":
            constants = (each.value for each in ast.walk(call) if isinstance(each, ast.Constant))
            yield call.lineno, any(isinstance(each, str) and " " in each.strip() for each in constants)


def test_few_texts_are_taken_into_no_catalogue_and_none_with_words_of_ours() -> None:
    found = [
        (f"{path.relative_to(PACKAGE)}:{line}", words)
        for path in sorted(PACKAGE.rglob("*.py"))
        for line, words in untranslated_texts(path.read_text("utf-8"))
    ]
    assert len(found) <= UNTRANSLATED, found
    assert not [place for place, words in found if words]


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ("LazyMessage.untranslated(str(error))", [(1, False)]),
        ("LazyMessage.untranslated('it is full')", [(1, True)]),
        ("LazyMessage.untranslated(f'{path}: it is full')", [(1, True)]),
        ("gettext_lazy('it is full')", []),
    ],
)
def test_a_planted_text_is_found(source: str, found: list[tuple[int, bool]]) -> None:
    assert [*untranslated_texts(source)] == found


MAKERS = {"gettext", "gettext_lazy", "ngettext", "ngettext_lazy"}
TWO_WORDS = re.compile(r"(?<![\w./`-])[a-z]{2,} [a-z]{2,}")
NO_SENTENCES = {"command", "place"}  # arguments: what a person types, and where in promolift.toml


def _texts(node: ast.expr) -> Iterator[str]:
    """Yield the words of texts that an expression may become, without what fills their places."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        yield node.value
    elif isinstance(node, ast.JoinedStr):
        yield "".join(each.value for each in node.values if isinstance(each, ast.Constant))
    elif isinstance(node, ast.IfExp):
        yield from (*_texts(node.body), *_texts(node.orelse))
    elif isinstance(node, ast.BoolOp):
        for each in node.values:
            yield from _texts(each)


def finished_sentences(source: str) -> Iterator[tuple[int, str]]:
    """Yield the sentences that stand in an argument of a message, or in an error of a rule of settings."""
    for part in ast.walk(ast.parse(source)):
        if isinstance(part, ast.Call) and part.args and getattr(part.func, "id", "") == "ValueError":
            yield from ((part.lineno, text) for text in _texts(part.args[0]) if TWO_WORDS.search(text))
        if not isinstance(part, (ast.FunctionDef, ast.AsyncFunctionDef)):
            continue
        made = defaultdict[str, list[ast.expr]](list)
        for each in ast.walk(part):
            if isinstance(each, ast.Assign) and isinstance(each.targets[0], ast.Name):
                made[each.targets[0].id].append(each.value)
        for call in ast.walk(part):
            if isinstance(call, ast.Call) and getattr(call.func, "id", "") in MAKERS:
                for given in call.keywords:
                    name = given.value.id if isinstance(given.value, ast.Name) else ""
                    for value in (given.value, *made.get(name, ())):
                        found = [text for text in _texts(value) if TWO_WORDS.search(text)]
                        yield from ((value.lineno, text) for text in found if given.arg not in NO_SENTENCES)


def test_no_message_holds_a_finished_english_sentence() -> None:
    """A place of a message takes a value or another message: an English sentence stays English in any language."""
    found = [
        f"{path.relative_to(PACKAGE)}:{line}: {text}"
        for path in sorted(PACKAGE.rglob("*.py"))
        if path.relative_to(PACKAGE).as_posix() not in FOR_PROGRAMMERS
        for line, text in finished_sentences(path.read_text("utf-8"))
    ]
    assert not found, found


@pytest.mark.parametrize(
    ("source", "number"),
    [
        ("def f():\n    hint = 'did you mean' if x else 'there are none'\n    gettext_lazy('{hint}', hint=hint)", 2),
        ("def f():\n    gettext_lazy('no {what}', what=f'{n} rows have no value')", 1),
        ("def f():\n    raise ValueError('it is full')", 1),
        ("def f():\n    hint = gettext_lazy('it is full')\n    gettext_lazy('{hint}', hint=hint)", 0),
        ("def f():\n    gettext_lazy('{name} is full', name=repr(name))", 0),
    ],
)
def test_a_planted_sentence_is_found(source: str, number: int) -> None:
    assert len([*finished_sentences(source)]) == number
