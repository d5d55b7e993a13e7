"""Move whole modules to the places that moves.tsv names, and rewrite every import, without changing what code does.

    python tools/moves/move.py ROOT files     move whole files, rewrite imports and strings that name modules
    python tools/moves/move.py ROOT names     move single top-level names (rows `file.py::name`) between modules

Both stages read the syntax trees and change text only where an import, a reference through an imported module, or a
string that names a module or a data file stands. After each stage the trees of all files are compared: with imports left out
and every reference replaced by the place of its definition, the code before and after must be equal.
"""

import ast
import io
import json
import re
import subprocess
import sys
import tokenize
from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

sys.path.insert(0, str(Path(__file__).parent))
from check_moves import Source, Table, _defined, _flat

PACKAGE = "promolift"
TEXTS = (".py", ".md", ".toml", ".yml", ".yaml", ".html", ".ipynb", ".tsv", ".sh", ".js", ".ts", ".json", ".cfg")
HERE = Path(__file__).resolve().parent


class Target(NamedTuple):
    """What an imported name is: the file that defines it (old place) and its name there ("" for a module)."""

    path: str
    name: str


class Plan:
    """Old and new places of modules and names in one stage."""

    def __init__(self, root: Path, stage: str) -> None:
        self.root, self.stage = root, stage
        table = Table(HERE / "moves.tsv")
        if stage == "files":
            self.source = Source(root / "src" / PACKAGE)
            self.files = whole_files(table)
            self.names: dict[tuple[str, str], str] = {}
        else:
            moved = whole_files(table)
            self.source = Source(root / "src" / PACKAGE)
            self.files = {new: new for new in moved.values() if new != "-"}
            self.files |= {path: path for path in self.source.paths}
            self.names = {(moved[path], name): new for (path, name), new in table.names.items() if moved[path] != new}
            for old, new in merged_files(table).items():
                path = moved[old]
                self.names |= {(path, name): new for name in self.source.definitions[path]}
            by_hand = (
                "cli/application.py",
                "__init__.py",
            )  # decorators register commands; the top re-exports its version
            self.names = {key: new for key, new in self.names.items() if key[0] not in by_hand}
        self.data = {f: n for f, n in self.files.items() if not f.endswith(".py")}

    def place(self, target: Target) -> str:
        """Return the new file of a definition."""
        return self.names.get((target.path, target.name)) or self.files[target.path]

    def moved_data(self) -> dict[str, str]:
        return {old: new for old, new in self.data.items() if old != new}


def whole_files(table: Table) -> dict[str, str]:
    """Return old -> new for whole files; a file that merges into another keeps its own name beside it until then."""
    taken: set[str] = set()
    moved = {}
    for old, new in table.files.items():
        if new != "-" and new in taken:
            new = f"{new.rsplit('/', 1)[0]}/{old.rsplit('/', 1)[1]}"
        taken.add(new)
        moved[old] = new
    return moved


def merged_files(table: Table) -> dict[str, str]:
    """Return old -> final place of the files that merge into another."""
    whole = whole_files(table)
    return {old: new for old, new in table.files.items() if new != "-" and whole[old] != new}


def dotted(path: str) -> str:
    """Return the module name of a path inside the package."""
    parts = [PACKAGE, *path.removesuffix(".py").split("/")]
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


class Edit(NamedTuple):
    """Replace text from one position to another (lines from 1, columns in characters)."""

    start: tuple[int, int]
    end: tuple[int, int]
    text: str


