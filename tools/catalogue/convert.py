"""Rewrite pairs of an English and a Chinese text as messages of the catalogue, without changing what is printed.

    python tools/catalogue/convert.py ROOT

`localize(f"{count(n)} of {a}", f"{a}中的{count(n)}")` becomes `gettext("{n} of {a}", n=count(n), a=a)`, in modules
and in templates, and the Chinese goes to zh/LC_MESSAGES/promolift.po. A text that depends on a condition becomes one
message for each case, a count with its noun (`plural`) a message with two forms. Before a file is written, the calls
before and after are evaluated in both languages on drawn values; they must be equal. Calls that the script cannot
rewrite are listed, and stay. A second run changes nothing.
"""

import ast
import itertools
import keyword
import re
import subprocess
import sys
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from babel.messages.catalog import Catalog

sys.path.insert(0, str(Path(__file__).parent))
import check as catalogues

HAN = re.compile(r"[\u3000-\u9fff\uff00-\uffef]")
CATALOGUE = "src/promolift/foundation/i18n/locale/zh/LC_MESSAGES/promolift.po"
MODULE = "promolift.foundation.i18n.catalogue"
FORMATTING = "promolift.foundation.i18n.formatting"
FORMATS = (  # functions that print their first argument
    "count", "cash", "money", "percent", "number", "date", "days", "day_count", "truncate", "str", "len", "abs",
    "round", "translate", "upper_first", "join_list", "sorted", "list", "per_unit", "to_chinese", "max", "min", "tell",
    "float", "int", "share", "moment", "localize", "plural",
)  # fmt: skip
TEXT_METHODS = ("replace", "removeprefix", "capitalize", "lower", "strip")
CASES = 8  # messages that one call may become


class OddError(Exception):
    """A call that needs a person."""


@dataclass(frozen=True)
class Value:
    """A part of a text that is computed: the source of its expression, which is a string or printed by `format`."""

    source: str


@dataclass(frozen=True)
class Plural:
    """A count with its noun, in English."""

    source: str
    one: str
    many: str


@dataclass(frozen=True)
class Case:
    """A part of a text that depends on a condition."""

    test: str
    yes: tuple["Part", ...]
    no: tuple["Part", ...]


Part = str | Value | Plural | Case


@dataclass
class Message:
    """One entry of the catalogue and where it is used."""

    one: str
    many: str | None
    chinese: str
    file: str
    arguments: dict[str, str] = field(default_factory=dict)
    decides: str | None = None
    context: str | None = None


def python_parts(node: ast.expr) -> tuple[Part, ...]:
    """Return the parts of a text that is written as a constant, an f-string, a sum or a choice of these."""
    match node:
        case ast.Constant(value=str(text)):
            return (text,) if text else ()
        case ast.JoinedStr(values=values):
            return tuple(itertools.chain.from_iterable(python_parts(each) for each in values))
        case ast.FormattedValue(value=value, conversion=-1, format_spec=None):
            return python_parts(value) if _is_text(value) else (Value(ast.unparse(value)),)
        case ast.FormattedValue():
            return (Value(ast.unparse(ast.JoinedStr([node]))),)
        case ast.BinOp(left=left, op=ast.Add(), right=right) if _is_text(left) or _is_text(right):
            return python_parts(left) + python_parts(right)
        case ast.IfExp(test=test, body=body, orelse=orelse) if _is_text(node):
            return (Case(ast.unparse(test), python_parts(body), python_parts(orelse)),)
        case ast.Call(func=ast.Name(id="plural"), args=[n, ast.Constant(value=str(one)), *more], keywords=[]):
            many = one + "s" if not more else ast.literal_eval(more[0])
            return (Plural(ast.unparse(n), one, many),)
    return (Value(ast.unparse(node)),)


def _is_text(node: ast.expr) -> bool:
    """Whether words stand in the expression itself."""
    match node:
        case ast.Constant(value=str()) | ast.JoinedStr():
            return True
        case ast.BinOp(left=left, op=ast.Add(), right=right):
            return _is_text(left) or _is_text(right)
        case ast.IfExp(body=body, orelse=orelse):
            return _is_text(body) or _is_text(orelse)
        case ast.Call(func=ast.Name(id="plural"), args=[_, ast.Constant(), *_], keywords=[]):
            return True
    return False


