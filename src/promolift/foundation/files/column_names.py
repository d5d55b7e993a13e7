"""Names that shops give to columns, events, order statuses and currencies, used to recognise the columns of a file."""

import re
import unicodedata
from collections.abc import Sequence
from typing import Literal, NamedTuple

from promolift.foundation.settings import read_tsv
from promolift.foundation.sql import sql_literal

# Parts of an order's status that say the money was not kept, and of one that says nothing against it (RE2 patterns).
CANCELLED_STATUS = (
    "cancel|refund|return|void|fail|declin|reject|unpaid|abandon|revers|chargeback|取消|退货|退款|失败|关闭|未支付"
    "|storn|erstatt|annul|cancelad|rembours|reembols|devol|отмен|возвра|キャンセル|返品|失敗|返金|취소|환불|반품"
    "|i̇?ptal|i̇?ade|hủy|trả hàng|hoàn tiền|batal|anulow|zwro[tc]|zrušen|待付款|待支付|未付款"
    "|awaiting payment|ยกเลิก|คืนเงิน"
)
FULFILLED_STATUS = (
    "complet|deliver|ship|paid|success|approv|captur|settl|confirm|process|receiv|pending|完成|已付|成功|发货|签收"
    "|tamamland|teslim|hoàn thành|selesai|zrealizowan|concluíd|entregue|erledigt|bezahlt|สำเร็จ"
)


# An order of which a part, or nothing, was given back still stands, as 'partially refunded', 'not returned' or
# 'refund denied'.
PARTIAL_STATUS = (
    r"partial(ly)?[ _-]*\w+|部分退\w*|(无|未|没有)(发生|申请)?(退款|退货|售后)"
    r"|\b(not?|never|un)[ _-]?(eligible for )?(refund|return|cancel+)(ed|s|able)?\b|退款关闭"
    r"|non[ _-]?(return|refund)\w*|refund (request )?(was )?(denied|rejected|declined)|return window\w*"
    r"|(return|refund)\w*: ?(no|none|false)\b"
)


def normalise_event_name(word: str) -> str:
    """Return an event name in the form in which it is looked up: 'Add_To-Cart' becomes 'add to cart'. `EVENT_NAME_SQL`
    is the same in SQL.
    """
    return word.strip().lower().replace("_", " ").replace("-", " ")


EVENT_NAME_SQL = "replace(replace(lower(trim({0})), '_', ' '), '-', ' ')"
# What event logs call each kind of event, in one and in several.
KIND_BY_EVENT_NAME: dict[str, str] = {
    form: kind
    for kind, words in read_tsv("foundation/files/event_names.tsv")
    for word in words.split(", ")
    for form in (f"{word}s", word)
}
_ACCENTS = re.compile("[\u0300-\u036f]")


def normalise_column_name(name: str) -> str:
    """Return a column name without capitals, signs and accents: 'Customer ID', 'customerId' and 'CUSTOMER_ID' become
    'customerid', 'Código' becomes 'codigo'. Text in brackets is dropped.
    """
    bare = re.sub(r"[\W_ºª]+", "", re.sub(r"[(\[（].*?[)\]）]", "", name)).lower()
    return unicodedata.normalize("NFC", _ACCENTS.sub("", unicodedata.normalize("NFD", bare)))


