"""Derive a coupon code from campaign, customer, offer and a secret; people can type it, nobody can guess it.

A code is 11 symbols of 5 bits and a check symbol, as `K7QM-W3XP-9D2H`. The alphabet has no 0, O, 1 and I.
"""

import hmac
import json
import unicodedata
from collections.abc import Callable, Iterable
from hashlib import sha256
from typing import NamedTuple

from promolift.foundation.errors import InputError
from promolift.foundation.i18n.lazy_message import gettext_lazy
from promolift.foundation.privacy.redaction import secret_bytes

ALPHABET = "23456789ABCDEFGHJKLMNPQRSTUVWXYZ"
BODY_LENGTH, GROUP_LENGTH = 11, 4


class CodeKey(NamedTuple):
    """What a code is made for."""

    campaign_id: str
    customer_id: str
    offer_id: str


def coupon_code(campaign_id: str, customer_id: str, offer_id: str, secret: str | bytes, attempt: int = 0) -> str:
    """The customer's code for the offer: 55 bits of HMAC-SHA256, the same on every machine.

    With a million codes given out, one guess in 36 thousand million hits one. `attempt` gives another code for the
    same key, for the rare collision. Raises ConfigError for a secret under 16 bytes.
    """
    text = json.dumps([campaign_id, customer_id, offer_id, attempt])  # a list, so that no two keys share a text
    number = int.from_bytes(hmac.new(secret_bytes(secret), text.encode(), sha256).digest()[:8], "big")
    body = [number >> 5 * at & 31 for at in range(BODY_LENGTH)]
    symbols = "".join(ALPHABET[n] for n in [*body, _check(body)])
    return "-".join(symbols[at : at + GROUP_LENGTH] for at in range(0, BODY_LENGTH + 1, GROUP_LENGTH))


def normalise_code(typed: str) -> str | None:
    """The code as it was printed, from what a person typed in any case, spacing and width; None if it cannot be one.

    Every single wrong symbol and every swap of two different symbols is noticed.
    """
    plain = "".join(char for char in unicodedata.normalize("NFKC", typed).upper() if char.isalnum())
    if len(plain) != BODY_LENGTH + 1 or any(char not in ALPHABET for char in plain):
        return None
    numbers = [ALPHABET.index(char) for char in plain]
    if _check(numbers[:-1]) != numbers[-1]:
        return None
    return "-".join(plain[at : at + GROUP_LENGTH] for at in range(0, BODY_LENGTH + 1, GROUP_LENGTH))


def unique_codes(
    keys: Iterable[CodeKey], secret: str | bytes, make: Callable[..., str] = coupon_code
) -> dict[CodeKey, str]:
    """A code per key, no two equal; where two collide, the later key in sorted order gets its next attempt.

    The same for any order of keys. Among a million keys the probability of any collision is about 1 in 70,000.
    Raises InputError if eight attempts do not find a free code: then the code space is too small.
    """
    owner: dict[str, CodeKey] = {}
    for key in sorted(set(keys)):
        tries = (make(*key, secret, attempt) for attempt in range(8))
        free = next((made for made in tries if made not in owner), None)
        if free is None:
            raise InputError(
                "code_space_full",
                gettext_lazy("codes: no free code for {key} after 8 attempts; the code space is too small", key=key),
            )
        owner[free] = key
    return {key: made for made, key in owner.items()}


def _check(body: list[int]) -> int:
    """Sum of symbol times x to the power of its position in the field of 32 elements (x^5 + x^2 + 1).

    The weights are all different and none is 0, and the check symbol's own is 1: hence one wrong symbol and any swap
    changes the sum.
    """
    total = 0
    for symbol in body:
        total = _times_x(total ^ symbol)
    return total


def _times_x(value: int) -> int:
    doubled = value << 1
    return doubled ^ 0b100101 if doubled & 32 else doubled
