"""Move the Chinese column of server/translations.tsv to the catalogue; the group of a row is its context.

    python tools/catalogue/convert_table.py ROOT

A second run changes nothing; rows that were added with Chinese since the last run are moved.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
import check as catalogues
import convert


def main(root: Path) -> None:
    """Write the table without Chinese, and the catalogue with it."""
    path = root / "src" / "promolift" / catalogues.TABLE
    rows = [line.split("\t") for line in path.read_text("utf-8").splitlines()]
    messages = [
        convert.Message(row[2], None, row[3], catalogues.TABLE, context=row[0])
        for row in rows
        if len(row) == 4 and not row[0].startswith("#")
    ]
    catalogue = catalogues.load(root / convert.CATALOGUE)
    for each in messages:
        known = catalogue.get(each.one, each.context)
        assert known is None or known.string == each.chinese, each
    if messages:
        convert.store(root / convert.CATALOGUE, messages, catalogue)
    path.write_text("".join("\t".join(row[:3]) + "\n" for row in rows), "utf-8")
    print(f"{len(messages)} messages")


if __name__ == "__main__":
    main(Path(sys.argv[1]).resolve())