class Rewriter:
    """The edits of one file."""

    def __init__(self, plan: Plan, path: Path, inside: str | None, text: str | None = None) -> None:
        self.plan, self.path, self.inside = plan, path, inside  # inside: old place in the package, if it has one
        self.text = path.read_text("utf-8") if text is None else text
        self.tree = ast.parse(self.text)
        self.edits: list[Edit] = []
        self.extra: set[str] = set()  # import lines for the top
        self.source = plan.source

    def module(self, node: ast.ImportFrom) -> str | None:
        if self.inside is not None:
            return self.source.full_name(self.inside, node)
        name = node.module or ""
        return name if not node.level and (name == PACKAGE or name.startswith(PACKAGE + ".")) else None

    def target(self, module: str, name: str) -> Target | None:
        found = self.source.resolve(module, name)
        return Target(*found) if found else None

    def run(self) -> str:
        bound = bound_names(self.tree)
        for node in ast.walk(self.tree):
            if isinstance(node, ast.ImportFrom) and (module := self.module(node)):
                self.import_from(node, module, bound)
            elif isinstance(node, ast.Import) and any(a.name.split(".")[0] == PACKAGE for a in node.names):
                self.import_(node)
        return self.apply()

    def import_from(self, node: ast.ImportFrom, module: str, bound: dict[str, int]) -> None:
        lines: dict[str, list[str]] = defaultdict(list)
        for alias in node.names:
            target = self.target(module, alias.name)
            if target == ("__init__.py", "__version__") and self.inside and self.plan.stage == "names":
                lines["from promolift.foundation.version import "].append(as_text("__version__", alias.asname))
                continue
            if target is None or target.path == "__init__.py":
                lines[f"from {module} import "].append(as_text(alias.name, alias.asname))
                continue
            if target.name:
                home = dotted(self.plan.place(target))
                if self.facade(module, target):
                    home = home.rsplit(".", 1)[0] if not self.is_package(target) else home
                    home = self.core_package(target) or home
                lines[f"from {home} import "].append(
                    as_text(target.name, alias.asname or none_if(alias.name, target.name))
                )
                continue
            self.import_module(node, alias, target, lines, bound)
        pad = " " * node.col_offset
        comment = trailing_comment(self.text, node)
        out = [f"{pad}{head}{', '.join(dict.fromkeys(names))}{comment}" for head, names in lines.items()]
        first = self.text.splitlines()[node.lineno - 1]
        if not out:
            out = [f"{pad}pass"] if node.col_offset else [""]
        new = "\n".join(out)[node.col_offset :]
        end = len(first) if comment and node.end_lineno == node.lineno else node.end_col_offset
        if comment and node.end_lineno != node.lineno:
            end = node.end_col_offset
            new = new.replace(comment, "")
        self.edits.append(Edit((node.lineno, node.col_offset), (node.end_lineno or 0, end or 0), new))

    def facade(self, module: str, target: Target) -> bool:
        """Whether a user of the library imports the name from its package rather than from its module."""
        return (
            self.inside is None
            and f"{module}" in self.source.by_module
            and self.source.by_module[module].endswith("__init__.py")
            and self.core_package(target) is not None
        )

    def core_package(self, target: Target) -> str | None:
        new = self.plan.place(target)
        parts = new.split("/")
        if parts[0] != "core" or len(parts) < 3:
            return None
        package = "/".join(parts[:2])
        return dotted(package) if target.name in exported(self.plan, package) else None

    def is_package(self, target: Target) -> bool:
        return target.path.endswith("__init__.py")

    def import_module(
        self, node: ast.ImportFrom, alias: ast.alias, target: Target, lines: dict[str, list[str]], bound: dict[str, int]
    ) -> None:
        """Rewrite the import of a module: rename its uses to the new basename where no other name is in the way."""
        local = alias.asname or alias.name
        if target.path.endswith("/__init__.py") and self.plan.stage == "files":
            left = self.package_uses(local, target, bound)
            if not left:
                return
        new = dotted(self.plan.files[target.path])
        home, _, base = new.rpartition(".")
        wanted = base
        if self.plan.stage == "names":
            self.module_uses(local, target)
            wanted = local
        if (alias.asname and alias.asname != alias.name) or (
            wanted != local and (bound.get(wanted) or bound.get(local, 0) > 1)
        ):
            wanted = local
        elif wanted != local:
            self.rename(local, wanted)
        lines[f"from {home} import "].append(as_text(base, wanted if wanted != base else None))

    def package_uses(self, local: str, target: Target, bound: dict[str, int]) -> int:
        """Replace `package.name` by the name itself where the name's module left the package; count what stays."""
        left = 0
        package = self.plan.files[target.path]
        for node in ast.walk(self.tree):
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == local:
                found = self.target(self.source.module_of(target.path), node.attr)
                if found is None or not found.name or found.path == target.path:
                    if found and not found.name and found.path != target.path:
                        self.use(node, found, node.attr, bound, module=True)
                    else:
                        left += 1
                    continue
                if package != "-":
                    core = "/".join(package.split("/")[:2])
                    place = self.plan.place(found)
                    if (
                        place.startswith(core + "/")
                        and core.startswith("core/")
                        and found.name in exported(self.plan, core)
                    ):
                        left += 1
                        continue
                self.use(node, found, node.attr, bound)
        names = [n for n in ast.walk(self.tree) if isinstance(n, ast.Name) and n.id == local]
        whole = [n for n in names if not self.is_attribute_base(n)]
        return left + len(whole)

    def module_uses(self, local: str, target: Target) -> None:
        """Replace `module.name` where the name leaves the module (stage `names`)."""
        bound = bound_names(self.tree)
        for node in ast.walk(self.tree):
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == local:
                if (target.path, node.attr) in self.plan.names:
                    self.use(node, Target(target.path, node.attr), node.attr, bound)

    def is_attribute_base(self, name: ast.Name) -> bool:
        if not hasattr(self, "_bases"):
            self._bases = {id(n.value) for n in ast.walk(self.tree) if isinstance(n, ast.Attribute)}
        return id(name) in self._bases

    def use(self, node: ast.Attribute, found: Target, attr: str, bound: dict[str, int], module: bool = False) -> None:
        place = self.plan.place(found)
        home = dotted(place)
        start, end = (node.lineno, node.col_offset), (node.end_lineno or 0, node.end_col_offset or 0)
        if module:
            home, _, base = home.rpartition(".")
            self.extra.add(f"from {home} import {base}")
            self.edits.append(Edit(start, end, base))
            return
        if not bound.get(attr):
            self.extra.add(f"from {home} import {found.name if found.name == attr else f'{found.name} as {attr}'}")
            self.edits.append(Edit(start, end, attr))
            return
        home, _, base = home.rpartition(".")
        name = base if not bound.get(base) else f"{base}_module"
        self.extra.add(f"from {home} import {base}" + (f" as {name}" if name != base else ""))
        self.edits.append(Edit(start, end, f"{name}.{found.name}"))

    def rename(self, old: str, new: str) -> None:
        covered = {edit.start for edit in self.edits}
        for node in ast.walk(self.tree):
            if isinstance(node, ast.Name) and node.id == old and (node.lineno, node.col_offset) not in covered:
                self.edits.append(
                    Edit((node.lineno, node.col_offset), (node.end_lineno or 0, node.end_col_offset or 0), new)
                )
            elif isinstance(node, ast.Constant) and isinstance(node.value, str) and node.lineno == node.end_lineno:
                if re.fullmatch(r"[\w.\[\], |]+", node.value) and re.search(rf"\b{old}\.[A-Z]", node.value):
                    span = (node.lineno, node.col_offset), (node.lineno, node.end_col_offset or 0)
                    self.edits.append(Edit(*span, '"' + re.sub(rf"\b{old}\.", f"{new}.", node.value) + '"'))

    def import_(self, node: ast.Import) -> None:
        parts = []
        for alias in node.names:
            path = self.source.by_module.get(alias.name)
            new = dotted(self.plan.files[path]) if path else alias.name
            parts.append(as_text(new, alias.asname))
        self.edits.append(
            Edit(
                (node.lineno, node.col_offset),
                (node.end_lineno or 0, node.end_col_offset or 0),
                "import " + ", ".join(parts),
            )
        )

    def apply(self) -> str:
        text = apply_edits(self.text, self.edits)
        if self.extra:
            text = with_imports(text, sorted(self.extra))
        return text


