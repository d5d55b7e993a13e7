"""Check a plan of file moves against the imports that the code really has.

Usage: python check_moves.py SRC moves.tsv [--only SECTION ...] [--today] [--raw] [--why PLACE]

SRC is the folder of the package (for example src/promolift). moves.tsv has a header line and the columns
`old`, `new`, `note`, separated by tabs:

    data/clean.py            shop/ingest/cleaning.py     a file moves
    allocate/core.py::Rounds core/allocation/rows.py     only this top-level name moves (names separated by commas)
    kept.py                  -                           the file goes away (the note says what replaces it)

Several old files with the same new place are merged. A row whose `new` is `import` names an import by its new places;
its note says how that import will be repaired, and the section `rule` prints it beside the import:

    shop/pipeline/shop.py -> server/release.py   import   fix: freezing a plan moves to shop/pipeline

Nothing is executed: the script reads the syntax trees. It sees imports at the top of a module, inside functions and
under TYPE_CHECKING, names that a package's `__init__` re-exports (they are followed to the module that defines
them), attributes of imported packages (`data.clean_events`), and module names in strings given to an importing call.
An `__init__` that only re-exports names is a table of contents and counts as no importer.

Sections: table, rule, cycles, levels, sizes, names, purity, strings (see the functions below). Imports with a stated
fix count as repaired in cycles and levels; --raw counts them as they are. With --today the files stay where they are,
which gives the figures of before.
"""

import argparse
import ast
import sys
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

# Which top-level packages each may import, beside itself. Everything else is a broken import.
ALLOWED = {
    "foundation": set(),
    "core": {"foundation"},
    "shop": {"foundation", "core"},
    "trials": {"foundation", "core"},
    "server": {"foundation", "core", "shop", "trials"},
    "cli": {"foundation", "core", "shop", "trials", "server"},
    "extensions": {"foundation", "core", "shop", "trials", "server", "cli"},
    "": {"foundation", "core", "shop", "trials"},  # the package's own __init__: the public API
}
# What core may not touch (law 6): modules of Python, and places of foundation.
IMPURE_MODULES = set(
    ["pathlib", "os", "time", "threading", "subprocess", "socket", "urllib", "importlib", "shutil", "httpx"]
)
IMPURE_PLACES = (
    *(f"foundation/{name}" for name in ("storage", "files", "pages", "executors", "progress", "language_model")),
    *(f"foundation/{name}" for name in ("time/clock", "i18n/formatting")),
)
MOST_FILES = 15  # modules in one folder
MOST_LEVELS = 4  # modules or packages above one another in one folder
DATA = {".tsv", ".csv", ".toml", ".html", ".css", ".js", ".jsonl", ".md", ".svg", ".txt", ".mjs", ".typed"}
FRAMEWORK_NAMES = {"__init__.py", "settings.py", "models.py", "routes.py"}
FORBIDDEN_NAMES = set(  # participles, pronouns, metaphors and generic names
    [
        "kept",
        "told",
        "said",
        "heard",
        "hear",
        "found",
        "asked",
        "given",
        "mine",
        "things",
        "words",
        "job",
        "people",
        "rules",
        "core",
        "hot",
        "closed",
        "live",
        "door",
        "guard",
        "duties",
        "upkeep",
        "worded",
        "bundle",
        "standing",
        "parts",
        "why",
        "aimed",
        "ahead",
        "passes",
        "novel",
        "spoken",
        "approved",
        "learned",
        "assumed",
        "earned",
        "shared",
        "beside",
        "misc",
        "utils",
        "common",
        "helpers",
    ]
)


class Use(NamedTuple):
    """One use of a name of another module by one top-level statement."""

    importer: str  # old path of the importing module
    unit: str  # top-level name whose body needs it ("" for statements without a name)
    imported: str  # old path of the module that defines the name
    name: str  # the name used ("" for the whole module)
    line: int
    kind: str  # top, inside, typing or string


