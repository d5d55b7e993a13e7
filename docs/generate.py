"""Our own declarations in, the generated pages out. `--check` fails if a page is stale."""

import sys
from importlib.resources import files
from pathlib import Path

import configuration
import polars as pl

from promolift.foundation.settings import read_tsv
from promolift.foundation.tables import schemas
from promolift.foundation.tables.contract import type_name
from promolift.server.ledger.refusals import REFUSALS
from promolift.shop.ingest.cleaning.cleaning_rules import rules_text

DOCS = Path(__file__).parent
NOTE = "Generated from `src/promolift/{}` by `make docs`; edit that file."


def tables_page() -> str:
    """docs/tables.md: every table's columns."""
    lines = ["# Tables", "", NOTE.format("foundation/tables/schemas.tsv"), ""]
    for table in schemas.all_tables():
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


def cleaning_page() -> str:
    """docs/cleaning.md: every rule of the cleaning."""
    head = ["# Cleaning rules", "", NOTE.format("shop/ingest/cleaning/cleaning_rules.py"), ""]
    more = ["Rejected rows are kept in the table `rejected` with their reason; accepted + rejected = read, always.", ""]
    more += [
        "Equal rows: what `promolift init` found out stands as `repeats` in promolift.toml. `lines`, for receipts: "
        "equal lines of one order are the product bought once more. They are a duplicate where every line of the order "
        "stands as often (tables joined by what repeats), and where more than 100 rows lie between (an export that "
        "overlaps); an order of one product needs them next to each other. `duplicates`, for clicks and where lines "
        "have times of their own: only the first is kept. `units`, for days without orders and quantities: all are.",
        "",
    ]
    return "\n".join([*head, *more]) + "\n" + rules_text().rstrip() + "\n"


def glossary_page() -> str:
    """docs/glossary.md: as the package holds it, which agents are given."""
    return files("promolift").joinpath("extensions/agents/glossary.md").read_text(encoding="utf-8")


def errors_page() -> str:
    """docs/errors.md: every error code."""
    lines = ["# Error codes", "", NOTE.format("foundation/error_codes.tsv"), ""]
    lines += [
        "Every error that a person can meet has a stable code. The command line prints it in brackets after the "
        "sentence, the API answers it as `code` in problem+json, and Python has it as `PromoError.code`. Write "
        "programs against the code: sentences improve from release to release.",
        "",
        "| code | meaning | what to do |",
        "| --- | --- | --- |",
    ]
    lines += [
        f"| `{code}` | {meaning} | {remedy} |" for code, meaning, remedy in read_tsv("foundation/error_codes.tsv")
    ]
    lines += ["", "## Refusals by a rule", "", "The server refuses what a rule of an offer or a limit forbids.", ""]
    lines += ["| code | HTTP status | meaning |", "| --- | --- | --- |"]
    lines += [f"| `{code}` | {refusal.status} | {refusal.en} |" for code, refusal in sorted(REFUSALS.items())]
    return "\n".join(lines) + "\n"


PAGES = {
    DOCS / "errors.md": errors_page,
    DOCS / "glossary.md": glossary_page,
    DOCS / "tables.md": tables_page,
    DOCS / "configuration.md": configuration.page,
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