def exported(plan: Plan, package: str) -> set[str]:
    """Return the names that the `__init__` of a new core package will export: those defined inside it."""
    olds = [old for old, new in plan.files.items() if new == f"{package}/__init__.py"]
    if not olds or plan.stage != "files":
        return set(plan.source.exports.get(f"{package}/__init__.py", {}))
    out = set()
    for name, (module, there) in plan.source.exports[olds[0]].items():
        found = plan.source.resolve(module, there)
        if found and plan.place(Target(*found)).startswith(package + "/"):
            out.add(name)
    return out


def none_if(name: str, defined: str) -> str | None:
    return name if name != defined else None


def as_text(name: str, asname: str | None) -> str:
    return name if asname is None or asname == name else f"{name} as {asname}"


def trailing_comment(text: str, node: ast.stmt) -> str:
    line = text.splitlines()[(node.end_lineno or 1) - 1]
    rest = line.encode()[node.end_col_offset or 0 :].decode()
    return "  " + rest.strip() if rest.strip().startswith("#") else ""


def bound_names(tree: ast.Module) -> dict[str, int]:
    """Count where each name is bound or read as a plain name; imports of the package count once."""
    counts: dict[str, int] = defaultdict(int)
    imported = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Name) and not isinstance(node.ctx, ast.Load):
            counts[node.id] += 1
        elif isinstance(node, ast.arg):
            counts[node.arg] += 1
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            counts[node.name] += 1
        elif isinstance(node, ast.Import | ast.ImportFrom):
            for alias in node.names:
                imported.add((alias.asname or alias.name.split(".")[0], getattr(node, "module", None), alias.name))
        elif (isinstance(node, ast.ExceptHandler) and node.name) or (
            isinstance(node, ast.MatchAs | ast.MatchStar) and node.name
        ):
            counts[node.name] += 1
    for local, _, _ in imported:
        counts[local] += 1
    return counts