# Column names per role, without capitals and signs: 'Customer ID' is 'customerid'. Where tables other than the events
# have names of their own for a role, it is called by the table, too: 'products.name'.
_KNOWN = [
    (table, role, tuple(dict.fromkeys(map(normalise_column_name, names.split()))))
    for table, role, _, _, names in read_tsv("foundation/files/column_names.tsv")
    if names
]
COLUMN_SYNONYMS: dict[str, tuple[str, ...]] = {
    f"{table}.{role}" if table != "events" and sum(role == each for _, each, _ in _KNOWN) > 1 else role: names
    for table, role, names in _KNOWN
}
FIRST_NAME_COLUMNS = ("first", "firstname", "givenname", "forename", "vorname", "prenom", "primernombre", "imie", "имя")
LAST_NAME_COLUMNS = (
    "last",
    "lastname",
    "surname",
    "familyname",
    "nachname",
    "apellido",
    "apellidos",
    "cognome",
    "nazwisko",
)
# Names that could mean the event, the customer or the product where all three stand in one file.
AMBIGUOUS_WORDS = frozenset(["name", "type", "class", "group", "label", "section", "offer", "promo", "名称", "类型"])
# Parts that exports put before the real name: 'properties.product_id', 'ecommerce_transaction_id', 'traits_age'.
PREFIXES = (
    "properties", "lineitems", "lines", "line", "item", "product", "order", "ecommerce", "items", "lineitem",
    "hitstransaction", "hitsproduct", "hitsitem", "hits",
    "params", "eventparams", "context", "traits", "data", "payload", "fields", "view",
)  # fmt: skip
# Parts under which exports keep what is not of the event itself: 'device.category' is no product's category.
UNRELATED_PREFIXES = (
    "device", "geo", "location", "browser", "os", "useragent", "appinfo", "trafficsource", "userproperties",
    "userltv", "privacyinfo", "eventdimensions", "network", "campaign", "collectedtrafficsource", "totals",
)  # fmt: skip
# Words that join the parts of a name in other languages: 'CPF do cliente', 'Nummer des Kunden'.
_JOINING = "de do da dos das del della dello delle di du des d l la le les el los las der die dem den von vom of the"
STOP_WORDS = frozenset(_JOINING.split())
# Parts that exports put behind it: 'USER_ID_hash'.
IGNORED_SUFFIXES = ("hash", "hashed", "encrypted", "enc", "desc", "masked", "anonymised", "anonymized")
# Words that exports cut short: 'Bill Dt' is a bill's date.
ABBREVIATIONS = {
    **{"cd": "code", "dt": "date", "tm": "time", "chnl": "channel", "cust": "customer", "prod": "product"},
    **{"trx": "transaction", "txn": "transaction", "trans": "transaction", "nbr": "number", "num": "number"},
    **{"ord": "order", "inv": "invoice"},
}
# A date in three columns.
DATE_PARTS = (("year", "yr", "年"), ("month", "mon", "mm", "月"), ("day", "dayofmonth", "dd", "日"))


class Region(NamedTuple):
    """A script of column names, and the likely currency, time zone and language of a shop that uses it."""

    script: re.Pattern[str]
    currency: str
    zone: str
    language_name: str
    language: Literal["zh", "en"] = "en"


SCRIPT_REGIONS = (
    Region(re.compile(r"[\u3040-\u30ff]"), "JPY", "Asia/Tokyo", "Japanese"),
    Region(re.compile(r"[\uac00-\ud7a3]"), "KRW", "Asia/Seoul", "Korean"),
    Region(re.compile("[會員編號單價數時間總額類別購買]"), "TWD", "Asia/Taipei", "traditional Chinese", "zh"),
    Region(re.compile(r"[\u4e00-\u9fff]"), "CNY", "Asia/Shanghai", "Chinese", "zh"),
    Region(re.compile(r"[\u0400-\u04ff]"), "RUB", "Europe/Moscow", "Russian"),
    Region(re.compile(r"[\u0e00-\u0e7f]"), "THB", "Asia/Bangkok", "Thai"),
)
# The same for languages that share the Latin letters, by letters and words that others lack.
LATIN_REGIONS = (
    Region(re.compile(r"[ơưạảấầẩậắằặẹẻẽếềểễệỉịọỏốồổộớờởợụủứừữựỳỹ]"), "VND", "Asia/Ho_Chi_Minh", "Vietnamese"),
    Region(re.compile(r"[ığİŞş]|(?i:müşteri|ürün|sipariş|tutar|adet|fiyat)"), "TRY", "Europe/Istanbul", "Turkish"),
    Region(re.compile(r"[łąęśżź]|(?i:kwota|zamówien|klient|ilość)"), "PLN", "Europe/Warsaw", "Polish"),
    Region(re.compile(r"[ěřů]|(?i:zákazn|objednáv|částk)"), "CZK", "Europe/Prague", "Czech"),
    Region(re.compile(r"kunde|beleg|rechnung|bestell|menge|artikel|betrag|umsatz|waren|mwst|datum$", re.I), "EUR",
         "Europe/Berlin", "German"),
    Region(re.compile(r"montant|quantit[eé]|libell[eé]|commande|achat|numéro|prix|remise|ttc", re.I), "EUR",
         "Europe/Paris", "French"),
    Region(re.compile(r"pelanggan|harga|jumlah|barang|tanggal|pesanan", re.I), "IDR", "Asia/Jakarta", "Indonesian"),
)  # fmt: skip
# Malay shares most of its words with Indonesian.
MALAY_WORDS = re.compile("tarikh|kuantiti|amaun|diskaun|ringgit", re.I)
# Where a shop of a currency is, if its times say no zone; left out are those of lands with clocks far apart.
ZONE_BY_CURRENCY = {
    code: zone
    for zone, codes in (
        *(("Europe/London", "GBP"), ("America/Sao_Paulo", "BRL"), ("Asia/Kolkata", "INR"), ("Asia/Tokyo", "JPY")),
        *(("Asia/Seoul", "KRW"), ("Asia/Shanghai", "CNY"), ("Asia/Taipei", "TWD"), ("Asia/Hong_Kong", "HKD")),
        *(("Asia/Singapore", "SGD MYR"), ("Asia/Bangkok", "THB VND"), ("Asia/Manila", "PHP"), ("Asia/Dubai", "AED")),
        *(("Europe/Istanbul", "TRY"), ("Europe/Warsaw", "PLN"), ("Europe/Prague", "CZK"), ("Europe/Budapest", "HUF")),
        *(("Europe/Stockholm", "SEK"), ("Europe/Oslo", "NOK"), ("Europe/Copenhagen", "DKK"), ("Europe/Zurich", "CHF")),
        *(("Europe/Bucharest", "RON"), ("Asia/Jerusalem", "ILS"), ("Africa/Nairobi", "KES"), ("Africa/Lagos", "NGN")),
        *(("Africa/Johannesburg", "ZAR"), ("Asia/Karachi", "PKR"), ("Pacific/Auckland", "NZD")),
    )
    for code in codes.split()
}  # fmt: skip


