"""Find which offers are unavailable to a customer right now, and why: caps, quiet hours, purchases, codes, budgets.

A customer's last minutes are read from the events themselves at every decision, so the latest event counts.
"""

import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import product
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

from pydantic_core import to_json
from sqlalchemy import BindParameter, Connection, bindparam, select, text, union_all

from promolift.core.customers.reason_text import (
    CAP,
    CHANNEL_CAP,
    CODE_USED,
    COMPLAINED,
    NOT_VIEWED,
    OFFER_CAP,
    ORDERED,
    QUIET_HOURS,
)
from promolift.core.decisions.response_hours import ResponseHours
from promolift.core.decisions.send_slots import SendSlot, next_occurrence
from promolift.core.offers.terms import covered_targets
from promolift.foundation.i18n.catalogue import gettext_noop
from promolift.foundation.time.clock import DAY_MS, MINUTE_MS
from promolift.server.decisions.live_release import CREATIVE_POLICY, LiveRelease
from promolift.server.ledger.event_rows import event_items, is_complaint
from promolift.server.ledger.limits import exhausted_offers
from promolift.server.ledger.policy import FrequencyCap, Live, Policy, Sending
from promolift.server.ledger.records import Campaign
from promolift.server.ledger.schema import (
    CODES,
    CUSTOMERS,
    DECISIONS,
    EVENTS,
    IS_WORDS_READ,
    PURCHASES,
    WORDS_READ,
    JsonList,
    Query,
    transaction_cache,
)

KEY_SEPARATOR = "\x1f"
BOUGHT_LATELY = gettext_noop("bought it lately")
PRODUCT_VIEWED, PRODUCT_ADDED, PRODUCT_REMOVED, ORDER_COMPLETED = (
    "Product Viewed",
    "Product Added",
    "Product Removed",
    "Order Completed",
)
WHOLE_CART_EVENTS = frozenset({"Cart Viewed", "Checkout Started"})  # these list all that lies in the cart
RECENT_EVENT_NAMES = json.dumps(
    [PRODUCT_VIEWED, PRODUCT_ADDED, PRODUCT_REMOVED, ORDER_COMPLETED, *sorted(WHOLE_CART_EVENTS)]
)
CUSTOMER_IDS = JsonList("people")
CAMPAIGN_PARAMETER: BindParameter[str] = bindparam("campaign")
SINCE_PARAMETER: BindParameter[int] = bindparam("since_ms")
UNTIL_PARAMETER: BindParameter[int] = bindparam("until_ms")
SELECT_CUSTOMERS = Query(select(CUSTOMERS).where(CUSTOMERS.c.customer_id.op("in")(CUSTOMER_IDS)))
SELECT_ISSUED_CODES = Query(
    select(CODES).where(CODES.c.campaign_id == CAMPAIGN_PARAMETER, CODES.c.customer_id.op("in")(CUSTOMER_IDS))
)
# From one offer to the next by the index: an offer may have a million codes, and each decision asks. Conditions as the
# partial index says them.
SELECT_STOCK = Query(text("""
    with recursive offers (offer_id) as (
      select min(offer_id) from codes where campaign_id = :campaign and stocked = 1
      union all
      select (select min(c.offer_id) from codes c
              where c.campaign_id = :campaign and c.stocked = 1 and c.offer_id > offers.offer_id)
      from offers where offers.offer_id is not null)
    select offer_id, exists (select 1 from codes c where c.campaign_id = :campaign and c.stocked = 1
                             and c.offer_id = offers.offer_id and c.status = 'stock')
    from offers where offer_id is not null
"""))  # fmt: skip
SELECT_PURCHASES = Query(
    select(PURCHASES.c.customer_id, PURCHASES.c.ts_ms, PURCHASES.c.product_id, PURCHASES.c.category)
    .where(PURCHASES.c.customer_id.op("in")(CUSTOMER_IDS), PURCHASES.c.ts_ms > SINCE_PARAMETER)
    .where(PURCHASES.c.ts_ms <= UNTIL_PARAMETER).order_by(PURCHASES.c.ts_ms)
)  # fmt: skip
SELECT_PAST_OFFERS = Query(
    select(DECISIONS.c.customer_id, DECISIONS.c.policy_id, DECISIONS.c.ts_ms, DECISIONS.c.channel, DECISIONS.c.offer_id)
    .where(DECISIONS.c.customer_id.op("in")(CUSTOMER_IDS), DECISIONS.c.ts_ms > SINCE_PARAMETER)
    .where(DECISIONS.c.offer_id != "none", DECISIONS.c.unanswered == 0)
)
CUSTOMER_EVENTS = select(EVENTS.c.customer_id, EVENTS.c.ts_ms, EVENTS.c.name, EVENTS.c.body, EVENTS.c.seq).where(
    EVENTS.c.customer_id.op("in")(CUSTOMER_IDS), EVENTS.c.received_ms <= UNTIL_PARAMETER
)
# In two parts: their own words, of days, are few and have an index; of all else only the last minutes are read.
SELECT_RECENT_EVENTS = Query(
    union_all(
        CUSTOMER_EVENTS.where(EVENTS.c.ts_ms > SINCE_PARAMETER, EVENTS.c.name.op("in")(JsonList("names"))),
        CUSTOMER_EVENTS.where(EVENTS.c.ts_ms > bindparam("words_ms"), IS_WORDS_READ),
    ).order_by("ts_ms", "seq")
)