class Source:
    """The modules of a package and their top-level names."""

    def __init__(self, root: Path) -> None:
        self.root, self.package = root, root.name
        self.paths = sorted(p.relative_to(root).as_posix() for p in root.rglob("*.py") if "__pycache__" not in p.parts)
        self.trees = {p: ast.parse((root / p).read_text("utf-8")) for p in self.paths}
        self.lines = {p: len((root / p).read_text("utf-8").splitlines()) for p in self.paths}
        self.by_module = {self.module_of(p): p for p in self.paths}
        self.exports = {p: dict(self._exports(p)) for p in self.paths}
        self.definitions = {p: dict(self._definitions(p)) for p in self.paths}

    def module_of(self, path: str) -> str:
        parts = path.removesuffix(".py").split("/")
        return ".".join([self.package, *parts[:-1], *([] if parts[-1] == "__init__" else parts[-1:])])

    def _definitions(self, path: str) -> Iterator[tuple[str, ast.stmt]]:
        for node in [part for statement in self.trees[path].body for part in _flat(statement)]:
            for name in _defined(node):
                yield name, node

    def _exports(self, path: str) -> Iterator[tuple[str, tuple[str, str]]]:
        for node in ast.walk(self.trees[path]):
            if isinstance(node, ast.ImportFrom) and (module := self.full_name(path, node)):
                for alias in node.names:
                    yield alias.asname or alias.name, (module, alias.name)

    def full_name(self, path: str, node: ast.ImportFrom) -> str | None:
        """Return the dotted module of an import statement if it belongs to the package."""
        if node.level:
            parts = self.module_of(path).split(".")
            keep = len(parts) - node.level + (1 if path.endswith("__init__.py") else 0)
            module = ".".join([*parts[:keep], *([node.module] if node.module else [])])
        else:
            module = node.module or ""
        return module if module == self.package or module.startswith(self.package + ".") else None

    def resolve(self, module: str, name: str, depth: int = 0) -> tuple[str, str] | None:
        """Return the path and name that define `name` of `module`, followed through re-exporting packages."""
        if f"{module}.{name}" in self.by_module and not (
            module in self.by_module and name in self.definitions[self.by_module[module]]
        ):
            package = self.by_module.get(module)
            exported = self.exports[package].get(name) if package and name else None
            if exported and exported != (module, name) and depth < 5:
                return self.resolve(*exported, depth + 1)
            return self.by_module[f"{module}.{name}"], ""
        path = self.by_module.get(module)
        if path is None:
            return None
        if name in self.definitions[path] or depth > 5:
            return path, name
        if name in self.exports[path]:
            return self.resolve(*self.exports[path][name], depth + 1) or (path, name)
        return path, name


def _flat(node: ast.stmt) -> list[ast.stmt]:
    """Return the statements of a top-level `if` or `try`, else the statement itself."""
    if isinstance(node, ast.If | ast.Try):
        return [part for inner in [*node.body, *node.orelse] for part in _flat(inner)]
    return [node]


def _defined(node: ast.stmt) -> list[str]:
    """Return the names that a top-level statement binds."""
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        return [node.name]
    if isinstance(node, ast.Assign):
        return [n.id for target in node.targets for n in ast.walk(target) if isinstance(n, ast.Name)]
    if isinstance(node, ast.AnnAssign | ast.AugAssign) and isinstance(node.target, ast.Name):
        return [node.target.id]
    if type(node).__name__ == "TypeAlias":  # Python 3.12
        return [node.name.id]  # type: ignore[attr-defined]
    if isinstance(node, ast.If | ast.Try):
        return [name for part in [*node.body, *node.orelse] for name in _defined(part)]
    return []


