"""Rewrite English sentences that are matched against sentences_zh.tsv as messages of the catalogue.

    python tools/catalogue/convert_sentences.py ROOT

`translate(f"{count(n)} customers get none.")` becomes `gettext("{n} customers get none.", n=count(n))`; its Chinese is
what the patterns of sentences_zh.tsv make of it. An argument that may be a sentence of its own is translated before, as
the patterns did. Only texts that stand in the call are rewritten: `translate(found.why)` stays, and calls whose English
the patterns do not hold, or hold twice, are listed. Run convert.py first.
"""

import ast
import re
import sys
from collections.abc import Iterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
import check as catalogues
import convert
from convert import Converter, OddError, Part, Plural, Tree, Value

from promolift.foundation.i18n.translation import candidate_patterns, to_chinese

TRANSLATION = "promolift.foundation.i18n.translation"
MARK = 0xE000  # the first of the characters that stand for values
PRINTED = (  # functions whose result is a number, or is in the reader's language already
    "count", "cash", "money", "percent", "number", "day_count", "date", "days", "len", "round", "plus", "say",
    "per_unit", "low_to_high", "interval", "interval_name", "_signed", "verdict_text", "customer_count", "gettext",
    "ngettext", "pgettext", "localize", "translate", "sentence_space", "round_up_percent", "min", "max", "sum",
)  # fmt: skip
PRINTED_ATTRIBUTES = ("unit", "least", "window_days", "height", "days")
PRINTED_NAMES = ("file", "path")  # no text for people
NUMBER_TYPES = ("int", "float")


class SentenceConverter(Converter):
    """Messages of sentences: the Chinese comes from the patterns."""

    function: ast.AST | None = None

    def message(self, en: tuple[Part, ...], zh: tuple[Part, ...], file: str) -> Tree:
        """Return the message for an English text without conditions."""
        assert zh == en
        marked = "".join(
            each if isinstance(each, str) else chr(MARK + i) + (f" {each.many}" if isinstance(each, Plural) else "")
            for i, each in enumerate(en)
        )
        single = "".join(
            each if isinstance(each, str) else chr(MARK + i) + (f" {each.one}" if isinstance(each, Plural) else "")
            for i, each in enumerate(en)
        )
        chinese = to_chinese(marked)
        if to_chinese(single) != chinese:
            raise OddError("another Chinese for one")
        if chinese == marked:
            raise OddError("no Chinese")
        if re.search(r"[A-Za-z]{2,} [A-Za-z]{2,}", re.sub(r"`.*?`", "", chinese)):
            raise OddError(f"Chinese in part: {chinese}")
        parts = tuple(self.printed(each) for each in en)
        if parts != en and (others := specific(marked)):
            raise OddError(f"a value decides: {others}")
        found: list[Part] = []
        for piece in re.split(r"([\ue000-\ue0ff])", chinese):
            if re.fullmatch(r"[\ue000-\ue0ff]", piece):
                each = parts[ord(piece) - MARK]
                found.append(Value(f"count({each.source})") if isinstance(each, Plural) else each)
            elif piece:
                found.append(piece)
        return super().message(parts, tuple(found), file)

    def printed(self, part: Part) -> Part:
        """Return a part as it is printed: a value that is no number is translated before."""
        if not isinstance(part, Value) or self.is_printed(ast.parse(part.source, mode="eval").body):
            return part
        return Value(f"translate({part.source})")

    def is_printed(self, node: ast.expr) -> bool:
        """Whether an expression is a number, or text in the reader's language already."""
        match node:
            case ast.Call(func=ast.Name(id="in_brackets" | "truncate" | "str" | "upper_first"), args=[first, *_]):
                return self.is_printed(first)
            case ast.Call(func=ast.Name(id=called) | ast.Attribute(attr=called)):
                return called in PRINTED
            case ast.Attribute(attr=attr):
                return attr in PRINTED_ATTRIBUTES
            case ast.JoinedStr(values=values):
                return all(
                    self.is_printed(each.value) or number_format(each)
                    if isinstance(each, ast.FormattedValue)
                    else isinstance(each, ast.Constant) and not re.search(r"[A-Za-z]{2}", str(each.value))
                    for each in values
                )
            case ast.Constant(value=int() | float() | ""):
                return True
            case ast.IfExp(body=body, orelse=orelse):
                return self.is_printed(body) and self.is_printed(orelse)
            case ast.BoolOp(values=values):
                return all(map(self.is_printed, values))
            case ast.BinOp(left=left, right=right, op=ast.Mult() | ast.Sub() | ast.Div() | ast.FloorDiv()):
                return self.is_printed(left) or self.is_printed(right)
            case ast.BinOp(left=left, right=right, op=ast.Add()):
                return self.is_printed(left) and self.is_printed(right)
            case ast.Name(id=name):
                known = self.function is not None and assigned_printed(self, self.function, name)
                return known or name in PRINTED_NAMES
        return False


