"""Randomness that is a hash of (seed, row key): shards, retries and row order change nothing."""

from collections.abc import Iterable
from hashlib import blake2b, file_digest, sha256
from pathlib import Path

import numpy as np
from numpy.typing import NDArray


def hash_int(*parts: object) -> int:
    """A 64-bit integer fixed by `parts`, the same on every machine and Python version."""
    text = "\x1f".join(map(str, parts))
    return int.from_bytes(blake2b(text.encode(), digest_size=8).digest(), "big")


def hash_unit(*parts: object) -> float:
    """A uniform number in [0, 1) fixed by `parts` (53 bits)."""
    return (hash_int(*parts) >> 11) / 2.0**53


def hash_units(seed: object, keys: Iterable[object]) -> NDArray[np.float64]:
    """One uniform number in [0, 1) per key: `hash_unit(seed, key)` for each."""
    return np.fromiter((hash_unit(seed, key) for key in keys), dtype=np.float64)


def mix(key: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """The finaliser of SplitMix64 (Steele, Lea & Flood 2014): every bit of the result hangs on every bit of the key."""
    key = (key ^ (key >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    key = (key ^ (key >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return key ^ (key >> np.uint64(31))


def hash_id(prefix: str, *parts: object) -> str:
    """A readable id such as `dec_1f0c...`: prefix and 16 hex digits."""
    return f"{prefix}_{hash_int(*parts):016x}"


def sha256_of(content: str | bytes) -> str:
    """SHA-256 of a text (UTF-8) or of bytes, as 64 hex digits."""
    return sha256(content.encode() if isinstance(content, str) else content).hexdigest()


def sha256_of_file(path: Path) -> str:
    """SHA-256 of a file's bytes, as 64 hex digits."""
    with path.open("rb") as file:
        return file_digest(file, "sha256").hexdigest()