def template_parts(source: str) -> tuple[Part, ...]:
    """Return the parts of an argument in a template: strings and expressions joined by `~`."""
    found: list[Part] = []
    for piece in split_source(source, "~"):
        if match := re.fullmatch(r"""\s*(?:"([^"\\]*)"|'([^'\\]*)')\s*""", piece):
            found += [text] if (text := match[1] or match[2] or "") else []
        elif HAN.search(piece) or re.search(r"""\bif\b|["']\s*\)""", piece):
            raise OddError(source)
        else:
            found.append(Value(piece.strip()))
    return tuple(found)


def split_source(source: str, separator: str) -> list[str]:
    """Split source text at a separator outside of strings and brackets."""
    pieces, depth, quote, start = [], 0, "", 0
    for i, sign in enumerate(source):
        if quote:
            quote = "" if sign == quote else quote
        elif sign in "\"'":
            quote = sign
        elif sign in "([{":
            depth += 1
        elif sign in ")]}":
            depth -= 1
        elif sign == separator and not depth:
            pieces.append(source[start:i])
            start = i + 1
    return [*pieces, source[start:]]


def tests_of(parts: tuple[Part, ...]) -> list[str]:
    """Return the conditions in a text, outermost first."""
    found: list[str] = []
    for each in parts:
        if isinstance(each, Case):
            found += [each.test, *tests_of(each.yes), *tests_of(each.no)]
    return list(dict.fromkeys(found))


def resolve(parts: tuple[Part, ...], known: Mapping[str, bool]) -> tuple[Part, ...]:
    """Return the text for given conditions, neighbouring constants joined."""
    flat: list[Part] = []
    for each in parts:
        chosen = resolve(each.yes if known[each.test] else each.no, known) if isinstance(each, Case) else (each,)
        for part in chosen:
            if isinstance(part, str) and flat and isinstance(flat[-1], str):
                flat[-1] += part
            else:
                flat.append(part)
    return tuple(flat)


class Names:
    """Names of the arguments of one message: one for each expression."""

    def __init__(self) -> None:
        self.of: dict[str, str] = {}

    def name(self, source: str, wish: str | None = None) -> str:
        """Return the name of an expression, made from it or from `wish`."""
        if source in self.of:
            return self.of[source]
        taken = set(self.of.values())
        wishes = [wish] if wish else []
        try:
            wishes += slugs(ast.parse(source, mode="eval").body)
        except SyntaxError:
            wishes += [re.sub(r"\W+", "_", re.split(r"[|\s]", source)[0]).strip("_")]
        wishes = [each + "_text" if keyword.iskeyword(each) else each for each in wishes if each.isidentifier()]
        free = [each for each in wishes if each not in taken]
        stem = (wishes or ["value"])[0]
        numbered = (stem if i == 1 else f"{stem}_{i}" for i in itertools.count(1))
        self.of[source] = free[0] if free else next(each for each in numbered if each not in taken)
        return self.of[source]


def slugs(node: ast.expr) -> list[str]:
    """Return readable names for an expression, the shortest first."""
    match node:
        case ast.Name(id=name):
            return [name.strip("_").lower()]
        case ast.Attribute(value=value, attr=attr):
            plain = re.sub(r"_(cents|ms)$", "", attr).strip("_").lower()
            return [plain, *(f"{each}_{plain}" for each in slugs(value))]
        case ast.Subscript(value=value, slice=ast.Constant(value=str(key))):
            plain = re.sub(r"_(cents|ms)$|\W", "", key).lower()
            return [plain, *(f"{each}_{plain}" for each in slugs(value))]
        case ast.Subscript(value=value, slice=key):
            return [*slugs(value), *slugs(key)]
        case ast.JoinedStr(values=[ast.FormattedValue(value=value)]) | ast.FormattedValue(value=value):
            return slugs(value)
        case ast.Call(func=ast.Attribute(value=ast.Constant(), attr="join"), args=[first]):
            return slugs(first)
        case ast.Call(
            func=ast.Attribute(value=value, attr="replace" | "removeprefix" | "capitalize" | "lower" | "strip")
        ):
            return slugs(value)
        case ast.Call(func=ast.Name(id=called) | ast.Attribute(attr=called), args=args):
            plain = called.strip("_").lower()
            inner = slugs(args[0]) if args else []
            return [*inner, *(f"{plain}_{each}" for each in inner)] if called in FORMATS and inner else [plain, *inner]
        case ast.BinOp(left=left, right=right):
            return [*slugs(left), *slugs(right)]
        case ast.UnaryOp(operand=value) | ast.GeneratorExp(elt=value) | ast.ListComp(elt=value):
            return slugs(value)
        case ast.BoolOp(values=values):
            return slugs(values[0])
        case ast.IfExp(body=body):
            return slugs(body)
    return []


