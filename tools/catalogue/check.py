"""Compare the catalogues with the messages in the code: missing, stale, and arguments that a call does not give.

    python tools/catalogue/check.py            fail if the Chinese catalogue lacks a message, or any holds a wrong one
    python tools/catalogue/check.py --update   add missing messages without a translation, and remove stale ones

Only Chinese must be complete: what another language lacks is
shown in English.
"""

import ast
import re
import sys
import tomllib
from collections import defaultdict
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import NamedTuple

from babel.messages.catalog import Catalog, Message
from babel.messages.extract import extract_from_dir
from babel.messages.pofile import read_po, write_po

LOCALES = "src/promolift/foundation/i18n/locale"
COMPLETE = ("zh",)
TABLE = "server/translations.tsv"  # texts by group and key; the group is their context
RULES = "shop/ingest/cleaning/cleaning_rules.tsv"  # table, name of the rule, and more
AUDIENCES = "core/customers/named_audiences.tsv"  # name, query, benefits, who it is, why it is empty
COLUMNS = "foundation/files/column_names.tsv"  # table, role, whether it is needed, what it means, and more
CHANNELS = "core/messages/channels.toml"
SHOWN_SOURCES = ("ny_349a", "pipl_24", "eu_price_30d")  # laws of the notices that the console lists
KEYWORDS = {"gettext": None, "gettext_noop": None, "gettext_lazy": None, "ngettext": (1, 2),
            "ngettext_lazy": (1, 2), "pgettext": ((1, "c"), 2), "pgettext_noop": ((1, "c"), 2)}  # fmt: skip
IN_CONTEXT = ("pgettext", "pgettext_noop")
UNUSED_HEADERS = re.compile(
    r'^"(Project-Id|Report-Msgid|POT-Creation|PO-Revision|Last-Translator|Language-Team|Generated-By).*\n', re.MULTILINE
)
FIELD = re.compile(r"(?<!\{)(?:\{\{)*\{(\w+)\}")


class Call(NamedTuple):
    """A call that looks a message up; `given` are the names of its arguments, None where they are not known."""

    file: str
    one: str
    many: str | None
    context: str | None
    given: frozenset[str] | None


def module_calls(package: Path) -> Iterator[Call]:
    """Find the messages in the modules. Babel reads tokens, and so would miss those inside f-strings."""
    for path in sorted(package.rglob("*.py")):
        text = path.read_text("utf-8")
        for call in ast.walk(ast.parse(text)) if "gettext" in text else ():
            name = getattr(call.func, "id", "") if isinstance(call, ast.Call) else ""
            if not (isinstance(call, ast.Call) and name in KEYWORDS and isinstance(call.args[0], ast.Constant)):
                continue
            texts = [each.value for each in call.args if isinstance(each, ast.Constant)]
            if name in IN_CONTEXT and len(texts) < 2:  # the message stands where it is defined, such as in a table
                continue
            names_given = [each.arg for each in call.keywords]
            known = not name.endswith("_noop") and None not in names_given  # None stands for `**arguments`
            given = frozenset(filter(None, names_given)) if known else None
            context = texts[0] if name in IN_CONTEXT else None
            if name == "ngettext_lazy":  # each of its forms is a message of its own
                file = path.relative_to(package).as_posix()
                yield from (Call(file, each, None, None, given) for each in texts[:2])
                continue
            one, many = texts[name in IN_CONTEXT], texts[1] if name == "ngettext" else None
            yield Call(path.relative_to(package).as_posix(), one, many, context, given)


def template_calls(package: Path) -> Iterator[Call]:
    """Find the messages in the templates."""
    for file, _, message, _, context in extract_from_dir(package, [("**.html", "jinja2")], keywords=KEYWORDS):
        one, many = message if isinstance(message, tuple) else (message, None)
        yield Call(file, one, many, context, None)


def table_calls(package: Path) -> Iterator[Call]:
    """Find the messages that stand in tables: those of the console, names of audiences, cleaning rules and columns,
    and the laws that notices follow.
    """
    for row in (package / AUDIENCES).read_text("utf-8").splitlines() if (package / AUDIENCES).exists() else ():
        if not row.startswith("#"):
            name, _, _, who, empty = row.split("\t")
            yield from (Call(AUDIENCES, text, None, "audience", None) for text in (name, who, empty))
    for row in (package / RULES).read_text("utf-8").splitlines() if (package / RULES).exists() else ():
        if not row.startswith("#"):
            yield Call(RULES, row.split("\t")[1], None, None, None)
    for row in (package / COLUMNS).read_text("utf-8").splitlines() if (package / COLUMNS).exists() else ():
        if not row.startswith("#"):
            yield Call(COLUMNS, row.split("\t")[3], None, None, None)
    if (package / CHANNELS).exists():
        sources = tomllib.loads((package / CHANNELS).read_text("utf-8"))["sources"]
        yield from (Call(CHANNELS, text, None, None, None) for name, text in sources.items() if name in SHOWN_SOURCES)
    path = package / TABLE
    for line in path.read_text("utf-8").splitlines() if path.exists() else ():
        if line and not line.startswith("#"):
            group, _, text = line.split("\t")[:3]
            yield Call(TABLE, text, None, group, None)


