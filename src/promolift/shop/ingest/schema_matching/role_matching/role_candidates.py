"""Propose the columns that may take a role: the first stage of the inference.

In: a draft, of which the free columns and their values are read, and a role. Out: candidates, the best name first. A
column is one if its name, or a part of it, is known for the role and its values do not contradict that.
"""

import re
from collections.abc import Sequence
from typing import NamedTuple

from promolift.foundation.files.column_names import (
    ABBREVIATIONS,
    AMBIGUOUS_WORDS,
    CANCELLED_STATUS,
    COLUMN_SYNONYMS,
    FULFILLED_STATUS,
    IGNORED_SUFFIXES,
    KIND_BY_EVENT_NAME,
    PREFIXES,
    STOP_WORDS,
    UNRELATED_PREFIXES,
    currency_code,
    normalise_column_name,
    normalise_event_name,
)
from promolift.foundation.files.time_formats import guess_time
from promolift.foundation.money import CURRENCY_DIGITS
from promolift.shop.ingest.schema_matching import column_patterns
from promolift.shop.ingest.schema_matching.customer_identity import is_address
from promolift.shop.ingest.schema_matching.role_matching.mapping_draft import MONEY, MappingDraft

STRONG_KIND = ("event", "behavio", "action", "interaction", "行为", "事件")
LINE_NAME = re.compile(r"^(line|item|product|article)", re.IGNORECASE)
AUDIO_FILE = re.compile(r"\.(wav|flac|ogg|opus|mp3|m4a|amr|aac)$", re.IGNORECASE)
CLOCK = re.compile(r"^\d{1,2}([:.h]?\d\d([:.]?\d\d(\.\d+)?)?)?\s*([ap]\.?m\.?)?(Z|[+-]\d\d:?\d\d)?$", re.IGNORECASE)
COST_QUALIFIER = re.compile(r"^(standard|std|average|avg)(?=[\W_]|[A-Z])[\W_]*", re.IGNORECASE)  # 'standard_cost'
# Words that name what a thing is told apart by, as `normalise_column_name` writes them.
_ID_WORDS = "id code codigo codice cod kode kod no nr num nro numero numer nummer number key ref reference sku"
ID_WORDS = frozenset(_ID_WORDS.split())
REPEATED_NAME = re.compile(r"(.+)_\d")
CODE_NAMES = frozenset(("sku", "skuid", "skucode"))  # of a product, whatever stands beside it
_ANSWERS = "0 1 yes no y n true false used unused none null"  # of columns that name no coupon
COUPON_ANSWERS = frozenset(_ANSWERS.split())
AMOUNT_TEXT = re.compile(r"\d+[.,]\d{1,2}|.*[%$€£¥]|[$€£¥].*")
ID_ROLES = ("customer_id", "product_id", "order_id")
ADDRESS_RANK = 150.0  # of an address of a person where no name of the trade says who the customer is


class Candidate(NamedTuple):
    """A column that may take a role: how well its name fits (0 is best, 100 and more only a part of it), its place."""

    rank: float
    place: int
    column: str


def propose(draft: MappingDraft, role: str) -> list[Candidate]:
    """Return the free columns that may take a role: by the place of their name in the role's list, then addresses."""
    known = COLUMN_SYNONYMS.get(f"{draft.table}.{role}", COLUMN_SYNONYMS.get(role, ()))
    if role in ("customer_id", "product_id") and draft.table == f"{role.removesuffix('_id')}s":
        known += ("id", "code", "key", "编号", "编码")
    if role in draft.keys:
        known = (normalise_column_name(draft.keys[role]), *known)
    clear = known
    if draft.inside:
        clear = tuple(name for name in known if name not in AMBIGUOUS_WORDS)
    named = []
    for place, name in enumerate(draft.free):
        if draft.table == "customers" and LINE_NAME.match(name):  # 'product_name' is nobody's name
            continue
        again = REPEATED_NAME.fullmatch(name)  # the second of two columns of one name
        called = again[1] if again and again[1] in draft.sample.columns else name
        fit = name_rank(COST_QUALIFIER.sub("", called) if role == "cost" else called, clear)
        if fit is not None and called != name:
            fit += 100
        if fit is None and known != clear and LINE_NAME.match(name):  # 'Lineitem name' is the product's
            fit = name_rank(name, known)
        if fit is not None and (role in ("channel", "language") or not _elsewhere(name)):
            named.append(Candidate(fit, place, name))
    if role in ID_ROLES and role not in draft.keys and not (named and _has_id_word(min(named).column)):
        named += [Candidate(-1.0, draft.free.index(name), name) for name in _id_columns(draft, known)]
    right = [each for each in sorted(named) if looks_right(draft, role, each.column)]
    if role == "customer_id" and role not in draft.keys:
        listed = {each.column for each in right}
        right += [
            Candidate(ADDRESS_RANK, place, name)
            for place, name in enumerate(draft.free)
            if name not in listed and is_address(name, draft.values(name))
        ]
    return right


def _id_columns(draft: MappingDraft, known: Sequence[str]) -> list[str]:
    """Free columns called an id, code or number of what the role is, such as 'Codice prodotto' beside 'Prodotto'.

    They stand before the thing's bare name, which is its label where it has a code.
    """
    rest = {name: [word for word in _name_words(name) if word not in ID_WORDS | STOP_WORDS] for name in draft.free}
    codes = {name for name in draft.free if not rest[name] and normalise_column_name(name) in CODE_NAMES & {*known}}
    return [
        name
        for name in draft.free
        if (name in codes or (_has_id_word(name) and "".join(rest[name]) in known)) and not _elsewhere(name)
    ]