def apply_edits(text: str, edits: list[Edit]) -> str:
    """Apply edits that do not overlap; positions are lines from 1 and columns in UTF-8 bytes."""
    lines = [line.encode() for line in text.splitlines(keepends=True)]
    for edit in sorted(set(edits), reverse=True):
        (line, col), (end_line, end_col) = edit.start, edit.end
        before, after = lines[line - 1][:col], lines[end_line - 1][end_col:]
        lines[line - 1 : end_line] = [before + edit.text.encode() + after]
    return b"".join(lines).decode()


def with_imports(text: str, imports: list[str]) -> str:
    """Insert import lines after the docstring and `from __future__` imports."""
    tree = ast.parse(text)
    at = 0
    for node in tree.body:
        future = isinstance(node, ast.ImportFrom) and node.module == "__future__"
        if future or (node is tree.body[0] and isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)):
            at = node.end_lineno or 0
        else:
            break
    lines = text.splitlines()
    if isinstance(tree.body[0], ast.Expr) is False and at == 0 and lines and lines[0].startswith("#!"):
        at = 1
    return "\n".join([*lines[:at], *([""] if at else []), *imports, *lines[at:]]) + "\n"


def strings_and_text(text: str, plan: Plan, done_imports: bool = False) -> str:
    """Replace dotted module names and paths of modules and data files, wherever they stand in a text."""
    modules = {dotted(old): dotted(new) for old, new in plan.files.items() if old.endswith(".py") and new != "-"}

    def module(match: re.Match[str]) -> str:
        if done_imports and match.string[: match.start()].endswith(("from ", "import ")):
            return match.group()
        parts = match.group().split(".")
        for size in range(len(parts), 1, -1):
            name = ".".join(parts[:size])
            if name in modules:
                return ".".join([modules[name], *parts[size:]])
        return match.group()

    text = re.sub(rf"(?<![\w./@-]){PACKAGE}(?:\.[a-zA-Z_]\w*)+(?!\w*[/@])", module, text)
    paths = {old: new for old, new in plan.files.items() if new != "-" and (old != new)}

    def path(match: re.Match[str]) -> str:
        return match.group(1) + paths.get(match.group(2), match.group(2))

    return re.sub(r"((?:src/)?promolift/)([\w/.-]+\.\w+)", path, text)


def in_tokens(text: str, plan: Plan) -> str:
    """Replace names of modules in the strings and comments of Python code."""
    edits = []
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type in (tokenize.STRING, tokenize.COMMENT) and PACKAGE in token.string:
            new = strings_and_text(token.string, plan)
            if new != token.string:
                start, end = (as_bytes(text, at) for at in (token.start, token.end))
                edits.append(Edit(start, end, new))
    return apply_edits(text, edits)


def as_bytes(text: str, at: tuple[int, int]) -> tuple[int, int]:
    line = text.splitlines()[at[0] - 1]
    return at[0], len(line[: at[1]].encode())


def documents(plan: Plan, root: Path) -> dict[Path, str]:
    """Return the new text of pages and notebooks whose code imports the package."""
    listed = subprocess.run(
        ["git", "-C", str(root), "ls-files", "*.md", "*.ipynb"], check=True, capture_output=True, text=True
    )
    out = {}
    for name in listed.stdout.split():
        path = root / name
        text = path.read_text("utf-8")
        if name.endswith(".md") and not name.startswith(("docs/decisions", "CHANGELOG", "src/")):
            new = re.sub(
                r"(```python\n)(.*?)(```)",
                lambda m: m.group(1) + code(plan, path, m.group(2)) + m.group(3),
                text,
                flags=re.S,
            )
        elif name.endswith(".ipynb"):
            book = json.loads(text)
            for cell in book["cells"]:
                if cell["cell_type"] == "code":
                    new_code = code(plan, path, "".join(cell["source"]))
                    cell["source"] = new_code.splitlines(keepends=True)
            new = json.dumps(book, indent=1, ensure_ascii=False) + "\n"
            if json.loads(new) == json.loads(text):
                new = text
        else:
            continue
        if new != text:
            out[path] = new
    return out


def code(plan: Plan, path: Path, text: str) -> str:
    try:
        ast.parse(text)
    except SyntaxError:
        return text
    return Rewriter(plan, path, None, text).run() if PACKAGE in text else text


def exact_strings(text: str, plan: Plan, templates: dict[str, str]) -> str:
    """Replace string constants that are the path of a data file inside the package, or a template's name."""
    known = plan.moved_data() | templates
    return re.sub(
        r"""(["'])([\w/.-]+\.\w+)\1""", lambda m: m.group(1) + known.get(m.group(2), m.group(2)) + m.group(1), text
    )


