"""ISO 4217 currencies: the digits of the minor unit, the sign, and a check of currency codes."""

from collections.abc import Mapping
from difflib import get_close_matches
from typing import Annotated

from pydantic import AfterValidator

from promolift.foundation.errors import ConfigError, SettingError
from promolift.foundation.i18n.lazy_message import gettext_lazy

_CODES = """
    AED AFN ALL AMD ANG AOA ARS AUD AWG AZN BAM BBD BDT BGN BHD BIF BMD BND BOB BRL BSD BTN BWP BYN BZD CAD CDF CHF CLF
    CLP CNY COP CRC CUP CVE CZK DJF DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP GEL GHS GIP GMD GNF GTQ GYD HKD HNL HTG HUF
    IDR ILS INR IQD IRR ISK JMD JOD JPY KES KGS KHR KMF KPW KRW KWD KYD KZT LAK LBP LKR LRD LSL LYD MAD MDL MGA MKD MMK
    MNT MOP MRU MUR MVR MWK MXN MYR MZN NAD NGN NIO NOK NPR NZD OMR PAB PEN PGK PHP PKR PLN PYG QAR RON RSD RUB RWF SAR
    SBD SCR SDG SEK SGD SHP SLE SOS SRD SSP STN SVC SYP SZL THB TJS TMT TND TOP TRY TTD TWD TZS UAH UGX USD UYU UYW
    UZS VED VES VND VUV WST XAF XCD XOF XPF YER ZAR ZMW ZWG
"""
_NOT_TWO = {
    0: "BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX VND VUV XAF XOF XPF",
    3: "BHD IQD JOD KWD LYD OMR TND",
    4: "CLF UYW",
}
CURRENCY_DIGITS: Mapping[str, int] = dict.fromkeys(_CODES.split(), 2) | {
    code: digits for digits, codes in _NOT_TWO.items() for code in codes.split()
}
# What an English reader knows; other currencies are printed with their code.
CURRENCY_SIGNS: Mapping[str, str] = {
    "USD": "$", "EUR": "€", "GBP": "£", "CNY": "¥", "JPY": "¥", "KRW": "₩", "INR": "₹", "VND": "₫", "THB": "฿",
    "PHP": "₱", "ILS": "₪", "NGN": "₦", "RUB": "₽", "TRY": "₺", "UAH": "₴", "KZT": "₸", "CAD": "CA$", "AUD": "A$",
    "NZD": "NZ$", "HKD": "HK$", "SGD": "S$", "TWD": "NT$", "MXN": "MX$", "BRL": "R$",
}  # fmt: skip


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


def unknown_currency(code: str) -> str:
    """Return what is wrong with an unknown currency code, with the nearest known code."""
    near = get_close_matches(code.upper(), CURRENCY_DIGITS, n=1)
    hint = f"did you mean {near[0]}?" if near else "use an ISO 4217 code such as USD, EUR, CNY or JPY"
    return f"not a currency code; {hint}"


def _known_currency(code: str) -> str:
    if code not in CURRENCY_DIGITS:
        raise SettingError("currency_unknown", unknown_currency(code))
    return code


Currency = Annotated[str, AfterValidator(_known_currency)]