def looks_right(draft: MappingDraft, role: str, name: str) -> bool:
    """Whether the values of a column do not contradict a role."""
    values = draft.values(name)
    if not values:
        return False
    if role in ("quantity", *MONEY, "valid_days", "dwell", "shelf_discount", "coupon_discount"):
        return column_patterns.looks_numeric(values) and not column_patterns.are_coupon_codes(values)
    if role == "coupon_id":
        words = {value.lower() for value in values}
        coded = _has_id_word(name) or column_patterns.are_coupon_codes(values)
        amounts = sum(bool(AMOUNT_TEXT.fullmatch(value)) for value in values) > 0.1 * len(values)
        return not words <= COUPON_ANSWERS and (coded or not column_patterns.looks_numeric(values)) and not amounts
    if role == "name" and draft.table == "products":  # a number is no name
        return sum(any(map(str.isalpha, value)) for value in values) > 0.5 * len(values)
    if role == "clock":
        return sum(bool(CLOCK.match(value)) for value in values) > 0.9 * len(values)
    if role == "age":  # plain numbers from 0 to 9 are codes of age groups
        return any(len(re.sub(r"\.0*$", "", value)) > 1 or value.isalpha() for value in values)
    if role in ("received", "end", "redeemed_at"):
        # A plain 'date' says when a coupon was used only if many never were.
        sure = role != "redeemed_at" or normalise_column_name(name) != "date" or len(values) < draft.sample.height
        return sure and guess_time(values, name) is not None
    if role == "kind" and draft.table == "events":
        known = sum(normalise_event_name(value) in KIND_BY_EVENT_NAME for value in values)
        return known > 0.5 * len(values) or (
            any(word in name.lower() for word in STRONG_KIND) and len(set(values)) <= 60
        )
    if role == "text" and draft.table == "words":
        plain = [value for value in values if re.search(r"[^\W\d_]{2}", value) and not AUDIO_FILE.search(value)]
        several = len({*values}) > min(0.25 * len(values), 12)  # short praise is written again and again
        return len(plain) > 0.5 * len(values) and several
    if role == "audio":
        return sum(bool(AUDIO_FILE.search(value)) for value in values) > 0.5 * len(values)
    if role == "status":
        words = {value.lower() for value in values}
        return len(words) <= 40 and any(re.search(f"{CANCELLED_STATUS}|{FULFILLED_STATUS}", word) for word in words)
    if role == "event_id":
        # A message or event id repeats only where a row was sent twice; other ids may be those of an order.
        sure = any(word in normalise_column_name(name) for word in ("message", "event", "事件"))
        beside = [str(draft.columns[each]) for each in ("customer_id", "time") if each in draft.columns]
        once = column_patterns.is_constant_per_key(
            draft.sample, name, [each for each in beside if each in draft.sample.columns]
        )
        return once and len(set(values)) >= (0.5 if sure else 0.98) * len(values)
    return True


def _name_words(name: str) -> list[str]:
    """The words of a name, 'CustomerID' as two, as `normalise_column_name` writes each."""
    parted = re.sub(r"(?<=[a-z])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", name)
    return [normalise_column_name(word) for word in re.findall(r"[^\W_]+", parted)]


def _has_id_word(name: str) -> bool:
    return any(word in ID_WORDS for word in _name_words(name))


def _elsewhere(name: str) -> bool:
    """Whether a nested column is of the device, the place or the like, not of what was done."""
    return "." in name and normalise_column_name(name.partition(".")[0]) in UNRELATED_PREFIXES


def name_rank(name: str, known: Sequence[str]) -> float | None:
    """Place of a column's name in a list of names, from 0 to below 100; 100 more if only a part of it stands there."""
    whole = normalise_column_name(name)
    if whole in known:
        return 100 * known.index(whole) / len(known)
    bare = next((whole.removesuffix(ending) for ending in IGNORED_SUFFIXES if whole.endswith(ending)), whole)
    last = normalise_column_name(name.rpartition(".")[2])  # of a nested record: 'value.amount'
    words = re.findall(r"[^\W_]+", name)
    parts = [word for word in words if word.lower() not in STOP_WORDS]
    joined = [normalise_column_name("".join(each)) for each in (parts, parts[::-1]) if len(parts) < len(words)]
    long = [ABBREVIATIONS.get(word.lower(), word) for word in words]
    if long != words:
        joined.append(normalise_column_name("".join(long)))
    if len(words) > 1 and currency_code(words[-1]) in CURRENCY_DIGITS:  # 'price_usd'
        joined.append(normalise_column_name("".join(words[:-1])))
    for rest in (bare, last, *joined, *(bare.removeprefix(prefix) for prefix in PREFIXES if bare.startswith(prefix))):
        if rest in known:
            return 100 + 100 * known.index(rest) / len(known)
    return None


def other_names(role: str) -> tuple[str, ...]:
    """Names of all roles but one."""
    return tuple(name for other, names in COLUMN_SYNONYMS.items() if other != role for name in names)