class Converter:
    """Messages of all files, and the call that stands for each text."""

    def __init__(self, before: Catalog) -> None:
        self.before = before
        self.messages: list[Message] = []
        self.odd: list[str] = []

    def cases(self, en: tuple[Part, ...], zh: tuple[Part, ...], file: str) -> "Tree":
        """Return the messages for a pair of texts, by its conditions."""
        tests = list(dict.fromkeys(tests_of(en) + tests_of(zh)))
        if 2 ** len(tests) > CASES:
            raise OddError("too many cases")
        return self._tree(tests, {}, en, zh, file)

    def _tree(
        self, tests: list[str], known: dict[str, bool], en: tuple[Part, ...], zh: tuple[Part, ...], file: str
    ) -> "Tree":
        if not tests:
            return self.message(resolve(en, known), resolve(zh, known), file)
        test, *rest = tests
        yes, no = (self._tree(rest, {**known, test: value}, en, zh, file) for value in (True, False))
        return yes if _same(yes, no) else Choice(test, yes, no)

    def message(self, en: tuple[Part, ...], zh: tuple[Part, ...], file: str) -> "Tree":
        """Return the message for two texts without conditions."""
        if not any(isinstance(each, str) and re.search(r"\w", each) for each in (*en, *zh)):
            if en == (" ",) and not zh:
                return Fixed("sentence_space()")
            if not any(isinstance(each, str) for each in (*en, *zh)) and not any(
                isinstance(e, Plural) for e in (*en, *zh)
            ):
                raise OddError("no text of its own")
        if any(isinstance(each, str) for each in zh) and not any(isinstance(each, str | Plural) for each in en):
            raise OddError("English that stands elsewhere")
        if not en or not zh:
            if en == zh:
                return Fixed('""')
            raise OddError("no text in one language")
        names = Names()
        decides: str | None = None
        one, many = "", ""
        written = any(isinstance(each, Value | Plural) for each in (*en, *zh))
        for each in en:
            if isinstance(each, Plural):
                name = names.name(f"count({each.source})", re.sub(r"\W+", "_", each.many.split()[-1].lower()))
                if decides is None:
                    decides = each.source
                    one, many = one + f"{{{name}}} {each.one}", many + f"{{{name}}} {each.many}"
                else:
                    inner = self.counted(each, name, file)
                    noun = names.name(inner, f"{name}_text")
                    one, many = one + f"{{{noun}}}", many + f"{{{noun}}}"
            else:
                text = written_part(each, names, written)
                one, many = one + text, many + text
        chinese = "".join(written_part(each, names, written) for each in zh)
        used = {name: source for source, name in names.of.items() if f"{{{name}}}" in one + many + chinese}
        made = Message(one, many if decides is not None else None, chinese, file, used, decides)
        self.messages.append(made)
        return made

    def counted(self, part: Plural, name: str, file: str) -> str:
        """Return the source of a further count in a text, which is a message of its own."""
        raise OddError(f"second count: {part.source} {part.one}")

    def name_contexts(self) -> None:
        """Give a context to messages whose English stands for several Chinese texts; the most frequent goes without."""
        texts: dict[str, Counter[str]] = defaultdict(Counter)
        for each in self.messages:
            texts[each.one][each.chinese] += 1
        counts = {each.one for each in self.messages if each.many is not None}
        counts |= {each.id[0] for each in self.before if each.pluralizable}
        for each in self.messages:
            known = self.before.get(each.one)
            first = known.string if known is not None else None
            if isinstance(first, tuple):
                first = first[0]
            first = first or max(sorted(texts[each.one]), key=texts[each.one].__getitem__)
            if each.chinese != first or (each.many is None and each.one in counts):
                path = Path(each.file)
                folder = path.suffix == ".html" and path.parent.name != "templates"
                each.context = path.parent.name if folder else path.stem
                if each.many is not None or (known is not None and not known.pluralizable and each.many):
                    self.odd.append(f"{each.file}: two translations of a plural: {each.one}")


