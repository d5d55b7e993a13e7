"""Parse events in Segment's format into ledger rows, and reject the others with their position and reason.

`messageId` is the deduplication key. Event times are corrected for a wrong device clock:
received - (sentAt - timestamp).
"""

import asyncio
import json
import re
import unicodedata
from array import array
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, NamedTuple

from pydantic import TypeAdapter, ValidationError
from pydantic_core import to_json
from sqlalchemy import Connection, insert, literal_column, select, update

from promolift.core.customers.text_intents import predict_intents
from promolift.foundation.hashing import hash_id
from promolift.foundation.settings import Zone
from promolift.foundation.time.clock import HOUR_MS, MINUTE_MS
from promolift.server.ledger.event_rows import (
    CONSENT_BY_PAGE,
    FROM_PAGE_SUFFIX,
    ID_LENGTH,
    MESSAGE_WITHHELD,
    OFFER_MESSAGE,
    SHOPIFY_PREFIX,
    STOP_THRESHOLD,
    CustomerWords,
    Json,
    ParsedEvents,
    _fit,
    event_items,
    event_row,
    text_or_none,
)
from promolift.server.ledger.migrations import find_customer_id
from promolift.server.ledger.schema import (
    ALIASES,
    CUSTOMERS,
    EVENTS,
    PURCHASES,
    REJECTS,
    WORDS_READ,
    JsonList,
    Query,
    customer_lock,
)
from promolift.shop.ingest.cleaning.consent_answers import (
    AGREED_TEXTS,
    NO_TEXTS,
    REFUSED_TEXTS,
    REFUSING_TAG,
    UNKNOWN_TEXTS,
    YES_TEXTS,
    column_words,
    may_name_consent,
    names_consent,
    names_contact,
    names_link,
    names_refusal,
    refusing_only,
    says_refusal,
)

SEGMENT_KINDS = ("track", "identify", "page", "screen", "alias", "group")
GA4_EVENT_NAMES = {
    "view_item": "Product Viewed", "add_to_cart": "Product Added", "view_cart": "Cart Viewed",
    "begin_checkout": "Checkout Started", "purchase": "Order Completed", "refund": "Order Refunded",
    "view_promotion": "Promotion Viewed", "select_promotion": "Promotion Clicked",
}  # of GA4  # fmt: skip
TRAIT_COLUMNS = {"personId": "person_id", "age": "age", "language": "language", "timezone": "zone"}
EVENT_BYTES = 32_768  # as the Segment API allows
MAX_CENTS = 10**12
THROTTLE_SLOTS, MAX_EVENTS_PER_SLOT, WINDOW_MS = 2**18, 200, 10 * MINUTE_MS
EVENTS_PER_TURN = 20  # events that are read before others have their turn: half a millisecond or so
MAX_MERGED_EVENTS = 1000  # events of a visitor that become a customer's at most
LONG_NUMBER = re.compile(rb"\d{17}|Infinity|NaN|[eE]\+?\d\d")
ZONE_ADAPTER = TypeAdapter(Zone)
YES, NO, UNKNOWN = frozenset(YES_TEXTS), frozenset(NO_TEXTS), frozenset(("", *UNKNOWN_TEXTS))
NO_REFUSAL = (NO - frozenset(REFUSED_TEXTS)) | frozenset(AGREED_TEXTS)  # what denies a trait such as `unsubscribed`
ABOUT_ELSE = re.compile(r"^(withdrawal|cash|product|order|card|payment|video|song|player|停止$)")
DETAIL = re.compile(r"\b(at|on|date|day|time|stamp|source|version|id|ip|text|method|channel|type|language|country)$")
PREFERENCES = re.compile(r"consent|(subscri|mail|sms|market|communicat|notif|privacy).*preference")
REFUSAL_IN_TEXT = re.compile(REFUSING_TAG)
CHANGED = re.compile(r"updat|chang|\bset\b")
ANSWERS_READ = "use true or false, yes or no, 1 or 0, subscribed or unsubscribed, or leave it out"
EVENT_COLUMNS = [column.name for column in EVENTS.c if column.name != "seq"]
INSERT_EVENTS = Query(insert(EVENTS).inline(), EVENT_COLUMNS, " on conflict (message_id) do nothing")
INSERT_ALIAS = Query(insert(ALIASES).inline(), then=" on conflict (anonymous_id) do nothing")
CUSTOMER_IDS = JsonList("people")
SELECT_ALIASES = Query(
    select(ALIASES.c.anonymous_id, ALIASES.c.customer_id).where(ALIASES.c.anonymous_id.op("in")(CUSTOMER_IDS))
)
SELECT_ERASED = Query(
    select(CUSTOMERS.c.customer_id)
    .where(CUSTOMERS.c.customer_id.op("in")(CUSTOMER_IDS), CUSTOMERS.c.erased != literal_column("0"))
)  # fmt: skip