def uses_of(source: Source, path: str) -> Iterator[Use]:
    """Yield every use that one module makes of other modules of the package, statement by statement."""
    tree = source.trees[path]
    bound: dict[str, tuple[str, str]] = {}  # local name -> (module, name); name "" for a module itself
    kinds: dict[str, tuple[str, int]] = {}
    body = [s for s in tree.body if not (isinstance(s, ast.Expr) and isinstance(s.value, ast.Constant))]
    if path.endswith("__init__.py") and all(_is_contents(s) for s in body):
        return

    def note(node: ast.stmt, kind: str) -> list[tuple[str, tuple[str, str]]]:
        names = []
        if isinstance(node, ast.ImportFrom) and (module := source.full_name(path, node)):
            names = [(a.asname or a.name, (module, a.name)) for a in node.names]
        elif isinstance(node, ast.Import):
            for a in node.names:
                if a.name == source.package or a.name.startswith(source.package + "."):
                    names.append((a.asname or a.name.split(".")[0], (a.name if a.asname else a.name, "")))
        return [(local, target) for local, target in names]

    for node in tree.body:
        typing = isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)
        for inner in ast.walk(node) if isinstance(node, ast.If | ast.Try) else [node]:
            if isinstance(inner, ast.ImportFrom | ast.Import):
                for local, target in note(inner, "top"):
                    bound[local], kinds[local] = target, ("typing" if typing else "top", inner.lineno)
    strings = set()
    for node in [part for statement in tree.body for part in _paired(statement)]:
        units = _defined(node) or [""]
        if isinstance(node, ast.ImportFrom | ast.Import):
            continue
        local = dict(bound)
        local_kinds = dict(kinds)
        for inner in ast.walk(node):
            if isinstance(inner, ast.ImportFrom | ast.Import) and isinstance(
                node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef
            ):
                for name, target in note(inner, "inside"):
                    local[name], local_kinds[name] = target, ("inside", inner.lineno)
        used: set[tuple[str, str]] = set()
        free = _free_names(node) | (set(local) - set(bound))  # imports inside a function are bound there
        for inner in ast.walk(node):
            if isinstance(inner, ast.Attribute) and isinstance(inner.value, ast.Name) and inner.value.id in local:
                used.add((inner.value.id, inner.attr))
            elif isinstance(inner, ast.Name) and inner.id in local and inner.id in free:
                used.add((inner.id, ""))
            if isinstance(inner, ast.Call) and _called(inner) in {"Later", "import_module"} and inner.args:
                value = inner.args[0]
                if isinstance(value, ast.Constant) and value.value in source.by_module:
                    for unit in units:
                        strings.add((unit, source.by_module[value.value], inner.lineno))
                elif isinstance(value, ast.JoinedStr) and _called(inner) == "import_module":
                    for where in _folder_of(source, path, value):
                        strings.update((unit, where, inner.lineno) for unit in units)
        for text in _quoted_annotations(node):
            used |= {(name, "") for name in _words(text) & set(local)}
        for name, attribute in used:
            kind, line = local_kinds[name]
            module, target = local[name]
            found = source.resolve(module, target) if target else (source.by_module.get(module), "")
            if not found or not found[0]:
                continue
            where, symbol = found
            if symbol == "" and attribute:  # an attribute of a module or package
                where, symbol = source.resolve(source.module_of(where), attribute) or found
            if symbol == "" and attribute == "" and any(n == name and a for n, a in used):
                continue  # the same module is used by attribute
            for unit in units:
                if where != path:
                    yield Use(path, unit, where, symbol, line, kind)
        for name in _free_names(node) & set(source.definitions[path]):
            for unit in units:
                if name not in units:
                    yield Use(path, unit, path, name, node.lineno, "same")
    for unit, where, line in sorted(strings):
        yield Use(path, unit, where, "", line, "string")


def _paired(node: ast.stmt) -> list[ast.stmt]:
    """Return `a, b = x, y` as two statements, and the statements of an `if`, so that each name has its own uses."""
    if isinstance(node, ast.If):
        return [part for inner in [*node.body, *node.orelse] for part in _paired(inner)]
    if isinstance(node, ast.Assign) and len(node.targets) == 1 and isinstance(node.targets[0], ast.Tuple):
        if isinstance(node.value, ast.Tuple) and len(node.value.elts) == len(node.targets[0].elts):
            pairs = zip(node.targets[0].elts, node.value.elts, strict=True)
            return [ast.copy_location(ast.Assign([target], value), node) for target, value in pairs]
    return [node]


