"""The pool of a model's texts and what a person said of them in; the pool with its verdicts out.

A verdict belongs to the exact words: a text written anew has none. Only `text_id` and `approved` are read back, so that
a spreadsheet may do to the other cells what it likes.
"""

import polars as pl

from promolift.errors import InputError
from promolift.hashing import hash_id

SAID = dict.fromkeys(("yes", "y", "true", "1", "是"), True) | dict.fromkeys(("no", "n", "false", "0", "否"), False)
TEXT = ("label_zh", "label_en", "angle", "benefit", "language", "title", "line")


def with_verdicts(pool: pl.DataFrame, read: pl.DataFrame | None) -> pl.DataFrame:
    """`pool` (see `pool_frame`) with text_id and approved: true, false, or null where nobody has said.

    `read` is a review file as it came back: columns text_id and approved, as text. InputError where a text stands there
    twice with different verdicts, or a verdict is neither yes nor no.
    """
    ids = [hash_id("txt", *row) for row in pool.select(TEXT).iter_rows()]
    named = pool.with_columns(pl.Series("text_id", ids, dtype=pl.String))
    said = _said(read) if read is not None else {}
    verdict = pl.col("text_id").replace_strict(said, default=None, return_dtype=pl.Boolean) if said else pl.lit(None)
    return named.select("text_id", verdict.cast(pl.Boolean).alias("approved"), *pool.columns)


def to_review(pool: pl.DataFrame, read: pl.DataFrame | None) -> pl.DataFrame:
    """The texts for a person to read, those without a verdict first; verdicts on texts of other runs are kept."""
    mine = pool.filter(pl.col("line").is_not_null()).with_columns(
        pl.col("approved").replace_strict({True: "yes", False: "no"}, default="", return_dtype=pl.String)
    )
    rows = mine.select("text_id", "approved", *TEXT, "model")
    if read is not None:
        rows = pl.concat([rows, read.filter(~pl.col("text_id").is_in(rows["text_id"].implode()))], how="diagonal")
    return (
        rows.fill_null("").unique("text_id", keep="first").sort("approved", "label_en", "angle", "language", "text_id")
    )


def _said(read: pl.DataFrame) -> dict[str, bool]:
    if missing := {"text_id", "approved"} - set(read.columns):
        raise InputError(f"review file: columns {sorted(missing)} are missing; it has {read.columns}")
    said: dict[str, bool] = {}
    for number, (text_id, word) in enumerate(read.select("text_id", "approved").iter_rows(), 2):
        word = str(word or "").strip().lower()
        if not word:
            continue
        if word not in SAID:
            raise InputError(f"review file, line {number}: approved = {word!r}; write yes or no, or leave it empty")
        if said.setdefault(text_id, SAID[word]) != SAID[word]:
            raise InputError(f"review file, line {number}: {text_id} is approved in one line and rejected in another")
    return said