def classify_customer_words(parsed: ParsedEvents) -> None:
    """Read the words that came with events: what they are about becomes an event of its own, and who asks for no more
    messages withdraws their consent. Fits a model at its first use, which takes a second or two.
    """
    found = (
        predict_intents([each.words for each in parsed.customer_words]).iter_rows(named=True)
        if parsed.customer_words
        else ()
    )
    for (_, row, decision, by_page), about in zip(parsed.customer_words, found, strict=False):
        body = json.dumps({"properties": about})
        who, ts_ms = row["customer_id"], row["ts_ms"]
        mark = hash_id("words", row["message_id"])
        parsed.read.append(event_row(mark, who, ts_ms, row["received_ms"], WORDS_READ, body, decision_id=decision))
        if (about["stop_prob"] or 0.0) >= STOP_THRESHOLD:
            parsed.traits.append({"customer_id": who, "updated_ms": ts_ms, "by_page": by_page, "consent": 0})
    parsed.customer_words = []


class _BadEvent(Exception):  # noqa: N818 - raised and caught in this file alone
    def __init__(self, pointer: str, code: str, detail: str) -> None:
        super().__init__(detail)
        self.place = (pointer, code, detail)


class PageEventThrottle:
    """How many of the present events each customer was sent by web pages lately: a decision reads them all.

    Counted in SLOTS by hash, so that it takes no more room whoever sends what: two customers may share one.
    """

    def __init__(self) -> None:
        """Nobody was heard of yet."""
        self._began_ms, self._counted = 0, array("H")

    def room(self, customer_id: str, size: int, now_ms: int) -> bool:
        """Whether `size` more may come now; they are counted if so."""
        if not 0 <= now_ms - self._began_ms < WINDOW_MS:
            self._began_ms, self._counted = now_ms, array("H", bytes(2 * THROTTLE_SLOTS))
        slot = hash(customer_id) % THROTTLE_SLOTS
        room = self._counted[slot] + size <= MAX_EVENTS_PER_SLOT
        if room:
            self._counted[slot] += size
        return room


def parse_events(
    events: Iterable[Any],
    sent_at: Any,
    received_ms: int,
    kind: str | None = None,
    crowd: PageEventThrottle | None = None,
    words: str = "agreed",
) -> ParsedEvents:
    """Read the events of one request. `kind` is that of the path, where each event has one path of its own; `words`:
    see ServeSettings.

    With a `crowd` the sender is a web page, which anybody can read the key of: it may not say what anything is worth,
    nor give a consent back, and the events of one customer are counted.
    """
    parsed = ParsedEvents()
    for _ in _reading(parsed, events, sent_at, received_ms, kind, crowd, words):
        pass
    classify_customer_words(parsed)
    return parsed