def _free_names(node: ast.AST, hidden: frozenset[str] = frozenset()) -> set[str]:
    """Return the names read in a statement that no function around them binds."""
    found: set[str] = set()
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
        a = node.args
        outside = [*a.defaults, *(d for d in a.kw_defaults if d)]
        every = [*a.posonlyargs, *a.args, *a.kwonlyargs, *(x for x in (a.vararg, a.kwarg) if x)]
        outside += [x.annotation for x in every if x.annotation]
        if not isinstance(node, ast.Lambda):
            outside += [*node.decorator_list, *([node.returns] if node.returns else [])]
        for part in outside:
            found |= _free_names(part, hidden)
        body = node.body if isinstance(node.body, list) else [node.body]
        parts = [n for part in body for n in ast.walk(part)]
        stored = {n.id for n in parts if isinstance(n, ast.Name) and not isinstance(n.ctx, ast.Load)}
        stored |= {n.name for n in parts if isinstance(n, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)}
        inner = hidden | {x.arg for x in every} | stored
        for part in body:
            found |= _free_names(part, frozenset(inner))
        return found
    if isinstance(node, ast.Name):
        return {node.id} - hidden if isinstance(node.ctx, ast.Load) else set()
    if isinstance(node, ast.ListComp | ast.SetComp | ast.DictComp | ast.GeneratorExp):
        stored = {n.id for g in node.generators for n in ast.walk(g.target) if isinstance(n, ast.Name)}
        hidden = hidden | stored
    for child in ast.iter_child_nodes(node):
        found |= _free_names(child, hidden)
    return found


def _folder_of(source: Source, path: str, text: ast.JoinedStr) -> list[str]:
    """Return the modules of the folder that `import_module(f"package.folder.{name}")` may load."""
    first = text.values[0]
    if isinstance(first, ast.Constant):
        prefix = str(first.value)
    else:
        own = isinstance(first, ast.FormattedValue) and ast.unparse(first.value) == "__name__"
        prefix = source.module_of(path) + "." if own else ""
    if prefix.count(".") < 2:
        return []
    inside = {n[len(prefix) :]: p for n, p in source.by_module.items() if n.startswith(prefix)}
    inside = {name: p for name, p in inside.items() if "." not in name}
    lists = [
        {part.value for part in node.elts if isinstance(part, ast.Constant)} & set(inside)
        for node in ast.walk(source.trees[path])
        if isinstance(node, ast.Tuple | ast.List | ast.Set)
    ]
    stated = max(lists, key=len, default=set())
    return [p for name, p in inside.items() if name in stated or not stated]


def _quoted_annotations(node: ast.AST) -> Iterator[str]:
    """Yield annotations that stand in quotes."""
    for inner in ast.walk(node):
        places: list[ast.expr | None] = []
        if isinstance(inner, ast.arg | ast.AnnAssign):
            places = [inner.annotation]
        elif isinstance(inner, ast.FunctionDef | ast.AsyncFunctionDef):
            places = [inner.returns]
        elif isinstance(inner, ast.Call) and _called(inner) == "cast" and inner.args:
            places = [inner.args[0]]
        elif isinstance(inner, ast.Subscript):
            places = [inner.slice]
        for place in places:
            for part in ast.walk(place) if place else ():
                if isinstance(part, ast.Constant) and isinstance(part.value, str):
                    yield part.value


def _called(node: ast.Call) -> str:
    return node.func.id if isinstance(node.func, ast.Name) else getattr(node.func, "attr", "")


@cache
def _words(text: str) -> frozenset[str]:
    return frozenset("".join(c if c.isidentifier() or c.isdigit() else " " for c in text).split())


def _is_contents(node: ast.stmt) -> bool:
    """Whether a statement of an `__init__` only lists what the package offers."""
    if isinstance(node, ast.Import | ast.ImportFrom):
        return True
    if isinstance(node, ast.Assign):
        return all(isinstance(t, ast.Name) and (t.id.isupper() or t.id.startswith("_")) for t in node.targets)
    if isinstance(node, ast.If):
        return "TYPE_CHECKING" in ast.unparse(node.test)
    return isinstance(node, ast.FunctionDef) and node.name in {"__getattr__", "__dir__"}