@dataclass
class Fixed:
    """A text that needs no message."""

    source: str


@dataclass
class Choice:
    """Messages by a condition."""

    test: str
    yes: "Tree"
    no: "Tree"


Tree = Message | Choice | Fixed


def _same(one: "Tree", other: "Tree") -> bool:
    if isinstance(one, Message) and isinstance(other, Message):
        return (one.one, one.chinese, one.arguments) == (other.one, other.chinese, other.arguments)
    return False


def written_part(part: Part, names: Names, escape: bool) -> str:
    """Return a part as it stands in a message."""
    if isinstance(part, str):
        return part.replace("{", "{{").replace("}", "}}") if escape else part
    if isinstance(part, Plural):
        raise OddError("an English count in a Chinese text")
    assert isinstance(part, Value)
    return f"{{{names.name(part.source)}}}"


def literal(text: str, width: int = 84) -> str:
    """Return a string as Python source, cut at spaces into strings that stand side by side."""
    pieces, line = [], ""
    for word in re.findall(r"\S*\s*", text):
        if line and len(line) + len(word) > width:
            pieces.append(line)
            line = ""
        line += word
    return " ".join(_quoted(each) for each in [*pieces, line] if each or not pieces)


def _single(text: str) -> str:
    return "'" + repr('"' + text)[2:-1] + "'"


def _quoted(text: str) -> str:
    body = repr(text)[1:-1] if repr(text)[0] == '"' else repr(text)[1:-1].replace('"', '\\"').replace("\\'", "'")
    return f'"{body}"' if body.count('\\"') == 0 or "'" in body else repr(text)


def call_source(tree: Tree, quote: "type[str] | object" = literal) -> str:
    """Return the source of the call that looks a message up."""
    if isinstance(tree, Fixed):
        return tree.source
    if isinstance(tree, Choice):
        return f"({call_source(tree.yes, quote)} if {tree.test} else {call_source(tree.no, quote)})"
    assert callable(quote)
    given = "".join(f", {name}={source}" for name, source in tree.arguments.items())
    if tree.many is not None:
        return f"ngettext({quote(tree.one)}, {quote(tree.many)}, {tree.decides}{given})"
    if tree.context:
        return f"pgettext({quote(tree.context)}, {quote(tree.one)}{given})"
    return f"gettext({quote(tree.one)}{given})"


def called_name(node: ast.AST) -> str:
    """Return the name of the function that a node calls."""
    return str(getattr(node.func, "id", "")) if isinstance(node, ast.Call) else ""