async def parse_events_async(
    events: Iterable[Any],
    sent_at: Any,
    received_ms: int,
    kind: str | None = None,
    crowd: PageEventThrottle | None = None,
    words: str = "agreed",
) -> ParsedEvents:
    """`parse`, a few events at a time: decisions go on between them."""
    parsed = ParsedEvents()
    for _ in _reading(parsed, events, sent_at, received_ms, kind, crowd, words):
        await asyncio.sleep(0)
    if parsed.customer_words:
        await asyncio.to_thread(classify_customer_words, parsed)
    return parsed


def _reading(
    parsed: ParsedEvents,
    events: Iterable[Any],
    sent_at: Any,
    received_ms: int,
    kind: str | None,
    crowd: PageEventThrottle | None,
    words: str,
) -> Iterator[None]:
    """Fill `parsed`; a pause after every AT_ONCE events."""
    sent_ms = _moment(sent_at)
    for index, event in enumerate(events):
        if index and not index % EVENTS_PER_TURN:
            yield
        try:
            _take(parsed, event, sent_ms, received_ms, kind, crowd, words)
            parsed.places.append(index)
        except _BadEvent as bad:
            pointer, code, detail = bad.place
            parsed.refuse(index, pointer, code, detail)
            body = json.dumps(_wordless(event))[:EVENT_BYTES]
            reject = {"received_ms": received_ms, "code": code, "detail": f"{pointer}: {detail}", "body": body}
            parsed.rejects.append(reject | {"customer_id": find_customer_id(body)})


def event_locks(_: Connection, requests: Sequence[ParsedEvents]) -> set[str]:
    """The customers whom events are of or tell of, visitors who become one of them included."""
    named = {row["customer_id"] for parsed in requests for rows in (parsed.events, parsed.traits) for row in rows}
    joined = (who for parsed in requests for pair in parsed.joins.items() for who in pair)
    return {customer_lock(who) for who in (*named, *joined)}


def store_events(db: Connection, requests: Sequence[ParsedEvents]) -> list[int]:
    """Keep the events of several requests; how many of each were new."""
    counts = []
    for parsed in requests:
        _join(db, parsed)
    for parsed in requests:
        _rename(db, parsed)
    names = {row["customer_id"] for parsed in requests for row in parsed.events}
    gone = {who for (who,) in SELECT_ERASED.rows(db, people=to_json(sorted(names)).decode())} if names else set()
    for parsed in requests:
        if gone:
            _leave_out(parsed, gone)
        counts.append(INSERT_EVENTS.many(db, parsed.events))
        INSERT_EVENTS.many(db, parsed.read)
        for table, rows in ((PURCHASES, parsed.bought), (REJECTS, parsed.rejects)):
            if rows:
                db.execute(insert(table), rows)
        for row in sorted(parsed.traits, key=lambda row: row["updated_ms"]):
            _keep_traits(db, row)
    return counts


def _join(db: Connection, parsed: ParsedEvents) -> None:
    """Let the events of a visitor who has said who they are be that customer's, those from before, too, and what the
    visitor refused be refused by the customer: nothing else that a visitor said says anything of them.

    The first word counts, and what came with a userId of its own moves nowhere: with a write key nobody takes the
    events of another.
    """
    for visitor, customer in parsed.joins.items():
        joined = {"anonymous_id": visitor, "customer_id": customer, "ts_ms": parsed.events[0]["ts_ms"]}
        if not INSERT_ALIAS.many(db, [joined]):
            continue
        mine = select(EVENTS.c.seq, EVENTS.c.ts_ms, EVENTS.c.body).where(EVENTS.c.customer_id == visitor)
        rows = db.execute(mine.order_by(EVENTS.c.seq.desc()).limit(MAX_MERGED_EVENTS)).all()
        alone = [row for row in rows if not json.loads(row.body).get("userId")]
        moved = EVENTS.c.seq.in_([row.seq for row in alone])
        times = PURCHASES.c.ts_ms.in_([row.ts_ms for row in alone])
        for table, which in ((EVENTS, moved), (PURCHASES, times & (PURCHASES.c.customer_id == visitor))):
            db.execute(update(table).where(which).values(customer_id=customer))
        for row in db.execute(select(CUSTOMERS).where(CUSTOMERS.c.customer_id == visitor)).mappings():
            if no := {name: 0 for name in ("consent", "personal") if row[name] == 0}:
                said = {"customer_id": customer, "updated_ms": row["updated_ms"], "by_page": True}
                parsed.traits.append(said | no)


