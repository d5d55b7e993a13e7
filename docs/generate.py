"""Our own declarations in, the generated pages out. `--check` fails if a page is stale."""

import sys
from pathlib import Path

from promolift import tables

DOCS = Path(__file__).parent


def tables_page() -> str:
    """docs/tables.md: every table's columns, from tables.py."""
    lines = ["# Tables", "", "Generated from `src/promolift/tables.py` by `make docs`; edit that file.", ""]
    for table in tables.all_tables():
        key = ", ".join(f"`{name}`" for name in table.key) or "none"
        more = " Further columns are kept." if table.open else ""
        lines += [f"## {table.name}", "", f"{table.meaning} Key: {key}.{more}", ""]
        lines += ["| column | type | unit | meaning |", "| --- | --- | --- | --- |"]
        for column in table.columns:
            must = "" if column.required else " (may be missing)"
            lines.append(f"| `{column.name}` | {column.dtype.__name__} | {column.unit} | {column.meaning}{must} |")
        lines.append("")
    return "\n".join(lines)


PAGES = {DOCS / "tables.md": tables_page}


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
