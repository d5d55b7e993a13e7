"""What an error says is a message of the catalogue, so that its reader gets it in their language.

That a message is a `LazyMessage` is checked by mypy (`PromoError.__init__`); that it was made by one of the functions
that the catalogue knows, here.
"""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import promolift

PACKAGE = Path(promolift.__file__).parent
UNTRANSLATED = 7  # places where words of a library or of a table in the reader's language become a message


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
