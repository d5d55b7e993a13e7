"""List the ISO 4217 currencies with the digits of their minor unit, and the signs that readers know."""

from collections.abc import Mapping

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