def guess_region(names: Sequence[str]) -> Region | None:
    """Return the likely region of a shop if at least half of its column names are in a script of their own, or enough
    of them in one language; else None.
    """
    own = [name for name in names if any(home.script.search(name) for home in SCRIPT_REGIONS)]
    found = next((home for home in SCRIPT_REGIONS if any(map(home.script.search, own))), None)
    if found and len(own) >= 0.5 * len(names):
        return found
    spoken = {home: [said[0].lower() for name in names if (said := home.script.search(name))] for home in LATIN_REGIONS}
    latin, words = max(spoken.items(), key=lambda each: len(each[1]))
    if len(words) < max(3, 0.25 * len(names)) or len({*words}) < 2:  # one word alone may be a neighbour's, too
        return None
    return None if latin.language_name == "Indonesian" and any(map(MALAY_WORDS.search, names)) else latin


CURRENCY_SYMBOLS = {
    "£": "GBP", "€": "EUR", "₹": "INR", "₩": "KRW", "₽": "RUB", "元": "CNY",
    "円": "JPY", "R$": "BRL", "฿": "THB", "₫": "VND", "₺": "TRY", "₦": "NGN", "₱": "PHP", "₪": "ILS", "₴": "UAH",
    "zł": "PLN", "Kč": "CZK", "Rs": "INR", "TL": "TRY", "Rp": "IDR", "KSh": "KES", "VNĐ": "VND",
}  # fmt: skip
AMBIGUOUS_CURRENCY_SYMBOLS = {"$": "USD", "¥": "CNY", "￥": "CNY"}
# What people write for a currency instead of its code.
CURRENCY_WORDS = {
    "RMB": "CNY", "CNH": "CNY", "人民币": "CNY", "YUAN": "CNY", "US$": "USD", "US DOLLAR": "USD", "EURO": "EUR",
    "EUROS": "EUR", "STG": "GBP", "NTD": "TWD", "NT$": "TWD", "HK$": "HKD", "港币": "HKD", "美元": "USD", "日元": "JPY",
    "LEI": "RON", "LEU": "RON",
    "欧元": "EUR", **{sign.upper(): code for sign, code in CURRENCY_SYMBOLS.items()}, **AMBIGUOUS_CURRENCY_SYMBOLS,
}  # fmt: skip


def currency_code(text: str) -> str:
    """Return the currency code of a cell, or the cell in capitals. `currency_sql` is the same in SQL."""
    said = text.strip().upper()
    return CURRENCY_WORDS.get(said, said)


def currency_sql(text: str) -> str:
    """Return SQL for `currency_code` of a text."""
    cases = " ".join(f"when {sql_literal(word)} then {sql_literal(code)}" for word, code in CURRENCY_WORDS.items())
    return f"(case upper({text}) {cases} else upper({text}) end)"


MINOR_UNIT_SUFFIXES = ("cents", "minor", "fen", "pence", "_分")
