"""Render a decided offer and its message from the release's approved texts.

Dates are those of the plan, on whichever day the customer asks. An event of the last minutes gives the reason of the
message; otherwise the plan's own message is used as long as its reason is true, and a generic one later. A hash chooses
the text with a propensity that is logged as an event; responses move the shares. No language model is called.
"""

import json
from datetime import datetime
from functools import lru_cache
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

from promolift.core.decisions.decision_rule import NONE
from promolift.core.messages.angles import (
    Angle,
    AngleFacts,
    SeenItem,
    angle_holds,
    find_live_angle,
    may_give_reason,
)
from promolift.core.messages.composition import (
    require_content,
    text_angle,
    unfillable_slots,
    usable_facts,
    write_message,
)
from promolift.core.messages.offer_text import describe_offer
from promolift.core.messages.text_choice import ChosenText, TextChooser
from promolift.core.offers.menu import make_offer
from promolift.core.offers.product_names import readable_name
from promolift.core.offers.terms import Offer, covered_targets
from promolift.foundation.errors import PromoError
from promolift.foundation.i18n.catalogue import current_locale, gettext
from promolift.foundation.localized_text import Language, LocalizedText
from promolift.server.decisions.eligibility import CartItem, RecentActivity
from promolift.server.decisions.live_release import (
    UNKNOWN_CUSTOMER,
    CatalogueEntry,
    LiveRelease,
    MessageKey,
    RenderedMessage,
)
from promolift.server.ledger.event_rows import OFFER_MESSAGE, ParsedEvents, event_row

CACHE_SIZE = 20_000  # printed offers kept in memory, by day


def render_offer(release: LiveRelease, offer_id: str, ts_ms: int, ends_ms: int | None) -> Offer:
    """The offer as the plan prints it. `ends_ms` is the last moment of the release; where it is None, as before its
    activation, the days are the plan's own, or in plans of earlier versions begin at `ts_ms`.
    """
    if ends_ms is None:
        first_ms = ts_ms if release.plan.asof_ms is None else release.plan.asof_ms
        return _printed(release, offer_id, _day(release, first_ms), None)
    return _printed(release, offer_id, release.first_day(ends_ms).date().isoformat(), ends_ms)


def offer_title(release: LiveRelease, offer_id: str, ts_ms: int) -> str:
    """Return an offer in a few words of the language in use; its id where no text says it."""
    if release.creatives is not None and offer_id != NONE:
        return str(release.creatives.to_response(offer_id)["message"] or offer_id)
    if offer_id not in release.labels:
        return gettext("no offer") if offer_id == NONE else offer_id
    try:
        return describe_offer(render_offer(release, offer_id, ts_ms, None), current_locale())
    except PromoError:
        return offer_id


def _day(release: LiveRelease, ts_ms: int) -> str:
    return datetime.fromtimestamp(ts_ms / 1000, ZoneInfo(release.shop.zone)).date().isoformat()


@lru_cache(maxsize=CACHE_SIZE)
def _printed(release: LiveRelease, offer_id: str, day: str, ends_ms: int | None) -> Offer:
    scope, target, menu_id, name = release.labels[offer_id]
    starts = datetime.fromisoformat(day).replace(tzinfo=ZoneInfo(release.shop.zone))
    last = None if ends_ms is None else datetime.fromtimestamp(ends_ms / 1000, starts.tzinfo)
    if planned := release.offers.get(offer_id):
        ends = release.menu[menu_id].ends(starts)
        return planned.model_copy(update={"starts": starts, "expires": ends if last is None else min(ends, last)})
    kind: Any = scope
    words = None if scope == "all" else readable_name(name or target or "", kind, release.wording.names)
    return make_offer(release.menu[menu_id], target or "", kind, words, starts, release.shop.currency, last)


@lru_cache(maxsize=CACHE_SIZE)
def _as_json(release: LiveRelease, offer_id: str, day: str, ends_ms: int | None) -> dict[str, object]:
    return _printed(release, offer_id, day, ends_ms).model_dump(mode="json")


def render_message(
    release: LiveRelease, customer_id: str, offer_id: str, ts_ms: int, language: str | None,
    lately: RecentActivity | None = None, choice: TextChooser | None = None, ends_ms: int | None = None,
) -> dict[str, Any]:  # fmt: skip
    """Return `offer`, `message` with `title`, `angle`, `text_id` and its propensity, and the `language`.

    `ends_ms` is the last moment of the release, as of `render_offer`. A message is true or it is not sent: where none
    can be written, `message` is None and `why_no_message` says why.
    """
    if release.creatives is not None:
        return release.creatives.to_response(offer_id)
    known = release.people.get(customer_id, UNKNOWN_CUSTOMER)
    spoken = release.shop.nearest_language(language or known.language)
    printed = render_offer(release, offer_id, ts_ms, ends_ms)
    day = printed.starts.date().isoformat()
    offer = _as_json(release, offer_id, day, ends_ms)
    reason, planned = _reason(release, customer_id, offer_id, ts_ms, lately), None
    if reason is None and _still_true(release, customer_id, printed, ts_ms, lately):
        planned = release.messages.get(MessageKey(customer_id, offer_id, spoken))
        if planned and planned.message and printed == release.offers.get(offer_id):
            return _answer(offer, planned, spoken)
        reason = _planned_reason(release, customer_id, spoken)
    try:
        said = _filled(release, customer_id, printed, reason, ts_ms, spoken, choice, planned)
    except PromoError as error:
        return {"offer": offer, "message": None, "language": spoken, "why_no_message": str(error)}
    return _answer(offer, said, spoken)