def _rename(db: Connection, parsed: ParsedEvents) -> None:
    """What comes of a visitor is the customer's whom they are known to be by now."""
    if parsed.visitors:
        owner = dict(map(tuple, SELECT_ALIASES.rows(db, people=to_json(sorted(parsed.visitors)).decode())))
        for row in [*parsed.events, *parsed.bought, *parsed.read, *parsed.traits]:
            row["customer_id"] = owner.get(row["customer_id"], row["customer_id"])


def _leave_out(parsed: ParsedEvents, gone: set[str]) -> None:
    both = list(zip(parsed.places, parsed.events, strict=True))
    for place, row in both:
        if row["customer_id"] in gone:
            parsed.refuse(place, "/userId", "customer_erased", "this customer was erased")
    parsed.places = [place for place, row in both if row["customer_id"] not in gone]
    for rows in (parsed.events, parsed.bought, parsed.traits, parsed.read):
        rows[:] = [row for row in rows if row["customer_id"] not in gone]


def _take(
    parsed: ParsedEvents,
    event: Any,
    sent_ms: int | None,
    received_ms: int,
    kind: str | None,
    crowd: PageEventThrottle | None,
    words: str,
) -> None:
    if not isinstance(event, dict):
        raise _BadEvent("", "not_an_object", "an event is a JSON object")
    kind = kind or event.get("type")
    if kind not in SEGMENT_KINDS:
        raise _BadEvent("/type", "type_unknown", f"use one of {', '.join(SEGMENT_KINDS)}")
    body = _compact(event)
    who = _id(event, "userId", "anonymousId")
    named = "traits" if kind == "identify" else "properties"
    properties = event.get(named) or {}
    if not isinstance(properties, dict):
        raise _BadEvent(f"/{named}", "not_an_object", f"{named} is a JSON object")
    name = _name(event, kind)
    said = properties.get("words")
    said = said if isinstance(said, str) and said.strip() else None
    ts_ms = _corrected(event, sent_ms if sent_ms is not None else _moment(event.get("sentAt")), received_ms)
    if ts_ms > received_ms:
        parsed.repaired += 1  # nothing has happened yet that will happen later
        ts_ms = received_ms
    if event.get("userId") in (None, ""):
        parsed.visitors.add(who)
    elif kind in ("identify", "alias") and event.get("anonymousId") not in (None, "", event["userId"]):
        parsed.joins[_id(event, "anonymousId")] = who
    bought = [
        {"customer_id": who, "ts_ms": ts_ms, "product_id": line.product, "category": line.category}
        for line in (event_items(properties) if name == "Order Completed" else ())
        if line.product or line.category
    ]
    lately = received_ms - ts_ms < HOUR_MS  # older events are read by no decision
    if crowd is not None and (lately or bought) and not crowd.room(who, max(1, len(bought)), received_ms):
        most = f"{MAX_EVENTS_PER_SLOT} a customer in {WINDOW_MS // MINUTE_MS} minutes"
        raise _BadEvent("/userId", "too_many_events", f"a write key may send {most}")
    decision = properties.get("decision_id")
    decision = decision if isinstance(decision, str) and _fit(decision) else None
    message_id = _id(event, "messageId") if event.get("messageId") else hash_id("msg", who, ts_ms, body)
    if crowd is not None and message_id.startswith(SHOPIFY_PREFIX):
        raise _BadEvent("/messageId", "id_reserved", f"{SHOPIFY_PREFIX} begins ids that the shop system gives")
    if "words" in properties:
        body = _compact(_wordless(event))
    told = "read" if kind == "identify" else _consent_event(name) if kind == "track" else ""
    columns = _traits(properties, told, named) if told else {}
    parsed.events.append(event_row(
        message_id, who, ts_ms, received_ms, name, body,
        decision_id=None if said else decision,  # words take no offer up
        value_cents=_worth(event, properties) if crowd is None else None,
    ))  # fmt: skip
    if said and (words == "all" or (words == "agreed" and properties.get("may_read") is True)):
        parsed.customer_words.append(CustomerWords(said, parsed.events[-1], decision, crowd is not None))
    parsed.bought += bought
    if crowd is not None:
        columns = _by_page(columns)
    if columns:
        parsed.traits.append({"customer_id": who, "updated_ms": ts_ms, "by_page": crowd is not None} | columns)


