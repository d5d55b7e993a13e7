"""Recognise columns that say who agreed to be sent offers or who refused, and read the answers, in many languages.

`consent_names.tsv` holds parts of column names: of refusals, of consent, and of what could mean consent if the column
holds few answers; a name of consent with a word of withdrawal is one of refusals. Where yes stands in a column of
refusals, the customer refused; a no there is no consent.
"""

import re
import unicodedata
from collections.abc import Collection

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
    *("stop", "stopp", "stop all", "unsub", "退订", "退訂", "配信停止", "不要", "수신거부"),
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


def _parts(kind: str) -> str:
    rows = read_tsv("shop/ingest/cleaning/consent_names.tsv")
    return "|".join(parts for each, _, parts in rows if each == kind)


_REFUSAL, _CONSENT, _POSSIBLE, _OTHER, _WHEN, _ATTRIBUTE, _REMARK = (
    re.compile(_parts(kind)) for kind in ("refusal", "consent", "possible", "other", "when", "attribute", "remark")
)
OTHER_CHANNEL = re.compile(_parts("channel"))
_WITHDRAWN = re.compile(f"({_parts('kept')})?({_parts('withdrawn')})")
_NEGATED = re.compile(_parts("kept"))
_LINK = re.compile(r"\b(url|link|token)$")
REFUSING_TAG = _parts("tag").replace(" ", "[ _-]")  # within an answer in lower case: 'vip, no-marketing'


def column_words(name: str) -> str:
    """Return a column's name as it is matched: 'emailOptIn' and 'Email_Opt-In' become 'email opt in'."""
    parted = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", unicodedata.normalize("NFKC", name))
    bare = re.sub("[\u0300-\u036f]", "", unicodedata.normalize("NFD", parted))
    return " ".join(re.split(r"[\s_.,:;|/#!?()\[\]-]+", unicodedata.normalize("NFC", bare).lower())).strip()


def says_refusal(name: str) -> bool:
    """Whether a name of an event, trait or column says that somebody refused: 'SMS Opt-Out', '退订', 'no_consent'.

    Consent is not kept by channel, so a refusal of one channel counts as a refusal of all messages.
    """
    words = column_words(name)
    if _REFUSAL.search(words):
        return True
    withdrawn, about = _WITHDRAWN.search(words), _CONSENT.search(words)
    if withdrawn:
        return not withdrawn[1] and bool(about or may_name_consent(name))
    return bool(about and _NEGATED.search(words))


def names_refusal(column: str) -> bool:
    """Whether a column or trait holds refusals by its name: 'consent_revoked', '退订', not 'unsubscribe_url'."""
    return says_refusal(column) and not _LINK.search(column_words(column))


def names_link(name: str) -> bool:
    """Whether a name ends in what leads somewhere, such as 'unsubscribe_url': it holds no answer."""
    return bool(_LINK.search(column_words(name)))


def names_consent(column: str) -> bool:
    """Whether a column's name says that it holds consent or refusals."""
    return names_refusal(column) or bool(_CONSENT.search(column_words(column)))


def may_name_consent(column: str) -> bool:
    """Whether a column's name could mean consent if the column holds few answers: 'marketing', '推送'."""
    words = column_words(column)
    return bool(_POSSIBLE.search(words)) and not _OTHER.search(words)


def names_attribute(column: str) -> bool:
    """Whether a column's name says what of the customer it holds that is no consent: 'city', 'Nachname', '职业'."""
    return bool(_ATTRIBUTE.search(column_words(column))) and not names_remarks(column)


def names_remarks(column: str) -> bool:
    """Whether a column holds remarks by its name, in which anything may stand: 'notes', 'Bemerkung', '备注'."""
    return bool(_REMARK.search(column_words(column)))


def names_contact(name: str) -> bool:
    """Return whether a name speaks of consent or of being written to: 'newsletter', not 'withdrawal' or 'blocked'."""
    return bool(_CONSENT.search(column_words(name))) or may_name_consent(name)


def is_other_channel(name: str) -> bool:
    """Whether a name of consent is about another channel than e-mail: 'sms_opt_in', 'Accepts SMS Marketing'."""
    return bool(OTHER_CHANNEL.search(column_words(name)))


def refusing_only(names: Collection[str]) -> set[str]:
    """Return the names of consent of which a no counts and a yes does not: those of another channel than e-mail ('SMS
    consent'), unless all are of such a channel.
    """
    others = {name for name in names if is_other_channel(name)}
    return others if others != {*names} else set()


def names_what_else(column: str) -> bool:
    """Whether a column's name says when, where or how often somebody agreed: 'consent_date', 'opt_in_source'."""
    words = column_words(column)
    return bool(_WHEN.search(words) or _OTHER.search(words)) and not names_refusal(column)


def unread_sql(mapping: Mapping, types: dict[str, str]) -> str:
    """SQL for whether a consent column holds what is neither yes, no nor unknown; null where all are empty."""
    known = (*YES_TEXTS, *NO_TEXTS, *UNKNOWN_TEXTS)
    names = [name for name in mapping.sources("consent") if not names_refusal(name)]  # a refusal may be a day
    return " or ".join(f"not {_is_in(_answer(name, types), known)}" for name in names) or "false"


def agreed_sql(mapping: Mapping, types: dict[str, str]) -> str:
    """SQL for the consent of a row: false if any consent column says no, true if one says yes, else null.

    What nobody can read is no yes, nor is a yes to another channel; a no to one is a no.
    """
    weak = refusing_only(mapping.sources("consent"))
    parts = [_one(_answer(name, types), names_refusal(name), name in weak) for name in mapping.sources("consent")]
    parts = parts or [_one(f"lower(cast({sql_literal(mapping.constants.get('consent'))} as varchar))", refusals=False)]
    every = ", ".join(parts)
    return parts[0] if len(parts) == 1 else f"case when false in ({every}) then false else coalesce({every}) end"


def refused_sql(name: str, types: dict[str, str]) -> str:
    """SQL for whether one column of consent or of refusals says no."""
    return f"({_one(_answer(name, types), names_refusal(name))}) is false"


def _answer(name: str, types: dict[str, str]) -> str:
    return f"lower({sql_casts.text('=' + name, types[name])})"


def _one(answer: str, refusals: bool, weak: bool = False) -> str:
    """SQL for one column: of consent (`weak`: a yes says nothing), or of refusals, where all but a no is a refusal."""
    unknown = _is_in(answer, UNKNOWN_TEXTS)
    if refusals:
        no = _is_in(answer, (*(each for each in NO_TEXTS if each not in REFUSED_TEXTS), *AGREED_TEXTS))
        return f"case when not {no} and not {unknown} then false end"
    yes = "null" if weak else "true"
    return f"case when {_is_in(answer, YES_TEXTS)} then {yes} when not {unknown} then false end"


def _is_in(answer: str, texts: Collection[str]) -> str:
    """SQL for whether an answer is one of these, also with spaces for hyphens and underscores; null for null."""
    known = sql_literal(tuple(texts))
    return f"({answer} in {known} or regexp_replace({answer}, '[\\s_-]+', ' ', 'g') in {known})"
