"""Room 2's SQL helper: a statement with named parameters and its values in, the statement with literals out.

A DuckDB relation can run a statement over itself (`relation.query`) and finds other relations and frames by the names
of the calling function's variables, but takes no parameters; so `bind` writes the few numbers and names in.
"""

import re
from collections.abc import Sequence

Value = int | float | str | Sequence[str]
DAY_MS = 86_400_000
WEEK_MS = 7 * DAY_MS


def bind(sql: str, **values: Value) -> str:
    """`sql` with every `$name` replaced by its value as an SQL literal.

    Raises KeyError for a name without a value: a fault of ours, never of the data.
    """
    return re.sub(r"\$(\w+)", lambda match: literal(values[match[1]]), sql)


def literal(value: Value) -> str:
    """One value as an SQL literal; quotes inside text are doubled, a sequence of texts becomes a list."""
    if isinstance(value, str):
        return "'" + value.replace("'", "''") + "'"
    if isinstance(value, int | float):
        return f"{value!r}::{'bigint' if isinstance(value, int) else 'double'}"  # 84 days in ms overflow an int32
    return "[" + ", ".join(literal(str(item)) for item in value) + "]::varchar[]"