def _wordless(event: Any) -> Any:
    """The event without what a customer said: the words themselves are kept nowhere."""
    if not isinstance(event, dict):
        return event
    parts = {name: event[name] for name in ("properties", "traits") if isinstance(event.get(name), dict)}
    return {**event, **{name: {k: v for k, v in part.items() if k != "words"} for name, part in parts.items()}}


def _compact(event: Json) -> str:
    """The event as JSON. Refused if it holds what an export cannot: halves of characters, numbers beyond 64 bits."""
    try:
        packed = to_json(event)
    except ValueError:
        raise _BadEvent("", "text_invalid", "it holds halves of characters (lone surrogates) or is too deep") from None
    if LONG_NUMBER.search(packed) and (pointer := _unfit(event)) is not None:
        raise _BadEvent(pointer, "number_invalid", "a number must fit into 64 bits")
    if len(packed) > EVENT_BYTES:
        raise _BadEvent("", "event_too_large", f"{len(packed)} bytes; at most {EVENT_BYTES}")
    return packed.decode()


def _unfit(value: object, pointer: str = "") -> str | None:
    """Where the first number stands that no column could hold."""
    if isinstance(value, int | float):
        return None if abs(value) < 2**63 else pointer
    parts: Iterable[tuple[object, object]] = ()
    if isinstance(value, dict):
        parts = value.items()
    elif isinstance(value, list):
        parts = enumerate(value)
    return next((at for name, one in parts if (at := _unfit(one, f"{pointer}/{name}")) is not None), None)


def _worth(event: Json, properties: Json) -> int | None:
    for value in (event.get("value_cents"), properties.get("value_cents")):
        if isinstance(value, int) and not isinstance(value, bool) and abs(value) <= MAX_CENTS:
            return value
    return None


def _name(event: Json, kind: str) -> str:
    if kind != "track":
        return {"page": "Page Viewed", "screen": "Screen Viewed"}.get(kind, kind)
    name = event.get("event")
    if not isinstance(name, str) or not _fit(name):
        raise _BadEvent("/event", "event_missing", "a track event needs its name, at most 256 characters")
    if name in (OFFER_MESSAGE, MESSAGE_WITHHELD, WORDS_READ):
        raise _BadEvent("/event", "event_reserved", f"{name} is written by the server alone; use another name")
    return GA4_EVENT_NAMES.get(name, name)


def _id(event: Json, *names: str) -> str:
    for name in names:
        value = event.get(name)
        if value is not None and value != "":
            if (found := text_or_none(value)) and not isinstance(value, float):
                return found
            raise _BadEvent(f"/{name}", "id_invalid", f"text of 1 to {ID_LENGTH} printable characters")
    raise _BadEvent(f"/{names[0]}", "id_missing", f"give {' or '.join(names)}")


def _moment(value: Any) -> int | None:
    """ISO 8601 to ms UTC; a time without zone is UTC; None if there is none or it cannot be read."""
    if not isinstance(value, str):
        return None
    try:
        moment = datetime.fromisoformat(value)
        moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
        return round(moment.timestamp() * 1000)
    except (ValueError, OverflowError):
        return None


