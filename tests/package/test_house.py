"""The house rules a linter does not know."""

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import grimp
import pytest

import promolift

SOURCE = Path(promolift.__file__).parent
MODULES = sorted(SOURCE.rglob("*.py"))
ROOT = Path(__file__).parents[2]
# Words that the field does not use, with the term of docs/glossary.md that stands for each.
OLD_WORDS = {
    r"he|his|him|himself": "they, their, them",
    r"foresee\w*|foresight|unforeseen": "forecast",
    r"by lot|drawn lots|lots are drawn": "at random, randomised",
    r"chances|(?:a|the|its|each|known|logged|same|equal|stated) chance|chance (?:of|to)": "probability, propensity",
    r"(?:in|by|of|into) (?:fifths|tenths)": "quintile, decile",
    r"mend|mends|mended|mending": "repair",
    r"whales?": "large items",
    r"shut": "closed",
    r"portraits?": "profile",
    r"def _?told|told = ": "text",
}
# Words of texts to be recognised, and rooms with lines that still stand: no more than so many.
FOREIGN, OPEN_WORDS = ("message",), {"learn": 1}  # learn: a pattern that finds "he"
OPEN_TUPLES: dict[str, int] = {}  # signatures with bare tuples that still stand: no more than so many
MOST_FLOORS = 4  # modules above one another within a room, each of which imports the next
# rooms that still stand higher: no more than so many
OPEN_FLOORS = {"console": 7, "learning": 5, "serve": 11, "store": 5}
# Public functions and classes that nothing in src calls, with the reason why they are there all the same.
DOORS = {
    "all_tables": "docs/tables.md is made from it",
    "rules_text": "docs/cleaning.md is made from it",
    "tiny_shop": "a shop small enough to be checked by hand",
}


def public(path: Path) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef]:
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) and not node.name.startswith("_"):
            yield node


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(SOURCE)))
def test_every_module_says_what_goes_in_and_what_comes_out(path: Path) -> None:
    assert ast.get_docstring(ast.parse(path.read_text(encoding="utf-8")))


def bare(note: ast.AST | None, aliases: frozenset[str] = frozenset()) -> bool:
    """Whether an annotation holds a tuple of unnamed things anywhere in it, or the name of one; `tuple[X, ...]` is a
    sequence and may stand.
    """
    for each in ast.walk(note) if note else ():
        if isinstance(each, ast.Name) and each.id in aliases:
            return True
        if isinstance(each, ast.Subscript) and isinstance(each.value, ast.Name) and each.value.id == "tuple":
            parts = each.slice.elts if isinstance(each.slice, ast.Tuple) else [each.slice]
            if not any(isinstance(part, ast.Constant) and part.value is Ellipsis for part in parts):
                return True
    return False


def bare_signatures(text: str) -> Iterator[str]:
    """Functions of a source that take or give a bare tuple; those compiled by numba, which knows no others, may."""
    tree = ast.parse(text)
    named = [node for node in tree.body if isinstance(node, ast.Assign) and bare(node.value)]
    aliases = frozenset(target.id for node in named for target in node.targets if isinstance(target, ast.Name))
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            compiled = any(ast.unparse(each).startswith(("compiled", "numba.")) for each in node.decorator_list)
            taken = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]
            if not compiled and any(bare(note, aliases) for note in (node.returns, *(arg.annotation for arg in taken))):
                yield node.name


def test_no_function_takes_or_gives_a_bare_tuple_of_different_things() -> None:
    found: dict[str, list[str]] = {}
    for path in MODULES:
        place = path.relative_to(SOURCE)
        names = [f"{place}: {name}" for name in bare_signatures(path.read_text(encoding="utf-8"))]
        found.setdefault(place.parts[0], []).extend(names)
    assert {room: names for room, names in found.items() if len(names) > OPEN_TUPLES.get(room, 0)} == {}


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ("def f() -> tuple[int, str]: ...", ["f"]),
        ("class C:\n    def _f(self, x: list[tuple[int, str]]) -> None: ...", ["_f"]),
        ("Pair = tuple[float, float]\nasync def f(*, x: Pair | None = None) -> None: ...", ["f"]),
        ("def f(x: tuple[int, ...]) -> dict[str, tuple[str, ...]]: ...", []),
        ("@compiled\ndef f() -> tuple[int, str]: ...", []),
    ],
)
def test_a_bare_tuple_is_found(source: str, found: list[str]) -> None:
    assert [*bare_signatures(source)] == found


