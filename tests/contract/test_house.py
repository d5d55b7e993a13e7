"""The house rules a linter does not know."""

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import promolift

SOURCE = Path(promolift.__file__).parent
MODULES = sorted(SOURCE.rglob("*.py"))
FUNCTION_LINES, ARGUMENTS, VERB_OPTIONS, MODULE_LINES = 80, 8, 9, 900


def functions(path: Path) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


def body_lines(node: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    first = node.body[0]
    doc = isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant)
    start = node.body[1].lineno if doc and len(node.body) > 1 else first.lineno
    return (node.end_lineno or start) - start + 1


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(SOURCE)))
def test_modules_functions_and_argument_lists_stay_small(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert text.count("\n") <= MODULE_LINES or path.name == "tables.py"  # every column of every table, and no code
    assert ast.get_docstring(ast.parse(text))
    for node in functions(path):
        named = [
            a.arg for a in node.args.posonlyargs + node.args.args + node.args.kwonlyargs if a.arg not in ("self", "cls")
        ]
        # A compiled kernel takes its arrays one by one, a verb of the command line its options.
        made = " ".join(ast.unparse(decorator) for decorator in node.decorator_list)
        verb = path.name == "cli.py" and (".command(" in made or ".callback(" in made)
        limit = 14 if "compiled" in made else VERB_OPTIONS if verb else ARGUMENTS
        assert len(named) <= limit, f"{node.name} takes {named}"
        assert body_lines(node) <= FUNCTION_LINES, f"{node.name} has {body_lines(node)} lines"


def test_the_package_offers_at_most_fourteen_names_and_each_is_there() -> None:
    assert len(promolift.__all__) <= 14
    for name in promolift.__all__:
        assert getattr(promolift, name).__doc__, name


def test_an_unknown_name_is_answered_with_the_known_ones() -> None:
    with pytest.raises(AttributeError, match="profile"):
        _ = promolift.profil  # type: ignore[attr-defined]


def test_importing_the_package_does_nothing_and_loads_no_torch() -> None:
    code = "import sys, promolift; print([m for m in ('torch', 'duckdb', 'lightgbm', 'pandas') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_no_source_holds_an_unfinished_place() -> None:
    for path in MODULES:
        text = path.read_text(encoding="utf-8")
        for mark in ("# TO" + "DO", "FIX" + "ME", "raise NotImplemented" + "Error"):
            assert mark not in text, f"{path}: {mark}"


def test_nothing_is_ever_unpickled() -> None:
    for path in MODULES:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = [a.name for a in node.names] if isinstance(node, ast.Import | ast.ImportFrom) else []
            assert not {"pickle", "joblib", "cloudpickle", "dill"} & {*names, getattr(node, "module", None)}, path


def test_kept_tables_are_read_through_typed_results_alone() -> None:
    """Another name for a table, or another table under a name, is then one change in one place."""
    by_name = re.compile(r"""store\.(frame|table|shards|has)\(\s*f?["'](?!raw_)""")
    for path in MODULES:
        place = path.relative_to(SOURCE).parts[0]
        if place in ("results", "store"):
            continue
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
            assert not by_name.search(line), f"{path}:{number} reads a table by its name"