def _corrected(event: Json, sent_ms: int | None, received_ms: int) -> int:
    stated = event.get("originalTimestamp") or event.get("timestamp")
    if stated is None:
        return received_ms
    ts_ms = _moment(stated)
    if ts_ms is None:
        raise _BadEvent("/timestamp", "timestamp_invalid", "use ISO 8601, such as 2026-11-25T08:30:00Z")
    ts_ms = ts_ms if sent_ms is None else received_ms - (sent_ms - ts_ms)
    if ts_ms < 0:
        raise _BadEvent("/timestamp", "timestamp_invalid", "it lies before 1970, as sentAt corrects it")
    return ts_ms


@lru_cache(4096)
def _consent_event(name: str) -> str:
    """What a track event's name says: "refusal", "asked" that its properties hold answers, "read" that they may."""
    words = column_words(name)
    if ABOUT_ELSE.search(words) and not names_contact(name):
        return ""
    if says_refusal(name):
        return "refusal"
    if PREFERENCES.search(words) and CHANGED.search(words):
        return "asked"
    return "read" if names_consent(name) or ("subscri" in words and CHANGED.search(words)) else ""


@lru_cache(4096)
def _trait_role(name: str) -> str:
    """What a trait is by its name: the "consent" itself, "personal", a "refusal", a consent by another name ("other"),
    or what counts if it is a no alone ("possible").
    """
    words = column_words(name)
    if words in ("consent", "personal"):
        return words
    if names_refusal(name):
        return "refusal"
    if names_link(name):
        return ""
    consent = names_consent(name)
    if consent and not DETAIL.search(words):
        return "other"
    return "possible" if consent or may_name_consent(name) else ""


def _answer(value: object, refusal: bool = False) -> str:
    """ "yes", "no", "unknown" or "unreadable", by the answers that `init` reads in files; any no in a list or an object
    counts. A trait that names a refusal is a no unless it is denied, and never a yes.
    """
    if isinstance(value, dict | list):
        parts = {_answer(each, refusal) for each in (value.values() if isinstance(value, dict) else value)}
        empty = "unknown" if refusal else "unreadable"
        return next((each for each in ("no", "unreadable", "yes", "unknown") if each in parts), empty)
    text = unicodedata.normalize("NFKC", "" if value is None else str(value).strip())[:ID_LENGTH]
    forms = {text.lower(), re.sub(r"[\s_-]+", " ", text).lower()}
    if forms & UNKNOWN:
        return "unknown"
    if refusal:
        return "unknown" if forms & NO_REFUSAL else "no"
    turkish = text.replace("I", "\u0131").lower()
    words = column_words(text)
    if (forms | {turkish, words}) & NO or (isinstance(value, str) and names_refusal(text)):
        return "no"
    if forms & YES:
        return "yes"
    # 'nein danke', 'no gracias', 'please do not mail'
    first, _, rest = text.lower().partition(" ")
    said_no = bool(rest) and len(first) > 1 and first.strip(",.!") in NO
    refused = isinstance(value, str) and (said_no or bool(REFUSAL_IN_TEXT.search(words)))
    return "no" if refused else "unreadable"


class _ConsentTrait(NamedTuple):
    """What a trait is, what it answers, and its JSON pointer."""

    role: str
    answer: str
    place: str


def _answers(said: Json, pointer: str, default: str) -> Iterator[_ConsentTrait]:
    """The role, the answer and the place of each trait that could be of consent, those in objects included."""
    for name, value in said.items():
        role = _trait_role(name[:ID_LENGTH]) or default
        if role and not (role == "possible" and isinstance(value, dict)):
            yield _ConsentTrait(role, _answer(value, role == "refusal"), f"{pointer}/{name}")
        elif isinstance(value, dict):
            yield from _answers(value, f"{pointer}/{name}", default)


