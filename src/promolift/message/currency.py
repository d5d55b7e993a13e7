"""Minor units and a currency code in, an amount as people print it in either language out.

Babel would do the same with 10 MB of data; a shop needs one currency at a time, so a small table and one plain rule
for every other ISO code are enough.
"""

from decimal import Decimal

from promolift.currency import CURRENCY_DIGITS, SIGNS
from promolift.terms import Language

# The unit's Chinese name stands after the number; others take the code: "1,234.50 CLP".
_UNITS_ZH = {
    "CNY": "元", "USD": "美元", "EUR": "欧元", "GBP": "英镑", "JPY": "日元", "KRW": "韩元", "INR": "印度卢比",
    "VND": "越南盾", "THB": "泰铢", "PHP": "菲律宾比索", "RUB": "卢布", "CAD": "加元", "AUD": "澳元", "NZD": "新西兰元",
    "HKD": "港元", "MOP": "澳门元", "SGD": "新加坡元", "TWD": "新台币", "MYR": "林吉特", "IDR": "印尼盾",
    "CHF": "瑞士法郎", "SEK": "瑞典克朗", "NOK": "挪威克朗", "DKK": "丹麦克朗", "MXN": "墨西哥比索", "BRL": "雷亚尔",
}  # fmt: skip


def money(cents: int, currency: str, language: Language) -> str:
    """The amount as printed: `$1,234.50`, `¥200`, `CHF 15` in English, `1,234.50元`, `30美元` in Chinese.

    `cents` is in minor units; a whole amount has no decimals.
    """
    number = _number(cents, CURRENCY_DIGITS.get(currency, 2))
    if language == "zh":
        unit = _UNITS_ZH.get(currency)
        return f"{number}{unit}" if unit else f"{number} {currency}"
    sign = SIGNS.get(currency)
    return f"{sign}{number}" if sign else f"{currency} {number}"


def _number(cents: int, decimals: int) -> str:
    value = Decimal(cents).scaleb(-decimals)
    return f"{value:,.0f}" if value == value.to_integral_value() else f"{value:,.{decimals}f}"
