"""Move tests so that their folders mirror src/promolift; modules that several folders import go to tests/support.

python tools/moves/move_tests.py ROOT
"""

import re
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent


def main(root: Path) -> None:
    """Move every file below tests/ as tests.tsv says, and correct the paths that files state relative to themselves."""
    rows = dict(line.split("\t") for line in (HERE / "tests.tsv").read_text("utf-8").splitlines())
    listed = subprocess.run(["git", "-C", str(root), "ls-files", "tests"], check=True, capture_output=True, text=True)
    for old in listed.stdout.split():
        parts = old.split("/")
        folder = "/".join(parts[:2])
        helper = old.endswith(".py") and not parts[-1].startswith(("test_", "conftest"))
        data = parts[-1].startswith(("texts_", "ledger_1_"))
        if (helper and old not in rows) or data:
            new = f"tests/support/{parts[-1]}"
        elif old in rows:
            new = rows[old]
        elif folder in rows:
            new = "/".join([rows[folder], *parts[2:]])
        else:
            continue
        path = root / old
        if old.endswith(".py"):
            path.write_text(with_paths(path.read_text("utf-8"), len(parts), len(new.split("/"))), "utf-8")
        if new != old:
            (root / new).parent.mkdir(parents=True, exist_ok=True)
            subprocess.run(["git", "-C", str(root), "mv", old, new], check=True)


def with_paths(text: str, before: int, after: int) -> str:
    """Return the text for its new depth, without the lines that put other folders of tests on the path."""
    text = re.sub(
        r"^sys\.path\.insert\(0, str\(Path\(__file__\)\.parent(s\[1\])?( / \"\w+\")?\)\).*\n", "", text, flags=re.M
    )
    shift = after - before

    def deeper(match: re.Match[str]) -> str:
        return f"Path(__file__).parents[{int(match.group(1)) + shift}]"

    return re.sub(r"Path\(__file__\)\.parents\[(\d)\]", deeper, text)


if __name__ == "__main__":
    main(Path(sys.argv[1]).resolve())
