"""A secret that must be kept and read again in; the same as nobody reads it without the work folder's secret key, out.

The text is covered by a stream of SHAKE-256 over the key and a nonce of its own, which is used once: without the key it
says nothing but its length. Whoever can write the ledger can spoil it, not read it.
"""

import base64
import secrets
from hashlib import shake_256

SEALED = "sealed:"
NONCE_BYTES = 16


def seal(key: str, text: str) -> str:
    """The text, sealed."""
    return SEALED + base64.b64encode(_covered(key, secrets.token_bytes(NONCE_BYTES), text.encode())).decode()


def unseal(key: str, sealed: str) -> str:
    """What was sealed; a text that never was comes back as it is (a ledger of an earlier version holds such)."""
    if not sealed.startswith(SEALED):
        return sealed
    whole = base64.b64decode(sealed.removeprefix(SEALED))
    return _covered(key, whole[:NONCE_BYTES], whole[NONCE_BYTES:])[NONCE_BYTES:].decode()


def _covered(key: str, nonce: bytes, text: bytes) -> bytes:
    stream = shake_256(b"promolift seal\n" + key.encode() + b"\n" + nonce).digest(len(text))
    return nonce + bytes(a ^ b for a, b in zip(text, stream, strict=True))
