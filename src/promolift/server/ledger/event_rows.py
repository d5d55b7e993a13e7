"""Turn an event of a request into the row that the ledger stores."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple, NotRequired

from typing_extensions import TypedDict


class EventsTaken(TypedDict):
    """What became of the events of a request; the first hundred that were not taken, each with its place and reason."""

    accepted: int
    duplicates: int
    repaired: int
    rejected_count: int
    rejected: list[dict[str, Any]]
    dry_run: NotRequired[bool]


OFFER_MESSAGE = "Offer Message"  # says which text a decision was answered with; the server alone writes it
MESSAGE_WITHHELD = "Offer Message Withheld"  # the same of who is held out: which text their message would have had
SHOPIFY_PREFIX = "shopify:"  # begins ids that can be guessed: a page that took one would keep the shop's own event out
STOP_THRESHOLD = 0.5  # from this probability on it is a complaint, or a request for no more messages
ID_LENGTH = 256
CONSENT_BY_PAGE = 2  # a consent that a web page told of
FROM_PAGE_SUFFIX = "?"  # ends an age that a web page told of: it counts where the shop knows none
Json = Mapping[str, object]  # an object of the request: anything may stand in it


class EventItem(NamedTuple):
    """A product or category that an event names, and all properties of its line."""

    product: str | None
    category: str | None
    properties: Json


def event_items(properties: object) -> list[EventItem]:
    """Return the items of an event: its `products`, or the event itself."""
    whole = properties if isinstance(properties, dict) else {}
    products = whole.get("products")
    return [
        EventItem(text_or_none(line.get("product_id") or line.get("sku")), text_or_none(line.get("category")), line)
        for line in (products if isinstance(products, list) else [whole])
        if isinstance(line, dict)
    ]


def text_or_none(value: object) -> str | None:
    """Return an id or a name as text, also if it is a number; None for anything else."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        value = str(value)
    return value if isinstance(value, str) and _fit(value) else None


def event_row(message_id: str, who: str, ts_ms: int, now_ms: int, name: str, body: str, **more: Any) -> dict[str, Any]:
    """A row of `events`; `more` is its decision_id and value_cents, where it has them."""
    row = {"message_id": message_id, "customer_id": who, "ts_ms": ts_ms, "received_ms": now_ms, "name": name}
    return row | {"body": body, "decision_id": None, "value_cents": None} | more


@dataclass
class ParsedEvents:
    """One request's events as rows of `events`, `bought`, `customers` and `rejects`, ready to be kept."""

    events: list[dict[str, Any]] = field(default_factory=list)
    bought: list[dict[str, Any]] = field(default_factory=list)
    traits: list[dict[str, Any]] = field(default_factory=list)
    rejects: list[dict[str, Any]] = field(default_factory=list)
    rejected: list[dict[str, Any]] = field(default_factory=list)  # which one, where in it, why
    repaired: int = 0
    places: list[int] = field(default_factory=list)  # of each of `events` in the request
    visitors: set[str] = field(default_factory=set)  # customer ids that came as an anonymousId alone
    joins: dict[str, str] = field(default_factory=dict)  # an anonymousId to the userId that it turned out to be
    customer_words: list["CustomerWords"] = field(default_factory=list)  # which may be read, and are not yet
    read: list[dict[str, Any]] = field(default_factory=list)  # further rows of `events`: what words were about

    def refuse(self, index: int, pointer: str, code: str, detail: str) -> None:
        """Note an event that is not taken."""
        self.rejected.append({"index": index, "pointer": pointer, "code": code, "detail": detail})

    def answer(self, accepted: int, dry: bool = False) -> EventsTaken:
        """The body of the 202; `dry`: nothing was kept."""
        taken: EventsTaken = {
            "accepted": accepted, "duplicates": len(self.events) - accepted, "repaired": self.repaired,
            "rejected_count": len(self.rejected), "rejected": self.rejected[:100],
        }  # fmt: skip
        if dry:
            taken["dry_run"] = True
        return taken


class CustomerWords(NamedTuple):
    """A customer's own words, the event that brought them, and whether a web page sent it."""

    words: str
    row: dict[str, Any]
    decision_id: str | None
    by_page: bool


def is_complaint(body: str) -> bool:
    """Return whether the body of a WORDS_READ event says that it is a complaint."""
    return (json.loads(body)["properties"]["complaint_prob"] or 0.0) >= STOP_THRESHOLD


def _fit(said: str) -> bool:
    """No control characters and no halves of characters: they can stand in no index and in no log line."""
    return 0 < len(said) <= ID_LENGTH and said.isprintable()
