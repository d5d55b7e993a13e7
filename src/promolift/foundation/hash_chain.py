"""Rows of the audit log in; whether each follows from the one before by its hash, out. Needs no database."""

from collections.abc import Iterable, Mapping
from typing import Any

from pydantic_core import to_json

from promolift.foundation.hashing import sha256_of

HASHED = ("action", "actor", "new", "old", "seq", "subject", "ts_ms")  # texts and numbers, in canonical order


def link(before: str, row: Mapping[str, Any]) -> str:
    """The hash of a row, of which the columns HASHED count, and of the hash before."""
    return sha256_of(before.encode() + to_json({name: row[name] for name in HASHED}))


def chain_break(rows: Iterable[Mapping[str, Any]]) -> int | None:
    """The number of the first row that was changed, or that a row before it is missing of; None if all hold.

    Rows cut off at the end cannot be seen from the chain alone: keep its last hash elsewhere.
    """
    before = ""
    for expected, row in enumerate(rows, start=1):
        if row["seq"] != expected or row["hash"] != link(before, row):
            return expected
        before = row["hash"]
    return None