def _consent_columns(said: Json, told: str, named: str) -> dict[str, Any]:
    """What the traits say of consent and of personal decisions. A no counts whatever stands beside it; what cannot be
    read refuses the event, or is a no beside one. A yes by another name than `consent` takes no withdrawal back.
    """
    found = list(_answers(said, f"/{named}", "possible" if told in ("asked", "refusal") else ""))
    refused = told == "refusal" or any(answer == "no" for _, answer, _ in found)
    columns: dict[str, Any] = {"consent": 0} if told == "refusal" else {}
    about = {place.rpartition("/")[2] for role, _, place in found if role in ("consent", "other", "refusal")}
    weak = refusing_only(about)
    for role, answer, place in found:
        column = "personal" if role == "personal" else "consent"
        if answer == "unreadable" and role != "possible" and not refused:
            raise _BadEvent(place, "answer_unreadable", f"{place.split('/', 2)[2]!r} holds no answer: {ANSWERS_READ}")
        if answer == "no" or (answer == "unreadable" and role != "possible"):
            columns[column] = 0
        elif answer == "yes" and role in ("consent", "personal") and columns.get(column) != 0:
            columns[column] = 1
        elif answer == "yes" and role == "other" and place.rpartition("/")[2] not in weak:
            columns.setdefault(column, CONSENT_BY_PAGE)
    if told == "asked" and not columns and all(answer != "unknown" or role == "possible" for role, answer, _ in found):
        raise _BadEvent(f"/{named}", "answer_unreadable", f"it names no answer; send `consent`: {ANSWERS_READ}")
    return columns


def _traits(said: Json, told: str, named: str) -> dict[str, Any]:
    columns = _consent_columns(said, told, named)
    columns |= {
        column: value for name, column in TRAIT_COLUMNS.items() if (value := text_or_none(said.get(name))) is not None
    }
    try:
        ZONE_ADAPTER.validate_python(columns.get("zone", "UTC"))
    except ValidationError:
        del columns["zone"]
    return columns


def _by_page(columns: dict[str, Any]) -> dict[str, Any]:
    """What a page may say of a customer: not who they are besides, or limits per natural person would hold nobody, nor
    that a refusal of personal decisions is taken back.
    """
    said = {name: value for name, value in columns.items() if name != "person_id" and (name, value) != ("personal", 1)}
    if said.get("consent"):
        said["consent"] = CONSENT_BY_PAGE
    if "age" in said:
        said["age"] += FROM_PAGE_SUFFIX
    return said


def _keep_traits(db: Connection, row: dict[str, Any]) -> None:
    """The latest word of a customer counts, in whatever order the events arrive.

    What a page says of one who is known moves nothing but a withdrawal ahead of what the shop says later of an earlier
    moment; nor does a page that named them first keep a withdrawal out.
    """
    mine = CUSTOMERS.c.customer_id == row["customer_id"]
    said = {name: value for name, value in row.items() if name != "by_page"}
    columns = (CUSTOMERS.c[name] for name in ("updated_ms", "consent", "personal", "age"))
    known = db.execute(select(*columns).where(mine)).first()
    if known is None:
        db.execute(insert(CUSTOMERS).values(**said, erased=0))
        return
    no = {name: 0 for name in ("consent", "personal") if row.get(name) == 0}
    if known.updated_ms > row["updated_ms"]:
        unsaid = {"consent": known.consent in (None, CONSENT_BY_PAGE), "personal": known.personal is None}
        if late := {name: 0 for name in no if unsaid[name]}:
            db.execute(update(CUSTOMERS).where(mine).values(**late))
        return
    aged = known.age is not None and not known.age.endswith(FROM_PAGE_SUFFIX)
    kept = {  # what the shop has said, and a page may not change
        "consent": known.consent is not None and row.get("consent") == CONSENT_BY_PAGE,
        "age": aged and row.get("age", "").endswith(FROM_PAGE_SUFFIX),
        "updated_ms": row["by_page"] and not no,
    }
    told = {name: value for name, value in said.items() if not kept.get(name)}
    db.execute(update(CUSTOMERS).where(mine).values(**told))
