"""A decision in; the offer as it can be printed and its verified words out, at once: from the plan or the template."""

from datetime import datetime
from functools import lru_cache
from typing import Any
from zoneinfo import ZoneInfo

from promolift.errors import PromoError
from promolift.message import Recipient, label, write
from promolift.offer import make_offer
from promolift.serve.release import NOBODY, LiveRelease
from promolift.terms import Language, Offer

CACHED = 20_000  # texts kept in memory: offers times languages times the days that are asked for


def printable(release: LiveRelease, offer_id: str, ts_ms: int) -> Offer:
    """The offer given at a moment: valid from that day, in the shop's zone, for as long as its menu line says."""
    scope, target, menu_id, name = release.labels[offer_id]
    day = datetime.fromtimestamp(ts_ms / 1000, ZoneInfo(release.shop.zone))
    starts = day.replace(hour=0, minute=0, second=0, microsecond=0)
    kind: Any = scope
    words = None if scope == "all" else label(name or target or "", kind)
    return make_offer(release.menu[menu_id], target or "", kind, words, starts, release.shop.currency)


def words(release: LiveRelease, customer_id: str, offer_id: str, ts_ms: int, language: str | None) -> dict[str, Any]:
    """`offer`, `message` and its `language`: the plan's own text while it is valid, else the template's.

    A message is true or it is not sent: where none can be written, `message` is None and `why_no_message` says why.
    """
    known = release.people.get(customer_id, NOBODY).language
    spoken: Language = "zh" if (language or known or release.shop.language).startswith("zh") else "en"
    day = datetime.fromtimestamp(ts_ms / 1000, ZoneInfo(release.shop.zone)).date().isoformat()
    planned, text = release.offers.get(offer_id), release.messages.get((customer_id, offer_id))
    if text and planned and planned.starts.date().isoformat() == day:
        said = text[0 if spoken == "zh" else 1]
        return {"offer": release.printed[offer_id], "message": said, "language": spoken}
    return _template(release, offer_id, day, spoken)


@lru_cache(maxsize=CACHED)
def _template(release: LiveRelease, offer_id: str, day: str, language: Language) -> dict[str, Any]:
    noon = datetime.fromisoformat(f"{day}T12:00:00").replace(tzinfo=ZoneInfo(release.shop.zone))
    offer = printable(release, offer_id, round(noon.timestamp() * 1000))
    found: dict[str, Any] = {"offer": offer.model_dump(mode="json"), "message": None, "language": language}
    try:
        return found | {"message": write(offer, Recipient(), language).text}
    except PromoError as error:
        return found | {"why_no_message": str(error)}
