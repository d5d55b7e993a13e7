"""Read from a live release what each customer may be given now, until when, and for how much at most."""

from collections.abc import Mapping, Sequence
from functools import lru_cache, partial
from itertools import repeat

import polars as pl

from promolift.core import decisions
from promolift.core.customers.consent import may_send
from promolift.core.offers.terms import covered_targets
from promolift.server.decisions.eligibility import KEY_SEPARATOR, CustomerFacts, Exclusions
from promolift.server.decisions.live_release import UNKNOWN_CUSTOMER, AdCell, LiveRelease, ReleaseRows, Slate
from promolift.server.ledger.event_rows import CONSENT_BY_PAGE, FROM_PAGE_SUFFIX

ENDS_BEFORE_SENT = "it ends before it could be sent"
OFFER_ENDED = "its last day, as the plan printed it, is over"


def candidates(
    release: LiveRelease, people: Sequence[str], closed: Exclusions, cells: Sequence[AdCell | None] | None = None
) -> list[Slate]:
    """What each of some customers may be given now, at a cell of creatives or of their own; nothing for one the release
    does not know.
    """
    rows, touched, found = release.rows, closed.affected_customers(), []
    for who, cell in zip(people, cells or repeat(None), strict=False):
        at = who if cell is None else cell.key
        slate = Slate(release.span(at).start, release.opened(at), {})
        if touched is None or who in touched:
            reason = partial(_reason_at, rows, closed, who)
            slate = rows.close(slate, reason)
        found.append(slate)
    return found


def _reason_at(rows: ReleaseRows, closed: Exclusions, who: str, at: int) -> str | None:
    offer = rows.name(at)
    return closed.reason_for(who, offer, rows.targets[offer])


def place_of(slate: Slate, slot: int) -> int:
    """The place of a slot of a slate among the open rows."""
    at: int = slate.at_O.start + slot if isinstance(slate.at_O, slice) else slate.at_O[slot]
    return at


@lru_cache(maxsize=64)
def offer_ends_ms(release: LiveRelease, end_ms: int | None) -> Mapping[str, int]:
    """The last moment of each offer of a release whose last moment is `end_ms`, as it is printed. A creative is shown
    until then."""
    if end_ms is None:
        return {}
    if release.creatives is not None:
        return dict.fromkeys(release.labels, end_ms)
    first = release.first_day(end_ms)
    by_line = {name: min(round(line.ends(first).timestamp() * 1000), end_ms) for name, line in release.menu.items()}
    return {offer: by_line[label.menu_id] for offer, label in release.labels.items() if label.menu_id in by_line}


@lru_cache(maxsize=64)
def _last_moments(release: LiveRelease, end_ms: int | None) -> list[int]:
    return sorted({*offer_ends_ms(release, end_ms).values()})


@lru_cache(maxsize=64)
def _ended_until(release: LiveRelease, end_ms: int | None, until_ms: int) -> frozenset[str]:
    return frozenset(offer for offer, last_ms in offer_ends_ms(release, end_ms).items() if last_ms <= until_ms)


def close_ended(
    closed: Exclusions, release: LiveRelease, end_ms: int | None, people: Sequence[str], now_ms: int
) -> None:
    """No offer is given after its last day. A customer whose planned offer has ended gets no other in its place."""
    over = [each for each in _last_moments(release, end_ms) if each < now_ms]
    if not over:
        return
    ended = _ended_until(release, end_ms, over[-1])
    closed.offers |= {offer: closed.offers.get(offer, OFFER_ENDED) for offer in ended}
    for who in people:
        planned = release.planned.get(who)
        if planned is not None and planned.offer_id in ended:
            closed.customers.setdefault(who, OFFER_ENDED)


def close_before_sent(closed: Exclusions, release: LiveRelease, ends: Mapping[str, int]) -> None:
    """An offer is closed to a customer to whom it could be sent only after it has ended."""
    soonest = min(ends.values(), default=0)
    for who, slots in closed.slots.items():
        first_ms = min((slot.send_ms for slot in slots), default=0)
        if first_ms > soonest:
            for offer in (name for name, end_ms in ends.items() if end_ms < first_ms):
                closed.pairs.setdefault(who + KEY_SEPARATOR + offer, ENDS_BEFORE_SENT)
    for pair, slots in closed.own_slots.items():
        end_ms = ends.get(pair.partition(KEY_SEPARATOR)[2])
        if end_ms is not None and end_ms < min(slot.send_ms for slot in slots):
            closed.pairs.setdefault(pair, ENDS_BEFORE_SENT)


def warm_up(release: LiveRelease) -> None:
    """Decide once for nobody: what is compiled or loaded at first use must not cost the first customer an offer."""
    who = next(iter(release.place), "")
    (slate,) = candidates(release, [who], Exclusions())
    decisions.choose_offers(release.rows.open_offers([who], [None], [slate.at_O]), release.terms, 0)


def max_discount_cents(release: LiveRelease, offer_id: str) -> int | None:
    """Return the most an offer may take off one order: as printed, else as its plan allows; None where nothing says."""
    label = release.labels[offer_id]
    most, times = release.menu[label.menu_id].benefit.most_cents, max(1, len(covered_targets(label.target)))
    return release.caps.get(offer_id) if most is None else most * times  # one on two may give its benefit on each


def contact_refusals(release: LiveRelease, people: Sequence[str], known: CustomerFacts) -> list[str | None]:
    """Return why nothing may be sent, by the last answer: to the API, else to the shop before the release."""
    heard = [who for who in people if who in known.customers or who not in release.barred]
    again = _asked_again(release, heard, known) if heard else {}
    return [again[who] if who in again else release.barred[who] for who in people]


def _asked_again(release: LiveRelease, people: Sequence[str], known: CustomerFacts) -> dict[str, str | None]:
    rows = []
    for who in people:
        _, age, _, consent, personal = release.people.get(who, UNKNOWN_CUSTOMER)
        said = known.customers.get(who)
        if said is not None:
            if said["age"] and (age is None or not said["age"].endswith(FROM_PAGE_SUFFIX)):
                age = said["age"]
            if said["consent"] != CONSENT_BY_PAGE or consent is None:  # a page does not give back what was withdrawn
                consent = bool(said["consent"]) if said["consent"] is not None else consent
            consent = False if said["erased"] else consent
            personal = personal if said["personal"] is None else bool(said["personal"])
        rows.append((who, consent, age, personal))
    schema = {"customer_id": pl.String, "consent": pl.Boolean, "age": pl.String, "personal": pl.Boolean}
    frame = pl.DataFrame(rows, schema=schema, orient="row")
    allowed = may_send(frame["customer_id"], frame, release.plan.consent)
    return dict(allowed.select("customer_id", "reason").iter_rows())
