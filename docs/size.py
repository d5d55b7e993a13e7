"""Compare the lines of Python in each package with docs/size.toml, which says what every raise gave to a user."""

import sys
import tomllib
from collections import Counter
from pathlib import Path

ROOT = Path(__file__).parents[1]
LEDGER = ROOT / "docs" / "size.toml"


def lines_by_package() -> Counter[str]:
    """Return the lines of Python by package; each extension counts for itself."""
    source = ROOT / "src" / "promolift"
    found: Counter[str] = Counter()
    for path in source.rglob("*.py"):
        parts = path.relative_to(source).parts
        depth = 2 if parts[0] == "extensions" and len(parts) > 2 else 1
        package = ".".join(parts[:depth]) if len(parts) > 1 else "promolift"
        found[package] += len(path.read_text("utf-8").splitlines())
    return found


def faults(found: Counter[str], ledger: dict[str, dict[str, object]]) -> list[str]:
    """Return a sentence for each package that has more lines than the ledger allows, or that one of both lacks."""
    out = [
        f"{name}: {found[name]:,} lines, {LEDGER.name} allows {row['lines']:,}; delete something, or raise the number "
        "and write in `why` what a user gets for it"
        for name, row in ledger.items() if found[name] > int(str(row["lines"]))
    ]  # fmt: skip
    out += [
        f"{name}: no package of this name; delete its part of {LEDGER.name}" for name in ledger if name not in found
    ]
    out += [f"{name}: has no part in {LEDGER.name}" for name in sorted(found) if name not in ledger]
    return out + [f"{name}: `why` is empty" for name, row in ledger.items() if not str(row.get("why", "")).strip()]


def main() -> int:
    """Print what is wrong; return 1 if something is."""
    ledger = tomllib.loads(LEDGER.read_text("utf-8"))["package"]
    wrong = faults(lines_by_package(), ledger)
    for line in wrong:
        print(line, file=sys.stderr)
    return 1 if wrong else 0


if __name__ == "__main__":
    raise SystemExit(main())