class Table:
    """The rows of moves.tsv."""

    def __init__(self, file: Path) -> None:
        self.files: dict[str, str] = {}
        self.names: dict[tuple[str, str], str] = {}
        self.notes: dict[str, str] = {}
        self.fixes: dict[tuple[str, str], str] = {}
        self.faults: list[str] = []
        for number, line in enumerate(file.read_text("utf-8").splitlines()[1:], 2):
            if not line.strip() or line.startswith("#"):
                continue
            old, new, note = (line.split("\t") + ["", ""])[:3]
            if new == "import":
                importer, _, imported = old.partition(" -> ")
                self.fixes[importer.strip(), imported.strip()] = note.removeprefix("fix:").strip()
            elif "::" in old:
                path, _, names = old.partition("::")
                for name in names.split(","):
                    self.names[path, name.strip()] = new
            elif old in self.files:
                self.faults.append(f"line {number}: {old} stands twice")
            else:
                self.files[old], self.notes[old] = new, note

    def place(self, path: str, name: str = "") -> str:
        return self.names.get((path, name)) or self.files.get(path, "?")


def chain(nodes: Iterable[str], arrows: Iterable[tuple[str, str]]) -> list[str]:
    """Return the longest chain of nodes each of which needs the next; cycles count as one node."""
    groups = components(nodes, arrows)
    of = {node: number for number, group in enumerate(groups) for node in group}
    after: dict[int, set[int]] = defaultdict(set)
    for a, b in arrows:
        if of[a] != of[b]:
            after[of[a]].add(of[b])
    best: dict[int, list[int]] = {}
    for number in range(len(groups)):  # components come in reverse topological order
        below = max((best[b] for b in sorted(after[number])), key=len, default=[])
        best[number] = [number, *below]
    longest = max(best.values(), key=len, default=[])
    return [" + ".join(sorted(groups[number])) for number in longest]


def components(nodes: Iterable[str], arrows: Iterable[tuple[str, str]]) -> list[list[str]]:
    """Return strongly connected components, those that need nothing first (Tarjan 1972)."""
    after: dict[str, list[str]] = {node: [] for node in sorted(nodes)}
    for a, b in sorted(arrows):
        after[a].append(b)
    index: dict[str, int] = {}
    low: dict[str, int] = {}
    stack: list[str] = []
    on: set[str] = set()
    groups: list[list[str]] = []
    for start in after:
        if start in index:
            continue
        work = [(start, iter(after[start]))]
        index[start] = low[start] = len(index)
        stack.append(start)
        on.add(start)
        while work:
            node, rest = work[-1]
            for other in rest:
                if other not in index:
                    index[other] = low[other] = len(index)
                    stack.append(other)
                    on.add(other)
                    work.append((other, iter(after[other])))
                    break
                if other in on:
                    low[node] = min(low[node], index[other])
            else:
                work.pop()
                if work:
                    low[work[-1][0]] = min(low[work[-1][0]], low[node])
                if low[node] == index[node]:
                    group = []
                    while True:
                        other = stack.pop()
                        on.discard(other)
                        group.append(other)
                        if other == node:
                            break
                    groups.append(group)
    return groups


def top(place: str) -> str:
    """Return the top-level package of a place; "" for the package's own `__init__`."""
    return place.split("/")[0] if "/" in place else place.removesuffix(".py") if place != "__init__.py" else ""


def folder(place: str) -> str:
    return place.rsplit("/", 1)[0] if "/" in place else ""


def above(place: str) -> list[str]:
    """Return all folders that a place lies in, from "" down."""
    parts = place.split("/")[:-1]
    return ["/".join(parts[:k]) for k in range(len(parts) + 1)]


class Move(NamedTuple):
    """An import as it will be: from one new place to another."""

    importer: str
    imported: str
    use: Use