def extract(root: Path) -> list[Call]:
    """Find the messages in the code."""
    package = root / "src" / "promolift"
    return [*module_calls(package), *template_calls(package), *table_calls(package)]


def collect(calls: list[Call]) -> Catalog:
    """Return the messages of calls, with the files that use them."""
    found = Catalog()
    for each in calls:
        known = found.get(each.one, each.context)
        if known is not None and known.pluralizable and each.many is None:
            continue
        found.add((each.one, each.many) if each.many else each.one, context=each.context)
        found.get(each.one, each.context).locations.append((each.file, 1))
    for message in found:
        message.locations = sorted({*message.locations})
    return found


def problems(root: Path) -> Iterator[str]:
    """Say what is wrong with each catalogue."""
    calls = extract(root)
    code = collect(calls)
    given: dict[str, list[frozenset[str]]] = defaultdict(list)
    for each in calls:
        if each.given is not None:
            given[each.one].append(each.given)
            if each.given and (unknown := names(each.one) - each.given):
                yield f"{each.file}: {each.one}: the call gives no {', '.join(sorted(unknown))}"
    for file in sorted((root / LOCALES).glob("*/LC_MESSAGES/promolift.po")):
        language, catalogue = file.parts[-3], load(file)
        for message in code:
            known = catalogue.get(message.id[0] if message.pluralizable else message.id, message.context)
            if message.id and known is None and language in COMPLETE:
                yield f"{language}: missing: {message.id}"
            elif known is not None and known.pluralizable != message.pluralizable:
                yield f"{language}: with and without a plural: {message.id}"
        for message in (each for each in catalogue if each.id):
            one = message.id[0] if message.pluralizable else message.id
            translations = message.string if isinstance(message.string, tuple) else (message.string,)
            if code.get(one, message.context) is None:
                yield f"{language}: stale: {one}"
            if not all(translations):
                yield f"{language}: without a translation: {one}"
            may = frozenset.intersection(*given[one]) if one in given else names(one)
            for text in translations:
                if unknown := names(text) - may:
                    yield f"{language}: {one}: the call gives no {', '.join(sorted(unknown))}"


def names(text: str) -> frozenset[str]:
    """Return the names of the arguments in a message."""
    return frozenset(FIELD.findall(text))


def update(root: Path) -> None:
    """Write every catalogue with the messages of the code."""
    code = collect(extract(root))
    for file in sorted((root / LOCALES).glob("*/LC_MESSAGES/promolift.po")):
        before = load(file)
        after = Catalog(locale=file.parts[-3], header_comment=before.header_comment, charset="utf-8", fuzzy=False)
        for message in (each for each in code if each.id):
            known = before.get(message.id[0] if message.pluralizable else message.id, message.context)
            if known is not None or file.parts[-3] in COMPLETE:
                string = known.string if known is not None else ""
                after.add(message.id, string, locations=message.locations, context=message.context)
        store(file, after)


def files_of(message: Message) -> list[str]:
    """Return the files that use a message."""
    return sorted({path for path, _ in message.locations})


def load(file: Path) -> Catalog:
    """Load a catalogue."""
    with file.open("rb") as source:
        return read_po(source, locale=file.parts[-3])


def store(file: Path, catalogue: Catalog) -> None:
    """Write a catalogue, sorted by the files that use its messages."""
    ordered = Catalog(locale=file.parts[-3], header_comment=catalogue.header_comment, charset="utf-8", fuzzy=False)
    for message in sorted((each for each in catalogue if each.id), key=lambda each: (files_of(each)[:1], str(each.id))):
        places = [(path, 1) for path in files_of(message)]
        ordered.add(message.id, message.string, locations=places, context=message.context)
    for message in ordered:
        message.flags.discard("python-format")  # a message may say "95 % interval"
    written = BytesIO()
    write_po(written, ordered, width=118, include_lineno=False)
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(UNUSED_HEADERS.sub("", written.getvalue().decode("utf-8")), "utf-8")


def main(root: Path, arguments: list[str]) -> int:
    """Update the catalogues if asked to, and print what is wrong with them."""
    if "--update" in arguments:
        update(root)
    found = list(problems(root))
    print(*found, sep="\n", end="\n" if found else "")
    return int(bool(found))


if __name__ == "__main__":
    sys.exit(main(Path(__file__).resolve().parents[2], sys.argv[1:]))
