"""Deterministic pseudo-random numbers from a hash of (seed, row key).

A number depends only on its key, so shards, retries and the order of rows do not change it.
"""

from collections.abc import Iterable, Mapping
from hashlib import blake2b, file_digest, sha256
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic_core import to_json


def hash_int(*parts: object) -> int:
    """Return a 64-bit integer determined by `parts`, the same on every machine and Python version."""
    text = "\x1f".join(map(str, parts))
    return int.from_bytes(blake2b(text.encode(), digest_size=8).digest(), "big")


def hash_unit(*parts: object) -> float:
    """Return a uniform number in [0, 1) determined by `parts` (53 bits)."""
    return (hash_int(*parts) >> 11) / 2.0**53


def hash_units(seed: object, keys: Iterable[object]) -> NDArray[np.float64]:
    """Return one uniform number in [0, 1) per key: `hash_unit(seed, key)` for each."""
    return np.fromiter((hash_unit(seed, key) for key in keys), dtype=np.float64)


def mix_bits(key: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Return the finaliser of SplitMix64 (Steele, Lea & Flood 2014): every bit of the result depends on every bit of
    the key.
    """
    key = (key ^ (key >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    key = (key ^ (key >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return key ^ (key >> np.uint64(31))


def hash_id(prefix: str, *parts: object) -> str:
    """Return a readable id such as `dec_1f0c...`: the prefix and 16 hex digits."""
    return f"{prefix}_{hash_int(*parts):016x}"


def sha256_of(content: str | bytes) -> str:
    """Return the SHA-256 of a text (UTF-8) or of bytes as 64 hex digits."""
    return sha256(content.encode() if isinstance(content, str) else content).hexdigest()


def sha256_of_file(path: Path) -> str:
    """Return the SHA-256 of a file's bytes as 64 hex digits."""
    with path.open("rb") as file:
        return file_digest(file, "sha256").hexdigest()


HASHED_FIELDS = ("action", "actor", "new", "old", "seq", "subject", "ts_ms")  # texts and numbers, in canonical order


def chain_hash(before: str, row: Mapping[str, Any]) -> str:
    """Return the hash of a row (columns HASHED_FIELDS) and of the hash of the row before it."""
    return sha256_of(before.encode() + to_json({name: row[name] for name in HASHED_FIELDS}))


def find_chain_break(rows: Iterable[Mapping[str, Any]]) -> int | None:
    """Return the number of the first row that was changed or whose predecessor is missing; None if the chain holds.

    Rows cut off at the end cannot be seen from the chain alone: keep its last hash elsewhere. Of a row with `masked`
    fields the hash is believed: it is that of the row before it was masked.
    """
    before = ""
    for expected, row in enumerate(rows, start=1):
        if row["seq"] != expected or (not row.get("masked") and row["hash"] != chain_hash(before, row)):
            return expected
        before = row["hash"]
    return None
