"""docs/configuration.md explains every key of the settings, and what it shows to be copied is read."""

import importlib.util
import json
import sys
import tomllib
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from pydantic import Field, ValidationError

from promolift.foundation.settings import Settings
from promolift.shop.configuration.column_mapping import ROLES

DOCS = Path(__file__).parents[2] / "docs"


def _load() -> ModuleType:
    spec = importlib.util.spec_from_file_location("configuration", DOCS / "configuration.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["configuration"] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


PAGE = _load()
KINDS = list(dict.fromkeys(k for book in PAGE.BOOKS for k in (book.kind, *(p.kind for p in PAGE.places(book.kind)))))
named = pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)


def undescribed(kind: type[Settings]) -> list[str]:
    """Keys without a sentence of their own."""
    return [name for name, field in PAGE.keys(kind).items() if len(field.description or "") < 10]


def refused(kind: type[Settings]) -> list[str]:
    """Keys whose example is missing or does not fit the key; rules between keys are the parts' own matter."""
    needed = {name: field.examples[0] for name, field in PAGE.keys(kind).items() if field.is_required()}
    found = []
    for name, field in PAGE.keys(kind).items():
        value = PAGE.example(field)
        read = tomllib.loads(f"{name} = {PAGE.shown(value)}") if value not in (None, (), {}, "") else {}
        try:
            kind.model_validate({**needed, **read})
        except ValidationError as error:
            if any(each["loc"][:1] == (name,) for each in error.errors()):
                found.append(name)
        if not read:
            found.append(name)
    return found


@named
def test_every_key_is_described_and_its_example_is_read(kind: type[Settings]) -> None:
    assert kind.__doc__
    assert undescribed(kind) == []
    assert refused(kind) == []


def test_a_key_without_a_description_and_an_example_that_cannot_be_are_found() -> None:
    class Poor(Settings):
        """Two faults."""

        mute: int = 3
        wrong: float = Field(default=0.5, le=1, description="A share of something.", examples=[7.0])
        unsaid: str | None = Field(default=None, description="Nobody knows how it is written.")

    assert undescribed(Poor) == ["mute"]
    assert refused(Poor) == ["wrong", "unsaid"]


@pytest.mark.parametrize("book", PAGE.BOOKS, ids=lambda book: book.title)
def test_the_example_files_are_read_and_say_something_of_every_part(book: Any) -> None:
    book.kind.parse(book.values, book.example.name)
    assert [place.path for place in PAGE.places(book.kind) if not book.part(place.path)] == []


@pytest.mark.parametrize("book", PAGE.BOOKS, ids=lambda book: book.title)
def test_what_the_page_shows_can_be_copied_part_by_part(book: Any) -> None:
    text = (DOCS / "configuration.md").read_text(encoding="utf-8")
    places = [(place.path, bool(place.like)) for place in PAGE.places(book.kind)]
    parts = [part for place in (("", False), *places) if (part := book.part(*place))]
    assert [part for part in parts if f"\n{part}\n```" not in text] == []
    for part in parts if book.is_json else ["\n".join(parts)]:
        book.kind.parse(json.loads(part) if book.is_json else tomllib.loads(part), "the page")


def test_every_role_says_what_its_column_holds() -> None:
    assert all(meaning for roles in ROLES.values() for meaning in roles.values())


@pytest.mark.parametrize(
    ("kind", "rules", "words"),
    [
        (int, {"ge": 1, "le": 9}, "whole number from 1 to 9"),
        (float, {"gt": 0, "le": 1}, "share above 0, at most 1"),
        (float, {"ge": 0}, "number from 0"),
        (float, {"ge": 0, "lt": 1}, "share from 0, below 1"),
    ],
)
def test_bounds_are_told_in_words(kind: type, rules: dict[str, float], words: str) -> None:
    field: Any = Field(**rules)  # type: ignore[call-overload]
    assert PAGE.in_words(kind, field.metadata) == words
