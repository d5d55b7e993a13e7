"""Rules on structure and names that the linters cannot check."""

import ast
import re
import subprocess
import sys
import tomllib
from collections import Counter
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
# Packages whose texts hold words to be recognised, and packages with lines that still stand: no more than so many.
FOREIGN: tuple[str, ...] = ("core",)
OPEN_WORDS: dict[str, int] = {}  # learn: a pattern that finds "he"
OPEN_TUPLES: dict[str, int] = {}  # signatures with bare tuples that still stand: no more than so many
# children of a package above one another; elsewhere 4. Errors carry messages, so i18n stands below all of foundation.
MOST_LEVELS = {"promolift": 6, "promolift.foundation": 5, "promolift.server": 5}
MOST_MODULES = 15  # in one folder
MOST_LINES = 630  # in one module; the arguments of a message stand on lines of their own
# words that say nothing about what a public name is
PRIVATE_WORDS = {"kept", "told", "said", "heard", "found", "asked", "given", "mine", "things"}
GENERIC = {"core", "words", "job", "people", "rules", "utils", "common", "helpers", "misc", "things", "parts", "data"}
# basenames that stand in several packages because each sees the same concept, or because a framework names them so
SAME_CONCEPT = {
    "boosted_trees", "carts", "commands", "customers", "data_health", "data_subject_rights", "earnings", "evaluation",
    "experiments", "fairness", "ingest", "line_tests", "plan", "predictions", "redemptions", "results", "segments",
    "settings", "setup", "text_pool",
}  # fmt: skip
# Public functions and classes that nothing in src calls, with the reason why they are there all the same.
DOORS = {
    "all_tables": "docs/tables.md is made from it",
    "behaviour_attributes": "the public profile of one moment, without the shop's own columns",
    "draw_daily_shop": "a shop that plans are judged in",
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
            elif isinstance(node, ast.Constant) and isinstance(node.value, str) and ":" in node.value:
                used.add(node.value.rpartition(":")[2])  # a reference of an extension
    pages = (page.read_text(encoding="utf-8") for page in (ROOT / "docs").glob("*.md"))
    named = set(re.findall(r"\w+", " ".join(pages)))
    closed = {
        node.name
        for path in MODULES
        for node in public(path)
        if node.name not in used | named and not node.decorator_list
    }
    assert closed == set(DOORS)


def longest_chain(imports: dict[str, set[str]]) -> list[str]:
    """Return the longest chain of modules each of which imports the next; they import in no circle."""

    @cache
    def chain(module: str) -> tuple[str, ...]:
        return (module, *max((chain(each) for each in sorted(imports[module])), key=len, default=()))

    return [*max(map(chain, imports), key=len, default=())]


def packages() -> list[str]:
    """Names of all packages, the top one first."""
    folders = sorted({path.parent for path in MODULES})
    return [".".join(["promolift", *folder.relative_to(SOURCE).parts]) for folder in folders]


@cache
def import_graph() -> grimp.ImportGraph:
    """What imports what, without type checking and without the imports that pyproject.toml still ignores."""
    graph = grimp.build_graph("promolift", exclude_type_checking_imports=True, cache_dir=None)
    for pair in ignored_imports():
        importer, imported = pair.split(" -> ")
        graph.remove_import(importer=importer, imported=imported)
    return graph


def ignored_imports() -> list[str]:
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]["importlinter"]["contracts"]
    return sorted({pair for contract in contracts for pair in contract.get("ignore_imports", ())})


@pytest.mark.parametrize("package", packages())
def test_a_package_has_few_levels(package: str) -> None:
    graph, children = import_graph(), sorted(import_graph().find_children(package))
    inside = {child: {child, *graph.find_descendants(child)} for child in children}
    arrows: dict[str, set[str]] = {child: set() for child in children}
    for child in children:
        for module in inside[child]:
            for imported in graph.find_modules_directly_imported_by(module):
                arrows[child] |= {other for other in children if other != child and imported in inside[other]}
    found = longest_chain(arrows)
    assert len(found) <= MOST_LEVELS.get(package, 4), " -> ".join(found)


