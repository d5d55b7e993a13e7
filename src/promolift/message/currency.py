"""Minor units and a currency code in, an amount as people print it out; ISO 4217's decimals for writer and reader.

Babel would do the same with 10 MB of data; a shop needs one currency at a time, so a small table and one plain rule
for every other ISO code are enough.
"""

from decimal import Decimal

from promolift.terms import Language

# ISO 4217 active codes; the exponent is 2 unless listed below.
_CODES = """
    AED AFN ALL AMD AOA ARS AUD AWG AZN BAM BBD BDT BGN BHD BIF BMD BND BOB BRL BSD BTN BWP BYN BZD CAD CDF CHF CLF
    CLP CNY COP CRC CUP CVE CZK DJF DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP GEL GHS GIP GMD GNF GTQ GYD HKD HNL HTG HUF
    IDR ILS INR IQD IRR ISK JMD JOD JPY KES KGS KHR KMF KPW KRW KWD KYD KZT LAK LBP LKR LRD LSL LYD MAD MDL MGA MKD MMK
    MNT MOP MRU MUR MVR MWK MXN MYR MZN NAD NGN NIO NOK NPR NZD OMR PAB PEN PGK PHP PKR PLN PYG QAR RON RSD RUB RWF SAR
    SBD SCR SDG SEK SGD SHP SLE SOS SRD SSP STN SVC SYP SZL THB TJS TMT TND TOP TRY TTD TWD TZS UAH UGX USD UYU UYW UZS
    VED VES VND VUV WST XAF XCD XOF XPF YER ZAR ZMW ZWG
"""
ISO_CODES = frozenset(_CODES.split())
_WITHOUT_DECIMALS = "BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX VND VUV XAF XOF XPF"
_WITH_THREE = "BHD IQD JOD KWD LYD OMR TND"
_EXPONENTS = {
    **dict.fromkeys(_WITHOUT_DECIMALS.split(), 0),
    **dict.fromkeys(_WITH_THREE.split(), 3),
    **dict.fromkeys(("CLF", "UYW"), 4),
}
# Signs an English reader of that shop knows; others are printed with the code: "CHF 1,234.50".
_SIGNS = {
    "USD": "$", "EUR": "€", "GBP": "£", "CNY": "¥", "JPY": "¥", "KRW": "₩", "INR": "₹", "VND": "₫", "THB": "฿",
    "PHP": "₱", "ILS": "₪", "NGN": "₦", "RUB": "₽", "TRY": "₺", "UAH": "₴", "CAD": "CA$", "AUD": "A$", "NZD": "NZ$",
    "HKD": "HK$", "SGD": "S$", "TWD": "NT$", "MXN": "MX$", "BRL": "R$",
}  # fmt: skip
# The unit's Chinese name stands after the number; others take the code: "1,234.50 CLP".
_UNITS_ZH = {
    "CNY": "元", "USD": "美元", "EUR": "欧元", "GBP": "英镑", "JPY": "日元", "KRW": "韩元", "INR": "印度卢比",
    "VND": "越南盾", "THB": "泰铢", "PHP": "菲律宾比索", "RUB": "卢布", "CAD": "加元", "AUD": "澳元", "NZD": "新西兰元",
    "HKD": "港元", "MOP": "澳门元", "SGD": "新加坡元", "TWD": "新台币", "MYR": "林吉特", "IDR": "印尼盾",
    "CHF": "瑞士法郎", "SEK": "瑞典克朗", "NOK": "挪威克朗", "DKK": "丹麦克朗", "MXN": "墨西哥比索", "BRL": "雷亚尔",
}  # fmt: skip


def exponent(currency: str) -> int:
    """How many decimals the currency's minor unit has (ISO 4217): 2 for USD, 0 for JPY, 3 for KWD."""
    return _EXPONENTS.get(currency, 2)


def money(cents: int, currency: str, language: Language) -> str:
    """The amount as printed: `$1,234.50`, `¥200`, `CHF 15` in English, `1,234.50元`, `30美元` in Chinese.

    `cents` is in minor units; a whole amount has no decimals.
    """
    number = _number(cents, exponent(currency))
    if language == "zh":
        unit = _UNITS_ZH.get(currency)
        return f"{number}{unit}" if unit else f"{number} {currency}"
    sign = _SIGNS.get(currency)
    return f"{sign}{number}" if sign else f"{currency} {number}"


def _number(cents: int, decimals: int) -> str:
    value = Decimal(cents).scaleb(-decimals)
    return f"{value:,.0f}" if value == value.to_integral_value() else f"{value:,.{decimals}f}"
