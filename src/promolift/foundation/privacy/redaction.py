"""Remove personal data from text and rows before they are logged, and make pseudonyms of customer ids."""

import hmac
import re
from collections.abc import Mapping
from hashlib import sha256
from typing import Any

from promolift.foundation.errors import ConfigError
from promolift.foundation.i18n.lazy_message import gettext_lazy

# Keys whose value is personal whatever it looks like; compared in lower case without `_`, `-` and spaces.
_NAMES = """
name firstname lastname fullname nickname realname email mail phone mobile tel telephone address street postcode zip
birthday birthdate birth dob age sex gender occupation income idcard idnumber passport openid unionid ip ipaddress
card cardnumber iban password secret token apikey authorization cookie
姓名 手机 手机号 电话 邮箱 地址 生日 年龄 性别 职业 收入 身份证 身份证号
"""
PERSONAL_FIELDS = frozenset(_NAMES.split())
CUSTOMER_ID_FIELDS = frozenset(("customerid", "userid", "anonymousid"))
# Chinese letters count as \w in Python, and a number often follows one directly: so the classes are spelt out.
PATTERNS = (
    ("email", re.compile(r"[\w.+-]+@[\w-]+(?:\.[\w-]+)+")),
    ("secret", re.compile(r"(?<![A-Za-z0-9])(?:bearer\s+|sk-|ghp_|eyJ)[A-Za-z0-9_.~+/=-]{8,}", re.IGNORECASE)),
    (
        "id card",
        re.compile(r"(?<!\d)[1-9]\d{5}(?:18|19|20)\d{2}(?:0[1-9]|1[0-2])(?:[0-2]\d|3[01])\d{3}[\dXx](?![\dXx])"),
    ),
    ("card", re.compile(r"(?<![\d-])\d(?:[ -]?\d){14,18}(?![\d-])")),
    ("phone", re.compile(r"(?<![A-Za-z0-9_+])(?:(?:\+|00)86[ -]?)?1[3-9]\d[ -]?\d{4}[ -]?\d{4}(?!\d)")),
    ("phone", re.compile(r"(?<![A-Za-z0-9_+])\+\d{1,3}(?:[ .()-]{0,2}\d){6,12}(?!\d)")),
    ("phone", re.compile(r"(?<![A-Za-z0-9_-])\(?\d{3}\)?[ .-]\d{3}[ .-]\d{4}(?![A-Za-z0-9_-])")),
    (
        "ip",
        re.compile(
            r"(?<![A-Za-z0-9_.])(?:(?:25[0-5]|2[0-4]\d|1?\d?\d)\.){3}(?:25[0-5]|2[0-4]\d|1?\d?\d)(?![A-Za-z0-9_.])"
        ),
    ),
)


def redact(value: Any) -> Any:
    """Return text, or a row (dict, list, tuple, nested), with its personal parts replaced by `[email]`, `[phone]`,
    `[redacted]`, ...

    Fields with personal names are blanked whole, other texts are searched; numbers and flags elsewhere stay. Customer
    ids become `[customer]`. A best effort for logs, not an anonymisation: names inside free text are not found.
    Redacting twice changes nothing more.
    """
    if isinstance(value, str):
        return _text(value)
    if isinstance(value, Mapping):
        return {_text(str(name)): _field(str(name), item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [redact(item) for item in value]
    return value


def _field(name: str, item: Any) -> Any:
    plain = re.sub(r"[\s_-]", "", name).lower()
    if item is None or plain not in PERSONAL_FIELDS | CUSTOMER_ID_FIELDS:
        return redact(item)
    return "[redacted]" if plain in PERSONAL_FIELDS else "[customer]"


def _text(text: str) -> str:
    for label, pattern in PATTERNS:
        text = pattern.sub(lambda found, label=label: _blank(label, found.group()), text)  # type: ignore[misc]
    return text


def _blank(label: str, found: str) -> str:
    """Card-like numbers must pass Luhn's check, or long product numbers would vanish from the logs."""
    digits = [int(char) for char in found if char.isdigit()]
    if label != "card":
        return f"[{label}]"
    doubled = [2 * d - 9 * (d > 4) if at % 2 else d for at, d in enumerate(reversed(digits))]
    return "[card]" if sum(doubled) % 10 == 0 else found


MIN_KEY_BYTES = 16


def pseudonym(customer_id: str, key: str | bytes) -> str:
    """Return `cus_` and 32 hex digits: HMAC-SHA256 (RFC 2104) cut to 128 bits, the same on every machine.

    Without the key it cannot be found by trying all customer ids, as a plain hash could. A new key cuts the link
    between old and new logs. Raises ConfigError for a key under 16 bytes.
    """
    return f"cus_{hmac.new(secret_bytes(key), customer_id.encode(), sha256).hexdigest()[:32]}"


def secret_bytes(key: str | bytes) -> bytes:
    """Return the key as bytes. Raises ConfigError if it is too short to be a secret."""
    raw = key.encode() if isinstance(key, str) else key
    if len(raw) < MIN_KEY_BYTES:
        what = gettext_lazy("{raw} bytes, needs at least {min_key_bytes}", raw=len(raw), min_key_bytes=MIN_KEY_BYTES)
        raise ConfigError(
            "secret_too_short",
            gettext_lazy(
                "secret key: {what}; make one with `python -c 'import secrets; print(secrets.token_hex(32))'`",
                what=what,
            ),
        )
    return raw