class Map:
    """The source seen through the table."""

    def __init__(self, source: Source, table: Table, today: bool, raw: bool) -> None:
        self.source, self.table, self.today = source, table, today
        every = (p for p in source.root.rglob("*") if p.is_file() and "__pycache__" not in p.parts)
        self.files = {p.relative_to(source.root).as_posix() for p in every if p.suffix in DATA | {".py"}}
        if today:
            table.files, table.names, table.fixes = {p: p for p in self.files}, {}, {}
        self.missing = sorted(self.files - set(table.files))
        uses = (use for path in source.paths for use in uses_of(source, path))
        places = (Move(table.place(u.importer, u.unit), table.place(u.imported, u.name), u) for u in uses)
        self.moves = [m for m in places if m.importer != m.imported and not {m.importer, m.imported} & {"-", "?"}]
        self.arrows = {m[:2] for m in self.moves if raw or m[:2] not in table.fixes}
        self.modules = sorted({p for p in [*table.files.values(), *table.names.values()] if p.endswith(".py")})
        self.packages = sorted({package for module in self.modules for package in above(module)})

    def child(self, package: str, place: str) -> str | None:
        """Return the module or package directly inside `package` that a place belongs to."""
        prefix = package + "/" if package else ""
        name = place[len(prefix) :].split("/")[0].removesuffix(".py") if place.startswith(prefix) else ""
        return name if name and name != "__init__" else None

    def children(self, package: str) -> set[str]:
        return {name for module in self.modules if (name := self.child(package, module))}

    def inner(self, package: str) -> set[tuple[str, str]]:
        """Return the arrows between the direct children of a package."""
        pairs = {(self.child(package, a), self.child(package, b)) for a, b in self.arrows}
        return {(a, b) for a, b in pairs if a and b and a != b}

    def lines(self) -> Counter[str]:
        """Return the lines of every new module; a name that moves alone takes its lines along."""
        found: Counter[str] = Counter()
        for old, new in self.table.files.items():
            if old not in self.source.lines or new == "-":
                continue
            rest, counted = self.source.lines[old], set()
            for (path, name), place in self.table.names.items():
                node = self.source.definitions[old].get(name) if path == old else None
                if node is not None and node.lineno not in counted:
                    counted.add(node.lineno)
                    size = (node.end_lineno or node.lineno) - node.lineno + 1
                    found[place] += size
                    rest -= size
            found[new] += rest
        return found


def report_table(map_: Map) -> None:
    """Print rows that are missing, doubled or unknown, merged files, and private names that a split makes shared."""
    table, source = map_.table, map_.source
    merged: dict[str, list[str]] = defaultdict(list)
    for old, new in table.files.items():
        merged[new].append(old)
    gone = merged.pop("-", [])
    split = {path for path, _ in table.names}
    print(f"{len(map_.files)} files, {len(map_.missing)} without a row; {len(gone)} go away; {len(split)} are split")
    print(f"{len(source.paths)} modules before, {len(map_.modules)} after")
    faults = [*table.faults, *(f"no row for {p}" for p in map_.missing)]
    faults += [f"unknown file: {p}" for p in sorted(set(table.files) - map_.files)]
    for path, name in table.names:
        if name not in source.definitions.get(path, {}):
            faults.append(f"unknown name: {path}::{name}")
    for line in faults:
        print("  ", line)
    for new, olds in sorted(merged.items()):
        if len(olds) > 1:
            print(f"   merged: {new} <- {', '.join(olds)}")
    same = {(m.use.name, *m[:2]) for m in map_.moves if m.use.kind == "same"}
    for name, a, b in sorted(row for row in same if row[0].startswith("_")):
        print(f"   private name shared after a split: {name} of {b}, used by {a}")