def _still_true(
    release: LiveRelease, customer_id: str, offer: Offer, ts_ms: int, lately: RecentActivity | None
) -> bool:
    """Whether the plan gives this offer to the customer, and its reason still holds after what they bought since."""
    planned = release.planned.get(customer_id)
    if planned is None or planned.offer_id != offer.id:
        return False
    first_ms = round(offer.starts.timestamp() * 1000)
    bought = [one for one in lately.purchases if one.ts_ms >= first_ms] if lately else []
    names = {name for one in bought for name in release.targets_of(one.product, one.category)}
    until_ms = planned.until_ms
    if until_ms is not None and release.plan.asof_ms is not None:
        until_ms += first_ms - release.plan.asof_ms
    own = bool(bought) and any(planned.play_reason.values())
    on_target = bool(names & {*covered_targets(offer.covers)})
    return not own and angle_holds(planned.angle, until_ms, ts_ms, bool(bought), on_target)


def _planned_reason(release: LiveRelease, customer_id: str, language: Language) -> "_Reason":
    planned = release.planned[customer_id]
    bought = (readable_name(planned.bought, "product", release.wording.names),) if planned.bought else ()
    name = release.people.get(customer_id, UNKNOWN_CUSTOMER).name
    said = planned.play_reason.get(language)
    return _Reason(planned.angle, AngleFacts(name=name, bought=bought, angle=planned.angle, reason=said))


def _answer(offer: dict[str, object], said: RenderedMessage, language: Language) -> dict[str, Any]:
    return {
        "offer": offer, "message": said.message, "language": language, "title": said.title, "angle": said.angle,
        "text_id": said.text, "text_propensity": said.text_prob,
    }  # fmt: skip


class _Reason(NamedTuple):
    angle: Angle
    known: AngleFacts


def _reason(
    release: LiveRelease, customer_id: str, offer_id: str, ts_ms: int, lately: RecentActivity | None
) -> _Reason | None:  # fmt: skip
    """What the last minutes say; None where they say nothing, or nothing may be said."""
    if lately is None:
        return None
    scope, target, *_ = release.labels[offer_id]
    known = release.people.get(customer_id, UNKNOWN_CUSTOMER)
    within = _entry(release, target).category if scope == "product" else None
    if not may_give_reason(target, scope or "all", within, known.personal):
        return None
    seen = (_seen(release, lately.bought), _seen(release, lately.viewed), _seen(release, lately.cart))
    found = find_live_angle(covered_targets(target), *seen, ts_ms)
    if found is None:
        return None
    bought = (_called(release, found.bought.key or ""),) if found.bought else ()
    return _Reason(found.angle, AngleFacts(name=known.name, bought=bought, angle=found.angle))


def _called(release: LiveRelease, product: str) -> LocalizedText:
    """What a message calls a product that was bought."""
    names = release.wording.names
    return names.get(product) or readable_name(_entry(release, product).name or product, "product", names)


def _entry(release: LiveRelease, product: str | None) -> CatalogueEntry:
    return release.catalogue.get(product or "", CatalogueEntry(None, None))


def _seen(release: LiveRelease, lines: dict[CartItem, int]) -> list[SeenItem]:
    """In order of time; a product counts as what the plan's offers stand on."""
    found = [
        SeenItem(
            line.product,
            release.products.get(line.product or "") or line.category or _entry(release, line.product).category,
            at,
        )
        for line, at in lines.items()
    ]
    return sorted(found, key=lambda each: each.ts_ms)


def _filled(
    release: LiveRelease, customer_id: str, offer: Offer, reason: _Reason | None, ts_ms: int, language: Language,
    choice: TextChooser | None, planned: RenderedMessage | None = None,
) -> RenderedMessage:  # fmt: skip
    """The message in the text of a planned one where that may still be sent, or else in one that is drawn."""
    known = reason.known if reason else AngleFacts(name=release.people.get(customer_id, UNKNOWN_CUSTOMER).name)
    known = usable_facts(offer, known, language)
    require_content(offer, known, language)
    texts = choice or release.wording.choice()
    angle, key = text_angle(offer, known), f"{customer_id} {offer.id} {ts_ms}"
    without = unfillable_slots(offer, language)
    picked = texts.choose(angle, offer.benefit.type, language, key, offer.covers, without)
    if planned is not None and planned.text_prob is not None:
        same = next((text for text in texts.texts if text.text_id == planned.text), None)
        picked = ChosenText(same, planned.text_prob) if same else picked
    message = write_message(offer, known, language, picked.text.draft if picked.text else None, release.wording.way)
    used = message.text_id is not None
    prob = picked.propensity if used else None
    return RenderedMessage(message.text, message.title, message.text_id, prob, known.angle)


def message_event(row: Any, said: dict[str, Any], name: str = OFFER_MESSAGE) -> ParsedEvents | None:
    """The event that says which text a decision was answered with, or would have been; None where no text of the pool
    was."""
    if not said.get("text_id"):
        return None
    offer = said["offer"]
    body = {
        "text_id": said["text_id"], "angle": said["angle"], "benefit": offer["benefit"]["type"],
        "language": said["language"], "propensity": said["text_propensity"], "scope": offer["scope"],
        "covers": offer["covers"], "menu_id": offer["menu_id"],
    }  # fmt: skip
    ts_ms, message_id = row["ts_ms"], f"{row['decision_id']}.{said['language']}"
    event = event_row(
        message_id, row["customer_id"], ts_ms, ts_ms, name, json.dumps(body), decision_id=row["decision_id"]
    )
    return ParsedEvents(events=[event], places=[0])
