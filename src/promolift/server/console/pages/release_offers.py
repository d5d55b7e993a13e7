"""Titles of a release's offers for the pages of the console."""

from collections.abc import Mapping
from typing import Any

from promolift.foundation.errors import PromoError
from promolift.server.console.pages.context import PageVisit
from promolift.server.decisions.message_rendering import offer_title


def describe_release_offer(visit: PageVisit, release_id: str, offer_id: str) -> str:
    """Describe an offer of a release in a few words."""
    return offer_title(visit.server.decider.ensure(release_id), offer_id, visit.now_ms)


def is_release_available(visit: PageVisit, row: Mapping[str, Any]) -> bool:
    """Return whether the release of a decision can still be loaded."""
    try:
        return bool(visit.server.decider.ensure(row["release_id"]))
    except PromoError:
        return False