def report_rule(map_: Map) -> None:
    """Print every import against the direction of the layers with its stated fix."""
    fixes = map_.table.fixes
    broken: dict[tuple[str, str], list[Move]] = defaultdict(list)
    for move in map_.moves:
        a, b = top(move.importer), top(move.imported)
        if a != b and b not in ALLOWED.get(a, set()):
            broken[a or "(api)", b or "(api)"].append(move)
    pairs = {m[:2] for rows in broken.values() for m in rows}
    names = {(*m[:2], m.use.name) for rows in broken.values() for m in rows}
    print(f"{len(pairs)} module pairs, {len(names)} names, {len(pairs - set(fixes))} pairs without a stated fix")
    for (a_top, b_top), rows in sorted(broken.items()):
        print(f" {a_top} -> {b_top}: {len({m[:2] for m in rows})} module pairs")
        for pair in sorted({m[:2] for m in rows}):
            here = [m.use for m in rows if m[:2] == pair]
            units, used = sorted({u.unit for u in here}), sorted({u.name or "(module)" for u in here})
            print(f"   {pair[0]} [{', '.join(units[:6])}] -> {pair[1]}: {', '.join(used)} ({here[0].kind})")
            if pair in fixes:
                print(f"      fix: {fixes[pair]}")
    inside = sorted(set(fixes) - pairs)
    if inside:
        print(" fixes stated for imports that break no rule:")
    known = {m[:2] for m in map_.moves}
    for pair in inside:
        print(f"   {pair[0]} -> {pair[1]}{'' if pair in known else '   STALE: no such import'}")
        print(f"      fix: {fixes[pair]}")


def report_cycles(map_: Map) -> None:
    """Print cycles between the children of one folder, with the names that make them, and cycles of modules."""
    count = 0
    for package in map_.packages:
        inner = map_.inner(package)
        for group in (g for g in components(map_.children(package), inner) if len(g) > 1):
            count += 1
            print(f"   {package or map_.source.package}: {' <-> '.join(sorted(group))}")
            for a, b in sorted((a, b) for a, b in inner if a in group and b in group):
                names = sorted(
                    {
                        f"{m.importer} -> {m.imported}:{m.use.name or '(module)'}"
                        for m in map_.moves
                        if m[:2] in map_.arrows and (map_.child(package, m[0]), map_.child(package, m[1])) == (a, b)
                    }
                )
                print(f"      {a} -> {b} ({len(names)}): {'; '.join(names[:4])}")
    groups = [g for g in components(map_.modules, map_.arrows) if len(g) > 1]
    print(f"   {count} cycles between children of one folder; {len(groups)} cycles of modules in the whole package")
    for group in groups:
        print("      modules:", ", ".join(sorted(group)))


def report_levels(map_: Map) -> None:
    """Print the longest chain inside each folder, and what the parts of a top-level package need of each other."""
    for package in map_.packages:
        children = map_.children(package)
        names = chain(children, map_.inner(package))
        mark = f" <<<  {' > '.join(names)}" if len(names) > MOST_LEVELS else ""
        if len(children) > 1:
            print(f"   {package or map_.source.package}: {len(names)} levels of {len(children)}{mark}")
    print(f"   longest chain of modules in the whole package: {len(chain(map_.modules, map_.arrows))}")
    if map_.today:
        return
    print("   what each part of a top-level package needs of its neighbours:")
    for package in (p for p in map_.packages if p and "/" not in p):
        needs: dict[str, set[str]] = defaultdict(set)
        for a, b in map_.inner(package):
            needs[a].add(b)
        for part in sorted(needs):
            print(f"      {package}/{part} <- {', '.join(sorted(needs[part]))}")


def report_sizes(map_: Map) -> None:
    """Print modules and lines of every folder, and modules of more than 500 lines."""
    lines = map_.lines()
    totals: Counter[str] = Counter()
    for module, n in lines.items():
        for package in above(module):
            totals[package] += n
    for package in map_.packages:
        here = [m for m in map_.modules if folder(m) == package and not m.endswith("__init__.py")]
        mark = " <<<" if len(here) > MOST_FILES else ""
        print(f"   {package or map_.source.package}: {len(here)} modules, {totals[package]} lines{mark}")
    big = sorted(((n, m) for m, n in lines.items() if n > 500), reverse=True)
    print("   more than 500 lines:", ", ".join(f"{m} {n}" for n, m in big))
    small = sorted((n, m) for m, n in lines.items() if n < 40 and not m.endswith("__init__.py"))
    print("   fewer than 40 lines:", ", ".join(f"{m} {n}" for n, m in small))