def number_format(value: ast.FormattedValue) -> bool:
    """Whether a part of an f-string is formatted as a number."""
    spec = "" if value.format_spec is None else ast.unparse(value.format_spec)
    return re.search(r"[,.]?\d*[dfg%,]'?\)?$", spec) is not None


def assigned_printed(converter: SentenceConverter, function: ast.AST, name: str) -> bool:
    """Whether every value that a function gives to a name is printed already."""
    values: list[ast.expr] = []
    for node in ast.walk(function):
        if isinstance(node, ast.arg) and node.arg == name:
            if node.annotation is None or ast.unparse(node.annotation) not in NUMBER_TYPES:
                return False
            values.append(ast.Constant(0))
        if isinstance(node, ast.comprehension | ast.For) and name in {
            each.id for each in ast.walk(node.target) if isinstance(each, ast.Name)
        }:
            return False
        if isinstance(node, ast.Assign):
            target = node.targets[0]
            if isinstance(target, ast.Name) and target.id == name:
                values.append(node.value)
            elif isinstance(target, ast.Tuple) and name in (names := [getattr(each, "id", "") for each in target.elts]):
                if isinstance(node.value, ast.Tuple) and len(node.value.elts) == len(names):
                    values.append(node.value.elts[names.index(name)])
                elif isinstance(node.value, ast.GeneratorExp):
                    values.append(node.value.elt)
                else:
                    return False
        if isinstance(node, ast.AugAssign | ast.NamedExpr) and getattr(node.target, "id", "") == name:
            return False
    return bool(values) and all(
        not (isinstance(each, ast.Name) and each.id == name) and converter.is_printed(each) for each in values
    )


def specific(marked: str) -> list[str]:
    """Return patterns that some values of a text would match, in place of the one that its form matches."""
    patterns = [each for each in candidate_patterns(marked) if each.english.fullmatch(marked)]
    if not patterns:
        return []
    form = re.compile("".join(".*" if MARK <= ord(each) <= MARK + 255 else re.escape(each) for each in marked), re.S)
    found = []
    for each in all_patterns():
        english = re.sub(r"\\(.)", r"\1", each.english.pattern.replace("(.*?)", "{}"))
        if each.literal_letters > patterns[0].literal_letters and form.fullmatch(english):
            found.append(english)
    return found


def all_patterns() -> list[object]:
    """Return every entry of the former catalogue."""
    from promolift.foundation.i18n.translation import load_catalogue

    return [each for some in load_catalogue().values() for each in some]


READ = re.compile(r"\btranslate\(|promolift\.foundation\.pages")
PLACES = {  # arguments of the functions that make blocks of a page, which are translated when the page is shown
    "Chapter": (1, 2, 3), "Figure": (1, 2), "Axis": (0,), "table": (0,), "sentences": (0,), "unknown_note": (0,),
    "note": (0,), "KeyFigure": (0, 2),
}  # fmt: skip


def headings(tree: ast.Module) -> Iterator[tuple[ast.expr, ast.AST]]:
    """Find the texts that stand as headings in functions, each with its function."""
    for function in ast.walk(tree):
        if not isinstance(function, ast.FunctionDef):
            continue
        for node in ast.walk(function):
            some: list[ast.expr] = []
            if isinstance(node, ast.Call):
                some = [node.args[i] for i in PLACES.get(convert.called_name(node), ()) if i < len(node.args)]
            elif isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") == "heads":
                some = node.value.elts if isinstance(node.value, ast.List) else []
            yield from ((each, function) for each in some if isinstance(each, ast.Constant | ast.JoinedStr))


