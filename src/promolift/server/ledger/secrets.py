"""Seal and unseal the secrets that the ledger stores: AES-256-GCM, its key by HKDF-SHA256 from the server's secret."""

import base64
import secrets
from functools import lru_cache
from hashlib import shake_256

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from promolift.foundation.i18n.lazy_message import gettext_lazy
from promolift.server.ledger.schema import LedgerError

SEALED_PREFIX = "sealed:"  # of earlier versions: a stream of SHAKE-256, whose changes nobody would notice
AUTHENTICATED_PREFIX = SEALED_PREFIX + "2."  # an earlier version fails on it, and does not sign with it
NONCE_BYTES, OLD_NONCE_BYTES = 12, 16


class SealBrokenError(LedgerError):
    """A sealed text was changed, or sealed with another key."""

    def __init__(self) -> None:
        """It has no other text: nothing of the secret is told."""
        super().__init__(
            "seal_broken",
            gettext_lazy(
                "a secret in the ledger cannot be read: it was changed, or sealed with another server secret; start "
                "with the secret that it was sealed with, or make the webhook or subscription anew"
            ),
        )


def seal(key: str, text: str) -> str:
    """Return the text, sealed: encrypted, and bound to the key by an authentication tag."""
    nonce = secrets.token_bytes(NONCE_BYTES)
    return AUTHENTICATED_PREFIX + base64.b64encode(nonce + _cipher(key).encrypt(nonce, text.encode(), None)).decode()


def unseal(key: str, sealed: str) -> str:
    """Return what was sealed; a text that never was comes back as it is (a ledger of an earlier version holds such).

    Raises SealBrokenError where it was changed, or sealed with another key.
    """
    if not sealed.startswith(SEALED_PREFIX):
        return sealed
    try:
        if not sealed.startswith(AUTHENTICATED_PREFIX):
            return _uncover(key, base64.b64decode(sealed.removeprefix(SEALED_PREFIX), validate=True))
        whole = base64.b64decode(sealed.removeprefix(AUTHENTICATED_PREFIX), validate=True)
        return _cipher(key).decrypt(whole[:NONCE_BYTES], whole[NONCE_BYTES:], None).decode()
    except (InvalidTag, ValueError):
        raise SealBrokenError from None


@lru_cache(maxsize=8)
def _cipher(key: str) -> AESGCM:
    return AESGCM(HKDF(algorithm=SHA256(), length=32, salt=None, info=b"promolift seal 2").derive(key.encode()))


def _uncover(key: str, whole: bytes) -> str:
    nonce, text = whole[:OLD_NONCE_BYTES], whole[OLD_NONCE_BYTES:]
    stream = shake_256(b"promolift seal\n" + key.encode() + b"\n" + nonce).digest(len(text))
    return bytes(a ^ b for a, b in zip(text, stream, strict=True)).decode()
