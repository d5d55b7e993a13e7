"""Tell the currency of a shop's money from the signs in its cells, the words of its columns and its customers' country.

Each function returns what the evidence says and decides nothing.
"""

import re
from collections import Counter
from collections.abc import Sequence

import polars as pl

from promolift.foundation.files.column_names import currency_code, normalise_column_name
from promolift.foundation.money import CURRENCY_DIGITS
from promolift.shop.ingest.schema_matching.column_patterns import numbers

COUNTRY_HEADER = re.compile(r"country|land$|pays$|^pais$|paese|nation|国|國|страна|kraj$|ulke$|region$|market$")
EURO = "austria belgium croatia cyprus estonia finland france germany greece ireland italy latvia lithuania luxembourg"
EURO += " malta netherlands portugal slovakia slovenia spain deutschland österreich españa italia nederland at be de es"
EURO += " fi fr gr ie it nl pt"
CURRENCY_BY_COUNTRY = dict.fromkeys(EURO.split(), "EUR") | {
    country: code
    for code, countries in (
        ("USD", "united states,usa,us,united states of america,u.s.a."),
        ("GBP", "united kingdom,uk,great britain,england,gb,scotland,wales"),
        ("INR", "india,in,bharat"), ("BRL", "brazil,brasil,br"), ("JPY", "japan,jp,日本"), ("CNY", "china,cn,中国"),
        ("KRW", "south korea,korea,kr"), ("TRY", "turkey,türkiye,tr"), ("MXN", "mexico,méxico,mx"),
        ("CAD", "canada,ca"), ("AUD", "australia,au"), ("NZD", "new zealand,nz"), ("CHF", "switzerland,schweiz,ch"),
        ("PLN", "poland,polska,pl"), ("SEK", "sweden,sverige,se"), ("NOK", "norway,norge,no"),
        ("DKK", "denmark,danmark,dk"), ("CZK", "czech republic,czechia,cz"), ("HUF", "hungary,hu"),
        ("RUB", "russia,россия,ru"), ("THB", "thailand,th"), ("VND", "vietnam,viet nam,vn"), ("IDR", "indonesia,id"),
        ("MYR", "malaysia,my"), ("SGD", "singapore,sg"), ("PHP", "philippines,ph"), ("PKR", "pakistan,pk"),
        ("ZAR", "south africa,za"), ("NGN", "nigeria,ng"), ("KES", "kenya,ke"), ("AED", "united arab emirates,uae,ae"),
        ("SAR", "saudi arabia,sa"), ("EGP", "egypt,eg"), ("ILS", "israel,il"), ("ARS", "argentina,ar"),
        ("COP", "colombia,co"), ("CLP", "chile,cl"), ("PEN", "peru,pe"),
    )
    for country in countries.split(",")
}  # fmt: skip
# Words of column names that one language alone has; two different ones say the language.
PORTUGUESE = re.compile(r"pedido|cliente|produto|pre[cç]o|quantidade|compra|frete|venda|valor|desconto|pagamento")
ONLY_PORTUGUESE = re.compile(r"produto|preco|quantidade|venda|desconto|frete|pagamento")
# Currencies whose prices are hardly ever whole: amounts without a point may be cents.
PRICED_IN_CENTS = frozenset(
    ["USD", "EUR", "GBP", "AUD", "CAD", "CHF", "NZD", "SGD", "BRL", "PLN", "ILS", "AED", "SAR", "MYR"]
)
CENTS_MEDIAN = 500  # whole amounts below it are no cents of usual baskets
ROUND_SHARE = 0.5  # share of whole amounts that end in 00 above which they are no cents


def currencies_of_cells(values: Sequence[str]) -> Counter[str]:
    """Count the currencies that stand beside the numbers in cells of money, by their sign, code or abbreviation."""
    words = (re.sub(r"[\d\s.,()+'-]", "", value) for value in values)
    codes = (currency_code(word) for word in words if word)
    return Counter(code for code in codes if code in CURRENCY_DIGITS)


def country_currency(sample: pl.DataFrame) -> str | None:
    """The currency of the country in which nearly all rows are, or None."""
    for name in sample.columns:
        if sample.schema[name] != pl.String or "." in name:  # 'geo.country' is where a device was
            continue
        if not COUNTRY_HEADER.search(normalise_column_name(name)):
            continue
        said = sample.get_column(name).drop_nulls().str.strip_chars().str.to_lowercase()
        codes = Counter(CURRENCY_BY_COUNTRY.get(country) for country in said)
        if codes and (code := codes.most_common(1)[0][0]) and codes[code] > 0.9 * codes.total():
            return code
    return None


def speaks_portuguese(names: Sequence[str]) -> bool:
    """Whether at least three columns have Portuguese words, two of them words that Spanish does not have."""
    bare = [normalise_column_name(name) for name in names]
    own = {found[0] for name in bare if (found := ONLY_PORTUGUESE.search(name))}
    return len(own) >= 2 and sum(bool(PORTUGUESE.search(name)) for name in bare) >= 3


def may_be_cents(values: Sequence[str], currency: str) -> bool:
    """Whether amounts are whole numbers as large as cents would be, of a currency with cents, and few end in 00."""
    found = [abs(each) for each in numbers(values) if each]
    if len(found) < 20 or currency not in PRICED_IN_CENTS or any(each != int(each) for each in found):
        return False
    if any(re.search(r"[.,]\d{1,2}\D*$", value) for value in values):  # '5234.00'
        return False
    return sorted(found)[len(found) // 2] >= CENTS_MEDIAN and (
        sum(each % 100 == 0 for each in found) < ROUND_SHARE * len(found)
    )