class SentenceFile(convert.ModuleFile):
    """A module: its calls of `translate` with a text, and its text once they are rewritten."""

    def __init__(self, root: Path, path: Path, converter: SentenceConverter) -> None:
        self.path, self.name = path, path.relative_to(root).as_posix()
        self.text = path.read_text("utf-8")
        self.found: list[tuple[ast.expr, Tree]] = []
        self.inside: set[int] = set()
        parsed = ast.parse(self.text)
        if not any(isinstance(each, ast.ImportFrom) and each.module == TRANSLATION for each in ast.walk(parsed)):
            self.add_headings(parsed, converter)
            return
        functions: dict[int, ast.AST] = {}
        for each in ast.walk(parsed):
            if isinstance(each, ast.JoinedStr):
                self.inside |= {id(part) for part in ast.walk(each) if isinstance(part, ast.Call)}
            if isinstance(each, ast.FunctionDef):
                functions |= {id(part): each for part in ast.walk(each) if isinstance(part, ast.Call)}
        for call in ast.walk(parsed):
            if not (isinstance(call, ast.Call) and convert.called_name(call) == "translate" and len(call.args) == 1):
                continue
            if not convert._is_text(call.args[0]):
                continue
            converter.function = functions.get(id(call))
            before = len(converter.messages)
            try:
                if any(
                    convert.called_name(each) in ("translate", "gettext", "ngettext") for each in ast.walk(call.args[0])
                ):
                    raise OddError("a text inside a text")
                parts = convert.python_parts(call.args[0])
                tree = converter.cases(parts, parts, self.name)
                if id(call) in self.inside and re.search(r'["\\]', convert.call_source(tree, convert._single)):
                    raise OddError("quotes inside an f-string")
            except OddError as error:
                del converter.messages[before:]
                converter.odd.append(f"{self.name}:{call.lineno}: {error}: {ast.unparse(call)[:160]}")
                continue
            self.found.append((call, tree))
        self.add_headings(parsed, converter)

    def add_headings(self, parsed: ast.Module, converter: SentenceConverter) -> None:
        """Find the headings whose Chinese the patterns hold; others stay as they are."""
        imported = {each.module or "" for each in ast.walk(parsed) if isinstance(each, ast.ImportFrom)}
        if not any(each.startswith("promolift.foundation.pages") for each in imported):
            return
        done: set[int] = set()
        for text, function in headings(parsed):
            inside = {convert.called_name(each) for each in ast.walk(text)}
            if id(text) in done or inside & {"translate", "gettext", "ngettext"}:
                continue
            done.add(id(text))
            converter.function, before = function, len(converter.messages)
            try:
                parts = convert.python_parts(text)
                tree = converter.cases(parts, parts, self.name)
                if any(to_chinese(each.chinese) != each.chinese for each in converter.messages[before:]):
                    raise OddError("translated twice")
                if TRANSLATION not in imported and "translate(" in convert.call_source(tree):
                    raise OddError("translate is not imported")
            except OddError:
                del converter.messages[before:]
                continue
            self.found.append((text, tree))

    def prove(self, call: ast.expr, tree: Tree) -> None:
        """Raise unless a text and what replaces it print the same in both languages."""
        if not isinstance(call, ast.Call):
            call = ast.Call(ast.Name("translate", ast.Load()), [call], [])
        convert.prove(call, tree)


def main(root: Path) -> None:
    """Rewrite all modules of a source tree, and say which calls need a person."""
    converter = SentenceConverter(catalogues.load(root / convert.CATALOGUE))
    sources = sorted((root / "src").rglob("*.py"))
    modules = [SentenceFile(root, path, converter) for path in sources if READ.search(path.read_text("utf-8"))]
    convert.write(root, converter, modules)


if __name__ == "__main__":
    main(Path(sys.argv[1]).resolve())