class ModuleFile:
    """A module: its calls of `localize`, and its text once they are rewritten."""

    def __init__(self, root: Path, path: Path, converter: Converter) -> None:
        self.path, self.name = path, path.relative_to(root).as_posix()
        self.text = path.read_text("utf-8")
        self.found: list[tuple[ast.expr, Tree]] = []
        self.inside: set[int] = set()  # calls inside an f-string, which may hold no double quotes
        parsed = ast.parse(self.text)
        for each in ast.walk(parsed):
            if isinstance(each, ast.JoinedStr):
                self.inside |= {id(part) for part in ast.walk(each) if isinstance(part, ast.Call)}
        for call in ast.walk(parsed):
            if called_name(call) != "localize" or not isinstance(call, ast.Call) or len(call.args) != 2:
                continue
            inner = [
                each
                for each in ast.walk(call)
                if each is not call and getattr(getattr(each, "func", None), "id", "") == "localize"
            ]
            try:
                if inner:
                    raise OddError("a pair inside a pair")
                tree = converter.cases(*(python_parts(each) for each in call.args), self.name)
                if id(call) in self.inside and re.search(r'["\\]', call_source(tree, _single)):
                    raise OddError("quotes inside an f-string")
            except OddError as error:
                converter.odd.append(f"{self.name}:{call.lineno}: {error}: {ast.unparse(call)[:160]}")
                continue
            self.found.append((call, tree))

    def rewrite(self) -> None:
        """Write the file with its new calls and imports; formatting is left to the formatter."""
        if not self.found:
            return
        lines = self.text.encode("utf-8").splitlines(keepends=True)
        starts = list(itertools.accumulate((len(line) for line in lines), initial=0))
        data = self.text.encode("utf-8")
        end = len(data)
        for call, tree in sorted(self.found, key=lambda each: -starts[each[0].lineno - 1] - each[0].col_offset):
            self.prove(call, tree)
            assert call.end_lineno is not None
            assert call.end_col_offset is not None
            first, last = starts[call.lineno - 1] + call.col_offset, starts[call.end_lineno - 1] + call.end_col_offset
            assert last <= end, ast.unparse(call)
            assert ast.dump(ast.parse(data[first:last], mode="eval").body) == ast.dump(call), ast.unparse(call)
            end = first
            written = call_source(tree, _single if id(call) in self.inside else literal)
            data = data[:first] + written.encode("utf-8") + data[last:]
        self.path.write_text(with_imports(unskipped(data.decode("utf-8"))), "utf-8")

    def prove(self, call: ast.expr, tree: Tree) -> None:
        """Raise unless a call and what replaces it print the same in both languages."""
        assert isinstance(call, ast.Call)
        prove(call, tree)


def unskipped(text: str) -> str:
    """Return a module whose rewritten statements are formatted again."""
    marks = {"gettext", "ngettext", "pgettext", "sentence_space"}
    lines = text.split("\n")
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.stmt) and node.end_lineno and lines[node.end_lineno - 1].endswith("# fmt: skip"):
            called = {getattr(each.func, "id", "") for each in ast.walk(node) if isinstance(each, ast.Call)}
            if called & marks and not any(isinstance(each, ast.stmt) and each is not node for each in ast.walk(node)):
                lines[node.end_lineno - 1] = lines[node.end_lineno - 1].removesuffix("# fmt: skip").rstrip()
    return "\n".join(lines)


def with_imports(text: str) -> str:
    """Return a module that imports what it calls, and nothing that it no longer uses."""
    tree = ast.parse(text)
    used = {each.id for each in ast.walk(tree) if isinstance(each, ast.Name)}
    wanted = {name for name in ("gettext", "ngettext", "pgettext") if name in used}
    lines = text.split("\n")
    edits: list[tuple[int, int, str]] = []
    last_import, have = 0, set()
    for node in tree.body:
        if not isinstance(node, ast.ImportFrom):
            continue
        last_import = node.end_lineno or 0
        if node.module == MODULE:
            have |= {each.name for each in node.names}
        if node.module == FORMATTING and not any(each.asname for each in node.names):
            kept = [
                each.name
                for each in node.names
                if each.name in used or each.name not in ("localize", "plural", "count")
            ]
            kept += ["sentence_space"] if "sentence_space" in used and "sentence_space" not in kept else []
            if kept != [each.name for each in node.names]:
                line = f"from {FORMATTING} import ({', '.join(sorted(kept))})" if kept else ""
                edits.append((node.lineno, node.end_lineno or 0, line))
    if missing := wanted - have:
        own = [node for node in tree.body if isinstance(node, ast.ImportFrom) and node.module == FORMATTING]
        at = own[0].lineno - 1 if own else last_import
        edits.append((at + 1, at, f"from {MODULE} import {', '.join(sorted(missing))}"))
    for first, last, line in sorted(edits, key=lambda each: (-each[0], -each[1])):
        lines[first - 1 : last] = [line] if line else []
    return "\n".join(lines)