def templates_of(plan: Plan) -> dict[str, str]:
    """Return old -> new names of templates of the console."""
    old_root, new_root = "console/templates/", "server/console/templates/"
    return {
        old.removeprefix(old_root): new.removeprefix(new_root)
        for old, new in plan.files.items()
        if old.startswith(old_root) and old.removeprefix(old_root) != new.removeprefix(new_root)
    }


def initial(plan: Plan, old: str) -> str:
    """Return the text of a package's `__init__`: its docstring, and those exports that are still inside the package."""
    path = plan.source.root / old
    tree = plan.source.trees[old]
    text = path.read_text("utf-8")
    new_package = plan.files[old].removesuffix("/__init__.py")
    guards = [n for n in tree.body if isinstance(n, ast.If) and "TYPE_CHECKING" in ast.unparse(n.test)]
    if not guards:
        return text
    names = []
    for node in guards[0].body:
        assert isinstance(node, ast.ImportFrom)
        for alias in node.names:
            found = plan.source.resolve(node.module or "", alias.name)
            if found and plan.place(Target(*found)).startswith(new_package + "/"):
                names.append((dotted(plan.place(Target(*found))), found[1] or alias.name, alias.asname or alias.name))
    doc = ast.get_docstring(tree, clean=False) or ""
    if not names:
        return f'"""{doc}"""\n'
    shown = ", ".join(f'"{name}"' for _, _, name in sorted(names, key=lambda n: n[2]))
    imports = "\n".join(f"    from {home} import {as_text(name, local)}" for home, name, local in names)
    return (
        f'"""{doc}"""\n\nfrom typing import TYPE_CHECKING\n\nfrom promolift.lazy import lazy\n\n__all__ = [{shown}]\n\n'
        f"if TYPE_CHECKING:\n{imports}\nelse:\n    lazy(__name__)\n"
    )


def code_files(root: Path) -> list[Path]:
    """Return the Python files outside the package that import it."""
    listed = subprocess.run(["git", "-C", str(root), "ls-files", "*.py"], check=True, capture_output=True, text=True)
    return [root / name for name in listed.stdout.split() if not name.startswith(("src/", "tools/moves/"))]


def text_files(root: Path) -> list[Path]:
    listed = subprocess.run(["git", "-C", str(root), "ls-files"], check=True, capture_output=True, text=True)
    skipped = ("CHANGELOG.md", "tools/moves/", "docs/decisions/", "benchmarks/LOG.md")
    names = [n for n in listed.stdout.split("\n") if n and not n.startswith(skipped)]
    extra = (".ci/run", ".ci/release", "Makefile", "Dockerfile", "MANIFEST.in")
    return [root / n for n in names if (n.endswith(TEXTS) or n in extra) and not n.endswith(".min.js")]


def stage_files(root: Path) -> None:
    """Move whole files and rewrite all that names them."""
    plan = Plan(root, "files")
    package = root / "src" / PACKAGE
    new_texts: dict[str, str] = {}
    for old in plan.source.paths:
        if plan.files[old] == "-":
            continue
        if old.endswith("__init__.py") and old != "__init__.py":
            text = initial(plan, old)
            scratch = package / old
            scratch.write_text(text, "utf-8")
        new_texts[old] = ""
    plan.source.trees  # noqa: B018 - trees were read before any file changed
    for old in new_texts:
        new_texts[old] = (
            Rewriter(plan, package / old, old).run() if old != "__init__.py" else (package / old).read_text("utf-8")
        )
    outside = {path: Rewriter(plan, path, None).run() for path in code_files(root)}
    outside |= documents(plan, root)
    for old, text in new_texts.items():
        (package / old).write_text(text, "utf-8")
    for path, text in outside.items():
        path.write_text(text, "utf-8")
    templates = templates_of(plan)
    for path in text_files(root):
        text = path.read_text("utf-8")
        inside = path.is_relative_to(package)
        new = (
            in_tokens(text, plan)
            if path.suffix == ".py"
            else strings_and_text(text, plan, path.suffix in (".md", ".ipynb"))
        )
        if (path.suffix == ".py" and inside) or (path.suffix == ".html" and inside):
            own = path.relative_to(package).as_posix().startswith("console/")
            new = exact_strings(new, plan, templates if own else {})
        if new != text:
            path.write_text(new, "utf-8")
    moves = [(old, new) for old, new in plan.files.items() if old != new]
    for old, new in moves:
        if new == "-":
            subprocess.run(["git", "-C", str(root), "rm", "-qf", f"src/{PACKAGE}/{old}"], check=True)
            continue
        (package / new).parent.mkdir(parents=True, exist_ok=True)
    # Through a place aside, since a new place may still hold another old file.
    for old, new in moves:
        if new != "-":
            subprocess.run(
                ["git", "-C", str(root), "mv", f"src/{PACKAGE}/{old}", f"src/{PACKAGE}/{new}.moving"], check=True
            )
    for _, new in moves:
        if new != "-":
            subprocess.run(
                ["git", "-C", str(root), "mv", f"src/{PACKAGE}/{new}.moving", f"src/{PACKAGE}/{new}"], check=True
            )
    for folder in sorted({p.parent for p in package.rglob("*.py")}):
        while folder != package:
            if not (folder / "__init__.py").exists():
                (folder / "__init__.py").write_text(
                    docstring(f"{folder.relative_to(package).as_posix()}/__init__.py"), "utf-8"
                )
                subprocess.run(["git", "-C", str(root), "add", str(folder / "__init__.py")], check=True)
            folder = folder.parent
    for folder in sorted((p for p in package.rglob("*") if p.is_dir()), reverse=True):
        if not any(folder.iterdir()):
            folder.rmdir()


