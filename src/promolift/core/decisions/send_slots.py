"""Draw the channel and hour at which an offer is sent, with the probability of the draw.

A share is drawn evenly over all that are open, so that what a channel and an hour are worth can be learned from the
log; the rest goes by the first that is open. The draw has a key of its own: it has no part in who gets which offer.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import NamedTuple
from zoneinfo import ZoneInfo

from promolift.foundation.hashing import hash_unit


class SendSlot(NamedTuple):
    """A channel, and the moment at which an offer would be sent on it."""

    channel: str
    send_ms: int


class SendDraw(NamedTuple):
    """The slot that was drawn, and its probability."""

    slot: SendSlot
    propensity: float


def next_occurrence(hour: int, now_ms: int, zone: str) -> int:
    """When the clock of a zone shows this hour next, in ms: now, if it does; else at its first minute."""
    now = datetime.fromtimestamp(now_ms / 1000, ZoneInfo(zone))
    if now.hour == hour:
        return now_ms
    there = now.replace(hour=hour, minute=0, second=0, microsecond=0)
    later = there if now.hour < hour else there + timedelta(days=1)
    return round(later.timestamp() * 1000)


def draw_send_slot(slots: Sequence[SendSlot], explore: float, seed: int, decision_id: str) -> SendDraw:
    """One of at least one open slots: the first, or with probability `explore` any of them, each as likely."""
    each = explore / len(slots)
    unit = hash_unit(seed, "send", decision_id)
    at = min(int(unit / each), len(slots) - 1) if unit < explore else 0
    return SendDraw(slots[at], each + (1 - explore if at == 0 else 0.0))
