"""Suppress small counts by group that would disclose facts about single customers."""

from collections.abc import Sequence

import polars as pl


def small_cells(counts: Sequence[int | None], least: int, total: int | None = None) -> list[bool]:
    """Which of some numbers to leave out: those below `least`, and what would give them away. 0 and unknown ones stay.

    The groups are parts of one whole whose number is known, unless `total` is given: then they may overlap, and a group
    goes, too, whose rest of `total` is below `least`. Of parts at least two go, with `least` customers together, since
    one alone is the whole less the others (complementary suppression).
    """
    known = [n or 0 for n in counts]
    if total is not None:
        return [0 < n < least or 0 < total - n < least for n in known]
    gone = [0 < n < least for n in known]
    for _, place in sorted((n, place) for place, n in enumerate(known) if n >= least):
        hidden = [n for n, out in zip(known, gone, strict=True) if out]
        if not hidden or (len(hidden) > 1 and sum(hidden) >= least):
            break
        gone[place] = True
    return gone


def merge_small_cells(rows: pl.DataFrame, column: str, least: int) -> pl.DataFrame:
    """Parts of one whole, with those too small to be printed as one last row of their sums; its texts are null.

    `column` has the numbers of customers.
    """
    small = pl.Series(small_cells(rows[column].to_list(), least), dtype=pl.Boolean)
    if not small.any():
        return rows
    sums = [
        pl.col(name).sum() if kind.is_numeric() else pl.lit(None, kind).alias(name)
        for name, kind in rows.schema.items()
    ]
    return pl.concat([rows.filter(~small), rows.filter(small).select(sums).select(rows.columns)])