def docstring(path: str) -> str:
    """Return the docstring of a new module, as docstrings.tsv has it."""
    rows = dict(line.split("\t") for line in (HERE / "docstrings.tsv").read_text("utf-8").splitlines())
    return f'"""{rows[path]}"""\n'


class Moved(NamedTuple):
    """A run of top-level statements that leaves a file."""

    names: list[str]
    node: ast.stmt
    start: int  # first line, comments above included
    end: int


def stage_names(root: Path) -> None:
    """Move single names between modules."""
    plan = Plan(root, "names")
    package = root / "src" / PACKAGE
    source = plan.source
    by_file: dict[str, dict[str, str]] = defaultdict(dict)
    for (path, name), new in plan.names.items():
        by_file[path][name] = new
    arriving: dict[str, list[tuple[str, str]]] = defaultdict(list)  # new file -> (origin, text)
    outside = {path: Rewriter(plan, path, None).run() for path in code_files(root)}
    texts = {old: Rewriter(plan, package / old, old).run() for old in source.paths if old != "__init__.py"}
    needs: dict[str, set[str]] = defaultdict(set)  # file -> import lines to add
    for path, names in by_file.items():
        text = texts[path]
        tree = ast.parse(text)
        lines = text.splitlines()
        leaving, gone = [], []
        for node in tree.body:
            defined = [n for part in _flat(node) for n in _defined(part)]
            here = [n for n in defined if n in names]
            if not here:
                continue
            assert len(here) == len(defined) or isinstance(node, ast.If), (path, here, defined)
            gone += here
            start = min([node.lineno, *(d.lineno for d in getattr(node, "decorator_list", []))])
            while start > 1 and lines[start - 2].startswith("#"):
                start -= 1
            leaving.append(Moved(here, node, start, node.end_lineno or 0))
        missing = set(names) - set(gone)
        assert not missing, f"{path}: {missing} is not defined at the top"
        stay = list(lines)
        for moved in leaving:
            target = names[moved.names[0]]
            arriving[target].append((path, "\n".join(lines[moved.start - 1 : moved.end])))
        for moved in sorted(leaving, key=lambda m: m.start, reverse=True):
            del stay[moved.start - 1 : moved.end]
        new_text = "\n".join(stay) + "\n"
        left = ast.parse(new_text)
        used = names_read(left)
        for name, new in names.items():
            if name in used:
                needs[path].add(f"from {dotted(new)} import {name}")
        texts[path] = new_text
    imports_at = {path: import_lines(plan, path) for path in source.paths}
    for target, parts in arriving.items():
        parts = in_order(parts)
        body = joined([text for _, text in parts])
        for origin in dict.fromkeys(origin for origin, _ in parts):
            part = "\n\n\n".join(text for o, text in parts if o == origin)
            read = names_read(ast.parse(part))
            for name in read:
                if name in source.definitions[origin] and plan.names.get((origin, name), origin) != target:
                    needs[target].add(f"from {dotted(plan.names.get((origin, name), origin))} import {name}")
                elif name in imports_at[origin]:
                    line = imports_at[origin][name]
                    if line != f"from {dotted(target)} import {name}":
                        needs[target].add(line)
        if target in texts:
            arrived = {
                n for _, text in parts for node in ast.parse(text).body for p in _flat(node) for n in _defined(p)
            }
            texts[target] = without_imports(texts[target], arrived)
            texts[target] = with_statements(texts[target], body, arrived)
        else:
            texts[target] = f"{docstring(target)}\n{body}\n"
            (package / target).parent.mkdir(parents=True, exist_ok=True)
    for target, lines in needs.items():
        own = {f"from {dotted(target)} import "}
        keep = sorted(line for line in lines if not any(line.startswith(o) for o in own))
        texts[target] = with_imports(texts[target], keep)
    for path, text in texts.items():
        (package / path).write_text(text, "utf-8")
    for path, text in outside.items():
        path.write_text(text, "utf-8")
    for old in [p for p in merged_places(plan)]:
        subprocess.run(["git", "-C", str(root), "rm", "-qf", f"src/{PACKAGE}/{old}"], check=True)


