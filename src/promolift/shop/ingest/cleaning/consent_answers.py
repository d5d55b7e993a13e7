"""Recognise columns that say who agreed to be sent offers or who refused, and read the answers, in many languages.

`consent_names.tsv` holds parts of column names: of refusals, of consent, and of what could mean consent if the column
holds few answers. Where yes stands in a column of refusals, the customer refused; a no there is no consent.
"""

import re
import unicodedata

from promolift.foundation.settings import read_tsv
from promolift.foundation.sql import sql_literal
from promolift.shop.configuration.column_mapping import Mapping
from promolift.shop.ingest.cleaning import sql_casts

AGREED_TEXTS = (
    *("opt-in", "opted in", "opted_in", "opt in", "granted", "subscribed", "agreed", "accepts", "accepted", "allowed"),
    *("同意", "đồng ý", "希望する", "許可"),
)
REFUSED_TEXTS = (
    *("opt-out", "opted out", "opted_out", "opt out", "denied", "unsubscribed", "not_subscribed", "not subscribed"),
    *("refused", "declined", "not allowed", "不同意", "拒绝", "希望しない", "拒否", "不可"),
)
YES_TEXTS = (
    *("true", "t", "yes", "y", "1", "1.0", "on", "是", "ja", "j", "oui", "o", "si", "sí", "s", "sim", "tak", "да"),
    *("はい", "예", "네", "可", "evet", "có", "ya", "ano", "igen", *AGREED_TEXTS),
)
NO_TEXTS = (
    *("false", "f", "no", "n", "0", "0.0", "off", "否", "nein", "nee", "non", "não", "nao", "nie", "нет", "いいえ"),
    *("아니요", "hayır", "không", "tidak", "ne", "nem", *REFUSED_TEXTS),
)
UNKNOWN_TEXTS = (
    *("?", "-", "unknown", "not set", "none", "null", "n/a", "pending", "unbekannt", "inconnu", "未知", "不详"),
)


def _names(kind: str) -> re.Pattern[str]:
    rows = read_tsv("shop/ingest/cleaning/consent_names.tsv")
    return re.compile("|".join(parts for each, _, parts in rows if each == kind))


_REFUSAL, _CONSENT, _POSSIBLE, _OTHER = map(_names, ("refusal", "consent", "possible", "other"))


def column_words(name: str) -> str:
    """Return a column's name as it is matched: 'emailOptIn' and 'Email_Opt-In' become 'email opt in'."""
    parted = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", unicodedata.normalize("NFKC", name))
    bare = re.sub("[\u0300-\u036f]", "", unicodedata.normalize("NFD", parted))
    return " ".join(re.split(r"[\s_.,:;|/#!?()\[\]-]+", unicodedata.normalize("NFC", bare).lower())).strip()


def names_refusal(column: str) -> bool:
    """Whether a column's name says that it holds refusals: 'unsubscribed', '退订'."""
    return bool(_REFUSAL.search(column_words(column)))


def names_consent(column: str) -> bool:
    """Whether a column's name says that it holds consent or refusals."""
    words = column_words(column)
    return bool(_REFUSAL.search(words) or _CONSENT.search(words))


def may_name_consent(column: str) -> bool:
    """Whether a column's name could mean consent if the column holds few answers: 'marketing', '推送'."""
    words = column_words(column)
    return bool(_POSSIBLE.search(words)) and not _OTHER.search(words)


def unread_sql(mapping: Mapping, types: dict[str, str]) -> str:
    """SQL for whether a consent column holds what is neither yes, no nor unknown; null where all are empty."""
    known = sql_literal((*YES_TEXTS, *NO_TEXTS, *UNKNOWN_TEXTS))
    names = [name for name in mapping.sources("consent") if not names_refusal(name)]  # a refusal may be a day
    return " or ".join(f"({_answer(name, types)} not in {known})" for name in names) or "false"


def agreed_sql(mapping: Mapping, types: dict[str, str]) -> str:
    """SQL for the consent of a row: false if any consent column says no, true if one says yes, else null.

    What nobody can read is no yes.
    """
    parts = [_one(_answer(name, types), names_refusal(name)) for name in mapping.sources("consent")]
    parts = parts or [_one(f"lower(cast({sql_literal(mapping.constants.get('consent'))} as varchar))", refusals=False)]
    every = ", ".join(parts)
    return parts[0] if len(parts) == 1 else f"case when false in ({every}) then false else coalesce({every}) end"


def _answer(name: str, types: dict[str, str]) -> str:
    return f"lower({sql_casts.text('=' + name, types[name])})"


def _one(answer: str, refusals: bool) -> str:
    """SQL for one column: of consent, or of refusals, where all but a no is a refusal."""
    unknown = sql_literal(UNKNOWN_TEXTS)
    if refusals:
        no = sql_literal((*(each for each in NO_TEXTS if each not in REFUSED_TEXTS), *AGREED_TEXTS))
        return f"case when {answer} not in {no} and {answer} not in {unknown} then false end"
    return f"case when {answer} in {sql_literal(YES_TEXTS)} then true when {answer} not in {unknown} then false end"
