"""What a wrong value breaks is said by a message of the catalogue, for every setting and everything that is stored."""

import importlib
import pkgutil
from collections.abc import Iterator

import pytest
from pydantic import BaseModel, TypeAdapter, ValidationError

import promolift
from promolift.foundation.i18n.catalogue import load_catalogue, use_locale
from promolift.foundation.i18n.lazy_message import render_message
from promolift.foundation.i18n.validation_text import RULES, broken_rule

WRONG = (
    "x", -1, 1e9, None, [], {}, True, "a" * 10_000, 1.5, float("nan"), ["x"], [1], {"a": 1}, "", "2020-13-40", 10**30,
    b"\xff", "2026-11-30T08:00:00",
)  # fmt: skip


def below(kind: type[BaseModel]) -> Iterator[type[BaseModel]]:
    for each in kind.__subclasses__():
        yield each
        yield from below(each)


def every_model() -> list[type[BaseModel]]:
    for module in pkgutil.walk_packages(promolift.__path__, "promolift."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)
    ours = {each for each in below(BaseModel) if each.__module__.startswith("promolift.")}
    return sorted(ours, key=lambda each: (each.__module__, each.__qualname__))


def test_every_rule_that_a_value_can_break_has_a_text() -> None:
    models = every_model()
    assert len(models) > 150
    unknown = set[tuple[str, str, str]]()
    for model in models:
        for field in model.model_fields:
            for value in WRONG:
                try:
                    model.model_validate({field: value})
                except ValidationError as error:
                    unknown |= {
                        (model.__name__, field, each["type"])
                        for each in error.errors()
                        if each["type"] not in RULES and "error" not in each.get("ctx", {})
                    }
    assert not unknown


def test_a_text_is_shown_in_the_readers_language() -> None:
    texts = load_catalogue("zh")
    assert all(texts.gettext(each) != each for each in RULES.values())
    with pytest.raises(ValidationError) as found:
        TypeAdapter(int).validate_python("many")
    message = broken_rule(found.value.errors()[0])
    assert message == "must be a whole number"
    with use_locale("zh"):
        assert render_message(message) == "须为整数"
