"""Our own declarations in, the generated pages out. `--check` fails if a page is stale."""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import get_args

import polars as pl

from promolift import tables
from promolift.config import Config
from promolift.contract import type_name
from promolift.data import rules_text
from promolift.profile.outlook_tables import OUTLOOK, OUTLOOK_ITEMS
from promolift.settings import Settings

DOCS = Path(__file__).parent
NOTE = "Generated from `src/promolift/{}` by `make docs`; edit that file."


def tables_page() -> str:
    """docs/tables.md: every table's columns."""
    lines = ["# Tables", "", NOTE.format("tables.py` and `profile/outlook_tables.py"), ""]
    for table in (*tables.all_tables(), OUTLOOK, OUTLOOK_ITEMS):
        key = ", ".join(f"`{name}`" for name in table.key) or "none"
        more = " Further columns are kept." if table.open else ""
        lines += [f"## {table.name}", "", f"{table.meaning} Key: {key}.{more}", ""]
        lines += ["| column | type | unit | meaning |", "| --- | --- | --- | --- |"]
        for column in table.columns:
            must = "" if column.required else " (may be missing)"
            lines.append(f"| `{column.name}` | {shown_type(column.dtype)} | {column.unit} | {column.meaning}{must} |")
        lines.append("")
    return "\n".join(lines)


def shown_type(dtype: object) -> str:
    """A column's type; of a list of structs its fields, too."""
    inner = getattr(dtype, "inner", None)
    if isinstance(inner, pl.Struct):
        return f"list of ({', '.join(field.name for field in inner.fields)})"
    return type_name(dtype)  # type: ignore[arg-type]


def configuration_page() -> str:
    """docs/configuration.md: every key of promolift.toml with its default."""
    lines = ["# promolift.toml", "", NOTE.format("config.py` and the settings classes it names"), ""]
    lines += ["An unknown key is an error that names the nearest known one.", ""]
    first: dict[type[Settings], str] = {}
    for path, kind in sections(Config, ""):
        if kind in first:
            lines += [f"## `{path}`", "", f"As `{first[kind]}`.", ""]
            continue
        first[kind] = path
        if path:
            lines += [f"## `{path}`", "", " ".join((kind.__doc__ or "").split()), ""]
        lines += ["| key | default |", "| --- | --- |"]
        for name, field in kind.model_fields.items():
            if nested(field.annotation) is None:
                value = None if field.is_required() else field.get_default(call_default_factory=True)
                lines.append(f"| `{name}` | {'required' if field.is_required() else f'`{shown(value)}`'} |")
        lines.append("")
    return "\n".join(lines)


def sections(kind: type[Settings], path: str, told: set[type] | None = None) -> Iterator[tuple[str, type[Settings]]]:
    """The settings classes of the tree with their place in the file, in order; what lies in each of them only once."""
    told = set() if told is None else told
    if path:
        yield path, kind
    if kind in told:
        return
    told.add(kind)
    for name, field in kind.model_fields.items():
        inner = nested(field.annotation)
        if inner is not None:
            yield from sections(inner, f"{path}.{name}" if path else name, told)


def nested(annotation: object) -> type[Settings] | None:
    """The settings class inside an annotation such as `X`, `X | None` or `tuple[X, ...]`."""
    if isinstance(annotation, type) and issubclass(annotation, Settings):
        return annotation
    return next((found for part in get_args(annotation) if (found := nested(part)) is not None), None)


def shown(value: object) -> str:
    """A default as it would stand in the file."""
    text = "left out" if value is None else str(value).lower() if isinstance(value, bool) else str(value)
    return text.replace("|", "\\|").replace("\n", " ")


def cleaning_page() -> str:
    """docs/cleaning.md: every rule of the cleaning."""
    head = ["# Cleaning rules", "", NOTE.format("data/rules.py"), ""]
    more = ["Rejected rows are kept in the table `rejected` with their reason; accepted + rejected = read, always.", ""]
    return "\n".join([*head, *more]) + "\n" + rules_text().rstrip() + "\n"


PAGES = {
    DOCS / "tables.md": tables_page,
    DOCS / "configuration.md": configuration_page,
    DOCS / "cleaning.md": cleaning_page,
}


def main() -> int:
    """Write the pages, or with --check say which are stale."""
    check, stale = "--check" in sys.argv[1:], []
    for path, page in PAGES.items():
        text = page()
        if check and (not path.exists() or path.read_text(encoding="utf-8") != text):
            stale.append(path.name)
        elif not check:
            path.write_text(text, encoding="utf-8")
    if stale:
        print(f"stale: {', '.join(stale)}; run `make docs`", file=sys.stderr)
    return 1 if stale else 0


if __name__ == "__main__":
    raise SystemExit(main())