def old_words(text: str) -> Iterator[str]:
    """Lines of a text that hold a word of OLD_WORDS, with the term to write instead."""
    patterns = {re.compile(rf"\b(?:{old})\b|\b(?:{old})$", re.I): new for old, new in OLD_WORDS.items()}
    for number, line in enumerate(text.splitlines(), 1):
        yield from (
            f"{number}: {found[0]!r}, write {new}" for old, new in patterns.items() if (found := old.search(line))
        )


def test_words_are_those_of_the_glossary() -> None:
    ours = [
        *MODULES,
        *SOURCE.rglob("*.toml"),
        *SOURCE.rglob("*.html"),
        *(ROOT / "docs").rglob("*.md"),
        *ROOT.glob("READ*.md"),
    ]
    found: dict[str, list[str]] = {}
    for path in ours:
        room = path.relative_to(SOURCE).parts[0] if path.is_relative_to(SOURCE) else path.name
        lines = [f"{path}:{line}" for line in old_words(path.read_text(encoding="utf-8"))]
        if lines and room not in FOREIGN:
            found.setdefault(room, []).extend(lines)
    assert {room: lines for room, lines in found.items() if len(lines) > OPEN_WORDS.get(room, 0)} == {}


def test_an_old_word_is_found() -> None:
    assert len([*old_words("What he foresees.\ntold = 1\nby chance alone\nthe chance of an arm")]) == 4


def test_no_two_public_classes_have_one_name() -> None:
    places: dict[str, list[str]] = {}
    for path in MODULES:
        for node in public(path):
            if isinstance(node, ast.ClassDef):
                places.setdefault(node.name, []).append(str(path.relative_to(SOURCE)))
    assert {name: found for name, found in places.items() if len(found) > 1} == {}


def test_every_public_name_has_a_door_or_a_stated_reason() -> None:
    """Called in src, registered by a decorator, told of in the docs, or named in DOORS."""
    used: set[str] = set()
    for path in MODULES:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Name | ast.Attribute):
                used.add(node.id if isinstance(node, ast.Name) else node.attr)
            elif isinstance(node, ast.ImportFrom):
                used |= {alias.name for alias in node.names if alias.asname}
    pages = (page.read_text(encoding="utf-8") for page in (ROOT / "docs").glob("*.md"))
    named = set(re.findall(r"\w+", " ".join(pages)))
    closed = {
        node.name
        for path in MODULES
        for node in public(path)
        if node.name not in used | named and not node.decorator_list
    }
    assert closed == set(DOORS)


def floors(imports: dict[str, set[str]]) -> int:
    """The length of the longest chain of modules each of which imports the next; they import in no circle."""

    @cache
    def height(module: str) -> int:
        return 1 + max(map(height, imports[module]), default=0)

    return max(map(height, imports), default=0)


def test_a_room_stands_on_few_floors() -> None:
    graph = grimp.build_graph("promolift", exclude_type_checking_imports=True, cache_dir=None)
    high = {}
    for room in sorted(path.name for path in SOURCE.iterdir() if (path / "__init__.py").exists()):
        mine = graph.find_descendants(f"promolift.{room}")
        found = floors({each: graph.find_modules_directly_imported_by(each) & mine for each in mine})
        if found > MOST_FLOORS:
            high[room] = found
    assert {room: found for room, found in high.items() if found > OPEN_FLOORS.get(room, MOST_FLOORS)} == {}


def test_floors_are_counted_along_the_longest_chain() -> None:
    assert floors({"a": {"b", "c"}, "b": {"c"}, "c": set(), "d": set()}) == 3


def test_the_package_offers_at_most_fourteen_names_and_each_is_there() -> None:
    assert len(promolift.__all__) <= 14
    for name in promolift.__all__:
        assert getattr(promolift, name).__doc__, name


def test_an_unknown_name_is_answered_with_the_known_ones() -> None:
    with pytest.raises(AttributeError) as caught:
        _ = promolift.profil  # type: ignore[attr-defined]
    assert "profile" in str(caught.value)


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