def in_order(parts: list[tuple[str, str]]) -> list[tuple[str, str]]:
    """Sort statements so that each stands after those that it needs when it runs; else their order stays."""
    trees = [ast.parse(text) for _, text in parts]
    defines = [{n for node in tree.body for p in _flat(node) for n in _defined(p)} for tree in trees]
    every = set().union(*defines)
    needs = [at_import(tree) & every - own for tree, own in zip(trees, defines, strict=True)]
    done: set[str] = set()
    out: list[int] = []
    while len(out) < len(parts):
        ready = [i for i in range(len(parts)) if i not in out and needs[i] <= done]
        at = ready[0] if ready else next(i for i in range(len(parts)) if i not in out)
        out.append(at)
        done |= defines[at]
    return [parts[i] for i in out]


def with_statements(text: str, body: str, arrived: set[str]) -> str:
    """Add statements at the end of a module, or before the first statement that needs them while it is imported."""
    lines = text.rstrip("\n").splitlines()
    for node in ast.parse(text).body:
        if not isinstance(node, ast.Import | ast.ImportFrom) and at_import(ast.Module([node], [])) & arrived:
            at = min([node.lineno, *(d.lineno for d in getattr(node, "decorator_list", []))]) - 1
            while at > 0 and lines[at - 1].startswith("#"):
                at -= 1
            return "\n".join([*lines[:at], body, "", "", *lines[at:]]) + "\n"
    return "\n".join([*lines, "", "", body]) + "\n"


def at_import(tree: ast.Module) -> set[str]:
    """Return the names that statements read while the module is imported."""
    out = set()

    def visit(node: ast.AST) -> None:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            a = node.args
            parts = [*a.defaults, *(d for d in a.kw_defaults if d)]
            parts += [x.annotation for x in [*a.posonlyargs, *a.args, *a.kwonlyargs] if x.annotation]
            if not isinstance(node, ast.Lambda):
                parts += [*node.decorator_list, *([node.returns] if node.returns else [])]
            for part in parts:
                visit(part)
            return
        if isinstance(node, ast.Name):
            out.add(node.id)
        for child in ast.iter_child_nodes(node):
            visit(child)

    visit(tree)
    return out


def joined(texts: list[str]) -> str:
    """Join statements: one line apart where both are plain, else three."""
    out = ""
    for text in texts:
        plain = not re.search(r"^(class|def|async def|@)", text, re.M)
        gap = "" if not out else "\n" if plain and was_plain else "\n\n\n"
        out, was_plain = out + gap + text, plain
    return out


def without_imports(text: str, names: set[str]) -> str:
    """Drop imports of names that the file now defines itself."""
    edits = []
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.ImportFrom) and any((a.asname or a.name) in names for a in node.names):
            left = [as_text(a.name, a.asname) for a in node.names if (a.asname or a.name) not in names]
            new = f"from {'.' * node.level}{node.module or ''} import {', '.join(left)}" if left else ""
            new = new or ("pass" if node.col_offset else "")
            edits.append(Edit((node.lineno, node.col_offset), (node.end_lineno or 0, node.end_col_offset or 0), new))
    return apply_edits(text, edits)


def merged_places(plan: Plan) -> Iterator[str]:
    table = Table(HERE / "moves.tsv")
    whole = whole_files(table)
    for old in merged_files(table):
        yield whole[old]