class CartItem(NamedTuple):
    """What an event is about."""

    product: str | None
    category: str | None


class Purchase(NamedTuple):
    """A line of an order."""

    ts_ms: int
    product: str | None
    category: str | None


@dataclass
class RecentActivity:
    """What one customer did lately. Products are listed as they were named, with their category where it was sent."""

    ordered_ms: int | None = None
    cart: dict[CartItem, int] = field(default_factory=dict)  # and when it was put there, or seen there
    viewed: dict[CartItem, int] = field(default_factory=dict)
    bought: dict[CartItem, int] = field(default_factory=dict)
    complained: bool = False  # in their own words, in the days that the policy counts
    purchases: list[Purchase] = field(default_factory=list)  # since the release's first day, and in the days of rest

    def to_json(self) -> dict[str, object]:
        """For people and for JSON."""
        kinds = {"cart": self.cart, "viewed": self.viewed, "bought": self.bought}
        named = {kind: sorted({one.product or one.category or "" for one in items}) for kind, items in kinds.items()}
        return {"ordered_ms": self.ordered_ms, **named}


def load_recent_activity(
    db: Connection, people: Sequence[str], policy: Policy, first_ms: int | None, until_ms: int
) -> dict[str, RecentActivity]:
    """What each of `people` did in the last minutes before a moment, whether they complained in the last days, and what
    they bought since `first_ms`, the release's first day; who did nothing is missing.
    """
    rule, named = policy.live, to_json(people).decode()
    since_ms = until_ms - round(max(rule.minutes, rule.after_order_minutes) * MINUTE_MS)
    since = {"since_ms": since_ms, "words_ms": until_ms - round(rule.complaint_days * DAY_MS), "until_ms": until_ms}
    found = summarise_events(SELECT_RECENT_EVENTS.rows(db, people=named, names=RECENT_EVENT_NAMES, **since))
    rest_ms = until_ms - round(policy.rest_days * DAY_MS)
    first_ms = rest_ms if first_ms is None else min(first_ms, rest_ms)
    for who, *bought in SELECT_PURCHASES.rows(db, people=named, since_ms=first_ms, until_ms=until_ms):
        found.setdefault(who, RecentActivity()).purchases.append(Purchase(*bought))
    return found


def load_activity_at(db: Connection, release: LiveRelease, decision: Mapping[str, Any]) -> RecentActivity:
    """What the customer of a recorded decision had done when it was made."""
    who, campaign = decision["customer_id"], Campaign.find(db, decision["campaign_id"]) or Campaign()
    first_ms = release.first_ms(campaign.ends_ms(release.release_id))
    found = load_recent_activity(db, [who], campaign.policy, first_ms, decision["ts_ms"])
    return found.get(who) or RecentActivity()


