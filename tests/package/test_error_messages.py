"""What an error says is a message of the catalogue, so that its reader gets it in their language."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import promolift

PACKAGE = Path(promolift.__file__).parent
OURS = re.compile(r"(Error|Refused)$")
NOT_OURS = (
    "ValueError", "TypeError", "KeyError", "RuntimeError", "OSError", "AttributeError", "ImportError", "IndexError",
    "NotImplementedError", "FileNotFoundError", "BlockingIOError", "PydanticKnownError", "FieldError",
)  # fmt: skip
# Errors whose sentence is English in the code, by package. A number may only fall.
LEFT = {"cli": 0, "core": 0, "extensions": 8, "foundation": 0, "server": 1, "shop": 0, "trials": 0}


def english_errors(source: str) -> Iterator[int]:
    """Yield the lines that make an error of promolift from English text."""
    for call in ast.walk(ast.parse(source)):
        if not isinstance(call, ast.Call):
            continue
        name = getattr(call.func, "id", getattr(call.func, "attr", ""))
        place = 2 if name == "ApiError" else 1
        if OURS.search(name) and name not in NOT_OURS and len(call.args) > place and is_text(call.args[place]):
            yield call.lineno


def is_text(node: ast.expr) -> bool:
    """Return whether words stand in an expression outside of messages."""
    if isinstance(node, ast.Call | ast.Subscript):
        return False
    if isinstance(node, ast.Constant):
        return isinstance(node.value, str)
    return isinstance(node, ast.JoinedStr) or any(
        is_text(each) for each in ast.iter_child_nodes(node) if isinstance(each, ast.expr)
    )


@pytest.mark.parametrize("package", LEFT)
def test_the_errors_with_english_text_only_become_fewer(package: str) -> None:
    found = [
        f"{path.relative_to(PACKAGE)}:{line}"
        for path in sorted((PACKAGE / package).rglob("*.py"))
        for line in english_errors(path.read_text("utf-8"))
    ]
    assert len(found) <= LEFT[package], found


def test_a_planted_english_error_is_found() -> None:
    assert [*english_errors('raise InputError("code", f"{path}: empty")')] == [1]
    assert [*english_errors('raise ApiError(404, "code", "no such key")')] == [1]
    assert [*english_errors('raise InputError("code", gettext_lazy("{path}: empty", path=path))')] == []
    assert [*english_errors('raise InputError("code", error.message)')] == []