def names_read(tree: ast.AST) -> set[str]:
    """Return every name that a tree reads, quoted annotations included."""
    out = {n.id for n in ast.walk(tree) if isinstance(n, ast.Name)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and len(node.value) < 200:
            out |= (
                set(re.findall(r"[A-Za-z_]\w*", node.value)) if re.fullmatch(r"[\w\[\], .|\"']+", node.value) else set()
            )
    return out


def import_lines(plan: Plan, path: str) -> dict[str, str]:
    """Return, for each name that a module imports at its top, the import line that binds it, in the new places."""
    out = {}
    source = plan.source
    for node in ast.walk(source.trees[path]):
        if isinstance(node, ast.ImportFrom):
            module = source.full_name(path, node)
            for alias in node.names:
                local = alias.asname or alias.name
                if module:
                    found = source.resolve(module, alias.name)
                    if found and found[1]:
                        target = Target(*found)
                        out[local] = f"from {dotted(plan.place(target))} import {as_text(target.name, local)}"
                    elif found:
                        home, _, base = dotted(found[0]).rpartition(".")
                        out[local] = f"from {home} import {as_text(base, local)}"
                    else:
                        out[local] = f"from {module} import {as_text(alias.name, alias.asname)}"
                else:
                    out[local] = (
                        f"from {'.' * node.level}{node.module or ''} import {as_text(alias.name, alias.asname)}"
                    )
        elif isinstance(node, ast.Import):
            for alias in node.names:
                out[alias.asname or alias.name.split(".")[0]] = f"import {as_text(alias.name, alias.asname)}"
    return out


def canonical(source: Source, plan: Plan | None) -> Counter[str]:
    """Count the top-level statements of a package, with each reference replaced by the place of its definition."""

    def place(path: str, name: str) -> str:
        if name == "__version__":  # moved by hand
            return name
        return f"{plan.place(Target(path, name)) if plan else path}::{name}"

    out: Counter[str] = Counter()
    for path, tree in source.trees.items():
        if path == "__init__.py" or (
            path.endswith("/__init__.py") and not any(isinstance(n, ast.ClassDef | ast.FunctionDef) for n in tree.body)
        ):
            continue
        tree = ast.parse((source.root / path).read_text("utf-8"))
        bound: dict[str, Target] = {name: Target(path, name) for name in source.definitions[path]}
        for node in ast.walk(tree):
            if isinstance(node, ast.ImportFrom) and (module := source.full_name(path, node)):
                for alias in node.names:
                    found = source.resolve(module, alias.name)
                    if found:
                        bound[alias.asname or alias.name] = Target(*found)

        class Canon(ast.NodeTransformer):
            def visit_Attribute(self, node: ast.Attribute) -> ast.AST:
                if isinstance(node.value, ast.Name) and (target := bound.get(node.value.id)) and not target.name:
                    found = source.resolve(source.module_of(target.path), node.attr)
                    if found:
                        return ast.Name(place(*found), node.ctx)
                return self.generic_visit(node)

            def visit_Name(self, node: ast.Name) -> ast.AST:
                target = bound.get(node.id) if node.id not in local else None
                return ast.Name(place(*target), node.ctx) if target else node

            def visit_ImportFrom(self, node: ast.ImportFrom) -> ast.AST:
                return ast.Pass()

            def visit_Import(self, node: ast.Import) -> ast.AST:
                return ast.Pass()

            def visit_Constant(self, node: ast.Constant) -> ast.AST:
                return ast.Constant("" if isinstance(node.value, str) else node.value)

        for node in tree.body:
            whole = isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)
            if (
                isinstance(node, ast.Import | ast.ImportFrom | ast.Pass)
                or whole
                or (isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant))
            ):
                continue
            if _defined(node) == ["__version__"]:
                continue
            local = {
                n.id if isinstance(n, ast.Name) else n.arg
                for n in ast.walk(node)
                if not isinstance(node, ast.Assign | ast.AnnAssign)
                and (isinstance(n, ast.arg) or (isinstance(n, ast.Name) and not isinstance(n.ctx, ast.Load)))
            }
            defined = _defined(node)
            names = ", ".join(defined) or "-"
            home = plan.place(Target(path, defined[0] if defined else "")) if plan else path
            text = ast.dump(Canon().visit(node))
            out[f"{home} {names} {re.sub('Pass[(][)](, )?', '', text)}"] += 1
    return out


def stage_compare(before: Path, after: Path, stage: str) -> int:
    """Compare the code of two checkouts, statement by statement; strings are left out, `strings_and_text` changes them."""
    old, new = (
        canonical(Plan(before, stage).source, Plan(before, stage)),
        canonical(Source(after / "src" / PACKAGE), None),
    )
    for text in (old - new).keys():
        print("only before:", text[:300])
    for text in (new - old).keys():
        print("only after: ", text[:300])
    print(f"{sum(old.values())} statements before, {sum(new.values())} after, {sum((old - new).values())} differ")
    return 1 if old != new else 0


if __name__ == "__main__" and sys.argv[1] == "compare":
    raise SystemExit(stage_compare(Path(sys.argv[2]).resolve(), Path(sys.argv[3]).resolve(), sys.argv[4]))
if __name__ == "__main__":
    {"files": stage_files, "names": stage_names}[sys.argv[2]](Path(sys.argv[1]).resolve())