class TemplateFile:
    """A template: its calls of `localize`, and its text once they are rewritten."""

    def __init__(self, root: Path, path: Path, converter: Converter) -> None:
        self.path, self.name = path, path.relative_to(root).as_posix()
        self.text = path.read_text("utf-8")
        self.found: list[tuple[int, int, Tree]] = []
        for match in re.finditer(r"\blocalize\(", self.text):
            body = _until_closed(self.text[match.end() :])
            pieces = split_source(body, ",")
            length = match.end() + len(body) + 1
            try:
                if len(pieces) != 2:
                    raise OddError("arguments")
                tree = converter.cases(template_parts(pieces[0]), template_parts(pieces[1]), self.name)
            except OddError as error:
                line = self.text[: match.start()].count("\n") + 1
                converter.odd.append(f"{self.name}:{line}: {error}: {body[:160]}")
                continue
            self.found.append((match.start(), length, tree))

    def rewrite(self) -> None:
        """Write the file with its new calls."""
        text = self.text
        for start, end, tree in reversed(self.found):
            outer = "'" if '"' not in text[start:end] else '"'
            text = (
                text[:start] + call_source(tree, lambda value, outer=outer: template_literal(value, outer)) + text[end:]
            )
        if text != self.text:
            self.path.write_text(text, "utf-8")


def _until_closed(source: str) -> str:
    depth, quote = 0, ""
    for i, sign in enumerate(source):
        if quote:
            quote = "" if sign == quote else quote
        elif sign in "\"'":
            quote = sign
        elif sign in "([{":
            depth += 1
        elif sign in ")]}":
            if sign == ")" and not depth:
                return source[:i]
            depth -= 1
    raise OddError("not closed")


def template_literal(text: str, quote: str) -> str:
    """Return a string of a template, in the quotes that stood there."""
    if quote in text:
        quote = "'" if quote == '"' else '"'
        if quote in text:
            raise OddError(text)
    return quote + text + quote


def prove(call: ast.Call, tree: Tree) -> None:
    """Raise unless a call of `localize` and what replaces it print the same in both languages, on drawn values."""
    for message in _messages(tree):
        for name in re.findall(r"(?<!\{)\{(\w+)\}", message.one + message.chinese):
            assert name in message.arguments, (name, message)
    numbers = {message.decides for message in _messages(tree) if message.decides}
    numbers |= {each.source for arg in call.args for each in _flat(python_parts(arg)) if isinstance(each, Plural)}
    tests = {each for arg in call.args for each in tests_of(python_parts(arg))}
    values = {each.source for arg in call.args for each in _flat(python_parts(arg)) if isinstance(each, Value)}
    values -= {f"count({number})" for number in numbers}
    opaque = {ast.dump(ast.parse(each, mode="eval").body): each for each in (*values, *tests, *numbers)}
    place = {source: f"drawn_{i}" for i, source in enumerate(sorted(opaque.values()))}

    class Opaque(ast.NodeTransformer):
        """Put drawn values where the code computes them."""

        def visit(self, node: ast.AST) -> ast.AST:
            """Replace an expression by the name of its drawn value."""
            if isinstance(node, ast.FormattedValue) and (node.format_spec or node.conversion != -1):
                source = opaque.get(ast.dump(ast.parse(ast.unparse(ast.JoinedStr([node])), mode="eval").body))
                if source:
                    return ast.FormattedValue(ast.Name(place[source], ast.Load()), -1)
            if (isinstance(node, ast.expr) and not isinstance(node, ast.Name | ast.Constant)) or isinstance(
                node, ast.Name
            ):
                source = opaque.get(ast.dump(ast.parse(ast.unparse(node), mode="eval").body))
                if source:
                    return ast.Name(place[source], ast.Load())
            return self.generic_visit(node)

    forms = []
    for source in (ast.unparse(call), call_source(tree)):
        node = ast.Expression(Opaque().visit(ast.parse(source, mode="eval").body))
        forms.append(compile(ast.fix_missing_locations(node), "<call>", "eval"))
    entries = {(each.context, each.one): each.chinese for each in _messages(tree)}
    for drawn in itertools.islice(_draws(values, tests, numbers, place), 64):
        for language in ("en", "zh"):
            before, after = (eval(form, {**_functions(language, entries), **drawn}) for form in forms)
            assert before == after, (language, ast.unparse(call), call_source(tree), before, after)