def summarise_events(rows: Iterable[Sequence[Any]]) -> dict[str, RecentActivity]:
    """Summarise rows of customer_id, ts_ms, name and body, in order of time, by customer."""
    found: dict[str, RecentActivity] = {}
    for who, ts_ms, name, body, *_ in rows:
        mine = found.setdefault(who, RecentActivity())
        if name == WORDS_READ:
            mine.complained |= is_complaint(body)
            continue
        listed = event_items(json.loads(body).get("properties"))
        items = [CartItem(line.product, line.category) for line in listed if line.product or line.category]
        if name == PRODUCT_VIEWED:
            mine.viewed |= dict.fromkeys(items, ts_ms)
        elif name == PRODUCT_ADDED:
            mine.cart |= dict.fromkeys(items, ts_ms)
        elif name == PRODUCT_REMOVED:
            gone = {item.product for item in items}
            mine.cart = {item: at for item, at in mine.cart.items() if item.product not in gone}
        elif name in WHOLE_CART_EVENTS:
            mine.cart = dict.fromkeys(items, ts_ms)
        else:
            mine.ordered_ms, mine.cart = ts_ms, {}
            mine.bought = {at: ms for at, ms in mine.bought.items() if at not in items} | dict.fromkeys(items, ts_ms)
    return found


@dataclass(frozen=True)
class CustomerFacts:
    """What the ledger knows of some customers: their rows and codes; and which offers' own codes are left."""

    customers: dict[str, Mapping[str, Any]]
    codes: dict[tuple[str, str], Mapping[str, Any]]
    stock: dict[str, bool]


def load_customer_facts(db: Connection, campaign_id: str, people: Sequence[str]) -> CustomerFacts:
    """Load the facts of all `people` in three queries. That a campaign has no stock of codes is cached: few have."""
    named, kept = to_json(people).decode(), transaction_cache(db)
    empty = ("stock", campaign_id)
    stock = {} if empty in kept else {offer: bool(left) for offer, left in SELECT_STOCK.rows(db, campaign=campaign_id)}
    if not stock:
        kept[empty] = True
    return CustomerFacts(
        {row["customer_id"]: row for row in SELECT_CUSTOMERS.dicts(db, people=named)},
        {
            (row["customer_id"], row["offer_id"]): row
            for row in SELECT_ISSUED_CODES.dicts(db, people=named, campaign=campaign_id)
        },
        stock,
    )


@dataclass
class Exclusions:
    """Reasons by what they exclude; the first reason found for a row counts."""

    customers: dict[str, str] = field(default_factory=dict)
    offers: dict[str, str] = field(default_factory=dict)
    targets: dict[str, str] = field(default_factory=dict)  # customer, PAIR, target
    pairs: dict[str, str] = field(default_factory=dict)  # customer, PAIR, offer
    all: str | None = None
    slots: dict[str, list[SendSlot]] = field(default_factory=dict)  # where an offer may be sent, of those who asked
    own_slots: dict[str, list[SendSlot]] = field(default_factory=dict)  # customer, PAIR, offer: capped elsewhere

    def affected_customers(self) -> set[str] | None:
        """Return the customers with an exclusion; None for everybody."""
        if self.all or self.offers:
            return None
        return {key.partition(KEY_SEPARATOR)[0] for part in (self.customers, self.targets, self.pairs) for key in part}

    def reason_for(self, who: str, offer: str, target: str | None) -> str | None:
        """Return why an offer is unavailable to a customer now; None if it is eligible."""
        return (
            self.customers.get(who)
            or self.offers.get(offer)
            or next(
                filter(None, (self.targets.get(who + KEY_SEPARATOR + one) for one in covered_targets(target))), None
            )
            or self.pairs.get(who + KEY_SEPARATOR + offer)
            or self.all
        )


