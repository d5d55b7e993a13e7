"""Keys and their rates: who may do what, and how often. Keys are random, shown once, and kept only as a hash."""

import base64
import secrets
from binascii import Error as BadBase64
from time import monotonic
from typing import Literal, NamedTuple

from sqlalchemy import Connection

from promolift.hashing import sha256_of
from promolift.store.ledger_audit import Act, audit, every, put

Scope = Literal["write", "decide", "admin"]
# A write key may stand in a web page: it can only send events. A decide key stays on the shop's own servers.
MAY: dict[Scope, frozenset[str]] = {
    "write": frozenset({"write"}),
    "decide": frozenset({"write", "decide"}),
    "admin": frozenset({"write", "decide", "admin"}),
}
EVENT_PATHS = frozenset({"/v1/track", "/v1/identify", "/v1/page", "/v1/screen", "/v1/batch"})
DECIDE_PATHS = frozenset(
    {"/v1/decisions", "/v1/redemptions", "/v1/feedback", "/v1/messages", "/v1/carts", "/v1/prices"}
)
OPEN_PATHS = frozenset({"/health/live", "/health/ready", "/openapi.json"})


class Key(NamedTuple):
    """A known key: its id (which is no secret), what it may do, and its name."""

    key_id: str
    scope: Scope
    name: str


class NewKey(NamedTuple):
    """A key as it is shown once: its id and its secret."""

    key_id: str
    secret: str


def needed(path: str) -> str | None:
    """The right a path needs; None for those open to all. What is not listed needs admin."""
    if path in OPEN_PATHS:
        return None
    if path in EVENT_PATHS:
        return "write"
    return "decide" if path.partition(":")[0] in DECIDE_PATHS else "admin"


def make_key(db: Connection, scope: Scope, name: str, now_ms: int, actor: str) -> NewKey:
    """A new key; only the hash of its secret is kept."""
    key_id, secret = f"key_{secrets.token_hex(6)}", f"pl_{scope}_{secrets.token_urlsafe(32)}"
    put(db, "key", key_id, {"hash": _hash(secret), "scope": scope, "name": name, "revoked": False}, now_ms)
    audit(db, now_ms, Act(actor, "key.create", key_id), None, {"scope": scope})
    return NewKey(key_id, secret)


def first_key(db: Connection, now_ms: int) -> str | None:
    """The admin key of a new ledger, None if it has keys: it is shown once and cannot be found again."""
    return None if every(db, "key") else make_key(db, "admin", "first admin key", now_ms, "setup").secret


def load_keys(db: Connection) -> dict[str, Key]:
    """Valid keys by the hash of their secret."""
    return {
        body["hash"]: Key(key_id, body["scope"], body["name"])
        for key_id, body in every(db, "key").items()
        if not body["revoked"]
    }


def find_key(header: str | None, keys: dict[str, Key]) -> Key | None:
    """The key of an Authorization header: `Bearer <key>`, or basic with the key as user, as Segment clients do."""
    kind, _, rest = (header or "").partition(" ")
    rest = rest.strip()
    if kind.lower() == "basic":
        try:
            rest = base64.b64decode(rest, validate=True).decode().partition(":")[0]
        except (BadBase64, ValueError):
            return None
    elif kind.lower() != "bearer":
        return None
    return keys.get(_hash(rest)) if rest else None


class Rates:
    """A bucket of tokens per key: `burst` at once, refilled at `per_second`."""

    def __init__(self, per_second: float, burst: int) -> None:
        """Start full."""
        self.per_second, self.burst = per_second, float(burst)
        self._buckets: dict[str, tuple[float, float]] = {}

    def take(self, name: str, cost: float = 1.0) -> float:
        """Seconds to wait until the next request may come; 0 if this one may."""
        now = monotonic()
        tokens, then = self._buckets.get(name, (self.burst, now))
        tokens = min(self.burst, tokens + (now - then) * self.per_second)
        allowed = tokens >= cost
        self._buckets[name] = (tokens - cost if allowed else tokens, now)
        return 0.0 if allowed else (cost - tokens) / self.per_second


def _hash(secret: str) -> str:
    """A plain hash suffices: the secrets are 256 random bits, not words that people choose."""
    return sha256_of(secret)
