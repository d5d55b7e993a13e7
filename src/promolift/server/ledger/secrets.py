"""Seal and unseal the secrets that the ledger stores."""

import base64
import secrets
from hashlib import shake_256

SEALED_PREFIX, NONCE_BYTES = "sealed:", 16


def seal(key: str, text: str) -> str:
    """The text, sealed."""
    return SEALED_PREFIX + base64.b64encode(_covered(key, secrets.token_bytes(NONCE_BYTES), text.encode())).decode()


def unseal(key: str, sealed: str) -> str:
    """What was sealed; a text that never was comes back as it is (a ledger of an earlier version holds such)."""
    if not sealed.startswith(SEALED_PREFIX):
        return sealed
    whole = base64.b64decode(sealed.removeprefix(SEALED_PREFIX))
    return _covered(key, whole[:NONCE_BYTES], whole[NONCE_BYTES:])[NONCE_BYTES:].decode()


def _covered(key: str, nonce: bytes, text: bytes) -> bytes:
    stream = shake_256(b"promolift seal\n" + key.encode() + b"\n" + nonce).digest(len(text))
    return nonce + bytes(a ^ b for a, b in zip(text, stream, strict=True))
