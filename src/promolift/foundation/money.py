"""Check currency codes and find the digits of their minor unit."""

from difflib import get_close_matches
from typing import Annotated

from pydantic import AfterValidator

from promolift.foundation.errors import ConfigError, SettingError
from promolift.foundation.i18n.currency_codes import CURRENCY_DIGITS as CURRENCY_DIGITS
from promolift.foundation.i18n.currency_codes import CURRENCY_SIGNS as CURRENCY_SIGNS
from promolift.foundation.i18n.lazy_message import LazyMessage, gettext_lazy


def currency_digits(code: str) -> int:
    """Return the digits after the decimal point of an ISO 4217 currency: USD 2, JPY 0, KWD 3. Raises ConfigError for an
    unknown code.
    """
    if code not in CURRENCY_DIGITS:
        raise ConfigError(
            "currency_unknown",
            gettext_lazy(
                "currency = {code}: {unknown_currency}", code=repr(code), unknown_currency=unknown_currency(code)
            ),
        )
    return CURRENCY_DIGITS[code]


def unknown_currency(code: str) -> LazyMessage:
    """Return what is wrong with an unknown currency code, with the nearest known code."""
    near = get_close_matches(code.upper(), CURRENCY_DIGITS, n=1)
    if near:
        return gettext_lazy("not a currency code; did you mean {near}?", near=near[0])
    return gettext_lazy("not a currency code; use an ISO 4217 code such as USD, EUR, CNY or JPY")


def _known_currency(code: str) -> str:
    if code not in CURRENCY_DIGITS:
        raise SettingError("currency_unknown", unknown_currency(code))
    return code


Currency = Annotated[str, AfterValidator(_known_currency)]