def report_names(map_: Map) -> None:
    """Print basenames that stand in more than one folder, and names that the style guide forbids."""
    places: dict[str, list[str]] = defaultdict(list)
    for module in map_.modules:
        places[module.rsplit("/", 1)[-1]].append(module)
    repeated = {base: where for base, where in places.items() if len(where) > 1 and base not in FRAMEWORK_NAMES}
    for base, where in sorted(repeated.items(), key=lambda row: (-len(row[1]), row[0])):
        print(f"   {base} x{len(where)}: {', '.join(where)}")
    forbidden = [m for base, where in places.items() for m in where if base.removesuffix(".py") in FORBIDDEN_NAMES]
    print(f"   {len(repeated)} repeated basenames (without {', '.join(sorted(FRAMEWORK_NAMES))}); ", end="")
    print(f"{len(forbidden)} forbidden names {', '.join(sorted(forbidden))}")


def report_purity(map_: Map) -> None:
    """Print modules of core that touch files, clocks, threads or text for people."""
    found: dict[str, set[str]] = defaultdict(set)
    for move in map_.moves:
        if top(move.importer) == "core" and move.imported.startswith(IMPURE_PLACES):
            found[move.importer].add(f"{move.imported.removesuffix('.py')}:{move.use.name}")
    for path, tree in map_.source.trees.items():
        bound = {}
        for node in ast.walk(tree):
            if isinstance(node, ast.Import):
                bound |= {(a.asname or a.name).split(".")[0]: a.name for a in node.names}
            elif isinstance(node, ast.ImportFrom) and not node.level:
                bound |= {a.asname or a.name: f"{node.module}.{a.name}" for a in node.names}
        impure = {name: module for name, module in bound.items() if module.split(".")[0] in IMPURE_MODULES}
        for node in [part for statement in tree.body for part in _flat(statement)]:
            place = map_.table.place(path, (_defined(node) or [""])[0])
            if top(place) == "core" and (used := _free_names(node) & set(impure)):
                found[place] |= {impure[name] for name in used}
    for place, why in sorted(found.items()):
        print(f"   {place}: {', '.join(sorted(why))}")


def report_strings(map_: Map) -> None:
    """Print strings that name a module or a data file which moves."""
    data = {f for f in map_.files if not f.endswith(".py")}
    known = {**{f: f for f in data}, **map_.source.by_module}
    for path, tree in map_.source.trees.items():
        strings = (n for n in ast.walk(tree) if isinstance(n, ast.Constant) and isinstance(n.value, str))
        for line, text in sorted({(n.lineno, n.value) for n in strings if n.value in known}):
            new = map_.table.place(known[text])
            if text != map_.source.package and new != known[text]:
                print(f"   {path}:{line} {text!r} -> {new}")


SECTIONS = {
    "table": report_table,
    "rule": report_rule,
    "cycles": report_cycles,
    "levels": report_levels,
    "sizes": report_sizes,
    "names": report_names,
    "purity": report_purity,
    "strings": report_strings,
}
OF_TODAY = ("cycles", "levels", "sizes", "names")  # sections that need no table


def main() -> int:
    """Print the report; return 1 if a file of the package is missing from the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("src", type=Path, help="the folder of the package")
    parser.add_argument("moves", type=Path, help="moves.tsv")
    parser.add_argument("--only", nargs="*", choices=list(SECTIONS), default=[], help="sections to print")
    parser.add_argument("--today", action="store_true", help="figures of the tree as it stands")
    parser.add_argument("--raw", action="store_true", help="count imports with a stated fix in cycles and levels too")
    parser.add_argument("--why", metavar="PLACE", help="list the imports of and by one file, old or new")
    options = parser.parse_args()
    map_ = Map(Source(options.src.resolve()), Table(options.moves), options.today, options.raw)
    if options.why:
        for a, b, use in sorted(map_.moves):
            if options.why in {use.importer, use.imported, a, b}:
                print(f"{a} [{use.unit}] -> {b} [{use.name}] ({use.importer}:{use.line} {use.kind})")
        return 0
    for name, print_section in SECTIONS.items():
        if name in (options.only or (OF_TODAY if options.today else SECTIONS)):
            print(f"\n== {name}: {(print_section.__doc__ or '').splitlines()[0].removeprefix('Print ')}")
            print_section(map_)
    return 1 if map_.missing else 0


if __name__ == "__main__":
    sys.exit(main())