def find_exclusions(
    db: Connection,
    release: LiveRelease,
    policy: Policy,
    asks: Sequence[Any],
    known: CustomerFacts,
    lately: dict[str, RecentActivity],
    now_ms: int,
    hours: ResponseHours | None = None,
) -> Exclusions:
    """All rules of the moment for the customers of `asks`: caps, quiet hours, purchases, codes, stock and budget.

    `lately` is what each of them did in the last minutes and bought; `hours` say when they answer, where that was
    learned.
    """
    people = [ask.customer_id for ask in asks]
    closed = Exclusions()
    for offer in exhausted_offers(db, release.terms.campaign_id, now_ms):
        if offer:
            closed.offers[offer] = gettext_noop("the budget of this offer is used up")
        else:
            closed.all = gettext_noop("the budget of the campaign is used up")
    empty = [offer for offer, left in known.stock.items() if not left]
    for who, offer in product(people, empty):
        if (who, offer) not in known.codes:
            closed.pairs[who + KEY_SEPARATOR + offer] = gettext_noop("no codes are left in stock")
    for (who, offer), code in known.codes.items():
        if code["status"] != "issued":
            closed.pairs[who + KEY_SEPARATOR + offer] = CODE_USED.format(status=code["status"])
    since_ms = now_ms - round(policy.rest_days * DAY_MS)
    for who, mine in lately.items():
        recent = (one for one in mine.purchases if one.ts_ms > since_ms)
        for target in (name for one in recent for name in release.targets_of(one.product, one.category)):
            closed.targets[who + KEY_SEPARATOR + target] = BOUGHT_LATELY
    for who in (each for each, mine in lately.items() if mine.complained):
        closed.customers[who] = COMPLAINED.format(days=f"{policy.live.complaint_days:g}")
    if policy.live.looks:
        _close_lately(closed, release, policy.live, lately, people, now_ms)
    given = _given(db, policy, people, now_ms, release.creatives is not None) if policy.caps else {}
    for ask in asks:
        who, moments = ask.customer_id, given.get(ask.customer_id, ())
        said = known.customers.get(who)
        zone = ask.zone or (said["zone"] if said else None) or release.shop.zone
        if ask.channels and policy.sending:
            slots = _slots(policy, policy.sending, ask, moments, zone, now_ms)
            closed.slots[who] = hours.rank(who, slots, zone) if hours and policy.sending.learned else slots
            no_slot = gettext_noop("no channel is open: quiet hours, caps, or none of those that are sent on")
            why = _capped(policy, None, moments, now_ms) or (None if closed.slots[who] else no_slot)
        else:
            why = _capped(policy, ask.channel, moments, now_ms) or _quiet(policy, ask.channel, now_ms, zone)
        if why:
            closed.customers[who] = why
        ways = closed.slots.get(who, ())
        each = {
            channel: _capped_each(policy, channel, moments, now_ms)
            for channel in (dict.fromkeys(slot.channel for slot in ways) if who in closed.slots else (ask.channel,))
        }
        for offer, why in (pair for some in each.values() for pair in some.items()):
            if left := [slot for slot in ways if offer not in each[slot.channel]]:
                closed.own_slots[who + KEY_SEPARATOR + offer] = left
            else:
                closed.pairs[who + KEY_SEPARATOR + offer] = why
    return closed


def _close_lately(
    closed: Exclusions,
    release: LiveRelease,
    rule: Live,
    lately: dict[str, RecentActivity],
    people: Sequence[str],
    now_ms: int,
) -> None:
    """What the policy closes after what customers did in the last minutes; what is closed already keeps its reason."""
    offered = {label.target for label in release.labels.values() if label.target} if rule.viewed == "only" else set()
    for who in people:
        mine = lately.get(who) or RecentActivity()
        if mine.ordered_ms is not None and now_ms - mine.ordered_ms < rule.after_order_minutes * MINUTE_MS:
            closed.customers[who] = ORDERED.format(minutes=f"{rule.after_order_minutes:g}")
        if rule.cart == "close":
            for target in (name for item in mine.cart for name in release.targets_of(*item)):
                closed.targets.setdefault(who + KEY_SEPARATOR + target, gettext_noop("it lies in their cart already"))
        seen = {name for item in mine.viewed for name in release.targets_of(*item)}
        for target in sorted(offered - seen):
            closed.targets.setdefault(who + KEY_SEPARATOR + target, NOT_VIEWED.format(minutes=f"{rule.minutes:g}"))