def test_the_longest_chain_is_found() -> None:
    assert longest_chain({"a": {"b", "c"}, "b": {"c"}, "c": set(), "d": set()}) == ["a", "b", "c"]


def test_a_folder_holds_few_modules() -> None:
    counts = Counter(path.parent for path in MODULES if path.name != "__init__.py")
    assert {str(folder.relative_to(SOURCE)): n for folder, n in counts.items() if n > MOST_MODULES} == {}


def test_a_module_is_not_long() -> None:
    lengths = {str(path.relative_to(SOURCE)): len(path.read_text("utf-8").splitlines()) for path in MODULES}
    assert {name: n for name, n in lengths.items() if n > MOST_LINES} == {}


def test_the_top_has_seven_packages_and_no_module() -> None:
    names = {path.name for path in SOURCE.iterdir() if path.name != "__pycache__"}
    layers = {"foundation", "core", "shop", "trials", "server", "extensions", "cli"}
    assert names == layers | {"__init__.py", "py.typed"}


def test_a_basename_that_repeats_is_one_concept() -> None:
    counts = Counter(path.stem for path in MODULES if not path.stem.startswith("__"))
    assert {name for name, n in counts.items() if n > 1} == SAME_CONCEPT
    assert {name for name, n in counts.items() if n > 1 and name in GENERIC} == set()


def name_words(name: str) -> set[str]:
    """The words of a name, in lower case."""
    return {word.lower() for word in re.findall(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])", name)}


def public_names(tree: ast.Module) -> Iterator[str]:
    """Top-level names and methods that are public, as `Class.method`."""
    for node in tree.body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            names = [node.name]
        elif isinstance(node, ast.Assign):
            names = [each.id for target in node.targets for each in ast.walk(target) if isinstance(each, ast.Name)]
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            names = [node.target.id]
        else:
            continue
        yield from (name for name in names if not name.startswith("_"))
        if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
            for each in node.body:
                if isinstance(each, ast.FunctionDef | ast.AsyncFunctionDef) and not each.name.startswith("_"):
                    yield f"{node.name}.{each.name}"


def test_public_names_are_words_that_a_reader_would_search_for() -> None:
    found = [
        f"{path.relative_to(SOURCE)}: {name}"
        for path in MODULES
        for name in public_names(ast.parse(path.read_text(encoding="utf-8")))
        if name_words(name.rpartition(".")[2].replace("not_found", "missing")) & PRIVATE_WORDS
    ]
    assert found == []


def test_a_private_word_is_found() -> None:
    names = public_names(ast.parse("def read_said(): ...\nclass KeptRows:\n    def heard(self): ...\n_TOLD = 1"))
    assert [name for name in names if name_words(name.rpartition(".")[2]) & PRIVATE_WORDS] == [
        "read_said", "KeptRows", "KeptRows.heard",
    ]  # fmt: skip


def test_the_public_api_is_stated_once_and_each_name_is_there() -> None:
    assert set(promolift.__all__) == {
        "Log", "Offer", "Plan", "PromoError", "Shop", "Trial", "UpliftEstimator", "__version__", "core",
    }  # fmt: skip
    for name in promolift.__all__:
        assert getattr(promolift, name).__doc__, name
    packages = {"allocation", "customers", "decisions", "effects", "experiments", "messages", "offers"}
    assert set(promolift.core.__all__) == packages
    for package in packages:
        module = getattr(promolift.core, package)
        assert module.__doc__
        for name in module.__all__:
            assert getattr(module, name) is not None, f"{package}.{name}"


def test_an_unknown_name_is_answered_with_the_known_ones() -> None:
    with pytest.raises(AttributeError) as caught:
        _ = promolift.Shopp  # type: ignore[attr-defined]
    assert "Shop" in str(caught.value)


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
        results = path.is_relative_to(SOURCE / "shop" / "results") or path.name == "results.py"
        if results or path.is_relative_to(SOURCE / "foundation" / "storage"):
            continue
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
            assert not by_name.search(line), f"{path}:{number} reads a table by its name"
