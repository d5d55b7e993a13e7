"""A customer id and a secret key in; a pseudonym out that only the holder of the key can link to the customer."""

import hmac
from hashlib import sha256

from promolift.errors import ConfigError

LEAST_KEY_BYTES = 16


def pseudonym(customer_id: str, key: str | bytes) -> str:
    """`cus_` and 32 hex digits: HMAC-SHA256 (RFC 2104) cut to 128 bits, the same on every machine.

    Without the key it cannot be found by trying all customer ids, as a plain hash could. A new key cuts the link
    between old and new logs. Raises ConfigError for a key under 16 bytes.
    """
    return f"cus_{hmac.new(secret_bytes(key), customer_id.encode(), sha256).hexdigest()[:32]}"


def secret_bytes(key: str | bytes) -> bytes:
    """The key as bytes; ConfigError if it is too short to be a secret."""
    raw = key.encode() if isinstance(key, str) else key
    if len(raw) < LEAST_KEY_BYTES:
        what = f"{len(raw)} bytes, needs at least {LEAST_KEY_BYTES}"
        raise ConfigError(
            f"secret key: {what}; make one with `python -c 'import secrets; print(secrets.token_hex(32))'`"
        )
    return raw
