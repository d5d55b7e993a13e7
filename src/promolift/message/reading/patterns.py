"""Lists of alternatives in, one regular expression out: the form in which every list of cues and words is kept."""

import re


def any_of(lines: str, *, head: str = "", tail: str = "") -> re.Pattern[str]:
    """Match any alternative of `lines`, between `head` and `tail`, in capitals or not.

    A line holds one alternative or several, parted by `|`. A line that is indented further than the first one goes on
    with the alternative before it.
    """
    rows = [line for line in lines.splitlines() if line.strip()]
    margin = len(rows[0]) - len(rows[0].lstrip())
    parts: list[str] = []
    for row in rows:
        deeper = len(row) - len(row.lstrip()) > margin
        parts = [*parts[:-1], parts[-1] + row.strip()] if deeper else [*parts, row.strip()]
    return re.compile(f"{head}(?:{'|'.join(parts)}){tail}", re.IGNORECASE)