def _draws(
    values: set[str], tests: set[str], numbers: set[str], place: Mapping[str, str]
) -> Iterator[dict[str, object]]:
    texts = {place[source]: f"<{i}>" for i, source in enumerate(sorted(values))}
    for truths in itertools.product((True, False), repeat=len(tests)):
        for n in itertools.product((1, 0, 2, 1234, 0.6, None), repeat=len(numbers)):
            yield (
                texts
                | {place[source]: value for source, value in zip(sorted(tests), truths, strict=True)}
                | {place[source]: value for source, value in zip(sorted(numbers), n, strict=True)}
            )


def _functions(language: str, entries: Mapping[tuple[str | None, str], str]) -> dict[str, object]:
    from promolift.foundation.i18n.formatting import count, plural
    from promolift.foundation.i18n.translation import to_chinese

    def fill(context: str | None, one: str, many: str, n: object, arguments: Mapping[str, object]) -> str:
        text = entries[context, one] if language == "zh" else one if count(n) == "1" else many
        return text.format(**arguments) if arguments else text

    return {
        "localize": lambda en, zh: zh if language == "zh" else en,
        "gettext": lambda message, **given: fill(None, message, message, 1, given),
        "pgettext": lambda context, message, **given: fill(context, message, message, 1, given),
        "ngettext": lambda one, many, n, **given: fill(None, one, many, n, given),
        "sentence_space": lambda: "" if language == "zh" else " ",
        "count": count,
        "plural": plural,
        "translate": lambda text: to_chinese(text) if language == "zh" else text,
    }


def _flat(parts: tuple[Part, ...]) -> Iterator[Part]:
    for each in parts:
        if isinstance(each, Case):
            yield from _flat(each.yes)
            yield from _flat(each.no)
        else:
            yield each


def _messages(tree: Tree) -> list[Message]:
    if isinstance(tree, Choice):
        return _messages(tree.yes) + _messages(tree.no)
    return [tree] if isinstance(tree, Message) else []


def load(path: Path) -> Catalog:
    """Load the Chinese catalogue, an empty one if there is none yet."""
    if not path.exists():
        return Catalog(locale="zh", header_comment="# Chinese texts of promolift.", charset="utf-8", fuzzy=False)
    return catalogues.load(path)


def store(path: Path, messages: list[Message], catalogue: Catalog) -> None:
    """Add messages to the catalogue, and write it sorted by the files that use them."""
    for each in messages:
        known = catalogue.get(each.one, each.context)
        files = {file for file, _ in known.locations} if known else set()
        places = [(file, 1) for file in sorted({*files, each.file.removeprefix("src/promolift/")})]
        identity = (each.one, each.many) if each.many is not None else each.one
        catalogue.delete(each.one, each.context)
        catalogue.add(
            identity, (each.chinese,) if each.many is not None else each.chinese, locations=places,
            context=each.context,
        )  # fmt: skip
    catalogues.store(path, catalogue)


def main(root: Path) -> None:
    """Rewrite all files of a source tree, and say which calls need a person."""
    catalogue = load(root / CATALOGUE)
    converter = Converter(catalogue)
    sources = sorted((root / "src").rglob("*.py"))
    modules = [ModuleFile(root, path, converter) for path in sources if "localize(" in path.read_text("utf-8")]
    templates = [TemplateFile(root, path, converter) for path in sorted((root / "src").rglob("*.html"))]
    write(root, converter, [*modules, *templates])


def write(root: Path, converter: Converter, files: Sequence["ModuleFile | TemplateFile"]) -> None:
    """Write the rewritten files and the catalogue, and say which calls need a person."""
    converter.name_contexts()
    for each in files:
        each.rewrite()
    if converter.messages:
        store(root / CATALOGUE, converter.messages, converter.before)
    changed = [str(each.path) for each in files if each.found and each.path.suffix == ".py"]
    if changed:
        ruff = [sys.executable, "-m", "ruff"]
        subprocess.run([*ruff, "check", "--select", "I,F401", "--fix", "--quiet", *changed], cwd=root, check=True)
        subprocess.run([*ruff, "format", "--quiet", *changed], cwd=root, check=True)
    print(*converter.odd, sep="\n")
    print(f"{len(converter.messages)} messages; {len(converter.odd)} calls left for a person")


if __name__ == "__main__":
    main(Path(sys.argv[1]).resolve())