class PastOffer(NamedTuple):
    """When an offer of any campaign was made, and on which channel."""

    ts_ms: int
    channel: str | None
    offer_id: str


def _given(
    db: Connection, policy: Policy, people: Sequence[str], now_ms: int, creatives: bool
) -> dict[str, list[PastOffer]]:
    """What customers were given, over all campaigns, as long ago as a cap counts: creatives, or else offers."""
    longest = now_ms - round(max(cap.days for cap in policy.caps) * DAY_MS)
    given = defaultdict[str, list[PastOffer]](list)
    for who, policy_id, *one in SELECT_PAST_OFFERS.rows(db, people=to_json(people).decode(), since_ms=longest):
        if (policy_id == CREATIVE_POLICY) == creatives:
            given[who].append(PastOffer(*one))
    return given


class CapUsage(NamedTuple):
    """A frequency cap, and how often a customer had which offer in its days."""

    cap: FrequencyCap
    had: Counter[str]


def _caps(policy: Policy, channel: str | None, given: Sequence[PastOffer], now_ms: int) -> Iterator[CapUsage]:
    """Each cap that counts on a channel (None: on any)."""
    for cap in policy.caps:
        if cap.channel in (None, channel):
            since_ms = now_ms - round(cap.days * DAY_MS)
            which = (one for one in given if one.ts_ms > since_ms and cap.channel in (None, one.channel))
            yield CapUsage(cap, Counter(one.offer_id for one in which))


def _capped_each(policy: Policy, channel: str, given: Sequence[PastOffer], now_ms: int) -> dict[str, str]:
    """By offer that a customer had as often as a cap on each lets them, which cap that is."""
    return {
        offer: OFFER_CAP.format(times=cap.offers, days=f"{cap.days:g}")
        for cap, had in _caps(policy, channel, given, now_ms)
        for offer, times in had.items()
        if cap.each and times >= cap.offers
    }


def _capped(policy: Policy, channel: str | None, given: Sequence[PastOffer], now_ms: int) -> str | None:
    """Why a customer who was `given` so many offers gets no more on a channel; None: on any."""
    for cap, had in _caps(policy, channel, given, now_ms):
        if not cap.each and had.total() >= cap.offers:
            form = CHANNEL_CAP if cap.channel else CAP
            return form.format(offers=cap.offers, days=f"{cap.days:g}", channel=cap.channel)
    return None


def _quiet(policy: Policy, channel: str, ts_ms: int, zone: str) -> str | None:
    """Why nothing is sent on a channel at a moment: it is night where the customer is."""
    rule = policy.quiet
    if rule and channel in rule.channels and rule.quiet(datetime.fromtimestamp(ts_ms / 1000, ZoneInfo(zone)).hour):
        return QUIET_HOURS.format(start=rule.start, end=rule.end, channel=channel)
    return None


def _slots(
    policy: Policy, sending: Sending, ask: Any, given: Sequence[PastOffer], zone: str, now_ms: int
) -> list[SendSlot]:
    """When an offer may be sent on which of the channels that reach the customer, the usual one first."""
    slots = [
        SendSlot(one.channel, next_occurrence(hour, now_ms, zone))
        for one in sending.channels
        if one.channel in ask.channels and not _capped(policy, one.channel, given, now_ms)
        for hour in one.hours
    ]
    # one that is named twice is as likely as any other
    return [slot for slot in dict.fromkeys(slots) if not _quiet(policy, slot.channel, slot.send_ms, zone)]
