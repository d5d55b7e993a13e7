"""Every error that a person can meet has a code that is listed, and tests ask for the code."""

import ast
import pickle
from collections.abc import Iterator
from functools import cache
from importlib import import_module
from pathlib import Path

import pytest

import promolift
from promolift.foundation.errors import PromoError
from promolift.foundation.settings import read_tsv
from promolift.server.api.problems import ApiError, FieldError
from promolift.server.ledger.refusals import REFUSALS

SOURCE = Path(promolift.__file__).parent
LISTED = {code for code, _, _ in read_tsv("foundation/error_codes.tsv")} | set(REFUSALS)
MADE_OF_PARTS = {
    "page_unknown",
    "subscription_unknown",
    "test_unknown",
    "trial_unknown",
}  # `f"{what}_unknown"` of the console


def error_classes() -> set[str]:
    """Names of `PromoError`, of the errors that carry a code like it, and of all their subclasses."""
    bases = {"PromoError", "SettingError"}
    classes = [node for tree in trees().values() for node in ast.walk(tree) if isinstance(node, ast.ClassDef)]
    for _ in range(5):
        bases |= {c.name for c in classes if {ast.unparse(b) for b in c.bases} & bases}
    return bases


@cache
def trees() -> dict[Path, ast.Module]:
    return {path: ast.parse(path.read_text("utf-8")) for path in SOURCE.rglob("*.py")}


def name_of(called: ast.expr) -> str:
    """The last name of what is called."""
    return called.attr if isinstance(called, ast.Attribute) else called.id if isinstance(called, ast.Name) else ""


@cache
def codes() -> tuple[tuple[str, str], ...]:
    """Each constant code with the place where an error with it is made."""
    return tuple(_codes())


def _codes() -> Iterator[tuple[str, str]]:
    classes = error_classes()
    for path, tree in trees().items():
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and len(node.args) > 1:
                called = name_of(node.func)
                if called in classes:
                    at = 1 if called == "ApiError" else 0
                    code = node.args[at]
                    for part in [code.body, code.orelse] if isinstance(code, ast.IfExp) else [code]:
                        if isinstance(part, ast.Constant) and isinstance(part.value, str) and part.value.isidentifier():
                            yield part.value, f"{path.relative_to(SOURCE)}:{node.lineno}"


def test_every_code_that_an_error_is_made_with_is_listed() -> None:
    unlisted = {code: where for code, where in codes() if code not in LISTED}
    assert len(codes()) > 500
    assert not unlisted


def test_every_listed_code_is_made_somewhere() -> None:
    strings = {n.value for t in trees().values() for n in ast.walk(t) if isinstance(n, ast.Constant)}
    assert {code for code, _, _ in read_tsv("foundation/error_codes.tsv")} - strings <= MADE_OF_PARTS


def test_a_code_is_listed_once_with_a_meaning_and_a_remedy() -> None:
    rows = read_tsv("foundation/error_codes.tsv")
    assert [code for code, _, _ in rows] == sorted({code for code, _, _ in rows})
    assert not {code for code, _, _ in rows} & set(REFUSALS)
    assert all(meaning.endswith(".") and remedy.endswith(".") for _, meaning, remedy in rows)


def test_no_test_matches_the_sentence_of_an_error() -> None:
    calls = [
        (path, node)
        for path in Path(__file__).parents[1].rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.Call) and name_of(node.func) == "raises"
    ]
    assert calls
    assert [f"{path}:{node.lineno}" for path, node in calls if any(k.arg == "match" for k in node.keywords)] == []


@pytest.mark.parametrize(
    "name", ["PromoError", "InputError", "ConfigError", "StepError", "SupportError", "BudgetError"]
)
def test_an_error_crosses_processes_with_its_code(name: str) -> None:
    error = getattr(import_module(PromoError.__module__), name)("column_missing", "a.csv: no column price")
    again = pickle.loads(pickle.dumps(error))
    assert (type(again), again.code, str(again)) == (type(error), "column_missing", "a.csv: no column price")


def test_an_api_error_crosses_processes_with_its_fields() -> None:
    error = pickle.loads(pickle.dumps(ApiError(422, "invalid", "wrong", FieldError("/a", "no number"))))
    assert (error.status, error.code, str(error)) == (422, "invalid", "wrong")
    assert error.errors == [FieldError("/a", "no number")]
