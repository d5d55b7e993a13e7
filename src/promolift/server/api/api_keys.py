"""API keys: what each scope may call, how keys are created and looked up, and the rate limit per key.

A key is random and shown once; only its hash is stored, so a lost key cannot be recovered.
"""

import base64
import secrets
from binascii import Error as BadBase64
from time import monotonic
from typing import NamedTuple

from sqlalchemy import Connection

from promolift.foundation.hashing import sha256_of
from promolift.server.ledger.audit_log import AuditAction, append_audit, damaged_record, list_records, put_record
from promolift.server.ledger.field_types import Scope

# A write key may stand in a web page: it can only send events. A decide key stays on the shop's own servers.
SCOPE_GRANTS: dict[Scope, tuple[Scope, ...]] = {
    "write": ("write",), "decide": ("write", "decide"), "admin": ("write", "decide", "admin"),
}  # fmt: skip
EVENT_KINDS = ("track", "identify", "page", "screen")  # have paths of their own: ours, and those of Jitsu's clients
JITSU_PREFIXES = ("/api/s/", "/api/s/s2s/")
EVENT_PATHS = frozenset({"/v1/batch", *(place + kind for place in ("/v1/", *JITSU_PREFIXES) for kind in EVENT_KINDS)})
SNIPPET_PATH = "/promolift.js"  # for web pages
DECIDE_PATHS = frozenset(
    {
        "/v1/decisions",
        "/v1/redemptions",
        "/v1/feedback",
        "/v1/messages",
        "/v1/carts",
        "/v1/prices",
        "/v1/codes:validate",
    }
)
FLAGS_PATH = "/ofrep/v1/evaluate/flags"  # and one flag below it
SIGNED_WEBHOOK_PATH = "/v1/shopify/webhooks"  # by a signature in place of a key
OPEN_PATHS = frozenset({"/health/live", "/health/ready", "/openapi.json", SNIPPET_PATH, SIGNED_WEBHOOK_PATH})


class Key(NamedTuple):
    """An API key: its id (not secret), its scope and its name."""

    key_id: str
    scope: Scope
    name: str


class NewKey(NamedTuple):
    """A new key: its id, and its secret, which is shown once."""

    key_id: str
    secret: str


def required_scope(method: str, path: str) -> Scope | None:
    """Return the scope that a path needs; None for public paths. A path that is not listed needs admin."""
    if path in OPEN_PATHS:
        return None
    if path in EVENT_PATHS:
        return "write"
    decides = path in DECIDE_PATHS or path.partition(":")[0] in DECIDE_PATHS or path.startswith(FLAGS_PATH)
    till = method == "POST" and decides
    return "decide" if till else "admin"


def create_key(db: Connection, scope: Scope, name: str, now_ms: int, actor: str) -> NewKey:
    """Create a key; only the hash of its secret is stored (a plain hash, as the secret is 256 random bits)."""
    key_id, secret = f"key_{secrets.token_hex(6)}", f"pl_{scope}_{secrets.token_urlsafe(32)}"
    put_record(db, "key", key_id, {"hash": sha256_of(secret), "scope": scope, "name": name, "revoked": False}, now_ms)
    append_audit(db, now_ms, AuditAction(actor, "key.create", key_id), None, {"scope": scope})
    return NewKey(key_id, secret)


def create_first_key(db: Connection, now_ms: int) -> str | None:
    """Create the admin key of a new ledger; None if the ledger has keys. It is shown once and cannot be recovered."""
    return None if list_records(db, "key") else create_key(db, "admin", "first admin key", now_ms, "setup").secret


def load_keys(db: Connection) -> dict[str, Key]:
    """Load the valid keys by the hash of their secret."""
    found = {}
    for key_id, body in list_records(db, "key").items():
        try:
            if not body["revoked"]:
                found[body["hash"]] = Key(key_id, body["scope"], body["name"])
        except (KeyError, TypeError):
            raise damaged_record("key", key_id) from None
    return found


def find_key(header: str, keys: dict[str, Key]) -> Key | None:
    """The key of an Authorization header: `Bearer <key>`, or basic with the key as user, as Segment clients do."""
    kind, _, rest = header.partition(" ")
    rest = rest.strip()
    if kind.lower() == "basic":
        try:
            rest = base64.b64decode(rest, validate=True).decode().partition(":")[0]
        except (BadBase64, ValueError):
            return None
    elif kind.lower() != "bearer":
        return None
    return keys.get(sha256_of(rest)) if rest else None


class RateLimiter:
    """A token bucket per key: `burst` requests at once, refilled at `per_second`."""

    def __init__(self, per_second: float, burst: int) -> None:
        """Start full."""
        self.per_second, self.burst = per_second, float(burst)
        self._buckets: dict[str, tuple[float, float]] = {}

    def take(self, name: str) -> float:
        """Seconds to wait until the next request may come; 0 if this one may."""
        now = monotonic()
        tokens, then = self._buckets.get(name, (self.burst, now))
        tokens = min(self.burst, tokens + (now - then) * self.per_second)
        allowed = tokens >= 1
        self._buckets[name] = (tokens - 1 if allowed else tokens, now)
        return 0.0 if allowed else (1 - tokens) / self.per_second
